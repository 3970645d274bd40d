"""Where an export is written: a folder under a temporary name, which gets its own when all is in it.

On a disk the folder stands beside the place and is renamed; into a store each file is put when it is whole, and
`export.json` last, so an export without one is none.
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
    """An export that is being written: `folder` is a local one, `files` an entry for each file that is whole."""

    out: str
    folder: str
    files: list[Facts] = field(default_factory=list)

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


@contextmanager
def new_target(out: str) -> Iterator[Target]:
    """Makes the folder of an export; what was written is gone where the block is left by an exception.

    Raises:
        ConfigError: something is at `out`, or nothing can be written there.
    """
    if storage.exists(out) or storage.is_folder(out):
        raise ConfigError(f"--out {out}: is there already; an export takes the place of nothing: name another")
    if storage.is_remote(out):
        with tempfile.TemporaryDirectory(prefix="export-", dir=os.environ.get(storage.SCRATCH)) as folder:
            yield Target(out, folder)
        return
    place = storage.absolute(out)
    folder = os.path.join(os.path.dirname(place), f".{os.path.basename(place)}.{uuid.uuid4().hex[:12]}.part")
    try:
        with storage.room(folder):
            os.makedirs(folder)
            yield Target(out, folder)
            os.rename(folder, place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
