"""Connecting to Ray: an address given or in RAY_ADDRESS means that cluster; none means a local Ray of this process.

Ray's gRPC keep-alive, by which a cut link is noticed, is not set here: a driver that pings nodes which were started
without it has its attempts killed after 20 s ("Too many pings"). It is for all processes of a cluster or none.

Source: ray.md 1.1. Resource arguments are refused by Ray where a cluster exists; without an address `ray.init()` would
join whatever cluster Ray's own file names, so "local" is said outright.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator

from datapipe.errors import ConfigError, Interrupted

__all__ = ["connect", "ray", "stall_seconds_of"]  # ray is imported from here, so never before its variables are set

OBJECT_STORE_BYTES = 128 << 20
STARTS = 3
KNOCK_SECONDS = 10.0
_DEFAULTS = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # else `uv run` makes every worker build its own environment
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
STALL_SECONDS = 600.0
STALL = "DATAPIPE_STALL_SECONDS"

for _name, _value in _DEFAULTS.items():
    os.environ.setdefault(_name, _value)  # read by ray when it is imported

import ray  # noqa: E402 - after the variables it reads
import ray.util.scheduling_strategies  # noqa: E402


def connect(address: str | None, workers: int | None) -> bool:
    """Connects this process; returns whether it started a Ray of its own, which ends with it.

    Raises:
        ConfigError: the cluster at `address` does not answer, or `workers` is given for a cluster.
    """
    address = address or os.environ.get("RAY_ADDRESS") or None
    if ray.is_initialized():
        return False
    if address and address != "local":
        if workers is not None:
            raise ConfigError(f"--workers is for a local Ray; the cluster at {address} has the workers it has")
        try:
            _knock(address)
            with _own_signals(), _quiet():
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"--address {address}: no Ray cluster answers there ({_first_line(error)}); start one with "
                "`ray start --head`, or leave --address and RAY_ADDRESS out for a local one"
            ) from error
        return False
    _start_local(workers or os.cpu_count() or 1)
    return True


def stall_seconds_of(given: float | None) -> float:
    """Returns after how long without progress an attempt is given up: as given, $DATAPIPE_STALL_SECONDS, or 600.

    Raises:
        ConfigError: the variable is no number above zero.
    """
    text = os.environ.get(STALL, "")
    try:
        seconds = given if given is not None else float(text) if text else STALL_SECONDS
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise ConfigError(f"{STALL}: is a number of seconds above 0, not {text or given!r}")
    return seconds


def _start_local(workers: int) -> None:
    """Starts a Ray of this process. A loaded machine can miss Ray's own deadlines, so it is tried `STARTS` times."""
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)  # workers find what we find
    for left in reversed(range(STARTS)):
        try:
            with _own_signals(), _quiet():
                ray.init(
                    address="local",
                    num_cpus=workers,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    object_store_memory=OBJECT_STORE_BYTES,
                )
        except Exception as error:  # Ray raises bare Exception, and more, where its processes miss a deadline
            ray.shutdown()
            if not left:
                raise Interrupted(
                    f"Ray did not start here ({_first_line(error)}); run the same command again, "
                    "or with --executor local in this process alone"
                ) from error
        else:
            return


def _knock(address: str) -> None:
    """Raises OSError where nobody listens at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keeps this process's SIGTERM handler, which `ray.init` puts its own in the place of."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as leaving:  # what Ray's own handler does while Ray starts
        raise KeyboardInterrupt from leaving
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Ray's own start-up lines off the terminal."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield
