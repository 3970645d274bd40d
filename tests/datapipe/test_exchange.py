"""The exchange: equal keys together, sorted, in bounded memory, whatever the producers and their batches were."""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe.errors import DataError, StageError
from datapipe.exchange import Extent, Routing, ScatterWriter, extent_of, gather, part_of, read_index, read_part
from datapipe.sort import Budget, Sorter, merge

MEMORY = 1 << 20
ROWS = pa.schema([("key", pa.int64()), ("tie", pa.int32()), ("text", pa.string())])
Keys = Sequence[object]


def table_of(keys: Keys, kind: pa.DataType = ROWS.types[0]) -> pa.Table:
    """Returns rows of these keys; `text` numbers them."""
    numbers = pa.array([f"row {number}" for number in range(len(keys))])
    ties = pa.array([number * 7 % 3 for number in range(len(keys))], pa.int32())
    return pa.table({"key": pa.array(keys, kind), "tie": ties, "text": numbers})


def scatter(
    folder: Path, tables: Sequence[pa.Table], routing: Routing, *, memory: int = MEMORY, batch: int = 1000
) -> list[str]:
    """Writes a scatter file for each table; returns their paths."""
    paths = []
    for number, table in enumerate(tables):
        path = str(folder / f"{number}.exchange")
        writer = ScatterWriter(path, table.schema, routing, str(folder), Budget(memory))
        for part in table.to_batches(max_chunksize=batch):
            writer.write(part)
        writer.close()
        paths.append(path)
    return paths


def gathered(
    paths: list[str], schema: pa.Schema, routing: Routing, folder: Path, memory: int = MEMORY
) -> list[pa.Table]:
    """Returns the rows of every part."""
    return [
        pa.Table.from_batches(gather(paths, part, schema, routing.keys, str(folder), memory), schema)
        for part in range(routing.parts)
    ]


def expected(tables: Sequence[pa.Table], routing: Routing) -> list[pa.Table]:
    """Returns the parts as a plain stable sort makes them, in the order (producer, row) where keys are equal."""
    rows = [row for table in tables for row in table.to_pylist()]
    rows.sort(key=lambda row: tuple(row[name] for name in routing.keys))
    schema = tables[0].schema
    parts = part_of(pa.array([row[routing.by] for row in rows], schema.field(routing.by).type), routing).tolist()
    return [
        pa.Table.from_pylist([row for row, at in zip(rows, parts, strict=True) if at == part], schema)
        for part in range(routing.parts)
    ]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.int64(), lambda number: number * 37 % 11 - 5),
        (pa.uint64(), lambda number: number * 37 % 11 + (1 << 63)),
        (pa.int32(), lambda number: number * 37 % 11 - 5),
        (pa.uint8(), lambda number: number * 37 % 11),
        (pa.string(), lambda number: ["", "a", "é", "松", "松树", "z"][number * 37 % 6]),
        (pa.large_string(), lambda number: ["", "a", "é", "松", "松树", "z"][number * 37 % 6]),
        (pa.binary(), lambda number: bytes([255, number * 37 % 11])),
        (pa.binary(4), lambda number: bytes([255, 0, number * 37 % 11, 128])),
        (pa.binary(16), lambda number: bytes([number * 37 % 11] * 16)),
    ],
    ids=lambda value: str(value) if isinstance(value, pa.DataType) else "",
)
def test_gathers_the_rows_of_each_key_sorted_for_every_kind_of_key(
    kind: pa.DataType, value: Callable[[int], object], tmp_path: Path
) -> None:
    tables = [table_of([value(number + shift) for number in range(60)], kind) for shift in range(3)]
    routing = Routing("key", ("tie",), 4, direct=False)

    parts = gathered(scatter(tmp_path, tables, routing), tables[0].schema, routing, tmp_path)

    assert parts == expected(tables, routing)
    assert sum(part.num_rows > 0 for part in parts) > 1


