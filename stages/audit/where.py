"""Conditions on documents, as a figure's command has them: `host=example.cn`, `quality<0.4`, `licence=none`.

`=` and `!=` part all documents in two; a value `none`, or an empty one, stands for what is not known. `*` in a value is
any run of characters, `~` looks for a piece of the text. Numbers and texts compare by `<`, `<=`, `>`, `>=`: a document
of which the value is not known is on neither side. Values as a report shows them (masked, written out, cut) mean the
documents of which it would show that.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ConfigError
from stages.audit.hostile import CUT, END, TAB, harmless
from stages.pii.find import MASKS

Mask = npt.NDArray[np.bool_]

LISTED: Final = 1000  # characters of the names that there are
NONE: Final = ("", "none")
_FORM = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.]*)(\s*)(!=|<=|>=|==|=|<|>|~)(.*)", re.DOTALL)
_ORDERS: Final[dict[str, Callable[..., pa.ChunkedArray]]] = {
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_SHOWN = re.compile("|".join([rf"{CUT}\Z", END, TAB, r"\\u[0-9a-f]{4}", r"\*\*\*@", *map(re.escape, MASKS.values())]))
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")
_LISTED = re.compile(r"[\w.-]+")  # a name in `contamination`, which stands before a colon or a blank
LISTS: Final = ("contamination",)  # columns of several names, of which = asks for one


@dataclass(frozen=True)
class Condition:
    """That the value of `name` compares with `value` as `sign` says."""

    name: str
    sign: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Returns the condition that a word of a command says. Raises ConfigError where it says none."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise ConfigError(
                f"'{harmless(text)}': is no condition: write name=value, or name and one of != < <= > >= ~ (a piece of "
                "it) and a value, such as host=example.cn 'quality<0.4' licence=none"
            )
        value = found[4].strip() if found[2] else found[4]  # where blanks stand around the sign, they are none of it
        return cls(found[1], "=" if found[3] == "==" else found[3], value)

    def __str__(self) -> str:
        return harmless(f"{self.name}{self.sign}{self.value}")

    def holds(self, values: pa.ChunkedArray) -> Mask:
        """Returns which of the values it is true of. Raises ConfigError where they are of a kind it cannot speak of."""
        missing = _missing(values)
        if self.value.strip().lower() in NONE and self.sign in ("=", "!="):
            return missing if self.sign == "=" else ~missing
        if self.sign == "=":
            return self._equal(values) & ~missing
        if self.sign == "!=":
            return ~(self._equal(values) & ~missing)
        if self.sign == "~":
            if not _is_text(values.type):
                raise ConfigError(f"'{self}': {self.name} is {values.type}, and ~ looks for a piece of a text")
            return _mask(pc.match_substring(values, self.value))
        if pa.types.is_boolean(values.type) or pa.types.is_binary(values.type) or _is_id(values.type):
            raise ConfigError(f"'{self}': {self.name} is {values.type}, which has no order: use = or !=")
        return _mask(_ORDERS[self.sign](values, self._scalar(values.type))) & ~missing

    def _equal(self, values: pa.ChunkedArray) -> Mask:
        if not _is_text(values.type):
            return _mask(pc.equal(values, self._scalar(values.type)))
        if self.name in LISTS:
            return _mask(pc.match_substring_regex(values, rf"(^|[ ,;]){re.escape(self.value)}($|[^\w.-])"))
        same = _mask(pc.equal(values, self.value))
        if _SHOWN.search(self.value):
            same |= _each(values, lambda text: harmless(text, len(self.value)) == self.value)
        if "*" in self.value:
            pattern = ".*".join(re.escape(piece) for piece in self.value.split("*"))
            same |= _mask(pc.match_substring_regex(values, f"(?s)^{pattern}$"))
        return same

    def _scalar(self, kind: pa.DataType) -> pa.Scalar:
        if _is_text(kind):
            return pa.scalar(self.value)
        text = self.value.strip().replace("_", "").replace(",", "")
        if _is_id(kind):
            if not re.fullmatch(r"[0-9a-fA-F]{32}", text):
                raise ConfigError(f"'{self}': {self.name} is an id of 32 hex digits")
            return pa.scalar(bytes.fromhex(text), kind)
        if pa.types.is_boolean(kind):
            if text.lower() not in (*_TRUE, *_FALSE):
                raise ConfigError(f"'{self}': {self.name} is true, false or none")
            return pa.scalar(text.lower() in _TRUE)
        try:
            if pa.types.is_floating(kind):
                return pa.scalar(float(text), kind)  # 0.3 is what the column has for 0.3
            return pa.scalar(int(text)) if re.fullmatch(r"[+-]?\d{1,18}", text) else pa.scalar(float(text))
        except ValueError as error:
            raise ConfigError(f"'{self}': {self.name} is a number; '{harmless(self.value)}' is none") from error


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_id(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_binary(kind))


def _mask(values: pa.ChunkedArray) -> Mask:
    made: Mask = np.asarray(pc.fill_null(values, False)).astype(bool)
    return made


def _missing(values: pa.ChunkedArray) -> Mask:
    """Returns which values are not known: null, NaN, and texts of no character."""
    if _is_text(values.type):
        return _mask(pc.fill_null(pc.equal(values, ""), True))
    return _mask(pc.is_null(values, nan_is_null=True))


def _each(values: pa.ChunkedArray, test: Callable[[str], bool]) -> Mask:
    """Returns of which texts something is true, each distinct one looked at once."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    coded = whole.dictionary_encode()
    found = pa.array([test(text) for text in coded.dictionary.to_pylist()], pa.bool_())
    return _mask(found.take(coded.indices) if len(found) else pa.nulls(len(whole), pa.bool_()))


def unknown(what: str, name: str, known: Iterable[str]) -> ConfigError:
    """Returns the error for a name that is not among those there are, with the one that may have been meant."""
    names = sorted({harmless(one, 60) for one in known})
    close = get_close_matches(name, names, n=1)
    meant = f" (did you mean '{close[0]}'?)" if close else ""
    there = textwrap.shorten(", ".join(names), LISTED, placeholder=" …")
    return ConfigError(f"no {what} is called '{harmless(name, 60)}'{meant}; there are: {there or 'none'}")
