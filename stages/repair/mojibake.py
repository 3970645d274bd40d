"""Text that was decoded with the wrong charset: read anew where that is exact, else dropped by paragraph or document.

A scan over the bytes of a batch names the few documents that hold a sign of it (`suspects`); `mend` treats one. What
two charsets did to a text is undone by encoding it with the one and decoding it with the other, and is believed only
where every byte takes part and the outcome reads like text. What has lost bytes cannot be undone: the paragraph goes,
and the document where most of it goes.

Source: the kinds and limits of a probe over damaged copies of clean articles: U+FFFD above 0.1 % of a paragraph; share
of eight function characters among Han .148 in clean text, below .02 in damaged; first-level characters of GB 2312 1.0
and at most .7. UTF-8 read as Windows-1252 by runs of characters is the idea of ftfy; its heuristics were not taken.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from stages.buffers import utf8

# Limits of `mend`.
REPLACED_RATIO = 0.001  # U+FFFD among the characters of a paragraph from which on it is lost
PRIVATE_RATIO = 0.02  # characters of private use among those of a paragraph from which on it is lost
BOX_RATIO = 0.9  # of a line's characters are □ or ■, which then stand for text: forms and lacunae hold other text
BOXES = 4
LOST_RATIO = 0.5  # of a document's characters lie in lost paragraphs: the document goes
LATIN_RATIO = 0.3  # of a paragraph's characters are as GBK looks in Windows-1252 (.80 in the probe)
FUNCTION_RATIO = 0.05  # of the Han of a text read anew are function characters (.148 in clean text)
LOW_FUNCTION_RATIO = 0.02
COMMON_RATIO = 0.85  # of Han are first-level in GB 2312 or Big5
LEAST_HAN = 100  # shares of fewer are not judged
SHORT_HAN = 4  # a text read anew that holds so many Han, all of them common, is believed without function characters
SURE_HAN = 12  # the same with so many of which nearly all are common; by chance 0.3 of them would be
SURE_RATIO = 0.9
UNREADABLE_RATIO = 0.5  # of a paragraph are bytes above 0x7F in Windows-1252 after all was tried
UTF8_RATIO = 0.6  # of the GBK bytes of a paragraph form characters of UTF-8
LEAST_SEQUENCES = 4
JAPANESE_RATIO = 0.12  # of a line are hiragana in a row (Big5 read as GBK: .095 of 99 in 100 lines, Japanese .176)
KANA_RATIO = (
    0.4  # of kana and Han are kana, where no Greek or Cyrillic stands among them as it does in Big5 read as GBK
)
SHOWN_RATIO = 0.2  # of the lines of a text about charsets, up to which damage is what the text shows
SPOKEN = 3  # words of charsets that make a text one about them
LOST_MARKS = 3  # "??" before Han in a document from which on it stands for a lost byte, as `可能??赡苄`
LEAST_RUN = 2  # characters beyond Latin script in a row, read anew from Latin ones, that chance does not make
SPACED_RUN = 4  # the same where a space stands for a no-break space
ROUNDS = 3  # text was spoilt so many times at most
# Limits of `suspects`: a balance that rises by SIGN at what UTF-8 or Big5 are in GBK, and falls by 1 at other Han.
SIGN = 4
BALANCE_LIMIT = 12
HIGH_RUN = 8  # characters in a row that bytes above 0x7F are in Windows-1252
STAMPS_RUN = 3
LINE_HIGH_RUN = 2  # in a single line of a text that is to be mended

# Classes of characters to the scan: what the bytes C2-DF, E0-F4 and 80-BF are in Windows-1252 and other letters of it;
# what UTF-8 is in GBK; Han that GBK added with a second byte below A1, what Big5's most common characters are in GBK
# (kana, Greek, Cyrillic), other Han and Hangul; signs of loss, alone or in a row.
PLAIN, SHORT_LEAD, LONG_LEAD, FOLLOWS, HIGH, UTF8_IN_GBK, ADDED, MIXED, WIDE, LOST, STAMP = range(11)
_FUNCTION = "的是了在和不有这這"
_STAMPS = ("锟斤拷", "烫烫烫", "屯屯屯")
_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_ANY_HAN = re.compile(f"[{_HAN}]")
_STAMP = re.compile("|".join(_STAMPS))
_PRIVATE = re.compile("[\ue000-\ue8ff]")  # where GBK's codec puts what GBK leaves open; fonts of icons lie above
_BOX = re.compile("[□■]")
_LOST_BYTE = re.compile(rf"(?<=[{_HAN}])\?\?(?=([{_HAN}]{{1,2}}))")
_JAPANESE = re.compile("[ぁ-ん]{2,}")
_KANA = re.compile("[ぁ-ヿ]")
_GREEK_OR_CYRILLIC = re.compile("[\u0370-\u04ff]")
_CHARSETS = re.compile(
    r"(?<![\w/-])(?:utf-?8|utf-?16|latin-?1|iso-8859|unicode|charsets?|mojibake|gbk|gb2312|gb18030|big5|(?:en|de)cod(?:es?|ed|er|ing))"
    r"(?![\w/])|U\+FFFD|乱码|亂碼|编码|編碼|解码|解碼|字符集|字元集",
    re.IGNORECASE,
)
_ENDS_IN_PRIVATE = re.compile("(?<=[。！？.!?”」])[\ue000-\ue8ff]+$")
_SENTENCE_ENDS = re.compile(r"[.!?:;。！？：；…][\"'”’)\]]*\s*$")
_SENTENCE = re.compile("[^。！？!\n]*[。！？!]?")


def _western(byte: int) -> str:
    """Returns what Windows-1252 reads a byte as; the five that it leaves open are controls, as browsers have it."""
    try:
        return bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:
        return chr(byte)


_BYTE_OF = {_western(byte): byte for byte in range(0x80, 0x100)} | {chr(byte): byte for byte in range(0x80, 0x100)}
_TO_BYTES = {ord(character): chr(byte) for character, byte in _BYTE_OF.items()}


def _looks(first: int, last: int) -> str:
    """Returns the characters, for a set of a regular expression, that the bytes from `first` to `last` are read as."""
    return re.escape("".join(sorted(character for character, byte in _BYTE_OF.items() if first <= byte <= last)))


_FOLLOWING = f"[{_looks(0x80, 0xBF)}]"
_SPACED = f"[ {_looks(0x80, 0xBF)}]"
_TWO, _THREE, _FOUR = f"[{_looks(0xC2, 0xDF)}]", f"[{_looks(0xE0, 0xEF)}]", f"[{_looks(0xF0, 0xF4)}]"
_UTF8_RUN = re.compile(f"(?:{_TWO}{_FOLLOWING}|{_THREE}{_FOLLOWING}{{2}}|{_FOUR}{_FOLLOWING}{{3}})+")
_SPACED_RUN = re.compile(f"(?:{_TWO}{_FOLLOWING}|{_THREE}{_SPACED}{_SPACED}|{_FOUR}{_FOLLOWING}{{3}}){{{SPACED_RUN},}}")
_WESTERN_HIGH = re.compile(f"[{_looks(0x80, 0xFF)}]")
_CLOSING = "’”»«…›‹–—‘“\xa0"  # what may follow a capital that looks like a lead
_EAST = re.compile("[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffef\u0e00-\u0e7f\u0900-\u0dff]")
_WITH_SPACE = re.compile("(?<![^ ’'\n])Ã(?= [a-z])")  # à, whose second byte is a no-break space, which became a space
# One of these alone is believed: â€™ and the like are no words of any language.
_SIGN = re.compile("[\u2010-\u203a\u20ac\u2122\u2190-\u21ff\u2200-\u22ff\u2500-\u27bf\ufeff\U0001f000-\U0001faff]")
_LATIN_LETTER = re.compile("[\u0100-\u017f\u1ea0-\u1eff]")
_OTHER_LETTERS = re.compile("[\u0370-\u03ff]{2}|[\u0400-\u04ff]{2}|[\u0590-\u05ff]{2}|[\u0600-\u06ff]{2}")
_SEQUENCE = re.compile(rb"[\xe2-\xef][\x80-\xbf]{2}")


class Mended(NamedTuple):
    """A text after its repair, and how often each rule acted: on runs, paragraphs, sentences or documents."""

    text: str
    counts: dict[str, int]


def mend(text: str) -> Mended:
    r"""Returns the text read anew or without what is lost, empty where most of it is.

    >>> mend("Le cafÃ© dâ€™Ã cÃ´tÃ©")
    Mended(text='Le café d’à côté', counts={'mojibake_utf8_as_latin1': 4})
    >>> mend("好好学习。\n锟斤拷锟斤拷\n天天向上。").text
    '好好学习。\n天天向上。'
    """
    counts: Counter[str] = Counter()
    lines = text.rstrip("\ufffd").split("\n")  # a crawler that cut the page may have cut a character
    signs = _signs(lines)
    read = [_read_anew(line, counts) if sign else line for line, sign in zip(lines, signs, strict=True)]
    kept = _without_lost(read, signs, counts)
    lost = sum(map(len, read)) - sum(map(len, kept))
    if lost > LOST_RATIO * sum(map(len, read)):
        return Mended("", {"mojibake_lossy_document": 1})
    whole = "\n".join(kept)
    if whole.count("??") >= LOST_MARKS and len(_LOST_BYTE.findall(whole)) >= LOST_MARKS:
        whole = _without_lost_bytes(whole, counts)
    if not counts and len(whole) < len(text):
        counts["mojibake_cut_character"] = 1
    elif sum(counts.values()) <= SHOWN_RATIO * len(lines) and _is_about_charsets(text):
        return Mended(text, {})  # it speaks of charsets, and shows what they do
    return Mended(whole, dict(counts))


def _is_about_charsets(text: str) -> bool:
    return len([*itertools.islice(_CHARSETS.finditer(text), SPOKEN)]) == SPOKEN


def _read_anew(line: str, counts: Counter[str]) -> str:
    """Returns a paragraph read with the charset that it was written in, as far as that is sure."""
    if line.isascii():
        return line
    for rule, restore in _RESTORING:
        restored = restore(line)
        if restored is not None:
            counts[rule] += 1
            return restored
    least = LEAST_RUN
    for _ in range(2 * ROUNDS):
        before = line
        line = _SPACED_RUN.sub(functools.partial(_utf8_run, line, counts, SPACED_RUN), line)
        line = _UTF8_RUN.sub(functools.partial(_utf8_run, line, counts, least), line)
        least = 1 if line != before and len(_EAST.findall(line)) >= SPACED_RUN else LEAST_RUN
        if line == before:
            break
        line = _WITH_SPACE.sub("à", line)
    return line


def _utf8_run(line: str, counts: Counter[str], least: int, match: re.Match[str]) -> str:
    """Returns what a run of characters is as UTF-8, or the run where that is not believed."""
    run = match[0]
    try:
        text = run.replace(" ", "\xa0").translate(_TO_BYTES).encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return run
    before, after = line[match.start() - 1 : match.start()], line[match.end() : match.end() + 1]
    if not _is_believed(run, text, before, after, least):
        return run
    counts["mojibake_utf8_as_latin1"] += 1
    return text


def _is_believed(run: str, text: str, before: str, after: str, least: int) -> bool:
    """Says whether a run of Latin characters is UTF-8 that was misread: `text`, between two characters of the line.

    `least` is how many characters of an Eastern script are believed: one where others were found in the line.
    """
    if _SIGN.search(text) or len(_EAST.findall(text)) >= least:
        return True
    if _OTHER_LETTERS.search(text):
        return True
    closes = run[1] in _CLOSING and not (after.isascii() and after.isalpha())
    if closes and before.isupper():
        return False  # the last capital of a word, and a quotation mark: CAFÉ», FLUSS as Fluß“
    if text[0] < "\u0100":
        return run[0] in "ÂÃ"
    return bool(_LATIN_LETTER.match(text)) and not closes and _is_in_word(before, after)


def _is_in_word(before: str, after: str) -> bool:
    """Says whether one of the neighbours is a letter of ASCII and none a letter beyond it."""
    return (before + after).isascii() and (before.isalpha() or after.isalpha())


def _gbk_as_latin1(line: str) -> str | None:
    """Returns the Chinese of a paragraph whose GBK was read as Windows-1252, None where it is not that."""
    high = len(_WESTERN_HIGH.findall(line))
    if high < 2 * SHORT_HAN or high < LATIN_RATIO * len(line):
        return None
    data = line.translate(_TO_BYTES)
    return _restored(data, "latin-1", "gb18030", 0.0)


def _utf8_as_gbk(line: str) -> str | None:
    """Returns the text of a paragraph whose UTF-8 was read as GBK, None where it is not that or bytes are lost."""
    if not _looks_like_utf8(line):
        return None
    try:
        return line.encode("gb18030").decode("utf-8")
    except UnicodeError:
        return None


def _big5_as_gbk(line: str) -> str | None:
    """Returns the Chinese of a paragraph whose Big5 was read as GBK, None where it is not that or bytes are lost."""
    if len(line) < SHORT_HAN or not _is_strange(line, SHORT_HAN) or _is_japanese(line):
        return None
    return _restored(line, "gb18030", "big5hkscs", _function_ratio(line))


def _restored(line: str, read: str, written: str, before: float) -> str | None:
    """Returns the paragraph with the bytes of charset `read` decoded as `written`, None where it is not plausible."""
    try:
        text = line.encode(read).decode(written)
    except UnicodeError:
        return None
    han = len(_ANY_HAN.findall(text))
    if _PRIVATE.search(text) or 2 * han < len(text.encode("gb18030", "replace")) - len(text):
        return None
    common, function = _common_ratio(text), _function_ratio(text)
    if han < SHORT_HAN or common < COMMON_RATIO or function < before:
        return None
    sure = common == 1 or function >= FUNCTION_RATIO or (han >= SURE_HAN and common >= SURE_RATIO)
    return text if sure else None


def _looks_like_utf8(line: str) -> bool:
    """Says whether the GBK bytes of a paragraph are mostly UTF-8, which Chinese as it was written never is."""
    data = line.encode("gb18030", "replace")
    sequences = len(_SEQUENCE.findall(data))
    beyond = sum(map(data.count, _HIGH)) if sequences >= LEAST_SEQUENCES else 0
    return sequences >= LEAST_SEQUENCES and 3 * sequences >= UTF8_RATIO * beyond


_HIGH = [bytes([byte]) for byte in range(0x80, 0x100)]


def _is_strange(line: str, least: int) -> bool:
    """Says whether the Han of a paragraph, `least` or more, hold next to no function and few common characters."""
    han = len(_ANY_HAN.findall(line))
    return han >= least and _function_ratio(line) < LOW_FUNCTION_RATIO and _common_ratio(line) < COMMON_RATIO


def _is_japanese(line: str) -> bool:
    """Says whether the kana of a paragraph are those of Japanese, which to Big5 are its most common characters."""
    if sum(map(len, _JAPANESE.findall(line))) > JAPANESE_RATIO * len(line):
        return True
    kana, han = len(_KANA.findall(line)), len(_ANY_HAN.findall(line))
    return kana > KANA_RATIO * (kana + han) and not _GREEK_OR_CYRILLIC.search(line)


def _function_ratio(text: str) -> float:
    """Returns the share of function characters among the Han of a text."""
    return sum(map(text.count, _FUNCTION)) / max(1, len(_ANY_HAN.findall(text)))


def _common_ratio(text: str) -> float:
    """Returns the share of the Han of a text that are first-level in GB 2312 or Big5."""
    han = _ANY_HAN.findall(text)
    return sum(map(_common_han().__contains__, han)) / max(1, len(han))


@functools.cache
def _common_han() -> frozenset[str]:
    """Returns the first levels: GB 2312 rows 16 to 55 (3,755 characters), Big5 A440 to C67E (5,401)."""
    simplified = [bytes((lead, trail)) for lead in range(0xB0, 0xD8) for trail in range(0xA1, 0xFF)]
    trails = [*range(0x40, 0x7F), *range(0xA1, 0xFF)]
    traditional = [
        bytes((lead, trail)) for lead in range(0xA4, 0xC7) for trail in trails if (lead, trail) <= (0xC6, 0x7E)
    ]
    read = [pair.decode("gb2312", "ignore") for pair in simplified] + [
        pair.decode("big5", "ignore") for pair in traditional
    ]
    return frozenset(read)


_RESTORING = (
    ("mojibake_gbk_as_latin1", _gbk_as_latin1),
    ("mojibake_utf8_as_gbk", _utf8_as_gbk),
    ("mojibake_big5_as_gbk", _big5_as_gbk),
)


def _without_lost(lines: list[str], signs: list[bool], counts: Counter[str]) -> list[str]:
    """Returns the lines but those that lost bytes, with the lines over which the sentence of such a one goes on."""
    gone = {number for number, line in enumerate(lines) if signs[number] and _is_lost(line, counts)}
    for number in sorted(gone):
        after = number + 1
        while after < len(lines) and after not in gone and _goes_on(lines[after - 1], lines[after]):
            gone.add(after)
            after += 1
        before = number
        while before > 0 and before - 1 not in gone and _goes_on(lines[before - 1], lines[before]):
            before -= 1
            gone.add(before)
    if any(_ENDS_IN_PRIVATE.search(line) for line, sign in zip(lines, signs, strict=True) if sign):
        counts["mojibake_private_end"] += 1
        lines = [_ENDS_IN_PRIVATE.sub("", line) for line in lines]
    return [line for number, line in enumerate(lines) if number not in gone]


def _goes_on(line: str, following: str) -> bool:
    """Says whether a sentence goes on from a line to the following one, as in text that is wrapped by hand."""
    return following.lstrip()[:1].islower() and bool(line.strip()) and not _SENTENCE_ENDS.search(line)


def _is_lost(line: str, counts: Counter[str]) -> bool:
    """Says whether a paragraph holds signs of lost bytes, and counts the rule."""
    if line.isascii():
        return False
    rule = _lost_by(line)
    if rule is not None:
        counts[rule] += 1
    return rule is not None


def _lost_by(line: str) -> str | None:
    size = len(line)
    line = _ENDS_IN_PRIVATE.sub("", line)
    if _STAMP.search(line):
        return "mojibake_stamp_paragraph"
    if line.count("\ufffd") > REPLACED_RATIO * size:
        return "mojibake_replaced_paragraph"
    private = len(_PRIVATE.findall(line))
    if private > 1 and private >= PRIVATE_RATIO * size:
        return "mojibake_private_paragraph"
    boxes = len(_BOX.findall(line))
    if boxes >= BOXES and boxes >= BOX_RATIO * (size - line.count(" ")):
        return "mojibake_box_paragraph"
    high = len(_WESTERN_HIGH.findall(line))
    if high >= 4 * SHORT_HAN and high >= UNREADABLE_RATIO * size:
        return "mojibake_lossy_paragraph"
    if _looks_like_utf8(line) or (_is_strange(line, LEAST_HAN) and _is_mixed(line)):
        return "mojibake_lossy_paragraph"
    return None


_MIXED = re.compile(f"[{_HAN}][\u0370-\u04ff\u3041-\u30ff]|[\u0370-\u04ff][{_HAN}\u3041-\u30ff]")


def _is_mixed(line: str) -> bool:
    """Says whether Greek, Cyrillic and kana stand among the Han, as they do where Big5 is read as GBK."""
    return len(_MIXED.findall(line)) * 20 >= len(line)


def _without_lost_bytes(text: str, counts: Counter[str]) -> str:
    """Returns the text without the sentences in which "??" stands for a lost byte."""
    if not any(_common_ratio(match[1]) < 1 for match in _LOST_BYTE.finditer(text)):
        return text  # what follows is no chance character, so they ask
    kept = []
    for sentence in _SENTENCE.findall(text.replace("??", "\0")):
        sentence = sentence.replace("\0", "??")
        if _LOST_BYTE.search(sentence):
            counts["mojibake_lost_byte_sentence"] += 1
        else:
            kept.append(sentence)
    return "".join(kept)


def suspects(texts: pa.Array) -> NDArray[np.bool_]:
    """Returns bool[texts]: which hold a sign of mojibake and are to be mended; null counts as empty.

    >>> suspects(pa.array(["Le café de l’Été", "Le cafÃ©", "锟斤拷", None])).tolist()
    [False, True, True, False]
    """
    return _scanned(texts, BALANCE_LIMIT, HIGH_RUN, STAMPS_RUN)


def _signs(lines: list[str]) -> list[bool]:
    """Returns which lines hold the least sign of mojibake; no rule changes one that holds none."""
    return _scanned(pa.array(lines, pa.large_string()), SIGN, LINE_HIGH_RUN, 1).tolist()  # type: ignore[no-any-return]


def _scanned(texts: pa.Array, balance: int, high: int, stamps: int) -> NDArray[np.bool_]:
    data, offsets = utf8(texts)
    found = np.zeros(len(texts), np.bool_)
    _scan(data, offsets, classes(), balance, high, stamps, found)
    return found


def suspects_plainly(
    text: str, balance_limit: int = BALANCE_LIMIT, high_run: int = HIGH_RUN, stamps_run: int = STAMPS_RUN
) -> bool:
    """Returns what `suspects` does, character by character: its readable twin."""
    table = classes()
    balance = high = stamps = lost_bytes = 0
    last = before = PLAIN
    for place, character in enumerate(text):
        kind = int(table[ord(character)]) if ord(character) < 0x10000 else WIDE
        if character.isascii():
            high = stamps = 0
            last = before = PLAIN
            continue
        lost_bytes += text[max(0, place - 2) : place] == "??"
        high = high + 1 if SHORT_LEAD <= kind <= HIGH else 0
        stamps = stamps + 1 if kind == STAMP else 0
        read_as_latin = kind == FOLLOWS and (last == SHORT_LEAD or (last == FOLLOWS and before == LONG_LEAD))
        read_as_gbk = kind == UTF8_IN_GBK or {kind, last} == {ADDED, MIXED}
        if read_as_gbk:
            balance += SIGN
        elif kind == WIDE or kind == ADDED:
            balance = max(0, balance - 1)
        if kind == LOST or read_as_latin or high == high_run or stamps == stamps_run:
            return True
        if balance >= balance_limit or lost_bytes >= LOST_MARKS:
            return True
        before, last = last, kind
    return False


@functools.cache
def classes() -> NDArray[np.uint8]:
    """Returns uint8[65536]: the class of each character of the Basic Multilingual Plane."""
    table = np.zeros(0x10000, np.uint8)
    table[0x3400:0xA000] = table[0xAC00:0xD800] = table[0xF900:0xFB00] = WIDE
    table[0x0370:0x0530] = table[0x3041:0x3100] = MIXED
    for lead in range(0xAA, 0xFF):
        _mark(table, ADDED, (bytes((lead, trail)) for trail in range(0x40, 0xA1)))
    for lead in (*range(0xE2, 0xEA), 0xEF):
        _mark(table, UTF8_IN_GBK, (bytes((lead, trail)) for trail in range(0x80, 0xC0)))
    for character, byte in _BYTE_OF.items():
        kind = FOLLOWS if byte < 0xC0 else HIGH if byte < 0xC2 or byte > 0xF4 else SHORT_LEAD
        table[ord(character)] = LONG_LEAD if 0xE0 <= byte <= 0xF4 else kind
    table[0xE000:0xE900] = table[0xFFFD] = table[ord(_STAMPS[0][0])] = LOST
    for character in "".join(stamp[0] for stamp in _STAMPS[1:]) + "□■":
        table[ord(character)] = STAMP
    table.flags.writeable = False
    return table


def _mark(table: NDArray[np.uint8], kind: int, pairs: Iterable[bytes]) -> None:
    for pair in pairs:
        character = pair.decode("gbk", "ignore")
        if len(character) == 1 and table[ord(character)] == WIDE:
            table[ord(character)] = kind


@njit(cache=True, nogil=True)
def _scan(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    table: NDArray[np.uint8],
    balance_limit: int,
    high_run: int,
    stamps_run: int,
    found: NDArray[np.bool_],
) -> None:
    for row in range(len(found)):
        found[row] = _is_suspect(data, offsets[row], offsets[row + 1], table, balance_limit, high_run, stamps_run)


@njit(cache=True, nogil=True)
def _is_suspect(
    data: NDArray[np.uint8],
    at: int,
    stop: int,
    table: NDArray[np.uint8],
    balance_limit: int,
    high_run: int,
    stamps_run: int,
) -> bool:
    balance, high, stamps, lost_bytes = 0, 0, 0, 0
    last, before = np.uint8(PLAIN), np.uint8(PLAIN)
    while at < stop:
        lead = np.int64(data[at])
        if lead < 0x80:
            begin = at
            while at < stop and data[at] < 0x80:
                at += 1
            if at < stop and at - begin > 1 and data[at - 1] == 63 and data[at - 2] == 63:
                lost_bytes += 1
                if lost_bytes == LOST_MARKS:
                    return True
            high, stamps = 0, 0
            last, before = np.uint8(PLAIN), np.uint8(PLAIN)
            continue
        kind = np.uint8(WIDE)
        if lead < 0xE0:
            kind = table[(lead & 0x1F) << 6 | np.int64(data[at + 1]) & 0x3F]
            at += 2
        elif lead < 0xF0:
            kind = table[(lead & 0x0F) << 12 | (np.int64(data[at + 1]) & 0x3F) << 6 | np.int64(data[at + 2]) & 0x3F]
            at += 3
        else:
            at += 4
        if kind == WIDE or kind == PLAIN:  # nearly always
            balance -= int(kind == WIDE and balance > 0)
            high, stamps = 0, 0
            last = before = kind  # a sign needs the character before last only if the last is one of those below
            continue
        high = high + 1 if kind <= HIGH else 0
        stamps = stamps + 1 if kind == STAMP else 0
        if kind == UTF8_IN_GBK or (kind == ADDED and last == MIXED) or (kind == MIXED and last == ADDED):
            balance += SIGN
        elif kind == ADDED and balance > 0:
            balance -= 1
        latin = kind == FOLLOWS and (last == SHORT_LEAD or (last == FOLLOWS and before == LONG_LEAD))
        if kind == LOST or latin or high == high_run or stamps == stamps_run or balance >= balance_limit:
            return True
        before, last = last, kind
    return False
