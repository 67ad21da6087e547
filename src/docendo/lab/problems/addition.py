"""Long addition of two numbers with three digits, column by column."""

from __future__ import annotations

from random import Random

from docendo.lab.problems.family import Composed

QUESTIONS = (
    "What is {a} + {b}?",
    "Add {a} and {b}.",
    "What is the sum of {a} and {b}?",
    "Compute {a} + {b}.",
)


class Addition(Composed):
    """Long addition. The key is the two numbers."""

    name = "addition"
    key_sizes = (900, 900)

    def compose(self, key: tuple[int, ...], random: Random) -> tuple[str, str, list[str], str]:
        """Add the columns from the right; from the second on, each names the carry it takes, be it 0."""
        a, b = key[0] + 100, key[1] + 100
        columns: list[tuple[str, int]] = []
        carry = n_carries = 0
        for place in range(3):
            digits = [a // 10**place % 10, b // 10**place % 10]
            terms = [*digits, carry] if place else digits
            total = sum(terms)
            columns.append((" + ".join(map(str, terms)), total))
            carry = total // 10
            n_carries += carry
        rationales = [
            " ".join(f"{terms} = {total}." for terms, total in columns),
            " ".join(f"{terms} makes {total}." for terms, total in columns),
            " ".join(f"{terms} is {total}." for terms, total in columns).replace("+", "plus"),
        ]
        question = random.choice(QUESTIONS).format(a=a, b=b)
        return question, str(a + b), rationales, f"{n_carries} carries"
