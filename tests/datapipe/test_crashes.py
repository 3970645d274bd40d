"""Cut off anywhere and run again = run through, byte for byte."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy

from datapipe import Stage
from datapipe.task import FAULT_POINTS


def stages(path: str) -> tuple[Stage, ...]:
    """Returns the toy pipeline with every operation of the engine but repeat."""
    return toy.Lines(path=path), toy.Short(), toy.Once(), toy.Finish()


@pytest.fixture(scope="module")
def undisturbed(texts: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    toy.run(toy.pipeline(*stages(texts)), out)
    return toy.tree(out)


@pytest.mark.parametrize(
    "shard",
    [
        "once:2",  # three stages in one pass, and side outputs
        "finish:0",  # folds, an exchange, and last of all the manifest
        "ledger:1",
    ],
)
def test_crashes_at_every_point_change_nothing(
    shard: str, undisturbed: dict[str, str], texts: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    statuses, published = [], []

    for point in FAULT_POINTS:
        statuses.append(toy.crash(stages(texts), out, f"{shard}:0:{point}"))
        published.append(toy.tree(out))
    report = toy.run(toy.pipeline(*stages(texts)), out)

    assert statuses == [17] * len(FAULT_POINTS)
    assert published == [{}] * len(FAULT_POINTS)
    assert report.made > 0
    assert toy.tree(out) == undisturbed


@pytest.mark.parametrize("point", FAULT_POINTS)
def test_one_crash_changes_nothing(point: str, undisturbed: dict[str, str], texts: str, tmp_path: Path) -> None:
    status = toy.crash(stages(texts), tmp_path / "out", f"once:1:0:{point}")

    toy.run(toy.pipeline(*stages(texts)), tmp_path / "out")

    assert status == 17
    assert toy.tree(tmp_path / "out") == undisturbed


def test_a_crash_in_a_repeat_changes_nothing(texts: str, tmp_path: Path) -> None:
    spread = (toy.Lines(path=texts), toy.Spread(), toy.Sorted())
    toy.run(toy.pipeline(*spread), tmp_path / "undisturbed")

    statuses = [
        toy.crash(spread, tmp_path / "out", f"spread:1:0:{point}") for point in ("after_commit", "before_commit")
    ]
    toy.run(toy.pipeline(*spread), tmp_path / "out")

    assert statuses == [17, 17]
    assert toy.tree(tmp_path / "out") == toy.tree(tmp_path / "undisturbed")


def test_a_run_that_is_killed_again_and_again_comes_to_the_same(
    undisturbed: dict[str, str], texts: str, tmp_path: Path
) -> None:
    chance = random.Random(3)
    out = tmp_path / "out"
    killed = 0

    for _ in range(4):
        child = toy.start(stages(texts), out)
        time.sleep(0.05 + 0.6 * chance.random())
        killed += child.is_alive()
        child.kill()
        child.join()
    toy.run(toy.pipeline(*stages(texts)), out)

    assert killed
    assert toy.tree(out) == undisturbed


def test_two_drivers_at_once_come_to_the_same(undisturbed: dict[str, str], texts: str, tmp_path: Path) -> None:
    children = [toy.start(stages(texts), tmp_path / "out") for _ in range(2)]

    for child in children:
        child.join(toy.PATIENCE_SECONDS)

    assert [child.exitcode for child in children] == [0, 0]
    assert toy.tree(tmp_path / "out") == undisturbed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_run_that_is_asked_to_stop_says_how_to_go_on(number: int, tmp_path: Path, installed: dict[str, str]) -> None:
    (tmp_path / "0.txt").write_text("slow words\n" * 20)
    (tmp_path / "slow.yaml").write_text(f"steps: [lines: {{path: {tmp_path}/*.txt}}, slow: {{seconds: 1}}, finish]\n")
    command = [sys.executable, "-m", "datapipe.cli", "run", "slow.yaml", "--out", "out", "--executor", "local"]

    process = subprocess.Popen(command, cwd=tmp_path, env=installed, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (tmp_path / "out/work/pins").exists():
        time.sleep(0.02)
    process.send_signal(number)
    said = process.communicate(timeout=20)[1]
    rest = subprocess.run([*command, "--set", "slow.seconds=0"], cwd=tmp_path, env=installed, check=False)

    assert "datapipe: stopped; what is finished stays, and the same command goes on from there" in said
    assert process.returncode == 75
    assert rest.returncode == 0
    assert os.path.exists(tmp_path / "out/corpus/manifest.json")
