"""The quickstart with input, work and output in a store that fails gives the bytes of a run on the disk."""

import os
import random
from pathlib import Path
from typing import Any

import pytest
import serve

import datapipe
from datapipe import storage
from datapipe.errors import Interrupted
from datapipe.verify import verify

ROOT = Path(__file__).parents[2]
FOLDERS = ("corpus", "ledger", "signals", "keys")
RATES = {"500": 0.01, "503": 0.02, "500_after": 0.01, "cut_before": 0.01, "cut_body": 0.02, "cut_after": 0.02}


def config(inputs: str) -> dict[str, Any]:
    import yaml

    loaded: dict[str, Any] = yaml.safe_load((ROOT / "configs/quickstart.yaml").read_text())
    for source in loaded["steps"][0]["ingest"]["sources"].values():
        source["path"] = storage.join(inputs, os.path.basename(source["path"]))
    return loaded


def content(out: str) -> dict[str, bytes]:
    names = [f"{part}/{name}" for part in FOLDERS for name in storage.walk(storage.join(out, part))]
    return dict(zip(names, storage.read_many([storage.join(out, name) for name in names]), strict=True))


def put_inputs(folder: str) -> str:
    for name in ("sample.warc.gz", "notes.jsonl"):
        storage.put(f"{folder}/{name}", (ROOT / "tests/data" / name).read_bytes())
    return folder


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = str(tmp_path_factory.mktemp("oracle"))
    datapipe.run(config(str(ROOT / "tests/data")), out=out, executor="local")
    return content(out)


@pytest.mark.parametrize("refusal", ["403", "expired"])
def test_keys_that_run_out_stop_the_run_and_set_no_file_aside(
    refusal: str, store: serve.Store, folder: str, oracle: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datapipe.local.REFUSALS", 2)
    inputs = put_inputs(f"{folder}/in")
    store.next_faults([refusal] * 100, method="GET", contains="/in/notes.jsonl")

    with pytest.raises(Interrupted, match=r"notes\.jsonl: the store refuses .* run the same command again"):
        datapipe.run(config(inputs), out=f"{folder}/out", executor="local")
    store.reset()
    report = datapipe.run(config(inputs), out=f"{folder}/out", executor="local")

    assert report.set_aside == 0
    assert content(f"{folder}/out") == oracle


def test_gives_the_same_bytes_through_faults(store: serve.Store, folder: str, oracle: dict[str, bytes]) -> None:
    inputs = put_inputs(f"{folder}/in")
    store.set_faults(RATES, 3)

    datapipe.run(config(inputs), out=f"{folder}/out", executor="local")
    met = store.counts()
    store.set_faults({})

    made = content(f"{folder}/out")
    assert [name for name in made.keys() | oracle.keys() if made.get(name) != oracle.get(name)] == []
    assert len(made) > 10
    assert all(met.get(fault) for fault in RATES)
    assert list(verify(f"{folder}/out")) == []


@pytest.mark.heavy
def test_a_run_that_loses_its_store_goes_on_where_it_was(
    store: serve.Store, folder: str, oracle: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = put_inputs(f"{folder}/in")
    monkeypatch.setenv("DATAPIPE_STORE_RETRY_SECONDS", "0.3")
    monkeypatch.setattr("datapipe.local.INFRASTRUCTURE_FAILURES", 2)
    moments, outages = random.Random(3), []
    for _ in range(6):
        store.next_faults(["ok"] * moments.randrange(20, 120) + ["cut_after", "cut_before"] * 500)
        with pytest.raises(Interrupted) as met:
            datapipe.run(config(inputs), out=f"{folder}/out", executor="local")
        outages.append(str(met.value))
        store.reset()

    datapipe.run(config(inputs), out=f"{folder}/out", executor="local")

    assert all("the store does not answer as it should" in said for said in outages)
    assert content(f"{folder}/out") == oracle
