"""The Jensen-Shannon divergence of what a stage left from what came to it, its interval, and what chance gives.

Of hosts and registrable domains all are counted, also where there are very many of them: those that went equally
through the run (so many documents stayed, so many left at this stage, so many at that) are one row with their number,
so that the divergence is exact without a row for each. The largest have a row by name too, for the table of what
contributes: no bin adds more than its larger share, so what is missed there is small.

The interval is that of the delta method: documents are taken as drawn one by one from what the corpus is drawn from,
each with its fate; the variance is that of the derivatives of the divergence for its two distributions, summed over
documents. `chance` is the divergence that is expected where as many documents are taken blindly (hypergeometric),
which is not 0: it grows with the number of bins. A divergence near it says nothing.

Source: Lin 1991, IEEE Trans. Inf. Theory 37, 145; Endres and Schindelin 2003, IEEE Trans. Inf. Theory 49, 1858 (its
root is a distance); Cramér 1946, section 28.4 (delta method).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import Counter, Facts, summed
from stages.audit.frame import KEPT
from stages.audit.measures import Estimate, Z, divergence
from stages.audit.passage import SPLIT, Passage, passages, stages_of

LARGEST: Final = 1000  # hosts and domains that have a row by name
EXACT: Final = 400  # documents of a bin, up to which its chance is summed over all numbers that may stay
CUBE_AXES: Final = ("source", "language", "script", "format")
WIDE_AXES: Final = ("host", "domain")

NOTHING: Final[Mapping[str, int]] = {}

Values = npt.NDArray[np.float64]


# Counters of names


@dataclass(frozen=True)
class Ways:
    """How many hosts (and domains) went through the run equally.

    `way` has a line for each stage at which documents left, `quality:2`, and `:5` for those that stayed. Parts that a
    stage made of others are subtracted there, so its number may be below 0.
    """

    name: str = "host_ways"

    @property
    def schema(self) -> pa.Schema:
        """Axis, way and names."""
        return pa.schema([("axis", pa.string()), ("way", pa.string()), ("names", pa.int64())])

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the ways of these names; `frame` has the columns of `stages.audit.names.Names`, whole names."""
        rows = _went(frame)
        went = pc.binary_join_element_wise(rows.column("stage"), rows.column("documents").cast(pa.string()), ":")
        keyed = pa.table({**{key: rows.column(key) for key in ("axis", "name")}, "way": went})
        lists = keyed.group_by(["axis", "name"], use_threads=False).aggregate([("way", "list")])
        ways = pc.binary_join(lists.column("way_list").cast(pa.list_(pa.string())), "\n")
        ones = np.ones(lists.num_rows, np.int64)
        return self.merge([pa.table({"axis": lists.column("axis"), "way": ways, "names": ones})])

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, ("axis", "way"), self.schema)


@dataclass(frozen=True)
class LargestNames:
    """How the hosts (and domains) of which most documents came went through the run, and what rules took of them."""

    name: str = "largest_names"
    most: int = LARGEST

    @property
    def schema(self) -> pa.Schema:
        """A row for each axis, name and way to end: documents that did."""
        return _ENDED

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the largest of these names; `frame` has the columns of `stages.audit.names.Names`, whole names."""
        named = frame.filter(_is_named(frame)).select(_ENDED.names)
        return self._largest(summed([named], _ENDED.names[:-1], _ENDED))

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the largest of all: each is in one table, and among the largest there."""
        return self._largest(pa.concat_tables([_ENDED.empty_table(), *tables]))

    def _largest(self, rows: pa.Table) -> pa.Table:
        parts = []
        for axis in WIDE_AXES:
            its = rows.filter(pc.equal(rows.column("axis"), axis))
            sizes = pa.table({"name": its.column("name"), "came": _came(its)})
            sizes = sizes.group_by("name", use_threads=False).aggregate([("came", "sum")])
            sizes = sizes.sort_by([("came_sum", "descending"), ("name", "ascending")]).slice(0, self.most)
            parts.append(its.filter(pc.is_in(its.column("name"), sizes.column("name").combine_chunks())))
        order = [(key, "ascending") for key in _ENDED.names[:-1]]
        return pa.concat_tables(parts).sort_by(order).combine_chunks()


