"""Without components: a document leaves where it is not the first of some bucket that it is in.

The order is that of survivors, (priority, id). No state is larger than a row, so there is no bound on documents, on
buckets or on chains; but nothing is verified. The first document of a component is the first of all its buckets and
stays, so what stays is what unverified components keep, and more: of a chain A ~ B ~ C in which A and C never meet,
sorted A, C, B, both ends stay, and where B comes first both leave.

A document that leaves names the least of the firsts that it lost against. That one may leave too, for one that is less
again: who follows the names comes to a document that stays, of the same component. How many documents a survivor
stands for is not known: `cluster_size` is what earlier steps found.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ID, Dataset, Output, Sized, Work
from datapipe.dataset import Batches, Like
from stages.dedup.clusters import MINHASH, VERDICTS
from stages.dedup.components import BUCKETS, SOURCE_BYTES_A_SHARD, buckets_of, count_buckets, star_edges
from stages.dedup.keys import SHARD_BITS

KNOWN: Final = [("shard", pa.int32()), ("gid", pa.int64()), ("id", ID), ("survivor", ID)]


def local_min_verdicts(bands: Dataset, documents: Dataset) -> Dataset:
    """Returns VERDICTS on the documents that leave, in shards as `documents` has them, sorted by gid.

    `bands` are rows (key, gid, priority, id). Counts `buckets`, `largest_bucket` and `pairs`.
    """
    schema = lost_schema(bands.schema)
    losing = bands.exchange("key", Sized(SOURCE_BYTES_A_SHARD), then=("priority", "id")).map(
        lost, schema=schema, outputs=(Output("buckets", BUCKETS),)
    )
    by_document = losing.exchange("shard", Like(documents), then=("gid", "priority", "survivor"), direct=True)
    return by_document.map(verdicts, schema=VERDICTS, whole=(losing.output("buckets"),))


def lost_schema(bands: pa.Schema) -> pa.Schema:
    """Returns the schema of `lost`; the priority is the survivor's."""
    return pa.schema([*KNOWN, bands.field("priority")])


def lost(batches: Batches, work: Work) -> Batches:
    """Yields a row for each document of a bucket but the first; puts out its share of `buckets`.

    Rows come sorted by (key, priority, id).
    """
    tally, last, seen = np.zeros(5, np.int64), np.zeros(1, np.uint64), 0
    first: pa.RecordBatch | None = None  # of the bucket that is open
    for batch in batches:
        amount = batch.num_rows
        low, high = np.empty(amount, np.int64), np.empty(amount, np.int64)
        numbers = np.arange(seen, seen + amount)
        numbers.flags.writeable = False  # as Arrow's arrays are, for which the kernel is compiled
        made = star_edges(batch.column("key").to_numpy(), numbers, last, tally, low, high)
        rows = pa.concat_batches([batch.slice(0, 1) if first is None else first, batch])
        losers, firsts = (rows.take(pa.array(np.maximum(ends[:made] - seen + 1, 0))) for ends in (high, low))
        yield _lost(losers, firsts)
        first = rows.slice(max(int(tally[0]) - seen + 1, 0), 1)
        seen += amount
    work.put("buckets", buckets_of(tally))


def _lost(losers: pa.RecordBatch, firsts: pa.RecordBatch) -> pa.RecordBatch:
    gids = losers.column("gid")
    shards = pa.array((gids.to_numpy() >> SHARD_BITS).astype(np.int32))
    columns = [shards, gids, losers.column("id"), firsts.column("id"), firsts.column("priority")]
    rows = pa.record_batch(columns, schema=lost_schema(firsts.schema))
    return rows.filter(pc.not_equal(rows.column("id"), rows.column("survivor")))  # one key in two bands of a document


def verdicts(batches: Batches, work: Work) -> Batches:
    """Yields the first row of each document, as its verdict; the first shard counts the buckets of all."""
    if work.number == 0:
        count_buckets(work.whole[0], work)
    last = -1
    for batch in batches:
        gids = batch.column("gid").to_numpy()
        begins = np.flatnonzero(np.diff(gids, prepend=last))
        last = gids[-1]
        known = batch.take(pa.array(begins))
        rules = pa.repeat(pa.scalar(MINHASH, pa.int8()), len(begins))
        sizes, similarities = pa.nulls(len(begins), pa.int32()), pa.nulls(len(begins), pa.float32())
        columns = [*(known.column(name) for name, _ in KNOWN), sizes, rules, similarities]
        yield pa.record_batch(columns, schema=VERDICTS)
