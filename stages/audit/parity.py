"""What survives of each group of documents, held against the rest of its axis, and which rule the difference is of.

Survival is that of `stages.audit.passage`. Each group is held against all others of its axis together. It stands out
where the survival differs by more than chance and by POINTS or more; what each rule takes of the group beyond what it
takes of the rest adds up to the difference, so the rule with most is named. More than chance is: Newcombe's interval of
the difference has no 0 in it, and so many survivors or fewer (or more) are too rare by the binomial distribution with
the rate of the rest, at the border of its interval that is nearer, and those of the rest with the rate of the group;
all at 5 % for all groups of the axis at once (Bonferroni). The latter decide where documents are few.

Groups that a stage finds out (language, script, format) are known of documents that came to it only: those that left
before are in no group, and their number is told. Intervals take documents as drawn one by one; documents of one host or
source are alike, so where a group has few of them chance does more than they say.

Source: Newcombe 1998, Stat. Med. 17, 873 (method 10); Clopper and Pearson 1934 (binomial tails); Mantel and Haenszel
1959 with the variance of Greenland and Robins 1985, Biometrics 41, 55 (ratio within strata).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import Facts, summed
from stages.audit.cube import Row
from stages.audit.groups import derived
from stages.audit.measures import Estimate, Z, newcombe
from stages.audit.model import Words
from stages.audit.names import totals
from stages.audit.passage import (
    Left,
    Losses,
    Passage,
    Survival,
    command,
    losses,
    passages,
    stages_of,
    survival,
    together,
    without,
)

POINTS: Final = 0.10  # of survival, from which a difference is worth a word
FEW: Final = 1000  # documents of a group, up to which binomial tails are added up
TLDS: Final = 500  # that are counted, the largest
SIZES: Final = ((1, 1), (2, 9), (10, 99), (100, None))  # documents of a host that came
SIZE_NAMES: Final = ("1", "2-9", "10-99", "100+")
CHINESE: Final = {"zho_Hans": "zho_Hans", "zho_Hant": "zho_Hant", "mixed": "mixed"}  # labels; yue, lzh of any script

_KEYS: Final = ("axis", "group", "stage", "action", "rule")
_PASSED: Final = pa.schema(
    [*((key, pa.string()) for key in _KEYS), *((name, pa.int64()) for name in ("documents", "bytes", "names"))]
)


@dataclass(frozen=True)
class Years:
    """Documents by the year of their crawl, null where that is not known, and by how they went."""

    name: str = "years"

    @property
    def schema(self) -> pa.Schema:
        """Axis, group, how they went; documents, bytes, and nothing as names."""
        return _PASSED

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums of some documents."""
        years = pc.utf8_slice_codeunits(derived(frame, "month"), 0, 4)
        sums = {"documents": np.ones(frame.num_rows, np.int64), "bytes": pc.fill_null(frame.column("bytes"), 0)}
        return _passed("year", years, frame, {**sums, "names": np.zeros(frame.num_rows, np.int64)})

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, _KEYS, _PASSED)


