"""Decompressed bytes of a file, member by member, past every damage.

Plain files, gzip with any number of members and zstd with any number of frames come out alike, as `Piece`s. What cannot
be decompressed comes out as a `Loss`, and reading goes on at the next place where a member begins. A gzip member's
checksum is verified before its bytes are used (members above `HOLD_BYTES` stream). fastwarc is not used for this: it
ends without a word at a cut member, does not say where the records of a shared member lie, and gives up at the first
damage.

Source: RFC 1952 (gzip), RFC 8878 (zstd frames, skippable frames), the IIPC's WARC zstd convention (a dictionary in a
first skippable frame 0x184D2A5D).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, NamedTuple, Protocol

import zstandard
from isal import isal_zlib

PLAIN_BYTES = 1 << 20  # read at once from a plain file
PIECE_BYTES = 1 << 22  # most that one step of a gzip member comes to
HOLD_BYTES = 8 << 20  # a member up to this size is used only once its checksum is right
STEP_BYTES = 64  # fed at once where a damaged member is read up to its damage
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
DICTIONARY = 0x184D2A5D

Trust = Literal["whole", "unchecked", "damaged", "checksum"]


class Piece(NamedTuple):
    """Decompressed bytes in order. `offset` is where their member begins in the file (bytes), `within` what of its
    output precedes them; in a plain file `offset` is their own place and `within` is 0.

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


class Unsupported(Exception):
    """The file is of a kind that cannot be read here; the message says which."""


class Unpacker(Protocol):
    """What zlib's and zstandard's decompression objects have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


def pieces(file: BinaryIO, name: str = "", start: int = 0) -> Iterator[Piece | Loss]:
    """Yields what the file holds from byte `start` on, where a member begins; decompressed as `codec_of` says.

    Raises:
        Unsupported: the file is LZ4, bzip2 or xz.
    """
    codec = codec_of(file, name)
    return _plain(file, start) if codec is None else _Members(file, codec, start).items()


def codec_of(file: BinaryIO, name: str = "") -> Codec | None:
    """Returns how a file is compressed by its first bytes, and by its name where those are damaged; None for plain.

    Raises:
        Unsupported: the file is LZ4, bzip2 or xz.
    """
    file.seek(0)
    head = file.read(8)
    for magic, kind in ((b"\x04\x22\x4d\x18", "LZ4"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz")):
        if head.startswith(magic):
            raise Unsupported(f"{kind} compression is not read here; gzip, zstd and plain files are")
    for codec, endings in ((Gzip(), ".gz"), (Zstd(), (".zst", ".zstd"))):
        if codec.begins(head) or (name.lower().endswith(endings) and not _is_text(head)):
            codec.lead(file)
            return codec
    return None


def _is_text(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4 and error.reason == "unexpected end of data"
    return True


def _plain(file: BinaryIO, offset: int) -> Iterator[Piece | Loss]:
    file.seek(offset)
    while data := file.read(PLAIN_BYTES):
        yield Piece(data, offset, True, "whole")
        offset += len(data)


class Gzip:
    """Gzip members through ISA-L, which checks length and CRC as zlib does, in half of its time."""

    magic = b"\x1f\x8b\x08"
    begin = 0
    chunk_bytes = 1 << 15
    errors: tuple[type[Exception], ...] = (isal_zlib.error,)  # type: ignore[assignment]  # its stub says an instance

    def open(self) -> Unpacker:
        return isal_zlib.decompressobj(wbits=31)

    def begins(self, head: bytes) -> bool:
        return head.startswith(self.magic) and (len(head) < 4 or head[3] & 0xE0 == 0)  # reserved flags are zero

    def verifies(self, head: bytes) -> bool:
        """Says whether a damage of the member that begins so would be found: each has a checksum."""
        return True

    def skip(self, head: bytes) -> int:
        return 0

    def keep(self, frame: bytes) -> None:
        raise AssertionError("gzip has no skippable frames")

    def lead(self, file: BinaryIO) -> None:
        """Reads what precedes the first member: nothing."""


class Zstd:
    """zstd frames. A frame's checksum is checked where it has one. `begin`: where the first lies, as `lead` finds it."""

    magic = ZSTD_MAGIC
    chunk_bytes = 1 << 11  # zstandard has no bound on the output of a step: 2 KiB come to 64 MiB at most
    errors: tuple[type[Exception], ...] = (zstandard.ZstdError,)

    def __init__(self) -> None:
        self.codec = zstandard.ZstdDecompressor()
        self.begin = 0

    def open(self) -> Unpacker:
        return _Unbounded(self.codec.decompressobj())

    def begins(self, head: bytes) -> bool:
        return head.startswith(self.magic) or _skippable(head)

    def verifies(self, head: bytes) -> bool:
        """Says whether a damage of the frame that begins so would be found, by a checksum or by its stated length."""
        try:
            stated = zstandard.get_frame_parameters(head)
        except zstandard.ZstdError:
            return False
        return bool(stated.has_checksum) or stated.content_size != zstandard.CONTENTSIZE_UNKNOWN

    def skip(self, head: bytes) -> int:
        return 8 + int.from_bytes(head[4:8], "little") if _skippable(head) else 0

    def keep(self, frame: bytes) -> None:
        """Takes a skippable frame's content as the dictionary of the frames after it, if it says to be one."""
        if int.from_bytes(frame[:4], "little") == DICTIONARY:
            content = frame[8:]
            if content.startswith(ZSTD_MAGIC):
                content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
            self.codec = zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(content))


    def lead(self, file: BinaryIO) -> None:
        """Passes the skippable frames that the file begins with, and keeps a dictionary: every part needs it."""
        while True:
            file.seek(self.begin)
            length = self.skip(file.read(8))
            if not length:
                return
            if length <= HOLD_BYTES:
                file.seek(self.begin)
                frame = file.read(length)
                if len(frame) < length:
                    return
                self.keep(frame)
            self.begin += length


