"""Chinese that a machine spoilt: pinyin after each character, and Simplified text made Traditional, wholly or in part.

A converter that knows characters only writes what nobody does: 裡麵, 隻有, 製度, 皇後. Such pairs tell its pages from
genuine Traditional text, which is never converted.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import opencc

from stages.repair.change import Change
from stages.repair.rules import Rules
from stages.repair.screen import ONLY_HANS, ONLY_HANT, scripts

_HAN: Final = "[\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
_HANS: Final = re.compile(_HAN)
_RUN: Final = re.compile(f"{_HAN}+")
_SYLLABLE: Final = "[bpmfdtnlgkhjqxrzcsyw]?h?(?:[aeiouüvāáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜêńňǹ]{1,3}(?:ng|n|r)?|ng?|m)[1-4]?"
_ANNOTATION: Final = re.compile(rf"(?<={_HAN})(?:\({_SYLLABLE}\)|（{_SYLLABLE}）)")
_OTHERS: Final = re.compile("[ぁ-ヿㇰ-ㇿ가-힣ᄀ-ᇿ]")
OTHERS_RATIO: Final = 0.02  # kana and Hangul for one Han, above which it is Japanese or Korean, which mix the forms
RUN_LETTERS: Final = 4  # characters of either script in a run that says whether it mixes


def mend(text: str, rules: Rules) -> Iterator[Change]:
    """Yields the text without annotations, then in Simplified characters where a machine had converted it."""
    annotated = False
    if rules.has("pinyin"):
        change = _without_pinyin(text, rules)
        if change is not None:
            annotated, text = True, change.text
            yield change
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
    table = scripts()
    kinds: npt.NDArray[np.uint8] = table[np.where(codes < len(table), codes, 0)]
    hant, hans = int((kinds == ONLY_HANT).sum()), int((kinds == ONLY_HANS).sum())
    if not hant:
        return
    if _is_converted(text, rules, annotated, hant, hans) and _is_chinese(text):
        yield _simplified("converted_script", text)
    elif _is_mixed(text, rules, hant, hans, kinds) and _is_chinese(text):
        yield _simplified("mixed_script", text)


def _without_pinyin(text: str, rules: Rules) -> Change | None:
    found = _ANNOTATION.findall(text)
    rule = rules["pinyin"]
    if len(found) < rule.limit("least"):
        return None
    if 1000 * len(found) < rule.limit("per_1000_han") * len(_HANS.findall(text)):
        return None
    return Change.of("pinyin", _ANNOTATION.sub("", text), sum(map(len, found)), " ".join(found))


def _is_converted(text: str, rules: Rules, annotated: bool, hant: int, hans: int) -> bool:
    """Returns whether a machine made the text Traditional: it is, and was annotated or has pairs that nobody writes."""
    rule = rules["converted_script"]
    if not rule.enabled or hant < rule.limit("hant_ratio") * (hant + hans):
        return False
    if annotated:
        return True
    pairs = [count for count in (text.count(word) for word in rule.words) if count]
    han = len(_HANS.findall(text))
    return len(pairs) >= rule.limit("least") and 1000 * sum(pairs) >= rule.limit("per_1000_han") * han


def _is_mixed(text: str, rules: Rules, hant: int, hans: int, kinds: npt.NDArray[np.uint8]) -> bool:
    """Returns whether both scripts stand in the same runs of Han, which no writer mixes so."""
    rule = rules["mixed_script"]
    if not rule.enabled or min(hant, hans) < max(rule.limit("least"), rule.limit("least_ratio") * (hant + hans)):
        return False
    told, mixed = 0, 0
    for match in _RUN.finditer(text):
        run = kinds[match.start() : match.end()]
        both = int((run == ONLY_HANT).sum()), int((run == ONLY_HANS).sum())
        if sum(both) >= RUN_LETTERS:
            told += 1
            mixed += min(both) > 0
    return told > 0 and mixed >= rule.limit("inner_ratio") * told


def _is_chinese(text: str) -> bool:
    """Returns whether the text has next to no kana and Hangul: Japanese and Korean mix the forms of Han rightly."""
    return len(_OTHERS.findall(text)) <= OTHERS_RATIO * len(_HANS.findall(text))


def _simplified(rule: str, text: str) -> Change:
    made = _converter().convert(text)
    changed = [before for before, after in zip(text, made, strict=False) if before != after]
    return Change.of(rule, made, len(changed), "".join(changed))


@functools.cache
def _converter() -> opencc.OpenCC:
    return opencc.OpenCC("t2s")
