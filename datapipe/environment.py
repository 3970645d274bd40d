"""What a run ran on and with, for `work/run.json` and `work/runs/`: no part of a corpus, and no secret in it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from datapipe import storage
from datapipe.errors import DatapipeError
from datapipe.logs import redact

COMPILED = (".pyc", ".nbi", ".nbc")
_INSTRUCTIONS = re.compile(r"sse|ssse|avx|fma|f16c|bmi|amx|asimd|sve|neon|fphp")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def environment() -> dict[str, Any]:  # Any: JSON
    """Returns this machine, the interpreter, the command line, and the versions of all libraries that we depend on."""
    return {
        "command": [redact(word) for word in sys.argv],
        "host": platform.node(),
        "platform": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "libraries": libraries(),
    }


@functools.cache
def code_of(package: str) -> str:
    """Returns the SHA-256 over the files of an importable package, by name; of what Python compiled, none.

    Of a module of one file it is over that, and of a script's own (`__main__`), which has no name elsewhere, over
    nothing. A file that cannot be read, or is none, counts by its name: a run does not end for want of it.
    """
    digest = hashlib.sha256()
    for name, path in _code_files(package):
        held = b""
        with contextlib.suppress(OSError):
            held = Path(path).read_bytes() if os.path.isfile(path) else b""
        digest.update(f"{name}\0{len(held)}\0".encode(errors="surrogateescape"))
        digest.update(held)
    return digest.hexdigest()


def _code_files(package: str) -> Iterator[tuple[str, str]]:
    """Yields the files of a package, by name under its folder, and where they are."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return
    tops = list((spec.submodule_search_locations if spec else None) or [])
    if not tops and spec is not None and spec.origin is not None:
        yield os.path.basename(spec.origin), spec.origin
    for top in tops:
        for folder, folders, names in os.walk(top):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(name for name in names if not name.endswith(COMPILED)):
                path = os.path.join(folder, name)
                yield path[len(top) :], path


@functools.cache
def libraries() -> dict[str, str]:
    """Returns the installed version of each distribution that datapipe needs, and its own."""
    found = {"datapipe": metadata.version("datapipe")}
    for need in metadata.requires("datapipe") or []:
        name = _NAME.match(need)
        if name and "extra ==" not in need:
            with contextlib.suppress(metadata.PackageNotFoundError):
                found[name[0]] = metadata.version(name[0])
    return dict(sorted(found.items()))


def machine() -> dict[str, Any]:  # Any: JSON
    """Returns what may make other numbers of the same rows elsewhere, and nothing that tells two equal machines."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "os": platform.system(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "machine": platform.machine(),
        "cpu": _cpu(),
        "instructions": _instructions(),
        "libraries": libraries(),
    }


def _instructions() -> list[str]:
    """Returns the instructions on vectors and the like that the processor has, as Linux calls them, sorted."""
    return sorted({flag for flag in _cpu_info("flags", "Features").split() if _INSTRUCTIONS.match(flag)})


def _cpu() -> str:
    return _cpu_info("model name") or platform.processor() or platform.machine()


def _cpu_info(*names: str) -> str:
    """Returns what Linux says of the first processor under one of these names, or nothing."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, said = line.partition(":")
            if name.strip() in names:
                return said.strip()
    return ""


def iso(seconds: float) -> str:
    """Returns a moment (seconds since 1970) as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def note_run(work: str, name: str, data: Mapping[str, Any]) -> None:  # Any: JSON
    """Writes `work/runs/<name>.json`, one of each run that made something, and a copy of the last as `work/run.json`.

    A run is not failed by this: where the store does not answer, nothing is written.
    """
    content = (json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
    with contextlib.suppress(DatapipeError, OSError):
        storage.put(storage.join(work, "runs", f"{name}.json"), content)
        storage.put(storage.join(work, "run.json"), content)
