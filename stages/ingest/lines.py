"""Lines of a file of any size, streamed, their memory bounded by the longest that is taken; what reads such files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from datapipe import InputFile, Work
from datapipe.storage import open_input
from stages.ingest.compression import Unsupported
from stages.ingest.members import Loss, Piece, pieces
from stages.ingest.parts import ends_of, is_first, place_of
from stages.ingest.rows import Lost, Row, batches, document_id, set_aside


class Line(NamedTuple):
    """A line without its end. `data` is None where it is longer than the limit; `length` is its length all the same."""

    offset: int  # of the line in a plain file, of the member that it begins in in a compressed one (bytes)
    within: int  # what of its member's output precedes it (bytes), 0 in a plain file
    data: bytes | None
    length: int

    @property
    def place(self) -> str:
        """Where it begins, for people."""
        return f"byte {self.offset}" + (f", {self.within} of that member" if self.within else "")


def lines(
    stream: Iterator[Piece | Loss], limit: int, *, skip: bool = False, end: int | None = None
) -> Iterator[Line | Loss]:
    """Yields the lines of a stream of pieces, holding none longer than `limit` bytes.

    What is begun when bytes are lost is a part of the loss; the number of lines lost is not known and not counted.
    Of a stream that begins in the middle of a file, `skip` passes over what belongs to a line begun before, and with it
    a line that begins with the first byte. With `end` the last line is the one that begins with the byte there.
    """
    parts: list[bytes] = []
    size = 0
    begin: tuple[int, int] | None = None
    for piece in stream:
        if end is not None and place_of(piece) >= end and (skip or isinstance(piece, Loss)):
            return
        if isinstance(piece, Loss):
            parts, size, begin, skip = [], 0, None, False
            yield piece
            continue
        data, at, length = piece.data, 0, len(piece.data)
        if skip:
            at = data.find(b"\n") + 1
            skip = at == 0
        while at < length and not skip:
            if begin is None:
                begin = (piece.offset + at, 0) if piece.linear else (piece.offset, piece.within + at)
                if end is not None and begin > (end, 0):
                    return
            stop = data.find(b"\n", at)
            size += (length if stop < 0 else stop) - at
            if size <= limit:
                parts.append(data[at:] if stop < 0 else data[at:stop])
            else:
                parts = []
            if stop < 0:
                break
            yield Line(*begin, b"".join(parts) if size <= limit else None, size)
            parts, size, begin, at = [], 0, None, stop + 1
    if begin is not None:
        yield Line(*begin, b"".join(parts) if size <= limit else None, size)


@dataclass(frozen=True)
class LineReader(ABC):
    """Reads files, plain or compressed, in which a document is a line."""

    source: str
    licence: str | None
    max_document_bytes: int

    def __call__(self, files: Sequence[InputFile], work: Work) -> Iterator[pa.RecordBatch]:
        return batches(row for file in files for row in self._rows(file, work))

    @abstractmethod
    def _documents(self, opened: BinaryIO, file: InputFile, ends: tuple[int, int], lost: Lost) -> Iterator[Row]:
        """Yields the rows of the lines between the true `ends` of the file's part, and says what is lost.

        Raises:
            Unsupported: the file is of a kind that cannot be read.
        """

    def _rows(self, file: InputFile, work: Work) -> Iterator[Row]:
        with open_input(file.url) as opened:
            try:
                start, end = ends_of(opened, file, None)
                if not start == end > 0:
                    yield from self._documents(opened, file, (start, end), Lost(self.source, file, work))
            except Unsupported as error:
                if is_first(file):
                    set_aside(work, self.source, file, "unsupported", str(error))

    def _lines(self, opened: BinaryIO, file: InputFile, ends: tuple[int, int]) -> Iterator[Line | Loss]:
        """Yields the lines that begin behind the first of `ends` and up to the last; at the ends of the file all."""
        last = None if ends[1] == file.size_bytes else ends[1]
        return lines(pieces(opened, file.name, ends[0]), self.max_document_bytes, skip=not is_first(file), end=last)

    def _begun(self, file: InputFile, line: Line) -> Row | None:
        """Returns the row of a line as far as that follows from its place and length; None where it is blank."""
        row = Row(
            document_id(self.source, file.name, f"{line.offset}:{line.within}"),
            self.source,
            licence=self.licence,
            file=file.name,
            offset=line.offset,
        )
        if line.data is None:
            return row._replace(rule="too_large", value=float(line.length), limit=float(self.max_document_bytes))
        return None if line.data.isspace() or not line.data else row
