"""From band keys to clusters: buckets to star edges, edges to connected components, each labelled by its least gid.

    stars -> exchange by higher end -> small stars -> exchange by node -> large stars
          -> both ends of their edges, exchange by node -> one union-find                        -> labels
                                                        -> or large stars, rounds of contraction -> labels

A bucket of k documents needs no more than k - 1 edges, from its first document to each other; they are reduced to a
spanning forest in pieces of fixed size before they leave a worker, so what travels is independent of how batches
were cut. Copies mostly meet in several bands: the first two exchanges make one edge of theirs, most components are
stars already, and the documents that have an edge are counted. Where these have room in the memory that the config
gives, one task unites them (`union_find`), else stars are contracted by exchanges (`contract`). Labels are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from datapipe import Dataset, Output, Sized, Work, concat
from datapipe.dataset import Batches
from stages.dedup.contract import (
    CENSUS,
    EDGES,
    ENDS,
    EXTENT,
    LABELS,
    both_ends,
    contracted,
    edges_of,
    first_stars,
    labels,
    labels_of_roots,
    large_stars,
    numbers,
    small_stars,
)
from stages.dedup.union_find import MOST_NODES, NODE_BYTES, Forest

__all__ = ["BUCKETS", "EDGES", "LABELS", "labels_of", "stars"]

PIECE_EDGES: Final = 1 << 20
MIXER: Final = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio
SOURCE_BYTES_A_SHARD: Final = 256 << 20  # of edges sorted by their higher end there are fewer bytes than of band keys
ROWS_A_SHARD: Final = 1 << 24  # of edges, each from both ends, in a shard of star contraction: 256 MB
BUCKETS: Final = pa.schema([("buckets", pa.int64()), ("largest_bucket", pa.int64()), ("pairs", pa.int64())])
CHOICE: Final = pa.schema([("shards", pa.int64()), ("alone", pa.bool_()), ("documents", pa.int64())])

Gids = npt.NDArray[np.int64]
Edges = tuple[Gids, Gids]


def labels_of(edges: Dataset, buckets: Dataset, union_find_bytes: int) -> Dataset:
    """Returns LABELS: a row for each document that has an edge, its root the least gid that edges lead to.

    `edges` and `buckets` are those of `stars`. Counts `buckets`, `largest_bucket`, `pairs`, `candidates` (documents
    that have an edge), `components` and `largest_component`.
    """
    small = edges.exchange("high", Sized(SOURCE_BYTES_A_SHARD), then=("low",)).map(small_stars, schema=EDGES)
    ends = small.map(both_ends, schema=ENDS).exchange("node", Sized(SOURCE_BYTES_A_SHARD), then=("other",))
    large = ends.map(first_stars, schema=EDGES, outputs=(Output("extent", EXTENT),))
    choice = large.output("extent").fold(partial(choose, union_find_bytes=union_find_bytes), CHOICE)
    ends = large.map(both_ends, schema=ENDS, whole=(choice,)).exchange("node", choice, then=("other",))
    outputs = (Output("labels", LABELS), Output("census", CENSUS))
    united = UnitedOrStarred(union_find_bytes)
    found = ends.map(united, schema=EDGES, whole=(choice,), outputs=outputs)
    settled = contracted(found).map(labels, schema=LABELS, outputs=(Output("census", CENSUS),))
    census = concat([found.output("census"), settled.output("census")])
    return concat([found.output("labels"), settled]).map(counted, schema=LABELS, whole=(census, buckets))


def choose(batches: Batches, work: Work, *, union_find_bytes: int) -> Batches:
    """Yields whether union-find has room for all documents that have an edge, and the number of shards."""
    extent = pa.Table.from_batches(batches, schema=EXTENT)
    documents, edges = (int(_numbers(extent, name).sum()) for name in EXTENT.names)
    alone = documents <= min(MOST_NODES, union_find_bytes // NODE_BYTES)
    shards = 1 if alone else max(1, -(-2 * edges // ROWS_A_SHARD))
    yield pa.record_batch([pa.array([value]) for value in (shards, alone, documents)], schema=CHOICE)


@dataclass(frozen=True)
class UnitedOrStarred:
    """Puts out `labels` and `census` by union-find, or yields large stars, as `work.whole[0]` (CHOICE) says."""

    holds_bytes: int  # at most

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Takes ENDS, sorted by both, each edge from both ends."""
        (choice,) = work.whole[0].to_pylist()
        if not choice["alone"]:
            yield from large_stars(batches, work)
            return
        forest = Forest(choice["documents"])
        for batch in batches:
            forest.add(*numbers(batch, "node", "other"))
        for gids, roots in forest.labels():
            work.put("labels", labels_of_roots(gids, roots))
        work.put("census", pa.record_batch([pa.array([value]) for value in forest.census()], schema=CENSUS))


def counted(batches: Batches, work: Work) -> Batches:
    """Yields labels as they are; the first shard counts for all, from the census of every shard and all buckets."""
    if work.number == 0:
        census, buckets = work.whole
        for name in ("candidates", "components"):
            work.count(name, _numbers(census, name).sum())
        work.count("largest_component", _numbers(census, "largest").max(initial=0))
        count_buckets(buckets, work)
    yield from batches


