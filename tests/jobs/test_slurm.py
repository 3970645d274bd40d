"""The Slurm script starts a cluster and runs the command on it.

There is no Slurm here: `srun` and `scontrol` are stand-ins that run what they are given on this machine, so both nodes
are one. That shows the script's own steps: head, worker, token, address, status, being queued again.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.heavy

SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
SCONTROL = """#!/usr/bin/env bash
case $1 in
show) printf 'one\\ntwo\\n' ;;
requeue) echo "$2" >>"$STANDIN/requeued" ;;
esac
"""


@pytest.fixture
def standin() -> Iterator[Path]:
    """A folder with srun and scontrol, of a short path for Ray's sockets; what ran with it is killed in the end."""
    folder = Path(tempfile.mkdtemp(prefix="dps", dir="/tmp"))
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    yield folder
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("STANDIN") == str(folder)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if ours:
            process.kill()
    shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("", 0))
        return int(opened.getsockname()[1])


def script(standin: Path, config: Path, out: Path) -> subprocess.Popen[bytes]:
    """Starts the script as Slurm would on two nodes."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {
        "PATH": f"{standin}:{environment['PATH']}",
        "STANDIN": str(standin),
        "DATAPIPE_VENV": str(Path(sys.executable).parents[1]),
        "SLURM_JOB_NODELIST": "[one,two]",
        "SLURM_JOB_ID": "7",
        "SLURM_CPUS_PER_TASK": "1",
        "RAY_PORT": str(free_port()),
        "RAY_TMPDIR": str(standin / "ray"),
        "DATAPIPE_SCRATCH": str(standin / "scratch"),
    }
    line = ["bash", str(ROOT / "jobs/datapipe.sbatch"), str(config), str(out)]
    with (standin / "log").open("wb") as log:  # no pipe: what the script leaves behind would hold it open
        return subprocess.Popen(line, env=environment, cwd=ROOT, stdout=log, stderr=log)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The quickstart with paths that mean the same on every node."""
    text = (ROOT / "configs/quickstart.yaml").read_text().replace("tests/data/", f"{ROOT}/tests/data/")
    path = tmp_path / "quickstart.yaml"
    path.write_text(text)
    return path


def test_the_script_makes_the_corpus_on_two_nodes(standin: Path, config: Path, tmp_path: Path) -> None:
    process = script(standin, config, tmp_path / "out")
    status = process.wait(timeout=240)

    said = (standin / "log").read_text()
    assert status == 0, said
    assert "corpus in" in said
    assert (tmp_path / "out/corpus/manifest.json").exists()


def test_slurms_warning_stops_the_driver_and_the_job_is_queued_again(
    standin: Path, config: Path, tmp_path: Path
) -> None:
    process = script(standin, config, tmp_path / "out")
    while not (tmp_path / "out/work").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    status = process.wait(timeout=120)

    assert status == 75, (standin / "log").read_text()
    assert (standin / "requeued").read_text() == "7\n"
