"""The reader of JSON lines: a document a line, streamed, its memory bounded by the longest line that is taken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from datapipe import InputFile, Work
from datapipe.storage import open_input
from stages.ingest.address import epoch_seconds
from stages.ingest.compression import Unsupported
from stages.ingest.fields import FieldNames
from stages.ingest.members import Loss, Piece, pieces
from stages.ingest.parts import ends_of, is_first, place_of
from stages.ingest.rows import Lost, Row, batches, document_id, set_aside

NOTE_CHARACTERS = 120
_SURROGATE = re.compile("[\ud800-\udfff]")


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
class ReadJsonl:
    """Reads files of JSON lines, plain or compressed."""

    source: str
    licence: str | None
    max_document_bytes: int
    fields: FieldNames

    def __call__(self, files: Sequence[InputFile], work: Work) -> Iterator[pa.RecordBatch]:
        return batches(row for file in files for row in self._rows(file, work))

    def _rows(self, file: InputFile, work: Work) -> Iterator[Row]:
        lost = Lost(self.source, file, work)
        readable = refused = 0
        with open_input(file.url) as opened:
            try:
                start, end = ends_of(opened, file, None)
                if start == end > 0:
                    return
                for found in self._lines(opened, file, start, end):
                    if isinstance(found, Loss):
                        lost.quarantine(found)
                    elif row := self._row(file, found):
                        refused += row.rule == "unreadable_json"
                        readable += row.rule != "unreadable_json"
                        yield row
                if is_first(file) and not readable:
                    self._judge(file, work, lost.ranges, refused, self._rest(opened, file, end))
            except Unsupported as error:
                if is_first(file):
                    set_aside(work, self.source, file, "unsupported", str(error))

    def _lines(self, opened: BinaryIO, file: InputFile, start: int, end: int) -> Iterator[Line | Loss]:
        """Yields the lines that begin behind `start` and up to `end`; at the ends of the file all."""
        last = None if end == file.size_bytes else end
        return lines(pieces(opened, file.name, start), self.max_document_bytes, skip=not is_first(file), end=last)

    def _judge(self, file: InputFile, work: Work, lost: int, refused: int, rest: Iterator[Line | Loss]) -> None:
        """Sets the file aside if none of its lines can be read; `rest` are those that other tasks take."""
        for found in rest:
            if isinstance(found, Loss):
                lost += 1
            elif row := self._row(file, found):
                if row.rule != "unreadable_json":
                    return
                refused += 1
        if refused or lost:
            why = f"none of its lines ({refused}) can be read as JSON"
            set_aside(work, self.source, file, "not_jsonl", why, counted=lost > 0)

    def _rest(self, opened: BinaryIO, file: InputFile, end: int) -> Iterator[Line | Loss]:
        """Yields the lines behind `end`, none where that is the end of the file."""
        if end == file.size_bytes:
            return iter(())
        return lines(pieces(opened, file.name, end), self.max_document_bytes, skip=True)

    def _row(self, file: InputFile, line: Line) -> Row | None:
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
        data = line.data.removeprefix(b"\xef\xbb\xbf")  # at a line's start, as files put together have it
        text = data.decode("utf-8", "replace")
        replaced = text.count("\ufffd") if "\ufffd" in text and not _is_utf8(data) else 0
        try:
            held = json.loads(text, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            return row._replace(rule="unreadable_json", note=f"{line.place}: {error}"[:NOTE_CHARACTERS])
        if not isinstance(held, dict):
            return row._replace(rule="unreadable_json", note=f"{line.place}: {type(held).__name__}, no object")
        return self._filled(row, held, replaced)

    def _filled(self, row: Row, held: dict[str, Any], replaced: int) -> Row:  # Any: what JSON can hold
        """Returns the row with the fields of a line's object."""
        names = self.fields
        text = held.pop(names.html or names.text, None)
        if not isinstance(text, str):
            met = "missing" if text is None else type(text).__name__
            note = f"field '{names.html or names.text}' is {met}, expected text"
            return row._replace(rule="missing_text", note=note)
        held.pop(names.text, None)
        text, surrogates = sound(text)
        url, date, title, licence = (
            held.pop(name, None) for name in (names.url, names.date, names.title, names.licence)
        )
        return row._replace(
            text=None if names.html else text,
            page=text.encode() if names.html else None,
            replaced=replaced + surrogates,
            url=_plain(url),
            crawl_time=epoch_seconds(date),
            title=_plain(title),
            licence=_plain(licence) or self.licence,
            extra=self._extra(held),
        )

    def _extra(self, held: dict[str, Any]) -> str | None:  # Any: what JSON can hold
        """Returns the carried fields as a JSON object with sorted keys, None where there is none."""
        carried = held if self.fields.carry == "all" else {key: held[key] for key in self.fields.carry if key in held}
        if not carried:
            return None
        return sound(json.dumps(carried, ensure_ascii=False, sort_keys=True, separators=(",", ":")))[0]


def sound(text: str) -> tuple[str, int]:
    r"""Returns `text` with U+FFFD for each lone surrogate, and their number.

    >>> sound("a\ud800b")
    ('a�b', 1)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.subn("\ufffd", text)
    return text, 0


def _plain(value: object) -> str | None:
    """Returns a field that should be text as text."""
    if value is None or value == "":
        return None
    return sound(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True))[0]


def _no_number(name: str) -> None:
    """Reads NaN and Infinity, which are no JSON, as null."""


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
