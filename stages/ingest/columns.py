"""Readers of Parquet and Arrow files: a document a row, streamed by row group or batch, only the columns in use.

A damaged row group or batch is lost alone; an Arrow file without its footer is read as the stream that it holds.
Memory is that of some thousand rows for Parquet, of one record batch as the writer made them for Arrow. Rows that refer
to long texts, which a Parquet file holds once, in a dictionary, are fewer: few bytes may stand for any number.

Source: Apache Parquet format 2.11 (row groups, encryption); Apache Arrow columnar format 1.5, section IPC (a stream
begins with a schema message, a file with ARROW1, and holds a stream from byte 8 on).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from datapipe import ConfigError, InputFile, Work
from datapipe.storage import open_input
from stages.ingest.fields import FieldNames, content_of, range_of_rows, raw_of
from stages.ingest.members import Loss
from stages.ingest.parts import is_first
from stages.ingest.rows import Lost, Row, set_aside
from stages.ingest.shared import Shared

BATCH_BYTES = 4 << 20  # of a row group, decoded at once
BATCH_ROWS = 1024
BUFFER_BYTES = 1 << 20
NO_COLUMN = "no_text_column"
ABSURD_BYTES = 1 << 40  # who asks for so much memory has read a damaged length
_ASKED = re.compile(r"of size (\d+) failed")
ARROW_MAGIC = b"ARROW1"
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


class Part(NamedTuple):
    """Rows of a file, of which the first is row number `first`."""

    first: int
    batch: pa.RecordBatch


class Bounded:
    """A file that is never asked for more than it holds, as a damaged length would have it.

    What its store raises is kept for `check`: Arrow makes of it, in places, what it makes of damaged data.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        self.seek, self.tell = file.seek, file.tell
        self.closed, self.mode = False, "rb"
        self.failed: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        left = max(self.size - self.file.tell(), 0)
        try:
            return self.file.read(left if size < 0 else min(size, left))
        except Exception as error:
            self.failed = error
            raise

    def check(self) -> None:
        """Raises what a read raised, if one did."""
        if self.failed is not None:
            raise self.failed

    def close(self) -> None:
        """Leaves the file open: who opened it closes it."""


class Unusable(Exception):
    """Nothing in the file can be used: by which rule, and why."""

    def __init__(self, rule: str, why: str) -> None:
        super().__init__(why)
        self.rule = rule


@dataclass(frozen=True)
class ReadColumns:
    """Reads Parquet files, or Arrow files and streams."""

    form: Literal["parquet", "arrow"]
    source: str
    licence: str | None
    max_document_bytes: int
    fields: FieldNames

    def __call__(self, files: Sequence[InputFile], work: Work) -> Iterator[pa.RecordBatch]:
        for file in files:
            yield from self._raw(file, work)

    def _raw(self, file: InputFile, work: Work) -> Iterator[pa.RecordBatch]:
        lost = Lost(self.source, file, work)
        with open_input(file.url) as opened:
            bounded = Bounded(opened, file.size_bytes)
            try:
                for found in joined(self._parts(bounded, file)):
                    bounded.check()
                    if isinstance(found, Loss):
                        lost.quarantine(found)
                    else:
                        row = Row(b"", self.source, licence=self.licence, file=file.name)
                        yield from raw_of(found.batch, found.first, row, self.fields, self.max_document_bytes)
            except Unusable as error:
                bounded.check()
                if is_first(file):
                    set_aside(work, self.source, file, error.rule, str(error))

    def _parts(self, opened: Bounded, file: InputFile) -> Iterator[Part | Loss]:
        _check_start(opened, self.form)
        if self.form == "parquet":
            return parquet_parts(opened, file, self.fields)
        return arrow_parts(opened, file, self.fields) if is_first(file) else iter(())


def joined(parts: Iterator[Part | Loss]) -> Iterator[Part | Loss]:
    """Yields the same rows in parts of about `BATCH_ROWS` or `BATCH_BYTES`: what is done to each has its price.

    Where rows may share a long text few of them are decoded at once, and most of them refer to short ones.
    """
    held: list[Part] = []
    rows = size = 0
    for part in parts:
        is_more = (
            isinstance(part, Loss) or rows + part.batch.num_rows > BATCH_ROWS or size + part.batch.nbytes > BATCH_BYTES
        )
        if held and is_more:
            yield _join(held)
            held, rows, size = [], 0, 0
        if isinstance(part, Loss):
            yield part
        else:
            held.append(part)
            rows += part.batch.num_rows
            size += part.batch.nbytes
    if held:
        yield _join(held)


