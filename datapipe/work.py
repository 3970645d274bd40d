"""What a worker function gets beside its rows: inputs, side outputs, counters, and the way out for dropped rows."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe.errors import StageError

ID = pa.binary(16)
LEDGER = pa.schema(
    [
        pa.field("id", ID, nullable=False),
        pa.field("stage", pa.string()),
        pa.field("action", pa.string()),  # drop | also | repair | flag | duplicate_of | split | quarantine
        pa.field("rule", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("limit", pa.float64()),
        pa.field("other", ID),  # the survivor of a duplicate, the whole of a part
        pa.field("similarity", pa.float32()),
        pa.field("source", pa.string()),
        pa.field("url", pa.string()),
        pa.field("note", pa.string()),  # a sample of the text, or what could not be read
        # What the document was, where a row says that it left or was made, and as far as earlier steps had found out.
        pa.field("host", pa.string()),
        pa.field("language", pa.string()),
        pa.field("script", pa.string()),
        pa.field("format", pa.string()),
        pa.field("bytes", pa.int64()),  # of the text's UTF-8
        pa.field("file", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("crawl_time", pa.int64()),
    ]
)
ABOUT = LEDGER.names[LEDGER.get_field_index("host") :]
LEAVING = ("drop", "duplicate_of", "quarantine")  # actions by which a document leaves
DESCRIBED = (*LEAVING, "split")  # actions of rows that say it
SAMPLE_CHARACTERS = 160

_STRINGS = (pa.string(), pa.large_string())
Column = Any  # a scalar, a sequence, a numpy array or an Arrow array of one value a row of the batch


@dataclass
class Work:
    """The context of one function on one shard. Engine-made; stages call its methods and keep nothing in it.

    `number` is the number of the shard; `whole` the small datasets that every shard sees entire; `facts` what is true
    of the whole run and enters the corpus (`config_sha256`, `code_version`); `scratch` a local folder for what has no
    room in memory, emptied when the attempt ends (None: where the system puts such files).
    """

    number: int
    stage: str = ""
    whole: tuple[pa.Table, ...] = ()
    emit: Callable[[str, pa.RecordBatch], None] = lambda name, batch: None
    read_beside: Callable[[], Iterator[pa.RecordBatch]] = lambda: iter(())
    facts: Mapping[str, str] = field(default_factory=dict)
    scratch: str | None = None
    dropped: int = 0
    dropped_ids: int = 0
    made: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def beside(self) -> Iterator[pa.RecordBatch]:
        """Returns the batches of the shard of equal number of the map's `beside` dataset."""
        return self.read_beside()

    def put(self, output: str, batch: pa.RecordBatch) -> None:
        """Writes rows to the side output `output` of this map."""
        self.emit(output, batch)

    def count(self, name: str, amount: int = 1) -> None:
        """Adds to a counter of this stage; counters of all shards are summed into the report."""
        self.counts[name] += int(amount)

    def remark(self, sentence: str) -> None:
        """Says a sentence on the whole run in its report; from a fold, as every task that says it is a time more."""
        self.counts[f"remark.{sentence}"] += 1

    def warn(self, sentence: str) -> None:
        """Says a sentence among the warnings of the report."""
        self.counts[f"warning.{sentence}"] += 1

    def drop(
        self,
        batch: pa.RecordBatch,
        where: np.ndarray | pa.BooleanArray,
        *,
        rule: Column,
        value: Column = None,
        limit: Column = None,
        other: Column = None,
        similarity: Column = None,
        action: str = "drop",
        note: Column = None,
        sample: str | None = None,
    ) -> pa.RecordBatch:
        """Returns the rows of `batch` that stay; those `where` is true leave for the ledger.

        `where` is bool[rows]. `rule`, `value` and the others are one for all, or one a row of `batch` (not of the
        dropped ones). `sample` names a text column of which the first characters go along.
        """
        mask = np.asarray(where, dtype=bool)
        if not mask.any():
            return batch
        self.note(
            batch,
            np.flatnonzero(mask),
            action=action,
            rule=rule,
            value=value,
            limit=limit,
            other=other,
            similarity=similarity,
            note=note,
            sample=sample,
        )
        self.dropped += int(mask.sum())
        self.dropped_ids += id_sum(batch.filter(pa.array(mask)))
        return batch.filter(pa.array(~mask))

    def split(self, amount: int) -> None:
        """Says that `amount` more documents come out than went in because one was split."""
        self.made += amount

    def note(
        self,
        batch: pa.RecordBatch,
        rows: np.ndarray | Sequence[int],
        *,
        action: str,
        rule: Column,
        value: Column = None,
        limit: Column = None,
        other: Column = None,
        similarity: Column = None,
        note: Column = None,
        sample: str | None = None,
    ) -> None:
        """Writes a ledger row for each of `rows` (row numbers) without dropping them: repair, split, also."""
        indices = pa.array(np.asarray(rows, dtype=np.int64))
        if len(indices) == 0:
            return
        if sample is not None:
            note = pc.utf8_slice_codeunits(batch.column(sample).take(indices), 0, SAMPLE_CHARACTERS)
        else:
            note = _column(note, indices, pa.string(), batch.num_rows)
        columns = {
            "id": batch.column("id").take(indices),
            "stage": _column(self.stage, indices, pa.string(), batch.num_rows),
            "action": _column(action, indices, pa.string(), batch.num_rows),
            "rule": _column(rule, indices, pa.string(), batch.num_rows),
            "value": _column(value, indices, pa.float64(), batch.num_rows),
            "limit": _column(limit, indices, pa.float64(), batch.num_rows),
            "other": _column(other, indices, ID, batch.num_rows),
            "similarity": _column(similarity, indices, pa.float32(), batch.num_rows),
            "source": _carried(batch, "source", indices),
            "url": _carried(batch, "url", indices),
            "note": note,
            **_about(batch, indices, described=action in DESCRIBED),
        }
        self.emit("ledger", pa.RecordBatch.from_arrays([columns[name] for name in LEDGER.names], schema=LEDGER))
        for name, amount in zip(
            *np.unique(columns["rule"].to_numpy(zero_copy_only=False), return_counts=True), strict=True
        ):
            self.counts[f"{action}.{name}"] += int(amount)


