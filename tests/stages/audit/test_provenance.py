from stages.audit import provenance
from tests.stages.audit.counted import commands, facts_of, figures, rows, tables
from tests.stages.audit.rows import frame

WEB = {"source": "web", "url": "https://a.example/1", "crawl_time": 5, "file": "a.warc", "offset": 9}
KEPT = [
    {**WEB, "licence": "CC0-1.0", "tokens": 10, "trained": 40},
    {**WEB, "licence": None, "tokens": 30, "trained": 10},
    {**WEB, "crawl_time": None, "offset": None, "licence": "MIT", "tokens": 20, "trained": 0},
    {"source": "notes", "licence": "MIT", "file": "n.jsonl.zst", "offset": 0, "tokens": 40, "trained": 50},
]


def test_completeness_is_told_in_three_weightings() -> None:
    told = figures(provenance.sections(facts_of(frame(KEPT))))

    def values(key: str) -> list[object]:
        return [told[f"provenance.{key}.{one}"].value for one in ("documents", "tokens", "trained")]

    assert values("url") == [0.75, 0.6, 0.5]
    assert values("date") == [0.5, 0.4, 0.5]
    assert values("licence") == [0.75, 0.7, 0.9]
    assert values("file") == [1.0, 1.0, 1.0]
    assert values("place") == [0.5, 0.4, 0.5]  # not in a file that is compressed as a whole
    assert values("stated") == [0.25, 0.1, 0.4]
    assert values("all") == [0.25, 0.1, 0.4]
    assert told["provenance.date.tokens"].command == "datapipe show DIR month=none --kept"


def test_what_a_source_lacks_most_is_listed_by_its_command() -> None:
    made = tables(provenance.sections(facts_of(frame(KEPT))))["provenance.sources"]

    assert rows(made, "source", "url", "date", "licence", "place", "all") == [
        ("web", 1.0, 2 / 3, 2 / 3, 2 / 3, 1 / 3),
        ("notes", 0.0, 0.0, 1.0, 0.0, 0.0),
    ]
    assert commands(made) == (
        "datapipe show DIR source=web month=none --kept",
        "datapipe show DIR source=notes url=none --kept",
    )


def test_licences_have_shares_and_none_is_one_that_is_not_known() -> None:
    made = tables(provenance.sections(facts_of(frame(KEPT))))
    told = figures(provenance.sections(facts_of(frame(KEPT))))

    assert rows(made["provenance.licences"], "licence", "documents", "tokens_share", "trained_share") == [
        ("MIT", 2, 0.6, 0.5),
        ("CC0-1.0", 1, 0.1, 0.4),
        (None, 1, 0.3, 0.1),
    ]
    assert told["licences.unknown.tokens"].value == 0.3
    assert told["licences.unknown.tokens"].command == "datapipe show DIR licence=none --kept"
    assert rows(made["provenance.source_licences"], "source", "licence", "share") == [
        ("web", "MIT", 20 / 60),
        ("web", None, 0.5),
        ("web", "CC0-1.0", 10 / 60),
        ("notes", "MIT", 1.0),
    ]


def test_licences_that_every_record_words_its_own_way_are_one_row() -> None:
    kept = [{"source": "web", "licence": f"by author {number:04}", "tokens": 1} for number in range(1002)]
    made = tables(provenance.sections(facts_of(frame([*kept, {"source": "web", "tokens": 5}]))))["provenance.licences"]

    assert [row[:2] for row in made.rows[:3]] == [("…", 2), (None, 1), ("by author 0000", 1)]
    assert commands(made)[:2] == (None, "datapipe show DIR licence=none --kept")
    assert made.of == 1002
    assert "1,000" in made.note.en


def test_what_remakes_the_corpus_is_named_by_digests_as_they_are() -> None:
    run = {"stages": [], "config_sha256": "12" * 32, "code_version": "0.1.0"}
    manifest = {"tokenizer": {"name": "t\u202e", "sha256": "ab" * 32}, "merkle_root": "00" * 32, "mix": {"seed": 0}}

    told = figures(provenance.sections(facts_of(frame(KEPT), run=run, manifest=manifest)))

    assert told["remaking.config"].value == "12" * 32
    assert told["remaking.tokenizer"].value == "t\\u202e"
    assert told["remaking.root"].value == "00" * 32
    assert told["remaking.seed"].value == 0
    assert "remaking.packing" not in told
