"""The training loop: one for all losses, on accelerate.

    for each epoch                                             `schedule.batches`: rows by length, seeded
        for each batch
            rate = `schedule.learning_rate` of the step
            where the loss has a statistic over the batch: survey all micro-batches, settle it
            total = sum of the objective's denominators over micro-batches and processes
            for each micro-batch: differentiate numerator / total
            refuse what is not finite, clip, step
            now and then: save the step                        `state`
        loss of the held-out rows
        write the checkpoint, read it back, compare            `export`

An optimizer step is over ``batch_rows`` rows whatever ``micro_batch_rows`` and the number of processes are,
and its loss is normalised over all of them. So 8 rows at once and 8 times one row are the same step.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from docendo.core.errors import DataError, NothingToLearn, SettingError, StageError
from docendo.core.losses import Loss, Optimizer
from docendo.core.protocols import TrainedEpoch, TrainingStep
from docendo.core.seeds import derived_seed
from docendo.trainers.state import StateFolder, Sums

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from docendo.trainers.batch import Batch
    from docendo.trainers.objectives import Computed, Whole
    from docendo.trainers.rows import Rows

logger = logging.getLogger(__name__)

_SAVING_SHARE = 0.05
"""Share of the time that saving may take; where a save is slow, there are fewer."""
_ACCELERATORS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Device files one of which is there where CUDA can be. Looked at before torch is imported."""


@dataclass(kw_only=True)
class AccelerateTrainer:
    """Trains on a CPU or with CUDA, in one process or as many as ``accelerate launch`` has started.

    Weights, moments and gradients are kept in single precision. With ``bfloat16`` the forward pass is
    computed in it, and checkpoints are written in it.
    """

    threads: int = 0
    """Threads of a CPU computation; 0: as many as there are physical cores. A training that was begun with
    another number goes on with that one, because the number changes the last bits of a result."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Auto: CUDA where there is some."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Auto: bfloat16 with CUDA, float32 without."""
    save_seconds: float = 20.0
    """Time between two saved steps, longer where saving takes long; 0: each step. An epoch ends with one."""
    name: str = field(default="accelerate", init=False)
    signature: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        faults: list[str] = []
        if self.threads < 0:
            faults.append(f"threads is {self.threads}; expected 0 (all physical cores) or more")
        if self.device not in ("auto", "cpu", "cuda"):
            faults.append(f"device is {self.device!r}; expected auto, cpu or cuda")
        if self.precision not in ("auto", "float32", "bfloat16"):
            faults.append(f"precision is {self.precision!r}; expected auto, float32 or bfloat16")
        if not self.save_seconds >= 0:
            faults.append(f"save_seconds is {self.save_seconds}; expected 0 or more")
        if faults:
            raise SettingError.of_all(faults)
        if self.device == "auto":
            self.device = "cuda" if _has_cuda() else "cpu"
        elif self.device == "cuda" and not _has_cuda():
            raise SettingError(
                "device is 'cuda', but torch finds no CUDA device", hint="use device auto or cpu"
            )
        if self.precision == "auto":
            self.precision = "bfloat16" if self.device == "cuda" else "float32"
        from docendo.trainers.schedule import ORDER_RULE

        self.signature = {"family": "accelerate", "precision": self.precision, "order": ORDER_RULE}

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
        """Train from a checkpoint directory on a Parquet file of rows; see `docendo.core.protocols.Trainer`.

        Args:
            start: Checkpoint directory in Hugging Face format.
            rows: Parquet file; its columns are described in `docendo.trainers.rows.read_rows`.
            loss: What is minimised.
            optimizer: How.
            epochs: Passes over the rows. Count, >= 1.
            seed: Orders the rows, and feeds dropout and the first weights of adapters.
            folder: Gets ``epoch-1`` and so on, and ``state``.
            held_out: Rows that are not learned from; their mean loss is reported for each epoch.
            report: Is told of each optimizer step.

        Yields:
            One `TrainedEpoch` for each epoch, when its checkpoint is written, synced and compared.

        Raises:
            SettingError: ``epochs`` is below 1.
            DataError: A row cannot be learned from.
            ModelError: ``start`` cannot be read.
            NothingToLearn: No row is left: all were too long or had weight 0.
            StageError: The loss or its gradient is not finite; a checkpoint is not what was trained; the
                folder holds another training.
        """
        if epochs < 1:
            raise SettingError(f"epochs is {epochs}; expected at least 1")
        asked = {
            "loss": {"name": loss.name, "version": loss.version, **asdict(loss)},
            "optimizer": asdict(optimizer),
            "epochs": epochs,
            "seed": seed,
            "signature": dict(self.signature),
        }
        asked = json.loads(json.dumps(asked))  # as it will be read back: lists instead of tuples
        state = StateFolder(folder)
        begun = state.begun(asked)
        finished = state.finished(epochs) if begun else {}
        training: _Training | None = None
        for epoch in range(1, epochs + 1):
            if epoch in finished:
                yield finished[epoch]
                continue
            if training is None:
                training = _Training(
                    self, start, rows, loss, optimizer, epochs, seed, folder, held_out, report
                )
                training.begin(asked, begun, first_epoch=epoch)
            trained = training.through(epoch)
            if not any(later not in finished for later in range(epoch + 1, epochs + 1)):
                training.clear()
            yield trained


