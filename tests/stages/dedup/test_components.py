from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import Work
from stages.dedup import components as module
from stages.dedup.components import BUCKETS, EDGES, Components, components, forest, stars
from stages.dedup.keys import BANDS

PAIRS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60)


def labels_by_search(edges: list[tuple[int, int]]) -> dict[int, int]:
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


def arrays(edges: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(edges, np.int64).reshape(-1, 2)
    return table[:, 0].copy(), table[:, 1].copy()


@settings(max_examples=200, deadline=None)
@given(pieces=st.lists(PAIRS, max_size=4))
def test_labels_each_component_by_its_least_gid_however_edges_arrive(pieces: list[list[tuple[int, int]]]) -> None:
    known = Components()
    for piece in pieces:
        known.add(*arrays(piece))

    found = dict(zip(known.nodes.tolist(), known.nodes[known.roots()].tolist(), strict=True))

    assert found == labels_by_search([edge for piece in pieces for edge in piece])


@settings(max_examples=100, deadline=None)
@given(PAIRS)
def test_a_forest_keeps_components_with_the_fewest_edges(edges: list[tuple[int, int]]) -> None:
    edges = [edge for edge in edges if edge[0] != edge[1]]
    kept = [edge for edge, keep in zip(edges, forest(*arrays(edges)), strict=True) if keep]
    labels = labels_by_search(edges)

    assert labels_by_search(kept) == labels
    assert len(kept) == len(labels) - len(set(labels.values()))


def bucket_batches(rows: list[tuple[int, int]], size: int) -> list[pa.RecordBatch]:
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


def test_yields_shard_gid_and_root_by_gid_and_counts() -> None:
    far = 3 << 40
    edges = pa.table([pa.array([5, far, 5], pa.int64()), pa.array([far + 1, far + 2, 9], pa.int64())], schema=EDGES)
    buckets = pa.table([[2, 1], [3, 2], [4, 1]], schema=BUCKETS)
    work = Work(0, whole=(buckets,))

    made = pa.Table.from_batches(list(components(iter(edges.to_batches()), work)))

    assert made.to_pydict() == {
        "shard": [0, 0, 3, 3, 3],
        "gid": [5, 9, far, far + 1, far + 2],
        "root": [5, 5, far, 5, far],
    }
    assert work.counts == {
        "buckets": 3,
        "largest_bucket": 3,
        "pairs": 5,
        "candidates": 5,
        "components": 2,
        "largest_component": 3,
    }
