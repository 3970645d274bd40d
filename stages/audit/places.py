"""The index of places: from an address or an id to what is published of a document, by a few reads of any number.

The index of a corpus lies in the order of its documents, and signals in that of the stage that measured them: neither
is sorted by id or by URL. So a row of `reports/places/` names a hash and where it leads: an address to its document, a
document to its rows in the index of documents, in that of pieces and in signals, and to what was dropped for it or made
of it. Rows are in parts by hash and sorted in each, as the exchange leaves them, and row groups say from which hash to
which they go: what is asked for is a footer and a row group of one part.

It is made with the report, of the published files (`stages.audit.stage`), and says of which: an index of other files
than those that are there is not gone by.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ID, Dataset, InputFile, Output, Sized, Source, Work, part_of, storage
from datapipe.dataset import Batches
from stages.audit.draw import hashes
from stages.audit.published import Published, grouped
from stages.audit.standing import claimed, digests
from stages.audit.tables import ID_COLUMNS, Row, groups_of, schema_of, table_of, taken
from stages.corpus.index import opened

FOLDER: Final = "reports/places"
URL: Final = "url"  # kinds of rows, beside the beginnings of files' names: of an address
FELL: Final = "fell"  # of a document that another was dropped for
PART: Final = "part"  # and that another was made of
OF_ANOTHER: Final = {FELL: "duplicate_of", PART: "split"}  # actions of such rows of the ledger
DOCUMENT: Final = "document"  # of a document that stayed
PIECE: Final = "segments"  # of a piece of it; other splits put their name before
PLACES: Final = pa.schema(
    [
        pa.field("key", pa.uint64(), nullable=False),  # hash of the URL, or of the id
        pa.field("kind", pa.string(), nullable=False),
        pa.field("id", ID, nullable=False),  # the document that it leads to
        pa.field("file", pa.int32(), nullable=False),  # number of the file of that kind, and the row there
        pa.field("row", pa.int32(), nullable=False),
    ]
)
OF: Final = b"datapipe.published_sha256"  # of what was published: in a file's metadata
PUBLISHED: Final = "keys/places-{number:05}-of-{shards:05}.parquet"  # of the audit's own folder
_MADE: Final = PUBLISHED.partition("{")[0]
BYTES_A_PART: Final = 128 << 20  # of the files that it is made of
_NAME: Final = re.compile(
    r"(?P<place>.*)/(?P<stem>[^/]+?)-(?P<number>\d{5,})-of-\d{5,}(?:(?:\.\w+)?\.parquet|\.jsonl\.zst)"
)
_BEGINNINGS: Final = ("ledger/", "corpus/index/", "documents/", "signals/")
_ADDRESSES: Final = ("url", "canonical_url")
_SEED: Final = 0
_ROWS: Final = 1 << 16


def key_of(address: str) -> int:
    """Returns the hash of an address."""
    return int.from_bytes(hashlib.blake2b(address.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def key_of_id(document: bytes) -> int:
    """Returns the hash of an id."""
    return int(hashes(pa.array([document], ID), _SEED)[0])


# Making it


def places(run: Published) -> Dataset:
    """Returns the index of places of what a run published, which it publishes under PUBLISHED."""
    files = [file for beginning in _BEGINNINGS for file in run.files(beginning) if _kind_of(file.name)]
    schema = PLACES.with_metadata({OF: digests(run.folder)["published_sha256"].encode()})
    source = Dataset(Source("places", read, grouped(files)), PLACES)
    routed = source.exchange("key", Sized(BYTES_A_PART), then=("kind", "id", "file", "row"))
    return routed.map(put, passes=True, outputs=(Output("places", schema, publish=PUBLISHED),))


def _kind_of(name: str) -> tuple[str, int] | None:
    """Returns the kind of a published file and its number, None for one that has no rows to be found."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    place, stem, number = found["place"], found["stem"], int(found["number"])
    if place == "corpus/index" and (stem == PIECE or stem.endswith(f"-{PIECE}")):
        return stem, number
    kinds = {("corpus/index", "documents"): DOCUMENT, ("documents", "part"): DOCUMENT, ("ledger", "part"): FELL}
    if (place, stem) in kinds:
        return kinds[place, stem], number
    return (place if stem == "part" else f"{place}/{stem}", number) if place == "signals" else None


def read(files: Sequence[InputFile], work: Work) -> Batches:
    """Yields the rows of the index that published files give rise to."""
    for given in files:
        kind, number = _kind_of(given.name) or ("", 0)
        with table_of(given.url) as file:
            there = set(file.schema_arrow.names)
            columns = [name for name in (*ID_COLUMNS, *_ADDRESSES, "other", "action") if name in there]
            column = next((name for name in ID_COLUMNS if name in columns), None)
            first = 0
            for group in range(file.num_row_groups) if column else ():
                for batch in file.read_row_group(group, columns=columns).to_batches(_ROWS):
                    yield from _rows(batch, kind, number, first, column or "")
                    first += batch.num_rows


