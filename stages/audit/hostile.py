r"""Text from documents, made fit to be shown: personal details masked, what cannot be seen written out, and cut.

A page chooses its address, title and text, so any of them may hold what clears a terminal, turns letters around or
looks like another word, and any may hold somebody's number. What comes out of `harmless` is plain: one line, no control
characters, none that set a direction or have no width, no personal details as `stages.pii` knows them, also where a URL
has them percent-encoded, as an argument or as a part of its path, or where invisible characters stand in between.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote, unquote_plus

from stages.pii.find import MASKS, Detail, find_plainly

CUT = "…"
END = "⏎"  # in the place of the end of a line
TAB = "⇥"
LONG = 1 << 14  # characters of a text that are looked at, unless more are asked for
NESTED = 3  # how often an address is taken out of an argument of another

# What is not seen: categories Cc, Cf, Cs, Zl and Zp of Unicode, the fillers of Hangul, and selectors of variants.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_ENDS = re.compile("\r\n|[\n\t]")  # of lines and of columns, which texts are full of: a sign that is seen
_USER = re.compile(r"(://)[^\s/?#@]+@")
_WORD = re.compile(r"\S+")
_IS_ADDRESS = re.compile(r"/|%[0-9A-Fa-f]{2}|[?&][^\s=&?]{0,64}=")
_SEPARATORS = re.compile(r"([/?&;=#]+)")
_MAY_HOLD = re.compile(r"[@0-9＠０-９]")


def harmless(text: str, most: int = 200) -> str:
    r"""Returns a text that may stand in a report or on a terminal, of at most `most` characters; the same for itself.

    Whatever is written to HTML is escaped there too: signs such as `<` stay what they are.

    >>> harmless("https://天.example/?mail=lin%40site.cn&a\x1b[2J\u202egnp.exe")
    'https://天.example/?mail=<EMAIL>&a\\u001b[2J\\u202egnp.exe'
    >>> harmless("电话 138\u200b0013\u200b8000，谢谢光临", 14)
    '电话 <PHONE>，谢谢…'
    """
    room = max(LONG, 4 * most)
    text = text if len(text) <= room else text[:room] + CUT
    while True:  # what was cut or masked may be another detail now; each round has fewer digits and signs left
        made = _cut(_visible(_masked(text)), most)
        if made == text:
            return made
        text = made


def encodable(text: str) -> str:
    r"""Returns a word of a command, of which bytes may be no UTF-8, as a text that Arrow takes: they are written out.

    >>> encodable("天\udcff")
    '天\\udcff'
    """
    return text.encode("utf-8", "backslashreplace").decode()


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: max(0, most - len(CUT))] + CUT[: max(0, most)]


def _visible(text: str) -> str:
    text = _ENDS.sub(lambda found: TAB if found[0] == "\t" else END, text)
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _masked(text: str) -> str:
    """Returns a text without details: in itself, in addresses that it holds, and across what is not seen."""
    text = _hidden(_USER.sub(r"\1***@", text) if "@" in text else text)
    return _WORD.sub(lambda found: _in_address(found[0], NESTED), text) if _MAY_HOLD.search(text) else text


def _hidden(text: str) -> str:
    """Returns a text with a mask in the place of each detail; characters that are not seen do not part one."""
    if not _MAY_HOLD.search(text):
        return text
    places = [place for place, letter in enumerate(text) if not _UNSEEN.match(letter) or letter.isspace()]
    if len(places) == len(text):
        return _replaced(text, find_plainly(text))
    found = find_plainly("".join(text[place] for place in places))
    return _replaced(text, [Detail(one.kind, places[one.start], places[one.end - 1] + 1) for one in found])


def _replaced(text: str, details: Sequence[Detail]) -> str:
    pieces, last = [], 0
    for one in details:
        pieces += [text[last : one.start], MASKS[one.kind]]
        last = one.end
    return "".join([*pieces, text[last:]])


def _in_address(address: str, nested: int) -> str:
    """Returns an address with the parts of its path and its arguments masked, each by itself; other words as is."""
    if not _IS_ADDRESS.search(address):
        return address
    parts = _SEPARATORS.split(address)
    for place in range(0, len(parts), 2):
        if _MAY_HOLD.search(parts[place]):
            name = parts[place - 2] if place and parts[place - 1] == "=" else ""
            parts[place] = _in_part(parts[place], name, nested)
    return "".join(parts)


def _in_part(part: str, name: str, nested: int) -> str:
    """Returns a part of an address, masked; `name` is that of the argument, by which a number may be known."""
    plain = part
    for _ in range(NESTED):  # an address that went through two hands is encoded twice
        plain = unquote_plus(plain)
    told = f"{name} "  # a word before the number
    masked = _hidden(told + plain).removeprefix(told)
    if masked == plain != part and nested:
        masked = _in_address(plain, nested - 1)
    if masked == plain:
        return part
    return masked if plain == part else quote(masked, safe="<>/:?&=;*_", errors="backslashreplace")
