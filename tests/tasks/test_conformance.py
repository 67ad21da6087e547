"""Each check fails for the task that is broken in just its way, and no other does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.protocols import Format, Task, Verifier
from docendo.core.records import (
    Context,
    Label,
    Message,
    Outcome,
    Problem,
    Prompt,
    Reading,
    Sample,
    Source,
    Verdict,
)
from docendo.tasks.conformance import check_task, corrupted
from docendo.tasks.formats import Direct, StepByStep
from docendo.verifiers.numeric import Numeric

SOLUTION = "First take {n}, then add one to it."


def problem(split: str, n: int) -> Problem:
    return Problem(f"{split}-{n}", f"What comes after {n}?", split, group=f"g-{split}-{n % 2}")


@dataclass
class Small:
    """A sound task of six problems, with what a test breaks."""

    name: str = "small"
    splits: tuple[str, ...] = ("train", "test")
    formats: Mapping[str, Format] = field(
        default_factory=lambda: {"default": StepByStep(), "direct": Direct()}
    )
    verifier: Verifier = field(default_factory=Numeric)
    identity: Mapping[str, Any] = field(default_factory=lambda: {"family": "small"})
    rows: dict[str, list[Problem]] = field(
        default_factory=lambda: {
            "train": [problem("train", n) for n in range(4)],
            "test": [problem("test", n) for n in range(10, 12)],
        }
    )
    gold: dict[str, Label] = field(
        default_factory=lambda: {
            f"{split}-{n}": Label(f"{split}-{n}", str(n + 1), SOLUTION.format(n=n))
            for split, numbers in (("train", range(4)), ("test", range(10, 12)))
            for n in numbers
        }
    )

    def problems(self, split: str, limit: int | None = None) -> Iterator[Problem]:
        return iter(self.rows[split][:limit])

    def labels(self, split: str, limit: int | None = None) -> Mapping[str, Label]:
        ids = [one.id for one in self.rows[split][:limit]]
        return {one: self.gold[one] for one in ids if one in self.gold}


def failed(task: Task, again: Task | None = None) -> list[str]:
    return [check.name for check in check_task(task, again) if not check.passed]


def test_a_sound_task_passes_every_check() -> None:
    checks = check_task(Small(), Small())
    assert [check.passed for check in checks] == [True] * 11
    assert {check.detail for check in checks} == {"6 problems"}


def test_problems_that_change_when_opened_again_are_found() -> None:
    turned = Small()
    turned.rows["train"].reverse()
    assert failed(Small(), turned) == ["stable problems"]
    assert failed(Small(), Small(identity={"family": "other"})) == ["stable problems"]
    assert failed(Small(), Small(splits=("train",))) == ["stable problems"]
    relabelled = Small()
    relabelled.gold["train-0"] = replace(relabelled.gold["train-0"], solution="Otherwise.")
    assert failed(Small(), relabelled) == ["stable problems"]


def test_limits_that_do_not_take_the_first_are_found() -> None:
    class Last(Small):
        def problems(self, split: str, limit: int | None = None) -> Iterator[Problem]:
            return iter(self.rows[split] if limit is None else self.rows[split][-limit:])

    class AllLabels(Small):
        def labels(self, split: str, limit: int | None = None) -> Mapping[str, Label]:
            return super().labels(split)

    assert failed(AllLabels()) == ["limit takes the first"]

    (check,) = [check for check in check_task(Last(), limit=None) if not check.passed]
    assert check.name == "limit takes the first"


def test_repeated_ids_are_found() -> None:
    task = Small()
    task.rows["train"][1] = replace(task.rows["train"][0], question="What comes after zero?")
    del task.gold["train-1"]
    assert failed(task) == ["unique ids"]


def test_questions_and_ids_in_two_splits_are_found() -> None:
    same = Small()
    same.rows["test"][0] = replace(same.rows["test"][0], question="what comes  after 0 ?")
    assert failed(same) == ["disjoint splits"]
    moved = Small()
    moved.rows["test"][0] = replace(moved.rows["test"][0], split="validation")
    assert failed(moved) == ["disjoint splits"]
    twice = Small()
    twice.rows["test"][0] = replace(twice.rows["test"][0], id="train-0", question="What comes after zero?")
    assert failed(twice) == ["disjoint splits"]


def test_torn_groups_are_found() -> None:
    task = Small()
    task.rows["test"] = [replace(one, group="g-train-0") for one in task.rows["test"]]
    (check,) = [check for check in check_task(task) if not check.passed]
    assert (check.name, check.detail) == (
        "whole groups",
        "1 fault: group 'g-train-0' stands in train and test",
    )


def with_variants(split: str = "exams", group: str = "g-test-0", n: int = 20) -> Small:
    task = Small(splits=("train", "test", split))
    task.rows[split] = [replace(problem(split, n), group=group)]
    task.gold[f"{split}-{n}"] = Label(f"{split}-{n}", str(n + 1), SOLUTION.format(n=n))
    return task


def test_a_further_split_may_have_groups_of_others_but_not_their_questions() -> None:
    assert failed(with_variants()) == []
    assert failed(with_variants(n=10)) == ["disjoint splits"]
    (check,) = [check for check in check_task(with_variants("dev", "")) if not check.passed]
    assert check.detail == "1 fault: split 'dev' is called validation here"


@dataclass(frozen=True, slots=True)
class Spoilt(Problem):
    answer: str = "1"


def test_labels_that_are_not_apart_or_missing_are_found() -> None:
    task = Small()
    first = task.rows["train"][0]
    task.rows["train"][0] = Spoilt(first.id, first.question, first.split)
    assert failed(task) == ["labels apart"]
    missing = Small()
    del missing.gold["train-0"]
    assert failed(missing) == ["labels apart"]
    swapped = Small()
    swapped.gold["train-0"] = replace(swapped.gold["train-0"], problem_id="train-1")
    assert failed(swapped) == ["labels apart"]


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides as `Numeric`, but for what a test breaks."""

    version: ClassVar[int] = 1
    source: Source = Source.GOLD
    refuses: str = ""
    accepts_all: bool = False

    def verdicts(self, pairs: Iterable[tuple[Sample, Label | None]]) -> Iterator[Verdict]:
        for sample, label in pairs:
            assert label is not None
            right = self.same(sample.answer, label.answer)
            yield Verdict(Outcome.CORRECT if right else Outcome.INCORRECT, "", self.source)

    def same(self, left: str, right: str) -> bool:
        return self.accepts_all or (left == right and left != self.refuses)


