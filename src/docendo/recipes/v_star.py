"""V-STaR: the generator learns its right samples, a verifier learns to tell them from its wrong ones.

Hosseini, Yuan, Malkin et al. (2024), arXiv:2402.06457, algorithm 1.

    S  D_gen = worked solutions;  D_ver = the same, as right;  G_0 = finetune(base, D_gen)
    for t = 1 .. T
        G  G_t = finetune(base, D_gen), from the base model
        D  draw k samples of every training problem from G_t, and judge them
           D_gen += the right ones;  D_ver += all
    F  G = finetune(base, D_gen)
    V  verifier = DPO from and against G_0, over all pairs of a right and a wrong one of a problem
    R  draw n samples of every test problem from G
    return for each problem the one that is likeliest under the verifier

Departures, each a setting:
  - The paper takes the whole product of right and wrong; here at most so many pairs of a problem are drawn.
  - It does not speak of duplicates; here each text of a problem is learned once (``deduplicate``).
  - Adapters of low rank there, all weights here unless adapters are asked for. Its beta is not known.
  - Its best-of-64 is the mean over all draws out of 128; here the best of n that were drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import StatisticsError, correlation
from typing import Any

from docendo.core.checks import Checks
from docendo.core.losses import Optimizer, Preference
from docendo.core.records import Example, Label, Model, Problem, Sample
from docendo.core.table import Table
from docendo.examples.demonstrations import has_solution
from docendo.examples.pairs import must_be_there, pairs_of, preferred
from docendo.runs.recipe import Arm, Recipe, Spec, recipe
from docendo.runs.run import Run
from docendo.scorers.likelihood import Likelihood
from docendo.selectors.choose import Choose
from docendo.selectors.distinct import distinct
from docendo.selectors.learnable import Finished
from docendo.selectors.verdict import correct, incorrect


@dataclass(frozen=True, slots=True, kw_only=True)
class VStarConfig:
    """Settings of V-STaR. Where the paper's value is another one than ours, it stands behind it."""

    rounds: int = 2
    """T. Paper: 3."""
    tries: int = 3
    """k, samples of each training problem and round. Paper: 16."""
    samples_per_problem: int = 8
    """n, samples of each test problem. Paper: 128."""
    temperature: float = 0.8
    """Temperature of all samples. Paper: not stated."""
    deduplicate: bool = True
    """Learn each text of a problem once, as right and as wrong. Paper: not stated."""
    pairs: int = 2
    """At most so many pairs of a problem. Paper: the whole product."""
    solution_pairs: bool = False
    """The task's own solutions also stand as right in the pairs. Paper: yes; ours: they can be told from
    samples by their style, which teaches nothing about right and wrong."""
    beta: float = 0.1
    """Of DPO. Paper: three values are compared."""
    epochs: int = 2
    """Passes over D_gen, in every training of a generator. Paper: 2 for G_0 on GSM8K."""
    verifier_epochs: int = 1
    """Passes over the pairs."""
    verifier_rate: float = 1e-4
    """Peak learning rate of the verifier."""
    one_round: bool = False
    """Also an arm that draws the whole budget from G_0 at once and learns what is right (RFT)."""
    curve: tuple[int, ...] = (4,)
    """Further n, the first so many samples of each test problem; each an arm, best and vote."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=2e-3))
    """How all trainings walk downhill; the rate is that of the generators."""

    def __post_init__(self) -> None:
        counts = ("rounds", "tries", "samples_per_problem", "pairs", "epochs", "verifier_epochs")
        checks = Checks(self).at_least(1, *counts).above(0, "temperature", "beta", "verifier_rate")
        most = self.samples_per_problem
        checks.that(
            all(1 <= n < most for n in self.curve),
            f"curve is {','.join(map(str, self.curve))}; expected numbers from 1 to {most - 1}, below "
            "samples_per_problem",
        ).done()


def _arms(config: VStarConfig) -> Sequence[Arm]:
    arms = [
        Arm("vote", _vote(config.samples_per_problem)),
        Arm("star-dagger", star_dagger),
        Arm("untrained", untrained, is_rival=False),
        Arm("supervised", _supervised, is_rival=False),
    ]
    if config.one_round:
        arms.append(Arm("one round", one_round, is_rival=False))
    for n in config.curve:
        arms += [Arm(f"best of {n}", _best(n), is_rival=False), Arm(f"vote of {n}", _vote(n), is_rival=False)]
    return arms


@recipe(Spec(arms=_arms))
def v_star(run: Run, config: VStarConfig) -> Table[Sample]:
    """Return for each test problem the sample that is likeliest under the verifier."""
    return _ranked(run, config, config.samples_per_problem)


def star_dagger(run: Run, config: VStarConfig) -> Model:
    """Return the final generator, asked greedily: the same budget, and what is wrong is thrown away."""
    generator, _ = _generated(run, config)
    return generator


def untrained(run: Run, config: VStarConfig) -> Table[Sample]:
    """Return for each test problem the sample that is likeliest under G_0: what the pairs add to."""
    generator, _ = _generated(run, config)
    scored = run.score(_drawn(run, config, generator), Likelihood(model=_supervised(run, config)))
    return run.select(scored, Choose("best", run.task.verifier, "likelihood"), name="choose")


def one_round(run: Run, config: VStarConfig) -> Model:
    """Return the generator that learned what is right of the whole budget, drawn from G_0 at once."""
    first = _supervised(run, config)
    tried = _tried(run, config, first, config.tries)
    if config.rounds > 1:
        tried += _tried(run, config, first, config.tries * (config.rounds - 1), first=config.tries)
    return _finetuned(run, config, _human(run) + _kept(run, config, tried))


def _ranked(run: Run, config: VStarConfig, n: int) -> Table[Sample]:
    generator, tried = _generated(run, config)
    verifier = _verifier(run, config, tried)
    scored = run.score(_drawn(run, config, generator), Likelihood(model=verifier))  # R
    if scored.is_known:  # not in a plan
        run.facts["correlation of likelihood and length"] = _with_length(scored)
    first = scored.where(_is_among(n))
    return run.select(first, Choose("best", run.task.verifier, "likelihood"), name="choose")


def _best(n: int) -> Recipe:
    def best(run: Run, config: VStarConfig) -> Table[Sample]:
        return _ranked(run, config, n)

    return best


def _vote(n: int) -> Recipe:
    def vote(run: Run, config: VStarConfig) -> Table[Sample]:
        generator, _ = _generated(run, config)
        first = _drawn(run, config, generator).where(_is_among(n))
        return run.select(first, Choose("majority", run.task.verifier), name="choose")

    return vote


def _is_among(n: int) -> Callable[[Sample], bool]:
    def is_among(sample: Sample) -> bool:
        return sample.number < n

    return is_among


def _generated(run: Run, config: VStarConfig) -> tuple[Model, Table[Sample]]:
    """Return the final generator, and all judged samples of the training problems (G, D, F)."""
    rows = _human(run)
    tried: Table[Any] | None = None
    for _ in run.rounds(config.rounds):
        drawn = _tried(run, config, _finetuned(run, config, rows), config.tries)  # G, D
        tried = drawn if tried is None else tried + drawn
        rows = _human(run) + _kept(run, config, tried)
    assert tried is not None
    return _finetuned(run, config, rows), tried  # F


def _verifier(run: Run, config: VStarConfig, tried: Table[Sample]) -> Model:
    """Fine-tune G_0 to prefer right samples to wrong ones (V)."""
    filters = (Finished(), *([distinct] if config.deduplicate else []))
    right = run.select(tried, correct, *filters, name="right")
    wrong = run.select(tried, incorrect, *filters, name="wrong")
    first = _supervised(run, config)
    preferable = _human(run).map(_Written(run)) + right if config.solution_pairs else right
    pairs = pairs_of(preferable, wrong, limit=config.pairs, seed=run.seed)
    must_be_there(pairs)
    if pairs.is_known:
        run.facts |= {"right samples": len(right), "wrong samples": len(wrong), "pairs": len(pairs)}
    how = replace(config.optimizer, learning_rate=config.verifier_rate)
    loss = Preference(beta=config.beta)
    epochs = config.verifier_epochs
    rows = pairs.map(preferred, key="preferred")
    return run.train(first, rows, loss, optimizer=how, epochs=epochs, reference=first, name="verifier")


def _tried(run: Run, config: VStarConfig, model: Model, n: int, *, first: int = 0) -> Table[Sample]:
    problems = run.problems("train")
    return run.verify(run.sample(model, problems, n, first=first, temperature=config.temperature))


def _kept(run: Run, config: VStarConfig, tried: Table[Sample]) -> Table[Any]:
    return run.select(tried, correct, *([distinct] if config.deduplicate else []))


def _drawn(run: Run, config: VStarConfig, generator: Model) -> Table[Sample]:
    problems, n = run.problems("test"), config.samples_per_problem
    return run.sample(generator, problems, n, temperature=config.temperature, name="candidates")


def _supervised(run: Run, config: VStarConfig) -> Model:
    return _finetuned(run, config, _human(run))


def _finetuned(run: Run, config: VStarConfig, rows: Table[Any]) -> Model:
    return run.train(run.base, rows, optimizer=config.optimizer, epochs=config.epochs, name="generator")


def _human(run: Run) -> Table[Any]:
    return run.problems("train").join(run.labels("train").where(has_solution))


class _Written:
    """Writes a task's own solution as the samples answer."""

    def __init__(self, run: Run) -> None:
        self._shape, self._context = run.format_of(run.base), run.base.context

    def __call__(self, problem: Problem, label: Label) -> Example:
        return Example(
            self._shape.prompt(problem, self._context).messages,
            completion=self._shape.target(label.solution, label.answer),
            problem_id=problem.id,
        )


def _with_length(scored: Table[Sample]) -> float | None:
    """Return the correlation of score and tokens over all samples with a score; None: one is constant."""
    rows = [(one.scores["likelihood"].value, one.generated_tokens) for one in scored]
    known = [(score, tokens) for score, tokens in rows if score is not None]
    try:
        return correlation([score for score, _ in known], [float(tokens) for _, tokens in known])
    except StatisticsError:
        return None
