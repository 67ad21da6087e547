"""How numbers are written in reports: shares as percent, differences as points, times in words."""

from __future__ import annotations

from collections.abc import Sequence


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share in ``[0, 1]`` as percent; a dash where there is none.

    Example:
        >>> percent(0.5824)
        '58.2 %'
    """
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def percent_interval(interval: Sequence[float] | None) -> str:
    """Return an interval of shares in percent.

    Example:
        >>> percent_interval([0.538, 0.6251])
        '[53.8, 62.5]'
    """
    return "-" if interval is None else f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def points(difference: float) -> str:
    """Return a difference of two shares in percentage points, always with its sign.

    Example:
        >>> points(0.298)
        '+29.8'
    """
    text = f"{100 * difference:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def points_interval(interval: Sequence[float]) -> str:
    """Return an interval of differences in percentage points.

    Example:
        >>> points_interval([-0.012, 0.344])
        '[-1.2, +34.4]'
    """
    return f"[{points(interval[0])}, {points(interval[1])}]"


def p_value(value: float) -> str:
    """Return a p-value with its name.

    Example:
        >>> p_value(0.00001), p_value(0.0312)
        ('p < 0.0001', 'p = 0.031')
    """
    return "p < 0.0001" if value < 0.0001 else f"p = {value:.2g}"


def bare_p_value(value: float) -> str:
    """Return a p-value for a column that has its name.

    Example:
        >>> bare_p_value(0.00001), bare_p_value(0.0312)
        ('< 0.0001', '0.031')
    """
    return p_value(value).removeprefix("p ").removeprefix("= ")


def count(number: float) -> str:
    """Return a whole number with separators.

    Example:
        >>> count(1234567)
        '1,234,567'
    """
    return f"{round(number):,}"


def short_count(number: float) -> str:
    """Return a number in three digits.

    Example:
        >>> short_count(950), short_count(14231), short_count(2_600_000)
        ('950', '14.2k', '2.6M')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            value = number / size
            return f"{value:.0f}{unit}" if value >= 99.95 else f"{value:.1f}{unit}"
    return f"{number:.0f}"


def duration(seconds: float) -> str:
    """Return a time in words, in two units at most.

    Example:
        >>> duration(0.42), duration(38.4), duration(125), duration(4320)
        ('0.4 s', '38 s', '2 min 05 s', '1 h 12 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def dollars(usd: float) -> str:
    """Return an amount of money.

    Example:
        >>> dollars(0), dollars(0.0031), dollars(12.5)
        ('0', '$0.0031', '$12.50')
    """
    if usd == 0:
        return "0"
    return f"${usd:.4f}" if usd < 0.1 else f"${usd:,.2f}"
