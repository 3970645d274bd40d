"""The tail: how much is in hosts and clusters of few documents, and how much is from the web at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import Counter, Facts, Wide, summed
from stages.audit.frame import KEPT
from stages.audit.groups import column
from stages.audit.hosts import HOST, SOURCE, weighed
from stages.audit.measures import bins_of
from stages.audit.model import Cell, Chart, Column, Figure, Section, Table, Words
from stages.audit.names import sizes_of
from stages.audit.weights import asked, share_column, shown

FEW: Final = (2, 5, 10, 100, 1000)  # documents, below which a host or a cluster is of the tail; each begins a bin
TOLD: Final = {"hosts": (10, 100), "clusters": (2,)}  # of these, as figures
KINDS: Final = ("archive", "address", "none")
ARCHIVE: Final = ".warc"  # in the names of files that hold a crawl


@dataclass(frozen=True)
class Origins:
    """Sums of what stayed by source and by how it was got: from an archive of a crawl, with an address, without."""

    name: str = "tail_origins"

    @property
    def schema(self) -> pa.Schema:
        """Source, kind (of KINDS), and sums."""
        sums = ("documents", "size", "trained")
        return pa.schema(
            [pa.field(name, pa.string()) for name in ("source", "kind")] + [pa.field(name, pa.int64()) for name in sums]
        )

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums of the documents that stayed."""
        frame = frame.filter(pc.equal(frame.column("stage"), KEPT))
        archive = pc.fill_null(pc.match_substring(frame.column("file"), ARCHIVE), False)
        addressed = pc.if_else(pc.is_valid(frame.column("host")), KINDS[1], KINDS[2])
        keys = {"source": frame.column("source"), "kind": pc.if_else(archive, KINDS[0], addressed)}
        return summed([pa.table({**keys, **_sums(frame)})], tuple(keys), self.schema)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, ("source", "kind"), self.schema)


