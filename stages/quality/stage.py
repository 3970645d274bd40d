"""Quality: signals of every document, and the rules of its language that decide whether it stays."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datapipe import ID, Dataset, Output, Stage, Work
from stages.quality.judge import Verdict, judge
from stages.quality.measure import measure
from stages.quality.signals import SIGNALS
from stages.quality.tables import Table, load, override
from stages.schema import QUALITY

PROFILES = {
    "zho_Hans": "zh-web-v1",
    "zho_Hant": "zh-web-v1",
    "yue_Hant": "zh-web-v1",
    "eng_Latn": "gopher",
    "mixed": "mixed-v1",
    "default": "gopher-any",
}
JUDGED = pa.schema(
    [
        pa.field("id", ID),
        pa.field("source", pa.string()),
        pa.field("language", pa.string()),
        pa.field("profile", pa.string()),  # the rule table that the document was judged by
        pa.field("rule", pa.string()),  # the first rule that it broke, null where it stayed
        *SIGNALS,
    ]
)


@dataclass(frozen=True, kw_only=True)
class Quality(Stage):
    """Measures every document and drops those that break a rule of their language's table."""

    profiles: Annotated[
        dict[str, str],
        "rule table by language: a name in the package or a path to YAML; replaces entries of the default",
    ] = field(default_factory=lambda: dict(PROFILES))
    limits: Annotated[
        dict[str, dict[str, float | None]],
        "min and max of single rules by id, in place of those of the tables; null takes a limit away",
    ] = field(default_factory=dict)

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents that break no rule; the output `signals` has a row for each that came."""
        profiles = {**PROFILES, **self.profiles}
        tables = override({name: load(name) for name in sorted(set(profiles.values()))}, self.limits)
        return inputs[0].map(
            partial(filter_documents, profiles=profiles, tables=tables),
            reads=("id", "text", "language"),
            adds=QUALITY,
            outputs=(Output("signals", JUDGED, publish="signals/part-{number:05}-of-{shards:05}.parquet"),),
        )


def filter_documents(
    batches: Iterator[pa.RecordBatch], work: Work, *, profiles: Mapping[str, str], tables: Mapping[str, Table]
) -> Iterator[pa.RecordBatch]:
    """Yields the documents that break no rule of the table that `profiles` names for their language."""
    for batch in batches:
        signals = measure(batch.column("text"))
        chosen = [profiles.get(label, profiles["default"]) for label in batch.column("language").to_pylist()]
        broken = Broken.none(batch.num_rows)
        for name in sorted(set(chosen)):
            rows = np.flatnonzero([table == name for table in chosen])
            verdict = judge(signals.take(pa.array(rows)), batch.column("language").take(pa.array(rows)), tables[name])
            count_rules(verdict, tables[name], work)
            broken.add(rows, verdict, tables[name])
        work.put("signals", _judged(batch, chosen, broken, signals))
        yield _scored(broken.drop(batch, work))


@dataclass
class Broken:
    """The rules that the documents of a batch broke: a row a document and rule, in the order (document, table)."""

    first: NDArray[np.object_]  # the first rule of each document, or None
    value: NDArray[np.float64]
    limit: NDArray[np.float64]
    further: list[tuple[int, int, str, float, float]]  # document, place in its table, rule, value, limit

    @classmethod
    def none(cls, documents: int) -> "Broken":
        """Returns that nothing is broken."""
        return cls(np.full(documents, None, object), np.zeros(documents), np.zeros(documents), [])

    def add(self, rows: NDArray[np.int64], verdict: Verdict, table: Table) -> None:
        """Adds the verdict on the documents `rows`."""
        first = verdict.first
        for rule, place in zip(*np.nonzero(verdict.fired), strict=True):
            row, value, limit = int(rows[place]), float(verdict.values[rule, place]), float(verdict.limits[rule, place])
            if first[place] == rule:
                self.first[row], self.value[row], self.limit[row] = table[rule].id, value, limit
            else:
                self.further.append((row, int(rule), table[rule].id, value, limit))

    def drop(self, batch: pa.RecordBatch, work: Work) -> pa.RecordBatch:
        """Returns the documents that broke no rule; the others leave, with an `also` row a further rule."""
        mask = np.array([rule is not None for rule in self.first], bool)
        rules = pa.array(self.first.tolist(), pa.string())
        kept = work.drop(batch, mask, rule=rules, value=self.value, limit=self.limit, sample="text")
        if self.further:
            rows, _, also, value, limit = zip(*sorted(self.further), strict=True)
            noted = batch.take(pa.array(rows, pa.int64()))
            work.note(noted, range(len(rows)), action="also", rule=list(also), value=list(value), limit=list(limit))
        return kept


def count_rules(verdict: Verdict, table: Table, work: Work) -> None:
    """Counts, for each rule, the documents it was evaluated for, those it fired on, and those only it fired on."""
    alone = verdict.fired.sum(axis=0) == 1
    for number, rule in enumerate(table):
        work.count(f"evaluated.{rule.id}", int(verdict.evaluated[number].sum()))
        work.count(f"fired.{rule.id}", int(verdict.fired[number].sum()))
        work.count(f"sole.{rule.id}", int((verdict.fired[number] & alone).sum()))


def _judged(batch: pa.RecordBatch, chosen: list[str], broken: Broken, signals: pa.RecordBatch) -> pa.RecordBatch:
    has_source = batch.schema.get_field_index("source") >= 0
    columns = [
        batch.column("id"),
        batch.column("source") if has_source else pa.nulls(batch.num_rows, pa.string()),
        batch.column("language"),
        pa.array(chosen, pa.string()),
        pa.array(broken.first.tolist(), pa.string()),
        *signals.columns,
    ]
    return pa.RecordBatch.from_arrays(columns, schema=JUDGED)


def _scored(batch: pa.RecordBatch) -> pa.RecordBatch:
    unknown = pa.array(np.full(batch.num_rows, np.nan, np.float32))
    place = batch.schema.get_field_index("quality")
    if place >= 0:
        return batch.set_column(place, QUALITY.field(0), unknown)
    return batch.append_column(QUALITY.field(0), unknown)
