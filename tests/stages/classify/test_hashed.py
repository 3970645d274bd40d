from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe import resource
from datapipe.errors import ConfigError
from stages.classify import hashed, plain
from stages.classify.cut import cut
from stages.classify.hashed import HashedModel, dump, learn, load
from tests.stages.classify.texts import PARTS, texts

TOKENS = st.lists(st.sampled_from(["a", "word", "汉", "字", "。", "é", "한글", "😀", "¶", "𠀀", "ก"]), max_size=30)


def learnt(bits: int = 14) -> HashedModel:
    given = [text for label in PARTS for text in texts(label, 60)]
    return learn(cut(pa.array(given)), np.repeat([0, 1], 60), tuple(PARTS), bits=bits, epochs=5, rate=0.2)


def counted(tokens: str, bits: int) -> list[int]:
    """Returns the buckets of a cut text: with a weight of one in a single bucket the sum is how often it occurs."""
    found = []
    for bucket in range(1 << bits):
        weights = np.zeros((1 << bits, 1), np.int8)
        weights[bucket] = 1
        model = HashedModel(("a", "b"), weights, (0.0,), 1.0)
        chance = model.probabilities(pa.array([tokens]))[0, 1]
        amount = len(plain.buckets(tokens, bits))
        found += [bucket] * round(np.log(chance / (1 - chance)) * np.sqrt(max(amount, 1)))
    return found


@given(TOKENS)
def test_the_kernel_finds_the_n_grams_that_its_plain_twin_finds(tokens: list[str]) -> None:
    assert counted(" ".join(tokens), 4) == plain.buckets(" ".join(tokens), 4)


@pytest.mark.parametrize(
    ("tokens", "amount"),
    [
        ("", 0),
        ("a", 1),
        ("a b c", 5),
        ("汉 字 汉 字", 10),
        ("汉 字 a 汉 字", 9),
        ("汉 字 汉 a", 8),
        ("한글 한글 한글", 5),
    ],
)
def test_words_make_pairs_and_single_characters_n_grams_up_to_four(tokens: str, amount: int) -> None:
    assert len(plain.buckets(tokens, 12)) == amount


def test_the_kernel_learns_what_its_plain_twin_learns() -> None:
    lines = cut(pa.array([*texts("cooking", 20), *texts("sailing", 20), "third one", "third 三"])).to_pylist()
    targets = [0] * 20 + [1] * 20 + [2] * 2

    model = learn(pa.array(lines), np.array(targets), ("a", "b", "c"), bits=10, epochs=3, rate=0.3)
    weights, bias = plain.learn(lines, targets, 3, bits=10, epochs=3, rate=0.3)

    expected = np.zeros((1 << 10, 2))
    for (bucket, label), value in weights.items():
        expected[bucket, label - 1] = value
    assert model.bias == pytest.approx(bias, rel=1e-4)
    assert model.weights * model.scale == pytest.approx(expected, abs=0.51 * model.scale)  # rounded to a step


def test_probabilities_are_the_softmax_of_bias_and_summed_weights() -> None:
    weights = np.zeros((2, 2), np.int8)
    weights[:] = [10, -20]  # in both buckets, so each n-gram adds as much
    model = HashedModel(("a", "b", "c"), weights, (0.5, 1.0), 0.1)

    found = model.probabilities(pa.array(["x y", ""]))  # three n-grams; none

    with_text = np.exp([0, 0.5 + 3 / 3**0.5, 1.0 - 6 / 3**0.5])
    without = np.exp([0, 0.5, 1.0])
    assert found == pytest.approx(np.array([with_text / with_text.sum(), without / without.sum()]))


def test_learns_to_part_two_subjects_in_two_languages() -> None:
    model = learnt()

    found = model.probabilities(cut(pa.array(["Bake the onion soup with butter", "桅杆和风帆都在港口"]))).argmax(axis=1)

    assert [model.labels[place] for place in found] == ["cooking", "sailing"]


def test_a_model_read_back_is_the_model_written(tmp_path: Path) -> None:
    model = learnt()
    (tmp_path / "a.model").write_bytes(dump(model))

    back = load(resource(str(tmp_path / "a.model")))

    assert back.labels == model.labels
    assert (back.weights == model.weights).all()
    assert (back.bias, back.scale) == (model.bias, model.scale)


def test_equal_texts_give_equal_bytes_and_no_text() -> None:
    assert dump(learnt()) == dump(learnt())


def test_a_damaged_model_is_refused_with_what_to_do(tmp_path: Path) -> None:
    content = dump(learnt())
    (tmp_path / "a.model").write_bytes(content[: len(content) // 2])

    with pytest.raises(ConfigError, match=r"a.model: a damaged classifier .*make it anew"):
        load(resource(str(tmp_path / "a.model")))


def test_a_model_of_another_cut_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.model").write_bytes(dump(learnt()))
    monkeypatch.setattr(hashed, "CUT", "cut-9")

    with pytest.raises(ConfigError, match="reads texts cut as cut-1, this release cuts cut-9"):
        load(resource(str(tmp_path / "a.model")))
