"""What `datapipe whatif` says of a run whose output lies in a store is what it says of the same files on the disk."""

from pathlib import Path

import serve

import datapipe
from datapipe import storage
from stages.quality.whatif import ask

NOTES = Path(__file__).parents[1] / "data" / "notes.jsonl"


def test_asks_a_run_in_a_store(store: serve.Store, folder: str, tmp_path: Path) -> None:
    steps = [{"ingest": {"sources": {"notes": {"path": str(NOTES)}}}}, "language", "quality", "dedup"]
    datapipe.run({"name": "notes", "steps": steps}, out=tmp_path / "out", executor="local")
    for name in storage.walk(str(tmp_path / "out")):
        if not name.startswith("work/"):
            storage.put(f"{folder}/{name}", (tmp_path / "out" / name).read_bytes())

    settings = ["quality.rules.gopher_words.min=400"]
    there, here = ask(folder, settings), ask(str(tmp_path / "out"), settings)

    assert there == here
    assert there.total.documents.after < there.total.documents.before
