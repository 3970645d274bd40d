"""What each line of a text is like, for rules that remove lines.

A line is what stands between newlines without the space around it; blank lines are none. Words are what stands between
space, as in the recipes that these features are for. A counter is a line that says how many likes, comments, views, …
there are, and nothing else.

Source: Raffel et al. 2020, section 2.2, for how lines end and the phrases; Penedo et al. 2023, "The RefinedWeb Dataset
for Falcon LLM", G.2, for capitals, digits and counters.
"""

import re
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from stages.buffers import utf8
from stages.quality.characters import Kind, kinds
from stages.quality.decoding import Bytes, character
from stages.quality.lines import TERMINAL, TERMINAL_WIDE, ending, read_line, trim
from stages.quality.phrases import begins_phrase

_COUNTED = "like|share|comment|retweet|repost|quote|bookmark|upvote|downvote|download|view|follower"
_COUNTED_HAN = (
    "评论|評論|回复|回覆|点赞|點讚|赞|讚|浏览|瀏覽|阅读|閱讀|转发|轉發|分享|收藏|关注|關注|粉丝|粉絲|下载|下載|播放"
)
_AMOUNT = r"[0-9][0-9.,]*"
COUNTER = re.compile(
    rf"\W*{_AMOUNT}[kmb]?\s+(?:{_COUNTED})s?\W*"
    rf"|\W*{_AMOUNT}\s*[万萬亿億]?\+?\s*[条條个個次人位篇]?\s*(?:{_COUNTED_HAN})\W*"
    rf"|\W*(?:{_COUNTED_HAN})[数數量]?\W*{_AMOUNT}\s*[万萬亿億]?\+?\W*",
    re.IGNORECASE,
)
LONGEST_COUNTER = 40  # characters
_SPACE, _TAB = int(Kind.SPACE), int(Kind.TAB)
_NAMES = ("document", "start", "end", "words", "characters", "capitals", "digits", "curly", "phrases", "ends")


@dataclass(frozen=True)
class LineFeatures:
    """Arrays with an entry a line, in the order of the texts."""

    document: NDArray[np.int64]  # the row of its text
    start: NDArray[np.int64]  # byte of the text at which it begins, without the space before it
    end: NDArray[np.int64]
    words: NDArray[np.int64]
    characters: NDArray[np.int64]
    ends_terminal_ascii: NDArray[np.bool_]  # with . ! ? " ' and not with ...
    ends_terminal: NDArray[np.bool_]  # or with 。！？．…”’」』
    uppercase_ratio: NDArray[np.float64]  # A to Z among its characters
    digit_ratio: NDArray[np.float64]  # 0 to 9 among its characters
    has_javascript: NDArray[np.bool_]  # the word, in capitals or not, or in a word
    has_policy: NDArray[np.bool_]  # one of phrases.POLICIES, likewise
    has_curly: NDArray[np.bool_]
    counter: NDArray[np.bool_]
    one_word: NDArray[np.bool_]


FEATURES = tuple(item.name for item in fields(LineFeatures) if item.name not in ("document", "start", "end"))


def line_features(texts: pa.Array) -> LineFeatures:
    """Returns the features of all lines of the texts; null has none."""
    data, offsets = utf8(texts)
    newlines = int(np.count_nonzero(data[offsets[0] : offsets[-1]] == 10)) if len(texts) else 0
    found = np.empty((len(_NAMES), newlines + len(texts)), np.int64)
    lines = _read_lines(data, offsets, kinds(), found) if len(texts) else 0
    read = dict(zip(_NAMES, found[:, :lines], strict=True))
    return LineFeatures(
        document=read["document"],
        start=read["start"],
        end=read["end"],
        words=read["words"],
        characters=read["characters"],
        ends_terminal_ascii=read["ends"] & TERMINAL > 0,
        ends_terminal=read["ends"] & TERMINAL_WIDE > 0,
        uppercase_ratio=read["capitals"] / np.maximum(read["characters"], 1),
        digit_ratio=read["digits"] / np.maximum(read["characters"], 1),
        has_javascript=read["phrases"] & 1 > 0,
        has_policy=read["phrases"] & 2 > 0,
        has_curly=read["curly"] > 0,
        counter=_counters(data, offsets, read),
        one_word=read["words"] == 1,
    )


def is_counter(line: str) -> bool:
    """Returns whether the line is a counter.

    >>> is_counter("1,204 likes"), is_counter("阅读 3.2万"), is_counter("12 views of the harbour")
    (True, True, False)
    """
    return len(line) <= LONGEST_COUNTER and COUNTER.fullmatch(line) is not None


def _counters(data: Bytes, offsets: NDArray[np.int64], read: dict[str, NDArray[np.int64]]) -> NDArray[np.bool_]:
    counters = np.zeros(len(read["document"]), bool)
    for line in np.flatnonzero((read["digits"] > 0) & (read["characters"] <= LONGEST_COUNTER)):
        begin = offsets[read["document"][line]]
        counters[line] = is_counter(bytes(data[begin + read["start"][line] : begin + read["end"][line]]).decode())
    return counters


@njit(cache=True, nogil=True)
def _read_lines(data: Bytes, offsets: NDArray[np.int64], table: NDArray[np.uint8], found: NDArray[np.int64]) -> int:
    """Writes what `_NAMES` says of each line to a column of `found`; returns how many."""
    lines = 0
    for document in range(len(offsets) - 1):
        at, stop = offsets[document], offsets[document + 1]
        while at < stop:
            end = read_line(data, at, stop)[0]
            first, last = trim(data, at, end, table)
            at = end + 1
            if first == last:
                continue
            _, _, characters, _, capitals = read_line(data, first, last)
            digits, curly, phrases = _read_bytes(data, first, last)
            column = found[:, lines]
            column[0], column[1], column[2] = document, first - offsets[document], last - offsets[document]
            column[3] = _words(data, first, last, table)
            column[4], column[5], column[6], column[7], column[8] = characters, capitals, digits, curly, phrases
            column[9] = ending(data, first, last)
            lines += 1
    return lines


@njit(cache=True, nogil=True)
def _read_bytes(data: Bytes, start: int, stop: int) -> tuple[int, int, int]:
    """Returns the digits and curly brackets of data[start:stop]; and 1 if it holds JavaScript, plus 2 if a policy."""
    digits, curly, phrases = 0, 0, 0
    for at in range(start, stop):
        byte = data[at]
        digits += 48 <= byte <= 57
        curly += byte == 123 or byte == 125
        phrase = begins_phrase(data, at, stop)
        if phrase > 0:
            phrases |= 1 if phrase == 1 else 2
    return digits, curly, phrases


@njit(cache=True, nogil=True)
def _words(data: Bytes, start: int, stop: int, table: NDArray[np.uint8]) -> int:
    words, at, inside = 0, start, False
    while at < stop:
        point, at = character(data, at)
        kind = table[point]
        space = kind == _SPACE or kind == _TAB
        words += not space and not inside
        inside = not space
    return words
