"""`datapipe trace`: the documents that a trainer saw in samples, batches or a token; and where a document is seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer

from datapipe import ConfigError, DataError, shown
from stages.corpus.batches import Batches, whole
from stages.corpus.corpus import Corpus, Split
from stages.corpus.index import documents, find_documents, pieces_of, segments
from stages.corpus.skip import asked
from stages.mix.columns import SEGMENTS
from stages.tokens.encoder import Boundaries, Encoder

ABOUT = ("source", "url", "language", "tokens")  # columns of the index of documents that are printed
PLACE = ("file", "offset")  # of the document in its source; printed as source_file and source_offset
AT_ONCE = 4096  # samples that are looked up together

Row = dict[str, Any]  # Any: JSON


def trace(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="the --out folder of a run", show_default=False)],
    samples: Annotated[str | None, typer.Option(metavar="A:B", help="samples by position, A up to but not B")] = None,
    batches: Annotated[str | None, typer.Option(metavar="A:B", help="batches, as readers yield them")] = None,
    batch_size: Annotated[
        str | None, typer.Option(metavar="N", help="samples of a batch of all ranks, or a ramp: 32x1000,64")
    ] = None,
    token: Annotated[
        str | None, typer.Option(metavar="SHARD:OFFSET", help="a token: name or number of a shard, tokens before it")
    ] = None,
    document: Annotated[str | None, typer.Option(help="id or URL: where it is seen")] = None,
    split: Annotated[str, typer.Option(help="train or validation")] = "train",
    as_built: Annotated[bool, typer.Option("--as-built", help="as if no overlay were there")] = False,
    decode: Annotated[bool, typer.Option("--decode", help="the text of each piece too")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="a line of JSON a piece")] = False,
) -> None:
    """Name the documents of samples, batches or a token: id, source, URL, epoch, and the piece that lies there.

    Or, with --document, the places at which a document is seen. Only the parts of the index are read that hold them.
    """
    given = [
        name
        for name, value in {
            "--samples": samples,
            "--batches": batches,
            "--token": token,
            "--document": document,
        }.items()
        if value is not None
    ]
    if len(given) != 1:
        raise ConfigError("trace: give one of --samples A:B, --batches A:B, --token SHARD:OFFSET, --document ID_OR_URL")
    if batch_size is not None and not (batches or document):
        raise ConfigError("--batch-size goes with --batches or --document")
    corpus = Corpus.open(folder, overlays=not as_built)
    chosen = corpus.split(split)
    tracing = Trace(chosen, Batches.parse(batch_size) if batch_size else None, _encoder(corpus) if decode else None)
    if token is not None:
        rows = iter([tracing.token(token)])
    elif document is not None:
        rows = tracing.document(document)
    else:
        rows = tracing.ranges(asked(chosen, [samples] if samples else [], batches, batch_size, "--samples A:B"))
    found = False
    for line in map(_json, rows) if as_json else describe(rows):
        found = True
        typer.echo(shown(line))
    if not found and document is not None:
        typer.echo(
            f"no sample of {split} that readers are given holds it: it is of another split, the samples drawn of its "
            "group ended before it, an overlay leaves it out (--as-built), or the corpus was rebuilt without it",
            err=True,
        )
    elif not found:
        typer.echo("overlays leave nothing of it to readers; --as-built shows what is there", err=True)


def _json(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False)


def _encoder(corpus: Corpus) -> Encoder:
    said = corpus.manifest["tokenizer"]
    return Encoder(corpus.tokenizer(), Boundaries(said["bos_id"], said["eos_id"]))


@dataclass(frozen=True)
class Trace:
    """Looks pieces up in a split. With `batches` a row says its batch, with `encoder` its text."""

    split: Split
    batches: Batches | None = None
    encoder: Encoder | None = None

    def ranges(self, ranges: list[tuple[int, int]]) -> Iterator[Row]:
        """Yields a row a piece of the samples at these positions, in order, but for what overlays leave out."""
        for start, stop in ranges:
            for first, end in self.split.overlaid.runs(start, stop):
                for at in range(first, end, AT_ONCE):
                    yield from self.pieces(segments(self.split, at, min(end, at + AT_ONCE)))

    def pieces(self, table: pa.Table) -> Iterator[Row]:
        """Yields a row for each of SEGMENTS, with what the index says of its document."""
        about = documents(
            self.split.corpus,
            table.column("file").to_numpy(),
            table.column("file_row").to_numpy(),
            columns=("doc_id", *ABOUT, *PLACE),
        )
        gone = self.removed(table)
        for row, known, removed in zip(table.to_pylist(), about.to_pylist(), gone, strict=True):
            if known["doc_id"] != row["doc_id"]:
                raise DataError(
                    f"{self.split.corpus.folder}: file {row['file']} of documents has {known['doc_id']} at row "
                    f"{row['file_row']}, the index of sample {row['sample']} says {row['doc_id']}: `datapipe verify` "
                    "says which file was changed"
                )
            yield self._row(row, known, removed)

    def _row(self, piece: Row, known: Row, removed: bool) -> Row:
        length = piece["end"] - piece["start"]
        row: Row = {"sample": piece["sample"]}
        if self.is_skipped(piece["sample"]):
            row["skipped"] = True
        elif self.batches:
            row["batch"] = self.batches.number(self.split.overlaid.index(piece["sample"]))
        row |= {
            "shard": self.split.shards[piece["shard"]]["name"],
            **{name: piece[name] for name in ("row", "start", "end", "doc_id")},
            **{name: known[name] for name in ABOUT},
            **{f"source_{name}": known[name] for name in PLACE if known[name] is not None},
            "epoch": piece["epoch"],
            "doc_start": piece["doc_start"],
            "doc_end": piece["doc_start"] + length,
        }
        if removed:
            row["removed"] = True
        if self.encoder:
            row["text"] = self.encoder.decode(self._ids(piece).tolist())
        return row

    def _ids(self, piece: Row) -> np.ndarray:
        ids: np.ndarray = self.split.sample(piece["sample"])["input_ids"]
        return ids[piece["start"] : piece["end"]]

    def is_skipped(self, position: int) -> bool:
        """Returns whether an overlay leaves out the sample at a position."""
        return not any(True for _ in self.split.overlaid.runs(position, position + 1))

    def removed(self, table: pa.Table) -> list[bool]:
        """Returns which pieces an overlay takes out."""
        overlaid = self.split.overlaid
        if not len(table) or not len(overlaid.removed):
            return [False] * len(table)
        samples = table.column("sample").to_numpy()
        taken = set(
            zip(*(column.tolist() for column in overlaid.pieces(samples.min(), samples.max() + 1)), strict=True)
        )
        keys = (table.column(name).to_pylist() for name in ("sample", "start", "end"))
        return [key in taken for key in zip(*keys, strict=True)]

    def token(self, text: str) -> Row:
        """Returns the piece that a token `SHARD:OFFSET` is of, and the token's place in sample and document.

        `doc_character` is how many characters of the document stand before the token; it is None where an earlier
        part of the document is in no sample of the split, or an overlay removes it.

        Raises:
            ConfigError: there is no such shard or token.
        """
        name, _, offset = text.rpartition(":")
        number, at = self._shard(name, text), _whole(offset, text)
        row, place = self._place(number, at, text)
        position = self.split.first(number) + row
        found = self.split.sample(position)["input_ids"]
        said = {"token": at, "token_id": int(found[place]), "place": place}
        own = [
            piece
            for piece in segments(self.split, position, position + 1).to_pylist()
            if piece["start"] <= place < piece["end"]
        ]
        if not own:
            return {"sample": position, "shard": self.split.shards[number]["name"], "row": row, **said, "padding": True}
        (made,) = self.pieces(pa.Table.from_pylist(own, SEGMENTS))
        character = None if "removed" in made else self._character(own[0], place - own[0]["start"])
        return {**made, **said, "doc_token": own[0]["doc_start"] + place - own[0]["start"], "doc_character": character}

    def _shard(self, name: str, text: str) -> int:
        names = [shard["name"] for shard in self.split.shards]
        if not self.split.total:
            raise ConfigError(f"--token {text}: {self.split.name} has no sample, so no token")
        if name in names:
            return names.index(name)
        number = whole(name)
        if number is None or number >= len(names):
            raise ConfigError(
                f"--token {text}: {self.split.name} has no shard '{name}': write SHARD:OFFSET, the shard as {names[0]} "
                f"or as a number from 0 to {len(names) - 1}, the offset in tokens"
            )
        return number

    def _place(self, number: int, at: int, text: str) -> tuple[int, int]:
        """Returns row and place in the row of the token `at` of a shard."""
        length, rows = self.split.corpus.seq_len, self.split.shards[number]["rows"]
        if length is not None:
            tokens = length * rows
        else:
            counts = [batch.column("n_tokens") for batch in self.split.shard(number).read(0, rows, ("n_tokens",))]
            ends = np.cumsum(np.concatenate([np.asarray(column) for column in counts]).astype(np.int64))
            tokens = int(ends[-1])
        if at >= tokens:
            raise ConfigError(f"--token {text}: the shard holds the tokens 0 to {tokens - 1:,}")
        if length is not None:
            return divmod(at, length)
        row = int(np.searchsorted(ends, at, side="right"))
        return row, at - (int(ends[row - 1]) if row else 0)

    def _character(self, piece: Row, place: int) -> int | None:
        """Returns the characters of the document before token `place` of a piece, None where that cannot be known."""
        encoder = self.encoder or _encoder(self.split.corpus)
        before = self._before(piece)
        if before is None:
            return None
        ids = np.concatenate([before, self._ids(piece)])
        whole, cut = (encoder.decode(ids[:end].tolist()) for end in (len(ids), len(before) + place))
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(whole, cut, strict=False)))

    def _before(self, piece: Row) -> np.ndarray | None:
        """Returns the tokens of the document before a piece, None where one of them is in no sample."""
        if not piece["doc_start"]:
            return np.zeros(0, np.int32)
        found: dict[int, Row] = {}
        for own in pieces_of(self.split, pa.array([piece["doc_id"]])):
            found |= {row["doc_start"]: row for row in own.to_pylist() if row["doc_start"] < piece["doc_start"]}
        ids, end = [], 0
        for start in sorted(found):
            if start > end:
                return None
            own_ids = self._ids(found[start])[end - start :]
            ids.append(own_ids)
            end += len(own_ids)
        return np.concatenate(ids)[: piece["doc_start"]] if end >= piece["doc_start"] else None

    def document(self, named: str) -> Iterator[Row]:
        """Yields a row a piece of the documents of an id or URL, by position.

        Raises:
            ConfigError: the corpus has none.
        """
        found = find_documents(self.split.corpus, named)
        if not len(found):
            raise ConfigError(
                f"--document {named}: the corpus has no document of that id or URL; "
                "`datapipe explain` says where one went"
            )
        ids = found.column("doc_id").combine_chunks()
        for own in pieces_of(self.split, ids):
            stays = [not self.is_skipped(position) for position in own.column("sample").to_pylist()]
            yield from self.pieces(own.filter(pa.array(stays, pa.bool_())))


def _whole(number: str, text: str) -> int:
    found = whole(number)
    if found is None:
        raise ConfigError(f"--token {text}: write SHARD:OFFSET, the offset in tokens from the start of the shard")
    return found


def describe(rows: Iterator[Row]) -> Iterator[str]:
    """Yields rows as lines for a person, under a line for each sample."""
    at = -1
    for row in rows:
        if row["sample"] != at:
            at = row["sample"]
            batch = f", batch {row['batch']}" if "batch" in row else ", left out" if "skipped" in row else ""
            yield f"sample {at}{batch} ({row['shard']}, row {row['row']})"
        if "token" in row:
            yield f"  token {row['token']} is {row['token_id']}, at {row['place']} of the sample" + (
                "" if "doc_token" in row else ": padding"
            )
        if "doc_id" not in row:
            continue
        about = " ".join(str(row[name]) for name in ("source", "language", "url") if row[name] is not None)
        if row["url"] is None and "source_file" in row:
            about += f" {row['source_file']}"
        gone = " removed" if row.get("removed") else ""
        yield (
            f"  {row['start']}:{row['end']}{gone} {row['doc_id']} tokens {row['doc_start']}:{row['doc_end']} of "
            f"{row['tokens']}, epoch {row['epoch']}, {about}"
        )
        if "doc_token" in row:
            character = row["doc_character"]
            why = "it is removed" if "removed" in row else "an earlier part of it is in no sample"
            said = why if character is None else f"behind {character} characters"
            yield f"  token {row['doc_token']} of the document, {said}"
        if "text" in row:
            yield from (f"    | {line}" for line in row["text"].splitlines())
