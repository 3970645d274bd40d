"""The report as files: the same for the same corpus, true to its schema, harmless, and held to the corpus it is of."""

from __future__ import annotations

import dataclasses
import gc
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import datapipe
from datapipe import ConfigError, StageError, shown
from datapipe.inspect import load_report
from datapipe.verify import verify
from stages.audit.check import recount
from stages.audit.command import at_end, describe, left_alone, make, place_of, report
from stages.audit.counter import Facts
from stages.audit.model import Audit, Chart, Column, Figure, Section, Table, Words
from stages.audit.report import Files, assemble, bounded, check, even, keys_of, put
from stages.audit.standing import (
    DIGEST,
    DIGESTS,
    PAGE,
    REPORT,
    SCHEMA,
    TOPICS,
    digests,
    page_digest,
    read_run,
    stands,
)
from stages.audit.whole import schema_json
from stages.corpus.corpus import Corpus
from stages.corpus.index import segments
from stages.corpus.overlay import put_skip
from stages.corpus.remove import remove
from stages.corpus.remove.command import closing

LOCAL = {"executor": "local", "address": None, "workers": None, "listener": None}
FILES = (REPORT, SCHEMA, PAGE, TOPICS, DIGESTS)


@pytest.fixture
def reported(copied: Path, told: Path) -> Path:
    """Returns a copy of the run with its report, to be changed."""
    shutil.copytree(told / "reports", copied / "reports", dirs_exist_ok=True)
    return copied


def data(folder: Path) -> dict[str, Any]:  # Any: JSON
    content: dict[str, Any] = json.loads((folder / REPORT).read_bytes())
    return content


def texts(value: Any) -> Iterator[str]:  # Any: JSON
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, held in value.items():
            yield name
            yield from texts(held)
    elif isinstance(value, list):
        for held in value:
            yield from texts(held)


# The files


def test_the_same_corpus_gives_the_same_bytes_wherever_it_lies_and_is_not_written_to(
    copied: Path, told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in sorted(copied.rglob("*")) if path.is_file()}

    report(str(copied), out=str(tmp_path / "mine"), as_json=True, executor="local")

    assert json.loads(capsys.readouterr().out) == data(told)
    assert {path: path.read_bytes() for path in sorted(copied.rglob("*")) if path.is_file()} == before
    for name in FILES:
        content = (told / name).read_bytes()
        assert (tmp_path / "mine" / name).read_bytes() == content
        assert not re.search(rb"/tmp/|/root|20[0-9]{2}-[0-9]{2}-[0-9]{2}T", content)


def test_a_report_is_the_runs_own_and_the_audit(finished: Path, told: Path) -> None:
    whole = data(told)

    audit = whole.pop("audit")
    assert whole == data(finished)
    assert audit["config_sha256"] == whole["config_sha256"]
    assert load_report(str(told)) == load_report(str(finished))


