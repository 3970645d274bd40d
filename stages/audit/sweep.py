"""Quality against diversity: what each threshold on the quality score would keep, and whom it would take away.

The base is what stayed, so that tokens are known and nothing is estimated: every threshold is counted exactly. Steps
behind the threshold (deduplication, mix) would run on less text, which is not told here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import Counter, Facts, Wide, summed
from stages.audit.frame import KEPT
from stages.audit.groups import column
from stages.audit.hosts import weighed
from stages.audit.measures import Whole, divergence, hill
from stages.audit.model import Cell, Chart, Column, Figure, Section, Table, Words
from stages.audit.names import SWEPT, THRESHOLDS, sizes_of
from stages.audit.weights import asked, is_name, share_column, shown

STEPS: Final = 1024  # scores are multiples of one in so many
SCORES: Final = ("quality", "language_score")  # the second is of documents that the first is not known of
AXES: Final = ("language", "format", "source")
SUMS: Final = ("documents", "size", "trained")
TOLD: Final = (0.5, 0.9)  # thresholds, of which figures tell
ASKED: Final = (0.25, 0.5, 0.75, 0.9, 0.95, 0.99)  # of which the table of groups tells
LEAST: Final = 20  # documents of a group
MOST: Final = 12  # groups of an axis
SHOWN: Final = 8  # of which shares are drawn


@dataclass(frozen=True)
class Scored:
    """Sums of what stayed by axis, label and score in steps of 1/1024 from 0 to 1, null where none is known.

    `score` is which score: that of quality, or where there is none how sure the language is.
    """

    name: str = "sweep"

    @property
    def schema(self) -> pa.Schema:
        """Keys and sums."""
        texts = [pa.field(name, pa.string()) for name in ("axis", "label", "score")]
        return pa.schema([*texts, *(pa.field(name, pa.int64()) for name in ("step", *SUMS))])

    def count(self, frame: pa.Table, ledger: pa.Table | None) -> pa.Table:
        """Returns the sums of the documents that stayed."""
        frame = frame.filter(pc.equal(frame.column("stage"), KEPT))
        scores = [np.asarray(pc.fill_null(column(frame, name).cast(pa.float64()), np.nan)) for name in SCORES]
        graded = ~np.isnan(scores[0])
        values = np.where(graded, *scores)
        steps = np.rint(np.nan_to_num(values) * STEPS).clip(0, STEPS).astype(np.int64)
        keys = {"score": pc.if_else(pa.array(graded), *SCORES), "step": pa.array(steps, mask=np.isnan(values))}
        sums = {name: pc.fill_null(column(frame, name).cast(pa.int64()), 0) for name in ("trained",)}
        sums["size"] = pc.fill_null(sizes_of(frame), 0)
        sums["documents"] = pa.array(np.ones(frame.num_rows, np.int64))
        tables = []
        for axis in AXES:
            labels = {"axis": pa.array([axis] * frame.num_rows, pa.string()), "label": column(frame, axis)}
            tables.append(self.merge([pa.table({**labels, **keys, **sums}).select(self.schema.names)]))
        return pa.concat_tables(tables)

    def merge(self, tables: Sequence[pa.Table]) -> pa.Table:
        """Returns the sums of tables."""
        return summed(tables, ("axis", "label", "score", "step"), self.schema)


COUNTERS: tuple[Counter | Wide, ...] = (Scored(),)


@dataclass(frozen=True)
class Curves:
    """What stays from each step on: for each sum int64[labels, steps + 1], of an axis."""

    labels: tuple[str | None, ...]
    sums: Mapping[str, Whole]

    def at(self, threshold: float, name: str) -> Whole:
        """Returns what each label keeps from a threshold on, int64[labels]."""
        kept: Whole = self.sums[name][:, math.ceil(threshold * STEPS - 1e-6)]
        return kept

    def effective(self, threshold: float, name: str) -> float:
        """Returns the effective number of labels from a threshold on; what has none is no label."""
        named = [number for number, label in enumerate(self.labels) if label is not None]
        return hill(self.at(threshold, name)[named], 1)

    def half(self, number: int) -> float | None:
        """Returns the least threshold from which less than half of the size of a label stays; None where none does."""
        kept = self.sums["size"][number]
        below = np.flatnonzero(2 * kept < kept[0])
        return int(below[0]) / STEPS if len(below) else None


def curves(table: pa.Table, axis: str, score: str) -> Curves:
    """Returns the curves of an axis, the largest label first."""
    mine = pc.and_(pc.equal(table.column("axis"), axis), pc.equal(table.column("score"), score))
    rows = table.filter(pc.and_(mine, pc.is_valid(table.column("step"))))
    sizes: dict[str | None, int] = {}
    for label, size in zip(rows.column("label").to_pylist(), rows.column("size").to_pylist(), strict=True):
        sizes[label] = sizes.get(label, 0) + size
    labels = tuple(sorted(sizes, key=lambda label: (-sizes[label], label or "")))
    places = np.array([labels.index(label) for label in rows.column("label").to_pylist()], np.int64)
    sums = {}
    for name in SUMS:
        grid = np.zeros((len(labels), STEPS + 1), np.int64)
        np.add.at(grid, (places, np.asarray(rows.column("step"))), np.asarray(rows.column(name)))
        sums[name] = np.cumsum(grid[:, ::-1], axis=1)[:, ::-1]
    return Curves(labels, sums)


def names_at(facts: Facts, axis: str, weight: str) -> list[tuple[int, float]]:
    """Returns for each of THRESHOLDS how many names there are with a document of that quality, and their 1D."""
    levels = facts.tables["name_levels"]
    rows = levels.filter(pc.and_(pc.equal(levels.column("axis"), axis), pc.equal(levels.column("weight"), weight)))
    level, bins, names, amounts = (np.asarray(rows.column(name)) for name in ("level", "bin", "names", "amount"))
    _, place = np.unique(bins, return_inverse=True)
    found = []
    for threshold in range(len(THRESHOLDS)):
        there = level >= threshold
        size = int(place.max(initial=-1)) + 1
        count, whole = np.zeros(size, np.int64), np.zeros(size, np.int64)
        np.add.at(count, place[there], names[there])
        np.add.at(whole, place[there], amounts[there])
        some = count > 0
        found.append((int(count.sum()), hill(whole[some] / count[some], 1, count[some])))
    return found


def chosen(facts: Facts) -> str | None:
    """Returns the score that is swept: quality where there is any, else how sure languages are; None without scores."""
    table = facts.tables["sweep"]
    scored = set(table.filter(pc.is_valid(table.column("step"))).column("score").to_pylist())
    return next((score for score in SCORES if score in scored), None)


def missing(facts: Facts) -> Iterator[Words]:
    """Yields that no classifier has said how good the text is."""
    if chosen(facts) != SCORES[0]:
        yield Words(
            en=(
                "What thresholds on quality would do to diversity: no classifier has scored the documents; add a step "
                "`classify` named `quality`. Where languages were told, how sure they are is swept in its place."
            ),
            zh=(
                "质量阈值对多样性的影响：没有分类器给文档打分；请加入名为 `quality` 的 `classify` 阶段。"
                "若已做语种识别，则改为对语种置信度作阈值扫描。"
            ),
        )


def sections(facts: Facts) -> Iterator[Section]:
    """Yields the section `sweep`."""
    score = chosen(facts)
    if score is None:
        return
    every = {axis: curves(facts.tables["sweep"], axis, score) for axis in AXES}
    graded = score == SCORES[0]
    yield Section(
        key="sweep",
        title=Words(en="Quality against diversity", zh="质量与多样性的取舍"),
        intro=Words(
            en=(
                f"What would be left of this corpus with a threshold on `{score}`: how much text, how many hosts, "
                "domains, languages, formats and sources of equal size would be as diverse, and how far the shares "
                "move (Jensen-Shannon divergence to the corpus as it is, 0 to 1 bit). Exact, from what stayed; text "
                "that was dropped does not come back here: `datapipe whatif` tells what lower limits would keep."
            ),
            zh=(
                f"若对 `{score}` 设定阈值，本语料还会剩下什么：多少文本；主机、域名、语种、体裁与来源的有效数还有多少；"
                "各类占比偏移多大（与现语料之间的 Jensen-Shannon 散度，0 至 1 比特）。结果由留存文档精确计算；"
                "已被移除的文本不会在此恢复：放低阈值的效果由 `datapipe whatif` 给出。"
            ),
        ),
        figures=(*_figures(facts, every, score), *_halves(every, score)),
        tables=(
            _table(facts, every, score, graded=graded),
            *(_shares(every[axis], axis, label, score) for axis, label in _SHARED if len(every[axis].labels) > 1),
            _groups(every, score),
        ),
    )


_LANGUAGE: Final = Words(en="language", zh="语种")
_FORMAT: Final = Words(en="format", zh="体裁")
_SHARED: Final = (("language", _LANGUAGE), ("format", _FORMAT))
_LABELS: Final = {"language": _LANGUAGE, "format": _FORMAT, "source": Words(en="source", zh="来源")}
_MANY: Final = {
    "language": Words(en="languages", zh="语种"),
    "format": Words(en="formats", zh="体裁"),
    "source": Words(en="sources", zh="来源"),
    "host": Words(en="hosts", zh="主机"),
    "domain": Words(en="domains", zh="域名"),
}


def _figures(facts: Facts, every: Mapping[str, Curves], score: str) -> Iterator[Figure]:
    """Yields what a middling and a high threshold would keep, and move."""
    base = every["source"]
    yield Figure(
        key="sweep.scored",
        label=Words(en=f"documents that have a score ({score})", zh=f"有得分（{score}）的文档"),
        value=int(base.at(0, "documents").sum()),
        unit="documents",
        command=asked(f"{score}!=none"),
    )
    for threshold in TOLD:
        name, command = f"{threshold:g}".partition(".")[2].ljust(2, "0"), asked(f"{score}>={threshold:g}")
        for sum_name, weight in weighed(facts):
            whole = int(base.at(0, sum_name).sum())
            yield Figure(
                key=f"sweep.kept{name}.{weight.key}",
                label=Words(
                    en=f"share of {weight.label.en} with {score} of {threshold:g} or more",
                    zh=f"{score} 不低于 {threshold:g} 的{weight.label.zh}占比",
                ),
                value=int(base.at(threshold, sum_name).sum()) / whole if whole else None,
                unit="share",
                command=command,
            )
        for axis in AXES:
            before, after = (every[axis].at(at, "size") for at in (0, threshold))
            many = _MANY[axis]
            yield Figure(
                key=f"sweep.shift{name}.{axis}",
                label=Words(
                    en=f"bits by which {score} of {threshold:g} or more moves the shares of {many.en}",
                    zh=f"{score} 阈值取 {threshold:g} 时{many.zh}占比的偏移（比特）",
                ),
                value=divergence(before, after)[0],
                unit="number",
                command=asked(f"{score}<{threshold:g}"),
            )


def _halves(every: Mapping[str, Curves], score: str) -> Iterator[Figure]:
    """Yields from which threshold on less than half of a language's text would stay."""
    for number, label in _large(every["language"]):
        if not is_name(label):
            continue
        half = every["language"].half(number)
        yield Figure(
            key=f"sweep.half.{label}",
            label=Words(
                en=f"{score} from which on less than half of {label} would stay",
                zh=f"使 {label} 留存不足一半的 {score} 阈值",
            ),
            value=half,
            unit="number",
            command=asked(*([f"{score}<{half}"] if half else []), of={"language": label}),
            note=None if half is not None else _NEVER,
        )


