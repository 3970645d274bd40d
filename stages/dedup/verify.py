"""Verification: a document leaves only if it is truly alike to one that stays.

Documents meet by chance as well as by likeness, and chains of likeness join what is unlike. So the members of a
component are gone through in the order of survivors, and one leaves only where its similarity with a document that
stayed before it reaches the threshold: the first such one is its survivor. `stages.dedup.judge` finds it;
`stages.dedup.plain_judge` says the same in ten lines.

Exact copies leave without their sets. Those of one shard travel as one row with one text.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ID, Resource, Work
from datapipe.dataset import Batches
from stages.dedup.clusters import EXACT, MINHASH, VERDICTS, Sorted
from stages.dedup.fold import FoldTable, load
from stages.dedup.judge import (
    ALONE,
    EQUAL,
    LEAVES,
    WAITS,
    Rows,
    Verdicts,
    judge,
    sources_of,
)
from stages.dedup.keys import SHARD_BITS, capped, hash_column
from stages.dedup.prefixes import (
    COMPARED,
    DUE,
    FIRST,
    KEPT,
    OPEN,
    REFUSED,
    REMAINED,
    WAITING,
    Bar,
    Kept,
    bar,
    build,
    larger,
    room,
    with_rows,
)
from stages.dedup.shingles import Sets, shingle_sets
from stages.dedup.signature import Hashes

MEMORY_BYTES: Final = 256 << 20  # of the members of a component that stay, and their index
WINDOW: Final = 1 << 18  # members of a shard among which exact copies are put together
BINS: Final = 101
SIMILARITIES: Final = pa.schema(
    [
        pa.field("similarity", pa.float32()),  # of documents that left to their survivors, rounded down to 1/100
        pa.field("documents", pa.int64()),
    ]
)
_COPY: Final = (pa.field("gid", pa.int64()), pa.field("id", ID))
COPIES: Final = pa.list_(pa.struct(list(_COPY)))
WAITING_ROWS: Final = pa.schema(
    [
        pa.field("gid", pa.int64()),
        pa.field("id", ID),
        pa.field("exact", pa.binary(16)),
        pa.field("size", pa.int64()),
        pa.field("copies", COPIES),
        pa.field("shingles", pa.list_(pa.uint64())),
    ]
)

Numbers = npt.NDArray[np.int64]
Item = TypeVar("Item", bound=np.generic)


def with_text(schema: pa.Schema) -> pa.Schema:
    """Returns the schema of `texts` for that of members."""
    return schema.append(pa.field("copies", COPIES)).append(pa.field("text", pa.string()))


def texts(batches: Batches, work: Work, *, members: pa.Schema) -> Batches:
    """Yields the members of a shard, which lie beside sorted by gid, with the texts of their documents.

    Of exact copies in one component the first in the order of survivors stands for all: the others are its `copies`,
    and its `size` is theirs too.
    """
    schema = with_text(members)
    found = Sorted(_put_together(work.beside(), members), schema.remove(len(schema) - 1))
    gid = work.number << SHARD_BITS
    for batch in batches:
        rows = found.below(gid + batch.num_rows).combine_chunks()
        text = batch.column("text").take(pa.array(np.asarray(rows.column("gid")) - gid))
        yield pa.record_batch([*(_chunk(rows.column(name)) for name in rows.column_names), text], schema=schema)
        gid += batch.num_rows


def _put_together(batches: Batches, members: pa.Schema) -> Batches:
    """Yields members with their `copies`; those are looked for among WINDOW members."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held += [batch] if batch.num_rows else []
        while sum(item.num_rows for item in held) >= WINDOW:
            rows = pa.Table.from_batches(held, schema=members)
            yield _with_copies(rows.slice(0, WINDOW), members)
            held = rows.slice(WINDOW).to_batches()
    if held:
        yield _with_copies(pa.Table.from_batches(held, schema=members), members)


