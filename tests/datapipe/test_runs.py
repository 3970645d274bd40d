"""Twice is once; a change redoes what follows it and no more; outputs are a function of config and inputs."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pytest
import toy

from datapipe import Dataset, PlanError, Report, Stage, StageError, Work
from datapipe.publish import MANIFEST


def stages(path: str, *, words: int = 3, parts: int = 2, rows: int = 20) -> tuple[Stage, ...]:
    """Returns the toy pipeline with every operation of the engine but repeat."""
    return toy.Lines(path=path), toy.Short(limit=words), toy.Once(parts=parts), toy.Finish(rows_per_shard=rows)


def names_of(out: Path) -> set[str]:
    """Returns the names of the stages' folders with their keys."""
    return {path.name for path in (out / "work").iterdir() if "-" in path.name}


@pytest.fixture(scope="module")
def done(texts: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """A finished run, which tests copy or leave as it is."""
    out = tmp_path_factory.mktemp("done") / "out"
    return out, toy.run(toy.pipeline(*stages(texts)), out)


@pytest.fixture
def copied(done: tuple[Path, Report], tmp_path: Path) -> Path:
    """A copy of the finished run that a test may change."""
    return Path(shutil.copytree(done[0], tmp_path / "out"))


def test_a_second_run_makes_nothing_and_gives_the_same_report(done: tuple[Path, Report], texts: str) -> None:
    out, first = done
    before = toy.tree(out)

    second = toy.run(toy.pipeline(*stages(texts)), out)

    assert (first.made > 20, second.made) == (True, 0)
    assert second == first
    assert second.to_json() == first.to_json() == (out / "reports/report.json").read_bytes()
    assert toy.tree(out) == before


def told(out: Path) -> tuple[dict[str, str], object]:
    """Returns what is published, but for what names the places of inputs: the recipe, and its digest in the claim."""
    claim = json.loads((out / "reports/published.json").read_text())
    places = ("reports/recipe.json", "reports/published.json")
    return {name: digest for name, digest in toy.tree(out).items() if name not in places}, claim["files"]


def test_the_outputs_do_not_depend_on_where_they_lie(done: tuple[Path, Report], texts: str, tmp_path: Path) -> None:
    moved = shutil.copytree(Path(texts).parent, tmp_path / "other place")
    for path in Path(moved).iterdir():  # shutil keeps times but for their nanoseconds
        status = os.stat(Path(texts).parent / path.name)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    toy.run(toy.pipeline(*stages(f"{moved}/*.txt")), tmp_path / "out", work=tmp_path / "cache")

    assert told(tmp_path / "out") == told(done[0])


def test_what_is_published_holds_no_place_host_or_day(done: tuple[Path, Report], texts: str) -> None:
    out = done[0]
    files = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and "work" not in path.parts}

    inputs = str(Path(texts).parent)
    found = {
        (word, path)
        for word in (str(out), inputs, os.uname().nodename)
        for path in files
        if word.encode() in files[path]
    }

    assert found == {(inputs, out / "reports/recipe.json")}, "where inputs lay is said in the recipe, and nowhere else"


def test_a_changed_last_stage_redoes_itself_alone(copied: Path, texts: str) -> None:
    before = names_of(copied)

    report = toy.run(toy.pipeline(*stages(texts, rows=4)), copied, replace=True)

    made = names_of(copied) - before
    assert {name.split("-")[0] for name in made} == {"finish", "ledger"}
    assert 0 < report.made < 20
    assert len(list((copied / "corpus").glob("train-*"))) > 1


def test_a_changed_middle_stage_redoes_what_follows_it(copied: Path, texts: str) -> None:
    before = names_of(copied)

    toy.run(toy.pipeline(*stages(texts, words=4)), copied, replace=True)

    assert {name.split("-")[0] for name in names_of(copied) - before} == {"short", "once", "finish", "ledger"}


