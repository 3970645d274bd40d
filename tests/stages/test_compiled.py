"""A kept kernel is used again only while everything that it was compiled from is the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from stages.compiled import PACKAGE, stamp


def package(folder: Path, constant: int = 1) -> Path:
    """A package of a kernel that takes a constant from a module, by way of another."""
    inner = folder / "inner"
    inner.mkdir(parents=True, exist_ok=True)
    (inner / "__init__.py").write_text("")
    (inner / "numbers.py").write_text(f"ONE = {constant}\n")
    (inner / "between.py").write_text(f"from {folder.name}.inner import (\n    numbers,\n)\n")
    (folder / "kernel.py").write_text(f"import os\n\nfrom {folder.name}.inner.between import numbers\n")
    (folder / "other.py").write_text("x = 1\n")
    return folder


def test_a_stamp_follows_what_a_module_imports(tmp_path: Path) -> None:
    stamps = [
        stamp(package(tmp_path / name / "p", constant) / "kernel.py", tmp_path / name / "p")
        for name, constant in (("a", 1), ("b", 1), ("c", 2))
    ]

    assert stamps[0] == stamps[1] != stamps[2]


def test_a_stamp_does_not_follow_what_it_does_not_import(tmp_path: Path) -> None:
    one, other = package(tmp_path / "a" / "p"), package(tmp_path / "b" / "p")
    (other / "other.py").write_text("x = 2\n")

    assert stamp(one / "kernel.py", one) == stamp(other / "kernel.py", other)


def test_a_changed_constant_of_another_module_is_compiled_anew(tmp_path: Path) -> None:
    script = f"""
import sys
import stages.compiled as compiled
from pathlib import Path
compiled.PACKAGE = Path({str(tmp_path)!r}) / "made"
compiled.stamp.__defaults__ = (compiled.PACKAGE,)
compiled.install()
sys.path.insert(0, {str(tmp_path)!r})
from made.kernel import kernel
print(kernel(40))
"""
    made = tmp_path / "made"
    made.mkdir()
    (made / "__init__.py").write_text("")
    (made / "kernel.py").write_text(
        "from numba import njit\n\nfrom made.numbers import ONE\n\n\n"
        "@njit(cache=True)\ndef kernel(x):\n    return x + ONE\n"
    )
    said = []
    for value in (1, 1, 2):
        (made / "numbers.py").write_text(f"ONE = {value}\n")
        run = subprocess.run(
            [sys.executable, "-B", "-c", script], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
        )
        said.append(run.stdout.strip())

    assert said == ["41", "41", "42"]
