"""The guard: what would wipe out a source stops the run before a document has left, or warns.

A wrong setting, or a page that every site embeds, removes whole sources unseen. So before documents leave it is counted
what each source would lose and how large the largest cluster is, and a run that goes beyond what is set ends there with
examples to look at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ID, ConfigError, StageError, Work
from datapipe.dataset import Batches
from stages.dedup.clusters import VERDICTS, Sorted
from stages.dedup.keys import SHARD_BITS

EXAMPLES: Final = 3
LOSSES: Final = pa.schema(
    [
        pa.field("source", pa.string()),  # null for the cluster of the shard that is largest
        pa.field("documents", pa.int64()),
        pa.field("removed", pa.int64()),
        pa.field("ids", pa.list_(ID)),  # of some that would leave, each followed by its survivor
    ]
)
NOTHING: Final = pa.schema([("passed", pa.bool_())])


@dataclass(frozen=True, kw_only=True)
class Guard:
    """What is too much to lose."""

    source_ratio: Annotated[float, "largest share of its documents that a source may lose"] = 0.9
    least: Annotated[int, "documents that a source has at least, to be judged"] = 1000
    cluster: Annotated[int, "most documents that one survivor may stand for"] = 1_000_000
    action: Annotated[
        Literal["stop", "warn"], "stop: the run ends before anything leaves; warn: the report says so"
    ] = "stop"

    def check(self) -> None:
        """Raises ConfigError where a value makes no sense."""
        if not 0 < self.source_ratio <= 1:
            raise ConfigError(f"guard.source_ratio: {self.source_ratio} is not above 0 and up to 1")
        if self.least < 1 or self.cluster < 2:
            raise ConfigError("guard: least is at least 1, cluster at least 2")


def losses(batches: Batches, work: Work) -> Batches:
    """Yields what each source of a shard has and would lose; facts lie beside the verdicts, both sorted by gid."""
    verdicts = Sorted(batches, VERDICTS)
    documents: Counter[str] = Counter()
    removed: Counter[str] = Counter()
    examples: dict[str, list[bytes]] = {}
    largest, of_largest = 0, b""
    gid = work.number << SHARD_BITS
    for facts in work.beside():
        found = verdicts.below(gid + facts.num_rows)
        sources = facts.column("source")
        documents.update(_counts(sources))
        leaves = found.filter(found.column("survivor").is_valid())
        theirs = sources.take(pa.array(np.asarray(leaves.column("gid")) - gid))
        removed.update(_counts(theirs))
        for source in set(theirs.to_pylist()):
            held = examples.setdefault(source, [])
            rows = leaves.filter(pc.equal(theirs, source)).slice(0, EXAMPLES - len(held) // 2)
            held += [
                item for row in zip(rows["id"].to_pylist(), rows["survivor"].to_pylist(), strict=True) for item in row
            ]
        stays = found.filter(found.column("cluster_size").is_valid())
        for size, survivor in zip(stays["cluster_size"].to_pylist(), stays["id"].to_pylist(), strict=True):
            if size > largest:
                largest, of_largest = size, survivor
        gid += facts.num_rows
    rows = [
        {"source": source, "documents": documents[source], "removed": removed[source], "ids": examples.get(source, [])}
        for source in sorted(documents)
    ]
    rows.append({"source": None, "documents": 1, "removed": largest, "ids": [of_largest] if largest else []})
    yield pa.RecordBatch.from_pylist(rows, schema=LOSSES)


def _counts(sources: pa.Array) -> dict[str, int]:
    found = sources.value_counts()
    return dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))


def judge(batches: Batches, work: Work, *, guard: Guard) -> Batches:
    """Yields one row once all losses are within the limits. Raises StageError, or warns, where they are not."""
    table = pa.Table.from_batches(list(batches), schema=LOSSES)
    said = [*_sources(table.filter(pc.is_valid(table["source"])), guard), *_clusters(table, guard)]
    if said and guard.action == "stop":
        raise StageError(
            f"dedup: {'; '.join(said)}. Nothing has left. Look at the examples; then raise the limit, write "
            "guard: {action: warn}, or change threshold or shingle"
        )
    for sentence in said:
        work.warn(sentence)
    yield pa.record_batch([pa.array([True])], schema=NOTHING)


def _sources(losses: pa.Table, guard: Guard) -> Iterator[str]:
    """Yields a sentence on each source that would lose too much."""
    for source in pc.unique(losses["source"]).sort().to_pylist():
        rows = losses.filter(pc.equal(losses["source"], source))
        documents, removed = (pc.sum(rows[name]).as_py() for name in ("documents", "removed"))
        if documents < guard.least or removed <= guard.source_ratio * documents:
            continue
        pairs = [ids[place : place + 2] for ids in rows["ids"].to_pylist() for place in range(0, len(ids), 2)]
        examples = ", ".join(f"{one.hex()} of {other.hex()}" for one, other in pairs[:EXAMPLES])
        yield (
            f"source {source} would lose {removed:,} of {documents:,} documents ({removed / documents:.1%}; "
            f"guard.source_ratio is {guard.source_ratio:g}) as copies: {examples}"
        )


def _clusters(losses: pa.Table, guard: Guard) -> Iterator[str]:
    """Yields a sentence where the largest cluster is too large."""
    clusters = losses.filter(pc.is_null(losses["source"])).to_pylist()
    largest = min(clusters, key=lambda row: (-row["removed"], row["ids"]), default=None)
    if largest and largest["removed"] > guard.cluster:
        yield (
            f"document {largest['ids'][0].hex()} would stand for {largest['removed']:,} documents, more than the "
            f"{guard.cluster:,} of guard.cluster"
        )
