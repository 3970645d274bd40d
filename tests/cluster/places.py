"""What the tests of clusters run, and where it comes out: toy stages as a user has them, and output folders."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import boto3
import toy

from datapipe.publish import FOLDERS
from tests.cluster.nodes import RUN
from tests.store.serve import SECRET, Store

ROOT = Path(__file__).parents[2]
QUICKSTART = [
    str(ROOT / "configs/quickstart.yaml"),
    *("--set", f"ingest.sources.pages.path={ROOT}/tests/data/sample.warc.gz"),
    *("--set", f"ingest.sources.notes.path={ROOT}/tests/data/notes.jsonl"),
    *("--set", f"decontaminate.benchmarks.questions.path={ROOT}/tests/data/questions.jsonl"),
]
TOY = """
steps:
  - lines: {{path: '{texts}'}}
  - slow: {{seconds: {seconds}}}
  - short
  - once
  - slow: {{seconds: 0.1}}
  - finish: {{rows_per_shard: 20}}
"""


def toy_environment(folder: Path) -> dict[str, str]:
    """Returns the environment of a process in which the toy stages are installed, below `folder`."""
    names = [name for name in toy.__all__ if isinstance(getattr(toy, name), type)]
    toy.install(folder / "site", "toy", {name.lower(): f"toy:{name}" for name in names})
    kept = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, folder / "site", ROOT / "tests/datapipe")))}


def toy_config(folder: Path, *, files: int, seconds: float) -> str:
    """Writes a config of toy stages and its files, each of which takes four times `seconds`; returns its path."""
    texts = toy.write_lines(folder / "texts", files=files, lines=20)
    (folder / "toy.yaml").write_text(TOY.format(texts=texts, seconds=seconds))
    return str(folder / "toy.yaml")


def run_here(config: Sequence[str], out: str, environment: Mapping[str, str], *more: str) -> str:
    """Runs a config in one process: what every other run of it must come to. Returns what it prints."""
    command = [*RUN, *config, "--out", out, "--executor", "local", *more]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


PLACES = (*FOLDERS, "reports")


class Here:
    """An output folder on this machine's disks."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.known: dict[tuple[str, int, int, int], str] = {}

    def corpus(self) -> dict[str, str]:
        """Returns name and SHA-256 of what is in corpus/ now."""
        return self._in("corpus")

    def tree(self) -> dict[str, str]:
        """Returns name and SHA-256 of all that was published, reports too."""
        return {name: digest for folder in PLACES for name, digest in self._in(folder).items()}

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


class InStore:
    """An output folder `s3://bucket/name`, seen behind the proxy's back."""

    def __init__(self, store: Store, name: str) -> None:
        self.out = f"s3://bucket/{name}"
        self.name = name
        self.known: dict[tuple[str, str], str] = {}
        self.client = boto3.client(
            *("s3", "us-east-1"),
            endpoint_url=store.direct, aws_access_key_id="testing", aws_secret_access_key=SECRET,
        )  # fmt: skip

    def corpus(self) -> dict[str, str]:
        """Returns name and SHA-256 of what is in corpus/ now."""
        return self._in("corpus")

    def tree(self) -> dict[str, str]:
        """Returns name and SHA-256 of all that was published, reports too."""
        return {name: digest for folder in PLACES for name, digest in self._in(folder).items()}

    def _in(self, folder: str) -> dict[str, str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix=f"{self.name}/{folder}/")
        listed = [found for page in pages for found in page.get("Contents", ())]
        return {
            found["Key"].removeprefix(f"{self.name}/"): self._digest(found["Key"], found["ETag"]) for found in listed
        }

    def _digest(self, key: str, tag: str) -> str:
        if (key, tag) not in self.known:
            content = self.client.get_object(Bucket="bucket", Key=key)["Body"].read()
            self.known[key, tag] = hashlib.sha256(content).hexdigest()
        return self.known[key, tag]
