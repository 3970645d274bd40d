"""Lazy datasets: frozen values that say what is to be made from what; nothing here runs or reads.

A dataset has numbered shards of rows under an Arrow schema. Two kinds of map exist, and the difference is the law of
conservation: `adds` (or neither) means the rows are *documents* passing through, so rows in + made by splitting =
rows out + rows dropped is checked on every shard; `schema` means rows of another kind come out (band keys, edges,
samples), which the stage balances itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from datapipe.errors import PlanError

if TYPE_CHECKING:
    from datapipe.work import Work

Batches = Iterator[pa.RecordBatch]
MapFunction = Callable[[Batches, "Work"], Batches]
ReadFunction = Callable[["Sequence[InputFile]", "Work"], Batches]


@dataclass(frozen=True)
class InputFile:
    """A file of a source. `name` is relative to the source's root and, with size and version, its identity.

    `part` is the range of its bytes, from and up to, that one task reads; None is all of it.
    """

    name: str
    url: str
    size_bytes: int
    version: str  # ETag, modification time in nanoseconds, or where it is known the SHA-256 of the content
    part: tuple[int, int] | None = None

    @property
    def part_bytes(self) -> int:
        """How many bytes the task reads."""
        return self.size_bytes if self.part is None else self.part[1] - self.part[0]

    @property
    def sha256(self) -> str:
        """The SHA-256 of the content (hex) where the version is that, else nothing."""
        return self.version if re.fullmatch(r"[0-9a-f]{64}", self.version) else ""


@dataclass(frozen=True)
class Output:
    """A named side output of a map or fold, written in the same pass through `Work.put`.

    `publish` names the final file of each shard under the output folder, for example
    `signals/part-{number:05}-of-{shards:05}.parquet`; its ending decides the format: `.arrow` (IPC file, uncompressed),
    `.parquet` (zstd), `.zst` the bytes of column `content`, row after row, anything else those of its one value.
    """

    name: str
    schema: pa.Schema
    publish: str | None = None


@dataclass(frozen=True)
class Sized:
    """A number of shards that follows from the bytes of the source files: about `bytes_per_shard` of them a shard."""

    bytes_per_shard: int
    at_most: int = 65_536


@dataclass(frozen=True, eq=False)
class Like:
    """As many shards as `dataset` has."""

    dataset: Dataset


@dataclass(frozen=True, eq=False)
class Source:
    """Rows read from files; `groups[n]` are the files of shard n, `notes` sentences on them for `datapipe plan`."""

    name: str
    read: ReadFunction
    groups: tuple[tuple[InputFile, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Map:
    """A shard to a shard. `documents` says that rows are conserved, `passes` that they are the parent's unchanged."""

    parent: Dataset
    function: MapFunction
    documents: bool
    beside: Dataset | None = None
    whole: tuple[Dataset, ...] = ()
    outputs: tuple[Output, ...] = ()
    passes: bool = False


@dataclass(frozen=True, eq=False)
class Side:
    """The named output of a map or fold, as a dataset of its own."""

    parent: Dataset
    name: str


@dataclass(frozen=True, eq=False)
class Exchange:
    """Rows of equal key together, sorted by (key, then); `direct`: the key is the number of the shard."""

    parent: Dataset
    by: str
    then: tuple[str, ...]
    shards: int | Sized | Like | Dataset
    direct: bool


@dataclass(frozen=True, eq=False)
class Fold:
    """Everything to one small dataset of one shard."""

    parent: Dataset
    function: MapFunction
    whole: tuple[Dataset, ...] = ()
    outputs: tuple[Output, ...] = ()


@dataclass(frozen=True, eq=False)
class Concat:
    """The shards of several datasets of one schema, numbered through."""

    parents: tuple[Dataset, ...]


@dataclass(frozen=True, eq=False)
class Repeat:
    """`step` applied until its counter `until` sums to zero, or `at_most` times."""

    parent: Dataset
    step: Callable[[Dataset], Dataset]
    until: str
    at_most: int


@dataclass(frozen=True, eq=False)
class Files:
    """The finished files of a dataset, a row a shard: number, name, rows, bytes, sha256."""

    parent: Dataset


