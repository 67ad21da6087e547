from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.report.escaping import cut, escaped, visible, without_folders

ANY_TEXT = st.text(st.characters(codec=None))


class Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(ANY_TEXT)
def test_visible_text_has_no_control_or_direction_marks(text: str) -> None:
    shown = visible(text)
    assert not any(unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\t" for sign in shown)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c\ufeff\u200b]", shown)
    shown.encode()  # no half of a surrogate pair is left


@given(ANY_TEXT)
def test_text_without_such_marks_stays_as_it_is(text: str) -> None:
    assert visible(visible(text)) == visible(text)
    plain = "".join(
        sign for sign in text if unicodedata.category(sign)[0] in "LNPSZ" and sign not in "\u2028\u2029"
    )
    assert visible(plain) == plain


@given(ANY_TEXT)
def test_escaped_text_makes_no_tag_in_an_element_or_an_attribute(text: str) -> None:
    parser = Texts()
    parser.feed(f'<p title="{escaped(text)}">{escaped(text)}</p>')
    parser.close()
    assert [tag for tag, _ in parser.tags] == ["p"]
    assert parser.text == visible(text)
    assert parser.tags[0][1] == [("title", visible(text))]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "⟨1B⟩[31mred"),
        ("a\x00b", "a⟨00⟩b"),
        ("\u202eevil", "⟨202E⟩evil"),
        ("a\r\nb\tc", "a\nb\tc"),
        ("\ud83d", "⟨D83D⟩"),
        ("שלום", "שלום"),
    ],
)
def test_dangerous_signs_are_spelled_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(ANY_TEXT, st.integers(min_value=5, max_value=200))
def test_cut_keeps_both_ends_and_counts_what_is_gone(text: str, limit: int) -> None:
    short = cut(text, limit)
    if len(text) <= limit:
        assert short == text
        return
    gone = re.search(r" … \(([\d,]+) characters left out\) … ", short)
    assert gone is not None
    assert int(gone[1].replace(",", "")) == len(text) - limit
    assert len(short) <= limit + 60


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/opt/v/bin/docendo run --task /data/x/my.jsonl", "…/docendo run --task …/my.jsonl"),
        ("--task=/data/x/my.jsonl", "--task=…/my.jsonl"),
        ("~/models/base", "…/base"),
        ("org/name and lab/base", "org/name and lab/base"),
        ("http://localhost:8000/v1/chat", "http://localhost:8000/v1/chat"),
        ("method/round-2/train epoch 1", "method/round-2/train epoch 1"),
    ],
)
def test_folders_of_a_machine_are_left_out_and_names_stay(text: str, shown: str) -> None:
    assert without_folders(text) == shown
