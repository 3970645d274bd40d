import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.language import plain
from stages.language.decide import ODDS, QUATRAIN, decide, settle_cantonese, settle_classical
from stages.language.names import fits, label_of, language_of
from stages.language.pieces import GROUPS, LZH, MARKS, MODERN, YUE, Pieces
from stages.language.tables import HAN, LATIN

LANGUAGES = ("eng", "spa", "zho", "und")
CHANCES = st.lists(st.integers(1, 64), min_size=3, max_size=3)
PIECES = st.lists(st.tuples(st.integers(1, 500), st.sampled_from([LATIN, HAN]), CHANCES), min_size=1, max_size=8)


def pieces_of(rows: list[tuple[int, int, int]]) -> Pieces:
    """Returns pieces of (document, group, weight)."""
    table = np.array(rows).reshape(-1, 3)
    texts = pa.array([""] * len(rows), pa.large_string())
    counts = np.zeros((table[:, 0].max() + 1, GROUPS + MARKS), np.int64)
    return Pieces(texts, table[:, 0].astype(np.int32), table[:, 1].astype(np.uint8), table[:, 2], counts)


@given(st.lists(PIECES, min_size=1, max_size=4))
def test_kernel_decides_as_the_plain_twin(documents: list[list[tuple[int, int, list[int]]]]) -> None:
    rows = [(number, piece) for number, pieces in enumerate(documents) for piece in pieces]
    chances = np.array([piece[2] for _, piece in rows], np.float32) / 64
    numbers = np.tile(np.arange(3, dtype=np.int32), (len(rows), 1))
    table = fits(LANGUAGES)

    found = decide(pieces_of([(number, piece[1], piece[0]) for number, piece in rows]), numbers, chances, table)

    for number, pieces in enumerate(documents):
        fitting = [
            (weight, {n: c / 64 for n, c in enumerate(told) if table[n, group]}) for weight, group, told in pieces
        ]
        mine = found.document == number
        shares = list(zip(found.language[mine].tolist(), found.share[mine].tolist(), strict=True))
        assert shares == plain.decide(fitting)


def test_a_close_call_goes_to_the_language_of_the_document() -> None:
    rows = pieces_of([(0, LATIN, 100)] * 5)
    numbers = np.tile(np.array([0, 1], np.int32), (5, 1))
    chances = np.array([[0.1, 0.9]] * 4 + [[0.55, 0.45]], np.float32)

    found = decide(rows, numbers, chances, fits(LANGUAGES))

    assert found.language.tolist() == [1]
    assert found.score.tolist() == pytest.approx([(4 * 0.9 + 0.45) / 5])


def test_a_language_not_written_in_the_script_is_left_out() -> None:
    found = decide(
        pieces_of([(0, HAN, 10)]), np.array([[0, 1]], np.int32), np.ones((1, 2), np.float32), fits(LANGUAGES)
    )

    assert found.language.tolist() == [3]  # und


@pytest.mark.parametrize(("characters", "language"), [(0, 7), (1, 8), (2, 8)])
def test_characters_of_cantonese_settle_it_where_they_can(characters: int, language: int) -> None:
    rows = pieces_of([(0, HAN, 300)])
    rows.scripts[0, [HAN, YUE]] = (
        300,
        characters,
    )  # a hundred Han: none is Mandarin, 2 % Cantonese, between is the model's

    assert settle_cantonese(rows, np.array([[8]], np.int32), 7, 8).tolist() == [[language]]


@pytest.mark.parametrize(
    ("han", "old", "new", "odds", "latin", "others", "language"),
    [
        (100, 2, 0, 0.1, 0, "", 8),  # 2 % of classical function words
        (100, 2, 1, 0.1, 0, "，" * 10, 7),  # with 1 % modern ones
        (50, 1, 0, 0.1, 0, "，" * 10, 7),  # one alone can be a name
        (100, 0, 0, ODDS * 1.01, 0, "，" * 10, 8),  # the model is sure
        (100, 0, 0, ODDS * 0.99, 0, "，" * 10, 7),
        (100, 0, 4, ODDS * 2, 0, "，" * 10, 7),  # 4 % of modern function words
        (100, 0, 3, ODDS * 2, 0, "，" * 10, 8),
        (QUATRAIN, 0, 0, ODDS * 2, 0, "。", 8),
        (QUATRAIN - 1, 0, 0, ODDS * 2, 0, "。", 7),
        (100, 0, 0, ODDS * 2, 10, "，" * 10, 8),
        (100, 0, 0, ODDS * 2, 11, "，" * 10, 7),  # a Latin letter in ten Han
        (96, 0, 0, ODDS * 2, 0, "，。！？；，", 8),  # a mark in 16 Han
        (97, 0, 0, ODDS * 2, 0, "，。！？；，", 7),
        (100, 0, 0, ODDS * 2, 0, "、：·,. \n" * 10, 7),  # a list
        (100, 0, 0, ODDS * 2, 0, "，" * 10 + "0123456789", 8),
        (100, 0, 0, ODDS * 2, 0, "，" * 10 + "01234567890", 7),  # a digit in ten Han
    ],
)
def test_function_words_settle_whether_chinese_is_classical_else_a_sure_model(
    han: int, old: int, new: int, odds: float, latin: int, others: str, language: int
) -> None:
    rows = pieces_of([(0, HAN, 3 * han)])
    rows.scripts[0, [HAN, LZH, MODERN, LATIN]] = (3 * han, old, new, latin)
    chances = np.array([[odds, 1]], np.float32) / (1 + odds)

    told = settle_classical(pa.array([others]), rows, np.array([[8, 7]], np.int32), chances, 7, 8)

    assert told.tolist() == [[language, language]]


@pytest.mark.parametrize(
    ("label", "language"),
    [
        ("zh", "zho"),
        ("cmn_Hani", "zho"),
        ("zho_Hant", "zho"),
        ("ja", "jpn"),
        ("als", "gsw"),
        ("als_Latn", "sqi"),
        ("qqq", "qqq"),
    ],
)
def test_labels_of_other_models_are_told_as_iso_639_3(label: str, language: str) -> None:
    assert language_of(label) == language


@pytest.mark.parametrize(
    ("language", "script", "han", "label"),
    [
        ("zho", HAN, "Hant", "zho_Hant"),
        ("zho", HAN, None, "zho_Hans"),
        ("yue", HAN, None, "yue_Hant"),
        ("jpn", HAN, "Hant", "jpn_Jpan"),
        ("eng", LATIN, None, "eng_Latn"),
    ],
)
def test_our_labels_have_the_script_that_was_met(language: str, script: int, han: str | None, label: str) -> None:
    assert label_of(language, script, han) == label
