"""Whom the filters hurt: what share of each group survives, against the rest of its kind, and which rule it is.

Survival is that of `stages.audit.passage`: documents that leave as duplicates are no loss of the filters. Each group is
held against all others of its axis together. It stands out where the survival differs by more than chance and by POINTS
or more; what each rule takes of the group beyond what it takes of the rest adds up to the difference, so the rule with
most is named. More than chance is: Newcombe's interval of the difference has no 0 in it, and so many survivors or fewer
(or more) are too rare by the binomial distribution with the rate of the rest, at the border of its interval that is
nearer, and those of the rest with the rate of the group; all at 5 % for all groups of the axis at once (Bonferroni).
The latter decide where documents are few.

Groups that a stage finds out (language, script, format) are known of documents that came to it only: those that left
before are in no group, and their number is told. Intervals take documents as drawn one by one; documents of one host or
source are alike, so where a group has few of them chance does more than they say.

Source: Newcombe 1998, Stat. Med. 17, 873 (method 10); Clopper and Pearson 1934 (binomial tails); Katz et al. 1978,
Biometrics 34, 469 (ratio); Mantel and Haenszel 1959 with the variance of Greenland and Robins 1985, Biometrics 41, 55
(ratio within strata).
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

from stages.audit.counter import Counter, Facts, Wide, summed
from stages.audit.funnel import SHOWN, Row, column
from stages.audit.groups import derived
from stages.audit.measures import Estimate, Z, newcombe, ratio
from stages.audit.model import Cell, Chart, Column, Figure, Section, Table, Words
from stages.audit.names import totals
from stages.audit.passage import (
    FILTERS,
    Left,
    Losses,
    Passage,
    Survival,
    command,
    key_of,
    losses,
    passages,
    shown,
    stages_of,
    survival,
    together,
    without,
)

POINTS: Final = 0.10  # of survival, from which a difference is worth a word
FEW: Final = 1000  # documents of a group, up to which binomial tails are added up
STAGES: Final = 8  # columns of stages
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


COUNTERS: tuple[Counter | Wide, ...] = (Years(),)  # HostPassages counts behind `Names`: see stages.audit.hosts


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
        return [stage for stage in stages if _left(self.unlabelled, stage) and not _left(self.whole, stage)]

    def told(self, stages: Iterable[str]) -> bool:
        """Returns whether there are groups to compare, of which something is known where documents left."""
        lossy = [stage for stage in stages if _left(self.whole, stage) or _left(self.unlabelled, stage)]
        return len(self.documents) > 1 and len(self.blind(stages)) < max(1, len(lossy))

    def command(self, group: str, left: Left | None = None) -> str | None:
        """Returns what lists the documents of a group, or those of them that left so."""
        stage, rule = (left[0], left[2]) if left else (None, None)
        if self.key == "hosts":
            low, high = SIZES[SIZE_NAMES.index(group)]
            where = [f"host_documents>={low}", *([f"host_documents<={high}"] if high else [])]
            return command(*where, stage=stage, rule=rule)
        if self.key == "chinese":
            return command(stage=stage, rule=rule, language=CHINESE.get(group, f"{group}_*"))
        return command(stage=stage, rule=rule, **{self.key: group})  # type: ignore[arg-type] # no axis is `kept`


def _left(passage: Passage, stage: str) -> int:
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
        _axis("chinese", "Varieties of Chinese", "中文变体", of_chinese),
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


# What is said


def sections(facts: Facts) -> Iterator[Section]:
    """Yields the section `survival`."""
    stages = stages_of(facts.run)
    groups = {axis.key: groups_of(axis, stages) for axis in axes_of(facts)}
    cube = facts.tables["cube"].to_pylist()
    copies = {axis.key: groups_of(axis, stages, "duplicates") for axis in axes_of(facts)}
    hurt = {key: [group for group in its if _hurt(group)] for key, its in copies.items()}
    tables = [
        _standing(groups, STANDING),
        _standing(hurt, COPIES),
        *_pair_table(groups, stages),
        *(_table(its, stages) for its in groups.values() if its),
    ]
    tables += list(_hosts(facts, stages))
    yield Section(
        key="survival",
        title=Words(en="Whom the filters hurt", zh="过滤伤及了谁"),
        intro=Words(
            en="What share of each group the filters leave; documents that left as duplicates of another count as long "
            "as they are there, and are no loss. A group stands out where it differs from the rest of its kind by more "
            f"than chance and by {100 * POINTS:.0f} points or more; the rule that takes most of the difference is "
            "named. Intervals take documents as drawn one by one: of a group from few hosts or sources, they promise "
            "too much.",
            zh="各类文档经过滤后的存活率；作为重复文档离开的，离开之前计入分母，离开后不算损失。"
            f"某一类与同一维度其余文档之差超出随机波动且不小于 {100 * POINTS:.0f} 个百分点时视为“显著偏离”，"
            "并指出造成差异最多的规则。区间假定文档逐篇独立抽取：若某类只来自少数主机或来源，实际不确定性更大。",
        ),
        figures=tuple(_figures(groups, cube, stages)),
        tables=tuple(table for table in tables if table.rows),
    )


def _figures(groups: Mapping[str, Sequence[Group]], cube: Sequence[Row], stages: Sequence[str]) -> Iterator[Figure]:
    whole = survival(together(passages(cube, "stage").values()).steps(stages), "filters")
    yield _share("filters", Words(en="what the filters leave", zh="过滤后的存活率"), whole, command(action="drop"))
    yield from _pair_figures(groups, cube, stages)
    chinese = {group.name: group for group in groups.get("chinese", ())}
    for key, name, en, zh in (
        ("hans", "zho_Hans", "Simplified Chinese (zho_Hans)", "简体中文（zho_Hans）"),
        ("hant", "zho_Hant", "Traditional Chinese (zho_Hant)", "繁体中文（zho_Hant）"),
        ("mixed", "mixed", "text in several languages (mixed)", "多语混用文本（mixed）"),
        ("yue", "yue", "Cantonese (yue)", "粤语（yue）"),
        ("lzh", "lzh", "classical Chinese (lzh)", "文言文（lzh）"),
    ):
        if name in chinese:
            one = chinese[name]
            label = Words(en=f"survival of {en}", zh=f"存活率：{zh}")
            yield _share(key, label, one.survives, one.axis.command(name))
    small = next(iter(groups.get("hosts", ())), None)
    if small is not None and small.name == SIZE_NAMES[0]:
        label = Words(en="survival of hosts with one document", zh="存活率：仅有一篇文档的主机")
        yield _share("small_hosts", label, small.survives, small.axis.command(small.name))
    every = [group for its in groups.values() for group in its]
    hurt = sum(_hurt(group) for group in every)
    less = sum(group.stands_out for group in every) - hurt
    yield Figure(
        key="survival.stand_out",
        label=Words(en="groups that lose clearly more than the rest", zh="损失明显多于其余文档的类别数"),
        value=hurt,
        unit="number",
        note=Words(
            en=f"of {len(every):,} groups on {len(groups)} axes; {less} lose clearly less",
            zh=f"共 {len(groups)} 个维度、{len(every):,} 个类别；另有 {less} 个损失明显较少",
        ),
    )


def _hurt(group: Group) -> bool:
    return group.stands_out and group.difference.value < 0


def _share(key: str, label: Words, what: Survival, its: str | None) -> Figure:
    rate = what.rate
    value = rate.value if what.amount else None
    return Figure(
        key=f"survival.{key}", label=label, value=value, unit="share", low=rate.low, high=rate.high, command=its
    )


def _pair(groups: Mapping[str, Sequence[Group]]) -> tuple[Group, Group] | None:
    """Returns Traditional and Simplified Chinese, where the run has both."""
    named = {group.name: group for group in groups.get("chinese", ())}
    return (named["zho_Hant"], named["zho_Hans"]) if {"zho_Hant", "zho_Hans"} <= named.keys() else None


def _pair_figures(
    groups: Mapping[str, Sequence[Group]], cube: Sequence[Row], stages: Sequence[str]
) -> Iterator[Figure]:
    pair = _pair(groups)
    if pair is None:
        return
    one, other = (group.survives for group in pair)
    made = ratio(one.found, one.amount, other.found, other.amount)
    causes = _differing(pair, stages, "filters")
    note = None
    if causes:
        (stage, _, rule), of_hant, of_hans = causes[0]
        name = f"{shown(stage)}: {shown(rule)}"
        note = Words(
            en=f"they differ most by {name}, which takes {of_hant:.1%} of zho_Hant and {of_hans:.1%} of zho_Hans",
            zh=f"差异最大的规则是 {name}：去掉 zho_Hant 的 {of_hant:.1%}、zho_Hans 的 {of_hans:.1%}",
        )
    within = within_strata(_strata(cube, stages))
    if within is None and note is not None:
        note = Words(
            en=f"{note.en}; no source and format holds both, so script and source cannot be told apart",
            zh=f"{note.zh}；没有任何来源与体裁同时含有二者，无法区分是文字还是来源所致",
        )
    yield Figure(
        key="survival.hant_hans",
        label=Words(en="survival of zho_Hant for that of zho_Hans", zh="zho_Hant 与 zho_Hans 的存活率之比"),
        value=made.value,
        unit="number",
        low=made.low,
        high=made.high,
        command=pair[0].axis.command("zho_Hant"),
        note=note,
    )
    yield _through_all(pair, stages)
    if within is not None:
        yield Figure(
            key="survival.hant_hans_within",
            label=Words(en="the same within source and format", zh="同一来源与体裁内的存活率之比"),
            value=within.value,
            unit="number",
            low=within.low,
            high=within.high,
            command=pair[0].axis.command("zho_Hant"),
            note=Words(
                en="Mantel and Haenszel, of documents that no filter took: what is left of the ratio where both are of "
                "one source and format",
                zh="Mantel–Haenszel 合并，按未被过滤的文档计算：只在同一来源、同一体裁内比较二者",
            ),
        )


def _through_all(pair: tuple[Group, Group], stages: Sequence[str]) -> Figure:
    """Returns the ratio of what all stages leave, duplicates taken out."""
    one, other = (group.all for group in pair)
    made = ratio(one.found, one.amount, other.found, other.amount)
    copies = [survival(group.axis.documents[group.name].steps(stages), "duplicates") for group in pair]
    taken = [f"{1 - each.rate.value:.1%}" for each in copies]
    return Figure(
        key="survival.hant_hans_all",
        label=Words(en="the same through all stages, duplicates taken out", zh="全部阶段（含去重）后的存活率之比"),
        value=made.value,
        unit="number",
        low=made.low,
        high=made.high,
        command=pair[0].axis.command("zho_Hant"),
        note=Words(
            en=f"deduplication takes {taken[0]} of zho_Hant and {taken[1]} of zho_Hans",
            zh=f"去重去掉 zho_Hant 的 {taken[0]}、zho_Hans 的 {taken[1]}",
        ),
    )


def _strata(cube: Sequence[Row], stages: Sequence[str]) -> Iterator[tuple[float, float, float, float]]:
    """Yields (not filtered, all) of zho_Hant and of zho_Hans in each source and format."""
    cells: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in cube:
        if row["language"] in ("zho_Hant", "zho_Hans"):
            place = (row["source"] or "", row["format"] or "")
            cells.setdefault(place, {}).setdefault(row["language"], []).append(row)
    for place in sorted(cells):
        numbers: list[float] = []
        for language in ("zho_Hant", "zho_Hans"):
            passage = together(passages(cells[place].get(language, ()), "stage").values())
            came = _came(passage, stages)
            filtered = sum(amount for (_, action, _), amount in passage.left.items() if action in FILTERS)
            numbers += [came - filtered, came]
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


def _differing(pair: tuple[Group, Group], stages: Sequence[str], of: Losses) -> list[tuple[Left, float, float]]:
    """Returns what share of each of two groups the rules took, those that differ most first."""
    one, other = (losses(group.axis.documents[group.name], stages, of) for group in pair)
    both = [(key, one.get(key, 0.0), other.get(key, 0.0)) for key in {*one, *other}]
    return sorted(both, key=lambda item: (-abs(item[1] - item[2]), item[0][0], item[0][2] or ""))


def _pair_table(groups: Mapping[str, Sequence[Group]], stages: Sequence[str]) -> Iterator[Table]:
    pair = _pair(groups)
    if pair is None:
        return
    differing = _differing(pair, stages, "all")
    yield Table(
        key="survival.pair",
        label=Words(en="Where zho_Hant and zho_Hans part", zh="zho_Hant 与 zho_Hans 的差异来自哪里"),
        columns=(
            column("rule", "rule", "规则", "text"),
            column("stage", "stage", "阶段", "text"),
            column("hant", "takes of zho_Hant", "去掉 zho_Hant 的比例", "share"),
            column("hans", "takes of zho_Hans", "去掉 zho_Hans 的比例", "share"),
            column("difference", "difference", "差", "share"),
        ),
        rows=tuple((shown(key[2]), shown(key[0]), a, b, a - b) for key, a, b in differing[:SHOWN]),
        commands=tuple(
            pair[0].axis.command("zho_Hant" if a >= b else "zho_Hans", key) for key, a, b in differing[:SHOWN]
        ),
        of=len(differing) if len(differing) > SHOWN else None,
        chart=Chart(kind="bar", x="rule", y=("hant", "hans")),
        note=Words(
            en="With what left as duplicates: the differences add up to that of what all stages leave. Commands list "
            "documents of the side that loses more.",
            zh="包括作为重复文档离开的：各规则之差相加即为全部阶段后存活率之差。命令列出损失较多一方的文档。",
        ),
    )


STANDING: Final = (
    "survival.standing",
    Words(en="Groups that stand out", zh="显著偏离的类别"),
    Words(en="survival", zh="存活率"),
)
COPIES: Final = (
    "survival.copies",
    Words(en="Groups of which deduplication takes clearly more", zh="去重去掉明显更多的类别"),
    Words(en="kept", zh="留存率"),
)


def _standing(groups: Mapping[str, Sequence[Group]], named: tuple[str, Words, Words]) -> Table:
    """Returns the groups that stand out, those that lose most first."""
    key, label, survives = named
    found = [group for its in groups.values() for group in its if group.stands_out]
    found.sort(key=lambda group: (group.difference.value, group.axis.key, group.name))
    lines = [
        (
            shown(group.name),
            f"{group.axis.what.en} {group.axis.what.zh}",
            group.came,
            group.survives.rate.value,
            group.survives.rate.low,
            group.survives.rate.high,
            group.rest.rate.value,
            group.difference.value,
            *_cause(group)[::-1],
            _taken(group),
            group.excess,
            group.difference.low,
            group.difference.high,
        )
        for group in found
    ]
    return Table(
        key=key,
        label=label,
        columns=(
            column("group", "group", "类别", "text"),
            column("axis", "axis", "维度", "text"),
            column("documents", "documents", "文档数"),
            Column(key="survival", label=survives, unit="share"),
            column("survival_low", "from", "下限", "share"),
            column("survival_high", "to", "上限", "share"),
            column("rest", "of the rest", "其余文档", "share"),
            column("difference", "difference", "差", "share"),
            column("rule", "rule with most of it", "主要规则", "text"),
            column("stage", "stage", "阶段", "text"),
            column("taken", "documents that it took", "由其去掉的文档数"),
            column("excess", "takes beyond the rest", "比其余文档多去掉", "share"),
            column("difference_low", "difference from", "差的下限", "share"),
            column("difference_high", "to", "差的上限", "share"),
        ),
        rows=tuple(lines[:SHOWN]),
        commands=tuple(
            group.axis.command(group.name, group.cause if _hurt(group) else None) for group in found[:SHOWN]
        ),
        of=len(lines) if len(lines) > SHOWN else None,
        chart=Chart(kind="bar", x="group", y=("survival", "rest")),
        note=Words(
            en="Commands list the documents of the group that this rule took, or all of a group that loses less.",
            zh="命令列出该类中被该规则去掉的文档；损失较少的类别则列出其全部文档。",
        ),
    )


def _hosts(facts: Facts, stages: Sequence[str]) -> Iterator[Table]:
    """Yields the table of hosts of which the filters take clearly more than of others, most lost documents first."""
    rows = [row for row in facts.tables["largest_names"].to_pylist() if row["axis"] == "host"]
    sized = [row for row in facts.tables["host_passages"].to_pylist() if row["axis"] == "hosts"]
    every = together(passages([row for row in sized if row["group"] is not None], "stage").values())
    named = {str(name): passage for name, passage in passages(rows, "name").items()}
    unlabelled = [row for row in sized if row["group"] is None]
    none = together(passages(unlabelled, "stage").values())
    axis = Axis("host", Words(en="By host", zh="按主机"), named, {}, none, every)
    groups = groups_of(axis, stages) if axis.told(stages) else []
    hurt = sorted(filter(_hurt, groups), key=lambda group: (group.came * group.difference.value, group.name))
    yield Table(
        key="survival.host",
        label=Words(en="Hosts that lose clearly more than others", zh="损失明显多于其他主机的主机"),
        columns=(
            column("host", "host", "主机", "text"),
            column("documents", "documents", "文档数"),
            column("survival", "filters leave", "过滤后存活率", "share"),
            column("survival_low", "from", "下限", "share"),
            column("survival_high", "to", "上限", "share"),
            column("difference", "against the rest", "与其余之差", "share"),
            column("stage", "stage", "阶段", "text"),
            column("rule", "rule with most of it", "主要规则", "text"),
            column("taken", "documents that it took", "由其去掉的文档数"),
            column("excess", "takes beyond the rest", "比其余文档多去掉", "share"),
        ),
        rows=tuple(
            (
                shown(group.name),
                group.came,
                *group.survives.rate,
                group.difference.value,
                *_cause(group),
                _taken(group),
                group.excess,
            )
            for group in hurt[:SHOWN]
        ),
        commands=tuple(group.axis.command(group.name, group.cause) for group in hurt[:SHOWN]),
        of=len(hurt) if len(hurt) > SHOWN else None,
        note=Words(
            en=f"Of the {len(groups):,} hosts of which most documents came; first those that lose most beyond "
            "the rest. Commands list the documents that this rule took.",
            zh=f"取进入文档最多的 {len(groups):,} 个主机，按超出其余文档的损失量排序。命令列出被该规则去掉的文档。",
        ),
    )


def _taken(group: Group) -> int:
    """Returns how many documents of a group the rule took that is named."""
    return group.axis.documents[group.name].left.get(group.cause, 0) if group.cause else 0


def _cause(group: Group) -> tuple[str | None, str | None]:
    return (shown(group.cause[0]), shown(group.cause[2])) if group.cause else (None, None)


def _table(groups: Sequence[Group], stages: Sequence[str]) -> Table:
    """Returns what survives of each group of an axis at each stage and through all."""
    axis = groups[0].axis
    lossy = [stage for stage in stages if any(_left(passage, stage) for passage in axis.documents.values())][:STAGES]
    ordered = groups if axis.key in ("hosts", "year") else sorted(groups, key=lambda group: (-group.came, group.name))
    blind = axis.blind(stages)
    unknown = sum(_left(axis.unlabelled, stage) for stage in stages)
    note = Words(
        en=f"Of {unknown:,} documents that left, none of these groups is known"
        + (f"; at {', '.join(blind)} it is known of none." if blind else "."),
        zh=f"另有 {unknown:,} 篇离开的文档不知属于哪一类"
        + (f"；在 {'、'.join(blind)} 阶段均不可知。" if blind else "。"),
    )
    columns: tuple[Column, ...] = (
        Column(key="group", label=axis.what, unit="text"),
        column("documents", "documents", "文档数"),
        *([column("hosts", "hosts", "主机数", "number")] if axis.key == "hosts" else []),
        *(column(key_of("at", stage), f"at {shown(stage)}", f"{shown(stage)} 阶段", "share") for stage in lossy),
        column("survival", "filters leave", "过滤后存活率", "share"),
        column("survival_low", "from", "下限", "share"),
        column("survival_high", "to", "上限", "share"),
        column("bytes", "filters leave, of bytes", "过滤后存活率（按字节）", "share"),
        column("all", "all stages leave", "全部阶段后存活率", "share"),
        column("difference", "against the rest", "与其余之差", "share"),
        column("stands", "stands out: ▼ loses more", "显著偏离（▼ 损失更多）", "text"),
        column("rule", "rule with most of it", "主要规则", "text"),
    )
    return Table(
        key=f"survival.{axis.key}",
        label=axis.label,
        columns=columns,
        rows=tuple(_row(group, lossy, stages) for group in ordered[:SHOWN]),
        commands=tuple(axis.command(group.name) for group in ordered[:SHOWN]),
        of=len(ordered) if len(ordered) > SHOWN else None,
        chart=Chart(kind="bar", x="group", y=("survival",)),
        note=note if unknown else None,
    )


def _row(group: Group, lossy: Sequence[str], stages: Sequence[str]) -> tuple[Cell, ...]:
    axis = group.axis
    steps = {step.stage: step for step in axis.documents[group.name].steps(stages)}
    at = (steps[stage].stayed / there if (there := steps[stage].came + steps[stage].made) else None for stage in lossy)
    size = survival(axis.bytes[group.name].steps(stages), "filters")
    rate = group.survives.rate
    stands = ("▼" if _hurt(group) else "▲") if group.stands_out else ""
    return (
        shown(group.name),
        group.came,
        *([axis.hosts[group.name]] if axis.key == "hosts" else []),
        *at,
        rate.value,
        rate.low,
        rate.high,
        size.rate.value if size.amount else None,
        group.all.rate.value,
        group.difference.value,
        stands,
        _cause(group)[1] if group.stands_out else None,
    )
