from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binom
from scipy.stats.contingency import relative_risk

from stages.audit import survival
from stages.audit.counter import Facts
from stages.audit.measures import Estimate
from stages.audit.model import Section, Words
from stages.audit.names import Names
from stages.audit.parity import Axis, Group, HostPassages, axes_of, chance, groups_of, within_strata
from stages.audit.passage import Passage, Survival, stages_of, together
from tests.stages.audit.ended import counted, dropped, facts_of, many

HANS = {"language": "zho_Hans", "script": "Hans", "source": "crawl", "format": "prose"}
HANT = {"language": "zho_Hant", "script": "Hant", "source": "crawl", "format": "prose"}
ENGLISH = {"language": "eng_Latn", "script": "Latn", "source": "crawl", "format": "prose"}


def section(facts: Facts) -> Section:
    (made,) = survival.sections(facts)
    return made


def figures(facts: Facts) -> dict[str, Any]:
    return {figure.key.removeprefix("survival."): figure for figure in section(facts).figures}


def table(facts: Facts, key: str) -> list[dict[str, Any]]:
    (found,) = [table for table in section(facts).tables if table.key == f"survival.{key}"]
    return [dict(zip([column.key for column in found.columns], row, strict=True)) for row in found.rows]


def standing(facts: Facts) -> dict[tuple[str, str], Group]:
    stages = stages_of(facts.run)
    groups = [group for axis in axes_of(facts) for group in groups_of(axis, stages)]
    return {(group.axis.key, group.name): group for group in groups if group.stands_out}


def test_a_rule_that_removes_traditional_chinese_stands_out() -> None:
    rows = [
        *many(180, **HANS),
        *dropped(20, "short", **HANS),
        *many(30, **HANT),
        *dropped(10, "short", **HANT),
        *dropped(60, "no_traditional", **HANT),
        *many(180, **ENGLISH),
        *dropped(20, "short", **ENGLISH),
    ]
    facts = facts_of(rows)

    found = standing(facts)
    hant = found["language", "zho_Hant"]

    assert hant.difference.value == pytest.approx(0.3 - 0.9)
    assert hant.cause == ("quality", "drop", "no_traditional")
    assert hant.excess == pytest.approx(0.6)
    assert {("language", "zho_Hant"), ("chinese", "zho_Hant"), ("script", "Hant")} <= found.keys()
    first = table(facts, "standing")[0]
    assert (first["group"], first["rule"]) == ("zho_Hant", "no_traditional")
    assert first["survival_low"] < 0.3 < first["survival_high"]
    made = next(each for each in section(facts).tables if each.key == "survival.standing")
    assert "datapipe show DIR language=zho_Hant --stage quality --rule no_traditional" in (made.commands or ())


def test_a_fair_filter_makes_no_group_stand_out() -> None:
    rows = [row for group in (HANS, HANT, ENGLISH) for row in [*many(70, **group), *dropped(30, "short", **group)]]
    facts = facts_of(rows)

    assert standing(facts) == {}
    assert figures(facts)["stand_out"].value == 0
    assert figures(facts)["hant_hans"].value == pytest.approx(1)


def test_a_difference_that_is_small_or_chance_does_not_stand_out() -> None:
    small = [*many(950, **HANS), *dropped(50, "short", **HANS), *many(880, **HANT), *dropped(120, "short", **HANT)]
    few = [*many(860, **HANS), *dropped(140, "short", **HANS), *dropped(2, "short", **HANT)]

    assert standing(facts_of(small)) == {}  # 7 points
    assert standing(facts_of(few)) == {}  # where .86 stay, both of two go once in 50 times


def test_a_rule_that_removes_small_hosts_stands_out() -> None:
    large = [*many(180, host="large.cn", **HANS), *dropped(20, "short", host="large.cn", **HANS)]
    small = [
        row
        for number in range(100)
        for row in (
            many(1, host=f"blog{number}.cn", **HANS)
            if number < 30
            else dropped(1, "few_pages", host=f"blog{number}.cn", **HANS)
        )
    ]
    facts = facts_of([*large, *small])

    found = standing(facts)
    one = found["hosts", "1"]

    assert (one.came, one.cause) == (100, ("quality", "drop", "few_pages"))
    assert one.difference.value == pytest.approx(0.3 - 0.9)
    assert figures(facts)["small_hosts"].value == pytest.approx(0.3)
    assert [(row["group"], row["hosts"], row["documents"]) for row in table(facts, "hosts")] == [
        ("1", 100, 100),
        ("100+", 1, 200),
    ]
    made = next(each for each in section(facts).tables if each.key == "survival.hosts")
    assert made.commands == (
        "datapipe show DIR 'host_documents>=1' 'host_documents<=1'",
        "datapipe show DIR 'host_documents>=100'",
    )


