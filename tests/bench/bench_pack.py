"""Packing: documents cut and padding by way and length, and CPU time a token, beside memcpy, plain Python and TRL.

    python tests/bench/bench_pack.py [--documents N] [--megatokens N] [--rounds N] [--corpora]

The lengths are log-normal as web pages are (median 490, mean 1,078 tokens), or with `--corpora` those of the documents
of ../shared/data/corpora (or $DATAPIPE_SHARED) under its GPT-NeoX tokenizer, a document in four by hash. What is packed
is one source in batches of 1,024 documents, as a step before the mix yields them; ours is all of `Pack`: samples, their
boundaries and ids, and the rows of the index. TRL, where it is installed, gives tokens and boundaries; it is measured
at its default of 1,000 documents at a time, and with all at once, which is what has the best chance of a good fit.

Exits with 1 where best-fit cuts a document that would fit, pads more than MOST_PADDING, needs another number of samples
than TRL for the same documents at once, or the kernel places fewer than MILLIONS_A_SECOND documents.
"""

from __future__ import annotations

import argparse
import bisect
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("DATAPIPE_SHARED", ROOT.parent / "shared"))
sys.path[:0] = [str(ROOT)]

from datapipe import ID, Work  # noqa: E402 - after the path is set
from stages.mix import pack  # noqa: E402
from stages.mix.groups import Groups  # noqa: E402
from stages.mix.layout import Counters, fitted  # noqa: E402

SIZES = (2048, 4096, 8192, 32_768)
MEDIAN, MEAN = 490, 1078  # tokens of a web page (consumers.md 2.4)
BATCH_DOCUMENTS = 1024
MOST_PADDING = 0.0006
MILLIONS_A_SECOND = 2.0
Found = dict[str, int]


def web_lengths(documents: int) -> np.ndarray:
    """Returns log-normal lengths of that median and mean (tokens), int64[documents]."""
    sigma = float(np.sqrt(2 * np.log(MEAN / MEDIAN)))
    return np.maximum(1, np.random.default_rng(0).lognormal(np.log(MEDIAN), sigma, documents)).astype(np.int64)


def corpora_lengths() -> np.ndarray:
    """Returns the lengths (tokens and EOS) of a quarter of the shared documents."""
    import hashlib
    import json

    import zstandard
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(SHARED / "data/tokenizers/rwkv/20B_tokenizer.json"))
    drawn: list[tuple[bytes, str]] = []
    for path in sorted((SHARED / "data/corpora").glob("*.jsonl.zst")):
        lines = zstandard.ZstdDecompressor().stream_reader(path.open("rb")).read().splitlines()
        digests = [hashlib.blake2b(line, digest_size=8).digest() for line in lines]
        drawn += [
            (digest, json.loads(line)["text"]) for digest, line in zip(digests, lines, strict=True) if not digest[0] % 4
        ]
    texts = [text for _, text in sorted(drawn)]
    return np.array([1 + len(one.ids) for one in tokenizer.encode_batch_fast(texts)], np.int64)


def batches(lengths: np.ndarray) -> Iterator[pa.RecordBatch]:
    """Yields documents of these lengths; their tokens are the same few million, read anew."""
    tokens = np.arange(max(4 << 20, int(lengths.max()) * 2), dtype=np.int32) % 50_000
    for start in range(0, len(lengths), BATCH_DOCUMENTS):
        own = lengths[start : start + BATCH_DOCUMENTS]
        ends = np.cumsum(own)
        values = np.resize(tokens, ends[-1]) if ends[-1] > len(tokens) else tokens[: ends[-1]]
        ids = np.zeros((len(own), 16), np.uint8)
        ids[:, :8] = np.arange(start, start + len(own), dtype=">u8").view(np.uint8).reshape(-1, 8)
        columns = {
            "id": pa.FixedSizeBinaryArray.from_buffers(ID, len(own), [None, pa.py_buffer(ids)]),
            "source": pa.repeat("web", len(own)),
            "url": pa.array([f"http://example.org/{number}" for number in range(start, start + len(own))]),
            "input_ids": pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]), pa.int32()), values),
            "tokens": pa.array(own, pa.int32()),
        }
        yield pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def packed(documents: Iterator[pa.RecordBatch], seq_len: int | None, *, best_fit: bool) -> Found:
    """Returns the row of COUNTS that packing of one source ends with."""
    counts: list[Found] = []
    work = Work(0, emit=lambda name, batch: counts.extend(batch.to_pylist()) if name == "counts" else None)
    for _ in pack.Pack(Groups(("source",)), seq_len, None, best_fit=best_fit)(documents, work):
        pass
    return counts[0]


