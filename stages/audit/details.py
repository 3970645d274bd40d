"""Personal details: how many the steps `pii` found, of which kind, and in which sources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow.compute as pc

from stages.audit.counter import Facts
from stages.audit.groups import by
from stages.audit.kinds import SOURCE, kept
from stages.audit.measures import wilson
from stages.audit.model import Column, Figure, Table, Words
from stages.audit.rates import WILSON, ran, rate, rate_columns, table_rows
from stages.audit.weights import (
    DOCUMENTS,
    amount_column,
    asked,
    ranked,
    share,
    shown,
    size_of,
    total,
    weightings,
    whole,
)

_KINDS: Final = {
    "email": Words(en="e-mail addresses", zh="电子邮箱"),
    "phone": Words(en="telephone numbers", zh="电话号码"),
    "identity": Words(en="Chinese identity numbers", zh="身份证号"),
    "card": Words(en="bank cards", zh="银行卡号"),
    "ip": Words(en="IP addresses", zh="IP 地址"),
}
_DONE: Final = {"masked": Words(en="masked", zh="遮蔽"), "dropped": Words(en="dropped", zh="剔除")}
_STATES: Final = {"stayed": Words(en="stayed", zh="留存"), "left": Words(en="left", zh="离开")}
_LEFT_IN: Final = frozenset(f"{kind}.keep" for kind in _KINDS)


def _details(facts: Facts, *keys: str) -> list[dict[str, object]]:
    """Returns what was found in documents that stayed."""
    table = facts.tables["risk_details"]
    rows: list[dict[str, object]] = by(table.filter(table.column("stayed")), *keys).to_pylist()
    return rows


def figures(facts: Facts) -> Iterator[Figure]:
    """Yields how many personal details were found, and in how many documents."""
    if not ran(facts, "pii"):
        return
    size = size_of(kept(facts))
    amount = total(kept(facts), size.key)
    found = {row["kind"]: whole(row["details"]) for row in _details(facts, "kind")}
    for kind, words in {"all": Words(en="personal details", zh="个人信息"), **_KINDS}.items():
        held = sum(found.values()) if kind == "all" else found.get(kind, 0)
        yield Figure(
            key=f"risk.pii.{kind}",
            label=Words(
                en=f"{words.en} found and masked, per million {size.label.en}",
                zh=f"每百万{size.label.zh}中发现并遮蔽的{words.zh}",
            ),
            value=1e6 * held / amount if amount else None,
            unit="number",
            command=(asked("pii>=1") if kind == "all" else asked(of={"noted": f"pii_{kind}"})) if held else None,
            note=_MASKED,
        )
    table = facts.tables["risk_flags"]
    held_by = table.filter(pc.fill_null(table.column("has_pii"), False))
    yield rate(
        "risk.pii.documents",
        Words(en="documents in which personal details were masked", zh="含被遮蔽个人信息的文档占比"),
        total(held_by, "documents"),
        total(table, "documents"),
        asked("pii>=1"),
    )
    left_in = sum(
        amount
        for stage in facts.run["stages"]
        for name, amount in stage.get("counts", {}).items()
        if name in _LEFT_IN and stage["stage"].split("-")[0] == "pii"
    )
    if left_in:
        yield Figure(
            key="risk.pii.left_in",
            label=Words(
                en="personal details that the config leaves in the text", zh="按配置保留在文本中的个人信息条数"
            ),
            value=left_in,
            unit="number",
            note=Words(en="In all that came to the step `pii`.", zh="涵盖到达 `pii` 阶段的全部文档。"),
        )
    for one in weightings(table)[1:]:
        label = Words(en=f"the same: share of {one.label.en}", zh=f"同上：{one.label.zh}占比")
        value = share(total(held_by, one.key), total(table, one.key))
        yield Figure(key=f"risk.pii.{one.key}", label=label, value=value, unit="share", command=asked("pii>=1"))


_MASKED: Final = Words(
    en="They are masks in the text now; what the rules do not know as such is still there.",
    zh="它们在文本中已被替换为占位符；规则未能识别的仍然存在。",
)


def tables(facts: Facts) -> Iterator[Table]:
    """Yields the tables by kind and by source."""
    yield from _kinds(facts)
    yield from _sources(facts)


def _kinds(facts: Facts) -> Iterator[Table]:
    table = facts.tables["risk_details"]
    if not table.num_rows:
        return
    size = size_of(kept(facts))
    amount = total(kept(facts), size.key)
    cells, commands = [], []
    for row in sorted(table_rows(table, "kind", "action", "stayed"), key=lambda row: -whole(row["details"])):
        stayed = bool(row["stayed"])
        rate = 1e6 * whole(row["details"]) / amount if stayed and amount else None
        state = "stayed" if stayed else "left"
        done = "masked" if row["action"] == "repair" else "dropped"
        cells.append((shown(row["kind"]), done, state, whole(row["documents"]), whole(row["details"]), rate))
        commands.append(asked(of={"noted": f"pii_{row['kind']}"}, kept=stayed))
    yield Table(
        key="risk.pii",
        label=Words(en="Personal details by kind", zh="个人信息，按类型"),
        columns=(
            Column(key="kind", label=Words(en="kind", zh="类型"), unit="text", words=_KINDS),
            Column(key="action", label=Words(en="what was done", zh="处理方式"), unit="text", words=_DONE),
            Column(key="state", label=Words(en="the document", zh="文档去留"), unit="text", words=_STATES),
            amount_column(DOCUMENTS),
            Column(key="details", label=Words(en="details", zh="条数"), unit="number"),
            Column(
                key="rate",
                label=Words(en=f"per million {size.label.en}", zh=f"每百万{size.label.zh}"),
                unit="number",
            ),
        ),
        rows=tuple(cells[:50]),
        commands=tuple(commands[:50]),
        of=len(cells) if len(cells) > 50 else None,
        note=_MASKED,
    )


def _sources(facts: Facts) -> Iterator[Table]:
    table = facts.tables["risk_flags"]
    if not ran(facts, "pii") or not table.num_rows:
        return
    found = {row["source"]: whole(row["details"]) for row in _details(facts, "source")}
    held = table_rows(table.filter(pc.fill_null(table.column("has_pii"), False)), "source")
    with_pii = {row["source"]: whole(row["documents"]) for row in held}
    size = size_of(table)
    rows = ranked(by(table, "source"), DOCUMENTS)
    cells = []
    for row in rows[:50]:
        documents = whole(row["documents"])
        rate = 1e6 * found.get(row["source"], 0) / whole(row[size.key]) if whole(row[size.key]) else None
        estimate = wilson(with_pii.get(row["source"], 0), documents)
        cells.append((shown(row["source"]), documents, with_pii.get(row["source"], 0), *estimate, rate))
    yield Table(
        key="risk.pii_sources",
        label=Words(en="Personal details by source", zh="个人信息，按来源"),
        columns=(
            Column(key="source", label=SOURCE, unit="text"),
            amount_column(DOCUMENTS),
            Column(key="held", label=Words(en="with details", zh="含个人信息"), unit="documents"),
            *rate_columns(),
            Column(
                key="details_rate",
                label=Words(en=f"details per million {size.label.en}", zh=f"每百万{size.label.zh}条数"),
                unit="number",
            ),
        ),
        rows=tuple(cells),
        commands=tuple(asked("pii>=1", of={"source": row["source"]}) for row in rows[:50]),
        of=len(rows) if len(rows) > 50 else None,
        note=WILSON,
    )
