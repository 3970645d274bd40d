"""The page of a comparison: its figures, tables and charts as those of a report, which `stages.audit.page` draws."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from stages.audit.compare.model import SAYS, Change, Diff, Shift, Survived
from stages.audit.compare.told import KIND
from stages.audit.hostile import harmless
from stages.audit.model import Audit, Cell, Chart, Column, Figure, Section, Table, Unit, Words
from stages.audit.page import Face, render
from stages.audit.shift import LABELS
from stages.audit.weights import CHARACTERS, DOCUMENTS, TOKENS, TRAINED

TITLE: Final = Words(en="Two corpora compared", zh="语料对比")
HOW: Final = Words(
    en="A change is B less A. A row with a dotted underline opens the command that lists its documents; A, B and DIR "
    "stand for the folders of the runs. What was counted in full has no interval: its change is what it is.",
    zh="变化均为 B 减 A。带点状下划线的行可以点开，显示列出相应文档的命令，其中 A、B 与 DIR 代表两次运行的目录。"
    "完整计数的数值没有区间：变化即为实际变化。",
)
NOTES: Final = Words(en="How to read this, and what it cannot tell", zh="如何解读，以及无法说明之处")
AXES: Final = {**LABELS, "topic": Words(en="topic", zh="主题")}
WEIGHTINGS: Final = {one.key: one.label for one in (DOCUMENTS, TOKENS, TRAINED, CHARACTERS)}
UNITS: Final[dict[Unit, Words]] = {
    "share": Words(en="shares", zh="占比"),
    "documents": Words(en="documents", zh="文档"),
    "tokens": Words(en="tokens", zh="词元"),
    "characters": Words(en="characters", zh="字符"),
    "bytes": Words(en="bytes", zh="字节"),
    "number": Words(en="numbers", zh="数值"),
    "text": Words(en="names", zh="名称"),
}
A, B = Words(en="A", zh="A"), Words(en="B", zh="B")
CHANGED: Final = Words(en="change", zh="变化")
FROM, TO = Words(en="from", zh="下限"), Words(en="to", zh="上限")
MOST: Final = 50  # rows of a table of cells
HEAVIEST: Final = ("tokens", "characters", "documents")  # the first of these that there is: what bins are shown by


def page(diff: Diff) -> bytes:
    """Returns the page of a comparison as UTF-8, the same bytes for the same data."""
    held = Audit(
        name=f"{diff.a.name} → {diff.b.name}" if diff.a.name != diff.b.name else diff.b.name,
        config_sha256=diff.b.config_sha256,
        code_version=diff.b.code_version,
        corpus={},
        seed=diff.seed,
        drawn=0,
        sections=tuple(sections(diff)),
        missing=diff.notes,
    )

    def facts(audit: Audit) -> list[tuple[Words, str]]:
        return list(_facts(diff))

    return render(held, Face(TITLE, facts, HOW, NOTES, digest="datapipe-diff-sha256"))


def _facts(diff: Diff) -> Iterator[tuple[Words, str]]:
    for name, side in (("A", diff.a), ("B", diff.b)):
        for key, value in (("published_sha256", "published"), ("merkle_root", "merkle_root")):
            if key in side.digests:
                yield Words(en=f"{name} {value}", zh=f"{name} {value}"), side.digests[key]
        yield Words(en=f"{name} config", zh=f"{name} 配置"), side.config_sha256
        yield Words(en=f"{name} code", zh=f"{name} 代码版本"), side.code_version
    yield Words(en="seed", zh="随机种子"), str(diff.seed)


def sections(diff: Diff) -> Iterator[Section]:
    """Yields the sections of a comparison: gates, what was set otherwise, documents, shifts, what was kept, figures."""
    if diff.gates:
        yield _gates(diff)
    yield _documents(diff)
    yield _settings(diff)
    yield from _shifts(diff)
    yield from _kept(diff)
    yield from _figures(diff)


def column(key: str, label: Words, unit: Unit = "text", words: dict[str, Words] | None = None) -> Column:
    """Returns a column of a table."""
    return Column(key=key, label=label, unit=unit, words=words)


def _says() -> Column:
    return column("says", Words(en="says", zh="判断"), words={str(key): words for key, words in SAYS.items()})


def _gates(diff: Diff) -> Section:
    failed = sum(not one.passed for one in diff.gates)
    states = {"pass": Words(en="passed", zh="通过"), "fail": Words(en="failed", zh="未通过")}
    rows: list[tuple[Cell, ...]] = [
        (
            one.gate,
            "pass" if one.passed else "fail",
            one.value,
            one.low,
            one.high,
            _line(one.why, one.because),
            one.name,
        )
        for one in diff.gates
    ]
    return Section(
        key="gates",
        title=Words(en="Gates", zh="门限"),
        intro=Words(
            en="Limits that this change has to keep. What is not known has not passed.",
            zh="本次变更须满足的限值；无法得知者视为未通过。",
        ),
        figures=(
            Figure(
                key="gates.failed",
                label=Words(en="gates that failed", zh="未通过的门限"),
                value=failed,
                unit="number",
                note=Words(en=f"of {len(diff.gates)}", zh=f"共 {len(diff.gates)} 条"),
            ),
        ),
        tables=(
            Table(
                key="gates.all",
                label=Words(en="All gates", zh="全部门限"),
                columns=(
                    column("gate", Words(en="gate", zh="门限")),
                    column("state", Words(en="state", zh="状态"), words=states),
                    column("value", Words(en="value", zh="数值"), "number"),
                    column("value_low", FROM, "number"),
                    column("value_high", TO, "number"),
                    column("why", Words(en="why", zh="说明")),
                    column("name", Words(en="figure", zh="指标")),
                ),
                rows=tuple(rows),
            ),
        ),
    )


def _line(*parts: str) -> str | None:
    said = "; ".join(filter(None, parts))
    return harmless(said, 300) if said else None


# Documents


def _documents(diff: Diff) -> Section:
    told = diff.documents
    figures: list[Figure] = []
    tables: list[Table] = []
    for key, value, label in (
        ("only_a", told.only_a, KIND["only_a"]),
        ("only_b", told.only_b, KIND["only_b"]),
        ("text", told.text, Words(en="in both, of another text", zh="双方都有，文本不同")),
        ("labels", told.changed - told.text, Words(en="in both, of other labels", zh="双方都有，标签不同")),
        ("same", told.same, Words(en="in both, unchanged", zh="双方都有，无变化")),
    ):
        figures.append(Figure(key=f"documents.{key}", label=label, value=value, unit="documents"))
    if told.causes:
        tables += [_causes(diff), _examples(diff)]
    if told.fields:
        tables.append(_fields(told.fields))
    return Section(
        key="documents",
        title=Words(en="Which documents differ, and why", zh="哪些文档不同，原因为何"),
        intro=Words(
            en="Every document of either corpus is looked for in the other: by id, else by address and source. What "
            "parts the two is the first cause: a limit, a rule, another survivor, the input.",
            zh="逐一在另一份语料中查找每篇文档：先按 id，再按网址与来源。所列为造成差异的首个原因：阈值、规则、"
            "保留的另一份副本，或输入本身。",
        ),
        figures=tuple(figures),
        tables=tuple(tables),
    )


def _causes(diff: Diff) -> Table:
    words = {one.says.en: one.says for one in diff.documents.causes}
    return Table(
        key="documents.causes",
        label=Words(en="By cause", zh="按原因"),
        columns=(
            column("cause", Words(en="cause", zh="原因"), words=words),
            column("documents", Words(en="documents", zh="文档"), "documents"),
            column("tokens_a", Words(en="tokens in A", zh="A 中词元"), "tokens"),
            column("tokens_b", Words(en="tokens in B", zh="B 中词元"), "tokens"),
        ),
        rows=tuple((one.says.en, one.documents, one.tokens_a, one.tokens_b) for one in diff.documents.causes[:MOST]),
        commands=tuple(one.command for one in diff.documents.causes[:MOST]),
        of=len(diff.documents.causes) if len(diff.documents.causes) > MOST else None,
    )


def _examples(diff: Diff) -> Table:
    held = [(cause, one) for cause in diff.documents.causes for one in cause.examples]
    shown = held[: 2 * MOST]
    return Table(
        key="documents.examples",
        label=Words(en="Some of each cause, drawn by hash", zh="各原因的若干文档（按哈希抽取）"),
        columns=(
            column("why", Words(en="why", zh="原因"), words={one.why.en: one.why for _, one in shown}),
            column("id", Words(en="id", zh="id")),
            column("source", Words(en="source", zh="来源")),
            column("language", Words(en="language", zh="语种")),
            column("url", Words(en="address", zh="网址")),
        ),
        rows=tuple((one.why.en, one.id, one.source, one.language, one.url) for _, one in shown),
        commands=tuple(
            f"datapipe explain {'B' if cause.kind in ('only_b', 'gone_b') else 'A'} {one.id}" for cause, one in shown
        ),
        of=len(held) if len(held) > len(shown) else None,
        note=Words(
            en="`datapipe diff A B --documents FILE` lists all of them.",
            zh="`datapipe diff A B --documents FILE` 列出全部文档。",
        ),
    )


def _fields(fields: dict[str, int]) -> Table:
    return Table(
        key="documents.fields",
        label=Words(en="Fields that differ in documents of both", zh="双方共有文档中不同的字段"),
        columns=(
            column("field", Words(en="field", zh="字段")),
            column("documents", Words(en="documents", zh="文档"), "documents"),
        ),
        rows=tuple(
            (harmless(name, 80), amount) for name, amount in sorted(fields.items(), key=lambda one: (-one[1], one[0]))
        ),
        chart=Chart(kind="bar", x="field", y=("documents",)),
    )


# Settings


def _settings(diff: Diff) -> Section:
    return Section(
        key="settings",
        title=Words(en="What differs in how the two were made", zh="两次运行的设置有何不同"),
        intro=Words(
            en="Inputs, fields of the config, versions of stages and libraries, and the machine, where they differ.",
            zh="输入、配置字段、阶段与依赖库的版本以及机器环境中不同的部分。",
        ),
        tables=(
            Table(
                key="settings.all",
                label=Words(en="What differs", zh="不同之处"),
                columns=(
                    column("name", Words(en="what", zh="项目")),
                    column("kind", Words(en="kind", zh="类别")),
                    column("a", A),
                    column("b", B),
                ),
                rows=tuple((one.name, one.kind, one.a, one.b) for one in diff.settings[: 2 * MOST]),
                of=len(diff.settings) if len(diff.settings) > 2 * MOST else None,
            ),
        ),
    )


# Shifts


def _shifts(diff: Diff) -> Iterator[Section]:
    if not diff.shifts:
        return
    yield Section(
        key="shift",
        title=Words(en="How far the two are apart", zh="两份语料相距多远"),
        intro=Words(
            en="The Jensen-Shannon divergence of A and B, of whole tables: 0 where shares are the same, 1 where "
            "nothing is in common. Beside it stands what a blind exchange of as many documents would give; only what "
            "is well above it is the doing of what was changed. A millibit is a thousandth of a bit.",
            zh="A 与 B 构成的 Jensen–Shannon 散度（基于完整计数）：构成相同为 0，毫无重合为 1。"
            "旁边给出随机替换同样多文档时的期望值；只有明显高于它，才是改动造成的差异。",
        ),
        tables=(_all_shifts(diff.shifts), *(_bins(one) for one in _shown(diff.shifts) if one.bins)),
    )


def _shown(shifts: Sequence[Shift]) -> Iterator[Shift]:
    """Yields the shift of each axis in the heaviest weighting that it has."""
    for axis in dict.fromkeys(one.axis for one in shifts):
        its = {one.weighting: one for one in shifts if one.axis == axis}
        yield next(its[weighting] for weighting in HEAVIEST if weighting in its)


def _all_shifts(shifts: Sequence[Shift]) -> Table:
    return Table(
        key="shift.all",
        label=Words(en="By axis and weighting", zh="按维度与加权方式"),
        columns=(
            column("axis", Words(en="axis", zh="维度"), words=AXES),
            column("weighting", Words(en="weighted by", zh="加权方式"), words=WEIGHTINGS),
            column("divergence", Words(en="divergence, millibits", zh="散度（毫比特）"), "number"),
            column("divergence_low", FROM, "number"),
            column("divergence_high", TO, "number"),
            column("chance", Words(en="by chance", zh="随机期望"), "number"),
            _says(),
            column("groups_a", Words(en="groups in A", zh="A 中类别数"), "number"),
            column("groups_b", Words(en="groups in B", zh="B 中类别数"), "number"),
            column("unknown_a", Words(en="of no group in A", zh="A 中类别不明"), "share"),
            column("unknown_b", Words(en="of no group in B", zh="B 中类别不明"), "share"),
        ),
        rows=tuple(
            (
                one.axis,
                one.weighting,
                _milli(one.divergence),
                _milli(one.divergence if one.most is not None else one.low),
                _milli(one.most if one.most is not None else one.high),
                _milli(one.chance),
                one.says,
                one.groups_a,
                one.groups_b,
                one.unknown_a,
                one.unknown_b,
            )
            for one in shifts
        ),
    )


def _milli(bits: float | None) -> float | None:
    return None if bits is None else 1000 * bits


def _bins(shift: Shift) -> Table:
    name, weight = AXES.get(shift.axis, Words(en=shift.axis, zh=shift.axis)), WEIGHTINGS[shift.weighting]
    return Table(
        key=f"shift.{shift.axis}",
        label=Words(en=f"{name.en}: shares of {weight.en}", zh=f"{name.zh}：{weight.zh}占比"),
        columns=(
            column("group", name),
            column("a", A, "share"),
            column("b", B, "share"),
            column("change", CHANGED, "share"),
            column("adds", Words(en="adds to the divergence, millibits", zh="对散度的贡献（毫比特）"), "number"),
        ),
        rows=tuple((one.group, one.a, one.b, one.change, _milli(one.adds)) for one in shift.bins),
        of=shift.of if shift.of > len(shift.bins) else None,
        chart=Chart(kind="bar", x="group", y=("a", "b")),
        note=Words(en="The groups that add most to the divergence come first.", zh="按对散度的贡献由大到小排列。"),
    )


# What was kept


def _kept(diff: Diff) -> Iterator[Section]:
    tables = [
        _pairs(axis, its) for axis in ("source", "language") if (its := [p for p in diff.survived if p.axis == axis])
    ]
    if tables:
        yield Section(
            key="kept",
            title=Words(en="What was kept of the same documents", zh="同样的文档各留下多少"),
            intro=Words(
                en="Of documents that both runs were given, what share each kept to the end; intervals of the change "
                "are paired: what both kept, or neither did, does not widen them.",
                zh="对双方都输入过的文档，各自最终保留的比例；变化的区间按配对计算：双方同样保留或同样去除的文档不会使其变宽。",
            ),
            tables=tuple(tables),
        )


def _pairs(axis: str, pairs: Sequence[Survived]) -> Table:
    return Table(
        key=f"kept.{axis}",
        label=Words(en=f"By {AXES[axis].en}", zh=f"按{AXES[axis].zh}"),
        columns=(
            column(axis, AXES[axis]),
            column("came", Words(en="documents", zh="文档"), "documents"),
            column("a", A, "share"),
            column("b", B, "share"),
            column("change", CHANGED, "share"),
            column("change_low", FROM, "share"),
            column("change_high", TO, "share"),
            column("only_a", Words(en="kept in A only", zh="仅 A 保留"), "documents"),
            column("only_b", Words(en="kept in B only", zh="仅 B 保留"), "documents"),
            _says(),
        ),
        rows=tuple(
            (one.group, one.came, one.a, one.b, one.change, one.low, one.high, one.only_a, one.only_b, one.says)
            for one in pairs[:MOST]
        ),
        of=len(pairs) if len(pairs) > MOST else None,
        chart=Chart(kind="bar", x=axis, y=("a", "b")),
    )


# Figures


def _figures(diff: Diff) -> Iterator[Section]:
    differing = [one for one in diff.figures if one.says != "same"]
    beyond = [one for one in differing if one.says == "beyond"]
    yield Section(
        key="figures",
        title=Words(en="Figures of the reports", zh="报告中的数值"),
        intro=Words(
            en="Every figure of the two reports that is not the same in both, and the cells of their tables that "
            "changed most.",
            zh="两份报告中所有不同的数值，以及表格中变化最大的单元格。",
        ),
        figures=(
            _amount(
                "figures.same",
                len(diff.figures) - len(differing),
                Words(en="figures that are the same", zh="相同的数值"),
            ),
            _amount("figures.differ", len(differing), Words(en="figures that differ", zh="不同的数值")),
            _amount("figures.beyond", len(beyond), Words(en="of these, by more than chance", zh="其中超出随机波动")),
            _amount("figures.cells", len(diff.cells), Words(en="cells of tables that differ", zh="不同的表格单元格")),
        ),
        tables=(
            *_by_unit("figures", differing, Words(en="Figures", zh="数值"), None),
            *_by_unit("cells", sorted(diff.cells, key=_moved), Words(en="Cells of tables", zh="表格单元格"), MOST),
        ),
    )


def _amount(key: str, value: int, label: Words) -> Figure:
    return Figure(key=key, label=label, value=value, unit="number")


def _moved(change: Change) -> tuple[bool, float, str]:
    """Returns what sorts changes: those beyond chance first, then by how much of the figure it is."""
    a, b = (
        0.0 if one is None or not isinstance(one.value, int | float) else abs(one.value) for one in (change.a, change.b)
    )
    part = abs(change.change or 0.0) / max(a, b) if max(a, b) else 0.0
    return change.says != "beyond", -part, change.key


def _by_unit(key: str, changes: Iterable[Change], label: Words, most: int | None) -> Iterator[Table]:
    units: dict[Unit, list[Change]] = {}
    for one in changes:
        if key != "cells" or one.change is not None:
            units.setdefault(one.unit, []).append(one)
    for unit, its in units.items():
        shown = its[:most]
        borders = (column("change_low", FROM, unit), column("change_high", TO, unit))
        moves = (column("change", CHANGED, unit), *borders) if unit != "text" else ()
        yield Table(
            key=f"{key}.{unit}",
            label=Words(en=f"{label.en}: {UNITS[unit].en}", zh=f"{label.zh}：{UNITS[unit].zh}"),
            columns=(
                column("figure", Words(en="figure", zh="指标"), words={one.key: one.label for one in shown}),
                column("a", A, unit),
                column("b", B, unit),
                *moves,
                _says(),
                column("name", Words(en="name in gates", zh="门限中的名称")),
            ),
            rows=tuple(
                (
                    one.key,
                    None if one.a is None else one.a.value,
                    None if one.b is None else one.b.value,
                    *((one.change, one.low, one.high) if moves else ()),
                    one.says,
                    one.key,
                )
                for one in shown
            ),
            of=len(its) if len(its) > len(shown) else None,
        )
