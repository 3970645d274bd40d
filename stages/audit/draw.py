"""The sample of documents that an audit looks at: those of least hash of (seed, id), of what stayed and of what left.

Which documents they are is a function of the seed and of the ids alone, so every auditor draws the same ones, however
the corpus is cut into files; the least of parts are the least of the whole, so a sample is counted like a sum. Any
number of first rows of a drawn table is a sample too: smaller, and as fair.

Source: Broder 1997, section 4 (the least hashes of a set are a sample of it); the hash is SplitMix64's finaliser
(Steele, Lea and Flood 2014, figure 16) over the two words of an id.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.frame import FRAME, KEPT

MOST: Final = 20_000  # documents of which the text is looked at
LEAST: Final = 2_000  # or all, where there are fewer: a rate of 96 % is told to within 0.9 points
ONE_IN: Final = 5  # between the two
MOST_LEFT: Final = 4_000  # documents that left
TAKEN: Final = "draw"  # the table of those that stayed
LEFT: Final = "draw_left"
DRAWN: Final = pa.schema([pa.field("hash", pa.uint64()), *FRAME])
_ALL: Final = (1 << 64) - 1
_SALT: Final = 0x8CB92BA72F3D8DD7  # tells this hash of ids from others
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_27, _30, _31 = np.uint64(27), np.uint64(30), np.uint64(31)


def most_of(documents: int) -> int:
    """Returns how many of so many documents are drawn: a fifth, but 2,000 at the least (or all) and 20,000 at most.

    >>> most_of(1_000), most_of(7_000), most_of(50_000), most_of(10**9)
    (1000, 2000, 10000, 20000)
    """
    return min(documents, MOST, max(LEAST, documents // ONE_IN))


def hashes(ids: pa.Array, seed: int) -> npt.NDArray[np.uint64]:
    """Returns a hash of (seed, id) of each of binary(16)[rows], uint64[rows]; none may be null."""
    words = np.frombuffer(ids.buffers()[1], "<u8") if len(ids) else np.zeros(0, np.uint64)
    words = words[2 * ids.offset : 2 * (ids.offset + len(ids))].reshape(-1, 2)
    mixed = _mix(words[:, 0] ^ np.uint64((_SALT + seed) % 2**64))
    return _mix(mixed ^ words[:, 1])


def _mix(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    value = value + _GOLDEN
    value = (value ^ (value >> _30)) * _FIRST
    value = (value ^ (value >> _27)) * _SECOND
    mixed: npt.NDArray[np.uint64] = value ^ (value >> _31)
    return mixed


@dataclass(frozen=True)
class Draw:
    """The counter whose table has the documents of least hash, `most` of them, by (hash, id).

    `kept` says whether of those that stayed, or of those that left. `expected` is how many there are if that is known:
    then a part holds no more than may be drawn of it, and not `most` each.
    """

    seed: int
    kept: bool
    most: int
    expected: int | None = None

    @property
    def name(self) -> str:
        """The name of its table."""
        return TAKEN if self.kept else LEFT

    @property
    def schema(self) -> pa.Schema:
        """The columns of its table."""
        return DRAWN

    @property
    def limit(self) -> int:
        """The hash above which nothing is drawn: of a sample of that rate, one in 10^9 or so would be too small."""
        if not self.expected:
            return _ALL
        return min(_ALL, int((self.most + 6 * math.sqrt(self.most) + 20) / self.expected * 2**64))

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the documents of a part that may be drawn; a part that a stage made of another is none that left."""
        stage = frame.column("stage")
        if self.kept:
            mine = pc.equal(stage, KEPT)
        else:
            mine = pc.and_(pc.not_equal(stage, KEPT), pc.invert(pc.equal(frame.column("action"), "split")))
        rows = np.flatnonzero(np.asarray(mine.fill_null(False)))
        made = hashes(frame.column("id").combine_chunks(), self.seed)[rows] if len(rows) else np.zeros(0, np.uint64)
        low = np.flatnonzero(made <= np.uint64(self.limit))
        if len(low) > self.most:  # with all of the last one's hash, of which the ids decide
            low = low[made[low] <= np.partition(made[low], self.most - 1)[self.most - 1]]
        drawn = frame.select(FRAME.names).take(pa.array(rows[low])).cast(FRAME)
        return _least(drawn.add_column(0, DRAWN.field("hash"), pa.array(made[low])), self.most)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the documents of least hash of all tables."""
        return _least(pa.concat_tables([DRAWN.empty_table(), *tables]), self.most)


def _least(table: pa.Table, most: int) -> pa.Table:
    order = [("hash", "ascending"), ("id", "ascending")]
    rows = pc.sort_indices(table.select(["hash", "id"]), sort_keys=order)
    return table.take(rows.slice(0, most)).combine_chunks()


def counters(seed: int, kept: int | None = None, left: int | None = None) -> tuple[Draw, Draw]:
    """Returns what draws of a corpus: of so many documents that stayed, and that left; None is not known."""
    return (
        Draw(seed, kept=True, most=MOST if kept is None else most_of(kept), expected=kept),
        Draw(seed, kept=False, most=MOST_LEFT, expected=left),
    )
