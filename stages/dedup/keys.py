"""What is written of every document in the one pass over the text: band keys to group by, and facts to choose by.

Documents are numbered by `gid` = shard number << 40 | row, which holds as long as the shards of the map that yields
them: smaller than an id, and in the order of the rows.

Three laws hold here. A document of at least one shingle has one key a band. A *short* one (fewer tokens than a shingle
has) has a single key made of its whole folded view, so it meets none but its exact copies. One with an *empty* folded
view (no letter, no digit) is known by the bytes of its text instead.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datapipe import ID, ConfigError, Resource, Work
from datapipe.dataset import Batches
from stages.dedup.fold import load
from stages.dedup.signature import TOKEN_PRIME, Halves, Hashes, band_keys, permutations, sign
from stages.dedup.survivor import Preference, priorities, priority_type

SHARD_BITS: Final = 40
MOST_COPIES: Final = 2**31 - 1
KEYS_VERSION: Final = 2
KEYS_METADATA: Final = "datapipe.keys"  # of the schema: what the keys were made with, as JSON
EXACT_BAND: Final = np.uint64(0x8EBC6AF09C88C6E3)  # what a band's number is to the others
BANDS: Final = pa.schema([pa.field("key", pa.uint64(), nullable=False), pa.field("gid", pa.int64(), nullable=False)])


def keys_schema(bands: int, permutations: int, *, signatures: bool, **settings: int | str) -> pa.Schema:
    """Returns the schema of the published keys; `settings` say what they can be compared with.

    `exact` is the 128-bit hash of the folded view, `bands` are null for a short document, as is `signature`.
    """
    said = json.dumps(
        {"version": KEYS_VERSION, "bands": bands, "permutations": permutations, **settings}, sort_keys=True
    )
    columns = [("id", ID), ("exact", pa.binary(16)), ("bands", pa.list_(pa.uint64(), bands))]
    if signatures:
        columns.append(("signature", pa.list_(pa.uint32(), permutations)))
    return pa.schema(columns, metadata={KEYS_METADATA: said})


def facts_schema(documents: pa.Schema, columns: tuple[str, ...]) -> pa.Schema:
    """Returns the schema of facts: what a document is known by, and the columns that survivors are chosen by."""
    known = [("gid", pa.int64()), ("id", ID), ("exact", pa.binary(16)), ("text_digest", ID), ("length", pa.int32())]
    known.append(("size", pa.int32()))
    for name in {name for name, _ in known} & set(columns):
        raise ConfigError(f"survivor: '{name}' is a name that dedup has a use for; name the column otherwise")
    return pa.schema(
        [pa.field(*item) for item in known] + [pa.field(name, documents.field(name).type) for name in columns]
    )


def is_comparable(kind: pa.DataType) -> bool:
    """Returns whether values of this type have a text that tells them apart, as a column of `within` must."""
    kinds = pa.types
    plain = (kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_temporal, kinds.is_decimal)
    if kinds.is_dictionary(kind):
        return is_comparable(kind.value_type)
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind) or any(holds(kind) for holds in plain))


def stood_for(batch: pa.RecordBatch) -> npt.NDArray[np.int32]:
    """Returns how many documents each stands for already: what earlier steps took for its copies, or itself alone."""
    place = batch.schema.get_field_index("cluster_size")
    if place < 0:
        return np.ones(batch.num_rows, np.int32)
    return capped(np.asarray(batch.column(place).cast(pa.int64()).fill_null(1)))


def capped(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Returns sizes of clusters as their column holds them: at least 1, and MOST_COPIES where there are more."""
    return sizes.clip(1, MOST_COPIES).astype(np.int32)


