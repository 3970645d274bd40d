"""The reader of JSON lines: a document a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from datapipe import InputFile, Work
from stages.ingest.address import epoch_seconds
from stages.ingest.clean import sound
from stages.ingest.fields import FieldNames
from stages.ingest.lines import Line, LineReader, lines
from stages.ingest.members import Loss, pieces
from stages.ingest.parts import is_first
from stages.ingest.rows import Lost, Row, set_aside

NOTE_CHARACTERS = 120


@dataclass(frozen=True)
class ReadJsonl(LineReader):
    """Reads files of JSON lines, plain or compressed."""

    fields: FieldNames

    def _documents(self, opened: BinaryIO, file: InputFile, ends: tuple[int, int], lost: Lost) -> Iterator[Row]:
        readable = refused = 0
        for found in self._lines(opened, file, ends):
            if isinstance(found, Loss):
                lost.quarantine(found)
            elif row := self._row(file, found):
                refused += row.rule == "unreadable_json"
                readable += row.rule != "unreadable_json"
                yield row
        if is_first(file) and not readable:
            self._judge(file, lost.work, lost.ranges, refused, self._rest(opened, file, ends[1]))

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
        row = self._begun(file, line)
        if row is None or line.data is None:
            return row
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
