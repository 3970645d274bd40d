"""Fertility: how many tokens a tokenizer makes of texts, counted from the bytes that its tokens stand for.

Tokens of a text are put together again, so where a token begins and ends is known for every tokenizer, also where it
normalizes text: a Han character is *one token*, a part of a longer one, or split into bytes.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.tokens.fast import Ids
from stages.tokens.letters import letters

AT_ONCE = 64  # texts
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class Vocabulary(Protocol):
    """The names of the tokens of a tokenizer; `content` is its file where that says how names are to be read."""

    vocabulary: dict[str, int]
    special: dict[str, int]
    unknown: int | None
    content: bytes | None


class Engine(Vocabulary, Protocol):
    """What encodes texts, and the names of its tokens."""

    def encode(self, texts: pa.Array) -> Ids:
        """Returns the ids of large_string[texts]."""


@dataclass(frozen=True)
class Fertility:
    """What a tokenizer makes of texts: sums, which add up over texts."""

    documents: int = 0
    characters: int = 0
    bytes: int = 0
    tokens: int = 0
    unknown: int = 0  # tokens
    han: int = 0  # Han characters in what the tokens stand for
    han_alone: int = 0  # of these, one token each
    han_split: int = 0  # of these, in pieces

    def __add__(self, other: Fertility) -> Fertility:
        return Fertility(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def told(self) -> Mapping[str, float | None]:
        """Returns the figures by name; None where there is nothing to divide by."""
        return {
            "tokens_per_character": _ratio(self.tokens, self.characters),
            "bytes_per_token": _ratio(self.bytes, self.tokens),
            "tokens_per_document": _ratio(self.tokens, self.documents),
            "unknown_ratio": _ratio(self.unknown, self.tokens),
            "han_alone_ratio": _ratio(self.han_alone, self.han),
            "han_split_ratio": _ratio(self.han_split, self.han),
        }


def _ratio(some: int, of: int) -> float | None:
    return some / of if of else None


def fertility(engine: Engine, texts: Sequence[str]) -> Fertility:
    """Returns the sums over texts."""
    pieces = token_bytes(engine)
    sizes = np.array([len(piece) for piece in pieces], np.int64)
    found = Fertility()
    for start in range(0, len(texts), AT_ONCE):
        some = texts[start : start + AT_ONCE]
        ids, ends = engine.encode(pa.array(some, pa.large_string()))
        for text, (first, last) in zip(some, itertools.pairwise(ends.tolist()), strict=True):
            own = ids[first:last]
            unknown = 0 if engine.unknown is None else int((own == engine.unknown).sum())
            whole = b"".join(pieces[number] for number in own.tolist())
            split = han(np.frombuffer(whole, np.uint8), np.cumsum(sizes[own]))
            found += Fertility(1, len(text), len(text.encode()), len(own), unknown, *split)
    return found


def token_bytes(engine: Vocabulary) -> list[bytes]:
    """Returns the bytes that each id stands for; none for special tokens and the unknown one."""
    level = _is_byte_level(engine.content)
    named = {letter: bytes([value]) for value, letter in enumerate(letters())} if level else {}
    table = dict.fromkeys(range(128, 256), "\uffff") | {ord(letter): own[0] for letter, own in named.items()}
    made = [b""] * (max(engine.vocabulary.values(), default=-1) + 1)
    for name, number in engine.vocabulary.items():
        if name in engine.special or number == engine.unknown:
            continue
        if level:
            try:
                made[number] = name.translate(table).encode("latin-1")
            except UnicodeEncodeError:  # a letter that stands for no byte
                made[number] = b"".join(named.get(letter, letter.encode()) for letter in name)
        elif found := _BYTE.fullmatch(name):
            made[number] = bytes.fromhex(found[1])
        else:
            made[number] = name.replace("▁", " ").removeprefix("##").encode()
    return made


def _is_byte_level(content: bytes | None) -> bool:
    decoder = (_field(content, "decoder") or {}) if content else {}
    return any(part.get("type") == "ByteLevel" for part in (decoder, *(decoder.get("decoders") or ())))


def _field(content: bytes, name: str) -> Any:  # Any: JSON
    """Returns a field of a JSON object; those behind it, as a vocabulary with its merges, are not read.

    >>> _field(b'{"a": [1, {"b": 2}], "b" : {"c": 3}, "model": {', "b")
    {'c': 3}
    """
    text, read = content.decode(json.detect_encoding(content)), json.JSONDecoder().raw_decode
    place = _value(text, text.index("{") + 1)
    while text[place] != "}":
        key, place = read(text, place)
        value, place = read(text, _value(text, place))
        if key == name:
            return value
        place = _value(text, place)
    return None


def _value(text: str, place: int) -> int:
    """Returns where the next value of JSON begins."""
    while text[place] in " \t\r\n,:":
        place += 1
    return place


def han(text: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]) -> tuple[int, int, int]:
    """Returns how many Han characters are in UTF-8, how many are one token, and how many are in pieces.

    `ends` are the bytes at which tokens end, int64[tokens]. Han is U+3007, U+3400 to U+9FFF, the compatibility
    ideographs from U+F900, and planes 2 and 3.

    >>> han(np.frombuffer("a中文".encode(), np.uint8), np.array([4, 5, 7]))
    (2, 0, 1)
    """
    held = np.append(text, np.zeros(3, np.uint8)).astype(np.int64)
    tail = [held[1 : len(text) + 1], held[2 : len(text) + 2], held[3 : len(text) + 3]]
    lead, low = held[: len(text)], [more & 63 for more in tail]
    follows = [more >> 6 == 2 for more in tail]
    three = ((lead & 15) << 12) | (low[0] << 6) | low[1]
    four = ((lead & 7) << 18) | (low[0] << 12) | (low[1] << 6) | low[2]
    common = ((three >= 0x3400) & (three < 0xA000)) | (three == 0x3007) | ((three >= 0xF900) & (three < 0xFB00))
    is_three = (lead >> 4 == 14) & follows[0] & follows[1] & common
    is_four = (lead >> 3 == 30) & follows[0] & follows[1] & follows[2] & (four >= 0x20000) & (four < 0x40000)
    border = np.zeros(len(text) + 5, bool)
    border[0] = True
    border[ends] = True
    whole = alone = split = 0
    for where, width in ((np.flatnonzero(is_three), 3), (np.flatnonzero(is_four), 4)):
        cut = np.zeros(len(where), bool)
        for step in range(1, width):
            cut |= border[where + step]
        whole += len(where)
        split += int(cut.sum())
        alone += int((border[where] & border[where + width] & ~cut).sum())
    return whole, alone, split


HEAD = (
    "| texts | tokenizer | documents | tokens/character | bytes/token | tokens/document | unknown | Han one token | "
    "Han split |"
)


def table(found: Iterable[tuple[str, str, Fertility]]) -> Iterator[str]:
    """Yields the lines of a Markdown table of (texts, tokenizer, sums)."""
    yield HEAD
    yield "|---|---|---|---|---|---|---|---|---|"
    for group, name, sums in found:
        told = sums.told()
        cells = (
            f"{sums.documents:,}",
            _number(told["tokens_per_character"], 3),
            _number(told["bytes_per_token"], 2),
            _number(told["tokens_per_document"], 0),
            _share(told["unknown_ratio"]),
            _share(told["han_alone_ratio"]),
            _share(told["han_split_ratio"]),
        )
        yield f"| {group} | {name} | {' | '.join(cells)} |"


def _number(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:,.{places}f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"
