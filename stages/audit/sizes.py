"""How long documents are, how good a classifier finds them, and when they were written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from stages.audit import scores, times
from stages.audit.counter import Counter, Facts, Scan, Wide
from stages.audit.groups import Groups, by, sizes_of
from stages.audit.kinds import LANGUAGE
from stages.audit.measures import wilson
from stages.audit.model import Chart, Column, Figure, Section, Table, Words
from stages.audit.weights import (
    DOCUMENTS,
    Row,
    amount_column,
    asked,
    quantile,
    ranked,
    shown,
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
        figures=(*_length_figures(facts), *_packing(facts), *scores.figures(facts), *times.figures(facts)),
        tables=(
            *_lengths(facts, "characters"),
            *_lengths(facts, "tokens"),
            *_left_and_kept(facts),
            *scores.tables(facts),
            *times.tables(facts),
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
                command=asked(f"{unit}<={found[2]}"),
                note=Words(
                    en=f"Exactly: at least {found[1]:,} and at most {found[2]:,}, the borders of its bin.",
                    zh=f"确切值不小于 {found[1]:,}、不大于 {found[2]:,}，即其所在分箱的边界。",
                )
                if found[1] < found[2]
                else None,
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
            Column(key="language", label=LANGUAGE, unit="text", words={"all": Words(en="all", zh="全部")}),
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
            Column(key="survival", label=Words(en="all stages leave", zh="全部阶段后存活率"), unit="share"),
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
