"""How long documents are, how good a classifier finds them, and when they were written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import Counter, Facts, Scan, Wide
from stages.audit.groups import SCORES, Groups, by, sizes_of
from stages.audit.measures import wilson
from stages.audit.model import Chart, Column, Figure, Section, Table, Words
from stages.audit.weights import (
    BARS,
    DOCUMENTS,
    Row,
    amount_column,
    asked,
    between,
    quantile,
    ranked,
    score_bars,
    score_table,
    share,
    share_column,
    shown,
    size_of,
    total,
    weightings,
    whole,
)

QUANTILES: Final = ((0.05, "p05"), (0.25, "p25"), (0.5, "p50"), (0.75, "p75"), (0.95, "p95"), (0.99, "p99"))
COARSE: Final = 1  # bits of a bar of the histograms within its power of two
SMALL: Final = 16  # below it, sizes are one bar
LONG: Final = 12  # languages, sources or years that a table has figures of
COUNTERS: tuple[Counter | Wide | Scan, ...] = (
    Groups("sizes_characters", ("language", "characters_band")),
    Groups("sizes_tokens", ("language", "tokens_band")),
    Groups("sizes_bytes", ("left", "bytes_band"), of="all"),
    Groups("sizes_quality", ("source", "language", "quality_step")),
    Scan(
        Groups("sizes_quality_came", ("passed", "quality_step"), amounts=("documents", "bytes")),
        "signals/part-",
        ("quality", "rule", "bytes"),
    ),
    Groups("sizes_years", ("year", "url_year", "era")),
    Groups("sizes_times", ("source", "month", "era")),
)
_UNITS: Final = {
    "characters": Words(en="characters of a document", zh="文档字符数"),
    "tokens": Words(en="tokens of a document", zh="文档词元数"),
    "bytes": Words(en="bytes of a document", zh="文档字节数"),
}
_LANGUAGE: Final = Words(en="language", zh="语种")
_SOURCE: Final = Words(en="source", zh="来源")


def sections(facts: Facts) -> Iterator[Section]:
    """Yields the section `sizes`."""
    yield Section(
        key="sizes",
        title=Words(en="Length, quality and time", zh="长度、质量与时间"),
        intro=Words(
            en=(
                "How long documents are, what the quality classifier says of them, and from when they are. Quantiles "
                "come from exact counts in bins: the true value lies between the borders given, which are at most "
                "1/64 apart."
            ),
            zh=(
                "文档有多长、质量分类器如何评价、写于何时。分位数由分箱的精确计数得出："
                "真值必在所给上下界之间，二者相差不超过 1/64。"
            ),
        ),
        figures=(*_length_figures(facts), *_packing(facts), *_quality_figures(facts), *_time_figures(facts)),
        tables=(
            *_lengths(facts, "characters"),
            *_lengths(facts, "tokens"),
            *_left_and_kept(facts),
            *_quality(facts),
            *_months(facts),
            *_years(facts),
            *_eras(facts),
        ),
    )


def _bins(rows: Sequence[Row], band: str, weight: str) -> list[tuple[int, int, int]]:
    """Returns (least, greatest, amount) of the bins of rows, which are sorted by them."""
    return [(*sizes_of(whole(row[band])), whole(row[weight])) for row in rows]


def _sized(facts: Facts, unit: str) -> pa.Table:
    """Returns the rows of a table of sizes that have one; none where the sums say that no size is known."""
    table = facts.tables[f"sizes_{unit}"]
    return table.filter(pc.is_valid(table.column(f"{unit}_band")))


def _length_figures(facts: Facts) -> Iterator[Figure]:
    for unit in ("characters", "tokens"):
        table = by(_sized(facts, unit), f"{unit}_band")
        rows = table.to_pylist()
        for one in weightings(table):
            found = quantile(_bins(rows, f"{unit}_band", one.key), 0.5)
            if found is None:
                continue
            yield Figure(
                key=f"sizes.{unit}.p50.{one.key}",
                label=Words(
                    en=f"half of the {one.label.en} are in documents of at most so many {unit}",
                    zh=f"{_UNITS[unit].zh}的中位数（按{one.label.zh}加权）",
                ),
                value=found[0],
                unit="characters" if unit == "characters" else "tokens",
                low=found[1],
                high=found[2],
                command=asked(f"{unit}<={found[2]}"),
                note=Words(
                    en="low and high are the borders of its bin: the true value lies between them for sure.",
                    zh="上下界为其所在分箱的边界，真值必在其间。",
                ),
            )


def _lengths(facts: Facts, unit: str) -> Iterator[Table]:
    """Yields the histogram of a size, and its quantiles by language."""
    table = _sized(facts, unit)
    if not table.num_rows:
        return
    together = by(table, f"{unit}_band")
    yield _histogram(f"sizes.{unit}", unit, together)
    own: dict[object, list[Row]] = {}
    for row in table.to_pylist():  # sorted by language and bin
        own.setdefault(row["language"], []).append(row)
    languages = ranked(by(table, "language"), DOCUMENTS)[:LONG]
    cells, commands = [("all", *_quantiles(together.to_pylist(), unit))], [asked()]
    for one in languages:
        cells.append((shown(one["language"]), *_quantiles(own[one["language"]], unit)))
        commands.append(asked(of={"language": one["language"]}))
    yield Table(
        key=f"sizes.{unit}_quantiles",
        label=Words(en=f"Quantiles of {_UNITS[unit].en}", zh=f"{_UNITS[unit].zh}的分位数"),
        columns=(
            Column(key="language", label=_LANGUAGE, unit="text"),
            amount_column(DOCUMENTS),
            *(
                Column(key=name, label=Words(en=f"{100 * part:g} %", zh=f"{100 * part:g}%"), unit="number")
                for part, name in QUANTILES
            ),
        ),
        rows=tuple(cells),
        commands=tuple(commands),
        of=len(own) + 1 if len(own) > LONG else None,
        note=Words(
            en="Off by less than 1/64 of itself; of documents below 128 exact.", zh="误差小于 1/64；128 以下为精确值。"
        ),
    )


def _quantiles(rows: Sequence[Row], unit: str) -> tuple[float | int | None, ...]:
    bins = _bins(rows, f"{unit}_band", "documents")
    found = [quantile(bins, part) for part, _ in QUANTILES]
    return (sum(amount for _, _, amount in bins), *(one[0] if one else None for one in found))


def _histogram(key: str, unit: str, table: pa.Table) -> Table:
    """Returns how many documents, and how much text, have sizes of each half of a power of two."""
    ones, rows, band = weightings(table), table.to_pylist(), f"{unit}_band"
    bars = {one.key: _bars(_bins(rows, band, one.key)) for one in ones}
    starts = sorted({start for bar in bars.values() for start in bar})
    ends = [*starts[1:], None]
    return Table(
        key=key,
        label=Words(en=f"Documents by {unit}", zh=f"{_UNITS[unit].zh}分布"),
        columns=(
            Column(key="from", label=Words(en=f"{unit}, from", zh=f"{_UNITS[unit].zh}（下限）"), unit="number"),
            *(amount_column(one) for one in ones),
        ),
        rows=tuple((start, *(bars[one.key].get(start, 0) for one in ones)) for start in starts),
        commands=tuple(_from_to(unit, start, end) for start, end in zip(starts, ends, strict=True)),
        chart=Chart(kind="histogram", x="from", y=tuple(one.key for one in ones), log_x=True),
    )


def _bars(bins: Sequence[tuple[int, int, int]]) -> dict[int, int]:
    """Returns the amounts of bins in bars, by where these begin: with all bars between the first and the last.

    What is smaller than SMALL is in one bar, which begins at 1.

    >>> _bars([(3, 3, 1), (15, 15, 2), (24, 24, 4), (50, 50, 1)])
    {1: 3, 16: 0, 24: 4, 32: 0, 48: 1}
    """
    if not bins:
        return {}
    first, last = (_bar(max(SMALL - 1, bins[place][0])) for place in (0, -1))
    sums = dict.fromkeys((_start(bar) for bar in range(first, last + 1)), 0)
    for least, _, amount in bins:
        sums[_start(_bar(max(SMALL - 1, least)))] += amount
    return sums


def _bar(size: int) -> int:
    """Returns the bar that a size lies in, as `measures.bins_of` does with fewer bins."""
    power = max(0, size.bit_length() - 1 - COARSE)
    return (power << COARSE) + (size >> power)


def _start(bar: int) -> int:
    power = max(0, (bar >> COARSE) - 1)
    start = (bar if bar < 2 << COARSE else (bar & ((1 << COARSE) - 1)) + (1 << COARSE)) << power
    return start if start >= SMALL else 1


def _from_to(unit: str, start: int, end: int | None, *, kept: bool | None = True) -> str | None:
    """Returns the command of the documents of a bar."""
    above = [f"{unit}>={start}"] if start >= SMALL else []
    return asked(*above, *([f"{unit}<{end}"] if end is not None else []), kept=kept)


def _left_and_kept(facts: Facts) -> Iterator[Table]:
    """Yields the sizes in bytes of what stayed beside those of what left."""
    table = _sized(facts, "bytes")
    rows = table.to_pylist()
    left = _bars(_bins([row for row in rows if row["left"]], "bytes_band", "documents"))
    stayed = _bars(_bins([row for row in rows if not row["left"]], "bytes_band", "documents"))
    if not left or not stayed:
        return
    starts = sorted({*left, *stayed})
    cells = []
    for start in starts:
        gone, there = left.get(start, 0), stayed.get(start, 0)
        cells.append((start, there, gone, *(wilson(there, there + gone) if there + gone else (None, None, None))))
    yield Table(
        key="sizes.bytes",
        label=Words(en="What stayed and what left, by size", zh="留存与去除的文档，按大小"),
        columns=(
            Column(key="from", label=Words(en="bytes, from", zh="字节数（下限）"), unit="bytes"),
            Column(key="stayed", label=Words(en="stayed", zh="留存"), unit="documents"),
            Column(key="left", label=Words(en="left", zh="去除"), unit="documents"),
            Column(key="survival", label=Words(en="share that stayed", zh="存活率"), unit="share"),
            Column(key="survival_low", label=Words(en="at least", zh="下界"), unit="share"),
            Column(key="survival_high", label=Words(en="at most", zh="上界"), unit="share"),
        ),
        rows=tuple(cells),
        commands=tuple(
            _from_to("bytes", start, end, kept=None) for start, end in zip(starts, [*starts[1:], None], strict=True)
        ),
        chart=Chart(kind="histogram", x="from", y=("stayed", "left"), log_x=True),
        note=Words(
            en="Documents that left before their text was known are not in it. Intervals: Wilson, 95 %.",
            zh="在得到正文之前即被去除的文档不计入。区间为 95% Wilson 区间。",
        ),
    )


def _packing(facts: Facts) -> Iterator[Figure]:
    """Yields how many documents are cut by packing."""
    packing = facts.manifest.get("packing", {})
    documents, cut = packing.get("documents"), packing.get("cut_documents")
    if not documents or cut is None:
        return
    yield Figure(
        key="sizes.cut.documents",
        label=Words(
            en=f"documents that lie in more than one sample of {packing.get('seq_len') or '?'} tokens",
            zh=f"被切分到多个样本（每个 {packing.get('seq_len') or '?'} 词元）中的文档占比",
        ),
        value=cut / documents,
        unit="share",
        command=asked(f"tokens>{packing['seq_len']}") if packing.get("by") == "best_fit" else None,
        note=Words(
            en=f"{cut:,} of {documents:,}, packed by {packing.get('by')}; of one epoch of all sources.",
            zh=f"{documents:,} 篇中的 {cut:,} 篇，打包方式为 {packing.get('by')}；以全部来源各一轮计。",
        ),
    )


def _scored(facts: Facts) -> pa.Table:
    table = facts.tables["sizes_quality"]
    return table.filter(pc.is_valid(table.column("quality_step")))


def _quality_figures(facts: Facts) -> Iterator[Figure]:
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


def _quality(facts: Facts) -> Iterator[Table]:
    """Yields the histogram of quality scores, and their quantiles by source and by language."""
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
    yield _score_quantiles(table, "source", _SOURCE)
    yield _score_quantiles(table, "language", _LANGUAGE)


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
        label=Words(en="Scores of all that came to the quality step", zh="到达质量步骤的全部文档的得分"),
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


def _score_quantiles(table: pa.Table, name: str, head: Words) -> Table:
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


def _time_figures(facts: Facts) -> Iterator[Figure]:
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
                command=asked(of={"era": None if name == "none" else name}),
                note=worth,
            )
        yield Figure(
            key=f"sizes.uncrawled.{one.key}",
            label=Words(en=f"no time of a crawl: share of {one.label.en}", zh=f"无抓取时间：{one.label.zh}占比"),
            value=share(total(undated, one.key), total(times, one.key)),
            unit="share",
            command=asked(of={"month": None}),
        )


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
            Column(key="source", label=_SOURCE, unit="text"),
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
