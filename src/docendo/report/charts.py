"""Charts as SVG text: lines with intervals, differences around zero, stacked bars.

Bytes depend on the numbers alone. Colours are CSS classes (``c-method``, ...) that the page defines for light
and dark; every label is escaped; each mark says its numbers when it is pointed at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

from docendo.report.escaping import escaped

Place = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Point:
    """One mark, with the interval around it where there is one."""

    x: float
    y: float
    interval: Sequence[float] | None = None
    """Low and high end."""
    says: str = ""
    """Shown when it is pointed at."""


@dataclass(frozen=True, slots=True)
class Series:
    """Marks that belong together, joined by a line."""

    name: str
    """Label at the right end; empty: none."""
    points: Sequence[Point]
    colour: str
    """CSS class without its ``c-``."""
    style: str = ""
    """``dashed``, ``faint``, or both."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One row of a chart of differences."""

    name: str
    value: float
    interval: Sequence[float]
    """Low and high end."""
    colour: str
    says: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of stacked bars."""

    name: str
    parts: Sequence[tuple[str, float, str]]
    """(name, amount >= 0, colour)."""
    says: str = ""
    """Stands behind the bar; empty: the sum of the parts."""


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers (1, 2 or 5 times a power of ten apart) that lie in ``[low, high]``.

    Example:
        >>> ticks(0.0, 0.62)
        [0.0, 0.2, 0.4, 0.6]
        >>> ticks(3, 3)
        [3.0]
    """
    span = high - low
    if not isfinite(span) or span <= 0:
        return [float(low)]
    power = 10.0 ** floor(log10(span / most))
    step = next(size * power for size in (1, 2, 5, 10) if span / (size * power) <= most)
    digits = max(0, -floor(log10(step)) + 1)
    first = ceil(low / step - 1e-9)
    last = floor(high / step + 1e-9)
    return [round(number * step, digits) + 0.0 for number in range(first, last + 1)]


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_ticks: Sequence[tuple[float, str]],
    x_label: str = "",
    width: int = 620,
    height: int = 300,
    levels: Sequence[tuple[str, float, str]] = (),
) -> str:
    """Draw shares in ``[0, 1]`` over x, in percent.

    Args:
        series: The lines; a point's interval is a bar with ends.
        title: For readers who cannot see it.
        x_ticks: Places and labels on the x axis; the axis spans them and all points.
        x_label: Under the axis.
        width: Units of the view box.
        height: Units of the view box.
        levels: (name, y, colour) of dashed lines across the whole chart.
    """
    values = [value for one in series for point in one.points for value in (point.y, *(point.interval or ()))]
    values += [level[1] for level in levels]
    if not values or not x_ticks:
        return ""
    low, high = _range(min(values), max(values))
    names = [one.name for one in series] + [level[0] for level in levels]
    right = 18 + 7.2 * max((len(name) for name in names), default=0)
    left, top, bottom = 52.0, 14.0, 46.0 if x_label else 30.0
    places = [place for place, _ in x_ticks] + [point.x for one in series for point in one.points]
    x0, x1 = min(places), max(places)
    inset = 14.0  # so that no mark sits on an axis
    wide = width - left - right - 2 * inset
    tall = height - top - bottom

    def at_x(value: float) -> float:
        return left + inset + (wide * (value - x0) / (x1 - x0) if x1 > x0 else wide / 2)

    def at_y(value: float) -> float:
        return top + tall * (1 - (value - low) / (high - low))

    out = [_open(width, height, title)]
    steps = ticks(low, high, 6)
    for value in steps:
        y = at_y(value)
        unit = " %" if value == steps[-1] else ""
        out.append(f'<path class="grid" d="M{left:.1f} {y:.1f}H{width - right:.1f}"/>')
        out.append(_text("tick end", left - 8, y + 4, f"{100 * value:g}{unit}"))
    for place, label in x_ticks:
        out.append(_text("tick middle", at_x(place), height - bottom + 18, label))
    if x_label:
        out.append(_text("axis middle", left + inset + wide / 2, height - 8, x_label))
    labels: list[tuple[float, str, str]] = []
    for name, value, colour in levels:
        y = at_y(value)
        out.append(
            f'<g class="c-{colour}"><path class="level" d="M{left:.1f} {y:.1f}H{width - right:.1f}"/></g>'
        )
        labels.append((y, name, colour))
    for one in series:
        out += _drawn(one, at_x, at_y)
        if one.name and one.points:
            labels.append((at_y(one.points[-1].y), one.name, one.colour))
    out += _end_labels(labels, x=width - right + 8, top=top, bottom=height - bottom)
    return "".join([*out, "</svg>"])


def _range(low: float, high: float) -> tuple[float, float]:
    """Return an axis around shares: it has zero where that costs less than half of its length."""
    pad = max(0.01, 0.06 * (high - low))
    low, high = (0.0 if low < 0.5 * high else max(0.0, low - pad)), min(1.0, high + pad)
    return low, high if high > low else low + 0.1


