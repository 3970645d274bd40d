"""Sequences a second that a trainer gets of a packed corpus, against a bare memory map of its tokens, and datasets.

    python tests/bench/bench_loader.py DIR [SPLIT]

DIR is the --out folder of a run; its tokens are written once more as a raw file of int32 for `np.memmap`, which is read
as nanoGPT reads its own: a slice, cast to int64, made a tensor. Everything gives int64 tensors, in this process, of
files in the page cache; CPU time, the best of rounds in which all take turns. Exits with 1 where ours is slower than
the bare memory map.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np

try:
    import torch
    from torch.utils.data import Dataset
except ModuleNotFoundError:  # make test imports this file, and has no PyTorch
    torch = None
    Dataset = object

from stages.corpus import Corpus
from stages.corpus.torch_dataset import Stream, TokenDataset

BATCH = 32
ROUNDS = 7
Reader = Callable[[], int]


def main() -> None:
    folder, split = [*sys.argv[1:], "train"][:2]
    corpus = Corpus.open(folder)
    read, length = corpus.split(split), corpus.seq_len or 0
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / "tokens.bin"
        with raw.open("wb") as file:
            for batch in read.rows(columns=["input_ids"]):
                file.write(np.asarray(batch.column(0).flatten()).astype("<i4").tobytes())
        bare = np.memmap(raw, "<i4", "r").reshape(-1, length)
        names = {"test": [f"{corpus.folder}/{shard['name']}" for shard in read.shards]}
        loaded = datasets.load_dataset("arrow", data_files=names, split="test", cache_dir=scratch)
        print(f"{len(bare):,} samples of {length} tokens, {bare.nbytes / 2**20:.0f} MiB; sequences a CPU second")
        slower = False
        for title, readers in sections(folder, split, bare, loaded.select_columns(["input_ids"])).items():
            rates = measure(readers, len(bare))
            print(f"\n{title}")
            for name, rate in rates.items():
                print(f"  {name:<44}{rate:>12,.0f}{rate / rates['np.memmap']:>8.2f}x")
            slower |= any(rate < rates["np.memmap"] for name, rate in rates.items() if name.startswith("datapipe"))
    sys.exit(slower)


def sections(folder: str, split: str, bare: Any, loaded: datasets.Dataset) -> dict[str, dict[str, Reader]]:
    """Returns the readers of each table; one reads all samples and returns how many it saw."""
    own, stream, tensors = TokenDataset(folder, split), Stream(folder, BATCH, split), loaded.with_format("torch")
    peer, many = f"datasets {datasets.__version__}", range(len(bare))
    order = random.Random(1).sample(many, len(bare))
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    return {
        "one sample after the other": {
            "np.memmap": lambda: count(tensor(bare[at]) for at in many),
            "datapipe TokenDataset": lambda: count(own[at]["input_ids"] for at in many),
            f"{peer}": lambda: count(tensors[at]["input_ids"] for at in many),
        },
        "samples at random": {
            "np.memmap": lambda: count(tensor(bare[at]) for at in order),
            "datapipe TokenDataset": lambda: count(own[at]["input_ids"] for at in order),
            f"{peer}": lambda: count(tensors[at]["input_ids"] for at in order),
        },
        f"batches of {BATCH} in order": {
            "np.memmap": lambda: count(tensor(bare[at : at + BATCH]) for at in range(0, len(bare), BATCH)),
            "datapipe Stream": lambda: count(batch["input_ids"] for batch in stream),
            f"{peer} streamed": lambda: count(
                batch["input_ids"] for batch in loaded.to_iterable_dataset().with_format("torch").batch(BATCH)
            ),
        },
        f"batches of {BATCH} at random": {
            "np.memmap": lambda: count(torch.stack([tensor(bare[at]) for at in batch]) for batch in batches),
            "datapipe TokenDataset": lambda: count(own.collate(own.__getitems__(at))["input_ids"] for at in batches),
            f"{peer}": lambda: count(torch.as_tensor(tensors[at]["input_ids"]) for at in batches),
        },
        f"batches of {BATCH} at random, through a DataLoader": {
            "np.memmap": lambda: through(Bare(bare), order),
            "datapipe TokenDataset": lambda: through(own, order, own.collate),
            "datapipe TokenDataset, collated by PyTorch": lambda: through(own, order),
            f"{peer}": lambda: through(tensors, order),
        },
    }


class Bare(Dataset):
    """The memory map as a dataset of PyTorch."""

    def __init__(self, tokens: Any) -> None:
        self.tokens = tokens

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": tensor(self.tokens[index])}


def tensor(ids: np.ndarray) -> torch.Tensor:
    """Returns int64 tokens of a slice of the memory map, as nanoGPT makes them."""
    return torch.from_numpy(ids.astype(np.int64))


def through(dataset: Any, order: Any, collate: Any = None) -> int:
    """Reads samples in batches by a DataLoader without workers."""
    loader = torch.utils.data.DataLoader(dataset, batch_size=BATCH, sampler=order, collate_fn=collate)
    return count(batch["input_ids"] for batch in loader)


def count(tensors: Iterator[torch.Tensor]) -> int:
    """Returns how many sequences came."""
    total = 0
    for ids in tensors:
        assert ids.dtype == torch.int64
        total += 1 if ids.ndim == 1 else len(ids)
    return total


def measure(readers: dict[str, Reader], samples: int) -> dict[str, float]:
    """Returns sequences a CPU second of each reader, the best of all rounds."""
    best = dict.fromkeys(readers, float("inf"))
    for _ in range(ROUNDS):
        for name, reader in readers.items():
            begun = time.process_time()
            assert reader() == samples
            best[name] = min(best[name], time.process_time() - begun)
    return {name: samples / seconds for name, seconds in best.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
