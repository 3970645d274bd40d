"""Transfer and content codings of HTTP undone, of bodies that are cut, coded twice, or not coded after all.

Archives are not always true to their headers: many store a body that was decoded already under the headers of the
coded one. So a coding that cannot be undone is taken to be undone where what is there looks like text.

Source: RFC 9112, sections 6 and 7 (transfer codings, chunked); RFC 9110, section 8.4 (content codings); RFC 1950 to
1952 (zlib, deflate, gzip); RFC 7932 (brotli); RFC 8878 and RFC 9659 (zstd, its window at most 8 MiB).
"""

from __future__ import annotations

import contextlib
import io
import re
import zlib
from typing import NamedTuple, Protocol

import zstandard
from fastwarc.stream_io import BrotliReader

CODINGS_LIMIT = 5  # of one body, as browsers bound them
LOOK_BYTES = 1024  # of a body, by which it is told whether it is text
STEP_BYTES = 4096
READ_BYTES = 1 << 16
_WINDOW_BYTES = 8 << 20
_NONE = frozenset({"", "identity", "none"})
_GZIP = b"\x1f\x8b"
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")  # escape belongs to ISO-2022-JP
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Decoded(NamedTuple):
    """A body without its codings. `rule` says why it is of no use, `coding` which one that is."""

    body: bytes
    rule: str | None = None  # unknown_encoding or broken_encoding
    coding: str | None = None


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


def decoded(body: bytes, transfer: str, content: str, limit: int) -> Decoded:
    r"""Returns a body with the codings undone that the values of Transfer-Encoding and Content-Encoding name.

    No more than `limit` + 1 bytes are decompressed.

    >>> decoded(b"3\r\n<p>\r\n0\r\n\r\n", "chunked", "", 100).body
    b'<p>'
    >>> decoded(b"\x93\x02\x01", "", "sdch", 100)[1:]
    ('unknown_encoding', 'sdch')
    """
    codings = [part.strip().lower() for part in f"{content},{transfer}".split(",")]
    for coding in [name for name in reversed(codings) if name not in _NONE][:CODINGS_LIMIT]:
        if coding == "chunked":
            joined = unchunked(body)
            body = body if joined is None else joined
            continue
        undo = _UNDONE.get(coding.removeprefix("x-"))
        made = undo(body, limit) if undo else None
        if made is not None:
            body = made
        elif not looks_like_text(body):
            return Decoded(body, "broken_encoding" if undo else "unknown_encoding", coding[:40])
    return Decoded(body)


def looks_like_text(body: bytes) -> bool:
    """Says whether a body holds nothing that no text holds, in its first bytes."""
    head = body[:LOOK_BYTES]
    return _CONTROL.search(head) is None or head.startswith(_WIDE_MARKS)


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


def _inflated(body: bytes, limit: int) -> bytes | None:
    """Returns gzip, zlib or raw deflate data decompressed, up to where it is sound; None where nowhere.

    What claims to be one of them may be another; gzip may have several members.
    """
    looks_raw = not body.startswith(_GZIP) and body[:1] != b"\x78"
    parts: list[bytes] = []
    size = at = 0
    while at < len(body) and size <= limit and (not parts or body.startswith(_GZIP, at)):
        unpack = zlib.decompressobj(wbits=-15 if looks_raw else 47)
        try:
            while at < len(body) and size <= limit and not unpack.eof:
                step = body[at : at + STEP_BYTES]
                parts.append(unpack.decompress(step, limit + 1 - size))
                size += len(parts[-1])
                at += len(step) - len(unpack.unused_data)
        except zlib.error:
            if looks_raw:
                return None
            break
    return b"".join(parts) if size else None


def _unbrotlied(body: bytes, limit: int) -> bytes | None:
    return _read(BrotliReader(io.BytesIO(body)), limit, OSError)


def _unzstd(body: bytes, limit: int) -> bytes | None:
    codec = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
    stream = codec.stream_reader(io.BytesIO(body), read_size=STEP_BYTES, read_across_frames=True)
    return _read(stream, limit, zstandard.ZstdError)


def _read(stream: _Reader, limit: int, errors: type[Exception]) -> bytes | None:
    """Returns what a decompressing stream gives, up to where it is sound; None where nowhere."""
    parts: list[bytes] = []
    size = 0
    with contextlib.suppress(errors):
        while size <= limit and (part := stream.read(min(READ_BYTES, limit + 1 - size))):
            parts.append(part)
            size += len(part)
    return b"".join(parts) if size else None


_UNDONE = {"gzip": _inflated, "deflate": _inflated, "br": _unbrotlied, "zstd": _unzstd}
