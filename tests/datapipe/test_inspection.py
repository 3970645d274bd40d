"""verify, show, report and gc on what a run left."""

import json
import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import toy

from datapipe import ConfigError, Stage, StageError
from datapipe.clean import clean, clean_inside, work_of
from datapipe.inspect import load_report, show_file
from datapipe.publish import MANIFEST
from datapipe.verify import verify


def stages(path: str, *, words: int = 3) -> tuple[Stage, ...]:
    """Returns a toy pipeline."""
    return toy.Lines(path=path), toy.Short(limit=words), toy.Once(), toy.Finish()


@pytest.fixture(scope="module")
def done(texts: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, to be looked at."""
    out = tmp_path_factory.mktemp("done") / "out"
    toy.run(toy.pipeline(*stages(texts)), out)
    return out


@pytest.fixture
def copied(done: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may damage."""
    return Path(shutil.copytree(done, tmp_path / "out"))


def test_a_whole_run_has_no_faults(done: Path) -> None:
    assert list(verify(str(done))) == []


def test_verify_finds_a_flipped_byte(copied: Path) -> None:
    path = copied / "corpus/train-00000-of-00001.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)

    assert [fault.partition(" (")[0] for fault in verify(str(copied))] == [
        "corpus/train-00000-of-00001.arrow: has changed since it was published"
    ]


@pytest.mark.parametrize("name", ["keys/part-00001-of-00003.parquet", "ledger/part-00000-of-00004.parquet"])
def test_verify_finds_a_missing_file(name: str, copied: Path) -> None:
    (copied / name).unlink()

    assert f"{name}: is gone" in list(verify(str(copied)))


def test_verify_finds_a_missing_manifest(copied: Path) -> None:
    (copied / MANIFEST).unlink()

    assert f"{MANIFEST}: is gone, so this is no corpus" in list(verify(str(copied)))


def test_verify_finds_a_deleted_ledger_row(copied: Path) -> None:
    path = max((copied / "ledger").glob("*.parquet"), key=lambda path: path.stat().st_size)
    table = pq.read_table(path)
    path.unlink()
    pq.write_table(table.slice(1), path)
    row = table.slice(0, 1).to_pylist()[0]

    faults = list(verify(str(copied)))

    assert f"ledger/{path.name}: has changed since it was published" in faults[0]
    assert any(
        f"rows say {row['action']} by {row['rule']} in {row['stage']}, the report says" in fault for fault in faults
    )


def test_verify_finds_sums_that_do_not_add_up(copied: Path) -> None:
    path = copied / "reports/report.json"
    report = json.loads(path.read_text())
    report["stages"][1]["documents_out"] += 1
    path.write_text(json.dumps(report))

    assert any(fault.startswith("report: stage short: ") for fault in verify(str(copied)))


def test_show_shows_every_file_of_a_run(done: Path) -> None:
    files = [path for path in done.rglob("*") if path.is_file()]
    shown = {path.suffix: list(show_file(str(path), 2)) for path in files}

    assert shown.keys() == {".arrow", ".parquet", ".json", ".ipc", ".exchange"}
    assert ": " in shown[".parquet"][0]
    assert "parts" in shown[".exchange"][0]
    assert all(lines for lines in shown.values())


def test_show_says_so_where_a_file_is_damaged(copied: Path) -> None:
    path = copied / "corpus/train-00000-of-00001.arrow"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:100])

    with pytest.raises(ConfigError, match=f"{path}: cannot be read"):
        list(show_file(str(path), 2))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff"], ids=["empty", "cut", "bytes"])
def test_show_says_so_where_json_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)

    with pytest.raises(ConfigError, match=r"a\.json: cannot be read"):
        list(show_file(str(tmp_path / "a.json"), 2))


def test_a_report_comes_back_and_reads_as_a_table(done: Path) -> None:
    report = load_report(str(done))

    assert report.to_json() == (done / "reports/report.json").read_bytes()
    assert "lines                 48       0" in str(report)
    assert "    drop short: " in str(report)


