"""How far two corpora are from each other on an axis: hosts, domains, sources, languages, scripts, formats, topics.

The Jensen-Shannon divergence is of the whole counted tables. Of hosts and domains so many as are named (the largest of
each corpus) are bins of their own; where there are more, what is left is one bin, which can only make the divergence
smaller, and `most` is what it would be if no host of the rest was in both: the truth lies between. It is then added up
of all names by a pipeline (`names`), and these are bounds no more.

What chance gives is told of documents. Two corpora share most of theirs, and a document that is in both moves neither:
of n and m documents, s of them shared, a share p̂ - q̂ has the variance p (1 - p) (1/n + 1/m - 2s/nm), so the divergence
that a blind exchange of the others would give is (k - 1) / (8 ln 2) times the last factor for k groups, and what such
exchanges give is distributed as chi-squared with k - 1 degrees of freedom. For intervals of shares the correlation is
s/√(nm); a document whose label is another counts as not shared, so intervals are rather too wide.

Source: Lin 1991, IEEE Trans. Inf. Theory 37, 145; Grosse et al. 2002, Phys. Rev. E 65, 041905 (its distribution by
chance); Newcombe 1998, Statistics in Medicine 17, 2635, method 10 (paired shares); Wilson and Hilferty 1931, PNAS 17,
684 (quantiles of chi-squared).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from stages.audit.clusters import NONE
from stages.audit.compare.model import Bin, Shift
from stages.audit.counter import Facts
from stages.audit.frame import KEPT
from stages.audit.gates import CHANGE, Measured
from stages.audit.held import held, largest, nameless
from stages.audit.hosts import weighed
from stages.audit.measures import Estimate, Values, Z, divergence, wilson
from stages.audit.shifts import CUBE_AXES, WIDE_AXES
from stages.audit.weights import DOCUMENTS, shown

TOPIC: Final = "topic"
AXES: Final = (*WIDE_AXES, *CUBE_AXES, TOPIC)
SHOWN: Final = 50  # groups of an axis
LEAST: Final = 1e-15  # bits: less is what sums of rounded numbers leave
Z_ONE_SIDED: Final = 1.6448536269514722  # of 95 %


@dataclass(frozen=True)
class Shared:
    """Documents of both corpora, of A alone and of B alone; `relabelled` of an axis have another label in B."""

    both: int
    only_a: int
    only_b: int
    relabelled: Mapping[str, int]

    def of(self, axis: str, a: float, b: float) -> float:
        """Returns how many documents of `a` and `b` that have a group on an axis are the same, at the least."""
        same = min(a - self.only_a, b - self.only_b, self.both)
        return max(0.0, same - self.relabelled.get(axis, 0))


APART: Final = Shared(0, 0, 0, {})  # of which nothing is known


@dataclass(frozen=True)
class Spread:
    """What the groups of an axis hold: `named` each, `rest` the groups beside them together."""

    named: Mapping[str, float]
    rest: float
    groups: int
    unknown: float  # of no group

    @property
    def whole(self) -> float:
        """What all of them hold."""
        return math.fsum(self.named.values()) + self.rest


def spreads(facts: Facts) -> Iterator[tuple[str, str, Spread]]:
    """Yields axis, weighting and what the groups hold, of all axes that a corpus has."""
    weights = weighed(facts)
    kept = [row for row in facts.tables["cube"].to_pylist() if row["stage"] == KEPT]
    for axis in WIDE_AXES:
        rows, none = largest(facts, axis).to_pylist(), nameless(facts, axis)
        for name, weight in weights:
            every = held(facts, axis, name)
            if every.names:
                named = {row["name"]: float(row[name]) for row in rows if row[name] > 0}
                rest = max(0.0, every.whole - math.fsum(named.values())) if every.names > len(named) else 0.0
                yield axis, weight.key, Spread(named, rest, every.names, float(none[name]))
    for axis in CUBE_AXES:
        for _, weight in weights:
            sums: dict[str | None, float] = {}
            for row in kept:
                sums[row[axis]] = sums.get(row[axis], 0.0) + row[weight.key]
            other = sums.pop(None, 0.0)
            if sums:
                named = {group: size for group, size in sums.items() if group is not None and size}
                yield axis, weight.key, Spread(named, 0.0, len(named), other)
    topics = facts.tables["topics"].to_pylist()
    for _, weight in weights:
        share = f"{weight.key}_share"
        if topics and topics[0].get(share) is not None:
            looked = sum(row["documents"] for row in topics)
            sizes = {_topic(row): float(row[share]) * looked for row in topics if row["topic"] != NONE and row[share]}
            other = math.fsum(row[share] * looked for row in topics if row["topic"] == NONE)
            yield TOPIC, weight.key, Spread(sizes, 0.0, len(sizes), other)


def _topic(row: Mapping[str, object]) -> str:
    return f"{row['topic']} {row['label']}"


def shifts(a: Facts, b: Facts, shared: Shared, *, topics: bool) -> Iterator[Shift]:
    """Yields how far two corpora are apart on each axis in each weighting; on topics only if they have one model."""
    sides = [{(axis, weighting): spread for axis, weighting, spread in spreads(side)} for side in (a, b)]
    for axis, weighting in sides[0]:
        if (axis, weighting) in sides[1] and (axis != TOPIC or topics):
            x, y = (side[axis, weighting] for side in sides)
            if not (x.whole and y.whole):
                continue  # of one, no group is known
            own = APART if axis == TOPIC else shared  # drawn documents: how many are in both is not counted
            yield shift_of(axis, weighting, x, y, own)


def shift_of(axis: str, weighting: str, a: Spread, b: Spread, shared: Shared = APART) -> Shift:
    """Returns how far two distributions are apart; what chance gives is told where they are of documents."""
    names, rests = _bins(a, b)
    n, m = a.whole, b.whole
    x, y = (
        np.array([*(side.named.get(name, 0.0) for name in names), rest], np.float64)
        for side, rest in zip((a, b), rests, strict=True)
    )
    value, each = divergence(x, y)
    value = 0.0 if value < LEAST else value
    most = math.fsum(each[:-1]) + (rests[0] / n + rests[1] / m) / 2 if any(rests) else None
    same = shared.of(axis, n, m) if weighting == DOCUMENTS.key else None
    bins = [
        _bin(
            name,
            wilson(float(x[row]), n),
            wilson(float(y[row]), m),
            float(each[row]),
            None if same is None else same / math.sqrt(n * m),
        )
        for row, name in enumerate(names)
    ]
    made = Shift(
        axis=axis,
        weighting=weighting,
        groups_a=a.groups,
        groups_b=b.groups,
        unknown_a=_part(a),
        unknown_b=_part(b),
        divergence=value,
        most=most,
        says="same" if not (value or most) else "unsure" if axis == TOPIC else "counted",
        bins=tuple(sorted(bins, key=lambda one: (-one.adds, one.group))),
        of=len(bins),
    )
    if same is None or not value or most is not None:
        return made
    reach = Z * _error(x / n, y / m, n, m, same)
    told = {"low": max(0.0, value - reach), "high": min(1.0, value + reach)}
    return made.model_copy(update={**told, **_by_chance(value, int(((x > 0) | (y > 0)).sum()), n, m, same)})


def _by_chance(value: float, groups: int, n: float, m: float, same: float) -> dict[str, object]:
    """Returns what a blind exchange of documents would give, and whether a divergence is more."""
    free = max(1, groups - 1)
    unit = max(0.0, 1 / n + 1 / m - 2 * same / (n * m)) / (8 * math.log(2))
    return {"chance": free * unit, "says": "beyond" if value > chi_squared(free) * unit else "within"}


def unnamed(a: Facts, b: Facts, shifts: Sequence[Shift]) -> tuple[tuple[str, str, int, int], ...]:
    """Returns axis, weighting (as in tables of names), and what A and B hold, of shifts that are only bounded."""
    keys = {weight.key: name for name, weight in weighed(a)}
    found = []
    for one in shifts:
        if one.most is not None:
            x, y = (held(facts, one.axis, keys[one.weighting]).whole for facts in (a, b))
            found.append((one.axis, keys[one.weighting], x, y))
    return tuple(found)


def exact(
    shifts: Sequence[Shift], a: Facts, b: Facts, found: Mapping[tuple[str, str], tuple[float, int]], shared: Shared
) -> list[Shift]:
    """Returns shifts with the divergences that were added up of all names, by axis and weighting of tables of names."""
    keys = {weight.key: name for name, weight in weighed(a)}
    made = []
    for one in shifts:
        value, names = found.get((one.axis, keys.get(one.weighting, "")), (0.0, 0))
        if one.most is None or not names:
            made.append(one)
            continue
        told: dict[str, object] = {
            "divergence": value,
            "most": None,
            "of": names,
            "says": "counted" if value else "same",
        }
        if one.weighting == DOCUMENTS.key and value:
            n, m = (float(held(facts, one.axis, "documents").whole) for facts in (a, b))
            told |= _by_chance(value, names, n, m, shared.of(one.axis, n, m))
        made.append(one.model_copy(update=told))
    return made


def _bins(a: Spread, b: Spread) -> tuple[list[str], list[float]]:
    """Returns the groups that are known of both, and what the others of each hold together."""
    names = sorted(name for name in {*a.named, *b.named} if all(name in side.named or not side.rest for side in (a, b)))
    rests = [max(0.0, side.whole - math.fsum(side.named.get(name, 0.0) for name in names)) for side in (a, b)]
    return names, [
        rest if rest > 1e-6 * side.whole or side.rest else 0.0 for rest, side in zip(rests, (a, b), strict=True)
    ]


def _part(spread: Spread) -> float | None:
    whole = spread.whole + spread.unknown
    return spread.unknown / whole if whole else None


def _bin(name: str, a: Estimate, b: Estimate, adds: float, correlation: float | None) -> Bin:
    """Returns a group; with an interval of its change where it is known how documents of A and B go together."""
    made = Bin(group=str(shown(name)), a=a.value, b=b.value, change=b.value - a.value, adds=adds)
    if correlation is None:
        return made
    _, low, high = paired(a, b, correlation)
    return made.model_copy(update={"low": low, "high": high})


def paired(a: Estimate, b: Estimate, correlation: float) -> Estimate:
    """Returns B less A with its interval, of estimates that are correlated by documents that both have.

    >>> [round(value, 4) for value in paired(wilson(48, 80), wilson(56, 70), 0.0)]
    [0.2, 0.0524, 0.3339]
    >>> [round(value, 4) for value in paired(wilson(48, 80), wilson(48, 80), 1.0)]
    [0.0, -0.0092, 0.0092]
    """
    rho = min(1.0, max(-1.0, correlation))
    value = b.value - a.value

    def reach(x: float, y: float) -> float:
        return math.sqrt(max(0.0, x * x + y * y - 2 * rho * x * y))

    return Estimate(
        value,
        value - reach(b.value - b.low, a.high - a.value),
        value + reach(b.high - b.value, a.value - a.low),
    )


def _error(p: Values, q: Values, n: float, m: float, same: float) -> float:
    """Returns the standard error of the divergence by the delta method, where documents are drawn, `same` in both."""
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        of_p = np.where(p > 0, np.log2(p / middle) / 2, 0.0)
        of_q = np.where(q > 0, np.log2(q / middle) / 2, 0.0)
    common = np.minimum(p * n, q * m)
    common = common / max(math.fsum(common), 1e-300)

    def covariance(weights: Values, x: Values, y: Values) -> float:
        return math.fsum(weights * x * y) - math.fsum(weights * x) * math.fsum(weights * y)

    variance = covariance(p, of_p, of_p) / n + covariance(q, of_q, of_q) / m
    return math.sqrt(max(0.0, variance + 2 * same / (n * m) * covariance(common, of_p, of_q)))


def chi_squared(free: int) -> float:
    """Returns the 95 % quantile of chi-squared, to a thousandth of it (3 % of one degree of freedom).

    >>> round(chi_squared(10), 2)  # 18.307
    18.29
    """
    part = 2 / (9 * free)
    return float(free * (1 - part + Z_ONE_SIDED * math.sqrt(part)) ** 3)


def cut(shift: Shift) -> Shift:
    """Returns a shift with as many groups as are shown: those that add something, the largest first."""
    return shift.model_copy(update={"bins": tuple(one for one in shift.bins if one.adds)[:SHOWN]})


# For gates


def shares(facts: Facts) -> Iterator[tuple[str, Measured]]:
    """Yields `share.AXIS.GROUP.WEIGHTING` of one corpus."""
    for axis, weighting, spread in spreads(facts):
        for name, size in spread.named.items():
            yield f"share.{axis}.{shown(name)}.{weighting}", Measured(size / spread.whole, drawn=axis == TOPIC)


def measured(shifts: Sequence[Shift]) -> Iterator[tuple[str, Measured]]:
    """Yields `diff.shift.AXIS.WEIGHTING` in bits, and `share.AXIS.GROUP.WEIGHTING` of B with its change.

    Where groups are too many to be named, the divergence counts as the most that it may be.
    """
    for shift in shifts:
        low, high = (shift.divergence, shift.most) if shift.most is not None else (shift.low, shift.high)
        drawn = shift.axis == TOPIC and shift.says != "same"
        told = Measured(shift.most or shift.divergence, low, high, drawn=drawn)
        yield f"diff.shift.{shift.axis}.{shift.weighting}", told
        for one in shift.bins:
            key = f"share.{shift.axis}.{one.group}.{shift.weighting}"
            yield key, Measured(one.b, drawn=shift.axis == TOPIC)
            yield CHANGE + key, Measured(one.change, one.low, one.high, drawn=drawn)
