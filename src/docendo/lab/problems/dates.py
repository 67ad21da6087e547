"""Dates: which date is so many days after or before another, in a year of 365 days?"""

from __future__ import annotations

from random import Random

from docendo.lab.problems.family import Composed
from docendo.lab.problems.steps import Step, worked

MONTHS = (
    ("January", 31),
    ("February", 28),
    ("March", 31),
    ("April", 30),
    ("May", 31),
    ("June", 30),
    ("July", 31),
    ("August", 31),
    ("September", 30),
    ("October", 31),
    ("November", 30),
    ("December", 31),
)
DATES = tuple((month, day) for month, (_, n_days) in enumerate(MONTHS) for day in range(1, n_days + 1))

AFTER = (
    "Today is {date}. What is the date {n} days from now?",
    "What date comes {n} days after {date}?",
    "A trip starts on {date} and ends {n} days later. On what date does it end?",
    "It is {date}. The party is in {n} days. What is the date of the party?",
)
BEFORE = (
    "Today is {date}. What was the date {n} days ago?",
    "What date comes {n} days before {date}?",
    "A trip ended on {date} and began {n} days earlier. On what date did it begin?",
    "It is {date}. The party was {n} days ago. What was the date of the party?",
)


class Dates(Composed):
    """Dates. The key is the date, the number of days (1 to 28) and the direction."""

    name = "dates"
    key_sizes = (len(DATES), 28, 2)

    def compose(self, key: tuple[int, ...], random: Random) -> tuple[str, str, list[str], str]:
        """Count on or back, crossing the end of at most one month."""
        (month, day), n_days = DATES[key[0]], key[1] + 1
        date = f"{MONTHS[month][0]} {day}"
        if key[2]:
            name, length = MONTHS[month]
            step = Step(day, "+", n_days)
            crosses = step.result > length
            crossing = Step(step.result, "-", length)
            months = [f"{name} has {length} days.", f"There are {length} days in {name}."]
            target = (month + crosses) % 12
        else:
            step = Step(day, "-", n_days)
            crosses = step.result < 1
            target = (month - crosses) % 12
            name, length = MONTHS[target]
            step = Step(length + day, "-", n_days) if crosses else step
            crossing = Step(length, "+", day)
            months = [f"{name} has {length} days.", f"There are {length} days in {name}."]
        steps = [step]
        if crosses:
            steps = [step, crossing] if key[2] else [crossing, step]
        rationales = worked(steps, openings=months if crosses else ("",))
        answer = f"{MONTHS[target][0]} {steps[-1].result}"
        question = random.choice(AFTER if key[2] else BEFORE).format(date=date, n=n_days)
        group = f"{'after' if key[2] else 'before'}, {'next month' if crosses else 'same month'}"
        return question, answer, rationales, group
