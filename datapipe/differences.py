"""What differs between two recipes: what was run, on what and with what; nothing here reads rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datapipe.recipe import File, Input, Recipe, StageRecipe, leaves

SHOWN_CHARACTERS = 120
_MD5 = re.compile(r'"?[0-9a-f]{32}"?')
CERTAIN = ("input", "resource", "path", "field", "stage", "library", "engine", "code")  # rows or their names follow
SOURCES = "files of the packages"
MACHINE = {
    "python": "Python",
    "cpu": "CPU",
    "instructions": "CPU",
    "os": "system",
    "libc": "C library",
    "machine": "CPU",
}  # kinds of difference by key of the recipe's environment


@dataclass(frozen=True)
class Difference:
    """One thing that differs: what it is in the first recipe and in the second, None where it is not there.

    `kind` is input, resource, field, stage, library, engine, code, one of the machine, or path: a file that was moved,
    whose path a stage writes into rows. `stages` are those that it bites, none where it may bite all; of a library none
    says that no stage declares to depend on it.
    """

    kind: str
    name: str
    a: str | None
    b: str | None
    stages: tuple[str, ...] = ()

    @property
    def is_certain(self) -> bool:
        """Whether rows, or what names them, follow from it; else rows may."""
        return self.kind in CERTAIN and (self.kind != "library" or bool(self.stages)) and self.name != SOURCES

    def __str__(self) -> str:
        was = "is not there" if self.a is None else f"was {self.a}"
        now = "is not there now" if self.b is None else f"now {self.b}"
        where = f" (stage {', '.join(self.stages)})" if self.stages else ""
        if self.kind == "path":
            return f"path {self.name}: is part of what its stage writes, now {self.b}; lay the file where it lay"
        if self.kind == "library" and not self.stages:
            where = " (no stage declares to depend on it)"
        return f"{self.kind} {self.name}: {was}, {now}{where}"


def differences(a: Recipe, b: Recipe, moved: Callable[[str], str] = str) -> tuple[Difference, ...]:
    """Returns what differs, what is surest to make other rows first.

    `moved` says what a path in the config of `a` is called in that of `b`.
    """
    return (
        *_inputs(a, b),
        *_stages(a, b, moved),
        *_of_run(a, b),
        *_undeclared(a, b),
        *_code(a, b),
        *(
            _told(kind, key, a.environment.get(key), b.environment.get(key))
            for key, kind in MACHINE.items()
            if a.environment.get(key) != b.environment.get(key)
        ),
    )


def unknown_inputs(a: Recipe, b: Recipe) -> int:
    """Returns of how many files of equal name and size it is not known whether their content is equal."""
    pairs = [pair for source, files in a.inputs.items() for pair in _paired(files, b.inputs.get(source, ()))]
    return sum(_same(one, other) is None for one, other in pairs if one is not None and other is not None)


def _told(kind: str, name: str, a: Any, b: Any, stages: Sequence[str] = ()) -> Difference:  # Any: JSON
    if isinstance(a, list) and isinstance(b, list):
        a, b = ([one for one in item if one not in other] or "none of these" for item, other in ((a, b), (b, a)))
    return Difference(kind, name, _text(a), _text(b), tuple(stages))


def _text(value: Any) -> str | None:  # Any: JSON
    if value is None:
        return None
    text = value if isinstance(value, str) else ", ".join(map(str, value)) if isinstance(value, list) else repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


# Inputs


def _inputs(a: Recipe, b: Recipe) -> Iterator[Difference]:
    readers = {source: step.stage for recipe in (b, a) for step in recipe.steps for source in step.sources}
    for source in [*a.inputs, *(name for name in b.inputs if name not in a.inputs)]:
        stages = (readers[source],) if source in readers else ()
        for one, other in _paired(a.inputs.get(source, ()), b.inputs.get(source, ())):
            file = one or other
            assert file is not None
            if one is None or other is None or _same(one, other) is False:
                said = [held and _content(held, _first(one, other)) for held in (one, other)]
                yield _told("input", f"{source}: {file.name}", said[0], said[1], stages)


def _paired(a: Sequence[Input], b: Sequence[Input]) -> Iterator[tuple[Input | None, Input | None]]:
    others = {file.name: file for file in b}
    yield from ((file, others.pop(file.name, None)) for file in a)
    yield from ((None, file) for file in others.values())


def _same(a: Input, b: Input) -> bool | None:
    """Whether two files have one content, None where nothing says it.

    A modification time does not, nor does another ETag, unless both are the MD5 of a file that was put in one piece:
    that of several pieces is another with the same content in others.
    """
    if a.bytes != b.bytes:
        return False
    if [one[:2] for one in a.ranges] == [one[:2] for one in b.ranges]:
        digests = [(one[2], other[2]) for one, other in zip(a.ranges, b.ranges, strict=True)]
        if any(one and other and one != other for one, other in digests):
            return False
        if all(one and other for one, other in digests):
            return True
    if a.version == b.version:
        return True
    return False if _MD5.fullmatch(a.version) and _MD5.fullmatch(b.version) else None


def _first(a: Input | None, b: Input | None) -> int:
    """Returns the number of the first range whose digests differ."""
    pairs = zip(a.ranges, b.ranges, strict=False) if a and b else ()
    return next((number for number, (one, other) in enumerate(pairs) if one[2] != other[2]), 0)


def _content(file: Input, number: int) -> str:
    start, end, digest = file.ranges[number] if number < len(file.ranges) else (0, 0, "")
    what = "SHA-256" if len(file.ranges) == 1 else f"SHA-256 of bytes {start:,} to {end:,}"
    return f"{file.bytes:,} bytes, " + (f"{what} {digest[:12]}…" if digest else f"version {file.version}")


# Stages


def _stages(a: Recipe, b: Recipe, moved: Callable[[str], str]) -> Iterator[Difference]:
    ours, theirs = ({stage.name: stage for stage in recipe.stages} for recipe in (a, b))
    both = [name for name in ours if name in theirs]
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        if name not in both:
            kinds = [stages[name].kind if name in stages else None for stages in (ours, theirs)]
            yield _told("stage", name, kinds[0], kinds[1], (name,))
    if (orders := [[name for name in stages if name in both] for stages in (ours, theirs)])[0] != orders[1]:
        yield _told("stage", "order", " > ".join(orders[0]), " > ".join(orders[1]), both)
    for name in both:
        yield from _files(ours[name], theirs[name])
    for name in both:
        yield from _fields(ours[name], theirs[name], moved)
    for name in both:
        one, other = ours[name], theirs[name]
        if (one.kind, one.version) != (other.kind, other.version):
            said = [f"{stage.kind} version {stage.version}" for stage in (one, other)]
            yield _told("stage", name, said[0], said[1], (name,))
    yield from _libraries(a, b, both)


def _files(a: StageRecipe, b: StageRecipe) -> Iterator[Difference]:
    """Yields the files of a stage that differ: paired by field and name, or by field where each has one."""
    times = [Counter(file.field for file in stage.resources) for stage in (a, b)]

    def key(file: File) -> tuple[str, str]:
        alone = file.field and times[0][file.field] == times[1][file.field] == 1
        return file.field, "" if alone else file.path.rpartition("/")[2]

    ours, theirs = ({key(file): file for file in stage.resources} for stage in (a, b))
    for held in [*ours, *(name for name in theirs if name not in ours)]:
        one, other = ours.get(held), theirs.get(held)
        if one is None or other is None or one.sha256 != other.sha256:
            file = one or other
            assert file is not None
            name = f"{a.name}.{file.field}: {file.path}" if file.field else file.path
            yield _told("resource", name, one and _digest(one), other and _digest(other), (a.name,))


def _digest(file: File) -> str:
    return f"SHA-256 {file.sha256[:12]}…"


def _fields(a: StageRecipe, b: StageRecipe, moved: Callable[[str], str]) -> Iterator[Difference]:
    ours = {key: moved(value) if isinstance(value, str) else value for key, value in leaves(a.fields)}
    theirs = dict(leaves(b.fields))
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        if ours.get(key) != theirs.get(key):
            yield _told("field", f"{a.name}.{key}", ours.get(key), theirs.get(key), (a.name,))


def _libraries(a: Recipe, b: Recipe, names: Sequence[str]) -> Iterator[Difference]:
    found: dict[tuple[str, str | None, str | None], list[str]] = {}
    for name in names:
        ours, theirs = (_libraries_of(recipe, name) for recipe in (a, b))
        for library in sorted(ours | theirs):
            if ours.get(library) != theirs.get(library):
                found.setdefault((library, ours.get(library), theirs.get(library)), []).append(name)
    for (library, one, other), stages in found.items():
        yield Difference("library", library, one, other, tuple(stages))


def _libraries_of(recipe: Recipe, name: str) -> dict[str, str]:
    stage = recipe.stage(name)
    return dict(stage.libraries) if stage else {}


# The run and its machine


def _of_run(a: Recipe, b: Recipe) -> Iterator[Difference]:
    if a.engine_format != b.engine_format:
        yield Difference("engine", "format", str(a.engine_format), str(b.engine_format))
    if a.code_version != b.code_version:
        yield Difference("code", "datapipe", a.code_version, b.code_version)
    settings = [("sample", a.sample, b.sample)]
    defaults: Mapping[str, Any] = {"on_bad_input": "quarantine", "allow_set_aside": 0}  # Any: JSON
    settings += [(key, a.config.get(key, usual), b.config.get(key, usual)) for key, usual in defaults.items()]
    for name, one, other in settings:
        if one != other:
            yield _told("field", name, one, other)


def _code(a: Recipe, b: Recipe) -> Iterator[Difference]:
    """Yields that files of the packages differ where no version says so, as in one that is being worked on."""
    ours, theirs = (recipe.environment.get("code", {}) for recipe in (a, b))
    changed = [package for package in ours if ours[package] != theirs.get(package)]
    if changed and a.code_version == b.code_version:
        was, now = (", ".join(f"{name} {code.get(name, 'none')[:12]}…" for name in changed) for code in (ours, theirs))
        yield Difference("code", SOURCES, was, now)


def _undeclared(a: Recipe, b: Recipe) -> Iterator[Difference]:
    declared = {library for recipe in (a, b) for stage in recipe.stages for library in stage.libraries}
    ours, theirs = (recipe.environment.get("libraries", {}) for recipe in (a, b))
    for library in sorted({*ours, *theirs} - declared - {"datapipe"}):
        if ours.get(library) != theirs.get(library):
            yield Difference("library", library, ours.get(library), theirs.get(library))