def plain_python(lengths: Sequence[int], size: int) -> int:
    """Returns the samples that best-fit-decreasing needs, with a sorted list of the rooms left."""
    full = sum(length // size for length in lengths)
    rooms: list[int] = []
    for rest in sorted((length % size for length in lengths if length % size), reverse=True):
        place = bisect.bisect_left(rooms, rest)
        room = size if place == len(rooms) else rooms.pop(place)
        full += place == len(rooms) and room == size
        bisect.insort(rooms, room - rest)
    return full


def seconds_of(function: Callable[[], object], rounds: int) -> float:
    """Returns the CPU time of a call (seconds): the least of some rounds."""
    found = []
    for _ in range(rounds):
        begun = time.process_time()
        function()
        found.append(time.process_time() - begun)
    return min(found)


def cut_table(name: str, lengths: np.ndarray) -> bool:
    """Prints documents cut and padding; returns whether best-fit keeps what it promises."""
    kept, one_window = True, lengths.sum() + pack.DOCUMENT_TOKENS * len(lengths) < pack.WINDOW_TOKENS
    print(f"\n{name}: {len(lengths):,} documents, median {np.median(lengths):,.0f}, mean {lengths.mean():,.0f} tokens")
    print("cut that would fit: of the documents that are not longer than a sample")
    print(f"{'':<17}|{'concat':^32}|{'best_fit':^32}|{'TRL bfd_split: padding':^29}")
    titles = f"{'cut':>8}{'would fit':>12}{'padding':>11} |"
    print(f"{'seq_len':>8}{'longer':>9}|{titles}{titles}{'1,000':>9}{'at once':>10}{'samples':>10}")
    for size in SIZES:
        longer = int((lengths > size).sum())
        row = f"{size:>8,}{longer / len(lengths):>9.2%}|"
        for best_fit in (False, True):
            found = packed(batches(lengths), size, best_fit=best_fit)
            padding, cut = found["padding"] / found["samples"] / size, found["cut_documents"]
            row += f"{cut / len(lengths):>8.2%}{(cut - longer) / (len(lengths) - longer):>12.2%}{padding:>11.4%} |"
        kept &= found["cut_documents"] == longer and (len(lengths) < 100_000 or padding <= MOST_PADDING)
        at_a_time, at_once = (trl_samples(lengths, size, some) if one_window else 0 for some in (1000, None))
        if at_once:
            kept &= at_once == found["samples"]
            row += f"{1 - lengths.sum() / at_a_time / size:>9.4%}{1 - lengths.sum() / at_once / size:>10.4%}"
            row += f"{'equal' if at_once == found['samples'] else 'DIFFER':>10}"
        print(row)
    return kept


def trl_samples(lengths: np.ndarray, size: int, documents: int | None) -> int:
    """Returns how many samples TRL packs so many documents at a time into; 0 where it is not installed."""
    try:
        return trl_packed(trl_dataset(lengths), size, documents)
    except ImportError:
        return 0


def trl_dataset(lengths: np.ndarray):  # type: ignore[no-untyped-def]  # a library that need not be installed
    """Returns documents of these lengths as a dataset in memory."""
    import datasets

    datasets.disable_progress_bars()
    values = np.resize(np.arange(50_000, dtype=np.int32), int(lengths.sum()))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(values))
    return datasets.Dataset(pa.table({"input_ids": lists}))


def trl_packed(dataset, size: int, documents: int | None) -> int:  # type: ignore[no-untyped-def]  # as above
    """Returns how many samples TRL makes of a dataset, so many documents at a time (None: all)."""
    from trl import pack_dataset

    how = {"batch_size": documents, "keep_in_memory": True}
    return len(pack_dataset(dataset, size, strategy="bfd_split", map_kwargs=how))


