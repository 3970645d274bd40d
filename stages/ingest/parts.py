"""Which bytes a task reads: large files cut into parts of even size, small ones put together.

A part is a range of bytes, `InputFile.part`; its true ends are found by the tasks that read. The true place of a cut is
a function of the file and the cut alone, so the task that ends there and the one that begins there agree, and every
byte is read once. In a plain file of lines that is the first line that begins at the cut or after it. In gzip and zstd
files it is the first *true* member there:

What looks like a member may be the content of another: a crawled `.gz` that does not compress lies in its member as it
is, checksums and all. But deflate keeps bytes as they are only in stored blocks of 65,535 bytes at most, and zstd only
in raw blocks of 128 KiB, with a header between two, so whole members cannot follow one upon another for longer than
that within a member; nor to the end of the file, before which the outer member's checksum or its last block's header
stands. So a member is true if whole members, checksum or length right, follow without a gap from it through more than
those bytes or to the end of the file. A reader that goes through the file from its start comes upon each true member
too, whatever is damaged before it: a whole member that covered it would hold it as content, and behind one that is not
whole the reader tries every place. Frames of zstd without checksum and length cannot be told to be whole: not cut.

What nothing checks could pass over the outer member's headers: so no skippable frame may lie in a proof, and no long
optional field of a gzip header. The proof is against accident. Who writes an archive byte by byte, and knows where its
blocks end, can forge one in few bytes.

Source: RFC 1951 section 3.2.4 (stored blocks), RFC 8878 section 3.1.1.2.4 (Block_Maximum_Size).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise, takewhile
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from datapipe import InputFile
from datapipe.storage import read_range
from stages.ingest.compression import Codec, Gzip, Unsupported, codec_of
from stages.ingest.members import HOLD_BYTES, PIECE_BYTES, Loss, Piece
from stages.ingest.warc import is_record

OPENING_BYTES = 64 << 10
"""What a file counts at least: opening one has a price too, in a store a request's."""
LEAST_BYTES = 1 << 16  # of `bytes_per_shard`, about what it takes to prove the ends of a part
SNIFFED_BYTES = (1 << 18, 1 << 22)  # read from the start of a large file, the second where the first do not do
SNIFFERS = 32  # at once: a store answers each in some tens of milliseconds
NAMED_FILES = 20  # in the notes of a source
EVENNESS = 64  # shards of a source are even to such a part of `bytes_per_shard`
SCAN_BYTES = 1 << 16
FOOTER_BYTES = 1 << 28  # of a Parquet file
HEAD_BYTES = 1 << 10  # of a member, by which it is judged

Begins = Callable[[bytes], bool]
MEMBER_BEGINS: Mapping[str, Begins | None] = {"warc": is_record, "jsonl": None, "lines": None}
"""By the formats of members: what a decompressed one must begin with where a task is to begin; None: files of lines."""


def shards_of(
    files: Sequence[InputFile], bytes_per_shard: int, form: str
) -> tuple[tuple[tuple[InputFile, ...], ...], tuple[str, ...]]:
    """Returns the files of each shard, in order, and sentences on the large files that could not be cut.

    A function of the listing and of the first bytes of the files above `bytes_per_shard`, which are read.
    """
    large = [file for file in files if file.size_bytes > bytes_per_shard]
    with ThreadPoolExecutor(SNIFFERS) as pool:
        reasons = dict(zip(large, pool.map(lambda file: uncuttable(file, form), large), strict=True))
    cut = [part for file in files for part in (_parts(file, bytes_per_shard) if reasons.get(file) == "" else [file])]
    notes = [
        f"{file.name} ({_size(file.size_bytes)}) streams as one task: {why}" for file, why in reasons.items() if why
    ]
    if len(notes) > NAMED_FILES:
        notes[NAMED_FILES:] = [f"{len(notes) - NAMED_FILES} more files stream as one task each"]
    return together(cut, bytes_per_shard), tuple(notes)


