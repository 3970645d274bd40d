"""Figures and cells of two reports side by side: what each changed by, and whether that is more than chance.

The interval of a change follows from those of the two figures by squares added up (Newcombe's, which holds of any
estimates: MOVER). It takes them as independent; where documents are in both, so that the figures move together, it is
too wide and never too narrow. What was counted in full has no interval: its change is what it is.

Source: Newcombe 1998, Statistics in Medicine 17, 873, method 10; Zou and Donner 2008, Statistics in Medicine 27, 1693
(of any estimates with intervals).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from stages.audit.compare.model import Change, Says, Value
from stages.audit.gates import CHANGE, Measured
from stages.audit.measures import Estimate, newcombe
from stages.audit.model import Audit, Cell, Column, Figure, Table, Unit, Words
from stages.audit.report import is_curve, rounded

TOPICS: Final = "topics."
COUNTS: Final = ("documents", "tokens", "characters", "bytes")  # units
OTHER_TOPICS: Final = Words(
    en="their topics are of two models; `datapipe report B --topics A` makes a report on B by those of A",
    zh="双方主题出自不同模型；用 `datapipe report B --topics A` 可按 A 的主题为 B 生成报告",
)
OTHER_TOKENIZER: Final = Words(en="their tokens are of two tokenizers", zh="双方词元出自不同分词器")
UNSHOWN: Final = Words(en="one of the tables shows its first rows only", zh="其中一张表只显示前若干行")


@dataclass(frozen=True)
class Apart:
    """What of two corpora is measured by two models: topics then do not compare, tokens are of two lengths."""

    topics: bool = False
    tokenizers: bool = False

    def why(self, key: str, unit: Unit) -> Words | None:
        """Returns why a figure cannot be compared, None where it can."""
        if self.topics and key.startswith(TOPICS):
            return OTHER_TOPICS
        return None

    def note(self, key: str, unit: Unit) -> Words | None:
        """Returns what is to be said of a figure that can be compared, but is of two measures."""
        return OTHER_TOKENIZER if self.tokenizers and (unit == "tokens" or key.startswith("fertility.")) else None


def number(cell: Cell) -> float | None:
    """Returns the number that a cell holds, None for words and nothing.

    >>> number(3), number("3"), number(None)
    (3.0, None, None)
    """
    if isinstance(cell, str) or cell is None:
        return None
    return float(cell) if math.isfinite(cell) else None


def difference(a: Estimate, b: Estimate) -> Estimate:
    """Returns B less A with its interval, of estimates that are independent.

    >>> from stages.audit.measures import wilson
    >>> [round(value, 4) for value in difference(wilson(48, 80), wilson(56, 70))]
    [0.2, 0.0524, 0.3339]
    """
    return newcombe(b, a)


def changed(
    key: str,
    label: Words,
    unit: Unit,
    a: Value | None,
    b: Value | None,
    *,
    drawn: bool = False,
    why: Words | None = None,
    note: Words | None = None,
) -> Change:
    """Returns a figure side by side; `drawn` where it is of documents that were looked at, of one corpus or another."""
    x, y = (None if one is None else number(one.value) for one in (a, b))
    made = Change(key=key, label=label, unit=unit, a=a, b=b, says="lacking", why=why or note)
    if a is None or b is None or a.value is None or b.value is None:
        alike = a is not None and b is not None and a.value == b.value
        return made.model_copy(update={"says": "same" if alike else "lacking"})
    if why is not None:
        return made.model_copy(update={"says": "apart"})
    if x is None or y is None:
        return made.model_copy(update={"says": "same" if a.value == b.value else "counted"})
    change = y - x
    estimates = [estimate(one) for one in (a, b)]
    if a == b and not drawn:
        return made.model_copy(update={"says": "same", "change": 0.0})
    if None in estimates:
        says: Says = "same" if not change and not drawn else "unsure" if drawn else "counted"
        return made.model_copy(update={"says": says, "change": even(change)})
    low, high = difference(*(one for one in estimates if one is not None))[1:]
    return made.model_copy(
        update={"says": sure(low, high), "change": even(change), "low": even(low), "high": even(high)}
    )


def even(value: float) -> float:
    """Returns a number with as many digits as those of a report have."""
    return float(rounded(float(value)))


def estimate(value: Value) -> Estimate | None:
    """Returns a value with its interval, None where it has none."""
    at = number(value.value)
    if at is None or value.low is None or value.high is None:
        return None
    return Estimate(at, value.low, value.high)


def sure(low: float, high: float) -> Says:
    """Returns whether an interval of a change leaves 0 out."""
    return "within" if low <= 0 <= high else "beyond"


# Figures


def figures(a: Audit, b: Audit, apart: Apart) -> Iterator[Change]:
    """Yields every figure of two reports in the order of A's; those that only B has come last."""
    sides = [{one.key: one for section in side.sections for one in section.figures} for side in (a, b)]
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        x, y = (side.get(key) for side in sides)
        one = x or y
        assert one is not None
        drawn = a.corpus != b.corpus and any(side is not None and side.of is not None for side in (x, y))
        yield changed(
            key,
            one.label,
            one.unit,
            _value(x),
            _value(y),
            drawn=drawn,
            why=apart.why(key, one.unit),
            note=apart.note(key, one.unit),
        )