def test_another_number_of_parts_gives_the_same_documents(copied: Path, texts: str) -> None:
    before = toy.rows_of(copied, "corpus")

    toy.run(toy.pipeline(*stages(texts, parts=5)), copied, replace=True)

    assert toy.rows_of(copied, "corpus") == before


def test_a_changed_result_is_that_of_a_fresh_run(copied: Path, texts: str, tmp_path: Path) -> None:
    toy.run(toy.pipeline(*stages(texts, words=4)), copied, replace=True)
    toy.run(toy.pipeline(*stages(texts, words=4)), tmp_path / "fresh")

    assert toy.tree(copied) == toy.tree(tmp_path / "fresh")


def test_touched_sources_are_read_again_and_the_corpus_stands(copied: Path, texts: str, tmp_path: Path) -> None:
    folder = shutil.copytree(Path(texts).parent, tmp_path / "in")
    before = toy.tree(copied)
    os.utime(folder / "0.txt", ns=(1, 1))

    report = toy.run(toy.pipeline(*stages(f"{folder}/*.txt")), copied)

    assert report.made > 0
    assert toy.tree(copied).keys() == before.keys()
    assert {name: digest for name, digest in toy.tree(copied).items() if name.startswith("corpus")} == {
        name: digest for name, digest in before.items() if name.startswith("corpus")
    }


