"""What kind of text a corpus holds: languages, scripts and formats, and how they go together with each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import Counter, Facts, Scan, Wide, summed
from stages.audit.frame import KEPT
from stages.audit.groups import AMOUNTS, Groups, by, column
from stages.audit.model import Chart, Column, Figure, Section, Table, Words
from stages.audit.weights import (
    DOCUMENTS,
    Row,
    amount_column,
    asked,
    crossed,
    effective,
    score_table,
    share,
    share_column,
    share_figures,
    shares_table,
    shown,
    total,
    weightings,
    whole,
)

SURE: Final = ((512, "0.5", "50"), (666, "0.65", "65"))  # first step of `certainty`, limit, name; 0.65 is FineWeb's
SWITCHED: Final = 10  # % of a text in other languages than its first, from which on it counts as code-switched
LANGUAGE: Final = Words(en="language", zh="语种")
SCRIPT: Final = Words(en="script", zh="文字")
FORMAT: Final = Words(en="format", zh="体裁")
SOURCE: Final = Words(en="source", zh="来源")
AXES: Final = (
    ("language", LANGUAGE, Words(en="languages", zh="语种")),
    ("script", SCRIPT, Words(en="scripts", zh="文字")),
    ("format", FORMAT, Words(en="formats", zh="体裁")),
)


@dataclass(frozen=True)
class Composition:
    """Sums up the text of documents by the languages inside of them, in hundredths of documents, tokens and so on.

    A document counts for each language by the share of its characters that is in it (`language_shares`, two decimals).
    """

    name: str = "kinds_composition"

    @property
    def schema(self) -> pa.Schema:
        """Language and sums."""
        return pa.schema([pa.field("language", pa.string()), *(pa.field(name, pa.int64()) for name in AMOUNTS)])

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums by language."""
        if ledger is not None or "language_shares" not in frame.column_names:
            return self.schema.empty_table()
        parts = pc.split_pattern(frame.column("language_shares").combine_chunks().cast(pa.string()), " ")
        rows, told = pc.list_parent_indices(parts), pc.list_flatten(parts)
        found = pc.extract_regex(told, pattern=r"^(?P<language>[A-Za-z_]+):(?P<share>[01]\.[0-9]{2})$")
        share = pc.fill_null(pc.struct_field(found, "share").cast(pa.float64()), 0.0)
        hundredths = np.rint(np.asarray(share) * 100).astype(np.int64)
        sums = {name: pc.fill_null(column(frame, name).cast(pa.int64()), 0).take(rows) for name in AMOUNTS[1:]}
        made = {name: pc.multiply(values, hundredths) for name, values in sums.items()}
        table = pa.table({"language": pc.struct_field(found, "language"), "documents": hundredths, **made})
        return summed([table.filter(pc.is_valid(table.column("language")))], ["language"], self.schema)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, ["language"], self.schema)


COUNTERS: tuple[Counter | Wide | Scan, ...] = (
    Groups("kinds_tld", ("tld", "script")),
    Groups("kinds_certainty", ("language", "certainty")),
    Groups("kinds_switching", ("language", "others")),
    Composition(),
    Scan(
        Groups("kinds_han", ("language", "han_step"), amounts=("documents", "bytes")),
        "signals/part-",
        ("language", "bytes", "han_ratio", "han_latin_ratio"),
    ),
)


