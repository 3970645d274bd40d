"""What a store holds: its files one by one, by folder, and by glob."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import obstore

from datapipe.dataset import InputFile
from datapipe.errors import ConfigError
from datapipe.s3.client import locate
from datapipe.s3.retry import NotThere, attempt, shown

IN_FLIGHT = 32
PAGE = 1000  # names of one answer to a listing
WILD = re.compile(r"[*?[]")
Meta = dict[str, Any]  # Any: path, last_modified, size, e_tag as obstore gives them
Item = TypeVar("Item")
Result = TypeVar("Result")


def head(path: str) -> Meta:
    """Returns what is known of a file. Raises NotThere where there is none."""
    client, key = locate(path)
    if not key or key.endswith("/"):
        raise NotThere(2, "No such file or directory", shown(path))
    return cast("Meta", attempt(path, lambda: obstore.head(client, key)))


def under(path: str, first: bool = False) -> Iterator[Meta]:
    """Yields what lies under a folder, at any depth, in the order of the names; `first` of them from one answer."""
    client, key = locate(path)
    prefix: str | None = key.rstrip("/") or None
    store: Any = client  # Any: obstore's union of stores
    last: str | None = None
    while True:

        def page(after: str | None = last) -> list[Meta]:
            listing = obstore.list(store, prefix, offset=after, chunk_size=PAGE)
            return list(cast("Iterable[Meta]", next(iter(listing), [])))

        metas = attempt(path, page)
        yield from (meta for meta in metas if meta["path"] != prefix)  # some mark a folder by an empty object
        if len(metas) < PAGE or first:
            return
        last = metas[-1]["path"]


def level(path: str) -> tuple[list[tuple[str, Meta]], list[str]]:
    """Returns the files in a folder, as (URL, what is known), and the URLs of the folders in it, sorted."""
    client, key = locate(path, patient=True)
    prefix: str | None = key.rstrip("/") or None
    store: Any = client  # Any: as above
    found = attempt(path, lambda: obstore.list_with_delimiter(store, prefix))
    metas = cast("Iterable[Meta]", found["objects"])
    files = sorted((url_of(path, meta["path"]), meta) for meta in metas if meta["path"] != prefix)
    return files, sorted(url_of(path, folder) for folder in found["common_prefixes"])


def url_of(path: str, key: str) -> str:
    """Returns the URL of a key in the bucket that `path` is of."""
    return f"{bucket_of(path)}/{key}"


def bucket_of(path: str) -> str:
    """Returns the URL of the bucket that `path` is of, without a slash at its end."""
    return "/".join(path.split("/", 3)[:3])


def is_bucket(path: str) -> bool:
    """Returns whether a path is of a bucket, which can be listed and written, and not of a web server."""
    return path.startswith("s3://")


def is_folder(path: str) -> bool:
    """Returns whether any name begins with that of the folder."""
    return is_bucket(path) and any(True for _ in under(path, first=True))


def list_folder(path: str) -> list[str]:
    """Returns the paths of the files in a folder, sorted; none where there is no folder."""
    return [url for url, _ in level(path)[0]]


def list_folders(path: str) -> list[str]:
    """Returns the paths of the folders in a folder, sorted; none where there is none."""
    return level(path)[1]


def walk(path: str) -> list[str]:
    """Returns the names, relative to a folder, of all files in it and in its folders, sorted."""
    start = len(path.rstrip("/")) + 1
    return sorted(url_of(path, meta["path"])[start:] for meta in under(path))


def describe_files(named: Sequence[tuple[str, str]]) -> list[InputFile]:
    """Returns the files of (name, url), in order. Raises ConfigError where one is not there."""

    def describe(pair: tuple[str, str]) -> InputFile:
        name, url = pair
        try:
            meta = head(url)
        except NotThere:
            raise ConfigError(f"{shown(url)}: cannot be read (No such file or directory)") from None
        return InputFile(name, url, meta["size"], _version(meta))

    return each(describe, named)


def find_files(pattern: str) -> list[InputFile]:
    """Returns the files that `pattern` (a file, a folder or a glob) names, sorted by name.

    Only folders that can match are listed: `crawl/*/warc.paths.gz` asks for one name in each folder of `crawl`.

    Raises:
        ConfigError: nothing is there.
    """
    fixed = WILD.split(pattern, maxsplit=1)[0]
    if fixed == pattern:
        try:
            return [_input_file(pattern, head(pattern), pattern.rpartition("/")[0])]
        except NotThere:
            pattern = pattern.rstrip("/") + "/**"
    if not is_bucket(pattern):
        raise ConfigError(f"{shown(fixed)}: is not there, and a web server cannot be asked for what is: name files")
    if WILD.search(bucket_of(pattern)):
        raise ConfigError(f"{shown(pattern)}: the name of the bucket is to be written out")
    root = WILD.split(pattern, maxsplit=1)[0].rpartition("/")[0]
    found = _solid(_matches(root, pattern[len(root) + 1 :].split("/")))
    if not found:
        there = "is there" if is_folder(root) else "is not there either"
        raise ConfigError(f"{shown(pattern)}: no file matches (its folder {root} {there})")
    return sorted((_input_file(url, meta, root) for url, meta in found), key=lambda file: file.name)


def _matches(root: str, segments: Sequence[str]) -> list[tuple[str, Meta | None]]:
    """Returns the files under a folder that the segments of a glob name; None is known of those that no list named."""
    folders = [root]
    for number, segment in enumerate(segments):
        rest = segments[number:]
        if segment == "**":
            listed = each(lambda folder: [(url_of(folder, meta["path"]), meta) for meta in under(folder)], folders)
            return [
                (url, meta)
                for folder, part in zip(folders, listed, strict=True)
                for url, meta in part
                if _fits(url[len(folder) + 1 :].split("/"), rest)
            ]
        last = len(rest) == 1
        if not WILD.search(segment):
            folders = [f"{folder}/{segment}" for folder in folders]
            if last:
                return [(url, None) for url in folders]
            continue
        levels = each(level, folders)
        if last:
            return [(url, meta) for files, _ in levels for url, meta in files if _fits([url.rpartition("/")[2]], rest)]
        folders = [url for _, inside in levels for url in inside if _fits([url.rpartition("/")[2]], [segment])]
    return []


def _fits(names: Sequence[str], segments: Sequence[str]) -> bool:
    """Returns whether a glob fits, as `glob.glob` has it: no wildcard stands for a dot at the start of a name."""
    if not segments:
        return not names
    first, rest = segments[0], segments[1:]
    if first == "**":
        rest = rest or ["*"]
        seen = next((number for number, name in enumerate(names) if name.startswith(".")), len(names))
        return any(_fits(names[number:], rest) for number in range(seen + 1))
    if not names or (names[0].startswith(".") and not first.startswith(".")):
        return False
    return fnmatch.fnmatchcase(names[0], first) and _fits(names[1:], rest)


def _solid(found: Sequence[tuple[str, Meta | None]]) -> list[tuple[str, Meta]]:
    """Returns the files that are there: asks for names that no list named, and empty ones, which may mark a folder."""

    def look(pair: tuple[str, Meta | None]) -> tuple[str, Meta | None]:
        url, meta = pair
        if meta is not None and meta["size"]:
            return pair
        try:
            return url, head(url)
        except NotThere:
            return url, None

    return [(url, meta) for url, meta in each(look, found) if meta is not None]


def each(act: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Returns what `act` returns of each item, in order, with many at once; the first error ends it."""
    if len(items) < 2:
        return [act(item) for item in items]
    with ThreadPoolExecutor(min(IN_FLIGHT, len(items)), "store") as pool:
        try:
            return list(pool.map(act, items))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _input_file(url: str, meta: Meta, root: str) -> InputFile:
    return InputFile(url[len(root) + 1 :], url, meta["size"], _version(meta))


def _version(meta: Meta) -> str:
    return str(meta["e_tag"] or meta["last_modified"].isoformat()).strip('"')
