"""From verdicts on passages to stretches of tokens: what repeats, what of it is kept whole, and what is cut."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Span = tuple[int, int]  # tokens, from and up to


class Match(NamedTuple):
    """A stretch of tokens that stands in the document `other` too."""

    start: int
    end: int
    other: bytes


def matches(verdicts: pa.Table, length: int) -> dict[int, list[Match]]:
    """Returns the stretches by gid, in order: rows of VERDICTS, sorted by (gid, start), that go on in one other.

    Not only those in step: where text repeats itself in short periods, each passage is a step behind the one before.
    """
    if not verdicts.num_rows:
        return {}
    gid, start, passages = (np.asarray(verdicts.column(name), dtype=np.int64) for name in ("gid", "start", "passages"))
    ids = verdicts.column("other").combine_chunks()
    other = np.frombuffer(ids.buffers()[1], "<u8").reshape(-1, 2)[ids.offset : ids.offset + len(ids)]
    begins = np.ones(len(gid), np.bool_)
    begins[1:] = _differs(gid) | _differs(other[:, 0]) | _differs(other[:, 1]) | (start[1:] != (start + passages)[:-1])
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(gid)) - 1
    ends = start[last] + passages[last] + length - 1
    others = ids.take(pa.array(first)).to_pylist()
    found: dict[int, list[Match]] = {}
    for of, *match in zip(gid[first].tolist(), start[first].tolist(), ends.tolist(), others, strict=True):
        found.setdefault(of, []).append(Match(*match))
    return found


def _differs(values: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    differs: npt.NDArray[np.bool_] = values[1:] != values[:-1]
    return differs


def united(spans: Iterable[Span]) -> list[Span]:
    """Returns spans, sorted by where they begin, with those that touch or overlap as one.

    >>> united([(0, 3), (2, 5), (5, 6), (8, 9)])
    [(0, 6), (8, 9)]
    """
    made: list[Span] = []
    for start, end in spans:
        if made and start <= made[-1][1]:
            made[-1] = (made[-1][0], max(made[-1][1], end))
        else:
            made.append((start, end))
    return made


def without(spans: Iterable[Span], taken: Sequence[Span]) -> list[Span]:
    """Returns what is left of spans where `taken` are gone; both are sorted and apart.

    >>> without([(0, 9), (10, 12)], [(2, 3), (8, 11)])
    [(0, 2), (3, 8), (11, 12)]
    """
    made: list[Span] = []
    place = 0
    for start, end in spans:
        while place < len(taken) and taken[place][1] <= start:
            place += 1
        at = place
        while at < len(taken) and taken[at][0] < end:
            if start < taken[at][0]:
                made.append((start, taken[at][0]))
            start = max(start, taken[at][1])
            at += 1
        if start < end:
            made.append((start, end))
    return made


def between(spans: Sequence[Span], total: int) -> list[Span]:
    """Returns what lies before, between and behind spans.

    >>> between([(0, 2), (5, 6)], 9)
    [(2, 5), (6, 9)]
    """
    edges = [0, *(edge for span in spans for edge in span), total]
    return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]


def shared(span: Span, spans: Sequence[Span]) -> int:
    """Returns how many tokens of a span lie in others, which are sorted and apart.

    >>> shared((2, 8), [(0, 3), (5, 6), (7, 9)])
    3
    """
    total = 0
    for start, end in spans[bisect_right(spans, span[0], key=lambda item: item[1]) :]:
        if start >= span[1]:
            break
        total += min(span[1], end) - max(span[0], start)
    return total
