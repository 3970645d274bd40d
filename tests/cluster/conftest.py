"""One local Ray of two workers for all tests here; toy stages stand in tests/datapipe."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "datapipe"))

import toy


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A Ray of two workers, which executors find and leave running."""
    from datapipe.cluster.connect import connect, ray

    connect("local", 2)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A glob of three text files of sixteen lines."""
    return str(toy.write_lines(tmp_path_factory.mktemp("texts")))
