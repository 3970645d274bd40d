"""What a run will take, from runs on samples: documents, bytes, core-seconds, memory, spill and output of each stage.

A part of the sources is read, a sample of its documents drawn, and the pipeline run on it in this process and a private
folder, three times: a few documents, so that everything is loaded and compiled; an eighth of the sample; all of it.
What grows with documents and what does not is told by the two, and by the stages. Nothing goes to the run's folders.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from datapipe.dataset import Concat, Dataset, Map
from datapipe.errors import DatapipeError, Interrupted
from datapipe.estimate.draw import GROUPS, READ_BYTES, Sample, draw, group_sums, on_sample, sample_share, weighed
from datapipe.estimate.laws import Lane, Laws
from datapipe.estimate.trial import Scale, Trial
from datapipe.exchange import MEMORY_BYTES
from datapipe.plan import Planner
from datapipe.task import open_rows

SMALL = 1 / 8  # of the sample: the trial that tells what does not grow
WARM_ROWS = 8  # of a shard, in the trial that loads and compiles


@dataclass(frozen=True)
class StageEstimate:
    """What a stage will do. Errors are twice the standard error, as a share; they do not know what was not sampled."""

    stage: str
    documents_in: float
    documents_out: float
    row_bytes_out: float  # of the documents in memory, text among them
    documents_error: float
    bytes_error: float
    cpu_seconds: float
    memory_bytes: int  # most of a task that works for the stage
    spill_bytes: float  # intermediates under work/
    output_bytes: float  # published


@dataclass(frozen=True)
class WaveEstimate:
    """What tasks of a wave have in common."""

    wave: int
    tasks: int
    cpu_seconds: float
    longest_seconds: float
    wall_seconds: float


@dataclass(frozen=True)
class Estimate:
    """What a run will take, and what that was told from."""

    name: str
    stages: tuple[StageEstimate, ...]
    waves: tuple[WaveEstimate, ...]
    read_seconds: float  # of CPU, to read the sources
    write_seconds: float  # of CPU, to write and sort
    output_bytes: dict[str, float]  # by folder under the output folder
    scratch_bytes: float  # on a local disk at once
    cores: int
    sources: dict[str, dict[str, float]]  # documents and bytes, and how much of them was read and drawn
    sampled_documents: int
    sampled_share: float  # of the bytes of all documents
    spent_seconds: float  # of CPU, for the estimate
    warnings: tuple[str, ...]

    @property
    def cpu_seconds(self) -> float:
        """Core-seconds of all tasks."""
        return sum(wave.cpu_seconds for wave in self.waves)

    @property
    def spill_bytes(self) -> float:
        """Intermediates under work/ when the run ends; nothing is removed before."""
        return sum(stage.spill_bytes for stage in self.stages)

    @property
    def wall_seconds(self) -> float:
        """Time on `cores` cores, the waves one after another, without the start of a cluster and the driver."""
        return sum(wave.wall_seconds for wave in self.waves)

    def to_json(self) -> str:
        """Returns all figures, with totals."""
        totals = {name: getattr(self, name) for name in ("cpu_seconds", "spill_bytes", "wall_seconds")}
        return json.dumps({**asdict(self), **totals}, indent=1, ensure_ascii=False)

    def __str__(self) -> str:
        head = ("stage", "documents in", "out", "±", "bytes out", "±", "core-h", "memory", "spill", "output")
        rows = [head, *(_row(stage) for stage in self.stages)]
        rows.append(("read", *[""] * 5, _hours(self.read_seconds), "", "", ""))
        rows.append(("write", *[""] * 5, _hours(self.write_seconds), "", "", ""))
        most = max((stage.memory_bytes for stage in self.stages), default=0)
        sizes = (_size(most), _size(self.spill_bytes), _size(sum(self.output_bytes.values())))
        rows.append(("total", *[""] * 5, _hours(self.cpu_seconds), *sizes))
        widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
        lines = [
            "  ".join(f"{row[0]:<{widths[0]}}" if not n else f"{row[n]:>{widths[n]}}" for n in range(len(head)))
            for row in rows
        ]
        lines += [f"{name}/: {_size(size)}" for name, size in sorted(self.output_bytes.items())]
        lines.append("tasks: " + ", ".join(f"wave {wave.wave} {wave.tasks:,}" for wave in self.waves))
        lines.append(
            f"about {_time(self.wall_seconds)} on {self.cores} cores like this one, "
            f"{_size(self.scratch_bytes)} of scratch at most at once"
        )
        lines += [f"source {name}: {_source(known)}" for name, known in self.sources.items()]
        lines.append(
            f"told from {self.sampled_documents:,} documents, {self.sampled_share:.2%} of all by bytes, "
            f"in {self.spent_seconds:.0f} s of CPU"
        )
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])


def estimate(
    whole: Planner, *, cores: int = 1, salt: int = 0, read_bytes: int = READ_BYTES, folder: str | None = None
) -> Estimate:
    """Returns what a run of the planner's pipeline will take, from samples that run in a folder of its own.

    `salt` draws another sample; `folder` is where temporary files go (the system's place unless given).

    Raises:
        DatapipeError: the sources cannot be read, or no document of the sample is left to go on with.
    """
    started = time.process_time()
    place = tempfile.mkdtemp(prefix="datapipe-estimate-", dir=folder)
    try:
        sample = draw(whole.pipeline, place, salt=salt, read_bytes=read_bytes)
        for name, share, rows in (("warm", SMALL, WARM_ROWS), ("small", SMALL, None)):
            small = None
            try:
                small = Trial(on_sample(whole.pipeline, sample, share, rows), f"{place}/{name}", whole.version)
            except Interrupted:
                raise
            except DatapipeError:  # a stage found too few documents; the whole sample decides
                continue
        large = Trial(on_sample(whole.pipeline, sample, 1.0), f"{place}/large", whole.version)
        scale = Scale(large, whole, sample)
        laws = Laws(small, scale)
        return _estimate(whole, sample, laws, cores, started)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _estimate(whole: Planner, sample: Sample, laws: Laws, cores: int, started: float) -> Estimate:
    lanes = laws.lanes()
    read = sum(item.seconds * item.weight for item in sample.drawn)
    output = defaultdict(float, {"ledger": laws.ledger_bytes()})
    for item in laws.files.values():
        if item.folder:
            output[item.folder] += float(item.bytes.sum())
    seconds: defaultdict[str, float] = defaultdict(float)
    for lane in lanes:
        for stage, spent in lane.seconds.items():
            seconds[stage] += spent
    seconds["read"] += read
    held = {source: sums[0].sum() for source, sums in weighed(sample).items()}
    sources = {
        item.source: {
            "documents": item.documents * item.weight,
            "row_bytes": item.bytes * item.weight,
            "files_read": item.files,
            "read_ratio": 1 / item.weight,
            "sampled_documents": float(held[item.source]),
        }
        for item in sample.drawn
    }
    return Estimate(
        whole.pipeline.name,
        tuple(_stages(whole, sample, laws, lanes, seconds)),
        tuple(_waves(lanes, read, cores)),
        seconds["read"],
        seconds["write"],
        dict(output),
        cores * max((lane.scratch_bytes for lane in lanes), default=0.0),
        cores,
        sources,
        int(sum(held.values())),
        sample_share(sample),
        time.process_time() - started,
        tuple(_warnings(sample, laws)),
    )


def _warnings(sample: Sample, laws: Laws) -> list[str]:
    found = [f"{item.source}: not read: {reason}" for item in sample.drawn for reason in item.unreadable]
    return [*found, *laws.scale.warnings]


def _waves(lanes: list[Lane], read: float, cores: int) -> list[WaveEstimate]:
    """Returns the waves. Tasks go out largest first, so a wave takes what its cores need, or its longest task."""
    found = []
    for number in sorted({lane.wave for lane in lanes}):
        here = [lane for lane in lanes if lane.wave == number]
        spent, tasks = sum(sum(lane.seconds.values()) for lane in here), sum(lane.tasks for lane in here)
        longest = max(lane.longest for lane in here)
        if number == 1:
            longest += longest * read / max(spent, 1e-9)
            spent += read
        found.append(WaveEstimate(number, tasks, spent, longest, max(spent / cores, longest)))
    return found


def _stages(
    whole: Planner, sample: Sample, laws: Laws, lanes: list[Lane], seconds: Mapping[str, float]
) -> list[StageEstimate]:
    raw, factors = weighed(sample), laws.scale.drawn
    rows, size = np.zeros(GROUPS), np.zeros(GROUPS)
    for source, sums in raw.items():
        rows += sums[0] * factors[source][0]
        size += sums[1] * factors[source][1]
    documents = float(rows.sum())
    found = []
    for name, _, made in laws.large.planner.pipeline.stages:
        parts = _documents(made)
        after, large = _passing(laws, parts) if parts else (np.zeros(GROUPS), np.zeros(GROUPS))
        out = float(after.sum())
        spill = sum(float(item.bytes.sum()) for item in laws.files.values() if item.stage == name and not item.folder)
        published = sum(float(item.bytes.sum()) for item in laws.files.values() if item.stage == name and item.folder)
        memory = max((lane.memory_bytes for lane in lanes if name in lane.name.split("+")), default=0)
        errors = (_error(after, rows, sample.share), _error(large, size, sample.share))
        found.append(
            StageEstimate(
                name, documents, out, float(large.sum()), *errors, seconds.get(name, 0.0), memory, spill, published
            )
        )
        documents = out
    return found


def _documents(made: Dataset) -> list[Dataset]:
    """Returns the maps whose documents a stage hands on; none where other rows come out."""
    if isinstance(made.op, Concat):
        return [part for parent in made.op.parents for part in _documents(parent)]
    return [made] if isinstance(made.op, Map) and made.op.documents else []


def _passing(laws: Laws, parts: list[Dataset]) -> tuple[np.ndarray, np.ndarray]:
    """Returns documents and bytes of rows of the whole, by the groups that the sample's ids fall into."""
    rows, size = np.zeros(GROUPS), np.zeros(GROUPS)
    for made in parts:
        documents, grown = laws.scale.factors(made)
        planner = laws.large.planner
        for number in range(planner.width(made) or 0):
            for batch in open_rows(planner.rows(made, number), planner.work, MEMORY_BYTES):
                group_sums(batch, rows, size, (float(documents[number]), float(grown[number])))
    return rows, size


def _error(after: np.ndarray, before: np.ndarray, share: float) -> float:
    """Returns twice the standard error of the sum of `after`, told by its ratio to `before` in each group."""
    if share >= 1 or not after.sum():
        return 0.0
    ratios = after[before > 0] / before[before > 0]
    mean = float(after.sum() / before.sum())
    return float(2 * ratios.std(ddof=1) / mean * math.sqrt((1 - share) / len(ratios))) if len(ratios) > 1 else 0.0


def _row(stage: StageEstimate) -> tuple[str, ...]:
    passes = stage.documents_out > 0
    return (
        stage.stage,
        f"{stage.documents_in:,.0f}",
        f"{stage.documents_out:,.0f}" if passes else "",
        f"{stage.documents_error:.1%}" if passes else "",
        _size(stage.row_bytes_out) if passes else "",
        f"{stage.bytes_error:.1%}" if passes else "",
        _hours(stage.cpu_seconds),
        _size(stage.memory_bytes),
        _size(stage.spill_bytes),
        _size(stage.output_bytes),
    )


def _source(known: dict[str, float]) -> str:
    part = "all" if known["read_ratio"] > 0.999 else f"{known['read_ratio']:.2%}"
    return (
        f"{known['documents']:,.0f} documents, {_size(known['row_bytes'])} of rows; {part} of its bytes read, "
        f"{known['sampled_documents']:,.0f} documents drawn"
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.4f}" if seconds < 360 else f"{seconds / 3600:,.1f}"


def _time(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 600 else f"{seconds / 3600:,.1f} h"


def _size(size: float) -> str:
    """Returns a size in decimal units.

    >>> _size(1_234_000)
    '1.2 MB'
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} PB"
