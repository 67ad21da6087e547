"""A Run that remembers what its verbs were given and what they gave."""

from __future__ import annotations

from typing import Any

from docendo.core.records import Model
from docendo.core.table import Table
from docendo.runs.run import Run
from tests.fakes import House


class Traced(Run):
    """A Run with a trace."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.sampled: list[tuple[str, Model, Table[Any]]] = []
        """Label of each sampling, who was asked, what came."""
        self.kept: list[Any] = []
        self.trainings: list[tuple[str, Model, Table[Any], dict[str, Any], Model]] = []
        """Label of each training, start, rows, the other arguments, result."""

    def sample(self, model: Model, what: Any, n: int = 1, **more: Any) -> Table[Any]:
        found = super().sample(model, what, n, **more)
        self.sampled.append((self.label(more.get("name", "sample")), model, found))
        return found

    def select(self, table: Table[Any], *selectors: Any, name: str = "select") -> Any:
        self.kept.append(super().select(table, *selectors, name=name))
        return self.kept[-1]

    def train(self, start: Model, rows: Table[Any], loss: Any = None, **more: Any) -> Model:
        made = super().train(start, rows, loss, **more)
        label = self.label(more.get("name", "train"))
        self.trainings.append((label, start, rows, {"loss": loss, **more}, made))
        return made


def traced(house: House) -> Traced:
    """Return a traced Run in a house."""
    run = house.run().arm_run("method", Traced)
    assert isinstance(run, Traced)
    return run
