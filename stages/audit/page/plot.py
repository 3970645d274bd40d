"""What a chart draws of a table, and the parts that charts share: legends, axes, tips of marks.

Drawings are WIDTH units wide, about pixels; colours and letters come from `page.css` by classes, so that they follow
the theme and the printer. Nothing in a drawing can be run or fetched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from stages.audit.model import Cell, Chart, Column, Table, Unit, Words
from stages.audit.page.axes import Scale, apart, cut, tick_label, width
from stages.audit.page.markup import NONE, Safe, both, headed, joined, short, tag
from stages.audit.page.numbers import number_of, told

WIDTH = 460.0
COLOURS = 8  # classes c1 to c8
_LEGEND_ROW = 18.0

Numbers = tuple[float | None, ...]


@dataclass(frozen=True)
class Series:
    """A column that is drawn: its numbers, row for row, with the borders of their intervals where there are some."""

    label: Words
    unit: Unit
    colour: int  # 1 to COLOURS
    values: Numbers
    cells: tuple[Cell, ...]
    low: Numbers | None
    high: Numbers | None


@dataclass(frozen=True)
class Plot:
    """A chart with the columns that it draws."""

    chart: Chart
    x: Column
    places: tuple[Cell, ...]
    series: tuple[Series, ...]
    rows: tuple[Cell, ...] = ()

    @property
    def panels(self) -> list[list[Series]]:
        """Neighbouring series of one unit, which have an axis together."""
        return [list(group) for _, group in groupby(self.series, key=lambda series: series.unit)]


def plot_of(table: Table) -> Plot | None:
    """Returns what the chart of a table draws; None where it has no chart, no rows, or lacks a column of it."""
    chart = table.chart
    columns = {column.key: (number, column) for number, column in enumerate(table.columns)}
    if (
        chart is None
        or not table.rows
        or not {chart.x, *chart.y, *([chart.rows] if chart.rows else [])} <= columns.keys()
    ):
        return None

    def cells(key: str) -> tuple[Cell, ...]:
        return tuple(row[columns[key][0]] for row in table.rows)

    def border(y: str, name: str) -> Numbers | None:
        named = next((key for key in (f"{y}_{name}", *([name] if len(chart.y) == 1 else [])) if key in columns), None)
        return tuple(map(number_of, cells(named))) if named else None

    series = tuple(
        Series(
            headed(columns[y][1].label),
            columns[y][1].unit,
            number % COLOURS + 1,
            tuple(map(number_of, cells(y))),
            cells(y),
            border(y, "low"),
            border(y, "high"),
        )
        for number, y in enumerate(chart.y)
    )
    if all(value is None for one in series for value in one.values):
        return None
    return Plot(chart, columns[chart.x][1], cells(chart.x), series, cells(chart.rows) if chart.rows else ())


def drawing(height: float, parts: Iterable[str], key: str, kind: str) -> Safe:
    """Returns the whole SVG; its name and description stand in the page, in the language that is shown."""
    return tag(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH:g} {height:.0f}",
        class_=kind,
        role="img",
        aria_labelledby=f"label-{key}",
        aria_describedby=f"about-{key}",
    )


def legend(series: Sequence[Series], top: float, left: float = 0.0, *, line: bool = False) -> tuple[Safe, float]:
    """Returns what colours mean, in rows as wide as the drawing, and where the rows end; one series has no colour."""
    if len(series) == 1:
        return both(series[0].label, "text", x=left, y=top + 11, class_="what"), top + _LEGEND_ROW + 2
    parts: list[Safe] = []
    place, row = left, top
    for one in series:
        needed = 18 + max(width(one.label.en), width(one.label.zh)) + 14
        if place > left and place + needed > WIDTH:
            place, row = left, row + _LEGEND_ROW
        mark = {"y": row + 6, "height": 2.5} if line else {"y": row + 2, "height": 10, "rx": 2}
        parts.append(tag("rect", x=place, width=12, class_=f"c{one.colour}", **mark))
        parts.append(both(one.label, "text", x=place + 17, y=row + 11))
        place += needed
    return joined(parts), row + _LEGEND_ROW + 2


def across(scale: Scale, marks: Sequence[float], unit: Unit, top: float, bottom: float) -> Safe:
    """Returns an axis from left to right: a line of the grid at each tick, and labels below that do not touch."""
    labels = [tick_label(mark, unit) for mark in marks]
    return joined(
        [
            tag(
                "path",
                d="".join(f"M{short(scale(mark))} {short(top)}V{short(bottom)}" for mark in marks),
                class_="grid",
            ),
            *(
                tag("text", labels[number], x=scale(marks[number]), y=bottom + 13, class_="tick mid")
                for number in apart([scale(mark) for mark in marks], labels)
            ),
        ]
    )


def upward(scale: Scale, marks: Sequence[float], unit: Unit, left: float, right: float) -> Safe:
    """Returns an axis from bottom to top: a line of the grid at each tick, and its label on the left."""
    return joined(
        [
            tag(
                "path",
                d="".join(f"M{short(left)} {short(scale(mark))}H{short(right)}" for mark in marks),
                class_="grid",
            ),
            *(tag("text", tick_label(mark, unit), x=left - 6, y=scale(mark) + 4, class_="tick end") for mark in marks),
        ]
    )


def reach(cell: Cell, column: Column) -> float:
    """Returns how wide a cell is, in the longer of the languages."""
    words = (called := column.named(cell)) and (called.en, called.zh)
    return max(map(width, words or (NONE.en if cell is None else told(cell, column.unit),)))


def named(cell: Cell | Words, room: float, x: float, y: float, unit: Unit, **attributes: str | float | None) -> Safe:
    """Returns the label of a row or column, cut to its room; the whole of it is its tip."""
    if cell is None or isinstance(cell, Words):
        return both(cell or NONE, "text", x=x, y=y, **attributes)
    text = told(cell, unit)
    less = cut(text, room)
    return tag("text", less, *([tag("title", text)] if less != text else []), x=x, y=y, **attributes)


def tip(plot: Plot, place: Cell, series: Series, row: int) -> Safe:
    """Returns what is said of a mark under the pointer."""
    of = f"{_told(place, plot.x)} · " + (f"{series.label.en} {series.label.zh}: " if len(plot.series) > 1 else "")
    text = of + told(series.cells[row], series.unit)
    low, high = (border[row] if border else None for border in (series.low, series.high))
    if low is not None and high is not None:
        text += f" ({told(low, series.unit)} – {told(high, series.unit)})"
    return tag("title", text)


def captions(words: Words, x: float, y: float) -> Safe:
    """Returns the name of an axis, ending at `x`."""
    return both(headed(words), "text", x=x, y=y, class_="tick end")


def _told(cell: Cell, column: Column) -> str:
    words = NONE if cell is None else column.named(cell)
    return f"{words.en} {words.zh}" if words else told(cell, column.unit)
