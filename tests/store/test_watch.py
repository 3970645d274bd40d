"""A run whose folders lie in a store is watched there: columns are read by ranges, and of text nothing."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import toy

import datapipe
from datapipe import Follower, Shard, storage
from datapipe.follow import BLOCK_BYTES
from datapipe.shard import Made, Writer
from stages.audit.watch.command import Watched
from stages.audit.watch.seen import Place


@pytest.mark.usefixtures("store")
def test_a_run_in_a_store_is_watched(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.install(tmp_path / "site", "toy", {"lines": "toy:Lines", "short": "toy:Short"})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    for number in range(3):
        storage.put(f"{folder}/in/{number}.txt", b"one two three four\nfive six\n")
    config = {
        "stores": {"s3://bucket": {"region": "us-east-1"}},
        "steps": [{"lines": {"path": f"{folder}/in/*.txt"}}, "short"],
    }
    report = datapipe.run(config, out=f"{folder}/out", work=f"{folder}/cache", executor="local")

    view = Watched(f"{folder}/out").look()

    told = {one["stage"]: (one["documents_in"], one["dropped"]) for one in view.to_json()["stages"]}
    assert told == {one.stage: (one.documents_in, one.dropped) for one in report.stages if one.documents_in}
    assert view.seen.shards[Place("short")] == 3
    assert view.seen.diversity["short"].documents == 3


@pytest.mark.usefixtures("store")
def test_of_a_far_file_just_the_blocks_are_read_that_hold_what_is_asked_for(folder: str, tmp_path: Path) -> None:
    rows = 40
    letters = np.random.default_rng(8).integers(33, 127, (rows, 40_000)).astype(np.uint8)
    text = [line.tobytes().decode() for line in letters]  # of which nothing can be compressed much
    batch = pa.RecordBatch.from_pydict({"source": ["a"] * rows, "text": text, "language": ["zho_Hans"] * rows})
    writer = Writer(str(tmp_path / "rows.ipc"), batch.schema)
    writer.write(batch)
    writer.close()
    size = (tmp_path / "rows.ipc").stat().st_size
    storage.put_file(str(tmp_path / "rows.ipc"), f"{folder}/work/step/rows.ipc")
    follower = Follower(f"{folder}/work")

    table = follower.rows(
        Shard("step", 0, {"rows": Made("step/rows.ipc", rows, size, "")}, (), {}), ("source", "language")
    )

    assert table is not None
    assert table.to_pydict() == {"source": ["a"] * rows, "language": ["zho_Hans"] * rows}
    assert size > 16 * BLOCK_BYTES
    assert follower.bytes_read <= 5 * BLOCK_BYTES
