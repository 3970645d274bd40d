"""What documents agree in, as 128 bits: an address, the text, its folded view, or a column.

A document whose key is null or empty has none and is nobody's duplicate. An address counts in the normal form of
`stages.ingest.urls` (host in one case, no default port, fragment, or parameter that only tells where a reader came
from), and may further differ in what `alike` names. Text is known by its column `text_digest`, the folded view by the
hash that the kernel of `stages.dedup.signature` makes; where nothing is left by folding (no letter, no digit), the
bytes of the text count. Two of 10**12 different keys are equal with a probability below 10**-14.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ID, Output, Resource, Work
from datapipe.dataset import Batches
from stages.dedup.fold import FoldTable, load
from stages.dedup.keys import SHARD_BITS, stood_for
from stages.dedup.signature import Permutations, sign
from stages.dedup.survivor import LENGTH, Preference, priorities, priority_type
from stages.ingest.urls import normal
from stages.rewrite import digest_of

URLS: Final = ("url", "canonical_url")
TEXT: Final = "text"
FOLDED: Final = "folded"
ALIKE: Final = ("scheme", "www", "slash")
_NONE: Final = np.empty(0, np.uint32)

Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]


class Folded(NamedTuple):
    """The folded views of texts: their hashes uint64[texts, 2] and their tokens int64[texts], 0 where nothing is."""

    hashes: Hashes
    tokens: npt.NDArray[np.int64]


def folded(texts: pa.Array, fold: FoldTable) -> Folded:
    """Returns what the folded view of each text is known by; a null is an empty text."""
    made = sign(texts, fold, Permutations(_NONE, _NONE), width=1)
    return Folded(made.exact, made.counts)


def digests(values: Sequence[bytes]) -> Hashes:
    """Returns the BLAKE2b-128 of each value, uint64[values, 2]."""
    return _words(b"".join(hashlib.blake2b(value, digest_size=16).digest() for value in values))


def _words(content: bytes) -> Hashes:
    return np.frombuffer(content, "<u8").astype(np.uint64).reshape(-1, 2)


def url_key(url: str, alike: Sequence[str]) -> str:
    """Returns what is equal for addresses of one page; `alike` are of ALIKE.

    >>> url_key("http://www.Example.com:80/a/?utm_source=x#top", ("scheme", "www", "slash"))
    'example.com/a'
    >>> url_key("http://www.example.com/a/?b", ())
    'http://www.example.com/a/?b'
    """
    url = normal(url)
    scheme, mark, rest = url.partition("://")
    if scheme not in ("http", "https"):
        return url
    if "www" in alike:
        rest = rest.removeprefix("www.")
    if "slash" in alike:
        path, question, query = rest.partition("?")
        rest = path.rstrip("/") + question + query
    return rest if "scheme" in alike else scheme + mark + rest


def key_type(kind: pa.DataType) -> bool:
    """Returns whether values of this type can be keys: text, bytes and whole numbers."""
    kinds = pa.types
    texts = kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_boolean(kind) or kinds.is_integer(kind)
    return bool(texts or kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind))


def members_schema(order: Sequence[Preference]) -> pa.Schema:
    """Returns the schema of what is known of a document that has a key; `size`: how many documents it stands for."""
    known = [("key", pa.binary(16)), ("gid", pa.int64()), ("id", ID), ("priority", priority_type(order))]
    return pa.schema([*known, ("size", pa.int32())])


@dataclass(frozen=True, kw_only=True)
class Know:
    """Passes documents through and puts out `members`: a row for each that has a key."""

    by: str
    alike: tuple[str, ...]
    within: tuple[str, ...]
    order: tuple[Preference, ...]
    fold: Resource | None

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns it looks at."""
        key = (TEXT,) if self.by == FOLDED else (self.by,)
        chosen = (TEXT if item.column == LENGTH else item.column for item in self.order)
        return tuple(dict.fromkeys(("id", *key, "text_digest", *self.within, *chosen)))

    @property
    def output(self) -> Output:
        """The side output."""
        return Output("members", members_schema(self.order))

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields the batches as they came."""
        gid = work.number << SHARD_BITS
        for batch in batches:
            keys, known = self.keys(batch)
            work.count("no_key", int((~known).sum()))
            columns = [
                binary(keys),
                pa.array(np.arange(gid, gid + batch.num_rows, dtype=np.int64)),
                batch.column("id"),
                priorities(self._facts(batch), self.order),
                pa.array(stood_for(batch)),
            ]
            members = pa.record_batch(columns, schema=members_schema(self.order))
            work.put("members", members if known.all() else members.filter(pa.array(known)))
            gid += batch.num_rows
            yield batch

    def keys(self, batch: pa.RecordBatch) -> tuple[Hashes, Flags]:
        """Returns the key of each document, uint64[rows, 2], and whether it has one."""
        if self.by == TEXT:
            keys, known = _of_texts(batch)
        elif self.fold is not None:
            keys, known = _of_views(batch.column(TEXT), self.fold)
        else:
            keys, known = self._of_values(batch.column(self.by))
        for name in self.within:
            keys = keys ^ _of_part(name, batch.column(name))
        return keys, known

    def _of_values(self, column: pa.Array) -> tuple[Hashes, Flags]:
        encoded = column.dictionary_encode()
        values = encoded.dictionary.to_pylist()
        if self.by in URLS:
            values = [url_key(url, self.alike) for url in values]
        held = [_bytes(value) for value in values]
        has_key = np.array([*map(bool, held), False], np.bool_)
        places = np.asarray(encoded.indices.fill_null(len(held)))
        return digests([*held, b""])[places], has_key[places]

    def _facts(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Returns the columns that survivors are chosen by."""
        columns = {"text_digest": batch.column("text_digest")}
        for item in self.order:
            is_length = item.column == LENGTH
            columns[item.column] = pc.utf8_length(batch.column(TEXT)) if is_length else batch.column(item.column)
        return pa.record_batch(columns)


