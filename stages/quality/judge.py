"""Judging: signals against a table of rules. It needs no text, so limits can be moved without measuring again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages.quality.tables import Condition, Rule

Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class Verdict:
    """What the rules of a table say of documents."""

    evaluated: Bits  # [rules, documents]: its conditions hold
    fired: Bits  # [rules, documents]: evaluated, and the value is beyond a limit
    values: NDArray[np.float64]  # [rules, documents]
    limits: NDArray[np.float64]  # [rules, documents]: the limit that the value is beyond, NaN where it is not

    @property
    def first(self) -> NDArray[np.int64]:
        """The first rule of each document, in the order of the table, that fired; -1 where none did."""
        if len(self.fired) == 0:
            return np.full(self.fired.shape[1], -1)
        return np.where(self.fired.any(axis=0), self.fired.argmax(axis=0), -1)


def judge(signals: pa.RecordBatch, language: pa.Array, rules: Sequence[Rule]) -> Verdict:
    """Returns what `rules` say of the documents that have these signals and languages. All rules are evaluated."""
    shape = (len(rules), signals.num_rows)
    verdict = Verdict(np.ones(shape, bool), np.zeros(shape, bool), np.zeros(shape), np.full(shape, np.nan))
    labels = np.asarray(language.to_pylist(), dtype=object)
    for number, rule in enumerate(rules):
        for condition in rule.when:
            verdict.evaluated[number] &= _holds(condition, signals, labels)
        value = _values(signals, rule.signal)
        below, above = _beyond(value, rule.min, rule.max)
        verdict.fired[number] = verdict.evaluated[number] & (below | above)
        verdict.values[number] = np.round(value.astype(np.float64), 6)
        verdict.limits[number][below] = rule.min
        verdict.limits[number][above] = rule.max
    return verdict


def _holds(condition: Condition, signals: pa.RecordBatch, labels: NDArray[np.object_]) -> Bits:
    holds = np.ones(signals.num_rows, bool)
    if condition.languages is not None:
        holds &= np.isin(labels.astype(str), condition.languages)
    if condition.signal is not None:
        below, above = _beyond(_values(signals, condition.signal), condition.min, condition.max)
        holds &= ~(below | above)
    return holds


def _values(signals: pa.RecordBatch, name: str) -> NDArray[np.float32]:
    values: NDArray[np.float32] = signals.column(name).to_numpy(zero_copy_only=False)
    return values


def _beyond(value: NDArray[np.float32], low: float | None, high: float | None) -> tuple[Bits, Bits]:
    """Returns where values are below and above the limits, compared in the type of the values."""
    nowhere = np.zeros(len(value), bool)
    kind = np.float32 if value.dtype == np.float32 else np.float64
    return nowhere if low is None else value < kind(low), nowhere if high is None else value > kind(high)
