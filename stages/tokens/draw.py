"""The sample that a tokenizer is trained on: documents by hash, of each source as much as its weight says.

Of a source the documents of least hash are taken, so which they are is a function of the seed and the documents, never
of the order they come in. Where a source has less than its share, its documents are taken again from the first one, as
a mix repeats it: shares hold to within a document each.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from datapipe import ConfigError

DOCUMENT_CHARACTERS = 1 << 17  # of one document, the first: a book must not be the sample
ALL = ""  # in the place of a source, where sources have no weights


def hash_of(seed: int, name: bytes) -> int:
    """Returns 64 bits that are a function of (seed, name)."""
    key = seed.to_bytes(16, "little", signed=True)
    return int.from_bytes(hashlib.blake2b(name, key=key, digest_size=8).digest(), "little")


def check_seed(seed: int) -> None:
    """Raises ConfigError where a seed is no number of 64 bits."""
    if not -(1 << 63) <= seed < 1 << 63:
        raise ConfigError(f"seed: {seed} is no integer of 64 bits")


def check_weights(weights: Mapping[str, float]) -> None:
    """Raises ConfigError where a weight is no share."""
    for source, weight in weights.items():
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"weights: {source}: {weight} is not a share (a number from 0)")
    if not any(weights.values()):
        raise ConfigError("weights: every weight is 0: nothing would be sampled")


def check_sources(weights: Mapping[str, float], sources: Sequence[str]) -> None:
    """Raises ConfigError where weights name other sources than there are."""
    unknown, missing = sorted(set(weights) - set(sources)), [name for name in sources if name not in weights]
    if unknown:
        raise ConfigError(f"weights: there is no source {', '.join(unknown)}; the sources are {', '.join(sources)}")
    if missing:
        raise ConfigError(f"weights: {', '.join(missing)} has no weight: give it one (0 leaves it out)")


def quotas(sizes: Mapping[str, int], weights: Mapping[str, float] | None, sample_bytes: int) -> dict[str, int]:
    """Returns the bytes to sample by source; without weights all sources are one, `ALL`.

    In all it is `sample_bytes`, or what there is of the sources with a weight if that is less.

    >>> quotas({"zh": 100, "en": 900}, {"zh": 0.5, "en": 0.5}, 400)
    {'zh': 200, 'en': 200}
    >>> quotas({"zh": 100, "en": 900}, None, 400)
    {'': 400}
    """
    if weights is None:
        return {ALL: min(sample_bytes, sum(sizes.values()))}
    there = {source: Fraction(str(weights[source])) for source, size in sizes.items() if size and weights[source]}
    whole = min(sample_bytes, sum(sizes[source] for source in there))
    return {source: int(weight * whole / sum(there.values())) for source, weight in there.items()}


def drawn(texts: Sequence[str], quota: int, *, again: bool) -> Iterator[str]:
    """Yields texts in their order up to `quota` bytes, one at least; `again` from the first where they end.

    >>> list(drawn(["道", "ab"], 8, again=True))
    ['道', 'ab', '道']
    """
    sizes = [len(text.encode()) for text in texts]
    there, held, place = any(sizes), 0, 0
    while there and (again or place < len(texts)):
        held += sizes[place % len(texts)]
        if place and held > quota:
            return
        yield texts[place % len(texts)]
        place += 1


class Least:
    """The documents of least hash, `quota` bytes of them and one document more; others are let go as they come."""

    def __init__(self, seed: int, quota: int) -> None:
        self._seed, self._quota = seed, max(1, quota)
        self._heap: list[tuple[int, str, str]] = []  # the greatest hash first
        self._held = 0

    def add(self, text: str, source: str = ALL) -> int:
        """Takes what of a document may be sampled, as long as it is among the least; returns its bytes."""
        name = -hash_of(self._seed, text.encode())
        text = text[:DOCUMENT_CHARACTERS]
        size = len(text.encode())
        if size and (self._held < self._quota or name > self._heap[0][0]):
            heapq.heappush(self._heap, (name, source, text))
            self._held += size
            while self._held - (first := len(self._heap[0][2].encode())) >= self._quota:
                heapq.heappop(self._heap)
                self._held -= first
        return size

    def documents(self) -> list[tuple[str, str]]:
        """Returns (source, text) of what is held, by hash."""
        return [(source, text) for _, source, text in sorted(self._heap, reverse=True)]
