import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.audit.units import CHARACTER, DIGITS, LETTERS, hash_of, units_of
from stages.dedup.fold import fold_table, load, tokens

TEXT = st.text(alphabet=st.sampled_from("aZ9é ß中軟体。、ｱ㍿㌀ﷺ①½\u0301\u200d🙂\n-_'ไท"), max_size=40) | st.text(
    max_size=20
)


@given(st.lists(st.none() | TEXT, max_size=4))
def test_units_are_the_tokens_of_the_folded_view(texts: list[str | None]) -> None:
    units = units_of(pa.array(texts, pa.large_string()))

    fold = load(fold_table())
    expected = [tokens(text or "", fold) for text in texts]
    assert units.hashes.tolist() == [hash_of(token) for own in expected for token in own]
    assert np.diff(units.bounds).tolist() == [len(own) for own in expected]
    for number, token in enumerate(token for own in expected for token in own):
        assert token in tokens(units.text(number, number), fold)


def test_a_unit_knows_its_kind_and_is_shown_as_it_is_written() -> None:
    units = units_of(pa.array(["Ａbc, 軟體 42 don't", None, "x"], pa.string()))

    assert units.kinds.tolist() == [LETTERS, CHARACTER, CHARACTER, DIGITS, LETTERS, LETTERS, LETTERS]
    assert [units.text(number, number) for number in range(7)] == ["Ａbc", "軟", "體", "42", "don", "t", "x"]
    assert units.text(1, 3) == "軟體 42"
    assert units.bounds.tolist() == [0, 6, 6, 7]


def test_traditional_and_simplified_are_one_unit_and_a_slice_of_a_column_is_read_as_such() -> None:
    column = pa.array(["頭", "軟體", "软体"], pa.large_string())

    units = units_of(column.slice(1))

    assert units.hashes[:2].tolist() == units.hashes[2:].tolist() == [hash_of("软"), hash_of("体")]
    assert units.text(0, 1) == "軟體"


@pytest.mark.parametrize("character", ["㍿", "ﷺ", "㌀"])
def test_there_is_room_for_what_a_character_expands_to(character: str) -> None:
    text = character * 300

    assert len(units_of(pa.array([text])).hashes) == len(tokens(text, load(fold_table())))
