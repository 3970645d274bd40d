"""What an earlier run makes one expect: the share that each rule took of each source, and of each group at each stage.

It is counted anew from what that run published, index (or documents) and ledger, so of every rule and group, source by
source; of its report it needs the stages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from datapipe import LEDGER, Work
from stages.audit.frames import lines_of
from stages.audit.measures import wilson
from stages.audit.passage import Passage, stages_of
from stages.audit.published import DOCUMENTS, INDEX, LEDGER_FILES, Published, ReadColumns, published
from stages.audit.watch.seen import AXES, COLUMNS, LEDGER_COLUMNS, MADE, Place, part_of

_LEDGER: Final = pa.schema([LEDGER.field(name) for name in ("stage", *LEDGER_COLUMNS)])
_ROWS: Final = pa.schema([LEDGER.field(name) for name in COLUMNS])


@dataclass(frozen=True)
class Band:
    """Between which shares one is expected to lie."""

    low: float
    high: float


@dataclass(frozen=True)
class Taken:
    """How many documents of those that came were taken."""

    taken: int
    came: int

    def band(self, tolerance: float) -> Band:
        """Returns the 95 % interval of the share, as a draw of what else might have come, wider by `tolerance`."""
        rate = wilson(self.taken, self.came)
        return Band(max(0.0, rate.low - tolerance), min(1.0, rate.high + tolerance))


@dataclass(frozen=True)
class Like:
    """An earlier run: by source, what each rule took of what came to its stage, and what stages took of each group.

    `rules` are by (stage, rule with its action), `groups` by (stage, axis, label), both then by source.
    """

    folder: str
    stages: tuple[str, ...]
    rules: Mapping[tuple[str, str], Mapping[str, Taken]]
    groups: Mapping[tuple[str, str, str], Mapping[str, Taken]]

    @property
    def labels(self) -> dict[str, set[str]]:
        """The groups of each axis that were there."""
        found: dict[str, set[str]] = {axis: set() for axis in AXES}
        for _, axis, label in self.groups:
            found[axis].add(label)
        return found


def like(folder: str) -> Like:
    """Returns what the finished run in a folder makes one expect.

    Raises:
        ConfigError: there is no finished run.
        DataError: what it published is damaged.
    """
    run = published(folder)
    stages = stages_of(run.run)
    ways: dict[tuple[str, str], dict[str, Passage]] = {}  # by axis and label, then by source
    for (labels, stage, how), amount in _sums(run).items():
        action, _, rule = how.partition(".")
        source = labels[AXES.index("source")] or ""
        for axis, label in (("", ""), *zip(AXES, labels, strict=True)):
            if label is not None:
                way = ways.setdefault((axis, label), {}).setdefault(source, Passage())
                way.add(stage, action or None, rule, amount)
    whole = ways.pop(("", ""), {})
    known = {one["stage"]: set(_known(one)) for one in run.run["stages"]}
    rules: dict[tuple[str, str], dict[str, Taken]] = {}
    groups: dict[tuple[str, str, str], dict[str, Taken]] = {}
    for source, way in whole.items():
        for step in way.steps(stages):
            came = step.came + step.made
            taken = Counter({f"{action}.{rule}": n for (at, action, rule), n in way.left.items() if at == step.stage})
            for rule in {*known.get(step.stage, ()), *taken} if came else ():
                if not rule.startswith(MADE):
                    rules.setdefault((step.stage, rule), {})[source] = Taken(taken[rule], came)
    takes = {stage for stage, _ in rules}
    for (axis, label), by_source in ways.items():
        for source, way in by_source.items():
            for step in way.steps(stages):
                if step.stage in takes and step.came + step.made > 0:
                    taken_here = Taken(step.lost("all"), step.came + step.made)
                    groups.setdefault((step.stage, axis, label), {})[source] = taken_here
    return Like(run.folder, stages, rules, groups)


def _known(stage: Mapping[str, object]) -> Iterator[str]:
    """Yields the rules of a stage that a document might have broken, whether any did or not."""
    counts = stage["counts"]
    assert isinstance(counts, Mapping)
    for name in counts:
        if name.startswith("evaluated."):
            yield f"drop.{name.removeprefix('evaluated.')}"


def _sums(run: Published) -> Counter[tuple[tuple[str | None, ...], str, str]]:
    """Returns documents by their labels, the stage that they left, and how; both empty of those that stayed."""
    sums: Counter[tuple[tuple[str | None, ...], str, str]] = Counter()
    for table, ledger in _tables(run):
        stages = [""] if ledger is None else sorted(set(ledger.column("stage").to_pylist()) - {None})
        for stage in stages:
            gone = _LEDGER.empty_table() if ledger is None else ledger.filter(pc.equal(ledger.column("stage"), stage))
            for (labels, how), amount in part_of(table, gone, Place(stage)).documents.items():
                sums[labels, stage, how] += amount
    return sums


def _tables(run: Published) -> Iterator[tuple[pa.Table, pa.Table | None]]:
    """Yields rows of documents that stayed, with None, and of none with those of the ledger."""
    for file in run.files(INDEX) or run.files(DOCUMENTS):
        read = ReadColumns(_ROWS)
        batches = read([file], Work(0)) if file.name.endswith(".parquet") else lines_of(file)
        for batch in batches:
            there = [name for name in COLUMNS if name in batch.schema.names]
            yield pa.Table.from_batches([batch]).select(there), None
    for file in run.files(LEDGER_FILES):
        for batch in ReadColumns(_LEDGER)([file], Work(0)):
            yield _ROWS.empty_table(), pa.Table.from_batches([batch])
