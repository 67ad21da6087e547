"""From a recipe to a result: the method, its arms, the comparisons, the verdict, ``result.json``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import orjson
import yaml

from docendo.core.errors import NothingToLearn, PlanEnds, SettingError
from docendo.core.losses import Optimizer
from docendo.core.parts import identity_of
from docendo.core.protocols import Engine, Task, Trainer
from docendo.core.records import Model
from docendo.evidence.arms import Controls, gold, unverified
from docendo.evidence.choosing import Candidates, Chosen, choosing_entry, chosen
from docendo.evidence.measures import Measured, as_pair, majority_of, measured, silence_in_words
from docendo.evidence.recovered import recoveries
from docendo.evidence.verdict import verdict
from docendo.metrics.paired import compare
from docendo.metrics.transitions import transitions
from docendo.runs.plan import Plan
from docendo.runs.recipe import CONTROLS, Recipe, spec_of
from docendo.runs.run import Run
from docendo.runs.settings import RunSettings
from docendo.runs.stages import storage_faults, versions
from docendo.runs.workspace import Workspace, write_durably


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Everything that an execution of a recipe needs."""

    name: str
    recipe_name: str
    recipe: Recipe
    config: Any
    settings: RunSettings
    task: Task
    models: Mapping[str, Model]
    workspace: Workspace
    engine: Callable[[str], Engine]
    trainer: Callable[[], Trainer]
    seeds: Sequence[int] = (0,)
    controls: Controls = "basic"
    command: str = ""
    described: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further settings as the user gave them, for ``run.yaml``."""

    def __post_init__(self) -> None:
        if self.controls not in get_args(Controls):
            raise SettingError(
                f"controls is {self.controls!r}; expected one of {', '.join(get_args(Controls))}"
            )
        if not self.seeds:
            raise SettingError("there is no seed; expected at least one")


@dataclass(frozen=True, slots=True)
class Ends:
    """What of one seed's run goes into the result over several."""

    finals: dict[str, Measured]
    """By arm: what counts in the end."""
    chosen: Chosen | None
    """Of recipes that choose among scored samples: what could have been chosen."""


def experiment(asked: Experiment) -> dict[str, Any]:
    """Execute a recipe with its arms for every seed, write the results and return the one of ``name``.

    With one seed the run is called ``name``. With several the runs are ``name-seed0``, ``name-seed1``, ...
    and ``name`` holds the result over all of them.
    """
    if len(asked.seeds) == 1:
        result, _ = _one_seed(asked, asked.name, asked.seeds[0])
        return result
    results: list[dict[str, Any]] = []
    ends: list[Ends] = []
    for seed in asked.seeds:
        asked.workspace.watcher.says(f"seed {seed}")
        result, found = _one_seed(asked, f"{asked.name}-seed{seed}", seed)
        results.append(result)
        ends.append(found)
    with storage_faults(f"run {asked.name}"), asked.workspace.running(asked.name) as folder:
        write_durably(folder / "run.yaml", _described(asked, asked.seeds))
        whole = _over_seeds(asked, results, ends)
        _write_result(folder, whole)
    return whole


def plan(asked: Experiment) -> Plan:
    """Return what `experiment` would do, starting nothing. Of several seeds the first is planned."""
    planned = Plan()
    seed = asked.seeds[0]
    run = _run(asked, asked.name, seed, planned)
    try:
        _arms(asked, run)
    except PlanEnds:
        planned.is_complete = False
        bound = getattr(asked.config, "request_bound", None)
        if bound is not None:
            planned.bound = str(bound(run))
    return planned


def _run(asked: Experiment, name: str, seed: int, planned: Plan | None = None) -> Run:
    return Run(
        name=name,
        workspace=asked.workspace,
        task=asked.task,
        models=asked.models,
        engine=asked.engine,
        trainer=asked.trainer,
        settings=replace(asked.settings, seed=seed),
        plan=planned,
    )


