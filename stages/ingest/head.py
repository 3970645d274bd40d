"""What the head of a page says about the page: its canonical address, and tags `meta` that programs read.

A scan over the head's tags, not a parser: a tenth of a parser's time. Tags in comments and scripts are left out.

Source: WHATWG HTML Standard, sections 4.2.3 to 4.2.5 (base, link, meta).
"""

from __future__ import annotations

import html
import re
from typing import NamedTuple

from stages.ingest.robots import META_NAMES

HEAD_CHARACTERS = 1 << 18  # of the page, in which its head is looked for
TAG_CHARACTERS = 4096  # longer tags are none of these
_END = re.compile(r"</head|<body", re.IGNORECASE)
_TAG = re.compile(rf"<(?=[bBlLmM])(base|link|meta)[\s/]([^>]{{1,{TAG_CHARACTERS}}})>", re.IGNORECASE)
_NAME = re.compile(r"\b(?:name|http-equiv)\s*=\s*[\"']?\s*([\w.-]+)", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"([^\s=\"'/>]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
_HIDING = (("<!--", "-->"), ("<script", "</script"), ("<template", "</template"))


class Head(NamedTuple):
    """What was found. `metas` are (name, content), names in lower case, of those that `robots` reads."""

    canonical: str | None = None  # as written, references to characters undone
    base: str | None = None
    metas: tuple[tuple[str, str], ...] = ()


def head_of(page: str) -> Head:
    """Returns what the head of a page says; the first of several canonical links and bases counts.

    >>> head_of("<head><link rel='canonical' href=/a><meta name=Robots content=NoIndex></head>")
    Head(canonical='/a', base=None, metas=(('robots', 'NoIndex'),))
    """
    end = page.find("</head", 0, HEAD_CHARACTERS)
    if end < 0:
        found = _END.search(page, 0, HEAD_CHARACTERS)
        end = found.start() if found else HEAD_CHARACTERS
    canonical = base = None
    metas: list[tuple[str, str]] = []
    for match in _TAG.finditer(page, 0, end):
        tag, rest = match.groups()
        kind = tag[0]
        if kind in "mM":
            name = _NAME.search(rest)
            if name and name[1].lower() in META_NAMES and not _hidden(page, match.start()):
                metas.append((name[1].lower(), _attributes(rest).get("content", "")))
        elif kind in "lL":
            if canonical is None and "canonical" in rest.lower() and not _hidden(page, match.start()):
                held = _attributes(rest)
                if "canonical" in held.get("rel", "").lower().split():
                    canonical = held.get("href") or None
        elif base is None and not _hidden(page, match.start()):
            base = _attributes(rest).get("href") or None
    return Head(canonical, base, tuple(metas))


def _hidden(page: str, at: int) -> bool:
    """Says whether a tag lies in a comment, script or template."""
    for begin, end in _HIDING:
        opened = page.rfind(begin, 0, at)
        if opened >= 0 and page.find(end, opened + len(begin), at) < 0:
            return True
    return False


def _attributes(rest: str) -> dict[str, str]:
    """Returns the attributes of a tag, names in lower case, the first of each."""
    held: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(rest):
        held.setdefault(name.lower(), html.unescape(double or single or bare).strip())
    return held
