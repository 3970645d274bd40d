"""Lines that commands print: what would act on a terminal in an address or a text of a document is written out.

A page chooses its own address and text, so both may hold what clears a screen, hides a line or turns letters around.
"""

from __future__ import annotations

import re
from typing import Final

# Control characters but for the tab, and what sets the direction of letters or ends a line.
_ACTS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def shown(line: str) -> str:
    r"""Returns a line with `\u001b` for the character of that number, as JSON has it: a line of JSON means the same.

    >>> shown("https://天.example/\x1b[2J\n\u202egnp.exe")
    'https://天.example/\\u001b[2J\\u000a\\u202egnp.exe'
    """
    return _ACTS.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
