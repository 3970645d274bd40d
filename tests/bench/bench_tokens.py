"""CPU seconds of tokenize, mix and write beside encoding alone, in one run.

    python tests/bench/bench_tokens.py [--megabytes N] [--rounds N] [--seq-len N]

The documents are those of ../shared/data/corpora (or $DATAPIPE_SHARED), each once, in the order of a hash, so that the
sources lie mixed, in files that a step before `tokenize` leaves. The tokenizer is a byte-level BPE of 32,000 tokens,
trained on 4 MB of them. Measured are, each in a process of its own that has done the same to one megabyte before, so
that start-up and compilation stand apart:

- `tokenizers` alone: encode_batch_fast of 64 documents at a time on one thread; the ids are not even taken out
- gigatoken alone, likewise: Arrow in, its own arrays out; what it remembers is of that megabyte
- datapipe with `tokenizers`, and with gigatoken: from those files to the finished corpus, on the local executor, with
  reading the text, proving gigatoken, digests, index, manifest and publishing

CPU is that of the process, threads included; each figure is the least of the rounds. Exits with 1 where tokenize, mix
and write, apart from reading the source's text (which encoding alone is spared too) and the driver, take more than 1.1
times the seconds of `tokenizers`, or more than twice those of gigatoken, each with its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("DATAPIPE_SHARED", ROOT.parent / "shared"))
sys.path[:0] = [str(ROOT)]

from datapipe import Dataset, InputFile, Source, Stage, Work  # noqa: E402 - after the path is set
from datapipe.graph import Pipeline  # noqa: E402
from datapipe.local import Local  # noqa: E402
from datapipe.plan import Planner  # noqa: E402
from datapipe.publish import Place, publish  # noqa: E402
from datapipe.report import report_of  # noqa: E402
from datapipe.run import Measured, Silent, run_waves  # noqa: E402
from datapipe.shard import Writer, read_shard  # noqa: E402
from stages.mix import Mix  # noqa: E402
from stages.schema import ID, LANGUAGE  # noqa: E402
from stages.tokens import Tokenize  # noqa: E402
from stages.tokens.train import learn  # noqa: E402

Found = dict[str, Any]  # Any: JSON
EOS = "<|endoftext|>"
FILE_BYTES = 32 << 20  # of text, a shard of documents: what 64 MB of crawl files hold
WARM_BYTES = 1 << 20
CALL_DOCUMENTS = 64  # to `tokenizers` at once, about 600 kB: more are slower, for it holds 100 bytes a token
TRAIN_BYTES = 4 << 20
DOCUMENTS = pa.schema(
    [
        pa.field("id", ID),
        pa.field("source", pa.string()),
        pa.field("url", pa.string()),
        pa.field("text", pa.string()),
        *(field for field in LANGUAGE if field.name in ("language", "language_score")),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Documents(Stage):
    """The prepared files, a shard each."""

    folder: str

    def build(self, *inputs: Dataset) -> Dataset:
        paths = sorted(Path(self.folder).glob("*.ipc"))
        files = ((InputFile(path.name, str(path), path.stat().st_size, ""),) for path in paths)
        return Dataset(Source("documents", read, tuple(files)), DOCUMENTS)


def read(files: Sequence[InputFile], work: Work) -> Iterator[pa.RecordBatch]:
    """Yields the documents of a file."""
    return read_shard(files[0].url)


def documents() -> list[tuple[bytes, str, str, str | None]]:
    """Returns id, source, text and url of every document, in the order of their ids."""
    found = []
    for path in sorted((SHARED / "data/corpora").glob("*.jsonl.zst")):
        with zstandard.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                row = json.loads(line)
                name = hashlib.blake2b(f"{path.name} {number}".encode(), digest_size=16).digest()
                found.append((name, path.name.partition(".")[0], row["text"], row.get("url")))
    return sorted(found)


def prepare(folder: Path, megabytes: int) -> int:
    """Writes the tokenizer and the documents, all and some of them for warming; returns the bytes of text."""
    rows, size = documents(), 0
    sample, held = [], 0
    for row in rows:
        if held < TRAIN_BYTES:
            sample.append(row[2])
            held += len(row[2].encode())
    (folder / "tokenizer.json").write_bytes(learn(sample, 32_000, (EOS,)))
    for name, limit in (("warm", WARM_BYTES), ("all", megabytes << 20)):
        (folder / name).mkdir()
        part, part_bytes, size = [], 0, 0
        for row in rows:
            if size >= limit:
                break
            part.append(row)
            part_bytes += len(row[2].encode())
            size += len(row[2].encode())
            if part_bytes >= FILE_BYTES:
                _write(folder / name, part)
                part, part_bytes = [], 0
        if part:
            _write(folder / name, part)
    return size


def _write(folder: Path, rows: Sequence[tuple[bytes, str, str, str | None]]) -> None:
    writer = Writer(str(folder / f"{len(list(folder.iterdir())):04}.ipc"), DOCUMENTS)
    for start in range(0, len(rows), 256):
        part = rows[start : start + 256]
        chinese = ["一" <= text[len(text) // 2 :][:1] <= "鿿" for _, _, text, _ in part]
        columns: dict[str, list[Any]] = {
            "id": [row[0] for row in part],
            "source": [row[1] for row in part],
            "url": [row[3] for row in part],
            "text": [row[2] for row in part],
            "language": ["zho_Hans" if han else "eng_Latn" for han in chinese],
            "language_score": [1.0] * len(part),
        }
        writer.write(pa.RecordBatch.from_pydict(columns, schema=DOCUMENTS))
    writer.close()


def with_tokenizers(folder: Path, name: str) -> Found:
    """Encodes all texts with `tokenizers` alone."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from tokenizers import Tokenizer

    tokenizer, tokens, spent = Tokenizer.from_file(str(folder / "tokenizer.json")), 0, 0.0
    for path in sorted((folder / name).glob("*.ipc")):
        for batch in read_shard(str(path)):
            texts = batch.column("text").to_pylist()
            for first in range(0, len(texts), CALL_DOCUMENTS):
                start = time.process_time()
                encoded = tokenizer.encode_batch_fast(texts[first : first + CALL_DOCUMENTS], add_special_tokens=False)
                spent += time.process_time() - start
                tokens += sum(len(one) for one in encoded)
    return {"seconds": spent, "tokens": tokens}


