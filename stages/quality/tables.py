r"""Rule tables: YAML to frozen values, every mistake named with its file and entry.

    lines:                        # in order, before the rules; only in tables of a language
      - {id: c4_words, signal: words, min: 3, source: "…"}              # a line that breaks it goes
      - {id: c4_citations, remove: '\[\d*]', contains: "[", source: "…"}  # what matches goes from lines
    blank_lines: false            # whether they stay where lines are looked at; true if left out
    rules:
      - {id: zh_function, signal: function_ratio, min: 0.03, when: {signal: verse_ratio, max: 0.5}, source: ours}
      - {id: gpt3_pareto, signal: quality, pareto: 9, seed: 0, source: "Brown et al. 2020, appendix A"}

A document breaks a rule whose signal is below `min` or above `max`; a value that is NaN (not measured) breaks none. A
rule with `pareto` draws instead (`judge.py`). A signal is one of `signals.py`, one of `published.py`, `original_` and a
name of `signals.py` (before lines were removed), `removed_word_ratio` (the share of the words that went with them),
`bytes` (of the text as UTF-8), or any numeric column that an earlier step makes.

`when` is a condition or a list of them that must all hold for the rule to be looked at: `{signal, min, max}`, a value
within both limits (NaN is not), `{language: [zho_Hans, …]}` or `{format: [prose, …]}`, which holds where
no step made that column.
"""

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from datapipe import ConfigError, resource
from stages.schema import SAFETY

SHOWN = 24  # names that an error lists
FOLDER = Path(__file__).with_name("rules")
_RULE_KEYS = ("id", "signal", "min", "max", "pareto", "seed", "when", "source")
_LINE_KEYS = ("id", "signal", "min", "max", "source")
_EDIT_KEYS = ("id", "remove", "contains", "max_words", "source")
_TABLE_KEYS = ("lines", "blank_lines", "rules")
SIDES = ("min", "max", "pareto", "seed")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Holds where the signal is within both limits and language and format are among those; None asks for nothing."""

    signal: str | None = None
    min: float | None = None
    max: float | None = None
    languages: tuple[str, ...] | None = None
    formats: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Broken where the signal lies beyond a limit, in documents for which all of `when` hold.

    With `pareto`, the shape of a Pareto distribution, the limit is drawn for each document from its id and `seed`.
    """

    id: str
    signal: str
    min: float | None = None
    max: float | None = None
    pareto: float | None = None
    seed: int = 0
    when: tuple[Condition, ...] = ()

    @property
    def signals(self) -> tuple[str, ...]:
        """What it looks at, conditions too."""
        return (self.signal, *(condition.signal for condition in self.when if condition.signal is not None))


@dataclass(frozen=True, kw_only=True)
class LineRule:
    """A line whose signal lies beyond a limit is removed."""

    id: str
    signal: str
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, kw_only=True)
class Edit:
    """What matches `remove` is removed from lines of at most `max_words` words; every match holds `contains`."""

    id: str
    remove: str  # regular expression, without regard to case
    contains: str
    max_words: int | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rules on documents, and before them what is done to their lines."""

    rules: tuple[Rule, ...]
    lines: tuple[LineRule | Edit, ...] = ()
    blank_lines: bool = True

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of its rules, those on lines first."""
        return tuple(rule.id for rule in (*self.lines, *self.rules))

    @property
    def signals(self) -> dict[str, None]:
        """What its rules on documents look at, in order."""
        return {name: None for rule in self.rules for name in rule.signals}


def load(name: str) -> Table:
    """Returns the table of that name in the package (`gopher`, `zh-web-v1`, …), or at that path if it names a file.

    Raises:
        ConfigError: there is no such table, or an entry of it is wrong.
    """
    if "/" in name or name.endswith((".yaml", ".yml")):
        return parse(resource(name).read(), name)
    if name not in shipped():
        raise ConfigError(
            f"quality: no rule table is called '{name}'{near(name, shipped())}; give one of them or a path"
        )
    return parse(resource(str(FOLDER / f"{name}.yaml")).read(), f"{name}.yaml")


