"""SIGINT and SIGTERM: a sentence and status 75, from the first moment on; loads nothing that takes long."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

STOPPED = "stopped; what is finished stays, and the same command goes on from there"
STATUS = 75


def install() -> None:
    """Lets both signals raise KeyboardInterrupt; while libraries are loaded they end the process at once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)


def ignore() -> None:
    """Lets both signals pass: the command has its status, and an interpreter that ends would die of them."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _leave()  # a library that is cut off while it loads makes any error of it
        frame = frame.f_back
    raise KeyboardInterrupt


def _leave() -> None:
    sys.stdout.flush()
    sys.stderr.write(f"datapipe: {STOPPED}\n")
    sys.stderr.flush()
    os._exit(STATUS)
