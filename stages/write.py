"""The stage `write`: documents as files that other programs read, wherever in a pipeline they are wanted."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time
from functools import partial
from typing import Annotated, Any, Final, Literal

import pyarrow as pa

from datapipe import ConfigError, Dataset, Output, Stage, Work
from datapipe.dataset import Batches

PUBLISHED: Final = "documents/part-{number:05}-of-{shards:05}"
LINES: Final = pa.schema([("content", pa.binary())])


@dataclass(frozen=True, kw_only=True)
class Write(Stage):
    """Publishes the documents that reach it, and hands them on: a file a shard, in the order of the rows.

    Parquet has the columns as they are: ids and digests are 16 bytes, and sorted statistics stand on `id` alone. JSON
    lines have those as 32 hex digits, times as ISO 8601, and null for a number that JSON has not.
    """

    format: Annotated[Literal["parquet", "jsonl"], "parquet, or JSON lines compressed with zstd"] = "parquet"
    compression: Annotated[
        Literal["zstd", "snappy", "none"], "of Parquet; another than zstd stands in the files' names: .snappy.parquet"
    ] = "zstd"
    columns: Annotated[tuple[str, ...] | None, "columns that are written, in this order; all unless given"] = None

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents as they came."""
        (documents,) = inputs
        names = tuple(documents.schema.names) if self.columns is None else tuple(self.columns)
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"columns: {list(names)} is empty, or names one twice; leave it out to write all")
        documents.require(names)
        schema = pa.schema([documents.schema.field(name) for name in names])
        if self.format == "jsonl" and self.compression != "zstd":
            raise ConfigError(f"compression: {self.compression} is of Parquet; JSON lines are compressed with zstd")
        codec = "" if self.compression == "zstd" else f".{self.compression}"
        function, ending = (columns, f"{codec}.parquet") if self.format == "parquet" else (lines, ".jsonl.zst")
        output = Output("documents", schema if self.format == "parquet" else LINES, publish=PUBLISHED + ending)
        return documents.map(partial(function, names=names), passes=True, outputs=(output,))


def columns(batches: Batches, work: Work, *, names: tuple[str, ...]) -> Batches:
    """Puts out the columns of those names."""
    for batch in batches:
        work.put("documents", batch.select(names))
        yield batch


def lines(batches: Batches, work: Work, *, names: tuple[str, ...]) -> Batches:
    """Puts out each row as a line of JSON with the keys `names`."""
    for batch in batches:
        written = pa.array([line(row) for row in _rows(batch.select(names))], pa.binary())
        work.put("documents", pa.record_batch([written], schema=LINES))
        yield batch


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:  # Any: what Arrow can hold
    held = [column.to_pylist() for column in batch.columns]
    return (dict(zip(batch.schema.names, row, strict=True)) for row in zip(*held, strict=True))


def line(row: dict[str, Any]) -> bytes:  # Any: what Arrow can hold
    r"""Returns a row as a line of JSON, bytes in it as hex digits.

    >>> line({"id": b"\x00\xff", "text": "两\n", "score": float("nan"), "none": None})
    b'{"id":"00ff","text":"\xe4\xb8\xa4\\n","score":null,"none":null}\n'
    """
    try:
        return _encoded(row)
    except ValueError:  # of a float that is not finite
        return _encoded(_finite(row))


def _encoded(row: dict[str, Any]) -> bytes:  # Any: what Arrow can hold
    return (_ENCODER.encode(row) + "\n").encode()


def _word(value: object) -> str:
    """Returns what JSON has for a value that it has not."""
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


def _finite(value: Any) -> Any:  # Any: what Arrow can hold
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_word)
