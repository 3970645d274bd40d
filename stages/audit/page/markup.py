"""HTML and SVG as strings: what is not marked as markup is escaped, so a document's text cannot become any.

Attributes are written in the order given, so equal calls give equal bytes. Both languages of the page stand in it;
`page.css` shows one where the script runs, and both where it does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from stages.audit.model import Words

EN, ZH = "en", "zh-Hans"
NONE = Words(en="none", zh="无")
# Neither XML nor HTML may hold these; a surrogate could not be encoded.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# Of marks above and below a letter this many; a pile of them would reach over other lines of the page.
_PILED = re.compile(
    "([\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{6})"
    "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)
_EMPTY = frozenset({"meta", "input", "br"})
_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*(?=$|[ ,;.(])")


class Safe(str):
    """Markup: what `tag` does not escape."""

    __slots__ = ()


def escape(text: str) -> Safe:
    """Returns text as it may stand in an element or a quoted attribute of HTML and of XML.

    >>> escape("<b title='&'>")
    '&lt;b title=&#39;&amp;&#39;&gt;'
    """
    if isinstance(text, Safe):
        return text
    text = _FORBIDDEN.sub("\ufffd", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Safe(text.replace('"', "&quot;").replace("'", "&#39;"))


def tag(name: str, /, *content: str, **attributes: str | float | bool | None) -> Safe:
    """Returns an element; attributes that are None or False are left out, `_` in a name is `-`, one behind it goes.

    >>> tag("p", "1 < 2", class_="note", hidden=True)
    '<p class="note" hidden>1 &lt; 2</p>'
    """
    written = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        written.append(
            f" {key}" if value is True else f' {key}="{escape(value if isinstance(value, str) else short(value))}"'
        )
    opening = f"<{name}{''.join(written)}>"
    if name != "code":  # which is copied
        content = tuple(map(_level, content))
    return Safe(opening if name in _EMPTY else f"{opening}{''.join(map(escape, content))}</{name}>")


def _level(text: str) -> str:
    return text if isinstance(text, Safe) or text.isascii() else _PILED.sub(r"\1", text)


def joined(parts: Iterable[str]) -> Safe:
    """Returns parts in a row, each escaped where it is not markup."""
    return Safe("".join(map(escape, parts)))


def both(words: Words, name: str = "span", **attributes: str | float | bool | None) -> Safe:
    """Returns our words in both languages, an element each; one without a language where they are the same."""
    if words.en == words.zh:
        return tag(name, words.en, **attributes)
    return joined((tag(name, words.en, lang=EN, **attributes), tag(name, words.zh, lang=ZH, **attributes)))


def headed(words: Words) -> Words:
    """Returns a label as a heading begins: with a capital, unless its first word is a name, as `zho_Hant` is.

    >>> headed(Words(en="share of tokens", zh="占比")).en, headed(Words(en="und: share", zh="und：占比")).en
    ('Share of tokens', 'und: share')
    """
    if words.en == words.zh or not _WORD.match(words.en):
        return words
    return Words(en=words.en[0].upper() + words.en[1:], zh=words.zh)


def foreign(text: str, **attributes: str | float | bool | None) -> Safe:
    """Returns a string that may be a document's: of no known language, its direction kept from what is around it."""
    return tag("bdi", text, lang="", **attributes)


def short(number: float) -> str:
    """Returns a coordinate in as few characters as tell hundredths.

    >>> short(12.0), short(0.125), short(-0.001)
    ('12', '0.13', '0')
    """
    text = f"{number + 1e-9:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