def sections(facts: Facts) -> Iterator[Section]:
    """Yields the section `kinds`."""
    cube = kept(facts)
    yield Section(
        key="kinds",
        title=Words(en="Languages, scripts and formats", zh="语种、文字与体裁"),
        intro=Words(
            en=(
                "What kind of text stayed, by the labels that the steps `language` and `format` gave. Each share is "
                "given by documents, by tokens, and by tokens as a training run sees them: after sampling weights and "
                "repeats. The effective number of groups (exp of the entropy) is how many groups of equal size would "
                "be as diverse."
            ),
            zh=(
                "留存文本的构成，依据 `language` 与 `format` 两个阶段所打的标签。每项占比均按三种口径给出：文档数、"
                "词元数、训练实际所见词元数（计入采样权重与重复）。有效类别数（熵的指数）表示："
                "要达到同样的多样性，需要多少个等量的类别。"
            ),
        ),
        figures=(*_axis_figures(cube), *_certainty_figures(facts), *_switching_figures(facts, cube)),
        tables=(
            *_axis_tables(cube),
            *_composition(facts),
            *_cross_tables(facts, cube),
            *_certainty_tables(facts),
            *_switching_table(facts),
            *_han_table(facts),
        ),
    )


def kept(facts: Facts) -> pa.Table:
    """Returns the rows of the cube of the documents that stayed."""
    cube = facts.tables["cube"]
    return cube.filter(pc.equal(cube.column("stage"), KEPT))


def labelled(table: pa.Table, name: str) -> bool:
    """Returns whether any document has a label of that name."""
    return bool(table.column(name).null_count < table.num_rows)


def _axis_figures(cube: pa.Table) -> Iterator[Figure]:
    for name, _, plural in AXES:
        if labelled(cube, name):
            table = by(cube, name)
            yield from effective(f"{name}s", plural, table, name, asked(f"{name}!=none"))
            yield from share_figures(name, table, name, partial(_ask, name))


def _ask(name: str, row: Row) -> str | None:
    return asked(of={name: row[name]})


def _axis_tables(cube: pa.Table) -> Iterator[Table]:
    titles = {
        "language": Words(en="Languages", zh="语种分布"),
        "script": Words(en="Scripts", zh="文字分布"),
        "format": Words(en="Formats", zh="体裁分布"),
    }
    notes = {
        "language": Words(
            en="`mixed`: no language has the share of a text that the step asks for; `und`: not known.",
            zh="`mixed`：没有任何一种语言达到该阶段要求的占比；`und`：无法判定。",
        ),
        "script": Words(
            en="Of most letters of a document. Hans and Hant are told by characters that only one of them has.",
            zh="取文档中多数字母所属的文字；简体（Hans）与繁体（Hant）依据仅见于其中一方的字来区分。",
        ),
        "format": Words(
            en="By rules over lines and characters, not by people: a label is what a text looks like.",
            zh="由针对行与字符的规则判定，未经人工核验：标签只说明文本看起来像什么。",
        ),
    }
    for name, head, _ in AXES:
        if labelled(cube, name):
            table = by(cube, name)
            yield shares_table(f"kinds.{name}s", titles[name], name, head, table, partial(_ask, name), note=notes[name])


def _composition(facts: Facts) -> Iterator[Table]:
    """Yields the languages inside of documents."""
    table = facts.tables["kinds_composition"]
    if not table.num_rows:
        return
    ones = weightings(table)
    sums = {one.key: total(table, one.key) for one in ones}
    rows = sorted(table.to_pylist(), key=lambda row: (-whole(row[ones[-1].key]), row["language"]))
    cells = tuple((row["language"], *(share(row[one.key], sums[one.key]) for one in ones)) for row in rows)
    yield Table(
        key="kinds.composition",
        label=Words(en="Languages inside of documents", zh="文档内部的语种构成"),
        columns=(Column(key="language", label=LANGUAGE, unit="text"), *(share_column(one) for one in ones)),
        rows=cells[:50],
        commands=tuple(asked(f"language_shares~{row['language']}:") for row in rows[:50]),
        of=len(cells) if len(cells) > 50 else None,
        chart=Chart(kind="bar", x="language", y=tuple(f"{one.key}_share" for one in ones)),
        note=Words(
            en=(
                "A document counts for each language by the share of its characters in it, so `mixed` documents are "
                "taken apart. `und` is text of no language: code, numbers, names."
            ),
            zh=(
                "每篇文档按其字符中各语种的占比分别计入，因此 `mixed` 文档被拆开计算。"
                "`und` 为不属于任何语言的文本：代码、数字、专名等。"
            ),
        ),
    )


