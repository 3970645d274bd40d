"""Adult pages, spam and insults, by the terms that the step `safety` counts: what was taken out and what stayed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from stages.audit.counter import Facts
from stages.audit.findings import (
    DENSITIES,
    LEVELS,
    rules,
)
from stages.audit.frame import KEPT
from stages.audit.kinds import SOURCE, kept
from stages.audit.measures import wilson
from stages.audit.model import Column, Figure, Table, Words
from stages.audit.rates import ran, rate, rate_columns
from stages.audit.weights import (
    DOCUMENTS,
    amount_column,
    asked,
    shown,
    total,
    whole,
)

MOST_UNSAFE: Final = 0.05  # of a source; TC260-003, 5.1
_TOPICS: Final = {
    "adult": Words(en="adult pages", zh="色情"),
    "spam": Words(en="spam", zh="垃圾广告"),
    "insult": Words(en="insults", zh="辱骂"),
}
_STATES: Final = {
    "above": Words(en="above", zh="超过"),
    "open": Words(en="open", zh="未定"),
    "below": Words(en="below", zh="低于"),
}


def _looked_at(facts: Facts) -> tuple[bool, dict[object, int]]:
    """Returns whether a quality step judged by the table `safety`, and the documents of each source it looked at.

    Where none did, these are the documents that stayed: of others, no columns are known.
    """
    names = [stage["stage"] for stage in facts.run["stages"]]
    judged = [
        stage["stage"]
        for stage in facts.run["stages"]
        if any(name.startswith(("evaluated.adult_", "evaluated.spam_")) for name in stage.get("counts", {}))
    ]
    later = {KEPT, *(names[names.index(judged[0]) :] if judged else ())}
    sums: dict[object, int] = {}
    for row in facts.tables["cube"].to_pylist():
        if row["stage"] in later and row["action"] != "split":
            sums[row["source"]] = sums.get(row["source"], 0) + whole(row["documents"])
    return bool(judged), sums


def figures(facts: Facts) -> Iterator[Figure]:
    """Yields how many documents are beyond the limits of the table `safety`, taken out or still there."""
    if not ran(facts, "safety"):
        return
    judged, sums = _looked_at(facts)
    rows = facts.tables["risk_unsafe"].to_pylist()
    for topic in ("adult", "spam"):
        words = _TOPICS[topic]
        for left in (True, False):
            found = sum(whole(row["documents"]) for row in rows if row["topic"] == topic and row["left"] == left)
            if left and not judged:
                continue
            yield rate(
                f"risk.{topic}.{'left' if left else 'stayed'}",
                Words(
                    en=f"{words.en} by the limits of the table `safety`, {'taken out' if left else 'still there'}",
                    zh=f"按 `safety` 规则表判为{words.zh}、{'已去除' if left else '仍留存'}的文档占比",
                ),
                found,
                sum(sums.values()) if left else total(kept(facts), "documents"),
                _unsafe_command(topic, left=left) if found else None,
            )


def _unsafe_command(topic: str, *, left: bool) -> str | None:
    """Returns the command of the documents beyond the first rule of a topic; those of short pages have one more."""
    first = rules(topic)[0]
    if left:
        return asked(of={"noted": first.id}, kept=False)
    return asked(f"{topic}_density>{first.max:g}", f"{topic}_terms>={first.when[0].min:g}")


def tables(facts: Facts) -> Iterator[Table]:
    """Yields the sources against the 5 % rule, and how dense such words are."""
    yield from _sources(facts)
    yield from _densities(facts)


def _sources(facts: Facts) -> Iterator[Table]:
    """Yields the table of the 5 % rule."""
    if not ran(facts, "safety"):
        return
    judged, came = _looked_at(facts)
    found: dict[object, dict[tuple[str, bool], int]] = {}
    for row in facts.tables["risk_unsafe"].to_pylist():
        found.setdefault(row["source"], {})[row["topic"], row["left"]] = whole(row["documents"])
    sources = sorted(came, key=lambda one: (-_unsafe_rate(found.get(one, {}), came[one]), str(one or "")))
    cells = []
    for source in sources[:50]:
        own = found.get(source, {})
        bad = own.get(("any", True), 0) + own.get(("any", False), 0)
        estimate = wilson(bad, came[source])
        state = "above" if estimate.value > MOST_UNSAFE else "open" if estimate.high > MOST_UNSAFE else "below"
        topics = [own.get((topic, True), 0) + own.get((topic, False), 0) for topic in ("adult", "spam")]
        cells.append((shown(source), came[source], *topics, *estimate, own.get(("any", False), 0), state))
    yield Table(
        key="risk.unsafe_sources",
        label=Words(en="Sources against the 5 % rule", zh="来源的 5% 规则核查"),
        columns=(
            Column(key="source", label=SOURCE, unit="text"),
            Column(key="came", label=Words(en="looked at", zh="受检文档"), unit="documents"),
            Column(key="adult", label=_TOPICS["adult"], unit="documents"),
            Column(key="spam", label=_TOPICS["spam"], unit="documents"),
            *rate_columns(),
            Column(key="stayed", label=Words(en="of these, still there", zh="其中仍留存"), unit="documents"),
            Column(key="state", label=Words(en="against 5 %", zh="与 5% 相比"), unit="text", words=_STATES),
        ),
        rows=tuple(cells),
        commands=tuple(asked(of={"source": source}, kept=None if judged else True) for source in sources[:50]),
        of=len(sources) if len(sources) > 50 else None,
        note=Words(
            en=(
                "TC260-003 asks not to use a source of which more than 5 % is illegal or unhealthy. Counted here are "
                "adult pages and spam alone, by rules over terms and not by people: a sign of where to look first, "
                "not the assessment. Open: the interval reaches over 5 %."
            ),
            zh=(
                "TC260-003 要求：违法不良信息超过 5% 的来源不得使用。此处仅统计色情与垃圾广告，且由词表规则判定、"
                "未经人工：只提示应先看哪里，不能代替评估。“未定”表示区间上界超过 5%。"
            ),
        ),
    )


def _unsafe_rate(own: Mapping[tuple[str, bool], int], came: int) -> float:
    return (own.get(("any", True), 0) + own.get(("any", False), 0)) / came if came else 0.0


def _densities(facts: Facts) -> Iterator[Table]:
    rows = facts.tables["risk_densities"].to_pylist()
    cells, commands = [], []
    for topic in DENSITIES:
        own = [row for row in rows if row[topic] is not None]
        amount = sum(whole(row["documents"]) for row in own)
        for level, limit in enumerate(LEVELS) if amount else ():
            above = sum(whole(row["documents"]) for row in own if row[topic] >= level)
            cells.append((topic, limit, above, *wilson(above, amount)))
            commands.append(asked(f"{topic}_density>{limit:g}"))
    if cells:
        yield Table(
            key="risk.densities",
            label=Words(en="How dense such words are in what stayed", zh="留存文本中此类词语的密度"),
            columns=(
                Column(key="topic", label=Words(en="words", zh="词语类别"), unit="text", words=_TOPICS),
                Column(
                    key="above",
                    label=Words(en="weighted hits a 1,000 characters, above", zh="每千字加权命中数（大于）"),
                    unit="number",
                ),
                amount_column(DOCUMENTS),
                *rate_columns(),
            ),
            rows=tuple(cells),
            commands=tuple(commands),
            note=Words(
                en="A hit is a word, no judgement: statutes, medicine and novels have them too.",
                zh="命中只是出现了某个词，并非定性：法条、医学与小说中同样会出现。",
            ),
        )
