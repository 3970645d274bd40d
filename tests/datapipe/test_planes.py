"""Lists of int32 in planes: the same rows again, whatever they are slices of, and small in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe.planes import from_planes, has_planes, into_planes, join, plain_split, split
from datapipe.shard import Writer, read_shard
from datapipe.work import ID

INT32 = st.integers(-(2**31), 2**31 - 1)
LISTS = st.lists(st.none() | st.lists(st.none() | INT32, max_size=5), max_size=9)
PAIRS = st.lists(st.none() | st.tuples(INT32, INT32), max_size=9)


@given(st.lists(st.integers(0, 2**32 - 1), max_size=40))
def test_the_kernels_agree_with_their_plain_twin_and_undo_each_other(numbers: list[int]) -> None:
    array = np.array(numbers, np.uint32)
    array.flags.writeable = False

    planes = split(array)

    assert (planes == plain_split(array)).all()
    planes.flags.writeable = False
    assert join(planes).tolist() == numbers


@given(LISTS, PAIRS, st.integers(0, 4))
def test_rows_come_back_from_planes_as_they_were(
    lists: list[list[int | None] | None], pairs: list[tuple[int, int] | None], start: int
) -> None:
    rows = min(len(lists), len(pairs))
    columns = {
        "list": pa.array(lists[:rows], pa.list_(pa.int32())),
        "large": pa.array(lists[:rows], pa.large_list(pa.int32())),
        "fixed": pa.array(pairs[:rows], pa.list_(pa.int32(), 2)),
        "ids": pa.array([[b"0123456789abcdef"]] * rows, pa.list_(ID)),
    }
    batch = pa.RecordBatch.from_pydict(columns).slice(start)

    back = from_planes(into_planes(batch))

    back.validate(full=True)
    assert back.equals(batch)


@pytest.mark.parametrize("ending", [".ipc", ".arrow"])
def test_a_file_of_tokens_gives_back_its_rows_and_its_schema(ending: str, tmp_path: Path) -> None:
    tokens = pa.array(np.random.default_rng(1).integers(0, 100_000, 8 * 4096), pa.int32())
    columns = {"input_ids": pa.FixedSizeListArray.from_arrays(tokens, 4096), "name": pa.array([*"abcdefgh"])}
    batch = pa.RecordBatch.from_pydict(columns).replace_schema_metadata({"kept": "as it was"})
    writer = Writer(str(tmp_path / f"rows{ending}"), batch.schema)
    writer.write(batch.slice(3))
    writer.close()

    (read,) = read_shard(str(tmp_path / f"rows{ending}"))

    assert read.equals(batch.slice(3), check_metadata=True)


def test_ids_of_a_common_vocabulary_take_half_their_bytes_between_steps(tmp_path: Path) -> None:
    """By hand: 16 bits of 32 are random, the others zero; what zstd adds is below one in a hundred."""
    tokens = np.random.default_rng(1).integers(0, 1 << 16, 1 << 18)
    batch = pa.RecordBatch.from_pydict({"ids": pa.FixedSizeListArray.from_arrays(pa.array(tokens, pa.int32()), 2048)})
    writer = Writer(str(tmp_path / "rows.ipc"), batch.schema)
    writer.write(batch)
    writer.close()

    assert 2 * len(tokens) <= writer.file.size <= 2.02 * len(tokens)


def test_only_lists_of_int32_lie_in_planes() -> None:
    assert has_planes(pa.schema([("ids", pa.list_(pa.int32(), 8))]))
    assert not has_planes(pa.schema([("ids", pa.list_(pa.int64())), ("n", pa.int32()), ("text", pa.string())]))
