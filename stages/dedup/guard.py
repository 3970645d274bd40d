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

from datapipe import ConfigError, StageError, Work
from datapipe.dataset import Batches
from stages.dedup.clusters import VERDICTS, Sorted
from stages.dedup.keys import SHARD_BITS

EXAMPLES: Final = 3
PLACES: Final = ("url", "file", "offset")  # columns that say where a document was
LOSSES: Final = pa.schema(
    [
        pa.field("source", pa.string()),  # null for the cluster of the shard that is largest
        pa.field("documents", pa.int64()),
        pa.field("removed", pa.int64()),
        pa.field("examples", pa.list_(pa.string())),  # of what would leave; the id of the one with the cluster
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
    examples: dict[str, list[str]] = {}
    largest, of_largest = 0, ""
    gid = work.number << SHARD_BITS
    for facts in work.beside():
        found = verdicts.below(gid + facts.num_rows)
        sources = facts.column("source").fill_null("")
        documents.update(_counts(sources))
        leaves = found.filter(found.column("survivor").is_valid())
        places = np.asarray(leaves.column("gid")) - gid
        theirs = sources.take(pa.array(places))
        removed.update(_counts(theirs))
        for source in theirs.unique().to_pylist():
            held = examples.setdefault(source, [])
            for row in np.flatnonzero(np.asarray(pc.equal(theirs, source)))[: EXAMPLES - len(held)]:
                survivor = leaves.column("survivor")[int(row)].as_py().hex()
                held.append(f"{_document(facts, int(places[row]))}, a copy of {survivor}")
        biggest = found.sort_by([("cluster_size", "descending"), ("id", "ascending")]).slice(0, 1).to_pylist()
        if biggest and (biggest[0]["cluster_size"] or 0) > largest:
            largest, of_largest = biggest[0]["cluster_size"], biggest[0]["id"].hex()
        gid += facts.num_rows
    names = sorted(documents)
    columns = [
        [*names, None],
        [*(documents[name] for name in names), 1],
        [*(removed[name] for name in names), largest],
        [*(examples.get(name, []) for name in names), [of_largest]],
    ]
    yield pa.record_batch([pa.array(item, kind) for item, kind in zip(columns, LOSSES.types, strict=True)], LOSSES)


def _counts(sources: pa.Array) -> dict[str, int]:
    found = sources.value_counts()
    return dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))


def _document(facts: pa.RecordBatch, row: int) -> str:
    """Returns how a document is found again before there is a ledger: id, and address or place as far as known."""
    known = {name: facts.column(name)[row].as_py() for name in PLACES if name in facts.schema.names}
    place = known.get("url") or " at ".join(str(value) for value in known.values() if value is not None)
    return f"{facts.column('id')[row].as_py().hex()}{f' ({place})' if place else ''}"


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
        examples = [example for held in rows["examples"].to_pylist() for example in held]
        whose = f"source {source}" if source else "what has no source"
        yield (
            f"{whose} would lose {removed:,} of {documents:,} documents ({removed / documents:.1%}; "
            f"guard.source_ratio is {guard.source_ratio:g}): {'; '.join(examples[:EXAMPLES])}"
        )


def _clusters(losses: pa.Table, guard: Guard) -> Iterator[str]:
    """Yields a sentence where the largest cluster is too large."""
    clusters = losses.filter(pc.is_null(losses["source"])).to_pylist()
    largest = min(clusters, key=lambda row: (-row["removed"], row["examples"]), default=None)
    if largest and largest["removed"] > guard.cluster:
        yield (
            f"document {largest['examples'][0]} would stand for {largest['removed']:,} documents, more than the "
            f"{guard.cluster:,} of guard.cluster"
        )
