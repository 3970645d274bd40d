"""Signals of documents: counts by numba in one call a batch, quotients of them by numpy."""

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from stages.buffers import utf8
from stages.quality.characters import kinds
from stages.quality.counts import COUNTS, WINDOW
from stages.quality.decoding import Bytes
from stages.quality.lines import count_lines
from stages.quality.repetition import bits_for
from stages.quality.signals import signals_of
from stages.quality.words import Tools, count_words, stop_buckets, tools


def measure(text: pa.Array) -> pa.RecordBatch:
    """Returns the signals of each text (null counts as empty), a row each, under `signals.SIGNALS`."""
    return signals_of(count(text))


def count(text: pa.Array, window: int = WINDOW) -> NDArray[np.int64]:
    """Returns what is counted in each text, int64[texts, COUNTS].

    `window` is how many units, or lines, repetition is looked for among; memory is bounded by it, or by the longest
    text if that is shorter.
    """
    data, offsets = utf8(text)
    counts = np.zeros((len(text), COUNTS), np.int64)
    if len(text) == 0:
        return counts
    longest = int(np.diff(offsets).max())
    tables = np.empty((2, 1 << bits_for(2 * min(longest + 1, window))), np.uint64)
    held = tools(min(longest // 2 + 1, window))
    _count(data, offsets, kinds(), stop_buckets(), window, held, tables, counts)
    return counts


@njit(cache=True, nogil=True)
def _count(
    data: Bytes,
    offsets: NDArray[np.int64],
    table: NDArray[np.uint8],
    stop_words: NDArray[np.uint64],
    window: int,
    held: Tools,
    tables: NDArray[np.uint64],
    counts: NDArray[np.int64],
) -> None:
    for document in range(len(offsets) - 1):
        start, stop = offsets[document], offsets[document + 1]
        row = counts[document]
        count_words(data, start, stop, table, stop_words, document + 1, window, held, row)
        count_lines(data, start, stop, table, window, tables[0], tables[1], row)
