"""Fields of a source's own rows under the names that stages share: which column holds what, and what is carried."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from json.encoder import encode_basestring
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.ingest.address import epoch_seconds, in_years
from stages.ingest.rows import RAW, Row, batches, document_id, ids
from stages.ingest.shared import is_text, longest_shared

ROWS_AT_ONCE = 64  # turned from Arrow into Python objects
BYTES_AT_ONCE = 8 << 20  # that they come to, or one row
BATCH_ROWS = 1024
BATCH_BYTES = 4 << 20  # of text, and of what else a row has on the average


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


def raw_of(batch: pa.RecordBatch, first: int, blank: Row, names: FieldNames, limit: int) -> Iterator[pa.RecordBatch]:
    """Yields the rows of `rows_of` as batches of RAW; by column, but where that needs to look at every row."""
    for start, end in _cuts(batch, names):
        part = batch.slice(start, end - start)
        made = _by_column(part, first + start, blank, names, limit)
        if made is not None:
            yield made
        else:
            yield from batches(rows_of(part, first + start, blank, names, limit))


def _cuts(batch: pa.RecordBatch, names: FieldNames) -> Iterator[tuple[int, int]]:
    """Yields the ranges of rows that are worked on at once: all that go by row, which cuts them once more."""
    kind = batch.schema.field(names.html or names.text).type
    if names.html or any(map(longest_shared, batch.columns)) or not is_text(kind) or pa.types.is_string_view(kind):
        yield 0, batch.num_rows
        return
    lengths = np.asarray(pc.binary_length(batch.column(names.text)).fill_null(0)).astype(np.int64)
    rest = max(0, batch.nbytes - int(lengths.sum())) // max(1, batch.num_rows)
    ends = np.cumsum(lengths + rest)
    start = 0
    while start < batch.num_rows:
        room = BATCH_BYTES + (int(ends[start - 1]) if start else 0)
        end = min(max(start + 1, int(np.searchsorted(ends, room, "right"))), start + BATCH_ROWS)
        yield start, end
        start = end


def _by_column(part: pa.RecordBatch, first: int, blank: Row, names: FieldNames, limit: int) -> pa.RecordBatch | None:
    """Returns rows of RAW, or None where a text is missing, too long or no UTF-8, shared, or is a page."""
    content = part.column(names.html or names.text)
    shared = names.html is not None or any(map(longest_shared, part.columns))
    if shared or content.null_count or len(set(part.schema.names)) < part.num_columns:
        return None
    try:
        text = content.cast(pa.large_binary()).cast(pa.large_string())  # what claims to be UTF-8 is not believed yet
    except pa.ArrowException:
        return None
    if pc.max(pc.binary_length(text)).as_py() > limit:
        return None
    licence = _texts(part, names.licence)
    made = {
        "id": ids(blank.source, blank.file or "", first, part.num_rows),
        "source": pa.repeat(blank.source, part.num_rows),
        "url": _texts(part, names.url),
        "licence": licence if blank.licence is None else licence.fill_null(blank.licence),
        "crawl_time": pa.array(_seconds(part.column(names.date)), pa.int64())
        if names.date in part.schema.names
        else None,
        "file": pa.repeat(blank.file, part.num_rows),
        "offset": pa.array(np.arange(first, first + part.num_rows)),
        "title": _texts(part, names.title),
        "extra": _extras(part, names),
        "text": text,
        "replaced": pa.array(np.zeros(part.num_rows, np.int32)),
    }
    arrays = [
        made[field.name] if made.get(field.name) is not None else pa.nulls(part.num_rows, field.type) for field in RAW
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=RAW)


def _texts(part: pa.RecordBatch, name: str) -> pa.StringArray:
    """Returns a column that should be text as text, null where it is empty or there is none."""
    if name not in part.schema.names:
        return pa.nulls(part.num_rows, pa.string())
    return pa.array([_text(value) for value in _values(part.column(name))], pa.string())


def _extras(part: pa.RecordBatch, names: FieldNames) -> pa.StringArray:
    """Returns `as_json` of the carried fields of each row, put together of what each column is as JSON."""
    carried = sorted(_carried(part.schema, names))
    keys = [f"{json.dumps(name, ensure_ascii=False)}:" for name in carried]
    values = [_jsons(_values(part.column(name)), part.schema.field(name).type) for name in carried]
    rows = [
        ",".join([key + value for key, value in zip(keys, row, strict=True) if value is not None])
        for row in zip(*values, strict=True)
    ]
    return pa.array([f"{{{row}}}" if row else None for row in rows] or [None] * part.num_rows, pa.string())


def _jsons(values: list[Any], kind: pa.DataType) -> list[str | None]:  # Any: what Arrow can hold
    if is_text(kind):
        return [encode_basestring(value) if isinstance(value, str) else _json(value) for value in values]
    return [_json(value) for value in values]


def _json(value: Any) -> str | None:  # Any: what Arrow can hold
    return None if value is None else (as_json({"": value}) or "")[4:-1]


def _carried(schema: pa.Schema, names: FieldNames) -> list[str]:
    known = {names.html or names.text, names.text, names.url, names.date, names.title, names.licence}
    return [name for name in schema.names if name not in known and (names.carry == "all" or name in names.carry)]


def rows_of(batch: pa.RecordBatch, first: int, blank: Row, names: FieldNames, limit: int) -> Iterator[Row]:
    """Yields a row of RAW for each row of a table, the first of which is number `first` of the file of `blank`.

    What holds no text, or more than `limit` bytes of it, has the rule that refuses it.
    """
    content = names.html or names.text
    carried = _carried(batch.schema, names)
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
    return _text(held[name][place]) if name in held else None


def _text(value: Any) -> str | None:  # Any: what Arrow can hold
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