def _one_seed(asked: Experiment, name: str, seed: int) -> tuple[dict[str, Any], Ends]:
    with storage_faults(f"run {name}"), asked.workspace.running(name) as folder:
        write_durably(folder / "run.yaml", _described(asked, [seed]))
        (folder / "stages.jsonl").write_bytes(b"")
        run = _run(asked, name, seed)
        runs, returned, candidates = _arms(asked, run)
        every = runs if candidates is None else [*runs, candidates.run]
        same = asked.task.verifier.same
        entries: list[Measured] = []
        finals: dict[str, Measured] = {}
        numbers: dict[frozenset[str], Measured] = {}  # mostly the returned model was measured already
        for arm_run in runs:
            final = arm_run.evaluations[-1]
            for evaluation in arm_run.evaluations:
                is_final = evaluation is final
                found = numbers.get(evaluation.stages) or measured(
                    evaluation,
                    seed=seed,
                    same=same,
                    problem_ids=[problem.id for problem in run.problems(evaluation.split)],
                    is_positive=_positives(asked, evaluation.split),
                    positive=asked.settings.positive,
                )
                numbers[evaluation.stages] = found
                entry = replace(found, arm=arm_run.arm, round="final" if is_final else evaluation.round)
                entries.append(entry)
                if is_final:
                    finals[arm_run.arm] = entry
        if asked.controls != "none":
            vote = majority_of(runs[0].evaluations[-1], seed=seed, same=same, k=_vote_size(asked))
            finals["majority"] = vote
            entries.append(vote)
        ids = [problem.id for problem in run.problems("test")]
        ends = Ends(finals, None if candidates is None else chosen(candidates, same, ids))
        result = {
            **_head(asked, name, [seed]),
            "evaluations": _without_repeats(entries),
            **_judged(asked, [ends], chose_on_test=run.chose_on_test),
            "transitions": _transitions(finals),
            "chosen": _chosen(asked.workspace, returned),
            "information": _information(every, returned),
            "contamination": run.contamination,
            "notes": [
                *dict.fromkeys(note for arm_run in runs for note in arm_run.notes),
                *filter(None, map(silence_in_words, finals.values())),
            ],
            "facts": _facts(runs),
            "stages": [record for arm_run in every for record in arm_run.records],
            "cost": _cost(asked.workspace, every),
        }
        _write_result(folder, result)
        return result, ends


def _positives(asked: Experiment, split: str) -> dict[str, bool] | None:
    """Return whether each problem's gold answer is the positive class; None where none is named.

    Raises:
        SettingError: No problem of the split has it.
    """
    positive = asked.settings.positive
    if not positive:
        return None
    labels = asked.task.labels(split)
    same = asked.task.verifier.same
    found = {problem_id: same(label.answer, positive) for problem_id, label in labels.items()}
    if not any(found.values()):
        answers = ", ".join(sorted({label.answer for label in labels.values()})[:5])
        raise SettingError(
            f"positive is {positive!r}, but no problem of {split} has this answer", hint=f"answers: {answers}"
        )
    return found