@given(
    shards=st.lists(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 2)), max_size=30), min_size=1, max_size=5),
    parts=st.integers(1, 4),
    batch=st.integers(1, 30),
    memory=st.sampled_from([1, 200, MEMORY]),
)
@settings(max_examples=60, deadline=None)
def test_the_result_is_a_function_of_rows_alone(
    shards: list[list[tuple[int, int]]], parts: int, batch: int, memory: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("scatter")
    rows = [
        (key, tie, f"{number}.{row}") for number, shard in enumerate(shards) for row, (key, tie) in enumerate(shard)
    ]
    starts = np.cumsum([0, *(len(shard) for shard in shards)])
    tables = [
        pa.Table.from_pylist([dict(zip(ROWS.names, row, strict=True)) for row in rows[start:end]], ROWS)
        for start, end in itertools.pairwise(starts)
    ]
    routing = Routing("key", ("tie",), parts, direct=False)

    made = gathered(scatter(folder, tables, routing, memory=memory, batch=batch), ROWS, routing, folder, memory)

    assert made == expected(tables, routing)


def test_the_bytes_of_a_scatter_file_depend_on_neither_batches_nor_memory(tmp_path: Path) -> None:
    table = table_of([number * 7919 % 501 for number in range(5000)])
    routing = Routing("key", ("tie",), 3, direct=False)
    made = []

    for memory, batch in ((MEMORY, 5000), (MEMORY, 13), (40_000, 999)):
        folder = tmp_path / f"{memory}-{batch}"
        folder.mkdir()
        made.append(Path(scatter(folder, [table], routing, memory=memory, batch=batch)[0]).read_bytes())

    assert made[0] == made[1] == made[2]


PAIR_TYPES = [
    (pa.uint64(), pa.int64()),
    (pa.int64(), pa.uint64()),
    (pa.uint64(), pa.binary(8)),
    (pa.int32(), pa.int64()),
]


@pytest.mark.parametrize("kinds", PAIR_TYPES, ids=str)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("memory", [MEMORY, 40_000, 999])
def test_narrow_rows_are_the_same_in_memory_and_from_scratch(
    kinds: tuple[pa.DataType, pa.DataType], turned: bool, memory: int, tmp_path: Path
) -> None:
    draw = random.Random(2)
    keys = {
        pa.uint64(): lambda: draw.choice([0, 5, 2**63, 2**64 - 1, draw.randrange(2**64)]),
        pa.int64(): lambda: draw.choice([0, -1, 2**62, draw.randrange(-(2**63), 2**63)]),
        pa.int32(): lambda: draw.randrange(-9, 9),
        pa.binary(8): lambda: draw.randbytes(8),
    }
    columns = [pa.array([keys[kind]() for _ in range(4000)], kind) for kind in kinds]
    table = pa.table(dict(zip("ba" if turned else "ab", columns, strict=True)))
    routing = Routing("a", ("b",), 3, direct=False)
    tables = [table.slice(0, 1500), table.slice(1500)]

    paths = scatter(tmp_path, tables, routing, memory=memory, batch=313)

    assert gathered(paths, table.schema, routing, tmp_path, memory) == expected(tables, routing)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".exchange"]


def test_the_bytes_of_narrow_scatter_files_depend_on_neither_batches_nor_memory(tmp_path: Path) -> None:
    table = table_of([number * 7919 % 501 for number in range(5000)]).select(["key", "tie"])
    routing = Routing("key", ("tie",), 3, direct=False)
    made = []

    for memory, batch in ((MEMORY, 5000), (MEMORY, 13), (40_000, 999), (1, 100)):
        folder = tmp_path / f"{memory}-{batch}"
        folder.mkdir()
        made.append(Path(scatter(folder, [table], routing, memory=memory, batch=batch)[0]).read_bytes())

    assert made[0] == made[1] == made[2] == made[3]


def test_any_split_of_the_rows_among_producers_gives_the_same_parts(tmp_path: Path) -> None:
    table = table_of([number * 7919 % 97 for number in range(600)])
    routing = Routing("key", ("text",), 3, direct=False)
    made = []

    for producers in (1, 2, 7, 40):
        folder = tmp_path / str(producers)
        folder.mkdir()
        shuffled = list(range(600))
        random.Random(producers).shuffle(shuffled)
        tables = [table.take(shuffled[number::producers]) for number in range(producers)]
        made.append(gathered(scatter(folder, tables, routing), table.schema, routing, folder, memory=5000))

    assert all(parts == made[0] for parts in made)


