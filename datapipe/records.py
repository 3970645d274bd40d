"""Records of finished shards: where they lie, and very many of them read in little time and memory.

A shard is finished once its record, `<work>/<step>/done/<number>.json`, is there; it was put if absent. Files in
`<work>/<step>/packs/` are copies of `PACK_RECORDS` records each: of 100,000 finished shards a resumed run reads a
hundred objects and what was finished since. A pack says nothing that the records do not say.
"""

from __future__ import annotations

import hashlib
import posixpath
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import zstandard

from datapipe import storage
from datapipe.shard import Shard

PACK_RECORDS = 1000


def record_path(work: str, step: str, number: int) -> str:
    """Returns where the record of a shard lies."""
    return storage.join(work, step, "done", f"{number:06}.json")


def read_record(work: str, step: str, number: int) -> Shard | None:
    """Returns the record of a finished shard, or None."""
    content = storage.read_if_there(record_path(work, step, number))
    return None if content is None else Shard.from_json(content)


def read_records(work: str, step: str) -> list[Shard]:
    """Returns the records of all finished shards of a step, by number."""
    shards, loose = _read(work, step)
    return [shard for _, shard in sorted({shard.number: shard for shard in [*shards, *loose]}.items())]


def _read(work: str, step: str) -> tuple[list[Shard], list[Shard]]:
    """Returns the finished shards of a step: those in packs, and those that are in none."""
    packed = []
    for content in storage.read_many(storage.list_folder(storage.join(work, step, "packs"))):
        lines = zstandard.ZstdDecompressor().decompressobj().decompress(content).splitlines()
        packed += [Shard.from_json(line) for line in lines]
    known: set[int | None] = {shard.number for shard in packed}
    known.add(None)  # what is half-written, or somebody else's
    done = [path for path in storage.list_folder(storage.join(work, step, "done")) if number_of(path) not in known]
    return packed, [Shard.from_json(content) for content in storage.read_many(done)]


def number_of(path: str) -> int | None:
    """Returns the number of the shard that a file of `done/` is the record of; None where it is no record."""
    stem, ending = posixpath.splitext(posixpath.basename(path))
    return int(stem) if stem.isdigit() and ending == ".json" else None


class Records:
    """What is finished in a work folder, held without the counters of single shards: their sums are enough."""

    def __init__(self, work: str) -> None:
        self.work = work
        self._shards: dict[str, dict[int, Shard]] = {}
        self._counts: dict[str, dict[str, Counter[str]]] = {}
        self._loose: dict[str, list[Shard]] = {}  # finished, and in no pack

    def of(self, step: str) -> Mapping[int, Shard]:
        """Returns the finished shards of a step by number; their `counts` are empty."""
        if step not in self._shards:
            self._shards[step], self._counts[step] = {}, {}
            packed, loose = _read(self.work, step)
            for shard in packed:
                self._take(shard)
            for shard in loose:
                self.finish(shard)
        return self._shards[step]

    def counts(self, step: str) -> Mapping[str, Counter[str]]:
        """Returns the sums of the counters of a step's finished shards, by stage."""
        self.of(step)
        return self._counts[step]

    def finish(self, shard: Shard) -> None:
        """Takes note of a finished shard, and writes a pack where enough came together."""
        self.of(shard.step)
        if not self._take(shard):
            return
        loose = self._loose.setdefault(shard.step, [])
        loose.append(shard)
        if len(loose) == PACK_RECORDS:
            _pack(self.work, shard.step, loose)
            loose.clear()

    def _take(self, shard: Shard) -> bool:
        shards, sums = self._shards[shard.step], self._counts[shard.step]
        if shard.number in shards:
            return False
        for stage, counts in shard.counts.items():
            sums.setdefault(sys.intern(stage), Counter()).update(counts)
        shards[shard.number] = replace(shard, counts={})
        return True


def _pack(work: str, step: str, shards: Sequence[Shard]) -> None:
    content = zstandard.ZstdCompressor(3).compress(b"\n".join(shard.to_json() for shard in shards))
    name = f"{len(shards)}-{hashlib.sha256(content).hexdigest()[:16]}.jsonl.zst"
    storage.put(storage.join(work, step, "packs", name), content)