def _facts(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """Return each arm's own numbers; what an arm has in common with the method stands once."""
    own = next(run.facts for run in runs if run.arm == "method")
    told = {
        run.arm: {key: value for key, value in run.facts.items() if own.get(key, None) != value}
        for run in runs
        if run.arm != "method"
    }
    return {arm: facts for arm, facts in {"method": own, **told}.items() if facts}


def _arms(asked: Experiment, run: Run) -> tuple[list[Run], Model | Any, Candidates | None]:
    """Execute all arms, each ending with the evaluation that counts; the base first.

    Returns:
        The arms; what the method returned; and what it chose among, where it does.
    """
    spec = spec_of(asked.recipe)
    for role in spec.needs(asked.config):
        run.model(role)  # a missing one is told before work starts
    draws = max(asked.settings.evaluation_samples, _vote_size(asked) if asked.controls != "none" else 0)
    base = run.arm_run("base")
    base.evaluate(run.base, n=draws)
    returned = asked.recipe(run, asked.config)
    run.evaluate(returned)
    runs = [base, run]
    if asked.controls != "none":
        if spec.has_unverified:
            try:
                control, random = unverified(run, asked.recipe, asked.config)
                control.evaluate(random)
                runs.append(control)
            except NothingToLearn as nothing:  # random pairs may be none at all
                run.note(f"no unverified arm: {nothing.message}")
        for arm in spec.arms(asked.config):
            beside = run.arm_run(arm.name)
            try:
                beside.evaluate(arm.recipe(beside, asked.config))
                runs.append(beside)
            except NothingToLearn as nothing:
                run.note(f"no {arm.name} arm: {nothing.message}")
    if asked.controls == "full":
        optimizer = getattr(asked.config, "optimizer", Optimizer())
        try:
            golden, trained = gold(run, optimizer, getattr(asked.config, "epochs", 1))
            golden.evaluate(trained)
            runs.append(golden)
        except NothingToLearn:
            run.note("no gold arm: the task has no worked solutions")
    choosing = spec.choosing(asked.config)
    if choosing is None:
        return runs, returned, None
    beside = run.arm_run("candidates")
    return runs, returned, Candidates.judged(choosing, beside, with_further=asked.controls != "none")


def _vote_size(asked: Experiment) -> int:
    """Return k of the majority vote: as many samples a problem as the method draws."""
    size: int = getattr(asked.config, "samples_per_problem", 0) or asked.settings.evaluation_samples
    return max(1, size)


def _head(asked: Experiment, name: str, seeds: Sequence[int]) -> dict[str, Any]:
    return {
        "format": 1,
        "name": name,
        "recipe": asked.recipe_name,
        "task": asked.task.name,
        "model": asked.models["base"].checkpoint.name,
        "roles": {role: model.checkpoint.name for role, model in asked.models.items() if role != "base"},
        "config": identity_of(asked.config),
        "settings": identity_of(replace(asked.settings, seed=seeds[0])),
        "controls": asked.controls,
        "seeds": list(seeds),
        "versions": versions(),
    }


def _without_repeats(entries: Sequence[Measured]) -> list[dict[str, Any]]:
    """Return the entries; answers measured again stand once, in the round that made them.

    On the test split they stand in every round that returned them, so that rounds can be held against each
    other over seeds. What tells answers apart are their stages: a model may get another Context and no name.
    """
    out: dict[tuple[Any, ...], dict[str, Any]] = {}
    for entry in entries:
        when = entry.round if entry.split == "test" else entry.round == "final"
        stages = sorted(stage for names in entry.extra["stages"].values() for stage in names)
        out.setdefault((entry.arm, entry.split, when, *stages), entry.entry())
    return list(out.values())


def _judged(asked: Experiment, ends_S: Sequence[Ends], *, chose_on_test: bool) -> dict[str, Any]:
    """Compare the arms, aggregated over seeds, and judge the method against its rivals."""
    finals_S = [ends.finals for ends in ends_S]
    comparisons: list[dict[str, Any]] = []
    intervals: list[Any] = []
    rivals = _rivals(asked)
    there = [name for name in finals_S[0] if all(name in finals for finals in finals_S)]
    others = [name for name in there if name not in ("method", *CONTROLS)]
    pairs = [("method", name) for name in (*CONTROLS, *others)]
    pairs += [(name, rival) for name in ("unverified", *others) for rival in ("base", "majority")]
    for arm, rival in pairs:
        if arm in there and rival in there:
            problem_ids = sorted(finals_S[0][arm].outcomes)
            found = compare(
                [finals[arm].is_correct(problem_ids) for finals in finals_S],
                [finals[rival].is_correct(problem_ids) for finals in finals_S],
            )
            if arm == "method" and rival in rivals:
                intervals.append(found.interval)
            comparisons.append(
                {
                    "arm": arm,
                    "against": rival,
                    "is_rival": arm == "method" and rival in rivals,
                    "n": found.n_problems,
                    "seeds": found.n_seeds,
                    "accuracy": found.mean_first,
                    "accuracy_against": found.mean_second,
                    "difference": found.difference,
                    "interval": as_pair(found.interval),
                    "bootstrap": as_pair(found.bootstrap),
                    "over_seeds": None if found.over_seeds is None else as_pair(found.over_seeds),
                    "p_value": found.mcnemar_p_S[0] if found.n_seeds == 1 else None,
                    "p_value_of_seed": list(found.mcnemar_p_S),
                    "verdict": verdict([found.interval]),
                }
            )
    return {
        "comparisons": comparisons,
        **_recovered(asked, finals_S),
        **_choosing([ends.chosen for ends in ends_S]),
        "verdict": verdict([] if chose_on_test else intervals),
        "chose_on_test": chose_on_test,
    }


def _recovered(asked: Experiment, finals_S: Sequence[Mapping[str, Measured]]) -> dict[str, Any]:
    """Return what is recovered of the recipe's gap; nothing where it has none."""
    gap = spec_of(asked.recipe).gap
    return {} if gap is None else {"recovered": recoveries(gap, finals_S, asked.task.verifier.same)}


def _choosing(chosen_S: Sequence[Chosen | None]) -> dict[str, Any]:
    """Return what could have been chosen; nothing where the recipe does not choose among scored samples."""
    known_S = [one for one in chosen_S if one is not None]
    return {"choosing": choosing_entry(known_S)} if known_S else {}


def _rivals(asked: Experiment) -> frozenset[str]:
    """Return the arms that the method must beat, each at a budget like its own or as free as it can be."""
    spec = spec_of(asked.recipe)
    return frozenset(spec.rivals) | {arm.name for arm in spec.arms(asked.config) if arm.is_rival}


def _transitions(finals: Mapping[str, Measured]) -> list[dict[str, Any]]:
    base = finals["base"]
    ids = sorted(base.outcomes)
    out: list[dict[str, Any]] = []
    for name, final in finals.items():
        if name != "base":
            found = transitions(base.is_correct(ids), final.is_correct(ids))
            out.append(
                {
                    "from": "base",
                    "to": name,
                    "right_right": found.right_right,
                    "right_wrong": found.right_wrong,
                    "wrong_right": found.wrong_right,
                    "wrong_wrong": found.wrong_wrong,
                }
            )
    return out


def _folder(workspace: Workspace, chosen: Model) -> str:
    """Return where a trained checkpoint lies in the workspace; empty for a base."""
    location = Path(chosen.checkpoint.location)
    if not chosen.checkpoint.location or not location.is_relative_to(workspace.checkpoints):
        return ""
    return str(location.relative_to(workspace.path))


def _chosen(workspace: Workspace, chosen: Model | Any) -> dict[str, Any]:
    if not isinstance(chosen, Model):
        return {"kind": "answers"}
    return {
        "kind": "model",
        "name": chosen.checkpoint.name,
        "checkpoint": chosen.checkpoint.digest,
        "folder": _folder(workspace, chosen),
        "context": identity_of(chosen.context),
        "sources": sorted(source.value for source in chosen.sources),
    }


def _information(runs: Sequence[Run], chosen: Model | Any) -> dict[str, Any]:
    """Say for each arm what it has read, and what is in the model or the answers that the method returned."""
    return {
        **{run.arm: run.ledger.summary() for run in runs},
        "in_the_result": sorted(source.value for source in chosen.sources),
    }


def _cost(workspace: Workspace, runs: Sequence[Run]) -> dict[str, Any]:
    """Sum up what the stages cost, each once; ``seconds`` is when each was first made, by whichever run."""
    fields = ("prompt_tokens", "generated_tokens", "trained_tokens", "usd", "seconds")
    total: dict[str, Any] = {}
    seen: set[str] = set()
    for run in runs:
        sums = dict.fromkeys(fields, 0.0)
        for record in run.records:
            if record["stage"] in seen:
                continue
            seen.add(record["stage"])
            sealed = workspace.sealed(record["stage"])
            if sealed is not None:
                for name in fields:
                    sums[name] += sealed.record["cost"][name]
        total[run.arm] = {
            name: round(value, 3) if name in ("usd", "seconds") else int(value)
            for name, value in sums.items()
        }
    return total


def _over_seeds(
    asked: Experiment, results: Sequence[Mapping[str, Any]], ends_S: Sequence[Ends]
) -> dict[str, Any]:
    return {
        **_head(asked, asked.name, asked.seeds),
        "runs": [result["name"] for result in results],
        "evaluations": [entry for result in results for entry in result["evaluations"]],
        **_judged(asked, ends_S, chose_on_test=any(result["chose_on_test"] for result in results)),
        "transitions": [
            {"seed": result["seeds"][0], **entry} for result in results for entry in result["transitions"]
        ],
        "chosen": [result["chosen"] for result in results],
        "information": [result["information"] for result in results],
        "contamination": [
            {"seed": result["seeds"][0], **entry} for result in results for entry in result["contamination"]
        ],
        "notes": sorted({note for result in results for note in result["notes"]}),
        "facts": [result["facts"] for result in results],
        "cost": [result["cost"] for result in results],
    }


def _described(asked: Experiment, seeds: Sequence[int]) -> bytes:
    described = {
        "recipe": asked.recipe_name,
        "task": asked.task.name,
        "models": {role: model.checkpoint.name for role, model in asked.models.items()},
        "seeds": list(seeds),
        "controls": asked.controls,
        "settings": identity_of(asked.settings),
        "config": identity_of(asked.config),
        **asked.described,
        "versions": versions(),
        "command": asked.command or shlex.join(["docendo", *sys.argv[1:]]),
    }
    return yaml.safe_dump(described, sort_keys=False, allow_unicode=True).encode()


def _write_result(folder: Any, result: Mapping[str, Any]) -> None:
    write_durably(folder / "result.json", orjson.dumps(result, option=orjson.OPT_INDENT_2))
