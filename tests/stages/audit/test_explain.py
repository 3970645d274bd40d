import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datapipe import ConfigError
from stages.audit.explain import back, behind_lines, explained
from stages.audit.show import found_in
from stages.audit.story import Finder, story
from stages.audit.told import TAKEN_OUT
from stages.corpus import Corpus
from stages.corpus.index import segments
from stages.corpus.overlay import PIECES, put_remove, put_skip
from tests.stages.audit.conftest import DATA
from tests.stages.audit.folders import key, placed, written

HOSTILE = "\x1b[2J</script>\u202e天 lin@site.cn"
KEPT = [{"id": key(0), "source": "web", "url": "https://a.cn/0?tel=13800138000", "title": HOSTILE, "text": "一"}]
LEFT: list[dict[str, Any]] = [
    {"id": key(0), "stage": "repair", "action": "repair", "rule": "tags", "value": 3.0, "note": HOSTILE},
    {
        "id": key(1),
        "stage": "dedup",
        "action": "duplicate_of",
        "rule": "minhash",
        "other": key(0),
        "similarity": 0.875,
        "url": "https://a.cn/1",
    },
    {"id": key(2), "stage": "dedup", "action": "duplicate_of", "rule": "exact", "other": key(1), "similarity": 1.0},
    {
        "id": key(3),
        "stage": "quality",
        "action": "drop",
        "rule": "short",
        "value": 2.0,
        "limit": 5.0,
        "url": "https://a.cn/3",
        "file": "crawl/it's.warc.gz",
        "offset": 77,
        "crawl_time": 1_700_000_000,
        "note": HOSTILE,
    },
    {"id": key(3), "stage": "quality", "action": "also", "rule": "dense", "value": 1.0},
]
LEFT.append({"id": key(4), "stage": "repair", "action": "split", "rule": "articles", "other": key(0)})
RULES = {"ingest": [], "repair": ["tags"], "quality": ["short", "dense"], "dedup": ["minhash", "exact"]}


@pytest.fixture(scope="module", params=[True, False], ids=["placed", "scanned"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Finder:
    signals = [{"id": key(n), "han_ratio": 0.5} for n in (0, 3)]
    folder = written(tmp_path_factory.mktemp("run") / "run", KEPT, LEFT, signals=signals, rules=RULES)
    return Finder(str(placed(folder) if request.param else folder))


def told(finder: Finder, wanted: str) -> str:
    return "\n".join(explained(finder, wanted))


def test_one_that_left_went_through_the_steps_before_and_no_further(run: Finder) -> None:
    text = told(run, "https://a.cn/3")

    assert text.startswith(f"document {key(3).hex()}\n  url: https://a.cn/3\n")
    assert (
        "ingest: went through\nrepair: went through\nquality: left here\n  drop by short: value 2, limit 5; “" in text
    )
    assert "\n  also by dense: value 1\n  signals: han_ratio 0.5" in text
    assert "dedup" not in text


def test_one_that_stayed_says_what_was_repaired_and_what_fell_to_it(run: Finder) -> None:
    text = told(run, key(0).hex().upper())

    assert "repair: was repaired\n  repair by tags: value 3; “" in text
    assert "in the corpus: documents/part-00000-of-00001.parquet, row 0" in text
    assert "1 documents were dropped as duplicates of it\n" in text
    assert f"  {key(1).hex()} https://a.cn/1 (by minhash in dedup, similarity 0.875)" in text


def test_a_part_begins_where_it_was_made_and_the_whole_names_it(run: Finder) -> None:
    part, whole = told(run, key(4).hex()), told(run, key(0).hex())

    assert f"\nrepair: was made here, of another\n  split by articles, of {key(0).hex()}\nquality: went through" in part
    assert "ingest" not in part
    assert f"1 documents were made of parts of it: {key(4).hex()}" in whole


def test_the_survivor_of_a_duplicate_is_followed_to_one_that_stayed(run: Finder) -> None:
    text = told(run, key(2).hex())

    assert f"survivor {key(1).hex()} https://a.cn/1 left at dedup: duplicate_of by minhash" in text
    assert f"its survivor {key(0).hex()} web https://a.cn/0?tel=<PHONE> stayed" in text


def test_the_record_is_named_with_what_cuts_it_out(run: Finder) -> None:
    record = story(run, key(3))["record"]

    assert {name: record[name] for name in ("file", "offset", "crawl_date")} == {
        "file": "crawl/it's.warc.gz",
        "offset": 77,
        "crawl_date": "2023-11-14T22:13:20Z",
    }
    assert shlex.split(record["cut"]) == ["fastwarc", "extract", "crawl/it's.warc.gz", "77"]


def test_all_that_is_told_is_masked_and_plain(run: Finder) -> None:
    for number in range(4):
        for text in (told(run, key(number).hex()), "\n".join(explained(run, key(number).hex(), as_json=True))):
            assert not {"\x1b", "\u202e"} & set(text)
            assert "13800138000" not in text
            assert "lin@site.cn" not in text


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("https://a.cn/?mail=lin@site.cn", r"no document has the url https://a\.cn/\?mail=<EMAIL>"),
        ("天\udcff", r"no document has the url 天\\udcff"),
        ("0" * 32, "no document has the id 0{32}: it is of another run, or of a record that was never taken"),
    ],
)
def test_what_is_not_known_is_a_sentence(wanted: str, sentence: str, run: Finder) -> None:
    with pytest.raises(ConfigError, match=sentence):
        told(run, wanted)


