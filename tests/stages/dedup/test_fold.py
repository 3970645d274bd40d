import json
import lzma
import unicodedata
from importlib.metadata import version
from pathlib import Path

import opencc
import pytest

from stages.dedup.fold import CODE_BITS, CODE_POINTS, PATH, SEPARATOR, WORD, FoldTable, tokens
from stages.dedup.make_fold_table import folded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Hello, World!", ["hello", "world"]),
        ("ＡＢＣ１２３", ["abc123"]),
        ("軟體，開發。", ["软", "体", "开", "发"]),
        ("用 Python3 寫", ["用", "python3", "写"]),
        ("用Python3写", ["用", "python3", "写"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("ΟΔΟΣ οδος", ["οδοσ", "οδοσ"]),
        ("½ ㎏ ㍿", ["1", "2", "kg", "株", "式", "会", "社"]),
        ("soft\u00adhyphen zero\u200bwidth", ["softhyphen", "zerowidth"]),
        ("नमस्ते", ["नमस्ते"]),
        ("ไทย", ["ไ", "ท", "ย"]),
        ("カタカナ ひらがな", [*"カタカナひらがな"]),
        ("한국어 문서", ["한국어", "문서"]),
        ("👍🏽 ☺️ … \U0010ffff", []),
        ("\u0301", []),
    ],
)
def test_folds_to_tokens(text: str, expected: list[str], fold: FoldTable) -> None:
    assert tokens(text, fold) == expected


def test_makes_traditional_and_simplified_one(fold: FoldTable) -> None:
    simplified = "计算机软件在网络里面运行，看着乾隆皇帝的头发"
    traditional = opencc.OpenCC("s2t").convert(simplified)

    assert traditional != simplified
    assert tokens(traditional, fold) == tokens(simplified, fold)


def test_folds_twice_as_once(fold: FoldTable) -> None:
    for code in range(CODE_POINTS):
        once = tokens(chr(code), fold)

        assert [token for part in once for token in tokens(part, fold)] == once


def test_knows_ascii_as_letters_and_separators_only(fold: FoldTable) -> None:
    kinds = {int(entry) >> CODE_BITS for entry in fold.table[:128]}

    assert kinds == {WORD, SEPARATOR}


def test_is_what_the_libraries_of_its_header_make(fold: FoldTable) -> None:
    header = json.loads(lzma.decompress(Path(PATH).read_bytes()).partition(b"\n")[0])
    if (header["unicode"], header["opencc"]) != (unicodedata.unidata_version, version("opencc")):
        pytest.skip(f"the frozen table is of other versions: {header}")
    simplified = opencc.OpenCC("t2s")

    for code in range(0, CODE_POINTS, 7):
        assert "".join(tokens(chr(code), fold)) == "".join(tokens(folded(chr(code), simplified), fold))
