"""Charts over numbers, or over words in their order: histograms, lines with intervals, Lorenz curves, ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from stages.audit.page.axes import Scale, apart, cut, log_ticks, rounded, tick_label, ticks, width
from stages.audit.page.markup import Safe, joined, short, tag
from stages.audit.page.numbers import number_of, told
from stages.audit.page.plot import WIDTH, Plot, Series, across, captions, legend, tip, upward

HIGH = 210.0  # of the area of one panel
_RIGHT = WIDTH - 14.0
_MOST = 400  # points of a curve
_DOTS = 40  # points that have a mark each

Point = tuple[float, float]


def line(plot: Plot) -> tuple[Safe, float]:
    """Returns a line for each column, with the interval of each point as a band; a panel for each unit."""
    return _panels(plot, lines=True)


def histogram(plot: Plot) -> tuple[Safe, float]:
    """Returns bars as wide as their bins, the last like the one before; more columns of a unit are outlines."""
    return _panels(plot, lines=False)


def lorenz(plot: Plot) -> tuple[Safe, float]:
    """Returns curves from 0 to 1 on both axes, and the diagonal, on which all are equal."""
    head, top = legend(plot.series, 0.0, line=True)
    left, bottom = 44.0, top + 290.0
    x, y = Scale(0.0, 1.0, left, _RIGHT), Scale(0.0, 1.0, bottom, top)
    marks = ticks(0.0, 1.0)
    parts = [
        head,
        upward(y, marks, "share", left, _RIGHT),
        across(x, marks, "share", top, bottom),
        tag("line", x1=x(0.0), y1=y(0.0), x2=x(1.0), y2=y(1.0), class_="equal"),
        *(_curve(plot, one, x, y, dots=False) for one in plot.series),
        captions(plot.x.label, _RIGHT, bottom + 28),
    ]
    return joined(parts), bottom + 34


def rank(plot: Plot) -> tuple[Safe, float]:
    """Returns curves on two logarithmic axes; what is not above 0 has no place there."""
    places = [value for cell in plot.places if (value := number_of(cell)) is not None and value > 0]
    panels, parts, top = plot.panels, [], 0.0
    for panel in panels:
        values = [value for one in panel for value in one.values if value is not None and value > 0]
        if not places or not values:
            continue
        head, top = legend(panel, top, line=True)
        low, high = 10.0 ** math.floor(math.log10(min(values))), max(values) * 1.15
        marks = log_ticks(low, high)
        left, bottom = _left(marks, panel[0]), top + HIGH + 30
        x = Scale(min(places), max(*places, min(places) * 10), left, _RIGHT, log=True)
        y = Scale(low, high, bottom, top, log=True)
        parts += [
            head,
            upward(y, marks, panel[0].unit, left, _RIGHT),
            across(x, log_ticks(x.low, x.high), plot.x.unit, top, bottom),
            *(_curve(plot, one, x, y, dots=False) for one in panel),
            captions(plot.x.label, _RIGHT, bottom + 28),
        ]
        top = bottom + 36
    return joined(parts), top


def _panels(plot: Plot, *, lines: bool) -> tuple[Safe, float]:
    parts: list[Safe] = []
    top = 0.0
    for panel in plot.panels:
        head, top = legend(panel, top, line=lines)
        y, marks = _height(plot, panel, top, zero=not lines)
        left = _left(marks, panel[0])
        x, axis, borders = _along(plot, left, top, top + HIGH, bins=not lines)
        parts += [head, upward(y, marks, panel[0].unit, left, _RIGHT), axis]
        if lines:
            parts += [_band(plot, one, x, y) for one in panel]
            parts += [_curve(plot, one, x, y, dots=len(plot.places) <= _DOTS, words=borders is None) for one in panel]
        else:
            parts += [_bins(plot, one, borders or [], y, outline=number > 0) for number, one in enumerate(panel)]
        parts.append(tag("line", x1=left, x2=_RIGHT, y1=top + HIGH, y2=top + HIGH, class_="axis"))
        parts.append(captions(plot.x.label, _RIGHT, top + HIGH + 28))
        top += HIGH + 36
    return joined(parts), top


def _height(plot: Plot, panel: Sequence[Series], top: float, *, zero: bool) -> tuple[Scale, list[float]]:
    numbers = [one.values for one in panel] + [border for one in panel for border in (one.low, one.high) if border]
    values = [value for border in numbers for value in border if value is not None]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    positive = [value for value in values if value > 0]
    if plot.chart.log_y and positive:
        low = 10.0 ** math.floor(math.log10(min(positive)) - (1e-9 if zero else 0.0))
        scale = Scale(low, max(high, low * 10) * 1.05, top + HIGH, top, log=True)
        return scale, log_ticks(scale.low, scale.high)
    # Where all is far above 0 a line tells more if its axis does not begin there.
    if zero or low < 0 or low < 0.6 * high or high == low:
        floor = -rounded(-low) if low < 0 else 0.0
        ceiling = rounded(high) if high > 0 else 0.0 if low < 0 else 1.0
        return Scale(floor, ceiling, top + HIGH, top), ticks(floor, ceiling)
    marks = ticks(low, high, 4)
    step = marks[1] - marks[0] if len(marks) > 1 else (high - low)
    floor, ceiling = step * math.floor(low / step + 1e-9), step * math.ceil(high / step - 1e-9)
    return Scale(floor, ceiling, top + HIGH, top), ticks(floor, ceiling)


def _along(
    plot: Plot, left: float, top: float, bottom: float, *, bins: bool
) -> tuple[Scale, Safe, list[Point | None] | None]:
    """Returns the axis from left to right, and for bins where each begins and ends; None for words of a line."""
    numbers = [number_of(cell) for cell in plot.places]
    log = plot.chart.log_x
    found = sorted({value for value in numbers if value is not None and (value > 0 or not log)})
    if not found:
        return _words(plot, left, top, bottom, bins=bins)
    if not bins:
        high = found[-1] if len(found) > 1 else found[0] + 1
        scale = Scale(found[0], high, left + 6, _RIGHT - 4, log)
        return scale, across(scale, _marks(scale), plot.x.unit, top, bottom), []
    if len(found) > 1:
        last = found[-1] * found[-1] / found[-2] if log else 2 * found[-1] - found[-2]
    else:
        last = found[0] * 2 if log else found[0] + 1
    ends = dict(zip(found, [*found[1:], last], strict=True))
    scale = Scale(found[0], last, left, _RIGHT, log)
    borders = [(scale(value), scale(ends[value])) if value is not None and value in ends else None for value in numbers]
    return scale, across(scale, _marks(scale), plot.x.unit, top, bottom), borders


def _words(
    plot: Plot, left: float, top: float, bottom: float, *, bins: bool
) -> tuple[Scale, Safe, list[Point | None] | None]:
    """Returns places of the same width for words in their order."""
    scale = Scale(0.0, float(len(plot.places)), left, _RIGHT)
    labels = [cut("–" if cell is None else told(cell, plot.x.unit), 90) for cell in plot.places]
    middles = [scale(row + 0.5) for row in range(len(labels))]
    shown = apart(middles, labels)
    axis = joined(tag("text", labels[row], x=middles[row], y=bottom + 13, class_="tick mid") for row in shown)
    borders: list[Point | None] = [(scale(row), scale(row + 1)) for row in range(len(labels))]
    return scale, axis, borders if bins else None


def _marks(scale: Scale) -> list[float]:
    return log_ticks(scale.low, scale.high) if scale.log else ticks(scale.low, scale.high, 6)


def _left(marks: Sequence[float], one: Series) -> float:
    return max(width(tick_label(mark, one.unit)) for mark in marks) + 12


def _bins(plot: Plot, one: Series, borders: Sequence[Point | None], y: Scale, *, outline: bool) -> Safe:
    parts: list[Safe] = []
    steps, end = "", None
    for row, (value, border) in enumerate(zip(one.values, borders, strict=True)):
        if value is None or border is None or (y.log and value <= 0):
            continue
        top = y(value)
        steps += f"V{short(top)}" if border[0] == end else f"M{short(border[0])} {short(top)}"
        steps, end = f"{steps}H{short(border[1])}", border[1]
        if not outline:
            kind = f"c{one.colour}" if len(plot.series) == 1 else f"c{one.colour} soft"
            place = {"x": border[0] + 0.5, "y": top, "width": max(border[1] - border[0] - 1, 0.5)}
            said = tip(plot, plot.places[row], one, row)
            parts.append(tag("rect", said, class_=kind, height=y.start - top, **place))
    if outline and steps:
        parts.append(tag("path", d=steps, class_=f"s{one.colour} step"))
    return joined(parts)


def _curve(plot: Plot, one: Series, x: Scale, y: Scale, *, dots: bool, words: bool = False) -> Safe:
    found = _runs(plot, x, y, words, one.values)
    parts = [
        tag("polyline", points=" ".join(f"{short(a)},{short(b)}" for _, a, b in run), class_=f"s{one.colour}")
        for run in found
    ]
    if dots:
        parts += [
            tag("circle", tip(plot, plot.places[row], one, row), cx=a, cy=b, r=2.6, class_=f"c{one.colour}")
            for run in found
            for row, a, b in run
        ]
    return joined(parts)


def _band(plot: Plot, one: Series, x: Scale, y: Scale) -> Safe:
    if one.low is None or one.high is None:
        return joined(())
    words = not any(number_of(cell) is not None for cell in plot.places)
    known = [high if low is not None else None for low, high in zip(one.low, one.high, strict=True)]
    lows = {row: b for run in _runs(plot, x, y, words, one.low) for row, _, b in run}
    parts = []
    for run in _runs(plot, x, y, words, known):
        there = [(a, b, lows[row]) for row, a, b in run if row in lows]
        around = [(a, b) for a, b, _ in there] + [(a, low) for a, _, low in reversed(there)]
        points = " ".join(f"{short(a)},{short(b)}" for a, b in around)
        parts.append(tag("polygon", points=points, class_=f"c{one.colour} band"))
    return joined(parts)


def _runs(
    plot: Plot, x: Scale, y: Scale, words: bool, values: Sequence[float | None]
) -> list[list[tuple[int, float, float]]]:
    """Returns the points of a curve, in runs that no missing value breaks; of very many each k-th and the last."""
    step = max(1, math.ceil(len(values) / _MOST))
    rows = [row for row in range(len(values)) if row % step == 0 or row == len(values) - 1]
    points: list[tuple[int, float, float] | None] = []
    for row in rows:
        place, value = (row + 0.5 if words else number_of(plot.places[row])), values[row]
        there = place is not None and value is not None and (place > 0 or not x.log) and (value > 0 or not y.log)
        points.append((row, x(place), y(value)) if there and place is not None and value is not None else None)
    return [
        [point for point in run if point is not None]
        for there, run in groupby(points, key=lambda point: point is not None)
        if there
    ]
