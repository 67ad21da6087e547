"""What a teacher's completions are worth to a student, in a few numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def lesson_facts(
    statuses: Sequence[str], verdicts: Sequence[str], kept_problems: Sequence[str], kept_texts: Sequence[str]
) -> Mapping[str, float]:
    """Return how many rationales came, how many are right and learned, and how different those are.

    Args:
        statuses: Of each completion that was asked for, ``ok`` or ``failed``.
        verdicts: Of the same completions; shares are of those with status ``ok``.
        kept_problems: The problem id of each kept completion.
        kept_texts: The text of each kept completion.

    Example:
        >>> verdicts = ["correct", "incorrect", "failed"]
        >>> told = lesson_facts(["ok", "ok", "failed"], verdicts, ["a"], ["It is 2."])
        >>> told["share of them that end right"]
        0.5
    """
    came = [verdict for status, verdict in zip(statuses, verdicts, strict=True) if status == "ok"]
    problems = len(set(kept_problems))
    distinct = len(set(zip(kept_problems, kept_texts, strict=True)))
    return {
        "rationales asked of the teacher": len(statuses),
        "rationales of the teacher": len(came),
        "share of them that end right": came.count("correct") / max(1, len(came)),
        "share of them that are learned": len(kept_texts) / max(1, len(came)),
        "problems with a kept rationale": problems,
        "distinct kept rationales a solved problem": distinct / max(1, problems),
    }
