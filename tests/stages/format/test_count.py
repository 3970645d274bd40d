import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stages.format import plain
from stages.format.count import COUNTS, Count, count
from stages.format.kinds import Kind
from stages.format.scan import READ

PARTS = st.sampled_from(
    [
        "\n", "\n\n", " ", "  ", "\t", "\u3000", "\r\n", "|", " | ", "```", "~~~\n", "问：", "答：", "【答案】",
        "Q: ", "A: ", "甲：", "Name:", "First Citizen:\n", "A. ", "B．", "(C) ", "D、", "1. ", "(2) ", "（三）",
        "四、", "10.5", "- ", "* ", "• ", "①", "“", "—", '"', "def f(x):\n", "    return x\n", "if (a) {\n", "}\n",
        "x = y[0];", "foo();", "// c\n", ">>> a", "<p>", "</p>\n", "$ ls", "床前明月光，", "疑是地上霜。", "的了",
        "汉字", "the words of a line, ", "Home\n", "About Us\n", "（5分）", "( 10 分 )", "。", "！", ".", "?", ":",
        "：", "é", "🙂", "┌─┐", "{", "}", ");", "):", "分",
    ]
)  # fmt: skip
TEXTS = st.one_of(st.text(), st.lists(PARTS, max_size=25).map("".join))


@given(st.lists(TEXTS, max_size=3))
@example(["a" * 254 + "的。" * 3, "汉" * 200, " " * 300 + "x", "a" * 255 + "\nb", "a" * 300])
@example(["汉" * 85 + "，的。b\n" + "é" * 128 + "的"])
def test_kernel_counts_as_the_plain_twin(texts: list[str]) -> None:
    assert count(pa.array(texts, pa.string())).tolist() == [plain.count(text) for text in texts]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("def area(self, width):", Kind.CODE),
        ("    for (int i = 0; i < n; i++) {", Kind.CODE),
        ("server.listen(8080);", Kind.CODE),
        ("<div class='menu'><a href='/'></a></div>", Kind.CODE),
        (">>> area(2, 3)", Kind.CODE),
        ("| 名称 | 数量 |", Kind.ROW),
        ("A. a cat", Kind.CHOICE),
        ("B．一只猫", Kind.CHOICE),
        ("(C) a dog", Kind.CHOICE),
        ("A.B. Smith wrote this.", Kind.VERSE),
        ("问：怎样安装？", Kind.ASK),
        ("Question 3: How is it done?", Kind.ASK),
        ("【题目】求面积", Kind.ASK),
        ("ROMEO:", Kind.TURN),
        ("小明：你好", Kind.TURN),
        ("12:30", Kind.VERSE),
        ("http://example.org/", Kind.VERSE),
        ("- milk", Kind.ITEM),
        ("3. Mix well.", Kind.ITEM),
        ("3.5 litres", Kind.VERSE),
        ("（二）申请人的姓名", Kind.ITEM),
        ("二、申请", Kind.ITEM),
        ("第二条 申请人", Kind.MENU),
        ("“你来了。”他说", Kind.QUOTE),
        ("— Yes, she said", Kind.QUOTE),
        ("Home | Blog | About", Kind.BAR),
        ("About us", Kind.MENU),
        ("联系我们", Kind.MENU),
        ("举头望明月，低头思故乡。", Kind.VERSE),
        ("if you want to know what it says, you have to read it", Kind.VERSE),
        ("for the purposes of reading and writing (and more);", Kind.VERSE),
        ("word " * 20, Kind.TEXT),
    ],
)
def test_a_line_has_the_kind_that_its_looks_say(line: str, kind: Kind) -> None:
    row = count(pa.array([line]))[0]

    assert [Kind(place) for place in range(len(Kind)) if row[place]] == [kind]


def test_indented_lines_below_code_are_code_over_blank_lines() -> None:
    row = count(pa.array(["def f(a, b):\n    the larger\n\n    of both\nand prose again\n    indented"]))[0]

    assert (row[Kind.CODE], row[Kind.MENU]) == (3, 2)


def test_the_first_row_of_a_table_is_a_row_once_the_second_is_met() -> None:
    row = count(pa.array(["name\tage\nLi\t30\nWang\t40\n\nEnd\tnot"]))[0]

    assert (row[Kind.ROW], row[Kind.MENU]) == (3, 1)


def test_an_answer_is_one_only_where_something_was_asked() -> None:
    row = count(pa.array(["A: Hello.\nQ: Who?\nA: Me."]))[0]

    assert [row[Kind.TURN], row[Kind.ASK], row[Kind.REPLY]] == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "clauses", "sentences", "even", "fours"),
    [
        ("床前明月光，疑是地上霜。", 2, 1, 5, 0),
        ("床前明月光，疑是地上霜", 2, 1, 5, 0),  # the end of a line that has a mark ends a sentence
        ("床前明月光\n疑是地上霜", 2, 0, 0, 0),
        ("跑步鞋批发 跑步鞋厂家 跑步鞋价格", 3, 0, 0, 0),
        ("北京的律师、上海的律师、广州的律师。", 3, 1, 0, 0),
        ("关关雎鸠，在河之洲。窈窕淑女，君子好逑。", 4, 2, 0, 12),
        ("一二三四五六七八九，一二三四五六七八九。", 2, 1, 0, 0),
    ],
)
def test_clauses_are_even_between_marks_not_between_names(
    text: str, clauses: int, sentences: int, even: int, fours: int
) -> None:
    row = count(pa.array([text]))[0]

    assert row[[Count.CLAUSES, Count.SENTENCES, Count.EVEN, Count.FOURS]].tolist() == [clauses, sentences, even, fours]


def test_what_lies_behind_the_bytes_looked_at_counts_for_its_size_alone() -> None:
    row = count(pa.array(["汉" * 200]))[0]

    assert (row[Kind.TEXT + len(Kind)], row[Count.HAN]) == (600, -(-READ // 3))


def test_nulls_and_empty_texts_count_nothing_and_slices_are_as_wholes() -> None:
    texts = pa.array(["one", None, "", "two\nlines"])

    assert count(texts)[1:3].tolist() == [[0] * COUNTS] * 2
    assert count(texts.slice(3)).tolist() == count(texts)[3:].tolist()