def _cross_tables(facts: Facts, cube: pa.Table) -> Iterator[Table]:
    language, script, format_ = (labelled(cube, name) for name, _, _ in AXES)
    if language and format_:
        yield crossed(
            "kinds.language_format",
            Words(en="Formats of each language", zh="各语种的体裁构成"),
            by(cube, "language", "format"),
            ("language", LANGUAGE),
            ("format", FORMAT),
            note=Words(
                en="Where a language has no code, tables, dialogue or questions and answers, a model sees none in it.",
                zh="某语种若缺少代码、表格、对话或问答，模型就无从在该语种中学到它们。",
            ),
        )
    if language:
        yield crossed(
            "kinds.source_language",
            Words(en="Languages of each source", zh="各来源的语种构成"),
            by(cube, "source", "language"),
            ("source", SOURCE),
            ("language", LANGUAGE),
        )
    if script:
        yield crossed(
            "kinds.source_script",
            Words(en="Scripts of each source", zh="各来源的文字构成"),
            by(cube, "source", "script"),
            ("source", SOURCE),
            ("script", SCRIPT),
        )
        domains = facts.tables["kinds_tld"]
        domains = domains.filter(pc.is_valid(domains.column("tld")))
        if domains.num_rows:
            yield crossed(
                "kinds.tld_script",
                Words(en="Scripts of each top-level domain", zh="各顶级域的文字构成"),
                domains,
                ("tld", Words(en="top-level domain", zh="顶级域")),
                ("script", SCRIPT),
                note=Words(
                    en="Documents without an address, or with one of numbers, are not in it.",
                    zh="没有网址或网址为 IP 的文档不计入此表。",
                ),
            )


def _certainty_figures(facts: Facts) -> Iterator[Figure]:
    """Yields how much was labelled with little certainty."""
    table = facts.tables["kinds_certainty"]
    table = table.filter(pc.is_valid(table.column("certainty")))
    if not table.num_rows:
        return
    for step, limit, name in SURE:
        unsure = table.filter(pc.less(table.column("certainty"), step))
        for one in weightings(table):
            yield Figure(
                key=f"language.unsure{name}.{one.key}",
                label=Words(
                    en=f"language known with less than {limit}: share of {one.label.en}",
                    zh=f"语种识别置信度低于 {limit}：{one.label.zh}占比",
                ),
                value=share(total(unsure, one.key), total(table, one.key)),
                unit="share",
                command=asked(f"language_score<{limit}"),
            )


def _certainty_tables(facts: Facts) -> Iterator[Table]:
    table = facts.tables["kinds_certainty"]
    table = table.filter(pc.is_valid(table.column("certainty")))
    if not table.num_rows:
        return
    label = Words(en="How sure the language is", zh="语种识别的置信度")
    yield score_table("kinds.certainty", label, "language_score", "certainty", table)
    yield _unsure(table)