def test_gold_that_is_not_verified_is_found() -> None:
    (check,) = [check for check in check_task(Small(verifier=Judge(refuses="3"))) if not check.passed]
    assert check.name == "every gold answer verifies"
    assert check.detail == "1 fault: 'train-2': '3' is incorrect ()"


def test_a_verifier_that_takes_anything_is_found() -> None:
    assert failed(Small(verifier=Judge(accepts_all=True))) == ["a corrupted gold does not"]


@dataclass(frozen=True, slots=True)
class Broken:
    """Asks and reads as `StepByStep`, but for what a test breaks."""

    version: ClassVar[int] = 1
    reads: str = ""
    shows: Mapping[str, str] = field(default_factory=dict[str, str])
    calls: list[int] = field(default_factory=list[int])
    wavers: bool = False

    def prompt(self, problem: Problem, context: Context) -> Prompt:
        prompt = StepByStep().prompt(problem, context)
        self.calls.append(1)
        shown = self.shows.get(problem.id, "") + " " * (len(self.calls) if self.wavers else 0)
        return replace(prompt, messages=(Message("system", f"Be brief. {shown}"), *prompt.messages))

    def read(self, text: str) -> Reading:
        reading = StepByStep().read(text)
        return replace(reading, answer=self.reads) if self.reads else reading

    def target(self, rationale: str, answer: str) -> str:
        return StepByStep().target(rationale, answer)


def test_formats_that_do_not_read_their_targets_are_found() -> None:
    assert failed(Small(formats={"default": Broken(reads="0")})) == ["formats read their targets"]
    assert failed(Small(formats={"default": Broken()})) == []


@pytest.mark.parametrize(
    "shown", ["Hint: 3", "The answer is 3.", "First take 2, then add one to it.", "between 2 and 3, it seems"]
)
def test_prompts_that_hold_the_gold_are_found(shown: str) -> None:
    task = Small(formats={"default": Broken(shows={"train-2": shown})})
    assert failed(task) == ["no gold in prompts"]


def test_prompts_may_hold_what_the_question_or_every_prompt_says() -> None:
    task = Small(formats={"default": Broken(shows={one: "Hint 7" for one in Small().gold})})
    assert failed(task) == []
    named = Small()
    named.rows["train"][2] = replace(named.rows["train"][2], question="Which is more, 3 or 2?")
    assert failed(named) == []


def test_questions_that_hold_the_solution_are_found() -> None:
    task = Small()
    question = "What comes after 2? First take 2, then add one to it."
    task.rows["train"][2] = replace(task.rows["train"][2], question=question)
    assert failed(task) == ["no gold in prompts"]


def test_prompts_that_change_are_found() -> None:
    assert failed(Small(formats={"default": Broken(wavers=True)})) == ["prompts are deterministic"]


def test_few_faults_are_named_and_all_counted() -> None:
    task = Small()
    task.gold.clear()
    (check,) = [check for check in check_task(task) if not check.passed]
    assert check.detail == (
        "6 faults: 'train-0' has no label; 'train-1' has no label; 'train-2' has no label; and 3 more"
    )


@pytest.mark.parametrize(
    ("answer", "choices", "others", "wrong"),
    [
        ("12", (), (), "22"),
        ("-9.5", (), (), "-8.5"),
        ("B", ("x", "y", "z"), (), "C"),
        ("C", ("x", "y", "x"), (), "B"),  # A has the same text
        ("y", ("x", "y"), (), "A"),
        ("yes", (), ("Yes!", "no"), "no"),
        ("yes", (), (), "yesx"),
        (r"\frac{x}{2}", (), (), r"\frac{x}{3}"),
    ],
)
def test_corruption_is_wrong(
    answer: str, choices: tuple[str, ...], others: tuple[str, ...], wrong: str
) -> None:
    assert corrupted(answer, Problem("1", "?", "test", choices), others) == wrong


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2))
def test_corrupted_numbers_have_another_value(number: Any) -> None:
    assert not Numeric().same(corrupted(str(number), Problem("1", "?", "test")), str(number))
