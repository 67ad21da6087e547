from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docendo.core.errors import SettingError
from docendo.core.records import Label, Outcome, Sample, Source
from docendo.verifiers.math import MAX_NESTING, WINDOW, Math
from docendo.verifiers.mathtext import latex, nesting, quick_finding
from tests.verifiers.cases import DIFFERENT, EQUIVALENT, HOSTILE, pair

SAME = [(group, *texts) for group, pairs in EQUIVALENT.items() for texts in pairs]
OTHER = [(group, *texts) for group, pairs in DIFFERENT.items() for texts in pairs]
# A busy machine must not turn an honest pair into a timeout.
PATIENT = Math(timeout_seconds=60.0)


def test_there_are_more_than_a_hundred_pairs_to_agree_on() -> None:
    assert len(SAME) + len(OTHER) >= 150


@pytest.mark.parametrize(("group", "left", "right"), SAME)
def test_equivalent_answers_are_correct_both_ways(group: str, left: str, right: str) -> None:
    found = list(PATIENT.verdicts([pair(left, right), pair(right, left)]))
    assert [verdict.outcome for verdict in found] == [Outcome.CORRECT, Outcome.CORRECT], found
    assert PATIENT.same(left, right)


@pytest.mark.parametrize(("group", "left", "right"), OTHER)
def test_different_answers_are_incorrect_both_ways(group: str, left: str, right: str) -> None:
    found = list(PATIENT.verdicts([pair(left, right), pair(right, left)]))
    assert [verdict.outcome for verdict in found] == [Outcome.INCORRECT, Outcome.INCORRECT], found
    assert not PATIENT.same(left, right)


@pytest.mark.parametrize(("group", "left", "right"), SAME)
def test_the_cheap_comparison_never_denies_an_equivalence(group: str, left: str, right: str) -> None:
    finding = quick_finding(left, right, "ignored")
    assert finding is None or finding[0]


@pytest.mark.parametrize(("group", "left", "right"), OTHER)
def test_the_cheap_comparison_never_grants_a_difference(group: str, left: str, right: str) -> None:
    finding = quick_finding(left, right, "ignored")
    assert finding is None or not finding[0]


answers = st.one_of(
    st.text(max_size=30),
    st.text(alphabet=r"\{}[]()$.,;:!% -+/0123456789abcxtfr^_=<>", max_size=25),
    st.sampled_from([text for _, left, right in SAME + OTHER for text in (left, right)]),
    st.fractions(max_denominator=50).map(str),
)


@given(answers, answers)
def test_the_cheap_comparison_is_symmetric_and_reflexive(left: str, right: str) -> None:
    for percent in ("ignored", "hundredths", "compared"):
        there, back = quick_finding(left, right, percent), quick_finding(right, left, percent)
        assert (there and there[0]) == (back and back[0])
        assert quick_finding(left, left, percent) == (True, "same text")


@given(answers, answers)
@settings(max_examples=40)
def test_same_is_symmetric_reflexive_and_what_verdicts_say(left: str, right: str) -> None:
    verifier = Math(timeout_seconds=5.0)
    assert verifier.same(left, left)
    there = verifier.same(left, right)
    assert there == verifier.same(right, left)
    if left.strip() and right.strip():
        (verdict,) = verifier.verdicts([pair(left, right)])
        assert (verdict.outcome is Outcome.CORRECT) == there


@given(st.fractions(max_denominator=10**6), st.fractions(max_denominator=10**6))
def test_fractions_are_the_same_when_they_are_equal(left: Fraction, right: Fraction) -> None:
    spelled = rf"\frac{{{right.numerator}}}{{{right.denominator}}}"
    assert Math().same(str(left), spelled) == (left == right)


@given(st.fractions(min_value=-1000, max_value=1000, max_denominator=1000), st.integers(6, 12))
def test_a_decimal_of_six_digits_stands_for_the_endless_one_that_it_rounds(
    value: Fraction, places: int
) -> None:
    scaled = value * 10**places
    rounded, cut = round(scaled), int(scaled)
    if abs(value) < Fraction(1, 10) or scaled.denominator == 1 or value.denominator in (1, 2, 4, 5, 8, 10):
        return
    for digits in (rounded, cut):
        text = f"{abs(digits):0{places + 1}}"
        text = ("-" if value < 0 else "") + text[:-places] + "." + text[-places:]
        ends = Fraction(digits, 10**places) == value
        endless = any(
            value.denominator % prime == 0 for prime in (3, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)
        )
        if endless or ends:
            assert Math().same(text, str(value))
    assert not Math().same(f"{float(value) + 1:.6f}", str(value))


def test_the_percent_policy_decides_what_a_percent_sign_is() -> None:
    cases = {("50%", "50"): (True, False, False), ("50%", "0.5"): (False, True, False)}
    for (left, right), expected in cases.items():
        found = [Math(percent=percent).same(left, right) for percent in ("ignored", "hundredths", "compared")]
        assert tuple(found) == expected
        assert Math(percent="compared").same(left, left.replace("%", r" \%"))


def test_reasons_say_which_of_the_two_ways_decided() -> None:
    found = PATIENT.verdicts([pair("0.5", "1/2"), pair("2", "3"), pair("x+1", "1+x"), pair("x+1", "x+2")])
    assert [(verdict.outcome.value, verdict.reason) for verdict in found] == [
        ("correct", "same number"),
        ("incorrect", "another number"),
        ("correct", "math-verify: equivalent"),
        ("incorrect", "math-verify: not equivalent"),
    ]


