import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.dedup import plain
from stages.dedup.fold import fold_table, load, tokens
from stages.dedup.shingles import distinct, overlap, shingle_sets
from stages.dedup.signature import PIECE

FOLD = load(fold_table())
ALPHABET = "ab Z9,.\n北京軟體的，。①½㎏ﷺé\u0301\u093f\u200d👍🏽カﾞไ한\u00ad\U00020000\U000e0100\U0010ffff"
TEXTS = st.text(st.one_of(st.sampled_from(ALPHABET), st.characters(codec="utf-8")), max_size=200)


def sets_of(texts: list[str | None], width: int) -> list[list[int]]:
    made = shingle_sets(pa.array(texts, pa.string()), FOLD, width=width)
    assert (made.hashes.dtype, made.offsets.dtype, len(made.offsets)) == (np.uint64, np.int64, len(texts) + 1)
    return [made.hashes[start:end].tolist() for start, end in zip(made.offsets, made.offsets[1:], strict=False)]


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(TEXTS, max_size=4), width=st.integers(1, 9))
def test_makes_the_sets_of_the_plain_twin(texts: list[str], width: int) -> None:
    assert sets_of(list(texts), width) == [plain.shingle_set(tokens(text, FOLD), width) for text in texts]


@pytest.mark.parametrize("unit", ["北", "ab ", "ﷺ", "北ab，", "ab cd e fg hij k lm "])
@pytest.mark.parametrize("amount", [PIECE - 1, PIECE, PIECE + 5, 2 * PIECE + 3])
def test_a_repeated_unit_is_in_the_set_once_however_often_it_comes(unit: str, amount: int) -> None:
    assert sets_of([unit * amount, None, "x"], 5) == [plain.shingle_set(tokens(unit * amount, FOLD), 5), [], []]


def test_sets_of_long_texts_are_those_of_the_plain_twin() -> None:
    text = " ".join(f"w{number * 7919 % 3001}" for number in range(9000)) + "".join(map(chr, range(0x4E00, 0x6000)))

    assert sets_of(["a", text, "b"], 5) == [[], plain.shingle_set(tokens(text, FOLD), 5), []]


@pytest.mark.parametrize("texts", [[], [""], [None, ""]])
def test_nothing_has_empty_sets(texts: list[str | None]) -> None:
    assert sets_of(texts, 5) == [[]] * len(texts)


@settings(max_examples=200, deadline=None)
@given(
    hashes=st.lists(st.one_of(st.integers(0, 5), st.integers(2**64 - 4, 2**64 - 1), st.integers(0, 2**64 - 1))),
    times=st.sampled_from([1, 2, 50]),
)
def test_sorts_what_crowds_too(hashes: list[int], times: int) -> None:
    held = np.array(hashes * times, np.uint64)

    made = distinct(held)

    assert held[:made].tolist() == sorted(set(hashes))


@settings(max_examples=200, deadline=None)
@given(*[st.sets(st.one_of(st.integers(0, 9), st.integers(0, 2**64 - 1)), max_size=30)] * 2)
def test_counts_what_two_sets_share(one: set[int], other: set[int]) -> None:
    first, second = (np.array(sorted(items), np.uint64) for items in (one, other))

    assert overlap(first, second) == overlap(second, first) == len(one & other)