_NEVER: Final = Words(en="Half or more stays at every threshold.", zh="任何阈值下都至少留存一半。")


def _large(held: Curves, least: int = LEAST) -> list[tuple[int, str]]:
    """Returns the largest labels that have so many documents, with their places."""
    whole = held.at(0, "documents")
    there = [(place, label) for place, label in enumerate(held.labels) if label is not None]
    return [(place, label) for place, label in there if whole[place] >= least][:MOST]


def _table(facts: Facts, every: Mapping[str, Curves], score: str, *, graded: bool) -> Table:
    """Returns for each threshold what is kept, how diverse it is, and how far it is from all."""
    weights = weighed(facts)
    kept = [[int(every["source"].at(at, name).sum()) for at in THRESHOLDS] for name, _ in weights]
    diverse: dict[str, list[float]] = {}
    numbers: dict[str, list[int]] = {}
    for axis in SWEPT if graded else ():
        found = names_at(facts, axis, "size")
        if found[0][0]:
            numbers[axis], diverse[axis] = [number for number, _ in found], [value for _, value in found]
            diverse[f"{axis}_documents"] = [value for _, value in names_at(facts, axis, "documents")]
    axes = [axis for axis in AXES if every[axis].effective(0, "size")]
    diverse |= {axis: [every[axis].effective(at, "size") for at in THRESHOLDS] for axis in axes}
    moved = [
        [divergence(every[axis].at(0, "size"), every[axis].at(at, "size"))[0] for at in THRESHOLDS] for axis in axes
    ]
    columns = [
        (Column(key="threshold", label=Words(en=f"{score} from", zh=f"{score} 下限"), unit="number"), THRESHOLDS),
        *((share_column(weight), _relative(values)) for (_, weight), values in zip(weights, kept, strict=True)),
        *(
            (_column("left", "left of effective {en}", "有效{zh}数留存", axis), _relative(values))
            for axis, values in diverse.items()
        ),
        *(
            (Column(key=weight.key, label=weight.label, unit=weight.unit), values)
            for (_, weight), values in zip(weights, kept, strict=True)
        ),
        *((_column("effective", "effective {en}", "有效{zh}数", axis), values) for axis, values in diverse.items()),
        *((_column("number", "{en}", "{zh}数", axis), values) for axis, values in numbers.items()),
        *(
            (_column("moved", "shift of {en} (bits)", "{zh}偏移（比特）", axis), values)
            for axis, values in zip(axes, moved, strict=True)
        ),
    ]
    return Table(
        key="sweep.thresholds",
        label=Words(en=f"What each threshold on {score} keeps", zh=f"{score} 各阈值下的留存"),
        columns=tuple(column for column, _ in columns),
        rows=tuple(zip(*(values for _, values in columns), strict=True)),
        commands=tuple(asked(f"{score}>={threshold:g}") for threshold in THRESHOLDS),
        chart=Chart(
            kind="line",
            x="threshold",
            y=(share_column(weights[1][1]).key, *(f"{axis}_left" for axis in (*numbers, *axes))),
        ),
        note=Words(
            en="Effective numbers (1D) and shifts are by tokens, or else characters, unless by documents.",
            zh="除另有说明外，有效数（¹D）与偏移按词元（无词元时按字符）加权。",
        ),
    )


