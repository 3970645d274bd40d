"""The audit of a run in a store counts what that of a run on a disk counts."""

from pathlib import Path

from datapipe import storage
from stages.audit.run import facts_of
from tests.stages.corpus.runs import run


def test_a_run_in_a_store_is_counted_as_one_on_a_disk(folder: str, tmp_path: Path) -> None:
    far, near = f"{folder}/out", run(tmp_path / "near")
    run(tmp_path / "far", out=far)
    counted = [
        facts_of(str(place), place=work, executor="local")
        for place, work in ((far, f"{folder}/audit"), (near, tmp_path / "audit"))
    ]

    assert storage.exists(f"{folder}/audit/out/reports/published.json")
    assert [facts.run for facts in counted[:1]] == [facts.run for facts in counted[1:]]
    one, other = (facts.tables for facts in counted)
    assert one.keys() == other.keys()
    assert [name for name in one if repr(one[name].to_pylist()) != repr(other[name].to_pylist())] == []
    assert {row["name"]: row["amount"] for row in one["sums"].to_pylist()}["trained"] > 0
