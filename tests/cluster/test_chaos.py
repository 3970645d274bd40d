"""Whatever is killed at whatever moment: the same bytes, the same sums, and never half a file in corpus/."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

from datapipe.inspect import verify
from tests.cluster.chaos import Ordeal, Watcher, kill_one
from tests.cluster.nodes import RUN, busy
from tests.cluster.places import Here, run_here, toy_config, toy_environment


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
    assert place.tree() == Here(tmp_path / "here").tree()
    assert watcher.faults(place.tree()) == []
    assert list(verify(str(tmp_path / "out"))) == []
    assert ordeal.landed == {"worker": 7, "driver": 1}
