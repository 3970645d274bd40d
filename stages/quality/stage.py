"""Quality: signals of every document, and the rules of its language that decide whether it stays."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from datapipe import ID, ConfigError, Dataset, Output, Stage, Work
from datapipe.dataset import Map, parents_of
from stages.quality.edit import LINE_SIGNALS, edit_lines
from stages.quality.judge import Verdict, judge, pareto_share
from stages.quality.measure import measure
from stages.quality.published import PUBLISHED, jieba_version, measure_published
from stages.quality.signals import SIGNALS
from stages.quality.tables import Rule, Table, check, load, override, plain
from stages.rewrite import rewritten
from stages.schema import QUALITY

PROFILES = {
    "zho_Hans": "zh-web-v1",
    "zho_Hant": "zh-web-v1",
    "yue_Hant": "zh-web-v1",
    "yue_Hans": "zh-web-v1",
    "lzh_Hans": "zh-classical-v1",
    "lzh_Hant": "zh-classical-v1",
    "eng_Latn": "gopher",
    "mixed": "mixed-v1",
    "default": "gopher-any",
}
Labels = NDArray[np.str_]

METADATA = b"datapipe.quality"
ORIGINAL = "original_"
REMOVED = pa.field(
    "removed_word_ratio", pa.float32(), metadata={"meaning": "units that went with removed lines among all"}
)
JUDGED = pa.schema(
    [
        pa.field("id", ID),
        pa.field("source", pa.string()),
        pa.field("host", pa.string()),
        pa.field("language", pa.string()),
        pa.field("script", pa.string()),
        pa.field("format", pa.string()),
        pa.field("bytes", pa.int64()),  # of the text's UTF-8, as it stays
        pa.field("profile", pa.string()),  # the rule table of its language that the document was judged by
        pa.field("rule", pa.string()),  # the first rule that it broke, null where it stayed
    ]
)
UNSCORED = pa.schema([QUALITY.field(0).with_metadata({**(QUALITY.field(0).metadata or {}), "scored": "no"})])


@dataclass(frozen=True, kw_only=True)
class Quality(Stage):
    """Measures every document and drops those that break a rule of their language's table."""

    version: ClassVar[int] = 2

    profiles: Annotated[
        dict[str, str],
        "rule table by language: a name in the package or a path to YAML; replaces entries of the default",
    ] = field(default_factory=lambda: dict(PROFILES))
    also: Annotated[
        tuple[str, ...], "rule tables that every document is judged by whatever its language: safety, classifier"
    ] = ()
    limits: Annotated[
        dict[str, dict[str, float | None]],
        "min, max, pareto and seed of single rules by id, in place of those of the tables; null takes a limit away",
    ] = field(default_factory=dict)

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents that break no rule; the output `signals` has a row for each that came."""
        profiles = {**PROFILES, **self.profiles}
        tables = {name: load(name) for name in sorted({*profiles.values(), *self.also})}
        _check_also(tables, profiles, self.also)
        tables = override(tables, self.limits)
        judged = _judged_schema(inputs[0].schema, tables)
        step, files = _names(inputs[0])
        described = {"step": step, "profiles": profiles, "also": self.also}
        described["tables"] = {name: plain(table) for name, table in tables.items()}
        if set(judged.names) & set(PUBLISHED.names):
            described["jieba"] = jieba_version()
        judged = judged.with_metadata({METADATA: json.dumps(described, sort_keys=True)})
        scored = "quality" in inputs[0].schema.names
        function = partial(filter_documents, profiles=profiles, also=self.also, tables=tables, judged=judged)
        return inputs[0].map(
            function,
            reads=("id", "text", "language"),
            adds=pa.schema([inputs[0].schema.field("quality")]) if scored else UNSCORED,
            outputs=(Output("signals", judged, publish=f"signals/{files}-{{number:05}}-of-{{shards:05}}.parquet"),),
        )


def _check_also(tables: Mapping[str, Table], profiles: Mapping[str, str], also: Sequence[str]) -> None:
    """Raises ConfigError where a table for all documents edits lines, or names a rule as another table does."""
    owners = {rule.id: name for name in profiles.values() for rule in tables[name].rules}
    for name in also:
        if tables[name].lines:
            raise ConfigError(f"quality: also: {name}: has rules on lines; only the table of a language may have them")
        for rule in tables[name].rules:
            if owners.setdefault(rule.id, name) != name:
                raise ConfigError(
                    f"quality: also: {name}: '{rule.id}' is the id of a rule of {owners[rule.id]} too; a document is "
                    "judged by both, so give each its own"
                )
    if len(set(also)) < len(also) or set(also) & set(profiles.values()):
        raise ConfigError("quality: also: names a table twice, or one that is a profile too")


def _judged_schema(given: pa.Schema, tables: Mapping[str, Table]) -> pa.Schema:
    """Returns the columns of `signals`: who and what, all of our signals, and others that the tables look at.

    Raises:
        ConfigError: a rule names a signal that is not there.
    """
    ours = {name: SIGNALS.field(name) for name in SIGNALS.names}
    before = {ORIGINAL + name: field.with_name(ORIGINAL + name) for name, field in ours.items()}
    carried = {column.name: column for column in given if _is_numeric(column.type)}
    known = {**carried, "bytes": JUDGED.field("bytes"), **ours, **before, REMOVED.name: REMOVED}
    known |= {item.name: item for item in PUBLISHED}
    used = {name: None for table in tables.values() for name in table.signals}
    check(tables, known, LINE_SIGNALS)
    for name in used:
        if name in carried and (carried[name].metadata or {}).get(b"scored") == b"no":
            raise ConfigError(
                f"quality: a rule looks at '{name}', which no classifier has scored: put a step `classify` before it"
            )
    always = pa.schema([*JUDGED, *ours.values()])
    return pa.schema([*always, *(known[name] for name in used if name not in always.names)])


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _names(given: Dataset) -> tuple[str, str]:
    """Returns the name of the step as the config counts it, and the first word of the names of its signal files."""
    seen, left, before = set(), [given], 0
    while left:
        made = left.pop()
        if id(made) not in seen:
            seen.add(id(made))
            left += [parent for _, parent in parents_of(made)]
            before += isinstance(made.op, Map) and getattr(made.op.function, "func", None) is filter_documents
    return (f"quality-{before + 1}", f"quality{before + 1}") if before else ("quality", "part")


def filter_documents(
    batches: Iterator[pa.RecordBatch],
    work: Work,
    *,
    profiles: Mapping[str, str],
    also: Sequence[str],
    tables: Mapping[str, Table],
    judged: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    """Yields the documents that break no rule of the tables `also` and of that which `profiles` names for them.

    Lines are edited before; `judged` is the schema of the output `signals`.
    """
    for batch in batches:
        chosen = np.array([profiles.get(label, profiles["default"]) for label in batch.column("language").to_pylist()])
        before = measure(batch.column("text"))
        edited = _edit(batch, chosen, tables, work)
        after = _measured_again(before, edited) if edited else before
        if edited:
            batch = rewritten(batch, list(edited), list(edited.values()))
        rows = _rows(batch, chosen, before, after, judged)
        broken = Broken.none(batch.num_rows)
        for name in sorted(set(chosen)):
            places = np.flatnonzero(chosen == name)
            rules = (*tables[name].rules, *(rule for other in also for rule in tables[other].rules))
            looked_at = rows.select(_looked_at(rows, rules))
            verdict = judge(looked_at if len(places) == len(chosen) else looked_at.take(pa.array(places)), rules)
            count_rules(verdict, rules, work)
            broken.add(places, verdict, rules)
        firsts = pa.array(broken.first.tolist(), pa.string())
        work.put("signals", rows.set_column(rows.schema.get_field_index("rule"), judged.field("rule"), firsts))
        yield _scored(broken.drop(batch, work))


def _looked_at(rows: pa.RecordBatch, rules: Sequence[Rule]) -> list[str]:
    """Returns the columns that the rules look at."""
    wanted = {"id", "language", "format", *(name for rule in rules for name in rule.signals)}
    return [name for name in rows.schema.names if name in wanted]


def _edit(batch: pa.RecordBatch, chosen: Labels, tables: Mapping[str, Table], work: Work) -> dict[int, str]:
    """Returns the texts that rules on lines change, by row; the ledger says which rule took how many lines."""
    texts: dict[int, str] = {}
    taken: list[tuple[int, str, float, str]] = []  # row, rule, lines, one of them
    for name in sorted(set(chosen)):
        places = np.flatnonzero(chosen == name)
        changed = edit_lines(batch.column("text").take(pa.array(places)), tables[name]) if tables[name].lines else {}
        for number, edited in changed.items():
            texts[int(places[number])] = edited.text
            for rule, lines in edited.rules.items():
                taken.append((int(places[number]), rule, float(lines), edited.samples[rule]))
                work.count(f"lines.{rule}", lines)
    if taken:
        rows, rules, amounts, samples = zip(*sorted(taken), strict=True)
        noted = batch.take(pa.array(rows, pa.int64()))
        work.note(noted, range(len(rows)), action="repair", rule=list(rules), value=list(amounts), note=list(samples))
    return dict(sorted(texts.items()))


def _measured_again(before: pa.RecordBatch, edited: Mapping[int, str]) -> pa.RecordBatch:
    """Returns the signals with those of the edited texts in the place of what they were."""
    again = pa.concat_batches([before, measure(pa.array(edited.values(), pa.large_string()))])
    places = np.arange(before.num_rows)
    places[list(edited)] = before.num_rows + np.arange(len(edited))
    return again.take(pa.array(places))


def _rows(
    batch: pa.RecordBatch, chosen: Labels, before: pa.RecordBatch, after: pa.RecordBatch, judged: pa.Schema
) -> pa.RecordBatch:
    """Returns the rows of `signals` before anything is judged."""
    made: dict[str, Callable[[], pa.Array]] = {
        "bytes": lambda: pc.binary_length(batch.column("text")).fill_null(0),
        "profile": lambda: pa.array(chosen.tolist(), pa.string()),
        REMOVED.name: lambda: _removed(before, after),
    }
    published: pa.RecordBatch | None = None
    columns = []
    for column in judged:
        if column.name in made:
            values = made[column.name]()
        elif column.name in after.schema.names:
            values = after.column(column.name)
        elif column.name.removeprefix(ORIGINAL) in before.schema.names:
            values = before.column(column.name.removeprefix(ORIGINAL))
        elif column.name in PUBLISHED.names:
            published = published or measure_published(batch.column("text"))
            values = published.column(column.name)
        elif batch.schema.get_field_index(column.name) >= 0:
            values = batch.column(column.name)
        else:
            values = pa.nulls(batch.num_rows, column.type)
        columns.append(values if values.type == column.type else values.cast(column.type))
    return pa.RecordBatch.from_arrays(columns, schema=judged)


def _removed(before: pa.RecordBatch, after: pa.RecordBatch) -> pa.Array:
    were, are = (rows.column("words").to_numpy().astype(np.float64) for rows in (before, after))
    return pa.array(((were - are) / np.maximum(were, 1)).astype(np.float32))


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

    def add(self, rows: NDArray[np.int64], verdict: Verdict, rules: Sequence[Rule]) -> None:
        """Adds the verdict on the documents `rows`."""
        first = verdict.first
        for rule, place in zip(*np.nonzero(verdict.fired), strict=True):
            row, value, limit = int(rows[place]), float(verdict.values[rule, place]), float(verdict.limits[rule, place])
            if first[place] == rule:
                self.first[row], self.value[row], self.limit[row] = rules[rule].id, value, limit
            else:
                self.further.append((row, int(rule), rules[rule].id, value, limit))

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


def count_rules(verdict: Verdict, rules: Sequence[Rule], work: Work) -> None:
    """Counts, for each rule, the documents it was evaluated for, those it fired on, and those only it fired on.

    For one that draws also the documents it kept, beside how many it was to keep by their scores (in thousandths, so
    that sums do not depend on batches), and those that have no score, which it keeps.
    """
    sums = [bits.sum(axis=1) for bits in (verdict.evaluated, verdict.fired, verdict.sole)]
    for number, rule in enumerate(rules):
        for name, amounts in zip(("evaluated", "fired", "sole"), sums, strict=True):
            work.count(f"{name}.{rule.id}", amounts[number])
        evaluated, fired = verdict.evaluated[number], verdict.fired[number]
        if rule.pareto is not None:
            expected = pareto_share(verdict.values[number][evaluated], rule.pareto)
            work.count(f"kept.{rule.id}", int((evaluated & ~fired).sum()))
            work.count(f"expected_kept_thousandths.{rule.id}", int(np.rint(1000 * expected).sum()))
            work.count(f"unscored.{rule.id}", int(np.isnan(verdict.values[number]).sum()))


def _scored(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Returns the batch with a column `quality`: NaN where no classifier has made one."""
    if batch.schema.get_field_index("quality") >= 0:
        return batch
    return batch.append_column(UNSCORED.field(0), pa.array(np.full(batch.num_rows, np.nan, np.float32)))
