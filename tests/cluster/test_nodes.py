"""Runs on three nodes come to the bytes of a run in one process, also when a node is lost on the way."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.nodes import RUN, Cluster, SameHost, three_nodes, wait_for
from tests.cluster.places import QUICKSTART, ROOT, Here, InStore, run_here, toy_config, toy_environment

pytestmark = pytest.mark.heavy
LOOK_SECONDS = 0.1
PART = {  # of configs/zh_en.yaml: a site, posts and poems, each with its weight
    "crawl": ("crawl/kyuubi.warc.gz", 0.3),
    "sofastack": ("corpora/sofastack-blog-docs.jsonl.zst", 0.4),
    "poetry": ("corpora/chinese-poetry.jsonl.zst", 0.3),
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head and two workers on this machine, and a store; what a test takes away it replaces."""
    with three_nodes(SameHost, toy_environment(tmp_path_factory.mktemp("cluster")), stored=True) as made:
        yield made


def start(cluster: Cluster, config: list[str], out: str) -> subprocess.Popen[str]:
    """Starts a run on the cluster."""
    return cluster.start([*RUN, *config, "--out", out, "--address", cluster.address])


def nodes_at_work(cluster: Cluster, driver: subprocess.Popen[str]) -> set[str]:
    """Waits for a run's end; returns the names of the nodes that were seen at a task."""
    seen = set()
    while driver.poll() is None:
        seen |= {node.name for node in cluster.workers if node.busy()}
        time.sleep(LOOK_SECONDS)
    return seen


def test_the_quickstart_on_three_nodes_gives_the_same_bytes(cluster: Cluster, tmp_path: Path) -> None:
    run_here(QUICKSTART, str(tmp_path / "here"), cluster.environment)

    driver = start(cluster, QUICKSTART, str(tmp_path / "out"))
    seen = nodes_at_work(cluster, driver)

    assert driver.returncode == 0
    assert seen == {node.name for node in cluster.workers}
    assert Here(tmp_path / "out").tree() == Here(tmp_path / "here").tree()


def test_a_part_of_zh_en_from_a_store_to_a_store_gives_the_same_bytes(
    cluster: Cluster, shared: Path, tmp_path: Path
) -> None:
    place = InStore(cluster.store, "zh_en")
    text = (ROOT / "configs/zh_en.yaml").read_text(encoding="utf-8")
    config = yaml.safe_load(text.replace("${DATAPIPE_SHARED:-../shared}", str(shared)))
    ingest, tokenize, mix = (next(s[n] for s in config["steps"] if n in s) for n in ("ingest", "tokenize", "mix"))
    for name, (path, _) in PART.items():
        place.client.upload_file(str(shared / "data" / path), "bucket", f"data/{path}")
        ingest["sources"][name]["path"] = f"s3://bucket/data/{path}"
    ingest["sources"] = {name: ingest["sources"][name] for name in PART}
    tokenize["tokenizer"]["train"]["vocab_size"] = 4096
    mix.update(weights={name: weight for name, (_, weight) in PART.items()}, tokens=100_000)
    (tmp_path / "part.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    options = [str(tmp_path / "part.yaml"), "--sample", "0.2"]

    driver = start(cluster, options, place.out)
    seen = nodes_at_work(cluster, driver)

    run_here(options, str(tmp_path / "here"), cluster.environment)
    assert driver.returncode == 0
    assert seen == {node.name for node in cluster.workers}
    assert place.tree() == Here(tmp_path / "here").tree()


def test_a_node_that_is_lost_at_work_changes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    config = [toy_config(tmp_path, files=8, seconds=0.3)]
    run_here(config, str(tmp_path / "here"), cluster.environment)

    driver = start(cluster, config, str(tmp_path / "out"))
    wait_for(cluster.workers[0].busy, "a task on the first node")
    cluster.lose(cluster.workers[0])
    cluster.add()
    seen = nodes_at_work(cluster, driver)

    assert driver.returncode == 0
    assert seen == {node.name for node in cluster.workers}
    assert Here(tmp_path / "out").tree() == Here(tmp_path / "here").tree()
