"""Remnants of a page's own source in its text: tags, entities, BBCode, lines of script and style.

Documentation about markup looks the same and is right as it is, so nothing is touched in a text that shows code
(fences, back-ticks) or speaks of it, nor in lines that look like code. Only names of HTML that stand as tags do are
tags, so `List<String>`, `a < b` and `<your name>` stay.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from typing import Final

from stages.repair.change import Change, without_lines
from stages.repair.rules import Rules

_SHOWS_CODE: Final = re.compile(
    r"```|~~~|\]\((?:https?:|/|#|\.)|^#{1,6} |`[^`\n一-鿿]{1,80}`|\{\{[<%{]|^(?: {4,}|\t)[^\s].*[;{}()=]\s*$|<\?php|"
    r"<[a-z0-9]+\s*/?>[`’”\"']?\s*(?:tags?|elements?|标签|元素)\b|"
    r"(?:\b(?:tag|element|attribute)|标签|元素|属性)s?\s*[`‘“\"']?<|"
    r"(?<![./\w-])(?:html5?|xhtml|xml|css|jsx|javascript|typescript|markdown|bbcode|markup)\b|"
    r"^[ \t]+</?[a-z][^\n]*>\s*$|<[a-z][a-z0-9]*\s[^<>\n]*\n|源代码|网页代码",
    re.IGNORECASE | re.MULTILINE,
)
_WORD_OF_CODE: Final = re.compile(
    r"(?<![./\w-])(?:json|yaml|sql|api|sdk|regex|def|php|python|java|public class|#include)\b|"
    r"源码|前端|转义|语法|标签(?!\s*[：:])",
    re.IGNORECASE,
)
_ABOUT_PROGRAMS: Final = re.compile(
    r"(?<![./\w-])(?:jquery|div|código|codigo|function|función|array|script)s?\b|函数|变量|数组|脚本",
    re.IGNORECASE,
)
SIGNS_OF_CODE: Final = ("```", "](http", "](/", "](#", "\n## ", "\n# ", "~~~")  # of _SHOWS_CODE, most often met
WORDS_OF_CODE: Final = 3  # from which on a text is about code
_BREAKS: Final = (
    "p|br|div|li|tr|hr|h[1-6]|ul|ol|table|tbody|thead|section|article|header|footer|blockquote|dl|dt|dd|center"
)
_INLINE: Final = (
    "a|b|i|u|s|em|strong|span|font|img|small|big|sub|sup|td|th|label|input|iframe|embed|object|param|ins|del"
)
_ATTRIBUTES: Final = r"(?:\s+[a-zA-Z_:][-\w:.]*(?:\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s\"'<>]+))?)*"
_TAG: Final = re.compile(
    rf"<(?P<close>/?)(?P<name>{_BREAKS}|{_INLINE})(?P<attributes>{_ATTRIBUTES})\s*/?>", re.IGNORECASE
)
_SURE: Final = re.compile(
    rf"</(?:{_BREAKS}|{_INLINE})\s*>|<br\s*/?>|<(?:{_BREAKS}|{_INLINE})\s+[a-z-]+\s*=\s*[\"'#\w]|<script",
    re.IGNORECASE,
)
_BREAK: Final = re.compile(rf"(?:{_BREAKS})", re.IGNORECASE)
_MARK: Final = re.compile(r"<!--[^<>\n.。!！?？]{0,40}-->[ \t]*")  # a comment that is no sentence and no block
_WITH_CONTENT: Final = re.compile(r"<(?P<close>/?)(?P<name>script|style|noscript)\b[^<>]{0,1000}>", re.IGNORECASE)
MOST_CONTENT: Final = 5000  # characters of a script or style that go with its tags
ROUNDS: Final = 4  # of BBCode in BBCode, and of entities that were written as entities
_ENTITY: Final = re.compile(r"&(?:[a-zA-Z][a-zA-Z0-9]{1,31}|#[0-9]{2,7}|#[xX][0-9a-fA-F]{2,6});")
_BBCODE: Final = re.compile(
    r"\[(?P<name>b|i|u|s|url|img|size|color|font|quote|center|align|email|list|table|tr|td|media|flash|attach|hide)"
    r"(?:=[^\]\n]{1,200})?\](?P<inner>[^\[]*(?:\[(?!/?(?P=name)\b)[^\[]*)*)\[/(?P=name)\]",
    re.IGNORECASE,
)
_CODE_LINE: Final = re.compile(r"`|^\s*\||^(?: {4,}|\t)|[;{}]\s*$|^\s*(?://|#!|\$ )|=>|->")
_WRITE: Final = re.compile(r"document\.write(?:ln)?\s*\((?:[^()\n]|\([^()\n]*\))*(?:\)\s*;?|$)", re.MULTILINE)
_SCRIPT_LINE: Final = re.compile(
    r"\s*(?:"
    r"(?:var|let|const)\s+[\w$]+\s*=[^=](?=.{0,400}(?:_hmt|\|\||\.push|cpro|google|document\.|window\.|location)).{0,400};"
    r"|[!(;]*function\s*[\w$]*\s*\([\w$, ]{0,80}\)\s*\{.*"
    r"|\$\((?:document|window|function|['\"][.#\w])[^\n]*[;{]"
    r"|(?:window|document)\.[\w$.]+\s*[=(].*[;){]"
    r"|[^\n]{0,60}(?:_hmt|adsbygoogle|dataLayer|_gaq)[^\n]{0,40}\.push\(.*"
    r"|gtag\(['\"].*\);?"
    r"|(?:@media[^{}\n]{0,80}\{\s*)?[.#]?[a-z][-\w.#: >,*\[\]=\"']{0,120}\{"
    r"(?:\s*-?[a-z][a-z-]{1,30}\s*:[^;{}\n]{1,200};)*\s*(?:-?[a-z][a-z-]{1,30}\s*:[^;{}\n]{1,200})?\}.*"
    r")\s*",
    re.IGNORECASE,
)
_HAN: Final = re.compile(r"[一-鿿]")


def mend(text: str, rules: Rules) -> Iterator[Change]:
    """Yields the text without tags and BBCode, and with its entities read."""
    yield from _mended(text, rules, _without_tags, _without_bbcode, _without_entities)


def without_fragments(text: str, rules: Rules) -> Iterator[Change]:
    """Yields the text without lines of script and style."""
    yield from _mended(text, rules, _without_fragments)


def _mended(text: str, rules: Rules, *repairs: Callable[[str, Rules], Change | None]) -> Iterator[Change]:
    if any(sign in text for sign in SIGNS_OF_CODE):
        return
    whole, is_checked = text, False
    for repair in repairs:
        change = repair(text, rules)
        if change is not None and change.text != text:
            if not is_checked and _is_about_code(whole):  # the dearest question, of the few that would change
                return
            is_checked, text = True, change.text
            yield change


def _is_about_code(text: str) -> bool:
    return bool(_SHOWS_CODE.search(text)) or len(_WORD_OF_CODE.findall(text)) >= WORDS_OF_CODE


def _without_fragments(text: str, rules: Rules) -> Change | None:
    """Returns the text without calls of document.write and lines that are script or style."""
    if not rules.has("script_fragments"):
        return None
    calls = [match.group() for match in _WRITE.finditer(text)]
    made = _WRITE.sub("", text) if calls else text
    lines = made.split("\n")
    gone = {
        number
        for number, line in enumerate(lines)
        if ("{" in line or ";" in line or ".push(" in line or "gtag(" in line)
        and _SCRIPT_LINE.fullmatch(line)
        and 10 * len(_HAN.findall(line)) < len(line)
    }
    taken = sum(map(len, calls)) + sum(len(lines[number]) for number in gone)
    if not taken or len(_ABOUT_PROGRAMS.findall(text)) >= WORDS_OF_CODE:
        return None
    if taken > rules["script_fragments"].limit("at_most_ratio") * len(text):
        return None
    change = without_lines("script_fragments", lines, gone)
    return Change.of("script_fragments", change.text, taken, " / ".join([*calls, change.sample]))


def _without_tags(text: str, rules: Rules) -> Change | None:
    """Returns the text without tags; those of blocks end a line. Only where some are surely tags."""
    marks = "<!--" in text and text.count("<!--") == len(_MARK.findall(text))
    if not rules.has("html_tags") or not (marks or _SURE.search(text)):
        return None
    found: list[str] = []

    def gone(match: re.Match[str]) -> str:
        found.append(match.group())
        return ""

    def tag(match: re.Match[str]) -> str:
        attributes = match["attributes"]
        if attributes and "=" not in attributes:
            return match.group()
        found.append(match.group())
        return "\n" if _BREAK.fullmatch(match["name"]) else ""

    made = _without_content(_MARK.sub(gone, text) if marks else text, found)
    lines = [line if _CODE_LINE.search(_ENTITY.sub("", line)) else _TAG.sub(tag, line) for line in made.split("\n")]
    made = re.sub(r"\n(?:[ \t]*\n){2,}", "\n\n", "\n".join(lines)).strip("\n")
    taken = sum(map(len, found))
    if not found or taken > rules["html_tags"].limit("at_most_ratio") * len(text):
        return None
    return Change.of("html_tags", made, taken, " ".join(found))


def _without_content(text: str, found: list[str]) -> str:
    """Returns the text without scripts and styles, which are added to `found`."""
    if not _WITH_CONTENT.search(text):
        return text
    kept, at = [], 0
    opened: re.Match[str] | None = None
    for match in _WITH_CONTENT.finditer(text):
        if not match["close"]:
            opened = opened or match
        elif opened is not None and opened["name"].lower() == match["name"].lower():
            if match.start() - opened.end() <= MOST_CONTENT:
                kept.append(text[at : opened.start()])
                found.append(text[opened.start() : match.end()])
                at = match.end()
            opened = None
    return "".join([*kept, text[at:]])


def _without_bbcode(text: str, rules: Rules) -> Change | None:
    """Returns the text without pairs of BBCode; pictures go with their address."""
    if not rules.has("bbcode"):
        return None
    found: list[str] = []

    def inner(match: re.Match[str]) -> str:
        name = match["name"].lower()
        held = "" if name in ("img", "flash", "media", "attach") else match["inner"]
        found.append(match.group().replace(match["inner"], "…") if held else match.group())
        return held

    made = text
    for _ in range(ROUNDS):  # pairs in pairs
        made, before = _BBCODE.sub(inner, made), made
        if made == before:
            break
    return Change.of("bbcode", made.strip("\n"), len(text) - len(made), " ".join(found)) if found else None


def _without_entities(text: str, rules: Rules) -> Change | None:
    """Returns the text with its entities as the characters that they name, those written twice too."""
    if not rules.has("html_entities"):
        return None
    found: list[str] = []

    def character(match: re.Match[str]) -> str:
        entity = match.group()
        read = html.unescape(entity)
        if read == entity or not read.replace("\xa0", " ").isprintable():
            return entity
        found.append(entity)
        return read.replace("\xa0", " ").replace("\u200b", "")

    made = text
    for _ in range(ROUNDS):
        made, before = _ENTITY.sub(character, made), made
        if made == before:
            break
    return Change.of("html_entities", made, len(text) - len(made), " ".join(found)) if found else None
