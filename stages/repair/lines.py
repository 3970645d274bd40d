"""Lines that a page put around or into an article: advertisements, heads and tails, a title made for search engines.

A line at an end leaves only where the whole of it is of a known form; after a line that closes an article (responsible
editor, the next article, related ones) short lines without a sentence's end leave too.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Final

from stages.repair.change import Change, without_lines
from stages.repair.rules import Rule, Rules

_DATED: Final = re.compile(r"\s*\S{0,12}\s?(?:\||:|：).*\[\d{4}/\d{1,2}/\d{1,2}[^\]]*\].*")
_HAN: Final = re.compile(r"[一-鿿]")
_SENTENCE_END: Final = re.compile(r"[。！？!?；;…”\"』」.:：，,]\s*$")
_SEPARATOR: Final = re.compile(r"[_|｜]|\s[-–—]\s")
_CONTACT: Final = re.compile(
    r"(?:微信|薇信|weixin|wechat|vx|qq)\s*(?:号|群)?\s*[:：]?\s*[a-z0-9_-]{5,20}"
    r"|(?<!\d)1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?!\d)|(?<!\d)(?:400|800)[- ]?\d{3,4}[- ]?\d{3,4}(?!\d)"
    r"|(?<!\d)0\d{2,3}[- ]\d{7,8}(?!\d)"
    r"|(?:https?://|www\.)\S{4,}",
    re.IGNORECASE,
)
_ONLY_OPENS: Final = re.compile(r"\s*[（(\[【《「『]\s*")
_LICENCE: Final = re.compile(r"licen[cs]e|warrant|redistribut|许可|授权协议", re.IGNORECASE)
TITLE_CHARACTERS: Final = 200
WRAPPED_CHARACTERS: Final = 50  # of a line that is as long as its kind gets


def without_dated(text: str, rules: Rules) -> Iterator[Change]:
    """Yields the text without lines of links to other articles, each with a date in brackets."""
    rule = rules["injected_line"]
    if not rule.enabled:
        return
    lines = text.split("\n")
    gone = {number for number, line in enumerate(lines) if _DATED.fullmatch(line) and _HAN.search(line)}
    yield from _few("injected_line", rule, text, lines, gone)


def without_ads(text: str, rules: Rules) -> Iterator[Change]:
    """Yields the text without lines of which words of advertising are a large share."""
    rule = rules["injected_ad"]
    if not rule.enabled:
        return
    lowered = text.lower()
    held = tuple(word for word in rule.words if word in lowered)
    if len(held) < rule.limit("least") - 1:  # one may be a way to get in touch
        return
    words = _words(held)
    lines = text.split("\n")
    gone = set()
    for number, line in enumerate(lowered.split("\n") if len(lowered) == len(text) else lines):
        if sum(word in line for word in held) < rule.limit("least") - 1:
            continue
        line = lines[number]
        found = words.findall(line)
        if len(found) >= 2:
            found += [match.group() for match in _CONTACT.finditer(line)]
        if len({word.lower() for word in found}) >= rule.limit("least") and (
            sum(map(len, found)) >= rule.limit("least_ratio") * len(line)
        ):
            gone.add(number)
    yield from _few("injected_ad", rule, text, lines, gone)


def advertises(paragraph: str, rules: Rules) -> bool:
    """Returns whether a paragraph has a word of advertising, or a way to get in touch."""
    return bool(_words(rules["injected_ad"].words).search(paragraph) or _CONTACT.search(paragraph))


def _few(name: str, rule: Rule, text: str, lines: list[str], gone: set[int]) -> Iterator[Change]:
    """Yields the text without these lines, unless they are much of it: then it is what they are."""
    taken = sum(len(lines[number]) for number in gone)
    if gone and taken <= rule.limit("at_most_ratio") * len(text):
        yield without_lines(name, lines, gone)


def without_head(text: str, rules: Rules) -> Iterator[Change]:
    """Yields the text without lines of known form before its first sentence."""
    rule = rules["head_boilerplate"]
    if not rule.enabled:
        return
    lines = text.split("\n")
    known = _forms(rule.lines)
    gone = set()
    for number in _outermost(lines, int(rule.limit("lines"))):
        line = lines[number].strip()
        if len(line) <= rule.limit("characters") and known.fullmatch(line) and not _is_within(lines, number):
            gone.add(number)
        elif len(line) > rule.limit("title_characters") or _SENTENCE_END.search(line):
            break
    if _some_stay(lines, gone):
        yield without_lines("head_boilerplate", lines, gone)


def without_tail(text: str, rules: Rules) -> Iterator[Change]:
    """Yields the text without the lines of known form that end it, and short ones after one that closes an article."""
    rule = rules["tail_boilerplate"]
    if not rule.enabled:
        return
    lines = text.split("\n")
    known, closing, notices = _forms((*rule.lines, *rule.closing)), _forms(rule.closing), _forms(rule.notices)
    gone: set[int] = set()
    open_lines: list[int] = []  # short lines that leave if a closing one stands before them
    for number in _outermost(lines, int(rule.limit("lines")), last=True):
        line = lines[number].strip()
        if _is_within(lines, number):
            break
        if len(line) <= rule.limit("characters") and closing.fullmatch(line):
            gone.update([number, *open_lines])
            open_lines = []
        elif (
            not open_lines
            and len(line) <= rule.limit("characters")
            and (known.fullmatch(line) or (notices.fullmatch(line) and not _LICENCE.search(text)))
        ):
            gone.add(number)
        elif gone and not open_lines and _ONLY_OPENS.fullmatch(line):
            gone.add(number)  # of the bracket around what has gone
        elif len(line) <= rule.limit("title_characters") and not _SENTENCE_END.search(line):
            open_lines.append(number)
        else:
            break
    if _some_stay(lines, gone):
        yield without_lines("tail_boilerplate", lines, gone)


def without_title(text: str, rules: Rules) -> Iterator[Change]:
    """Yields the text without its first line, where that is a list of words that searches are made for."""
    rule = rules["title_line"]
    first, _, rest = text.partition("\n")
    if not rule.enabled or not rest.strip() or len(first) > TITLE_CHARACTERS:
        return
    found = {word.lower() for word in _words(rule.words).findall(first)}
    if len(found) >= rule.limit("least") and len(_SEPARATOR.findall(first)) >= rule.limit("separators"):
        yield Change.of("title_line", rest.lstrip("\n"), len(first), first)


def _outermost(lines: Sequence[str], most: int, *, last: bool = False) -> Iterator[int]:
    """Yields the numbers of the first or last lines that are not blank, from the end inwards."""
    numbers = range(len(lines) - 1, -1, -1) if last else range(len(lines))
    given = 0
    for number in numbers:
        if lines[number].strip():
            yield number
            given += 1
            if given == most:
                return


def _is_within(lines: Sequence[str], number: int) -> bool:
    """Returns whether a line goes on with the sentence of the one before it, in text that is wrapped by hand."""
    if number == 0 or not lines[number].lstrip()[:1].islower():
        return False
    before = lines[number - 1].rstrip()
    return len(before) >= WRAPPED_CHARACTERS and before[-1] not in ".!?:…”\"')"


def _some_stay(lines: list[str], gone: set[int]) -> bool:
    """Returns whether some lines leave, and one stays."""
    return bool(gone) and any(line.strip() for number, line in enumerate(lines) if number not in gone)


@functools.lru_cache(maxsize=256)
def _words(words: tuple[str, ...]) -> re.Pattern[str]:
    """Returns what finds any of the words; those of Latin letters stand alone."""
    parts = [rf"\b{re.escape(word)}\b" if word.isascii() else re.escape(word) for word in words]
    return re.compile("|".join(parts), re.IGNORECASE)


@functools.lru_cache(maxsize=16)
def _forms(lines: tuple[tuple[str, str], ...]) -> re.Pattern[str]:
    """Returns what matches a line of any of the forms."""
    return re.compile("|".join(f"(?:{pattern})" for _, pattern in lines), re.IGNORECASE)
