"""What was taken out and why: documents by where and how they ended, and what stages changed in those that went on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from stages.audit.counter import Counter, Facts, Wide
from stages.audit.cube import Cube, Noted, Row, disagreements, estimated, has_tokens, removed_of
from stages.audit.frame import KEPT
from stages.audit.model import Cell, Chart, Column, Figure, Section, Table, Unit, Words
from stages.audit.passage import (
    ASIDE,
    DUPLICATE,
    LEAVING,
    SPLIT,
    UNREAD,
    command,
    passages,
    shown,
    stages_of,
    together,
)

SHOWN: Final = 50  # rows of a table
NO_WORDS: Final[Mapping[str, tuple[str, str]]] = {}


COUNTERS: tuple[Counter | Wide, ...] = (Cube(), Noted())


def sections(facts: Facts) -> Iterator[Section]:
    """Yields the section `funnel`."""
    rows = estimated(facts.tables["cube"].to_pylist())
    noted = facts.tables["noted"].to_pylist()
    tables = (
        _stages(rows, facts),
        *_wrong(rows, noted, facts),
        _by_source(rows, facts),
        _by_language(rows, facts),
        _rules(rows, facts),
        _lost(rows),
        _noted(noted, rows, facts),
        _records(facts.run),
    )
    yield Section(
        key="funnel",
        title=Words(en="What was taken out, and why", zh="去掉了什么，为什么"),
        intro=Words(
            en="Each document that came was kept, or left at one stage by one first rule. Numbers of documents and "
            "bytes are exact; tokens of documents that left are estimated from their bytes.",
            zh="每篇进入流程的文档要么保留，要么在某一阶段因首条触发的规则而离开。"
            "文档数与字节数为精确值；已离开文档的词元数由其字节数估算。",
        ),
        figures=tuple(_figures(rows, noted, facts)),
        tables=tuple(table for table in tables if table.rows),
    )


# Figures


def _figures(rows: Sequence[Row], noted: Sequence[Row], facts: Facts) -> Iterator[Figure]:
    whole = together(passages(rows, "stage").values())
    steps = whole.steps(stages_of(facts.run))
    came = steps[0].came if steps else whole.kept
    made, dropped, aside, duplicates = (
        sum(amount for (_, action, _), amount in whole.left.items() if action == kind)
        for kind in (SPLIT, "drop", ASIDE, DUPLICATE)
    )
    unread = sum(row["documents"] for row in rows if row["action"] == UNREAD)
    seen = sum(row["seen"] for row in rows)
    wrong = sum(amount for *_, amount in disagreements(rows, noted, facts.run, removed_of(facts)))
    every = None if made or unread else command()  # parts of documents and of files are listed too
    yield _figure("came", "documents that came", "进入流程的文档", came, every)
    yield _figure("kept", "documents that were kept", "保留的文档", whole.kept, command(kept=True))
    yield Figure(
        key="funnel.kept_share",
        label=Words(en="share that was kept", zh="保留比例"),
        value=whole.kept / (came + made) if came + made else None,
        unit="share",
        command=command(kept=True) if whole.kept else None,
    )
    yield _figure("dropped", "dropped by a rule", "被规则剔除的文档", dropped, command(action="drop"))
    yield _figure("duplicates", "left as duplicates", "作为重复文档去掉", duplicates, command(action=DUPLICATE))
    if made:
        yield _figure("made", "made by splitting documents", "拆分产生的文档", made, command(action=SPLIT))
    if aside:
        yield _figure(
            "set_aside", "set aside, as work on them failed", "处理失败而搁置的文档", aside, command(action=ASIDE)
        )
    if unread:
        yield _figure(
            "unread", "files or pieces of files that could not be read", "无法读取的文件或片段", unread, unit="number"
        )
    if seen:
        yield _figure(
            "seen", "documents in training samples", "进入训练样本的文档", seen, command("trained>0", kept=True)
        )
        amount = sum(row["trained"] for row in rows)
        yield _figure("trained", "tokens as trained", "训练所见词元", amount, command("trained>0", kept=True), "tokens")
    yield Figure(
        key="funnel.disagreement",
        label=Words(en="documents on which files and the run's report disagree", zh="文件与运行报告不一致的文档数"),
        value=wrong,
        unit="documents",
        note=Words(
            en="every stage, action and rule of the ledger and index, counted here, against the counters of the run",
            zh="按阶段、动作与规则逐项核对：此处由账本与索引重新计数，与运行时的计数器对照",
        ),
    )


def _figure(key: str, en: str, zh: str, value: Cell, its: str | None = None, unit: Unit = "documents") -> Figure:
    its = its if value else None  # what lists nothing is an error of `show`
    return Figure(key=f"funnel.{key}", label=Words(en=en, zh=zh), value=value, unit=unit, command=its)


# Tables


def column(
    key: str, en: str, zh: str, unit: Unit = "documents", words: Mapping[str, tuple[str, str]] = NO_WORDS
) -> Column:
    """Returns a column of a table; `words` are what cells of ours are called."""
    called = {value: Words(en=each[0], zh=each[1]) for value, each in words.items()}
    return Column(key=key, label=Words(en=en, zh=zh), unit=unit, words=called or None)


STAGE: Final = column("stage", "stage", "阶段", "text")
ACTION: Final = column(
    "action",
    "action",
    "动作",
    "text",
    {
        "drop": ("drop", "剔除"),
        DUPLICATE: (DUPLICATE, "去重"),
        ASIDE: (ASIDE, "搁置"),
        SPLIT: (SPLIT, "拆分"),
        UNREAD: (UNREAD, "无法读取"),
        "repair": ("repair", "修复"),
        "flag": ("flag", "标记"),
    },
)
RULE: Final = column("rule", "rule", "规则", "text")
SOURCE: Final = column("source", "source", "来源", "text")
LANGUAGE: Final = column("language", "language", "语种", "text")
DOCUMENTS: Final = column("documents", "documents", "文档数")
BYTES: Final = column("bytes", "bytes", "字节数", "bytes")
TOKENS: Final = column("tokens", "tokens (estimated)", "词元数（估算）", "tokens")


def _stages(rows: Sequence[Row], facts: Facts) -> Table:
    order, tokens = stages_of(facts.run), has_tokens(rows)
    documents, sizes, amounts = (
        together(passages(rows, "stage", measure).values()) for measure in ("documents", "bytes", "tokens")
    )
    lines: list[tuple[tuple[Cell, ...], str | None]] = []
    for step, size, amount in zip(documents.steps(order), sizes.steps(order), amounts.steps(order), strict=True):
        dropped, aside = documents.of(step.stage, "drop"), documents.of(step.stage, ASIDE)
        share = step.stayed / (step.came + step.made) if step.came + step.made else None
        left = (dropped, step.duplicates, aside, step.stayed, share, size.came, amount.came)
        its = command(stage=step.stage) if step.filtered or step.duplicates else None
        lines.append(((shown(step.stage), step.came, step.made, *left), its))
    held = {
        name: sum(row[name] for row in rows if row["stage"] == KEPT) for name in ("seen", "bytes", "tokens", "trained")
    }
    nothing = (None,) * 6
    corpus = ("corpus", documents.kept, *nothing, held["bytes"], held["tokens"])
    lines.append((corpus, command(kept=True) if documents.kept else None))
    if held["seen"]:
        trained = ("trained", held["seen"], *nothing, None, held["trained"])
        lines.append((trained, command("trained>0", kept=True)))
    columns = (
        column("stage", "stage", "阶段", "text", {"corpus": ("corpus", "语料"), "trained": ("as trained", "训练所见")}),
        column("came", "came", "进入"),
        column("made", "made by splitting", "拆分产生"),
        column("dropped", "dropped by rules", "规则剔除"),
        column("duplicates", "duplicates", "重复"),
        column("aside", "set aside", "搁置"),
        column("stayed", "stayed", "留下"),
        column("share", "share that stayed", "留存比例", "share"),
        column("bytes", "bytes that came", "进入字节数", "bytes"),
        column("tokens", "tokens that came (estimated)", "进入词元数（估算）", "tokens"),
    )
    return Table(
        key="funnel.stages",
        label=Words(en="By stage", zh="按阶段"),
        columns=columns if tokens else columns[:-1],
        rows=tuple(line if tokens else line[:-1] for line, _ in lines),
        commands=tuple(its for _, its in lines),
        chart=Chart(kind="funnel", x="stage", y=("came",)),
        note=Words(
            en="Bytes of documents that stayed are those of the text as it is in the end, so repairs are in them from "
            "the start; bytes of documents that left are as they left, and unknown (0) where no text had been found.",
            zh="留下的文档按最终文本计字节，修复的影响自第一行起即已计入；"
            "离开的文档按离开时的文本计算，尚未提取出文本的记为 0。",
        ),
    )


def _by_source(rows: Sequence[Row], facts: Facts) -> Table:
    return _by(rows, facts, "source", Words(en="By source", zh="按来源"), None)


def _by_language(rows: Sequence[Row], facts: Facts) -> Table:
    note = Words(
        en="‘none’ are documents that left before their language was told.",
        zh="“无”指在判定语种之前就已离开的文档。",
    )
    return _by(rows, facts, "language", Words(en="By language", zh="按语种"), note)


def _by(rows: Sequence[Row], facts: Facts, axis: str, label: Words, note: Words | None) -> Table:
    """Returns what came, left and stayed of each group of an axis, the largest first."""
    order, tokens = stages_of(facts.run), has_tokens(rows)
    lines = []
    for group, passage in passages(rows, axis).items():
        dropped, duplicates, made = (
            sum(amount for (_, action, _), amount in passage.left.items() if action in kinds)
            for kinds in (("drop", ASIDE), (DUPLICATE,), (SPLIT,))
        )
        came = passage.steps(order)[0].came if order else passage.kept
        whole = came + made
        held = [row for row in rows if row[axis] == group and row["stage"] == KEPT]
        sums = (sum(row[name] for row in held) for name in ("bytes", "tokens", "trained"))
        share = passage.kept / whole if whole else None
        if whole:
            lines.append(
                (
                    shown(group),
                    whole,
                    passage.kept,
                    dropped,
                    duplicates,
                    share,
                    *sums,
                    command(source=group) if axis == "source" else command(language=group),
                )
            )
    lines.sort(key=lambda line: (-line[1], line[0] or ""))
    columns = (
        column(axis, label.en.removeprefix("By "), label.zh.removeprefix("按"), "text"),
        column("came", "came", "进入"),
        column("kept", "kept", "保留"),
        column("dropped", "dropped by rules", "规则剔除"),
        column("duplicates", "duplicates", "重复"),
        column("share", "share kept", "保留比例", "share"),
        column("bytes", "bytes kept", "保留字节数", "bytes"),
        column("tokens", "tokens kept", "保留词元数", "tokens"),
        column("trained", "tokens as trained", "训练所见词元", "tokens"),
    )
    return Table(
        key=f"funnel.{axis}",
        label=label,
        columns=columns if tokens else columns[:-2],
        rows=tuple(line[: len(columns) if tokens else -3] for line in lines[:SHOWN]),
        commands=tuple(line[-1] for line in lines[:SHOWN]),
        of=len(lines) if len(lines) > SHOWN else None,
        chart=Chart(kind="stacked", x=axis, y=("kept", "dropped", "duplicates")),
        note=note,
    )


def _rules(rows: Sequence[Row], facts: Facts) -> Table:
    """Returns what each rule took, in the order of stages, as the first that a document broke."""
    whole = together(passages(rows, "stage").values())
    came = {step.stage: step.came + step.made for step in whole.steps(stages_of(facts.run))}
    places = {stage: place for place, stage in enumerate(came)}
    sums = _sums(rows, ("stage", "action", "rule"), (*LEAVING, SPLIT, UNREAD))
    sums.sort(key=lambda line: (places.get(line[0][0], len(places)), -line[1][0], line[0][1], line[0][2] or ""))
    lines = [
        (
            *(shown(word) for word in key),
            amounts[0],
            amounts[0] / came[key[0]] if came.get(key[0]) and key[1] != UNREAD else None,
            *amounts[1:],
        )
        for key, amounts in sums
    ]
    columns = (
        STAGE,
        ACTION,
        RULE,
        DOCUMENTS,
        column("share", "of what came to the stage", "占进入该阶段的比例", "share"),
        BYTES,
        TOKENS,
    )
    return _cut(
        "funnel.rules",
        Words(en="By stage and rule", zh="按阶段与规则"),
        columns,
        lines,
        [command(stage=key[0], rule=key[2]) for key, _ in sums],
        tokens=has_tokens(rows),
        note=Words(
            en="Each document counts once, at the first rule in the order of its stage's table.",
            zh="每篇文档只计一次，归于所在阶段规则表中首条触发的规则。",
        ),
    )


def _lost(rows: Sequence[Row]) -> Table:
    """Returns what rules took of each source and language, most first."""
    sums = _sums(rows, ("stage", "action", "rule", "source", "language"), LEAVING)
    sums.sort(key=lambda line: (-line[1][0], tuple(word or "" for word in line[0])))
    lines = [(*(shown(word) for word in key), *amounts) for key, amounts in sums]
    return _cut(
        "funnel.lost",
        Words(en="By stage, rule, source and language", zh="按阶段、规则、来源与语种"),
        (STAGE, ACTION, RULE, SOURCE, LANGUAGE, DOCUMENTS, BYTES, TOKENS),
        lines,
        [command(stage=key[0], rule=key[2], source=key[3], language=key[4]) for key, _ in sums],
        tokens=has_tokens(rows),
    )


def _sums(
    rows: Iterable[Row], keys: Sequence[str], actions: Sequence[str]
) -> list[tuple[tuple[str, ...], tuple[int, int, int]]]:
    """Returns documents, bytes and tokens of what left, by keys."""
    sums: dict[tuple[str, ...], tuple[int, int, int]] = {}
    for row in rows:
        if row["action"] in actions:
            key = tuple(row[name] for name in keys)
            documents, size, tokens = sums.get(key, (0, 0, 0))
            sums[key] = documents + row["documents"], size + row["bytes"], tokens + row["tokens"]
    return list(sums.items())


def _cut(
    key: str,
    label: Words,
    columns: tuple[Column, ...],
    lines: Sequence[tuple[Cell, ...]],
    commands: Sequence[str | None],
    *,
    tokens: bool,
    note: Words | None = None,
) -> Table:
    """Returns a table of the first rows; the last column is tokens, and goes where none are known."""
    return Table(
        key=key,
        label=label,
        columns=columns if tokens else columns[:-1],
        rows=tuple(line if tokens else line[:-1] for line in lines[:SHOWN]),
        commands=tuple(commands[:SHOWN]),
        of=len(lines) if len(lines) > SHOWN else None,
        note=note,
    )


def _noted(noted: Sequence[Row], rows: Sequence[Row], facts: Facts) -> Table:
    """Returns what rules repaired or flagged."""
    whole = together(passages(rows, "stage").values())
    came = {step.stage: step.came + step.made for step in whole.steps(stages_of(facts.run))}
    places = {stage: place for place, stage in enumerate(came)}
    by_rule: dict[tuple[str, str, str | None], dict[str | None, int]] = {}
    for row in noted:
        by_rule.setdefault((row["stage"], row["action"], row["rule"]), {})[row["source"]] = row["documents"]
    lines = []
    for (stage, action, rule), sources in by_rule.items():
        amount = sum(sources.values())
        most = max(sources, key=lambda source: (sources[source], source or ""))
        share = amount / came[stage] if came.get(stage) else None
        name = "any" if rule is None else rule
        its = command(noted=rule, stage=stage) if rule is not None else None
        line = (shown(stage), shown(action), shown(name), amount, share, shown(most), sources[most])
        lines.append(((places.get(stage, len(places)), action, rule is not None, -amount, rule or ""), line, its))
    lines.sort(key=lambda line: line[0])
    return Table(
        key="funnel.noted",
        label=Words(en="Repaired and flagged", zh="修复与标记"),
        columns=(
            STAGE,
            ACTION,
            column("rule", "rule", "规则", "text", {"any": ("any", "任意")}),
            DOCUMENTS,
            column("share", "of what came to the stage", "占进入该阶段的比例", "share"),
            column("source", "source with most", "最多的来源", "text"),
            column("of_source", "documents of it", "其文档数"),
        ),
        rows=tuple(line for _, line, _ in lines[:SHOWN]),
        commands=tuple(its for *_, its in lines[:SHOWN]),
        of=len(lines) if len(lines) > SHOWN else None,
        note=Words(
            en="Also documents that left later. A document counts once a rule, and once in the row of any rule.",
            zh="包括之后才离开的文档。每篇文档对每条规则计一次，在“任意”一行只计一次。",
        ),
    )


def _records(run: Mapping[str, Any]) -> Table:  # Any: JSON
    """Returns what the first stage counted: records, refusals and losses that are no documents."""
    first = next((stage for stage in run["stages"] if stage["documents_in"] or stage["documents_out"]), None)
    counts = first["counts"] if first else {}
    return Table(
        key="funnel.records",
        label=Words(en="Records of the sources", zh="来源中的记录"),
        columns=(
            column("counter", "counter", "计数项", "text"),
            column("amount", "amount", "数量", "number"),
        ),
        rows=tuple((shown(name), amount) for name, amount in sorted(counts.items())[:SHOWN]),
        of=len(counts) if len(counts) > SHOWN else None,
        note=Words(
            en="Counters of the first stage. Records that a rule refused are documents that it dropped: see above.",
            zh="第一阶段的计数器。被规则拒绝的记录计为该阶段剔除的文档，见上表。",
        ),
    )


def _wrong(rows: Sequence[Row], noted: Sequence[Row], facts: Facts) -> Iterator[Table]:
    """Yields the table of what does not agree with the run's report, where there is anything."""
    found = disagreements(rows, noted, facts.run, removed_of(facts))
    if found:
        yield Table(
            key="funnel.disagreements",
            label=Words(en="Where files and the run's report disagree", zh="文件与运行报告不一致之处"),
            columns=(
                STAGE,
                column("what", "what", "项目", "text"),
                RULE,
                column("here", "counted here", "此处计数"),
                column("there", "by the run's report", "运行报告"),
            ),
            rows=tuple(
                (shown(stage), shown(what), shown(rule), here, there)
                for stage, what, rule, here, there, _ in found[:SHOWN]
            ),
            of=len(found) if len(found) > SHOWN else None,
        )
