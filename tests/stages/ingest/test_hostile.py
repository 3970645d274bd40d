"""What a page, a server or an archive can hold to make reading it slow or large, and what it costs."""

import time
from collections.abc import Callable

import pytest

from stages.ingest.address import epoch_seconds, iso_date
from stages.ingest.head import TAG_CHARACTERS, Head, head_of
from stages.ingest.response import HEADER_BYTES, parse
from stages.ingest.robots import signals
from stages.ingest.rows import BATCH_BYTES, Row, batches

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
    started = time.process_time()

    read(text)

    assert time.process_time() - started < SECONDS


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
