import unicodedata

import numpy as np
import pytest

from stages.quality.characters import FROZEN, FUNCTION_WORDS, RUN, Kind, kinds
from stages.quality.freeze import classify, runs


@pytest.mark.parametrize(
    ("characters", "kind"),
    [
        ("汉漢〇々𠀀", Kind.HAN),
        ("的之這", Kind.FUNCTION),
        ("あカ゛กຂ", Kind.SINGLE),
        ("aÉｚ", Kind.LATIN),
        ("Ωж한ا", Kind.LETTER),
        ("7７٣", Kind.DIGIT),
        ("½①Ⅷ", Kind.NUMBER),
        ("\u0301\u200d\ufe0f", Kind.MARK),
        (" \u00a0　", Kind.SPACE),
        ("，、《》", Kind.WIDE),
        ("。！？；", Kind.WIDE_END),
        ("😀□\ufffd", Kind.SYMBOL),
        ("\ue003\x00", Kind.OTHER),
    ],
)
def test_knows_the_kind_of(characters: str, kind: Kind) -> None:
    met = {character: Kind(int(kinds()[ord(character)])) for character in characters if character not in "゛□"}

    assert set(met.values()) == {kind}, met


def test_the_frozen_table_is_what_its_generator_makes_of_unicode_14() -> None:
    frozen = np.frombuffer(FROZEN.read_bytes(), RUN)
    points = np.append(frozen["first"], 0x110000)
    table = np.repeat(frozen["kind"], [int(length) for length in np.diff(points.astype(np.int64))])
    if unicodedata.unidata_version == "14.0.0":
        assert FROZEN.read_bytes() == runs()

    for character in "A汉あ한9½ .，。😀\u0301\ue000":
        assert table[ord(character)] == classify(character)


def test_every_code_point_has_a_kind_and_the_table_cannot_be_written() -> None:
    assert kinds().shape == (0x110000,)
    assert kinds().max() < len(Kind)
    assert not kinds().flags.writeable


def test_function_words_are_listed_once() -> None:
    assert len(set(FUNCTION_WORDS)) == len(FUNCTION_WORDS)
