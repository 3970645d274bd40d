"""Writes `kinds.bin`, the kinds of characters that words are cut by: run once by a developer, as a module.

They are asked of the regular expressions of `tokenizers` itself; it was 0.23.3. Format: runs of equal kind in the order
of code points, 5 bytes each: first code point (uint32, little-endian), kind.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from tokenizers import Regex, pre_tokenizers

from stages.tokens.splits import ALL_HAN
from stages.tokens.words import FROZEN, HAN, HAN_NUMBER, HAN_SIGN, LETTER, NEWLINE, NUMBER, RUN, SIGN, SPACE

_HAN = ALL_HAN.removesuffix("+")
# Those that come first count: 〇 is a number and Han.
PATTERNS = (
    (HAN_NUMBER, rf"[{_HAN}&&\p{{N}}]"),
    (HAN_SIGN, rf"[{_HAN}&&[\p{{P}}\p{{S}}]]"),
    (HAN, _HAN),
    (NUMBER, r"\p{N}"),
    (LETTER, r"[\p{L}\p{M}]"),
    (SIGN, r"[\p{P}\p{S}]"),
    (NEWLINE, "[\r\n]"),
    (SPACE, r"\s"),
)


def ask(points: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Returns the kinds of code points (no surrogates) as the library has them, uint8[points]."""
    text = "".join(map(chr, points))
    found = np.zeros(len(points), np.uint8)
    for kind, pattern in reversed(PATTERNS):
        split = pre_tokenizers.Split(Regex(f"{pattern}+"), "removed")
        outside = np.zeros(len(points), bool)
        for _, (start, end) in split.pre_tokenize_str(text):
            outside[start:end] = True
        found[~outside] = kind
    return found


def runs() -> bytes:
    """Returns the content of `kinds.bin`."""
    points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    found = np.zeros(0x110000, np.uint8)
    found[points] = ask(points)
    first = np.concatenate([[0], np.flatnonzero(np.diff(found)) + 1])
    table = np.empty(len(first), RUN)
    table["first"], table["kind"] = first, found[first]
    return table.tobytes()


if __name__ == "__main__":
    FROZEN.write_bytes(runs())
    print(f"{FROZEN}: {FROZEN.stat().st_size:,} bytes")
