"""Where an export or a rebuilt corpus is written: a folder under a temporary name, renamed when all is in it.

On a disk the folder stands beside the place; into a store each file is put when it is whole, the one that says what
the others are last (`export.json`, a corpus's manifest): without it there is nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from datapipe import ConfigError, storage

RECORD: Final = "export.json"

Facts = dict[str, Any]  # Any: JSON


@dataclass(frozen=True)
class Target:
    """A folder that is being written: `folder` is a local one, `files` an entry for each file that is whole."""

    out: str
    folder: str
    files: list[Facts] = field(default_factory=list)

    @property
    def place(self) -> str:
        """Where a file of elsewhere can be linked into: `folder`, or in a store the place itself."""
        return self.out if storage.is_remote(self.out) else self.folder

    def path(self, name: str) -> str:
        """Returns where to write a file. Its folder is there."""
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def done(self, name: str, **said: int) -> None:
        """Takes a file that is whole, and what is said of it beside its size and digest."""
        path = self.path(name)
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        self.files.append({"name": name, "bytes": os.path.getsize(path), **said, "sha256": digest})
        if storage.is_remote(self.out):
            storage.put_file(path, storage.join(self.out, name))

    def put(self, name: str, content: bytes) -> None:
        """Writes a small file whole, and takes it."""
        with open(self.path(name), "wb") as file:
            file.write(content)
        self.done(name)

    def close(self, record: Facts) -> None:
        """Writes `export.json`: what the export is of, and its files."""
        text = json.dumps({**record, "files": list(self.files)}, ensure_ascii=False, indent=1) + "\n"
        self.put(RECORD, text.encode())


def check_free(out: str) -> None:
    """Raises ConfigError where something is at `out`, or where that is no name."""
    if not out.strip("/"):
        raise ConfigError(f"--out '{out}': is no name of a folder to make: give one")
    if storage.exists(out) or storage.is_folder(out):
        raise ConfigError(f"--out {out}: is there already, and nothing is written over: name another")


@contextmanager
def new_target(out: str) -> Iterator[Target]:
    """Makes a folder to write to; what was written is gone where the block is left by an exception.

    Raises:
        ConfigError: something is at `out`, or nothing can be written there.
    """
    check_free(out)
    if storage.is_remote(out):
        with tempfile.TemporaryDirectory(prefix="datapipe-", dir=os.environ.get(storage.SCRATCH)) as folder:
            yield Target(out, folder)
        return
    place = storage.absolute(out)
    folder = os.path.join(os.path.dirname(place), f".{os.path.basename(place)}.{uuid.uuid4().hex[:12]}.part")
    try:
        with storage.room(folder):
            os.makedirs(folder)
            yield Target(out, folder)
            check_free(out)  # another command may have made it meanwhile
            os.rename(folder, place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