def _rows(batch: pa.RecordBatch, kind: str, number: int, first: int, column: str) -> Iterator[pa.RecordBatch]:
    ids = ids_of(batch.column(column))
    numbers = np.arange(first, first + batch.num_rows, dtype=np.int32)
    if kind == FELL:
        for kind, action in OF_ANOTHER.items():
            own = np.flatnonzero(pc.fill_null(pc.equal(batch.column("action"), action), False))
            own = own[np.asarray(pc.is_valid(batch.column("other")))[own]]
            yield _made(hashes(batch.column("other").take(pa.array(own)), _SEED), kind, ids, number, numbers, own)
        rows = np.flatnonzero(pc.is_in(batch.column("action"), pa.array(["drop", "duplicate_of", "quarantine"])))
    else:
        rows = np.flatnonzero(pc.is_valid(ids))
        yield _made(hashes(ids.take(pa.array(rows)), _SEED), kind, ids, number, numbers, rows)
    for name in _ADDRESSES if kind in (DOCUMENT, *OF_ANOTHER) else ():
        if name in batch.schema.names:
            held = batch.column(name)
            given = pc.is_valid(held)
            if name != "url" and "url" in batch.schema.names:
                given = pc.and_(given, pc.fill_null(pc.not_equal(held, batch.column("url")), True))
            own = rows[np.asarray(given)[rows]]
            keys = np.array([key_of(text) for text in held.take(pa.array(own)).to_pylist()], np.uint64)
            yield _made(keys, URL, ids, number, numbers, own)


def _made(
    keys: npt.NDArray[np.uint64],
    kind: str,
    ids: pa.Array,
    number: int,
    numbers: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int64],
) -> pa.RecordBatch:
    columns = [
        pa.array(keys, pa.uint64()),
        pa.array([kind] * len(rows), pa.string()),
        ids.take(pa.array(rows)),
        pa.array(np.full(len(rows), number, np.int32)),
        pa.array(numbers[rows]),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=PLACES)


def ids_of(column: pa.Array) -> pa.Array:
    """Returns ids as 16 bytes, also where they are 32 hex digits; null where they are neither."""
    if column.type == ID:
        return column
    if not pa.types.is_string(column.type):
        return pa.nulls(len(column), ID)
    sound = pc.fill_null(pc.match_substring_regex(column, "^[0-9a-f]{32}$"), False)
    whole = pc.if_else(sound, column, "0" * 32)
    text = np.frombuffer(pc.binary_join(pa.ListArray.from_arrays([0, len(whole)], whole), "")[0].as_buffer(), np.uint8)
    digits = np.where(text >= 97, text - 87, text - 48).astype(np.uint8)
    packed = (digits[0::2] << 4) | digits[1::2]
    made = pa.FixedSizeBinaryArray.from_buffers(ID, len(whole), [None, pa.py_buffer(packed.tobytes())])
    return pc.if_else(sound, made, pa.scalar(None, ID))


def put(batches: Batches, work: Work) -> Batches:
    """Puts out the rows as they come: in the order of their keys."""
    for batch in batches:
        work.put("places", batch)
        yield batch


def install(out: str, folder: str) -> dict[str, str]:
    """Puts the index that an audit made in its own folder `out` beside the report in `folder`; others give way.

    Returns the digests of its files by their names in the folder.
    """
    made = {name: digest for name, digest in claimed(out).items() if name.startswith(_MADE)}
    named = {name: f"{FOLDER}/{name.rpartition('/')[2]}" for name in made}
    wanted = {storage.join(folder, place): made[name] for name, place in named.items()}
    for path in storage.list_folder(storage.join(folder, FOLDER)):
        if path not in wanted or storage.sha256_of(path) != wanted[path]:
            storage.remove(path)
    for name, place in named.items():
        storage.link_new(storage.join(out, name), storage.join(folder, place))
    return {place: made[name] for name, place in named.items()}


# Reading it


@dataclass(frozen=True)
class Places:
    """The index of places beside a report; its files by number."""

    files: tuple[str, ...]

    @classmethod
    def open(cls, folder: str) -> Places | None:
        """Returns the index of what is published in a folder; None where there is none, or one of something else."""
        files = [path for path in storage.list_folder(storage.join(folder, FOLDER)) if path.endswith(".parquet")]
        if not files or not files[-1].endswith(f"-of-{len(files):05}.parquet"):
            return None
        of = (schema_of(files[0]).metadata or {}).get(OF, b"").decode()
        return cls(tuple(files)) if of == digests(folder)["published_sha256"] else None

    def of_address(self, address: str) -> list[bytes]:
        """Returns the ids of the documents that may have this address; one in 10^11 may have another."""
        return list(dict.fromkeys(row["id"] for row in self._rows(key_of(address)) if row["kind"] == URL))

    def of_document(self, document: bytes) -> list[Row]:
        """Returns the rows that lead from a document to others, and to what is published of it."""
        rows = self._rows(key_of_id(document))
        return [row for row in rows if row["kind"] in OF_ANOTHER or (row["kind"] != URL and row["id"] == document)]

    def _rows(self, key: int) -> list[Row]:
        with opened(self.files[part_of(key, len(self.files))]) as file:
            wanted = pa.scalar(key, pa.uint64())
            return [
                row
                for group in groups_of(file, "key", key)
                for row in taken(file, group, "key", partial(pc.equal, wanted))
            ]
