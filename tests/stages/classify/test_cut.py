import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.classify import plain
from stages.classify.cut import cut, excerpt

CHARACTERS = st.one_of(
    st.sampled_from("ABc1２,.!！。\n \t漢汉字かナ\u0301한글éÀÉΩж😀\U00020000¶_-\u200b\u3000ก"),
    st.characters(codec="utf-8"),
)
TEXTS = st.lists(st.text(CHARACTERS, max_size=80), max_size=5)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Hello, World", "hello , world"),
        ("第12章：漢字", "第 00 章 ： 汉 字"),
        ("covid19 ＡＢＣ", "covid00 abc"),
        ("wait.....what?!", "wait ... what ? !"),
        ("ok !!!! ??", "ok !!! ??"),
        ("one\n\n two\n", "one ¶ two"),
        ("\n\nhead", "head"),
        ("a\tb\u3000c", "a b c"),
        ("e\u0301te", "ete"),  # combining marks are left out
        ("한글 かな", "한글 か な"),
        ("", ""),
        (" \n\t", ""),
        ("😀😀😀😀", "😀😀😀"),
    ],
)
def test_cuts_to_words_and_single_han_characters(text: str, tokens: str) -> None:
    assert cut(pa.array([text])).to_pylist() == [tokens]


def test_null_is_cut_as_empty_text() -> None:
    assert cut(pa.array([None, "a"], pa.string())).to_pylist() == ["", "a"]


def test_cuts_a_slice_of_an_array() -> None:
    assert cut(pa.array(["a", "B!", "c"]).slice(1, 1)).to_pylist() == ["b !"]


@given(TEXTS)
def test_the_kernel_cuts_as_its_plain_twin_does(texts: list[str]) -> None:
    assert cut(pa.array(texts, pa.string())).to_pylist() == [plain.cut(text) for text in texts]


@given(TEXTS)
def test_a_cut_text_cut_again_is_itself(texts: list[str]) -> None:
    once = cut(pa.array(texts, pa.string()))

    assert cut(once).to_pylist() == once.to_pylist()


def test_a_line_of_a_megabyte_is_cut_whole() -> None:
    assert cut(pa.array(["ab" * 500_000, "汉" * 300_000])).to_pylist() == ["ab" * 500_000, " ".join("汉" * 300_000)]


def test_a_text_no_longer_than_the_limit_is_read_whole() -> None:
    assert excerpt(pa.array(["汉" * 40, "a" * 40]), 40).to_pylist() == ["汉" * 40, "a" * 40]


def test_of_a_longer_text_four_parts_are_read_at_equal_distances() -> None:
    text = "".join(chr(97 + number // 10) * 1 for number in range(160))  # aaaaaaaaaabbbbbbbbbb...

    assert excerpt(pa.array([text]), 16).to_pylist() == ["aaaa\neeee\niiii\nmmmm"]


@given(TEXTS, st.integers(4, 40))
def test_the_kernel_reads_the_excerpt_that_its_plain_twin_reads(texts: list[str], characters: int) -> None:
    read = excerpt(pa.array(texts, pa.string()), characters).to_pylist()

    assert read == [plain.excerpt(text, characters) for text in texts]
    assert all(len(text) <= characters + 3 for text in read)
