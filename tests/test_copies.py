"""Copies of every kind out of the sample, from file to file: `configs/copies.yaml` as a user runs it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import zstandard

import datapipe
from datapipe.verify import verify

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the config makes."""
    folder = tmp_path_factory.mktemp("copies")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        datapipe.run("configs/copies.yaml", out=folder, executor="local")
    return folder


def documents(out: Path) -> list[dict[str, object]]:
    content = b"".join(path.read_bytes() for path in sorted((out / "documents").glob("*.jsonl.zst")))
    with zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True) as reader:
        return [json.loads(line) for line in reader.read().splitlines()]


def ledger(out: Path) -> list[dict[str, object]]:
    return [row for path in sorted((out / "ledger").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_every_document_is_written_or_has_a_row(out: Path) -> None:
    kept = {row["id"] for row in documents(out)}
    left = {row["id"].hex() for row in ledger(out) if row["action"] in ("drop", "duplicate_of")}  # type: ignore[attr-defined]

    assert len(kept) + len(left) == 54
    assert not kept & left


def test_a_survivor_stands_for_those_that_name_it_or_whom_it_names(out: Path) -> None:
    named = Counter(row["other"].hex() for row in ledger(out) if row["action"] == "duplicate_of")  # type: ignore[attr-defined]

    sizes = {row["id"]: row["cluster_size"] for row in documents(out)}
    assert sum(named.values()) >= 5
    assert sum(sizes.values()) == len(sizes) + sum(named.values())  # type: ignore[arg-type]
    assert all(sizes[survivor] > amount for survivor, amount in named.items() if survivor in sizes)  # type: ignore[operator]


def test_no_line_or_stretch_is_cut_without_a_row(out: Path) -> None:
    rules = {(row["stage"], row["rule"]) for row in ledger(out) if row["action"] == "repair"}

    assert rules <= {("dedup_lines", "recurring_line"), ("dedup_repeats", "repeat")}
    assert ("dedup_repeats", "repeat") in rules
    assert list(verify(str(out))) == []
