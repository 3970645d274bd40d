"""fastText classifiers: trained by fastText, and read by a kernel that gives what fastText gives.

A fastText classifier averages the vectors of a text's words and word n-grams and multiplies that by a matrix. Both
are linear, so each vector is multiplied when the model is loaded, and of a text only as many numbers a word are added
as there are labels. That is many times as fast as fastText's own prediction, and lets go of Python's lock. Models that
are built otherwise (quantised, with character n-grams, hierarchical or one-against-all, very many labels) are left to
fastText itself.

Source: A. Joulin et al., "Bag of Tricks for Efficient Text Classification", EACL 2017; hashes, file and order of sums
as in fastText 0.9.2 (`Dictionary::hash`, `addWordNgrams`, `getLine`, `FastText::saveModel`). The plain twin is
fastText.
"""

from __future__ import annotations

import functools
import json
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import Resource
from datapipe.errors import ConfigError
from stages.classify.cut import arrays
from stages.classify.hashed import softmax
from stages.language import fasttext

# glibc fills what it hands out with the complement of this byte: zeros. See `fit`.
ENVIRONMENT = {"MALLOC_PERTURB_": "255", "GLIBC_TUNABLES": "glibc.malloc.perturb=255"}
PREFIX = "__label__"
_HEADER = struct.Struct("<ii12id")  # magic, version, twelve settings and a threshold
_WORDS = struct.Struct("<iiiqq")  # entries, words, labels, tokens, pruned
_VERSION, _SOFTMAX, _SUPERVISED = 12, 3, 3
_MOST_LABELS, _MOST_BYTES = 64, 1 << 30  # of what is read by ourselves
_BLOCK = 1 << 16  # vectors multiplied at once
_NGRAM = np.uint64(116049371)
END = b"</s>"  # the word at the end of every line, which ends a line where it is met
END_HASH = np.uint32(functools.reduce(lambda value, byte: (value ^ byte) * 16777619 % 2**32, END, 2166136261))


@dataclass(frozen=True)
class Settings:
    """How fastText trains: its own names and meanings."""

    dim: int = 64
    wordNgrams: int = 2  # noqa: N815 - fastText's own name
    epoch: int = 5
    lr: float = 0.25
    minCount: int = 3  # noqa: N815 - as above
    bucket: int = 1 << 18
    seed: int = 0


@dataclass(frozen=True)
class BagModel:
    """A fastText classifier as a table of what each word and n-gram adds to the logits.

    `rows` float32[words + buckets, labels]; `words` uint8, their UTF-8 in a row, `ends` int64[words + 1];
    `slots` int32, the hash table of the words (-1 is free), and `hashes` uint32[words]; `end` the number
    of the word `END`, or -1.
    """

    labels: tuple[str, ...]
    rows: npt.NDArray[np.float32]
    words: npt.NDArray[np.uint8]
    ends: npt.NDArray[np.int64]
    slots: npt.NDArray[np.int32]
    hashes: npt.NDArray[np.uint32]
    longest: int
    end: int

    def probabilities(self, texts: pa.Array) -> npt.NDArray[np.float64]:
        """Returns the probability of each label for each text, as one line: float64[texts, labels]."""
        data, offsets = arrays(texts)
        sums, counts = _sums(
            data, offsets, self.rows, self.words, self.ends, self.slots, self.hashes, self.longest, self.end
        )
        return softmax(sums / np.maximum(counts, 1)[:, None])


@dataclass(frozen=True)
class LibraryModel:
    """A classifier that fastText itself predicts with."""

    model: fasttext.FastTextModel

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the model's order."""
        return self.model.labels

    def probabilities(self, texts: pa.Array) -> npt.NDArray[np.float64]:
        """Returns the probability of each label for each text, as one line: float64[texts, labels]."""
        lines = pc.replace_substring(texts.fill_null(""), "\n", " ")
        numbers, chances = self.model.best(lines, len(self.labels))
        found = np.zeros(chances.shape)
        rows, places = np.nonzero(numbers >= 0)
        found[rows, numbers[rows, places]] = chances[rows, places]
        return found


