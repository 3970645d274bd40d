"""Units leave the texts of their documents; a document of which too little is left leaves too."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit

from datapipe import StageError, Work
from datapipe.dataset import Batches
from stages.dedup.clusters import Sorted
from stages.dedup.keys import SHARD_BITS
from stages.lines.count import VERDICTS, Look, Unit, recurring_within
from stages.lines.units import BLANK, Flags, Places, Units, cut
from stages.rewrite import rewritten

SAMPLE_CHARACTERS: Final = 120
SAMPLE_UNITS: Final = 8
EMPTIED: Final = "emptied"


class Change(NamedTuple):
    """What is left of a text, how many units went, the first of them, and the rule by which the document leaves."""

    text: str
    units: int
    sample: str
    rule: str | None
    value: float
    limit: float | None


@dataclass(frozen=True)
class Settle:
    """Takes units out of documents, writes the ledger, and drops documents of which too little is left."""

    unit: Unit
    least_left: int
    least_left_ratio: float

    def without(self, batch: pa.RecordBatch, rows: Places, places: Places, work: Work) -> pa.RecordBatch:
        """Returns the documents that stay; the unit `places[n]` of the document in `rows[n]` goes, rows ascending."""
        touched, document = np.unique(rows, return_inverse=True)
        texts = batch.column("text").take(pa.array(touched))
        units = cut(texts, self.unit)
        first = np.searchsorted(units.document, document)
        gone = np.zeros(len(units.document), np.uint8)
        if (first + places >= len(gone)).any() or (units.document[first + places] != document).any():
            raise StageError(f"dedup_lines: shard {work.number} does not hold the units that were compared; run again")
        gone[first + places] = 1
        changes = dict(zip(touched.tolist(), self._changes(units, gone, texts), strict=True))
        work.count("units_removed", len(rows))
        work.count("units_removed_bytes", int(np.diff(units.borders)[gone > 0].sum()))
        work.count("documents_changed", len(changes))
        left = {row: change for row, change in changes.items() if change.rule is None}
        work.note(
            batch,
            list(left),
            action="repair",
            rule=f"recurring_{self.unit}",
            value=_by_row(batch, {row: float(change.units) for row, change in left.items()}, pa.float64()),
            note=_by_row(batch, {row: change.sample for row, change in left.items()}, pa.string()),
        )
        made = rewritten(batch, list(left), [change.text for change in left.values()])
        lost = {row: change for row, change in changes.items() if change.rule is not None}
        return work.drop(
            made,
            np.isin(np.arange(batch.num_rows), list(lost)),
            rule=_by_row(batch, {row: change.rule for row, change in lost.items()}, pa.string()),
            value=_by_row(batch, {row: change.value for row, change in lost.items()}, pa.float64()),
            limit=_by_row(batch, {row: change.limit for row, change in lost.items()}, pa.float64()),
            note=_by_row(batch, {row: change.sample for row, change in lost.items()}, pa.string()),
        )

    def _changes(self, units: Units, gone: Flags, texts: pa.Array) -> list[Change]:
        stays = np.empty(len(gone), np.uint8)
        ends_gone = np.zeros(len(texts), np.uint8)
        _stays(gone, units.flags, units.document, stays, ends_gone)
        content, offsets = _kept(units, stays, len(texts))
        taken = np.flatnonzero(gone)
        firsts = np.searchsorted(units.document[taken], np.arange(len(texts) + 1)).tolist()
        made = []
        for document, (first, last) in enumerate(pairwise(firsts)):
            kept = content[offsets[document] : offsets[document + 1]]
            text = (kept.rstrip(b"\r\n") if ends_gone[document] else kept).decode()
            some = taken[first : min(last, first + SAMPLE_UNITS)].tolist()
            sample = _sample([units.data[units.borders[unit] : units.borders[unit + 1]].tobytes() for unit in some])
            made.append(Change(text, last - first, sample, *self._left(text, texts[document])))
        return made

    def _left(self, text: str, before: pa.Scalar) -> tuple[str | None, float, float | None]:
        """Returns by which rule, value and limit a document leaves, if it does."""
        if not text.strip():
            return EMPTIED, 0.0, None
        if len(text) < self.least_left:
            return "least_left", float(len(text)), float(self.least_left)
        if self.least_left_ratio > 0:
            share = len(text) / len(before.as_py())
            if share < self.least_left_ratio:
                return "least_left_ratio", share, self.least_left_ratio
        return None, 0.0, None


def _kept(units: Units, stays: Flags, documents: int) -> tuple[bytes, list[int]]:
    """Returns the bytes of the units that stay, and where documents begin and end in them."""
    lengths = np.diff(units.borders)
    mask = np.repeat(stays.astype(np.bool_), lengths)
    content = units.data[units.borders[0] : units.borders[-1]][mask].tobytes()
    ends = np.concatenate([[0], np.cumsum(lengths * stays)])
    return content, ends[np.searchsorted(units.document, np.arange(documents + 1))].tolist()


@njit(cache=True, nogil=True)
def _stays(gone: Flags, flags: Flags, document: Places, stays: Flags, ends_gone: Flags) -> None:
    """Fills which units stay, and for which documents a unit went and none after it stays.

    Of the blank lines around a unit that goes, no more stay than were on one side of it.
    """
    unit = 0
    while unit < len(gone):
        first, kept, pending = unit, -1, False
        while unit < len(gone) and document[unit] == document[first]:
            is_blank = flags[unit] & BLANK != 0
            stays[unit] = 0
            if gone[unit]:
                pending = True
            elif not (pending and is_blank and (kept < 0 or flags[kept] & BLANK != 0)):
                stays[unit], kept, pending = 1, unit, False
            unit += 1
        while pending and kept >= first and (stays[kept] == 0 or flags[kept] & BLANK != 0):
            stays[kept] = 0
            kept -= 1
        ends_gone[document[first]] = pending


def _sample(taken: list[bytes]) -> str:
    joined = " / ".join(" ".join(one[: 4 * SAMPLE_CHARACTERS].decode(errors="ignore").split()) for one in taken)
    return joined[:SAMPLE_CHARACTERS]


def _by_row(batch: pa.RecordBatch, values: dict[int, object], kind: pa.DataType) -> pa.Array:
    """Returns a column of the batch from values by row, null elsewhere."""
    return pa.array([values.get(row) for row in range(batch.num_rows)], kind)


@dataclass(frozen=True)
class Remove:
    """Takes the units out that recur in other documents; the verdicts lie beside, sorted by (gid, place)."""

    settle: Settle

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields the documents that stay."""
        verdicts = Sorted(work.beside(), VERDICTS)
        gid = work.number << SHARD_BITS
        for batch in batches:
            found = verdicts.below(gid + batch.num_rows)
            rows, places = np.asarray(found.column("gid")) - gid, np.asarray(found.column("place"))
            gid += batch.num_rows
            yield self.settle.without(batch, rows, places, work) if len(rows) else batch
        verdicts.end(work)


@dataclass(frozen=True)
class Within:
    """Takes the units out that their own document has again: no exchange is needed."""

    look: Look
    least: int
    keep: str
    settle: Settle

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields the documents that stay."""
        for batch in batches:
            units, hashes, wanted = self.look.at(batch, work)
            gone = np.flatnonzero(recurring_within(hashes, units.document, wanted, self.least, self.keep))
            rows, places = units.document[gone], units.place[gone]
            yield self.settle.without(batch, rows, places, work) if len(gone) else batch
