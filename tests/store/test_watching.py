"""A config that lies in a store, and how far its run is, asked where only the store is seen."""

import json
from pathlib import Path

import pytest
import serve
import toy

import datapipe
from datapipe import ConfigError, storage
from datapipe.status import status


@pytest.fixture
def inputs(store: serve.Store, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder with a config and a source; the toy stages are installed."""
    toy.install(tmp_path / "site", "toy", {"lines": "toy:Lines", "short": "toy:Short", "finish": "toy:Finish"})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    storage.put(f"{folder}/in/0.txt", b"one two three four\nfive six seven eight\n")
    stores = "stores: {'s3://bucket': {region: us-east-1}}"
    text = f"{stores}\nsteps: [lines: {{path: '{folder}/in/*.txt'}}, short, finish]"
    storage.put(f"{folder}/toy.yaml", text.encode())
    return folder


def test_a_run_whose_config_and_folders_are_in_a_store_is_watched_there(inputs: str) -> None:
    report = datapipe.run(f"{inputs}/toy.yaml", out=f"{inputs}/out", work=f"{inputs}/cache", executor="local")

    found = status(f"{inputs}/out", f"{inputs}/cache")
    noted = json.loads(storage.read_bytes(f"{inputs}/cache/run.json"))
    assert report.name == "toy"
    assert (found.state, found.corpus) == ("finished", True)
    assert all(step.done == step.tasks for step in found.steps)
    assert noted["work"] == f"{inputs}/cache"
    assert storage.read_bytes(f"{inputs}/cache/format.json") == b'{"format": 1}\n'


def test_a_config_that_is_not_in_the_store_is_a_sentence(inputs: str) -> None:
    with pytest.raises(ConfigError, match=f"{inputs}/none.yaml: "):
        datapipe.run(f"{inputs}/none.yaml", out=f"{inputs}/out", executor="local")
