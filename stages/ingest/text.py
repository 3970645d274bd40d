"""The reader of plain text that is a document a line; text that is a document a file is read as HTML files are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from datapipe import InputFile
from stages.ingest.charset import Reading, read
from stages.ingest.compression import Unsupported
from stages.ingest.lines import Line, LineReader
from stages.ingest.members import Loss, pieces
from stages.ingest.rows import Lost, Row

SAMPLE_BYTES = 1 << 18  # of a file, by which its charset is told


@dataclass(frozen=True)
class ReadLines(LineReader):
    """Reads files of plain text, plain or compressed: a document a line, none of a blank one."""

    def _documents(self, opened: BinaryIO, file: InputFile, ends: tuple[int, int], lost: Lost) -> Iterator[Row]:
        charset = _charset(opened, file)
        for found in self._lines(opened, file, ends):
            if isinstance(found, Loss):
                lost.quarantine(found)
            elif row := self._row(file, found, charset):
                yield row

    def _row(self, file: InputFile, line: Line, charset: Reading) -> Row | None:
        """Returns the row of a line, None where it is blank."""
        row = self._begun(file, line)
        if row is None or line.data is None:
            return row
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
