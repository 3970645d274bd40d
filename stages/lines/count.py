"""Which units recur: units leave their shard as hashes, meet by key, and those that go are told to it by number.

Rows are sorted by key, then by the order in which documents are to keep a unit: the declared columns, the text's digest
and the id (eight bytes of each). So the first row of a key is the one that stays, in whatever files its document came,
and one pass with the rows of one key in fewer than `least` documents tells who goes.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ConfigError, Output, Resource, Work
from datapipe.dataset import Batches
from stages.dedup.keys import SHARD_BITS
from stages.dedup.survivor import LENGTH, Preference, priorities
from stages.lines.units import FENCED, ROW, Hashes, Keys, Places, Units, View, cut

Unit = Literal["line", "paragraph"]
Scope = Literal["corpus", "source", "host", "document"]
Chosen = npt.NDArray[np.bool_]
VERDICTS: Final = pa.schema([("shard", pa.int32()), ("gid", pa.int64()), ("place", pa.int32())])
WORD_BYTES: Final = 8
NO_HASH: Final = np.zeros((0, 2), np.uint64)


def units_schema(order: Sequence[Preference]) -> pa.Schema:
    """Returns the schema of the units that are counted; `key` and `twin` are the halves of what a unit is known by."""
    rank = pa.binary(WORD_BYTES * (len(order) + 2))
    kinds = [("key", pa.uint64()), ("twin", pa.uint64()), ("rank", rank), ("gid", pa.int64()), ("place", pa.int32())]
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds])


@dataclass(frozen=True, kw_only=True)
class Look:
    """Which units of a document are compared, and within what."""

    unit: Unit
    view: View
    per: Scope
    shortest: int
    longest: int | None
    exempt: tuple[str, ...]
    allow: tuple[str, ...]
    allow_files: tuple[Resource, ...]

    def at(self, batch: pa.RecordBatch, work: Work) -> tuple[Units, Hashes, Chosen]:
        """Returns the units of documents, what they are known by (uint64[units, 2]), and which are compared."""
        units = cut(batch.column("text"), self.unit)
        keys = self.view.keys(units)
        wanted = self._wanted(units, keys)
        wanted &= ~_exempt(batch, self.exempt)[units.document]
        hashes = keys.hashes
        if self.per in ("host", "source"):
            scopes, known = _scopes(batch.column(self.per))
            hashes = hashes ^ scopes[units.document]
            wanted &= known[units.document]
            work.count(f"no_{self.per}", int((~known).sum()))
        work.count("units", len(wanted))
        work.count("units_compared", int(wanted.sum()))
        return units, hashes, wanted

    def _wanted(self, units: Units, keys: Keys) -> Chosen:
        wanted = keys.tokens >= max(1, self.shortest)
        if self.longest is not None:
            wanted &= keys.tokens <= self.longest
        inside = FENCED * ("code" in self.exempt) | ROW * ("table" in self.exempt)
        wanted &= (units.flags & np.uint8(inside)) == 0
        allowed = allowed_keys(self)
        if len(allowed):
            places = np.searchsorted(allowed[:, 0], keys.hashes[:, 0]).clip(max=len(allowed) - 1)
            wanted &= (allowed[places] != keys.hashes).any(axis=1)
        return np.asarray(wanted)


@functools.lru_cache(maxsize=4)
def allowed_keys(look: Look) -> Hashes:
    """Returns what the units that always stay are known by, uint64[units, 2], sorted.

    Raises:
        ConfigError: one has neither letter nor digit, or a file is no UTF-8.
    """
    held = [(f"allow[{number}]", line) for number, line in enumerate(look.allow)]
    for file in look.allow_files:
        try:
            lines = file.read().decode("utf-8-sig").split("\n")
        except UnicodeDecodeError as error:
            raise ConfigError(f"allow_files: {file.path}: is not UTF-8 ({error.reason}); convert it") from error
        held += [(f"allow_files: {file.path}:{number}", line) for number, line in enumerate(lines, 1) if line.strip()]
    if not held:
        return NO_HASH
    units = cut(pa.array([line.strip("\r\n") for _, line in held], pa.large_string()), "paragraph")
    keys = look.view.keys(units)
    amounts = np.bincount(units.document, minlength=len(held))
    compared = np.bincount(units.document, weights=keys.tokens, minlength=len(held)) > 0
    for number, (where, line) in enumerate(held):
        if not compared[number]:
            raise ConfigError(f"{where}: {line!r} has no letter or digit, so it is never compared; leave it out")
        if amounts[number] > 1 or (look.unit == "line" and "\n" in line.strip("\r\n")):
            raise ConfigError(f"{where}: is more than one {look.unit}; write each as an entry of its own")
    made: Hashes = keys.hashes[np.lexsort((keys.hashes[:, 1], keys.hashes[:, 0]))]
    return made


def _exempt(batch: pa.RecordBatch, formats: tuple[str, ...]) -> Chosen:
    """Returns which documents are of those formats by their column `format`; none where there is no such column."""
    place = batch.schema.get_field_index("format")
    if place < 0 or not formats:
        return np.zeros(batch.num_rows, np.bool_)
    return np.asarray(pc.is_in(batch.column(place), pa.array(formats, pa.string())))


def _scopes(column: pa.Array) -> tuple[Hashes, Chosen]:
    """Returns a hash of each value, uint64[rows, 2], and whether there is one."""
    encoded = column.dictionary_encode()
    digests = [hashlib.blake2b(name.encode(), digest_size=16).digest() for name in encoded.dictionary.to_pylist()]
    hashes = np.frombuffer(b"".join([*digests, bytes(16)]), "<u8").astype(np.uint64).reshape(-1, 2)
    return hashes[np.asarray(encoded.indices.fill_null(len(digests)))], np.asarray(column.is_valid())


@dataclass(frozen=True)
class Route:
    """Passes documents through and puts out the units that are compared."""

    look: Look
    order: tuple[Preference, ...]

    @property
    def output(self) -> Output:
        """The side output."""
        return Output("units", units_schema(self.order))

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields the batches as they came."""
        gid = work.number << SHARD_BITS
        for batch in batches:
            units, hashes, wanted = self.look.at(batch, work)
            rows = np.flatnonzero(wanted)
            document = units.document[rows]
            columns = [
                pa.array(hashes[rows, 0]),
                pa.array(hashes[rows, 1]),
                _binary(ranks(batch, self.order)[document]),
                pa.array(document + gid),
                pa.array(units.place[rows].astype(np.int32)),
            ]
            work.put("units", pa.record_batch(columns, schema=units_schema(self.order)))
            gid += batch.num_rows
            yield batch


