"""The held-out split: whole duplicate clusters, those of the least hash of (seed, cluster).

By cluster, never by document: a near-copy of a held-out page must not be trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pyarrow as pa
from numba import njit

from datapipe import Dataset, Work
from stages.mix.permute import key_of, mix64

HASHES = pa.schema([pa.field("hash", pa.uint64())])
LIMIT = pa.schema([pa.field("limit", pa.uint64())])
_TOP = (1 << 64) - 1


@dataclass(frozen=True)
class Split:
    """Which documents are held out. `cluster` names the column of 16 bytes that stays together.

    `ratio` is the share of clusters; where it is None, the limit is what `limit_for` found.
    """

    seed: int
    cluster: str
    ratio: float | None

    def held_out(self, batch: pa.RecordBatch, work: Work) -> np.ndarray:
        """Returns which rows are held out, bool[rows]."""
        if self.ratio is None:
            limit = work.whole[0].column("limit")[0].as_py()
        else:
            limit = min(_TOP, int(Fraction(str(self.ratio)) * (1 << 64)))
        return hashes(batch.column(self.cluster), self.seed) < np.uint64(limit)


def limit_for(documents: Dataset, split: Split, count: int) -> Dataset:
    """Returns the hash below which about `count` documents lie: exactly so many, up to the size of the last cluster."""
    least = documents.map(Least(split, count), reads=(split.cluster,), schema=HASHES)
    return least.fold(Limit(count), LIMIT)


def hashes(clusters: pa.Array, seed: int) -> np.ndarray:
    """Returns a hash of each 16-byte id, uint64[rows]."""
    words = np.frombuffer(clusters.buffers()[1], "<u8").reshape(-1, 2)
    words = words[clusters.offset : clusters.offset + len(clusters)]
    return _hash_words(words, np.uint64(key_of("validation", seed)))


@njit(cache=True, nogil=True)
def _hash_words(words: np.ndarray, key: np.uint64) -> np.ndarray:
    out = np.empty(len(words), np.uint64)
    for row in range(len(words)):
        out[row] = mix64(mix64(words[row, 0] ^ key) ^ words[row, 1])
    return out


@dataclass(frozen=True)
class Least:
    """Yields the `count` least hashes of the clusters of a shard of documents."""

    split: Split
    count: int

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        held = _smallest((hashes(batch.column(self.split.cluster), self.split.seed) for batch in batches), self.count)
        yield pa.RecordBatch.from_arrays([pa.array(held)], schema=HASHES)


@dataclass(frozen=True)
class Limit:
    """The fold of HASHES to LIMIT: one above the `count`-th."""

    count: int

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        held = _smallest((np.asarray(batch.column("hash")) for batch in batches), self.count)
        limit = min(_TOP, int(held[-1]) + 1) if len(held) else 0
        yield pa.RecordBatch.from_arrays([pa.array([limit], pa.uint64())], schema=LIMIT)


def _smallest(parts: Iterable[np.ndarray], count: int) -> np.ndarray:
    """Returns the `count` least of all values, ascending, holding no more than that and one part."""
    held = np.zeros(0, np.uint64)
    for values in parts:
        held = np.sort(np.concatenate([held, values]))[:count]
    return held
