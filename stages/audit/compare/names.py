"""Hosts and registrable domains that are too many to be named: their divergence, exactly, whatever their number.

    frame of A -> sums by axis and name ─┐
    frame of B -> sums by axis and name ─┴─ exchanged, so that all rows of a name meet -> what each adds -> summed

What a name adds follows from its shares, and shares from what the corpus holds, which is counted before. Parts are
whole numbers of 2**-60 bits, so that their sum does not depend on the order of tasks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Annotated, Any, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import datapipe
from datapipe import Dataset, Output, PlanError, Sized, Stage, Work, concat, storage
from datapipe.dataset import Batches
from stages.audit.counter import summed
from stages.audit.names import SWEPT, Names, totals
from stages.audit.published import DOCUMENTS, INDEX, gathered, grouped, published, uncut
from stages.audit.run import read_facts
from stages.audit.shifts import parts_of
from stages.audit.stage import Counting, code_of
from stages.audit.tally import TABLES, pack

FACTS: Final = "names/facts-{number:05}-of-{shards:05}.arrow"
BYTES_A_SHARD: Final = 64 << 20
UNIT: Final = float(1 << 60)  # of a bit
WEIGHTS: Final = ("documents", "size", "trained")
SUMS: Final = tuple(f"{weight}_{side}" for weight in WEIGHTS for side in "ab")
SIDED: Final = pa.schema([pa.field("key", pa.string()), *(pa.field(name, pa.int64()) for name in SUMS)])
ADDED: Final = pa.schema(
    [*((name, pa.string()) for name in ("axis", "weight")), *((name, pa.int64()) for name in ("units", "names"))]
)
_END: Final = "\n"  # of the axis in a key

Wholes = tuple[tuple[str, str, int, int], ...]  # axis, weight, what A and what B hold


@dataclass(frozen=True, kw_only=True)
class CompareNames(Stage):
    """Adds up how far two corpora are apart in hosts and registrable domains, for `datapipe diff`."""

    version: ClassVar[int] = code_of(resources.files(__package__))
    libraries: ClassVar[tuple[str, ...]] = ("datapipe",)

    a: Annotated[str, "folder --out of a finished run, local or s3://"]
    b: Annotated[str, "that of another"]
    wholes: Annotated[tuple[tuple[str, str, int, int], ...], "axis, weighting, what A holds, what B holds"]

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the table of what names add, packed.

        Raises:
            ConfigError: there is no finished run in a folder.
            DataError: what it published is damaged.
            PlanError: a step comes before.
        """
        if inputs:
            raise PlanError("reads the folders of two finished runs: it is the first step, and the only one")
        rows = []
        for side, folder in zip("ab", (self.a, self.b), strict=True):
            run = published(folder)
            groups = grouped(run.files(INDEX) or run.files(DOCUMENTS))
            rows.append(Counting(run, 0, None).frames(groups)[0].map(Sum(side), schema=SIDED))
        met = concat(rows).exchange("key", Sized(BYTES_A_SHARD), then=())
        return met.map(Add(self.wholes), schema=ADDED).fold(
            total, TABLES, outputs=(Output("facts", TABLES, publish=FACTS),)
        )


@dataclass(frozen=True)
class Sum:
    """Sums up documents of a side by axis and name."""

    side: str

    def __call__(self, batches: Batches, work: Work) -> Batches:
        for table in gathered(batches):
            held = totals(Names().count(table, None))
            named = pc.and_(pc.is_in(held.column("axis"), pa.array(SWEPT)), pc.not_equal(held.column("name"), ""))
            held = held.filter(named)
            keys = pc.binary_join_element_wise(held.column("axis"), held.column("name"), _END)
            none = pa.array(np.zeros(len(held), np.int64))
            made = {f"{weight}_{self.side}": held.column(weight) for weight in WEIGHTS}
            yield from (
                pa.table({"key": keys, **{name: made.get(name, none) for name in SUMS}}, schema=SIDED)
                .combine_chunks()
                .to_batches()
            )


@dataclass(frozen=True)
class Add:
    """Yields what the names of a task add to the divergence of their axis."""

    wholes: Wholes

    def __call__(self, batches: Batches, work: Work) -> Batches:
        added = ADDED.empty_table()
        for table in uncut(batches, "key"):
            added = summed([added, self._of(summed([table], ("key",), SIDED))], ("axis", "weight"), ADDED)
        yield from added.combine_chunks().to_batches()

    def _of(self, names: pa.Table) -> pa.Table:
        rows: list[dict[str, Any]] = []  # Any: Arrow's Python values
        for axis, weight, *wholes in self.wholes:
            its = names.filter(pc.starts_with(names.column("key"), f"{axis}{_END}"))
            sizes = [np.asarray(its.column(f"{weight}_{side}")) for side in "ab"]
            p, q = (size / whole for size, whole in zip(sizes, wholes, strict=True))
            units = np.rint(parts_of(p, q) * UNIT).astype(np.int64)
            there = int(((sizes[0] > 0) | (sizes[1] > 0)).sum())
            rows.append({"axis": axis, "weight": weight, "units": int(units.sum()), "names": there})
        return pa.Table.from_pylist(rows, ADDED)


def total(batches: Batches, work: Work) -> Batches:
    """Yields the sums of ADDED, packed."""
    rows = pack({"added": summed([pa.Table.from_batches([one]) for one in batches], ("axis", "weight"), ADDED)})
    work.put("facts", rows)
    yield rows


def exactly(
    a: str,
    b: str,
    wholes: Wholes,
    *,
    place: str | os.PathLike[str],
    **how: Any,  # Any: executor, address, workers, keep, listener of datapipe.run
) -> Mapping[tuple[str, str], tuple[float, int]]:
    """Returns the divergence in bits, and how many names there are in either, by axis and weighting of `wholes`."""
    out = storage.join(os.fspath(place), "out")
    fields = {"a": published(a).folder, "b": published(b).folder, "wholes": [list(one) for one in wholes]}
    config = {"name": "compare_names", "on_bad_input": "fail", "steps": [{"compare_names": fields}]}
    datapipe.run(config, out=out, work=place, replace=True, **how)
    rows = read_facts(storage.join(out, FACTS.format(number=0, shards=1)))["added"].to_pylist()
    return {(row["axis"], row["weight"]): (row["units"] / UNIT, row["names"]) for row in rows}
