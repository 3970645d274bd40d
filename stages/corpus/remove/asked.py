"""What a takedown asks for: lists of URLs, hosts and document ids, and which rows of a table they name.

A list has an entry a line; one that begins with `#` is a comment. URLs are compared as the step `urls` does, in the
normal form of `stages.ingest.urls` without scheme and last slash, with `url` and with `canonical_url`: a listed page is
that page alone (with `below`, all below it at `/` or `?` too, as that step's lists are read). A host, of either column,
is itself and all below it: a page that calls one of it canonical has its text. An id is the 32 hex digits of the index.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ConfigError, Resource, resource
from stages.ingest.address import host_of
from stages.urls import lists

ADDRESSES: Final = ("url", "canonical_url")
_ID: Final = re.compile(r"[0-9a-f]{32}")
# An address whose host is as its normal form has it but for the case: all others are normalized one by one.
_PLAIN: Final = r"(?i)^https?://(?:[^/?#@\s\\]*@)?(?P<host>[a-zA-Z0-9._-]+)(?::[0-9]*)?(?:[/?#]|$)"

Entry = tuple[str, str]  # kind (urls, hosts, ids), and what it is compared by
Facts = dict[str, Any]  # Any: JSON


@dataclass
class Met:
    """Rows of a table that are asked for, each with the entries that name it, and those below a listed page."""

    rows: dict[int, set[Entry]] = field(default_factory=dict)
    below: set[int] = field(default_factory=set)

    def add(self, row: int, *entries: Entry) -> None:
        """Says that entries name a row."""
        self.rows.setdefault(row, set()).update(entries)


@dataclass(frozen=True)
class Asked:
    """The entries of all lists, by kind, each by what it is compared by, as its list has it."""

    entries: Mapping[str, Mapping[str, str]]
    files: Mapping[str, Facts] = field(default_factory=dict)
    below: bool = False

    def match(self, ids: pa.Array | None, addresses: Sequence[pa.Array]) -> Met:
        """Returns the rows that are asked for.

        `ids` are hex strings, `addresses` columns of strings; of each every row has a value or null.
        """
        met = Met()
        if ids is not None and self.entries["ids"]:
            for row in np.flatnonzero(pc.is_in(ids, pa.array(self.entries["ids"], pa.string()))).tolist():
                met.add(row, ("ids", ids[row].as_py()))
        for number, column in enumerate(addresses if self.entries["hosts"] or self.entries["urls"] else ()):
            # A page mostly calls itself canonical: what was looked at as `url` is not looked at again.
            new = pc.fill_null(pc.not_equal(column, addresses[0]), True) if number else pc.is_valid(column)
            rows = np.flatnonzero(new)
            own = column.take(pa.array(rows))
            hosts = hosts_of(own)
            for row, key in self._hosts_met(hosts):
                met.add(int(rows[row]), ("hosts", key))
            for row, key, exact in self._pages_met(own, hosts):
                if exact or self.below:
                    met.add(int(rows[row]), ("urls", key))
                else:
                    met.below.add(int(rows[row]))
        return met

    def _hosts_met(self, hosts: pa.Array) -> Iterator[tuple[int, str]]:
        wanted = self.entries["hosts"]
        if not wanted:
            return
        hashes = np.sort(lists.hash_hosts(pa.array(wanted, pa.large_string())))
        for row in np.flatnonzero(lists.find_hosts(hosts, hashes) >= 0).tolist():
            host = hosts[row].as_py() or ""
            labels = host.split(".")
            for start in range(len(labels)):
                if (name := ".".join(labels[start:])) in wanted:
                    yield row, name

    def _pages_met(self, address: pa.Array, hosts: pa.Array) -> Iterator[tuple[int, str, bool]]:
        """Yields the rows that are a listed page or lie below one, that page, and whether they are it."""
        wanted = self.entries["urls"]
        if not wanted:
            return
        names = {host_of(f"http://{key}") for key in wanted}
        for row in np.flatnonzero(pc.is_in(hosts, pa.array(sorted(filter(None, names)), hosts.type))).tolist():
            key = lists.key_of(address[row].as_py()) or ""
            for name in _above(key):
                if name in wanted:
                    yield row, name, name == key


def _above(key: str) -> Iterator[str]:
    """Yields an address and those that it lies below.

    >>> list(_above("a.example/b/c?d")), list(_above("a.example/"))
    (['a.example/b/c?d', 'a.example/b/c', 'a.example/b'], ['a.example/'])
    """
    yield key
    for at in range(len(key) - 1, key.find("/"), -1):
        if key[at] in "/?" and key[at - 1] != "/":
            yield key[:at]


def hosts_of(addresses: pa.Array) -> pa.Array:
    """Returns the host of each address in its normal form, without a port: a large_string, null where there is none.

    >>> hosts_of(pa.array(["HTTP://User@News.Example.com.:80/a", "http://bücher.example", "none", None])).to_pylist()
    ['news.example.com', 'xn--bcher-kva.example', None, None]
    """
    addresses = addresses.combine_chunks() if isinstance(addresses, pa.ChunkedArray) else addresses
    found = pc.struct_field(pc.extract_regex(addresses, _PLAIN), 0)
    hosts = pc.ascii_rtrim(pc.ascii_lower(found), ".").cast(pa.large_string())
    rest = np.flatnonzero(np.asarray(pc.and_(pc.is_null(hosts), pc.is_valid(addresses))))
    if not len(rest):
        return hosts
    mask = np.zeros(len(addresses), bool)
    mask[rest] = True
    slow = [plain_host(addresses[row].as_py()) for row in rest.tolist()]
    return pc.replace_with_mask(hosts, pa.array(mask), pa.array(slow, pa.large_string()))


def plain_host(address: str) -> str | None:
    """The readable twin of `hosts_of` for one address."""
    key = lists.key_of(address)
    return host_of(f"http://{key}") if key else None


def read_lists(urls: str | None, hosts: str | None, ids: str | None, *, below: bool = False) -> Asked:
    """Returns what the files at these paths ask for.

    Raises:
        ConfigError: a file cannot be read, holds no entry, or a line is no URL, host or id.
    """
    readers = (("urls", urls, lists.url_entries), ("hosts", hosts, lists.host_entries), ("ids", ids, _id_entries))
    entries: dict[str, dict[str, str]] = {"urls": {}, "hosts": {}, "ids": {}}
    files: dict[str, Facts] = {}
    for kind, path, read in readers:
        if path is not None:
            file = resource(path)
            entries[kind] = read(file)
            files[kind] = {"sha256": file.sha256, "entries": len(entries[kind])}
            if not entries[kind]:
                raise ConfigError(f"--{kind} {path}: holds no entry; give one a line")
    return Asked(entries, files, below)


def _id_entries(file: Resource) -> dict[str, str]:
    made = {}
    for number, line in enumerate(file.read().decode("utf-8-sig", "replace").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if text and not _ID.fullmatch(text.lower()):
            raise ConfigError(f"{file.path}:{number}: '{text}' is no document id; one has 32 hex digits (`doc_id`)")
        if text:
            made[text.lower()] = text
    return made