def test_gc_removes_what_no_run_stands_on_and_keeps_the_rest(copied: Path, texts: str) -> None:
    toy.run(toy.pipeline(*stages(texts, words=4)), copied, replace=True)
    shutil.rmtree(copied / "work/pins")  # of the run that this one is a copy of
    (copied / MANIFEST).unlink()
    toy.run(toy.pipeline(*stages(texts, words=4)), copied)
    before = {path.name for path in (copied / "work").iterdir()}

    cleaned = clean(str(copied / "work"))

    after = {path.name for path in (copied / "work").iterdir()}
    assert cleaned.steps == len(before - after) > 0
    assert {name.split("-")[0] for name in before - after} == {"short", "once", "finish", "ledger"}
    (copied / MANIFEST).unlink()
    assert toy.run(toy.pipeline(*stages(texts, words=4)), copied).made == 0


def test_gc_keeps_what_another_output_stands_on(texts: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    for number in (3, 4):
        toy.run(toy.pipeline(*stages(texts, words=number)), tmp_path / str(number), work=work)

    kept = clean(str(work))
    shutil.rmtree(tmp_path / "3")
    gone = clean(str(work))

    assert kept.steps == 0
    assert gone.steps > 0
    assert toy.run(toy.pipeline(*stages(texts, words=4)), tmp_path / "again", work=work).made == 0


def test_gc_cleans_work_folders_that_lie_in_the_one_of_the_run(copied: Path, texts: str) -> None:
    inner = copied / "work" / "inner"
    for number in (3, 4):
        toy.run(toy.pipeline(*stages(texts, words=number)), inner / "out", work=inner, replace=True)
    before = {path.name for path in inner.iterdir()}

    cleaned = clean(str(copied / "work"))

    after = {path.name for path in inner.iterdir()}
    assert cleaned.steps == len(before - after) > 0
    (inner / "out" / MANIFEST).unlink()
    assert toy.run(toy.pipeline(*stages(texts, words=4)), inner / "out", work=inner).made == 0
    assert clean_inside(str(copied / "work")).steps == 0


def test_gc_leaves_folders_that_are_not_ours(copied: Path) -> None:
    (copied / "work/thesis").mkdir()
    (copied / "work/thesis/chapter.tex").write_text("years")

    clean(str(copied / "work"))

    assert (copied / "work/thesis/chapter.tex").read_text() == "years"


def test_gc_removes_attempts_that_lost_and_what_is_half_written(copied: Path) -> None:
    folder = next((copied / "work").glob("once-*"))
    whole = {path.name for path in folder.rglob("*")}
    for name in (
        "000000-rows-0123456789abcdef.ipc",
        "done/000000.json.0123456789ab.part",
        "000000-rows-01.ipc.0123456789ab.part",
    ):
        (folder / name).write_bytes(b"lost")
        if name.endswith(".part"):  # a younger one may still be put
            os.utime(folder / name, (0, 0))
    (folder / "done/000001.json.0123456789ac.part").write_bytes(b"young")

    cleaned = clean(str(copied / "work"))

    assert {path.name for path in folder.rglob("*")} == {*whole, "000001.json.0123456789ac.part"}
    assert (cleaned.files, cleaned.bytes) == (3, 12)


def test_gc_keeps_what_an_unfinished_run_stands_on_though_its_output_is_elsewhere(texts: str, tmp_path: Path) -> None:
    failing = toy.pipeline(toy.Lines(path=texts), toy.Once(), toy.FailsAlways(), toy.Finish())
    with pytest.raises(StageError):
        toy.run(failing, tmp_path / "out", work=tmp_path / "work")

    assert work_of(str(tmp_path / "out")) == str(tmp_path / "work")
    assert clean(work_of(str(tmp_path / "out"))).steps == 0


def test_gc_removes_old_attempts_and_nothing_else_from_a_scratch_folder(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAPIPE_SCRATCH", str(tmp_path / "scratch"))
    for name in ("datapipe-attempt-a", "datapipe-attempt-b", "thesis"):
        (tmp_path / "scratch" / name).mkdir(parents=True)
        if not name.endswith("b"):
            os.utime(tmp_path / "scratch" / name, (0, 0))

    clean(str(copied / "work"))

    assert {path.name for path in (tmp_path / "scratch").iterdir()} == {"datapipe-attempt-b", "thesis"}


def test_gc_leaves_what_an_attempt_may_be_writing(copied: Path) -> None:
    folder = next((copied / "work").glob("once-*"))
    (folder / "done/000000.json").unlink()
    made = {path.name for path in folder.iterdir()}

    clean(str(copied / "work"))

    assert {path.name for path in folder.iterdir()} == made
