"""Records of a WARC file, found by their own framing and checked for wholeness.

A record is yielded when it is whole: a header block with a Content-Length, that many bytes, and after them a line end,
the next record, or the end. Everything else is a `Loss`; reading goes on at the next version line and header. A record
may go on into the next compressed member, but not into one that begins as a record does: there the reader begins anew
whatever came before, so a task may begin there too (`parts`). Line ends may be CRLF or LF, header names of any case,
headers folded: old crawlers write all of these.

Source: ISO 28500:2017 (WARC 1.1) and IIPC WARC 1.0; ARC files are another format.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from stages.ingest.members import Loss, Piece, Trust

HEADER_BYTES = 1 << 20  # longest header block that is looked for
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_START = re.compile(rb"WARC/\d\.\d{1,3}[ \t]{0,8}\r?\n", re.IGNORECASE)
_NEXT = re.compile(rb"WARC/\d\.\d{1,2}[ \t]*\r?\n[A-Za-z-]{1,60}[ \t]*:", re.IGNORECASE)
_NEXT_BYTES = 128  # what _NEXT matches is shorter
_LINE_ENDS = re.compile(rb"[\r\n\0]+")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_FIELD = re.compile(
    rb"^(WARC-(?:Type|Target-URI|Date|Block-Digest|Identified-Payload-Type|Truncated|Segment-Number"
    rb"|Identified-Content-Language|Refers-To-Target-URI|Refers-To-Date|Profile)"
    rb"|Content-Type|Content-Length)[ \t]*:[ \t]*([^\r\n]*)",
    re.IGNORECASE | re.MULTILINE,
)


_ORDER: tuple[Trust, ...] = ("whole", "unchecked", "damaged", "checksum")  # from good to bad


class Record(NamedTuple):
    """A whole record of `length` bytes; `block` is None where that is more than the limit."""

    offset: int  # of the record in a plain file, of its member in a compressed one
    within: int  # what of its member's output precedes it (bytes), 0 in a plain file
    headers: dict[bytes, bytes]  # names in lower case, the first of each
    block: bytes | None
    length: int


def is_record(member: bytes) -> bool:
    r"""Says whether a decompressed member begins with a whole record.

    >>> [is_record(b"WARC/1.0\r\nContent-Length: %d\r\n\r\nab\r\n\r\n" % length) for length in (2, 9)]
    [True, False]
    """
    found = records(iter([Piece(member, 0, False, "whole")]), len(member))
    return _NEXT.match(member) is not None and isinstance(next(found, None), Record)


def records(stream: Iterator[Piece | Loss], block_limit: int) -> Iterator[Record | Loss]:
    """Yields the records of a stream of pieces, and what was lost, in order. `block_limit` is in bytes."""
    window = _Window(stream)
    first = True
    while True:
        window.skip_line_ends()
        if window.bytes_left == 0:
            if window.loss is not None:
                yield window.loss
            if not window.next_run():
                return
            continue
        found = _record(window, block_limit, "not_warc" if first else "damaged_archive")
        first = first and not isinstance(found, Record)
        if found is not None:
            yield found


def _record(window: _Window, block_limit: int, rule: str) -> Record | Loss | None:
    """Takes one record from the window, or passes over what is none; None where its member's loss says it already."""
    offset, within = window.place()
    if not _START.match(window.peek(0, 32)):
        return window.pass_over(0, rule, "no WARC record begins here")
    end = window.header_end()
    if end is None:
        return window.pass_over(5, "truncated_record", "the header of a record has no end")
    headers = fields(window.peek(0, end))
    length = _length(headers)
    if length is None:
        return window.pass_over(end, "damaged_archive", "a record states no Content-Length")
    if length > block_limit:
        return _passed_record(window, Record(offset, within, headers, None, length), end + length)
    if not window.need(end + length):
        why = f"a record of {length} bytes has {window.bytes_left - end}"
        return window.pass_over(end, "truncated_record", why)
    trust = window.trust(end + length)
    if not _ends_well(window, end + length):
        return window.pass_over(end, "damaged_archive", "a record does not end where its Content-Length says")
    block = window.take(end, length)
    if trust != "whole" and not _sound(headers, block, trust):
        return None
    return Record(offset, within, headers, block, length)


def _passed_record(window: _Window, record: Record, length: int) -> Record | Loss | None:
    """Passes over a record that is too long to be held; it counts if it is there in full."""
    missing = window.skip(length)
    if missing:
        return window.lost(record.offset, length - missing, "truncated_record", f"a record lacks {missing} bytes")
    return record


def _ends_well(window: _Window, end: int) -> bool:
    after = window.peek(end, 1)
    return not after or after in b"\r\n" or _START.match(window.peek(end, 32)) is not None


def _length(headers: dict[bytes, bytes]) -> int | None:
    stated = headers.get(b"content-length", b"")
    return int(stated) if stated.isdigit() and len(stated) < 16 else None


def fields(head: bytes) -> dict[bytes, bytes]:
    r"""Returns the fields of a WARC header that are used here, names in lower case, the first of each.

    >>> fields(b"WARC/1.0\r\nwarc-type: response\r\nContent-Length:\r\n 12\r\n\r\n")
    {b'warc-type': b'response', b'content-length': b'12'}
    """
    if b"\n " in head or b"\n\t" in head:
        head = _FOLD.sub(b" ", head)
    found: dict[bytes, bytes] = {}
    for name, value in _FIELD.findall(head):
        found.setdefault(name.lower(), value.strip())
    return found


