"""Test doubles for recipes and runs: a task of sums, an engine that guesses, a trainer that makes it better.

A whole run takes milliseconds. Nothing here imports torch; checkpoints are real folders with a real tokenizer
and one tensor, so that opening, hashing and deleting them is the real thing.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import orjson
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from docendo.core.losses import Loss, Optimizer
from docendo.core.protocols import (
    Chunk,
    Finished,
    Halved,
    Request,
    Sampling,
    TrainedEpoch,
    TrainingStep,
    Watcher,
)
from docendo.core.records import (
    Checkpoint,
    Completion,
    Context,
    Embedding,
    Label,
    Logprobs,
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
from docendo.core.seeds import derived_rng, digest_of
from docendo.engines.checkpoints import classes_of, open_checkpoint
from docendo.runs.run import Run
from docendo.runs.settings import RunSettings
from docendo.runs.workspace import Workspace


@dataclass(frozen=True, slots=True)
class SumFormat:
    """``What is 3 + 4?`` -> `` 3 + 4 is 7. The answer is 7.``"""

    version: ClassVar[int] = 1

    def prompt(self, problem: Problem, context: Context) -> Prompt:
        return Prompt(problem, (Message("user", problem.question),))

    def read(self, text: str) -> Reading:
        found = re.search(r"^(.*?)The answer is (\S+)\.$", text.strip())
        if found is None:
            return Reading(text, "", False)
        return Reading(found[1].strip(), found[2], True)

    def target(self, rationale: str, answer: str) -> str:
        return f" {rationale} The answer is {answer}."


@dataclass(frozen=True, slots=True)
class DirectSumFormat(SumFormat):
    """``What is 3 + 4?`` -> `` The answer is 7.``"""

    def prompt(self, problem: Problem, context: Context) -> Prompt:
        return Prompt(problem, (Message("user", f"{problem.question} Answer at once."),))

    def target(self, rationale: str, answer: str) -> str:
        return f" The answer is {answer}."


@dataclass(frozen=True, slots=True)
class Equality:
    """The answer's string equals the gold's."""

    version: ClassVar[int] = 1
    source: Source = Source.GOLD

    def verdicts(self, pairs: Iterable[tuple[Sample, Label | None]]) -> Iterator[Verdict]:
        for sample, label in pairs:
            if not sample.is_parsed:
                yield Verdict(Outcome.FAILED, "no answer", self.source)
            elif label is None:
                yield Verdict(Outcome.UNDECIDED, "no label", self.source)
            else:
                right = sample.answer == label.answer
                yield Verdict(Outcome.CORRECT if right else Outcome.INCORRECT, "", self.source)

    def same(self, left: str, right: str) -> bool:
        return left == right


class SumsTask:
    """Sums of two numbers. ``labels_seed`` permutes the gold answers of the named splits."""

    name = "sums"
    splits = ("train", "validation", "test")
    verifier = Equality()
    formats: Mapping[str, SumFormat] = {"default": SumFormat(), "direct": DirectSumFormat()}

    def __init__(self, *, permuted: Iterable[str] = (), with_solutions: bool = True) -> None:
        self._permuted = frozenset(permuted)
        self._with_solutions = with_solutions
        self.identity: Mapping[str, Any] = {"family": "sums"}

    def _pairs(self, split: str, limit: int | None) -> list[tuple[int, int]]:
        offset = self.splits.index(split) * 1000
        return [(offset + index, index % 7) for index in range(min(limit or 200, 200))]

    def problems(self, split: str, limit: int | None = None) -> Iterator[Problem]:
        for a, b in self._pairs(split, limit):
            yield Problem(f"{split}-{a}", f"What is {a} + {b}?", split)

    def labels(self, split: str, limit: int | None = None) -> Mapping[str, Label]:
        pairs = self._pairs(split, limit)
        answers = [str(a + b) for a, b in pairs]
        if split in self._permuted:
            random.Random(7).shuffle(answers)
        return {
            f"{split}-{a}": Label(f"{split}-{a}", answer, self._solution(a, b, answer))
            for (a, b), answer in zip(pairs, answers, strict=True)
        }

    def _solution(self, a: int, b: int, answer: str) -> str:
        return f"{a} + {b} is {answer}." if self._with_solutions else ""


def skill_of(checkpoint: Checkpoint) -> float:
    """Return the chance that a checkpoint's greedy answer is right: the one number in its weights."""
    return float(load_file(Path(checkpoint.location) / "model.safetensors")["skill"][0])


