"""``docendo vote FILE``: one answer of many completions, by every rule, on completions that are there."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

import orjson
from cyclopts import Parameter

from docendo.core.errors import DataError, SettingError, UnknownNameError
from docendo.core.protocols import Format, Task, Verifier
from docendo.metrics.choosing import Rule
from docendo.report.figures import bare_p_value, count, percent, percent_interval, points, points_interval
from docendo.report.progress import watcher_for
from docendo.tasks.candidates import Layout, chosen_rows, read_candidates
from docendo.tasks.formats import AnswerKind, formats_for
from docendo.tasks.options import TaskOptions
from docendo.tasks.registry import open_task
from docendo.tasks.rows import VERIFIERS
from docendo.tasks.voting import Against, Measured, Voting, against

RuleName = Literal["majority", "best", "weighted", "top-k", "weighted-top-k", "majority-of-best", "all"]
VerifierName = Literal["exact", "choice", "numeric", "math"]
KINDS: dict[VerifierName, AnswerKind] = {
    "exact": "text",
    "choice": "choice",
    "numeric": "number",
    "math": "math",
}
"""Which kind of answers each Verifier is for."""


def main(
    file: Annotated[Path, Parameter(help="The completions: .jsonl, .json, .csv or .parquet, also with .gz.")],
    *,
    rule: Annotated[
        tuple[RuleName, ...], Parameter(negative="", help="Rules to try; majority always stands beside.")
    ] = ("all",),
    score: Annotated[
        str, Parameter(help="Column of the score, larger is better; all rules but majority need it.")
    ] = "",
    k: Annotated[
        str, Parameter(help="For top-k and weighted-top-k: largest clusters that count, as in 1,2,4,8.")
    ] = "8",
    top_n: Annotated[
        str, Parameter(help="For majority-of-best: best-scored completions that vote, as in 2,4.")
    ] = "4",
    mean: Annotated[
        bool, Parameter(negative="", help="Weigh a cluster by the mean of its scores, not by their sum.")
    ] = False,
    task: Annotated[
        str | None, Parameter(help="Task that reads and judges: a name, a file, or a hub data set id.")
    ] = None,
    verifier: Annotated[
        VerifierName | None, Parameter(help="Which answers are the same; goes before the task's.")
    ] = None,
    completion_column: Annotated[str, Parameter(help="Column of what the model wrote.")] = "completion",
    prediction_column: Annotated[
        str, Parameter(help="Column of the answers, where they were read already.")
    ] = "",
    answer_column: Annotated[
        str, Parameter(help="Column of the gold answer; without it the task's own is used.")
    ] = "answer",
    verdict_column: Annotated[
        str, Parameter(help="Column that says what is right; then no gold answer is read.")
    ] = "",
    problem_column: Annotated[
        str, Parameter(help="Column that tells problems apart. Default: problem_id, id, the question.")
    ] = "",
    format: Annotated[str, Parameter(help="The task's format that reads the answers.")] = "default",
    pairs: Annotated[bool, Parameter(negative="", help="Compare every rule with every other.")] = False,
    output: Annotated[
        Path | None, Parameter(name=("--output", "--out"), help="Write the chosen rows here, a line each.")
    ] = None,
    data_dir: Annotated[Path | None, Parameter(help="Folder with the task's files.")] = None,
    columns: Annotated[
        TaskOptions | None, Parameter(name="task", help="Columns of the task's own file, and how it is read.")
    ] = None,
) -> None:
    """Choose one answer a problem by each rule: accuracy, cost, and each rule against the majority."""
    rules = rules_of(rule, counts_of("--k", k), counts_of("--top-n", top_n), mean, has_scores=bool(score))
    judge, shape, opened = _parts(task, _options(columns, data_dir), verifier, format)
    layout = Layout(
        completion_column=completion_column,
        prediction_column=prediction_column,
        answer_column=answer_column,
        verdict_column=verdict_column,
        score_column=score,
        problem_column=problem_column,
    )
    if output is not None:
        _check_writable(output, file)
    with watcher_for(sys.stderr) as watcher:
        voting = Voting(read_candidates(file, layout, judge, shape, opened, watcher), judge, watcher)
        measured = [voting.measure(name, one) for name, one in rules.items()]
        every = combinations(measured, 2) if pairs else ((measured[0], one) for one in measured[1:])
        compared = [(later, earlier) for earlier, later in every]
        results = against(compared, watcher) if compared else []
    oracles = [voting.majority_oracle(f"one of the {one} largest", one) for one in counts_of("--k", k)]
    print(_head(voting, judge, layout))
    print(_accuracies(voting, measured, oracles))
    if results:
        print(_comparisons(results))
    if not score and "all" in rule:
        sys.stderr.write("note: only the majority; other rules need scores: name their column with --score\n")
    for note in _notes(voting, rules):
        sys.stderr.write(f"note: {note}\n")
    if output is not None:
        with output.open("wb") as stream:
            for row in chosen_rows(file, layout, voting.chosen_places(measured)):
                stream.write(orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE))


def counts_of(flag: str, text: str) -> list[int]:
    """Return the counts of a list such as ``1,2,4``, without repeats.

    Raises:
        SettingError: One is no count of at least 1.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise SettingError(f"{flag} is {text!r}; expected counts of at least 1, as in 1,2,4")
    return list(dict.fromkeys(int(part) for part in parts))


