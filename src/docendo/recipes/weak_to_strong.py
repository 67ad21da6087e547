"""Weak-to-strong generalization: a strong model learns from a weak supervisor, and how far it gets beyond.

Burns, Izmailov, Kirchner et al. (2023), arXiv:2312.09390, sections 3 and 4, and the released code.

    D  cut the training problems in two halves; what belongs together stays in one
    W  weak = finetune(weak base, half 1 with gold answers)
    L  weak labels: what weak says of half 2, as class probabilities or as its own texts
    B  for each model in between, the smaller first: it learns the labels of the one before, and labels anew
    S  student = finetune(strong base, half 2 with the last labels), no gold answer in sight
    E  of its epochs the one that agrees best with the weak labels of a held-out part of half 2
    return student;  arms: weak, ceiling = finetune(strong base, half 2 with gold answers), other losses

What lies between weak and ceiling is the gap; the result says how much of it the student recovers.

Departures, each a setting:
  - ``supervision=text`` learns the weak model's greedy answers as they are (the paper's chess). ``head`` is a
    linear head with cross-entropy on soft labels, as the paper's classification; ``words`` the same over the
    answer's words, without a head.
  - The ceiling learns the inputs of the student. The released sweep trains it on half 1 (``ceiling=half-1``)
    and cuts the halves row by row (``grouped=False``).
  - A head begins with zeros, as released; the paper is remembered to begin it with two words' output rows.
  - The confidence loss rises as the paper says, to 0.5; to 0.75 there for the largest students.
  - Supervisors and ceilings, which may see gold answers, take their best epoch on the validation split. The
    released code takes the last of two (``stop=last``).
  - Models in between learn the same inputs; on chess the paper gives each fresh ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from docendo.core.checks import Checks
from docendo.core.errors import SettingError
from docendo.core.halves import halves
from docendo.core.losses import LogConf, Loss, Optimizer, Product, Xent, supervised
from docendo.core.records import Example, Logprobs, Message, Model, Problem
from docendo.core.seeds import derived_seed
from docendo.core.table import Rows, Table
from docendo.examples.soft_labels import Classes
from docendo.runs.recipe import Arm, Gap, Spec, recipe
from docendo.runs.run import Run

LossName = Literal["xent", "logconf", "product"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakToStrongConfig:
    """Settings of weak-to-strong generalization. Where the paper's value is another, it stands behind."""

    supervision: Literal["text", "words", "head"] = "text"
    """What the supervisor gives: its whole answers, or probabilities of the classes of a judgement, read off
    the answer's words or off a classification head."""
    head: Literal["zeros", "words"] = "zeros"
    """How heads begin: with zeros (released code), or as the words' output rows."""
    loss: LossName = "xent"
    """What a student with a head minimises. Supervisors and ceilings always have xent; and so have words,
    each as probable among all texts as its label says, so that the model also writes them."""
    beside: tuple[str, ...] = ("logconf",)
    """Other losses of students with a head that stand beside it as arms."""
    alpha: float = 0.5
    """Largest weight of the student's own predictions in logconf. Paper: 0.75 for its largest students."""
    alpha_warmup: float = 0.2
    """Share of training over which that weight rises. Released code: 0.1."""
    hard_labels: bool = False
    """Make the supervisor's probabilities 0 and 1. Paper: soft."""
    ceiling: Literal["half-2", "half-1"] = "half-2"
    """Which half the ceiling learns: the student's, or the supervisor's as in the released sweep."""
    grouped: bool = True
    """Keep problems of one group in one half (paper); the released code cuts row by row."""
    stop: Literal["weak", "last", "gold"] = "weak"
    """The student's epoch: by agreement with held-out weak labels (paper); the last (released code); or, an
    oracle, by gold answers of the validation split, which no weakly supervised student has."""
    held_out_share: float = 0.1
    """Share of half 2 whose weak labels are not learned, for ``stop=weak``."""
    reading_epochs: int = 0
    """Passes over the questions of half 2 as plain text before student and ceiling are taught: the paper's
    generative fine-tuning. 0: none."""
    epochs: int = 2
    """Passes over the labels, of student and ceiling. Paper and code: 2; 5 for chess."""
    weak_epochs: int = 6
    """Passes of the supervisor over half 1; 0: as ``epochs``."""
    weak_learning_rate: float = 2e-3
    """Peak learning rate of the supervisor; 0: as ``learning_rate``. Released code: 5e-5 for its two smallest
    models, 1e-5 for all others."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=3e-4))

    def __post_init__(self) -> None:
        known = ("xent", "logconf", "product")
        checks = Checks(self).at_least(1, "epochs").at_least(0, "weak_epochs", "reading_epochs")
        checks.at_least(0, "weak_learning_rate")
        checks.share("alpha", "alpha_warmup").that(
            0 < self.held_out_share < 1,
            f"held_out_share is {self.held_out_share}; expected above 0 and below 1",
        )
        checks.that(
            all(name in known for name in (self.loss, *self.beside)),
            f"loss is {self.loss} and beside is {','.join(self.beside)}; expected of {', '.join(known)}",
        )
        checks.that(
            self.loss == "xent" or self.supervision == "head",
            f"loss is {self.loss} and supervision is {self.supervision}; expected xent, or supervision head",
        ).done()


def _arms(config: WeakToStrongConfig) -> Sequence[Arm]:
    others = [name for name in config.beside if name != config.loss and config.supervision == "head"]
    return [
        Arm("weak", weak),
        Arm("ceiling", ceiling, is_rival=False),
        *(Arm(name, _with_loss(name), is_rival=False) for name in others),
    ]


@recipe(Spec(roles=("weak",), arms=_arms, rivals=("base",), has_unverified=False, gap=Gap("weak", "ceiling")))
def weak_to_strong(run: Run, config: WeakToStrongConfig) -> Model:
    """Return the strong student that learned the weak supervisor's labels."""
    lessons = _Lessons(run, config)  # D
    run.facts |= lessons.sizes
    supervisor = lessons.supervisor()  # W
    for place, model in enumerate(between := run.models_of("between"), start=1):  # B
        supervisor = lessons.taught(model, supervisor, "xent", name=f"between-{place}")
    if between:
        run.note("every model in between learned the same inputs; the paper gives each fresh ones on chess")
    return lessons.taught(lessons.read(run.base), supervisor, config.loss, name="student")  # L, S, E