def test_hosts_that_lose_more_than_others_are_told_by_name_with_the_rule() -> None:
    rows = [
        row
        for number in range(20)
        for row in (*many(90, host=f"{number}.cn", **HANS), *dropped(10, "short", host=f"{number}.cn", **HANS))
    ]
    rows += [*many(100, host="forum.cn", **HANS), *dropped(300, "symbols", host="forum.cn", **HANS)]
    rows += [*many(10, host="news.cn", **HANS), *dropped(50, "short", host="news.cn", **HANS)]
    facts = facts_of(rows)

    told = [(row["host"], row["documents"], row["rule"]) for row in table(facts, "host")]

    assert told == [("forum.cn", 400, "symbols"), ("news.cn", 60, "short")]
    made = next(each for each in section(facts).tables if each.key == "survival.host")
    assert made.commands is not None
    assert made.commands[0] == "datapipe show DIR host=forum.cn --stage quality --rule symbols"


def test_hosts_are_of_the_size_that_came_whatever_left_and_parts_do_not_make_them_larger() -> None:
    rows = [
        *dropped(9, "short", host="nine.cn"),
        *many(10, host="ten.cn"),
        *many(1, host="one.cn"),
        *many(1, host="one.cn", stage="repair", action="split", rule="articles"),
        *many(1, host="one.cn"),
    ]

    passed = HostPassages().merge([HostPassages().count(counted(Names(), rows), None)]).to_pylist()
    sizes = {
        (row["group"], row["action"]): (row["documents"], row["names"]) for row in passed if row["axis"] == "hosts"
    }

    assert sizes == {("2-9", "drop"): (9, 1), ("10-99", None): (10, 1), ("1", None): (2, 1), ("1", "split"): (1, 0)}


def test_duplicates_of_a_group_are_no_loss_of_the_filters() -> None:
    rows = [
        *many(90, **HANS),
        *dropped(10, "short", **HANS),
        *many(9, **HANT),
        *many(81, stage="dedup", action="duplicate_of", rule="exact", **HANT),
        *dropped(10, "short", **HANT),
    ]
    facts = facts_of(rows)

    (hant,) = [row for row in table(facts, "language") if row["group"] == "zho_Hant"]

    assert standing(facts) == {}
    assert (hant["survival"], hant["all"], hant["at_dedup"]) == pytest.approx((0.9, 0.09, 0.1))


def test_deduplication_that_takes_one_script_for_the_other_stands_out() -> None:
    # Twins in both scripts: one fold of them, and the Simplified ones are those that stay.
    rows = [
        *many(180, **HANS),
        *dropped(20, "short", **HANS),
        *many(90, stage="dedup", action="duplicate_of", rule="minhash", **HANT),
        *dropped(10, "short", **HANT),
    ]
    facts = facts_of(rows)

    first = table(facts, "copies")[0]
    found = figures(facts)

    assert standing(facts) == {}
    assert (first["group"], first["survival"], first["rest"], first["rule"]) == ("zho_Hant", 0, 1, "minhash")
    assert first["taken"] == 90
    assert found["hant_hans"].value == pytest.approx(1)
    assert found["hant_hans_all"].value == 0
    assert "takes 100.0% of zho_Hant and 0.0% of zho_Hans" in found["hant_hans_all"].note.en


def test_the_ratio_of_two_scripts_has_the_interval_of_katz() -> None:
    rows = [*many(60, **HANT), *dropped(40, "short", **HANT), *many(150, **HANS), *dropped(50, "short", **HANS)]
    katz = relative_risk(60, 100, 150, 200)

    found = figures(facts_of(rows))["hant_hans"]

    assert found.value == pytest.approx(katz.relative_risk)
    assert (found.low, found.high) == pytest.approx(tuple(katz.confidence_interval(0.95)), rel=1e-6)
    assert found.note.en.startswith("they differ most by quality: short, which takes 40.0% of zho_Hant and 25.0%")


