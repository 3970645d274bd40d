"""What the report says of concentration, of the tail and of thresholds: numbers by hand, commands, odd corpora."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stages.audit import hosts, sweep, tail
from stages.audit.counter import Facts
from stages.audit.model import Figure, Section, Table
from tests.stages.audit.rows import frame
from tests.stages.audit.summing import facts_of_rows


def document(host: str | None = None, **more: Any) -> dict[str, Any]:
    return {"host": host, "source": "web", "file": "a.warc.gz", "tokens": 10, "trained": 10, **more}


# Documents by host 4, 2, 1, 1; tokens 40, 20, 10, 30; as trained 0, 80, 10, 10. Two more have no host, one of 10 left.
ROWS = [
    *[document("a.x.com", trained=0, quality=0.25, language="eng_Latn", cluster_size=1)] * 4,
    *[document("b.x.com", trained=40, quality=0.5, language="zho_Hans", cluster_size=3)] * 2,
    document("y.cn", quality=1.0, language="zho_Hans", cluster_size=1),
    document("z.cn", tokens=30, quality=1.0, language="zho_Hans", cluster_size=1),
    *[document(None, source="books", file="b.jsonl", tokens=45, trained=50, licence="CC0-1.0")] * 2,
    {"host": "z.cn", "source": "web", "stage": "quality", "action": "drop", "rule": "short", "bytes": 3},
]


@pytest.fixture(scope="module")
def told() -> dict[str, Section]:
    return sections_of(facts_of_rows(frame(ROWS)))


def sections_of(facts: Facts) -> dict[str, Section]:
    return {section.key: section for part in (hosts, tail, sweep) for section in part.sections(facts)}


def figures_of(section: Section) -> dict[str, Figure]:
    return {figure.key: figure for figure in section.figures}


def table_of(section: Section, key: str) -> Table:
    return next(table for table in section.tables if table.key == key)


def dicts(table: Table) -> list[dict[str, Any]]:
    return [dict(zip([column.key for column in table.columns], row, strict=True)) for row in table.rows]


# Concentration


def test_hosts_are_told_in_three_weightings(told: dict[str, Section]) -> None:
    """Shares of documents .5 .25 .125 .125: 2^1.75 effective hosts; of tokens .4 .3 .2 .1; as trained .8 .1 .1."""
    found = figures_of(told["hosts"])

    assert found["hosts.number"].value == 4
    assert found["hosts.effective.documents"].value == pytest.approx(2**1.75)
    assert found["hosts.hill2.tokens"].value == pytest.approx(1 / (0.16 + 0.09 + 0.04 + 0.01))
    assert found["hosts.hill2.trained"].value == pytest.approx(1 / (0.64 + 0.01 + 0.01))
    assert [found[f"hosts.top1.{weight}"].value for weight in ("documents", "tokens", "trained")] == pytest.approx(
        [0.5, 0.4, 0.8]
    )
    assert found["hosts.gini.tokens"].value == pytest.approx((-3 * 10 - 20 + 30 + 3 * 40) / 400)
    assert found["domains.effective.documents"].value == pytest.approx(
        (0.75**-0.75) * (0.125**-0.125) ** 2
    )  # x.com, y.cn, z.cn
    assert found["tlds.top1.documents"].value == 0.75
    assert found["sources.top1.tokens"].value == pytest.approx(100 / 190)


def test_documents_without_a_host_are_said_and_not_counted_as_one(told: dict[str, Section]) -> None:
    found = figures_of(told["hosts"])

    assert found["hosts.none.documents"].value == 0.2
    assert found["hosts.none.tokens"].value == pytest.approx(90 / 190)
    assert found["hosts.none.documents"].command == "datapipe show DIR host=none --kept"
    assert found["hosts.none.trained"].value == pytest.approx(0.5)


def test_licences_of_what_left_are_not_known_so_none_are_said_to_have_come(told: dict[str, Section]) -> None:
    axes = [(row["axis"], row["weighting"]) for row in dicts(table_of(told["hosts"], "hosts.concentration"))]

    assert "licences.came" not in figures_of(told["hosts"])
    assert next(weight for axis, weight in axes if "licences" in axis) == "documents"
    assert next(weight for axis, weight in axes if "sources" in axis) == "came"


def test_the_largest_host_leads_to_its_documents(told: dict[str, Section]) -> None:
    found = figures_of(told["hosts"])
    top = table_of(told["hosts"], "hosts.top")

    assert found["hosts.top1.tokens"].command == "datapipe show DIR host=a.x.com --kept"
    assert found["hosts.top1.trained"].command == "datapipe show DIR host=b.x.com --kept"
    assert [row[0] for row in top.rows] == ["a.x.com", "z.cn", "b.x.com", "y.cn"]
    assert top.commands is not None
    assert top.commands[1] == "datapipe show DIR host=z.cn --kept"
    assert dicts(top)[1] == {
        "host": "z.cn",
        "documents_share": 0.125,
        "tokens_share": 0.3,
        "trained_share": 0.1,
        "came": 2,
        "documents": 1,
        "survival": 0.5,
    }


def test_figures_of_the_corpus_have_intervals_of_its_source(told: dict[str, Section]) -> None:
    """Half of 8 documents: .5 ± 1.96 √(.25 / 8)."""
    found = figures_of(told["hosts"])["hosts.top1.documents"]

    assert found.low == pytest.approx(0.5 - 1.959964 * (0.25 / 8) ** 0.5)
    assert found.high == pytest.approx(0.5 + 1.959964 * (0.25 / 8) ** 0.5)
    assert hosts.SAMPLED.en in str(table_of(told["hosts"], "hosts.concentration").note)


def test_what_came_stands_beside_what_stayed(told: dict[str, Section]) -> None:
    rows = dicts(table_of(told["hosts"], "hosts.concentration"))

    assert rows[0]["weighting"].startswith("came")
    assert rows[0]["hill2"] == pytest.approx(81 / (16 + 4 + 4 + 1))  # 4, 2, 2, 1
    assert rows[1]["hill2"] == pytest.approx(64 / (16 + 4 + 1 + 1))


def test_rarefied_numbers_are_of_documents_with_a_host(told: dict[str, Section]) -> None:
    """Of the 28 pairs of eight documents 6 + 1 are of one host: 2 - 1/4 hosts on average."""
    facts = facts_of_rows(frame([{**row, "tokens": 500_000} if row.get("tokens") else row for row in ROWS]))
    rows = dicts(table_of(sections_of(facts)["hosts"], "hosts.rarefied"))

    assert rows[0]["documents"] == 2
    assert rows[0]["tokens"] == 1_000_000
    assert rows[0]["hosts"] == pytest.approx(1.75)
    assert figures_of(sections_of(facts)["hosts"])["hosts.rarefied.tokens1000000"].value == pytest.approx(1.75)
    assert rows[-1]["documents"] == 8
    assert rows[-1]["hosts"] == pytest.approx(4)


def test_curves_and_ranks_are_drawn(told: dict[str, Section]) -> None:
    lorenz, ranks = (table_of(told["hosts"], key) for key in ("hosts.lorenz", "hosts.ranks"))

    assert lorenz.rows[25] == pytest.approx((0.5, 0.25, 0.3, 0.15))  # of 1, 1, 2, 4; 10, 20, 30, 40; 10, 10, 80
    assert [row[1] for row in ranks.rows] == [4, 2, 1, 1]
    assert [row[3] for row in ranks.rows] == [80, 10, 10, None]
    assert lorenz.chart is not None
    assert ranks.chart is not None
    assert (lorenz.chart.kind, ranks.chart.kind) == ("lorenz", "rank")


# The tail


def test_text_of_small_hosts_and_of_what_had_no_copy(told: dict[str, Section]) -> None:
    found = figures_of(told["tail"])
    rows = dicts(table_of(told["tail"], "tail.hosts"))

    assert [(row["number"], row["documents"], row["tokens"], row["trained"]) for row in rows[:3]] == [
        (2, 2, 40, 20),
        (4, 8, 100, 100),
        (4, 8, 100, 100),
    ]
    assert rows[0]["tokens_share"] == 0.4
    assert found["tail.hosts10.documents"].value == 1
    assert found["tail.clusters2.documents"].value == 0.75
    assert found["tail.clusters2.documents"].command == "datapipe show DIR 'cluster_size<2' --kept"


def test_the_web_is_what_archives_of_crawls_hold(told: dict[str, Section]) -> None:
    found = figures_of(told["tail"])
    rows = dicts(table_of(told["tail"], "tail.origins"))

    assert found["tail.archive.documents"].value == 0.8
    assert found["tail.none.tokens"].value == pytest.approx(90 / 190)
    assert [(row["source"], row["documents"], row["tokens"]) for row in rows] == [("web", 8, 100), ("books", 2, 90)]


# Thresholds


def test_each_threshold_is_told_exactly(told: dict[str, Section]) -> None:
    """Of 8 documents that have a score 4 reach .5, with 60 of 100 tokens: b.x.com 20, y.cn 10, z.cn 30."""
    rows = {row["threshold"]: row for row in dicts(table_of(told["sweep"], "sweep.thresholds"))}
    found = figures_of(told["sweep"])

    assert found["sweep.scored"].value == 8
    assert found["sweep.kept50.documents"].value == 0.5
    assert found["sweep.kept50.tokens"].value == 0.6
    assert found["sweep.kept50.trained"].value == 1
    assert rows[0.5]["host_number"] == 3
    assert rows[0.5]["host_effective"] == pytest.approx(3 ** (1 / 3) * 6 ** (1 / 6) * 2 ** (1 / 2))
    assert rows[0.0]["host_documents_effective"] == pytest.approx(2**1.75)
    assert rows[0.55]["host_number"] == 2
    assert rows[0.5]["language_effective"] == pytest.approx(1)


def test_the_threshold_at_which_a_language_loses_half(told: dict[str, Section]) -> None:
    """All English has .25, so the next step takes all of it; of Chinese 40 of 60 tokens have 1."""
    facts = facts_of_rows(frame(ROWS * 5))  # of 20 documents and more each
    found = figures_of(sections_of(facts)["sweep"])

    assert found["sweep.half.eng_Latn"].value == 257 / 1024
    assert found["sweep.half.eng_Latn"].command == "datapipe show DIR language=eng_Latn 'quality<0.2509765625' --kept"
    assert found["sweep.half.zho_Hans"].value is None
    assert found["sweep.half.zho_Hans"].note == sweep._NEVER
    assert told["sweep"].tables[1].key == "sweep.language"
    assert [column.label.en for column in told["sweep"].tables[1].columns[1:]] == ["zho_Hans", "eng_Latn"]


def test_where_no_classifier_ran_certainty_of_languages_is_swept_and_it_says_so() -> None:
    rows = [document("a.com", language="zho_Hans", language_score=score / 4) for score in range(5)]
    facts = facts_of_rows(frame(rows))
    section = sections_of(facts)["sweep"]

    assert figures_of(section)["sweep.kept50.documents"].value == 0.6
    assert figures_of(section)["sweep.kept50.documents"].command == "datapipe show DIR 'language_score>=0.5' --kept"
    assert [words.en[:30] for words in sweep.missing(facts)] == ["What thresholds on quality wou"]
    assert list(sweep.missing(facts_of_rows(frame(ROWS)))) == []


# Odd corpora


def test_a_corpus_of_nothing_and_one_without_hosts_are_told_too() -> None:
    nothing = sections_of(facts_of_rows(frame([])))
    books = sections_of(facts_of_rows(frame([document(None, source="books")])))

    assert set(nothing) == {"hosts", "tail"}
    assert "hosts.effective.tokens" not in figures_of(books["hosts"])
    assert figures_of(books["hosts"])["hosts.none.documents"].value == 1
    assert figures_of(books["hosts"])["sources.effective.tokens"].value == 1


def test_a_run_without_tokens_speaks_of_characters() -> None:
    found = figures_of(
        sections_of(facts_of_rows(frame([{"host": "a.com", "source": "s", "characters": 7, "quality": 1.0}])))["hosts"]
    )

    assert found["hosts.effective.characters"].label.zh == "有效主机数（¹D）（按字符加权）"
    assert not any(key.endswith(("tokens", "trained")) for key in found)


def test_a_corpus_of_which_all_left_has_hosts_that_came() -> None:
    rows = [{"host": "a.com", "source": "s", "stage": "quality", "action": "drop", "rule": "short"}] * 3
    told = sections_of(facts_of_rows(frame(rows)))

    assert figures_of(told["hosts"])["hosts.none.documents"].value is None
    assert not told["tail"].tables or all(row for row in told["tail"].tables[0].rows)


def test_a_hostile_host_is_written_out_and_not_put_into_a_command() -> None:
    host = "evil\u202ecom.a\x1b[2J.com"
    told = sections_of(
        facts_of_rows(frame([document(host), document("<script>alert(1)</script>.com", source="'; ls")]))
    )
    top, text = table_of(told["hosts"], "hosts.top"), told["hosts"].model_dump_json()

    assert top.commands is not None
    assert {row[0] for row in top.rows} == {r"evil\u202ecom.a\u001b[2J.com", "<script>alert(1)</script>.com"}
    assert None in top.commands
    assert "datapipe show DIR 'host=<script>alert(1)</script>.com' --kept" in top.commands
    assert "\u202e" not in text
    assert table_of(told["tail"], "tail.origins").commands is not None
    assert "'source='\"'\"'; ls'" in str((table_of(told["tail"], "tail.origins").commands or ())[0])


def test_a_finished_run_is_told_whole(facts: Facts) -> None:
    """Of the repository's sample: keys are unique, every row as wide as its table, every figure has a command."""
    told = sections_of(facts)
    keys = [one.key for section in told.values() for one in (*section.figures, *section.tables)]

    assert set(told) == {"hosts", "tail", "sweep"}
    assert len(keys) == len(set(keys))
    for section in told.values():
        assert all(figure.command for figure in section.figures)
        for table in section.tables:
            assert {len(row) for row in table.rows} == {len(table.columns)}
            assert table.commands is None or len(table.commands) == len(table.rows)
    kept = sum(row["documents"] for row in dicts(table_of(told["hosts"], "sources.top")))
    came = sum(row["came"] for row in dicts(table_of(told["hosts"], "sources.top")))
    steps = facts.run["stages"]
    assert came == steps[0]["documents_in"]
    assert kept == [step["documents_out"] for step in steps if step["documents_out"]][-1]


def test_a_finished_run_has_the_numbers_that_duckdb_finds_in_its_index(facts: Facts, finished: Path) -> None:
    import duckdb

    index = finished / "corpus" / "index"
    sums = f"""
        with seen as (select doc_id, sum("end" - start) as trained from '{index}/segments-*.parquet' group by doc_id),
        held as (select source, count(*) as documents, sum(tokens) as tokens, sum(coalesce(trained, 0)) as trained
                 from '{index}/documents-*.parquet' left join seen using (doc_id) group by source)"""
    found = figures_of(sections_of(facts)["hosts"])

    for weight in ("documents", "tokens", "trained"):
        measures = "exp(-sum(p * ln(p))), max(p)"
        query = (
            f"{sums}, shares as (select {weight} / sum({weight}) over () as p from held) select {measures} from shares"
        )
        effective, top = duckdb.sql(query).fetchall()[0]

        assert found[f"sources.effective.{weight}"].value == pytest.approx(effective)
        assert found[f"sources.top1.{weight}"].value == pytest.approx(top)
