"""What people said of a sample, stored, logged and judged: rates by hand, agreement, exit status, faults."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from datapipe import ConfigError, DataError, Note
from stages.audit.group import app
from stages.audit.measures import wilson
from stages.audit.model import Section
from stages.audit.review.estimates import exact
from stages.audit.review.judgement import Judgement
from stages.audit.review.judging import judge
from stages.audit.review.kept import faults, judged
from stages.audit.review.model import Item, Sample, Stratum, Verdicts
from stages.audit.review.section import section
from stages.audit.signed.log import append, entries
from stages.audit.standing import digests

SOURCES = {"law": (1_000, 40), "web": (9_000, 60)}  # documents, and how many of them are drawn


def sample_of(
    folder: Path | None = None, by: str | None = "source", drawn: Mapping[str, tuple[int, int]] = SOURCES
) -> Sample:
    """Returns a sample of sources, of the corpus in a folder."""
    ids = {name: [hashlib.md5(f"{name}{n}".encode()).hexdigest() for n in range(own[1])] for name, own in drawn.items()}
    facts = {"script": "Hans", "format": "prose", "host": None, "url": None, "split": "train", "characters": 9}
    items = [
        Item.model_validate({"id": key, "source": name, "language": "zho_Hans" if n % 2 else "eng_Latn", **facts})
        for name, own in ids.items()
        for n, key in enumerate(own)
    ]
    strata = [Stratum(source=name, documents=own[0], drawn=own[1]) for name, own in drawn.items()]
    corpus = digests(str(folder)) if folder else {"published_sha256": "aa" * 32}
    parts = {"by": by, "where": (), "text": 400, "documents": 10_000, "strata": strata, "items": items}
    return Sample.model_validate({"name": "first", "corpus": corpus, "seed": 7, "asked": 100, **parts})


@cache
def large() -> Sample:
    """Returns a simple sample of as many documents as TC260-003 asks for."""
    return sample_of(by=None, drawn={"web": (10_000, 4_000)})


def said(sample: Sample, words: Mapping[int, str], reviewer: str = "Ann", many: int = 100) -> Verdicts:
    """Returns the verdicts of one who passes all of the first documents, but says these `word:reason` of some."""
    rows = []
    for number, item in enumerate(sample.items[:many]):
        verdict, _, reason = words.get(number, "pass").partition(":")
        rows.append({"id": item.id, "verdict": verdict, "reasons": [reason] if reason else [], "note": ""})
    return Verdicts.model_validate({"sample_sha256": sample.sha256, "reviewer": reviewer, "role": "", "verdicts": rows})


def judged_by(*given: Verdicts, sample: Sample) -> Judgement:
    """Returns what these say."""
    return judge(sample, [(f"{number:064x}", one) for number, one in enumerate(given)])


def test_rates_weigh_sources_and_count_unsure_ones_both_ways() -> None:
    sample = sample_of()

    made = judged_by(
        said(sample, {0: "fail:rights", 1: "fail:copy", 50: "fail", 60: "unsure", 61: "unsure:copy"}), sample=sample
    )

    passes, safe = made.rate("pass"), made.rate("safe")
    # law has 38 of 40 and web 57 of 60, or 59 where the unsure two pass; safe: 39 of 40 and 58 of 60, or 59
    assert (passes.passed, passes.failed, passes.unsure) == (95, 3, 2)
    assert passes.value.value == pytest.approx(0.1 * 38 / 40 + 0.9 * 57 / 60)
    assert passes.best.value == pytest.approx(0.1 * 38 / 40 + 0.9 * 59 / 60)
    assert (safe.passed, safe.failed, safe.unsure) == (97, 2, 1)
    assert safe.value.value == pytest.approx(0.1 * 39 / 40 + 0.9 * 58 / 60)
    assert (passes.state, passes.standard) == ("open", "few")
    assert made.without_reason == 1
    assert [(one.code, one.documents) for one in made.reasons if one.documents] == [("rights", 1), ("copy", 1)]


def test_a_simple_sample_has_wilsons_interval_of_a_part_of_the_corpus() -> None:
    sample = sample_of(by=None)

    made = judged_by(said(sample, dict.fromkeys(range(4), "fail:machine")), sample=sample).rate()

    size = 100 * 9_999 / 9_900
    assert (made.value.value, made.value.low, made.value.high) == pytest.approx(wilson(0.96 * size, size))


def test_the_five_percent_rule_counts_what_is_illegal_and_what_has_no_reason() -> None:
    sample = sample_of()
    words = {0: "fail:values", 1: "fail:unreliable", 2: "fail:machine", 3: "fail", 4: "unsure", 5: "unsure:copy"}

    made = judged_by(said(sample, words), sample=sample)

    law, web = made.sources
    assert (law.source, law.judged, law.failed, law.unsure) == ("law", 40, 2, 1)
    assert (law.rate.low, law.rate.high) == exact(1_000, 40, 2, maybe=1)[1:]
    assert (law.state, web.state, web.failed) == ("open", "open", 0)  # 60 without any do not tell yet: 72 would


@pytest.mark.parametrize(
    ("failed", "state", "among_all"),  # of 40 of 1,000: at least 5.9 % for 6, but 3.6 % at 1 - 5 % / 12
    [(5, "open", "open"), (6, "above", "open"), (9, "above", "above")],
)
def test_states_of_many_sources_are_told_at_once_more_carefully(failed: int, state: str, among_all: str) -> None:
    sample = sample_of(drawn={"law": (1_000, 40), **{f"other{n}": (1_000, 5) for n in range(11)}})

    made = judged_by(said(sample, dict.fromkeys(range(failed), "fail:values")), sample=sample).sources[0]

    assert (made.failed, made.state, made.among_all) == (failed, state, among_all)


def test_a_source_without_any_is_below_once_enough_are_judged() -> None:
    sample = sample_of(drawn={"web": (9_000, 100)})

    assert judged_by(said(sample, {}, many=72), sample=sample).sources[0].state == "below"
    assert judged_by(said(sample, {}, many=60), sample=sample).sources[0].state == "open"


@pytest.mark.parametrize(
    ("failed", "unsure", "state", "standard"),  # of 4,000 judged of 10,000: half a width of .47 points around 96 %
    [
        (100, 0, "above", "reached"),
        (155, 0, "open", "reached"),
        (165, 0, "open", "missed"),
        (155, 10, "open", "open"),
        (200, 0, "below", "missed"),
        (100, 100, "open", "open"),
    ],
)
def test_a_rate_is_held_to_the_limit_by_itself_and_by_its_interval(
    failed: int, unsure: int, state: str, standard: str
) -> None:
    sample = large()
    words = {**dict.fromkeys(range(failed), "fail"), **dict.fromkeys(range(failed, failed + unsure), "unsure")}

    made = judged_by(said(sample, words, many=4_000), sample=sample).rate()

    assert (made.state, made.standard) == (state, standard)


def test_documents_not_judged_are_not_counted_and_sources_without_any_widen_the_interval() -> None:
    sample = sample_of()

    made = judged_by(said(sample, {}, many=40), sample=sample)

    assert (made.judged, made.covered, made.in_order) == (40, 0.1, True)
    assert made.rate().value.value == 1.0
    assert made.rate().value.low < 0.1
    assert (made.rate().state, made.sources[-1].rate.value) == ("open", None)


def test_verdicts_that_pass_documents_over_are_told() -> None:
    sample = sample_of()
    few = said(sample, {})

    made = judged_by(few.model_copy(update={"verdicts": few.verdicts[5:]}), sample=sample)

    assert not made.in_order


def test_what_is_disputed_fails_strictly_and_goes_by_the_majority() -> None:
    sample = sample_of()
    two = (said(sample, {0: "fail", 1: "fail", 2: "fail"}), said(sample, {0: "fail", 3: "unsure"}, "Bo"))

    made = judged_by(*two, sample=sample)
    third = Verdicts.model_validate({**two[0].model_dump(), "reviewer": "Cy", "verdicts": two[1].verdicts[1:4]})
    after = judged_by(*two, third, sample=sample)

    strict, majority = made.rate("pass", "strict"), made.rate("pass", "majority")
    assert (strict.failed, strict.unsure, majority.failed, majority.unsure) == (3, 1, 1, 3)
    assert [one.verdicts for one in made.disputed] == [("fail", "pass"), ("fail", "pass"), ("pass", "unsure")]
    assert made.pairs[0].table == ((96, 0, 1), (2, 1, 0), (0, 0, 0))
    # 1 and 2 pass by two of three now; 3, which the third is unsure of too, is unsure
    assert (after.rate("pass", "majority").failed, after.rate("pass", "majority").unsure) == (1, 1)
    assert after.rate("pass", "strict").failed == 3
    assert (after.thirds, len(after.pairs), after.alpha) == ((3,), 1, None)


def test_three_reviewers_have_alpha_and_three_pairs() -> None:
    sample = sample_of()

    made = judged_by(*(said(sample, dict.fromkeys(range(k, 9), "fail"), f"R{k}") for k in range(3)), sample=sample)

    assert len(made.pairs) == 3
    assert made.alpha is not None
    assert made.alpha.value == pytest.approx(0.9097222222)  # krippendorff 0.9.0


def test_the_result_is_a_section_with_figures_of_unique_keys() -> None:
    sample = sample_of()
    made = section(judged_by(said(sample, {0: "fail"}), said(sample, {1: "fail:copy"}, "Bo"), sample=sample))

    keys = [one.key for one in (*made.figures, *made.tables)]
    assert Section.model_validate_json(made.model_dump_json()) == made
    assert len(keys) == len(set(keys))
    assert {"judged.pass", "judged.safe", "judged.rates", "judged.sources", "judged.agreement.1_2"} <= set(keys)
    assert "judged.reasons" not in [one.key for one in section(judged_by(said(sample, {}), sample=sample)).tables]
    assert all(len(row) == len(table.columns) for table in made.tables for row in table.rows)


# In a folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Returns a folder with what a run says that it published, and a sample of it."""
    place = tmp_path / "out"
    (place / "reports").mkdir(parents=True)
    (place / "reports" / "published.json").write_text(json.dumps({"files": {"documents/part-0.jsonl.zst": "bb" * 32}}))
    sample = place / "audit" / "samples" / "first" / "sample.json"
    sample.parent.mkdir(parents=True)
    sample.write_bytes(sample_of(place).to_json())
    return place


