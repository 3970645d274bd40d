"""Several articles in one text: cut where a line like a title stands between long blocks."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from stages.repair.rules import Rules

_SENTENCE_END: Final = re.compile(r"[。！？!?；;…，,、.:：)）\]】]\s*$")
_HEADING: Final = re.compile(
    r"\s*(?:[#=*·•\-—>|]|第?[一二三四五六七八九十百零〇\d]{1,4}[章节回条款篇部卷、.．:：\s]|[（(][一二三四五六七八九十\d]{1,3}[)）]"
    r"|(?:chapter|part|section|appendix|figure|table|step)\b|[ivx]{1,5}\.\s|\S{1,12}[:：])",
    re.IGNORECASE,
)
_END: Final = re.compile(
    r"[（(\[【]?\s*(?:责任编辑|责编|编辑|来源|记者|作者|完|全文完|END)[^。]{0,40}[）)\]】]?\s*|.*[（(](?:完|记者|责任编辑|编辑)[^）)]{0,20}[）)]\s*",
    re.IGNORECASE,
)


def parts(text: str, rules: Rules) -> list[str]:
    """Returns the articles of a text, itself alone where it is one.

    A title is a short line without a sentence's end that is no heading of a chapter or list; the article before it ends
    as articles do (by its author, source or editor), and both have `characters` or more.
    """
    rule = rules["articles"]
    if not rule.enabled or len(text) < 2 * rule.limit("characters"):
        return [text]
    lines = text.split("\n")
    cuts = [0]
    size, before = 0, ""
    for number, line in enumerate(lines):
        stripped = line.strip()
        is_title = 4 <= len(stripped) <= rule.limit("title_characters") and not (
            _SENTENCE_END.search(stripped) or _HEADING.match(stripped)
        )
        if is_title and size >= rule.limit("characters") and _END.fullmatch(before):
            cuts.append(number)
            size = 0
        size += len(line)
        before = stripped or before
    if len(cuts) > 1 and size < rule.limit("characters"):
        cuts.pop()
    ends = [*cuts[1:], len(lines)]
    return ["\n".join(lines[start:end]).strip("\n") for start, end in zip(cuts, ends, strict=True)]


def part_id(whole: bytes, number: int) -> bytes:
    """Returns the id of part `number` of a document: the first keeps the whole's, others are hashed from it.

    >>> part_id(bytes(16), 0) == bytes(16), len(part_id(bytes(16), 1))
    (True, 16)
    """
    if number == 0:
        return whole
    return hashlib.blake2b(whole + number.to_bytes(4, "little"), digest_size=16, person=b"article").digest()
