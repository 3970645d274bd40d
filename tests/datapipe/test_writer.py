"""A shard's bytes are a function of its rows, and a file that is not whole is never read as one."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe.errors import DataError, StageError
from datapipe.shard import Made, Passed, Shard, Writer, cut, read_shard, row_bytes
from datapipe.work import ID

SCHEMA = pa.schema(
    [
        ("id", ID),
        ("text", pa.string()),
        ("words", pa.int64()),
        ("good", pa.bool_()),
        ("tokens", pa.list_(pa.int32())),
        ("packed", pa.list_(pa.int32(), 3)),
    ]
)
ROW = st.fixed_dictionaries(
    {
        "id": st.binary(min_size=16, max_size=16),
        "text": st.none() | st.text(max_size=12) | st.just("松树" * 40),
        "words": st.none() | st.integers(-(2**63), 2**63 - 1),
        "good": st.none() | st.booleans(),
        "tokens": st.none() | st.lists(st.integers(0, 9), max_size=5),
        "packed": st.lists(st.integers(0, 9), min_size=3, max_size=3),
    }
)


def written(path: Path, schema: pa.Schema, batches: list[pa.RecordBatch]) -> bytes:
    """Returns the bytes of the file that these batches make."""
    writer = Writer(str(path), schema)
    for batch in batches:
        writer.write(batch)
    writer.close()
    return path.read_bytes()


@pytest.mark.parametrize("ending", [".ipc", ".arrow", ".parquet"])
@given(rows=st.lists(ROW, max_size=40), cuts=st.lists(st.integers(0, 40), max_size=6))
@settings(max_examples=40, deadline=None)
def test_bytes_do_not_depend_on_how_rows_come_in(
    ending: str, rows: list[dict[str, object]], cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("writer")
    whole = pa.RecordBatch.from_pylist(rows, SCHEMA)
    places = sorted({0, len(rows), *(place for place in cuts if place < len(rows))})
    slices = [whole.slice(start, end - start) for start, end in itertools.pairwise(places)]
    copies = [pa.RecordBatch.from_pylist(piece.to_pylist(), SCHEMA) for piece in slices]

    made = [written(folder / f"{kind}{ending}", SCHEMA, held) for kind, held in enumerate([[whole], slices, copies])]

    assert made[0] == made[1] == made[2]
    assert [row for batch in read_shard(str(folder / f"0{ending}")) for row in batch.to_pylist()] == rows


def test_what_lies_beneath_a_null_does_not_reach_the_file(tmp_path: Path) -> None:
    schema = pa.schema([("words", pa.int64())])
    clean = pa.array([1, None, 3], pa.int64())
    valid = clean.buffers()[0]
    dirty = pa.Array.from_buffers(pa.int64(), 3, [valid, pa.array([1, 99, 3], pa.int64()).buffers()[1]])

    made = [
        written(tmp_path / f"{number}.arrow", schema, [pa.RecordBatch.from_arrays([array], schema=schema)])
        for number, array in enumerate([clean, dirty])
    ]

    assert dirty.equals(clean)
    assert made[0] == made[1]


@given(sizes=st.lists(st.integers(0, 60), max_size=60), batch=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_batches_are_cut_by_their_rows_alone(sizes: list[int], batch: int) -> None:
    table = pa.table({"text": pa.array(["x" * size for size in sizes], pa.string())})

    made = list(cut(iter(table.to_batches(max_chunksize=batch)), 7, 100))

    whole = list(cut(iter(table.to_batches()), 7, 100))
    assert [part.to_pydict() for part in made] == [part.to_pydict() for part in whole]
    assert all(part.num_rows <= 7 and (part.num_rows == 1 or row_bytes(part)[:-1].sum() < 100) for part in made)


NESTED = pa.schema(
    [
        ("names", pa.list_(pa.string())),
        ("links", pa.large_list(pa.struct([("url", pa.large_string()), ("rank", pa.int32())]))),
        ("origin", pa.struct([("file", pa.string()), ("place", pa.struct([("start", pa.int64())]))])),
        ("pair", pa.list_(pa.string(), 2)),
        ("headers", pa.map_(pa.string(), pa.binary())),
        ("bands", pa.list_(pa.uint64(), 3)),
        ("seen", pa.bool_()),
    ]
)


def test_the_size_of_a_row_counts_all_that_nested_columns_hold() -> None:
    rows = [
        {
            "names": ["x" * number, "yy"],
            "links": [{"url": "u" * 10, "rank": 1}] * number,
            "origin": {"file": "f" * number, "place": {"start": number}},
            "pair": ["ab", "c" * number],
            "headers": {"k": b"v" * number},
            "bands": [1, 2, 3],
            "seen": True,
        }
        for number in range(40)
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=NESTED).slice(7, 20)

    sizes = row_bytes(batch)

    by_hand = [(n + 2) + n * (10 + 4) + (n + 8) + (2 + n) + (1 + n) + 3 * 8 + 1 for n in range(7, 27)]
    assert sizes.tolist() == by_hand


def test_rows_under_another_schema_are_refused_in_a_sentence(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "rows.ipc"), pa.schema([("id", ID)]))

    with pytest.raises(StageError, match=r"yielded the columns id: string, but promised id: fixed_size_binary\[16\]"):
        writer.write(pa.RecordBatch.from_pydict({"id": ["a"]}))


@pytest.mark.parametrize("ending", [".ipc", ".arrow", ".parquet"])
@pytest.mark.parametrize("left", [0.0, 0.5, 0.98])
def test_a_truncated_file_is_a_sentence(ending: str, left: float, tmp_path: Path) -> None:
    path = tmp_path / f"rows{ending}"
    content = written(path, pa.schema([("n", pa.int64())]), [pa.RecordBatch.from_pydict({"n": list(range(9000))})])
    path.write_bytes(content[: int(len(content) * left)])

    with pytest.raises(
        DataError, match=f"{path}: cannot be read as a shard .*; remove the folder {tmp_path} and run again"
    ):
        list(read_shard(str(path)))


def test_a_file_of_bytes_holds_the_one_value(tmp_path: Path) -> None:
    schema = pa.schema([("content", pa.binary())])

    made = written(tmp_path / "manifest.json", schema, [pa.RecordBatch.from_pydict({"content": [b"{}"]}, schema)])

    assert made == b"{}"


@pytest.mark.parametrize("values", [[], [b"a", b"b"]], ids=["none", "two"])
def test_a_file_of_bytes_takes_exactly_one_value(values: list[bytes], tmp_path: Path) -> None:
    schema = pa.schema([("content", pa.binary())])

    with pytest.raises(StageError, match=rf"\(\.json\) takes one row .* not {len(values)}"):
        written(tmp_path / "manifest.json", schema, [pa.RecordBatch.from_pydict({"content": values}, schema)])


def test_equal_records_are_equal_bytes_and_come_back() -> None:
    made = {
        "rows": Made("step/000000-rows.ipc", 2, 30, "ab"),
        "ledger": Made("step/000000-ledger.exchange", 0, 9, "cd"),
    }
    passed = (Passed("short", documents=True, rows_in=3, made=0, rows_out=2, dropped=1),)
    record = Shard("step", 0, made, passed, {"short": {"drop.short": 1}})
    other = Shard("step", 0, dict(reversed(made.items())), passed, {"short": {"drop.short": 1}})

    assert record.to_json() == other.to_json()
    assert Shard.from_json(record.to_json()) == record


@pytest.mark.parametrize("cuts", [[5], [1, 3, 1], [2, 0, 3]])
def test_a_zst_file_holds_the_values_one_after_another_however_they_came(cuts: list[int], tmp_path: Path) -> None:
    schema = pa.schema([("content", pa.binary())])
    values = [b"a" * 40_000_000, b"", b"b\n", b"c", b"d"]
    ends = np.cumsum(cuts)
    batches = [
        pa.record_batch([pa.array(values[end - rows : end], pa.binary())], schema=schema)
        for rows, end in zip(cuts, ends, strict=True)
    ]

    made = written(tmp_path / "lines.jsonl.zst", schema, batches)

    frames = zstandard.ZstdDecompressor().stream_reader(made, read_across_frames=True)
    whole = written(
        tmp_path / "whole.jsonl.zst", schema, [pa.record_batch([pa.array(values, pa.binary())], schema=schema)]
    )
    assert frames.read() == b"".join(values)
    assert made == whole


def test_a_zst_file_of_no_rows_is_a_frame_of_nothing(tmp_path: Path) -> None:
    content = written(tmp_path / "lines.jsonl.zst", pa.schema([("content", pa.binary())]), [])

    assert content
    assert zstandard.ZstdDecompressor().decompress(content) == b""
