"""Gates of a run that goes on: which shares they are of, and whether one is broken before all has been seen.

    rule.STAGE.RULE     what a rule takes of what comes to its stage
    drop.STAGE          what a stage takes
    survival.LABEL      what the stages together leave of a group (also survival.AXIS.LABEL)
    AXIS.topN           share of the N largest groups, such as host.top10, at the last stage with rows
    AXIS.LABEL          share of a group there, such as language.zho_Hant
    AXIS.effective      effective number of groups there, exp of the entropy; told when the run has ended

All are of documents. A gate is broken where the value and its whole 95 % interval break it, and the evidence of the
shards (`bets`) is such as all gates together would come to in no more than a share `alarms` of runs that keep them,
looked at as often as one likes; and where all has been seen, by its value, as in a finished run. Of a group there
survives at most the product of what is left where each stage takes what it surely takes. The largest groups that are
bet on are those before the shard came: as no other ten have more, their share is at most that of the ten largest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from datapipe import ConfigError, Status
from stages.audit.ask import equal
from stages.audit.gates import Gate, Measured, close_to, judge
from stages.audit.hostile import harmless
from stages.audit.measures import Estimate, hill_interval, top_interval, wilson
from stages.audit.passage import Step, command, survival
from stages.audit.watch.bets import Bets
from stages.audit.watch.held import ALARMS, Reading
from stages.audit.watch.seen import AXES, MADE, STAYED, Diversity, Part, Seen, came_to, flows_of, shown_stage, stages_of

GRID: Final = np.arange(1, 100) / 100  # losses of a group that are bet on
SHARED: Final = ("host", *AXES)
KINDS: Final = ("rule", "drop", "survival", *SHARED)
_TOP: Final = re.compile(r"top([1-9][0-9]{0,3})")


@dataclass
class Limit:
    """A gate and the capital that was bet on its being broken, stage by stage."""

    gate: Gate
    kind: str  # of KINDS
    stage: str = ""  # of a rule or stage
    name: str = ""  # rule, label or topN
    axis: str = ""
    bets: dict[str, Bets] = field(default_factory=dict)
    example: str = ""  # see Reading

    @property
    def above(self) -> bool:
        """Whether it is broken by what is too much."""
        return self.gate.sign.startswith("<")

    def add(self, part: Part, before: Diversity) -> None:
        """Takes in a shard; `before` is what had stayed at its stage."""
        if not part.place.last or (self.stage and self.stage != part.place.stage):
            return
        taken, came = self._share(part, before)
        if came:
            share = taken / came
            self._at(part.place.stage).add(share if self.above else 1 - share, came)
            if self.kind in ("rule", "drop", "survival") and (taken if self.kind != "survival" else came - taken):
                self.example = part.ledger

    def _share(self, part: Part, before: Diversity) -> tuple[int, int]:
        rows = [(labels, how, amount) for (labels, how), amount in part.documents.items() if how != MADE]
        if self.kind in ("rule", "drop"):
            whole = sum(amount for *_, amount in rows)
            taken = sum(amount for _, how, amount in rows if how != STAYED and self.name in ("", how.partition(".")[2]))
            return taken, whole
        if self.kind == "survival":
            ours = [(how, amount) for labels, how, amount in rows if self._is_label(labels, part)]
            return sum(amount for how, amount in ours if how == STAYED), sum(amount for _, amount in ours)
        stayed = [(labels, amount) for labels, how, amount in rows if how == STAYED]
        whole = sum(amount for _, amount in stayed)
        most = _TOP.fullmatch(self.name)
        if most is None:
            return sum(amount for labels, amount in stayed if self._is_label(labels, part)), whole
        names = set(before.largest(self.axis, int(most[1])))
        if not names:  # nothing to bet on
            return 0, 0
        if self.axis == "host":
            return sum(part.hosts.get(name, 0) for name in names), sum(part.hosts.values())
        place = AXES.index(self.axis)
        named = [(labels[place], amount) for labels, amount in stayed if labels[place] is not None]
        return sum(amount for label, amount in named if label in names), sum(amount for _, amount in named)

    def _is_label(self, labels: tuple[str | None, ...], part: Part) -> bool:
        axes = (self.axis,) if self.axis else AXES
        return any(axis in part.known and labels[AXES.index(axis)] == self.name for axis in axes)

    def _at(self, stage: str) -> Bets:
        if stage not in self.bets:
            limit = self.gate.limit
            borders = GRID if self.kind == "survival" else np.array([limit if self.above else 1 - limit])
            self.bets[stage] = Bets(borders)
        return self.bets[stage]

    # How it stands

    def measured(self, status: Status, seen: Seen) -> tuple[Measured, int]:
        """Returns the value so far, and of how many documents."""
        if self.kind in ("rule", "drop"):
            return _taken(status, self.stage, self.name)
        if self.kind == "survival":
            steps = list(self._steps(status, seen))
            if not steps:
                return Measured(None, why=f"nothing was seen yet of {self.name}"), 0
            found = survival(steps)
            return Measured(*found.rate), steps[0].came
        stage = shown_stage(status, seen.rowless)
        diversity = seen.diversity.get(stage or "")
        if diversity is None or not diversity.documents:
            return Measured(None, why="nothing was seen yet"), 0
        return Measured(*self._of(diversity)), diversity.documents

    def _steps(self, status: Status, seen: Seen) -> Iterator[Step]:
        for stage in stages_of(status):
            for place, axes in seen.groups.items():
                if place.stage == stage:
                    for axis in (self.axis,) if self.axis else AXES:
                        passed = axes[axis].get(self.name)
                        if passed is not None:
                            yield Step(stage, passed.came, 0, passed.came - passed.stayed, 0)
                            break

    def _of(self, diversity: Diversity) -> Estimate:
        counts, times = diversity.counts(self.axis)
        if self.name == "effective":
            return hill_interval(counts, 1, times)
        most = _TOP.fullmatch(self.name)
        if most is not None:
            return top_interval(counts, int(most[1]), times)
        return wilson(diversity.labels[self.axis].get(self.name, 0), diversity.documents)

    def is_broken(self, needed: float, status: Status, seen: Seen) -> tuple[bool, float]:
        """Returns whether the shards that were seen break it for sure, and the evidence (logarithm, base 10)."""
        if self.kind == "survival":
            left, most = 1.0, 0.0
            for bets in () if self.above else self.bets.values():
                won = bets.evidence() / math.log(10)
                left *= 1 - float(bets.borders[won >= needed].max(initial=0.0))
                most = max(most, float(won[np.abs(bets.borders - (1 - self.gate.limit)).argmin()]))
            return left < self.gate.limit, most
        found = self.bets.get(self.stage or shown_stage(status, seen.rowless) or "")
        evidence = float(found.evidence()[0]) / math.log(10) if found is not None else 0.0
        return self.name != "effective" and evidence >= needed, evidence


class Limits:
    """The gates of a file that can be told while a run goes on; `others` are those that cannot, with the reason."""

    def __init__(self, gates: Sequence[Gate], status: Status, *, alarms: float = ALARMS) -> None:
        stages = list(dict.fromkeys(step.stage for step in status.steps))
        self.limits: list[Limit] = []
        self.others: list[tuple[Gate, str]] = []
        for gate in gates:
            made = limit_of(gate, stages)
            if isinstance(made, Limit):
                self.limits.append(made)
            else:
                self.others.append((gate, made))
        tests = max(1, len(self.limits)) * max(1, len(stages))
        self.needed = math.log10(tests / alarms)

    @property
    def stages(self) -> set[str]:
        """The stages whose shards have to be read, whether they take anything or not."""
        return {limit.stage for limit in self.limits if limit.stage}

    def add(self, part: Part, before: Diversity) -> None:
        """Takes in a shard."""
        for limit in self.limits:
            limit.add(part, before)

    def readings(self, status: Status, seen: Seen, ended: Collection[str]) -> Iterator[Reading]:
        """Yields how each gate stands; `ended` are stages of which everything was seen."""
        for limit in self.limits:
            gate, (value, documents) = limit.gate, limit.measured(status, seen)
            over = status.state == "finished" or (limit.stage in ended and limit.kind in ("rule", "drop"))
            broken, evidence = limit.is_broken(self.needed, status, seen)
            judged = judge(gate, {gate.name: value})
            at = Estimate(
                value.value if value.value is not None else math.nan,
                value.low if value.low is not None else 0.0,
                value.high if value.high is not None else 1.0,
            )
            outside = value.value is not None and (at.low > gate.limit if limit.above else at.high < gate.limit)
            low, high = (0.0, gate.limit) if limit.above else (gate.limit, 1.0)
            yield Reading(
                gate.name,
                str(gate) if value.value is not None else f"{gate}: {judged.why}",
                at,
                documents,
                _shards(limit, status, seen),
                low,
                high,
                ("above" if limit.above else "below") if outside or not judged.passed else "within",
                evidence,
                self.needed,
                not judged.passed if over else outside and broken,
                over,
                limit.example,
                _command(limit),
                gate.why,
            )


def limit_of(gate: Gate, stages: Sequence[str]) -> Limit | str:
    """Returns what a gate is of, or why that cannot be told of a run that goes on.

    Raises:
        ConfigError: it names a stage that the run does not have, or a sign that nothing can be said of.
    """
    first, _, rest = gate.name.partition(".")
    where = f"{gate.place}: " if gate.place else ""
    kind = next((kind for kind in KINDS if first in (kind, f"{kind}s")), None)
    if kind is None:
        near = close_to(first, KINDS, 1)
        return "a run that goes on does not tell it" + (f" (did you mean {near[0]}.{rest}?)" if near else "")
    if kind in SHARED:
        rest = rest.removesuffix(".documents")
        is_known = _TOP.fullmatch(rest) or rest == "effective" or (kind != "host" and rest and "." not in rest)
        if not is_known:
            return "a run that goes on does not tell it; the report does"
    if gate.sign in ("=", "!="):
        raise ConfigError(f"{where}{gate}: a run that goes on is held to < and >, not to one value")
    if kind in ("rule", "drop"):
        stage = max((one for one in stages if rest == one or rest.startswith(f"{one}.")), key=len, default=None)
        if stage is None or (kind == "drop") != (rest == stage):
            form = "rule.STAGE.RULE" if kind == "rule" else "drop.STAGE"
            raise ConfigError(f"{where}{gate}: no stage of this run is meant; write {form}, of: {', '.join(stages)}")
        return Limit(gate, kind, stage, rest[len(stage) + 1 :])
    if kind == "survival":
        axis, _, label = rest.partition(".")
        return Limit(gate, kind, name=label, axis=axis) if label and axis in AXES else Limit(gate, kind, name=rest)
    return Limit(gate, kind, name=rest, axis=kind)


def _taken(status: Status, stage: str, rule: str) -> tuple[Measured, int]:
    """Returns what a rule, or all, took at a stage of what has gone through it, by the driver's counts."""
    flows = flows_of(status, stage)
    last = [flow for flow in flows if flow["last"]]
    if not rule:
        whole = came_to(flows, "")
        taken = sum(flow["dropped"] for flow in last)
    else:
        known = {name for flow in flows for name in flow["rules"] if not name.startswith(f"{MADE}.")}
        ours = {name for name in known if name.partition(".")[2] == rule}
        whole = came_to(flows, min(ours, default=""))
        taken = sum(flow["rules"].get(name, 0) for flow in flows for name in ours)
        if whole and not ours:
            near = close_to(rule, (name.partition(".")[2] for name in known))
            meant = f"; near it are: {', '.join(near)}" if near else ""
            return Measured(None, why=f"{stage} has no rule {rule} by which anybody left{meant}"), 0
    if not whole:
        return Measured(None, why=f"nothing has gone through {stage} yet"), 0
    return Measured(*wilson(taken, whole)), whole


def _shards(limit: Limit, status: Status, seen: Seen) -> int:
    """Returns how many shards a gate was held against."""
    stage = limit.stage or shown_stage(status, seen.rowless)
    return sum(n for place, n in seen.shards.items() if limit.kind == "survival" or place.stage == stage)


def _command(limit: Limit) -> str | None:
    """Returns what lists the documents of a gate when the run has ended, None of those of more than one group."""
    if limit.stage:
        return command(stage=limit.stage, rule=limit.name or None)
    if limit.axis in AXES and _TOP.fullmatch(limit.name) is None and harmless(limit.name) == limit.name:
        return command(equal(limit.axis, limit.name))
    return None
