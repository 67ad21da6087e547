from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from docendo.core.errors import SettingError, UnknownNameError
from docendo.core.parts import identity_of
from docendo.core.protocols import Format
from docendo.core.records import Context, Label, Message, Problem, Prompt, Shot
from docendo.tasks.formats import (
    AnswerKind,
    Boxed,
    Direct,
    HashAnswer,
    PlainText,
    StepByStep,
    formats_for,
    question_with_choices,
    worked_example,
)

PROBLEM = Problem("p1", "What is 3 + 4?", "test")
SHOTS = (
    Shot("What is 1 + 1?", "1 + 1 = 2.", "2", parents=("s1", "s2")),
    Shot("What is 2 + 2?", "", "4", parents=("s2",)),
)
CONTEXT = Context("Be brief.", SHOTS)
TRIGGER = "Let's think step by step."


def turns(prompt: Prompt) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in prompt.messages]


def test_step_by_step_begins_the_turn_of_the_model() -> None:
    assert turns(StepByStep().prompt(PROBLEM, Context())) == [
        ("user", "What is 3 + 4?"),
        ("assistant", TRIGGER),
    ]
    assert StepByStep().prompt(PROBLEM, Context()).prefix == TRIGGER


def test_step_by_step_puts_system_text_and_shots_as_earlier_turns() -> None:
    assert turns(StepByStep().prompt(PROBLEM, CONTEXT)) == [
        ("system", "Be brief."),
        ("user", "What is 1 + 1?"),
        ("assistant", f"{TRIGGER} 1 + 1 = 2. The answer is 2."),
        ("user", "What is 2 + 2?"),
        ("assistant", f"{TRIGGER} The answer is 4."),
        ("user", "What is 3 + 4?"),
        ("assistant", TRIGGER),
    ]


def test_step_by_step_without_a_trigger_leaves_the_turn_to_the_model() -> None:
    prompt = StepByStep(trigger="").prompt(PROBLEM, CONTEXT)
    assert prompt.messages[-1] == Message("user", "What is 3 + 4?")
    assert prompt.messages[2] == Message("assistant", "1 + 1 = 2. The answer is 2.")
    assert prompt.prefix == ""


def test_direct_asks_for_the_answer_alone() -> None:
    assert turns(Direct().prompt(PROBLEM, CONTEXT)) == [
        ("system", "Be brief."),
        ("user", "What is 1 + 1?"),
        ("assistant", "The answer is 2."),
        ("user", "What is 2 + 2?"),
        ("assistant", "The answer is 4."),
        ("user", "What is 3 + 4?"),
    ]
    assert Direct().target("3 + 4 = 7.", "7") == " The answer is 7."


def test_hash_answer_puts_its_instruction_behind_every_question() -> None:
    prompt = HashAnswer(instruction="End with ####.").prompt(PROBLEM, Context(shots=SHOTS[:1]))
    assert turns(prompt) == [
        ("user", "What is 1 + 1?\n\nEnd with ####."),
        ("assistant", "1 + 1 = 2.\n#### 2"),
        ("user", "What is 3 + 4?\n\nEnd with ####."),
    ]
    assert turns(HashAnswer(instruction="").prompt(PROBLEM, Context())) == [("user", "What is 3 + 4?")]


def test_boxed_writes_and_reads_a_box() -> None:
    assert Boxed().target("Halve it.", r"\frac{1}{2}") == (
        " Halve it.\nThe answer is $\\boxed{\\frac{1}{2}}$."
    )
    reading = Boxed().read(" Halve it.\nThe answer is $\\boxed{\\frac{1}{2}}$.")
    assert (reading.rationale, reading.answer) == ("Halve it.", r"\frac{1}{2}")


def test_plain_text_is_one_text() -> None:
    assert turns(PlainText(trigger=TRIGGER).prompt(PROBLEM, CONTEXT)) == [
        (
            "text",
            "Be brief.\n\n"
            f"Q: What is 1 + 1?\nA: {TRIGGER} 1 + 1 = 2. The answer is 2.\n\n"
            f"Q: What is 2 + 2?\nA: {TRIGGER} The answer is 4.\n\n"
            f"Q: What is 3 + 4?\nA: {TRIGGER}",
        )
    ]
    assert turns(PlainText().prompt(PROBLEM, Context())) == [("text", "Q: What is 3 + 4?\nA:")]


def test_plain_text_reads_nothing_behind_the_next_question() -> None:
    shape = PlainText()
    assert shape.stop == ("\nQ:",)
    reading = shape.read(" 3 + 4 = 7. The answer is 7.\n\nQ: What is 1 + 1?\nA: The answer is 2.")
    assert (reading.rationale, reading.answer) == ("3 + 4 = 7.", "7")


def test_choices_stand_behind_the_question_in_every_format() -> None:
    problem = Problem("p2", "What flies?", "test", ("a bird", "a fish"))
    asked = "What flies? Answer choices: (A) a bird, (B) a fish."
    assert question_with_choices(problem) == asked
    for shape in formats_for("choice").values():
        assert asked in shape.prompt(problem, Context()).messages[-1 - bool(_prefix(shape))].content


def _prefix(shape: Format) -> str:
    return shape.prompt(PROBLEM, Context()).prefix


def test_a_worked_example_carries_its_choices_in_the_question() -> None:
    problem = Problem("p2", "What flies?", "train", ("a bird", "a fish"))
    shot = worked_example(problem, Label("p2", "A", "Birds have wings."))
    assert shot == Shot("What flies? Answer choices: (A) a bird, (B) a fish.", "Birds have wings.", "A")


