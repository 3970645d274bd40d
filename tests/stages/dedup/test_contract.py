"""One half of a round against the definitions of Kiveris et al. 2014, and union-find against a search."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import StageError, Work
from stages.dedup.contract import EDGES, ENDS, LABELS, both_ends, labels, large_stars, real, small_stars
from stages.dedup.union_find import NODE_BYTES, Forest

Pairs = list[tuple[int, int]]
NODES = st.integers(0, 14)
EDGE_LISTS = st.lists(
    st.tuples(NODES, NODES).filter(lambda ends: ends[0] < ends[1]), max_size=40
)  # low end, high end; some come twice
SIZES = st.integers(1, 9)


def neighbours(edges: Pairs) -> dict[int, set[int]]:
    near = defaultdict(set)
    for low, high in edges:
        near[low].add(high)
        near[high].add(low)
    return near


def plain_small_stars(edges: Pairs) -> set[tuple[int, int]]:
    """Each node links its smaller neighbours and itself to the least of them."""
    made = set()
    for node, near in neighbours(edges).items():
        smaller = {other for other in near if other < node}
        made |= {(min(smaller), other) for other in smaller | {node} if other != min(smaller, default=node)}
    return made


def plain_large_stars(edges: Pairs) -> set[tuple[int, int]]:
    """Each node links its larger neighbours to the least of its neighbours and itself."""
    return {(min(near | {node}), other) for node, near in neighbours(edges).items() for other in near if other > node}


def is_settled(edges: Pairs) -> bool:
    near = neighbours(edges)
    return all(len(near[node]) == 1 for node in near if min(near[node]) < node)


def batches_of(rows: Pairs, schema: pa.Schema, size: int) -> list[pa.RecordBatch]:
    columns = list(zip(*rows, strict=True)) if rows else [(), ()]
    return list(pa.table([pa.array(column, pa.int64()) for column in columns], schema=schema).to_batches(size))


def pairs_of(batches: list[pa.RecordBatch]) -> Pairs:
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


def ends_of(edges: Pairs, size: int) -> list[pa.RecordBatch]:
    """Returns each edge from both ends, sorted, as an exchange hands them on."""
    rows = pairs_of(list(both_ends(iter(batches_of(edges, EDGES, 7)), Work(0))))
    return batches_of(sorted(rows), ENDS, size)


@settings(max_examples=100, deadline=None)
@given(EDGE_LISTS, SIZES)
def test_small_stars_are_those_of_the_definition(edges: Pairs, size: int) -> None:
    rows = sorted(edges, key=lambda edge: (edge[1], edge[0]))

    made = pairs_of(list(small_stars(iter(batches_of(rows, EDGES, size)), Work(0))))

    assert set(made) == plain_small_stars(edges)


@settings(max_examples=100, deadline=None)
@given(EDGE_LISTS, SIZES)
def test_large_stars_are_those_of_the_definition_and_know_whether_they_are_settled(edges: Pairs, size: int) -> None:
    work = Work(0)

    made = pairs_of(list(large_stars(iter(ends_of(edges, size)), work)))

    near = neighbours(edges)
    roots = {(node, node) for node in near if min(near[node]) > node}
    assert {edge for edge in made if edge[0] >= 0} == plain_large_stars(edges) | roots
    assert (work.counts["unsettled"] == 0) == is_settled(edges)
    assert [edge for edge in made if edge[0] < 0] == (
        [(-1, work.counts["unsettled"])] if edges and work.counts["unsettled"] else []
    )


def test_an_edge_that_says_nothing_of_two_nodes_is_left_out_of_a_round() -> None:
    rows = [(3, 3), (3, 5), (-1, 12)]

    assert pairs_of(list(real(iter(batches_of(rows, EDGES, 2)), Work(0)))) == [(3, 5)]


@pytest.mark.parametrize("size", [1, 2, 50])
def test_settled_edges_are_labels_and_are_counted(size: int) -> None:
    put: list[pa.RecordBatch] = []
    rows = [(3, 3), (3, 5), (3, 9), (1 << 40, 1 << 40), (1 << 40, (2 << 40) + 7)]

    made = list(labels(iter(batches_of(rows, EDGES, size)), Work(0, emit=lambda name, batch: put.append(batch))))

    assert pa.Table.from_batches(made, LABELS).to_pydict() == {
        "shard": [0, 0, 0, 1, 2],
        "gid": [3, 5, 9, 1 << 40, (2 << 40) + 7],
        "root": [3, 3, 3, 1 << 40, 1 << 40],
    }
    assert put[0].to_pylist() == [{"candidates": 5, "components": 2, "largest": 3}]


def test_edges_that_are_not_settled_are_no_labels() -> None:
    with pytest.raises(StageError, match="give union-find more memory"):
        list(labels(iter(batches_of([(3, 3), (3, 5), (-1, 2)], EDGES, 9)), Work(0)))


# Union-find

SPREAD = st.tuples(
    st.sampled_from([0, 1, 2, 9, 1 << 16]), st.sampled_from([0, 5, 1023, 1024, 1025, 70_000]), st.integers(0, 2)
)
GID = SPREAD.map(lambda parts: parts[0] << 40 | parts[1] + parts[2])


def least_reachable(edges: Pairs) -> dict[int, int]:
    near = neighbours(edges)
    found: dict[int, int] = {}
    for start in sorted(near):
        waiting = [] if start in found else [start]
        while waiting:
            node = waiting.pop()
            if found.setdefault(node, start) == start:
                waiting += [other for other in near[node] if other not in found]
    return found


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(GID, GID).filter(lambda ends: ends[0] != ends[1]), max_size=40), SIZES)
def test_a_forest_finds_the_least_gid_of_each_tree(edges: Pairs, size: int) -> None:
    edges = [(min(edge), max(edge)) for edge in edges]
    expected = least_reachable(edges)
    forest = Forest(len(expected))

    for batch in ends_of(edges, size):
        forest.add(batch.column("node").to_numpy(), batch.column("other").to_numpy())

    pieces = list(forest.labels())
    assert {gid: root for gids, roots in pieces for gid, root in zip(gids.tolist(), roots.tolist(), strict=True)} == (
        expected
    )
    assert all((np.diff(gids) > 0).all() for gids, _ in pieces)
    sizes = np.unique(list(expected.values()), return_counts=True)[1]
    assert forest.census() == (len(expected), len(sizes), int(sizes.max(initial=0)))


def test_a_forest_takes_no_more_than_is_declared_where_one_document_of_128_has_an_edge() -> None:
    gids = np.arange(0, 1 << 24, 128)
    forest = Forest(len(gids))
    forest.add(np.sort(np.concatenate([gids, gids[1:]])), np.sort(np.concatenate([gids, gids[:-1]])))

    held = forest.parents.nbytes + forest.lows.nbytes + forest.starts.nbytes + forest.bases.nbytes
    assert held <= NODE_BYTES * len(gids)


@pytest.mark.parametrize(
    "rows",
    [
        [(1, 2), (3, 2)],
        [(2, 1)],
        [(0, 1 << 40), (1 << 40, 2048)],
        [(0, 1 << 40), (1 << 40 | 1024, 2048)],
        [(2, 3), (1, 2)],
        [(1 << 62, 3), (1, 2)],
        [(1, 2), (2, 1), (3, 1), (4, 3)],
    ],
    ids=[
        "one direction",
        "an end that never came",
        "a row that is not there",
        "a row of the same number in the next shard",
        "not sorted",
        "not sorted, the last shard first",
        "more nodes than there is room for",
    ],
)
def test_a_forest_refuses_rows_that_are_not_as_promised(rows: Pairs) -> None:
    forest = Forest(3)
    nodes, others = (np.array(column, np.int64) for column in zip(*rows, strict=True))

    with pytest.raises(StageError, match="sorted and in both directions"):
        forest.add(nodes, others)
