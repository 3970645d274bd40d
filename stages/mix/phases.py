"""Phases of training, each with shares and a budget of its own: most of it stable, say, and the end annealed.

What a phase does not say is the mix's. The samples of a group are counted through all phases, so one goes on where the
one before stopped, and caps on epochs hold for all of them together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Annotated, Literal

from datapipe import ConfigError
from stages.mix.amounts import Amount, amount
from stages.mix.plan import Phases
from stages.mix.quota import apportion
from stages.mix.shares import Shares

_ROUNDED = Fraction(1, 1000)  # that far from 1 may be the sum of ratios, such as three times .333


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of the sequence. What it does not say of shares, it takes from the mix."""

    name: Annotated[str, "what it is called in messages, manifest and report"]
    tokens: Annotated[Amount | None, "tokens to sample in it, such as 50_000_000_000 or 50B"] = None
    ratio: Annotated[
        float | None, "share of the mix's tokens, in the place of `tokens`; those of all phases sum to 1"
    ] = None
    weights: Annotated[dict[str, float] | Literal["proportional"] | None, "as the mix's"] = None
    default: Annotated[float | None, "as the mix's"] = None
    temperature: Annotated[float | None, "as the mix's"] = None
    unimax: Annotated[float | None, "as the mix's; epochs of the phases before count"] = None
    epochs: Annotated[dict[str, float] | None, "as the mix's, of this phase alone, which has no other budget then"] = (
        None
    )

    def sampled(self, share: float, seq_len: int) -> Phase:
        """Returns the phase as it is of a share of the documents: it has that share of its tokens."""
        if self.tokens is None:
            return self
        whole = amount(self.tokens, f"phases: {self.name}: tokens")
        return replace(self, tokens=max(seq_len, round(whole * share)))


def phased(phases: Sequence[Phase], shares: Shares, seq_len: int | None) -> Phases:
    """Returns name and shares of each phase; `shares` are the mix's, whose budget ratios divide into whole samples.

    Raises:
        ConfigError: names, budgets or numbers make no sense.
    """
    if not phases:
        raise ConfigError("phases: is empty; leave it out where there is one")
    for name, times in Counter(phase.name for phase in phases).items():
        if times > 1 or not name.strip():
            raise ConfigError(
                f"phases: the name '{name}' stands {times} times" if name.strip() else "phases: one has no name"
            )
    made = []
    for phase, tokens in zip(phases, _budgets(phases, shares, seq_len or 1), strict=True):
        own = shares.phase(
            tokens=tokens,
            weights=phase.weights,
            default=phase.default,
            temperature=phase.temperature,
            unimax=phase.unimax,
            epochs=phase.epochs,
        )
        if tokens is None and own.epochs is None:
            raise ConfigError(f"phases: {phase.name}: how long is it? give tokens, or ratio, or epochs")
        own.check(f"phases: {phase.name}: ")
        made.append((phase.name, own))
    return tuple(made)


def samples_for_each(phases: Sequence[Phase]) -> int:
    """Returns a number of samples of which each phase gets one by its ratio."""
    return max([1, *(math.ceil(2 / phase.ratio) for phase in phases if phase.ratio)])


def _budgets(phases: Sequence[Phase], shares: Shares, unit: int) -> list[int | None]:
    """Returns the tokens of each phase, None where it says neither tokens nor ratio."""
    by_tokens = [phase.name for phase in phases if phase.tokens is not None]
    by_ratio = [phase.name for phase in phases if phase.ratio is not None]
    both = [name for name in by_tokens if name in by_ratio]
    if both:
        raise ConfigError(f"phases: {both[0]}: give tokens or ratio, one of the two")
    if by_tokens and by_ratio:
        raise ConfigError(
            f"phases: {by_tokens[0]} has tokens and {by_ratio[0]} a ratio: give all the one or all the other"
        )
    if not by_ratio:
        if shares.tokens is not None:
            raise ConfigError(
                "phases: the mix has tokens or params, and no phase a ratio of them: leave out one of the two"
            )
        return [
            None if phase.tokens is None else amount(phase.tokens, f"phases: {phase.name}: tokens") for phase in phases
        ]
    if shares.tokens is None:
        raise ConfigError(f"phases: {by_ratio[0]}: ratio: a share of what? give the mix tokens or params")
    for phase in phases:
        if phase.ratio is None:
            raise ConfigError(f"phases: {phase.name} has no ratio, and {by_ratio[0]} has one: give one to all")
        if not 0 < phase.ratio <= 1:
            raise ConfigError(f"phases: {phase.name}: ratio: {phase.ratio} is not a share (above 0, at most 1)")
    ratios = [Fraction(str(phase.ratio)) for phase in phases]
    whole = sum(ratios, Fraction(0))
    if abs(whole - 1) > _ROUNDED:
        raise ConfigError(f"phases: the ratios sum to {float(whole):g}, not to 1")
    units = apportion(ratios, round(Fraction(shares.tokens, unit)))
    if not all(units):
        short = phases[units.index(0)]
        raise ConfigError(f"phases: {short.name}: ratio: {short.ratio} of {shares.tokens:,} tokens is not one sample")
    return [count * unit for count in units]
