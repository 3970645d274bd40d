"""How each stage shifts what a corpus is made of: hosts, sources, languages, scripts and formats.

How it is counted is said in `stages.audit.shifts`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from stages.audit.counter import Counter, Facts, Wide
from stages.audit.cube import estimated, has_tokens
from stages.audit.frame import KEPT
from stages.audit.funnel import SHOWN, column
from stages.audit.measures import divergence, kl
from stages.audit.model import Cell, Column, Figure, Section, Table, Words
from stages.audit.passage import command, passages, shown, stages_of
from stages.audit.shifts import CUBE_AXES, WIDE_AXES, Shift, by_chance, parts_of, shifts_of

LABELS: Final = {
    "host": Words(en="host", zh="主机"),
    "domain": Words(en="registrable domain", zh="注册域名"),
    "source": Words(en="source", zh="来源"),
    "language": Words(en="language", zh="语种"),
    "script": Words(en="script", zh="文字"),
    "format": Words(en="format", zh="体裁"),
}


AXIS: Final = Column(key="axis", label=Words(en="axis", zh="维度"), unit="text", words=LABELS)

COUNTERS: tuple[Counter | Wide, ...] = ()  # AFTER of stages.audit.shifts counts behind `Names`: see stages.audit.hosts


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
            "only what is well above it is the doing of the stage. An interval is that of another corpus of as many "
            "documents, and has what chance gives in it.",
            zh="某阶段之后与之前的 Jensen–Shannon 散度：构成不变为 0，毫无重合为 1。"
            "旁边给出随机去掉同样多文档时的期望值；只有明显高于它，才是该阶段造成的偏移。"
            "区间表示换一份同样规模的语料时该值的波动，其中也含随机成分。",
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
        lines.append((shift.axis, shown(shift.stage), shift.groups, before, after, *numbers, shift.unknown or None))
    return Table(
        key="shift.stages",
        label=Words(en="By axis and stage", zh="按维度与阶段"),
        columns=(
            AXIS,
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
            adds = float(parts_of(np.array([p]), np.array([q]))[0])
            found.append(Gain(shift.axis, shift.stage, group, p, q, adds))
    found.sort(key=lambda gain: (-gain.adds, gain.axis, gain.stage, gain.group))
    return [gain for gain in found if gain.adds > 0]


def _gains(facts: Facts) -> Table:
    every = gains_of(facts)
    lines: list[tuple[Cell, ...]] = []
    commands: list[str | None] = []
    for gain in every[:SHOWN]:
        more = gain.after > gain.before
        lines.append(
            (
                shown(gain.group),
                gain.axis,
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
            AXIS,
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
        gained, lost = (
            groups[int(place)] for place in (np.argmax(each * np.sign(change)), np.argmin(each * np.sign(change)))
        )
        lines.append((axis, len(groups), value, math.sqrt(value), shown(gained), shown(lost)))
    return Table(
        key="shift.trained",
        label=Words(en="From the corpus to training", zh="从语料到训练"),
        columns=(
            AXIS,
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