@dataclass(frozen=True)
class ClusterSizes:
    """Sums of what stayed by the bin (`bins_of`) of the size of its duplicate cluster; null where it has none."""

    name: str = "tail_clusters"

    @property
    def schema(self) -> pa.Schema:
        """Bin and sums."""
        return pa.schema([pa.field(name, pa.int64()) for name in ("bin", "documents", "size", "trained")])

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums of the documents that stayed."""
        frame = frame.filter(pc.equal(frame.column("stage"), KEPT))
        sizes = np.asarray(pc.fill_null(frame.column("cluster_size").cast(pa.int64()), -1))
        bins = pa.array(bins_of(np.maximum(sizes, 0)), mask=sizes < 0)
        return summed([pa.table({"bin": bins, **_sums(frame)})], ("bin",), self.schema)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, ("bin",), self.schema)


def _sums(frame: pa.Table) -> dict[str, object]:
    sizes, trained = (pc.fill_null(one.cast(pa.int64()), 0) for one in (sizes_of(frame), column(frame, "trained")))
    return {"documents": np.ones(frame.num_rows, np.int64), "size": sizes, "trained": trained}


COUNTERS: tuple[Counter | Wide, ...] = (Origins(), ClusterSizes())


def sections(facts: Facts) -> Iterator[Section]:
    """Yields the section `tail`."""
    there = [tail for tail in (_of_hosts(facts), _of_clusters(facts)) if tail.whole.get("documents")]
    yield Section(
        key="tail",
        title=Words(en="The long tail, and the share of the web", zh="长尾与网页占比"),
        intro=Words(
            en=(
                "How much text is from hosts of few documents, which a model meets once or twice and may learn by "
                "heart; how much of it had copies; how much is from crawls of the web, and how much from collections."
            ),
            zh=(
                "有多少文本来自只有少数文档的主机（模型只见过一两次，容易死记硬背）；"
                "有多少文本曾有重复；又有多少来自网页抓取，多少来自整理好的语料集。"
            ),
        ),
        figures=(*(figure for tail in there for figure in _figures(facts, tail)), *_web_figures(facts)),
        tables=(*(_table(facts, tail) for tail in there), *_web_tables(facts)),
    )


@dataclass(frozen=True)
class Tail:
    """Sums below each size of FEW, and the whole; `key`, `ask` and the labels say of what."""

    key: str
    label: Words
    many: Words
    ask: str  # the name by which documents are asked for
    below: dict[int, dict[str, int]]
    whole: dict[str, int]


def _of_hosts(facts: Facts) -> Tail:
    sizes = facts.tables["name_sizes"]
    mine = pc.and_(pc.equal(sizes.column("axis"), HOST.axis), pc.equal(sizes.column("weight"), "documents"))
    label = Words(en="Text of hosts of few documents", zh="文档数少的主机")
    return _tail("hosts", label, HOST.many, "host_kept", sizes.filter(mine))


def _of_clusters(facts: Facts) -> Tail:
    label = Words(en="Text of duplicate clusters of few documents", zh="规模小的重复簇")
    sizes = facts.tables["tail_clusters"].filter(pc.is_valid(facts.tables["tail_clusters"].column("bin")))
    return _tail("clusters", label, Words(en="duplicate clusters", zh="重复簇"), "cluster_size", sizes)


def _tail(key: str, label: Words, many: Words, ask: str, sizes: pa.Table) -> Tail:
    bins = np.asarray(sizes.column("bin"))
    sums = {name: np.asarray(sizes.column(name)) for name in ("documents", "size", "trained")}
    sums["names"] = np.asarray(sizes.column("names" if "names" in sizes.column_names else "documents"))
    borders = {few: int(bins_of(np.array([few]))[0]) for few in FEW}
    below = {
        few: {name: int(values[bins < border].sum()) for name, values in sums.items()}
        for few, border in borders.items()
    }
    return Tail(key, label, many, ask, below, {name: int(values.sum()) for name, values in sums.items()})


def _figures(facts: Facts, tail: Tail) -> Iterator[Figure]:
    for few in TOLD[tail.key]:
        for name, weight in weighed(facts):
            yield Figure(
                key=f"tail.{tail.key}{few}.{weight.key}",
                label=_below(few, tail.many, weight.label),
                value=tail.below[few][name] / tail.whole[name] if tail.whole[name] else None,
                unit="share",
                command=asked(f"{tail.ask}<{few}"),
            )


def _below(few: int, many: Words, weight: Words) -> Words:
    if few == 2:
        return Words(en=f"share of {weight.en} that had no copy", zh=f"没有重复的{weight.zh}占比")
    return Words(
        en=f"share of {weight.en} in {many.en} of fewer than {few} documents",
        zh=f"文档数少于 {few} 的{many.zh}所占{weight.zh}份额",
    )


def _table(facts: Facts, tail: Tail) -> Table:
    weights = weighed(facts)
    rows: list[tuple[Cell, ...]] = []
    for few in FEW:
        below = tail.below[few]
        shares = [below[name] / tail.whole[name] if tail.whole[name] else None for name, _ in weights]
        rows.append((f"< {few:,}", below["names"], *(below[name] for name, _ in weights), *shares))
    return Table(
        key=f"tail.{tail.key}",
        label=tail.label,
        columns=(
            Column(key="documents_of_one", label=Words(en="documents of one", zh="每个的文档数"), unit="text"),
            Column(key="number", label=tail.many, unit="number"),
            *(Column(key=weight.key, label=weight.label, unit=weight.unit) for _, weight in weights),
            *(share_column(weight) for _, weight in weights),
        ),
        rows=tuple(rows),
        commands=tuple(asked(f"{tail.ask}<{few}") for few in FEW),
        chart=Chart(kind="bar", x="documents_of_one", y=tuple(f"{weight.key}_share" for _, weight in weights)),
        note=_NOTES.get(tail.key),
    )


_NOTES: Final = {
    "hosts": Words(en="By documents of a host that stayed.", zh="按主机的留存文档数计。"),
    "clusters": Words(
        en="A cluster has one document left; its size is that before. Size 1 is a document without copies.",
        zh="每个重复簇只留存一篇文档，规模为去重之前的规模；规模为 1 即没有重复。",
    ),
}


# The web


_KIND: Final = {
    "archive": Words(en="crawls of the web (WARC)", zh="网页抓取存档（WARC）"),
    "address": Words(en="collections with addresses", zh="带网址的语料集"),
    "none": Words(en="collections without addresses", zh="不带网址的语料集"),
}


def _web_figures(facts: Facts) -> Iterator[Figure]:
    rows = facts.tables["tail_origins"].to_pylist()
    for kind, label in _KIND.items():
        for name, weight in weighed(facts):
            whole = sum(row[name] for row in rows)
            yield Figure(
                key=f"tail.{kind}.{weight.key}",
                label=Words(
                    en=f"share of {weight.label.en} from {label.en}", zh=f"来自{label.zh}的{weight.label.zh}占比"
                ),
                value=sum(row[name] for row in rows if row["kind"] == kind) / whole if whole else None,
                unit="share",
                command=asked(*_WHERE[kind]),
            )


_OTHER: Final = f"file!=*{ARCHIVE}*"
_WHERE: Final = {"archive": (f"file~{ARCHIVE}",), "address": ("host!=none", _OTHER), "none": ("host=none", _OTHER)}


def _web_tables(facts: Facts) -> Iterator[Table]:
    """Yields how much each source gives, and how it was got."""
    rows = sorted(
        facts.tables["tail_origins"].to_pylist(), key=lambda row: (-row["size"], str(row["source"]), row["kind"])
    )
    weights = weighed(facts)
    wholes = {name: sum(row[name] for row in rows) for name, _ in weights}
    yield Table(
        key="tail.origins",
        label=Words(en="Web and collections, by source", zh="各来源：网页与语料集"),
        columns=(
            Column(key="source", label=SOURCE.one, unit="text"),
            Column(key="kind", label=Words(en="got from", zh="获取方式"), unit="text", words=_KIND),
            *(Column(key=weight.key, label=weight.label, unit=weight.unit) for _, weight in weights),
            *(share_column(weight) for _, weight in weights),
        ),
        rows=tuple(
            (
                shown(row["source"]),
                row["kind"],
                *(row[name] for name, _ in weights),
                *(row[name] / wholes[name] if wholes[name] else None for name, _ in weights),
            )
            for row in rows
        ),
        commands=tuple(asked(*_WHERE[row["kind"]], of={"source": row["source"]}) for row in rows),
        note=Words(
            en="What was read from WARC files is a crawl; what was crawled but came as a table is not told apart.",
            zh="读自 WARC 文件的视为网页抓取；以表格形式提供的抓取数据无法与语料集区分。",
        ),
    )
