"""Benchmarks of which the corpus holds items, as the step `decontaminate` found them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stages.audit.counter import Facts
from stages.audit.kinds import kept
from stages.audit.measures import wilson
from stages.audit.model import Column, Figure, Table, Words
from stages.audit.rates import ran, rate, rate_columns, table_rows
from stages.audit.weights import (
    DOCUMENTS,
    amount_column,
    asked,
    is_name,
    shown,
    total,
    weightings,
    whole,
)


def _hit_items(facts: Facts) -> dict[object, list[dict[str, object]]]:
    items: dict[object, list[dict[str, object]]] = {}
    for row in facts.tables["risk_items"].to_pylist():
        items.setdefault(row["benchmark"], []).append(row)
    return items


def figures(facts: Facts) -> Iterator[Figure]:
    """Yields how many documents hold items of each benchmark, and of how many items."""
    if not ran(facts, "decontaminate"):
        return
    table = facts.tables["risk_benchmarks"]
    held, items = {row["benchmark"]: row for row in table_rows(table, "benchmark")}, _hit_items(facts)
    amount = total(kept(facts), "documents")
    names = sorted({str(name) for name in (*held, *items)})[:50]
    keys = {name: re.sub("[.-]", "_", name) for name in names}
    for name in names:
        if not is_name(keys[name]) or list(keys.values()).count(keys[name]) > 1:
            continue
        documents = whole(held[name]["documents"]) if name in held else 0
        label = Words(en=f"{name}: documents that hold items of it", zh=f"{name}：留存文档中含其题目的占比")
        yield rate(f"risk.contamination.{keys[name]}", label, documents, amount, asked(of={"contamination": name}))
        yield Figure(
            key=f"risk.contamination.{keys[name]}.items",
            label=Words(en=f"{name}: items found", zh=f"{name}：命中的题目数"),
            value=len(items.get(name, ())),
            unit="number",
            command=asked(of={"contamination": name}),
        )


def tables(facts: Facts) -> Iterator[Table]:
    """Yields the benchmarks, and the items that are held most fully."""
    yield from _benchmarks(facts)
    yield from _items(facts)


def _benchmarks(facts: Facts) -> Iterator[Table]:
    if not ran(facts, "decontaminate"):
        return
    table = facts.tables["risk_benchmarks"]
    held, items = {row["benchmark"]: row for row in table_rows(table, "benchmark")}, _hit_items(facts)
    amount = total(kept(facts), "documents")
    ones = weightings(kept(facts))[1:]
    names = sorted({*held, *items}, key=str)
    cells = []
    for name in names[:50]:
        documents = whole(held[name]["documents"]) if name in held else 0
        own = items.get(name, [])
        half = sum(1 for row in own if whole(row["half"]))
        sums = [whole(held[name][one.key]) if name in held else 0 for one in ones]
        cells.append((shown(name), len(own), half, documents, *wilson(documents, amount), *sums))
    yield Table(
        key="risk.contamination",
        label=Words(en="Benchmarks", zh="评测集污染"),
        columns=(
            Column(key="benchmark", label=Words(en="benchmark", zh="评测集"), unit="text"),
            Column(key="items", label=Words(en="items found", zh="命中题目"), unit="number"),
            Column(key="half", label=Words(en="half of them or more", zh="其中命中过半者"), unit="number"),
            amount_column(DOCUMENTS),
            *rate_columns(),
            *(amount_column(one) for one in ones),
        ),
        rows=tuple(cells),
        commands=tuple(asked(of={"contamination": name}) for name in names[:50]),
        of=len(names) if len(names) > 50 else None,
        note=Words(
            en=(
                "An item is found where a document shares an n-gram with it; `half`: one document holds half of its "
                "n-grams or more. Items are of all documents that the step saw, documents and sizes of those that "
                "stayed. A benchmark of which nothing was found has no row."
            ),
            zh=(
                "文档与某题共有一个 n 元组即为命中；“过半”指某一文档含有该题半数以上的 n 元组。"
                "题目数涵盖该阶段见到的全部文档，文档数与规模只计留存者。没有命中的评测集不列出。"
            ),
        ),
    )


def _items(facts: Facts) -> Iterator[Table]:
    """Yields the items that are held most fully."""
    rows = facts.tables["risk_items"].to_pylist()
    if not rows:
        return
    rows.sort(key=lambda row: (-row["share"], -whole(row["documents"]), row["benchmark"], row["item"]))
    yield Table(
        key="risk.items",
        label=Words(en="Items that are held most fully", zh="命中最完整的题目"),
        columns=(
            Column(key="item", label=Words(en="item", zh="题目"), unit="text"),
            Column(key="benchmark", label=Words(en="benchmark", zh="评测集"), unit="text"),
            Column(
                key="share",
                label=Words(en="share of its n-grams in one document", zh="单篇文档含有的 n 元组占比"),
                unit="share",
            ),
            amount_column(DOCUMENTS),
        ),
        rows=tuple((shown(row["item"]), shown(row["benchmark"]), row["share"], row["documents"]) for row in rows[:20]),
        commands=tuple(asked(of={"contamination": row["benchmark"]}) for row in rows[:20]),
        of=len(rows) if len(rows) > 20 else None,
    )
