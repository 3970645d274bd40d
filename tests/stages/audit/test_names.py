"""Sums by host and other names: by hand, in any grouping, and against plain loops."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from publicsuffixlist import PSLFILE

from stages.audit import measures as m
from stages.audit.held import held
from stages.audit.names import (
    LONGEST,
    THRESHOLDS,
    UNSCORED,
    NameLevels,
    Names,
    NameSizes,
    TopNames,
    level_of,
    totals,
)
from stages.ingest.address import domain_of, domains_of
from tests.stages.audit.rows import frame
from tests.stages.audit.summing import exchanged, facts_of_rows

ROWS = [
    {"host": "a.x.com", "source": "web", "licence": "MIT", "tokens": 10, "trained": 20, "quality": 0.5, "bytes": 40},
    {"host": "b.x.com", "source": "web", "tokens": 30, "trained": 0, "quality": 1.0, "bytes": 60},
    {"host": None, "source": "books", "tokens": 5, "trained": 5, "bytes": 9},
    {"host": "a.x.com", "source": "web", "stage": "quality", "action": "drop", "rule": "length", "bytes": 7},
    {"host": "10.0.0.1", "source": "web", "stage": "dedup", "action": "duplicate_of", "bytes": 1},
]
DOCUMENT = st.fixed_dictionaries(
    {
        "host": st.sampled_from([None, "a.x.com", "b.x.com", "y.co.uk", "localhost", "co.uk", "10.0.0.1"]),
        "source": st.sampled_from(["web", "books"]),
        "stage": st.sampled_from(["", "", "quality"]),
        "tokens": st.integers(0, 10**6),
        "trained": st.integers(0, 10**7),
        "quality": st.one_of(st.none(), st.integers(0, 1024).map(lambda step: step / 1024)),
    }
)


def counted(rows: list[dict[str, Any]]) -> Any:
    return Names().merge([Names().count(frame(rows), None)])


def test_documents_are_summed_by_host_domain_tld_source_and_licence() -> None:
    found = {(row["axis"], row["name"]): row for row in totals(counted(ROWS)).to_pylist()}

    assert {key: (row["came"], row["documents"], row["size"], row["trained"]) for key, row in found.items()} == {
        ("host", ""): (1, 1, 5, 5),
        ("host", "10.0.0.1"): (1, 0, 0, 0),
        ("host", "a.x.com"): (2, 1, 10, 20),
        ("host", "b.x.com"): (1, 1, 30, 0),
        ("domain", ""): (1, 1, 5, 5),
        ("domain", "10.0.0.1"): (1, 0, 0, 0),
        ("domain", "x.com"): (3, 2, 40, 20),
        ("tld", ""): (2, 1, 5, 5),
        ("tld", "com"): (3, 2, 40, 20),
        ("source", "books"): (1, 1, 5, 5),
        ("source", "web"): (4, 2, 40, 20),
        ("licence", ""): (4, 2, 35, 5),
        ("licence", "MIT"): (1, 1, 10, 20),
    }
    assert found["domain", "x.com"]["squares"] == 10**2 + 30**2
    assert found["source", "web"]["came_bytes"] == 40 + 60 + 7 + 1


def test_parts_that_a_stage_made_did_not_come() -> None:
    rows = [
        {"host": "a.com", "tokens": 1},
        {"host": "a.com", "stage": "repair", "action": "split", "bytes": 3},
        {"host": "a.com", "stage": "dedup", "action": "drop", "bytes": 3},
    ]

    (row,) = (row for row in totals(counted(rows)).to_pylist() if row["axis"] == "host")

    assert (row["came"], row["documents"]) == (1, 1)  # one document, of which a part was taken out and dropped


def test_a_run_without_tokens_is_measured_in_characters() -> None:
    found = totals(counted([{"host": "a.com", "characters": 12}, {"host": "a.com", "characters": 5}])).to_pylist()

    assert {(row["size"], row["squares"], row["trained"]) for row in found} == {(17, 169, 0)}


def test_a_document_of_any_length_does_not_break_the_sum_of_squares() -> None:
    row = totals(counted([{"host": "a.com", "tokens": 2**40, "trained": 2**50}])).to_pylist()[0]

    assert (row["size"], row["squares"], row["trained_squares"]) == (2**40, LONGEST**2, LONGEST**2)


def test_no_documents_are_summed_to_nothing() -> None:
    names = Names().count(frame([]), None)

    assert names.num_rows == 0
    for counter in (TopNames(), NameSizes(), NameLevels()):
        assert counter.count(names, None).equals(counter.schema.empty_table())
        assert counter.merge([]).equals(counter.schema.empty_table())


@given(documents=st.lists(DOCUMENT, max_size=30), cut=st.integers(0, 30), shards=st.integers(1, 5), order=st.randoms())
@settings(max_examples=10)
def test_neither_shards_nor_order_matter(
    documents: list[dict[str, Any]], cut: int, shards: int, order: random.Random
) -> None:
    names, whole = Names(), frame(documents)
    parts = [names.count(whole.slice(0, cut), None), names.count(whole.slice(min(cut, len(documents))), None)]
    order.shuffle(parts)
    merged = names.merge([names.merge(parts[:1]), *parts[1:]])

    assert merged.equals(counted(documents))
    for counter in (TopNames(most=2), NameSizes(), NameLevels()):
        tables = [counter.count(part, None) for part in exchanged(merged, shards)]
        order.shuffle(tables)
        assert counter.merge(tables).equals(counter.merge([counter.count(merged, None)]))


def test_the_largest_are_those_of_all_in_each_weighting() -> None:
    rows = [{"host": f"h{number}.com", "tokens": 100 - number, "trained": number} for number in range(20)]
    rows += [{"host": "many.com", "tokens": 0}] * 3

    top = TopNames(most=2)
    found = top.merge([top.count(part, None) for part in exchanged(counted(rows), 4)]).to_pylist()

    hosts = {row["name"] for row in found if row["axis"] == "host"}
    assert hosts == {"h0.com", "h1.com", "h18.com", "h19.com", "many.com"}  # and the first by name of equal ones


# Thresholds


@pytest.mark.parametrize(
    ("score", "level"), [(0.0, 0), (0.049, 0), (0.05, 1), (0.8, 16), (1.0, len(THRESHOLDS) - 1), (7.0, 23), (-1.0, 0)]
)
def test_a_score_reaches_its_threshold(score: float, level: int) -> None:
    assert level_of(frame([{"quality": score}]).column("quality")).tolist() == [level]


def test_no_score_reaches_none() -> None:
    assert level_of(frame([{}, {"quality": float("nan")}]).column("quality")).tolist() == [UNSCORED] * 2


def plain_levels(documents: list[dict[str, Any]], weight: str, threshold: float) -> Counter[int]:
    """How many hosts are how large from a threshold on, a document at a time."""
    sizes: Counter[str] = Counter()
    for document in documents:
        score = document["quality"]
        if document["host"] and not document["stage"] and score is not None and score >= threshold:
            sizes[document["host"]] += 1 if weight == "documents" else document["tokens"]
    return Counter(m.bins_of(np.array([size]))[0] for size in sizes.values() if size)


@given(documents=st.lists(DOCUMENT, max_size=40))
@settings(max_examples=15)
def test_hosts_of_each_threshold_are_as_plainly_counted(documents: list[dict[str, Any]]) -> None:
    levels = NameLevels().count(counted(documents), None).to_pylist()

    for weight in ("documents", "size"):
        for number, threshold in enumerate(THRESHOLDS):
            found: Counter[int] = Counter()
            for row in levels:
                if (row["axis"], row["weight"]) == ("host", weight) and row["level"] >= number:
                    found[row["bin"]] += row["names"]
            assert +found == plain_levels(documents, weight, threshold)
            assert min(found.values(), default=0) >= 0


# What a section sees


@pytest.mark.parametrize("seed", [1, 2])
def test_top_and_bins_say_what_all_hosts_say(seed: int) -> None:
    """3,000 hosts, of which 1,000 to 2,000 are in bins: far nearer than the error of bins that is stated."""
    draw = np.random.default_rng(seed)
    hosts = np.concatenate([np.arange(3000), (3000 * draw.random(9000) ** 3).astype(int)])
    tokens = draw.integers(100, 5000, len(hosts))
    rows = [
        {"host": f"h{host}.com", "tokens": size} for host, size in zip(hosts.tolist(), tokens.tolist(), strict=True)
    ]
    sizes, squares = np.bincount(hosts, tokens), np.bincount(hosts, tokens**2)

    found = held(facts_of_rows(frame(rows)), "host", "size")

    assert (found.names, found.whole) == (3000, tokens.sum())
    assert len(found.sizes) < 2600
    for ours, theirs in (
        (found.hill(1), m.hill_interval(sizes, 1, squares=squares)),
        (found.hill(2), m.hill_interval(sizes, 2, squares=squares)),
        (found.hill(np.inf), m.hill_interval(sizes, np.inf, squares=squares)),
        (found.top(1000), m.top_interval(sizes, 1000, squares=squares)),
    ):
        assert ours == pytest.approx(theirs, rel=3e-5)
    assert found.gini() == pytest.approx(m.gini_interval(sizes, squares=squares), abs=1e-4)
    ranks = np.array([1, 7, 1000, 2000, 3000])
    assert found.of_ranks(ranks.tolist()) == pytest.approx(np.sort(sizes)[::-1][ranks - 1].tolist(), rel=1 / 64)
    assert found.of_ranks([3001]) == [None]


# Registrable domains


LABEL = st.sampled_from(
    [
        "www",
        "a-b",
        "7",
        "com",
        "cn",
        "co",
        "uk",
        "jp",
        "kawasaki",
        "city",
        "ck",
        "github",
        "io",
        "xn--fiqs8s",
        "中国",
        "X",
    ]
)


@given(hosts=st.lists(st.one_of(st.none(), st.lists(LABEL, min_size=1, max_size=5).map(".".join)), max_size=20))
def test_domains_of_many_hosts_are_those_of_each(hosts: list[str | None]) -> None:
    assert domains_of(pa.array(hosts, pa.string())).to_pylist() == [domain_of(host) for host in hosts]


def test_domains_of_every_rule_of_the_list_are_those_of_each() -> None:
    with open(PSLFILE, encoding="utf-8") as file:
        rules = [line.split()[0].lstrip("!") for line in file if line.strip() and not line.startswith("//")]
    hosts = [f"{left}{rule.replace('*', 'any')}" for rule in rules[::7] for left in ("", "x.", "w.x.", "v.w.x.")]

    assert domains_of(pa.array(hosts)).to_pylist() == [domain_of(host) for host in hosts]
