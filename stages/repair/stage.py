"""The repair step: what a page did to its text is undone, a rule at a time, and every change is in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final

import numpy as np
import pyarrow as pa

from datapipe import Dataset, Stage, Work
from datapipe.dataset import Batches
from stages.buffers import utf8
from stages.repair import mojibake
from stages.repair.articles import part_id
from stages.repair.change import Change
from stages.repair.mend import LOST, Mended, mend
from stages.repair.recurring import without_recurring
from stages.repair.rules import Rules, load
from stages.repair.screen import screen
from stages.rewrite import rewritten
from stages.schema import ID

AS_THEY_ARE: Final = ("code", "table", "poetry")  # formats whose lines mean something
EMPTIED: Final = "emptied"


@dataclass(frozen=True, kw_only=True)
class Repair(Stage):
    """Mends texts: wrong characters, remnants of markup, machine-made Chinese, second copies, lines that are no text.

    Clean documents pass untouched. A paragraph is a line; blank lines around one that leaves become one break.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("opencc",)

    limits: Annotated[
        dict[str, dict[str, float]], "numbers of single rules by id, in place of those of stages/repair/rules.yaml"
    ] = field(default_factory=dict)
    enable: Annotated[tuple[str, ...], "ids of rules that are applied though they are not by default: articles"] = ()
    disable: Annotated[tuple[str, ...], "ids of rules that are not applied"] = ()
    recurring: Annotated[
        bool, "take out paragraphs that stand on many hosts, which writes the documents once more; needs column 'host'"
    ] = False

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents with their texts mended; those that are lost leave, articles on one page part."""
        rules = load(self.limits, self.enable, self.disable)
        made = inputs[0].map(Mend(rules), reads=("id", "text"))
        return without_recurring(made, rules) if self.recurring and rules.has("recurring") else made


@dataclass(frozen=True)
class Mend:
    """The map of the step: screens each batch, and mends the documents that the screen marks."""

    rules: Rules

    def __call__(self, batches: Batches, work: Work) -> Batches:
        """Yields the documents that stay."""
        for batch in batches:
            yield self._mended(batch, work)

    def _mended(self, batch: pa.RecordBatch, work: Work) -> pa.RecordBatch:
        texts = batch.column("text")
        marks = screen(texts, self.rules)
        broken = mojibake.suspects(texts) if self.rules.has("mojibake") else np.zeros(batch.num_rows, np.bool_)
        prose = _prose(batch)
        wanted = np.flatnonzero((marks > 0) & prose | broken | self._may_part(texts) & prose)
        work.count("screened", len(wanted))
        done = {
            row: mend(text, int(marks[row]), self.rules, broken=bool(broken[row]), whole=bool(prose[row]))
            for row in wanted.tolist()
            if (text := texts[row].as_py())
        }
        return settle(batch, {row: mended for row, mended in done.items() if _differs(mended)}, work)

    def _may_part(self, texts: pa.Array) -> np.ndarray:
        if not self.rules.has("articles"):
            return np.zeros(len(texts), np.bool_)
        least = 2 * self.rules["articles"].limit("characters")
        return np.asarray(np.diff(utf8(texts)[1]) >= least)


def settle(batch: pa.RecordBatch, done: Mapping[int, Mended], work: Work) -> pa.RecordBatch:
    """Returns the batch with what its documents (by row) came to, and writes the ledger."""
    if not done:
        return batch
    noted = [(row, change) for row, mended in done.items() for change in mended.changes if mended.parts]
    _note(batch, noted, work)
    rewrote = {row: mended.parts[0] for row, mended in done.items() if mended.parts}
    before = batch
    batch = rewritten(batch, list(rewrote), list(rewrote.values()))
    lost = {row: LOST if not mended.parts else EMPTIED for row, mended in done.items() if not any(mended.parts)}
    more = {row: mended.parts for row, mended in done.items() if len(mended.parts) > 1}
    if lost:
        mask = np.isin(np.arange(batch.num_rows), list(lost))
        values = [
            sum(change.characters for change in done[row].changes) if row in lost else None for row in range(len(mask))
        ]
        samples = [before.column("text")[row].as_py()[:160] if row in lost else None for row in range(len(mask))]
        kept = work.drop(
            batch,
            mask,
            rule=pa.array([lost.get(row) for row in range(len(mask))], pa.string()),
            value=pa.array(values, pa.float64()),
            note=pa.array(samples, pa.string()),
        )
        places = dict(zip(np.flatnonzero(~mask).tolist(), range(kept.num_rows), strict=True))
        batch, more = kept, {places[row]: parts for row, parts in more.items()}
    return _parted(batch, more, work) if more else batch


def _note(batch: pa.RecordBatch, noted: Sequence[tuple[int, Change]], work: Work) -> None:
    """Writes a row a document and rule: how many characters, and the first of them."""
    if not noted:
        return
    rows, changes = zip(*noted, strict=True)
    work.note(
        batch.take(pa.array(rows, pa.int64())),
        range(len(rows)),
        action="repair",
        rule=[change.rule for change in changes],
        value=[float(change.characters) for change in changes],
        note=[change.sample for change in changes],
    )
    for change in changes:
        work.count(f"characters.{change.rule}", change.characters)


def _parted(batch: pa.RecordBatch, more: Mapping[int, Sequence[str]], work: Work) -> pa.RecordBatch:
    """Returns the batch with the further articles of `more` (by row) after the first, each a document of its own."""
    source = [row for row in range(batch.num_rows) for _ in more.get(row, [""])]
    number = [place for row in range(batch.num_rows) for place in range(len(more.get(row, [""])))]
    made = batch.take(pa.array(source, pa.int64()))
    whole = made.column("id").to_pylist()
    ids = pa.array([part_id(whole[row], place) for row, place in enumerate(number)], ID)
    made = made.set_column(made.schema.get_field_index("id"), made.schema.field("id"), ids)
    new = [row for row, place in enumerate(number) if place]
    texts = [more[source[row]][number[row]] for row in new]
    made = rewritten(made, new, texts)
    work.split(len(new))
    value = pa.array([float(place) for place in number])
    work.note(made, new, action="split", rule="articles", value=value, other=pa.array(whole, ID), sample="text")
    return made


def _differs(mended: Mended) -> bool:
    return bool(mended.changes) or len(mended.parts) != 1


def _prose(batch: pa.RecordBatch) -> np.ndarray:
    """Returns which documents are no code, table or verse by their column `format`; all where there is none."""
    place = batch.schema.get_field_index("format")
    if place < 0:
        return np.ones(batch.num_rows, np.bool_)
    return np.array([label not in AS_THEY_ARE for label in batch.column(place).to_pylist()], np.bool_)
