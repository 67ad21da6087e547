"""Story problems: someone has some things, two to four operations happen, how many are there in the end?

A story is an opening (0 or 1 operation), events (1 or 2 each) and an ending (0 or 1). All numbers in it and
in its solution lie between 1 and 100. The key is who (name) has what (adjective and noun); both stand in the
opening.
"""

from __future__ import annotations

from random import Random

from docendo.lab.problems.family import Composed
from docendo.lab.problems.steps import Step, worked
from docendo.lab.problems.words import (
    ADJECTIVES,
    CONTAINERS,
    MEN,
    NAMES,
    NOUNS,
    PLACES,
    RELATIVES,
    TIMES,
    WOMEN,
)

LARGEST = 100

# Sentences name the main person {name}, {she} and {her}; the things {things} (red pens) and {noun} (pens);
# numbers {n} and {m}; a friend {friend}; a container {boxes}; a place {place}; a relative {relative}.

PLAIN = (
    "{name} has {n} {things}",
    "{name} had {n} {things}",
    "{name} owns {n} {things}",
    "{name} starts with {n} {things}",
    "{name} keeps {n} {things} {place}",
    "{name} collects {n} {things} {place}",
    "{name} brings {n} {things} home",
    "there are {n} {things} on the desk of {name}",
    "{n} {things} belong to {name}",
    "{name} counts {n} {things}",
    "in a shop {name} buys {n} {things}",
    "{place} {name} has {n} {things}",
)
PACKED = (
    "{name} has {n} {boxes} with {m} {things} in each",
    "{name} has {n} {boxes} of {m} {things} each",
    "{name} buys {n} {boxes} with {m} {things} in each",
    "{name} fills {n} {boxes} with {m} {things} each",
    "{name} owns {n} {boxes}, each with {m} {things}",
    "there are {n} {boxes} at the house of {name}, each with {m} {things}",
    "{name} carries {n} {boxes}, and each holds {m} {things}",
    "{name} gets {n} {boxes} that hold {m} {things} each",
    "{name} packs {n} {boxes} and puts {m} {things} in each",
    "{name} sets up {n} rows of {m} {things} {place}",
    "{name} makes {n} piles of {m} {things} each",
    "{n} {boxes} with {m} {things} in each belong to {name}",
)
BESIDE = (
    "{friend} has {n} {things}",
    "{friend} owns {n} {things}",
    "{friend} keeps {n} {things} {place}",
    "{friend} counts {n} {things}",
    "{friend} collected {n} {things}",
)
MORE = (
    "{name} has {m} more than {friend}",
    "{name} owns {m} more {noun} than {friend}",
    "{name} has {m} {noun} more than {friend}",
    "{name} has as many as {friend} and {m} more",
)
FEWER = (
    "{name} has {m} fewer than {friend}",
    "{name} owns {m} fewer {noun} than {friend}",
    "{name} has {m} {noun} less than {friend}",
    "{name} would need {m} more to have as many as {friend}",
)
TIMES_AS_MANY = (
    "{name} has {m} times as many as {friend}",
    "{name} owns {m} times as many {noun} as {friend}",
    "{name} has {m} times the number of {friend}",
    "for each one of them {name} has {m}",
)
POOLED = (
    "{name} has {n} {things} and {friend} adds {m}",
    "{name} has {n} {things}, and {friend} brings {her} {m}",
    "{name} has {n} {things} in one hand and {m} in the other",
    "{name} keeps {n} {things} upstairs and {m} downstairs",
    "{name} found {n} {things} {place} and {m} at the lake",
    "{name} puts {n} {things} and {m} other {noun} together",
    "{name} bought {n} {things} in one shop and {m} in another",
    "{name} got {n} {things} from {friend} and {m} from {her} {relative}",
)
GAINS = (
    "{she} buys {n} more {noun}",
    "{she} buys another {n} {noun} {place}",
    "{she} finds {n} {noun} {place}",
    "{she} finds {n} more",
    "{friend} gives {her} {n} {noun}",
    "{friend} gives {her} {n} more",
    "{she} gets {n} {noun} from {friend}",
    "{she} gets {n} more {place}",
    "{her} {relative} gives {her} {n} {noun}",
    "{her} {relative} brings {n} more {noun}",
    "{her} {relative} mails {her} {n} {noun}",
    "{she} wins {n} {noun} in a game",
    "{she} wins {n} more from {friend}",
    "{she} makes {n} more {noun}",
    "{she} picks up {n} {noun} {place}",
    "{she} earns {n} more {noun}",
    "{she} orders {n} more {noun}",
    "{she} adds {n} {noun}",
    "{she} receives {n} {noun} as a gift",
    "{she} is given {n} {noun} {place}",
    "{n} more {noun} arrive",
    "{n} {noun} come in the mail",
    "{friend} sends {n} {noun}",
    "{friend} leaves {her} {n} {noun}",
    "{she} collects {n} more",
    "{she} trades a watch for {n} {noun}",
)
LOSSES = (
    "{she} gives {n} {noun} to {friend}",
    "{she} gives {n} away",
    "{she} gives {n} of them to {her} {relative}",
    "{she} loses {n} {noun} {place}",
    "{she} loses {n} of them",
    "{she} sells {n} {noun}",
    "{she} sells {n} of them to {friend}",
    "{she} sells {n} {noun} {place}",
    "{she} breaks {n} {noun}",
    "{she} breaks {n} of them",
    "{she} throws {n} {noun} away",
    "{friend} takes {n} {noun}",
    "{friend} takes {n} of them {place}",
    "{her} {relative} takes {n} {noun}",
    "{she} sends {n} {noun} to {friend}",
    "{she} sends {n} of them to {her} {relative}",
    "{she} leaves {n} {noun} {place}",
    "{n} {noun} break",
    "{n} of them get lost {place}",
    "{a_dog} steals {n} {noun}",
    "{she} hands {n} {noun} to {friend}",
    "{she} trades {n} {noun} for a watch",
    "{she} drops {n} {noun} {place}",
    "{she} uses up {n} {noun}",
    "{friend} buys {n} {noun} from {her}",
    "{she} donates {n} {noun}",
)
SCALES = (
    "{she} has {n} times as many",
    "{she} has {n} times as many {noun} as before",
    "the number of {things} grows to {n} times as many",
    "{her} {relative} makes it {n} times as many {noun}",
    "{name} has {n} times as many {things}",
    "{she} ends up with {n} times the number of {noun}",
)
PACK_GAINS = (
    "{she} buys {n} {boxes} with {m} {noun} in each",
    "{she} buys {n} more {boxes} of {m} {noun} each",
    "{she} gets {n} {boxes} with {m} {noun} in each from {friend}",
    "{friend} gives {her} {n} {boxes} of {m} {noun} each",
    "{she} finds {n} {boxes} {place}, each with {m} {noun}",
    "{her} {relative} brings {n} {boxes} with {m} {noun} in each",
    "{n} {boxes} with {m} {noun} in each arrive",
    "{n} friends bring {her} {m} {noun} each",
    "{she} makes {m} {noun} a day for {n} days",
    "{she} gets {m} {noun} from each of {n} friends",
)
NOW = (
    "how many {things} does {name} have now?",
    "how many {noun} does {name} have now?",
    "how many {things} does {name} have in the end?",
    "how many {noun} does {she} have in the end?",
    "how many {things} are left with {name}?",
    "now how many {things} does {she} have?",
    "how many {noun} are there now?",
    "what is the number of {things} now?",
    "how many {things} does {she} have at last?",
    "count the {things} of {name} now.",
    "in the end, how many {things} does {name} own?",
    "find how many {things} {name} has now.",
)
SHARES = (
    "{she} shares them equally among {n} friends. How many {things} does each friend get?",
    "{she} shares all {noun} equally among {n} cousins. How many {things} does each cousin get?",
    "{she} puts them evenly on {n} shelves. How many {things} are on each shelf?",
    "{she} packs all {noun} evenly into {n} {boxes}. How many {things} are in each?",
    "{n} friends get the same number of {noun} from {name}. How many {things} does each get?",
    "{she} lays all {noun} out in {n} equal rows. How many {things} are in each row?",
    "{name} splits all {things} into {n} equal groups. How many are in each group?",
    "{name} sells all {things} in {n} days, the same number each day. How many a day?",
)
SALES = (
    "{name} sells all {things} for {n} dollars each. How many dollars does {she} get?",
    "{she} sells the {things} at {n} dollars each. How much money does {name} get?",
    "the {things} are worth {n} dollars each. How many dollars are all {noun} of {name} worth?",
    "{friend} pays {n} dollars for each of the {things}. How many dollars does {name} get?",
    "cleaning one takes {n} minutes. How many minutes do all {things} of {name} take?",
    "{name} puts {n} labels on each of the {things}. How many labels does {she} need?",
    "the {things} weigh {n} pounds each. How many pounds do all {noun} of {name} weigh?",
    "{name} fixes the {things} for {n} dollars each. How many dollars does {she} need?",
)

