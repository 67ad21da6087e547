"""Drift: what changes in a model's samples besides their verdicts.

A model that trains on its own samples can get shorter, vaguer, or all of one mind while its accuracy rises.
Failed samples have no text: leave them out here and report their number beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import eq
from statistics import fmean

from docendo.metrics.majority import Same, clusters


def distinct_answers_share(answers_P_G: Sequence[Sequence[str | None]], same: Same = eq) -> float:
    """Give the share of distinct answers among those that could be read, as a mean over problems.

    1 means that no two samples of a problem agree, ``1 / G`` that all do. One sample for each problem always
    gives 1. Problems without a readable answer are left out.

    Args:
        answers_P_G: For each problem and sample, the answer, or ``None`` where none could be read.
        same: Whether two answers are equivalent; see `clusters`.

    Returns:
        Share in ``(0, 1]``, or 0 where no answer could be read at all.

    Example:
        >>> distinct_answers_share([["4", "4", "5", None], [None, None, None, None]])
        0.6666666666666666
    """
    found = [clusters(answers_G, same) for answers_G in answers_P_G]
    return fmean(len(c) / sum(len(one.members) for one in c) for c in found if c) if any(found) else 0.0


def distinct_n(texts: Iterable[str], n: int = 2) -> float:
    """Give distinct-n: different n-grams by all n-grams of the texts, with words split at white space.

    It falls with the amount of text, so compare equal numbers of samples only.

    Args:
        texts: The samples' texts.
        n: Words of an n-gram. Count, >= 1.

    Returns:
        Share in ``(0, 1]``, or 0 where no text has ``n`` words.

    Raises:
        ValueError: ``n`` is below 1.

    References:
        Li et al. (2016), arXiv:1510.03055.

    Example:
        >>> distinct_n(["so 2 + 2 = 4", "so 2 + 2 = 5"], n=2)
        0.6
    """
    if n < 1:
        raise ValueError(f"n {n}, expected a count >= 1")
    n_all, seen = 0, set[tuple[str, ...]]()
    for text in texts:
        words = text.split()
        grams = list(zip(*(words[i:] for i in range(n)), strict=False))
        n_all += len(grams)
        seen.update(grams)
    return len(seen) / n_all if n_all else 0.0


@dataclass(frozen=True, slots=True)
class Drift:
    """What the samples of one model look like, besides right or wrong."""

    n_samples: int
    mean_tokens: float
    """Mean number of generated tokens of a sample, the end token included where the engine counts it."""
    distinct_answers_share: float
    unparsed_share: float
    """Share of samples without a readable answer, in ``[0, 1]``."""
    end_token_share: float
    """Share of samples that ended by themselves and not at the limit, in ``[0, 1]``."""
    distinct_2: float
    """distinct-n of all texts, n = 2."""


def drift(
    texts_P_G: Sequence[Sequence[str]],
    answers_P_G: Sequence[Sequence[str | None]],
    n_tokens_P_G: Sequence[Sequence[int]],
    finishes_P_G: Sequence[Sequence[str]],
    *,
    same: Same = eq,
) -> Drift:
    """Describe the samples of one model.

    Args:
        texts_P_G: For each problem and sample, the text.
        answers_P_G: The answers, ``None`` where none could be read.
        n_tokens_P_G: The numbers of generated tokens. Counts, >= 0.
        finishes_P_G: Why each sample ended; ``"stop"`` is an end token or a stop text.
        same: Whether two answers are equivalent; see `clusters`.

    Raises:
        ValueError: There is no sample, or the four do not have the same shape.

    Example:
        >>> drift([["so 4", "so so"]], [["4", None]], [[3, 9]], [["stop", "length"]]).end_token_share
        0.5
    """
    columns = (texts_P_G, answers_P_G, n_tokens_P_G, finishes_P_G)
    if any([len(row) for row in column] != [len(row) for row in texts_P_G] for column in columns):
        raise ValueError("texts, answers, tokens and finishes of unequal shape, expected one for each sample")
    n_samples = sum(len(row) for row in texts_P_G)
    if not n_samples:
        raise ValueError("drift of no samples, expected at least one")
    return Drift(
        n_samples=n_samples,
        mean_tokens=fmean(chain.from_iterable(n_tokens_P_G)),
        distinct_answers_share=distinct_answers_share(answers_P_G, same),
        unparsed_share=sum(a is None for a in chain.from_iterable(answers_P_G)) / n_samples,
        end_token_share=sum(f == "stop" for f in chain.from_iterable(finishes_P_G)) / n_samples,
        distinct_2=distinct_n(chain.from_iterable(texts_P_G), n=2),
    )