def test_a_report_is_as_its_schema_says_and_the_schema_says_something(finished: Path, told: Path) -> None:
    schema = json.loads((told / SCHEMA).read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    whole = data(told)

    assert validator.is_valid(whole)
    assert validator.is_valid(data(finished))
    whole["audit"]["sections"] = whole["audit"]["sections"][:2]  # the least that has all kinds of what is wrong below
    for where, wrong in (
        ((), {"clock": "12:00"}),
        (("audit",), {"seed": "none"}),
        (("audit", "sections", 0, "figures", 0), {"key": "No key"}),
        (("audit", "sections", 1, "tables", 0, "columns", 0), {"unit": "furlongs"}),
        (("stages", 0), {"documents_in": -1}),
    ):
        broken = json.loads(json.dumps(whole))
        place = broken
        for step in where:
            place = place[step]
        place.update(wrong)
        assert not validator.is_valid(broken), where


def test_what_is_there_as_it_should_be_is_not_written_again(reported: Path) -> None:
    contents = {name: (reported / name).read_bytes() for name in FILES}
    files = Files(Audit.model_validate(data(reported)["audit"]), contents)
    before = {name: (reported / name).stat().st_mtime_ns for name in FILES}

    put(files, str(reported))
    after = {name: (reported / name).stat().st_mtime_ns for name in FILES}
    (reported / PAGE).unlink()
    put(files, str(reported))

    assert after == before
    assert {name: (reported / name).read_bytes() for name in FILES} == contents


def test_a_page_is_small_and_names_the_audit_that_it_is_drawn_from(told: Path) -> None:
    page = (told / PAGE).read_bytes()

    assert len(page) < 1_500_000
    assert page_digest(page) == Audit.model_validate(data(told)["audit"]).digest


def test_every_section_is_there_in_the_order_of_the_page_with_words_in_both_languages(told: Path) -> None:
    audit = Audit.model_validate(data(told)["audit"])
    words = [held for section in audit.sections for held in (section.title, section.intro)]
    words += [figure.label for section in audit.sections for figure in section.figures]
    words += [
        held for section in audit.sections for table in section.tables for held in (table.label, table.note) if held
    ]
    words += [column.label for section in audit.sections for table in section.tables for column in table.columns]

    keys = [section.key for section in audit.sections]
    assert keys[:3] == ["summary", "funnel", "rules"]
    assert set(keys) >= {"survival", "hosts", "kinds", "sizes", "duplicates"}
    assert all(held.en.strip() and held.zh.strip() for held in words)


def test_a_run_that_kept_nothing_has_a_report_too(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "a line of words"}\n')
    steps: list[Any] = [{"ingest": {"sources": {"notes": {"path": str(tmp_path / "in.jsonl")}}}}, "dedup", "write"]
    datapipe.run({"name": "none", "steps": steps}, out=tmp_path / "out", sample=1e-9, executor="local", report=True)

    audit = Audit.model_validate(data(tmp_path / "out")["audit"])

    assert audit.sections[0].figures[0].value == 0
    assert "It ran on a sample of 1e-07% of the documents." in (audit.sections[0].figures[4].note or words()).en
    assert list(verify(str(tmp_path / "out"))) == []


# The summary


def test_the_summary_answers_five_questions_with_what_the_sections_say(told: Path) -> None:
    audit = Audit.model_validate(data(told)["audit"])
    keys = set(keys_of(audit.sections))
    values = {figure.key: figure.value for section in audit.sections for figure in section.figures}
    answers = audit.sections[0].figures

    assert [figure.key for figure in answers] == [
        f"summary.{name}" for name in ("what", "removed", "hurt", "seen", "trust")
    ]
    assert (answers[0].value, answers[3].value) == (values["funnel.kept"], values["funnel.trained"])
    assert answers[1].value == pytest.approx(1 - values["funnel.kept_share"], rel=1e-5)
    for figure in answers:
        assert figure.note is not None
        for said in (figure.note.en, figure.note.zh):
            links = re.findall(r"\[([^\]]+)\]", said)
            assert links
            assert set(links) <= keys
            assert "None" not in said
            assert "?" not in said


def test_the_lines_on_a_terminal_have_the_answers_without_links(told: Path, finished: Path) -> None:
    lines = list(describe(read_run(str(finished)), Audit.model_validate(data(told)["audit"]), str(told)))

    assert "What is in it?" in lines
    assert any(line.startswith("Can these figures be trusted?") for line in lines)
    assert not [line for line in lines if "[" in line and "interval" not in line]
    assert lines[-1].startswith(f"page in {told / PAGE} (")


# At the end of a run


def test_a_run_reports_at_its_end_and_a_good_report_is_left_alone(reported: Path) -> None:
    stamp = (reported / PAGE).stat().st_mtime_ns

    said = at_end(str(reported), keep="all", **LOCAL)

    assert said == [f"page of the report in {reported / PAGE}"]
    assert (reported / PAGE).stat().st_mtime_ns == stamp
    assert not (reported / "work" / "audit").exists()


def test_a_report_that_was_broken_off_is_made_again_at_the_end_of_the_next_run(reported: Path, told: Path) -> None:
    for name in (PAGE, SCHEMA):
        content = (reported / name).read_bytes()
        (reported / name).unlink()
        assert not stands(str(reported), str(reported))
        (reported / name).write_bytes(content)
    (reported / REPORT).write_bytes(load_report(str(reported)).to_json())
    assert not stands(str(reported), str(reported))

    at_end(str(reported), keep="none", **LOCAL)

    assert stands(str(reported), str(reported))
    assert all((reported / name).read_bytes() == (told / name).read_bytes() for name in FILES)
    assert not (reported / "work" / "audit").exists()


def test_of_a_folder_that_is_no_corpus_of_ours_nothing_is_said_at_the_end(reported: Path) -> None:
    (reported / "corpus/manifest.json").write_text('{"shards": 3}')

    assert at_end(str(reported), keep="all", **LOCAL) == []


# What verify finds


def test_a_good_report_is_whole(reported: Path) -> None:
    assert list(verify(str(reported))) == []


def test_verify_finds_a_page_that_is_of_another_report_or_was_changed_or_is_gone(reported: Path) -> None:
    page = reported / PAGE
    content = page.read_bytes()

    page.write_bytes(content.replace(DIGEST.encode(), DIGEST.encode() + b"0"))
    other = list(verify(str(reported)))
    page.write_bytes(content.replace(b"7", b"9"))
    changed = list(verify(str(reported)))
    page.unlink()
    gone = list(verify(str(reported)))

    assert other == [f"{PAGE}: is not drawn from the audit in {REPORT}; `datapipe report` makes it anew"]
    assert len(changed) == 1
    assert gone == [f"{PAGE}: is gone; `datapipe report` makes it anew"]


def test_verify_finds_every_file_of_a_report_that_was_changed_or_is_gone(reported: Path) -> None:
    whole, (places, *_) = data(reported), sorted(reported.glob("reports/places/*"))
    whole["warnings"] = ["all is well"]
    (reported / REPORT).write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    places.write_bytes(places.read_bytes()[:-9] + b"\0" * 9)
    (reported / SCHEMA).write_bytes(b"{}")
    (reported / TOPICS).unlink()

    faults = list(verify(str(reported)))

    assert [fault.partition(" (SHA-256")[0].partition(";")[0] for fault in faults] == [
        f"{REPORT}: what it says of the run is not what the run wrote",
        f"reports/places/{places.name}: has changed since it was made",
        f"{REPORT}: has changed since it was made",
        f"{SCHEMA}: has changed since it was made",
        f"{TOPICS}: is gone",
    ]
    assert not stands(str(reported), str(reported))


def test_verify_counts_documents_and_tokens_again(reported: Path) -> None:
    whole = data(reported)
    table = next(t for s in whole["audit"]["sections"] for t in s["tables"] if t["key"] == "kinds.languages")
    place = [column["key"] for column in table["columns"]].index("trained")
    language, right = table["rows"][0][0], table["rows"][0][place]
    table["rows"][0][place] += 1
    table["rows"][1][place + 1] /= 2  # its share
    (reported / REPORT).write_text(json.dumps(whole))

    faults = list(verify(str(reported)))

    assert f"report: trained of {language} are {right + 1:,}, the index says {right:,}" in faults
    assert any(fault.startswith(f"report: the share of {table['rows'][1][0]} in trained is ") for fault in faults)
    assert f"{PAGE}: is not drawn from the audit in {REPORT}; `datapipe report` makes it anew" in faults


def test_the_second_count_is_that_of_the_manifest(finished: Path) -> None:
    corpus = Corpus.open(str(finished))

    counted = recount(corpus)

    assert sum(documents for documents, _, _ in counted.values()) == load_report(str(finished)).stages[-2].documents_out
    assert sum(trained for *_, trained in counted.values()) == corpus.manifest["splits"]["train"]["tokens"]


def test_a_report_is_of_the_corpus_as_readers_see_it_so_an_overlay_makes_it_old(reported: Path, tmp_path: Path) -> None:
    corpus = Corpus.open(str(reported))
    whole = corpus.manifest["splits"]["train"]["tokens"]
    put_skip(corpus.folder, corpus.manifest, {"train": [(0, 2)]})

    faults = list(verify(str(reported)))
    audit = make(str(reported), str(reported), **LOCAL)

    assert [fault for fault in faults if fault.startswith(f"{REPORT}: overlays_sha256 of its audit is none")]
    trained = next(f.value for s in audit.sections for f in s.figures if f.key == "funnel.trained")
    assert isinstance(trained, int)
    assert trained < whole
    assert list(verify(str(reported))) == []


def test_what_stands_beside_a_report_without_an_audit_is_a_fault(reported: Path) -> None:
    (reported / REPORT).write_bytes(load_report(str(reported)).to_json())

    faults = list(verify(str(reported)))

    assert [fault.partition(":")[0] for fault in faults] == [PAGE, SCHEMA, TOPICS, DIGESTS]


# Making it even


def words(text: str = "x") -> Words:
    return Words(en=text, zh=text)


def table(key: str, amount: int, chart: Chart | None = None, **more: Any) -> Table:
    columns = (Column(key="a", label=words(), unit="number"), Column(key="b", label=words(), unit="number"))
    rows = tuple((number, number / 3) for number in range(amount))
    return Table(key=key, label=words(), columns=columns, rows=rows, chart=chart, **more)


def section(*tables: Table, figures: tuple[Figure, ...] = ()) -> Section:
    return Section(key="some", title=words(), intro=words(), figures=figures, tables=tables)


def test_numbers_have_six_significant_digits_and_what_is_none_is_null() -> None:
    values = (1 / 3, 1234567.8, float("nan"), float("inf"), 12345678, -0.0)
    figures = tuple(
        Figure(key=f"some.f{place}", label=words(), value=value, unit="number", low=float("nan"), high=2 / 3)
        for place, value in enumerate(values)
    )

    made = even(section(figures=figures))

    assert [figure.value for figure in made.figures] == [0.333333, 1234570.0, None, None, 12345678, 0.0]
    assert {(figure.low, figure.high) for figure in made.figures} == {(None, 0.666667)}


@pytest.mark.parametrize(("kind", "most"), [(None, 50), ("bar", 50), ("lorenz", 500), ("histogram", 500)])
def test_tables_are_as_long_as_is_shown_and_say_how_long_they_were(kind: Any, most: int) -> None:
    chart = Chart(kind=kind, x="a", y=("b",)) if kind else None
    long, short = table("some.long", 600, chart, commands=(None,) * 600), table("some.short", 3, chart)

    made = bounded(long)

    assert (len(made.rows), len(made.commands or ()), made.of) == (most, most, 600)
    assert bounded(short) == short
    assert bounded(table("some.top", 600, chart, of=9000)).of == 9000


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (section(table("some.a", 1), table("some.a", 1)), "the key some.a stands twice"),
        (section(table("some", 1)), "the key some stands twice"),
        (section(table("some.a", 2, commands=(None,))), "1 commands for 2 rows"),
        (section(table("some.a", 1, Chart(kind="bar", x="a", y=("c",)))), "its chart draws c, which is no column"),
        (section(table("some.a", 1).model_copy(update={"rows": ((1,),)})), "a row has not one value for each"),
    ],
)
def test_a_report_that_contradicts_itself_is_not_written(wrong: Section, sentence: str) -> None:
    with pytest.raises(StageError, match=sentence):
        check([wrong])


