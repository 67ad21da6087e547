"""From a row in the form of its publisher to question, answer and choices.

=====================================  =====================================================================
members of the row                     publisher
=====================================  =====================================================================
sQuestion, lSolutions                  AddSub, MultiArith, SingleEq
Body, Question, Answer, ID             SVAMP
question with stem and choices         CommonsenseQA
options, correct                       AQuA
input, target_scores                   BIG-bench: Date Understanding, Shuffled Objects, StrategyQA
inputs, multiple_choice_targets        the same on the hub
question, answer                       all others, Docendo's own layout, and the authors' processed files,
                                       where choices stand in the question
=====================================  =====================================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from docendo.core.errors import DataError
from docendo.tasks.cot.catalogue import CotTask
from docendo.tasks.formats import LETTERS
from docendo.tasks.gold import Columns, GoldRow, Origin

_CHOICES = " Answer choices: "
_CHOICE = re.compile(r"(?:^|, )\(([A-F])\) ")
_OPTION = re.compile(r"^[A-E]\s*\)\s*")
_HUB_CHOICE = re.compile(r"\n\s*choice:.*")


def understood(task: CotTask, row: Mapping[str, Any], origin: Origin, columns: Columns) -> GoldRow:
    """Return what a row says, its id as the publisher writes it.

    Raises:
        DataError: A member is missing, or its value is not what it should be.
    """
    try:
        plain = _plain(row)
        if task.kind == "choice" and "choices" not in plain and _CHOICES in str(plain.get("question")):
            plain["question"], plain["choices"] = _verbalised(str(plain["question"]))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{origin}: cannot be read as {task.key}: {type(error).__name__} {error}",
            hint="expected a row as its publisher writes it, or one with question and answer",
        ) from error
    if task.kind != "choice":
        plain.pop("choices", None)
    gold = columns.gold_row({name: value for name, value in plain.items() if name != "split"}, origin)
    question = gold.question.removesuffix(task.asked.strip()).rstrip()
    choices = tuple(choice.removesuffix(".") for choice in gold.choices)
    return replace(gold, question=question, choices=choices, answer=_answer(gold.answer, task))


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with our names for its members."""
    if "sQuestion" in row:
        return {"question": row["sQuestion"], "answer": row["lSolutions"][0]}
    if "Body" in row:
        question = f"{row['Body'].strip()} {row['Question'].strip()}"
        return {"question": question, "answer": row["Answer"], "id": str(row["ID"])}
    if isinstance(row.get("question"), Mapping):
        stem = cast("Mapping[str, Any]", row["question"])
        choices = cast("Sequence[Mapping[str, Any]]", stem["choices"])
        named = {"text": [one["text"] for one in choices], "label": [one["label"] for one in choices]}
        return {"question": stem["stem"], "answer": row["answerKey"], "choices": named}
    if "correct" in row:
        options = [_OPTION.sub("", option) for option in row["options"]]
        given = {"question": row["question"], "answer": row["correct"], "rationale": row.get("rationale")}
        return {**given, "choices": options}
    if "target_scores" in row:
        scores = cast("Mapping[str, float]", row["target_scores"])
        right = max(scores, key=lambda choice: scores[choice])
        said = str(row.get("target") or "").partition(". ")[2]
        return {"question": row["input"], "answer": right, "choices": list(scores), "rationale": said}
    if "multiple_choice_targets" in row:
        targets = cast("Sequence[str]", row["multiple_choice_targets"])
        right = targets[list(row["multiple_choice_scores"]).index(1)]
        question = _HUB_CHOICE.sub("", row["inputs"]).strip().removesuffix("\nA:").removeprefix("Q: ")
        return {"question": question, "answer": right, "choices": list(targets)}
    plain = dict(row)
    if "final_ans" in plain:
        plain["answer"] = plain.pop("final_ans")
    if isinstance(plain.get("answer"), bool):
        plain["answer"] = "yes" if plain["answer"] else "no"
    return plain


def _verbalised(question: str) -> tuple[str, list[str]]:
    """Take the choices out of a question that names them, as the authors' files do."""
    asked, _, named = question.rpartition(_CHOICES)
    parts = _CHOICE.split(named.strip().removesuffix("."))[1:]
    if not parts or "".join(parts[::2]) != LETTERS[: len(parts) // 2]:
        raise ValueError(f"choices {named!r}; expected (A) ..., (B) ...")
    return asked, parts[1::2]


def _answer(answer: str, task: CotTask) -> str:
    if task.kind == "number":
        return answer.removesuffix(".0")
    return answer.lower() if task.rule == "yes-no" else answer
