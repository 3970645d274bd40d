"""A byte-level BPE tokenizer trained on a sample of the documents themselves.

Which documents are sampled is a hash of (seed, id) against a limit that the bytes of all documents set, so it is known
in one more pass and never depends on shards. Training is one thread's work on a sorted sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ConfigError, DataError, Dataset, Source, Work
from datapipe.dataset import parents_of
from stages.tokens.draw import (
    ALL,
    DOCUMENT_CHARACTERS,
    check_seed,
    check_sources,
    check_weights,
    drawn,
    hash_of,
    quotas,
)
from stages.tokens.learn import HELD, check_size, check_special, learn
from stages.tokens.splits import Digits

__all__ = ["Sample", "Train", "Trained", "learn", "measure", "trained"]

BYTES = pa.schema([pa.field("source", pa.string()), pa.field("bytes", pa.int64())])
SAMPLE = pa.schema(
    [pa.field("source", pa.string()), pa.field("hash", pa.uint64()), pa.field("text", pa.large_string())]
)
MODEL = pa.schema([pa.field("content", pa.binary())])
SPARE = 2  # times as much is sampled as is wanted: the share of documents below a limit is never just that of bytes


@dataclass(frozen=True)
class Wanted:
    """How much of each source is sampled."""

    sample_bytes: int
    weights: tuple[tuple[str, float], ...] | None

    def part_of(self, source: str) -> str:
        """Returns the name that the quota of a source goes by."""
        return ALL if self.weights is None else source

    def quotas(self, measured: pa.Table) -> dict[str, int]:
        """Returns the bytes to sample by part. Raises ConfigError where weights and sources do not match."""
        sizes = {row["source"]: row["bytes"] for row in measured.to_pylist()}
        if self.weights is not None:
            check_sources(dict(self.weights), sorted(sizes))
        return quotas(sizes, None if self.weights is None else dict(self.weights), self.sample_bytes)


@dataclass(frozen=True, kw_only=True)
class Train:
    """How a tokenizer is trained."""

    vocab_size: Annotated[int, "size of the vocabulary, special tokens among it"] = 32_000
    sample_bytes: Annotated[int, "text to train on (bytes); training holds up to 64 times as much memory"] = 16_000_000
    weights: Annotated[
        dict[str, float] | None,
        "share of that by source; they need not sum to 1; what is too small is repeated (null: as there is of each)",
    ] = None
    digits: Annotated[Digits, "longest token of digits: 3, or 1"] = 3
    seed: Annotated[int, "seed of the sample"] = 0

    @property
    def wanted(self) -> Wanted:
        """How much of each source is sampled."""
        weights = None if self.weights is None else tuple(sorted(self.weights.items()))
        return Wanted(self.sample_bytes, weights)

    @property
    def sample(self) -> Sample:
        """What samples the documents of a shard."""
        return Sample(self.seed, self.wanted)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A tokenizer of the corpus's own."""

    train: Annotated[Train, "how it is trained"]


def trained(documents: Dataset, how: Train, special: tuple[str, ...]) -> Dataset:
    """Returns the tokenizer.json as a dataset of one row. `special` get the first ids.

    Raises:
        ConfigError: the vocabulary has no room for all bytes, there is nothing to train on, or weights are for other
            sources.
    """
    check_size(how.vocab_size, special, "tokenize: train: vocab_size")
    check_special(special)
    check_seed(how.seed)
    if how.sample_bytes < 1:
        raise ConfigError(f"train: sample_bytes: {how.sample_bytes} is not a positive number")
    if how.weights is not None:
        check_weights(how.weights)
        if sources := sources_of(documents):
            check_sources(how.weights, sources)
    measured = documents.map(measure, reads=("source", "text"), schema=BYTES).fold(total, BYTES)
    sample = documents.map(how.sample, reads=("id", "source", "text"), schema=SAMPLE, whole=(measured,))
    learning = Learn(how.vocab_size, how.wanted, how.digits, special)
    return sample.fold(learning, MODEL, whole=(measured,))


