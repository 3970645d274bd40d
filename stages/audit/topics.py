"""What a corpus is about: topics of the documents that were looked at, and which of them the filters took more of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.audit.clusters import NAME, NONE
from stages.audit.counter import Counter, Facts, Wide
from stages.audit.frame import KEPT
from stages.audit.look import SAID
from stages.audit.measures import Z, divergence, hill
from stages.audit.model import Cell, Chart, Column, Figure, Section, Table, Words
from stages.audit.weights import DOCUMENTS, TOKENS, TRAINED, Weighting, asked, shown

COUNTERS: tuple[Counter | Wide, ...] = ()

Row = Mapping[str, Any]  # Any: Arrow's Python values
Values = npt.NDArray[np.float64]

WEIGHTINGS: Final = (DOCUMENTS, TOKENS, TRAINED)
MOST_CROSSED: Final = (20, 8)  # topics, languages
NO_TOPIC: Final = Words(en="of no topic", zh="不属任何主题")
TOPIC: Final = Words(en="topic", zh="主题")


def sections(facts: Facts) -> Iterator[Section]:
    """Yields the section `topics`; none where no text was looked at."""
    looked = facts.tables["looked"].to_pylist()[0]
    rows = facts.tables["topics"].to_pylist()
    if not looked["texts"] or len(rows) < 2:
        return
    shift = _Shift(facts)
    yield Section(
        key="topics",
        title=Words(en="Topics", zh="主题"),
        intro=Words(
            en=(
                f"What {looked['texts']:,} drawn documents are about{_unseen(looked).en}. "
                "Each is a vector of its words, or pairs of single characters, weighed by how few other documents hold "
                "them (TF-IDF), in the dimensions in which they differ most (LSA); k-means tells them apart, and a "
                "topic is called by the terms that most of its documents and few others hold. "
                + _frozen_en(looked)
                + " Vocabulary differs between languages, so topics mostly keep to one. Where the corpus carries "
                "labels of a classifier of your own (step `classify`), they are columns of the index, and `show` "
                "knows them."
            ),
            zh=(
                f"抽取的 {looked['texts']:,} 篇文档在谈什么{_unseen(looked).zh}。"
                "每篇表示为词（或相邻单字对）的向量，按其在他篇中的稀有程度加权（TF-IDF），经潜在语义分析（LSA）降维后"
                "用 k-means 聚类；主题以其多数文档含有、他处少见的词语命名。"
                + _frozen_zh(looked)
                + "各语言词汇不同，因此一个主题大多只含一种语言。若语料带有自有分类器的标签（`classify` 阶段），"
                "标签是索引中的列，可直接用 `show` 查询。"
            ),
        ),
        figures=(*_figures(facts, looked, rows), *_moved(rows, looked, facts.seed), *shift.figures()),
        tables=(*_topic_table(rows, looked), *_cross_table(facts, rows), *shift.tables()),
    )


def _frozen_en(looked: Row) -> str:
    if looked["frozen"] is None:
        return (
            f"The model lies in reports/{NAME}: `datapipe report OTHER --topics DIR/reports/{NAME}` assigns another "
            "corpus by it, so that two can be compared."
        )
    return (
        f"Topics are those of an earlier corpus ({looked['model_documents']:,} documents), whose model (SHA-256 "
        f"{looked['frozen'][:16]}…) was given: so shares compare, and words that only this corpus holds count for "
        "none."
    )


def _frozen_zh(looked: Row) -> str:
    if looked["frozen"] is None:
        return (
            f"模型保存在 reports/{NAME}：用 `datapipe report OTHER --topics DIR/reports/{NAME}` 可按同一套主题划分另一"
            "份语料，便于对比。"
        )
    return (
        f"主题沿用早先语料（{looked['model_documents']:,} 篇文档）的模型（SHA-256 {looked['frozen'][:16]}…），因此占比"
        "可以直接对比；仅见于本语料的新词不计入任何主题。"
    )


def _unseen(looked: Row) -> Words:
    """Returns what is said of drawn documents without text: shares are of the others."""
    missing = looked["drawn"] - looked["texts"]
    if not missing:
        return Words(en="", zh="")
    return Words(
        en=f"; of {missing:,} more no sample holds the beginning, so shares are of what training sees, and not of all "
        "that was kept",
        zh=f"（另抽得 {missing:,} 篇，没有样本收录其开头，因此占比针对训练所见的文档，而非全部保留文档）",
    )


def _figures(facts: Facts, looked: Row, rows: Sequence[Row]) -> Iterator[Figure]:
    held = [row for row in rows if row["topic"] != NONE]
    of, seed = looked["texts"], facts.seed
    yield Figure(
        key="topics.amount",
        label=Words(en="topics told apart", zh="划分的主题数"),
        value=sum(1 for row in held if row["documents"]),
        unit="number",
        of=of,
        seed=seed,
    )
    for one in _known(rows):
        yield Figure(
            key=f"topics.effective.{one.key}",
            label=Words(en=f"effective number of topics, by {one.label.en}", zh=f"有效主题数（按{one.label.zh}加权）"),
            value=hill([row[f"{one.key}_share"] for row in held], 1),
            unit="number",
            of=of,
            seed=seed,
        )
    for one in _known(rows):
        largest = max(held, key=lambda row: (row[f"{one.key}_share"], -row["topic"]))
        yield Figure(
            key=f"topics.largest.{one.key}",
            label=Words(en=f"largest topic, share of {one.label.en}", zh=f"最大主题的{one.label.zh}占比"),
            value=largest[f"{one.key}_share"],
            unit="share",
            low=largest[f"{one.key}_low"],
            high=largest[f"{one.key}_high"],
            of=of,
            seed=seed,
            command=_ask(largest),
            note=Words(en=_name(largest) or "", zh=_name(largest) or ""),
        )
    yield Figure(
        key="topics.score",
        label=Words(en="how close documents are to their topic (cosine)", zh="文档与所属主题的接近程度（余弦）"),
        value=looked["score"],
        unit="number",
        of=of,
        seed=seed,
        note=None if looked["frozen"] is None else _fit(looked),
    )


def _fit(looked: Row) -> Words:
    was = looked["model_score"]
    return Words(
        en=f"In the corpus that the topics are of it was {was:.3f}; much less means that they no longer fit.",
        zh=f"在建立主题的语料中为 {was:.3f}；明显更低则说明这套主题已不贴合。",
    )


def _known(rows: Sequence[Row]) -> Iterator[Weighting]:
    return (one for one in WEIGHTINGS if rows[0][f"{one.key}_share"] is not None)


def _name(row: Row) -> str | None:
    """Returns what a topic is called, its number first, as labels may be equal; None of what is of no topic."""
    return None if row["topic"] == NONE else f"{row['topic']} {row['label']}"


def _ask(row: Row) -> str | None:
    return None if row["nearest"] is None else asked(of={"id": row["nearest"].hex()})


def _topic_table(rows: Sequence[Row], looked: Row) -> Iterator[Table]:
    known = list(_known(rows))
    order = sorted(rows, key=lambda row: (row["topic"] == NONE, -row["documents"], row["topic"]))
    told = [row for row in order if row["documents"] or row["model_documents"]]
    frozen = looked["frozen"] is not None
    columns = [
        Column(key="topic", label=TOPIC, unit="text"),
        Column(key="documents", label=DOCUMENTS.label, unit="documents"),
    ]
    for one in known:
        share = Words(en=f"share of {one.label.en}", zh=f"{one.label.zh}占比")
        columns.append(Column(key=f"{one.key}_share", label=share, unit="share"))
        columns.append(Column(key=f"{one.key}_share_low", label=Words(en="from", zh="下限"), unit="share"))
        columns.append(Column(key=f"{one.key}_share_high", label=Words(en="to", zh="上限"), unit="share"))
    if frozen:
        columns.append(
            Column(
                key="earlier_share", label=Words(en="earlier corpus, documents", zh="早先语料的文档占比"), unit="share"
            )
        )
    cells: list[tuple[Cell, ...]] = []
    for row in told:
        shares = [row[f"{one.key}{end}"] for one in known for end in ("_share", "_low", "_high")]
        earlier = [row["model_documents"] / max(1, looked["model_documents"])] if frozen else []
        cells.append((_name(row), row["documents"], *shares, *earlier))
    yield Table(
        key="topics.topics",
        label=Words(en="topics", zh="主题"),
        columns=tuple(columns),
        rows=tuple(cells),
        commands=tuple(_ask(row) for row in told),
        chart=Chart(kind="bar", x="topic", y=tuple(f"{one.key}_share" for one in known)),
        note=Words(
            en=(
                f"Of {looked['texts']:,} texts, with 95 % intervals (Wilson; of tokens that of a ratio of sums). The "
                "command shows the document that is closest to its topic."
            ),
            zh=(
                f"基于 {looked['texts']:,} 篇正文，区间为 95 %（文档按 Wilson，词元按比率估算）。命令显示最接近该主题"
                "中心的文档。"
            ),
        ),
    )


def _moved(rows: Sequence[Row], looked: Row, seed: int) -> Iterator[Figure]:
    if looked["frozen"] is not None:
        bits, _ = divergence([row["model_documents"] for row in rows], [row["documents"] for row in rows])
        yield Figure(
            key="topics.moved",
            label=Words(
                en="topics: divergence from the earlier corpus (JSD, bits)", zh="主题分布与早先语料的差异（JSD，比特）"
            ),
            value=bits,
            unit="number",
            of=looked["texts"],
            seed=seed,
            note=Words(
                en="0 is equal shares, 1 nothing in common; two draws of one corpus differ by a little too.",
                zh="0 为占比完全相同，1 为毫无共同；同一语料的两次抽样也会略有差异。",
            ),
        )


def _cross_table(facts: Facts, rows: Sequence[Row]) -> Iterator[Table]:
    names = {row["topic"]: _name(row) for row in rows}
    counts = facts.tables["topic_cross"].to_pylist()
    topics, languages = _sums(counts, "topic"), _sums(counts, "language")
    held = [
        row
        for row in counts
        if row["topic"] in topics[: MOST_CROSSED[0]] and row["language"] in languages[: MOST_CROSSED[1]]
    ]
    held.sort(key=lambda row: (topics.index(row["topic"]), languages.index(row["language"])))
    whole = {topic: sum(row["documents"] for row in counts if row["topic"] == topic) for topic in topics}
    yield Table(
        key="topics.languages",
        label=Words(en="languages of topics", zh="各主题的语种构成"),
        columns=(
            Column(key="topic", label=TOPIC, unit="text"),
            Column(key="language", label=Words(en="language", zh="语种"), unit="text"),
            Column(key="share", label=Words(en="share of the topic's documents", zh="占该主题文档之比"), unit="share"),
            Column(key="documents", label=DOCUMENTS.label, unit="documents"),
        ),
        rows=tuple(
            (
                names[row["topic"]] or NO_TOPIC.en,
                shown(row["language"]),
                row["documents"] / whole[row["topic"]],
                row["documents"],
            )
            for row in held
        ),
        of=len(counts) if len(counts) > len(held) else None,
        chart=Chart(kind="heat", x="language", y=("share",), rows="topic"),
    )


def _sums(rows: Sequence[Row], name: str) -> list[Any]:  # Any: labels, of numbers or words
    """Returns labels by their documents, most first."""
    sums: dict[Any, int] = {}
    for row in rows:
        sums[row[name]] = sums.get(row[name], 0) + row["documents"]
    return sorted(sums, key=lambda label: (-sums[label], str(label)))


class _Shift:
    """Topics of what stayed against what left, all by the first characters of the text, which the ledger holds too.

    A drawn document stands for as many as there are of its kind to one that was drawn.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts, self.looked = facts, facts.tables["looked"].to_pylist()[0]
        self.rows = {row["topic"]: row for row in facts.tables["topics"].to_pylist()}
        self.topics = sorted(self.rows)
        drawn: dict[str, Values] = {}
        for row in facts.tables["topic_shift"].to_pylist():
            counts = drawn.setdefault(row["stage"], np.zeros(len(self.topics)))
            counts[self.topics.index(row["topic"])] += row["documents"]
        self.drawn = drawn
        there = _documents(facts.tables["cube"])
        self.weights = {stage: there.get(stage, 0) / counts.sum() for stage, counts in drawn.items()}
        order = [str(stage["stage"]) for stage in facts.run.get("stages", ())]
        self.stages = [stage for stage in order if stage in drawn and stage != KEPT]

    @property
    def is_known(self) -> bool:
        """Whether anything left of which the text's beginning is known."""
        return bool(self.stages) and KEPT in self.drawn

    def _standing_for(self, stage: str) -> Values:
        made: Values = self.drawn[stage] * self.weights[stage]
        return made

    def _came(self, first: int = 0) -> Values:
        """Returns the documents by topic that came to the stages from number `first` on."""
        made: Values = self._standing_for(KEPT) + sum(
            map(self._standing_for, self.stages[first:]), np.zeros(len(self.topics))
        )
        return made

    def figures(self) -> Iterator[Figure]:
        """Yields how far filtering shifted the topics."""
        unseen = self._unseen
        if self.is_known:
            bits, _ = divergence(self._came(), self._standing_for(KEPT))
            amount = int(sum(counts.sum() for counts in self.drawn.values()))
            short = self.looked["short"]
            yield Figure(
                key="topics.shift",
                label=Words(
                    en="topics: what came against what stayed (JSD, bits)",
                    zh="主题分布：进入与留存之间的差异（JSD，比特）",
                ),
                value=bits,
                unit="number",
                of=amount,
                seed=self.facts.seed,
                note=Words(
                    en=(
                        f"All by the first {SAID} characters of the text, as the ledger holds no more of what left. "
                        f"Of the {short:,} that stayed {self.looked['same'] / max(1, short):.0%} are of the same "
                        f"topic by all of their text.{unseen.en}"
                    ),
                    zh=(
                        f"一律按正文前 {SAID} 个字符判断，因为账本对离开的文档只保留这些。留存的 {short:,} 篇中，"
                        f"{self.looked['same'] / max(1, short):.0%} 与按全文判断的主题一致。{unseen.zh}"
                    ),
                ),
            )

    def tables(self) -> Iterator[Table]:
        """Yields the survival of topics, and the shift by stage."""
        if self.is_known:
            yield self._survival()
            yield self._by_stage()

    @property
    def _unseen(self) -> Words:
        """What is said where texts of some that stayed are not there."""
        if self.looked["texts"] == self.looked["drawn"]:
            return Words(en="", zh="")
        return Words(
            en=" Those that stayed are known by samples: topics of sources of which the mix takes less than all look "
            "as if they lost more.",
            zh="留存文档的正文取自训练样本：混合配比未全取的来源，其主题看起来损失更多。",
        )

    def _survival(self) -> Table:
        unseen = self._unseen
        came, kept = self._came(), self._standing_for(KEPT)
        _, added = divergence(came, kept)
        order = sorted(range(len(self.topics)), key=lambda place: (-came[place], place))
        cells, commands = [], []
        for place in order:
            if came[place]:
                row = self.rows[self.topics[place]]
                cells.append((_name(row), *self._rate(place), round(came[place]), round(kept[place]), added[place]))
                commands.append(_ask(row))
        return Table(
            key="topics.survival",
            label=Words(en="survival of topics", zh="各主题的存活率"),
            columns=(
                Column(key="topic", label=TOPIC, unit="text"),
                Column(key="survival", label=Words(en="all stages leave", zh="全部阶段后存活率"), unit="share"),
                Column(key="survival_low", label=Words(en="from", zh="下限"), unit="share"),
                Column(key="survival_high", label=Words(en="to", zh="上限"), unit="share"),
                Column(key="came", label=Words(en="came (estimate)", zh="进入（估算）"), unit="documents"),
                Column(key="kept", label=Words(en="stayed (estimate)", zh="留存（估算）"), unit="documents"),
                Column(
                    key="shift",
                    label=Words(en="adds to the divergence (bits)", zh="对差异的贡献（比特）"),
                    unit="number",
                ),
            ),
            rows=tuple(cells),
            commands=tuple(commands),
            chart=Chart(kind="bar", x="topic", y=("survival",)),
            note=Words(
                en=(
                    f"Documents that {', '.join(self.stages)} took, and those that stayed, by the first {SAID} "
                    "characters; what other stages took left no text to tell by. Estimated from the draw, with 95 % "
                    f"intervals.{unseen.en}"
                ),
                zh=(
                    f"比较 {'、'.join(self.stages)} 去掉的文档与留存的文档，均按前 {SAID} 个字符判断；其他阶段去掉的文"
                    f"档没有可供判断的正文。由抽样估算，区间为 95 %。{unseen.zh}"
                ),
            ),
        )

    def _rate(self, place: int) -> tuple[float, float, float]:
        """Returns the survival of a topic with its interval, that of the logarithm of its odds."""
        kept = self.drawn[KEPT][place]
        gone = [(self.weights[stage], self.drawn[stage][place]) for stage in self.stages]
        left = math.fsum(weight * amount for weight, amount in gone)
        stands = self.weights[KEPT] * kept
        rate = stands / (stands + left)
        half = (
            sum(self.weights[stage] for stage in self.stages) / len(self.stages) / 2
        )  # of one more, where there is none
        odds = (self.weights[KEPT] * max(kept, 0.5)) / (left or half)
        square = math.fsum(weight**2 * amount for weight, amount in gone) / left**2 if left else 2.0
        error = Z * math.sqrt(1 / max(kept, 0.5) + square)
        low, high = (value / (1 + value) for value in (odds * math.exp(-error), odds * math.exp(error)))
        return rate, low if kept else 0.0, high if left else 1.0

    def _by_stage(self) -> Table:
        cells = []
        for number, stage in enumerate(self.stages):
            came, gone = self._came(number), self._standing_for(stage)
            bits, added = divergence(came, came - gone)
            most = int(np.argmax(np.where(gone / np.maximum(came, 1e-9) > gone.sum() / came.sum(), added, -1)))
            cells.append(
                (
                    shown(stage),
                    round(gone.sum()),
                    int(self.drawn[stage].sum()),
                    bits,
                    _name(self.rows[self.topics[most]]),
                )
            )
        return Table(
            key="topics.stages",
            label=Words(en="shift of topics by stage", zh="各阶段造成的主题偏移"),
            columns=(
                Column(key="stage", label=Words(en="stage", zh="阶段"), unit="text"),
                Column(key="left", label=Words(en="left there", zh="在此离开"), unit="documents"),
                Column(key="drawn", label=Words(en="drawn of them", zh="其中抽取"), unit="documents"),
                Column(key="shift", label=Words(en="divergence (JSD, bits)", zh="差异（JSD，比特）"), unit="number"),
                Column(key="topic", label=Words(en="topic that lost most", zh="损失最多的主题"), unit="text"),
            ),
            rows=tuple(cells),
        )


def _documents(cube: pa.Table) -> dict[str, int]:
    """Returns the documents by stage at which they left, those that stayed by KEPT; parts that were made are none."""
    sums: dict[str, int] = {}
    for row in cube.select(["stage", "action", "documents"]).to_pylist():
        if row["action"] != "split":
            sums[row["stage"]] = sums.get(row["stage"], 0) + row["documents"]
    return sums
