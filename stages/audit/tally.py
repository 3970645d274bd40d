"""Counting in a run: tables of counters are made by each task, packed into rows, and added up by one fold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from datapipe import LEAVING, DataError, Resource, Work
from datapipe.dataset import Batches
from stages.audit import draw, look
from stages.audit.counter import Counter, Wide
from stages.audit.frames import SPLIT, left_frame
from stages.audit.published import AMOUNTS, amounts, gathered, uncut

TABLES: Final = pa.schema([pa.field("name", pa.string()), pa.field("content", pa.binary())])  # content: Arrow's stream
LACKS: Final = pa.schema([pa.field("of", pa.string()), pa.field("column", pa.string())])
HELD: Final = 8  # tables of a counter that are held before they are merged
_CODEC: Final = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)


def pack(tables: Mapping[str, pa.Table]) -> pa.RecordBatch:
    """Returns tables as rows of TABLES."""
    contents = []
    for table in tables.values():
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema, options=_CODEC) as writer:
            writer.write_table(table)
        contents.append(sink.getvalue().to_pybytes())
    return pa.RecordBatch.from_arrays(
        [pa.array(list(tables), pa.string()), pa.array(contents, pa.binary())], schema=TABLES
    )


def unpack(rows: pa.RecordBatch | pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Yields (name, table) of rows of TABLES."""
    for name, content in zip(rows.column("name").to_pylist(), rows.column("content").to_pylist(), strict=True):
        with pa.ipc.open_stream(content, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
            yield name, reader.read_all()


class Tallies:
    """The tables of counters so far."""

    def __init__(self, counters: Iterable[Counter]) -> None:
        self.counters = {counter.name: counter for counter in counters}
        self.held: dict[str, list[pa.Table]] = defaultdict(list)

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> None:
        """Adds what the counters say of rows of the frame."""
        for name, counter in self.counters.items():
            self.add(name, counter.count(frame, ledger))

    def add(self, name: str, table: pa.Table) -> None:
        """Adds a table of a counter."""
        held = self.held[name]
        if len(table):
            held.append(table)
        if len(held) > HELD:
            self.held[name] = [self.counters[name].merge(held)]

    def merged(self) -> dict[str, pa.Table]:
        """Returns the one table of each counter that counted anything."""
        return {name: self.counters[name].merge(held) for name, held in self.held.items() if held}


@dataclass(frozen=True)
class Count:
    """Counts rows of the frame, or of other files; yields TABLES. Tables of `apart` are put out as rows, by name.

    With `without`, rows whose ids are read beside are left out: documents that were written and left later.
    """

    counters: tuple[Counter, ...]
    apart: tuple[Counter, ...] = ()
    without: bool = False

    def __call__(self, batches: Batches, work: Work) -> Batches:
        tallies = Tallies([*self.counters, *self.apart])
        gone = pa.Table.from_batches(work.beside()).column(0).combine_chunks() if self.without else None
        kept = 0
        for table in gathered(batches):
            if gone is not None:
                table = table.filter(pc.invert(pc.is_in(table.column("id"), gone)))
            tallies.count(table, None)
            kept += len(table)
        yield from _handed_on(tallies.merged(), self.apart, work)
        work.put("amounts", amounts(kept=kept))


@dataclass(frozen=True)
class CountLeft:
    """Counts what a ledger says of documents that left, and of parts that were made; else as `Count`.

    Puts out the ids of those that left at one of the steps `after`, as `gone`.
    """

    counters: tuple[Counter, ...]
    apart: tuple[Counter, ...] = ()
    after: tuple[str, ...] = ()

    def __call__(self, batches: Batches, work: Work) -> Batches:
        tallies = Tallies([*self.counters, *self.apart])
        left: dict[str, int] = defaultdict(int)
        for ledger in uncut(batches, "id"):
            frame = left_frame(ledger)
            tallies.count(frame, ledger)
            gone = frame.filter(pc.is_in(frame.column("action"), pa.array(LEAVING)))
            for stage in gone.column("stage").value_counts().to_pylist():
                left[f"left.{stage['values']}"] += stage["counts"]
            left["made"] += pc.sum(pc.equal(frame.column("action"), SPLIT)).as_py() or 0
            if self.after:
                late = gone.filter(pc.is_in(gone.column("stage"), pa.array(self.after)))
                for batch in late.select(["id"]).to_batches():
                    work.put("gone", batch)
        yield from _handed_on(tallies.merged(), self.apart, work)
        work.put("amounts", amounts(**left))


def _handed_on(tables: Mapping[str, pa.Table], apart: Sequence[Counter], work: Work) -> Iterator[pa.RecordBatch]:
    names = {counter.name for counter in apart}
    for name in names & tables.keys():
        for batch in tables[name].to_batches():
            work.put(name, batch)
    yield pack({name: table for name, table in tables.items() if name not in names})


@dataclass(frozen=True)
class After:
    """Counts the merged rows of a counter of very many keys, which come sorted by key, all of a key together."""

    wide: Wide

    def __call__(self, batches: Batches, work: Work) -> Batches:
        tallies = Tallies(self.wide.after)
        for table in uncut(batches, self.wide.key):
            tallies.count(self.wide.counter.merge([table]), None)
        yield pack(tallies.merged())


@dataclass(frozen=True)
class Sum:
    """Adds up the tables of all tasks, checks the sums, and looks at the text of the documents that were drawn.

    `came` are the documents that came out of the last step by the run's report (None: it does not say), `dropped` those
    that left by step; `of` is the folder of the run, `topics` an earlier model. Yields TABLES. `whole` are AMOUNTS.
    """

    of: Resource
    counters: tuple[Counter, ...]
    wide: tuple[Wide, ...]
    seed: int
    came: int | None
    dropped: tuple[tuple[str, int], ...]
    lacks: tuple[tuple[str, str], ...] = ()
    topics: Resource | None = None

    def __call__(self, batches: Batches, work: Work) -> Batches:
        after = [counter for wide in self.wide for counter in wide.after]
        tallies = Tallies([*self.counters, *(wide.counter for wide in self.wide), *after])
        for batch in batches:
            for name, table in unpack(batch):
                tallies.add(name, table)
        tables = tallies.merged()
        for wide in self.wide:
            together = tables.pop(wide.counter.name, None)
            if together is not None:
                tables |= {counter.name: counter.count(together, None) for counter in wide.after}
        empty = {counter.name: counter.schema.empty_table() for counter in (*self.counters, *after)}
        lacks = pa.table({"of": [of for of, _ in self.lacks], "column": [name for _, name in self.lacks]}, schema=LACKS)
        tables = {**empty, **tables, "sums": self.checked(work.whole[0]), "lacks": lacks}
        topics = self.topics.read() if self.topics else None
        taken, left = tables[draw.TAKEN], tables[draw.LEFT]
        tables |= look.look(taken, left, folder=self.of.path, seed=self.seed, topics=topics)
        rows = pack(dict(sorted(tables.items())))
        work.put("facts", rows)
        yield rows

    def checked(self, found: pa.Table) -> pa.Table:
        """Returns the sums of AMOUNTS by name. Raises DataError where they are not those of the run's report."""
        summed = found.group_by("name", use_threads=False).aggregate([("amount", "sum")]).sort_by("name")
        summed = summed.rename_columns(["name", "amount"]).cast(AMOUNTS)
        sums = dict(zip(summed.column("name").to_pylist(), summed.column("amount").to_pylist(), strict=True))
        for stage, dropped in self.dropped:
            left = sums.get(f"left.{stage}", 0)
            if left != dropped:
                raise self._fault("ledger", f"{left:,} documents left at {stage}", f"{dropped:,}")
        kept = sums.get("kept", 0) + sums.get("removed", 0)
        if self.came is not None and kept != self.came:
            raise self._fault("documents that stayed", f"there are {kept:,}", f"{self.came:,}")
        if sums.get("trained_by_documents", 0) != sums.get("trained", 0):
            raise DataError(
                f"{self.of.path}: pieces of {sums['trained']:,} tokens are of documents, and the index of documents "
                f"has those of {sums['trained_by_documents']:,}: one was changed; `datapipe verify` says which"
            )
        return summed

    def _fault(self, what: str, found: str, said: str) -> DataError:
        return DataError(
            f"{self.of.path}: {what}: {found}, and reports/report.json says {said}: one of the two was changed; "
            "`datapipe verify` says which"
        )
