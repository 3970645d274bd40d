"""What parts two runs over one document: the kind of the change, and the step, rule or input that caused it.

A cause here is that of the document itself. Where it is another document, a survivor, the cause points there, and
`chain` follows it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ID
from stages.audit.compare.entries import KNOWN
from stages.audit.compare.side import FATE, IDENTITY, SIDES, Side
from stages.audit.frame import KEPT
from stages.audit.hostile import CUT
from stages.audit.passage import ASIDE, DUPLICATE

SAME, FIELDS, TEXT = "same", "fields", "text"  # kinds: stayed in both
ONLY: Final = ("only_a", "only_b")  # stayed in one
GONE, OTHERWISE = "gone", "gone_otherwise"  # left both
GONE_ALONE: Final = ("gone_a", "gone_b")  # left the one that was given it
KINDS: Final = (SAME, FIELDS, TEXT, *ONLY, OTHERWISE, GONE, *GONE_ALONE)
UNTOLD: Final = (SAME, GONE)  # kinds that are no change

OVERLAY: Final = "overlay"  # in the place of a stage, of what an overlay takes out
REMOVED_BY: Final = "removed"
POINTS: Final = "survivor"  # the cause is another document's
LOOKED_AT: Final = (*FATE.names, *IDENTITY.names, "id", "edits", "out", "part_of")
# Causes of documents that two rules of one step took, first what tells most.
_TELLING: Final = (
    "limit",
    "step",
    "edits",
    "text",
    "extraction",
    "rule",
    POINTS,
    "fields",
    "config",
    "value",
    "unknown",
    *("aside", REMOVED_BY),
)
LONG: Final = 80  # characters of a value
_OF_MIX: Final = frozenset({"times_seen", "split"})
_OF_TOKENS: Final = frozenset({"tokens"}) | _OF_MIX
_OF_CLUSTER: Final = frozenset({"cluster_size", "weight"}) | _OF_TOKENS

CHANGE: Final = pa.schema(
    [
        pa.field("kind", pa.string()),
        pa.field("cause", pa.string()),  # the first one, with the stage and rule that it is of
        pa.field("stage", pa.string()),
        pa.field("rule", pa.string()),
        pa.field("moved", pa.string()),  # the limit of that rule in A and in B, where it was moved: "200 → 400"
        pa.field("via", pa.string()),  # the document's own cause, where the first one is another document's
        pa.field("steps", pa.int32()),  # from document to document to the first cause
        pa.field("chain", pa.string()),  # those documents: "a:<id> b:<id>"
        pa.field("matched", pa.string()),
        pa.field("id_a", ID),
        pa.field("id_b", ID),
        *(pa.field(name, IDENTITY.field(name).type) for name in IDENTITY.names if name not in ("bytes", "tokens")),
        *(pa.field(f"{name}_{side}", pa.int64()) for name in ("bytes", "tokens") for side in SIDES),
        *(pa.field(f"{one.name}_{side}", one.type) for side in SIDES for one in FATE),
        pa.field("fields", pa.string()),  # that differ, by name
        pa.field("values", pa.string()),  # the same with what they were and are: "quality: 0.5 → 0.6; …"
        pa.field("edits_a", pa.string()),
        pa.field("edits_b", pa.string()),
    ]
)
POINTER: Final = pa.schema(
    [
        pa.field("to_side", pa.int8()),
        pa.field("to_id", ID),
        pa.field("otherwise", pa.string()),  # cause, stage and rule where what is pointed to explains nothing
    ]
)
LOCAL: Final = pa.schema([*CHANGE, *POINTER])

Rules = dict[str, dict[str, tuple[tuple[float, ...], tuple[float, ...]]]]
Codes = npt.NDArray[np.int64]
Row = Mapping[str, Any]  # Any: Arrow's Python values


@dataclass(frozen=True)
class Cause:
    """Why two runs part over a document. With `side` and `id`, what became of that document of a side is the cause."""

    code: str
    stage: str | None = None
    rule: str | None = None
    moved: str | None = None
    side: int | None = None
    id: bytes | None = None
    otherwise: str | None = None  # what another `said`, where that document explains nothing

    def said(self) -> str:
        """Returns cause, stage and rule in one line."""
        return " ".join((self.code, self.stage or "", self.rule or ""))


@dataclass
class Known:
    """What both runs have: by side the sources and files, and the limits by (stage, rule) where it fired.

    `unread` are the files of which something could not be read.
    """

    sources: list[set[str | None]] = field(default_factory=lambda: [set(), set()])
    files: list[set[tuple[str | None, str | None]]] = field(default_factory=lambda: [set(), set()])
    unread: list[set[tuple[str | None, str | None]]] = field(default_factory=lambda: [set(), set()])
    limits: list[dict[tuple[str, str], set[float]]] = field(
        default_factory=lambda: [defaultdict(set), defaultdict(set)]
    )

    @classmethod
    def of(cls, table: pa.Table) -> Known:
        """Returns what rows of KNOWN say."""
        made = cls()
        for side, what, name, sub, limit in zip(*(table.column(key).to_pylist() for key in KNOWN.names), strict=True):
            if what == "source":
                made.sources[side].add(name)
            elif what == "file":
                made.files[side].add((name, sub))
            elif what == "unread":
                made.unread[side].add((name, sub))
            else:
                made.limits[side][name, sub] |= set() if limit is None else {limit}
        return made


@dataclass(frozen=True)
class Causes:
    """Says why two runs, about which `sides` and `known` tell, part over a document."""

    sides: tuple[Side, Side]
    known: Known

    @cached_property
    def _rules(self) -> tuple[Rules, ...]:
        """The limits below and above of the rules that each run says it had, by step and name."""
        made: tuple[Rules, ...] = ({}, {})
        for rules, side in zip(made, self.sides, strict=True):
            for stage, rule, low, high in side.limits:
                rules.setdefault(stage, {})[rule] = low, high
        return made

    @cached_property
    def _settings(self) -> tuple[dict[str, str], ...]:
        return tuple(dict(side.settings) for side in self.sides)

    @cached_property
    def _inputs(self) -> tuple[dict[str, str], ...]:
        return tuple(dict(side.inputs) for side in self.sides)

    def of(self, kind: str, rows: tuple[Row, Row]) -> Cause:
        """Returns the cause of a change; `rows` are the document in either corpus, all null where it is in one."""
        if kind == TEXT:
            return self._edited(rows) or Cause(self._of_input(rows))
        if kind in GONE_ALONE:
            return self._not_given(GONE_ALONE.index(kind), rows)
        if kind in ONLY:
            there = ONLY.index(kind)  # the side that it stayed in
            return self._not_given(there, rows) if rows[1 - there]["id"] is None else self._left(1 - there, rows)
        first = self._first(rows)
        cause = self._left(first, rows)
        if rows[0]["stage"] == rows[1]["stage"]:
            both = cause, self._left(1 - first, rows)  # whichever of the two is A: the same cause
            return min(both, key=lambda one: (_TELLING.index(one.code), one.rule or ""))
        return cause

    def _first(self, rows: tuple[Row, Row]) -> int:
        """Returns the side in which a document left at the earlier step."""
        stages = [side.stages for side in self.sides]
        for own in (0, 1):
            mine, other = rows[own]["stage"], rows[1 - own]["stage"]
            if other == OVERLAY:
                return own
            if mine in stages[1 - own] and other in stages[1 - own]:
                return own if stages[1 - own].index(mine) <= stages[1 - own].index(other) else 1 - own
        places = [(self._place(row["stage"]), row["stage"]) for row in rows]
        return places.index(min(places))  # each by a step that the other has not

    def _not_given(self, side: int, rows: tuple[Row, Row]) -> Cause:
        """Returns why a document of a side is not in the input of the other."""
        row, other = rows[side], 1 - side
        if row["part_of"]:
            stage, _, rule = row["part_of"].partition(" ")[2].partition(".")
            return Cause("step" if stage not in self.sides[other].stages else "split", stage, rule)
        if not self.sides[other].has_ledger:
            return Cause("no_ledger")
        if (row["source"], row["file"]) in self.known.unread[other]:
            return Cause("unread")
        if self.sides[other].sample < self.sides[side].sample:
            return Cause("sample")
        if row["source"] not in self.known.sources[other]:
            return Cause("input_source")
        files = {(row["source"], row["file"]), (row["source"], None)}  # without one: an earlier run does not say
        if row["file"] is not None and not files & self.known.files[other]:
            return Cause("input_file")
        if self.sides[other].rebuilt:
            return Cause(REMOVED_BY)
        return Cause("input_record")

    def _left(self, side: int, rows: tuple[Row, Row]) -> Cause:
        """Returns why a document that left one side did not leave the other by the same."""
        row, other = rows[side], 1 - side
        stage, rule = row["stage"], row["rule"]
        there = self.sides[other]
        if stage == OVERLAY:
            return Cause(REMOVED_BY, stage, rule)
        if stage not in there.stages:
            return Cause("step", stage, rule)
        if row["action"] == ASIDE:
            return Cause("aside", stage, rule)
        came = self._of_text(rows, stage)
        set_otherwise = Cause("config", stage, rule) if self._set_otherwise(stage) else None
        if row["action"] == DUPLICATE and row["other"] is not None:
            own = came or set_otherwise
            return Cause(POINTS, stage, rule, side=side, id=row["other"], otherwise=own.said() if own else None)
        said, says = (self._rules[own].get(stage, {}) for own in (other, side))
        if said and rule in says and rule not in said:
            return Cause("rule", stage, rule)
        moved = self._moved(side, row)
        if moved is not None:
            return Cause("limit", stage, rule, moved)
        if came is not None:
            return came
        for name in ("language", "script", "format"):
            if _unlike(rows, name):
                return Cause("fields", stage, name)
        if set_otherwise is not None:
            return set_otherwise
        if row["limit"] is not None:
            return Cause("value", stage, rule)
        if there.stages.index(stage) == 0:
            return Cause("text", stage, rule)  # the first step saw nothing but the record
        if (stage, rule) not in self.known.limits[other]:
            return Cause("rule", stage, rule)
        return Cause("value" if row["value"] is not None else "unknown", stage, rule)

    def _moved(self, side: int, row: Row) -> str | None:
        """Returns the limit by which a document left a side and those of the other, in the order of the sides.

        None where it is among those, or they are not known.
        """
        stage, rule, limit = row["stage"], row["rule"], row["limit"]
        if limit is None:
            return None
        said = self._rules[1 - side].get(stage, {}).get(rule)
        limits = {*self.known.limits[1 - side].get((stage, rule), ())}
        if said is not None:
            limits = {*(said[0] if row["value"] is not None and row["value"] < limit else said[1])}
        if limit in limits or (said is None and not limits):
            return None
        told = (f"{limit:g}", ", ".join(f"{one:g}" for one in sorted(limits)) or "none")
        return " → ".join(told if side == 0 else told[::-1])

    def _set_otherwise(self, stage: str) -> bool:
        one, two = (settings.get(stage) for settings in self._settings)
        return None not in (one, two) and one != two

    def _edited(self, rows: tuple[Row, Row], before: str | None = None) -> Cause | None:
        """Returns the first edit of the text that one run made and not the other, of the steps before one."""
        if rows[0]["id"] is None or rows[1]["id"] is None or rows[0]["edits"] == rows[1]["edits"]:
            return None
        one, two = ({*(row["edits"] or "").split("; ")} - {""} for row in rows)
        found = min(one ^ two, key=lambda edit: (self._place(edit.partition(".")[0]), edit))
        stage, _, rest = found.partition(".")
        if before is not None and self._place(stage) >= self._place(before):
            return None
        rule = rest.partition("=")[0]
        if not all(stage in side.stages for side in self.sides):
            return Cause("step", stage, rule)
        return Cause("config" if self._set_otherwise(stage) else "edits", stage, rule)

    def _place(self, stage: str) -> int:
        """Returns where a step is in the order of a run."""
        return next((side.stages.index(stage) for side in self.sides if stage in side.stages), 0)

    def _of_text(self, rows: tuple[Row, Row], stage: str) -> Cause | None:
        """Returns that the text came otherwise to a step, if it did and something tells."""
        edited = self._edited(rows, stage)
        if edited is None and rows[0]["edits"] == rows[1]["edits"] and _unlike(rows, "bytes"):
            return Cause(self._of_input(rows), stage)
        return edited

    def _of_input(self, rows: tuple[Row, Row]) -> str:
        """Returns the cause of another text that no step made: the input, or its reading where that is the same."""
        sources = {row["source"] for row in rows}
        digests = [inputs.get(source) for inputs in self._inputs for source in sources]
        return "extraction" if len(sources) == 1 and None not in digests and len({*digests}) == 1 else "text"


def _unlike(rows: tuple[Row, Row], name: str) -> bool:
    return None not in (rows[0][name], rows[1][name]) and rows[0][name] != rows[1][name]


@dataclass(frozen=True)
class Tell:
    """Turns pairs of entries into rows of LOCAL; `fields` are those in which documents that stayed are compared."""

    a: Side
    b: Side
    fields: tuple[str, ...]

    def over(self, known: pa.Table) -> Callable[[pa.Table, pa.Table, str], pa.Table]:
        """Returns the function that does it, by what both runs have (KNOWN)."""
        causes = Causes((self.a, self.b), Known.of(known))

        def told(one: pa.Table, two: pa.Table, matched: str) -> pa.Table:
            return self._told(ended(one), ended(two), matched, causes)

        return told

    def _told(self, one: pa.Table, two: pa.Table, matched: str, causes: Causes) -> pa.Table:
        names, values = self._differing(one, two)
        kinds = kinds_of(one, two, names)
        made: dict[str, Any] = {  # Any: Arrow's, or lists
            "kind": pa.array(KINDS).take(pa.array(kinds)),
            "matched": pa.repeat(matched, len(one)),
            "steps": pa.repeat(pa.scalar(0, pa.int32()), len(one)),
            "fields": names,
            "values": values,
            "id_a": one.column("id"),
            "id_b": two.column("id"),
        }
        for name in IDENTITY.names:
            columns = [table.column(name) for table in (one, two)]
            if name in ("bytes", "tokens"):
                made |= {f"{name}_{side}": column for side, column in zip(SIDES, columns, strict=True)}
            else:
                made[name] = pc.coalesce(*columns)
        for side, table in zip(SIDES, (one, two), strict=True):
            made |= {f"{name}_{side}": table.column(name) for name in FATE.names}
            made[f"edits_{side}"] = table.column("edits")
        made |= self._causes(one, two, kinds, names, causes)
        return pa.table({name: made[name] for name in LOCAL.names}, schema=LOCAL)

    def _differing(self, one: pa.Table, two: pa.Table) -> tuple[pa.Array, pa.Array]:
        """Returns the names of the fields in which documents that stayed in both differ, and their values; or null."""
        stayed = pc.and_(_stayed(one), _stayed(two))
        names: list[pa.Array] = []
        values: list[pa.Array] = []
        for name in self.fields:
            left, right = (table.column(name).combine_chunks() for table in (one, two))
            same = pc.fill_null(pc.equal(left, right), False)
            nothing = pc.and_(pc.is_null(left, nan_is_null=True), pc.is_null(right, nan_is_null=True))
            differs = pc.and_(stayed, pc.invert(pc.or_(same, nothing)))
            if not pc.any(differs).as_py():
                continue
            names.append(pc.if_else(differs, name, None))
            was, now = (pc.fill_null(_text(column), "none") for column in (left, right))
            values.append(pc.if_else(differs, pc.binary_join_element_wise(f"{name}: ", was, " → ", now, ""), None))
        return _listed(names, ",", len(one)), _listed(values, "; ", len(one))

    def _causes(
        self, one: pa.Table, two: pa.Table, kinds: Codes, fields: pa.Array, causes: Causes
    ) -> dict[str, pa.Array]:
        """Returns the columns that say why, of rows whose kinds have these numbers in KINDS."""
        rows = np.flatnonzero(~np.isin(kinds, [KINDS.index(kind) for kind in (SAME, GONE, FIELDS)]))
        sides = [table.select(LOOKED_AT).take(pa.array(rows)).to_pylist() for table in (one, two)]
        found = [
            causes.of(KINDS[kind], pair)
            for kind, pair in zip(kinds[rows].tolist(), zip(*sides, strict=True), strict=True)
        ]
        changed = np.flatnonzero(kinds == KINDS.index(FIELDS))
        same_tokenizer = self.a.tokenizer == self.b.tokenizer
        coded = fields.take(pa.array(changed)).dictionary_encode()
        number = np.full(len(kinds), -1)
        number[rows] = np.arange(len(rows))
        number[changed] = len(found) + np.asarray(coded.indices)
        found += [of_fields(names, same_tokenizer=same_tokenizer) for names in coded.dictionary.to_pylist()]
        places = pa.array(number, mask=number < 0)
        made = {}
        columns = ("code", "stage", "rule", "moved", "side", "id", "otherwise")
        for name, own in zip(("cause", *columns[1:4], *POINTER.names), columns, strict=True):
            values = pa.array([getattr(cause, own) for cause in found], LOCAL.field(name).type)
            made[name] = values.take(places)
        made["cause"] = pc.fill_null(made["cause"], "none")
        made["via"] = pc.if_else(pc.is_valid(made["to_id"]), made["cause"], None)
        made["chain"] = pa.nulls(len(kinds), pa.string())
        return made


def of_fields(names: str, *, same_tokenizer: bool) -> Cause:
    """Returns the cause of other fields of the same text, by their names.

    >>> of_fields("tokens,times_seen", same_tokenizer=False).code, of_fields("quality,tokens", same_tokenizer=True).rule
    ('tokenizer', 'quality')
    """
    given = {*names.split(",")}
    for code, of in (("mix", _OF_MIX), ("tokenizer", _OF_TOKENS), ("cluster", _OF_CLUSTER)):
        if given <= of:
            return Cause("config" if code == "tokenizer" and same_tokenizer else code)
    return Cause("fields", rule=min(given - _OF_CLUSTER))


def ended(table: pa.Table) -> pa.Table:
    """Returns entries of which those that an overlay takes out have left by it."""
    out = pc.and_(pc.is_valid(table.column("out")), pc.fill_null(pc.equal(table.column("stage"), KEPT), False))
    if not pc.any(out).as_py():
        return table
    for name, value in (("stage", OVERLAY), ("action", REMOVED_BY), ("rule", table.column("out"))):
        column = pc.if_else(out, value, table.column(name))
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), column)
    return table


def _stayed(table: pa.Table) -> pa.Array:
    stage = table.column("stage").combine_chunks()
    return pc.fill_null(pc.equal(stage, KEPT), False)


def kinds_of(one: pa.Table, two: pa.Table, fields: pa.Array) -> Codes:
    """Returns the number in KINDS of the kind of each pair of entries; `fields` are not null where those differ."""
    given = [np.asarray(pc.is_valid(table.column("id"))) for table in (one, two)]
    stayed = [np.asarray(_stayed(table)) for table in (one, two)]
    both, all_stayed = given[0] & given[1], stayed[0] & stayed[1]
    text = _differ(one, two, "digest") | (~_both(one, two, "digest") & _differ(one, two, "bytes"))
    stage, rule = (~_differ(one, two, name) for name in ("stage", "rule"))
    copies = [np.asarray(pc.fill_null(pc.equal(table.column("action"), DUPLICATE), False)) for table in (one, two)]
    alike = stage & (rule | (copies[0] & copies[1]))
    tests = {
        TEXT: all_stayed & text,
        FIELDS: all_stayed & np.asarray(pc.is_valid(fields)),
        SAME: all_stayed,
        ONLY[0]: stayed[0],
        ONLY[1]: stayed[1],
        GONE: both & alike,
        OTHERWISE: both,
        GONE_ALONE[0]: given[0],
        GONE_ALONE[1]: given[1],
    }
    made: Codes = np.select(list(tests.values()), [KINDS.index(kind) for kind in tests], default=-1)
    return made


def _both(one: pa.Table, two: pa.Table, name: str) -> np.ndarray:
    return np.asarray(pc.and_(pc.is_valid(one.column(name)), pc.is_valid(two.column(name))))


def _differ(one: pa.Table, two: pa.Table, name: str) -> np.ndarray:
    return np.asarray(pc.fill_null(pc.not_equal(one.column(name), two.column(name)), False))


def _text(column: pa.Array) -> pa.Array:
    """Returns values as text, long ones cut: a list of the languages of all lines is as long as a page."""
    if pa.types.is_fixed_size_binary(column.type) or pa.types.is_nested(column.type):
        return pa.nulls(len(column), pa.string())
    text = column.cast(pa.string())
    cut = pc.binary_join_element_wise(pc.utf8_slice_codeunits(text, 0, LONG), CUT, "")
    return pc.if_else(pc.greater(pc.utf8_length(text), LONG), cut, text)


def _listed(columns: list[pa.Array], separator: str, rows: int) -> pa.Array:
    """Returns what is not null of columns, joined; null where nothing is."""
    if not columns:
        return pa.nulls(rows, pa.string())
    parts = [pc.fill_null(pc.binary_join_element_wise(separator, column, ""), "") for column in columns]
    made = pc.binary_join_element_wise(*parts, "")
    return pc.if_else(pc.equal(made, ""), None, pc.utf8_slice_codeunits(made, len(separator)))
