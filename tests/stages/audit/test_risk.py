from typing import Any

import pyarrow as pa
import pytest

from stages.audit import risk
from stages.audit.findings import Details, Items, Labels, Unsafe
from tests.stages.audit.counted import commands, facts_of, figures, rows, tables
from tests.stages.audit.rows import frame, id_of, ledger

PII = {"stages": [{"stage": "pii", "rules": [], "counts": {}}]}


def test_personal_details_are_counted_by_kind_for_documents_that_stayed_and_that_left() -> None:
    kept = frame([{"source": "a", "pii": 3, "tokens": 1_000_000, "trained": 0}, {"source": "a", "tokens": 1_000_000}])
    left = frame([{"id": id_of(7), "stage": "dedup", "action": "duplicate_of", "source": "b"}])
    told = ledger(
        [
            {"id": id_of(0), "stage": "pii", "action": "repair", "rule": "pii_email", "value": 2.0, "source": "a"},
            {"id": id_of(0), "stage": "pii", "action": "repair", "rule": "pii_ip", "value": 1.0, "source": "a"},
            {"id": id_of(7), "stage": "pii", "action": "repair", "rule": "pii_email", "value": 5.0, "source": "b"},
            {"id": id_of(7), "stage": "dedup", "action": "duplicate_of", "rule": "minhash", "source": "b"},
            {"id": id_of(0), "stage": "quality", "action": "repair", "rule": "pii_like", "value": 9.0, "source": "a"},
        ]
    )

    facts = facts_of(kept, left, told, run=PII)
    made, found = tables(risk.sections(facts)), figures(risk.sections(facts))

    assert rows(made["risk.pii"], "kind", "state", "documents", "details", "rate") == [
        ("email", "left", 1, 5, None),
        ("email", "stayed", 1, 2, 1.0),
        ("ip", "stayed", 1, 1, 0.5),
    ]
    assert found["risk.pii.all"].value == 1.5
    assert found["risk.pii.email"].value == 1.0
    assert found["risk.pii.card"].value == 0.0
    assert found["risk.pii.email"].command == "datapipe show DIR noted=pii_email --kept"
    assert found["risk.pii.card"].command is None  # no row of the ledger names such a rule
    assert commands(made["risk.pii"])[0] == "datapipe show DIR noted=pii_email --left"


def test_documents_with_personal_details_have_wilsons_interval() -> None:
    kept = frame([{"source": "a", "pii": 1, "tokens": 1}] * 3 + [{"source": "a", "pii": 0, "tokens": 1}] * 997)

    told = figures(risk.sections(facts_of(kept, run=PII)))["risk.pii.documents"]

    # Wilson 1927 for 3 of 1,000: .00102 to .00878
    assert (told.value, round(told.low or 0, 5), round(told.high or 0, 5)) == (0.003, 0.00102, 0.00878)


def test_details_that_the_config_leaves_in_the_text_are_told() -> None:
    run = {"stages": [{"stage": "pii", "rules": [], "counts": {"email.mask": 3, "ip.keep": 4, "reserved.ip": 5}}]}

    told = figures(risk.sections(facts_of(frame([{"source": "a", "tokens": 1}]), run=run)))

    assert told["risk.pii.left_in"].value == 4


def test_nothing_is_said_of_personal_details_where_no_step_looked_for_them() -> None:
    told = figures(risk.sections(facts_of(frame([{"source": "a", "tokens": 1}]))))

    assert not any(key.startswith("risk.pii") for key in told)


def unsafe(*densities: float) -> pa.Table:
    """Returns documents that stayed, with three adult terms each, of these densities."""
    rows = [
        {"source": "a", "adult_density": one, "adult_terms": 3, "spam_density": 0.0, "spam_terms": 0}
        for one in densities
    ]
    return frame(rows, adult_terms=pa.int32(), spam_terms=pa.int32())


