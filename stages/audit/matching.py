"""Documents behind a figure: which of all that came to a run match conditions, and a few of them drawn by hash.

Files are read a row group at a time, of each only the columns that are asked about, one condition after another: what
the first ones leave nothing of is read no further. What must be known of all before (a host's number of documents,
which documents have a row of signals) is counted in a pass of its own over the columns that say it.

Ids are held as hashes of 64 bits where many are: of 10^8 documents a count may be one off, once in a thousand times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ID, LEAVING, LEDGER, ConfigError
from stages.audit.counter import summed
from stages.audit.draw import hashes
from stages.audit.groups import MADE, derived
from stages.audit.places import ids_of, key_of
from stages.audit.tables import Groups, Row, Tables, groups_of, id_column, place_of, schema_of, table_of
from stages.audit.where import Condition, Mask, unknown
from stages.corpus.corpus import REMOVED
from stages.corpus.index import opened, segments

Hashes = npt.NDArray[np.uint64]

NOTED: Final = "noted"  # a rule that a ledger row of the document names
BROKEN: Final = "broken"  # rules that it broke at the step it left by
OF_HOST: Final = "host_documents"  # documents of its host that came
KEPT_OF_HOST: Final = "host_kept"  # and those of them that stayed
TRAINED: Final = "trained"  # tokens of it in samples of the train split as readers get them
_SPECIAL: Final = (NOTED, BROKEN, OF_HOST, KEPT_OF_HOST, TRAINED)
_KINDS: Final = {name: LEDGER.field(name).type for name in LEDGER.names}
_ID: Final = "id"
_IS_ID: Final = re.compile(r"[0-9a-fA-F]{32}")


@dataclass(frozen=True)
class Asked:
    """Conditions that all hold, of documents that stayed, or that left (at `stage`, by `rule`), or of both."""

    conditions: tuple[Condition, ...] = ()
    stage: str | None = None
    rule: str | None = None
    kept: bool = True
    left: bool = True

    @property
    def noted(self) -> bool:
        """Whether a rule is asked for that any ledger row of a document may name: then `stage` is that of the row."""
        return any(condition.name == NOTED for condition in self.conditions)


@dataclass(frozen=True, order=True)
class Drawn:
    """A document that was drawn: its place is a row of a file."""

    hash: int
    id: bytes
    kept: bool
    path: str
    row: int

    def read(self) -> Row:
        """Returns its row."""
        with table_of(self.path) as file:
            group, first = place_of(file, self.row)
            row: Row = file.read_row_group(group).slice(self.row - first, 1).to_pylist()[0]
            return row


@dataclass
class Matches:
    """How many documents match, and those drawn, least hash first."""

    total: int = 0
    kept: int = 0
    drawn: list[Drawn] = field(default_factory=list)


def match(tables: Tables, asked: Asked, *, most: int, seed: int) -> Matches:
    """Returns the documents that match, `most` of them drawn by hash of (seed, id): for everybody the same.

    Raises:
        ConfigError: a name is not known, or a value is not of its kind.
    """
    found = Matches()
    for kept, path, rows, ids, first in matching(tables, asked):
        found.total += len(rows)
        found.kept += len(rows) if kept else 0
        _draw(found, most, seed, ids, (kept, path, first), rows)
    return found


def matching(tables: Tables, asked: Asked) -> Iterator[tuple[bool, str, npt.NDArray[np.int64], pa.Array, int]]:
    """Yields (kept, path, rows, ids, first) of the documents that match: rows of a row group that begins at first.

    Raises:
        ConfigError: a name is not known, or a value is not of its kind.
    """
    search = _Search(tables, asked)
    search.check()
    for kept, files in ((True, tables.kept if asked.kept else ()), (False, tables.ledger if asked.left else ())):
        for path in files:
            for rows, ids, first in search.file(path, kept=kept):
                yield kept, path, rows, ids, first


def trained_of(tables: Tables) -> Mapping[str, npt.NDArray[np.int64]]:
    """Returns by file of the index the tokens of each row in samples of the train split, as readers get them."""
    return _Search(tables, Asked()).trained


def _draw(
    found: Matches, most: int, seed: int, ids: pa.Array, place: tuple[bool, str, int], rows: npt.NDArray[np.int64]
) -> None:
    made = hashes(ids, seed)
    full = len(found.drawn) >= most
    chosen = np.arange(len(made)) if not full else np.flatnonzero(made <= found.drawn[-1].hash) if most else made[:0]
    if len(chosen) > most:
        chosen = chosen[made[chosen] <= np.partition(made[chosen], most - 1)[most - 1]] if most else chosen[:0]
    kept, path, first = place
    new = [Drawn(int(made[at]), ids[at].as_py(), kept, path, first + int(rows[at])) for at in chosen.tolist()]
    found.drawn = sorted([*found.drawn, *new])[:most] if new else found.drawn


def values_of(tables: Tables, name: str, most: int) -> set[str]:
    """Returns the texts that a column has among documents that stayed or left, no more than about `most`."""
    search, found = _Search(tables, Asked()), set[str]()
    for _, path in search.all_files:
        with table_of(path) as file:
            names = search.columns(file.schema_arrow)
            needed = _needed(name)
            held = [names[one] for one in needed if one in names]
            for group in range(file.num_row_groups) if held and len(found) < most else ():
                table = file.read_row_group(group, columns=held).rename_columns([one for one in needed if one in names])
                values = derived(table, name)
                if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
                    return set()
                found.update(value for value in pc.unique(values).to_pylist() if value)
    return found


@dataclass(frozen=True)
class _Search:
    tables: Tables
    asked: Asked

    def check(self) -> None:
        """Raises ConfigError where a condition names what no table has."""
        for condition in self.asked.conditions:
            if condition.name not in self._known:
                raise unknown("column", condition.name, self._known)
            if condition.name == NOTED and condition.sign not in ("=", "!="):
                raise ConfigError(f"'{condition}': {NOTED} is the name of a rule: use = or !=")

    @cached_property
    def _known(self) -> set[str]:
        known = {*_SPECIAL, *MADE, *LEDGER.names, "licence", *self._index.names}
        return known.union(*self._signals.values()) - {"doc_id"}

    @cached_property
    def _index(self) -> pa.Schema:
        return schema_of(self.tables.kept[0]) if self.tables.kept else pa.schema([])

    def _measured(self, name: str) -> str | None:
        """Returns the table of signals that a name is of, or is made of, None for one that index or ledger has."""
        needed = set(_needed(name))
        if name in _SPECIAL or needed & {*LEDGER.names, *self._index.names, _ID, "licence"}:
            return None
        return next((table for table, columns in self._signals.items() if needed <= columns), None)

    @cached_property
    def _signals(self) -> Mapping[str, set[str]]:
        """The columns of each table of signals."""
        return {table: set(schema_of(files[0]).names) for table, files in self.tables.signals.items()}

    # Before all

    @cached_property
    def _sets(self) -> list[tuple[bool, Hashes]]:
        """Hashes of ids, sorted, that a document has to be among (or, where False, not among)."""
        made = [(True, self._of_signals(name, own)) for name, own in self._by_table.items()]
        noted = [condition for condition in self.asked.conditions if condition.name == NOTED]
        return [*made, *((condition.sign == "=", self._of_rule(condition)) for condition in noted)]

    @cached_property
    def _by_table(self) -> Mapping[str, list[Condition]]:
        made: dict[str, list[Condition]] = {}
        for condition in self.asked.conditions:
            table = self._measured(condition.name)
            if table is not None:
                made.setdefault(table, []).append(condition)
        return made

    def _of_signals(self, table: str, conditions: Sequence[Condition]) -> Hashes:
        found = [np.zeros(0, np.uint64)]
        for path in self.tables.signals[table]:
            with opened(path) as file:
                column = id_column(file.schema_arrow) or _ID
                tests = [_test(one, {name: name for name in _needed(one.name)}) for one in conditions]
                found += [_hashed(ids) for _, ids, _ in _matching(file, tests, column)]
        return np.unique(np.concatenate(found))

    def _of_rule(self, condition: Condition) -> Hashes:
        equal = Condition("rule", "=", condition.value)
        of_stage = [Condition("stage", "=", self.asked.stage)] if self.asked.stage else []
        found = [np.zeros(0, np.uint64)]
        for path in self.tables.ledger:
            with opened(path) as file:
                tests = [_test(one, {one.name: one.name}) for one in (equal, *of_stage)]
                found += [_hashed(ids) for _, ids, _ in _matching(file, tests, _ID)]
        return np.unique(np.concatenate(found))

    @cached_property
    def _hosts(self) -> pa.Table:
        """A row a host: OF_HOST, and KEPT_OF_HOST of them."""
        schema = pa.schema({"host": pa.string(), OF_HOST: pa.int64(), KEPT_OF_HOST: pa.int64()})
        of_files = []
        for kept, path in self.all_files:
            counted = []
            with table_of(path) as file:
                for group in range(file.num_row_groups) if "host" in file.schema_arrow.names else ():
                    table = file.read_row_group(group, columns=["host"] if kept else ["host", "action"])
                    table = table if kept else table.filter(pc.is_in(table.column("action"), pa.array(LEAVING)))
                    ones = pa.array(np.ones(len(table), np.int64))
                    of_kept = ones if kept else pa.array(np.zeros(len(table), np.int64))
                    counted.append(pa.table([table.column("host"), ones, of_kept], schema=schema))
            of_files.append(summed(counted, ("host",), schema))
        return summed(of_files, ("host",), schema).combine_chunks()

    @cached_property
    def all_files(self) -> list[tuple[bool, str]]:
        """The files of documents that stayed (True), and of what left."""
        return [*((True, path) for path in self.tables.kept), *((False, path) for path in self.tables.ledger)]

    @cached_property
    def trained(self) -> dict[str, npt.NDArray[np.int64]]:
        """Tokens of each row of the files of the index in samples of the train split, as readers get them."""
        corpus = self.tables.corpus
        if corpus is None:
            return {}
        ends = np.cumsum([_rows_of(path) for path in self.tables.kept])
        firsts, tokens = (
            np.concatenate([[0], ends[:-1]]).astype(np.int64),
            np.zeros(ends[-1] if len(ends) else 0, np.int64),
        )
        split, first = corpus.split("train"), 0
        for shard in split.shards:
            stop = first + shard["rows"]
            for start, end in split.overlaid.runs(first, stop):
                table = segments(split, start, end, columns=("sample", "start", "end", "file", "file_row"))
                sample, begin, close, file, row = (
                    np.asarray(table.column(name)).astype(np.int64) for name in table.column_names
                )
                gone, from_, _ = split.overlaid.pieces(start, end)
                stays = ~np.isin(sample << 32 | begin, gone << 32 | from_)
                np.add.at(tokens, (firsts[file] + row)[stays], (close - begin)[stays])
            first = stop
        return {path: tokens[a:b] for path, a, b in zip(self.tables.kept, firsts, ends, strict=True)}

    # A file

    def file(self, path: str, *, kept: bool) -> Iterator[tuple[npt.NDArray[np.int64], pa.Array, int]]:
        """Yields (rows, ids, first) of the documents of a file that match: rows of a row group that begins at first."""
        with table_of(path) as file:
            names = self.columns(file.schema_arrow)
            tests = self._first(file.schema_arrow, kept=kept)
            for condition in self.asked.conditions:
                if condition.name == NOTED or self._measured(condition.name) is not None:
                    continue
                tests.append(self._test(condition, names, path, kept=kept))
            number = self.tables.kept.index(path) if kept else 0
            for rows, ids, first in _matching(file, tests, names.get(_ID), number):
                for inside, wanted in self._sets:
                    among = _among(_hashed(ids), wanted) == inside
                    rows, ids = rows[among], ids.filter(pa.array(among))
                if len(rows):
                    yield rows, ids, first

    def _first(self, schema: pa.Schema, *, kept: bool) -> list[_Test]:
        """Returns the tests of what is a document of its kind, before any condition."""
        if not kept:
            aside = self.tables.report.get("set_aside", 1)  # then rows of the ledger may be of files
            return [_that_left(self.asked), *([_AS_DOCUMENT] if aside else [])]
        corpus = self.tables.corpus
        removed = corpus is not None and corpus.manifest["documents"].get(REMOVED) and "split" in schema.names
        return [_test(Condition("split", "!=", REMOVED), {"split": "split"})] if removed else []

    def columns(self, schema: pa.Schema) -> dict[str, str]:
        """Returns the columns of a file by the names that conditions know them by."""
        names = {name: name for name in schema.names}
        if "doc_id" in names:
            names[_ID] = names.pop("doc_id")
        return names

    def _test(self, condition: Condition, names: Mapping[str, str], path: str, *, kept: bool) -> _Test:
        if condition.name == BROKEN:
            return _nulls(condition, pa.int64()) if kept else _broken(condition, path)
        if condition.name in (OF_HOST, KEPT_OF_HOST):
            return _of_host(condition, names, self._hosts)
        if condition.name == TRAINED:
            return _by_row(condition, self.trained.get(path) if kept else None)
        kind = self._index.field(condition.name).type if condition.name in self._index.names else pa.string()
        kind = _KINDS.get(condition.name, kind)
        return _test(condition, names, kind, stage="" if kept else None)


def _rows_of(path: str) -> int:
    with table_of(path) as file:
        return sum(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups))


def _needed(name: str) -> tuple[str, ...]:
    """Returns the columns that a name is made of."""
    return MADE[name][0] if name in MADE else (name,)


@dataclass(frozen=True)
class _Test:
    """A condition on columns of a file; `first` is the number of the first row of what is looked at."""

    columns: tuple[str, ...]
    function: Callable[[pa.Table, int], Mask]
    id: bytes | None = None  # that a document must have


def _test(
    condition: Condition, names: Mapping[str, str], kind: pa.DataType | None = None, *, stage: str | None = None
) -> _Test:
    """Returns the test of a condition on a column, or on what is made of some; what a file has not is null."""
    needed = _needed(condition.name)
    there = {name: names[name] for name in needed if name in names}

    def function(table: pa.Table, first: int) -> Mask:
        held = {name: table.column(column) for name, column in there.items()}
        if "stage" in needed and "stage" not in held and stage is not None:
            held["stage"] = pa.chunked_array([pa.array([stage] * len(table), pa.string())])
        whole = pa.table(held) if held else pa.table({"__": np.zeros(len(table))})
        if condition.name not in MADE and condition.name not in held:
            return condition.holds(pa.nulls(len(table), kind or pa.string()))
        return condition.holds(_plain(derived(whole, condition.name), condition.name))

    return _Test(tuple(there.values()), function, _sought(condition))


def _sought(condition: Condition) -> bytes | None:
    """Returns the id that a condition asks for."""
    asked = condition.name == _ID and condition.sign == "=" and _IS_ID.fullmatch(condition.value)
    return bytes.fromhex(condition.value) if asked else None


def _plain(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Returns the values as conditions speak of them: an id of the index, 32 hex digits there, as 16 bytes."""
    if name == _ID and pa.types.is_string(values.type):
        return ids_of(values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values)
    return values


