"""The plain twins of the kernels: the same results, written to be read. Tests hold the kernels to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stages.language.pieces import (
    GROUPS,
    HAN_WEIGHT,
    HANS,
    HANT,
    LZH,
    MARKS,
    MODERN,
    OVERHANG_BYTES,
    PIECES,
    SHORTEST_BYTES,
    YUE,
)
from stages.language.tables import (
    CANTONESE,
    HAN,
    HANGUL,
    LATIN,
    NONE,
    ONLY_CLASSICAL,
    ONLY_HANS,
    ONLY_HANT,
    ONLY_MODERN,
    SCRIPT_BITS,
    SIZE,
    SKIPPED,
    tables,
)

_MARKS = ((ONLY_HANS, HANS), (ONLY_HANT, HANT), (CANTONESE, YUE), (ONLY_CLASSICAL, LZH), (ONLY_MODERN, MODERN))

Piece = tuple[str, int, int]  # text, group, weight


def cut(text: str, *, letters: int, simple: bool) -> tuple[list[Piece], list[int]]:
    """Returns the pieces of one document and its counts of letters by script, as `pieces.cut` does."""
    size = len(text.encode())
    part = max(SHORTEST_BYTES, -(-size // PIECES))
    most = letters // max(1, -(-size // part))
    counts = [0] * (GROUPS + MARKS)
    held: dict[int, list[tuple[str, int]]] = {}  # the lines of the open piece of each group, with their weights
    made = []
    for line in _lines(text, part):
        weights = _weigh(line, counts)
        if any(weights):
            group = _largest(weights)
            lines = held.setdefault(group, [])
            lines.append((line, sum(weights)))
            if sum(len(one.encode()) for one, _ in lines) >= part:
                made.append(_piece(held.pop(group), group, most, simple=simple))
    return made + [_piece(held[group], group, most, simple=simple) for group in sorted(held)], counts


def weigh_lines(text: str) -> list[tuple[int, int]]:
    """Returns (group, weight) of each line of one document, as `pieces.weigh_lines` does."""
    weighed = [_weigh(line, [0] * (GROUPS + MARKS)) for line in text.split("\n")]
    return [(_largest(weights), sum(weights)) for weights in weighed]


def buckets(text: str, bits: int, *, longest: int, wide: int) -> Iterator[int]:
    """Yields the bucket of each n-gram of a text, as the kernels of `model` find them."""
    padded = f" {text} "
    for first, character in enumerate(padded):
        state = 0
        for place in range(first, min(first + (longest if ord(character) < 0x2E80 else wide), len(padded))):
            state = (state ^ ord(padded[place])) * 0x9E3779B97F4A7C15 % 2**64
            state ^= state >> 32
            if padded[place] != " " or place > first:
                yield state * 0x9E3779B97F4A7C15 % 2**64 >> (64 - bits)
            if padded[place] == " " and place > first:
                break


def decide(pieces: Sequence[tuple[int, dict[int, float]]]) -> list[tuple[int, float]]:
    """Returns (language, share), largest first, of a document's pieces: (weight, probability by fitting language)."""
    total = sum(weight for weight, _ in pieces)
    whole: dict[int, float] = {}
    for weight, chances in pieces:
        for language, chance in chances.items():
            whole[language] = whole.get(language, 0) + weight * chance
    shares: dict[int, int] = {}
    for weight, chances in pieces:
        best = max(chances, key=lambda language: chances[language] * whole[language])
        shares[best] = shares.get(best, 0) + weight
    ordered = sorted(shares, key=lambda language: (-shares[language], language))
    return [(language, shares[language] / total) for language in ordered]


def _kind(character: str) -> int:
    return int(tables().kinds[ord(character)]) if ord(character) < SIZE else 0


def _group(character: str) -> int:
    script = _kind(character) & SCRIPT_BITS
    return HAN if HAN < script < HANGUL else script


def _lines(text: str, part: int) -> Iterator[str]:
    """Yields the lines; a long one is parted behind the first character without script past `part` bytes."""
    line, size = "", 0
    for character in text:
        line += character
        size += len(character.encode())
        over = size >= part and _kind(character) & SCRIPT_BITS == NONE
        if character == "\n" or over or size >= part + OVERHANG_BYTES:
            yield line
            line, size = "", 0
    if line:
        yield line


def _weigh(line: str, counts: list[int]) -> list[int]:
    """Returns the weight of each group in the line; adds its letters and deciding characters to `counts`."""
    weights = [0] * GROUPS
    for character in line:
        kind = _kind(character)
        script = kind & SCRIPT_BITS
        if script > SKIPPED:
            weight = HAN_WEIGHT if script == HAN else 2 if HAN < script <= HANGUL else 1
            weights[_group(character)] += weight
            counts[script] += weight
        for bit, column in _MARKS:
            counts[column] += kind & bit > 0
    return weights


def _largest(weights: Sequence[int]) -> int:
    """Returns the group of a line of these weights; of nothing it is Latin."""
    if not any(weights):
        return LATIN
    return max(range(GROUPS), key=lambda one: (weights[one] * (1 if one == LATIN else 2), -one))


def _piece(lines: Sequence[tuple[str, int]], group: int, most: int, *, simple: bool) -> Piece:
    lower = tables().simple if simple else tables().lower
    words = [""]
    held = 0
    for character in "\n".join(line for line, _ in lines):
        if held == most:
            break
        if _group(character) == group:
            words[-1] += chr(lower[ord(character)])
            held += 1
        elif _kind(character) & SCRIPT_BITS != SKIPPED and words[-1]:
            words.append("")
    return " ".join(filter(None, words)), group, sum(weight for _, weight in lines)