def test_what_stayed_beyond_the_limits_and_what_a_rule_took_are_unsafe() -> None:
    left = frame([{"id": id_of(8), "stage": "quality", "action": "drop", "rule": "zh_length", "source": "b"}])
    told = ledger(
        [
            {"id": id_of(8), "stage": "quality", "action": "drop", "rule": "zh_length"},
            {"id": id_of(8), "stage": "quality", "action": "also", "rule": "spam_dense"},
        ]
    )

    counter = Unsafe()
    made = counter.merge([counter.count(unsafe(6.0, 6.5, 20.0), None), counter.count(left, told)])

    assert [(row["source"], row["topic"], row["left"], row["documents"]) for row in made.to_pylist()] == [
        ("a", "adult", False, 2),
        ("a", "any", False, 2),
        ("b", "any", True, 1),
        ("b", "spam", True, 1),
    ]


def test_a_source_of_which_more_than_a_20th_is_unsafe_stands_first() -> None:
    stages = [
        {"stage": "ingest", "rules": [], "counts": {}},
        {"stage": "safety", "rules": [], "counts": {}},
        {"stage": "quality", "rules": [], "counts": {"evaluated.spam_rate": 40}},
    ]
    kept = frame([{"source": "a", "tokens": 1}] * 18 + [{"source": "b", "tokens": 1}] * 400)
    gone = [
        {"id": id_of(1000), "stage": "quality", "action": "drop", "rule": "spam_rate", "source": "a"},
        {"id": id_of(1001), "stage": "quality", "action": "drop", "rule": "spam_dense", "source": "a"},
        {"id": id_of(1002), "stage": "ingest", "action": "drop", "rule": "no_text", "source": "a"},
    ]

    made = tables(risk.sections(facts_of(kept, frame(gone), ledger(gone), run={"stages": stages})))[
        "risk.unsafe_sources"
    ]

    # 2 of the 20 that came to the quality step: 10 %, Wilson 2.8 to 30.1 %
    assert rows(made, "source", "came", "spam", "rate", "stayed", "state") == [
        ("a", 20, 2, 0.1, 0, "above"),
        ("b", 400, 0, 0.0, 0, "below"),
    ]
    assert [round(one, 3) for one in rows(made, "rate_low", "rate_high")[0]] == [0.028, 0.301]


def test_benchmarks_are_told_by_documents_tokens_and_items() -> None:
    kept = frame(
        [
            {"source": "a", "contamination": "c-eval:1 mmlu:2", "tokens": 10, "trained": 30},
            {"source": "a", "contamination": "mmlu:1", "tokens": 5, "trained": 0},
            {"source": "b", "tokens": 85, "trained": 70},
            {"source": "b", "tokens": 0, "trained": 0},
        ]
    )
    found = pa.table(
        {
            "benchmark": ["c-eval", "mmlu", "mmlu", "mmlu"],
            "item": ["t:1", "u:1", "u:2", "u:1"],
            "share": pa.array([0.25, 0.1, 0.2, 0.5], pa.float32()),
        }
    )
    run = {"stages": [{"stage": "decontaminate", "rules": [], "counts": {}}]}

    facts = facts_of(kept, files={"signals/contamination-": found}, run=run)
    made, told = tables(risk.sections(facts)), figures(risk.sections(facts))

    assert rows(made["risk.contamination"], "benchmark", "items", "half", "documents", "rate", "tokens", "trained") == [
        ("c-eval", 1, 0, 1, 0.25, 10, 30),
        ("mmlu", 2, 1, 2, 0.5, 15, 30),
    ]
    assert rows(made["risk.items"], "item", "share", "documents")[0] == ("u:1", 0.5, 2)
    assert told["risk.contamination.mmlu"].value == 0.5
    assert told["risk.contamination.c_eval"].command == "datapipe show DIR contamination=c-eval --kept"
    assert told["risk.contamination.mmlu"].command == "datapipe show DIR contamination=mmlu --kept"


def test_items_are_merged_by_their_sums_and_their_greatest_share() -> None:
    def part(*shares: float) -> pa.Table:
        count = len(shares)
        return Items().count(
            pa.table({"benchmark": ["m"] * count, "item": ["1"] * count, "share": pa.array(shares, pa.float32())}), None
        )

    parts = [part(0.25), part(0.75, 0.5), part()]

    merged = Items().merge([Items().merge(parts[:2]), parts[2]])

    assert merged.to_pylist() == [{"benchmark": "m", "item": "1", "documents": 3, "half": 2, "share": 0.75}]
    assert merged.equals(Items().merge(parts[::-1]))