def speed_table(lengths: np.ndarray, rounds: int) -> bool:
    """Prints CPU time of packing; returns whether the kernel is as fast as it should be."""
    held = [pa.concat_batches([batch, batch.slice(0, 0)]) for batch in batches(lengths)]  # each with tokens of its own
    tokens = int(lengths.sum())
    copied = seconds_of(lambda: copies(held), rounds)
    ways: list[tuple[str, Callable[[], object], int]] = [
        ("memcpy of the tokens", lambda: copies(held), rounds),
        ("by document", lambda: packed(iter(held), None, best_fit=False), rounds),
        ("concat 2,048", lambda: packed(iter(held), 2048, best_fit=False), rounds),
        ("best_fit 2,048", lambda: packed(iter(held), 2048, best_fit=True), rounds),
        ("best_fit 32,768", lambda: packed(iter(held), 32_768, best_fit=True), rounds),
    ]
    if trl_samples(lengths[:9], 2048, None):
        dataset = trl_dataset(lengths)
        ways.append(("TRL bfd_split 2,048, 1,000 at a time", lambda: trl_packed(dataset, 2048, 1000), 1))
        ways.append(("TRL bfd_split 2,048, all at once", lambda: trl_packed(dataset, 2048, None), 1))
    print(f"\nspeed: {len(lengths):,} documents, {tokens:,} tokens, the least of {rounds} rounds (CPU)")
    print(f"{'':<38}{'ns a token':>12}{'x memcpy':>10}{'M tokens/s':>12}{'M documents/s':>15}")
    for name, function, times in ways:
        seconds = seconds_of(function, times)
        rates = f"{tokens / seconds / 1e6:>12,.0f}{len(lengths) / seconds / 1e6:>15.3f}"
        print(f"{name:<38}{seconds / tokens * 1e9:>12.2f}{seconds / copied:>10.1f}{rates}")
    return placing_table(web_lengths(1_000_000))


def copies(documents: Sequence[pa.RecordBatch]) -> None:
    """Copies the tokens of documents."""
    for batch in documents:
        np.asarray(batch.column("input_ids").values).copy()


def placing_table(lengths: np.ndarray) -> bool:
    """Prints CPU time of placing documents by their lengths; returns whether it is as fast as it should be."""
    window = pack.WINDOW_TOKENS // MEAN
    few = lengths[: len(lengths) // 5]
    print(f"\nplacing alone, by lengths (CPU)\n{'':<44}{'seconds':>12}{'M documents/s':>15}{'samples':>10}")

    def show(name: str, function: Callable[[], int], documents: int) -> float:
        begun = time.process_time()
        samples = function()
        seconds = time.process_time() - begun
        print(f"{name:<44}{seconds:>12.3f}{documents / seconds / 1e6:>15.2f}{samples:>10,}")
        return documents / seconds / 1e6

    rates = [
        show(f"ours, {size:,}, in windows", lambda: placed(lengths, size, window), len(lengths))  # noqa: B023 - now
        for size in SIZES
    ]
    show("ours, 2,048, all at once", lambda: placed(few, 2048, len(few)), len(few))
    show("plain Python (bisect), 2,048, all at once", lambda: plain_python(few.tolist(), 2048), len(few))
    return statistics.median(rates) >= MILLIONS_A_SECOND


def placed(lengths: np.ndarray, size: int, window: int) -> int:
    """Returns the samples that documents need, laid out so many at a time."""
    samples = 0
    for start in range(0, len(lengths), window):
        counters = Counters()
        counters.grow(1)
        own = lengths[start : start + window]
        samples += len(fitted(np.zeros(len(own), np.int64), own, 0, size, counters).streams)
    return samples


def main() -> int:
    """Prints the tables; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=200_000, help="of web-like lengths")
    parser.add_argument("--megatokens", type=int, default=50, help="that speed is measured on")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--corpora", action="store_true", help="lengths of the shared corpora too")
    asked = parser.parse_args()
    packed(batches(web_lengths(3000)), 2048, best_fit=False)
    packed(batches(web_lengths(3000)), 2048, best_fit=True)
    kept = cut_table("log-normal", web_lengths(asked.documents))
    kept &= cut_table("log-normal, one window", web_lengths(12_000))
    if asked.corpora:
        kept &= cut_table("shared corpora", corpora_lengths())
    kept &= speed_table(web_lengths(asked.megatokens * 1_000_000 // MEAN), asked.rounds)
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
