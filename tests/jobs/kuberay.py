"""What KubeRay's CRDs say of the fields that our manifests use, and a check of manifests against such a schema.

The facts below (names, types, what is required) are those of the custom resource definitions `ray.io_rayjobs.yaml` and
`ray.io_rayclusters.yaml`, version v1, in `ray-operator/config/crd/bases` of github.com/ray-project/kuberay at commit
feeaf72 (2026-08-19). They leave out what we do not use, so a manifest that passes here passes there, as long as KubeRay
keeps to v1. With DATAPIPE_KUBERAY_CRDS naming a folder with those two files the test checks against them entire.

Pods are checked by the package kubernetes-validate, which holds the schemas of Kubernetes itself (make test-heavy).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
STRINGS: Schema = {"type": "object", "additionalProperties": STRING}
POD: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

_AUTOSCALER = _object(
    idleTimeoutSeconds=INTEGER,
    upscalingMode={"type": "string", "enum": ["Default", "Aggressive", "Conservative"]},
)
_HEAD = _object(("template",), rayStartParams=STRINGS, serviceType=STRING, template=POD)
_WORKERS = _object(
    ("groupName", "maxReplicas", "minReplicas", "template"),
    groupName=STRING,
    replicas=INTEGER,
    minReplicas=INTEGER,
    maxReplicas=INTEGER,
    idleTimeoutSeconds=INTEGER,
    numOfHosts=INTEGER,
    suspend=BOOLEAN,
    rayStartParams=STRINGS,
    template=POD,
)
_CLUSTER = _object(
    ("headGroupSpec",),
    rayVersion=STRING,
    enableInTreeAutoscaling=BOOLEAN,
    autoscalerOptions=_AUTOSCALER,
    headGroupSpec=_HEAD,
    workerGroupSpecs={"type": "array", "items": _WORKERS},
    suspend=BOOLEAN,
)
_JOB = _object(
    (),
    activeDeadlineSeconds=INTEGER,
    backoffLimit=INTEGER,
    entrypoint=STRING,
    jobId=STRING,
    rayClusterSpec=_CLUSTER,
    runtimeEnvYAML=STRING,
    shutdownAfterJobFinishes=BOOLEAN,
    submissionMode=STRING,
    submitterConfig=_object(backoffLimit=INTEGER),
    suspend=BOOLEAN,
    ttlSecondsAfterFinished=INTEGER,
)
KINDS = {"RayJob": _JOB, "RayCluster": _CLUSTER}
_TYPES = {"string": str, "boolean": bool, "object": dict, "array": list}


def faults(value: Any, schema: Schema, place: str = "spec") -> Iterator[str]:
    """Yields what is wrong with a value by a structural schema (OpenAPI v3 as CRDs use it), unknown fields too."""
    if schema.get("x-kubernetes-int-or-string"):
        if not isinstance(value, int | str) or isinstance(value, bool):
            yield f"{place}: is neither a number nor a text"
        return
    kind = schema.get("type", "")
    whole = isinstance(value, int) and not isinstance(value, bool)
    if kind in ("integer", "number"):
        if not whole and not (kind == "number" and isinstance(value, float)):
            yield f"{place}: {value!r} is no {kind}"
    elif kind in _TYPES and not isinstance(value, _TYPES[kind]):
        yield f"{place}: {value!r} is no {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place}: {value!r} is none of {schema['enum']}"
    if isinstance(value, dict):
        yield from _object_faults(value, schema, place)
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from faults(item, schema["items"], f"{place}[{number}]")


def _object_faults(value: dict[str, Any], schema: Schema, place: str) -> Iterator[str]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{place}: lacks {name}"
    for name, item in value.items():
        if name in properties:
            yield from faults(item, properties[name], f"{place}.{name}")
        elif isinstance(others, dict):
            yield from faults(item, others, f"{place}.{name}")
        elif not schema.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{place}: knows no {name}"
