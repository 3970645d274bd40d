"""Verification: a document leaves only if it is truly alike to one that stays.

Documents meet by chance as well as by likeness, and chains of likeness join what is unlike. So the members of a
component are gone through in the order of survivors, and one leaves only where its Jaccard similarity with a document
that stayed before it reaches the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from datapipe import Resource, Work
from datapipe.dataset import Batches
from stages.dedup.clusters import EXACT, MINHASH, VERDICTS, Sorted
from stages.dedup.fold import load
from stages.dedup.keys import SHARD_BITS
from stages.dedup.shingles import overlap, shingle_sets

SIMILARITIES: Final = pa.schema(
    [
        pa.field("similarity", pa.float32()),  # of documents that left to their survivors, rounded down to 1/100
        pa.field("documents", pa.int64()),
    ]
)


def with_text(schema: pa.Schema) -> pa.Schema:
    """Returns the schema of `texts` for that of members."""
    return schema.append(pa.field("text", pa.string()))


def texts(batches: Batches, work: Work, *, members: pa.Schema) -> Batches:
    """Yields the members of a shard, which lie beside sorted by gid, with the texts of their documents."""
    found = Sorted(work.beside(), members)
    gid = work.number << SHARD_BITS
    for batch in batches:
        rows = one_batch(found.below(gid + batch.num_rows))
        places = np.asarray(rows.column("gid")) - gid
        text = batch.column("text").take(pa.array(places))
        yield rows.append_column("text", text)
        gid += batch.num_rows


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """Returns the rows of a small table as one batch."""
    arrays = [column.combine_chunks() for column in table.columns]
    return pa.record_batch(arrays, schema=table.schema)


@dataclass(frozen=True, kw_only=True)
class Verify:
    """Yields the verdict of each member; rows come sorted by (root, priority, id) with their texts."""

    fold: Resource
    shingle: int
    threshold: float
    measure: str = "jaccard"

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields verdicts."""
        fold = load(self.fold)
        root = None
        kept: list[Any] = []
        rows: list[dict[str, object]] = []
        for batch in batches:
            sets = shingle_sets(batch.column("text"), fold, width=self.shingle)
            for number, row in enumerate(batch.drop_columns(["text", "priority"]).to_pylist()):
                if row["root"] != root:
                    rows += [_stays(member, size) for member, _, size in kept]
                    root, kept = row["root"], []
                shingles = sets.hashes[sets.offsets[number] : sets.offsets[number + 1]]
                for item in kept:
                    same = item[0]["exact"] == row["exact"]
                    both = overlap(item[1], shingles)
                    either = len(item[1]) + len(shingles) - both
                    similarity = 1.0 if same else both / either if either else 0.0
                    if similarity >= self.threshold:
                        item[2] += row["size"]
                        rows.append(_leaves(row, item[0], EXACT if same else MINHASH, similarity))
                        break
                else:
                    kept.append([row, shingles, row["size"]])
        rows += [_stays(member, size) for member, _, size in kept]
        yield pa.RecordBatch.from_pylist(rows, schema=VERDICTS)


def _leaves(row: Any, survivor: Any, rule: int, similarity: float) -> Any:
    return {
        "shard": row["gid"] >> SHARD_BITS,
        "gid": row["gid"],
        "id": row["id"],
        "survivor": survivor["id"],
        "cluster_size": None,
        "rule": rule,
        "similarity": similarity,
    }


def _stays(row: Any, size: int) -> Any:
    return {"shard": row["gid"] >> SHARD_BITS, "gid": row["gid"], "id": row["id"], "cluster_size": size}
