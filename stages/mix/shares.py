"""What is asked for of each group: shares, budgets and caps to quotas, in whole numbers.

Shares are exact fractions of the numbers as they are written, so that .1 is a tenth. They are said in one way:

- `weights`: a number for each group, or in proportion to what there is;
- `temperature` T: in proportion to what there is to the power of 1/T (the papers' alpha is 1/T);
- `unimax` E: as equal as can be while no group is seen more than E times;
- `epochs`: how often each group is seen, which makes the budget too.

A group's epochs are its quota over its samples; above `max_epochs` the plan fails and says what would be possible.

Source: temperature: Xue et al. 2021 (mT5), arXiv 2010.11934, section 3.1. UniMax: Chung et al. 2023, arXiv 2304.09151,
algorithm 1. Both count pages or characters there; here samples, or tokens where a sample is a document.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Literal, TypeVar

from datapipe import ConfigError, DataError, PlanError
from stages.mix.caps import fill, largest, written
from stages.mix.columns import TIMES
from stages.mix.quota import apportion

Numbers = Mapping[str, float] | tuple[tuple[str, float], ...]
_EXACT = Context(prec=40)  # ln and exp are rounded correctly, so the same on every machine
_SHOWN = 12
LEAST_TEMPERATURE = 0.01  # of which powers have a thousand digits, and all but the largest group gets nothing
MOST_EPOCHS = (1 << 15) - 1  # the number of an epoch is an int16 in the index
WAYS = ("weights", "temperature", "unimax", "epochs")
T = TypeVar("T", int, Fraction)


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
    """What is asked for. No way given means in proportion to the tokens; `tokens` None, what one epoch gives.

    Names of `weights` and `epochs` may be shell patterns: a group takes the number of its name, or else of the first
    pattern that it matches, or else `default`. Where documents have weights, a group is made of one for each of these,
    and what there is of it counts as often as its weight says: in shares, and in epochs.
    """

    by: str
    weights: Numbers | Literal["proportional"] | None = None
    default: float | None = None
    tokens: int | None = None
    max_epochs: float | None = None
    weighted: bool = False  # the names of groups end in the weight of their documents
    temperature: float | None = None
    unimax: float | None = None
    epochs: Numbers | None = None

    def __post_init__(self) -> None:
        for name in ("weights", "epochs"):
            held = getattr(self, name)
            if isinstance(held, Mapping):  # their order counts, and an identity sorts the keys of a mapping
                object.__setattr__(self, name, tuple(held.items()))

    @property
    def named(self) -> dict[str, float] | None:
        """The numbers by name or pattern, of weights or of epochs; None where neither is given."""
        held = self.weights if self.epochs is None else self.epochs
        return None if held is None or isinstance(held, str) else dict(held)

    @property
    def way(self) -> str:
        """Which of `WAYS` is given; weights where none is."""
        return next((name for name in WAYS if getattr(self, name) is not None), WAYS[0])

    def phase(
        self,
        *,
        tokens: int | None,
        weights: Numbers | Literal["proportional"] | None = None,
        default: float | None = None,
        temperature: float | None = None,
        unimax: float | None = None,
        epochs: Numbers | None = None,
    ) -> Shares:
        """Returns the shares of a part of the whole: a way that it names stands in the place of ours."""
        own = {"weights": weights, "temperature": temperature, "unimax": unimax, "epochs": epochs}
        ways = own if any(value is not None for value in own.values()) else {name: getattr(self, name) for name in WAYS}
        made = replace(self, tokens=tokens, default=default, **ways)
        return replace(made, default=self.default) if default is None and made.named is not None else made

    def check(self, where: str = "") -> None:
        """Raises ConfigError where a number makes no sense, or two say different things; `where` stands in front."""
        given = [name for name in WAYS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigError(f"{where}{' and '.join(given)}: each says the shares; give one, and null for the others")
        for name, number in [(f"{self.way}: {name}", held) for name, held in (self.named or {}).items()]:
            _require(number, f"{where}{name}", low=True)
        for name in ("default", "temperature", "unimax"):
            _require(getattr(self, name), f"{where}{name}", low=name == "default")
        if self.temperature is not None and self.temperature < LEAST_TEMPERATURE:
            raise ConfigError(f"{where}temperature: {self.temperature} is less than {LEAST_TEMPERATURE}")
        if self.named is not None and not any((*self.named.values(), self.default)):
            what = "weight" if self.way == "weights" else "number"
            raise ConfigError(f"{where}{self.way}: every {what} is 0: nothing would be sampled")
        if self.named is None and self.default is not None:
            raise ConfigError(f"{where}default: is for groups that weights or epochs leave out, and neither is given")
        if self.unimax is not None and self.tokens is None:
            raise ConfigError(f"{where}unimax: what is equal depends on the budget: give tokens, or params")
        if self.epochs is not None and self.tokens is not None:
            raise ConfigError(
                f"{where}epochs: they make the budget: leave out tokens and params, or give weights instead"
            )
        self._check_cap(where)

    def _check_cap(self, where: str) -> None:
        asked = {"unimax": self.unimax or 0.0}
        if self.epochs is not None:
            asked = {f"epochs: {name}": number for name, number in dict(self.epochs).items()}
            asked["default"] = self.default or 0.0
        for name, number in asked.items():
            if self.max_epochs is not None and number > self.max_epochs:
                cap = f"max_epochs: {self.max_epochs}"
                raise ConfigError(f"{where}{name}: {number} is more than {cap}: raise that too (null allows any)")

    def part_of(self, group: Group) -> str:
        """Returns the name that weights are given by."""
        return group.name.rpartition(TIMES)[0] if self.weighted else group.name

    def units(self, group: Group, seq_len: int | None) -> int:
        """Returns the samples, or tokens where `seq_len` is None, times the weight of the documents."""
        times = int(group.name.rpartition(TIMES)[2]) if self.weighted else 1
        if times < 0:
            raise DataError(f"mix: {group.name}: documents have a weight below 0")
        return times * (group.samples if seq_len else group.tokens)

    def of(self, groups: Sequence[Group], seq_len: int | None, seen: Sequence[int] | None = None) -> list[Fraction]:
        """Returns the share of each group, summing to 1; `seen` are the units that were taken of it before.

        Raises:
            PlanError: names and groups do not match, or what is asked for is not there.
        """
        return _normal(self._asked(groups, seq_len, seen))

    def quotas(self, groups: Sequence[Group], seq_len: int | None, seen: Sequence[int] | None = None) -> list[int]:
        """Returns samples of `seq_len`, or tokens where that is None, for each group.

        Raises:
            PlanError: as for `of`, or a group would be seen more often than `max_epochs`, `seen` counted in.
        """
        asked = self._asked(groups, seq_len, seen)
        shares = _normal(asked)
        if self.epochs is not None:
            quotas = [round(part) for part in asked]
            if not any(quotas):
                raise PlanError("mix: epochs: all together they are less than half a sample: ask for more")
        elif self.tokens is None:
            quotas = _one_epoch(shares, [self.units(group, seq_len) for group in groups])
        else:
            quotas = apportion(shares, self._budget(seq_len))
        before = seen or [0] * len(groups)
        self._check_epochs(groups, shares, quotas, seq_len, before)
        for group, quota, had in zip(groups, quotas, before, strict=True):
            if quota + had > MOST_EPOCHS * (group.samples if seq_len else group.tokens):
                raise PlanError(
                    f"mix: '{group.name}' would be seen more than {MOST_EPOCHS:,} times: ask for less of it"
                )
        return quotas

    def _budget(self, seq_len: int | None) -> int:
        total = round(Fraction(self.tokens or 0, seq_len or 1))
        if not total:
            raise PlanError(f"mix: tokens: {self.tokens} is less than half a sample of {seq_len}: ask for more")
        return total

    def _asked(self, groups: Sequence[Group], seq_len: int | None, seen: Sequence[int] | None) -> list[Fraction]:
        """Returns what is asked of each group: what its part is given, as much of that as it has of the part."""
        sizes = [self.units(group, seq_len) for group in groups]
        parts = [self.part_of(group) for group in groups]
        wholes = _sums(parts, sizes)
        given = self._given(wholes, _sums(parts, seen or [0] * len(groups)), seq_len)
        for name, amount in given.items():
            if amount and not wholes[name]:
                why = "no document of a weight above 0" if self.weighted else "no token"
                raise PlanError(f"mix: '{name}' has {why}: give it the weight 0")
        return [
            given[part] if size == wholes[part] else given[part] * Fraction(size, wholes[part])
            for part, size in zip(parts, sizes, strict=True)
        ]

    def _given(self, sizes: Mapping[str, int], seen: Mapping[str, int], seq_len: int | None) -> dict[str, Fraction]:
        """Returns what each part is given; with `epochs` in units, else in any."""
        if self.temperature is not None:
            return {name: _power(size, self.temperature) for name, size in sizes.items()}
        if self.unimax is not None:
            return self._equal(sizes, seen, self._budget(seq_len))
        if self.named is None:
            return {name: Fraction(size) for name, size in sizes.items()}
        numbers = self._numbers(self.named, list(sizes))
        if self.epochs is not None:
            return {name: number * sizes[name] for name, number in numbers.items()}
        return numbers

    def _numbers(self, given: Mapping[str, float], names: Sequence[str]) -> dict[str, Fraction]:
        """Returns the number of each part. Raises PlanError where one has none, or one given is of none."""
        unknown = [key for key in given if not any(matches(key, name) for name in names)]
        if unknown:
            raise PlanError(f"mix: {self.way} name {_list(unknown)}, but column '{self.by}' has only {_list(names)}")
        numbers = {name: number_of(name, given, self.default) for name in names}
        missing = [name for name, number in numbers.items() if number is None]
        if missing:
            what = "weight" if self.way == "weights" else "epochs"
            raise PlanError(
                f"mix: {_list(missing)} of column '{self.by}' has no {what}: "
                "give it one (0 leaves it out), or set 'default'"
            )
        return {name: Fraction(str(number)) for name, number in numbers.items()}

    def _equal(self, sizes: Mapping[str, int], seen: Mapping[str, int], budget: int) -> dict[str, Fraction]:
        cap = Fraction(str(self.unimax))
        room = [max(0, math.floor(cap * size) - seen[name]) for name, size in sizes.items()]
        if sum(room) < budget:
            left = "left" if any(seen.values()) else "there"
            raise PlanError(
                f"mix: unimax: with at most {self.unimax} epochs of each group {sum(room):,} of the {budget:,} samples "
                f"or tokens are {left}: ask for fewer tokens, or raise unimax (and max_epochs)"
            )
        return dict(zip(sizes, fill([Fraction(1)] * len(room), room, budget), strict=True))

    def _check_epochs(
        self,
        groups: Sequence[Group],
        shares: Sequence[Fraction],
        quotas: Sequence[int],
        seq_len: int | None,
        seen: Sequence[int],
    ) -> None:
        """Raises PlanError where a group is asked for more often than `max_epochs`: how often, and what is possible."""
        if self.max_epochs is None:
            return
        sizes = [self.units(group, seq_len) for group in groups]
        cap = Fraction(str(self.max_epochs))
        room = [max(0, math.ceil(cap * size) - before) for size, before in zip(sizes, seen, strict=True)]
        over = [place for place, quota in enumerate(quotas) if quota > room[place]]
        if not over:
            return
        epochs = {groups[place].name: (quotas[place] + seen[place]) / sizes[place] for place in over}
        asked = ", ".join(f"{name} {number:.2f}" for name, number in list(epochs.items())[:_SHOWN])
        more = f" and {len(over) - _SHOWN} more" if len(over) > _SHOWN else ""
        raise PlanError(
            f"mix: more than max_epochs: {self.max_epochs} of {asked}{more} would be seen; "
            f"{self._possible(groups, shares, room, sum(quotas), seq_len)}, or raise max_epochs to "
            f"{math.ceil(max(epochs.values()) * 100) / 100:g} (null allows any)"
        )

    def _possible(
        self, groups: Sequence[Group], shares: Sequence[Fraction], room: Sequence[int], total: int, seq_len: int | None
    ) -> str:
        """Returns what to do within `room`: fewer tokens with these shares, or other shares for as many."""
        if self.epochs is not None:
            return "ask for fewer epochs of these"
        unit = seq_len or 1
        most = largest(shares, room) * unit
        said = f"with these {self.way if self.way == 'weights' else 'shares'} at most {most:,} tokens are possible: "
        said += "ask for fewer tokens" if most else "leave out what is used up"
        held = sum(left for left, share in zip(room, shares, strict=True) if share)
        if held < total:
            return f"{said} (of all these groups together {held * unit:,} are there), add groups"
        nearest = self._nearest(groups, shares, room, total, seq_len)
        if len(nearest) > _SHOWN or not nearest:
            return f"{said}, lower these weights"
        listed = ", ".join(f"{name}: {number}" for name, number in nearest.items())
        return f"{said}, lower these weights (the nearest at which {total * unit:,} are possible: {{{listed}}})"

    def _nearest(
        self, groups: Sequence[Group], shares: Sequence[Fraction], room: Sequence[int], total: int, seq_len: int | None
    ) -> dict[str, str]:
        """Returns weights at which `total` is possible: those of `shares`, capped, what is cut shared by the others."""
        parts = [self.part_of(group) for group in groups]
        names = list(dict.fromkeys(parts))
        asked, left = _sums(parts, shares), _sums(parts, room)
        filled = fill([asked[name] for name in names], [left[name] for name in names], total)

        def fits(texts: list[str]) -> bool:
            numbers = tuple(zip(names, map(float, texts), strict=True))
            own = Shares(self.by, numbers, weighted=self.weighted).of(groups, seq_len)
            return all(quota <= most for quota, most in zip(apportion(own, total), room, strict=True))

        return dict(zip(names, written(filled, fits) or [], strict=False))


def number_of(name: str, given: Mapping[str, float], default: float | None) -> float | None:
    """Returns the number of a group: by its name, by the first pattern that it matches, or `default`.

    >>> [number_of(name, {"wiki*": 2, "wiki_zh": 3}, 1) for name in ("wiki_zh", "wiki_en", "web")]
    [3, 2, 1]
    """
    if name in given:
        return given[name]
    return next((number for key, number in given.items() if fnmatchcase(name, key)), default)


def matches(key: str, name: str) -> bool:
    """Returns whether a name of `weights` or `epochs`, or a pattern, is of the group `name`."""
    return key == name or fnmatchcase(name, key)


def _require(number: float | None, where: str, *, low: bool) -> None:
    if number is not None and not (0 <= number < math.inf and (low or number)):
        raise ConfigError(f"{where}: {number} is not a number {'from' if low else 'above'} 0")


def _sums(names: Sequence[str], amounts: Sequence[T]) -> dict[str, T]:
    """Returns the sum of the amounts of each name, in order of appearance."""
    sums: dict[str, T] = {}
    for name, amount in zip(names, amounts, strict=True):
        sums[name] = sums[name] + amount if name in sums else amount
    return sums


def _power(size: int, temperature: float) -> Fraction:
    """Returns size ** (1 / temperature) in whole parts of 10 ** 20, of 40 digits."""
    if temperature == 1 or not size:
        return Fraction(size)
    power = _EXACT.exp(_EXACT.divide(_EXACT.ln(Decimal(size)), Decimal(str(temperature))))
    return Fraction(int(power.scaleb(20, _EXACT)), 10**20)


def _one_epoch(shares: Sequence[Fraction], sizes: Sequence[int]) -> list[int]:
    """Returns the greatest quotas in proportion to `shares` of which none is above its size."""
    total = largest(shares, sizes)
    if not total:
        raise PlanError("mix: one epoch at these weights is less than a sample: ask for a number of tokens")
    return apportion(shares, total)


def _normal(shares: Sequence[Fraction]) -> list[Fraction]:
    whole = sum(shares)
    if not whole:
        raise PlanError("mix: every weight is 0: nothing would be sampled")
    return [share / whole for share in shares]


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:8]) + (" and more" if len(names) > 8 else "")
