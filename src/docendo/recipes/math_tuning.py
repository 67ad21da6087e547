"""Math fine-tuning: two styles of solutions, and an evaluator that re-ranks the largest clusters of answers.

Liu, Singh, Freeman, Co-Reyes and Liu (2023), arXiv:2310.10047, section 3.

    S  generator = finetune(base, worked solutions of two styles): the task's own, and an author's right ones
    C  draw N candidates of every training problem from the generator, and judge them
    E  evaluator = finetune(generator, C): after problem and candidate, "correct" is likelier than "incorrect"
       where it is so
    R  draw N candidates of every test problem, cluster them by answer, score the members of the K largest
       clusters with E
    return for each problem the best-scored of these

    beside it: sequential = finetune(evaluator, worked solutions), the multi-task sequence of section 3.3, and
    longer = finetune(generator, worked solutions), its control with as many further steps and no evaluator

Each training starts with a fresh optimizer. The evaluator's rows are pairs of a right and a wrong candidate
of one problem; for cross-entropy each gives two rows.

Departures, each a setting:
  - Which ten of 64 candidates of a problem the evaluator learns is not stated: here so many pairs, drawn
    uniformly from texts that differ.
  - One temperature for all candidates is stated; here those that the evaluator learns are drawn hotter.
  - Candidates come from the problems that the generator learned; ``held_out`` keeps some of them from it.
  - What the evaluator starts from is not stated outside of the sequence; here always the generator.
  - The author of the second style is a model in a role, answering greedily; there it is GPT-4's PRM800K.
  - The margin, and all learning rates, are not published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from docendo.core.checks import Checks
from docendo.core.errors import SettingError
from docendo.core.losses import EvaluatorMargin, Optimizer, Xent
from docendo.core.parts import identity_of
from docendo.core.records import Example, Model, Problem, Sample
from docendo.core.table import Rows, Table
from docendo.examples.demonstrations import has_solution
from docendo.examples.pairs import must_be_there, pairs_of
from docendo.metrics.choosing import Rule
from docendo.runs.recipe import Arm, Recipe, Spec, recipe
from docendo.runs.run import Run
from docendo.scorers.evaluator import Evaluator, Question
from docendo.selectors.choose import Choose
from docendo.selectors.distinct import distinct
from docendo.selectors.largest import LargestClusters
from docendo.selectors.verdict import correct, incorrect

Style = Literal["human", "author", "both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MathTuningConfig:
    """Settings of math fine-tuning. Where the paper's value is another one than ours, it stands behind it."""

    solutions: Style = "both"
    """What the generator learns: the task's own solutions, the author's, or both (paper's best)."""
    author_format: str = "default"
    """Format in which the author is asked: one of the task's."""
    candidates: int = 4
    """Candidates drawn of each training problem for the evaluator. Paper: 64."""
    samples_per_problem: int = 8
    """N, candidates of each test problem. Paper: 64."""
    temperature: float = 0.6
    """Temperature of the test problems' candidates. Paper: probably 0.9."""
    candidates_temperature: float = 1.0
    """Temperature of the training problems' candidates: hot ones are wrong more often, and in more ways.
    Paper: probably the same for all."""
    top_p: float = 1.0
    """Candidates are drawn from the smallest set of tokens with this probability. Paper: probably 0.95."""
    loss: Literal["margin", "xent"] = "xent"
    """What the evaluator minimises. Paper: both, nearly equal."""
    margin: float = 0.5
    """lambda of the margin loss, in nats. Paper: not stated."""
    pairs: int = 2
    """At most so many pairs of a right and a wrong candidate of a problem. Paper: 10 examples."""
    held_out: float = 0.0
    """Share of the training problems, the last of them, that the generator does not learn, and whose
    candidates alone the evaluator does. 0: all problems serve both (paper)."""
    words: tuple[str, ...] = ("right", "wrong")
    """What the evaluator completes its sentence with. Paper: correct,incorrect, which the tokenizer of the
    built-in models cuts into unequally many."""
    stem: str = " It is"
    """The beginning of that sentence, and the space before it. Paper: The above candidate solution is."""
    rule: Literal["best", "weighted"] = "weighted"
    """The answer: of the best-scored candidate (paper's headline), or of the cluster with the largest sum of
    scores (best in its table 7), which asks less of a weak evaluator."""
    k: int = 4
    """K, only the largest clusters count; 0: all. Paper: 8."""
    top_n: int = 4
    """How many of the best-scored vote in the arm that lets these vote. Paper: 4 or 5."""
    curve: tuple[int, ...] = (1, 2, 8)
    """Further K, each an arm under either rule."""
    epochs: int = 2
    """Passes over the solutions in the first stage."""
    evaluator_epochs: int = 2
    """Passes over the evaluator's rows."""
    evaluator_rate: float = 1e-3
    """Peak learning rate of the evaluator."""
    third_epochs: int = 1
    """Passes over the solutions in the third stage and in its control. Paper: about 200 steps."""
    third_rate: float = 1e-3
    """Peak learning rate of the third stage and its control."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=2e-3))
    """How all stages walk downhill; the rate is that of the first."""

    def __post_init__(self) -> None:
        counts = ("candidates", "samples_per_problem", "pairs", "top_n", "epochs", "evaluator_epochs")
        checks = Checks(self).at_least(1, *counts, "third_epochs").at_least(0, "k", "margin")
        checks.above(0, "temperature", "candidates_temperature", "evaluator_rate", "third_rate").share(
            "top_p"
        )
        checks.that(0 <= self.held_out < 1, f"held_out is {self.held_out}; expected 0 to below 1")
        checks.that(
            all(k >= 1 for k in self.curve), f"curve is {','.join(map(str, self.curve))}; expected K from 1"
        ).done()
        _question(self)


def _arms(config: MathTuningConfig) -> Sequence[Arm]:
    rules = {name: rule for name, rule in _rules(config).items() if rule != _own(config)}
    styles: Sequence[Style] = ("human", "author", "both")
    return [
        *(Arm(name, _ranked(rule), is_rival=name == "vote") for name, rule in rules.items()),
        Arm("generator", _generator, is_rival=False),
        *(
            Arm(f"solutions: {style}", _styled(style), is_rival=False)
            for style in styles
            if style != config.solutions
        ),
        Arm("sequential", sequential, is_rival=False),
        Arm("longer", longer, is_rival=False),
    ]


@recipe(Spec(task="letters", roles=("author",), arms=_arms))
def math_tuning(run: Run, config: MathTuningConfig) -> Table[Sample]:
    """Return for each test problem the candidate that the evaluator ranks highest in the large clusters."""
    rule = _own(config)
    drawn = _candidates(run, config, _generator(run, config))
    evaluator = _evaluator(run, config)
    members = drawn
    if rule.k is not None:
        members = run.select(drawn, LargestClusters(run.task.verifier, rule.k), name="largest")  # R
    if members.is_known and drawn.is_known:  # not in a plan
        run.facts["share of candidates scored"] = len(members) / max(1, len(drawn))
    scored = run.score(members, Evaluator(model=evaluator, question=_question(config)))
    return run.select(scored, Choose(rule.by, run.task.verifier, "evaluator"), name="choose")


def sequential(run: Run, config: MathTuningConfig) -> Model:
    """Return the generator that was an evaluator in between."""
    return _third(run, config, _evaluator(run, config))


def longer(run: Run, config: MathTuningConfig) -> Model:
    """Return the generator after as many further steps as the sequence has: its control."""
    return _third(run, config, _generator(run, config))


def _third(run: Run, config: MathTuningConfig, start: Model) -> Model:
    how = replace(config.optimizer, learning_rate=config.third_rate)
    rows = _solutions(run, config)
    return run.train(start, rows, optimizer=how, epochs=config.third_epochs, name="third")


def _own(config: MathTuningConfig) -> Rule:
    return Rule(config.rule, config.k or None)


def _rules(config: MathTuningConfig) -> Mapping[str, Rule]:
    """Return the six rules of table 7, and those of the curve, by the names that ``docendo vote`` has."""
    rules = {"vote": Rule("majority"), "best": Rule("best"), "weighted": Rule("weighted")}
    for k in sorted({config.k, *config.curve} - {0}):
        rules |= {f"top-{k}": Rule("best", k), f"weighted-top-{k}": Rule("weighted", k)}
    rules[f"majority-of-best-{config.top_n}"] = Rule("majority-of-best", top_n=config.top_n)
    return rules


def _ranked(rule: Rule) -> Recipe:
    """Return the arm that chooses by a rule; all score all candidates, so that they share the scores."""

    def ranked(run: Run, config: MathTuningConfig) -> Table[Sample]:
        drawn, same = _candidates(run, config, _generator(run, config)), run.task.verifier
        if not rule.needs_scores:
            return run.select(drawn, Choose(rule.by, same), name="choose")
        scored = run.score(drawn, Evaluator(model=_evaluator(run, config), question=_question(config)))
        return run.select(scored, Choose(rule.by, same, "evaluator", rule.k, rule.top_n), name="choose")

    return ranked


def _generator(run: Run, config: MathTuningConfig) -> Model:
    """Fine-tune the base on worked solutions (S)."""
    rows = _solutions(run, config)
    return run.train(run.base, rows, optimizer=config.optimizer, epochs=config.epochs, name="generator")


def _styled(style: Style) -> Recipe:
    def styled(run: Run, config: MathTuningConfig) -> Model:
        return _generator(run, replace(config, solutions=style))

    return styled


def _candidates(run: Run, config: MathTuningConfig, generator: Model) -> Table[Sample]:
    problems, n = run.problems("test"), config.samples_per_problem
    return run.sample(
        generator, problems, n, temperature=config.temperature, top_p=config.top_p, name="candidates"
    )


def _evaluator(run: Run, config: MathTuningConfig) -> Model:
    """Teach the generator to tell its right candidates from its wrong ones (C, E)."""
    generator, question = _generator(run, config), _question(config)
    _, problems = _parts(run, config)
    drawn = run.sample(  # C
        generator,
        problems,
        config.candidates,
        temperature=config.candidates_temperature,
        top_p=config.top_p,
        name="tries",
    )
    tried = run.verify(drawn)
    right = run.select(tried, correct, distinct, name="right")
    wrong = run.select(tried, incorrect, distinct, name="wrong")
    pairs = pairs_of(right, wrong, limit=config.pairs, seed=run.seed)
    must_be_there(pairs)
    if pairs.is_known:
        run.facts |= {
            "right of the training candidates": len(right),
            "wrong of the training candidates": len(wrong),
            "pairs of the evaluator": len(pairs),
        }

    is_margin = config.loss == "margin"
    return run.train(  # E
        generator,
        question.for_margin(pairs) if is_margin else question.for_xent(pairs),
        EvaluatorMargin(margin=config.margin) if is_margin else Xent(),
        optimizer=replace(config.optimizer, learning_rate=config.evaluator_rate),
        epochs=config.evaluator_epochs,
        name="evaluator",
    )


def _question(config: MathTuningConfig) -> Question:
    if len(config.words) != 2:
        raise SettingError(f"words is {','.join(config.words)}; expected two, as right,wrong")
    return Question(words=(config.words[0], config.words[1]), stem=config.stem)


def _parts(run: Run, config: MathTuningConfig) -> tuple[Table[Problem], Table[Problem]]:
    """Return the problems that the generator learns, and those of whose candidates the evaluator does."""
    problems = list(run.problems("train"))
    cut = len(problems) - round(config.held_out * len(problems))
    return Rows(problems[:cut]), Rows(problems[cut:] if config.held_out else problems)


def _solutions(run: Run, config: MathTuningConfig) -> Table[Any]:
    """Return worked solutions of the wanted styles: the task's own, and the author's where they end right."""
    problems, _ = _parts(run, config)
    human: Table[Any] = problems.join(run.labels("train").where(has_solution))
    if config.solutions == "human":
        return human
    author = run.model("author").using(format=config.author_format)
    written = run.verify(run.sample(author, problems, name="author"))
    rewritten = _Rewritten(run)
    kept = run.select(written, correct, name="author").map(rewritten, key=rewritten.key)
    return kept if config.solutions == "author" else human + kept


class _Rewritten:
    """Writes an author's solution in the format of the model that learns it."""

    def __init__(self, run: Run) -> None:
        self._shape, self._context = run.format_of(run.base), run.base.context
        self.key = ["rewritten", identity_of(self._shape), identity_of(self._context)]

    def __call__(self, sample: Sample) -> Example:
        prompt = self._shape.prompt(sample.problem, self._context)
        return Example(
            prompt.messages,
            completion=self._shape.target(sample.rationale, sample.answer),
            problem_id=sample.problem.id,
            parents=(sample.id,),
        )
