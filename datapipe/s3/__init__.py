"""Files in a store that speaks S3, and of a web server, to be read; `storage` says what each function promises.

A folder is what the names in it share: it is there with its first file, and gone with its last. A put is one request
(or one upload in parts, which is seen when it is completed), so nobody ever sees half an object. What is put "if
absent" carries `If-None-Match: *`, which S3 has answered since August 2024; `check_store` asks whether this one does.

Every request has a time-out, and is tried again where it failed for a passing reason (`retry.attempt`). A put whose
answer was lost is therefore put twice, which changes nothing: the content is the same. But one that a proxy held back
may arrive after somebody else's later put of the same name: names that are put twice with other content (reports, run
records) have one writer.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import obstore
import pyarrow as pa
from obstore.exceptions import AlreadyExistsError, BaseError

from datapipe.errors import ConfigError
from datapipe.s3.client import configure, locate, stores
from datapipe.s3.listing import (
    Meta,
    describe_files,
    each,
    find_files,
    head,
    is_bucket,
    is_folder,
    list_folder,
    list_folders,
    under,
    walk,
)
from datapipe.s3.ranges import BLOCK_BYTES, Ranges
from datapipe.s3.retry import Again, NotThere, attempt, shown

__all__ = [
    "check_store",
    "configure",
    "describe_files",
    "exists",
    "find_files",
    "is_folder",
    "link_new",
    "list_folder",
    "list_folders",
    "modified",
    "open_input",
    "open_shard",
    "put",
    "put_file",
    "put_new",
    "read_bytes",
    "read_if_there",
    "read_many",
    "read_range",
    "remove",
    "same",
    "sha256_of",
    "size_of",
    "stores",
    "walk",
]
PART_BYTES = 16 << 20
DELETED = 1000  # by one request
WHOLE_BYTES = 32 << 20  # up to here a file is put by one request, and its ETag is the MD5 of its content
BUFFER_BYTES = 128 << 10
CHECK_SECONDS = 20.0
WRITER = "datapipe-writer"
Result = TypeVar("Result")


def read_bytes(path: str) -> bytes:
    """Returns the content of a file. Raises ConfigError where it is not there."""
    try:
        return _opened(path, ahead=2).readall()
    except NotThere:
        raise _unreadable(path) from None


def read_if_there(path: str) -> bytes | None:
    """Returns the content of a file, None where there is none."""
    try:
        return _opened(path, ahead=2).readall()
    except NotThere:
        return None


def read_many(paths: Sequence[str]) -> list[bytes]:
    """Returns the content of each file, in order, many at once."""
    return each(read_bytes, paths)


def read_range(path: str, start: int, end: int) -> bytes:
    """Returns the bytes `start` to `end` of a file, fewer where it ends before."""
    if start >= end:
        return b""
    _, content = _range(path, start, end)
    return content


def size_of(path: str) -> int:
    """Returns the size of a file (bytes)."""
    return int(head(path)["size"])


def exists(path: str) -> bool:
    """Returns whether a file or a folder is there."""
    return _is_file(path) or is_folder(path)


def modified(path: str) -> float:
    """Returns when a file, or the last of a folder, was written (seconds since 1970)."""
    try:
        return float(head(path)["last_modified"].timestamp())
    except NotThere:
        times = [meta["last_modified"].timestamp() for meta in under(path)]
        if not times:
            raise
        return float(max(times))


def open_input(url: str) -> BinaryIO:
    """Returns a file opened for reading, seekable, read ahead. Raises ConfigError where it is not there."""
    try:
        return cast("BinaryIO", io.BufferedReader(_opened(url, ahead=2), BUFFER_BYTES))
    except NotThere:
        raise _unreadable(url) from None


def open_shard(path: str) -> pa.NativeFile:
    """Returns a finished file for reads at any place. Raises FileNotFoundError where it is not there."""
    return pa.PythonFile(_opened(path, ahead=1), mode="r")


def put_file(local: str, path: str) -> None:
    """Moves the finished local file to `path`, whole, in the place of any there.

    A large one goes up in parts. An upload that breaks off leaves its parts for the bucket's life-cycle rule to remove.
    """
    size = os.path.getsize(local)
    client, key = locate(path, patient=size > WHOLE_BYTES)

    def put_once() -> None:
        try:
            obstore.put(client, key, Path(local), use_multipart=size > WHOLE_BYTES, chunk_size=PART_BYTES)
        except FileNotFoundError as error:
            # Where the answer to "completed" is cut, obstore aborts the upload, and finds that it is no longer there.
            if "NoSuchUpload" not in str(error):
                raise
        try:
            there = obstore.head(client, key)["size"]
        except FileNotFoundError:
            raise Again("what was put is not there") from None
        if there != size:
            raise Again(f"{there} bytes are there of {size} that were put")

    _written(path, put_once)
    os.unlink(local)


def put_new(path: str, content: bytes) -> bool:
    """Puts `content` at `path` if nothing is there; returns whether it did. Atomic among all who try.

    The object names its writer in its metadata, so that who is told "is there already" after an answer was lost can
    see whether it was this very call that put it.
    """
    client, key = locate(path)
    writer = uuid.uuid4().hex
    lost = False

    def put_once() -> bool:
        nonlocal lost
        try:
            obstore.put(client, key, content, mode="create", attributes={WRITER: writer})
        except AlreadyExistsError as error:
            if "status code: 409" in str(error):
                raise Again("409 another put of this name is under way") from None
            return lost and _writer(client, key) == writer
        except BaseError:
            lost = True
            raise
        return True

    return _written(path, put_once)


def put(path: str, content: bytes) -> None:
    """Puts `content` at `path`, whole, in the place of any file there."""
    client, key = locate(path)
    _written(path, lambda: obstore.put(client, key, content, use_multipart=False))


def link_new(source: str, path: str) -> bool:
    """Copies `source` to `path` inside the store, if nothing is there; returns whether it did.

    It looks, and copies with `If-None-Match: *`, which S3 answers since October 2025. A store that ignores it leaves a
    moment between the look and the copy in which another can put the name, and lose it to an equal one: what is
    published under a name is a function of the claim of the folder, which one run holds, so both have the same
    content. A copy in parts would be refused by more stores, but has another ETag than its source, and whoever
    publishes again could not tell that they are the same (`same`) without reading both.

    False can also mean that it was this call that put it, its answer having been lost: compare (`same`).
    """
    _check_written(path)
    client, key = locate(path)
    other, source_key = locate(source)
    if _is_file(path):
        return False
    if other is not client:
        with tempfile.TemporaryDirectory(prefix="datapipe-") as folder:
            local = os.path.join(folder, "file")
            with _opened(source, ahead=2) as opened, open(local, "wb") as file:
                shutil.copyfileobj(opened, file, BLOCK_BYTES)
            put_file(local, path)
        return True

    def copy_once() -> bool:
        try:
            obstore.copy(client, source_key, key, overwrite=False)
        except AlreadyExistsError as error:
            if "status code: 409" in str(error):
                raise Again("409 another put of this name is under way") from None
            return False
        except BaseError as error:
            if "status code: 501" not in str(error):
                raise
            obstore.copy(client, source_key, key)  # this store knows no condition on copies
        return True

    return attempt(path, copy_once)


def same(path: str, other: str) -> bool | None:
    """Returns whether two files are equal where their sizes or ETags tell, else None."""
    one, two = each(head, [path, other])
    if one["size"] != two["size"]:
        return False
    return True if one["e_tag"] and one["e_tag"] == two["e_tag"] else None


def sha256_of(path: str) -> str:
    """Returns the SHA-256 of a file as hex digits."""
    with io.BufferedReader(_opened(path, ahead=2), BUFFER_BYTES) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(path: str) -> None:
    """Removes a file and what lies under it as under a folder; nothing happens where there is none."""
    _check_written(path)
    client, key = locate(path, patient=True)
    keys = [meta["path"] for meta in under(path)]
    if key:
        keys.append(key.rstrip("/"))
    for start in range(0, len(keys), DELETED):
        attempt(path, partial(obstore.delete, client, keys[start : start + DELETED]))


def check_store(folder: str) -> str | None:
    """Returns a warning where the store does not keep `put_new`'s promise. Raises ConfigError where it refuses."""
    path = f"{folder.rstrip('/')}/.datapipe-{uuid.uuid4().hex}"
    client, key = locate(path)

    def put_twice() -> bool:
        obstore.put(client, key, b"")
        try:
            obstore.put(client, key, b"", mode="create")
        except AlreadyExistsError:
            return True
        except BaseError as error:
            if "status code: 501" not in str(error):
                raise
        return False

    refused = _written(path, put_twice, CHECK_SECONDS)
    attempt(path, lambda: obstore.delete(client, key), CHECK_SECONDS)
    if refused:
        return None
    return (
        f"{shown(folder)}: the store ignores conditional puts (If-None-Match), so two drivers, or a task that "
        "runs twice, may both believe to have finished a shard: the rows are the same, but run one driver at a time"
    )


