"""The parts of the report, in the order of its page: each counts something over the frame and says it in sections."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Protocol

from stages.audit import (
    duplicates,
    fertility,
    funnel,
    hosts,
    kinds,
    lexical,
    provenance,
    risk,
    rules,
    shift,
    sizes,
    survival,
    sweep,
    tail,
    topics,
)
from stages.audit.counter import Counter, Facts, Scan, Wide
from stages.audit.model import Section


class Part(Protocol):
    """A module of a part of the report."""

    @property
    def COUNTERS(self) -> tuple[Counter | Wide | Scan, ...]:  # noqa: N802 - a constant of a module
        """What it counts; tables of other parts may be read too, by their names."""

    def sections(self, facts: Facts) -> Iterator[Section]:
        """Yields its sections."""


PARTS: tuple[Part, ...] = (
    funnel,
    rules,
    survival,
    shift,
    hosts,
    tail,
    sweep,
    kinds,
    topics,
    lexical,
    sizes,
    fertility,
    duplicates,
    risk,
    provenance,
)


def counters() -> tuple[Counter | Wide | Scan, ...]:
    """Returns what all parts count."""
    return tuple(chain.from_iterable(part.COUNTERS for part in PARTS))


def sections(facts: Facts) -> Iterator[Section]:
    """Yields the sections of all parts."""
    for part in PARTS:
        yield from part.sections(facts)