def given(folder: Path, name: str, words: Mapping[int, str], reviewer: str = "Ann") -> Path:
    """Returns a file of verdicts beside a folder."""
    path = folder.parent / name
    path.write_text(said(sample_of(folder), words, reviewer).model_dump_json())
    return path


def ran(folder: Path, *words: object) -> Result:
    """Runs `datapipe audit verdicts`."""
    return CliRunner().invoke(app, ["verdicts", str(folder), *map(str, words)], catch_exceptions=False)


def test_verdicts_are_stored_and_logged_once_and_a_corrected_file_replaces_the_first(folder: Path) -> None:
    first, second = given(folder, "v1.json", {0: "fail"}), given(folder, "v2.json", {0: "fail", 1: "fail"}, " ann ")

    assert "entry 1 of the log" in ran(folder, first).output
    assert "nothing new" in ran(folder, first).output
    assert "entry 2 of the log" in ran(folder, second).output

    log = entries(str(folder))
    stored = sorted(path.stem for path in (folder / "audit" / "verdicts").iterdir())
    assert [len(one.content["verdicts_sha256"]) for one in log] == [1, 1]
    assert log[1].content["replaces"] == log[0].content["verdicts_sha256"]
    assert stored == sorted(one.content["verdicts_sha256"][0] for one in log)
    assert "ann" not in json.dumps(log[1].content).lower()  # who it is stands in the file alone
    found = judged(str(folder))
    assert found is not None
    assert (found.rate().failed, len(found.reviewers), found.current) == (2, 1, True)
    assert list(faults(str(folder))) == []