def test_what_cannot_be_read_is_undecided_and_a_division_by_zero_is_no_crash() -> None:
    found = PATIENT.verdicts([pair("🍎", "x"), pair(r"\frac{1}{0}", "x"), pair("x", None), pair("", "x")])
    assert [verdict.outcome.value for verdict in found] == ["undecided", "undecided", "undecided", "failed"]


def test_long_and_deep_texts_are_refused_before_anybody_is_asked() -> None:
    long, deep = "x+" * 6_000 + "1", "(" * (MAX_NESTING + 1) + "x" + ")" * (MAX_NESTING + 1)
    found = list(
        Math(timeout_seconds=0.001).verdicts(
            [pair(long, "y"), pair("y", long), pair(deep, "y"), pair("y", deep)]
        )
    )
    assert [verdict.reason for verdict in found] == ["too long", "too long", "too nested", "too nested"]
    assert {verdict.outcome for verdict in found} == {Outcome.UNDECIDED}
    # The same text is the same answer, however long.
    assert Math().same("7" * 1_000_000, "7" * 1_000_000)


@pytest.mark.slow
def test_hostile_texts_never_hang_and_never_count_as_correct() -> None:
    verifier = Math(timeout_seconds=0.5)
    pairs = [pair(text, gold) for text in HOSTILE.values() for gold in ("42", "x^2+1")]
    start = time.monotonic()
    found = list(verifier.verdicts(pairs))
    wall = time.monotonic() - start
    assert len(found) == len(pairs)
    assert Outcome.CORRECT not in {verdict.outcome for verdict in found}
    assert any(verdict.reason == "timeout" for verdict in found)
    # One after the other at their limit, with a second for each new worker: it is far less in fact.
    assert wall < len(pairs) * 1.5
    # The pool is as good as new.
    assert PATIENT.same("x+1", "1+x")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_cost_the_caller_nothing(name: str) -> None:
    start = time.perf_counter()
    text = HOSTILE[name]
    nesting(text)
    if len(text) <= 10_000:
        quick_finding(text, "x^2+1", "ignored")
        quick_finding(text, text + " ", "ignored")
        latex(text, "ignored")
    assert time.perf_counter() - start < 1.0


def test_pairs_around_a_hanging_one_are_all_answered_in_order() -> None:
    verifier = Math(timeout_seconds=1.5)
    hanging = HOSTILE["tower of powers"]
    pairs = [pair(hanging if number % 40 == 7 else f"x+{number}", f"{number}+x") for number in range(120)]
    outcomes = [verdict.outcome for verdict in verifier.verdicts(pairs)]
    assert outcomes == [Outcome.UNDECIDED if number % 40 == 7 else Outcome.CORRECT for number in range(120)]


def test_verdicts_stream_and_read_ahead_no_further_than_the_window() -> None:
    taken = 0

    def endless() -> Iterator[tuple[Sample, Label | None]]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield pair(f"x+{number}", f"{number}+x") if number % 2 else pair(str(number), str(number))

    stream = Math(timeout_seconds=30.0).verdicts(endless())
    assert next(stream).outcome is Outcome.CORRECT
    assert taken == 1
    for _ in range(5):
        assert next(stream).outcome is Outcome.CORRECT
    assert taken <= WINDOW + 6
    assert isinstance(stream, Generator)
    stream.close()


def test_an_abandoned_stream_does_not_keep_the_workers() -> None:
    verifier = Math(timeout_seconds=2.0)
    hanging = HOSTILE["tower of powers"]
    stream = verifier.verdicts(pair(f"{number}+{hanging}", "x") for number in range(200))
    assert next(stream).reason == "timeout"
    assert isinstance(stream, Generator)
    stream.close()
    start = time.monotonic()
    assert verifier.same("x+1", "1+x")
    # At most what the workers hold is still ahead, not two hundred times two seconds.
    assert time.monotonic() - start < 150


def test_it_works_from_any_thread() -> None:
    found: dict[int, list[Outcome]] = {}

    def ask(number: int) -> None:
        pairs = [pair(f"y+{other}", f"{other}+y") for other in range(number, number + 20)]
        found[number] = [verdict.outcome for verdict in PATIENT.verdicts(pairs)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [Outcome.CORRECT] * 20 for number in range(6)}


def test_a_pair_is_asked_once() -> None:
    start = time.monotonic()
    verifier = Math(timeout_seconds=1.25)
    hanging = HOSTILE["factorial of a hundred million"]
    reasons = [verdict.reason for verdict in verifier.verdicts([pair(hanging, "x+y")] * 50)]
    assert reasons == ["timeout"] * 50
    assert not verifier.same("x+y", hanging)
    assert time.monotonic() - start < 20


def test_the_source_is_told_with_every_verdict() -> None:
    verifier = Math(source=Source.VOTE)
    assert {
        verdict.source for verdict in verifier.verdicts([pair("1", "1"), pair("", "1"), pair("1", None)])
    } == {Source.VOTE}


def test_bad_settings_are_told_all_at_once() -> None:
    with pytest.raises(SettingError) as caught:
        Math(timeout_seconds=0, memory_megabytes=1, percent="half")  # pyright: ignore[reportArgumentType]
    assert "timeout_seconds is 0" in str(caught.value)
    assert "memory_megabytes is 1" in str(caught.value)
    assert "percent is 'half'" in str(caught.value)


def test_a_script_without_a_main_guard_ends_by_itself() -> None:
    script = (
        "import sys; sys.path[:0] = %r\n"
        "from docendo.verifiers.math import Math\n"
        "print(Math(timeout_seconds=60.0).same('x+1', '1+x'))\n" % [path for path in sys.path if path]
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
