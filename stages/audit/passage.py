"""How documents went through the stages of a run: who came to each, who left it by what, and what share survives.

Who came to a stage is told from behind: those that stayed, and those that left there or later, without the parts that
this stage or a later one made of others. What survives is the product, over the stages, of the share that stays of
those that came. Documents that left as duplicates of another are a loss of another kind, so what the filters leave, or
what deduplication leaves, can be asked for alone: then documents that left by the other count at each stage as long as
they are there, and neither for nor against it afterwards, wherever in the order they were taken out. Where none were,
it is what stayed by what came.

Source: Kaplan and Meier 1958, JASA 53, 457 (the product, with what leaves for another reason); Greenwood 1926 (its
variance); Rothman 1978, J. Chron. Dis. 31, 557 (Wilson's interval with the number of documents that has that variance);
Aalen and Johansen 1978, Scand. J. Stat. 5, 141 (what of the loss each rule has).
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from stages.audit.ask import show_command
from stages.audit.frame import KEPT
from stages.audit.hostile import harmless
from stages.audit.measures import Estimate, wilson

DUPLICATE: Final = "duplicate_of"
SPLIT: Final = "split"
ASIDE: Final = "quarantine"
UNREAD: Final = "unread"  # a file or a piece of one that could not be read: no document, so it came to nothing
FILTERS: Final = ("drop", ASIDE)
LEAVING: Final = ("drop", ASIDE, DUPLICATE)

Left = tuple[str, str, str | None]  # stage, action, rule
Losses = Literal["all", "filters", "duplicates"]
ACTIONS: Final[Mapping[Losses, tuple[str, ...]]] = {"all": LEAVING, "filters": FILTERS, "duplicates": (DUPLICATE,)}
Group = TypeVar("Group", bound=Hashable)
_KINDS: Final = {**dict.fromkeys(FILTERS, 0), DUPLICATE: 1, SPLIT: 2}
_NOT_IN_KEYS = re.compile(r"[^a-z0-9_]+")


@dataclass(frozen=True)
class Step:
    """What a stage did to a group: came + made = stayed + filtered + duplicates."""

    stage: str
    came: int
    made: int
    filtered: int
    duplicates: int

    @property
    def stayed(self) -> int:
        """What went on to the next stage."""
        return self.came + self.made - self.filtered - self.duplicates

    def lost(self, of: Losses) -> int:
        """Returns what left by filters, as duplicates, or by both."""
        return (self.filtered if of != "duplicates" else 0) + (self.duplicates if of != "filters" else 0)


@dataclass
class Passage:
    """A group of documents, or a measure of them such as bytes: what stayed to the end, and what left where."""

    kept: int = 0
    left: dict[Left, int] = field(default_factory=dict)

    def add(self, stage: str, action: str | None, rule: str | None, amount: int) -> None:
        """Adds documents that ended so."""
        if stage == KEPT:
            self.kept += amount
        elif action in (*LEAVING, SPLIT):
            key = (stage, str(action), rule)
            self.left[key] = self.left.get(key, 0) + amount

    def of(self, stage: str, *actions: str) -> int:
        """Returns what left a stage by one of the actions."""
        return sum(amount for (at, action, _), amount in self.left.items() if at == stage and action in actions)

    def steps(self, stages: Iterable[str]) -> list[Step]:
        """Returns what each of the stages, in their order, did to it."""
        sums: dict[str, list[int]] = {}
        for (stage, action, _), amount in self.left.items():
            sums.setdefault(stage, [0, 0, 0])[_KINDS[action]] += amount
        made, out = [], self.kept
        for stage in reversed(tuple(stages)):
            filtered, duplicates, parts = sums.get(stage, (0, 0, 0))
            came = out + filtered + duplicates - parts
            made.append(Step(stage, came, parts, filtered, duplicates))
            out = came
        return made[::-1]


@dataclass(frozen=True)
class Survival:
    """What share survives, with its interval, and of how many documents as good as drawn one by one that is."""

    rate: Estimate
    amount: float

    @property
    def found(self) -> float:
        """How many of them survive."""
        return self.rate.value * self.amount


def survival(steps: Iterable[Step], of: Losses = "all", *, tail: float = 1.0) -> Survival:
    """Returns what share of the documents survives all steps, or what their filters or their deduplication leave.

    `tail` widens the interval: the square of how many times as far as at 95 % it is to reach.
    """
    share, sum_of_shares, came = 1.0, 0.0, 0
    for step in steps:
        lost = step.lost(of)
        there = step.came + step.made
        came = came or there
        if lost:
            share *= 1 - lost / there
            sum_of_shares += lost / (there * (there - lost)) if there > lost else 0.0
    # Greenwood: var = share² · sum. Of `amount` drawn one by one it would be share (1 - share) / amount.
    amount = (1 - share) / (share * sum_of_shares) if share > 0 and sum_of_shares else float(came)
    at = wilson(share * amount / tail, amount / tail) if amount else wilson(0, 0)
    return Survival(Estimate(share, at.low, at.high) if amount else at, amount)


def losses(passage: Passage, stages: Iterable[str], of: Losses = "filters") -> dict[Left, float]:
    """Returns what share of the documents each (stage, action, rule) took: together all that is lost of `survival`."""
    taken: dict[Left, float] = {}
    share = 1.0
    for step in passage.steps(stages):
        there = step.came + step.made
        if step.lost(of):
            for key, amount in passage.left.items():
                if key[0] == step.stage and key[1] in ACTIONS[of]:
                    taken[key] = share * amount / there
            share *= 1 - step.lost(of) / there
    return taken


def together(passages: Iterable[Passage]) -> Passage:
    """Returns all groups as one."""
    whole = Passage()
    for passage in passages:
        whole.kept += passage.kept
        for key, amount in passage.left.items():
            whole.left[key] = whole.left.get(key, 0) + amount
    return whole


def without(whole: Passage, part: Passage) -> Passage:
    """Returns what a whole is but for one part of it."""
    left = {key: amount - part.left.get(key, 0) for key, amount in whole.left.items()}
    return Passage(whole.kept - part.kept, {key: amount for key, amount in left.items() if amount})


def passages(
    rows: Iterable[Mapping[str, Any]],  # Any: values of a counter's table
    group: str,
    amount: str = "documents",
) -> dict[str | None, Passage]:
    """Returns the passage of each value of the column `group`, in the order of the rows; null is one like another."""
    made: dict[str | None, Passage] = {}
    for row in rows:
        made.setdefault(row[group], Passage()).add(row["stage"], row["action"], row["rule"], row[amount])
    return made


def stages_of(run: Mapping[str, Any]) -> tuple[str, ...]:  # Any: JSON
    """Returns the stages that documents went through, in order, by a run's report."""
    return tuple(stage["stage"] for stage in run["stages"] if stage["documents_in"] or stage["documents_out"])


def key_of(*words: object) -> str:
    """Returns a key of a figure or column from names that anybody chose.

    >>> key_of("stage", "quality-2")
    'stage_quality_2'
    """
    return "_".join(_NOT_IN_KEYS.sub("_", str(word).lower()) for word in words)


def command(
    *where: str, stage: str | None = None, rule: str | None = None, kept: bool = False, **equals: object
) -> str | None:
    """Returns the command that shows documents, null as `none`; None where a value is not fit to be shown as it is."""
    values = {name: "none" if value is None else value for name, value in equals.items()}
    said = [word for word in (*values.values(), stage, rule) if isinstance(word, str)]
    if any(harmless(word) != word for word in said):
        return None
    return show_command(*where, stage=stage, rule=rule, kept=kept, **values)


def shown(text: str | None) -> str | None:
    """Returns a name as it may stand in a cell."""
    return None if text is None else harmless(text)
