import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import Dataset, InputFile, Source, Stage, StageError, Work
from datapipe.graph import Pipeline
from datapipe.local import Local
from datapipe.plan import Planner
from datapipe.publish import Place
from datapipe.run import Measured, Silent, run_waves
from datapipe.shard import read_shard
from datapipe.task import Outcome, Task
from datapipe.testing import dataset, evaluate
from stages.dedup import Dedup, contract
from stages.dedup import components as module
from stages.dedup.components import BUCKETS, EDGES, LABELS, forest, labels_of, stars
from stages.dedup.keys import BANDS, SHARD_BITS
from stages.dedup.union_find import NODE_BYTES

Pairs = list[tuple[int, int]]
NO_BUCKETS = dataset(BUCKETS.empty_table())
ROOM, NO_ROOM = 1 << 30, 0  # for union-find, bytes

# Documents of three shards, near and far from each other, so that gids are not dense.
GIDS = st.integers(0, 3), st.sampled_from([0, 1, 1022, 1023, 1024, 5000, 1 << 20]), st.integers(0, 2)
GID = st.tuples(*GIDS).map(lambda parts: parts[2] << SHARD_BITS | parts[1] + parts[0])
EDGE = st.tuples(GID, GID).filter(lambda ends: ends[0] != ends[1]).map(lambda ends: (min(ends), max(ends)))


def labels_by_search(edges: Pairs) -> dict[int, int]:
    """The plain twin: the least gid that can be reached from each."""
    near = defaultdict(set)
    for low, high in edges:
        near[low].add(high)
        near[high].add(low)
    labels: dict[int, int] = {}
    for start in sorted(near):
        waiting = [] if start in labels else [start]
        while waiting:
            gid = waiting.pop()
            if gid not in labels:
                labels[gid] = start
                waiting += near[gid]
    return labels


def table_of(edges: Pairs) -> pa.Table:
    rows = np.array(edges, np.int64).reshape(-1, 2)
    return pa.table([pa.array(rows[:, 0]), pa.array(rows[:, 1])], schema=EDGES)


def found(rows: list[dict[str, int]]) -> dict[int, int]:
    """Returns the label of each document, of which there is one, and whose shard is said rightly."""
    assert all(row["shard"] == row["gid"] >> SHARD_BITS for row in rows)
    labels = {row["gid"]: row["root"] for row in rows}
    assert len(labels) == len(rows)
    return labels


# Stars of buckets


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60))
def test_a_forest_keeps_components_with_the_fewest_edges(edges: Pairs) -> None:
    edges = [edge for edge in edges if edge[0] != edge[1]]
    ends = np.array(edges, np.int64).reshape(-1, 2)
    kept = [edge for edge, keep in zip(edges, forest(ends[:, 0].copy(), ends[:, 1].copy()), strict=True) if keep]
    labels = labels_by_search(edges)

    assert labels_by_search(kept) == labels
    assert len(kept) == len(labels) - len(set(labels.values()))


def bucket_batches(rows: Pairs, size: int) -> list[pa.RecordBatch]:
    keys, gids = zip(*rows, strict=True) if rows else ((), ())
    table = pa.table([pa.array(keys, pa.uint64()), pa.array(gids, pa.int64())], schema=BANDS)
    return list(table.to_batches(max_chunksize=size))