@pytest.mark.parametrize("name", sorted(formats_for("number")))
def test_prompts_name_the_samples_in_their_shots_once(name: str) -> None:
    assert formats_for("number")[name].prompt(PROBLEM, CONTEXT).parents == ("s1", "s2")


def test_the_trigger_is_read_over_whether_it_stands_there_or_not() -> None:
    for text in (f"{TRIGGER} 3 + 4 = 7. The answer is 7.", " 3 + 4 = 7. The answer is 7."):
        reading = StepByStep().read(text)
        assert (reading.rationale, reading.answer, reading.is_parsed) == ("3 + 4 = 7.", "7", True)


def test_what_cannot_be_read_is_all_rationale() -> None:
    reading = StepByStep().read(f"{TRIGGER} 3 + 4 = 7. So it is")
    assert (reading.rationale, reading.answer, reading.is_parsed) == ("3 + 4 = 7. So it is", "", False)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 5. Let me check that.\n#### 7", "7"),  # the last statement, whatever its kind
        ("#### 7\nThe answer is 5.", "5"),
        (r"The answer is \boxed{5} apples.", "5"),
        ("A: The answer is 5.", "5"),
        ("She makes 13 * 2 = 26\nA: 26", "26"),
        ("She makes 13 * 2 = 26 dollars", "26"),  # no statement: the last number
    ],
)
def test_lenient_formats_read_the_last_statement_of_any_kind(text: str, answer: str) -> None:
    assert formats_for("number")["default"].read(text).answer == answer


def test_strict_formats_read_their_own_statement_alone() -> None:
    strict = formats_for("number", strict=True)
    assert not strict["default"].read("She makes 26 dollars\n#### 26").is_parsed
    assert strict["hash"].read("She makes 26 dollars\n#### 26").answer == "26"
    assert strict["boxed"].read(r"The answer is 5. \boxed{6}").answer == "6"


def test_default_is_boxed_for_mathematics_and_step_by_step_else() -> None:
    for kind in ("number", "text", "choice", "math"):
        formats = formats_for(kind)
        assert formats["default"] is formats["boxed" if kind == "math" else "step-by-step"]
        assert all(isinstance(shape, Format) for shape in formats.values())


def test_identities_of_formats_differ_where_results_may() -> None:
    shapes: list[object] = [
        *{id(one): one for one in formats_for("number").values()}.values(),
        *{id(one): one for one in formats_for("number", strict=True).values()}.values(),
        StepByStep(trigger="Think."),
    ]
    identities = [repr(identity_of(shape)) for shape in shapes]
    assert len(set(identities)) == len(identities)


def test_unknown_readers_are_named() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown reader 'sentense'\nhint: did you mean 'sentence'"):
        Direct(readers=("sentense",))
    with pytest.raises(SettingError, match="readers is empty"):
        StepByStep(readers=())
    with pytest.raises(SettingError, match="separator is empty"):
        PlainText(separator="")


_SIGNS = st.characters(codec="utf-8", exclude_characters="{}\\\n#*:", exclude_categories=("Cs", "Cc"))
_ANSWERS = st.one_of(
    st.integers().map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    st.sampled_from(
        ["1/2", "January 5", r"\frac{1}{2}", "x = 5", "$1,200", "50%", "yajo", "a b  c", r"\{1\}"]
    ),
    st.text(_SIGNS, min_size=1, max_size=30),
)
_RATIONALES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=20)
    | st.sampled_from(
        ["The answer is 5.", "so", "the answer is", "####", "\\boxed{2}", "\\boxed", "{", "A:", "\n"]
    )
).map(" ".join)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("kind", ["number", "text", "math"])
@given(rationale=_RATIONALES, answer=_ANSWERS)
def test_targets_are_read_back(kind: AnswerKind, strict: bool, rationale: str, answer: str) -> None:
    rationale, answer = rationale.strip(), answer.strip()
    # What the module excludes: an answer with the end of a sentence or an answer statement in it.
    assume(answer and not re.search(r"\.(\s|$|[_\"'\u201d\u2019)\]])|(?i:answer|^therefore|^thus)", answer))
    assume("\nQ:" not in f"\n{rationale}" and not rationale.startswith(TRIGGER))
    for name, shape in formats_for(kind, strict=strict).items():
        target = shape.target(rationale, answer)
        assert target.startswith(" ")
        for begun in ("", shape.prompt(PROBLEM, Context()).prefix):
            reading = shape.read(begun + target)
            assert reading.is_parsed
            assert reading.answer == answer
            assert reading.rationale == ("" if name == "direct" else rationale)


@given(rationale=_RATIONALES, letter=st.sampled_from("ABCDE"))
def test_targets_of_choices_are_read_back(rationale: str, letter: str) -> None:
    rationale = rationale.strip()
    assume("\nQ:" not in f"\n{rationale}" and not rationale.startswith(TRIGGER))
    for name, shape in formats_for("choice").items():
        reading = shape.read(shape.target(rationale, letter))
        assert reading.answer == letter
        assert reading.rationale == ("" if name == "direct" else rationale)


@pytest.mark.parametrize("kind", ["number", "text", "choice", "math"])
@given(text=st.text())
def test_reading_never_raises(kind: AnswerKind, text: str) -> None:
    for shape in formats_for(kind).values():
        reading = shape.read(text)
        assert reading.is_parsed is bool(reading.answer)
