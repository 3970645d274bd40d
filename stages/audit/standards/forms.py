"""Tables that several sheets hold: of the sources, of the steps, of domains by size of content."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil
from typing import Final

import pyarrow.compute as pc

from stages.audit.model import Cell, Column, Table, Unit, Words
from stages.audit.standards.known import Known

SHOWN: Final = 50  # domains in a sheet; all stand in domains.csv
KINDS: Final = {
    "public_dataset": Words(en="public dataset", zh="公开数据集（开源语料）"),
    "licensed": Words(en="licensed", zh="商业授权语料"),
    "private": Words(en="other private data", zh="其他非公开语料"),
    "crawled": Words(en="crawled by the provider", zh="自采语料（自行爬取）"),
    "own": Words(en="made by the provider", zh="自有语料"),
    "user": Words(en="data of users", zh="使用者输入"),
    "synthetic": Words(en="synthetic", zh="合成语料"),
    "other": Words(en="other", zh="其他"),
    "open": Words(en="[OPEN]", zh="［待填］"),
}
ORIGINS: Final = {
    "domestic": Words(en="domestic", zh="境内"),
    "foreign": Words(en="foreign", zh="境外"),
    "mixed": Words(en="both", zh="境内外兼有"),
    "open": Words(en="[OPEN]", zh="［待填］"),
}


def column(key: str, en: str, zh: str, unit: Unit = "text", words: dict[str, Words] | None = None) -> Column:
    """Returns a column."""
    return Column(key=key, label=Words(en=en, zh=zh), unit=unit, words=words)


def sources(known: Known, key: str, kinds: Sequence[str] | None = None) -> Table:
    """Returns the sources that were kept anything of, those of some kinds alone where they are given."""
    rows: list[tuple[Cell, ...]] = []
    for name in known.counted.names:
        said, own = known.about.sources.get(name), known.counted.of(name)
        kind = said.kind if said and said.kind else "open"
        if kinds is not None and kind not in kinds:
            continue
        licences = [licence for licence, _ in known.counted.licences(name) if licence]
        if said and said.licence and not licences:
            licences = [said.licence]
        rows.append(
            (
                name,
                kind,
                said.origin if said and said.origin else "open",
                own["documents"],
                own["bytes"],
                own["tokens"] if known.tokenized else None,
                _day(own["first"]),
                _day(own["last"]),
                ", ".join(licences) or None,
                said.agreement if said and said.agreement else "open",
                said.title if said and said.title else "open",
                str(said.url) if said and said.url else "open",
            )
        )
    unsaid = {"open": KINDS["open"]}
    return Table(
        key=key,
        label=Words(en="sources", zh="语料来源清单"),
        columns=(
            column("source", "source", "来源"),
            column("kind", "kind", "类别", words=KINDS),
            column("origin", "from", "境内／境外", words=ORIGINS),
            column("documents", "documents", "文档数", "documents"),
            column("bytes", "text", "文本规模", "bytes"),
            column("tokens", "tokens", "词元数", "tokens"),
            column("first", "crawled from", "采集起"),
            column("last", "to", "采集止"),
            column("licence", "licence", "许可证"),
            column("agreement", "contract or consent", "合同或授权", words=unsaid),
            column("title", "title", "名称", words=unsaid),
            column("url", "address", "地址", words=unsaid),
        ),
        rows=tuple(rows),
        note=Words(
            en="Of documents that stayed. A licence that is not stated is not free: it is not known.",
            zh="按留存文档统计。许可证一栏为“无”或“–”表示未注明，并不代表可自由使用。",
        ),
    )


def _day(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def steps(known: Known, key: str) -> Table:
    """Returns the steps of the run, what each dropped, and the rules that did."""
    rows: list[tuple[Cell, ...]] = []
    for stage in known.stages():
        if not (stage["documents_in"] or stage["documents_out"]):
            continue
        rules = ", ".join(
            f"{rule['rule']} {rule['documents']:,}"
            for rule in stage["rules"]
            if rule["action"] in ("drop", "duplicate_of")
        )
        rows.append((stage["stage"], stage["documents_in"], stage["dropped"], stage["documents_out"], rules or None))
    return Table(
        key=key,
        label=Words(en="steps", zh="处理阶段"),
        columns=(
            column("stage", "step", "阶段"),
            column("came", "documents in", "进入文档", "documents"),
            column("dropped", "taken out", "去除", "documents"),
            column("stayed", "documents out", "留存文档", "documents"),
            column("rules", "by rule", "各规则去除数"),
        ),
        rows=tuple(rows),
    )


def crawled(known: Known) -> list[str]:
    """Returns the sources whose domains are told: those crawled, and those of which nobody said what they are."""
    kinds = {name: said.kind for name, said in known.about.sources.items()}
    return [name for name in known.counted.names if kinds.get(name) in (None, "crawled")]


def cut(domains: int, small: bool) -> int:
    """Returns how many of so many domain names are to be listed: 10 %, of an SME 5 % or 1,000, whichever is less.

    >>> cut(2, False), cut(25, False), cut(10**6, True), cut(0, True)
    (1, 3, 1000, 0)
    """
    return min(1000, ceil(domains / 20)) if small else ceil(domains / 10)


def domains(known: Known, key: str) -> tuple[Table, int]:
    """Returns the registrable domains that are to be listed, largest content first, and how many there are in all."""
    ranked = known.counted.ranked(crawled(known))
    listed = cut(len(ranked), bool(known.about.eu.small_provider))
    total = pc.sum(ranked.column("bytes")).as_py() or 1
    rows: list[tuple[Cell, ...]] = []
    reached = 0
    for row in ranked.slice(0, min(listed, SHOWN)).to_pylist():
        reached += row["bytes"]
        rows.append(
            (
                row["domain"],
                row["documents"],
                row["bytes"],
                row["tokens"] if known.tokenized else None,
                row["bytes"] / total,
                reached / total,
            )
        )
    table = Table(
        key=key,
        label=Words(en="largest domain names by size of content", zh="按内容规模排列的主要域名"),
        columns=(
            column("domain", "registrable domain", "注册域名"),
            column("documents", "documents", "文档数", "documents"),
            column("bytes", "text", "文本规模", "bytes"),
            column("tokens", "tokens", "词元数", "tokens"),
            column("share", "share of text", "文本占比", "share"),
            column("reached", "up to here", "累计占比", "share"),
        ),
        rows=tuple(rows),
        of=listed,
        note=Words(
            en=f"{listed:,} of {len(ranked):,} domain names; all of them, ranked, stand in domains.csv.",
            zh=f"共 {len(ranked):,} 个域名，此处列出 {listed:,} 个；全部按规模排列于 domains.csv。",
        ),
    )
    return table, len(ranked)
