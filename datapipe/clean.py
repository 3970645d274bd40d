"""What may go from a work folder: attempts that lost, and steps that no output folder stands on any more."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datapipe import storage
from datapipe.disk import is_half
from datapipe.errors import ConfigError
from datapipe.records import read_records
from datapipe.task import SCRATCH_PREFIX

SCRATCH_SECONDS = 24 * 3600
ELSEWHERE = "work/elsewhere.json"
_STEP = re.compile(r".+-[0-9a-f]{16}")  # a stage and its fingerprint; other folders in there are somebody else's


@dataclass(frozen=True)
class Cleaned:
    """How much went."""

    steps: int
    files: int
    bytes: int

    def more(self, other: Cleaned) -> Cleaned:
        """Returns the sum of both."""
        return Cleaned(self.steps + other.steps, self.files + other.files, self.bytes + other.bytes)


def pin(work: str, out: str, steps: Sequence[str]) -> None:
    """Says that the run into `out` stands on these steps of the work folder, and in `out` where that is."""
    if work != work_of(out):
        storage.put(storage.join(out, ELSEWHERE), (json.dumps({"work": work}) + "\n").encode())
    name = hashlib.sha256(out.encode()).hexdigest()[:16]
    content = json.dumps({"out": out, "steps": sorted(steps)}, indent=1).encode()
    storage.put(storage.join(work, "pins", f"{name}.json"), content)


def work_of(out: str) -> str:
    """Returns the work folder of the last run into `out`: the one in it, unless that run had another."""
    content = storage.read_if_there(storage.join(out, ELSEWHERE))
    return str(json.loads(content)["work"]) if content is not None else storage.join(out, "work")


def clean(work: str) -> Cleaned:
    """Removes from the work folder, and from any that lies in it, what no pinned run needs; safe beside a run.

    Raises:
        ConfigError: it is no work folder.
    """
    pins = _pins(work)
    if not pins:
        raise ConfigError(f"{work}: is no work folder of datapipe; give the --out of a run, or --work")
    live = {step for pinned in pins if storage.is_folder(pinned["out"]) for step in pinned["steps"]}
    steps = files = size = 0
    for folder in storage.list_folders(work):
        name = os.path.basename(folder)
        if not _STEP.fullmatch(name):
            continue
        if name in live:
            doomed = _losers(work, folder)
        else:
            doomed = [storage.join(folder, inside) for inside in storage.walk(folder)]
        for path in doomed:
            with contextlib.suppress(FileNotFoundError):  # whoever wrote it has just finished
                size += storage.size_of(path)
                files += 1
        steps += name not in live
        for path in doomed if name in live else [folder]:
            storage.remove(path)
    for folder in storage.list_folders(storage.scratch_root(work)):
        if os.path.basename(folder).startswith(SCRATCH_PREFIX) and _is_old(folder):
            storage.remove(folder)
    return Cleaned(steps, files, size).more(clean_inside(work))


def clean_inside(folder: str) -> Cleaned:
    """Removes from the work folders that lie in a folder, as that of its report, what no pinned run needs."""
    cleaned = Cleaned(0, 0, 0)
    for inner in storage.list_folders(folder):
        if not _STEP.fullmatch(os.path.basename(inner)) and _pins(inner):
            cleaned = cleaned.more(clean(inner))
    return cleaned


def clear_work(work: str, out: str) -> None:
    """Removes the finished shards of the run into `out`, but for those that another run stands on."""
    others = {step for pinned in _pins(work) if pinned["out"] != out for step in pinned["steps"]}
    ours = {step for pinned in _pins(work) if pinned["out"] == out for step in pinned["steps"]}
    for step in sorted(ours - others):
        if _STEP.fullmatch(step):
            storage.remove(storage.join(work, step))


def _pins(work: str) -> list[dict[str, Any]]:  # Any: JSON
    return [json.loads(content) for content in storage.read_many(storage.list_folder(storage.join(work, "pins")))]


def _losers(work: str, folder: str) -> list[str]:
    """Returns the files of a step that no record names, but for what an attempt may be at work on."""
    shards = read_records(work, os.path.basename(folder))
    named = {storage.join(work, made.path) for shard in shards for made in shard.outputs.values()}
    done = {shard.number for shard in shards}
    made = [path for path in storage.list_folder(folder) if path not in named and _of_finished(path, done)]
    half = [storage.join(folder, name) for name in storage.walk(folder) if is_half(name)]
    return made + [path for path in half if _is_old(path)]


def _of_finished(path: str, done: set[int]) -> bool:
    number = re.match(r"\d+", os.path.basename(path))
    return number is not None and int(number[0]) in done


def _is_old(path: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return time.time() - storage.modified(path) > SCRATCH_SECONDS
    return False
