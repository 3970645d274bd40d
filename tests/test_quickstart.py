"""The quickstart as a user runs it: the same bytes however it runs and whatever kills it, read by every reader."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import datasets
import polars
import pyarrow as pa
import pyarrow.dataset
import pytest
import resiliparse

import datapipe
from datapipe.task import FAULT_POINTS
from datapipe.verify import verify
from stages.audit.explain import explained
from stages.audit.story import Finder
from stages.mix.verify import check
from tests.stages.corpus.truth import hold, traced

ROOT = Path(__file__).parent.parent
CONFIG = "configs/quickstart.yaml"
COMMAND = [sys.executable, "-m", "datapipe.cli"]
REPORTS = ("report.html", "report.schema.json", "topics.json", "digests.json")
RECIPE = ("recipe.json", "recipe-shards.parquet")
STAGES = (
    "ingest",
    "repair",
    "language",
    "format",
    "classify",
    "safety",
    "quality",
    "pii",
    "dedup",
    "decontaminate",
    "tokenize",
    "mix",
)


@pytest.fixture(scope="session", autouse=True)
def _at_root() -> Iterator[None]:
    before = Path.cwd()
    os.chdir(ROOT)
    yield
    os.chdir(before)


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory, _at_root: None) -> Path:
    """The output of one undisturbed run in this process, with its report."""
    out = tmp_path_factory.mktemp("oracle")
    datapipe.run(CONFIG, out=out, executor="local", report=True)
    return out


def content(folder: Path) -> dict[str, bytes]:
    """Every published file by name."""
    found = {}
    for part in ("corpus", "ledger", "signals", "keys"):
        found |= {str(path.relative_to(folder)): path.read_bytes() for path in sorted((folder / part).rglob("*.*"))}
    return found


def same_bytes(one: Path, other: Path) -> bool:
    """Whether two output folders hold the same files; says which differ."""
    left, right = content(one), content(other)
    differing = [name for name in left.keys() | right.keys() if left.get(name) != right.get(name)]
    assert not differing
    return len(left) > 10


def run_until(fault: str, out: Path) -> int:
    """Runs the quickstart in a copy of this process, whose kernels are compiled, until the fault ends it."""
    child = os.fork()
    if child == 0:
        os.environ["PIPE_FAULT"] = fault
        datapipe.run(CONFIG, out=out, executor="local")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def start(out: Path, *options: str) -> subprocess.Popen[bytes]:
    """Starts the command on the quickstart."""
    command = [*COMMAND, "run", CONFIG, "--out", str(out), *options]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def test_every_crash_point_and_a_rerun_give_the_bytes_of_an_undisturbed_run(oracle: Path, tmp_path: Path) -> None:
    crashed = 0
    for stage in STAGES:
        for point in FAULT_POINTS:
            crashed += run_until(f"{stage}:0:0:{point}", tmp_path) == 17
    assert run_until("", tmp_path) == 0

    assert crashed == len(STAGES) * len(FAULT_POINTS)
    assert same_bytes(oracle, tmp_path)


def test_a_driver_killed_at_three_moments_and_a_rerun_give_the_same_bytes(oracle: Path, tmp_path: Path) -> None:
    moments = random.Random(7)
    for _ in range(3):
        driver = start(tmp_path, "--executor", "local", "--no-report")
        time.sleep(moments.uniform(1.5, 5.0))
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    assert start(tmp_path, "--executor", "local", "--no-report").wait(timeout=120) == 0

    assert same_bytes(oracle, tmp_path)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ray_with_one_worker_or_two_gives_the_same_bytes(oracle: Path, tmp_path: Path, workers: str) -> None:
    options = ["--no-report"] if workers == "1" else []

    assert start(tmp_path, "--workers", workers, *options).wait(timeout=240) == 0

    assert same_bytes(oracle, tmp_path)
    for name in RECIPE:
        assert (tmp_path / "reports" / name).read_bytes() == (oracle / "reports" / name).read_bytes()
    reports = {name: (tmp_path / "reports" / name).exists() for name in REPORTS}
    assert set(reports.values()) == {not options}
    for name in REPORTS if not options else ():
        assert (tmp_path / "reports" / name).read_bytes() == (oracle / "reports" / name).read_bytes()


@pytest.mark.heavy
def test_made_again_of_inputs_that_lie_elsewhere_it_has_equal_digests_or_names_what_differs(
    oracle: Path, tmp_path: Path
) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    for name in ("sample.warc.gz", "notes.jsonl", "questions.jsonl"):
        shutil.copyfile(ROOT / "tests/data" / name, place / name)

    equal = datapipe.reproduce(oracle, inputs=[f"tests/data={place}"], executor="local")
    notes = bytearray((place / "notes.jsonl").read_bytes())
    notes[notes.index(b"\n") - 40] ^= 1
    (place / "notes.jsonl").write_bytes(notes)
    other = datapipe.reproduce(oracle, inputs=[f"tests/data={place}"], executor="local")
    (place / "questions.jsonl").write_bytes((place / "questions.jsonl").read_bytes().replace(b"a", b"e", 1))
    known = datapipe.reproduce(oracle, inputs=[str(place)], check_only=True)

    assert (equal.equal, equal.before) == (True, ())
    assert [(one.kind, one.name) for one in other.causes] == [("input", "notes: notes.jsonl")]
    assert other.first is not None
    assert (other.first.step, other.first.files) == ("ingest 2", ("notes.jsonl",))
    assert other.first.place is not None, "the work folders of both are there"
    assert [one.kind for one in known.before] == ["input", "resource"]
    assert [one.stages for one in known.before] == [("ingest",), ("decontaminate",)]


@pytest.mark.heavy
def test_another_version_of_a_library_is_named_where_it_made_other_rows(oracle: Path, tmp_path: Path) -> None:
    package = Path(resiliparse.__file__).parent
    told = next(package.parent.glob("[Rr]esiliparse-*.dist-info"))
    shutil.copytree(package, tmp_path / "resiliparse")
    other = tmp_path / told.name
    shutil.copytree(told, other)
    (other / "METADATA").write_text((told / "METADATA").read_text().replace("\nVersion: ", "\nVersion: 1.", 1))
    command = [*COMMAND, "reproduce", str(oracle), "--executor", "local", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    found = json.loads(ran.stdout)

    assert ran.returncode == 1
    assert [one["name"] for one in found["before"] if one["kind"] == "library"] == ["resiliparse"]
    assert [one["name"] for one in found["causes"]] == ["resiliparse"]
    assert found["differing_files"] == ["corpus/manifest.json"], "rows are equal, and named by the version"
    assert found["first"]["place"]["keys"] == ["config_sha256"]


def test_a_second_run_makes_nothing_and_says_so(oracle: Path) -> None:
    again = subprocess.run(
        [*COMMAND, "run", CONFIG, "--out", str(oracle), "--executor", "local"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "nothing to do" in again.stdout


def test_another_mix_weight_redoes_only_the_mix(oracle: Path, tmp_path: Path) -> None:
    work = oracle / "work"
    before = {path.name for path in work.iterdir()}
    datapipe.run(CONFIG, out=tmp_path, work=work, settings=["mix.weights.notes=0.4"], executor="local")

    made = {path.name.rsplit("-", 1)[0] for path in work.iterdir() if path.name not in before}
    assert made == {"mix", "ledger"}


def test_another_quality_limit_redoes_quality_and_what_follows(oracle: Path, tmp_path: Path) -> None:
    work = oracle / "work"
    before = {path.name for path in work.iterdir()}
    datapipe.run(
        CONFIG, out=tmp_path, work=work, settings=["quality.limits.gopher_word_length.max=9"], executor="local"
    )

    made = {path.name.rsplit("-", 1)[0] for path in work.iterdir() if path.name not in before}
    assert made == {"quality", "pii", "dedup", "decontaminate", "tokenize", "mix", "ledger"}


def test_the_corpus_is_whole_and_its_sums_add_up(oracle: Path) -> None:
    assert list(verify(str(oracle))) == []


def test_another_token_in_a_shard_is_found_by_the_manifest(oracle: Path, tmp_path: Path) -> None:
    shutil.copytree(oracle / "corpus", tmp_path / "corpus")
    shard = next((tmp_path / "corpus").glob("train-*.arrow"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)

    assert [fault.split(":")[0] for fault in check(str(tmp_path))] == ["manifest", "manifest"]
    assert list(check(str(oracle))) == []


def test_a_removed_page_names_its_rule_and_a_kept_one_its_samples(oracle: Path) -> None:
    mirror = list(explained(Finder(str(oracle)), document_of(oracle, "ledger", "duplicate_of")))
    kept = list(explained(Finder(str(oracle)), document_of(oracle, "corpus/index", "")))

    assert any("duplicate_of by" in line and "survivor" in line for line in mirror)
    assert any(line.startswith("  train sample ") for line in kept)


def document_of(folder: Path, table: str, action: str) -> str:
    """The id of a document that the table speaks of."""
    names = sorted((folder / table).glob("*.parquet" if action else "segments-*.parquet"))
    rows = pyarrow.dataset.dataset([str(name) for name in names], format="parquet").to_table().to_pylist()
    row = next(row for row in rows if not action or row["action"] == action)
    return str(row["id"].hex() if action else row["doc_id"])


def test_every_reader_gives_what_was_written(oracle: Path, tmp_path: Path) -> None:
    paths = sorted(str(path) for path in (oracle / "corpus").glob("train-*.arrow"))
    written = pa.concat_tables([pa.ipc.open_file(path).read_all() for path in paths])

    loaded = datasets.load_dataset("arrow", data_files=paths, split="train", cache_dir=str(tmp_path))
    scanned = pyarrow.dataset.dataset(paths, format="ipc").to_table()
    frame = polars.scan_ipc(paths).collect()
    assert scanned.equals(written)
    assert frame["input_ids"].to_list() == written.column("input_ids").to_pylist()
    assert loaded.to_dict() == written.to_pydict()
    assert len(loaded) == manifest(oracle)["splits"]["train"]["samples"]


def manifest(folder: Path) -> dict[str, dict[str, dict[str, int]]]:
    """The manifest as data."""
    loaded: dict[str, dict[str, dict[str, int]]] = json.loads((folder / "corpus" / "manifest.json").read_text())
    return loaded


def test_weights_for_a_source_that_is_not_there_fail_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(
        datapipe.ConfigError, match=r"mix: weights: there is no source nots; the sources are notes, pages"
    ):
        datapipe.run(CONFIG, out=tmp_path, settings=["mix.weights.nots=0.3"], executor="local")


def test_documents_that_trace_names_are_found_where_it_says(oracle: Path) -> None:
    texts = {}
    for path in sorted((oracle / "work").glob("decontaminate-*/*-rows-*.ipc")):  # of other tests' settings too
        table = pa.ipc.open_file(str(path)).read_all()
        ids = table.column("id").to_pylist()
        texts |= {own.hex(): text for own, text in zip(ids, table.column("text").to_pylist(), strict=True)}

    for split, said in manifest(oracle)["splits"].items():
        held = hold(oracle, traced(oracle, "--samples", ":", "--split", split), texts, split)
        assert (held.samples, held.tokens, held.padding) == (said["samples"], said["tokens"], said["padding"])
