"""Documents in + made by splitting = documents out + dropped, distinct ids: a stage that breaks this fails the run."""

import re
from pathlib import Path

import pytest
import toy

from datapipe import Stage, StageError


@pytest.fixture
def lines(tmp_path: Path) -> str:
    """Three batches of documents; the ninth is bad."""
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"good {number}\n" if number != 9 else "bad 9\n" for number in range(20)))
    return str(path)


@pytest.mark.parametrize(
    ("stage", "sentence"),
    [
        (toy.Loses(), "stage loses, shard 0: 20 documents in + 0 made by splitting is not 19 out + 0 dropped"),
        (toy.Doubles(), "stage doubles, shard 0: 20 documents in + 0 made by splitting is not 21 out + 0 dropped"),
        (
            toy.DropsAndKeeps(),
            "stage dropsandkeeps, shard 0: 20 documents in + 0 made by splitting is not 20 out + 1 dropped",
        ),
        (toy.Leaves(), "stage leaves, shard 0: 20 documents in + 0 made by splitting is not 0 out + 0 dropped"),
        (toy.Swaps(), "stage swaps, shard 0: 20 documents in, as many out and dropped, but not the same ones"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Stage) else "",
)
def test_a_stage_that_does_not_account_for_every_document_fails_the_run(
    stage: Stage, sentence: str, lines: str, tmp_path: Path
) -> None:
    with pytest.raises(StageError, match=re.escape(sentence)) as failure:
        toy.run(toy.pipeline(toy.Lines(path=lines), stage, toy.Finish()), tmp_path / "out")

    assert failure.value.exit_status == 1
    assert not (tmp_path / "out" / "corpus").exists()


def test_what_is_split_balances(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("one\ntwo / three\nfour / five\n\n")

    report = toy.run(toy.pipeline(toy.Lines(path=str(path)), toy.Halve(), toy.Finish()), tmp_path / "out")

    halve = report.stages[1]
    assert (halve.documents_in, halve.made, halve.documents_out, halve.dropped) == (3, 2, 5, 0)
    assert sorted(row["text"] for row in toy.rows_of(tmp_path / "out", "corpus")) == [
        "five",
        "four",
        "one",
        "three",
        "two",
    ]


def test_every_document_is_in_the_corpus_or_left_through_the_ledger(texts: str, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=texts), toy.Short(), toy.Once(), toy.Finish())

    report = toy.run(stages, tmp_path / "out")

    kept = [row["id"] for row in toy.rows_of(tmp_path / "out", "corpus")]
    left = [row["id"] for row in toy.rows_of(tmp_path / "out", "ledger") if row["action"] in ("drop", "duplicate_of")]
    assert len({*kept, *left}) == len(kept) + len(left) == report.stages[0].documents_in == 48
    assert all(stage.documents_in + stage.made == stage.documents_out + stage.dropped for stage in report.stages)
    assert [stage.stage for stage in report.stages if stage.dropped] == ["lines", "short", "once"]


def test_columns_that_were_not_promised_fail_the_run(lines: str, tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"stage adds, shard 0: yielded the columns .* extra: int64, but promised id"):
        toy.run(toy.pipeline(toy.Lines(path=lines), toy.Adds(), toy.Finish()), tmp_path / "out")


def test_a_map_to_other_rows_may_stop_early_and_the_rows_before_it_are_whole(lines: str, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=lines), toy.Short(limit=0), toy.First(), toy.Finish())

    report = toy.run(stages, tmp_path / "out")

    assert report.stages[1].documents_out == 20
    assert toy.rows_of(tmp_path / "out", "corpus") == [{"id": toy.document_id("lines.txt", 0)}]