def test_within_sources_a_ratio_is_that_of_equals() -> None:
    # Each source treats both alike, but one is harsh and mostly Traditional (Simpson 1951).
    harsh, mild = {"source": "forum"}, {"source": "laws"}
    rows = [
        *many(9, **{**HANT, **harsh}), *dropped(81, "short", **{**HANT, **harsh}),
        *many(1, **{**HANS, **harsh}), *dropped(9, "short", **{**HANS, **harsh}),
        *many(9, **{**HANT, **mild}), *dropped(1, "short", **{**HANT, **mild}),
        *many(81, **{**HANS, **mild}), *dropped(9, "short", **{**HANS, **mild}),
    ]  # fmt: skip

    found = figures(facts_of(rows))

    assert found["hant_hans"].value == pytest.approx(0.18 / 0.82)
    assert found["hant_hans_within"].value == pytest.approx(1)
    assert found["hant_hans_within"].low < 1 < found["hant_hans_within"].high


def test_within_sources_copies_that_left_before_the_filters_are_not_among_those_that_they_leave() -> None:
    # The filter takes half of both scripts; half of the Simplified were gone before it.
    rows = [
        *many(40, **HANT),
        *dropped(40, "short", **HANT),
        *many(20, **HANS),
        *dropped(20, "short", **HANS),
        *many(40, stage="exact", action="duplicate_of", rule="exact", **HANS),
    ]

    found = figures(facts_of(rows, ("ingest", "language", "exact", "quality")))

    assert found["hant_hans"].value == pytest.approx(1)
    assert found["hant_hans_within"].value == pytest.approx(1)


def test_strata_of_one_are_the_ratio_with_the_interval_of_katz() -> None:
    # Greenland and Robins' variance of a single stratum is Katz': 1/a - 1/n + 1/b - 1/m.
    katz = relative_risk(60, 100, 150, 200)

    made = within_strata([(60, 100, 150, 200), (5, 10, 0, 0)])

    assert made is not None
    assert tuple(made) == pytest.approx((katz.relative_risk, *katz.confidence_interval(0.95)), rel=1e-6)
    assert within_strata([(5, 10, 0, 0)]) is None


def test_where_no_source_holds_both_the_figure_says_that_they_cannot_be_told_apart() -> None:
    laws = {**HANT, "source": "laws"}
    rows = [*many(90, **HANS), *dropped(10, "short", **HANS), *many(9, **laws), *dropped(1, "short", **laws)]

    found = figures(facts_of(rows))

    assert "hant_hans_within" not in found
    assert "cannot be told apart" in found["hant_hans"].note.en


def test_documents_that_left_before_their_language_was_told_are_in_no_group() -> None:
    rows = [
        *many(8, **HANS),
        *many(8, **HANT),
        *dropped(2, "short", **HANT),
        *dropped(30, "no_text", "ingest", source="crawl"),
    ]
    facts = facts_of(rows)

    made = next(each for each in section(facts).tables if each.key == "survival.language")

    assert {row["group"]: row["documents"] for row in table(facts, "language")} == {"zho_Hans": 8, "zho_Hant": 10}
    assert "at_ingest" not in [column.key for column in made.columns]
    assert made.note is not None
    assert made.note.en == "Of 30 documents that left, none of these groups is known; at ingest it is known of none."


def test_an_axis_of_which_nothing_is_known_where_documents_left_is_not_shown() -> None:
    # As of a run whose ledger does not say languages: all that is left of each has survived.
    rows = [*many(8, **HANS), *many(8, **HANT), *dropped(30, "short", source="crawl"), *many(2, source="laws")]

    assert "language" not in {axis.key for axis in axes_of(facts_of(rows))}
    assert "source" in {axis.key for axis in axes_of(facts_of(rows))}


def test_hosts_and_years_of_which_nothing_is_known_where_documents_left_are_not_shown() -> None:
    rows = [
        *many(20, host="a.cn", crawl_time=1_500_000_000, source="crawl"),
        *many(1, host="b.tw", crawl_time=1_700_000_000, source="crawl"),
        *dropped(30, "short", source="crawl"),
    ]
    facts = facts_of(rows)

    assert {"hosts", "tld", "year"} & {axis.key for axis in axes_of(facts)} == set()
    assert "survival.host" not in {each.key for each in section(facts).tables}


