"""The step `urls`: documents of hosts and URLs on lists, or with such words in their address, are dropped."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ConfigDict

from datapipe import ConfigError, Dataset, Resource, Stage, Work, resource
from stages.ingest.address import host_of
from stages.urls import lists
from stages.urls.words import SHIPPED, words


@dataclass(frozen=True, kw_only=True)
class Lists:
    """Files of hosts, URLs and patterns (regular expressions)."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    hosts: Annotated[tuple[str, ...], "files with a host a line, or hosts files; what is below a host is it too"] = ()
    urls: Annotated[tuple[str, ...], "files with a URL a line; what is below its path is it too"] = ()
    patterns: Annotated[tuple[str, ...], "files with a regular expression a line, searched for in the URL"] = ()


@dataclass(frozen=True, kw_only=True)
class Allow(Lists):
    """What stays whatever else says."""

    only: Annotated[bool, "drop every document whose address is not on these lists"] = False


@dataclass(frozen=True, kw_only=True)
class Urls(Stage):
    """Drops documents by their address: lists of hosts and URLs, patterns, and words."""

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("idna",)

    block: Annotated[Lists, "what is dropped"] = field(default_factory=Lists)
    allow: Annotated[Allow, "what stays, though it is blocked or has such words"] = field(default_factory=Allow)
    words: Annotated[
        str | None, "a YAML file of strict, hard and soft words of addresses, or 'ours': a small one; null: none"
    ] = None

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents that may stay. One without an address stays; `no_url` counts them."""
        block, allow = _resources(self.block), _resources(self.allow)
        if self.allow.only and not any((allow.hosts, allow.urls, allow.patterns)):
            raise ConfigError("urls: allow: only: there is no list of what is allowed, so all would be dropped")
        for held in (block, allow):
            held.load()
        file = resource(str(SHIPPED) if self.words == "ours" else self.words) if self.words else None
        if file:
            words(file)
        return inputs[0].map(Filter(block, allow, self.allow.only, file), reads=("id", "url"))


@dataclass(frozen=True)
class Held:
    """The files of lists, each known by its content."""

    hosts: tuple[Resource, ...]
    urls: tuple[Resource, ...]
    patterns: tuple[Resource, ...]

    def load(self) -> None:
        """Reads all lists into memory. Raises ConfigError where an entry is wrong."""
        for files, read in ((self.hosts, lists.hosts), (self.urls, lists.urls), (self.patterns, lists.patterns)):
            for file in files:
                read(file)


def _resources(given: Lists) -> Held:
    kinds = (given.hosts, given.urls, given.patterns)
    return Held(*(tuple(resource(path) for path in paths) for paths in kinds))


@dataclass(frozen=True)
class Filter:
    """Drops the documents whose address is blocked and not allowed."""

    block: Held
    allow: Held
    only: bool
    words: Resource | None

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            addresses = _Addresses(batch)
            work.count("no_url", sum(key is None for key in addresses.keys))
            allowed = addresses.met("allow", self.allow)
            blocked = addresses.met("block", self.block, skip=allowed.keys())
            if self.words:
                addresses.add_words(self.words, blocked, skip=allowed.keys())
            if self.only:
                for row, key in enumerate(addresses.keys):
                    if key is not None and row not in allowed:
                        blocked.setdefault(row, ("not_allowed", key))
            yield _dropped(batch, work, blocked)


Reasons = dict[int, tuple[str, str]]  # by row: rule, and which entry of which list


class _Addresses:
    """The addresses of a batch: `url`, and `canonical_url` where there is that column."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.urls = batch.column("url").to_pylist()
        self.keys = [lists.key_of(url) for url in self.urls]
        self.hosts = pa.array([_host(key) for key in self.keys], pa.large_string())
        place = batch.schema.get_field_index("canonical_url")
        self.columns = [pa.array(self.keys, pa.large_string())]
        if place >= 0:
            named = [lists.key_of(name) for name in batch.column(place).to_pylist()]
            self.columns.append(pa.array(named, pa.large_string()))

    def met(self, side: str, held: Held, skip: Container[int] = ()) -> Reasons:
        """Returns which rows are on the lists of `block` or `allow`, the hosts' before the URLs'.

        A list is called by its place in the config: where the file lies changes no row.
        """
        reasons: Reasons = {}
        for number, file in enumerate(held.hosts):
            found = lists.find_hosts(self.hosts, lists.hosts(file))
            _add(reasons, "blocked_host", f"{side}.hosts[{number}]", self.hosts, found, lambda name, at: name[at:])
        for number, file in enumerate(held.urls):
            for keys in self.columns:
                found = lists.find_urls(keys, lists.urls(file))
                _add(reasons, "blocked_url", f"{side}.urls[{number}]", keys, found, lambda name, at: name[:at])
        for number, file in enumerate(held.patterns):
            for row, url in enumerate(self.urls):
                match = next((one for one in lists.patterns(file) if url and one.search(url)), None)
                if match:
                    reasons.setdefault(row, ("blocked_url", f"{match.pattern} in {side}.patterns[{number}]"))
        return {row: reason for row, reason in reasons.items() if row not in skip}

    def add_words(self, file: Resource, reasons: Reasons, skip: Container[int]) -> None:
        """Adds the rows in whose address there are words to drop it by."""
        held = words(file)
        for row, url in enumerate(self.urls):
            if url and row not in reasons and row not in skip:
                met = held.met(url)
                if met:
                    reasons[row] = ("url_words", f"{met[0]} in words")


def _add(
    reasons: Reasons,
    rule: str,
    where: str,
    names: pa.Array,
    found: NDArray[np.int64],
    entry: Callable[[str, int], str],
) -> None:
    """Adds the rows for which `found` is a place in their name, and the entry that it tells of."""
    for row in np.flatnonzero(found >= 0).tolist():
        name = names[row].as_py()
        if name:
            reasons.setdefault(row, (rule, f"{entry(name, int(found[row]))} in {where}"))


def _host(key: str | None) -> str | None:
    """Returns the host of an address, without its port."""
    return host_of(f"http://{key}") if key else None


def _dropped(batch: pa.RecordBatch, work: Work, reasons: Reasons) -> pa.RecordBatch:
    if not reasons:
        return batch
    held = [reasons.get(row, (None, None)) for row in range(batch.num_rows)]
    mask = np.array([rule is not None for rule, _ in held], bool)
    rules, notes = zip(*held, strict=True)
    return work.drop(batch, mask, rule=pa.array(rules, pa.string()), note=pa.array(notes, pa.string()))
