"""Generated reasoning problems with worked rationales: pure Python, reproducible, split by construction."""

from __future__ import annotations

from docendo.lab.problems.addition import Addition
from docendo.lab.problems.chain import Chain
from docendo.lab.problems.dates import Dates
from docendo.lab.problems.family import Family, LabProblem
from docendo.lab.problems.letters import Letters
from docendo.lab.problems.stories import Stories
from docendo.lab.problems.verb_book import VerbBook
from docendo.lab.problems.verbs import Verbs

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (Stories(), Chain(), Addition(), Letters(), Dates(), Verbs(), VerbBook())
}
"""Every family by its name."""

__all__ = [
    "FAMILIES",
    "Addition",
    "Chain",
    "Dates",
    "Family",
    "LabProblem",
    "Letters",
    "Stories",
    "VerbBook",
    "Verbs",
]