def _nulls(condition: Condition, kind: pa.DataType) -> _Test:
    return _Test((), lambda table, first: condition.holds(pa.nulls(len(table), kind)))


def _that_left(asked: Asked) -> _Test:
    """Returns the test of a ledger row that says how a document left."""
    stage = None if asked.noted else asked.stage

    def function(table: pa.Table, first: int) -> Mask:
        mask = np.asarray(pc.is_in(table.column("action"), pa.array(LEAVING)))
        for name, wanted in (("stage", stage), ("rule", asked.rule)):
            if wanted is not None:
                mask = mask & _mask(pc.equal(table.column(name), wanted))
        return mask

    columns = ("action", *(["stage"] if stage is not None else []), *(["rule"] if asked.rule is not None else []))
    return _Test(columns, function)


def _is_document(table: pa.Table, first: int) -> Mask:
    """Returns which ledger rows are of documents: a file that could not be read is none."""
    from stages.audit.frames import of_documents  # noqa: PLC0415 - seldom asked for, and long to load

    rows = of_documents(table.append_column("__row", pa.array(np.arange(len(table))))).column("__row")
    mask = np.zeros(len(table), bool)
    mask[rows.to_numpy()] = True
    return mask


_AS_DOCUMENT: Final = _Test(("action", "note"), _is_document)