def _join(held: list[Part]) -> Part:
    if len(held) == 1:
        return held[0]
    return Part(held[0].first, pa.concat_batches([part.batch for part in held]))


def check_columns(files: Sequence[InputFile], form: Literal["parquet", "arrow"], names: FieldNames) -> None:
    """Raises ConfigError where the first file has no column for the text. A file that cannot be read says so later."""
    with open_input(files[0].url) as opened:
        bounded = Bounded(opened, files[0].size_bytes)
        try:
            _check_start(bounded, form)
            _columns(_parquet(bounded).schema_arrow if form == "parquet" else _arrow_schema(bounded), names)
        except Unusable as error:
            bounded.check()
            if error.rule == NO_COLUMN:
                raise ConfigError(f"{files[0].url}: {error}") from error


def parquet_parts(opened: Bounded, file: InputFile, names: FieldNames) -> Iterator[Part | Loss]:
    """Yields the rows of a Parquet file; of one in parts, those of the row groups whose first byte lies in the part.

    Raises:
        Unusable: the file has no footer, or no column for the text.
    """
    held = _parquet(opened)
    columns = _columns(held.schema_arrow, names)
    with _damage("its footer cannot be read"):
        shared = Shared(held, columns, partial(_parquet, opened, held.metadata))
    first = 0
    for number in range(held.metadata.num_row_groups):
        group = held.metadata.row_group(number)
        if file.part is None or file.part[0] <= _begin(group, file.size_bytes) < file.part[1]:
            yield from _row_group(held, shared, number, columns, first, file)
        first += group.num_rows


def _parquet(opened: Bounded, metadata: pq.FileMetaData | None = None, shared: Sequence[str] = ()) -> pq.ParquetFile:
    """Opens a Parquet file; `shared` are the leaf columns that are read as dictionaries."""
    with _damage("its footer cannot be read"):
        held = pq.ParquetFile(
            opened,
            metadata=metadata,
            read_dictionary=shared,
            buffer_size=BUFFER_BYTES,
            pre_buffer=False,
            page_checksum_verification=True,
        )
        held.schema_arrow.names  # noqa: B018 - it may be what is damaged
        return held


def _begin(group: pq.RowGroupMetaData, size: int) -> int:
    """Returns the first byte of a row group, within a file of `size` bytes.

    Asked for only where a file is cut: pyarrow 26.0.1 aborts the process where these fields of a footer are damaged.
    """
    chunks = [group.column(number) for number in range(group.num_columns)]
    begins = [min(chunk.dictionary_page_offset or chunk.data_page_offset, chunk.data_page_offset) for chunk in chunks]
    return min(max(min(begins, default=0), 0), max(size - 1, 0))


