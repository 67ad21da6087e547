from __future__ import annotations

import base64
import hashlib
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from docendo.report.escaping import visible
from docendo.report.html import report_html, write_report
from docendo.report.results import result_of
from docendo.runs.workspace import Workspace
from tests.report.conftest import HOSTILE, Ran

VOID = {"meta", "br", "link", "img", "input"}
SECTIONS = [
    "Arms",
    "Rounds",
    "More than one sample",
    "What became of each problem",
    "What each round learned",
    "Samples",
    "Drift",
    "Information",
    "Contamination",
    "Lineage",
    "Cost",
    "Settings and versions",
]


class Page(HTMLParser):
    """Reads a page, and checks that what is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)
        if self.open and self.open[-1] not in ("style", "script"):
            self.words += data


@pytest.mark.parametrize("name", ["one", "two"])
def test_the_page_is_well_formed_and_has_every_section(ran: Ran, name: str) -> None:
    page = Page(write_report(ran.workspace, name).read_text(encoding="utf-8"))
    assert page.headings == SECTIONS
    kinds = [attributes.get("data-kind") for tag, attributes in page.seen if tag == "article"]
    assert "kept" in kinds
    assert "dropped: incorrect" in kinds
    assert "wrong to right" in kinds
    assert sum(tag == "svg" for tag, _ in page.seen) >= 6


@pytest.mark.parametrize("name", ["one", "two"])
def test_the_page_asks_for_nothing_from_elsewhere(ran: Ran, name: str) -> None:
    text = write_report(ran.workspace, name).read_text(encoding="utf-8")
    page = Page(text)
    assert "http" not in re.sub(r'http-equiv="Content-Security-Policy"', "", text)
    assert "url(" not in text
    assert "@import" not in text
    for tag, attributes in page.seen:
        assert tag not in ("img", "link", "iframe", "object", "embed", "base", "form")
        assert "src" not in attributes
        assert not any(key.startswith("on") for key in attributes)
        assert "style" not in attributes
        if "href" in attributes:
            assert re.fullmatch(r"#[a-z]+|\.\./two-seed[01]/report\.html", attributes["href"] or "")


def test_the_policy_inside_the_page_allows_its_own_script_alone(ran: Ran) -> None:
    text = write_report(ran.workspace, "one").read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text


def test_whatever_a_model_or_a_data_set_wrote_is_shown_and_never_obeyed(hostile: Ran) -> None:
    text = write_report(hostile.workspace, "hostile").read_text(encoding="utf-8")
    page = Page(text)
    tags = {tag for tag, _ in page.seen}
    assert text.count("<script>") == 1
    assert "img" not in tags
    assert "i" not in tags  # from the problems' ids
    written = HOSTILE.encode("utf-8", "replace").decode()
    assert visible(written) in page.words
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\u2028]", text)
    assert "characters left out) …" in text
    assert len(text) < 400_000
    assert max(len(word) for word in page.words.split()) < 1700


def test_the_same_workspace_gives_the_same_bytes_wherever_it_lies(ran: Ran, tmp_path: Path) -> None:
    first = write_report(ran.workspace, "two").read_bytes()
    assert write_report(ran.workspace, "two").read_bytes() == first
    moved = shutil.copytree(ran.path, tmp_path / "moved")
    assert write_report(Workspace(moved), "two").read_bytes() == first


def test_no_folder_of_the_machine_is_named(ran: Ran) -> None:
    for name in ("one", "two", "two-seed1"):
        text = write_report(ran.workspace, name).read_text(encoding="utf-8")
        assert str(ran.path) not in text
        assert str(ran.path.parent) not in text
        assert "/opt/somewhere" not in text
        assert "/data/mine" not in text
        assert "…/docendo run rest-em --task …/sums.jsonl" in text


def test_over_seeds_every_seed_has_a_page_of_its_own(ran: Ran) -> None:
    page = write_report(ran.workspace, "two")
    for seed in (0, 1):
        assert (page.parent.parent / f"two-seed{seed}" / "report.html").exists()
    text = page.read_text(encoding="utf-8")
    assert '<a href="../two-seed0/report.html">two-seed0</a>' in text
    assert "seed 1, round 2, select" in text


def test_numbers_on_the_page_are_those_of_the_result(ran: Ran) -> None:
    result = result_of(ran.workspace, "one")
    words = Page(report_html(ran.workspace, result)).words
    shown = [one for one in result["evaluations"] if one["split"] == "test" or one["arm"] == "method"]
    for entry in shown:
        assert f"{100 * entry['accuracy']:.1f} %" in words
    for one in result["comparisons"]:
        assert (
            f"[{100 * one['interval'][0]:+.1f}, {100 * one['interval'][1]:+.1f}]".replace("+0.0", "0.0")
            in words
        )
    assert result["chosen"]["checkpoint"][:12] in words


def test_stages_that_are_gone_leave_a_page_without_them(ran: Ran, tmp_path: Path) -> None:
    moved = shutil.copytree(ran.path, tmp_path / "moved")
    workspace = Workspace(moved)
    for folder in workspace.stages.glob("s*"):  # samples and selections
        shutil.rmtree(folder)
    page = Page(write_report(workspace, "one").read_text(encoding="utf-8"))
    assert "Samples" not in page.headings
    assert "Arms" in page.headings
    assert "Lineage" in page.headings
    shutil.rmtree(workspace.runs / "two-seed0")
    page = Page(write_report(workspace, "two").read_text(encoding="utf-8"))
    assert page.headings[0] == "Arms"
