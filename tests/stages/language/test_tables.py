import opencc
import pytest

from stages.language.tables import CANTONESE, HAN, ONLY_HANS, ONLY_HANT, SCRIPT_BITS, SCRIPTS, tables

SCRIPT_OF = (
    "A:Latn Ａ:Latn é:Latn 漢:Hani 〇:Hani 々:Hani 𠮷:Hani ー:Kana ｶ:Kana ㄅ:Bopo 한:Hang Ж:Cyrl "
    "ا:Arab ้:Thai ि:Deva Ω:Grek 1:Zyyy 。:Zyyy \u200d:Zinh 😀:Zyyy"
)


@pytest.mark.parametrize(("character", "script"), [pair.split(":") for pair in SCRIPT_OF.split()])
def test_tells_the_script_of_a_character(character: str, script: str) -> None:
    assert SCRIPTS[tables().kinds[ord(character)] & SCRIPT_BITS] == script


def test_simplifies_as_opencc_does() -> None:
    convert = opencc.OpenCC("t2s").convert
    changed = "體國學說門風飛龜後發髮裏裡麵"

    assert "".join(chr(tables().simple[ord(one)]) for one in changed) == "".join(map(convert, changed))


def test_characters_of_both_standards_decide_nothing() -> None:
    assert not any(tables().kinds[ord(one)] & (ONLY_HANS | ONLY_HANT) for one in "后里台干面云松的一是")


def test_characters_of_one_standard_decide() -> None:
    assert all(tables().kinds[ord(one)] & ONLY_HANS for one in "国学说门风飞龟发")
    assert all(tables().kinds[ord(one)] & ONLY_HANT for one in "國學說門風飛龜發")
    assert all(tables().kinds[ord(one)] & CANTONESE for one in "嘅咗喺啲冇嚟佢哋")
    assert tables().kinds[ord("一")] == HAN


def test_lower_case_keeps_the_script() -> None:
    lower, kinds = tables().lower, tables().kinds & SCRIPT_BITS

    assert (kinds[lower] == kinds).all()
