"""Weak-to-strong: halves, who sees which gold answers, losses, epochs, the gap; on test doubles."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from docendo.core.errors import SettingError
from docendo.core.halves import halves
from docendo.core.losses import ClassLoss, Loss, Xent
from docendo.core.protocols import Chunk, Finished, TrainedEpoch
from docendo.core.records import Completion, Label, Logprobs, Model, Problem, Reading
from docendo.core.seeds import digest_of
from docendo.engines.checkpoints import open_checkpoint
from docendo.evidence.experiment import experiment, plan
from docendo.recipes.weak_to_strong import WeakToStrongConfig, weak_to_strong
from docendo.runs.recipe import spec_of
from docendo.runs.run import Run
from docendo.runs.settings import RunSettings
from tests.fakes import GuessingEngine, House, ImprovingTrainer, SumFormat, SumsTask, tiny_checkpoint
from tests.runs.experiments import asked

SMALL = RunSettings(train_problems=80, validation_problems=10, test_problems=60, evaluation_samples=0)
TEXT = WeakToStrongConfig(epochs=2, weak_epochs=2, held_out_share=0.25)
CLASSES = replace(TEXT, supervision="head")
ARMS = {arm.name: arm.recipe for arm in spec_of(weak_to_strong).arms(CLASSES)}


class HalvedTask(SumsTask):
    """Sums in groups of four. The gold answers of half 2 of seed 0 may be permuted."""

    def __init__(self, *, is_permuted: bool = False, **more: Any) -> None:
        super().__init__(**more)
        self.is_permuted = is_permuted
        self.identity = {"family": "halved sums"}

    def problems(self, split: str, limit: int | None = None) -> Iterator[Problem]:
        for place, problem in enumerate(super().problems(split, limit)):
            yield replace(problem, group=f"{split}-group-{place // 4}")

    def labels(self, split: str, limit: int | None = None) -> Mapping[str, Label]:
        labels = dict(super().labels(split, limit))
        if split == "train" and self.is_permuted:
            second = [one.id for one in halves(self.problems(split, limit), 0, problem=lambda one: one)[1]]
            mixed = list(second)
            random.Random(3).shuffle(mixed)
            moved = {ours: labels[theirs] for ours, theirs in zip(second, mixed, strict=True)}
            labels |= {key: replace(label, problem_id=key) for key, label in moved.items()}
        return labels


@dataclass(frozen=True, slots=True)
class WordFormat(SumFormat):
    """``Is 3 + 4 even?`` -> `` yes``"""

    version: ClassVar[int] = 1

    def read(self, text: str) -> Reading:
        said = text.strip()
        return Reading("", said, said in ("no", "yes"))

    def target(self, rationale: str, answer: str) -> str:
        return f" {answer}"


class ParityTask(HalvedTask):
    """Whether a sum is even."""

    name = "parity"
    formats: Mapping[str, SumFormat] = {"default": WordFormat()}

    def problems(self, split: str, limit: int | None = None) -> Iterator[Problem]:
        for problem in super().problems(split, limit):
            numbers = re.findall(r"\d+", problem.question)
            yield replace(problem, question=f"Is {' + '.join(numbers)} even?", choices=("no", "yes"))

    def labels(self, split: str, limit: int | None = None) -> Mapping[str, Label]:
        labels = super().labels(split, limit)
        return {
            key: replace(label, answer="no" if int(label.answer) % 2 else "yes", solution="")
            for key, label in labels.items()
        }


class ParityEngine(GuessingEngine):
    """Is right about a problem with the chance that stands in the weights, and says how sure it is."""

    def sample(self, checkpoint: Any, chunks: Iterable[Chunk], sampling: Any) -> Iterator[Any]:
        for chunk in chunks:
            found = [self._says(checkpoint, request) for request in chunk.requests for _ in request.seeds]
            yield Finished(
                chunk, [Completion(" yes" if yes > 0.5 else " no", "stop", (5, 1)) for yes in found]
            )

    def _says(self, checkpoint: Any, request: Any) -> float:
        skill = float(load_file(Path(checkpoint.location) / "model.safetensors")["skill"][0])
        numbers = [int(one) for one in re.findall(r"\d+", request.messages[-1].content)[:2]]
        luck = random.Random(digest_of([checkpoint.digest, numbers])).random()
        is_even = sum(numbers) % 2 == 0
        return 0.8 if is_even == (luck < skill) else 0.3

    def logprobs(self, checkpoint: Any, chunks: Iterable[Chunk]) -> Iterator[Any]:
        for chunk in chunks:
            chances = [self._says(checkpoint, request) for request in chunk.requests]
            yield Finished(
                chunk, [Logprobs((float(np.log(1 - yes)), float(np.log(yes))), (1, 1)) for yes in chances]
            )


@dataclass
class StudyingTrainer(ImprovingTrainer):
    """Learns classes; the skill of an epoch goes half of the way to the share of right rows."""

    losses: list[Loss] = field(default_factory=list[Loss])
    asked: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """Epochs and learning rate of each training."""

    def __post_init__(self) -> None:
        super().__init__()

    def train(
        self, start: Path, rows: Path, loss: Loss, optimizer: Any, **more: Any
    ) -> Iterator[TrainedEpoch]:
        self.losses.append(loss)
        self.asked.append((more["epochs"], optimizer.learning_rate))
        table = pq.read_table(rows).to_pylist()
        self.started_from.append(start)
        self.rows.append(table)
        right = float(np.mean([_is_right(row) for row in table]))
        old = float(load_file(start / "model.safetensors")["skill"][0])
        for epoch in range(1, more["epochs"] + 1):
            place = more["folder"] / f"epoch-{epoch}"
            place.mkdir(parents=True, exist_ok=True)
            for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
                (place / file).write_bytes((start / file).read_bytes())
            skill = min(1.0, old + (right - old) * 0.5 * epoch / more["epochs"])
            mark = int(digest_of([table, loss.name, epoch])[:12], 16)
            save_file({"skill": np.array([skill, mark])}, place / "model.safetensors")
            yield TrainedEpoch(epoch, place, 1, len(table), 1.0 / epoch, None, len(table), {})


def _is_right(row: dict[str, Any]) -> bool:
    numbers = [int(one) for one in re.findall(r"\d+", row["prompt"][-1]["content"])[:2]]
    yes = row["probabilities"][1] > 0.5
    return yes == (sum(numbers) % 2 == 0)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, settings=SMALL, task=HalvedTask())


@pytest.fixture
def parity(tmp_path: Path) -> House:
    return House(
        tmp_path, settings=SMALL, task=ParityTask(), engine=ParityEngine(), trainer=StudyingTrainer()
    )


def models(house: House, **skills: float) -> dict[str, Model]:
    """Return the base and further models of a skill each."""
    found = {"base": house.base}
    for role, skill in {"weak": 0.2, **skills}.items():
        name = role.replace("_", "-")
        folder = house.path / name
        if not folder.exists():
            tiny_checkpoint(folder, skill=skill)
        found[name] = Model(open_checkpoint(folder, name=name))
    return found


def run_of(house: House, arm: str = "method", **skills: float) -> Run:
    run = house.run()
    run.models = models(house, **skills)
    return run.arm_run(arm)


def trained(house: House, place: str) -> list[str]:
    """Return the ids of the problems whose rows a training read."""
    names = [one["place"] for one in _records(house) if one["kind"] == "train"]
    return [row["problem_id"] for row in house.trainer.rows[names.index(place)]]


def _records(house: House) -> list[dict[str, Any]]:
    path = house.path / "workspace" / "runs" / "run" / "stages.jsonl"
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


# -- who learns what -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "config"), [("house", TEXT), ("parity", CLASSES)])
def test_the_halves_share_nothing_and_each_gold_answer_is_read_by_whom_it_may(
    name: str, config: WeakToStrongConfig, request: pytest.FixtureRequest
) -> None:
    house: House = request.getfixturevalue(name)
    run = run_of(house)
    weak_to_strong(run, config)
    taught, learned = set(trained(house, "method/weak")), set(trained(house, "method/student"))
    groups = {problem.id: problem.group for problem in run.problems("train")}
    assert taught
    assert learned
    assert {groups[one] for one in taught}.isdisjoint({groups[one] for one in learned})
    read = run.ledger.labels["train", "labels"]
    assert read == taught  # of half 2 not one gold answer
    above = run_of(house, "ceiling")
    ARMS["ceiling"](above, config)
    assert above.ledger.labels["train", "labels"] == set(trained(house, "ceiling/ceiling")) == learned


@pytest.mark.parametrize("kind", ["text", "words"])
@pytest.mark.parametrize("stop", ["weak", "last"])
def test_permuting_the_gold_of_half_2_changes_no_row_of_the_student(
    tmp_path: Path, kind: Any, stop: Any
) -> None:
    config = replace(TEXT, supervision=kind, stop=stop)
    made: list[Any] = []
    for place, is_permuted in (("a", False), ("b", True)):
        more: dict[str, Any] = {}
        if kind == "words":
            more = {"engine": ParityEngine(), "trainer": StudyingTrainer()}
        task = HalvedTask(is_permuted=is_permuted) if kind == "text" else ParityTask(is_permuted=is_permuted)
        house = House(tmp_path / place, settings=SMALL, task=task, **more)
        student = weak_to_strong(run_of(house), config)
        before = len(house.trainer.rows)
        ARMS["ceiling"](run_of(house, "ceiling"), config)
        made.append((house.trainer.rows[:before], student.checkpoint.digest, house.trainer.rows[before:]))
    assert made[0][:2] == made[1][:2]
    assert made[0][2] != made[1][2]  # the permutation reached whoever may see it


def test_the_student_learns_the_weak_models_own_texts_right_or_wrong(house: House) -> None:
    run = run_of(house)
    weak_to_strong(run, replace(TEXT, stop="last"))
    weak, student = house.trainer.rows
    assert [Path(one).name for one in house.trainer.started_from] == ["weak", "base"]
    labels = {label.problem_id: label.answer for label in house.run().labels("train")}
    ends = {row["problem_id"]: row["completion"][0]["content"].split()[-1].rstrip(".") for row in student}
    wrong = [problem for problem, answer in ends.items() if answer != labels[problem]]
    assert 0 < len(wrong) < len(student)
    assert all(row["parents"] for row in student)
    assert not any(row["parents"] for row in weak)


def test_soft_labels_are_the_supervisors_probabilities(parity: House) -> None:
    weak_to_strong(run_of(parity), replace(CLASSES, stop="last"))
    gold, soft = parity.trainer.rows
    assert {tuple(row["probabilities"]) for row in gold} == {(0.0, 1.0), (1.0, 0.0)}
    assert {tuple(round(one, 6) for one in row["probabilities"]) for row in soft} == {(0.2, 0.8), (0.7, 0.3)}
    assert all(row["choices"] == [" no", " yes"] for row in [*gold, *soft])
    weak_to_strong(run_of(parity), replace(CLASSES, stop="last", hard_labels=True))
    assert {tuple(row["probabilities"]) for row in parity.trainer.rows[-1]} == {(0.0, 1.0), (1.0, 0.0)}


def test_supervisors_and_ceilings_learn_by_cross_entropy_whatever_the_students_loss_is(parity: House) -> None:
    assert isinstance(parity.trainer, StudyingTrainer)
    config = replace(CLASSES, supervision="head", head="words", loss="product", stop="last")
    parity.engine.logprobs = _without_continuations(parity.engine.logprobs)  # type: ignore[method-assign]
    weak_to_strong(run_of(parity, between_1=0.3), config)
    ARMS["ceiling"](run_of(parity, "ceiling"), config)
    names = [loss.name for loss in parity.trainer.losses]
    assert names == ["xent", "xent", "product", "xent"]
    assert {loss.head for loss in parity.trainer.losses if isinstance(loss, ClassLoss)} == {"words"}


def _without_continuations(real: Any) -> Any:
    """A head is asked for its own classes."""

    def logprobs(checkpoint: Any, chunks: Iterable[Chunk]) -> Iterator[Any]:
        chunks = list(chunks)
        assert all(request.continuations is None for chunk in chunks for request in chunk.requests)
        return real(checkpoint, chunks)

    return logprobs


def test_the_supervisor_has_epochs_and_a_rate_of_its_own(parity: House) -> None:
    assert isinstance(parity.trainer, StudyingTrainer)
    config = replace(CLASSES, stop="last", weak_epochs=3, weak_learning_rate=5e-5)
    ARMS["ceiling"](run_of(parity, "ceiling"), config)
    weak_to_strong(run_of(parity), config)
    own = config.optimizer.learning_rate
    assert parity.trainer.asked == [(2, own), (3, 5e-5), (2, own)]


def test_words_are_learned_among_all_texts_so_that_they_are_written(parity: House) -> None:
    assert isinstance(parity.trainer, StudyingTrainer)
    weak_to_strong(run_of(parity), replace(CLASSES, supervision="words", stop="last"))
    assert parity.trainer.losses == [Xent(renormalised=False)] * 2
    arms = spec_of(weak_to_strong).arms(replace(CLASSES, supervision="words"))
    assert [arm.name for arm in arms] == ["weak", "ceiling"]


def test_each_model_in_between_learns_the_labels_of_the_one_before(house: House) -> None:
    run = run_of(house, between_1=0.25, between_2=0.3)
    weak_to_strong(run, replace(TEXT, stop="last"))
    starts = [Path(one).name for one in house.trainer.started_from]
    assert starts == ["weak", "between-1", "between-2", "base"]
    writers = [one["model"] for one in _sample_stages(house)]
    assert writers == ["method/weak", "method/between-1", "method/between-2"]
    assert any("every model in between learned the same inputs" in note for note in run.notes)


def _sample_stages(house: House) -> list[Mapping[str, Any]]:
    workspace = house.workspace
    names = [one["stage"] for one in _records(house) if one["kind"] == "sample"]
    found = [workspace.sealed(name) for name in names]
    return [one.record for one in found if one is not None]


def test_reading_first_is_the_same_for_student_and_ceiling_and_sees_questions_alone(house: House) -> None:
    config = replace(TEXT, stop="last", reading_epochs=1)
    house.trainer = _ReadingTrainer()
    weak_to_strong(run_of(house), config)
    ARMS["ceiling"](run_of(house, "ceiling"), config)
    names = [Path(one).parent.name + "/" + Path(one).name for one in house.trainer.started_from]
    assert len(names) == 4  # weak, reading, student, ceiling: read once
    assert names[2] == names[3]
    questions = {problem.question for problem in house.run().problems("train")}
    for row in house.trainer.rows[1]:
        assert row["prompt"] + row["completion"] in questions


class _ReadingTrainer(ImprovingTrainer):
    """Learns nothing from plain questions, which no answer ends."""

    def train(self, start: Path, rows: Path, *more: Any, **rest: Any) -> Iterator[TrainedEpoch]:
        table = pq.read_table(rows).to_pylist()
        if not isinstance(table[0]["prompt"], str):
            yield from super().train(start, rows, *more, **rest)
            return
        self.started_from.append(start)
        self.rows.append(table)
        place = rest["folder"] / "epoch-1"
        place.mkdir(parents=True)
        for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            (place / file).write_bytes((start / file).read_bytes())
        save_file({"skill": np.array([0.35, 7.0])}, place / "model.safetensors")
        yield TrainedEpoch(1, place, 1, 9, 1.0, None, len(table), {})


# -- which epoch ---------------------------------------------------------------------------------------------


def test_the_epoch_is_chosen_by_agreement_with_held_out_weak_labels(house: House) -> None:
    run = run_of(house)
    student = weak_to_strong(run, TEXT)
    told = run.facts["agreement of student with held-out weak labels, by epoch"]
    shares = [float(one) for one in told.split(", ")]
    assert len(shares) == 2
    chosen = "method/student" if shares[1] > shares[0] else "method/student epoch 1"
    assert student.checkpoint.name == chosen
    learned = set(trained(house, "method/student"))
    held = run.facts["held-out problems"]
    assert held > 0
    assert len(learned) + held + len(set(trained(house, "method/weak"))) == 80
    # gold answers of the validation split chose the supervisor's epoch, and nothing else
    assert [one["place"] for one in _records(house) if one["kind"] == "evaluate"] == [
        "method/evaluate-validation-verdict"
    ] * 2


def test_choosing_by_gold_is_called_an_oracle(house: House) -> None:
    run = run_of(house)
    weak_to_strong(run, replace(TEXT, stop="gold"))
    assert any(note.startswith("an oracle: epochs were chosen by gold answers") for note in run.notes)
    honest = run_of(house)
    weak_to_strong(honest, TEXT)
    assert not honest.notes


def test_the_released_sweeps_ceiling_learns_the_supervisors_half(house: House) -> None:
    run = run_of(house, "ceiling")
    ARMS["ceiling"](run, replace(TEXT, ceiling="half-1", stop="last"))
    weak_to_strong(run_of(house), replace(TEXT, stop="last"))
    assert trained(house, "ceiling/ceiling") == trained(house, "method/weak")


def test_rows_may_be_cut_one_by_one_as_released(house: House) -> None:
    run = run_of(house)
    weak_to_strong(run, replace(TEXT, grouped=False, stop="last"))
    groups = {problem.id: problem.group for problem in run.problems("train")}
    ours, theirs = ({groups[one] for one in trained(house, f"method/{who}")} for who in ("weak", "student"))
    assert ours & theirs


# -- the result ----------------------------------------------------------------------------------------------


def test_the_result_says_what_is_recovered(parity: House) -> None:
    result = experiment(
        asked(
            parity,
            recipe=weak_to_strong,
            recipe_name="weak-to-strong",
            config=CLASSES,
            models=models(parity),
            controls="basic",
            seeds=(0, 1),
        )
    )
    arms = {entry["arm"] for entry in result["evaluations"]}
    assert arms == {"base", "method", "majority", "weak", "ceiling", "logconf"}  # nothing is selected
    assert {one["against"] for one in result["comparisons"] if one["is_rival"]} == {"base", "weak"}
    assert result["roles"] == {"weak": "weak"}
    method, logconf = result["recovered"]
    assert (method["arm"], logconf["arm"]) == ("method", "logconf")
    accuracy = {
        arm: np.mean([one["accuracy"] for one in result["evaluations"] if _is_final(one, arm)])
        for arm in ("weak", "method", "ceiling")
    }
    assert method["accuracy_of_supervisor"] == pytest.approx(accuracy["weak"])
    assert method["accuracy"] == pytest.approx(accuracy["method"])
    assert method["accuracy_of_ceiling"] == pytest.approx(accuracy["ceiling"])
    low, _ = method["gap"]
    if low > 0:
        gap = accuracy["ceiling"] - accuracy["weak"]
        assert method["pgr"] == pytest.approx((accuracy["method"] - accuracy["weak"]) / gap)
    else:
        assert (method["pgr"], method["interval"]) == (None, None)
        assert method["reason"]
    told = method["agreement"]
    assert told["n_right"] + told["n_wrong"] == 120
    assert told["n_right"] == pytest.approx(accuracy["weak"] * 120)
    assert 0 <= told["overall"] <= 1


def _is_final(entry: Mapping[str, Any], arm: str) -> bool:
    return entry["arm"] == arm and entry["round"] == "final" and entry["split"] == "test"


@pytest.mark.parametrize(("name", "config"), [("house", TEXT), ("parity", CLASSES)])
def test_a_plan_names_every_arm_and_starts_nothing(
    name: str, config: WeakToStrongConfig, request: pytest.FixtureRequest
) -> None:
    house: House = request.getfixturevalue(name)
    found = plan(asked(house, recipe=weak_to_strong, config=config, models=models(house), controls="basic"))
    labels = [stage.label for stage in found.stages]
    assert {"method/weak", "method/labels-of-student", "method/student", "ceiling/ceiling"} <= set(labels)
    assert not any(label.startswith("unverified") for label in labels)
    assert ("logconf/student" in labels) == (config is CLASSES)
    assert house.trainer.rows == []


def test_permuting_the_labels_of_the_test_split_changes_nothing_that_is_learned(tmp_path: Path) -> None:
    made: list[Any] = []
    for place, permuted in (("a", ()), ("b", ("test",))):
        house = House(tmp_path / place, settings=SMALL, task=HalvedTask(permuted=permuted))
        model = weak_to_strong(run_of(house), TEXT)
        made.append((house.trainer.rows, model.checkpoint.digest))
    assert made[0] == made[1]


def test_classes_need_words_that_all_problems_share(house: House) -> None:
    with pytest.raises(SettingError, match="the task's problems have no choices"):
        weak_to_strong(run_of(house), CLASSES)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"held_out_share": 0.0}, "held_out_share is 0.0; expected above 0 and below 1"),
        ({"beside": ("xnt",)}, "loss is xent and beside is xnt; expected of xent, logconf, product"),
        ({"supervision": "words", "loss": "product"}, "loss is product and supervision is words"),
        ({"epochs": 0}, "epochs is 0; expected at least 1"),
        ({"alpha": 1.5}, "alpha is 1.5; expected 0 to 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        WeakToStrongConfig(**setting)


def test_the_confidence_loss_of_three_classes_is_refused_before_work_starts(parity: House) -> None:
    class ThreeWords(ParityTask):
        def problems(self, split: str, limit: int | None = None) -> Iterator[Problem]:
            for problem in super().problems(split, limit):
                yield replace(problem, choices=("no", "yes", "maybe"))

    parity.task = ThreeWords()
    with pytest.raises(SettingError, match="logconf is for two classes; the task has no, yes, maybe"):
        weak_to_strong(run_of(parity), CLASSES)
    weak_to_strong(run_of(parity), replace(CLASSES, beside=("product",), stop="last"))
    assert len(parity.trainer.rows) == 2


def test_too_few_problems_are_refused(tmp_path: Path) -> None:
    house = House(tmp_path, settings=replace(SMALL, train_problems=2), task=SumsTask())
    with pytest.raises(SettingError, match="of 2 training problems 1 are for the supervisor"):
        weak_to_strong(run_of(house), TEXT)
