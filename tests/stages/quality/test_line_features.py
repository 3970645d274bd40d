import dataclasses

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.quality.line_features import LineFeatures, is_counter, line_features
from stages.quality.plain import lines_plainly

PIECES = [
    *"aZ9 \t\n\r.,'\"!?{}…。！”’」』中あé😀　\u0301\u2028",
    "...",
    "JavaScript",
    "privacy policy",
    "USE COOKIES",
    "12 likes",
]
PIECES += ["3条评论", "阅读 12", "terms of use", "\n\n"]
texts = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=40).map("".join))


def rows(documents: list[str | None]) -> list[dict[str, object]]:
    features = line_features(pa.array(documents, pa.string()))
    columns = {item.name: getattr(features, item.name).tolist() for item in dataclasses.fields(LineFeatures)}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def line(text: str) -> dict[str, object]:
    (found,) = rows([text])
    return found


@settings(max_examples=200, deadline=None)
@given(st.lists(texts, max_size=4))
def test_lines_are_what_their_plain_twin_says(documents: list[str]) -> None:
    plain = [{"document": number, **found} for number, text in enumerate(documents) for found in lines_plainly(text)]

    assert rows([*documents]) == plain


def test_borders_are_bytes_of_the_text_without_the_space_around_lines() -> None:
    found = rows([None, "", " \n　\n", "首页\n\n　第二行 \n"])

    assert [(row["document"], row["start"], row["end"]) for row in found] == [(3, 0, 6), (3, 11, 20)]
    assert "首页\n\n　第二行 \n".encode()[11:20].decode() == "第二行"


@pytest.mark.parametrize(
    ("text", "narrow", "wide"),
    [
        ("It ends.", True, True),
        ("It ends...", False, False),
        ('He said "so"', True, True),
        ("It's the dogs'", True, True),
        ("No end", False, False),
        ("It ends. ", True, True),
        ("结束了。", False, True),
        ("结束了……", False, True),
        ("他说：“好”", False, True),
        ("他说：「好」", False, True),
        ("一，", False, False),
        ("一；", False, False),
    ],
)
def test_knows_how_lines_end(text: str, narrow: bool, wide: bool) -> None:
    assert (line(text)["ends_terminal_ascii"], line(text)["ends_terminal"]) == (narrow, wide)


@pytest.mark.parametrize(
    "text",
    ["3 likes", "1,204 Comments", "· 1.2K views ·", "12条评论", "阅读(3.2万)", "1 share", "评论数：3", "5 萬次瀏覽"],
)
def test_knows_counters(text: str) -> None:
    assert is_counter(text)
    assert line(text)["counter"]


@pytest.mark.parametrize("text", ["likes", "I have 3 likes", "3 likes today", "12条评论说他不对", "2021年", "3"])
def test_knows_what_is_no_counter(text: str) -> None:
    assert not line(text)["counter"]


def test_features_by_hand() -> None:
    found = line("ABC Def 12 {x} JAVASCRIPTS and our Cookie Policy")

    # 48 characters: 3 + 1 + 11 + 2 capitals, 2 digits; 9 words between spaces.
    assert (found["characters"], found["words"], found["one_word"]) == (48, 9, False)
    assert found["uppercase_ratio"] == pytest.approx(17 / 48)
    assert found["digit_ratio"] == pytest.approx(2 / 48)
    assert (found["has_javascript"], found["has_policy"], found["has_curly"]) == (True, True, True)


def test_reads_slices_and_null() -> None:
    texts = pa.array(["left out", None, "a b\nc"], pa.large_string()).slice(1)

    features = line_features(texts)

    assert (features.document.tolist(), features.words.tolist()) == ([1, 1], [2, 1])
    assert len(line_features(pa.array([], pa.string())).document) == 0
