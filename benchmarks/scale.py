"""What does the library itself need for one round of 10^4, 10^5, 10^6 samples?

    python -m benchmarks.scale [ROWS ...]

No engine and no training: samples come from a generator, and the trainer only copies the model that it is
given. What is timed is all the rest of a round, in seconds:

    write     a sample stage, then its read stage
    verify    a verdict beside each sample
    select    the correct ones, each text once, at most 4 of 8 for a problem
    train     the kept rows as Examples: digested, those without an end dropped, the rest held against 1,500
              evaluation questions (``check`` of these seconds), and written as a training file
    evidence  1,000 test problems answered by a script, eight times each, and the result
    report    the page and the text

Wall-clock and processor time are measured: on an idle machine they are the same. Each size runs in a process
of its own, so that the peak of its memory is its own.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from docendo.core.losses import Loss, Optimizer
from docendo.core.protocols import Silent, TrainedEpoch, TrainingStep
from docendo.core.records import (
    Context,
    Label,
    Message,
    Model,
    Outcome,
    Problem,
    Prompt,
    Reading,
    Sample,
    Source,
    Verdict,
)
from docendo.core.table import Table
from docendo.engines.checkpoints import open_checkpoint
from docendo.engines.scripted import ScriptedEngine
from docendo.evidence.experiment import Experiment, experiment
from docendo.lab.models import path
from docendo.recipes.rest_em import RestEmConfig
from docendo.report.html import write_report
from docendo.report.terminal import report_text
from docendo.runs.run import Run
from docendo.runs.settings import RunSettings
from docendo.runs.stages import Place, written_stage
from docendo.runs.stored import Read, Stored
from docendo.runs.workspace import StageKey, Workspace
from docendo.selectors.cap import Cap
from docendo.selectors.distinct import distinct
from docendo.selectors.verdict import correct

ROOT = Path(__file__).parents[1]
SIZES = (10_000, 100_000, 1_000_000)
SAMPLES = 8
"""Samples a problem."""
QUESTIONS = {"validation": 500, "test": 1000}
WORDS = [
    "a",
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "it",
    "has",
    "there",
    "were",
    "how",
    "many",
    "much",
    "each",
    "per",
    "more",
    "than",
    "left",
    "sold",
    "bought",
    "apples",
    "books",
    "pens",
    "coins",
    "cards",
    "trees",
    "boxes",
    "miles",
    "hours",
    "days",
    "weeks",
    "Mary",
    "John",
    "Anna",
    "Peter",
    "gives",
    "takes",
    "eats",
    "reads",
    "walks",
    "runs",
    "total",
    "half",
    "twice",
    "three",
    "four",
    "five",
    "ten",
    "twenty",
    "first",
    "then",
    "after",
    "before",
    "with",
    "without",
    "store",
    "garden",
]


class Stories:
    """A task of random stories: 20 to 40 words, the answer a number."""

    name = "stories"
    splits = ("train", "validation", "test")
    identity: Mapping[str, Any] = {"family": "stories"}

    @property
    def formats(self) -> Mapping[str, Any]:
        """The only format."""
        return {"default": LastNumber()}

    @property
    def verifier(self) -> Any:
        """Equality of strings."""
        return Equal()

    def problems(self, split: str, limit: int | None = None) -> Iterator[Problem]:
        """Yield the stories of a split."""
        for number in range(limit or 0):
            rng = random.Random(f"{split} {number}")
            text = " ".join(rng.choices(WORDS, k=rng.randint(20, 40)))
            yield Problem(f"{split}-{number}", f"{text} {number}?", split)

    def labels(self, split: str, limit: int | None = None) -> Mapping[str, Label]:
        """Return the answers: the number of the problem, modulo 50."""
        return {
            f"{split}-{number}": Label(f"{split}-{number}", str(number % 50)) for number in range(limit or 0)
        }


@dataclass(frozen=True, slots=True)
class LastNumber:
    """Reads 7 off a text such as: ... The answer is 7."""

    version: ClassVar[int] = 1

    def prompt(self, problem: Problem, context: Context) -> Prompt:
        """Send the question as it is."""
        return Prompt(problem, (Message("user", problem.question),))

    def read(self, text: str) -> Reading:
        """Read the last word."""
        rationale, _, answer = text.rpartition(" ")
        return Reading(rationale, answer.removesuffix("."), bool(answer))

    def target(self, rationale: str, answer: str) -> str:
        """Return what is learned."""
        return f" {rationale} The answer is {answer}."


@dataclass(frozen=True, slots=True)
class Equal:
    """The cheapest verifier there is: what it needs is the library's own."""

    version: ClassVar[int] = 1
    source: Source = Source.GOLD

    def verdicts(self, pairs: Iterable[tuple[Sample, Label | None]]) -> Iterator[Verdict]:
        """Compare strings."""
        for sample, label in pairs:
            right = label is not None and sample.answer == label.answer
            yield Verdict(Outcome.CORRECT if right else Outcome.INCORRECT, "", self.source)

    def same(self, left: str, right: str) -> bool:
        """Compare strings."""
        return left == right