def _unsure(table: pa.Table) -> Table:
    """Returns how many documents of each language are little sure."""
    ones = by(table, "language").to_pylist()
    rows = sorted(ones, key=lambda row: (-whole(row["documents"]), str(row["language"])))
    unsure = []
    for step, _, _ in SURE:
        below = by(table.filter(pc.less(table.column("certainty"), step)), "language").to_pylist()
        unsure.append({row["language"]: whole(row["documents"]) for row in below})
    columns = [Column(key="language", label=LANGUAGE, unit="text"), amount_column(DOCUMENTS)]
    for _, limit, name in SURE:
        below = Words(en=f"below {limit}", zh=f"低于 {limit}")
        columns += [Column(key=f"below{name}", label=below, unit="documents")]
        part = Words(en=f"share below {limit}", zh=f"低于 {limit} 占比")
        columns += [Column(key=f"below{name}_share", label=part, unit="share")]
    cells = []
    for row in rows[:50]:
        amounts = [counts.get(row["language"], 0) for counts in unsure]
        pairs = [cell for amount in amounts for cell in (amount, share(amount, whole(row["documents"])))]
        cells.append((shown(row["language"]), whole(row["documents"]), *pairs))
    return Table(
        key="kinds.unsure",
        label=Words(en="Documents whose language is little sure", zh="语种识别置信度低的文档"),
        columns=tuple(columns),
        rows=tuple(cells),
        commands=tuple(asked(f"language_score<{SURE[-1][1]}", of={"language": row["language"]}) for row in rows[:50]),
        of=len(rows) if len(rows) > 50 else None,
    )


def _switched(facts: Facts) -> pa.Table:
    table = facts.tables["kinds_switching"]
    return table.filter(pc.is_valid(table.column("others")))


def _switching_figures(facts: Facts, cube: pa.Table) -> Iterator[Figure]:
    """Yields how much is mixed, and how much changes between languages."""
    table = _switched(facts)
    if table.num_rows:
        changing = table.filter(pc.greater_equal(table.column("others"), SWITCHED))
        for one in weightings(table):
            yield Figure(
                key=f"language.switched.{one.key}",
                label=Words(
                    en=f"text with {SWITCHED} % or more outside of its first language: share of {one.label.en}",
                    zh=f"首要语种之外的文字占 {SWITCHED}% 以上（语码混用）：{one.label.zh}占比",
                ),
                value=share(total(changing, one.key), total(table, one.key)),
                unit="share",
                command=asked(f"others>={SWITCHED}"),
                note=Words(
                    en="Code and names of no language count as outside of it too.",
                    zh="代码、专名等不属于任何语言的部分也计入其中。",
                ),
            )


def _switching_table(facts: Facts) -> Iterator[Table]:
    table = _switched(facts)
    if not table.num_rows:
        return
    ones = weightings(table)
    sums: dict[int, dict[str, int]] = {}
    for row in table.to_pylist():
        band = sums.setdefault(-(-whole(row["others"]) // 5), {})  # 0: none, 1: 1 to 5 %, 2: 6 to 10 %, …
        for one in ones:
            band[one.key] = band.get(one.key, 0) + whole(row[one.key])
    bands = [(0, 0), *((5 * band - 4, 5 * band) for band in range(1, max(sums) + 1))]
    yield Table(
        key="kinds.switching",
        label=Words(en="Text outside of a document's first language", zh="文档中首要语种之外的文字"),
        columns=(
            Column(key="outside", label=Words(en="% of the text", zh="占文本的百分比"), unit="text"),
            *(amount_column(one) for one in ones),
        ),
        rows=tuple(
            (f"{low}–{high}" if high else "0", *(sums.get(place, {}).get(one.key, 0) for one in ones))
            for place, (low, high) in enumerate(bands)
        ),
        commands=tuple(asked(f"others>={low}", f"others<={high}") for low, high in bands),
        chart=Chart(kind="histogram", x="outside", y=tuple(one.key for one in ones)),
    )


def _han_table(facts: Facts) -> Iterator[Table]:
    """Yields how Han and Latin letters are mixed in what came to the quality step."""
    table = facts.tables["kinds_han"]
    table = table.filter(pc.is_valid(table.column("han_step")))
    if table.num_rows:
        yield score_table(
            "kinds.han",
            Words(en="Han among Han and Latin letters", zh="汉字占汉字与拉丁字母之比"),
            "han_share",
            "han_step",
            table,
            Words(
                en="Of all that came to the first quality step, dropped documents too; not those with neither.",
                zh="涵盖到达首个质量阶段的全部文档（含被去除者）；两种字母皆无者不计入。",
            ),
            kept=None,
        )
