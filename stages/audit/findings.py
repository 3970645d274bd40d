"""Counters of what steps found in documents: personal details, benchmarks, unsafe text, labels of classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stages import schema
from stages.audit.counter import summed
from stages.audit.frame import FRAME
from stages.audit.groups import AMOUNTS, column, grouped, score_band
from stages.quality.judge import judge
from stages.quality.tables import Rule, load

TOPICS: Final = ("adult", "spam")  # of the rules of the table `safety`, by their signals
DENSITIES: Final = (*TOPICS, "insult")
LEVELS: Final = (0.0, 1.0, 3.0, 6.0, 15.0)  # hits a 1,000 characters that documents are above of
_STEP: Final = r"^pii(-[0-9]+)?$"
_LEFT: Final = pa.array(["drop", "duplicate_of", "quarantine"])
_KNOWN: Final = frozenset(name for one in vars(schema).values() if isinstance(one, pa.Schema) for name in one.names) | {
    *FRAME.names,
    "doc_id",
}
_WEIGHED: Final = ["source", *AMOUNTS[1:]]
Mask = npt.NDArray[np.bool_]
_CUT: Final = 80  # characters of what a page or a model states


def _sums(keys: Sequence[tuple[str, pa.DataType]], *names: str) -> pa.Schema:
    return pa.schema([*(pa.field(*key) for key in keys), *(pa.field(name, pa.int64()) for name in names)])


@dataclass(frozen=True)
class Details:
    """Counts the personal details that steps `pii` found, by kind and by what was done, and whether the text stayed."""

    name: str = "risk_details"

    @property
    def schema(self) -> pa.Schema:
        """Keys and sums; `details` are how many there were in the documents."""
        keys = [("source", pa.string()), ("kind", pa.string()), ("action", pa.string()), ("stayed", pa.bool_())]
        return _sums(keys, "documents", "details")

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums of the rows of the ledger."""
        if ledger is None:
            return self.schema.empty_table()
        told = pc.match_substring_regex(pc.fill_null(ledger.column("stage"), ""), _STEP)
        done = pc.is_in(ledger.column("action"), pa.array(["repair", "drop"]))
        found = ledger.filter(pc.and_(told, done))
        gone = frame.filter(pc.is_in(frame.column("action"), _LEFT)).column("id")
        stayed = pc.invert(pc.is_in(found.column("id"), gone.combine_chunks()))
        table = pa.table(
            {
                "source": found.column("source"),
                "kind": pc.replace_substring_regex(found.column("rule"), "^pii_", ""),
                "action": found.column("action"),
                "stayed": stayed,
                "documents": np.ones(found.num_rows, np.int64),
                "details": pc.round(pc.fill_null(found.column("value"), 0.0)).cast(pa.int64()),
            }
        )
        return self.merge([table])

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, ["source", "kind", "action", "stayed"], self.schema)


@cache
def rules(topic: str) -> tuple[Rule, ...]:
    """Returns the rules of the table `safety` on a topic, at the limits that it ships with."""
    return tuple(rule for rule in load("safety").rules if rule.signal == f"{topic}_density")


