"""The plain twin of the kernels: the same counts by regular expressions and sets, slow and readable."""

import functools
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise

from stages.quality import contacts, phrases
from stages.quality.characters import Kind, kinds
from stages.quality.counts import (
    COUNTS,
    SHINGLE,
    SHORT_LINE,
    STOP_HAN,
    STOP_WORDS,
    TINY_LINE,
    VERSE_CLAUSE,
    VERSE_LINE,
    WINDOW,
    Count,
)
from stages.quality.line_features import is_counter

Unit = tuple[str, bool]  # its text; whether its script puts spaces between words

_LETTERS = {Kind.HAN: "h", Kind.FUNCTION: "h", Kind.SINGLE: "s", Kind.LATIN: "a", Kind.LETTER: "a", Kind.DIGIT: "0"}
_LETTERS |= {Kind.NUMBER: "1", Kind.MARK: "m", Kind.JOINER: "'", Kind.FULL_STOP: ".", Kind.COMMA: ","}
_LETTERS |= {Kind.NEWLINE: "\n", Kind.SPACE: " ", Kind.TAB: " "}
_UNIT = re.compile(r"[hs]|[Aa901](?:[Aa901m]|(?<=[Aa])'(?=A)|(?<=[09])[.,](?=9))*")
_GOES_ON = re.compile("-[0-9]")
_LOWER = {capital: capital + 32 for capital in range(ord("A"), ord("Z") + 1)}
_WIDE_TERMINALS = "。！？．…”’」』"
_CLOSES = "FULL_STOP JOINER CLOSING NARROW_END WIDE_END WIDE_CLOSING ELLIPSIS".split()


def count_plainly(text: str, window: int = WINDOW) -> list[int]:
    """Returns what `measure.count` does for one text."""
    row = [0] * COUNTS
    for character in text:
        row[_kind(character)] += 1
    units = _units(text)
    _count_units(units, row)
    _count_sentences(text, row)
    _count_contacts(text, row)
    _count_verse(text, row)
    _count_lines(text, window, row)
    _count_phrases(text, row)
    for start in range(0, len(units), window):
        _count_repetition(units[start : start + window], row)
    return row


@functools.lru_cache(maxsize=4096)
def _kind(character: str) -> Kind:
    return Kind(int(kinds()[ord(character)]))


@functools.lru_cache(maxsize=4)
def _shape(text: str) -> str:
    """Returns a letter for the kind of each character; ASCII letters are `A`, ASCII digits `9`."""
    return "".join(map(_letter, text))


@functools.lru_cache(maxsize=4096)
def _letter(character: str) -> str:
    if re.match("[A-Za-z0-9]", character):
        return "A" if character.isalpha() else "9"
    return _LETTERS.get(_kind(character), "x")


def _spans(text: str) -> list[tuple[int, int]]:
    return [unit.span() for unit in _UNIT.finditer(_shape(text))]


def _units(text: str) -> list[Unit]:
    shape = _shape(text)
    return [(text[start:end], shape[start] not in "hs") for start, end in _spans(text)]


def _count_units(units: Sequence[Unit], row: list[int]) -> None:
    words = [word for word, _ in units]
    row[Count.WORDS] = len(units)
    row[Count.WORD_CHARACTERS] = sum(map(len, words))
    row[Count.ALPHABETIC_WORDS] = sum(any(_kind(c) <= Kind.LETTER for c in word) for word in words)
    row[Count.STOP_WORDS] = len(set(STOP_WORDS) & set(words))
    row[Count.DISTINCT_HAN] = len({word for word in words if _kind(word[0]) <= Kind.FUNCTION})
    row[Count.STOP_HAN] = len(set(STOP_HAN) & set(words))


def _count_sentences(text: str, row: list[int]) -> None:
    row[Count.SENTENCES] = _sentences(text)
    row[Count.ELLIPSES] = len(re.findall(r"\.\.\.|。。。", text))


def _sentences(text: str) -> int:
    ends = "".join(c for c in set(text) if _kind(c) in (Kind.NARROW_END, Kind.WIDE_END, Kind.ELLIPSIS))
    ender = rf"(?:[{re.escape(ends)}]|\.(?=[\x00-\x20]|\Z))" if ends else r"\.(?=[\x00-\x20]|\Z)"
    return len(re.findall(rf"(?:{ender})+", text))


