"""Quotas in whole documents where samples differ in length: the tokens that were asked for, to within one document.

Whole epochs are exact. Of the one in which a phase ends, the documents are wanted whose places in its permutation come
first, up to a sum of tokens: the end of a phase is a cut in the sequence of its group, wherever the phases before it
were cut. Two passes over the sizes find how many: sums of up to 4,096 ranges of places, then the documents of the one
range in which the sum is reached. So no list of all documents is ever held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pyarrow as pa

from datapipe import Dataset, PlanError, Work
from stages.mix.columns import PLAN
from stages.mix.order import Order
from stages.mix.place import locate, order_of
from stages.mix.plan import plan_batch

RANGES = 4096  # of a cut; fewer where there are many cuts
MOST_SUMS = 1 << 22  # of all cuts, 8 bytes each
# A cut is a phase's end in a group: its number is that of the phase times the groups, plus that of the group.
SUMS = pa.schema([("cut", pa.int64()), ("range", pa.int64()), ("tokens", pa.int64())])
WANTED = pa.schema([("cut", pa.int64()), ("range", pa.int64()), ("tokens", pa.int64())])
SEATS = pa.schema([("cut", pa.int64()), ("seat", pa.int64()), ("tokens", pa.int64())])


def refine(plan: Dataset, offsets: Dataset, sizes: Dataset, *, seed: int, shard_bytes: int) -> Dataset:
    """Returns `plan`, which counts whole epochs, with the documents up to each phase's end added to its quotas."""
    sums = sizes.map(SumRanges(seed), whole=(plan, offsets), schema=SUMS)
    wanted = sums.fold(find_ranges, WANTED, whole=(plan,))
    seats = sizes.map(ListSeats(seed), whole=(plan, offsets, wanted), schema=SEATS)
    return seats.fold(CountSeats(shard_bytes), PLAN, whole=(plan, wanted))


@dataclass(frozen=True)
class SumRanges:
    """Yields the tokens of each range of places of the epoch that each cut is in, for a shard of documents."""

    seed: int

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        plan, offsets = work.whole
        order = order_of(plan, self.seed, natural=False)
        cuts = len(order.phases) * plan.num_rows
        sums = np.zeros((cuts, ranges_for(cuts)), np.int64)
        for batch in batches:
            tokens = np.asarray(batch.column("tokens")).astype(np.int64)
            for of_cut, _, ranges in _seats(order, batch, offsets, work.number):
                np.add.at(sums, (of_cut, ranges), tokens)
        of_cut, ranges = np.nonzero(sums)
        yield _batch(SUMS, of_cut, ranges, sums[of_cut, ranges])


@dataclass(frozen=True)
class ListSeats:
    """Yields place and tokens of the documents that lie in the wanted range of a cut."""

    seed: int

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        plan, offsets, wanted = work.whole
        order = order_of(plan, self.seed, natural=False)
        chosen = np.full(len(order.phases) * plan.num_rows, -1, np.int64)
        chosen[np.asarray(wanted.column("cut"))] = np.asarray(wanted.column("range"))
        for batch in batches:
            tokens = np.asarray(batch.column("tokens"))
            for cuts, seats, ranges in _seats(order, batch, offsets, work.number):
                kept = chosen[cuts] == ranges
                yield _batch(SEATS, cuts[kept], seats[kept], tokens[kept])


def find_ranges(batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
    """Yields for each cut the range in which its tokens are reached, and how many are wanted of that range."""
    plan = work.whole[0].to_pylist()
    ends = [accumulate(row["token_quotas"]) for row in plan]
    asked = [end % row["tokens"] for cuts in zip(*ends, strict=True) for end, row in zip(cuts, plan, strict=True)]
    sums = np.zeros((len(asked), ranges_for(len(asked))), np.int64)
    for batch in batches:
        cuts, ranges, tokens = (np.asarray(column) for column in batch.columns)
        np.add.at(sums, (cuts, ranges), tokens)
    rows = []
    for cut, missing in enumerate(asked):
        if missing:
            reached = np.cumsum(sums[cut])
            found = int(np.searchsorted(reached, missing))
            rows.append((cut, found, missing - int(reached[found] - sums[cut, found])))
    yield _batch(WANTED, *np.array(rows, np.int64).reshape(-1, 3).T)


@dataclass(frozen=True)
class CountSeats:
    """The fold of the listed places to the plan: each phase ends at the document that brings its group nearest."""

    shard_bytes: int

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        plan, wanted = work.whole[0].to_pylist(), work.whole[1].to_pylist()
        table = pa.Table.from_batches(batches, schema=SEATS)
        cuts, seats, tokens = (np.asarray(table.column(name)) for name in SEATS.names)
        ends = np.cumsum([row["quotas"] for row in plan], axis=1)
        for row in wanted:
            own = cuts == row["cut"]
            order = np.argsort(seats[own])
            gaps = np.abs(np.concatenate([[0], np.cumsum(tokens[own][order])]) - row["tokens"])
            phase, group = divmod(row["cut"], len(plan))
            ends[group, phase] += int(seats[own].min()) + int(np.argmin(gaps))
        quotas = np.diff(ends, axis=1, prepend=0)
        for name, samples in zip(plan[0]["phases"], quotas.sum(axis=0).tolist(), strict=True):
            if not samples:
                place = f"phase '{name}': " if quotas.shape[1] > 1 else ""
                raise PlanError(f"mix: {place}tokens: less than half a document was asked for: ask for more")
        made = [{**row, "quotas": own} for row, own in zip(plan, quotas.tolist(), strict=True)]
        yield plan_batch(made, None, self.shard_bytes)


def ranges_for(cuts: int) -> int:
    """Returns into how many ranges the places of each cut are summed."""
    return max(1, min(RANGES, MOST_SUMS // cuts))


def _seats(
    order: Order, batch: pa.RecordBatch, offsets: pa.Table, block: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields for each phase the cut, the place in the permutation of its epoch, and the range of that, of each row."""
    groups, indices = locate(batch, offsets, block)
    sizes = np.array(order.sizes, np.int64)[groups]
    ranges = ranges_for(len(order.phases) * len(order.labels))
    for phase in range(len(order.phases)):
        seats = order.last_seats(groups, indices, phase)
        yield phase * len(order.labels) + groups, seats, seats * ranges // sizes


def _batch(schema: pa.Schema, *columns: np.ndarray) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(column, pa.int64()) for column in columns], schema=schema)
