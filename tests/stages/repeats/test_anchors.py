import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.dedup.fold import fold_table, load, tokens
from stages.repeats import plain
from stages.repeats.anchors import PIECE, Anchors, anchors

FOLD = load(fold_table())
TEXTS = st.text(
    st.one_of(st.sampled_from("ab Z9,.\n北京軟，①½㎏ﷺé\u0301\u200d👍한"), st.characters(codec="utf-8")), max_size=200
)
REPETITIVE = st.text(st.sampled_from("a 北京"), max_size=300)


def rows(found: Anchors, document: int) -> list[tuple[int, ...]]:
    of = found.document == document
    columns = (found.gram, found.span, found.start, found.passages)
    return list(zip(*(column[of].tolist() for column in columns), strict=True))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(TEXTS, REPETITIVE), max_size=4), st.integers(1, 9), st.integers(1, 9))
def test_finds_the_anchors_that_the_plain_twin_finds(texts: list[str], width: int, spread: int) -> None:
    found = anchors(pa.array(texts, pa.string()), FOLD, width=width, spread=spread)

    views = [tokens(text, FOLD) for text in texts]
    assert [rows(found, number) for number in range(len(texts))] == [plain.anchors(v, width, spread) for v in views]
    assert found.tokens.tolist() == [len(view) for view in views]


@pytest.mark.parametrize("unit", ["北", "ab ", "{} ", "{}京 "])
@pytest.mark.parametrize("amount", [49, 50, PIECE - 1, PIECE + 60, 2 * PIECE + 3])
def test_reads_long_texts_piece_by_piece(unit: str, amount: int) -> None:
    text = "".join(unit.format(number * number) for number in range(amount))

    found = anchors(pa.array(["", text, text]), FOLD, width=26, spread=25)

    assert rows(found, 1) == rows(found, 2) == plain.anchors(tokens(text, FOLD), 26, 25)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_every_passage_is_in_one_run_and_equal_ones_have_equal_anchors(
    view: list[str], width: int, spread: int
) -> None:
    length = width + spread - 1

    found = rows(anchors(pa.array([" ".join(view)]), FOLD, width=width, spread=spread), 0)

    gram_of = {start + number: gram for gram, _, start, many in found for number in range(many)}
    assert sorted(gram_of) == list(range(len(view) - length + 1))
    grams_of_passage: dict[tuple[str, ...], set[int]] = {}
    for start, gram in gram_of.items():
        grams_of_passage.setdefault(tuple(view[start : start + length]), set()).add(gram)
    assert all(len(grams) == 1 for grams in grams_of_passage.values())


def test_chooses_two_in_spread_and_one_as_the_paper_says() -> None:
    text = " ".join(f"w{number * 7919 % 100_003}" for number in range(60_000))  # Schleimer et al.: density 2 / (w + 1)

    found = anchors(pa.array([text]), FOLD, width=26, spread=25)

    assert len(found.gram) / 60_000 == pytest.approx(2 / 26, rel=0.03)


def test_reads_slices_nulls_and_large_strings_alike() -> None:
    texts = ["before " * 9, "a b c d e f g", None, "北京市人民政府", "after " * 9]
    for kind in (pa.string(), pa.large_string()):
        found = anchors(pa.array(texts, kind).slice(1, 3), FOLD, width=3, spread=2)

        views = [tokens(text or "", FOLD) for text in texts[1:4]]
        assert [rows(found, number) for number in range(3)] == [plain.anchors(view, 3, 2) for view in views]
