"""Which prompts of a chunk begin alike: what they share is read once for all of them.

Exams put one lesson before several problems, and shots stand before everything. Prompts are put in the order
of their tokens, where those that begin alike are neighbours; runs of neighbours are chosen so that as few
tokens as possible are left to read. Each run is one trunk, its common beginning, with the rest of each prompt
behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_SHORTEST = 8
"""Tokens of a trunk at least; a shorter one saves nothing."""
_MOST_MEMBERS = 32
"""Prompts of one trunk at most. A longer run is cut: what that loses is one reading in 32."""
_LEAST_SAVED = 0.1
"""Share of all tokens that must be saved; below it every prompt is read as a whole."""


@dataclass(frozen=True, slots=True)
class Trunk:
    """Prompts that begin alike."""

    members: tuple[int, ...]
    """Their places."""
    length: int
    """Tokens that they have in common; 0 for a prompt that is read as a whole. No prompt is all trunk."""


def trunks_of(prompts: Sequence[Sequence[int]]) -> list[Trunk]:
    """Return trunks that hold every prompt once; none where too little would be saved.

    Example:
        >>> trunks_of([[1] * 9 + [2], [3], [1] * 9 + [4]])
        [Trunk(members=(0, 2), length=9), Trunk(members=(1,), length=0)]
    """
    order = sorted(range(len(prompts)), key=lambda place: tuple(prompts[place]))
    alike = [0, *(_alike(prompts[left], prompts[right]) for left, right in pairwise(order))]
    best, begins = [0], [0]
    for end in range(1, len(order) + 1):
        saved, begin = best[end - 1], end - 1
        common = alike[end - 1]
        for first in range(end - 2, max(-1, end - 1 - _MOST_MEMBERS), -1):
            common = min(common, alike[first + 1])
            if common < _SHORTEST:
                break
            found = best[first] + common * (end - first - 1)
            if found > saved:
                saved, begin = found, first
        best.append(saved)
        begins.append(begin)
    if best[-1] < _LEAST_SAVED * sum(map(len, prompts)) or not best[-1]:
        return []
    trunks: list[Trunk] = []
    end = len(order)
    while end:
        begin = begins[end]
        length = min(alike[begin + 1 : end], default=0)
        trunks.append(Trunk(tuple(order[begin:end]), length))
        end = begin
    return trunks[::-1]


def _alike(left: Sequence[int], right: Sequence[int]) -> int:
    """Return how many tokens two prompts have in common at their beginning; the last of each not counted."""
    most = min(len(left), len(right)) - 1
    for place in range(most):
        if left[place] != right[place]:
            return place
    return most
