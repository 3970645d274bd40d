"""How much of what is alike a config's dedup finds, and what else it removes: on a user's own text, by real runs.

Of texts that no other is like, each gets one edited copy; all of them go through `ingest` and the config's `dedup`, as
files, and the ledger says what became of them. A pair is found where one of both left.
"""

from __future__ import annotations

import gzip
import heapq
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import yaml
import zstandard

import datapipe
from datapipe import ConfigError
from stages.dedup.evaluation.copies import Copy, measured, one_copy_each, shares, similarities
from stages.dedup.evaluation.edits import UNIT, Draw
from stages.dedup.evaluation.pairs import similar_pairs
from stages.dedup.fold import fold_table, load
from stages.dedup.shingles import shingle_sets
from stages.dedup.stage import Dedup
from stages.ingest.rows import document_id

ALIKE: Final = 0.5  # texts of which another is so alike are left out: their copies would be found for it
LEAST_UNITS: Final = 50
UNPACK: Final[dict[str, Callable[[BinaryIO], Any]]] = {  # Any: what reads like a file
    ".zst": lambda raw: zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True),
    ".gz": lambda raw: gzip.GzipFile(fileobj=raw),
}
SOURCE: Final = "pairs"
FILE: Final = "documents.parquet"
OF_DOCUMENTS: Final = "survivor within against rehydrate signatures guard audit".split()  # no matter for a pair


