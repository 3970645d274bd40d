"""What the default finds, through the stage and through the command."""

from __future__ import annotations

import gzip
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from typer.testing import CliRunner

from datapipe import ConfigError
from datapipe.testing import Result
from stages.dedup.curve import Curve
from stages.dedup.evaluation.command import describe
from stages.dedup.evaluation.copies import Copy, measured
from stages.dedup.evaluation.edits import EDITS, edited
from stages.dedup.evaluation.lexicon import CHINESE, ENGLISH, made_text
from stages.dedup.evaluation.recall import Found, Outcome, dedup_fields, evaluate, make_pairs, read_texts
from stages.evaluate import app

THRESHOLD = 0.8


def made_documents(amount: int, words: int = 200) -> list[tuple[str, str]]:
    draw = np.random.RandomState(3)
    return [(f"{number}", made_text((CHINESE, ENGLISH)[number % 2], draw, words)) for number in range(amount)]


def test_the_default_finds_what_its_curve_promises_and_nothing_below_the_threshold(
    deduplicate: Callable[..., Result],
) -> None:
    (run,) = (edit for edit in EDITS if edit.kind == "replaced_run")
    copies = []
    for number, (name, text) in enumerate(made_documents(300)):
        made = edited(text, run, 0.01 + 0.0004 * number, document=name, seed=1)  # similarities from .75 on
        assert made is not None
        copies.append(Copy(name, run.kind, 0.0, text, made))
    copies = measured(copies)

    result = deduplicate([copy.original for copy in copies], [copy.text for copy in copies])

    kept = set(result.table.column("text").to_pylist())
    found = [not {copy.original, copy.text} <= kept for copy in copies]
    alike = [copy.jaccard >= THRESHOLD for copy in copies]
    chances = [Curve(18, 7).chance(copy.jaccard) for copy, is_alike in zip(copies, alike, strict=True) if is_alike]
    spread = math.sqrt(sum(chance * (1 - chance) for chance in chances))
    assert 200 < sum(alike) < 290
    assert not any(left for left, is_alike in zip(found, alike, strict=True) if not is_alike)
    assert sum(found) >= sum(chances) - 4 * spread
    assert min(result.ledger.column("similarity").to_pylist()) >= np.float32(THRESHOLD)


def test_counts_what_a_run_found_by_kind_and_degree(tmp_path: Path) -> None:
    copies = make_pairs(made_documents(120), seed=1)

    outcome = evaluate(copies, {}, tmp_path)

    alike = sum(copy.jaccard >= THRESHOLD for copy in copies)
    assert sum(row.pairs for row in outcome.rows) == len(copies)
    assert sum(row.alike for row in outcome.rows) == alike > 40
    assert alike - 2 <= outcome.removed <= alike
    assert outcome.wrong == ()
    assert all(row.found == row.alike for row in outcome.rows if row.kind in ("upper_case", "narrow", "rewrapped"))
    assert not any(row.unlike_found for row in outcome.rows)


def test_names_what_is_removed_below_the_threshold(tmp_path: Path) -> None:
    copies = [copy for copy in make_pairs(made_documents(120), seed=1) if 0.65 < copy.jaccard < THRESHOLD]

    outcome = evaluate(copies, {"bands": 32, "rows": 4, "verify": False}, tmp_path)

    assert outcome.removed == len(copies) == len(outcome.wrong)
    assert sorted(value for _, _, value in outcome.wrong) == pytest.approx(sorted(copy.jaccard for copy in copies))
    assert sum(row.unlike_found for row in outcome.rows) == len(copies)


def test_takes_containment_for_what_is_alike_where_the_config_does(tmp_path: Path) -> None:
    copies = [copy for copy in make_pairs(made_documents(200), seed=1) if (copy.kind, copy.degree) == ("quoted", 1.0)]

    outcome = evaluate(copies, {"measure": "containment"}, tmp_path)

    assert [row.alike for row in outcome.rows] == [len(copies)]
    assert outcome.wrong == ()


