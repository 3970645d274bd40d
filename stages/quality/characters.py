"""Kinds of characters: what one character is to the signals, as one small number.

Most kinds are Unicode classes, frozen in `characters.bin` (see `freeze.py`); a few characters have kinds of their own,
listed here. Kinds are ordered so that the tests of the kernels are comparisons: Han first, then the characters of
words.
"""

import functools
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FROZEN = Path(__file__).with_name("characters.bin")
RUN = np.dtype([("first", "<u4"), ("kind", "u1")])


class Kind(IntEnum):
    """What a character is; the numbers are kept nowhere but in `characters.bin`."""

    HAN = 0
    FUNCTION = 1  # Han, a function word
    SINGLE = 2  # letter of another script written without spaces: kana, Thai, Khmer, …
    LATIN = 3
    LETTER = 4  # letter of any other script
    DIGIT = 5
    NUMBER = 6  # ½, ①, Ⅷ
    MARK = 7  # combining or formatting: part of the word before it, nothing on its own
    SPACE = 8
    TAB = 9
    NEWLINE = 10
    JOINER = 11  # apostrophes: part of a word between two letters
    FULL_STOP = 12
    COMMA = 13
    DASH = 14
    PUNCTUATION = 15
    CLOSING = 16  # may end a line of prose, as what ends sentences may
    NARROW_END = 17  # ends a sentence, half-width
    WIDE_END = 18  # ends a sentence, full-width
    WIDE_CLOSING = 19
    WIDE = 20  # full-width punctuation
    ELLIPSIS = 21
    BULLET = 22
    STAR = 23
    HASH = 24
    PIPE = 25
    CODE = 26  # punctuation that source code is full of
    SYMBOL = 27
    OTHER = 28  # controls, private use, unassigned
    CURLY = 29  # curly brackets: punctuation of code too, and what C4 drops a page for


KINDS = len(Kind)

# Function words by hand, in both scripts: particles, pronouns, prepositions and auxiliaries that prose of any subject
# is full of, and that lists of keywords and wrongly decoded bytes hardly hold. The second line is classical Chinese.
FUNCTION_WORDS = (
    "的了是在和不有這这與与及或為为於于以等其也就而由被把对對从從到将將应應当當可所者个個都要会會能我你他她它们們得着著地过過"
    "之乎矣曰焉哉兮吾汝耶歟欤夫豈岂弗毋"
)

_OWN: dict[Kind, str] = {
    Kind.FUNCTION: FUNCTION_WORDS,
    Kind.TAB: "\t",
    Kind.JOINER: "'’",
    Kind.FULL_STOP: ".",
    Kind.COMMA: ",",
    Kind.DASH: "-",
    Kind.CLOSING: '":”',
    Kind.NARROW_END: "!?‽؟۔।॥።｡",
    Kind.WIDE_END: "。！？；．",
    Kind.WIDE_CLOSING: "：」』）",
    Kind.ELLIPSIS: "…",
    Kind.BULLET: "•‣◦▪●○■□◆◇",
    Kind.STAR: "*",
    Kind.HASH: "#",
    Kind.PIPE: "|",
    Kind.CODE: "[]<>=;\\&$@^`~_",
    Kind.CURLY: "{}",
}


@functools.lru_cache(maxsize=1)
def kinds() -> NDArray[np.uint8]:
    """Returns the kind of every code point, uint8[0x110000], read-only."""
    runs = np.frombuffer(FROZEN.read_bytes(), RUN)
    lengths = np.diff(np.append(runs["first"].astype(np.int64), 0x110000))
    table = np.repeat(runs["kind"], lengths)
    for kind, characters in _OWN.items():
        table[[ord(character) for character in characters]] = kind
    table.flags.writeable = False
    return table
