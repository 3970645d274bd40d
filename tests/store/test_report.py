"""The report on a run whose output lies in a store is, byte for byte, that on the same files on the disk."""

from pathlib import Path
from typing import Any

import serve

import datapipe
from datapipe import Look, Note, looked, storage
from datapipe.verify import verify
from stages.audit.command import at_end, make
from stages.audit.signed.log import entries
from stages.audit.signed.sign import sign
from stages.audit.standards.command import standards
from stages.audit.standing import PAGE, REPORT, SCHEMA, TOPICS

NOTES = Path(__file__).parents[1] / "data" / "notes.jsonl"
LOCAL: dict[str, Any] = {"executor": "local", "address": None, "workers": None, "listener": None}


def test_reports_on_a_run_in_a_store(store: serve.Store, folder: str, tmp_path: Path) -> None:
    tokens = {"tokenize": {"tokenizer": {"train": {"vocab_size": 400}}}}
    steps = [
        {"ingest": {"sources": {"notes": {"path": str(NOTES)}}}},
        "language",
        "dedup",
        tokens,
        {"mix": {"seq_len": 64}},
    ]
    datapipe.run({"name": "notes", "steps": steps}, out=tmp_path / "out", executor="local")
    for name in storage.walk(str(tmp_path / "out")):
        if not name.startswith("work/"):
            storage.put(f"{folder}/{name}", (tmp_path / "out" / name).read_bytes())

    here = make(str(tmp_path / "out"), str(tmp_path / "out"), **LOCAL)
    said = at_end(folder, keep="none", **LOCAL)

    assert said == [f"page of the report in {folder}/{PAGE}"]
    for name in (REPORT, SCHEMA, PAGE, TOPICS):
        assert storage.read_bytes(f"{folder}/{name}") == (tmp_path / "out" / name).read_bytes()
    assert here.sections
    assert list(verify(folder)) == []
    assert not storage.is_folder(f"{folder}/work/audit")
    entry = sign(folder, name="王", role="steward", statement="fit", look=Look(folder, figures=1, signed=None))
    assert [one.digest for one in entries(folder)] == [entry.digest]
    assert [one for one in looked(Look(folder, figures=1, head=entry.digest)) if not isinstance(one, Note)] == []

    standards(folder)
    standards(str(tmp_path / "out"))
    for name in ("croissant.json", "README.md", "sheets/tc260.csv", "sheets/files.json"):
        assert storage.read_bytes(f"{folder}/{name}") == (tmp_path / "out" / name).read_bytes()
