"""The sections about numbers: verdict, arms, rounds, curves, transitions, drift, information, cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from docendo.report.charts import (
    Bar,
    Difference,
    Point,
    Series,
    difference_chart,
    line_chart,
    stacked_bars,
)
from docendo.report.escaping import escaped
from docendo.report.figures import (
    bare_p_value,
    count,
    dollars,
    duration,
    percent,
    percent_interval,
    points,
    points_interval,
    short_count,
)
from docendo.report.html.parts import (
    colour_of,
    dot,
    figure,
    folded,
    note,
    shown_name,
    table,
    tone,
    verdict_cell,
)
from docendo.report.results import (
    ARM_MEANINGS,
    Entry,
    Result,
    at_most_k,
    choices,
    comparison_in_words,
    costs,
    f1_of_arm,
    facts,
    finals,
    found_but_learned,
    is_over_seeds,
    labels_read,
    listed,
    mean_accuracy,
    mean_of,
    rivals,
    rounds,
    shared_k,
    sources_in_the_result,
    spread,
    transitions,
    verdict_in_words,
)


def verdict_section(result: Result) -> str:
    """Say the verdict, what decided it, and draw the method against each rival."""
    rule, deciding = verdict_in_words(result)
    word = result["verdict"]
    arms = finals(result)
    numbers = "".join(
        f'<div class="c-{colour_of(arm)}"><b>{percent(mean_accuracy(arms[arm]))}</b>'
        f"<span>{escaped(arm)}</span></div>"
        for arm in ("base", "method", "majority", "unverified")
        if arm in arms
    )
    rows = [
        Difference(
            f"against {one['against']}",
            one["difference"],
            one["interval"],
            colour_of(one["against"]),
            comparison_in_words(one),
        )
        for one in rivals(result)
    ]
    title = "Difference in accuracy between the method and each rival, with 95 % intervals"
    caption = (
        "The method against each rival on the same problems: difference and 95 % interval. "
        "Improved: every interval lies above zero. Worse: one lies below it."
    )
    return (
        f'<div class="verdict {tone(word)}"><p class="word">{escaped(word.capitalize())}</p>'
        f'<p>{escaped(rule)}</p><p class="why">{escaped(deciding)}</p>'
        f'<div class="numbers">{numbers}</div>{figure(difference_chart(rows, title=title), caption)}</div>'
    )


def arms_section(result: Result) -> str:
    """Show every arm's final numbers, and the comparisons."""
    arms = finals(result)
    several = is_over_seeds(result)
    k = shared_k(arms.values())
    at = f"@{k}" if k else "@k"
    around = "range of seeds" if several else "95 % interval"

    def curve(entries: Sequence[Entry], name: str) -> str:
        found = at_most_k(entries, name)
        if found is None:
            return "-"
        return percent(found[1]) + ("" if k else f" <small>k={found[0]}</small>")

    has_f1 = any(entry.get("f1") for entries in arms.values() for entry in entries)
    f1 = ("F1", "its interval") if has_f1 else ()
    curves = (f"mean{at}", f"pass{at}", f"majority{at}")
    numbers = table(
        ("arm", "accuracy", around, *f1, *curves, "n", "undecided", "failed"),
        [
            (
                f"{dot(arm)}<br><small>{escaped(ARM_MEANINGS.get(arm, ''))}</small>",
                percent(mean_accuracy(entries)),
                percent_interval(spread(entries)),
                *(f1_of_arm(entries) if has_f1 else ()),
                percent(mean_of(entries, "mean_at_k")),
                curve(entries, "pass_at_k"),
                curve(entries, "majority_at_k"),
                count(entries[0]["n"]),
                *(count(sum(entry[name] for entry in entries)) for name in ("undecided", "failed")),
            )
            for arm, entries in arms.items()
        ],
        lead=list(arms).index("method") if "method" in arms else -1,
    )
    about = (
        f"Means over {len(result['seeds'])} seeds; undecided and failed are sums."
        if several
        else "95 % Wilson intervals over problems."
    )
    return (
        numbers
        + note(f"{about} mean, pass and majority come from samples drawn beside the greedy answer.")
        + f"<h3>Paired comparisons</h3>{_comparisons(result)}"
    )


