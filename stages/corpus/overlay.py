"""Overlays: what readers of a corpus leave out, on record beside its shards, which never change.

`corpus/overlays/00001-skip.json` leaves out ranges of positions: samples that a trainer must not see again, as those
of a spike of its loss. `00002-remove.json`, with its `.parquet` of pieces, takes documents out: readers put EOS in the
place of a piece's tokens, and leave out a sample that no other document is in. A sample that is left out leaves its
position empty: all others keep theirs, so resuming at a position stays a seek.

An overlay is put once, under the next number, and never changed. It names the corpus that its positions are of, and is
refused beside any other; a removal names the SHA-256 of its pieces, which `datapipe verify` holds them to.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datapipe import ConfigError, DataError, storage

FOLDER = "overlays"
OVERLAY_VERSION = 1
PIECES = pa.schema(  # what a removal takes out of samples, sorted by split, sample and start
    [
        pa.field("split", pa.string()),
        pa.field("sample", pa.int64()),
        pa.field("start", pa.int32()),
        pa.field("end", pa.int32()),
        pa.field("doc_id", pa.string()),
        pa.field("url", pa.string()),
    ]
)
KINDS = (("skip", False), ("remove", True))  # and whether a file of pieces lies beside
_NAME = re.compile(r"(?P<number>\d{5,})-(?P<kind>skip|remove)\.(json|parquet)")

Facts = dict[str, Any]  # Any: JSON
Ranges = Mapping[str, Sequence[tuple[int, int]]]  # by split


@dataclass(frozen=True)
class Overlay:
    """An overlay as it lies beside a corpus. `ranges` are the positions left out, by split, ascending."""

    path: str
    kind: str
    ranges: Ranges
    reason: str | None
    pieces: str | None = None  # path of the pieces that are taken out
    pieces_sha256: str | None = None

    @property
    def name(self) -> str:
        """What it is called: `00001-skip`."""
        return self.path.rpartition("/")[2].removesuffix(".json")


def read_overlays(corpus: str, manifest: Facts, names: Iterable[str] | None = None) -> tuple[Overlay, ...]:
    """Returns the overlays in the folder of a corpus, by number; those called `names` alone where they are given.

    Raises:
        ConfigError: one is of another corpus or format.
        DataError: one is damaged.
    """
    if names is None:
        paths = [path for path in _list(corpus) if path.endswith(".json")]
    else:
        paths = [storage.join(corpus, FOLDER, f"{name}.json") for name in names]
    return tuple(
        _parse(corpus, path, content, manifest) for path, content in zip(paths, storage.read_many(paths), strict=True)
    )


def put_skip(corpus: str, manifest: Facts, ranges: Ranges, reason: str | None = None) -> Overlay:
    """Puts an overlay that leaves out `ranges` of positions, under the next number, and returns it."""
    while True:
        path = storage.join(corpus, FOLDER, f"{_next(corpus):05}-skip.json")
        if storage.put_new(path, _content("skip", manifest, ranges, reason)):
            return Overlay(path, "skip", ranges, reason)


def put_remove(
    corpus: str, manifest: Facts, pieces: pa.Table, emptied: Ranges, reason: str | None = None, **said: object
) -> Overlay:
    """Puts an overlay that takes `pieces` (PIECES) out of samples, and leaves out those that are `emptied` by it.

    `said` is written along: what was asked for. The pieces are put first: they count when the `.json` is there.
    """
    sink = io.BytesIO()
    order = [("split", "ascending"), ("sample", "ascending"), ("start", "ascending")]
    pq.write_table(pieces.cast(PIECES).sort_by(order), sink, compression="zstd", write_statistics=["sample"])
    while True:
        path = storage.join(corpus, FOLDER, f"{_next(corpus):05}-remove.parquet")
        if storage.put_new(path, sink.getvalue()):
            break
    digest = hashlib.sha256(sink.getvalue()).hexdigest()
    said = {"pieces": path.rpartition("/")[2], "pieces_sha256": digest, **said}
    path = path.removesuffix(".parquet") + ".json"
    storage.put_new(path, _content("remove", manifest, emptied, reason, said))
    return Overlay(path, "remove", emptied, reason, path.removesuffix(".json") + ".parquet", digest)


def _content(
    kind: str, manifest: Facts, ranges: Ranges, reason: str | None, said: Mapping[str, object] | None = None
) -> bytes:
    content = {
        "format_version": OVERLAY_VERSION,
        "kind": kind,
        "order_sha256": manifest["order_sha256"],
        "merkle_root": manifest["merkle_root"],
        "reason": reason,
        "ranges": {split: [list(one) for one in own] for split, own in ranges.items() if len(own)},
        **(said or {}),
    }
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def _list(corpus: str) -> list[str]:
    folder = storage.join(corpus, FOLDER)
    return [path for path in storage.list_folder(folder) if _NAME.fullmatch(path.rpartition("/")[2])]


def _next(corpus: str) -> int:
    numbers = [int(path.rpartition("/")[2].partition("-")[0]) for path in _list(corpus)]
    return max(numbers, default=0) + 1


def _parse(corpus: str, path: str, content: bytes, manifest: Facts) -> Overlay:
    try:
        said = json.loads(content)
        version, kind = said["format_version"], said["kind"]
        same = all(said[name] == manifest[name] for name in ("order_sha256", "merkle_root"))
        ranges = {split: [(int(a), int(b)) for a, b in own] for split, own in said["ranges"].items()}
        reason, pieces, digest = said["reason"], said.get("pieces"), said.get("pieces_sha256")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: is no overlay of a corpus ({type(error).__name__}: {error}); move it away") from error
    if version != OVERLAY_VERSION:
        raise ConfigError(
            f"{path}: is of format {version}, this datapipe reads {OVERLAY_VERSION}: use the one it is of"
        )
    if not same:
        raise ConfigError(
            f"{path}: speaks of the positions of another corpus (order {str(said['order_sha256'])[:12]}…), which this "
            f"one (order {manifest['order_sha256'][:12]}…) was put in the place of: move the file away, and record "
            "anew what is to be left out of this one"
        )
    if (kind, pieces is not None) not in KINDS:
        raise DataError(
            f"{path}: is of kind {kind}, {'with' if pieces else 'without'} pieces: a skip has none, a remove has them; "
            "fetch the file again"
        )
    for split, own in ranges.items():
        total = manifest["splits"].get(split, {"samples": 0})["samples"]
        if any(not 0 <= a < b <= total for a, b in own):
            raise DataError(f"{path}: leaves out positions that the split {split} of {total:,} samples does not have")
    return Overlay(path, kind, ranges, reason, storage.join(corpus, FOLDER, pieces) if pieces else None, digest)


@dataclass(frozen=True)
class Overlaid:
    """What all overlays together leave out of a split: a monotone map between the positions that stay and 0, 1, 2, ….

    `skipped` is int64[ranges, 2], ascending, with a gap between any two; `removed` the PIECES of the split. What a
    reader yields is numbered by index; a position that is left out has no index.

    >>> overlaid = Overlaid(10, np.array([[2, 4], [7, 8]]))
    >>> [overlaid.position(index) for index in range(overlaid.count)]
    [0, 1, 4, 5, 6, 8, 9]
    >>> [overlaid.index(position) for position in range(10)]
    [0, 1, 2, 2, 2, 3, 4, 5, 5, 6]
    """

    total: int
    skipped: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    removed: pa.Table = field(default_factory=PIECES.empty_table)

    @cached_property
    def count(self) -> int:
        """Samples that readers yield."""
        return self.total - self._shifts[-1]

    def position(self, index: int) -> int:
        """Returns the position of what is yielded as number `index`."""
        return index + self._shifts[bisect_right(self._bounds, index)]

    def positions(self, indices: np.ndarray) -> np.ndarray:
        """Returns the position of each index, int64."""
        shifts = np.array(self._shifts, np.int64)
        found: np.ndarray = indices + shifts[np.searchsorted(self._bounds, indices, side="right")]
        return found

    def index(self, position: int) -> int:
        """Returns how many samples are yielded before a position."""
        place = bisect_right(self._ends, position)
        inside = place < len(self.skipped) and self.skipped[place, 0] <= position
        return int(self.skipped[place, 0] if inside else position) - self._shifts[place]

    def runs(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yields the ranges of positions between `start` and `stop` that stay."""
        for first, end in self.skipped[bisect_right(self._ends, start) :].tolist():
            if first >= stop:
                break
            if first > start:
                yield start, first
            start = end
        if start < stop:
            yield start, stop

    def pieces(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns sample, start and end of the pieces that are taken out of samples `start` to `stop`, int64 each."""
        samples, starts, ends = self._pieces
        part = slice(*np.searchsorted(samples, [start, stop]))
        return samples[part], starts[part], ends[part]

    @cached_property
    def _pieces(self) -> tuple[np.ndarray, ...]:
        return tuple(np.asarray(self.removed.column(name)).astype(np.int64) for name in ("sample", "start", "end"))

    @cached_property
    def _ends(self) -> list[int]:
        return [int(end) for end in self.skipped[:, 1]]

    @cached_property
    def _shifts(self) -> list[int]:
        """How many positions are left out before the first range, the second, …, and in all."""
        return [0, *np.cumsum(self.skipped[:, 1] - self.skipped[:, 0]).tolist()]

    @cached_property
    def _bounds(self) -> list[int]:
        """The index that each range begins at."""
        return [int(bound) for bound in self.skipped[:, 0] - np.array(self._shifts[:-1], np.int64)]


def overlaid(overlays: Sequence[Overlay], split: str, total: int) -> Overlaid:
    """Returns what overlays leave out of a split of `total` positions."""
    ranges = [one for overlay in overlays for one in overlay.ranges.get(split, ())]
    removed = [_pieces_of(overlay.pieces, split) for overlay in overlays if overlay.pieces]
    table = pa.concat_tables([PIECES.empty_table(), *removed]).sort_by("sample")
    return Overlaid(total, merged(ranges), table)


def merged(ranges: Iterable[tuple[int, int]]) -> np.ndarray:
    """Returns ranges as a reader goes by them, int64[ranges, 2]: ascending, those that touch made one.

    >>> merged([(5, 7), (1, 3), (2, 5)]).tolist()
    [[1, 7]]
    """
    made: list[list[int]] = []
    for start, end in sorted(ranges):
        if made and start <= made[-1][1]:
            made[-1][1] = max(end, made[-1][1])
        else:
            made.append([start, end])
    return np.array(made, np.int64).reshape(-1, 2)


def _pieces_of(path: str, split: str) -> pa.Table:
    try:
        with storage.open_shard(path) as file:
            table = pq.read_table(file)
        return table.filter(pc.equal(table.column("split"), split)).select(PIECES.names).cast(PIECES)
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise DataError(f"{path}: the pieces of a removal cannot be read ({error}); fetch the file again") from error


def parse_range(text: str, total: int, what: str) -> tuple[int, int]:
    """Returns A and B of `A:B`; a side that is left out is the first or the last. Raises ConfigError where it is none.

    >>> parse_range("5:", 10, "samples")
    (5, 10)
    """
    first, colon, last = text.partition(":")
    try:
        start, stop = int(first.replace("_", "") or 0), int(last.replace("_", "") or total)
    except ValueError:
        colon = ""
        start = stop = 0
    if not colon:
        raise ConfigError(f"{text}: is no range of {what}: write A:B, from A up to but not B")
    if not 0 <= start <= stop <= total:
        raise ConfigError(f"{text}: the {what} are 0:{total}, numbered from 0; A:B lies within them, A before B")
    if start == stop:
        raise ConfigError(f"{text}: is empty: A:B goes from A up to but not B")
    return start, stop
