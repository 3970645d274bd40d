"""Paragraphs that stand on many hosts: menus, footers, advertisements that were put into other people's pages.

    documents -> paragraphs (key, host, document) -> exchange by key -> count hosts -> keys that recur
                                                                     -> beside them -> verdicts -> exchange by shard
              -> beside the verdicts -> documents without them

A quotation, a clause or a licence recurs too and stays: what leaves stands at the head or tail of nearly all
documents that have it, or is advertising. A document of which much recurs is a copy, and left to the dedup step. Memory
is that of a few batches: hosts are counted over sorted rows, and the rows of a key are read a second time beside their
count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from datapipe import Dataset, Output, PlanError, Sized, Work
from datapipe.dataset import Batches, Like
from stages.buffers import utf8
from stages.dedup.clusters import Sorted
from stages.repair.change import Change
from stages.repair.lines import advertises
from stages.repair.rules import Rules
from stages.repair.screen import Bytes, Hashes, Places, folded
from stages.rewrite import rewritten

SHARD_BITS: Final = 40
SOURCE_BYTES_A_SHARD: Final = 512 << 20  # of the source files; their paragraphs' keys are a tenth of the text
PARAGRAPHS: Final = pa.schema(
    [
        pa.field("key", pa.uint64(), nullable=False),
        pa.field("host", pa.uint64(), nullable=False),
        pa.field("gid", pa.int64(), nullable=False),
        pa.field("at_edge", pa.bool_(), nullable=False),
    ]
)
RECURRING: Final = pa.schema([("key", pa.uint64()), ("at_edges", pa.bool_())])
VERDICTS: Final = pa.schema(
    [("shard", pa.int32()), ("gid", pa.int64()), ("key", pa.uint64()), ("at_edges", pa.bool_())]
)


def without_recurring(documents: Dataset, rules: Rules) -> Dataset:
    """Returns the documents without the paragraphs that recur on as many hosts as the rule says.

    Raises:
        PlanError: no earlier step makes the column `host`.
    """
    if "host" not in documents.schema.names:
        raise PlanError("recurring: needs column 'host', which no earlier step makes; set recurring: false")
    routed = documents.map(Route(rules), reads=("id", "text", "host"), outputs=(Output("paragraphs", PARAGRAPHS),))
    by_key = routed.output("paragraphs").exchange("key", Sized(SOURCE_BYTES_A_SHARD), then=("host", "gid"))
    counted = by_key.map(Count(rules), schema=RECURRING)
    verdicts = by_key.map(judge, schema=VERDICTS, beside=counted)
    back = verdicts.exchange("shard", Like(routed), then=("gid", "key"), direct=True)
    return routed.map(Remove(rules), beside=back)


class Paragraphs(NamedTuple):
    """The paragraphs of some documents that have a letter: document, key, letters, bytes from and up to; int64 but key.

    `rank` and `rank_last` count from the document's first and last one.
    """

    document: Places
    key: Hashes
    letters: Places
    begin: Places
    end: Places
    rank: Places
    rank_last: Places


def paragraphs(texts: pa.Array) -> Paragraphs:
    """Returns the paragraphs of texts with the hash of their folded view."""
    data, offsets = utf8(texts)
    used = data[offsets[0] : offsets[-1]]
    most = int(np.count_nonzero(used == 10)) + len(texts)
    table = np.empty((4, most), np.int64)
    keys = np.empty(most, np.uint64)
    found = _paragraphs(data, offsets, folded(), table, keys)
    document, letters, begin, end = table[:, :found]
    first = np.searchsorted(document, document)
    last = np.searchsorted(document, document, side="right") - 1
    place = np.arange(found)
    return Paragraphs(document, keys[:found], letters, begin, end, place - first, last - place)


@njit(cache=True, nogil=True)
def _paragraphs(data: Bytes, offsets: Places, letters: npt.NDArray[np.uint32], table: Places, keys: Hashes) -> int:
    """Fills table[document, letters, begin, end] and keys; returns how many paragraphs there are."""
    found = 0
    for document in range(len(offsets) - 1):
        start, stop = offsets[document], offsets[document + 1]
        begin, at, count, key = start, start, 0, np.uint64(0xCBF29CE484222325)
        while at <= stop:
            if at == stop or data[at] == 10:
                if count > 0:
                    table[0, found], table[1, found] = document, count
                    table[2, found], table[3, found] = begin, at
                    key ^= key >> np.uint64(32)
                    key *= np.uint64(0xD6E8FEB86659FD93)
                    keys[found] = key ^ key >> np.uint64(32)
                    found += 1
                at += 1
                begin, count, key = at, 0, np.uint64(0xCBF29CE484222325)
                continue
            byte = data[at]
            if byte < 0x80:
                code = np.int64(byte)
                at += 1
            elif byte < 0xE0:
                code = (np.int64(byte) & 0x1F) << 6 | np.int64(data[at + 1]) & 0x3F
                at += 2
            elif byte < 0xF0:
                code = (np.int64(byte) & 0x0F) << 12 | (np.int64(data[at + 1]) & 0x3F) << 6
                code |= np.int64(data[at + 2]) & 0x3F
                at += 3
            else:
                code = (np.int64(byte) & 7) << 18 | (np.int64(data[at + 1]) & 0x3F) << 12
                code |= (np.int64(data[at + 2]) & 0x3F) << 6 | np.int64(data[at + 3]) & 0x3F
                at += 4
            letter = letters[code] if code < len(letters) else np.uint32(0)
            if letter:
                key = (key ^ np.uint64(letter)) * np.uint64(0x100000001B3)
                count += 1
    return found


@dataclass(frozen=True)
class Route:
    """Passes documents through and puts out their paragraphs, those of documents that have a host."""

    rules: Rules

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields the batches as they came."""
        rule = self.rules["recurring"]
        gid = work.number << SHARD_BITS
        for batch in batches:
            found = paragraphs(batch.column("text"))
            hosts, known = _hosts(batch.column("host"))
            wanted = (found.letters >= rule.limit("letters")) & known[found.document]
            edge = (found.rank < rule.limit("head")) | (found.rank_last < rule.limit("tail"))
            columns = [found.key, hosts[found.document], found.document + gid, edge]
            work.put("paragraphs", pa.record_batch([pa.array(one[wanted]) for one in columns], schema=PARAGRAPHS))
            gid += batch.num_rows
            yield batch


