"""What a classifier says of the quality of documents that stayed, and of all that came to the quality step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import Facts
from stages.audit.groups import SCORES, by
from stages.audit.kinds import LANGUAGE, SOURCE
from stages.audit.measures import wilson
from stages.audit.model import Chart, Column, Figure, Table, Words
from stages.audit.weights import (
    BARS,
    DOCUMENTS,
    amount_column,
    asked,
    between,
    quantile,
    ranked,
    score_bars,
    score_table,
    share,
    shown,
    total,
    weightings,
    whole,
)

TENTHS: Final = 10
LONG: Final = 12  # sources or languages that are told of


def _scored(facts: Facts) -> pa.Table:
    table = facts.tables["sizes_quality"]
    return table.filter(pc.is_valid(table.column("quality_step")))


def figures(facts: Facts) -> Iterator[Figure]:
    """Yields how much has a score below one half."""
    table = _scored(facts)
    if not table.num_rows:
        return
    half = table.filter(pc.less(table.column("quality_step"), SCORES // 2))
    for one in weightings(table):
        yield Figure(
            key=f"sizes.quality_below50.{one.key}",
            label=Words(
                en=f"quality score below 0.5: share of {one.label.en}", zh=f"质量得分低于 0.5：{one.label.zh}占比"
            ),
            value=share(total(half, one.key), total(table, one.key)),
            unit="share",
            command=asked("quality<0.5"),
        )


def tables(facts: Facts) -> Iterator[Table]:
    """Yields the histogram of scores, of all that came too, and quantiles by source and by language."""
    table = _scored(facts)
    if not table.num_rows:
        return
    yield score_table(
        "sizes.quality",
        Words(en="Scores of the quality classifier", zh="质量分类器得分分布"),
        "quality",
        "quality_step",
        table,
        Words(
            en="Of what stayed. A score says how much a text is like those the classifier was taught to like.",
            zh="仅含留存文档。得分只说明文本与分类器学习时的正例有多相像。",
        ),
    )
    yield from _came(facts)
    for name, head in (("source", SOURCE), ("language", LANGUAGE)):
        yield _quantiles(table, name, head)
        yield _bars(table, name, head)


def _came(facts: Facts) -> Iterator[Table]:
    """Yields the scores of all that came to the quality step, where it looked at them."""
    table = facts.tables["sizes_quality_came"]
    table = table.filter(pc.is_valid(table.column("quality_step")))
    if not table.num_rows:
        return
    ones = (DOCUMENTS,)
    passed, broke = (
        score_bars(table.filter(pc.equal(table.column("passed"), value)), "quality_step", ones)
        for value in (True, False)
    )
    cells = []
    for bar in range(BARS):
        there, gone = passed.get(bar, [0])[0], broke.get(bar, [0])[0]
        cells.append((bar / BARS, there, gone, *(wilson(there, there + gone) if there + gone else (None, None, None))))
    yield Table(
        key="sizes.quality_came",
        label=Words(en="Scores of all that came to the quality step", zh="到达质量阶段的全部文档的得分"),
        columns=(
            Column(key="score", label=Words(en="score, from", zh="得分（下限）"), unit="number"),
            Column(key="passed", label=Words(en="passed", zh="通过"), unit="documents"),
            Column(key="broke", label=Words(en="broke a rule", zh="未通过"), unit="documents"),
            Column(key="survival", label=Words(en="share that passed", zh="通过率"), unit="share"),
            Column(key="survival_low", label=Words(en="at least", zh="下界"), unit="share"),
            Column(key="survival_high", label=Words(en="at most", zh="上界"), unit="share"),
        ),
        rows=tuple(cells),
        commands=tuple(between("quality", bar, kept=None) for bar in range(BARS)),
        chart=Chart(kind="histogram", x="score", y=("passed", "broke")),
        note=Words(en="Intervals: Wilson, 95 %.", zh="区间为 95% Wilson 区间。"),
    )


def _quantiles(table: pa.Table, name: str, head: Words) -> Table:
    groups = ranked(by(table, name), DOCUMENTS)
    scores = by(table, name, "quality_step").to_pylist()
    cells = []
    for group in groups[:LONG]:
        own = [row for row in scores if row[name] == group[name]]
        steps = [(whole(row["quality_step"]), whole(row["quality_step"]), whole(row["documents"])) for row in own]
        found = [quantile(steps, part) for part in (0.05, 0.25, 0.5, 0.75)]
        below = sum(amount for step, _, amount in steps if step < SCORES // 2)
        cells.append(
            (
                shown(group[name]),
                whole(group["documents"]),
                *(one[0] / SCORES if one else None for one in found),
                share(below, whole(group["documents"])),
            )
        )
    return Table(
        key=f"sizes.quality_{name}",
        label=Words(en=f"Quality scores by {name}", zh=f"各{head.zh}的质量得分"),
        columns=(
            Column(key=name, label=head, unit="text"),
            amount_column(DOCUMENTS),
            Column(key="p05", label=Words(en="5 %", zh="5%"), unit="number"),
            Column(key="p25", label=Words(en="25 %", zh="25%"), unit="number"),
            Column(key="p50", label=Words(en="half", zh="中位数"), unit="number"),
            Column(key="p75", label=Words(en="75 %", zh="75%"), unit="number"),
            Column(key="below50", label=Words(en="share below 0.5", zh="低于 0.5 占比"), unit="share"),
        ),
        rows=tuple(cells),
        commands=tuple(asked(of={name: group[name]}) for group in groups[:LONG]),
        of=len(groups) if len(groups) > LONG else None,
        note=Words(en="Quantiles of documents, to 1/1024.", zh="按文档计的分位数，精确到 1/1024。"),
    )


def _bars(table: pa.Table, name: str, head: Words) -> Table:
    """Returns which part of each group has scores of each tenth, as a heat map."""
    groups = ranked(by(table, name), DOCUMENTS)[:LONG]
    sums: dict[tuple[object, int], int] = {}
    for row in by(table, name, "quality_step").to_pylist():
        place = row[name], min(whole(row["quality_step"]) * TENTHS // SCORES, TENTHS - 1)
        sums[place] = sums.get(place, 0) + whole(row["documents"])
    first = min(bar for _, bar in sums)  # and all behind it, so that columns stand in their order
    places = [(group, bar) for group in groups for bar in range(first, TENTHS)]
    cells = []
    for group, bar in places:
        amount = sums.get((group[name], bar), 0)
        cells.append((shown(group[name]), f"{bar / TENTHS:g}", share(amount, whole(group["documents"])), amount))
    return Table(
        key=f"sizes.quality_{name}_bars",
        label=Words(en=f"Where the scores of each {name} lie", zh=f"各{head.zh}的得分分布"),
        columns=(
            Column(key=name, label=head, unit="text"),
            Column(key="score", label=Words(en="score, from", zh="得分（下限）"), unit="text"),
            Column(key="share", label=Words(en="share of its documents", zh="占其文档之比"), unit="share"),
            amount_column(DOCUMENTS),
        ),
        rows=tuple(cells),
        commands=tuple(_in_bar(name, group[name], bar) for group, bar in places),
        chart=Chart(kind="heat", x="score", y=("share",), rows=name),
    )


def _in_bar(name: str, group: object, bar: int) -> str | None:
    """Returns the command of the documents of a group whose score lies in a tenth."""
    upper = [f"quality<{(bar + 1) / TENTHS:g}"] if bar < TENTHS - 1 else []
    return asked(f"quality>={bar / TENTHS:g}", *upper, of={name: group})
