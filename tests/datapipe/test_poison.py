"""A record that makes a stage raise leaves for the ledger alone; a file that cannot be read leaves as a whole."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import toy
from toy.faulty import FUNCTIONS

from datapipe import DataError, Dataset, Output, Stage, StageError, Work
from datapipe.clean import clean
from datapipe.local import Local
from datapipe.publish import Place
from datapipe.run import run_pipeline
from datapipe.shard import Shard


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Two files of twenty documents; two of the first are bad."""
    (tmp_path / "in").mkdir()
    for file in range(2):
        bad = (9, 15) if file == 0 else ()
        rows = "".join(f"bad {line}\n" if line in bad else f"good {file} {line}\n" for line in range(20))
        (tmp_path / "in" / f"{file}.txt").write_text(rows)
    return tmp_path / "in"


def evidence(text: str) -> str:
    """Returns what the ledger says a document is known again by."""
    return f"text of {len(text)} bytes, blake2b {hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"


def test_a_record_that_raises_is_quarantined_and_the_run_completes(lines: Path, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=str(lines)), toy.Raises(), toy.Finish())

    report = toy.run(stages, tmp_path / "out")

    ledger = toy.rows_of(tmp_path / "out", "ledger")
    assert sorted((row["url"], row["stage"], row["action"], row["rule"], row["note"]) for row in ledger) == [
        ("0.txt#15", "lines", "quarantine", "error", f"error:ValueError: this document is bad; {evidence('bad 15')}"),
        ("0.txt#9", "lines", "quarantine", "error", f"error:ValueError: this document is bad; {evidence('bad 9')}"),
    ]
    assert (report.set_aside, report.exit_status) == (2, 3)
    assert len(toy.rows_of(tmp_path / "out", "corpus")) == 38


@dataclass(frozen=True, kw_only=True)
class Passes(Stage):
    """Passes documents on as they came, twice, and raises at a bad one."""

    def build(self, *inputs: Dataset) -> Dataset:
        lengths = Output("lengths", pa.schema([("length", pa.int64())]))
        made = inputs[0].map(FUNCTIONS["Raises"], passes=True, reads=("id", "text"))
        measured = made.map(measure, passes=True, outputs=(lengths,))
        return measured.map(with_length, adds=lengths.schema, beside=measured.output("lengths"))


