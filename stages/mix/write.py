"""Samples in the order of training to the rows that trainers read, with the index of what lies where.

Each row is held against the order that the plan defines, so that `order_sha256`, which anyone can compute without the
data, is a statement about the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import StageError, Work
from stages.mix.columns import FACTS, SEGMENTS, shards
from stages.mix.order import Order
from stages.mix.place import order_of

_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


@dataclass(frozen=True)
class Write:
    """Puts out `shards` and `segments` of one shard of the corpus; yields its row of FACTS. `whole` is the plan."""

    seed: int
    seq_len: int | None
    natural: bool = False

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        plan = work.whole[0]
        order = order_of(plan, self.seed, natural=self.natural)
        start = work.number * plan.column("samples_per_shard")[0].as_py()
        end = min(order.total, start + plan.column("samples_per_shard")[0].as_py())
        digest = hashlib.sha256()
        at, padding, tokens = start, 0, np.zeros(len(order.phases) * plan.num_rows, np.int64)
        for batch in batches:
            groups = _check(batch, order, at, work.number)
            padded = np.asarray(batch.column("padding")) if self.seq_len else np.zeros(batch.num_rows, np.int64)
            work.put("shards", self._rows(batch))
            work.put("segments", self._segments(batch, work.number, at - start))
            digest.update(token_bytes(batch.column("input_ids")))
            at += batch.num_rows
            phases = np.searchsorted(order.starts[1:], np.arange(at - batch.num_rows, at), side="right")
            np.add.at(tokens, phases * plan.num_rows + groups, np.asarray(_lengths(batch)) - padded)
            padding += int(padded.sum())
        if at != end:
            raise StageError(f"mix: shard {work.number} has {at - start} samples, the plan {end - start}")
        leaves = [order.digest(block) for block in range(order.begun(start), order.begun(end))]
        row = (work.number, at - start, int(tokens.sum()), padding, tokens.tolist(), digest.hexdigest(), leaves)
        yield pa.RecordBatch.from_pylist([dict(zip(FACTS.names, row, strict=True))], schema=FACTS)

    def _rows(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        schema = shards(self.seq_len)
        names = {"sample": "position", "lang": "language"}
        made = {}
        if self.seq_len is None:
            made = {"n_tokens": _lengths(batch).cast(pa.int32()), "doc_id": hex_strings(batch.column("id"))}
        columns = [made[name] if name in made else batch.column(names.get(name, name)) for name in schema.names]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _segments(self, batch: pa.RecordBatch, shard: int, first_row: int) -> pa.RecordBatch:
        if self.seq_len is None:
            of_row, ids, doc_rows = np.arange(batch.num_rows), batch.column("id"), batch.column("doc_row")
            lengths = np.asarray(_lengths(batch)).astype(np.int64)
            starts, doc_starts = np.zeros(len(lengths), np.int64), pa.array(np.zeros(len(lengths), np.int32))
        else:
            of_row, starts, lengths = _pieces(batch)
            ids, doc_starts, doc_rows = (batch.column(name).flatten() for name in ("ids", "doc_starts", "doc_rows"))
        columns = {
            "sample": np.asarray(batch.column("position"))[of_row],
            "shard": np.full(len(of_row), shard, np.int32),
            "row": (first_row + of_row).astype(np.int32),
            "start": starts.astype(np.int32),
            "end": (starts + lengths).astype(np.int32),
            "doc_id": hex_strings(ids),
            "doc_start": doc_starts,
            "epoch": np.asarray(batch.column("epoch"))[of_row],
            "file": np.asarray(batch.column("block"))[of_row],
            "file_row": doc_rows,
        }
        return pa.RecordBatch.from_arrays([pa.array(columns[name]) for name in SEGMENTS.names], schema=SEGMENTS)


def _pieces(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns row, start and length of every piece that is not padding."""
    counts = np.asarray(pc.list_value_length(batch.column("seq_lengths"))).astype(np.int64)
    of_row = np.repeat(np.arange(batch.num_rows), counts)
    lengths = np.asarray(batch.column("seq_lengths").flatten()).astype(np.int64)
    ends = np.cumsum(lengths)
    before = np.concatenate([[0], ends])[np.cumsum(counts) - counts]
    starts = ends - lengths - before[of_row]
    real = np.ones(len(lengths), bool)
    real[(np.cumsum(counts) - 1)[np.asarray(batch.column("padding")) > 0]] = False
    return of_row[real], starts[real], lengths[real]


def _check(batch: pa.RecordBatch, order: Order, at: int, shard: int) -> np.ndarray:
    """Returns the group of each row. Raises StageError where a row is not what the order has at its position."""
    end = min(order.total, at + batch.num_rows)
    first = order.block_of(at)
    begins = order.positions(first)[0]
    blocks = [np.stack(order.block(number)) for number in range(first, order.begun(end))]
    want = np.concatenate([np.zeros((3, 0), np.int64), *blocks], axis=1)[:, at - begins : end - begins]
    groups: np.ndarray = want[0]
    names = ("index", "epoch", "position")
    got = np.stack([np.asarray(batch.column(name)).astype(np.int64) for name in names])
    want = np.stack([want[2], want[1], np.arange(at, at + want.shape[1])])
    if want.shape != got.shape or (want != got).any() or not (order.natural or _named(batch, groups, order)):
        raise StageError(f"mix: shard {shard}: samples from position {at} on are not those that the plan has there")
    return groups


def _named(batch: pa.RecordBatch, groups: np.ndarray, order: Order) -> bool:
    found = pc.index_in(batch.column("group"), pa.array(order.labels, pa.string()))
    return not found.null_count and bool((np.asarray(found) == groups).all())


def token_bytes(ids: pa.Array) -> memoryview:
    """Returns rows of tokens as a uint32 length and int32 ids each, little-endian: what `tokens_sha256` is over.

    >>> token_bytes(pa.array([[7, 8], []], pa.list_(pa.int32()))).hex(" ", 4)
    '02000000 07000000 08000000 00000000'
    """
    values = np.asarray(ids.flatten()).astype("<i4", copy=False)
    if pa.types.is_fixed_size_list(ids.type):
        size = ids.type.list_size
        rows = np.empty((len(ids), 1 + size), "<i4")
        rows[:, 0], rows[:, 1:] = size, values.reshape(-1, size)
    else:
        lengths = np.asarray(pc.list_value_length(ids)).astype(np.int64)
        rows = np.insert(values, np.cumsum(lengths) - lengths, lengths.astype("<i4"))
    return rows.reshape(-1).view(np.uint8).data


def hex_strings(ids: pa.Array) -> pa.Array:
    """Returns 16-byte ids as 32 hex digits; a null stays null."""
    if not len(ids):
        return pa.array([], pa.string())
    raw = np.frombuffer(ids.buffers()[1], np.uint8).reshape(-1, 16)[ids.offset : ids.offset + len(ids)]
    digits = np.ascontiguousarray(_DIGITS[np.stack([raw >> 4, raw & 15], axis=2)])
    offsets = np.arange(0, 32 * len(ids) + 1, 32, dtype=np.int32)
    text = pa.StringArray.from_buffers(len(ids), pa.py_buffer(offsets), pa.py_buffer(digits))
    return pc.if_else(ids.is_valid(), text, pa.scalar(None, pa.string())) if ids.null_count else text


def _lengths(batch: pa.RecordBatch) -> pa.Array:
    return pc.list_value_length(batch.column("input_ids"))
