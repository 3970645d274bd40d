"""Exports and removals of a corpus in a store: what is written there is what is written on a disk."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from datapipe import ConfigError, storage
from datapipe.verify import verify
from stages.corpus import Corpus
from stages.corpus.export import app
from stages.corpus.remove import remove
from tests.stages.corpus.runs import run

REMOVE = typer.Typer()
REMOVE.command()(remove)


def files(folder: str) -> dict[str, bytes]:
    return {name: storage.read_bytes(storage.join(folder, name)) for name in storage.walk(folder)}


def call(to: typer.Typer, *words: str) -> str:
    done = CliRunner().invoke(to, list(words), catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_a_store_gets_the_files_that_a_disk_gets(folder: str, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("two.example\n")
    far, near = f"{folder}/out", str(run(tmp_path / "near"))
    run(tmp_path / "far", out=far)

    for place in (far, near):
        call(REMOVE, place, "--hosts", str(hosts), "--apply", "--rebuild", "--out", f"{place}-new")
        call(app, "raw", place, "--format", "olmo", "--out", f"{place}-olmo")

    assert files(f"{far}-olmo") == files(f"{near}-olmo")
    assert files(f"{far}-new") == files(f"{near}-new")
    assert files(f"{far}/corpus/overlays") == files(f"{near}/corpus/overlays")
    assert list(verify(near)) == list(verify(f"{near}-new")) == []
    seen = [[row for part in Corpus.open(place).split().rows() for row in part.to_pylist()] for place in (far, near)]
    assert seen[0] == seen[1]
    with pytest.raises(ConfigError, match="is there already"):
        call(app, "hf", far, "--out", f"{far}-olmo")
