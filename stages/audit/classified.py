"""What classifiers of a user say of the documents that stayed: machine-written text, toxicity, whatever they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from stages.audit.counter import Facts
from stages.audit.groups import SCORES, by
from stages.audit.model import Figure, Table, Words
from stages.audit.rates import rate
from stages.audit.weights import (
    asked,
    is_name,
    score_table,
    shares_table,
    shown,
    total,
)


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


def figures(facts: Facts) -> Iterator[Figure]:
    """Yields the share of each label, and of scores of 0.5 or more."""
    for name, own in _classified(facts):
        if not is_name(name):
            continue
        amount = total(own, "documents")
        for label in sorted({one for one in own.column("label").to_pylist() if is_name(one)})[:20]:
            found = total(own.filter(pc.equal(own.column("label"), label)), "documents")
            words = Words(en=f"{name} = {label}", zh=f"{name} = {label}")
            yield rate(f"risk.label.{name}.{label}", words, found, amount, asked(of={name: label}), _ERRS)
        if own.column("step").null_count == 0:
            found = total(own.filter(pc.greater_equal(own.column("step"), SCORES // 2)), "documents")
            words = Words(en=f"{name}: score of 0.5 or more", zh=f"{name}：得分不低于 0.5")
            yield rate(f"risk.score.{name}.above50", words, found, amount, asked(f"{name}>=0.5"), _ERRS)


def tables(facts: Facts) -> Iterator[Table]:
    """Yields the labels or scores of each classifier."""
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
