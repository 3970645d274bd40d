"""Axes of charts: where ticks stand, how wide a label is, and how long ones are cut."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from stages.audit.model import Unit
from stages.audit.page.numbers import told

SIZE = 11.5  # of letters, in units of the drawing; that of `svg text` in page.css
_NARROW, _BROAD = frozenset("iIjl.,:;'|!()[]ft/ -·"), frozenset("mwMW@%—…")


@dataclass(frozen=True)
class Scale:
    """What place of the drawing, `start` to `end`, a value has between `low` and `high`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Returns the place of a value; on a logarithmic scale it must be above 0."""
        low, high, value = (
            (math.log10(v) for v in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        )
        if high == low:
            return (self.start + self.end) / 2
        return self.start + (self.end - self.start) * (value - low) / (high - low)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Returns the multiples of 1, 2 or 5 times a power of ten from `low` to `high`, at most `most` + 1 of them.

    >>> ticks(0, 0.23, 5), ticks(0, 1203, 4)
    ([0.0, 0.05, 0.1, 0.15, 0.2], [0.0, 500.0, 1000.0])
    """
    if not high > low:
        return [low]
    step = _step(high - low, most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [_clean(number * step) for number in range(first, last + 1)]


def _step(size: float, most: int) -> float:
    """Returns the least of 1, 2, 5 times a power of ten of which at most `most` go into a size."""
    power = 10.0 ** math.floor(math.log10(size / most))
    return next(power * one for one in (1, 2, 5, 10) if power * one * most >= size * (1 - 1e-9))


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Returns powers of ten from `low` to `high`, thinned to `most`; with 2 and 5 between where there are under three.

    >>> log_ticks(1, 1500), log_ticks(2, 40)
    ([1.0, 10.0, 100.0, 1000.0], [2.0, 5.0, 10.0, 20.0])
    """
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last - first >= 2:
        step = math.ceil((last - first + 1) / most)
        return [10.0**power for power in range(first, last + 1, step)]
    between = (_clean(10.0**power * one) for power in range(first - 1, last + 1) for one in (1, 2, 5))
    found = [value for value in between if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
    return found or [low]


def rounded(high: float, most: int = 5) -> float:
    """Returns the first tick at or above `high`, where an axis from 0 may end.

    >>> rounded(0.23), rounded(1203, 4)
    (0.25, 1500.0)
    """
    if high <= 0:
        return 1.0
    step = _step(high, most)
    return _clean(step * math.ceil(high / step - 1e-9))


@lru_cache(4096)
def width(text: str) -> float:
    """Returns about how wide a text is in the page's letters of SIZE; Han are as wide as they are high."""
    return SIZE * sum(
        1.0
        if unicodedata.east_asian_width(char) in "WF"
        else 0.0
        if unicodedata.combining(char)
        else 0.37
        if char in _NARROW
        else 0.9
        if char in _BROAD
        else 0.7
        if char.isupper()
        else 0.6
        for char in text
    )


def cut(text: str, room: float) -> str:
    """Returns a text that fits into a room, its end replaced by an ellipsis where it would not.

    >>> cut("example.org", 200.0), cut("简体中文网站", 40.0)
    ('example.org', '简体…')
    """
    if width(text) <= room:
        return text
    wide, end = width("…"), 0
    while end < len(text) and (wide := wide + width(text[end])) <= room:
        end += 1
    return text[:end].rstrip() + "…"


def apart(places: Sequence[float], labels: Sequence[str], gap: float = 8.0) -> list[int]:
    """Returns which labels, centred at ascending places, may be written without touching: each k-th, k the least."""
    for step in range(1, len(places) + 1):
        chosen = list(range(0, len(places), step))
        if all(
            places[after] - places[before] >= (width(labels[before]) + width(labels[after])) / 2 + gap
            for before, after in pairwise(chosen)
        ):
            return chosen
    return list(range(min(1, len(places))))


def tick_label(value: float, unit: Unit) -> str:
    """Returns what stands at a tick: thousands as k where there is room for few characters.

    >>> tick_label(0.05, "share"), tick_label(20000.0, "documents"), tick_label(1.5, "number")
    ('5%', '20k', '1.5')
    """
    if unit in ("documents", "tokens", "characters", "number") and 10**4 <= abs(value) < 10**6:
        return f"{told(value / 1000, 'number')}k"
    if unit in ("documents", "number") and 10**6 <= abs(value) < 10**15:
        return told(value, "tokens")
    whole = value.is_integer() and unit != "share" and abs(value) < 2**53
    return told(int(value) if whole else value, unit, tiny=True)


def _clean(value: float) -> float:
    """Returns a multiple of a step without the last bits that the multiplication left."""
    return float(f"{value:.12g}")
