"""The documents that are asked for: in the index, in samples, and in the ledger of what was dropped before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import LEAVING, storage
from stages.corpus.corpus import Corpus, Split
from stages.corpus.index import opened, segments
from stages.corpus.overlay import PIECES, merged
from stages.corpus.remove.asked import ADDRESSES, Asked, Entry
from stages.mix.write import hex_strings

DIGEST: Final = "text_digest"
COLUMNS: Final = ("doc_id", "url", "source", "split", "tokens", "times_seen", DIGEST)
_LEDGER: Final = ("id", "stage", "action", "rule", "other", "similarity", "url")
_ROWS: Final = 1 << 16

Facts = dict[str, Any]  # Any: JSON
Keys = np.ndarray  # file << 32 | row of documents, or sample << 32 | start of pieces: int64


@dataclass(frozen=True)
class Duplicate:
    """A document that was dropped because another held the same text, or nearly."""

    document: str
    url: str | None
    survivor: str
    similarity: float | None


@dataclass
class Dropped:
    """What the ledger says of documents that are asked for: they left before the corpus was made."""

    ids: set[str] = field(default_factory=set)
    entries: set[Entry] = field(default_factory=set)
    duplicates: list[Duplicate] = field(default_factory=list)
    parts: dict[str, set[Entry]] = field(default_factory=dict)  # of a document that was split


@dataclass
class Documents:
    """Documents of the index: a row of COLUMNS each in `rows`, and its place, file << 32 | row, in `keys`."""

    rows: pa.Table
    keys: Keys

    @property
    def ids(self) -> list[str]:
        """Their ids, 32 hex digits each."""
        return self.rows.column("doc_id").to_pylist()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Totals:
    """Of a split and source: documents, their tokens, and tokens seen (by the times that documents are)."""

    documents: int = 0
    tokens: int = 0
    tokens_seen: int = 0


@dataclass
class Found:
    """What the index holds of what is asked for. `survivors` outlived a listed document, `twins` have its very text."""

    documents: Documents
    survivors: Documents
    twins: Documents
    entries: set[Entry]
    below: int  # documents that lie below a listed page
    totals: dict[tuple[str, str], Totals]


def run_folder(corpus: Corpus) -> str | None:
    """Returns the output folder of the run that the corpus is of; None where only the corpus is there."""
    folder, _, name = corpus.folder.rpartition("/")
    whole = name == "corpus" and storage.exists(storage.join(folder, "reports", "report.json"))
    return folder if whole else None


def read_ledger(folder: str, asked: Asked) -> Dropped:
    """Returns what the ledger of a run says of what is asked for; survivors are followed to the last."""
    dropped, links = Dropped(), {}
    for table in _ledger(folder):
        leaving = pc.is_in(table.column("action"), pa.array([*LEAVING, "split"]))
        own = table.filter(leaving).combine_chunks()
        ids, others = (hex_strings(own.column(name).combine_chunks()) for name in ("id", "other"))
        for row, entries in asked.match(ids, [own.column("url").combine_chunks()]).rows.items():
            if own.column("action")[row].as_py() != "split":
                dropped.ids.add(ids[row].as_py())
                dropped.entries |= entries
            if own.column("action")[row].as_py() == "duplicate_of":
                links[ids[row].as_py()] = _duplicate(own, ids, others, row)
        for row, entries in asked.match(others, []).rows.items():
            if own.column("action")[row].as_py() == "split":
                dropped.parts[ids[row].as_py()] = entries
    dropped.duplicates = list(_followed(folder, links))
    return dropped


def _followed(folder: str, links: dict[str, Duplicate]) -> Iterator[Duplicate]:
    """Yields the duplicates with the survivors of their survivors, where those were dropped as duplicates too."""
    known, left = dict(links), {link.survivor for link in links.values()} - links.keys()
    while left:
        more: dict[str, Duplicate] = {}
        for table in _ledger(folder):
            own = table.filter(pc.equal(table.column("action"), "duplicate_of")).combine_chunks()
            ids, others = (hex_strings(own.column(name).combine_chunks()) for name in ("id", "other"))
            for row in np.flatnonzero(pc.is_in(ids, pa.array(sorted(left), pa.string()))).tolist():
                more[ids[row].as_py()] = _duplicate(own, ids, others, row)
        known |= more
        left = {link.survivor for link in more.values()} - known.keys()
    for link in links.values():
        survivor, similarity, seen = link.survivor, link.similarity, {link.document}
        while survivor in known and survivor not in seen:
            seen.add(survivor)
            similarity = min((s for s in (similarity, known[survivor].similarity) if s is not None), default=None)
            survivor = known[survivor].survivor
        yield Duplicate(link.document, link.url, survivor, similarity)


def _duplicate(rows: pa.Table, ids: pa.Array, others: pa.Array, row: int) -> Duplicate:
    return Duplicate(
        ids[row].as_py(),
        rows.column("url")[row].as_py(),
        others[row].as_py(),
        rows.column("similarity")[row].as_py(),
    )


def _ledger(folder: str) -> Iterator[pa.Table]:
    for path in storage.list_folder(storage.join(folder, "ledger")):
        if path.endswith(".parquet"):
            with opened(path) as file:
                for batch in file.iter_batches(_ROWS, columns=list(_LEDGER)):
                    yield pa.Table.from_batches([batch])


def find_documents(corpus: Corpus, asked: Asked, dropped: Dropped) -> Found:
    """Returns the documents of the index that are asked for, and those that survived for a dropped one."""
    survivors = pa.array(sorted({link.survivor for link in dropped.duplicates}), pa.string())
    made: dict[str, tuple[list[pa.Table], list[Keys]]] = {"asked": ([], []), "survivors": ([], [])}
    entries: set[Entry] = set()
    below, totals = 0, dict[tuple[str, str], Totals]()
    for number, name in enumerate(corpus.document_files):
        first = 0
        for batch in _documents(corpus, name):
            ids, addresses = batch.column("doc_id"), [batch.column(c) for c in ADDRESSES if c in batch.schema.names]
            met = asked.match(ids, addresses)
            if dropped.parts:
                for row in np.flatnonzero(pc.is_in(ids, pa.array(sorted(dropped.parts), pa.string()))).tolist():
                    met.add(row, *dropped.parts[ids[row].as_py()])
            entries.update(*met.rows.values())
            below += len(met.below - met.rows.keys())
            kept = np.flatnonzero(pc.is_in(ids, survivors)) if len(survivors) else np.zeros(0, np.int64)
            chosen = {"asked": np.array(sorted(met.rows), np.int64), "survivors": np.setdiff1d(kept, sorted(met.rows))}
            for kind, rows in chosen.items():
                made[kind][0].append(_columns(batch).take(pa.array(rows)))
                made[kind][1].append(np.int64(number) << 32 | (first + rows))
            _add(totals, _columns(batch))
            first += batch.num_rows
    documents, kept_documents = (_documents_of(*made[kind]) for kind in ("asked", "survivors"))
    return Found(documents, kept_documents, _twins(corpus, documents, kept_documents), entries, below, totals)


def _twins(corpus: Corpus, documents: Documents, others: Documents) -> Documents:
    """Returns the documents beside these that have the very text of one of `documents`, by its digest in the index."""
    digests = pc.unique(documents.rows.column(DIGEST).combine_chunks().drop_null())
    known = pa.array([*documents.ids, *others.ids], pa.string())
    tables, keys = list[pa.Table](), list[Keys]()
    for number, name in enumerate(corpus.document_files if len(digests) else ()):
        first = 0
        for batch in _documents(corpus, name):
            if DIGEST in batch.schema.names:
                same = pc.and_not(pc.is_in(batch.column(DIGEST), digests), pc.is_in(batch.column("doc_id"), known))
                rows = np.flatnonzero(same)
                tables.append(_columns(batch).take(pa.array(rows)))
                keys.append(np.int64(number) << 32 | (first + rows))
            first += batch.num_rows
    return _documents_of(tables, keys)


def _documents(corpus: Corpus, name: str) -> Iterator[pa.RecordBatch]:
    with opened(storage.join(corpus.folder, name)) as file:
        names = [c for c in (*COLUMNS, "canonical_url") if c in file.schema_arrow.names]
        yield from file.iter_batches(_ROWS, columns=names)


def _columns(batch: pa.RecordBatch) -> pa.Table:
    """Returns COLUMNS; those that documents do not have are null."""
    missing = pa.nulls(batch.num_rows, pa.string())
    names = batch.schema.names
    return pa.table({name: batch.column(name) if name in names else missing for name in COLUMNS})


def _documents_of(tables: list[pa.Table], keys: list[Keys]) -> Documents:
    empty = pa.table({name: pa.array([], pa.string()) for name in COLUMNS})
    return Documents(pa.concat_tables(tables) if tables else empty, np.concatenate([np.zeros(0, np.int64), *keys]))


def _add(totals: dict[tuple[str, str], Totals], rows: pa.Table) -> None:
    tokens = rows.column("tokens").cast(pa.int64())
    rows = rows.set_column(0, "seen", pc.multiply(tokens, rows.column("times_seen").cast(pa.int64())))
    sums = rows.group_by(["split", "source"]).aggregate([("tokens", "count"), ("tokens", "sum"), ("seen", "sum")])
    for row in sums.to_pylist():
        key = row["split"], row["source"]
        before = totals.get(key, Totals())
        totals[key] = Totals(
            before.documents + row["tokens_count"],
            before.tokens + (row["tokens_sum"] or 0),
            before.tokens_seen + (row["seen_sum"] or 0),
        )


@dataclass(frozen=True)
class Places:
    """Where documents lie in the samples of a split.

    `pieces` are rows of PIECES; `documents` the row of each piece's document; `emptied` the ranges of positions of
    samples that hold nothing else, `samples` and `shards` how many of them hold a piece.
    """

    pieces: pa.Table
    documents: np.ndarray
    emptied: list[tuple[int, int]]
    samples: int
    shards: int


def find_places(split: Split, documents: Documents) -> Places:
    """Returns every piece of the documents in a split, whether its sample is skipped already or not."""
    order = np.argsort(documents.keys)
    keys = documents.keys[order]
    tables, rows, emptied, samples, shards, start = [], [], list[int](), 0, 0, 0
    for shard in split.shards if len(keys) else ():
        stop = start + shard["rows"]
        table = segments(split, start, stop, columns=("sample", "start", "end", "file", "file_row"))
        columns = {name: np.asarray(table.column(name)).astype(np.int64) for name in table.column_names}
        of_piece = columns["file"] << 32 | columns["file_row"]
        places = np.minimum(np.searchsorted(keys, of_piece), len(keys) - 1)
        hit = keys[places] == of_piece
        if hit.any():
            emptied += _emptied(split, columns["sample"], columns["start"], hit, start, stop)
            own = order[places[hit]]
            tables.append(_pieces(split.name, {name: columns[name][hit] for name in columns}, documents, own))
            rows.append(own)
            samples += len(np.unique(columns["sample"][hit]))
            shards += 1
        start = stop
    ranges = [(int(a), int(b)) for a, b in merged((at, at + 1) for at in emptied)]
    of_document = np.concatenate([np.zeros(0, np.int64), *rows])
    return Places(pa.concat_tables([PIECES.empty_table(), *tables]), of_document, ranges, samples, shards)


def _emptied(
    split: Split, samples: np.ndarray, starts: np.ndarray, hit: np.ndarray, start: int, stop: int
) -> list[int]:
    """Returns the samples that hold no piece but those hit now and those that overlays took out before."""
    before, begins, _ = split.overlaid.pieces(start, stop)
    gone = hit | np.isin(samples << 32 | starts, before << 32 | begins)
    found: list[int] = np.setdiff1d(samples[hit], samples[~gone]).tolist()
    return found


def _pieces(split: str, columns: dict[str, np.ndarray], documents: Documents, rows: np.ndarray) -> pa.Table:
    own = documents.rows.take(pa.array(rows))
    made = {
        "split": pa.repeat(split, len(rows)),
        **{name: pa.array(columns[name]) for name in ("sample", "start", "end")},
        **{name: own.column(name) for name in ("doc_id", "url")},
    }
    return pa.table({name: made[name] for name in PIECES.names}).cast(PIECES)


def unseen(documents: Documents, seen: list[np.ndarray]) -> pa.Table:
    """Returns a row of PIECES for each document that is in no sample, with sample -1: it leaves the index alone."""
    rows = np.setdiff1d(np.arange(len(documents.keys)), np.concatenate([np.zeros(0, np.int64), *seen]))
    own = documents.rows.take(pa.array(rows))
    none = pa.array(np.full(len(rows), -1))
    zeros = pa.array(np.zeros(len(rows), np.int64))
    made = {"sample": none, "start": zeros, "end": zeros}
    return pa.table({name: made[name] if name in made else own.column(name) for name in PIECES.names}).cast(PIECES)