def _with_copies(rows: pa.Table, members: pa.Schema) -> pa.RecordBatch:
    """Returns the first of each group of exact copies, in the order of the rows."""
    keys = [(name, "ascending") for name in ("root", "exact", "priority", "id")]
    order = np.asarray(pc.sort_indices(rows, sort_keys=keys)).astype(np.int64)
    roots, exacts = np.asarray(rows.column("root"))[order], words_of(_chunk(rows.column("exact")))[order]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (roots[1:] != roots[:-1]) | (exacts[1:] != exacts[:-1]).any(axis=1)
    leaders = np.empty(len(order), np.int64)  # of each row the one that stands for it
    leaders[order] = order[begins][np.cumsum(begins) - 1]
    stays = leaders == np.arange(len(order))
    firsts, others = np.flatnonzero(stays), np.flatnonzero(~stays)
    others = others[np.argsort(leaders[others], kind="stable")]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(leaders)[firsts] - 1)]).astype(np.int32)
    known = [_chunk(rows.column(name).take(pa.array(others))) for name in ("gid", "id")]
    copies = pa.ListArray.from_arrays(pa.array(offsets), pa.StructArray.from_arrays(known, fields=list(_COPY)))
    sizes = np.bincount(leaders, weights=np.asarray(rows.column("size")))[firsts].astype(np.int64)
    found = rows.take(pa.array(firsts))
    columns = {name: _chunk(found.column(name)) for name in members.names}
    return pa.record_batch({**columns, "size": pa.array(capped(sizes)), "copies": copies})


def _chunk(column: pa.ChunkedArray) -> pa.Array:
    """Returns a column as one array."""
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def words_of(column: pa.Array) -> Hashes:
    """Returns hashes of 128 bits as uint64[rows, 2]."""
    if len(column) == 0:
        return np.empty((0, 2), np.uint64)
    words = np.frombuffer(column.buffers()[1], "<u8")[2 * column.offset : 2 * (column.offset + len(column))]
    return words.reshape(-1, 2)