@dataclass(slots=True)
class Totals:
    """What the micro-batches of a step come to in this process."""

    numerator: float = 0.0
    measures: dict[str, float] = field(default_factory=dict[str, float])
    weight: float = 0.0

    def add(self, computed: Computed, batch: Batch) -> None:
        """Add a micro-batch; measures count by the weight of their rows."""
        self.numerator += computed.numerator.item()
        self.weight += float(batch.weights.double().sum())
        for name, values in computed.measures.items():
            value = float((values.double() * batch.weights.double()).sum())
            self.measures[name] = self.measures.get(name, 0.0) + value


class _Training:
    """One call of `AccelerateTrainer.train`: model, optimizer and rows in memory."""

    def __init__(
        self,
        options: AccelerateTrainer,
        start: Path,
        rows: Path,
        loss: Loss,
        optimizer: Optimizer,
        epochs: int,
        seed: int,
        folder: Path,
        held_out: Path | None,
        report: Callable[[TrainingStep], None],
    ) -> None:
        from accelerate import Accelerator
        from accelerate.utils import DistributedType

        from docendo.engines.checkpoints import class_names
        from docendo.engines.tokenizer import Tokenizer
        from docendo.trainers.heads import classes_to_train
        from docendo.trainers.objectives import objective_of
        from docendo.trainers.rows import Limits, read_rows

        self.options, self.start, self.loss, self.settings = options, start, loss, optimizer
        self.epochs, self.seed, self.folder, self.report = epochs, seed, folder, report
        self.objective = objective_of(loss)
        tokenizer = Tokenizer.load(start)
        limits = Limits.of(start, tokenizer, optimizer.max_length, classes_to_train(start, rows, loss))
        if limits.classes and optimizer.lora_rank:
            raise SettingError(
                f"lora_rank is {optimizer.lora_rank}; expected 0 where a head is trained",
                hint="train all weights, or the answer's words instead of a classification head",
            )
        self.rows = read_rows(rows, loss.reads, tokenizer, limits)
        if not len(self.rows):
            raise NothingToLearn(
                f"no training row is left of {rows.name}: {_counted(self.rows.dropped) or 'it is empty'}"
            )
        self.held_out = None if held_out is None else read_rows(held_out, loss.reads, tokenizer, limits)
        if self.held_out is not None and not len(self.held_out):
            raise NothingToLearn(f"no held-out row is left of {held_out}")
        if (named := class_names(start)) and named != self.rows.classes:
            raise DataError(
                f"the rows' choices are {self.rows.classes}; the head of {start} has the classes {named}",
                hint="name the choices as the head's classes, in their order",
            )
        if self.rows.dropped:
            logger.warning(
                "%d rows are learned from; left out: %s", len(self.rows), _counted(self.rows.dropped)
            )
        self.steps_per_epoch = math.ceil(len(self.rows) / optimizer.batch_rows)
        self.state = StateFolder(folder)
        self.sums = Sums()
        # Precision is ours: accelerate's wrapper of `forward` would stay on the model that is exported.
        self.accelerator = Accelerator(cpu=options.device == "cpu", mixed_precision="no")
        kind = self.accelerator.distributed_type
        if kind not in (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU):
            raise SettingError(
                f"training by {kind.value} is not supported; expected one process or data-parallel ones",
                hint="choose multi-GPU without FSDP or DeepSpeed in `accelerate config`",
            )

    def begin(self, asked: Mapping[str, Any], begun: Mapping[str, Any] | None, *, first_epoch: int) -> None:
        """Load the model, and the last saved step where there is one."""
        noted = {
            "asked": dict(asked),
            "rows": self.rows.digest,
            "held_out": None if self.held_out is None else self.held_out.digest,
            "counts": {"learned": len(self.rows), **self.rows.dropped},
            "processes": self.accelerator.num_processes,
            "threads": self.options.threads or _physical_cores(),
            "device": self.options.device,
            "versions": _versions(),
        }
        if begun is not None:
            noted = self._as_begun(noted, begun)
        self.threads: int = noted["threads"]
        with self._computing():
            self._build()
            saved = self.state.load(first_epoch * self.steps_per_epoch) if begun is not None else None
            if begun is None and self.accelerator.is_main_process:
                self.state.begin(noted)
            if saved is not None:
                self._restore(*saved)
        self.saved_at, self.save_every = time.monotonic(), self.options.save_seconds

    def _as_begun(self, noted: dict[str, Any], begun: Mapping[str, Any]) -> dict[str, Any]:
        """Go on with what a training was begun with; say where that is not what was asked or is there."""
        if differing := [name for name in ("rows", "held_out", "processes") if begun[name] != noted[name]]:
            raise StageError(
                f"{self.folder} was begun with other {' and '.join(differing)}",
                hint="train into an empty folder",
            )
        for name in ("threads", "device", "versions"):
            if begun[name] != noted[name]:
                what = "going on with the former" if name == "threads" else "its last bits may differ"
                logger.warning(
                    "training was begun with %s %s, now %s: %s", name, begun[name], noted[name], what
                )
        return dict(begun)

    def _build(self) -> None:
        import torch

        from docendo.trainers.export import Probe, digest_of_weights
        from docendo.trainers.heads import Pooled, model_to_train

        model: Any = model_to_train(self.start, self.loss, self.rows.classes)
        if self.settings.lora_rank:
            from peft import LoraConfig, get_peft_model

            torch.manual_seed(derived_seed("adapters", self.seed))
            adapters = LoraConfig(
                r=self.settings.lora_rank,
                lora_alpha=self.settings.lora_alpha,  # type: ignore[arg-type]  # any number does
                target_modules="all-linear",
                task_type="CAUSAL_LM",
            )
            with warnings.catch_warnings():
                # peft calls what transformers will drop in its next major version; not ours to mend.
                warnings.simplefilter("ignore", FutureWarning)
                model = get_peft_model(model, adapters)
        self.plain = model
        # What the objectives call: the model, or what reads its head off the last token.
        self.called: Any = Pooled(model) if self.rows.classes else model
        self.probe = Probe.of(self.rows)
        self.start_digest = digest_of_weights(self.start)
        model.to(self.accelerator.device)
        self.trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
        # Weight decay pulls at matrices, not at the scales of norms and not at biases, as is usual.
        matrices = [value for value in self.trained.values() if value.dim() >= 2]
        others = [value for value in self.trained.values() if value.dim() < 2]
        groups: list[dict[str, Any]] = [{"params": matrices, "weight_decay": self.settings.weight_decay}]
        if others:
            groups.append({"params": others, "weight_decay": 0.0})
        inner = torch.optim.AdamW(
            groups,
            lr=self.settings.learning_rate,
            betas=(self.settings.beta_1, self.settings.beta_2),
            fused=True,
        )
        self.model, self.optimizer = self.accelerator.prepare(self.called, inner)
        self.model.train()

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """Set the number of threads, and leave the caller's random numbers as they were."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with torch.random.fork_rng(devices=None if self.options.device == "cuda" else ()):
                yield
        finally:
            torch.set_num_threads(before)

    def through(self, epoch: int) -> TrainedEpoch:
        """Train to the end of an epoch, from wherever the training is, and write its checkpoint."""
        with self._computing():
            while self.sums.step < epoch * self.steps_per_epoch:
                self._train_epoch(self.sums.step // self.steps_per_epoch + 1)
            self._save()
            held_out, apart = (None, {}) if self.held_out is None else self._measured(self.held_out)
            trained = TrainedEpoch(
                epoch=epoch,
                folder=self.folder / f"epoch-{epoch}",
                steps=self.steps_per_epoch,
                learned_tokens=self.sums.epoch_tokens,
                train_loss=self.sums.numerator / self.sums.denominator,
                held_out_loss=held_out,
                rows=len(self.rows),
                dropped=dict(self.rows.dropped),
                measures={
                    **{name: value / self.sums.weight for name, value in self.sums.measures.items()},
                    **{f"held_out_{name}": value for name, value in apart.items()},
                },
            )
            self._export(trained)
        return trained

    def _train_epoch(self, epoch: int) -> None:
        from docendo.trainers.schedule import batches

        order = batches(self.rows.lengths, batch_rows=self.settings.batch_rows, epoch=epoch, seed=self.seed)
        done = self.sums.step % self.steps_per_epoch
        if done == 0:
            self.sums = Sums(step=self.sums.step, tokens=self.sums.tokens)
        learned = self.rows.learned
        for rows in order[done:]:
            loss = self._step(rows, int(learned[rows].sum()))
            self.report(
                TrainingStep(
                    step=self.sums.step,
                    steps=self.epochs * self.steps_per_epoch,
                    loss=loss,
                    tokens=self.sums.tokens,
                )
            )
            if time.monotonic() - self.saved_at >= self.save_every:
                self._save()

    def _step(self, rows: NDArray[np.int64], tokens: int) -> float:
        """Make one optimizer step on a batch of rows; return its loss."""
        import torch

        from docendo.trainers.batch import Progress
        from docendo.trainers.schedule import learning_rate

        accelerator, steps = self.accelerator, self.epochs * self.steps_per_epoch
        rate = learning_rate(self.sums.step, steps, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # Dropout's numbers are a function of the step, so there is no state of a generator to be saved.
        torch.manual_seed(derived_seed("dropout", self.seed, self.sums.step, accelerator.process_index))
        progress = Progress(self.sums.step, steps)
        parts = self._settled(self._parts(self.rows, rows))
        total = self._summed(sum(self.objective.denominator(self.loss, part) for part in parts))
        found = Totals()
        for place, part in enumerate(parts):
            last = place == len(parts) - 1
            batch = part.to(accelerator.device)
            with contextlib.nullcontext() if last else accelerator.no_sync(self.model):
                with self._autocast():
                    computed = self.objective.numerator(self.loss, self.model, batch, progress)
                # Gradients of processes are averaged; what is wanted is their sum.
                accelerator.backward(computed.numerator * (accelerator.num_processes / total))
            found.add(computed, batch)
        numerator, measures, weight = self._over_processes(found)
        gradients = [value.grad for value in self.trained.values() if value.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if not (math.isfinite(numerator) and math.isfinite(norm.item())):
            raise StageError(
                f"training diverged at step {self.sums.step + 1} of {steps}: loss {numerator / total:g}, "
                f"gradient norm {norm.item():g}, learning rate {rate:g}",
                hint=f"lower the learning rate, whose peak is {self.settings.learning_rate:g}",
            )
        if self.settings.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(self.trained.values(), self.settings.clip_norm, norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.sums.step += 1
        self.sums.tokens += tokens
        self.sums.epoch_tokens += tokens
        self.sums.numerator += numerator
        self.sums.denominator += total
        self.sums.weight += weight
        for name, value in measures.items():
            self.sums.measures[name] = self.sums.measures.get(name, 0.0) + value
        return numerator / total

    def _parts(self, rows: Rows, chosen: NDArray[np.int64]) -> list[Batch]:
        """Return this process's share of some rows as micro-batches."""
        mine = chosen[self.accelerator.process_index :: self.accelerator.num_processes]
        if not len(mine):  # fewer rows than processes: still take part when gradients are summed
            return [rows.batch(chosen[:1]).without_weight()]
        size = self.settings.micro_batch_rows or self.settings.batch_rows
        return [rows.batch(mine[begin : begin + size]) for begin in range(0, len(mine), size)]

    def _settled(self, parts: Sequence[Batch]) -> Sequence[Batch]:
        """Give micro-batches what their loss finds over all of them, and over those of all processes."""
        whole = self.objective.whole
        if whole is None or (len(parts) == 1 and self.accelerator.num_processes == 1):
            return parts
        import torch

        with torch.no_grad(), self._autocast():
            surveyed = [self._surveyed(whole, part) for part in parts]
        sizes = [len(one) for one in surveyed]
        # A batch without weight stands in for rows that are not there: it is settled, and counts for nothing.
        is_real = bool(parts[0].weights.any())
        mine = torch.cat(surveyed).double()
        everyone, first = self._from_processes(mine if is_real else mine[:0])
        settled = whole.settle(self.loss, everyone.float())
        own = (
            settled[first : first + len(mine)] if is_real else settled.new_zeros(len(mine), settled.shape[1])
        )
        return [replace(part, settled=one) for part, one in zip(parts, own.split(sizes), strict=True)]

    def _surveyed(self, whole: Whole, part: Batch) -> Tensor:
        return whole.survey(self.loss, self.called, part.to(self.accelerator.device))

    def _from_processes(self, mine: Tensor) -> tuple[Tensor, int]:
        """Return the rows of a matrix of every process, and where this process's begin."""
        if self.accelerator.num_processes == 1:
            return mine, 0
        import torch

        counts: Any = self.accelerator.gather(torch.tensor([len(mine)], device=mine.device))
        room = mine.new_zeros(int(counts.max()), mine.shape[1])
        room[: len(mine)] = mine
        blocks: Any = self.accelerator.gather(room)
        kept = [block[:count] for block, count in zip(blocks.split(len(room)), counts.tolist(), strict=True)]
        return torch.cat(kept), int(counts[: self.accelerator.process_index].sum())

    def _over_processes(self, found: Totals) -> tuple[float, dict[str, float], float]:
        """Return numerator, measures and weight, summed over all processes."""
        measures = {name: self._summed(value) for name, value in found.measures.items()}
        return self._summed(found.numerator), measures, self._summed(found.weight)

    def _summed(self, value: float) -> float:
        """Return the sum of a number over all processes."""
        if self.accelerator.num_processes == 1:
            return value
        import torch

        ours = torch.tensor([value], dtype=torch.float64, device=self.accelerator.device)
        reduced: Any = self.accelerator.reduce(ours, "sum")
        return reduced.item()

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        import torch

        if self.options.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.accelerator.device.type, dtype=torch.bfloat16)

    def _measured(self, rows: Rows) -> tuple[float, dict[str, float]]:
        """Return the mean loss and the measures of rows that are not learned from."""
        import numpy as np
        import torch

        from docendo.trainers.batch import Progress

        order = np.argsort(rows.lengths, kind="stable")
        progress = Progress(self.sums.step, self.epochs * self.steps_per_epoch)
        found, denominator = Totals(), 0.0
        self.plain.eval()
        with torch.no_grad(), self._autocast():
            for batch in self._settled(self._parts(rows, order)):
                denominator += self.objective.denominator(self.loss, batch)
                there = batch.to(self.accelerator.device)
                found.add(self.objective.numerator(self.loss, self.called, there, progress), there)
        self.plain.train()
        numerator, measures, weight = self._over_processes(found)
        means = {name: value / weight for name, value in measures.items()}
        return numerator / self._summed(denominator), means

    def _save(self) -> None:
        """Save the step."""
        began = time.monotonic()
        if self.accelerator.is_main_process:
            self.state.save(self._tensors(), self.sums)
        self.saved_at = time.monotonic()
        if self.options.save_seconds:
            self.save_every = max(self.options.save_seconds, (self.saved_at - began) / _SAVING_SHARE)

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"weight.{name}": value.detach() for name, value in self.trained.items()}
        for name, value in self.trained.items():
            tensors |= {f"{key}.{name}": moment for key, moment in self.optimizer.state[value].items()}
        return tensors

    def _restore(self, tensors: Mapping[str, Tensor], sums: Sums) -> None:
        import torch

        with torch.no_grad():
            for name, value in self.trained.items():
                value.copy_(tensors[f"weight.{name}"])
                self.optimizer.state[value] = {
                    "step": tensors[f"step.{name}"].clone().to(value.device),
                    "exp_avg": tensors[f"exp_avg.{name}"].clone().to(value.device),
                    "exp_avg_sq": tensors[f"exp_avg_sq.{name}"].clone().to(value.device),
                }
        self.sums = sums
        logger.info("going on after step %d of %d", sums.step, self.epochs * self.steps_per_epoch)

    def _export(self, trained: TrainedEpoch) -> None:
        """Write the checkpoint of an epoch, unless it is there."""
        import torch

        from docendo.trainers.export import check_merge, export, merged

        if self.accelerator.is_main_process:
            model = self.plain.eval()
            if self.settings.lora_rank:
                model = merged(self.plain)
                check_merge(self.plain, model, self.probe)
            export(
                model,
                start=self.start,
                folder=trained.folder,
                card=self._card(trained),
                probe=self.probe,
                dtype=torch.bfloat16 if self.options.precision == "bfloat16" else torch.float32,
            )
            self.state.finish(trained)
            self.plain.train()
        self.accelerator.wait_for_everyone()

    def clear(self) -> None:
        """Remove the saved steps after the last epoch."""
        if self.accelerator.is_main_process:
            self.state.clear()

    def _card(self, trained: TrainedEpoch) -> str:
        """Return a README that says where the weights came from. No clock, no path: its bytes are fixed."""
        settings = {**asdict(self.settings), **asdict(self.loss), "epochs": self.epochs, "seed": self.seed}
        lines = [
            "---",
            "library_name: transformers",
            "tags: [docendo]",
            "---",
            f"# {self.loss.name}, epoch {trained.epoch} of {self.epochs}",
            "",
            f"Trained by Docendo from weights with SHA-256 {self.start_digest}",
            f"on {len(self.rows)} rows with digest {self.rows.digest}"
            f" (left out: {_counted(self.rows.dropped) or 'none'}).",
            "",
            f"- loss: {trained.train_loss:.6f} over {trained.learned_tokens} learned tokens of this epoch",
            *([f"- held-out loss: {trained.held_out_loss:.6f}"] if trained.held_out_loss is not None else []),
            f"- precision: {self.options.precision}",
            *(f"- {name}: {value}" for name, value in settings.items()),
            "",
        ]
        return "\n".join(lines)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.items())


def _has_cuda() -> bool:
    if os.name != "nt" and not any(Path(path).exists() for path in _ACCELERATORS):
        return False
    import torch

    return torch.cuda.is_available()


def _physical_cores() -> int:
    """Return the number of physical cores that this process may use, at least 1."""
    import psutil

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or usable, usable))


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "accelerate", "peft")}
