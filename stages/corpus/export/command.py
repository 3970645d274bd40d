"""The commands of `datapipe export`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import numpy as np
import typer

from datapipe import ConfigError, DataError, storage
from stages.corpus import Corpus
from stages.corpus.corpus import TOKENIZERS
from stages.corpus.export import huggingface
from stages.corpus.export.files import FORMATS, Megatron, NanoGpt, TokenFile, Written, write_files
from stages.corpus.export.sequences import Unit, sequences
from stages.corpus.target import Facts, Target, new_target
from stages.dedup.export import signatures

EXPORT_VERSION: Final = 1
FILE_BYTES: Final = 1 << 30
Split = Literal["train", "validation", "all"]
Format = Literal["nanogpt", "llmc", "olmo", "datatrove"]

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Write a corpus, or signatures, as other programs read them."
)
app.command("signatures")(signatures)

Folder = Annotated[
    str, typer.Argument(metavar="DIR", help="the --out folder of a run, or its corpus/", show_default=False)
]
Out = Annotated[str, typer.Option(help="the folder to make; a place where nothing is")]
Splits = Annotated[Split, typer.Option(help="which of the corpus's splits")]
Units = Annotated[
    Unit,
    typer.Option(
        help="document: sequences as they lie in the samples, without padding; sample: whole samples as they stand"
    ),
]
FileBytes = Annotated[int | None, typer.Option(min=1, help="most bytes of token ids a file")]


@app.command("hf")
def hf_command(folder: Folder, out: Out, split: Splits = "train") -> None:
    """Write what `datasets.load_from_disk` reads; `--split all` makes a DatasetDict.

    Every column is kept, and rows are mapped from the files when they are read.
    """
    corpus = Corpus.open(folder)
    with new_target(out) as target:
        splits = _splits(corpus, split)
        folders = {name: f"{name}/" if split == "all" else "" for name in splits}
        own = {name: huggingface.write_split(corpus, name, target, place) for name, place in folders.items()}
        if split == "all":
            huggingface.write_dict(splits, target)
        _finish(corpus, target, "hf", own, dtype="int32", unit="sample")
    _say(own, "rows", target, 'datasets.load_from_disk("{out}")')


@app.command("megatron")
def megatron_command(
    folder: Folder, out: Out, split: Splits = "train", unit: Units = "document", file_bytes: FileBytes = None
) -> None:
    """Write pairs of .bin and .idx that Megatron-LM, Megatron Bridge and NeMo read.

    A sequence is a document of the index. Megatron shuffles documents and cuts seq_length + 1 tokens at a time by
    itself, so nothing is left of order and packing there; `--unit sample` keeps the samples whole in the files.
    """
    corpus = Corpus.open(folder)
    reads = f'IndexedDataset("{{out}}/{_splits(corpus, split)[0]}")'
    _export(corpus, out, split, unit, Megatron, name="megatron", file_bytes=file_bytes, reads=reads)


@app.command("raw")
def raw_command(
    folder: Folder,
    out: Out,
    kind: Annotated[Format, typer.Option("--format", help="whose files: see below")],
    split: Splits = "train",
    unit: Units = "document",
    file_bytes: FileBytes = None,
) -> None:
    """Write token ids one after another, as nanoGPT, llm.c, OLMo or datatrove's readers map them.

    nanogpt: train.bin and val.bin of uint16. llmc: a header of 256 int32 before them, uint16 or uint32. olmo: .npy
    without numpy's header, and .csv.gz that says where each sequence comes from. datatrove: .ds with .index and
    .metadata.
    """
    corpus = Corpus.open(folder)
    made = FORMATS[kind]
    if made is not NanoGpt:
        file_bytes = file_bytes or FILE_BYTES
    _export(corpus, out, split, unit, made, name=kind, file_bytes=file_bytes, reads="")


def _export(
    corpus: Corpus,
    out: str,
    split: Split,
    unit: Unit,
    made: type[TokenFile],
    *,
    name: str,
    file_bytes: int | None,
    reads: str,
) -> None:
    if made.places and unit == "sample" and corpus.seq_len is not None:
        raise ConfigError(
            f"export raw --format {name}: says which document each sequence is of, and a packed sample holds several; "
            "take --unit document, or another format"
        )
    tokenizer = corpus.manifest["tokenizer"]
    dtype = made.dtype_for(tokenizer["vocabulary_size"])
    most = made.most_tokens
    if file_bytes is not None:
        most = min(most, max(1, (file_bytes - made.header_bytes) // dtype.itemsize))
    facts = {"tokenizer": tokenizer["name"], "documents": corpus.document_files}
    with new_target(out) as target:
        own = {}
        for one in _splits(corpus, split):
            stem = "val" if made is NanoGpt and one == "validation" else one
            opened = _opener(made, target, stem, dtype, facts, numbered=file_bytes is not None)
            parts = sequences(corpus, one, unit, places=made.places)
            own[one] = write_files(parts, opened, most, tokenizer["eos_id"])
        _finish(corpus, target, name, own, dtype=dtype.name, unit=unit)
    _say(own, "sequences", target, reads, dtype.name)


def _opener(
    made: type[TokenFile], target: Target, stem: str, dtype: np.dtype[Any], facts: Facts, *, numbered: bool
) -> Callable[[int], TokenFile]:
    def opened(number: int) -> TokenFile:
        return made(target, f"{stem}-{number:05}" if numbered else stem, dtype, facts)

    return opened


def _splits(corpus: Corpus, split: Split) -> list[str]:
    """Returns the names of the splits that are asked for. Raises ConfigError where the corpus has none of that name."""
    there = list(corpus.manifest["splits"])
    if split == "all":
        return there
    if split not in there:
        raise ConfigError(f"{corpus.folder}: has no split {split}; it has: {', '.join(there)}")
    return [split]


def _finish(corpus: Corpus, target: Target, name: str, own: dict[str, Written], *, dtype: str, unit: str) -> None:
    """Writes the tokenizer and export.json. Raises DataError where there was nothing to write."""
    if not any(written.sequences for written in own.values()):
        raise DataError(f"{corpus.folder}: {' and '.join(own)}: holds no sequence, so there is nothing to export")
    for file in TOKENIZERS:
        tokenizer = storage.read_if_there(storage.join(corpus.folder, file))
        if tokenizer is not None:
            target.put(file, tokenizer)
    manifest = corpus.manifest
    overlays = [
        {"name": overlay.name, "kind": overlay.kind, "sha256": storage.sha256_of(overlay.path)}
        for overlay in corpus.overlays
    ]
    manifest_sha256 = hashlib.sha256(storage.read_bytes(storage.join(corpus.folder, "manifest.json"))).hexdigest()
    target.close(
        {
            "export_version": EXPORT_VERSION,
            "format": name,
            "unit": unit,
            "dtype": dtype,
            "corpus": {
                **{key: manifest[key] for key in ("order_sha256", "merkle_root", "packing")},
                "manifest_sha256": manifest_sha256,
                "overlays": overlays,
            },
            "tokenizer": manifest["tokenizer"],
            "splits": {split: _counts(manifest["splits"][split], written) for split, written in own.items()},
        }
    )


def _counts(split: Facts, written: Written) -> Facts:
    return {
        "sequences": written.sequences,
        "tokens": written.tokens,
        "left_out_tokens": split["tokens"] + split["padding"] - written.tokens,  # padding, and what overlays take out
        "sequences_without_eos": written.sequences - written.closed,
        "order_sha256": split["order_sha256"],
    }


def _say(own: dict[str, Written], what: str, target: Target, reads: str, dtype: str = "") -> None:
    for split, written in own.items():
        line = f"{split}: {written.sequences:,} {what} of {written.tokens:,} tokens" + (f" ({dtype})" if dtype else "")
        cut = written.sequences - written.closed if what == "sequences" else 0  # a row is what the packing made it
        typer.echo(line + (f"; {cut:,} end without EOS: parts of documents that packing cut" if cut else ""))
    size = sum(file["bytes"] for file in target.files)
    how = f"; read it with {reads.format(out=target.out)}" if reads else ""
    typer.echo(f"{len(target.files):,} files, {size:,} bytes in {target.out}{how}")
