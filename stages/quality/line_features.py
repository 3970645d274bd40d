"""What rules on lines look at: the lines of texts, and a few numbers of each.

A line is text between newlines without the space around it; blank lines are none. Words are what stands between space.
Only the texts of profiles that edit lines are read, line by line.

Source: the features are those that C4 (Raffel et al. 2020, section 2.2; datatrove, c4_filters.py) and RefinedWeb
(Penedo et al. 2023, G.2; DCLM, modifiers.py) ask for.
"""

import re
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_COUNTED = "likes shares comments retweets reposts quotes bookmarks upvotes downvotes downloads views followers"
_COUNTER = re.compile(rf"\W*\d[\d,.]*[kmb]?\s+(?:{'|'.join(_COUNTED.split())})\W*", re.IGNORECASE)
_ASCII_ENDS = (".", "?", "!", '"', "'")
_ENDS = (*_ASCII_ENDS, "…", *"。？！．”’」』")

Bits = NDArray[np.bool_]
Counts = NDArray[np.int64]
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class LineFeatures:
    """The lines of texts, in order; every array has an entry a line."""

    document: Counts  # number of the text
    start: Counts  # borders in the text's UTF-8 (bytes)
    end: Counts
    words: Counts
    characters: Counts
    ends_terminal_ascii: Bits  # with . ? ! " ' but not with ...
    ends_terminal: Bits  # with one of those or 。？！．…”’」』
    uppercase_ratio: Shares  # capitals among characters
    digit_ratio: Shares  # digits among characters
    has_javascript: Bits
    has_policy: Bits  # one of POLICIES
    has_curly: Bits  # {
    counter: Bits  # nothing but "3 likes" and the like
    one_word: Bits


FEATURES = tuple(item.name for item in fields(LineFeatures) if item.name not in ("document", "start", "end"))


def line_features(texts: pa.Array) -> LineFeatures:
    """Returns the lines of all texts (null counts as empty)."""
    rows: list[tuple[float, ...]] = []
    for number, text in enumerate(texts.to_pylist()):
        at = 0
        for line in (text or "").split("\n"):
            trimmed = line.strip()
            if trimmed:
                start = at + len(line[: line.index(trimmed[0])].encode())
                rows.append((number, start, start + len(trimmed.encode()), *_features(trimmed)))
            at += len(line.encode()) + 1
    columns = zip(*rows, strict=True) if rows else [()] * len(fields(LineFeatures))
    kinds = (np.int64, np.int64, np.int64, np.int64, np.int64, bool, bool, np.float64, np.float64, *[bool] * 5)
    return LineFeatures(*(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)))


def _features(line: str) -> tuple[float, ...]:
    words, low = len(line.split()), line.lower()
    closed = line.endswith(_ASCII_ENDS) and not line.endswith("...")
    return (
        words,
        len(line),
        closed,
        closed or (line.endswith(_ENDS) and not line.endswith("...")),
        sum(map(str.isupper, line)) / len(line),
        sum(map(str.isdigit, line)) / len(line),
        "javascript" in low,
        any(policy in low for policy in POLICIES),
        "{" in line,
        _COUNTER.fullmatch(line) is not None,
        words == 1,
    )
