"""Where and when a document was fetched: host, registrable domain, and time."""

from __future__ import annotations

import functools
import math
import re
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
from publicsuffixlist import PSLFILE, PublicSuffixList

_HOST = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/?#@]*@)?(\[[0-9a-fA-F:.]+\]|[^/?#:\s]+)")
_NUMERIC = re.compile(r"[0-9.]+|\[.*\]")
_LABEL = "[a-z0-9_-]+"
_PLAIN = rf"^(?:(?:{_LABEL}\.)*(?P<left>{_LABEL})\.)?(?P<two>{_LABEL}\.(?P<last>[a-z0-9_-]*[a-z_-][a-z0-9_-]*))$"
_EARLIEST, _LATEST = -62_135_596_800, 253_402_300_799  # first second of the year 1, last of 9999


def host_of(url: str | None) -> str | None:
    """Returns the host of an address in lower case, None where it has none.

    >>> host_of("https://user@News.Example.com.:8080/a?b")
    'news.example.com'
    """
    match = _HOST.match(url) if url else None
    return (match[1].lower().rstrip(".") or None) if match else None


@functools.lru_cache(maxsize=1 << 16)
def domain_of(host: str | None) -> str | None:
    """Returns the registrable domain of a host by the Public Suffix List; the host itself where it is an IP address.

    >>> domain_of("a.b.example.co.uk"), domain_of("co.uk")
    ('example.co.uk', None)
    """
    if not host or _NUMERIC.fullmatch(host):
        return host
    return _suffixes().privatesuffix(host)


def domains_of(hosts: pa.Array) -> pa.Array:
    """Returns `domain_of` each of many hosts, strings: one by one only where rules of three labels or more may say.

    Of any other host of plain letters the registrable domain is its last two labels, or three if two are a suffix.
    """
    found = pc.extract_regex(hosts, pattern=_PLAIN)
    left, two, last = (pc.struct_field(found, [place]) for place in range(3))
    suffixes, threes, wild = _rules()
    is_suffix = pc.is_in(two, suffixes)
    three = pc.binary_join_element_wise(left, two, ".")
    asked = [pc.is_null(two), pc.is_in(three, threes), pc.is_in(two, wild), pc.is_in(last, wild)]
    asked += [pc.and_(is_suffix, pc.equal(left, "")), pc.match_substring(hosts, "xn--")]
    rest = functools.reduce(pc.or_, [pc.fill_null(one, True) for one in asked])
    domains = [domain_of(host) for host in hosts.filter(rest).to_pylist()]
    return pc.replace_with_mask(pc.if_else(is_suffix, three, two), rest, pa.array(domains, pa.string()))


@functools.lru_cache(maxsize=1)
def _rules() -> tuple[pa.Array, pa.Array, pa.Array]:
    """Returns rules of two labels, the last three labels of longer ones, and what `*` stands before, of up to two."""
    with open(PSLFILE, encoding="utf-8") as file:
        rules = [line.split()[0].lstrip("!").split(".") for line in file if line.strip() and not line.startswith("//")]
    suffixes = {".".join(labels) for labels in rules if len(labels) == 2 and labels[0] != "*"}
    threes = {".".join(labels[-3:]) for labels in rules if len(labels) > 2 and labels[-3] != "*"}
    wild = {".".join(labels[1:]) for labels in rules if labels[0] == "*" and len(labels) < 4}
    return tuple(pa.array(sorted(one), pa.string()) for one in (suffixes, threes, wild))


@functools.lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def epoch_seconds(stated: object) -> int | None:
    """Returns a time as seconds since 1970 UTC, from ISO 8601 text or a number (of milliseconds if it is that large).

    A time without a zone is taken as UTC; what cannot be read, or lies outside the years 1 to 9999, is None.

    >>> epoch_seconds("2024-01-02T03:04:05.678Z"), epoch_seconds("2024-01-02"), epoch_seconds("5088968-11-06T12:31:23Z")
    (1704164645, 1704153600, None)
    """
    if isinstance(stated, bool) or stated is None:
        return None
    if isinstance(stated, int | float):
        seconds = stated / 1000 if abs(stated) > 100_000_000_000 else stated
        return in_years(int(seconds)) if math.isfinite(seconds) else None
    try:
        time = datetime.fromisoformat(str(stated).strip())
    except ValueError:
        return None
    return in_years(int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()))


def in_years(seconds: int | None) -> int | None:
    """Returns seconds since 1970 if they lie in the years 1 to 9999, which ISO 8601 as we write it can hold."""
    return seconds if seconds is not None and _EARLIEST <= seconds <= _LATEST else None


@functools.lru_cache(maxsize=4096)
def iso_date(seconds: int | None) -> str | None:
    """Returns seconds since 1970 as ISO 8601.

    >>> iso_date(1704164645)
    '2024-01-02T03:04:05Z'
    """
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
