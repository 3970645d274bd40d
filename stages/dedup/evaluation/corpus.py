"""A corpus of many hosts over many months with duplicates whose truth is known, of any size, a document at a time.

    documents/2024-01.jsonl.zst ...   a snapshot a month: {url, date, language, text}; or a .warc.gz of HTML pages
    truth.jsonl.zst                   of each original that gets copies, and of each copy: {url, date, cluster, kind,
                                      degree, jaccard, containment}; the similarities are those to its original

The shape is that of crawls: few hosts hold most pages, most pages have no copy and a few very many, copies lie on other
hosts (mirrors, syndication with advertisements, edited reprints) or at the same address in later months (crawled again,
unchanged or a little changed). All of it follows from the seed; what one cluster holds, from the seed and its number.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import zstandard

from datapipe import ConfigError
from stages.dedup.evaluation.copies import Copy, measured
from stages.dedup.evaluation.edits import EDITS, Draw, edited
from stages.dedup.evaluation.lexicon import CHINESE, ENGLISH, LEAST_WORDS, MIXED, MOST_WORDS, Texts, made_text
from stages.dedup.evaluation.page import archived

Form = Literal["jsonl", "warc"]

HOST_EXPONENT: Final = 0.9
SIZE_EXPONENT: Final = 2.7  # of the sizes of clusters: two documents of five are copies
LARGEST: Final = 1000
MEDIAN_WORDS: Final = 300
SPREAD: Final = 0.8  # of the logarithm of a length
LANGUAGES: Final = ((CHINESE, 0.5), (ENGLISH, 0.4), (MIXED, 0.1))  # by host
FIRST_YEAR: Final = 2024
MOST_MONTHS: Final = 600  # a file each is open, and a process may often have 1024
SECONDS_A_MONTH: Final = 28 * 86_400
ORIGINAL: Final = "original"
HELD: Final = 1000  # clusters whose similarities are measured at once
_BY_KIND: Final = {edit.kind: edit for edit in EDITS}


class Making(NamedTuple):
    """How a copy comes to be: its kind, whether on another host, and one of these edits (kind, degree) or none."""

    kind: str
    moves: bool
    edits: tuple[tuple[str, float], ...] = ()


MAKINGS: Final = (
    *[Making("mirror", True)] * 6,
    *[Making("crawled_again", False)] * 4,
    *[Making("changed_since", False, (("replaced", 0.01), ("replaced_run", 0.05), ("boilerplate", 1.0)))] * 3,
    *[Making("syndicated", True, (("advertisements", 1.0), ("advertisements", 3.0), ("boilerplate", 3.0)))] * 4,
    *[Making("reprinted", True, (("replaced", 0.01), ("replaced_run", 0.1), ("dropped", 0.1), ("truncated", 0.1)))] * 2,
    *[Making("rewritten", True, (("replaced", 0.05), ("replaced", 0.1), ("shuffled", 1.0), ("dropped", 0.5)))],
    *[Making("converted", True, (("traditional", 1.0), ("wide", 1.0), ("marks_changed", 1.0)))] * 2,
)


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """What is to be made.

    Raises:
        ConfigError: a number is below 1, or there are more months than files can be open.
    """

    documents: int
    hosts: int = 500
    months: int = 24
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("documents", "hosts", "months"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name} {getattr(self, name)}: is at least 1")
        if self.months > MOST_MONTHS:
            raise ConfigError(f"--months {self.months}: is at most {MOST_MONTHS}")


@dataclass(frozen=True)
class Made:
    """A document, and what is true of it; `kind` is `original` for one that is no copy."""

    url: str
    month: int
    date: str
    language: str
    cluster: int
    is_alone: bool
    kind: str
    degree: str
    text: str
    jaccard: float
    containment: float


def generate(corpus: Corpus, texts: Texts = made_text) -> Iterator[Made]:
    """Yields the documents, a cluster after the other."""
    hosts = _shares(corpus.hosts, HOST_EXPONENT)
    sizes = _shares(LARGEST, SIZE_EXPONENT)
    made = 0
    for first in itertools.count(0, HELD):
        held: list[tuple[Made, Copy]] = []
        for number in range(first, first + HELD):
            if made + len(held) < corpus.documents:
                held += _cluster(corpus, number, hosts, sizes, texts)
        held = held[: corpus.documents - made]
        made += len(held)
        changed = iter(measured([copy for _, copy in held if copy.text != copy.original]))
        for row, copy in held:
            if copy.text != copy.original:
                true = next(changed)
                row = replace(row, jaccard=true.jaccard, containment=true.containment)
            yield row
        if made == corpus.documents:
            return


def _cluster(
    corpus: Corpus, number: int, hosts: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64], texts: Texts
) -> Iterator[tuple[Made, Copy]]:
    """Yields the original and its copies."""
    draw = np.random.RandomState([corpus.seed, number])
    size = 1 + int(np.searchsorted(sizes, draw.random_sample()))
    host = int(np.searchsorted(hosts, draw.random_sample()))
    month = draw.randint(corpus.months)
    language = language_of(corpus, host)
    words = int(np.clip(MEDIAN_WORDS * np.exp(SPREAD * draw.standard_normal()), LEAST_WORDS, MOST_WORDS))
    text = texts(language, draw, words)
    for member in range(size):
        making = MAKINGS[draw.randint(len(MAKINGS))] if member else Making(ORIGINAL, False)
        there = int(np.searchsorted(hosts, draw.random_sample())) if making.moves else host
        then = draw.randint(month, corpus.months)
        kind, degree, copy = _copy(corpus, f"{number}.{member}", making, text)
        url = f"https://{name_of(there)}/{number:x}{f'-{member}' if making.moves else ''}.html"
        when = then if member else month
        date = _date(when, number * 7919 + member * 61)  # so the same address never has the same date twice
        row = Made(url, when, date, language, number, size == 1, kind, degree, copy, 1.0, 1.0)
        yield row, Copy(str(number), kind, 0.0, text, copy)


def _copy(corpus: Corpus, name: str, making: Making, text: str) -> tuple[str, str, str]:
    """Returns kind, degree and text of a copy."""
    if making.edits:
        kind, degree = Draw(corpus.seed, name).of(making.edits)
        edit = _BY_KIND[kind]
        made = edited(text, edit, degree, document=name, seed=corpus.seed)
        if made is not None:
            return making.kind, f"{kind} {edit.label(degree)}".strip(), made
    return making.kind, "", text


def name_of(host: int) -> str:
    """Returns the name of a host; `example` is reserved, so nobody is meant."""
    return f"site-{host}.example"


def language_of(corpus: Corpus, host: int) -> str:
    """Returns the language of a host."""
    chance = Draw(corpus.seed, "host", host).random()
    for language, share in LANGUAGES:
        chance -= share
        if chance < 0:
            return language
    return LANGUAGES[0][0]


def _shares(amount: int, exponent: float) -> npt.NDArray[np.float64]:
    """Returns the shares of all ranks up to each by Zipf's law, float64[amount]."""
    shares = np.cumsum(np.arange(1, amount + 1) ** -exponent)
    return np.asarray(shares / shares[-1])


