"""What stands beside the method: the base, its majority vote, training that knows no verdict, gold.

All are the same recipe or the same verbs on the same problems, so they share every stage that asks the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from docendo.core.losses import Optimizer
from docendo.core.protocols import Selector
from docendo.core.records import Model
from docendo.core.table import Table
from docendo.examples.demonstrations import has_solution
from docendo.runs.evaluation import Evaluation
from docendo.runs.recipe import Recipe
from docendo.runs.run import Run
from docendo.runs.stored import are_samples
from docendo.selectors.cap import Cap, RandomSubset
from docendo.selectors.choose import Choose
from docendo.selectors.learnable import Finished

Controls = Literal["none", "basic", "full"]
"""none: the base alone. basic: and its majority vote and unverified training. full: and gold solutions."""


class UnverifiedRun(Run):
    """A Run whose selections are random ones, as large as the method's were.

    The k-th selection keeps as many rows as the method's k-th one kept, drawn uniformly from all rows that
    stand to choice, right or wrong: equal budget of samples and of training rows, without the information.
    Samples that nobody could learn from (cut off, failed, empty) do not stand to choice, else fewer rows
    would be left than the method had. Where the method chooses Answers, one sample of each problem is drawn.
    """

    def __init__(self, *, sizes: Sequence[int], **more: Any) -> None:
        super().__init__(**more)
        self._sizes = list(sizes)

    def select(self, table: Table[Any], *selectors: Selector, name: str = "select") -> Table[Any]:
        """Keep a random subset instead of what the selectors say."""
        if any(isinstance(selector, Choose) for selector in selectors):
            return self.selected(table, [Cap(1)], name)
        place = len(self.kept_sizes)
        size = self._sizes[place] if place < len(self._sizes) else 0  # the method had ended by then
        learnable = [Finished()] if are_samples(table) else []
        return self.selected(table, [*learnable, RandomSubset(size)], name)

    def evaluate(self, what: Model | Table[Any], on: str = "test", *, n: int | None = None) -> Evaluation:
        """Measure as any Run does, but draw no samples inside a round: only the end is compared."""
        return super().evaluate(what, on, n=0 if self.round else n)


def unverified(method: Run, recipe: Recipe, config: Any) -> tuple[Run, Model | Table[Any]]:
    """Run the recipe on random selections of equal size."""
    run = method.arm_run("unverified", UnverifiedRun, sizes=method.kept_sizes)
    return run, recipe(run, config)


def gold(method: Run, optimizer: Optimizer, epochs: int) -> tuple[Run, Model]:
    """Fine-tune the base on the training split's own worked solutions: what gold rationales would give.

    Raises:
        NothingToLearn: The task's labels have no worked solutions.
    """
    run = method.arm_run("gold")
    rows = run.problems("train").join(run.labels("train").where(has_solution))
    return run, run.train(run.base, rows, optimizer=optimizer, epochs=epochs)
