import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.language import plain
from stages.language.pieces import GROUPS, HANS, HANT, LZH, MARKS, MODERN, PIECES, YUE, cut, weigh_lines
from stages.language.tables import HAN, HANGUL, LATIN

LINES = st.sampled_from(
    [
        "\n",
        "Kubernetes schedules pods. ",
        "在中国的北方，",
        "這個城市 ",
        "カタカナとひらがな",
        "한국어 ",
        "Привет ",
        "été́ ",
        "👩‍👩‍👧 ",
        "12,5 ",
        "x",
        "唔係嘅",
        "曰矣的这",
        "สวัสดี",
    ]
)
TEXTS = st.one_of(
    st.text(), st.lists(LINES, max_size=60).map("".join), st.lists(LINES).map(lambda held: "".join(held) * 30)
)


def pieces_of(text: str, *, letters: int = 500, simple: bool = True) -> list[plain.Piece]:
    found = cut(pa.array([text]), letters=letters, simple=simple)
    return list(zip(found.texts.to_pylist(), found.group.tolist(), found.weight.tolist(), strict=True))


@given(st.lists(TEXTS, max_size=5), st.sampled_from([50, 500]), st.booleans())
def test_kernel_cuts_as_the_plain_twin(texts: list[str], letters: int, simple: bool) -> None:
    found = cut(pa.array(texts, pa.string()), letters=letters, simple=simple)
    expected = [plain.cut(text, letters=letters, simple=simple) for text in texts]

    rows = zip(found.texts.to_pylist(), found.group.tolist(), found.weight.tolist(), strict=True)
    assert list(rows) == [piece for pieces, _ in expected for piece in pieces]
    assert found.document.tolist() == [number for number, (pieces, _) in enumerate(expected) for _ in pieces]
    assert found.scripts.tolist() == [counts for _, counts in expected]


@given(st.lists(TEXTS, max_size=5))
def test_kernel_weighs_lines_as_the_plain_twin(texts: list[str]) -> None:
    document, start, group, weight = weigh_lines(pa.array(texts, pa.string()))
    expected = [plain.weigh_lines(text) for text in texts]

    assert list(zip(group.tolist(), weight.tolist(), strict=True)) == [line for lines in expected for line in lines]
    assert document.tolist() == [number for number, lines in enumerate(expected) for _ in lines]
    whole = "".join(texts).encode()
    assert all(at == 0 or whole[at - 1 : at] == b"\n" or document[n] != document[n - 1] for n, at in enumerate(start))


def test_lines_of_two_scripts_in_turn_are_two_pieces() -> None:
    text = "这是第一行中文\nThis is the first line\n" * 5

    (latin, *latin_kind), (han, *han_kind) = pieces_of(text)

    assert (latin.split()[:4], latin_kind) == (["this", "is", "the", "first"], [LATIN, 5 * 18])
    assert (han.split()[0], han_kind) == ("这是第一行中文", [HAN, 5 * 7 * 3])


def test_a_chinese_line_with_names_in_it_is_chinese_and_read_without_them() -> None:
    assert pieces_of("在 Kubernetes 中创建 Deployment 对象") == [("在 中创建 对象", HAN, 20 + 18)]


@pytest.mark.parametrize(("simple", "read"), [(True, "中国 ab"), (False, "中國 ab")])
def test_folds_case_width_and_on_request_traditional_characters(simple: bool, read: str) -> None:
    found = cut(pa.array(["中國\nＡB"]), letters=50, simple=simple)

    assert sorted(found.texts.to_pylist()) == sorted(read.split())


def test_counts_characters_of_one_standard_of_cantonese_and_of_one_age() -> None:
    counts = cut(pa.array(["汉语漢后唔矣兮的"]), letters=50, simple=True).scripts[0]

    assert [counts[HAN], counts[HANS], counts[HANT], counts[YUE], counts[HANGUL]] == [24, 2, 1, 1, 0]
    assert [counts[LZH], counts[MODERN]] == [2, 1]


def test_a_long_line_is_read_in_few_pieces_with_all_its_weight() -> None:
    found = pieces_of("中" * 400_000)

    assert len(found) in (PIECES, PIECES + 1)
    assert sum(weight for _, _, weight in found) == 3 * 400_000
    assert sum(len(text) for text, _, _ in found) <= 500


def test_rows_do_not_depend_on_the_cut_of_the_batch_and_nulls_are_empty() -> None:
    texts = pa.array(["one text", None, "", "四个汉字", "five"])

    whole = cut(texts, letters=50, simple=True)
    tail = cut(texts.slice(3), letters=50, simple=True)

    assert whole.document.tolist() == [0, 3, 4]
    assert tail.texts.to_pylist() == whole.texts.to_pylist()[1:]
    assert whole.scripts.shape == (5, GROUPS + MARKS)
