"""Finished shards of a work folder as they come, each once, while somebody else makes them: for who watches a run.

Records are read, and named columns of the rows that a shard came to or dropped, not their texts. What is gone when it
is asked for (`datapipe gc`, `--keep none`) was finished and is no error: nothing is said of it.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import islice

import pyarrow as pa
import zstandard

from datapipe import storage
from datapipe.errors import ConfigError
from datapipe.records import number_of
from datapipe.shard import Shard
from datapipe.task import LEDGER_OUTPUT
from datapipe.work import LEDGER

AT_ONCE = 64  # records that are asked for together
BLOCK_BYTES = 1 << 16  # of a far file: label columns of a batch lie in two or three of them
HELD_BLOCKS = 4


class Follower:
    """Reads what is finished under a work folder; knows what it has read, and holds nothing else."""

    def __init__(self, work: str) -> None:
        self.work = work
        self.bytes_read = 0  # of columns
        self._seen: dict[str, set[int]] = {}
        self._packs: set[str] = set()

    def fresh(self, step: str) -> Iterator[Shard]:
        """Yields the records of a step that were not yielded before; who stops early gets the others next time."""
        seen = self._seen.setdefault(step, set())
        for pack in storage.list_folder(storage.join(self.work, step, "packs")):
            if pack not in self._packs:
                yield from self._unseen(_lines(storage.read_if_there(pack)), seen)
                self._packs.add(pack)
        paths = storage.list_folder(storage.join(self.work, step, "done"))
        loose = iter([path for path in paths if (number := number_of(path)) is not None and number not in seen])
        while some := list(islice(loose, AT_ONCE)):
            yield from self._unseen(_contents(some), seen)

    def number_read(self, step: str) -> int:
        """Returns how many shards of a step were yielded."""
        return len(self._seen.get(step, ()))

    def _unseen(self, contents: Sequence[bytes], seen: set[int]) -> Iterator[Shard]:
        for content in contents:
            shard = Shard.from_json(content)
            if shard.number not in seen:
                seen.add(shard.number)
                yield shard

    def rows(self, shard: Shard, names: Sequence[str]) -> pa.Table | None:
        """Returns columns of the rows that a shard came to, those of `names` that they have; None where none are there.

        A step whose maps pass rows on as they came writes none.
        """
        made = shard.outputs.get("rows")
        if made is None or not made.path.endswith(".ipc"):
            return None
        try:
            with self._opened(storage.join(self.work, made.path), made.bytes) as file:
                there = pa.ipc.open_file(file).schema.names
                wanted = [place for place, name in enumerate(there) if name in names]
                file.seek(0)
                options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=wanted)
                with pa.ipc.open_file(file, options=options) as reader:
                    batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
                    return pa.Table.from_batches(batches, schema=reader.schema.remove_metadata()) if wanted else None
        except (FileNotFoundError, ConfigError):
            return None

    def left(self, shard: Shard, names: Sequence[str]) -> pa.Table:
        """Returns columns of the ledger rows that a shard wrote; no rows where it wrote none, or they are gone."""
        schema = pa.schema([LEDGER.field(name) for name in LEDGER.names if name in names])
        made = shard.outputs.get(LEDGER_OUTPUT)
        content = storage.read_if_there(storage.join(self.work, made.path)) if made is not None else None
        if content is None:
            return schema.empty_table()
        self.bytes_read += len(content)
        options = pa.ipc.IpcReadOptions(
            use_threads=False, included_fields=[LEDGER.get_field_index(name) for name in schema.names]
        )
        with pa.ipc.open_stream(pa.BufferReader(content), options=options) as reader:
            return pa.Table.from_batches(list(reader), schema=schema)

    def _opened(self, path: str, size: int) -> pa.PythonFile:
        return pa.PythonFile(_Spans(self, path, size), "r")


class _Spans(io.RawIOBase):
    """A finished file of which just the blocks are read that are asked for, the last ones held."""

    def __init__(self, follower: Follower, path: str, size: int) -> None:
        super().__init__()
        self.follower, self.path, self.size, self.place = follower, path, size, 0
        self.blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.place = {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}[whence] + offset
        return self.place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed: any buffer
        end = min(self.place + len(buffer), self.size)
        content = self._far(end) if storage.is_remote(self.path) else self._read(self.place, end)
        buffer[: len(content)] = content
        self.place += len(content)
        return len(content)

    def _far(self, end: int) -> bytes:
        first = self.place // BLOCK_BYTES
        blocks = b"".join(self._block(number) for number in range(first, -(-end // BLOCK_BYTES)))
        return blocks[self.place - first * BLOCK_BYTES : end - first * BLOCK_BYTES]

    def _block(self, number: int) -> bytes:
        if number not in self.blocks:
            self.blocks[number] = self._read(number * BLOCK_BYTES, min(self.size, (number + 1) * BLOCK_BYTES))
            if len(self.blocks) > HELD_BLOCKS:
                self.blocks.popitem(last=False)
        return self.blocks[number]

    def _read(self, start: int, end: int) -> bytes:
        content = storage.read_range(self.path, start, end) if start < end else b""
        self.follower.bytes_read += len(content)
        return content


def _lines(pack: bytes | None) -> list[bytes]:
    return [] if pack is None else zstandard.ZstdDecompressor().decompressobj().decompress(pack).splitlines()


def _contents(paths: Sequence[str]) -> list[bytes]:
    """Returns what files hold, without those that are gone by now."""
    try:
        return storage.read_many(paths)
    except ConfigError:
        return [content for path in paths if (content := storage.read_if_there(path)) is not None]
