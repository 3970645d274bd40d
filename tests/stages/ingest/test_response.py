import gzip
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.ingest.response import decoded, parse, unchunked

BODY = "<p>正文 body</p>".encode() * 50


def chunked(body: bytes, size: int = 100) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x;x=y\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def stored(body: bytes, *headers: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode() + body


@pytest.mark.parametrize(
    ("coding", "encoded"),
    [
        ("gzip", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY, wbits=-15)),
        ("br", brotli.compress(BODY)),
        ("gzip, br", brotli.compress(gzip.compress(BODY))),
        ("identity", BODY),
        ("gzip", BODY),
        ("deflate", BODY),
        ("br", BODY),
        ("unknown", BODY),
    ],
)
@pytest.mark.parametrize("transfer", [False, True])
def test_undoes_encodings_that_are_there(coding: str, encoded: bytes, transfer: bool) -> None:
    headers = [f"Content-Encoding: {coding}", *(["Transfer-Encoding: chunked"] if transfer else [])]
    block = stored(chunked(encoded) if transfer else encoded, *headers)

    assert decoded(parse(block), 1 << 20) == BODY


def test_takes_a_body_that_is_not_chunked_after_all_as_it_is() -> None:
    block = stored(BODY, "Transfer-Encoding: chunked")

    assert decoded(parse(block), 1 << 20) == BODY


def test_keeps_what_a_cut_body_holds() -> None:
    assert unchunked(chunked(BODY)[:250]) == BODY[: 250 - len(b"64;x=y\r\n\r\n") * 2 - len(b"64;x=y\r\n")]
    packed = gzip.compress(BODY)
    assert BODY.startswith(decoded(parse(stored(packed[:-12], "Content-Encoding: gzip")), 1 << 20))


def test_decompresses_no_more_than_the_limit() -> None:
    block = stored(gzip.compress(bytes(50_000_000)), "Content-Encoding: gzip")

    assert len(decoded(parse(block), 1000)) == 1001


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (b"HTTP/1.0 404 Not\xff Found\nContent-type:text/html\n\nx", (404, "text/html", None)),
        (b"HTTP/2 200\r\ncontent-type: text/html;charset='Big5'\r\n\r\n", (200, "text/html", "Big5")),
        (b"HTTP/1.1 200 OK", (200, None, None)),
        (b"<html>", (None, None, None)),
        (b"", (None, None, None)),
    ],
)
def test_reads_status_type_and_charset(block: bytes, expected: tuple[int | None, str | None, str | None]) -> None:
    assert parse(block)[:3] == expected


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate", "br", "gzip, br"]), st.booleans())
def test_raises_for_no_body_at_all(body: bytes, coding: str, transfer: bool) -> None:
    headers = [f"Content-Encoding: {coding}", *(["Transfer-Encoding: chunked"] if transfer else [])]

    assert isinstance(decoded(parse(stored(body, *headers)), 1000), bytes)


@given(st.binary(max_size=400), st.integers(1, 60))
def test_joins_any_chunks(body: bytes, size: int) -> None:
    assert unchunked(chunked(body, size)) == body
