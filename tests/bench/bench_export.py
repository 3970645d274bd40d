"""Exports of a packed corpus against a bare copy of its tokens, and against the writers of the libraries they are for.

    python tests/bench/bench_export.py [TOKENS]

A corpus of TOKENS (64M) made tokens in samples of 2,048, of documents of log-normal length (median 490), lies in a
temporary folder. CPU seconds of this process, the best of five rounds, and millions of tokens a second; `x copy` is how
many times the CPU of the bare copy is taken: each shard mapped, cast to uint16 and written by numpy, with the SHA-256
of what was written, as every export takes it. The libraries' own writers get the same sequences as arrays from memory,
a million tokens of them, and take no digest; datasets copies the rows of a shard of ours. What is not installed is left
out.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.corpus import Corpus
from stages.corpus.export.command import hf_command, megatron_command, raw_command
from stages.corpus.export.sequences import sequences
from stages.mix.columns import FORMAT_VERSION, SEGMENTS, shards

SEQ_LEN, SHARD_ROWS, VOCABULARY, EOS = 2048, 8192, 32_000, 0
ROUNDS = 5
SAMPLE_TOKENS = 1_000_000  # that the libraries' writers get


def corpus(folder: Path, tokens: int) -> Path:
    """Writes a corpus: shards, segments and manifest, as far as exports read them."""
    draw = np.random.default_rng(1)
    (folder / "index").mkdir(parents=True)
    rows, shard_entries, index = tokens // SEQ_LEN, [], []
    count = -(-rows // SHARD_ROWS)
    for number in range(count):
        held = min(SHARD_ROWS, rows - number * SHARD_ROWS)
        ids = draw.integers(1, VOCABULARY, held * SEQ_LEN, dtype=np.int32)
        ends = np.cumsum(np.maximum(2, draw.lognormal(np.log(490), 1.1, len(ids) // 400).astype(np.int64)))
        ends = ends[ends < len(ids)]
        ids[ends - 1] = EOS
        starts = np.union1d(np.append(0, ends), np.arange(0, len(ids), SEQ_LEN))
        lengths = np.diff(np.append(starts, len(ids)))
        of_row, first = starts // SEQ_LEN, starts % SEQ_LEN
        offsets = np.searchsorted(of_row, np.arange(held + 1))
        schema = shards(SEQ_LEN)
        columns = [
            pa.FixedSizeListArray.from_arrays(pa.array(ids), type=schema.field(0).type),
            pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(lengths, pa.int32())),
            pa.array(np.arange(held) + number * SHARD_ROWS),
        ]
        name = f"train-{number:05}-of-{count:05}.arrow"
        with pa.ipc.new_file(str(folder / name), schema) as writer:
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), max_chunksize=512)
        document = np.searchsorted(ends, starts, side="right")
        values = {
            "sample": of_row + number * SHARD_ROWS,
            "shard": np.full(len(starts), number),
            "row": of_row,
            "start": first,
            "end": first + lengths,
            "doc_id": [f"{number:08x}{one:024x}" for one in document.tolist()],
            "doc_start": np.zeros(len(starts)),
            "epoch": np.zeros(len(starts)),
            "file": np.zeros(len(starts)),
            "file_row": document,
        }
        table = pa.table([pa.array(values[f.name]).cast(f.type) for f in SEGMENTS], schema=SEGMENTS)
        segments = f"index/segments-{number:05}-of-{count:05}.parquet"
        pq.write_table(table, folder / segments, compression="zstd", write_statistics=["sample"])
        index.append({"name": segments, "rows": len(table)})
        sizes = {"rows": held, "tokens": len(ids), "padding": 0, "bytes": (folder / name).stat().st_size}
        shard_entries.append({"name": name, "split": "train", **sizes})
    manifest = {
        "format_version": FORMAT_VERSION,
        "tokenizer": {"name": "made", "sha256": "", "vocabulary_size": VOCABULARY, "eos_id": EOS, "bos_id": None},
        "packing": {"by": "concat", "seq_len": SEQ_LEN},
        "splits": {"train": {"samples": rows, "tokens": rows * SEQ_LEN, "padding": 0, "order_sha256": "0"}},
        "order_sha256": "0",
        "merkle_root": "0",
        "shards": shard_entries,
        "index": [{"name": "index/documents-00000-of-00001.parquet"}, *index],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def copy(folder: Path, out: Path) -> None:
    """The bare copy: what any writer of uint16 must do at least."""
    out.mkdir()
    for path in sorted(folder.glob("*.arrow")):
        with pa.memory_map(str(path)) as mapped:
            reader = pa.ipc.open_file(mapped)
            with open(out / path.name, "wb") as file:
                for number in range(reader.num_record_batches):
                    ids = np.asarray(reader.get_batch(number).column("input_ids").flatten())
                    file.write(ids.astype("<u2").data)
        with open(out / path.name, "rb") as file:
            hashlib.file_digest(file, "sha256").hexdigest()


def seconds(act: Callable[[], object]) -> float:
    """Returns the CPU time of this process that `act` takes."""
    before = time.process_time()
    act()
    return time.process_time() - before


def own(folder: Path, place: Path) -> dict[str, Callable[[], object]]:
    """Returns our exports, by name."""
    source = str(folder)
    raw: dict[str, Callable[[], object]] = {
        f"raw {kind}": lambda kind=kind: raw_command(source, str(place / kind), kind)  # type: ignore[misc]
        for kind in ("nanogpt", "llmc", "olmo", "datatrove")
    }
    return {
        "raw nanogpt, samples": lambda: raw_command(source, str(place / "samples"), "nanogpt", unit="sample"),
        **raw,
        "megatron": lambda: megatron_command(source, str(place / "megatron")),
        "hf": lambda: hf_command(source, str(place / "hf")),
    }


def peers(folder: Path, place: Path) -> dict[str, tuple[Callable[[], object], int]]:
    """Returns what the libraries' own writers do and how many tokens they write, by name and version."""
    made: list[np.ndarray] = []
    for part in sequences(Corpus.open(str(folder)), "train", "document"):
        made += np.split(part.tokens, np.cumsum(part.lengths)[:-1])
        if sum(map(len, made)) >= SAMPLE_TOKENS:
            break
    count = sum(map(len, made))
    found: dict[str, tuple[Callable[[], object], int]] = {}
    try:
        from datatrove.pipeline.tokens.tokenizer import TokenizedFile
    except ImportError:
        pass
    else:
        lists = [ids.tolist() for ids in made]

        def datatrove() -> None:
            file = TokenizedFile(str(place / "theirs"), "made.ds")
            for ids in lists:
                file.write(ids, None)
            file.close()

        found[f"datatrove {version('datatrove')}: TokenizedFile"] = (datatrove, count)
    try:
        import torch
        from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder
    except ImportError:
        pass
    else:
        tensors = [torch.tensor(ids) for ids in made]

        def megatron() -> None:
            builder = IndexedDatasetBuilder(str(place / "theirs.bin"), dtype=np.uint16)
            for ids in tensors:
                builder.add_document(ids, [len(ids)])
            builder.finalize(str(place / "theirs.idx"))

        found[f"megatron-core {version('megatron-core')}: IndexedDatasetBuilder"] = (megatron, count)
    try:
        import datasets
    except ImportError:
        pass
    else:
        rows = datasets.load_dataset(
            "arrow", data_files=str(folder / "train-00000-*.arrow"), split="train", cache_dir=str(place / "cache")
        )

        def save() -> None:
            rows.save_to_disk(str(place / "saved"))

        found[f"datasets {version('datasets')}: save_to_disk"] = (save, len(rows) * SEQ_LEN)
    return found