@pytest.mark.parametrize("skewed", [False, True], ids=["spread", "one key"])
@pytest.mark.parametrize("producers", [4, 40])
def test_ten_times_the_data_of_its_memory_is_sorted_within_a_bound(
    skewed: bool, producers: int, tmp_path: Path
) -> None:
    memory = 4 << 20
    rows = 10 * memory // 2064 // producers
    routing = Routing("key", ("tie",), 1 if skewed else 2, direct=False)
    random_bytes = np.random.default_rng(7)
    schema = pa.schema([("key", pa.int64()), ("tie", pa.int64()), ("body", pa.binary(2048))])

    def table(number: int) -> pa.Table:
        keys = np.zeros(rows, np.int64) if skewed else random_bytes.integers(0, 1000, rows)
        body = pa.Array.from_buffers(pa.binary(2048), rows, [None, pa.py_buffer(random_bytes.bytes(2048 * rows))])
        return pa.table({"key": keys, "tie": random_bytes.integers(0, 1 << 40, rows), "body": body}, schema)

    before = pa.total_allocated_bytes()
    paths = [scatter(tmp_path, [table(0)], routing, memory=memory)[0]]
    for number in range(1, producers):
        other = tmp_path / str(number)
        other.mkdir()
        paths += scatter(other, [table(number)], routing, memory=memory)
    most, seen, last = 0, 0, (-1, -1)
    for part in range(routing.parts):
        for batch in gather(paths, part, schema, routing.keys, str(tmp_path), memory):
            most = max(most, pa.total_allocated_bytes() - before)
            seen += batch.num_rows
            first = (batch.column("key")[0].as_py(), batch.column("tie")[0].as_py())
            assert last <= first
            last = (batch.column("key")[-1].as_py(), batch.column("tie")[-1].as_py())
        last = (-1, -1)

    assert seen == rows * producers
    assert most < 4 * memory


def test_a_sorter_in_memory_and_one_that_spills_many_runs_agree(tmp_path: Path) -> None:
    table = table_of([number * 7919 % 50 for number in range(2500)])

    def made(memory: int) -> pa.Table:
        sorter = Sorter(table.schema, ("key", "tie"), str(tmp_path), Budget(memory))
        for batch in table.to_batches(max_chunksize=37):
            sorter.add(batch)
        return pa.Table.from_batches(sorter.finish(), table.schema)

    small, large = made(5000), made(1 << 30)

    assert small == large
    assert small.num_rows == 2500
    assert not list(tmp_path.glob("run-*"))


def test_sorters_that_share_a_budget_hold_no_more_than_it_together(tmp_path: Path) -> None:
    budget = Budget(100_000)
    tables = [table_of([number * 7919 % 50 for number in range(size)]) for size in (2000, 300, 300)]
    sorters = [Sorter(ROWS, ("key", "tie"), str(tmp_path), budget) for _ in tables]

    held = []
    for batches in itertools.zip_longest(*(table.to_batches(max_chunksize=50) for table in tables)):
        for sorter, batch in zip(sorters, batches, strict=True):
            if batch is not None:
                sorter.add(batch)
            held.append(sum(one.bytes for one in sorters))

    assert max(held) < 100_000
    assert [bool(sorter.runs) for sorter in sorters] == [True, False, False]
    for sorter, table in zip(sorters, tables, strict=True):
        assert pa.Table.from_batches(sorter.finish(), ROWS) == expected([table], Routing("key", ("tie",), 1, False))[0]
    assert not budget.sorters


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=12), min_size=1, max_size=5),
    st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_merge_keeps_the_order_of_runs_for_equal_keys(runs: list[list[tuple[int, int]]], batch: int) -> None:
    schema = pa.schema([("key", pa.int64()), ("run", pa.int64()), ("value", pa.int64())])

    def stream(number: int, run: list[tuple[int, int]]) -> Iterator[pa.RecordBatch]:
        rows = [{"key": key, "run": number, "value": value} for key, value in sorted(run, key=lambda row: row[0])]
        yield from pa.Table.from_pylist(rows, schema).to_batches(max_chunksize=batch)

    made = pa.Table.from_batches(merge([stream(number, run) for number, run in enumerate(runs)], ("key",)), schema)

    plain = [
        (key, number, value) for number, run in enumerate(runs) for key, value in sorted(run, key=lambda row: row[0])
    ]
    assert [tuple(row.values()) for row in made.to_pylist()] == sorted(plain, key=lambda row: row[0])


def test_a_direct_key_is_the_number_of_the_part(tmp_path: Path) -> None:
    tables = [table_of([2, 0, 2]), table_of([1, 2])]
    routing = Routing("key", ("text",), 4, direct=True)

    parts = gathered(scatter(tmp_path, tables, routing), ROWS, routing, tmp_path)

    assert [part.column("key").to_pylist() for part in parts] == [[0], [1], [2, 2, 2], []]


@pytest.mark.parametrize("key", [-1, 4])
def test_a_direct_key_that_is_no_part_is_a_sentence(key: int) -> None:
    with pytest.raises(StageError, match=rf"exchange by 'key': {key} is not among the shards 0 to 3"):
        part_of(pa.array([0, key, 1]), Routing("key", (), 4, direct=True))