def _hosts(column: pa.Array) -> tuple[Hashes, npt.NDArray[np.bool_]]:
    """Returns a hash of each host, uint64[rows], and whether there is one."""
    encoded = column.dictionary_encode()
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in encoded.dictionary.to_pylist()]
    hashes = np.frombuffer(b"".join([*digests, bytes(8)]), "<u8").astype(np.uint64)
    return hashes[np.asarray(encoded.indices.fill_null(len(digests)))], np.asarray(column.is_valid())


@dataclass(frozen=True)
class Count:
    """Yields the keys that stand on enough hosts, of rows sorted by (key, host)."""

    rules: Rules

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields a row a key, in order; the last of each batch waits, as it may go on in the next."""
        waiting, host = np.zeros(0, np.uint64), np.uint64(0)
        sums = np.zeros((3, 0), np.int64)  # hosts, rows at an edge, rows
        for batch in batches:
            if batch.num_rows == 0:
                continue
            keys, hosts = batch.column("key").to_numpy(), batch.column("host").to_numpy()
            new = np.append(True, keys[1:] != keys[:-1])
            starts = np.flatnonzero(new)
            new_host = new | np.append(True, hosts[1:] != hosts[:-1])
            edges = batch.column("at_edge").to_numpy(zero_copy_only=False)
            counted = np.add.reduceat(np.stack([new_host, edges, np.ones_like(edges)]).astype(np.int64), starts, axis=1)
            found = keys[starts]
            if len(waiting) and waiting[0] == found[0]:
                counted[:, 0] += sums[:, 0]
                counted[0, 0] -= hosts[0] == host
            else:
                found, counted = np.append(waiting, found), np.concatenate([sums, counted], axis=1)
            yield self._recurring(found[:-1], counted[:, :-1])
            waiting, sums, host = found[-1:], counted[:, -1:], hosts[-1]
        yield self._recurring(waiting, sums)

    def _recurring(self, keys: Hashes, sums: Places) -> pa.RecordBatch:
        rule = self.rules["recurring"]
        hosts, edges, rows = sums
        wanted = hosts >= rule.limit("hosts")
        at_edges = edges >= rule.limit("edge_ratio") * rows
        return pa.record_batch([pa.array(keys[wanted]), pa.array(at_edges[wanted])], schema=RECURRING)


def judge(batches: Batches, work: Work) -> Batches:
    """Yields a verdict for each row whose key recurs; the keys that do lie beside, both in the order of the keys."""
    known = _Ahead(work.beside())
    for batch in batches:
        if batch.num_rows == 0:
            continue
        keys = batch.column("key").to_numpy()
        recurring, at_edges = known.up_to(keys[-1])
        places = np.searchsorted(recurring, keys)
        places[places == len(recurring)] = 0
        hit = np.flatnonzero(recurring[places] == keys) if len(recurring) else np.zeros(0, np.int64)
        gids = batch.column("gid").to_numpy()[hit]
        columns = [
            (gids >> SHARD_BITS).astype(np.int32),
            gids,
            keys[hit],
            at_edges[places[hit]] if len(hit) else at_edges[:0],
        ]
        yield pa.record_batch([pa.array(one) for one in columns], schema=VERDICTS)


class _Ahead:
    """The recurring keys, read as far as the rows that are judged; a key stays until rows beyond it come."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self.batches = batches
        self.keys = np.zeros(0, np.uint64)
        self.edges = np.zeros(0, np.bool_)

    def up_to(self, key: np.uint64) -> tuple[Hashes, npt.NDArray[np.bool_]]:
        """Returns the keys up to `key` that no earlier call has passed, and the last that one returned."""
        while not len(self.keys) or self.keys[-1] < key:
            batch = next(self.batches, None)
            if batch is None:
                break
            self.keys = np.append(self.keys, batch.column("key").to_numpy())
            self.edges = np.append(self.edges, batch.column("at_edges").to_numpy(zero_copy_only=False))
        amount = int(np.searchsorted(self.keys, key, side="right"))
        found = self.keys[:amount], self.edges[:amount]
        self.keys, self.edges = self.keys[max(amount - 1, 0) :], self.edges[max(amount - 1, 0) :]
        return found