def _is_file(path: str) -> bool:
    try:
        head(path)
    except NotThere:
        return False
    return True


def _writer(client: Any, key: str) -> Any:  # Any: obstore's union of stores; text or None
    try:
        return obstore.get(client, key, options={"head": True}).attributes.get(WRITER)
    except FileNotFoundError:
        raise Again("412 for a name that is not there") from None


def _check_written(path: str) -> None:
    if not is_bucket(path):
        raise ConfigError(f"{shown(path)}: a web server can only be read; put output to a disk or to s3://")


def _written(path: str, act: Callable[[], Result], budget_seconds: float | None = None) -> Result:
    _check_written(path)
    try:
        return attempt(path, act, budget_seconds)
    except NotThere:
        raise ConfigError(f"{shown(path)}: cannot be written (the bucket is not there)") from None


def _range(path: str, start: int, end: int, version: str | None = None) -> tuple[Meta, bytes]:
    """Returns what is known of a file and its bytes from `start` to `end`, or to where it ends.

    Raises ConfigError where it is no longer of that version (ETag).
    """
    client, key = locate(path)
    options: Any = {"range": (start, end)} | ({"if_match": version} if version else {})  # Any: a TypedDict of obstore's

    def get_once() -> tuple[Meta, bytes]:
        try:
            got = obstore.get(client, key, options=options)
        except BaseError as error:
            if "status code: 416" not in str(error):
                raise
            return cast("Meta", obstore.head(client, key)), b""  # an empty file has no range
        content = bytes(got.bytes())
        expected = max(0, min(end, got.meta["size"]) - start)
        if len(content) != expected:
            raise Again(f"{len(content)} bytes came of {expected}")
        return cast("Meta", got.meta), content

    return attempt(path, get_once)


def _opened(path: str, ahead: int) -> Ranges:
    """Returns a file whose first block was fetched; later ones are of the same version."""
    meta, first = _range(path, 0, BLOCK_BYTES)
    weak = not meta["e_tag"] or meta["e_tag"].startswith("W/")
    version = None if weak else meta["e_tag"]
    return Ranges(shown(path), meta["size"], first, lambda start, end: _range(path, start, end, version)[1], ahead)


def _unreadable(path: str) -> ConfigError:
    return ConfigError(f"{shown(path)}: cannot be read (No such file or directory)")
