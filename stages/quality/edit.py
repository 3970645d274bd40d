"""Rules on lines: which lines a table removes from a text, and what it removes from inside of them.

A line belongs to the first rule, in the order of the table, that it breaks; rules behind an edit see the edited line.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stages.quality.judge import beyond
from stages.quality.line_features import FEATURES, LineFeatures, line_features
from stages.quality.tables import Edit, LineRule, Table

LONG_WORD = 1000  # `longest_word` is 0 in lines of at most so many characters
LINE_SIGNALS = (*FEATURES, "longest_word")
BLANK = "blank_lines"


@dataclass
class Edited:
    """A text after its lines were looked at, and how many lines each rule took or changed, with a sample of one."""

    text: str
    rules: Counter[str] = field(default_factory=Counter)
    samples: dict[str, str] = field(default_factory=dict)

    def take(self, rule: str, line: str) -> None:
        """Notes that `rule` took or changed a line."""
        self.rules[rule] += 1
        self.samples.setdefault(rule, line)


def edit_lines(texts: pa.Array, table: Table) -> dict[int, Edited]:
    """Returns what `table` makes of those texts that it changes, by their number."""
    changed: dict[int, Edited] = {}
    held = np.zeros(len(texts), bool)
    for edit in table.lines:
        if isinstance(edit, Edit):
            held |= np.asarray(pc.match_substring(texts, edit.contains, ignore_case=True).fill_null(False))
    plain = [line for line in table.lines if isinstance(line, LineRule)]
    _remove(texts, np.flatnonzero(~held), plain, table.blank_lines, changed)
    for is_edit, group in groupby(table.lines, key=lambda line: isinstance(line, Edit)):
        for edit in group if is_edit else ():
            assert isinstance(edit, Edit)
            for row in np.flatnonzero(held):
                _apply(int(row), texts, edit, changed)
        rules = [line for line in group if isinstance(line, LineRule)]
        if rules:
            _remove(texts, np.flatnonzero(held), rules, table.blank_lines, changed)
    return changed


def _text(row: int, texts: pa.Array, changed: dict[int, Edited]) -> str:
    text: str = changed[row].text if row in changed else texts[row].as_py() or ""
    return text


def _apply(row: int, texts: pa.Array, edit: Edit, changed: dict[int, Edited]) -> None:
    """Removes what matches from the lines of a text; a line that is blank then goes."""
    text = _text(row, texts, changed)
    made, taken = [], []
    for line in text.split("\n"):
        left = line
        if edit.max_words is None or len(line.split()) <= edit.max_words:
            left = re.sub(edit.remove, "", line, flags=re.IGNORECASE)
        if left != line:
            taken.append(line)
            if not left.strip():
                continue
        made.append(left)
    if taken:
        edited = changed.setdefault(row, Edited(text))
        edited.text = "\n".join(made)
        for line in taken:
            edited.take(edit.id, line)


def _remove(
    texts: pa.Array, rows: NDArray[np.int64], rules: Sequence[LineRule], blank_lines: bool, changed: dict[int, Edited]
) -> None:
    """Removes the lines of the texts `rows` that break one of the rules."""
    if not len(rows):
        return
    given = texts.take(pa.array(rows)).fill_null("")
    if any(int(row) in changed for row in rows):
        given = pa.array([_text(int(row), texts, changed) for row in rows], pa.large_string())
    lines = line_features(given)
    broken = _broken(lines, given, rules)
    touched = np.unique(lines.document[broken >= 0])
    if not blank_lines:
        touched = np.union1d(touched, _with_blank_lines(given, lines))
    starts = np.searchsorted(lines.document, touched, "left")
    stops = np.searchsorted(lines.document, touched, "right")
    for number, start, stop in zip(touched.tolist(), starts, stops, strict=True):
        data = given[number].as_py().encode()
        edited = changed.setdefault(int(rows[number]), Edited(data.decode()))
        spans = list(zip(lines.start[start:stop].tolist(), lines.end[start:stop].tolist(), strict=True))
        gone = broken[start:stop] >= 0
        for place in np.flatnonzero(gone):
            edited.take(rules[broken[start + place]].id, data[slice(*spans[place])].decode())
        if blank_lines:
            left = _without(data, [span for span, out in zip(spans, gone, strict=True) if out])
        else:
            left = b"\n".join(data[slice(*span)] for span, out in zip(spans, gone, strict=True) if not out)
            if data.count(b"\n") >= len(spans):
                edited.take(BLANK, "")
        edited.text = left.decode().strip()


def _without(data: bytes, spans: Sequence[tuple[int, int]]) -> bytes:
    """Returns a text without the lines whose borders (bytes) these are, and without the space around what is left."""
    kept, at = [], 0
    for start, end in spans:
        kept.append(data[at : data.rfind(b"\n", 0, start) + 1])
        newline = data.find(b"\n", end)
        at = newline + 1 if newline >= 0 else len(data)
    return b"".join([*kept, data[at:]])


def _with_blank_lines(texts: pa.Array, lines: LineFeatures) -> NDArray[np.int64]:
    """Returns the texts that have other lines than those that `lines` has: blank ones."""
    newlines = pc.count_substring(texts, "\n").to_numpy(zero_copy_only=False)
    empty = np.asarray(pc.equal(texts, ""))
    found: NDArray[np.int64] = np.flatnonzero(newlines + 1 - empty > np.bincount(lines.document, minlength=len(texts)))
    return found


def _broken(lines: LineFeatures, texts: pa.Array, rules: Sequence[LineRule]) -> NDArray[np.int64]:
    """Returns the number of the first rule that each line breaks, -1 where it breaks none."""
    first = np.full(len(lines.document), -1)
    for number, rule in reversed(list(enumerate(rules))):
        values = _longest_words(lines, texts) if rule.signal == "longest_word" else _values(lines, rule.signal)
        below, above = beyond(values, rule.min, rule.max)
        first[below | above] = number
    return first


def _values(lines: LineFeatures, signal: str) -> NDArray[Any]:  # Any: as the feature is
    values: NDArray[Any] = np.asarray(getattr(lines, signal))
    return values.astype(np.int64) if values.dtype == bool else values


def _longest_words(lines: LineFeatures, texts: pa.Array) -> NDArray[np.int64]:
    longest = np.zeros(len(lines.document), np.int64)
    for line in np.flatnonzero(lines.characters > LONG_WORD):
        data = texts[int(lines.document[line])].as_py().encode()[lines.start[line] : lines.end[line]]
        longest[line] = max(map(len, data.decode().split()), default=0)
    return longest
