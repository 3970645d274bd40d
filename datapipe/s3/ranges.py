"""A far file as one on a disk: read by ranges, in blocks, the next ones asked for before they are needed."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

BLOCK_BYTES = 8 << 20
HELD_BLOCKS = 3  # the one that is read, and those before or after it


class Ranges(io.RawIOBase):
    """A file of `size` bytes of which `fetch(start, end)` returns exactly those asked for, or raises.

    At most HELD_BLOCKS are held or on their way. One that was read in sequence has `ahead` more on their way, each in
    a thread of its own that nobody waits for at the end.
    """

    def __init__(self, name: str, size: int, first: bytes, fetch: Callable[[int, int], bytes], ahead: int) -> None:
        super().__init__()
        self.name, self.size, self.ahead = name, size, min(ahead, HELD_BLOCKS - 1)
        self._fetch = fetch
        self._place = 0
        self._last = -1
        self._blocks: OrderedDict[int, Future[bytes]] = OrderedDict()
        self._hold(0).set_result(first)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise OSError(f"{self.name}: seek before the start")
        self._place = start + offset
        return self._place

    def readinto(self, buffer: memoryview | bytearray) -> int:  # type: ignore[override]  # typeshed: any buffer
        view = memoryview(buffer).cast("B")
        if self._place >= self.size or not len(view):
            return 0
        number, start = divmod(self._place, BLOCK_BYTES)
        block = self._block(number)
        count = min(len(view), len(block) - start)
        view[:count] = memoryview(block)[start : start + count]
        self._place += count
        return count

    def readall(self) -> bytes:
        parts = []
        while self._place < self.size:
            number, start = divmod(self._place, BLOCK_BYTES)
            parts.append(self._block(number)[start:])
            self._place += len(parts[-1])
        return b"".join(parts)

    def close(self) -> None:
        self._blocks = OrderedDict()
        super().close()

    def _block(self, number: int) -> bytes:
        ahead = self.ahead if number - self._last in (0, 1) else 0
        self._last = number
        for wanted in range(number, number + ahead + 1):
            if wanted in self._blocks:
                self._blocks.move_to_end(wanted)
            elif wanted * BLOCK_BYTES < self.size:
                future = self._hold(wanted)
                threading.Thread(target=self._fill, args=(wanted, future), daemon=True).start()
        try:
            return self._blocks[number].result()
        except BaseException:
            self._blocks.pop(number, None)  # who reads on asks again
            raise

    def _hold(self, number: int) -> Future[bytes]:
        future: Future[bytes] = Future()
        self._blocks[number] = future
        while len(self._blocks) > HELD_BLOCKS:
            self._blocks.popitem(last=False)
        return future

    def _fill(self, number: int, future: Future[bytes]) -> None:
        if self._blocks.get(number) is not future:
            return  # closed, or gone elsewhere, before it was asked for
        start = number * BLOCK_BYTES
        try:
            future.set_result(self._fetch(start, min(start + BLOCK_BYTES, self.size)))
        except BaseException as error:  # noqa: BLE001 - it is raised where the block is read
            future.set_exception(error)