def _mask(values: pa.ChunkedArray) -> Mask:
    made: Mask = np.asarray(pc.fill_null(values, False)).astype(bool)
    return made


def _of_host(condition: Condition, names: Mapping[str, str], hosts: pa.Table) -> _Test:
    known = hosts.column("host").combine_chunks()
    counts = hosts.column(condition.name).combine_chunks()

    def function(table: pa.Table, first: int) -> Mask:
        if "host" not in names:
            return condition.holds(pa.nulls(len(table), pa.int64()))
        given = table.column("host")
        at = pc.if_else(pc.is_valid(given), pc.index_in(given, known), None)
        return condition.holds(counts.take(at.combine_chunks()))

    return _Test(("host",) if "host" in names else (), function)


def _by_row(condition: Condition, values: npt.NDArray[np.int64] | None) -> _Test:
    def function(table: pa.Table, first: int) -> Mask:
        if values is None:
            return condition.holds(pa.nulls(len(table), pa.int64()))
        return condition.holds(pa.array(values[first : first + len(table)]))

    return _Test((), function)


def _broken(condition: Condition, path: str) -> _Test:
    """Returns the test of how many rules a document broke: the one that it left by, and `also` rows of that step."""
    with opened(path) as file:
        whole = file.read(columns=[_ID, "stage", "action"]).combine_chunks()
    also = whole.filter(pc.equal(whole.column("action"), "also"))
    known, counts = np.unique(_of_step(also), return_counts=True)

    def function(table: pa.Table, first: int) -> Mask:
        own = _of_step(table)
        at = np.minimum(np.searchsorted(known, own), max(0, len(known) - 1))
        more = np.where(known[at] == own, counts[at], 0) if len(known) else np.zeros(len(own), np.int64)
        return condition.holds(pa.array(more + 1))

    return _Test((_ID, "stage"), function)


