"""The order of training as a function of the plan: what is seen at a position, and where a sample is seen.

A plan gives each group a number of samples and a quota. Position t lies in block t // 4096. How many samples each group
has in a block follows from the quotas (`quota.prefix`), where they stand in it from a permutation of the block, and
which sample is the k-th of its group from a permutation of the group: epoch k // size, index permuted(k % size). So
every sample of a group is seen once before any is seen twice, in a new order each time, and any position is reached
without those before it. Both directions are integer arithmetic: no array of the length of the corpus exists.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from stages.mix.permute import key_of, permute, plain_permute, plain_stream_key, stream_key, unpermute
from stages.mix.quota import plain_prefix, prefix, step_of

BLOCK = 4096
_BLOCK = np.uint64(BLOCK)
_0, _1 = np.uint64(0), np.uint64(1)


@dataclass(frozen=True)
class Order:
    """The order of a mix. `labels`, `sizes` (samples) and `quotas` (samples seen) are of equal length, one a group.

    With `natural`, samples come as they are stored, each once: the order of a validation split.
    """

    seed: int
    labels: tuple[str, ...]
    sizes: tuple[int, ...]
    quotas: tuple[int, ...]
    natural: bool = False

    @property
    def total(self) -> int:
        """Samples in the whole sequence."""
        return sum(self.quotas)

    @property
    def blocks(self) -> int:
        """Blocks of 4096 positions, the last one possibly shorter."""
        return -(-self.total // BLOCK)

    def block(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns what is seen in a block: group int64, epoch int64 and index in the group int64, in order."""
        return _show(*self._arrays(), np.uint64(number), self.natural)

    def digest(self, number: int) -> bytes:
        """Returns the SHA-256 of a block: little-endian int64 group, epoch, index of each position."""
        return hashlib.sha256(np.stack(self.block(number), axis=1).astype("<i8").tobytes()).digest()

    def occurrences(self, groups: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns every occasion at which the given samples are seen, by row and then epoch.

        `groups` and `indices` are int64[rows]. Returned are row, epoch and position, int64[occasions].
        """
        return _find(*self._arrays(), groups.astype(np.int64), indices.astype(np.uint64), self.natural)

    def times_seen(self, groups: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Returns how often each sample is seen, int64[rows]."""
        quotas, sizes, keys, _ = self._arrays()
        return _times(quotas, sizes, keys, groups.astype(np.int64), indices.astype(np.uint64), self.natural)

    def last_seats(self, groups: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Returns where each sample stands in the epoch of its group that its quota ends in, int64[rows]."""
        quotas, sizes, keys, _ = self._arrays()
        return _last_seats(quotas, sizes, keys, groups.astype(np.int64), indices.astype(np.uint64))

    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.uint64]:
        keys = [key_of("group", self.seed, label) for label in self.labels]
        return (
            np.array(self.quotas, np.uint64),
            np.array(self.sizes, np.uint64),
            np.array(keys, np.uint64),
            np.uint64(key_of("block", self.seed)),
        )


@njit(cache=True, nogil=True)
def _source_index(index: np.uint64, size: np.uint64, key: np.uint64, natural: bool) -> np.uint64:
    return index if natural else permute(index, size, key)


@njit(cache=True, nogil=True)
def _bounds(quotas: np.ndarray, block: np.uint64) -> tuple[np.ndarray, np.ndarray]:
    """Returns the counts of the groups before the block and behind it."""
    start = block * _BLOCK
    end = start + _BLOCK
    total = _0
    for quota in quotas:
        total += quota
    return prefix(quotas, start), prefix(quotas, min(end, total))


@njit(cache=True, nogil=True)
def _show(
    quotas: np.ndarray, sizes: np.ndarray, keys: np.ndarray, block_key: np.uint64, block: np.uint64, natural: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    seats, ends = _bounds(quotas, block)
    edges = np.cumsum(ends - seats)
    length = edges[-1]
    key = stream_key(block_key, block)
    groups, epochs, indices = (np.empty(length, np.int64), np.empty(length, np.int64), np.empty(length, np.int64))
    for place in range(length):
        label = _source_index(np.uint64(place), length, key, natural)
        group = np.searchsorted(edges, label, side="right")
        epoch = seats[group] // sizes[group]
        epoch_key = stream_key(keys[group], epoch)
        groups[place], epochs[place] = group, np.int64(epoch)
        indices[place] = np.int64(_source_index(seats[group] % sizes[group], sizes[group], epoch_key, natural))
        seats[group] += _1
    return groups, epochs, indices


@njit(cache=True, nogil=True)
def _seat(index: np.uint64, size: np.uint64, key: np.uint64, epoch: np.uint64, natural: bool) -> np.uint64:
    """Returns the place of a sample in the sequence of its group, in one epoch."""
    within = index if natural else unpermute(index, size, stream_key(key, epoch))
    return epoch * size + within


@njit(cache=True, nogil=True)
def _times(
    quotas: np.ndarray, sizes: np.ndarray, keys: np.ndarray, groups: np.ndarray, indices: np.ndarray, natural: bool
) -> np.ndarray:
    times = np.empty(len(groups), np.int64)
    for row in range(len(groups)):
        group = groups[row]
        epochs = quotas[group] // sizes[group]
        times[row] = np.int64(epochs)
        if quotas[group] % sizes[group]:
            times[row] += _seat(indices[row], sizes[group], keys[group], epochs, natural) < quotas[group]
    return times


@njit(cache=True, nogil=True)
def _last_seats(
    quotas: np.ndarray, sizes: np.ndarray, keys: np.ndarray, groups: np.ndarray, indices: np.ndarray
) -> np.ndarray:
    seats = np.empty(len(groups), np.int64)
    for row in range(len(groups)):
        group = groups[row]
        epoch = quotas[group] // sizes[group]
        seats[row] = np.int64(_seat(indices[row], sizes[group], keys[group], epoch, False) - epoch * sizes[group])
    return seats


@njit(cache=True, nogil=True)
def _find(
    quotas: np.ndarray,
    sizes: np.ndarray,
    keys: np.ndarray,
    block_key: np.uint64,
    groups: np.ndarray,
    indices: np.ndarray,
    natural: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    times = _times(quotas, sizes, keys, groups, indices, natural)
    count = times.sum()
    rows, epochs, positions = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)
    seats, blocks = np.empty(count, np.uint64), np.empty(count, np.int64)
    at = 0
    for row in range(len(groups)):
        group = groups[row]
        for epoch in range(times[row]):
            seat = _seat(indices[row], sizes[group], keys[group], np.uint64(epoch), natural)
            rows[at], epochs[at], seats[at] = row, epoch, seat
            blocks[at] = np.int64(step_of(quotas, group, seat) // _BLOCK)
            at += 1
    before = np.zeros(len(quotas), np.uint64)
    behind = before
    places = np.zeros(0, np.int64)
    block, placed = np.int64(-1), np.int64(-1)
    for at in np.argsort(blocks * len(quotas) + groups[rows], kind="mergesort"):
        group = groups[rows[at]]
        if blocks[at] != block:
            block, placed = blocks[at], np.int64(-1)
            before, behind = _bounds(quotas, np.uint64(block))
        if group != placed:
            placed = group
            places = _places(behind - before, group, stream_key(block_key, np.uint64(block)), natural)
        positions[at] = block * BLOCK + places[seats[at] - before[group]]
    return rows, epochs, positions


@njit(cache=True, nogil=True)
def _places(counts: np.ndarray, group: int, key: np.uint64, natural: bool) -> np.ndarray:
    """Returns the places of a group in a block of that many samples a group, ascending."""
    first = counts[:group].sum()
    length = counts.sum()
    places = np.empty(counts[group], np.int64)
    for label in range(counts[group]):
        place = first + np.uint64(label)
        places[label] = np.int64(place if natural else unpermute(place, length, key))
    return np.sort(places)


def plain_sequence(order: Order) -> Iterator[tuple[int, int, int]]:
    """The readable twin of `Order.block`: group, epoch and index of every position, from the first to the last."""
    seen = [0] * len(order.labels)
    keys = [key_of("group", order.seed, label) for label in order.labels]
    for block in range(order.blocks):
        start, end = block * BLOCK, min((block + 1) * BLOCK, order.total)
        counts = _plain_counts(order.quotas, start, end)
        labels = [group for group, count in enumerate(counts) for _ in range(count)]
        block_key = plain_stream_key(key_of("block", order.seed), block)
        for place in range(end - start):
            group = labels[place if order.natural else plain_permute(place, end - start, block_key)]
            epoch, within = divmod(seen[group], order.sizes[group])
            key = plain_stream_key(keys[group], epoch)
            yield group, epoch, within if order.natural else plain_permute(within, order.sizes[group], key)
            seen[group] += 1


def _plain_counts(quotas: Sequence[int], start: int, end: int) -> list[int]:
    return [b - a for a, b in zip(plain_prefix(quotas, start), plain_prefix(quotas, end), strict=True)]


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Returns the root over `leaves`, with distinct prefixes for leaves and nodes.

    Source: RFC 6962, section 2.1.
    """
    if not leaves:
        return hashlib.sha256().digest()
    level = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        paired = [hashlib.sha256(b"\1" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
        level = paired + level[len(level) - len(level) % 2 :]
    return level[0]
