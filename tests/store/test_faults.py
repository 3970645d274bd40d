"""A store that fails, link and server: nothing is lost, doubled or half, and giving up is a sentence in time."""

import hashlib
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import serve

from datapipe import storage
from datapipe.errors import ConfigError, Unreachable

FAULTS = ["500", "503", "429", "409", "500_after", "cut_before", "cut_body", "cut_after", "late"]
MIXED = {"500": 0.05, "503": 0.05, "500_after": 0.05, "cut_before": 0.05, "cut_body": 0.05, "cut_after": 0.05}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_call_outlives_a_fault(
    store: serve.Store, folder: str, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "late":
        monkeypatch.setenv("DATAPIPE_STORE_TIMEOUT_SECONDS", "0.5")
    path, local = f"{folder}/a.json", tmp_path / "local"
    local.write_bytes(b"shard")

    def meet(method: str = "") -> None:
        store.next_faults([fault], method)

    meet("PUT")
    assert storage.put_new(path, b"claimed")
    meet("PUT")
    assert not storage.put_new(path, b"another")
    meet("PUT")
    storage.put(f"{folder}/run.json", b"run")
    meet("PUT")
    storage.put_file(str(local), f"{folder}/made.ipc")
    meet("PUT")
    storage.link_new(path, f"{folder}/linked")
    meet()
    assert storage.read_bytes(path) == b"claimed"
    meet()
    assert storage.list_folder(folder) == [f"{folder}/{name}" for name in ("a.json", "linked", "made.ipc", "run.json")]
    meet()
    assert storage.walk(folder) == ["a.json", "linked", "made.ipc", "run.json"]
    meet()
    assert storage.size_of(f"{folder}/made.ipc") == 5
    meet()
    storage.remove(f"{folder}/run.json")
    meet()
    assert not storage.exists(f"{folder}/run.json")
    assert storage.read_bytes(f"{folder}/linked") == b"claimed"
    assert store.counts()[fault] == 11


@pytest.mark.parametrize("fault", ["cut_after", "500_after", "late", "cut_body"])
def test_a_win_whose_answer_is_lost_is_a_win(
    store: serve.Store, folder: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "late":
        monkeypatch.setenv("DATAPIPE_STORE_TIMEOUT_SECONDS", "0.5")
    store.next_faults([fault, fault, "ok"], "PUT")

    assert storage.put_new(f"{folder}/claim", b"mine")
    assert storage.read_bytes(f"{folder}/claim") == b"mine"
    assert store.counts()["PUT"] == 3


def test_who_lost_the_race_does_not_win_by_a_lost_answer(store: serve.Store, folder: str) -> None:
    storage.put_new(f"{folder}/claim", b"equal")
    store.next_faults(["cut_before", "cut_after", "ok"], "PUT")

    assert not storage.put_new(f"{folder}/claim", b"equal")


@pytest.mark.parametrize("seed", range(3))
def test_racing_under_faults_has_one_winner_whose_content_is_there(store: serve.Store, folder: str, seed: int) -> None:
    store.set_faults(MIXED, seed)

    def race(number: int) -> bool:
        return storage.put_new(f"{folder}/{number % 4}", str(number).encode())

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(race, range(32)))

    store.set_faults({})
    winners = {number % 4: number for number in range(32) if won[number]}
    assert sum(won) == len(winners) == 4
    assert storage.read_many([f"{folder}/{name}" for name in range(4)]) == [str(winners[n]).encode() for n in range(4)]


def test_nobody_sees_half_an_object(store: serve.Store, folder: str, tmp_path: Path) -> None:
    whole = [bytes([letter]) * 300_000 for letter in b"ab"]
    storage.put(f"{folder}/a", whole[0])
    store.set_faults(MIXED, 5)
    stop, seen = threading.Event(), set()

    def look() -> Iterator[str]:
        while not stop.is_set():
            yield hashlib.sha256(storage.read_bytes(f"{folder}/a")).hexdigest()

    watcher = threading.Thread(target=lambda: seen.update(look()))
    watcher.start()
    for number in range(12):
        (tmp_path / "made").write_bytes(whole[number % 2])
        storage.put_file(str(tmp_path / "made"), f"{folder}/a")
    stop.set()
    watcher.join()

    assert seen <= {hashlib.sha256(content).hexdigest() for content in whole}
    assert seen


@pytest.mark.parametrize("faults", [{}, MIXED], ids=["well", "faulty"])
def test_a_large_file_goes_up_in_parts_and_comes_back(
    store: serve.Store, folder: str, tmp_path: Path, faults: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    from datapipe import s3

    monkeypatch.setattr(s3, "WHOLE_BYTES", 1 << 20)
    monkeypatch.setattr(s3, "PART_BYTES", 5 << 20)  # the least that S3 takes
    content = random.Random(3).randbytes(12 << 20)
    (tmp_path / "made").write_bytes(content)
    store.set_faults(faults, 11)

    storage.put_file(str(tmp_path / "made"), f"{folder}/made")

    assert "POST" in store.counts()
    assert storage.sha256_of(f"{folder}/made") == hashlib.sha256(content).hexdigest()
    with storage.open_input(f"{folder}/made") as file:
        assert file.read() == content


def test_a_file_that_changes_while_it_is_read_is_refused(
    store: serve.Store, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("s3", "s3.ranges"):
        monkeypatch.setattr(f"datapipe.{module}.BLOCK_BYTES", 1 << 20)
    storage.put(f"{folder}/a", b"a" * (5 << 20))
    with storage.open_input(f"{folder}/a") as file:
        file.read(100)
        storage.put(f"{folder}/a", b"b" * (5 << 20))

        with pytest.raises(ConfigError, match="was changed while it was read"):
            file.read()


@pytest.mark.parametrize("fault", ["503", "cut_before", "stall"])
def test_a_store_that_stays_down_is_given_up_in_time(
    store: serve.Store, folder: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAPIPE_STORE_RETRY_SECONDS", "1.5")
    monkeypatch.setenv("DATAPIPE_STORE_TIMEOUT_SECONDS", "0.5")
    store.set_faults({fault: 1.0})
    start = time.monotonic()

    with pytest.raises(Unreachable) as met:
        storage.put_new(f"{folder}/claim", b"mine")

    assert time.monotonic() - start < 1.5 + 0.5 + 2
    said = str(met.value)
    assert said.startswith(f"{folder}/claim: the store does not answer as it should (")
    assert {"503": "503 SlowDown", "cut_before": "was cut", "stall": "no answer in time"}[fault] in said
    assert "run the same command again" in said
    assert met.value.exit_status == 75


def test_a_store_that_is_not_there_is_unreachable(
    store: serve.Store, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAPIPE_STORE_RETRY_SECONDS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    with pytest.raises(Unreachable, match="the connection failed or was cut"):
        storage.read_bytes(f"{folder}/a")


def test_an_outage_is_waited_for(store: serve.Store, folder: str) -> None:
    storage.put(f"{folder}/a", b"there")
    store.set_faults({"cut_before": 1.0})
    store.cut_all()
    threading.Timer(1.0, store.set_faults, [{}]).start()

    assert storage.read_bytes(f"{folder}/a") == b"there"
    assert store.counts()["cut_before"] > 2


def test_a_listing_goes_on_where_a_page_ended(store: serve.Store, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datapipe.s3.listing.PAGE", 20)
    names = [f"{folder}/done/{number:06}.json" for number in range(45)]
    for name in names:
        storage.put(name, b"x")
    store.reset()

    assert storage.walk(folder) == [name[len(folder) + 1 :] for name in names]
    assert store.counts()["GET"] == 3
    assert storage.list_folder(f"{folder}/done") == names


def test_many_are_read_at_once(store: serve.Store, folder: str) -> None:
    names = [f"{folder}/{number:02}" for number in range(64)]
    for name in names:
        storage.put(name, name.encode())
    store.reset()
    store.set_faults({"late": 1.0}, late_seconds=0.5)
    start = time.monotonic()

    assert storage.read_many(names) == [name.encode() for name in names]
    assert time.monotonic() - start < 64 * 0.5 / 4
    assert store.counts()["requests"] == 64


def test_reads_ahead_and_holds_three_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from datapipe.s3 import ranges

    monkeypatch.setattr(ranges, "BLOCK_BYTES", 1000)
    content = random.Random(1).randbytes(5500)
    asked: list[int] = []

    def fetch(start: int, end: int) -> bytes:
        asked.append(start // 1000)
        return content[start:end]

    file = ranges.Ranges("a", len(content), content[:1000], fetch, ahead=2)
    taken = b""
    while part := file.read(150):
        taken += part
        assert len(file._blocks) <= ranges.HELD_BLOCKS

    assert taken == content
    assert sorted(asked) == [1, 2, 3, 4, 5]


def test_a_small_file_is_one_request(store: serve.Store, folder: str) -> None:
    storage.put(f"{folder}/a", b"small")
    store.reset()

    with storage.open_input(f"{folder}/a") as file:
        assert file.read() == b"small"
    assert store.counts()["requests"] == 1


def test_a_glob_lists_only_folders_that_can_match(store: serve.Store, folder: str) -> None:
    for name in ("CC-1/warc.paths", "CC-1/deep/x", "CC-2/warc.paths", "CC-3/none", "other/warc.paths"):
        storage.put(f"{folder}/{name}", b"x")
    store.reset()

    found = storage.find_files(f"{folder}/CC-*/warc.paths")

    assert [file.name for file in found] == ["CC-1/warc.paths", "CC-2/warc.paths"]
    assert (store.counts()["GET"], store.counts()["HEAD"]) == (1, 3)