@dataclass(frozen=True)
class Remove:
    """Takes the paragraphs that recur out of their documents; the verdicts lie beside, sorted by document."""

    rules: Rules

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields all documents."""
        verdicts = Sorted(work.beside(), VERDICTS)
        gid = work.number << SHARD_BITS
        for batch in batches:
            found = verdicts.below(gid + batch.num_rows)
            if found.num_rows:
                batch = self._without(batch, found, gid, work)
            gid += batch.num_rows
            yield batch

    def _without(self, batch: pa.RecordBatch, verdicts: pa.Table, gid: int, work: Work) -> pa.RecordBatch:
        rows = np.asarray(verdicts.column("gid")) - gid
        keys = np.asarray(verdicts.column("key"))
        edges = np.asarray(verdicts.column("at_edges"))
        touched = np.unique(rows)
        texts = batch.column("text").take(pa.array(touched))
        found = paragraphs(texts)
        changes: dict[int, Change] = {}
        for place, row in enumerate(touched.tolist()):
            known = dict(zip(keys[rows == row].tolist(), edges[rows == row].tolist(), strict=True))
            change = self._change(texts[place].as_py(), _of(found, place, texts), known, work)
            if change is not None:
                changes[row] = change
        if not changes:
            return batch
        work.note(
            batch.take(pa.array(list(changes), pa.int64())),
            range(len(changes)),
            action="repair",
            rule="recurring",
            value=[float(change.characters) for change in changes.values()],
            note=[change.sample for change in changes.values()],
        )
        return rewritten(batch, list(changes), [change.text for change in changes.values()])

    def _change(self, text: str, found: Paragraphs, known: dict[int, bool], work: Work) -> Change | None:
        """Returns the text without its recurring paragraphs (`known`: whether each stands at edges), or None."""
        rule = self.rules["recurring"]
        recurs = np.array([key in known for key in found.key.tolist()], np.bool_)
        if found.letters[recurs].sum() > rule.limit("at_most_ratio") * found.letters.sum():
            work.count("recurring.copies")
            return None
        content = text.encode()
        gone: list[tuple[int, int]] = []
        for place in np.flatnonzero(recurs & (found.letters <= rule.limit("most_letters"))).tolist():
            begin, end = int(found.begin[place]), int(found.end[place])
            edge = found.rank[place] < rule.limit("head") or found.rank_last[place] < rule.limit("tail")
            if (edge and known[int(found.key[place])]) or advertises(content[begin:end].decode(), self.rules):
                gone.append((begin, end))
        return _cut(content, gone) if gone else None


def _of(found: Paragraphs, document: int, texts: pa.Array) -> Paragraphs:
    """Returns the paragraphs of one document, with places in its own bytes."""
    first, last = np.searchsorted(found.document, [document, document + 1]).tolist()
    own = {name: column[first:last] for name, column in found._asdict().items()}
    start = int(utf8(texts)[1][document])
    return Paragraphs(**{**own, "begin": own["begin"] - start, "end": own["end"] - start})


def _cut(content: bytes, gone: list[tuple[int, int]]) -> Change:
    """Returns the change that takes ranges of bytes out of a text, each with the line breaks after it."""
    kept, taken, at = [], [], 0
    for begin, end in gone:
        kept.append(content[at:begin])
        taken.append(content[begin:end].decode().strip())
        at = end
        while content[at : at + 1] == b"\n":
            at += 1
    kept.append(content[at:])
    text = b"".join(kept).decode().rstrip("\n")
    return Change.of("recurring", text, sum(map(len, taken)), " / ".join(taken))
