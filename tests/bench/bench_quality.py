"""Megabytes a second of the signals, by part and all together, beside their plain twin and datatrove, in one run.

    python tests/bench/bench_quality.py [--megabytes N] [--peers FOLDER]

Text is a sample of `corpora` in the shared data, and main content of its `crawl`, by language: documents with more
than 40 % Han, and with less than 1 %. CPU time of one process, the best of five rounds; 1 MB is 1e6 bytes of UTF-8.
`--peers` is a folder with datatrove and spaCy (pip install --target FOLDER 'datatrove[processing]' spacy), whose
Gopher filters are then timed on the first documents.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from numba import njit
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding
from resiliparse.parse.html import HTMLTree

from stages.buffers import utf8
from stages.quality.characters import kinds
from stages.quality.counts import COUNTS, WINDOW, Count
from stages.quality.lines import count_lines
from stages.quality.measure import count
from stages.quality.plain import count_plainly
from stages.quality.repetition import bits_for, count_repetition
from stages.quality.words import count_words, stop_buckets, tools

SHARED = Path(os.environ.get("DATAPIPE_SHARED", "../shared"))
ROUNDS = 5
TARGETS = {"eng": (230, 80), "zho": (400, 80)}  # counters, everything


def corpora() -> Iterator[str]:
    """Yields the documents of the corpora."""
    for path in sorted((SHARED / "data" / "corpora").glob("*.jsonl.zst")):
        with zstandard.open(path, "rt", encoding="utf-8") as lines:
            yield from (json.loads(line)["text"] for line in lines)


def crawl() -> Iterator[str]:
    """Yields the main content, by resiliparse, of the pages of the crawl."""
    for path in sorted((SHARED / "data" / "crawl").glob("*.warc.gz")):
        for record in ArchiveIterator(str(path), record_types=WarcRecordType.response, parse_http=True):
            if record.http_content_type == "text/html":
                html = record.reader.read()
                tree = HTMLTree.parse_from_bytes(html, detect_encoding(html))
                yield extract_plain_text(tree, main_content=True)


def by_language(texts: Iterator[str], megabytes: float) -> dict[str, pa.Array]:
    """Returns evenly spread samples of about that size."""
    chosen: dict[str, list[str]] = {"eng": [], "zho": []}
    for text in texts:
        head = text[:2000]
        han = sum("\u4e00" <= letter <= "\u9fff" for letter in head) / max(len(head), 1)
        if han > 0.4 or han < 0.01:
            chosen["zho" if han > 0.4 else "eng"].append(text)
    sampled = {}
    for name, documents in chosen.items():
        total = sum(len(text.encode()) for text in documents) / 1e6
        sampled[name] = pa.array(documents[:: max(1, round(total / megabytes))], pa.large_string())
    return sampled


def best(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Returns the least CPU seconds of several runs, the first left out."""
    run()
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        spent.append(time.process_time() - start)
    return min(spent)


@njit(nogil=True)
def _repetition(limits, hashes, ends, spaced, room, row):  # type: ignore[no-untyped-def]
    for document in range(len(limits) - 1):
        first, last = limits[document], limits[document + 1]
        units = last - first
        room.hashes[:units] = hashes[first:last]
        room.spaced[:units] = spaced[first:last]
        room.ends[: units + 1] = ends[first + document : last + document + 1]
        count_repetition(units, room, row)


@njit(nogil=True)
def _lines(data, offsets, table, tables, counts):  # type: ignore[no-untyped-def]
    for document in range(len(offsets) - 1):
        start, stop = offsets[document], offsets[document + 1]
        count_lines(data, start, stop, table, WINDOW, tables[0], tables[1], counts[document])


def parts(texts: pa.Array) -> dict[str, float]:
    """Returns CPU seconds: of lines, of the repetition of units, and of everything; counters are what is left."""
    data, offsets = utf8(texts)
    counts, table, words = count(texts), kinds(), stop_buckets()
    held = tools(int(np.diff(offsets).max()) // 2 + 1)
    limits, hashes, ends, spaced = [0], [], [], []
    for document in range(len(texts)):  # one at a time, to keep the units that repetition is looked for among
        row = np.zeros(COUNTS, np.int64)
        count_words(data, offsets[document], offsets[document + 1], table, words, document + 1, WINDOW, held, row)
        units = int(row[Count.WORDS])
        assert units <= WINDOW
        limits.append(limits[-1] + units)
        hashes.append(held.room.hashes[:units].copy())
        spaced.append(held.room.spaced[:units].copy())
        ends.append(held.room.ends[: units + 1].copy())
    units_of = (np.array(limits), np.concatenate(hashes), np.concatenate(ends), np.concatenate(spaced), held.room)
    tables = np.empty((2, 1 << bits_for(2 * int(np.diff(offsets).max()) + 2)), np.uint64)
    return {
        "everything": best(lambda: count(texts)),
        "repetition": best(lambda: _repetition(*units_of, np.zeros(COUNTS, np.int64))),
        "lines": best(lambda: _lines(data, offsets, table, tables, counts.copy())),
    }


def datatrove(folder: str, texts: list[str]) -> float:
    """Returns CPU seconds of datatrove's Gopher filters over the texts, no document left out early."""
    sys.path.insert(0, folder)
    data = importlib.import_module("datatrove.data")
    filters = importlib.import_module("datatrove.pipeline.filters")
    quality = filters.GopherQualityFilter()
    repetition = filters.GopherRepetitionFilter(
        dup_line_frac=2, dup_para_frac=2, dup_line_char_frac=2, dup_para_char_frac=2,
        top_n_grams=tuple((n, 9e9) for n in (2, 3, 4)), dup_n_grams=tuple((n, 9e9) for n in range(5, 11)),
    )  # fmt: skip

    def run() -> None:
        for number, text in enumerate(texts):
            document = data.Document(text=text, id=str(number))
            quality.filter(document)
            repetition.filter(document)

    return best(run, 1)


def main() -> None:
    """Prints the tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--megabytes", type=float, default=10)
    options.add_argument("--peers")
    given = options.parse_args()
    for source, found in (("corpora", corpora), ("crawl", crawl)):
        for language, texts in by_language(found(), given.megabytes).items():
            size = texts.nbytes / 1e6
            spent = parts(texts)
            spent["counters and lines"] = spent["everything"] - spent["repetition"]
            few = [text for text in texts.to_pylist() if len(text) < 20_000][:40]
            part = sum(len(text.encode()) for text in few) / 1e6
            spent["plain twin"] = best(lambda few=few: [count_plainly(text) for text in few], 1) / part * size
            if given.peers and language == "eng":
                spent["datatrove Gopher"] = datatrove(given.peers, few) / part * size
            print(f"{source} {language}: {len(texts)} documents, {size:.1f} MB; targets (MB/s): counters"
                  f" {TARGETS[language][0]}, with all repetition {TARGETS[language][1]}")  # fmt: skip
            for name, seconds in spent.items():
                print(f"  {name:<20} {size / seconds:9.2f} MB/s  {seconds / spent['everything']:9.2f} x everything")


if __name__ == "__main__":
    main()
