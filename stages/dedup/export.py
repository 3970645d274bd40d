"""`datapipe export signatures`: the signatures of a run, or of texts, as arrays that datasketch loads.

A `.npz` holds `hashvalues` (uint32[documents, permutations]), `ids` (uint8[documents, 16]: the documents' ids, or the
digests of texts) and, as single values, `permutations`, `seed`, `scheme`, `shingle` and `fold` (the digest of the table
that texts are folded by). A `.parquet` holds the columns `id` and `signature`, and the settings as JSON in the metadata
`datapipe.keys` of its schema. Rows stand in the order of keys/, or of the texts; `signatures` says how datasketch loads
them.

A document with fewer tokens than a shingle has is there with all values at 2^32 - 1, as datasketch's MinHash is before
its first update; in a `.parquet` it is null. What datasketch hashes itself has other shingles: only what comes from
here, with equal settings, compares.

Files are written as they are read: memory is bounded by a batch of rows.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from datapipe import ID, ConfigError, DataError, storage
from stages.dedup.fold import fold_table, load
from stages.dedup.keys import KEYS_METADATA, KEYS_VERSION, list_column
from stages.dedup.signature import Halves, permutations, sign
from stages.dedup.stage import MOST_PERMUTATIONS, MOST_TOKENS
from stages.ingest.lines import Line, lines
from stages.ingest.members import Loss, pieces

SCHEME: Final = "affine32"
ENDINGS: Final = (".npz", ".parquet")
LINES: Final = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".jsonl.zst", ".ndjson.zst")
TEXTS: Final = (*LINES, ".parquet")
ROWS: Final = 1 << 13  # of a batch: 4 MiB of signatures with 128 permutations
TEXT_BYTES: Final = 8 << 20  # that are signed at once
LINE_BYTES: Final = 1 << 30
BUFFER_BYTES: Final = 1 << 20  # of a column
NO_SHINGLE: Final = np.uint32(0xFFFFFFFF)

Settings = dict[str, Any]  # Any: JSON


def signatures(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR|FILE...",
            help="the --out folder of a run with `dedup.signatures: true`, or files with `text`: "
            ".jsonl (also .gz, .zst) or .parquet",
            show_default=False,
        ),
    ],
    out: Annotated[str, typer.Option(help="the file to write: .npz for numpy and datasketch, or .parquet")],
    drawn: Annotated[
        int, typer.Option("--permutations", min=1, max=MOST_PERMUTATIONS, help="of texts; a run has its own")
    ] = 128,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="of texts; a run has its own")] = 1,
    shingle: Annotated[
        int, typer.Option(min=1, max=MOST_TOKENS, help="tokens a shingle, of texts; a run has its own")
    ] = 5,
) -> None:
    """Write the MinHash signatures of a run, or of texts, as arrays that datasketch loads.

    held = numpy.load("signatures.npz")

    settings = {"seed": int(held["seed"]), "scheme": str(held["scheme"])}

    minhashes = [datasketch.MinHash(hashvalues=row, **settings) for row in held["hashvalues"]]
    """
    if not out.endswith(ENDINGS):
        raise ConfigError(f"--out {out}: must end in {' or '.join(ENDINGS)}")
    if storage.is_folder(out):
        raise ConfigError(f"--out {out}: is a folder; name a file")
    are_texts = [source.endswith(TEXTS) for source in sources]
    if not all(are_texts) and len(sources) > 1:
        raise ConfigError(f"export signatures: give the folder of one run, or files that end in {', '.join(TEXTS)}")
    with _scratch(out) as scratch:
        if all(are_texts):
            files = [os.path.join(scratch, "signed.parquet")]
            sign_texts(sources, files[0], amount=drawn, seed=seed, width=shingle)
        else:
            files = key_files(sources[0])
        settings, documents = settings_of(files)
        made = os.path.join(scratch, "made" + os.path.splitext(out)[1])
        (write_npz if out.endswith(".npz") else write_parquet)(made, files, settings, documents)
        storage.put_file(made, out)
    typer.echo(f"{documents:,} documents of {settings['permutations']} permutations in {out}")


@contextmanager
def _scratch(out: str) -> Iterator[str]:
    """Makes a folder on the disk that `out` lies on, or a temporary one where that is a store.

    Raises:
        ConfigError: none can be made there.
    """
    beside = None if storage.is_remote(out) else os.path.dirname(storage.absolute(out))
    with ExitStack() as stack:
        try:
            if beside:
                os.makedirs(beside, exist_ok=True)
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=".export-", dir=beside))
        except OSError as error:
            raise ConfigError(f"--out {out}: cannot be written ({error.strerror})") from error
        yield folder


# Reading keys


def key_files(folder: str) -> list[str]:
    """Returns the key files of a run's output folder. Raises ConfigError where it has none."""
    paths = storage.list_folder(storage.join(folder, "keys"))
    found = [path for path in paths if path.endswith(".parquet")]
    if not found:
        raise ConfigError(
            f"{folder}: holds no keys/; give the --out folder of a run with the step dedup, or files that end in "
            + ", ".join(TEXTS)
        )
    return found