def test_the_schema_is_the_same_each_time() -> None:
    assert schema_json() == schema_json()


# What is asked for wrongly


@pytest.mark.parametrize(
    ("folder", "options", "sentence"),
    [
        ("none", {}, r"none: holds no reports/report\.json; give the --out folder of a run that has finished"),
        ("run/reports/report.json", {}, r"report\.json: is a file; give the --out folder"),
        ("unfinished", {}, r"holds no corpus and no documents, as its run is not finished: .*; run it to its end"),
        ("damaged", {}, r"report\.json: is no report that this datapipe reads"),
        ("run", {"out": "run/reports/report.json"}, r"cannot be written; put the report elsewhere by --out FOLDER"),
        ("run", {"out": "other"}, r"is the folder of another run, whose report it would replace"),
        ("run", {"topics": "none.json"}, r"--topics none\.json: there is no such file"),
        ("run", {"topics": "run/reports/report.json"}, r"is no topic model"),
        ("run", {"executor": "spark"}, r"--executor spark: is ray or local"),
        ("foreign", {}, r"its last step is neither mix nor write"),
    ],
)
def test_what_is_asked_for_wrongly_is_one_sentence(
    folder: str, options: dict[str, Any], sentence: str, copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copied.rename("run")
    for name in ("unfinished", "damaged", "other", "foreign"):
        shutil.copytree("run", name)
    Path("foreign/corpus/manifest.json").write_text("{}")
    shutil.rmtree("unfinished/corpus")
    unfinished = data(Path("unfinished"))
    unfinished["warnings"].append("not finished: mix: no document is left")
    Path("unfinished/reports/report.json").write_text(json.dumps(unfinished))
    Path("damaged/reports/report.json").write_text('{"stages": 3}')
    before = sorted(str(path) for path in Path("run").rglob("*"))

    with pytest.raises(datapipe.DatapipeError, match=sentence) as raised:
        report(folder, **{"executor": "local", **options})

    assert raised.value.exit_status in (2, 3)
    assert "\n" not in str(raised.value)
    assert [name for name in before if not Path(name).exists()] == []


def test_the_funnel_is_printed_of_an_unfinished_run_too(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(copied / "corpus")

    report(str(copied), funnel=True)
    lines = capsys.readouterr().out
    report(str(copied), funnel=True, as_json=True)

    assert lines.startswith("stage ")
    assert json.loads(capsys.readouterr().out) == data(copied)


# What documents say


EVIL = (
    "<script>window.hurt=1</script>",
    "</script><script>window.hurt=1</script>",
    '"><img src=x onerror="window.hurt=1">',
    "javascript:alert(1)",
    "\u202egnp.exe\u2066",
    "\x1b[2J\x1b]0;owned\x07",
    '=HYPERLINK("http://evil.example")',
    "nul\x00byte",
    "write to lin.wei@site-mail.cn",
    "电话 13800138000",
    "?mail=lin.wei%40site-mail.cn&tel=13800138000",
)
LINES = (
    "The harbour of the old town is full of small boats that leave before dawn, and whoever walks there early meets "
    "the men who mend the nets, the woman who sells coffee, and a dog that belongs to nobody and follows everyone home"
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a run on documents that are out to do harm, with its report."""
    root = tmp_path_factory.mktemp("hostile")
    rows = []
    for copy in range(3):
        for place, evil in enumerate(EVIL):
            text = " ".join([*LINES.split()[place:], evil, *LINES.split()[:place], evil] * 4) + " again" * copy
            address = (f"https://host{place}.example/{evil}", f"https://{evil}.example/", evil)[copy]
            rows.append({"url": address, "title": evil, "text": text, "licence": evil})
    (root / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"path": str(root / "in.jsonl"), "licence": EVIL[0]}
    steps: list[Any] = [{"ingest": {"sources": {EVIL[2]: source}}}, "language", "format", "dedup", "write"]
    datapipe.run({"name": EVIL[1], "steps": steps}, out=root / "out", executor="local", report=True)
    return root / "out"


def test_what_documents_say_is_escaped_in_the_page(hostile: Path) -> None:
    page = (hostile / PAGE).read_text("utf-8")

    assert "window.hurt" in page  # it was not left out
    for evil in (EVIL[0], EVIL[2], "<img src=x", "<script>window", "</title><script", 'href="javascript'):
        assert evil not in page
    assert re.search(r"Content-Security-Policy", page)


def test_what_documents_say_has_no_control_direction_or_detail_in_any_file(hostile: Path) -> None:
    for name in FILES[:3]:
        content = (hostile / name).read_bytes().decode()
        parts = [content, *texts(json.loads(content))] if name.endswith("json") else [content]
        for part in parts:
            for evil in ("\x1b", "\x07", "\x00", "\u202e", "\u2066", "lin.wei", "13800138000"):
                assert evil not in part, (name, evil)


def test_a_name_of_a_config_is_as_harmless_on_the_page_as_what_documents_say(finished: Path, facts: Facts) -> None:
    run = dataclasses.replace(read_run(str(finished)), name="laws of lin.wei@site-mail.cn\u202e")

    files = assemble(run, facts, digests(str(finished)))

    assert files.audit.name == "laws of <EMAIL>\\u202e"
    assert b"lin.wei" not in files.contents[PAGE]


def test_what_documents_say_does_nothing_to_a_terminal(hostile: Path) -> None:
    audit = Audit.model_validate(data(hostile)["audit"])

    lines = [shown(line) for line in describe(read_run(str(hostile)), audit, str(hostile))]

    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "".join(lines))


def test_a_corpus_that_documents_were_taken_out_of_has_no_word_of_the_audit_that_named_them(
    reported: Path, tmp_path: Path
) -> None:
    document = Corpus.open(str(reported)).split("train")
    (tmp_path / "ids").write_text(segments(document, 0, 1).column("doc_id")[0].as_py() + "\n")

    remove(str(reported), ids=str(tmp_path / "ids"), rebuilt=True, out=str(tmp_path / "new"))

    assert data(tmp_path / "new") == json.loads(load_report(str(reported)).to_json())
    assert not any((tmp_path / "new" / name).exists() for name in (PAGE, SCHEMA, TOPICS))
    assert list(verify(str(tmp_path / "new"))) == []


def test_who_takes_documents_down_is_told_that_the_page_speaks_of_them(reported: Path) -> None:
    corpus = Corpus.open(str(reported))

    with_page = list(closing(corpus, done=True, rebuilt=None))
    (reported / PAGE).unlink()

    assert [line for line in with_page if line not in closing(corpus, done=True, rebuilt=None)] == [
        f"  {reported / PAGE}: addresses, and passages that recur (`datapipe report` draws texts anew)"
    ]


def test_a_place_that_cannot_be_written_is_a_sentence(copied: Path) -> None:
    assert place_of(str(copied), None) == str(copied)
    with pytest.raises(ConfigError, match="put the report elsewhere"):
        place_of(str(copied), str(copied / REPORT))


def test_the_garbage_collector_goes_through_everything_again_once_a_report_is_made_or_fails(tmp_path: Path) -> None:
    with left_alone():
        held = gc.get_freeze_count()
    with pytest.raises(ConfigError, match="holds no"):
        make(str(tmp_path), str(tmp_path))

    assert held > gc.get_freeze_count() == 0
