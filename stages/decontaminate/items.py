"""Items of benchmarks: from their files to the n-grams that documents are searched for.

Of an item each field is looked for by itself, and its question with its choices as one text, once plain and once with
the letters A, B, C, … before them, as pages print them: so a question of five words is found by what follows it. What
is too short for an n-gram is met as a whole if it is a question of eight words or an item of five (13 and eight
characters). Shorter items cannot be told from chance; the plan says how many there are.
"""

from __future__ import annotations

import bz2
import csv
import functools
import gzip
import io
import json
import lzma
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from datapipe import ConfigError, Resource
from stages.decontaminate.grams import LEAD, Grams, Index, Keys, Numbers, Width, grams, index
from stages.dedup.fold import load
from stages.ingest.clean import sound

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a passage is a field

QUESTIONS: Final = ("question", "prompt", "problem", "query", "instruction", "premise", "sentence", "text")
FURTHER: Final = ("passage", "context", "article", "content", "ctx", "story", "share_content", "input", "hypothesis")
CHOICES: Final = ("choices", "options", "endings", *(f"choice{n}" for n in range(10)), *"ABCDEFGHIJ")
ANSWERS: Final = ("answer", "answers", "solution", "canonical_solution", "analysis", "explanation", "rationale", "test")
LEAST_QUESTION: Final = (8, 13)  # words, characters; eight is the least n of GPT-3's n-grams
LEAST_ITEM: Final = (5, 8)


def _unzstd(content: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True) as reader:
        return reader.read()


_PACKED: Final[dict[str, Callable[[bytes], bytes]]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zst": _unzstd,
}


_UNREADABLE: Final = (
    *(ValueError, OSError, EOFError, RecursionError),
    *(csv.Error, lzma.LZMAError, zstandard.ZstdError, pa.ArrowException),
)


class Item(NamedTuple):
    """An item as texts: `alone` are looked for by themselves, the first of them is the question; `joined` in one."""

    name: str  # file and number of the row, from 1
    alone: tuple[str, ...]
    joined: tuple[str, ...]


class Searched(NamedTuple):
    """All that documents are searched for. A key's items are `items[first:last]` for `first, last` at its place."""

    table: Index
    bounds: Numbers  # int64[keys + 1]
    items: Numbers
    names: tuple[str, ...]
    benchmarks: tuple[str, ...]  # of each item
    sizes: Numbers  # distinct n-grams that are looked for, of each item's longest text without letters, at least 1
    unknowable: tuple[tuple[str, int], ...]  # of each benchmark that has any, how many items are too short


@functools.lru_cache(maxsize=2)
def searched(
    files: tuple[tuple[str, str, Resource], ...],
    fields: tuple[tuple[str, tuple[str, ...]], ...],
    fold: Resource,
    width: Width,
    common: int,
) -> Searched:
    """Returns what the files hold; each is (benchmark, name, content), `fields` of a benchmark are empty for the known.

    N-grams of more than `common` items are left out (a template of the benchmark, not its content) where the item has
    others.

    Raises:
        ConfigError: a file cannot be read, or has no row with text.
    """
    named = dict(fields)
    items: list[Item] = []
    benchmarks: list[str] = []
    for benchmark, name, content in files:
        found = [item_of(f"{name}:{number}", row, named[benchmark]) for number, row in rows_of(content, name)]
        found = [item for item in found if item is not None]
        if not found:
            wanted = ", ".join(named[benchmark] or (*QUESTIONS, *FURTHER, *CHOICES[:3]))
            raise ConfigError(
                f"decontaminate: benchmarks: {benchmark}: {name} has no row with text in one of the fields {wanted}; "
                "say which fields hold it"
            )
        items += [item for item in found if item is not None]
        benchmarks += [benchmark] * len(found)
    return _searched(items, tuple(benchmarks), fold, width, common)


def _searched(
    items: Sequence[Item], benchmarks: tuple[str, ...], fold: Resource, width: Width, common: int
) -> Searched:
    texts = [text for item in items for text in (*item.alone, *item.joined)]
    owner = np.repeat(np.arange(len(items)), [len(item.alone) + len(item.joined) for item in items])
    places = [(place, len(item.alone)) for item in items for place in range(len(item.alone) + len(item.joined))]
    is_question = np.array([place == 0 for place, _ in places])
    is_whole = np.array([place >= alone for place, alone in places])
    found = grams(pa.array(texts, pa.large_string()), load(fold), width)
    is_lettered = np.array([place > alone for place, alone in places])
    short = _short(found, is_question, is_whole, width)
    keys, text = np.concatenate([found.key, found.whole[short]]), np.concatenate([found.text, short])
    stays = _tells(keys, owner[text], len(items), common)
    key, item = _distinct(keys[stays], owner[text[stays]])
    first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])[: len(key)])
    amounts = np.bincount(_distinct(keys[stays], text[stays])[1], minlength=len(texts))
    sizes = np.ones(len(items), np.int64)
    np.maximum.at(sizes, owner, np.where(is_lettered, 0, amounts))  # with its letters or without, an item is whole
    has = np.zeros(len(items), bool)
    has[item] = True
    lost = Counter(name for name, found in zip(benchmarks, has, strict=True) if not found)
    return Searched(
        index(key[first], np.arange(len(first)), found.lead[short], found.tokens[short]),
        np.append(first, len(key)),
        item,
        tuple(one.name for one in items),
        benchmarks,
        sizes,
        tuple(sorted(lost.items())),
    )


