"""The generated corpus is as it is said to be, wherever it is cut off."""

from __future__ import annotations

import io
import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pytest
import zstandard

from datapipe import ConfigError, run
from stages.dedup.evaluation.copies import similarities
from stages.dedup.evaluation.corpus import ORIGINAL, Corpus, Made, generate, write
from stages.dedup.evaluation.lexicon import CHINESE, ENGLISH, MIXED, made_text, pools_of, real_text
from stages.dedup.evaluation.pairs import similar_pairs
from stages.dedup.fold import fold_table, load
from stages.dedup.shingles import shingle_sets
from tests.stages.dedup.evaluation.texts import CHINESE as CHINESE_TEXT


@pytest.fixture(scope="module")
def made() -> list[Made]:
    return list(generate(Corpus(documents=600, hosts=50, months=6)))


def lines(file: Path) -> list[dict[str, object]]:
    with file.open("rb") as raw:
        return [json.loads(line) for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8")]


def test_what_it_says_of_a_copy_is_true(made: list[Made]) -> None:
    originals = {row.cluster: row.text for row in made if row.kind == ORIGINAL}
    jaccard, containment = similarities([originals[row.cluster] for row in made], [row.text for row in made])

    assert jaccard.tolist() == [row.jaccard for row in made]
    assert containment.tolist() == [row.containment for row in made]
    assert {row.jaccard for row in made if row.kind in ("mirror", "crawled_again")} == {1.0}


def test_no_documents_are_alike_but_those_of_a_cluster(made: list[Made]) -> None:
    sets = shingle_sets(pa.array([row.text for row in made]), load(fold_table()), width=5)

    pairs = similar_pairs(sets, 0.5)

    assert len(pairs.first) > 100
    for first, second in zip(pairs.first, pairs.second, strict=True):
        assert made[first].cluster == made[second].cluster


def test_copies_lie_on_other_hosts_or_at_the_same_address_later(made: list[Made]) -> None:
    clusters: dict[int, list[Made]] = defaultdict(list)
    for row in made:
        clusters[row.cluster].append(row)

    assert len({(row.url, row.date) for row in made}) == len(made)
    for original, *copies in clusters.values():
        assert original.kind == ORIGINAL
        assert not (original.is_alone and copies)
        for copy in copies:
            assert not copy.is_alone
            assert copy.month >= original.month
            assert (copy.url == original.url) == (copy.kind in ("crawled_again", "changed_since"))


def test_few_hosts_hold_most_and_all_languages_are_there(made: list[Made]) -> None:
    hosts = Counter(row.url.split("/")[2] for row in made)

    assert len(hosts) > 40
    assert sum(amount for _, amount in hosts.most_common(5)) > 0.3 * len(made)
    assert {row.language for row in made} == {CHINESE, ENGLISH, MIXED}


def test_a_longer_corpus_begins_with_a_shorter_one_and_a_seed_makes_another(made: list[Made]) -> None:
    assert list(generate(Corpus(documents=100, hosts=50, months=6))) == made[:100]
    assert next(generate(Corpus(documents=1, hosts=50, months=6, seed=2))).text != made[0].text


def test_writes_every_document_into_its_month_and_the_truth_beside(tmp_path: Path, made: list[Made]) -> None:
    amounts = write(Corpus(documents=600, hosts=50, months=6), tmp_path / "corpus")

    files = sorted((tmp_path / "corpus/documents").iterdir())
    documents = [row for file in files for row in lines(file)]
    truth = {(row["url"], row["date"]): row for row in lines(tmp_path / "corpus/truth.jsonl.zst")}
    assert [file.name for file in files] == [f"2024-0{month}.jsonl.zst" for month in range(1, 7)]
    assert all(str(row["date"]).startswith(file.name[:7]) for file in files for row in lines(file))
    assert sorted(str(row["text"]) for row in documents) == sorted(row.text for row in made)
    assert amounts == Counter(row.kind for row in made)
    assert set(truth) == {(row.url, row.date) for row in made if not row.is_alone}
    assert all(truth[row.url, row.date]["jaccard"] == row.jaccard for row in made if not row.is_alone)
    with pytest.raises(ConfigError, match="is not empty"):
        write(Corpus(documents=1), tmp_path / "corpus")


def test_a_run_reads_it_and_removes_what_the_truth_allows(tmp_path: Path) -> None:
    write(Corpus(documents=300, hosts=20, months=3), tmp_path / "corpus")
    source = {"path": str(tmp_path / "corpus/documents/*.jsonl.zst")}
    steps = [{"ingest": {"sources": {"crawl": source}}}, {"dedup": {"guard": None}}]

    run({"name": "corpus", "steps": steps}, out=tmp_path / "run", executor="local")

    ledger = pads.dataset(tmp_path / "run/ledger", format="parquet").to_table().to_pylist()
    truth = lines(tmp_path / "corpus/truth.jsonl.zst")
    equal = Counter(row["cluster"] for row in truth if row["jaccard"] == 1)
    assert {row["action"] for row in ledger} == {"duplicate_of"}
    assert sum(amount - 1 for amount in equal.values()) <= len(ledger) < len(truth)
    assert {row["url"] for row in ledger} <= {row["url"] for row in truth}


def test_ingest_finds_the_texts_in_the_pages_of_its_archives(tmp_path: Path) -> None:
    corpus = Corpus(documents=60, hosts=20, months=2)
    write(corpus, tmp_path / "corpus", form="warc")
    source = {"path": str(tmp_path / "corpus/documents/*.warc.gz")}
    steps = [{"ingest": {"sources": {"crawl": source}}}, {"write": {"columns": ["url", "crawl_date", "text"]}}]

    run({"name": "pages", "steps": steps}, out=tmp_path / "run", executor="local")

    found = pads.dataset(tmp_path / "run/documents", format="parquet").to_table().to_pylist()
    texts = {(row["url"], row["crawl_date"]): row["text"] for row in found}
    made = list(generate(corpus))
    assert set(texts) == {(row.url, row.date) for row in made}
    jaccard, _ = similarities([row.text for row in made], [texts[row.url, row.date] for row in made])
    assert np.median(jaccard) == 1
    assert jaccard.mean() > 0.95


def test_makes_documents_of_the_sentences_of_real_text() -> None:
    draw = np.random.RandomState(1)
    source = [made_text(language, draw, 30_000) for language in (CHINESE, ENGLISH)]

    pools = pools_of(source)
    made = [row for row in generate(Corpus(documents=60), real_text(pools)) if row.kind == ORIGINAL]

    assert all(sentence in "".join(source) for pool in pools.values() for sentence in pool[:50])
    sets = shingle_sets(pa.array([row.text for row in made]), load(fold_table()), width=5)
    assert len(similar_pairs(sets, 0.5).first) == 0
    assert all(len(row.text) > 100 for row in made)


def test_refuses_a_corpus_of_nothing_and_text_of_too_few_sentences() -> None:
    with pytest.raises(ConfigError, match="--hosts 0: is at least 1"):
        Corpus(documents=1, hosts=0)
    with pytest.raises(ConfigError, match="--months 601: is at most 600"):
        Corpus(documents=1, months=601)
    with pytest.raises(ConfigError, match="fewer than 1000"):
        pools_of([CHINESE_TEXT])