def sources_of(made: Dataset) -> list[str]:
    """Returns the names of the sources that `made` comes from, sorted."""
    if isinstance(made.op, Source):
        return [made.op.name]
    heads = [parent for kind, parent in parents_of(made) if kind in ("map", "concat", "exchange", "side", "repeat")]
    return sorted({name for head in heads for name in sources_of(head)})


def measure(batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
    """Yields the bytes of text in a shard, by source."""
    sizes: Counter[str] = Counter()
    for batch in batches:
        lengths = pc.binary_length(batch.column("text"))
        table = pa.table({"source": batch.column("source"), "bytes": lengths}).group_by("source")
        for row in table.aggregate([("bytes", "sum")]).to_pylist():
            sizes[row["source"]] += row["bytes_sum"] or 0
    yield _sizes(sizes)


def total(batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
    """Yields the sum of the shards' bytes, by source."""
    sizes: Counter[str] = Counter()
    for batch in batches:
        for row in batch.to_pylist():
            sizes[row["source"]] += row["bytes"]
    yield _sizes(sizes)


def _sizes(sizes: Mapping[str, int]) -> pa.RecordBatch:
    rows = [{"source": source, "bytes": size} for source, size in sorted(sizes.items())]
    return pa.RecordBatch.from_pylist(rows, schema=BYTES)


@dataclass(frozen=True)
class Sample:
    """Yields the documents whose hash is below twice the share of their source's text that is wanted."""

    seed: int
    wanted: Wanted

    @property
    def most_bytes(self) -> int:
        """How much text is sampled where there is more, about."""
        return SPARE * self.wanted.sample_bytes

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        sizes: Counter[str] = Counter()
        for row in work.whole[0].to_pylist():
            sizes[self.wanted.part_of(row["source"])] += row["bytes"]
        quotas = self.wanted.quotas(work.whole[0])
        limits = {part: (SPARE * quota << 64) // max(1, sizes[part]) for part, quota in quotas.items()}
        for batch in batches:
            hashes = [hash_of(self.seed, name) for name in batch.column("id").to_pylist()]
            parts = [self.wanted.part_of(source) for source in batch.column("source").to_pylist()]
            found = enumerate(zip(hashes, parts, strict=True))
            kept = [row for row, (number, part) in found if number < limits.get(part, 0)]
            texts = batch.column("text").take(pa.array(kept, pa.int64()))
            texts = pc.utf8_slice_codeunits(texts, 0, DOCUMENT_CHARACTERS)
            columns = [
                pa.array([parts[row] for row in kept], pa.string()),
                pa.array([hashes[row] for row in kept], pa.uint64()),
                texts.cast(pa.large_string()),
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=SAMPLE)


@dataclass(frozen=True)
class Learn:
    """The fold of a sample to a tokenizer.json: of each source the documents of least hash, up to its share."""

    vocab_size: int
    wanted: Wanted
    digits: Digits
    special: tuple[str, ...]

    @property
    def holds_bytes(self) -> int:
        """What it holds: the sample, as it came and as it is taken, and the words that are merged."""
        return HELD * self.wanted.sample_bytes

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        texts = self._texts(batches, work)
        pa.default_memory_pool().release_unused()  # all else of the sample: a quarter of what training takes
        if not texts:
            raise DataError("tokenize: no document is left to train on: see the report for what dropped them")
        work.count("sampled_documents", len(texts))
        work.count("sampled_bytes", sum(len(text.encode()) for text in texts))
        content = learn(texts, self.vocab_size, self.special, digits=self.digits)
        yield pa.RecordBatch.from_pylist([{"content": content}], schema=MODEL)

    def _texts(self, batches: Iterator[pa.RecordBatch], work: Work) -> list[str]:
        order = [(name, "ascending") for name in ("source", "hash", "text")]
        sample = pa.Table.from_batches(batches, schema=SAMPLE).sort_by(order)
        texts: list[str] = []
        for part, quota in sorted(self.wanted.quotas(work.whole[0]).items()):
            own = sample.filter(pc.equal(sample.column("source"), part)).column("text").to_pylist()
            taken = list(drawn(own, quota, again=part != ALL))
            if part != ALL:
                work.count(f"sampled_bytes.{part}", sum(len(text.encode()) for text in taken))
            texts += taken
        return texts
