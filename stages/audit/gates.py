"""Limits that a figure must keep, as people write them, and whether what was measured keeps them.

    - host.top10 < .15
    - survival.zho_Hant > 70%
    - change.hosts.top10.tokens < .02
    - gate: kinds.languages.zho_Hant.tokens >= 1_000_000
      why: the share of Hant that was agreed on
      sure: true

A name is a key of what was measured. Found too, in this order, is one of which the weighting is left out (`hosts.top10`
is `hosts.top10.tokens`, and of documents where nothing else is counted), one without its beginning
(`languages.zho_Hant.tokens` is `kinds.languages.zho_Hant.tokens`), and each with an s more or less at the end of its
first word (`host.top10`). Names of groups and rules stand as they are. Where several are meant, the first of the report
is; a judgement names the one that it is of.

A figure that is not there fails its gate: what cannot be told has not been kept. A name whose first word is of no
figure at all is a mistake in the file.
"""

from __future__ import annotations

import difflib
import math
import operator
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import yaml

from datapipe import ConfigError, storage

KEYS: Final = ("gate", "why", "sure")
CHANGE: Final = "change."  # before the name of a figure: how much it changed
WEIGHTINGS: Final = ("tokens", "documents")  # of a name that has none, the first that is there
NEAR: Final = 3  # names that are named for one that is not there
SIGNS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}
_FORM: Final = re.compile(r"\s*(?P<name>[^<>=!]*?)\s*(?P<sign><=|>=|==|!=|<|>|=)\s*(?P<limit>[^<>=!]*?)\s*")
_NUMBER: Final = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


