"""The recipe of a run, `reports/recipe.json`: what was run on what, and the digests of all that came out.

It holds the config as plain data, every stage with its version, libraries and fields, each model and list of rules with
its digest, each input file with its size and digest, the digests of every step, and of the driver's machine (the
workers of a cluster are taken to be like it) what may make other numbers of the same rows. It holds no clock, no host,
no secret and no place of the run's own folders: the same config on the same inputs gives the same bytes, however it
ran. No row follows from it; fingerprints say what does that.

Beside it lie `recipe-shards.parquet`, the digests of single shards, and for more than LISTED input files
`recipe-inputs.parquet`. The claim (`reports/published.json`) names all with their digests.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datapipe import storage
from datapipe.dataset import Exchange, Fold, InputFile, Map, Source
from datapipe.environment import code_of, machine
from datapipe.errors import DataError, DatapipeError
from datapipe.graph import ENGINE_FORMAT, Step
from datapipe.logs import redact
from datapipe.plan import Planner
from datapipe.publish import Place, read_claim
from datapipe.shard import Made, Shard
from datapipe.stage import Resource, Stage, resources

RECIPE = "reports/recipe.json"
SHARDS = "reports/recipe-shards.parquet"
INPUTS = "reports/recipe-inputs.parquet"
FORMAT = 1
LISTED = 1000  # input files that the JSON itself names
LEDGER_STEP = "ledger"  # that gathers the ledger of all others, the last
SHARD = pa.schema(
    [
        ("step", pa.int32()),  # its place in the recipe's steps
        ("shard", pa.int32()),
        ("output", pa.string()),
        ("rows", pa.int64()),
        ("bytes", pa.int64()),
        ("sha256", pa.binary(32)),
    ]
)
INPUT = pa.schema(
    [
        ("source", pa.string()),
        ("name", pa.string()),
        ("bytes", pa.int64()),
        ("version", pa.string()),
        ("start", pa.int64()),  # of the range of bytes that a task read
        ("end", pa.int64()),
        ("sha256", pa.string()),
    ]
)
Plain = Any  # JSON


@dataclass(frozen=True)
class File:
    """A model, list or table that a stage holds; `field` is the key of the config that names it, if one does."""

    field: str
    path: str
    sha256: str
    bytes: int | None


@dataclass(frozen=True)
class StageRecipe:
    """A stage as it ran: its class, its version, those of its libraries, all its fields, its files."""

    name: str
    kind: str
    version: int
    libraries: Mapping[str, str]
    fields: Mapping[str, Plain]
    resources: tuple[File, ...]


@dataclass(frozen=True)
class Input:
    """A file of a source. `ranges` are (start, end, SHA-256) of what tasks read, the last "" where it was not taken."""

    name: str
    bytes: int
    version: str
    ranges: tuple[tuple[int, int, str], ...]

    @property
    def sha256(self) -> str | None:
        """The SHA-256 of a file that was read by one task, where it was taken."""
        return self.ranges[0][2] or None if len(self.ranges) == 1 else None


@dataclass(frozen=True)
class Sum:
    """The rows and bytes of an output of all shards of a step, and the SHA-256 over their digests in order."""

    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class StepRecipe:
    """A step: `step` is its name in any run of the config; `key` its folder under this run's work folder.

    `sources` are those that it reads itself.
    """

    step: str
    stage: str
    key: str
    fingerprint: str
    sources: tuple[str, ...]
    shards: int
    outputs: Mapping[str, Sum]


@dataclass(frozen=True)
class Recipe:
    """What was run, on what, with what, and what came of it."""

    name: str
    config: Mapping[str, Plain]
    sample: float
    config_sha256: str
    code_version: str
    engine_format: int
    environment: Mapping[str, Plain]
    stages: tuple[StageRecipe, ...]
    inputs: Mapping[str, tuple[Input, ...]]
    steps: tuple[StepRecipe, ...] = ()
    shards: pa.Table = field(default_factory=SHARD.empty_table, compare=False, repr=False)

    def stage(self, name: str) -> StageRecipe | None:
        """Returns the stage of that name."""
        return next((stage for stage in self.stages if stage.name == name), None)

    def files(self) -> dict[str, bytes]:
        """Returns the files that say it, by name."""
        found = {}
        amount = sum(len(files) for files in self.inputs.values())
        inputs = {name: _input_summary(files, listed=amount <= LISTED) for name, files in self.inputs.items()}
        data = {
            "format_version": FORMAT,
            **{item.name: getattr(self, item.name) for item in fields(self) if item.name not in ("shards", "steps")},
            "stages": [asdict(stage) for stage in self.stages],
            "inputs": inputs,
            "steps": [asdict(step) for step in self.steps],
        }
        found[RECIPE] = (json.dumps(data, indent=1, ensure_ascii=False, default=str) + "\n").encode()
        found[SHARDS] = _parquet(self.shards)
        if amount > LISTED:
            found[INPUTS] = _parquet(_input_rows(self.inputs))
        return found


def read_recipe(folder: str) -> Recipe | None:
    """Returns the recipe of the run in a folder, None where it has none, as one of an earlier datapipe.

    Raises:
        DataError: it is not what the run wrote.
    """
    named: dict[str, str] = read_claim(Place(folder, "")).get("recipe", {})
    if RECIPE not in named:
        return None
    held = {}
    for name, digest in named.items():
        path = storage.join(folder, name)
        content = storage.read_if_there(path)
        if content is None:
            raise DataError(f"{path}: is gone; fetch the folder again, as a run is not known without it")
        if hashlib.sha256(content).hexdigest() != digest:
            raise DataError(f"{path}: has changed since it was published (SHA-256 was {digest[:12]}…)")
        held[name] = content
    try:
        data = json.loads(held[RECIPE])
        if data.get("format_version") == FORMAT:
            return _from_json(data, _table(held[SHARDS]), _table(held[INPUTS]) if INPUTS in held else None)
    except (ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        raise DataError(
            f"{storage.join(folder, RECIPE)}: is no recipe that a run wrote ({type(error).__name__}: {error}); fetch "
            "the folder again"
        ) from error
    raise DataError(
        f"{storage.join(folder, RECIPE)}: is of format {data.get('format_version')}, and this datapipe reads "
        f"format {FORMAT}; use the version that wrote it ({data.get('code_version')}) or a later one"
    )


def _from_json(data: dict[str, Plain], shards: pa.Table, inputs: pa.Table | None) -> Recipe:
    data.pop("format_version")
    stages = [
        StageRecipe(**{**stage, "resources": tuple(File(**file) for file in stage["resources"])})
        for stage in data["stages"]
    ]
    steps = [
        StepRecipe(
            **{
                **step,
                "sources": tuple(step["sources"]),
                "outputs": {name: Sum(**summed) for name, summed in step["outputs"].items()},
            }
        )
        for step in data["steps"]
    ]
    listed = (
        {name: tuple(_input_of(file) for file in held["list"]) for name, held in data["inputs"].items()}
        if inputs is None
        else _inputs_of(inputs)
    )
    return Recipe(**{**data, "stages": tuple(stages), "steps": tuple(steps), "inputs": listed, "shards": shards})


# What a run was


def recipe_of(planner: Planner, ledger: Sequence[Shard] = (), digests: Mapping[InputFile, str] | None = None) -> Recipe:
    """Returns the recipe of a run that is finished, or without `ledger` of one that is planned.

    `digests` are those of inputs that no task has read.
    """
    pipeline = planner.pipeline
    sources = sources_of(planner)
    steps = [(step, planner.shards_of(step)) for step in planner.finished_steps()] if ledger else []
    taken = {**(digests or {}), **_digests(steps)}
    inputs = {label: tuple(_inputs(op, taken)) for label, op in sources.items()}
    labels = {id(op): label for label, op in sources.items()}
    said, shards = _said(planner, steps, ledger, labels)
    held = functions_of(planner)
    return Recipe(
        pipeline.name,
        _hidden(dict(pipeline.config)),
        pipeline.sample,
        planner.facts["config_sha256"],
        planner.facts["code_version"],
        ENGINE_FORMAT,
        {**machine(), "code": {package: code_of(package) for package in _packages(pipeline.stages)}},
        tuple(_stage(planner, name, stage, held.get(name, [])) for name, stage, _ in pipeline.stages),
        inputs,
        tuple(said),
        shards,
    )


def sources_of(planner: Planner) -> dict[str, Source]:
    """Returns the sources by name; one that shares its name is called after its stage too."""
    found = [(planner.graph.stage_of(made), made.op) for made in planner.graph.datasets.values()]
    ops = [(stage, op) for stage, op in found if isinstance(op, Source)]
    times = Counter(op.name for _, op in ops)
    return {op.name if times[op.name] == 1 else f"{stage}: {op.name}": op for stage, op in ops}


def _digests(steps: Sequence[tuple[Step, Sequence[Shard]]]) -> dict[InputFile, str]:
    """Returns the digests that tasks took of what they read, by file and range."""
    found: dict[InputFile, str] = {}
    for step, shards in steps:
        if isinstance(step.head.op, Source):
            for shard in shards:
                found.update(zip(step.head.op.groups[shard.number], shard.inputs, strict=False))
    return found


def _inputs(op: Source, digests: Mapping[InputFile, str]) -> Iterator[Input]:
    """Yields the files of a source, by name as its listing has them, with their ranges in order."""
    parts = [file for group in op.groups for file in group]
    for name, of_one in itertools.groupby(parts, key=lambda file: file.name):
        files = list(of_one)
        ranges = tuple((*(file.part or (0, file.size_bytes)), file.sha256 or digests.get(file, "")) for file in files)
        yield Input(name, files[0].size_bytes, files[0].version, ranges)


def _said(
    planner: Planner,
    steps: Sequence[tuple[Step, Sequence[Shard]]],
    ledger: Sequence[Shard],
    labels: Mapping[int, str],
) -> tuple[list[StepRecipe], pa.Table]:
    """Returns the steps, the gathered ledger the last, and the table of their shards."""
    graph = planner.graph
    exchanges = [key for key, made in graph.datasets.items() if isinstance(made.op, Exchange)]
    names = {key[:16]: f"exchange {number}" for number, key in enumerate(exchanges, 1)}
    said: list[StepRecipe] = []
    tables: list[pa.Table] = []
    times: Counter[str] = Counter()

    def add(stage: str, key: str, fingerprint: str, sources: tuple[str, ...], shards: Sequence[Shard]) -> None:
        times[stage] += 1
        held: dict[str, list[tuple[int, Made]]] = {}
        for shard in shards:
            for name, made in shard.outputs.items():
                held.setdefault(_output(name, names), []).append((shard.number, made))
        outputs = {name: _sum([made for _, made in held[name]]) for name in sorted(held)}
        said.append(StepRecipe(f"{stage} {times[stage]}", stage, key, fingerprint, sources, len(shards), outputs))
        rows = [(number, name, made) for name in outputs for number, made in held[name]]
        tables.append(_shard_rows(len(tables), rows))

    for step, shards in steps:
        sources = (labels[id(step.head.op)],) if id(step.head.op) in labels else ()
        add(step.stage, step.key, graph.fingerprint(step.result, versions=False), sources, shards)
    if ledger:
        add(LEDGER_STEP, planner.ledger_step, "", (), ledger)
    return said, pa.concat_tables(tables) if tables else SHARD.empty_table()


def _output(name: str, exchanges: Mapping[str, str]) -> str:
    """Returns the name of a step's output in any run: a scatter is called by its exchange, without its fingerprint."""
    output, routed, key = name.partition(">")
    return f"{output} to {exchanges.get(key, key)}" if routed else name