def _count_contacts(text: str, row: list[int]) -> None:
    shape, until, number = _shape(text), 0, -1
    for position, (start, end) in enumerate(_spans(text), 1):
        word = text[start:end]
        digits = re.search("[0-9]", word)
        if digits and len(word) >= contacts.ACCOUNT_CHARACTERS and position <= until:
            row[Count.CONTACTS] += 1
            until = 0
        elif re.fullmatch("[0-9]+", word):
            if not (start and text[start - 1] == "-" and number == start - 1):
                begin, length = start, 0
            length, number = length + end - start, end
            if not _GOES_ON.match(text, end):
                row[Count.CONTACTS] += _is_telephone(text[begin:end].replace("-", ""), length)
        elif not digits:
            name = word.lower() if word.isascii() else ""
            row[Count.ADDRESSES] += name in ("http", "https") and text.startswith("://", end)
            row[Count.ADDRESSES] += name == "www" and text[end : end + 1] == "." and text[start - 1 : start] != "/"
            han = shape[start] == "h" and text[max(0, start - 1) : end] in contacts.MESSENGERS_HAN
            if han or name in contacts.MESSENGERS_LATIN:
                until = position + contacts.ACCOUNT_WORDS


def _is_telephone(digits: str, length: int) -> bool:
    return len(digits) == length and bool(re.fullmatch(r"1[3-9]\d{9}|0\d{9,11}|[48]00\d{7,9}", digits))


def _count_verse(text: str, row: list[int]) -> None:
    before = 0
    for line in text.split("\n"):
        lengths = [len(clause) for clause in re.findall("h+", _shape(line))]
        han = sum(lengths)
        shortest, longest = VERSE_CLAUSE
        regular = sum(now for last, now in pairwise([before, *lengths]) if last == now and shortest <= now <= longest)
        before = lengths[-1] if lengths else before
        seen = [c for c in line if _kind(c) not in (Kind.MARK, Kind.SPACE, Kind.TAB)]
        closed = bool(seen) and _kind(seen[-1]).name in _CLOSES
        if closed and ((han <= VERSE_LINE and 2 * han <= 15 * len(lengths)) or 2 * regular >= han):
            row[Count.VERSE_HAN] += han


def _count_lines(text: str, window: int, row: list[int]) -> None:
    lines = [_strip(line) for line in text.split("\n")]
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if line:
            _count_line(line, row)
            paragraphs[-1].append(line)
        elif paragraphs[-1]:
            paragraphs.append([])
    held, known_lines, known_paragraphs = 0, set[str](), set[tuple[str, ...]]()
    for paragraph in filter(None, paragraphs):
        for line in paragraph:
            held += 1
            row[Count.DUPLICATE_LINES] += line in known_lines
            row[Count.DUPLICATE_LINE_CHARACTERS] += len(line) * (line in known_lines)
            known_lines.add(line)
            if held == window:
                held, known_lines = 0, set()
                known_paragraphs = set()
        row[Count.PARAGRAPHS] += 1
        key = tuple(paragraph)
        row[Count.DUPLICATE_PARAGRAPHS] += key in known_paragraphs
        row[Count.DUPLICATE_PARAGRAPH_CHARACTERS] += sum(map(len, paragraph)) * (key in known_paragraphs)
        known_paragraphs.add(key)


def _count_line(line: str, row: list[int]) -> None:
    last = _kind(line[-1])
    after_han = re.search(r"h\Z", _shape(line[:-1])) and last in (Kind.PUNCTUATION, Kind.COMMA) and line[-1].isascii()
    row[Count.LINES] += 1
    row[Count.LINE_CHARACTERS] += len(line)
    row[Count.BULLET_LINES] += _kind(line[0]) in (Kind.BULLET, Kind.DASH, Kind.STAR)
    row[Count.ELLIPSIS_LINES] += last == Kind.ELLIPSIS or line.endswith(("...", "。。。"))
    row[Count.CLOSED_LINES] += last.name in _CLOSES or bool(after_han)
    row[Count.TABLE_LINES] += len(re.findall(r"[|\t\u2500-\u257f]", line)) >= 2
    row[Count.CAPITAL_LINES] += 2 * len(re.findall("[A-Z]", line)) > len(line)
    row[Count.PUNCTUATED_LINES] += line[-1] in ".!?'\"。！？．｡‼‽⁇⁈⁉؟۔।॥።"
    row[Count.SHORT_LINES] += len(line) <= SHORT_LINE
    row[Count.SHORT_LINE_CHARACTERS] += len(line) * (len(line) < TINY_LINE)