def best(acts: dict[str, Callable[[], object]], place: Path) -> dict[str, float]:
    """Returns the least CPU time of each in rounds in which all take turns; what they wrote is removed after each."""
    found = dict.fromkeys(acts, float("inf"))
    for _ in range(ROUNDS):
        for name, act in acts.items():
            before = set(place.iterdir())
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                found[name] = min(found[name], seconds(act))
            for path in set(place.iterdir()) - before:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return found


def main(tokens: int) -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        folder = corpus(place / "corpus", tokens)
        theirs = peers(folder, place)
        bare = "bare copy to uint16, with SHA-256"
        acts: dict[str, Callable[[], object]] = {bare: lambda: copy(folder, place / "copy"), **own(folder, place)}
        found = best({**acts, **{name: act for name, (act, _) in theirs.items()}}, place)
        counts = {**dict.fromkeys(acts, tokens), **{name: count for name, (_, count) in theirs.items()}}
        print(f"{tokens:,} tokens\n{'':<52}{'CPU s':>8}{'Mtok/s':>10}{'x copy':>8}")
        for name, taken in found.items():
            times = taken / counts[name] / (found[bare] / tokens)
            print(f"{name:<52}{taken:>8.2f}{counts[name] / taken / 1e6:>10.1f}{times:>8.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 64_000_000)
