"""Rows of the frame: of documents that stayed, from the index or from `documents/`, and of those that left."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import zstandard

from datapipe import ID, LEAVING, DataError, InputFile, Work, storage
from datapipe.dataset import Batches
from stages.audit.frame import FRAME, KEPT
from stages.audit.places import ids_of as known_ids
from stages.audit.published import PLACE, amounts, gathered, placed, shaped, shaped_column
from stages.audit.trained import Pieces
from stages.corpus.corpus import REMOVED
from stages.corpus.index import opened
from stages.schema import (
    CLUSTER,
    CONTAMINATION,
    DOCUMENT,
    FORMAT,
    LANGUAGE,
    PII,
    QUALITY,
    SAFETY,
)

SPLIT: Final = "split"
# What is said of a record that was set aside; a range of bytes, or a file, that could not be read has no such end.
_RECORD: Final = re.compile(r"; (no text|\S+ of \d+ bytes, blake2b [0-9a-f]{32}.*)$", re.DOTALL)
_LONG: Final = ("extra", "text")  # columns of documents that nothing is counted by
_OWN: Final = ("doc_id", "validation", "group")  # of the index, under other names or of no use here
_JSON: Final = pa.schema(  # columns of documents in JSON lines
    [
        pa.field(field.name, pa.string() if field.type == ID else field.type)
        for schema in (DOCUMENT, LANGUAGE, FORMAT, QUALITY, CONTAMINATION, SAFETY, PII, CLUSTER)
        for field in schema
        if field.name != "extra"
    ]
)
_LINES: Final = 8 << 20  # bytes of JSON that are parsed together


def frame_of(index: pa.Schema) -> pa.Schema:
    """Returns the columns of the frame for documents that come with `index`: FRAME, and what more they have."""
    known = {*FRAME.names, *_LONG, *_OWN}
    return pa.schema([*FRAME, *(field for field in index if field.name not in known)])


@dataclass(frozen=True)
class Framed:
    """Documents of the index, or of `documents/`, as rows of the frame `schema`.

    Where `splits` are given, what is read beside are SUMS (`trained`) of their pieces, whose splits these are. Rows of
    documents that were removed since are left out, and counted.
    """

    schema: pa.Schema
    splits: tuple[str, ...] = ()

    def __call__(self, batches: Batches, work: Work) -> Batches:
        pieces = Pieces(work.beside(), self.splits) if self.splits else None
        removed = 0
        for table in gathered(batches):
            (batch,) = table.to_batches()
            if "split" in batch.schema.names:
                stays = pc.not_equal(batch.column("split"), REMOVED).fill_null(True)
                removed += batch.num_rows - pc.sum(stays).as_py()
                batch = batch.filter(stays)
            yield self._framed(batch, pieces)
        work.put("amounts", amounts(removed=removed, trained_by_documents=pieces.trained if pieces else 0))

    def _framed(self, batch: pa.RecordBatch, pieces: Pieces | None) -> pa.RecordBatch:
        made = {"id": ids_of(batch), "stage": pa.repeat(pa.scalar(KEPT), batch.num_rows)}
        if pieces:
            made |= pieces.of(*(np.asarray(batch.column(name)) for name in PLACE.names))
        columns = [made[one.name] if one.name in made else shaped_column(batch, one) for one in self.schema]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def ids_of(batch: pa.RecordBatch) -> pa.Array:
    """Returns the ids of documents, binary(16); of documents without one, by the number of their file and row."""
    for name in ("doc_id", "id"):
        place = batch.schema.get_field_index(name)
        if place >= 0 and batch.column(place).null_count < max(1, batch.num_rows):
            column = batch.column(place)
            return column if column.type == ID else unhex(column)
    words = np.stack([np.asarray(batch.column(name)) for name in PLACE.names], axis=1).astype(">u8")
    return pa.FixedSizeBinaryArray.from_buffers(ID, batch.num_rows, [None, pa.py_buffer(words.tobytes())])


def unhex(column: pa.Array) -> pa.Array:
    """Returns strings of 32 hex digits as binary(16).

    >>> unhex(pa.array(["00ff" * 8]))[0].as_py().hex()
    '00ff00ff00ff00ff00ff00ff00ff00ff'

    Raises:
        DataError: one is not that.
    """
    made = known_ids(column)
    if made.null_count:
        raise DataError("ids of documents are 32 hex digits, and one that was read is not; `datapipe verify` tells")
    return made


# Documents as they are written


def documents_schema(folder: str, files: Sequence[InputFile]) -> pa.Schema:
    """Returns the columns that `ReadDocuments` reads: those that the files have, and the sizes of the text."""
    if files[0].name.endswith(".parquet"):
        with opened(storage.join(folder, files[0].name)) as table:
            there = table.schema_arrow
    else:
        there = _JSON
    sizes = {"bytes": pa.int64(), "characters": pa.int32()} if "text" in there.names else {}
    kept = [field for field in there if field.name not in (*_LONG, *sizes)]
    return pa.schema([*kept, *(pa.field(name, kind) for name, kind in sizes.items()), *PLACE])


@dataclass(frozen=True)
class ReadDocuments:
    """Reads files of documents, Parquet or JSON lines, as `schema` (`documents_schema`); `names` number them."""

    schema: pa.Schema
    names: tuple[str, ...]

    def __call__(self, files: Sequence[InputFile], work: Work) -> Batches:
        for file in files:
            rows = self._parquet(file) if file.name.endswith(".parquet") else lines_of(file)
            yield from placed((self._sized(batch) for batch in rows), self.names.index(file.name))

    def _parquet(self, file: InputFile) -> Batches:
        with opened(file.url) as table:
            there = table.schema_arrow.names
            wanted = [name for name in (*self.schema.names, "text") if name in there]
            yield from table.iter_batches(1 << 12, columns=list(dict.fromkeys(wanted)), use_threads=False)

    def _sized(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        schema = pa.schema([field for field in self.schema if field.name not in PLACE.names])
        place = batch.schema.get_field_index("text")
        if place >= 0:
            text = batch.column(place)
            sizes = {"bytes": pc.binary_length(text), "characters": pc.utf8_length(text)}
            batch = batch.drop_columns([name for name in sizes if name in batch.schema.names])
            batch = pa.RecordBatch.from_arrays([*batch.columns, *sizes.values()], names=[*batch.schema.names, *sizes])
        return shaped(batch, schema)


def lines_of(file: InputFile) -> Batches:
    """Yields the rows of JSON lines that are compressed with zstd."""
    options = pyarrow.json.ParseOptions(explicit_schema=_JSON, unexpected_field_behavior="ignore")
    with (
        storage.open_input(file.url) as raw,
        zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as f,
    ):
        left = b""
        while block := f.read(_LINES):
            whole, newline, rest = (left + block).rpartition(b"\n")
            if newline:
                reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(whole) + 1)
                yield from pyarrow.json.read_json(io.BytesIO(whole), reading, options).to_batches()
                left = rest
            else:
                left = rest
        if left.strip():
            raise DataError(f"{file.url}: ends in the middle of a line; `datapipe verify` tells what has changed")


# Documents that left


def of_documents(ledger: pa.Table) -> pa.Table:
    """Returns the rows of a ledger by which documents left or were made; files that nobody could read are none.

    >>> table = pa.table({"action": ["drop", "quarantine", "also"], "note": [None, "a.gz, bytes 1-2: cut", None]})
    >>> of_documents(table).column("action").to_pylist()
    ['drop']
    """
    action = ledger.column("action")
    rows = ledger.filter(pc.is_in(action, pa.array([*LEAVING, SPLIT])))
    aside = np.flatnonzero(pc.equal(rows.column("action"), "quarantine").fill_null(False).to_numpy())
    notes = rows.column("note").take(pa.array(aside)).to_pylist()
    lost = [row for row, note in zip(aside.tolist(), notes, strict=True) if note and not _RECORD.search(note)]
    if not lost:
        return rows
    stays = np.ones(len(rows), bool)
    stays[lost] = False
    return rows.filter(pa.array(stays))


def left_frame(ledger: pa.Table) -> pa.Table:
    """Returns the rows of FRAME of the documents that left, and of parts that were made, by rows of the ledger."""
    rows = of_documents(ledger)
    columns = [
        rows.column(field.name).cast(field.type) if field.name in rows.column_names else pa.nulls(len(rows), field.type)
        for field in FRAME
    ]
    return pa.Table.from_arrays(columns, schema=FRAME)