def month_name(month: int) -> str:
    """Returns the name of a month.

    >>> month_name(13)
    '2025-02'
    """
    return f"{FIRST_YEAR + month // 12}-{month % 12 + 1:02}"


def _date(month: int, place: int) -> str:
    second = place % SECONDS_A_MONTH
    day, hour, minute = second // 86_400 + 1, second // 3600 % 24, second // 60 % 60
    return f"{month_name(month)}-{day:02}T{hour:02}:{minute:02}:{second % 60:02}Z"


def new_folder(out: str | os.PathLike[str]) -> Path:
    """Returns an empty folder of this machine, made if it is not there.

    Raises:
        ConfigError: it holds something already, or cannot be made.
    """
    if "://" in str(out):
        raise ConfigError(f"--out {out}: is written to a disk of this machine only; name a folder of it")
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = not any(folder.iterdir())
    except OSError as error:
        raise ConfigError(f"--out {folder}: no folder can be made there ({error.strerror})") from error
    if not is_empty:
        raise ConfigError(f"--out {folder}: is not empty; name a new folder")
    return folder


def write(
    corpus: Corpus, out: str | os.PathLike[str], texts: Texts = made_text, form: Form = "jsonl"
) -> dict[str, int]:
    """Writes the corpus and its truth into a folder; returns how many documents there are of each kind.

    Raises:
        ConfigError: the folder holds something already, or cannot be made.
    """
    folder = new_folder(out)
    (folder / "documents").mkdir()
    amounts: dict[str, int] = {}
    with ExitStack() as stack:

        def packed(name: str) -> BinaryIO:
            raw = stack.enter_context((folder / name).open("wb"))
            return stack.enter_context(zstandard.ZstdCompressor().stream_writer(raw)) if name.endswith("zst") else raw

        ending = "jsonl.zst" if form == "jsonl" else "warc.gz"
        snapshots = [packed(f"documents/{month_name(month)}.{ending}") for month in range(corpus.months)]
        truth = packed("truth.jsonl.zst")
        for row in generate(corpus, texts):
            amounts[row.kind] = amounts.get(row.kind, 0) + 1
            if form == "jsonl":
                content = _line(row, "url", "date", "language", "text")
            else:
                content = archived(row.url, row.date, row.language, row.text)
            snapshots[row.month].write(content)
            if not row.is_alone:
                truth.write(_line(row, "url", "date", "cluster", "kind", "degree", "jaccard", "containment"))
    return amounts


def _line(row: Made, *names: str) -> bytes:
    return json.dumps({name: getattr(row, name) for name in names}, ensure_ascii=False).encode() + b"\n"