@dataclass(frozen=True)
class HostPassages:
    """Documents by TLD, and by how many documents of their host came; of sums by name, all rows of a name in one table.

    The group is null of documents without a host. `names` are the hosts of a size: the sum over all rows of a group.
    """

    name: str = "host_passages"

    @property
    def schema(self) -> pa.Schema:
        """Axis (`hosts` or `tld`), group, how they went; documents, bytes and names."""
        return _PASSED

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums of these names; `frame` has the columns of `stages.audit.names.Names`."""
        hosts, tlds = (frame.filter(pc.equal(frame.column("axis"), axis)).combine_chunks() for axis in ("host", "tld"))
        of_host = totals(hosts)
        place = (
            pc.index_in(hosts.column("name"), of_host.column("name")) if hosts.num_rows else pa.array([], pa.int32())
        )
        places = np.asarray(place).astype(np.int64)
        size = np.searchsorted([low for low, _ in SIZES], np.asarray(of_host.column("came"))[places], side="right") - 1
        bare = np.asarray(pc.equal(hosts.column("name"), ""))
        groups = pa.array(SIZE_NAMES).take(pa.array(np.maximum(size, 0), mask=bare))
        first = np.zeros(len(places), np.int64)
        first[np.unique(places, return_index=True)[1]] = 1
        first[bare] = 0
        of_tld = pc.if_else(pc.equal(tlds.column("name"), ""), pa.scalar(None, pa.string()), tlds.column("name"))
        sizes = {name: hosts.column(name) for name in ("documents", "bytes")}
        ends = {name: tlds.column(name) for name in ("documents", "bytes")}
        none = np.zeros(tlds.num_rows, np.int64)
        return self.merge(
            [
                _passed("hosts", groups, hosts, {**sizes, "names": first}),
                _passed("tld", of_tld, tlds, {**ends, "names": none}),
            ]
        )

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables, of the TLDS largest only."""
        whole = summed(tables, _KEYS, _PASSED)
        is_tld = pc.and_(pc.equal(whole.column("axis"), "tld"), pc.is_valid(whole.column("group")))
        ends = whole.filter(is_tld).group_by("group", use_threads=False).aggregate([("documents", "sum")])
        if ends.num_rows <= TLDS:
            return whole
        ends = ends.sort_by([("documents_sum", "descending"), ("group", "ascending")]).slice(0, TLDS)
        return whole.filter(pc.or_(pc.invert(is_tld), pc.is_in(whole.column("group"), ends.column("group"))))


def _passed(axis: str, groups: Any, rows: pa.Table, sums: Mapping[str, Any]) -> pa.Table:  # Any: Arrow or numpy columns
    columns = {"axis": pa.repeat(pa.scalar(axis), rows.num_rows), "group": groups}
    columns |= {name: rows.column(name) for name in ("stage", "action", "rule")}
    return summed([pa.table({**columns, **sums})], _KEYS, _PASSED)


# Groups


@dataclass(frozen=True)
class Axis:
    """A way to tell documents apart, the passages of its groups, and what of them is not told."""

    key: str
    label: Words
    documents: Mapping[str, Passage]
    bytes: Mapping[str, Passage]
    unlabelled: Passage  # of no group
    whole: Passage  # of all groups, also of those that are not among `documents`
    hosts: Mapping[str, int] = field(default_factory=dict)

    @property
    def what(self) -> Words:
        """What its groups are."""
        return Words(en=self.label.en.removeprefix("By "), zh=self.label.zh.removeprefix("按"))

    def blind(self, stages: Iterable[str]) -> list[str]:
        """Returns the stages of whose losses no group is known, as they came before it was found out."""
        return [stage for stage in stages if left_at(self.unlabelled, stage) and not left_at(self.whole, stage)]

    def told(self, stages: Iterable[str]) -> bool:
        """Returns whether there are groups to compare, of which something is known where documents left."""
        lossy = [stage for stage in stages if left_at(self.whole, stage) or left_at(self.unlabelled, stage)]
        return len(self.documents) > 1 and len(self.blind(stages)) < max(1, len(lossy))

    def command(self, group: str, left: Left | None = None) -> str | None:
        """Returns what lists the documents of a group, or those of them that left so."""
        stage, rule = (left[0], left[2]) if left else (None, None)
        if self.key == "hosts":
            low, high = SIZES[SIZE_NAMES.index(group)]
            where = [f"host_documents>={low}", *([f"host_documents<={high}"] if high else [])]
            return command(*where, stage=stage, rule=rule)
        if self.key == "year":
            return command(f"month~{group}-", stage=stage, rule=rule)
        if self.key == "chinese":
            return command(stage=stage, rule=rule, language=CHINESE.get(group, f"{group}_*"))
        return command(stage=stage, rule=rule, **{self.key: group})  # type: ignore[arg-type] # no axis is `kept`


