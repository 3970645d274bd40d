"""What the step knows of characters and words, and its rules: `rules.yaml` as frozen values.

Sizes are in bytes of UTF-8: a Latin letter is 1, a Han character 3, and texts that say the same measure the same
(English has 3.0 characters for one of Chinese in Tatoeba's pairs, see `stages/language/pieces.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from datapipe.errors import ConfigError

FORMATS = ("prose", "code", "table", "list", "dialogue", "qa", "poetry", "navigation")
FILE = Path(__file__).with_name("rules.yaml")
PLANE = 0x10000  # characters beyond are OTHER


class Class(IntEnum):
    """What a character is to a line. ASCII has its own classes, in lanes of 8 bits of one word (`lanes`)."""

    LETTER = 0
    HAN = 1  # also kana and Hangul
    MODERN = 2  # a function word of modern Chinese
    LITERARY = 3  # a function word of classical Chinese, or what its verse is about
    COMMA = 4
    STOP = 5
    OPEN = 6
    CLOSE = 7
    SPACE = 8
    BORDER = 9
    BULLET = 10
    DASH = 11
    OTHER = 12


class Lane(IntEnum):
    """Counts of ASCII characters of a line, eight bits each in one word: which lanes a character adds 1 to."""

    LOWER = 0
    UPPER = 1
    DIGIT = 2
    SPACE = 3
    SYMBOL = 4
    MARK = 5
    COLON = 6
    BORDER = 7


LANES = {
    Lane.LOWER: "abcdefghijklmnopqrstuvwxyz",
    Lane.UPPER: "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    Lane.DIGIT: "0123456789",
    Lane.SPACE: " \t\r",
    Lane.SYMBOL: "{}[]<>=;_\\$&@^`~+%",
    Lane.MARK: ",;:.!?",
    Lane.COLON: ":",
    Lane.BORDER: "|\t",
}
_CLASSES = {
    Class.MODERN: "的了们們这這那吗嗎呢吧啊很你您她它哪么麼给給",
    Class.LITERARY: "之其者於乃若何兮曰矣焉哉吾余尔爾此彼莫既亦犹猶须須谁誰君岂豈风風花月春秋夜雨云雲江山愁泪淚酒"
    "梦夢归歸烟煙寒柳楼樓雪霜落叶葉鸟鳥舟灯燈孤寂暮残殘晓曉斜阳陽故乡鄉悠恨思怜憐飞飛啼",
    Class.COMMA: "，、；：",
    Class.STOP: "。！？…．｡",
    Class.OPEN: "“「『‘",
    Class.CLOSE: "”」』’）】》",
    Class.SPACE: "\u3000\u00a0\u2002\u2003\u2009",
    Class.BORDER: "｜",
    Class.BULLET: "•●■◆○□◇▪‣◦※★☆▶►➤✓✔",
    Class.DASH: "—–―",
    Class.OTHER: "（【《〈·©®™°",
}


class Limit(IntEnum):
    """Numbers of the rules that lines are looked at by, in the order of the array."""

    MENU = 0
    VERSE = 1
    LABEL = 2
    SYMBOLS = 3
    FEW_SYMBOLS = 4
    MANY_SYMBOLS = 5
    INDENT = 6


@dataclass(frozen=True)
class Rule:
    """A format, the feature that is its score, and the limits (feature, least, most) that must all hold."""

    id: str
    format: str
    score: str
    limits: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True)
class Rules:
    """`rules.yaml`: `limits` int64[Limit], `keywords` uint64[256] (a hash table), words by hash, and the decisions."""

    limits: npt.NDArray[np.int64]
    keywords: npt.NDArray[np.uint64]
    asks: npt.NDArray[np.uint64]
    replies: npt.NDArray[np.uint64]
    words: Mapping[str, frozenset[str]]
    decisions: tuple[Rule, ...]


@functools.cache
def lanes() -> npt.NDArray[np.uint64]:
    """Returns what each ASCII character adds: uint64[128]."""
    table = [0] * 128
    for lane, characters in LANES.items():
        for character in characters:
            table[ord(character)] += 1 << 8 * lane
    return np.array(table, np.uint64)


@functools.cache
def classes() -> npt.NDArray[np.uint8]:
    """Returns the `Class` of each character below `PLANE`: uint8[PLANE]."""
    table = np.full(PLANE, Class.LETTER, np.uint8)
    table[0x2E80:0xA4D0] = table[0xAC00:0xD7B0] = table[0xF900:0xFB00] = Class.HAN
    table[0x2000:0x2070] = table[0x2190:0x2500] = table[0x2580:0x2E80] = table[0x3008:0x3021] = Class.OTHER
    table[0xFE00:0xFF00] = table[0xE000:0xF900] = Class.OTHER
    table[0x2500:0x2580] = Class.BORDER
    table[0x2460:0x2474] = Class.BULLET  # ① to ⑳
    for kind, characters in _CLASSES.items():
        table[[ord(character) for character in characters]] = kind
    return table


def class_of(character: str) -> Class:
    """Returns the class of a character beyond ASCII."""
    return Class(int(classes()[ord(character)])) if ord(character) < PLANE else Class.OTHER


def hash_of(word: str) -> int:
    """Returns the FNV-1a hash of the code points of a word, 64 bits; never 0."""
    state = 0xCBF29CE484222325
    for character in word:
        state = (state ^ ord(character)) * 0x100000001B3 % 2**64
    return state or 1


@functools.cache
def rules() -> Rules:
    """Returns the rules of the package. Raises ConfigError where they are not as `rules.yaml` says."""
    told = yaml.safe_load(FILE.read_text("utf-8"))
    words = {name: frozenset(str(told[name]["words"]).split()) for name in ("keywords", "asks", "replies")}
    keywords = np.zeros(256, np.uint64)
    for word in sorted(words["keywords"]):
        slot = hash_of(word) & 255
        while keywords[slot]:
            slot = (slot + 1) & 255
        keywords[slot] = hash_of(word)
    numbers = [told["lines"][limit.name.lower()]["value"] for limit in Limit]
    return Rules(
        np.array(numbers, np.int64),
        keywords,
        _hashes(words["asks"]),
        _hashes(words["replies"]),
        words,
        tuple(map(_rule, told["formats"])),
    )


def _hashes(words: frozenset[str]) -> npt.NDArray[np.uint64]:
    return np.array(sorted(map(hash_of, words)), np.uint64)


def _rule(told: Mapping[str, Any]) -> Rule:
    if told["format"] not in FORMATS:
        raise ConfigError(f"{FILE}: {told['id']}: '{told['format']}' is none of {', '.join(FORMATS)}")
    limits = [
        (feature, float(sides.get("min", -np.inf)), float(sides.get("max", np.inf)))
        for feature, sides in told["when"].items()
    ]
    return Rule(told["id"], told["format"], told["score"], tuple(limits))