@settings(max_examples=100, deadline=None)
@given(
    rows=st.sets(st.tuples(st.sampled_from([0, 1, 5, 2**63, 2**64 - 1]), st.integers(0, 12)), max_size=40),
    size=st.integers(1, 50),
)
def test_edges_of_buckets_do_not_depend_on_batches(rows: set[tuple[int, int]], size: int) -> None:
    put: list[pa.RecordBatch] = []
    work = Work(0, emit=lambda name, batch: put.append(batch))

    made = pa.Table.from_batches(list(stars(iter(bucket_batches(sorted(rows), size)), work)), EDGES)

    buckets = defaultdict(list)
    for key, gid in sorted(rows):
        buckets[key].append(gid)
    several = [gids for gids in buckets.values() if len(gids) > 1]
    edges = [(gids[0], gid) for gids in several for gid in gids[1:]]
    assert labels_by_search([(row["low"], row["high"]) for row in made.to_pylist()]) == labels_by_search(edges)
    assert put[0].to_pylist() == [
        {
            "buckets": len(several),
            "largest_bucket": max(map(len, several), default=0),
            "pairs": sum(len(gids) * (len(gids) - 1) // 2 for gids in several),
        }
    ]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_pieces_of_edges_do_not_depend_on_batches(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_EDGES", 5)
    rows = [(gid % 7, gid) for gid in range(60)]

    batches = stars(iter(bucket_batches(sorted(rows), size)), Work(0))

    assert [batch.num_rows for batch in batches] == [5] * 10 + [3]


# Labels, in memory


@settings(max_examples=40, deadline=None)
@given(
    edges=st.lists(EDGE, max_size=40),
    cuts=st.integers(1, 3),
    size=st.integers(1, 9),
    rows_a_shard=st.sampled_from([3, 1000]),
)
def test_union_find_and_star_contraction_label_as_a_search_does(
    edges: Pairs, cuts: int, size: int, rows_a_shard: int
) -> None:
    given_edges = dataset(*(table_of(edges[cut::cuts]) for cut in range(cuts)))
    labels = labels_by_search(edges)
    sizes = Counter(labels.values())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS_A_SHARD", rows_a_shard)
        made = [evaluate(labels_of(given_edges, NO_BUCKETS, room), rows_per_batch=size) for room in (ROOM, NO_ROOM)]

    for result in made:
        assert found(result.table.to_pylist()) == labels
        assert {name: result.counts[name] for name in ("candidates", "components", "largest_component")} == {
            "candidates": len(labels),
            "components": len(sizes),
            "largest_component": max(sizes.values(), default=0),
        }


def test_counts_the_buckets_of_all_shards_once() -> None:
    buckets = dataset(
        pa.table([[2], [3], [4]], schema=BUCKETS), BUCKETS.empty_table(), pa.table([[1], [9], [36]], schema=BUCKETS)
    )

    made = evaluate(labels_of(dataset(table_of([(1, 2)]), table_of([(3, 4)])), buckets, NO_ROOM))

    assert {name: made.counts[name] for name in BUCKETS.names} == {"buckets": 3, "largest_bucket": 9, "pairs": 40}


# Labels, by the engine


@dataclass(frozen=True, kw_only=True)
class Labelled(Stage):
    """Labels of the edges in files of JSON."""

    paths: tuple[str, ...]
    union_find_bytes: int

    def build(self, *inputs: Dataset) -> Dataset:
        files = tuple((InputFile(Path(path).name, path, 1 << 28, ""),) for path in self.paths)  # a shard each
        edges = Dataset(Source("edges", read_edges, files), EDGES)
        buckets = edges.fold(no_buckets, BUCKETS)
        return labels_of(edges.map(as_they_are, schema=EDGES), buckets, self.union_find_bytes)


def read_edges(files: Sequence[InputFile], work: Work) -> Iterator[pa.RecordBatch]:
    yield from table_of(json.loads(Path(files[0].url).read_text())).to_batches(max_chunksize=4096)


def as_they_are(batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
    yield from batches


def no_buckets(batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
    yield pa.record_batch([[0], [0], [0]], schema=BUCKETS)


class Stopping(Silent):
    """Stops the run after so many tasks, and hears what their steps are."""

    def __init__(self, after: int) -> None:
        self.after, self.tasks = after, 0
        self.held: list[int] = []

    def finished(self, task: Task, outcome: Outcome) -> None:
        self.held.append(task.holds_bytes)
        self.tasks += 1
        if self.tasks == self.after:
            raise KeyboardInterrupt


class Run:
    """The engine on edges that lie in files."""

    def __init__(self, folder: Path, *parts: Pairs) -> None:
        self.folder, self.paths = folder, tuple(str(folder / f"{number}.json") for number in range(len(parts)))
        for path, edges in zip(self.paths, parts, strict=True):
            Path(path).write_text(json.dumps([[int(low), int(high)] for low, high in edges]))

    def labels(self, room: int, *, work: str = "work", stop: int = 0) -> tuple[dict[int, int], dict[str, int], int]:
        """Returns labels, counts of the last step, and how many tasks ran."""
        stage = Labelled(paths=self.paths, union_find_bytes=room)
        pipeline = Pipeline("edges", (("edges", stage, stage.build()),))
        place = Place(str(self.folder / "out"), str(self.folder / work))
        (self.folder / work).mkdir(exist_ok=True)
        planner, heard = Planner(pipeline, place.work, "0"), Stopping(stop)
        run_waves(planner, place, Local(), heard, Measured())
        self.held = [held for held in heard.held if held]
        step = planner.step_of(pipeline.result)
        paths = [f"{place.work}/{shard.outputs['rows'].path}" for shard in planner.shards_of(step)]
        rows = pa.Table.from_batches([batch for path in paths for batch in read_shard(path)], schema=LABELS)
        return found(rows.to_pylist()), dict(planner.records.counts(step.key)["edges"]), heard.tasks


def chain_of(amount: int, seed: int) -> Pairs:
    order = np.random.default_rng(seed).permutation(amount)
    return [(min(ends), max(ends)) for ends in zip(order[1:].tolist(), order[:-1].tolist(), strict=True)]


def many_components() -> Pairs:
    draw = np.random.default_rng(5)
    near = draw.integers(0, 20_000, 9000)
    return [(low, low + step) for low, step in zip(near.tolist(), draw.integers(1, 4, 9000).tolist(), strict=True)]


@pytest.mark.parametrize(
    "edges",
    [
        [(number, number + 1) for number in range(9999)],
        chain_of(10_000, 3),
        [(0, number) for number in range(1, 5000)],
        [(number, 5000) for number in range(5000)],
        many_components(),
        [],
    ],
    ids=["chain", "shuffled chain", "star", "star around the largest", "many", "none"],
)
def test_the_engine_labels_alike_by_union_find_and_by_star_contraction(
    edges: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS_A_SHARD", 7000)
    run = Run(tmp_path, edges[::2], edges[1::2])
    labels = labels_by_search(edges)

    united, counts, _ = run.labels(ROOM)
    contracted, same_counts, _ = run.labels(NO_ROOM)

    assert united == contracted == labels
    assert counts == same_counts
    assert counts["largest_component"] == max(Counter(labels.values()).values(), default=0)


def test_order_and_shards_of_edges_change_no_label(tmp_path: Path) -> None:
    edges = many_components()
    turned = list(reversed(edges))
    for name in ("one", "three"):
        (tmp_path / name).mkdir()

    one = Run(tmp_path / "one", edges)
    three = Run(tmp_path / "three", turned[::3], [], turned[1::3] + turned[2::3])

    assert one.labels(ROOM)[:2] == three.labels(ROOM)[:2] == three.labels(NO_ROOM, work="other")[:2]


def test_union_find_is_chosen_where_its_documents_have_room(tmp_path: Path) -> None:
    run = Run(tmp_path, chain_of(41, 1))

    room, less, none = (run.labels(size, work=f"{size}") for size in (41 * NODE_BYTES, 41 * NODE_BYTES - 1, NO_ROOM))

    assert room[:2] == less[:2] == none[:2]
    assert room[2] < less[2] == none[2]  # tasks: rounds of contraction come to more than one task


def test_one_task_says_that_it_holds_what_union_find_may_take(tmp_path: Path) -> None:
    run = Run(tmp_path, chain_of(41, 1))

    run.labels(ROOM)

    assert run.held == [ROOM]


def test_a_run_that_is_stopped_after_any_task_goes_on_to_the_same_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS_A_SHARD", 150)
    edges = chain_of(200, 1)
    run = Run(tmp_path, edges[::2], edges[1::2])
    through = run.labels(NO_ROOM)

    labels, after = {}, 0
    while not labels:
        after += 5
        try:
            labels, counts, left = run.labels(NO_ROOM, work="stopped", stop=5)
        except KeyboardInterrupt:
            assert after < through[2]

    assert (labels, counts) == through[:2]
    assert left == through[2] % 5


@pytest.mark.parametrize("rounds", [1, 2])
def test_too_few_rounds_are_an_error_and_no_wrong_labels(
    rounds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "MOST_ROUNDS", rounds)

    with pytest.raises(StageError, match=f"not settled after {rounds} rounds"):
        Run(tmp_path, chain_of(2000, 1)).labels(NO_ROOM)


def test_the_step_comes_to_the_same_with_and_without_room_for_union_find(documents: Callable[..., pa.Table]) -> None:
    words = [f"word{number}" for number in range(80)]
    texts = [" ".join([*words[:place], f"other{place}", *words[place + 1 :]]) for place in range(0, 80, 9)]
    shards = [documents(texts), documents([*texts[:4], "all alone here"], first=50)]

    with_room, without = (evaluate(Dedup(union_find_bytes=room).build(dataset(*shards))) for room in (ROOM, NO_ROOM))

    assert with_room.table == without.table
    assert with_room.ledger == without.ledger
    assert with_room.table.num_rows < 10
    assert with_room.counts == {name: count for name, count in without.counts.items() if name != "unsettled"}
