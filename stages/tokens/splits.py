"""Where a tokenizer of ours may not merge: the borders of Han, Latin, digits, marks and white space.

Text is encoded by the three splitters of DeepSeek-V3's tokenizer.json: digits in threes, runs of Han and kana, and then
words with the blank before them, runs of marks, line ends and indentation. Full-width marks belong to no word, so
`，但` is two tokens, and `的` is one wherever it stands.

Training cuts at least as finely: at rare Han too (Extension A onwards, 〇), which that file's range leaves out, and at
each digit where that is asked for. Merges that were never learnt are never made, so no token mixes what training kept
apart, whatever a text holds.

Chosen by measurement (tests/bench/bench_tokenizer.py): the splits of GPT-2 mix Han and Latin and cut indentation; those
of cl100k, Qwen and o200k spend 7 % of a bilingual vocabulary on Han words with a mark before them, for 2 % fewer tokens
on Chinese pages of another source (Qwen's: 0.5 %). Runs of Han cut at 2, 4 or 8 characters cost 8, 5 and 2 % more
tokens there. And gigatoken has a fast path for this splitter, as it has for no other that keeps Han apart.

Source: DeepSeek-V3, tokenizer.json (`pre_tokenizer`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tokenizers import Regex, pre_tokenizers
from tokenizers.pre_tokenizers import PreTokenizer

Digits = Literal[1, 3]
DIGITS = r"\p{N}{1,3}"
HAN = "[一-龥぀-ゟ゠-ヿ]+"
WORDS = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
    "|[^\r\n"
    r"\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+"
    "[\r\n]*"
    r"|\s*"
    "[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
ALL_HAN = r"[\p{Han}\p{Hiragana}\p{Katakana}ー]+"


def encoding_splits() -> PreTokenizer:
    """Returns what cuts text to pieces before merges are made."""
    return _splitter(DIGITS, HAN, WORDS)


def training_splits(digits: Digits) -> PreTokenizer:
    """Returns what cuts text to pieces before merges are counted; `digits` are merged up to 3, or not (1)."""
    return _splitter(ALL_HAN, DIGITS if digits == 3 else r"\p{N}", WORDS)


def _splitter(*patterns: str) -> PreTokenizer:
    splits: Sequence[PreTokenizer] = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    return pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
