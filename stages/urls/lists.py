"""Lists of hosts and URLs of millions of entries, as sorted 64-bit hashes.

They take 8 bytes an entry in each worker, beside the files themselves, of which the last 16 stay in memory.

A list of hosts has a host a line, as lists are published: `#` and `!` begin a comment, a line of a hosts file
(`0.0.0.0 host`) names the host, `.host`, `*.host` and `||host^` are the host, names outside ASCII are taken as IDNA.
A host is matched with all below it: `example.com` is `a.example.com` too, and not `badexample.com`.

A list of URLs has one a line, with or without its scheme, and is matched in the normal form of `stages.ingest.urls`, an
entry with all below it at `/` or `?`; an address without a path is that page alone.

Two of 10**10 addresses looked up among 5 million entries are taken for another with a probability below one in 100.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Final

import idna
import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from datapipe import ConfigError, Resource
from stages.buffers import utf8
from stages.ingest.urls import normal

Bytes = NDArray[np.uint8]
Hashes = NDArray[np.uint64]
_SEED: Final = np.uint64(0xCBF29CE484222325)
_PRIME: Final = np.uint64(0x100000001B3)
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\]")
_ADDRESSES = ("0.0.0.0", "127.0.0.1", "::", "::1", "255.255.255.255", "fe80::1%lo0", "ff00::0", "ff02::1", "ff02::2")
_OF_HOSTS_FILES = ("localhost", "localhost.localdomain", "local", "broadcasthost", "ip6-localhost", "ip6-loopback")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@functools.lru_cache(maxsize=64)
def hosts(file: Resource) -> Hashes:
    """Returns a list of hosts as their sorted hashes, uint64[entries].

    Raises:
        ConfigError: a line is no host.
    """
    content = file.read()
    places, numbers = _lines(content)
    plain = np.zeros(len(numbers), np.uint8)
    data = np.frombuffer(content, np.uint8)
    hashes = np.zeros(len(numbers), np.uint64)
    _hash_plain_hosts(data, places, plain, hashes)
    rest = np.flatnonzero(plain == 0)
    more = [_host_of(content[places[row] : places[row + 1]], file.path, int(numbers[row])) for row in rest.tolist()]
    known = hash_hosts(pa.array([host for host in more if host], pa.large_string()))
    return _sorted(np.concatenate([hashes[plain == 1], known]))


@functools.lru_cache(maxsize=64)
def urls(file: Resource) -> Hashes:
    """Returns a list of URLs as the sorted hashes of what they are compared by.

    Raises:
        ConfigError: a line is no URL.
    """
    return _sorted(hash_texts(pa.array(url_entries(file), pa.large_string())))


def url_entries(file: Resource) -> dict[str, str]:
    """Returns the entries of a list of URLs, by what they are compared by (`key_of`), as the file has them.

    Raises:
        ConfigError: a line is no URL.
    """
    return {_url_of(line, file.path, number): line for number, line in _text_lines(file)}


def host_entries(file: Resource) -> dict[str, str]:
    """Returns the entries of a list of hosts, in small letters of ASCII, as the file has them.

    Raises:
        ConfigError: a line is no host.
    """
    made = {}
    for number, line in enumerate(file.read().splitlines(), 1):
        if host := _host_of(line, file.path, number):
            made[host] = _text(line, file.path, number)
    return made


@functools.lru_cache(maxsize=64)
def patterns(file: Resource) -> tuple[re.Pattern[str], ...]:
    """Returns a list of regular expressions, one a line, that are searched for in an address.

    Raises:
        ConfigError: a line is none.
    """
    made = []
    for number, line in _text_lines(file):
        try:
            made.append(re.compile(line))
        except re.error as error:
            raise ConfigError(f"{file.path}:{number}: '{line}' is no regular expression: {error}") from error
    return tuple(made)


def _sorted(hashes: Hashes) -> Hashes:
    made = np.unique(hashes)
    made.flags.writeable = False
    return made


def _lines(content: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the borders of the lines, int64[lines + 1], and their numbers from 1 on."""
    ends = np.flatnonzero(np.frombuffer(content, np.uint8) == 10) + 1
    places = np.concatenate([[0], ends, [len(content)]]).astype(np.int64)
    return places, np.arange(1, len(places), dtype=np.int64)


def _text_lines(file: Resource) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(file.read().split(b"\n"), 1):
        text = _text(line, file.path, number)
        if text and not text.startswith("#"):
            yield number, text


def _text(line: bytes, path: str, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}:{number}: is not UTF-8 (byte {error.start} of the line)") from error


@njit(cache=True, nogil=True)
def _hash_plain_hosts(data: Bytes, places: NDArray[np.int64], plain: Bytes, hashes: Hashes) -> None:
    """Hashes the lines that are a host in small letters of ASCII and nothing else; `plain` says which are."""
    for row in range(len(places) - 1):
        end = places[row + 1]
        while end > places[row] and (data[end - 1] == 10 or data[end - 1] == 13):
            end -= 1
        start = places[row]
        good = end > start and end - start < 254 and data[start] > 46 and data[end - 1] > 46
        dotted = False
        key = _SEED
        for at in range(end - 1, start - 1, -1):
            byte = data[at]
            good &= 97 <= byte <= 122 or 48 <= byte <= 57 or byte == 45 or (byte == 46 and data[at - 1] > 46)
            dotted |= byte == 46
            key = (key ^ np.uint64(byte)) * _PRIME
        if good and dotted:
            plain[row] = 1
            hashes[row] = (key ^ (key >> np.uint64(29))) * _MIX


