"""ReST: sample once, then learn several times from ever better parts of what was sampled.

Gulcehre, Le Paine, Srinivasan et al. (2023), arXiv:2308.08998, algorithm 1 and section 3. D: the training
split's own worked solutions.

    S  pi = the base, fine-tuned on D
    T  where R is to be trained: a head on pi learns which of pi's samples of further problems are right
    for g = 1 .. G
        G  draw n completions of every problem from pi;  D_g = those and D, each scored once by the reward R
        R  bring the rewards of D_g to [0, 1]
        for i = 1 .. I, thresholds tau_i rising from above the mean reward of D_g, learning rates falling
            F  keep what has R > tau_i, human or not
            I  pi = pi, fine-tuned further on the kept, while the reward on the validation split rises
    return pi

A round is one Improve step. Departures, each a setting where that makes sense:
  - "While the reward improves" is read as: a step after which the validation reward has not risen is dropped,
    and with it the later steps of that Grow (``stop_early``).
  - Duplicates are not mentioned in the paper; here each text of a problem is learned once (``deduplicate``).
  - R learned from human ratings there. Here it is a verifier, agreement, a reward model that is there, or one
    that this run trains on verdicts, of problems that no Grow draws, so that it cannot know their answers.
  - Thresholds that are not above the mean reward are raised to it, which theory asks for (App. A.3).
  - The value function of BVMPO and OAC is a trained network there. Here a token's advantage is the reward of
    its sample less the mean reward of its problem in D_g: no value function of single prefixes.
  - Learning rates are not given; here each Improve step has ``rate_decay`` times that of the one before, and
    each Grow begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Literal

from docendo.core.checks import Checks
from docendo.core.errors import NothingToLearn
from docendo.core.losses import ActorCritic, BehaviouralCloning, Bvmpo, Gold, Loss, Optimizer
from docendo.core.records import Model, Problem, Sample
from docendo.core.table import Table
from docendo.core.verbs import Scorer
from docendo.examples.advantages import WithAdvantages
from docendo.examples.demonstrations import Demonstrated, is_demonstration, solved
from docendo.runs.recipe import Arm, Recipe, Spec, recipe
from docendo.runs.rewards import RewardSettings, rewards_of, watched
from docendo.runs.run import Run
from docendo.scorers.rescaled import Rescaled
from docendo.selectors.choose import Choose
from docendo.selectors.distinct import distinct
from docendo.selectors.threshold import Above, Rule, rising


@dataclass(frozen=True, slots=True, kw_only=True)
class RestConfig:
    """Settings of ReST. Where the paper's value is another one than ours, it stands behind it."""

    grows: int = 2
    """G. Paper: 1 and 2."""
    thresholds: tuple[float, ...] = (0.5, 0.75)
    """tau_1 < ... < tau_I of each Grow: rewards in [0, 1], percentiles, or gammas. Paper: 0.7, 0.8, 0.9,
    0.95, 0.99 on IWSLT 2014."""
    threshold_rule: Rule = "global"
    """Global: one threshold for all (paper's main results). Percentile, interpolation: one a problem."""
    reward: RewardSettings = field(default_factory=RewardSettings)
    """R. Paper: a learned metric of translations without references, trained on human ratings."""
    samples_per_problem: int = 3
    """n. Paper: 100 on IWSLT 2014, 25 on WMT 2020, 1000 on the Web Domain."""
    temperature: float = 0.8
    """Temperature of a Grow step (paper)."""
    human_data: bool = True
    """Keep the training split's own solutions in D_g, under the same filter (paper)."""
    deduplicate: bool = True
    """Learn each text of a problem once. Paper: not stated."""
    supervised_epochs: int = 2
    """Passes over D before the first Grow. 0: the base is pi."""
    loss: Literal["bc", "gold", "bvmpo", "oac"] = "bc"
    """Of an Improve step. Paper: all four; bc gave the highest rewards."""
    mean_over: Literal["kept", "all"] = "kept"
    """With bc: the mean over the kept rows, as most trainers have it, or over all of D_g (paper)."""
    rate_decay: float = 0.5
    """An Improve step's learning rate over that of the one before; above 0 and below 1. Paper: not stated."""
    epochs: int = 1
    """Passes over the kept rows in an Improve step. Paper: 500,000 steps."""
    stop_early: bool = True
    """End a Grow's Improve steps where the validation reward has not risen."""
    validation_samples: int = 4
    """Samples a validation problem for that reward, at the Grow's temperature. Paper: not stated."""
    longer_epochs: int = 8
    """Further passes over D in the arm ``longer``; 0: no such arm. For an equal budget: as many as learn as
    many rows as the Improve steps do."""
    best_of: int = 4
    """N of the Best-of-N arms; 0: none. Paper: up to 200."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=2e-3))
    """How training walks downhill; its learning rate is that of the first Improve step, and of S."""

    def __post_init__(self) -> None:
        checks = Checks(self).at_least(1, "grows", "samples_per_problem", "epochs", "validation_samples")
        checks.at_least(0, "supervised_epochs", "longer_epochs", "best_of").above(0, "temperature")
        told = ",".join(map(str, self.thresholds))
        pairs = zip(self.thresholds, self.thresholds[1:], strict=False)
        checks.that(
            bool(self.thresholds) and all(low < high for low, high in pairs),
            f"thresholds is {told or 'empty'}; expected rising numbers, at least one",
        )
        checks.that(
            all(0 <= level < 1 for level in self.thresholds),
            f"thresholds is {told}; expected numbers from 0 to below 1, where rewards lie",
        )
        checks.that(0 < self.rate_decay < 1, f"rate_decay is {self.rate_decay}; expected above 0 and below 1")
        checks.that(
            not (self.human_data and self.loss in ("bvmpo", "oac")),
            f"loss is {self.loss} and human_data is on; expected human_data off: human solutions have no "
            "sampled tokens for advantages to stand on",
        )
        checks.that(
            not (self.reward.reward_by == "trained" and self.optimizer.lora_rank),
            f"reward_by is trained and lora_rank is {self.optimizer.lora_rank}; expected lora_rank 0: all "
            "weights learn with a head",
        ).done()


def _arms(config: RestConfig) -> Sequence[Arm]:
    arms = [Arm("unfiltered", unfiltered, is_rival=False)]
    if config.supervised_epochs:
        arms.insert(0, Arm("supervised", supervised))
    if config.supervised_epochs and config.longer_epochs:
        arms.insert(1, Arm("longer", longer))
    if config.best_of and config.reward.reward_by != "verifier":  # of test problems no verdict may be seen
        arms.append(Arm(f"supervised, best of {config.best_of}", _best_of(supervised), is_rival=False))
        arms.append(Arm(f"best of {config.best_of}", _best_of(_improved), is_rival=False))
    return arms


def _needs(config: RestConfig) -> Sequence[str]:
    return config.reward.roles


@recipe(Spec(roles=("reward",), needs=_needs, arms=_arms))
def rest(run: Run, config: RestConfig) -> Model:
    """Return the policy after the last Improve step that raised the validation reward."""
    return _improved(run, config, is_measured=True)


def _improved(run: Run, config: RestConfig, *, is_measured: bool = False) -> Model:
    size = len(config.thresholds)
    begun = policy = supervised(run, config)  # S
    reward = _reward(run, config, begun)  # T
    if config.reward.reward_by == "verifier" and size > 1:
        run.note(
            "rewards are 0 or 1: every threshold below 1 keeps the same samples, so that further Improve "
            "steps filter nothing more"
        )
    before = _watched(run, config, reward, policy, "start")
    grown: Table[Sample] | None = None
    taus: Sequence[float] = ()
    for step in run.rounds(config.grows * size):
        g, i = divmod(step - 1, size)
        if i == 0:
            rewarded = run.score(_drawn(run, config, policy), reward)  # G
            grown = run.score(rewarded, Rescaled(source=reward.source))  # R
            taus = _taus(run, config, grown)
        if grown is None or i >= len(taus):
            continue
        above = Above(level=taus[i], rule=config.threshold_rule)
        kept = run.select(grown, *([distinct] if config.deduplicate else []), above)  # F
        rate = config.optimizer.learning_rate * config.rate_decay**i
        optimizer = replace(config.optimizer, learning_rate=rate)
        loss, rows = _lessons(config, kept, grown)
        reference = begun if loss.reads.reference else None
        try:
            trained = run.train(  # I
                policy, rows, loss, optimizer=optimizer, epochs=config.epochs, reference=reference
            )
        except NothingToLearn as nothing:
            run.note(f"{nothing.message}: too few rewards are above {taus[i]:.3g}")
            grown = None
            continue
        if is_measured:
            run.evaluate(trained)
        name = f"grow {g + 1}, improve {i + 1}"
        run.facts |= _facts_of(name, taus[i], kept, grown)
        now = _watched(run, config, reward, trained, name)
        if config.stop_early and now is not None and before is not None and now <= before:
            run.note(
                f"{run.label('train')}: dropped, validation reward {before:.3f} before and {now:.3f} after"
            )
            grown = None
            continue
        policy, before = trained, now
    return policy


def supervised(run: Run, config: RestConfig) -> Model:
    """Return the base after the supervised epochs: the paper's BC, G = 0 and I = 0."""
    if not config.supervised_epochs:
        return run.base
    rows, epochs = _solved(run, run.problems("train")), config.supervised_epochs
    return run.train(run.base, rows, optimizer=config.optimizer, epochs=epochs, name="supervised")


