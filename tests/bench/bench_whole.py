"""How fast `datapipe verify` reads: hashing of all files, tokens and order, against hashlib on one core.

    python tests/bench/bench_whole.py DIR [MEGABYTES]

DIR is the --out folder of a run. A folder of MEGABYTES of files that a claim names is made beside, to hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from datapipe.publish import claim_bytes
from datapipe.report import Report
from datapipe.verify import Look, looked

FILES = 16


def many(folder: Path, megabytes: int) -> None:
    """Makes a folder of files that a claim names; its report says nothing."""
    (folder / "keys").mkdir(parents=True)
    (folder / "reports").mkdir()
    files = {}
    for number in range(FILES):
        content = os.urandom(1 << 20) * (megabytes // FILES)
        name = f"keys/part-{number:05}-of-{FILES:05}.parquet"
        (folder / name).write_bytes(content)
        files[name] = hashlib.sha256(content).hexdigest()
    report = Report("many", "0", "0", 1.0, (), 0, tuple(files)).to_json()
    (folder / "reports/report.json").write_bytes(report)
    (folder / "reports/published.json").write_bytes(claim_bytes({"config_sha256": "0", "files": files}))


def timed(call: object, *given: object) -> tuple[float, float]:
    """Returns wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call(*given)  # type: ignore[operator]
    return time.perf_counter() - wall, time.process_time() - cpu


def main(folder: str, megabytes: int = 1024) -> None:
    """Prints the table."""
    list(looked(Look(folder)))  # compiled kernels, and pages in memory
    print(f"{'what':<34}{'wall s':>9}{'CPU s':>9}{'MB/s':>9}")
    with tempfile.TemporaryDirectory() as place:
        many(Path(place) / "many", megabytes)
        paths = sorted((Path(place) / "many/keys").iterdir())

        def plain() -> None:
            for path in paths:
                with path.open("rb") as file:
                    hashlib.file_digest(file, "sha256")

        plain()
        for name, call in (
            ("hashlib.file_digest, one after another", plain),
            ("verify", lambda: list(looked(Look(f"{place}/many", figures=0)))),
        ):
            wall, cpu = timed(call)
            print(f"{name:<34}{wall:>9.2f}{cpu:>9.2f}{megabytes / wall:>9.0f}")
    size = sum(path.stat().st_size for path in Path(folder).rglob("*") if "work" not in path.parts) / (1 << 20)
    for name, look in (
        (f"{folder[-24:]} --quick --figures 0", Look(folder, quick=True, figures=0)),
        (f"{folder[-24:]} --figures 0", Look(folder, figures=0)),
        (f"{folder[-24:]} --figures 12", Look(folder)),
    ):
        wall, cpu = timed(list, looked(look))
        print(f"{name:<34}{wall:>9.2f}{cpu:>9.2f}{size / wall:>9.0f}")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
    print(json.dumps({"cores": os.cpu_count()}))
