from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import DataError, ModelError
from docendo.core.records import Message
from docendo.engines.tokenizer import Tokenizer
from tests.engines.tiny import CHATML, END, START, write_sentencepiece, write_tokenizer

ASKED = (Message("user", "What is 3 + 4?"),)
PREFILLED = (*ASKED, Message("assistant", "Let's think"))
PLAIN = (Message("text", "one "), Message("text", "two"))
# What a special token looks like is read as one, so it is no plain text.
TEXTS = st.text(st.characters(exclude_characters="<", exclude_categories=("Cs",)), max_size=30)


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder: Path) -> Tokenizer:
    return Tokenizer.load(tokenizer_folder)


def test_a_question_is_rendered_with_the_header_of_the_answer(tokenizer: Tokenizer) -> None:
    assert tokenizer.render(ASKED) == "<s>Q: What is 3 + 4?\nA:"


def test_a_prefilled_turn_is_left_open(tokenizer: Tokenizer) -> None:
    assert tokenizer.render(PREFILLED) == "<s>Q: What is 3 + 4?\nA: Let's think"


def test_an_empty_prefilled_turn_is_no_turn(tokenizer: Tokenizer) -> None:
    assert tokenizer.render((*ASKED, Message("assistant", ""))) == tokenizer.render(ASKED)


def test_plain_text_is_put_together_as_it_stands(tokenizer: Tokenizer) -> None:
    assert tokenizer.render(PLAIN) == "one two"


@pytest.mark.parametrize("messages", [ASKED, PREFILLED, PLAIN])
def test_a_prompt_starts_with_exactly_one_start_token(
    tokenizer: Tokenizer, messages: tuple[Message, ...]
) -> None:
    ids = tokenizer.prompt_ids(messages)
    assert ids[0] == START
    assert ids.count(START) == 1


def test_prompts_in_a_batch_are_what_they_are_alone(tokenizer: Tokenizer) -> None:
    batch = [PLAIN, ASKED, PREFILLED, ASKED]
    assert tokenizer.prompts_ids(batch) == [tokenizer.prompt_ids(messages) for messages in batch]


@given(text=TEXTS)
@pytest.mark.parametrize("messages", [ASKED, PREFILLED, PLAIN])
def test_a_completion_is_the_text_and_one_end_token(
    tokenizer: Tokenizer, messages: tuple[Message, ...], text: str
) -> None:
    ids = tokenizer.completion_ids(messages, text)
    lead = " " if messages is ASKED and not text.startswith(" ") else ""
    assert ids[-1] == END
    assert END not in ids[:-1]
    assert tokenizer.decode(ids) == lead + text


def test_the_space_that_the_template_writes_is_not_doubled(tokenizer: Tokenizer) -> None:
    assert tokenizer.completion_ids(ASKED, " It is 7.") == tokenizer.completion_ids(ASKED, "It is 7.")
    assert tokenizer.continuations_ids([(ASKED, " 7")]) == tokenizer.continuations_ids([(ASKED, "7")])


@given(text=TEXTS)
def test_a_continuation_is_a_completion_without_its_end(tokenizer: Tokenizer, text: str) -> None:
    (ids,) = tokenizer.continuations_ids([(ASKED, text)])
    assert [*ids, END] == tokenizer.completion_ids(ASKED, text)


def test_completion_follows_the_prompt_as_the_template_writes_both(tokenizer: Tokenizer) -> None:
    whole = "<s>Q: What is 3 + 4?\nA: It is 7.</s>"
    assert tokenizer.render(ASKED) + tokenizer.turn(ASKED, "It is 7.") == whole


def test_the_end_of_turn_ends_a_completion_where_it_is_an_end_token(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write_tokenizer(tmp_path, template=CHATML, eos_token="<|im_end|>"))
    ids = tokenizer.completion_ids(ASKED, "It is 7.")
    assert tokenizer.turn(ASKED, "It is 7.") == "It is 7.<|im_end|>\n"
    assert ids[-1] == tokenizer.eos_id
    assert tokenizer.decode(ids) == "It is 7."


def test_an_end_token_is_added_where_the_template_writes_none(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write_tokenizer(tmp_path, template=CHATML))
    ids = tokenizer.completion_ids(ASKED, "It is 7.")
    assert ids[-1] == END
    assert tokenizer.decode(ids[:-1]) == "It is 7.\n"


def test_a_template_that_trims_does_not_change_what_was_said(tmp_path: Path) -> None:
    template = CHATML.replace("{{ m.content }}", "{{ m.content | trim }}")
    tokenizer = Tokenizer.load(write_tokenizer(tmp_path, template=template, eos_token="<|im_end|>"))
    assert tokenizer.turn(ASKED, "  7 \n") == "  7 \n<|im_end|>\n"
    assert tokenizer.turn(PREFILLED, " it over") == " it over<|im_end|>\n"


def test_generation_config_names_further_end_tokens(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 4]}))
    assert Tokenizer.load(folder).end_ids == {1, 4}


def test_decoding_keeps_the_space_in_front(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.completion_ids(PLAIN, " and a")) == " and a"


def test_word_starts_that_a_tokenizer_invents_are_taken_out_again(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write_sentencepiece(tmp_path))
    for text in ("She has", " She has", "  3"):
        ids = tokenizer.completion_ids(PLAIN, text)
        assert tokenizer.decode(ids) == text


def test_the_digest_is_about_token_ids_and_not_about_files(tokenizer: Tokenizer, tmp_path: Path) -> None:
    copy = write_tokenizer(tmp_path / "copy")
    config = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps({**config, "model_max_length": 7}))
    other = write_tokenizer(tmp_path / "other", template=CHATML)
    assert Tokenizer.load(copy).digest == tokenizer.digest
    assert Tokenizer.load(other).digest != tokenizer.digest


def test_mixed_roles_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match="mixes role 'text' with user"):
        tokenizer.render((*ASKED, Message("text", "x")))


def test_a_prompt_without_messages_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match="no messages"):
        tokenizer.prompt_ids(())


def test_chat_messages_need_a_chat_template(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write_tokenizer(tmp_path, template=None))
    assert not tokenizer.has_chat_template
    assert tokenizer.render(PLAIN) == "one two"
    with pytest.raises(ModelError, match=r"no chat template[^\n]*\nhint: use a plain-text format"):
        tokenizer.render(ASKED)


def test_a_template_that_refuses_a_role_is_named_as_the_reason(tmp_path: Path) -> None:
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
    tokenizer = Tokenizer.load(write_tokenizer(tmp_path, template=template))
    with pytest.raises(ModelError, match="refuses messages with roles system, user: no system"):
        tokenizer.render((Message("system", "Be brief."), *ASKED))


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected tokenizer\.json"):
        Tokenizer.load(tmp_path)


def test_a_tokenizer_that_cannot_be_read_is_refused(tokenizer_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tokenizer_folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot read the tokenizer"):
        Tokenizer.load(tmp_path)


def test_a_tokenizer_without_end_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no end token[^\n]*\nhint: name .eos_token"):
        Tokenizer.load(write_tokenizer(tmp_path, eos_token=None))


def test_loading_a_tokenizer_does_not_import_torch(tokenizer_folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from docendo.engines.tokenizer import Tokenizer; "
        f"Tokenizer.load(Path({str(tokenizer_folder)!r})); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
