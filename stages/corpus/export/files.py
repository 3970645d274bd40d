"""Files of token ids as trainers read them: what stands in each format before, beside and behind the tokens.

The ids themselves lie one after another, little-endian, in every one of them:

- nanogpt: `train.bin`, `val.bin`: uint16 and nothing else (nanoGPT's loader knows no other width).
- llmc: 256 int32 before the tokens: magic, version, number of tokens, zeros. 20240520, 1 means uint16; 20240801, 7
  means uint32. A file holds fewer than 2**31 tokens.
- olmo: `.npy` by name alone: no header of numpy, OLMo maps the raw ids. Beside it `.csv.gz`, a line a sequence:
  start, end, id, src, loc. `src` is the file of the corpus's index that the document is in, and `loc` its row there,
  so a token leads to the URL.
- datatrove: `.ds`, with `.ds.index` (uint64, the end of each sequence) and `.ds.metadata` (tokenizer, width, tokens).
- megatron: `.bin`, with `.idx`: magic, version, code of the ids' type, numbers of sequences and of borders of
  documents, then int32 lengths, int64 byte offsets and int64 borders. Each sequence is a document.

Source: megatron-core 0.16 `indexed_dataset.py`, datatrove 0.10 `pipeline/tokens/tokenizer.py`, dolma `dolma tokens`,
llm.c `dev/data/data_common.py`, nanoGPT `data/openwebtext/prepare.py`.
"""

from __future__ import annotations

import gzip
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv

from datapipe import ConfigError, DataError
from stages.corpus.export.sequences import Sequences
from stages.corpus.target import Target

MEGATRON_UINT16_BELOW: Final = 65_500
LLMC_TOKENS: Final = (1 << 31) - 1
CHUNK: Final = 1 << 20  # numbers of an index that are made at once
CSV_LEVEL: Final = 6

Facts = dict[str, Any]  # Any: JSON


class TokenFile:
    """A file of tokens that is being written, with nothing beside it: nanoGPT's."""

    ending: ClassVar[str] = ".bin"
    header_bytes: ClassVar[int] = 0
    most_tokens: ClassVar[int] = 1 << 62
    places: ClassVar[bool] = False  # whether it says where each sequence comes from

    def __init__(self, target: Target, stem: str, dtype: np.dtype[Any], facts: Facts) -> None:
        self.target, self.stem, self.dtype, self.facts = target, stem, dtype, facts
        self.name = stem + self.ending
        self.tokens = self.sequences = 0
        self.file: BinaryIO = open(target.path(self.name), "wb")  # noqa: SIM115 - closed by close()
        self.file.write(bytes(self.header_bytes))

    def add(self, part: Sequences) -> None:
        """Appends sequences. Raises DataError where an id does not fit the type."""
        self.file.write(narrow(part.tokens, self.dtype).data)
        self.note(part)
        self.tokens += len(part.tokens)
        self.sequences += len(part.lengths)

    def note(self, part: Sequences) -> None:
        """Writes beside the tokens what a consumer wants to know of them; `self.tokens` are those before."""

    def close(self) -> None:
        """Ends the file and hands it over."""
        self.file.close()
        self.target.done(self.name, tokens=self.tokens, sequences=self.sequences)

    @classmethod
    def dtype_for(cls, vocabulary: int) -> np.dtype[Any]:
        """Returns the type of ids below `vocabulary`: uint16 where they fit, else uint32.

        Raises:
            ConfigError: the consumer reads none that holds them.
        """
        return np.dtype("<u2" if vocabulary <= 1 << 16 else "<u4")


class NanoGpt(TokenFile):
    """nanoGPT's file: ids of two bytes alone."""

    @classmethod
    def dtype_for(cls, vocabulary: int) -> np.dtype[Any]:
        if vocabulary > 1 << 16:
            raise ConfigError(
                f"export raw --format nanogpt: nanoGPT reads ids of two bytes, and the vocabulary has {vocabulary:,}; "
                "use llmc, olmo or datatrove"
            )
        return np.dtype("<u2")


class LlmC(TokenFile):
    """llm.c's file: its number of tokens stands in the header, which is written last."""

    header_bytes = 1024
    most_tokens = LLMC_TOKENS

    def close(self) -> None:
        magic, version = (20240520, 1) if self.dtype.itemsize == 2 else (20240801, 7)
        self.file.seek(0)
        self.file.write(struct.pack("<3i", magic, version, self.tokens))
        super().close()


class Olmo(TokenFile):
    """OLMo's file, and where each of its sequences comes from."""

    ending = ".npy"
    places = True

    def __init__(self, target: Target, stem: str, dtype: np.dtype[Any], facts: Facts) -> None:
        super().__init__(target, stem, dtype, facts)
        raw = open(target.path(f"{stem}.csv.gz"), "wb")  # noqa: SIM115 - closed by close()
        self.raw, self.csv = raw, gzip.GzipFile("", "wb", CSV_LEVEL, raw, mtime=0)  # of no date: equal, equal bytes

    def note(self, part: Sequences) -> None:
        ends = self.tokens + np.cumsum(part.lengths)
        columns = [pa.array(ends - part.lengths), pa.array(ends)]
        if part.places is None:
            raise DataError("export raw --format olmo: sequences came without their places")
        files = pa.array(self.facts["documents"], pa.string())
        columns += [part.places.column("doc_id"), files.take(part.places.column("file").combine_chunks())]
        columns.append(part.places.column("file_row"))
        options = pa.csv.WriteOptions(include_header=False, quoting_style="none")  # no name of ours has a comma
        pa.csv.write_csv(pa.table(columns, ["start", "end", "id", "src", "loc"]), self.csv, options)

    def close(self) -> None:
        super().close()
        self.csv.close()
        self.raw.close()
        self.target.done(f"{self.stem}.csv.gz")


