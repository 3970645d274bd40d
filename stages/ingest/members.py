"""Decompressed bytes of a file, member by member, past every damage.

Plain files, gzip with any number of members and zstd with any number of frames come out alike, as `Piece`s. What cannot
be decompressed comes out as a `Loss`, and reading goes on at the next place where a member begins. A gzip member's
checksum is verified before its bytes are used (members above `HOLD_BYTES` stream). fastwarc is not used for this: it
ends without a word at a cut member, does not say where the records of a shared member lie, and gives up at the first
damage.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, NamedTuple

from stages.ingest.compression import Codec, Unsupported, codec_of

PLAIN_BYTES = 1 << 20  # read at once from a plain file
PIECE_BYTES = 1 << 22  # most that one step of a gzip member comes to
HOLD_BYTES = 8 << 20  # a member up to this size is used only once its checksum is right
STEP_BYTES = 64  # fed at once where a damaged member is read up to its damage

Trust = Literal["whole", "unchecked", "damaged", "checksum"]


class Piece(NamedTuple):
    """Decompressed bytes in order.

    `offset` is where their member begins in the file (bytes), `within` what of its output precedes them; in a plain
    file `offset` is their own place and `within` is 0.

    `trust`: whole is plain or checked; unchecked lacks the member's checksum, because the file ends before it or the
    member is too long to be held; damaged precedes an error; checksum belongs to a member whose checksum is wrong.
    """

    data: bytes
    offset: int
    linear: bool  # the file is plain: byte i of `data` lies at `offset` + i
    trust: Trust
    within: int = 0


class Loss(NamedTuple):
    """Bytes `start` to `end` of the file could not be used whole; the stream before and after is not continuous."""

    start: int
    end: int
    rule: str  # damaged_archive, truncated_record or not_warc
    why: str
    unpacked: int | None = None  # bytes, counted after decompression, where what is lost is a part of a member

    @property
    def amount(self) -> int:
        """Bytes lost: of the file, or decompressed ones."""
        return self.end - self.start if self.unpacked is None else self.unpacked


def pieces(file: BinaryIO, name: str = "", start: int = 0) -> Iterator[Piece | Loss]:
    """Yields what the file holds from byte `start` on, where a member begins; decompressed as `codec_of` says.

    Raises:
        Unsupported: the file is LZ4, bzip2 or xz.
    """
    codec = codec_of(file, name)
    return _plain(file, start) if codec is None else _Members(file, codec, start).items()


def _plain(file: BinaryIO, offset: int) -> Iterator[Piece | Loss]:
    file.seek(offset)
    while data := file.read(PLAIN_BYTES):
        yield Piece(data, offset, True, "whole")
        offset += len(data)


@dataclass
class _Damage:
    """A damage of which the end is not known yet: bytes from `start` on."""

    start: int
    rule: str
    why: str

    def until(self, end: int) -> Loss:
        return Loss(self.start, end, self.rule, self.why)


class _Members:
    """Reads a file of members. `start` is where the current member begins, `pending` what is read of it already.

    Reads end at multiples of the codec's chunk, so what comes of a member, damaged or not, does not depend on where
    reading began.
    """

    def __init__(self, file: BinaryIO, codec: Codec, start: int) -> None:
        self.file = file
        self.codec = codec
        self.start = max(start, codec.begin)
        self._seek(self.start)
        self.pending = b""
        self.failed: _Damage | None = None  # how the current member ended, None where it is whole

    def items(self) -> Iterator[Piece | Loss]:
        """Yields pieces of all members, and a loss where the file could not be used, in the file's order."""
        damage: _Damage | None = None
        while self._more(8) or self.pending:
            if length := self.codec.skip(self.pending):
                if not self._skip_frame(length):
                    damage = damage or _Damage(self.start, "damaged_archive", "no frame follows a skippable one")
                    self._restart()
            elif not self.codec.begins(self.pending):
                garbage = _Damage(self.start, "damaged_archive", "no compressed member begins here")
                if self._seek_member(0):
                    damage = damage or garbage
            else:
                for piece in self._member():
                    if damage is not None:
                        yield damage.until(piece.offset)
                        damage = None
                    yield piece
                if self.failed is not None:
                    damage = damage or self.failed
                    self._restart()
        if damage is not None:
            yield damage.until(self.start)

    def _member(self) -> Iterator[Piece]:
        """Yields the current member and moves on past it, or sets `failed`."""
        self.failed = None
        unpack = self.codec.open()
        held: list[bytes] = []
        size = released = fed = 0
        data = self._first()
        ended = False
        while not ended:
            data = data or self._read(1)
            if not data:
                self.failed = _Damage(self.start, "truncated_record", "the file ends inside a compressed member")
                break
            try:
                out = unpack.decompress(data, PIECE_BYTES)
            except self.codec.errors as error:
                yield from self._salvage(released, fed, str(error))
                return
            ended = unpack.eof
            left = unpack.unused_data if ended else unpack.unconsumed_tail
            fed, data = fed + len(data) - len(left), left
            held.append(out)
            size += len(out)
            if released + size > HOLD_BYTES and not ended:
                yield Piece(b"".join(held), self.start, False, "unchecked", released)
                released, size, held = released + size, 0, []
        trust: Trust = "unchecked" if self.failed or released else "whole"
        yield Piece(b"".join(held), self.start, False, trust, released)
        if self.failed is None:
            self.start, self.pending = self.start + fed, data

    def _salvage(self, released: int, fed: int, error: str) -> Iterator[Piece]:
        """Yields what a damaged member gives up to its damage: its bytes after the first `released`."""
        trust: Trust = "checksum" if "check" in error else "damaged"
        self.failed = _Damage(self.start, "damaged_archive", error)
        self.file.seek(self.start)
        unpack = self.codec.open()
        within = released
        while data := self.file.read(self.codec.chunk_bytes if fed > self.codec.chunk_bytes else STEP_BYTES):
            fed -= len(data)
            try:
                while data and not unpack.eof:
                    out = unpack.decompress(data, PIECE_BYTES)
                    data = unpack.unconsumed_tail
                    skip = min(released, len(out))
                    released -= skip
                    if skip < len(out):
                        yield Piece(out[skip:], self.start, False, trust, within)
                        within += len(out) - skip
            except self.codec.errors:
                return

    def _restart(self) -> None:
        """Goes on behind the first byte of a member that failed, wherever the next one begins."""
        self._seek(self.start)
        self._seek_member(1)

    def _seek_member(self, skip: int) -> bool:
        """Moves to where the next member may begin, `skip` bytes on or more; says if other than zeros was passed."""
        matters = False
        while True:
            grown = self._more(len(self.pending) + self.codec.chunk_bytes)
            place = self._find(skip)
            passed = place if place >= 0 else len(self.pending) - 7 if grown else len(self.pending)
            matters = matters or bool(self.pending[:passed].strip(b"\0"))
            self._pass(passed)
            skip = 0
            if place >= 0 or not grown:
                return matters

    def _find(self, skip: int) -> int:
        place = self.pending.find(self.codec.magic, skip)
        while place >= 0 and not self.codec.begins(self.pending[place : place + 8]):
            place = self.pending.find(self.codec.magic, place + 1)
        return place

    def _skip_frame(self, length: int) -> bool:
        """Moves past a skippable frame if its length is true: after it comes a frame, a zero byte or the end."""
        if length <= HOLD_BYTES:
            self._more(length + 8)
            last = self.pending[length - 1 : length + 8]
        else:
            self.file.seek(self.start + length - 1)
            last = self.file.read(9)
        if not last or not (last[1:2] in b"\0" or self.codec.begins(last[1:])):
            return False
        if length <= HOLD_BYTES:
            with contextlib.suppress(Unsupported):  # in the middle of a file it is one that the frames can lack
                self.codec.keep(self.pending[:length])
            self._pass(length)
        else:
            self.start += length
            self._seek(self.start)
        return True

    def _pass(self, length: int) -> None:
        self.start, self.pending = self.start + length, self.pending[length:]

    def _more(self, length: int) -> bool:
        """Reads until `length` bytes are pending, and says whether there were so many."""
        while len(self.pending) < length:
            data = self._read(length - len(self.pending))
            if not data:
                return False
            self.pending += data
        return True

    def _first(self) -> bytes:
        """Returns what the current member is fed first: up to the end of the chunk that its first 8 bytes end in."""
        chunk = self.codec.chunk_bytes
        length = -(-(self.start + 8) // chunk) * chunk - self.start
        if len(self.pending) > length:
            first = self.pending[:length]
            self._seek(self.start + length)
            return first
        return self.pending

    def _read(self, length: int) -> bytes:
        """Reads at least `length` bytes, to the end of a chunk."""
        length += -(self.at + length) % self.codec.chunk_bytes
        data = self.file.read(length)
        self.at += len(data)
        return data

    def _seek(self, place: int) -> None:
        self.file.seek(place)
        self.at, self.pending = place, b""
