"""Toy stages stand next to these tests; texts for them, and a place where a package can be installed."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import toy


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A glob of three text files of sixteen lines."""
    return str(toy.write_lines(tmp_path_factory.mktemp("texts")))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a process, this one too, in which the toy stages are installed."""
    stages = [name for name in toy.__all__ if isinstance(getattr(toy, name), type)]
    toy.install(tmp_path / "site", "toy", {name.lower(): f"toy:{name}" for name in stages})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    here = Path(__file__).parent
    return {**os.environ, "PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{here}"}