def _drawn(one: Series, at_x: Place, at_y: Place) -> Iterator[str]:
    styles = "".join(f" {style}" for style in one.style.split())
    yield f'<g class="c-{one.colour}{styles}">'
    if len(one.points) > 1:
        way = "L".join(f"{at_x(point.x):.1f} {at_y(point.y):.1f}" for point in one.points)
        yield f'<path class="line" d="M{way}"/>'
    for point in one.points:
        x, y = at_x(point.x), at_y(point.y)
        yield f"<g>{_says(point.says)}"
        if point.interval is not None:
            a, b = (at_y(end) for end in point.interval)
            yield (
                f'<path class="bar" d="M{x:.1f} {a:.1f}V{b:.1f}'
                f'M{x - 4:.1f} {a:.1f}h8M{x - 4:.1f} {b:.1f}h8"/>'
            )
        yield f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/></g>'
    yield "</g>"


def _end_labels(
    labels: Sequence[tuple[float, str, str]], *, x: float, top: float, bottom: float, gap: float = 16
) -> Iterator[str]:
    """Write the names at the right end, pushed apart where they would overlap."""
    placed = sorted(labels, key=lambda label: (label[0], label[1]))
    ys = [y for y, _, _ in placed]
    for index in range(1, len(ys)):
        ys[index] = max(ys[index], ys[index - 1] + gap)
    excess = ys[-1] - bottom if ys else 0.0
    if excess > 0:
        ys[-1] -= excess
        for index in range(len(ys) - 2, -1, -1):
            ys[index] = min(ys[index], ys[index + 1] - gap)
    for y, (_, name, colour) in zip(ys, placed, strict=True):
        yield _text(f"name c-{colour}", x, max(top, y) + 4, name)


def difference_chart(rows: Sequence[Difference], *, title: str, width: int = 660) -> str:
    """Draw differences of shares with their intervals, in points, around a line at zero."""
    if not rows:
        return ""
    step, top, bottom, right = 34, 12, 44, 24
    height = top + step * len(rows) + bottom
    left = 24 + 7.2 * max(len(row.name) for row in rows)
    low = min(0.0, *(row.interval[0] for row in rows), *(row.value for row in rows))
    high = max(0.0, *(row.interval[1] for row in rows), *(row.value for row in rows))
    pad = max(0.01, 0.05 * (high - low))
    low, high = low - pad, high + pad

    def at(value: float) -> float:
        return left + (width - left - right) * (value - low) / (high - low)

    out = [_open(width, height, title)]
    floor_y = height - bottom
    for value in ticks(low, high, 6):
        x = at(value)
        kind = "zero" if value == 0 else "grid"
        out.append(f'<path class="{kind}" d="M{x:.1f} {top}V{floor_y}"/>')
        out.append(_text("tick middle", x, floor_y + 18, f"{100 * value:+g}" if value else "0"))
    middle = (left + width - right) / 2
    out.append(_text("axis middle", middle, height - 6, "difference in accuracy, percentage points"))
    for index, row in enumerate(rows):
        y = top + step * (index + 0.5)
        a, b = (at(end) for end in row.interval)
        out.append(
            f'<g class="c-{row.colour}">{_says(row.says)}{_text("name end", left - 14, y + 4, row.name)}'
            f'<path class="bar thick" d="M{a:.1f} {y:.1f}H{b:.1f}'
            f'M{a:.1f} {y - 5:.1f}v10M{b:.1f} {y - 5:.1f}v10"/>'
            f'<circle class="dot" cx="{at(row.value):.1f}" cy="{y:.1f}" r="5"/></g>'
        )
    return "".join([*out, "</svg>"])


def stacked_bars(rows: Sequence[Bar], *, title: str, width: int = 820) -> str:
    """Draw amounts as horizontal bars, all on one scale, each made of parts."""
    most = max((sum(amount for _, amount, _ in row.parts) for row in rows), default=0.0)
    if most <= 0:
        return ""
    step, top, right = 30, 6, 74
    left = 20 + 7.2 * max(len(row.name) for row in rows)
    height = top + step * len(rows) + 4
    out = [_open(width, height, title)]
    scale = (width - left - right) / most
    for index, row in enumerate(rows):
        y = top + step * index
        x = left
        out.append(_text("tick end", left - 10, y + 18, row.name))
        for name, amount, colour in row.parts:
            long = amount * scale
            if amount > 0:
                place = f'x="{x:.1f}" y="{y + 4}" width="{max(long, 0.5):.1f}" height="20"'
                says = _says(f"{row.name}, {name}: {amount:,.0f}")
                out.append(f'<rect class="fill c-{colour}" {place}>{says}</rect>')
            x += long
        whole = sum(amount for _, amount, _ in row.parts)
        out.append(
            f'<text class="tick" x="{x + 6:.1f}" y="{y + 18}">{escaped(row.says or f"{whole:,.0f}")}</text>'
        )
    return "".join([*out, "</svg>"])


def _open(width: int, height: int, title: str) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}"'
    kind = "chart wide" if width > 700 else "chart"
    return f'<svg class="{kind}" {size} role="img" aria-label="{escaped(title)}">'


def _text(kind: str, x: float, y: float, text: str) -> str:
    """Return a label; ``end`` and ``middle`` among its classes say what ``x`` means."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escaped(text)}</text>'


def _says(text: str) -> str:
    return f"<title>{escaped(text)}</title>" if text else ""