class Measured(NamedTuple):
    """A figure, with the borders of its 95 % interval where it has one; None, and why, where it is not known.

    `drawn` is one of documents that were looked at: without an interval, nothing is sure of it. `is_count` is a number
    of documents, tokens, characters or bytes: it is no weighting of a share, and is named in full.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    why: str = ""
    drawn: bool = False
    is_count: bool = False


@dataclass(frozen=True)
class Gate:
    """That a figure is below a limit, above it, or what `sign` says; with `sure` the whole of its interval is."""

    name: str
    sign: str
    limit: float
    why: str = ""
    sure: bool = False
    place: str = ""  # file and line

    def __str__(self) -> str:
        return f"{self.name} {self.sign} {plain(self.limit)}"


@dataclass(frozen=True)
class Judged:
    """What became of a gate: `name` is the figure that it is of, `why` the reason where it has not passed."""

    gate: Gate
    name: str
    value: float | None
    low: float | None
    high: float | None
    passed: bool
    why: str = ""


def plain(number: float) -> str:
    """Returns a number as it is written in a gate, of the same value.

    >>> plain(0.15), plain(70.0), plain(1e-9)
    ('0.15', '70', '1e-09')
    """
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def parse(text: str, *, why: str = "", sure: bool = False, place: str = "") -> Gate:
    """Returns the gate that a line says. Raises ConfigError, which begins with `place`, where it says none.

    >>> str(parse("host.top10 < .15")), parse("survival.zho_Hant>=70%").limit
    ('host.top10 < 0.15', 0.7)
    """
    where = f"{place}: " if place else ""
    found = _FORM.fullmatch(text)
    if found is None or not found["name"]:
        raise ConfigError(
            f"{where}'{text}' is no gate: write the name of a figure, one of {' '.join(SIGNS)} and a number, such as "
            "host.top10 < .15"
        )
    limit = _number(found["limit"])
    if limit is None:
        raise ConfigError(f"{where}'{text}': '{found['limit']}' is no number; write .15, 15% or 1e-3")
    sign = "=" if found["sign"] == "==" else found["sign"]
    return Gate(found["name"], sign, limit, why, sure, place)


def _number(text: str) -> float | None:
    share = text.endswith("%")
    digits = text.removesuffix("%").rstrip()
    if not _NUMBER.fullmatch(digits):
        return None
    number = float(digits.replace("_", "")) / (100 if share else 1)
    return number if math.isfinite(number) else None


# Reading them


def read_gates(path: str | os.PathLike[str]) -> tuple[Gate, ...]:
    """Returns the gates of a YAML file, in order; it may lie in a store.

    Raises:
        ConfigError: it cannot be read, or a gate is not as it should be; the message names the line.
    """
    where = os.fspath(path)
    try:
        text = storage.read_bytes(where).decode()
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: cannot be read as gates ({error})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(root, yaml.SequenceNode) or not root.value:
        raise ConfigError(f"{where}: gates are a list, a line each, such as\n- host.top10 < .15")
    return tuple(_gate(node, f"{where}: line {node.start_mark.line + 1}") for node in root.value)


def _gate(node: yaml.Node, place: str) -> Gate:
    if isinstance(node, yaml.ScalarNode):
        return parse(node.value, place=place)
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{place}: a gate is a line such as host.top10 < .15, or a mapping with the key gate")
    held: dict[str, str] = {}
    for key, value in node.value:
        line = f"{place.rpartition(' ')[0]} {key.start_mark.line + 1}"
        if key.value not in KEYS:
            near = f" (did you mean '{close[0]}'?)" if (close := close_to(str(key.value), KEYS, 1)) else ""
            raise ConfigError(f"{line}: unknown key '{key.value}'{near}; known are: {', '.join(KEYS)}")
        if key.value in held:
            raise ConfigError(f"{line}: the key '{key.value}' stands twice")
        if not isinstance(value, yaml.ScalarNode):
            raise ConfigError(f"{line}: {key.value}: is one value, not a list or a mapping")
        if key.value == "sure" and value.tag != "tag:yaml.org,2002:bool":
            raise ConfigError(f"{line}: sure: is true or false, not '{value.value}'")
        held[key.value] = value.value
    if "gate" not in held:
        raise ConfigError(f"{place}: the key gate is missing: it holds a line such as host.top10 < .15")
    return parse(held["gate"], why=held.get("why", ""), sure=_is_true(held.get("sure", "false")), place=place)


def _is_true(text: str) -> bool:
    return text.lower() in ("true", "yes", "on")  # what YAML 1.1 has for it


# Finding what they name


def found(name: str, names: Iterable[str]) -> str | None:
    """Returns which of the names is meant, None where none is.

    >>> found("host.top10", ["hosts.top1.tokens", "hosts.top10.documents", "hosts.top10.tokens"])
    'hosts.top10.tokens'
    >>> found("languages.zho_Hant.tokens", ["kinds.languages.zho_Hant.tokens"])
    'kinds.languages.zho_Hant.tokens'
    """
    there = names if isinstance(names, Collection) else list(names)
    if name in there:
        return name
    before = CHANGE if name.startswith(CHANGE) else ""
    ours = [one.removeprefix(CHANGE) for one in there if one.startswith(CHANGE) == bool(before)]
    asked = name.removeprefix(CHANGE)
    wanted = [asked, *(f"{asked}.{weighting}" for weighting in WEIGHTINGS)]
    for made in (str, singular):
        for one in wanted:
            same = next((other for other in ours if made(other) == made(one)), None)
            if same is not None:
                return before + same
        for one in wanted if "." in asked else ():  # a word alone would be the end of too many
            ending = next((other for other in ours if _ends(made, other, made(one))), None)
            if ending is not None:
                return before + ending
    return None


def _ends(made: Callable[[str], str], name: str, wanted: str) -> bool:
    """Returns whether a name without its first word, or its first two, is what is wanted."""
    for _ in range(2):
        name = name.partition(".")[2]
        if name and made(name) == wanted:
            return True
    return False


def singular(name: str) -> str:
    """Returns a name with no s at the end of its first word.

    >>> singular("hosts.top10.tokens"), singular("host.news")
    ('host.top10.tokens', 'host.news')
    """
    first, dot, rest = name.partition(".")
    return first.removesuffix("s") + dot + rest


def close_to(name: str, names: Iterable[str], most: int = NEAR) -> list[str]:
    """Returns the names that are most like one that is not there, the likest first."""
    return difflib.get_close_matches(name, sorted(set(names)), most, cutoff=0.5)


# Judging


def judge(gate: Gate, measured: Mapping[str, Measured], families: Collection[str] = ()) -> Judged:
    """Returns whether what was measured keeps a gate; what is not there has not passed.

    `families` are first words of names that might be measured, though nothing of them is here.

    Raises:
        ConfigError: no figure's name begins so; the message names the line, and names that may have been meant.
    """
    name = _meant(gate.name, measured)
    if name is None:
        near = close_to(gate.name, measured)
        meant = f"; near it are: {', '.join(near)}" if near else ""
        if not _known(gate.name, measured, families):
            where = f"{gate.place}: " if gate.place else ""
            raise ConfigError(f"{where}{gate}: no figure is called '{gate.name}'{meant}")
        return Judged(gate, gate.name, None, None, None, False, f"there is none here{meant}")
    one = measured[name]
    if one.value is None or math.isnan(one.value):
        return Judged(gate, name, None, None, None, False, one.why or "it is not known")
    why = _broken(gate, one.value, one)
    return Judged(gate, name, one.value, one.low, one.high, not why, why)


def _meant(name: str, measured: Mapping[str, Measured]) -> str | None:
    """Returns which figure is meant; a count is none of which the weighting was left out."""
    one = found(name, measured)
    if one is None or not measured[one].is_count:
        return one
    last = one.rpartition(".")[2]
    if last not in WEIGHTINGS or name.endswith(f".{last}"):
        return one
    return found(name, [other for other, its in measured.items() if not its.is_count])


def judge_all(
    gates: Sequence[Gate], measured: Mapping[str, Measured], families: Collection[str] = ()
) -> tuple[Judged, ...]:
    """Returns what became of each gate. Raises ConfigError for the first that names no figure."""
    return tuple(judge(gate, measured, families) for gate in gates)


def _known(name: str, measured: Iterable[str], families: Collection[str]) -> bool:
    word = singular(name.removeprefix(CHANGE)).partition(".")[0]
    firsts = {singular(other.removeprefix(CHANGE)).partition(".")[0] for other in measured}
    return word in firsts or word in {family.removesuffix("s") for family in families}


def _broken(gate: Gate, value: float, one: Measured) -> str:
    """Returns why a gate has not passed, nothing where it has."""
    holds = SIGNS[gate.sign]
    limit = plain(gate.limit)
    if not holds(value, gate.limit):
        return f"{told(value)} is not {gate.sign} {limit}"
    if not gate.sure or (one.low is None and one.high is None and not one.drawn):
        return ""
    if one.low is None or one.high is None:
        return f"{told(value)} is {gate.sign} {limit}, but not surely: it was drawn, and has no interval"
    if all(holds(border, gate.limit) for border in (one.low, one.high)) and not (
        gate.sign == "!=" and one.low < gate.limit < one.high
    ):
        return ""
    interval = f"{told(one.low)} to {told(one.high)}"
    return f"{told(value)} is {gate.sign} {limit}, but not surely: its 95% interval is {interval}"


def told(number: float) -> str:
    """Returns a number for a person, of at most six digits.

    >>> told(0.123456789), told(7064.0), told(1234567.0)
    ('0.123457', '7,064', '1,234,567')
    """
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:,.6g}"


# For those who print them


def rows(judged: Iterable[Judged]) -> Iterator[dict[str, Any]]:  # Any: JSON
    """Yields each judgement as plain data: of the figure that it is of, its value, the limit and the reasons."""
    for one in judged:
        gate = one.gate
        yield {
            "gate": str(gate),
            "name": one.name,
            "value": one.value,
            "low": one.low,
            "high": one.high,
            "sign": gate.sign,
            "limit": gate.limit,
            "sure": gate.sure,
            "passed": one.passed,
            "why": one.why,
            "because": gate.why,
        }
