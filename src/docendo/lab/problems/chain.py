"""Chained sums: three to five numbers added and subtracted from left to right; some begin with a product."""

from __future__ import annotations

from random import Random

from docendo.lab.problems.family import Composed
from docendo.lab.problems.steps import Step, worked

QUESTIONS = (
    "What is {sum}?",
    "Work out {sum}.",
    "Compute {sum}.",
    "Find the value of {sum}.",
    "How much is {sum}?",
)
LARGEST = 100


class Chain(Composed):
    """Chained sums. The key is the first three numbers."""

    name = "chain"
    key_sizes = (50, 40, 40)

    def compose(self, key: tuple[int, ...], random: Random) -> tuple[str, str, list[str], str]:
        """Choose the signs so that every value stays between 0 and 100, and add up to two more numbers."""
        first, *others = (part + 1 for part in key)
        others += [random.randint(1, 40) for _ in range(random.randint(0, 2))]
        steps: list[Step] = []
        amount = first
        for right in others:
            signs = [sign for sign in "+-" if 0 <= Step(amount, sign, right).result <= LARGEST]
            if not steps and amount * right <= LARGEST and random.random() < 0.5:
                signs = ["*"]
            steps.append(Step(amount, random.choice(signs), right))
            amount = steps[-1].result
        chain = " ".join([str(first), *(f"{step.operation} {step.right}" for step in steps)])
        question = random.choice(QUESTIONS).format(sum=chain)
        return question, str(amount), worked(steps), f"{len(steps)} operations"
