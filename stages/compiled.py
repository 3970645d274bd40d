"""Compiled kernels are kept beside their modules; this makes them depend on all that they were compiled from.

numba keeps a kernel as long as the file that holds it is the same. But its machine code holds the functions and
constants of other modules too, so after a change there (a `git pull`, an upgrade) the old code would go on running, and
count wrongly without a word. Here the stamp of a kernel is a digest of its file and of all modules of this package that
the file imports, over any number of steps.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numba.core import caching

PACKAGE = Path(__file__).resolve().parent
_IMPORT = re.compile(
    rb"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+([\w.]+))", re.MULTILINE
)


def install() -> None:
    """Lets numba ask for our stamp of files in this package, wherever it keeps what it compiled."""
    held: Any = getattr(caching, "CacheImpl", None) or getattr(caching, "_CacheImpl", None)  # Any: numba has no types
    held._locator_classes = [_stamping(kind) for kind in held._locator_classes]  # noqa: SLF001 - numba has no other way


def _stamping(kind: type[Any]) -> type[Any]:  # Any: numba ships no types
    class Stamping(kind):  # type: ignore[misc]  # its base is a variable
        """A locator of numba whose stamp covers imports."""

        def get_source_stamp(self) -> Any:
            """Returns what must be equal for a kept kernel to be used again."""
            own = super().get_source_stamp()
            path = Path(self._py_file)
            return (own, _known(path)) if path.is_relative_to(PACKAGE) else own

    Stamping.__name__ = Stamping.__qualname__ = kind.__name__
    return Stamping


def stamp(path: Path, package: Path = PACKAGE) -> str:
    """Returns the SHA-256 of a module and of all modules of the package that it imports, itself or through others."""
    seen: set[Path] = set()
    left = [path.resolve()]
    while left:
        found = left.pop()
        if found not in seen:
            seen.add(found)
            left += _imports(found, package)
    digests = sorted(f"{found.relative_to(package)} {_digest(found)}" for found in seen)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


@functools.cache
def _known(path: Path) -> str:
    """Returns the stamp of a module, which has many kernels."""
    return stamp(path)


@functools.cache
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.cache
def _imports(path: Path, package: Path) -> tuple[Path, ...]:
    """Returns the files of the package that a module imports."""
    return tuple(dict.fromkeys(_found(path.read_bytes(), package)))


def _found(source: bytes, package: Path) -> Iterator[Path]:
    for match in _IMPORT.finditer(source):
        module = (match[1] or match[3]).decode()
        names = re.findall(r"\w+", match[2].decode()) if match[2] else []
        for name in (module, *(f"{module}.{item}" for item in names)):
            first, *parts = name.split(".")
            if first == package.name:
                place = package.joinpath(*parts)
                yield from (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())
