"""Two real runs compared: every change has a cause, and it is the one that a plain reading of both runs comes to."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard

from stages.audit.compare.changes import Changes, compare
from tests.stages.audit.test_diff import command

ROOT = Path(__file__).resolve().parents[3]
Row = dict[str, Any]

pytestmark = pytest.mark.heavy


def ran(config: str, out: Path, work: Path, *limits: str, **more: str) -> Path:
    """Runs a config as a user does."""
    command = [sys.executable, "-m", "datapipe.cli", "run", config, "--executor", "local", "--no-report"]
    command += ["--out", str(out), "--work", str(work), *(word for limit in limits for word in ("--set", limit))]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **more}, capture_output=True)
    return out


def rows_of(changes: Changes) -> list[Row]:
    return [row for file in changes.files for row in pq.read_table(file).to_pylist()]


@dataclass
class Plain:
    """A run as a plain reading of its files has it: the texts that stayed, and how each of the others left."""

    kept: dict[str, Row] = field(default_factory=dict)
    left: dict[str, Row] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> Plain:
        made = cls()
        for file in sorted((folder / "corpus/index").glob("documents-*.parquet")):
            made.kept |= {row["doc_id"]: row for row in pq.read_table(file).to_pylist()}
        for file in sorted((folder / "ledger").glob("*.parquet")):
            for row in pq.read_table(file).to_pylist():
                if row["action"] in ("drop", "duplicate_of", "quarantine"):
                    assert row["id"].hex() not in made.left
                    made.left[row["id"].hex()] = row
        return made


def recount(a: Plain, b: Plain) -> Counter[str]:
    """Returns how many documents are of each kind, by ids alone."""
    counts: Counter[str] = Counter()
    for one in {*a.kept, *a.left, *b.kept, *b.left}:
        if one in a.kept and one in b.kept:
            left, right = a.kept[one], b.kept[one]
            other = {name for name in left if left[name] != right[name] and left[name] == left[name]}
            text = left["text_digest"] != right["text_digest"]
            counts["text" if text else "fields" if other - {"cluster"} else "same"] += 1
        elif one in a.kept or one in b.kept:
            counts["only_a" if one in a.kept else "only_b"] += 1
        else:
            how = [(run.left[one]["stage"], run.left[one]["rule"]) for run in (a, b)]
            copies = all(run.left[one]["action"] == "duplicate_of" for run in (a, b)) and how[0][0] == how[1][0]
            counts["gone" if how[0] == how[1] or copies else "gone_otherwise"] += 1
    return counts


@pytest.fixture(scope="module")
def runs(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of zh_en: with a small tokenizer, which decides on no document, and beside it with a limit moved."""
    place = tmp_path_factory.mktemp("zh_en")
    limits: dict[str, tuple[str, ...]] = {
        "base": (),
        "longer": ("quality.limits.zh_length.min=400",),
        "stricter": ("quality.limits.zh_repetition.max=0.3",),
    }
    config, small = "configs/zh_en.yaml", "tokenize.tokenizer.train.vocab_size=512"

    def run(name: str) -> Path:
        return ran(config, place / name, place / "work", small, *limits[name], DATAPIPE_SHARED=str(shared))

    base = run("base")  # of whose work the others take what is before their limit
    others = [name for name in limits if name != "base"]
    with ThreadPoolExecutor() as pool:
        return {"base": base, **dict(zip(others, pool.map(run, others), strict=True))}


@pytest.mark.parametrize(
    ("name", "rule", "low", "high"),
    [
        ("longer", "zh_length", 200.0, 400.0),
        ("stricter", "zh_repetition", 0.3, 0.5),
    ],
)
def test_one_moved_limit_explains_every_document_that_changed(
    runs: dict[str, Path], tmp_path: Path, name: str, rule: str, low: float, high: float
) -> None:
    changes = compare(runs["base"], runs[name], place=tmp_path, executor="local")
    a, b = Plain.of(runs["base"]), Plain.of(runs[name])
    rows = rows_of(changes)

    counted: Counter[str] = Counter()
    for row in changes.counts.to_pylist():
        counted[row["kind"]] += row["documents"]
    assert counted == recount(a, b)
    assert counted["same"] + counted["gone"] + len(rows) == len({*a.kept, *a.left, *b.kept, *b.left}) == 10_151
    assert not {"unknown", "none"} & {row["cause"] for row in rows}
    moved = [row for row in rows if row["kind"] != "fields"]
    assert moved
    assert {(row["cause"], row["stage"], row["rule"]) for row in moved} == {("limit", "quality", rule)}
    assert all(row["edits_a"] == row["edits_b"] for row in rows if row["kind"] == "fields")
    for row in moved:
        check_moved(row, a, b, rule, low, high)


