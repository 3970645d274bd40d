"""Paths, and the one place that knows file systems: what is read whole or by range, and what is put whole or if absent.

A path is of this machine's disks (`disk.py`), or begins with `s3://` (`s3.py`; `https://` and `http://` can be read).
Every put is all or nothing: a reader never sees half a file, and of several writers of one name in `put_new` exactly
one wins. What is promised needs no rename, which stores do not have.

Raises, all of them:
    ConfigError: a path cannot be read or written, in words.
    Unreachable: a store does not answer, after all retries.
    Interrupted: there is no room.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from datapipe import disk
from datapipe.dataset import InputFile
from datapipe.disk import is_full, room
from datapipe.errors import ConfigError

__all__ = ["is_full", "room"]  # of the disk that attempts work on
REMOTE = ("s3://", "https://", "http://")
SCRATCH = "DATAPIPE_SCRATCH"
COPY_BYTES = 8 << 20
Options = Mapping[str, Mapping[str, Any]]  # Any: text, numbers or booleans

_refuse_relative = False


class Store(Protocol):
    """What `disk` and `s3` have in common."""

    def read_bytes(self, path: str) -> bytes: ...
    def read_if_there(self, path: str) -> bytes | None: ...
    def read_many(self, paths: Sequence[str]) -> list[bytes]: ...
    def read_range(self, path: str, start: int, end: int) -> bytes: ...
    def size_of(self, path: str) -> int: ...
    def exists(self, path: str) -> bool: ...
    def is_folder(self, path: str) -> bool: ...
    def modified(self, path: str) -> float: ...
    def open_input(self, url: str) -> BinaryIO: ...
    def open_shard(self, path: str) -> pa.NativeFile: ...
    def find_files(self, pattern: str) -> list[InputFile]: ...
    def describe_files(self, named: Sequence[tuple[str, str]]) -> list[InputFile]: ...
    def put_file(self, local: str, path: str) -> None: ...
    def put_new(self, path: str, content: bytes) -> bool: ...
    def put(self, path: str, content: bytes) -> None: ...
    def link_new(self, source: str, path: str) -> bool: ...
    def same(self, path: str, other: str) -> bool | None: ...
    def sha256_of(self, path: str) -> str: ...
    def list_folder(self, path: str) -> list[str]: ...
    def list_folders(self, path: str) -> list[str]: ...
    def walk(self, path: str) -> list[str]: ...
    def remove(self, path: str) -> None: ...


def is_remote(path: str) -> bool:
    """Returns whether a path is an address of a store and not of this machine's disks."""
    return path.startswith(REMOTE)


def _at(path: str) -> Store:
    if is_remote(path):
        from datapipe import s3  # noqa: PLC0415 - who stays on the disk loads no client

        return s3
    return disk


def configure(stores: Options) -> None:
    """Sets the options of stores by prefix of their URL, for this process: `{"s3://b": {"anonymous": True}}`.

    Raises:
        ConfigError: an option is unknown or of the wrong kind.
    """
    if stores or "datapipe.s3" in sys.modules:
        from datapipe import s3  # noqa: PLC0415

        s3.configure(stores)


def absolute_only(only: bool = True) -> None:
    """Says whether relative paths are refused: on a cluster they would start at another folder in each process."""
    global _refuse_relative  # noqa: PLW0603 - one setting a process
    _refuse_relative = only


def absolute(path: str | os.PathLike[str]) -> str:
    """Returns a path that means the same in every folder. Raises ConfigError where relative ones are refused."""
    text = os.fspath(path)
    if is_remote(text):
        return text.rstrip("/")
    given(text)
    return os.path.abspath(text)


def given(path: str) -> str:
    """Returns a path as a config or command names it. Raises ConfigError where it is relative and those are refused."""
    if _refuse_relative and not is_remote(path) and not os.path.isabs(path):
        raise ConfigError(
            f"{path}: is a relative path, and on a cluster every process starts in another folder; "
            "write it whole, on a disk that all nodes see, or as s3://"
        )
    return path


def join(folder: str, *names: str) -> str:
    """Returns the path of something in a folder."""
    return posixpath.join(folder, *names)


def scratch_root(work: str) -> str:
    """Returns the local folder that attempts work in: $DATAPIPE_SCRATCH, or one beside a local `work`."""
    if os.environ.get(SCRATCH):
        return os.environ[SCRATCH]
    if is_remote(work):
        return os.path.join(tempfile.gettempdir(), f"datapipe-{os.getuid()}")
    return os.path.join(work, "scratch")


def read_bytes(path: str) -> bytes:
    """Returns the content of a file."""
    return _at(path).read_bytes(path)


