"""The scanner and the sums once more, written to be read: by regular expressions and lists."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from stages.ingest.main_text.attributes import SLUG_HYPHENS
from stages.ingest.main_text.names import (
    ATTRIBUTE_SEED,
    ATTRIBUTES,
    BLOCK,
    ELEMENT_SEED,
    GONE,
    HEADLIKE,
    IDS,
    KINDS,
    OTHER,
    PROPERTY_SEED,
    RAW,
    ROLE_SEED,
    SCOPE,
    STYLE_SEED,
    TEXT,
    VOID,
    WORD_SEED,
)
from stages.ingest.main_text.scan import DEPTH_LIMIT
from stages.ingest.main_text.words import AWAY, BROKEN, CONTENT, ENTRIES, LINK, NOT, SPACED, UNSEEN

_SPACE = rb"[ \t\n\r\f]"
_MARKUP = re.compile(rb"<(?=[A-Za-z!?]|/.)", re.DOTALL)
_BETWEEN = re.compile(rb"[ \t\n\r\f/]*")
_ATTRIBUTE = re.compile(
    rb"(?P<name>[^ \t\n\r\f/>][^ \t\n\r\f/>=]*)[ \t\n\r\f]*"
    rb"(?:=[ \t\n\r\f]*(?:\"(?P<double>[^\"]*)(?:\"|\Z)|'(?P<single>[^']*)(?:'|\Z)|(?P<bare>[^ \t\n\r\f>]*)))?"
)
_MARK = re.compile(rb"[,.!?;:](?=[ \t\n\r\f<\x80-\xff]|\Z)|\xe3\x80[\x81\x82]|\xef\xbc[\x8c\x81\x9a-\x9f]")
_REFERENCE = re.compile(rb"&[^\x00-\x22<;]{0,8};")
_WORD = re.compile(rb"[A-Z]+[a-z]*|[a-z]+")
_HEADINGS = [IDS[f"h{level}"] for level in range(1, 7)]
_TABLE_PARTS = [IDS[name] for name in "tr td th thead tbody tfoot caption".split()]


@dataclass
class Node:
    """An element or a run of text, as a row of the tree."""

    tag: int
    parent: int
    flags: int
    start: int
    end: int
    weight: int = 0
    marks: int = 0
    last: int = 0

    def row(self) -> tuple[int, ...]:
        """Returns the columns TAG to MARKS."""
        return self.tag, self.parent, self.last, self.flags, self.start, self.end, self.weight, self.marks


def scan_plainly(page: bytes) -> list[tuple[int, ...]]:
    """Returns the nodes of a page as rows of the tree, columns TAG to MARKS.

    >>> [row[0] == IDS["p"] for row in scan_plainly(b"<p>a<p>b")]
    [False, True, False, True, False]
    """
    return [node.row() for node in _Builder(page).build()]


class _Builder:
    """What is open while a page is read."""

    def __init__(self, page: bytes) -> None:
        self.page = page
        self.nodes = [Node(OTHER, -1, 0, 0, 0)]
        self.stack = [0]
        self.space = 0

    def build(self) -> list[Node]:
        at = 0
        while at < len(self.page):
            if not _MARKUP.match(self.page, at):
                found = _MARKUP.search(self.page, at)
                stop = found.start() if found else len(self.page)
                self.text(at, stop)
                at = stop
            else:
                at = self.markup(at)
        self.close(0)
        return self.nodes

    def names(self) -> list[int]:
        """Returns the tags of what is open, the root left out."""
        return [self.nodes[node].tag for node in self.stack[1:]]

    def text(self, start: int, stop: int) -> None:
        run = self.page[start:stop]
        if not run.strip(b" \t\n\r\f") and IDS["pre"] not in self.names():
            self.space |= SPACED | (BROKEN if b"\n" in run else 0)
            return
        weight, marks = measure_plainly(run, self.page[stop : stop + 1])
        if self.nodes[self.stack[-1]].tag == IDS["head"] and weight > 0:
            self.close(len(self.stack) - 1)
        self.add(Node(TEXT, self.stack[-1], self.space, start, stop, weight, marks))

    def add(self, node: Node) -> None:
        node.last = len(self.nodes) + 1
        self.nodes.append(node)
        self.space = 0

    def close(self, level: int) -> None:
        """Ends what is open from `level` on."""
        for node in self.stack[level:]:
            self.nodes[node].last = len(self.nodes)
        del self.stack[level:]

    def markup(self, at: int) -> int:
        """Takes the tag or comment at `at`, and returns where it ends."""
        ends = self.page[at + 1 : at + 2] == b"/"
        begin = at + 2 if ends else at + 1
        name = re.compile(rb"[A-Za-z][^ \t\n\r\f/>]*").match(self.page, begin)
        if name is None:
            return _comment_end(self.page, at + 1)
        tag = ENTRIES.get((ELEMENT_SEED, _text(name[0])), OTHER)
        flags, at = _attributes(self.page, name.end())
        if ends and tag != IDS["br"]:
            self.end(tag)
            return at
        return self.begin(tag, flags, at)

    def begin(self, tag: int, flags: int, at: int) -> int:
        """Takes a start tag that ends at `at`, and returns where what it begins goes on."""
        kind = int(KINDS[tag])
        foreign = {IDS["svg"], IDS["math"]} & set(self.names())
        itself = bool(foreign) and self.page[at - 2 : at] == b"/>"
        if kind & RAW:
            return at if itself else _raw_end(self.page, at, tag)
        if tag == IDS["html"] or (kind & VOID and tag not in (IDS["br"], IDS["hr"], IDS["input"])):
            return at
        if (tag == IDS["body"] and tag in self.names()) or (tag == IDS["head"] and len(self.stack) > 1):
            return at
        self.close(self.implied(tag))
        if tag == IDS["a"] and tag in self.names():
            self.unlink()
        flags = (flags if tag == IDS["a"] else flags & ~LINK) | self.space
        if tag == IDS["body"]:
            flags = 0
        if len(self.stack) == DEPTH_LIMIT:
            self.close(len(self.stack) - 1)
        self.add(Node(tag, self.stack[-1], flags, at, at))
        if not kind & VOID and not itself:
            self.stack.append(len(self.nodes) - 1)
        return at

    def level(self, tags: list[int], stop: list[int] | int) -> int:
        """Returns the innermost level of one of `tags`, 0 where there is none before an element of `stop`."""
        for level in range(len(self.stack) - 1, 0, -1):
            tag = self.nodes[self.stack[level]].tag
            if tag in tags:
                return level
            if isinstance(stop, list):
                if tag in stop:
                    return 0
            elif int(KINDS[tag]) & stop and not (stop == BLOCK and tag == IDS["p"]):
                return 0
        return 0

    def implied(self, tag: int) -> int:
        """Returns to which level the elements end that a start tag ends."""
        top = self.nodes[self.stack[-1]].tag
        ids = {name: [IDS[name]] for name in ("li", "tr", "table", "button", "a", "p")}
        if top == IDS["head"] and not int(KINDS[tag]) & HEADLIKE:
            return len(self.stack) - 1
        level = 0
        items = [tag for tag in range(len(KINDS)) if int(KINDS[tag]) & (BLOCK | SCOPE) and tag not in _NO_LIST]
        if tag == IDS["li"]:
            level = self.level(ids["li"], items)
        elif tag in (IDS["dt"], IDS["dd"]):
            level = self.level([IDS["dt"], IDS["dd"]], items)
        elif tag in (IDS["td"], IDS["th"]):
            level = self.level([IDS["td"], IDS["th"]], ids["tr"] + ids["table"])
        elif tag == IDS["tr"]:
            level = self.level(ids["tr"], ids["table"])
        elif tag in _ROW_GROUPS:
            level = self.level(_ROW_GROUPS, ids["table"])
        elif (tag in (IDS["option"], IDS["optgroup"]) and top == IDS["option"]) or (
            tag in _HEADINGS and top in _HEADINGS
        ):
            level = len(self.stack) - 1
        elif tag in (IDS["button"], IDS["a"]):
            level = self.level([tag], BLOCK)
        if level == 0 and int(KINDS[tag]) & BLOCK:
            level = self.level(ids["p"], SCOPE)
        return level or len(self.stack)

    def end(self, tag: int) -> None:
        """Takes an end tag."""
        if tag in (IDS["html"], IDS["body"]):
            return
        if tag == IDS["table"] or tag in _TABLE_PARTS:
            level = self.level([tag], [IDS["table"]])
        elif tag in _HEADINGS:
            level = self.level(_HEADINGS, SCOPE)
        else:
            level = self.level([tag], SCOPE if int(KINDS[tag]) & (BLOCK | GONE) else BLOCK)
            if level == 0 and tag == IDS["a"]:
                self.unlink()
        self.close(level or len(self.stack))

    def unlink(self) -> None:
        for node in reversed(self.stack[1:]):
            if self.nodes[node].tag == IDS["a"]:
                self.nodes[node].flags &= ~LINK
                return


_ROW_GROUPS = [IDS["thead"], IDS["tbody"], IDS["tfoot"]]
_NO_LIST = (IDS["p"], IDS["div"])


def measure_plainly(run: bytes, after: bytes) -> tuple[int, int]:
    """Returns the weight of a run of text and its commas and ends of sentences; `after` is the byte behind it.

    >>> measure_plainly("一, b &amp; 。".encode(), b"")
    (6, 2)
    """
    weight = marks = at = 0
    while at < len(run):
        if reference := _REFERENCE.match(run, at):
            at = reference.end()
            continue
        byte = run[at]
        if 33 <= byte < 127 and byte != 38:
            weight += 1
        elif byte >= 0xC3:
            weight += 1 if byte < 0xE1 else 2 if byte < 0xF5 else 0
        if run[at : at + 3] == "\u3000".encode():
            weight -= 2
        marks += _MARK.match(run + after, at) is not None
        at += 1
    return weight, marks


class Sums(NamedTuple):
    """What `weigh` sums over an element: all its text, and what of it is in no block within."""

    weight: int
    marks: int
    links: int
    own: int
    own_marks: int
    own_links: int


def sums_plainly(rows: list[tuple[int, ...]], dropping: int) -> dict[int, Sums]:
    """Returns the sums of each element that is not dropped; `rows` are those of `scan_plainly`.

    >>> rows = scan_plainly(b"<div>ab<p>cde<a href=x>f</a></div>")
    >>> [tuple(sums) for sums in sums_plainly(rows, 0).values()][1:3]
    [(6, 0, 1, 2, 0, 0), (4, 0, 1, 4, 0, 1)]
    """
    held: dict[int, list[tuple[int, int, int, bool]]] = {}
    dropped, linked, block = [False] * len(rows), [False] * len(rows), [0] * len(rows)
    for number, (tag, parent, _, flags, _, _, weight, marks) in enumerate(rows):
        above = max(parent, 0)
        dropped[number] = number > 0 and (dropped[above] or bool(flags & dropping))
        linked[number] = linked[above] or (tag == IDS["a"] and bool(flags & LINK))
        block[number] = number if tag != TEXT and int(KINDS[tag]) & BLOCK else block[above]
        if dropped[number]:
            continue
        if tag != TEXT:
            held[number] = []
            continue
        node = parent
        while node >= 0:
            held[node].append((weight, marks, weight * linked[number], block[number] == node))
            node = rows[node][1]
    return {
        node: Sums(
            *(sum(text[column] for text in texts) for column in range(3)),
            *(sum(text[column] for text in texts if text[3]) for column in range(3)),
        )
        for node, texts in held.items()
    }


def _text(name: bytes) -> str:
    return name.lower().decode("latin-1") if name.isascii() else ""


def _comment_end(page: bytes, at: int) -> int:
    """Returns where the comment, declaration or instruction ends of which `at` is the byte behind `<`."""
    if page[at : at + 3] != b"!--":
        close = page.find(b">", at + 1)
        return close + 1 if close >= 0 else len(page)
    for end in re.finditer(b">", page[at + 2 :]):
        place = at + 2 + end.start()
        if page[place - 2 : place] == b"--" or (place > at + 5 and page[place - 3 : place] == b"--!"):
            return place + 1
    return len(page)


def _raw_end(page: bytes, at: int, tag: int) -> int:
    for end in re.compile(rb"</([A-Za-z]+)").finditer(page, at):
        if ENTRIES.get((ELEMENT_SEED, _text(end[1]))) == tag:
            return end.start()
    return len(page)


def _attributes(page: bytes, at: int) -> tuple[int, int]:
    """Returns what the attributes of a tag say, and where the tag ends."""
    flags = 0
    while at < len(page):
        at = _BETWEEN.match(page, at).end()  # type: ignore[union-attr]  # it matches nothing, too
        if page[at : at + 1] == b">":
            return flags, at + 1
        if attribute := _ATTRIBUTE.match(page, at):
            value = attribute["double"] or attribute["single"] or attribute["bare"] or b""
            flags |= _said(_text(attribute["name"]), value)
            at = attribute.end()
    return flags, len(page)


def _said(name: str, value: bytes) -> int:
    """Returns what an attribute says of its element."""
    if (ATTRIBUTE_SEED, name) not in ENTRIES:
        return 0
    match ATTRIBUTES[ENTRIES[ATTRIBUTE_SEED, name] - 1]:
        case "id" if len(re.findall(b"[-_]", value)) >= SLUG_HYPHENS:
            return 0
        case "class" | "id":
            return _words(value)
        case "style":
            told = re.split(b"[;!]", re.sub(_SPACE, b"", value))
            return _union(STYLE_SEED, told)
        case "hidden":
            return UNSEEN
        case "href":
            return LINK
        case "aria-hidden":
            return UNSEEN if len(value) == 4 and value[:1] in b"tT" else 0
        case kind:
            first = re.split(_SPACE, value)[0]
            return _union(ROLE_SEED if kind == "role" else PROPERTY_SEED, [first])


def _union(seed: int, names: list[bytes]) -> int:
    found = 0
    for name in names:
        found |= ENTRIES.get((seed, _text(name)), 0)
    return found


def _words(value: bytes) -> int:
    """Returns what the words of a class or id say."""
    found = 0
    for token in re.split(_SPACE, value):
        words = _WORD.findall(token)
        here = _union(WORD_SEED, [b"".join(words)])
        denied = False
        for number, word in enumerate(words):
            said = _union(WORD_SEED, [word])
            if not denied:
                here |= said | _union(WORD_SEED, [b"".join(words[max(number - 1, 0) : number + 1])])
            denied = bool(said & NOT) and not denied
        found |= here & ~CONTENT if here & AWAY else here
    return found & ~NOT
