"""Languages and their labels: what a model calls them, and what we do (`zho_Hans`: ISO 639-3 and ISO 15924).

`languages.tsv` has the languages that fastText's lid.176 tells and the scripts they are written in; a model may know
others, which keep their own code and may be of any script.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stages.language.pieces import GROUPS
from stages.language.tables import HANGUL, SCRIPTS

UNDETERMINED, MIXED = "und", "mixed"
LABEL = re.compile(r"[a-z]{3}(_[A-Z][a-z]{3})?|mixed")

_FILE = Path(__file__).with_name("languages.tsv")
_HAN_BY_DEFAULT = {"yue": "Hant"}  # where a text has no character that only one standard writes


@functools.cache
def _languages() -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Returns (ISO 639-3 code by any code, scripts by ISO 639-3 code)."""
    codes: dict[str, str] = {}
    scripts: dict[str, tuple[str, ...]] = {}
    for line in _FILE.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            name, others, written = line.split("\t")
            scripts[name] = tuple(written.split(","))
            codes |= dict.fromkeys((name, *others.split(",")), name)
    return codes, scripts


def language_of(label: str) -> str:
    """Returns the ISO 639-3 code of a model's label.

    >>> [language_of(label) for label in ("zh", "cmn_Hani", "zho_Hant", "als", "als_Latn")]
    ['zho', 'zho', 'zho', 'gsw', 'sqi']
    """
    code, parted, _ = label.partition("_")
    codes, _ = _languages()
    return codes.get(f"{code}_", codes.get(code, code)) if parted else codes.get(code, code)


def fits(languages: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Returns bool[languages, GROUPS]: is the language written in the script? `und` and unknown ones are in all."""
    _, scripts = _languages()
    table = np.ones((len(languages), GROUPS), bool)
    for number, language in enumerate(languages):
        if language in scripts:
            table[number] = [script in scripts[language] for script in SCRIPTS]
    return table


def label_of(language: str, script: int, han: str | None) -> str:
    """Returns our label of a language met in a script; `han` is `Hans` or `Hant`, None where no character tells.

    >>> label_of("zho", 3, "Hant"), label_of("jpn", 3, None), label_of("kor", 3, "Hant"), label_of("srp", 8, None)
    ('zho_Hant', 'jpn_Jpan', 'kor_Hang', 'srp_Cyrl')
    """
    if language == UNDETERMINED:
        return UNDETERMINED
    if language == "jpn":
        return "jpn_Jpan"
    if language == "kor":
        return f"kor_{SCRIPTS[HANGUL]}"
    if SCRIPTS[script] == "Hani":
        return f"{language}_{han or _HAN_BY_DEFAULT.get(language, 'Hans')}"
    return f"{language}_{SCRIPTS[script]}"
