"""Where documents are from: how many can be traced, under which licences they are, and what remaking them takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import Counter, Facts, Scan, Wide
from stages.audit.groups import OTHERS, Groups, Largest, by
from stages.audit.kinds import SOURCE
from stages.audit.model import Cell, Column, Figure, Section, Table, Words
from stages.audit.weights import (
    DOCUMENTS,
    Row,
    amount_column,
    asked,
    crossed,
    ranked,
    share,
    shares_table,
    shown,
    total,
    weightings,
    whole,
)

_STATEMENTS: Final = Groups("licences", ("source", "stated"))  # a record may say anything, so there may be very many
COUNTERS: tuple[Counter | Wide | Scan, ...] = (
    Groups("provenance", ("source", "has_licence", "has_url", "has_date", "has_file", "has_place")),
    Wide(_STATEMENTS, key="stated", after=(Largest("largest_licences", _STATEMENTS, "stated"),)),
)
_URL: Final = Words(en="address", zh="网址")
_DATE: Final = Words(en="time of the crawl", zh="抓取时间")
_LICENCE: Final = Words(en="licence", zh="许可证")
_FILE: Final = Words(en="file of the source", zh="来源文件")
_PLACE: Final = Words(en="place of its record in the file", zh="记录在文件中的位置")
_STATED: Final = Words(en="address, time and licence", zh="网址、时间与许可证三者")
_ALL: Final = Words(en="all four", zh="网址、时间、许可证与记录位置四者")
_UNKNOWN: Final = Words(en="`none` is not free: it is not known.", zh="“无”不等于可自由使用，而是不详。")
_MANY: Final = Words(
    en=f"{_UNKNOWN.en} `{OTHERS}` is all but the 1,000 that most documents have.",
    zh=f"{_UNKNOWN.zh}“{OTHERS}”指文档数最多的 1,000 种以外的全部许可证。",
)
_DIGEST: Final = re.compile("[0-9a-f]{64}")
# Key, what it is, the columns that must be there, and the condition of `show` for those that lack it.
_PARTS: Final = (
    ("url", _URL, ("has_url",), "url=none"),
    ("date", _DATE, ("has_date",), "month=none"),
    ("licence", _LICENCE, ("has_licence",), "licence=none"),
    ("file", _FILE, ("has_file",), "file=none"),
    ("place", _PLACE, ("has_place",), "has_place=false"),
    ("stated", _STATED, ("has_url", "has_date", "has_licence"), None),
    ("all", _ALL, ("has_url", "has_date", "has_licence", "has_place"), None),
)


def sections(facts: Facts) -> Iterator[Section]:
    """Yields the section `provenance`."""
    traced, licences = facts.tables["provenance"], facts.tables["largest_licences"]
    stated = licences.column("stated")
    named = pc.if_else(pc.equal(stated, ""), pa.scalar(None, pa.string()), stated)
    licences = licences.set_column(licences.schema.get_field_index("stated"), "licence", named)
    yield Section(
        key="provenance",
        title=Words(en="Provenance and licences", zh="来源可追溯性与许可证"),
        intro=Words(
            en=(
                "What can be traced: the address a document was fetched from, when, under which licence, and in which "
                "file its record lies at which place. A licence is what the source states; nobody checked it."
            ),
            zh=(
                "哪些可以追溯：文档取自哪个网址、何时抓取、依据何种许可证、其记录位于哪个文件的何处。"
                "许可证以来源自述为准，未经核实。"
            ),
        ),
        figures=(*_figures(traced), *_licence_figures(traced), *_remaking(facts)),
        tables=(*_sources(traced), *_licences(licences)),
    )


def _having(table: pa.Table, columns: tuple[str, ...]) -> pa.Table:
    """Returns the rows in which all of some columns are true."""
    for name in columns:
        table = table.filter(table.column(name))
    return table


def _figures(table: pa.Table) -> Iterator[Figure]:
    """Yields how many documents have each part of their provenance, in each weighting."""
    for key, words, columns, lacking in _PARTS:
        for one in weightings(table):
            yield Figure(
                key=f"provenance.{key}.{one.key}",
                label=Words(en=f"{words.en} known: share of {one.label.en}", zh=f"{words.zh}已知：{one.label.zh}占比"),
                value=share(total(_having(table, columns), one.key), total(table, one.key)),
                unit="share",
                command=asked(lacking) if lacking else None,
                note=Words(en="The command lists those that lack it.", zh="命令列出缺失者。") if lacking else None,
            )


def _sources(table: pa.Table) -> Iterator[Table]:
    """Yields how complete each source is."""
    rows = ranked(by(table, "source"), DOCUMENTS)
    if not rows:
        return
    having = {
        key: {row["source"]: whole(row["documents"]) for row in by(_having(table, columns), "source").to_pylist()}
        for key, _, columns, _ in _PARTS
    }
    cells: list[tuple[Cell, ...]] = [
        (
            shown(row["source"]),
            whole(row["documents"]),
            *(share(having[key].get(row["source"], 0), whole(row["documents"])) for key, *_ in _PARTS),
        )
        for row in rows[:50]
    ]
    yield Table(
        key="provenance.sources",
        label=Words(en="What can be traced, by source", zh="可追溯程度，按来源"),
        columns=(
            Column(key="source", label=SOURCE, unit="text"),
            amount_column(DOCUMENTS),
            *(Column(key=key, label=words, unit="share") for key, words, _, _ in _PARTS),
        ),
        rows=tuple(cells),
        commands=tuple(_lacking(row, having) for row in rows[:50]),
        of=len(rows) if len(rows) > 50 else None,
        note=Words(
            en=(
                "Shares of documents. The command lists those of the source that lack what it lacks most. In a file "
                "that is compressed as a whole no record has a place of its own: its file is known, and its id."
            ),
            zh=(
                "按文档计。命令列出该来源中缺失最多一项的文档。整体压缩的文件中，记录没有各自的位置：只知其文件与 id。"
            ),
        ),
    )


def _lacking(row: Row, having: dict[str, dict[object, int]]) -> str | None:
    """Returns the command of the documents of a source that lack what most of them lack."""
    held = [(having[key].get(row["source"], 0), lacking) for key, _, _, lacking in _PARTS if lacking]
    least, lacking = min(held, key=lambda one: one[0])
    return asked(*([lacking] if least < whole(row["documents"]) else []), of={"source": row["source"]})


def _licence_figures(table: pa.Table) -> Iterator[Figure]:
    unknown = table.filter(pc.invert(table.column("has_licence")))
    for one in weightings(table):
        yield Figure(
            key=f"licences.unknown.{one.key}",
            label=Words(en=f"no licence stated: share of {one.label.en}", zh=f"许可证不明：{one.label.zh}占比"),
            value=share(total(unknown, one.key), total(table, one.key)),
            unit="share",
            command=asked(of={"licence": None}),
        )


def _licences(table: pa.Table) -> Iterator[Table]:
    if not table.num_rows:
        return
    yield shares_table(
        "provenance.licences",
        Words(en="Licences", zh="许可证"),
        "licence",
        _LICENCE,
        by(table, "licence"),
        lambda row: asked(of={"licence": row["licence"]}),
        note=_MANY if OTHERS in table.column("licence").to_pylist() else _UNKNOWN,
    )
    yield crossed(
        "provenance.source_licences",
        Words(en="Licences of each source", zh="各来源的许可证"),
        table,
        ("source", SOURCE),
        ("licence", _LICENCE),
    )


def _remaking(facts: Facts) -> Iterator[Figure]:
    """Yields what a third party needs to make the same corpus of the same files."""
    tokenizer, packing = facts.manifest.get("tokenizer", {}), facts.manifest.get("packing", {})
    mix = facts.manifest.get("mix", {})
    for key, label, value in (
        (
            "config",
            Words(en="digest of the config (SHA-256)", zh="配置摘要（SHA-256）"),
            facts.run.get("config_sha256"),
        ),
        ("code", Words(en="version of datapipe", zh="datapipe 版本"), facts.run.get("code_version")),
        ("tokenizer", Words(en="tokenizer", zh="分词器"), tokenizer.get("name")),
        ("tokenizer_sha256", Words(en="its file (SHA-256)", zh="分词器文件（SHA-256）"), tokenizer.get("sha256")),
        ("vocabulary", Words(en="its vocabulary", zh="词表大小"), tokenizer.get("vocabulary_size")),
        ("packing", Words(en="packing", zh="打包方式"), packing.get("by")),
        ("seq_len", Words(en="tokens of a sample", zh="样本长度（词元）"), packing.get("seq_len")),
        ("seed", Words(en="seed of the mix", zh="混合种子"), mix.get("seed")),
        ("order", Words(en="digest of the order", zh="训练顺序摘要"), facts.manifest.get("order_sha256")),
        ("root", Words(en="Merkle root of the tokens", zh="词元 Merkle 根"), facts.manifest.get("merkle_root")),
        ("sample", Words(en="part of the sources that was read", zh="所读来源的比例"), facts.run.get("sample")),
    ):
        if value is not None:
            number = isinstance(value, int | float)
            told = value if number or _DIGEST.fullmatch(value) else shown(value)
            yield Figure(key=f"remaking.{key}", label=label, value=told, unit="number" if number else "text")