def test_an_address_that_was_nearly_right_is_named(tmp_path: Path) -> None:
    folder = placed(written(tmp_path / "run", KEPT, LEFT, rules=RULES))

    with pytest.raises(ConfigError, match=r"did you mean https://a\.cn/3\?"):
        told(Finder(str(folder)), "http://a.cn/3/")


def test_an_address_is_found_in_another_spelling(run: Finder) -> None:
    assert run.documents("HTTPS://A.cn:443/3#top") == [key(3)]


def documents_of(folder: Path) -> list[dict[str, Any]]:
    files = sorted((folder / "corpus/index").glob("documents-*.parquet"))
    return [row for path in files for row in pq.read_table(path).to_pylist()]


def test_a_document_leads_to_its_samples_and_each_of_those_back_to_its_record(finished: Path) -> None:
    finder = Finder(str(finished))
    row = next(row for row in documents_of(finished) if row["split"] == "train" and row["times_seen"])

    pieces = story(finder, bytes.fromhex(row["doc_id"]))["pieces"]

    train = [piece for piece in pieces if piece["split"] == "train"]
    assert train
    for piece in train:
        (found,) = [one for one in back(finder, piece["sample"], None, "train") if one["piece"] == piece]
        assert (found["id"], found["record"]["file"], found["record"]["offset"]) == tuple(
            row[name] for name in ("doc_id", "file", "offset")
        )
        start, end = map(int, piece["tokens"].split(":"))
        assert end - start == int(piece["of_document"].split(":")[1]) - int(piece["of_document"].split(":")[0])


def test_the_cut_of_a_real_record_is_the_page(finished: Path) -> None:
    row = next(row for row in documents_of(finished) if row["file"] == "sample.warc.gz")
    (_, _, name, offset) = shlex.split(story(Finder(str(finished)), bytes.fromhex(row["doc_id"]))["record"]["cut"])

    command = [str(Path(sys.executable).parent / "fastwarc"), "extract", str(DATA / name), offset]
    cut = subprocess.run(command, capture_output=True, check=True).stdout

    assert f"WARC-Target-URI: {row['url']}".encode() in cut


