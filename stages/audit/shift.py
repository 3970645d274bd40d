"""How each stage shifts what a corpus is made of: the Jensen-Shannon divergence of what went on from what came.

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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import Counter, Facts, Wide, summed
from stages.audit.frame import KEPT
from stages.audit.funnel import SHOWN, column, estimated, has_tokens
from stages.audit.measures import Estimate, Z, divergence, kl
from stages.audit.model import Cell, Figure, Section, Table, Words
from stages.audit.passage import SPLIT, Passage, command, passages, shown, stages_of

LARGEST: Final = 1000  # hosts and domains that have a row by name
EXACT: Final = 400  # documents of a bin, up to which its chance is summed over all numbers that may stay
CUBE_AXES: Final = ("source", "language", "script", "format")
WIDE_AXES: Final = ("host", "domain")
LABELS: Final = {
    "host": Words(en="host", zh="主机"),
    "domain": Words(en="registrable domain", zh="注册域名"),
    "source": Words(en="source", zh="来源"),
    "language": Words(en="language", zh="语种"),
    "script": Words(en="script", zh="文字"),
    "format": Words(en="format", zh="体裁"),
}

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


COUNTERS: tuple[Counter | Wide, ...] = ()
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
    return math.fsum(times * _each(p, q))


def _each(p: Values, q: Values) -> Values:
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
        expected[came == size] = math.fsum(chances * _each(np.full(len(some), size / whole), some / stayed))
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


# What is said


def sections(facts: Facts) -> Iterator[Section]:
    """Yields the section `shift`."""
    shifts = [shift for shift in shifts_of(facts) if shift.groups > 1]
    tables = (_table(shifts), _gains(facts), _trained(facts))
    yield Section(
        key="shift",
        title=Words(en="How each stage shifts the corpus", zh="各阶段如何改变语料构成"),
        intro=Words(
            en="The Jensen-Shannon divergence of what went on from what came to a stage: 0 where the shares are the "
            "same, 1 where nothing is in common. Beside it stands what a blind choice of as many documents would give: "
            "only what is well above it is the doing of the stage.",
            zh="某阶段之后与之前的 Jensen–Shannon 散度：构成不变为 0，毫无重合为 1。"
            "旁边给出随机去掉同样多文档时的期望值；只有明显高于它，才是该阶段造成的偏移。",
        ),
        figures=tuple(_figures(shifts)),
        tables=tuple(table for table in tables if table.rows),
    )


def _figures(shifts: Sequence[Shift]) -> Iterator[Figure]:
    """Yields the divergence of each axis at the stage that shifts it most."""
    for axis in LABELS:
        told = [(shift, shift.estimate()) for shift in shifts if shift.axis == axis and shift.told]
        if not told:
            continue
        most, value = min(told, key=lambda item: (-item[1].value, item[0].stage))
        label, stage = LABELS[axis], shown(most.stage)
        yield Figure(
            key=f"shift.{axis}",
            label=Words(
                en=f"largest shift by {label.en}, at {stage}, in bits", zh=f"{label.zh}构成的最大偏移（{stage}，比特）"
            ),
            value=value.value,
            unit="number",
            low=value.low,
            high=value.high,
            command=command(stage=most.stage),
            note=Words(
                en=f"{_blind(most):.2g} bits are expected by chance",
                zh=f"随机去掉同样多文档的期望值为 {_blind(most):.2g} 比特",
            ),
        )


def _blind(shift: Shift) -> float:
    return by_chance(shift.came, shift.times, math.fsum(shift.stayed * shift.times))


def _table(shifts: Sequence[Shift]) -> Table:
    lines: list[tuple[Cell, ...]] = []
    for shift in shifts:
        before, after = (int((values * shift.times).sum()) for values in (shift.came, shift.stayed))
        numbers: tuple[Cell, ...] = (None,) * 7
        if shift.told:
            value = shift.estimate()
            size = shift.size.estimate().value if shift.size and shift.size.told else None
            distance = math.sqrt(value.value)
            numbers = (value.value, value.low, value.high, distance, _blind(shift), _kl(shift), size)
        label = LABELS[shift.axis]
        lines.append(
            (f"{label.en} {label.zh}", shown(shift.stage), shift.groups, before, after, *numbers, shift.unknown or None)
        )
    return Table(
        key="shift.stages",
        label=Words(en="By axis and stage", zh="按维度与阶段"),
        columns=(
            column("axis", "axis", "维度", "text"),
            column("stage", "stage", "阶段", "text"),
            column("groups", "groups", "类别数", "number"),
            column("before", "documents that came", "进入"),
            column("after", "documents that went on", "留下"),
            column("divergence", "divergence, bits", "散度（比特）", "number"),
            column("divergence_low", "from", "下限", "number"),
            column("divergence_high", "to", "上限", "number"),
            column("distance", "its root, a distance", "平方根（距离）", "number"),
            column("chance", "by chance", "随机期望", "number"),
            column("kl", "Kullback-Leibler, bits", "KL 散度（比特）", "number"),
            column("bytes", "divergence of bytes, bits", "按字节的散度（比特）", "number"),
            column("unknown", "left, of no known group", "离开但类别不明"),
        ),
        rows=tuple(lines[:SHOWN]),
        commands=tuple(command(stage=shift.stage) for shift in shifts[:SHOWN]),
        of=len(lines) if len(lines) > SHOWN else None,
        note=Words(
            en="Stages at which nothing left are not shown. No number: of the documents that left, no group is known. "
            "Documents without a host are in no row of hosts and domains.",
            zh="未列出没有文档离开的阶段。无数值：离开的文档类别不明。没有主机的文档不计入主机与注册域名各行。",
        ),
    )


def _kl(shift: Shift) -> float:
    """Returns the Kullback-Leibler divergence of what went on from what came."""
    if (shift.times == 1).all():
        return kl(shift.came, shift.stayed)
    p = shift.stayed / math.fsum(shift.stayed * shift.times)
    q = shift.came / math.fsum(shift.came * shift.times)
    there = p > 0
    return math.fsum((shift.times * p)[there] * np.log2(p[there] / q[there]))


@dataclass(frozen=True)
class Gain:
    """What a group has at a stage before and after, and what it adds to the divergence."""

    axis: str
    stage: str
    group: str
    before: float
    after: float
    adds: float


def gains_of(facts: Facts) -> list[Gain]:
    """Returns the groups by what they add to the divergence of their axis at a stage, most first."""
    stages = stages_of(facts.run)
    cube = facts.tables["cube"].to_pylist()
    largest = facts.tables["largest_names"].to_pylist()
    named = {axis: passages([row for row in largest if row["axis"] == axis], "name") for axis in WIDE_AXES}
    named |= {axis: passages(cube, axis) for axis in CUBE_AXES}
    found: list[Gain] = []
    for shift in shifts_of(facts):
        if not shift.told or shift.groups < 2:
            continue
        before, after = (math.fsum(values * shift.times) for values in (shift.came, shift.stayed))
        place = stages.index(shift.stage)
        for group, passage in named[shift.axis].items():
            if group is None:
                continue
            step = passage.steps(stages)[place]
            p, q = step.came / before, step.stayed / after
            adds = float(_each(np.array([p]), np.array([q]))[0])
            found.append(Gain(shift.axis, shift.stage, group, p, q, adds))
    found.sort(key=lambda gain: (-gain.adds, gain.axis, gain.stage, gain.group))
    return [gain for gain in found if gain.adds > 0]


def _gains(facts: Facts) -> Table:
    every = gains_of(facts)
    lines: list[tuple[Cell, ...]] = []
    commands: list[str | None] = []
    for gain in every[:SHOWN]:
        label = LABELS[gain.axis]
        more = gain.after > gain.before
        lines.append(
            (
                shown(gain.group),
                f"{label.en} {label.zh}",
                shown(gain.stage),
                gain.before,
                gain.after,
                gain.after - gain.before,
                gain.adds if more else -gain.adds,
            )
        )
        stage = None if more else gain.stage
        commands.append(command(stage=stage, **{gain.axis: gain.group}))  # type: ignore[arg-type] # no axis is `kept`
    return Table(
        key="shift.groups",
        label=Words(en="Who gained, who lost", zh="谁的份额增加，谁的减少"),
        columns=(
            column("group", "group", "类别", "text"),
            column("axis", "axis", "维度", "text"),
            column("stage", "stage", "阶段", "text"),
            column("before", "share before", "之前份额", "share"),
            column("after", "share after", "之后份额", "share"),
            column("change", "change", "变化", "share"),
            column("adds", "adds to the divergence, bits; below 0: lost", "对散度的贡献（比特，负为减少）", "number"),
        ),
        rows=tuple(lines),
        commands=tuple(commands),
        of=len(every) if len(every) > SHOWN else None,
        note=Words(
            en="Commands list the documents of the group that left there; of a group that gained, all its documents.",
            zh="命令列出该类在此阶段离开的文档；份额增加的类别则列出其全部文档。",
        ),
    )


def _trained(facts: Facts) -> Table:
    """Returns how training differs from the corpus: shares of tokens as they are, and as they are seen."""
    rows = estimated(facts.tables["cube"].to_pylist())
    lines: list[tuple[Cell, ...]] = []
    for axis in CUBE_AXES if has_tokens(rows) and any(row["trained"] for row in rows) else ():
        sums: dict[str, list[int]] = {}
        for row in rows:
            if row["stage"] == KEPT and row[axis] is not None:
                held = sums.setdefault(row[axis], [0, 0])
                held[0] += row["tokens"]
                held[1] += row["trained"]
        if len(sums) < 2:
            continue
        groups = sorted(sums)
        tokens, trained = (np.array([sums[group][place] for group in groups], np.float64) for place in (0, 1))
        value, each = divergence(tokens, trained)
        change = trained / math.fsum(trained) - tokens / math.fsum(tokens)
        label = LABELS[axis]
        gained, lost = (
            groups[int(place)] for place in (np.argmax(each * np.sign(change)), np.argmin(each * np.sign(change)))
        )
        lines.append((f"{label.en} {label.zh}", len(groups), value, math.sqrt(value), shown(gained), shown(lost)))
    return Table(
        key="shift.trained",
        label=Words(en="From the corpus to training", zh="从语料到训练"),
        columns=(
            column("axis", "axis", "维度", "text"),
            column("groups", "groups", "类别数", "number"),
            column("divergence", "divergence, bits", "散度（比特）", "number"),
            column("distance", "its root, a distance", "平方根（距离）", "number"),
            column("gained", "gained most", "增加最多", "text"),
            column("lost", "lost most", "减少最多", "text"),
        ),
        rows=tuple(lines),
        note=Words(
            en="Of shares of tokens: those of the corpus against those that training sees, repeats counted.",
            zh="按词元份额：语料中的份额与训练所见份额（含重复）之比较。",
        ),
    )
