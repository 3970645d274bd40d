"""What could do harm: personal details, adult pages and spam, items of benchmarks, pages that ask not to be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import Counter, Facts, Scan, Wide
from stages.audit.findings import (
    DENSITIES,
    LEVELS,
    Benchmarks,
    Charsets,
    Densities,
    Details,
    Items,
    Labels,
    Unsafe,
    rules,
)
from stages.audit.frame import KEPT
from stages.audit.groups import SCORES, Groups, by
from stages.audit.kinds import SOURCE
from stages.audit.measures import wilson
from stages.audit.model import Cell, Column, Figure, Section, Table, Words
from stages.audit.weights import (
    DOCUMENTS,
    amount_column,
    asked,
    is_name,
    ranked,
    score_table,
    share,
    shares_table,
    shown,
    size_of,
    total,
    weightings,
    whole,
)

MOST_UNSAFE: Final = 0.05  # of a source; TC260-003, 5.1
COUNTERS: tuple[Counter | Wide | Scan, ...] = (
    Details(),
    Groups("risk_flags", ("source", "has_pii", "no_ai", "noindex")),
    Unsafe(),
    Densities(),
    Benchmarks(),
    Scan(Items(), "signals/contamination-", ("benchmark", "item", "share")),
    Labels(),
    Scan(
        Charsets(),
        "signals/charsets-",
        ("charset_declared", "charset", "charset_by", "documents", "replaced", "suspects"),
    ),
)
_KINDS: Final = {
    "email": Words(en="e-mail addresses", zh="电子邮箱"),
    "phone": Words(en="telephone numbers", zh="电话号码"),
    "identity": Words(en="Chinese identity numbers", zh="身份证号"),
    "card": Words(en="bank cards", zh="银行卡号"),
    "ip": Words(en="IP addresses", zh="IP 地址"),
}
_TOPICS: Final = {
    "adult": Words(en="adult pages", zh="色情"),
    "spam": Words(en="spam", zh="垃圾广告"),
    "insult": Words(en="insults", zh="辱骂"),
}
_WILSON: Final = Words(
    en="Counted exactly; the interval (Wilson, 95 %) is of what the documents are drawn from.",
    zh="为精确计数；区间（Wilson，95%）针对这些文档所抽自的总体。",
)


def sections(facts: Facts) -> Iterator[Section]:
    """Yields the section `risk`."""
    yield Section(
        key="risk",
        title=Words(en="Risks", zh="风险"),
        intro=Words(
            en=(
                "What the steps of the run found, by rules and models and not by people: each can miss something and "
                "can be wrong. A rate of 0 says that nothing was found, not that nothing is there."
            ),
            zh=(
                "各步骤所发现的内容，均由规则与模型判定，未经人工核验：可能漏报，也可能误报。"
                "比例为 0 只表示没有发现，不代表不存在。"
            ),
        ),
        figures=(
            *_pii_figures(facts),
            *_unsafe_figures(facts),
            *_benchmark_figures(facts),
            *_label_figures(facts),
            *_asked_figures(facts),
            *_charset_figures(facts),
        ),
        tables=(
            *_pii(facts),
            *_pii_sources(facts),
            *_unsafe(facts),
            *_densities(facts),
            *_benchmarks(facts),
            *_items(facts),
            *_labels(facts),
            *_asked(facts),
            *_charsets(facts),
        ),
    )


def _ran(facts: Facts, step: str) -> bool:
    """Returns whether the run has a step of that name."""
    return any(stage["stage"].split("-")[0] == step for stage in facts.run["stages"])


def _kept(facts: Facts) -> pa.Table:
    cube = facts.tables["cube"]
    return cube.filter(pc.equal(cube.column("stage"), KEPT))


# Personal details


def _details(facts: Facts, *keys: str) -> list[dict[str, object]]:
    """Returns what was found in documents that stayed."""
    table = facts.tables["risk_details"]
    rows: list[dict[str, object]] = by(table.filter(table.column("stayed")), *keys).to_pylist()
    return rows


def _pii_figures(facts: Facts) -> Iterator[Figure]:
    if not _ran(facts, "pii"):
        return
    size = size_of(_kept(facts))
    amount = total(_kept(facts), size.key)
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
    yield _rate(
        "risk.pii.documents",
        Words(en="documents in which personal details were masked", zh="含被遮蔽个人信息的文档占比"),
        total(held_by, "documents"),
        total(table, "documents"),
        asked("pii>=1"),
    )
    for one in weightings(table)[1:]:
        label = Words(en=f"the same: share of {one.label.en}", zh=f"同上：{one.label.zh}占比")
        value = share(total(held_by, one.key), total(table, one.key))
        yield Figure(key=f"risk.pii.{one.key}", label=label, value=value, unit="share", command=asked("pii>=1"))


_MASKED: Final = Words(
    en="They are masks in the text now; what the rules do not know as such is still there.",
    zh="它们在文本中已被替换为占位符；规则未能识别的仍然存在。",
)


def _rate(key: str, label: Words, found: int, amount: int, command: str | None, note: Words | None = None) -> Figure:
    """Returns a share of documents with its interval."""
    estimate = wilson(found, amount)
    return Figure(
        key=key,
        label=label,
        value=estimate.value if amount else None,
        unit="share",
        low=estimate.low if amount else None,
        high=estimate.high if amount else None,
        command=command,
        note=note or _WILSON,
    )


def _pii(facts: Facts) -> Iterator[Table]:
    table = facts.tables["risk_details"]
    if not table.num_rows:
        return
    size = size_of(_kept(facts))
    amount = total(_kept(facts), size.key)
    cells, commands = [], []
    for row in sorted(table_rows(table, "kind", "action", "stayed"), key=lambda row: -whole(row["details"])):
        stayed = bool(row["stayed"])
        rate = 1e6 * whole(row["details"]) / amount if stayed and amount else None
        state = "stayed" if stayed else "left"
        cells.append(
            (shown(row["kind"]), shown(row["action"]), state, whole(row["documents"]), whole(row["details"]), rate)
        )
        commands.append(asked(of={"noted": f"pii_{row['kind']}"}, kept=stayed))
    yield Table(
        key="risk.pii",
        label=Words(en="Personal details by kind", zh="个人信息，按类型"),
        columns=(
            Column(key="kind", label=Words(en="kind", zh="类型"), unit="text"),
            Column(key="action", label=Words(en="what was done", zh="处理方式"), unit="text"),
            Column(key="state", label=Words(en="the document", zh="文档去留"), unit="text"),
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


def table_rows(table: pa.Table, *keys: str) -> list[dict[str, object]]:
    """Returns the rows of a table summed up by fewer keys."""
    rows: list[dict[str, object]] = by(table, *keys).to_pylist()
    return rows


def _pii_sources(facts: Facts) -> Iterator[Table]:
    table = facts.tables["risk_flags"]
    if not _ran(facts, "pii") or not table.num_rows:
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
            *_rate_columns(),
            Column(
                key="details_rate",
                label=Words(en=f"details per million {size.label.en}", zh=f"每百万{size.label.zh}条数"),
                unit="number",
            ),
        ),
        rows=tuple(cells),
        commands=tuple(asked("pii>=1", of={"source": row["source"]}) for row in rows[:50]),
        of=len(rows) if len(rows) > 50 else None,
        note=_WILSON,
    )


def _rate_columns() -> tuple[Column, ...]:
    return (
        Column(key="rate", label=Words(en="share", zh="占比"), unit="share"),
        Column(key="rate_low", label=Words(en="at least", zh="下界"), unit="share"),
        Column(key="rate_high", label=Words(en="at most", zh="上界"), unit="share"),
    )


# Adult pages, spam, insults


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


def _unsafe_figures(facts: Facts) -> Iterator[Figure]:
    if not _ran(facts, "safety"):
        return
    judged, sums = _looked_at(facts)
    rows = facts.tables["risk_unsafe"].to_pylist()
    for topic in ("adult", "spam"):
        words = _TOPICS[topic]
        for left in (True, False):
            found = sum(whole(row["documents"]) for row in rows if row["topic"] == topic and row["left"] == left)
            if left and not judged:
                continue
            yield _rate(
                f"risk.{topic}.{'left' if left else 'stayed'}",
                Words(
                    en=f"{words.en} by the limits of the table `safety`, {'taken out' if left else 'still there'}",
                    zh=f"按 `safety` 规则表判为{words.zh}、{'已去除' if left else '仍留存'}的文档占比",
                ),
                found,
                sum(sums.values()) if left else total(_kept(facts), "documents"),
                _unsafe_command(topic, left=left) if found else None,
            )


def _unsafe_command(topic: str, *, left: bool) -> str | None:
    """Returns the command of the documents beyond the first rule of a topic; those of short pages have one more."""
    first = rules(topic)[0]
    if left:
        return asked(of={"noted": first.id}, kept=False)
    return asked(f"{topic}_density>{first.max:g}", f"{topic}_terms>={first.when[0].min:g}")


def _unsafe(facts: Facts) -> Iterator[Table]:
    """Yields the table of the 5 % rule."""
    if not _ran(facts, "safety"):
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
            *_rate_columns(),
            Column(key="stayed", label=Words(en="of these, still there", zh="其中仍留存"), unit="documents"),
            Column(key="state", label=Words(en="against 5 %", zh="与 5% 相比"), unit="text"),
        ),
        rows=tuple(cells),
        commands=tuple(asked(of={"source": source}, kept=None if judged else True) for source in sources[:50]),
        of=len(sources) if len(sources) > 50 else None,
        note=Words(
            en=(
                "TC260-003 asks not to use a source of which more than 5 % is illegal or unhealthy. Counted here are "
                "adult pages and spam alone, by rules over terms and not by people: a sign of where to look first, "
                "not the assessment. `open`: the interval reaches over 5 %."
            ),
            zh=(
                "TC260-003 要求：违法不良信息超过 5% 的来源不得使用。此处仅统计色情与垃圾广告，且由词表规则判定、"
                "未经人工：只提示应先看哪里，不能代替评估。`open` 表示区间上界超过 5%。"
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
            cells.append((_TOPICS[topic].en, limit, above, *wilson(above, amount)))
            commands.append(asked(f"{topic}_density>{limit:g}"))
    if cells:
        yield Table(
            key="risk.densities",
            label=Words(en="How dense such words are in what stayed", zh="留存文本中此类词语的密度"),
            columns=(
                Column(key="topic", label=Words(en="words", zh="词语类别"), unit="text"),
                Column(
                    key="above",
                    label=Words(en="weighted hits a 1,000 characters, above", zh="每千字加权命中数（大于）"),
                    unit="number",
                ),
                amount_column(DOCUMENTS),
                *_rate_columns(),
            ),
            rows=tuple(cells),
            commands=tuple(commands),
            note=Words(
                en="A hit is a word, no judgement: statutes, medicine and novels have them too.",
                zh="命中只是出现了某个词，并非定性：法条、医学与小说中同样会出现。",
            ),
        )


# Benchmarks


def _hit_items(facts: Facts) -> dict[object, list[dict[str, object]]]:
    items: dict[object, list[dict[str, object]]] = {}
    for row in facts.tables["risk_items"].to_pylist():
        items.setdefault(row["benchmark"], []).append(row)
    return items


def _benchmark_figures(facts: Facts) -> Iterator[Figure]:
    if not _ran(facts, "decontaminate"):
        return
    table = facts.tables["risk_benchmarks"]
    held, items = {row["benchmark"]: row for row in table_rows(table, "benchmark")}, _hit_items(facts)
    amount = total(_kept(facts), "documents")
    for name in sorted({*held, *items}, key=str)[:50]:
        if not is_name(name):
            continue
        documents = whole(held[name]["documents"]) if name in held else 0
        label = Words(en=f"{name}: documents that hold items of it", zh=f"{name}：留存文档中含其题目的占比")
        yield _rate(f"risk.contamination.{name}", label, documents, amount, asked(of={"contamination": name}))
        yield Figure(
            key=f"risk.contamination.{name}.items",
            label=Words(en=f"{name}: items found", zh=f"{name}：命中的题目数"),
            value=len(items.get(name, ())),
            unit="number",
            command=asked(of={"contamination": name}),
        )


def _benchmarks(facts: Facts) -> Iterator[Table]:
    if not _ran(facts, "decontaminate"):
        return
    table = facts.tables["risk_benchmarks"]
    held, items = {row["benchmark"]: row for row in table_rows(table, "benchmark")}, _hit_items(facts)
    amount = total(_kept(facts), "documents")
    ones = weightings(_kept(facts))[1:]
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
            *_rate_columns(),
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
                "题目数涵盖该步骤见到的全部文档，文档数与规模只计留存者。没有命中的评测集不列出。"
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


# Labels of classifiers


def _classified(facts: Facts) -> Iterator[tuple[str, pa.Table]]:
    """Yields the columns of classifiers that the corpus carries, those of labels and those of scores."""
    table = facts.tables["risk_labels"]
    for name in sorted(set(table.column("column").to_pylist())):
        own = table.filter(pc.equal(table.column("column"), name))
        if not pc.any(pc.equal(own.column("step"), -1)).as_py():
            yield name, own


_ERRS: Final = Words(
    en=(
        "By a classifier, so off by its errors: the true share is (rate + specificity - 1) / (sensitivity + "
        "specificity - 1), both from its card on texts like these (Rogan and Gladen 1978). The interval (Wilson, "
        "95 %) is of counting alone."
    ),
    zh=(
        "由分类器判定，含其误差：真实占比为（比例 + 特异度 - 1）/（灵敏度 + 特异度 - 1），两者取自其在同类文本上的评测"
        "（Rogan 与 Gladen，1978）。区间（Wilson，95%）只反映计数误差。"
    ),
)


def _label_figures(facts: Facts) -> Iterator[Figure]:
    for name, own in _classified(facts):
        if not is_name(name):
            continue
        amount = total(own, "documents")
        for label in sorted({one for one in own.column("label").to_pylist() if is_name(one)})[:20]:
            found = total(own.filter(pc.equal(own.column("label"), label)), "documents")
            words = Words(en=f"{name} = {label}", zh=f"{name} = {label}")
            yield _rate(f"risk.label.{name}.{label}", words, found, amount, asked(of={name: label}), _ERRS)
        if own.column("step").null_count == 0:
            found = total(own.filter(pc.greater_equal(own.column("step"), SCORES // 2)), "documents")
            words = Words(en=f"{name}: score of 0.5 or more", zh=f"{name}：得分不低于 0.5")
            yield _rate(f"risk.score.{name}.above50", words, found, amount, asked(f"{name}>=0.5"), _ERRS)


def _labels(facts: Facts) -> Iterator[Table]:
    for number, (name, own) in enumerate(_classified(facts)):
        title = Words(en=f"Classifier `{shown(name)}`", zh=f"分类器 `{shown(name)}`")
        key = f"risk.labels_{name}" if is_name(name) else f"risk.labels_{number}"
        if own.column("step").null_count == 0:
            yield score_table(key, title, name, "step", own, _ERRS)
            continue

        def ask(row: Mapping[str, object], name: str = name) -> str | None:
            return asked(of={name: row["label"]})

        head = Words(en="label", zh="标签")
        yield shares_table(key, title, "label", head, by(own, "label"), ask, note=_ERRS)


# What pages ask for


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
        yield _rate(f"risk.{name}", words, total(asking, "documents"), amount, asked(command))
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


# Charsets


def _charset_figures(facts: Facts) -> Iterator[Figure]:
    table = facts.tables["risk_charsets"]
    if not table.num_rows:
        return
    declared = [row for row in table.to_pylist() if row["charset_declared"] is not None]
    wrong = sum(whole(row["documents"]) for row in declared if _differs(row))
    yield _rate(
        "risk.charset.wrong",
        Words(en="pages whose stated charset is not the one they were read with", zh="声明字符集与实际所用不符的网页"),
        wrong,
        sum(whole(row["documents"]) for row in declared),
        None,
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


def _differs(row: Mapping[str, object]) -> bool:
    stated, used = (str(row[name] or "").lower().replace("_", "-") for name in ("charset_declared", "charset"))
    return stated != used and {stated, used} not in _SAME


# Charsets that one decoder reads: the WHATWG Encoding Standard maps the one to the other.
_SAME: Final[Sequence[set[str]]] = (
    {"gb2312", "gbk"},
    {"gb2312", "gb18030"},
    {"gbk", "gb18030"},
    {"utf8", "utf-8"},
    {"us-ascii", "utf-8"},
    {"ascii", "utf-8"},
    {"iso-8859-1", "windows-1252"},
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
