"""The Run: what a recipe calls. Its verbs are the stages; each is durable, found by what was asked.

    sample -> verify -> score -> select -> train -> evaluate

A recipe sees Tables and Models and nothing of engines, files or devices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count, islice, takewhile
from typing import Any

import orjson

from docendo.core.errors import GoldAccessError, PlanEnds, SettingError, StageError
from docendo.core.losses import Loss, Optimizer, supervised
from docendo.core.parts import identity_of
from docendo.core.protocols import (
    Engine,
    Format,
    Sampling,
    Selector,
    Task,
    Trainer,
    Verifier,
    Watcher,
)
from docendo.core.records import (
    Checkpoint,
    Embedding,
    Label,
    Model,
    Problem,
    Prompt,
    Sample,
    Score,
    Source,
)
from docendo.core.seeds import digest_of, digest_of_rows
from docendo.core.table import Rows, Table, Unknown
from docendo.core.verbs import Scorer
from docendo.runs import asking
from docendo.runs.evaluation import Evaluation, greedy_of
from docendo.runs.judging import Judgements
from docendo.runs.ledger import Ledger
from docendo.runs.plan import Plan, PlannedStage
from docendo.runs.scoring import Asking
from docendo.runs.selecting import selection_reasons
from docendo.runs.settings import RunSettings
from docendo.runs.stages import EngineWork, Place, engine_stage, written_stage
from docendo.runs.stored import Embedded, Read, Scored, Selected, Stored, Verified, WithLogprobs, row_ids
from docendo.runs.training import TrainRequest, train_stage
from docendo.runs.workspace import Sealed, StageKey, Workspace


class Run:
    """One execution of a recipe with one seed; or one arm beside it.

    Attributes:
        base: The starting Model.
        task: Where the problems come from. Its Labels are reached through the verbs only.
        seed: The run's seed.
        round: The round that is under way, from 1; 0 outside of rounds.
    """

    def __init__(
        self,
        *,
        name: str,
        workspace: Workspace,
        task: Task,
        models: Mapping[str, Model],
        engine: Callable[[str], Engine],
        trainer: Callable[[], Trainer],
        settings: RunSettings,
        arm: str = "method",
        plan: Plan | None = None,
    ) -> None:
        self.name = name
        self.workspace = workspace
        self.task = task
        self.models = models
        self.base = models["base"]
        self.settings = settings
        self.seed = settings.seed
        self.arm = arm
        self.round = 0
        self.plan = plan
        self.ledger = Ledger()
        self.evaluations: list[Evaluation] = []
        self.records: list[dict[str, Any]] = []
        self.kept_sizes: list[int] = []
        """How many rows each selection of the recipe kept, in order."""
        self.contamination: list[dict[str, Any]] = []
        self.notes: list[str] = []
        """What the user should know of how the run went."""
        self.chose_on_test = False
        """Whether something was chosen by test answers."""
        self.facts: dict[str, Any] = {}
        """Numbers of the recipe's own that belong into the result, by what they are called. JSON values."""
        self._engine = engine
        self.trainer = trainer
        self.remakes: dict[str, Callable[[], None]] = {}
        """How to make a trained checkpoint again whose folder is gone, by digest."""

    def arm_run(self, arm: str, kind: type[Run] | None = None, **more: Any) -> Run:
        """Return a Run for another arm: same problems, models, seed and workspace."""
        return (kind or Run)(
            name=self.name,
            workspace=self.workspace,
            task=self.task,
            models=self.models,
            engine=self._engine,
            trainer=self.trainer,
            settings=self.settings,
            arm=arm,
            plan=self.plan,
            **more,
        )

    @property
    def watcher(self) -> Watcher:
        """Who looks on."""
        return self.workspace.watcher

    def note(self, text: str) -> None:
        """Say something that belongs into the result, once."""
        if text not in self.notes:
            self.notes.append(text)
            self.watcher.says(text)

    # -- what there is ------------------------------------------------------------------------------------

    def model(self, role: str) -> Model:
        """Return the Model of a role (``base``, ``teacher``, ...).

        Raises:
            SettingError: The run has no model for it.
        """
        if role not in self.models:
            article = "an" if role[0] in "aeiou" else "a"
            raise SettingError(f"the recipe needs {article} {role} model", hint=f"name one with --{role}")
        return self.models[role]

    def models_of(self, role: str) -> tuple[Model, ...]:
        """Return the Models of a role that several may have, ``student-1``, ``student-2``, ...; or none."""
        names = (f"{role}-{number}" for number in count(1))
        return tuple(self.models[name] for name in takewhile(self.models.__contains__, names))

    def problems(self, split: str) -> Table[Problem]:
        """Return the problems of a split, as many as the settings say."""
        return Rows(self.task.problems(split, self._limit(split)))

    def labels(self, split: str, *, of: Iterable[Problem] | None = None) -> Table[Label]:
        """Return the gold answers of a split as rows.

        Args:
            split: Which.
            of: These problems alone; the others' answers are neither given nor counted as read. None: all.

        Raises:
            GoldAccessError: The split is ``test``.
        """
        if split == "test":
            raise GoldAccessError(
                "the gold answers of the test split are for `evaluate` alone",
                hint="learn from `train`, choose on `validation`",
            )
        labels = self.task.labels(split, self._limit(split))
        if of is not None:
            labels = {problem.id: labels[problem.id] for problem in of if problem.id in labels}
        self.ledger.read(split, "labels", labels)
        return Rows(labels.values(), sources=[Source.GOLD])

    def rounds(self, count: int) -> Iterator[int]:
        """Count rounds from 1, so that the stages of each are labelled with it."""
        try:
            for number in range(1, count + 1):
                self.round = number
                yield number
        finally:  # also where the recipe leaves the loop early
            self.round = 0

    def _limit(self, split: str) -> int | None:
        limits = {
            "train": self.settings.train_problems,
            "validation": self.settings.validation_problems,
            "test": self.settings.test_problems,
        }
        return limits.get(split)

    # -- asking -------------------------------------------------------------------------------------------

    def sample(
        self,
        model: Model,
        what: Table[Problem] | Table[Prompt],
        n: int = 1,
        *,
        first: int = 0,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        max_new_tokens: int | None = None,
        logprobs: bool = False,
        read: Format | None = None,
        name: str = "sample",
    ) -> Table[Sample]:
        """Draw ``n`` completions for each row, and read an answer off each.

        Args:
            model: Who answers. Problems are put by its Format and Context; a Prompt is sent as it is.
            what: Problems or Prompts.
            n: Samples a row, >= 1. At temperature 0 only 1 makes sense, and more are refused.
            first: Number of the first sample: numbers ``first`` to ``first + n - 1`` are drawn, and a sample
                with the same number, seed, model and prompt is the same sample whatever ``n`` is.
            temperature: 0 is greedy.
            top_k: Draw from the k most likely tokens; 0: all.
            top_p: Draw from the smallest set of tokens with this probability.
            max_new_tokens: Longest completion; None: the run's setting.
            logprobs: Keep each token's log-probability.
            read: The Format that reads the answers; None: the Model's.
            name: Tells two sample stages of a round apart in the report.

        Returns:
            Samples in row order, a row's samples together. A request that failed is a Sample with status
            ``failed`` and a reason.
        """
        if n < 1:
            raise SettingError(f"cannot draw {n} samples a problem; expected at least 1")
        if n > 1 and temperature == 0:
            raise SettingError(
                f"{n} samples a problem at temperature 0 are {n} times the same one",
                hint="set a temperature above 0, or draw 1",
            )
        shape = self.format_of(model)
        how = Sampling(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            max_new_tokens=self.settings.max_new_tokens if max_new_tokens is None else max_new_tokens,
            stop=getattr(shape, "stop", ()),
            logprobs=logprobs,
        )
        sources = what.sources | model.sources | {self._speaker(model)}
        if not what.is_known or not model.checkpoint.is_known:
            bound = None if what.bound is None else what.bound * n
            asked = {"checkpoint": model.checkpoint.digest, "context": identity_of(model.context)}
            asked |= {"what": what.plan_key, "n": n, "first": first, "how": identity_of(how)}
            tokens = (bound or 0) * how.max_new_tokens
            samples = self.unknown(StageKey("sample", asked), name, bound, sources, what, tokens=tokens)
            return self._unread(samples, read or shape, name)
        prompts = Rows(
            (shape.prompt(row, model.context) if isinstance(row, Problem) else row for row in what),
            sources=what.sources,
            stages=what.stages,
        )
        key, work = asking.sampling(
            self._asked(model), prompts, n=n, first=first, how=how, run_seed=self.seed
        )
        sealed = self._stage(
            key, name, prompts, work.total, work=work, tokens=work.total * how.max_new_tokens, sources=sources
        )
        if sealed is None:
            return self._unread(self.unknown(key, name, work.total, sources, what), read or shape, name)
        return self._read(Stored(sealed, sources=sources, stages=prompts.stages), read or shape, name)

    def _unread(self, samples: Unknown, shape: Format, name: str) -> Unknown:
        key = StageKey("read", {"samples": samples.plan_key, "format": identity_of(shape)})
        return self.unknown(key, f"{name}-read", samples.bound, samples.sources, samples)

    def _read(self, samples: Stored, shape: Format, name: str) -> Table[Sample]:
        key = StageKey("read", {"version": 1, "samples": samples.sealed.digest, "format": identity_of(shape)})

        def rows() -> Iterator[Sequence[Any]]:
            for sample in samples:
                found = shape.read(sample.full_text)
                yield sample.id, found.rationale, found.answer, found.is_parsed

        sealed = self._stage(key, f"{name}-read", samples, len(samples), rows=rows)
        if sealed is None:
            return self.unknown(key, f"{name}-read", len(samples), samples.sources, samples)
        return Read(samples, sealed)

    def logprobs(
        self,
        model: Model,
        what: Table[Any],
        continuations: Sequence[str] | None = None,
        *,
        by_token: bool = False,
        name: str = "logprobs",
    ) -> Table[Any]:
        """Give the log-probability of texts after each row's prompt.

        Args:
            model: Whose probabilities.
            what: Samples (None: of each one's own text, by its token ids where the tokenizer is the same);
                Examples (None: of each text that they teach, as it is learned: by its token ids where there
                are any, which must be the model's, and with the end token; of choices as they follow the
                prompt); Problems or Prompts with ``continuations``. Of a model with a classification head:
                Problems or Prompts without continuations, for its classes there; or Samples, behind their own
                text.
            continuations: The same texts for every row.
            by_token: Keep each token's log-probability.
            name: Label of the stage, and the name of the column on Samples.

        Returns:
            Samples with ``logprobs[name]``; otherwise pairs (row, `Logprobs`).
        """
        sources = what.sources | model.sources | {self._speaker(model)}
        if not what.is_known or not model.checkpoint.is_known:
            asked = {"checkpoint": model.checkpoint.digest, "what": what.plan_key, "of": continuations}
            return self.unknown(StageKey("logprobs", asked), name, what.bound, sources, what)
        key, work = asking.scoring(
            self._asked(model),
            what,
            shape=self.format_of(model),
            context=model.context,
            continuations=continuations,
            by_token=by_token,
        )
        sealed = self._stage(key, name, what, len(what), work=work, sources=sources)
        if sealed is None:
            return self.unknown(key, name, len(what), sources, what)
        return WithLogprobs(what, sealed, name=name, sources=sources)

    def embed(
        self, model: Model, problems: Table[Problem], *, name: str = "embeddings"
    ) -> Table[tuple[Problem, Embedding]]:
        """Give a vector for each problem's question.

        Args:
            model: Who embeds. Its Context's system text is put before each question as it stands, as
                ``query: `` is for E5; nothing else of the Context counts.
            problems: Whose questions.
            name: Label of the stage.

        Returns:
            Pairs of a Problem and its `Embedding`; one that failed to come is empty and has a reason.
        """
        sources = problems.sources | model.sources | {self._speaker(model)}
        if not problems.is_known or not model.checkpoint.is_known:
            asked = {"checkpoint": model.checkpoint.digest, "rows": problems.plan_key}
            return self.unknown(StageKey("embed", asked), name, problems.bound, sources, problems)
        key, work = asking.embedding(self._asked(model), problems, before=model.context.system)
        sealed = self._stage(key, name, problems, len(problems), work=work, sources=sources)
        if sealed is None:
            return self.unknown(key, name, len(problems), sources, problems)
        return Embedded(problems, sealed, sources=sources)

    # -- judging ------------------------------------------------------------------------------------------

    def verify(
        self, samples: Table[Sample], verifier: Verifier | None = None, *, name: str = "verdict"
    ) -> Table[Sample]:
        """Put a Verdict beside each sample, under ``name``.

        Raises:
            GoldAccessError: A gold verifier on problems of the test split; only `evaluate` may.
        """
        chosen = verifier or self.task.verifier
        if not samples.is_known:
            key = StageKey("verify", {"samples": samples.plan_key, "verifier": identity_of(chosen)})
            return self.unknown(key, name, samples.bound, samples.sources | {chosen.source}, samples)
        labels = self._labels_for(samples, chosen, "verify", may_see_test=False)
        key = StageKey("verify", self._verify_asked(samples, chosen, labels))
        judged = Judgements(samples, chosen, labels)
        sealed = self._stage(
            key,
            name,
            samples,
            len(samples),
            rows=lambda: ((sample.id, *values) for sample, values in judged),
            summary=judged.summary,
            note=judged.note,
            sources=[chosen.source],
        )
        if sealed is None:
            return self.unknown(key, name, len(samples), samples.sources | {chosen.source}, samples)
        return Verified(samples, sealed, name=name, source=chosen.source)

    def _verify_asked(
        self, samples: Table[Sample], verifier: Verifier, labels: Mapping[str, Label]
    ) -> dict[str, Any]:
        return {
            "version": 1,
            "samples": samples.digest,
            "verifier": identity_of(verifier),
            "labels": digest_of([[key, label.answer] for key, label in sorted(labels.items())]),
        }

    def _labels_for(
        self, samples: Table[Sample], verifier: Verifier, verb: str, *, may_see_test: bool
    ) -> dict[str, Label]:
        if verifier.source is not Source.GOLD:
            return {}
        found = samples.columns(["problem_id", "problem.split"])
        asked: dict[str, set[str]] = {}
        for problem_id, split in zip(found["problem_id"], found["problem.split"], strict=True):
            asked.setdefault(split, set()).add(problem_id)
        if "test" in asked and not may_see_test:
            raise GoldAccessError(
                f"{verb} was given samples of the test split, whose gold only `evaluate` on it may see",
                hint='use `run.evaluate(..., on="test")`, or a verifier that needs no gold answer',
            )
        labels: dict[str, Label] = {}
        for split, ids in asked.items():
            if split in self.task.splits:
                gold = self.task.labels(split, self._limit(split))
                mine = {key: gold[key] for key in ids if key in gold}
                self.ledger.read(split, verb, mine)
                labels |= mine
        return labels

    def score(self, samples: Table[Sample], scorer: Scorer) -> Table[Sample]:
        """Put a Score beside each sample, under the scorer's name."""
        asking = Asking(self)
        scores = iter(scorer.scores(samples, asking))
        is_there, first = True, list[Score]()
        try:
            first += islice(scores, 1)
        except PlanEnds:  # the stages that it asks for are listed by now
            is_there = False
        key, inputs = StageKey("score", asking.asked(samples, scorer)), asking.inputs(samples)
        sources = inputs.sources | {scorer.source}  # a model that was asked may have learned from gold
        if not is_there:
            return self.unknown(key, scorer.name, samples.bound, sources, samples)

        def rows() -> Iterator[Sequence[Any]]:
            for sample_id, score in zip(row_ids(samples)(), chain(first, scores), strict=True):
                yield sample_id, score.value, score.reason

        sealed = self._stage(key, scorer.name, inputs, len(samples), rows=rows, sources=[scorer.source])
        if sealed is None:
            return self.unknown(key, scorer.name, len(samples), sources, samples)
        return Scored(samples, sealed, name=scorer.name, source=scorer.source, sources=sources)

    # -- keeping ------------------------------------------------------------------------------------------

    def select(self, table: Table[Any], *selectors: Selector, name: str = "select") -> Selected | Table[Any]:
        """Keep some rows; every dropped one stays, with its reason, in ``.dropped``.

        Of several selectors each sees what those before it left.
        """
        return self.selected(table, selectors, name)

    def selected(
        self, table: Table[Any], selectors: Sequence[Selector], name: str, *, is_own: bool = True
    ) -> Table[Any]:
        """Do a select stage: of the recipe's own (counted in ``kept_sizes``), or one of the library's.

        The library's are for training, and note the digest of the rows that are left.
        """
        key = StageKey(
            "select",
            {
                "version": 1 if is_own else 2,
                "rows": table.plan_key,
                "selectors": [identity_of(selector) for selector in selectors],
                "seed": self.seed,
            },
        )
        if not table.is_known:
            return self.unknown(key, name, table.bound, table.sources, table)
        counts: dict[str, int] = {}
        flags: list[bool] = []

        def rows() -> Iterator[Sequence[Any]]:
            reasons = selection_reasons(table, selectors, self.seed)
            for row_id, reason in zip(row_ids(table)(), reasons, strict=True):
                flags.append(reason is None)
                if reason is not None:
                    counts[reason] = counts.get(reason, 0) + 1
                yield row_id, reason is None, reason or ""

        def summary() -> dict[str, Any]:
            ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
            told: dict[str, Any] = {"kept": sum(flags), "reasons": ordered}
            return told if is_own else {**told, "rows_digest": digest_of_rows(table.picked(flags))}

        sealed = self._stage(key, name, table, len(table), rows=rows, summary=summary)
        if sealed is None:
            return self.unknown(key, name, len(table), table.sources, table)
        chosen = Selected(table, sealed)
        if is_own:
            self.kept_sizes.append(len(chosen))
        return chosen

    # -- learning -----------------------------------------------------------------------------------------

    def train(
        self,
        start: Model,
        rows: Table[Any],
        loss: Loss | None = None,
        *,
        optimizer: Optimizer | None = None,
        epochs: int = 1,
        held_out: Table[Any] | None = None,
        reference: Model | None = None,
        name: str = "train",
    ) -> Model:
        """Fine-tune ``start`` on rows and return the new Model, with a snapshot for each epoch.

        Args:
            start: Whose weights are the first; its Context goes on to the new Model.
            rows: Samples (learned as they were sampled), pairs of Problem and Label (the Label's solution,
                put by start's Format), or Examples; whatever the loss reads.
            loss: The objective, of `docendo.core.losses`; None: supervised.
            optimizer: Learning rate, batch, schedule; None: the defaults.
            epochs: Passes over the rows, >= 1.
            held_out: Rows of the same kind whose loss picks the epoch; None: the last.
            reference: For losses with a reference, whose log-probabilities those are; None: start's. They
                are computed once, in a logprobs stage.
            name: Label of the stage.

        Raises:
            DataError: A row lacks what the loss reads.
            SettingError: The reference has another tokenizer than start, or the loss has no use for one.
            NothingToLearn: No row is left after those without an end and those found in an evaluation split
                were dropped.
        """
        return train_stage(
            self,
            TrainRequest(
                start=start,
                rows=rows,
                loss=loss or supervised(),
                optimizer=optimizer or Optimizer(),
                epochs=epochs,
                held_out=held_out,
                reference=reference,
                name=name,
            ),
        )

    # -- measuring ----------------------------------------------------------------------------------------

    def evaluate(self, what: Model | Table[Sample], on: str = "test", *, n: int | None = None) -> Evaluation:
        """Measure a Model, or Answers as they are, on a split.

        Args:
            what: A Model: it answers greedily, and ``n`` times at the evaluation temperature. A Table: one
                chosen Sample for each problem, measured as it is.
            on: The split.
            n: Samples a problem beside the greedy one; None: the run's setting on test, 0 elsewhere.

        Returns:
            The Evaluation. Of the test split a recipe cannot read a number.
        """
        model = what if isinstance(what, Model) else None
        label = f"evaluate-{on}"
        if isinstance(what, Model):
            problems = self.problems(on)
            draws = n if n is not None else (self.settings.evaluation_samples if on == "test" else 0)
            greedy = self._judged(self.sample(what, problems, name=label), label, on)
            sampled = None
            if draws:
                temperature = self.settings.evaluation_temperature
                drawn = self.sample(what, problems, draws, temperature=temperature, name=f"{label}-sampled")
                sampled = self._judged(drawn, f"{label}-sampled", on)
        else:
            greedy, sampled = self._judged(what, label, on), None
        evaluation = Evaluation(self.arm, self.round, on, model, greedy, sampled)
        self.evaluations.append(evaluation)
        return evaluation

    def _judged(self, samples: Table[Sample], name: str, on: str) -> Table[Sample]:
        verifier = self.task.verifier
        sources = samples.sources | {verifier.source}
        if not samples.is_known:
            key = StageKey("evaluate", {"samples": samples.plan_key, "verifier": identity_of(verifier)})
            return self.unknown(key, f"{name}-verdict", samples.bound, sources, samples)
        labels = self._labels_for(samples, verifier, "evaluate", may_see_test=on == "test")
        key = StageKey("evaluate", self._verify_asked(samples, verifier, labels))
        judged = Judgements(samples, verifier, labels)
        sealed = self._stage(
            key,
            f"{name}-verdict",
            samples,
            len(samples),
            rows=lambda: (
                (sample.id, sample.problem.id, sample.answer, *values) for sample, values in judged
            ),
            summary=judged.summary,
            note=judged.note,
            sources=[verifier.source],
        )
        if sealed is None:
            return self.unknown(key, f"{name}-verdict", len(samples), sources, samples)
        return Verified(samples, sealed, name="verdict", source=verifier.source)

    def best(self, models: Sequence[Model], on: str = "validation") -> Model:
        """Return the Model with the most correct greedy answers on a split; of equals the earliest."""
        if on == "test":
            raise GoldAccessError("`best` on the test split would choose by what only `evaluate` may see")
        if len(models) == 1:
            return models[0]
        return self._best(models, on)

    def best_on_test(self, models: Sequence[Model]) -> Model:
        """Choose on the test split, as some published code does. It flatters: the result is marked for it."""
        self.chose_on_test = True
        self.note("chosen on the test split, as published: accuracy is flattered, and no verdict rests on it")
        return self._best(models, "test")

    def _best(self, models: Sequence[Model], on: str) -> Model:
        found = [self.evaluate(model, on) for model in models]
        if not all(evaluation.is_known for evaluation in found):
            return _any_of(models)
        verdicts = [greedy_of(evaluation).columns(["verdict"])["verdict"] for evaluation in found]
        correct = [list(outcomes).count("correct") for outcomes in verdicts]
        return models[correct.index(max(correct))]

    # -- how a verb becomes a stage -----------------------------------------------------------------------

    def _stage(
        self,
        key: StageKey,
        name: str,
        inputs: Table[Any],
        total: int,
        *,
        rows: Callable[[], Iterable[Sequence[Any]]] | None = None,
        work: EngineWork | None = None,
        summary: Callable[[], Mapping[str, Any]] = dict,
        note: Callable[[], str] = str,
        tokens: int = 0,
        sources: Iterable[Source] = (),
    ) -> Sealed | None:
        """Return the sealed stage, doing it where it must be done; None in a plan where it must be done.

        ``sources``: what the stage itself brings in, beside those of its inputs.
        """
        label = self.label(name)
        if self.plan is not None:
            found = self.workspace.sealed(key.name)
            self.plan.note(PlannedStage(label, key.kind, total, True, found is not None, tokens), key.name)
            return found
        used = sorted(source.value for source in inputs.sources.union(sources))
        place = Place(self.name, label, sorted(inputs.stages), used)
        if work is not None:
            sealed, reused = engine_stage(self.workspace, key, place, work)
        else:
            assert rows is not None
            sealed, reused = written_stage(
                self.workspace, key, place, rows, total=total, summary=summary, note=note
            )
        self.record(sealed, place, reused)
        return sealed

    def record(self, sealed: Sealed, place: Place, reused: bool) -> None:
        """Write the stage into the run's own list, with its inputs and sources in this run."""
        entry = {
            "place": place.label,
            "arm": self.arm,
            "round": self.round,
            "stage": sealed.name,
            "kind": sealed.kind,
            "digest": sealed.digest,
            "rows": sealed.rows,
            "inputs": list(place.inputs),
            "sources": list(place.sources),
        }
        self.records.append(entry)
        self.ledger.sources.update(Source(source) for source in place.sources)
        with (self.workspace.runs / self.name / "stages.jsonl").open("ab") as file:
            file.write(orjson.dumps(entry) + b"\n")
        self.watcher.stage_ends(place.label, summary=_summary(sealed), reused=reused)

    def label(self, name: str) -> str:
        """Return ``arm/round-2/name`` for people."""
        return "/".join([self.arm, *([f"round-{self.round}"] if self.round else []), name])

    def unknown(
        self,
        key: StageKey,
        name: str,
        bound: int | None,
        sources: Iterable[Source],
        inputs: Table[Any],
        *,
        tokens: int = 0,
    ) -> Unknown:
        """Note a stage of a plan that cannot be told exactly, and return what stands for its rows."""
        if self.plan is None:
            raise StageError(f"{self.label(name)} was given rows that are not there")
        self.plan.note(PlannedStage(self.label(name), key.kind, bound, False, False, tokens), key.name)
        return Unknown(bound, asked=key.name, sources=sources, stages=inputs.stages)

    def format_of(self, model: Model) -> Format:
        """Return the Format that a Model's Context names."""
        formats = self.task.formats
        name = model.context.format
        if name not in formats:
            raise SettingError(
                f"task {self.task.name!r} has no format {name!r}", hint=f"it has: {', '.join(formats)}"
            )
        return formats[name]

    def _asked(self, model: Model) -> asking.Asked:
        return asking.Asked(
            checkpoint=model.checkpoint,
            engine=self._engine(model.checkpoint.engine),
            be_there=self.be_there,
            failure_budget=self.settings.failure_budget,
        )

    def _speaker(self, model: Model) -> Source:
        is_own = model.checkpoint.root == self.base.checkpoint.root
        return Source.SELF if is_own else Source.OTHER_MODEL

    def be_there(self, checkpoint: Checkpoint) -> None:
        """Make a trained checkpoint again whose folder was deleted."""
        remake = self.remakes.get(checkpoint.digest)
        if remake is not None:
            remake()


def _any_of(models: Sequence[Model]) -> Model:
    """Return what stands in a plan for one of several models; none can be told from another by its cost."""
    last = models[-1]
    if not any(model.checkpoint.is_known for model in models):
        return last
    digest = "?" + digest_of([model.checkpoint.digest for model in models])  # may be one that is there
    return replace(last, checkpoint=replace(last.checkpoint, digest=digest), snapshots=())


def _summary(sealed: Sealed) -> str:
    record = sealed.record
    if sealed.kind == "select":
        return f"{record['kept']:,} of {sealed.rows:,} rows kept"
    if "outcomes" in record:
        right = record["outcomes"].get("correct", 0)
        return f"{right:,} of {sealed.rows:,} correct ({100 * right / max(1, sealed.rows):.1f} %)"
    if sealed.kind == "train":
        return f"{sealed.rows:,} rows, loss {record['epochs'][-1]['train_loss']:.4f}"
    return f"{sealed.rows:,} rows"
