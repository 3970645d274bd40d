"""Dedup: of documents that are equal or nearly so, one stays.

    documents -> sign -> bands -> exchange by key -> stars -> components -> labels -> exchange back by shard
                      -> beside the labels -> members with their texts -> exchange by component, best first -> verify
                      -> verdicts -> exchange back by shard -> guard
                                                            -> documents beside them -> those that stay

Two documents meet where one band of their MinHash signatures is equal: with Jaccard similarity s of their shingle sets
that happens with probability 1 - (1 - s^rows)^bands. Components are those of meetings; inside of one a document leaves
where its true similarity with one that stays reaches the threshold.

Source: Broder 1997 (MinHash); Indyk and Motwani, Approximate nearest neighbors, 1998 (bands).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, ClassVar, Literal

import pyarrow as pa

from datapipe import ConfigError, Dataset, Output, Sized, Stage
from datapipe.dataset import Like, MapFunction
from datapipe.stage import Growth, Seen
from stages.dedup import guard as guards
from stages.dedup.against import UNSIGNED, against, earlier_keys
from stages.dedup.audit import DRAWN, SignAndDraw, audited
from stages.dedup.clusters import VERDICTS, members, members_schema, reduce, survivors
from stages.dedup.components import BUCKETS, EDGES, labels_of, stars
from stages.dedup.curve import Curve, for_recall, forecast, least_error
from stages.dedup.fold import fold_table
from stages.dedup.guard import PLACES, Guard
from stages.dedup.keys import Sign, facts_schema, is_comparable
from stages.dedup.local_min import local_min_verdicts, lost
from stages.dedup.rehydrate import Named, Rehydrate, table_of
from stages.dedup.richness import richness
from stages.dedup.survivor import LENGTH, Preference, preferences
from stages.dedup.verify import SIMILARITIES, Verify, texts, with_text
from stages.schema import CLUSTER, WEIGHT

PUBLISHED = "keys/part-{number:05}-of-{shards:05}.parquet"
MOST_PERMUTATIONS, MOST_TOKENS = 1 << 16, 1 << 16
SOURCE_BYTES_A_SHARD = 256 << 20  # of the source files; their band keys are about as much at most


@dataclass(frozen=True, kw_only=True)
class Dedup(Stage):
    """Keeps one document of each cluster of exact and near copies; the others leave as `duplicate_of` it.

    Compared is a folded view (compatibility forms, case, Traditional to Simplified, no punctuation). Documents of
    fewer tokens than a shingle has meet their exact copies only. Documents of all sources meet; with `within` only
    those of equal columns do, as of one snapshot. What earlier runs hold leaves first, with `against`.
    """

    version: ClassVar[int] = 2

    threshold: Annotated[float, "Jaccard similarity from which a document is a copy of one that stays"] = 0.8
    recall: Annotated[float, "chance to meet at that similarity that bands and rows are chosen for"] = 0.98
    curve: Annotated[
        Literal["recall", "datasketch"],
        "how bands and rows follow: most rows that have the recall, or datasketch's least sum of errors",
    ] = "recall"
    bands: Annotated[int | None, "bands of the signature, by hand, with `rows`; documents meet where one is equal"] = (
        None
    )
    rows: Annotated[int | None, "values a band, by hand; bands * rows may not exceed the permutations"] = None
    permutations: Annotated[int, "values of a signature"] = 128
    shingle: Annotated[int, "tokens a shingle: a Han or kana character, or a word of a spaced script"] = 5
    seed: Annotated[int, "which permutations are drawn; datasketch draws the same for it"] = 1
    mode: Annotated[
        Literal["components", "local_min"],
        "components: who meets, directly or through others, is compared; local_min: a document leaves that is not the "
        "first of each bucket it is in, unverified: any number of documents, no component held or made, "
        "cluster_size left as it was",
    ] = "components"
    union_find_bytes: Annotated[
        int,
        "memory that one task may take to find components, 8 bytes a document that meets another; where that is not "
        "enough they are found by exchanges, the same ones",
    ] = 1 << 30
    verify: Annotated[bool, "whether a document leaves only if its true similarity reaches the threshold"] = True
    measure: Annotated[
        Literal["jaccard", "containment"], "what is compared with the threshold; containment: share of it in the other"
    ] = "jaccard"
    survivor: Annotated[
        tuple[str | dict[str, tuple[str, ...]], ...] | None,
        "who stays, by columns: 'name' (least first), '-name' (most first), {name: [values, best first]}, or 'length' "
        "in characters; then by text digest and id. By default -quality, -length, crawl_time, where they exist",
    ] = None
    within: Annotated[
        tuple[str, ...],
        "columns that must agree for documents to meet, as [source] where each snapshot is one; none: all meet",
    ] = ()
    signatures: Annotated[bool, "whether keys/ hold the signatures too (4 bytes a permutation), for export"] = False
    against: Annotated[
        tuple[str, ...],
        "earlier corpora, by the output folder of their run or its keys/: what they hold leaves before anything else",
    ] = ()
    audit: Annotated[
        int, "documents that are drawn, to say of those that stay how many have a copy that stays too (0: none)"
    ] = 1000
    rehydrate: Annotated[
        Named | dict[int, int] | None,
        "adds the column weight, how often a survivor is to be sampled, by its cluster's size: {least size: weight}, "
        "or FineWeb-2's table by name; the mix's document_weights takes it",
    ] = None
    guard: Annotated[Guard | None, "what is too much to lose (null: nothing is)"] = field(default_factory=Guard)

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents that stay, with the columns of `stages.schema.CLUSTER`."""
        self._check()
        (documents,) = inputs
        documents = self._fresh(documents)
        order = preferences(self.survivor, documents.schema)
        signed = self._signed(documents, order)
        if self.mode == "local_min":
            judged = verdicts = local_min_verdicts(signed.output("bands"), signed)
        else:
            judged = self._verdicts(signed, self._labels(signed), order)
            verdicts = judged.exchange("shard", Like(signed), then=("gid",), direct=True)
        whole = self._audited(signed, verdicts, judged)
        if self.guard and "source" in documents.schema.names:
            losses = verdicts.map(guards.losses, schema=guards.LOSSES, beside=signed.output("facts"))
            whole += (losses.fold(partial(guards.judge, guard=self.guard), guards.NOTHING),)
        adds = CLUSTER if self.rehydrate is None else pa.schema([*CLUSTER, *WEIGHT])
        return signed.map(self._reduce, adds=adds, beside=verdicts, whole=whole)

    def _audited(self, signed: Dataset, verdicts: Dataset, judged: Dataset) -> tuple[Dataset, ...]:
        """Returns the fold that says what is left, if it is asked for."""
        if not self.audit:
            return ()
        sign = replace(self._sign(), within=self.within)
        measured = self.verify and self.mode == "components" and self.measure == "jaccard"
        alike = judged.output("similarities") if measured else None
        return (audited(signed, verdicts, sign, amount=self.audit, threshold=self.threshold, alike=alike),)

    @property
    def _reduce(self) -> MapFunction:
        return reduce if self.rehydrate is None else Rehydrate(table_of(self.rehydrate))

    def notes(self, documents: float) -> Iterator[str]:
        """Yields the curve, what meets by chance at the corpus's size, and what is not verified."""
        yield from forecast(self._curve(), documents)
        if self.measure == "containment" and (self.mode == "local_min" or not self.verify):
            yield "measure: containment has no part in who leaves: nothing is verified, whoever meets another leaves"
        if self.against and not earlier_keys(self.against, self._sign()).signatures:
            yield UNSIGNED

    def remarks(self, counts: Mapping[str, int]) -> Iterator[str]:
        """Yields what verification came to, and what it cost."""
        if counts.get("verified"):
            compared, refused, kept = (counts.get(name, 0) for name in ("compared", "refused", "refused_documents"))
            yield (
                f"verification: {refused:,} of {compared:,} pairs that were compared are less alike than "
                f"{self.threshold:g}; {kept:,} documents stay that share a component with "
                f"a better one ({counts['verified']:,} documents verified, {counts.get('verified_bytes', 0):,} bytes)"
            )

    def sampled(self, share: float) -> Stage:
        """Returns the stage without the guard: a sample has fewer copies, and nothing is lost by it."""
        return replace(self, guard=None)

    def _labels(self, signed: Dataset) -> Dataset:
        stars_of = (
            signed.output("bands")
            .exchange("key", Sized(SOURCE_BYTES_A_SHARD), then=("gid",))
            .map(stars, schema=EDGES, outputs=(Output("buckets", BUCKETS),))
        )
        labels = labels_of(stars_of, stars_of.output("buckets"), self.union_find_bytes)
        return labels.exchange("shard", Like(signed), then=("gid",), direct=True)

    def _verdicts(self, signed: Dataset, labels: Dataset, order: tuple[Preference, ...]) -> Dataset:
        schema = members_schema(order)
        found = labels.map(partial(members, order=order), schema=schema, beside=signed.output("facts"))
        judge: MapFunction = survivors
        outputs: tuple[Output, ...] = ()
        if self.verify:
            found = signed.map(partial(texts, members=schema), schema=with_text(schema), beside=found)
            judge = Verify(fold=fold_table(), shingle=self.shingle, threshold=self.threshold, measure=self.measure)
            outputs = (Output("similarities", SIMILARITIES),)
        by_root = found.exchange("root", Sized(SOURCE_BYTES_A_SHARD), then=("priority", "id"))
        return by_root.map(judge, schema=VERDICTS, outputs=outputs)

    def growth(self, seen: Seen) -> Growth:
        """Returns how many documents stay, and meet another, of the whole: more share of them have a copy there."""
        clusters: dict[float, Counter[int]] = {}
        shares: dict[int, float] = {}
        for shard, rows in seen.read(self._reduce, "rows"):
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
        return Growth({self._reduce: kept, stars: meetings, lost: meetings})

    def _fresh(self, documents: Dataset) -> Dataset:
        """Returns the documents that no earlier corpus holds."""
        if not self.against:
            return documents
        how = self._sign()
        earlier = earlier_keys(self.against, how)
        return against(documents, earlier, how, threshold=self.threshold, bytes_a_shard=SOURCE_BYTES_A_SHARD)

    def _sign(self, columns: tuple[str, ...] = ()) -> Sign:
        curve = self._curve()
        return Sign(
            fold=fold_table(),
            permutations=self.permutations,
            seed=self.seed,
            bands=curve.bands,
            rows=curve.rows,
            shingle=self.shingle,
            columns=columns,
        )

    def _signed(self, documents: Dataset, order: tuple[Preference, ...]) -> Dataset:
        wanted = {item.column for item in order} - {LENGTH} | {"source", *PLACES}  # these the guard shows
        columns = tuple(sorted(wanted & set(documents.schema.names)))
        documents.require(self.within)
        for name in self.within:
            kind = documents.schema.field(name).type
            if not is_comparable(kind):
                raise ConfigError(f"within: column '{name}' holds {kind}; name one of text, numbers or dates")
        ranked = order if self.mode == "local_min" else None
        sign = replace(self._sign(columns), within=self.within, ranked=ranked, signatures=self.signatures)
        outputs: tuple[Output, ...] = (
            Output("bands", sign.bands_schema()),
            Output("keys", sign.keys_schema(), publish=PUBLISHED),
            Output("facts", facts_schema(documents.schema, columns)),
        )
        made: MapFunction = sign
        if self.audit:
            made, outputs = SignAndDraw(sign=sign, amount=self.audit), (*outputs, Output("drawn", DRAWN))
        return documents.map(made, passes=True, reads=("id", "text", "text_digest"), outputs=outputs)

    def _curve(self) -> Curve:
        if self.bands is not None and self.rows is not None:
            return Curve(self.bands, self.rows)
        if self.curve == "datasketch":
            return least_error(self.threshold, self.permutations)
        return for_recall(self.threshold, self.recall, self.permutations)

    def _check(self) -> None:
        if (self.bands is None) != (self.rows is None):
            raise ConfigError("bands and rows are given together, or neither; then threshold and recall decide them")
        for name in ("permutations", "shingle", *(("bands", "rows") if self.bands is not None else ())):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: {getattr(self, name)} is too small; it is at least 1")
        for name in ("threshold", "recall"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name}: {getattr(self, name)} is not above 0 and up to 1")
        if self.bands is not None and self.rows is not None and self.bands * self.rows > self.permutations:
            raise ConfigError(
                f"bands * rows is {self.bands} * {self.rows} = {self.bands * self.rows}, more than the "
                f"{self.permutations} permutations; raise permutations, or lower bands or rows"
            )
        for name, most in (("permutations", MOST_PERMUTATIONS), ("shingle", MOST_TOKENS)):
            if getattr(self, name) > most:
                raise ConfigError(f"{name}: {getattr(self, name)} is too large; it is at most {most}")
        if self.union_find_bytes < 0:
            raise ConfigError(f"union_find_bytes: {self.union_find_bytes} is no amount of memory; 0: exchanges only")
        if self.rehydrate is not None and self.mode == "local_min":
            raise ConfigError("rehydrate: weights follow from sizes of clusters, which mode: local_min does not find")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed: {self.seed} is not from 0 to 4294967295")
        if self.audit < 0:
            raise ConfigError(f"audit: {self.audit} is not a number of documents, from 0")
        if self.guard:
            self.guard.check()