def weak(run: Run, config: WeakToStrongConfig) -> Model:
    """Return the weak supervisor."""
    return _Lessons(run, config).supervisor()


def ceiling(run: Run, config: WeakToStrongConfig) -> Model:
    """Return the strong model that learned gold answers."""
    lessons = _Lessons(run, config)
    own = lessons.first if config.ceiling == "half-1" else lessons.learned
    return lessons.with_gold(lessons.read(run.base), own, config, name="ceiling")


def _with_loss(name: str) -> Callable[[Run, WeakToStrongConfig], Model]:
    def student(run: Run, config: WeakToStrongConfig) -> Model:
        return weak_to_strong(run, replace(config, loss=name))

    return student


class _Lessons:
    """The halves of the training problems, and what models learn of them."""

    def __init__(self, run: Run, config: WeakToStrongConfig) -> None:
        self.run, self.config = run, config
        first, second = halves(run.problems("train"), run.seed, problem=self._grouped)
        learned, held_out = second, list[Problem]()
        if config.stop == "weak":
            learned = [problem for problem in second if not self._is_held_out(problem)]
            held_out = [problem for problem in second if self._is_held_out(problem)]
        if not (first and learned and (held_out or config.stop != "weak")):
            raise SettingError(
                f"of {len(first) + len(second)} training problems {len(first)} are for the supervisor, "
                f"{len(learned)} for the student and {len(held_out)} held out; expected some of each",
                hint="take more training problems, or another held_out_share",
            )
        self.first, self.learned, self.held_out = Rows(first), Rows(learned), Rows(held_out)
        shape, context = run.format_of(run.base), run.base.context
        is_text = config.supervision == "text"
        self.classes = None if is_text else Classes.of([*first, *second], shape, context)
        losses = (config.loss, *config.beside) if config.supervision == "head" else ()
        if self.classes is not None and len(self.classes.words) > 2 and "logconf" in losses:
            raise SettingError(
                f"logconf is for two classes; the task has {', '.join(self.classes.words)}",
                hint="use --loss xent and --beside product",
            )
        self.sizes = {
            "problems of the supervisor": len(first),
            "problems of the student": len(learned),
            "held-out problems": len(held_out),
        }

    def _grouped(self, problem: Problem) -> Problem:
        return problem if self.config.grouped else replace(problem, group="")

    def _is_held_out(self, problem: Problem) -> bool:
        key = self._grouped(problem).group or problem.id
        return derived_seed("held-out", self.run.seed, key) % 10_000 < 10_000 * self.config.held_out_share

    def supervisor(self) -> Model:
        """Return the weak model that learned gold answers of half 1 (W)."""
        config = self.config
        rate = config.weak_learning_rate or config.optimizer.learning_rate
        like = replace(
            config,
            epochs=config.weak_epochs or config.epochs,
            optimizer=replace(config.optimizer, learning_rate=rate),
        )
        return self.with_gold(self.run.model("weak"), self.first, like, name="weak")

    def with_gold(
        self, start: Model, problems: Table[Problem], config: WeakToStrongConfig, *, name: str
    ) -> Model:
        """Return a model that learned the gold answers of these problems, and of no others."""
        rows = problems.join(self.run.labels("train", of=problems))
        if self.classes is not None:
            rows = rows.map(self.classes.gold)
        trained = self._trained(start, rows, self._loss("xent"), config, name)
        return trained if config.stop == "last" else self.run.best(trained.snapshots)

    def taught(self, start: Model, supervisor: Model, loss: str, *, name: str) -> Model:
        """Return a model that learned what a supervisor says (L, S), at the epoch that is chosen (E)."""
        rows = self._told(supervisor, self.learned, f"labels-of-{name}")
        trained = self._trained(start, rows, self._loss(loss), self.config, name)
        match self.config.stop:
            case "last":
                return trained
            case "weak":
                return self._agreeing(trained, supervisor, name)
            case "gold":
                self.run.note("an oracle: epochs were chosen by gold answers of the validation split")
                return self.run.best(trained.snapshots)

    def read(self, start: Model) -> Model:
        """Return a model that went on with language modelling on the questions of half 2."""
        if not self.config.reading_epochs:
            return start
        rows = self.learned.map(_as_text)
        like = replace(self.config, epochs=self.config.reading_epochs)
        return self._trained(start, rows, supervised(), like, "reading")

    def _told(self, supervisor: Model, problems: Table[Problem], name: str) -> Table[Any]:
        classes, is_hard = self.classes, self.config.hard_labels
        if classes is None:
            return self.run.sample(supervisor, problems, name=name)
        texts = None if self.config.supervision == "head" else classes.texts

        def told(problem: Problem, found: Logprobs) -> Example:
            return classes.told(problem, found, is_hard=is_hard)

        found = self.run.logprobs(supervisor, problems, texts, name=name)
        return found.where(_could_be_asked).map(told)

    def _trained(
        self, start: Model, rows: Table[Any], loss: Loss, config: WeakToStrongConfig, name: str
    ) -> Model:
        return self.run.train(start, rows, loss, optimizer=config.optimizer, epochs=config.epochs, name=name)

    def _loss(self, name: str) -> Loss:
        if self.classes is None:
            return supervised()
        if self.config.supervision == "words":
            return Xent(renormalised=False)
        head = self.config.head
        if name == "logconf":
            return LogConf(alpha=self.config.alpha, warmup_share=self.config.alpha_warmup, head=head)
        return Product(head=head) if name == "product" else Xent(head=head)

    def _agreeing(self, trained: Model, supervisor: Model, name: str) -> Model:
        """Return the epoch that says most often what the supervisor says of the held-out problems."""
        told = self.run.sample(supervisor, self.held_out, name=f"held-out-labels-of-{name}")
        said = [
            self.run.sample(model, self.held_out, name=f"held-out-{name}-{epoch}")
            for epoch, model in enumerate(trained.snapshots, start=1)
        ]
        if not all(table.is_known for table in (told, *said)):
            return trained
        shares = [self._agreement(table, told) for table in said]
        self.run.facts[f"agreement of {name} with held-out weak labels, by epoch"] = ", ".join(
            f"{share:.3f}" for share in shares
        )
        return trained.snapshots[shares.index(max(shares))]

    def _agreement(self, said: Table[Any], told: Table[Any]) -> float:
        same = self.run.task.verifier.same
        pairs = list(said.zip(told))
        return sum(
            ours.is_parsed and theirs.is_parsed and same(ours.answer, theirs.answer) for ours, theirs in pairs
        ) / len(pairs)


def _could_be_asked(problem: Problem, found: Logprobs) -> bool:
    """Whether the supervisor's context had room for the problem."""
    return bool(found.values)


def _as_text(problem: Problem) -> Example:
    """Return the question as plain text; what is learned begins behind its first word."""
    first, space, rest = problem.question.partition(" ")
    return Example((Message("text", first),), completion=space + rest, problem_id=problem.id)
