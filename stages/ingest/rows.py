"""Rows on their way from a reader to extraction: what was found in the files, one row a document, kept or refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from datapipe import ID, InputFile, Work
from stages.ingest.members import Loss

BATCH_BYTES = 2 << 20
BATCH_ROWS = 1024

RAW = pa.schema(
    [
        pa.field("id", ID, nullable=False),
        pa.field("source", pa.string()),
        pa.field("url", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("crawl_time", pa.int64()),
        pa.field("file", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("title", pa.string()),
        pa.field("extra", pa.string()),
        pa.field("truncated", pa.string()),  # why the crawler did not store all of it
        pa.field("asks", pa.string()),  # HTTP fields that ask something of programs, lines "name: value"
        pa.field("http_charset", pa.string()),  # as the HTTP header names it
        pa.field("page", pa.large_binary()),  # HTML as it was sent, null where `text` is given or the row is refused
        pa.field("text", pa.large_string()),  # text that the source gives
        pa.field("charset", pa.string()),  # what a reader decoded `text` with, null where the source gives UTF-8
        pa.field("charset_by", pa.string()),
        pa.field("replaced", pa.int32()),  # U+FFFD that the reader put in for what was no Unicode
        pa.field("rule", pa.string()),  # why the reader refuses the row, null where it does not
        pa.field("value", pa.float64()),
        pa.field("limit", pa.float64()),
        pa.field("note", pa.string()),
    ]
)


class Row(NamedTuple):
    """One row of RAW, its fields in the schema's order."""

    id: bytes
    source: str
    url: str | None = None
    licence: str | None = None
    crawl_time: int | None = None
    file: str | None = None
    offset: int | None = None
    title: str | None = None
    extra: str | None = None
    truncated: str | None = None
    asks: str | None = None
    http_charset: str | None = None
    page: bytes | None = None
    text: str | None = None
    charset: str | None = None
    charset_by: str | None = None
    replaced: int = 0
    rule: str | None = None
    value: float | None = None
    limit: float | None = None
    note: str | None = None


def document_id(source: str, file: str, position: int | str) -> bytes:
    """Returns the 128-bit id of the record at `position` of a file, which a task knows that reads a part of it.

    It is "byte:0" in plain WARC and JSON lines files, "start of the member:byte of its output" in compressed ones.

    >>> document_id("web", "a.warc.gz", 0).hex()
    '32d964edc2e6cc779af21f01da2ddba7'
    """
    key = "\0".join((source, file, str(position)))
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def ids(source: str, file: str, first: int, rows: int) -> pa.FixedSizeBinaryArray:
    """Returns `document_id` of so many positions of a file, from `first` on."""
    begun = f"{source}\0{file}\0".encode("utf-8", "surrogatepass")
    digests = [
        hashlib.blake2b(b"%b%d" % (begun, position), digest_size=16).digest() for position in range(first, first + rows)
    ]
    return pa.FixedSizeBinaryArray.from_buffers(ID, rows, [None, pa.py_buffer(b"".join(digests))])


def batches(rows: Iterable[Row]) -> Iterator[pa.RecordBatch]:
    """Yields the rows as batches of at most BATCH_ROWS rows and about BATCH_BYTES, or one row."""
    held: list[Row] = []
    size = 0
    for row in rows:
        row_bytes = len(row.page or b"") + 4 * (len(row.text or "") + len(row.extra or ""))
        if held and (size + row_bytes > BATCH_BYTES or len(held) == BATCH_ROWS):
            yield _batch(held)
            held, size = [], 0
        held.append(row)
        size += row_bytes
    if held:
        yield _batch(held)


def _batch(rows: list[Row]) -> pa.RecordBatch:
    columns = dict(zip(RAW.names, zip(*rows, strict=True), strict=True))
    arrays = [
        _joined(columns["page"]) if field.name == "page" else pa.array(columns[field.name], field.type) for field in RAW
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=RAW)


def _joined(pages: Sequence[bytes | None]) -> pa.LargeBinaryArray:
    """Returns pages as an Arrow array in one copy; `pa.array` grows its buffer and copies several times."""
    lengths = np.array([len(page or b"") for page in pages], np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    valid = np.packbits([page is not None for page in pages], bitorder="little")
    data = b"".join(page for page in pages if page)
    buffers = [pa.py_buffer(valid.tobytes()), pa.py_buffer(offsets.tobytes()), pa.py_buffer(data)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(pages), buffers)


class Lost:
    """The losses of a file, said in the ledger one after another; their ids follow from their places alone."""

    def __init__(self, source: str, file: InputFile, work: Work) -> None:
        self.source, self.file, self.work = source, file, work
        self.ranges = 0
        self.place = (-1, 0)  # start of the last, and how many before it have the same

    def quarantine(self, loss: Loss) -> None:
        """Says in the ledger and the counters what could not be used."""
        start, number = self.place
        self.place = (loss.start, number + 1 if loss.start == start else 0)
        self.ranges += 1
        quarantine(self.work, self.source, self.file, loss, self.place[1])


def quarantine(work: Work, source: str, file: InputFile, loss: Loss, number: int = 0) -> None:
    """Says in the ledger and the counters what of `file` could not be used; `number` counts losses of one start."""
    _say(work, source, file, loss, f"range {loss.start} {number}")
    work.count("bytes_lost", loss.amount)


def set_aside(work: Work, source: str, file: InputFile, rule: str, why: str, *, counted: bool = False) -> None:
    """Says that nothing in `file` can be used; a run that counts such files ends with the status for that.

    `counted`: its losses were said one by one, and their bytes are not counted again.
    """
    _say(work, source, file, Loss(0, file.size_bytes, rule, why), "file")
    work.count("set_aside")
    if not counted:
        work.count("bytes_lost", file.size_bytes)


def _say(work: Work, source: str, file: InputFile, loss: Loss, position: str) -> None:
    batch = pa.RecordBatch.from_arrays(
        [pa.array([document_id(source, file.name, position)], ID), pa.array([source])], ["id", "source"]
    )
    place = f"bytes {loss.start}-{loss.end}"
    if loss.unpacked is not None:
        place = f"{loss.unpacked} decompressed bytes of the member at {loss.start}"
    note = f"{file.name}, {place}: {loss.why}"
    work.note(batch, [0], action="quarantine", rule=loss.rule, value=float(loss.amount), note=note)
