"""SPIN: a model learns to tell its demonstrations from what it says itself.

Chen, Deng, Yuan, Ji and Gu (2024), arXiv:2401.01335, algorithm 1 and section 4. D: the training split's own
worked solutions; theta_0: a model that was fine-tuned on them.

    for t = 0 .. T-1
        O  draw one completion y' of every prompt from theta_t
        P  pair each demonstration y with the y' of its prompt, and add the pairs of the iteration before
        M  theta_{t+1} minimises l(lambda log(p(y)/p_t(y)) - lambda log(p(y')/p_t(y'))) from theta_t, where
           p_t, the reference, is theta_t itself
    return the best of theta_0 .. theta_T on the validation split

What is drawn and what is scored is put in one format. Departures, each a setting where that makes sense:
  - The theory draws y' from theta_t as it is, so at temperature 1, as here; the released script decodes
    greedily (``temperature=0``), its vLLM variant at 1.
  - Pairs of equal texts are dropped and counted; they give no gradient. So are completions that were cut off:
    the released code ends them itself, and the cut becomes a cue.
  - With ``window=2`` half of the pairs come from theta_{t-1}, though the reference is theta_t; so published.
  - RMSProp without weight decay there; here AdamW, which with ``beta_1=0`` is RMSProp with bias correction.
  - The paper returns the last iterate. Here one is chosen on the validation split, and the recipe ends where
    the demonstrations themselves become less likely: a margin can grow while both texts sink.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Literal

from docendo.core.checks import Checks
from docendo.core.errors import NothingToLearn, SettingError
from docendo.core.losses import Optimizer, Preference
from docendo.core.records import Example, Label, Model, Problem, Sample
from docendo.core.table import Table
from docendo.examples.demonstrations import Demonstrated, has_solution
from docendo.metrics.displacement import Standing, displaced
from docendo.runs.recipe import Arm, Spec, recipe
from docendo.runs.run import Run
from docendo.selectors.differing import differing


@dataclass(frozen=True, slots=True, kw_only=True)
class SpinConfig:
    """Settings of SPIN. Where the paper's value is another one than ours, it stands behind it."""

    rounds: int = 2
    """T, iterations. Paper: 4, which it counts from 0."""
    supervised_epochs: int = 6
    """Passes over D that make theta_0 of the base; the best on validation is taken. 0: the base is theta_0.
    Paper: a model that was fine-tuned on D."""
    temperature: float = 1.0
    """Temperature of the own completions. Theory and vLLM script: 1; the other script: 0, which is greedy."""
    window: int = 2
    """How many iterations' pairs are learned at once: 1, the present ones, or 2. Paper: 2."""
    lambdas: tuple[float, ...] = (0.1,)
    """lambda of each iteration (beta in the code), the last holding on. Paper: 0.1, 0.1, 0.1, 5."""
    rate_factors: tuple[float, ...] = (1.0,)
    """What the learning rate is multiplied by in each iteration, likewise. Paper: 1, 1, 0.2, 0.2."""
    shape: Literal["logistic", "hinge"] = "logistic"
    """l. The released code has both; logistic was run."""
    nll_weight: float = 0.0
    """Weight of the demonstrations' own negative log-likelihood, against displacement. Paper: 0."""
    epochs: int = 2
    """Passes over the pairs in an iteration. Paper: 2; released configuration 3, scripts 6."""
    most_fall: float = 0.1
    """Guard: end where the mean log-likelihood per token of the validation demonstrations, in nats, is more
    than this below theta_0's, or validation accuracy significantly below. 0: no guard, as in the paper."""
    choose: Literal["validation", "last"] = "validation"
    """Which of theta_0 .. theta_T is returned: the best on validation, or the last (paper)."""
    supervised_rate: float = 2e-3
    """Learning rate of the supervised epochs, of theta_0 and of the arm that goes on with them."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=2e-5))
    """How an iteration walks downhill. Paper: 5e-7 and then 1e-7, batch 64, 10 % warm-up."""

    def __post_init__(self) -> None:
        checks = Checks(self).at_least(1, "rounds", "epochs").above(0, "supervised_rate")
        checks.at_least(0, "supervised_epochs", "temperature", "nll_weight", "most_fall")
        checks.that(self.window in (1, 2), f"window is {self.window}; expected 1 or 2")
        for name in ("lambdas", "rate_factors"):
            values = getattr(self, name)
            told = ",".join(map(str, values)) or "empty"
            checks.that(
                bool(values) and min(values) > 0, f"{name} is {told}; expected numbers above 0, at least one"
            )
        checks.done()


def _arms(config: SpinConfig) -> Sequence[Arm]:
    return [Arm("more supervised", more_supervised), Arm("theta_0", theta_0)]


@recipe(Spec(arms=_arms, rivals=("base", "majority"), has_unverified=False))
def spin(run: Run, config: SpinConfig) -> Model:
    """Return the best of theta_0 .. theta_T on validation, or the last."""
    solved = _solved(run, "train")
    if not len(solved):
        raise SettingError(
            "no training problem has a worked solution, and SPIN learns from nothing else",
            hint="name the column that has them with --solution-column",
        )
    prompts = solved.map(_problem)
    policies = [theta_0(run, config)]
    first = _standing(run, config, policies[0])
    run.facts |= _standing_facts("theta_0", first)
    window: list[Table[Example]] = []
    for t in run.rounds(config.rounds):
        own = run.sample(policies[-1], prompts, temperature=config.temperature, name="own")  # O
        told = own.zip(solved).map(_demonstrated(run).pair)
        window = [*window, run.select(told, differing)][-config.window :]  # P
        pairs: Table[Any] = window[0] if len(window) == 1 else window[0] + window[1]
        loss = Preference(
            beta=_at(config.lambdas, t), shape=config.shape, nll_weight=config.nll_weight, nll_per="token"
        )
        optimizer = replace(
            config.optimizer,
            learning_rate=config.optimizer.learning_rate * _at(config.rate_factors, t),
        )
        try:
            trained = run.train(  # M
                policies[-1], pairs, loss, optimizer=optimizer, epochs=config.epochs, reference=policies[-1]
            )
        except NothingToLearn as nothing:
            run.note(nothing.message)
            break
        run.evaluate(trained)
        standing = _standing(run, config, trained)
        run.facts |= _monitors(t, own, window[-1], trained)
        run.facts |= _standing_facts(f"iteration {t}", standing)
        if why := displaced(first, standing, most_fall=config.most_fall):
            run.note(f"{run.label('guard')}: {why}; this iteration is dropped, and the recipe ends")
            break
        policies.append(trained)
    return run.best(policies) if config.choose == "validation" else policies[-1]


def theta_0(run: Run, config: SpinConfig) -> Model:
    """Return the model that SPIN starts from."""
    if not config.supervised_epochs:
        return run.base
    return run.best(_supervised(run, config, run.base, config.supervised_epochs, "supervised").snapshots)


def more_supervised(run: Run, config: SpinConfig) -> Model:
    """Return what as many further supervised epochs as SPIN has make of theta_0, at best on validation."""
    start = theta_0(run, config)
    more = _supervised(run, config, start, config.rounds * config.epochs, "more-supervised")
    return run.best([start, *more.snapshots]) if config.choose == "validation" else more


def _supervised(run: Run, config: SpinConfig, start: Model, epochs: int, name: str) -> Model:
    optimizer = replace(config.optimizer, learning_rate=config.supervised_rate)
    return run.train(start, _solved(run, "train"), optimizer=optimizer, epochs=epochs, name=name)


def _solved(run: Run, split: str) -> Table[Any]:
    """Return the problems of a split with their demonstrations."""
    return run.problems(split).join(run.labels(split).where(has_solution))


def _problem(problem: Problem, label: Label) -> Problem:
    return problem


def _at(values: Sequence[float], t: int) -> float:
    """Return the value of iteration t, from 1; the last one holds on."""
    return values[min(t, len(values)) - 1]


def _demonstrated(run: Run) -> Demonstrated:
    return Demonstrated(run.format_of(run.base), run.base.context)


def _standing(run: Run, config: SpinConfig, model: Model) -> Standing | None:
    """Return how a model stands on the validation split; None without guard, and in a plan."""
    if not config.most_fall:
        return None
    rows = _solved(run, "validation").map(_demonstrated(run).example)
    scored = run.logprobs(model, rows, name="demonstrations")
    tried = run.verify(run.sample(model, run.problems("validation"), name="validation"))
    if not (scored.is_known and tried.is_known):
        return None
    found = [logprobs for _, logprobs in scored if logprobs.values]
    likelihood = sum(one.values[0] for one in found) / max(1, sum(one.tokens[0] for one in found))
    return Standing(likelihood, [sample.is_correct for sample in tried])


def _standing_facts(name: str, standing: Standing | None) -> dict[str, Any]:
    if standing is None:
        return {}
    return {
        f"{name}: nats per token of validation demonstrations": standing.likelihood,
        f"{name}: validation accuracy": fmean(standing.right),
    }


def _monitors(t: int, own: Table[Sample], pairs: Table[Example], trained: Model) -> dict[str, Any]:
    """Return what is to be watched of an iteration; the last epoch's means, as each row was learned."""
    if not (own.is_known and pairs.is_known):
        return {}
    told: dict[str, Any] = {
        "tokens of an own completion": fmean(own.columns(["generated_tokens"])["generated_tokens"]),
        "pairs": len(pairs),
        "exact copies": len(own) - len(pairs),
    }
    for name in ("margin", "accuracy", "chosen_logprob", "rejected_logprob"):
        if name in trained.measures:
            told[name.replace("_", " ")] = trained.measures[name]
    return {f"iteration {t}: {name}": value for name, value in told.items()}
