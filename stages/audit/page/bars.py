"""Charts of rows that have names: bars beside each other, bars of parts, and a funnel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from stages.audit.model import Chart
from stages.audit.page.axes import Scale, log_ticks, rounded, ticks, width
from stages.audit.page.markup import Safe, both, joined, tag
from stages.audit.page.numbers import told
from stages.audit.page.plot import WIDTH, Plot, Series, across, legend, named, reach, tip

_MOST = 24  # rows that are drawn of one column; of more there are fewer
_GAP = 8.0  # between rows, between a label and its bar
_THICK = {1: 14.0, 2: 9.0}  # of a bar, by how many a row has
_THIN = 7.0


def drawn(rows: int, chart: Chart) -> int:
    """Returns how many of a table's rows a chart of these kinds has."""
    return min(rows, _MOST if chart.kind != "bar" else max(12, _MOST // len(chart.y)))


def bar(plot: Plot) -> tuple[Safe, float]:
    """Returns bars from left to right, those of a row below each other; a panel for each unit."""
    rows = range(drawn(len(plot.places), plot.chart))
    panels = plot.panels
    most = max(map(len, panels))
    thick = _THICK.get(most, _THIN)
    pitch = most * thick + _GAP
    left = _room(plot)
    parts, top = [], 0.0
    heads = [legend(panel, 0.0, at) for panel, at in zip(panels, _starts(left, len(panels)), strict=True)]
    if len(panels) == 1:
        heads = [legend(plot.series, 0.0)]
    top = max(end for _, end in heads)
    bottom = top + pitch * len(rows)
    for panel, start, (head, _) in zip(panels, _starts(left, len(panels)), heads, strict=True):
        end = start + (WIDTH - left) / len(panels) - _GAP
        parts += [head, _bars(plot, panel, rows, (start, end), (top, bottom), thick)]
    parts += [_label(plot, row, left, top + pitch * (row + 0.5) - _GAP / 2) for row in rows]
    return joined(parts), bottom + 18


def _bars(
    plot: Plot,
    panel: Sequence[Series],
    rows: range,
    sides: tuple[float, float],
    ends: tuple[float, float],
    thick: float,
) -> Safe:
    alone = len(panel) == 1
    values = [value for one in panel for row in rows if (value := one.values[row]) is not None]
    borders = [border[row] or 0.0 for one in panel for border in (one.low, one.high) if border for row in rows]
    room = max(width(told(panel[0].cells[row], panel[0].unit)) for row in rows) + 6 if alone else 4.0
    low, high = min([0.0, *values, *borders]), max([0.0, *values, *borders])
    unit = panel[0].unit
    if plot.chart.log_y and any(value > 0 for value in values):
        least = min(value for value in values if value > 0)
        scale = Scale(10.0 ** math.floor(math.log10(least) - 1e-9), max(high, least), sides[0], sides[1] - room, True)
        marks, zero = log_ticks(scale.low, scale.high, 4), sides[0]
    else:
        fit = max(2, int((sides[1] - sides[0]) / 70))
        scale = Scale(
            -rounded(-low, fit) if low < 0 else 0.0, rounded(high, fit) if high > 0 else 0.0, sides[0], sides[1] - room
        )
        marks, zero = ticks(scale.low, scale.high, fit), scale(0.0)
    parts = [across(scale, marks, unit, *ends), tag("line", x1=zero, x2=zero, y1=ends[0], y2=ends[1], class_="axis")]
    pitch = (ends[1] - ends[0]) / len(rows)
    for number, one in enumerate(panel):
        for row in rows:
            value = one.values[row]
            if value is None or (scale.log and value <= 0):
                continue
            top, to = ends[0] + row * pitch + number * thick, scale(value)
            place = {"x": min(zero, to), "y": top, "width": abs(to - zero), "height": thick - 1}
            parts.append(tag("rect", tip(plot, plot.places[row], one, row), class_=f"c{one.colour}", **place))
            reach = max(to, zero)
            if (whisker := _borders(one, row, scale)) is not None:
                middle = top + (thick - 1) / 2
                reach = max(reach, whisker[1])
                parts.append(_whisker(*whisker, middle, thick / 4))
            if alone:
                parts.append(
                    tag("text", told(one.cells[row], unit), x=reach + 5, y=top + thick / 2 + 3.5, class_="tick")
                )
    return joined(parts)


def _borders(one: Series, row: int, scale: Scale) -> tuple[float, float] | None:
    low, high = (border[row] if border else None for border in (one.low, one.high))
    if low is None or high is None or (scale.log and low <= 0):
        return None
    return scale(low), scale(high)


def _whisker(low: float, high: float, middle: float, half: float) -> Safe:
    path = (
        f"M{low:.2f} {middle:.2f}H{high:.2f}M{low:.2f} {middle - half:.2f}v{2 * half:.2f}"
        f"M{high:.2f} {middle - half:.2f}v{2 * half:.2f}"
    )
    return tag("path", d=path, class_="whisker")


def stacked(plot: Plot) -> tuple[Safe, float]:
    """Returns a bar for each row, of parts that add up."""
    rows = range(drawn(len(plot.places), plot.chart))
    left = _room(plot)
    head, top = legend(plot.series, 0.0)
    pitch, thick = 24.0, 16.0
    sums = [math.fsum(max(one.values[row] or 0.0, 0.0) for one in plot.series) for row in rows]
    unit = plot.series[0].unit
    end = 1.0 if unit == "share" and max(sums) <= 1.0 + 1e-6 and max(sums) > 0.8 else rounded(max(sums))
    scale = Scale(0.0, end, left, WIDTH - 14)
    bottom = top + pitch * len(rows)
    parts = [head, across(scale, ticks(0.0, end), unit, top, bottom)]
    for row in rows:
        done = 0.0
        for one in plot.series:
            value = max(one.values[row] or 0.0, 0.0)
            if value > 0:
                place = {"x": scale(done), "y": top + row * pitch + 3, "width": scale(done + value) - scale(done)}
                parts.append(
                    tag(
                        "rect",
                        tip(plot, plot.places[row], one, row),
                        class_=f"c{one.colour} part",
                        height=thick,
                        **place,
                    )
                )
            done += value
        parts.append(_label(plot, row, left, top + row * pitch + 3 + thick / 2))
    return joined(parts), bottom + 18


def funnel(plot: Plot) -> tuple[Safe, float]:
    """Returns what is left stage by stage, a column for each size, each as wide as its largest stage."""
    rows = range(drawn(len(plot.places), plot.chart))
    left = _room(plot)
    starts = _starts(left, len(plot.series))
    span = (WIDTH - left) / len(plot.series) - _GAP
    top, pitch, thick = 20.0, 30.0, 22.0
    parts: list[Safe] = []
    for one, start in zip(plot.series, starts, strict=True):
        middle = start + span / 2
        most = max([value for row in rows if (value := one.values[row]) is not None] or [0.0]) or 1.0
        halves = [(max(one.values[row] or 0.0, 0.0) / most) * span / 2 for row in rows]
        parts.append(both(one.label, "text", x=middle, y=11, class_="what mid"))
        for before, after in pairwise(rows):
            y1, y2 = top + before * pitch + thick, top + after * pitch
            shape = (
                f"M{middle - halves[before]:.2f} {y1:.2f}H{middle + halves[before]:.2f}"
                f"L{middle + halves[after]:.2f} {y2:.2f}H{middle - halves[after]:.2f}Z"
            )
            parts.append(tag("path", d=shape, class_=f"c{one.colour} between"))
        first = next((value for row in rows if (value := one.values[row])), None)
        for row in rows:
            value = one.values[row]
            y = top + row * pitch
            place = {"x": middle - halves[row], "y": y, "width": 2 * halves[row], "height": thick}
            parts.append(tag("rect", tip(plot, plot.places[row], one, row), class_=f"c{one.colour} soft", **place))
            text = told(one.cells[row], one.unit)
            share = f" · {told(value / first, 'share')}" if value is not None and first and row else ""
            text += share if width(text + share) <= span else ""
            parts.append(tag("text", text, x=middle, y=y + thick / 2 + 4, class_="mid"))
    parts += [_label(plot, row, left, top + row * pitch + thick / 2) for row in rows]
    return joined(parts), top + pitch * len(rows)


def _room(plot: Plot) -> float:
    """Returns where bars begin: behind the longest label, or a third of the drawing."""
    places = plot.places[: drawn(len(plot.places), plot.chart)]
    return min(max(reach(cell, plot.x) for cell in places) + 4, WIDTH * 0.36) + _GAP


def _starts(left: float, panels: int) -> list[float]:
    return [left + number * (WIDTH - left) / panels for number in range(panels)]


def _label(plot: Plot, row: int, left: float, middle: float) -> Safe:
    place = plot.places[row]
    return named(plot.x.named(place) or place, left - _GAP, left - _GAP, middle + 4, plot.x.unit, class_="end")
