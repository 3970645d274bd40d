"""Files on a disk that this machine sees, its own or a shared one; `storage` says what each function promises.

A put is a temporary file in the same folder, fsync, and rename(2) or link(2), so it is all or nothing.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import platform
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar

import pyarrow as pa

from datapipe.dataset import InputFile
from datapipe.errors import ConfigError, Interrupted, Refused

Result = TypeVar("Result")
_HALF = re.compile(r"\.[0-9a-f]{12}\.part$")  # see _beside


def read_bytes(path: str) -> bytes:
    """Returns the content of a file. Raises ConfigError where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({_reason(error)})") from error


def read_if_there(path: str) -> bytes | None:
    """Returns the content of a file, None where there is none."""
    return read_bytes(path) if os.path.exists(path) else None


def read_many(paths: Sequence[str]) -> list[bytes]:
    """Returns the content of each file, in order."""
    return [read_bytes(path) for path in paths]


def read_range(path: str, start: int, end: int) -> bytes:
    """Returns the bytes `start` to `end` of a file."""
    with open(path, "rb") as file:
        file.seek(start)
        return file.read(end - start)


def size_of(path: str) -> int:
    """Returns the size of a file (bytes)."""
    return os.stat(path).st_size


def exists(path: str) -> bool:
    """Returns whether a file is there."""
    return os.path.exists(path)


def is_folder(path: str) -> bool:
    """Returns whether a folder is there."""
    return os.path.isdir(path)


def modified(path: str) -> float:
    """Returns when a file or folder was last written (seconds since 1970)."""
    return os.stat(path).st_mtime


def open_input(url: str) -> BinaryIO:
    """Returns a file of a source opened for reading, seekable. Raises ConfigError where it cannot be opened."""
    try:
        return open(url, "rb")
    except OSError as error:
        if not os.path.isdir(os.path.dirname(url) or os.curdir):
            raise Refused(f"{url}: its folder is not there on {platform.node()}; is a disk not mounted?") from error
        raise ConfigError(f"{url}: cannot be read ({_reason(error)})") from error


def open_shard(path: str) -> pa.NativeFile:
    """Returns a finished file for reads at any place. Raises OSError where it cannot be opened."""
    return pa.OSFile(path)


def find_files(pattern: str) -> list[InputFile]:
    """Returns the files that `pattern` (a file, a folder or a glob) names, sorted by name.

    Names are relative to the source's root: the folder before the first wildcard, or that of the file.

    Raises:
        ConfigError: nothing is there.
    """
    if os.path.isdir(pattern):
        pattern = os.path.join(pattern, "**", "*")
    fixed = pattern.split("*")[0].split("?")[0].split("[")[0]
    root = os.path.dirname(fixed) or "."
    found = [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]
    if not found:
        there = "is there" if os.path.isdir(root) else "is not there either"
        raise ConfigError(f"{pattern}: no file matches (its folder {root} {there})")
    return sorted((_input_file(path, root) for path in found), key=lambda file: file.name)


def describe_files(named: Sequence[tuple[str, str]]) -> list[InputFile]:
    """Returns the files of (name, path), in order. Raises ConfigError where one is not there."""
    return [_described(name, path) for name, path in named]


def _input_file(path: str, root: str) -> InputFile:
    return _described(os.path.relpath(path, root), path)


def _described(name: str, path: str) -> InputFile:
    try:
        status = os.stat(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({_reason(error)})") from error
    return InputFile(name, os.path.abspath(path), status.st_size, str(status.st_mtime_ns))


def put_file(local: str, path: str) -> None:
    """Moves the finished local file to `path`, whole, in the place of any file there."""
    with room(path):
        _sync(local)
        try:
            _in_folder(path, lambda: os.replace(local, path))
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            beside = _beside(path)
            shutil.copyfile(local, beside)
            _sync(beside)
            os.replace(beside, path)
            os.unlink(local)


def put_new(path: str, content: bytes) -> bool:
    """Puts `content` at `path` if nothing is there; returns whether it did. Atomic among all who try."""
    with room(path):
        beside = _beside(path)
        try:
            with _in_folder(path, lambda: open(beside, "wb")) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(beside, path)
        except FileExistsError:
            return False
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside)
    return True


def put(path: str, content: bytes) -> None:
    """Puts `content` at `path`, whole, in the place of any file there."""
    beside = _beside(path)
    with room(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(beside).write_bytes(content)
        os.replace(beside, path)


def same(path: str, other: str) -> bool | None:
    """Returns None: that two files are equal is seen by reading them."""
    return True if os.path.samefile(path, other) else None


def link_new(source: str, path: str) -> bool:
    """Makes `path` the same file as `source` (a copy where the file system has no links), if nothing is there."""
    with room(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            os.link(source, path)
        except FileExistsError:
            return False
        except OSError:
            if os.path.exists(path):
                return False
            beside = _beside(path)
            shutil.copyfile(source, beside)
            _sync(beside)
            os.replace(beside, path)
    return True


def sha256_of(path: str) -> str:
    """Returns the SHA-256 of a file as hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_folder(path: str) -> list[str]:
    """Returns the paths of the finished files in a folder, sorted; none where there is no folder."""
    try:
        return sorted(entry.path for entry in os.scandir(path) if entry.is_file() and not is_half(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def list_folders(path: str) -> list[str]:
    """Returns the paths of the folders in a folder, sorted; none where there is none."""
    try:
        return sorted(entry.path for entry in os.scandir(path) if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def walk(path: str) -> list[str]:
    """Returns the names, relative to a folder, of all files in it and in its folders, sorted."""
    found = []
    for root, _, names in os.walk(path):
        found += [os.path.relpath(os.path.join(root, name), path) for name in names]
    return sorted(found)


def remove(path: str) -> None:
    """Removes a file or a folder with all in it; nothing happens where there is none."""
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def is_half(name: str) -> bool:
    """Returns whether a file is one that is being put, or was when its process died."""
    return _HALF.search(name) is not None


def _beside(path: str) -> str:
    return f"{path}.{uuid.uuid4().hex[:12]}.part"


def _in_folder(path: str, act: Callable[[], Result]) -> Result:
    """Returns what `act` makes at or beside `path`, whose folder is made first where it is not there."""
    try:
        return act()
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return act()


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def room(path: str) -> Iterator[None]:
    """Turns a full, read-only or forbidden disk into a sentence that names the path."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise Interrupted(
                f"{path}: no space left on the device; make room and run the same command again, what is finished stays"
            ) from error
        if error.errno in (
            errno.EACCES,
            errno.EPERM,
            errno.EROFS,
            errno.ENOTDIR,
            errno.ENOENT,
            errno.ENAMETOOLONG,
        ) and _is_of(error, path):
            raise ConfigError(f"{path}: cannot be written ({_reason(error)}); choose another folder") from error
        raise


def _is_of(error: OSError, path: str) -> bool:
    """Returns whether an error names no file, or one on the way to `path`, beside it or in it."""
    named = [str(name) for name in (error.filename, error.filename2) if name is not None]
    around = os.path.dirname(path)
    return not named or any(path.startswith(name) or name.startswith((path, f"{around}/")) for name in named)


def is_full(error: Exception) -> bool:
    """Returns whether an error says that a disk is full, or a file as large as it may be."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
