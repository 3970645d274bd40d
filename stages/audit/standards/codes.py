"""What others call what we name: language codes of a hub, its licence ids, and where licences are found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

# ISO 639-3 to 639-1 of what the step `language` tells apart; others keep three letters, which the hub takes too.
_SHORT: Final = {
    "ara": "ar", "arb": "ar", "ben": "bn", "bod": "bo", "bul": "bg", "cat": "ca", "ces": "cs", "dan": "da", "deu": "de",
    "ell": "el", "eng": "en", "est": "et", "fas": "fa", "fin": "fi", "fra": "fr", "heb": "he", "hin": "hi", "hrv": "hr",
    "hun": "hu", "ind": "id", "ita": "it", "jpn": "ja", "kaz": "kk", "kor": "ko", "lit": "lt", "lvs": "lv", "mon": "mn",
    "mya": "my", "nld": "nl", "nob": "nb", "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru", "slk": "sk", "slv": "sl",
    "spa": "es", "srp": "sr", "swe": "sv", "tam": "ta", "tha": "th", "tur": "tr", "uig": "ug", "ukr": "uk", "urd": "ur",
    "uzn": "uz", "vie": "vi", "zho": "zh", "cmn": "zh",
}  # fmt: skip
_NO_SCRIPT: Final = {"Latn", "Jpan", "Kore", "Cyrl"}  # what BCP 47 leaves out of the tags of the languages above
_NONE: Final = ("mixed", "und", "")  # labels that are no language

# Licence ids of the hub (docs/hub/repositories-licenses.md of huggingface/hub-docs, read 2026-11): most are SPDX ids in
# small letters; these are not.
_HUB_LICENCES: Final = frozenset(
    "apache-2.0 mit openrail afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc "
    "cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 "
    "cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 "
    "cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl "
    "gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl osl-3.0 postgresql ofl-1.1 "
    "ncsa "
    "unlicense zlib pddl unknown other".split()
)
_OTHERWISE: Final = {"odc-by-1.0": "odc-by", "odbl-1.0": "odbl", "pddl-1.0": "pddl", "cc-by": "cc"}
_ENDS: Final = ("-only", "-or-later")
_SPDX: Final = "https://spdx.org/licenses/"
_NAMED: Final = {  # SPDX ids of common licences for data, text and code, by small letters: only these get a page
    name.lower(): name
    for name in (
        "Apache-2.0 MIT BSD-2-Clause BSD-3-Clause CC0-1.0 CC-BY-3.0 CC-BY-4.0 CC-BY-SA-3.0 CC-BY-SA-4.0 CC-BY-NC-4.0 "
        "CC-BY-NC-SA-4.0 CC-BY-ND-4.0 CC-BY-NC-ND-4.0 CDLA-Permissive-1.0 CDLA-Permissive-2.0 CDLA-Sharing-1.0 "
        "EPL-2.0 EUPL-1.2 GPL-2.0-only GPL-2.0-or-later GPL-3.0-only GPL-3.0-or-later LGPL-2.1-only LGPL-3.0-only "
        "AGPL-3.0-only AGPL-3.0-or-later MPL-2.0 ODC-By-1.0 ODbL-1.0 PDDL-1.0 ISC Unlicense Zlib MulanPSL-2.0 "
        "MulanPubL-2.0 OGL-UK-3.0 etalab-2.0"
    ).split()
}
SIZES: Final = ("<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B",
                "10B<n<100B", "100B<n<1T")  # fmt: skip


def hub_languages(labels: Iterable[str | None]) -> list[str]:
    """Returns the codes that a hub's card takes, in the order of our labels.

    >>> hub_languages(["eng_Latn", "zho_Hans", "mixed", "zho_Hant", "lzh_Hant", None])
    ['en', 'zh', 'lzh']
    """
    codes = (label.partition("_")[0] for label in labels if label and label not in _NONE)
    return list(dict.fromkeys(_SHORT.get(code, code) for code in codes if code.isascii() and 2 <= len(code) <= 3))


def bcp47(labels: Iterable[str | None]) -> list[str]:
    """Returns labels as tags of BCP 47: the script where it tells something.

    >>> bcp47(["eng_Latn", "zho_Hans", "und", "lzh_Hant"])
    ['en', 'zh-Hans', 'lzh-Hant']
    """
    made = []
    for label in labels:
        if not label or label in _NONE:
            continue
        (code,), script = hub_languages([label]) or [""], label.partition("_")[2]
        if code:
            made.append(f"{code}-{script}" if script and script not in _NO_SCRIPT else code)
    return list(dict.fromkeys(made))


def hub_licence(licence: str | None) -> str:
    """Returns the id by which a hub knows a licence; `unknown` where none is stated, `other` where it has no id.

    >>> hub_licence("Apache-2.0"), hub_licence("GPL-3.0-or-later"), hub_licence("Terms of mine"), hub_licence(None)
    ('apache-2.0', 'gpl-3.0', 'other', 'unknown')
    """
    if not licence:
        return "unknown"
    name = licence.strip().lower()
    for end in _ENDS:
        name = name.removesuffix(end)
    name = _OTHERWISE.get(name, name)
    return name if name in _HUB_LICENCES else "other"


def licence_url(licence: str | None) -> str | None:
    """Returns the page of a licence whose SPDX id we know, None of another.

    >>> licence_url("cc-by-4.0"), licence_url("Terms of mine")
    ('https://spdx.org/licenses/CC-BY-4.0.html', None)
    """
    name = _NAMED.get((licence or "").strip().lower())
    return f"{_SPDX}{name}.html" if name else None


def size_category(rows: int) -> str:
    """Returns the hub's class of a number of rows.

    >>> size_category(999), size_category(1000), size_category(5893), size_category(10**12)
    ('n<1K', '1K<n<10K', '1K<n<10K', 'n>1T')
    """
    for power, name in enumerate(SIZES, 3):
        if rows < 10**power:
            return f"n{name}" if name.startswith("<") else name
    return "n>1T"
