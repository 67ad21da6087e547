"""What exams told, and what they cost, in a few numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, pvariance


def exam_facts(
    scores_P_G: Sequence[Sequence[float | None]], answers_P: Sequence[int], bound: int
) -> Mapping[str, float]:
    """Return how much the scores of a problem differ, and how many completions were asked for.

    Args:
        scores_P_G: For each problem and sample the exam score in ``[0, 1]``, or None where there is none.
        answers_P: For each problem how many answers of students were asked for. Counts, >= 0.
        bound: n (1 + m q r): at most so many completions of teacher and students for a problem.

    Returns:
        By what they are called: counts, shares in ``[0, 1]``, and variances in ``[0, 1/4]`` of the scores of
        a problem, over its samples with a score. Problems whose scores are all equal tell nothing: the vote
        alone decides there.

    Example:
        >>> facts = exam_facts([[1.0, 0.0], [0.5, 0.5], [None, None]], [6, 3, 0], bound=8)
        >>> facts["problems with constant scores"], facts["problems without a score"]
        (1, 1)
    """
    known_P = [[score for score in scores if score is not None] for scores in scores_P_G]
    told = [known for known in known_P if known]
    constant = sum(min(known) == max(known) for known in told)
    spent = [len(scores) + answers for scores, answers in zip(scores_P_G, answers_P, strict=True)]
    return {
        "exam answers asked": sum(answers_P),
        "mean exam score": fmean(score for known in told for score in known) if told else 0.0,
        "mean variance of a problem's scores": fmean(map(pvariance, told)) if told else 0.0,
        "problems with constant scores": constant,
        "problems without a score": len(known_P) - len(told),
        "generations a problem": fmean(spent) if spent else 0.0,
        "most generations of a problem": max(spent, default=0),
        "bound of generations a problem, n (1 + m q r)": bound,
    }
