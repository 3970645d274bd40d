"""HTTP responses as crawlers store them: status, kind of content, and the body with its encodings undone.

Archives are not always true to their headers: many store a body that was decoded already under the headers of the
encoded one. So an encoding that cannot be undone is taken to be undone.

Source: RFC 9112 (message format, chunked coding), RFC 9110 (status, Content-Type, Content-Encoding).
"""

from __future__ import annotations

import io
import re
import zlib
from typing import NamedTuple

from fastwarc.stream_io import BrotliReader

HEADER_BYTES = 1 << 16  # allowed for a message beside its body
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})")
_FIELD = re.compile(
    rb"^(Content-Type|Content-Encoding|Transfer-Encoding)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE
)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")


class Response(NamedTuple):
    """A response as it was stored. `status` is None where the block is no HTTP message and so all body."""

    status: int | None
    mime: str | None  # lower case, without parameters
    charset: str | None  # as the header names it
    coding: str  # values of Content-Encoding, lower case
    chunked: bool
    body: bytes


def parse(block: bytes) -> Response:
    r"""Returns the parts of a stored HTTP response; of a block that is none, all as the body.

    >>> parse(b"HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; charset=gbk\r\n\r\nhello")[:3]
    (200, 'text/html', 'gbk')
    """
    status = _STATUS.match(block)
    if status is None:
        return Response(None, None, None, "", False, block)
    end = _HEADER_END.search(block)
    head, body = (block[: end.start()], block[end.end() :]) if end else (block, b"")
    found: dict[bytes, str] = {}
    for name, value in _FIELD.findall(head):
        found.setdefault(name.lower(), value.decode("latin-1"))
    mime, charset = content_type(found.get(b"content-type", ""))
    chunked = "chunked" in found.get(b"transfer-encoding", "").lower()
    return Response(int(status[1]), mime, charset, found.get(b"content-encoding", "").lower(), chunked, body)


def content_type(value: str) -> tuple[str | None, str | None]:
    """Returns the media type, lower case, and the charset of a Content-Type; None for what it does not say.

    >>> content_type('text/html; Charset="GB2312"')
    ('text/html', 'GB2312')
    """
    mime = value.partition(";")[0].partition(",")[0].strip().lower()
    charset = _CHARSET.search(value)
    return mime or None, charset[1] if charset else None


def decoded(response: Response, limit: int) -> bytes:
    """Returns the body with transfer and content encodings undone, as far as they are there.

    No more than `limit` + 1 bytes are decompressed.
    """
    body = response.body
    if response.chunked:
        joined = unchunked(body)
        body = body if joined is None else joined
    for coding in reversed([part.strip() for part in response.coding.split(",")]):
        body = _undone(coding, body, limit)
    return body


def unchunked(body: bytes) -> bytes | None:
    """Returns the content of a chunked body, or None where its framing is broken (or was removed already).

    A body that ends early is none: its chunks up to there are the content.
    """
    parts: list[bytes] = []
    at = 0
    while match := _CHUNK.match(body, at):
        size = int(match[1], 16)
        if size == 0:
            return b"".join(parts)
        begin, end = match.end(), match.end() + size
        parts.append(body[begin:end])
        if end >= len(body):
            return b"".join(parts)
        if body[end : end + 2] == b"\r\n":
            at = end + 2
        elif body[end : end + 1] == b"\n":
            at = end + 1
        else:
            return None
    return b"".join(parts) if parts and at >= len(body) else None


def _undone(coding: str, body: bytes, limit: int) -> bytes:
    if coding in ("gzip", "x-gzip", "deflate"):
        return _inflated(body, limit)
    if coding == "br":
        return _unbrotlied(body, limit)
    return body


def _inflated(body: bytes, limit: int) -> bytes:
    """Returns gzip, zlib or raw deflate data decompressed, up to where it is sound; the body itself where nowhere."""
    looks_raw = not body.startswith(b"\x1f\x8b") and body[:1] != b"\x78"
    unpack = zlib.decompressobj(wbits=-15 if looks_raw else 47)
    parts: list[bytes] = []
    size = 0
    try:
        for at in range(0, len(body), 4096):
            parts.append(unpack.decompress(body[at : at + 4096], limit + 1 - size))
            size += len(parts[-1])
            if size > limit or unpack.eof:
                break
    except zlib.error:
        if looks_raw:
            return body
    return b"".join(parts) if size else body


def _unbrotlied(body: bytes, limit: int) -> bytes:
    try:
        text: bytes = BrotliReader(io.BytesIO(body)).read(limit + 1)
    except OSError:
        return body
    return text or body
