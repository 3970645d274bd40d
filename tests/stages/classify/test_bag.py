import json
import os
import subprocess
import sys
from pathlib import Path

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe import resource
from datapipe.errors import ConfigError
from stages.classify import fit
from stages.classify.bag import ENVIRONMENT, BagModel, LibraryModel, Settings, _read, load, train
from stages.classify.cut import cut
from stages.language import fasttext as library
from tests.stages.classify.texts import PARTS, texts

SMALL = Settings(dim=8, bucket=1000, minCount=1)
WORDS = st.sampled_from(
    ["salt", "soup", "tide", "¶", "盐", "洋", "葱", "帆", ".", "unknown", "é", "\n", "\t", "</s>", "\x0b"]
)


@pytest.fixture(scope="module")
def content() -> bytes:
    given = [(text, label) for label in PARTS for text in texts(label, 40)]
    return train(cut(pa.array([text for text, _ in given])).to_pylist(), [label for _, label in given], SMALL)


@pytest.fixture(scope="module")
def path(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("bag") / "a.bin"
    file.write_bytes(content)
    return str(file)


@pytest.mark.parametrize(("longest", "buckets"), [(1, 1000), (2, 1024), (3, 1000)])
def test_the_kernel_predicts_what_fasttext_predicts(longest: int, buckets: int, tmp_path: Path) -> None:
    lines = [text for label in PARTS for text in cut(pa.array(texts(label, 40))).to_pylist()]
    settings = Settings(dim=8, bucket=buckets, minCount=2, wordNgrams=longest)
    (tmp_path / "a.bin").write_bytes(train(lines, np.repeat(list(PARTS), 40).tolist(), settings))
    ours, theirs = (
        load(resource(str(tmp_path / "a.bin"))),
        LibraryModel(library.load(resource(str(tmp_path / "a.bin")))),
    )

    @given(st.lists(st.lists(WORDS, max_size=20).map(" ".join), max_size=4))
    def agrees(lines: list[str]) -> None:
        found, expected = (
            ours.probabilities(pa.array(lines, pa.string())),
            theirs.probabilities(pa.array(lines, pa.string())),
        )
        assert found == pytest.approx(expected, abs=2e-5)  # fastText adds 1e-5 before its logarithm

    assert isinstance(ours, BagModel)
    assert ours.labels == theirs.labels
    agrees()


def test_equal_texts_give_equal_bytes_whatever_the_process_did_before(content: bytes) -> None:
    given = [(text, label) for label in PARTS for text in texts(label, 40)]
    lines = cut(pa.array([text for text, _ in given])).to_pylist()

    assert train(lines, [label for _, label in given], SMALL) == content


def test_a_model_with_character_n_grams_is_left_to_fasttext(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("__label__a salt and soup\n__label__b mast and tide\n" * 20, "utf-8")
    settings = json.dumps({"dim": 4, "minn": 2, "maxn": 3, "bucket": 100})
    command = [sys.executable, "-P", fit.__file__, str(tmp_path / "lines"), str(tmp_path / "a.bin"), settings]
    subprocess.run(command, env={**os.environ, **ENVIRONMENT}, check=True)

    model = load(resource(str(tmp_path / "a.bin")))

    assert isinstance(model, LibraryModel)
    assert model.probabilities(pa.array(["salt\nsoup", None], pa.string())).sum(axis=1) == pytest.approx(
        [1, 1], abs=1e-3
    )


def test_a_quantised_model_is_left_to_fasttext(path: str, tmp_path: Path) -> None:
    made = fasttext.load_model(path)
    made.quantize(qout=False)
    made.save_model(str(tmp_path / "a.ftz"))

    model = load(resource(str(tmp_path / "a.ftz")))

    assert isinstance(model, LibraryModel)
    assert model.probabilities(pa.array(["salt", "tide"])).sum(axis=1) == pytest.approx([1, 1], abs=1e-3)


@given(st.integers(0, 150), st.integers(0, 255))
def test_a_changed_byte_among_the_settings_is_refused_or_harmless(content: bytes, place: int, value: int) -> None:
    changed = content[:place] + bytes([value]) + content[place + 1 :]
    try:
        model = _read(changed)
    except ValueError:
        return
    if model is not None:
        assert model.probabilities(pa.array(["salt and tide"])).shape == (1, 2)


def test_a_cut_file_is_refused(content: bytes, tmp_path: Path) -> None:
    for part in (0.2, 0.6, 0.99):
        (tmp_path / "a.bin").write_bytes(content[: int(len(content) * part)])
        with pytest.raises(ConfigError, match="cut short or damaged"):
            load(resource(str(tmp_path / "a.bin")))


def test_what_fasttext_cannot_train_is_said_as_fasttext_says_it() -> None:
    with pytest.raises(ConfigError, match="fastText cannot train on these texts"):
        train([], [], SMALL)


def test_training_reads_no_label_out_of_a_text(path: str) -> None:
    line = cut(pa.array(["__label__evil is __label__cooking"])).to_pylist()[0]

    assert line == "__ label __ evil is __ label __ cooking"
    assert set(load(resource(path)).labels) == set(PARTS)
