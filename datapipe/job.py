"""A run as one call: what the command does, from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from datapipe import storage
from datapipe.config import load_config
from datapipe.errors import ConfigError
from datapipe.local import Executor, Local
from datapipe.plan import Planner
from datapipe.publish import Place
from datapipe.report import Report
from datapipe.run import Listener, run_pipeline


def version() -> str:
    """Returns the version of the installed datapipe."""
    return metadata.version("datapipe")


def make_executor(kind: str, *, address: str | None = None, workers: int | None = None) -> Executor:
    """Returns the executor `local` (this process) or `ray` (a local Ray, or the cluster at `address`).

    Raises:
        ConfigError: no such executor, or its cluster cannot be reached.
    """
    if kind == "local":
        return Local()
    if kind == "ray":
        from datapipe.cluster import RayExecutor  # noqa: PLC0415 - importing Ray costs seconds: who runs on it pays

        return RayExecutor(address=address, workers=workers)
    raise ConfigError(f"--executor {kind}: is ray or local")


def on_cluster(address: str | None) -> bool:
    """Returns whether Ray at this address (or at RAY_ADDRESS) is a cluster, and not a local one of this process."""
    return (address or os.environ.get("RAY_ADDRESS") or "local") != "local"


def run(
    config: str | os.PathLike[str] | Mapping[str, Any],  # Any: what YAML holds
    *,
    out: str | os.PathLike[str],
    work: str | os.PathLike[str] | None = None,
    settings: Sequence[str] = (),
    sample: float = 1.0,
    executor: str = "ray",
    address: str | None = None,
    workers: int | None = None,
    replace: bool = False,
    keep: str = "all",
    strict: bool = False,
    listener: Listener | None = None,
) -> Report:
    """Runs a config (a YAML file or a mapping) into the folder `out` and returns its report.

    Running the same call again does what is left, or nothing. `work` is the cache of finished shards, `out/work` unless
    given; one may serve several configs. `settings` are `dotted.key=value`. `keep="none"` removes the cache at the end.

    Raises:
        DatapipeError: see datapipe.errors; the message is a sentence for the user.
    """
    if keep not in ("all", "none"):
        raise ConfigError(f"--keep {keep}: is all or none")
    storage.absolute_only(executor == "ray" and on_cluster(address))
    checked = load_config(config, settings)
    place = _place(out, work, replace=replace, keep=keep == "all", strict=strict)
    pipeline = checked.pipeline(sample=sample)
    made = make_executor(executor, address=address, workers=workers)
    return run_pipeline(pipeline, place, made, version(), listener)


def plan(
    config: str | os.PathLike[str] | Mapping[str, Any],  # Any: what YAML holds
    *,
    work: str | os.PathLike[str],
    settings: Sequence[str] = (),
    sample: float = 1.0,
) -> Planner:
    """Returns the planner of a config against what is finished in `work`; it has read no data."""
    storage.absolute_only(False)
    return Planner(load_config(config, settings).pipeline(sample=sample), os.fspath(work), version())


def _place(
    out: str | os.PathLike[str], work: str | os.PathLike[str] | None, *, replace: bool, keep: bool, strict: bool
) -> Place:
    for option, value in (("--out", out), ("--work", work)):
        if value is not None and not os.fspath(value):
            raise ConfigError(f"{option}: is empty; name a folder")
        if value is not None and "@" in os.fspath(value).partition("://")[2].partition("/")[0]:
            raise ConfigError(f"{option}: holds credentials; give them by the environment or ~/.aws")
    folder = _absolute("--out", out)
    cache = _absolute("--work", work) if work is not None else storage.join(folder, "work")
    return Place(folder, cache, replace=replace, keep=keep, strict=strict)


def _absolute(option: str, path: str | os.PathLike[str]) -> str:
    try:
        return storage.absolute(path)
    except ConfigError as error:
        raise ConfigError(f"{option} {error}") from error
