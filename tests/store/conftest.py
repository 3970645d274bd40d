"""One S3 server for all tests here, behind the proxy that makes faults; a fresh folder in it for each."""

import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "datapipe"))

import serve


@pytest.fixture(scope="session")
def served() -> Iterator[serve.Store]:
    with serve.start() as store:
        yield store


@pytest.fixture
def store(served: serve.Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[serve.Store]:
    """The server without faults, and this process with its credentials and short pauses."""
    from datapipe.s3 import client, retry

    served.reset()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    times = {"DATAPIPE_STORE_TIMEOUT_SECONDS": "20", "DATAPIPE_STORE_RETRY_SECONDS": "60"}
    for name, value in {**served.environment(), **times, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(retry, "PAUSE_SECONDS", (0.01, 0.5))
    yield served
    client.configure({})


@pytest.fixture
def folder(store: serve.Store) -> str:
    return f"s3://bucket/{uuid.uuid4().hex}"