def test_a_token_leads_to_its_document(finished: Path) -> None:
    finder = Finder(str(finished))
    (found,) = back(finder, None, "0:3", "train")
    (first, *_) = segments(Corpus.open(str(finished)).split("train"), 0, 1).to_pylist()

    assert (found["id"], found["token"]["place"], found["piece"]["sample"]) == (first["doc_id"], 3, 0)
    assert next(iter(behind_lines([found]))).startswith("token 3 (")


def test_what_overlays_leave_out_is_said(copied: Path) -> None:
    corpus = Corpus.open(str(copied))
    piece = next(row for row in segments(corpus.split("train")).to_pylist() if row["sample"] == 0)
    taken = {"split": "train", "url": None, **{name: piece[name] for name in ("sample", "start", "end", "doc_id")}}
    put_skip(corpus.folder, corpus.manifest, {"train": [(1, 2)]})
    put_remove(corpus.folder, corpus.manifest, PIECES.empty_table().from_pylist([taken], PIECES), {})

    found = list(back(Finder(str(copied)), 0, None, "train"))
    skipped = list(back(Finder(str(copied)), 1, None, "train"))

    assert [one["piece"].get("removed", False) for one in found].count(True) == 1
    assert all(one["piece"]["skipped"] for one in skipped)
    assert any("(an overlay removes it)" in line for line in behind_lines(found))


def test_no_word_of_a_document_that_an_overlay_takes_out_is_told_nor_of_what_fell_to_it(copied: Path) -> None:
    corpus, ledger = Corpus.open(str(copied)), [pq.read_table(path) for path in sorted(copied.glob("ledger/*.parquet"))]
    fallen = next(row for row in pa.concat_tables(ledger).to_pylist() if row["action"] == "duplicate_of")
    survivor = fallen["other"].hex()
    pieces = [row for row in segments(corpus.split("train")).to_pylist() if row["doc_id"] == survivor]
    taken = [
        {"split": "train", "url": None, **{name: row[name] for name in ("sample", "start", "end", "doc_id")}}
        for row in pieces
    ]
    before = told(Finder(str(copied)), fallen["id"].hex())
    put_remove(corpus.folder, corpus.manifest, pa.Table.from_pylist(taken, PIECES), {})
    finder = Finder(str(copied))

    stories = [told(finder, fallen["id"].hex()), told(finder, survivor)]
    shown = [found_in(str(copied), [f"id={one}"])["documents"][0] for one in (fallen["id"].hex(), survivor)]

    assert "; “" in before
    assert all(TAKEN_OUT in text for text in stories)
    assert not any(word in text for text in stories for word in ("“", "title:"))
    assert all(one["removed"] and not {"text", "title"} & one.keys() for one in shown)


@pytest.mark.parametrize(
    ("sample", "token", "split", "sentence"),
    [
        (10**6, None, "train", "--sample 1000000: train has the samples 0 to "),
        (None, "x:1", "train", "train has no shard 'x'"),
        (0, None, "test", "has no split 'test'; it has train, validation"),
    ],
)
def test_a_place_that_is_none_is_a_sentence(
    sample: int | None, token: str | None, split: str, sentence: str, finished: Path
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        list(back(Finder(str(finished)), sample, token, split))


def test_a_run_without_samples_says_so(run: Finder) -> None:
    with pytest.raises(ConfigError, match="holds no corpus of samples"):
        list(back(run, 0, None, "train"))


def test_the_command_says_what_is_not_known(tmp_path: Path) -> None:
    folder = str(written(tmp_path / "run", KEPT, LEFT, rules=RULES))
    command = [sys.executable, "-m", "datapipe", "explain", folder, "https://a.cn/none"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"datapipe: {folder}: no document has the url https://a.cn/none")


def test_as_json_a_story_holds_what_its_lines_say(run: Finder) -> None:
    (found,) = json.loads("\n".join(explained(run, key(3).hex(), as_json=True)))

    assert (found["outcome"], found["steps"][-1]["step"]) == ("left", "quality")
    assert [said["rule"] for said in found["steps"][-1]["rules"]] == ["short", "dense"]