def _comparisons(result: Result) -> str:
    several = is_over_seeds(result)
    rows = (
        (
            dot(one["arm"]),
            dot(one["against"]),
            points(one["difference"]),
            points_interval(one["interval"]),
            escaped(", ".join(bare_p_value(p) for p in one["p_value_of_seed"])),
            verdict_cell(one["verdict"]),
        )
        for one in result["comparisons"]
    )
    p_name = "p of each seed" if several else "p (McNemar, exact)"
    heads = ("arm", "against", "difference", "95 % interval", p_name, "verdict")
    return table(heads, rows, words=(0, 1, 5)) + note(
        "In percentage points, on the same problems. The interval is the widest of those that apply: "
        "bootstrap over problems, exact over the problems that differ, over seeds where there are several."
    )


def rounds_section(result: Result) -> str:
    """Draw accuracy over rounds, and show what the method chose by."""
    found = rounds(result)
    if not any(len(by_round) > 1 for by_round in found.values()):
        return ""
    arms = finals(result)
    several = is_over_seeds(result)
    series: list[Series] = []
    # The method is drawn last and so lies on top; the arms stand a little apart, so that intervals do too.
    for place, (arm, by_round) in reversed(list(enumerate(found.items()))):
        if several:
            series += _seed_lines(arm, by_round, shift=0.1 * place)
        marks = [
            Point(
                number + (0.05 * place if number and not several else 0.0),
                mean_accuracy(entries),
                None if several else entries[0]["interval"],
                f"{arm}, round {number}: {_accuracy(entries)}",
            )
            for number, entries in by_round.items()
        ]
        series.append(Series(arm, marks, colour_of(arm), "" if arm == "method" else "dashed"))
    last = max(number for by_round in found.values() for number in by_round)
    chart = line_chart(
        series,
        title="Accuracy on the test split after each round",
        x_ticks=[(number, "base" if number == 0 else str(number)) for number in range(last + 1)],
        x_label="round",
        levels=[
            (arm, mean_accuracy(arms[arm]), colour_of(arm))
            for arm in ("base", "majority", "gold")
            if arm in arms
        ],
        width=880,
        height=360,
    )
    caption = "Accuracy on the test split after each round, with 95 % Wilson intervals over problems" + (
        ": each seed (thin) and the mean (bold)." if several else "."
    )
    around = "range of seeds" if several else "95 % interval"
    rows = table(
        ("arm", "round", "accuracy", around, "mean@k", "n"),
        (
            (
                dot(arm),
                "base" if number == 0 else str(number),
                percent(mean_accuracy(entries)),
                percent_interval(spread(entries)),
                percent(mean_of(entries, "mean_at_k")),
                count(entries[0]["n"]),
            )
            for arm, by_round in found.items()
            for number, entries in by_round.items()
        ),
    )
    return figure(chart, caption) + _returned(result) + folded("The same as a table", rows) + _choices(result)


def _accuracy(entries: Sequence[Entry]) -> str:
    return f"{percent(mean_accuracy(entries))} {percent_interval(spread(entries))}"


def _seed_lines(arm: str, by_round: Mapping[int, Sequence[Entry]], *, shift: float) -> Iterator[Series]:
    seeds = sorted({entry["seed"] for entries in by_round.values() for entry in entries})
    for place, seed in enumerate(seeds):
        aside = shift + 0.03 * (place - (len(seeds) - 1) / 2)
        marks = [
            Point(
                number + (aside if number else 0.0),
                entry["accuracy"],
                entry["interval"],
                f"{arm}, seed {seed}, round {number}: {percent(entry['accuracy'])}",
            )
            for number, entries in by_round.items()
            for entry in entries
            if entry["seed"] == seed
        ]
        yield Series("", marks, colour_of(arm), "faint")


def _returned(result: Result) -> str:
    names = [str(one.get("name", "answers, and no model")) for one in listed(result["chosen"])]
    if len(set(names)) == 1:
        return f"<p>The method returned <code>{escaped(shown_name(names[0]))}</code>.</p>"
    each = "; ".join(
        f"<code>{escaped(shown_name(name))}</code> (seed {seed})"
        for seed, name in zip(result["seeds"], names, strict=True)
    )
    return f"<p>The method returned {each}.</p>"


def _choices(result: Result) -> str:
    entries = [entry for entry in choices(result) if entry["arm"] == "method"]
    if not entries:
        return ""
    several = is_over_seeds(result)
    heads = ("when", "model", "split", "correct", "of", "accuracy", "95 % interval")
    rows = (
        (
            *((str(entry["seed"]),) if several else ()),
            f"round {entry['round']}" if entry["round"] else "at the end",
            f"<code>{escaped(shown_name(entry['model']))}</code>",
            escaped(entry["split"]),
            count(entry["correct"]),
            count(entry["n"]),
            percent(entry["accuracy"]),
            percent_interval(entry["interval"]),
        )
        for entry in entries
    )
    shown = table(("seed", *heads) if several else heads, rows, words=4 if several else 3)
    return folded("What the method chose by: its evaluations on other splits than test", shown)


