"""From labels to documents: who is in a cluster, who of them stays, and how the others leave.

Three streams of one shard each, none of which holds more than a few batches: labels meet the facts of their
documents, a cluster's members (sorted best first) meet their survivor, and verdicts meet the documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ID, StageError, Work
from datapipe.dataset import Batches
from stages.dedup.components import LABELS
from stages.dedup.keys import SHARD_BITS, capped, stood_for
from stages.dedup.survivor import Preference, priorities, priority_type
from stages.rewrite import with_columns
from stages.schema import CLUSTER

VERDICTS: Final = pa.schema(
    [
        pa.field("shard", pa.int32()),
        pa.field("gid", pa.int64()),
        pa.field("id", ID),
        pa.field("survivor", ID),  # null for the survivor itself
        pa.field("cluster_size", pa.int32()),  # null for the others
        pa.field("rule", pa.int8()),  # place in RULES
        pa.field("similarity", pa.float32()),  # to the survivor; null where it was not measured
    ]
)
RULES: Final = ("exact", "minhash")  # the folded views are equal, or nearly so
EXACT, MINHASH = range(2)
END: Final = 2**63 - 1

Places = npt.NDArray[np.int64]


def members_schema(order: Sequence[Preference]) -> pa.Schema:
    """Returns the schema of `members`."""
    known = [("root", pa.int64()), ("gid", pa.int64()), ("id", ID), ("exact", pa.binary(16)), ("size", pa.int32())]
    return pa.schema([*known, ("priority", priority_type(order))])


def members(batches: Batches, work: Work, *, order: Sequence[Preference]) -> Batches:
    """Yields a row for each label with what is known of its document; facts lie beside, both sorted by gid."""
    labels = Sorted(batches, LABELS)
    for facts in work.beside():
        if facts.num_rows == 0:
            continue
        first = int(facts.column("gid")[0].as_py())
        found = labels.below(first + facts.num_rows)
        rows = facts.take(pa.array(_numbers(found, "gid") - first))
        columns = [pa.array(_numbers(found, "root")), *(rows.column(name) for name in ("gid", "id", "exact", "size"))]
        yield pa.record_batch([*columns, priorities(rows, order)], schema=members_schema(order))
    labels.end(work)


def survivors(batches: Batches, work: Work) -> Batches:
    """Yields the verdict of each member; rows come sorted by (root, priority, id), and the first of a root survives.

    A survivor's row follows those of its duplicates, when the size of its cluster is known.
    """
    first: pa.RecordBatch | None = None  # of the cluster that is open
    size = 0  # of that cluster so far, its first document included
    for batch in batches:
        if batch.num_rows == 0:
            continue
        rows = batch if first is None else pa.concat_batches([first, batch])
        roots, stands_for = rows.column("root").to_numpy(), rows.column("size").to_numpy().astype(np.int64)
        if first is not None:
            stands_for[0] = size
        starts = np.flatnonzero(np.concatenate([[True], roots[1:] != roots[:-1]]))
        sizes = np.add.reduceat(stands_for, starts)
        yield _verdicts(rows, starts, sizes[:-1])
        first, size = rows.take(pa.array(starts[-1:])), int(sizes[-1])
    if first is not None:
        yield _survivors(first, np.array([size]))


def _verdicts(rows: pa.RecordBatch, starts: Places, sizes: Places) -> pa.RecordBatch:
    """Returns verdicts of all members but the last cluster's survivor, each survivor after its duplicates."""
    begins = np.zeros(rows.num_rows, np.bool_)
    begins[starts] = True
    duplicates = np.flatnonzero(~begins)
    leaders = rows.take(pa.array(starts[np.cumsum(begins)[duplicates] - 1]))
    left = rows.take(pa.array(duplicates))
    same = pc.equal(left.column("exact"), leaders.column("exact"))
    gone = pa.record_batch(
        [
            _shards(left),
            left.column("gid"),
            left.column("id"),
            leaders.column("id"),
            pa.nulls(len(duplicates), pa.int32()),
            pc.if_else(same, EXACT, MINHASH).cast(pa.int8()),
            pc.if_else(same, pa.scalar(1.0, pa.float32()), pa.scalar(None, pa.float32())),
        ],
        schema=VERDICTS,
    )
    kept = _survivors(rows.take(pa.array(starts[:-1])), sizes)
    order = np.argsort(np.concatenate([duplicates, starts[1:] - 0.5]), kind="stable")
    return pa.concat_batches([gone, kept]).take(pa.array(order))


