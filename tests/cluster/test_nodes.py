"""Runs on three nodes come to the bytes of a run in one process, also when a node is lost on the way."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.nodes import RUN, Cluster, SameHost, three_nodes, wait_for
from tests.cluster.places import QUICKSTART, Here, run_here, toy_config, toy_environment

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head and two workers on this machine; what a test takes away it replaces."""
    with three_nodes(SameHost, toy_environment(tmp_path_factory.mktemp("cluster"))) as made:
        yield made


def start(cluster: Cluster, config: list[str], out: str) -> subprocess.Popen[str]:
    """Starts a run on the cluster."""
    return cluster.start([*RUN, *config, "--out", out, "--address", cluster.address])


def nodes_at_work(cluster: Cluster, driver: subprocess.Popen[str]) -> set[str]:
    """Waits for a run's end; returns the names of the nodes that were seen at a task."""
    seen = set()
    while driver.poll() is None:
        seen |= {node.name for node in cluster.workers if node.busy()}
    return seen


def test_the_quickstart_on_three_nodes_gives_the_same_bytes(cluster: Cluster, tmp_path: Path) -> None:
    run_here(QUICKSTART, str(tmp_path / "here"), cluster.environment)

    driver = start(cluster, QUICKSTART, str(tmp_path / "out"))
    seen = nodes_at_work(cluster, driver)

    assert driver.returncode == 0
    assert seen == {node.name for node in cluster.workers}
    assert Here(tmp_path / "out").tree() == Here(tmp_path / "here").tree()


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