@dataclass(frozen=True)
class Unsafe:
    """Counts documents beyond the limits of the table `safety`, by topic, whether they stayed or a rule took them.

    Of those that left, these are the ones of which the ledger says that such a rule fired, first or also; of those that
    stayed, the ones whose columns are beyond the limits that the table ships with, as where no rule was asked.
    """

    name: str = "risk_unsafe"

    @property
    def schema(self) -> pa.Schema:
        """Keys and sums."""
        return _sums([("source", pa.string()), ("topic", pa.string()), ("left", pa.bool_())], *AMOUNTS)

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums; one of both topics counts for each, and one of either for `any`."""
        masks: dict[str, Mask] = _beyond(frame) if ledger is None else _fired(frame, ledger)
        masks["any"] = masks["adult"] | masks["spam"]
        parts, weighed = [], frame.select(_WEIGHED)
        for topic, mask in masks.items():
            if not mask.any():
                continue
            own = weighed.filter(pa.array(mask))
            keys = {
                "source": own.column("source"),
                "topic": pa.repeat(topic, own.num_rows),
                "left": pa.repeat(ledger is not None, own.num_rows),
            }
            parts.append(grouped(own, keys, self.schema))
        return self.merge(parts)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, ["source", "topic", "left"], self.schema)


def _beyond(frame: pa.Table) -> dict[str, Mask]:
    made: dict[str, Mask] = {}
    for topic in TOPICS:
        names = (f"{topic}_density", f"{topic}_terms")
        if frame.num_rows and set(names) <= set(frame.column_names):
            columns = [frame.column(name).combine_chunks() for name in names]
            batch = pa.RecordBatch.from_arrays(columns, names=list(names))
            made[topic] = np.asarray(judge(batch, rules(topic)).fired.any(axis=0))
        else:
            made[topic] = np.zeros(frame.num_rows, bool)
    return made


def _fired(frame: pa.Table, ledger: pa.Table) -> dict[str, Mask]:
    left = np.asarray(pc.is_in(frame.column("action"), _LEFT))
    asked = ledger.filter(pc.is_in(ledger.column("action"), pa.array(["drop", "also"])))
    made: dict[str, Mask] = {}
    for topic in TOPICS:
        named = pc.is_in(asked.column("rule"), pa.array([rule.id for rule in rules(topic)]))
        ids = asked.filter(named).column("id").combine_chunks()
        made[topic] = left & np.asarray(pc.is_in(frame.column("id"), ids))
    return made


@dataclass(frozen=True)
class Densities:
    """Counts the documents that stayed by how dense adult terms, spam and insults are in them."""

    name: str = "risk_densities"

    @property
    def schema(self) -> pa.Schema:
        """For each topic the greatest of LEVELS that they are above of, -1 for no hit, and sums."""
        return _sums([(topic, pa.int64()) for topic in DENSITIES], *AMOUNTS)

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums."""
        if ledger is not None:
            return self.schema.empty_table()
        return grouped(frame, {topic: _level(column(frame, f"{topic}_density")) for topic in DENSITIES}, self.schema)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, DENSITIES, self.schema)


def _level(density: pa.ChunkedArray) -> pa.Array:
    values = np.asarray(pc.fill_null(density.cast(pa.float64()), np.nan))
    return pa.array(np.searchsorted(LEVELS, values, side="left") - 1, pa.int64(), mask=np.isnan(values))