def train(texts: Sequence[str], labels: Sequence[str], settings: Settings) -> bytes:
    """Returns the fastText model of cut texts and their labels; equal texts in equal order give equal bytes.

    Raises:
        ConfigError: fastText cannot learn from them, or under these settings.
    """
    with tempfile.TemporaryDirectory(prefix="datapipe-") as folder:
        lines, made = Path(folder) / "lines", Path(folder) / "model"
        with lines.open("w", encoding="utf-8", newline="\n") as out:
            out.writelines(f"{PREFIX}{label} {text}\n" for text, label in zip(texts, labels, strict=True))
        fit = str(Path(__file__).with_name("fit.py"))
        command = [sys.executable, "-P", fit, str(lines), str(made), json.dumps(vars(settings))]
        done = subprocess.run(command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ConfigError(f"fastText cannot train on these texts ({(done.stderr.splitlines() or ['killed'])[-1]})")
        return made.read_bytes()


def load(file: Resource) -> BagModel | LibraryModel:
    """Returns the model of a file. Raises ConfigError where fastText cannot load it either."""
    content = file.read()
    try:
        return _read(content) or LibraryModel(fasttext.load(file))
    except (struct.error, ValueError, IndexError) as error:
        raise ConfigError(f"{file.path}: fastText's file is cut short or damaged ({error})") from error


def _read(content: bytes) -> BagModel | None:
    """Returns a model as a table, or None where it is built otherwise."""
    _, version, dim, _, _, _, _, longest, loss, kind, buckets, _, subwords, *_ = _HEADER.unpack_from(content)
    entries, words, labels, _, pruned = _WORDS.unpack_from(content, _HEADER.size)
    plain = version == _VERSION and loss == _SOFTMAX and kind == _SUPERVISED and subwords == 0 and pruned < 0
    if not plain or labels > _MOST_LABELS or 4 * (words + buckets) * labels > _MOST_BYTES:
        return None
    data = np.frombuffer(content, np.uint8)
    places, at = _places(data, _HEADER.size + _WORDS.size, entries)
    if at < 0:
        raise ValueError("its words do not end")
    names = [content[start:end].decode().removeprefix(PREFIX) for start, end in places[words:].tolist()]
    vectors, at = _matrix(content, at)
    matrix, at = _matrix(content, at)
    if vectors is None or matrix is None:
        return None
    hashed = len(vectors) - words
    fits = entries == words + labels and vectors.shape[1] == dim and matrix.shape == (labels, dim) and hashed == buckets
    if at != len(content) or not fits or longest < 1 or longest > max(1, hashed):
        raise ValueError("its parts do not fit each other")
    rows = np.concatenate([vectors[start : start + _BLOCK] @ matrix.T for start in range(0, len(vectors), _BLOCK)])
    ends, table, slots, hashes = _dictionary(data, places[:words])
    end = next((word for word in np.flatnonzero(hashes == END_HASH).tolist() if _word(table, ends, word) == END), -1)
    return BagModel(tuple(names), rows, table, ends, slots, hashes, longest, end)


def _word(words: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64], word: int) -> bytes:
    return words[ends[word] : ends[word + 1]].tobytes()


def _matrix(content: bytes, at: int) -> tuple[Any, int]:  # Any: an array of two dimensions, or None
    if content[at]:
        return None, at
    rows, columns = struct.unpack_from("<qq", content, at + 1)
    values = np.frombuffer(content, "<f4", rows * columns, at + 17)
    return values.reshape(rows, columns).astype(np.float32, copy=False), at + 17 + values.nbytes


@numba.njit(cache=True, nogil=True)
def _places(data, at, entries):  # type: ignore[no-untyped-def]  # numba infers
    """Returns (start and end of each entry's name int64[entries, 2], where they all end or -1)."""
    places = np.empty((max(entries, 0), 2), np.int64)
    for entry in range(entries):
        places[entry, 0] = at
        while at < len(data) and data[at]:
            at += 1
        places[entry, 1] = at
        at += 10  # the name's NUL, its count and its kind
        if at > len(data):
            return places, -1
    return places, at


