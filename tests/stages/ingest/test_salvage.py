import gzip
import io
import os
import random
from pathlib import Path

import pytest
import zstandard
from fastwarc.warc import ArchiveIterator
from hypothesis import given
from hypothesis import strategies as st

from stages.ingest.members import HOLD_BYTES, Loss, pieces
from stages.ingest.warc import records
from tests.stages.ingest.archives import blocks, html, http, pack, packed, page_records, record, salvaged

FORMS = ("plain", "gz", "zst")
PAGES = page_records(5)
WHOLE = blocks(b"".join(PAGES))


@pytest.mark.parametrize("form", FORMS)
def test_reads_what_fastwarc_reads(form: str) -> None:
    content = packed(PAGES, form)

    expected = [found.reader.read() for found in ArchiveIterator(io.BytesIO(content), parse_http=False)]

    assert blocks(content) == expected
    assert salvaged(content)[1] == []


@pytest.mark.parametrize("form", FORMS)
def test_says_where_each_record_begins(form: str) -> None:
    content = packed(PAGES, form)

    expected = [found.stream_pos for found in ArchiveIterator(io.BytesIO(content), parse_http=False)]

    assert [found.offset for found in salvaged(content)[0]] == expected


@pytest.mark.parametrize("form", FORMS)
def test_reads_records_that_share_a_member(form: str) -> None:
    assert blocks(pack(b"".join(PAGES), form)) == WHOLE


@pytest.mark.parametrize("form", FORMS)
def test_keeps_whole_records_wherever_the_file_is_cut(form: str) -> None:
    members = [pack(page, form) for page in PAGES]
    content = b"".join(members)
    ends = [sum(map(len, members[: number + 1])) for number in range(len(members))]
    starts = [0, *ends[:-1]]
    places = {place + by for place in (*starts, *ends) for by in range(-12, 13)} | set(range(1, len(content), 97))

    for place in sorted(place for place in places if 0 < place < len(content)):
        kept, losses = salvaged(content[:place])
        whole = sum(end <= place for end in ends)

        assert [found.block for found in kept[:whole]] == WHOLE[:whole], place
        assert [found.block for found in kept] in (WHOLE[:whole], WHOLE[: whole + 1]), place
        assert bool(losses) or len(kept) == whole + 1 or place in ends, place
        assert all(loss.rule in ("truncated_record", "damaged_archive", "not_warc") for loss in losses)


@pytest.mark.parametrize("form", ["gz", "zst"])
def test_never_yields_other_bytes_than_were_stored_when_one_is_flipped(form: str) -> None:
    content = packed(PAGES, form)

    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        kept = blocks(bytes(damaged), f"crawl.warc.{form}")

        assert len(kept) >= len(PAGES) - 1, place
        assert set(kept) <= set(WHOLE), place


def test_keeps_the_neighbours_of_a_damaged_plain_record() -> None:
    content = bytearray(b"".join(PAGES))
    start = len(PAGES[0])

    for place in range(start, start + 300):
        damaged = content.copy()
        damaged[place] ^= 0x10
        kept = blocks(bytes(damaged))

        assert kept[0] == WHOLE[0], place
        assert kept[-3:] == WHOLE[2:], place


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "garbage", [b"x", b"garbage " * 40, b"\x1f\x8b\x08\x00 no member", b"WARC/1.0 no record", b"\xff" * 5000]
)
def test_passes_over_garbage_between_members(form: str, garbage: bytes) -> None:
    members = [pack(page, form) for page in PAGES]
    content = b"".join([*members[:2], garbage, *members[2:]])

    kept, losses = salvaged(content)

    assert [found.block for found in kept] == WHOLE
    assert sum(loss.amount for loss in losses) == len(garbage)
    assert losses[0].start == sum(map(len, members[:2]))


@pytest.mark.parametrize("form", FORMS)
def test_takes_zero_bytes_between_members_for_padding(form: str) -> None:
    members = [pack(page, form) for page in PAGES]

    kept, losses = salvaged(b"".join([members[0], bytes(700), *members[1:], bytes(9000)]))

    assert [found.block for found in kept] == WHOLE
    assert losses == []