@dataclass(frozen=True)
class Benchmarks:
    """Counts the documents that stayed with items of benchmarks, by benchmark and source; `items` are of documents."""

    name: str = "risk_benchmarks"

    @property
    def schema(self) -> pa.Schema:
        """Keys and sums."""
        return _sums([("benchmark", pa.string()), ("source", pa.string())], "items", *AMOUNTS)

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums; a document counts for each benchmark that it holds items of."""
        if ledger is not None:
            return self.schema.empty_table()
        held = frame.select([*_WEIGHED, "contamination"]).filter(pc.is_valid(frame.column("contamination")))
        parts = pc.split_pattern(column(held, "contamination").combine_chunks(), " ")
        told = pc.extract_regex(pc.list_flatten(parts), pattern=r"^(?P<benchmark>[^:]+):(?P<items>[0-9]{1,15})$")
        own = held.take(pc.list_parent_indices(parts)).append_column(
            "items", pc.struct_field(told, "items").cast(pa.int64())
        )
        keys = {"benchmark": pc.struct_field(told, "benchmark"), "source": own.column("source")}
        return grouped(own, keys, self.schema)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, ["benchmark", "source"], self.schema)


@dataclass(frozen=True)
class Items:
    """Counts, for each item of a benchmark, the documents that hold some of it; reads `signals/contamination-`."""

    name: str = "risk_items"

    @property
    def schema(self) -> pa.Schema:
        """Item, the documents, those that hold half of its n-grams or more, and the greatest share of any."""
        keys = [("benchmark", pa.string()), ("item", pa.string())]
        return _sums(keys, "documents", "half").append(pa.field("share", pa.float32()))

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns a row an item."""
        shares = pc.fill_null(column(frame, "share").cast(pa.float32()), 0)
        table = pa.table(
            {
                "benchmark": column(frame, "benchmark"),
                "item": pc.utf8_slice_codeunits(column(frame, "item").cast(pa.string()), 0, 4 * _CUT),
                "documents": np.ones(frame.num_rows, np.int64),
                "half": pc.greater_equal(shares, 0.5).cast(pa.int64()),
                "share": shares,
            }
        )
        return self.merge([table])

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums, and the greatest shares, of tables."""
        whole = pa.concat_tables([self.schema.empty_table(), *(table.cast(self.schema) for table in tables)])
        made = whole.group_by(["benchmark", "item"], use_threads=False).aggregate(
            [("documents", "sum"), ("half", "sum"), ("share", "max")]
        )
        columns = [made.column(name) for name in ("benchmark", "item", "documents_sum", "half_sum", "share_max")]
        table = pa.Table.from_arrays(columns, names=self.schema.names).cast(self.schema)
        return table.sort_by([("benchmark", "ascending"), ("item", "ascending")])


@dataclass(frozen=True)
class Labels:
    """Counts the documents that stayed by what classifiers say in columns that no step of ours is known to make.

    That is, in pairs `NAME` (a label) and `NAME_score`, and in columns of numbers; what is not from 0 to 1 is no score,
    and counted under the step -1.
    """

    name: str = "risk_labels"

    @property
    def schema(self) -> pa.Schema:
        """The column, its label or its score in steps of 1/1024, and sums."""
        return _sums([("column", pa.string()), ("label", pa.string()), ("step", pa.int64())], *AMOUNTS)

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums of documents that have a label or a score."""
        if ledger is not None:
            return self.schema.empty_table()
        parts = []
        for name in _own(frame):
            values = frame.column(name)
            is_label = pa.types.is_string(values.type)
            labels = pc.utf8_slice_codeunits(values, 0, _CUT) if is_label else pa.nulls(frame.num_rows, pa.string())
            steps = pa.nulls(frame.num_rows, pa.int64()) if is_label else _steps(values)
            keys = {"column": pa.repeat(name, frame.num_rows), "label": labels, "step": steps}
            made = grouped(frame, keys, self.schema)
            parts.append(made.filter(pc.or_(pc.is_valid(made.column("label")), pc.is_valid(made.column("step")))))
        return self.merge(parts)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, ["column", "label", "step"], self.schema)


def _own(frame: pa.Table) -> list[str]:
    """Returns the columns that hold what a classifier of somebody says."""
    kinds = {name: frame.schema.field(name).type for name in frame.column_names}
    labels = [name for name, kind in kinds.items() if pa.types.is_string(kind) and f"{name}_score" in kinds]
    paired = {f"{name}_score" for name in labels}
    scores = [name for name, kind in kinds.items() if pa.types.is_floating(kind) and name not in paired]
    return sorted(name for name in {*labels, *scores} if name not in _KNOWN)


def _steps(values: pa.ChunkedArray) -> pa.ChunkedArray:
    numbers = values.cast(pa.float64())
    sound = pc.and_(pc.greater_equal(numbers, 0), pc.less_equal(numbers, 1))
    return pc.if_else(pc.or_(sound, pc.is_nan(numbers)), score_band(values), pa.scalar(-1, pa.int64()))


@dataclass(frozen=True)
class Charsets:
    """Sums up which charsets pages stated, and which they were read with; reads `signals/charsets-`."""

    name: str = "risk_charsets"

    @property
    def schema(self) -> pa.Schema:
        """Keys and sums."""
        keys = [(name, pa.string()) for name in ("charset_declared", "charset", "charset_by")]
        return _sums(keys, "documents", "replaced", "suspects")

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums of rows of such a table."""
        keys = self.schema.names[:3]
        columns = {name: pc.utf8_slice_codeunits(column(frame, name), 0, _CUT) for name in keys}
        sums = {name: column(frame, name).cast(pa.int64()) for name in self.schema.names[3:]}
        return self.merge([pa.table({**columns, **sums})])

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, self.schema.names[:3], self.schema)
