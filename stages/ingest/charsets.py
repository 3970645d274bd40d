"""Declared against detected against used charset, counted per host: the table `signals/charsets`."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from stages.repair.mojibake import suspects

NAME_BYTES = 150  # of a source in the name of a file, of which file systems allow 255
KEYS = ("source", "host", "charset_declared", "charset_detected", "charset", "charset_by")


def _field(name: str, kind: pa.DataType, meaning: str) -> pa.Field:
    return pa.field(name, kind, metadata={"meaning": meaning})


CHARSETS = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in KEYS),
        _field("documents", pa.int64(), "documents of the shard with these charsets"),
        _field("replaced", pa.int64(), "characters of their pages that could not be read, U+FFFD in their place"),
        _field("suspects", pa.int64(), "documents among them with a sign of mojibake, which the step repair looks at"),
    ]
)


def place_of(source: str) -> str:
    """Returns where the table of each shard of a source is published, of which a long name is cut.

    >>> place_of("网/a")
    'signals/charsets-%E7%BD%91%2Fa-{number:05}-of-{shards:05}.parquet'
    """
    name = quote(source, safe="")
    if len(name) > NAME_BYTES:
        name = f"{name[:NAME_BYTES]}-{hashlib.blake2b(source.encode(), digest_size=8).hexdigest()}"
    return f"signals/charsets-{name}-{{number:05}}-of-{{shards:05}}.parquet"


@dataclass
class Tally:
    """The counts of one shard so far."""

    counts: defaultdict[tuple[str | None, ...], list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0, 0])
    )

    def add(self, documents: pa.RecordBatch, replaced: np.ndarray) -> None:
        """Adds documents; `replaced` is the number of U+FFFD of each, int64[documents]."""
        columns = [documents.column(name).dictionary_encode(null_encoding="encode") for name in KEYS]
        codes = np.stack([np.asarray(column.indices) for column in columns])
        found, of_row = np.unique(codes, axis=1, return_inverse=True)
        strange = suspects(documents.column("text"))
        sums = [np.bincount(of_row.ravel(), weights, found.shape[1]) for weights in (None, replaced, strange)]
        for place, key in enumerate(found.T.tolist()):
            row = self.counts[tuple(column.dictionary[code].as_py() for column, code in zip(columns, key, strict=True))]
            for item, values in enumerate(sums):
                row[item] += int(values[place])

    def rows(self) -> pa.RecordBatch:
        """Returns a row a combination, sorted, under CHARSETS."""
        order = sorted(self.counts, key=lambda key: tuple(part or "" for part in key))
        rows = [(*key, *self.counts[key]) for key in order]
        arrays = [pa.array([row[place] for row in rows], kind.type) for place, kind in enumerate(CHARSETS)]
        return pa.RecordBatch.from_arrays(arrays, schema=CHARSETS)
