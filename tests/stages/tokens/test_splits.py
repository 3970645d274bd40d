"""Where tokens of ours end: Han, Latin, digits, marks and white space."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from stages.tokens.learn import learn

EOS = "<|endoftext|>"
# Pairs that merges would be made of if splits let them: more often than any other.
MIXED = [
    "使用Linux系统，使用Linux系统。" * 8,
    "第12章第12章 x86x86x86 v2v2v2 2024年2024年 二〇〇八年二〇〇八年" * 8,
    "㐀abc㐀abc 〇a〇a 𠀀b𠀀b" * 8,
    "，但是，但是。但是（但是）《但是》" * 8,
    "def f(x):\n    if x:\n        return 12345678\n" * 8,
    "the cat's hat, the cat's hat. " * 8,
]
CLASSES = {
    "han": r"[\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]",
    "latin": r"[A-Za-z]",
    "digit": r"[0-9]",
    "full-width mark": r"[，。、；：？！（）《》“”]",
}


def tokens(content: bytes) -> list[str]:
    made = Tokenizer.from_str(content.decode())
    return [made.decode([number], skip_special_tokens=False) for number in range(made.get_vocab_size())]


@pytest.fixture(scope="module")
def content() -> bytes:
    return learn(MIXED, 700, [EOS])


def test_no_token_mixes_han_latin_digits_and_full_width_marks(content: bytes) -> None:
    for token in tokens(content):
        found = {name for name, letters in CLASSES.items() if re.search(letters, token)}
        assert len(found) <= 1, token
    assert {"但是", "系统", "Linux", "Ġreturn".replace("Ġ", " "), "123", "   ", "〇〇"} <= set(tokens(content))


@given(st.lists(st.text(alphabet="㐀〇中文，。aZé1９ \n\u3000𠀀あー", max_size=30), min_size=1, max_size=6))
def test_no_token_of_any_texts_mixes_them(texts: list[str]) -> None:
    for token in tokens(learn(texts * 3, 300, [EOS])):
        assert sum(bool(re.search(letters, token)) for letters in CLASSES.values()) <= 1, token


def test_digits_are_merged_up_to_three_or_not(content: bytes) -> None:
    single = learn(MIXED, 700, [EOS], digits=1)

    assert max(len(token) for token in tokens(content) if token.isdigit()) == 3
    assert max(len(token) for token in tokens(single) if token.isdigit()) == 1
    assert Tokenizer.from_str(single.decode()).encode("12345").tokens == list("12345")


def test_indentation_is_one_token_and_blanks_go_with_words(content: bytes) -> None:
    found = Tokenizer.from_str(content.decode()).encode("        return the").tokens

    assert found == ["Ġ" * 7, "Ġreturn", "Ġthe"]


@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    made = Tokenizer.from_str(LEARNT.decode())

    assert made.decode(made.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text


LEARNT = learn(MIXED, 700, [EOS])


def test_the_order_of_the_texts_changes_nothing() -> None:
    assert learn(MIXED[::-1], 700, [EOS]) == learn(iter(MIXED), 700, [EOS])


@given(st.lists(st.text(max_size=40), min_size=1, max_size=8))
def test_gigatoken_gives_the_ids_of_tokenizers(texts: list[str]) -> None:
    gigatoken = pytest.importorskip("gigatoken")
    fast = gigatoken.Tokenizer.from_json(LEARNT)
    slow = Tokenizer.from_str(LEARNT.decode())
    slow.encode_special_tokens = True
    texts = [text.replace(EOS, "") for text in texts]

    expected = [one.ids for one in slow.encode_batch_fast(texts, add_special_tokens=False)]
    assert [list(ids) for ids in fast.encode_batch(texts, parallel=False).to_list()] == expected


def test_special_tokens_come_first_and_the_file_says_how_text_is_cut() -> None:
    data = json.loads(learn(MIXED, 300, [EOS, "<|reserved_0|>"]))

    assert data["model"]["vocab"][EOS] == 0
    assert data["model"]["vocab"]["<|reserved_0|>"] == 1
    assert [token["special"] for token in data["added_tokens"]] == [True, True]
    kinds = [part["type"] for part in data["pre_tokenizer"]["pretokenizers"]]
    assert kinds == ["Split", "Split", "Split", "ByteLevel"]
