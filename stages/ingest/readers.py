"""Readers: the files of a shard to rows of RAW. One for WARC, one for HTML files; JSONL is in `jsonl.py`.

All have one shape, `reader(files, work) -> Iterator[RecordBatch]`. Each document that a file holds is a row, with the
rule that refuses it where one does; what could not be read at all is a quarantine row of the ledger.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
from resiliparse.parse.encoding import detect_mime

from datapipe import InputFile, Work
from datapipe.storage import open_input
from stages.ingest import response
from stages.ingest.address import epoch_seconds
from stages.ingest.charset import read
from stages.ingest.compression import Unsupported
from stages.ingest.members import Loss, pieces
from stages.ingest.parts import ends_of, is_first, within
from stages.ingest.rows import Lost, Row, batches, document_id, set_aside
from stages.ingest.warc import Record, is_record, records

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml"})
RECORD_TYPES = frozenset(
    {"warcinfo", "request", "response", "resource", "metadata", "revisit", "conversion", "continuation"}
)
TRUNCATED = frozenset({"length", "time", "disconnect"})  # as WARC names the reasons; others are unspecified
LANGUAGE = "WARC-Identified-Content-Language"
SNIFF_BYTES = 2048
ARC_START = b"filedesc:"


@dataclass(frozen=True)
class ReadWarc:
    """Reads WARC files, plain or compressed: responses, resources, and conversions (WET).

    Records of WAT files and revisits hold no page: each is refused by a rule that says so.
    """

    source: str
    licence: str | None
    max_document_bytes: int

    def __call__(self, files: Sequence[InputFile], work: Work) -> Iterator[pa.RecordBatch]:
        for file in files:
            yield from batches(self._rows(file, work))

    def _rows(self, file: InputFile, work: Work) -> Iterator[Row]:
        losses: list[Loss] = []  # before the first record: without one, the file as a whole is set aside
        lost = Lost(self.source, file, work)
        seen = 0
        with open_input(file.url) as opened:
            try:
                start, end = ends_of(opened, file, is_record)
                if start == end > 0:
                    return
                whole = (start, end) == (0, file.size_bytes)
                stream = pieces(opened, file.name, start)
                for found in records(
                    stream if end == file.size_bytes else within(stream, end),
                    self.max_document_bytes + response.HEADER_BYTES,
                ):
                    if isinstance(found, Loss):
                        losses.append(found)
                    else:
                        seen += 1
                        if row := self._row(file, found, work):
                            yield row
                    while losses and (seen or not whole):  # where another task begins, there is a record
                        lost.quarantine(losses.pop(0))
            except Unsupported as error:
                if is_first(file):
                    set_aside(work, self.source, file, "unsupported", str(error))
                return
            if whole and not seen:
                opened.seek(0)
                self._set_aside(file, work, losses, opened.read(len(ARC_START)))

    def _set_aside(self, file: InputFile, work: Work, losses: list[Loss], head: bytes) -> None:
        """Says why a file without any record can not be used."""
        if head == ARC_START:
            set_aside(work, self.source, file, "unsupported", "the ARC format is not read here; WARC is")
        elif losses:
            set_aside(work, self.source, file, losses[0].rule, f"no record is whole: {losses[0].why}")
        else:
            set_aside(work, self.source, file, "empty_file", "the file holds nothing; a WARC file was expected")

    def _row(self, file: InputFile, record: Record, work: Work) -> Row | None:
        """Returns the row of a record, None where records of its type are no documents."""
        headers = record.headers
        kind = headers.get(b"warc-type", b"").decode("latin-1").lower()
        work.count(f"records.{kind if kind in RECORD_TYPES else 'other'}")
        wat = kind == "metadata" and b"json" in headers.get(b"content-type", b"")
        if kind not in ("response", "resource", "conversion", "revisit") and not wat:
            return None
        url = headers.get(b"warc-target-uri", b"").decode("utf-8", "replace").strip("<> ") or None
        row = Row(
            document_id(self.source, file.name, f"{record.offset}:{record.within}"),
            self.source,
            url,
            self.licence,
            epoch_seconds(headers.get(b"warc-date", b"").decode("latin-1")),
            file.name,
            record.offset,
            extra=_language(headers),
            truncated=_truncated(headers),
        )
        if wat:
            return row._replace(rule="wat", note="metadata of a page as JSON (WAT), and no page")
        if row.crawl_time is None:
            work.count("dates_unreadable")
        if kind == "revisit":
            return row._replace(rule="revisit", note=_revisited(headers))
        if row.truncated:
            work.count("payloads_cut_by_the_crawler")
        if record.block is None:
            return self._too_large(row, record.length)
        if b"warc-segment-number" in headers:
            return row._replace(rule="segmented", note="a record in several segments is not put together here")
        if kind == "response":
            return self._response(row, record.block, headers)
        return self._resource(row, record.block, headers)

    def _response(self, row: Row, block: bytes, headers: dict[bytes, bytes]) -> Row:
        """Returns the row of an HTTP response, its body decoded if it is HTML."""
        message = response.parse(block)
        if message.status is None:
            return self._resource(row, block, headers)
        if message.status // 100 == 3:
            return row._replace(rule="redirect", value=float(message.status))
        if message.status // 100 != 2:
            return row._replace(rule="http_error", value=float(message.status))
        if _ROBOTS_TXT.fullmatch(row.url or ""):
            return row._replace(rule="robots_txt")
        identified = headers.get(b"warc-identified-payload-type", b"").decode("latin-1").lower()
        mime = message.mime or identified
        if mime and mime not in HTML_TYPES:
            return row._replace(rule="not_html", note=mime)
        body, rule, coding = response.decoded(message, self.max_document_bytes)
        if rule:
            return row._replace(rule=rule, note=coding)
        if not mime and (mime := _sniffed(body)) not in HTML_TYPES:
            return row._replace(rule="not_html", note=mime)
        return self._page(row._replace(asks=message.asks), body, message.charset)

    def _resource(self, row: Row, block: bytes, headers: dict[bytes, bytes]) -> Row:
        """Returns the row of a block that is the content itself: a page, or the text that another tool made of one."""
        stated = headers.get(b"content-type", b"").decode("latin-1")
        mime, charset = response.content_type(stated)
        if not mime or mime == "application/http":
            mime = _sniffed(block)
        if mime in HTML_TYPES:
            return self._page(row, block, charset)
        if mime == "text/plain" and headers.get(b"warc-type", b"").lower() == b"conversion":
            text = block.decode("utf-8", "replace")
            return row._replace(text=text, replaced=text.count("\ufffd"))
        return row._replace(rule="not_html", note=mime)

    def _page(self, row: Row, page: bytes, charset: str | None) -> Row:
        if len(page) > self.max_document_bytes:
            return self._too_large(row, len(page))
        return row._replace(page=page, http_charset=charset)

    def _too_large(self, row: Row, length: int) -> Row:
        return row._replace(rule="too_large", value=float(length), limit=float(self.max_document_bytes))


@dataclass(frozen=True)
class ReadHtml:
    """Reads files of HTML, or of plain `text`, plain or compressed: a document a file."""

    source: str
    licence: str | None
    max_document_bytes: int
    text: bool = False

    def __call__(self, files: Sequence[InputFile], work: Work) -> Iterator[pa.RecordBatch]:
        return batches(row for file in files for row in self._rows(file, work))

    def _rows(self, file: InputFile, work: Work) -> Iterator[Row]:
        row = Row(document_id(self.source, file.name, 0), self.source, licence=self.licence, file=file.name, offset=0)
        parts: list[bytes] = []
        size = 0
        with open_input(file.url) as opened:
            try:
                for piece in pieces(opened, file.name):
                    if isinstance(piece, Loss):
                        set_aside(work, self.source, file, piece.rule, piece.why)
                        return
                    size += len(piece.data)
                    if size <= self.max_document_bytes:
                        parts.append(piece.data)
            except Unsupported as error:
                set_aside(work, self.source, file, "unsupported", str(error))
                return
        if size > self.max_document_bytes:
            yield row._replace(rule="too_large", value=float(size), limit=float(self.max_document_bytes))
        elif self.text:
            text, charset, charset_by, replaced = read(b"".join(parts), None)[:4]
            yield row._replace(text=text, charset=charset, charset_by=charset_by, replaced=replaced)
        else:
            yield row._replace(page=b"".join(parts))


_ROBOTS_TXT = re.compile(r"https?://[^/?#]+/robots\.txt(?:[?#].*)?", re.IGNORECASE)


def _truncated(headers: dict[bytes, bytes]) -> str | None:
    stated = headers.get(b"warc-truncated")
    if stated is None:
        return None
    reason = stated.decode("latin-1").lower()
    return reason if reason in TRUNCATED else "unspecified"


def _language(headers: dict[bytes, bytes]) -> str | None:
    """Returns the languages that Common Crawl found in a page, as the source's own field."""
    stated = headers.get(LANGUAGE.lower().encode())
    return json.dumps({LANGUAGE: stated.decode("utf-8", "replace")}, separators=(",", ":")) if stated else None


def _revisited(headers: dict[bytes, bytes]) -> str:
    """Returns what a revisit record refers to: profile, address and date of the record that holds the page."""
    profile = headers.get(b"warc-profile", b"").rstrip(b"/").rpartition(b"/")[2]
    named = (profile, headers.get(b"warc-refers-to-target-uri", b""), headers.get(b"warc-refers-to-date", b""))
    return " ".join(part.decode("utf-8", "replace").strip("<> ") for part in named if part)


def _sniffed(content: bytes) -> str:
    """Returns the media type that content without a stated one looks like."""
    head = content[:SNIFF_BYTES]
    return str(detect_mime(head)) if head.strip() else "text/html"
