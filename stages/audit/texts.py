"""The text of drawn documents: decoded from the samples of a corpus, or read from the files of `write`.

A corpus keeps tokens, not text, so the text of a document is what its first piece says: all of it, or as much as lies
in one sample. What the tokens stand for is put together from the bytes of each; where a tokenizer does more than that
(its own decoder says so on the first documents), it decodes. A document that is in no sample has no text, and none has
one that an overlay removed.
"""

from __future__ import annotations

import io
import itertools
import json
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from datapipe import ConfigError, DataError, storage
from stages.audit.ranges import tokens_of
from stages.audit.tables import removed_from
from stages.corpus.corpus import Corpus, Split
from stages.corpus.index import opened
from stages.tokens.encoder import Boundaries, Encoder
from stages.tokens.fertility import token_bytes

CHARACTERS: Final = 4096  # of one document, the first
TOKENS: Final = 4096  # that are decoded for them at the most
TRIED: Final = 16  # documents on which putting bytes together is held against the tokenizer's own decoder
AT_ONCE: Final = 16  # files that are far away and read together
DOCUMENTS: Final = "documents"

Ids = npt.NDArray[np.int32]


def texts_of(folder: str, drawn: pa.Table) -> pa.Array:
    """Returns the first characters of the text of each drawn document, large_string[rows]; null where there is none.

    `folder` is the `--out` folder of a run, `drawn` has the columns of FRAME.

    Raises:
        DataError: a file of the corpus, or of its documents, is gone or changed.
    """
    if not drawn.num_rows:
        return pa.array([], pa.large_string())
    try:
        corpus = Corpus.open(folder)
    except ConfigError:
        files, rows = (np.asarray(drawn.column(f"index_{name}").fill_null(-1)) for name in ("file", "row"))
        return written(folder, files, rows)
    return _decoded(corpus, drawn)


# Of samples


def _decoded(corpus: Corpus, drawn: pa.Table) -> pa.Array:
    said = corpus.manifest["tokenizer"]
    decode = Decoder(Encoder(corpus.tokenizer(), Boundaries(said["bos_id"], said["eos_id"])))
    splits = drawn.column("piece_split").to_pylist()
    removed = removed_from(corpus)
    gone = [key in removed for key in drawn.column("id").to_pylist()] if removed else [False] * len(splits)
    texts: list[str | None] = [None] * len(splits)
    shards, rows, starts, ends = (
        np.asarray(drawn.column(f"piece_{name}").fill_null(-1)).astype(np.int64)
        for name in ("shard", "row", "start", "end")
    )
    for name in corpus.splits:
        split = corpus.split(name)
        mine = np.array([own == name and not out for own, out in zip(splits, gone, strict=True)], bool)
        for shard in np.unique(shards[mine]).tolist():
            places = np.flatnonzero(mine & (shards == shard))
            pieces = list(zip(rows[places].tolist(), starts[places].tolist(), ends[places].tolist(), strict=True))
            for group in range(0, len(pieces), 512):
                ids = _pieces(split, shard, pieces[group : group + 512])
                for place, text in zip(places[group : group + 512].tolist(), decode(ids), strict=True):
                    texts[place] = text[:CHARACTERS]
    return pa.array(texts, pa.large_string())


def _pieces(split: Split, shard: int, pieces: Sequence[tuple[int, int, int]]) -> list[Ids]:
    """Returns the tokens of pieces (row, start, end) of a shard, the first TOKENS of each."""
    return tokens_at(split, shard, [(row, start, min(end, start + TOKENS)) for row, start, end in pieces])


def tokens_at(split: Split, shard: int, pieces: Sequence[tuple[int, int, int]]) -> list[Ids]:
    """Returns the tokens of pieces (row, start, end) of a shard."""
    path = storage.join(split.corpus.folder, split.shards[shard]["name"])
    if storage.is_remote(path):
        return tokens_of(path, pieces)
    file = split.shard(shard)
    made = []
    for row, start, end in pieces:
        number = bisect_right(file.starts, row) - 1
        values, offsets = file.tokens(number)
        place = row - file.starts[number]
        made.append(
            values[place][start:end] if offsets is None else values[offsets[place] + start : offsets[place] + end]
        )
    return made


