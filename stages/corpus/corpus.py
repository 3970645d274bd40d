"""A finished corpus, opened: its manifest, its splits, and the samples at any range of positions.

Where a sample lies follows from the manifest alone: shards hold a known number of rows, in order of position. Nothing
is read before it is asked for, and what is read are slices of mapped files.
"""

from __future__ import annotations

import json
import resource
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa

from datapipe import ConfigError, DataError, storage
from stages.corpus.overlay import Overlaid, Overlay, overlaid, read_overlays
from stages.corpus.shard import ShardFile
from stages.mix.columns import FORMAT_VERSION

MANIFEST = "manifest.json"
REMOVED: Final = "removed"  # split of a document that a rebuild took out: its row of the index is empty, and stays
TOKENIZERS = ("tokenizer.json", "tokenizer.model")  # one of them
_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[0]  # that this process may open; -1 is any number
OPEN = 4096 if _FILES < 0 else max(64, min(4096, _FILES // 4))  # shards of a split that stay open

Facts = dict[str, Any]  # Any: JSON
_SAID = ("order_sha256", "shards", "index", "splits", "tokenizer", "packing", "mix")


@dataclass(frozen=True)
class Corpus:
    """A corpus: the folder that holds its manifest, what that says, and the overlays beside it.

    It pickles to its folder, the names of its overlays and the digest of its order: what is opened from that, in
    another process, is the same corpus under the same overlays, or an error.
    """

    folder: str
    manifest: Facts = field(repr=False)
    overlays: tuple[Overlay, ...] = ()

    @classmethod
    def open(cls, folder: str, *, overlays: bool = True) -> Corpus:
        """Returns the corpus in the `--out` folder of a run, or in the folder `corpus` of one; `s3://` too.

        Raises:
            ConfigError: there is none, or it is of another format, or an overlay beside it is of another corpus.
            DataError: it is damaged.
        """
        return _opened(folder, None if overlays else ())

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(self.manifest["splits"])

    @property
    def seq_len(self) -> int | None:
        """Tokens of a sample; None where a sample is a document."""
        length: int | None = self.manifest["packing"].get("seq_len")
        return length

    @property
    def eos(self) -> int:
        """The token that ends every document, and fills what is padded or taken out."""
        return int(self.manifest["tokenizer"]["eos_id"])

    @property
    def document_files(self) -> list[str]:
        """The files of the index of documents, by number."""
        return self.index_files("documents")

    def index_files(self, kind: str) -> list[str]:
        """Returns the names of the files of an index under the corpus, by number."""
        names = [str(file["name"]) for file in self.manifest["index"]]
        return [name for name in names if name.startswith(f"index/{kind}-")]

    def split(self, name: str = "train") -> Split:
        """Returns a split. Raises ConfigError where the corpus has none of that name."""
        if name not in self.manifest["splits"]:
            raise ConfigError(f"{self.folder}: has no split '{name}'; it has {', '.join(self.splits)}")
        return Split(self, name)

    def tokenizer(self) -> bytes:
        """Returns the file of the tokenizer that the corpus was encoded with. Raises DataError where it is gone."""
        for name in TOKENIZERS:
            content = storage.read_if_there(storage.join(self.folder, name))
            if content is not None:
                return content
        raise DataError(f"{self.folder}: {' and '.join(TOKENIZERS)} are both gone; fetch the one that was there again")

    def __reduce__(self) -> tuple[object, ...]:
        names = tuple(overlay.name for overlay in self.overlays)
        return _again, (self.folder, names, self.manifest["order_sha256"], self.manifest["merkle_root"])


def _opened(folder: str, names: Sequence[str] | None) -> Corpus:
    given = storage.absolute(folder)
    for place in (given, storage.join(given, "corpus")):
        content = storage.read_if_there(storage.join(place, MANIFEST))
        if content is not None:
            manifest = _parse(storage.join(place, MANIFEST), content)
            return Corpus(place, manifest, read_overlays(place, manifest, names))
    raise ConfigError(
        f"{folder}: holds no corpus: neither {MANIFEST} nor corpus/{MANIFEST} is there; give the --out folder of a "
        "run that ended with the step mix (the manifest comes last: without it a corpus is not finished)"
    )


def _again(folder: str, names: tuple[str, ...], order: str, root: str) -> Corpus:
    corpus = _opened(folder, names)
    if (corpus.manifest["order_sha256"], corpus.manifest["merkle_root"]) != (order, root):
        raise DataError(f"{folder}: another corpus was put in the place of the one that was opened: start again")
    return corpus


def _parse(path: str, content: bytes) -> Facts:
    try:
        manifest: Facts = json.loads(content)
        version, _ = manifest["format_version"], manifest["merkle_root"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is no manifest of a corpus of mix ({type(error).__name__}: {error})") from error
    if version != FORMAT_VERSION:
        raise ConfigError(f"{path}: is of format {version}, this datapipe reads {FORMAT_VERSION}: use the one it is of")
    if lacking := [name for name in _SAID if name not in manifest]:
        raise DataError(f"{path}: is no manifest of a corpus of mix: it has no {', '.join(lacking)}")
    return manifest


class Split:
    """A sequence of samples, each at its position: 0 up to `total`. Made by `Corpus.split`.

    What is asked for by position is there whether or not it is left out by an overlay; what is yielded in a row keeps
    to the overlays unless told otherwise.
    """

    def __init__(self, corpus: Corpus, name: str) -> None:
        self.corpus, self.name = corpus, name
        self.shards: list[Facts] = [shard for shard in corpus.manifest["shards"] if shard["split"] == name]
        self._ends: list[int] = np.cumsum([shard["rows"] for shard in self.shards]).tolist()
        self._open: OrderedDict[int, ShardFile] = OrderedDict()

    def __reduce__(self) -> tuple[object, ...]:
        return Split, (self.corpus, self.name)

    @property
    def total(self) -> int:
        """Positions of the split."""
        return self._ends[-1] if self._ends else 0

    @property
    def count(self) -> int:
        """Samples that are yielded: those of all positions but the ones left out."""
        return self.overlaid.count

    @cached_property
    def overlaid(self) -> Overlaid:
        """What the overlays of the corpus leave out of this split."""
        return overlaid(self.corpus.overlays, self.name, self.total)

    @property
    def schema(self) -> pa.Schema:
        """The columns of the shards."""
        return self.shard(0).schema

    @property
    def segment_files(self) -> list[str]:
        """The files of the index of pieces, one a shard."""
        return self.corpus.index_files("segments" if self.name == "train" else f"{self.name}-segments")

    def shard(self, number: int) -> ShardFile:
        """Returns a shard, opened. Raises DataError where it is gone or changed."""
        found = self._open.get(number)
        if found is None:
            said = self.shards[number]
            path = storage.join(self.corpus.folder, said["name"])
            found = self._open[number] = ShardFile(path, said["rows"], said["bytes"])
            while len(self._open) > OPEN:
                self._open.popitem(last=False)
        return found

    def locate(self, position: int) -> tuple[int, int]:
        """Returns the shard and the row of a position. Raises IndexError where there is no such position."""
        if not 0 <= position < self.total:
            raise IndexError(f"{self.corpus.folder}: {position} is no position of {self.name}: 0 up to {self.total}")
        number = bisect_right(self._ends, position)
        return number, position - self.first(number)

    def first(self, shard: int) -> int:
        """Returns the position that a shard begins with."""
        return self._ends[shard - 1] if shard else 0

    def sample(self, position: int, *, overlays: bool = True) -> dict[str, Any]:  # Any: values of any column
        """Returns the row at a position, its lists as arrays of numpy; with `overlays`, what was removed is EOS."""
        (batch,) = (batch for _, batch in self._stored(position, position + 1, None))
        if overlays:
            batch = self._cleared(position, batch)
        return {name: _value(batch.column(name), self.corpus.seq_len) for name in batch.schema.names}

    def rows(
        self, start: int = 0, stop: int | None = None, *, columns: Sequence[str] | None = None, overlays: bool = True
    ) -> Iterator[pa.RecordBatch]:
        """Yields the samples at positions `start` to `stop`, in order, as slices of mapped files.

        With `overlays`, positions that are left out yield nothing, and pieces that were removed are EOS.

        Raises:
            IndexError: the range is not of this split.
            ConfigError: there is no such column.
        """
        for _, batch in self.runs(start, stop, columns=columns, overlays=overlays):
            yield batch

    def runs(
        self, start: int = 0, stop: int | None = None, *, columns: Sequence[str] | None = None, overlays: bool = True
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yields what `rows` does, each batch with the position of its first row; the others follow without a gap."""
        stop = self.total if stop is None else stop
        if not 0 <= start <= stop <= self.total:
            raise IndexError(
                f"{self.corpus.folder}: {start}:{stop} is no range of positions of {self.name}: they are 0:{self.total}"
            )
        chosen = self._columns(columns)
        for first, end in self.overlaid.runs(start, stop) if overlays else [(start, stop)]:
            for at, batch in self._stored(first, end, chosen):
                yield at, self._cleared(at, batch) if overlays else batch

    def _columns(self, columns: Sequence[str] | None) -> tuple[str, ...] | None:
        unknown = sorted(set(columns or ()) - set(self.schema.names))
        if unknown:
            raise ConfigError(
                f"{self.corpus.folder}: has no column {', '.join(unknown)}; it has {', '.join(self.schema.names)}"
            )
        return tuple(columns) if columns is not None else None

    def _stored(self, start: int, stop: int, columns: tuple[str, ...] | None) -> Iterator[tuple[int, pa.RecordBatch]]:
        while start < stop:
            number, row = self.locate(start)
            end = min(stop, self._ends[number])
            for batch in self.shard(number).read(row, row + end - start, columns):
                yield start, batch
                start += batch.num_rows

    def _cleared(self, first: int, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Returns samples from position `first` on with EOS in the place of what was removed."""
        samples, starts, ends = self.overlaid.pieces(first, first + batch.num_rows)
        place = batch.schema.get_field_index("input_ids")
        if not len(samples) or place < 0:
            return batch
        column = batch.column(place)
        offsets = np.asarray(column.offsets) if self.corpus.seq_len is None else None
        ids = column.flatten().to_numpy().copy()
        for sample, start, end in zip((samples - first).tolist(), starts.tolist(), ends.tolist(), strict=True):
            base = sample * self.corpus.seq_len if offsets is None else int(offsets[sample] - offsets[0])
            ids[base + start : base + end] = self.corpus.eos
        values = pa.array(ids, pa.int32())
        if offsets is None:
            made: pa.Array = pa.FixedSizeListArray.from_arrays(values, type=column.type)
        else:
            made = pa.ListArray.from_arrays(pa.array(offsets - offsets[0], pa.int32()), values, type=column.type)
        return batch.set_column(place, batch.schema.field(place), made)


def _value(column: pa.Array, seq_len: int | None) -> Any:  # Any: what the column holds
    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        return column.flatten().to_numpy()
    return column[0].as_py()