def curves_section(result: Result) -> str:
    """Draw pass@k and majority@k."""
    arms = {arm: entries for arm, entries in finals(result).items() if at_most_k(entries, "pass_at_k")}
    if not arms:
        return ""
    passed = _curve_chart(arms, "pass_at_k", "pass@k on the test split")
    voted = _curve_chart(arms, "majority_at_k", "majority@k on the test split")
    means = " Means over seeds." if is_over_seeds(result) else ""
    return (
        '<div class="pair">'
        + figure(passed, f"pass@k: chance that at least one of k samples is right, unbiased.{means}")
        + figure(voted, f"majority@k: accuracy of the most frequent answer of k samples.{means}")
        + "</div>"
        + note(
            "A method that only sharpens raises pass@1 and leaves pass@k of large k where it was, or lowers "
            "it: the same problems are solved, more often."
        )
    )


def _curve_chart(arms: Mapping[str, Sequence[Entry]], name: str, title: str) -> str:
    series: list[Series] = []
    every: set[int] = set()
    for arm, entries in reversed(list(arms.items())):
        curves: list[Mapping[str, float]] = [entry[name] for entry in entries]
        ks = [int(k) for k in curves[0] if all(k in curve for curve in curves)]
        every.update(ks)
        marks = [(k, fmean(curve[str(k)] for curve in curves)) for k in ks]
        shown = [Point(_doublings(k), y, says=f"{arm}, k={k}: {percent(y)}") for k, y in marks]
        series.append(Series(arm, shown, colour_of(arm), "" if arm == "method" else "dashed"))
    ticks = [(_doublings(k), str(k)) for k in sorted(every)]
    return line_chart(series, title=title, x_ticks=ticks, x_label="k", width=560, height=300)


def _doublings(k: int) -> float:
    """Return how often 1 is doubled to come to k; between two powers of two it goes straight."""
    power = 1 << (k.bit_length() - 1)
    return k.bit_length() - 1 + (k - power) / power


def transitions_section(result: Result) -> str:
    """Show what became of the problems that the base solved, and of those it did not."""
    found = transitions(result)
    if not found:
        return ""
    blocks = [_matrix(arm, counts) for arm, counts in found.items()]
    over = ", summed over seeds" if is_over_seeds(result) else ""
    return "".join(blocks) + note(f"Problems of the test split, greedy answers{over}.")


def _matrix(arm: str, counts: Mapping[str, int]) -> str:
    whole = sum(counts.values())

    def cell(name: str, kind: str = "") -> str:
        return f"<td{kind}>{count(counts[name])}<br><small>{percent(counts[name] / whole)}</small></td>"

    gained = counts["wrong_right"] - counts["right_wrong"]
    net = f"net {gained:+,}" if gained else "net 0"
    return (
        f'<table class="matrix"><caption>base to {dot(arm)} <small>{net}</small></caption>'
        "<thead><tr><th></th><th>then right</th><th>then wrong</th></tr></thead><tbody>"
        f"<tr><th>first right</th>{cell('right_right')}{cell('right_wrong', ' class=loss')}</tr>"
        f"<tr><th>first wrong</th>{cell('wrong_right', ' class=gain')}{cell('wrong_wrong')}</tr>"
        "</tbody></table>"
    )


_DRIFT = ("mean_tokens", "unparsed_share", "end_token_share", "distinct_answers_share", "distinct_2")


def drift_section(result: Result) -> str:
    """Show how the texts changed."""
    drawn = _drift_table(result, "sampled_drift")
    greedy = _drift_table(result, "drift")
    if not greedy:
        return ""
    about = (
        "How the texts themselves change: length in tokens, answers that could not be read, texts that ended "
        "by themselves, different answers among those of one problem, different pairs of words among all."
    )
    means = f" Means over {len(result['seeds'])} seeds." if is_over_seeds(result) else ""
    if not drawn:
        return greedy + note(f"{about} Greedy answers.{means}")
    return drawn + note(f"{about} Answers drawn at a temperature.{means}") + folded("Greedy answers", greedy)


