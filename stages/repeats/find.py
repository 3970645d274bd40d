"""The passes over the text: anchors of all documents, then passages of those whose anchors have a twin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import Resource, Work
from datapipe.dataset import Batches
from stages.buffers import utf8
from stages.dedup.clusters import Sorted
from stages.dedup.fold import load
from stages.dedup.keys import SHARD_BITS
from stages.dedup.signature import Hashes
from stages.dedup.survivor import LENGTH, Preference, priorities
from stages.repeats.anchors import anchors
from stages.repeats.groups import ANCHORS, TWINS, compared_schema
from stages.repeats.reading import passage_keys, pieces

FORMAT = "format"
MOST_WAITING: Final = 1 << 16  # passages, until they leave together
Rows = npt.NDArray[np.int64]
Single = tuple[Rows, Hashes, npt.NDArray[np.int32]]  # passages: row of the twin, key, token at which it begins


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
        gid = work.number << SHARD_BITS
        twins = Sorted(work.beside(), TWINS)
        for batch in batches:
            for rows in twins.below(gid + batch.num_rows).combine_chunks().to_batches():
                work.count("twins", rows.num_rows)
                for compared in self._compared(batch, rows, gid):
                    work.count("compared", compared.num_rows)
                    yield compared
            gid += batch.num_rows
        twins.end(work)

    def _compared(self, batch: pa.RecordBatch, twins: pa.RecordBatch, gid: int) -> Batches:
        """Yields rows of `compared_schema`: one a twin, or where those are mixed one a passage."""
        mixed = twins.column("mixed").to_numpy(zero_copy_only=False)
        documents, places = np.unique(twins.column("gid").to_numpy() - gid, return_inverse=True)
        known = self._known(batch.take(pa.array(documents)))
        whole = np.flatnonzero(~mixed)
        starts, passages = (twins.column(name).to_numpy() for name in ("start", "passages"))
        span = twins.column("span").to_numpy()
        yield self._rows(known, places, twins, whole, span[whole], starts[whole], passages[whole])
        waiting: list[Single] = []
        amount = 0
        for one in self._one_by_one(batch, documents, places, np.flatnonzero(mixed), starts, passages):
            waiting.append(one)
            amount += len(one[0])
            if amount > MOST_WAITING:
                yield self._singles(known, places, twins, waiting)
                waiting, amount = [], 0
        if waiting:
            yield self._singles(known, places, twins, waiting)

    def _one_by_one(
        self,
        batch: pa.RecordBatch,
        documents: Rows,
        places: Rows,
        twins: Rows,
        starts: npt.NDArray[np.int32],
        passages: npt.NDArray[np.int16],
    ) -> Iterator[Single]:
        """Yields the passages of `twins`, rows of the arrays, in pieces of documents."""
        fold, length = load(self.fold), self.passages.tokens
        data, offsets = utf8(batch.column("text"))
        edges = np.flatnonzero(np.diff(places[twins])) + 1
        for rows in np.split(twins, edges):
            if len(rows):
                document = documents[places[rows[0]]]
                first = starts[rows].astype(np.int64)
                last = first + passages[rows]
                for piece in pieces(data[offsets[document] : offsets[document + 1]], fold, overlap=length - 1):
                    keys = passage_keys(piece, length)
                    begin, end = piece.first, piece.first + len(keys)
                    here = slice(np.searchsorted(last, begin, side="right"), np.searchsorted(first, end))
                    at = np.maximum(first[here], begin)
                    amounts = np.minimum(last[here], end) - at
                    steps = np.arange(amounts.sum()) - np.repeat(np.cumsum(amounts) - amounts, amounts)
                    found = np.repeat(at, amounts) + steps
                    yield np.repeat(rows[here], amounts), keys[found - begin], found.astype(np.int32)

    def _singles(
        self, known: tuple[pa.Array, pa.Array], places: Rows, twins: pa.RecordBatch, waiting: list[Single]
    ) -> pa.RecordBatch:
        rows, keys, starts = (np.concatenate(column) for column in zip(*waiting, strict=True))
        return self._rows(known, places, twins, rows, keys, starts, np.ones(len(rows), np.int16))

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
        self,
        known: tuple[pa.Array, pa.Array],
        places: Rows,
        twins: pa.RecordBatch,
        rows: Rows,
        keys: Hashes,
        starts: npt.NDArray[np.int32],
        passages: npt.NDArray[np.int16],
    ) -> pa.RecordBatch:
        of = pa.array(places[rows])
        gram, gid = (twins.column(name).take(pa.array(rows)) for name in ("gram", "gid"))
        columns = [pa.array(keys), gram, *(column.take(of) for column in known), pa.array(starts), pa.array(passages)]
        return pa.record_batch([*columns, gid], schema=compared_schema(self.order))
