"""HTTP responses as crawlers store them: status, kind of content, codings, and what they ask of programs.

Crawlers that store a body decoded put a prefix before the headers that no longer hold (X-Crawl-Content-Encoding,
X-Crawler-Transfer-Encoding, x-orig-content-encoding): those are other fields and not read.

Source: RFC 9112 (message format), RFC 9110 (status, fields of several lines, Content-Type).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from stages.ingest.encodings import Decoded
from stages.ingest.encodings import decoded as without_codings
from stages.ingest.robots import HEADER_NAMES

HEADER_BYTES = 1 << 16  # allowed for a message beside its body, and read of its head
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})")
_FIELD = re.compile(
    rb"^(Content-Type|Content-Encoding|Transfer-Encoding|%b)[ \t]*:[ \t]*([^\r\n]*)" % "|".join(HEADER_NAMES).encode(),
    re.IGNORECASE | re.MULTILINE,
)
_CHARSET = re.compile(r"charset\s*+=\s*+[\"']?\s*+([^\s\"';,]+)", re.IGNORECASE)


class Response(NamedTuple):
    """A response as it was stored. `status` is None where the block is no HTTP message and so all body."""

    status: int | None
    mime: str | None  # lower case, without parameters
    charset: str | None  # as the header names it
    coding: str  # values of Content-Encoding
    transfer: str  # values of Transfer-Encoding
    asks: str | None  # lines "name: value" of the fields that `robots` reads
    body: bytes


def parse(block: bytes) -> Response:
    r"""Returns the parts of a stored HTTP response; of a block that is none, all as the body.

    >>> parse(b"HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; charset=gbk\r\n\r\nhello")[:3]
    (200, 'text/html', 'gbk')
    """
    status = _STATUS.match(block)
    if status is None:
        return Response(None, None, None, "", "", None, block)
    end = _HEADER_END.search(block)
    head, body = (block[: end.start()], block[end.end() :]) if end else (block, b"")
    held: dict[str, list[str]] = {}
    for name, value in _FIELD.findall(head[:HEADER_BYTES]):
        held.setdefault(name.decode().lower(), []).append(value.decode("latin-1"))
    mime, charset = content_type(held.pop("content-type", [""])[0])
    coding, transfer = (", ".join(held.pop(f"{kind}-encoding", ())) for kind in ("content", "transfer"))
    asks = "".join(f"{name}:{value}\n" for name, values in held.items() for value in values)
    return Response(int(status[1]), mime, charset, coding, transfer, asks or None, body)


def content_type(value: str) -> tuple[str | None, str | None]:
    """Returns the media type, lower case, and the charset of a Content-Type; None for what it does not say.

    >>> content_type('text/html; Charset="GB2312"')
    ('text/html', 'GB2312')
    """
    mime = value.partition(";")[0].partition(",")[0].strip().lower()
    charset = _CHARSET.search(value)
    return mime or None, charset[1] if charset else None


def decoded(response: Response, limit: int) -> Decoded:
    """Returns the body with transfer and content codings undone, as far as they are there.

    No more than `limit` + 1 bytes are decompressed.
    """
    if not response.coding and not response.transfer:
        return Decoded(response.body)
    return without_codings(response.body, response.transfer, response.coding, limit)