class Decoder:
    """Returns texts of ids: the bytes of tokens in a row, where the tokenizer's decoder makes the same of them."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._pieces = pa.array(token_bytes(encoder.reference), pa.binary())
        self._left = TRIED
        self.plain = False  # whether the tokenizer decodes

    def __call__(self, ids: Sequence[Ids]) -> list[str]:
        """Returns a text each; half a character at an end is left out, within it is U+FFFD."""
        if not self.plain:
            texts = self._joined(ids)
            tried = [place for place, own in enumerate(ids) if len(own)][: self._left]
            self._left -= len(tried)
            self.plain = any(self._plain(ids[place]).strip() != texts[place].strip() for place in tried)
            if not self.plain:
                return texts
        return [self._plain(own) for own in ids]

    def _plain(self, ids: Ids) -> str:
        return _trimmed(self._encoder.decode(ids.tolist()))

    def _joined(self, ids: Sequence[Ids]) -> list[str]:
        whole = np.concatenate([np.zeros(0, np.int32), *ids])
        try:
            joined = self._pieces.take(pa.array(whole))
        except pa.ArrowIndexError as error:
            raise DataError(
                f"a sample has a token that the corpus's tokenizer does not have ({error}): `datapipe verify` says "
                "which file was changed"
            ) from error
        _, offsets, data = joined.buffers()
        ends = np.frombuffer(offsets, np.int32)[np.cumsum([0, *map(len, ids)])].tolist()
        content = data.to_pybytes() if data else b""
        return [_trimmed(content[start:end].decode("utf-8", "replace")) for start, end in itertools.pairwise(ends)]


def _trimmed(text: str) -> str:
    return text.strip("\ufffd")


# Of files


def written(
    folder: str, files: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], most: int | None = CHARACTERS
) -> pa.Array:
    """Returns the texts of documents as `write` published them, by file and row; null where it did not write that.

    They are cut to `most` characters, unless that is None.
    """
    names = storage.list_folder(storage.join(folder, DOCUMENTS))
    numbers = [number for number in np.unique(files).tolist() if 0 <= number < len(names)]
    texts = np.full(len(rows), None, object)
    with ThreadPoolExecutor(AT_ONCE if storage.is_remote(folder) else 1) as pool:
        wanted = [(names[number], rows[files == number]) for number in numbers]
        for number, found in zip(numbers, pool.map(partial(_of_file, most=most), wanted), strict=True):
            texts[files == number] = found
    return pa.array(texts, pa.large_string())


def _of_file(wanted: tuple[str, npt.NDArray[np.int64]], most: int | None) -> list[str | None]:
    path, rows = wanted
    if path.endswith(".parquet"):
        return _of_parquet(path, rows, most)
    return _of_lines(path, rows, most) if path.endswith(".jsonl.zst") else [None] * len(rows)


def _of_parquet(path: str, rows: npt.NDArray[np.int64], most: int | None) -> list[str | None]:
    with opened(path) as file:
        if "text" not in file.schema_arrow.names:
            return [None] * len(rows)
        ends = np.cumsum([file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)])
        groups = np.searchsorted(ends, rows, side="right")
        if (groups == len(ends)).any():
            raise DataError(f"{path}: has no row {rows.max()}: `datapipe verify` says which file was changed")
        texts: list[str | None] = [None] * len(rows)
        for number in np.unique(groups).tolist():
            places = np.flatnonzero(groups == number)
            own = rows[places] - (ends[number - 1] if number else 0)
            found = file.read_row_group(number, columns=["text"], use_threads=False).column(0).take(pa.array(own))
            for place, text in zip(places.tolist(), pc.utf8_slice_codeunits(found, 0, most).to_pylist(), strict=True):
                texts[place] = text
    return texts


def _of_lines(path: str, rows: npt.NDArray[np.int64], most: int | None) -> list[str | None]:
    wanted = set(rows.tolist())
    found: dict[int, str | None] = {}
    try:
        with (
            storage.open_input(path) as file,
            zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream,
        ):
            for number, line in enumerate(io.BufferedReader(stream, 1 << 20)):
                if number in wanted:
                    text = json.loads(line).get("text")
                    found[number] = text[:most] if isinstance(text, str) else None
                    if len(found) == len(wanted):
                        break
    except (OSError, ValueError, zstandard.ZstdError) as error:
        raise DataError(f"{path}: cannot be read ({error}): `datapipe verify` says which file was changed") from error
    return [found.get(row) for row in rows.tolist()]
