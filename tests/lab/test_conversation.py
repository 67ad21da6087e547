"""The conversation format: what the chat template of the shipped tokenizer writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from docendo.lab import models
from docendo.lab.accuracy import is_correct, prompt
from docendo.lab.conversation import CHAT_TEMPLATE, TRIGGER, assistant, direct, rendered, step_by_step, user
from docendo.lab.documents import documents
from docendo.lab.problems import FAMILIES

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)


@pytest.fixture(scope="module", params=models.NAMES)
def tokenizer(request):
    return AutoTokenizer.from_pretrained(models.path(request.param))


def test_tokenizers_of_all_models_are_the_same_file():
    files = [(models.path(name) / "tokenizer.json").read_bytes() for name in models.NAMES]
    assert files[0] == files[1] == files[2]


def test_template_writes_questions_and_answers(tokenizer):
    conversation = [
        {"role": "system", "content": "Be brief."},
        user("What is 2 + 3?"),
        assistant("The answer is 5."),
        user("Check your answer."),
    ]
    text = tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
    assert text == "<s>Be brief.\nQ: What is 2 + 3?\nA: The answer is 5.</s>Q: Check your answer.\nA:"
    assert tokenizer.chat_template == CHAT_TEMPLATE


def test_prefill_ends_the_prompt(tokenizer):
    assert prompt("What is 2 + 3?", True, tokenizer) == f"<s>Q: What is 2 + 3?\nA: {TRIGGER}"
    assert prompt("What is 2 + 3?", False, tokenizer) == "<s>Q: What is 2 + 3?\nA:"


def test_documents_are_rendered_as_the_template_does(tokenizer):
    for _, document in zip(range(60), documents(seed=1), strict=False):
        assert tokenizer.apply_chat_template(document, tokenize=False) == rendered(document)


def test_template_tokenises_to_the_tokens_of_its_text(tokenizer):
    conversation = [user("What is 2 + 3?"), assistant("The answer is 5.")]
    ids = tokenizer.apply_chat_template(conversation, return_dict=False)
    assert ids == tokenizer(rendered(conversation))["input_ids"]
    assert ids.count(tokenizer.eos_token_id) == 1
    assert ids[0] == tokenizer.bos_token_id == tokenizer.convert_tokens_to_ids("<s>")
    assert ids[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("triggered", [True, False])
def test_prompt_and_completion_tokenise_apart_as_together(tokenizer, name, triggered):
    for problem in FAMILIES[name].problems("train", 25):
        before = prompt(problem.question, triggered, tokenizer)
        for rationale in problem.rationales:
            answer = step_by_step(rationale, problem.answer) if triggered else direct(problem.answer)
            whole = rendered([user(problem.question), assistant(answer)])
            assert whole.startswith(before)
            after = whole.removeprefix(before)
            assert (
                tokenizer(before)["input_ids"] + tokenizer(after)["input_ids"]
                == tokenizer(whole)["input_ids"]
            )


@given(PRINTABLE)
def test_printable_text_survives_the_tokenizer(text):
    tokenizer = AutoTokenizer.from_pretrained(models.path("lab/base"))
    ids = tokenizer(text)["input_ids"]
    if not any(special in text for special in tokenizer.all_special_tokens):
        assert tokenizer.decode(ids) == text


def test_every_digit_is_its_own_token(tokenizer):
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("12 + 345 = 357.")["input_ids"])
    assert tokens == ["1", "2", "Ġ+", "Ġ3", "4", "5", "Ġ=", "Ġ3", "5", "7", "."]
    assert not [token for token in tokenizer.get_vocab() if sum(map(str.isdigit, token)) > 1]
    assert len(tokenizer) == 512


def test_a_character_outside_the_alphabet_becomes_unknown_and_does_not_vanish(tokenizer):
    assert tokenizer.unk_token_id in tokenizer("5 €")["input_ids"]


def test_the_last_answer_counts():
    assert is_correct("2 + 3 = 5. The answer is 5.", "5")
    assert is_correct("The answer is 4. The answer is 5.", "5")
    assert not is_correct("The answer is 15.", "5")
    assert not is_correct("2 + 3 = 5.", "5")
    assert is_correct("The answer is March 5.", "March 5")
