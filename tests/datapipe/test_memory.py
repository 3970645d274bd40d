"""Ten times the data of the memory there is, the operating system counting: whoever holds it all is killed.

A command runs in a memory cgroup of its own (version 1 or 2, which needs root; page cache counts, and is given back
under pressure), else under RLIMIT_DATA. Python, Arrow and the kernels take about 200 MB before any data comes.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

MEGABYTE = 1 << 20
CASES = Path(__file__).parent / "memory_cases.py"
LIMIT = 360  # megabytes: the exchange's 96, its inputs and outputs, an interpreter, and what huge pages round up
ROWS = "1152"  # megabytes
PATIENCE_SECONDS = 900.0
GROUPS = (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max"))  # versions 1 and 2
Limited = Callable[..., None]


@pytest.fixture
def limited() -> Iterator[Limited]:
    """Runs a command within so many megabytes, and fails where it does not end well."""
    group, limit = _group()

    def run(megabytes: int, *command: str) -> None:
        if group is None:
            enter = f'ulimit -d {megabytes * 1024} && exec "$@"'
        else:
            (group / limit).write_text(str(megabytes * MEGABYTE))
            enter = f'echo $$ > {group}/cgroup.procs && exec "$@"'
        made = subprocess.run(
            ["sh", "-c", enter, "sh", *command], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
        assert made.returncode == 0, f"exit status {made.returncode} (-9: out of memory): {made.stderr[-2000:]}"

    yield run
    if group is not None:
        group.rmdir()


def _group() -> tuple[Path | None, str]:
    """Makes a memory cgroup; returns its folder and the name of the file for its limit, or None where none can be."""
    for folder, limit in GROUPS:
        group = Path(folder, f"datapipe-test-{uuid.uuid4().hex[:8]}")
        with contextlib.suppress(OSError):
            group.mkdir()
            if (group / limit).exists():
                return group, limit
            group.rmdir()
    return None, ""


def write_corpus(folder: Path, files: int, megabytes: int) -> None:
    """Writes JSON lines: documents of 8 kB that share phrases and no more, and every fourth a copy of one of them."""
    draw = random.Random(7)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(3, 9))) for _ in range(20_000)]
    phrases = [" ".join(draw.choices(words, k=60)) for _ in range(20_000)]
    first = ". ".join(draw.choices(phrases, k=20))
    for file in range(files):
        with zstandard.open(folder / f"{file}.jsonl.zst", "wb", cctx=zstandard.ZstdCompressor(1)) as lines:
            left = megabytes * MEGABYTE // files
            while left > 0:
                text = first if draw.random() < 0.25 else ". ".join(draw.choices(phrases, k=20))
                lines.write(b'{"text": "%s"}\n' % text.encode())
                left -= len(text)


@pytest.mark.long
def test_a_pipeline_makes_ten_times_its_memory_of_text(limited: Limited, tmp_path: Path) -> None:
    memory, times = 500, 10  # of which a process that has loaded its libraries holds 300
    write_corpus(tmp_path, 5, memory * times)
    config = {"steps": [{"ingest": {"sources": {"texts": {"path": f"{tmp_path}/*.jsonl.zst"}}}}, {"dedup": {}}]}
    (tmp_path / "memory.yaml").write_text(json.dumps(config))
    command = [sys.executable, "-m", "datapipe", "run", str(tmp_path / "memory.yaml"), "--executor", "local"]

    limited(memory, *command, "--out", str(tmp_path / "out"))

    report = json.loads((tmp_path / "out/reports/report.json").read_text())
    dedup = report["stages"][-1]
    assert dedup["documents_in"] > memory * times * MEGABYTE // 9000
    assert 0.7 < dedup["documents_out"] / dedup["documents_in"] < 0.8


@pytest.mark.heavy
@pytest.mark.parametrize("case", ["one_key", "wide_rows"])
def test_an_exchange_passes_three_times_its_memory(case: str, limited: Limited, tmp_path: Path) -> None:
    limited(LIMIT, sys.executable, str(CASES), case, str(tmp_path), ROWS, "96")


@pytest.mark.heavy
def test_an_exchange_that_holds_it_all_is_killed(limited: Limited, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="exit status -9"):
        limited(LIMIT, sys.executable, str(CASES), "one_key", str(tmp_path), ROWS, "100000")
