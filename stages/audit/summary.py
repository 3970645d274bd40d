"""The report in short: an auditor's five questions, each with a number and with sentences that name their figures.

All that is said here is said in the sections too; a key in square brackets is the place where. What a run does not
know is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from stages.audit.counter import Facts
from stages.audit.model import Cell, Figure, Section, Table, Unit, Words

SHOWN: Final = 3  # groups that a sentence names
MOVED: Final = 0.01  # by which a share must differ for the difference to be told


@dataclass(frozen=True)
class Held:
    """What the sections say, by key."""

    figures: dict[str, Figure]
    tables: dict[str, Table]

    def number(self, key: str) -> float | None:
        """Returns the value of a figure, None where there is none or it is unknown."""
        figure = self.figures.get(key)
        return figure.value if figure is not None and isinstance(figure.value, int | float) else None

    def rows(self, key: str) -> list[dict[str, Cell]]:
        """Returns the rows of a table by column; none where there is no such table."""
        table = self.tables.get(key)
        if table is None:
            return []
        names = [column.key for column in table.columns]
        return [dict(zip(names, row, strict=True)) for row in table.rows]


Answer = Callable[[Held, Facts], Iterator[Words]]


def summary(sections: Sequence[Section], facts: Facts) -> Section:
    """Returns the section `summary` of the other sections."""
    held = Held(
        {figure.key: figure for section in sections for figure in section.figures},
        {table.key: table for section in sections for table in section.tables},
    )
    return Section(
        key="summary",
        title=Words(en="Summary", zh="摘要"),
        intro=Words(
            en="Five questions on this corpus. Counts are exact; what was looked at in a sample says how many "
            "documents that were, and its 95 % interval. Each figure names the command that lists its documents.",
            zh="关于本语料的五个问题。计数均为精确值；抽样得到的数值注明样本量与 95% 置信区间。"
            "每个数值都附有列出其对应文档的命令。",
        ),
        figures=tuple(_figure(held, facts, *question) for question in QUESTIONS),
    )


def _figure(
    held: Held,
    facts: Facts,
    key: str,
    label: Words,
    headline: Callable[[Held], float | None],
    unit: Unit,
    answer: Answer,
) -> Figure:
    said = list(answer(held, facts))
    note = Words(en=" ".join(one.en for one in said), zh="".join(one.zh for one in said)) if said else None
    return Figure(key=f"summary.{key}", label=label, value=headline(held), unit=unit, note=note)


# Numbers in sentences


def count(value: float | None) -> str:
    """Returns a number of things.

    >>> count(1234567.0)
    '1,234,567'
    """
    return "?" if value is None else f"{round(value):,}"


def percent(value: float | None) -> str:
    """Returns a share with three significant digits, as the page has it.

    >>> percent(0.12345), percent(0.5), percent(0.00012), percent(1)
    ('12.3%', '50%', '0.012%', '100%')
    """
    return "?" if value is None else f"{float(f'{100 * value:.3g}'):.12g}%"


def interval(figure: Figure, shown: Callable[[float | None], str]) -> tuple[str, str]:
    """Returns the 95 % interval of a figure in brackets, in both languages; nothing where it is exact."""
    if figure.low is None or figure.high is None:
        return "", ""
    low, high = shown(figure.low), shown(figure.high)
    return f" (95% interval {low} to {high})", f"（95% 区间 {low} 至 {high}）"


def _ratio(value: float | None) -> str:
    return "?" if value is None else f"{value:.3g}"


# The answers


def _what(held: Held, facts: Facts) -> Iterator[Words]:
    kept, came = held.number("funnel.kept"), held.number("funnel.came")
    if kept is not None:
        yield Words(
            en=f"{count(kept)} documents, of {count(came)} that came [funnel.came].",
            zh=f"共 {count(kept)} 篇文档，进入流程的有 {count(came)} 篇 [funnel.came]。",
        )
    for axis, en, zh in (
        ("language", "Languages", "语种"),
        ("script", "Scripts", "文字"),
        ("format", "Formats", "体裁"),
    ):
        yield from _shares(held, f"kinds.{axis}s", axis, en, zh)
    effective = next(
        (key for key in ("hosts.effective.tokens", "hosts.effective.documents") if key in held.figures), ""
    )
    if effective:
        top = effective.replace("effective", "top10")
        share = f", and the ten largest hold {percent(held.number(top))} [{top}]" if top in held.figures else ""
        share_zh = f"，前十大主机占 {percent(held.number(top))} [{top}]" if share else ""
        many, none = _ratio(held.number(effective)), held.number("hosts.none.documents")
        unknown = (
            (
                f"; {percent(none)} of the documents have none [hosts.none.documents]",
                f"；{percent(none)} 的文档没有主机 [hosts.none.documents]",
            )
            if none
            else ("", "")
        )
        yield Words(
            en=f"Hosts are as diverse as {many} of equal size [{effective}]{share}{unknown[0]}.",
            zh=f"主机的多样性相当于 {many} 个规模相等的主机 [{effective}]{share_zh}{unknown[1]}。",
        )

    url, licence = held.number("provenance.url.documents"), held.number("provenance.licence.documents")
    if url is not None and licence is not None:
        yield Words(
            en=f"The address is known of {percent(url)} of the documents [provenance.url.documents], the licence of "
            f"{percent(licence)} [provenance.licence.documents].",
            zh=f"网址已知的文档占 {percent(url)} [provenance.url.documents]，"
            f"许可证已知的占 {percent(licence)} [provenance.licence.documents]。",
        )


def _shares(held: Held, key: str, axis: str, en: str, zh: str) -> Iterator[Words]:
    """Yields the largest groups of an axis by size, and as trained where that is known."""
    rows = held.rows(key)
    if not rows:
        return
    size = next(name for name in ("tokens", "characters", "bytes") if f"{name}_share" in rows[0])
    by = {"tokens": ("tokens", "词元"), "characters": ("characters", "字符"), "bytes": ("bytes", "字节")}[size]
    rows.sort(key=lambda row: (-_float(row[f"{size}_share"]), str(row[axis] or "")))
    told = [
        (str(row[axis] or "none"), percent(_float(row[f"{size}_share"])), row.get("trained_share"))
        for row in rows[:SHOWN]
    ]
    trained = any(share is not None for *_, share in told)
    names = [f"{name} {of}" + (f"/{percent(_float(share))}" if trained else "") for name, of, share in told]
    more = (" and as trained", "与训练所见") if trained else ("", "")
    yield Words(
        en=f"{en} by {by[0]}{more[0]}: {', '.join(names)} [{key}].",
        zh=f"{zh}（按{by[1]}{more[1]}）：{'，'.join(names)} [{key}]。",
    )


def _float(value: Cell) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _removed(held: Held, facts: Facts) -> Iterator[Words]:
    rows = [row for row in held.rows("funnel.stages") if row.get("dropped") or row.get("duplicates")]
    dropped, copies = held.number("funnel.dropped"), held.number("funnel.duplicates")
    if dropped is not None:
        yield Words(
            en=f"{count(dropped)} documents were dropped by rules [funnel.dropped], {count(copies)} left as copies "
            "[funnel.duplicates].",
            zh=f"规则剔除 {count(dropped)} 篇 [funnel.dropped]，作为重复去除 {count(copies)} 篇 [funnel.duplicates]。",
        )
    rows.sort(key=lambda row: -(_float(row["dropped"]) + _float(row["duplicates"])))
    names = [f"{row['stage']} {count(_float(row['dropped']) + _float(row['duplicates']))}" for row in rows[:SHOWN]]
    if names:
        yield Words(
            en=f"Most by step: {', '.join(names)} [funnel.stages].",
            zh=f"去除最多的阶段：{'，'.join(names)} [funnel.stages]。",
        )
    keys = [key for key in ("rules.sole1", "rules.sole2", "rules.sole3") if key in held.figures]
    if keys:
        rules = [f"{held.figures[key].label.en.partition(': ')[2]} {count(held.number(key))} [{key}]" for key in keys]
        yield Words(
            en=f"Rules without which most would have passed their step: {', '.join(rules)}.",
            zh=f"单独剔除文档最多的规则：{'，'.join(rules)}。",
        )


def _hurt(held: Held, facts: Facts) -> Iterator[Words]:
    whole = held.number("survival.filters")
    if whole is not None:
        yield Words(
            en=f"The filters leave {percent(whole)} of the documents that come to them [survival.filters].",
            zh=f"过滤后留下进入文档的 {percent(whole)} [survival.filters]。",
        )
    parity = held.figures.get("survival.hant_hans")
    if parity is not None:
        low_high = interval(parity, _ratio)
        shown = _ratio(held.number("survival.hant_hans"))
        yield Words(
            en=f"Traditional Chinese survives the filters {shown} times as often as Simplified{low_high[0]} "
            "[survival.hant_hans].",
            zh=f"过滤后，繁体中文的存活率是简体中文的 {shown} 倍{low_high[1]} [survival.hant_hans]。",
        )
    through = held.figures.get("survival.hant_hans_all")
    if through is not None:
        low_high, shown = interval(through, _ratio), _ratio(held.number("survival.hant_hans_all"))
        yield Words(
            en=f"Through all steps, duplicates taken out, that is {shown} times{low_high[0]} [survival.hant_hans_all].",
            zh=f"经全部阶段（含去重）后为 {shown} 倍{low_high[1]} [survival.hant_hans_all]。",
        )
    small = held.number("survival.small_hosts")
    if small is not None:
        yield Words(
            en=f"Of the pages of small hosts {percent(small)} survive [survival.small_hosts].",
            zh=f"小主机的页面存活率为 {percent(small)} [survival.small_hosts]。",
        )
    out = held.number("survival.stand_out")
    if out is not None:
        rows = [row for row in held.rows("survival.standing") if _float(row["difference"]) < 0][:SHOWN]
        lost = [
            (str(row["group"] or "none"), *(percent(_float(row[name])) for name in ("survival", "rest")), row["rule"])
            for row in rows
        ]
        of = "; lowest: " + ", ".join(f"{name} {own} (others {rest}; most by {rule})" for name, own, rest, rule in lost)
        of_zh = "，最低者：" + "，".join(
            f"{name} {own}（其余 {rest}；主要因 {rule}）" for name, own, rest, rule in lost
        )
        yield Words(
            en=f"Groups that lose clearly more than the others: {count(out)}{of if lost else ''} [survival.stand_out].",
            zh=f"损失明显多于其余文档的类别：{count(out)} 个{of_zh if lost else ''} [survival.stand_out]。",
        )


def _seen(held: Held, facts: Facts) -> Iterator[Words]:
    trained, seen, kept = (held.number(f"funnel.{key}") for key in ("trained", "seen", "kept"))
    if trained is None or seen is None:
        yield Words(
            en="The run made no samples, so what a model will see is not known.",
            zh="该运行没有生成训练样本，因此无法得知模型会看到什么。",
        )
        return
    unseen = (kept or seen) - seen
    yield Words(
        en=f"{count(trained)} tokens [funnel.trained] of {count(seen)} documents [funnel.seen]; {count(unseen)} that "
        "were kept are in no sample for training.",
        zh=f"{count(trained)} 个词元 [funnel.trained]，来自 {count(seen)} 篇文档 [funnel.seen]；"
        f"另有 {count(unseen)} 篇保留文档不在任何训练样本中。",
    )
    repeated, worth = held.number("duplicates.repeated"), held.number("duplicates.effective")
    if repeated is not None and worth is not None:
        yield Words(
            en=f"{percent(repeated)} of them repeat earlier ones [duplicates.repeated]; they are worth {count(worth)} "
            "new ones [duplicates.effective].",
            zh=f"其中 {percent(repeated)} 为重复出现 [duplicates.repeated]，"
            f"折合 {count(worth)} 个新词元 [duplicates.effective]。",
        )
    moved = [
        (_float(row["trained_share"]) - _float(row["tokens_share"]), str(row["language"] or "none"), row)
        for row in held.rows("kinds.languages")
        if row.get("trained_share") is not None
    ]
    moved.sort(key=lambda one: (-abs(one[0]), one[1]))
    names = [
        f"{name} {percent(_float(row['tokens_share']))} → {percent(_float(row['trained_share']))}"
        for by, name, row in moved[:SHOWN]
        if abs(by) >= MOVED
    ]
    if names:
        yield Words(
            en=f"The mix moves shares from the corpus to training: {', '.join(names)} [kinds.languages].",
            zh=f"混合配比使各语种占比由语料到训练发生变化：{'，'.join(names)} [kinds.languages]。",
        )
    cut = held.number("sizes.cut.documents")
    if cut is not None:
        yield Words(
            en=f"Packing cuts {percent(cut)} of the documents into several samples [sizes.cut.documents].",
            zh=f"打包将 {percent(cut)} 的文档切分到多个样本中 [sizes.cut.documents]。",
        )


def _trust(held: Held, facts: Facts) -> Iterator[Words]:
    wrong = held.number("funnel.disagreement")
    if wrong is not None:
        yield Words(
            en="Every stage, action and rule was counted again from the ledger and the index: they and the run's own "
            f"counters disagree on {count(wrong)} documents [funnel.disagreement].",
            zh="已由账本与索引按阶段、动作和规则重新计数："
            f"与运行自身的计数器相差 {count(wrong)} 篇 [funnel.disagreement]。",
        )
    residual = held.figures.get("duplicates.residual")
    if residual is not None:
        low_high = interval(residual, percent)
        shown = percent(held.number("duplicates.residual"))
        yield Words(
            en=f"Copies that are left: {shown} of what was kept{low_high[0]} [duplicates.residual].",
            zh=f"残留重复：占保留文档的 {shown}{low_high[1]} [duplicates.residual]。",
        )
    drawn = held.number("lexical.texts")
    if drawn is not None:
        yield Words(
            en=f"What is said of wording and topics is of {count(drawn)} documents [lexical.texts], drawn by a hash of "
            f"their ids and the seed {facts.seed}: who draws again draws the same.",
            zh=f"关于用词与主题的数值取自 {count(drawn)} 篇文档 [lexical.texts]，"
            f"按文档编号与种子 {facts.seed} 的哈希抽取：任何人重抽都会得到同一批。",
        )
    aside, warnings = facts.run["set_aside"], len(facts.run["warnings"])
    yield Words(
        en=f"The run set {count(aside)} documents or files aside, and ended with {count(warnings)} warnings.",
        zh=f"运行中搁置了 {count(aside)} 个文档或文件，结束时有 {count(warnings)} 条警告。",
    )
    if facts.run["sample"] < 1:
        yield Words(
            en=f"It ran on a sample of {percent(facts.run['sample'])} of the documents.",
            zh=f"该运行只处理了 {percent(facts.run['sample'])} 的文档样本。",
        )


def _removed_share(held: Held) -> float | None:
    kept = held.number("funnel.kept_share")
    return None if kept is None else 1 - kept


QUESTIONS: Final[tuple[tuple[str, Words, Callable[[Held], float | None], Unit, Answer], ...]] = (
    (
        "what",
        Words(en="What is in it?", zh="语料里有什么？"),
        lambda held: held.number("funnel.kept"),
        "documents",
        _what,
    ),
    (
        "removed",
        Words(en="What was taken out, and why? (of all documents)", zh="去掉了什么，为什么？（占全部文档）"),
        _removed_share,
        "share",
        _removed,
    ),
    (
        "hurt",
        Words(en="Whom did the filters hurt? (groups)", zh="过滤伤及了谁？（类别数）"),
        lambda held: held.number("survival.stand_out"),
        "number",
        _hurt,
    ),
    (
        "seen",
        Words(en="What will the model actually see?", zh="模型实际会看到什么？"),
        lambda held: held.number("funnel.trained"),
        "tokens",
        _seen,
    ),
    (
        "trust",
        Words(
            en="Can these figures be trusted? (documents on which counts disagree)",
            zh="这些数字可信吗？（计数不一致的文档）",
        ),
        lambda held: held.number("funnel.disagreement"),
        "documents",
        _trust,
    ),
)
