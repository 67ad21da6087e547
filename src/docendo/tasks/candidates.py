"""Files of scored completions: the candidates of each problem, with answers, scores and verdicts.

Two layouts, told apart by the column of the completions (or of the answers that were read before):

- a text: one row a completion. What tells the problems apart is ``problem_column``; else the first column of
  problem_id, id, unique_id and the names of a question that every row has and that repeats;
- a list: one row a problem, or a part of one where ``problem_column`` is named. Scores and verdicts are
  lists of the same length.

Rows are read strictly: a candidate that is left out would change the vote of its problem.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from docendo.core.errors import DataError
from docendo.core.protocols import Format, Task, Verifier, Watcher
from docendo.core.records import Label, Outcome, Problem, Sample
from docendo.tasks.completions import CompletionReader
from docendo.tasks.files import BadRow, Row, line_count, read_rows
from docendo.tasks.gold import CANDIDATES, Origin

PROBLEM_COLUMNS = tuple(dict.fromkeys(("problem_id", *CANDIDATES["id"], *CANDIDATES["question"])))
"""What may tell problems apart where nothing is named."""
_TELLING = 16
"""Rows between two tellings of how far it is. Count."""
_VERDICTS: Mapping[str, bool] = {
    **{outcome.value: outcome is Outcome.CORRECT for outcome in Outcome},
    **{"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What the columns are called; empty: there is none."""

    completion_column: str = "completion"
    """The model's text, off which the Format reads the answer; not read where there is a prediction."""
    prediction_column: str = ""
    """The answer as it was read before; null or blank where none could be read."""
    answer_column: str = "answer"
    """The gold answer; not read where there is a verdict."""
    verdict_column: str = ""
    """Whether the completion is right: true, 1 or correct; false, 0 or another outcome."""
    score_column: str = ""
    """A number, larger is better; null where there is none."""
    problem_column: str = ""
    """What tells the problems apart."""

    @property
    def text_column(self) -> str:
        """The column that answers are taken from; where it holds lists, rows are problems."""
        return self.prediction_column or self.completion_column


@dataclass(frozen=True, slots=True)
class Candidate:
    """One completion, as far as a vote needs it."""

    number: int
    """Of its row, as in `docendo.tasks.gold.Origin`."""
    index: int | None
    """Its place in the lists of its row; None where the row is the completion."""
    answer: str | None
    """None where none could be read."""
    score: float | None
    is_correct: bool
    """False wherever no answer could be read."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """All candidates of one problem, in the order of the file."""

    problem: str
    found: tuple[Candidate, ...]


def read_candidates(
    path: Path, layout: Layout, verifier: Verifier, shape: Format, task: Task | None, watcher: Watcher
) -> list[Candidates]:
    """Read all candidates of a file, problem by problem in order of appearance.

    Texts are not kept: memory grows with the number of completions and not with their length.

    Args:
        path: Rows in any form that `docendo.tasks.files` reads.
        layout: Names of the columns.
        verifier: Decides where the layout has no verdicts.
        shape: Reads answers off completions.
        task: Knows gold answers of rows without one. None: every row must bring its own.
        watcher: Is told how far it is.

    Raises:
        DataError: A row cannot be read; the message names it and the column. Or nothing tells the problems
            apart.
    """
    rows = _Rows(path, layout, shape, task)
    watcher.stage_begins("read", rows=line_count(path), done=0, unit="rows")
    found: list[Candidate] = []
    n_rows = n_told = last = 0
    for candidate in rows.judged(verifier):
        n_rows += candidate.number != last
        last = candidate.number
        if n_rows - n_told == _TELLING:
            watcher.stage_advances(rows=_TELLING)
            n_told = n_rows
        found.append(candidate)
    watcher.stage_advances(rows=n_rows - n_told)
    problems = rows.grouped(found)
    summary = f"{len(found):,} completions of {len(problems):,} problems"
    watcher.stage_ends("read", summary=summary, reused=False)
    return problems


def chosen_rows(
    path: Path, layout: Layout, chosen: Mapping[tuple[int, int | None], Sequence[str]]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of chosen candidates in the order of the file, each once for every rule that chose it.

    Of a row that is a problem, every list as long as that of the candidates gives its chosen entry; the
    options of a question stay.

    Args:
        path: The file that the candidates were read from.
        layout: As it was read.
        chosen: (number of the row, place in its lists) -> names of the rules, written as ``chosen_by``.
    """
    places: dict[int, list[int | None]] = {}
    for number, index in chosen:
        places.setdefault(number, []).append(index)
    for row in read_rows(path):
        for index in places.get(row.origin.number, []) if isinstance(row, Row) else []:
            assert isinstance(row, Row)
            values = dict(row.values)
            if index is not None:
                size = len(values[layout.text_column])
                for name, value in row.values.items():
                    if isinstance(value, list) and name not in CANDIDATES["choices"]:
                        entries = cast("list[Any]", value)
                        values[name] = entries[index] if len(entries) == size else entries
            for name in chosen[row.origin.number, index]:
                yield {**values, "chosen_by": name}


