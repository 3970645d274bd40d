"""What is put under the output folder, what is never taken from it, and what a run that cannot go on leaves there."""

import json
from pathlib import Path

import pytest
import toy

from datapipe import DataError, PlanError
from datapipe.inspect import load_report
from datapipe.publish import OF_REPORT


@pytest.fixture
def lines(tmp_path: Path) -> str:
    """A glob of three files of documents."""
    return str(toy.write_lines(tmp_path / "in"))


def test_a_folder_with_files_of_somebody_else_in_our_places_is_refused_and_stays(lines: str, tmp_path: Path) -> None:
    mine = tmp_path / "out" / "corpus" / "mine.jsonl"
    mine.parent.mkdir(parents=True)
    mine.write_text("{}")

    with pytest.raises(PlanError, match=r"corpus/mine\.jsonl: is not of a run"):
        toy.run(toy.pipeline(toy.Lines(path=lines), toy.Finish()), tmp_path / "out")
    assert mine.read_text() == "{}"


def test_a_file_put_beside_ours_stays_when_the_corpus_is_replaced(lines: str, tmp_path: Path) -> None:
    toy.run(toy.pipeline(toy.Lines(path=lines), toy.Finish()), tmp_path / "out")
    mine = tmp_path / "out" / "corpus" / "README.md"
    mine.write_text("mine")

    toy.run(toy.pipeline(toy.Lines(path=lines), toy.Short(), toy.Finish()), tmp_path / "out", replace=True)

    assert mine.read_text() == "mine"


def test_what_a_reporter_made_goes_when_another_corpus_comes_and_stays_while_none_does(
    lines: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = toy.pipeline(toy.Lines(path=lines), toy.Finish())
    made = toy.run(first, out)
    report = {**json.loads(made.to_json()), "audit": {"sections": []}}
    (out / "reports/report.json").write_text(json.dumps(report))
    for name in OF_REPORT:
        (out / name).write_text("of this corpus")

    again = toy.run(first, out)
    stayed = [(out / name).exists() for name in OF_REPORT], json.loads((out / "reports/report.json").read_bytes())
    toy.run(toy.pipeline(toy.Lines(path=lines), toy.Short(), toy.Finish()), out, replace=True)

    assert again == made
    assert stayed == ([True] * len(OF_REPORT), report)
    assert "audit" not in json.loads((out / "reports/report.json").read_bytes())
    assert not any((out / name).exists() for name in OF_REPORT)


@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_run_that_reads_what_lies_where_it_writes_is_refused(
    through_a_link: bool, lines: str, tmp_path: Path
) -> None:
    toy.run(toy.pipeline(toy.Lines(path=lines), toy.Finish()), tmp_path / "out")
    (tmp_path / "out" / "keys").mkdir()
    (tmp_path / "out" / "keys" / "0.txt").write_text("good\n")
    (tmp_path / "link").symlink_to(tmp_path / "out")
    read = tmp_path / ("link" if through_a_link else "out") / "keys"
    stages = toy.pipeline(toy.Lines(path=str(read)), toy.Finish())

    with pytest.raises(PlanError, match=r"keys/0\.txt: this run reads it, .* give another --out"):
        toy.run(stages, tmp_path / "out", replace=True)
    assert toy.run(stages, tmp_path / "other")


def test_keeping_nothing_removes_only_this_runs_own_steps(lines: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "thesis").mkdir(parents=True)
    (work / "thesis" / "chapter.txt").write_text("one")
    toy.run(toy.pipeline(toy.Lines(path=lines), toy.Finish()), tmp_path / "a", work=work)
    kept = {path.name for path in work.iterdir()}

    toy.run(toy.pipeline(toy.Lines(path=lines), toy.Short(), toy.Finish()), tmp_path / "b", work=work, keep=False)

    assert {path.name for path in work.iterdir()} == kept
    assert (work / "thesis" / "chapter.txt").read_text() == "one"


def test_bad_input_fails_the_run_where_the_config_says_so_and_the_ledger_names_it(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.txt").write_text("good\nbad\n")
    stages = toy.pipeline(toy.Lines(path=str(tmp_path / "in")), toy.Raises(), toy.Finish(), on_bad_input="fail")

    for _ in range(2):  # a second try meets the finished shard
        with pytest.raises(DataError, match=r"set aside \(error\).*on_bad_input: fail") as failed:
            toy.run(stages, tmp_path / "out")

    assert failed.value.out == str(tmp_path / "out")
    assert [row["action"] for row in toy.rows_of(tmp_path / "out", "ledger")] == ["quarantine"]
    assert "not finished" in load_report(str(tmp_path / "out")).warnings[-1]
    assert not (tmp_path / "out" / "corpus").exists()
