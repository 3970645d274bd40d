"""Numbers as a reader is shown them, by their unit; what they are exactly is said beside."""

from __future__ import annotations

import math

from stages.audit.model import Cell, Unit

UNKNOWN = "–"
_LEAST = 1e-4  # smaller ones, of hundredths too, are only said to be so; `exactly` has their digits
_MINUS = "\u2212"
_POWERS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_PLAIN = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹" + _MINUS, "-0123456789-", ",")
_THOUSANDS = ((10**12, "T"), (10**9, "B"), (10**6, "M"))
_BINARY = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def number_of(cell: Cell) -> float | None:
    """Returns the number that a cell holds; None for words, nothing, and what is no number.

    >>> number_of(3), number_of("3"), number_of(math.nan)
    (3.0, None, None)
    """
    if isinstance(cell, str) or cell is None:
        return None
    value = float(cell)
    return value if math.isfinite(value) else None


def told(cell: Cell, unit: Unit, *, tiny: bool = False) -> str:
    """Returns a cell in few characters: 3 or 4 digits, but every one of counts below a million.

    Numbers near 0 are only said to be so, unless `tiny` asks for their powers of ten, as the ticks of an axis do.

    >>> told(0.12345, "share"), told(1234567, "tokens"), told(1536, "bytes"), told(12345, "documents")
    ('12.3%', '1.23M', '1.5 KiB', '12,345')
    >>> told(6.9e-6, "number"), told(6.9e-6, "number", tiny=True)
    ('<0.0001', '6.9×10⁻⁶')
    """
    if isinstance(cell, str):
        return cell
    value = number_of(cell)
    if value is None or cell is None:
        return UNKNOWN
    if unit == "text":
        return str(cell)
    sign, size = (_MINUS, -value) if value < 0 else ("", value)
    percent = "%" if unit == "share" else ""
    if unit in ("share", "number") and 0 < size < (_LEAST / 100 if percent else _LEAST) and not tiny:
        return f"{'>' if sign else '<'}{sign}{_LEAST:.4f}{percent}"
    if percent:
        return f"{sign}{_digits(size * 100, 3)}%"
    if unit == "bytes":
        return sign + next(
            (f"{_digits(size / one, 3)} {name}" for one, name in _BINARY if size >= one), f"{size:.4g} B"
        )
    if unit in ("tokens", "characters", "documents"):
        for one, name in _THOUSANDS:
            if size >= one and unit != "documents":
                return f"{sign}{_digits(size / one, 3)}{name}"
    return sign + (f"{int(size):,}" if isinstance(cell, int) else _digits(size, 4))


def exactly(cell: Cell, unit: Unit) -> str | None:
    """Returns all of a number where `told` leaves something out, else None.

    >>> exactly(1234567, "tokens"), exactly(12, "tokens"), exactly(0.125, "share")
    ('1,234,567', None, None)
    """
    value = number_of(cell)
    if value is None or unit == "text":
        return None
    percent = unit == "share"
    shown = told(cell, unit).removesuffix("%" if percent else " B")
    if _same(shown, value * 100 if percent else value):
        return None
    if percent:
        return f"{value * 100:.6g}%"
    return f"{int(value):,}" if value.is_integer() and abs(value) < 2**63 else repr(value)


def _same(shown: str, value: float) -> bool:
    try:
        return math.isclose(float(shown.translate(_PLAIN).replace("×10", "e")), value, rel_tol=1e-9)
    except ValueError:
        return False


def _digits(size: float, digits: int) -> str:
    """Returns a size that is not negative with so many digits that tell."""
    if size == 0:
        return "0"
    if size < 1e-4 or size >= 1e15:
        mantissa, _, power = f"{size:.{digits - 1}e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}×10{str(int(power)).translate(_POWERS)}"
    places = max(0, digits - 1 - math.floor(math.log10(size)))
    text = f"{size:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