def longer(run: Run, config: RestConfig) -> Model:
    """Return the supervised model after further passes over D alone, at the best of these on validation."""
    start, rows, epochs = supervised(run, config), _solved(run, run.problems("train")), config.longer_epochs
    trained = run.train(start, rows, optimizer=config.optimizer, epochs=epochs, name="longer")
    return run.best([start, *trained.snapshots])


def unfiltered(run: Run, config: RestConfig) -> Model:
    """Return what all of the first D_g makes of the policy: the paper's G = 1, I = 0."""
    start = supervised(run, config)
    rows = _drawn(run, config, start)
    return run.train(start, rows, BehaviouralCloning(), optimizer=config.optimizer, epochs=config.epochs)


def _best_of(recipe: Callable[[Run, RestConfig], Model]) -> Recipe:
    """Return the arm that answers with the best-rewarded of N samples of a model for each test problem."""

    def best_of(run: Run, config: RestConfig) -> Table[Sample]:
        model, problems, n = recipe(run, config), run.problems("test"), config.best_of
        drawn = run.sample(model, problems, n, temperature=config.temperature, name="best-of")
        best = Choose("best", run.task.verifier, score="reward")
        reward = _reward(run, config, supervised(run, config))
        return run.select(run.score(drawn, reward), best, name="best-of")

    return best_of