def with_gigatoken(folder: Path, name: str) -> Found:
    """Encodes all texts with gigatoken alone; the tokenizer is made before, its cache is empty."""
    import awkward
    import gigatoken

    tokenizer, tokens, spent = gigatoken.Tokenizer(folder / "tokenizer.json"), 0, 0.0
    for path in sorted((folder / name).glob("*.ipc")):
        for batch in read_shard(str(path)):
            texts = batch.column("text").cast(pa.large_string())
            start = time.process_time()
            encoded = tokenizer.encode_batch(awkward.from_arrow(texts), parallel=False)
            spent += time.process_time() - start
            tokens += int(awkward.count(encoded))
    return {"seconds": spent, "tokens": tokens}


def with_datapipe(folder: Path, name: str, seq_len: int, gigatoken: str) -> Found:
    """Makes the corpus; returns seconds in all and by stage, the most memory of a task, and what lies where."""
    os.environ["DATAPIPE_GIGATOKEN"] = gigatoken
    with tempfile.TemporaryDirectory(dir=folder) as out:
        given = Documents(folder=str(folder / name))
        tokenize = Tokenize(tokenizer=str(folder / "tokenizer.json"), eos=EOS)
        mix = Mix(seq_len=seq_len, shard_bytes=32 << 20)
        start = time.process_time()
        made = given.build()
        encoded = tokenize.build(made)
        stages = (("documents", given, made), ("tokenize", tokenize, encoded), ("mix", mix, mix.build(encoded)))
        place, measured = Place(out, f"{out}/work"), Measured()
        planner = Planner(Pipeline("bench", stages), place.work, "0")
        run_waves(planner, place, Local(), Silent(), measured)
        files = planner.published([])
        publish(files, report_of(planner, [file.name for file in files]), place)
        spent = time.process_time() - start
        manifest = json.loads((Path(out) / "corpus/manifest.json").read_text())
        return {
            "seconds": spent,
            "tokens": sum(shard["tokens"] for shard in manifest["shards"]),
            "stages": {**measured.cpu_seconds, "driver": spent - sum(measured.cpu_seconds.values())},
            "peak": max(measured.peak_bytes.values()),
            "work": sum(path.stat().st_size for path in Path(place.work).rglob("*.ipc"))
            + sum(path.stat().st_size for path in Path(place.work).rglob("*.exchange")),
            "order_sha256": manifest["order_sha256"],
            "merkle_root": manifest["merkle_root"],
        }


