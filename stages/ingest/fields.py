"""Fields of a source's own rows under the names that stages share: which column holds what, and what is carried."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import pyarrow as pa

from stages.ingest.address import epoch_seconds, in_years
from stages.ingest.rows import Row, document_id
from stages.ingest.shared import is_text, longest_shared

ROWS_AT_ONCE = 64  # turned from Arrow into Python objects
BYTES_AT_ONCE = 8 << 20  # that they come to, or one row


@dataclass(frozen=True, kw_only=True)
class FieldNames:
    """Which keys of a line, or columns of a row, hold what. Those of `carry` go into the column `extra`.

    Where `html` is named, it holds pages, which are extracted as crawled ones are, and `text` is not read.
    """

    text: str = "text"
    html: str | None = None
    url: str = "url"
    date: str = "date"
    title: str = "title"
    licence: str = "licence"
    carry: Literal["all"] | tuple[str, ...] = "all"


def content_of(schema: pa.Schema, names: FieldNames) -> str:
    """Returns the column that holds the text or page of a document.

    Raises:
        ValueError: there is none, or it is of another kind; the message says which there are.
    """
    name = names.html or names.text
    key = "html" if names.html else "text"
    place = schema.get_field_index(name)
    if place < 0:
        there = ", ".join(schema.names[:20]) or "none"
        raise ValueError(f"no column is called '{name}' (there are: {there}); say which in fields: {{{key}: …}}")
    kind = schema.field(place).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not is_text(kind):
        raise ValueError(f"column '{name}' holds {kind}, and text is expected; say which in fields: {{{key}: …}}")
    return name


def rows_of(batch: pa.RecordBatch, first: int, blank: Row, names: FieldNames, limit: int) -> Iterator[Row]:
    """Yields a row of RAW for each row of a table, the first of which is number `first` of the file of `blank`.

    What holds no text, or more than `limit` bytes of it, has the rule that refuses it.
    """
    content = names.html or names.text
    known = {content, names.text, names.url, names.date, names.title, names.licence}
    carried = [
        name for name in batch.schema.names if name not in known and (names.carry == "all" or name in names.carry)
    ]
    at_once = max(1, min(ROWS_AT_ONCE, BYTES_AT_ONCE // max(1, *map(longest_shared, batch.columns))))
    for start in range(0, batch.num_rows, at_once):
        part = batch.slice(start, at_once)
        wanted = [name for name in (*carried, names.url, names.title, names.licence) if name in part.schema.names]
        held = {name: _values(part.column(name)) for name in wanted}
        dates = _seconds(part.column(names.date)) if names.date in part.schema.names else [None] * part.num_rows
        for place, text in enumerate(_bytes(part.column(content))):
            number = first + start + place
            row = blank._replace(
                id=document_id(blank.source, blank.file or "", number),
                offset=number,
                url=_plain(held, names.url, place),
                crawl_time=dates[place],
                title=_plain(held, names.title, place),
                licence=_plain(held, names.licence, place) or blank.licence,
                extra=as_json({name: held[name][place] for name in carried if held[name][place] is not None}),
            )
            yield _filled(row, text, names, limit)


def _filled(row: Row, text: bytes | None, names: FieldNames, limit: int) -> Row:
    if text is None:
        return row._replace(rule="missing_text", note=f"column '{names.html or names.text}' is null")
    if len(text) > limit:
        return row._replace(rule="too_large", value=float(len(text)), limit=float(limit))
    if names.html:
        return row._replace(page=text)
    try:
        return row._replace(text=text.decode("utf-8"))
    except UnicodeDecodeError:
        read = text.decode("utf-8", "replace")
        return row._replace(text=read, replaced=read.count("\ufffd"))


def as_json(held: dict[str, Any]) -> str | None:  # Any: what Arrow can hold
    """Returns fields as a JSON object with sorted keys, None where there is none.

    Bytes are base64, times ISO 8601, and numbers that JSON has not (NaN, infinity) null.

    >>> as_json({"b": float("nan"), "a": [1, b"x"]})
    '{"a":[1,"eA=="],"b":null}'
    """
    if not held:
        return None
    write = partial(json.dumps, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_word)
    try:
        text = write(held, allow_nan=False)
    except (ValueError, TypeError):
        text = write(_finite(held))
    return text.encode("utf-8", "replace").decode()


def _word(value: object) -> object:
    """Returns what JSON has for a value that it has not."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if isoformat else str(value)


def _finite(value: Any) -> Any:  # Any: what Arrow can hold
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _plain(held: dict[str, list[Any]], name: str, place: int) -> str | None:  # Any: what Arrow can hold
    value = held[name][place] if name in held else None
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else (as_json({"": value}) or "")[4:-1].strip('"')


def _bytes(column: pa.Array) -> list[bytes | None]:
    """Returns text or bytes as bytes: what claims to be UTF-8 is not believed yet."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    values: list[bytes | None] = column.cast(pa.large_binary()).to_pylist()
    return values


def _values(column: pa.Array) -> list[Any]:  # Any: what Arrow can hold
    """Returns the values as Python has them; as text where Python has none (nanoseconds, year 10000), else None."""
    if getattr(column.type, "unit", "") == "ns":  # whose odd ones need pandas
        column = column.cast(pa.int64() if pa.types.is_duration(column.type) else pa.string())
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        if not pa.types.is_nested(column.type):
            return [None if text is None else text.decode("utf-8", "replace") for text in _bytes(column)]
        return [_value(item) for item in column]
    except (ValueError, OverflowError, pa.ArrowException):
        return [_value(item) for item in column]


def _value(scalar: pa.Scalar) -> Any:  # Any: what Arrow can hold
    try:
        return scalar.as_py()
    except (ValueError, OverflowError, pa.ArrowException):
        return str(scalar.cast(pa.string())) if pa.types.is_temporal(scalar.type) else None


def _seconds(column: pa.Array) -> list[int | None]:
    """Returns a column of times, dates, text or numbers as seconds since 1970."""
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        return [epoch_seconds(value) for value in _values(column)]
    seconds: list[int | None] = column.cast(pa.timestamp("s"), safe=False).cast(pa.int64()).to_pylist()
    return [in_years(value) for value in seconds]


def range_of_rows(begin: int, end: int) -> str:
    """Returns rows as a reader of a report counts them.

    >>> range_of_rows(0, 10)
    'rows 0-9'
    """
    return f"rows {begin}-{max(begin, end - 1)}"
