"""Whatever a file is cut into, the same comes out of it; and what is cut and put together is of even size."""

import gzip
import io
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import InputFile, Work
from datapipe.dataset import ReadFunction
from stages.ingest.compression import codec_of
from stages.ingest.fields import FieldNames
from stages.ingest.jsonl import ReadJsonl
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
    for start, end in pairwise(places):
        yield replace(file, part=(start, end))


def said(read: ReadFunction, *files: InputFile) -> Said:
    """What a reader makes of files, each read by a task of its own; order apart."""
    documents: Counter[object] = Counter()
    ledger: Counter[object] = Counter()
    counts: Counter[str] = Counter()
    for file in files:
        noted: list[pa.RecordBatch] = []
        work = Work(0, "ingest", emit=partial(_note, noted))
        for batch in read([file], work):
            documents.update(hash(tuple(row.values())) for row in batch.to_pylist())
        ledger.update(tuple(row.values()) for batch in noted for row in batch.to_pylist())
        counts.update(work.counts)
    return documents, ledger, counts


def _note(noted: list[pa.RecordBatch], name: str, batch: pa.RecordBatch) -> None:
    noted.append(batch)


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
    kinds: list[Callable[[], bytes]] = [
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
    for number in range(draw.randrange(1, 25)):
        text = draw.choice(("", "字" * draw.randrange(300), noise(number, draw.randrange(12_000)).hex()))
        lines.append(json.dumps({"text": text, "n": number}).encode())
    lines = [draw.choice((b"", b"\xef\xbb\xbf", b"", b"{")) + line + draw.choice((b"", b"\r")) for line in lines]
    content = b"\n".join(lines) + draw.choice((b"", b"\n"))
    ends = [place for place in range(len(content)) if content[place : place + 1] == b"\n"]
    places = {draw.choice(ends or [0]) + draw.choice((0, 1, 1, 1, 7)) for _ in range(draw.randrange(9))}
    cuts = sorted({0, len(content), *(place for place in places if place < len(content))})
    held = [content[start:end] for start, end in pairwise(cuts)]
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
@settings(max_examples=25)
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
@settings(max_examples=25)
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


# Where it could go wrong


def test_a_nested_archive_at_the_cut_is_no_member(tmp_path: Path) -> None:
    """The crawled archive lies in its member as it is, whole members one upon another; only not for long enough."""
    inner = b"".join(gz(record(http(noise(number, 1000)), number)) for number in range(50))
    assert len(inner) > 40_000
    outer = [gz(page) for page in page_records(3)]
    stored = gz(record(http(inner, kind="application/gzip")), 0)
    content = b"".join([*outer, stored, *outer, gz(record(http(noise(1, 90_000))))])
    nested = content.index(inner[:4000])
    file = file_of(tmp_path, content, "crawl.warc.gz")

    with open(file.url, "rb") as opened:
        codec = codec_of(opened)
        assert codec is not None
        place = boundary(opened, codec, nested, len(content), is_record)

    assert place == len(b"".join(outer)) + len(stored)
    assert said(WARC, *parts(file, [nested])) == said(WARC, file)


def test_a_nested_archive_of_any_length_is_no_member() -> None:
    """Longer than a stored block, it is interrupted by a block's header, so the proof fails at each of its members."""
    inner = b"".join(gz(noise(number, 1000)) for number in range(400))
    content = gz(inner, 0)

    for kind in (content, zst(inner)):
        codec = codec_of(io.BytesIO(kind))
        assert codec is not None
        assert inner[:1000] in kind
        assert boundary(io.BytesIO(kind), codec, 1, len(kind), None) == len(kind)


@pytest.mark.parametrize("form", ["gz", "zst"])
def test_a_cut_on_a_member_is_its_own_boundary(form: str, tmp_path: Path) -> None:
    members = [(gz if form == "gz" else zst)(record(http(noise(number, 9000)))) for number in range(20)]
    content = b"".join(members)
    starts = [len(b"".join(members[:number])) for number in range(len(members))]
    file = file_of(tmp_path, content, f"crawl.warc.{form}")
    codec = codec_of(io.BytesIO(content))
    assert codec is not None

    found = [boundary(io.BytesIO(content), codec, start, len(content), is_record) for start in starts]

    assert found == starts
    assert said(WARC, *parts(file, starts)) == said(WARC, file)


def test_every_part_reads_with_the_dictionary_of_the_first_frame(tmp_path: Path) -> None:
    samples = [record(http(html(number)), number) for number in range(200)]
    dictionary = zstandard.train_dictionary(2048, list(samples))
    frames = [zst(page, dictionary) for page in samples]
    for first in (dictionary.as_bytes(), zst(dictionary.as_bytes())):
        content = skippable(first, 0x184D2A5D) + b"".join(frames)
        file = file_of(tmp_path, content, "crawl.warc.zst")

        whole = said(WARC, file)

        assert sum(whole[0].values()) == 200
        assert said(WARC, *parts(file, range(4, len(content), 3000))) == whole


def test_frames_that_cannot_be_told_to_be_whole_are_no_boundaries() -> None:
    stream = zstandard.ZstdCompressor(write_checksum=False, write_content_size=False)
    content = b"".join(stream.compress(record(http(bytes([number]) * 700_000))) for number in range(3))
    content += stream.compress(record(http(noise(1, 200_000))))
    codec = codec_of(io.BytesIO(content))
    assert codec is not None

    assert boundary(io.BytesIO(content), codec, 1, len(content), is_record) == len(content)


def test_says_once_that_a_file_in_parts_holds_no_json(tmp_path: Path) -> None:
    file = file_of(tmp_path, b"\n".join(b"no json %d" % number for number in range(1500)), "a.jsonl")

    _, ledger, counts = said(JSONL, *parts(file, range(0, file.size_bytes, 9000)))

    assert (ledger, counts) == said(JSONL, file)[1:]
    assert counts["set_aside"] == 1


@pytest.mark.parametrize("content", [page_records(1)[0] * 900, gz(page_records(1)[0] * 900), b"\x04\x22\x4d\x18" * 900])
def test_the_first_part_reads_all_of_a_file_that_cannot_be_cut(content: bytes, tmp_path: Path) -> None:
    """What was sniffed decides how even tasks are, never what they read."""
    file = file_of(tmp_path, content, "crawl.warc")

    assert said(WARC, *parts(file, [len(content) // 3, len(content) // 2])) == said(WARC, file)


# Sizes


def listed(*sizes: int) -> list[InputFile]:
    return [InputFile(f"{number:06}", "", size, "1") for number, size in enumerate(sizes)]


def test_puts_small_files_together_evenly() -> None:
    sizes = [group_bytes(group) for group in together(listed(*[300_000] * 10), 1_000_000)]

    assert sizes == [900_000, 900_000, 900_000, 300_000]


def group_bytes(group: Sequence[InputFile]) -> int:
    return sum(file.part_bytes for file in group)


def test_a_hundred_thousand_tiny_files_make_a_hundred_tasks() -> None:
    groups = together(listed(*[700] * 100_000), 64 << 20)

    assert len(groups) == 98
    assert max(map(len, groups)) <= 1.02 * 100_000 / 98


@given(st.lists(st.integers(0, 300_000), max_size=60), st.integers(65_536, 200_000))
def test_no_task_has_more_than_it_may_unless_it_is_one_file(sizes: list[int], most: int) -> None:
    files = listed(*sizes)

    groups = together(files, most)

    assert [file for group in groups for file in group] == files
    assert all(len(group) == 1 or sum(max(f.size_bytes, OPENING_BYTES) for f in group) <= most for group in groups)
    assert all(groups)


@pytest.mark.parametrize(
    ("name", "form", "content"),
    [
        ("a.jsonl", "jsonl", b'{"text": "' + b"x" * 990 + b'"}\n'),
        ("a.jsonl.gz", "jsonl", gz(b'{"text": "' + noise(1, 1000).hex().encode() + b'"}\n')),
        ("a.warc.gz", "warc", gz(record(http(noise(1, 1000))))),
        ("a.warc.zst", "warc", zst(record(http(noise(1, 1000))))),
    ],
)
def test_cuts_a_large_file_into_even_parts(name: str, form: str, content: bytes, tmp_path: Path) -> None:
    file = file_of(tmp_path, content * 400, name)

    groups, notes = shards_of([file], 65_536, form)

    assert notes == ()
    assert len(groups) == -(-file.size_bytes // 65_536)
    assert max(map(group_bytes, groups)) - min(map(group_bytes, groups)) <= 1
    assert [group[0].part for group in groups if group[0].part][-1] == (group_start(groups), file.size_bytes)


def group_start(groups: Sequence[Sequence[InputFile]]) -> int:
    return sum(map(group_bytes, groups[:-1]))


@pytest.mark.parametrize(
    ("name", "form", "content", "why"),
    [
        ("a.warc", "warc", page_records(1)[0] * 400, "records of an uncompressed file"),
        ("a.warc.zst", "warc", zst(record(http(noise(1, 99_000)))), "no second zstd frame begins"),
        ("a.warc.gz", "warc", gz(page_records(1)[0] + noise(1, 99_000)), "no second gzip member"),
        ("a.jsonl.gz", "jsonl", gz(noise(1, 99_000)), "no second gzip member"),
        ("a.jsonl", "jsonl", b"x" * 99_000, "no line ends in its first 99.0 kB"),
        ("a.jsonl.xz", "jsonl", b"\xfd7zXZ" + bytes(99_000), "xz compression is not read here"),
        ("a.html", "html", html(1) * 200, "html files are not cut"),
    ],
)
def test_names_a_large_file_that_cannot_be_cut(name: str, form: str, content: bytes, why: str, tmp_path: Path) -> None:
    file = file_of(tmp_path, content, name)

    groups, notes = shards_of([file], 65_536, form)

    assert groups == ((file,),)
    assert len(notes) == 1
    assert notes[0].startswith(f"{name} (")
    assert why in notes[0]


def test_a_file_set_aside_and_its_losses_are_two_rows_and_their_bytes_count_once(tmp_path: Path) -> None:
    content = gz(b"no json\n" * 50)
    file = file_of(tmp_path, content[:-9], "a.jsonl.gz")

    _, ledger, counts = said(JSONL, file)

    ids = [row[0] for row in ledger if isinstance(row, tuple)]
    assert len(ids) == len(set(ids)) == 2
    assert counts["set_aside"] == 1
    assert counts["bytes_lost"] <= file.size_bytes