def test_dialect_classical_and_mixed_text_have_figures_of_their_own() -> None:
    rows = [
        *many(10, **HANS),
        *many(3, language="yue_Hant"),
        *dropped(7, "function_words", language="yue_Hant"),
        *many(5, language="lzh_Hant"),
        *dropped(5, "function_words", language="lzh_Hans"),
        *many(1, language="mixed"),
        *dropped(3, "letters", language="mixed"),
        *many(40, **ENGLISH),
    ]

    found = figures(facts_of(rows))

    assert [found[key].value for key in ("hans", "yue", "lzh", "mixed")] == pytest.approx([1, 0.3, 0.5, 0.25])
    assert found["yue"].command == "datapipe show DIR 'language=yue_*'"


def test_of_hundreds_of_fair_groups_seldom_one_stands_out() -> None:
    """40 axes of 100 groups of 1 to 59 documents, of which each survives by chance alone: at most 4 axes say a word."""
    draw = np.random.default_rng(3)
    wrong = 0
    for rate in (0.05, 0.5, 0.86, 0.97) * 10:
        sizes = draw.integers(1, 60, 100)
        kept = draw.binomial(sizes, rate)
        groups = {
            str(number): Passage(int(stays), {("quality", "drop", "rule"): int(came - stays)})
            for number, (came, stays) in enumerate(zip(sizes, kept, strict=True))
        }
        axis = Axis("source", Words(en="By source", zh="按来源"), groups, {}, Passage(), together(groups.values()))
        wrong += any(group.stands_out for group in groups_of(axis, ("quality",)))

    assert wrong <= 4


def test_years_and_top_level_domains_are_groups_too() -> None:
    early, late = 1_500_000_000, 1_700_000_000  # 2017-07-14 and 2023-11-14
    rows = [
        *many(90, host="a.cn", crawl_time=late, source="crawl"),
        *dropped(10, "short", host="a.cn", crawl_time=late, source="crawl"),
        *many(10, host="b.tw", crawl_time=early, source="crawl"),
        *dropped(30, "old", host="c.tw", crawl_time=early, source="crawl"),
        *many(5, source="crawl"),
    ]
    facts = facts_of(rows)

    assert {row["group"]: row["survival"] for row in table(facts, "year")} == pytest.approx({"2017": 0.25, "2023": 0.9})
    assert {row["group"]: row["survival"] for row in table(facts, "tld")} == pytest.approx({"cn": 0.9, "tw": 0.25})
    assert standing(facts)["tld", "tw"].cause == ("quality", "drop", "old")
    made = next(each for each in section(facts).tables if each.key == "survival.year")
    # `year` is what pages state; that of the crawl is in its month.
    assert made.commands == ("datapipe show DIR 'month~2017-'", "datapipe show DIR 'month~2023-'")


def test_what_is_lost_of_the_two_scripts_adds_up_to_the_difference_of_their_survival() -> None:
    rows = [
        *many(60, **HANT),
        *dropped(25, "short", **HANT),
        *many(15, stage="dedup", action="duplicate_of", rule="exact", **HANT),
        *many(150, **HANS),
        *dropped(50, "digits", **HANS),
    ]
    facts = facts_of(rows)

    parts = table(facts, "pair")

    assert sum(row["difference"] for row in parts) == pytest.approx(0.75 - 0.6)
    assert [row["rule"] for row in parts] == ["digits", "short", "exact"]


@pytest.mark.parametrize(("found", "amount"), [(3, 20), (0, 7), (19, 20)])
def test_chance_is_a_tail_of_the_binomial_distribution(found: int, amount: int) -> None:
    rest = Estimate(0.6, 0.55, 0.65)
    more = found / amount > 0.6

    made = chance(Survival(Estimate(found / amount, 0, 1), amount), rest)

    expected = binom.sf(found - 1, amount, 0.65) if more else binom.cdf(found, amount, 0.55)
    assert made == pytest.approx(expected, rel=1e-9)


def test_a_run_of_one_document_has_a_section() -> None:
    assert figures(facts_of(many(1, **HANS)))["filters"].value == 1


def test_survival_of_a_run_is_that_of_its_documents(facts: Facts) -> None:
    cube = facts.tables["cube"].to_pylist()
    stages = stages_of(facts.run)

    for axis in axes_of(facts):
        for group in groups_of(axis, stages):
            if axis.key == "source":
                rows = [row for row in cube if row["source"] == group.name]
                kept = sum(row["documents"] for row in rows if not row["stage"])
                whole = sum(row["documents"] for row in rows)
                assert group.all.rate.value == pytest.approx(kept / whole)
