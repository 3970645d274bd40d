"""Our own language model: counts of hashed character n-grams, made to weights of one byte.

A model holds no word and no text: for each of 2^bits buckets and each language it has the logarithm of how much more
often n-grams of the bucket occur in the language than in all languages alike, smoothed so that no n-gram decides
alone: log((1 - s) P(bucket | language) + s P(bucket)) - log P(bucket), rounded to 1/8. The weights of a text's
n-grams are added as integers, so the sums are equal on every machine; softmax(temperature * sum / sqrt(n-grams))
makes them probabilities.

N-grams are of 1 to `longest` characters, `wide` for Han, kana and Hangul; a space stands before and after a word and
none crosses a space. The hash is FNV-like over code points, in 64 bits, its highest bits being the bucket.

Source: W. Cavnar, J. Trenkle, "N-Gram-Based Text Categorization", 1994 (character n-grams); naive Bayes with
Jelinek-Mercer smoothing: C. Zhai, J. Lafferty, SIGIR 2001, section 2.1. Hashing instead of a dictionary is ours.
"""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import zstandard

from datapipe.errors import ConfigError
from stages.buffers import utf8
from stages.language.pieces import decode

MAGIC = b'{"format":"datapipe language model",'
SCALE = 8  # weights are multiples of 1/8
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_BIAS = 128  # makes weights unsigned, so that four are added in one word
_EVEN = np.uint64(0x00FF00FF00FF00FF)
_BYTE = np.uint64(8)
_AT_ONCE = 256  # additions until a lane of 16 bits might be full
_FIRST_WIDE = 0x2E80  # CJK radicals; Han, kana and Hangul syllables lie behind


