"""A mix of two phases as a user runs it: one order and the same bytes however it runs, and whatever kills it."""

import json
import os
import random
from pathlib import Path

import pytest
import yaml

import datapipe
from datapipe.task import FAULT_POINTS
from stages.mix.verify import check

WORDS = {
    "zh": list("道可道非常名天地之始万物母故常无欲以观其妙"),
    "en": "the way that can be told of is not it".split(),
}
SHARDS = 5  # of the corpus, so that number 4 is one of the mix's last steps alone


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config of two sources of 150 texts, to be mixed in two phases of 20,000 samples."""
    folder = tmp_path_factory.mktemp("phases")
    for source, words in WORDS.items():
        draw = random.Random(source)
        texts = [" ".join(draw.choices(words, k=int(draw.lognormvariate(3.5, 1)) + 3)) for _ in range(150)]
        lines = [json.dumps({"text": f"{text} {number}"}) + "\n" for number, text in enumerate(texts)]
        (folder / f"{source}.jsonl").write_text("".join(lines))
    mix = {
        "seq_len": 16,
        "tokens": "320K",
        "max_epochs": None,
        "shard_bytes": 4 * 16 * 20_000 // SHARDS,
        "weights": {"zh": 0.5, "en": 0.5},
        "phases": [{"name": "stable", "ratio": 0.8}, {"name": "anneal", "ratio": 0.2, "weights": {"zh": 9, "en": 1}}],
    }
    sources = {source: {"path": str(folder / f"{source}.jsonl")} for source in WORDS}
    steps = [
        {"ingest": {"sources": sources}},
        {"tokenize": {"tokenizer": {"train": {"vocab_size": 400}}}},
        {"mix": mix},
    ]
    (folder / "phases.yaml").write_text(yaml.safe_dump({"steps": steps}))
    return folder / "phases.yaml"


def corpus_of(out: Path) -> dict[str, bytes]:
    """Returns every file of a corpus by name."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted((out / "corpus").rglob("*.*"))}


def ended_at(fault: str, config: Path, out: Path) -> int:
    """Runs the config in a copy of this process, whose kernels are compiled, until the fault ends it."""
    child = os.fork()
    if child == 0:
        os.environ["PIPE_FAULT"] = fault
        datapipe.run(str(config), out=out, executor="local")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture(scope="module")
def local(config: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The corpus that this process makes."""
    out = tmp_path_factory.mktemp("local")
    datapipe.run(str(config), out=out, executor="local")
    return corpus_of(out)


def test_a_run_that_is_killed_comes_to_the_same_order(config: Path, local: dict[str, bytes], tmp_path: Path) -> None:
    while_packing, while_writing, at_the_manifest = 0, SHARDS - 1, 0
    faults = [(while_packing, point) for point in FAULT_POINTS]
    faults += [(while_writing, point) for point in FAULT_POINTS] + [(at_the_manifest, "before_commit")]
    killed = [ended_at(f"mix:{shard}:0:{point}", config, tmp_path) for shard, point in faults]
    datapipe.run(str(config), out=tmp_path, executor="local")

    assert killed == [17] * len(faults)
    assert json.loads(local["corpus/manifest.json"])["splits"]["train"]["shards"] == SHARDS
    assert len(local) == 15  # five shards with their segments, two files of documents, order, tokenizer, manifest
    assert differing(local, corpus_of(tmp_path)) == []
    assert list(check(str(tmp_path))) == []


@pytest.mark.heavy  # starts a Ray of its own; tests/test_quickstart.py has one that is not, of a mix of one phase
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_come_to_the_same_order(config: Path, local: dict[str, bytes], tmp_path: Path, workers: int) -> None:
    datapipe.run(str(config), out=tmp_path, executor="ray", workers=workers)

    assert differing(local, corpus_of(tmp_path)) == []


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """Returns the names of the files that are not equal."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
