"""Records of very many shards are read from packs, and a pack says nothing that the records do not say."""

from pathlib import Path

import pytest

from datapipe.records import Records, read_records, record_path
from datapipe.shard import Made, Passed, Shard
from datapipe.storage import put_new


def shard(number: int) -> Shard:
    made = {"rows": Made(f"s/{number:06}-rows-ab.ipc", number, 8, "ab")}
    return Shard("s", number, made, (Passed("s", True, number, 0, number, 0),), {"s": {"seen": number}})


def finished(work: Path, numbers: range) -> Records:
    """Puts the records of shards as a run does."""
    records = Records(str(work))
    for number in numbers:
        put_new(record_path(str(work), "s", number), shard(number).to_json())
        records.finish(shard(number))
    return records


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datapipe.records.PACK_RECORDS", 10)


def test_what_was_packed_and_what_was_not_is_found_again(tmp_path: Path) -> None:
    finished(tmp_path, range(37))

    found = Records(str(tmp_path))
    assert len(list((tmp_path / "s/packs").iterdir())) == 3
    assert sorted(found.of("s")) == list(range(37))
    assert found.counts("s")["s"]["seen"] == sum(range(37))
    assert read_records(str(tmp_path), "s") == [shard(number) for number in range(37)]


def test_packed_records_are_read_from_their_packs_alone(tmp_path: Path) -> None:
    finished(tmp_path, range(20))
    for path in (tmp_path / "s/done").iterdir():
        path.write_bytes(b"not looked at")

    assert sorted(Records(str(tmp_path)).of("s")) == list(range(20))


def test_what_a_resumed_run_finds_unpacked_goes_into_packs(tmp_path: Path) -> None:
    finished(tmp_path, range(9))

    Records(str(tmp_path)).finish(shard(9))

    assert len(list((tmp_path / "s/packs").iterdir())) == 1


def test_a_shard_that_is_finished_twice_counts_once(tmp_path: Path) -> None:
    records = finished(tmp_path, range(3))

    records.finish(shard(2))

    assert records.counts("s")["s"]["seen"] == 3


def test_what_is_half_written_is_no_record_and_no_pack(tmp_path: Path) -> None:
    finished(tmp_path, range(12))
    (tmp_path / "s/packs/10-ab.jsonl.zst.0123456789ab.part").write_bytes(b"\x28\xb5\x2f\xfd")
    (tmp_path / "s/done/000012.json.0123456789ab.part").write_bytes(b"{")

    assert sorted(Records(str(tmp_path)).of("s")) == list(range(12))