def test_containment_is_of_the_document_that_leaves(tmp_path: Path) -> None:
    words = [f"word{number}" for number in range(300)]
    unlike = " ".join(words)
    repeated = " ".join(
        [*words[:200] * 9, *(f"other{number}" for number in range(20))]
    )  # longer, but of fewer shingles
    (copy,) = measured([Copy("a", "kind", 1.0, unlike, repeated)])
    assert copy.containment > THRESHOLD  # of the smaller set, which stays

    fields = {"measure": "containment", "verify": False, "bands": 128, "rows": 1}
    outcome = evaluate([copy], fields, tmp_path)

    assert [(row.alike, row.found) for row in outcome.rows] == [(0, 0)]
    assert len(outcome.wrong) == outcome.removed == outcome.rows[0].unlike_found == 1


def test_leaves_out_texts_that_are_alike_already() -> None:
    documents = made_documents(10)

    made = make_pairs([*documents, ("twin", documents[0][1] + " more words at the end of it")], seed=1)

    assert not {"0", "twin"} & {copy.document for copy in made}
    assert len(made) >= 8


def test_reads_texts_of_any_form_and_draws_the_same_in_any_order(tmp_path: Path) -> None:
    documents = made_documents(30)
    content = "".join(json.dumps({"text": text}) + "\n" for _, text in documents).encode()
    (tmp_path / "a.jsonl").write_bytes(content)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(content))
    frames = [zstandard.compress(part) for part in (content[:999], content[999:])]  # as several writers make them
    (tmp_path / "a.jsonl.zst").write_bytes(b"".join(frames))
    pq.write_table(pa.table({"text": [text for _, text in documents]}), tmp_path / "a.parquet")
    (tmp_path / "b.txt").write_text(documents[0][1], "utf-8")
    (tmp_path / "short.txt").write_text("short", "utf-8")
    files = [str(tmp_path / name) for name in ("a.jsonl", "b.txt", "short.txt")]

    drawn = read_texts(files, 10, 1)

    assert read_texts(files[::-1], 10, 1) == drawn
    assert len(drawn) == 10
    assert len(read_texts(files, 100, 1)) == 31
    for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet"):
        read = read_texts([str(tmp_path / name)], 100, 1)
        assert sorted(text for _, text in read) == sorted(text for _, text in documents)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b"no json", "a.jsonl: is not JSON lines"),
        (
            "a.jsonl",
            b'{"content": "x"}',
            "a.jsonl: is not JSON lines or Parquet with 'text', or plain text \\('text' is missing",
        ),
        ("a.jsonl.zst", b"{}", "a.jsonl.zst: is not JSON lines"),
        ("a.parquet", b"PAR1", "a.parquet: is not JSON lines"),
        ("a.txt", b"\xff", "a.txt: is not JSON lines"),
        ("a.txt", b"too short", "no text of at least 50"),
    ],
)
def test_says_which_file_is_no_text(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ConfigError, match=said):
        read_texts([str(tmp_path / name)], 10, 1)


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ("steps: [ingest, dedup]", {}),
        ("steps: [{dedup: }]", {}),
        ("steps: [{dedup: {threshold: 0.7, survivor: [-quality], guard: null}}]", {"threshold": 0.7}),
    ],
)
def test_takes_from_a_config_what_decides_who_meets(content: str, fields: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(content)

    assert dedup_fields(str(tmp_path / "config.yaml")) == fields


@pytest.mark.parametrize("content", ["steps: [ingest]", "steps:", "[]", "a: ["])
def test_refuses_a_config_without_dedup(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(content)

    with pytest.raises(ConfigError, match=r"config\.yaml"):
        dedup_fields(str(tmp_path / "config.yaml"))


def test_the_command_prints_a_row_an_edit_and_writes_the_pairs(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("steps: [dedup]")
    texts = "".join(json.dumps({"text": text}) + "\n" for _, text in made_documents(80, 100))
    (tmp_path / "texts.jsonl").write_text(texts, "utf-8")
    arguments = [str(tmp_path / "config.yaml"), "--text", str(tmp_path / "texts.jsonl"), "--out", str(tmp_path / "out")]

    result = CliRunner().invoke(app, ["dedup", *arguments], catch_exceptions=False)

    pairs = [json.loads(line) for line in (tmp_path / "out/pairs.jsonl").read_text("utf-8").splitlines()]
    assert result.exit_code == 0
    assert {"upper_case", "replaced 1%", "quoted 100%", "all"} <= {
        line[2:34].strip() for line in result.output.splitlines()
    }
    assert "of them 0 below the threshold of 0.8" in result.output
    assert {copy["kind"] for copy in pairs} >= {"replaced", "quoted", "truncated"}
    assert all(copy["original"] != copy["text"] for copy in pairs)


def test_the_command_is_one_of_datapipe_and_says_a_mistake_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("steps: [ingest]")
    arguments = ["evaluate", "dedup", "config.yaml", "--text", "none.txt"]

    made = subprocess.run(
        [sys.executable, "-m", "datapipe", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert made.returncode == 2
    assert made.stderr == "datapipe: config.yaml: has no step 'dedup' to evaluate\n"


@pytest.mark.parametrize("fields", ["3", "a", "[x]"])
def test_refuses_fields_that_are_none(fields: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"steps: [{{dedup: {fields}}}]")

    with pytest.raises(ConfigError, match=r"config\.yaml: dedup: its fields are a mapping, not "):
        dedup_fields(str(tmp_path / "config.yaml"))


@pytest.mark.parametrize("shingle", ["0", "-1", "a"])
def test_leaves_a_shingle_of_no_tokens_to_the_run(shingle: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"steps: [{{dedup: {{shingle: {shingle}}}}}]")
    texts = "".join(json.dumps({"text": text}) + "\n" for _, text in made_documents(4, 100))
    (tmp_path / "texts.jsonl").write_text(texts, "utf-8")
    arguments = [str(tmp_path / "config.yaml"), "--text", str(tmp_path / "texts.jsonl")]

    result = CliRunner().invoke(app, ["dedup", *arguments])

    assert isinstance(result.exception, ConfigError)
    assert "steps[1] dedup: shingle: " in str(result.exception)


@pytest.mark.parametrize("out", ["file", "file/below", "full", "s3://bucket/folder"])
@pytest.mark.parametrize("command", ["dedup", "corpus"])
def test_says_before_it_works_where_it_cannot_write(command: str, out: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "full/old").mkdir(parents=True)
    (tmp_path / "config.yaml").write_text("steps: [dedup]")
    asked = {"dedup": [str(tmp_path / "config.yaml"), "--text", "none"], "corpus": ["--documents", "5"]}[command]
    place = out if "://" in out else str(tmp_path / out)

    result = CliRunner().invoke(app, [command, *asked, "--out", place])

    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith(f"--out {place}: ")


def test_the_command_writes_a_corpus(tmp_path: Path) -> None:
    arguments = ["--documents", "50", "--hosts", "7", "--months", "3", "--out", str(tmp_path / "corpus")]

    result = CliRunner().invoke(app, ["corpus", *arguments], catch_exceptions=False)

    assert result.exit_code == 0
    assert "original" in result.output
    assert len(list((tmp_path / "corpus/documents").iterdir())) == 3


def test_the_table_says_recall_of_what_is_alike_only() -> None:
    rows = (Found("replaced", 0.01, 4, 3.4, 3, 2, 1), Found("upper_case", 1.0, 2, 2.0, 2, 2))

    lines = list(describe(Outcome(0.8, rows, 5, (("b", "a", 0.61),))))

    assert [line.split() for line in lines[1:4]] == [
        ["upper_case", "2", "1.000", "2", "2", "100.00%", "0", "0"],
        ["replaced", "1%", "4", "0.850", "3", "2", "66.67%", "1", "1"],
        ["all", "6", "0.900", "5", "4", "80.00%", "1", "1"],
    ]
    assert lines[4:] == ["removed 5, of them 1 below the threshold of 0.8", "  b for a, similarity 0.610"]
