"""Path lists: a file that names the files of a source, one path a line, as Common Crawl publishes them."""

from __future__ import annotations

import gzip
import posixpath
import zlib
from collections.abc import Sequence
from itertools import groupby
from typing import TypeVar

import zstandard

from datapipe import ConfigError, InputFile
from datapipe.storage import describe_files, is_remote, join, read_bytes

Item = TypeVar("Item")
# Lists that lie under these name paths from here on.
ROOTS = ("s3://commoncrawl/", "https://data.commoncrawl.org/")


def listed_files(path: str, root: str | None = None, take: int | None = None) -> list[InputFile]:
    """Returns the files that the list at `path` names, by the names it has for them, in its order.

    The list is plain, gzip or zstd; blank lines and lines that begin with `#` name nothing. Relative paths begin at
    `root`: if not given, where Common Crawl's lists mean it, or the list's own folder. `take` picks so many of the
    paths, evenly spaced, the first among them.

    Raises:
        ConfigError: the list cannot be read, names nothing, names a file twice or one that is not there, or is remote
            and names a local one.
    """
    names = evenly(_names(path), take)
    start = root or root_of(path)
    if is_remote(path):
        for name in names:
            if name.startswith("/") or ".." in name.split("/"):
                raise ConfigError(
                    f"{path}: names {name}, and a list of a store names no files of this machine; name files of a "
                    "store, or paths below `root`; to use local files, copy the list"
                )
    places = [(name, name if is_remote(name) or name.startswith("/") else join(start, name)) for name in names]
    try:
        return [file for group in _by_store(places) for file in describe_files(group)]
    except ConfigError as error:
        raise ConfigError(f"{path}: names a file that cannot be used: {error}") from error


def root_of(path: str) -> str:
    """Returns where the relative paths of a list begin.

    >>> root_of("s3://commoncrawl/crawl-data/CC-MAIN-2024-10/warc.paths.gz"), root_of("lists/mine.txt")
    ('s3://commoncrawl/', 'lists')
    """
    return next((root for root in ROOTS if path.startswith(root)), posixpath.dirname(path))


def evenly(names: Sequence[Item], take: int | None) -> list[Item]:
    """Returns `take` of the names, evenly spaced; all where there are fewer, or `take` is None.

    >>> evenly("abcdefg", 3)
    ['a', 'c', 'e']
    """
    if take is None or take >= len(names):
        return list(names)
    return [names[number * len(names) // take] for number in range(take)]


def _names(path: str) -> list[str]:
    try:
        lines = _unpacked(read_bytes(path)).decode("utf-8").splitlines()
    except (zlib.error, EOFError, OSError, zstandard.ZstdError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no list of paths in UTF-8, plain, gzip or zstd ({error})") from error
    names = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    if not names:
        raise ConfigError(f"{path}: names no path; a line a path is expected")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConfigError(f"{path}: names {name} twice, and its documents would have the same ids")
        seen.add(name)
    return names


def _unpacked(content: bytes) -> bytes:
    if content.startswith(b"\x1f\x8b"):
        return gzip.decompress(content)
    if content.startswith(b"\x28\xb5\x2f\xfd"):
        return zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True).read()
    return content


def _by_store(places: Sequence[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Returns the places in runs of one store."""
    return [list(group) for _, group in groupby(places, lambda place: _store(place[1]))]


def _store(path: str) -> str:
    return "/".join(path.split("/", 3)[:3]) if is_remote(path) else ""
