"""The kernels of decontamination agree with their plain twins, whatever the text and wherever pieces of it begin."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.decontaminate import grams as fast
from stages.decontaminate import plain
from stages.decontaminate.grams import LEAD, Width
from stages.dedup.fold import FoldTable, fold_table, load

WIDTH = Width(words=3, characters=5)
LETTERS = "ab é漢汉字かﷺ㌀Ⅷ１,。\n\u0301\u200d𠀀😀"


@pytest.fixture(scope="module")
def fold() -> FoldTable:
    return load(fold_table())


def fast_search(texts: list[str], fold: FoldTable, items: list[str]) -> list[list[tuple[int, int, int]]]:
    """Finds the n-grams and the short wholes of items; the value is the item."""
    found = fast.grams(pa.array(items, pa.large_string()), fold, WIDTH)
    short = np.flatnonzero((found.weights < WIDTH.words * WIDTH.characters) & (found.tokens >= LEAD))
    keys = np.concatenate([found.key, found.whole[short]])
    owners = np.concatenate([found.text, short])
    distinct, first = np.unique(keys[::-1], return_index=True)  # of equal ones the last, as a dict keeps it
    index = fast.index(distinct, owners[::-1][first], found.lead[short], found.tokens[short])
    hits = fast.search(pa.array(texts, pa.large_string()), fold, WIDTH, index)
    told: list[list[tuple[int, int, int]]] = [[] for _ in texts]
    for row, start, end, place in zip(*(column.tolist() for column in hits), strict=True):
        told[row].append((start, end, place))
    return [sorted(one) for one in told]


def plain_search(text: str, fold: FoldTable, items: list[str]) -> list[tuple[int, int, int]]:
    long: dict[tuple[str, ...], int] = {}
    short: dict[tuple[str, ...], int] = {}
    for number, item in enumerate(items):
        read = plain.tokens(item, fold)
        words = [token[0] for token in read]
        for first, last in plain.grams(read, WIDTH):
            long[tuple(words[first:last])] = number
        if sum(plain.weight(token, WIDTH) for token in read) < WIDTH.words * WIDTH.characters and len(read) >= LEAD:
            short[tuple(words)] = number
    return plain.search(text, fold, WIDTH, long, short)


@given(
    st.lists(st.text(LETTERS, max_size=60), min_size=1, max_size=4),
    st.lists(st.text(LETTERS, max_size=20), min_size=1, max_size=6),
    st.lists(st.integers(0, 5), max_size=4),
)
def test_finds_what_the_plain_twin_finds(texts: list[str], items: list[str], planted: list[int]) -> None:
    fold = load(fold_table())
    texts = [*texts, " ".join(items[number % len(items)] for number in planted)]

    assert fast_search(texts, fold, items) == [plain_search(text, fold, items) for text in texts]


def test_finds_an_item_across_the_border_of_two_pieces(fold: FoldTable, monkeypatch: pytest.MonkeyPatch) -> None:
    item = "one two three four"
    for before in range(fast.PIECE - 8, fast.PIECE + 3):
        text = "x " * before + item + " y" * 40

        assert len(fast_search([text], fold, [item])[0]) == 2, before


@pytest.mark.parametrize("letter", ["½", "ﷺ", "㌖", "ab\u0301"])
def test_characters_that_become_many_tokens_fill_no_more_than_their_room(fold: FoldTable, letter: str) -> None:
    text, item = f"one {letter * (2 * fast.PIECE)} one", letter * 8

    assert fast_search([text], fold, [item]) == [plain_search(text, fold, [item])]


def test_items_of_characters_that_become_many_tokens_have_all_n_grams(fold: FoldTable) -> None:
    made = fast.grams(pa.array(["㌖" * 400], pa.large_string()), fold, WIDTH)

    assert (made.tokens.tolist(), len(made.key)) == ([2400], 2396)


def test_more_hits_than_there_is_room_for_are_all_told(fold: FoldTable) -> None:
    text = "one two three " * 5000

    assert len(fast_search([text], fold, ["one two three"])[0]) == 5000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Ab，c", [("ab", False, 0, 2), ("c", False, 5, 6)]),
        ("汉é字", [("汉", True, 0, 3), ("é", False, 3, 5), ("字", True, 5, 8)]),
        ("國 １", [("国", True, 0, 3), ("1", False, 4, 7)]),
    ],
)
def test_tokens_have_their_places(fold: FoldTable, text: str, expected: list[tuple[str, bool, int, int]]) -> None:
    assert plain.tokens(text, fold) == expected
