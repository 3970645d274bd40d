"""The layout of documents in samples as it is defined, one document at a time: the readable twin of `layout`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass
class Sample:
    """A sample of a stream: pieces are row of the document, first token in it, number of tokens."""

    stream: int
    pieces: list[tuple[int, int, int]] = field(default_factory=list)
    number: int = -1

    @property
    def filled(self) -> int:
        """How many tokens are in it."""
        return sum(length for _, _, length in self.pieces)


def joined(documents: Sequence[tuple[int, int]], size: int) -> Iterator[Sample]:
    """Yields samples of documents, pairs of stream and tokens, as they are completed; then the others, by stream.

    >>> [sample.pieces for sample in joined([(0, 3), (0, 6)], 4)]
    [[(0, 0, 3), (1, 0, 1)], [(1, 1, 4)], [(1, 5, 1)]]
    """
    opened: dict[int, Sample] = {}
    made: Counter[int] = Counter()
    for row, (stream, tokens) in enumerate(documents):
        start = 0
        while start < tokens:
            if stream not in opened:
                opened[stream] = Sample(stream, number=made[stream])
                made[stream] += 1
            sample = opened[stream]
            length = min(tokens - start, size - sample.filled)
            sample.pieces.append((row, start, length))
            start += length
            if sample.filled == size:
                yield opened.pop(stream)
    for stream in sorted(opened):
        yield opened[stream]


def fitted(windows: Sequence[Sequence[tuple[int, int]]], size: int) -> Iterator[Sample]:
    """Yields samples of documents, pairs of stream and tokens, that are best-fit window by window.

    >>> [sample.pieces for sample in fitted([[(0, 6), (0, 3), (0, 2)]], 4)]
    [[(0, 0, 4)], [(0, 4, 2), (2, 0, 2)], [(1, 0, 3)]]
    """
    waiting: dict[int, Sample] = {}
    made: Counter[int] = Counter()
    row = 0
    for window in windows:
        rows = list(enumerate(window, row))
        row += len(window)
        samples = [
            Sample(stream, [(at, start, size)])
            for at, (stream, tokens) in rows
            for start in range(0, tokens - size + 1, size)
        ]
        begun_last = dict(waiting)
        for stream in {stream for stream, _ in window}:
            rests = [(at, tokens // size * size, tokens % size) for at, (own, tokens) in rows if own == stream]
            bins = _fit([rest for rest in rests if rest[2]], size, stream, waiting.get(stream))
            begun_last |= {stream: bins[-1]} if bins else {}
            samples += [one for one in bins if one is not waiting.get(stream)]
        samples += waiting.values()
        waiting = {stream: sample for stream, sample in begun_last.items() if sample.filled < size}
        for sample in samples:
            sample.pieces.sort()
        samples.sort(key=lambda sample: (sample is waiting.get(sample.stream), sample.pieces[0]))
        for sample in samples:
            if sample.number < 0:
                sample.number = made[sample.stream]
                made[sample.stream] += 1
            if sample is not waiting.get(sample.stream):
                yield sample
    for stream in sorted(waiting):
        yield waiting[stream]


def _fit(rests: list[tuple[int, int, int]], size: int, stream: int, held: Sample | None) -> list[Sample]:
    """Returns samples in the order in which they were begun, the one that has waited first."""
    bins = [held] if held else []
    used = list(bins)  # in the order in which they were put into last
    for rest in sorted(rests, key=lambda rest: (-rest[2], rest[0])):
        rooms = [size - one.filled for one in used]
        enough = [room for room in rooms if room >= rest[2]]
        if enough:
            least = max(place for place, room in enumerate(rooms) if room == min(enough))
            found = used.pop(least)
        else:
            found = Sample(stream)
            bins.append(found)
        found.pieces.append(rest)
        used.append(found)
    return bins