KINDS: dict[str, Callable[[Path, str, int], Found]] = {
    "tokenizers alone": lambda folder, name, _: with_tokenizers(folder, name),
    "gigatoken alone": lambda folder, name, _: with_gigatoken(folder, name),
    "datapipe, tokenizers": lambda folder, name, length: with_datapipe(folder, name, length, "0"),
    "datapipe, gigatoken": lambda folder, name, length: with_datapipe(folder, name, length, "1"),
}


BOUNDS = {"datapipe, tokenizers": 1.1, "datapipe, gigatoken": 2.0}
STEPS = ("tokenize", "mix", "write")


def child(kind: str, folder: Path, seq_len: int) -> Found:
    """Measures one kind in this process; `started` is what it took to start and to do one megabyte."""
    KINDS[kind](folder, "warm", seq_len)
    started = time.process_time()
    return {**KINDS[kind](folder, "all", seq_len), "started": started}


def main() -> int:
    """Prints the table; returns 1 where a bound is broken."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--megabytes", type=int, default=82)
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--seq-len", type=int, default=2048)
    options.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        print(json.dumps(child(given.child[0], Path(given.child[1]), given.seq_len)))
        return 0
    with tempfile.TemporaryDirectory(prefix="datapipe-bench-") as folder:
        size = prepare(Path(folder), given.megabytes) / 1e6
        print(f"{size:.0f} MB of text; CPU seconds, the least of {given.rounds} rounds")
        found: dict[str, list[Found]] = {kind: [] for kind in KINDS}
        for _ in range(given.rounds):
            for kind in KINDS:
                command = [sys.executable, __file__, "--seq-len", str(given.seq_len), "--child", kind, folder]
                found[kind].append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    return show({kind: min(made, key=lambda one: one["seconds"]) for kind, made in found.items()}, size)


def show(best: dict[str, Found], size: float) -> int:
    """Prints what was found; returns 1 where a bound is broken."""
    columns = f"{'seconds':>9}{'MB/s':>8}{'ns/token':>10}{'ratio':>7}{'start-up':>10}"
    print(f"{'':24}{columns}{'peak MB':>9}{'work B/token':>14}")
    broken = False
    for kind, one in best.items():
        alone = best[f"{kind.split()[-1]} alone"] if "," in kind else one
        ratio, more = one["seconds"] / alone["seconds"], ""
        if "peak" in one:
            more = f"{one['peak'] / 1e6:9.0f}{one['work'] / one['tokens']:14.2f}"
        rates = f"{size / one['seconds']:8.1f}{one['seconds'] / one['tokens'] * 1e9:10.0f}{ratio:7.2f}"
        print(f"{kind:24}{one['seconds']:9.2f}{rates}{one['started']:10.2f}{more}")
    for kind, one in best.items():
        if "stages" in one:
            parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in sorted(one["stages"].items()))
            apart = sum(one["stages"][name] for name in STEPS) / best[f"{kind.split()[-1]} alone"]["seconds"]
            print(f"{kind}: {parts}; order {one['order_sha256'][:12]}, files {one['merkle_root'][:12]}")
            print(f"{kind}: {' + '.join(STEPS)} alone: {apart:.2f} times (bound: {BOUNDS[kind]})")
            broken |= apart > BOUNDS[kind]
    return int(broken)


if __name__ == "__main__":
    raise SystemExit(main())
