"""Batches of a trainer as ranges of what a reader yields: one size, or a ramp of sizes.

Batch k is the same samples for any number of ranks and workers, for a sample is addressed by its place alone.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from datapipe import ConfigError

_PART = re.compile(r"(?P<size>[\d_]+)(?:x(?P<count>[\d_]+))?")
_DIGITS = 18  # of a number that is one: it fits into 64 bits


def whole(text: str) -> int | None:
    """Returns a whole number, which may have `_` between its digits; None where it is none, or one of no sense.

    >>> whole("32_000"), whole("_"), whole("-1"), whole("9" * 5000)
    (32000, None, None, None)
    """
    digits = text.replace("_", "")
    return int(digits) if digits.isdecimal() and len(digits) <= _DIGITS else None


@dataclass(frozen=True)
class Batches:
    """Sizes of batches (samples of all ranks together): `ramp` holds (size, number of batches), `last` goes on.

    >>> batches = Batches.parse("32x1000,64x1000,128")
    >>> [batches.first(number) for number in (0, 1, 1000, 2000, 2001)]
    [0, 32, 32000, 96000, 96128]
    >>> [batches.number(index) for index in (0, 31, 32, 95999, 96000)]
    [0, 0, 1, 1999, 2000]
    """

    ramp: tuple[tuple[int, int], ...]
    last: int

    @staticmethod
    def parse(text: str | int) -> Batches:
        """Returns the batches of `N`, or of `SIZExCOUNT,…,SIZE`. Raises ConfigError where it is neither."""
        parts = [_PART.fullmatch(part.strip()) for part in str(text).split(",")]
        found = [(whole(part["size"]) or 0, whole(part["count"] or "0") or 0) for part in parts if part]
        ramp, last = found[:-1], found[-1:]
        sound = len(found) == len(parts) and all(count for _, count in ramp) and not any(count for _, count in last)
        if not sound or not all(size for size, _ in found):
            raise ConfigError(
                f"batch size '{text}': write a number of samples, or a ramp as 32x1000,64x1000,128: 1000 batches of "
                "32, then 1000 of 64, then all others of 128"
            )
        return Batches(tuple(ramp), last[0][0])

    def first(self, number: int) -> int:
        """Returns the index of the first sample of a batch."""
        return self.bounds(number)[0]

    def size(self, number: int) -> int:
        """Returns the samples of a batch."""
        return self.bounds(number)[1]

    def bounds(self, number: int) -> tuple[int, int]:
        """Returns the index of the first sample of a batch, and its size."""
        if not self.ramp:
            return number * self.last, self.last
        place = bisect_right(self._batches, number) - 1
        size = self._sizes[place]
        return self._samples[place] + (number - self._batches[place]) * size, size

    def number(self, index: int) -> int:
        """Returns the batch that a sample is in."""
        place = bisect_right(self._samples, index) - 1
        return self._batches[place] + (index - self._samples[place]) // self._sizes[place]

    def count(self, samples: int) -> int:
        """Returns the batches that so many samples fill, the last of them perhaps in part."""
        return self.number(samples - 1) + 1 if samples else 0

    @cached_property
    def _sizes(self) -> list[int]:
        return [*(size for size, _ in self.ramp), self.last]

    @cached_property
    def _batches(self) -> list[int]:
        made = [0]
        for _, count in self.ramp:
            made.append(made[-1] + count)
        return made

    @cached_property
    def _samples(self) -> list[int]:
        made = [0]
        for size, count in self.ramp:
            made.append(made[-1] + size * count)
        return made
