"""Documents that a step has changed: columns that it adds, and a text with what follows from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import pyarrow as pa

from stages.schema import ID


def with_columns(batch: pa.RecordBatch, schema: pa.Schema, columns: Iterable[pa.Array]) -> pa.RecordBatch:
    """Returns `batch` with the columns of `schema`; one of a name that is there takes its place."""
    for field, column in zip(schema, columns, strict=True):
        place = batch.schema.get_field_index(field.name)
        batch = batch.append_column(field, column) if place < 0 else batch.set_column(place, field, column)
    return batch


def digest_of(text: str) -> bytes:
    """Returns the BLAKE2b-128 of a text's UTF-8, the column `text_digest`."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def rewritten(batch: pa.RecordBatch, rows: Sequence[int], texts: Sequence[str]) -> pa.RecordBatch:
    """Returns `batch` with `texts` as the texts of `rows`; `text_digest` follows, where there is that column."""
    for name, kind, values in (("text", None, list(texts)), ("text_digest", ID, [*map(digest_of, texts)])):
        place = batch.schema.get_field_index(name)
        if place < 0 or not rows:
            continue
        column = batch.column(place).to_pylist()
        for row, value in zip(rows, values, strict=True):
            column[row] = value
        field = batch.schema.field(place)
        batch = batch.set_column(place, field, pa.array(column, kind or field.type))
    return batch
