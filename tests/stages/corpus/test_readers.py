"""The lines that the package's documentation gives for each library, as they stand there, run on a corpus."""

import re
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest

import stages.corpus
from stages.corpus import Corpus
from stages.corpus.index import segments

READERS = re.findall(r"^    # (\w+)\n((?:    .*\n)+)", stages.corpus.__doc__ or "", re.MULTILINE)


def lines_of(library: str) -> str:
    """The lines for a library."""
    (found,) = [lines for name, lines in READERS if name == library]
    return "\n".join(line[4:] for line in found.splitlines())


def after(library: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that the lines for a library leave, run where `runs/zh_en` is that corpus."""
    (folder / "here" / "runs").mkdir(parents=True, exist_ok=True)
    link = folder / "here" / "runs" / "zh_en"
    if not link.exists():
        link.symlink_to(folder, target_is_directory=True)
    monkeypatch.chdir(folder / "here")
    names: dict[str, Any] = {}
    exec(lines_of(library), names)
    return names


def stored(folder: Path) -> pa.Table:
    table = pa.Table.from_batches(Corpus.open(str(folder)).split().rows())
    return table.replace_schema_metadata(None)


def test_each_library_has_its_lines() -> None:
    assert [name for name, _ in READERS] == ["pyarrow", "polars", "duckdb", "datasets"]


def test_pyarrow(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = after("pyarrow", packed, monkeypatch)

    assert names["train"].to_table().replace_schema_metadata(None).equals(stored(packed))


def test_polars(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = after("polars", packed, monkeypatch)

    assert names["train"].collect().to_dict(as_series=False) == stored(packed).to_pydict()
    counted = segments(Corpus.open(str(packed)).split())
    assert sum(names["by_source"]["tokens"].to_list()) == Corpus.open(str(packed)).manifest["splits"]["train"]["tokens"]
    assert set(names["by_source"]["source"].to_list()) == {"books", "web"}
    assert len(counted) > 0


def test_duckdb(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = after("duckdb", packed, monkeypatch)
    manifest = Corpus.open(str(packed)).manifest

    assert dict(names["by_source"]) == {row["group"]: row["tokens_seen"] for row in manifest["mix"]["groups"]}
    assert names["sequences"] == sum(map(len, stored(packed).column("seq_lengths").to_pylist()))


def test_datasets(packed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path))
    names = after("datasets", packed, monkeypatch)

    assert names["corpus"]["train"].to_dict() == stored(packed).to_pydict()
    assert set(names["corpus"]) == {"train", "validation"}
    assert [row["sample"] for row in names["streamed"]] == list(range(100, 250))
