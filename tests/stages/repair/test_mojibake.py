from pathlib import Path

import numpy as np
import opencc
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.repair import mojibake
from stages.repair.mojibake import mend, suspects, suspects_plainly

CHINESE = (
    "这是一个关于长江的网页，它介绍了沿岸的城市和在那里生活的人们。我们的历史很长，他们不会忘记这些事情。",
    "春天来了，山上的雪开始融化，小河里的水也多了起来。孩子们在田野上放风筝，老人坐在门口晒太阳，说着去年的收成。",
    "本实验测量了三种材料在不同温度下的电阻。结果表明，温度越高，电阻越大；这与理论计算的值只有百分之二的差别。",
)
TRADITIONAL = tuple(opencc.OpenCC("s2tw").convert(text) for text in CHINESE)
WESTERN = (
    "Le café de l’Été était fermé ; « où aller ? » demanda‑t‑elle à sa sœur.",
    "Über die Brücke läuft täglich ein großer Mann – „schöne Grüße!“",
    "El niño comió piñas mañana por la mañana… ¿y tú?",
)
LOSSY = "mojibake_lossy_document"


def as_western(data: bytes) -> str:
    """Returns bytes as a browser shows them under the label iso-8859-1."""
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in data)


def through(text: str, written: str, read: str) -> str:
    return text.encode(written).decode(read, "replace")


@pytest.mark.parametrize("text", CHINESE + TRADITIONAL + WESTERN)
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("read", ["latin-1", "cp1252"])
def test_reads_utf_8_that_was_taken_for_latin_1_however_often(text: str, times: int, read: str) -> None:
    spoilt = text
    for _ in range(times):
        data = spoilt.encode()
        spoilt = data.decode("latin-1") if read == "latin-1" else as_western(data)

    made, counts = mend(spoilt)

    assert made == text
    assert set(counts) == {"mojibake_utf8_as_latin1"}
    assert suspects(pa.array([spoilt]))[0]


@pytest.mark.parametrize("text", CHINESE)
def test_reads_gbk_that_was_taken_for_latin_1(text: str) -> None:
    for spoilt in (text.encode("gbk").decode("latin-1"), as_western(text.encode("gbk"))):
        assert mend(spoilt) == (text, {"mojibake_gbk_as_latin1": 1})
        assert suspects(pa.array([spoilt]))[0]


@pytest.mark.parametrize("text", TRADITIONAL)
def test_reads_big5_that_was_taken_for_gbk_where_no_byte_is_lost(text: str) -> None:
    spoilt = text.encode("big5").decode("gb18030", "replace")

    made, counts = mend(spoilt)

    assert (made, counts) == (("", {LOSSY: 1}) if "\ufffd" in spoilt else (text, {"mojibake_big5_as_gbk": 1}))
    assert suspects(pa.array([spoilt]))[0]


def test_reads_utf_8_that_was_taken_for_gbk_where_no_byte_is_lost() -> None:
    even = "我们的历史很长，他们不会忘记这些事情吧！"  # an even number of characters of three bytes
    spoilt = even.encode().decode("gb18030")

    assert mend(spoilt) == (even, {"mojibake_utf8_as_gbk": 1})
    assert suspects(pa.array([spoilt]))[0]


@pytest.mark.parametrize("text", CHINESE)
@pytest.mark.parametrize(
    ("written", "read"), [("utf-8", "gbk"), ("gbk", "utf-8"), ("big5hkscs", "gbk"), ("gbk", "utf-8 gbk")]
)
def test_drops_the_paragraph_that_lost_bytes_and_no_other(text: str, written: str, read: str) -> None:
    damaged = TRADITIONAL[CHINESE.index(text)] if written == "big5hkscs" else text
    for charset in read.split():
        damaged = through(damaged, written, charset)
        written = "utf-8"
    if "\ufffd" not in damaged:
        damaged += "\ufffd"
    clean = [other for other in CHINESE if other != text]

    made, counts = mend("\n".join([clean[0] * 5, damaged, clean[1]]))

    assert made == f"{clean[0] * 5}\n{clean[1]}"
    assert sum(counts.values()) == 1
    assert mend(damaged) == ("", {LOSSY: 1})
    assert suspects(pa.array([damaged]))[0]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("锟斤拷锟斤拷，谢谢", "mojibake_stamp_paragraph"),
        ("调试时看到烫烫烫烫", "mojibake_stamp_paragraph"),
        ("屯屯屯屯", "mojibake_stamp_paragraph"),
        ("他�来了", "mojibake_replaced_paragraph"),
        ("\ue003\ue004好", "mojibake_private_paragraph"),
        ("□□□■", "mojibake_box_paragraph"),
    ],
)
def test_drops_lines_of_what_stands_for_lost_text(line: str, rule: str) -> None:
    assert mend(f"{CHINESE[0]}\n{line}\n{CHINESE[1]}") == (f"{CHINESE[0]}\n{CHINESE[1]}", {rule: 1})
    assert suspects(pa.array([line]))[0]


def test_drops_sentences_in_which_question_marks_stand_for_a_lost_byte() -> None:
    text = "可能??赡苄不大。这句是好的！还有??一句坏的？最后??的一句。完。"

    assert mend(text) == ("这句是好的！完。", {"mojibake_lost_byte_sentence": 3})
    assert suspects(pa.array([text]))[0]


def test_keeps_question_marks_that_ask() -> None:
    assert mend("真的??我不信。为什么?? 因为。") == ("真的??我不信。为什么?? 因为。", {})


