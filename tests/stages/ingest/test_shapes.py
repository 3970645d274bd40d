"""Input of any shape: one huge document, huge files, very many tiny ones. Peaks are of a process of its own.

The long tests make gigabytes under `tmp_path`; the light ones are of the same shapes, smaller.
"""

import gzip
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from datapipe import ConfigError
from stages.ingest import Ingest, SourceConfig
from tests.stages.ingest.archives import html, http, record

MEGABYTE = 1 << 20
WARM = Path(__file__).parents[2] / "data/sample.warc.gz"  # what it takes to load libraries and kernels is no peak
CALL = """
import json, sys, time
from stages.ingest import Ingest, SourceConfig
from datapipe import Work
from datapipe.meter import forget_peak, peak_bytes

given = json.loads(sys.argv[1])
started = time.perf_counter()
made = Ingest(sources={"web": SourceConfig(path=given["path"], bytes_per_shard=given["shard"])},
              max_document_bytes=given["limit"]).build()
source, extract = made.op.parent.op, made.op.function
planned = time.perf_counter() - started
warm = Ingest(sources={"web": SourceConfig(path=given["warm"])}).build().op.parent.op
for batch in extract(warm.read(warm.groups[0], Work(0, emit=lambda *_: None)), Work(0, emit=lambda *_: None)):
    pass
forget_peak()
base = peak_bytes()
rows = dropped = 0
for number, group in enumerate(source.groups[:given["shards"]]):
    work = Work(number, "ingest", emit=lambda name, batch: None)
    for batch in extract(source.read(group, work), work):
        rows += batch.num_rows
    dropped += work.dropped
sizes = [sum(file.part_bytes for file in group) for group in source.groups]
print(json.dumps({"rows": rows, "dropped": dropped, "peak": peak_bytes() - base, "sizes": sizes,
                  "planned": planned, "seconds": time.perf_counter() - started, "notes": source.notes}))
"""


class Ran(NamedTuple):
    """What an ingest came to. `peak`: bytes above what the process held before it read; `sizes`: bytes of each task."""

    rows: int
    dropped: int
    peak: int
    sizes: list[int]
    planned: float
    seconds: float
    notes: list[str]


