from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from stages.audit import shift
from stages.audit.counter import Facts
from stages.audit.model import Section
from stages.audit.names import Names
from stages.audit.shift import gains_of
from stages.audit.shifts import LargestNames, Shift, Ways, by_chance, jsd_error, shifts_of
from tests.stages.audit.ended import counted, dropped, facts_of, many

STAGES = ("ingest", "repair", "quality", "dedup")
HOSTS = st.lists(
    st.tuples(
        st.sampled_from([f"{name}.cn" for name in "abcdefgh"]),
        st.sampled_from(("", "repair", "quality", "dedup")),
        st.integers(1, 4),
    ),
    min_size=2,
    max_size=16,
)


def section(facts: Facts) -> Section:
    (made,) = shift.sections(facts)
    return made


def figures(facts: Facts) -> dict[str, Any]:
    return {figure.key.removeprefix("shift."): figure for figure in section(facts).figures}


def table(facts: Facts, key: str) -> list[dict[str, Any]]:
    (found,) = [table for table in section(facts).tables if table.key == f"shift.{key}"]
    return [dict(zip([column.key for column in found.columns], row, strict=True)) for row in found.rows]


def hosts(ended: list[tuple[str, str, int]]) -> list[dict[str, Any]]:
    """Returns documents; a stage `repair` makes them of others, the other ones drop them."""
    rows: list[dict[str, Any]] = []
    for host, stage, amount in ended:
        if stage == "repair":
            rows += many(amount, host=host)
            rows += many(amount, stage=stage, action="split", rule="articles", host=host)
        else:
            rows += dropped(amount, "short", stage, host=host) if stage else many(amount, host=host)
    return rows


@settings(max_examples=8, deadline=None)
@given(HOSTS)
def test_the_divergence_of_hosts_is_that_of_a_bin_for_each(ended: list[tuple[str, str, int]]) -> None:
    facts = facts_of(hosts(ended), STAGES)
    names = sorted({host for host, *_ in ended})
    left = {
        stage: np.array([sum(n for host, at, n in ended if (host, at) == (name, stage)) for name in names])
        for stage in ("", "repair", "quality", "dedup")
    }
    before = {"quality": left[""] + left["repair"] + left["quality"] + left["dedup"]}
    before["dedup"] = before["quality"] - left["quality"]

    for found in shifts_of(facts):
        if found.axis == "host" and found.stage in before and found.told:
            came, stayed = before[found.stage], before[found.stage] - left[found.stage]
            expected = jensenshannon(came / came.sum(), stayed / stayed.sum(), base=2) ** 2
            assert found.estimate().value == pytest.approx(expected, abs=1e-12)
            assert found.groups == (came > 0).sum()


@settings(max_examples=8, deadline=None)
@given(HOSTS)
def test_ways_and_largest_names_are_the_same_however_names_are_parted(ended: list[tuple[str, str, int]]) -> None:
    whole = counted(Names(), hosts(ended))
    names = sorted(set(whole.column("name").to_pylist()))

    for counter in (Ways(), LargestNames(most=3)):
        parts = [
            counter.count(whole.filter([name == one for one in whole.column("name").to_pylist()]), None)
            for name in names
        ]
        halves = [counter.merge(parts[1::2]), counter.merge(parts[::2])]

        assert counter.merge(halves) == counter.merge([counter.count(whole, None)])


def test_hosts_that_went_equally_are_one_row() -> None:
    rows = [
        row
        for number in range(50)
        for row in [*many(2, host=f"h{number}.cn"), *dropped(1, "short", host=f"h{number}.cn")]
    ]

    ways = Ways().merge([Ways().count(counted(Names(), rows), None)]).to_pylist()

    assert [row for row in ways if row["axis"] == "host"] == [{"axis": "host", "way": ":2\nquality:1", "names": 50}]


def test_a_stage_that_takes_one_language_shifts_the_shares_and_says_whose() -> None:
    rows = [
        *many(50, language="zho_Hans", bytes=10),
        *many(10, language="zho_Hant", bytes=10),
        *dropped(40, "no_traditional", language="zho_Hant", bytes=10),
    ]
    facts = facts_of(rows)
    before, after = np.array([0.5, 0.5]), np.array([5 / 6, 1 / 6])
    expected = jensenshannon(before, after, base=2) ** 2

    (row,) = table(facts, "stages")
    gains = {gain.group: gain for gain in gains_of(facts)}

    assert (row["divergence"], row["distance"]) == pytest.approx((expected, math.sqrt(expected)))
    assert row["bytes"] == pytest.approx(expected)
    assert row["kl"] == pytest.approx(5 / 6 * math.log2(5 / 3) + 1 / 6 * math.log2(1 / 3))
    assert row["divergence_low"] < expected < row["divergence_high"]
    assert row["chance"] < expected / 20
    assert sum(gain.adds for gain in gains.values()) == pytest.approx(expected)
    assert figures(facts)["language"].value == pytest.approx(expected)
    by_group = {row["group"]: row for row in table(facts, "groups")}
    assert by_group["zho_Hant"]["adds"] == pytest.approx(-gains["zho_Hant"].adds)
    assert by_group["zho_Hans"]["adds"] == pytest.approx(gains["zho_Hans"].adds)
    assert by_group["zho_Hant"]["change"] == pytest.approx(1 / 6 - 1 / 2)
    made = next(each for each in section(facts).tables if each.key == "shift.groups")
    assert "datapipe show DIR language=zho_Hant --stage quality" in (made.commands or ())


