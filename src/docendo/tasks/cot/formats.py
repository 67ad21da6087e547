"""Prompts and targets as Fine-tune-CoT published them, all of them plain text.

[code, format.py; for ``ft_cot_token_api`` the notes there on the paper's runs with GPT-3]

====================  ========================================  ===========================================
name                  prompt for the question q                 target for rationale r and answer a
====================  ========================================  ===========================================
``zs``                ``Q: q``, 2 line feeds, ``A:``            `` a``
``zs_cot``            ``Q: q``, line feed, ``A: `` and the      `` a``, what the second call asks for
                      trigger
``fs_cot``            exemplars, line feed, ``Q: q``, line      `` r The answer is a.``
                      feed, ``A:``
``ft_token``          ``q ###``                                 `` a``
``ft_cot_token``      ``q ###``                                 `` r --> a``
``ft_cot_token_api``  q, 2 line feeds, ``###``, 2 line feeds    `` r``, 2 line feeds, ``-->``, 2 line feeds,
                                                                ``a END``
``ft_cot_natural``    ``Q: q``, 2 line feeds, ``A: ``, the      `` r``, 2 line feeds,
                      trigger, 2 line feeds                     ``Therefore the answer is a``
====================  ========================================  ===========================================

The trigger is ``Let's think step by step.`` Zero-shot-CoT asks twice: the first call's text is the
rationale; the second call's prompt is the first's, that text, a line feed and ``Therefore, the answer is``,
and `read` is for what comes then. Choices stand behind the question as
`docendo.tasks.formats.question_with_choices` writes them.

Answers are read by the rules of `docendo.tasks.cot.answers`. A published fault is kept: ``ft_cot_natural`` is
read behind ``Therefore, the answer is``, with a comma that its target does not have, and so always by rule C.
Last Letter, where rule C takes the whole text for the answer, does without that Format.

Departures: a rationale that holds the prefix has it broken (``-->`` becomes ``->``, ``The answer is``
begins in lower case), so that each target can be read; rationales and answers are stripped, as in the
released code and unlike the paper's runs with GPT-3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from docendo.core.protocols import Format
from docendo.core.records import Context, Message, Problem, Prompt, Reading
from docendo.tasks.cot.answers import read_published
from docendo.tasks.cot.catalogue import CotTask, Rule
from docendo.tasks.formats import STEP_BY_STEP, parents_of, question_with_choices

ARROW = "-->"


@dataclass(frozen=True, slots=True, kw_only=True)
class CotFormat:
    """One template of the authors' code."""

    version: ClassVar[int] = 1

    rule: Rule
    """What can be an answer."""
    opening: str = ""
    """Stands before the question."""
    closing: str = ""
    """Stands behind the question; the model goes on from here."""
    has_rationale: bool = True
    """Targets hold the rationale."""
    joint: str = ""
    """Stands in a target before the answer."""
    ending: str = ""
    """Stands in a target behind the answer."""
    prefix: str = ""
    """Stands before the answer where it is read. Empty: the first candidate of the text counts."""
    exemplars: str = ""
    """Worked examples, before the first question."""
    separator: str = "\n\n"
    """Between the system text, exemplars, shots and the question."""
    stop: tuple[str, ...] = ()
    """Texts at which a completion is over; `read` cuts there by itself."""

    def prompt(self, problem: Problem, context: Context) -> Prompt:
        """Return one text: system text, exemplars, shots, the question and what opens the answer."""
        parts = [part for part in (context.system, self.exemplars) if part]
        parts += [
            self._opened(shot.question) + self.target(shot.rationale, shot.answer) for shot in context.shots
        ]
        parts.append(self._opened(question_with_choices(problem)))
        return Prompt(problem, (Message("text", self.separator.join(parts)),), parents_of(context))

    def read(self, text: str) -> Reading:
        """Read the answer; what stands before the prefix, or the whole text, is the rationale."""
        for stop in self.stop:
            text = text.partition(stop)[0]
        found = read_published(self.rule, self.prefix, text)
        rationale = (text if found.prefix_at < 0 else text[: found.prefix_at]).strip()
        return Reading(rationale, found.answer or "", bool(found.answer))

    def target(self, rationale: str, answer: str) -> str:
        """Return the text to be learned."""
        rationale = rationale.strip() if self.has_rationale else ""
        if self.prefix:
            lower = self.prefix[0].lower() + self.prefix[1:]
            broken = lower if lower != self.prefix else self.prefix[1:]
            while self.prefix in rationale:  # more than once: of ---> another --> is left
                rationale = rationale.replace(self.prefix, broken)
        body = f"{rationale}{self.joint}".lstrip()
        return f" {body}{answer.strip()}{self.ending}"

    def _opened(self, question: str) -> str:
        return f"{self.opening}{question}{self.closing}"


def published_formats(task: CotTask, exemplars: str = "") -> dict[str, Format]:
    """Return the published Formats of a task by name.

    Args:
        task: Decides what can be an answer.
        exemplars: The few-shot prompt. Empty: there is no ``fs_cot``.
    """
    rule = task.rule
    formats: dict[str, Format] = {
        "zs": CotFormat(rule=rule, opening="Q: ", closing="\n\nA:", has_rationale=False),
        "zs_cot": CotFormat(rule=rule, opening="Q: ", closing=f"\nA: {STEP_BY_STEP}", has_rationale=False),
        "ft_token": CotFormat(rule=rule, closing=" ###", has_rationale=False),
        "ft_cot_token": CotFormat(rule=rule, closing=" ###", joint=f" {ARROW} ", prefix=ARROW),
        "ft_cot_token_api": CotFormat(
            rule=rule,
            closing="\n\n###\n\n",
            joint=f"\n\n{ARROW}\n\n",
            ending=" END",
            prefix=ARROW,
            stop=(" END",),
        ),
    }
    if rule != "letters":
        formats["ft_cot_natural"] = CotFormat(
            rule=rule,
            opening="Q: ",
            closing=f"\n\nA: {STEP_BY_STEP}\n\n",
            joint="\n\nTherefore the answer is ",
            prefix="Therefore, the answer is",
        )
    if exemplars:
        formats["fs_cot"] = CotFormat(
            rule=rule,
            opening="Q: ",
            closing="\nA:",
            joint=" The answer is ",
            ending=".",
            prefix="The answer is",
            exemplars=exemplars,
            separator="\n",
        )
    return formats
