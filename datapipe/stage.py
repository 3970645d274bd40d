"""Stage: a frozen dataclass whose fields are its config keys, and what a stage may hold.

A third party adds one as a module and an entry point in the group `datapipe.stages`. Fields are annotated with their
meaning, which `datapipe stages` prints:

    @dataclass(frozen=True, kw_only=True)
    class Shorten(Stage):
        limit: Annotated[int, "longest text that is kept (characters)"] = 1000

        def build(self, *inputs: Dataset) -> Dataset:
            return inputs[0].map(partial(shorten, limit=self.limit), reads=("id", "text"))
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any, ClassVar, cast

import pyarrow as pa
from pydantic import ConfigDict

from datapipe.dataset import Dataset
from datapipe.errors import DataError, PlanError
from datapipe.storage import given, read_bytes


@dataclass(frozen=True, kw_only=True)
class Stage(ABC):
    """One step of a pipeline. Its fields are the config keys; `build` says what it makes and runs nothing.

    `version` is raised when other rows come from the same fields; `libraries` are distributions whose version changes
    rows, and enters the fingerprint.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    @abstractmethod
    def build(self, *inputs: Dataset) -> Dataset:
        """Returns what this stage makes of what the step before it made (`inputs` is empty for the first step).

        Raises:
            ConfigError: a field's value, or a path in it, is wrong.
            PlanError: a column that it needs is not made by an earlier step.
        """

    def sampled(self, share: float) -> Stage:
        """Returns the stage as it runs on that share of the documents, for an estimate: amounts it asks for shrink."""
        return self

    def notes(self, documents: float) -> Iterator[str]:
        """Yields what `datapipe plan` says of this step, a sentence each, where about so many documents reach it."""
        yield from ()

    def remarks(self, counts: Mapping[str, int]) -> Iterator[str]:
        """Yields what the report says of this step beside its rules, a sentence each, by its counters' sums."""
        yield from ()

    def growth(self, seen: Seen) -> Growth:
        """Returns what its functions yield of the whole, where that is not in proportion to what they take."""
        return Growth()


@dataclass(frozen=True)
class Seen:
    """What a stage came to on a sample of the documents.

    By shard of the stage's input: `documents` and `bytes` are how many times as much there is of them in the whole,
    `shares` how many of the documents of its source were drawn. `read(function, output)` yields (shard, rows) that a
    function of the stage yielded as its result in the sample ("rows"), or put out under a name. A function is named by
    itself, an equal one, or its class.
    """

    documents: Sequence[float]
    bytes: Sequence[float]
    shares: Sequence[float]
    read: Callable[[Callable[..., Any], str], Iterator[tuple[int, pa.Table]]]  # Any: any function of the stage


@dataclass(frozen=True)
class Growth:
    """By function: by what factor its rows grow to the whole, all or by shard; and the shards a fold decides on."""

    rows: Mapping[Callable[..., Any], float | Sequence[float]] = field(default_factory=dict)  # Any: as above
    shards: Mapping[Callable[..., Any], int] = field(default_factory=dict)


@dataclass(frozen=True)
class Resource:
    """A file that shapes rows (model, rules, tokenizer): its identity is its content, wherever it lies."""

    path: str
    sha256: str

    def read(self) -> bytes:
        """Returns the content. Raises DataError where it is no longer what was planned with."""
        return _content(self.path, self.sha256)


_opened: ContextVar[list[Resource] | None] = ContextVar("opened", default=None)


def resource(path: str) -> Resource:
    """Returns the file at `path` with its digest. Raises ConfigError where it cannot be read."""
    found = Resource(path, hashlib.sha256(read_bytes(given(path))).hexdigest())
    opened = _opened.get()
    if opened is not None:
        opened.append(found)
    return found


@contextlib.contextmanager
def noting() -> Iterator[list[Resource]]:
    """Gives the list of the files that `resource` finds meanwhile: a stage may keep what one says, and not the file."""
    token = _opened.set([])
    try:
        yield cast(list[Resource], _opened.get())
    finally:
        _opened.reset(token)


def resources(value: Any) -> Iterator[Resource]:  # Any: as for identity
    """Yields every file that `value` (a function, frozen dataclass or plain data) holds, in order."""
    if isinstance(value, Resource):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from resources(item)
    elif isinstance(value, dict):
        yield from resources(list(value.values()))
    elif isinstance(value, functools.partial):
        yield from resources([value.func, value.args, value.keywords])
    elif is_dataclass(value) and not isinstance(value, type):
        yield from resources([getattr(value, item.name) for item in fields(value)])
    elif inspect.ismethod(value):
        yield from resources(value.__self__)


@functools.lru_cache(maxsize=16)
def _content(path: str, sha256: str) -> bytes:
    content = read_bytes(path)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{path}: changed since the run was planned (SHA-256 was {sha256[:12]}…); run again")
    return content


def identity(value: Any) -> Any:  # Any: whatever a stage author puts into a function's arguments
    """Returns `value` as plain JSON data that is equal exactly when the value means the same.

    >>> identity(functools.partial(identity, 1))
    ['partial', 'datapipe.stage:identity', [1], {}]

    Raises:
        PlanError: the value has no identity, as a lambda has none.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Resource):
        return ["resource", value.sha256]
    if isinstance(value, bytes):
        return ["bytes", hashlib.sha256(value).hexdigest()]
    if isinstance(value, Enum):
        return ["enum", type(value).__qualname__, value.name]
    if isinstance(value, pa.Schema):
        return ["arrow", schema_identity(value)]
    if isinstance(value, pa.DataType):
        return ["arrow", str(value)]
    if isinstance(value, list | tuple):
        return [identity(item) for item in value]
    if isinstance(value, dict):
        return {str(key): identity(item) for key, item in value.items()}
    if isinstance(value, functools.partial):
        return ["partial", identity(value.func), identity(value.args), identity(value.keywords)]
    if is_dataclass(value) and not isinstance(value, type):
        held = {item.name: identity(getattr(value, item.name)) for item in fields(value)}
        return [_name_of(type(value)), held]
    if inspect.ismethod(value):
        return ["method", identity(value.__self__), _name_of(value)]
    if callable(value):
        return _name_of(value)
    raise PlanError(f"{value!r} has no identity: use plain values, frozen dataclasses or functions of a module")


def schema_identity(schema: pa.Schema) -> list[Any]:  # Any: plain JSON data
    """Returns a schema as plain data, with all its metadata: that goes into files, and Arrow's text cuts it off."""
    columns = [[field.name, str(field.type), field.nullable, _decoded(field.metadata)] for field in schema]
    return [columns, _decoded(schema.metadata)]


def _decoded(metadata: dict[bytes, bytes] | None) -> dict[str, str]:
    return {key.decode(): value.decode("latin-1") for key, value in (metadata or {}).items()}


def _name_of(value: Callable[..., Any]) -> str:  # Any: any signature
    name = getattr(value, "__qualname__", "")
    if not name or "<" in name:
        raise PlanError(
            f"{value!r} has no identity that survives the process: use a function of a module, functools.partial of "
            "one, or a frozen dataclass with __call__, never a lambda or a nested function"
        )
    return f"{value.__module__}:{name}"
