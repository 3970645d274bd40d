"""Ten times the data of the memory there is, the operating system counting: whoever holds it all is killed.

A command runs in a memory cgroup of its own (version 1 or 2, which needs root; page cache counts, and is given back
under pressure), else under RLIMIT_DATA. Python, Arrow and the kernels take about 200 MB before any data comes.
"""

from __future__ import annotations

import json
import os
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
PATIENCE_SECONDS = 900.0
GROUPS = (  # of cgroups: where they are made, the file that holds the limit, the one that holds the peak
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
    ("/sys/fs/cgroup", "memory.max", "memory.peak"),
)
Limited = Callable[..., int]
pytestmark = pytest.mark.heavy


@pytest.fixture
def limited() -> Iterator[Limited]:
    """Runs a command within so many megabytes; returns the most it used (bytes), or 0 where that cannot be known."""
    group, peak = None, ""
    for folder, limit, peak in GROUPS:
        group = Path(folder, f"datapipe-test-{uuid.uuid4().hex[:8]}")
        try:
            group.mkdir()
            if (group / limit).exists():
                break
            group.rmdir()
        except OSError:
            pass
        group = None

    def run(megabytes: int, *command: str) -> int:
        if group is None:
            enter = f'ulimit -d {megabytes * 1024} && exec "$@"'
        else:
            (group / limit).write_text(str(megabytes * MEGABYTE))
            enter = f'echo $$ > {group}/cgroup.procs && exec "$@"'
        made = subprocess.run(
            ["sh", "-c", enter, "sh", *command], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
        assert made.returncode == 0, f"exit status {made.returncode} (137 or -9: out of memory): {made.stderr[-2000:]}"
        return int((group / peak).read_text()) if group else 0

    yield run
    if group is not None:
        group.rmdir()


def write_corpus(folder: Path, files: int, megabytes: int) -> None:
    """Writes JSON lines: documents of 8 kB that share phrases and no more, and every fourth a copy of one of them."""
    draw = random.Random(7)
    letters = "etaoinshrdlu"
    words = ["".join(draw.choices(letters, k=draw.randint(3, 9))) for _ in range(20_000)]
    phrases = [" ".join(draw.choices(words, k=12)) for _ in range(50_000)]
    first = ". ".join(draw.choices(phrases, k=100))
    for file in range(files):
        with zstandard.open(folder / f"{file}.jsonl.zst", "wt", cctx=zstandard.ZstdCompressor(1)) as lines:
            left = megabytes * MEGABYTE // files
            while left > 0:
                text = first if draw.random() < 0.25 else ". ".join(draw.choices(phrases, k=100))
                lines.write(json.dumps({"text": text}) + "\n")
                left -= len(text)


def test_a_pipeline_makes_ten_times_its_memory_of_text(limited: Limited, tmp_path: Path) -> None:
    memory, times = 400, 10
    write_corpus(tmp_path, 8, memory * times)
    config = {"steps": [{"ingest": {"sources": {"texts": {"path": f"{tmp_path}/*.jsonl.zst"}}}}, {"dedup": {}}]}
    (tmp_path / "memory.yaml").write_text(json.dumps(config))
    command = [sys.executable, "-m", "datapipe", "run", str(tmp_path / "memory.yaml"), "--executor", "local"]

    limited(memory, *command, "--out", str(tmp_path / "out"))

    report = json.loads((tmp_path / "out/reports/report.json").read_text())
    rows = {stage["stage"]: stage for stage in report["stages"]}
    assert rows["dedup"]["rows_in"] > memory * times * MEGABYTE // 9000
    assert 0.7 < rows["dedup"]["rows_out"] / rows["dedup"]["rows_in"] < 0.8


@pytest.mark.parametrize(("case", "megabytes"), [("one_key", 1200), ("wide_rows", 1200)])
def test_an_exchange_passes_three_times_its_memory(
    case: str, megabytes: int, limited: Limited, tmp_path: Path
) -> None:
    limited(400, sys.executable, str(CASES), case, str(tmp_path), str(megabytes))


def test_a_process_that_holds_more_is_killed(limited: Limited) -> None:
    with pytest.raises(AssertionError, match="exit status"):
        limited(400, sys.executable, "-c", "held = [bytearray(b'x' * (1 << 20)) for _ in range(500)]")