def test_labels_of_a_classifier_of_machine_written_text_are_found_by_their_columns() -> None:
    given: list[dict[str, Any]] = [
        {"aigc": "machine", "aigc_score": 0.9, "toxicity": 0.75, "rank": 7.0, "tokens": 10, "trained": 20},
        {"aigc": "human", "aigc_score": 0.8, "toxicity": 0.25, "rank": 0.5, "tokens": 30, "trained": 20},
        {"aigc": "human", "aigc_score": 0.6, "toxicity": None, "rank": 0.5, "tokens": 60, "trained": 0},
        {"aigc": None, "aigc_score": None, "toxicity": float("nan"), "rank": 0.5, "tokens": 60, "trained": 0},
    ]
    kinds = {"aigc": pa.string(), "aigc_score": pa.float32(), "toxicity": pa.float32(), "rank": pa.float64()}
    kept = frame(given, **kinds)

    facts = facts_of(kept)
    made, told = tables(risk.sections(facts)), figures(risk.sections(facts))

    assert rows(made["risk.labels_aigc"], "label", "documents_share", "tokens_share", "trained_share") == [
        ("human", 2 / 3, 0.9, 0.5),
        ("machine", 1 / 3, 0.1, 0.5),
    ]
    assert told["risk.label.aigc.machine"].value == pytest.approx(1 / 3)
    assert told["risk.label.aigc.machine"].command == "datapipe show DIR aigc=machine --kept"
    assert told["risk.score.toxicity.above50"].value == 0.5
    assert "risk.labels_rank" not in made  # 7 is no score


def test_columns_of_ours_are_no_labels() -> None:
    kept = frame([{"source": "a", "quality": 0.5, "language": "x", "language_score": 0.5}], format_score=pa.float32())

    assert Labels().count(kept, None).num_rows == 0


def test_charsets_that_differ_from_what_is_stated_are_counted_among_pages_that_state_one() -> None:
    found = pa.table(
        {
            "charset_declared": ["gb18030", "utf-8", None, "cp1252"],
            "charset": ["gb18030", "utf-8", "utf-8", "gb18030"],
            "charset_by": ["http", "utf-8", "given", "detected"],
            "documents": [5, 10, 7, 1],
            "replaced": [0, 3, 0, 0],
            "suspects": [0, 0, 2, 0],
        }
    )

    facts = facts_of(frame([{"source": "a"}]), files={"signals/charsets-": found})
    told, made = figures(risk.sections(facts)), tables(risk.sections(facts))

    assert told["risk.charset.wrong"].value == 1 / 16
    assert told["risk.charset.replaced"].value == 3
    assert told["risk.charset.suspects"].value == 2
    assert rows(made["risk.charsets"], "charset_declared", "charset", "documents")[0] == ("utf-8", "utf-8", 10)
    assert commands(made["risk.charsets"])[1] == (
        "datapipe show DIR charset_declared=none charset=utf-8 charset_by=given --kept"
    )


def test_pages_that_ask_not_to_be_used_are_counted_among_pages() -> None:
    kept = frame(
        [
            {"source": "web", "no_ai": True, "robots": "noindex,nofollow"},
            {"source": "web", "no_ai": False, "robots": "googlebot:noindex"},
            {"source": "web", "no_ai": False, "robots": None},
            {"source": "web", "no_ai": False, "robots": "none"},
            {"source": "books", "no_ai": None, "robots": None},
        ],
        no_ai=pa.bool_(),
        robots=pa.string(),
    )
    run = {
        "stages": [{"stage": "ingest", "rules": [{"action": "drop", "rule": "robots", "documents": 6}], "counts": {}}]
    }

    told = figures(risk.sections(facts_of(kept, run=run)))

    assert told["risk.no_ai"].value == 0.25
    assert told["risk.noindex"].value == 0.5
    assert told["risk.robots.left"].value == 6


def test_details_of_no_rows_are_none() -> None:
    assert Details().count(frame([]), ledger([])).num_rows == 0
