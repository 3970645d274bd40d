"""Our own classifier: a linear model over hashed n-grams of the cut text, with weights of one byte.

A model holds no word and no text: for each of 2^bits buckets and each label but the first it has a weight. N-grams are
of one and two tokens, and of three and four where all of them are single characters of scripts without spaces: words
and pairs of words of English, one to four characters of Chinese. The logit of a label is
bias + scale * (sum of the weights of the text's n-grams) / sqrt(their number), that of the first label is 0; softmax
makes them probabilities. Weights are added as integers, so the sums are equal on every machine.

It learns by stochastic gradient descent with AdaGrad's steps, one thread over the texts in the order given, which is
that of their digests: equal texts give equal models.

Source: multinomial logistic regression on hashed features, K. Weinberger et al., "Feature Hashing for Large Scale
Multitask Learning", ICML 2009; steps: J. Duchi, E. Hazan, Y. Singer, JMLR 12, 2011. One byte a weight is ours.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import zstandard

from datapipe import Resource
from datapipe.errors import ConfigError
from stages.classify.cut import CUT, arrays

MAGIC = b'{"format":"datapipe classifier",'
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_START = np.uint64(0xCBF29CE484222325)
_HALF = np.uint64(32)
_LAST_SPACED = 0xE2  # UTF-8 lead byte up to which characters belong to scripts with spaces, or are signs
LONGEST = 4  # n-gram of single characters
STEADY = 1e-8  # keeps AdaGrad's first steps finite


@dataclass(frozen=True)
class HashedModel:
    """Weights int8[2^bits, labels - 1] of the labels but the first, and what makes logits of their sums."""

    labels: tuple[str, ...]
    weights: npt.NDArray[np.int8]
    bias: tuple[float, ...]
    scale: float

    def probabilities(self, texts: pa.Array) -> npt.NDArray[np.float64]:
        """Returns the probability of each label for each cut text: float64[texts, labels]."""
        data, offsets = arrays(texts)
        sums, counts = _sums(data, offsets, self.weights, _shift(len(self.weights)))
        logits = np.zeros((len(texts), len(self.labels)))
        logits[:, 1:] = sums * self.scale / np.sqrt(np.maximum(counts, 1))[:, None] + np.array(self.bias)
        return softmax(logits)


def dump(model: HashedModel) -> bytes:
    """Returns the model as the content of a file; equal models give equal bytes."""
    header = {
        "labels": list(model.labels),
        "cut": CUT,
        "buckets": len(model.weights),
        "bias": list(model.bias),
        "scale": model.scale,
    }
    content = MAGIC + json.dumps(header, separators=(",", ":"))[1:].encode() + b"\n"
    return zstandard.ZstdCompressor(level=19).compress(content + model.weights.T.tobytes())


def is_hashed(content: bytes) -> bool:
    """Says whether `content` starts as a file of `dump` does."""
    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(content[: 1 << 17])[: len(MAGIC)] == MAGIC
    except zstandard.ZstdError:
        return False


def load(file: Resource) -> HashedModel:
    """Returns the model of a file. Raises ConfigError where it is cut short or damaged."""
    try:
        header, _, weights = zstandard.decompress(file.read()).partition(b"\n")
        told = json.loads(header)
        shape = len(told["labels"]) - 1, int(told["buckets"])
        table = np.ascontiguousarray(np.frombuffer(weights, np.int8).reshape(shape).T)
        model = HashedModel(tuple(told["labels"]), table, tuple(map(float, told["bias"])), float(told["scale"]))
    except (zstandard.ZstdError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{file.path}: a damaged classifier ({error}); make it anew with `datapipe train classifier`"
        ) from error
    if told.get("cut") != CUT:
        raise ConfigError(f"{file.path}: reads texts cut as {told.get('cut')}, this release cuts {CUT}; train it anew")
    return model


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns the probabilities of each row."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: npt.NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
    return result


def learn(
    texts: pa.Array, targets: npt.NDArray[np.int64], labels: Sequence[str], *, bits: int, epochs: int, rate: float
) -> HashedModel:
    """Returns a model of cut texts; `targets` are the numbers of their labels."""
    data, offsets = arrays(texts)
    weights = np.zeros((1 << bits, len(labels) - 1), np.float32)
    bias = np.zeros(len(labels) - 1)
    _learn(data, offsets, targets, weights, bias, _shift(len(weights)), epochs, rate)
    scale = float(np.abs(weights).max()) / 127 or 1.0
    return HashedModel(tuple(labels), np.rint(weights / scale).astype(np.int8), tuple(bias.tolist()), scale)


def _shift(buckets: int) -> np.uint64:
    return np.uint64(64 - (buckets - 1).bit_length())


@numba.njit(cache=True, nogil=True)
def _buckets(data, start, end, shift, out):  # type: ignore[no-untyped-def]  # numba infers
    """Writes the buckets of the n-grams of the cut text data[start:end] to `out`; returns their number."""
    made, at, stop = np.uintp(0), np.uintp(start), np.uintp(end)  # unsigned: no test for places from the end
    step = np.uintp(1)
    wide = 0  # tokens in a row that are single characters
    one = two = three = np.uint64(0)  # the n-grams that end at the token before
    while at < stop:
        first, begun = data[at], at
        token = _START
        while at < stop:
            byte = data[at]
            if byte == 32:
                break
            token = (token ^ np.uint64(byte)) * _MULTIPLIER
            at += step
        size = at - begun
        at += step
        token ^= token >> _HALF
        wide = wide + 1 if (size == 3 and first > _LAST_SPACED) or (size == 4 and first >= 0xF0) else 0
        four, three, two, one = three * _MULTIPLIER ^ token, two * _MULTIPLIER ^ token, one * _MULTIPLIER ^ token, token
        out[made] = (one * _MULTIPLIER) >> shift
        made += step
        if begun > np.uintp(start):
            out[made] = ((two ^ two >> _HALF) * _MULTIPLIER) >> shift
            made += step
        if wide > 2:
            out[made] = ((three ^ three >> _HALF) * _MULTIPLIER) >> shift
            made += step
            if wide > 3:
                out[made] = ((four ^ four >> _HALF) * _MULTIPLIER) >> shift
                made += step
    return np.int64(made)


@numba.njit(cache=True, nogil=True)
def _room(offsets):  # type: ignore[no-untyped-def]  # numba infers
    """Returns how many n-grams the longest text may have: two for a token of one byte and its space."""
    most = np.int64(0)
    for number in range(len(offsets) - 1):
        most = max(most, offsets[number + 1] - offsets[number])
    return most + LONGEST


@numba.njit(cache=True, nogil=True)
def _sums(data, offsets, weights, shift):  # type: ignore[no-untyped-def]  # numba infers
    """Returns (summed weights int64[texts, labels - 1], numbers of n-grams int64[texts])."""
    texts, columns = len(offsets) - 1, weights.shape[1]
    out = np.empty(_room(offsets), np.uint64)
    sums = np.zeros((texts, columns), np.int64)
    counts = np.zeros(texts, np.int64)
    for number in range(texts):
        made = _buckets(data, offsets[number], offsets[number + 1], shift, out)
        counts[number] = made
        for column in range(columns):
            total = np.int64(0)
            for place in range(made):
                total += weights[out[place], column]
            sums[number, column] = total
    return sums, counts


@numba.njit(cache=True, nogil=True)
def _learn(data, offsets, targets, weights, bias, shift, epochs, rate):  # type: ignore[no-untyped-def]  # numba infers
    columns = weights.shape[1]
    out = np.empty(_room(offsets), np.uint64)
    seen = np.full(weights.shape, np.float32(STEADY))
    seen_bias = np.full(columns, STEADY)
    chances = np.empty(columns)
    for _ in range(epochs):
        for number in range(len(offsets) - 1):
            made = _buckets(data, offsets[number], offsets[number + 1], shift, out)
            norm = 1 / math.sqrt(max(made, 1))
            highest = 0.0
            for column in range(columns):
                total = 0.0
                for place in range(made):
                    total += weights[out[place], column]
                chances[column] = bias[column] + total * norm
                highest = max(highest, chances[column])
            whole = math.exp(-highest)
            for column in range(columns):
                chances[column] = math.exp(chances[column] - highest)
                whole += chances[column]
            for column in range(columns):
                error = chances[column] / whole - (1.0 if targets[number] == column + 1 else 0.0)
                seen_bias[column] += error * error
                bias[column] -= rate * error / math.sqrt(seen_bias[column])
                step = error * norm
                for place in range(made):
                    bucket = out[place]
                    seen[bucket, column] += np.float32(step * step)
                    weights[bucket, column] -= np.float32(rate * step / math.sqrt(seen[bucket, column]))