_WENT: Final = pa.schema(
    [*((key, pa.string()) for key in ("axis", "name", "stage")), pa.field("documents", pa.int64())]
)
_ENDED: Final = pa.schema(
    [
        *((key, pa.string()) for key in ("axis", "name", "stage", "action", "rule")),
        pa.field("documents", pa.int64()),
    ]
)


def _is_named(rows: pa.Table) -> pa.ChunkedArray:
    """Returns which rows are of a host or a domain that has a name."""
    return pc.and_(pc.is_in(rows.column("axis"), pa.array(WIDE_AXES)), pc.not_equal(rows.column("name"), ""))


def _came(rows: pa.Table) -> pa.ChunkedArray:
    """Returns documents, parts that a stage made of others as less than none."""
    made = pc.equal(pc.fill_null(rows.column("action"), ""), SPLIT)
    return pc.if_else(made, pc.negate(rows.column("documents")), rows.column("documents"))


def _went(rows: pa.Table) -> pa.Table:
    """Returns documents of hosts and domains by the stage at which they left, sorted; parts that were made as less."""
    rows = rows.filter(_is_named(rows))
    keys = {key: rows.column(key) for key in ("axis", "name", "stage")}
    return summed([pa.table({**keys, "documents": _came(rows)})], ("axis", "name", "stage"), _WENT)


AFTER: Final[tuple[Counter, ...]] = (Ways(), LargestNames())  # count behind `Names`: see stages.audit.hosts


# Distributions


@dataclass(frozen=True)
class Shift:
    """What came to a stage and what went on, in bins: `times` groups have each pair of numbers."""

    axis: str
    stage: str
    came: Values
    stayed: Values
    times: Values
    unknown: int  # documents that left here and are in no group
    size: Shift | None = None  # the same in bytes

    @property
    def groups(self) -> int:
        """How many groups came."""
        return int(self.times[self.came > 0].sum())

    @property
    def told(self) -> bool:
        """Whether anything can be said: groups came and stayed, and those of documents that left are known."""
        left = math.fsum(self.times * np.maximum(self.came - self.stayed, 0))
        return self.groups > 1 and math.fsum(self.stayed) > 0 and (left > 0 or not self.unknown)

    def estimate(self) -> Estimate:
        """Returns the divergence in bits with its interval."""
        value = _total(self.came, self.stayed, self.times)
        error = jsd_error(self.came, self.stayed, self.times)
        return Estimate(value, max(0.0, value - Z * error), min(1.0, value + Z * error))


def _total(came: Values, stayed: Values, times: Values) -> float:
    """Returns the divergence of bins of which there are several of a kind."""
    if (times == 1).all():
        return divergence(came, stayed)[0]
    p, q = came / math.fsum(came * times), stayed / math.fsum(stayed * times)
    return math.fsum(times * parts_of(p, q))


def parts_of(p: Values, q: Values) -> Values:
    """Returns what bins of shares p and q add to the divergence."""
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(share > 0, share * np.log2(share / middle), 0.0) for share in (p, q)]
    return np.maximum((parts[0] + parts[1]) / 2, 0.0)


def jsd_error(came: Values, stayed: Values, times: Values) -> float:
    """Returns the standard error of the divergence by the delta method: see the module."""
    whole, rest = math.fsum(came * times), math.fsum(stayed * times)
    p, q = came / whole, stayed / rest
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        of_p = np.where(p > 0, np.log2(p / middle) / 2, 0.0)
        of_q = np.where(q > 0, np.log2(q / middle) / 2, 0.0)
    of_p = of_p - math.fsum(times * p * of_p)
    of_q = (of_q - math.fsum(times * q * of_q)) * whole / rest
    left = np.maximum(came - stayed, 0)
    squares = math.fsum(times * (stayed * (of_p + of_q) ** 2 + left * of_p**2))
    return math.sqrt(squares) / whole


