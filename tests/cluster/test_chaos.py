"""Whatever is killed at whatever moment: the same bytes, the same sums, and never half a file in corpus/."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from datapipe.clean import clean
from datapipe.verify import verify
from tests.cluster.chaos import Ordeal, Watcher, kill_one
from tests.cluster.nodes import KEEPALIVE, RUN, Namespaces, busy, three_nodes
from tests.cluster.places import QUICKSTART, Here, InStore, run_here, toy_config, toy_environment

DATAPIPE = [sys.executable, "-m", "datapipe.cli"]
FAULTS = {"503": 0.03, "500_after": 0.02, "cut_after": 0.02, "cut_body": 0.02, "late": 0.01, "latency": 0.1}
CLUSTER_BLOWS = {"worker": 6, "driver": 2, "node": 1, "link": 1, "connections": 3, "faults": 1, "gc": 1}
KILLS = ("worker", "driver", "node", "link", "connections")


@pytest.mark.heavy  # most of a minute; test_scheduler.py and test_quickstart.py kill workers and drivers at less length
def test_a_local_run_under_blows_comes_to_the_same(tmp_path: Path) -> None:
    environment = toy_environment(tmp_path)
    config = toy_config(tmp_path, files=8, seconds=0.3)
    drivers: list[subprocess.Popen[str]] = []
    chance = random.Random(20)

    def start() -> subprocess.Popen[str]:
        command = [*RUN, config, "--out", str(tmp_path / "out"), "--workers", "2"]
        drivers.append(subprocess.Popen(command, env=environment, text=True))
        return drivers[-1]

    ordeal = Ordeal(start, {"worker": lambda: kill_one(lambda: busy(drivers[-1].pid), chance, ordeal.struck)}, chance)
    place = Here(tmp_path / "out")
    with Watcher(place.corpus) as watcher:
        ordeal.run(["worker"] * 7 + ["driver"], pause_seconds=0.3)

    run_here([config], str(tmp_path / "here"), environment)
    made = place.tree()
    assert made == Here(tmp_path / "here").tree()
    assert watcher.faults(made) == []
    assert list(verify(str(tmp_path / "out"))) == []
    assert ordeal.landed == {"worker": 7, "driver": 1}

    clean(str(tmp_path / "out/work"))
    shutil.rmtree(tmp_path / "out/corpus")
    assert "nothing to do" in run_here([config], str(tmp_path / "out"), environment)
    assert place.tree() == made


def test_a_second_driver_says_so_and_does_no_harm(tmp_path: Path) -> None:
    environment = toy_environment(tmp_path)
    config = toy_config(tmp_path, files=4, seconds=0.3)
    command = [*RUN, config, "--out", str(tmp_path / "out"), "--executor", "local"]

    first = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while first.poll() is None and not list((tmp_path / "out/work").glob("drivers/*.json")):
        pass
    second = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    said = [process.communicate(timeout=120)[1] for process in (first, second)]

    run_here([config], str(tmp_path / "here"), environment)
    assert (first.returncode, second.returncode) == (0, 0)
    assert ["another driver" in text for text in said] == [False, True]
    assert Here(tmp_path / "out").tree() == Here(tmp_path / "here").tree()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What stands in the environment of a cluster's processes."""
    return {**toy_environment(tmp_path_factory.mktemp("cluster")), **KEEPALIVE, "DATAPIPE_STALL_SECONDS": "20"}


@pytest.fixture(scope="module")
def cluster(environment: dict[str, str]) -> Iterator[Namespaces]:
    """A head and two workers, each in a network namespace, with a store beside them."""
    with three_nodes(Namespaces, environment, stored=True) as made:
        assert isinstance(made, Namespaces)
        yield made


class Blows:
    """What can fall on a run on a cluster whose output lies in a store."""

    def __init__(self, cluster: Namespaces, out: str, seed: int) -> None:
        self.cluster, self.out, self.seed = cluster, out, seed
        self.chance = random.Random(seed)
        self.struck: Counter[str] = Counter()
        self.timers: list[threading.Timer] = []

    def worker(self) -> str:
        """Kills a worker that runs a task."""
        return kill_one(self.cluster.busy, self.chance, self.struck)

    def node(self) -> str:
        """Kills a node at work, in the place of which another comes."""
        at_work = [node for node in self.cluster.workers if node.busy()]
        if not at_work:
            return ""
        lost = self.chance.choice(at_work)
        self.cluster.lose(lost)
        return f"{lost.name}, after which {self.cluster.add().name} comes"

    def link(self) -> str:
        """Cuts the link of a node for some seconds."""
        node, seconds = self.chance.choice(self.cluster.workers), self.chance.uniform(1, 6)
        self.cluster.link(node, "down")
        self.timers.append(threading.Timer(seconds, self.cluster.link, (node, "up")))
        self.timers[-1].start()
        return f"{node.name}, for {seconds:.1f} s"

    def connections(self) -> str:
        """Cuts every connection to the store."""
        cut = self.cluster.store.cut_all()
        return f"{cut} connections" if cut else ""

    def faults(self) -> str:
        """Lets the store make faults at a rate from now on."""
        self.cluster.store.set_faults(FAULTS, self.seed, late_seconds=4.0)
        return str(FAULTS)

    def gc(self) -> str:
        """Cleans the work folder while the run goes on."""
        cleaning = self.cluster.start([*DATAPIPE, "gc", self.out], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = cleaning.communicate()[0].strip()
        assert cleaning.returncode == 0 or "no work folder" in said, said
        return said if cleaning.returncode == 0 else ""

    def end(self) -> None:
        """Waits until every link is up again, and ends the store's faults."""
        for timer in self.timers:
            timer.join()
        self.cluster.store.set_faults({})


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_cluster_under_blows_comes_to_the_same(cluster: Namespaces, tmp_path: Path, seed: int) -> None:
    config = QUICKSTART if seed == 3 else [toy_config(tmp_path, files=12, seconds=0.4)]
    run_here(config, str(tmp_path / "here"), cluster.environment)
    place = InStore(cluster.store, f"chaos{seed}")
    blows = Blows(cluster, place.out, seed)
    command = [*RUN, *config, "--out", place.out, "--address", cluster.address]
    strikes = {kind: getattr(blows, kind) for kind in CLUSTER_BLOWS if kind != "driver"}
    ordeal = Ordeal(lambda: cluster.start(command), strikes, blows.chance, blows.struck)

    try:
        with Watcher(place.corpus) as watcher:
            ordeal.run([kind for kind, times in CLUSTER_BLOWS.items() for _ in range(times)], pause_seconds=0.5)
    finally:
        blows.end()

    made = place.tree()
    kills = sum(ordeal.landed[kind] for kind in KILLS)
    verified = cluster.start([*DATAPIPE, "verify", place.out]).wait()
    again = cluster.start(command, stdout=subprocess.PIPE).communicate()[0]
    print(f"seed {seed}: {kills} kills, drivers ended with {ordeal.statuses}, {watcher.looks} looks at corpus/")
    assert made == Here(tmp_path / "here").tree()
    assert watcher.faults(made) == []
    assert verified == 0
    assert "nothing to do" in again
    assert kills >= 10