def run(path: Path, *, shard: int = 64 * MEGABYTE, limit: int = 64 * MEGABYTE, shards: int | None = None) -> Ran:
    given = {"path": str(path), "shard": shard, "limit": limit, "shards": shards, "warm": str(WARM)}
    done = subprocess.run([sys.executable, "-c", CALL, json.dumps(given)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Ran(**json.loads(done.stdout))


def page_of(size: int) -> bytes:
    paragraph = b"<p>" + b"A plain sentence of the page, and another one after it. " * 20 + b"</p>\n"
    return b"<html><body>" + paragraph * (size // len(paragraph)) + b"</body></html>"


def archive(path: Path, size: int) -> int:
    """Writes a WARC of pages, a gzip member a record, of about `size` bytes, and returns the number of its pages."""
    draw = random.Random(1)
    members = []
    for number in range(200):
        content = html(number).replace(b"</p>", f" {draw.randbytes(9000).hex()}</p>".encode())
        members.append(gzip.compress(record(http(content), number), 1, mtime=0))
    block = b"".join(members)
    with path.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
    return size // len(block) * len(members)


def json_lines(path: Path, size: int) -> int:
    """Writes JSON lines of about `size` bytes, and returns their number."""
    block = b"".join(json.dumps({"text": f"Line {number}. " * 300}).encode() + b"\n" for number in range(256))
    with path.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
    return size // len(block) * 256


def tiny_files(folder: Path, amount: int) -> None:
    for number in range(amount):
        if number % 1000 == 0:
            (folder / f"{number:06}").mkdir(parents=True)
        (folder / f"{number - number % 1000:06}" / f"{number:06}.html").write_bytes(html(number))


def assert_even(sizes: Sequence[int], most: int) -> None:
    assert max(sizes) <= most
    assert min(sizes) >= 0.9 * max(sizes)


def test_a_line_above_the_limit_streams(tmp_path: Path) -> None:
    with (tmp_path / "a.jsonl").open("wb") as file:
        for _ in range(48):
            file.write(b"x" * MEGABYTE)
        file.write(b'\n{"text": "the next"}\n')

    ran = run(tmp_path / "a.jsonl", limit=MEGABYTE)

    assert (ran.rows, ran.dropped) == (1, 1)
    assert ran.peak < 24 * MEGABYTE


def test_large_files_become_even_tasks_that_hold_all_documents(tmp_path: Path) -> None:
    pages = archive(tmp_path / "a.warc.gz", 3 * MEGABYTE)
    lines = json_lines(tmp_path / "a.jsonl", 3 * MEGABYTE)

    crawl, notes = (run(tmp_path / name, shard=MEGABYTE // 2) for name in ("a.warc.gz", "a.jsonl"))

    assert (crawl.rows, notes.rows) == (pages, lines)
    assert_even(crawl.sizes, MEGABYTE // 2)
    assert_even(notes.sizes, MEGABYTE // 2)
    assert len(crawl.sizes) > 3


def test_refuses_shards_smaller_than_what_it_costs_to_begin_one(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "x"}\n')

    with pytest.raises(ConfigError, match="bytes_per_shard: 1000 is less than 65536"):
        Ingest(sources={"web": SourceConfig(path=str(tmp_path), bytes_per_shard=1000)}).build()


# Heavy


@pytest.mark.long
def test_a_document_of_300_megabytes_above_the_limit_streams(tmp_path: Path) -> None:
    size = 300 * MEGABYTE
    line = tmp_path / "a.jsonl"
    with line.open("wb") as file:
        file.write(b'{"text": "')
        for _ in range(size // MEGABYTE):
            file.write(b"x" * MEGABYTE)
        file.write(b'"}\n{"text": "the next"}\n')
    page = tmp_path / "a.warc"
    page.write_bytes(record(http(page_of(size))) + record(http(html(1))))

    for path in (line, page):
        ran = run(path)

        assert (ran.rows, ran.dropped) == (1, 1)
        assert ran.peak < 150 * MEGABYTE


@pytest.mark.long
def test_a_line_of_300_megabytes_below_the_limit_is_a_document(tmp_path: Path) -> None:
    size = 300 * MEGABYTE
    line = tmp_path / "a.jsonl"
    with line.open("wb") as file:
        file.write(b'{"text": "' + b"A plain sentence. " * (size // 18) + b'"}\n')

    ran = run(line, limit=400 * MEGABYTE)

    assert (ran.rows, ran.dropped) == (1, 0)
    assert ran.peak < 8 * size


@pytest.mark.long
def test_a_json_lines_file_of_two_gigabytes_is_cut(tmp_path: Path) -> None:
    json_lines(tmp_path / "a.jsonl", 2 << 30)

    ran = run(tmp_path / "a.jsonl", shards=2)

    assert len(ran.sizes) == 32
    assert_even(ran.sizes, 64 * MEGABYTE)
    assert ran.planned < 5
    assert ran.peak < 150 * MEGABYTE


@pytest.mark.long
def test_an_archive_of_a_gigabyte_is_cut(tmp_path: Path) -> None:
    archive(tmp_path / "a.warc.gz", 1 << 30)

    ran = run(tmp_path / "a.warc.gz", shards=1)

    assert len(ran.sizes) == 16
    assert_even(ran.sizes, 64 * MEGABYTE)
    assert ran.planned < 5
    assert ran.peak < 150 * MEGABYTE


@pytest.mark.long
def test_a_hundred_thousand_tiny_files_are_put_together(tmp_path: Path) -> None:
    tiny_files(tmp_path / "pages", 100_000)

    started = time.perf_counter()
    ran = run(tmp_path / "pages", shards=1)

    assert len(ran.sizes) == 98
    assert_even(ran.sizes[:-1], 2 * MEGABYTE)
    assert ran.planned < 30
    assert ran.peak < 150 * MEGABYTE
    assert time.perf_counter() - started < 120