def test_a_stage_of_whose_losses_no_group_is_known_has_no_number() -> None:
    rows = [*many(5, language="zho_Hans"), *many(5, language="eng_Latn"), *dropped(3, "no_text", "ingest")]

    (row,) = table(facts_of(rows), "stages")

    assert (row["stage"], row["divergence"], row["unknown"]) == ("ingest", None, 3)
    assert "language" not in figures(facts_of(rows))


def test_documents_without_a_host_that_left_are_told_beside_the_shift_of_hosts() -> None:
    rows = [*many(5, host="a.cn"), *many(5, host="b.cn"), *dropped(3, "short", host="b.cn"), *dropped(2, "short")]

    found = [row for row in table(facts_of(rows), "stages") if row["axis"] == "host"]

    assert [(row["before"], row["after"], row["unknown"]) for row in found] == [(13, 10, 2)]
    bare = table(facts_of([*many(5, host="a.cn"), *many(5, host="b.cn"), *dropped(2, "short")]), "stages")
    assert {row["divergence"] for row in bare if row["axis"] == "host"} == {None}


def test_the_error_is_that_of_many_corpora_drawn() -> None:
    # 4,000 corpora of 2,000 documents of a source of 4 groups, of which a stage keeps other shares each.
    shares, kept = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.9, 0.5, 0.8, 0.2])
    cells = np.concatenate([shares * kept, shares * (1 - kept)])
    draws = np.random.default_rng(7).multinomial(2000, cells, size=4000)
    stayed, came = draws[:, :4].astype(float), (draws[:, :4] + draws[:, 4:]).astype(float)
    found = [Shift("host", "quality", a, b, np.ones(4), 0) for a, b in zip(came, stayed, strict=True)]
    values = np.array([each.estimate() for each in found])
    truth = jensenshannon(shares, shares * kept / (shares * kept).sum(), base=2) ** 2

    error = jsd_error(shares * 2000, shares * kept * 2000, np.ones(4))
    covered = np.mean((values[:, 1] <= truth) & (truth <= values[:, 2]))

    assert error == pytest.approx(values[:, 0].std(), rel=0.05)
    assert 0.93 < covered < 0.97


def test_bins_of_which_there_are_several_count_as_so_many() -> None:
    once = Shift("host", "quality", np.array([4.0, 4, 9]), np.array([1.0, 1, 9]), np.ones(3), 0)
    twice = Shift("host", "quality", np.array([4.0, 9]), np.array([1.0, 9]), np.array([2.0, 1]), 0)

    assert tuple(twice.estimate()) == pytest.approx(tuple(once.estimate()))
    assert by_chance(twice.came, twice.times, 11) == pytest.approx(by_chance(once.came, once.times, 11))


def test_chance_is_the_mean_of_all_blind_choices() -> None:
    # All ways to leave 4 of 7 documents of three groups, each as likely.
    groups = [0, 0, 0, 0, 1, 1, 2]
    came = np.array([4.0, 2, 1])
    every = [np.bincount([groups[place] for place in kept], minlength=3) for kept in combinations(range(7), 4)]
    mean = np.mean([jensenshannon(came / 7, stayed / 4, base=2) ** 2 for stayed in every])

    assert by_chance(came, np.ones(3), 4) == pytest.approx(mean)


def test_chance_of_large_bins_is_near_that_of_a_simulation() -> None:
    came = np.array([30_000, 5_000, 700, 60])
    stayed = np.random.default_rng(3).multivariate_hypergeometric(came, 20_000, size=2000)
    mean = np.mean([jensenshannon(came / came.sum(), row / 20_000, base=2) ** 2 for row in stayed])

    assert by_chance(came.astype(float), np.ones(4), 20_000) == pytest.approx(mean, rel=0.05)


def test_training_is_held_against_the_corpus() -> None:
    rows = [
        *many(1, source="laws", tokens=50, trained=100),
        *many(1, source="crawl", tokens=50, trained=20),
        *dropped(1, "short", source="crawl", bytes=1),
    ]

    (row,) = table(facts_of(rows), "trained")

    assert row["divergence"] == pytest.approx(jensenshannon([0.5, 0.5], [5 / 6, 1 / 6], base=2) ** 2)
    assert (row["gained"], row["lost"]) == ("laws", "crawl")


@pytest.mark.parametrize("rows", [[], many(1, source="laws", host="a.cn"), dropped(2, "short", source="laws")])
def test_where_there_is_nothing_to_compare_nothing_is_said(rows: list[dict[str, Any]]) -> None:
    assert section(facts_of(rows)).figures == ()


def test_shifts_of_a_run_are_of_all_its_documents(facts: Facts) -> None:
    stages = {stage["stage"]: stage for stage in facts.run["stages"]}

    for found in shifts_of(facts):
        if found.axis == "source":
            stage = stages[found.stage]
            assert (found.came * found.times).sum() == stage["documents_in"]
            assert (found.stayed * found.times).sum() == stage["documents_out"]


def test_a_blind_filter_shifts_many_small_hosts_as_chance_does() -> None:
    came = np.minimum(np.random.default_rng(5).zipf(1.7, 20_000), 300).astype(float)
    stayed = np.random.default_rng(6).binomial(came.astype(int), 0.8).astype(float)
    found = Shift("host", "quality", came, stayed, np.ones(len(came)), 0)

    expected = by_chance(came, np.ones(len(came)), stayed.sum())

    assert found.estimate().value == pytest.approx(expected, rel=0.03)  # 0.017 bits, of nothing but chance
