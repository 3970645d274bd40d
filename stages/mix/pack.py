"""Documents to samples, once for all weights: within a shard of documents, a (group, source) and a split.

A sample never holds two groups or two sources. Concatenated, a sample is the next `seq_len` tokens of its stream, so
the pieces of a long document are samples with consecutive indices; the last sample of a stream is filled with EOS, as
a sequence of its own. By document, a sample is a document.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ID, StageError, Work
from stages.mix.columns import COUNTS, SIZES, TIMES, samples
from stages.mix.split import Split

Key = tuple[bool, str, str]  # held out, group, source


def index_columns(documents: pa.Schema) -> pa.Schema:
    """Returns the schema of the documents' side output: what they carry but the tokens, and where they went."""
    kept = [column for column in documents if column.name not in ("text", "input_ids")]
    places = [("validation", pa.bool_()), ("group", pa.string()), ("block", pa.int32()), ("index", pa.int32())]
    return pa.schema([*kept, *(pa.field(name, kind) for name, kind in places)])


@dataclass(frozen=True)
class Pack:
    """Packs a shard of documents; `seq_len` None makes a sample of each document.

    Yields training samples; puts out `validation` (samples), `counts` (COUNTS), `documents` (a row a document, in
    order) and, by document, `sizes`.
    """

    by: str
    seq_len: int | None
    split: Split | None
    weights: str | None = None  # column of whole numbers; documents of another weight are another group

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        streams: dict[Key, Stream] = {}
        before = 0
        for batch in batches:
            if batch.num_rows:
                yield from self._pack(batch, before, streams, work)
                before += batch.num_rows
        for key in sorted(streams):
            rest = streams[key].finish()
            yield from self._emit(key[0], [rest] if rest else [], work)
        rows = [streams[key].counts() for key in sorted(streams)]
        work.put("counts", pa.RecordBatch.from_pylist(rows, schema=COUNTS))

    def _pack(
        self, batch: pa.RecordBatch, before: int, streams: dict[Key, Stream], work: Work
    ) -> Iterator[pa.RecordBatch]:
        codes, keys = self._keys(batch, work)
        first = np.empty(batch.num_rows, np.int32)
        made: dict[bool, list[Packed]] = {False: [], True: []}
        for code in np.unique(codes):
            stream = streams.setdefault(keys[code], Stream(keys[code], work.number, self.seq_len))
            rows = np.flatnonzero(codes == code)
            packed = stream.add(batch if len(rows) == batch.num_rows else batch.take(pa.array(rows)), rows, before)
            first[rows] = packed.first
            made[keys[code][0]].append(packed)
        work.put("documents", _indexed(batch, [keys[code] for code in codes], work.number, first))
        for held_out, packed_streams in made.items():
            yield from self._emit(held_out, packed_streams, work)

    def _emit(self, held_out: bool, made: list[Packed], work: Work) -> Iterator[pa.RecordBatch]:
        """Yields or puts out samples in the order of the rows that complete them, wherever batches are cut."""
        if not made:
            return
        batch = made[0].samples
        if len(made) > 1:
            order = np.argsort(np.concatenate([packed.completed_by for packed in made]), kind="stable")
            batch = pa.concat_batches([packed.samples for packed in made]).take(pa.array(order))
        if not batch.num_rows:
            return
        if held_out:
            work.put("validation", batch)
            return
        if self.seq_len is None:
            sizes = [*(batch.column(name) for name in SIZES.names[:-1]), _lengths(batch).cast(pa.int32())]
            work.put("sizes", pa.RecordBatch.from_arrays(sizes, schema=SIZES))
        yield batch

    def _keys(self, batch: pa.RecordBatch, work: Work) -> tuple[np.ndarray, list[Key]]:
        """Returns the stream of each row as an index into the streams, and these."""
        groups, sources = self._groups(batch), label(batch.column("source"))
        held_out = self.split.held_out(batch, work) if self.split else np.zeros(batch.num_rows, bool)
        group_codes, source_codes = np.asarray(groups.indices), np.asarray(sources.indices)
        joint = (group_codes.astype(np.int64) * len(sources.dictionary) + source_codes) * 2 + held_out
        distinct, codes = np.unique(joint, return_inverse=True)
        names, places = groups.dictionary.to_pylist(), sources.dictionary.to_pylist()
        keys = [(bool(c % 2), names[c // 2 // len(places)], places[c // 2 % len(places)]) for c in distinct.tolist()]
        return codes, keys

    def _groups(self, batch: pa.RecordBatch) -> pa.DictionaryArray:
        if self.weights is None:
            return label(batch.column(self.by))
        names = pc.fill_null(batch.column(self.by).cast(pa.string()), "null")
        weights = pc.fill_null(batch.column(self.weights), 1).cast(pa.string())
        return pc.dictionary_encode(pc.binary_join_element_wise(names, weights, TIMES))


def label(column: pa.Array) -> pa.DictionaryArray:
    """Returns the values of a column as the names of groups; a null is 'null'."""
    return pc.dictionary_encode(pc.fill_null(column.cast(pa.string()), "null"))


@dataclass(frozen=True)
class Packed:
    """Samples that rows of a batch completed: by which row, and for each row the sample it begins in."""

    samples: pa.RecordBatch
    completed_by: np.ndarray
    first: np.ndarray


@dataclass
class Pieces:
    """Pieces in a row: id uint8[pieces, 16] and row in the block of the document, first token there, their number."""

    ids: np.ndarray = field(default_factory=lambda: np.zeros((0, 16), np.uint8))
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    starts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    lengths: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


class Stream:
    """The documents of one key of a shard, as they come; it holds less than one sample."""

    def __init__(self, key: Key, block: int, seq_len: int | None) -> None:
        self.key, self.block, self.seq_len = key, block, seq_len
        self.rest, self.pieces = np.zeros(0, np.int32), Pieces()
        self.made = self.tokens = self.padding = self.documents = self.cut_documents = 0

    def add(self, batch: pa.RecordBatch, rows: np.ndarray, before: int = 0) -> Packed:
        """Takes documents; `rows` are their numbers in the batch they came in, `before` that of its first in the block."""
        self.documents += batch.num_rows
        lengths = np.asarray(_lengths(batch)).astype(np.int64)
        self.tokens += int(lengths.sum())
        if self.seq_len is None:
            return self._by_document(batch, rows, before)
        return self._concatenate(batch, lengths, rows, before, self.seq_len)

    def _by_document(self, batch: pa.RecordBatch, rows: np.ndarray, before: int) -> Packed:
        own = {
            "input_ids": batch.column("input_ids"),
            "id": batch.column("id"),
            "doc_row": pa.array(rows + before, pa.int32()),
            "language": _optional(batch, "language", pa.scalar(None, pa.string())),
            "quality": _optional(batch, "quality", pa.scalar(float("nan"), pa.float32())),
        }
        first = self.made + np.arange(batch.num_rows, dtype=np.int32)
        return Packed(self._samples(batch.num_rows, own), rows, first)

    def _concatenate(
        self, batch: pa.RecordBatch, lengths: np.ndarray, rows: np.ndarray, before: int, size: int
    ) -> Packed:
        carried = len(self.pieces.lengths)
        pieces = Pieces(
            np.concatenate([self.pieces.ids, _id_bytes(batch.column("id"))]),
            np.concatenate([self.pieces.rows, rows + before]),
            np.concatenate([self.pieces.starts, np.zeros(len(lengths), np.int64)]),
            np.concatenate([self.pieces.lengths, lengths]),
        )
        tokens = np.concatenate([self.rest, np.asarray(batch.column("input_ids").flatten())])
        begins = np.cumsum(pieces.lengths) - pieces.lengths
        full = len(tokens) // size
        cuts = np.union1d(begins[pieces.lengths > 0], np.arange(0, len(tokens), size))
        of_piece = np.searchsorted(begins, cuts, side="right") - 1
        cut = Pieces(
            pieces.ids[of_piece],
            pieces.rows[of_piece],
            pieces.starts[of_piece] + cuts - begins[of_piece],
            np.diff(np.append(cuts, len(tokens))),
        )
        bounds = np.searchsorted(cuts, np.arange(full + 1) * size)
        first = self.made + begins[carried:] // size
        self.cut_documents += int((begins[carried:] // size != (begins[carried:] + lengths - 1) // size).sum())
        completed_by = rows[of_piece[bounds[1:] - 1] - carried]
        own = _sample_columns(tokens[: full * size], cut, bounds, size)
        self.rest = tokens[full * size :].copy()
        done = bounds[-1]
        rest = (cut.ids[done:], cut.rows[done:], cut.starts[done:], cut.lengths[done:])
        self.pieces = Pieces(*(column.copy() for column in rest))
        return Packed(self._samples(full, own), completed_by, first)

    def finish(self) -> Packed | None:
        """Returns the last sample, filled with its last token, which is EOS; None where nothing is left."""
        if self.seq_len is None or not len(self.rest):
            return None
        self.padding = self.seq_len - len(self.rest)
        tokens = np.append(self.rest, np.full(self.padding, self.rest[-1], np.int32))
        own = _sample_columns(tokens, self.pieces, np.array([0, len(self.pieces.lengths)]), self.seq_len)
        lengths = np.append(self.pieces.lengths, self.padding)
        own["seq_lengths"] = _lists(np.array([0, len(lengths)]), pa.array(lengths, pa.int32()))
        own["padding"] = pa.array([self.padding], pa.int32())
        none = np.zeros(0, np.int64)
        return Packed(self._samples(1, own), none, none)

    def counts(self) -> dict[str, object]:
        """Returns the row of COUNTS. Raises StageError where tokens were lost or made."""
        if self.seq_len is not None and self.made * self.seq_len != self.tokens + self.padding:
            raise StageError(
                f"mix: block {self.block}, {self.key}: {self.made} samples of {self.seq_len} do not hold "
                f"{self.tokens} tokens and {self.padding} of padding"
            )
        values = (*self.key, self.block, self.made, self.tokens, self.padding, self.documents, self.cut_documents)
        return dict(zip(COUNTS.names, values, strict=True))

    def _samples(self, count: int, own: dict[str, pa.Array]) -> pa.RecordBatch:
        _, group, source = self.key
        columns = {
            "group": pa.repeat(group, count),
            "source": pa.repeat(source, count),
            "block": pa.repeat(pa.scalar(self.block, pa.int32()), count),
            "index": pa.array(np.arange(self.made, self.made + count), pa.int32()),
            **own,
        }
        self.made += count
        schema = samples(self.seq_len)
        return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _sample_columns(tokens: np.ndarray, pieces: Pieces, bounds: np.ndarray, size: int) -> dict[str, pa.Array]:
    """Returns the columns of whole samples; sample n holds the pieces bounds[n] up to bounds[n + 1]."""
    end = bounds[-1]
    ids = np.ascontiguousarray(pieces.ids[:end])
    return {
        "input_ids": pa.FixedSizeListArray.from_arrays(pa.array(tokens, pa.int32()), size),
        "seq_lengths": _lists(bounds, pa.array(pieces.lengths[:end], pa.int32())),
        "ids": _lists(bounds, pa.FixedSizeBinaryArray.from_buffers(ID, len(ids), [None, pa.py_buffer(ids)])),
        "doc_starts": _lists(bounds, pa.array(pieces.starts[:end], pa.int32())),
        "doc_rows": _lists(bounds, pa.array(pieces.rows[:end], pa.int32())),
        "padding": pa.array(np.zeros(len(bounds) - 1, np.int32)),
    }


def _lists(bounds: np.ndarray, values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), values)


def _lengths(batch: pa.RecordBatch) -> pa.Array:
    return pc.list_value_length(batch.column("input_ids"))


def _id_bytes(ids: pa.Array) -> np.ndarray:
    raw = np.frombuffer(ids.buffers()[1], np.uint8).reshape(-1, 16)
    return raw[ids.offset : ids.offset + len(ids)]


def _optional(batch: pa.RecordBatch, name: str, missing: pa.Scalar) -> pa.Array:
    if name in batch.schema.names:
        return batch.column(name).cast(missing.type)
    return pa.repeat(missing, batch.num_rows)


def _indexed(batch: pa.RecordBatch, keys: list[Key], block: int, first: np.ndarray) -> pa.RecordBatch:
    schema = index_columns(batch.schema)
    places = {
        "validation": pa.array([key[0] for key in keys], pa.bool_()),
        "group": pa.array([key[1] for key in keys], pa.string()),
        "block": pa.repeat(pa.scalar(block, pa.int32()), batch.num_rows),
        "index": pa.array(first, pa.int32()),
    }
    columns = [places[name] if name in places else batch.column(name) for name in schema.names]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