@dataclass(frozen=True, kw_only=True)
class Verify:
    """Yields the verdict of each member, and puts out `similarities`.

    Rows come sorted by (root, priority, id), as `texts` yields them.
    """

    fold: Resource
    shingle: int
    threshold: float
    measure: str = "jaccard"

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields verdicts."""
        limit = bar(self.threshold, self.measure)
        judging = Judging(load(self.fold), self.shingle, limit, work, memory_bytes=MEMORY_BYTES)
        for batch in batches:
            yield from judging.add(batch)
        yield from judging.finish()


class Judging:
    """The members of one shard, component after component."""

    def __init__(self, fold: FoldTable, width: int, limit: Bar, work: Work, *, memory_bytes: int) -> None:
        self.fold, self.width, self.limit, self.work = fold, width, limit, work
        self.kept = room(memory_bytes, limit)
        self.waiting: Waiting | None = None
        self.bins = np.zeros(BINS, np.int64)

    def add(self, batch: pa.RecordBatch) -> Batches:
        """Yields the verdicts that a batch of members decides."""
        if batch.num_rows == 0:
            return
        roots, exacts = _frozen(batch.column("root").to_numpy()), _frozen(words_of(batch.column("exact")))
        sources = sources_of(self.kept, roots, exacts)
        is_alone = sources == ALONE
        text, copies = batch.column("text"), batch.column("copies")
        self.work.count("verified", batch.num_rows + len(copies.flatten()))
        self.work.count("verified_bytes", pc.sum(pc.binary_length(text)).as_py() or 0)
        sets = shingle_sets(text.filter(pa.array(is_alone)), self.fold, width=self.width)
        yield from self._judged(
            Rows(
                roots=roots,
                gids=_frozen(batch.column("gid").to_numpy()),
                ids=_frozen(words_of(batch.column("id"))),
                exacts=exacts,
                sizes=_frozen(batch.column("size").to_numpy().astype(np.int64)),
                sources=sources,
                places=_places(sources, np.cumsum(is_alone) - 1),
                sets=Sets(_frozen(sets.hashes), _frozen(sets.offsets)),
            ),
            copies,
        )

    def finish(self) -> Batches:
        """Yields the verdicts that are left."""
        yield from self._settle()
        found = np.flatnonzero(self.bins)
        bins = [pa.array((found / 100).astype(np.float32)), pa.array(self.bins[found])]
        self.work.put("similarities", pa.record_batch(bins, schema=SIMILARITIES))
        for name, place in (("compared", COMPARED), ("refused", REFUSED), ("refused_documents", REMAINED)):
            self.work.count(name, self.kept.state[place])

    def _judged(self, rows: Rows, copies: pa.ListArray) -> Batches:
        amount, state = len(rows.roots), self.kept.state
        verdicts = Verdicts(np.full(amount, WAITS, np.int8), *(np.full(amount, EQUAL, np.int64) for _ in range(3)))
        start = 0
        while start < amount:
            self.kept = with_rows(self.kept, amount - start)
            reached = judge(self.kept, self.limit, rows, verdicts, start)
            yield self._gone(rows, copies, verdicts, np.arange(start, reached))
            self._set_aside(rows, copies, np.flatnonzero(verdicts.outcomes[start:reached] == WAITS) + start)
            if state[DUE]:
                build(self.kept, self.limit)
            elif reached < amount and state[WAITING]:
                yield from self._settle()
            elif reached < amount:
                place = rows.places[reached]
                self.kept = larger(self.kept, int(rows.sets.offsets[place + 1] - rows.sets.offsets[place]))
            start = reached
        yield self._taken(int(state[FIRST]))

    def _gone(self, rows: Rows, copies: pa.ListArray, verdicts: Verdicts, judged: Numbers) -> pa.RecordBatch:
        """Returns the verdicts of judged rows that leave, and of the copies of all that do not wait."""
        outcomes = verdicts.outcomes[judged]
        leaves, settled = judged[outcomes == LEAVES], judged[outcomes != WAITS]
        theirs = copies.take(pa.array(settled))
        others = theirs.flatten()
        of = np.concatenate([leaves, np.repeat(settled, theirs.value_lengths().to_numpy())])
        gids = np.concatenate([rows.gids[leaves], others.field("gid").to_numpy()])
        ids = np.concatenate([rows.ids[leaves], words_of(others.field("id"))])
        is_exact, either = verdicts.shared[of] == EQUAL, np.maximum(verdicts.of[of], 1)
        shared = np.where(is_exact, either, verdicts.shared[of])
        self.bins += np.bincount(100 * shared // either, minlength=BINS)
        columns = {
            "shard": pa.array((gids >> SHARD_BITS).astype(np.int32)),
            "gid": pa.array(gids),
            "id": hash_column(ids),
            "survivor": hash_column(self.kept.ids[verdicts.survivors[of]]),
            "cluster_size": pa.nulls(len(of), pa.int32()),
            "rule": pa.array(np.where(is_exact, EXACT, MINHASH).astype(np.int8)),
            "similarity": pa.array((shared / either).astype(np.float32)),
        }
        return pa.record_batch(list(columns.values()), schema=VERDICTS)

    def _taken(self, amount: int) -> pa.RecordBatch:
        """Returns the verdicts of the first so many that stay, and forgets them: their components have ended."""
        kept, gids = self.kept, self.kept.gids[:amount]
        columns = {
            "shard": pa.array((gids >> SHARD_BITS).astype(np.int32)),
            "gid": pa.array(gids.copy()),
            "id": hash_column(kept.ids[:amount]),
            "survivor": pa.nulls(amount, ID),
            "cluster_size": pa.array(capped(kept.sizes[:amount])),
            "rule": pa.nulls(amount, pa.int8()),
            "similarity": pa.nulls(amount, pa.float32()),
        }
        left = int(kept.state[KEPT]) - amount
        for column in (kept.gids, kept.ids, kept.exacts, kept.sizes):
            column[:left] = column[amount : amount + left].copy()
        kept.state[[FIRST, KEPT]] -= amount
        return pa.record_batch(list(columns.values()), schema=VERDICTS)

    def _set_aside(self, rows: Rows, copies: pa.ListArray, which: Numbers) -> None:
        """Writes rows for which there was no room to a scratch file, their sets with them."""
        if len(which) == 0:
            return
        if self.waiting is None:
            self.waiting = Waiting(self.work.scratch)
        self.waiting.write(rows, copies, which)
        self.work.count("waited", len(which))

    def _settle(self) -> Batches:
        """Yields the verdicts of the open component: those who wait are judged against the next ones that stay."""
        state = self.kept.state
        while self.waiting is not None:
            yield self._closed()
            waiting, self.waiting, state[WAITING] = self.waiting, None, 0
            for rows, copies in waiting.read(self.kept):
                yield from self._judged(rows, copies)
            state[REMAINED] += 1  # the first of the pass, whom those before it refused
        yield self._closed()

    def _closed(self) -> pa.RecordBatch:
        self.kept.state[OPEN] = 0
        return self._taken(int(self.kept.state[KEPT]))


class Waiting:
    """Members that wait for the next pass over their component, in order, in a scratch file that has no name."""

    def __init__(self, folder: str | None) -> None:
        self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed when it is read
        self.writer = pa.ipc.new_stream(self.file, WAITING_ROWS, options=pa.ipc.IpcWriteOptions(use_threads=False))

    def write(self, rows: Rows, copies: pa.ListArray, which: Numbers) -> None:
        """Appends some of the rows."""
        places = rows.places[which]
        first, last = rows.sets.offsets[places], rows.sets.offsets[places + 1]
        offsets = np.concatenate([[0], np.cumsum(last - first)])
        hashes = np.concatenate([rows.sets.hashes[start:end] for start, end in zip(first, last, strict=True)])
        columns = [
            pa.array(rows.gids[which]),
            hash_column(rows.ids[which]),
            hash_column(rows.exacts[which]),
            pa.array(rows.sizes[which]),
            copies.take(pa.array(which)),
            pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(hashes)),
        ]
        self.writer.write_batch(pa.record_batch(columns, schema=WAITING_ROWS))

    def read(self, kept: Kept) -> Iterator[tuple[Rows, pa.ListArray]]:
        """Yields the rows with their copies, once."""
        self.writer.close()
        self.file.seek(0)
        with self.file, pa.ipc.open_stream(self.file, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
            for batch in reader:
                shingles, exacts = batch.column("shingles"), _frozen(words_of(batch.column("exact")))
                roots = _frozen(np.zeros(batch.num_rows, np.int64))
                sources = sources_of(kept, roots, exacts)
                rows = Rows(
                    roots=roots,
                    gids=_frozen(batch.column("gid").to_numpy()),
                    ids=_frozen(words_of(batch.column("id"))),
                    exacts=exacts,
                    sizes=_frozen(batch.column("size").to_numpy()),
                    sources=sources,
                    places=_places(sources, np.arange(batch.num_rows)),
                    sets=Sets(
                        _frozen(shingles.values.to_numpy()), _frozen(shingles.offsets.to_numpy().astype(np.int64))
                    ),
                )
                yield rows, batch.column("copies")


def _places(sources: Numbers, places: Numbers) -> Numbers:
    """Returns which set is that of each row: an exact copy of an earlier row has the set of that one."""
    return np.where(sources >= 0, places[np.maximum(sources, 0)], places)


def _frozen(array: npt.NDArray[Item]) -> npt.NDArray[Item]:
    """Returns an array read-only, as Arrow's are: kernels are compiled for one kind."""
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array
