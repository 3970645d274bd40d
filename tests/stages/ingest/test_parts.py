"""Whatever a file is cut into, the same comes out of it; and what is cut and put together is of even size."""

import gzip
import io
import json
import random
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import InputFile, Work
from datapipe.dataset import ReadFunction
from stages.ingest.compression import codec_of
from stages.ingest.jsonl import FieldNames, ReadJsonl
from stages.ingest.parts import OPENING_BYTES, boundary, shards_of, together
from stages.ingest.readers import ReadWarc
from stages.ingest.warc import is_record
from tests.stages.ingest.archives import html, http, page_records, record

LIMIT = 20_000
WARC = ReadWarc("web", None, LIMIT)
JSONL = ReadJsonl("web", None, LIMIT, FieldNames())
Said = tuple[Counter[object], Counter[object], Counter[str]]  # documents, ledger rows, counters


def file_of(folder: Path, content: bytes, name: str) -> InputFile:
    (folder / name).write_bytes(content)
    return InputFile(name, str(folder / name), len(content), "1")


def parts(file: InputFile, cuts: Sequence[int]) -> Iterator[InputFile]:
    places = sorted({0, file.size_bytes, *(cut for cut in cuts if 0 < cut < file.size_bytes)})
    for start, end in zip(places, places[1:], strict=False):
        yield replace(file, part=(start, end))


def said(read: ReadFunction, *files: InputFile) -> Said:
    """What a reader makes of files, each read by a task of its own; order apart."""
    documents: Counter[object] = Counter()
    ledger: Counter[object] = Counter()
    counts: Counter[str] = Counter()
    for file in files:
        noted: list[pa.RecordBatch] = []
        work = Work(0, "ingest", emit=lambda _, batch, noted=noted: noted.append(batch))
        for batch in read([file], work):
            documents.update(tuple(map(str, row.items())) for row in batch.to_pylist())
        ledger.update(tuple(map(str, row.items())) for batch in noted for row in batch.to_pylist())
        counts.update(work.counts)
    return documents, ledger, counts


def gz(content: bytes, level: int = 6) -> bytes:
    return gzip.compress(content, level, mtime=0)


def zst(content: bytes, dictionary: zstandard.ZstdCompressionDict | None = None) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True, dict_data=dictionary).compress(content)


def skippable(content: bytes, kind: int = 0x184D2A50) -> bytes:
    return kind.to_bytes(4, "little") + len(content).to_bytes(4, "little") + content


# The law


def noise(seed: int, length: int) -> bytes:
    return random.Random(seed).randbytes(length)


def warc_members(draw: random.Random, form: str) -> list[bytes]:
    """Members of one to three records each; some records are long and do not compress, some are archives themselves."""
    pack = gz if form == "gz" else zst
    inner = b"".join(gz(one, 0) for one in page_records(3))
    kinds = [
        lambda: record(http(html(draw.randrange(99))), draw.randrange(99)),
        lambda: record(http(noise(draw.randrange(99), draw.randrange(20_000, 90_000)), kind="image/png")),
        lambda: record(http(inner, kind="application/gzip")),
        lambda: record(b"software: x", kind="warcinfo"),
        lambda: record(b"short", more="Content-Length: 9000\r\n"),  # the first of two lengths counts: it is too long
        lambda: record(b"long, long", more="Content-Length: 3\r\n"),
        lambda: b"no record at all\r\n",
    ]
    weights = [8, 6, 2, 2, 1, 1, 1]
    return [
        pack(b"".join(make() for make in draw.choices(kinds, weights, k=draw.choice((1, 1, 1, 2, 3)))))
        for _ in range(draw.randrange(3, 14))
    ]


def jsonl_members(draw: random.Random, form: str) -> list[bytes]:
    """Members that hold lines, cut anywhere."""
    lines = []
    for number in range(draw.randrange(1, 40)):
        text = draw.choice(("", "字" * draw.randrange(3000), noise(number, draw.randrange(30_000)).hex()))
        lines.append(json.dumps({"text": text, "n": number}).encode())
    lines = [draw.choice((b"", b"\xef\xbb\xbf", b"", b"{")) + line + draw.choice((b"", b"\r")) for line in lines]
    content = b"\n".join(lines) + draw.choice((b"", b"\n"))
    ends = [place for place in range(len(content)) if content[place : place + 1] == b"\n"]
    places = {draw.choice(ends or [0]) + draw.choice((0, 1, 1, 1, 7)) for _ in range(draw.randrange(9))}
    cuts = sorted({0, len(content), *(place for place in places if place < len(content))})
    held = [content[start:end] for start, end in zip(cuts, cuts[1:], strict=False)]
    return [one if form == "plain" else (gz if form == "gz" else zst)(one) for one in held]


def damaged(draw: random.Random, members: list[bytes], form: str) -> bytes:
    """The members joined, with garbage, padding, skippable frames and damages where the draw says so."""
    joined = bytearray()
    for member in members:
        if form == "zst" and draw.random() < 0.1:
            joined += skippable(b"1234")
        joined += member
        if draw.random() < 0.08:
            joined += draw.choice((bytes(50), b"garbage", member[: len(member) // 2], b"\x1f\x8b\x08\x00"))
    for _ in range(draw.choice((0, 0, 0, 1, 2, 4))):
        place, length = draw.randrange(len(joined)), draw.choice((1, 1, 8, 400))
        match draw.randrange(3):
            case 0:
                joined[place] ^= 1 << draw.randrange(8)
            case 1:
                joined[place : place + length] = noise(length, length)
            case _:
                del joined[place : place + length]
    return bytes(joined or b"x")


@pytest.mark.parametrize("form", ["gz", "zst"])
@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_the_parts_of_an_archive_say_what_the_whole_says(
    form: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    draw = random.Random(seed)
    content = damaged(draw, warc_members(draw, form), form)
    file = file_of(tmp_path_factory.mktemp("law"), content, f"crawl.warc.{form}")

    cuts = [draw.randrange(len(content) + 1) for _ in range(draw.randrange(1, 8))]

    assert said(WARC, *parts(file, cuts)) == said(WARC, file)


@pytest.mark.parametrize("form", ["plain", "gz", "zst"])
@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_the_parts_of_json_lines_say_what_the_whole_says(
    form: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    draw = random.Random(seed)
    members = jsonl_members(draw, form)
    content = damaged(draw, members, form) if form != "plain" else b"".join(members)
    file = file_of(tmp_path_factory.mktemp("law"), content, f"lines.jsonl.{form}")

    cuts = [draw.randrange(len(content) + 1) for _ in range(draw.randrange(1, 8))]

    assert said(JSONL, *parts(file, cuts)) == said(JSONL, file)