def _row_group(
    held: pq.ParquetFile, shared: Shared, number: int, columns: list[str], first: int, file: InputFile
) -> Iterator[Part | Loss]:
    """Yields the rows of a row group, and a loss where it cannot be read further: about its share of the file."""
    group = held.metadata.row_group(number)
    rows = max(1, min(BATCH_ROWS, group.num_rows * BATCH_BYTES // max(group.total_byte_size, 1)))
    at = first
    try:
        rows = min(rows, shared.rows(number, BATCH_BYTES))
        for batch in held.iter_batches(rows, row_groups=[number], columns=columns, use_threads=False):
            yield Part(at, batch)
            at += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        why = f"{range_of_rows(at, first + group.num_rows)} of row group {number}, about there: {_reason(error)}"
        yield Loss(*_share(file, number, held.metadata.num_row_groups), "damaged_archive", why)


def arrow_parts(opened: Bounded, file: InputFile, names: FieldNames) -> Iterator[Part | Loss]:
    """Yields the rows of an Arrow file or stream.

    Raises:
        Unusable: it begins with no schema, or has no column for the text.
    """
    schema = _arrow_schema(opened)
    columns = _columns(schema, names)
    options = pa.ipc.IpcReadOptions(
        included_fields=[schema.get_field_index(name) for name in columns], use_threads=False
    )
    reader, footer = _arrow_reader(opened, options)
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        yield from _file_parts(reader, file)
    else:
        yield from _stream_parts(reader, opened, file, footer)


def _arrow_schema(opened: Bounded) -> pa.Schema:
    with _damage("it holds no schema"):
        schema = _arrow_reader(opened, None)[0].schema
        schema.names  # noqa: B018 - they may be what is damaged
        return schema


def _arrow_reader(
    opened: Bounded, options: pa.ipc.IpcReadOptions | None
) -> tuple[pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader, str | None]:
    """Returns a reader for an Arrow file or stream, and what is wrong where it is a file and has to be read as one."""
    opened.seek(0)
    if opened.read(len(ARROW_MAGIC)) != ARROW_MAGIC:
        opened.seek(0)
        return pa.ipc.open_stream(opened, options=options), None
    opened.seek(0)
    try:
        return pa.ipc.open_file(opened, options=options), None
    except (OSError, pa.ArrowException) as error:
        why = _reason(error)
    opened.seek(8)
    return pa.ipc.open_stream(opened, options=options), f"the file has no footer ({why})"


def _file_parts(reader: pa.ipc.RecordBatchFileReader, file: InputFile) -> Iterator[Part | Loss]:
    first = 0
    for number in range(reader.num_record_batches):
        try:
            batch = _sound(reader.get_batch(number))
        except (OSError, pa.ArrowException) as error:
            why = f"batch {number} of {reader.num_record_batches}, about there: {_reason(error)}"
            yield Loss(*_share(file, number, reader.num_record_batches), "damaged_archive", why)
            continue
        yield Part(first, batch)
        first += batch.num_rows


def _stream_parts(
    reader: pa.ipc.RecordBatchStreamReader, opened: Bounded, file: InputFile, footer: str | None
) -> Iterator[Part | Loss]:
    first = 0
    while True:
        at = opened.tell()
        try:
            batch = _sound(reader.read_next_batch())
        except StopIteration:
            break
        except (OSError, pa.ArrowException) as error:
            yield Loss(at, file.size_bytes, "truncated_record", footer or f"after row {first}: {_reason(error)}")
            return
        yield Part(first, batch)
        first += batch.num_rows
    if footer:
        yield Loss(at, file.size_bytes, "truncated_record", footer)


def _share(file: InputFile, number: int, amount: int) -> tuple[int, int]:
    """Returns which bytes are part `number` of so many of about even size."""
    return file.size_bytes * number // amount, file.size_bytes * (number + 1) // amount


def _sound(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Returns a batch whose offsets were checked, which Arrow does not do by itself; text is checked where it is read.

    Raises:
        ArrowInvalid: reading the batch could read beyond its memory.
    """
    for column in batch.columns:
        kind = column.type
        if pa.types.is_string(kind):
            column = column.view(pa.binary())
        elif pa.types.is_large_string(kind):
            column = column.view(pa.large_binary())
        column.validate(full=True)
    return batch


def _columns(schema: pa.Schema, names: FieldNames) -> list[str]:
    """Returns the columns that are read. Raises Unusable where there is none for the text."""
    try:
        content = content_of(schema, names)
    except ValueError as error:
        raise Unusable(NO_COLUMN, str(error)) from error
    carried = names.carry if names.carry != "all" else [column.name for column in schema if not _is_bytes(column.type)]
    wanted = {content, names.url, names.date, names.title, names.licence, *carried}
    unread = {names.text} - {content}
    return [name for name in schema.names if name in wanted - unread and schema.get_field_index(name) >= 0]


def _is_bytes(kind: pa.DataType) -> bool:
    """Says whether a column holds bytes (pictures, as a rule), which are carried only where they are named."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _check_start(opened: Bounded, form: str) -> None:
    """Raises Unusable where the first bytes say that a file is empty or of another kind."""
    head = opened.read(8)
    opened.seek(0)
    if not head:
        raise Unusable("empty_file", f"the file holds nothing; {form} was expected")
    if head.startswith(_COMPRESSED):
        raise Unusable("unsupported", f"a compressed {form} file is not read here; {form} compresses within")
    if head.startswith(b"FEA1"):
        raise Unusable("unsupported", "Feather V1 is not read here; Arrow IPC (Feather V2) is")
    if head.startswith(b"PARE"):
        raise Unusable("unsupported", "the file is encrypted")
    if form == "parquet" and not head.startswith(b"PAR1"):
        raise Unusable("not_parquet", f"no Parquet file begins with {head!r}")


@contextlib.contextmanager
def _damage(what: str) -> Iterator[None]:
    """Turns Arrow's errors into the sentence that the file cannot be used."""
    try:
        yield
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise Unusable("damaged_archive", f"{what}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Returns what Arrow says of damaged data; an error of the disk, or of memory that a machine may have, goes up."""
    asked = _ASKED.search(str(error)) if isinstance(error, MemoryError) else None
    absurd = asked is not None and int(asked[1]) >= ABSURD_BYTES
    if (isinstance(error, MemoryError) and not absurd) or (isinstance(error, OSError) and error.errno is not None):
        raise error
    return str(error).split("\n", 1)[0][:200]
