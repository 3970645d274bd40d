import gzip
import random
import zlib
from collections.abc import Callable
from functools import partial

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from stages.ingest.encodings import Decoded, unchunked
from stages.ingest.response import decoded, parse

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
        ("gzip", gzip.compress(BODY[:300]) + gzip.compress(BODY[300:])),
        ("zstd", zstandard.compress(BODY)),
        ("zstd", zstandard.compress(BODY[:300]) + zstandard.compress(BODY[300:])),
        ("GZIP , zstd", zstandard.compress(gzip.compress(BODY))),
        ("gzip, gzip", gzip.compress(BODY)),
        ("gzip, br", brotli.compress(gzip.compress(BODY))),
        ("identity", BODY),
        ("gzip", BODY),
        ("deflate", BODY),
        ("br", BODY),
        ("zstd", BODY),
        ("utf-8", BODY),
        ("aws-chunked, gzip", gzip.compress(BODY)),
    ],
)
@pytest.mark.parametrize("transfer", [False, True])
def test_undoes_encodings_that_are_there(coding: str, encoded: bytes, transfer: bool) -> None:
    headers = [f"Content-Encoding: {coding}", *(["Transfer-Encoding: chunked"] if transfer else [])]
    block = stored(chunked(encoded) if transfer else encoded, *headers)

    assert decoded(parse(block), 1 << 20) == Decoded(BODY)


@pytest.mark.parametrize(
    ("headers", "stored_body", "rule", "coding"),
    [
        (["Content-Encoding: sdch"], bytes(range(200)), "unknown_encoding", "sdch"),
        (["Content-Encoding: compress"], b"\x1f\x9d\x90\x3c\x8c", "unknown_encoding", "compress"),
        (["Content-Encoding: gzip"], brotli.compress(BODY), "broken_encoding", "gzip"),
        (["Content-Encoding: br"], gzip.compress(BODY), "broken_encoding", "br"),
        (["Content-Encoding: zstd"], gzip.compress(BODY), "broken_encoding", "zstd"),
        (["Content-Encoding: dcz", "Content-Encoding: gzip"], gzip.compress(bytes(99)), "unknown_encoding", "dcz"),
    ],
)
def test_says_which_coding_leaves_no_text(headers: list[str], stored_body: bytes, rule: str, coding: str) -> None:
    assert decoded(parse(stored(stored_body, *headers)), 1 << 20)[1:] == (rule, coding)


def test_undoes_codings_of_several_lines_and_of_the_transfer() -> None:
    twice = brotli.compress(gzip.compress(BODY))
    lines = stored(twice, "Content-Encoding: gzip", "content-encoding: br")
    transfer = stored(chunked(gzip.compress(BODY)), "Transfer-Encoding: gzip, chunked")

    assert decoded(parse(lines), 1 << 20).body == BODY
    assert decoded(parse(transfer), 1 << 20).body == BODY


@pytest.mark.parametrize("prefix", ["X-Crawl-", "X-Crawler-", "x-orig-"])
def test_passes_over_headers_that_a_crawler_set_aside(prefix: str) -> None:
    """As Common Crawl, its news crawl (StormCrawler) and the Internet Archive name them."""
    block = stored(BODY, f"{prefix}Content-Encoding: gzip", f"{prefix}Transfer-Encoding: chunked")

    assert decoded(parse(block), 1 << 20) == Decoded(BODY)


def test_takes_a_body_that_is_not_chunked_after_all_as_it_is() -> None:
    block = stored(BODY, "Transfer-Encoding: chunked")

    assert decoded(parse(block), 1 << 20) == Decoded(BODY)


def test_keeps_what_a_cut_body_holds() -> None:
    assert unchunked(chunked(BODY)[:250]) == BODY[: 250 - len(b"64;x=y\r\n\r\n") * 2 - len(b"64;x=y\r\n")]


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("gzip", gzip.compress), ("br", partial(brotli.compress, quality=4)), ("zstd", zstandard.compress)],
)
def test_keeps_what_a_cut_coding_gives(coding: str, pack: Callable[[bytes], bytes]) -> None:
    long = random.Random(1).randbytes(300_000).hex().encode()
    packed = pack(long)

    body, rule, _ = decoded(parse(stored(packed[: len(packed) // 2], f"Content-Encoding: {coding}")), 1 << 20)

    assert rule is None
    assert long.startswith(body)
    assert len(body) > 100_000


def test_decompresses_no_more_than_the_limit() -> None:
    for coding, pack in (("gzip", gzip.compress), ("br", brotli.compress), ("zstd", zstandard.compress)):
        block = stored(pack(bytes(5_000_000)), f"Content-Encoding: {coding}")

        assert len(decoded(parse(block), 1000).body) == 1001


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


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate", "br", "gzip, br", "zstd", "x"]), st.booleans())
def test_raises_for_no_body_at_all(body: bytes, coding: str, transfer: bool) -> None:
    headers = [f"Content-Encoding: {coding}", *(["Transfer-Encoding: chunked"] if transfer else [])]

    found = decoded(parse(stored(body, *headers)), 1000)

    assert len(found.body) <= max(1001, len(body))
    assert (found.rule is None) == (found.coding is None)


@given(st.binary(max_size=400), st.integers(1, 60))
def test_joins_any_chunks(body: bytes, size: int) -> None:
    assert unchunked(chunked(body, size)) == body