def _survivors(rows: pa.RecordBatch, sizes: Places) -> pa.RecordBatch:
    known = [_shards(rows), rows.column("gid"), rows.column("id"), pa.nulls(rows.num_rows, ID)]
    measured = [pa.nulls(rows.num_rows, pa.int8()), pa.nulls(rows.num_rows, pa.float32())]
    return pa.record_batch([*known, pa.array(capped(sizes)), *measured], schema=VERDICTS)


def _shards(rows: pa.RecordBatch) -> pa.Array:
    return pa.array((rows.column("gid").to_numpy() >> SHARD_BITS).astype(np.int32))


def reduce(batches: Batches, work: Work) -> Batches:
    """Yields the documents that stay, with cluster columns; the verdicts on this shard lie beside, sorted by gid."""
    verdicts = Sorted(work.beside(), VERDICTS)
    gid = work.number << SHARD_BITS
    for batch in batches:
        found = verdicts.below(gid + batch.num_rows)
        places = _numbers(found, "gid") - gid
        if not found.column("id").combine_chunks().equals(batch.column("id").take(pa.array(places))):
            raise StageError(f"dedup: shard {work.number} does not hold the documents that were signed; run again")
        sizes, leaves = stood_for(batch), np.zeros(batch.num_rows, np.bool_)
        leaves[places] = np.asarray(found.column("survivor").is_valid())
        sizes[places] = found.column("cluster_size").fill_null(0).to_numpy()
        verdict = np.full(batch.num_rows, -1, np.int64)
        verdict[places] = np.arange(len(places))
        rows = found.take(pa.array(verdict, mask=verdict < 0))
        yield work.drop(
            _with_cluster(batch, sizes),
            leaves,
            action="duplicate_of",
            rule=pa.array(RULES).take(rows.column("rule").combine_chunks().fill_null(0)),
            other=rows.column("survivor").combine_chunks(),
            similarity=rows.column("similarity").combine_chunks(),
            sample="text",
        )
        gid += batch.num_rows
    verdicts.end(work)


def _with_cluster(batch: pa.RecordBatch, sizes: npt.NDArray[np.int32]) -> pa.RecordBatch:
    """Returns the batch with `cluster` (its own id: who stays is a survivor or alone) and `cluster_size`."""
    return with_columns(batch, CLUSTER, (batch.column("id"), pa.array(sizes)))


class Sorted:
    """A stream of batches sorted by `gid`, from which rows are taken in order."""

    def __init__(self, batches: Batches, schema: pa.Schema) -> None:
        self.batches = batches
        self.schema = schema
        self.waiting: pa.RecordBatch | None = next(batches, None)

    def below(self, gid: int) -> pa.Table:
        """Returns the rows with a smaller gid that were not taken yet."""
        taken = []
        while self.waiting is not None:
            amount = int(np.searchsorted(self.waiting.column("gid").to_numpy(), gid))
            taken.append(self.waiting.slice(0, amount))
            if amount < self.waiting.num_rows:
                self.waiting = self.waiting.slice(amount)
                break
            self.waiting = next(self.batches, None)
        return pa.Table.from_batches(taken, schema=self.schema)

    def end(self, work: Work) -> None:
        """Raises StageError where rows are left: they are about documents that the shard does not hold."""
        left = self.below(END).num_rows
        if left:
            raise StageError(
                f"{work.stage}: shard {work.number} was given {left} rows about documents that it does not hold"
            )


def _numbers(rows: pa.Table, name: str) -> Places:
    return np.asarray(rows.column(name), dtype=np.int64)
