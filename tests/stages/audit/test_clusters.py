import json
import math
import os
import subprocess
import sys
from collections import Counter
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe import ConfigError
from stages.audit.clusters import (
    FEATURES,
    NONE,
    Model,
    assign,
    cluster,
    from_json,
    joined,
    to_json,
    vectors_of,
    weighed,
    weights_of,
)
from stages.audit.labels import labels_of
from stages.audit.project import ROUNDS, grouped, orthonormal, root_of, through
from stages.audit.units import units_of

SUBJECTS = (
    "harbour ship sailor anchor captain tide vessel cargo port crew",
    "oven flour butter sugar recipe dough bake kitchen taste cream",
    "orbit planet star telescope moon comet galaxy rocket gravity astronomer",
    "法院 法官 诉讼 判决 律师 被告 原告 证据 上诉 审理",
    "水稻 种植 土壤 施肥 收成 农田 灌溉 种子 害虫 产量",
    "球员 比赛 进球 教练 联赛 球队 冠军 射门 主场 裁判",
)
COMMON = {True: "的 我们 以及 这个 可以 因为 所以 如果", False: "the and with from this that which there"}


def planted(amount: int, seed: int = 0) -> tuple[pa.Array, list[int]]:
    """Texts of six subjects, each some of its own words and many that all have, and the subject of each."""
    random = Random(seed)
    texts, subjects = [], []
    for number in range(amount):
        subject = number % len(SUBJECTS)
        han = subject > 2
        words = random.choices(SUBJECTS[subject].split(), k=12) + random.choices(COMMON[han].split(), k=20)
        random.shuffle(words)
        texts.append(("，" if han else " ").join(words))
        subjects.append(subject)
    return pa.array(texts, pa.large_string()), subjects


def test_planted_topics_are_found_and_named_by_their_words() -> None:
    texts, subjects = planted(300)
    vectors = vectors_of(units_of(texts))

    model = cluster(vectors, seed=0)
    topics, scores = assign(model, vectors)
    labels = labels_of(texts, topics, scores, model.topics)

    # Each of the 17 topics (the root of 300) is of one subject.
    assert model.topics == math.isqrt(300)
    for topic in set(topics.tolist()):
        held = Counter(subject for subject, own in zip(subjects, topics.tolist(), strict=True) if own == topic)
        assert len(held) == 1
        (subject,) = held
        assert set(labels[topic].split()) <= set(SUBJECTS[subject].split())
    assert NONE not in topics
    assert all(labels)


def test_a_frozen_model_gives_texts_the_topics_that_they_had() -> None:
    texts, subjects = planted(200)
    vectors = vectors_of(units_of(texts))
    model = cluster(vectors, seed=3)
    topics, scores = assign(model, vectors)
    model = Model(model.weights, model.features, model.heights, tuple("abcdefghijklmn"), tuple(range(14)), 2, 500, 3)

    content = to_json(model)
    again = from_json(content, "topics.json")
    other, other_subjects = planted(50, seed=9)

    found = assign(again, vectors)
    assert found[0].tolist() == topics.tolist()
    assert found[1].tolist() == scores.tolist()
    assert to_json(again) == content
    assert len(content) < 200_000
    of = dict(zip(topics.tolist(), subjects, strict=True))
    new, _ = assign(again, vectors_of(units_of(other)))
    assert [of[topic] for topic in new.tolist()] == other_subjects


def test_a_text_is_of_the_same_topic_whatever_stands_beside_it() -> None:
    texts, _ = planted(120)
    parts = [vectors_of(units_of(texts.slice(start, 50))) for start in range(0, 120, 50)]
    whole = vectors_of(units_of(texts))

    together = joined(parts)

    assert all(np.array_equal(one, other) for one, other in zip(together, whole, strict=True))
    model = cluster(whole, seed=0)
    alone = [assign(model, vectors_of(units_of(texts.slice(number, 1))))[0][0] for number in (0, 7, 119)]
    assert alone == assign(model, whole)[0][[0, 7, 119]].tolist()


@given(st.lists(st.lists(st.sampled_from(["ship", "oven", "法院", "the", "x"]), max_size=6), min_size=1, max_size=6))
def test_weights_are_those_of_tf_idf(texts: list[list[str]]) -> None:
    vectors = vectors_of(units_of(pa.array([" ".join(own) for own in texts], pa.large_string())))

    weights = weights_of(vectors)
    made, lengths = weighed(vectors, weights)

    seen = [{word for word in own if word != "x"} for own in texts]  # a letter alone is no word
    there = sum(map(bool, seen))
    for number, own in enumerate(texts):
        expected = []
        for word in sorted(seen[number]):
            holding = sum(word in others for others in seen)
            if 2 <= holding <= max(2, 0.5 * there):
                idf = round(16 * math.log2(there / holding))
                expected.append(idf * round(16 * (1 + math.log2(own.count(word)))))
        found = made.counts[made.bounds[number] : made.bounds[number + 1]]
        assert sorted(found.tolist()) == sorted(value for value in expected if value)
        assert lengths[number] == pytest.approx(math.sqrt(sum(value**2 for value in expected)))