@dataclass(frozen=True)
class HashedModel:
    """Weights int8[2^bits, labels] and what n-grams they are of. It reads Traditional characters made Simplified."""

    labels: tuple[str, ...]
    weights: npt.NDArray[np.int8]
    longest: int
    wide: int
    temperature: float

    def best(self, texts: pa.LargeStringArray, most: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Returns the `most` likeliest labels of each text, and their probabilities: int32 and float32[texts, most].

        Beyond the last label, and in a text without an n-gram, the number is -1.
        """
        sums, counts = self.sums(texts)
        logits = sums * (self.temperature / SCALE) / np.sqrt(np.maximum(counts, 1))[:, None]
        numbers, chances = _best(logits, counts, most)
        return numbers, chances

    def sums(self, texts: pa.LargeStringArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Returns the summed weights int32[texts, labels] and the numbers of n-grams int64[texts]."""
        data, offsets = utf8(texts)
        shift = np.uint64(64 - (len(self.weights) - 1).bit_length())
        sums, counts = _sums(data, offsets, self._packed, shift, self.longest, self.wide)
        return sums[:, : len(self.labels)], counts

    @functools.cached_property
    def _packed(self) -> npt.NDArray[np.uint64]:
        """The weights plus `_BIAS` as bytes, eight labels a word: uint64[2^bits, words], words a multiple of 4."""
        biased = (self.weights.astype(np.int16) + _BIAS).astype(np.uint8)
        rows = np.pad(biased, ((0, 0), (0, -biased.shape[1] % 32)), constant_values=_BIAS)
        return np.ascontiguousarray(rows).view("<u8").astype(np.uint64)


def dump(model: HashedModel) -> bytes:
    """Returns the model as the content of a file: equal models give equal bytes."""
    header = {
        "labels": list(model.labels),
        "buckets": len(model.weights),
        "longest": model.longest,
        "wide": model.wide,
        "temperature": model.temperature,
    }
    content = MAGIC + json.dumps(header, separators=(",", ":"))[1:].encode() + b"\n"
    return zstandard.ZstdCompressor(level=19).compress(content + model.weights.T.tobytes())


def is_hashed(content: bytes) -> bool:
    """Says whether `content` starts as a file of `dump` does."""
    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(content[: 1 << 17])[: len(MAGIC)] == MAGIC
    except zstandard.ZstdError:
        return False


@functools.lru_cache(maxsize=4)
def load(content: bytes, path: str) -> HashedModel:
    """Returns the model of a file's content. Raises ConfigError where the file is cut or damaged."""
    try:
        header, _, weights = zstandard.decompress(content).partition(b"\n")
        told = json.loads(header)
        shape = len(told["labels"]), int(told["buckets"])
        table = np.ascontiguousarray(np.frombuffer(weights, np.int8).reshape(shape).T)
        return HashedModel(
            tuple(told["labels"]), table, int(told["longest"]), int(told["wide"]), float(told["temperature"])
        )
    except (zstandard.ZstdError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: a damaged language model ({error}); make it anew with `datapipe train language`"
        ) from error


def count(texts: pa.LargeStringArray, *, bits: int, longest: int, wide: int) -> npt.NDArray[np.int64]:
    """Returns how often the n-grams of all texts fall into each bucket: int64[2^bits]."""
    data, offsets = utf8(texts)
    counts = np.zeros(1 << bits, np.int64)
    _count(data, offsets, counts, np.uint64(64 - bits), longest, wide)
    return counts


def weigh(counts: npt.NDArray[np.int64], smoothing: float) -> npt.NDArray[np.int8]:
    """Returns the weights int8[buckets, labels] of counts of that shape; a bucket never met weighs nothing."""
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    alike = shares.mean(axis=1, keepdims=True)
    met = np.where(alike > 0, alike, 1)
    ratios = np.where(alike > 0, (1 - smoothing) * shares / met + smoothing, 1)
    weights: npt.NDArray[np.int8] = np.rint(np.log(ratios) * SCALE).astype(np.int8)
    return weights


@numba.njit(cache=True, nogil=True)
def _buckets(data, start, end, shift, longest, wide, codes, out):  # type: ignore[no-untyped-def]  # numba infers
    """Writes the buckets of all n-grams of data[start:end] to `out`; returns their number."""
    codes[0] = 32
    length = 1
    while start < end:
        code, width = decode(data, start)
        start += width
        codes[length] = code
        length += 1
    codes[length] = 32
    length += 1
    made = 0
    for first in range(length):
        most = longest if codes[first] < _FIRST_WIDE else wide
        state = np.uint64(0)
        for place in range(first, min(first + most, length)):
            code = codes[place]
            state = (state ^ np.uint64(code)) * _MULTIPLIER
            state ^= state >> _HALF
            if code != 32:
                out[made] = (state * _MULTIPLIER) >> shift
                made += 1
            elif place > first:
                out[made] = (state * _MULTIPLIER) >> shift
                made += 1
                break
    return made


@numba.njit(cache=True, nogil=True)
def _longest_text(offsets):  # type: ignore[no-untyped-def]  # numba infers
    most = np.int64(0)
    for number in range(len(offsets) - 1):
        most = max(most, offsets[number + 1] - offsets[number])
    return most


@numba.njit(cache=True, nogil=True)
def _add_lanes(even, odd, sums, first):  # type: ignore[no-untyped-def]  # numba infers
    for lane in range(4):
        sums[first + 2 * lane] += (even >> np.uint64(16 * lane)) & np.uint64(0xFFFF)
        sums[first + 2 * lane + 1] += (odd >> np.uint64(16 * lane)) & np.uint64(0xFFFF)


@numba.njit(cache=True, nogil=True)
def _add_rows(packed, buckets, word, sums):  # type: ignore[no-untyped-def]  # numba infers
    """Adds the weights of at most `_AT_ONCE` buckets, of 32 labels from that of `word`, to `sums`."""
    a = b = c = d = e = f = g = h = np.uint64(0)
    for bucket in buckets:
        one, two, three, four = (
            packed[bucket, word],
            packed[bucket, word + 1],
            packed[bucket, word + 2],
            packed[bucket, word + 3],
        )
        a += one & _EVEN
        b += (one >> _BYTE) & _EVEN
        c += two & _EVEN
        d += (two >> _BYTE) & _EVEN
        e += three & _EVEN
        f += (three >> _BYTE) & _EVEN
        g += four & _EVEN
        h += (four >> _BYTE) & _EVEN
    _add_lanes(a, b, sums, 8 * word)
    _add_lanes(c, d, sums, 8 * word + 8)
    _add_lanes(e, f, sums, 8 * word + 16)
    _add_lanes(g, h, sums, 8 * word + 24)


@numba.njit(cache=True, nogil=True)
def _sums(data, offsets, packed, shift, longest, wide):  # type: ignore[no-untyped-def]  # numba infers
    """Returns (sums int32[texts, 8 * words], numbers of n-grams int64[texts]) for `packed` uint64[buckets, words].

    Four weights are added at once, in lanes of 16 bits. Plainer loops, which the compiler leaves as they are or turns
    into gathers of single weights, take three to ten times as long.
    """
    texts, words = len(offsets) - 1, packed.shape[1]
    room = _longest_text(offsets) + 2
    codes = np.empty(room, np.int64)
    buckets = np.empty(room * max(longest, wide), np.int64)
    sums = np.zeros((texts, 8 * words), np.int32)
    counts = np.zeros(texts, np.int64)
    for number in range(texts):
        made = _buckets(data, offsets[number], offsets[number + 1], shift, longest, wide, codes, buckets)
        counts[number] = made
        for start in range(0, made, _AT_ONCE):
            for word in range(0, words, 4):
                _add_rows(packed, buckets[start : min(start + _AT_ONCE, made)], word, sums[number])
        sums[number] -= np.int32(_BIAS * made)
    return sums, counts


@numba.njit(cache=True, nogil=True)
def _best(logits, counts, most):  # type: ignore[no-untyped-def]  # numba infers
    """Returns the `most` highest of each row, of equal ones the first, and their shares of the softmax."""
    texts, labels = logits.shape
    numbers = np.full((texts, most), -1, np.int32)
    chances = np.zeros((texts, most), np.float32)
    for text in range(texts):
        if counts[text] == 0:
            continue
        row = logits[text]
        highest = row.max()
        total = 0.0
        for label in range(labels):
            total += math.exp(row[label] - highest)
            place = most
            while place > 0 and (numbers[text, place - 1] < 0 or row[numbers[text, place - 1]] < row[label]):
                if place < most:
                    numbers[text, place] = numbers[text, place - 1]
                place -= 1
            if place < most:
                numbers[text, place] = label
        for place in range(min(most, labels)):
            chances[text, place] = math.exp(row[numbers[text, place]] - highest) / total
    return numbers, chances


@numba.njit(cache=True, nogil=True)
def _count(data, offsets, counts, shift, longest, wide):  # type: ignore[no-untyped-def]  # numba infers
    room = _longest_text(offsets) + 2
    codes = np.empty(room, np.int64)
    buckets = np.empty(room * max(longest, wide), np.int64)
    for number in range(len(offsets) - 1):
        made = _buckets(data, offsets[number], offsets[number + 1], shift, longest, wide, codes, buckets)
        for place in range(made):
            counts[buckets[place]] += 1