def _short(
    found: Grams, is_question: npt.NDArray[np.bool_], is_whole: npt.NDArray[np.bool_], width: Width
) -> npt.NDArray[np.int64]:
    """Returns which texts are met as a whole: too short for an n-gram, and long enough not to be met by chance."""

    def least(of: tuple[int, int]) -> int:
        return min(of[0] * width.characters, of[1] * width.words)

    enough = (is_question & (found.weights >= least(LEAST_QUESTION))) | (
        is_whole & (found.weights >= least(LEAST_ITEM))
    )
    short = (found.weights < width.words * width.characters) & (found.tokens >= LEAD) & enough
    return np.flatnonzero(short)


def _distinct(keys: Keys, items: Numbers) -> tuple[Keys, Numbers]:
    """Returns the distinct (key, item) pairs, ascending."""
    order = np.lexsort((items, keys))
    keys, items = keys[order], items[order]
    new = np.concatenate([[True], (keys[1:] != keys[:-1]) | (items[1:] != items[:-1])])[: len(keys)]
    return keys[new], items[new]


def _tells(keys: Keys, items: Numbers, amount: int, common: int) -> npt.NDArray[np.bool_]:
    """Returns which n-grams are looked for: all but those that more than `common` items have, where theirs has others.

    `amount` is the number of items.
    """
    known, times = np.unique(_distinct(keys, items)[0], return_counts=True)
    rare = times[np.searchsorted(known, keys)] <= common
    has_rare = np.zeros(amount, bool)
    has_rare[items[rare]] = True
    tells: npt.NDArray[np.bool_] = rare | ~has_rare[items]
    return tells


def item_of(name: str, row: dict[str, Any], fields: Sequence[str]) -> Item | None:  # Any: what JSON holds
    """Returns the texts of a row, None where it has none. Named `fields` are the question first, then its choices."""
    if fields:
        texts = [text for field in fields for text in _texts(row.get(field))]
        return _item(name, texts[:1], texts[1:], [])
    question = next((field for field in QUESTIONS if any(_texts(row.get(field)))), None)
    choices = [text for field in CHOICES for text in _texts(row.get(field))]
    further = [
        text for field in (*QUESTIONS, *FURTHER, *ANSWERS) if field != question for text in _texts(row.get(field))
    ]
    first = list(_texts(row.get(question))) if question else []
    return _item(name, first, choices, further)


def _item(name: str, question: list[str], choices: list[str], further: list[str]) -> Item | None:
    alone = tuple(dict.fromkeys((*question, *further, *choices)))
    if not alone:
        return None
    joined = ["\n".join((*question, *choices))]
    if choices:
        letters = (f"{chr(65 + number)}. {choice}" for number, choice in enumerate(choices[:26]))
        joined.append("\n".join((*question, *letters)))
    return Item(name, alone, tuple(joined))


def _texts(value: Any) -> Iterator[str]:  # Any: what JSON holds
    """Yields the texts of a field: itself, or those of a list or of the list that an object holds."""
    if isinstance(value, str) and value.strip():
        yield sound(value)[0]
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)


def rows_of(content: Resource, name: str) -> Iterator[tuple[int, dict[str, Any]]]:  # Any: what JSON holds
    """Yields the rows of a file with their numbers, from 1: JSON lines, JSON, CSV, TSV, Parquet, or text by line.

    Raises:
        ConfigError: it is none of these, or is damaged.
    """
    stem, unpack = name.lower(), None
    for ending, method in _PACKED.items():
        if stem.endswith(ending):
            stem, unpack = stem.removesuffix(ending), method
    try:
        data = content.read() if unpack is None else unpack(content.read())
        yield from enumerate(_rows(data, stem), 1)
    except _UNREADABLE as error:
        raise ConfigError(f"decontaminate: {name}: cannot be read ({error})") from error


def _rows(data: bytes, stem: str) -> Iterator[dict[str, Any]]:  # Any: what JSON holds
    if stem.endswith(".parquet"):
        yield from pq.read_table(io.BytesIO(data)).to_pylist()
    elif stem.endswith((".jsonl", ".ndjson")):
        for number, line in enumerate(data.splitlines(), 1):
            row = json.loads(line) if line.strip() else None
            if line.strip() and not isinstance(row, dict):
                raise ValueError(f"line {number} is no JSON object")
            if row is not None:
                yield row
    elif stem.endswith(".json"):
        yield from _objects(json.loads(data))
    elif stem.endswith((".csv", ".tsv")):
        lines = io.StringIO(data.decode("utf-8-sig"), newline="")
        yield from csv.DictReader(lines, delimiter="\t" if stem.endswith(".tsv") else ",")
    elif stem.endswith((".txt", ".text", ".md")):
        yield from ({"text": line} for line in data.decode("utf-8").splitlines() if line.strip())
    else:
        raise ValueError("the ending says no format; .jsonl, .json, .csv, .tsv, .parquet and .txt are known")


def _objects(value: Any) -> Iterator[dict[str, Any]]:  # Any: what JSON holds
    """Yields the rows of a JSON file: its list, or the first list of objects that it holds."""
    rows = value if isinstance(value, list) else [value]
    if isinstance(value, dict):
        lists = (held for held in value.values() if isinstance(held, list) and held and isinstance(held[0], dict))
        rows = next(lists, rows)
    yield from (row for row in rows if isinstance(row, dict))
