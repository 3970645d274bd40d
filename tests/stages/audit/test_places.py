import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import datapipe
from datapipe import ID, ConfigError, part_of
from datapipe.exchange import Routing
from datapipe.exchange import part_of as parts_of
from stages.audit.places import FELL, URL, Places, ids_of, key_of, key_of_id
from stages.audit.show import found_in
from stages.audit.story import Finder, story
from tests.stages.audit.conftest import DATA
from tests.stages.audit.folders import counting, generated, key, placed, written

LEFT = [
    {
        "id": key(1),
        "stage": "dedup",
        "action": "duplicate_of",
        "rule": "minhash",
        "other": key(0),
        "url": "https://a.cn/1",
    },
    {"id": key(2), "stage": "quality", "action": "drop", "rule": "short", "url": "https://a.cn/0"},
    {"id": key(2), "stage": "quality", "action": "also", "rule": "dense", "url": "https://a.cn/0"},
]
KEPT = [{"id": key(0), "url": "https://a.cn/0", "text": "一"}, {"id": key(3), "text": "二"}]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return placed(written(tmp_path / "run", KEPT, LEFT))


@pytest.mark.parametrize("parts", [1, 4, 7, 64])
def test_a_key_is_sought_in_the_part_that_the_exchange_sent_it_to(parts: int) -> None:
    ids = [os.urandom(16) for _ in range(200)]
    numbers = np.random.default_rng(0).integers(0, 1 << 64, 200, np.uint64)

    assert [part_of(one, parts) for one in ids] == parts_of(pa.array(ids, ID), Routing("id", (), parts, False)).tolist()
    assert [part_of(int(one), parts) for one in numbers] == parts_of(
        pa.array(numbers), Routing("key", (), parts, False)
    ).tolist()


def test_an_address_leads_to_every_document_that_was_fetched_from_it(run: Path) -> None:
    places = Places.open(str(run))

    assert places is not None
    assert sorted(places.of_address("https://a.cn/0")) == sorted([key(0), key(2)])
    assert places.of_address("https://a.cn/1") == [key(1)]
    assert places.of_address("https://a.cn/2") == []


def test_a_document_leads_to_its_rows_and_to_those_that_were_dropped_for_it(run: Path) -> None:
    places = Places.open(str(run))
    assert places is not None

    found = {row["kind"]: row for row in places.of_document(key(0))}

    assert found.keys() == {"document", FELL}
    assert (found["document"]["file"], found["document"]["row"], found[FELL]["id"]) == (0, 0, key(1))
    assert [row["kind"] for row in places.of_document(key(3))] == ["document"]


def test_of_many_duplicates_the_first_are_read_and_all_are_counted(tmp_path: Path) -> None:
    fell = {"stage": "dedup", "action": "duplicate_of", "rule": "exact", "other": key(0)}
    made = written(tmp_path / "run", KEPT, [{"id": key(10 + n), **fell} for n in range(100)])
    scanned = story(Finder(str(made)), key(0))

    finder = Finder(str(placed(made)))
    with counting() as reads:
        told = story(finder, key(0))

    assert (told["duplicates"], told) == (100, scanned)
    assert [one["id"] for one in told["duplicates_first"]] == sorted(key(10 + n).hex() for n in range(100))[:20]
    assert reads.groups < 40


def test_the_index_is_sorted_by_key_and_says_so(run: Path) -> None:
    file = pq.ParquetFile(run / "reports/places/places-00000-of-00001.parquet")
    table = file.read()
    bounds = file.metadata.row_group(0).column(0).statistics

    keys = table.column("key").to_pylist()
    assert keys == sorted(keys)
    assert (bounds.min, bounds.max) == (keys[0], keys[-1])
    assert {key_of("https://a.cn/0"), key_of_id(key(0))} <= set(keys)
    assert table.column("kind").to_pylist().count(URL) == 3


def test_an_index_of_what_was_published_before_is_not_gone_by(run: Path) -> None:
    claim = run / "reports/published.json"
    claim.write_text(claim.read_text().replace('"ledger/', '"ledger/x'))

    assert Places.open(str(run)) is None


