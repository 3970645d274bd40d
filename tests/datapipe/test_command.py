"""The command: exit statuses, sentences, and a stage of a package that knows nothing of ours."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import toy

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def datapipe(installed: dict[str, str], tmp_path: Path) -> Command:
    """Runs the command in a folder with sources and a config."""
    toy.write_lines(tmp_path / "in")
    (tmp_path / "toy.yaml").write_text("steps: [lines: {path: in/*.txt}, short, once, finish]\n")

    def run(*words: str, **settings: object) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "datapipe.cli", *words]
        return subprocess.run(  # type: ignore[call-overload,no-any-return]  # settings are subprocess's own
            line, cwd=tmp_path, capture_output=True, text=True, check=False, **{"env": installed, **settings}
        )

    return run


RUN = ("run", "toy.yaml", "--out", "out", "--executor", "local")


def test_a_run_says_what_it_made_and_a_second_that_there_is_nothing_to_do(datapipe: Command, tmp_path: Path) -> None:
    first, second = datapipe(*RUN), datapipe(*RUN)
    report, whole, plan = (
        datapipe("report", "out", "--funnel", "--json"),
        datapipe("verify", "out"),
        datapipe("plan", "toy.yaml", "--out", "out"),
    )

    assert (first.returncode, second.returncode) == (0, 0)
    assert "made 2" in first.stdout
    assert "nothing to do: everything was made before; corpus in" in second.stdout
    assert json.loads(report.stdout) == json.loads((tmp_path / "out/reports/report.json").read_text())
    assert whole.stdout == "out: whole\n"
    assert "done before" in plan.stdout
    assert "wave" not in plan.stdout


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("run", "toy.yaml"), 2, "Missing option '--out'"),
        (("run", "none.yaml", "--out", "out"), 2, "none.yaml: cannot be read as a config"),
        (("run", "\x1b[2J.yaml", "--out", "out"), 2, "datapipe: \\u001b[2J.yaml: cannot be read as a config"),
        ((*RUN, "--set", "short.limt=3"), 2, "toy.yaml: steps[1] short: unknown key 'limt' (did you mean 'limit'?)"),
        ((*RUN[:-1], "spark"), 2, "--executor spark: is ray or local"),
        ((*RUN, "--keep", "some"), 2, "--keep some: is all or none"),
        ((*RUN, "--sample", "2"), 2, "--sample 2.0: is a share of the documents"),
        ((*RUN, "--workers", "0"), 2, "Invalid value for '--workers'"),
        ((*RUN[:3], "toy.yaml", *RUN[4:]), 2, "cannot be written (Not a directory); choose another folder"),
        (("report", "in"), 2, "in: holds no reports/report.json; give the --out folder of a run that has finished"),
        (("verify", "in"), 2, "in: holds no reports/report.json"),
        (("explain", "in", "0" * 32), 2, "in: holds neither a corpus nor a ledger; give the --out folder of a run"),
        (("gc", "in"), 2, "in/work: is no work folder of datapipe; give the --out of a run, or --work"),
        (("show", "none.ipc"), 2, "none.ipc: there is no such file"),
        (("show", "toy.yaml"), 2, "toy.yaml: is none of .json, .arrow, .ipc, .parquet, .exchange"),
        (("show", "toy.jsonl.zst"), 2, "toy.jsonl.zst: there is no such file"),
        (("lint",), 2, "No such command 'lint'. (see datapipe --help)"),
        (("show",), 2, "Missing argument 'DIR|FILE'. (see datapipe show --help)"),
    ],
)
def test_every_misuse_ends_in_one_sentence_and_its_status(
    words: tuple[str, ...], status: int, sentence: str, datapipe: Command
) -> None:
    made = datapipe(*words)

    assert made.returncode == status
    assert made.stderr.startswith("datapipe: ")
    assert sentence in made.stderr
    assert "Traceback" not in made.stderr


@pytest.mark.parametrize("words", [(), ("evaluate",), ("train",)])
def test_a_command_without_words_is_answered_by_its_help(words: tuple[str, ...], datapipe: Command) -> None:
    made = datapipe(*words)

    assert made.returncode == 2
    assert made.stderr.startswith(" ".join(["Usage: datapipe", *words, "[OPTIONS] COMMAND"]))
    assert "(see" not in made.stderr


def test_a_stage_that_breaks_its_contract_ends_with_status_1_and_no_corpus(datapipe: Command, tmp_path: Path) -> None:
    (tmp_path / "in/0.txt").write_text("good\nbad\n")
    (tmp_path / "toy.yaml").write_text("steps: [lines: {path: in/*.txt}, loses, finish]\n")

    made = datapipe(*RUN)

    assert made.returncode == 1
    assert "stage loses, shard 0: 2 documents in + 0 made by splitting is not 1 out + 0 dropped" in made.stderr
    assert not (tmp_path / "out/corpus").exists()


def test_what_is_set_aside_ends_with_status_3(datapipe: Command, tmp_path: Path) -> None:
    (tmp_path / "in/broken.txt").write_bytes(b"\xff")

    made, failed = datapipe(*RUN), datapipe(*RUN[:3], "fail", *RUN[4:], "--set", "on_bad_input=fail")

    assert made.returncode == 3
    assert "set aside: 1 (allowed: 0); the ledger says what and why" in made.stdout
    assert failed.returncode == 3
    assert "broken.txt of source lines: cannot be read (UnicodeDecodeError" in failed.stderr


def test_the_corpus_of_another_config_stays_without_replace(datapipe: Command) -> None:
    datapipe(*RUN)

    refused, replaced = datapipe(*RUN, "--set", "short.limit=4"), datapipe(*RUN, "--set", "short.limit=4", "--replace")

    assert refused.returncode == 2
    assert "holds the corpus of another config" in refused.stderr
    assert replaced.returncode == 0


def test_a_full_disk_ends_with_status_75_and_the_same_command_goes_on(datapipe: Command, tmp_path: Path) -> None:
    toy.write_lines(tmp_path / "in", lines=400)

    full = datapipe(*RUN, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000)))
    rest = datapipe(*RUN)

    assert full.returncode == 75
    assert (
        "no space left on the device; make room and run the same command again, what is finished stays" in full.stderr
    )
    assert rest.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_file_system_ends_with_status_75(datapipe: Command, tmp_path: Path) -> None:
    toy.write_lines(tmp_path / "in", lines=400)
    (tmp_path / "out").mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path / "out")], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")

    try:
        full = datapipe(*RUN)
        subprocess.run(["mount", "-o", "remount,size=64m", str(tmp_path / "out")], check=True)
        rest = datapipe(*RUN)
    finally:
        subprocess.run(["umount", str(tmp_path / "out")], check=True)

    assert full.returncode == 75
    assert "no space left on the device" in full.stderr
    assert rest.returncode == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_a_sentence(datapipe: Command, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)

    made = datapipe(*RUN)

    assert made.returncode == 2
    assert "cannot be written (Permission denied); choose another folder" in made.stderr


SHOUT = '''
"""A stage of another package."""
from dataclasses import dataclass
from functools import partial
from typing import Annotated
import pyarrow as pa
import pyarrow.compute as pc
from datapipe import Stage

@dataclass(frozen=True, kw_only=True)
class Shout(Stage):
    """Writes every text in capitals."""

    marks: Annotated[int, "exclamation marks behind each text"] = 1

    def build(self, *inputs):
        return inputs[0].map(partial(shout, marks=self.marks), reads=("text",), adds=pa.schema([("text", pa.string())]))

def shout(batches, work, marks):
    for batch in batches:
        text = pc.binary_join_element_wise(pc.utf8_upper(batch.column("text")), "!" * marks, "")
        yield batch.set_column(batch.schema.get_field_index("text"), "text", text)
'''


@pytest.fixture
def third_party(datapipe: Command, installed: dict[str, str], tmp_path: Path) -> Command:
    """The command, in an environment where a package of somebody else is installed."""
    toy.install(tmp_path / "site", "acme_shout", {"shout": "acme_shout:Shout"})
    (tmp_path / "site/acme_shout.py").write_text(SHOUT)
    (tmp_path / "toy.yaml").write_text("steps: [lines: {path: in/*.txt}, shout: {marks: 2}, finish]\n")
    return datapipe


def test_a_stage_of_another_package_is_found_checked_and_run(third_party: Command, tmp_path: Path) -> None:
    listed, wrong, made = third_party("stages"), third_party(*RUN, "--set", "shout.mraks=1"), third_party(*RUN)

    assert "shout: Writes every text in capitals." in listed.stdout
    assert "marks: int = 1\n        exclamation marks behind each text" in listed.stdout
    assert wrong.returncode == 2
    assert "toy.yaml: steps[1] shout: unknown key 'mraks' (did you mean 'marks'?)" in wrong.stderr
    assert made.returncode == 0
    assert all(row["text"] == row["text"].upper() for row in toy.rows_of(tmp_path / "out", "corpus"))
    assert {row["text"][-2:] for row in toy.rows_of(tmp_path / "out", "corpus")} == {"!!"}


REPORTERS = '''
"""What another package says of a corpus when it is made."""
import os

def tells(folder, *, executor, address, workers, keep, listener):
    if "STOPPED" in os.environ:
        raise KeyboardInterrupt
    return [f"told of {folder} by {executor}, keeping {keep}\\x1b[2J"]

def fails(folder, **where):
    raise ValueError("nothing to say")
'''


@pytest.fixture
def reporters(datapipe: Command, installed: dict[str, str], tmp_path: Path) -> Command:
    """The command, in an environment where a package reports on corpora."""
    toy.install(tmp_path / "site", "acme_reports", {})
    lines = ["[datapipe.reporters]", "fails = acme_reports:fails", "tells = acme_reports:tells", ""]
    (tmp_path / "site/acme_reports-1.0.dist-info/entry_points.txt").write_text("\n".join(lines))
    (tmp_path / "site/acme_reports.py").write_text(REPORTERS)
    return datapipe


def test_a_run_is_reported_on_at_its_end_and_a_report_that_fails_is_a_warning(
    reporters: Command, tmp_path: Path
) -> None:
    made, without = reporters(*RUN, "--keep", "none"), reporters(*RUN, "--no-report")

    assert (made.returncode, without.returncode) == (0, 0)
    assert made.stdout.endswith(f"told of {tmp_path}/out by local, keeping none\\u001b[2J\n")
    assert "by fails: ValueError: nothing to say; the corpus is whole, `datapipe report` tries again" in made.stderr
    assert "Traceback" not in made.stderr
    assert "told of" not in without.stdout
    assert "nothing to say" not in without.stderr


def test_a_run_that_is_stopped_while_it_is_reported_on_is_finished_and_ends_with_status_75(
    reporters: Command, installed: dict[str, str], tmp_path: Path
) -> None:
    stopped = reporters(*RUN, env={**installed, "STOPPED": "1"})
    again = reporters(*RUN)

    assert stopped.returncode == 75
    assert stopped.stderr.endswith("stopped; what is finished stays, and the same command goes on from there\n")
    assert "made 2" in stopped.stdout
    assert again.returncode == 0
    assert "nothing to do: everything was made before" in again.stdout
    assert "told of" in again.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("seconds", [0.0, 0.3, 0.8])
def test_a_signal_while_libraries_load_is_a_sentence_too(
    seconds: float, number: signal.Signals, installed: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "toy.yaml").write_text(f"steps: [ingest: {{sources: {{a: {{path: {tmp_path}/*.warc}}}}}}]\n")
    command = [sys.executable, "-m", "datapipe", "run", "toy.yaml", "--out", "out"]

    process = subprocess.Popen(command, cwd=tmp_path, env=installed, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not catches(process.pid, signal.SIGTERM):
        time.sleep(0.001)
    time.sleep(seconds)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]

    assert process.returncode in (75, 2)  # 2: it was faster, and found no file
    assert "Traceback" not in said
    assert said.startswith("datapipe: ")
    assert process.returncode == 2 or said == (
        "datapipe: stopped; what is finished stays, and the same command goes on from there\n"
    )


def catches(process: int, number: signal.Signals) -> bool:
    """Returns whether a process has a handler of its own for a signal."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("SigCgt:") and int(line.split()[1], 16) >> (number - 1) & 1 for line in lines)
