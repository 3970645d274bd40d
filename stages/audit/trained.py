"""What of each document is trained on: its pieces in the samples, as readers get them, added up to the token.

Pieces lie by sample, documents by file and row. So sums are made of each stretch of pieces, sent to the task of the
document's file, and added up there. What overlays leave out counts as nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa

from datapipe import DataError, InputFile, Resource, Work
from datapipe.dataset import Batches
from stages.audit.published import amounts, gathered
from stages.corpus.corpus import Corpus
from stages.corpus.index import opened
from stages.corpus.overlay import Overlaid

NEEDED: Final = ("sample", "shard", "row", "start", "end", "doc_start", "file", "file_row")
READ: Final = pa.schema(
    [
        *(pa.field(name, pa.int64() if name == "sample" else pa.int32()) for name in NEEDED),
        pa.field("split", pa.int32()),
    ]
)
SUMS: Final = pa.schema(  # a row a document of a stretch of pieces
    [
        pa.field("part", pa.int32()),  # task of the file of documents
        pa.field("file", pa.int32()),
        pa.field("file_row", pa.int32()),
        pa.field("split", pa.int32()),  # of its first piece that begins at its first token, or NONE
        pa.field("shard", pa.int32()),
        pa.field("row", pa.int32()),
        pa.field("start", pa.int32()),
        pa.field("end", pa.int32()),
        pa.field("trained", pa.int64()),
    ]
)
NONE: Final = 1 << 30  # no split: no piece begins there, or none that readers get
TRAIN: Final = "train"
_PLACES: Final = ("split", "shard", "row", "start", "end")


def splits_of(corpus: Corpus) -> list[str]:
    """Returns the names of the splits by number: that of training is 0."""
    return sorted(corpus.splits, key=lambda name: (name != TRAIN, name))


def segment_files(corpus: Corpus) -> list[str]:
    """Returns the names of the files of pieces in the folder of the run, those of training first."""
    return [f"corpus/{file}" for name in splits_of(corpus) for file in corpus.split(name).segment_files]


@dataclass(frozen=True)
class ReadSegments:
    """Reads files of pieces; `of` is the folder of the run. Their tokens must be those that the manifest tells."""

    of: Resource

    def __call__(self, files: Sequence[InputFile], work: Work) -> Batches:
        corpus = Corpus.open(self.of.path)
        shards = {
            f"corpus/{name}": (number, shard)
            for number, split in enumerate(splits_of(corpus))
            for name, shard in zip(corpus.split(split).segment_files, corpus.split(split).shards, strict=True)
        }
        for file in files:
            tokens, (split, shard) = 0, shards[file.name]
            with opened(file.url) as table:
                for batch in table.iter_batches(columns=list(NEEDED), use_threads=False):
                    tokens += int((np.asarray(batch.column("end")) - np.asarray(batch.column("start"))).sum())
                    of_split = pa.repeat(pa.scalar(split, pa.int32()), batch.num_rows)
                    columns = [*(batch.column(name).cast(READ.field(name).type) for name in NEEDED), of_split]
                    yield pa.RecordBatch.from_arrays(columns, schema=READ)
            if tokens != shard["tokens"]:
                raise DataError(
                    f"{file.url}: its pieces have {tokens:,} tokens, and the manifest says {shard['tokens']:,} of "
                    f"{shard['name']}: one of the two was changed; `datapipe verify` says which"
                )


@dataclass(frozen=True)
class Trained:
    """Turns pieces into SUMS; `of` is the folder of the run, `parts` the task of each file of documents."""

    of: Resource
    parts: tuple[int, ...]

    def __call__(self, batches: Batches, work: Work) -> Batches:
        corpus = Corpus.open(self.of.path)
        left_out = [corpus.split(name).overlaid for name in splits_of(corpus)]
        parts, tokens = np.array(self.parts, np.int32), 0
        for table in gathered(batches):
            columns = {name: table.column(name).combine_chunks().to_numpy() for name in READ.names}
            seen = np.ones(len(table), bool)
            for split, overlaid in enumerate(left_out):
                rows = np.flatnonzero(columns["split"] == split)
                seen[rows] = visible(overlaid, columns["sample"][rows], columns["start"][rows])
            if len(table) and not 0 <= columns["file"].min() <= columns["file"].max() < len(parts):
                raise DataError(f"{corpus.folder}: pieces are of a file of documents that the manifest has not")
            trained = (columns["end"] - columns["start"]).astype(np.int64) * ((columns["split"] == 0) & seen)
            first = (columns["doc_start"] == 0) & seen
            places = {name: np.where(first, columns[name], NONE) for name in _PLACES}
            tokens += int(trained.sum())
            yield summed(columns["file"], columns["file_row"], places, trained, parts[columns["file"]])
        work.put("amounts", amounts(trained=tokens))


def visible(overlaid: Overlaid, samples: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Returns which pieces readers get, bool[pieces], of those that begin at `starts` of `samples`."""
    seen = np.ones(len(samples), bool)
    if len(overlaid.skipped):
        place = np.searchsorted(overlaid.skipped[:, 1], samples, side="right")
        begins = np.append(overlaid.skipped[:, 0], np.iinfo(np.int64).max)
        seen &= begins[place] > samples
    if len(overlaid.removed):
        gone, where, _ = overlaid.pieces(0, overlaid.total)
        seen &= ~np.isin(samples << 32 | starts, gone << 32 | where)
    return seen