def check_moved(row: Row, a: Plain, b: Plain, rule: str, low: float, high: float) -> None:
    """Checks by both ledgers that a moved limit is the cause of a change, or that of its survivor."""
    one = row["id_a"].hex()
    assert row["id_b"].hex() == one
    if not row["steps"]:
        (left,) = [run.left[one] for run in (a, b) if one in run.left and run.left[one]["rule"] == rule]
        assert low <= left["value"] <= high
        return
    # It fell for another in the run in which it did not stay: that one is gone from the other run by the rule.
    falls, stays = (a, b) if one in a.left and a.left[one]["action"] == "duplicate_of" else (b, a)
    for _ in range(row["steps"] - 1):
        one = falls.left[one]["other"].hex()
        falls, stays = stays, falls
    survivor = falls.left[one]["other"].hex()
    assert stays.left[survivor]["rule"] == rule
    assert low <= stays.left[survivor]["value"] <= high


def test_a_run_does_not_differ_from_itself(runs: dict[str, Path], tmp_path: Path) -> None:
    changes = compare(runs["base"], runs["base"], place=tmp_path, executor="local")

    assert {*changes.counts.column("kind").to_pylist()} == {"same", "gone"}
    assert rows_of(changes) == []


def test_a_cluster_says_what_this_process_says(runs: dict[str, Path], tmp_path: Path) -> None:
    here = compare(runs["base"], runs["stricter"], place=tmp_path / "here", executor="local")
    there = compare(runs["base"], runs["stricter"], place=tmp_path / "there", executor="ray", workers=2)

    assert here.counts.equals(there.counts)
    assert here.first.equals(there.first)
    assert [Path(file).read_bytes() for file in here.files] == [Path(file).read_bytes() for file in there.files]


# Versions of documentation


def documents(shared: Path, name: str) -> Iterator[Row]:
    """Yields the records of a collection."""
    path = shared / "data/corpora" / f"{name}.jsonl.zst"
    with open(path, "rb") as file, zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as raw:
        for line in io.TextIOWrapper(raw, encoding="utf-8"):
            yield json.loads(line)