def _count_phrases(text: str, row: list[int]) -> None:
    row[Count.LOREM_IPSUM] = len(_phrases(text, [phrases.LOREM_IPSUM]))
    for line in text.split("\n"):
        words = _spans(line)
        too_long = any(end - start > phrases.LONGEST_WORD for start, end in words)
        if len(words) >= 3 and not too_long and not _phrases(line, phrases.PHRASES[1:]):
            row[Count.C4_SENTENCES] += max(_sentences(line), 1) * _ends_as_c4_wants(line, "")
            row[Count.C4_SENTENCES_WIDE] += max(_sentences(line), 1) * _ends_as_c4_wants(line, _WIDE_TERMINALS)


def lines_plainly(text: str) -> list[dict[str, object]]:
    """Returns what `line_features` does of one text, but for the document: a mapping a line."""
    found: list[dict[str, object]] = []
    at = 0
    for line in text.split("\n"):
        bare = _strip(line)
        start = at + line.index(bare)
        at += len(line) + 1
        if not bare:
            continue
        lower = bare.translate(_LOWER)
        begin = len(text[:start].encode())
        found.append(
            {
                "start": begin,
                "end": begin + len(bare.encode()),
                "words": len(bare.split()),
                "characters": len(bare),
                "ends_terminal_ascii": _ends_as_c4_wants(bare, ""),
                "ends_terminal": _ends_as_c4_wants(bare, _WIDE_TERMINALS),
                "uppercase_ratio": len(re.findall("[A-Z]", bare)) / len(bare),
                "digit_ratio": len(re.findall("[0-9]", bare)) / len(bare),
                "has_javascript": "javascript" in lower,
                "has_policy": any(phrase in lower for phrase in phrases.POLICIES),
                "has_curly": "{" in bare or "}" in bare,
                "counter": is_counter(bare),
                "one_word": len(bare.split()) == 1,
            }
        )
    return found


def _phrases(text: str, looked_for: Iterable[str]) -> list[str]:
    """Returns the phrases that end in a unit of the text."""
    ends = [(text[max(0, end - 20) : end].translate(_LOWER), text[start:end]) for start, end in _spans(text)]
    return [
        phrase
        for before, word in ends
        for phrase in looked_for
        if before.endswith(phrase) and len(word) == len(phrase.split()[-1])
    ]


def _strip(line: str) -> str:
    return line.strip("".join(c for c in set(line) if _kind(c) in (Kind.SPACE, Kind.TAB)) or "\n")


def _ends_as_c4_wants(line: str, more: str) -> bool:
    line = _strip(line)
    return line[-1] in ".!?'\"" + more and not line.endswith("...")


def _count_repetition(units: Sequence[Unit], row: list[int]) -> None:
    for n in range(2, 11):
        grams = [tuple(units[at : at + n]) for at in range(len(units) - n + 1)]
        if n <= 4:
            top, times = Counter(grams).most_common(1)[0] if grams else ((), 0)
            row[Count.TOP_GRAMS + n - 2] += times * _joined(top) if times > 1 else 0
        else:
            row[Count.DUPLICATE_GRAMS + n - 5] += _covered(units, [(at, at + n) for at in range(len(grams))])
    row[Count.REPEATED_SHINGLES] += _covered(units, _shingles(units))


def _joined(gram: Sequence[Unit]) -> int:
    return sum(len(word) + spaced for word, spaced in gram) - gram[-1][1]


def _shingles(units: Sequence[Unit]) -> list[tuple[int, int]]:
    """Returns the borders of the fewest units with 13 characters from each place on."""
    found = []
    for start in range(len(units)):
        end, held = start, 0
        while end < len(units) and held < SHINGLE:
            held += len(units[end][0])
            end += 1
        if held >= SHINGLE:
            found.append((start, end))
    return found


def _covered(units: Sequence[Unit], spans: Sequence[tuple[int, int]]) -> int:
    """Returns the characters of the units in spans whose content stood in a span before."""
    known: set[Hashable] = set()
    covered: set[int] = set()
    for start, end in spans:
        content = tuple(units[start:end])
        if content in known:
            covered.update(range(start, end))
        known.add(content)
    return sum(len(units[place][0]) for place in covered)