def test_one_work_folder_serves_two_outputs(texts: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    first = toy.run(toy.pipeline(*stages(texts)), tmp_path / "a", work=work)

    second = toy.run(toy.pipeline(*stages(texts, rows=4)), tmp_path / "b", work=work)
    third = toy.run(toy.pipeline(*stages(texts)), tmp_path / "c", work=work)

    assert second.made < first.made
    assert third.made == 0
    assert toy.tree(tmp_path / "a") == toy.tree(tmp_path / "c") != toy.tree(tmp_path / "b")


@pytest.mark.parametrize("smaller_first", [False, True])
def test_one_work_folder_serves_sources_of_any_size(
    smaller_first: bool, texts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datapipe.graph.LEDGER_BYTES", 100)
    small = (toy.Lines(path=str(Path(texts).parent / "0.txt")), toy.Sort(), toy.Finish())
    large = (toy.Lines(path=small[0].path, more=texts), toy.Sort(), toy.Finish())
    order = [small, large] if smaller_first else [large, small]
    fresh = [toy.run(toy.pipeline(*held), tmp_path / f"fresh{place}") for place, held in enumerate(order)]

    shared = [
        toy.run(toy.pipeline(*held), tmp_path / str(place), work=tmp_path / "w") for place, held in enumerate(order)
    ]

    assert [report.stages for report in shared] == [report.stages for report in fresh]
    assert [toy.tree(tmp_path / str(place)) for place in range(2)] == [
        toy.tree(tmp_path / f"fresh{p}") for p in range(2)
    ]


def test_a_corpus_of_another_config_is_not_touched(copied: Path, texts: str) -> None:
    before = toy.tree(copied)

    with pytest.raises(
        PlanError, match=f"{copied}: holds the corpus of another config .*; give another --out, or --replace"
    ):
        toy.run(toy.pipeline(*stages(texts, rows=4)), copied)

    assert toy.tree(copied) == before


def test_with_replace_nothing_of_the_other_config_stays(copied: Path, texts: str, tmp_path: Path) -> None:
    toy.run(toy.pipeline(*stages(texts)[:2], toy.Finish()), copied, replace=True)
    toy.run(toy.pipeline(*stages(texts)[:2], toy.Finish()), tmp_path / "fresh")

    assert toy.tree(copied) == toy.tree(tmp_path / "fresh")
    assert not list((copied / "keys").glob("*"))


def test_without_a_cache_a_second_run_still_makes_nothing(texts: str, tmp_path: Path) -> None:
    toy.run(toy.pipeline(*stages(texts)), tmp_path / "out", keep=False)
    left = names_of(tmp_path / "out")

    again = toy.run(toy.pipeline(*stages(texts)), tmp_path / "out", keep=False)

    assert left == set()
    assert again.made == 0


def test_a_missing_published_file_is_made_again(copied: Path, texts: str) -> None:
    before = toy.tree(copied)
    (copied / "corpus/train-00000-of-00001.arrow").unlink()
    (copied / MANIFEST).unlink()

    toy.run(toy.pipeline(*stages(texts)), copied)

    assert toy.tree(copied) == before


def test_a_damaged_shard_is_made_again_as_the_sentence_says(copied: Path, texts: str) -> None:
    before = toy.tree(copied)
    (copied / MANIFEST).unlink()
    for folder in (copied / "work").glob("finish-*"):
        shutil.rmtree(folder)
    made = (copied / "work").glob("once-*/000000-rows-*.ipc")
    damaged = max(made, key=lambda path: path.stat().st_mtime_ns)  # what the last stage reads
    damaged.write_bytes(damaged.read_bytes()[:-20])

    with pytest.raises(Exception, match=r"cannot be read as a shard .*; remove the folder .* and run again") as failure:
        toy.run(toy.pipeline(*stages(texts)), copied)
    shutil.rmtree(str(failure.value).partition("remove the folder ")[2].partition(" and run")[0])
    toy.run(toy.pipeline(*stages(texts)), copied)

    assert toy.tree(copied) == before


def test_a_sample_is_a_part_of_the_documents_by_their_ids_alone(texts: str, tmp_path: Path) -> None:
    one, half = (toy.pipeline(*stages(texts, words=0)[:2], toy.Finish(), sample=share) for share in (1.0, 0.5))

    all_of_it, sampled = toy.run(one, tmp_path / "all"), toy.run(half, tmp_path / "half")

    whole = {row["id"]: row for row in toy.rows_of(tmp_path / "all", "corpus")}
    rows = toy.rows_of(tmp_path / "half", "corpus")
    assert 0 < len(rows) < len(whole)
    assert all(row == whole[row["id"]] and row["id"][0] < 128 for row in rows)
    assert sampled.stages[0].counts["not_sampled"] == all_of_it.stages[0].documents_in - sampled.stages[0].documents_in


def test_batches_are_bounded_wherever_rows_come_from(tmp_path: Path) -> None:
    (tmp_path / "0.txt").write_text("a line of text\n" * 6000)

    report = toy.run(
        toy.pipeline(toy.Lines(path=str(tmp_path / "0.txt"), batch=6000), toy.Largest(), toy.Finish()), tmp_path / "out"
    )

    assert report.stages[1].counts["rows_of_source"] <= 4096
    assert report.stages[1].counts["rows_of_exchange"] <= 1 << 16
    assert report.stages[1].counts["bytes_of_exchange"] <= 6 << 20


def test_run_json_alone_knows_times(copied: Path) -> None:
    noted = json.loads((copied / "work/run.json").read_text())

    assert noted["wall_seconds"] > 0
    assert set(noted["cpu_seconds"]) >= {"lines", "once", "finish", "read"}


@dataclass(frozen=True)
class Hoards:
    """A fold that says what it holds, and finds no room for it."""

    holds_bytes: ClassVar[int] = 3 << 20

    def __call__(self, batches: Iterator[pa.RecordBatch], work: Work) -> Iterator[pa.RecordBatch]:
        yield from batches
        raise MemoryError


@dataclass(frozen=True, kw_only=True)
class Hoarding(Stage):
    """Folds all rows to themselves."""

    def build(self, *inputs: Dataset) -> Dataset:
        return inputs[0].fold(Hoards(), inputs[0].schema)


def test_a_fold_without_room_for_what_it_holds_is_not_told_of_smaller_shards(texts: str, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=texts), Hoarding())

    with pytest.raises(StageError, match=r"out of memory .*; by the fields of its step it holds up to 3 MiB: ask"):
        toy.run(stages, tmp_path / "out")
