"""Where two files of ours begin to differ: row and column of tables, key of a JSON object."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from datapipe import storage
from datapipe.errors import DatapipeError
from datapipe.inspect import TABLES, read_table

VALUE_CHARACTERS = 80
KEYS = 20  # of a JSON object that are named


@dataclass(frozen=True)
class Place:
    """The first place where two files differ, or for JSON the keys that do; `a` and `b` are what stands there.

    `row` is -1 where the columns differ, or what is compared is no table.
    """

    row: int = -1
    column: str = ""
    a: str = ""
    b: str = ""
    document: str = ""  # the id of its row, hex
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.keys:
            return f"what differs in it: {', '.join(self.keys)}"
        if self.row < 0:
            return f"its columns are {self.a}, and here {self.b}"
        whose = f" (document {self.document})" if self.document else ""
        return f"first in row {self.row}{whose}, {self.column}: {self.a}, and here {self.b}"


def first_difference(a: str, b: str) -> Place | None:
    """Returns where two files differ first; None where they do not, or nothing is known of how they are read."""
    try:
        if a.endswith(TABLES) and b.endswith(TABLES):
            return _of_tables(a, b)
        if a.endswith(".json") and b.endswith(".json"):
            keys = _json_keys(storage.read_bytes(a), storage.read_bytes(b))
            return Place(keys=keys) if keys else None
    except (pa.ArrowInvalid, OSError, ValueError, DatapipeError):
        return None
    return None


def _of_tables(a: str, b: str) -> Place | None:
    (ours, our_rows), (theirs, their_rows) = read_table(a), read_table(b)
    if not ours.equals(theirs, check_metadata=False):
        return Place(a=_clipped(", ".join(ours.names)), b=_clipped(", ".join(theirs.names)))
    start = 0
    for one, other in _aligned(our_rows, their_rows):
        if one is None or other is None:
            more = ["none" if held is None else "a row more" for held in (one, other)]
            return Place(start, "rows", more[0], more[1])
        if not one.equals(other):
            for number, (mine, yours) in enumerate(zip(one.to_pylist(), other.to_pylist(), strict=True)):
                column = next((name for name in mine if repr(mine[name]) != repr(yours[name])), None)  # NaN is one
                if column is not None:
                    if named := _json_keys(mine[column], yours[column]):
                        return Place(start + number, column, keys=named)
                    said = _around(_text(mine[column]), _text(yours[column]))
                    return Place(start + number, column, *said, _text(mine.get("id", "")))
        start += one.num_rows
    held = [schema.metadata or {} for schema in (ours, theirs)]
    keys = [key for key in sorted({*held[0], *held[1]}) if held[0].get(key) != held[1].get(key)]
    return Place(keys=tuple(key.decode(errors="replace") for key in keys)) if keys else None


def _aligned(
    a: Iterator[pa.RecordBatch], b: Iterator[pa.RecordBatch]
) -> Iterator[tuple[pa.RecordBatch | None, pa.RecordBatch | None]]:
    """Yields the rows of both in batches of equal length; at the end what one has more, beside None."""
    one = other = None
    while True:
        one = one if one is not None and one.num_rows else next((batch for batch in a if batch.num_rows), None)
        other = other if other is not None and other.num_rows else next((batch for batch in b if batch.num_rows), None)
        if one is None or other is None:
            if one is not other:
                yield one, other
            return
        rows = min(one.num_rows, other.num_rows)
        yield one.slice(0, rows), other.slice(0, rows)
        one, other = one.slice(rows), other.slice(rows)


def _json_keys(a: object, b: object) -> tuple[str, ...]:
    """Returns the keys by which two JSON objects differ, none where one of them is no such thing."""
    if not isinstance(a, bytes) or not isinstance(b, bytes) or not (a[:1] == b[:1] == b"{"):
        return ()
    try:
        ours, theirs = json.loads(a), json.loads(b)
    except ValueError:
        return ()
    names = dict.fromkeys([*ours, *theirs])
    differing = (name for name in names if name not in ours or name not in theirs or ours[name] != theirs[name])
    return tuple(itertools.islice(differing, KEYS))


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else value if isinstance(value, str) else repr(value)


def _around(a: str, b: str) -> tuple[str, str]:
    """Returns two values that differ, of long ones what stands about the first place where they do.

    >>> _around("a" * 90 + "b", "a" * 90 + "c")
    ('…aaaaaaaaaaaaaaaaaaaab', '…aaaaaaaaaaaaaaaaaaaac')
    """
    if max(len(a), len(b)) <= VALUE_CHARACTERS:
        return a, b
    first = next((n for n, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), min(len(a), len(b)))
    start = max(0, first - VALUE_CHARACTERS // 4)
    before = "…" if start else ""
    return f"{before}{_clipped(a[start:])}", f"{before}{_clipped(b[start:])}"


def _clipped(text: str) -> str:
    return text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]}…"
