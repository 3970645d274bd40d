"""What kinds of lines a document has: one pass over its bytes, in kernels. The plain twin is `plain.count`.

A line is text between newlines without the space around it; a blank one parts paragraphs. Its characters are looked at
up to `READ` bytes; what lies behind counts for its size alone.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from stages.buffers import utf8
from stages.format.kinds import (
    Kind,
    ends_sentence,
    has,
    is_bar,
    is_bullet,
    is_fence,
    looks_like_code,
    options,
    plain_kind,
)
from stages.format.scan import (
    BORDERS,
    CHOICES,
    CLAUSES,
    EVEN,
    FOURS,
    LITERARY,
    MARKS,
    MEASURES,
    MODERN,
    POINTS,
    SEEN,
    SENTENCES,
    SIZE,
    STATES,
    WIDE,
    WIDE_COLON,
    point_at,
    scan,
    skip,
    strip,
)
from stages.format.tables import Lane, Limit, classes, lanes, rules

KINDS = len(Kind)


class Count(IntEnum):
    """Columns of the counts of a document, behind the lines and the sizes (bytes) by kind."""

    PARAGRAPHS = 2 * KINDS
    TURN_PARAGRAPHS = 2 * KINDS + 1  # that begin with a TURN
    ASK_PARAGRAPHS = 2 * KINDS + 2  # that begin with ASK or REPLY
    CLOSED = 2 * KINDS + 3  # bytes of lines that end as sentences do
    OPEN = 2 * KINDS + 4  # short lines that do not
    MARKED = 2 * KINDS + 5  # short lines with a comma or a stop
    UPPER = 2 * KINDS + 6  # upper-case letters of short lines
    WORDS = 2 * KINDS + 7  # words between spaces of short lines
    HAN = 2 * KINDS + 8
    MODERN = 2 * KINDS + 9  # function words of modern Chinese
    CLAUSES = 2 * KINDS + 10  # runs of Han between punctuation and spaces
    EVEN = 2 * KINDS + 11  # Han in clauses of 5 to 8 between marks, as long as the one before
    SPEAKERS = 2 * KINDS + 12  # different labels of TURN, up to `MOST_SPEAKERS`
    CHOICES = 2 * KINDS + 13  # options, also inside lines
    POINTS = 2 * KINDS + 14  # marks of an exam: (5分)
    NAMES = 2 * KINDS + 15  # lines of TURN that are a label alone
    READ = 2 * KINDS + 16  # bytes of lines that were looked at
    RUNS_ON = 2 * KINDS + 17  # short lines that begin with a small letter
    LITERARY = 2 * KINDS + 18  # function words of classical Chinese, and what its verse is about
    SENTENCES = 2 * KINDS + 19  # clauses before a stop, or the end of a line that has marks
    DIGITS = 2 * KINDS + 20  # ASCII digits of short lines
    SAID = 2 * KINDS + 21  # lines of TURN that end as sentences do
    FOURS = 2 * KINDS + 22  # Han in such clauses of 4


COUNTS = 2 * KINDS + len(Count)
MOST_SPEAKERS = 64

_CODE, _ROW, _CHOICE, _ASK, _REPLY = Kind.CODE, Kind.ROW, Kind.CHOICE, Kind.ASK, Kind.REPLY
_TURN, _TEXT = Kind.TURN, Kind.TEXT


def count(texts: pa.Array) -> npt.NDArray[np.int64]:
    """Returns the counts of each text: int64[texts, COUNTS]."""
    data, offsets = utf8(texts)
    known = rules()
    found: npt.NDArray[np.int64] = _count(
        data, offsets, lanes(), classes(), known.keywords, known.asks, known.replies, known.limits
    )
    return found


@njit(cache=True, nogil=True)
def _add_line(data, start, stop, kinds, line, kind, opens, row):  # type: ignore[no-untyped-def]  # numba infers
    """Adds a line of a kind to the counts of its document; `opens`: it begins a paragraph."""
    row[kind] += 1
    row[kind + KINDS] += line[SIZE]
    row[Count.PARAGRAPHS] += opens
    row[Count.TURN_PARAGRAPHS] += opens and kind == _TURN
    row[Count.ASK_PARAGRAPHS] += opens and (kind == _ASK or kind == _REPLY)
    row[Count.HAN] += line[WIDE]
    row[Count.MODERN] += line[MODERN]
    row[Count.LITERARY] += line[LITERARY]
    row[Count.CHOICES] += line[CHOICES]
    row[Count.POINTS] += line[POINTS]
    row[Count.READ] += line[SEEN]
    row[Count.NAMES] += kind == _TURN and (data[stop - 1] == 58 or point_at(data, stop - 3)[0] == WIDE_COLON)
    closes = ends_sentence(data, start, stop, kinds)
    row[Count.CLOSED] += line[SIZE] if closes else 0
    row[Count.SAID] += kind == _TURN and closes
    if line[SIZE] <= 0 or kind == _CODE or kind == _ROW or kind == _TEXT:
        return
    row[Count.OPEN] += not closes
    row[Count.MARKED] += line[MARKS] > 0
    row[Count.RUNS_ON] += 97 <= data[start] <= 122
    row[Count.UPPER] += line[Lane.UPPER]
    row[Count.DIGITS] += line[Lane.DIGIT]
    row[Count.WORDS] += line[Lane.SPACE] + 1


@njit(cache=True, nogil=True)
def _count(data, offsets, table, kinds, keywords, asks, replies, limits):  # type: ignore[no-untyped-def]  # numba infers
    counts = np.zeros((len(offsets) - 1, COUNTS), np.int64)
    line = np.zeros(MEASURES, np.int64)
    speakers = np.zeros(MOST_SPEAKERS, np.uint64)
    for document in range(len(offsets) - 1):
        row = counts[document]
        state = np.zeros(STATES, np.int64)
        fenced = in_code = was_bar = False
        opens = True
        bars = known = size_before = 0
        kind_before = np.int64(_TEXT)
        at, end = offsets[document], offsets[document + 1]
        while at < end:
            start, indent = skip(data, at, end, kinds)
            if start == end or data[start] == 10:
                opens, bars = True, 0
                at = start + 1
                continue
            at = scan(data, start, end, table, kinds, line, state) + 1
            last = strip(data, start, at - 1, kinds)
            line[SIZE] = last - start
            label = np.uint64(0)
            fence = is_fence(data, start, last)
            in_code = in_code and indent >= limits[Limit.INDENT] and not is_bullet(data, start, kinds)
            if fence or fenced:
                fenced = fenced != fence
                kind = np.int64(_CODE)
            elif in_code or looks_like_code(data, start, last, indent, kinds, line, keywords, limits):
                kind, in_code = np.int64(_CODE), True
            elif line[BORDERS] > 0 and (line[BORDERS] == bars or is_bar(data, start, kinds)):
                kind = np.int64(_ROW)
                if was_bar and line[BORDERS] == bars:  # the first row of a table looked like another line
                    row[kind_before] -= 1
                    row[kind_before + KINDS] -= size_before
                    row[_ROW] += 1
                    row[_ROW + KINDS] += size_before
            else:
                kind, label = plain_kind(data, start, last, kinds, line, row[_ASK], asks, replies, limits)
            if kind == _TURN and known < MOST_SPEAKERS and not has(speakers[:known], label):
                speakers[known] = label
                known += 1
            if kind == _CHOICE:
                row[Count.CHOICES] += options(data, start, last)
            _add_line(data, start, last, kinds, line, kind, opens, row)
            opens, bars, kind_before, size_before = False, line[BORDERS], kind, line[SIZE]
            was_bar = bars > 0 and kind != _ROW and kind != _CODE
        row[Count.CLAUSES], row[Count.SENTENCES], row[Count.SPEAKERS] = state[CLAUSES], state[SENTENCES], known
        row[Count.EVEN], row[Count.FOURS] = state[EVEN], state[FOURS]
    return counts