@dataclass
class _Unbounded:
    """A zstandard object under the interface of zlib's."""

    inner: zstandard.ZstdDecompressionObj
    unconsumed_tail: bytes = b""

    @property
    def eof(self) -> bool:
        return bool(self.inner.eof)

    @property
    def unused_data(self) -> bytes:
        return self.inner.unused_data

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes:
        return self.inner.decompress(data)


Codec = Gzip | Zstd


def _skippable(head: bytes) -> bool:
    return len(head) >= 8 and 0x184D2A50 <= int.from_bytes(head[:4], "little") <= 0x184D2A5F


@dataclass
class _Damage:
    """A damage of which the end is not known yet: bytes from `start` on."""

    start: int
    rule: str
    why: str

    def until(self, end: int) -> Loss:
        return Loss(self.start, end, self.rule, self.why)


class _Members:
    """Reads a file of members. `start` is where the current member begins, `pending` what is read of it already."""

    def __init__(self, file: BinaryIO, codec: Codec, start: int) -> None:
        self.file = file
        self.codec = codec
        self.start = max(start, codec.begin)
        file.seek(self.start)
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
        data = self.pending
        ended = False
        while not ended:
            data = data or self.file.read(self.codec.chunk_bytes)
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
        self.file.seek(self.start)
        self.pending = b""
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
            self.codec.keep(self.pending[:length])
            self._pass(length)
        else:
            self.start, self.pending = self.start + length, last[1:]
        return True

    def _pass(self, length: int) -> None:
        self.start, self.pending = self.start + length, self.pending[length:]

    def _more(self, length: int) -> bool:
        """Reads until `length` bytes are pending, and says whether there were so many."""
        while len(self.pending) < length:
            data = self.file.read(max(self.codec.chunk_bytes, length - len(self.pending)))
            if not data:
                return False
            self.pending += data
        return True