def _relative(values: Sequence[float]) -> list[Cell]:
    """Returns values as shares of the first."""
    return [value / values[0] if values[0] else None for value in values]


def _column(what: str, en: str, zh: str, axis: str) -> Column:
    name, by_documents, _ = axis.partition("_documents")
    by = Words(en=" by documents", zh="（按文档）") if by_documents else Words(en="", zh="")
    label = Words(en=en.format(en=_MANY[name].en) + by.en, zh=zh.format(zh=_MANY[name].zh) + by.zh)
    return Column(key=f"{axis}_{what}", label=label, unit="share" if what == "left" else "number")


def _shares(held: Curves, axis: str, label: Words, score: str) -> Table:
    """Returns the shares of the largest groups at each threshold, by size."""
    large = _large(held, least=1)[:SHOWN]
    rows: list[tuple[Cell, ...]] = []
    for threshold in THRESHOLDS:
        kept = held.at(threshold, "size")
        whole = int(kept.sum())
        rows.append((threshold, *(int(kept[place]) / whole if whole else None for place, _ in large)))
    names = [str(shown(name)) for _, name in large]
    return Table(
        key=f"sweep.{axis}",
        label=Words(en=f"Shares of each {label.en} by threshold", zh=f"各阈值下的{label.zh}占比"),
        columns=(
            Column(key="threshold", label=Words(en=f"{score} from", zh=f"{score} 下限"), unit="number"),
            *(
                Column(key=f"share{number}", label=Words(en=name, zh=name), unit="share")
                for number, name in enumerate(names, 1)
            ),
        ),
        rows=tuple(rows),
        commands=tuple(asked(f"{score}>={threshold:g}") for threshold in THRESHOLDS),
        chart=Chart(kind="line", x="threshold", y=tuple(f"share{number}" for number in range(1, len(names) + 1))),
    )


