"""Laws of every counter that makes the report: parts may be counted apart and added up in any order."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.audit import draw, parts
from stages.audit.counter import Counter, Scan, Wide
from stages.audit.frames import left_frame
from tests.stages.audit.rows import frame, id_of, ledger

KINDS = {"language_shares": pa.string(), "domain": pa.string(), "no_ai": pa.bool_(), "robots": pa.string()}
LABELS = st.sampled_from([None, "", "a.example", "b.example.cn", "news.例子.中国", "10.0.0.1"])
COUNTS = st.none() | st.integers(0, 1 << 40)
SCORES = st.none() | st.floats(0, 1, width=32) | st.just(float("nan"))
ABOUT = {
    "source": st.sampled_from(["web", "books"]),
    "url": st.sampled_from([None, "https://a.example/2021/1", "http://b.example.cn/?x"]),
    "host": LABELS,
    "language": st.sampled_from([None, "zho_Hans", "zho_Hant", "eng_Latn", "mixed", "und"]),
    "script": st.sampled_from([None, "Hans", "Hant", "Latn"]),
    "format": st.sampled_from([None, "prose", "code"]),
    "crawl_time": st.none() | st.integers(-(1 << 40), 1 << 40),
    "bytes": COUNTS,
    "note": st.sampled_from([None, "一段文字", "text"]),
}
KEPT = st.fixed_dictionaries(
    {
        **ABOUT,
        "licence": st.sampled_from([None, "CC0-1.0", "MIT"]),
        "published": st.sampled_from([None, "2021-02-03", "someday"]),
        "quality": SCORES,
        "language_score": SCORES,
        "cluster_size": st.none() | st.integers(1, 100),
        "pii": st.none() | st.integers(0, 5),
        "adult_density": SCORES,
        "contamination": st.sampled_from([None, "gsm8k:1 mmlu:2"]),
        "characters": COUNTS,
        "tokens": COUNTS,
        "trained": COUNTS,
        "times_seen": st.none() | st.integers(0, 4),
        "language_shares": st.sampled_from([None, "zho_Hans:0.71 eng_Latn:0.29", "eng_Latn:1.00"]),
        "domain": LABELS,
        "no_ai": st.sampled_from([None, True, False]),
        "robots": st.sampled_from([None, "noindex"]),
    }
)
LEFT = st.fixed_dictionaries(
    {
        **{name: of for name, of in ABOUT.items() if name != "note"},
        "note": st.sampled_from([None, "一段文字"]),
        "stage": st.sampled_from(["ingest", "quality", "dedup"]),
        "action": st.sampled_from(["drop", "duplicate_of", "also", "repair", "split"]),
        "rule": st.sampled_from(["zh_length", "gopher_words", "exact"]),
        "value": st.none() | st.floats(0, 10),
        "limit": st.none() | st.floats(0, 10),
        "similarity": st.none() | st.floats(0, 1, width=32),
    }
)


def every() -> list[Counter]:
    """Returns the counters that count rows of the frame."""
    found: list[Counter] = [*draw.counters(0), *draw.counters(7, 10, 10)]
    for one in parts.counters():
        if isinstance(one, Wide):
            found.append(one.counter)
        elif not isinstance(one, Scan):
            found.append(one)
    return found


def cut(table: pa.Table, at: list[int]) -> list[pa.Table]:
    edges = sorted({0, len(table), *(place % (len(table) + 1) for place in at)})
    return [table.slice(start, end - start) for start, end in pairwise(edges)]


def same(one: pa.Table, other: pa.Table) -> bool:
    """Returns whether tables are equal, NaN being NaN."""
    return one.schema.equals(other.schema) and (one.equals(other) or repr(one.to_pylist()) == repr(other.to_pylist()))


@given(kept=st.lists(KEPT, max_size=12), at=st.lists(st.integers(0, 12), max_size=3), first=st.integers(0, 3))
@settings(max_examples=5)
def test_documents_that_stayed_may_be_counted_in_parts(kept: list[dict[str, Any]], at: list[int], first: int) -> None:
    whole = frame(kept, **KINDS)
    pieces = [*cut(whole, at), whole.slice(0, 0)]

    for counter in every():
        want = counter.merge([counter.count(whole, None)])
        some = [counter.count(piece, None) for piece in pieces[first:] + pieces[:first]]
        assert want.schema.equals(counter.schema), counter.name
        assert same(counter.merge(some), want), counter.name
        assert same(counter.merge([counter.merge(some[2:]), counter.merge(some[:2])]), want), counter.name


@given(left=st.lists(st.tuples(st.integers(0, 6), LEFT), max_size=12), at=st.lists(st.integers(0, 6), max_size=2))
@settings(max_examples=5)
def test_documents_that_left_may_be_counted_in_ranges_of_ids(
    left: list[tuple[int, dict[str, Any]]], at: list[int]
) -> None:
    whole = ledger([{"id": id_of(number), **row} for number, row in left])
    ids = np.array([key.hex() for key in whole.column("id").to_pylist()], "U32")
    places = np.searchsorted(np.array(sorted(id_of(number).hex() for number in at), "U32"), ids, side="right")
    ranges = [whole.filter(pa.array(places == number)) for number in range(len(at) + 1)]

    for counter in every():
        want = counter.merge([counter.count(left_frame(whole), whole)])
        some = [counter.count(left_frame(part), part) for part in ranges]
        assert same(counter.merge(some), want), counter.name
        assert same(counter.merge(some[::-1]), want), counter.name


def test_no_two_counters_have_one_name() -> None:
    names = [draw.TAKEN, draw.LEFT, "sums", "lacks"]
    for one in parts.counters():
        if isinstance(one, Wide):
            names += [one.counter.name, *(counter.name for counter in one.after)]
        else:
            names.append(one.counter.name if isinstance(one, Scan) else one.name)

    assert sorted(names) == sorted(set(names))