def measure(batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
    """Puts out the length of each text."""
    for batch in batches:
        work.put("lengths", pa.record_batch({"length": pc.utf8_length(batch["text"]).cast(pa.int64())}))
        yield batch


def with_length(batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
    """Adds the lengths that lie beside."""
    lengths = pa.Table.from_batches(work.beside(), schema=pa.schema([("length", pa.int64())]))
    taken = 0
    for batch in batches:
        yield batch.append_column("length", lengths["length"].slice(taken, batch.num_rows).combine_chunks())
        taken += batch.num_rows
    assert taken == lengths.num_rows


def test_a_record_that_raises_in_a_map_that_passes_rows_is_in_none_of_them(lines: Path, tmp_path: Path) -> None:
    source = toy.Lines(path=str(lines))
    toy.run(toy.pipeline(source, toy.Finish()), tmp_path / "first", work=tmp_path / "work")  # its rows lie in files

    stages = toy.pipeline(source, Passes(), toy.Finish())
    report = toy.run(stages, tmp_path / "out", work=tmp_path / "work")
    clean(str(tmp_path / "work"))
    again = toy.run(
        toy.pipeline(source, Passes(), toy.Short(limit=1), toy.Finish()), tmp_path / "again", work=tmp_path / "work"
    )

    rows = toy.rows_of(tmp_path / "out", "corpus")
    ledger = [(row["stage"], row["action"], row["url"]) for row in toy.rows_of(tmp_path / "out", "ledger")]
    assert sorted(ledger) == [("passes", "quarantine", "0.txt#15"), ("passes", "quarantine", "0.txt#9")]
    assert (report.set_aside, len(rows), again.stages[1].documents_out) == (2, 38, 38)
    assert [row["length"] for row in rows] == [len(row["text"]) for row in rows]


def test_a_record_that_raises_behind_a_map_that_numbers_its_rows_shifts_none(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for file in range(2):
        rows = [f"w{line % 12} {'bad' if line in (3, 15) else 'good'} {file}" for line in range(20)]
        (tmp_path / "in" / f"{file}.txt").write_text("\n".join(rows) + "\n")
    source = toy.Lines(path=str(tmp_path / "in"))

    report = toy.run(toy.pipeline(source, toy.Once(), toy.Raises(), toy.Finish()), tmp_path / "out")
    toy.run(toy.pipeline(source, toy.Once(), toy.Finish()), tmp_path / "all")

    stayed = [row for row in toy.rows_of(tmp_path / "all", "corpus") if " bad " not in row["text"]]
    key = itemgetter("id")
    assert sorted(toy.rows_of(tmp_path / "out", "corpus"), key=key) == sorted(stayed, key=key)
    assert (report.set_aside, len(stayed)) == (1, 11)


def test_a_stage_that_always_fails_names_the_shard(lines: Path, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=str(lines)), toy.FailsAlways(), toy.Finish())

    with pytest.raises(StageError, match=r"lines\+failsalways\[[01]\]: error:RuntimeError: no model here"):
        toy.run(stages, tmp_path / "out")


def forbidden(batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
    """Raises as a stage would whose own file may not be read."""
    raise PermissionError(13, "Permission denied", "/models/secret.bin")
    yield from batches


def test_a_stage_that_may_not_read_its_file_is_no_fault_of_the_work_folder(
    lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FUNCTIONS, "FailsAlways", forbidden)

    with pytest.raises(StageError, match=r"error:PermissionError: .*'/models/secret\.bin'"):
        toy.run(toy.pipeline(toy.Lines(path=str(lines)), toy.FailsAlways(), toy.Finish()), tmp_path / "out")


def test_more_bad_records_than_the_limit_fail_the_run(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("bad\n" * 21)

    with pytest.raises(
        StageError, match=r"lines\+raises\[0\]: error:ValueError.* \(20 records were set aside before\)"
    ):
        toy.run(toy.pipeline(toy.Lines(path=str(tmp_path / "lines.txt")), toy.Raises()), tmp_path / "out")


def test_a_file_that_cannot_be_read_is_tried_again_then_set_aside_whole(lines: Path, tmp_path: Path) -> None:
    (lines / "broken.txt").write_bytes(b"good\n" * 30 + b"\xff\n")

    report = toy.run(toy.pipeline(toy.Lines(path=str(lines)), toy.Finish()), tmp_path / "out")

    ledger = toy.rows_of(tmp_path / "out", "ledger")
    assert [(row["url"], row["action"], row["rule"]) for row in ledger] == [
        ("broken.txt", "quarantine", "unreadable_shard")
    ]
    assert "UnicodeDecodeError" in ledger[0]["note"]
    assert (report.set_aside, report.exit_status) == (1, 3)
    assert len(toy.rows_of(tmp_path / "out", "corpus")) == 40
    assert "set aside: 1" in str(report)


def test_a_file_that_was_set_aside_is_taken_once_it_can_be_read(lines: Path, tmp_path: Path) -> None:
    broken = lines / "broken.txt"
    broken.write_bytes(b"good\n\xff\n")
    toy.run(toy.pipeline(toy.Lines(path=str(lines)), toy.Finish()), tmp_path / "out")
    broken.write_bytes(b"good\nwhole\n")

    report = toy.run(toy.pipeline(toy.Lines(path=str(lines)), toy.Finish()), tmp_path / "out", replace=True)

    assert report.set_aside == 0
    assert len(toy.rows_of(tmp_path / "out", "corpus")) == 42


def test_a_reader_that_fails_once_is_forgiven(tmp_path: Path) -> None:
    (tmp_path / "0.txt").write_text("good\n")
    source = toy.FailsOnce(path=str(tmp_path / "0.txt"), mark=str(tmp_path / "mark"))

    report = toy.run(toy.pipeline(source, toy.Finish()), tmp_path / "out")

    assert (report.set_aside, report.stages[0].documents_out) == (0, 1)


def test_where_bad_input_must_fail_the_error_names_the_files(lines: Path, tmp_path: Path) -> None:
    (lines / "broken.txt").write_bytes(b"\xff\n")
    stages = toy.pipeline(toy.Lines(path=str(lines)), toy.Finish(), on_bad_input="fail")

    with pytest.raises(
        DataError, match=r"broken\.txt of source lines: cannot be read \(UnicodeDecodeError: .*\)"
    ) as failure:
        toy.run(stages, tmp_path / "out")

    assert failure.value.exit_status == 3


def test_a_file_that_may_not_be_opened_is_no_fault_of_the_work_folder(lines: Path, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=str(lines)), toy.Finish())
    (lines / "1.txt").unlink()

    report = toy.run(stages, tmp_path / "out")

    assert report.set_aside == 1
    assert "No such file" in toy.rows_of(tmp_path / "out", "ledger")[0]["note"]


def test_a_record_in_place_that_differs_wins_and_is_reported(lines: Path, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=str(lines)), toy.Finish())
    executor = Rival()
    place = Place(str(tmp_path / "out"), str(tmp_path / "out/work"))

    report = run_pipeline(stages, place, executor, toy.VERSION)

    assert report.differing == (executor.forged,)
    assert toy.rows_of(tmp_path / "out", "corpus")


def test_a_record_in_place_that_differs_fails_a_strict_run(lines: Path, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=str(lines)), toy.Finish())

    with pytest.raises(StageError, match=r"lines-[0-9a-f]+\[[01]\]: another attempt made other bytes .* \(--strict\)"):
        toy.run(stages, tmp_path / "out", executor=Rival(), strict=True)


class Rival(Local):
    """While a task runs, another attempt commits the same shard with another count."""

    forged = ""

    def run(self, tasks, seen):  # type: ignore[no-untyped-def]  # as Local's
        for task in tasks:
            yield task, self._outrun(task) if not self.forged else next(super().run([task], seen))[1]

    def _outrun(self, task):  # type: ignore[no-untyped-def]  # as Local's
        from datapipe import storage
        from datapipe.records import record_path
        from datapipe.task import run_task

        Path(f"{task.work}-rival").mkdir()
        real, put_new = run_task(replace(task, work=task.work + "-rival")), storage.put_new
        for made in real.shards[0].outputs.values():
            storage.put_file(f"{task.work}-rival/{made.path}", f"{task.work}/{made.path}")
        shard = real.shards[0]
        forged = Shard(shard.step, shard.number, shard.outputs, shard.passed, {**shard.counts, "other": {"cpu": 1}})
        put_new(record_path(task.work, shard.step, shard.number), forged.to_json())
        self.forged = f"{shard.step}[{shard.number}]"
        return self._late(task)

    def _late(self, task):  # type: ignore[no-untyped-def]  # as Local's
        """Runs the attempt that finds the other's record at its end."""
        from datapipe import task as tasks

        read, tasks.read_record = tasks.read_record, lambda *place: None
        try:
            return tasks.run_task(task)
        finally:
            tasks.read_record = read
