"""Two finished runs compared: counted where they were not, document by document, and told as one `Diff`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from datapipe import storage
from stages.audit.compare import axes, documents, gating
from stages.audit.compare.changes import Changes, compare
from stages.audit.compare.counted import Counted, count, place_of
from stages.audit.compare.figures import OTHER_TOKENIZER, OTHER_TOPICS, Apart, cells, figures
from stages.audit.compare.model import Corpus, Diff, Judgement
from stages.audit.compare.names import exactly
from stages.audit.compare.settings import settings
from stages.audit.frame import KEPT
from stages.audit.gates import Measured
from stages.audit.hostile import harmless
from stages.audit.model import Words

PAIRS: Final = "diff"  # below the folder of what is counted of B: what is compared of its documents
CHANCE: Final = Words(
    en="Intervals of changes of figures take A and B as drawn apart from each other. {both:,} documents are in both, "
    "so these are too wide and never too narrow; what is kept of the documents that both were given is paired.",
    zh="各项数值变化的区间把 A 与 B 视为相互独立的样本。双方共有 {both:,} 篇文档，因此区间只会偏宽、不会偏窄；"
    "对双方都输入过的文档，存活率按配对计算。",
)
NO_RECIPE: Final = Words(
    en="A run of an earlier datapipe left no recipe (reports/recipe.json), so settings that its report, manifest and "
    "ledger do not show are not compared.",
    zh="较早版本的 datapipe 没有留下配方（reports/recipe.json），其报告、清单与去除记录未显示的设置无法比较。",
)
OTHER_SEEDS: Final = Words(
    en="What was looked at in a sample was drawn by two seeds ({a} and {b}); `--seed` draws both alike.",
    zh="抽样所得的数值由两个随机种子（{a} 与 {b}）抽取；用 `--seed` 可统一。",
)


@dataclass(frozen=True)
class Compared:
    """A comparison, what gates may name of it, and the files that list every document that differs."""

    diff: Diff
    measured: Mapping[str, Measured]
    files: tuple[str, ...]

    def under(self, gates: tuple[Judgement, ...]) -> Compared:
        """Returns it with what became of gates."""
        return replace(self, diff=self.diff.model_copy(update={"gates": gates}))


def compared(
    a: str,
    b: str,
    *,
    work: str | None = None,
    seed: int | None = None,
    **how: Any,  # Any: executor, address, workers and listener of datapipe.run
) -> Compared:
    """Returns how two corpora differ; nothing but what is counted is written, and that once.

    Raises:
        ConfigError: a folder holds no finished run, or cannot be written and no `work` is given.
        DataError: what a run published is damaged.
    """
    sides = tuple(count(name, folder, work, seed=seed, **how) for name, folder in (("A", a), ("B", b)))
    one, other = sides
    place = _place(one, other, work)
    changes = compare(one.folder, other.folder, place=place, seed=other.facts.seed, **how)
    apart = Apart(one.topics != other.topics, not changes.about["same_tokenizer"])
    shared = documents.shared_of(changes)
    shifts = list(axes.shifts(one.facts, other.facts, shared, topics=not apart.topics and one.topics is not None))
    if wholes := axes.unnamed(one.facts, other.facts, shifts):
        added = exactly(one.folder, other.folder, wholes, place=storage.join(place, "names"), **how)
        shifts = axes.exact(shifts, one.facts, other.facts, added, shared)
    every = [list(made(one.audit, other.audit, apart)) for made in (figures, cells)]
    which, pairs = documents.documents_of(changes), list(documents.survived(changes))
    found, recipes = settings(one, other)
    diff = Diff(
        a=_corpus(one),
        b=_corpus(other),
        seed=other.facts.seed,
        settings=tuple(found),
        documents=which,
        figures=tuple(every[0]),
        cells=tuple(cell for cell in every[1] if cell.says != "same"),
        cells_same=sum(cell.says == "same" for cell in every[1]),
        shifts=tuple(map(axes.cut, shifts)),
        survived=tuple(pairs),
        notes=tuple(_notes(one, other, changes, apart, shared.both, recipes)),
    )
    facts = one.facts, other.facts
    named = gating.of_diff([*every[0], *every[1]], facts, shifts, which, pairs, len(found))
    return Compared(diff, named, changes.files)


def _place(a: Counted, b: Counted, work: str | None) -> str:
    """Returns where what is compared is kept: a folder for each A, beside what is counted of B."""
    digest = hashlib.sha256(repr(sorted(a.digests.items())).encode()).hexdigest()
    return storage.join(place_of(b.folder, work, b.digests), PAIRS, digest[:16])


def _corpus(side: Counted) -> Corpus:
    cube = [row for row in side.table("cube") if row["stage"] == KEPT]
    return Corpus(
        name=harmless(side.run.name),
        config_sha256=side.run.config_sha256,
        code_version=side.run.code_version,
        digests=side.digests,
        documents=sum(row["documents"] for row in cube),
        tokens=sum(row["tokens"] for row in cube),
        trained=sum(row["trained"] for row in cube),
    )


def _notes(a: Counted, b: Counted, changes: Changes, apart: Apart, both: int, recipes: bool) -> Iterator[Words]:
    """Yields what could not be compared, and how what was is to be read."""
    if both and a.digests != b.digests:
        yield Words(en=CHANCE.en.format(both=both), zh=CHANCE.zh.format(both=both))
    if apart.topics:
        yield Words(en=f"Topics: {OTHER_TOPICS.en}.", zh=f"主题：{OTHER_TOPICS.zh}。")
    if apart.tokenizers:
        yield Words(en=f"{OTHER_TOKENIZER.en[:1].upper()}{OTHER_TOKENIZER.en[1:]}.", zh=f"{OTHER_TOKENIZER.zh}。")
    if a.facts.seed != b.facts.seed:
        yield Words(
            en=OTHER_SEEDS.en.format(a=a.facts.seed, b=b.facts.seed),
            zh=OTHER_SEEDS.zh.format(a=a.facts.seed, b=b.facts.seed),
        )
    if not recipes:
        yield NO_RECIPE
    if alone := changes.about["not_compared"]:
        names = ", ".join(harmless(str(name)) for name in alone)
        yield Words(en=f"Only one has these fields of documents: {names}.", zh=f"仅一方具有以下文档字段：{names}。")
    for side in (a, b):
        said = changes.about[side.name.lower()]
        if said["lacks"]:
            names = ", ".join(harmless(str(name)) for name in said["lacks"])
            yield Words(
                en=f"{side.name} was made by an earlier datapipe, or without a step, and does not say: {names}.",
                zh=f"{side.name} 由较早版本生成或缺少阶段，未记录：{names}。",
            )