def test_finds_the_record_that_a_wrong_length_swallowed() -> None:
    long = PAGES[1].replace(b"Content-Length: ", b"Content-Length: 1")

    kept, losses = salvaged(b"".join([PAGES[0], long, *PAGES[2:]]))

    assert [found.block for found in kept] == [WHOLE[0], *WHOLE[2:]]
    assert [(loss.start, loss.amount) for loss in losses] == [(len(PAGES[0]), len(long))]


def test_reads_line_feeds_folded_names_and_any_case() -> None:
    odd = record(http(b"<p>x")).replace(b"\r\n", b"\n").replace(b"Content-Length: ", b"content-length:\n  ")
    odd = odd.replace(
        b"\nHTTP/1.1 200 OK\nContent-Type: text/html\n\n", b"\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    )

    assert blocks(odd + PAGES[0]) == [http(b"<p>x"), WHOLE[0]]


def test_passes_over_a_record_longer_than_the_limit() -> None:
    found = list(records(pieces(io.BytesIO(b"".join([record(bytes(5000)), *PAGES]))), 4000))

    assert [item.block for item in found if not isinstance(item, Loss)] == [None, *WHOLE]


def test_uses_the_dictionary_that_a_zstd_archive_begins_with() -> None:
    samples = [record(http(html(number)), number) for number in range(200)]
    dictionary = zstandard.train_dictionary(2048, samples)
    content = dictionary.as_bytes()
    frame = (0x184D2A5D).to_bytes(4, "little") + len(content).to_bytes(4, "little") + content
    codec = zstandard.ZstdCompressor(dict_data=dictionary)

    assert blocks(frame + b"".join(codec.compress(page) for page in PAGES)) == WHOLE


def test_salvages_what_precedes_the_damage_in_a_large_shared_member() -> None:
    noise = random.Random(1)
    long = [record(http(noise.randbytes(100_000).hex().encode()), number) for number in range(100)]
    content = bytearray(gzip.compress(b"".join(long), 1, mtime=0))
    assert len(b"".join(long)) > 2 * HOLD_BYTES
    content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)

    kept, losses = salvaged(bytes(content))

    assert 45 <= len(kept) <= 51
    assert [found.block for found in kept[:45]] == blocks(b"".join(long[:45]))
    assert {loss.rule for loss in losses} == {"damaged_archive"}
    assert losses[-1].end == len(content)


@given(st.lists(st.binary(max_size=200), max_size=6), st.sampled_from(FORMS), st.binary(max_size=60))
def test_reads_back_whatever_was_stored(contents: list[bytes], form: str, tail: bytes) -> None:
    content = packed([record(block) for block in contents], form)

    assert blocks(content) == contents
    assert blocks(content + tail)[: len(contents)] == contents


def test_reads_every_archive_of_other_libraries_suites(shared: Path) -> None:
    """fastwarc is the other implementation; where it stops with an error, at least its records are found here."""
    strange = {"LICENSE", "LICENSE.txt"}
    files = [path for path in sorted((shared / "data/warc").rglob("*")) if path.is_file() and path.name not in strange]
    assert len(files) > 80

    for path in files:
        content = path.read_bytes()
        if content.startswith(b"\x04\x22\x4d\x18"):
            continue
        kept, losses = salvaged_large(content)
        expected = fastwarc_blocks(path)
        ours = [block for block in kept if block]

        assert ours == expected or set(expected) <= set(ours) or losses, path.name


def salvaged_large(content: bytes) -> tuple[list[bytes | None], list[Loss]]:
    found = list(records(pieces(io.BytesIO(content)), 1 << 26))
    return [item.block for item in found if not isinstance(item, Loss)], [
        item for item in found if isinstance(item, Loss)
    ]


def fastwarc_blocks(path: os.PathLike[str]) -> list[bytes]:
    found = []
    try:
        for item in ArchiveIterator(str(path), parse_http=False):
            block = item.reader.read()
            if block and len(block) == item.content_length:
                found.append(block)
    except OSError:
        pass
    return found
