"""A finished run that the tests of the audit share, its facts, and rows of the frame from plain values."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path
from typing import Any

import pytest

import datapipe
from stages.audit.command import make
from stages.audit.counter import Facts
from stages.audit.run import facts_of

DATA = Path(__file__).resolve().parents[2] / "data"
CONFIG: dict[str, Any] = {
    "name": "sample",
    "steps": [
        {
            "ingest": {
                "sources": {
                    "pages": {"path": str(DATA / "sample.warc.gz")},
                    "notes": {"path": str(DATA / "notes.jsonl"), "licence": "CC0-1.0"},
                }
            }
        },
        "repair",
        "language",
        "format",
        {"classify": {"name": "quality", "model": "quality", "positive": "good"}},
        "safety",
        {"quality": {"also": ["safety"]}},
        "pii",
        "dedup",
        {"decontaminate": {"benchmarks": {"questions": {"path": str(DATA / "questions.jsonl")}}}},
        {"tokenize": {"tokenizer": {"train": {"vocab_size": 1024}}}},
        {
            "mix": {
                "by": "source",
                "weights": {"pages": 0.7, "notes": 0.3},
                "seq_len": 256,
                "validation": {"documents": 2},
            }
        },
    ],
}


def once(factory: pytest.TempPathFactory, name: str, filled: Any) -> Path:
    """Returns the folder that `filled(folder)` filled, once for all workers of the tests."""
    root = factory.getbasetemp()
    root = root.parent if root.name.startswith("popen-") else root
    folder = root / name
    with open(root / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            filled(root / f"{name}.part")
            (root / f"{name}.part").rename(folder)
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder --out of a finished run of the sample of this repository; it is read and not written to."""

    def ran(folder: Path) -> None:
        datapipe.run(CONFIG, out=folder, executor="local", keep="none")

    return once(tmp_path_factory, "audited", ran)


@pytest.fixture(scope="session")
def facts(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """Returns the facts of that run."""
    return facts_of(str(finished), place=tmp_path_factory.mktemp("facts"), executor="local")


@pytest.fixture(scope="session")
def told(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder that the report on the shared run was put in; it is not written to."""
    place = tmp_path_factory.mktemp("told")
    make(str(finished), str(place), executor="local")
    return place


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """Returns a copy of that run, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "copied"))
