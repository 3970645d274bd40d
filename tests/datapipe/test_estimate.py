"""What a run will take is told from samples; where the sample is everything, exactly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import toy
from toy.stages import strip
from typer.testing import CliRunner

from datapipe import Dataset
from datapipe.cli import app
from datapipe.dataset import InputFile
from datapipe.estimate import Estimate, estimate
from datapipe.estimate.draw import chosen
from datapipe.estimate.laws import fixed_part
from datapipe.graph import Pipeline
from datapipe.plan import Planner
from datapipe.stage import Growth, Seen

ROOT = Path(__file__).parents[2]
EVERYTHING = (toy.Short(), toy.Once(), toy.Finish())


def planned(stages: Pipeline, folder: Path) -> Planner:
    return Planner(stages, str(folder / "none"), toy.VERSION)


def sizes(out: Path, folder: str) -> int:
    return sum(path.stat().st_size for path in (out / folder).iterdir() if path.is_file())


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A glob of four text files of 2,500 lines."""
    return str(toy.write_lines(tmp_path_factory.mktemp("many"), files=4, lines=2500))


def test_is_exact_where_the_sample_is_everything(texts: str, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=texts), *EVERYTHING)
    report = toy.run(stages, tmp_path / "out")

    found = estimate(planned(stages, tmp_path))

    said = [(stage.stage, stage.documents_in, stage.documents_out) for stage in found.stages[:3]]
    assert said == [(stage.stage, stage.documents_in, stage.documents_out) for stage in report.stages[:3]]
    run = json.loads((tmp_path / "out/work/run.json").read_text())
    assert sum(wave.tasks for wave in found.waves) == run["tasks"]
    assert found.sampled_share == 1
    assert found.output_bytes["ledger"] == pytest.approx(sizes(tmp_path / "out", "ledger"))
    assert found.output_bytes["corpus"] == pytest.approx(sizes(tmp_path / "out", "corpus"), rel=0.02)
    assert not (tmp_path / "none").exists()


def test_is_near_where_a_part_is_sampled(many: str, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=many, batch=500), toy.Short(limit=4), toy.Finish(rows_per_shard=4000))
    report = toy.run(stages, tmp_path / "out")

    found = estimate(planned(stages, tmp_path), salt=3)

    assert 800 < found.sampled_documents < 1600
    assert found.stages[0].documents_in == pytest.approx(10_000)
    for stage, made in zip(found.stages[:2], report.stages, strict=False):
        assert stage.documents_out == pytest.approx(made.documents_out, rel=0.1)
        assert 0 < stage.documents_error < 0.2
    assert found.output_bytes["corpus"] == pytest.approx(sizes(tmp_path / "out", "corpus"), rel=0.25)
    assert found.output_bytes["ledger"] == pytest.approx(sizes(tmp_path / "out", "ledger"), rel=0.25)


def test_another_salt_draws_another_sample(many: str, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=many, batch=500), toy.Short(limit=4), toy.Finish(rows_per_shard=4000))

    out = [estimate(planned(stages, tmp_path), salt=salt).stages[1].documents_out for salt in (0, 2)]

    assert out[0] != out[1]


def test_reads_no_more_of_the_sources_than_its_budget(many: str, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=many, batch=500), toy.Short(limit=4), toy.Finish(rows_per_shard=4000))
    planner = planned(stages, tmp_path)

    found = estimate(planner, read_bytes=planner.source_bytes // 3)

    assert found.sources["lines"]["files_read"] == 1
    assert found.sources["lines"]["documents"] == pytest.approx(10_000, rel=0.05)
    assert found.stages[0].documents_in == pytest.approx(10_000, rel=0.05)
    assert found.waves[0].tasks == 4


def test_follows_a_repeat_and_two_sources(texts: str, tmp_path: Path) -> None:
    more = str(toy.write_lines(tmp_path / "more", files=2, lines=5))
    stages = toy.pipeline(toy.Lines(path=texts, more=more), toy.Spread())
    planner = planned(stages, tmp_path)

    found = estimate(planner)

    assert {name: known["documents"] for name, known in found.sources.items()} == {"lines": 48, "more": 10}
    assert found.spill_bytes > 0


@dataclass(frozen=True, kw_only=True)
class Grows(toy.Short):
    """Short, which says that a tenth of the documents stay in the whole whatever a sample says."""

    def growth(self, seen: Seen) -> Growth:
        kept = {number: rows.num_rows for number, rows in seen.read(strip, "rows")}
        return Growth({strip: [0.1 * seen.documents[number] for number in sorted(kept)]})

    def build(self, *inputs: Dataset) -> Dataset:
        return inputs[0].map(strip)


def test_a_stage_says_what_is_not_in_proportion(many: str, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=many, batch=500), Grows(), toy.Finish(rows_per_shard=4000))

    found = estimate(planned(stages, tmp_path))

    first, second = found.stages[:2]
    assert second.documents_out == pytest.approx(0.1 * first.documents_out)
    assert second.row_bytes_out == pytest.approx(0.1 * first.row_bytes_out)


def test_the_command_prints_it_and_writes_nothing(
    texts: str, installed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "toy.yaml"
    config.write_text(f"steps:\n- lines: {{path: '{texts}'}}\n- short\n- finish\n")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    shown = CliRunner().invoke(app, ["plan", str(config), "--estimate", "--cores", "16"])
    data = CliRunner().invoke(app, ["plan", str(config), "--estimate", "--json"])

    assert "on 16 cores like this one" in shown.stdout
    assert "told from 48 documents, 100.00% of all by bytes" in shown.stdout
    assert Estimate.__dataclass_fields__.keys() <= json.loads(data.stdout).keys()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("small", "large", "fixed"),
    [((10, 25), (100, 205), 5.0), ((10, 20), (100, 200), 0.0), ((1, 7), (1, 9), 9), ((10, 50), (100, 40), 40)],
)
def test_the_fixed_part_is_the_intercept(small: tuple[int, int], large: tuple[int, int], fixed: float) -> None:
    assert fixed_part(small, large) == fixed


def test_files_are_chosen_evenly_within_the_budget() -> None:
    files = [[InputFile(f"{group}{file}", "", 10, "") for file in range(4)] for group in range(5)]

    names = [[file.name for file in group] for group in chosen(files, 50)]

    assert names == [["02"], ["12"], ["22"], ["32"], ["42"]]
    assert chosen(files, 1) == [[files[2][2]]]
    assert chosen(files, 1000) == files


@pytest.mark.long
@pytest.mark.parametrize("salts", ["0,1"])
def test_is_within_a_quarter_on_zh_en(shared: Path, salts: str) -> None:
    bench = ROOT / "tests" / "bench" / "bench_estimate.py"
    command = [sys.executable, str(bench), str(ROOT / "configs" / "zh_en.yaml"), "--salts", salts]

    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "DATAPIPE_SHARED": str(shared)}
    )

    assert done.returncode == 0, done.stdout + done.stderr