def _drift_table(result: Result, name: str) -> str:
    ordered: list[tuple[str, str, Sequence[Entry]]] = []
    by_arm = rounds(result)
    for arm, entries in finals(result).items():
        by_round = by_arm.get(arm, {})
        ordered += [(arm, f"round {number}", by_round[number]) for number in by_round if number]
        ordered.append((arm, "as it is" if arm == "base" else "returned", entries))
    ordered.sort(key=lambda one: one[0] != "base")  # what the others are to be held against stands first
    rows: list[tuple[str, ...]] = []
    for arm, when, entries in ordered:
        kept = [entry[name] for entry in entries if entry.get(name)]
        if kept:
            tokens, *shares = (fmean(one[field] for one in kept) for field in _DRIFT)
            rows.append((dot(arm), escaped(when), f"{tokens:.1f}", *(percent(share) for share in shares)))
    heads = ("arm", "when", "tokens", "unreadable", "ended", "distinct answers", "distinct 2-grams")
    return table(heads, rows, words=2) if rows else ""


def information_section(result: Result) -> str:
    """Show which gold answers were read, by which verb, and what is in the result."""
    rows = [
        (dot(arm), escaped(one["by"]), escaped(one["split"]), count(one["problems"]))
        for arm, entries in labels_read(result).items()
        for one in entries
    ]
    sources = sources_in_the_result(result)
    chips = " ".join(f'<span class="chip">{escaped(source)}</span>' for source in sources) or "none"
    return (
        f"<p>In what the method returned: {chips}</p>"
        + table(("arm", "gold answers read by", "split", "problems"), rows, words=3)
        + note(
            "Gold answers of the test split are read by evaluate alone, and no number made with them reaches "
            "the method. Above: where the information in what it returned came from (gold answers, tests, "
            "other models, votes, the model itself)."
        )
    )


def contamination_section(result: Result) -> str:
    """Show what was dropped before training because an evaluation split has it."""
    checked = result["contamination"]
    if not checked:
        return ""
    several = is_over_seeds(result)
    rows = [
        (
            escaped(one["stage"] + (f", seed {one['seed']}" if several else "")),
            count(one["rows"]),
            count(sum(one["dropped"].values())),
            "<br>".join(f"{escaped(reason)}: {count(number)}" for reason, number in one["dropped"].items())
            or "-",
        )
        for one in checked
    ]
    learned = found_but_learned(checked)
    told = (
        "Those found, and those that were cut off, are not learned."
        if not learned
        else "By the run's setting these were found, but learned: "
        + ", ".join(f"{reason}: {count(number)}" for reason, number in learned.items())
        + "."
    )
    return table(("training rows of", "rows", "dropped", "why"), rows, words=(0, 3)) + note(
        "Before training, rows are held against every evaluation split: the same question, or thirteen words "
        f"in a row in common. {told}"
    )


def facts_section(result: Result) -> str:
    """Show the recipe's own numbers."""
    found = facts(result)
    head = "of each seed" if is_over_seeds(result) else "value"
    rows = [(escaped(name), escaped(", ".join(values))) for name, values in found.items()]
    return table(("number", head), rows) if rows else ""


def cost_section(result: Result) -> str:
    """Show tokens, time and money of each arm."""
    found = costs(result)
    bars = [
        Bar(
            arm,
            [
                ("generated tokens", cost["generated_tokens"], colour_of(arm)),
                ("trained tokens", cost["trained_tokens"], "drop4"),
            ],
            f"{short_count(cost['generated_tokens'])} + {short_count(cost['trained_tokens'])}",
        )
        for arm, cost in found.items()
    ]
    rows = (
        (
            dot(arm),
            *(count(cost[name]) for name in ("prompt_tokens", "generated_tokens", "trained_tokens")),
            duration(cost["seconds"]),
            dollars(cost["usd"]),
        )
        for arm, cost in found.items()
    )
    heads = ("arm", "prompt tokens", "generated tokens", "trained tokens", "time of computing", "money")
    over = " Sums over seeds; what seeds share is counted for each." if is_over_seeds(result) else ""
    return (
        figure(
            stacked_bars(bars, title="Tokens generated and trained by each arm"),
            "Tokens generated and, behind the plus and in grey, trained.",
        )
        + table(heads, rows)
        + note(
            "What an arm shares with one above it is counted there. Time is that of the first computation of "
            f"each stage, whichever run it was in.{over}"
        )
    )
