"""The order of training as a function of the plan: what is seen at a position, and where a sample is seen.

A plan gives each group a number of samples, and a quota in each phase. Phases follow one another, each a sequence of
blocks of 4096 positions of which the last may be shorter; blocks are numbered through. How many samples each group has
in a block follows from the quotas of its phase (`quota.prefix`), where they stand in it from a permutation of the
block, and which sample is the k-th of its group in all phases from a permutation of the group: epoch k // size, index
permuted(k % size). So a phase goes on where the one before stopped, every sample of a group is seen once before any is
seen twice, in a new order each time, and any position is reached without those before it. Both directions are integer
arithmetic: no array of the length of the corpus exists.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numba import njit

from stages.mix.permute import key_of, permute, plain_permute, plain_stream_key, stream_key, unpermute
from stages.mix.quota import plain_prefix, prefix, step_of

BLOCK = 4096
_BLOCK = np.uint64(BLOCK)
_0, _1 = np.uint64(0), np.uint64(1)


@dataclass(frozen=True)
class Order:
    """The order of a mix. `labels` and `sizes` (samples) are one a group; `phases` hold quotas (samples seen) in each.

    With `natural`, samples come as they are stored, each once: the order of a validation split.
    """

    seed: int
    labels: tuple[str, ...]
    sizes: tuple[int, ...]
    phases: tuple[tuple[int, ...], ...]
    natural: bool = False

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The first position of each phase, and behind the last one the number of all samples."""
        return tuple(accumulate(map(sum, self.phases), initial=0))

    @cached_property
    def first_blocks(self) -> tuple[int, ...]:
        """The number of the first block of each phase, and behind the last one the number of all blocks."""
        return tuple(accumulate((-(-sum(quotas) // BLOCK) for quotas in self.phases), initial=0))

    @property
    def total(self) -> int:
        """Samples in the whole sequence."""
        return self.starts[-1]

    @property
    def blocks(self) -> int:
        """Blocks in the whole sequence."""
        return self.first_blocks[-1]

    def phase_of(self, block: int) -> int:
        """Returns the number of the phase that a block is of."""
        return min(bisect_right(self.first_blocks, block), len(self.phases)) - 1

    def positions(self, block: int) -> tuple[int, int]:
        """Returns the first position of a block, and the one behind its last; of block `blocks`, the end of all."""
        phase = self.phase_of(block)
        start = self.starts[phase] + (block - self.first_blocks[phase]) * BLOCK
        return start, min(start + BLOCK, self.starts[phase + 1])

    def block_of(self, position: int) -> int:
        """Returns the number of the block in which a position is."""
        phase = min(bisect_right(self.starts, position), len(self.phases)) - 1
        return self.first_blocks[phase] + (position - self.starts[phase]) // BLOCK

    def begun(self, position: int) -> int:
        """Returns how many blocks begin before a position."""
        return self.block_of(position - 1) + 1 if position else 0

    def block(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns what is seen in a block: group int64, epoch int64 and index in the group int64, in order."""
        quotas, seen, sizes, keys, key = self._arrays
        phase = self.phase_of(number)
        within = np.uint64(number - self.first_blocks[phase])
        own_key = np.uint64(stream_key(key, np.uint64(number)))
        return _show(quotas[phase], seen[phase], sizes, keys, own_key, within, self.natural)

    def digest(self, number: int) -> bytes:
        """Returns the SHA-256 of a block: little-endian int64 group, epoch, index of each position."""
        return hashlib.sha256(np.stack(self.block(number), axis=1).astype("<i8").tobytes()).digest()

    def occurrences(self, groups: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns every occasion at which the given samples are seen, by row and then epoch.

        `groups` and `indices` are int64[rows]. Returned are row, epoch and position, int64[occasions].
        """
        starts = np.stack([np.array(self.starts, np.int64), np.array(self.first_blocks, np.int64)])
        return _find(*self._arrays, starts, groups.astype(np.int64), indices.astype(np.uint64), self.natural)

    def times_seen(self, groups: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Returns how often each sample is seen, int64[rows]."""
        _, seen, sizes, keys, _ = self._arrays
        return _times(seen[-1], sizes, keys, groups.astype(np.int64), indices.astype(np.uint64), self.natural)

    def last_seats(self, groups: np.ndarray, indices: np.ndarray, phase: int) -> np.ndarray:
        """Returns where each sample stands in the epoch of its group that a phase ends in, int64[rows]."""
        _, seen, sizes, keys, _ = self._arrays
        return _last_seats(seen[phase + 1], sizes, keys, groups.astype(np.int64), indices.astype(np.uint64))

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.uint64]:
        """Quotas uint64[phases, groups], samples seen before each phase and after all, sizes, and keys."""
        quotas = np.array(self.phases, np.uint64).reshape(len(self.phases), len(self.labels))
        seen = np.zeros((len(quotas) + 1, quotas.shape[1]), np.uint64)
        np.cumsum(quotas, axis=0, out=seen[1:])
        keys = [key_of("group", self.seed, label) for label in self.labels]
        block_key = np.uint64(key_of("block", self.seed))
        return quotas, seen, np.array(self.sizes, np.uint64), np.array(keys, np.uint64), block_key


@njit(cache=True, nogil=True)
def _source_index(index: np.uint64, size: np.uint64, key: np.uint64, natural: bool) -> np.uint64:
    return index if natural else permute(index, size, key)


@njit(cache=True, nogil=True)
def _bounds(quotas: np.ndarray, block: np.uint64) -> tuple[np.ndarray, np.ndarray]:
    """Returns the counts of the groups in a phase before a block of it and behind that."""
    start = block * _BLOCK
    end = start + _BLOCK
    total = _0
    for quota in quotas:
        total += quota
    return prefix(quotas, start), prefix(quotas, min(end, total))


@njit(cache=True, nogil=True)
def _show(
    quotas: np.ndarray,
    seen: np.ndarray,
    sizes: np.ndarray,
    keys: np.ndarray,
    key: np.uint64,
    block: np.uint64,
    natural: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns what is in a block of a phase; `seen` is uint64[groups] before the phase, `key` that of the block."""
    seats, ends = _bounds(quotas, block)
    edges = np.cumsum(ends - seats)
    length = edges[-1]
    groups, epochs, indices = (np.empty(length, np.int64), np.empty(length, np.int64), np.empty(length, np.int64))
    for place in range(length):
        label = _source_index(np.uint64(place), length, key, natural)
        group = np.searchsorted(edges, label, side="right")
        seat = seen[group] + seats[group]
        epoch = seat // sizes[group]
        epoch_key = stream_key(keys[group], epoch)
        groups[place], epochs[place] = group, np.int64(epoch)
        indices[place] = np.int64(_source_index(seat % sizes[group], sizes[group], epoch_key, natural))
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
    seen: np.ndarray,
    sizes: np.ndarray,
    keys: np.ndarray,
    block_key: np.uint64,
    starts: np.ndarray,
    groups: np.ndarray,
    indices: np.ndarray,
    natural: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """See `Order.occurrences`; `starts` is int64[2, phases + 1], the first position and the first block of each."""
    times = _times(seen[-1], sizes, keys, groups, indices, natural)
    count = times.sum()
    rows, epochs, positions = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)
    seats, blocks, phases = np.empty(count, np.uint64), np.empty(count, np.int64), np.empty(count, np.int64)
    at = 0
    for row in range(len(groups)):
        group, phase = groups[row], 0
        for epoch in range(times[row]):
            seat = _seat(indices[row], sizes[group], keys[group], np.uint64(epoch), natural)
            while seat >= seen[phase + 1, group]:
                phase += 1
            rows[at], epochs[at], phases[at], seats[at] = row, epoch, phase, seat - seen[phase, group]
            blocks[at] = starts[1, phase] + np.int64(step_of(quotas[phase], group, seats[at]) // _BLOCK)
            at += 1
    before = np.zeros(len(sizes), np.uint64)
    behind = before
    places = np.zeros(0, np.int64)
    block, placed = np.int64(-1), np.int64(-1)
    for at in np.argsort(blocks * len(sizes) + groups[rows], kind="mergesort"):
        group, phase = groups[rows[at]], phases[at]
        within = blocks[at] - starts[1, phase]
        if blocks[at] != block:
            block, placed = blocks[at], np.int64(-1)
            before, behind = _bounds(quotas[phase], np.uint64(within))
        if group != placed:
            placed = group
            places = _places(behind - before, group, stream_key(block_key, np.uint64(block)), natural)
        positions[at] = starts[0, phase] + within * BLOCK + places[seats[at] - before[group]]
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
    block = 0
    for quotas in order.phases:
        for start in range(0, sum(quotas), BLOCK):
            end = min(start + BLOCK, sum(quotas))
            counts = _plain_counts(quotas, start, end)
            labels = [group for group, count in enumerate(counts) for _ in range(count)]
            block_key = plain_stream_key(key_of("block", order.seed), block)
            for place in range(end - start):
                group = labels[place if order.natural else plain_permute(place, end - start, block_key)]
                epoch, within = divmod(seen[group], order.sizes[group])
                key = plain_stream_key(keys[group], epoch)
                yield group, epoch, within if order.natural else plain_permute(within, order.sizes[group], key)
                seen[group] += 1
            block += 1


def _plain_counts(quotas: Sequence[int], start: int, end: int) -> list[int]:
    return [b - a for a, b in zip(plain_prefix(quotas, start), plain_prefix(quotas, end), strict=True)]