class GuessingEngine:
    """Answers sums rightly with the chance that stands in the weights."""

    name = "guessing"
    can = frozenset({"sample", "logprobs", "embed"})
    signature: Mapping[str, str] = {"engine": "guessing"}

    def __init__(
        self,
        *,
        rows_per_chunk: int = 16,
        before_chunk: Callable[[Chunk], None] = lambda chunk: None,
        halve: frozenset[str] = frozenset(),
        fails: Callable[[Request], bool] = lambda request: False,
        nats: Callable[[float], float] = lambda skill: 1.0,
    ) -> None:
        self.nats = nats
        """How unlikely a letter is to a model with a skill."""
        self.rows_per_chunk = rows_per_chunk
        self.before_chunk = before_chunk
        self.halve = halve
        self.fails = fails
        self.asked: list[str] = []
        self.scored: list[Request] = []
        """What log-probabilities were asked for, in order."""

    def chunks(
        self,
        checkpoint: Checkpoint,
        requests: Iterable[Request],
        sampling: Sampling | Literal["embed"] | None,
    ) -> Iterator[Chunk]:
        pending: list[Request] = []
        number = 0
        for request in sorted(requests, key=lambda one: (-len(one.messages[-1].content), one.position)):
            pending.append(request)
            if sum(one.rows for one in pending) >= self.rows_per_chunk:
                yield Chunk(str(number), tuple(pending))
                pending, number = [], number + 1
        if pending:
            yield Chunk(str(number), tuple(pending))

    def sample(
        self, checkpoint: Checkpoint, chunks: Iterable[Chunk], sampling: Sampling
    ) -> Iterator[Finished | Halved]:
        skill = skill_of(checkpoint)
        queue = list(chunks)
        while queue:
            chunk = queue.pop(0)
            self.before_chunk(chunk)
            if chunk.id in self.halve:
                halves = chunk.halves()
                queue = [*halves, *queue]
                yield Halved(chunk, halves, "out of memory")
                continue
            self.asked.append(chunk.id)
            results = [
                Completion("", "failed", status="failed", reason="no connection")
                if self.fails(request)
                else self._completion(request, seed, skill, sampling)
                for request in chunk.requests
                for seed in request.seeds
            ]
            yield Finished(chunk, results)

    def _completion(self, request: Request, seed: int, skill: float, sampling: Sampling) -> Completion:
        a, b = (int(number) for number in re.findall(r"\d+", request.messages[-1].content)[:2])
        rng = derived_rng(seed, sampling.temperature)
        right = a + b if rng.random() < skill else a + b + rng.randint(1, 3)
        text = f" {a} + {b} is {right}. The answer is {right}."
        ids = tuple(ord(letter) for letter in text)
        return Completion(text, "stop", (*ids, 1), prompt_tokens=8, generated_tokens=len(ids) + 1)

    def logprobs(self, checkpoint: Checkpoint, chunks: Iterable[Chunk]) -> Iterator[Finished | Halved]:
        nats = self.nats(skill_of(checkpoint))
        is_reward = classes_of(Path(checkpoint.location)) == 1
        for chunk in chunks:
            self.before_chunk(chunk)
            self.scored += chunk.requests
            found = [
                self._scored(request) if is_reward else self._logprobs(request, nats)
                for request in chunk.requests
            ]
            yield Finished(chunk, found)

    def score(self, messages: Sequence[Message], text: str) -> float:
        """Score a sum as a reward model that is mostly right: up to 1, or for a right one from 0.5 to 1.5."""
        is_right = is_right_sum(messages[-1].content, text)
        return 0.5 * is_right + derived_rng("score", tuple(messages), text).random()

    def _scored(self, request: Request) -> Logprobs:
        (text,) = request.continuations or ("",)
        return Logprobs((self.score(request.messages, text),), (1,))

    def _logprobs(self, request: Request, nats: float) -> Logprobs:
        texts = request.continuations or ()
        ids = request.continuation_ids or tuple(tuple(range(len(text))) for text in texts)
        return Logprobs(
            tuple(nats * self.likelihood(request, text) for text in texts),
            tuple(len(text) for text in texts),
            tuple((-nats,) * len(own) for own in ids),
        )

    def embed(self, checkpoint: Checkpoint, chunks: Iterable[Chunk]) -> Iterator[Finished | Halved]:
        for chunk in chunks:
            self.before_chunk(chunk)
            self.asked.append(chunk.id)
            yield Finished(chunk, [self._embedding(request, chunk) for request in chunk.requests])

    def _embedding(self, request: Request, chunk: Chunk) -> Embedding:
        """Return three numbers of the text, and one of the chunk, as the last bits of floats are."""
        if self.fails(request):
            return Embedding((), 0, "no connection")
        text = request.messages[-1].content
        rng = derived_rng("embedding", text)
        return Embedding((rng.random(), rng.random(), 1 / 3, 1e-7 * len(chunk.requests)), len(text.split()))

    def likelihood(self, request: Request, text: str) -> float:
        """Return the log-probability of a text after a prompt: shorter ones are likelier."""
        return -float(len(text))

    def close(self) -> None:
        pass


