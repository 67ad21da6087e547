"""Three invented verbs with fixed meanings: a page of worked examples teaches them, if it has all three.

"There are 12 pens. Ava florps 3. How many pens are there now?" Each verb adds, takes away or multiplies, the
same in all splits. Nobody who has not seen a worked example with the same verb can know which, so a set of
exemplars is worth as much as the verbs that it covers.
"""

from __future__ import annotations

from random import Random

from docendo.lab.problems.family import Composed
from docendo.lab.problems.steps import Step, worked
from docendo.lab.problems.verbs import AMOUNTS, MEANINGS
from docendo.lab.problems.words import NAMES, NOUNS

BOOK = {"florp": "+", "krump": "-", "spift": "*"}
"""The verbs and what they mean. They are of the test piece of `Verbs`, so no lab model has read them."""
VERBS = tuple(BOOK)


class VerbBook(Composed):
    """Problems with one of three verbs. The key is verb, amounts, name and noun."""

    name = "verb-book"
    key_sizes = (len(VERBS), len(AMOUNTS), len(NAMES), len(NOUNS))

    def compose(self, key: tuple[int, ...], random: Random) -> tuple[str, str, list[str], str]:
        """Return question, answer, rationales and the verb as group."""
        verb = VERBS[key[0]]
        n, m = AMOUNTS[key[1]]
        name, noun = NAMES[key[2]], NOUNS[key[3]]
        question = f"There are {n} {noun}. {name} {verb}s {m}. How many {noun} are there now?"
        step = Step(n, BOOK[verb], m)
        rationales = worked([step], openings=("", f"To {verb} is to {MEANINGS[BOOK[verb]]}."))
        return question, str(step.result), rationales, verb
