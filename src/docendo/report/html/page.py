"""The frame of the HTML report: one file with style and a small script inside, and nothing from elsewhere.

The page works without the script, which only filters the sample browser. A content policy inside the page
allows no other script and no request, so that even a fault in escaping would run nothing.
"""

from __future__ import annotations

import base64
import hashlib

from docendo.report.escaping import escaped

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fcfcfa; --panel: #f3f4f1; --ink: #1d2125; --soft: #5a636b; --line: #d9dddf; --grid: #e6e8e8;
  --method: #1565a8; --base: #747d85; --majority: #b8690a; --unverified: #86479c; --gold: #2c7d4f;
  --other: #0f7f86; --kept: #2c7d4f; --drop1: #c4473a; --drop2: #d98b2b; --drop3: #8d7bb5; --drop4: #8b949b;
  --good: #1f7a45; --bad: #b23a2e; --doubt: #97690a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --panel: #1d2226; --ink: #e6e8e9; --soft: #a2abb2; --line: #353c42; --grid: #2a3035;
    --method: #62aef0; --base: #9da6ad; --majority: #eda34a; --unverified: #c78fdc; --gold: #62c38c;
    --other: #4cc3ca; --kept: #4fae79; --drop1: #e2766a; --drop2: #e5a95a; --drop3: #a998d3; --drop4: #78828a;
    --good: #62c38c; --bad: #ee8478; --doubt: #e3b34e;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink); font-variant-numeric: tabular-nums;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
}
main, header, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 2.2rem; }
h1 {
  font-size: 1.9rem; line-height: 1.2; margin: .1rem 0 .3rem; letter-spacing: -.01em; overflow-wrap: anywhere;
}
h2 { font-size: 1.25rem; margin: 0 0 .3rem; padding-top: 1.1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
section { margin: 2.4rem 0 0; }
p { margin: .4rem 0 .8rem; max-width: 46rem; }
a { color: var(--method); text-underline-offset: .15em; }
.brand { color: var(--soft); font-size: .85rem; letter-spacing: .08em; text-transform: uppercase; margin: 0; }
.about, .note, figcaption { color: var(--soft); }
.about { margin: 0; overflow-wrap: anywhere; }
.note, figcaption { font-size: .875rem; max-width: 46rem; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: 1.1rem 0 0; font-size: .9rem; }
nav a { color: var(--soft); text-decoration: none; border-bottom: 1px solid var(--line); }
nav a:hover { color: var(--ink); border-color: var(--ink); }
footer { color: var(--soft); font-size: .85rem; padding-top: 2.5rem; padding-bottom: 3rem; }

.verdict {
  margin: 1.4rem 0 0; padding: 1.3rem 1.5rem 1.1rem; background: var(--panel); border-radius: .5rem;
  border-left: .4rem solid var(--tone);
}
.verdict .word { font-size: 1.7rem; font-weight: 700; color: var(--tone); line-height: 1.15; margin: 0; }
.verdict p { margin: .35rem 0 0; max-width: none; }
.verdict .why { font-size: 1.08rem; font-weight: 600; }
.improved { --tone: var(--good); } .worse { --tone: var(--bad); } .no-evidence { --tone: var(--doubt); }
.numbers { display: flex; flex-wrap: wrap; gap: 1rem 2.6rem; margin: 1.2rem 0 .2rem; }
.numbers div { min-width: 6.5rem; }
.numbers b {
  display: block; font-size: 1.65rem; line-height: 1.15; font-weight: 650; color: var(--c, inherit);
}
.numbers span { color: var(--soft); font-size: .85rem; }

.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .925rem; margin: .7rem 0 .4rem; }
th, td { padding: .34rem 1.5rem .34rem 0; text-align: left; vertical-align: top; }
th {
  font-weight: 600; color: var(--soft); font-size: .84rem; white-space: nowrap;
  border-bottom: 1px solid var(--line);
}
td { border-bottom: 1px solid var(--grid); }
tr:last-child td { border-bottom-color: var(--line); }
.n { text-align: right; white-space: nowrap; }
th:last-child, td:last-child { padding-right: .2rem; }
tr.lead td { font-weight: 650; }
td small { color: var(--soft); font-size: .84rem; font-weight: 400; }
.arm { white-space: nowrap; }
.arm::before { content: ""; }
.arm::before, .swatch {
  display: inline-block; width: .65em; height: .65em; border-radius: 50%; background: var(--c);
  margin-right: .5em;
}
code, .mono {
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; font-size: .86em;
}
.tone-improved { color: var(--good); font-weight: 600; } .tone-worse { color: var(--bad); font-weight: 600; }
.tone-no-evidence { color: var(--doubt); font-weight: 600; }

