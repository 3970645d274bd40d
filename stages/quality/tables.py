"""Rule tables: YAML to tuples of rules, every mistake named with its file and entry.

    rules:
      - {id: zh_function, signal: function_ratio, min: 0.03, when: {signal: verse_ratio, max: 0.5}, source: ours}

A document breaks a rule whose signal is below `min` or above `max`. `when` is a condition or a list of them that must
all hold for the rule to be looked at: `{signal, min, max}`, a value within both limits, or `{language: [zho_Hans, …]}`.
"""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from datapipe import ConfigError, resource
from stages.quality.signals import SIGNALS

FOLDER = Path(__file__).with_name("rules")
_RULE_KEYS = ("id", "signal", "min", "max", "when", "source")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Holds where the signal lies within both limits and the language is one of `languages`; None asks for nothing."""

    signal: str | None = None
    min: float | None = None
    max: float | None = None
    languages: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Broken where the signal lies beyond a limit, in documents for which all of `when` hold."""

    id: str
    signal: str
    min: float | None = None
    max: float | None = None
    when: tuple[Condition, ...] = ()


Table = tuple[Rule, ...]


def load(name: str) -> Table:
    """Returns the table of that name in the package (`gopher`, `zh-web-v1`, …), or at that path if it names a file.

    Raises:
        ConfigError: there is no such table, or an entry of it is wrong.
    """
    if "/" in name or name.endswith((".yaml", ".yml")):
        return parse(resource(name).read(), name)
    shipped = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    if name not in shipped:
        raise ConfigError(f"quality: no rule table is called '{name}'{near(name, shipped)}; give one of them or a path")
    return parse(resource(str(FOLDER / f"{name}.yaml")).read(), f"{name}.yaml")


def parse(content: bytes, name: str) -> Table:
    """Returns the rules of a table, in order. `name` is what errors call it.

    Raises:
        ConfigError: the content is no table of rules.
    """
    try:
        data = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: is no YAML: {error}") from error
    if not isinstance(data, dict) or list(data) != ["rules"] or not isinstance(data["rules"], list):
        raise ConfigError(f"{name}: a rule table is one key 'rules' with a list of rules")
    rules = tuple(_rule(entry, f"{name}: rules[{number}]") for number, entry in enumerate(data["rules"]))
    for number, rule in enumerate(rules):
        if rule.id in [other.id for other in rules[:number]]:
            raise ConfigError(f"{name}: rules[{number}]: '{rule.id}' is the id of a rule above; give each its own")
    return rules


def override(tables: Mapping[str, Table], limits: Mapping[str, Mapping[str, float | None]]) -> dict[str, Table]:
    """Returns the tables with the limits of single rules replaced, in every table that has the rule.

    Raises:
        ConfigError: no table has such a rule, or the limits are wrong.
    """
    known = sorted({rule.id for table in tables.values() for rule in table})
    for identifier, given in limits.items():
        if identifier not in known:
            raise ConfigError(f"quality: limits: no rule is called '{identifier}'{near(identifier, known)}")
        where = f"quality: limits.{identifier}"
        _check_keys(given, ("min", "max"), where)
        for side, limit in given.items():
            if limit is not None:
                _number(limit, f"{where}.{side}")
    return {name: tuple(_limited(rule, limits) for rule in table) for name, table in tables.items()}


def _limited(rule: Rule, limits: Mapping[str, Mapping[str, float | None]]) -> Rule:
    given = limits.get(rule.id, {})
    made = replace(rule, min=given.get("min", rule.min), max=given.get("max", rule.max))
    _check_order(made.min, made.max, f"quality: limits.{rule.id}")
    return made


def near(word: str, known: Iterable[str]) -> str:
    """Returns ` (did you mean 'x'?)` for the known word most like `word`, or the known words if none is like it."""
    names = list(known)
    close = difflib.get_close_matches(word, names, 1)
    return f" (did you mean '{close[0]}'?)" if close else f" (there are: {', '.join(names)})"


def _rule(entry: Any, where: str) -> Rule:  # Any: whatever the YAML holds
    if not isinstance(entry, dict):
        raise ConfigError(f"{where}: a rule is a mapping {{id, signal, min, max, when, source}}, this is {entry!r}")
    if not isinstance(entry.get("id"), str):
        raise ConfigError(f"{where}: has no id; give it a name that the ledger can call it by")
    where = f"{where} '{entry['id']}'"
    _check_keys(entry, _RULE_KEYS, where)
    if not isinstance(entry.get("source"), str):
        raise ConfigError(f"{where}: has no source; say where its limit comes from")
    when = entry.get("when", [])
    conditions = when if isinstance(when, list) else [when]
    return Rule(
        id=entry["id"],
        signal=_signal(entry, where),
        min=_limits(entry, where)[0],
        max=_limits(entry, where)[1],
        when=tuple(_condition(item, f"{where}: when") for item in conditions),
    )


def _condition(entry: Any, where: str) -> Condition:  # Any: whatever the YAML holds
    if not isinstance(entry, dict):
        raise ConfigError(f"{where}: a condition is {{signal, min, max}} or {{language: [...]}}, this is {entry!r}")
    if "language" in entry:
        _check_keys(entry, ("language",), where)
        given = entry["language"]
        languages = given if isinstance(given, list) else [given]
        if not languages or not all(isinstance(item, str) for item in languages):
            raise ConfigError(f"{where}: language is a label like zho_Hans or a list of them, this is {given!r}")
        return Condition(languages=tuple(languages))
    _check_keys(entry, ("signal", "min", "max"), where)
    low, high = _limits(entry, where)
    return Condition(signal=_signal(entry, where), min=low, max=high)


def _signal(entry: Mapping[str, Any], where: str) -> str:
    name = entry.get("signal")
    if not isinstance(name, str):
        raise ConfigError(f"{where}: has no signal; `datapipe stages` lists them")
    if name not in SIGNALS.names:
        raise ConfigError(f"{where}: no signal is called '{name}'{near(name, SIGNALS.names)}")
    return name


def _limits(entry: Mapping[str, Any], where: str) -> tuple[float | None, float | None]:
    low, high = (_number(entry[side], f"{where}: {side}") if side in entry else None for side in ("min", "max"))
    if low is None and high is None:
        raise ConfigError(f"{where}: has neither min nor max; give one, or both")
    _check_order(low, high, where)
    return low, high


def _number(value: Any, where: str) -> float:  # Any: whatever the YAML holds
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{where}: is {value!r}, not a number")
    return float(value)


def _check_order(low: float | None, high: float | None, where: str) -> None:
    if low is not None and high is not None and low > high:
        raise ConfigError(f"{where}: min {low:g} is above max {high:g}; every document would break the rule")


def _check_keys(entry: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in entry:
        if key not in known:
            raise ConfigError(f"{where}: unknown key '{key}'{near(str(key), known)}")
