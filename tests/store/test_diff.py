"""Two runs that lie in a store are compared as two that lie on a disk, and what is asked for is written there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import serve

from datapipe import storage
from stages.audit.compare.compared import compared
from tests.stages.audit.test_diff import command, run


@pytest.mark.heavy
def test_runs_in_a_store_are_compared(store: serve.Store, folder: str, tmp_path: Path) -> None:
    for side, limit in (("a", 60), ("b", 68)):
        local = run(tmp_path / side, limit)
        for file in sorted(one for one in local.rglob("*") if one.is_file()):
            storage.put(f"{folder}/{side}/{file.relative_to(local)}", file.read_bytes())
    storage.put(f"{folder}/gates.yaml", b"- diff.only_a = 8\n- diff.only_b = 0\n")
    expected = compared(str(tmp_path / "a"), str(tmp_path / "b"), work=str(tmp_path / "work"), executor="local")

    given = (
        "diff",
        f"{folder}/a",
        f"{folder}/b",
        "--gates",
        f"{folder}/gates.yaml",
        "--out",
        f"{folder}/out",
        "--json",
    )
    told = command(*given)

    assert told.exit_code == 0
    assert {**json.loads(told.stdout), "gates": []} == json.loads(expected.diff.to_json())
    assert storage.read_bytes(f"{folder}/out/diff.json").decode() == told.stdout
    assert [name for name in storage.walk(f"{folder}/out") if not name.startswith("diff.")] == ["documents.parquet"]
    assert not storage.exists(f"{folder}/a/reports/report.html")