def read_if_there(path: str) -> bytes | None:
    """Returns the content of a file, None where there is none: one question where asking first would be two."""
    return _at(path).read_if_there(path)


def read_many(paths: Sequence[str]) -> list[bytes]:
    """Returns the content of each file, in order; many at once where they are far away. All lie in one store."""
    return _at(paths[0]).read_many(paths) if paths else []


def read_range(path: str, start: int, end: int) -> bytes:
    """Returns the bytes `start` to `end` of a file."""
    return _at(path).read_range(path, start, end)


def size_of(path: str) -> int:
    """Returns the size of a file (bytes)."""
    return _at(path).size_of(path)


def exists(path: str) -> bool:
    """Returns whether a file is there."""
    return _at(path).exists(path)


def is_folder(path: str) -> bool:
    """Returns whether a folder is there; in a store, whether any name begins with it."""
    return _at(path).is_folder(path)


def modified(path: str) -> float:
    """Returns when a file was last written (seconds since 1970)."""
    return _at(path).modified(path)


def open_input(url: str) -> BinaryIO:
    """Returns a file of a source opened for reading, seekable; it is read ahead where it is far away."""
    return _at(url).open_input(url)


def open_shard(path: str) -> pa.NativeFile:
    """Returns a finished file for reads at any place. Raises OSError where it cannot be opened."""
    return _at(path).open_shard(path)


def find_files(pattern: str) -> list[InputFile]:
    """Returns the files that `pattern` (a file, a folder or a glob) names, sorted by name.

    Names are relative to the source's root: the folder before the first wildcard, or that of the file.
    """
    return _at(pattern).find_files(given(pattern))


def describe_files(named: Sequence[tuple[str, str]]) -> list[InputFile]:
    """Returns the files of (name, path), in order, with their sizes and versions. All lie in one store."""
    return _at(named[0][1]).describe_files([(name, given(path)) for name, path in named]) if named else []


def put_file(local: str, path: str) -> None:
    """Moves the finished local file to `path`, whole, in the place of any file there."""
    _at(path).put_file(local, path)


def put_new(path: str, content: bytes) -> bool:
    """Puts `content` at `path` if nothing is there; returns whether it did. Atomic among all who try."""
    return _at(path).put_new(path, content)


def put(path: str, content: bytes) -> None:
    """Puts `content` at `path`, whole, in the place of any file there."""
    _at(path).put(path, content)


def link_new(source: str, path: str) -> bool:
    """Makes `path` the same file as `source`, if nothing is there: a link, a copy inside the store, or one between."""
    if is_remote(source) == is_remote(path):
        return _at(path).link_new(source, path)
    if exists(path):
        return False
    with tempfile.TemporaryDirectory(prefix="datapipe-") as folder:
        local = os.path.join(folder, "file")
        with open_input(source) as opened, open(local, "wb") as file:
            shutil.copyfileobj(opened, file, COPY_BYTES)
        put_file(local, path)
    return True


def same(path: str, other: str) -> bool | None:
    """Returns whether two files are equal where that can be said without reading them, else None."""
    return _at(path).same(path, other) if is_remote(path) == is_remote(other) else None


def sha256_of(path: str, part: tuple[int, int] | None = None, goes_on: Callable[[], object] | None = None) -> str:
    """Returns the SHA-256 of a file, or of a range of its bytes, as hex digits.

    `goes_on` is called after each block.
    """
    if part is None and goes_on is None:
        return _at(path).sha256_of(path)
    start, end = part or (0, sys.maxsize)
    digest, left = hashlib.sha256(), end - start
    with open_input(path) as file:
        file.seek(start)
        while left > 0 and (block := file.read(min(left, COPY_BYTES))):
            digest.update(block)
            left -= len(block)
            if goes_on is not None:
                goes_on()
    return digest.hexdigest()


def list_folder(path: str) -> list[str]:
    """Returns the paths of the files in a folder, sorted; none where there is no folder."""
    return _at(path).list_folder(path)


def list_folders(path: str) -> list[str]:
    """Returns the paths of the folders in a folder, sorted; none where there is none."""
    return _at(path).list_folders(path)


def walk(path: str) -> list[str]:
    """Returns the names, relative to a folder, of all files in it and in its folders, sorted."""
    return _at(path).walk(path)


def remove(path: str) -> None:
    """Removes a file or a folder with all in it; nothing happens where there is none."""
    _at(path).remove(path)


def check_store(folder: str) -> str | None:
    """Returns a warning about the store that `folder` lies in, None where it keeps to what is needed of it."""
    if not is_remote(folder):
        return None
    from datapipe import s3  # noqa: PLC0415

    return s3.check_store(folder)
