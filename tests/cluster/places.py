"""What the tests of clusters run, and where it comes out: toy stages as a user has them, and output folders to look at."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import toy

from datapipe.publish import FOLDERS
from tests.cluster.nodes import RUN

ROOT = Path(__file__).parents[2]
QUICKSTART = [
    str(ROOT / "configs/quickstart.yaml"),
    *("--set", f"ingest.sources.pages.path={ROOT}/tests/data/sample.warc.gz"),
    *("--set", f"ingest.sources.notes.path={ROOT}/tests/data/notes.jsonl"),
]
TOY = """
steps:
  - lines: {{path: '{texts}'}}
  - slow: {{seconds: {seconds}}}
  - short
  - once
  - slow: {{seconds: 0.1}}
  - write: {{rows_per_shard: 20}}
"""


def toy_environment(folder: Path) -> dict[str, str]:
    """Returns the environment of a process in which the toy stages are installed, below `folder`."""
    names = [name for name in toy.__all__ if isinstance(getattr(toy, name), type)]
    toy.install(folder / "site", "toy", {name.lower(): f"toy:{name}" for name in names})
    kept = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(folder / "site"), str(Path(toy.__file__).parents[1])])}


def toy_config(folder: Path, *, files: int, seconds: float) -> str:
    """Writes a config of toy stages and its files, each of which takes four times `seconds`; returns its path."""
    texts = toy.write_lines(folder / "texts", files=files, lines=20)
    (folder / "toy.yaml").write_text(TOY.format(texts=texts, seconds=seconds))
    return str(folder / "toy.yaml")


def run_here(config: list[str], out: str, environment: Mapping[str, str]) -> None:
    """Runs a config in one process: what every other run of it must come to."""
    command = [*RUN, *config, "--out", out, "--executor", "local"]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Here:
    """An output folder on this machine's disks."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.known: dict[tuple[str, int, int, int], str] = {}

    def corpus(self) -> dict[str, str]:
        """Returns name and SHA-256 of what is in corpus/ now."""
        return self._in("corpus")

    def tree(self) -> dict[str, str]:
        """Returns name and SHA-256 of all that was published, but for reports."""
        return {name: digest for folder in FOLDERS for name, digest in self._in(folder).items()}

    def _in(self, folder: str) -> dict[str, str]:
        found = {}
        for path in sorted((self.out / folder).rglob("*")):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    found[str(path.relative_to(self.out))] = self._digest(path)
        return found

    def _digest(self, path: Path) -> str:
        at = path.stat()
        key = (str(path), at.st_ino, at.st_size, at.st_mtime_ns)
        if key not in self.known:
            self.known[key] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self.known[key]
