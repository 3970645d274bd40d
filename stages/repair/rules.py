"""The rules of the step: YAML to frozen values, moved by the config, every mistake named.

- id: pinyin
  limits: {least: 5, per_1000_han: 20}
  source: where the numbers come from
"""

from __future__ import annotations

import difflib
import functools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from datapipe import ConfigError, resource

PATH: Final = str(Path(__file__).with_name("rules.yaml"))
ANCHOR_BYTES: Final = 6  # of a word or line, by which the screen finds it
_KEYS: Final = ("id", "enabled", "limits", "words", "lines", "closing", "notices", "source")


@dataclass(frozen=True)
class Rule:
    """One repair: its numbers by name, the words it counts, and the lines it knows by a word that is in them.

    After `closing` lines short ones are a page's furniture; `notices` stay in a text about licences.
    """

    id: str
    enabled: bool
    limits: tuple[tuple[str, float], ...]
    words: tuple[str, ...] = ()
    lines: tuple[tuple[str, str], ...] = ()
    closing: tuple[tuple[str, str], ...] = ()
    notices: tuple[tuple[str, str], ...] = ()

    def limit(self, name: str) -> float:
        """Returns the number of that name."""
        return dict(self.limits)[name]


@dataclass(frozen=True)
class Rules:
    """All rules in the order in which they are applied."""

    table: tuple[Rule, ...]

    def __getitem__(self, identifier: str) -> Rule:
        """Returns the rule of that id."""
        return next(rule for rule in self.table if rule.id == identifier)

    def has(self, identifier: str) -> bool:
        """Returns whether the rule of that id is applied."""
        return self[identifier].enabled


def load(
    limits: Mapping[str, Mapping[str, float]] | None = None, enable: Sequence[str] = (), disable: Sequence[str] = ()
) -> Rules:
    """Returns the rules that the package ships, with the config's limits, some enabled and some disabled.

    >>> load({"pinyin": {"least": 8}})["pinyin"].limit("least")
    8

    Raises:
        ConfigError: there is no such rule or limit, or a value is no number of zero or more.
    """
    rules = {rule.id: rule for rule in _shipped()}
    for where, names in (("limits", limits or {}), ("enable", enable), ("disable", disable)):
        for name in names:
            if name not in rules:
                raise ConfigError(f"repair: {where}: no rule is called '{name}'{_near(name, rules)}")
    for name, given in (limits or {}).items():
        known = dict(rules[name].limits)
        for key, value in given.items():
            if key not in known:
                raise ConfigError(f"repair: limits.{name}: no limit is called '{key}'{_near(key, known)}")
            if not 0 <= value < math.inf:
                raise ConfigError(f"repair: limits.{name}.{key}: {value!r} is no number of zero or more")
        rules[name] = replace(rules[name], limits=tuple({**known, **given}.items()))
    both = sorted(set(enable) & set(disable))
    if both:
        raise ConfigError(f"repair: '{both[0]}' is in enable and in disable; leave it in one")
    made = (replace(rule, enabled=(rule.enabled or rule.id in enable)) for rule in rules.values())
    return Rules(tuple(replace(rule, enabled=rule.enabled and rule.id not in disable) for rule in made))


@functools.cache
def _shipped() -> tuple[Rule, ...]:
    return parse(resource(PATH).read())


def parse(content: bytes) -> tuple[Rule, ...]:
    """Returns the rules of a table. Raises ConfigError where an entry of it is wrong."""
    made: list[Rule] = []
    for entry in yaml.safe_load(content)["rules"]:
        where = f"repair: rule {entry.get('id')!r}"
        unknown = sorted(set(entry) - set(_KEYS))
        if unknown or not isinstance(entry.get("source"), str):
            raise ConfigError(f"{where}: " + (f"unknown key '{unknown[0]}'" if unknown else "has no source"))
        made.append(
            Rule(
                id=entry["id"],
                enabled=entry.get("enabled", True),
                limits=tuple(entry.get("limits", {}).items()),
                words=_words(entry.get("words", []), where),
                lines=_lines(entry.get("lines", {}), where),
                closing=_lines(entry.get("closing", {}), where),
                notices=_lines(entry.get("notices", {}), where),
            )
        )
    return tuple(made)


def _near(word: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(word, names, 1)
    return f" (did you mean '{close[0]}'?)" if close else f" (there are: {', '.join(names) or 'none'})"


def _words(entries: Iterable[Any], where: str) -> tuple[str, ...]:  # Any: what the YAML holds
    for word in entries:
        _check_anchor(str(word), where)
    return tuple(dict.fromkeys(map(str, entries)))


def _lines(entries: Mapping[str, Any], where: str) -> tuple[tuple[str, str], ...]:  # Any: what the YAML holds
    for anchor, pattern in entries.items():
        _check_anchor(anchor, where)
        try:
            re.compile(pattern)
        except re.error as error:
            raise ConfigError(f"{where}: {anchor}: {error}") from error
    return tuple((anchor, str(pattern)) for anchor, pattern in entries.items())


def _check_anchor(word: str, where: str) -> None:
    if len(word.encode()) < ANCHOR_BYTES:
        raise ConfigError(f"{where}: '{word}' has fewer than {ANCHOR_BYTES} bytes; choose a longer one")
