"""For stage authors: a stage on rows, in memory, and what it did to them.

>>> import pyarrow as pa
>>> from datapipe.testing import dataset, evaluate
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from datapipe.dataset import (
    FILES,
    Concat,
    Dataset,
    Exchange,
    Files,
    Fold,
    InputFile,
    Like,
    Map,
    Repeat,
    Side,
    Sized,
    Source,
)
from datapipe.errors import StageError
from datapipe.work import LEDGER, Work

Shards = list[pa.Table]


@dataclass
class Result:
    """What a dataset came to: its shards, the ledger's rows, and the counters of each stage function."""

    shards: Shards
    outputs: dict[str, Shards] = field(default_factory=dict)
    ledger: pa.Table = field(default_factory=LEDGER.empty_table)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def table(self) -> pa.Table:
        """All rows of all shards."""
        return pa.concat_tables(self.shards)


def dataset(*shards: pa.Table) -> Dataset:
    """Returns a dataset of these tables, one a shard, for `evaluate` alone."""
    return Dataset(_Given(shards), shards[0].schema)  # type: ignore[arg-type]  # an op that only `evaluate` knows


@dataclass(frozen=True, eq=False)
class _Given:
    shards: Sequence[pa.Table]


def evaluate(made: Dataset, *, rows_per_batch: int = 3) -> Result:
    """Returns everything that `made` is, computed here in memory; `rows_per_batch` cuts the input into batches."""
    memory = _Memory(rows_per_batch)
    result = Result(memory.shards(made))
    result.ledger = pa.concat_tables([LEDGER.empty_table(), *memory.ledger])
    result.counts = memory.counts
    result.outputs = memory.outputs
    return result


class _Memory:
    """The plain twin of the engine: a dataset graph evaluated with tables."""

    def __init__(self, rows_per_batch: int) -> None:
        self.rows_per_batch = rows_per_batch
        self.known: dict[int, Shards] = {}
        self.keep: list[Dataset] = []
        self.sides: dict[tuple[int, str], Shards] = {}
        self.outputs: dict[str, Shards] = {}
        self.ledger: list[pa.Table] = []
        self.counts: Counter[str] = Counter()

    def shards(self, made: Dataset) -> Shards:
        if id(made) not in self.known:
            self.keep.append(made)  # ids stay unique while the dataset lives
            self.known[id(made)] = self._make(made)
        return self.known[id(made)]

    def _make(self, made: Dataset) -> Shards:
        match made.op:
            case _Given(shards):
                return list(shards)
            case Source() as op:
                return [self._read(op, group, number, made.schema) for number, group in enumerate(op.groups)]
            case Map() as op:
                return self._map(made, op)
            case Fold() as op:
                whole = tuple(pa.concat_tables(self.shards(item)) for item in op.whole)
                table = pa.concat_tables(self.shards(op.parent))
                return [self._call(made, op.function, table, 0, whole, None, [o.name for o in op.outputs])]
            case Side(parent, name):
                self.shards(parent)
                empty = made.schema.empty_table()
                return [table if table is not None else empty for table in self.sides[id(parent), name]]
            case Exchange() as op:
                return self._exchange(op, made.schema)
            case Files(parent):
                return [_files(self.shards(parent))]
            case Concat(parents):
                return [shard for parent in parents for shard in self.shards(parent)]
            case Repeat(parent, step, until, at_most):
                for _ in range(at_most):
                    before = self.counts[until]
                    parent = step(parent)
                    self.shards(parent)
                    if self.counts[until] == before:
                        break
                return self.shards(parent)

    def _read(self, op: Source, group: tuple[InputFile, ...], number: int, schema: pa.Schema) -> pa.Table:
        work = Work(number, emit=lambda name, batch: self.ledger.append(pa.Table.from_batches([batch])))
        batches = list(op.read(group, work))
        self.counts.update(work.counts)
        return pa.Table.from_batches(batches, schema=schema)

    def _map(self, made: Dataset, op: Map) -> Shards:
        parents = self.shards(op.parent)
        beside: Sequence[pa.Table | None] = self.shards(op.beside) if op.beside else [None] * len(parents)
        if len(beside) != len(parents):
            raise StageError(f"beside has {len(beside)} shards, the dataset {len(parents)}")
        whole = tuple(pa.concat_tables(self.shards(item)) for item in op.whole)
        names = [output.name for output in op.outputs]
        return [
            self._call(made, op.function, table, number, whole, beside[number], names)
            for number, table in enumerate(parents)
        ]

    def _call(
        self,
        made: Dataset,
        function: object,
        table: pa.Table,
        number: int,
        whole: tuple[pa.Table, ...],
        beside: pa.Table | None,
        names: list[str],
    ) -> pa.Table:
        held: dict[str, list[pa.RecordBatch]] = {name: [] for name in [*names, "ledger"]}
        work = Work(
            number,
            "stage",
            whole,
            lambda name, batch: held[name].append(batch),
            lambda: self._batches(beside if beside is not None else pa.table({})),
        )
        rows = pa.Table.from_batches(list(function(self._batches(table), work)), schema=made.schema)  # type: ignore[operator]
        op = made.op
        if isinstance(op, Map) and op.documents and table.num_rows + work.made != rows.num_rows + work.dropped:
            raise StageError(
                f"{table.num_rows} rows in + {work.made} split is not {rows.num_rows} out + {work.dropped} dropped"
            )
        if isinstance(op, Map) and op.passes and repr(rows.to_pylist()) != repr(table.to_pylist()):  # NaN is not NaN
            raise StageError("rows changed in a map that promised to pass them on as they came")
        self.ledger += [pa.Table.from_batches(held.pop("ledger"), schema=LEDGER)]
        for output in getattr(op, "outputs", ()):
            got = pa.Table.from_batches(held[output.name], schema=output.schema)
            self.sides.setdefault((id(made), output.name), []).append(got)
            self.outputs.setdefault(output.name, []).append(got)
        self.counts.update(work.counts)
        return rows

    def _exchange(self, op: Exchange, schema: pa.Schema) -> Shards:
        table = pa.concat_tables(self.shards(op.parent))
        if isinstance(op.shards, Dataset):
            count = int(self.shards(op.shards)[0].column("shards")[0].as_py())
        elif isinstance(op.shards, Like):
            count = len(self.shards(op.shards.dataset))
        else:
            count = 2 if isinstance(op.shards, Sized) else op.shards
        table = table.sort_by([(name, "ascending") for name in (op.by, *op.then)])
        keys = table.column(op.by).to_pylist()
        places = [key if op.direct else hash_of(key) % count for key in keys]
        return [
            table.take(pa.array([row for row, place in enumerate(places) if place == number], pa.int64()))
            for number in range(count)
        ]

    def _batches(self, table: pa.Table) -> Iterator[pa.RecordBatch]:
        return iter(table.combine_chunks().to_batches(max_chunksize=self.rows_per_batch))


def _files(shards: Shards) -> pa.Table:
    rows = [
        {"number": number, "name": f"{number}", "rows": table.num_rows, "bytes": table.nbytes, "sha256": "0" * 64}
        for number, table in enumerate(shards)
    ]
    return pa.Table.from_pylist(rows, schema=FILES)


def hash_of(key: object) -> int:
    """Returns a stable number for a key of any kind."""
    return sum(ord(character) * 31**place for place, character in enumerate(str(key)))