def by_chance(came: Values, times: Values, stayed: float) -> float:
    """Returns the divergence expected where `stayed` documents of all that came are left by a blind draw.

    Exact by the hypergeometric distribution of each bin up to EXACT documents; above, by the variance of it.

    >>> round(by_chance(np.array([1.0, 1.0]), np.ones(2), 1), 4)  # one of two, of different groups
    0.3113
    """
    whole = math.fsum(came * times)
    if stayed <= 0 or stayed >= whole:
        return 0.0
    p = came / whole
    # Var(b) = stayed p (1 - p) (whole - stayed) / (whole - 1), and a bin adds (q - p)² / (8 p ln 2) to second order.
    variance = p * (1 - p) * (whole - stayed) / (stayed * max(1.0, whole - 1))
    expected = variance / (8 * math.log(2) * np.where(p > 0, p, 1.0))
    for size in np.unique(came[(came > 0) & (came <= EXACT)]):
        least = max(0, round(stayed - whole + size))
        some = np.arange(least, min(size, stayed) + 1)
        chances = _hypergeometric(some, round(size), round(whole), round(stayed))
        expected[came == size] = math.fsum(chances * parts_of(np.full(len(some), size / whole), some / stayed))
    return math.fsum(times * expected)


def _hypergeometric(some: Values, size: int, whole: int, drawn: int) -> Values:
    """Returns how likely `some` of a bin of `size` are among `drawn` of `whole` documents."""
    log = np.array([_choose(size, int(k)) + _choose(whole - size, drawn - int(k)) for k in some])
    return np.exp(log - _choose(whole, drawn))


def _choose(whole: int, part: int) -> float:
    return math.lgamma(whole + 1) - math.lgamma(part + 1) - math.lgamma(whole - part + 1)


def shifts_of(facts: Facts) -> list[Shift]:
    """Returns, of each axis, what each stage at which documents left made of its distribution."""
    stages = stages_of(facts.run)
    cube = facts.tables["cube"].to_pylist()
    passed = [row for row in facts.tables["host_passages"].to_pylist() if row["axis"] == "hosts"]
    hostless = _lost(passages(passed, "group").get(None, Passage()), stages)
    made: list[Shift] = []
    for axis in WIDE_AXES:
        ways = [row for row in facts.tables["host_ways"].to_pylist() if row["axis"] == axis]
        times = np.array([row["names"] for row in ways], np.float64)
        made += _shifts(axis, _matrix([_way(row["way"]) for row in ways], stages), times, stages, hostless)
    for axis in CUBE_AXES:
        documents, sizes = ({**passages(cube, axis, amount)} for amount in ("documents", "bytes"))
        unknown = documents.pop(None, Passage())
        sizes.pop(None, None)
        left, size = (_matrix([_net(one) for one in groups.values()], stages) for groups in (documents, sizes))
        ones = np.ones(len(documents))
        in_bytes = {shift.stage: shift for shift in _shifts(axis, size, ones, stages)}
        for shift in _shifts(axis, left, ones, stages, _lost(unknown, stages)):
            made.append(replace(shift, size=in_bytes.get(shift.stage)))
    return made


def _lost(passage: Passage, stages: Sequence[str]) -> dict[str, int]:
    """Returns how many documents left at each stage."""
    return {step.stage: step.filtered + step.duplicates for step in passage.steps(stages)}


def _way(way: str) -> dict[str, int]:
    """Returns what left at each stage by a way of `Ways`."""
    return {stage: int(amount) for stage, _, amount in (word.rpartition(":") for word in way.split("\n"))}


def _net(passage: Passage) -> dict[str, int]:
    """Returns what left at each stage, less what was made there, and under KEPT what stayed."""
    net = {KEPT: passage.kept}
    for (stage, action, _), amount in passage.left.items():
        net[stage] = net.get(stage, 0) + (-amount if action == SPLIT else amount)
    return net


def _matrix(groups: Sequence[Mapping[str, int]], stages: Sequence[str]) -> Values:
    """Returns float64[groups, stages + 1]: what left at each stage and, last, what stayed."""
    places = {stage: place for place, stage in enumerate((*stages, KEPT))}
    matrix = np.zeros((len(groups), len(places)))
    for row, group in enumerate(groups):
        for stage, amount in group.items():
            if stage in places:
                matrix[row, places[stage]] = amount
    return matrix


def _shifts(
    axis: str, matrix: Values, times: Values, stages: Sequence[str], unknown: Mapping[str, int] = NOTHING
) -> list[Shift]:
    """Returns the shifts at the stages where anything left; `matrix` is that of `_matrix`."""
    came = np.cumsum(matrix[:, ::-1], axis=1)[:, ::-1]
    made = []
    for place, stage in enumerate(stages):
        lost = unknown.get(stage, 0)
        if lost or matrix[:, place].any():
            made.append(Shift(axis, stage, came[:, place], came[:, place + 1], times, lost))
    return made