def _sum(made: Sequence[Made]) -> Sum:
    digest = hashlib.sha256(b"".join(bytes.fromhex(one.sha256) for one in made)).hexdigest()
    return Sum(sum(one.rows for one in made), sum(one.bytes for one in made), digest)


def _shard_rows(step: int, rows: Sequence[tuple[int, str, Made]]) -> pa.Table:
    columns = [
        [step] * len(rows),
        [number for number, _, _ in rows],
        [name for _, name, _ in rows],
        [made.rows for _, _, made in rows],
        [made.bytes for _, _, made in rows],
        [bytes.fromhex(made.sha256) for _, _, made in rows],
    ]
    return pa.Table.from_arrays([pa.array(c, t) for c, t in zip(columns, SHARD.types, strict=True)], schema=SHARD)


# Stages and their files


def _packages(stages: Sequence[tuple[str, Stage, Any]]) -> list[str]:  # Any: a dataset
    """Returns the packages that the engine and the stages are of."""
    return sorted({"datapipe", *(type(stage).__module__.partition(".")[0] for _, stage, _ in stages)})


def functions_of(planner: Planner) -> dict[str, list[Callable[..., Any]]]:  # Any: any function of a stage
    """Returns the functions of each stage, in order."""
    found: dict[str, list[Callable[..., Any]]] = {}
    for made in planner.graph.datasets.values():
        if isinstance(made.op, Map | Fold | Source):
            function = made.op.read if isinstance(made.op, Source) else made.op.function
            found.setdefault(planner.graph.stage_of(made), []).append(function)
    return found


