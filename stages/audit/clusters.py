"""Topics as clusters of documents by the words that they hold more of than others: features, k-means, a frozen model.

A feature is a word of letters, or two single characters (Han, kana, …) that stand side by side; it is hashed to one of
32,768 numbers. A document is the vector of its features, each weighing (1 + log2 of how often it stands there) times
log2(documents / documents with it); what is in fewer than three documents, or in more than half of them, weighs
nothing. The vectors are projected to as many dimensions as there are topics, those in which they differ most (latent
semantic analysis), and there grouped by k-means on the sphere (`project`).

What comes out is a small model of whole numbers: the weight of each feature, and of each topic its heaviest features.
Documents are assigned by it alone, in whole numbers and with ties to the first topic, so the same texts are of the same
topics on every machine, also where the model is of an earlier corpus.

Source: Salton and Buckley 1988 (the weights); Weinberger et al. 2009 (hashed features); see `project` for the rest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from datapipe import ConfigError
from stages.audit.project import settle
from stages.audit.units import CHARACTER, LETTERS, Bytes, Hashes, Places, Units

FORMAT_VERSION: Final = 1
KIND: Final = "datapipe topics"
NAME: Final = "topics.json"
BITS: Final = 15
FEATURES: Final = 1 << BITS
MOST_TOPICS: Final = 64
LEAST_DOCUMENTS: Final = 3  # that hold a feature
MOST_RATIO: Final = 0.5  # of the documents
KEPT: Final = 256  # features of a topic
STEPS: Final = 16  # a bit of information; and of the logarithm of a count
HEAVIEST: Final = 1023
SCORES: Final = 1024
NONE: Final = -1  # in the place of a topic: the document has no feature of any
_SHIFT: Final = np.uint64(64 - BITS)
_FIRST: Final = np.uint64(0x9E3779B97F4A7C15)
_SECOND: Final = np.uint64(0xD6E8FEB86659FD93)
_HALF: Final = np.uint64(32)
_COUNTS: Final = np.round(STEPS * (1 + np.log2(np.maximum(1, np.arange(256))))).astype(np.int64)

Numbers = npt.NDArray[np.int32]
Weights = npt.NDArray[np.float32]


class Vectors(NamedTuple):
    """Documents as features and how often each stands there; those of document n are `bounds[n]:bounds[n + 1]`."""

    features: Numbers
    counts: Numbers
    bounds: Places


@dataclass(frozen=True)
class Model:
    """What assigns documents to topics.

    `weights` is uint8[FEATURES], in sixteenths of a bit; `features` and `heights` are int32[topics, KEPT], the features
    of each topic and how much they weigh there (0 is none). `labels`, `documents` and `score` are of the corpus that it
    was made of: the words of each topic, its documents, and the mean score (of 1,024).
    """

    weights: Bytes
    features: Numbers
    heights: Numbers
    labels: tuple[str, ...] = ()
    documents: tuple[int, ...] = ()
    unassigned: int = 0
    score: int = 0
    seed: int = 0

    @property
    def topics(self) -> int:
        """How many topics there are."""
        return len(self.features)


def vectors_of(units: Units) -> Vectors:
    """Returns the vectors of texts."""
    room = len(units.hashes)
    features, counts = np.empty(room, np.int32), np.empty(room, np.int32)
    bounds = np.zeros(len(units.bounds), np.int64)
    seen, touched = np.zeros(FEATURES, np.int32), np.empty(FEATURES, np.int32)
    made = _count(*units[:5], seen, touched, features, counts, bounds)
    return Vectors(features[:made].copy(), counts[:made].copy(), bounds)


def joined(parts: list[Vectors]) -> Vectors:
    """Returns the vectors of several parts in a row."""
    ends = np.cumsum([0, *(int(part.bounds[-1]) for part in parts)])
    bounds = [part.bounds[1:] + end for part, end in zip(parts, ends.tolist(), strict=False)]
    return Vectors(
        np.concatenate([np.zeros(0, np.int32), *(part.features for part in parts)]),
        np.concatenate([np.zeros(0, np.int32), *(part.counts for part in parts)]),
        np.concatenate([np.zeros(1, np.int64), *bounds]),
    )


@njit(cache=True, nogil=True)
def _count(
    hashes: Hashes,
    starts: Places,
    ends: Places,
    kinds: Bytes,
    bounds: Places,
    seen: Numbers,
    touched: Numbers,
    features: Numbers,
    counts: Numbers,
    made: Places,
) -> int:
    """Writes the features of each text, ascending by their first place; `seen` is zero before and after."""
    end = 0
    for text in range(len(bounds) - 1):
        amount = 0
        for unit in range(bounds[text], bounds[text + 1]):
            value = hashes[unit]
            if kinds[unit] == CHARACTER:
                after = unit + 1
                if after == bounds[text + 1] or kinds[after] != CHARACTER or starts[after] != ends[unit]:
                    continue
                value = (value * _FIRST ^ hashes[after]) * _SECOND
                value ^= value >> _HALF
            elif kinds[unit] != LETTERS or ends[unit] - starts[unit] < 2:
                continue
            feature = np.int64(value * _FIRST >> _SHIFT)
            if seen[feature] == 0:
                touched[amount] = feature
                amount += 1
            seen[feature] += 1
        for place in range(amount):
            features[end], counts[end] = touched[place], seen[touched[place]]
            seen[touched[place]] = 0
            end += 1
        made[text + 1] = end
    return end


def weights_of(vectors: Vectors) -> Bytes:
    """Returns how much each feature weighs in these documents, uint8[FEATURES]; of few documents each counts."""
    documents = int((np.diff(vectors.bounds) > 0).sum())
    holding = np.bincount(vectors.features, minlength=FEATURES)
    least = LEAST_DOCUMENTS if documents >= 50 else 2
    told = (holding >= least) & (holding <= max(least, MOST_RATIO * documents))
    bits = np.array([math.log2(max(1, documents) / amount) if amount else 0.0 for amount in range(documents + 1)])
    return np.where(told, np.minimum(255, np.round(STEPS * bits[holding])), 0).astype(np.uint8)


def weighed(vectors: Vectors, weights: Bytes) -> tuple[Vectors, npt.NDArray[np.float64]]:
    """Returns the vectors with whole weights in the place of counts, none 0, and the length of each."""
    values = weights[vectors.features].astype(np.int64) * _COUNTS[np.minimum(vectors.counts, 255)]
    there = values > 0
    ends = np.concatenate([[0], np.cumsum(there)])
    made = Vectors(vectors.features[there], values[there].astype(np.int32), ends[vectors.bounds].astype(np.int64))
    squares = np.concatenate([[0], np.cumsum(values[there] ** 2)])
    return made, np.sqrt((squares[made.bounds[1:]] - squares[made.bounds[:-1]]).astype(np.float64))


def amount_of(documents: int) -> int:
    """Returns how many topics so many documents are told apart by: 64 at the most, the root of documents where fewer.

    >>> amount_of(20_000), amount_of(400), amount_of(3), amount_of(0)
    (64, 20, 1, 0)
    """
    return min(MOST_TOPICS, math.isqrt(documents))


def cluster(vectors: Vectors, seed: int) -> Model:
    """Returns the model of documents, without labels; how it begins is drawn by `seed`."""
    weights = weights_of(vectors)
    made, lengths = weighed(vectors, weights)
    held = np.flatnonzero(lengths > 0)
    topics = amount_of(len(held))
    if not topics:
        return Model(weights, np.zeros((0, KEPT), np.int32), np.zeros((0, KEPT), np.int32), seed=seed)
    values = (made.counts / np.repeat(np.maximum(lengths, 1), np.diff(made.bounds))).astype(np.float32)
    own = np.append(made.bounds[held], made.bounds[-1])  # between them are documents without a feature
    draws = _draws(len(held) * topics + topics, seed)
    start = np.where(draws[topics:].reshape(-1, topics) < 0.5, -1.0, 1.0)
    centres = np.zeros((FEATURES, topics), np.float32)
    settle(made.features, values, own, start, draws[:topics].copy(), centres)
    return Model(weights, *_frozen(centres), seed=seed)


def _draws(amount: int, seed: int) -> npt.NDArray[np.float64]:
    """Returns numbers from 0 up to 1 that follow from the seed: SplitMix64 (Steele, Lea and Flood 2014, figure 16)."""
    digest = hashlib.sha256(f"topics {seed}".encode()).digest()
    value = np.arange(1, amount + 1, dtype=np.uint64) * _FIRST + np.uint64(int.from_bytes(digest[:8], "little"))
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    made: npt.NDArray[np.float64] = ((value ^ (value >> np.uint64(31))) >> np.uint64(11)) / 2.0**53
    return made


def _frozen(centres: Weights) -> tuple[Numbers, Numbers]:
    """Returns the heaviest features of each centre and their weights, int32[topics, KEPT], by feature."""
    features, heights = (np.zeros((centres.shape[1], KEPT), np.int32) for _ in range(2))
    for topic, centre in enumerate(np.ascontiguousarray(centres.T)):
        told = np.flatnonzero(centre)
        if not len(told):  # a group that lost its documents
            continue
        told = np.sort(told[np.argsort(-centre[told], kind="stable")[:KEPT]])
        whole = np.round(centre[told] * (HEAVIEST / centre.max())).astype(np.int32)
        features[topic, : len(told)], heights[topic, : len(told)] = told, whole
    return features, heights


def assign(model: Model, vectors: Vectors) -> tuple[Numbers, Numbers]:
    """Returns the topic of each document, NONE where it has no feature of any, and its score (of 1,024), int32 each."""
    made, lengths = weighed(vectors, model.weights)
    topics = np.full(len(lengths), NONE, np.int32)
    scores = np.zeros(len(lengths), np.int32)
    if model.topics:
        sizes = np.sqrt((model.heights.astype(np.int64) ** 2).sum(axis=1).astype(np.float64))
        table = np.zeros((FEATURES, model.topics), np.float64)  # of whole numbers: their sums are exact in any order
        np.add.at(table, (model.features, np.arange(model.topics)[:, None]), model.heights)
        _score(made.features, made.counts, made.bounds, lengths, table, np.maximum(sizes, 1.0), topics, scores)
    return topics, scores


@njit(cache=True, nogil=True)
def _score(
    features: Numbers,
    values: Numbers,
    bounds: Places,
    lengths: npt.NDArray[np.float64],
    table: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.float64],
    topics: Numbers,
    scores: Numbers,
) -> None:
    """Sets topic and score of each document."""
    near = np.empty(len(sizes), np.float64)
    for document in range(len(lengths)):
        near[:] = 0
        for at in range(bounds[document], bounds[document + 1]):
            value, row = np.float64(values[at]), features[at]
            for topic in range(len(near)):
                near[topic] += value * table[row, topic]
        for topic in range(len(near)):
            own = np.int32(np.rint(near[topic] * SCORES / (lengths[document] * sizes[topic]))) if near[topic] > 0 else 0
            if own > scores[document]:
                topics[document], scores[document] = topic, own


# The file


def to_json(model: Model) -> bytes:
    """Returns the model as the bytes of a JSON file, about 160 KB for 64 topics: the same for the same model."""
    said = {
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "seed": model.seed,
        "documents": sum(model.documents) + model.unassigned,
        "unassigned": model.unassigned,
        "score": model.score,
        "topics": [
            {"label": label, "documents": amount} for label, amount in zip(model.labels, model.documents, strict=True)
        ],
        "weights": _coded(model.weights, "<u1"),
        "features": _coded(model.features, "<u2"),
        "heights": _coded(model.heights, "<u2"),
    }
    return (json.dumps(said, ensure_ascii=False, indent=1) + "\n").encode()


def _coded(values: npt.NDArray[Any], kind: str) -> str:  # Any: of any whole numbers
    return base64.b64encode(values.astype(kind).tobytes()).decode()


def from_json(content: bytes, path: str) -> Model:
    """Returns the model of a file; its labels are as hostile as any text.

    Raises:
        ConfigError: it is none.
    """
    try:
        said = json.loads(content)
        version = said["format_version"] if said["kind"] == KIND else None
        topics = [(str(topic["label"]), int(topic["documents"])) for topic in said["topics"]]
        model = Model(
            _decoded(said["weights"], "<u1").astype(np.uint8),
            _decoded(said["features"], "<u2").astype(np.int32).reshape(-1, KEPT),
            _decoded(said["heights"], "<u2").astype(np.int32).reshape(-1, KEPT),
            tuple(label for label, _ in topics),
            tuple(amount for _, amount in topics),
            int(said["unassigned"]),
            int(said["score"]),
            int(said["seed"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ConfigError(
            f"{path}: is no topic model ({type(error).__name__}: {error}); give the reports/{NAME} that "
            "`datapipe report` put beside an earlier report"
        ) from error
    if version != FORMAT_VERSION:
        raise ConfigError(
            f"{path}: is no topic model of format {FORMAT_VERSION}, which this datapipe reads (it says {version}): use "
            "the datapipe that made it, or leave it out and make the topics anew"
        )
    sizes = (len(model.weights), model.features.shape, len(model.labels))
    sums = (*model.documents, model.unassigned, model.score)
    sound = all(0 <= amount < 1 << 53 for amount in sums) and model.features.max(initial=0) < FEATURES
    if not sound or sizes != (FEATURES, model.heights.shape, model.topics):
        raise ConfigError(f"{path}: is a topic model that was cut off or changed; fetch it again")
    return model


def _decoded(text: str, kind: str) -> npt.NDArray[Any]:  # Any: of the kind that is given
    return np.frombuffer(base64.b64decode(text, validate=True), kind)
