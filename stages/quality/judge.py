"""Judging: signals against a table of rules. It needs no text, so limits can be moved without measuring again.

A rule with `pareto: a` keeps a document of score s exactly if s > 2 - (1 - u)^(-1/a), where u in [0, 1) is drawn for
the document: a pure function of its id, the rule's seed and the rule's id (`uniform`). That is the published
`numpy.random.pareto(a) > 1 - s`, drawn by inversion: a Lomax distribution, so a document is kept with probability
(2 - s)^-a.

Source: Brown et al. 2020 (GPT-3), appendix A (a = 9); the finalizer of `uniform` is SplitMix64's (Steele, Lea and Flood
2014).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stages.quality.tables import Condition, Rule

Bits = NDArray[np.bool_]
Values = NDArray[Any]  # Any: float32, float64 or an integer, as the column is

_MIX = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Verdict:
    """What the rules of a table say of documents."""

    evaluated: Bits  # [rules, documents]: its conditions hold, and there is a value
    fired: Bits  # [rules, documents]: evaluated, and the value is beyond a limit
    values: NDArray[np.float64]  # [rules, documents]
    limits: NDArray[np.float64]  # [rules, documents]: the limit that the value is beyond, NaN where it is not

    @property
    def first(self) -> NDArray[np.int64]:
        """The first rule of each document, in the order of the table, that fired; -1 where none did."""
        if len(self.fired) == 0:
            return np.full(self.fired.shape[1], -1)
        return np.where(self.fired.any(axis=0), self.fired.argmax(axis=0), -1)

    @property
    def sole(self) -> Bits:
        """Where a rule is the only one that fired, bool[rules, documents]."""
        alone: Bits = self.fired & (self.fired.sum(axis=0) == 1)
        return alone


def judge(rows: pa.RecordBatch, rules: Sequence[Rule]) -> Verdict:
    """Returns what `rules` say of documents, all rules of all documents.

    `rows` has the columns that the rules look at: signals, `language`, `format`, and `id` where one draws.
    """
    shape = (len(rules), rows.num_rows)
    verdict = Verdict(np.ones(shape, bool), np.zeros(shape, bool), np.zeros(shape), np.full(shape, np.nan))
    met: dict[Condition, Bits] = {}
    for number, rule in enumerate(rules):
        for condition in rule.when:
            if condition not in met:
                met[condition] = holds(condition, rows)
            verdict.evaluated[number] &= met[condition]
        value = _values(rows, rule.signal)
        verdict.evaluated[number] &= ~np.isnan(value)
        verdict.values[number] = np.round(value.astype(np.float64), 6)
        if rule.pareto is not None:
            limit = pareto_limit(rows.column("id"), rule.pareto, rule.seed, rule.id)
            verdict.fired[number] = verdict.evaluated[number] & ~(value.astype(np.float64) > limit)
            verdict.limits[number] = np.where(verdict.fired[number], limit, np.nan)
            continue
        below, above = beyond(value, rule.min, rule.max)
        verdict.fired[number] = verdict.evaluated[number] & (below | above)
        verdict.limits[number][below] = rule.min
        verdict.limits[number][above] = rule.max
    return verdict


def holds(condition: Condition, rows: pa.RecordBatch) -> Bits:
    """Returns where a condition holds, bool[documents]; a format that no step has said excludes nothing."""
    met = np.ones(rows.num_rows, bool)
    if condition.languages is not None:
        met &= _among(rows.column("language"), condition.languages)
    if condition.formats is not None and rows.schema.get_field_index("format") >= 0:
        said = rows.column("format")
        met &= _among(said, condition.formats) | np.asarray(said.is_null())
    if condition.signal is not None:
        value = _values(rows, condition.signal)
        below, above = beyond(value, condition.min, condition.max)
        met &= ~(below | above | np.isnan(value))
    return met


def _among(column: pa.Array, labels: Sequence[str]) -> Bits:
    found: Bits = pc.is_in(column, pa.array(labels, column.type)).to_numpy(zero_copy_only=False)
    return found


def _values(rows: pa.RecordBatch, name: str) -> Values:
    values: Values = rows.column(name).to_numpy(zero_copy_only=False)
    return values


def beyond(value: Values, low: float | None, high: float | None) -> tuple[Bits, Bits]:
    """Returns where values are below and above the limits, compared in the type of the values; NaN is neither."""
    nowhere = np.zeros(len(value), bool)
    kind = np.float32 if value.dtype == np.float32 else np.float64
    return nowhere if low is None else value < kind(low), nowhere if high is None else value > kind(high)


def pareto_limit(ids: pa.Array, shape: float, seed: int, rule: str) -> NDArray[np.float64]:
    """Returns the score that each document must be above, 2 - (1 - u)^(-1/shape), float64[documents]."""
    limits: NDArray[np.float64] = 2 - np.power(1 - uniform(ids, seed, rule), -1 / shape)
    return limits


def pareto_share(score: NDArray[np.float64], shape: float) -> NDArray[np.float64]:
    """Returns with which probability documents of these scores (at most 1) are kept, (2 - score)^-shape."""
    share: NDArray[np.float64] = np.power(2 - np.minimum(score, 1), -shape)
    return share


def uniform(ids: pa.Array, seed: int, rule: str) -> NDArray[np.float64]:
    """Returns a number in [0, 1) for each id (binary(16)), of 53 bits, equal for equal (id, seed, rule).

    The id is two little-endian 64-bit words a and b, the BLAKE2b-128 of `pareto`, NUL, seed, NUL, rule two words k and
    l. The number is the upper 53 bits of mix(mix(a ^ k) + (b ^ l)), times 2^-53.
    """
    key = np.frombuffer(hashlib.blake2b(f"pareto\0{seed}\0{rule}".encode(), digest_size=16).digest(), "<u8")
    held = ids.buffers()[1] or b""
    words = (
        np.frombuffer(held, "<u8")[2 * ids.offset : 2 * (ids.offset + len(ids))] if len(held) else np.zeros(0, "<u8")
    )
    drawn = _mix(_mix(words[0::2] ^ key[0]) + (words[1::2] ^ key[1]))
    return (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Returns the words, every bit of which depends on every bit (SplitMix64's finalizer; arithmetic modulo 2^64)."""
    word = (word ^ (word >> np.uint64(30))) * _MIX[0]
    word = (word ^ (word >> np.uint64(27))) * _MIX[1]
    mixed: NDArray[np.uint64] = word ^ (word >> np.uint64(31))
    return mixed
