"""The passes over the text: anchors of all documents, then passages of those whose anchors have a twin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import Resource, StageError, Work
from datapipe.dataset import Batches
from stages.buffers import utf8
from stages.dedup.clusters import Sorted
from stages.dedup.fold import FoldTable, load
from stages.dedup.keys import SHARD_BITS
from stages.dedup.signature import Bytes, Hashes
from stages.dedup.survivor import LENGTH, Preference, priorities
from stages.repeats.anchors import anchors
from stages.repeats.groups import ANCHORS, TWINS, compared_schema
from stages.repeats.reading import passage_keys, pieces

FORMAT = "format"
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Passages:
    """How long a passage is (tokens), and which documents have none: those of a format in `exempt`."""

    tokens: int
    exempt: tuple[str, ...]

    @property
    def spread(self) -> int:
        """Returns among how many n-grams an anchor is chosen."""
        return self.tokens // 2

    @property
    def width(self) -> int:
        """Returns of how many tokens an n-gram is."""
        return self.tokens - self.spread + 1

    def texts(self, batch: pa.RecordBatch) -> pa.Array:
        """Returns the texts, null for documents that do not take part."""
        if not self.exempt:
            return batch.column("text")
        is_exempt = pc.is_in(batch.column(FORMAT), pa.array(self.exempt, batch.schema.field(FORMAT).type))
        return pc.if_else(is_exempt, pa.scalar(None, pa.string()), batch.column("text").cast(pa.string()))


@dataclass(frozen=True)
class Mark:
    """Passes documents through and puts out `anchors`."""

    fold: Resource
    passages: Passages

    def __call__(self, batches: Batches, work: Work) -> Batches:
        fold, gid = load(self.fold), work.number << SHARD_BITS
        for batch in batches:
            found = anchors(self.passages.texts(batch), fold, width=self.passages.width, spread=self.passages.spread)
            columns = (
                found.gram,
                found.span,
                found.document + gid,
                found.start.astype(np.int32),
                found.passages.astype(np.int16),
            )
            work.put("anchors", pa.record_batch([pa.array(column) for column in columns], schema=ANCHORS))
            work.count("tokens", int(found.tokens.sum()))
            work.count("anchors", len(found.gram))
            gid += batch.num_rows
            yield batch


@dataclass(frozen=True)
class Compare:
    """From documents, and the twins among their anchors beside them, to the passages that are compared."""

    fold: Resource
    passages: Passages
    order: tuple[Preference, ...]

    def __call__(self, batches: Batches, work: Work) -> Batches:
        fold, gid = load(self.fold), work.number << SHARD_BITS
        twins = Sorted(work.beside(), TWINS)
        for batch in batches:
            found = twins.below(gid + batch.num_rows).combine_chunks().to_batches()
            for rows in found:
                work.count("twins", rows.num_rows)
                yield from self._compared(batch, rows, gid, fold)
            gid += batch.num_rows
        ensure_none(twins, work)

    def _compared(self, batch: pa.RecordBatch, twins: pa.RecordBatch, gid: int, fold: FoldTable) -> Batches:
        mixed = twins.column("mixed").to_numpy(zero_copy_only=False)
        rows = twins.column("gid").to_numpy() - gid
        documents, places = np.unique(rows, return_inverse=True)
        known = self._known(batch.take(pa.array(documents)))
        whole = np.flatnonzero(~mixed)
        yield self._rows(known, places[whole], twins.take(pa.array(whole)), twins.column("span").take(pa.array(whole)))
        begins = np.searchsorted(rows, documents)
        for place, first, last in zip(range(len(documents)), begins, [*begins[1:], len(rows)], strict=True):
            part = twins.slice(first, last - first).filter(pa.array(mixed[first:last]))
            if part.num_rows:
                data = bytes_of(batch.column("text"), int(documents[place]))
                for keys, parts in _one_by_one(data, part, fold, self.passages.tokens):
                    yield self._rows(known, np.full(len(keys), place), parts, pa.array(keys))

    def _known(self, batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
        """Returns what documents are ordered by: priorities and ids."""
        length = pc.utf8_length(batch.column("text")).fill_null(0)
        columns = [name for name in dict.fromkeys(item.column for item in self.order) if name != LENGTH]
        facts = pa.record_batch(
            [batch.column("text_digest"), length, *(batch.column(name) for name in columns)],
            names=["text_digest", LENGTH, *columns],
        )
        return priorities(facts, self.order), batch.column("id")

    def _rows(
        self, known: tuple[pa.Array, pa.Array], places: Rows, twins: pa.RecordBatch, keys: pa.Array
    ) -> pa.RecordBatch:
        priority, ids = (column.take(pa.array(places)) for column in known)
        rest = (twins.column(name) for name in ("start", "passages", "gid"))
        columns = [keys, twins.column("gram"), priority, ids, *rest]
        return pa.record_batch(columns, schema=compared_schema(self.order))


def _one_by_one(
    data: Bytes, twins: pa.RecordBatch, fold: FoldTable, length: int
) -> Iterator[tuple[Hashes, pa.RecordBatch]]:
    """Yields the keys of all passages of the twins of a document, and a row of TWINS for each."""
    starts = twins.column("start").to_numpy().astype(np.int64)
    ends = starts + twins.column("passages").to_numpy()
    for piece in pieces(data, fold, overlap=length - 1):
        keys = passage_keys(piece, length)
        first, last = piece.first, piece.first + len(keys)
        rows = np.arange(np.searchsorted(ends, first, side="right"), np.searchsorted(starts, last))
        begins = np.maximum(starts[rows], first)
        amounts = np.minimum(ends[rows], last) - begins
        steps = np.arange(amounts.sum()) - np.repeat(np.cumsum(amounts) - amounts, amounts)
        places = np.repeat(begins, amounts) + steps
        single = twins.take(pa.array(np.repeat(rows, amounts)))
        for name, values in (("start", places.astype(np.int32)), ("passages", np.ones(len(places), np.int16))):
            place = TWINS.get_field_index(name)
            single = single.set_column(place, TWINS.field(place), pa.array(values))
        yield keys[places - first], single


def bytes_of(texts: pa.Array, row: int) -> Bytes:
    """Returns the UTF-8 of a text of a column, uint8[bytes]."""
    data, offsets = utf8(texts.slice(row, 1))
    return data[offsets[0] : offsets[1]]


def ensure_none(rest: Sorted, work: Work) -> None:
    """Raises StageError where rows are left: they are about documents that the shard does not hold."""
    left = rest.below(2**63 - 1).num_rows
    if left:
        raise StageError(f"dedup_repeats: shard {work.number} was given {left} rows about documents it does not hold")
