"""Small archives made by hand, and readers run on them."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pydantic
import zstandard

from datapipe.testing import Result, evaluate
from stages.ingest import Ingest
from stages.ingest.members import Loss, pieces
from stages.ingest.warc import Record, records

PARAGRAPH = "长江流经许多城市，沿岸的人们在这里生活了几千年，留下了很多故事。"


def html(number: int, charset: str = "utf-8") -> bytes:
    body = f"<article><h1>第{number}页</h1><p>{PARAGRAPH * 3}</p><p>{PARAGRAPH}第{number}段。</p></article>"
    return f"<!DOCTYPE html><html><head><title>标题{number}</title></head><body>{body}</body></html>".encode(charset)


def http(body: bytes, status: str = "200 OK", kind: str | None = "text/html", more: str = "") -> bytes:
    stated = f"Content-Type: {kind}\r\n" if kind else ""
    return f"HTTP/1.1 {status}\r\n{stated}{more}\r\n".encode() + body


def record(
    block: bytes,
    number: int = 0,
    kind: str = "response",
    content_type: str = "application/http; msgtype=response",
    more: str = "",
) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://www.example.com/{number}\r\n"
        f"WARC-Date: 2024-01-02T03:04:05Z\r\nContent-Type: {content_type}\r\n{more}Content-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def page_records(amount: int) -> list[bytes]:
    return [record(http(html(number)), number) for number in range(amount)]


def packed(members: Sequence[bytes], form: str) -> bytes:
    return b"".join(pack(member, form) for member in members)


def pack(member: bytes, form: str) -> bytes:
    if form == "gz":
        return gzip.compress(member, mtime=0)
    return zstandard.ZstdCompressor(write_checksum=True).compress(member) if form == "zst" else member


def salvaged(content: bytes, name: str = "") -> tuple[list[Record], list[Loss]]:
    found = list(records(pieces(io.BytesIO(content), name), 1 << 20))
    return [item for item in found if isinstance(item, Record)], [item for item in found if isinstance(item, Loss)]


def blocks(content: bytes, name: str = "") -> list[bytes | None]:
    return [item.block for item in salvaged(content, name)[0]]


def ingest(folder: Path, name: str, content: bytes, **config: object) -> Result:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    step = {key: config.pop(key) for key in ("max_document_bytes", "respect") if key in config}
    given = {"sources": {"web": {"path": str(folder / name), **config}}, "max_document_bytes": 1 << 20, **step}
    return evaluate(pydantic.TypeAdapter(Ingest).validate_python(given).build())


def reasons(result: Result) -> list[tuple[str, str, float | None]]:
    return [(row["action"], row["rule"], row["value"]) for row in result.ledger.to_pylist()]


def rows(result: Result) -> list[dict[str, object]]:
    table: pa.Table = result.table
    return table.to_pylist()
