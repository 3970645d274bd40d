"""A byte-level BPE tokenizer trained on a sample of the documents themselves.

Which documents are sampled is a hash of (seed, id) against a limit that the bytes of all documents set, so it is known
in one more pass and never depends on shards. Training is one thread's work on a sorted sample.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from datapipe import ConfigError, DataError, Dataset, Work

BYTES = pa.schema([pa.field("bytes", pa.int64())])
SAMPLE = pa.schema([pa.field("hash", pa.uint64()), pa.field("text", pa.large_string())])
MODEL = pa.schema([pa.field("content", pa.binary())])
DOCUMENT_CHARACTERS = 1 << 17  # of one document, the first: a book must not be the sample


@dataclass(frozen=True, kw_only=True)
class Train:
    """How a tokenizer is trained."""

    vocab_size: Annotated[int, "size of the vocabulary, special tokens among it"] = 32_000
    sample_bytes: Annotated[int, "text to train on (bytes); training holds about 40 times as much memory"] = 4_000_000
    seed: Annotated[int, "seed of the sample"] = 0


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A tokenizer of the corpus's own."""

    train: Annotated[Train, "how it is trained"]


def trained(documents: Dataset, how: Train, special: tuple[str, ...]) -> Dataset:
    """Returns the tokenizer.json as a dataset of one row. `special` get the first ids.

    Raises:
        ConfigError: the vocabulary has no room for all bytes, or there is nothing to train on.
    """
    least = len(pre_tokenizers.ByteLevel.alphabet()) + len(special)
    if how.vocab_size < least:
        raise ConfigError(
            f"tokenize: train: vocab_size: {how.vocab_size} is below {least}, all bytes and special tokens"
        )
    if how.sample_bytes < 1:
        raise ConfigError(f"train: sample_bytes: {how.sample_bytes} is not a positive number")
    measured = documents.map(measure, reads=("text",), schema=BYTES).fold(total, BYTES)
    sample = documents.map(Sample(how.seed, how.sample_bytes), reads=("id", "text"), schema=SAMPLE, whole=(measured,))
    return sample.fold(Learn(how.vocab_size, how.sample_bytes, special), MODEL)


def measure(batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
    """Yields the bytes of text in a shard."""
    size = sum(pc.sum(pc.binary_length(batch.column("text"))).as_py() or 0 for batch in batches)
    yield pa.RecordBatch.from_pylist([{"bytes": size}], schema=BYTES)


def total(batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
    """Yields the sum of the shards' bytes."""
    size = sum(pc.sum(batch.column("bytes")).as_py() or 0 for batch in batches)
    yield pa.RecordBatch.from_pylist([{"bytes": size}], schema=BYTES)


@dataclass(frozen=True)
class Sample:
    """Yields the documents whose hash is below the share of all text that is wanted."""

    seed: int
    sample_bytes: int

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        size = work.whole[0].column("bytes")[0].as_py()
        limit = (self.sample_bytes << 64) // max(size, self.sample_bytes)
        for batch in batches:
            hashes = [self._hash(name) for name in batch.column("id").to_pylist()]
            kept = [row for row, number in enumerate(hashes) if number < limit]
            texts = batch.column("text").take(pa.array(kept, pa.int64()))
            texts = pc.utf8_slice_codeunits(texts, 0, DOCUMENT_CHARACTERS)
            columns = [pa.array([hashes[row] for row in kept], pa.uint64()), texts.cast(pa.large_string())]
            yield pa.RecordBatch.from_arrays(columns, schema=SAMPLE)

    def _hash(self, name: bytes) -> int:
        key = self.seed.to_bytes(16, "little", signed=True)
        return int.from_bytes(hashlib.blake2b(name, key=key, digest_size=8).digest(), "little")


@dataclass(frozen=True)
class Learn:
    """The fold of a sample to a tokenizer.json: the documents of least hash, up to `sample_bytes`."""

    vocab_size: int
    sample_bytes: int
    special: tuple[str, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        sample = pa.Table.from_batches(batches, schema=SAMPLE).sort_by([("hash", "ascending"), ("text", "ascending")])
        ends = pc.cumulative_sum(pc.binary_length(sample.column("text")))
        kept = sample.slice(0, pc.sum(pc.less_equal(ends, self.sample_bytes)).as_py() or 1)
        if not sample.num_rows:
            raise DataError("tokenize: no document is left to train on: see the report for what dropped them")
        work.count("sampled_documents", kept.num_rows)
        work.count("sampled_bytes", pc.sum(pc.binary_length(kept.column("text"))).as_py())
        content = learn(kept.column("text").to_pylist(), self.vocab_size, self.special)
        yield pa.RecordBatch.from_pylist([{"content": content}], schema=MODEL)


def learn(texts: list[str], vocab_size: int, special: tuple[str, ...]) -> bytes:
    """Returns the tokenizer.json of a byte-level BPE model; any text decodes to itself."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return str(tokenizer.to_str()).encode()
