"""The screen agrees with its plain twin, and marks all that a rule would change."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.repair import plain, screen
from stages.repair.recurring import paragraphs
from stages.repair.rules import load
from tests.stages.repair.samples import CLEAN, RIVER, TEA

RULES = load()
PIECES = [
    *("。", "\n", "\n\n", " ", "! ", ". ", ".", "<", "<b>", "</p>", "&", "&amp;", "&#39;", "[", "[/b]", "[2020/1/2]"),
    *("(hàn)", "（zi4）", "汉", "汉(", "1", "ä", "é", "😀", "\U00020000", "\0", "責", "责", "會", "会", "x" * 30),
    *(
        "责任编辑",
        "上一篇：",
        "来源：",
        "Share This",
        "ALL RIGHTS RESERVED",
        "娱乐城",
        "百家乐",
        "投注",
        "隻是",
        "製度",
    ),
    *(sentence + "。" for sentence in TEA.replace("\n", "").split("。")[:4]),
    *(RIVER.split("\n")[:3]),
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=60).map("".join))
def test_marks_are_those_of_the_plain_twin(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()

    assert screen.screen(pa.array(["", text]), RULES).tolist() == [0, plain.marks(text, RULES)]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=40).map("".join))
def test_paragraphs_are_those_of_the_plain_twin(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    found = paragraphs(pa.array(["", text, text]))
    expected = plain.paragraphs(text)

    assert found.letters.tolist() == 2 * list(map(len, expected))
    assert found.rank.tolist() == 2 * list(range(len(expected)))
    keys = found.key[: len(expected)].tolist()
    assert keys == found.key[len(expected) :].tolist()
    assert [keys.index(key) for key in keys] == [expected.index(piece) for piece in expected]


@pytest.mark.parametrize("name", CLEAN)
def test_clean_samples_have_the_marks_of_the_plain_twin(name: str) -> None:
    text = "".join(30 * [CLEAN[name]])

    assert screen.screen(pa.array([text]), RULES)[0] == plain.marks(text, RULES)


def test_a_line_in_the_middle_of_a_long_text_is_neither_head_nor_tail() -> None:
    lines = [f"第{number}行，没有什么特别的内容。" for number in range(40)]
    lines[20] = "责任编辑：王某"

    assert screen.screen(pa.array(["\n".join(lines)]), RULES)[0] == 0


def test_null_and_slices_are_read_as_they_stand() -> None:
    texts = pa.array(["<b>x</b>", None, "plain", "<b>y</b>"]).slice(1)

    assert screen.screen(texts, RULES).tolist() == [0, 0, screen.MARKUP]


def test_a_rule_that_is_disabled_marks_nothing() -> None:
    text = pa.array(["正文。\n责任编辑：王某"])

    assert screen.screen(text, load(disable=["tail_boilerplate"]))[0] == 0
    assert screen.screen(text, RULES)[0] == screen.TAIL