def docs(folder: Path, name: str, rows: list[Row]) -> Path:
    """Writes records as JSON lines and returns a run over them."""
    (folder / name).mkdir(parents=True)
    path = folder / name / "docs.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    config = {
        "name": "docs",
        "steps": [
            {"ingest": {"sources": {"docs": {"path": str(path)}}}},
            "repair",
            "language",
            "format",
            {"quality": {}},
            "pii",
            "dedup",
            {"tokenize": {"tokenizer": {"train": {"vocab_size": 512}}}},
            {"mix": {"by": "source", "weights": {"docs": 1.0}, "seq_len": 512}},
        ],
    }
    (folder / name / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return ran(str(folder / name / "config.json"), folder / name / "out", folder / "work")


def test_a_changed_documentation_is_told_document_by_document(shared: Path, tmp_path: Path) -> None:
    """Half of Kubernetes': every 10th page is taken out, every 7th is written another sentence to, some are new."""
    pages = list(documents(shared, "kubernetes-docs-versions"))[::2]
    before = [{"url": f"https://k8s.example/{page['id']}", "text": page["text"]} for page in pages]
    sentence = "\n\nThis page was reviewed by the editors of the second version, who found it good.\n"
    added = [
        {"url": f"https://k8s.example/new/{number}", "text": f"A page of its own, number {number}. " * 30}
        for number in range(5)
    ]
    gone = {page["url"] for page in before[::10]}
    edited = {page["url"] for page in before[::7]} - gone
    after = [
        {**page, "text": page["text"] + sentence} if page["url"] in edited else page
        for page in before
        if page["url"] not in gone
    ]
    a, b = docs(tmp_path, "a", before), docs(tmp_path, "b", [*added, *after])

    changes = compare(a, b, place=tmp_path / "place", executor="local")
    rows = rows_of(changes)

    assert not {"unknown", "none"} & {row["cause"] for row in rows}
    check_sums(changes, a, b)
    urls = {kind: {row["url"] for row in rows if row["kind"] == kind} for kind in ("text", "only_a", "only_b")}
    not_given = {row["url"] for row in rows if row["cause"] == "input_record" and not row["steps"]}
    assert not_given == {row["url"] for row in rows if row["url"] in gone | {page["url"] for page in added}}
    assert gone <= not_given  # whether they stayed in A or not
    assert urls["text"] <= edited
    stayed = [{row["url"] for row in Plain.of(run).kept.values()} for run in (a, b)]
    assert urls["text"] == edited & stayed[0] & stayed[1]
    assert urls["only_a"] == stayed[0] - stayed[1]
    assert urls["only_b"] == stayed[1] - stayed[0]
    by_url = {row["url"]: row for row in rows if row["matched"] != "none"}
    assert {row["matched"] for row in by_url.values()} <= {"id", "url"}


def check_sums(changes: Changes, a: Path, b: Path) -> None:
    """Checks that all documents of both runs are counted once."""
    given = [{"same", "fields", "text", "gone", "gone_otherwise", own, alone} for own, alone in SIDES]
    for kinds, run in zip(given, (a, b), strict=True):
        plain = Plain.of(run)
        counted = sum(row["documents"] for row in changes.counts.to_pylist() if row["kind"] in kinds)
        counted += sum(
            row["documents"]
            for row in changes.counts.to_pylist()
            if row["kind"] in ("only_a", "only_b") and row["kind"] not in kinds and row["matched"] != "none"
        )
        assert counted == len(plain.kept) + len(plain.left)


SIDES = (("only_a", "gone_a"), ("only_b", "gone_b"))


@pytest.mark.parametrize(
    ("name", "versions"),
    [("iotdb-docs-versions", ("/V1.2.x/", "/V1.3.x/")), ("nodejs-api-versions", ("/v18/", "/v20/"))],
)
def test_two_versions_of_a_documentation_are_one_by_their_addresses(
    shared: Path, tmp_path: Path, name: str, versions: tuple[str, str]
) -> None:
    pages: list[dict[str, str]] = [{}, {}]
    for page in documents(shared, name):
        for own, version in zip(pages, versions, strict=True):
            if version in page["id"]:
                own[page["id"].replace(version, "/")] = page["text"]
    a, b = (
        docs(tmp_path, side, [{"url": f"https://docs.example/{at}", "text": text} for at, text in own.items()])
        for side, own in zip("ab", pages, strict=True)
    )

    changes = compare(a, b, place=tmp_path / "place", executor="local")
    rows = rows_of(changes)

    assert not {"unknown", "none"} & {row["cause"] for row in rows}
    check_sums(changes, a, b)
    plain = [Plain.of(run) for run in (a, b)]
    stayed = [{row["url"]: row["text_digest"] for row in run.kept.values()} for run in plain]
    both = stayed[0].keys() & stayed[1].keys()
    assert {row["url"] for row in rows if row["kind"] == "text"} == {
        url for url in both if stayed[0][url] != stayed[1][url]
    }
    for kind, other in (("only_a", 1), ("only_b", 0)):
        alone = [row for row in rows if row["kind"] == kind and row["matched"] == "none"]
        addresses = {f"https://docs.example/{at}" for at in pages[other]}
        assert not {row["url"] for row in alone} & addresses  # or paired by their texts, when they were moved
        assert {row["cause"] for row in alone} <= {"input_record"}


def test_gates_on_two_real_runs_fail_and_pass_as_they_should(runs: dict[str, Path], tmp_path: Path) -> None:
    """The rule of `longer` asks for 400 Han characters, not 200: it takes short texts, most of all those of Hant."""
    gates = tmp_path / "gates.yaml"
    limits = {
        "host.top10 < .15": False,  # there are six hosts
        "survival.zho_Hant > .7": True,
        "change.hosts.top10.tokens < .02": True,
        "change.kept.language.zho_Hant > -.02": False,
        "change.kept.language.eng_Latn = 0": True,
        "diff.only_a > 50": True,
        "diff.only_b = 0": True,
        "diff.text = 0": True,
        "diff.shift.language.documents < .001": True,
        "survival.zho_Hnat > .7": False,
    }
    gates.write_text("".join(f"- {limit}\n" for limit in limits))

    found = command("diff", runs["base"], runs["longer"], "--work", tmp_path / "work", "--gates", gates, "--json")

    judged = json.loads(found.stdout)["gates"]
    assert [one["passed"] for one in judged] == list(limits.values())
    assert found.exit_code == 1
