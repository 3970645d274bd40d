"""The audit's pipeline: what it counts is what is published, however it is cut, copied, packed or left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import datapipe
from datapipe import ConfigError, DataError
from stages.audit.counter import Facts
from stages.audit.cube import disagreements, removed_of
from stages.audit.frame import FRAME
from stages.audit.lacking import missing
from stages.audit.run import facts_of
from stages.audit.stage import Audit, code_of
from stages.corpus.corpus import Corpus
from stages.corpus.remove.command import remove
from stages.corpus.skip import skip
from tests.stages.audit.conftest import CONFIG, DATA

Row = dict[str, Any]
Rewritten = Callable[[pa.Table], pa.Table]


def read(folder: Path, name: str) -> list[Row]:
    """Returns the rows of the published tables of a name."""
    return [row for path in sorted(folder.glob(name)) for row in pq.read_table(path).to_pylist()]


def plain_trained(folder: Path) -> Counter[str]:
    """Returns the tokens of each document in the rows that a reader of the train split gets, piece by piece."""
    corpus = Corpus.open(str(folder))
    seen = {start + row for start, batch in corpus.split().runs(columns=["input_ids"]) for row in range(batch.num_rows)}
    removed = {(row["sample"], row["start"]) for row in corpus.split().overlaid.removed.to_pylist()}
    counted: Counter[str] = Counter()
    for row in read(folder, "corpus/index/segments-*"):
        if row["sample"] in seen and (row["sample"], row["start"]) not in removed:
            counted[row["doc_id"]] += row["end"] - row["start"]
    return counted


def drawn(facts: Facts) -> dict[str, Row]:
    """Returns the rows of the frame of documents that stayed, by id: of a small run all are drawn."""
    return {row["id"].hex(): row for row in facts.tables["draw"].to_pylist()}


def sums(facts: Facts) -> dict[str, int]:
    return {row["name"]: row["amount"] for row in facts.tables["sums"].to_pylist()}


def counted(folder: Path, place: Path) -> Facts:
    return facts_of(str(folder), place=place, executor="local")


def test_every_document_of_the_index_is_a_row_that_says_what_the_index_says(finished: Path, facts: Facts) -> None:
    index = {row["doc_id"]: row for row in read(finished, "corpus/index/documents-*")}
    rows = drawn(facts)

    assert rows.keys() == index.keys()
    same = [name for name in FRAME.names if name in next(iter(index.values())) and name != "id"]
    assert {"host", "language", "bytes", "characters", "tokens", "quality", "split"} <= set(same)
    assert all(rows[key][name] == index[key][name] for key in index for name in same)
    assert {row["stage"] for row in rows.values()} == {""}


def test_every_document_that_left_is_a_row_that_says_what_the_ledger_says(finished: Path, facts: Facts) -> None:
    left = {row["id"]: row for row in read(finished, "ledger/*") if row["action"] in ("drop", "duplicate_of")}
    rows = {row["id"]: row for row in facts.tables["draw_left"].to_pylist()}

    assert rows.keys() == left.keys()
    names = [name for name in FRAME.names if name in next(iter(left.values()))]
    assert all(rows[key][name] == left[key][name] for key in left for name in names)


def test_what_is_trained_on_is_what_readers_get(finished: Path, facts: Facts) -> None:
    trained = plain_trained(finished)
    rows = drawn(facts)

    assert sum(trained.values()) == Corpus.open(str(finished)).manifest["splits"]["train"]["tokens"] > 0
    assert {key: row["trained"] for key, row in rows.items()} == {key: trained[key] for key in rows}
    assert sums(facts)["trained"] == sum(trained.values())


def test_the_first_piece_is_where_the_document_begins(finished: Path, facts: Facts) -> None:
    corpus = Corpus.open(str(finished))
    begins = {name: {} for name in corpus.splits}  # type: dict[str, dict[str, Row]]
    for name, kind in (("train", "segments"), ("validation", "validation-segments")):
        for piece in read(finished, f"corpus/index/{kind}-*"):
            if piece["doc_start"] == 0:
                begins[name].setdefault(piece["doc_id"], piece)

    for key, row in drawn(facts).items():
        name = row["piece_split"]
        assert name == next((split for split in ("train", "validation") if key in begins[split]), None)
        if name is not None:
            piece = begins[name][key]
            assert [row[f"piece_{field}"] for field in ("shard", "row", "start", "end")] == [
                piece[field] for field in ("shard", "row", "start", "end")
            ]


def test_what_overlays_leave_out_is_trained_on_by_nobody(copied: Path, tmp_path: Path) -> None:
    rows = read(copied, "corpus/index/documents-*")
    urls = tmp_path / "urls"
    urls.write_text("\n".join(row["url"] for row in rows if row["url"] and row["times_seen"])[:200].rpartition("\n")[0])
    before = sums(counted(copied, tmp_path / "before"))["trained"]
    skip(str(copied), ["0:3", "7:9"])
    remove(str(copied), urls=str(urls), apply=True)
    facts = counted(copied, tmp_path / "after")

    trained = plain_trained(copied)
    assert sum(trained.values()) < before
    assert {key: row["trained"] for key, row in drawn(facts).items()} == {
        row["doc_id"]: trained[row["doc_id"]] for row in rows
    }


def test_documents_that_were_removed_are_no_rows_and_are_told_of(copied: Path, tmp_path: Path) -> None:
    url = next(row["url"] for row in read(copied, "corpus/index/documents-*") if row["url"])
    (tmp_path / "urls").write_text(url)
    remove(str(copied), urls=str(tmp_path / "urls"), rebuilt=True, out=str(tmp_path / "rebuilt"))
    facts = counted(tmp_path / "rebuilt", tmp_path / "audit")

    assert sums(facts)["removed"] == 1
    assert sums(facts)["kept"] + 1 == facts.run["stages"][-2]["documents_out"]
    assert url not in {row["url"] for row in drawn(facts).values()}
    assert any("1 documents were removed" in words.en for words in missing(facts))
    rows = (facts.tables[name].to_pylist() for name in ("cube", "noted"))
    assert disagreements(*rows, facts.run, removed_of(facts)) == []
    trained = plain_trained(tmp_path / "rebuilt")
    assert sums(facts)["trained"] == sum(trained.values())


def test_a_corpus_by_document_is_counted_alike(tmp_path: Path) -> None:
    mix = {"by": "source", "packing": "document", "epochs": {"*": 2}, "phases": None}
    steps = [*CONFIG["steps"][:1], CONFIG["steps"][-2], {"mix": mix}]
    datapipe.run({"name": "whole", "steps": steps}, out=tmp_path / "out", executor="local")
    facts = counted(tmp_path / "out", tmp_path / "audit")

    rows = drawn(facts)
    assert all(row["trained"] == 2 * row["tokens"] for row in rows.values())
    assert all(row["language"] is None for row in rows.values())
    assert any("language" in words.en for words in missing(facts))


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_a_run_without_a_corpus_is_told_by_its_documents(tmp_path: Path, form: str) -> None:
    steps = [*CONFIG["steps"][:1], {"write": {"format": form}}, "dedup"]
    datapipe.run({"name": "texts", "steps": steps}, out=tmp_path / "out", executor="local")
    facts = counted(tmp_path / "out", tmp_path / "audit")

    rows = drawn(facts)
    late = {row["id"].hex() for row in read(tmp_path / "out", "ledger/*") if row["action"] == "duplicate_of"}
    assert late
    assert not late & rows.keys()
    assert len(rows) == sums(facts)["kept"] == facts.run["stages"][-1]["documents_out"]
    assert all(
        0 < row["characters"] <= row["bytes"] and row["tokens"] is row["trained"] is None for row in rows.values()
    )
    assert any("no tokens are counted" in words.en for words in missing(facts))
    if form == "parquet":
        texts = {row["id"].hex(): row["text"] for row in read(tmp_path / "out", "documents/*")}
        assert all(len(texts[key].encode()) == row["bytes"] for key, row in rows.items())


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_documents_that_are_written_without_ids_and_texts_are_counted(tmp_path: Path, form: str) -> None:
    steps = [*CONFIG["steps"][:1], {"write": {"columns": ["source", "url"], "format": form}}]
    datapipe.run({"name": "thin", "steps": steps}, out=tmp_path / "out", executor="local")
    facts = counted(tmp_path / "out", tmp_path / "audit")

    rows = drawn(facts)
    assert len(rows) == sums(facts)["kept"] == facts.run["stages"][-1]["documents_out"]
    assert {row["bytes"] for row in rows.values()} == {None}
    assert len({row["url"] for row in rows.values()}) > 1
    if form == "parquet":
        assert any("id" in words.en for words in missing(facts))


def test_tokens_that_are_written_are_the_sizes(tmp_path: Path) -> None:
    steps = [*CONFIG["steps"][:1], CONFIG["steps"][-2], {"write": {"columns": ["source", "tokens"]}}]
    datapipe.run({"name": "ids", "steps": steps}, out=tmp_path / "out", executor="local")
    facts = counted(tmp_path / "out", tmp_path / "audit")

    tokens = sum(row["tokens"] for row in read(tmp_path / "out", "documents/*"))
    assert sum(row["tokens"] for row in facts.tables["cube"].to_pylist() if not row["stage"]) == tokens > 0
    said = " ".join(words.en for words in missing(facts))
    assert "nothing is sampled" in said
    assert "no tokens are counted" not in said


def test_a_run_that_kept_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": ""}\n{"text": " "}\n')
    steps = [{"ingest": {"sources": {"empty": {"path": str(tmp_path / "in.jsonl")}}}}, "write"]
    datapipe.run({"name": "nothing", "steps": steps}, out=tmp_path / "out", executor="local")
    facts = counted(tmp_path / "out", tmp_path / "audit")

    assert (sums(facts)["kept"], sums(facts)["left.ingest"]) == (0, 2)


def rewrite(path: Path, change: Rewritten) -> None:
    """Writes a table again, in another file: those of a copied run are links to the same ones."""
    table = change(pq.read_table(path))
    path.unlink()
    pq.write_table(table, path)


def test_a_run_of_an_earlier_datapipe_is_told_as_far_as_it_goes(copied: Path, tmp_path: Path) -> None:
    new = ["host", "language", "script", "format", "bytes", "file", "offset", "crawl_time"]
    for path in copied.glob("ledger/*"):
        rewrite(path, lambda table: table.drop_columns(new))
    for path in copied.glob("corpus/index/documents-*"):
        rewrite(path, lambda table: table.drop_columns(["bytes", "characters"]))
    facts = counted(copied, tmp_path / "audit")

    assert {row["host"] for row in facts.tables["draw_left"].to_pylist()} == {None}
    assert {row["bytes"] for row in drawn(facts).values()} == {None}
    said = " ".join(words.en for words in missing(facts))
    assert "host, language, script, format, bytes, file, offset, crawl_time" in said
    assert "bytes, characters" in said


@pytest.mark.parametrize(
    ("name", "keep", "said"),
    [
        ("ledger/*", lambda table: pc.not_equal(table.column("action"), "drop"), "ledger: 0 documents left at ingest"),
        ("corpus/index/documents-*", lambda table: pc.equal(table.column("source"), "notes"), "documents that stayed"),
        ("corpus/index/segments-*", lambda table: pc.greater(table.column("sample"), 2), "its pieces have"),
    ],
)
def test_a_file_whose_sums_are_not_those_of_the_run_is_named(
    copied: Path, tmp_path: Path, name: str, keep: Rewritten, said: str
) -> None:
    for path in copied.glob(name):
        rewrite(path, lambda table: table.filter(keep(table)))

    with pytest.raises(DataError, match=said):
        counted(copied, tmp_path / "audit")


def test_a_file_that_is_gone_is_named(copied: Path, tmp_path: Path) -> None:
    path = next(copied.glob("corpus/index/documents-*"))
    path.unlink()

    with pytest.raises(DataError, match=path.name):
        counted(copied, tmp_path / "audit")


def test_a_file_that_is_no_table_is_named(copied: Path, tmp_path: Path) -> None:
    path = next(copied.glob("ledger/*"))
    path.unlink()
    path.write_bytes(b"PAR1 and no more")

    with pytest.raises(DataError, match=path.name):
        counted(copied, tmp_path / "audit")


def test_a_folder_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no finished run"):
        counted(tmp_path, tmp_path / "audit")


def test_the_audit_is_the_first_step(finished: Path, tmp_path: Path) -> None:
    steps = [*CONFIG["steps"][:1], {"audit": {"folder": str(finished)}}]

    with pytest.raises(datapipe.PlanError, match="it is the first step"):
        datapipe.run({"name": "late", "steps": steps}, out=tmp_path / "out", executor="local")


def test_twice_is_once_wherever_the_folder_lies(finished: Path, copied: Path, tmp_path: Path) -> None:
    config = {"name": "audit", "steps": [{"audit": {"folder": str(finished)}}]}
    first = datapipe.run(config, out=tmp_path / "out", work=tmp_path / "work", executor="local")
    moved = {"name": "audit", "steps": [{"audit": {"folder": str(copied)}}]}
    again = datapipe.run(moved, out=tmp_path / "other", work=tmp_path / "work", executor="local")

    assert first.made > 0
    assert again.made == 0


def test_an_audit_that_is_killed_comes_to_the_same_facts(finished: Path, facts: Facts, tmp_path: Path) -> None:
    codes = []
    for point in ("mid_batch", "after_commit"):
        child = os.fork()
        if child == 0:
            os.environ["PIPE_FAULT"] = f"audit:0:0:{point}"
            counted(finished, tmp_path)
            os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    again = counted(finished, tmp_path)

    assert codes == [17, 17]
    assert [name for name in facts.tables if not again.tables[name].equals(facts.tables[name])] == []


def test_what_other_code_counted_is_counted_again(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"name": "audit", "steps": [{"audit": {"folder": str(finished)}}]}
    made = []
    for version in (Audit.version, Audit.version + 1):
        monkeypatch.setattr(Audit, "version", version)
        report = datapipe.run(config, out=tmp_path / "out", work=tmp_path / "work", executor="local", replace=True)
        made.append(report.made)

    assert made[0] == made[1] > 0


def test_the_version_of_the_audit_is_that_of_its_modules(tmp_path: Path) -> None:
    for name in ("one.py", "two.py", "notes.txt"):
        (tmp_path / name).write_text("x = 1\n")
    before = code_of(tmp_path)
    (tmp_path / "notes.txt").write_text("no code")
    same = code_of(tmp_path)
    (tmp_path / "two.py").write_text("x = 2\n")

    assert before == same != code_of(tmp_path)


def test_facts_are_the_same_however_files_are_grouped(
    finished: Path, facts: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.audit.published.grouped.__defaults__", (1,))
    apart = counted(finished, tmp_path / "audit")

    assert apart.tables.keys() == facts.tables.keys()
    assert [name for name in facts.tables if not apart.tables[name].equals(facts.tables[name])] == []


def test_phases_of_a_mix_are_trained_on_one_after_another(tmp_path: Path) -> None:
    phases = [{"name": "stable", "ratio": 0.5}, {"name": "anneal", "ratio": 0.5, "weights": {"pages": 1, "notes": 3}}]
    mix = {"by": "source", "seq_len": 64, "tokens": 40_000, "max_epochs": None, "phases": phases}
    steps = [*CONFIG["steps"][:1], CONFIG["steps"][-2], {"mix": {**mix, "weights": {"pages": 3, "notes": 1}}}]
    datapipe.run({"name": "phases", "steps": steps}, out=tmp_path / "out", executor="local")
    facts = counted(tmp_path / "out", tmp_path / "audit")

    trained = plain_trained(tmp_path / "out")
    rows = drawn(facts)
    assert {key: row["trained"] for key, row in rows.items()} == {key: trained[key] for key in rows}
    assert max(row["trained"] / row["tokens"] for row in rows.values()) > 1


@pytest.mark.heavy
def test_ray_counts_what_this_process_counts(finished: Path, facts: Facts, tmp_path: Path) -> None:
    made = facts_of(str(finished), place=tmp_path / "audit", executor="ray", workers=2)

    assert made.tables.keys() == facts.tables.keys()
    assert [
        name for name in facts.tables if repr(made.tables[name].to_pylist()) != repr(facts.tables[name].to_pylist())
    ] == []


@pytest.mark.parametrize("content", ["[]", "{", '{"stages": 3}', '{"stages": [{"stage": "ingest"}]}'])
def test_a_report_that_no_run_wrote_is_told_of(copied: Path, tmp_path: Path, content: str) -> None:
    (copied / "reports" / "report.json").write_text(content)

    with pytest.raises(DataError, match=r"report\.json"):
        counted(copied, tmp_path / "audit")


def test_files_that_nobody_can_read_are_no_documents(tmp_path: Path) -> None:
    whole = (DATA / "sample.warc.gz").read_bytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cut.warc.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in" / "none.jsonl").write_bytes(b"\x00\xff no JSON\n")
    sources = {name: {"path": str(tmp_path / "in" / name)} for name in ("cut.warc.gz", "none.jsonl")}
    steps = [{"ingest": {"sources": {name.partition(".")[0]: one for name, one in sources.items()}}}, "write"]
    report = datapipe.run({"name": "cut", "steps": steps}, out=tmp_path / "out", executor="local")
    facts = counted(tmp_path / "out", tmp_path / "audit")

    assert report.set_aside > 0
    assert sums(facts)["kept"] > 0
    assert not {row["action"] for row in facts.tables["draw_left"].to_pylist()} & {"quarantine"}


def test_a_sample_of_a_config_is_told_as_it_is(tmp_path: Path) -> None:
    config = {"name": "part", "steps": [*CONFIG["steps"][:1], "language", "write"]}
    datapipe.run(config, out=tmp_path / "out", executor="local", sample=0.5)
    facts = counted(tmp_path / "out", tmp_path / "audit")

    assert 0 < sums(facts)["kept"] == facts.run["stages"][-1]["documents_out"] < 40