OPENINGS = ("plain", "plain", "plain", "packed", "packed", "more", "fewer", "times", "pooled")
EVENTS = ("gain", "gain", "lose", "lose", "lose", "scale", "pack")
ENDINGS = ("now", "now", "now", "share", "sale")
OPERATIONS = (2, 2, 2, 3, 3, 4)
"""How many operations a story has; each entry is equally likely, in the lists above too."""


class _Telling:
    """A story while it is told: sentences, steps, and how many things there are at the moment."""

    def __init__(self, name: str, things: str, random: Random) -> None:
        self.random = random
        woman = name in WOMEN
        # Friends have the other gender, so that "she" and "he" are never in doubt.
        self.friends = random.sample(MEN if woman else WOMEN, 4)
        self.slots = {
            "name": name,
            "she": "she" if woman else "he",
            "her": "her" if woman else "him",
            "things": things,
            "noun": things.split()[-1],
            "boxes": random.choice(CONTAINERS),
            "a_dog": random.choice(("a dog", "a bird", "a cat", "a thief")),
        }
        self.his = "her" if woman else "his"
        self.sentences: list[str] = []
        self.steps: list[Step] = []
        self.amount = 0
        self.first = 0

    def say(self, variants: tuple[str, ...], n: int = 0, m: int = 0, friend: str | None = None) -> str:
        """Fill one variant in; the caller places it."""
        text = self.random.choice(variants).replace("{her} {relative}", f"{self.his} {{relative}}")
        return text.format(
            n=n,
            m=m,
            friend=friend or self.random.choice(self.friends),
            place=self.random.choice(PLACES),
            relative=self.random.choice(RELATIVES),
            **self.slots,
        )

    def apply(self, operation: str, right: int) -> None:
        """Change the amount by one operation."""
        step = Step(self.amount, operation, right)
        self.steps.append(step)
        self.amount = step.result

    def open(self, kind: str) -> None:
        """Tell how many things there are at first."""
        random = self.random
        n, m = random.randint(3, 40), random.randint(2, 20)
        if kind in ("packed", "times"):
            n, m = random.randint(2, 9), random.randint(2, 9)
        self.amount = self.first = n
        if kind == "plain":
            self.sentences.append(self.say(PLAIN, n))
            return
        self.apply({"packed": "*", "times": "*", "fewer": "-"}.get(kind, "+"), m)
        if kind in ("packed", "pooled"):
            self.sentences.append(self.say(PACKED if kind == "packed" else POOLED, n, m))
            return
        friend = self.friends.pop()
        compared = {"more": MORE, "fewer": FEWER, "times": TIMES_AS_MANY}[kind]
        self.sentences += [self.say(BESIDE, n, m, friend), self.say(compared, n, m, friend)]

    def happen(self, kind: str) -> None:
        """Tell one event, joined to the sentence before it or with a time in front, now and then."""
        random = self.random
        if kind == "pack":
            n, m = random.randint(2, 9), random.randint(2, 9)
            clause = self.say(PACK_GAINS, n, m)
            before = self.amount
            self.amount = n
            self.apply("*", m)
            product, self.amount = self.amount, before
            self.apply("+", product)
        elif kind == "scale":
            n = random.randint(2, 4)
            clause = random.choice(("now ", "soon ", "a year later ", "by June ")) + self.say(SCALES, n)
            self.apply("*", n)
        else:
            n = random.randint(2, 30)
            clause = self.say(GAINS if kind == "gain" else LOSSES, n)
            self.apply("+" if kind == "gain" else "-", n)
        fate = random.random()
        if fate < 0.2 and kind != "scale" and len(self.sentences) > 1:
            self.sentences[-1] += f", and then {clause}"
        elif fate < 0.6 and kind != "scale":
            self.sentences.append(f"{random.choice(TIMES)} {clause}")
        else:
            self.sentences.append(clause)

    def end(self, kind: str) -> None:
        """Ask for the amount, a share of it, or its worth."""
        n = self.random.randint(2, 9)
        if kind == "share":
            self.apply("/", n)
        elif kind == "sale":
            self.apply("*", n)
        self.sentences.append(self.say({"now": NOW, "share": SHARES, "sale": SALES}[kind], n))


