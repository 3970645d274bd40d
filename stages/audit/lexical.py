"""How rich the wording of a corpus is, by language on samples of one size, and what text several documents share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa

from stages.audit.counter import Counter, Facts, Wide
from stages.audit.model import Cell, Chart, Column, Figure, Section, Table, Unit, Words
from stages.audit.samples import FIRST, FIRST_LETTERS, LETTERS, SAMPLES, SIZE, STRETCH, UNKNOWN
from stages.audit.vocabulary import LEVEL, ZIPF_RANKS
from stages.audit.weights import asked, is_name, shown

COUNTERS: tuple[Counter | Wide, ...] = ()

Row = Mapping[str, Any]  # Any: Arrow's Python values

MEASURES: Final[Mapping[str, tuple[Words, Unit]]] = {
    "distinct_1": (Words(en="distinct-1", zh="distinct-1"), "share"),
    "distinct_2": (Words(en="distinct-2", zh="distinct-2"), "share"),
    "distinct_3": (Words(en="distinct-3", zh="distinct-3"), "share"),
    "mattr_500": (Words(en="MATTR-500", zh="MATTR-500"), "share"),
    "hapax": (Words(en="hapax share", zh="单现词占比"), "share"),
    "zipf": (Words(en="Zipf slope", zh="齐普夫斜率"), "number"),
    "heaps": (Words(en="Heaps β", zh="希普斯 β"), "number"),
    "repeated_13": (Words(en="repeated 13-grams", zh="13 元重复率"), "share"),
    "bigram_entropy": (Words(en="entropy of character pairs (bits)", zh="字符二元组熵（比特）"), "number"),
    "bits_per_character": (Words(en="compressed (bits a character)", zh="压缩后每字符比特数"), "number"),
}
FIGURES: Final = ("distinct_2", "mattr_500", "repeated_13", "bits_per_character")  # of each language; the table has all
MOST_LANGUAGES: Final = 12  # that have figures
_COMMAND: Final = Words(en="stands in documents", zh="出现的文档数")


def sections(facts: Facts) -> Iterator[Section]:
    """Yields the section `lexical`; none where no text was looked at."""
    looked = facts.tables["looked"].to_pylist()[0]
    if not looked["texts"]:
        return
    languages = _by_language(facts.tables["lexical"])
    yield Section(
        key="lexical",
        title=Words(en="Wording", zh="用词多样性"),
        intro=Words(
            en=(
                "How rich the wording is, by language. All of these measures change with the size of a text, so each "
                f"is taken on samples of one size: {SIZE:,} units (words in lower case, and single characters of "
                f"scripts written without spaces; Traditional as Simplified), of each document the first {FIRST}; and "
                f"of {LETTERS:,} characters for the last two, of each document the first {FIRST_LETTERS:,}. Up to "
                f"{SAMPLES} samples a language, of documents drawn by a hash of their ids; the value is their mean, "
                "the interval Student's. Languages compare within a column only as far as their units do: a word is "
                "not a character."
            ),
            zh=(
                f"按语种衡量用词的丰富程度。这些指标都随文本长度变化，因此一律在等量样本上计算：每个样本 {SIZE:,} 个单"
                f"元（小写的词，或无空格书写文字的单字；繁体按简体计），每篇文档只取前 {FIRST} 个；最后两项用 "
                f"{LETTERS:,} 个字符的样本，每篇取前 {FIRST_LETTERS:,} 个字符。文档按 ID 的哈希抽取，每个语种至多 "
                f"{SAMPLES} 个样本，数值为各样本的均值，区间按 t 分布计算。单元不同的语种（词与字）之间不宜直接比较。"
            ),
        ),
        figures=(*_of_texts(looked, facts.seed), *_of_repeats(facts, looked), *_of_languages(languages, facts.seed)),
        tables=(*_language_table(languages, facts.seed), *_stretch_table(facts.tables["stretches"], looked)),
    )


def _by_language(table: pa.Table) -> dict[str, dict[str, Row]]:
    """Returns the rows of LEXICAL by language and measure, those with most text first."""
    found: dict[str, dict[str, Row]] = {}
    for row in table.to_pylist():
        found.setdefault(row["language"], {})[row["measure"]] = row
    return dict(sorted(found.items(), key=lambda item: (-item[1]["units"]["documents"], item[0])))


def _of_texts(looked: Row, seed: int) -> Iterator[Figure]:
    missing = looked["drawn"] - looked["texts"]
    yield Figure(
        key="lexical.texts",
        label=Words(en="documents whose text was looked at", zh="查看了正文的文档数"),
        value=looked["texts"],
        unit="documents",
        of=looked["drawn"],
        seed=seed,
        note=Words(
            en=(
                f"Of {looked['drawn']:,} drawn documents {missing:,} have no text here: no sample holds their "
                "beginning, or an overlay removes them. What is said of texts is of the others."
            ),
            zh=(
                f"抽取的 {looked['drawn']:,} 篇文档中，有 {missing:,} 篇在此没有正文：没有样本收录其开头，或已被覆盖层"
                "移除。以下关于正文的结论只涉及其余文档。"
            ),
        ),
    )
    yield Figure(
        key="lexical.characters",
        label=Words(en="characters that were looked at", zh="查看的字符数"),
        value=looked["characters"],
        unit="characters",
        of=looked["texts"],
        seed=seed,
    )


def _of_repeats(facts: Facts, looked: Row) -> Iterator[Figure]:
    labels = {
        "repeated_50": Words(
            en=f"stretches of {STRETCH} units that another document has too", zh=f"{STRETCH} 单元长片段与他篇重复的占比"
        ),
        "repeated_paragraphs": Words(
            en="text in paragraphs that another document has too", zh="与他篇完全相同的段落所占字符比例"
        ),
    }
    for row in facts.tables["repeats"].to_pylist():
        yield Figure(
            key=f"lexical.{row['measure']}",
            label=labels[row["measure"]],
            value=row["value"],
            unit="share",
            low=row["low"],
            high=row["high"],
            of=row["documents"],
            seed=facts.seed,
            note=Words(
                en=(
                    f"Among the {row['documents']:,} texts that were looked at: it grows with their number, so "
                    "compare it with reports on as many. What a model recites is mostly text that it saw often."
                ),
                zh=(
                    f"仅在所查看的 {row['documents']:,} 篇正文之间统计；该值随篇数增加而上升，只宜与篇数相同的报告比"
                    "较。模型逐字背诵的多是反复见到的文本。"
                ),
            ),
        )


def _of_languages(languages: Mapping[str, Mapping[str, Row]], seed: int) -> Iterator[Figure]:
    named = [name for name, rows in languages.items() if rows["distinct_1"]["samples"] and is_name(name)]
    for language in named[:MOST_LANGUAGES]:
        for measure in FIGURES:
            row = languages[language][measure]
            label, unit = MEASURES[measure]
            if row["value"] is None:
                continue
            yield Figure(
                key=f"lexical.{language}.{measure}",
                label=Words(en=f"{language}: {label.en}", zh=f"{language}：{label.zh}"),
                value=row["value"],
                unit=unit,
                low=row["low"],
                high=row["high"],
                of=row["documents"],
                seed=seed,
                command=_ask(language),
            )


def _ask(language: str) -> str | None:
    return asked(of={"language": None if language == UNKNOWN else language})


def _language_table(languages: Mapping[str, Mapping[str, Row]], seed: int) -> Iterator[Table]:
    enough = [name for name, rows in languages.items() if rows["distinct_1"]["samples"]]
    scarce = [(name, int(rows["units"]["value"])) for name, rows in languages.items() if name not in enough]
    said = ", ".join(f"{shown(name)} {units:,}" for name, units in scarce[:20])
    columns = [
        Column(key="language", label=Words(en="language", zh="语种"), unit="text"),
        Column(key="samples", label=Words(en="samples", zh="样本数"), unit="number"),
        Column(key="documents", label=Words(en="documents in them", zh="所含文档"), unit="documents"),
        Column(key="single", label=Words(en="units that are characters", zh="单元中单字占比"), unit="share"),
    ]
    for measure, (label, unit) in MEASURES.items():
        columns.append(Column(key=measure, label=label, unit=unit))
        if measure == "mattr_500":
            columns.append(Column(key=f"{measure}_low", label=Words(en="from", zh="下限"), unit=unit))
            columns.append(Column(key=f"{measure}_high", label=Words(en="to", zh="上限"), unit=unit))
    if not enough:
        return
    yield Table(
        key="lexical.languages",
        label=Words(en="wording by language, on samples of one size", zh="各语种用词多样性（等量样本）"),
        columns=tuple(columns),
        rows=tuple(tuple(_cells(name, languages[name])) for name in enough),
        commands=tuple(_ask(name) for name in enough),
        chart=Chart(kind="bar", x="language", y=("mattr_500",)),
        note=Words(
            en=(
                "distinct-n: distinct n-grams among all. MATTR-500: distinct units in a window of 500, on average. "
                f"Hapax: distinct units that stand once. Zipf: slope over the first {ZIPF_RANKS:,} ranks. Heaps: "
                "growth of the vocabulary. Repeated 13-grams: those that stand twice or more in a sample. "
                f"Compressed: by zstd at level {LEVEL}, by characters, as UTF-8 takes three bytes for one of Chinese. "
                f"Seed {seed}." + (f" With too little text (units drawn): {said}." if said else "")
            ),
            zh=(
                "distinct-n：不同 n 元组占全部 n 元组之比。MATTR-500：500 单元滑动窗口内不同单元的平均占比。单现词："
                f"只出现一次的单元占全部不同单元之比。齐普夫：前 {ZIPF_RANKS:,} 名的斜率。希普斯：词汇量随篇幅的增长指"
                f"数。13 元重复率：在样本中出现两次及以上的 13 元组之比。压缩：zstd {LEVEL} 级，按字符计，因 UTF-8 中"
                "一个汉字占三字节。"
                f"种子 {seed}。" + (f"文本过少的语种（抽得的单元数）：{said}。" if said else "")
            ),
        ),
    )


def _cells(language: str, rows: Mapping[str, Row]) -> Iterator[Cell]:
    yield None if language == UNKNOWN else shown(language)
    yield rows["distinct_1"]["samples"]
    yield rows["distinct_1"]["documents"]
    yield rows["single"]["value"]
    for measure in MEASURES:
        row = rows[measure]
        yield from (row[name] for name in (("value", "low", "high") if measure == "mattr_500" else ("value",)))


def _stretch_table(stretches: pa.Table, looked: Row) -> Iterator[Table]:
    rows = stretches.to_pylist()
    if rows:
        yield Table(
            key="lexical.stretches",
            label=Words(en="text that most documents share", zh="最多文档共有的长片段"),
            columns=(
                Column(key="text", label=Words(en="how it begins", zh="片段开头"), unit="text"),
                Column(key="documents", label=_COMMAND, unit="documents"),
                Column(key="language", label=Words(en="language of one of them", zh="其中一篇的语种"), unit="text"),
            ),
            rows=tuple((row["text"], row["documents"], shown(row["language"])) for row in rows),
            commands=tuple(asked(of={"id": row["id"].hex()}) for row in rows),
            note=Words(
                en=(
                    f"Of stretches of {STRETCH} units one in eight, by hash, among {looked['texts']:,} texts; of "
                    "those that overlap the one in most documents. The command shows one of its documents."
                ),
                zh=(
                    f"在 {looked['texts']:,} 篇正文中，按哈希取八分之一的 {STRETCH} 单元片段统计；相互重叠的只列出现最"
                    "多者。命令显示其中一篇文档。"
                ),
            ),
        )
