from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.verifiers.number_words import in_words
from docendo.verifiers.numbers import MAX_DIGITS, parse_number, plain, read_number
from tests.verifiers.cases import HOSTILE

integers = st.integers(-(10**30), 10**30)
decimals = st.builds(lambda value, places: (value, places), st.integers(-(10**15), 10**15), st.integers(0, 9))


def written(value: int, places: int) -> str:
    digits = f"{abs(value):0{places + 1}}"
    text = digits if places == 0 else f"{digits[:-places]}.{digits[-places:]}"
    return f"-{text}" if value < 0 else text


@given(integers)
def test_an_integer_is_read_as_itself_with_and_without_separators(value: int) -> None:
    assert parse_number(str(value)) == parse_number(f"{value:,}") == value


@given(decimals)
def test_a_decimal_is_read_exactly(decimal: tuple[int, int]) -> None:
    value, places = decimal
    assert parse_number(written(value, places)) == Fraction(value, 10**places)


@given(integers, st.integers(1, 10**12))
def test_a_fraction_is_read_in_every_spelling(top: int, bottom: int) -> None:
    sign = "-" if top < 0 else ""
    for text in (
        f"{top}/{bottom}",
        rf"{sign}\frac{{{abs(top)}}}{{{bottom}}}",
        rf"\dfrac{{{top}}}{{{bottom}}}",
    ):
        assert parse_number(text) == Fraction(top, bottom)


@given(
    decimals,
    st.sampled_from(
        ["{}", "${}", r"\${}", "{} dollars", "{} km/h", r"{}\text{{ cm}}^2", "{}.", r"$\boxed{{{}}}$"]
    ),
)
def test_wrappers_units_and_currency_change_nothing(decimal: tuple[int, int], around: str) -> None:
    text = written(*decimal)
    assert parse_number(around.format(text)) == parse_number(text)


@given(st.text(max_size=60))
def test_plain_is_idempotent(text: str) -> None:
    assert plain(plain(text)) == plain(text)


@given(st.text(alphabet=r"\{}[]()$.,;:!% -+/0123456789aetxfrcd^_", max_size=40))
def test_reading_ends_with_a_number_or_none_and_sees_no_difference_after_plain(text: str) -> None:
    assert read_number(text) == read_number(plain(text))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1{,}234", Fraction(1234)),
        ("12,34,567", Fraction(1234567)),
        ("1 234 567.5", Fraction(2469135, 2)),
        (r"0.\overline{142857}", Fraction(1, 7)),
        (r"0.1\overline{6}", Fraction(1, 6)),
        ("1.2e-5", Fraction(12, 10**6)),
        (r"3 \times 10^{8}", Fraction(3 * 10**8)),
        (r"2\frac{1}{2}", Fraction(5, 2)),
        ("2½", Fraction(5, 2)),
        ("-1 1/4", Fraction(-5, 4)),
        ("2 and 1/2", Fraction(5, 2)),
        ("-$5.50", Fraction(-11, 2)),
        ("US$ 5", Fraction(5)),
        ("2.5 dozen eggs", Fraction(30)),
        ("1.5 million dollars", Fraction(1_500_000)),
        ("\u221218", Fraction(-18)),
        ("\u200f\uff11\uff18\u200b", Fraction(18)),
        ("5 meters squared", Fraction(5)),
        ("9.8 m/s²", Fraction(49, 5)),
        ("x = 18", Fraction(18)),
        ("twenty-five", Fraction(25)),
        ("minus two thousand and five", Fraction(-2005)),
    ],
)
def test_spellings_that_are_read(text: str, value: Fraction) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "-",
        "3,5",
        "1.234,5",
        "12,34",
        "1,2345",
        "5, 6",
        "5 or 6",
        "5-6",
        "2 + 3",
        "4:30",
        "7 a.m.",
        "5k",
        "5x",
        "5 x",
        "5!",
        r"2\pi",
        r"\sqrt{4}",
        "1/0",
        "1/2/3",
        "5 and a half",
        "two thirds",
        "5 thirds",
        "5 out of 6",
        "5 hours and 30 minutes",
        "6'2\"",
        "5th",
        "0x10",
        "1_000",
        "five or six",
        "five five",
        "twenty, five",
        "hundred",
        "2 5/2",
        "--5",
        "-$-5",
        "5 squared",
        "1e999999",
        "1e-999999",
        "9" * (MAX_DIGITS + 1),
        "nan",
        "inf",
        "٣",
    ],
)
def test_what_is_not_one_number_is_not_read(text: str) -> None:
    assert parse_number(text) is None


def test_a_percent_sign_is_told_and_leaves_the_number() -> None:
    for text in ("50%", r"50\%", "50 percent", "50 per cent", r"$50\%$"):
        number = read_number(text)
        assert number is not None
        assert (number.value, number.is_percent) == (50, True)


def test_letters_behind_a_number_are_variables_in_algebra_and_units_elsewhere() -> None:
    for text in ("5 m", "5 ab"):
        assert read_number(text) is not None
        assert read_number(text, algebra=True) is None
    for text in ("5 cm", "5cm", "12 eggs", r"5\text{ m}", r"90^\circ"):
        assert read_number(text, algebra=True) is not None
    for text in (r"2 \sin x", "2 sqrt", "5 theta", r"5\text{ m}x"):
        assert read_number(text, algebra=True) is None


@given(st.integers(0, 999_999_999_999))
def test_cardinals_in_words_are_read_as_they_are_written(value: int) -> None:
    assert in_words(in_english(value)) == value


def in_english(value: int) -> str:
    """Write a cardinal from the other end than the reader does."""
    small = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    names = [*small.split(), "sixteen", "seventeen", "eighteen", "nineteen"]
    tens = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    for scale, word in ((10**9, "billion"), (10**6, "million"), (1000, "thousand")):
        if value >= scale:
            rest = f", {in_english(value % scale)}" if value % scale else ""
            return f"{in_english(value // scale)} {word}{rest}"
    if value >= 100:
        rest = f" and {in_english(value % 100)}" if value % 100 else ""
        return f"{names[value // 100]} hundred{rest}"
    if value < 20:
        return names[value]
    return tens[value // 10] + (f"-{names[value % 10]}" if value % 10 else "")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_take_no_time(name: str) -> None:
    start = time.perf_counter()
    read_number(HOSTILE[name])
    read_number(HOSTILE[name][:1_500], algebra=True)
    assert time.perf_counter() - start < 1.0