figure { margin: .8rem 0 1rem; min-width: 0; }
td:has(> .arm + br) { min-width: 10.5rem; }
figcaption { margin-top: .2rem; }
.pair {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: .4rem 2rem;
}
.chart { display: block; max-width: 100%; height: auto; font-size: 13px; overflow: visible; }
.chart text { fill: var(--soft); }
.chart .end { text-anchor: end; } .chart .middle { text-anchor: middle; }
.chart .name { fill: var(--c, var(--ink)); font-weight: 600; }
.chart .axis { font-size: 12px; }
.chart .grid { stroke: var(--grid); fill: none; } .chart .zero { stroke: var(--soft); fill: none; }
.chart .line { stroke: var(--c); stroke-width: 2.2; fill: none; stroke-linejoin: round; }
.chart .bar { stroke: var(--c); stroke-width: 1.4; fill: none; opacity: .75; }
.chart .bar.thick { stroke-width: 2.2; opacity: 1; }
.chart .dot { fill: var(--c); stroke: var(--paper); stroke-width: 1.5; }
.chart .level { stroke: var(--c); stroke-width: 1.4; stroke-dasharray: 2 4; fill: none; }
.chart .dashed .line { stroke-dasharray: 6 4; }
.chart .faint .line { stroke-width: 1.1; opacity: .45; } .chart .faint .dot { opacity: .5; }
.chart .faint .bar { opacity: .3; }
.chart .fill { fill: var(--c); }
.c-method { --c: var(--method); } .c-base { --c: var(--base); } .c-majority { --c: var(--majority); }
.c-unverified { --c: var(--unverified); } .c-gold { --c: var(--gold); } .c-other { --c: var(--other); }
.c-kept { --c: var(--kept); } .c-drop1 { --c: var(--drop1); } .c-drop2 { --c: var(--drop2); }
.c-drop3 { --c: var(--drop3); } .c-drop4 { --c: var(--drop4); }
.legend {
  display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; margin: .2rem 0; padding: 0; list-style: none;
  font-size: .875rem;
}

.matrix { display: inline-block; margin: 0 3rem 1rem 0; vertical-align: top; }
.matrix td { min-width: 5.8rem; border: 1px solid var(--line); padding: .5rem .8rem; text-align: right; }
.matrix th { border: 0; padding: .3rem .8rem; text-align: right; }
.matrix caption { text-align: left; font-weight: 600; font-size: .95rem; padding-bottom: .2rem; }
.gain { background: color-mix(in srgb, var(--good) 14%, transparent); }
.loss { background: color-mix(in srgb, var(--bad) 14%, transparent); }
.matrix small { white-space: nowrap; }
.blocks { columns: 24rem; column-gap: 2rem; } .blocks > div { break-inside: avoid; overflow-wrap: anywhere; }
.blocks h3 { margin-top: .6rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 0 1rem; }
.tiles .filter { grid-column: 1 / -1; } .tiles .card { margin-bottom: .8rem; }

