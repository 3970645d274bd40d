"""Amounts of tokens and parameters as people write them: 300_000_000_000, 3e11, "300B", "7e9"."""

from __future__ import annotations

import re
from fractions import Fraction

from datapipe import ConfigError

Amount = int | float | str
MOST = 10**15  # so that sums of a thousand groups fit into 64 bits
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_WRITTEN = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?(?:e\+?[0-9]{1,3})?)\s*([KMBT]?)\s*", re.IGNORECASE)


def amount(value: Amount, where: str) -> int:
    """Returns a whole number of at least 1; K, M, B and T are thousands to trillions.

    >>> amount("1.4T", "tokens"), amount(3e11, "tokens"), amount("7e9", "params")
    (1400000000000, 300000000000, 7000000000)

    Raises:
        ConfigError: it is none, no positive one, or above 10 ** 15; `where` stands in front.
    """
    written = _WRITTEN.fullmatch(
        value if isinstance(value, str) else f"{value:d}" if isinstance(value, int) else repr(value)
    )
    number = Fraction(written[1].replace("_", "")) * _UNITS[written[2].upper()] if written else Fraction(0)
    if number.denominator != 1 or not 1 <= number <= MOST:
        say = "more than can be counted" if number > MOST else "not a positive whole number"
        raise ConfigError(f"{where}: {value} is {say}; such are 300_000_000_000, 3e11 and 300B")
    return int(number)
