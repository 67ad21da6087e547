"""What a model or a data set wrote, made safe to be shown: no markup, no control codes, no endless lines."""

from __future__ import annotations

import html
import re

_INVISIBLE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control codes, but not line feed and tab
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"  # direction marks and signs of no width
    "\ud800-\udfff"  # halves of surrogate pairs, which UTF-8 cannot hold
    "\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f"  # noncharacters and tags
    "]"
)
_FOLDERS = re.compile(r"(?<![\w./:~-])~?/(?:[^\s/'\"=,]+/)+(?=[^\s/'\"=,]*)")


def visible(text: str) -> str:
    r"""Return the text with every sign that is not seen, or that moves others, spelled out.

    Line feeds and tabs stay. A terminal given the result obeys no escape sequence; right-to-left text stays
    as it is, but nothing can turn the direction of what stands around it.

    Example:
        >>> visible("a\x00b\u202ec")
        'a⟨00⟩b⟨202E⟩c'
    """
    return _INVISIBLE.sub(lambda match: f"⟨{ord(match[0]):02X}⟩", text.replace("\r\n", "\n"))


def cut(text: str, limit: int = 1600) -> str:
    """Return a text of at most about ``limit`` characters: its beginning, a count, and its end.

    An answer mostly stands at the end, so a fifth of what is shown is the end.

    Example:
        >>> cut("0123456789" * 3, limit=10)
        '01234567 … (20 characters left out) … 89'
    """
    if len(text) <= limit:
        return text
    tail = limit // 5
    left_out = len(text) - limit
    return f"{text[: limit - tail]} … ({left_out:,} characters left out) … {text[len(text) - tail :]}"


def escaped(text: object) -> str:
    """Return anything as text for an HTML element or a quoted attribute."""
    return html.escape(visible(str(text)), quote=True)


def without_folders(text: str) -> str:
    """Return a command or a setting with the folders of absolute paths left out: they name one machine.

    Example:
        >>> without_folders("/opt/venv/bin/docendo run --task /data/ours.jsonl --model org/name")
        '…/docendo run --task …/ours.jsonl --model org/name'
    """
    return _FOLDERS.sub("…/", text)
