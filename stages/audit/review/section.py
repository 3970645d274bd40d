"""What people say of a corpus, as a section of the report: figures and tables that any sheet can show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stages.audit.ask import DIR
from stages.audit.hostile import harmless
from stages.audit.model import Cell, Column, Figure, Section, Table, Words
from stages.audit.review.judgement import LEAST_JUDGED, LEAST_RATE, MOST_UNSAFE, Interval, Judgement, Pair, Rate
from stages.audit.review.model import REASONS

MOST_ROWS: Final = 50
COMMAND: Final = f"datapipe audit verdicts {DIR}"
STATES: Final = {
    "above": Words(en="above", zh="高于"),
    "below": Words(en="below", zh="低于"),
    "open": Words(en="not told yet", zh="尚不能确定"),
}
STANDARDS: Final = {
    "reached": Words(en="reached", zh="达到"),
    "missed": Words(en="missed", zh="未达到"),
    "open": Words(en="hangs on those unsure", zh="取决于不确定的文档"),
    "few": Words(en="too few judged", zh="抽检数量不足"),
}
WORDS: Final = {
    "pass": Words(en="pass", zh="合格"),
    "fail": Words(en="fail", zh="不合格"),
    "unsure": Words(en="unsure", zh="不确定"),
}
_AXES: Final = {
    "language": Words(en="language", zh="语言"),
    "script": Words(en="script", zh="文字"),
    "format": Words(en="format", zh="体裁"),
}
_RATES: Final = {
    "pass": Words(en="Documents that pass", zh="文档合格率"),
    "safe": Words(en="Documents without a risk of the classes A.1 to A.5", zh="不含 A.1–A.5 类风险的文档占比"),
}
_COUNTS: Final = {
    "strict": Words(en="one reviewer who fails it is enough", zh="任一审核人判不合格即为不合格"),
    "majority": Words(en="by the majority of reviewers; a tie is unsure", zh="按多数审核人判定，平票计为不确定"),
}
_SUMMED: Final = Words(
    en=(
        "Failures for any reason count for `pass`, those for A.1 to A.5 for `safe`; one without a reason counts for "
        "both. Unsure counts as a failure here, and as a pass under “at best”. Wilson's interval, of 95 %, at the "
        "effective size of the sample."
    ),
    zh=(
        "合格率计入任何原因的不合格；“不含风险”只计 A.1–A.5 类，未注明原因者两者均计入。此处不确定按不合格计，"
        "“最好情形”按合格计。区间为 95% Wilson 区间，按样本的有效样本量计算。"
    ),
)


def section(found: Judgement) -> Section:
    """Returns what was judged as a section."""
    return Section(
        key="judged",
        title=Words(en="What people say of it", zh="人工抽检"),
        intro=Words(
            en=(
                f"{found.judged:,} of {found.drawn:,} documents that were drawn by hash were judged by people, "
                f"{'in the order of the draw' if found.in_order else 'some passed over'}. TC260-003 asks for a manual "
                f"sample of at least {LEAST_JUDGED:,}, of which {LEAST_RATE:.0%} pass; its text was not read here, "
                "and which reason counts for which rule is said where it counts."
            ),
            zh=(
                f"按哈希抽取 {found.drawn:,} 篇文档，人工审核 {found.judged:,} 篇"
                f"{'（依抽取次序）' if found.in_order else '（其间有跳过）'}。TC260-003 要求人工抽检不少于 "
                f"{LEAST_JUDGED:,} 条，合格率不低于 {LEAST_RATE:.0%}；"
                "本工具未核对标准原文，各规则计入哪些原因见各表说明。"
            ),
        ),
        figures=tuple(_figures(found)),
        tables=tuple(table for table in _tables(found) if table.rows),
    )


def _figures(found: Judgement) -> Iterator[Figure]:
    for of in ("pass", "safe"):
        yield _rate(found, found.rate(of, "strict"))
    yield _count("judged.documents", found.judged, Words(en="Documents judged", zh="已审核文档"))
    yield _count(
        "judged.unjudged",
        found.drawn - found.judged,
        Words(en="Documents of the sample not judged", zh="样本中未审核文档"),
        Words(
            en="They are not counted: the rates hold for them only if who left them out did so by chance.",
            zh="未计入；只有漏审与内容无关时，上述比例才对其成立。",
        ),
    )
    yield _count("judged.unsure", found.rate().unsure, Words(en="Documents left unsure", zh="结论不确定的文档"))
    yield _count("judged.reviewers", len(found.reviewers), Words(en="Reviewers", zh="审核人员数"), unit="number")
    if found.disputed:
        yield _count(
            "judged.disputed",
            len(found.disputed),
            Words(en="Documents that reviewers do not agree on", zh="审核意见不一致的文档"),
        )
    if found.alpha is not None:
        yield Figure(
            key="judged.alpha",
            label=Words(en="Agreement of all reviewers: Krippendorff's alpha", zh="审核一致性：Krippendorff α"),
            value=found.alpha.value,
            unit="number",
            low=found.alpha.low,
            high=found.alpha.high,
        )


def _rate(found: Judgement, rate: Rate) -> Figure:
    return Figure(
        key=f"judged.{rate.of}",
        label=_RATES[rate.of],
        value=rate.value.value,
        unit="share",
        low=rate.value.low if found.judged else None,
        high=rate.value.high if found.judged else None,
        of=found.judged,
        command=COMMAND,
        note=Words(
            en=(
                f"The corpus against {LEAST_RATE:.0%}: {STATES[rate.state].en}; the sample against TC260-003: "
                f"{STANDARDS[rate.standard].en}. {_SUMMED.en}"
            ),
            zh=(
                f"语料总体与 {LEAST_RATE:.0%} 相比：{STATES[rate.state].zh}；样本对照 TC260-003："
                f"{STANDARDS[rate.standard].zh}。{_SUMMED.zh}"
            ),
        ),
    )


def _count(key: str, value: int, label: Words, note: Words | None = None, unit: str = "documents") -> Figure:
    return Figure.model_validate(
        {"key": key, "label": label, "value": value, "unit": unit, "note": note, "command": COMMAND}
    )


def _tables(found: Judgement) -> Iterator[Table]:
    yield _rates(found)
    yield _sources(found)
    yield _reasons(found)
    yield _parts(found)
    yield from (_pair(found, pair) for pair in found.pairs)


def _borders(name: str, en: str, zh: str) -> tuple[Column, ...]:
    """Returns the columns of a rate and its interval."""
    return (
        Column(key=name, label=Words(en=en, zh=zh), unit="share"),
        Column(key=f"{name}_low", label=Words(en="at least", zh="下界"), unit="share"),
        Column(key=f"{name}_high", label=Words(en="at most", zh="上界"), unit="share"),
    )


def _column(key: str, en: str, zh: str, unit: str = "documents", words: dict[str, Words] | None = None) -> Column:
    return Column.model_validate({"key": key, "label": Words(en=en, zh=zh), "unit": unit, "words": words})


def _cells(interval: Interval) -> tuple[Cell, ...]:
    return (interval.value, interval.low, interval.high)


def _rates(found: Judgement) -> Table:
    several = len(found.reviewers) > 1
    return Table(
        key="judged.rates",
        label=Words(en="Pass rates", zh="合格率"),
        columns=(
            _column("of", "what counts", "统计对象", "text", _RATES),
            _column("count", "where several judged", "多人审核时", "text", _COUNTS),
            _column("passed", "pass", "合格"),
            _column("failed", "fail", "不合格"),
            _column("unsure", "unsure", "不确定"),
            *_borders("rate", "rate", "比例"),
            *_borders("best", "at best", "最好情形"),
            _column("state", "the corpus, against 96 %", "语料总体与 96% 相比", "text", STATES),
            _column("standard", "the sample, against TC260-003", "样本对照 TC260-003", "text", STANDARDS),
        ),
        rows=tuple(
            (
                *(one.of, one.count, one.passed, one.failed, one.unsure),
                *(*_cells(one.value), *_cells(one.best), one.state, one.standard),
            )
            for one in found.rates
            if several or one.count == "strict"
        ),
        note=_SUMMED,
    )


def _sources(found: Judgement) -> Table:
    return Table(
        key="judged.sources",
        label=Words(en="Sources against the 5 % rule, as judged by people", zh="来源的 5% 规则核查（人工）"),
        columns=(
            _column("source", "source", "来源", "text"),
            _column("documents", "documents", "文档数"),
            _column("judged", "judged", "已审核"),
            _column("failed", "illegal or unhealthy", "违法不良"),
            _column("unsure", "unsure", "不确定"),
            *_borders("rate", "share", "占比"),
            _column("state", "against 5 %", "与 5% 相比", "text", STATES),
            _column("among_all", "all sources at once", "各来源同时判断", "text", STATES),
        ),
        rows=tuple(
            (
                *(harmless(one.source), one.documents, one.judged, one.failed, one.unsure),
                *(*_cells(one.rate), one.state, one.among_all),
            )
            for one in found.sources[:MOST_ROWS]
        ),
        of=len(found.sources) if len(found.sources) > MOST_ROWS else None,
        note=Words(
            en=(
                f"TC260-003 asks not to use a source of which more than {MOST_UNSAFE:.0%} is illegal or unhealthy. "
                "Counted are failures for A.1 to A.4 (our reading) or without a reason, by any reviewer; not quality. "
                "Exact intervals of 95 %, of draws without replacement; unsure ones raise the upper border. Each "
                "source by itself may be told wrongly once in 20; under “all sources at once” none is, 19 times of 20."
            ),
            zh=(
                f"TC260-003 要求：违法不良信息超过 {MOST_UNSAFE:.0%} 的来源不得使用。计入任一审核人以 A.1–A.4 类原因"
                "（本工具的理解）或未注明原因判为不合格者，不计质量原因。"
                "区间为 95% 精确区间（不放回抽样）；不确定者只抬高上界。"
                "单看一个来源，每 20 次可能错判一次；“各来源同时判断”一列则 20 次中有 19 次全部判对（Bonferroni）。"
            ),
        ),
    )


def _reasons(found: Judgement) -> Table:
    words = {code: one.words for code, one in REASONS.items()}
    return Table(
        key="judged.reasons",
        label=Words(en="Why documents fail", zh="不合格的原因"),
        columns=(
            _column("reason", "reason", "原因", "text", words),
            _column("risk", "class of risk", "风险类别", "text"),
            _column("documents", "documents", "文档数"),
            *_borders("share", "share of the corpus", "占语料比例"),
        ),
        rows=tuple((one.code, one.risk, one.documents, *_cells(one.share)) for one in found.reasons if one.documents),
        note=Words(
            en=f"A document may have several; {found.without_reason:,} failed without one, which count for every rule.",
            zh=f"一篇文档可有多个原因；{found.without_reason:,} 篇未注明原因，计入所有规则。",
        ),
    )


def _parts(found: Judgement) -> Table:
    return Table(
        key="judged.parts",
        label=Words(en="Pass rates of languages, scripts and formats", zh="各语言、文字与体裁的合格率"),
        columns=(
            _column("axis", "by", "维度", "text", _AXES),
            _column("name", "value", "取值", "text"),
            _column("judged", "judged", "已审核"),
            *_borders("rate", "rate", "合格率"),
            *_borders("best", "at best", "最好情形"),
        ),
        rows=tuple(
            (
                one.axis,
                None if one.name is None else harmless(one.name),
                one.judged,
                *_cells(one.value),
                *_cells(one.best),
            )
            for one in found.parts
        ),
    )


def _pair(found: Judgement, pair: Pair) -> Table:
    """Returns what two reviewers said of the same documents, with how far they agree in the note."""
    measures = (
        ("raw", "raw", "原始一致率", pair.raw),
        ("kappa", "Cohen's kappa", "Cohen κ", pair.kappa),
        ("ac1", "Gwet's AC1", "Gwet AC1", pair.ac1),
        ("on_pass", "on pass", "“合格”一致率", pair.on_pass),
        ("on_fail", "on fail", "“不合格”一致率", pair.on_fail),
    )
    return Table(
        key=f"judged.agreement.{pair.first}_{pair.second}",
        label=Words(
            en=f"Agreement of reviewers {pair.first} and {pair.second}",
            zh=f"审核人 {pair.first} 与审核人 {pair.second} 的一致性",
        ),
        columns=(
            _column("measure", "measure", "指标", "text", {key: Words(en=en, zh=zh) for key, en, zh, _ in measures}),
            _column("value", "value", "数值", "number"),
            _column("low", "at least", "下界", "number"),
            _column("high", "at most", "上界", "number"),
        ),
        rows=tuple((key, *_cells(interval)) for key, _, _, interval in measures),
        note=Words(
            en=f"Of {_of(pair):,} documents: {_square(pair, 'en')}. Where nearly all pass, kappa is low however many "
            "they agree on; AC1 and the agreement on each word are not.",
            zh=f"共同审核 {_of(pair):,} 篇：{_square(pair, 'zh')}。绝大多数文档合格时，κ 会偏低（患病率悖论），"
            "请同时看 AC1 与各结论的一致率。",
        ),
    )


def _of(pair: Pair) -> int:
    return sum(map(sum, pair.table))


def _square(pair: Pair, language: str) -> str:
    """Returns the counts that are not 0: `pass/fail 12`."""
    words = [getattr(WORDS[word], language) for word in pair.words]
    return ", ".join(
        f"{one}/{other} {count:,}"
        for one, row in zip(words, pair.table, strict=True)
        for other, count in zip(words, row, strict=True)
        if count
    )
