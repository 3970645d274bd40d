"""Shares of a run that goes on held against those of an earlier one, source by source.

What is finished is no sample of the whole: it is the files that came first, so the mix of sources is another at each
look. Each shard is therefore held against the earlier run's share of its own source, and what is shown as expected is
that of the sources as they have come so far. A source, rule or group that the earlier run did not have is held against
nothing, and named.

A share has left its band where two things hold: the 95 % interval of the documents seen lies outside of it as a whole,
and the evidence of the shards (`bets`) is such as all shares together would come to in no more than ALARMS of runs that
keep to their bands, looked at as often as one likes (Bonferroni over shares and sides). Of a stage that is finished
everything was seen, and the first is enough. Half of the capital is bet on all sources at once, half on each by itself.

Source: Wilson 1927 (intervals, `stages.audit.measures`); direct standardisation: Neison 1844; and those of `bets`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from stages.audit.ask import equal
from stages.audit.hostile import harmless
from stages.audit.measures import Estimate, wilson
from stages.audit.passage import command
from stages.audit.watch.bets import FRACTIONS, FULL, LEAST, Values, mixed
from stages.audit.watch.like import Band, Like, Taken
from stages.audit.watch.seen import AXES, MADE, STAYED, Part

ALARMS: Final = 0.05  # of runs that keep to their bands, in which any share is said to have left its band
FEW: Final = 100  # documents of an earlier run: shares of fewer are held against nothing


@dataclass(frozen=True)
class Reading:
    """A share as it was seen, where it was expected, and whether it has left that.

    `evidence` and `needed` are logarithms (base 10): how many times the capital that was bet against the band has
    grown, and from where on that is an alarm. `side` is where the share lies: above, below or within.
    """

    name: str
    what: str
    seen: Estimate
    documents: int
    shards: int
    low: float
    high: float
    side: str
    evidence: float
    needed: float
    left: bool
    ended: bool = False  # whether everything was seen, so that no evidence is needed
    example: str = ""  # a file of the work folder in which documents of it stand
    command: str | None = None  # what lists them when the run has ended; DIR is the folder
    why: str = ""  # of a gate: what its file says

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Returns it as plain data."""
        seen = {name: None if math.isnan(value) else value for name, value in self.seen._asdict().items()}
        return {**vars(self), "seen": seen}


@dataclass
class Held:
    """One share of a stage and what was seen of it, by source."""

    name: str
    what: str
    stage: str
    bands: Mapping[str, Band]
    command: str | None = None
    taken: Counter[str] = field(default_factory=Counter)
    came: Counter[str] = field(default_factory=Counter)
    shards: int = 0
    logs: dict[str, Values] = field(default_factory=dict)  # float64[sides, FRACTIONS] by source
    example: str = ""
    pooled: Values = field(default_factory=lambda: np.zeros((2, len(FRACTIONS))))

    def add(self, taken: Mapping[str, int], came: Mapping[str, int]) -> None:
        """Takes in a shard: documents that were taken, and that came, of each source that has a band."""
        whole = sum(came.values())
        weight = min(1.0, whole / FULL) / whole
        joint = np.zeros(2)
        for source, amount in came.items():
            share, band = taken.get(source, 0) / amount, self.bands[source]
            gain = np.array([share / max(band.high, LEAST), (1 - share) / max(1 - band.low, LEAST)]) - 1
            logs = self.logs.setdefault(source, np.zeros((2, len(FRACTIONS))))
            logs += np.log1p(min(1.0, amount / FULL) * gain[:, None] * FRACTIONS)
            joint += weight * amount * gain
        self.pooled += np.log1p(joint[:, None] * FRACTIONS)
        self.taken.update(taken)
        self.came.update(came)
        self.shards += 1

    def reading(self, needed: float, *, ended: bool) -> Reading | None:
        """Returns how the share stands; None where nothing was seen."""
        whole = sum(self.came.values())
        if not whole:
            return None
        seen = wilson(sum(self.taken.values()), whole)
        low, high = (
            sum(amount * border for amount, border in zip(self.came.values(), borders, strict=True)) / whole
            for borders in zip(*((self.bands[one].low, self.bands[one].high) for one in self.came), strict=True)
        )
        side = "above" if seen.low > high else "below" if seen.high < low else "within"
        evidence = self._evidence() / math.log(10)
        left = side != "within" and (ended or evidence >= needed)
        return Reading(
            self.name,
            self.what,
            seen,
            whole,
            self.shards,
            low,
            high,
            side,
            evidence,
            needed,
            left,
            ended,
            self.example,
            self.command,
        )

    def _evidence(self) -> float:
        """Returns the logarithm of the capital: on both sides, half on all sources at once, half on each by itself."""
        unseen = np.zeros((2, len(FRACTIONS)))
        single = mixed(np.stack([mixed(self.logs.get(source, unseen)) for source in self.bands]).T)
        return float(mixed(np.concatenate([mixed(self.pooled), single])))