def _parts(file: InputFile, bytes_per_shard: int) -> list[InputFile]:
    """Returns the parts of a file, as few as have at most `bytes_per_shard` bytes each, of even size."""
    amount = -(-file.size_bytes // bytes_per_shard)
    ends = [file.size_bytes * number // amount for number in range(amount + 1)]
    return [replace(file, part=(ends[number], ends[number + 1])) for number in range(amount)]


def together(files: Sequence[InputFile], bytes_per_shard: int) -> tuple[tuple[InputFile, ...], ...]:
    """Returns the files (or parts) in groups of at most `bytes_per_shard` or one file, in order.

    There are as few groups as that allows, and the largest is then as small as it can be, to 1/EVENNESS of a shard.
    """
    weights = [max(file.part_bytes, OPENING_BYTES) for file in files]
    fewest = len(_filled(weights, bytes_per_shard))
    low, high = 0, EVENNESS
    while high - low > 1:
        room = (low + high) // 2
        if len(_filled(weights, bytes_per_shard * room // EVENNESS)) > fewest:
            low = room
        else:
            high = room
    starts = [*_filled(weights, bytes_per_shard * high // EVENNESS), len(files)]
    return tuple(tuple(files[start:end]) for start, end in pairwise(starts))


def _filled(weights: Sequence[int], room: int) -> list[int]:
    """Returns where groups begin that are filled one after the other up to `room`."""
    starts: list[int] = []
    size = 0
    for place, weight in enumerate(weights):
        if not starts or size + weight > room:
            starts.append(place)
            size = 0
        size += weight
    return starts


def uncuttable(file: InputFile, form: str) -> str:
    """Returns why a file cannot be cut, as far as its first bytes tell; nothing where it can."""
    if form == "parquet":
        return _one_row_group(file)
    if form not in MEMBER_BEGINS:
        return f"{form} files are not cut"
    why = ""
    for size in SNIFFED_BYTES:
        head = io.BytesIO(read_range(file.url, 0, min(size, file.size_bytes)))
        why, final = _uncuttable(head, file.name, MEMBER_BEGINS[form])
        if not why or final or size >= file.size_bytes:
            break
    return why


def _one_row_group(file: InputFile) -> str:
    size = file.size_bytes
    tail = read_range(file.url, max(0, size - 8), size)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or length > min(size - 8, FOOTER_BYTES):
        return "its footer cannot be read"
    footer = read_range(file.url, size - 8 - length, size)
    try:
        groups = pq.read_metadata(io.BytesIO(footer)).num_row_groups
    except (OSError, pa.ArrowException):
        return "its footer cannot be read"
    return "" if groups > 1 else "it has one row group"


def _uncuttable(head: io.BytesIO, name: str, begins: Begins | None) -> tuple[str, bool]:
    """Returns why a file cannot be cut, and whether more of it would not change that."""
    try:
        codec = codec_of(head, name)
    except Unsupported as error:
        return str(error), True
    size = len(head.getvalue())
    if codec is None:
        if begins is not None:
            return "records of an uncompressed file are found only one after the other", True
        return "" if b"\n" in head.getvalue() else f"no line ends in its first {_size(size)}", False
    if boundary(head, codec, codec.begin + 1, size, begins) < size:
        return "", True
    kind = "gzip member" if isinstance(codec, Gzip) else "zstd frame"
    return f"in its first {_size(size)} no second {kind} begins that a task could begin with", False


def _size(amount: int) -> str:
    """Returns a number of bytes for people.

    >>> _size(1_040_000_000), _size(4 << 20), _size(70_000)
    ('1.0 GB', '4.2 MB', '70.0 kB')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if amount >= unit:
            return f"{amount / unit:.1f} {name}"
    return f"{amount / 1e3:.1f} kB"


def is_first(file: InputFile) -> bool:
    """Says whether the task reads a file from its start, and so says what is true of the file as a whole."""
    return file.part is None or file.part[0] == 0


def within(stream: Iterator[Piece | Loss], end: int) -> Iterator[Piece | Loss]:
    """Yields of a stream what is of members that begin before `end`."""
    return takewhile(lambda item: place_of(item) < end, stream)


def place_of(item: Piece | Loss) -> int:
    """Returns where in the file the bytes lie, or the member that they are of."""
    return item.start if isinstance(item, Loss) else item.offset


def ends_of(opened: BinaryIO, file: InputFile, begins: Begins | None) -> tuple[int, int]:
    """Returns where the first member begins that this task reads, and the first that it does not.

    Of a plain file without `begins`, which is one of lines: the bytes before those with which lines may begin. A file
    that cannot be cut after all is all of its first part.

    Raises:
        Unsupported: the file is LZ4, bzip2 or xz.
    """
    size = file.size_bytes
    start, end = file.part or (0, size)
    if file.part is None or (start, end) == (0, size):
        return 0, size
    codec = codec_of(opened, file.name)
    if codec is None and begins is None:
        return max(0, start - 1), end - 1 if end < size else size
    if codec is None:
        return (0, size) if start == 0 else (size, size)
    begin = boundary(opened, codec, start, end, begins) if start else 0
    return begin, begin if begin == end else boundary(opened, codec, end, size, begins)


def boundary(file: BinaryIO, codec: Codec, place: int, until: int, begins: Begins | None) -> int:
    """Returns where the first true member begins at `place` or after, `until` where none does before that."""
    place = max(place, codec.begin)
    while (found := _found(file, codec, place, until)) < until:
        true, place = _proven(file, codec, found, begins)
        if true:
            return found
    return until


def _found(file: BinaryIO, codec: Codec, place: int, until: int) -> int:
    """Returns the first place from `place` on that looks like the start of a member, `until` where there is none."""
    while place < until:
        file.seek(place)
        window = file.read(SCAN_BYTES)
        at = window.find(codec.magic)
        while at >= 0:
            if codec.begins(window[at : at + 8]):
                return min(place + at, until)
            at = window.find(codec.magic, at + 1)
        if len(window) < SCAN_BYTES:
            return until
        place += SCAN_BYTES - 7
    return until


def _proven(file: BinaryIO, codec: Codec, found: int, begins: Begins | None) -> tuple[bool, int]:
    """Says whether the member at `found` is true; if not, with the place from which to look for the next.

    Members that the same gap or damage follows fail for it too, and within whole ones there is no true one.
    """
    at = found
    while True:
        file.seek(at)
        head = file.read(HEAD_BYTES)
        if not head:
            return file.seek(0, io.SEEK_END) == at, at
        if codec.skip(head):
            return False, at + 1
        whole = _whole(file, codec, at, keep=at == found) if codec.begins(head) and codec.verifies(head) else None
        if whole is None:
            return False, at + 1
        if at == found and begins is not None and not begins(whole[1]):
            return False, whole[0]
        at = whole[0]
        if at - found > codec.stored_bytes:
            return True, at


def _whole(file: BinaryIO, codec: Codec, start: int, *, keep: bool) -> tuple[int, bytes] | None:
    """Returns where the member at `start` ends and what it holds (nothing above HOLD_BYTES); None if it is cut."""
    file.seek(start)
    unpack = codec.open()
    held: list[bytes] = []
    size, at, data, ended = 0, start, b"", False
    while not ended:
        data = data or file.read(codec.chunk_bytes)
        if not data:
            return None
        try:
            out = unpack.decompress(data, PIECE_BYTES)
        except codec.errors:
            return None
        ended = unpack.eof
        left = unpack.unused_data if ended else unpack.unconsumed_tail
        at, data = at + len(data) - len(left), left
        size += len(out)
        if keep and size <= HOLD_BYTES:
            held.append(out)
        else:
            held = []
    return at, b"".join(held)