@dataclass
class Found:
    """What became of the pairs of one kind and degree; `alike` are those at the threshold or above."""

    kind: str
    degree: float
    pairs: int = 0
    jaccard: float = 0.0  # sum
    alike: int = 0
    found: int = 0
    unlike_found: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a run made of pairs; `wrong` are (document, survivor, similarity) of removals below the threshold."""

    threshold: float
    rows: tuple[Found, ...]
    removed: int
    wrong: tuple[tuple[str, str, float], ...]


def read_texts(files: Sequence[str], amount: int, seed: int) -> list[tuple[str, str]]:
    """Returns (name, text) of about so many texts of at least LEAST_UNITS words or characters, drawn by their names.

    Files are JSON lines with a key `text`, plain, .zst or .gz, or Parquet with a column of that name, or plain text.

    Raises:
        ConfigError: a file cannot be read as that, or there is no text.
    """
    named = (
        (f"{os.path.basename(file)}:{number}", text) for file in files for number, text in enumerate(_texts(Path(file)))
    )
    usual = (item for item in named if len(UNIT.findall(item[1][: 20 * LEAST_UNITS])) >= LEAST_UNITS)
    drawn = heapq.nsmallest(amount, usual, key=lambda item: Draw(seed, item[0]).random())
    if not drawn:
        raise ConfigError(f"--text: {', '.join(files)}: no text of at least {LEAST_UNITS} words or characters")
    return drawn


def _texts(file: Path) -> Iterator[str]:
    try:
        if file.suffix == ".parquet":
            for batch in pq.ParquetFile(file).iter_batches(columns=["text"]):
                yield from (text for text in batch.column(0).to_pylist() if text)
        elif {".jsonl", ".ndjson"} & set(file.suffixes):
            with file.open("rb") as raw:
                unpack = UNPACK.get(file.suffix)
                opened = io.TextIOWrapper(unpack(raw) if unpack else raw, "utf-8")
                yield from (str(json.loads(line)["text"]) for line in opened if line.strip())
        else:
            yield file.read_text("utf-8")
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException, zstandard.ZstdError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ConfigError(f"--text {file}: is not JSON lines or Parquet with 'text', or plain text ({why})") from error


def make_pairs(documents: Iterable[tuple[str, str]], *, seed: int, width: int = 5) -> list[Copy]:
    """Returns one copy of each text that no other is like (Jaccard below ALIKE), kinds and degrees in turn."""
    known = list(documents)
    sets = shingle_sets(pa.array([text for _, text in known], pa.string()), load(fold_table()), width=width)
    twins = similar_pairs(sets, ALIKE)
    left_out = set(twins.first.tolist()) | set(twins.second.tolist())
    unlike = (item for number, item in enumerate(known) if number not in left_out)
    return measured(list(one_copy_each(unlike, seed=seed)), width=width)


def dedup_fields(config: str) -> dict[str, Any]:  # Any: YAML
    """Returns what a config says of dedup, as far as it decides which documents meet and leave.

    Raises:
        ConfigError: it has no step of that name, or no fields where they must be.
    """
    try:
        data = yaml.safe_load(Path(config).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{config}: cannot be read as a config ({error})") from error
    for step in (data.get("steps") or ()) if isinstance(data, dict) else ():
        if step == "dedup":
            return {}
        if isinstance(step, dict) and "dedup" in step:
            given = step["dedup"] or {}
            if not isinstance(given, dict):
                raise ConfigError(f"{config}: dedup: its fields are a mapping, not {type(given).__name__}")
            return {name: value for name, value in given.items() if name not in OF_DOCUMENTS}
    raise ConfigError(f"{config}: has no step 'dedup' to evaluate")


def setting(fields: Mapping[str, Any], name: str) -> float:  # Any: YAML
    """Returns a field of dedup, or its default; also where it is no number above 0, which the run refuses."""
    value = fields.get(name)
    return value if isinstance(value, int | float) and value > 0 else float(getattr(Dedup, name))


def evaluate(copies: Sequence[Copy], fields: Mapping[str, Any], folder: Path) -> Outcome:  # Any: YAML
    """Runs dedup with these fields on the originals and copies, in `folder`, and returns what it found."""
    texts = [text for copy in copies for text in (copy.original, copy.text)]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": pa.array(texts, pa.large_string())}), folder / FILE)
    steps = [
        {"ingest": {"sources": {SOURCE: {"path": str(folder / FILE)}}}},
        {"dedup": {**fields, "guard": None, "audit": 0}},
    ]
    datapipe.run({"name": "evaluation", "steps": steps}, out=folder / "run", executor="local", keep="none")
    survivors = _survivors(folder / "run" / "ledger", len(texts))
    by_containment = fields.get("measure", Dedup.measure) == "containment"
    threshold = float(setting(fields, "threshold"))
    gone = [number for number, survivor in enumerate(survivors) if survivor >= 0]
    width = int(setting(fields, "shingle"))
    left, stay = [texts[number] for number in gone], [texts[survivors[number]] for number in gone]
    found = shares(left, stay, width=width) if by_containment else similarities(left, stay, width=width)[0]
    wrong = [(number, value) for number, value in zip(gone, found.tolist(), strict=True) if value < threshold]
    names = [f"{copy.document}{part}" for copy in copies for part in ("", f" {copy.kind} {copy.degree:g}")]
    return Outcome(
        threshold,
        tuple(_counted(copies, survivors, _alike(copies, threshold, by_containment, width))),
        len(gone),
        tuple((names[number], names[survivors[number]], value) for number, value in wrong),
    )


def _survivors(ledger: Path, amount: int) -> list[int]:
    """Returns the number of the document that each left for, -1 where it stayed."""
    numbers = {document_id(SOURCE, FILE, number): number for number in range(amount)}
    rows = pads.dataset(ledger, format="parquet").to_table(
        columns=["id", "other"], filter=pc.field("action") == "duplicate_of"
    )
    made = np.full(amount, -1)
    for document, other in zip(rows.column("id").to_pylist(), rows.column("other").to_pylist(), strict=True):
        made[numbers[document]] = numbers[other]
    return [int(number) for number in made]


def _alike(copies: Sequence[Copy], threshold: float, by_containment: bool, width: int) -> list[bool]:
    """Returns which pairs are at the threshold; of containment the shorter text counts, as the longer one stays."""
    if not by_containment:
        return [copy.jaccard >= threshold for copy in copies]
    pairs = [sorted((copy.original, copy.text), key=len) for copy in copies]
    found = shares([short for short, _ in pairs], [long for _, long in pairs], width=width)
    return [bool(share >= threshold) for share in found]


def _counted(copies: Sequence[Copy], survivors: Sequence[int], alike: Sequence[bool]) -> Iterator[Found]:
    found: dict[tuple[str, float], Found] = {}
    for number, (copy, is_alike) in enumerate(zip(copies, alike, strict=True)):
        row = found.setdefault((copy.kind, copy.degree), Found(copy.kind, copy.degree))
        left = survivors[2 * number] == 2 * number + 1 or survivors[2 * number + 1] == 2 * number
        row.pairs += 1
        row.jaccard += copy.jaccard
        row.alike += is_alike
        row.found += is_alike and left
        row.unlike_found += left and not is_alike
    yield from found.values()