def _stage(planner: Planner, name: str, stage: Stage, functions: Sequence[Callable[..., Any]]) -> StageRecipe:
    kind = type(stage)
    said = {item.name: _hidden(plain(getattr(stage, item.name))) for item in fields(stage)}
    values = {key: value for key, value in leaves(plain(stage)) if isinstance(value, str) and value}
    held = dict.fromkeys([*resources(list(functions)), *_named(planner.pipeline.opened.get(name, ()), values)])
    files = sorted({_file(file, values) for file in held}, key=lambda file: (file.field, file.path, file.sha256))
    libraries = {library: planner.graph.version_of(library) for library in stage.libraries}
    return StageRecipe(name, f"{kind.__module__}:{kind.__qualname__}", stage.version, libraries, said, tuple(files))


def _named(opened: Sequence[Resource], values: Mapping[str, str]) -> Iterator[Resource]:
    """Yields the files that a stage was built of and its fields name; one of its package may have been read before."""
    return (file for file in opened if _place(file.path, values)[0])


def _file(file: Resource, values: Mapping[str, str]) -> File:
    key, path = _place(file.path, values)
    size = None
    with contextlib.suppress(OSError, DatapipeError):  # it has done its work, and may be gone
        size = None if storage.is_folder(file.path) else storage.size_of(file.path)
    return File(key, redact(path), file.sha256, size)