class Against:
    """A run held against an earlier one."""

    def __init__(self, earlier: Like, tolerance: float, *, alarms: float = ALARMS) -> None:
        self.earlier = earlier
        self.held: dict[str, list[tuple[str, str, Held]]] = {}  # by stage: of which group, what is counted, the share
        self.unknown: dict[str, set[str]] = {}  # what the earlier run did not have, by kind
        self._labels = earlier.labels
        self._rules = {(stage, rule) for stage, rule in earlier.rules}
        for (stage, rule), by_source in earlier.rules.items():
            name = rule.partition(".")[2]
            what = f"{name} takes, of what comes to {stage}"
            its = command(stage=stage, rule=name)
            bands = {source: one.band(tolerance) for source, one in by_source.items() if one.came}
            self._hold("", rule, Held(f"rule.{stage}.{name}", what, stage, bands, its), by_source)
        for (stage, axis, label), by_source in earlier.groups.items():
            what = f"{stage} takes, of {axis} {label}"
            its = command(equal(axis, label), stage=stage) if harmless(label) == label else None
            bands = {source: one.band(tolerance) for source, one in by_source.items() if one.came}
            group = f"{axis} {label}"
            self._hold(group, group, Held(f"loss.{stage}.{axis}.{label}", what, stage, bands, its), by_source)
        shares = sum(len(held) for held in self.held.values())
        self.needed = math.log10(max(1, shares) / alarms)

    def _hold(self, group: str, key: str, one: Held, by_source: Mapping[str, Taken]) -> None:
        if sum(taken.came for taken in by_source.values()) >= FEW:
            self.held.setdefault(one.stage, []).append((group, key, one))

    def add(self, part: Part) -> None:
        """Takes in a shard."""
        stage = part.place.stage
        self._name_unknown(part)
        if not part.place.last or stage not in self.held:
            return
        came, taken = _sums(part)
        for group, key, held in self.held[stage]:
            there = {one: n for one, n in came.get(group, {}).items() if one in held.bands}
            if there:
                gone = {one: n for one, n in taken.get(key, Counter()).items() if one in there}
                held.add(gone, there)
                held.example = part.ledger if gone else held.example

    def readings(self, ended: Collection[str]) -> Iterator[Reading]:
        """Yields how each share stands of which something was seen; `ended` are stages of which all was."""
        for stage, held in self.held.items():
            for *_, one in held:
                reading = one.reading(self.needed, ended=stage in ended)
                if reading is not None:
                    yield reading

    def _name_unknown(self, part: Part) -> None:
        stage = part.place.stage
        if stage not in self.earlier.stages:
            self._unknown("stage", stage)
            return
        for labels, how in part.documents:
            if how not in (STAYED, MADE) and (stage, how) not in self._rules:
                self._unknown("rule", f"{stage}: {how.partition('.')[2]}")
            for axis, label in zip(AXES, labels, strict=True):
                if label is not None and axis in part.known and label not in self._labels[axis]:
                    self._unknown(axis, label)

    def _unknown(self, kind: str, name: str) -> None:
        names = self.unknown.setdefault(kind, set())
        if len(names) < FEW:
            names.add(name)


Sums = dict[str, Counter[str]]


def _sums(part: Part) -> tuple[Sums, Sums]:
    """Returns documents by source that came (of all as "", of each group) and that were taken (also by each rule)."""
    came: Sums = {}
    taken: Sums = {}
    source_at = AXES.index("source")
    for (labels, how), amount in part.documents.items():
        if how == MADE:
            continue
        source = labels[source_at] or ""
        groups = [f"{axis} {label}" for axis, label in _known(labels, part.known)]
        for group in ("", *groups):
            came.setdefault(group, Counter())[source] += amount
        if how != STAYED:
            for group in (how, *groups):
                taken.setdefault(group, Counter())[source] += amount
    return came, taken


def _known(labels: Iterable[str | None], known: Collection[str]) -> Iterator[tuple[str, str]]:
    for axis, label in zip(AXES, labels, strict=True):
        if label is not None and axis in known:
            yield axis, label
