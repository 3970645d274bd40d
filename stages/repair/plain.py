"""The plain twins of the kernels: slow, and easy to read."""

from __future__ import annotations

import re
from typing import Final

from stages.repair import screen
from stages.repair.rules import ANCHOR_BYTES, Rules

_ANNOTATION: Final = rb"(?=(?![1-4])[a-z\xc3-\xc9\x80-\xbf1-4]{1,12}(?:\)|\xef\xbc.))"
_OPENS: Final = (
    (rb"<[A-Za-z/!]|&[A-Za-z#].{0,9};", screen.MARKUP),
    (rb"\[/", screen.BBCODE),
    (rb"\[[0-9]{4}/", screen.DATED),
)


def marks(text: str, rules: Rules) -> int:
    """Returns the marks of a text; the twin of `screen.screen`.

    >>> from stages.repair.rules import load
    >>> marks("a <b>word</b>", load()) == screen.MARKUP
    True
    """
    content = text.encode()
    least = screen.numbers(rules)
    made = _anchored(content.lower(), screen.wanted(rules), least)
    for pattern, mark in _OPENS:
        if re.search(pattern, content, re.DOTALL):
            made |= mark
    annotations = re.findall(rb"(?<=[\x80-\xff])(?:\(|\xef\xbc\x88)" + _ANNOTATION, content, re.DOTALL)
    if len(annotations) >= least.annotations:
        made |= screen.PINYIN
    return made | _folded(text, least)


def _anchored(content: bytes, wanted: dict[bytes, tuple[bytes, int]], least: screen.Numbers) -> int:
    """Returns the marks of the anchors in a lower-cased text."""
    made, ads, pairs = 0, [], set()
    head, tail = _outermost(content, least)
    for at in range(ANCHOR_BYTES - 1, len(content)):
        begin = at - ANCHOR_BYTES + 1
        before, mark = wanted.get(content[begin : at + 1], (b"", 0))
        if mark and content[:begin].endswith(before):
            begin, end = content.rfind(b"\n", 0, at) + 1, content.find(b"\n", at)
            is_long = (len(content) if end < 0 else end) - begin > least.line_bytes
            mark &= ~screen.HEAD if at >= head or is_long else screen.ALL
            mark &= ~screen.TAIL if at < tail or is_long else screen.ALL
            mark &= ~screen.TITLE if at >= screen.TITLE_BYTES else screen.ALL
            if mark & screen.AD:
                ads.append((at, content[at - ANCHOR_BYTES + 1 : at + 1]))
                last = ads[-screen.AD_WORDS :]
                near = len(last) == screen.AD_WORDS and at - last[0][0] < screen.AD_WINDOW
                near = near and len({word for _, word in last}) > 1
                mark &= screen.ALL if near or least.ads < screen.AD_WORDS else ~screen.AD
            if mark & screen.CONVERTED:
                pairs.add(content[at - ANCHOR_BYTES + 1 : at + 1])
                many = len(pairs) >= screen.FEWEST_PAIRS or least.pairs < screen.FEWEST_PAIRS
                mark &= screen.ALL if many else ~screen.CONVERTED
            made |= mark
    return made


def _outermost(content: bytes, least: screen.Numbers) -> tuple[int, int]:
    """Returns the byte after the first lines that are not empty, and that at which the last begin."""
    most = least.lines * least.line_bytes
    ends = [match.end() for match in re.finditer(rb"(?<=[^\n])\n", content)]
    begins = [match.end() for match in re.finditer(rb"\n(?=[^\n])", content)]
    head = ends[least.lines - 1] if len(ends) >= least.lines else len(content)
    tail = begins[-least.lines] if len(begins) >= least.lines else 0
    return min(head, most), max(tail, len(content) - most)


def _folded(text: str, least: screen.Numbers) -> int:
    """Returns COPY and MIXED, as the first letters of the units say."""
    first: list[tuple[int, list[int]]] = []
    away: dict[int, int] = {}  # by where a unit begins, how far its latest copy is
    seen = ""  # what was looked at
    size, place, at = len(text.encode()), 0, 0
    while at < len(text):
        letters: list[int] = []
        begin, ended = place, False
        while at < len(text) and not ended:
            if len(letters) < screen.HEAD_LETTERS:
                seen += text[at]
                letter = int(screen.folded()[ord(text[at])]) if ord(text[at]) <= 0xFFFF else 0
                letters += [letter] if letter else []
            ended = text[at] in "\n!?。！？" or (text[at] == "." and text[at + 1 : at + 2] in ("", " ", "\n"))
            place += len(text[at].encode())
            at += 1
        if len(letters) >= screen.UNIT_LETTERS:
            for other, held in first:
                if held == letters and least.nearest * size <= begin - other <= (1 - least.nearest) * size:
                    away[other] = begin - other
            first += [(begin, letters)] if len(first) < screen.FIRST_UNITS else []
    kinds = [int(screen.scripts()[ord(letter)]) for letter in seen if ord(letter) <= 0xFFFF]
    both = kinds.count(screen.ONLY_HANT), kinds.count(screen.ONLY_HANS)
    is_mixed = min(both) >= max(least.of_a_script, least.script_ratio * sum(both))
    is_copy = False
    for begin, far in away.items():
        units = sum(abs(far - away[other]) <= abs(begin - other) // screen.DRIFT + screen.DRIFT_BYTES for other in away)
        within = sum(other < far for other, _ in first)
        is_copy |= units >= 2 and units * screen.OF_UNITS >= within
    return screen.MIXED * is_mixed | screen.COPY * is_copy


def paragraphs(text: str) -> list[str]:
    r"""Returns the folded views of the paragraphs that have a letter; the twin of `recurring.paragraphs`.

    >>> paragraphs("One\nTwo\n")
    ['one', 'two']
    """
    table = screen.folded()
    lines = text.split("\n")
    folded = ["".join(chr(table[ord(letter)]) for letter in line if ord(letter) < len(table)) for line in lines]
    return [letters for piece in folded if (letters := piece.replace("\0", ""))]
