"""Facts of documents that are given as rows, and figures and tables of a section by their keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from stages.audit import fertility, funnel, kinds, provenance, risk, sizes
from stages.audit.counter import Facts, Scan, Wide
from stages.audit.model import Figure, Section, Table

PARTS = (funnel, kinds, sizes, fertility, risk, provenance)


def facts_of(
    kept: pa.Table,
    left: pa.Table | None = None,
    ledger: pa.Table | None = None,
    *,
    files: Mapping[str, pa.Table] | None = None,
    run: Mapping[str, Any] | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> Facts:
    """Returns the facts of documents that stayed and left; `files` are tables by the beginnings of their names.

    Each half of the documents that stayed is counted alone, as they lie in files.
    """
    half = kept.num_rows // 2
    parts: list[tuple[pa.Table, pa.Table | None]] = [(kept.slice(0, half), None), (kept.slice(half), None)]
    if left is not None:
        parts.append((left, ledger))
    tables = {}
    for counter in (one for part in PARTS for one in part.COUNTERS):
        if isinstance(counter, Wide):
            whole = counter.counter.merge([counter.counter.count(frame, rows) for frame, rows in parts])
            tables |= {one.name: one.count(whole, None) for one in counter.after}
        elif isinstance(counter, Scan):
            there = (files or {}).get(counter.files)
            made = [] if there is None else [counter.counter.count(there.select(_of(there, counter.columns)), None)]
            tables[counter.counter.name] = counter.counter.merge(made)
        else:
            tables[counter.name] = counter.merge([counter.count(frame, rows) for frame, rows in parts])
    return Facts(tables, run or {"stages": []}, manifest or {}, "", 0)


def _of(table: pa.Table, names: Iterable[str]) -> list[str]:
    return [name for name in names if name in table.column_names]


def figures(sections: Iterable[Section]) -> dict[str, Figure]:
    """Returns the figures by key."""
    return {figure.key: figure for section in sections for figure in section.figures}


def tables(sections: Iterable[Section]) -> dict[str, Table]:
    """Returns the tables by key."""
    return {table.key: table for section in sections for table in section.tables}


def rows(table: Table, *names: str) -> list[tuple[Any, ...]]:
    """Returns the cells of some columns."""
    places = [[column.key for column in table.columns].index(name) for name in names]
    return [tuple(row[place] for place in places) for row in table.rows]


def commands(table: Table) -> Sequence[str | None]:
    """Returns the commands of the rows."""
    return table.commands or ()


def strings(value: Any) -> Iterator[str]:  # Any: what a model dumps
    """Yields all text that a section holds."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | tuple | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from strings(one)
