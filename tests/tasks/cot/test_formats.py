from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.parts import identity_of
from docendo.core.records import Context, Problem, Shot
from docendo.tasks.cot.catalogue import TASKS
from docendo.tasks.cot.formats import published_formats

QUESTION = Problem("p", "How many are 2 and 3?", "test")
EXEMPLARS = "Q: How many are 1 and 1?\nA: 1 + 1 = 2. The answer is 2."

# Section 5 of the method's description: prompts and targets of the released code; the paper's own for GPT-3.
TEXTS = {
    "zs": ("Q: How many are 2 and 3?\n\nA:", " 5"),
    "zs_cot": ("Q: How many are 2 and 3?\nA: Let's think step by step.", " 5"),
    "fs_cot": (f"{EXEMPLARS}\nQ: How many are 2 and 3?\nA:", " 2 + 3 = 5. The answer is 5."),
    "ft_token": ("How many are 2 and 3? ###", " 5"),
    "ft_cot_token": ("How many are 2 and 3? ###", " 2 + 3 = 5. --> 5"),
    "ft_cot_token_api": ("How many are 2 and 3?\n\n###\n\n", " 2 + 3 = 5.\n\n-->\n\n5 END"),
    "ft_cot_natural": (
        "Q: How many are 2 and 3?\n\nA: Let's think step by step.\n\n",
        " 2 + 3 = 5.\n\nTherefore the answer is 5",
    ),
}


def test_prompts_and_targets_are_the_published_ones_to_the_byte() -> None:
    formats = published_formats(TASKS["addsub"], EXEMPLARS)
    texts = {
        name: (shape.prompt(QUESTION, Context()).messages, shape.target("\n2 + 3 = 5. ", "5"))
        for name, shape in formats.items()
    }
    assert {name: (sent[0].content, target) for name, (sent, target) in texts.items()} == TEXTS
    assert all(len(sent) == 1 and sent[0].role == "text" for sent, _ in texts.values())


def test_choices_stand_behind_what_is_asked() -> None:
    shape = published_formats(TASKS["tracking-shuffled-objects"])["ft_cot_token"]
    asked = f"Bob has the{TASKS['tracking-shuffled-objects'].asked}"
    problem = Problem("p", asked, "test", ("red ball", "blue ball", "green ball"))
    assert shape.prompt(problem, Context()).messages[0].content == (
        "Bob has the \nWhich choice is true? Answer choices: (A) red ball, (B) blue ball, (C) green ball. ###"
    )


def test_targets_without_a_rationale_keep_the_mark() -> None:
    formats = published_formats(TASKS["coin-flip"])
    assert formats["ft_cot_token"].target("", "yes") == " --> yes"
    assert formats["ft_cot_natural"].target(" ", "yes") == " Therefore the answer is yes"


def test_a_context_stands_before_the_question() -> None:
    shape = published_formats(TASKS["addsub"], EXEMPLARS)["fs_cot"]
    context = Context("Add.", (Shot("What are 4 and 4?", "4 + 4 = 8.", "8", ("s",)),))
    prompt = shape.prompt(QUESTION, context)
    shot = "Q: What are 4 and 4?\nA: 4 + 4 = 8. The answer is 8."
    assert prompt.messages[0].content == f"Add.\n{EXEMPLARS}\n{shot}\nQ: How many are 2 and 3?\nA:"
    assert prompt.parents == ("s",)


def test_which_formats_a_task_has() -> None:
    assert "ft_cot_natural" not in published_formats(TASKS["last-letter"])
    assert "fs_cot" not in published_formats(TASKS["addsub"])


def test_rationales_are_read_for_the_next_call() -> None:
    formats = published_formats(TASKS["addsub"])
    assert formats["zs_cot"].read(" 2 + 3 = 5.\n").rationale == "2 + 3 = 5."
    assert formats["ft_cot_token"].read(" 2 + 3 = 5. --> 5").rationale == "2 + 3 = 5."
    assert formats["ft_cot_token_api"].read(" So.\n\n-->\n\n5 END and 7 more").answer == "5"


GOLD = {
    "addsub": "0.5",
    "gsm8k": "1000",
    "aqua": "D",
    "date-understanding": "F",
    "tracking-shuffled-objects": "B",
    "strategy-qa": "no",
    "coin-flip": "yes",
    "last-letter": "yajo",
}


@pytest.mark.parametrize("task", GOLD)
@given(
    rationale=st.text()
    | st.lists(st.sampled_from(["-->", "-", ">", "The answer is", " B", "7."])).map("".join)
)
def test_every_format_reads_back_what_it_teaches(task: str, rationale: str) -> None:
    rationale = rationale.replace(" END", "")
    for name, shape in published_formats(TASKS[task], EXEMPLARS).items():
        reading = shape.read(shape.target(rationale, GOLD[task]))
        assert (reading.answer, reading.is_parsed) == (GOLD[task], True), name


def test_fingerprints_tell_templates_rules_and_exemplars_apart() -> None:
    shapes = [
        *published_formats(TASKS["addsub"], EXEMPLARS).values(),
        *published_formats(TASKS["aqua"], EXEMPLARS).values(),
        published_formats(TASKS["addsub"], "Q: other\nA: one")["fs_cot"],
    ]
    assert len({str(identity_of(shape)) for shape in shapes}) == len(shapes)
