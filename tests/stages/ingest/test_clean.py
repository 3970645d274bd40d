import re
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.ingest.clean import COMPOSABLE, DIRTY, clean, clean_plainly, cleaned, scan, trimmed

TEXT = st.text(
    alphabet=st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from(
            "的一是，。ＡＢ　\n\r\t \x00\x0b\x7f\x85\xa0é\u0301\u3099か\u200b\u200d\u2028\u2060\ufeff\uffff가\u11a8😀👩"
        ),
    ),
    max_size=60,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("一\r\n二\r三\u2028四\x85五", "一\n二\n三\n四\n五"),
        ("\ufeffa\u200bb\u2060c\x00d\x9fe\x7f", "abcde"),
        ("cafe\u0301 か\u3099", "café が"),
        ("，：；！？（）％～…①㎏￥ｶ　“引号”", "，：；！？（）％～…①㎏￥ｶ　“引号”"),
        ("👩\u200d💻 نمی\u200cخواهم", "👩\u200d💻 نمی\u200cخواهم"),
        ("\uf900\u2126", "豈Ω"),
        ("e\u200b\u0301", "é"),
        ("a\tb\n\n\nc", "a\tb\n\n\nc"),
    ],
)
def test_changes_no_more_than_normal_form_and_controls(text: str, expected: str) -> None:
    assert clean_plainly(text) == expected
    assert clean([text]) == [expected]


def test_keeps_the_indent_of_the_first_line() -> None:
    assert clean(["\n \t\n　　空两格。\n 次行 \n\n", "  code\n    more", " \n ", ""]) == [
        "　　空两格。\n 次行",
        "  code\n    more",
        "",
        "",
    ]


@given(st.lists(TEXT, max_size=8))
def test_does_what_its_plain_twin_does(texts: list[str]) -> None:
    assert clean(texts) == [trimmed(clean_plainly(text)) for text in texts]


@given(st.lists(TEXT, max_size=8))
def test_cleaning_twice_is_cleaning_once(texts: list[str]) -> None:
    once = clean(texts)

    assert clean(once) == once
    assert all(unicodedata.is_normalized("NFC", text) for text in once)


@given(st.lists(TEXT, min_size=1, max_size=8))
def test_marks_every_text_that_needs_something(texts: list[str]) -> None:
    marks = scan(pa.array(texts, pa.large_string()))

    for text, mark in zip(texts, marks, strict=True):
        kept = re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028\u2029\u2060\ufeff\ufffe\uffff]", "", text)
        assert bool(mark & DIRTY) == (kept != text)
        assert mark & COMPOSABLE or unicodedata.is_normalized("NFC", text)


def test_marks_every_single_character_that_is_not_its_own_normal_form() -> None:
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]

    marks = scan(pa.array(characters, pa.large_string()))

    combining = [c for c in characters if not unicodedata.is_normalized("NFC", c) or unicodedata.combining(c)]
    assert all(marks[ord(c) - 0x800 * (ord(c) > 0xDFFF)] & COMPOSABLE for c in combining)


def test_scans_the_part_of_an_array_that_it_is_given() -> None:
    array = pa.array(["\x00", "a", "é\u0301", "字"], pa.large_string()).slice(1)

    assert scan(array).tolist() == [0, COMPOSABLE, 0]


SPACES = "".join(character for character in map(chr, range(0x110000)) if character.isspace())


@given(st.lists(st.none() | TEXT | st.text(f"{SPACES}ab的\u200b", max_size=12), max_size=6), st.integers(0, 3))
def test_a_column_is_cleaned_as_its_texts_are(texts: list[str | None], start: int) -> None:
    column = pa.array(texts, pa.large_string()).slice(min(start, len(texts)))

    made = cleaned(column)

    made.validate(full=True)
    assert made.to_pylist() == clean([text or "" for text in column.to_pylist()])


@pytest.mark.parametrize("space", SPACES)
def test_every_white_space_goes_at_the_end_and_stays_at_the_start(space: str) -> None:
    texts = [f"a{space}", f"{space}a", f"{space}\n{space}a{space}b{space}", space, f"a{space}\u3000"]

    made = cleaned(pa.array(texts, pa.large_string())).to_pylist()

    assert made == clean(texts)


def test_a_column_that_needs_nothing_is_not_copied() -> None:
    column = pa.array(["a\tb\n\n　c", "第二"], pa.large_string())

    assert cleaned(column).buffers()[2].address == column.buffers()[2].address
