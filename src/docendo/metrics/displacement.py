"""Displacement: preference training that makes the preferred texts themselves less likely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from docendo.metrics.paired import mcnemar_p
from docendo.metrics.transitions import transitions


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a model stands on some problems with demonstrations."""

    likelihood: float
    """Mean log-likelihood of a demonstration's token, in nats; at most 0."""
    right: Sequence[bool]
    """For each problem whether the model's own answer is correct."""


def displaced(first: Standing | None, now: Standing | None, *, most_fall: float, level: float = 0.95) -> str:
    """Tell in words what has sunk since the first standing; empty where nothing has.

    A pair's margin also grows where both texts become less likely, the rejected one faster (Pal et al. 2024,
    arXiv:2402.13228); uclaml/SPIN's issue 13 reports it of real answers. So the margin is no sign, and these
    two are: demonstrations that lost more than ``most_fall``, and accuracy that fell beyond chance.

    Args:
        first: The standing that is not to be lost; None: not known, and nothing has sunk.
        now: The present one, on the same problems; None likewise.
        most_fall: Nats per token that demonstrations may lose.
        level: Of the test; accuracy has fallen where McNemar's exact p is below ``1 - level``.

    Example:
        >>> displaced(Standing(-0.5, [True] * 8), Standing(-0.7, [False] * 8), most_fall=0.1)
        'demonstrations lost 0.200 nats per token; accuracy fell from 100.0 to 0.0 % (p = 0.008)'
    """
    if first is None or now is None:
        return ""
    found: list[str] = []
    if (lost := first.likelihood - now.likelihood) > most_fall:
        found.append(f"demonstrations lost {lost:.3f} nats per token")
    changed = transitions(first.right, now.right)
    p = mcnemar_p(changed.right_wrong, changed.wrong_right)
    if changed.right_wrong > changed.wrong_right and p < 1 - level:
        before, after = (100 * sum(one) / len(one) for one in (first.right, now.right))
        found.append(f"accuracy fell from {before:.1f} to {after:.1f} % (p = {p:.3f})")
    return "; ".join(found)
