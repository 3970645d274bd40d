"""The reader of plain text that is a document a line; text that is a document a file is read as HTML files are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from datapipe import InputFile, Work
from datapipe.storage import open_input
from stages.ingest.charset import Reading, read
from stages.ingest.compression import Unsupported
from stages.ingest.jsonl import Line, lines
from stages.ingest.members import Loss, pieces
from stages.ingest.parts import ends_of, is_first
from stages.ingest.rows import Lost, Row, batches, document_id, set_aside

SAMPLE_BYTES = 1 << 18  # of a file, by which its charset is told


@dataclass(frozen=True)
class ReadLines:
    """Reads files of plain text, plain or compressed: a document a line, none of a blank one."""

    source: str
    licence: str | None
    max_document_bytes: int

    def __call__(self, files: Sequence[InputFile], work: Work) -> Iterator[pa.RecordBatch]:
        return batches(row for file in files for row in self._rows(file, work))

    def _rows(self, file: InputFile, work: Work) -> Iterator[Row]:
        lost = Lost(self.source, file, work)
        with open_input(file.url) as opened:
            try:
                charset = _charset(opened, file)
                start, end = ends_of(opened, file, None)
                if start == end > 0:
                    return
                last = None if end == file.size_bytes else end
                stream = pieces(opened, file.name, start)
                for found in lines(stream, self.max_document_bytes, skip=not is_first(file), end=last):
                    if isinstance(found, Loss):
                        lost.quarantine(found)
                    elif row := self._row(file, found, charset):
                        yield row
            except Unsupported as error:
                if is_first(file):
                    set_aside(work, self.source, file, "unsupported", str(error))

    def _row(self, file: InputFile, line: Line, charset: Reading) -> Row | None:
        """Returns the row of a line, None where it is blank."""
        row = Row(
            document_id(self.source, file.name, f"{line.offset}:{line.within}"),
            self.source,
            licence=self.licence,
            file=file.name,
            offset=line.offset,
        )
        if line.data is None:
            return row._replace(rule="too_large", value=float(line.length), limit=float(self.max_document_bytes))
        if line.data.isspace() or not line.data:
            return None
        reading = _read(line.data, charset)
        return row._replace(
            text=reading.text, charset=reading.charset, charset_by=reading.decided_by, replaced=reading.replaced
        )


def _read(line: bytes, charset: Reading) -> Reading:
    """Returns a line as UTF-8 if it is that, else in the charset of its file, else as it looks alone."""
    try:
        return Reading(line.decode("utf-8-sig"), "utf-8", "utf-8", 0)
    except UnicodeDecodeError:
        if charset.charset == "utf-8":
            return read(line, None)
    text = line.decode(charset.charset, "replace")
    return charset._replace(text=text, replaced=text.count("\ufffd"))


def _charset(opened: BinaryIO, file: InputFile) -> Reading:
    """Returns the charset that a file begins in, its text left out.

    Raises:
        Unsupported: a line feed is not one byte there.
    """
    sample = b""
    for piece in pieces(opened, file.name, 0):
        if isinstance(piece, Loss):
            break
        sample += piece.data
        if len(sample) >= SAMPLE_BYTES:
            break
    sample = sample[:SAMPLE_BYTES]
    reading = read(sample[: sample.rfind(b"\n") + 1] or sample, None)
    if reading.charset.startswith(("utf-16", "utf-32")):
        raise Unsupported(f"lines of {reading.charset} are not told apart here; convert the file to UTF-8")
    return reading._replace(text="", replaced=0)
