"""A table of two kinds of words, its cells as dark as they are large."""

from __future__ import annotations

from stages.audit.model import Cell
from stages.audit.page.axes import cut, width
from stages.audit.page.markup import NONE, Safe, both, joined, short, tag
from stages.audit.page.numbers import told
from stages.audit.page.plot import WIDTH, Plot, named

MOST = 24  # rows and columns that are drawn
DARKEST = 0.5  # share of the colour in the largest cell; letters stand on it
_LEAST = 17.0  # width of a column, so that labels do not touch
_GAP = 8.0


def heat(plot: Plot) -> tuple[Safe, float]:
    """Returns rows and columns in the order in which they come; a pair that comes twice has its first value."""
    one = plot.series[0]
    cells: dict[tuple[Cell, Cell], int] = {}
    for at, pair in enumerate(zip(plot.rows, plot.places, strict=True)):
        cells.setdefault(pair, at)
    rows, columns = (list(dict.fromkeys(found))[:MOST] for found in (plot.rows, plot.places))
    left = min(max(width(_text(cell)) for cell in rows), WIDTH * 0.3) + _GAP
    wide = (WIDTH - left) / len(columns)
    room = min(max(width(_text(cell)) for cell in columns), 92.0)
    turned = any(width(_text(cell)) > wide - 4 for cell in columns)
    if turned:  # the last label leans over the edge
        leaning = room * 0.71
        columns = columns[: int((WIDTH - left - leaning) / _LEAST)]
        wide = (WIDTH - left - leaning) / (len(columns) - 0.5)
    top, high = 18.0 + (room * 0.71 + 10 if turned else 16), 24.0
    most = max((abs(value) for at in cells.values() if (value := one.values[at]) is not None), default=0.0) or 1.0
    parts = [both(one.label, "text", x=0, y=11, class_="what")]
    for number, cell in enumerate(columns):
        parts.append(_column(plot, cell, left + (number + 0.5) * wide, top - 6, room, wide, turned))
    empty = ""
    for down, row in enumerate(rows):
        y = top + down * high
        parts.append(named(row, left - _GAP, left - _GAP, y + high / 2 + 4, "text", class_="end"))
        for along, column in enumerate(columns):
            number = cells.get((row, column), -1)
            value = one.values[number] if number >= 0 else None
            x = left + along * wide
            if value == 0:
                continue
            if value is None:  # not known, or not there
                empty += f"M{short(x + wide / 2 - 3)} {short(y + high / 2)}h6"
                continue
            text = told(one.cells[number], one.unit)
            said = tag("title", f"{_text(row)} × {_text(column)}: {text}")
            strength = short(round(DARKEST * abs(value) / most, 2))
            place = {"x": x + 0.5, "y": y + 0.5, "width": wide - 1, "height": high - 1}
            parts.append(tag("rect", said, class_="c2" if value < 0 else "c1", fill_opacity=strength, **place))
            if width(text) * 0.87 <= wide - 4:
                parts.append(tag("text", text, class_="in", x=x + wide / 2, y=y + high / 2 + 4))
    parts.append(tag("path", d=empty, class_="empty"))
    return joined(parts), top + high * len(rows) + 4


def _column(plot: Plot, cell: Cell, x: float, y: float, room: float, wide: float, turned: bool) -> Safe:
    if not turned:
        return named(cell, wide, x, y, plot.x.unit, class_="mid")
    less = cut(_text(cell), room)
    told_whole = [tag("title", _text(cell))] if less != _text(cell) else []
    return tag("text", less, *told_whole, x=x, y=y, transform=f"rotate(-45 {short(x)} {short(y)})")


def _text(cell: Cell) -> str:
    return NONE.en if cell is None else told(cell, "text")