def _sound(headers: dict[bytes, bytes], block: bytes, trust: Trust) -> bool:
    """Says whether a record from a member that is not whole can be used: its own digest decides where it has one."""
    algorithm, _, stated = headers.get(b"warc-block-digest", b"").decode("latin-1").partition(":")
    name = algorithm.lower().replace("-", "")
    if name not in ("sha1", "sha256", "md5") or not stated:
        return trust != "checksum"
    digest = hashlib.new(name, block, usedforsecurity=False)
    return stated.lower() == digest.hexdigest() or stated.rstrip("=") == base64.b32encode(
        digest.digest()
    ).decode().rstrip("=")


class _Window:
    """A stretch of the stream in one bytes object, from the cursor on; positions are relative to the cursor.

    It never reaches over a loss, nor into a member that begins as a record does. A run of pieces ends there: `loss` and
    `coming` are the loss and the piece that ended the current one.
    """

    def __init__(self, stream: Iterator[Piece | Loss]) -> None:
        self.stream = stream
        self.buffer = b""
        self.at = 0
        self.marks: list[tuple[int, Piece]] = []  # where in the buffer each piece begins
        self.loss: Loss | None = None
        self.coming: Piece | None = None
        self.begun = False  # a piece of the run was taken
        self.ended = False  # the run of pieces is over
        self.linear = False  # the file is plain

    @property
    def bytes_left(self) -> int:
        """Bytes in the window from the cursor on."""
        return len(self.buffer) - self.at

    def place(self) -> tuple[int, int]:
        """Returns the place of the cursor: (its byte, 0) in a plain file, (member, byte of its output) in another."""
        begin, piece = self.marks[0]
        for mark in self.marks:
            if mark[0] <= self.at:
                begin, piece = mark
        passed = self.at - begin
        return (piece.offset + passed, 0) if piece.linear else (piece.offset, piece.within + passed)

    def trust(self, length: int) -> Trust:
        """Returns how far the next `length` bytes can be trusted: as far as the worst piece of them."""
        if len(self.marks) == 1:
            return self.marks[0][1].trust
        worst = max((_ORDER.index(p.trust) for b, p in self.marks if b < self.at + length), default=0)
        return _ORDER[worst]

    def need(self, length: int) -> bool:
        """Makes the window `length` bytes long; says whether the run has so many."""
        if self.bytes_left >= length:
            return True
        parts = [self.buffer[self.at :]] if self.bytes_left else []
        marks = [(begin - self.at, piece) for begin, piece in self.marks] if parts else []
        size = self.bytes_left
        while size < length and (piece := self._pull()) is not None:
            marks.append((size, piece))
            parts.append(piece.data)
            size += len(piece.data)
        if marks:
            last = max((i for i, mark in enumerate(marks) if mark[0] <= 0), default=0)
            self.buffer, self.at, self.marks = b"".join(parts), 0, marks[last:]
        return size >= length

    def peek(self, skip: int, length: int) -> bytes:
        """Returns up to `length` bytes that begin `skip` after the cursor, without moving."""
        if len(self.buffer) - self.at < skip + length:
            self.need(skip + length)
        return self.buffer[self.at + skip : self.at + skip + length]

    def take(self, skip: int, length: int) -> bytes:
        """Returns `length` bytes that begin `skip` after the cursor, and moves behind them."""
        self.at += skip + length
        return self.buffer[self.at - length : self.at]

    def skip(self, length: int) -> int:
        """Moves on by `length` bytes, holding none; returns how many of them the run lacked."""
        while length > self.bytes_left:
            length -= self.bytes_left
            self.at = len(self.buffer)
            if not self.need(1):
                return length
        self.at += length
        return 0

    def skip_line_ends(self) -> None:
        """Moves past CR, LF and zero bytes, which pad some archives."""
        while self.need(1):
            match = _LINE_ENDS.match(self.buffer, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.buffer):
                return

    def header_end(self) -> int | None:
        """Returns where the header block ends (behind its empty line), or None where it does not."""
        while True:
            if match := _HEADER_END.search(self.buffer, self.at, self.at + HEADER_BYTES):
                return match.end() - self.at
            if self.bytes_left >= HEADER_BYTES or not self.need(self.bytes_left + 1):
                return None

    def pass_over(self, skip: int, rule: str, why: str) -> Loss | None:
        """Moves to the next start of a record at least `skip` bytes on, and returns what was passed."""
        offset, passed = self.place()[0], skip
        self.at += skip
        while (match := _NEXT.search(self.buffer, self.at)) is None:
            keep = min(self.bytes_left, _NEXT_BYTES)
            passed += self.bytes_left - keep
            self.at = len(self.buffer) - keep
            if not self.need(keep + 1):
                self.at += keep
                return self.lost(offset, passed + keep, rule, why)
        passed += match.start() - self.at
        self.at = match.start()
        return self.lost(offset, passed, rule, why)

    def lost(self, offset: int, amount: int, rule: str, why: str) -> Loss | None:
        """Returns the loss of `amount` bytes at `offset`; None where the run ends here in a loss that covers it."""
        if not self.need(1) and self.loss is not None:
            return None
        if self.linear:
            return Loss(offset, offset + amount, rule, why)
        return Loss(offset, offset, rule, why, unpacked=amount)

    def next_run(self) -> bool:
        """Goes on behind what ended this run; says whether there is anything."""
        if self.loss is None and self.coming is None:
            return False
        self.loss, self.begun, self.ended = None, False, False
        return True

    def _pull(self) -> Piece | None:
        if self.ended:
            return None
        coming, self.coming = self.coming, None
        for item in self.stream if coming is None else (coming,):
            if isinstance(item, Loss):
                self.loss = item
                break
            if self.begun and item.within == 0 and not item.linear and _NEXT.match(item.data):
                self.coming = item
                break
            if item.data:
                self.linear, self.begun = item.linear, True
                return item
        self.ended = True
        return None
