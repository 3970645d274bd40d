import datasketch
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.dedup import plain
from stages.dedup.fold import FoldTable, fold_table, load, tokens
from stages.dedup.signature import PIECE, Signed, band_keys, permutations, sign

FOLD = load(fold_table())
ALPHABET = "ab Z9,.\n北京軟體的，。①½㎏ﷺé\u0301\u093f\u200d👍🏽カﾞไ한\u00ad\U00020000\U000e0100\U0010ffff"
TEXTS = st.text(st.one_of(st.sampled_from(ALPHABET), st.characters(codec="utf-8")), max_size=200)


Row = tuple[list[int], tuple[int, int], int, int]


def expected(text: str, width: int, amount: int, fold: FoldTable) -> Row:
    drawn = permutations(amount, 1)
    view = tokens(text, fold)
    minima = plain.signature(plain.shingle_hashes(view, width), drawn.a.tolist(), drawn.b.tolist())
    return minima, plain.exact_hash(view), len(view), len(text)


def row(signed: Signed, number: int) -> Row:
    first, second = signed.exact[number].tolist()
    return (
        signed.signatures[number].tolist(),
        (first, second),
        int(signed.counts[number]),
        int(signed.characters[number]),
    )


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(TEXTS, max_size=4), width=st.integers(1, 9), amount=st.sampled_from([1, 7, 16, 128]))
def test_signs_as_the_plain_twin_does(texts: list[str], width: int, amount: int) -> None:
    signed = sign(pa.array(texts, pa.string()), FOLD, permutations(amount, 1), width=width)

    assert [row(signed, number) for number in range(len(texts))] == [expected(t, width, amount, FOLD) for t in texts]


PARTS = [
    "a",
    "Bc7",
    "abcdefgh",
    "ABCDEFGHI",
    "x" * 17,
    "y" * 70,
    " ",
    "\n",
    ", ",
    "é",
    "Ж",
    "жз",
    "Ａ",
    "北京",
    "，",
    "ﷺ",
    "👍",
]


@settings(max_examples=150, deadline=None)
@given(parts=st.lists(st.sampled_from(PARTS), min_size=20, max_size=120))
def test_words_are_the_same_however_they_lie_in_blocks_and_chunks(parts: list[str]) -> None:
    text = "".join(parts)

    assert row(sign(pa.array([text]), FOLD, permutations(8, 1), width=2), 0) == expected(text, 2, 8, FOLD)


@pytest.mark.parametrize("letter", ["a", "Q", "ж", "é", "\U00010400"])
@pytest.mark.parametrize("behind", [" ", "，", "北", "ж", "\u0301", ""])
def test_signs_words_of_every_length_alike(letter: str, behind: str) -> None:
    for length in range(1, 75):
        text = "one two " + letter * length + behind + (" three four" * 9)
        assert row(sign(pa.array([text]), FOLD, permutations(2, 1), width=1), 0) == expected(text, 1, 2, FOLD)


def test_ascii_is_folded_in_the_kernel_as_by_the_table() -> None:
    for character in map(chr, range(0x80)):
        assert tokens(character, FOLD) == ([character.lower()] if character.isalnum() else [])


@pytest.mark.parametrize("unit", ["北", "ab ", "ﷺ", "a", "é\u0301", "北ab，", "\U00020000"])
@pytest.mark.parametrize("amount", [PIECE - 1, PIECE, PIECE + 1, PIECE + 5, 2 * PIECE + 3])
def test_signs_long_texts_piece_by_piece(unit: str, amount: int) -> None:
    text = unit * amount

    signed = sign(pa.array([text]), FOLD, permutations(16, 1), width=5)

    assert row(signed, 0) == expected(text, 5, 16, FOLD)


def test_signs_a_line_of_a_million_letters() -> None:
    text = "a" * 1_000_000 + " 北京"

    signed = sign(pa.array([text]), FOLD, permutations(8, 1), width=3)

    assert row(signed, 0) == expected(text, 3, 8, FOLD)


def test_signs_slices_nulls_and_large_strings_alike() -> None:
    texts = ["before", "one two three four five six", None, "北京市人民政府", "after"]
    wanted = [expected(text or "", 5, 8, FOLD) for text in texts[1:4]]

    for kind in (pa.string(), pa.large_string()):
        signed = sign(pa.array(texts, kind).slice(1, 3), FOLD, permutations(8, 1), width=5)
        assert [row(signed, number) for number in range(3)] == wanted


@pytest.mark.parametrize("texts", [[], [""], ["", ""], [None]])
def test_signs_nothing(texts: list[str]) -> None:
    signed = sign(pa.array(texts, pa.string()), FOLD, permutations(8, 1), width=5)

    assert signed.counts.tolist() == [0] * len(texts)
    assert (signed.signatures == 0xFFFFFFFF).all()


@pytest.mark.parametrize(("amount", "seed"), [(128, 1), (256, 7), (126, 0)])
def test_equals_datasketch_bit_for_bit(amount: int, seed: int) -> None:
    text = "The quick brown fox jumps over the lazy dog while 北京市人民政府关于进一步加强 the wise owl looks on. " * 3
    shingles = plain.shingle_hashes(tokens(text, FOLD), 5)
    theirs = datasketch.MinHash(amount, seed=seed, scheme="affine32", hashfunc=lambda value: value)
    theirs.update_batch([shingle & 0xFFFFFFFF for shingle in shingles])

    ours = sign(pa.array([text]), FOLD, permutations(amount, seed), width=5).signatures[0]

    assert ours.tolist() == theirs.hashvalues.tolist()
    assert permutations(amount, seed).a.tolist() == theirs.permutations[0].tolist()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 2**32 - 1), min_size=12, max_size=12), max_size=3),
    st.sampled_from([(3, 4), (12, 1), (2, 5)]),
)
def test_makes_band_keys_as_the_plain_twin_does(rows: list[list[int]], shape: tuple[int, int]) -> None:
    signatures = np.array(rows, np.uint32).reshape(-1, 12)
    keys = np.empty((len(rows), shape[0]), np.uint64)

    band_keys(signatures, *shape, keys)

    assert keys.tolist() == [plain.band_keys(minima, *shape) for minima in rows]
