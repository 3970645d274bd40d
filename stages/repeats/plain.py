"""What finds repeats once more, in plain Python: the anchors of a text, and all repeats of a corpus by brute force."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from stages.dedup.plain import WORD_MASK, mix, token_hash
from stages.repeats.anchors import GRAM_PRIME, LENGTH_STEP


def run_hash(tokens: Sequence[str]) -> int:
    """Returns the polynomial of the hashes of a run of tokens, modulo 2^64."""
    value = 0
    for token in tokens:
        value = (value * int(GRAM_PRIME) + token_hash(token)) & WORD_MASK
    return value


def anchors(tokens: Sequence[str], width: int, spread: int) -> list[tuple[int, int, int, int]]:
    """Returns (gram, span, start, passages) of each run of passages with one anchor."""
    grams = [mix(run_hash(tokens[start : start + width])) for start in range(len(tokens) - width + 1)]
    starts = range(len(grams) - spread + 1)
    made = []
    for anchor, held in groupby(starts, lambda start: min(range(start, start + spread), key=lambda n: (grams[n], -n))):
        run = list(held)
        span = run_hash(tokens[run[0] : run[-1] + width + spread - 1])
        made.append((grams[anchor], mix(span ^ (len(run) * int(LENGTH_STEP) & WORD_MASK)), run[0], len(run)))
    return made


def repeats(documents: Sequence[Sequence[str]], length: int) -> tuple[list[set[int]], list[set[int]]]:
    """Returns of each document, best first, at which tokens repeated passages begin: later ones, and first ones.

    A passage is `length` tokens; the first of equal ones is that of the best document, and in it the foremost.
    """
    found: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for number, tokens in enumerate(documents):
        for start in range(len(tokens) - length + 1):
            found.setdefault(tuple(tokens[start : start + length]), []).append((number, start))
    later: list[set[int]] = [set() for _ in documents]
    first: list[set[int]] = [set() for _ in documents]
    for (source, place), *others in found.values():
        first[source].update([place] if others else [])
        for number, start in others:
            later[number].add(start)
    return later, first
