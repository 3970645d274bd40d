"""Dedup: of documents that are equal or nearly so, one stays.

    documents -> sign -> bands -> exchange by key -> stars -> components (one union-find) -> labels
                      -> facts -> beside the labels -> exchange by cluster, best first -> survivors
                      -> documents -> beside the verdicts -> those that stay

Two documents meet where one band of their MinHash signatures is equal: with Jaccard similarity s of their shingle sets
that happens with probability 1 - (1 - s^rows)^bands. Clusters are the connected components of meetings.

Source: Broder 1997 (MinHash); Indyk and Motwani, Approximate nearest neighbors, 1998 (bands).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from datapipe import ConfigError, Dataset, Output, Sized, Stage
from datapipe.dataset import Like
from datapipe.stage import Growth, Seen
from stages.dedup.clusters import VERDICTS, members, members_schema, reduce, survivors
from stages.dedup.components import BUCKETS, EDGES, LABELS, components, stars
from stages.dedup.fold import fold_table
from stages.dedup.keys import BANDS, Sign, facts_schema
from stages.dedup.richness import richness
from stages.dedup.survivor import LENGTH, Preference, preferences
from stages.schema import CLUSTER

PUBLISHED = "keys/part-{number:05}-of-{shards:05}.parquet"
SOURCE_BYTES_A_SHARD = 256 << 20  # of the source files; their band keys are about as much at most


@dataclass(frozen=True, kw_only=True)
class Dedup(Stage):
    """Keeps one document of each cluster of exact and near copies; the others leave as `duplicate_of` it.

    Compared is a folded view (compatibility forms, case, Traditional to Simplified, no punctuation). Documents of
    fewer tokens than a shingle has meet their exact copies only.
    """

    bands: Annotated[int, "bands of the signature; two documents meet where one is equal"] = 18
    rows: Annotated[int, "values a band; bands * rows may not exceed the permutations"] = 7
    permutations: Annotated[int, "values of a signature"] = 128
    shingle: Annotated[int, "tokens a shingle: a Han or kana character, or a word of a spaced script"] = 5
    seed: Annotated[int, "which permutations are drawn; datasketch draws the same for it"] = 1
    survivor: Annotated[
        tuple[str | dict[str, tuple[str, ...]], ...] | None,
        "who stays, by columns: 'name' (least first), '-name' (most first), {name: [values, best first]}, or 'length' "
        "in characters; then by text digest and id. By default -quality, -length, crawl_time, where they exist",
    ] = None

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents that stay, with the columns of `stages.schema.CLUSTER`."""
        self._check()
        (documents,) = inputs
        order = preferences(self.survivor, documents.schema)
        signed = self._signed(documents, order)
        stars_of = (
            signed.output("bands")
            .exchange("key", Sized(SOURCE_BYTES_A_SHARD), then=("gid",))
            .map(stars, schema=EDGES, outputs=(Output("buckets", BUCKETS),))
        )
        labels = stars_of.fold(components, LABELS, whole=(stars_of.output("buckets"),))
        verdicts = (
            labels.exchange("shard", Like(signed), then=("gid",), direct=True)
            .map(partial(members, order=order), schema=members_schema(order), beside=signed.output("facts"))
            .exchange("root", Sized(SOURCE_BYTES_A_SHARD), then=("priority", "id"))
            .map(survivors, schema=VERDICTS)
            .exchange("shard", Like(signed), then=("gid",), direct=True)
        )
        return signed.map(reduce, adds=CLUSTER, beside=verdicts)

    def growth(self, seen: Seen) -> Growth:
        """Returns how many documents stay, and meet another, of the whole: more share of them have a copy there."""
        clusters: dict[float, Counter[int]] = {}
        shares: dict[int, float] = {}
        for shard, rows in seen.read(reduce, "rows"):
            shares[shard] = seen.shares[shard]
            clusters.setdefault(shares[shard], Counter()).update(rows.column("cluster_size").to_pylist())
        kept, before, after = list(seen.documents), 0.0, 0.0
        for share, sizes in clusters.items():
            found = richness(sizes, share)
            here = sum(size * amount for size, amount in sizes.items())
            for shard in (shard for shard, its_share in shares.items() if its_share == share and sizes):
                kept[shard] *= found.clusters / found.documents * here / sizes.total()
            before += here - sizes[1]
            after += found.shared / found.documents * here / share if sizes else 0.0
        meetings = after / before if before else 1.0
        return Growth({reduce: kept, components: meetings, stars: meetings})

    def _signed(self, documents: Dataset, order: tuple[Preference, ...]) -> Dataset:
        columns = tuple(sorted({item.column for item in order} - {LENGTH}))
        sign = Sign(
            fold=fold_table(),
            permutations=self.permutations,
            seed=self.seed,
            bands=self.bands,
            rows=self.rows,
            shingle=self.shingle,
            columns=columns,
        )
        outputs = (
            Output("bands", BANDS),
            Output("keys", sign.keys_schema(), publish=PUBLISHED),
            Output("facts", facts_schema(documents.schema, columns)),
        )
        return documents.map(sign, reads=("id", "text", "text_digest"), outputs=outputs)

    def _check(self) -> None:
        for name in ("bands", "rows", "permutations", "shingle"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: {getattr(self, name)} is too small; it is at least 1")
        if self.bands * self.rows > self.permutations:
            raise ConfigError(
                f"bands * rows is {self.bands} * {self.rows} = {self.bands * self.rows}, more than the "
                f"{self.permutations} permutations; raise permutations, or lower bands or rows"
            )
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed: {self.seed} is not from 0 to 4294967295")