def left_at(passage: Passage, stage: str) -> int:
    """Returns how many documents left at a stage."""
    return sum(amount for (at, action, _), amount in passage.left.items() if at == stage and action != "split")


def axes_of(facts: Facts) -> list[Axis]:
    """Returns the axes of which this run tells something."""
    cube = facts.tables["cube"].to_pylist()
    others = [
        row for name in ("host_passages", "years") if name in facts.tables for row in facts.tables[name].to_pylist()
    ]
    chinese = [{**row, "group": _chinese(row)} for row in cube]
    of_chinese = [row for row in chinese if row["group"] is not None or row["language"] is None]
    found = [
        _axis("chinese", "Varieties of Chinese, and mixed text", "中文变体与多语混用文本", of_chinese),
        *(
            _axis(key, f"By {en}", f"按{zh}", [{**row, "group": row[key]} for row in cube])
            for key, en, zh in (
                ("language", "language", "语种"),
                ("script", "script", "文字"),
                ("format", "format", "体裁"),
                ("source", "source", "来源"),
            )
        ),
        *(
            _axis(key, f"By {en}", f"按{zh}", [row for row in others if row["axis"] == key])
            for key, en, zh in (
                ("hosts", "how many documents of the host came", "主机进入的文档数"),
                ("tld", "top-level domain", "顶级域"),
                ("year", "year of the crawl", "抓取年份"),
            )
        ),
    ]
    return [axis for axis in found if axis.told(stages_of(facts.run))]


def _axis(key: str, en: str, zh: str, rows: Sequence[Row]) -> Axis:
    groups, sizes = passages(rows, "group"), passages(rows, "group", "bytes")
    unlabelled = groups.pop(None, Passage())
    sizes.pop(None, None)
    hosts: dict[str, int] = {}
    for row in rows:
        if row["group"] is not None:
            hosts[row["group"]] = hosts.get(row["group"], 0) + row.get("names", 0)
    named = {str(group): passage for group, passage in sorted(groups.items(), key=_by_name)}
    in_bytes = {str(group): passage for group, passage in sizes.items()}
    return Axis(key, Words(en=en, zh=zh), named, in_bytes, unlabelled, together(named.values()), hosts)


def _by_name(item: tuple[str | None, Passage]) -> tuple[bool, int, str]:
    name = item[0] or ""
    return (name not in SIZE_NAMES, SIZE_NAMES.index(name) if name in SIZE_NAMES else 0, name)


def _chinese(row: Row) -> str | None:
    """Returns which Chinese a row of the cube is of, None for another language."""
    language = row["language"] or ""
    if language[:4] in ("yue_", "lzh_"):
        return str(language[:3])
    return CHINESE.get(language)


# What survives


@dataclass(frozen=True)
class Group:
    """A group of an axis against the rest of it."""

    axis: Axis
    name: str
    came: int
    survives: Survival
    all: Survival
    rest: Survival
    difference: Estimate  # of what survives; the interval is wide enough for all groups of the axis at once
    stands_out: bool
    cause: Left | None  # the rule that takes most of what is missing, or spares most of what is more
    excess: float  # what share of the group it takes beyond its share of the rest; below 0: less


def groups_of(axis: Axis, stages: Sequence[str], of: Losses = "filters") -> list[Group]:
    """Returns the groups of an axis that had documents, in its order, and what the filters or others leave of them."""
    there = [name for name, passage in axis.documents.items() if _came(passage, stages)]
    return [_group(axis, name, stages, of, 0.025 / len(there)) for name in there]


def _came(passage: Passage, stages: Sequence[str]) -> int:
    return next((step.came + step.made for step in passage.steps(stages) if step.came + step.made), 0)


