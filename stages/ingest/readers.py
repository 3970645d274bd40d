"""Readers: the files of a shard to rows of RAW. One for WARC, one for HTML files; JSONL is in `jsonl.py`.

All have one shape, `reader(files, work) -> Iterator[RecordBatch]`. Each document that a file holds is a row, with the
rule that refuses it where one does; what could not be read at all is a quarantine row of the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
from resiliparse.parse.encoding import detect_mime

from datapipe import InputFile, Work
from datapipe.storage import open_input
from stages.ingest import response
from stages.ingest.address import epoch_seconds
from stages.ingest.members import Loss, Unsupported, pieces
from stages.ingest.rows import Row, batches, document_id, quarantine, set_aside
from stages.ingest.warc import Record, records

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml"})
RECORD_TYPES = frozenset(
    {"warcinfo", "request", "response", "resource", "metadata", "revisit", "conversion", "continuation"}
)
SNIFF_BYTES = 2048
ARC_START = b"filedesc:"


@dataclass(frozen=True)
class ReadWarc:
    """Reads WARC files, plain or compressed: responses, resources, and conversions (WET)."""

    source: str
    licence: str | None
    max_document_bytes: int

    def __call__(self, files: Sequence[InputFile], work: Work) -> Iterator[pa.RecordBatch]:
        for file in files:
            yield from batches(self._rows(file, work))

    def _rows(self, file: InputFile, work: Work) -> Iterator[Row]:
        losses: list[Loss] = []  # before the first record: without one, the file as a whole is set aside
        seen = lost = 0
        with open_input(file.url) as opened:
            try:
                for found in records(pieces(opened, file.name), self.max_document_bytes + response.HEADER_BYTES):
                    if isinstance(found, Loss):
                        losses.append(found)
                    else:
                        seen += 1
                        if row := self._row(file, found, work):
                            yield row
                    while seen and losses:
                        quarantine(work, self.source, file, losses.pop(0), lost)
                        lost += 1
            except Unsupported as error:
                set_aside(work, self.source, file, "unsupported", str(error))
                return
            if not seen:
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
        if kind not in ("response", "resource", "conversion"):
            return None
        url = headers.get(b"warc-target-uri", b"").decode("utf-8", "replace").strip("<> ") or None
        row = Row(
            document_id(self.source, file.name, record.number),
            self.source,
            url,
            self.licence,
            epoch_seconds(headers.get(b"warc-date", b"").decode("latin-1")),
            file.name,
            record.offset,
        )
        if row.crawl_time is None:
            work.count("dates_unreadable")
        if b"warc-truncated" in headers:
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
        identified = headers.get(b"warc-identified-payload-type", b"").decode("latin-1").lower()
        mime = message.mime or identified
        if mime and mime not in HTML_TYPES:
            return row._replace(rule="not_html", note=mime)
        body = response.decoded(message, self.max_document_bytes)
        if not mime and (mime := _sniffed(body)) not in HTML_TYPES:
            return row._replace(rule="not_html", note=mime)
        return self._page(row, body, message.charset)

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
    """Reads HTML files, plain or compressed: a document a file."""

    source: str
    licence: str | None
    max_document_bytes: int

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
        else:
            yield row._replace(page=b"".join(parts))


def _sniffed(content: bytes) -> str:
    """Returns the media type that content without a stated one looks like."""
    head = content[:SNIFF_BYTES]
    return str(detect_mime(head)) if head.strip() else "text/html"
