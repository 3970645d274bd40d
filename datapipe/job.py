"""A run as one call: what the command does, from Python."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from datapipe import storage
from datapipe.config import load_config
from datapipe.errors import ConfigError, DatapipeError
from datapipe.local import Executor, Local
from datapipe.logs import redact
from datapipe.plan import Planner
from datapipe.publish import Place
from datapipe.report import Report
from datapipe.run import Listener, run_pipeline

log = logging.getLogger(__name__)
REPORTERS = "datapipe.reporters"
IN_PROCESS_DOCUMENTS = 100_000  # up to which a local Ray is not started again for the report


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
    report: bool = False,
) -> Report:
    """Runs a config (a YAML file or a mapping) into the folder `out` and returns its report.

    Running the same call again does what is left, or nothing. `work` is the cache of finished shards, `out/work` unless
    given; one may serve several configs. `settings` are `dotted.key=value`. `keep="none"` removes the cache at the end.
    With `report`, what is installed to report on a corpus does so (see `make_reports`).

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
    done = run_pipeline(pipeline, place, made, version(), listener)
    if report:
        make_reports(done, executor=executor, address=address, workers=workers, keep=keep, listener=listener)
    return done


def make_reports(
    report: Report,
    *,
    executor: str = "ray",
    address: str | None = None,
    workers: int | None = None,
    keep: str = "all",
    listener: Listener | None = None,
) -> list[str]:
    """Lets what is installed report on what a run has published; returns what it says, a sentence each.

    Reporters are the functions of entry point group `datapipe.reporters`: each takes the folder and where to run, and
    returns sentences. A run that went well is not failed by one that does not: its failure is logged as a warning.
    """
    if executor == "ray" and not on_cluster(address):
        came = max((stage.documents_in for stage in report.stages), default=0)
        executor = "local" if came <= IN_PROCESS_DOCUMENTS else executor
    said: list[str] = []
    for point in sorted(metadata.entry_points(group=REPORTERS), key=lambda point: point.name):
        try:
            where = {"executor": executor, "address": address, "workers": workers, "keep": keep, "listener": listener}
            said += point.load()(report.out, **where)
        except Exception as error:  # noqa: BLE001 - whatever a reporter does, the corpus is made
            sentence = redact(str(error) if isinstance(error, DatapipeError) else f"{type(error).__name__}: {error}")
            log.warning(
                "no report of %s by %s: %s; the corpus is whole, `datapipe report` tries again",
                report.out,
                point.name,
                sentence,
            )
    return said


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
