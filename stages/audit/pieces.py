"""Where documents lie in the samples of a corpus: their pieces, found by the index of places or by looking at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ID, DataError, storage
from stages.audit.places import PIECE, Places
from stages.audit.tables import Row, Tables, row_at
from stages.corpus.corpus import Split
from stages.corpus.index import pieces_of
from stages.mix.columns import SEGMENTS

FIRST: Final = pa.schema(  # of a document: where it begins in samples, as `texts_of` reads it
    [
        pa.field("id", ID),
        pa.field("index_file", pa.int32()),
        pa.field("index_row", pa.int32()),
        pa.field("piece_split", pa.string()),
        *(pa.field(f"piece_{name}", pa.int32()) for name in ("shard", "row", "start", "end")),
    ]
)


def pieces(tables: Tables, places: Places | None, documents: Sequence[bytes]) -> Iterator[tuple[Split, pa.Table]]:
    """Yields the pieces (SEGMENTS) of documents in each split, by position; without `places`, all ids are read."""
    corpus = tables.corpus
    if corpus is None or not documents:
        return
    led = None if places is None else [row for one in documents for row in places.of_document(one)]
    for name in corpus.splits:
        split = corpus.split(name)
        kind = PIECE if name == "train" else f"{name}-{PIECE}"
        if led is None:
            found = list(pieces_of(split, pa.array([one.hex() for one in documents])))
            table = pa.concat_tables([SEGMENTS.empty_table(), *(one.cast(SEGMENTS) for one in found)])
        else:
            own = [row for row in led if row["kind"] == kind]
            table = pa.Table.from_pylist([_piece(split, row) for row in own], SEGMENTS)
        yield split, table.sort_by([("sample", "ascending"), ("start", "ascending")])


def _piece(split: Split, place: Row) -> Row:
    path = storage.join(split.corpus.folder, split.segment_files[place["file"]])
    row = row_at(path, place["row"], SEGMENTS.names)
    if row["doc_id"] != place["id"].hex():
        raise DataError(f"{path}: has another document at row {place['row']} than the index of places says: it changed")
    return row


def first_pieces(tables: Tables, places: Places | None, documents: Sequence[bytes]) -> pa.Table:
    """Returns FIRST for each document: the piece that begins at its first token, in the train split if it is there."""
    found: dict[str, Row] = {}
    for split, table in pieces(tables, places, documents):
        for row in table.filter(pc.equal(table.column("doc_start"), 0)).to_pylist():
            found.setdefault(row["doc_id"], {**row, "split": split.name})
    rows = []
    for one in documents:
        piece = found.get(one.hex(), {})
        about = {"id": one, "index_file": piece.get("file"), "index_row": piece.get("file_row")}
        rows.append(about | {f"piece_{name}": piece.get(name) for name in ("split", "shard", "row", "start", "end")})
    return pa.Table.from_pylist(rows, FIRST)