def test_the_score_is_the_cosine_in_1024ths_and_ties_go_to_the_first_topic() -> None:
    vectors = vectors_of(units_of(pa.array(["ship oven ship", "ship", "star"], pa.large_string())))
    ship, oven = vectors.features[:2].tolist()
    weights = np.zeros(FEATURES, np.uint8)
    weights[[ship, oven]] = 16, 32
    features, heights = np.zeros((3, 256), np.int32), np.zeros((3, 256), np.int32)
    for topic, (first, second) in enumerate([(1, 0), (1, 0), (1, 2)]):
        features[topic, :2], heights[topic, :2] = (ship, oven), (first, second)

    topics, scores = assign(Model(weights, features, heights), vectors)

    # The first text is (16 * 32, 32 * 16): 45 degrees from topic 0, and 18.4 from topic 2; the second is topic 0 or 1.
    assert topics.tolist() == [2, 0, NONE]
    assert scores.tolist() == [round(1024 * 3 / math.sqrt(10)), 1024, 0]


def test_nothing_and_one_text_have_topics_too() -> None:
    for texts in ([], [None, ""], ["one ship"], ["one ship", "one ship"]):
        vectors = vectors_of(units_of(pa.array(texts, pa.large_string())))
        model = cluster(vectors, seed=0)

        topics, _ = assign(model, vectors)

        assert len(topics) == len(texts)
        assert labels_of(pa.array(texts, pa.large_string()), topics, topics, model.topics) == [""] * model.topics


def test_labels_are_masked_and_harmless() -> None:
    texts = pa.array([f"call {13800138000} now<script>\u202e{'w' * 90} {n % 7}" for n in range(40)], pa.large_string())
    topics = np.zeros(40, np.int32)

    (label,) = labels_of(texts, topics, topics, 1)

    assert "13800138000" not in label
    assert "\u202e" not in label
    assert max(map(len, label.split())) <= 24


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no topic model"),
        (b"[1]", "is no topic model"),
        (b'{"kind": "datapipe topics", "format_version": 2, "topics": []}', "is no topic model"),
        (b'{"kind": "other", "format_version": 1}', "is no topic model"),
        (b"\xff\xfe", "is no topic model"),
    ],
)
def test_what_is_no_model_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        from_json(content, "topics.json")


def test_a_model_that_was_changed_is_refused() -> None:
    content = json.loads(to_json(cluster(vectors_of(units_of(planted(40)[0])), seed=0)))
    changed = {"format_version": 2, "weights": "AAAA", "features": "AAA", "topics": [], "seed": None}
    for name, value in {**changed, "score": float("inf"), "unassigned": -1}.items():
        with pytest.raises(ConfigError, match=r"topics\.json"):
            from_json(json.dumps(content | {name: value}).encode(), "topics.json")


def plainly_grouped(places: np.ndarray, draws: np.ndarray) -> list[int]:
    """The plain twin of the kernel of k-means."""
    chosen: list[int] = []
    away = np.ones(len(places))
    for draw in draws:
        beyond = np.flatnonzero(np.cumsum(away) > draw * away.sum())
        chosen.append(int(beyond[0]) if len(beyond) else len(places) - 1)
        away = np.minimum(away, np.maximum(0, 1 - places @ places[chosen[-1]]))
    centres, found = places[chosen].copy(), None
    for _ in range(ROUNDS):
        new = np.argmax(places @ centres.T, axis=1)
        if found is not None and (new == found).all():
            break
        found = new
        for group in set(found.tolist()):
            whole = places[found == group].sum(axis=0)
            if np.linalg.norm(whole):
                centres[group] = whole / np.linalg.norm(whole)
    assert found is not None
    return found.tolist()


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 30))
def test_groups_are_those_of_a_plain_kmeans(seed: int, groups: int, documents: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(documents, 3))
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    draws = rng.random(groups)

    assert grouped(places, draws).tolist() == plainly_grouped(places, draws)


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_the_projection_is_made_of_what_linear_algebra_says(seed: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    dense = (rng.random((12, 40)) * (rng.random((12, 40)) < 0.5)).astype(np.float32)
    bounds = np.concatenate([[0], np.cumsum((dense > 0).sum(axis=1))])
    features, values = np.nonzero(dense)[1].astype(np.int32), dense[dense > 0]
    near = rng.normal(size=(12, columns))
    square = near.T @ near

    made = through(features, values, bounds, near, np.ones((40, columns)))
    root = root_of(square)
    orthonormal(near_to := near.copy())

    exact = dense.astype(np.float64)
    assert np.allclose(made, exact @ (exact.T @ near))
    assert np.allclose(root, np.linalg.cholesky(square))
    assert np.allclose(near_to.T @ near_to, np.eye(columns), atol=1e-6)
    assert np.allclose(near_to @ (near_to.T @ near), near)  # of the same space


ALONE = """
import json, sys
import pyarrow as pa
from stages.audit.clusters import assign, cluster, vectors_of
from stages.audit.units import units_of
vectors = vectors_of(units_of(pa.array(json.load(sys.stdin))))
model = cluster(vectors, 0)
json.dump([model.features.tolist(), *(found.tolist() for found in assign(model, vectors))], sys.stdout)
"""


def test_one_thread_and_another_process_give_the_same() -> None:
    texts, _ = planted(150)
    vectors = vectors_of(units_of(texts))
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

    alone = subprocess.run(
        [sys.executable, "-c", ALONE],
        input=json.dumps(texts.to_pylist()),
        env={**os.environ, **dict.fromkeys(names, "1")},
        capture_output=True,
        check=True,
        text=True,
    )

    model = cluster(vectors, 0)  # here, on as many threads as there are cores
    assert json.loads(alone.stdout) == [model.features.tolist(), *(found.tolist() for found in assign(model, vectors))]
