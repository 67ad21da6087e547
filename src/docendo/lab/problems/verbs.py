"""Invented verbs: what a verb means can only be known from a worked example with the same verb.

"Ava has 12 red pens. She blicks 3." To blick may mean to add, to take away or to multiply. Problems come in
groups of eight with the same verb and meaning: any of them, with its rationale, is an exemplar for the rest.
The meaning is drawn anew for every seed, so no model can know it beforehand.
"""

from __future__ import annotations

from docendo.lab.problems.family import Family, LabProblem, permuted, seeded_random
from docendo.lab.problems.steps import Step, worked
from docendo.lab.problems.words import ADJECTIVES, NAMES, NOUNS, WOMEN, word_list

GROUP_SIZE = 8
"""How many problems, one after the other, share a verb and its meaning."""

ONSETS = word_list("b bl br d dr f fl fr g gl gr k kl kr m n p pl pr s sk sl sm sn sp st t tr v z")
VOWELS = word_list("a e i o u")
CODAS = word_list("b ck d ft g k lf lk lm lt m mp n nd nk nt p rb rd rk rm rn rp rt sk sp st t x z")
MEANINGS = {"+": "add", "-": "take away", "*": "multiply"}
AMOUNTS = tuple((n, m) for n in range(6, 21) for m in range(2, 5))
"""Pairs of numbers on which the three meanings differ and stay within 1 and 80."""

QUESTIONS = (
    "{name} has {n} {things}. {She} {verb}s {m}. How many {noun} does {she} have now?",
    "{name} had {n} {things}. Then {she} {verb}s {m}. How many {things} are there now?",
    "There are {n} {things}. {name} {verb}s {m}. How many {noun} are there now?",
)


class Verbs(Family):
    """Invented verbs, in groups of :data:`GROUP_SIZE`. The key is the verb."""

    name = "verbs"
    key_sizes = (len(ONSETS), len(VOWELS), len(CODAS))

    def size(self, split: str) -> int:
        """Return how many problems the split has for each seed."""
        return super().size(split) * GROUP_SIZE

    def problem(self, split: str, index: int, seed: int = 0) -> LabProblem:
        """Return one problem; those with the same ``index // GROUP_SIZE`` share verb and meaning."""
        if not 0 <= index < self.size(split):
            raise IndexError(
                f"{self.name} has no problem {index} in {split}\n"
                f"hint: its problems are 0 to {self.size(split) - 1}"
            )
        number, place = divmod(index, GROUP_SIZE)
        onset, vowel, coda = self._key(split, number, seed)
        verb = ONSETS[onset] + VOWELS[vowel] + CODAS[coda]
        operation = seeded_random(self.name, "meaning", seed, split, number).choice(list(MEANINGS))
        n, m = AMOUNTS[permuted(place, len(AMOUNTS), self.name, seed, split, number)]
        random = seeded_random(self.name, seed, split, index)
        name = random.choice(NAMES)
        she = "she" if name in WOMEN else "he"
        noun = random.choice(NOUNS)
        question = random.choice(QUESTIONS).format(
            name=name, n=n, m=m, verb=verb, noun=noun, things=f"{random.choice(ADJECTIVES)} {noun}", she=she,
            She=she.capitalize(),
        )  # fmt: skip
        step = Step(n, operation, m)
        rationales = worked([step], openings=("", f"To {verb} is to {MEANINGS[operation]}."))
        random.shuffle(rationales)
        return LabProblem(
            family=self.name, split=split, index=index, seed=seed, question=question, answer=str(step.result),
            rationales=tuple(rationales), group=verb,
        )  # fmt: skip
