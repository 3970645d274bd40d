"""The index of documents: what each one is, where it came from, and how often it is seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ID, Work
from stages.mix.place import locate, order_of
from stages.mix.write import hex_strings

DOCUMENT_COUNTS = pa.schema([pa.field(name, pa.int64()) for name in ("documents", "held_out", "unseen")])
_PACKED = ("validation", "group", "block", "index")  # of what leaves packing
PLACES = (*_PACKED, "doc_id", "split", "times_seen")


def index_schema(packed: pa.Schema) -> pa.Schema:
    """Returns the schema of the index for documents that leave packing with the columns `packed`; ids become hex."""
    carried = [column for column in packed if column.name not in ("id", "tokens", *_PACKED)]
    texts = [pa.field(c.name, pa.string(), metadata=c.metadata) if c.type == ID else c for c in carried]
    added = [("tokens", pa.int32()), ("split", pa.string()), ("times_seen", pa.int32())]
    return pa.schema([pa.field("doc_id", pa.string()), *texts, *(pa.field(name, kind) for name, kind in added)])


@dataclass(frozen=True)
class Index:
    """Puts out the rows of `index` for a shard of documents; yields one row of counts. `whole`: plan and offsets.

    `times_seen` is how often the document's first token is; its later samples may be seen once more or less.
    """

    seed: int

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        plan, offsets = work.whole
        order = order_of(plan, self.seed, natural=False)
        counts = np.zeros(3, np.int64)
        for batch in batches:
            held_out = np.asarray(batch.column("validation"))
            times = held_out.astype(np.int64)
            trained = pa.array(np.flatnonzero(~held_out))
            times[~held_out] = order.times_seen(*locate(batch.take(trained), offsets, work.number))
            work.put("index", _rows(batch, held_out, times))
            counts += [batch.num_rows, held_out.sum(), (times == 0).sum()]
        row = dict(zip(DOCUMENT_COUNTS.names, counts.tolist(), strict=True))
        yield pa.RecordBatch.from_pylist([row], DOCUMENT_COUNTS)


def _rows(batch: pa.RecordBatch, held_out: np.ndarray, times: np.ndarray) -> pa.RecordBatch:
    schema = index_schema(batch.schema)
    made = {
        "doc_id": hex_strings(batch.column("id")),
        "tokens": batch.column("tokens").cast(pa.int32()),
        "split": pc.if_else(pa.array(held_out), "validation", "train"),
        "times_seen": pa.array(times, pa.int32()),
    }
    columns = [made[name] if name in made else _text(batch.column(name)) for name in schema.names]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _text(column: pa.Array) -> pa.Array:
    return hex_strings(column) if column.type == ID else column
