"""When documents were fetched and written, and on which side of the day that ChatGPT was opened to all."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import Facts
from stages.audit.groups import by
from stages.audit.kinds import SOURCE
from stages.audit.model import Chart, Column, Figure, Table, Words
from stages.audit.weights import (
    amount_column,
    asked,
    share,
    share_column,
    shown,
    size_of,
    total,
    weightings,
    whole,
)


def figures(facts: Facts) -> Iterator[Figure]:
    """Yields how much has a date, and from which side of 2022-11-30 it is."""
    times = facts.tables["sizes_times"]
    eras, undated = by(times, "era"), times.filter(pc.is_null(times.column("month")))
    worth = Words(
        en=(
            "What was written after 2022-11-30 may be from a machine, what was written before is hardly; dates are "
            "what pages state, and they state the last change or nothing. A border of what can be, no measure of it."
        ),
        zh=(
            "2022-11-30 之后的文本可能由机器生成，此前的则基本不会；日期以页面自述为准，常为最后修改日期或缺失。"
            "因此这只是上限的线索，并非对机器生成文本的度量。"
        ),
    )
    told = {"before": Words(en="from before 2022-11-30", zh="写于 2022-11-30 之前")}
    told["after"] = Words(en="from 2022-11-30 or later", zh="写于 2022-11-30 及以后")
    told["none"] = Words(en="not known on which side of 2022-11-30", zh="无法判定写于 2022-11-30 前后")
    for one in weightings(eras):
        sums = {row["era"] or "none": row[one.key] for row in eras.to_pylist()}
        for name, words in told.items():
            yield Figure(
                key=f"sizes.era_{name}.{one.key}",
                label=Words(en=f"{words.en}: share of {one.label.en}", zh=f"{words.zh}：{one.label.zh}占比"),
                value=share(sums.get(name, 0), total(eras, one.key)),
                unit="share",
                command=asked(of={"era": None if name == "none" else name}) if sums.get(name) else None,
                note=worth,
            )
        yield Figure(
            key=f"sizes.uncrawled.{one.key}",
            label=Words(en=f"no time of a crawl: share of {one.label.en}", zh=f"无抓取时间：{one.label.zh}占比"),
            value=share(total(undated, one.key), total(times, one.key)),
            unit="share",
            command=asked(of={"month": None}),
        )


def tables(facts: Facts) -> Iterator[Table]:
    """Yields the months of crawls, the years of texts, and the sides of 2022-11-30 by source."""
    yield from _months(facts)
    yield from _years(facts)
    yield from _eras(facts)


def _months(facts: Facts) -> Iterator[Table]:
    yield from _times(
        facts.tables["sizes_times"],
        "month",
        "sizes.months",
        Words(en="Month of the crawl", zh="抓取月份"),
        Words(en="month", zh="月份"),
    )


def _years(facts: Facts) -> Iterator[Table]:
    table = facts.tables["sizes_years"]
    year = Words(en="year", zh="年份")
    yield from _times(
        table, "year", "sizes.years", Words(en="Year that the page states", zh="页面自述的发布年份"), year
    )
    yield from _times(table, "url_year", "sizes.url_years", Words(en="Year in the address", zh="网址中的年份"), year)


def _times(table: pa.Table, name: str, key: str, label: Words, head: Words) -> Iterator[Table]:
    """Yields how much is from each month or year, in their order; nothing where no document has one."""
    sums = by(table, name)
    rows = [row for row in sums.to_pylist() if row[name] is not None]
    if not rows:
        return
    ones = weightings(table)
    missing = share(total(sums, "documents") - sum(whole(row["documents"]) for row in rows), total(sums, "documents"))
    yield Table(
        key=key,
        label=label,
        columns=(
            Column(key=name, label=head, unit="text"),
            *(column for one in ones for column in (amount_column(one), share_column(one))),
        ),
        rows=tuple(
            (
                row[name],
                *(cell for one in ones for cell in (whole(row[one.key]), share(row[one.key], total(sums, one.key)))),
            )
            for row in rows[-240:]
        ),
        commands=tuple(asked(of={name: row[name]}) for row in rows[-240:]),
        of=len(rows) if len(rows) > 240 else None,
        chart=Chart(kind="histogram", x=name, y=tuple(f"{one.key}_share" for one in ones)),
        note=Words(
            en=f"{100 * (missing or 0):.3g} % of the documents have none and are not shown; shares are of all.",
            zh=f"另有 {100 * (missing or 0):.3g}% 的文档没有该信息，未予显示；占比以全部文档为分母。",
        ),
    )


def _eras(facts: Facts) -> Iterator[Table]:
    """Yields, for each source, how much is from before and after ChatGPT, or of no known time."""
    table = by(facts.tables["sizes_times"], "source", "era")
    size = size_of(table)
    sums: dict[object, dict[str, int]] = {}
    for row in table.to_pylist():
        sums.setdefault(row["source"], {})[str(row["era"] or "unknown")] = whole(row[size.key])
    if not any(set(one) - {"unknown"} for one in sums.values()):
        return
    sources = sorted(sums, key=lambda one: (-sum(sums[one].values()), str(one or "")))
    names = ("before", "after", "unknown")
    labels = (
        Words(en="before 2022-11-30", zh="2022-11-30 之前"),
        Words(en="2022-11-30 or later", zh="2022-11-30 及以后"),
        Words(en="not known", zh="不详"),
    )
    yield Table(
        key="sizes.eras",
        label=Words(en="Before and after ChatGPT, by source", zh="ChatGPT 问世前后，按来源"),
        columns=(
            Column(key="source", label=SOURCE, unit="text"),
            *(
                Column(key=name, label=Words(en=f"{words.en}: share of {size.label.en}", zh=words.zh), unit="share")
                for name, words in zip(names, labels, strict=True)
            ),
        ),
        rows=tuple(
            (shown(one), *(share(sums[one].get(name, 0), sum(sums[one].values())) for name in names))
            for one in sources[:50]
        ),
        commands=tuple(asked(of={"source": one}) for one in sources[:50]),
        of=len(sources) if len(sources) > 50 else None,
        chart=Chart(kind="stacked", x="source", y=names),
    )