class ImprovingTrainer:
    """Sets the skill to the share of right rows among those it is given, plus a little. Of a pair the chosen
    text counts. Of a reward loss comes a checkpoint with a head of one label."""

    name = "improving"
    signature: Mapping[str, str] = {"trainer": "improving"}

    def __init__(self) -> None:
        self.started_from: list[Path] = []
        self.rows: list[list[dict[str, Any]]] = []
        self.asked: list[tuple[Loss, Optimizer, int]] = []
        """Loss, optimizer and epochs of each training."""
        self.drift = 0.0
        """Added to the skill: another machine, other versions."""

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
        table = pq.read_table(rows).to_pylist()
        self.started_from.append(start)
        self.rows.append(table)
        self.asked.append((loss, optimizer, epochs))
        measures = {"margin": 0.5, "accuracy": 0.75} if loss.name == "preference" else {}
        right = sum(_is_right(row) for row in table) / len(table)
        old = float(load_file(start / "model.safetensors")["skill"][0])
        for epoch in range(1, epochs + 1):
            place = folder / f"epoch-{epoch}"
            place.mkdir(parents=True, exist_ok=True)
            for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
                shutil.copy(start / file, place / file)
            if loss.name == "reward-pairs":
                config = orjson.loads((place / "config.json").read_bytes())
                head = {"architectures": ["LlamaForSequenceClassification"], "id2label": {"0": "reward"}}
                (place / "config.json").write_bytes(orjson.dumps({**config, **head}))
            skill = old + (right - old) * 0.5 * epoch / epochs + self.drift
            # Other rows, another seed: other weights, as with a real trainer.
            weights = np.array([skill, int(digest_of([table, seed])[:12], 16)], dtype=np.float64)
            save_file({"skill": weights}, place / "model.safetensors")
            report(TrainingStep(epoch, epochs, 1.0 / epoch, epoch * len(table)))
            yield TrainedEpoch(epoch, place, 1, len(table), 1.0 / epoch, None, len(table), {}, measures)


def _is_right(row: dict[str, Any]) -> bool:
    """Tell whether a row teaches something right; of a pair, by what it prefers; rows of choices do."""
    if "probabilities" in row:
        return True
    taught = row["chosen"] if "chosen" in row else row["completion"]
    text = taught if isinstance(taught, str) else taught[0]["content"]
    asked = row["prompt"] if isinstance(row["prompt"], str) else row["prompt"][-1]["content"]
    return is_right_sum(asked, text)


def is_right_sum(asked: str, text: str) -> bool:
    """Tell whether the last number of a text is the sum of the first two of the question."""
    a, b = (int(number) for number in re.findall(r"\d+", asked)[:2])
    return a + b == int(re.findall(r"\d+", text)[-1])


CHAT = (
    "{% for turn in messages %}{{ turn.role }} : {{ turn.content }}"
    "{% if turn.role == 'assistant' %}</s>{% else %} {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}assistant : {% endif %}"
)


def tiny_checkpoint(folder: Path, *, skill: float, model_type: str = "llama") -> Path:
    """Make a checkpoint folder with a word tokenizer and one tensor."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(WordLevel({"<s>": 0, "</s>": 1, "<unk>": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()  # pyright: ignore
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "bos_token": "<s>"}
    config["chat_template"] = CHAT
    (folder / "tokenizer_config.json").write_bytes(orjson.dumps(config))
    (folder / "config.json").write_bytes(orjson.dumps({"model_type": model_type}))
    save_file({"skill": np.array([skill, 0.0], dtype=np.float64)}, folder / "model.safetensors")
    return folder


@dataclass(slots=True)
class House:
    """A workspace with everything a run on sums needs."""

    path: Path
    skill: float = 0.3
    task: SumsTask = field(default_factory=SumsTask)
    engine: GuessingEngine = field(default_factory=GuessingEngine)
    trainer: ImprovingTrainer = field(default_factory=ImprovingTrainer)
    settings: RunSettings = field(
        default_factory=lambda: RunSettings(train_problems=40, validation_problems=20, test_problems=30)
    )
    watcher: Watcher | None = None
    models: dict[str, Model] = field(default_factory=dict[str, Model])
    """Models in further roles."""

    @property
    def base(self) -> Model:
        """The untrained model."""
        folder = self.path / "base"
        if not folder.exists():
            tiny_checkpoint(folder, skill=self.skill)
        return Model(open_checkpoint(folder, name="base"))

    @property
    def teacher(self) -> Model:
        """A model that is right more often."""
        folder = self.path / "teacher"
        if not folder.exists():
            tiny_checkpoint(folder, skill=0.8)
        return Model(open_checkpoint(folder, name="teacher"))

    @property
    def workspace(self) -> Workspace:
        """The workspace, opened anew."""
        return Workspace(self.path / "workspace", watcher=self.watcher)

    def run(self, name: str = "run", **more: Any) -> Run:
        """Return a Run in the workspace."""
        workspace = self.workspace
        (workspace.runs / name).mkdir(parents=True, exist_ok=True)
        return Run(
            name=name,
            workspace=workspace,
            task=self.task,
            models={"base": self.base, "teacher": self.teacher, "author": self.teacher, **self.models},
            engine=lambda name: self.engine,
            trainer=lambda: self.trainer,
            settings=self.settings,
            **more,
        )


def tree_digest(folder: Path, *, but: Callable[[Path], bool] = lambda path: False) -> dict[str, str]:
    """Return a digest of every file below a folder."""
    return {
        str(path.relative_to(folder)): digest_of(list(path.read_bytes()))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not but(path)
    }
