"""What every family of lab problems shares: the record, the splits, reproducible randomness.

A family turns ``(split, index, seed)`` into one problem. Nothing else enters: no earlier draw, no count, no
process state. Splits are disjoint and a split has no problem twice, both by construction:

    A  part of every question is its *key* (name, adjective and noun of a story), which its text shows
    B  one fixed permutation of all keys, the same for every seed, is cut into four pieces, one for each split
    C  within its piece, a permutation that depends on the seed maps the index to a key
    D  everything else in the question is drawn at random from a hash of (family, seed, split, index)

By B, questions of different splits differ, whatever their seeds; by C, so do those of different indices.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from random import Random

SPLIT_FORTIETHS = {"pretrain": 20, "train": 12, "validation": 3, "test": 5}
"""How many fortieths of all keys belong to each split. ``pretrain`` is for the lab models' corpus only."""


@dataclass(frozen=True, slots=True)
class LabProblem:
    """One generated problem with its worked solutions."""

    family: str
    """Name of the family that made it."""
    split: str
    """One of ``pretrain``, ``train``, ``validation``, ``test``."""
    index: int
    """Place in the split, from 0."""
    seed: int
    """Seed it was drawn with. Different seeds share the split boundaries, not the problems."""
    question: str
    """What the model is asked, without any prompt around it."""
    answer: str
    """The gold answer, as it stands behind "The answer is"."""
    rationales: tuple[str, ...]
    """At least three phrasings of the worked solution, without the closing answer sentence. Their order is
    random: the first one is a fair draw of a phrasing."""
    group: str
    """The template it was made from; for invented verbs, the verb."""


def seeded_random(*parts: str | int) -> Random:
    """Make a random generator whose state is a hash of ``parts``, the same in every process."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).digest()
    return Random(int.from_bytes(digest, "big"))


def permuted(position: int, size: int, *key: str | int) -> int:
    """Map ``position`` to another place of ``range(size)``, one to one, as scrambled as a hash.

    A four-round Feistel network on the next even power of two; a value outside the range is mapped again
    until it falls inside (cycle walking), which keeps the map one to one.

    Args:
        position: What to map. Count, in ``[0, size)``.
        size: Size of the range. Count, >= 1.
        *key: Chooses the permutation.

    Example:
        >>> sorted(permuted(i, 10, "any key") for i in range(10))
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    half_bits = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half_bits) - 1
    prefix = "\x1f".join(map(str, key))
    while True:
        left, right = position >> half_bits, position & mask
        for turn in range(4):
            digest = hashlib.blake2b(f"{prefix}\x1f{turn}\x1f{right}".encode(), digest_size=8).digest()
            left, right = right, left ^ (int.from_bytes(digest, "big") & mask)
        position = left << half_bits | right
        if position < size:
            return position


class Family(ABC):
    """A kind of problem, with a key whose parts subclasses name."""

    name: str
    """How the family is called in commands and records."""
    key_sizes: tuple[int, ...]
    """How many values each part of the key has."""

    def size(self, split: str) -> int:
        """Return how many problems the split has for each seed."""
        first, last = self._piece(split)
        return last - first

    @abstractmethod
    def problem(self, split: str, index: int, seed: int = 0) -> LabProblem:
        """Return one problem.

        Args:
            split: One of ``pretrain``, ``train``, ``validation``, ``test``.
            index: Place in the split. Count, in ``[0, size(split))``.
            seed: Any whole number. Problems of different splits differ even between seeds.

        Raises:
            ValueError: There is no such split.
            IndexError: The split is not that large.
        """

    def problems(self, split: str, count: int, seed: int = 0) -> Iterator[LabProblem]:
        """Yield the first ``count`` problems of a split; a larger count begins with the same ones."""
        return (self.problem(split, index, seed) for index in range(count))

    def _piece(self, split: str) -> tuple[int, int]:
        if split not in SPLIT_FORTIETHS:
            raise ValueError(f"unknown split {split!r}\nhint: one of {', '.join(SPLIT_FORTIETHS)}")
        total = prod(self.key_sizes)
        ends = dict(zip(SPLIT_FORTIETHS, accumulate(SPLIT_FORTIETHS.values()), strict=True))
        last = ends[split]
        return total * (last - SPLIT_FORTIETHS[split]) // 40, total * last // 40

    def _key(self, split: str, index: int, seed: int) -> tuple[int, ...]:
        first, last = self._piece(split)
        if not 0 <= index < last - first:
            raise IndexError(
                f"{self.name} has no problem {index} in {split}\n"
                f"hint: its problems are 0 to {last - first - 1}"
            )
        position = first + permuted(index, last - first, self.name, split, seed)
        number = permuted(position, prod(self.key_sizes), self.name)
        parts: list[int] = []
        for part_size in self.key_sizes:
            number, part = divmod(number, part_size)
            parts.append(part)
        return tuple(parts)


class Composed(Family):
    """A family that has one problem for each key, and composes it from the key."""

    @abstractmethod
    def compose(self, key: tuple[int, ...], random: Random) -> tuple[str, str, list[str], str]:
        """Return question, answer, rationales and group of the problem with this key.

        The question must show the key: two keys may never give the same question.
        """

    def problem(self, split: str, index: int, seed: int = 0) -> LabProblem:
        """Return one problem, as `Family.problem`."""
        key = self._key(split, index, seed)
        random = seeded_random(self.name, seed, split, index)
        question, answer, rationales, group = self.compose(key, random)
        random.shuffle(rationales)
        return LabProblem(
            family=self.name, split=split, index=index, seed=seed, question=question, answer=answer,
            rationales=tuple(rationales), group=group,
        )  # fmt: skip
