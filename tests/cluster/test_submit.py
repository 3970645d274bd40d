"""`ray job submit` as jobs/ says it: the driver runs on the cluster, in a copy of configs/ that Ray throws away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.nodes import Cluster, Namespaces, three_nodes
from tests.cluster.places import QUICKSTART, ROOT, Here, run_here, toy_environment

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces"),
]
BIN = Path(sys.executable).parent


class WithDashboard(Namespaces):
    dashboard = True


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head with Ray's dashboard, which takes jobs, and two workers; `datapipe` is on their path."""
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    with three_nodes(WithDashboard, {**toy_environment(tmp_path_factory.mktemp("cluster")), "PATH": path}) as made:
        yield made


def submit(cluster: Cluster, out: str) -> tuple[int, str]:
    """Submits the quickstart as jobs/README.md says; returns the job's exit status and what it said."""
    command = ["datapipe", "run", "quickstart.yaml", *QUICKSTART[1:], "--out", out]
    dashboard = f"http://{cluster.address.partition(':')[0]}:8265"
    environment = str(ROOT / "jobs/runtime-env.yaml")
    line = [str(BIN / "ray"), "job", "submit", "--address", dashboard, "--runtime-env", environment, "--", *command]
    job = cluster.start(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = job.communicate(timeout=300)[0]
    return job.returncode, said


def test_a_submitted_job_makes_the_same_bytes(cluster: Cluster, tmp_path: Path) -> None:
    run_here(QUICKSTART, str(tmp_path / "here"), cluster.environment, "--report")

    status, said = submit(cluster, str(tmp_path / "out"))

    assert status == 0, said
    assert Here(tmp_path / "out").tree() == Here(tmp_path / "here").tree()


def test_a_submitted_job_refuses_a_relative_path(cluster: Cluster) -> None:
    status, said = submit(cluster, "out")

    assert status != 0
    assert "out: is a relative path, and on a cluster every process starts in another folder" in said
