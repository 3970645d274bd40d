"""Duplicates: how large clusters were, which steps removed copies, what is left of them, and repeats as trained.

What is left was measured by the step dedup itself (`stages.dedup.audit`), on a sample that it compared with all
documents that stay; its interval is Wilson's with the correction for a finite population, as it is there.

Source: Muennighoff et al. 2023, arXiv 2305.16264, section 5 (what repeated tokens are worth; `stages.mix.repeats`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from datapipe import storage
from stages.audit import copies as counting
from stages.audit.ask import show_command
from stages.audit.copies import COPY
from stages.audit.counter import Facts
from stages.audit.hostile import harmless
from stages.audit.model import Chart, Column, Figure, Section, Table, Words
from stages.audit.weights import amount_column, asked, weightings
from stages.dedup.audit import wilson
from stages.mix.repeats import effective_tokens

TOP: Final = 20  # pairs that are left, that are named
_RESIDUAL: Final = re.compile(r"/residual[^/]*\.parquet$")
_PAIR: Final = ["id", "twin", "similarity", "copies", "source", "twin_source", "url", "twin_url"]

COUNTERS: Final = counting.COUNTERS

# What the step dedup says of itself (stages.dedup.audit), in its remarks

_LEFT: Final = re.compile(
    r"residual: ([\d,]+) of ([\d,]+) documents drawn from the ([\d,]+) that stay .* of similarity ([\d.]+) or more"
)
_GONE: Final = re.compile(r"recall: by this audit ([\d.]+)% .* \(95% interval ([\d.]+)% to ([\d.]+)%\)")
_BY_CURVE: Final = re.compile(r"recall: by the curve .* at least ([\d.]+)% of the copies")


@dataclass(frozen=True)
class Residual:
    """What the audit of a step found: of `sampled` documents of `whole`, `found` have a copy that stays too."""

    stage: str
    found: int
    sampled: int
    whole: int
    threshold: float
    gone: tuple[float, float, float] | None = None  # share of copies that left, and its interval
    by_curve: float | None = None  # at least

    @property
    def interval(self) -> tuple[float, float]:
        """The borders of the 95 % interval of the rate; both are the rate where all documents were drawn."""
        return wilson(self.found, self.sampled, self.whole)


def residuals(run: Mapping[str, Any]) -> Iterator[Residual]:  # Any: JSON
    """Yields what the steps of a run say of copies that are left."""
    for stage in run["stages"]:
        said = "\n".join(stage["remarks"])
        if left := _LEFT.search(said):
            found, sampled, whole = (int(value.replace(",", "")) for value in left.groups()[:3])
            gone, curve = _GONE.search(said), _BY_CURVE.search(said)
            shares = tuple(float(value) / 100 for value in gone.groups()) if gone else None
            by_curve = float(curve[1]) / 100 if curve else None
            name, threshold = str(stage["stage"]), float(left[4])
            yield Residual(name, found, sampled, whole, threshold, shares and (*shares,), by_curve)  # type: ignore[arg-type]


# The section


def sections(facts: Facts) -> Iterator[Section]:
    """Yields the section on duplicates, where any step looked for them or samples repeat."""
    copies, sizes, times = (
        facts.tables[name].to_pylist() for name in ("duplicates_copies", "duplicates_sizes", "duplicates_times")
    )
    came = max((stage["documents_in"] for stage in facts.run["stages"]), default=0)
    tables = [
        _steps(facts, copies),
        _similarity(copies),
        _clusters(facts.tables["duplicates_sizes"]),
        _largest(facts.tables["duplicates_largest"]),
        _across(facts.tables["duplicates_across"].to_pylist()),
        _residual_pairs(facts),
        _times(times),
    ]
    yield Section(
        key="duplicates",
        title=Words(en="Duplicates", zh="重复"),
        intro=Words(
            en="How many copies there were, which steps removed them, what is left of them by an independent search, "
            "and how often a model sees what stayed.",
            zh="原有多少重复、各阶段去除了多少、独立检索表明还残留多少，以及模型会把留下的内容看多少遍。",
        ),
        figures=tuple(_figures(facts, copies, sizes, times, came)),
        tables=tuple(table for table in tables if table is not None and table.rows),
    )


Rows = Sequence[Mapping[str, Any]]  # Any: Arrow's Python values


def _figures(facts: Facts, copies: Rows, sizes: Rows, times: Rows, came: int) -> Iterator[Figure]:
    removed = sum(row["documents"] for row in copies)
    yield Figure(
        key="duplicates.removed",
        label=Words(en="left as copies", zh="作为重复被去除"),
        value=removed,
        unit="documents",
        command=show_command(action=COPY) if removed else None,
    )
    if came:
        yield Figure(
            key="duplicates.removed_share",
            label=Words(en="copies, of all documents that came", zh="重复占全部进入文档"),
            value=removed / came,
            unit="share",
            command=show_command(action=COPY) if removed else None,
        )
    known = [row for row in sizes if row["cluster_size"] is not None]
    kept = sum(row["documents"] for row in known)
    if kept:
        stood = sum(row["documents"] * row["cluster_size"] for row in known)
        largest = max(row["cluster_size"] for row in known)
        yield Figure(
            key="duplicates.stood_for",
            label=Words(en="documents that one kept stands for, on average", zh="每篇保留文档平均代表的文档数"),
            value=stood / kept,
            unit="number",
        )
        yield Figure(
            key="duplicates.largest",
            label=Words(en="documents of the largest cluster", zh="最大重复簇的文档数"),
            value=largest,
            unit="documents",
            command=show_command(f"cluster_size>={largest}", kept=True),  # its survivor
        )
    for place, found in enumerate(residuals(facts.run)):
        yield from _of_residual(found, f"_{found.stage}" if place else "")
    yield from _of_across(facts.tables["duplicates_across"].to_pylist())
    yield from _of_times(times, facts.manifest.get("mix", {}).get("groups", []))


def _of_residual(found: Residual, suffix: str) -> Iterator[Figure]:
    low, high = found.interval
    yield Figure(
        key=f"duplicates.residual{suffix}",
        label=Words(en="kept documents that still have a copy", zh="仍有重复留存的保留文档"),
        value=found.found / found.sampled,
        unit="share",
        low=low,
        high=high,
        of=found.sampled,
        command=show_command("copies>=1") if found.found else None,
        note=Words(
            en=f"Step {found.stage}: {found.sampled:,} of {found.whole:,} documents that stayed were compared with all "
            f"of them by shingle sets; a copy is of Jaccard similarity {found.threshold:g} or more.",
            zh=f"阶段 {found.stage}：从留存的 {found.whole:,} 篇中抽取 {found.sampled:,} 篇，按 shingle 集合"
            f"与全部留存文档逐一比较；Jaccard 相似度不低于 {found.threshold:g} 即视为重复。",
        ),
    )
    if found.gone is not None:
        gone, least, most = found.gone
        yield Figure(
            key=f"duplicates.recall{suffix}",
            label=Words(en="copies that should have left and did", zh="应去除的重复中已去除的比例"),
            value=gone,
            unit="share",
            low=least,
            high=most,
            of=found.sampled,
            note=Words(
                en="Estimated from the copies that are left: a document with c of them stands for c / (c + 1) that "
                "should have gone.",
                zh="由残留的重复估算：一篇文档若还有 c 个重复，则代表 c / (c + 1) 篇本应去除。",
            ),
        )
    if found.by_curve is not None:
        yield Figure(
            key=f"duplicates.recall_by_curve{suffix}",
            label=Words(en="copies found, at least (by the curve of bands)", zh="至少找到的重复比例（按分段曲线推算）"),
            value=found.by_curve,
            unit="share",
        )


def _of_across(rows: Rows) -> Iterator[Figure]:
    hosts = sum(row["documents"] for row in rows if row["same_host"] is not None)
    if hosts:
        yield Figure(
            key="duplicates.other_host",
            label=Words(en="copies whose survivor is on another host", zh="保留者位于其他主机的重复"),
            value=sum(row["documents"] for row in rows if row["same_host"] is False) / hosts,
            unit="share",
            note=Words(
                en=f"Of {hosts:,} copies of which both hosts are known.",
                zh=f"就双方主机均已知的 {hosts:,} 篇重复而言。",
            ),
        )
    known = [row for row in rows if row["known"]]
    total = sum(row["documents"] for row in known)
    if total:
        yield Figure(
            key="duplicates.other_source",
            label=Words(en="copies whose survivor is of another source", zh="保留者属于其他来源的重复"),
            value=sum(row["documents"] for row in known if row["source"] != row["survivor_source"]) / total,
            unit="share",
            note=Words(
                en=f"Of {total:,} copies of which the survivor is known.",
                zh=f"就保留者已知的 {total:,} 篇重复而言。",
            ),
        )


def _of_times(rows: Rows, groups: Rows) -> Iterator[Figure]:
    trained = sum(row["trained"] for row in rows)
    if not trained:
        return
    seen = sum(row["seen"] for row in rows)
    worth = math.fsum(effective_tokens(row["seen"], row["trained"]) for row in rows if row["seen"])
    if groups and sum(group["tokens_seen"] for group in groups) == trained:  # no overlay: then it is as the run says
        worth = sum(group["effective_tokens"] for group in groups)
    yield Figure(
        key="duplicates.repeated",
        label=Words(en="tokens as trained that repeat earlier ones", zh="训练所见词元中重复出现的比例"),
        value=1 - seen / trained,
        unit="share",
        command=show_command("times_seen>=2"),
    )
    yield Figure(
        key="duplicates.effective",
        label=Words(en="new tokens that those as trained are worth", zh="训练所见词元折合的新词元"),
        value=round(worth),
        unit="tokens",
        command=show_command("trained>0", kept=True) if trained else None,
        note=Words(
            en=f"{trained:,} tokens are trained on, of which {seen:,} are different ones; repeats count for less "
            "(Muennighoff et al. 2023, arXiv 2305.16264).",
            zh=f"共训练 {trained:,} 个词元，其中不同的有 {seen:,} 个；重复的词元按递减价值折算"
            "（Muennighoff 等 2023，arXiv 2305.16264）。",
        ),
    )


def _column(key: str, en: str, zh: str, unit: str) -> Column:
    return Column(key=key, label=Words(en=en, zh=zh), unit=unit)  # type: ignore[arg-type]


_DOCUMENTS: Final = _column("documents", "documents", "文档", "documents")
_TOKENS: Final = _column("tokens", "tokens", "词元", "tokens")
_TRAINED: Final = _column("trained", "tokens as trained", "训练所见词元", "tokens")


def _steps(facts: Facts, copies: Rows) -> Table:
    """Returns what each step took out because it stood there twice: documents, and text within documents."""
    rows: list[tuple[Any, ...]] = []  # Any: cells
    commands: list[str | None] = []
    for stage in facts.run["stages"]:
        name, counts = str(stage["stage"]), stage["counts"]
        own = [row for row in copies if row["stage"] == name]
        for rule in sorted({row["rule"] or "" for row in own}):
            documents, sized, size = (
                sum(row[what] for row in own if (row["rule"] or "") == rule) for what in ("documents", "sized", "bytes")
            )
            share = documents / stage["documents_in"] if stage["documents_in"] else None
            rows.append((f"{name}: {harmless(rule, 60)}", documents, share, size if sized else None, None))
            commands.append(show_command(stage=name, rule=rule))
        cut = counts.get("units_removed_bytes", counts.get("removed_bytes"))
        if cut is not None and "documents_in" in stage:
            changed = counts.get(
                "documents_changed", sum(r["documents"] for r in stage["rules"] if r["action"] == "repair")
            )
            share = changed / stage["documents_in"] if stage["documents_in"] else None
            rows.append((f"{name}: within documents", changed, share, None, cut))
            rules = [rule["rule"] for rule in stage["rules"] if rule["action"] == "repair"]
            commands.append(show_command(noted=rules[0]) if len(rules) == 1 else None)
    return Table(
        key="duplicates.steps",
        label=Words(en="What left because it stood there twice", zh="因重复而去除的内容"),
        columns=(
            _column("step", "step and rule", "阶段与规则", "text"),
            _DOCUMENTS,
            _column("share", "of what came to the step", "占进入该阶段的文档", "share"),
            _column("bytes", "bytes of them", "其字节数", "bytes"),
            _column("cut", "bytes cut out of documents that stay", "从留存文档中删去的字节数", "bytes"),
        ),
        rows=tuple(rows),
        commands=tuple(commands),
    )


def _similarity(copies: Rows) -> Table:
    """Returns how similar those that left were to their survivors."""
    amounts: dict[int, int] = {}
    for row in copies:
        if row["percent"] is not None:
            amounts[row["percent"]] = amounts.get(row["percent"], 0) + row["documents"]
    unknown = sum(row["documents"] for row in copies if row["percent"] is None)
    rows, commands = [], []
    for percent in range(min(amounts), max(amounts) + 1) if amounts else ():
        rows.append((percent / 100, amounts.get(percent, 0)))
        bounds = [f"similarity>={percent / 100:g}"]
        bounds += [f"similarity<{(percent + 1) / 100:g}"] if percent < 100 else []
        commands.append(show_command(*bounds, action=COPY))
    return Table(
        key="duplicates.similarity",
        label=Words(en="Similarity of what left to its survivor", zh="被去除文档与保留者的相似度"),
        columns=(_column("similarity", "similarity from", "相似度下限", "number"), _DOCUMENTS),
        rows=tuple(rows),
        commands=tuple(commands),
        chart=Chart(kind="histogram", x="similarity", y=("documents",), log_y=True),
        note=Words(
            en=f"Jaccard similarity of shingle sets; not measured for {unknown:,}.",
            zh=f"shingle 集合的 Jaccard 相似度；另有 {unknown:,} 篇未作测量。",
        )
        if unknown
        else None,
    )


def _clusters(table: pa.Table) -> Table:
    """Returns what stayed by the size of its cluster: 1, 2, 3 to 4, 5 to 8, ...."""
    ones = weightings(table)
    sums: dict[int, list[int]] = {}
    for row in table.to_pylist():
        if row["cluster_size"] is not None:
            own = sums.setdefault(max(0, row["cluster_size"] - 1).bit_length(), [0] * (1 + len(ones)))
            own[0] += row["documents"] * row["cluster_size"]
            for place, one in enumerate(ones, 1):
                own[place] += row[one.key]
    rows, commands = [], []
    for power in range(max(sums) + 1) if sums else ():
        least, most = (1 << power - 1) + 1 if power else 1, 1 << power
        rows.append((least, most, *sums.get(power, [0] * (1 + len(ones)))))
        commands.append(show_command(f"cluster_size>={least}", f"cluster_size<={most}", kept=True))
    return Table(
        key="duplicates.clusters",
        label=Words(en="Kept documents by the size of their cluster", zh="保留文档按重复簇大小分布"),
        columns=(
            _column("least", "documents of the cluster, from", "簇内文档数下限", "documents"),
            _column("most", "to", "上限", "documents"),
            _column("stood", "documents that they stand for", "所代表的文档", "documents"),
            *map(amount_column, ones),
        ),
        rows=tuple(rows),
        commands=tuple(commands),
        chart=Chart(kind="histogram", x="least", y=("documents",), log_x=True, log_y=True),
    )


def _largest(table: pa.Table) -> Table:
    ones = weightings(table.append_column("documents", table.column("cluster_size")))[1:]
    rows = table.to_pylist()
    return Table(
        key="duplicates.top",
        label=Words(en="The largest clusters", zh="最大的重复簇"),
        columns=(
            _column("id", "survivor", "保留者", "text"),
            _column("size", "documents of the cluster", "簇内文档数", "documents"),
            _column("source", "source", "来源", "text"),
            _column("host", "host", "主机", "text"),
            _column("language", "language", "语种", "text"),
            *map(amount_column, ones),
            _column("url", "address", "网址", "text"),
        ),
        rows=tuple(
            (
                row["id"],
                row["cluster_size"],
                *(
                    harmless(row[name], 80) if row[name] is not None else None
                    for name in ("source", "host", "language")
                ),
                *(row[one.key] for one in ones),
                harmless(row["url"]) if row["url"] is not None else None,
            )
            for row in rows
        ),
        commands=tuple(show_command(other=row["id"]) for row in rows),
        note=Words(
            en="The command of a row lists what left as a copy of it.",
            zh="每行的命令列出作为其重复而被去除的文档。",
        ),
    )


def _across(rows: Rows) -> Table:
    """Returns copies by source and by that of their survivor."""
    sums: dict[tuple[str, str, bool], list[int]] = {}
    for row in rows:
        key = (row["source"] or "", row["survivor_source"] or "", row["known"])
        own = sums.setdefault(key, [0, 0])
        own[0] += row["documents"]
        own[1] += row["documents"] if row["same_host"] is False else 0
    order = sorted(sums.items(), key=lambda item: (-item[1][0], item[0]))
    unknown = any(not known for _, _, known in sums)
    return Table(
        key="duplicates.across",
        label=Words(en="Copies by source, and by that of their survivor", zh="重复文档与其保留者的来源"),
        columns=(
            _column("source", "source of the copy", "重复文档的来源", "text"),
            _column("survivor", "source of its survivor", "保留者的来源", "text"),
            _DOCUMENTS,
            _column("other_host", "of them with a survivor on another host", "其中保留者在其他主机的", "documents"),
        ),
        rows=tuple(
            (harmless(source, 80) or None, harmless(survivor, 80) if known else "?", *amounts)
            for (source, survivor, known), amounts in order
        ),
        commands=tuple(asked(of={"source": source or None, "action": COPY}, kept=False) for (source, _, _), _ in order),
        note=Words(
            en="Commands list all copies of the source."
            + (" ?: the survivor left at a later step, or is of an earlier corpus." if unknown else ""),
            zh="命令列出该来源的全部重复文档。"
            + ("“?”：保留者在后续阶段中被去除，或属于更早的语料。" if unknown else ""),
        ),
    )


def _residual_pairs(facts: Facts) -> Table | None:
    """Returns the most similar pairs that are left, as the step dedup put them out."""
    names = [path for path in storage.list_folder(storage.join(facts.folder, "signals")) if _RESIDUAL.search(path)]
    rows: list[dict[str, Any]] = []  # Any: Arrow's Python values
    for path in names:
        with storage.open_shard(path) as file:
            rows += pq.read_table(file, columns=_PAIR).to_pylist()
    if not rows:
        return None
    rows.sort(key=lambda row: (-row["similarity"], row["id"]))
    return Table(
        key="duplicates.left",
        label=Words(en="The most similar pairs of which both stay", zh="双方均被保留的最相似文档对"),
        columns=(
            _column("id", "document", "文档", "text"),
            _column("twin", "its twin", "相似文档", "text"),
            _column("similarity", "similarity", "相似度", "number"),
            _column("copies", "copies of it that stay", "仍留存的重复数", "documents"),
            _column("source", "source", "来源", "text"),
            _column("twin_source", "source of the twin", "相似文档的来源", "text"),
            _column("url", "address", "网址", "text"),
            _column("twin_url", "address of the twin", "相似文档的网址", "text"),
        ),
        rows=tuple(
            (
                row["id"].hex(),
                row["twin"].hex(),
                row["similarity"],
                row["copies"],
                *(harmless(row[name]) if row[name] is not None else None for name in _PAIR[4:]),
            )
            for row in rows[:TOP]
        ),
        commands=tuple(show_command(id=row["id"].hex()) for row in rows[:TOP]),
        of=len(rows),
        note=Words(
            en="Of the sampled documents; those below the threshold are no copies.",
            zh="仅限抽样文档；低于阈值者不算重复。",
        ),
    )


def _times(rows: Rows) -> Table:
    trained = sum(row["trained"] for row in rows)
    known = [row for row in rows if row["times_seen"] is not None]
    return Table(
        key="duplicates.times",
        label=Words(en="Documents of the train split by how often they are seen", zh="训练集文档按被看到的次数分布"),
        columns=(
            _column("times", "times seen", "看到次数", "number"),
            _DOCUMENTS,
            _TOKENS,
            _TRAINED,
            _column("share", "of tokens as trained", "占训练所见词元", "share"),
        ),
        rows=tuple(
            (
                row["times_seen"],
                row["documents"],
                row["tokens"],
                row["trained"],
                row["trained"] / trained if trained else None,
            )
            for row in known
        ),
        commands=tuple(show_command(split="train", times_seen=row["times_seen"]) for row in known),
        chart=Chart(kind="histogram", x="times", y=("documents", "trained")),
        note=Words(
            en="By the document's first token: samples of one document may be seen once more or less.",
            zh="以文档的首个词元为准：同一文档的各个样本可能多看或少看一次。",
        ),
    )
