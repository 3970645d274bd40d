"""What a page, a server or an archive can hold to make reading it slow or large, and what it costs."""

import gzip
import io
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from datapipe import InputFile
from datapipe.meter import forget_peak, peak_bytes
from datapipe.work import Work
from stages.ingest.address import epoch_seconds, iso_date
from stages.ingest.columns import Bounded, Part, ReadColumns, parquet_parts
from stages.ingest.compression import codec_of
from stages.ingest.fields import FieldNames
from stages.ingest.head import TAG_CHARACTERS, Head, head_of
from stages.ingest.parts import boundary
from stages.ingest.response import HEADER_BYTES, parse
from stages.ingest.robots import signals
from stages.ingest.rows import BATCH_BYTES, Row, batches
from stages.ingest.warc import is_record
from tests.stages.ingest.archives import http, page_records, record
from tests.stages.ingest.test_columns import written
from tests.stages.ingest.test_parts import WARC, file_of, gz, noise, parts, said, skippable, zst

LENGTH = 1 << 16
SECONDS = 0.2


def respond(field: str) -> object:
    return parse(b"HTTP/1.1 200 OK\r\n" + field.encode() + b"\r\n\r\nbody")


def ask(value: str) -> object:
    return signals(f"x-robots-tag:{value}\n", ())


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (respond, "Content-Type: text/html; charset=" + " " * (LENGTH - 50)),
        (respond, "Content-Type: text/html; " + "charset =" * (LENGTH // 9 - 10)),
        (respond, "Content-Type: text/html; charset" + " " * (LENGTH - 50)),
        (ask, "a" + " " * LENGTH),
        (ask, " :" * (LENGTH // 2)),
        (ask, "unavailable_after" + " " * LENGTH),
        (head_of, f"<meta name={' ' * (TAG_CHARACTERS - 9)}>" * (LENGTH // TAG_CHARACTERS)),
        (head_of, f"<meta name=robots {'a' * (TAG_CHARACTERS - 20)}>" * (LENGTH // TAG_CHARACTERS)),
        (head_of, f"<link canonical a{' ' * (TAG_CHARACTERS - 20)}>" * (LENGTH // TAG_CHARACTERS)),
        (head_of, "<meta " * (LENGTH // 6)),
        (head_of, "<meta name=robots>" * (LENGTH // 18)),
        (head_of, "<!--" + "<meta name=robots>" * (LENGTH // 18)),
    ],
)
def test_reading_takes_no_time_whatever_is_written(read: Callable[[str], object], text: str) -> None:
    assert min(seconds(read, text) for _ in range(3)) < SECONDS  # of three: a garbage collection takes as long


def seconds(read: Callable[[str], object], text: str) -> float:
    """Returns the CPU time that reading takes."""
    started = time.process_time()
    read(text)
    return time.process_time() - started


def test_a_head_without_end_is_read_for_so_far() -> None:
    fields = b"x-robots-tag: noai\r\n"

    found = parse(b"HTTP/1.1 200 OK\r\n" + fields * (4 * HEADER_BYTES // len(fields)))

    assert found.asks is not None
    assert 0.8 * HEADER_BYTES < len(found.asks) <= HEADER_BYTES
    assert found.body == b""


def test_tags_are_read_behind_ones_that_are_none() -> None:
    long = "<meta name=robots content=noai " + "x" * TAG_CHARACTERS + ">"
    page = (
        f"<meta ><base href=/b>{long}<!-- <meta name=robots content=a> --><meta name=robots content=b>"
        "<script><meta name=robots content=c></script><template></template><meta name='robots' content=\"d>"
        "<link rel=canonical href=/c><meta name=robots content=e"
    )

    assert head_of(page) == Head("/c", "/b", (("robots", "b"), ("robots", "")))


@pytest.mark.parametrize("stated", ["0001-01-01T00:00:00+08:00", "9999-12-31T23:59:59-08:00"])
def test_a_date_that_no_year_holds_is_none(stated: str) -> None:
    assert epoch_seconds(stated) is None
    assert iso_date(epoch_seconds(stated)) is None


def test_carried_fields_count_in_a_batch() -> None:
    rows = [Row(bytes(16), "web", text="x", extra="字" * (1 << 17)) for _ in range(40)]

    found = list(batches(rows))

    assert sum(batch.num_rows for batch in found) == 40
    assert max(batch.nbytes for batch in found) <= BATCH_BYTES


# Archives


def test_a_skippable_frame_passes_over_nothing_in_a_proof(tmp_path: Path) -> None:
    """It could pass over the header of the outer member's next block, and what follows would look like members."""
    fake, other = (zst(record(http(noise(seed, 900)), seed)) for seed in (7, 8))
    hidden = fake + skippable(noise(2, 140_003))[:-3] + other + noise(3, 50_000)
    outer = zst(record(http(hidden, kind="application/zstd"), 1))
    content = outer + b"".join(zst(record(http(noise(number, 9000)), number)) for number in range(8))
    assert content.index(other) - content.index(fake) - len(fake) == 8 + 140_003
    file = file_of(tmp_path, content, "crawl.warc.zst")

    whole = said(WARC, file)

    assert sum(whole[0].values()) == 9
    assert said(WARC, *parts(file, [100])) == whole


@pytest.mark.parametrize("flag", [4, 8, 16])
def test_a_long_field_of_a_gzip_header_proves_nothing(flag: int) -> None:
    """No checksum holds for it, so it too could pass over what is between two blocks."""
    pages = [gz(record(http(noise(number, 40_000)), number)) for number in range(4)]
    size = 600
    field = size.to_bytes(2, "little") + bytes(size) if flag == 4 else b"n" * size + b"\0"
    odd = pages[0][:3] + bytes([flag]) + pages[0][4:10] + field + pages[0][10:]
    named = pages[0][:3] + bytes([flag]) + pages[0][4:10] + field.replace(bytes([field[5]]) * 500, b"") + pages[0][10:]
    short = named if flag != 4 else pages[0][:3] + b"\4" + pages[0][4:10] + b"\6\0BC\2\0ab" + pages[0][10:]
    assert gzip.decompress(odd) == gzip.decompress(short) == gzip.decompress(pages[0])

    for first, true in ((odd, False), (short, True)):
        content = first + b"".join(pages[1:])
        codec = codec_of(io.BytesIO(content))
        assert codec is not None
        assert boundary(io.BytesIO(content), codec, 0, len(content), is_record) == (0 if true else len(first))


def test_no_dictionary_is_decompressed_without_bound(tmp_path: Path) -> None:
    bomb = skippable(zstandard.compress(bytes(200 << 20)), 0x184D2A5D)
    file = file_of(tmp_path, bomb + zst(page_records(1)[0]), "crawl.warc.zst")
    assert file.size_bytes < 30_000

    forget_peak()
    base = peak_bytes()
    _, ledger, counts = said(WARC, file)

    assert peak_bytes() - base < 100 << 20
    assert counts["set_aside"] == 1
    assert "a zstd dictionary of more than 33554432 bytes" in str(ledger)


# Tables


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("encoding", ["dictionary", "DELTA_BYTE_ARRAY"])
def test_a_value_that_many_rows_share_makes_no_large_batch(nested: bool, encoding: str) -> None:
    sink = io.BytesIO()
    shared = "y" * (2 << 20)
    column = pa.array([{"a": shared}] * 100) if nested else pa.array([shared] * 100)
    how = {} if encoding == "dictionary" else {"use_dictionary": False, "column_encoding": encoding}
    table = pa.table({"text": ["x"] * 100, "m": column}) if nested else pa.table({"text": column})
    if nested and how:
        how["column_encoding"] = {"text": "PLAIN", "m.a": encoding}
    pq.write_table(table, sink, compression="zstd", **how)
    file = InputFile("a", "a", len(sink.getvalue()), "1")
    assert file.size_bytes < 20_000 or encoding != "dictionary"

    parts = list(parquet_parts(Bounded(sink, file.size_bytes), file, FieldNames()))

    assert all(isinstance(part, Part) and part.batch.nbytes < 32 << 20 for part in parts)
    assert sum(part.batch.num_rows for part in parts if isinstance(part, Part)) == 100


def test_a_shared_value_of_an_arrow_file_is_written_out_few_times_at_once(tmp_path: Path) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 60, pa.int8()), pa.array(["y" * (4 << 20)]))
    path = written(tmp_path / "a", pa.table({"text": column}), "stream", 60)
    reader = ReadColumns("arrow", "web", None, 64 << 20, FieldNames())
    file = InputFile("a", str(path), path.stat().st_size, "1")

    forget_peak()
    base = peak_bytes()
    found = [batch.num_rows for batch in reader([file], Work(0))]

    assert sum(found) == 60
    assert peak_bytes() - base < 150 << 20