class Copies:
    """A trainer that learns nothing."""

    name = "copies"
    signature: Mapping[str, str] = {"trainer": "copies"}

    def train(
        self,
        start: Path,
        rows: Path,
        loss: Loss,
        optimizer: Optimizer,
        *,
        epochs: int,
        seed: int,
        folder: Path,
        held_out: Path | None = None,
        report: Callable[[TrainingStep], None] = lambda step: None,
    ) -> Iterator[TrainedEpoch]:
        """Copy the start."""
        shutil.copytree(start, folder / "epoch-1")
        yield TrainedEpoch(1, folder / "epoch-1", 1, 1, 0.0)


def written(workspace: Workspace, model: Model, rows: int) -> Table[Sample]:
    """Write a sample stage and its read stage of so many rows."""
    task = Stories()
    shape = LastNumber()

    def samples() -> Iterator[Sequence[Any]]:
        rng = random.Random(0)
        texts = [" ".join(rng.choices(WORDS, k=24)) for _ in range(5000)]
        ids_of = [rng.choices(range(512), k=56) for _ in range(5000)]
        for problem in task.problems("train", rows // SAMPLES):
            about = {
                "id": problem.id,
                "question": problem.question,
                "split": problem.split,
                "choices": (),
                "group": "",
                "parents": (),
            }
            sent = [{"role": "user", "content": problem.question}]
            gold = int(problem.id.rpartition("-")[2]) % 50
            for number in range(SAMPLES):
                answer = gold if rng.random() < 0.5 else gold + 1
                text = f" {rng.choice(texts)} The answer is {answer}."
                ids = rng.choice(ids_of)
                name = f"{problem.id}-{number}"
                came = ("ok", "", text, "stop", ids, None, 40, 56, model.checkpoint.tokenizer, None)
                yield (name, about, sent, (), 0, number, *came)

    place = Place("scale", "sample")
    made, _ = written_stage(workspace, StageKey("sample", {"rows": rows}), place, samples, total=rows)
    stored = Stored(made, sources=[Source.SELF], stages=[])

    def readings() -> Iterator[Sequence[Any]]:
        for sample in stored:
            found = shape.read(sample.text)
            yield sample.id, found.rationale, found.answer, found.is_parsed

    read, _ = written_stage(workspace, StageKey("read", {"rows": rows}), place, readings, total=rows)
    return Read(stored, read)


def one_size(rows: int, folder: Path) -> dict[str, Any]:
    """Do one round of so many samples and return its seconds and the peak of this process's memory."""
    workspace = Workspace(folder, watcher=Silent())
    model = Model(open_checkpoint(path("lab/base"), name="lab/base"))
    seconds: dict[str, float] = {}
    processor: dict[str, float] = {}
    runs: list[Run] = []
    at, used = time.perf_counter(), time.process_time()

    def took(name: str) -> None:
        nonlocal at, used
        seconds[name] = round(time.perf_counter() - at, 2)
        processor[name] = round(time.process_time() - used, 2)
        at, used = time.perf_counter(), time.process_time()

    def one_round(run: Run, config: RestEmConfig) -> Model:
        runs.append(run)
        took("base")
        samples = written(workspace, model, rows)
        took("write")
        verified = run.verify(samples)
        took("verify")
        kept = run.select(verified, correct, distinct, Cap(config.cap))
        took("select")
        trained = run.train(model, kept)
        took("train")
        return trained

    experiment(
        Experiment(
            name="scale",
            recipe_name="scale",
            recipe=one_round,
            config=RestEmConfig(),
            settings=RunSettings(
                train_problems=rows // SAMPLES,
                validation_problems=QUESTIONS["validation"],
                test_problems=QUESTIONS["test"],
            ),
            task=Stories(),
            models={"base": model},
            workspace=workspace,
            engine=lambda name: ScriptedEngine(lambda messages, seed: f" The answer is {seed % 50}."),
            trainer=Copies,
            controls="none",
        )
    )
    took("evidence")
    write_report(workspace, "scale")
    report_text(workspace, "scale")
    took("report")
    (run,) = runs
    (checked,) = [record for record in run.records if record["place"].endswith("-contamination")]
    sealed = workspace.sealed(checked["stage"])
    assert sealed is not None
    size = sum(file.stat().st_size for file in workspace.stages.rglob("*") if file.is_file())
    return {
        "rows": rows,
        "kept": run.kept_sizes[0],
        "seconds": {**seconds, "check": round(sealed.record["cost"]["seconds"], 2)},
        "processor_seconds": processor,
        "total_seconds": round(sum(seconds.values()), 2),
        "total_processor_seconds": round(sum(processor.values()), 2),
        "peak_gib": round(_peak_kib() / 2**20, 3),
        "stages_mib": round(size / 2**20, 1),
    }


def _peak_kib() -> int:
    """Return the most memory that this process held; unlike ``ru_maxrss`` it does not know its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def run(sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Return what each size needs, each measured in a fresh process."""
    found: list[dict[str, Any]] = []
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "benchmarks.scale", "--one", str(rows), folder]
            done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
            found.append(json.loads(done.stdout))
    return {"samples_a_problem": SAMPLES, "questions": sum(QUESTIONS.values()), "sizes": found}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one_size(int(sys.argv[2]), Path(sys.argv[3]))))
    else:
        print(json.dumps(run([int(size) for size in sys.argv[1:]] or SIZES), indent=2))
