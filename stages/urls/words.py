"""Words in addresses: strict, hard and soft ones.

Source: Penedo et al. 2023 (RefinedWeb), appendix G.1: strict subwords, hard whole words, and soft words of which one
alone may be innocent. The lists there were not copied.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import yaml

from datapipe import ConfigError, Resource

SHIPPED: Final = Path(__file__).with_name("words.yaml")
_WORD = re.compile(r"[^\W_]+")
_KEYS = ("strict", "hard", "soft", "soft_words", "source")


@dataclass(frozen=True)
class Words:
    """Words by kind, in small letters, and the number of distinct soft ones that are enough."""

    strict: tuple[str, ...]
    hard: frozenset[str]
    soft: frozenset[str]
    soft_words: int

    def met(self, address: str) -> tuple[str, int] | None:
        """Returns (the words by which an address is one to drop, their number), or None.

        >>> Words(("badword",), frozenset({"worse"}), frozenset({"a", "b"}), 2).met("http://x.com/b-a")
        ('a b', 2)
        """
        text = unquote(address).lower()
        for word in self.strict:
            if word in text:
                return word, 1
        words = set(_WORD.findall(text))
        hard = sorted(words & self.hard)
        if hard:
            return hard[0], 1
        soft = sorted(words & self.soft)
        return (" ".join(soft), len(soft)) if len(soft) >= self.soft_words else None


@functools.lru_cache(maxsize=8)
def words(file: Resource) -> Words:
    """Returns the words of a YAML file: lists `strict`, `hard` and `soft`, the number `soft_words`, and `source`.

    Raises:
        ConfigError: the file holds something else.
    """
    try:
        data = yaml.safe_load(file.read())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file.path}: is no YAML: {error}") from error
    if not isinstance(data, dict) or not data.keys() <= set(_KEYS):
        raise ConfigError(f"{file.path}: URL words are a mapping with the keys {', '.join(_KEYS)}")
    strict, hard, soft = (_listed(data, kind, file.path) for kind in ("strict", "hard", "soft"))
    enough = data.get("soft_words", 2)
    if isinstance(enough, bool) or not isinstance(enough, int) or enough < 1:
        raise ConfigError(f"{file.path}: soft_words: is {enough!r}, not a number from 1 on")
    return Words(strict, frozenset(hard), frozenset(soft), enough)


def _listed(data: dict[str, Any], kind: str, path: str) -> tuple[str, ...]:  # Any: whatever the YAML holds
    given = data.get(kind) or []
    if not isinstance(given, list) or not all(isinstance(word, str) and word for word in given):
        raise ConfigError(f"{path}: {kind}: is no list of words (put 'no', 'on' and numbers in quotes)")
    return tuple(word.lower() for word in given)