def _of_texts(batch: pa.RecordBatch) -> tuple[Hashes, Flags]:
    texts, column = batch.column(TEXT), batch.column("text_digest")
    known = np.asarray(pc.greater(pc.binary_length(texts.fill_null("")), 0))
    if column.null_count:
        held = zip(texts.to_pylist(), column.to_pylist(), strict=True)
        return _words(b"".join(digest or digest_of(text or "") for text, digest in held)), known
    content = np.frombuffer(column.buffers()[1] or b"", np.uint8)[16 * column.offset :][: 16 * len(column)]
    return _words(content.tobytes()), known


def _of_views(texts: pa.Array, fold: Resource) -> tuple[Hashes, Flags]:
    made = folded(texts, load(fold))
    empty = np.flatnonzero(made.tokens == 0)
    contents = [(texts[row].as_py() or "").encode() for row in empty.tolist()]
    keys, known = made.hashes, np.ones(len(texts), np.bool_)
    keys[empty] = digests(contents)
    known[empty] = [bool(content) for content in contents]
    return keys, known


def _of_part(name: str, column: pa.Array) -> Hashes:
    """Returns a hash of each value of a column that documents must agree in too; null is a value like others."""
    encoded = column.dictionary_encode()
    values = [f"{name}\0".encode() + _bytes(value) for value in encoded.dictionary.to_pylist()]
    hashes: Hashes = digests([*values, name.encode()])[np.asarray(encoded.indices.fill_null(len(values)))]
    return hashes


def _bytes(value: str | bytes | int) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def binary(keys: Hashes) -> pa.FixedSizeBinaryArray:
    """Returns 128-bit keys, uint64[keys, 2], as Arrow's."""
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(keys), [None, pa.py_buffer(keys.astype("<u8").tobytes())]
    )
