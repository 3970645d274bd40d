"""Training: what its tokens may hold, and that the file encodes as training cut."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from stages.tokens.learn import learn
from stages.tokens.splits import Digits, training_splits

EOS = "<|endoftext|>"
MOST = "ab 中文，1\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("二〇〇八年5月12日", ["二", "〇〇", "八年", "5", "月", "12", "日"]),
        ("使用Linux，但是。", ["使用", "Linux", "，", "但是", "。"]),
        ("  x = foo.bar(12345)\n\n    y", [" ", " x", " =", " foo", ".bar", "(", "123", "45", ")\n\n", "   ", " y"]),
        ("a  中", ["a", "  ", "中"]),
    ],
)
def test_training_cuts_texts_one_knows(text: str, found: list[str]) -> None:
    made = training_splits(3)

    assert [text[start:end] for _, (start, end) in made.pre_tokenize_str(text)] == found


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(alphabet=MOST, max_size=80), max_size=6), st.integers(258, 330), st.sampled_from([1, 3]))
def test_a_file_makes_the_tokens_that_training_learnt(texts: list[str], vocab_size: int, digits: Digits) -> None:
    made = Tokenizer.from_str(learn(texts, vocab_size, [EOS], digits=digits).decode())
    cut = Tokenizer.from_str(made.to_str())
    cut.pre_tokenizer = training_splits(digits)

    for text in texts:
        assert made.encode(text, add_special_tokens=False).ids == cut.encode(text, add_special_tokens=False).ids


def test_texts_in_another_order_give_equal_bytes(shared: Path) -> None:
    text = (shared / "data/corpora/gutenberg/1342-0.txt").read_text("utf-8")[:60_000]
    poems = (shared / "data/tokenizers/sentencepiece/data/wagahaiwa_nekodearu.txt").read_text("utf-8")[:30_000]

    assert learn([text, poems], 2000, [EOS]) == learn([poems, text], 2000, [EOS])