def _value(figure: Figure | None) -> Value | None:
    return None if figure is None else Value(value=figure.value, low=figure.low, high=figure.high, of=figure.of)


# Cells


def cells(a: Audit, b: Audit, apart: Apart) -> Iterator[Change]:
    """Yields the numbers of tables, row by row: a row is what the columns of words before its numbers say.

    Rows are not looked for in curves and maps. Of a table of which only the first rows are shown, one that is not
    among them is not known, and is left out where neither shows it.
    """
    sides = [{one.key: one for section in side.sections for one in section.tables} for side in (a, b)]
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        tables = [side[key] for side in sides if key in side]
        if not any(is_curve(table.chart) for table in tables):
            yield from _table([side.get(key) for side in sides], tables, apart)


def _table(both: Sequence[Table | None], tables: Sequence[Table], apart: Apart) -> Iterator[Change]:
    names = labels_of(*tables)
    if not names:
        return
    one = tables[0]
    columns = {column.key: column for table in tables for column in table.columns}
    rows = [{} if table is None else dict(_rows(table, names)) for table in both]
    cut = any((table.of or 0) > len(table.rows) for table in tables)
    for row in dict.fromkeys([*rows[0], *rows[1]]):
        for column in columns.values():
            if column.unit == "text" or column.key in names or _is_border(column.key, columns):
                continue
            values = [_cell(side.get(row), column.key) for side in rows]
            if values == [None, None]:
                continue
            note = UNSHOWN if cut and None in values else apart.note(one.key, column.unit)
            key, why = ".".join([one.key, *row, column.key]), apart.why(one.key, column.unit)
            yield changed(key, _called(one, row, column), column.unit, *values, why=why, note=note)


def labels_of(*tables: Table) -> tuple[str, ...]:
    """Returns the keys of the columns by which rows are known: as many of the first ones as tell all rows apart."""
    common = [column for column in tables[0].columns if all(column.key in _keys(table) for table in tables)]
    words = next((at for at, column in enumerate(common) if column.unit != "text"), len(common))
    for most in range(1, max(1, words) + 1):
        names = tuple(column.key for column in common[:most])
        if all(len({row for row, _ in _rows(table, names)}) == len(table.rows) for table in tables):
            return names
    return ()


def _keys(table: Table) -> list[str]:
    return [column.key for column in table.columns]


def _rows(table: Table, names: Iterable[str]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Cell]]]:
    keys = _keys(table)
    places = [keys.index(name) for name in names]
    for row in table.rows:
        yield tuple(_said(row[place]) for place in places), dict(zip(keys, row, strict=True))


def _said(cell: Cell) -> str:
    if cell is None:
        return "none"
    return cell if isinstance(cell, str) else f"{cell:g}"


def _cell(row: Mapping[str, Cell] | None, key: str) -> Value | None:
    if row is None or row.get(key) is None:
        return None
    low, high = (number(row.get(f"{key}_{end}")) for end in ("low", "high"))
    return Value(value=row[key], low=low, high=high)


def _is_border(key: str, columns: Mapping[str, Column]) -> bool:
    """Returns whether a column is a border of the interval of another."""
    return any(key.endswith(end) and key.removesuffix(end) in columns for end in ("_low", "_high"))


def _called(table: Table, row: tuple[str, ...], column: Column) -> Words:
    named = {one.key: one for one in table.columns}
    first = next(iter(named.values())).named(row[0]) or Words(en=row[0], zh=row[0])
    rest = "".join(f" · {word}" for word in row[1:])
    return Words(
        en=f"{table.label.en}: {first.en}{rest} · {column.label.en}",
        zh=f"{table.label.zh}：{first.zh}{rest} · {column.label.zh}",
    )


# For gates


def measured(changes: Iterable[Change]) -> Iterator[tuple[str, Measured]]:
    """Yields what gates may name: the values of B, and, as `change.NAME`, B less A."""
    for one in changes:
        value, count = None if one.b is None else number(one.b.value), one.unit in COUNTS
        if one.b is None or (one.b.value is not None and value is None):
            why = "B has none" if one.b is None else "is no number"
            yield one.key, Measured(None, why=why)
        else:
            yield one.key, Measured(value, one.b.low, one.b.high, drawn=one.b.of is not None, is_count=count)
        why = "A has none" if one.a is None else "B has none" if one.b is None else one.why.en if one.why else ""
        yield CHANGE + one.key, Measured(one.change, one.low, one.high, why, one.says == "unsure", count)
