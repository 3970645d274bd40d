"""The plain twins of the kernels: the same results, written to be read. Tests hold the kernels to them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stages.classify.cut import DIGIT, LETTER, LINE, NEWLINE, NOTHING, PARTS, SIGN, SIGNS, SPACE, kinds
from stages.classify.hashed import LONGEST, STEADY
from stages.language.tables import SIZE, tables

_MULTIPLIER = 0x9E3779B97F4A7C15


def cut(text: str) -> str:
    """Returns the cut text, as `cut.cut` does."""
    tokens: list[str] = []
    before, last = SPACE, ""  # kind of the character before, and that character where it is a sign
    run = 0
    line = False
    for character in text:
        kind = _kind(character)
        if kind == NOTHING:
            continue
        if kind in (SPACE, NEWLINE):
            line |= kind == NEWLINE
        else:
            if line and tokens:
                tokens.append(chr(LINE))
                before = SPACE
            line = False
            folded = _fold(character)
            if kind in (LETTER, DIGIT) and before in (LETTER, DIGIT):
                tokens[-1] += folded
            elif kind == SIGN and before == SIGN and character == last:
                run += 1
                tokens[-1] += folded if run <= SIGNS else ""
            else:
                tokens.append(folded)
                run = 1
        before, last = kind, character
    return " ".join(tokens)


def excerpt(text: str, characters: int) -> str:
    """Returns what is read of a text, as `cut.excerpt` does."""
    if len(text) <= characters:
        return text
    data = text.encode()
    parts = []
    for part in range(PARTS):
        start, behind = len(data) * part // PARTS, len(data) * (part + 1) // PARTS
        starts = [at for at in range(start, len(data) + 1) if at == len(data) or data[at] & 0xC0 != 0x80]
        kept = starts[: characters // PARTS + 1]
        last = next((at for at in kept if at >= behind), kept[-1])
        parts.append(data[kept[0] : last].decode())
    return "\n".join(parts)


def buckets(tokens: str, bits: int) -> list[int]:
    """Returns the buckets of the n-grams of a cut text, sorted, as the kernels of `hashed` find them."""
    parts = tokens.split(" ") if tokens else []
    hashes = [_token(part) for part in parts]
    alone = [len(part) == 1 and part >= "\u3000" for part in parts]
    found = []
    for first in range(len(parts)):
        for length in range(1, LONGEST + 1):
            last = first + length
            if last <= len(parts) and (length <= 2 or all(alone[first:last])):
                state = 0
                for value in hashes[first:last]:
                    state = state * _MULTIPLIER % 2**64 ^ value
                state ^= state >> 32 if length > 1 else 0
                found.append(state * _MULTIPLIER % 2**64 >> (64 - bits))
    return sorted(found)


def learn(
    texts: Sequence[str], targets: Sequence[int], labels: int, *, bits: int, epochs: int, rate: float
) -> tuple[dict[tuple[int, int], float], list[float]]:
    """Returns the weights by (bucket, label) and the biases that cut texts teach, as `hashed.learn` before rounding."""
    weights: dict[tuple[int, int], float] = {}
    seen: dict[tuple[int, int], float] = {}
    bias, seen_bias = [0.0] * labels, [STEADY] * labels
    for _ in range(epochs):
        for text, target in zip(texts, targets, strict=True):
            found = buckets(text, bits)
            norm = 1 / math.sqrt(max(len(found), 1))
            logits = [0.0] + [
                bias[label] + norm * sum(weights.get((bucket, label), 0) for bucket in found)
                for label in range(1, labels)
            ]
            whole = sum(map(math.exp, logits))
            for label in range(1, labels):
                error = math.exp(logits[label]) / whole - (label == target)
                seen_bias[label] += error**2
                bias[label] -= rate * error / math.sqrt(seen_bias[label])
                for bucket in found:
                    key, step = (bucket, label), error * norm
                    seen[key] = seen.get(key, STEADY) + step**2
                    weights[key] = weights.get(key, 0) - rate * step / math.sqrt(seen[key])
    return weights, bias[1:]


def _token(token: str) -> int:
    state = 0xCBF29CE484222325
    for byte in token.encode():
        state = (state ^ byte) * _MULTIPLIER % 2**64
    return state ^ state >> 32


def _kind(character: str) -> int:
    return int(kinds()[ord(character)]) if ord(character) < SIZE else SIGN


def _fold(character: str) -> str:
    if _kind(character) == DIGIT:
        return "0"
    return chr(tables().simple[ord(character)]) if ord(character) < SIZE else character
