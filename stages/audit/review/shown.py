"""What a sheet shows of a document: its text, masked and cut to its first and last part, and what was noted of it.

A corpus keeps tokens, so the text is put together from the pieces that readers get: of a document of which one is in no
sample it lacks that piece, and says so. Of a long one only the tokens of its two ends are decoded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datapipe import ConfigError, part_of
from stages.audit.draw import hashes
from stages.audit.hostile import harmless
from stages.audit.review.draw import Numbers, pieces
from stages.audit.tables import Row, Tables, groups_of, table_of
from stages.audit.texts import Decoder, tokens_at, written
from stages.audit.told import date_of, harmless_text, safe
from stages.corpus.corpus import Corpus
from stages.corpus.index import opened
from stages.tokens.encoder import Boundaries, Encoder

HEAD_RATIO: Final = 0.7  # of the characters that are shown are the first, the others the last
SLACK: Final = 256  # characters beyond a cut that are masked too, so that no half of a detail is left there
TOKENS_A_CHARACTER: Final = 4  # at the most: a character of four bytes
NOTES: Final = 12  # of a document
OF_INDEX: Final = ("source", "language", "script", "format", "host", "url", "split", "characters")
FACTS: Final = ("title", "licence", "published", "crawl_date", "quality", "tokens", "cluster_size", "contamination")
_NOTED: Final = ("repair", "flag")  # actions on what stays
_AT_ONCE: Final = 512  # documents that are decoded together
_TITLE: Final = 200


@dataclass(frozen=True)
class Shown:
    """A document of a sheet: `row` is what the index says of it, the rest is harmless.

    `left_out` characters, or about as many, lie between `head` and `tail`; `partial` is a document of which a part is
    in no sample. `notes` are (stage, action, rule, value) of rules that changed or flagged it.
    """

    row: Row
    head: str
    tail: str
    left_out: int
    partial: bool
    notes: tuple[tuple[str, str, str, float | None], ...]
    facts: tuple[tuple[str, Any], ...]  # Any: JSON


def shown(tables: Tables, places: pa.Table, most: int) -> list[Shown]:
    """Returns what is shown of the documents at `places` (PLACES), `most` characters of each text.

    Raises:
        ConfigError: no text of any can be had.
        DataError: a file is gone or damaged.
    """
    files, rows = (np.asarray(places.column(name)) for name in ("file", "row"))
    said = _rows(tables, files, rows)
    if tables.corpus is not None:
        texts = _decoded(tables.corpus, files, rows, most, [row.get("tokens") for row in said])
    else:
        texts = [_cut(text, most) for text in written(tables.folder, files, rows, None).to_pylist()]
    if not any(head for head, *_ in texts):
        raise ConfigError(
            f"{tables.folder}: no text of the {len(texts):,} documents drawn can be read: there are no samples with "
            "tokens of them, and no documents with a column `text`; judge the folder that holds the texts"
        )
    ids = places.column("id").to_pylist()
    notes = _notes(tables, ids)
    return [Shown(row, *text, notes[key], _facts(row)) for row, text, key in zip(said, texts, ids, strict=True)]


_Text = tuple[str, str, int, bool]  # head, tail, left_out, partial


def _cut(text: str | None, most: int, *, lacking: bool = False) -> _Text:
    """Returns a text, masked, or its two ends where that is longer."""
    text = text or ""
    if len(text) <= 2 * most:
        whole = harmless_text(text, 2 * len(text) + SLACK)
        if len(whole) <= most:
            return whole, "", 0, lacking
    return _both_ends(text, text, most, len(text) - most, lacking=lacking)


def _both_ends(start: str, stop: str, most: int, left_out: int, *, lacking: bool) -> _Text:
    """Returns the first of what a text starts with and the last of what it stops with, masked.

    More than is shown is masked, and what lies within SLACK of a cut is not shown: half a detail may be there.
    """
    first = int(most * HEAD_RATIO)
    last = most - first
    head, tail = (
        harmless_text(own, 2 * len(own) + SLACK) for own in (start[: first + 2 * SLACK], stop[-last - 2 * SLACK :])
    )
    end = min(first, len(head) - (SLACK if len(start) > first + 2 * SLACK else 0))
    begin = max(len(tail) - last, SLACK if len(stop) > last + 2 * SLACK else 0)
    return head[: max(0, end)].rstrip(), tail[begin:].lstrip(), max(1, left_out), lacking


def _decoded(corpus: Corpus, files: Numbers, rows: Numbers, most: int, amounts: Sequence[int | None]) -> list[_Text]:
    said = corpus.manifest["tokenizer"]
    decode = Decoder(Encoder(corpus.tokenizer(), Boundaries(said["bos_id"], said["eos_id"])))
    made: list[_Text] = []
    spans = _spans(corpus, files, rows)
    for place in range(0, len(spans), _AT_ONCE):
        some = zip(spans[place : place + _AT_ONCE], amounts[place : place + _AT_ONCE], strict=True)
        ends = [_ends(own, most, amount) for own, amount in some]
        tokens = _tokens(corpus, [own for head, tail, _, _ in ends for own in (head, tail)])
        texts = decode(tokens)
        for (_, _, between, lacking), head, tail in zip(ends, texts[::2], texts[1::2], strict=True):
            made.append(_joined(head, tail, between, most, lacking=lacking))
    return made


def _joined(head: str, tail: str, between: int, most: int, *, lacking: bool) -> _Text:
    """Returns the ends of a text of which `between` tokens were not decoded; there are about as many characters."""
    if not between:
        return _cut(head, most, lacking=lacking)
    decoded = len(head) + len(tail)
    left_out = decoded - most + between * decoded // (2 * _budget(most))
    return _both_ends(head, tail, most, left_out, lacking=lacking)


_Span = tuple[str, int, int, int, int, int]  # split, shard, row and start of the piece; its first token, and the end


def _spans(corpus: Corpus, files: Numbers, rows: Numbers) -> list[list[_Span]]:
    """Returns the pieces of each document, by their place in it; of tokens that several samples hold, one each."""
    keys = files << 32 | rows
    order = np.argsort(keys)
    held: list[list[_Span]] = [[] for _ in range(len(keys))]
    for split, shard, found in pieces(corpus, ("file", "file_row", "row", "start", "end", "doc_start")):
        own = found["file"] << 32 | found["file_row"]
        at = np.minimum(np.searchsorted(keys[order], own), len(keys) - 1)
        mine = np.flatnonzero(keys[order][at] == own) if len(keys) else np.zeros(0, np.int64)
        columns = (found[name][mine].tolist() for name in ("row", "start", "end", "doc_start"))
        for place, row, start, end, first in zip(order[at[mine]].tolist(), *columns, strict=True):
            held[place].append((split.name, shard, row, start, first, first + end - start))
    return [_apart(own) for own in held]


def _apart(spans: list[_Span]) -> list[_Span]:
    made: list[_Span] = []
    place = 0
    for split, shard, row, start, first, end in sorted(spans, key=lambda one: (one[4], -one[5], one)):
        if end > place:
            skipped = max(0, place - first)
            made.append((split, shard, row, start + skipped, first + skipped, end))
            place = end
    return made


def _budget(most: int) -> int:
    """Returns how many tokens are decoded at an end of a text of which `most` characters are shown."""
    return TOKENS_A_CHARACTER * (most + 2 * SLACK)


def _ends(spans: list[_Span], most: int, tokens: int | None) -> tuple[list[_Span], list[_Span], int, bool]:
    """Returns the pieces of both ends of a document, how many tokens lie between, and whether it lacks some."""
    begin, end = (spans[0][4], spans[-1][5]) if spans else (0, 0)
    lacking = begin > 0 or (tokens is not None and end < tokens) or any(a[5] != b[4] for a, b in pairwise(spans))
    amounts = [one[5] - one[4] for one in spans]
    whole, budget = sum(amounts), _budget(most)
    if whole <= 2 * budget:
        return spans, [], 0, lacking
    head, tail = [], []
    before = 0
    for (split, shard, row, start, first, end), amount in zip(spans, amounts, strict=True):
        if before < budget:
            head.append((split, shard, row, start, first, min(end, first + budget - before)))
        skip = max(0, whole - budget - before)
        if skip < amount:
            tail.append((split, shard, row, start + skip, first + skip, end))
        before += amount
    return head, tail, whole - 2 * budget, lacking


def _tokens(corpus: Corpus, wanted: Sequence[list[_Span]]) -> list[npt.NDArray[np.int32]]:
    """Returns the tokens of pieces in a row, for each list; each shard is opened once."""
    by_shard = defaultdict[tuple[str, int], list[tuple[int, int]]](list)
    for number, spans in enumerate(wanted):
        for place, span in enumerate(spans):
            by_shard[span[0], span[1]].append((number, place))
    found: list[list[npt.NDArray[np.int32]]] = [[np.zeros(0, np.int32)] * len(spans) for spans in wanted]
    for (split, shard), places in sorted(by_shard.items()):
        asked = [wanted[number][place] for number, place in places]
        cut = [(row, start, start + end - first) for _, _, row, start, first, end in asked]
        for (number, place), tokens in zip(places, tokens_at(corpus.split(split), shard, cut), strict=True):
            found[number][place] = tokens
    return [np.concatenate([np.zeros(0, np.int32), *own]) for own in found]


# What is known of it


def _rows(tables: Tables, files: Numbers, rows: Numbers) -> list[Row]:
    made: list[Row] = [{} for _ in range(len(rows))]
    for number in np.unique(files).tolist():
        with table_of(tables.kept[number]) as file:
            there = set(file.schema_arrow.names)
            names = [name for name in dict.fromkeys((*OF_INDEX, *FACTS, "crawl_time")) if name in there]
            mine = np.flatnonzero(files == number)
            ends = np.cumsum([file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)])
            groups = np.searchsorted(ends, rows[mine], side="right")
            for group in np.unique(groups).tolist():
                places = mine[groups == group]
                inside = rows[places] - (ends[group - 1] if group else 0)
                table = file.read_row_group(group, columns=names).take(pa.array(inside))
                for place, row in zip(places.tolist(), table.to_pylist(), strict=True):
                    made[place] = row
    return made


def _facts(row: Row) -> tuple[tuple[str, Any], ...]:
    held = {**row, "crawl_date": row.get("crawl_date") or date_of(row.get("crawl_time"))}
    if held.get("cluster_size") == 1:
        held["cluster_size"] = None
    found = ((name, safe(held.get(name), _TITLE)) for name in FACTS)
    return tuple((name, value) for name, value in found if value not in (None, ""))


def _notes(tables: Tables, ids: Sequence[bytes]) -> dict[bytes, tuple[tuple[str, str, str, float | None], ...]]:
    """Returns what rules did to each document: of the ledger's parts only the row groups are read that may say it."""
    files = tables.ledger
    whole = bool(files) and files[-1].endswith(f"-{len(files) - 1:05}-of-{len(files):05}.parquet")
    of_part = defaultdict[int, list[bytes]](list)
    for key in ids:
        for number in [part_of(key, len(files))] if whole else range(len(files)):
            of_part[number].append(key)
    made: dict[bytes, list[tuple[str, str, str, float | None]]] = {key: [] for key in ids}
    for number, keys in sorted(of_part.items()):
        for row in _of_ledger(files[number], keys):
            own = made[row["id"]]
            if len(own) < NOTES:
                value = None if row["value"] is None else float(f"{row['value']:.6g}")
                stage, action, rule = (harmless(row[name] or "", 80) for name in ("stage", "action", "rule"))
                own.append((stage, action, rule, value))
    return {key: tuple(notes) for key, notes in made.items()}


def _of_ledger(path: str, keys: Sequence[bytes]) -> Iterator[Row]:
    with opened(path) as file:
        wanted = np.unique(hashes(pa.array(keys, file.schema_arrow.field("id").type), 0))
        groups = sorted({group for key in keys for group in groups_of(file, "id", key)})
        for group in groups:
            table = file.read_row_group(group, columns=["id", "stage", "action", "rule", "value"])
            mine = pc.is_in(table.column("action"), pa.array(_NOTED))
            mine = pc.and_(mine, pa.array(np.isin(hashes(table.column("id").combine_chunks(), 0), wanted)))
            yield from table.filter(mine).to_pylist()
