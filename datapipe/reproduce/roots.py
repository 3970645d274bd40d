"""Where inputs lie now: the paths of a recorded config, moved.

`OLD=NEW` puts NEW in the place of OLD, at the beginning of paths and where a folder ends. A folder alone is searched: a
path is found in it by the longest end of it that is there, `/data/crawl/a.warc.gz` as `crawl/a.warc.gz` before
`a.warc.gz`, and a file at last by its name, wherever in the folder it lies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datapipe import storage
from datapipe.errors import ConfigError
from datapipe.logs import HIDDEN
from datapipe.recipe import Recipe, leaves, root_of

NAMED = 12  # recorded paths that an error names


@dataclass(frozen=True)
class Roots:
    """What a recorded path is called now, by what it was called."""

    places: Mapping[str, str] = field(default_factory=dict)

    def moved(self, path: str) -> str:
        """Returns what a text of the config is now: itself where it is no path, or lies where it lay."""
        return self.places.get(path, path)

    def config(self, recipe: Recipe) -> dict[str, Any]:  # Any: what YAML holds
        """Returns the recorded config with its paths moved.

        Raises:
            ConfigError: a path held a secret, so it was not recorded whole.
        """
        made = {**recipe.config, "steps": self._of(recipe.config.get("steps", []))}
        for key, value in leaves(made["steps"]):
            if isinstance(value, str) and HIDDEN in value:
                raise ConfigError(
                    f"steps.{key}: {value}: a secret in it was not recorded; say where it lies by --inputs {value}=NEW"
                )
        return made

    def _of(self, value: Any) -> Any:  # Any: what YAML holds
        if isinstance(value, Mapping):
            return {key: self._of(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._of(item) for item in value]
        return self.moved(value) if isinstance(value, str) else value


def roots_of(recipe: Recipe, given: Sequence[str]) -> Roots:
    """Returns the recorded paths as `given` (`OLD=NEW`, or a folder) says; the longest OLD that fits a path decides.

    Raises:
        ConfigError: one of them fits no recorded path, or what it names is not there.
    """
    paths = list(dict.fromkeys(_paths(recipe)))
    moves: list[tuple[int, dict[str, str]]] = []
    for one in given:
        length, found = (0, _searched(one, paths, recipe)) if storage.is_folder(one) else _replaced(one, paths)
        if not found:
            told = ", ".join(paths[:NAMED]) + (", …" if len(paths) > NAMED else "")
            raise ConfigError(
                f"--inputs {one}: is neither a folder that holds a recorded path nor OLD=NEW with the beginning of one "
                f"as OLD; recorded are: {told or 'none'}"
            )
        moves.append((length, found))
    return Roots({path: new for _, found in sorted(moves, key=lambda move: move[0]) for path, new in found.items()})


def _paths(recipe: Recipe) -> Iterator[str]:
    """Yields the texts of the config that may be paths: they have a slash or a wildcard, or name a known file."""
    held = {file.path for stage in recipe.stages for file in stage.resources}
    names = {file.name for files in recipe.inputs.values() for file in files}
    for _, value in leaves(recipe.config.get("steps", [])):
        if isinstance(value, str) and ("/" in value or value in held or value in names or "*" in value):
            yield value


def _replaced(given: str, paths: Sequence[str]) -> tuple[int, dict[str, str]]:
    """Returns the length of OLD and what paths become by OLD=NEW.

    A name may hold `=`, so OLD ends at the first that gives a known place.
    """
    places = [place for place, letter in enumerate(given) if letter == "="]
    for place in places:
        old, new = given[:place], given[place + 1 :]
        found = {path: new + path[len(old) :] for path in paths if _begins(path, old)}
        if old and new and found:
            return len(old), found
    return 0, {}


def _begins(path: str, old: str) -> bool:
    return path == old or path.startswith(old if old.endswith("/") else f"{old}/")


def _searched(folder: str, paths: Sequence[str], recipe: Recipe) -> dict[str, str]:
    """Returns where in a folder the paths are, of those that are there."""
    names: list[str] = []
    found = {}
    for path in paths:
        root = root_of(path)
        words = [word for word in root.rpartition("://")[2].split("/") if word not in ("", ".", "..")]
        rest = path[len(root) :].lstrip("/")
        ends = (storage.join(folder, *words[start:]) for start in range(len(words) + bool(rest)))
        place = next((place for place in ends if _is_there(place, rest)), None)
        if place is not None:
            found[path] = storage.join(place, rest) if rest else place
            continue
        names = names or storage.walk(folder)
        same = [name for name in names if words and not rest and name.rpartition("/")[2] == words[-1]]
        if len(same) > 1:
            places = ", ".join(same[:3]) + (", …" if len(same) > 3 else "")
            raise ConfigError(f"--inputs {folder}: holds {words[-1]} in several places ({places}); give {path}=NEW")
        if same:
            found[path] = storage.join(folder, same[0])
        elif not rest and any(files and files[0].name in names for files in recipe.inputs.values()):
            found[path] = folder  # it is what was a folder of another name
    return found


def _is_there(place: str, pattern: str) -> bool:
    if not pattern:
        return storage.exists(place) or storage.is_folder(place)
    try:
        return bool(storage.find_files(storage.join(place, pattern)))
    except ConfigError:
        return False
