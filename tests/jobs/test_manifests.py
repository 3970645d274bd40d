"""The manifests in jobs/ are what KubeRay and Kubernetes take, and agree with the package they start."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))

import kuberay

JOBS = Path(__file__).parents[2] / "jobs"
MANIFESTS = ("rayjob.yaml", "raycluster.yaml")


def manifest(name: str) -> dict[str, Any]:
    return yaml.safe_load((JOBS / name).read_text())


def cluster(name: str) -> dict[str, Any]:
    spec = manifest(name)["spec"]
    return spec.get("rayClusterSpec", spec)


def templates(name: str) -> list[dict[str, Any]]:
    spec = cluster(name)
    return [group["template"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]


def schema_of(kind: str) -> kuberay.Schema:
    """KubeRay's own CRD where its folder is named, else our notes of it."""
    folder = os.environ.get("DATAPIPE_KUBERAY_CRDS")
    if not folder:
        return kuberay.KINDS[kind]
    crd = yaml.load((Path(folder) / f"ray.io_{kind.lower()}s.yaml").read_text(), yaml.CSafeLoader)
    version = next(item for item in crd["spec"]["versions"] if item["name"] == "v1")
    return version["schema"]["openAPIV3Schema"]["properties"]["spec"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_has_the_fields_and_types_of_kuberays_v1(name: str) -> None:
    made = manifest(name)

    assert made["apiVersion"] == "ray.io/v1"
    assert list(kuberay.faults(made["spec"], schema_of(made["kind"]))) == []


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("backofLimit", 3, "spec: knows no backofLimit"),
        ("backoffLimit", "3", "spec.backoffLimit: '3' is no integer"),
        ("rayClusterSpec", {}, "spec.rayClusterSpec: lacks headGroupSpec"),
    ],
)
def test_a_wrong_field_is_found(place: str, value: object, said: str) -> None:
    spec = {**manifest("rayjob.yaml")["spec"], place: value}

    assert list(kuberay.faults(spec, schema_of("RayJob"))) == [said]


@pytest.mark.heavy
@pytest.mark.parametrize("name", MANIFESTS)
def test_the_pods_are_what_kubernetes_takes(name: str) -> None:
    import kubernetes_validate

    for template in templates(name):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ray"}, "spec": template["spec"]}
        kubernetes_validate.validate(pod, "1.31", strict=True)


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_starts_the_ray_that_is_locked_and_sees_cut_links(name: str) -> None:
    locked = re.search(r"^ray==(\S+)$", (JOBS.parent / "requirements.lock").read_text(), re.MULTILINE)
    spec = cluster(name)

    assert locked
    assert spec["rayVersion"] == locked[1]
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for template in templates(name):
        environment = {item["name"]: item["value"] for item in template["spec"]["containers"][0]["env"]}
        assert environment["RAY_grpc_client_keepalive_time_ms"] == "5000"
        mounts = {item["name"] for item in template["spec"]["containers"][0]["volumeMounts"]}
        assert mounts <= {volume["name"] for volume in template["spec"]["volumes"]}


def test_the_submitted_config_names_no_relative_path() -> None:
    from datapipe.config import load_config

    environment = {item["name"]: item["value"] for item in templates("rayjob.yaml")[0]["spec"]["containers"][0]["env"]}
    submitted = yaml.safe_load((JOBS / "runtime-env.yaml").read_text())["env_vars"]

    for variables in (environment, submitted):
        ingest = load_config(JOBS.parent / "configs/zh_en.yaml", environment=variables).steps[0][1]
        assert {source.path.partition("://")[0] for source in ingest.sources.values()} == {"s3"}


def test_the_submitted_command_is_one_that_datapipe_knows() -> None:
    words = manifest("rayjob.yaml")["spec"]["entrypoint"].split()

    said = subprocess.run(
        [sys.executable, "-m", "datapipe.cli", "run", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert words[:2] == ["datapipe", "run"]
    assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", said))


def test_the_slurm_script_is_sound_bash() -> None:
    checked = subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), "--exclude=SC1091", JOBS / "datapipe.sbatch"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (checked.returncode, checked.stdout) == (0, "")
