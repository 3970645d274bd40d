"""Training against its twins: the splitters and the trainer of `tokenizers`."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from stages.tokens.freeze import ask
from stages.tokens.learn import learn
from stages.tokens.splits import Digits, encoding_splits, training_splits
from stages.tokens.words import count_words, kinds, word_end

EOS = "<|endoftext|>"
# Letters, marks and blanks of each kind, and what is in two: 〇 and 〡 are Han and numbers, ⺀ and ㋐ Han and signs.
LETTERS = "aZé\u0301ก中㐀𠀀あー〇〡⺀㋐19½Ⅷ１ ,.'<(，。《“😀\t\n\r\u3000\u00a0\u0085\u200d\x00"
MOST = "ab 中文，1\n"


def twin(texts: list[str], vocab_size: int, special: list[str], digits: Digits = 3) -> bytes:
    """Returns what the library's trainer makes of texts, cut as ours are."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = training_splits(digits)
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    made.pre_tokenizer = encoding_splits()
    return str(made.to_str()).encode()


def words(text: str, digits: int) -> list[str]:
    data = np.frombuffer(text.encode(), np.uint8)
    found, at = [], 0
    while at < len(data):
        end = word_end(data, at, len(data), kinds(), digits)
        found.append(bytes(data[at:end]).decode())
        at = end
    return found


def plain_words(text: str, digits: Digits) -> list[str]:
    made = training_splits(digits)
    return [text[start:end] for _, (start, end) in made.pre_tokenize_str(text)]


@given(st.text(st.one_of(st.sampled_from(LETTERS), st.characters(exclude_categories=("Cs",)))))
def test_words_are_those_of_the_splitters(text: str) -> None:
    for digits in (1, 3):
        assert words(text, digits) == plain_words(text, digits)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("二〇〇八年5月12日", ["二", "〇〇", "八年", "5", "月", "12", "日"]),
        ("使用Linux，但是。", ["使用", "Linux", "，", "但是", "。"]),
        ("  x = foo.bar(12345)\n\n    y", [" ", " x", " =", " foo", ".bar", "(", "123", "45", ")\n\n", "   ", " y"]),
        ("a  中", ["a", "  ", "中"]),
    ],
)
def test_words_of_texts_one_knows(text: str, found: list[str]) -> None:
    assert words(text, 3) == found


@given(st.lists(st.text(alphabet=MOST, max_size=60), max_size=8))
def test_words_are_counted(texts: list[str]) -> None:
    parts = [text.encode() for text in texts]
    data = np.frombuffer(b"".join(parts), np.uint8)
    starts, sizes, counts = count_words(data, np.cumsum([len(part) for part in parts], dtype=np.int64), kinds(), 3)

    found = {
        bytes(data[start : start + size]).decode(): count
        for start, size, count in zip(starts, sizes, counts.tolist(), strict=True)
    }
    expected: dict[str, int] = {}
    for text in texts:
        for word in words(text, 3):
            expected[word] = expected.get(word, 0) + 1
    assert found == expected


def test_many_words_are_counted() -> None:
    text = " ".join(f"w{chr(97 + number % 26)}{chr(0x4E00 + number)}x" for number in range(9000))
    data = np.frombuffer(text.encode(), np.uint8)
    _, _, counts = count_words(data, np.array([len(data)]), kinds(), 3)

    assert len(counts) == len(set(words(text, 3)))
    assert counts.sum() == len(words(text, 3))


@settings(max_examples=40)
@given(
    st.lists(st.text(alphabet=MOST, max_size=80), max_size=6),
    st.integers(258, 330),
    st.sampled_from([[EOS], [EOS, "ab"], [EOS, "a"]]),
    st.sampled_from([1, 3]),
)
def test_a_tokenizer_is_that_of_the_library_to_the_byte(
    texts: list[str], vocab_size: int, special: list[str], digits: Digits
) -> None:
    assert learn(texts, vocab_size, special, digits=digits) == twin(texts, vocab_size, special, digits)


def test_a_tokenizer_of_real_text_is_that_of_the_library(shared: Path) -> None:
    text = (shared / "data/corpora/gutenberg/1342-0.txt").read_text("utf-8")
    poems = (shared / "data/tokenizers/sentencepiece/data/wagahaiwa_nekodearu.txt").read_text("utf-8")
    texts = [text[:300_000], poems[:100_000]]

    assert learn(texts, 6000, [EOS]) == twin(texts, 6000, [EOS])


def test_kinds_of_characters_are_those_of_the_library() -> None:
    points = [*range(0x3400), *range(0x3400, 0xD800, 61), *range(0xE000, 0x110000, 61)]

    assert np.array_equal(ask(points), kinds()[points])
