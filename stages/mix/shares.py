"""What is asked for of each group: shares, budgets and caps to quotas, in whole numbers.

Shares are exact fractions of the weights as they are written, so that .1 is a tenth. A group's epochs are its
quota over its samples; above `max_epochs` the plan fails and says what would be possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from datapipe import DataError, PlanError
from stages.mix.columns import TIMES
from stages.mix.quota import apportion


@dataclass(frozen=True)
class Group:
    """What there is of a group."""

    name: str
    samples: int
    tokens: int  # without padding
    padding: int
    documents: int
    cut_documents: int


@dataclass(frozen=True)
class Shares:
    """What is asked for. `weights` None means in proportion to the tokens; `tokens` None, what one epoch gives.

    Where documents have weights, a group is made of one for each of these, and what there is of it counts as often as
    its weight says: in shares, and in epochs.
    """

    by: str
    weights: Mapping[str, float] | None
    default: float | None
    tokens: int | None
    max_epochs: float | None
    weighted: bool = False  # the names of groups end in the weight of their documents

    def part_of(self, group: Group) -> str:
        """Returns the name that weights are given by."""
        return group.name.rpartition(TIMES)[0] if self.weighted else group.name

    def units(self, group: Group, seq_len: int | None) -> int:
        """Returns the samples, or tokens where `seq_len` is None, times the weight of the documents."""
        times = int(group.name.rpartition(TIMES)[2]) if self.weighted else 1
        if times < 0:
            raise DataError(f"mix: {group.name}: documents have a weight below 0")
        return times * (group.samples if seq_len else group.tokens)

    def of(self, groups: Sequence[Group], seq_len: int | None) -> list[Fraction]:
        """Returns the share of each group, summing to 1. Raises PlanError where weights and groups do not match."""
        if self.weights is None:
            return _normal([Fraction(self.units(group, seq_len)) for group in groups])
        names = list(dict.fromkeys(self.part_of(group) for group in groups))
        unknown = sorted(set(self.weights) - set(names))
        missing = [name for name in names if name not in self.weights]
        if unknown:
            raise PlanError(f"mix: weights name {_list(unknown)}, but column '{self.by}' has only {_list(names)}")
        if missing and self.default is None:
            raise PlanError(
                f"mix: {_list(missing)} of column '{self.by}' has no weight: "
                "give it one (0 leaves it out), or set 'default'"
            )
        wholes: Counter[str] = Counter()
        for group in groups:
            wholes[self.part_of(group)] += self.units(group, seq_len)
        return _normal([self._share(group, wholes[self.part_of(group)], seq_len) for group in groups])

    def _share(self, group: Group, whole: int, seq_len: int | None) -> Fraction:
        """Returns the weight of the part that a group belongs to, as much of it as the group has of the part."""
        assert self.weights is not None
        name, size = self.part_of(group), self.units(group, seq_len)
        weight = Fraction(str(self.weights.get(name, self.default)))
        if self.weighted and weight and not whole:
            raise PlanError(f"mix: '{name}' has no document of a weight above 0: give it the weight 0")
        return weight if size == whole else weight * Fraction(size, whole)

    def quotas(self, groups: Sequence[Group], seq_len: int | None) -> list[int]:
        """Returns samples of `seq_len`, or tokens where that is None, for each group.

        Raises:
            PlanError: weights do not match, or a group would be seen more often than `max_epochs`.
        """
        shares, sizes = self.of(groups, seq_len), [self.units(group, seq_len) for group in groups]
        if self.tokens is None:
            quotas = _one_epoch(shares, sizes)
        else:
            total = round(Fraction(self.tokens, seq_len or 1))
            if not total:
                raise PlanError(f"mix: tokens: {self.tokens} is less than half a sample of {seq_len}: ask for more")
            quotas = apportion(shares, total)
        self._check_epochs(groups, shares, sizes, quotas, seq_len or 1)
        return quotas

    def _check_epochs(
        self, groups: Sequence[Group], shares: list[Fraction], sizes: list[int], quotas: list[int], unit: int
    ) -> None:
        if self.max_epochs is None:
            return
        cap = Fraction(str(self.max_epochs))
        over = [place for place, quota in enumerate(quotas) if quota > cap * sizes[place]]
        if over:
            possible = min(cap * size / share for share, size in zip(shares, sizes, strict=True) if share)
            asked = ", ".join(f"{groups[p].name} {quotas[p] / sizes[p]:.2f}" for p in over)
            raise PlanError(
                f"mix: more than max_epochs: {self.max_epochs} of {asked} would be seen; with these weights at most "
                f"{int(possible) * unit:,} tokens are possible: ask for fewer tokens, lower these weights, or raise "
                "max_epochs (null allows any)"
            )


def _one_epoch(shares: list[Fraction], sizes: list[int]) -> list[int]:
    """Returns the greatest quotas in proportion to `shares` of which none is above its size."""
    total = int(min(size / share for share, size in zip(shares, sizes, strict=True) if share))
    while total:
        quotas = apportion(shares, total)
        if all(quota <= size for quota, size in zip(quotas, sizes, strict=True)):
            return quotas
        total -= 1
    raise PlanError("mix: one epoch at these weights is less than a sample: ask for a number of tokens")


def _normal(shares: list[Fraction]) -> list[Fraction]:
    whole = sum(shares)
    if not whole:
        raise PlanError("mix: every weight is 0: nothing would be sampled")
    return [share / whole for share in shares]


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:8]) + (" and more" if len(names) > 8 else "")