def summed(
    files: np.ndarray, rows: np.ndarray, places: dict[str, np.ndarray], trained: np.ndarray, parts: np.ndarray
) -> pa.RecordBatch:
    """Returns SUMS by document, sorted by (file, row), of pieces or of such sums; `parts` are of each of `files`."""
    keys = files.astype(np.int64) << 32 | rows
    order = np.lexsort((*(places[name] for name in reversed(_PLACES)), keys))
    keys = keys[order]
    begins = np.flatnonzero(np.diff(keys, prepend=-1))
    heads = order[begins]
    columns = {
        "part": parts[heads],
        "file": files[heads],
        "file_row": rows[heads],
        **{name: places[name][heads] for name in _PLACES},
        "trained": np.add.reduceat(trained[order], begins) if len(begins) else np.zeros(0, np.int64),
    }
    return pa.RecordBatch.from_arrays([pa.array(columns[field.name], field.type) for field in SUMS], schema=SUMS)


class Pieces:
    """What the pieces of the documents of a task come to, to be asked by file and row."""

    def __init__(self, sums: Batches, splits: Sequence[str]) -> None:
        table = pa.Table.from_batches(list(sums), schema=SUMS)
        held = {name: table.column(name).combine_chunks().to_numpy() for name in SUMS.names}
        places = {name: held[name] for name in _PLACES}
        self.batch = summed(held["file"], held["file_row"], places, held["trained"], held["part"])
        self.splits = pa.array([*splits], pa.string())

    @cached_property
    def keys(self) -> np.ndarray:
        """File and row of each document that has pieces, int64, ascending."""
        files, rows = (np.asarray(self.batch.column(name)).astype(np.int64) for name in ("file", "file_row"))
        keys: np.ndarray = files << 32 | rows
        return keys

    @property
    def trained(self) -> int:
        """Tokens of all of them."""
        return int(np.asarray(self.batch.column("trained")).sum())

    def of(self, files: np.ndarray, rows: np.ndarray) -> dict[str, pa.Array]:
        """Returns columns of the frame for documents at these files and rows, integers[documents] each."""
        wanted = files.astype(np.int64) << 32 | rows
        places = np.searchsorted(self.keys, wanted)
        found = np.zeros(len(wanted), bool)
        inside = places < len(self.keys)
        found[inside] = self.keys[places[inside]] == wanted[inside]
        at = np.where(found, places, 0)
        batch = self.batch if self.batch.num_rows else _nothing()
        values = {name: np.asarray(batch.column(name))[at] for name in (*_PLACES, "trained")}
        nowhere = ~found | (values["split"] == NONE)
        made = {f"piece_{name}": pa.array(values[name], pa.int32(), mask=nowhere) for name in _PLACES[1:]}
        numbers = pa.array(np.where(nowhere, 0, values["split"]), pa.int32(), mask=nowhere)
        made["piece_split"] = self.splits.take(numbers)
        made["trained"] = pa.array(np.where(found, values["trained"], 0), pa.int64())
        return made


def _nothing() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([dict.fromkeys(SUMS.names, 0)], schema=SUMS)
