"""Reading `about.yaml`, each mistake named with its line, and the template that asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from datapipe import ConfigError, storage
from stages.audit.standards.about import PEOPLE, WHO, ZH, About, Agent, SourceAbout, Use, extra, model_of

MOST_BYTES: Final = 4 << 20


def read_about(path: str, sources: Sequence[str]) -> About:
    """Returns what a file says; `sources` are those that a corpus has.

    Raises:
        ConfigError: it is not there, is no YAML, or a key or value of it is not known; the line is named.
    """
    content = storage.read_if_there(path)
    if content is None:
        raise ConfigError(f"--about {path}: there is no such file; `--about-template` prints one to begin with")
    if len(content) > MOST_BYTES:
        raise ConfigError(
            f"--about {path}: has {len(content):,} bytes; what people say of a corpus takes less than 4 MiB"
        )
    try:
        text = content.decode()
        alias = next(
            (one for one in yaml.parse(text, Loader=yaml.SafeLoader) if isinstance(one, yaml.AliasEvent)), None
        )
        if alias is not None:  # it may hold itself, or stand for very much
            line = alias.start_mark.line + 1 if alias.start_mark else 1
            raise ConfigError(
                f"--about {path}: line {line}: *{alias.anchor} stands for something said elsewhere; write it out"
            )
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"--about {path}: is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        said = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise ConfigError(f"--about {path}: {where}is no YAML: {said}") from error
    if data is None:
        return About()
    if not isinstance(data, dict):
        raise ConfigError(f"--about {path}: line 1: holds no keys; `--about-template` prints what it may hold")
    assert root is not None
    for key, number in _doubled(root, ""):
        raise ConfigError(f"--about {path}: line {number}: the key {key} stands twice; leave one out")
    try:
        about = About.model_validate(_filled(data))
    except ValidationError as error:
        raise ConfigError(f"--about {path}: {_said(error, root)}") from error
    for name in about.sources:
        if name not in sources:
            near = get_close_matches(name, sources, 1)
            meant = f" (did you mean '{near[0]}'?)" if near else f"; it has {', '.join(sources[:12])}"
            raise ConfigError(
                f"--about {path}: line {_line(root, ('sources', name))}: the corpus has no source '{name}'{meant}"
            )
    return about


def _filled(data: Any) -> Any:  # Any: YAML
    """Returns data without keys whose value is null: sections of a template that nobody has filled."""
    if isinstance(data, dict):
        return {key: _filled(value) for key, value in data.items() if value is not None}
    return data


def _said(error: ValidationError, root: yaml.Node) -> str:
    first = error.errors()[0]
    place = tuple(part for part in first["loc"] if not str(part).startswith("function-"))
    key = ".".join(map(str, place))
    said = f"line {_line(root, place)}: "
    if first["type"] == "extra_forbidden":
        near = get_close_matches(str(place[-1]), _known(place[:-1]), 1)
        meant = f" (did you mean '{near[0]}'?)" if near else f"; known are {', '.join(_known(place[:-1]))}"
        return f"{said}unknown key '{key}'{meant}"
    given, said_of_it = first.get("input"), _SAID.get(first["type"], first["msg"])
    met = f", not {given!r}" if isinstance(given, str | int | float | bool) else ""
    return f"{said}{key}: {said_of_it[:1].lower()}{said_of_it[1:]}{met}"


_SAID: Final = {  # what pydantic calls by names of Python
    "tuple_type": "should be a list, [like, this]",
    "dict_type": "should hold keys, a line each",
    "model_type": "should hold keys, a line each",
}
_INNER: Final[dict[str, type[BaseModel]]] = {"creators": Agent, "publisher": Agent, "use": Use}


def _known(place: Sequence[str | int]) -> list[str]:
    """Returns the keys that may stand at a place."""
    model: type[BaseModel] = About
    for part in place:
        if part == "sources" or isinstance(part, int):
            continue
        if place[0] == "sources":
            model = SourceAbout
        elif part in model.model_fields:
            model = _INNER.get(str(part)) or model_of(model.model_fields[part])
    return list(model.model_fields)


def _line(root: yaml.Node, place: Sequence[str | int]) -> int:
    """Returns the line, from 1, of the deepest key or item of a place that is there."""
    node, line = root, root.start_mark.line + 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return int(line)


def _doubled(node: yaml.Node, place: str) -> Iterator[tuple[str, int]]:
    """Yields keys that stand twice in one mapping, and the line of the second."""
    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            yield from _doubled(one, place)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        name = f"{place}{key.value}"
        if key.value in seen:
            yield name, key.start_mark.line + 1
        seen.add(key.value)
        yield from _doubled(value, f"{name}.")


# The template


def template(sources: Sequence[str] = ()) -> str:
    """Returns an about.yaml in which every question stands and nothing is answered, with these sources."""
    lines = [
        "# What people know of a corpus and no machine can, for `datapipe audit standards DIR --about about.yaml`.",
        "# Leave null, or leave out, what is not known: it stands in the sheets as open, with whom it asks.",
        "# 本文件填写只有人才知道的情况。不清楚的项保留 null 或删除即可，表中会标为“待填”并注明由谁填写。",
        *_keys(About, "", sources),
    ]
    return "\n".join(lines) + "\n"


def _keys(model: type[BaseModel], indent: str, sources: Sequence[str] = ()) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name == "sources":
            yield f"# {field.description} / {extra(field)[ZH]}"
            yield "sources:" if sources else "sources: {}"
            for source in sources:
                yield f"  {yaml.safe_dump(source, allow_unicode=True, width=10_000).splitlines()[0]}:"
                yield from _keys(SourceAbout, "    ")
        elif field.description:
            who = PEOPLE[extra(field)[WHO]]
            yield f"{indent}# {who.en}: {field.description} / {who.zh}：{extra(field)[ZH]}"
            example = {"creators": "  # [{name: ..., kind: organization, url: ..., email: ...}]"}.get(name, "")
            example = "  # {permitted: [use], prohibited: [sell]}" if name == "use" else example
            yield f"{indent}{name}: null{example if model is About else ''}"
        else:
            yield f"{indent}{name}:"
            yield from _keys(model_of(field), f"{indent}  ")