class Stories(Composed):
    """Story problems of two to four operations: the lab's main task."""

    name = "stories"
    key_sizes = (len(NAMES), len(ADJECTIVES), len(NOUNS))

    def compose(self, key: tuple[int, ...], random: Random) -> tuple[str, str, list[str], str]:
        """Tell stories about the key's person and things until one has the wanted length and fair numbers."""
        name, adjective, noun = key
        things = f"{ADJECTIVES[adjective]} {NOUNS[noun]}"
        while True:
            length = random.choice(OPERATIONS)
            opening, ending = random.choice(OPENINGS), random.choice(ENDINGS)
            events: list[str] = []
            missing = length - (opening != "plain") - (ending != "now")
            while missing > 0:
                events.append(random.choice(EVENTS if missing > 1 else EVENTS[:-1]))
                missing -= 1 + (events[-1] == "pack")
            telling = _Telling(NAMES[name], things, random)
            try:
                telling.open(opening)
                for event in events:
                    telling.happen(event)
                telling.end(ending)
            except ValueError:  # a share that leaves a remainder
                continue
            if all(0 < step.result <= LARGEST and step.left > 0 for step in telling.steps):
                break
        sentences = [sentence[0].upper() + sentence[1:] for sentence in telling.sentences]
        question = " ".join(sentence if sentence[-1] in ".?" else f"{sentence}." for sentence in sentences)
        rationales = worked(telling.steps, openings=("", f"Start with {telling.first}."))
        return question, str(telling.amount), rationales, f"{opening}-{ending}"