def _host_of(line: bytes, path: str, number: int) -> str:
    """Returns the host that a line names, '' where it names none."""
    text = re.split(r"[#!]", _text(line, path, number))[0].strip().lower()
    words = text.split()
    if len(words) > 1 and words[0] in _ADDRESSES:
        words = words[1:]
    if not words or words[0] in _OF_HOSTS_FILES or words[0] in _ADDRESSES:
        return ""
    host = words[0].removeprefix("||").removesuffix("^").removeprefix("*").strip(".")
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True, std3_rules=False).decode("ascii")
        except idna.IDNAError as error:
            raise ConfigError(f"{path}:{number}: '{host}' is no host: {error}") from error
    if len(words) > 1 or not _HOST.fullmatch(host):
        raise ConfigError(f"{path}:{number}: '{text}' is no host; a list of hosts has one a line, such as example.com")
    return host


def _url_of(line: str, path: str, number: int) -> str:
    text = line if _SCHEME.match(line) else f"http://{line}"
    address = key_of(text)
    if address is None or " " in line:
        raise ConfigError(f"{path}:{number}: '{line}' is no URL; give one a line, such as example.com/page")
    return address


def key_of(url: str | None) -> str | None:
    """Returns what an address is compared by: its normal form without scheme and last slash; None where it has none.

    >>> key_of("HTTPS://Example.com:443/a/../b/?utm_source=x"), key_of("http://example.com"), key_of("mailto:x")
    ('example.com/b', 'example.com/', None)
    """
    address = normal(url) if url else ""
    scheme, _, rest = address.partition("://")
    if scheme.lower() not in ("http", "https") or not rest:
        return None
    host, slash, path = rest.partition("/")
    return f"{host}/{path.rstrip('/')}" if slash else f"{host}/"


def hash_hosts(names: pa.Array) -> Hashes:
    """Returns the hash of each host (in small letters of ASCII), read from its end, uint64[names]."""
    data, offsets = utf8(names)
    hashes = np.zeros(len(names), np.uint64)
    _hash(data, offsets, True, hashes)
    return hashes


def hash_texts(texts: pa.Array) -> Hashes:
    """Returns the hash of each text, read from its begin, uint64[texts]."""
    data, offsets = utf8(texts)
    hashes = np.zeros(len(texts), np.uint64)
    _hash(data, offsets, False, hashes)
    return hashes


@njit(cache=True, nogil=True)
def _hash(data: Bytes, offsets: NDArray[np.int64], backwards: bool, hashes: Hashes) -> None:
    for row in range(len(offsets) - 1):
        start, end = offsets[row], offsets[row + 1]
        key = _SEED
        for place in range(end - start):
            byte = data[end - 1 - place] if backwards else data[start + place]
            key = (key ^ np.uint64(byte)) * _PRIME
        hashes[row] = (key ^ (key >> np.uint64(29))) * _MIX


def find_hosts(names: pa.Array, known: Hashes) -> NDArray[np.int64]:
    """Returns at which byte of each host the longest entry begins that it is, or lies below; -1 where there is none."""
    data, offsets = utf8(names)
    found = np.full(len(names), -1, np.int64)
    _find(data, offsets, known, True, found)
    return found


def find_urls(keys: pa.Array, known: Hashes) -> NDArray[np.int64]:
    """Returns at which byte of each address (`key_of`) the longest entry ends that it is, or lies below; or -1."""
    data, offsets = utf8(keys)
    found = np.full(len(keys), -1, np.int64)
    _find(data, offsets, known, False, found)
    return found


@njit(cache=True, nogil=True)
def _find(data: Bytes, offsets: NDArray[np.int64], known: Hashes, backwards: bool, found: NDArray[np.int64]) -> None:
    for row in range(len(offsets) - 1):
        start, length = offsets[row], offsets[row + 1] - offsets[row]
        key = _SEED
        slashes = 0
        for place in range(length):
            at = start + (length - 1 - place if backwards else place)
            byte = data[at]
            key = (key ^ np.uint64(byte)) * _PRIME
            slashes += byte == 47
            last = place == length - 1
            if backwards:
                border = last or data[at - 1] == 46
            else:  # below a page without a path nothing lies
                border = last or (slashes > 0 and byte != 47 and (data[at + 1] == 47 or data[at + 1] == 63))
            if border:
                wanted = (key ^ (key >> np.uint64(29))) * _MIX
                low, high = 0, len(known)
                while low < high:
                    middle = (low + high) // 2
                    if known[middle] < wanted:
                        low = middle + 1
                    else:
                        high = middle
                if low < len(known) and known[low] == wanted:
                    found[row] = length - 1 - place if backwards else place + 1