class _Rows:
    """Reads the rows of a file as candidates, and remembers what tells their problems apart."""

    def __init__(self, path: Path, layout: Layout, shape: Format, task: Task | None) -> None:
        self._path = path
        self._layout = layout
        self._reader = CompletionReader(
            task,
            shape,
            completion_column=layout.completion_column,
            answer_column=layout.answer_column,
            prediction_column=layout.prediction_column,
        )
        columns = (layout.problem_column,) if layout.problem_column else PROBLEM_COLUMNS
        self._keys: dict[str, list[str]] = {column: [] for column in columns}
        self._known: dict[str, str] = {}
        self._is_list: bool | None = None
        self._rows_as_problems: list[str] = []

    def judged(self, verifier: Verifier) -> Iterator[Candidate]:
        """Yield the candidates of all rows, with the stored verdicts or those of the verifier."""
        if self._layout.verdict_column:
            yield from (candidate for candidate, _, _ in self._candidates())
            return
        # A Verifier may read ahead, so what it was handed waits here for its verdict.
        waiting: deque[Candidate] = deque()

        def pairs() -> Iterator[tuple[Sample, Label | None]]:
            for candidate, sample, label in self._candidates():
                waiting.append(candidate)
                yield sample, label

        for verdict in verifier.verdicts(pairs()):
            yield replace(waiting.popleft(), is_correct=verdict.outcome is Outcome.CORRECT)

    def _candidates(self) -> Iterator[tuple[Candidate, Sample, Label | None]]:
        """Yield each candidate, without a verdict unless it is stored, and what a Verifier needs."""
        for row in read_rows(self._path):
            if isinstance(row, BadRow):
                raise DataError(f"{row.origin}: {row.reason}", hint="mend or delete that line")
            try:
                yield from self._of_row(row.values, row.origin)
            except DataError as fault:
                why = fault.message.removeprefix(f"{row.origin}: ")
                raise DataError(f"{row.origin}: {why}", hint=fault.hint) from fault

    def grouped(self, found: Sequence[Candidate]) -> list[Candidates]:
        """Put the candidates of each problem together."""
        groups: dict[str, list[Candidate]] = {}
        for key, candidate in zip(
            self._rows_as_problems or self._telling_keys(len(found)), found, strict=True
        ):
            groups.setdefault(key, []).append(candidate)
        return [Candidates(problem, tuple(members)) for problem, members in groups.items()]

    def _telling_keys(self, size: int) -> list[str]:
        for keys in self._keys.values():
            if self._layout.problem_column or len(set(keys)) < size:
                return keys
        raise DataError(
            f"no two rows of {self._path} are about one problem, as far as {', '.join(PROBLEM_COLUMNS)} tell",
            hint="name the column that tells problems apart with --problem-column",
        )

    def _of_row(
        self, row: Mapping[str, Any], origin: Origin
    ) -> Iterator[tuple[Candidate, Sample, Label | None]]:
        column, text = self._layout.text_column, self._reader.text(row)
        is_list = isinstance(text, list)
        if self._is_list is None:
            self._is_list = is_list
        if is_list is not self._is_list:
            kinds = ("a list", "one text") if is_list else ("one text", "a list")
            raise DataError(f"{column} is {kinds[0]}; in the rows before it is {kinds[1]}")
        gold = None if self._layout.verdict_column else self._reader.gold(row, origin)
        problem = gold.problem if gold else Problem("", "-", "")
        texts = cast("list[Any]", text) if is_list else [text]
        if not texts:
            raise DataError(f"{column} is an empty list; expected at least one completion")
        scores = self._beside(row, self._layout.score_column, texts)
        verdicts = self._beside(row, self._layout.verdict_column, texts)
        self._note_problem(row, origin, len(texts))
        for place, (one, score, verdict) in enumerate(zip(texts, scores, verdicts, strict=True)):
            sample = self._reader.sample(one, str(place), problem, origin)
            candidate = Candidate(
                origin.number,
                place if is_list else None,
                sample.answer if sample.is_parsed else None,
                self._score(score),
                bool(self._layout.verdict_column) and self._verdict(verdict) and sample.is_parsed,
            )
            yield candidate, sample, gold.label if gold else None

    def _beside(self, row: Mapping[str, Any], column: str, texts: Sequence[Any]) -> Sequence[Any]:
        """Return the values of a column, one for each text; nothing where no column is named."""
        if not column:
            return [None] * len(texts)
        if column not in row:
            raise DataError(f"there is no column {column}; the row has {', '.join(row) or 'none'}")
        if not self._is_list:
            return [row[column]]
        if not isinstance(row[column], list):
            kind = type(row[column]).__name__
            raise DataError(f"{column} is a {kind}; expected a list, as {self._layout.text_column} is one")
        values = cast("list[Any]", row[column])
        if len(values) != len(texts):
            raise DataError(
                f"{column} has {len(values)} values; expected {len(texts)}, as {self._layout.text_column} has"
            )
        return values

    def _note_problem(self, row: Mapping[str, Any], origin: Origin, size: int) -> None:
        named = self._layout.problem_column
        if named and not isinstance(row.get(named), (str, int)):
            why = f"is {row[named]!r}; expected a text or a whole number" if named in row else "is not there"
            raise DataError(f"{named} {why}; it tells problems apart")
        if self._is_list and not named:
            self._rows_as_problems += [str(origin.number)] * size
            return
        for column in list(self._keys):
            value = row.get(column)
            if isinstance(value, (str, int)):
                key = str(value)
                self._keys[column] += [self._known.setdefault(key, key)] * size
            else:
                del self._keys[column]

    def _score(self, value: Any) -> float | None:
        column = self._layout.score_column
        if value is None:
            return None
        try:
            score = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            score = math.nan
        if not math.isfinite(score):
            raise DataError(f"{column} is {value!r}; expected a finite number, or null where there is none")
        return score

    def _verdict(self, value: Any) -> bool:
        verdict = _VERDICTS.get(str(value).strip().lower())
        if verdict is None:
            column = self._layout.verdict_column
            raise DataError(f"{column} is {value!r}; expected true or false, 1 or 0, or an outcome")
        return verdict
