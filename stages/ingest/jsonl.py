"""The reader of JSON lines: a document a line, streamed, its memory bounded by the longest line that is taken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from datapipe import InputFile, Work
from datapipe.storage import open_input
from stages.ingest.address import epoch_seconds
from stages.ingest.members import Loss, Piece, Unsupported, pieces
from stages.ingest.rows import Row, batches, document_id, quarantine, set_aside

NOTE_CHARACTERS = 120
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class FieldNames:
    """Which keys of a line hold what. Those of `carry` go into the column `extra`."""

    text: str = "text"
    url: str = "url"
    date: str = "date"
    title: str = "title"
    licence: str = "licence"
    carry: Literal["all"] | tuple[str, ...] = "all"


class Line(NamedTuple):
    """A line without its end. `data` is None where it is longer than the limit; `length` is its length all the same."""

    number: int
    offset: int  # of the decompressed file (bytes)
    data: bytes | None
    length: int


def lines(stream: Iterator[Piece | Loss], limit: int) -> Iterator[Line | Loss]:
    """Yields the lines of a stream of pieces, holding none longer than `limit` bytes.

    What is begun when bytes are lost is a part of the loss; the number of lines lost is not known and not counted.
    """
    parts: list[bytes] = []
    size = number = offset = 0
    for piece in stream:
        if isinstance(piece, Loss):
            parts, offset, size = [], offset + size, 0
            yield piece
            continue
        at = 0
        while True:
            end = piece.data.find(b"\n", at)
            size += (len(piece.data) if end < 0 else end) - at
            if size <= limit:
                parts.append(piece.data[at:] if end < 0 else piece.data[at:end])
            else:
                parts = []
            if end < 0:
                break
            yield Line(number, offset, b"".join(parts) if size <= limit else None, size)
            number, offset = number + 1, offset + size + 1
            parts, size, at = [], 0, end + 1
    if size:
        yield Line(number, offset, b"".join(parts) if size <= limit else None, size)


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
        losses: list[Loss] = []
        readable = refused = 0
        with open_input(file.url) as opened:
            try:
                for found in lines(pieces(opened, file.name), self.max_document_bytes):
                    if isinstance(found, Loss):
                        quarantine(work, self.source, file, found, len(losses))
                        losses.append(found)
                    elif row := self._row(file, found):
                        refused += row.rule == "unreadable_json"
                        readable += row.rule != "unreadable_json"
                        yield row
            except Unsupported as error:
                set_aside(work, self.source, file, "unsupported", str(error))
                return
        if not readable and (refused or losses):
            set_aside(work, self.source, file, "not_jsonl", f"none of its lines ({refused}) can be read as JSON")

    def _row(self, file: InputFile, line: Line) -> Row | None:
        """Returns the row of a line, None where it is blank."""
        row = Row(
            document_id(self.source, file.name, line.number),
            self.source,
            licence=self.licence,
            file=file.name,
            offset=line.offset,
        )
        if line.data is None:
            return row._replace(rule="too_large", value=float(line.length), limit=float(self.max_document_bytes))
        if line.data.isspace() or not line.data:
            return None
        data = line.data.removeprefix(b"\xef\xbb\xbf") if line.number == 0 else line.data
        text = data.decode("utf-8", "replace")
        replaced = text.count("\ufffd") if "\ufffd" in text and not _is_utf8(data) else 0
        try:
            held = json.loads(text, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            return row._replace(rule="unreadable_json", note=f"line {line.number + 1}: {error}"[:NOTE_CHARACTERS])
        if not isinstance(held, dict):
            return row._replace(
                rule="unreadable_json", note=f"line {line.number + 1}: {type(held).__name__}, no object"
            )
        return self._filled(row, held, replaced)

    def _filled(self, row: Row, held: dict[str, Any], replaced: int) -> Row:  # Any: what JSON can hold
        """Returns the row with the fields of a line's object."""
        names = self.fields
        text = held.pop(names.text, None)
        if not isinstance(text, str):
            note = f"field '{names.text}' is {'missing' if text is None else type(text).__name__}, expected text"
            return row._replace(rule="missing_text", note=note)
        text, surrogates = sound(text)
        url, date, title, licence = (
            held.pop(name, None) for name in (names.url, names.date, names.title, names.licence)
        )
        return row._replace(
            text=text,
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