.filter { display: flex; flex-wrap: wrap; gap: .4rem; margin: .8rem 0; }
.filter button {
  font: inherit; font-size: .875rem; color: var(--ink); background: var(--panel); cursor: pointer;
  border: 1px solid var(--line); border-radius: 1rem; padding: .15rem .8rem;
}
.filter button[aria-pressed="true"] { background: var(--ink); color: var(--paper); border-color: var(--ink); }
.card { border: 1px solid var(--line); border-radius: .5rem; margin: 0 0 1rem; padding: .9rem 1.1rem 1rem; }
.card[hidden] { display: none; }
.card h4 {
  margin: 0; font-size: .85rem; font-weight: 600; color: var(--soft); display: flex; flex-wrap: wrap;
  gap: .2rem .8rem;
}
.card .question {
  margin: .45rem 0 .7rem; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext;
  max-width: none;
}
.sides {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: .8rem 1.2rem;
}
.side { min-width: 0; border-left: .2rem solid var(--tone, var(--line)); padding-left: .8rem; }
.right { --tone: var(--good); } .wrong { --tone: var(--bad); }
.side .who { font-size: .85rem; color: var(--soft); margin: 0 0 .2rem; }
.side .who b { color: var(--tone, var(--ink)); }
pre {
  margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext;
  max-height: 26rem; overflow-y: auto;
  font: .86rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
}
details { margin: .5rem 0 0; } summary { cursor: pointer; color: var(--soft); font-size: .9rem; }
details pre { background: var(--panel); padding: .6rem .8rem; border-radius: .3rem; margin-top: .4rem; }
.chip {
  border: 1px solid currentColor; border-radius: .8rem; padding: 0 .55rem; font-size: .8rem;
  white-space: nowrap;
}
.chip.good { color: var(--good); } .chip.bad { color: var(--bad); }

ol.descent { list-style: none; margin: .9rem 0 0; padding: 0; }
ol.descent > li {
  position: relative; padding: 0 0 1.3rem 1.7rem; border-left: 2px solid var(--line); margin-left: .4rem;
}
ol.descent > li:last-child { border-left-color: transparent; padding-bottom: .2rem; }
ol.descent > li::before {
  content: ""; position: absolute; left: -.46rem; top: .4rem; width: .8rem; height: .8rem; border-radius: 50%;
  background: var(--method); border: 2px solid var(--paper);
}
ol.descent > li.root::before { background: var(--base); }
ol.descent .what { font-weight: 650; overflow-wrap: anywhere; }
ol.descent ul { margin: .3rem 0 0; padding-left: 1.1rem; font-size: .925rem; }
ol.descent li li { margin: .15rem 0; overflow-wrap: anywhere; }

@media (max-width: 34rem) {
  body { font-size: 15px; } main, header, footer { padding-left: 1rem; padding-right: 1rem; }
  .verdict { padding: 1rem; } th, td { padding-right: .9rem; } .matrix { margin-right: 1rem; }
  .matrix td { min-width: 4.4rem; padding: .4rem .5rem; }
  figure { overflow-x: auto; } .chart { max-width: none; width: 30rem; } .chart.wide { width: 42rem; }
}
@media print {
  :root { color-scheme: light; } nav, .filter { display: none; } body { font-size: 10.5pt; }
  section, figure, .card, .matrix { break-inside: avoid; } pre { max-height: none; overflow: visible; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""

SCRIPT = """
"use strict";
for (const browser of document.querySelectorAll("[data-browser]")) {
  const cards = [...browser.querySelectorAll("[data-kind]")];
  const bar = document.createElement("div");
  bar.className = "filter";
  const buttons = ["all", ...new Set(cards.map((card) => card.dataset.kind))].map((kind) => {
    const button = document.createElement("button");
    const number = cards.filter((card) => kind === "all" || card.dataset.kind === kind).length;
    button.type = "button";
    button.textContent = kind + " (" + number + ")";
    button.setAttribute("aria-pressed", String(kind === "all"));
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      for (const card of cards) card.hidden = kind !== "all" && card.dataset.kind !== kind;
    });
    return button;
  });
  bar.append(...buttons);
  browser.prepend(bar);
}
"""


def page(title: str, body: str) -> str:
    """Return a whole HTML document around a body."""
    allowed = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escaped(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