def test_keeps_question_marks_before_words_that_anybody_writes() -> None:
    text = "你怎么才来??因为下雨了吗??我们等了很久??大家都饿了。"

    assert suspects(pa.array([text]))[0]
    assert mend(text) == (text, {})


def test_characters_of_private_use_leave_the_end_of_a_sentence_that_stays() -> None:
    assert mend("前一段文字。\n用。\ue168\ue16e\ue174\n后一段。") == (
        "前一段文字。\n用。\n后一段。",
        {"mojibake_private_end": 1},
    )


def test_a_sentence_goes_with_its_line_that_lost_bytes_where_lines_are_wrapped() -> None:
    text = (
        "It was mild.\nThe old mill at the\nedge of the caf\ufffd was\nclosed. Nobody came.\nHe left.\n"
        + 9 * "It rained.\n"
    )

    made, counts = mend(text)

    assert made == "It was mild.\nHe left.\n" + 9 * "It rained.\n"
    assert counts == {"mojibake_replaced_paragraph": 1}


@pytest.mark.parametrize(
    "shown",
    [
        "The replacement character `U+FFFD` \ufffd stands for what is no valid UTF-8 data when it is decoded.",
        "// 'latin1' prints: this is a tÃ©st; UTF-8 read with another charset",
        "用 GBK 编码读取 UTF-8 文件，就会看到锟斤拷这样的乱码。",
    ],
)
def test_what_a_text_about_charsets_shows_stays(shown: str) -> None:
    text = "\n".join([*CHINESE, "字符集与编码", shown, *WESTERN])

    assert suspects(pa.array([text]))[0]
    assert mend(text) == (text, {})


def test_a_text_about_charsets_that_is_itself_damaged_is_mended() -> None:
    text = "\n".join(["编码和字符集的历史：从 GBK 到 UTF-8 的乱码问题。", *CHINESE])

    assert mend(text.encode().decode("latin-1")).text == text


def test_takes_away_a_character_that_the_crawler_cut() -> None:
    assert mend(CHINESE[0] + "\ufffd") == (CHINESE[0], {"mojibake_cut_character": 1})


@pytest.mark.parametrize(
    "text",
    [
        *CHINESE,
        *TRADITIONAL,
        *WESTERN,
        "Das Wort „Fluß“ und »CAFÉ»… SÖ“ À»",
        "Le mot «\xa0café\xa0», l’Été\xa0: É… Ô\xa0!",
        "IRMÃ” MANHÃ… NÃO Ã",
        "Âncora, Ångström, Ärger“, Å» Ä”",
        "Đây là tiếng Việt: ĐÂ… à á» ế",
        "烫手的汤，屯田制度。□ 是 □ 否 ■ 标题",
        "□□□□□，□□□春风不度玉门关。",
        "碱金属：锂钠钾铷铯钫；稀土：镧铈镨钕钷钐铕钆铽镝钬铒铥镱镥。",
        "東京の気温は高く、電車が遅れています。α線とβ線。",
        "彼は来るかもしれない。",
        "残念だが、遅れたバスはまだ来ない。",
        "[東京] 六本木駅 379m / ステーキ、ハンバーガー",
        "联通 浣熊 涓涓细流 鍊金術 鐵路 銀行 閱讀 錢 鎖",
        "\uf015 首页 \uf0e0 联系",
        "",
    ],
)
def test_leaves_clean_text_alone(text: str) -> None:
    assert mend(text) == (text, {})


@given(
    st.lists(st.text(alphabet=st.sampled_from("aé?Ãâ€™©»\xa0的鈥锛鍦いЖ鎮烫屯□锟\ufffd\ue004国한𠀀\n"), max_size=40))
)
def test_the_scan_does_what_its_twin_does(texts: list[str]) -> None:
    made = suspects(pa.array(texts, pa.string()))

    assert made.tolist() == [suspects_plainly(text) for text in texts]


@given(st.lists(st.text(alphabet=st.sampled_from("aé?Ãâ€™©»\xa0的鈥锛鍦いЖ鎮烫□锟\ufffd\ue004국"), max_size=20)))
def test_the_scan_of_lines_does_what_its_twin_does(lines: list[str]) -> None:
    made = mojibake._signs(lines)

    assert made == [suspects_plainly(line, mojibake.SIGN, mojibake.LINE_HIGH_RUN, 1) for line in lines]


@given(st.lists(st.text(max_size=40) | st.none()))
def test_the_scan_reads_any_text_in_any_slice(texts: list[str | None]) -> None:
    made = suspects(pa.array(["锟", *texts], pa.large_string())[1:])

    assert made.tolist() == [suspects_plainly(text or "") for text in texts]


@given(st.text(max_size=200))
def test_mending_twice_is_mending_once(text: str) -> None:
    once = mend(text).text

    assert mend(once).text == once


def test_reads_a_very_long_line_in_bounded_time() -> None:
    line = "Ã" * 500_000 + "©" + "鍦" * 200_000 + "é»" * 200_000

    assert isinstance(mend(line).text, str)


def test_changes_no_line_of_clean_corpora(shared: Path) -> None:
    for name in ("zho", "cmn", "yue", "fra", "spa", "deu", "jpn"):
        for file in sorted((shared / "data/language/laser-tatoeba/v1").glob(f"*.{name}")):
            lines = file.read_text("utf-8").splitlines()

            changed = [lines[row] for row in np.flatnonzero(suspects(pa.array(lines))) if mend(lines[row]).counts]

            assert changed == []
