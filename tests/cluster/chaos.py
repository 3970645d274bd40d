"""Blows at random moments: a run goes on under them, is started again when it is cut off, and somebody watches corpus/.

The moments and the order of blows follow from a seed, and the victims are drawn with it too; what else the machine does
is its own. What fell when is printed, so that a test that fails shows it.
"""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import psutil

from datapipe.publish import MANIFEST
from tests.cluster.nodes import PATIENCE_SECONDS, POLL_SECONDS, title

INTERRUPTED = 75
STRIKES = 2  # at one task in the life of a driver: three look like a record that kills
LOOK_SECONDS = 0.02

Blow = Callable[[], str]
Names = Callable[[], Mapping[str, str]]


def kill_one(busy: Callable[[], list[psutil.Process]], chance: random.Random, struck: Counter[str]) -> str:
    """Kills a worker that runs a task now, unless its task had enough; returns the task's name, or nothing."""
    for worker in chance.sample(found := busy(), len(found)):
        name = title(worker)
        if name and struck[name] < STRIKES:
            struck[name] += 1
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
                return name
    return ""


@dataclass
class Ordeal:
    """A run that must come to its end whatever falls on it.

    `start` starts a driver. Each of `blows` strikes by its name and returns what it hit, or nothing where there is
    nothing to hit yet; "driver" is the name of a blow at the driver itself.
    """

    start: Callable[[], subprocess.Popen[str]]
    blows: Mapping[str, Blow]
    chance: random.Random
    struck: Counter[str] = field(default_factory=Counter)  # tasks in the life of this driver
    landed: Counter[str] = field(default_factory=Counter)
    statuses: list[int] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def run(self, kinds: Sequence[str], pause_seconds: float) -> None:
        """Runs to the end, with a blow of each kind in a random order, each up to twice `pause_seconds` after another.

        Raises:
            AssertionError: a driver ended as none may.
            TimeoutError: it does not end.
        """
        driver = self._start()
        try:
            for kind in self.chance.sample(kinds, len(kinds)):
                driver = self._wait(driver, 2 * pause_seconds * self.chance.random())
                driver = self._strike(driver, kind)
            self._wait(driver, None)
        finally:
            driver.kill()
            driver.wait()

    def _start(self) -> subprocess.Popen[str]:
        self.struck.clear()
        return self.start()

    def _wait(self, driver: subprocess.Popen[str], seconds: float | None) -> subprocess.Popen[str]:
        """Waits some seconds, or until a run has come to its end (None); starts again what was cut off."""
        end = time.monotonic() + (PATIENCE_SECONDS if seconds is None else seconds)
        while time.monotonic() < end and not self._is_done():
            with contextlib.suppress(subprocess.TimeoutExpired):
                driver.wait(POLL_SECONDS)
                driver = self._again(driver)
        if seconds is None and not self._is_done():
            raise TimeoutError(f"the run does not end: not {PATIENCE_SECONDS:g} s after the last blow")
        return driver

    def _strike(self, driver: subprocess.Popen[str], kind: str) -> subprocess.Popen[str]:
        end = time.monotonic() + PATIENCE_SECONDS
        while not self._is_done():
            hit = self.blows[kind]() if kind != "driver" else self._kill(driver)
            if hit:
                self.landed[kind] += 1
                print(f"{time.monotonic() - self.began:6.2f} s {kind}: {hit}")
                return driver
            driver = self._wait(driver, POLL_SECONDS)
            assert time.monotonic() < end, f"nothing to hit by {kind} in {PATIENCE_SECONDS:g} s"
        return driver

    def _kill(self, driver: subprocess.Popen[str]) -> str:
        driver.send_signal(signal.SIGKILL)
        return f"process {driver.pid}"

    def _again(self, driver: subprocess.Popen[str]) -> subprocess.Popen[str]:
        self.statuses.append(driver.returncode)
        print(f"{time.monotonic() - self.began:6.2f} s the driver ends with {driver.returncode}")
        assert driver.returncode in (0, INTERRUPTED, -signal.SIGKILL), f"the driver ended with {driver.returncode}"
        return driver if self._is_done() else self._start()

    def _is_done(self) -> bool:
        return self.statuses[-1:] == [0]


class Watcher:
    """Looks at corpus/ again and again, to say afterwards whether anything stood there that was not whole."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.seen: set[tuple[str, str]] = set()
        self.at_manifest: list[frozenset[str]] = []
        self.looks = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            before = MANIFEST in self.names()
            found = self.names()  # after the manifest was looked for: all must be there if it was
            self.looks += 1
            self.seen |= set(found.items())
            if before:
                self.at_manifest = [*self.at_manifest[-9:], frozenset(found)]

    def faults(self, final: Mapping[str, str]) -> list[str]:
        """Returns sentences on what was seen in corpus/ and is not what `final` (name to digest) says."""
        corpus = {name for name in final if name.startswith("corpus/")}
        half = [f"{name}: was seen as {digest[:12]}" for name, digest in self.seen if final.get(name) != digest]
        return half + [f"beside the manifest were only {sorted(seen)}" for seen in self.at_manifest if seen < corpus]
