"""Running toy pipelines: in this process, in one that is cut off, and looking at what they leave."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from datapipe import Dataset, Report, Stage
from datapipe.graph import Pipeline
from datapipe.local import Executor, Local
from datapipe.publish import FOLDERS, Place
from datapipe.run import run_pipeline

VERSION = "0"
PATIENCE_SECONDS = 120.0
WORDS = "ash birch cedar elm fir hazel juniper larch maple oak 松树 柏树 枫树 银杏".split()


def write_lines(folder: Path, files: int = 3, lines: int = 16) -> Path:
    """Writes text files of one to six words a line, some lines empty; returns the glob that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in range(files):
        rows = []
        for line in range(lines):
            seed = file * 131 + line * 17
            words = [WORDS[(seed * (word + 3) + word) % len(WORDS)] for word in range(seed % 7)]
            rows.append(" ".join([*words[:1], f"n{file}-{line}", *words[1:]]) if words else "")
        (folder / f"{file}.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "*.txt"


def install(site: Path, name: str, stages: Mapping[str, str]) -> None:
    """Puts into `site` what an installer leaves of a package that offers `stages` (name: module:class)."""
    place = site / f"{name}-1.0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{stage} = {value}" for stage, value in stages.items()]
    (place / "entry_points.txt").write_text("\n".join(["[datapipe.stages]", *lines, ""]))


def pipeline(*stages: Stage, **settings: Any) -> Pipeline:  # Any: sample, on_bad_input
    """Returns the pipeline of stages in a row, each called like its class in lower case."""
    made: list[tuple[str, Stage, Dataset]] = []
    for stage in stages:
        built = stage.build(*(made[-1][2:] if made else ()))
        made.append((type(stage).__name__.lower(), stage, built))
    return Pipeline("toy", tuple(made), **settings)


def run(
    stages: Pipeline, out: Path, *, work: Path | None = None, executor: Executor | None = None, **place: bool
) -> Report:
    """Runs a pipeline into `out`, on the executor of this process unless another is given."""
    where = Place(str(out), str(work or out / "work"), **place)
    return run_pipeline(stages, where, executor or Local(), VERSION)


def tree(out: Path) -> dict[str, str]:
    """Returns name and SHA-256 of every published file, the report's too."""
    folders = [out / name for name in (*FOLDERS, "reports")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


def rows_of(out: Path, folder: str) -> list[dict[str, Any]]:  # Any: Arrow's Python values
    """Returns all rows of the published tables of a folder, in the order of their names."""
    rows: list[dict[str, Any]] = []
    for path in sorted((out / folder).glob("*")):
        if path.suffix == ".parquet":
            rows += pq.read_table(path).to_pylist()
        elif path.suffix == ".arrow":
            with pa.OSFile(str(path)) as file:
                rows += pa.ipc.open_file(file).read_all().to_pylist()
    return rows


def start(stages: tuple[Stage, ...], out: Path, fault: str = "") -> BaseProcess:
    """Starts to run a pipeline in a process of its own with PIPE_FAULT=`fault`, and returns the process."""
    child = _FORKS.Process(target=_child, args=(stages, out, fault))
    child.start()
    return child


def crash(stages: tuple[Stage, ...], out: Path, fault: str) -> int:
    """Runs a pipeline in a process of its own with PIPE_FAULT=`fault`; returns its exit status."""
    child = start(stages, out, fault)
    child.join(PATIENCE_SECONDS)
    assert child.exitcode is not None, f"{fault}: still at it after {PATIENCE_SECONDS} s"
    return child.exitcode


def _child(stages: tuple[Stage, ...], out: Path, fault: str) -> None:
    os.environ["PIPE_FAULT"] = fault
    run(pipeline(*stages), out)


# Imports once, and forks before Arrow has threads. It does not see sys.path, so it cannot import toy.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["datapipe.run", "pandas"])
