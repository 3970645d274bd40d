"""Exact dedup: of documents that agree in a key, one stays.

    documents -> keys -> exchange by key, best first -> verdicts -> exchange by shard
              -> beside the verdicts -> those that stay

Nothing but keys of 128 bits and what survivors are chosen by leaves a document's shard, and no step holds more than a
few batches.
"""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Literal

from datapipe import ConfigError, Dataset, PlanError, Sized, Stage
from datapipe.dataset import Like
from datapipe.stage import Growth, Seen
from stages.dedup.fold import fold_table
from stages.dedup.richness import richness
from stages.dedup.survivor import preferences
from stages.exact.clusters import VERDICTS, Reduce, survivors
from stages.exact.keys import FOLDED, TEXT, URLS, Know, key_type
from stages.schema import CLUSTER

SOURCE_BYTES_A_SHARD = 2 << 30  # of the source files; a document's key takes some 80 bytes
URL_ALIKE = ("scheme", "slash")


@dataclass(frozen=True, kw_only=True)
class DedupExact(Stage):
    """Keeps one of the documents that agree in URL, text or a column; the others leave as `duplicate_of` it.

    A document without a key (null, or empty) stays. The survivor stands for all that its copies stood for.
    """

    by: Annotated[
        str,
        "what documents agree in: url, canonical_url, text (its bytes), folded (without case, width, punctuation and "
        "the difference of Traditional and Simplified), or a column",
    ]
    within: Annotated[
        tuple[str, ...], "columns that they must agree in too, as [source] where each snapshot is one"
    ] = ()
    survivor: Annotated[
        tuple[str | dict[str, tuple[str, ...]], ...] | None,
        "who stays, by columns, as for the step dedup; by default -quality, -length, crawl_time, where they exist",
    ] = None
    alike: Annotated[
        tuple[Literal["scheme", "www", "slash"], ...] | None,
        "what addresses of one page may differ in: http and https, a first 'www.', slashes at the end of the path; "
        "by default scheme and slash",
    ] = None

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents that stay, with the columns of `stages.schema.CLUSTER`."""
        (documents,) = inputs
        self._check(documents)
        know = Know(
            by=self.by,
            alike=tuple(URL_ALIKE if self.alike is None else self.alike) if self.by in URLS else (),
            within=tuple(self.within),
            order=preferences(self.survivor, documents.schema),
            fold=fold_table() if self.by == FOLDED else None,
        )
        known = documents.map(know, reads=know.reads, passes=True, outputs=(know.output,))
        verdicts = (
            known.output("members")
            .exchange("key", Sized(SOURCE_BYTES_A_SHARD), then=("priority", "id"))
            .map(survivors, schema=VERDICTS)
            .exchange("shard", Like(known), then=("gid",), direct=True)
        )
        return known.map(self._reduce(), adds=CLUSTER, beside=verdicts)

    def growth(self, seen: Seen) -> Growth:
        """Returns how many documents stay of the whole: more share of them have a copy there than in the sample."""
        reduced = self._reduce()
        sizes: dict[float, Counter[int]] = {}
        shards: dict[float, list[int]] = {}
        for shard, rows in seen.read(reduced, "rows"):
            share = seen.shares[shard]
            sizes.setdefault(share, Counter()).update(rows.column("cluster_size").to_pylist())
            shards.setdefault(share, []).append(shard)
        kept = list(seen.documents)
        for share, found in sizes.items():
            whole = richness(found, share)
            here = sum(size * amount for size, amount in found.items())
            for shard in shards[share] if found else ():
                kept[shard] *= whole.clusters / whole.documents * here / found.total()
        return Growth({reduced: kept})

    def _reduce(self) -> Reduce:
        return Reduce(f"exact_{self.by}", 1.0 if self.by in (TEXT, FOLDED) else None)

    def _check(self, documents: Dataset) -> None:
        """Raises where a field names no column, one that is no key, or addresses where there are none."""
        for field, name in (("by", self.by), *((f"within[{place}]", name) for place, name in enumerate(self.within))):
            if field == "by" and name == FOLDED:
                continue
            if name not in documents.schema.names:
                known = [*documents.schema.names, *([FOLDED] if field == "by" else [])]
                near = difflib.get_close_matches(name, known, 1)
                hint = f" (did you mean '{near[0]}'?)" if near else f" (there are: {', '.join(known)})"
                raise PlanError(f"{field}: no earlier step makes a column '{name}'{hint}")
            kind = documents.schema.field(name).type
            if not key_type(kind):
                raise ConfigError(f"{field}: column '{name}' holds {kind}; documents agree in text, bytes or integers")
        if self.alike is not None and self.by not in URLS:
            raise ConfigError(f"alike: says what URLs may differ in, but documents agree by {self.by}; leave it out")
        if len(set(self.within)) < len(self.within):
            raise ConfigError(f"within: {list(self.within)} names a column twice; name each once")
        if self.by in self.within:
            raise ConfigError(f"within: documents agree by '{self.by}' already; leave it out")
