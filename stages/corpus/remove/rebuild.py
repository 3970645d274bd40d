"""The minimal rebuild: a corpus beside the old one in which removed documents are no more.

Files that hold nothing of them are the same files (links, or copies where there are none). In shards EOS stands in the
place of their tokens, and by document a row of one EOS in that of each; in the index their segments are gone and their
rows are empty, but for id and source, so that rows keep their numbers. Positions stay: samples that hold nothing else
are skipped by an overlay of the new corpus, where the overlays that skip are carried over too. In ledger and signals,
what speaks of them loses address and text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datapipe import ID, DataError, Report, claim_bytes, storage
from stages.corpus.corpus import MANIFEST, REMOVED, TOKENIZERS, Corpus, Split
from stages.corpus.index import opened
from stages.corpus.overlay import Ranges, put_skip
from stages.corpus.remove.find import run_folder
from stages.corpus.target import Target, new_target
from stages.mix.columns import ORDER_FILE
from stages.mix.manifest import merkle_root_of
from stages.mix.write import token_bytes

Facts = dict[str, Any]  # Any: JSON
LEDGERS: Final = ("ledger/", "signals/")
CLAIM: Final = "reports/published.json"
REPORT: Final = "reports/report.json"
TEXTS: Final = "documents/"  # texts that a run may publish beside the corpus: not carried over
_SAYS: Final = (
    "url",
    "canonical_url",
    "host",
    "domain",
    "title",
    "author",
    "text",
    "sample",
    "note",
    "file",
    "offset",
    "extra",
)
_OF: Final = {  # what is said of a document, by the column of ledger or signals that holds its id
    "id": _SAYS,
    "twin": tuple(f"twin_{name}" for name in _SAYS),
    "other": ("note",),  # a sample of what was dropped for it: of its text, or nearly
}
_EMPTY: Final[Facts] = {"split": REMOVED, "tokens": 0, "times_seen": 0}  # of a removed document; else null
_STAYS: Final = ("doc_id", "source")
Change = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True)
class Removal:
    """What leaves: documents by id, the ranges of samples that are emptied by it, and what is said of it.

    `mentioned` are ids of documents that were dropped before: ledger and signals lose what they say of them too.
    """

    documents: frozenset[str]
    emptied: Ranges
    said: Facts
    mentioned: frozenset[str] = frozenset()


@dataclass
class Files:
    """The files of a new folder: `digests` of those that were written again, by name, and how many are the old ones."""

    target: Target
    digests: dict[str, str] = field(default_factory=dict)
    linked: int = 0

    def link(self, source: str, name: str) -> None:
        """Takes a file as it is."""
        storage.link_new(source, storage.join(self.target.place, name))
        self.linked += 1

    def done(self, name: str) -> Facts:
        """Takes a file that was written again; returns its size and digest as a manifest has them."""
        self.target.done(name)
        said = self.target.files[-1]
        self.digests[name] = said["sha256"]
        return {"file_sha256": said["sha256"], "bytes": said["bytes"]}

    def put(self, name: str, content: bytes) -> None:
        """Writes a small file."""
        self.target.put(name, content)
        self.digests[name] = self.target.files[-1]["sha256"]


def rebuild(corpus: Corpus, out: str, removal: Removal) -> Files:
    """Writes the corpus without the documents of `removal` and of all removals that its overlays record.

    Raises:
        ConfigError: something is at `out`, or nothing can be written there.
    """
    before = [corpus.split(name).overlaid.removed.column("doc_id").to_pylist() for name in corpus.splits]
    documents = pa.array(sorted(removal.documents.union(*before)), pa.string())
    manifest: Facts = json.loads(json.dumps(corpus.manifest))
    with new_target(out) as target:
        files = Files(target)
        for name in corpus.splits:
            _write_split(corpus.split(name), manifest, documents, files)
        _write_documents(corpus, manifest, documents, files)
        for name in (ORDER_FILE, *TOKENIZERS):  # what else lies there is not of the corpus, and may hold anything
            if storage.exists(storage.join(corpus.folder, name)):
                files.link(storage.join(corpus.folder, name), f"corpus/{name}")
        manifest["merkle_root"] = merkle_root_of(manifest["shards"])
        manifest["documents"][REMOVED] = manifest["documents"].get(REMOVED, 0) + len(documents)
        manifest[REMOVED] = [*manifest.get(REMOVED, []), _record(corpus, removal, len(documents))]
        for ranges, reason in _skips(corpus, removal):
            put_skip(storage.join(target.place, "corpus"), manifest, ranges, reason)
        folder = run_folder(corpus)
        if folder is not None:
            _carry(folder, removal.mentioned.union(documents.to_pylist()), files, _json(manifest))
        files.put(f"corpus/{MANIFEST}", _json(manifest))
    return files


def _json(content: Facts) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def _record(corpus: Corpus, removal: Removal, documents: int) -> Facts:
    parent = {
        "manifest_sha256": storage.sha256_of(storage.join(corpus.folder, MANIFEST)),
        "merkle_root": corpus.manifest["merkle_root"],
        "overlays": [{"name": one.name, "sha256": storage.sha256_of(one.path)} for one in corpus.overlays],
    }
    return {"parent": parent, "documents": documents, **removal.said}


def _skips(corpus: Corpus, removal: Removal) -> list[tuple[Ranges, str | None]]:
    """Returns what the overlays of the new corpus skip: as those before did, one by one, and what is emptied now."""
    before = [(overlay.ranges, overlay.reason) for overlay in corpus.overlays]
    every = [*before, (removal.emptied, removal.said.get("reason"))]
    return [(ranges, reason) for ranges, reason in every if any(len(own) for own in ranges.values())]


# Shards and their segments


def _write_split(split: Split, manifest: Facts, documents: pa.Array, files: Files) -> None:
    """Links or writes the shards of a split and their segments, and sets what the manifest says of them."""
    shards = [shard for shard in manifest["shards"] if shard["split"] == split.name]
    index = {row["name"]: row for row in manifest["index"]}
    start = 0
    for number, shard in enumerate(shards):
        name, folder = split.segment_files[number], split.corpus.folder
        table = _read(storage.join(folder, name), ["sample", "start", "end", "doc_id"])
        pieces = table.filter(pc.is_in(table.column("doc_id"), documents))
        if len(pieces):
            lost = pc.sum(pc.subtract(pieces.column("end"), pieces.column("start"))).as_py()
            shard["tokens"] -= lost
            shard["padding"] += len(pieces) if split.corpus.seq_len is None else lost
            shard["tokens_sha256"] = write_shard(
                split, number, start, pieces, files.target.path(f"corpus/{shard['name']}")
            )
            shard.update(files.done(f"corpus/{shard['name']}"))
            left = partial(_left, documents=documents)
            index[name]["rows"] = _rewrite(storage.join(folder, name), files.target.path(f"corpus/{name}"), left)
            index[name]["file_sha256"] = files.done(f"corpus/{name}")["file_sha256"]
        else:
            files.link(storage.join(folder, shard["name"]), f"corpus/{shard['name']}")
            files.link(storage.join(folder, name), f"corpus/{name}")
        start += shard["rows"]
    for key in ("tokens", "padding"):
        manifest["splits"][split.name][key] = sum(shard[key] for shard in shards)


def _left(table: pa.Table, *, documents: pa.Array) -> pa.Table:
    return table.filter(pc.invert(pc.is_in(table.column("doc_id"), documents)))


def write_shard(split: Split, number: int, first: int, pieces: pa.Table, path: str) -> str:
    """Writes a shard, which begins at position `first`, without `pieces`; returns its `tokens_sha256`."""
    shard, digest = split.shard(number), hashlib.sha256()
    samples, starts, ends = (pieces.column(name).to_numpy().astype(np.int64) for name in ("sample", "start", "end"))
    options = pa.ipc.IpcWriteOptions(use_threads=False)
    with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, shard.schema, options=options) as writer:
        for place, (begin, end) in enumerate(pairwise(shard.starts)):
            batch = shard.batch(place)
            own = slice(*np.searchsorted(samples, [first + begin, first + end]))
            rows = samples[own] - first - begin
            if len(rows):
                batch = cleared(batch, rows, starts[own], ends[own], split.corpus.eos)
            writer.write_batch(batch)
            digest.update(token_bytes(batch.column("input_ids")))
    return digest.hexdigest()


def cleared(batch: pa.RecordBatch, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray, eos: int) -> pa.RecordBatch:
    """Returns samples with EOS in the place of pieces; by document, with a row of one EOS in that of each document."""
    place = batch.schema.get_field_index("input_ids")
    column = batch.column(place)
    if not pa.types.is_fixed_size_list(column.type):
        return _emptied(batch, rows, eos)
    ids = column.flatten().to_numpy().copy()
    lengths = ends - starts
    first = rows * column.type.list_size + starts
    ids[np.repeat(first - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())] = eos
    made = pa.FixedSizeListArray.from_arrays(pa.array(ids, pa.int32()), type=column.type)
    return batch.set_column(place, batch.schema.field(place), made)


def _emptied(batch: pa.RecordBatch, rows: np.ndarray, eos: int) -> pa.RecordBatch:
    """Returns documents, those of `rows` as one EOS of its source and epoch, about which nothing is known."""
    empty = {"input_ids": [eos], "n_tokens": 1, "quality": float("nan")}
    takes = np.arange(batch.num_rows)
    takes[rows] = batch.num_rows
    columns = []
    for field_, column in zip(batch.schema, batch.columns, strict=True):
        if field_.name not in ("source", "epoch"):
            value = pa.array([empty.get(field_.name)], field_.type)
            column = pa.concat_arrays([column, value]).take(pa.array(takes))
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


# Tables


def _write_documents(corpus: Corpus, manifest: Facts, documents: pa.Array, files: Files) -> None:
    """Links or writes the files of documents: the rows of removed ones are empty, and stay, for the numbers of rows."""
    index = {row["name"]: row for row in manifest["index"]}
    change = partial(_without, key="doc_id", ids=documents, stays=_STAYS)
    for name in corpus.document_files:
        path = storage.join(corpus.folder, name)
        if _speaks_of(path, ["doc_id"], documents):
            _rewrite(path, files.target.path(f"corpus/{name}"), change)
            index[name]["file_sha256"] = files.done(f"corpus/{name}")["file_sha256"]
        else:
            files.link(path, f"corpus/{name}")


def _carry(folder: str, ids: frozenset[str], files: Files, manifest: bytes) -> None:
    """Links the other files that the run published, and writes the report and the claim that names them all.

    Ledger and signals are written again where they speak of `ids`: without address and text. What an audit added to the
    report was of the corpus as it was, and stays behind.
    """
    claim: Facts = json.loads(storage.read_bytes(storage.join(folder, CLAIM)))
    known = pa.array([bytes.fromhex(one) for one in sorted(ids)], ID)
    for name in sorted(claim["files"]):
        path = storage.join(folder, name)
        if name.startswith(("corpus/", TEXTS)):
            continue
        if not storage.exists(path):
            raise DataError(f"{path}: is gone, though it was published: `datapipe verify` names all that is")
        if name.startswith(LEDGERS) and name.endswith(".parquet") and _speaks_of(path, _OF, known):
            _rewrite(path, files.target.path(name), partial(_silent, ids=known))
            files.done(name)
        else:
            files.link(path, name)
    files.put(REPORT, Report.from_json(storage.read_bytes(storage.join(folder, REPORT))).to_json())
    names = {name: digest for name, digest in claim["files"].items() if not name.startswith(TEXTS)}
    digests = {**files.digests, f"corpus/{MANIFEST}": hashlib.sha256(manifest).hexdigest()}
    claim.pop("recipe", None)  # what it makes is not this corpus
    claim |= {"files": {name: digests.get(name, old) for name, old in names.items()}, "fingerprint": ""}
    files.put(CLAIM, claim_bytes(claim))


def _silent(table: pa.Table, *, ids: pa.Array) -> pa.Table:
    """Returns a table of ledger or signals without address and text in what it says of `ids`."""
    for key, says in _OF.items():
        if key in table.column_names:
            table = _without(table, key=key, ids=ids, says=says)
    return table


def _without(
    table: pa.Table, *, key: str, ids: pa.Array, stays: tuple[str, ...] = (), says: tuple[str, ...] | None = None
) -> pa.Table:
    """Returns a table that says nothing in the rows of `ids`: in the columns `says`, or in all but `stays`."""
    mask = pc.is_in(table.column(key), ids)
    columns = []
    for one, column in zip(table.schema, table.columns, strict=True):
        if one.name in says if says is not None else one.name not in stays:
            value = _EMPTY.get(one.name) if says is None else None
            column = pc.if_else(mask, pa.scalar(value, one.type), column)
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=table.schema)


def _speaks_of(path: str, keys: Iterable[str], ids: pa.Array) -> bool:
    """Returns whether a row of a table is of one of `ids`; one without such a column speaks of no document."""
    with opened(path) as file:
        names = [key for key in keys if key in file.schema_arrow.names]
        groups = (file.read_row_group(group, columns=names) for group in range(file.num_row_groups if names else 0))
        return any(pc.any(pc.is_in(column, ids)).as_py() for table in groups for column in table.columns)


def _read(path: str, columns: list[str]) -> pa.Table:
    with opened(path) as file:
        return file.read(columns=columns)


def _rewrite(source: str, path: str, change: Change) -> int:
    """Writes a Parquet file with each of its row groups changed, as `datapipe.shard` writes them; returns its rows."""
    rows = 0
    with opened(source) as file:
        schema = file.schema_arrow
        keyed = [name for name in ("id", "sample") if name in schema.names]
        with pq.ParquetWriter(path, schema, compression="zstd", write_statistics=keyed or False) as writer:
            for group in range(file.num_row_groups):
                table = change(file.read_row_group(group)).combine_chunks()
                rows += len(table)
                if len(table):
                    writer.write_table(table, row_group_size=len(table))
    return rows
