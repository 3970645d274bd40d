"""Star contraction: components by exchanges alone, when a union-find of all documents has no room in one task.

A round makes of every component's edges a star around ever smaller gids. The *small star* of a node links its smaller
neighbours, and itself, to the least of them; the *large star* of a node links its larger neighbours to the least of all
its neighbours and itself. Both keep what is connected. When every node has one smaller neighbour and no larger one, or
only larger ones, each component is a star around its least gid, and rounds change nothing any more. Rows come sorted,
so a star holds no more than three numbers, however large it is; but all edges of one node pass through one task.

A large star hands on the center of a star beside its leaves, as an edge to itself, so that settled edges name each node
once with its root. A shard where something is not settled ends with the row (UNSETTLED, how much).

Source: R. Kiveris et al., Connected Components in MapReduce and Beyond, SoCC 2014, section 3 (alternating large-star
and small-star, O(log^2 n) rounds).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from datapipe import Dataset, StageError, Work
from datapipe.dataset import Batches, Like
from stages.dedup.keys import SHARD_BITS

EDGES: Final = pa.schema([pa.field("low", pa.int64(), nullable=False), pa.field("high", pa.int64(), nullable=False)])
ENDS: Final = pa.schema([pa.field("node", pa.int64(), nullable=False), pa.field("other", pa.int64(), nullable=False)])
LABELS: Final = pa.schema([("shard", pa.int32()), ("gid", pa.int64()), ("root", pa.int64())])
CENSUS: Final = pa.schema([("candidates", pa.int64()), ("components", pa.int64()), ("largest", pa.int64())])
EXTENT: Final = pa.schema([("documents", pa.int64()), ("edges", pa.int64())])
UNSETTLED: Final = -1
UNSETTLED_EDGES: Final = 3  # their place in the state of large stars
MOST_ROUNDS: Final = 100  # 4 million documents in one chain took 16 in random order, 21 sorted

Gids = npt.NDArray[np.int64]


def contracted(edges: Dataset) -> Dataset:
    """Returns settled edges, as many shards as `edges` have; a round is two exchanges."""
    return edges.repeat(contraction, until="unsettled", at_most=MOST_ROUNDS)


def contraction(edges: Dataset) -> Dataset:
    """One round: a small star of every node, then a large one."""
    small = edges.map(real, schema=EDGES).exchange("high", Like(edges), then=("low",)).map(small_stars, schema=EDGES)
    ends = small.map(both_ends, schema=ENDS).exchange("node", Like(edges), then=("other",))
    return ends.map(large_stars, schema=EDGES)


def real(batches: Batches, work: Work) -> Batches:
    """Yields the edges between two nodes."""
    for batch in batches:
        low, high = numbers(batch, "low", "high")
        yield edges_of(*(end[(low != high) & (low >= 0)] for end in (low, high)))


def both_ends(batches: Batches, work: Work) -> Batches:
    """Yields each edge as seen from either end."""
    for batch in batches:
        low, high = numbers(batch, "low", "high")
        ends = (np.concatenate([high, low]), np.concatenate([low, high]))
        yield pa.record_batch([pa.array(end) for end in ends], schema=ENDS)


def small_stars(batches: Batches, work: Work) -> Batches:
    """Yields the small star of each node; rows come sorted by (high, low)."""
    state = np.full(3, UNSETTLED, np.int64)
    for batch in batches:
        lows, highs = numbers(batch, "low", "high")
        low, high = np.empty_like(lows), np.empty_like(lows)
        made = small_star(lows, highs, state, low, high)
        yield edges_of(low[:made], high[:made])


@njit(cache=True, nogil=True)
def small_star(lows: Gids, highs: Gids, state: Gids, low: Gids, high: Gids) -> int:
    """Writes the small stars of rows sorted by (high, low); returns the number of edges.

    `state` is the node that is open, its least neighbour and its last one.
    """
    made = 0
    for row in range(len(lows)):
        if highs[row] != state[0]:
            state[0], state[1], state[2] = highs[row], lows[row], lows[row]
            low[made], high[made] = lows[row], highs[row]
            made += 1
        elif lows[row] != state[2]:
            state[2] = lows[row]
            low[made], high[made] = state[1], lows[row]
            made += 1
    return made


def large_stars(batches: Batches, work: Work) -> Batches:
    """Yields the large star of each node, each root once beside its leaves; counts what is `unsettled`.

    Rows (node, other) come sorted by both.
    """
    state = np.array([UNSETTLED, UNSETTLED, UNSETTLED, 0, 0], np.int64)
    yield from _large_stars(batches, state)
    if state[UNSETTLED_EDGES]:
        work.count("unsettled", int(state[UNSETTLED_EDGES]))
        yield edges_of(np.array([UNSETTLED]), state[UNSETTLED_EDGES:][:1])


def first_stars(batches: Batches, work: Work) -> Batches:
    """Yields large stars without their roots, and puts out `extent`: how many nodes there are, and edges."""
    state, edges = np.array([UNSETTLED, UNSETTLED, UNSETTLED, 0, 0], np.int64), 0
    for batch in real(_large_stars(batches, state), work):
        edges += batch.num_rows
        yield batch
    work.put("extent", pa.record_batch([pa.array([value]) for value in (int(state[4]), edges)], schema=EXTENT))


def _large_stars(batches: Batches, state: Gids) -> Batches:
    for batch in batches:
        nodes, others = numbers(batch, "node", "other")
        low, high = np.empty(2 * len(nodes), np.int64), np.empty(2 * len(nodes), np.int64)
        made = large_star(nodes, others, state, low, high)
        yield edges_of(low[:made].copy(), high[:made].copy())


@njit(cache=True, nogil=True)
def large_star(nodes: Gids, others: Gids, state: Gids, low: Gids, high: Gids) -> int:
    """Writes the large stars of rows sorted by (node, other), two for a row at most; returns the number of edges.

    `state` is the node that is open, the least of it and its neighbours, its last neighbour, and so far how many edges
    are not those of a star, and how many nodes there are.
    """
    made = 0
    for row in range(len(nodes)):
        node, other = nodes[row], others[row]
        if node != state[0]:
            state[0], state[1], state[2] = node, min(node, other), UNSETTLED
            state[4] += 1
            if other > node:
                low[made], high[made] = node, node
                made += 1
        if other == state[2]:
            continue
        state[3] += state[1] != node and other != state[1]
        state[2] = other
        if other > node:
            low[made], high[made] = state[1], other
            made += 1
    return made


def labels(batches: Batches, work: Work) -> Batches:
    """Yields (shard, gid, root) of settled edges, those of a root in a row; puts out `census`.

    Raises StageError where they are not settled: the rounds were too few.
    """
    state = np.array([UNSETTLED, 0, 0, 0, 0], np.int64)
    for batch in batches:
        low, high = numbers(batch, "low", "high")
        if (low < 0).any():
            raise StageError(
                f"dedup: components are not settled after {MOST_ROUNDS} rounds of star contraction; give union-find "
                "more memory, or use fewer bands or more rows"
            )
        count(low, high, state)
        yield labels_of_roots(high, low)
    work.put("census", pa.record_batch([pa.array(state[place : place + 1]) for place in (2, 3, 4)], schema=CENSUS))


@njit(cache=True, nogil=True)
def count(low: Gids, high: Gids, state: Gids) -> None:
    """Counts in `state`: the root that is open and its nodes, then all nodes, roots, and the most nodes of a root."""
    for row in range(len(low)):
        if low[row] != state[0]:
            state[0], state[1] = low[row], 0
        state[1] += 1
        state[2] += 1
        state[3] += low[row] == high[row]
        state[4] = max(state[4], state[1])


def numbers(batch: pa.RecordBatch, *names: str) -> tuple[Gids, ...]:
    """Returns columns as int64[rows] each."""
    return tuple(batch.column(name).to_numpy() for name in names)


def edges_of(low: Gids, high: Gids) -> pa.RecordBatch:
    """Returns edges as a batch."""
    return pa.record_batch([pa.array(low), pa.array(high)], schema=EDGES)


def labels_of_roots(gids: Gids, roots: Gids) -> pa.RecordBatch:
    """Returns labels as a batch."""
    shards = (gids >> SHARD_BITS).astype(np.int32)
    return pa.record_batch([pa.array(shards), pa.array(gids), pa.array(roots)], schema=LABELS)
