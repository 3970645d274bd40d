"""Packs the pages of the sample into a gzip WARC, one member a record, with the same bytes on every machine.

    python tests/data/pack.py tests/data/sample.warc.gz

Dates are nominal and record ids are hashes. The members hold stored blocks, as what zlib makes of the same
bytes differs from version to version.

Source: WARC 1.1 (ISO 28500:2017), sections 5 and 6; RFC 1952 (gzip); RFC 1951, section 3.2.4 (stored blocks).
"""

from __future__ import annotations

import sys
from base64 import b32encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5
from zlib import crc32

import yaml

CRAWLED_FROM = datetime(2026, 1, 1, tzinfo=UTC)  # nominal: a page a minute
GZIP_HEADER = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])  # deflate, no flags, no time, no level, unknown system
STORED_BLOCK_BYTES = 0xFFFF
INFO = {"software": "tests/data/pack.py", "format": "WARC File Format 1.1", "description": "pages written for tests"}


@dataclass(frozen=True, kw_only=True)
class Page:
    """A row of pages.yaml, which says what each field means."""

    file: str
    url: str
    status: int
    content_type: str
    genre: str
    fate: str
    note: str
    encoding: str | None = None
    language: str | None = None
    reason: str | None = None
    of: str | None = None
    location: str | None = None
    holds: str | None = None


def read_pages(folder: Path) -> list[Page]:
    """Returns the rows of the folder's pages.yaml, in their order."""
    rows = yaml.safe_load((folder / "pages.yaml").read_text(encoding="utf-8"))
    return [Page(**row) for row in rows]


def pack(folder: Path, out: Path) -> None:
    """Writes the folder's pages to `out`: a warcinfo record, then a request and a response for each page."""
    out.write_bytes(b"".join(member(record) for record in _records(folder)))


def member(data: bytes) -> bytes:
    """Returns a gzip member that holds the data, which is not empty, in stored blocks."""
    blocks = []
    for start in range(0, len(data), STORED_BLOCK_BYTES):
        part = data[start : start + STORED_BLOCK_BYTES]
        last = start + len(part) == len(data)
        size = len(part).to_bytes(2, "little")
        complement = (len(part) ^ 0xFFFF).to_bytes(2, "little")
        blocks.append(bytes([last]) + size + complement + part)
    trailer = crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    return GZIP_HEADER + b"".join(blocks) + trailer


def _records(folder: Path) -> Iterator[bytes]:
    info = _block(INFO)
    info_id = _record_id("warcinfo", "sample", info)
    headers = {"WARC-Type": "warcinfo", "WARC-Record-ID": info_id, "WARC-Date": _date(0)}
    yield _record(headers, "application/warc-fields", info)
    for minute, page in enumerate(read_pages(folder), start=1):
        common = {"WARC-Date": _date(minute), "WARC-Target-URI": page.url, "WARC-Warcinfo-ID": info_id}
        request = _request(page)
        request_id = _record_id("request", page.url, request)
        headers = {"WARC-Type": "request", "WARC-Record-ID": request_id, **common}
        yield _record(headers, "application/http;msgtype=request", request)
        body = (folder / page.file).read_bytes()
        response = _response(page, body)
        headers = {
            "WARC-Type": "response",
            "WARC-Record-ID": _record_id("response", page.url, response),
            **common,
            "WARC-Concurrent-To": request_id,
            "WARC-Payload-Digest": _digest(body),
        }
        yield _record(headers, "application/http;msgtype=response", response)


def _record(headers: dict[str, str], content_type: str, block: bytes) -> bytes:
    ends = {
        "WARC-Block-Digest": _digest(block),
        "Content-Type": content_type,
        "Content-Length": str(len(block)),
    }
    return b"WARC/1.1\r\n" + _block(headers | ends) + b"\r\n" + block + b"\r\n\r\n"


def _request(page: Page) -> bytes:
    url = urlsplit(page.url)
    return b"GET %s HTTP/1.1\r\n" % url.path.encode() + _block({"Host": url.netloc}) + b"\r\n"


def _response(page: Page, body: bytes) -> bytes:
    headers = {"Content-Type": page.content_type, "Content-Length": str(len(body))}
    if page.location:
        headers["Location"] = page.location
    status = f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}\r\n"
    return status.encode() + _block(headers) + b"\r\n" + body


def _block(headers: dict[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


def _date(minute: int) -> str:
    return (CRAWLED_FROM + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _record_id(kind: str, url: str, block: bytes) -> str:
    return f"<{uuid5(NAMESPACE_URL, f'{kind} {url} {_digest(block)}').urn}>"


def _digest(data: bytes) -> str:
    return f"sha1:{b32encode(sha1(data).digest()).decode()}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tests/data/pack.py OUT.warc.gz")
    pack(Path(__file__).parent / "pages", Path(sys.argv[1]))
