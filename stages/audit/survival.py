"""Whom the filters hurt: what share of each group survives, against the rest of its kind, and which rule it is.

What survives and what stands out is said in `stages.audit.parity`.

Source: Katz et al. 1978, Biometrics 34, 469 (interval of the ratio of two rates).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from stages.audit.counter import Counter, Facts, Wide
from stages.audit.cube import Row
from stages.audit.funnel import SHOWN, column
from stages.audit.measures import ratio
from stages.audit.model import Cell, Chart, Column, Figure, Section, Table, Words
from stages.audit.parity import (
    POINTS,
    SIZE_NAMES,
    Axis,
    Group,
    Years,
    axes_of,
    groups_of,
    left_at,
    strata_of,
    within_strata,
)
from stages.audit.passage import (
    Left,
    Losses,
    Survival,
    command,
    key_of,
    losses,
    passages,
    shown,
    stages_of,
    survival,
    together,
)

STAGES: Final = 8  # columns of stages


COUNTERS: tuple[Counter | Wide, ...] = (Years(),)  # HostPassages counts behind `Names`: see stages.audit.hosts


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
    its = command(action="drop") if any(row["action"] == "drop" for row in cube) else None
    yield _share("filters", Words(en="what the filters leave", zh="过滤后的存活率"), whole, its)
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
    within = within_strata(strata_of(cube, stages))
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
                en="Mantel and Haenszel, of what the filters leave: what is left of the ratio where both are of one "
                "source and format",
                zh="Mantel–Haenszel 合并，按过滤后的存活率计算：只在同一来源、同一体裁内比较二者",
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
            group.axis.key,
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
            Column(
                key="axis",
                label=Words(en="axis", zh="维度"),
                unit="text",
                words={group.axis.key: group.axis.what for group in found} or None,
            ),
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
    lossy = [stage for stage in stages if any(left_at(passage, stage) for passage in axis.documents.values())][:STAGES]
    ordered = groups if axis.key in ("hosts", "year") else sorted(groups, key=lambda group: (-group.came, group.name))
    blind = axis.blind(stages)
    unknown = sum(left_at(axis.unlabelled, stage) for stage in stages)
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