def settings_of(files: Sequence[str]) -> tuple[Settings, int]:
    """Returns what all of the key files were made with, and how many documents they hold.

    Raises:
        ConfigError: a file holds no signatures, or is made with other settings than the first.
    """
    first: Settings = {}
    documents = 0
    for path in files:
        with _parquet(path) as file:
            schema, documents = file.schema_arrow, documents + file.metadata.num_rows
        settings: Settings = json.loads((schema.metadata or {}).get(KEYS_METADATA.encode(), b"{}"))
        if not settings:
            raise ConfigError(f"{path}: holds no keys of dedup: its schema has no '{KEYS_METADATA}'")
        if "signature" not in schema.names:
            raise ConfigError(f"{path}: holds no signatures; run again with `signatures: true` in the step dedup")
        first = first or settings
        differing = sorted(name for name in {*first, *settings} if first.get(name) != settings.get(name))
        if differing:
            values = ", ".join(f"{name} is {settings.get(name)} and {first.get(name)}" for name in differing)
            raise ConfigError(f"{path}: does not go with {files[0]}: {values}; export each run for itself")
    return first, documents


@contextmanager
def _parquet(path: str) -> Iterator[pq.ParquetFile]:
    """Opens a Parquet file. Raises DataError where it is none."""
    with storage.open_input(path) as file:
        try:
            yield pq.ParquetFile(file, buffer_size=BUFFER_BYTES, pre_buffer=False)  # else the whole file is held
        except pa.ArrowInvalid as error:
            raise DataError(f"{path}: is no whole Parquet file ({error})") from error


def _batches(files: Iterable[str], column: str) -> Iterator[pa.Array]:
    for path in files:
        with _parquet(path) as file:
            for batch in file.iter_batches(ROWS, columns=[column]):
                yield batch.column(0)


def _ids(files: Iterable[str]) -> Iterator[npt.NDArray[np.uint8]]:
    """Yields uint8[rows, 16]."""
    for ids in _batches(files, "id"):
        held = np.frombuffer(ids.buffers()[1], np.uint8)
        yield held[16 * ids.offset : 16 * (ids.offset + len(ids))].reshape(-1, 16)


def _hashvalues(files: Iterable[str], amount: int) -> Iterator[Halves]:
    """Yields uint32[rows, permutations]."""
    for signatures in _batches(files, "signature"):
        values = np.full((len(signatures), amount), NO_SHINGLE)
        values[signatures.is_valid().to_numpy(zero_copy_only=False)] = (
            signatures.flatten().to_numpy(zero_copy_only=False).reshape(-1, amount)
        )
        yield values


# Writing


