"""Labelled texts for training: read from files, freed of copies, and parted for learning, calibrating and judging."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from datapipe.errors import ConfigError
from stages.classify.cut import cut, excerpt

LEARN, CALIBRATE, JUDGE = "learn", "calibrate", "judge"
KINDS = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".txt")
_AT_ONCE = 1024
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a document is a field


@dataclass(frozen=True)
class File:
    """A file that was read: its name, digest, and how many texts of which label it holds."""

    name: str
    sha256: str
    counts: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Example:
    """A labelled text. `key` is the digest of its cut text: copies up to case, digits, blanks and script share it."""

    key: bytes
    text: str
    cut: str
    label: str


@dataclass(frozen=True)
class Examples:
    """The texts of each part, in the order of their keys, and what was left out.

    `copies` had the key of another text, `torn` stood under two labels, `empty` hold no token, `seen` are texts to
    learn from that stand among those to judge by.
    """

    parts: dict[str, list[Example]]
    copies: int
    torn: int
    empty: int
    seen: int

    def labels(self) -> list[str]:
        """Returns the labels, sorted."""
        return sorted({example.label for part in self.parts.values() for example in part})


def read(paths: Sequence[str], text: str, label: str | None, given: str = "") -> Iterator[tuple[File, str, str]]:
    """Yields (file, text, label) of the files, or of the files of folders, by name.

    `text` and `label` are columns or keys; without `label` all texts are of the label `given`. A `.txt` file has a
    text a line.

    Raises:
        ConfigError: a file cannot be read, lacks a column, or has no text.
    """
    for path in paths:
        for file in _files(path):
            rows = list(_rows(file, text, label, given))
            counts: dict[str, int] = {}
            for _, name in rows:
                counts[name] = counts.get(name, 0) + 1
            if not rows:
                raise ConfigError(f"{file}: holds no text")
            told = File(file.name, hashlib.sha256(file.read_bytes()).hexdigest(), tuple(sorted(counts.items())))
            for row, name in rows:
                yield told, row, name


def part(
    given: Sequence[tuple[str, str]], tests: Sequence[tuple[str, str]], characters: int, *, balance: bool
) -> Examples:
    """Returns (text, label) parted by the digest of the cut text: a tenth calibrates, a tenth judges, the rest teaches.

    With `tests` these judge, and no text that stands among them teaches or calibrates. Of copies one is kept, of those
    under two labels none. `balance` cuts the texts to learn from to as many of each label as the rarest has.
    """
    judged = _examples(tests, characters)
    kept, copies, torn, empty = _distinct(_examples(given, characters))
    outside, more_copies, more_torn, more_empty = _distinct(judged)
    known = {example.key for example in outside}
    parts: dict[str, list[Example]] = {LEARN: [], CALIBRATE: [], JUDGE: outside}
    seen = 0
    for example in kept:
        if example.key in known:
            seen += 1
        else:
            place = int.from_bytes(example.key[8:], "little") % 10
            role = LEARN if place > 1 else CALIBRATE if place or tests else JUDGE
            parts[role].append(example)
    if balance:
        parts[LEARN] = _balanced(parts[LEARN])
    return Examples(parts, copies + more_copies, torn + more_torn, empty + more_empty, seen)


def _examples(rows: Sequence[tuple[str, str]], characters: int) -> Iterator[Example]:
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        texts = cut(excerpt(pa.array([text for text, _ in some], pa.large_string()), characters)).to_pylist()
        for (text, label), tokens in zip(some, texts, strict=True):
            yield Example(hashlib.blake2b(tokens.encode(), digest_size=16).digest(), text, tokens, label)


def _distinct(examples: Iterator[Example]) -> tuple[list[Example], int, int, int]:
    """Returns (one of each key in the order of keys, copies left out, texts of two labels left out, empty ones)."""
    held: dict[bytes, list[Example]] = {}
    empty = 0
    for example in examples:
        if example.cut:
            held.setdefault(example.key, []).append(example)
        else:
            empty += 1
    torn = [key for key, same in held.items() if len({example.label for example in same}) > 1]
    lost = sum(len(held.pop(key)) for key in torn)
    kept = [held[key][0] for key in sorted(held)]
    return kept, sum(map(len, held.values())) - len(kept), lost, empty


def _balanced(examples: Sequence[Example]) -> list[Example]:
    """Returns the first of each label, as many as the rarest has; the order by keys is that of a draw."""
    amounts: dict[str, int] = {}
    for example in examples:
        amounts[example.label] = amounts.get(example.label, 0) + 1
    left = dict.fromkeys(amounts, min(amounts.values(), default=0))
    kept = []
    for example in examples:
        if left[example.label]:
            left[example.label] -= 1
            kept.append(example)
    return kept


def _files(path: str) -> list[Path]:
    place = Path(path)
    if place.is_dir():
        files = sorted(file for file in place.iterdir() if _kind(file) in KINDS)
        if not files:
            raise ConfigError(f"{path}: the folder holds no file to learn from ({', '.join(KINDS)}, .zst and .gz too)")
        return files
    if _kind(place) not in KINDS:
        raise ConfigError(f"{path}: not a kind of file that is read; give {', '.join(KINDS)}, .zst and .gz too")
    return [place]


def _kind(file: Path) -> str:
    return Path(file.stem).suffix if file.suffix in (".zst", ".gz") else file.suffix


def _rows(file: Path, text: str, label: str | None, given: str) -> Iterator[tuple[str, str]]:
    """Yields (text, label) of a file. A row without text is passed over."""
    names = [text] if label is None else [text, label]
    try:
        for number, row in enumerate(_records(file, names), 1):
            if row[0] is None:
                continue
            if not isinstance(row[0], str):
                raise ConfigError(f"{file}: row {number}: '{text}' is no text")
            name = given if label is None else str(row[1])
            if not name.strip() or name == "None":
                raise ConfigError(f"{file}: row {number}: has no label in '{label}'")
            yield row[0], name
    except (OSError, UnicodeDecodeError, csv.Error, zstandard.ZstdError, pa.ArrowException) as error:
        raise ConfigError(f"{file}: cannot be read ({error})") from error


def _records(file: Path, names: Sequence[str]) -> Iterator[Sequence[object]]:
    """Yields the values of `names` in each row of a file."""
    kind = _kind(file)
    if kind == ".parquet":
        table = pq.ParquetFile(file)
        _need(file, names, table.schema_arrow.names)
        for batch in table.iter_batches(_AT_ONCE, columns=list(names)):
            yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)
        return
    with file.open("rb") as raw:
        lines = io.TextIOWrapper(
            _opened(raw, file.suffix), "utf-8-sig", newline="" if kind in (".csv", ".tsv") else None
        )
        if kind == ".txt":
            if len(names) > 1:
                raise ConfigError(f"{file}: a text file has no labels; give a table")
            yield from ([line.rstrip("\n")] for line in lines if line.strip())
        elif kind in (".csv", ".tsv"):
            rows = csv.DictReader(lines, delimiter="\t" if kind == ".tsv" else ",")
            _need(file, names, rows.fieldnames or [])
            yield from ([row[name] for name in names] for row in rows)
        else:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _values(line, f"{file}:{number}", names)


def _values(line: str, place: str, names: Sequence[str]) -> list[object]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{place}: not a line of JSON ({error})") from error
    if not isinstance(row, dict):
        raise ConfigError(f"{place}: not a JSON object")
    _need(place, names, list(row))
    return [row[name] for name in names]


def _need(place: object, names: Sequence[str], there: Sequence[str]) -> None:
    for name in names:
        if name not in there:
            raise ConfigError(f"{place}: has no column '{name}'; it has {', '.join(there) or 'none'}")


def _opened(raw: BinaryIO, suffix: str) -> BinaryIO:
    if suffix == ".zst":
        return cast(BinaryIO, zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True))
    return cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if suffix == ".gz" else raw  # both read as files do
