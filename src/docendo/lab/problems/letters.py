"""Last letters: join the last letters of two to four names."""

from __future__ import annotations

from random import Random

from docendo.lab.problems.family import Composed
from docendo.lab.problems.words import NAMES

QUESTIONS = (
    "Join the last letters of {names}.",
    "What do the last letters of {names} spell?",
    "Take the last letters of {names} and join them.",
    "Write the last letters of {names} in order.",
)


class Letters(Composed):
    """Last letters. The key is the first two names."""

    name = "letters"
    key_sizes = (len(NAMES), len(NAMES))

    def compose(self, key: tuple[int, ...], random: Random) -> tuple[str, str, list[str], str]:
        """Name the last letter of every name, then join them."""
        names = [NAMES[part] for part in key] + random.choices(NAMES, k=random.randint(0, 2))
        joined = "".join(name[-1] for name in names)
        rationales = [
            " ".join(f"{name} ends in {name[-1]}." for name in names),
            " ".join(f"The last letter of {name} is {name[-1]}." for name in names),
            " ".join(f"{name} gives {name[-1]}." for name in names),
        ]
        question = random.choice(QUESTIONS).format(names=", ".join(names))
        return question, joined, rationales, f"{len(names)} names"
