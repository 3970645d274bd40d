"""Samples to the positions at which they are seen: a copy for each, and the shard of the corpus it goes to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import StageError, Work
from stages.mix.columns import placed
from stages.mix.groups import label
from stages.mix.order import Order

COPY_BYTES = 8 << 20  # copies are handed on in batches of about this size


def order_of(plan: pa.Table, seed: int, *, natural: bool) -> Order:
    """Returns the order that rows of PLAN define."""
    labels, sizes, quotas = (plan.column(name).to_pylist() for name in ("group", "samples", "quotas"))
    return Order(seed, tuple(labels), tuple(sizes), tuple(zip(*quotas, strict=True)), natural)


@dataclass(frozen=True)
class Place:
    """Yields each sample as often as it is seen, by row and then epoch. `whole` are the plan and its offsets."""

    seed: int
    seq_len: int | None
    natural: bool = False

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        plan, offsets = work.whole
        order = order_of(plan, self.seed, natural=self.natural)
        per_shard = plan.column("samples_per_shard")[0].as_py() if plan.num_rows else 1
        for batch in batches:
            groups, indices = locate(batch, offsets, work.number)
            rows, epochs, positions = order.occurrences(groups, indices)
            step = max(1, COPY_BYTES * batch.num_rows // max(1, batch.nbytes))
            for start in range(0, len(rows), step):
                part = slice(start, start + step)
                copies = _taken(batch, rows[part])
                places = {
                    "index": pa.array(indices[rows[part]]),
                    "epoch": pa.array(epochs[part].astype(np.int16)),
                    "position": pa.array(positions[part]),
                    "shard": pa.array(positions[part] // per_shard),
                }
                schema = placed(self.seq_len)
                columns = [places[name] if name in places else copies.column(name) for name in schema.names]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _taken(batch: pa.RecordBatch, rows: np.ndarray) -> pa.RecordBatch:
    """Returns these rows: a slice where they follow each other, as all do that are seen once."""
    if np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return batch.slice(rows[0], len(rows))
    return batch.take(pa.array(rows))


def locate(batch: pa.RecordBatch, offsets: pa.Table, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns for samples of a shard of documents their row in the plan and index in the group, int64[rows] both."""
    here = offsets.filter(pc.equal(offsets.column("block"), block)).to_pylist()
    known = {(row["group"], row["source"]): (row["place"], row["offset"]) for row in here}
    groups, sources = label(batch.column("group")), label(batch.column("source"))
    joint = np.asarray(groups.indices).astype(np.int64) * len(sources.dictionary) + np.asarray(sources.indices)
    distinct, codes = np.unique(joint, return_inverse=True)
    found = np.zeros((len(distinct), 2), np.int64)
    for row, code in enumerate(distinct.tolist()):
        group, source = divmod(code, len(sources.dictionary))
        key = (groups.dictionary[group].as_py(), sources.dictionary[source].as_py())
        if key not in known:
            raise StageError(f"mix: block {block} holds samples of {key}, which were not counted")
        found[row] = known[key]
    return found[codes, 0], found[codes, 1] + np.asarray(batch.column("index")).astype(np.int64)
