"""The corpus that `bench_peers.py` gives to every tool: about 130 MB of pages, the same bytes wherever it is made.

All documents of ../shared/data/corpora in one script (English: under 5 % Han characters; Chinese: the rest) are cut at
blank lines into pages of 2 KB or more, which stay as they are: releases of one documentation are its natural near
duplicates. Then, until the size is reached, follow pages put together of paragraphs of four of those (real text that
repeats in part, under any threshold as a rule), and for one in eight an edited copy of an earlier page: of its words
(of its characters, in Chinese) 1, 5, 10 or 20 % give way to others of the corpus. Every draw is a hash of its number.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

Script = Literal["english", "chinese"]
PAGE_BYTES = 2000
PARAGRAPH_BYTES = 300
PARTS = 4
COPIES = 8  # one page in so many is an edited copy
EDITS = (0.01, 0.05, 0.1, 0.2)
HAN = re.compile("[\u4e00-\u9fff]")
UNITS: dict[Script, re.Pattern[str]] = {"english": re.compile(r"\S+|\s+"), "chinese": re.compile(r"(?s).")}


def draw(*of: object) -> int:
    """Returns a number from 0 to 2**64 - 1 that hangs on `of` alone."""
    return int.from_bytes(hashlib.blake2b(repr(of).encode(), digest_size=8).digest(), "little")


def documents(shared: Path, script: Script) -> Iterator[str]:
    """Yields the documents of the corpora that are in `script`, in the order of their files."""
    for path in sorted((shared / "data/corpora").glob("*.jsonl.zst")):
        with path.open("rb") as raw:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8"):
                text = json.loads(line)["text"]
                if (len(HAN.findall(text)) > 0.05 * len(text)) == (script == "chinese"):
                    yield text


def cut(text: str, least_bytes: int) -> Iterator[str]:
    """Yields paragraphs joined until they come to `least_bytes`; what is left at the end goes with the last."""
    held: list[str] = []
    size = 0
    made: str | None = None
    for paragraph in text.split("\n\n"):
        held.append(paragraph)
        size += len(paragraph.encode()) + 2
        if size >= least_bytes:
            if made is not None:
                yield made
            made, held, size = "\n\n".join(held), [], 0
    rest = "\n\n".join([*([made] if made is not None else []), *held])
    if rest.strip():
        yield rest


def pages(shared: Path, script: Script, size_bytes: int) -> Iterator[str]:
    """Yields the pages of the corpus, of which the last brings it to `size_bytes`."""
    made = [page for text in documents(shared, script) for page in cut(text, PAGE_BYTES)]
    paragraphs = [part for page in made for part in cut(page, PARAGRAPH_BYTES)]
    size = 0
    number = 0
    while size < size_bytes:
        if number >= len(made):
            made.append(
                _copy(made, number, script) if draw("copy", number) % COPIES == 0 else _joined(paragraphs, number)
            )
        size += len(made[number].encode())
        yield made[number]
        number += 1


def _joined(paragraphs: list[str], number: int) -> str:
    return "\n\n".join(paragraphs[draw("part", number, part) % len(paragraphs)] for part in range(PARTS))


def _copy(made: list[str], number: int, script: Script) -> str:
    units = UNITS[script].findall(made[draw("original", number) % number])
    others = UNITS[script].findall(made[draw("words", number) % number])
    limit = int(EDITS[draw("edit", number) % len(EDITS)] * 2**64)
    for place, unit in enumerate(units):
        if unit.strip() and draw("edited", number, place) < limit:
            units[place] = others[draw("other", number, place) % len(others)]
    return "".join(units)


def write(folder: Path, texts: list[str]) -> None:
    """Writes the pages as pages.parquet and pages.jsonl, with an `id` and a `text` each."""
    ids = [f"page-{number:06}" for number in range(len(texts))]
    table = pa.table({"id": pa.array(ids), "text": pa.array(texts)})
    pq.write_table(table, folder / "pages.parquet", compression="zstd", row_group_size=8192)
    with (folder / "pages.jsonl").open("w", encoding="utf-8") as file:
        for name, text in zip(ids, texts, strict=True):
            file.write(json.dumps({"id": name, "text": text}, ensure_ascii=False) + "\n")