def _place(path: str, values: Mapping[str, str]) -> tuple[str, str]:
    """Returns the key of the config that names a path, and the path as it does; else where it lies in its package."""
    for key, value in values.items():
        if path == value:
            return key, path
    for key, value in values.items():
        root = root_of(value)
        whole = root if storage.is_remote(root) else os.path.abspath(root)
        if root and path == whole:
            return key, root
        if root and path.startswith(f"{whole.rstrip('/')}/"):
            return key, storage.join(root, path[len(whole.rstrip("/")) + 1 :])
    packages = sorted((folder for folder in sys.path if folder and path.startswith(f"{folder}/")), key=len)
    return "", path[len(packages[-1]) + 1 :] if packages else path


def root_of(pattern: str) -> str:
    """Returns a path, of a glob the folder before its first wildcard.

    >>> [root_of(one) for one in ("a/b.txt", "a/b/*.txt", "s3://c/d*/e", "*.txt")]
    ['a/b.txt', 'a/b', 's3://c', '']
    """
    wild = re.search(r"[*?[]", pattern)
    return pattern if wild is None else pattern[: wild.start()].rpartition("/")[0]


def plain(value: Any) -> Plain:  # Any: the value of a stage's field
    """Returns the value of a stage's field as JSON has it."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)


def leaves(value: Plain, key: str = "") -> Iterator[tuple[str, Plain]]:
    """Yields (dotted key, value) of all that is no mapping and no list."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield key, value
        return
    for name, item in items:
        yield from leaves(item, f"{key}.{name}" if key else str(name))


def _hidden(value: Plain) -> Plain:
    """Returns plain data without the secrets that a URL in it may hold."""
    if isinstance(value, dict):
        return {redact(key): _hidden(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    return redact(value) if isinstance(value, str) else value


# Files


def _input_summary(files: Sequence[Input], *, listed: bool) -> dict[str, Plain]:
    said = "\n".join(json.dumps([file.name, file.bytes, file.ranges]) for file in files)
    return {
        "files": len(files),
        "bytes": sum(file.bytes for file in files),
        "sha256": hashlib.sha256(said.encode()).hexdigest(),
        "list": [_input_json(file) for file in files] if listed else None,
    }


def _input_json(file: Input) -> dict[str, Plain]:
    whole = {"name": file.name, "bytes": file.bytes, "version": file.version, "sha256": file.sha256}
    return whole if file.ranges == ((0, file.bytes, file.sha256 or ""),) else {**whole, "ranges": file.ranges}


def _input_of(data: Mapping[str, Plain]) -> Input:
    ranges = data.get("ranges") or [(0, data["bytes"], data["sha256"] or "")]
    return Input(data["name"], data["bytes"], data["version"], tuple((start, end, said) for start, end, said in ranges))


def _input_rows(inputs: Mapping[str, Sequence[Input]]) -> pa.Table:
    rows = [
        (source, file.name, file.bytes, file.version, *one)
        for source, files in inputs.items()
        for file in files
        for one in file.ranges
    ]
    columns = list(zip(*rows, strict=True))
    return pa.Table.from_arrays([pa.array(c, t) for c, t in zip(columns, INPUT.types, strict=True)], schema=INPUT)


def _inputs_of(rows: pa.Table) -> dict[str, tuple[Input, ...]]:
    found: dict[str, list[Input]] = {}
    for (source, name, size, version), of_one in itertools.groupby(
        rows.to_pylist(), key=lambda row: (row["source"], row["name"], row["bytes"], row["version"])
    ):
        ranges = tuple((row["start"], row["end"], row["sha256"]) for row in of_one)
        found.setdefault(source, []).append(Input(name, size, version, ranges))
    return {source: tuple(files) for source, files in found.items()}


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _table(content: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(content))
