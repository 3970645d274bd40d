"""Two runs of one config, step by step: the first whose digests differ, and what of what differs may be behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from datapipe import storage
from datapipe.clean import work_of
from datapipe.dataset import Source
from datapipe.differences import Difference
from datapipe.errors import DatapipeError
from datapipe.plan import Planner
from datapipe.publish import Place as Folder
from datapipe.publish import read_claim
from datapipe.recipe import Recipe, StepRecipe
from datapipe.records import read_record
from datapipe.reproduce.rows import Place, first_difference

NAMES = {"config_sha256", "code_version"}  # what a corpus says of the run that made it, and no row


@dataclass(frozen=True)
class Differing:
    """The first output that differs: of which step, which of its shards, and where in it as far as files are there.

    `rows` and `bytes` are those of the shard in both runs, None where one of them has it not; `files` are the inputs
    that the shard was read from.
    """

    step: str
    stage: str
    output: str
    shard: int = -1
    shards: int = 0
    rows: tuple[int | None, int | None] = (None, None)
    bytes: tuple[int | None, int | None] = (None, None)
    sources: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    place: Place | None = None
    reason: str = ""  # where the steps themselves are others

    @property
    def is_name(self) -> bool:
        """Whether all that differs is what a corpus calls the run that made it."""
        return self.place is not None and bool(self.place.keys) and NAMES.issuperset(self.place.keys)

    def __str__(self) -> str:
        if self.reason:
            return f"step {self.step}: {self.reason}"
        text = f"step {self.step} (stage {self.stage}), output {self.output}, shard {self.shard} of {self.shards}"
        if self.files:
            more = f" and {len(self.files) - 3} more" if len(self.files) > 3 else ""
            text += f" (read from {', '.join(self.files[:3])}{more})"
        if None in self.rows:
            text += ": " + ("there was none" if self.rows[0] is None else "there is none now")
        elif self.rows[0] != self.rows[1]:
            text += f": {self.rows[0]:,} rows, and here {self.rows[1]:,}"
        else:
            text += f": {self.rows[0]:,} rows in both, other bytes"
        return f"{text}; {self.place}" if self.place else text


def differing_steps(a: Recipe, b: Recipe) -> Iterator[tuple[int, str]]:
    """Yields (place, name) of the steps whose digests differ, in the order in which they run."""
    for number, step in enumerate(a.steps):
        if number >= len(b.steps) or not _equal(step, b.steps[number]):
            yield number, step.step
    yield from ((number, step.step) for number, step in enumerate(b.steps) if number >= len(a.steps))


def _equal(a: StepRecipe, b: StepRecipe) -> bool:
    return (a.step, a.shards, dict(a.outputs)) == (b.step, b.shards, dict(b.outputs))


def first_differing(
    folders: tuple[str, str], recipes: tuple[Recipe, Recipe], planner: Planner | None, work: str | None
) -> Differing | None:
    """Returns the first output that differs, None where all are equal.

    One of which nothing but the run's name differs comes after all others. `work` is the work folder of the second run,
    and `planner` its plan.
    """
    named = None
    for number, name in differing_steps(*recipes):
        found = _first_of(number, name, folders, recipes, planner, work)
        if not found.is_name:
            return found
        named = named or found
    return named


def _first_of(
    number: int,
    name: str,
    folders: tuple[str, str],
    recipes: tuple[Recipe, Recipe],
    planner: Planner | None,
    work: str | None,
) -> Differing:
    steps = [recipe.steps[number] if number < len(recipe.steps) else None for recipe in recipes]
    one, other = steps
    if one is None or other is None or one.step != other.step:
        said = [step.step if step else "none" for step in steps]
        stage = (one or other or recipes[0].steps[-1]).stage
        return Differing(name, stage, "", reason=f"the steps are others from here on: {said[0]}, and here {said[1]}")
    tables = [_by_shard(recipe.shards, number) for recipe in recipes]
    shard, output = min(
        (key for key in {*tables[0], *tables[1]} if tables[0].get(key) != tables[1].get(key)),
        key=lambda key: (key[0], key[1] != "rows", key[1]),
    )
    held = [table.get((shard, output)) for table in tables]
    paths = [
        _path_of(folder, place, step.key, shard, row)
        for folder, place, step, row in zip(folders, (None, work), (one, other), held, strict=True)
        if row is not None
    ]
    place = first_difference(paths[0], paths[1]) if len(paths) == 2 and all(paths) else None
    return Differing(
        one.step,
        one.stage,
        output,
        shard,
        one.shards,
        (held[0][0] if held[0] else None, held[1][0] if held[1] else None),
        (held[0][1] if held[0] else None, held[1][1] if held[1] else None),
        one.sources,
        tuple(_files_of(planner, other.key, shard)) if planner and one.sources else (),
        place,
    )


def _by_shard(shards: pa.Table, step: int) -> dict[tuple[int, str], tuple[int, int, bytes]]:
    rows = shards.filter(pc.equal(shards["step"], step)).to_pylist()
    return {(row["shard"], row["output"]): (row["rows"], row["bytes"], row["sha256"]) for row in rows}


def _path_of(folder: str, work: str | None, key: str, shard: int, row: tuple[int, int, bytes]) -> str:
    """Returns where a shard's output lies: in the work folder, or published; "" where it is in neither."""
    digest = row[2].hex()
    try:
        place = work or work_of(folder)
        record = read_record(place, key, shard)
        for made in record.outputs.values() if record else ():
            path = storage.join(place, made.path)
            if made.sha256 == digest and storage.exists(path) and storage.sha256_of(path) == digest:
                return path
    except (DatapipeError, OSError, ValueError):
        pass  # of a work folder that is gone, or another machine's
    for name, published in read_claim(Folder(folder, "")).get("files", {}).items():
        path = storage.join(folder, name)
        if published == digest and storage.exists(path):
            return path
    return ""


def _files_of(planner: Planner, key: str, shard: int) -> list[str]:
    """Returns the names of the files that a shard of a step is read from."""
    for step in planner.steps():
        if step.key == key and isinstance(step.head.op, Source):
            return [file.name for file in step.head.op.groups[shard]]
    return []


def causes(first: Differing, found: Sequence[Difference]) -> tuple[Difference, ...]:
    """Returns what may be behind the first output that differs: what its own step stands on, else what all do.

    What comes before the step is equal, so it is nothing that bites there alone.
    """
    if first.is_name:
        return tuple(one for one in found if one.is_certain)
    own = tuple(one for one in found if first.stage in one.stages and _bites(one, first))
    return own or tuple(one for one in found if not one.stages)


def _bites(one: Difference, first: Differing) -> bool:
    if one.kind != "input":
        return True
    names = [f"{source}: {file}" for source in first.sources for file in first.files]
    return one.name in names if names else any(one.name.startswith(f"{source}: ") for source in first.sources)


def differing_files(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:  # Any: JSON
    """Returns the names of the published files that differ, by the claims of both folders."""
    ours, theirs = a.get("files", {}), b.get("files", {})
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
