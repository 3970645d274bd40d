"""What is read of a large file to learn whether it can be cut."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datapipe.storage import read_range
from stages.ingest.parts import shards_of
from tests.stages.ingest.archives import page_records
from tests.stages.ingest.test_parts import file_of, gz, noise


@pytest.mark.parametrize(
    ("name", "form", "content", "times"),
    [
        ("a.warc", "warc", page_records(1)[0] * 900, 1),
        ("a.warc.xz", "warc", b"\xfd7zXZ" + bytes(900_000), 1),
        ("a.jsonl.gz", "jsonl", gz(noise(1, 99_000)), 1),
        ("a.jsonl.gz", "jsonl", gz(noise(1, 900_000)), 2),
    ],
)
def test_reads_no_more_of_a_file_where_its_start_says_all(
    name: str, form: str, content: bytes, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def counted(path: str, start: int, end: int) -> bytes:
        asked.append((start, end))
        return read_range(path, start, end)

    monkeypatch.setattr("stages.ingest.parts.read_range", counted)

    _, notes = shards_of([file_of(tmp_path, content, name)], 65_536, form)

    assert len(notes) == 1
    assert len(asked) == times


@pytest.mark.parametrize("groups", [1, 40])
def test_reads_of_a_table_its_footer_alone(groups: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = io.BytesIO()
    texts = [noise(number, 2000).hex() for number in range(400)]
    pq.write_table(pa.table({"text": texts}), sink, row_group_size=400 // groups, write_statistics=False)
    file = file_of(tmp_path, sink.getvalue(), "a.parquet")
    asked: list[int] = []

    def counted(path: str, start: int, end: int) -> bytes:
        asked.append(end - start)
        return read_range(path, start, end)

    monkeypatch.setattr("stages.ingest.parts.read_range", counted)

    shards, notes = shards_of([file], 1 << 18, "parquet")

    assert (len(shards) > 1) == (notes == ()) == (groups > 1)
    assert len(asked) == 2
    assert sum(asked) < 10_000


@pytest.mark.parametrize("tail", [b"\xff\xff\xff\xffPAR1", b"\x10\0\0\0PAR1", b"\x10\0\0\0PARE", bytes(8)])
def test_a_table_whose_footer_cannot_be_read_is_not_cut(tail: bytes, tmp_path: Path) -> None:
    file = file_of(tmp_path, b"PAR1" + bytes(99_000) + tail, "a.parquet")

    groups, notes = shards_of([file], 65_536, "parquet")

    assert groups == ((file,),)
    assert "its footer cannot be read" in notes[0]