def shipped() -> list[str]:
    """Returns the names of the tables of the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def parse(content: bytes, name: str) -> Table:
    """Returns a table; `name` is what errors call it. Whether its signals exist is for `check` to say.

    Raises:
        ConfigError: the content is no table of rules.
    """
    try:
        data = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: is no YAML: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("rules"), list):
        raise ConfigError(f"{name}: a rule table is a key 'rules' with a list of rules, and may have 'lines'")
    _check_keys(data, _TABLE_KEYS, name)
    lines, blank_lines = data.get("lines", []), data.get("blank_lines", True)
    if not isinstance(lines, list) or not isinstance(blank_lines, bool):
        raise ConfigError(f"{name}: 'lines' is a list of rules on lines, 'blank_lines' true or false")
    table = Table(
        rules=tuple(_rule(entry, f"{name}: rules[{number}]") for number, entry in enumerate(data["rules"])),
        lines=tuple(_line(entry, f"{name}: lines[{number}]") for number, entry in enumerate(lines)),
        blank_lines=blank_lines,
    )
    for number, identifier in enumerate(table.ids):
        if identifier in table.ids[:number]:
            place = f"lines[{number}]" if number < len(lines) else f"rules[{number - len(lines)}]"
            raise ConfigError(f"{name}: {place}: '{identifier}' is the id of a rule above; give each its own")
    return table


def check(tables: Mapping[str, Table], signals: Iterable[str], line_signals: Iterable[str]) -> None:
    """Raises ConfigError where a rule of a table names a signal that is none of these."""
    known, known_lines = list(signals), list(line_signals)
    for name, table in tables.items():
        for rule in table.rules:
            for signal in rule.signals:
                if signal not in known:
                    raise ConfigError(
                        f"quality: {name}: rule '{rule.id}': no signal is called '{signal}', and no step before this "
                        f"one makes such a column of numbers{_maker(signal) or near(signal, known)}"
                    )
        for line in table.lines:
            if isinstance(line, LineRule) and line.signal not in known_lines:
                raise ConfigError(
                    f"quality: {name}: rule '{line.id}': no signal of lines is called '{line.signal}'"
                    f"{near(line.signal, known_lines)}"
                )


def override(tables: Mapping[str, Table], limits: Mapping[str, Mapping[str, float | None]]) -> dict[str, Table]:
    """Returns the tables with the limits of single rules replaced, in every table that has the rule.

    Raises:
        ConfigError: no table has such a rule, or the limits are wrong.
    """
    known = sorted({identifier for table in tables.values() for identifier in table.ids})
    for identifier, given in limits.items():
        if identifier not in known:
            raise ConfigError(f"quality: limits: no rule is called '{identifier}'{near(identifier, known)}")
        _check_keys(given, SIDES, f"quality: limits.{identifier}")
    return {
        name: replace(
            table,
            rules=tuple(_limited(rule, limits.get(rule.id, {})) for rule in table.rules),
            lines=tuple(_limited_line(line, limits.get(line.id, {})) for line in table.lines),
        )
        for name, table in tables.items()
    }


def _limited(rule: Rule, given: Mapping[str, float | None]) -> Rule:
    if not given:
        return rule
    where = f"quality: limits.{rule.id}"
    low, high, shape = (
        _number(value, f"{where}.{side}") if value is not None else None
        for side in SIDES[:3]
        for value in [given.get(side, getattr(rule, side))]
    )
    _check_order(low, high, where)
    _check_draw(low, high, shape, where)
    return replace(rule, min=low, max=high, pareto=shape, seed=_seed(given.get("seed", rule.seed), where))


def _limited_line(line: LineRule | Edit, given: Mapping[str, float | None]) -> LineRule | Edit:
    if not given:
        return line
    where = f"quality: limits.{line.id}"
    if isinstance(line, Edit):
        raise ConfigError(f"{where}: this rule removes what matches, it has no limits; give a table without it")
    _check_keys(given, ("min", "max"), where)
    low, high = (
        _number(value, f"{where}.{side}") if value is not None else None
        for side in ("min", "max")
        for value in [given.get(side, getattr(line, side))]
    )
    _check_order(low, high, where)
    return replace(line, min=low, max=high)


def _maker(signal: str) -> str:
    """Returns which step to put before, where it is known to make the column."""
    if signal in SAFETY.names:
        return "; put the step safety before it"
    return "; put 'classify: {name: quality, model: …, positive: …}' before it" if signal == "quality" else ""


def near(word: str, known: Iterable[str]) -> str:
    """Returns ` (did you mean 'x'?)` for the known word most like `word`, or the known words if none is like it."""
    names = list(known)
    close = difflib.get_close_matches(word, names, 1)
    if close:
        return f" (did you mean '{close[0]}'?)"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f" (there are: {', '.join(names[:SHOWN])}{more})"


def plain(table: Table) -> dict[str, Any]:  # Any: JSON
    """Returns a table as JSON data that `of_plain` reads; what asks for nothing is left out."""
    return {
        "lines": [_held(line) for line in table.lines],
        "blank_lines": table.blank_lines,
        "rules": [
            _held(rule) | ({"when": [_held(item) for item in rule.when]} if rule.when else {}) for rule in table.rules
        ],
    }


def of_plain(data: Mapping[str, Any]) -> Table:  # Any: JSON
    """Returns the table that `plain` wrote."""
    return Table(
        rules=tuple(
            Rule(**{**rule, "when": tuple(Condition(**_tuples(item)) for item in rule.get("when", ()))})
            for rule in data["rules"]
        ),
        lines=tuple(Edit(**line) if "remove" in line else LineRule(**line) for line in data["lines"]),
        blank_lines=data["blank_lines"],
    )


def _held(value: Rule | LineRule | Edit | Condition) -> dict[str, Any]:  # Any: JSON
    return {name: held for name, held in vars(value).items() if held is not None and name != "when"}


def _tuples(item: Mapping[str, Any]) -> dict[str, Any]:  # Any: JSON
    return {name: tuple(held) if isinstance(held, list) else held for name, held in item.items()}


def _identified(entry: Any, where: str, form: str) -> str:  # Any: whatever the YAML holds
    if not isinstance(entry, dict):
        raise ConfigError(f"{where}: a rule is a mapping {form}, this is {entry!r}")
    if not isinstance(entry.get("id"), str) or not entry["id"]:
        raise ConfigError(f"{where}: has no id; give it a name that the ledger can call it by")
    where = f"{where} '{entry['id']}'"
    if not isinstance(entry.get("source"), str):
        raise ConfigError(f"{where}: has no source; say where its limit comes from")
    return where


def _rule(entry: Any, where: str) -> Rule:  # Any: whatever the YAML holds
    where = _identified(entry, where, "{id, signal, min, max, when, source}")
    _check_keys(entry, _RULE_KEYS, where)
    when = entry.get("when", [])
    shape = _number(entry["pareto"], f"{where}: pareto") if "pareto" in entry else None
    low, high = _limits(entry, where, needed=shape is None)
    _check_draw(low, high, shape, where)
    return Rule(
        id=entry["id"],
        signal=_signal(entry, where),
        min=low,
        max=high,
        pareto=shape,
        seed=_seed(entry.get("seed", 0), where),
        when=tuple(_condition(item, f"{where}: when") for item in (when if isinstance(when, list) else [when])),
    )


def _line(entry: Any, where: str) -> LineRule | Edit:  # Any: whatever the YAML holds
    where = _identified(entry, where, "{id, signal, min, max, source} or {id, remove, contains, max_words, source}")
    if "remove" not in entry:
        _check_keys(entry, _LINE_KEYS, where)
        low, high = _limits(entry, where)
        return LineRule(id=entry["id"], signal=_signal(entry, where), min=low, max=high)
    _check_keys(entry, _EDIT_KEYS, where)
    contains, most = entry.get("contains"), entry.get("max_words")
    if not isinstance(contains, str) or not contains:
        raise ConfigError(f"{where}: contains is a text that every match holds: lines without it are not looked at")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
        raise ConfigError(f"{where}: max_words is a number of words from 1, this is {most!r}")
    try:
        re.compile(entry["remove"])
    except (re.error, TypeError) as error:
        raise ConfigError(f"{where}: remove is no regular expression: {error}") from error
    return Edit(id=entry["id"], remove=entry["remove"], contains=contains, max_words=most)


def _condition(entry: Any, where: str) -> Condition:  # Any: whatever the YAML holds
    if not isinstance(entry, dict):
        raise ConfigError(
            f"{where}: a condition is {{signal, min, max}}, {{language: [...]}} or {{format: [...]}}, this is {entry!r}"
        )
    for key in ("language", "format"):
        if key in entry:
            _check_keys(entry, (key,), where)
            labels = tuple(_labels(entry[key], f"{where}: {key}"))
            return Condition(languages=labels) if key == "language" else Condition(formats=labels)
    _check_keys(entry, ("signal", "min", "max"), where)
    low, high = _limits(entry, where)
    return Condition(signal=_signal(entry, where), min=low, max=high)


def _labels(given: Any, where: str) -> Iterator[str]:  # Any: whatever the YAML holds
    labels = given if isinstance(given, list) else [given]
    if not labels or not all(isinstance(item, str) for item in labels):
        raise ConfigError(f"{where} is a label like zho_Hans or prose, or a list of them, this is {given!r}")
    yield from labels


def _signal(entry: Mapping[str, Any], where: str) -> str:
    name = entry.get("signal")
    if not isinstance(name, str):
        raise ConfigError(f"{where}: has no signal; `stages/quality/signals.py` lists those of the text")
    return name


def _limits(entry: Mapping[str, Any], where: str, *, needed: bool = True) -> tuple[float | None, float | None]:
    low, high = (_number(entry[side], f"{where}: {side}") if side in entry else None for side in ("min", "max"))
    if needed and low is None and high is None:
        raise ConfigError(f"{where}: has neither min nor max; give one, or both")
    _check_order(low, high, where)
    return low, high


def _number(value: Any, where: str) -> float:  # Any: whatever the YAML holds
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{where}: is {value!r}, not a number")
    return float(value)


def _seed(value: Any, where: str) -> int:  # Any: whatever the YAML holds
    number = _number(value, f"{where}: seed")
    if number != int(number) or number < 0:
        raise ConfigError(f"{where}: seed is a whole number from 0, this is {value!r}")
    return int(value)


def _check_draw(low: float | None, high: float | None, shape: float | None, where: str) -> None:
    if shape is None:
        return
    if low is not None or high is not None:
        raise ConfigError(f"{where}: pareto draws its limit, so there is neither min nor max beside it")
    if shape <= 0:
        raise ConfigError(f"{where}: pareto is the shape of a Pareto distribution, above 0, this is {shape:g}")


def _check_order(low: float | None, high: float | None, where: str) -> None:
    if low is not None and high is not None and low > high:
        raise ConfigError(f"{where}: min {low:g} is above max {high:g}; every document would break the rule")


def _check_keys(entry: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in entry:
        if key not in known:
            raise ConfigError(f"{where}: unknown key '{key}'{near(str(key), known)}")
