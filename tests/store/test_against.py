"""A new snapshot beside the keys of an earlier run that lie in a store."""

import json
from pathlib import Path

import serve

import datapipe
from datapipe import storage


def config(path: str, **fields: object) -> dict[str, object]:
    steps = [{"ingest": {"sources": {"web": {"path": path}}}}, {"dedup": {"guard": None, **fields}}]
    return {"name": "snapshots", "steps": steps}


def test_earlier_keys_are_read_from_a_store(store: serve.Store, folder: str, tmp_path: Path) -> None:
    texts = [f"a text about {number} and nothing else, of its own" for number in range(5)]
    for name, held in (("old", texts[:3]), ("new", texts)):
        content = "".join(json.dumps({"text": text}) + "\n" for text in held)
        storage.put(f"{folder}/in/{name}.jsonl", content.encode())
    datapipe.run(config(f"{folder}/in/old.jsonl"), out=f"{folder}/old", executor="local")

    made = [
        datapipe.run(config(f"{folder}/in/new.jsonl", against=[place]), out=tmp_path / str(number), executor="local")
        for number, place in enumerate((f"{folder}/old", f"{folder}/old/keys/"))
    ]

    assert [report.stages[-1].documents_out for report in made] == [2, 2]
    assert [rule.rule for rule in made[0].stages[-1].rules] == ["earlier_exact"]
