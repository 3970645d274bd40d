"""What pages state: that they are not to be used, and which charset they are in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow.compute as pc

from stages.audit.counter import Facts
from stages.audit.groups import by
from stages.audit.kinds import SOURCE
from stages.audit.model import Cell, Column, Figure, Table, Words
from stages.audit.rates import rate, table_rows
from stages.audit.weights import (
    DOCUMENTS,
    amount_column,
    asked,
    ranked,
    shown,
    total,
    whole,
)


def figures(facts: Facts) -> Iterator[Figure]:
    """Yields how many pages ask not to be used, and how many state a wrong charset."""
    yield from _asked_figures(facts)
    yield from _charset_figures(facts)


def tables(facts: Facts) -> Iterator[Table]:
    """Yields what pages ask for by source, and their charsets."""
    yield from _asked(facts)
    yield from _charsets(facts)


def _asked_figures(facts: Facts) -> Iterator[Figure]:
    table = facts.tables["risk_flags"]
    known = table.filter(pc.is_valid(table.column("no_ai")))
    if not known.num_rows:
        return
    amount = total(known, "documents")
    for name, label, command in (
        ("no_ai", Words(en="pages that ask not to be trained on", zh="声明不得用于训练的网页"), "no_ai=true"),
        ("noindex", Words(en="pages that ask not to be indexed", zh="声明不得索引的网页"), "robots~noindex"),
    ):
        asking = known.filter(pc.fill_null(known.column(name), False))
        words = Words(en=f"{label.en}, still there", zh=f"{label.zh}（仍留存）占比")
        yield rate(f"risk.{name}", words, total(asking, "documents"), amount, asked(command))
    refused = [
        rule
        for stage in facts.run["stages"]
        for rule in stage["rules"]
        if rule["rule"] == "robots" and rule["action"] == "drop"
    ]
    yield Figure(
        key="risk.robots.left",
        label=Words(en="pages refused for what they ask", zh="因网页声明而去除的网页数"),
        value=sum(rule["documents"] for rule in refused),
        unit="documents",
        command=asked(of={"noted": "robots"}, kept=False) if refused else None,
        note=Words(
            en="Asked for in the page or its HTTP fields; what a site says in robots.txt is the crawler's to keep to.",
            zh="依据网页或其 HTTP 字段中的声明；站点 robots.txt 须由爬虫遵守，此处无从得知。",
        ),
    )


def _asked(facts: Facts) -> Iterator[Table]:
    table = facts.tables["risk_flags"]
    known = table.filter(pc.is_valid(table.column("no_ai")))
    if not known.num_rows:
        return
    asking = {
        name: {
            row["source"]: whole(row["documents"])
            for row in table_rows(known.filter(pc.fill_null(known.column(name), False)), "source")
        }
        for name in ("no_ai", "noindex")
    }
    rows = ranked(by(known, "source"), DOCUMENTS)
    yield Table(
        key="risk.asked",
        label=Words(en="What the pages that stayed ask for", zh="留存网页的使用声明"),
        columns=(
            Column(key="source", label=SOURCE, unit="text"),
            Column(key="documents", label=Words(en="pages", zh="网页"), unit="documents"),
            Column(key="no_ai", label=Words(en="not to be trained on", zh="不得用于训练"), unit="documents"),
            Column(key="noindex", label=Words(en="not to be indexed", zh="不得索引"), unit="documents"),
        ),
        rows=tuple(
            (
                shown(row["source"]),
                whole(row["documents"]),
                *(asking[name].get(row["source"], 0) for name in ("no_ai", "noindex")),
            )
            for row in rows[:50]
        ),
        commands=tuple(asked("no_ai=true", of={"source": row["source"]}) for row in rows[:50]),
        of=len(rows) if len(rows) > 50 else None,
        note=Words(
            en="Of documents that came as pages; those that came as text could not ask.",
            zh="仅含以网页形式进入的文档；以文本形式进入的没有此类声明。",
        ),
    )


def _charset_figures(facts: Facts) -> Iterator[Figure]:
    table = facts.tables["risk_charsets"]
    if not table.num_rows:
        return
    declared = [row for row in table.to_pylist() if row["charset_declared"] is not None]
    wrong = sum(whole(row["documents"]) for row in declared if row["charset_declared"] != row["charset"])
    yield rate(
        "risk.charset.wrong",
        Words(en="pages whose stated charset is not the one they were read with", zh="声明字符集与实际所用不符的网页"),
        wrong,
        sum(whole(row["documents"]) for row in declared),
        None,
        Words(
            en="Of pages that state one. ASCII alone is read as UTF-8 whatever the page states, and counts here too.",
            zh="以作出声明的网页为分母。纯 ASCII 网页一律按 UTF-8 读取，也计入其中。",
        ),
    )
    for key, name, label in (
        ("replaced", "replaced", Words(en="characters that could not be read", zh="无法解码的字符数")),
        ("suspects", "suspects", Words(en="documents with a sign of mojibake", zh="疑似乱码的文档数")),
    ):
        yield Figure(
            key=f"risk.charset.{key}",
            label=label,
            value=total(table, name),
            unit="characters" if name == "replaced" else "documents",
            note=Words(
                en="Of all that `ingest` read, before anything was repaired or left.",
                zh="涵盖 `ingest` 读入的全部文档，早于任何修复与去除。",
            ),
        )


def _charsets(facts: Facts) -> Iterator[Table]:
    rows = facts.tables["risk_charsets"].to_pylist()
    if not rows:
        return
    rows.sort(key=lambda row: (-whole(row["documents"]), *(str(row[name] or "") for name in _CHARSET)))
    cells: list[tuple[Cell, ...]] = [
        (
            *(shown(row[name]) for name in _CHARSET),
            *(whole(row[name]) for name in ("documents", "replaced", "suspects")),
        )
        for row in rows[:50]
    ]
    yield Table(
        key="risk.charsets",
        label=Words(en="Stated and used charsets", zh="声明与实际使用的字符集"),
        columns=(
            Column(key="charset_declared", label=Words(en="stated", zh="声明"), unit="text"),
            Column(key="charset", label=Words(en="read with", zh="实际使用"), unit="text"),
            Column(key="charset_by", label=Words(en="decided by", zh="判定依据"), unit="text"),
            amount_column(DOCUMENTS),
            Column(key="replaced", label=Words(en="unreadable characters", zh="无法解码字符"), unit="characters"),
            Column(key="suspects", label=Words(en="with a sign of mojibake", zh="疑似乱码"), unit="documents"),
        ),
        rows=tuple(cells),
        commands=tuple(asked(of={name: row[name] for name in _CHARSET}) for row in rows[:50]),
        of=len(rows) if len(rows) > 50 else None,
        note=Words(
            en="Counted when read; the commands list those that stayed.", zh="读入时计数；命令只列出留存的文档。"
        ),
    )


_CHARSET: Final = ("charset_declared", "charset", "charset_by")
