"""A corpus in PyTorch: a map-style dataset, a sampler and a stream of batches, in the order that the corpus was given.

Nothing here shuffles or draws: the corpus stands in the order of training, so batch k of a global batch size B is the
samples kB up to (k + 1)B of those that overlays leave, whatever the number of ranks and of workers, and resuming is a
seek to a position. A rank takes its own part of each batch.

    stream = Stream("runs/zh_en", batch_size=512, rank=rank, world_size=world_size)
    for batch in DataLoader(stream, batch_size=None, num_workers=2):
        ...  # batch["input_ids"]: int64[512 / world_size, S]
        state = stream.state_after(batch["batch"])  # plain data: put it into the checkpoint

    stream.load_state_dict(state)  # with any number of ranks and workers

What a worker process is handed are paths and numbers; it opens the files itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from datapipe import ConfigError
from stages.corpus.batches import Batches
from stages.corpus.corpus import Corpus
from stages.corpus.overlay import Overlaid
from stages.corpus.samples import IGNORED, Arrays, Samples

try:
    import torch
    from torch.utils.data import Dataset, IterableDataset, Sampler, get_worker_info
except ModuleNotFoundError:  # documentation and tests of the rest need no PyTorch
    torch = None
    Dataset = IterableDataset = Sampler = object

Batch = dict[str, Any]  # Any: tensors by field, and the number of the batch
State = dict[str, Any]  # Any: JSON
Collate = Callable[[Sequence[Batch]], Batch]


def _samples(folder: str, split: str, fields: Sequence[str], dtype: str, overlays: bool) -> Samples:
    if torch is None:
        raise ConfigError("stages.corpus.torch_dataset needs PyTorch: pip install torch")
    return Samples(Corpus.open(folder, overlays=overlays).split(split), tuple(fields), dtype)


class TokenDataset(Dataset):  # type: ignore[misc]  # PyTorch is not there where types are checked
    """The samples of a split by index, 0 up to len(): those that overlays leave, in order.

    An item is a dict of tensors, the `fields` of `stages.corpus.samples.Samples`. With dtype int32 `input_ids` is a
    view of the file where it can be; writing into it changes no file. `collate` makes batches where items differ in
    length: by document, or with `seq_lengths` or `cu_seqlens` among the fields.

    Raises:
        ConfigError: there is no such corpus, split or field, or an overlay is of another corpus.
        DataError: the corpus is damaged.
    """

    def __init__(
        self,
        folder: str,
        split: str = "train",
        *,
        fields: Sequence[str] = ("input_ids",),
        dtype: str = "int64",
        overlays: bool = True,
    ) -> None:
        self.samples = _samples(folder, split, fields, dtype, overlays)
        self.packed = self.samples.split.corpus.seq_len is not None

    @property
    def overlaid(self) -> Overlaid:
        """What overlays leave out."""
        return self.samples.split.overlaid

    def __len__(self) -> int:
        return self.overlaid.count

    def __getitem__(self, index: int) -> Batch:
        overlaid = self.samples.split.overlaid
        if not 0 <= index < overlaid.count:
            if not -overlaid.count <= index < 0:
                raise IndexError(f"{index} is no index of {overlaid.count} samples")
            index += overlaid.count
        position = overlaid.position(index)
        if self.samples.bare:
            return {"input_ids": torch.from_numpy(self.samples.ids(position))}
        return _tensors(self.samples.one(position))

    def __getitems__(self, indices: Sequence[int]) -> Sequence[Batch]:
        """Returns items together: what DataLoader asks for, a batch at a time."""
        if self.samples.even:
            return Together(_tensors(self.samples.stacked(self.positions(indices))))
        return [self[index] for index in indices]

    def positions(self, indices: Sequence[int]) -> Sequence[int]:
        """Returns the position of each index."""
        if len(self.overlaid.skipped):
            return [self.overlaid.position(index) for index in indices]
        return indices

    def index(self, position: int) -> int:
        """Returns the index of the first sample from a position on."""
        return self.overlaid.index(position)

    @property
    def collate(self) -> Collate:
        """The function that makes a batch of items, for DataLoader(collate_fn=...): see `Stack`, `Pad`."""
        return Stack() if self.packed else Pad(self.samples.split.corpus.eos)


class Together(Sequence[Batch]):
    """Items that were read as one: `batch` is what they are stacked, which `Stack` need not do again."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return len(next(iter(self.batch.values())))

    def __getitem__(self, place: Any) -> Any:  # Any: an int gives a Batch, a slice is not asked for
        return {name: values[place] for name, values in self.batch.items()}

    def __iter__(self) -> Iterator[Batch]:
        for row in zip(*(values.unbind() for values in self.batch.values()), strict=True):
            yield dict(zip(self.batch, row, strict=True))


