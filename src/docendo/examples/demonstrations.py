"""The data set's own worked solutions, beside a model's samples and against them."""

from __future__ import annotations

from dataclasses import replace

from docendo.core.errors import SettingError
from docendo.core.protocols import Format
from docendo.core.records import Context, Example, Label, Problem, Sample
from docendo.core.table import Table

_ORIGIN = "demonstration:"


def has_solution(label: Label) -> bool:
    """Whether there is a worked solution."""
    return bool(label.solution)


def is_demonstration(sample_id: str) -> bool:
    """Whether a sample is a worked solution of the data set, by its id."""
    return sample_id.startswith(_ORIGIN)


def solved(problems: Table[Problem], labels: Table[Label], *, otherwise: str) -> Table[tuple[Problem, Label]]:
    """Return the problems that have a worked solution, each with its Label.

    Args:
        problems: Some of a split.
        labels: Those of the split.
        otherwise: What one may do who has no solutions; a hint.

    Raises:
        SettingError: No problem has one.
    """
    found = problems.join(labels.where(has_solution))
    if not len(found):
        raise SettingError(
            "no training problem has a worked solution",
            hint=f"name the column that has them with --solution-column, or {otherwise}",
        )
    return found


class Demonstrated:
    """Writes a worked solution as a Sample or as an Example, as a Format puts problem and target."""

    def __init__(self, shape: Format, context: Context) -> None:
        self._shape, self._context = shape, context

    def sample(self, problem: Problem, label: Label) -> Sample:
        """Return the solution as if it had been said: it can be read, verified, scored and selected."""
        prompt = self._shape.prompt(problem, self._context)
        text = self._shape.target(label.solution, label.answer)
        read = self._shape.read(prompt.prefix + text)
        made = Sample(f"{_ORIGIN}{problem.id}", prompt, 0, text, "stop")
        return replace(made, rationale=read.rationale, answer=read.answer, is_parsed=read.is_parsed)

    def example(self, problem: Problem, label: Label) -> Example:
        """Return the solution as a completion to learn."""
        said = self.sample(problem, label)
        return Example(said.prompt.messages, completion=said.text, problem_id=problem.id)

    def pair(self, own: Sample, solved: tuple[Problem, Label]) -> Example:
        """Return a pair: the solution is chosen, a model's own sample for the same problem rejected."""
        return Example(
            own.prompt.messages,
            chosen=self.sample(*solved).text,
            rejected=own.text,
            rejected_token_ids=own.token_ids,
            tokenizer=own.tokenizer,
            problem_id=own.problem.id,
            parents=(own.id,),
            is_ended=own.finish == "stop",
        )