def ranks(batch: pa.RecordBatch, order: Sequence[Preference]) -> npt.NDArray[np.uint8]:
    """Returns bytes in whose order documents keep a unit, uint8[rows, 8 * (columns + 2)]."""
    columns = {"text_digest": batch.column("text_digest")}
    for item in order:
        is_length = item.column == LENGTH
        columns[item.column] = pc.utf8_length(batch.column("text")) if is_length else batch.column(item.column)
    declared = _bytes_of(priorities(pa.record_batch(columns), order))
    return np.concatenate([declared[:, : WORD_BYTES * (len(order) + 1)], _bytes_of(batch.column("id"))[:, :8]], axis=1)


def _bytes_of(column: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint8]:
    width = column.type.byte_width
    content = np.frombuffer(column.buffers()[1] or b"", np.uint8)[column.offset * width :][: len(column) * width]
    return content.reshape(-1, width)


def _binary(content: npt.NDArray[np.uint8]) -> pa.FixedSizeBinaryArray:
    rows, width = content.shape
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), rows, [None, pa.py_buffer(content.tobytes())])


@dataclass(frozen=True)
class Judge:
    """Yields a verdict on each unit that goes, of rows sorted by (key, twin, rank, gid, place)."""

    least: int
    keep: Literal["first", "none"]
    counted: Literal["documents", "occurrences"]

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields verdicts; of the key that is open, rows wait until it is met often enough, and then none does."""
        waiting: list[pa.RecordBatch] = []
        key, amount, last = (0, 0), 0, -1  # of the key that is open: how often it was met, and in which document last
        for batch in batches:
            if batch.num_rows == 0:
                continue
            rows = batch.select(["key", "twin", "gid", "place"])
            keys, twins, gids = (np.asarray(rows.column(name)) for name in ("key", "twin", "gid"))
            new = np.append(True, (keys[1:] != keys[:-1]) | (twins[1:] != twins[:-1]))
            starts = np.flatnonzero(new)
            goes_on = amount > 0 and key == (int(keys[0]), int(twins[0]))
            other = new | np.append(True, gids[1:] != gids[:-1])
            other[0] = not (goes_on and gids[0] == last)
            lengths = np.diff(starts, append=len(keys))
            amounts = np.add.reduceat(other.astype(np.int64), starts) if self.counted == "documents" else lengths.copy()
            amounts[0] += amount if goes_on else 0
            over = amounts >= self.least
            if goes_on and over[0]:
                for place, held in enumerate(waiting):
                    yield _verdicts(held.slice(1 if place == 0 and self.keep == "first" else 0))
            leaves = np.repeat(over, lengths)
            if self.keep == "first":
                leaves[starts[1:] if goes_on else starts] = False
            yield _verdicts(rows.filter(pa.array(leaves)))
            if len(starts) > 1 or not goes_on or over[-1]:
                waiting = []
            if not over[-1]:
                waiting.append(rows.slice(int(starts[-1])))
            key, amount, last = (int(keys[-1]), int(twins[-1])), int(amounts[-1]), int(gids[-1])


def _verdicts(rows: pa.RecordBatch) -> pa.RecordBatch:
    shard = pa.array((np.asarray(rows.column("gid")) >> SHARD_BITS).astype(np.int32))
    return pa.record_batch([shard, rows.column("gid"), rows.column("place")], schema=VERDICTS)


def recurring_within(hashes: Hashes, document: Places, wanted: Chosen, least: int, keep: str) -> Chosen:
    """Returns which units go because their own document has them so often; units come in order."""
    rows = np.flatnonzero(wanted)
    order = rows[np.lexsort((hashes[rows, 1], hashes[rows, 0], document[rows]))]  # stable: the first stays first
    new = np.ones(len(order), np.bool_)
    same = (hashes[order[1:]] == hashes[order[:-1]]).all(axis=1) & (document[order[1:]] == document[order[:-1]])
    new[1:] = ~same
    starts = np.flatnonzero(new)
    lengths = np.diff(starts, append=len(order))
    leaves = np.repeat(lengths >= least, lengths)
    if keep == "first":
        leaves[starts] = False
    gone = np.zeros(len(wanted), np.bool_)
    gone[order[leaves]] = True
    return gone