def count_buckets(buckets: pa.Table, work: Work) -> None:
    """Counts what the buckets of all shards come to."""
    for name in ("buckets", "pairs"):
        work.count(name, _numbers(buckets, name).sum())
    work.count("largest_bucket", _numbers(buckets, "largest_bucket").max(initial=0))


def _numbers(rows: pa.Table, name: str) -> Gids:
    return np.asarray(rows.column(name), dtype=np.int64)


def stars(batches: Batches, work: Work) -> Batches:
    """Yields the edges of each bucket of rows (key, gid) sorted by both; puts out its share of `buckets`."""
    tally = np.zeros(5, np.int64)
    last = np.zeros(1, np.uint64)
    for low, high in _pieces(_stars(batches, last, tally), PIECE_EDGES):
        kept = forest(low, high)
        yield edges_of(low[kept], high[kept])
    work.put("buckets", buckets_of(tally))


def buckets_of(tally: Gids) -> pa.RecordBatch:
    """Returns the row of BUCKETS that `star_edges` counted in `tally`."""
    return pa.record_batch([pa.array(tally[place : place + 1]) for place in (2, 3, 4)], schema=BUCKETS)


def _stars(batches: Batches, last: npt.NDArray[np.uint64], tally: Gids) -> Iterator[Edges]:
    for batch in batches:
        keys, gids = (batch.column(name).to_numpy() for name in ("key", "gid"))
        low, high = np.empty(len(gids), np.int64), np.empty(len(gids), np.int64)
        made = star_edges(keys, gids, last, tally, low, high)
        yield low[:made], high[:made]


@njit(cache=True, nogil=True)
def star_edges(
    keys: npt.NDArray[np.uint64], gids: Gids, last: npt.NDArray[np.uint64], tally: Gids, low: Gids, high: Gids
) -> int:
    """Writes the edge (first gid of the bucket, gid) of every row but the first of its bucket; returns their number.

    `last` holds the key of the bucket that is open, `tally` its first gid and its size, then the number of
    buckets of two and more, the size of the largest, and the pairs in them.
    """
    made = 0
    for row in range(len(keys)):
        if tally[1] == 0 or keys[row] != last[0]:
            last[0], tally[0], tally[1] = keys[row], gids[row], 1
            continue
        tally[2] += tally[1] == 1
        tally[4] += tally[1]
        tally[1] += 1
        tally[3] = max(tally[3], tally[1])
        low[made], high[made] = tally[0], gids[row]
        made += 1
    return made


def _pieces(edges: Iterator[Edges], size: int) -> Iterator[Edges]:
    """Yields the same edges in pieces of exactly `size`, the last one smaller."""
    held: list[Edges] = []
    waiting = 0
    for edge in edges:
        held.append(edge)
        waiting += len(edge[0])
        while waiting >= size:
            low, high = _joined(held)
            yield low[:size], high[:size]
            held = [(low[size:], high[size:])]
            waiting -= size
    if waiting:
        yield _joined(held)


def _joined(held: list[Edges]) -> Edges:
    return np.concatenate([low for low, _ in held]), np.concatenate([high for _, high in held])


def forest(low: Gids, high: Gids) -> npt.NDArray[np.bool_]:
    """Returns which edges, taken in order, join two trees: bool[edges]; the others add nothing."""
    numbers_of = np.empty(2 * len(low), np.int64)
    nodes = _number(np.concatenate([low, high]), numbers_of)
    return unite(np.arange(nodes, dtype=np.uint32), numbers_of[: len(low)], numbers_of[len(low) :])


@njit(cache=True, nogil=True)
def _number(gids: Gids, numbers_of: Gids) -> int:
    """Numbers the distinct gids as they come, in a hash table of open addresses; returns how many these are."""
    bits = 4
    while 1 << bits < 2 * len(gids):
        bits += 1
    table, known, found = np.full(1 << bits, -1, np.int64), np.empty(len(gids), np.int64), 0
    for row in range(len(gids)):
        place = np.int64((np.uint64(gids[row]) * MIXER) >> np.uint64(64 - bits))
        while table[place] >= 0 and known[table[place]] != gids[row]:
            place = (place + 1) & (len(table) - 1)
        if table[place] < 0:
            table[place], known[found] = found, gids[row]
            found += 1
        numbers_of[row] = table[place]
    return found


@njit(cache=True, nogil=True)
def unite(parents: npt.NDArray[np.uint32], low: Gids, high: Gids) -> npt.NDArray[np.bool_]:
    """Joins the trees of both ends of each edge in `parents`; returns which edges joined two, bool[edges]."""
    joined = np.zeros(len(low), np.bool_)
    for edge in range(len(low)):
        first, second = _root(parents, low[edge]), _root(parents, high[edge])
        if first != second:
            parents[max(first, second)] = min(first, second)
            joined[edge] = True
    return joined


@njit(cache=True, nogil=True)
def _root(parents: npt.NDArray[np.uint32], node: np.int64) -> np.int64:
    place = node
    while np.int64(parents[place]) != place:
        parents[place] = parents[np.int64(parents[place])]
        place = np.int64(parents[place])
    return place