def _group(axis: Axis, name: str, stages: Sequence[str], of: Losses, risk: float) -> Group:
    passage = axis.documents[name]
    rest = without(axis.whole, passage)
    steps, others = passage.steps(stages), rest.steps(stages)
    survives, left = survival(steps, of), survival(others, of)
    wide = (NormalDist().inv_cdf(1 - risk) / Z) ** 2
    difference = newcombe(*(survival(each, of, tail=wide).rate for each in (steps, others)))
    own, other = losses(passage, stages, of), losses(rest, stages, of)
    excess = {key: own.get(key, 0.0) - other.get(key, 0.0) for key in {*own, *other}}
    sign = -1 if difference.value > 0 else 1
    cause = min(excess, key=lambda key: (-sign * excess[key], key[0], key[2] or ""), default=None)
    beyond = difference.low > 0 or difference.high < 0
    beyond = beyond and chance(survives, left.rate) < risk and chance(left, survives.rate) < risk
    return Group(
        axis,
        name,
        _came(passage, stages),
        survives,
        survival(steps),
        left,
        difference,
        beyond and abs(difference.value) >= POINTS,
        cause,
        excess[cause] if cause is not None else 0.0,
    )


def chance(group: Survival, rest: Estimate) -> float:
    """Returns how often so few of a group survive (or so many, if they are more) where they do so as the rest does.

    0 where there are more than FEW: Newcombe's interval is as good then.

    >>> few = Survival(Estimate(0.0, 0.0, 0.66), 2), Estimate(0.86, 0.85, 0.87)
    >>> round(chance(*few), 4)
    0.0225
    """
    amount, found = round(group.amount), round(group.found)
    if amount > FEW:
        return 0.0
    more = group.rate.value > rest.value
    rate = rest.high if more else rest.low
    least, most = (found, amount) if more else (0, found)
    if rate in (0.0, 1.0):
        return 1.0 if least <= amount * rate <= most else 0.0
    log_rate, log_other, whole = math.log(rate), math.log1p(-rate), math.lgamma(amount + 1)
    return math.fsum(
        math.exp(
            whole
            - math.lgamma(some + 1)
            - math.lgamma(amount - some + 1)
            + some * log_rate
            + (amount - some) * log_other
        )
        for some in range(least, most + 1)
    )


def strata_of(cube: Sequence[Row], stages: Sequence[str]) -> Iterator[tuple[float, float, float, float]]:
    """Yields (what the filters leave, all) of zho_Hant and of zho_Hans in each source and format.

    Both as `Survival` has them: where copies left before a filter, as of documents drawn one by one.
    """
    cells: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in cube:
        if row["language"] in ("zho_Hant", "zho_Hans"):
            place = (row["source"] or "", row["format"] or "")
            cells.setdefault(place, {}).setdefault(row["language"], []).append(row)
    for place in sorted(cells):
        numbers: list[float] = []
        for language in ("zho_Hant", "zho_Hans"):
            passage = together(passages(cells[place].get(language, ()), "stage").values())
            left = survival(passage.steps(stages), "filters")
            numbers += [left.found, left.amount]
        yield numbers[0], numbers[1], numbers[2], numbers[3]


def within_strata(strata: Iterable[tuple[float, float, float, float]]) -> Estimate | None:
    """Returns the ratio of two rates within strata of (found, amount) of each; None where no stratum has both.

    >>> made = within_strata([(10, 20, 20, 20), (30, 40, 40, 40)])
    >>> [round(value, 3) for value in made]
    [0.667, 0.557, 0.797]
    """
    above = below = spread = 0.0
    for found, amount, other_found, other_amount in strata:
        whole = amount + other_amount
        if not amount or not other_amount:
            continue
        above += found * other_amount / whole
        below += other_found * amount / whole
        every = found + other_found
        spread += (amount * other_amount * every - found * other_found * whole) / whole**2
    if not below or not above:
        return None
    value, error = above / below, math.sqrt(max(0.0, spread) / (above * below))
    return Estimate(value, value * math.exp(-Z * error), value * math.exp(Z * error))