@numba.njit(cache=True, nogil=True, inline="always")
def _hashed(value, byte):  # type: ignore[no-untyped-def]  # numba infers
    return np.uint32((value ^ np.uint32(np.int32(np.int8(byte)))) * np.uint32(16777619))  # numba widens products


@numba.njit(cache=True, nogil=True)
def _dictionary(data, places):  # type: ignore[no-untyped-def]  # numba infers
    """Returns (ends, words, slots, hashes) of `BagModel`."""
    words = len(places)
    ends = np.zeros(words + 1, np.int64)
    for word in range(words):
        ends[word + 1] = ends[word] + places[word, 1] - places[word, 0]
    table = np.empty(ends[words], np.uint8)
    hashes = np.empty(words, np.uint32)
    size = 2
    while size < 2 * words:
        size *= 2
    slots = np.full(size, np.int32(-1))
    for word in range(words):
        value = np.uint32(2166136261)
        for at in range(places[word, 0], places[word, 1]):
            table[ends[word] + at - places[word, 0]] = data[at]
            value = _hashed(value, data[at])
        hashes[word] = value
        slot = np.int64(value) & (size - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (size - 1)
        slots[slot] = word
    return ends, table, slots, hashes


@numba.njit(cache=True, nogil=True)
def _find(data, start, end, value, words, ends, slots, hashes):  # type: ignore[no-untyped-def]  # numba infers
    """Returns the number of the word data[start:end] of hash `value`, or -1."""
    mask = len(slots) - 1
    slot = np.int64(value) & mask
    while slots[slot] >= 0:
        word = slots[slot]
        if hashes[word] == value and ends[word + 1] - ends[word] == end - start:
            at = np.int64(0)
            while at < end - start and words[ends[word] + at] == data[start + at]:
                at += 1
            if at == end - start:
                return np.int64(word)
        slot = (slot + 1) & mask
    return np.int64(-1)


@numba.njit(cache=True, nogil=True, inline="always")
def _is_blank(byte):  # type: ignore[no-untyped-def]  # numba infers
    return byte == 32 or byte == 0 or (byte > 8 and byte < 14)


@numba.njit(cache=True, nogil=True)
def _sums(data, offsets, rows, words, ends, slots, hashes, longest, end_word):  # type: ignore[no-untyped-def]  # numba infers
    """Returns (summed rows float64[texts, labels], numbers of words and n-grams int64[texts])."""
    texts, labels = len(offsets) - 1, rows.shape[1]
    sums = np.zeros((texts, labels))
    counts = np.zeros(texts, np.int64)
    known = len(ends) - 1
    buckets = np.uint64(len(rows) - known)
    mask = np.uint64(0)  # instead of a division, where the buckets are a power of two
    if buckets > 1 and buckets & (buckets - np.uint64(1)) == 0:
        mask = buckets - np.uint64(1)
    grams = np.zeros(max(longest, 1), np.uint64)  # of 1, 2, ... words, ending at the word before
    step = np.uintp(1)  # unsigned places need no test whether they count from the end
    for number in range(texts):
        at, stop = np.uintp(offsets[number]), np.uintp(offsets[number + 1])
        total = sums[number]
        added, tokens = 0, 0
        ended = False
        while not ended:
            while at < stop and _is_blank(data[at]):
                at += step
            start, value = at, np.uint32(2166136261)
            while at < stop and not _is_blank(data[at]):
                value = _hashed(value, data[at])
                at += step
            if at > start:
                word = _find(data, np.int64(start), np.int64(at), value, words, ends, slots, hashes)
                ended = word >= 0 and word == end_word
            else:
                word, value, ended = np.int64(end_word), END_HASH, True
            if word >= 0:
                for label in range(labels):
                    total[label] += rows[word, label]
                added += 1
            wide = np.uint64(np.int64(np.int32(value)))
            for length in range(min(tokens, longest - 1), 0, -1):
                grams[length] = grams[length - 1] * _NGRAM + wide
                row = known + np.int64(grams[length] & mask if mask else grams[length] % buckets)
                for label in range(labels):
                    total[label] += rows[row, label]
                added += 1
            grams[0] = wide
            tokens += 1
        counts[number] = added
    return sums, counts
