"""Quotas in whole documents where samples differ in length: the tokens that were asked for, to within one document.

Whole epochs are exact. Of the last one, the documents are wanted whose places in its permutation come first, up to a
sum of tokens. Two passes over the sizes find how many: sums of 4,096 ranges of places, then the documents of the one
range in which the sum is reached. So no list of all documents is ever held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from datapipe import Dataset, PlanError, Work
from stages.mix.columns import PLAN
from stages.mix.order import Order
from stages.mix.place import locate, order_of
from stages.mix.plan import plan_batch

RANGES = 4096
SUMS = pa.schema([("group", pa.int64()), ("range", pa.int64()), ("tokens", pa.int64())])
WANTED = pa.schema([("group", pa.int64()), ("range", pa.int64()), ("tokens", pa.int64())])
SEATS = pa.schema([("group", pa.int64()), ("seat", pa.int64()), ("tokens", pa.int64())])


def refine(plan: Dataset, offsets: Dataset, sizes: Dataset, *, seed: int, shard_bytes: int) -> Dataset:
    """Returns `plan`, which counts whole epochs, with the documents of the last epoch added to its quotas."""
    sums = sizes.map(SumRanges(seed), whole=(plan, offsets), schema=SUMS)
    wanted = sums.fold(find_ranges, WANTED, whole=(plan,))
    seats = sizes.map(ListSeats(seed), whole=(plan, offsets, wanted), schema=SEATS)
    return seats.fold(CountSeats(shard_bytes), PLAN, whole=(plan, wanted))


@dataclass(frozen=True)
class SumRanges:
    """Yields the tokens of each range of places of each group's last epoch, for a shard of documents."""

    seed: int

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        plan, offsets = work.whole
        order = order_of(plan, self.seed, natural=False)
        sums = np.zeros((plan.num_rows, RANGES), np.int64)
        for batch in batches:
            groups, _, ranges = _seats(order, batch, offsets, work.number)
            np.add.at(sums, (groups, ranges), np.asarray(batch.column("tokens")).astype(np.int64))
        groups, ranges = np.nonzero(sums)
        yield _batch(SUMS, groups, ranges, sums[groups, ranges])


@dataclass(frozen=True)
class ListSeats:
    """Yields place and tokens of the documents that lie in their group's wanted range."""

    seed: int

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        plan, offsets, wanted = work.whole
        order = order_of(plan, self.seed, natural=False)
        chosen = np.full(plan.num_rows, -1, np.int64)
        chosen[np.asarray(wanted.column("group"))] = np.asarray(wanted.column("range"))
        for batch in batches:
            groups, seats, ranges = _seats(order, batch, offsets, work.number)
            kept = chosen[groups] == ranges
            yield _batch(SEATS, groups[kept], seats[kept], np.asarray(batch.column("tokens"))[kept])


def find_ranges(batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
    """Yields for each group the range in which its tokens are reached, and how many are wanted of that range."""
    plan = work.whole[0].to_pylist()
    sums = np.zeros((len(plan), RANGES), np.int64)
    for batch in batches:
        groups, ranges, tokens = (np.asarray(column) for column in batch.columns)
        np.add.at(sums, (groups, ranges), tokens)
    rows = []
    for group, row in enumerate(plan):
        missing = row["token_quota"] % row["tokens"]
        if missing:
            ends = np.cumsum(sums[group])
            found = int(np.searchsorted(ends, missing))
            rows.append((group, found, missing - int(ends[found] - sums[group, found])))
    yield _batch(WANTED, *np.array(rows, np.int64).reshape(-1, 3).T)


@dataclass(frozen=True)
class CountSeats:
    """The fold of the listed places to the plan: as many more documents as bring each group nearest to its tokens."""

    shard_bytes: int

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        plan, wanted = work.whole[0].to_pylist(), work.whole[1].to_pylist()
        table = pa.Table.from_batches(batches, schema=SEATS)
        groups, seats, tokens = (np.asarray(table.column(name)) for name in SEATS.names)
        for row in wanted:
            own = groups == row["group"]
            order = np.argsort(seats[own])
            gaps = np.abs(np.concatenate([[0], np.cumsum(tokens[own][order])]) - row["tokens"])
            plan[row["group"]]["quota"] += int(seats[own].min()) + int(np.argmin(gaps))
        if not sum(row["quota"] for row in plan):
            raise PlanError("mix: tokens: less than half a document was asked for: ask for more")
        yield plan_batch(plan, None, self.shard_bytes)


def _seats(
    order: Order, batch: pa.RecordBatch, offsets: pa.Table, block: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns group, place in the permutation of the group's last epoch, and range of that place, of each row."""
    groups, indices = locate(batch, offsets, block)
    seats = order.last_seats(groups, indices)
    return groups, seats, seats * RANGES // np.array(order.sizes, np.int64)[groups]


def _batch(schema: pa.Schema, *columns: np.ndarray) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(column, pa.int64()) for column in columns], schema=schema)
