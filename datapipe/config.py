"""From a YAML file to a pipeline: strict, and every mistake named with its place.

    name: zh_en                       # the file's name if left out
    on_bad_input: quarantine          # or fail: what becomes of a shard that cannot be read
    allow_set_aside: 0                # that many may be set aside (files, ranges, records) before the exit status is 3
    steps:                            # in order; each is the name of an installed stage, with its fields
      - ingest: {sources: {crawl: {path: "${DATA}/crawl/*.warc.gz"}}}
      - language
      - quality: {profiles: {eng_Latn: gopher}}

    stores:                           # how stores are reached, by the beginning of their URLs; changes no row
      "s3://open-corpora": {anonymous: true, region: us-east-1}

Any string may hold `${NAME}` or `${NAME:-default}`, taken from the environment. Relative paths start at the folder
where the command runs. A config holds no secret: what stands in it goes into fingerprints, reports and manifests.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from datapipe import storage
from datapipe.dataset import Dataset, depends_on
from datapipe.errors import ConfigError, DatapipeError, PlanError
from datapipe.graph import Pipeline
from datapipe.logs import is_secret, is_secret_key
from datapipe.stage import Resource, Stage, noting

GROUP = "datapipe.stages"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
Plain = Any  # what YAML holds: dict, list, str, int, float, bool, None
NO_SECRETS = (
    "a config holds no secrets; give the credentials of a store by the environment (AWS_ACCESS_KEY_ID and its like) or "
    "~/.aws, and let a stage read others from its environment"
)


class Config(BaseModel):
    """A checked config: names and values; `steps` are (name of the stage, stage)."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    name: str
    steps: Annotated[tuple[tuple[str, Stage], ...], Field(min_length=1)]
    on_bad_input: Literal["quarantine", "fail"] = "quarantine"
    allow_set_aside: int = 0
    stores: Mapping[str, Mapping[str, Plain]] = Field(default_factory=dict)
    where: str = ""  # the file it comes from, for messages
    data: Mapping[str, Plain] = Field(default_factory=dict)  # what it was loaded from, as it was checked

    def pipeline(self, *, sample: float = 1.0) -> Pipeline:
        """Returns the datasets of the config.

        Raises:
            ConfigError, PlanError: a stage cannot be built; the message names its place.
        """
        if not 0 < sample <= 1:
            raise ConfigError(f"--sample {sample}: is a share of the documents, above 0 and at most 1")
        try:
            storage.configure(self.stores)
        except ConfigError as error:
            raise ConfigError(f"{self.where or self.name}: {error}") from error
        made: list[tuple[str, Stage, Dataset]] = []
        opened: dict[str, tuple[Resource, ...]] = {}
        for number, (name, stage) in enumerate(self.steps):
            place = f"{self.where or self.name}: steps[{number}] {name}"
            inputs = [made[-1][2]] if made else []
            try:
                with noting() as found:
                    built = stage.build(*inputs)
            except DatapipeError as error:
                raise type(error)(f"{place}: {str(error).removeprefix(f'{name}: ')}") from error
            except (IndexError, ValueError) as error:  # of inputs[0], or (documents,) = inputs
                if inputs:
                    raise
                raise PlanError(f"{place}: comes first, but needs the documents of a step before it") from error
            if inputs and not depends_on(built, inputs[0]):
                raise PlanError(f"{place}: leaves what the steps before it made unused; make it the first step")
            made.append((_unique(name, [before for before, _, _ in made]), stage, built))
            opened[made[-1][0]] = tuple(found)
        said = (self.on_bad_input, self.allow_set_aside, self.stores, self.data, opened)
        return Pipeline(self.name, tuple(made), sample, *said)


def _unique(name: str, before: Sequence[str]) -> str:
    return name if name not in before else f"{name}-{sum(other.partition('-')[0] == name for other in before) + 1}"


def installed_stages() -> dict[str, EntryPoint]:
    """Returns every stage that an installed package offers, by name; none is loaded yet.

    Raises:
        ConfigError: two offer different ones under one name.
    """
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise ConfigError(
                f"two installed packages offer a stage '{point.name}': {other.value} and {point.value}; uninstall one"
            )
    return found


def load_stage(point: EntryPoint) -> type[Stage]:
    """Returns the class of an installed stage. Raises ConfigError where it cannot be loaded, or is no stage."""
    try:
        stage = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"stage '{point.name}' ({point.value}) cannot be loaded: {error}") from error
    if not (isinstance(stage, type) and issubclass(stage, Stage)):
        raise ConfigError(f"stage '{point.name}' ({point.value}) is not a subclass of datapipe.Stage")
    return stage


