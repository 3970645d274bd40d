"""Union-find over documents that arrive sorted: 6 bytes a document that has an edge, and one task for all of them.

Rows (node, other) come sorted, each edge in both directions, so nodes are numbered as they arrive and the smaller end
of an edge is always known already. A tree's parent (int32; a root holds minus its size) and the last ten bits of a
document's row are all that is kept of a node; where the nodes of each 1024 documents begin stands in a directory,
8 bytes an entry. No table of gids, nothing hashed, and no edge is held.

Source: R. Tarjan, J. van Leeuwen, Worst-case analysis of set union algorithms, 1984 (path halving); the larger root is
linked under the smaller instead of by rank, which gives the label, the least gid, for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from datapipe import StageError
from stages.dedup.keys import SHARD_BITS

NODE_BYTES: Final = 8  # declared for a document that has an edge: 6 are held, the rest is the directory's
MOST_NODES: Final = 2**31 - 1
BLOCK_BITS: Final = 10  # of a gid within an entry of the directory
LABEL_ROWS: Final = 1 << 16
_ROW_MASK: Final = (1 << SHARD_BITS) - 1
_LOW_MASK: Final = (1 << BLOCK_BITS) - 1
UNKNOWN: Final = np.int64(-1)
_NODES, _BLOCKS, _NODE, _SHARD = range(4)  # of `state`: how many of each, then the last node and its shard

Gids = npt.NDArray[np.int64]
Parents = npt.NDArray[np.int32]
Lows = npt.NDArray[np.uint16]


class Forest:
    """Trees of at most `most` nodes, from rows (node, other) sorted by both that hold each edge in both directions."""

    def __init__(self, most: int) -> None:
        if most > MOST_NODES:
            raise StageError(f"dedup: union-find numbers {MOST_NODES} documents at most, not {most}")
        self.parents: Parents = np.empty(most, np.int32)  # takes memory as far as it is written
        self.lows: Lows = np.empty(most, np.uint16)
        self.starts: Gids = np.empty(1 << 10, np.int64)  # first node of each block
        self.bases: Gids = np.empty(1 << 6, np.int64)  # first block of each shard
        self.state: Gids = np.array([0, 0, -1, -1], np.int64)

    def add(self, nodes: Gids, others: Gids) -> None:
        """Takes in rows. Raises StageError where they are not sorted, or the smaller end of an edge did not come."""
        if not len(nodes):
            return
        self.bases = _with_room(self.bases, int(nodes.max() >> SHARD_BITS) + 1)
        taken = 0
        while taken < len(nodes):
            row = _add(nodes, others, taken, self.parents, self.lows, self.starts, self.bases, self.state)
            if row < 0:
                raise StageError("dedup: edges do not come sorted and in both directions")
            if row < len(nodes):  # the directory is full
                shard, block = nodes[row] >> SHARD_BITS, (nodes[row] & _ROW_MASK) >> BLOCK_BITS
                base = self.bases[shard] if shard == self.state[_SHARD] else self.state[_BLOCKS]
                self.starts = _with_room(self.starts, int(base + block) + 1)
            taken = row

    def labels(self) -> Iterator[tuple[Gids, Gids]]:
        """Yields (gid, root) of all nodes by gid, in pieces; the root is the least gid of its tree."""
        place = np.zeros(2, np.int64)  # the block and the shard of the next node
        count = int(self.state[_NODES])
        for start in range(0, count, LABEL_ROWS):
            gids = np.empty(min(LABEL_ROWS, count - start), np.int64)
            roots = np.empty_like(gids)
            _label(start, self.parents, self.lows, self.starts, self.bases, self.state, place, gids, roots)
            yield gids, roots

    def census(self) -> tuple[int, int, int]:
        """Returns how many nodes and trees there are, and the size of the largest tree."""
        parents = self.parents[: self.state[_NODES]]
        return len(parents), int(np.count_nonzero(parents < 0)), -int(parents.min(initial=0))


def _with_room(held: Gids, size: int) -> Gids:
    if size <= len(held):
        return held
    larger = np.empty(max(size, 2 * len(held)), np.int64)
    larger[: len(held)] = held
    return larger


@njit(cache=True, nogil=True)
def _add(
    nodes: Gids,
    others: Gids,
    first: int,
    parents: Parents,
    lows: Lows,
    starts: Gids,
    bases: Gids,
    state: Gids,
) -> int:
    """Takes rows in from `first` on; returns where it ended: at a node without room in `starts`, or -1 at a bad row."""
    for row in range(first, len(nodes)):
        node, other = nodes[row], others[row]
        if node != state[_NODE]:
            shard, block = node >> SHARD_BITS, (node & _ROW_MASK) >> BLOCK_BITS
            base = state[_BLOCKS] if shard != state[_SHARD] else bases[shard]
            if node < state[_NODE] or state[_NODES] == len(parents):
                return -1
            if base + block >= len(starts):
                return row
            for skipped in range(state[_SHARD] + 1, shard + 1):
                bases[skipped] = base
            for skipped in range(state[_BLOCKS], base + block + 1):
                starts[skipped] = state[_NODES]
            state[_BLOCKS] = base + block + 1
            parents[state[_NODES]], lows[state[_NODES]] = -1, node & _LOW_MASK
            state[_NODES] += 1
            state[_NODE], state[_SHARD] = node, shard
        if other < node:
            found = _number(other, lows, starts, bases, state)
            if found < 0:
                return -1
            _join(parents, found, state[_NODES] - 1)
    return len(nodes)


@njit(cache=True, nogil=True)
def _number(gid: np.int64, lows: Lows, starts: Gids, bases: Gids, state: Gids) -> np.int64:
    """Returns the number of the node, or -1 where there is none."""
    shard = gid >> SHARD_BITS
    block = bases[shard] + ((gid & _ROW_MASK) >> BLOCK_BITS)
    if block >= (bases[shard + 1] if shard < state[_SHARD] else state[_BLOCKS]):
        return UNKNOWN
    low, wanted = starts[block], gid & _LOW_MASK
    end = starts[block + 1] if block + 1 < state[_BLOCKS] else state[_NODES]
    high = end
    while low < high:
        middle = (low + high) >> 1
        if np.int64(lows[middle]) < wanted:
            low = middle + 1
        else:
            high = middle
    return low if low < end and np.int64(lows[low]) == wanted else UNKNOWN


@njit(cache=True, nogil=True)
def _root(parents: Parents, node: np.int64) -> np.int64:
    place = node
    while parents[place] >= 0:
        above = np.int64(parents[place])
        if parents[above] >= 0:
            parents[place] = parents[above]
        place = above
    return place


@njit(cache=True, nogil=True)
def _join(parents: Parents, one: np.int64, other: np.int64) -> None:
    first, second = _root(parents, one), _root(parents, other)
    if first != second:
        low, high = min(first, second), max(first, second)
        parents[low] += parents[high]
        parents[high] = low


@njit(cache=True, nogil=True)
def _label(
    start: int,
    parents: Parents,
    lows: Lows,
    starts: Gids,
    bases: Gids,
    state: Gids,
    place: Gids,
    gids: Gids,
    roots: Gids,
) -> None:
    """Writes the gids of the nodes from `start` on, and of their roots; `place` goes along."""
    blocks, shards = state[_BLOCKS], state[_SHARD] + 1
    for row in range(len(gids)):
        node = np.int64(start + row)
        while place[0] + 1 < blocks and starts[place[0] + 1] <= node:
            place[0] += 1
        while place[1] + 1 < shards and bases[place[1] + 1] <= place[0]:
            place[1] += 1
        gids[row] = _gid(place[1], place[0] - bases[place[1]], lows[node])
        root = _root(parents, node)
        if root == node:
            roots[row] = gids[row]
        else:
            block = _last_up_to(starts, blocks, root)
            shard = _last_up_to(bases, shards, block)
            roots[row] = _gid(shard, block - bases[shard], lows[root])


@njit(cache=True, nogil=True)
def _gid(shard: np.int64, block: np.int64, low: np.uint16) -> np.int64:
    return (shard << SHARD_BITS) | (block << BLOCK_BITS) | np.int64(low)


@njit(cache=True, nogil=True)
def _last_up_to(begins: Gids, count: np.int64, wanted: np.int64) -> np.int64:
    """Returns the last of the first `count` places whose number is at most `wanted`; the first one is."""
    low, high = np.int64(0), count
    while high - low > 1:
        middle = (low + high) >> 1
        if begins[middle] <= wanted:
            low = middle
        else:
            high = middle
    return low