def _of_step(table: pa.Table) -> Hashes:
    """Returns a hash of (id, stage) of ledger rows."""
    coded = table.column("stage").combine_chunks().dictionary_encode()
    salts = np.array([key_of(name or "") for name in coded.dictionary.to_pylist()], np.uint64)
    return _hashed(table.column(_ID).combine_chunks()) ^ (salts[np.asarray(coded.indices)] if len(coded) else salts)


def _hashed(ids: pa.Array) -> Hashes:
    return hashes(ids, 0)


def _among(values: Hashes, wanted: Hashes) -> Mask:
    """Returns which values are among sorted ones."""
    if not len(wanted):
        return np.zeros(len(values), bool)
    found: Mask = wanted[np.minimum(np.searchsorted(wanted, values), len(wanted) - 1)] == values
    return found


def _matching(
    file: Groups, tests: Sequence[_Test], column: str | None, number: int = 0
) -> Iterator[tuple[npt.NDArray[np.int64], pa.Array, int]]:
    """Yields (rows, ids, first) of the rows of a row group that pass all tests; it begins with the row first.

    `number` is that of the file: documents without an id are known by file and row, as in the frame.
    """
    first = 0
    may = _groups(file, tests, column)
    for group in range(file.num_row_groups):
        amount = file.metadata.row_group(group).num_rows
        mask = np.ones(amount, bool)
        for test in tests if group in may else (_NEVER,):
            table = file.read_row_group(group, columns=list(test.columns)) if test.columns else _empty(amount)
            mask &= test.function(table, first)
            if not mask.any():
                break
        else:
            rows = np.flatnonzero(mask)
            if column is None:
                yield rows, _numbered(number, first + rows), first
            else:
                ids = file.read_row_group(group, columns=[column]).column(0).combine_chunks()
                yield rows, ids_of(ids).take(pa.array(rows)), first
        first += amount


def _groups(file: Groups, tests: Sequence[_Test], column: str | None) -> set[int]:
    """Returns the row groups that may hold what passes tests: where an id is asked for, statistics tell."""
    sought = next((test.id for test in tests if test.id is not None), None)
    if sought is None or column is None:
        return set(range(file.num_row_groups))
    text = pa.types.is_string(file.schema_arrow.field(column).type)
    return set(groups_of(file, column, sought.hex() if text else sought))


def _numbered(number: int, rows: npt.NDArray[np.int64]) -> pa.Array:
    words = np.stack([np.full(len(rows), number), rows], axis=1).astype(">u8")
    return pa.FixedSizeBinaryArray.from_buffers(ID, len(rows), [None, pa.py_buffer(words.tobytes())])


_NEVER: Final = _Test((), lambda table, first: np.zeros(len(table), bool))


def _empty(rows: int) -> pa.Table:
    return pa.table({"__": np.zeros(rows, np.int8)})