def load_config(
    source: str | os.PathLike[str] | Mapping[str, Plain],
    settings: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Returns the config of a YAML file, or of a mapping, with `settings` (`dotted.key=value`) in the place of its own.

    Raises:
        ConfigError: anything in it is wrong; the message names the place and what to do.
    """
    where, data = _read(source)
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: a config is a mapping with the key 'steps', this is {_kind(data)}")
    for setting in settings:
        _apply(data, setting, where)
    data = _expand(data, os.environ if environment is None else environment, where)
    _refuse_secrets(data, f"{where}: ")
    _check_keys(data, [key for key in Config.model_fields if key not in ("where", "data")], where)
    steps = data.get("steps")
    if not isinstance(steps, list) or not steps:
        raise ConfigError(f"{where}: 'steps' must be a list of stages; installed are: {', '.join(installed_stages())}")
    stages = installed_stages()
    checked = tuple(_step(step, stages, f"{where}: steps[{number}]") for number, step in enumerate(steps))
    bad = data.get("on_bad_input", "quarantine")
    if bad not in ("quarantine", "fail"):
        raise ConfigError(f"{where}: on_bad_input: is quarantine or fail, not {bad!r}")
    allowed = data.get("allow_set_aside", 0)
    if not isinstance(allowed, int) or isinstance(allowed, bool) or allowed < 0:
        raise ConfigError(f"{where}: allow_set_aside: is a number of files, ranges and records from 0, not {allowed!r}")
    name = data.get("name", Path(where).stem)
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{where}: name: is a text, not {name!r}")
    stores = _stores(data.get("stores"), where)
    return Config(
        name=name,
        steps=checked,
        on_bad_input=bad,
        allow_set_aside=allowed,
        stores=stores,
        where=where,
        data={**data, "name": name},
    )


def _read(source: str | os.PathLike[str] | Mapping[str, Plain]) -> tuple[str, Plain]:
    if isinstance(source, Mapping):
        name = str(source.get("name", "config"))
        try:
            return name, yaml.safe_load(yaml.safe_dump(dict(source)))
        except yaml.YAMLError as error:
            raise ConfigError(f"{name}: holds what YAML cannot ({' '.join(str(error).split())})") from error
    path = os.fspath(source)
    try:
        content = storage.read_bytes(path) if storage.is_remote(path) else Path(path).read_bytes()
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{path}: cannot be read as a config ({reason})") from error
    try:
        return path, yaml.load(text, _Strict)  # it is a SafeLoader
    except _TwiceError as error:
        raise ConfigError(f"{path}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error


class _TwiceError(Exception):
    """A mapping has a key twice."""


class _Strict(yaml.SafeLoader):
    """Plain YAML, where a key that stands twice is an error: the first value would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # Any: YAML
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise _TwiceError(f"line {key.start_mark.line + 1}: the key '{key.value}' stands twice")
            seen.add(key.value if isinstance(key.value, str) else "")
        return super().construct_mapping(node, deep)


def _refuse_secrets(value: Plain, where: str) -> None:
    """Raises ConfigError where a key's name says that its value is a secret; the value is not said."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        place = f"{where}{'.' if not where.endswith(' ') else ''}{key}"
        if is_secret_key(str(key)):
            raise ConfigError(f"{place}: {NO_SECRETS}")
        _refuse_secrets(item, place)


def _stores(data: Plain, where: str) -> dict[str, dict[str, Plain]]:
    """Returns the options of stores by the beginning of their URLs, for `storage.configure`, which knows them."""
    if data is not None and not isinstance(data, dict):
        raise ConfigError(f"{where}: stores: is a mapping from the beginning of a URL to options, not {_kind(data)}")
    for prefix, options in (data or {}).items():
        if not isinstance(options, dict):
            raise ConfigError(f"{where}: stores: {prefix}: its options are a mapping, not {_kind(options)}")
    return {str(prefix): options for prefix, options in (data or {}).items()}


def _step(step: Plain, stages: Mapping[str, EntryPoint], where: str) -> tuple[str, Stage]:
    if isinstance(step, str):
        step = {step: {}}
    if not isinstance(step, dict) or len(step) != 1:
        raise ConfigError(f"{where}: a step is the name of a stage, or one name with its fields, not {_kind(step)}")
    ((name, values),) = step.items()
    if name not in stages:
        raise ConfigError(
            f"{where}: no stage is called '{name}'{_near(str(name), stages)}; installed are: {', '.join(stages)}"
        )
    if values is not None and not isinstance(values, dict):
        raise ConfigError(f"{where} {name}: its fields are a mapping, not {_kind(values)}")
    return name, _stage(load_stage(stages[name]), values or {}, f"{where} {name}")


def _stage(kind: type[Stage], values: Mapping[str, Plain], where: str) -> Stage:
    _check_keys(values, [field.name for field in fields(kind)], where)
    try:
        return TypeAdapter(kind).validate_json(json.dumps(dict(values)), strict=True)  # strict knows no list in Python
    except ValidationError as error:
        raise ConfigError("; ".join(_sentence(problem, where) for problem in error.errors()[:5])) from error
    except DatapipeError as error:
        raise type(error)(f"{where}: {error}") from error


def _sentence(problem: Any, where: str) -> str:  # Any: pydantic's ErrorDetails
    """Returns one of pydantic's findings as a sentence of ours."""
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{where}: unknown key '{place}'"
    if problem["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{where}: '{place}' is missing"
    return f"{where}: {place}: {problem['msg'][:1].lower()}{problem['msg'][1:]}, not {problem['input']!r}"


def _check_keys(values: Mapping[str, Plain], known: Sequence[str], where: str) -> None:
    for key in values:
        if key not in known:
            near = _near(str(key), known) or f"; known are: {', '.join(known)}"
            raise ConfigError(f"{where}: unknown key '{key}'{near}")


def _near(name: str, known: Mapping[str, Any] | Sequence[str]) -> str:  # Any: only its keys are read
    close = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _apply(data: dict[str, Plain], setting: str, where: str) -> None:
    """Puts `dotted.key=value` into the data; the first part may be the name of a step."""
    key, equals, value = setting.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {setting}: is not of the form dotted.key=value")
    parts = key.split(".")
    at: Plain = data
    if parts[0] not in data and parts[0] not in Config.model_fields:
        at = _step_fields(data, parts.pop(0), setting, where)
    for part in parts[:-1]:
        at = _child(at, part, setting)
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {setting}: the value is not YAML") from error
    if isinstance(at, list):
        at[_index(at, parts[-1], setting)] = parsed
    elif isinstance(at, dict) and parts:
        at[parts[-1]] = parsed
    else:
        raise ConfigError(f"--set {setting}: '{key}' is not a place for a value")


def _step_fields(data: dict[str, Plain], name: str, setting: str, where: str) -> dict[str, Plain]:
    steps = data.get("steps") or []
    for number, step in enumerate(steps):
        if step == name:
            steps[number] = {name: {}}
        if isinstance(steps[number], dict) and name in steps[number]:
            steps[number][name] = steps[number][name] or {}
            return dict_of(steps[number][name], setting)
    raise ConfigError(f"--set {setting}: {where} has neither a key nor a step called '{name}'")


def dict_of(value: Plain, setting: str) -> dict[str, Plain]:
    """Returns a mapping as it is. Raises ConfigError for anything else."""
    if not isinstance(value, dict):
        raise ConfigError(f"--set {setting}: goes into {_kind(value)}")
    return value


def _child(at: Plain, part: str, setting: str) -> Plain:
    if isinstance(at, list):
        return at[_index(at, part, setting)]
    held = dict_of(at, setting)
    if held.get(part) is None:
        held[part] = {}
    return held[part]


def _index(at: list[Plain], part: str, setting: str) -> int:
    if not part.isdigit() or int(part) >= len(at):
        raise ConfigError(f"--set {setting}: '{part}' is not a number below {len(at)}")
    return int(part)


def _expand(value: Plain, environment: Mapping[str, str], where: str) -> Plain:
    if isinstance(value, dict):
        return {key: _expand(item, environment, where) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, environment, where) for item in value]
    return _VARIABLE.sub(lambda match: _variable(match, environment, where), value) if isinstance(value, str) else value


def _variable(match: re.Match[str], environment: Mapping[str, str], where: str) -> str:
    name, default = match.group(1), match.group(2)
    if is_secret(name):
        raise ConfigError(f"{where}: ${{{name}}} is a secret, going by its name: {NO_SECRETS}, or rename the variable")
    if name in environment:
        return environment[name]
    if default is None:
        raise ConfigError(
            f"{where}: the variable {name} of '{match.group(0)}' is not set; set it, or write ${{{name}:-default}}"
        )
    return default


def _kind(value: Plain) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", type(None): "nothing", bool: "true or false"}
    return names.get(type(value), f"the number {value}")