Op = Source | Map | Side | Exchange | Fold | Concat | Repeat | Files
FILES = pa.schema(
    [
        ("number", pa.int64()),
        ("name", pa.string()),
        ("rows", pa.int64()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
    ]
)


@dataclass(frozen=True, eq=False)
class Dataset:
    """What is to be made, lazily: an operation and the schema of its rows."""

    op: Op = field(repr=False)
    schema: pa.Schema

    def map(
        self,
        function: MapFunction,
        *,
        reads: Sequence[str] = (),
        adds: pa.Schema | None = None,
        drops: Sequence[str] = (),
        schema: pa.Schema | None = None,
        documents: bool = False,
        passes: bool = False,
        beside: Dataset | None = None,
        whole: Sequence[Dataset] = (),
        outputs: Sequence[Output] = (),
    ) -> Dataset:
        """Returns the dataset of `function` applied to each shard.

        `function(batches, work)` takes and yields record batches. It must have an identity: a function of a module, a
        `functools.partial` of one, or a frozen dataclass with `__call__`; one that holds much says how much by an
        attribute `holds_bytes`, and Ray is told. `reads` are columns that must exist. `adds` are appended (one of an
        existing name takes its place), columns of `drops` end here; `schema` replaces all, and its rows are of another
        kind unless `documents` says that they are the same documents. With `passes` the rows are yielded as they came,
        every one, for the sake of `outputs`: they are not written a second time. `beside` is read through
        `work.beside()`, the shard of equal number; `whole` entire, as `work.whole[i]`; `outputs` are written by
        `work.put(name, batch)` and are datasets through `.output(name)`.

        Raises:
            PlanError: a column of `reads` is missing, both `adds` and `schema` are given, or rows that pass change.
        """
        self.require(reads)
        if passes and (schema is not None or adds is not None or drops):
            raise PlanError("a map that passes its rows on as they came takes no adds=, drops= or schema=")
        if schema is not None and (adds is not None or drops):
            raise PlanError("a map takes adds= (documents pass through) or schema= (rows of another kind), not both")
        made = schema if schema is not None else _with(self.schema, adds, drops)
        op = Map(self, function, schema is None or documents, beside, tuple(whole), tuple(outputs), passes)
        return Dataset(op, made)

    def exchange(
        self,
        by: str,
        shards: int | Sized | Like | Dataset,
        *,
        then: Sequence[str] = ("id",),
        direct: bool = False,
    ) -> Dataset:
        """Returns the same rows, those of equal `by` in one shard, sorted by (`by`, *`then`).

        Key columns are integers, strings or binary. `shards` is a number, a size, like
        another dataset, or a folded dataset with a column `shards`. With `direct`, `by` is an integer below the number
        of shards. Rows equal in all keys keep the order (producing shard, row), so the result is a function of the rows
        alone.

        Raises:
            PlanError: a key column is missing or of another kind, or there are no shards.
        """
        self.require((by, *then))
        for name in (by, *then):
            _require_key(name, self.schema.field(name).type)
        if isinstance(shards, int) and shards < 1:
            raise PlanError(f"exchange by '{by}': {shards} shards; there is at least one")
        routed = self._written()
        if isinstance(shards, Dataset) and depends_on(shards, self.op.parent if isinstance(self.op, Side) else self):
            routed = self.map(same)  # the pass that makes these rows ends before their number of shards is known
        return Dataset(Exchange(routed, by, tuple(then), shards, direct), self.schema)

    def _written(self) -> Dataset:
        """Returns this dataset as one that a function writes: what an exchange routes and a concat numbers through."""
        return self if isinstance(self.op, Map | Fold | Side | Concat) else self.map(same)

    def fold(
        self,
        function: MapFunction,
        schema: pa.Schema,
        *,
        reads: Sequence[str] = (),
        whole: Sequence[Dataset] = (),
        outputs: Sequence[Output] = (),
    ) -> Dataset:
        """Returns one shard made of all shards, read in order by one task: counts, quotas, a trained tokenizer."""
        self.require(reads)
        return Dataset(Fold(self, function, tuple(whole), tuple(outputs)), schema)

    def repeat(self, step: Callable[[Dataset], Dataset], *, until: str, at_most: int) -> Dataset:
        """Returns `step` applied again and again, until the counter `until` of a round's last map sums to zero.

        `step` must give back the schema it takes; it needs an identity like a map's function.
        """
        if not step(self).schema.equals(self.schema):
            raise PlanError("repeat: the step gives back another schema than it takes")
        return Dataset(Repeat(self, step, until, at_most), self.schema)

    def output(self, name: str) -> Dataset:
        """Returns the side output `name` of this map or fold as a dataset."""
        if isinstance(self.op, Map | Fold):
            for output in self.op.outputs:
                if output.name == name:
                    return Dataset(Side(self, name), output.schema)
        raise PlanError(f"no output is called '{name}'")

    def files(self) -> Dataset:
        """Returns the finished files of this dataset as a small dataset (schema FILES), for `whole=`."""
        return Dataset(Files(self), FILES)

    def require(self, columns: Sequence[str]) -> None:
        """Raises PlanError where a column is missing."""
        missing = [name for name in columns if name not in self.schema.names]
        if missing:
            raise PlanError(
                f"needs column {', '.join(map(repr, missing))}, which no earlier step makes "
                f"(there are: {', '.join(self.schema.names)})"
            )


def concat(datasets: Sequence[Dataset]) -> Dataset:
    """Returns the shards of all, in order. Raises PlanError where schemas differ."""
    first = datasets[0]
    for other in datasets[1:]:
        if not other.schema.equals(first.schema):
            raise PlanError(f"concat: schemas differ: {first.schema.names} and {other.schema.names}")
    written = tuple(made._written() for made in datasets)  # noqa: SLF001 - of this module
    return first if len(datasets) == 1 else Dataset(Concat(written), first.schema)


def parents_of(made: Dataset) -> Iterator[tuple[str, Dataset]]:
    """Yields (kind, dataset) for all that `made` is made from."""
    match made.op:
        case Map(parent, _, _, beside, whole):
            yield "map", parent
            if beside is not None:
                yield "beside", beside
            yield from (("whole", item) for item in whole)
        case Fold(parent, _, whole, _):
            yield "fold", parent
            yield from (("whole", item) for item in whole)
        case Side(parent, _):
            yield "side", parent
        case Files(parent):
            yield "files", parent
        case Exchange(parent, _, _, shards, _):
            yield "exchange", parent
            if isinstance(shards, Dataset):
                yield "value", shards
            elif isinstance(shards, Like):
                yield "like", shards.dataset
        case Concat(parents):
            yield from (("concat", parent) for parent in parents)
        case Repeat(parent, _, _, _):
            yield "repeat", parent


def depends_on(made: Dataset, other: Dataset) -> bool:
    """Returns whether `other` is among what `made` is made from."""
    seen: set[int] = set()
    left = [made]
    while left:
        item = left.pop()
        if item is other:
            return True
        if id(item) not in seen:
            seen.add(id(item))
            left += [parent for _, parent in parents_of(item)]
    return False


def _require_key(name: str, kind: pa.DataType) -> None:
    """Raises PlanError where a column cannot be a key: floats have no order that holds for NaN, structs have none."""
    kinds = pa.types
    checks = (kinds.is_integer, kinds.is_string, kinds.is_large_string, kinds.is_binary, kinds.is_large_binary)
    if not any(check(kind) for check in (*checks, kinds.is_fixed_size_binary)):
        raise PlanError(f"exchange: column '{name}' is {kind}: keys are integers, strings or binary")


def same(batches: Batches, work: Work) -> Batches:
    """Yields the rows as they are."""
    return batches


def _with(schema: pa.Schema, adds: pa.Schema | None, drops: Sequence[str]) -> pa.Schema:
    schema = pa.schema([column for column in schema if column.name not in drops])
    for added in adds or ():
        place = schema.get_field_index(added.name)
        schema = schema.append(added) if place < 0 else schema.set(place, added)
    return schema
