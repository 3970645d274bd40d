"""A corpus in Ray Data, on a Ray of this machine."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import ray

from datapipe import ConfigError
from stages.corpus import Corpus
from stages.corpus.overlay import put_skip
from stages.corpus.ray_data import CorpusDatasource, read_corpus
from tests.stages.corpus.made import ROOT


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.shutdown()  # of a test before
    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=80 << 20,
        runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}},
    )
    yield
    ray.shutdown()


@pytest.mark.heavy  # starts a Ray of its own
def test_ray_reads_the_samples_that_overlays_leave(cluster: None, packed: Path, tmp_path: Path) -> None:
    shutil.copytree(packed, tmp_path / "run")
    corpus = Corpus.open(str(tmp_path / "run"))
    put_skip(corpus.folder, corpus.manifest, {"train": [(3, 9), (100, 101)]})
    stays = [*range(3), *range(9, 100), *range(101, 250)]

    read = read_corpus(str(tmp_path / "run"), columns=["position", "input_ids", "sample"], override_num_blocks=3)
    rows = sorted(read.take_all(), key=lambda row: row["position"])
    expected = pa.Table.from_batches(Corpus.open(str(tmp_path / "run")).split().rows())
    assert [row["position"] for row in rows] == [row["sample"] for row in rows] == stays
    assert [list(row["input_ids"]) for row in rows] == expected.column("input_ids").to_pylist()
    assert read.count() == len(stays)


@pytest.mark.parametrize("parallelism", [1, 3, 7, 1000])
def test_tasks_share_a_range_out_without_gap(packed: Path, parallelism: int) -> None:
    split = Corpus.open(str(packed)).split()
    tasks = CorpusDatasource(split, ["position"], 20, 60).get_read_tasks(parallelism)
    found = [at for task in tasks for table in task() for at in pa.table(table).column("position").to_pylist()]

    assert len(tasks) == min(parallelism, 40)
    assert found == list(range(20, 60))
    assert sum(task.metadata.num_rows for task in tasks) == 40


def test_a_task_stops_at_its_limit(packed: Path) -> None:
    (task,) = CorpusDatasource(Corpus.open(str(packed)).split(), ["position"]).get_read_tasks(1, per_task_row_limit=10)

    assert sum(pa.table(table).num_rows for table in task()) == 10


def test_what_is_not_there_is_said_before_anything_is_read(packed: Path) -> None:
    with pytest.raises(ConfigError, match="has no column text"):
        read_corpus(str(packed), columns=["text"])
    with pytest.raises(IndexError, match="5:900 is no range"):
        read_corpus(str(packed), start=5, stop=900)