def test_an_index_of_which_a_part_is_gone_is_not_gone_by(run: Path) -> None:
    folder = run / "reports/places"
    (folder / "places-00000-of-00001.parquet").rename(folder / "places-00000-of-00002.parquet")

    assert Places.open(str(run)) is None


def test_the_index_takes_the_place_of_the_one_before(run: Path) -> None:
    (run / "reports/places/places-00000-of-00002.parquet").write_bytes(b"old")

    placed(run)

    assert [path.name for path in (run / "reports/places").iterdir()] == ["places-00000-of-00001.parquet"]


def test_what_is_told_is_the_same_without_the_index(finished: Path, tmp_path: Path) -> None:
    with_index = placed(Path(shutil.copytree(finished, tmp_path / "placed")))
    ids = [bytes.fromhex(one) for one in _ids(finished)]

    for one in ids:
        assert story(Finder(str(with_index)), one) == story(Finder(str(finished)), one)
    assert Finder(str(with_index)).places is not None
    assert Finder(str(finished)).places is None


@pytest.mark.parametrize(
    "how", [{"format": "jsonl"}, {"format": "parquet"}, {"format": "parquet", "compression": "snappy"}]
)
def test_documents_that_a_run_wrote_are_found_in_every_format(how: dict[str, str], tmp_path: Path) -> None:
    sources = {"notes": {"path": str(DATA / "notes.jsonl")}}
    config = {"name": "written", "steps": [{"ingest": {"sources": sources}}, {"write": how}]}
    datapipe.run(config, out=tmp_path / "out", executor="local")
    wanted = found_in(str(tmp_path / "out"), kept=True, n=3)["documents"]

    placed(tmp_path / "out")

    finder = Finder(str(tmp_path / "out"))
    assert finder.places is not None
    assert [story(finder, bytes.fromhex(one["id"]))["corpus"]["row"] for one in wanted]
    assert found_in(str(tmp_path / "out"), kept=True, n=3)["documents"] == wanted


def _ids(folder: Path) -> list[str]:
    """Returns the ids of some documents that stayed, and of one for each rule by which others left."""
    files = sorted((folder / "corpus/index").glob("documents-*.parquet"))
    kept = [row for path in files for row in pq.read_table(path, columns=["doc_id"]).column(0).to_pylist()]
    left: dict[str, str] = {}
    for path in sorted((folder / "ledger").glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            left[row["rule"]] = row["id"].hex()
    return [*kept[:5], *left.values()]


@pytest.mark.parametrize("documents", [(40_000, 120_000), pytest.param((100_000, 1_000_000), marks=pytest.mark.long)])
def test_what_is_read_for_a_document_does_not_grow_with_the_ledger(documents: tuple[int, int], tmp_path: Path) -> None:
    asked = {
        "left, by url": "https://h7.cn/7",
        "kept, by url": None,
        "kept, by id": None,
        "unknown": "https://none.cn/",
    }
    read = []
    for amount in documents:
        folder = placed(generated(tmp_path / str(amount), amount, parts=1))
        last = amount - 1
        asked["kept, by url"] = f"https://h{last % 997}.cn/{last}"
        asked["kept, by id"] = Finder(str(folder)).documents(asked["kept, by url"])[0].hex()
        found = {}
        for name, wanted in asked.items():
            with counting() as reads:
                finder = Finder(str(folder))
                if name == "unknown":
                    with pytest.raises(ConfigError):
                        finder.documents(wanted or "")
                else:
                    story(finder, finder.documents(wanted or "")[0])
            found[name] = reads
        read.append(found)

    few, many = read
    for name in asked:
        assert many[name].groups == few[name].groups <= 24
        assert many[name].files == few[name].files
        assert many[name].bytes < 1.25 * few[name].bytes
        assert many[name].bytes < 4 << 20


@pytest.mark.parametrize(
    "column",
    [
        pa.array([key(1), None], ID),
        pa.array([key(1).hex(), None]),
        pa.array([key(0).hex(), key(1).hex(), "no id", key(1).hex().upper()])[1:],
    ],
)
def test_ids_are_read_as_bytes_and_as_hex_digits(column: pa.Array) -> None:
    assert ids_of(column).to_pylist() == [key(1)] + [None] * (len(column) - 1)