class Datatrove(TokenFile):
    """datatrove's file, the ends of its sequences, and its three lines of metadata."""

    ending = ".ds"

    def __init__(self, target: Target, stem: str, dtype: np.dtype[Any], facts: Facts) -> None:
        super().__init__(target, stem, dtype, facts)
        self.index: BinaryIO = open(target.path(f"{self.name}.index"), "wb")  # noqa: SIM115 - closed by close()

    def note(self, part: Sequences) -> None:
        self.index.write((self.tokens + np.cumsum(part.lengths)).astype("<u8").data)

    def close(self) -> None:
        super().close()
        self.index.close()
        self.target.done(f"{self.name}.index")
        tokenizer = f"{self.facts['tokenizer']}|{self.dtype.itemsize}"
        said = "\n".join([tokenizer, str(self.tokens), metric(self.tokens)])
        self.target.put(f"{self.name}.metadata", said.encode())


class Megatron(TokenFile):
    """Megatron's pair of files. Lengths wait on the disk, since their number stands before them."""

    def __init__(self, target: Target, stem: str, dtype: np.dtype[Any], facts: Facts) -> None:
        super().__init__(target, stem, dtype, facts)
        self.spool = target.path(f"{stem}.lengths")
        self.lengths: BinaryIO = open(self.spool, "wb")  # noqa: SIM115 - closed by close()

    @classmethod
    def dtype_for(cls, vocabulary: int) -> np.dtype[Any]:
        return np.dtype("<u2" if vocabulary < MEGATRON_UINT16_BELOW else "<i4")

    def note(self, part: Sequences) -> None:
        self.lengths.write(part.lengths.astype("<i4").data)

    def close(self) -> None:
        super().close()
        self.lengths.close()
        with open(self.target.path(f"{self.stem}.idx"), "wb") as file:
            file.write(b"MMIDIDX\0\0")
            code = 8 if self.dtype.itemsize == 2 else 4
            file.write(struct.pack("<QBQQ", 1, code, self.sequences, self.sequences + 1))
            with open(self.spool, "rb") as lengths:
                shutil.copyfileobj(lengths, file, CHUNK)
            file.writelines((offsets * self.dtype.itemsize).astype("<i8").data for offsets in self._offsets())
            file.writelines(borders.data for borders in self._borders())
        os.unlink(self.spool)
        self.target.done(f"{self.stem}.idx")

    def _offsets(self) -> Iterator[np.ndarray]:
        """Yields at which token each sequence begins, int64, some at a time."""
        before = 0
        with open(self.spool, "rb") as file:
            while content := file.read(4 * CHUNK):
                ends = before + np.cumsum(np.frombuffer(content, "<i4"), dtype=np.int64)
                yield np.append(before, ends[:-1])
                before = int(ends[-1])

    def _borders(self) -> Iterator[np.ndarray]:
        """Yields the numbers of the sequences that documents begin with, and the number of sequences, int64."""
        end = self.sequences + 1
        return (np.arange(start, min(start + CHUNK, end), dtype="<i8") for start in range(0, end, CHUNK))


FORMATS: Final[dict[str, type[TokenFile]]] = {
    "nanogpt": NanoGpt,
    "llmc": LlmC,
    "olmo": Olmo,
    "datatrove": Datatrove,
    "megatron": Megatron,
}


@dataclass(frozen=True)
class Written:
    """What was written of a split."""

    sequences: int = 0
    tokens: int = 0
    closed: int = 0  # sequences that end with EOS


def write_files(parts: Iterator[Sequences], opened: Callable[[int], TokenFile], most_tokens: int, eos: int) -> Written:
    """Writes sequences to files of at most that many tokens; a longer sequence has a file of its own."""
    file: TokenFile | None = None
    number, sums = 0, np.zeros(3, np.int64)
    for part in parts:
        ends, start = np.cumsum(part.lengths), 0
        while start < len(ends):
            if file is None:
                file, number = opened(number), number + 1
            before = int(ends[start - 1]) if start else 0
            stop = int(np.searchsorted(ends, before + most_tokens - file.tokens, side="right"))
            if stop == start and not file.sequences:
                stop = start + 1
            if stop > start:
                file.add(part.part(start, stop))
            if stop < len(ends):
                file.close()
                file = None
            start = stop
        sums += [len(part.lengths), len(part.tokens), part.closed(eos)]
    if file is not None:
        file.close()
    return Written(*sums.tolist())


def narrow(tokens: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Returns ids as `dtype`. Raises DataError where one does not fit.

    >>> narrow(np.array([1, 65535], np.int32), np.dtype("<u2")).tolist()
    [1, 65535]
    """
    limit = np.iinfo(dtype).max
    if len(tokens) and limit < np.iinfo(np.uint32).max:
        largest = int(tokens.view(np.uint32).max())  # a negative id is a large one
        if largest > limit:
            raise DataError(f"export: token id {largest} does not fit {dtype.name}; the manifest's vocabulary is wrong")
    return np.ascontiguousarray(tokens, dtype)


def metric(count: int) -> str:
    """Returns a number of tokens as datatrove's metadata have it: three digits, and a prefix of a thousand.

    >>> metric(0), metric(42), metric(999_999), metric(12_345), metric(1_230_000_000)
    ('0.00 T', '42.0 T', '1.00 MT', '12.3 kT', '1.23 GT')
    """
    rounded = int(float(f"{count:.3g}"))
    power = max(0, len(str(rounded)) - 1) // 3
    value = rounded / 1000**power
    return f"{value:.{3 - len(str(int(value)))}f} {' kMGTPE'[power].strip()}T"
