"""Addresses of one page made one: the normal form of a URL, and the canonical one that a page names.

Normal form: scheme and host in lower case, the host as ASCII (punycode), without its last dot, user and password, port
where it is the scheme's own, and fragment; dot segments gone; percent-encoding with capitals, of no unreserved
character and of all that a path or query may not hold (as UTF-8); parameters that only say where a reader came from
gone, the others in their order. What is no http or https address stays as it is.

Source: RFC 3986, sections 5.2.4 and 6.2.2 to 6.2.3; WHATWG URL Standard for what browsers read leniently (white space
around, tabs and line ends within, backslashes); UTS 46 for host names; RFC 6596 for the canonical link relation.
"""

from __future__ import annotations

import functools
import re
from urllib.parse import urljoin

import idna

from stages.ingest.address import domain_of, host_of

URL_CHARACTERS = 8192  # longer addresses (data in disguise) are not looked into
# Parameters by which advertisers, mailers and statistics follow readers (as ClearURLs and browsers' lists name them);
# the last line is of Alibaba, Bilibili and Baidu.
TRACKING = frozenset(
    """
    gclid gclsrc dclid gbraid wbraid srsltid _ga _gl fbclid msclkid ttclid twclid li_fat_id yclid _openstat ysclid
    igshid igsh mc_cid mc_eid mkt_tok _hsenc _hsmi vero_id oly_anon_id oly_enc_id wickedid _branch_match_id s_cid
    spm vd_source share_source hmsr hmpl hmcu hmkw hmci
    """.split()
)
TRACKING_PREFIX = "utm_"
_NORMAL = re.compile(r"https?://[a-z0-9-]+(?:\.[a-z0-9-]+)*/[A-Za-z0-9_~!$&'()*+,;=:@/.-]*")
_PARTS = re.compile(r"(https?):[/\\]*([^/\\?#]*)([^?#]*)(?:\?([^#]*))?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:.*@)?(\[[0-9a-fA-F:.]+\]|[^:\[\]]*)(?::(\d{0,5}))?")
_AROUND = "".join(map(chr, range(33)))  # C0 controls and space
_WITHIN = re.compile(r"[\t\n\r]")
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})|%|[^A-Za-z0-9._~!$&'()*+,;=:@/?\[\]|-]")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PORTS = {"http": "80", "https": "443"}


def normal(url: str) -> str:
    """Returns the normal form of an address; that of a normal form is the same.

    >>> normal("HTTP://User@Bücher.Example:80/a/../%7Eb%e4?utm_source=x&q=字#top")
    'http://xn--bcher-kva.example/~b%E4?q=%E5%AD%97'
    """
    if _NORMAL.fullmatch(url) and "/." not in url:
        return url
    return _normal(url)


def _normal(url: str) -> str:
    url = _WITHIN.sub("", url.strip(_AROUND))
    parts = _PARTS.match(url) if len(url) <= URL_CHARACTERS else None
    if parts is None:
        return url
    authority = _AUTHORITY.fullmatch(parts[2])
    host = _host(authority[1]) if authority else ""
    if authority is None or not host:
        return url
    scheme = parts[1].lower()
    port = (authority[2] or "").lstrip("0")
    path = _without_dots(_encoded(parts[3].replace("\\", "/")))
    query = _query(parts[4] or "")
    return "".join(
        (scheme, "://", host, f":{port}" if port and port != _PORTS[scheme] else "", path, f"?{query}" if query else "")
    )


def _host(name: str) -> str:
    """Returns a host as ASCII, lower case; as it is where that is not possible, and '' where it is none."""
    name = name.lower().rstrip(".")
    if not name.isascii():
        name = _ascii(name)
    return "" if any(mark in name for mark in " %<>^|`{}\"\\'") else name


@functools.lru_cache(maxsize=4096)
def _ascii(name: str) -> str:
    try:
        return idna.encode(name, uts46=True, std3_rules=False).decode("ascii").rstrip(".")
    except idna.IDNAError:
        return name


def _encoded(text: str) -> str:
    """Returns a path or query with the percent-encoding that it needs and no other."""
    return _ENCODED.sub(_one, text)


def _one(match: re.Match[str]) -> str:
    digits = match[1]
    if digits:
        character = chr(int(digits, 16))
        return character if character in _UNRESERVED else f"%{digits.upper()}"
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "replace"))


def _without_dots(path: str) -> str:
    """Returns a path without the segments `.` and `..`, beginning with a slash.

    >>> _without_dots("/a/./b/../../c/.."), _without_dots("")
    ('/', '/')
    """
    if "/." not in path and path[:1] == "/":
        return path
    kept: list[str] = []
    segments = path.split("/")[1:] or [""]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _query(query: str) -> str:
    """Returns a query without tracking parameters and empty ones."""
    if not query:
        return ""
    return "&".join(_encoded(part) for part in query.split("&") if part and not _tracks(part))


def _tracks(part: str) -> bool:
    name = part.partition("=")[0].lower()
    return name in TRACKING or name.startswith(TRACKING_PREFIX)


def canonical(url: str | None, link: str | None, base: str | None) -> str | None:
    """Returns the normal form of the address that a page calls its canonical one, else of its own address `url`.

    `link` is the target of the page's `<link rel=canonical>`, relative to `base` (the page's `<base href>`) or to
    `url`. It counts where it lies on the registrable domain of `url`: a link elsewhere may be a mistake, or an attack.

    >>> canonical("https://m.example.com/a?x", "//www.example.com/a", None)
    'https://www.example.com/a'
    >>> canonical("https://m.example.com/a?x", "https://example.net/", None)
    'https://m.example.com/a?x'
    """
    own = normal(url) if url else None
    if not link or len(link) > URL_CHARACTERS:
        return own
    if not link.startswith(("http://", "https://")):
        try:
            link = urljoin(urljoin(own or "", base or ""), link)
        except ValueError:  # brackets that hold no IP address
            return own
    if not link.lower().startswith(("http://", "https://")):
        return own
    named = normal(link)
    if own is None or named == own:
        return named
    domain = domain_of(host_of(named))
    return named if domain is not None and domain == domain_of(host_of(own)) else own