@pytest.mark.parametrize("kind", [pa.int64(), pa.string(), pa.binary(16)], ids=str)
@pytest.mark.parametrize("direct", [False, True])
def test_a_null_key_breaks_the_contract(kind: pa.DataType, direct: bool, tmp_path: Path) -> None:
    if direct and not pa.types.is_integer(kind):
        pytest.skip("a direct key is an integer")
    routing = Routing("key", (), 2, direct=direct)

    with pytest.raises(StageError, match="the key column 'key' holds null"):
        scatter(tmp_path, [table_of([None, None], kind)], routing)


def test_a_null_tie_breaker_breaks_the_contract(tmp_path: Path) -> None:
    table = table_of([1, 2]).set_column(1, ROWS.field("tie"), pa.array([None, 1], pa.int32()))

    with pytest.raises(StageError, match="the key column 'tie' holds null"):
        scatter(tmp_path, [table], Routing("key", ("tie",), 2, direct=False))


@pytest.mark.parametrize("kind", [pa.int64(), pa.string(), pa.binary(16), pa.binary()], ids=str)
def test_batches_without_rows_pass(kind: pa.DataType, tmp_path: Path) -> None:
    schema = pa.schema([("key", kind)])
    writer = ScatterWriter(
        str(tmp_path / "none.exchange"), schema, Routing("key", (), 2, direct=False), str(tmp_path), Budget(MEMORY)
    )

    writer.write(pa.RecordBatch.from_pylist([], schema=schema))
    writer.close()

    assert read_index(writer.file.path)[1].tolist() == [0, 0]


@pytest.mark.parametrize("left", [0, 10, 0.5, -1], ids=str)
def test_a_truncated_scatter_file_is_a_sentence(left: float, tmp_path: Path) -> None:
    path = Path(scatter(tmp_path, [table_of(range(100))], Routing("key", (), 2, direct=False))[0])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * left) if 0 < left < 1 else int(left)])

    with pytest.raises(
        DataError, match=rf"{path}: is not a whole exchange file; remove the folder {tmp_path} and run again"
    ):
        read_index(str(path))


def test_an_index_longer_than_what_is_read_of_it_at_first_is_read_where_it_is_needed(tmp_path: Path) -> None:
    table = table_of(range(500))
    routing = Routing("key", ("tie",), 4001, direct=False)

    path = scatter(tmp_path, [table], routing)[0]

    offsets, rows = read_index(path)
    assert len(offsets) == 4002
    assert rows.sum() == 500
    assert [extent_of(path, part) for part in (0, 17, 4000)] == [
        Extent(path, int(offsets[part]), int(offsets[part + 1]), int(rows[part])) for part in (0, 17, 4000)
    ]
    places = part_of(table.column("key").combine_chunks(), routing).tolist()
    assert sum(batch.num_rows for part in set(places) for batch in read_part(path, part, ROWS)) == 500


def test_a_file_of_before_lists_lay_in_planes_is_read_as_it_is(tmp_path: Path) -> None:
    """A work folder outlives the datapipe that filled it."""
    schema = pa.schema([("key", pa.int32()), ("ids", pa.list_(pa.int32()))])
    lists = [[1, 2, 3], [], [40_000, 1 << 30]]
    batch = pa.RecordBatch.from_pydict({"key": [0] * 3, "ids": lists}, schema=schema)
    path, routing = tmp_path / "0.exchange", Routing("key", (), 1, direct=True)
    with pa.OSFile(str(path), "wb") as file:
        writer = pa.ipc.new_stream(file, schema)
        start = file.tell()
        writer.write_batch(batch)
        index = [start, file.tell(), 3, 1]
        writer.close()
        file.write(np.array(index, "<i8").tobytes() + b"DPXCHNG2")

    (before,) = read_part(str(path), 0, schema)
    (after,) = read_part(*scatter(tmp_path, [pa.Table.from_batches([batch])], routing), 0, schema)

    assert before.column("ids").to_pylist() == after.column("ids").to_pylist() == lists


def test_a_damaged_part_is_a_sentence(tmp_path: Path) -> None:
    path = Path(scatter(tmp_path, [table_of(range(100))], Routing("key", (), 2, direct=False))[0])
    content = bytearray(path.read_bytes())
    start = int(read_index(str(path))[0][1])
    content[start : start + 64] = b"\xff" * 64
    path.write_bytes(content)

    with pytest.raises(DataError, match=f"{path}: .*remove the folder {tmp_path}"):
        list(read_part(str(path), 1, ROWS))