def _groups(every: Mapping[str, Curves], score: str) -> Table:
    """Returns what thresholds would leave of each group, and from which on it would lose half."""
    rows: list[tuple[Cell, ...]] = []
    commands: list[str | None] = []
    for axis in _LABELS:
        for place, name in _large(every[axis]):
            whole = int(every[axis].at(0, "size")[place])
            half = every[axis].half(place)
            shares = [int(every[axis].at(at, "size")[place]) / whole if whole else None for at in ASKED]
            documents = int(every[axis].at(0, "documents")[place])
            rows.append((shown(name), axis, documents, half, *shares))
            commands.append(asked(*([f"{score}<{half}"] if half else []), of={axis: name}))
    return Table(
        key="sweep.groups",
        label=Words(en="Who would be left, by threshold", zh="各阈值下各类的留存"),
        columns=(
            Column(key="group", label=Words(en="group", zh="类别"), unit="text"),
            Column(key="axis", label=Words(en="of", zh="维度"), unit="text", words=_LABELS),
            Column(key="documents", label=Words(en="documents", zh="文档"), unit="documents"),
            Column(key="half", label=Words(en="loses half from", zh="减半阈值"), unit="number"),
            *(
                Column(key=f"from{number}", label=Words(en=f"left at {at:g}", zh=f"{at:g} 时留存"), unit="share")
                for number, at in enumerate(ASKED)
            ),
        ),
        rows=tuple(rows),
        commands=tuple(commands),
        note=Words(
            en=f"Shares of its tokens (or characters). Groups of {LEAST} documents or more; none: half stays at each.",
            zh=f"按词元（或字符）计的留存比例；只列有 {LEAST} 篇以上文档的类别；减半阈值为空：各阈值下都至少留存一半。",
        ),
    )