@dataclass(frozen=True, kw_only=True)
class Sign:
    """Passes documents through and puts out `bands` (key, gid), `keys` (published) and `facts`."""

    fold: Resource
    permutations: int
    seed: int
    bands: int
    rows: int
    shingle: int
    columns: tuple[str, ...]
    within: tuple[str, ...] = ()
    signatures: bool = False
    ranked: tuple[Preference, ...] | None = None

    def bands_schema(self) -> pa.Schema:
        """Returns the schema of the output `bands`: BANDS, and with an order `priority` and `id` to sort by."""
        if self.ranked is None:
            return BANDS
        return BANDS.append(pa.field("priority", priority_type(self.ranked))).append(pa.field("id", ID))

    def keys_schema(self) -> pa.Schema:
        """Returns the schema of the output `keys`."""
        return keys_schema(
            self.bands,
            self.permutations,
            signatures=self.signatures,
            rows=self.rows,
            seed=self.seed,
            shingle=self.shingle,
            fold=self.fold.sha256,
        )

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields the batches as they came."""
        fold, drawn = load(self.fold), permutations(self.permutations, self.seed)
        keys_of, gid = self.keys_schema(), work.number << SHARD_BITS
        for batch in batches:
            rows, text = batch.num_rows, batch.column("text")
            signed = sign(text, fold, drawn, width=self.shingle)
            short, empty = signed.counts < self.shingle, signed.counts == 0
            exact = exact_hashes(text, signed.exact, empty)
            keys = np.empty((rows, self.bands), np.uint64)
            band_keys(signed.signatures, self.bands, self.rows, keys)
            gids = np.arange(gid, gid + rows, dtype=np.int64)
            published = [batch.column("id"), hash_column(exact), list_column(keys, short)]
            if self.signatures:
                published.append(list_column(signed.signatures, short))
            work.put("keys", pa.record_batch(published, schema=keys_of))
            facts = self._facts(batch, exact, signed.characters, gids)
            work.put("facts", facts)
            key, places = _entries(keys, exact, short, self.groups(batch))
            bands = [pa.array(key), pa.array(gids[places])]
            if self.ranked is not None:
                bands += [column.take(pa.array(places)) for column in (priorities(facts, self.ranked), batch["id"])]
            work.put("bands", pa.record_batch(bands, schema=self.bands_schema()))
            work.count("short", int(short.sum()))
            work.count("empty", int(empty.sum()))
            gid += rows
            yield batch

    def groups(self, batch: pa.RecordBatch) -> npt.NDArray[np.uint64] | None:
        """Returns a hash of the values of the columns `within`, uint64[rows]: only documents of equal ones meet."""
        if not self.within:
            return None
        groups = np.zeros(batch.num_rows, np.uint64)
        for name in self.within:
            coded = batch.column(name).cast(pa.string()).fill_null("").dictionary_encode()
            content = [f"{name}\0{value}".encode() for value in coded.dictionary.to_pylist()]
            digests = b"".join(hashlib.blake2b(value, digest_size=8).digest() for value in content)
            groups = groups * TOKEN_PRIME + np.frombuffer(digests, "<u8")[np.asarray(coded.indices)]
        return groups

    def _facts(
        self, batch: pa.RecordBatch, exact: Hashes, characters: npt.NDArray[np.int64], gids: npt.NDArray[np.int64]
    ) -> pa.RecordBatch:
        known = [pa.array(gids), batch.column("id"), hash_column(exact), batch.column("text_digest")]
        length = pa.array(characters.astype(np.int32))
        columns = [*known, length, pa.array(stood_for(batch)), *(batch.column(name) for name in self.columns)]
        return pa.record_batch(columns, schema=facts_schema(batch.schema, self.columns))


def exact_hashes(texts: pa.StringArray, folded: Hashes, empty: npt.NDArray[np.bool_]) -> Hashes:
    """Returns the exact hashes, uint64[documents, 2]: of the folded view, or of the bytes where that is empty."""
    exact = folded.copy()
    for row in np.flatnonzero(empty):
        content = (texts[int(row)].as_py() or "").encode()
        exact[row] = np.frombuffer(hashlib.blake2b(content, digest_size=16).digest(), "<u8")
    return exact


def _entries(
    keys: Hashes, exact: Hashes, short: npt.NDArray[np.bool_], groups: npt.NDArray[np.uint64] | None
) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Returns the keys by which documents meet and the row of each, uint64[entries] and int64[entries]."""
    if groups is not None:
        keys, exact = keys ^ groups[:, None], exact ^ groups[:, None]
    rows = np.arange(len(short))
    key = np.concatenate([keys[~short].ravel(), exact[short, 0] ^ EXACT_BAND])
    return key, np.concatenate([np.repeat(rows[~short], keys.shape[1]), rows[short]])


def hash_column(exact: Hashes) -> pa.FixedSizeBinaryArray:
    """Returns exact hashes as a column of 16 bytes."""
    content = pa.py_buffer(exact.astype("<u8").tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(exact), [None, content])


def list_column(keys: Hashes | Halves, short: npt.NDArray[np.bool_]) -> pa.FixedSizeListArray:
    """Returns a list a document, null for a short one."""
    return pa.FixedSizeListArray.from_arrays(pa.array(keys.ravel()), keys.shape[1], mask=pa.array(short))
