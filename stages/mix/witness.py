"""Whether the files of a corpus follow the order that its manifest proves: the index of samples bears witness.

The index says of each sample its epoch and its pieces. The order says what is seen at each position: so the epochs must
be equal, and where two positions show one sample of the plan, the files must show the same piece there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from datapipe import storage
from stages.mix.order import Order

MOST_HELD = 1 << 24  # samples whose first piece is remembered, 16 bytes each; of a larger corpus every n-th
_COLUMNS = ["sample", "epoch", "file", "file_row", "doc_start"]
_SHOWN = 3


def astray(corpus: str, manifest: dict[str, Any], order: Order) -> Iterator[str]:  # Any: JSON
    """Yields a sentence for the first samples of the training split that are not where the order has them."""
    found = 0
    for sentence in _astray(corpus, manifest, order):
        found += 1
        if found <= _SHOWN:
            yield sentence
    if found > _SHOWN:
        yield f"index: {found - _SHOWN:,} more samples are not what the order has at their positions"


def _astray(corpus: str, manifest: dict[str, Any], order: Order) -> Iterator[str]:
    ends = np.cumsum(order.sizes)
    step = -(-int(ends[-1]) // MOST_HELD)
    held = np.full((-(-int(ends[-1]) // step), 2), -1, np.int64)  # document, as file and row, and its first token
    for positions, epochs, documents, starts in _samples(corpus, manifest):
        if len(positions) and (positions.min() < 0 or positions.max() >= order.total or (np.diff(positions) < 0).any()):
            yield f"index: its samples are not positions below {order.total:,}, ascending"
            return
        groups, expected, indices = _shown(order, positions)
        for row in np.flatnonzero(epochs != expected).tolist():
            asked = f"of epoch {expected[row]} in the order"
            yield f"index: sample {positions[row]:,} is of epoch {epochs[row]} there, and {asked}"
        numbers = ends[groups] - np.array(order.sizes)[groups] + indices
        kept = numbers % step == 0
        places, pieces = numbers[kept] // step, np.stack([documents, starts], axis=1)[kept]
        fresh = held[places, 0] < 0
        held[places[fresh][::-1]] = pieces[fresh][::-1]  # where one stands twice, its first piece
        for row in np.flatnonzero((held[places] != pieces).any(axis=1)).tolist():
            at = np.flatnonzero(kept)[row]
            yield (
                f"index: sample {positions[at]:,} is not the one that was seen before as {order.labels[groups[at]]} "
                f"{indices[at]:,}, as it is in the order"
            )


def _samples(corpus: str, manifest: dict[str, Any]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Yields position, epoch, document and first token of the first piece of samples, a row group at once."""
    last = -1
    for file in manifest["index"]:
        path = storage.join(corpus, file["name"])
        if not file["name"].startswith("index/segments-") or not storage.exists(path):
            continue
        with storage.open_shard(path) as opened, pq.ParquetFile(opened) as parquet:
            for number in range(parquet.num_row_groups):
                table = parquet.read_row_group(number, columns=_COLUMNS)
                sample, epoch, of_file, row, start = (
                    table.column(name).to_numpy().astype(np.int64) for name in _COLUMNS
                )
                first = np.flatnonzero(np.diff(sample, prepend=last))
                last = int(sample[-1]) if len(sample) else last
                yield sample[first], epoch[first], (of_file << 32 | row)[first], start[first]


def _shown(order: Order, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns group, epoch and index at ascending positions."""
    if not len(positions):
        return (np.zeros(0, np.int64),) * 3
    first = order.block_of(int(positions[0]))
    blocks = [np.stack(order.block(number)) for number in range(first, order.block_of(int(positions[-1])) + 1)]
    shown = np.concatenate(blocks, axis=1)[:, positions - order.positions(first)[0]]
    return shown[0], shown[1], shown[2]
