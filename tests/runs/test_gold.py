"""Gold answers of the test split are for `evaluate` alone, and everything says where it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from docendo.core.errors import GoldAccessError
from docendo.core.records import Label, Model, Outcome, Sample, Score, Source, Verdict
from docendo.core.table import Table
from docendo.core.verbs import Verbs
from docendo.evidence.experiment import experiment
from docendo.recipes.rest_em import RestEmConfig
from docendo.runs.ledger import Ledger
from docendo.runs.run import Run
from docendo.runs.settings import RunSettings
from docendo.selectors.verdict import correct
from tests.fakes import House, SumsTask, tree_digest
from tests.runs.experiments import asked

SMALL = RunSettings(train_problems=8, validation_problems=6, test_problems=6, evaluation_samples=2)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, settings=SMALL)


def _relabelled(run: Run) -> Table[Any]:
    return run.problems("test").map(lambda problem: replace(problem, split="validation"))


@pytest.mark.parametrize(
    "ask",
    [
        lambda run: run.labels("test"),
        lambda run: run.verify(run.sample(run.base, run.problems("test"))),
        lambda run: run.verify(
            run.sample(run.base, run.problems("train")) + run.sample(run.base, run.problems("test"))
        ),
        lambda run: run.best([run.base, run.base], on="test"),
        lambda run: run.evaluate(run.base).accuracy,
        lambda run: run.evaluate(run.base).correct,
        lambda run: run.evaluate(run.sample(run.base, run.problems("test"))).accuracy,
        lambda run: run.evaluate(run.sample(run.base, run.problems("test")), on="validation").accuracy,
        lambda run: run.evaluate(
            run.sample(run.base, run.problems("validation")) + run.sample(run.base, run.problems("test")),
            on="validation",
        ),
    ],
    ids=[
        "labels",
        "verify",
        "verify with others",
        "best",
        "accuracy",
        "correct",
        "accuracy of answers",
        "answers as another split's",
        "answers among another split's",
    ],
)
def test_a_recipe_cannot_see_gold_of_the_test_split(house: House, ask: Callable[[Run], Any]) -> None:
    with pytest.raises(GoldAccessError):
        ask(house.run())


def test_test_problems_under_another_splits_name_have_no_gold(house: House) -> None:
    run = house.run()
    rows = run.verify(run.sample(run.base, _relabelled(run)))
    assert {row.verdict.outcome for row in rows} == {Outcome.UNDECIDED}
    assert ("test", "verify") not in run.ledger.labels


def test_a_recipe_may_choose_on_validation(house: House) -> None:
    run = house.run()
    found = run.evaluate(run.base, "validation")
    assert found.accuracy == found.correct / 6


def test_best_takes_the_highest_and_of_equals_the_earliest(house: House) -> None:
    run = house.run()
    samples = run.verify(run.sample(run.base, run.problems("train"), 8, temperature=1.0))
    better = run.train(run.base, run.select(samples, correct), epochs=3)
    worse = run.train(run.base, samples.where(lambda row: not row.is_correct), name="worse")
    accuracy = [run.evaluate(model, "validation").correct for model in (run.base, worse, better)]
    assert max(accuracy) == accuracy[2] > accuracy[0]
    assert run.best([run.base, worse, better]) is better
    twin = replace(better, snapshots=())
    assert run.best([run.base, better, twin]) is better


def _learned(house: House) -> dict[str, str]:
    """Return digests of all training rows and checkpoints of a house."""
    workspace = house.workspace
    rows = {
        f"{sealed.name}/rows": tree_digest(sealed.folder, but=lambda path: path.name != "rows.parquet")
        for sealed in workspace.all_sealed()
        if sealed.kind in ("train", "select", "verify")
    }
    return {str(rows): "", **tree_digest(workspace.checkpoints)}


def test_permuting_the_labels_of_the_test_split_changes_nothing_that_is_learned(tmp_path: Path) -> None:
    config = RestEmConfig(rounds=2, samples_per_problem=4)
    made: list[tuple[dict[str, str], Any, list[Any]]] = []
    for permuted in ((), ("test",), ("train",)):
        house = House(tmp_path / "-".join(("house", *permuted)), settings=SMALL)
        house.task = SumsTask(permuted=permuted)
        result = experiment(asked(house, config=config, controls="basic"))
        made.append((_learned(house), result["chosen"]["checkpoint"], result["comparisons"]))
    assert made[1][:2] == made[0][:2]
    assert made[1][2] != made[0][2]  # they were permuted
    assert made[2][0] != made[0][0]  # and had they been those of train, it would have shown


# -- the ledger and the sources -----------------------------------------------------------------------------


def test_the_ledger_counts_each_problem_once_for_each_purpose() -> None:
    ledger = Ledger()
    ledger.read("train", "verify", ["a", "b"])
    ledger.read("train", "verify", ["b", "c"])
    ledger.read("train", "labels", ["a"])
    ledger.read("test", "evaluate", [])
    assert ledger.summary() == {
        "labels_read": [
            {"split": "test", "by": "evaluate", "problems": 0},
            {"split": "train", "by": "labels", "problems": 1},
            {"split": "train", "by": "verify", "problems": 3},
        ],
        "sources": ["gold"],
    }


def test_the_ledger_of_a_run_counts_exactly_what_was_read(house: House) -> None:
    run = house.run()
    few = run.problems("train").where(lambda problem: problem.id in ("train-1", "train-5"))
    run.verify(run.sample(run.base, few, 3, temperature=1.0))
    run.evaluate(run.base, "validation")
    run.evaluate(run.base)
    assert run.ledger.summary()["labels_read"] == [
        {"split": "test", "by": "evaluate", "problems": 6},
        {"split": "train", "by": "verify", "problems": 2},
        {"split": "validation", "by": "evaluate", "problems": 6},
    ]


def test_a_run_whose_stages_were_all_there_has_read_the_same(house: House) -> None:
    first = experiment(asked(house, controls="full"))
    second = experiment(asked(house, controls="full"))
    assert first["information"] == second["information"]


@dataclass(frozen=True, slots=True)
class ByVote:
    """A verifier that needs no gold."""

    version: ClassVar[int] = 1
    source: Source = Source.VOTE

    def verdicts(self, pairs: Iterable[tuple[Sample, Label | None]]) -> Iterator[Verdict]:
        for _, label in pairs:
            assert label is None  # it is handed none
            yield Verdict(Outcome.CORRECT, "", self.source)

    def same(self, left: str, right: str) -> bool:
        return left == right


@dataclass(frozen=True, slots=True)
class Length:
    """A scorer that asks nobody."""

    version: ClassVar[int] = 1
    name: str = "length"
    source: Source = Source.NONE

    def scores(self, samples: Table[Sample], run: Verbs) -> Iterator[Score]:
        for sample in samples:
            yield Score(float(len(sample.text)), "", self.source)


def _teacher(run: Run, tmp_path: Path) -> Model:
    from tests.fakes import tiny_checkpoint

    folder = tiny_checkpoint(tmp_path / "teacher", skill=0.9)
    from docendo.engines.checkpoints import open_checkpoint

    return Model(open_checkpoint(folder, name="teacher"))


def test_sources_flow_through_verbs_tables_and_models(house: House, tmp_path: Path) -> None:
    run = house.run()
    problems = run.problems("train")
    teacher = _teacher(run, tmp_path)
    mine = run.sample(run.base, problems, 4, temperature=1.0)
    theirs = run.sample(teacher, problems, 4, temperature=1.0)
    graded = run.verify(mine)
    voted = run.verify(mine, ByVote(), name="vote")
    kept = run.select(graded, correct)
    table: dict[str, tuple[Table[Any], set[Source]]] = {
        "problems": (problems, set()),
        "labels": (run.labels("train"), {Source.GOLD}),
        "own samples": (mine, {Source.SELF}),
        "a teacher's samples": (theirs, {Source.OTHER_MODEL}),
        "both": (mine + theirs, {Source.SELF, Source.OTHER_MODEL}),
        "verified": (graded, {Source.SELF, Source.GOLD}),
        "voted": (voted, {Source.SELF, Source.VOTE}),
        "scored": (run.score(mine, Length()), {Source.SELF, Source.NONE}),
        "kept": (kept, {Source.SELF, Source.GOLD}),
        "dropped": (kept.dropped, {Source.SELF, Source.GOLD}),  # type: ignore[union-attr]
        "mapped": (kept.map(lambda row: row), {Source.SELF, Source.GOLD}),
        "a teacher's probabilities": (run.logprobs(teacher, mine), {Source.SELF, Source.OTHER_MODEL}),
    }
    assert {name: found.sources for name, (found, _) in table.items()} == {
        name: expected for name, (_, expected) in table.items()
    }
    from_self = run.train(run.base, voted)
    from_gold = run.train(run.base, kept, name="gold")
    from_labels = run.train(run.base, problems.join(run.labels("train")), name="labels")
    both = run.train(from_gold, theirs, name="both")
    assert from_self.sources == {Source.SELF, Source.VOTE}
    assert from_gold.sources == {Source.SELF, Source.GOLD}
    assert from_labels.sources == {Source.GOLD}
    assert both.sources == {Source.SELF, Source.GOLD, Source.OTHER_MODEL}
    assert all(snapshot.sources == both.sources for snapshot in both.snapshots)
    asked_of_it = run.sample(both, problems)
    assert asked_of_it.sources == {Source.SELF, Source.GOLD, Source.OTHER_MODEL}


def test_the_ledger_names_the_source_of_every_judgement_even_of_the_last(house: House) -> None:
    run = house.run()
    run.verify(run.sample(run.base, run.problems("train")), ByVote())
    assert run.ledger.summary() == {"labels_read": [], "sources": ["self", "vote"]}
    run.score(run.sample(run.base, run.problems("train")), Length())
    assert run.ledger.summary()["sources"] == ["none", "self", "vote"]