def test_a_csv_and_what_the_sheet_saved_of_the_same_verdicts_are_one_file(folder: Path) -> None:
    sample, words = sample_of(folder), {0: "fail:copy"}
    rows = [f"{one.id},{one.verdict},{';'.join(one.reasons)},Ann" for one in said(sample, words).verdicts]
    sheet = folder.parent / "v.csv"
    sheet.write_bytes("\r\n".join(["id,verdict,reasons,reviewer", *reversed(rows)]).encode("utf-16"))

    ran(folder, given(folder, "v.json", words))
    made = ran(folder, sheet)

    assert "nothing new" in made.output
    assert "CSV in UTF-16, separated by commas; 100 judged, 0 not" in made.output


def test_faults_store_nothing_and_are_all_named(folder: Path) -> None:
    good, bad = given(folder, "good.json", {}), folder.parent / "bad.csv"
    bad.write_text("id,verdict,reviewer\n00,pass,Bo\n01,maybe,Bo\n")

    with pytest.raises(ConfigError) as error:
        ran(folder, good, bad)

    assert "nothing was stored, for 4 faults" in str(error.value)
    assert str(error.value).count(f"{bad}:") == 4
    assert not (folder / "audit" / "verdicts").exists()
    assert entries(str(folder)) == ()


def test_a_sample_of_another_corpus_is_refused(folder: Path) -> None:
    path = given(folder, "v.json", {})
    (folder / "reports" / "published.json").write_text(json.dumps({"files": {"documents/part-0.jsonl.zst": "cc" * 32}}))

    with pytest.raises(ConfigError, match="is of another corpus"):
        ran(folder, path)


