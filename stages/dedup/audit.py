"""The residual audit: how many of the documents that stay have a copy that stays too, and what share of copies is gone.

    sign -> drawn: the documents of least hash of each shard, with their shingles -> the sample, one for all
    documents beside the verdicts, the sample whole -> who stays and is alike to one of the sample -> the fold that says

A sample drawn by a hash of its own is compared with *all* documents that stay, by shingle sets and not by bands: what
signatures with another seed would find with a chance, this finds for certain, so that the rate is of the corpus and not
of another search. Who has similarity LOW or more with a sampled set of n shingles shares t = ⌈LOW n⌉ of these, so c of
the n - t + c that are rarest in the sample, for any c. Only they are looked for: a bit is asked for each shingle of a
document, a table where it is set, and sets are compared where c were found, a fourth of t but NEED at least.

The share of copies that is gone is estimated twice. From the audit: a sampled document with c copies left stands for
c / (c + 1) that should have gone, as in a clique of them. From the curve: n documents that left with similarity s stand
for n / P(s) if two of that similarity meet with the chance P(s) (Horvitz and Thompson 1952); that is a lower bound, as
a document meets others too.

Source: Chaudhuri, Ganti, Kaushik 2006 (prefix filter); Wilson 1927 (the interval of a rate), with the correction for a
finite population (Cochran 1977, section 2.6).
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from datapipe import ID, Dataset, Output, Work
from datapipe.dataset import Batches
from stages.buffers import utf8
from stages.dedup.clusters import VERDICTS, Sorted
from stages.dedup.curve import Curve
from stages.dedup.fold import FoldTable, load
from stages.dedup.keys import SHARD_BITS, Sign
from stages.dedup.shingles import overlap, shingle_sets
from stages.dedup.signature import (
    PIECE,
    ROOM,
    TOKEN_PRIME,
    TOKEN_SEED,
    Bytes,
    Halves,
    Hashes,
    Offsets,
    Whole,
    keep,
    shingle,
    tokenize,
)

LOW: Final = 0.5  # similarity from which who is alike is told
NEED: Final = 6  # shingles of a sampled document's rarest that one must have at least, before sets are compared
NEED_PART: Final = 4  # of those that a copy has: an index a quarter larger, and half as many documents to compare
MOST_SHINGLES: Final = 1 << 21  # of the sample: 16 MiB
LONGEST: Final = 1 << 17  # shingles; a longer document is not drawn
SAMPLE_CHARACTERS: Final = 160
PUBLISHED: Final = "signals/residual-{number:05}-of-{shards:05}.parquet"
SALT: Final = 0xA0761D6478BD642F  # tells this hash of ids from others
EVERY: Final = np.uint64(2**64 - 1)
Z: Final = 1.959964  # of 95 %
DRAWN: Final = pa.schema(
    [
        pa.field("hash", pa.uint64()),
        pa.field("limit", pa.uint64()),  # below it the shard has all its documents here
        pa.field("gid", pa.int64()),
        pa.field("id", ID),
        pa.field("source", pa.string()),
        pa.field("url", pa.string()),
        pa.field("text", pa.string()),  # its first characters
        pa.field("group", pa.uint64()),  # of the columns `within`
        pa.field("shingles", pa.list_(pa.uint64())),
    ]
)
FOUND: Final = pa.schema(
    [
        pa.field("place", pa.int32()),  # in the sample; -1: of the whole shard
        pa.field("stays", pa.int64()),  # 1 where it says that the sampled document does; documents, of the shard
        pa.field("left", pa.int64()),  # documents of the shard
        pa.field("copies", pa.int64()),  # documents of the shard that stay, from the threshold on
        pa.field("twin", ID),  # the most similar of the shard, from LOW on
        pa.field("similarity", pa.float32()),
        pa.field("source", pa.string()),
        pa.field("url", pa.string()),
        pa.field("text", pa.string()),
    ]
)
RESIDUAL: Final = pa.schema(
    [
        pa.field("id", ID),  # of a sampled document
        pa.field("twin", ID),  # the most similar one that stays
        pa.field("similarity", pa.float32()),
        pa.field("copies", pa.int64()),  # that stay, from the threshold on
        pa.field("source", pa.string()),
        pa.field("twin_source", pa.string()),
        pa.field("url", pa.string()),
        pa.field("twin_url", pa.string()),
        pa.field("text", pa.string()),
        pa.field("twin_text", pa.string()),
    ]
)
SAID: Final = pa.schema([("sampled", pa.int64()), ("residual", pa.int64())])

Numbers = npt.NDArray[np.int64]


# The sample


@dataclass(frozen=True, kw_only=True)
class SignAndDraw:
    """`Sign` that also puts out `drawn`, the shard's part of a sample of `amount` documents."""

    sign: Sign
    amount: int

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields the batches as they came."""
        most, limit = most_of(self.amount, work.number), EVERY
        held = DRAWN.empty_table()
        gid = work.number << SHARD_BITS
        for batch in self.sign(batches, work):
            hashes = hashes_of(batch.column("id"), self.sign.seed)
            rows = np.flatnonzero(hashes < limit)
            if len(rows):
                held = pa.concat_tables([held, self._drawn(batch, rows, hashes[rows], gid)])
                if held.num_rows > 2 * most or _amount(held) > 2 * MOST_SHINGLES:
                    held, limit = least(held, most, limit)
            gid += batch.num_rows
            yield batch
        held, limit = least(held, most, limit)
        place = DRAWN.get_field_index("limit")
        held = held.set_column(place, DRAWN.field(place), pa.array(np.full(held.num_rows, limit)))
        for batch in held.to_batches():
            work.put("drawn", batch)

    def _drawn(self, batch: pa.RecordBatch, rows: Numbers, hashes: Hashes, gid: int) -> pa.Table:
        batch = batch.take(pa.array(rows))
        sets = shingle_sets(batch.column("text"), load(self.sign.fold), width=self.sign.shingle)
        shingles = pa.ListArray.from_arrays(pa.array(sets.offsets, pa.int32()), pa.array(sets.hashes))
        groups = self.sign.groups(batch)
        columns = [
            pa.array(hashes),
            pa.array(np.full(len(rows), EVERY)),
            pa.array(gid + rows),
            batch.column("id"),
            *told(batch),
            pa.array(np.zeros(len(rows), np.uint64) if groups is None else groups),
            shingles,
        ]
        made = pa.Table.from_arrays(columns, schema=DRAWN)
        return made.filter(pa.array(np.diff(sets.offsets) <= LONGEST))


def most_of(amount: int, number: int) -> int:
    """Returns how many documents a shard draws at most: of the least hashes of all, more lie in it by no chance.

    There are number + 1 shards at the least, so it holds about amount / (number + 1) of them or fewer, unless it is
    much larger than others; the limit that it says keeps the sample fair then, and smaller.
    """
    usual = 2 * amount / (number + 1)
    return min(amount, math.ceil(usual + 4 * math.sqrt(usual) + 6))


def hashes_of(ids: pa.FixedSizeBinaryArray, seed: int) -> Hashes:
    """Returns a hash of (seed, id) of each row, uint64[rows]: SplitMix64's finaliser over words that are hashes."""
    words = np.frombuffer(ids.buffers()[1], "<u8")[2 * ids.offset : 2 * (ids.offset + len(ids))].reshape(-1, 2)
    mixed = words[:, 0] ^ words[:, 1] * TOKEN_PRIME ^ np.uint64((SALT + seed) % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    made: Hashes = mixed ^ (mixed >> np.uint64(31))
    return made


def told(batch: pa.RecordBatch) -> list[pa.Array]:
    """Returns source, url and the first characters of the text, by which a person knows a document."""
    missing = pa.nulls(batch.num_rows, pa.string())
    named = [batch.column(name) if name in batch.schema.names else missing for name in ("source", "url")]
    return [*named, pc.utf8_slice_codeunits(batch.column("text"), 0, SAMPLE_CHARACTERS)]


def _amount(table: pa.Table) -> int:
    return int(pc.sum(pc.list_value_length(table.column("shingles"))).as_py() or 0)


def least(table: pa.Table, most: int, limit: np.uint64) -> tuple[pa.Table, np.uint64]:
    """Returns the rows of least hash, at most so many and of MOST_SHINGLES, and the least hash that is left out.

    What is left out and what stays depend on the rows of all calls together, not on how they are cut into calls.
    """
    order = np.lexsort((np.asarray(table.column("gid")), np.asarray(table.column("hash"))))
    table = table.take(pa.array(order))
    hashes = np.asarray(table.column("hash"))
    sizes = np.cumsum(np.asarray(pc.list_value_length(table.column("shingles"))).astype(np.int64))
    kept = int((sizes <= MOST_SHINGLES).sum())
    kept = min(most, kept, int(np.searchsorted(hashes, limit)))
    if kept < len(hashes):
        limit = min(limit, hashes[kept])
    return table.slice(0, kept), limit


@dataclass(frozen=True, kw_only=True)
class Choose:
    """The fold of all that was drawn to the sample: the `amount` of least hash, as far as all shards are complete."""

    amount: int

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields rows of DRAWN, by hash."""
        held, limit = DRAWN.empty_table(), EVERY
        for batch in batches:
            if batch.num_rows:
                limit = min(limit, np.uint64(pc.min(batch.column("limit")).as_py()))
                below = pa.Table.from_batches([batch]).filter(pc.less(batch.column("hash"), pa.scalar(limit)))
                held = pa.concat_tables([held, below])
                if held.num_rows > 2 * self.amount or _amount(held) > 2 * MOST_SHINGLES:
                    held, limit = least(held, self.amount, limit)
        held, _ = least(held, self.amount, limit)
        yield from held.combine_chunks().to_batches()


# The search


class Index(NamedTuple):
    """Where the shingles of a sample are found that one must have some of.

    `bits` has a bit for each; `keys` are the hashes in an open table, those of slot `s` are of the sampled documents
    `documents[starts[s]:ends[s]]`; `need` is how many a document must have of each sampled one.
    """

    bits: Hashes
    keys: Hashes
    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]
    documents: npt.NDArray[np.int32]
    need: npt.NDArray[np.int32]


def index_of(hashes: Hashes, offsets: Offsets, low: float) -> Index:
    """Returns the index of sets (as of `Sets`) for who has at least the Jaccard similarity `low` with one."""
    sizes = np.diff(offsets)
    owners = np.repeat(np.arange(len(sizes)), sizes)
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    rarest = np.lexsort((hashes, counts[inverse], owners))
    shared = np.ceil(low * sizes - 1e-9).astype(np.int64)
    need = np.minimum(np.maximum(NEED, shared // NEED_PART), shared)
    taken = np.arange(len(hashes)) - np.repeat(offsets[:-1], sizes) < np.repeat(sizes - shared + need, sizes)
    chosen = rarest[taken]
    chosen = chosen[np.lexsort((owners[chosen], hashes[chosen]))]
    keys, starts = np.unique(hashes[chosen], return_index=True)
    ends = np.append(starts[1:], len(chosen))
    slots = 1 << max(4, (2 * len(keys)).bit_length())
    table = Index(
        np.zeros(max(1, slots * 8 // 64), np.uint64),
        np.zeros(slots, np.uint64),
        np.zeros(slots, np.int32),
        np.zeros(slots, np.int32),
        owners[chosen].astype(np.int32),
        need.astype(np.int32),
    )
    _fill(keys, starts.astype(np.int32), ends.astype(np.int32), table.bits, table.keys, table.starts, table.ends)
    return table


@njit(cache=True, nogil=True)
def _fill(
    hashes: Hashes,
    first: npt.NDArray[np.int32],
    last: npt.NDArray[np.int32],
    bits: Hashes,
    keys: Hashes,
    starts: npt.NDArray[np.int32],
    ends: npt.NDArray[np.int32],
) -> None:
    """Puts distinct hashes into an empty table; a slot is free while its end is 0."""
    mask = np.uint64(len(keys) - 1)
    top = np.uint64(len(bits) * 64 - 1)
    for number in range(len(hashes)):
        mixed = hashes[number] * TOKEN_PRIME
        bit = (mixed >> np.uint64(20)) & top
        bits[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))
        slot = (mixed >> np.uint64(32)) & mask
        while ends[slot] > 0:
            slot = (slot + np.uint64(1)) & mask
        keys[slot], starts[slot], ends[slot] = hashes[number], first[number], last[number]


@njit(cache=True, nogil=True)
def search(
    data: Bytes,
    places: Offsets,
    table: Halves,
    expansions: Halves,
    width: int,
    index: Index,
    stamps: Numbers,
    seen: Numbers,
    counters: npt.NDArray[np.int32],
    before: int,
) -> tuple[Numbers, Numbers]:
    """Returns the pairs (text, sampled document) of which the text has as many shingles as it needs, in order.

    `stamps` (a slot), `seen` and `counters` (a sampled document) hold the number of the last text that touched them;
    `before` texts were searched with them already.
    """
    tokens = np.empty(width + PIECE + ROOM, np.uint64)
    shingles = np.empty(len(tokens), np.uint64)
    rows, found = np.empty(64, np.int64), np.empty(64, np.int64)
    made = 0
    mask = np.uint64(len(index.keys) - 1)
    top = np.uint64(len(index.bits) * 64 - 1)
    for document in range(len(places) - 1):
        stamp = before + document + 1
        place: Whole = places[document]
        end = places[document + 1]
        word = TOKEN_SEED
        used: Whole = 0
        held: Whole = 0
        while place < end:
            place, word, used, filled = tokenize(data, place, end, table, expansions, word, used, tokens, held)
            for number in range(shingle(tokens[:filled], width, shingles)):
                mixed = shingles[number] * TOKEN_PRIME
                bit = (mixed >> np.uint64(20)) & top
                if not (index.bits[bit >> np.uint64(6)] >> (bit & np.uint64(63))) & np.uint64(1):
                    continue
                slot = (mixed >> np.uint64(32)) & mask
                while index.ends[slot] > 0 and index.keys[slot] != shingles[number]:
                    slot = (slot + np.uint64(1)) & mask
                if index.ends[slot] == 0 or stamps[slot] == stamp:
                    continue
                stamps[slot] = stamp
                for posting in range(index.starts[slot], index.ends[slot]):
                    sampled = index.documents[posting]
                    if seen[sampled] != stamp:
                        seen[sampled], counters[sampled] = stamp, 0
                    counters[sampled] += 1
                    if counters[sampled] == index.need[sampled]:
                        if made == len(rows):
                            rows, found = _doubled(rows), _doubled(found)
                        rows[made], found[made] = document, sampled
                        made += 1
            held = keep(tokens, filled, width)
    return rows[:made].copy(), found[:made].copy()


@njit(cache=True, nogil=True)
def _doubled(numbers: Numbers) -> Numbers:
    made = np.empty(2 * len(numbers), np.int64)
    made[: len(numbers)] = numbers
    return made


class _Sets:
    """Sets that are equal where their content is: what the index of a sample is kept by."""

    def __init__(self, hashes: Hashes, offsets: Offsets) -> None:
        self.hashes, self.offsets = hashes, offsets
        self.digest = hashlib.blake2b(hashes.tobytes() + offsets.tobytes(), digest_size=16).digest()

    def __hash__(self) -> int:
        return int.from_bytes(self.digest[:8], "little")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Sets) and self.digest == other.digest


@functools.lru_cache(maxsize=1)
def _index_of(sets: _Sets, low: float) -> Index:
    """Returns the index of a sample, made once in a process: for 2 million shingles that takes half a second."""
    return index_of(sets.hashes, sets.offsets, low)


@njit(cache=True, nogil=True)
def compare(
    hashes: Hashes,
    offsets: Offsets,
    one: Numbers,
    other_hashes: Hashes,
    other_offsets: Offsets,
    other: Numbers,
    similarity: npt.NDArray[np.float64],
) -> None:
    """Writes the Jaccard similarity of each pair (number among the sets, number among the other sets)."""
    for pair in range(len(one)):
        first = hashes[offsets[one[pair]] : offsets[one[pair] + 1]]
        second = other_hashes[other_offsets[other[pair]] : other_offsets[other[pair] + 1]]
        both = overlap(first, second)
        similarity[pair] = both / (len(first) + len(second) - both)


class Sample:
    """The sample as a shard searches for it."""

    def __init__(self, drawn: pa.Table, low: float) -> None:
        drawn = drawn.combine_chunks()
        self.amount, self.low = drawn.num_rows, low
        self.gids, self.groups = (np.asarray(drawn.column(name)) for name in ("gid", "group"))
        sizes = np.asarray(pc.list_value_length(drawn.column("shingles"))).astype(np.int64)
        self.offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.hashes = np.asarray(pc.list_flatten(drawn.column("shingles"))).astype(np.uint64)
        self.index = _index_of(_Sets(self.hashes, self.offsets), low)
        self.stamps = np.zeros(len(self.index.keys), np.int64)
        self.seen, self.counters = np.zeros(self.amount, np.int64), np.zeros(self.amount, np.int32)
        self.searched = 0

    def alike(self, texts: pa.Array, fold: FoldTable, width: int) -> tuple[Numbers, Numbers, npt.NDArray[np.float64]]:
        """Returns (text, sampled document, Jaccard similarity) of all pairs that are alike from `low` on."""
        data, places = utf8(texts)
        tables = (fold.table, fold.expansions, width, self.index, self.stamps, self.seen, self.counters)
        rows, found = search(data, places, *tables, self.searched)
        self.searched += len(texts)
        similarity = np.zeros(len(rows))
        if len(rows):
            near, numbers = np.unique(rows, return_inverse=True)
            sets = shingle_sets(texts.take(pa.array(near)), fold, width=width)
            compare(sets.hashes, sets.offsets, numbers, self.hashes, self.offsets, found, similarity)
        kept = similarity >= self.low
        return rows[kept], found[kept], similarity[kept]


@dataclass(frozen=True, kw_only=True)
class Search:
    """Yields FOUND of a shard: which of the sample stay, and who of the shard stays and is alike to one of it.

    Verdicts lie beside the documents, sorted by gid; `work.whole[0]` is the sample.
    """

    sign: Sign
    threshold: float

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields a row for each sampled document of the shard that stays, or has one alike here, and one of sums."""
        sample = Sample(work.whole[0], min(LOW, self.threshold))
        verdicts, fold = Sorted(work.beside(), VERDICTS), load(self.sign.fold)
        best: dict[int, dict[str, Any]] = {}  # Any: a row of FOUND
        stays = left = 0
        first = work.number << SHARD_BITS
        for batch in batches:
            found = verdicts.below(first + batch.num_rows)
            leaves = np.zeros(batch.num_rows, np.bool_)
            leaves[np.asarray(found.column("gid")) - first] = np.asarray(found.column("survivor").is_valid())
            rows = np.flatnonzero(~leaves)
            stays, left = stays + len(rows), left + batch.num_rows - len(rows)
            for place in np.flatnonzero(np.isin(sample.gids, first + rows)).tolist():
                best.setdefault(place, _empty(place))["stays"] = 1
            self._compare(batch.take(pa.array(rows)) if left else batch, first + rows, sample, fold, best)
            first += batch.num_rows
        sums = {**_empty(-1), "stays": stays, "left": left}
        yield pa.RecordBatch.from_pylist([sums, *(best[place] for place in sorted(best))], schema=FOUND)

    def _compare(
        self, kept: pa.RecordBatch, gids: Numbers, sample: Sample, fold: FoldTable, best: dict[int, dict[str, Any]]
    ) -> None:
        rows, places, similarities = sample.alike(kept.column("text"), fold, self.sign.shingle)
        groups = self.sign.groups(kept) if len(rows) else None
        meet = gids[rows] != sample.gids[places]
        if groups is not None:
            meet &= groups[rows] == sample.groups[places]
        rows, places, similarities = rows[meet], places[meet], similarities[meet]
        copies = np.bincount(places[similarities >= self.threshold], minlength=sample.amount)
        similarities = similarities.astype(np.float32)  # as they are told
        chosen = nearest(kept.column("id"), rows, places, similarities)
        near = kept.take(pa.array(rows[chosen]))
        columns = [column.to_pylist() for column in (near.column("id"), *told(near))]
        for place, similarity, *named in zip(
            places[chosen].tolist(), similarities[chosen].tolist(), *columns, strict=True
        ):
            row = {**_empty(place), "copies": int(copies[place]), "similarity": similarity}
            row.update(zip(("twin", "source", "url", "text"), named, strict=True))
            best[place] = _together(best[place], row) if place in best else row


def nearest(
    ids: pa.FixedSizeBinaryArray, rows: Numbers, places: Numbers, similarities: npt.NDArray[np.floating]
) -> Numbers:
    """Returns the most similar of the pairs (row, place in the sample) of each place, of equals that of least id."""
    rank = np.empty(len(ids), np.int64)
    rank[np.asarray(pc.sort_indices(ids))] = np.arange(len(ids))
    order = np.lexsort((rank[rows], -similarities, places))
    chosen: Numbers = order[np.append(True, places[order][1:] != places[order][:-1])[: len(order)]]
    return chosen


def _empty(place: int) -> dict[str, Any]:  # Any: a row of FOUND
    counts = dict.fromkeys(("stays", "left", "copies"), 0)
    return {"place": place, **counts, **dict.fromkeys(("twin", "similarity", "source", "url", "text"))}


# What is said


@dataclass(frozen=True, kw_only=True)
class Say:
    """The fold of FOUND: says what is left and what share of copies is gone, and puts out `residual`.

    `work.whole[0]` is the sample, `work.whole[1]`, if there, how alike those were that left (SIMILARITIES).
    """

    threshold: float
    curve: Curve

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields one row of SAID."""
        known: dict[int, dict[str, Any]] = {}  # Any: a row of FOUND, of all shards
        for row in (row for batch in batches for row in batch.to_pylist()):
            known[row["place"]] = _together(known[row["place"]], row) if row["place"] in known else row
        sums = known.pop(-1, _empty(-1))
        drawn = work.whole[0].drop_columns(["shingles"]).to_pylist()
        sampled = [place for place, row in known.items() if row["stays"]]
        alike = [_residual(drawn[place], known[place]) for place in sampled if known[place]["twin"] is not None]
        alike.sort(key=lambda row: (-row["similarity"], row["id"]))
        work.put("residual", pa.RecordBatch.from_pylist(alike, schema=RESIDUAL))
        copies = [row["copies"] for row in alike if row["copies"]]
        if sampled:
            self._say(work, len(sampled), alike, copies, sums["stays"], sums["left"])
        yield pa.record_batch([pa.array([len(sampled)]), pa.array([len(copies)])], schema=SAID)

    def _say(
        self, work: Work, sampled: int, alike: Sequence[Any], copies: Sequence[int], stays: int, left: int
    ) -> None:
        low, high = wilson(len(copies), sampled, stays)
        example = f"; for example {alike[0]['id'].hex()} and {alike[0]['twin'].hex()}" if copies else ""
        have = "has" if len(copies) == 1 else "have"
        work.remark(
            f"residual: {len(copies):,} of {sampled:,} documents drawn from the {stays:,} that stay {have} a copy that "
            f"stays too, of similarity {self.threshold:g} or more ({len(copies) / sampled:.1%}, 95% interval {low:.1%} "
            f"to {high:.1%}){example}"
        )
        below = Counter(int(round(row["similarity"], 6) * 10) / 10 for row in alike if not row["copies"])
        told = [start / 10 for start in range(5, 10) if start / 10 < self.threshold]
        ranges = [f"{start:g} to {min(start + 0.1, self.threshold):g} for {below[start]:,}" for start in told]
        if below:
            work.remark(f"residual: of the others the most similar document that stays has {', '.join(ranges)}")
        missing = sum(count / (count + 1) for count in copies) / len(copies) if copies else 0.5
        gone = [left / max(1, left + stays * missing * rate) for rate in (len(copies) / sampled, high, low)]
        if left:
            work.remark(
                f"recall: by this audit {gone[0]:.2%} of the documents that should leave as copies have left (95% "
                f"interval {gone[1]:.2%} to {gone[2]:.2%})"
            )
        if len(work.whole) > 1:
            self._say_by_curve(work)

    def _say_by_curve(self, work: Work) -> None:
        found = work.whole[1].group_by("similarity").aggregate([("documents", "sum")]).to_pylist()
        bins = [(round(row["similarity"], 2), row["documents_sum"]) for row in found]  # .7 is less than .7 as float32
        bins = [(similarity, amount) for similarity, amount in bins if similarity >= self.threshold]
        unequal = [(similarity, amount) for similarity, amount in bins if similarity < 1]
        amount = sum(amount for _, amount in bins)
        if amount:
            near = f" ({found_share(self.curve, unequal):.2%} of those that are not equal)" if unequal else ""
            work.remark(
                f"recall: by the curve of bands and rows at least {found_share(self.curve, bins):.2%} of the copies "
                f"were found{near}, judged by the similarity of the {amount:,} that left"
            )


def _together(one: Any, other: Any) -> Any:  # Any: rows of FOUND on one sampled document
    """Returns the row of both: sums, and the more similar twin."""
    twins = [row for row in (one, other) if row["twin"] is not None]
    best = min(twins, key=lambda row: (-row["similarity"], row["twin"]), default=one)
    return {**best, **{name: one[name] + other[name] for name in ("stays", "left", "copies")}}


def _residual(drawn: Any, row: Any) -> Any:  # Any: rows of DRAWN, FOUND and RESIDUAL
    of_twin = {f"twin_{name}": row[name] for name in ("source", "url", "text")}
    own = {name: drawn[name] for name in ("id", "source", "url", "text")}
    return {**own, **of_twin, **{name: row[name] for name in ("twin", "similarity", "copies")}}


def found_share(curve: Curve, bins: Sequence[tuple[float, int]]) -> float:
    """Returns what share of documents was found, of (similarity rounded down to 1/100, documents that were found).

    >>> round(found_share(Curve(18, 7), [(0.8, 100), (1.0, 100)]), 3)
    0.994
    """
    middles = [(1.0 if similarity >= 1 else similarity + 0.005, amount) for similarity, amount in bins]
    expected = sum(amount / curve.chance(similarity) for similarity, amount in middles)
    return sum(amount for _, amount in bins) / expected if expected else 1.0


def wilson(found: int, amount: int, whole: int) -> tuple[float, float]:
    """Returns the 95 % interval of a rate among `whole` of which `amount` were drawn: the rate itself if all were.

    >>> tuple(round(end, 5) for end in wilson(3, 1000, 10**9))
    (0.00102, 0.00878)
    >>> tuple(round(end, 5) for end in wilson(3, 1000, 1250))
    (0.00182, 0.00495)
    """
    square = Z**2 * (whole - amount) / max(1, whole - 1)  # the variance of a draw without replacement is less by this
    middle = found + square / 2
    half = math.sqrt(square) * math.sqrt(found * (amount - found) / amount + square / 4)
    return max(0.0, (middle - half) / (amount + square)), min(1.0, (middle + half) / (amount + square))


def audited(
    signed: Dataset, verdicts: Dataset, sign: Sign, *, amount: int, threshold: float, alike: Dataset | None
) -> Dataset:
    """Returns the fold that says what is left, of documents that `SignAndDraw` passed and their verdicts by shard.

    `alike` says how similar those were that left (SIMILARITIES), where it was measured.
    """
    sample = signed.output("drawn").fold(Choose(amount=amount), DRAWN)
    found = signed.map(Search(sign=sign, threshold=threshold), schema=FOUND, beside=verdicts, whole=(sample,))
    say = Say(threshold=threshold, curve=Curve(sign.bands, sign.rows))
    whole = (sample,) if alike is None else (sample, alike)
    return found.fold(say, SAID, whole=whole, outputs=(Output("residual", RESIDUAL, publish=PUBLISHED),))
