"""From keys to documents: who of those that agree stays, and how the others leave.

The members of a cluster come sorted, the best first, so one pass with the state of one cluster finds who stays,
however large it is. A document that agrees with none has no verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datapipe import ID, StageError, Work
from datapipe.dataset import Batches
from stages.dedup.clusters import Sorted
from stages.dedup.keys import SHARD_BITS, capped, stood_for
from stages.rewrite import with_columns
from stages.schema import CLUSTER

VERDICTS: Final = pa.schema(
    [
        pa.field("shard", pa.int32()),
        pa.field("gid", pa.int64()),
        pa.field("id", ID),
        pa.field("survivor", ID),  # null for the survivor itself
        pa.field("cluster_size", pa.int32()),  # null for the others
    ]
)

Places = npt.NDArray[np.int64]


def survivors(batches: Batches, work: Work) -> Batches:
    """Yields the verdicts on all who agree with another; rows come sorted by (key, priority, id).

    A cluster's size is the sum of those of its members, as a member may stand for copies that left before.
    """
    first: pa.RecordBatch | None = None  # of the cluster that is open
    size, members = 0, 0
    for batch in batches:
        if batch.num_rows == 0:
            continue
        rows = batch if first is None else pa.concat_batches([first, batch])
        starts = _starts(rows)
        amounts, total = np.diff(starts, append=rows.num_rows), _sizes(rows)
        if first is not None:
            total[0] = size
            amounts[0] += members - 1
        sums = np.add.reduceat(total, starts)
        yield _leaving(rows, starts)
        yield _staying(rows, starts[:-1], sums[:-1], amounts[:-1])
        first, size, members = rows.take(pa.array(starts[-1:])), int(sums[-1]), int(amounts[-1])
    if first is not None:
        yield _staying(first, np.zeros(1, np.int64), np.array([size]), np.array([members]))


def _starts(rows: pa.RecordBatch) -> Places:
    """Returns where clusters begin."""
    column = rows.column("key")
    words = np.frombuffer(column.buffers()[1], np.uint64)[2 * column.offset :][: 2 * len(column)].reshape(-1, 2)
    return np.flatnonzero(np.append(True, (words[1:] != words[:-1]).any(axis=1)))


def _sizes(rows: pa.RecordBatch) -> Places:
    return np.asarray(rows.column("size"), dtype=np.int64)


def _leaving(rows: pa.RecordBatch, starts: Places) -> pa.RecordBatch:
    """Returns the verdicts on all but the first of each cluster."""
    begins = np.zeros(rows.num_rows, np.bool_)
    begins[starts] = True
    left = np.flatnonzero(~begins)
    leaders = rows.column("id").take(pa.array(starts[np.cumsum(begins)[left] - 1]))
    return _verdicts(rows.take(pa.array(left)), leaders, pa.nulls(len(left), pa.int32()))


def _staying(rows: pa.RecordBatch, places: Places, sums: Places, amounts: Places) -> pa.RecordBatch:
    """Returns the verdicts on the first of each cluster that has another."""
    shared = amounts > 1
    held = rows.take(pa.array(places[shared]))
    return _verdicts(held, pa.nulls(len(held), ID), pa.array(capped(sums[shared])))


def _verdicts(rows: pa.RecordBatch, survivor: pa.Array, size: pa.Array) -> pa.RecordBatch:
    shard = pa.array((rows.column("gid").to_numpy() >> SHARD_BITS).astype(np.int32))
    return pa.record_batch([shard, rows.column("gid"), rows.column("id"), survivor, size], schema=VERDICTS)


@dataclass(frozen=True)
class Reduce:
    """Lets the documents go that agree with a better one; the verdicts on a shard lie beside, sorted by gid."""

    rule: str
    similarity: float | None

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields the documents that stay, with cluster columns."""
        verdicts = Sorted(work.beside(), VERDICTS)
        gid = work.number << SHARD_BITS
        for batch in batches:
            found = verdicts.below(gid + batch.num_rows)
            places = np.asarray(found.column("gid"), dtype=np.int64) - gid
            gid += batch.num_rows
            if not found.column("id").combine_chunks().equals(batch.column("id").take(pa.array(places))):
                raise StageError(
                    f"dedup_exact: shard {work.number} does not hold the documents that were read; run again"
                )
            yield self._reduced(batch, found, places, work)
        verdicts.end(work)

    def _reduced(self, batch: pa.RecordBatch, found: pa.Table, places: Places, work: Work) -> pa.RecordBatch:
        size, given = stood_for(batch), found.column("cluster_size").combine_chunks()
        size[places] = given.fill_null(0).to_numpy()
        leaves, verdict = np.zeros(batch.num_rows, np.bool_), np.zeros(batch.num_rows, np.int64)
        leaves[places], verdict[places] = np.asarray(given.is_null()), np.arange(len(places))
        work.count("clusters", len(places) - int(leaves.sum()))
        other = found.column("survivor").combine_chunks()
        return work.drop(
            with_columns(batch, CLUSTER, (batch.column("id"), pa.array(size))),
            leaves,
            action="duplicate_of",
            rule=self.rule,
            other=other.take(pa.array(verdict)) if len(places) else None,
            similarity=self.similarity,
            sample="text" if "text" in batch.schema.names else None,
        )