def _column(value: Column, indices: pa.Array, kind: pa.DataType, rows: int) -> pa.Array:
    """Returns one value for each of `indices` as an Arrow array of `kind`."""
    if value is None or isinstance(value, str | bytes | int | float):
        return pa.repeat(pa.scalar(value, kind), len(indices))
    array = value if isinstance(value, pa.Array) else pa.array(value)
    if len(array) != rows:
        raise StageError(f"a ledger column has {len(array)} values for {rows} rows")
    return array.take(indices).cast(kind)


def _carried(batch: pa.RecordBatch, name: str, indices: pa.Array) -> pa.Array:
    """Returns the values of a column of the batch as the ledger has them; nulls where it has none of that kind."""
    place, kind = batch.schema.get_field_index(name), LEDGER.field(name).type
    if place < 0 or not _fits(batch.schema.types[place], kind):
        return pa.nulls(len(indices), kind)
    return batch.column(place).take(indices).cast(kind)


def _fits(given: pa.DataType, kind: pa.DataType) -> bool:
    if kind == pa.int64():
        return bool(pa.types.is_integer(given))
    return given in _STRINGS or pa.types.is_primitive(given) or pa.types.is_dictionary(given)


def _about(batch: pa.RecordBatch, indices: pa.Array, *, described: bool) -> dict[str, pa.Array]:
    """Returns the columns ABOUT of the ledger; the text, where there is one, says its bytes itself."""
    if not described:
        return {name: pa.nulls(len(indices), LEDGER.field(name).type) for name in ABOUT}
    made = {name: _carried(batch, name, indices) for name in ABOUT}
    place = batch.schema.get_field_index("text")
    if place >= 0 and batch.schema.types[place] in _STRINGS:
        made["bytes"] = pc.binary_length(batch.column(place)).take(indices).cast(pa.int64())
    return made


def id_sum(batch: pa.RecordBatch) -> int:
    """Returns the sum of the ids as 64-bit words, modulo 2**64: one for the same documents in any order, else another.

    Zero where there is no id.
    """
    place = batch.schema.get_field_index("id")
    if place < 0 or batch.schema.types[place] != ID:
        return 0
    column = batch.column(place)
    words = np.frombuffer(column.buffers()[1], "<u8")[2 * column.offset : 2 * (column.offset + len(column))]
    return int(words.sum(dtype=np.uint64))


def evidence(batch: pa.RecordBatch, row: int) -> str:
    """Returns what a record is known again by: BLAKE2b-128 of its largest value, and its place in a file if it says."""
    held = {name: batch.column(name)[row].as_py() for name in batch.schema.names}
    values = {
        name: value.encode() if isinstance(value, str) else value
        for name, value in held.items()
        if name not in ("id", "source", "url", "file")  # the ledger row, or the place below, says those
    }
    sizes = {name: len(value) for name, value in values.items() if isinstance(value, bytes)}
    name = max(sizes, key=lambda one: sizes[one], default="")
    if not name:
        return "no text"
    place = f", {held['file']} at {held['offset']}" if held.keys() >= {"file", "offset"} else ""
    digest = hashlib.blake2b(values[name], digest_size=16).hexdigest()
    return f"{name} of {sizes[name]} bytes, blake2b {digest}{place}"


def part_of(key: bytes | int, parts: int) -> int:
    """Returns the part that the exchange sends a key to, an id or an unsigned number of 64 bits.

    So who looks for the rows of a document reads one part of the ledger: the plain twin of `exchange.part_of`.
    """
    word = key if isinstance(key, int) else int.from_bytes(key[:8], "little")
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        word = (word ^ (word >> shift)) * factor % 2**64
    return ((word ^ (word >> 31)) >> 32) * parts >> 32


def shard_ids(source: str, names: Sequence[str]) -> pa.Array:
    """Returns an id for each file of a source as a whole: BLAKE2b-128 of (source, name), binary(16)[names]."""
    digests = [hashlib.blake2b(f"{source}\0{name}".encode(), digest_size=16).digest() for name in names]
    return pa.array(digests, ID)
