"""What the head of a page says about the page: its canonical address, and the tags `meta` that programs read.

A scan over the head's tags, not a parser: a tenth of a parser's time. Tags in comments and scripts are left out.

Source: WHATWG HTML Standard, sections 4.2.3 to 4.2.5 (base, link, meta).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

from stages.ingest.metadata import FACTS
from stages.ingest.robots import META_NAMES

HEAD_CHARACTERS = 1 << 18  # of the page, in which its head is looked for
TAG_CHARACTERS = 4096  # longer tags are none of these
_END = re.compile(r"</head|<body", re.IGNORECASE)
# Each looks at a character a bounded number of times, whatever the page holds.
_TAG = re.compile(r"<(?=[bBlLmM])(base|link|meta)[\s/]", re.IGNORECASE)
_NAME = re.compile(
    r"\b(?:name|http-equiv|property|itemprop)\s*+=\s*+[\"']?\s*+([\w.:-]++(?:\s++[\w.:-]++)*+)", re.IGNORECASE
)
_ATTRIBUTE = re.compile(r"(?<![^\s=\"'/>])([^\s=\"'/>]++)\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'>]++))")
_HIDING = (("<!--", "-->"), ("<script", "</script"), ("<template", "</template"))


class Head(NamedTuple):
    """What was found. `metas` are (name, content), names in lower case, of those that `robots` reads."""

    canonical: str | None = None  # as written, references to characters undone
    base: str | None = None
    metas: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()  # (name, content) of those that `metadata` reads, empty contents left out


def head_of(page: str) -> Head:
    """Returns what the head of a page says; the first of several canonical links and bases counts.

    >>> head_of("<head><link rel='canonical' href=/a><meta name=Robots content=NoIndex></head>")
    Head(canonical='/a', base=None, metas=(('robots', 'NoIndex'),), facts=())
    """
    end = page.find("</head", 0, HEAD_CHARACTERS)
    if end < 0:
        found = _END.search(page, 0, HEAD_CHARACTERS)
        end = found.start() if found else HEAD_CHARACTERS
    canonical = base = None
    metas: list[tuple[str, str]] = []
    facts: list[tuple[str, str]] = []
    hidden = _Hidden(page)
    for at, kind, rest in _tags(page, end):
        if kind in "mM":
            name = _NAME.search(rest)
            if name is None:
                continue
            for one in name[1].lower().split():  # a property may have several names
                known = metas if one in META_NAMES else facts if one in FACTS else None
                if known is not None and not hidden.at(at):
                    known.append((one, _attributes(rest).get("content", "")))
        elif kind in "lL":
            if canonical is None and "canonical" in rest.lower() and not hidden.at(at):
                held = _attributes(rest)
                if "canonical" in held.get("rel", "").lower().split():
                    canonical = held.get("href") or None
        elif base is None and not hidden.at(at):
            base = _attributes(rest).get("href") or None
    return Head(canonical, base, tuple(metas), tuple(fact for fact in facts if fact[1]))


def _tags(page: str, end: int) -> Iterator[tuple[int, str, str]]:
    """Yields the tags that begin and end before `end`: place, first letter, and what follows the name."""
    match, close = _TAG.search(page, 0, end), 0
    while match:
        if close <= match.end():  # a tag holds one character or more
            close = page.find(">", match.end() + 1, end)
            if close < 0:
                return
        if close - match.end() <= TAG_CHARACTERS and page[match.end()] != ">":
            yield match.start(), match[1][0], page[match.end() : close]
            match = _TAG.search(page, close, end)
        else:
            match = _TAG.search(page, match.end(), end)


class _Hidden:
    """Says whether places of a page, asked for in order, lie in a comment, script or template; looks at it once."""

    def __init__(self, page: str) -> None:
        self.page = page
        self.seen = 0
        self.opened = [-1] * len(_HIDING)  # where each began last, -1 where it is closed

    def at(self, place: int) -> bool:
        for kind, (begin, end) in enumerate(_HIDING):
            opened = self.page.rfind(begin, max(0, self.seen - len(begin) + 1), place)
            if opened >= 0:
                self.opened[kind] = opened
            if self.opened[kind] >= 0:
                behind = max(self.opened[kind] + len(begin), self.seen - len(end) + 1)
                if self.page.find(end, behind, place) >= 0:
                    self.opened[kind] = -1
        self.seen = place
        return max(self.opened) >= 0


def _attributes(rest: str) -> dict[str, str]:
    """Returns the attributes of a tag, names in lower case, the first of each."""
    held: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(rest):
        held.setdefault(name.lower(), html.unescape(double or single or bare).strip())
    return held
