import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe.errors import ConfigError
from stages.language import plain
from stages.language.model import HashedModel, count, dump, is_hashed, load, weigh

BITS = 10
TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=200) | st.sampled_from(["ab cd", "中文 字", "a" * 700]))


def a_model(labels: int = 35, seed: int = 1) -> HashedModel:
    weights = np.random.default_rng(seed).integers(-128, 128, (1 << BITS, labels)).astype(np.int8)
    return HashedModel(tuple(f"l{number:02}" for number in range(labels)), weights, 5, 2, 1.0)


@given(TEXTS)
def test_sums_are_those_of_the_plain_n_grams(texts: list[str]) -> None:
    model = a_model()
    sums, counts = model.sums(pa.array(texts, pa.large_string()))

    for text, found, made in zip(texts, sums, counts, strict=True):
        buckets = list(plain.buckets(text, BITS, longest=5, wide=2))
        assert made == len(buckets)
        assert found.tolist() == model.weights[buckets].astype(int).sum(axis=0).tolist()


def test_best_are_the_highest_of_the_softmax() -> None:
    model = a_model()
    texts = pa.array(["some words", "其他的字"], pa.large_string())
    sums, counts = model.sums(texts)

    numbers, chances = model.best(texts, 3)

    logits = sums / 8 / np.sqrt(counts)[:, None]
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert numbers.tolist() == np.argsort(-softmax, axis=1)[:, :3].tolist()
    assert chances == pytest.approx(-np.sort(-softmax, axis=1)[:, :3])


def test_more_than_asked_labels_are_none() -> None:
    numbers, chances = a_model(labels=2).best(pa.array(["word"], pa.large_string()), 5)

    assert sorted(numbers[0].tolist()) == [-1, -1, -1, 0, 1]
    assert chances[0].sum() == pytest.approx(1)


def test_weights_are_rounded_log_ratios() -> None:
    # bucket 0 has 3 of 4 n-grams of the first label and 1 of 4 of the second: shares .75, .25, alike .5
    weights = weigh(np.array([[3, 1], [1, 3], [0, 0]]), 0.2)

    assert weights.tolist() == [[3, -4], [-4, 3], [0, 0]]  # 8 ln 1.4 = 2.7, 8 ln .6 = -4.1


def test_counts_are_of_all_texts() -> None:
    counts = count(pa.array(["ab", "ab"], pa.large_string()), bits=BITS, longest=2, wide=2)

    assert counts.sum() == 2 * len(["a", "b", " a", "ab", "b "])


def test_a_file_gives_back_the_model_and_equal_models_equal_bytes() -> None:
    content = dump(a_model())
    read = load(content, "x")

    assert is_hashed(content)
    assert dump(read) == content == dump(a_model())
    assert (read.weights == a_model().weights).all()


def test_a_cut_file_is_refused_in_a_sentence() -> None:
    with pytest.raises(ConfigError, match="mine: a damaged language model"):
        load(dump(a_model())[:-50], "mine")
