"""Tasks on their way to a worker, without the long lists that they have in common.

Each task that gathers an exchange names the files of all producing shards: 40,000 names in each of 9,000 tasks are
gigabytes. The planner hands the same tuple to all of them, so it goes into Ray's object store once, and each task takes
a reference along.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from datapipe.cluster.connect import ray
from datapipe.task import Task

LONG = 256  # names; a shorter list is sent along


class Sharing:
    """The lists that were put into the object store, for as long as tasks refer to them."""

    def __init__(self) -> None:
        self.kept: dict[int, tuple[tuple[str, ...], Any]] = {}  # by id: the tuple, which so stays alive; its reference

    def pack(self, task: Task) -> tuple[bytes, list[Any]]:
        """Returns a task as bytes, and references to what they leave out."""
        references: list[Any] = []
        places: dict[int, int] = {}
        buffer = io.BytesIO()
        pickler = pickle.Pickler(buffer, protocol=5)

        def reference(value: object) -> int | None:
            if not isinstance(value, tuple) or len(value) < LONG or not isinstance(value[0], str):
                return None
            if id(value) not in places:
                if id(value) not in self.kept:
                    self.kept[id(value)] = (value, ray.put(value))
                places[id(value)] = len(references)
                references.append(self.kept[id(value)][1])
            return places[id(value)]

        pickler.persistent_id = reference  # type: ignore[method-assign]
        pickler.dump(task)
        return buffer.getvalue(), references


def unpack(content: bytes, references: Sequence[Any]) -> Task:
    """Returns the task that `Sharing.pack` made bytes of, on a worker."""
    unpickler = pickle.Unpickler(io.BytesIO(content))
    unpickler.persistent_load = lambda place: _list(references[place])  # type: ignore[method-assign]
    task: Task = unpickler.load()
    return task


@lru_cache(maxsize=1)
def _list(reference: Any) -> tuple[str, ...]:
    """Returns a list from the object store; a process keeps the last one for the tasks that follow."""
    names: tuple[str, ...] = ray.get(reference)
    return names
