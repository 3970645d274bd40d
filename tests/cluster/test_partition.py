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

from tests.cluster.nodes import KEEPALIVE, RUN, Namespaces, Node, three_nodes, title, wait_for
from tests.cluster.places import Here, run_here, toy_config, toy_environment

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces"),
]
BATCH_SECONDS = 2.0  # of which a task takes four
WATCHDOG = {"DATAPIPE_STALL_SECONDS": "6"}


@pytest.fixture
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Namespaces]:
    """A head and two workers, each in a namespace; the parameter is what stands in their environment."""
    with three_nodes(Namespaces, {**toy_environment(tmp_path), **request.param}) as made:
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
        wait_for(lambda: lost in tasks_of(whole), "the lost task on the other node", seconds=400)
        print(f"\nthe task of the silent node was begun anew after {time.monotonic() - began:.1f} s")
        assert driver.wait(timeout=180) == 0
    finally:
        driver.kill()

    run_here([*config, "--set", "slow.seconds=0"], str(tmp_path / "quick"), cluster.environment)
    assert rows(tmp_path / "out") == rows(tmp_path / "quick")


def rows(out: Path) -> dict[str, str]:
    """What was published, but for the manifest: it names the config, in which the seconds stand."""
    return {name: digest for name, digest in Here(out).tree().items() if name != "corpus/manifest.json"}
