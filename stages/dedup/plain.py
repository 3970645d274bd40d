"""The kernels of `stages.dedup.signature` once more, in plain Python: slow, readable, and equal to the last bit."""

from __future__ import annotations

from collections.abc import Sequence

from stages.dedup.signature import MIXERS, PLACE_STEPS, SHINGLE_PRIME, TOKEN_PRIME, TOKEN_SEED

WORD_MASK = 2**64 - 1
HALF_MASK = 2**32 - 1


def token_hash(token: str) -> int:
    """Returns the 64-bit hash of one token, a chunk of up to eight bytes at a time."""
    value, chunk, used = int(TOKEN_SEED), 0, 0
    for letter in map(ord, token):
        unit, bits = (letter, 8) if letter < 0x80 else (letter << 8 | 0x80, 32)
        if used + bits > 64:
            value, chunk, used = finish(value ^ chunk), 0, 0
        chunk, used = chunk | unit << used, used + bits
    return finish(value ^ chunk)


def finish(value: int) -> int:
    """Returns the hash of one more chunk, from that chunk and the hash of those before."""
    return mix(value * int(TOKEN_PRIME) & WORD_MASK)


def shingle_hashes(tokens: Sequence[str], width: int) -> list[int]:
    """Returns the 64-bit hash of each run of `width` tokens, in order; none where there are fewer tokens."""
    hashes = [token_hash(token) for token in tokens]
    made = []
    for start in range(len(hashes) - width + 1):
        value = 0
        for item in hashes[start : start + width]:
            value = (value * int(SHINGLE_PRIME) + item) & WORD_MASK
        made.append(value ^ value >> 32)
    return made


def shingle_set(tokens: Sequence[str], width: int) -> list[int]:
    """Returns the distinct shingle hashes, ascending."""
    return sorted(set(shingle_hashes(tokens, width)))


def exact_hash(tokens: Sequence[str]) -> tuple[int, int]:
    """Returns both halves of the 128-bit hash of a folded view: sums of tokens mixed with their places."""
    first, second = (
        sum(mix(token_hash(token) ^ place * int(step) & WORD_MASK) for place, token in enumerate(tokens, 1)) & WORD_MASK
        for step in PLACE_STEPS
    )
    return first, second


def signature(shingles: Sequence[int], a: Sequence[int], b: Sequence[int]) -> list[int]:
    """Returns the least value of each permutation over the low 32 bits of the shingles."""
    hashes = [scatter(shingle & HALF_MASK) for shingle in shingles]
    return [min((m * h + c & HALF_MASK for h in hashes), default=HALF_MASK) for m, c in zip(a, b, strict=True)]


def band_keys(minima: Sequence[int], bands: int, rows: int) -> list[int]:
    """Returns the key of each band of a signature."""
    keys = []
    for band in range(bands):
        key = (band + 1) * int(PLACE_STEPS[0]) & WORD_MASK
        for value in minima[band * rows : band * rows + rows]:
            key = mix((key ^ value) * int(TOKEN_PRIME) & WORD_MASK)
        keys.append(key)
    return keys


def mix(value: int) -> int:
    """Returns a 64-bit value with its bits avalanched."""
    value = (value ^ value >> 33) * int(MIXERS[0]) & WORD_MASK
    return value ^ value >> 29


def scatter(value: int) -> int:
    """Returns MurmurHash3's 32-bit finalizer of a value."""
    value = (value ^ value >> 16) * 0x85EBCA6B & HALF_MASK
    value = (value ^ value >> 13) * 0xC2B2AE35 & HALF_MASK
    return value ^ value >> 16
