"""Who shares what: from rows sorted by hash to verdicts, in streams that hold a few batches and no document.

`twins` finds anchors that occur more than once, and says of them whether all that stands around them as far as passages
reach is equal too; `verdicts` finds, of equal passages, the first and the later ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datapipe import ID, Work
from datapipe.dataset import Batches
from stages.dedup.keys import SHARD_BITS
from stages.dedup.survivor import Preference, priority_type

MOST_HELD: Final = 1 << 18  # rows of an anchor that wait until all are known (8 MB)
ANCHORS: Final = pa.schema(
    [
        pa.field("gram", pa.uint64(), nullable=False),
        pa.field("span", pa.uint64(), nullable=False),
        pa.field("gid", pa.int64(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),  # token at which the first passage begins
        pa.field("passages", pa.int16(), nullable=False),
    ]
)
TWINS: Final = pa.schema(
    [pa.field("shard", pa.int32(), nullable=False), *ANCHORS, pa.field("mixed", pa.bool_(), nullable=False)]
)
VERDICTS: Final = pa.schema(
    [
        pa.field("shard", pa.int32()),
        pa.field("gid", pa.int64()),
        pa.field("start", pa.int32()),
        pa.field("passages", pa.int16()),
        pa.field("later", pa.bool_()),  # whether an equal passage comes before
        pa.field("other", ID),  # document of the first one; if that is this one, of the next
    ]
)


def compared_schema(order: Sequence[Preference]) -> pa.Schema:
    """Returns the schema of what is compared: `passages` passages from `start` on as one key, and whose they are.

    The key is a hash of 64 bits, and `gram` one of a part: together they are equal for unlike passages with a chance of
    n² / 2^65 among n occurrences of one n-gram, and of 2^-128 a pair otherwise.
    """
    known = [("key", pa.uint64()), ("gram", pa.uint64()), ("priority", priority_type(order)), ("id", ID)]
    return pa.schema([*known, ("start", pa.int32()), ("passages", pa.int16()), ("gid", pa.int64())])


def twins(batches: Batches, work: Work) -> Batches:
    """Yields the rows of anchors that occur more than once; they come sorted by (gram, span, gid, start).

    `mixed` says that spans differ, or that the anchor occurs too often to know: then passages are compared one by one.
    """
    held: pa.RecordBatch | None = None  # rows of the anchor that is open
    past: np.uint64 | None = None  # the anchor that is open, where there were too many to hold
    for batch in batches:
        rows = batch if held is None else pa.concat_batches([held, batch])
        gram = rows.column("gram").to_numpy()
        if past is not None:
            end = int(np.searchsorted(gram, past, side="right"))
            yield _twins(rows, np.arange(end), np.ones(end, np.bool_))
            rows, gram = rows.slice(end), gram[end:]
        if rows.num_rows == 0:
            continue
        last = int(np.searchsorted(gram, gram[-1]))
        yield _known(rows.slice(0, last))
        held, past = rows.slice(last), None
        if held.num_rows > MOST_HELD:
            yield _known(held)
            held, past = None, gram[-1]
    if held is not None:
        yield _known(held)


def _known(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Returns the twins among rows of whole anchors, or of one anchor that is too frequent."""
    gram, span = rows.column("gram").to_numpy(), rows.column("span").to_numpy()
    group = np.cumsum(_begins(gram)) - 1
    sizes = np.bincount(group)
    changes = np.bincount(group, weights=_begins(gram, span)) > 1
    found = np.flatnonzero(sizes[group] > 1)
    return _twins(rows, found, (changes | (sizes > MOST_HELD))[group[found]])


def _twins(rows: pa.RecordBatch, found: npt.NDArray[np.int64], mixed: npt.NDArray[np.bool_]) -> pa.RecordBatch:
    taken = rows.take(pa.array(found))
    return pa.record_batch([_shards(taken), *taken.columns, pa.array(mixed)], schema=TWINS)


def verdicts(batches: Batches, work: Work, *, firsts: bool) -> Batches:
    """Yields who has an equal passage before, and if `firsts` also who has one behind and none before.

    Rows come sorted by (key, gram, priority, id, start).
    """
    leader: pa.RecordBatch | None = None  # first row of the group that is open
    is_said = False  # whether it was yielded
    for batch in batches:
        if batch.num_rows == 0:
            continue
        rows = batch if leader is None else pa.concat_batches([leader, batch])
        begins = _begins(rows.column("key").to_numpy(), rows.column("gram").to_numpy())
        starts = np.flatnonzero(begins)
        later = np.flatnonzero(~begins)
        yield _verdicts(rows, later, starts[np.cumsum(begins)[later] - 1], later=True)
        sizes = np.diff(starts, append=rows.num_rows)
        if firsts:
            found = starts[(sizes > 1) & ~(is_said & (starts == 0))]
            yield _verdicts(rows, found, found + 1, later=False)
        is_said = bool(sizes[-1] > 1 or (is_said and len(starts) == 1))
        leader = rows.slice(int(starts[-1]), 1)


def _verdicts(
    rows: pa.RecordBatch, found: npt.NDArray[np.int64], others: npt.NDArray[np.int64], *, later: bool
) -> pa.RecordBatch:
    these, those = rows.take(pa.array(found)), rows.take(pa.array(others))
    columns = [
        _shards(these),
        *(these.column(name) for name in ("gid", "start", "passages")),
        pa.repeat(pa.scalar(later), len(found)),
        those.column("id"),
    ]
    return pa.record_batch(columns, schema=VERDICTS)


def _begins(*columns: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Returns which rows differ from the one before: bool[rows]."""
    begins = np.zeros(len(columns[0]), np.bool_)
    begins[:1] = True
    for column in columns:
        begins[1:] |= column[1:] != column[:-1]
    return begins


def _shards(rows: pa.RecordBatch) -> pa.Array:
    return pa.array((rows.column("gid").to_numpy() >> SHARD_BITS).astype(np.int32))