def test_who_is_not_named_cannot_be_told_from_another_who_is_not(folder: Path) -> None:
    first, second = given(folder, "v1.json", {}, ""), given(folder, "v2.json", {1: "fail"}, "")
    ran(folder, first)

    with pytest.raises(ConfigError, match="a reviewer without a name, as are these"):
        ran(folder, second)
    ran(folder, second, "--reviewer", "Bo", "--replace")

    found = judged(str(folder))
    assert found is not None
    assert [(one.judged, one.failed) for one in found.reviewers] == [(100, 1)]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--require"], 1),  # 100 judged are no 4,000
        (["--require", "--judged", "100"], 0),
        (["--require", "--judged", "100", "--sure"], 1),
        (["--require", "--judged", "100", "--sure", "--least", ".8"], 0),
        (["--require", "--judged", "100", "--least", ".99"], 1),
        (["--require", "--judged", "100", "--least", ".99", "--of", "safe"], 0),
        ([], 0),
    ],
)
def test_what_is_required_gives_the_exit_status(folder: Path, words: Sequence[str], status: int) -> None:
    made = ran(folder, given(folder, "v.json", {0: "fail:copy", 41: "fail:machine"}), "--check", *words)

    assert made.exit_code == status
    assert ("not reached" in made.output) == bool(status)
    assert not (folder / "audit" / "log").exists()


def test_disputed_documents_are_a_sheet_that_a_third_fills_in(folder: Path) -> None:
    sample = sample_of(folder)
    rows = [f'{sample.sha256},{n},{one.id},"文本 {n}\n",pass,,,Ann,' for n, one in enumerate(sample.items, start=1)]
    head = "sample_sha256,number,id,text,verdict,reasons,note,reviewer,role"
    (folder / "audit" / "samples" / "first" / "sheet.csv").write_bytes("\r\n".join([head, *rows]).encode("utf-8-sig"))
    third = folder.parent / "third.csv"

    ran(
        folder, given(folder, "a.json", {3: "fail", 7: "fail"}), given(folder, "b.json", {7: "fail", 9: "unsure"}, "Bo")
    )
    ran(folder, "--disputed", third)
    lines = third.read_bytes().decode("utf-8-sig").split("\r\n")

    assert [line.split(",")[1] for line in lines[1:-1]] == ["4", "10"]
    assert all(line.endswith('",,,,,') for line in lines[1:-1])
    third.write_bytes(third.read_bytes().replace(b'",,,,,', b'",p,,,Cy,'))
    assert "2 judged, of disputed documents alone" in ran(folder, third).output


def test_without_files_what_was_read_before_is_said(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no verdicts were read yet"):
        ran(folder)
    path = given(folder, "v.json", {0: "fail:rights"}, "Ann\x1b[2J 13800138000")

    first, second = ran(folder, path), ran(folder, "--json")

    assert Judgement.model_validate_json(second.output) == judged(str(folder))
    assert "Ann\\u001b[2J <PHONE>: 100 judged: 99 pass, 1 fail, 0 unsure" in first.output
    assert "open  (open) law: 1 of 40: 2.50 %" in first.output


def test_what_was_changed_behind_the_back_of_the_log_is_found(folder: Path) -> None:
    ran(folder, given(folder, "v.json", {0: "fail"}))
    (path,) = (folder / "audit" / "verdicts").iterdir()
    content = path.read_bytes()

    path.write_bytes(content.replace(b'"fail"', b'"pass"'))
    assert [one.partition(";")[0] for one in faults(str(folder))] == [
        f"audit/verdicts/{path.name}: has changed since it was read (its SHA-256 is its name)"
    ]
    with pytest.raises(DataError, match="has changed"):
        judged(str(folder))
    path.unlink()
    assert ["is gone" in one for one in faults(str(folder))] == [True]
    path.write_bytes(content)
    (path.parent / f"{'ab' * 32}.json").write_bytes(content)
    assert ["is in no entry of the log" in one for one in faults(str(folder))] == [True]


def test_a_result_that_verdicts_do_not_give_is_found_though_the_log_is_whole(folder: Path) -> None:
    ran(folder, given(folder, "v.json", {0: "fail"}))
    said_ = dict(entries(str(folder))[0].content)

    append(str(folder), "verdicts", {**said_, "result": {**said_["result"], "judged": 4_000}})

    assert [one.partition(";")[0] for one in faults(str(folder))] == [
        "audit/log/000002.json: its result is not what its verdicts give"
    ]


def test_a_result_of_another_version_is_said_to_be_unchecked(folder: Path) -> None:
    ran(folder, given(folder, "v.json", {0: "fail"}))
    said_ = dict(entries(str(folder))[0].content)

    append(str(folder), "verdicts", {**said_, "code_version": "0.0\x1b", "result": {}})

    (found,) = faults(str(folder))
    assert isinstance(found, Note)
    assert found.startswith("audit/log/000002.json: datapipe 0.0\\u001b made its result")
