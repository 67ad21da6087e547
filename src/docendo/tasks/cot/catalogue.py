"""What tells the 12 tasks apart: sizes, splits, answers and files.

Ho et al. (2023), arXiv:2212.10071; sizes and rules as in the released code. A question is known by its
place in the authors' numbering, from 0, which is the order of the published file; where train and test are
two files, train comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from docendo.tasks.formats import AnswerKind
from docendo.tasks.hub import HubId

Rule = Literal["number", "A-E", "A-F", "A-C", "yes-no", "letters"]
"""What can be an answer in a text; see `docendo.tasks.cot.answers`."""
Equality = Literal["text", "digits", "number"]
"""Which answers are the same: equal texts, equal texts without commas, numbers 1e-6 or less apart."""

Piece = Literal["all", "train", "dev", "test"]
"""What of a task a file holds; nothing of ``dev`` is in the authors' numbering."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CotTask:
    """One of the 12 tasks."""

    key: str
    """What the authors' files call it."""
    kind: AnswerKind
    rule: Rule
    equality: Equality
    size: int
    """Questions in all, N."""
    n_train: int | None = None
    """How many come first and are the published train split. None: 70 % at random."""
    n_drawn: int | None = None
    """The paper learns from so many of train, drawn at random. None: from all."""
    files: Mapping[Piece, str]
    """The upstream files, as kojima-takeshi188/zero_shot_cot keeps them in ``dataset``."""
    hub: HubId | None = None
    """A hub data set that holds these questions."""
    asked: str = ""
    """Stands behind the question, before the choices."""
    shuffled: bool = False
    """The publisher puts the right choice first; the authors put choices into a random order."""
    templated: bool = False
    """There is a second split, in which train and test share no template."""
    exemplars: tuple[int, ...] = ()
    """Questions that stand in the published few-shot prompt, with their answers."""
    repeats: tuple[int, ...] = ()
    """Questions that stand word for word in train and in test, on both sides, by the random split."""


TASKS: Mapping[str, CotTask] = {
    "single-eq": CotTask(
        key="single_eq",
        kind="number",
        rule="number",
        equality="number",
        size=508,
        files={"all": "SingleEq/questions.json"},
    ),
    "addsub": CotTask(
        key="addsub",
        kind="number",
        rule="number",
        equality="number",
        size=395,
        files={"all": "AddSub/AddSub.json"},
    ),
    "multiarith": CotTask(
        key="multiarith",
        kind="number",
        rule="number",
        equality="digits",
        size=600,
        files={"all": "MultiArith/MultiArith.json"},
        hub=HubId("ChilleD/MultiArith"),
        templated=True,
        repeats=(40, 50, 41, 51, 42, 52, 48, 58, 342, 352),
    ),
    "gsm8k": CotTask(
        key="gsm8k",
        kind="number",
        rule="number",
        equality="digits",
        size=8792,
        n_train=7473,
        files={"train": "grade-school-math/train.jsonl", "test": "grade-school-math/test.jsonl"},
        hub=HubId("openai/gsm8k", "main"),
    ),
    "svamp": CotTask(
        key="svamp",
        kind="number",
        rule="number",
        equality="number",
        size=1000,
        files={"all": "SVAMP/SVAMP.json"},
        hub=HubId("ChilleD/SVAMP"),
    ),
    "aqua": CotTask(
        key="aqua",
        kind="choice",
        rule="A-E",
        equality="text",
        size=97721,
        n_train=97467,
        n_drawn=10000,
        files={"train": "AQuA/train.json", "dev": "AQuA/dev.json", "test": "AQuA/test.json"},
        hub=HubId("deepmind/aqua_rat", "raw"),
        exemplars=(18, 15, 19, 55),
    ),
    "commonsense-qa": CotTask(
        key="commonsense_qa",
        kind="choice",
        rule="A-E",
        equality="text",
        size=10962,
        n_train=9741,
        files={
            "train": "CommonsenseQA/train_rand_split.jsonl",
            "test": "CommonsenseQA/dev_rand_split.jsonl",
        },
        hub=HubId("tau/commonsense_qa"),
        exemplars=(8, 5, 4, 1, 10, 3, 11),
    ),
    "strategy-qa": CotTask(
        key="strategy_qa",
        kind="text",
        rule="yes-no",
        equality="text",
        size=2290,
        files={"all": "StrategyQA/task.json"},
        hub=HubId("ChilleD/StrategyQA"),
        exemplars=(3, 7, 1, 0, 5, 2),
        repeats=(42, 1987),
    ),
    "date-understanding": CotTask(
        key="date_understanding",
        kind="choice",
        rule="A-F",
        equality="text",
        size=369,
        files={"all": "Bigbench_Date/task.json"},
        hub=HubId("tasksource/bigbench", "date_understanding"),
        asked="\nWhich choice is true?",
        shuffled=True,
        templated=True,
        exemplars=(106, 360, 237, 53, 143, 65),
    ),
    "tracking-shuffled-objects": CotTask(
        key="tracking_shuffled_objects",
        kind="choice",
        rule="A-C",
        equality="text",
        size=750,
        files={"all": "Bigbench_object_tracking/task.json"},
        hub=HubId("tasksource/bigbench", "tracking_shuffled_objects"),
        asked=" \nWhich choice is true?",  # the questions end in a space: "... has the "
    ),
    "last-letter": CotTask(
        key="last_letter_concatenation",
        kind="text",
        rule="letters",
        equality="text",
        size=500,
        files={"all": "last_letters/last_letters.json"},
        hub=HubId("ChilleD/LastLetterConcat"),
        exemplars=(7, 66, 76, 166, 271, 274, 383, 418),
    ),
    "coin-flip": CotTask(
        key="coin_flip",
        kind="text",
        rule="yes-no",
        equality="text",
        size=500,
        files={"all": "coin_flip/coin_flip.json"},
        exemplars=(7, 66, 76, 166, 271, 274, 383, 418),
    ),
}
"""The tasks by name, in the order of the paper's tables."""
