"""Documents to samples, once for all weights: within a shard of documents, a (group, source) and a split.

A sample never holds two groups or two sources. Joined or best-fit (`layout`), it has `seq_len` tokens, what lacks being
filled with EOS as a sequence of its own; by document, it is a document. Best-fit is done within windows of the shard,
so what is held in memory has a bound; the sample of each stream that is begun last goes on from one to the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ID, StageError, Work
from stages.mix.columns import COUNTS, SIZES, samples
from stages.mix.groups import Groups, label
from stages.mix.layout import Counters, Layout, fitted, gather, joined, numbered
from stages.mix.split import Split

WINDOW_TOKENS = 1 << 24  # tokens that are best-fit together, and held for it: 64 MiB; at least 16 samples
DOCUMENT_TOKENS = 64  # tokens that a document counts for besides, as its URL and signals are held too
BATCH_TOKENS = 1 << 21  # samples are handed on in batches of about so many

_SUMMED = ("samples", "tokens", "padding", "documents", "cut_documents")
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
    order) and, by document, `sizes`. Where columns are cut into a number of buckets, `whole` ends with their edges.
    """

    groups: Groups
    seq_len: int | None
    split: Split | None
    best_fit: bool = False

    @property
    def holds_bytes(self) -> int:
        """How much a window holds besides what every task does."""
        return 4 * window_tokens(self.seq_len) if self.best_fit and self.seq_len else 0

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        streams = Streams(work.number)
        packer = Packer(streams, self.seq_len, best_fit=self.best_fit) if self.seq_len else None
        before = 0
        for batch in batches:
            if batch.num_rows:
                of_row = streams.of(*self.keys(batch, work))
                made = packer.add(batch, of_row) if packer else by_document(batch, of_row, before, streams)
                yield from self._hand_on(made, work)
                before += batch.num_rows
        if packer:
            yield from self._hand_on(packer.finish(), work)
        work.put("counts", streams.counts(self.seq_len))

    def _hand_on(self, made: Iterator[Made], work: Work) -> Iterator[pa.RecordBatch]:
        for output, batch in made:
            if output:
                work.put(output, batch)
                continue
            if self.seq_len is None:
                sizes = [*(batch.column(name) for name in SIZES.names[:-1]), _lengths(batch).cast(pa.int32())]
                work.put("sizes", pa.RecordBatch.from_arrays(sizes, schema=SIZES))
            yield batch

    def keys(self, batch: pa.RecordBatch, work: Work) -> tuple[np.ndarray, list[Key]]:
        """Returns the key of each row as an index into the keys, int64[rows], and these."""
        edges = self.groups.edges(work.whole[-1] if self.groups.counted else None)
        groups, sources = self.groups.of(batch, edges), label(batch.column("source"))
        held_out = self.split.held_out(batch, work) if self.split else np.zeros(batch.num_rows, bool)
        group_codes, source_codes = np.asarray(groups.indices), np.asarray(sources.indices)
        joint = (group_codes.astype(np.int64) * len(sources.dictionary) + source_codes) * 2 + held_out
        distinct, codes = np.unique(joint, return_inverse=True)
        names, places = groups.dictionary.to_pylist(), sources.dictionary.to_pylist()
        keys = [(bool(c % 2), names[c // 2 // len(places)], places[c // 2 % len(places)]) for c in distinct.tolist()]
        return codes.astype(np.int64), keys


class Made(NamedTuple):
    """Rows that were packed, and the output that they are for; "" is the training samples."""

    output: str
    batch: pa.RecordBatch


class Streams:
    """The streams of a shard, numbered as they are met, and what went into each."""

    def __init__(self, block: int) -> None:
        self.block = block
        self.keys: list[Key] = []
        self.numbers: dict[Key, int] = {}
        self.counters = Counters()
        self.sums = np.zeros((len(_SUMMED), 0), np.int64)

    def of(self, codes: np.ndarray, keys: list[Key]) -> np.ndarray:
        """Returns the stream of each row, int64[rows]; `codes` are indices into `keys`."""
        numbers = np.array([self.numbers.setdefault(key, len(self.numbers)) for key in keys], np.int64)
        self.keys = list(self.numbers)
        more = len(self.keys) - self.sums.shape[1]
        if more:
            self.sums = np.concatenate([self.sums, np.zeros((len(_SUMMED), more), np.int64)], axis=1)
            self.counters.grow(len(self.keys))
        of_row: np.ndarray = numbers[codes]
        return of_row

    @property
    def held_out(self) -> np.ndarray:
        """Which streams are held out, bool[streams]."""
        return np.array([key[0] for key in self.keys], bool)

    def names(self, part: int, of_row: np.ndarray) -> pa.Array:
        """Returns the group (part 1) or source (2) of rows of these streams."""
        names = [key[part] for key in self.keys]
        if len(names) == 1 or not len(of_row):
            return pa.repeat(pa.scalar(names[0] if names else "", pa.string()), len(of_row))
        return pa.array(names, pa.string()).take(pa.array(of_row))

    def add(self, name: str, of_row: np.ndarray, amounts: np.ndarray | None = None) -> None:
        """Adds `amounts` (one each, where None) to a sum of COUNTS."""
        self.sums[_SUMMED.index(name)] += np.bincount(of_row, amounts, len(self.keys)).astype(np.int64)

    def counts(self, seq_len: int | None) -> pa.RecordBatch:
        """Returns a row of COUNTS for each stream. Raises StageError where tokens were lost or made."""
        rows = []
        for key in sorted(self.keys):
            made, tokens, padding, documents, cut = self.sums[:, self.numbers[key]].tolist()
            if seq_len is not None and made * seq_len != tokens + padding:
                raise StageError(
                    f"mix: block {self.block}, {key}: {made} samples of {seq_len} do not hold {tokens} tokens and "
                    f"{padding} of padding"
                )
            rows.append((*key, self.block, made, tokens, padding, documents, cut))
        return pa.RecordBatch.from_pylist([dict(zip(COUNTS.names, row, strict=True)) for row in rows], schema=COUNTS)

    def index(self, documents: pa.RecordBatch, of_row: np.ndarray, first: np.ndarray) -> pa.RecordBatch:
        """Returns the rows of the documents' output; `first` is the number of the sample that each begins in."""
        schema = index_columns(documents.schema)
        places = {
            "validation": pa.array(self.held_out[of_row]),
            "group": self.names(1, of_row),
            "block": pa.repeat(pa.scalar(self.block, pa.int32()), len(of_row)),
            "index": pa.array(first.astype(np.int32)),
        }
        columns = [places[name] if name in places else documents.column(name) for name in schema.names]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def samples(
        self, seq_len: int | None, of_row: np.ndarray, numbers: np.ndarray, own: dict[str, pa.Array]
    ) -> pa.RecordBatch:
        """Returns samples of these streams and numbers; `own` are the columns that differ by packing."""
        self.add("samples", of_row)
        columns = {
            "group": self.names(1, of_row),
            "source": self.names(2, of_row),
            "block": pa.repeat(pa.scalar(self.block, pa.int32()), len(of_row)),
            "index": pa.array(numbers.astype(np.int32)),
            **own,
        }
        schema = samples(seq_len)
        return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def by_document(batch: pa.RecordBatch, of_row: np.ndarray, before: int, streams: Streams) -> Iterator[Made]:
    """Yields each document as a sample; `before` is the row of the first in the shard."""
    numbers = numbered(of_row, streams.counters.next)
    streams.add("tokens", of_row, np.asarray(_lengths(batch)))
    streams.add("documents", of_row)
    yield Made("documents", streams.index(batch, of_row, numbers))
    own = {
        "input_ids": batch.column("input_ids"),
        "id": batch.column("id"),
        "doc_row": pa.array(np.arange(before, before + batch.num_rows, dtype=np.int32)),
        "language": _optional(batch, "language", pa.scalar(None, pa.string())),
        "quality": _optional(batch, "quality", pa.scalar(float("nan"), pa.float32())),
    }
    made = streams.samples(None, of_row, numbers, own)
    held_out = streams.held_out[of_row]
    for output, here in (("", ~held_out), ("validation", held_out)):
        if here.any():
            yield Made(output, made if here.all() else made.filter(pa.array(here)))


def window_tokens(size: int) -> int:
    """Returns how much is best-fit together: at least 16 samples of `size` tokens."""
    return max(WINDOW_TOKENS, 16 * size)


def windows(lengths: np.ndarray, weight: int, limit: int) -> Iterator[tuple[int, int, int]]:
    """Yields which documents (start, end) go into each window, and what it weighs then: it is full at `limit` or above.

    `lengths` (tokens) are int64[documents], `weight` is what the first window weighs before.
    """
    weights, start = np.cumsum(lengths + DOCUMENT_TOKENS), 0
    while start < len(lengths):
        done = int(weights[start - 1]) if start else 0
        end = min(len(lengths), int(np.searchsorted(weights, done + limit - weight)) + 1)
        weight += int(weights[end - 1]) - done
        yield start, end, weight
        start, weight = end, 0 if weight >= limit else weight


class Items(NamedTuple):
    """What is laid out, pieces that wait and documents: all int64[items] but ids, uint8[items, 16].

    Stream, row of the document in the shard, first token in the document, number of tokens, and where these lie, as
    `gather` is told.
    """

    streams: np.ndarray
    ids: np.ndarray
    rows: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    sources: np.ndarray


class Packer:
    """Packs the documents of a shard into samples of `size` tokens; it holds the window and what waits.

    Best-fit, the window ends with the document that fills it. Joined, it makes no difference where it ends: it is the
    batch that came, or several where what waits is more, so that this is not copied again for every few documents.
    """

    def __init__(self, streams: Streams, size: int, *, best_fit: bool) -> None:
        self.streams, self.size, self.best_fit = streams, size, best_fit
        self.limit = window_tokens(size)
        self.before = self.weight = self.filled = 0
        self.window: list[tuple[pa.RecordBatch, np.ndarray, np.ndarray]] = []  # documents, streams, tokens of each
        self.room = np.zeros(0, np.int32)  # for the tokens of the window
        self.tokens = np.zeros(0, np.int32)
        self.tokens.flags.writeable = False
        none = np.zeros(0, np.int64)
        self.waiting, self.rest = Items(none, np.zeros((0, 16), np.uint8), *[none] * 4), np.zeros(0, np.int32)

    def add(self, batch: pa.RecordBatch, of_row: np.ndarray) -> Iterator[Made]:
        """Yields what these documents complete."""
        lengths = np.asarray(_lengths(batch)).astype(np.int64)
        tokens = np.asarray(batch.column("input_ids").flatten())
        documents, ends = batch.drop_columns(["input_ids"]), np.cumsum(lengths)
        if not self.best_fit:
            if not self.window and ends[-1] + DOCUMENT_TOKENS * len(ends) >= len(self.rest):
                self.window = [(documents, of_row, lengths)]
                yield from self._pack(tokens)
                return
            self.limit = len(self.rest)
        for start, end, weight in windows(lengths, self.weight, self.limit):
            self.weight = weight
            self._hold(tokens[ends[start] - lengths[start] : ends[end - 1]])
            self.window.append((documents.slice(start, end - start), of_row[start:end], lengths[start:end]))
            if weight >= self.limit:
                yield from self._pack(self.room)

    def finish(self) -> Iterator[Made]:
        """Yields what is left: the samples that wait come last, by key."""
        if self.window:
            yield from self._pack(self.room)
        layout = self._lay_out(self.waiting)
        order = sorted(range(len(layout.streams)), key=lambda place: self.streams.keys[layout.streams[place]])
        yield from self._emit(layout, self.waiting, np.array(order, np.int64))

    def _hold(self, tokens: np.ndarray) -> None:
        end = self.filled + len(tokens)
        if end > len(self.room):
            more = np.empty(max(end, self.limit), np.int32)  # pages are taken as they are written to
            more[: self.filled] = self.room[: self.filled]
            self.room = more
        self.room[self.filled : end] = tokens
        self.filled = end

    def _pack(self, tokens: np.ndarray) -> Iterator[Made]:
        """Yields the documents of the window, whose tokens these are, and the samples that they complete."""
        self.tokens = tokens.view()
        self.tokens.flags.writeable = False  # as those of a batch are: `gather` is compiled for one kind of array
        held, items = len(self.waiting.streams), self._items()
        layout = self._lay_out(items)
        at = held
        for documents, of_row, lengths in self.window:
            end = at + len(of_row)
            self.streams.add("tokens", of_row, lengths)
            self.streams.add("documents", of_row)
            self.streams.add("cut_documents", of_row, layout.parts[at:end] > 1)
            yield Made("documents", self.streams.index(documents, of_row, layout.first[at:end]))
            at = end
        yield from self._emit(layout, items, np.arange(layout.done))
        self._wait(layout, items)
        self.tokens, self.window, self.weight, self.filled = self.tokens[:0], [], 0, 0

    def _items(self) -> Items:
        """Returns what waits and the window's documents."""
        lengths = np.concatenate([lengths for _, _, lengths in self.window])
        new = Items(
            np.concatenate([of_row for _, of_row, _ in self.window]),
            np.concatenate([_id_bytes(documents.column("id")) for documents, _, _ in self.window]),
            np.arange(self.before, self.before + len(lengths)),
            np.zeros(len(lengths), np.int64),
            lengths,
            np.cumsum(lengths) - lengths,
        )
        self.before += len(lengths)
        return Items(*(np.concatenate(both) for both in zip(self.waiting, new, strict=True)))

    def _lay_out(self, items: Items) -> Layout:
        lay_out = fitted if self.best_fit else joined
        return lay_out(items.streams, items.lengths, len(self.waiting.streams), self.size, self.streams.counters)

    def _emit(self, layout: Layout, items: Items, places: np.ndarray) -> Iterator[Made]:
        held_out = self.streams.held_out[layout.streams[places]]
        step = max(1, BATCH_TOKENS // self.size)
        for output, own in (("", places[~held_out]), ("validation", places[held_out])):
            for start in range(0, len(own), step):
                yield Made(output, self._samples(layout, items, own[start : start + step]))

    def _samples(self, layout: Layout, items: Items, places: np.ndarray) -> pa.RecordBatch:
        """Returns the samples at these places of the layout."""
        pieces, counts = _pieces(layout, places)
        held = cut(items, layout, pieces)
        room = pa.allocate_buffer(4 * self.size * len(places))
        out = np.frombuffer(room, np.int32).reshape(len(places), self.size)
        padding = gather(self.tokens, self.rest, held.sources, held.lengths, counts, out)
        self.streams.add("padding", layout.streams[places], padding)
        bounds = np.concatenate([[0], np.cumsum(counts)])
        tokens = pa.Array.from_buffers(pa.int32(), out.size, [None, room])
        own = {
            "input_ids": pa.FixedSizeListArray.from_arrays(tokens, self.size),
            "seq_lengths": _sequences(held.lengths, bounds, padding),
            "ids": _lists(
                bounds, pa.FixedSizeBinaryArray.from_buffers(ID, len(pieces), [None, pa.py_buffer(held.ids)])
            ),
            "doc_starts": _lists(bounds, pa.array(held.starts, pa.int32())),
            "doc_rows": _lists(bounds, pa.array(held.rows, pa.int32())),
            "padding": pa.array(padding, pa.int32()),
        }
        return self.streams.samples(self.size, layout.streams[places], layout.numbers[places], own)

    def _wait(self, layout: Layout, items: Items) -> None:
        """Keeps the samples that are not finished, with their tokens."""
        held = cut(items, layout, np.arange(layout.bounds[layout.done], len(layout.items)))
        rest = np.empty((1, int(held.lengths.sum())), np.int32)
        if rest.size:
            gather(self.tokens, self.rest, held.sources, held.lengths, np.array([len(held.rows)]), rest)
        self.rest = rest[0]
        self.waiting = held._replace(sources=held.lengths - np.cumsum(held.lengths) - 1)


def cut(items: Items, layout: Layout, pieces: np.ndarray) -> Items:
    """Returns pieces of a layout as items."""
    item, starts = layout.items[pieces], layout.starts[pieces]
    sources = items.sources[item]
    return Items(
        items.streams[item],
        items.ids[item],
        items.rows[item],
        items.starts[item] + starts,
        layout.lengths[pieces],
        np.where(sources < 0, sources - starts, sources + starts),
    )


def _pieces(layout: Layout, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns which pieces lie in these samples, one after another, and how many in each."""
    counts = layout.bounds[places + 1] - layout.bounds[places]
    before = np.cumsum(counts) - counts
    return np.repeat(layout.bounds[places] - before, counts) + np.arange(counts.sum()), counts


def _sequences(lengths: np.ndarray, bounds: np.ndarray, padding: np.ndarray) -> pa.ListArray:
    """Returns the lengths of each sample's pieces, and that of its padding where it has any."""
    padded = np.flatnonzero(padding)
    values = np.insert(lengths, bounds[padded + 1], padding[padded])
    return _lists(bounds + np.concatenate([[0], np.cumsum(padding > 0)]), pa.array(values, pa.int32()))


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