def rules_of(
    names: Sequence[RuleName], ks: Sequence[int], top_ns: Sequence[int], mean: bool, *, has_scores: bool
) -> dict[str, Rule]:
    """Return the rules by the names that are shown, the majority first; of ``all``, those that can be.

    Raises:
        SettingError: A rule that was named needs scores, and there are none.
    """
    needing: list[RuleName] = [name for name in names if name not in ("majority", "all")]
    if needing and not has_scores:
        raise SettingError(
            f"rule {needing[0]} needs scores; no column of them is named", hint="name it with --score"
        )
    known: dict[RuleName, dict[str, Rule]] = {
        "best": {"best": Rule("best")},
        "weighted": {"weighted": Rule("weighted", mean=mean)},
        "top-k": {f"top-{k}": Rule("best", k=k) for k in ks},
        "weighted-top-k": {f"weighted-top-{k}": Rule("weighted", k=k, mean=mean) for k in ks},
        "majority-of-best": {f"majority-of-best-{n}": Rule("majority-of-best", top_n=n) for n in top_ns},
    }
    wanted = (list(known) if has_scores else []) if "all" in names else needing
    rules = {"majority": Rule("majority")}
    for name in dict.fromkeys(wanted):
        rules |= known[name]
    return rules


def _options(columns: TaskOptions | None, data_dir: Path | None) -> TaskOptions:
    options = columns or TaskOptions()
    return replace(options, data_dir=data_dir) if data_dir is not None else options


def _parts(
    name: str | None, options: TaskOptions, verifier: VerifierName | None, format: str
) -> tuple[Verifier, Format, Task | None]:
    """Return what judges, what reads, and the task where one was named."""
    if name is not None:
        task = open_task(name, options)
        judge = task.verifier if verifier is None else VERIFIERS[KINDS[verifier]]()
        owner, formats = f"task {task.name}", task.formats
    elif verifier is not None:
        if options != TaskOptions():
            given = [f.name for f in fields(options) if getattr(options, f.name) != f.default]
            raise SettingError(
                f"{given[0]} is {getattr(options, given[0])}; there is no task, which alone has a use for it"
            )
        task, judge = None, VERIFIERS[KINDS[verifier]]()
        owner, formats = f"verifier {verifier}", formats_for(KINDS[verifier])
    else:
        raise SettingError(
            "nothing says which answers are the same",
            hint="name a task with --task, or exact, choice, numeric or math with --verifier",
        )
    if format not in formats:
        raise UnknownNameError.of(f"format of {owner}", format, formats)
    return judge, formats[format], task


def _check_writable(output: Path, file: Path) -> None:
    """Fail before the work and not after it."""
    if output.exists() and file.exists() and output.samefile(file):
        raise SettingError(f"output is {str(output)!r}, the file that is read; expected another")
    try:
        output.open("ab").close()
    except OSError as error:
        raise DataError(f"{str(output)!r} cannot be written: {error.strerror}") from error


def _head(voting: Voting, verifier: Verifier, layout: Layout) -> str:
    sizes = voting.sizes
    low, high = min(sizes), max(sizes)
    unread = sum(one.answer is None for problem in voting.problems for one in problem.found)
    each = f"{low}" if low == high else f"{low} to {high}"
    right = f"column {layout.verdict_column}" if layout.verdict_column else type(verifier).__name__
    return (
        f"{count(len(sizes))} problems, {each} completions each, {count(sum(sizes))} in all, "
        f"{count(unread)} without an answer\nsame answer: {type(verifier).__name__}; right: {right}\n"
    )


def _accuracies(voting: Voting, measured: Sequence[Measured], oracles: Sequence[Measured]) -> str:
    share, interval = voting.one_sample()
    rows = [
        ("one completion, mean", percent(share), percent_interval((interval.low, interval.high)), ""),
        *(_accuracy(one) for one in measured),
    ]
    sizes = voting.sizes
    drawn = f"{min(sizes)}" if min(sizes) == max(sizes) else "N"
    bounds = [*oracles, voting.any_oracle(f"any completion, pass@{drawn}")]
    table = aligned(("rule", "accuracy", "95 % interval", "scored"), rows)
    told = aligned(
        ("oracle: sees the verdicts", "accuracy", "95 % interval"), (_accuracy(o)[:3] for o in bounds)
    )
    return f"{table}\n\n{told}\n"


def _accuracy(one: Measured) -> tuple[str, str, str, str]:
    interval = percent_interval((one.interval.low, one.interval.high))
    return one.name, percent(one.accuracy), interval, percent(one.cost_share, 0)


def _comparisons(results: Sequence[Against]) -> str:
    rows = (
        (
            f"{one.rule} - {one.rival}",
            points(one.result.difference),
            points_interval((one.result.interval.low, one.result.interval.high)),
            bare_p_value(one.result.mcnemar_p_S[0]),
            f"{one.n_only_rule} : {one.n_only_rival}",
        )
        for one in results
    )
    return aligned(("difference in points", "", "95 % interval", "p (McNemar)", "right alone"), rows) + "\n"


def _notes(voting: Voting, rules: dict[str, Rule]) -> Iterable[str]:
    n_unread = sum(not pool.clusters for pool in voting.pools)
    if n_unread:
        yield f"{count(n_unread)} problems have no answer that could be read; they count as wrong"
    if not any(rule.needs_scores for rule in rules.values()):
        return
    scores = [one.score for problem in voting.problems for one in problem.found]
    known = [score for score in scores if score is not None]
    n_unscored = len(scores) - len(known)
    if n_unscored:
        yield f"{count(n_unscored)} completions have no score: they vote, and never win by score"
    if known and min(known) < 0 and any(rule.by == "weighted" and not rule.mean for rule in rules.values()):
        yield (
            f"scores go from {min(known):g} to {max(known):g}: in a sum every vote below 0 counts against "
            "its answer; weighted rules need scores of 0 or more, such as probabilities"
        )


def aligned(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as text, the first column to the left and the others to the right."""
    table = [head, *rows]
    widths = [max(len(row[place]) for row in table) for place in range(len(head))]
    lines = (
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    )
    return "\n".join(line.rstrip() for line in lines)