class RankBatches(Sampler):  # type: ignore[misc]  # as above
    """Indices of a rank's part of each batch, for DataLoader(batch_sampler=...) over a TokenDataset.

    `batch_size` is that of all ranks together, a number or a ramp (`32x1000,64`); it begins at index `start`.

    Raises:
        ConfigError: a batch cannot be shared out evenly.
    """

    def __init__(
        self,
        count: int,
        batch_size: int | str,
        *,
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.parts = Parts(Batches.parse(batch_size), rank, world_size, drop_last)
        self.count, self.start = count, start

    def __len__(self) -> int:
        return self.parts.batches(self.count - self.start)

    def __iter__(self) -> Iterator[range]:
        for number in range(len(self)):
            first, end = self.parts.part(number, self.count - self.start)
            yield range(self.start + first, self.start + end)


class Parts:
    """Which samples of each batch a rank takes: the rank-th of `world_size` equal parts.

    >>> Parts(Batches.parse(4), rank=1, world_size=2).part(3, 100)
    (14, 16)
    """

    def __init__(self, sizes: Batches, rank: int, world_size: int, drop_last: bool = False) -> None:
        if not 0 <= rank < world_size:
            raise ConfigError(f"rank {rank} of {world_size}: ranks are numbered from 0")
        uneven = [size for size in (*(size for size, _ in sizes.ramp), sizes.last) if size % world_size]
        if uneven:
            raise ConfigError(f"batch_size {uneven[0]}: cannot be shared out evenly to {world_size} ranks")
        self.sizes, self.rank, self.world_size, self.drop_last = sizes, rank, world_size, drop_last

    def batches(self, samples: int, first: int = 0) -> int:
        """Returns the batches that `samples` make from batch `first` on, the last in part unless it is dropped."""
        before = self.sizes.first(first)
        last = self.sizes.count(before + max(0, samples))
        whole = self.sizes.first(last) <= before + samples
        return max(0, last - first - (self.drop_last and not whole))

    def part(self, number: int, samples: int, first: int = 0) -> tuple[int, int]:
        """Returns which of `samples` are the rank's part of batch `number`, where batch `first` begins with the first.

        Of a last batch that is not full the parts differ by one sample at most.
        """
        start, size = self.sizes.bounds(number)
        start -= self.sizes.first(first) if first else 0
        size = min(size, samples - start)
        return start + size * self.rank // self.world_size, start + size * (self.rank + 1) // self.world_size


class Stream(IterableDataset):  # type: ignore[misc]  # as above
    """The rank's part of each batch of a split, from `start` (a position) on, as dicts of tensors [samples, …].

    For DataLoader(stream, batch_size=None, num_workers=N): batches come whole, each made in one worker, and in order.
    Beside the `fields` a batch holds its number, `batch`. `batch_size` is that of all ranks together, a number or a
    ramp (`32x1000,64x1000,128`). A last batch that is not full is shared out as it is, unevenly perhaps (a rank that
    no sample is left for gets tensors of none, or `batch` alone where samples differ in length), or left out with
    `drop_last`. `collate` makes a batch of samples that differ in length (`Stack`, or by document `Pad`);
    `Concatenate()` puts them in one row.

    Raises:
        ConfigError: there is no such corpus, split or field, an overlay is of another corpus, or a batch cannot be
            shared out evenly.
        DataError: the corpus is damaged.
    """

    def __init__(
        self,
        folder: str,
        batch_size: int | str,
        split: str = "train",
        *,
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
        fields: Sequence[str] = ("input_ids",),
        dtype: str = "int64",
        overlays: bool = True,
        drop_last: bool = False,
        collate: Collate | None = None,
    ) -> None:
        self.samples = _samples(folder, split, fields, dtype, overlays)
        self.parts = Parts(Batches.parse(batch_size), rank, world_size, drop_last)
        corpus = self.samples.split.corpus
        self.packed = corpus.seq_len is not None
        self.collate = collate or (Stack() if self.packed else Pad(corpus.eos))
        self.own = collate is None and self.samples.even
        if not 0 <= start <= self.overlaid.total:
            raise ConfigError(f"start: {start} is no position of {split}: 0 up to {self.overlaid.total}")
        self.first, self.start = self.parts.sizes.number(self.overlaid.index(start)), start
        self._resumed = False
        self._next: int | None = None  # the batch that an iteration is at

    @property
    def overlaid(self) -> Overlaid:
        """What overlays leave out."""
        return self.samples.split.overlaid

    def __len__(self) -> int:
        """Returns the batches from `start` on, of all workers together."""
        return self.parts.batches(self.overlaid.count - self.overlaid.index(self.start), self.first)

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        step = worker.num_workers if worker else 1
        begun = self.overlaid.index(self.start)
        left = self.overlaid.count - begun
        self._next = None
        skipping, bare = len(self.overlaid.skipped) > 0, self.samples.bare
        for number in range(self._turn(), self.first + len(self), step):
            first, end = self.parts.part(number, left, self.first)
            self._next = number + step
            positions: Sequence[int] = range(begun + first, begun + end)
            if skipping:
                positions = self._stay(range(begun + first, begun + end))
            if self.own and bare:
                yield {"input_ids": torch.from_numpy(self.samples.many(positions)), "batch": number}
            elif self.own:
                yield {**_tensors(self.samples.stacked(positions)), "batch": number}
            else:
                yield {**self.collate([_tensors(self.samples.one(at)) for at in positions]), "batch": number}

    def _turn(self) -> int:
        """Returns the first batch that is this worker's."""
        worker = get_worker_info()
        return self.first + (worker.id if worker and not self._resumed else 0)

    def _stay(self, indices: range) -> Sequence[int]:
        """Returns the positions of indices: a range where nothing between them is left out."""
        if not indices:
            return indices
        start, last = (self.overlaid.position(index) for index in (indices[0], indices[-1]))
        if last - start < len(indices):
            return range(start, last + 1)
        return list(self.overlaid.positions(np.asarray(indices)).tolist())

    def state_after(self, batch: int) -> State:
        """Returns the state once batch number `batch` was taken: where to go on, and of which corpus."""
        return self._state(batch + 1)

    def state_dict(self) -> State:
        """Returns the state behind the last batch that this very object yielded, as StatefulDataLoader asks for it.

        Where workers of a plain DataLoader yield, this object does not: `state_after` knows the state from the number
        of a batch.
        """
        return self._state(self._turn() if self._next is None else self._next)

    def _state(self, number: int) -> State:
        index = self.overlaid.index(self.start) + self.parts.sizes.first(number) - self.parts.sizes.first(self.first)
        stays = index < self.overlaid.count
        manifest = self.samples.split.corpus.manifest
        return {
            "position": self.overlaid.position(index) if stays else self.overlaid.total,
            "batch": number,
            "split": self.samples.split.name,
            "order_sha256": manifest["order_sha256"],
            "merkle_root": manifest["merkle_root"],
        }

    def load_state_dict(self, state: State) -> None:
        """Goes on where `state` says: with other ranks, workers or overlays too, and with other sizes of batches.

        It may be a state of the corpus that this one is a rebuild of: positions are the same.

        Raises:
            ConfigError: it is of another corpus or split.
        """
        own, manifest = self._state(self.first), self.samples.split.corpus.manifest
        roots = {own["merkle_root"], *(taken["parent"]["merkle_root"] for taken in manifest.get("removed", ()))}
        differing = [name for name in ("split", "order_sha256") if state.get(name) != own[name]]
        if state.get("merkle_root") not in roots:
            differing.append("merkle_root")
        if differing:
            raise ConfigError(
                f"state: is of another corpus or split ({differing[0]} {state.get(differing[0])}, here "
                f"{own[differing[0]]}): positions there are not positions here"
            )
        self.start, self.first, self._next = state["position"], state["batch"], None
        self._resumed = get_worker_info() is not None  # a worker's own state is at its own turn already


def _tensors(arrays: Arrays) -> Batch:
    return {name: torch.from_numpy(value) if value.ndim else torch.tensor(int(value)) for name, value in arrays.items()}


class Stack:
    """Makes a batch of packed samples: fields of equal length stacked, `seq_lengths` in a row, `cu_seqlens` joined.

    `cu_seqlens` (int32) are the borders of all sequences in the flattened batch.
    """

    def __call__(self, items: Sequence[Batch]) -> Batch:
        if isinstance(items, Together):
            return items.batch
        return {name: _join(name, [item[name] for item in items]) for name in (items[0] if items else {})}


class Concatenate(Stack):
    """Makes one row of all samples, [1, tokens], with `cu_seqlens` for attention that does not cross documents."""

    def __call__(self, items: Sequence[Batch]) -> Batch:
        own = ("position", "seq_lengths", "cu_seqlens")
        made = {
            name: _join(name, [item[name] for item in items])
            if name in own
            else torch.cat([item[name] for item in items])[None]
            for name in (items[0] if items else {})
        }
        if items and "cu_seqlens" not in made:
            lengths = torch.tensor([0, *(len(item["input_ids"]) for item in items)])
            made["cu_seqlens"] = lengths.cumsum(0).to(torch.int32)
        return made


class Pad:
    """Makes a batch of samples of different lengths: filled on the right to the longest, [samples, longest].

    Tokens are filled with `token`, labels with -100, other fields with 0; `attention_mask` is 1 where a sample is. A
    length is rounded up to a multiple of `multiple`.
    """

    def __init__(self, token: int, multiple: int = 8) -> None:
        self.token, self.multiple = token, multiple

    def __call__(self, items: Sequence[Batch]) -> Batch:
        if not items:
            return {}
        lengths = [len(item["input_ids"]) for item in items]
        width = -(-max(lengths) // self.multiple) * self.multiple
        made: Batch = {}
        for name in items[0]:
            own = [item[name] for item in items]
            if name in ("position", "seq_lengths", "cu_seqlens"):
                made[name] = _join(name, own)
                continue
            fill = {"input_ids": self.token, "labels": IGNORED}.get(name, 0)
            made[name] = torch.full((len(items), width), fill, dtype=own[0].dtype)
            for row, values in enumerate(own):
                made[name][row, : len(values)] = values
        made["attention_mask"] = (torch.arange(width)[None] < torch.tensor(lengths)[:, None]).to(torch.int64)
        return made


def _join(name: str, values: Sequence[Any]) -> Any:  # Any: tensors
    if name == "seq_lengths":
        return torch.cat(list(values))
    if name == "cu_seqlens":
        lengths = torch.cat([torch.zeros(1, dtype=torch.int32), *(value.diff() for value in values)])
        return lengths.cumsum(0).to(torch.int32)
    return torch.stack(list(values))
