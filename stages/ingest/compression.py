"""Kinds of compression: how the members of a file are found, opened and checked, and which kind a file is.

Source: RFC 1952 (gzip), RFC 8878 (zstd frames, skippable frames), the IIPC's WARC zstd convention (a dictionary in a
first skippable frame 0x184D2A5D).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import zstandard
from isal import isal_zlib

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
DICTIONARY = 0x184D2A5D
DICTIONARY_BYTES = 8 << 20  # longest frame that is taken for a dictionary
UNPACKED_BYTES = 32 << 20  # longest dictionary, decompressed
FIELDS_BYTES = 512  # of optional fields in a gzip header that is believed


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


class Gzip:
    """Gzip members through ISA-L, which checks length and CRC as zlib does, in half of its time."""

    magic = b"\x1f\x8b\x08"
    begin = 0
    chunk_bytes = 1 << 15
    stored_bytes = 65_535  # most that lie in a file as they are, in one block
    errors: tuple[type[Exception], ...] = (isal_zlib.error,)  # type: ignore[assignment]  # its stub says an instance

    def open(self) -> Unpacker:
        return isal_zlib.decompressobj(wbits=31)

    def begins(self, head: bytes) -> bool:
        return head.startswith(self.magic) and (len(head) < 4 or head[3] & 0xE0 == 0)  # reserved flags are zero

    def verifies(self, head: bytes) -> bool:
        """Says whether a damage of the member that begins so would be found: each has a checksum.

        No checksum holds for the optional fields of its header: long ones could pass over anything.
        """
        return len(head) > 3 and _ends_soon(head)

    def skip(self, head: bytes) -> int:
        return 0

    def keep(self, frame: bytes) -> None:
        raise AssertionError("gzip has no skippable frames")

    def lead(self, file: BinaryIO) -> None:
        """Reads what precedes the first member: nothing."""


def _ends_soon(head: bytes) -> bool:
    """Says whether a gzip header's optional fields (FEXTRA, FNAME, FCOMMENT) have at most FIELDS_BYTES."""
    flags, at = head[3], 10
    if flags & 4:
        at += 2 + int.from_bytes(head[10:12], "little")
    for flag in (8, 16):
        if flags & flag:
            at = head.find(b"\0", at) + 1
            if at == 0:
                return False
    return at <= 10 + FIELDS_BYTES


class Zstd:
    """zstd frames. A frame's checksum is checked where it has one. `begin` is where the first lies, found by `lead`."""

    magic = ZSTD_MAGIC
    chunk_bytes = 1 << 11  # zstandard has no bound on the output of a step: 2 KiB come to 64 MiB at most
    stored_bytes = 131_072
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
        """Takes a skippable frame's content as the dictionary of the frames after it, if it says to be one.

        A damaged one is not taken: the frames that need it will say so.

        Raises:
            Unsupported: it is longer than any dictionary is.
        """
        if int.from_bytes(frame[:4], "little") == DICTIONARY:
            content = frame[8:]
            with contextlib.suppress(zstandard.ZstdError):
                if content.startswith(ZSTD_MAGIC):
                    content = zstandard.ZstdDecompressor().stream_reader(content).read(UNPACKED_BYTES + 1)
                if len(content) > UNPACKED_BYTES:
                    raise Unsupported(f"a zstd dictionary of more than {UNPACKED_BYTES} bytes is not read here")
                self.codec = zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(content))

    def lead(self, file: BinaryIO) -> None:
        """Passes the skippable frames that the file begins with, and keeps a dictionary: every part needs it."""
        while True:
            file.seek(self.begin)
            length = self.skip(file.read(8))
            if not length:
                return
            if length <= DICTIONARY_BYTES:
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
