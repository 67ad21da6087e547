"""Rewards that a recipe follows: who gives them, and what becomes of a policy that follows them.

A reward is a Scorer under the name ``reward``. One of them is a model that the run trains itself: a head on a
policy learns, by Bradley-Terry, which of that policy's samples are right, of problems that the recipe then
leaves alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from docendo.core.checks import Checks
from docendo.core.losses import Optimizer, RewardPairs
from docendo.core.records import Model, Problem, Sample, Source
from docendo.core.table import Rows, Table
from docendo.core.verbs import Scorer
from docendo.examples.pairs import must_be_there, pairs_of, preferred
from docendo.runs.run import Run
from docendo.scorers.agreement import Agreement
from docendo.scorers.correctness import Correctness
from docendo.scorers.reward_model import RewardModel, ordering_of
from docendo.selectors.distinct import distinct
from docendo.selectors.learnable import Finished
from docendo.selectors.verdict import correct, incorrect


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardSettings:
    """Who gives the rewards, and how a reward model is trained."""

    reward_by: Literal["verifier", "agreement", "model", "trained"] = "verifier"
    """R. Verifier: 1 where right, else 0. Agreement: the share of the problem's samples with the same answer.
    Model: the one that --reward names. Trained: one that this run trains, on its own model or on the one that
    --reward names; it learns to compare samples of one problem, so thresholds for each problem suit it."""
    reward_share: float = 0.5
    """Share of the training problems, the last of them, whose samples teach a trained reward. Nothing else is
    drawn of them."""
    reward_pairs: int = 8
    """A trained reward learns at most so many pairs of a right and a wrong sample of a problem."""
    reward_epochs: int = 3
    """Passes over these pairs."""
    reward_rate: float = 1e-3
    """Peak learning rate of a trained reward."""

    def __post_init__(self) -> None:
        checks = Checks(self).at_least(1, "reward_pairs", "reward_epochs").above(0, "reward_rate")
        checks.that(
            0 < self.reward_share < 1, f"reward_share is {self.reward_share}; expected above 0 and below 1"
        ).done()

    @property
    def roles(self) -> Sequence[str]:
        """The roles that must be filled."""
        return ["reward"] if self.reward_by == "model" else []

    def problems(self, run: Run) -> tuple[Table[Problem], Table[Problem]]:
        """Return the training problems that a recipe samples, and those that a trained reward learns."""
        problems = list(run.problems("train"))
        taught = round(self.reward_share * len(problems)) if self.reward_by == "trained" else 0
        own = len(problems) - taught
        return Rows(problems[:own]), Rows(problems[own:])

    def scorer(self, run: Run, policy: Model, optimizer: Optimizer, *, n: int, temperature: float) -> Scorer:
        """Return what gives the rewards; a reward model is trained first, where it is to be.

        Args:
            run: Whose verbs do it.
            policy: Whose samples teach a trained reward; and where its training starts, unless a model has
                the role ``reward``.
            optimizer: How it is trained, but for the rate.
            n: Samples of each problem that it learns.
            temperature: Of these.

        Raises:
            NothingToLearn: No problem has both a right and a wrong sample.
        """
        verifier = run.task.verifier
        match self.reward_by:
            case "verifier":
                return Correctness(verifier=verifier, name="reward")
            case "agreement":
                return Agreement(verifier=verifier, name="reward")
            case "model":
                return RewardModel(model=run.model("reward"))
            case "trained":
                _, problems = self.problems(run)
                drawn = run.sample(policy, problems, n, temperature=temperature, name="judged")
                how = replace(optimizer, learning_rate=self.reward_rate)
                start, source = run.models.get("reward", policy), Source.OTHER_MODEL
                if start.checkpoint.root == policy.checkpoint.root:
                    source = Source.SELF
                return RewardModel(model=self._taught(run, run.verify(drawn), start, how), source=source)

    def _taught(self, run: Run, judged: Table[Sample], start: Model, optimizer: Optimizer) -> Model:
        right = run.select(judged, correct, distinct, Finished(), name="right")
        wrong = run.select(judged, incorrect, distinct, Finished(), name="wrong")
        pairs = pairs_of(right, wrong, limit=self.reward_pairs, seed=run.seed)
        must_be_there(pairs)
        if pairs.is_known:  # not in a plan
            counts = {"right samples": right, "wrong samples": wrong, "pairs": pairs}
            run.facts |= {f"reward: {what}": len(rows) for what, rows in counts.items()}
        rows, epochs = pairs.map(preferred, key="preferred"), self.reward_epochs
        return run.train(start, rows, RewardPairs(), optimizer=optimizer, epochs=epochs, name="reward")


def watched(
    run: Run, reward: Scorer, policy: Model, name: str, *, n: int, temperature: float
) -> float | None:
    """Return the mean reward of a policy on the validation split; None in a plan.

    Puts it into the facts, beside the accuracy, and of a reward model beside how often it puts a right sample
    above a wrong one. A reward that rises while these fall is being exploited, and no longer worth following.

    Args:
        run: Whose verbs do it.
        reward: What `RewardSettings.scorer` gave.
        policy: Whose samples are rewarded.
        name: What the policy is called in the facts.
        n: Samples of each validation problem.
        temperature: Of these.
    """
    drawn = run.sample(policy, run.problems("validation"), n, temperature=temperature, name="validation")
    is_model = isinstance(reward, RewardModel)
    rewarded, evaluation = run.score(drawn, reward), run.evaluate(policy, "validation")
    judged = run.verify(rewarded) if is_model else rewarded
    if not (judged.is_known and evaluation.is_known):
        return None
    mean = fmean(rewards_of(rewarded, "reward") or [0.0])
    told = {"validation reward": mean, "validation accuracy": evaluation.accuracy}
    if is_model:
        found = ordering_of(judged, "reward")
        told |= {"ordering accuracy": found.accuracy, "validation pairs": found.pairs}
    run.facts |= {f"{name}: {what}": value for what, value in told.items()}
    return mean


def rewards_of(samples: Table[Sample], name: str) -> list[float]:
    """Return the scores under a name; samples without one are left out."""
    (values,) = samples.columns([f"score:{name}"]).values()
    return [value for value in values if value is not None]