def _reward(run: Run, config: RestConfig, begun: Model) -> Scorer:
    """Return R; where it is to be trained, on samples of the supervised model (T)."""
    n, heat = config.samples_per_problem, config.temperature
    return config.reward.scorer(run, begun, config.optimizer, n=n, temperature=heat)


def _solved(run: Run, problems: Table[Problem]) -> Table[Any]:
    without = "go on without: --no-human-data --supervised-epochs 0"
    return solved(problems, run.labels("train", of=problems), otherwise=without)


def _drawn(run: Run, config: RestConfig, policy: Model) -> Table[Sample]:
    """Return D_g: the policy's samples and, as samples too, the human solutions."""
    (problems, _), n = config.reward.problems(run), config.samples_per_problem
    drawn = run.sample(policy, problems, n, temperature=config.temperature, name="grow")
    if not config.human_data:
        return drawn
    return drawn + _solved(run, problems).map(Demonstrated(run.format_of(policy), policy.context).sample)


def _taus(run: Run, config: RestConfig, grown: Table[Sample]) -> Sequence[float]:
    """Return the thresholds of a Grow: a global one is never below the mean reward."""
    if config.threshold_rule != "global" or not grown.is_known:
        return config.thresholds
    mean = fmean(rewards_of(grown, "rescaled") or [0.0])
    taus = rising(config.thresholds, mean)
    if taus != config.thresholds:
        run.note(f"{run.label('grow')}: thresholds up to the mean reward, {mean:.3f}, were raised to it")
    return taus


def _lessons(config: RestConfig, kept: Table[Sample], grown: Table[Sample]) -> tuple[Loss, Table[Any]]:
    """Return the loss of an Improve step and the rows that it learns from."""
    is_known = kept.is_known and grown.is_known and len(kept) > 0
    match config.loss:
        case "bc":
            share = len(kept) / len(grown) if is_known and config.mean_over == "all" else 1.0
            return BehaviouralCloning(kept_share=share), kept
        case "gold":
            return Gold(), kept
        case "bvmpo" | "oac":
            loss = Bvmpo() if config.loss == "bvmpo" else ActorCritic()
            return loss, kept.map(WithAdvantages(grown, "rescaled")) if is_known else kept


def _watched(run: Run, config: RestConfig, reward: Scorer, policy: Model, name: str) -> float | None:
    n, heat = config.validation_samples, config.temperature
    return watched(run, reward, policy, name, n=n, temperature=heat)


def _facts_of(name: str, tau: float, kept: Table[Sample], grown: Table[Sample]) -> dict[str, Any]:
    if not (kept.is_known and grown.is_known):
        return {}
    columns = kept.columns(["id", "problem_id"])
    told = {
        "threshold": tau,
        "share kept": len(kept) / len(grown),
        "human solutions kept": sum(map(is_demonstration, columns["id"])),
        "mean reward of D_g": fmean(rewards_of(grown, "rescaled")),
        "mean reward kept": fmean(rewards_of(kept, "rescaled")),
        "problems kept": len(set(columns["problem_id"])),
    }
    return {f"{name}: {key}": value for key, value in told.items()}
