import pyarrow as pa

from stages.audit import sizes
from stages.audit.model import Words
from tests.stages.audit.counted import commands, facts_of, figures, rows, tables
from tests.stages.audit.rows import frame


def test_quantiles_of_sizes_are_exact_below_128_and_within_a_64th_above() -> None:
    kept = frame([{"language": "eng_Latn", "characters": size, "tokens": 1, "trained": 1} for size in range(1, 101)])
    large = frame(
        [{"language": "eng_Latn", "characters": 10_000 + size, "tokens": 1, "trained": 1} for size in range(3)]
    )

    made = tables(sizes.sections(facts_of(kept)))["sizes.characters_quantiles"]
    told = figures(sizes.sections(facts_of(large)))["sizes.characters.p50.documents"]

    # the size at which 5, 25, 50, 75, 95 and 99 of 100 documents are reached
    assert made.rows == (("all", 100, 5, 25, 50, 75, 95, 99), ("eng_Latn", 100, 5, 25, 50, 75, 95, 99))
    assert 9984 <= float(told.value or 0) <= 10111  # 78 * 128 and 127 more: 10,001 lies in that bin
    assert (told.low, told.high) == (None, None)  # it is no estimate
    assert "9,984" in (told.note or Words(en="", zh="")).en


def test_half_of_the_tokens_can_lie_in_few_documents() -> None:
    kept = frame(
        [{"characters": 10, "tokens": 1, "trained": 0}] * 9 + [{"characters": 100, "tokens": 91, "trained": 5}]
    )

    told = figures(sizes.sections(facts_of(kept)))

    assert told["sizes.characters.p50.documents"].value == 10
    assert told["sizes.characters.p50.tokens"].value == 100
    assert told["sizes.tokens.p50.trained"].value == 91
    assert told["sizes.characters.p50.tokens"].command == "datapipe show DIR 'characters<=100' --kept"


def test_lengths_are_drawn_in_halves_of_powers_of_two_without_gaps() -> None:
    kept = frame([{"characters": size, "tokens": size, "trained": size} for size in (3, 15, 24, 31, 50)])

    made = tables(sizes.sections(facts_of(kept)))["sizes.characters"]

    assert rows(made, "from", "documents", "tokens") == [(1, 2, 18), (16, 0, 0), (24, 2, 55), (32, 0, 0), (48, 1, 50)]
    assert list(commands(made))[:2] == [
        "datapipe show DIR 'characters<16' --kept",
        "datapipe show DIR 'characters>=16' 'characters<24' --kept",
    ]


def test_what_stayed_stands_beside_what_left_by_bytes() -> None:
    left = frame(
        [
            {"stage": "quality", "action": "drop", "bytes": 17},
            {"stage": "quality", "action": "drop", "bytes": 17},
            {"stage": "ingest", "action": "drop", "bytes": None},
            {"stage": "repair", "action": "split", "bytes": 17},
        ]
    )

    made = tables(sizes.sections(facts_of(frame([{"bytes": 18}, {"bytes": 25}]), left, left)))["sizes.bytes"]

    assert rows(made, "from", "stayed", "left") == [(16, 1, 2), (24, 1, 0)]
    assert rows(made, "survival")[0] == (1 / 3,)
    assert commands(made)[0] == "datapipe show DIR 'bytes>=16' 'bytes<24'"


def test_documents_cut_by_packing_are_those_of_the_manifest() -> None:
    manifest = {"packing": {"by": "concat", "seq_len": 256, "documents": 8, "cut_documents": 2}}

    told = figures(sizes.sections(facts_of(frame([{"tokens": 1}]), manifest=manifest)))

    assert told["sizes.cut.documents"].value == 0.25


def test_quality_scores_are_told_by_source_to_a_1024th() -> None:
    kept = frame(
        [
            {"source": "a", "quality": step / 1024, "tokens": weight, "trained": weight}
            for step, weight in ((0, 1), (511, 2), (512, 3), (1024, 4))
        ]
        + [{"source": "b", "quality": float("nan"), "tokens": 90, "trained": 0}]
    )

    made = tables(sizes.sections(facts_of(kept)))
    told = figures(sizes.sections(facts_of(kept)))

    assert [row for row in rows(made["sizes.quality"], "score", "documents", "tokens") if row[1]] == [
        (0.0, 1, 1),
        (0.45, 1, 2),
        (0.5, 1, 3),
        (0.95, 1, 4),
    ]
    assert rows(made["sizes.quality_source"], "source", "p50", "below50") == [("a", 511 / 1024, 0.5)]
    assert told["sizes.quality_below50.tokens"].value == 0.3  # of those that have a score
    assert [row for row in rows(made["sizes.quality_source_bars"], "source", "score", "share") if row[2]] == [
        ("a", "0", 0.25),
        ("a", "0.4", 0.25),
        ("a", "0.5", 0.25),
        ("a", "0.9", 0.25),
    ]


def test_scores_of_all_that_came_are_there_where_the_quality_step_looked_at_them() -> None:
    signals = pa.table({"quality": pa.array([103 / 1024, 0.125, 0.9375], pa.float32()), "rule": ["low", None, None]})
    kept = frame([{"source": "a", "quality": 0.9, "tokens": 1, "trained": 1}])

    made = tables(sizes.sections(facts_of(kept, files={"signals/part-": signals})))["sizes.quality_came"]

    assert [row for row in rows(made, "score", "passed", "broke", "survival") if row[1] or row[2]] == [
        (0.1, 1, 1, 0.5),
        (0.9, 1, 0, 1.0),
    ]
    assert commands(made)[2] == "datapipe show DIR 'quality>=0.1' 'quality<0.15'"


def test_time_is_told_by_month_year_and_side_of_the_day_that_chatgpt_opened() -> None:
    kept = frame(
        [
            {"source": "a", "published": "2021-05-06", "crawl_time": 1_700_000_000, "tokens": 10, "trained": 30},
            {
                "source": "a",
                "url": "https://a.example/2024/1",
                "crawl_time": 1_700_000_000,
                "tokens": 20,
                "trained": 10,
            },
            {"source": "b", "tokens": 70, "trained": 60},
        ]
    )

    made = tables(sizes.sections(facts_of(kept)))
    told = figures(sizes.sections(facts_of(kept)))

    assert rows(made["sizes.months"], "month", "documents", "tokens_share") == [("2023-11", 2, 0.3)]
    assert rows(made["sizes.years"], "year", "documents", "trained_share") == [("2021", 1, 0.3)]
    assert rows(made["sizes.url_years"], "url_year", "tokens") == [("2024", 20)]
    assert [told[f"sizes.era_{era}.tokens"].value for era in ("before", "after", "none")] == [0.1, 0.2, 0.7]
    assert told["sizes.era_before.trained"].value == 0.3
    assert told["sizes.uncrawled.tokens"].value == 0.7
    assert told["sizes.era_none.tokens"].command == "datapipe show DIR era=none --kept"
    assert rows(made["sizes.eras"], "source", "before", "after", "unknown")[1] == ("a", 10 / 30, 20 / 30, 0.0)