def write_npz(path: str, files: Sequence[str], settings: Settings, documents: int) -> None:
    """Writes what `numpy.load` reads."""
    amount = settings["permutations"]
    said = {name: settings[name] for name in ("permutations", "seed", "shingle", "fold")}
    with zipfile.ZipFile(path, "w") as archive:
        _member(archive, "hashvalues", (documents, amount), np.uint32, _hashvalues(files, amount))
        _member(archive, "ids", (documents, 16), np.uint8, _ids(files))
        for name, value in {"scheme": SCHEME, **said}.items():
            array = np.array(value)
            _member(archive, name, (), array.dtype, [array])


def _member(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    parts: Iterable[npt.NDArray[np.generic]],
) -> None:
    """Writes an array that comes in parts; its header, which is written first, has the shape of the whole."""
    described = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:  # of no date: equal, equal bytes
        np.lib.format.write_array_header_1_0(file, described)
        for part in parts:
            file.write(np.ascontiguousarray(part).data)


def write_parquet(path: str, files: Sequence[str], settings: Settings, _: int) -> None:
    """Writes the columns `id` and `signature`."""
    with pq.ParquetWriter(path, _schema(settings), compression="none") as writer:  # hashes do not shrink
        for name in files:
            with _parquet(name) as file:
                for batch in file.iter_batches(ROWS, columns=["id", "signature"]):
                    writer.write_batch(pa.record_batch(batch.columns, schema=writer.schema))


def _schema(settings: Settings) -> pa.Schema:
    signature = pa.list_(pa.uint32(), settings["permutations"])
    said = json.dumps({**settings, "scheme": SCHEME}, sort_keys=True)
    return pa.schema([("id", ID), ("signature", signature)], metadata={KEYS_METADATA: said})


# Texts


def sign_texts(files: Sequence[str], path: str, *, amount: int, seed: int, width: int) -> None:
    """Writes the signatures of all texts in files to a Parquet file, in the form that keys have.

    Raises:
        DataError: a file cannot be read, or has no text where one must be.
    """
    table, drawn = fold_table(), permutations(amount, seed)
    settings = {
        "version": KEYS_VERSION,
        "permutations": amount,
        "seed": seed,
        "shingle": width,
        "fold": table.sha256,
    }
    with pq.ParquetWriter(path, _schema(settings), compression="none") as writer:
        for name in files:
            for texts in _texts(name):
                signed = sign(texts, load(table), drawn, width=width)
                digests = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts.to_pylist()]
                signatures = list_column(signed.signatures, signed.counts < width)
                writer.write_batch(pa.record_batch([pa.array(digests, ID), signatures], schema=writer.schema))


def _texts(path: str) -> Iterator[pa.Array]:
    """Yields the texts of a file, some MB at a time; null is as empty."""
    if path.endswith(LINES):
        yield from _text_of_lines(path)
        return
    with _parquet(path) as file:
        if "text" not in file.schema_arrow.names or not _is_text(file.schema_arrow.field("text").type):
            raise DataError(f"{path}: has no column 'text' of strings")
        for batch in file.iter_batches(ROWS, columns=["text"]):
            yield batch.column(0).fill_null("")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _text_of_lines(path: str) -> Iterator[pa.Array]:
    held: list[str] = []
    size = number = 0
    with storage.open_input(path) as file:
        for line in lines(pieces(file, path), LINE_BYTES):
            number += 1
            if isinstance(line, Loss) or line.data is None:
                raise DataError(f"{path}: cannot be read after line {number - 1}: {_why(line)}")
            if line.data.strip():
                held.append(_text_of(line.data, f"{path}: line {number}"))
                size += line.length
            if size > TEXT_BYTES:
                yield pa.array(held, pa.string())
                held, size = [], 0
    yield pa.array(held, pa.string())


def _why(line: Line | Loss) -> str:
    return line.why if isinstance(line, Loss) else f"one of {line.length} bytes, more than {LINE_BYTES}"


def _text_of(line: bytes, place: str) -> str:
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{place}: is no JSON object with `text` ({type(error).__name__}: {error})") from error
    if not isinstance(text, str):
        raise DataError(f"{place}: `text` is of {type(text).__name__}, expected a string")
    return text
