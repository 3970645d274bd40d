"""A node whose link is cut without a word: no connection is closed, so only silence tells. The run must not wait.

Each node has a network namespace of its own. What is only cut off works on, and on a shared disk it even commits: late,
and without harm.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.chaos import INTERRUPTED
from tests.cluster.nodes import KEEPALIVE, RUN, Namespaces, Node, three_nodes, title, wait_for
from tests.cluster.places import Here, InStore, run_here, toy_config, toy_environment

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces"),
]
CUT_SECONDS = 8.0
BATCH_SECONDS = 2.0  # of which a task takes four
RAYS_OWN = {"RAY_grpc_client_keepalive_time_ms": "300000", "RAY_grpc_client_keepalive_timeout_ms": "120000"}
WATCHDOG = {**RAYS_OWN, "DATAPIPE_STALL_SECONDS": "15"}


@pytest.fixture
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Namespaces]:
    """A head and two workers, each in a namespace; the parameter is what stands in their environment."""
    with three_nodes(Namespaces, {**toy_environment(tmp_path), **request.param}, stored=True) as made:
        assert isinstance(made, Namespaces)
        yield made


def tasks_of(node: Node) -> set[str]:
    """The names of the tasks that a node runs now."""
    return {title(process) for process in node.busy()}


@pytest.mark.parametrize("cluster", [KEEPALIVE, WATCHDOG], ids=["keepalive", "watchdog"], indirect=True)
def test_a_node_that_falls_silent_is_given_up_and_its_task_made_elsewhere(cluster: Namespaces, tmp_path: Path) -> None:
    config = [toy_config(tmp_path, files=2, seconds=BATCH_SECONDS)]
    cut, whole = cluster.workers
    driver = cluster.start([*RUN, *config, "--out", str(tmp_path / "out"), "--address", cluster.address])
    try:
        wait_for(lambda: cut.busy() and whole.busy(), "a task on each node")
        time.sleep(random.Random(5).uniform(0.1, 3.0))
        (lost,) = tasks_of(cut)
        cluster.link(cut, "down")
        cut.freeze()  # else it would commit what it makes: the disk is shared
        began = time.monotonic()
        wait_for(lambda: lost in tasks_of(whole) or driver.poll() is not None, "the lost task elsewhere", seconds=400)
        assert driver.poll() is None
        print(f"\nthe task of the silent node was begun anew after {time.monotonic() - began:.1f} s")
        assert driver.wait(timeout=180) == 0
    finally:
        driver.kill()

    run_here([*config, "--set", "slow.seconds=0"], str(tmp_path / "quick"), cluster.environment)
    assert rows(tmp_path / "out") == rows(tmp_path / "quick")


@pytest.mark.parametrize("cluster", [KEEPALIVE], ids=["keepalive"], indirect=True)
def test_a_link_that_comes_back_changes_nothing(cluster: Namespaces, tmp_path: Path) -> None:
    config = [toy_config(tmp_path, files=6, seconds=1.0)]
    place = InStore(cluster.store, "back")
    cut = cluster.workers[0]
    driver = cluster.start([*RUN, *config, "--out", place.out, "--address", cluster.address])
    try:
        wait_for(cut.busy, "a task on the node")
        cluster.link(cut, "down")
        time.sleep(CUT_SECONDS)
        cluster.link(cut, "up")
        assert driver.wait(timeout=300) == 0
    finally:
        driver.kill()

    run_here(config, str(tmp_path / "here"), cluster.environment)
    assert place.tree() == Here(tmp_path / "here").tree()


@pytest.mark.parametrize("cluster", [{"DATAPIPE_STORE_RETRY_SECONDS": "3"}], ids=["impatient"], indirect=True)
def test_a_store_that_cannot_be_reached_for_a_while_is_waited_for(cluster: Namespaces, tmp_path: Path) -> None:
    config = [toy_config(tmp_path, files=6, seconds=1.0)]
    place = InStore(cluster.store, "away")
    command = [*RUN, *config, "--out", place.out, "--address", cluster.address]
    statuses = []
    driver = cluster.start(command)
    try:
        wait_for(cluster.busy, "a task")
        cluster.store_link("down")
        time.sleep(2 * CUT_SECONDS)
        cluster.store_link("up")
        while (status := driver.wait(timeout=300)) == INTERRUPTED:
            statuses.append(status)
            driver = cluster.start(command)
    finally:
        driver.kill()

    print(f"\ndrivers ended with {[*statuses, status]}")
    run_here(config, str(tmp_path / "here"), cluster.environment)
    assert status == 0
    assert len(statuses) <= 3
    assert place.tree() == Here(tmp_path / "here").tree()


def rows(out: Path) -> dict[str, str]:
    """What was published, but for what names the config, in which the seconds stand."""
    named = ("corpus/manifest.json", "reports/")
    return {name: digest for name, digest in Here(out).tree().items() if not name.startswith(named)}
