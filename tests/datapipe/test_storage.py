"""What the disk does, a store does: one law for both, and what only a store can do wrong is in tests/store."""

import hashlib
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datapipe import storage
from datapipe.errors import ConfigError

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))

import serve

BLOCK = 8 << 20


@pytest.fixture(scope="module")
def served() -> Iterator[serve.Store]:
    with serve.start() as store:
        yield store


@pytest.fixture(params=["disk", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty folder on the disk, and one in a store."""
    if request.param == "disk":
        return str(tmp_path / "root")
    served: serve.Store = request.getfixturevalue("served")
    for name, value in {**served.environment(), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    return f"s3://bucket/{uuid.uuid4().hex}"


def test_reads_back_what_was_put(root: str) -> None:
    path = storage.join(root, "a", "b.json")

    storage.put(path, b"first")
    storage.put(path, b"second")

    assert storage.read_bytes(path) == b"second"
    assert storage.size_of(path) == 6
    assert storage.read_range(path, 1, 4) == b"eco"
    assert storage.read_range(path, 4, 100) == b"nd"
    assert storage.read_range(path, 3, 3) == b""
    assert storage.sha256_of(path) == hashlib.sha256(b"second").hexdigest()
    assert abs(storage.modified(path) - time.time()) < 60


@pytest.mark.parametrize(
    "name", ["plain", "with space", "百分之%20", "plus+and&amp;", "#frag?no=query", "ünïcode", "a=1"]
)
def test_takes_names_as_they_are(root: str, name: str) -> None:
    path = storage.join(root, "a b", name)

    assert storage.put_new(path, name.encode())

    assert storage.read_bytes(path) == name.encode()
    assert storage.list_folder(storage.join(root, "a b")) == [path]
    assert storage.walk(root) == [f"a b/{name}"]


def test_a_file_of_nothing_is_a_file(root: str) -> None:
    path = storage.join(root, "empty")
    storage.put(path, b"")

    assert storage.read_bytes(path) == b""
    assert storage.exists(path)
    assert storage.size_of(path) == 0
    assert storage.open_input(path).read() == b""
    assert [file.name for file in storage.find_files(root)] == ["empty"]


def test_puts_new_only_once(root: str) -> None:
    path = storage.join(root, "done", "000001.json")

    assert storage.put_new(path, b"one")
    assert not storage.put_new(path, b"two")
    assert storage.read_bytes(path) == b"one"


def test_of_sixteen_that_race_to_put_one_wins(root: str) -> None:
    for round_number in range(5):
        path = storage.join(root, f"claim-{round_number}")
        start, won = threading.Barrier(16), []

        def race(number: int, path: str = path, start: threading.Barrier = start, won: list[int] = won) -> None:
            start.wait()
            if storage.put_new(path, str(number).encode()):
                won.append(number)

        threads = [threading.Thread(target=race, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(won) == 1
        assert storage.read_bytes(path) == str(won[0]).encode()


def test_moves_a_finished_file(root: str, tmp_path: Path) -> None:
    local, path = tmp_path / "attempt", storage.join(root, "step", "made.ipc")
    storage.put(path, b"of an earlier try")
    local.write_bytes(b"whole")

    storage.put_file(str(local), path)

    assert storage.read_bytes(path) == b"whole"
    assert not local.exists()


def test_links_new_only_once(root: str) -> None:
    source, path = storage.join(root, "work", "a.ipc"), storage.join(root, "out", "a.arrow")
    storage.put(source, b"rows")
    storage.put(storage.join(root, "work", "b.ipc"), b"others")

    assert storage.link_new(source, path)
    assert not storage.link_new(storage.join(root, "work", "b.ipc"), path)
    assert storage.read_bytes(path) == b"rows"
    assert storage.same(source, path) is True
    assert storage.same(storage.join(root, "work", "b.ipc"), path) in (None, False)


def test_lists_files_and_folders(root: str) -> None:
    for name in ("b.txt", "a.txt", "in/c.txt", "in/deep/d.txt", "other/e.txt"):
        storage.put(storage.join(root, name), name.encode())

    assert storage.list_folder(root) == [storage.join(root, "a.txt"), storage.join(root, "b.txt")]
    assert storage.list_folders(root) == [storage.join(root, "in"), storage.join(root, "other")]
    assert storage.walk(root) == ["a.txt", "b.txt", "in/c.txt", "in/deep/d.txt", "other/e.txt"]
    assert storage.walk(storage.join(root, "in")) == ["c.txt", "deep/d.txt"]
    assert storage.is_folder(storage.join(root, "in"))
    assert not storage.is_folder(storage.join(root, "i"))
    assert not storage.is_folder(storage.join(root, "a.txt"))
    assert storage.exists(storage.join(root, "in"))


def test_what_is_not_there_is_said(root: str) -> None:
    nothing = storage.join(root, "nothing")

    assert not storage.exists(nothing)
    assert not storage.is_folder(nothing)
    assert storage.list_folder(nothing) == storage.list_folders(nothing) == storage.walk(nothing) == []
    storage.remove(nothing)
    for read in (storage.read_bytes, storage.open_input, lambda path: storage.describe_files([("a", path)])):
        with pytest.raises(ConfigError, match=r"nothing: (cannot be read \(No such file|its folder is not there)"):
            read(nothing)
    for ask in (storage.size_of, storage.open_shard, storage.sha256_of, storage.modified):
        with pytest.raises(FileNotFoundError):
            ask(nothing)
    with pytest.raises(ConfigError, match=r"no file matches .* is not there either"):
        storage.find_files(storage.join(nothing, "*.txt"))


def test_removes_a_file_and_a_folder_and_nothing_beside(root: str) -> None:
    for name in ("a", "a.txt", "in/b", "in/deep/c", "inner"):
        storage.put(storage.join(root, name), b"x")

    storage.remove(storage.join(root, "a"))
    storage.remove(storage.join(root, "in"))

    assert storage.walk(root) == ["a.txt", "inner"]


def test_reads_many_in_order(root: str) -> None:
    paths = [storage.join(root, f"{number:03}") for number in range(40)]
    for path in paths:
        storage.put(path, path.encode())

    assert storage.read_many(paths) == [path.encode() for path in paths]
    with pytest.raises(ConfigError, match="cannot be read"):
        storage.read_many([*paths, storage.join(root, "no")])


PATTERNS = [
    "*.txt",
    "**/*.txt",
    "*/c.txt",
    "in/**",
    "in/d?ep/*",
    "**",
    "[ab].txt",
    "in/*/*",
    "?.txt",
    "**/deep/*",
    "*/*",
]


@pytest.mark.parametrize("pattern", ["", *PATTERNS])
def test_a_glob_finds_what_it_finds_on_the_disk(served: serve.Store, root: str, tmp_path: Path, pattern: str) -> None:
    names = (
        "a.txt",
        "b.txt",
        "ab.txt",
        ".hidden",
        "in/c.txt",
        "in/deep/d.txt",
        "in/.no/e.txt",
        "out/deep/f",
        "out/c.txt",
    )
    for name in names:
        storage.put(storage.join(root, name), name.encode())
        storage.put(str(tmp_path / "twin" / name), name.encode())

    found = storage.find_files(storage.join(root, pattern) if pattern else root)

    twins = storage.find_files(str(tmp_path / "twin" / pattern) if pattern else str(tmp_path / "twin"))
    assert [(file.name, file.size_bytes) for file in found] == [(file.name, file.size_bytes) for file in twins]
    assert all(storage.read_bytes(file.url).decode().endswith(file.name) for file in found)


def test_describes_files_and_sees_them_change(root: str) -> None:
    path = storage.join(root, "a.txt")
    storage.put(path, b"one")
    [before] = storage.find_files(path)
    [again] = storage.describe_files([("a.txt", path)])
    time.sleep(0.01)
    storage.put(path, b"two")

    [after] = storage.find_files(path)

    assert before == again
    assert (before.name, before.url, before.size_bytes) == ("a.txt", path, 3)
    assert before.version != after.version


def test_a_shard_is_read_at_any_place(root: str, tmp_path: Path) -> None:
    table = pa.table({"id": range(100_000), "text": [f"row {number}" for number in range(100_000)]})
    local, path = str(tmp_path / "local"), storage.join(root, "a.arrow")
    with pa.ipc.new_file(local, table.schema) as writer:
        writer.write_table(table, max_chunksize=1000)
    storage.put_file(local, path)

    with storage.open_shard(path) as file, pa.ipc.open_file(file) as reader:
        batches = [reader.get_batch(number) for number in (99, 0, 50)]

    assert [batch["id"][0].as_py() for batch in batches] == [99_000, 0, 50_000]


@pytest.fixture(scope="module")
def large() -> bytes:
    return bytes(os.urandom(1 << 20)) * 20 + b"the last"


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(moves=st.lists(st.tuples(st.integers(0, (20 << 20) + 20), st.integers(0, 9 << 20)), max_size=5))
def test_a_far_file_reads_as_a_near_one(root: str, large: bytes, moves: list[tuple[int, int]]) -> None:
    path = storage.join(root, "large")
    if not storage.exists(path):
        storage.put(path, large)

    with storage.open_input(path) as file:
        for start, count in moves:
            assert file.seek(start) == start
            assert file.read(count) == large[start : start + count]
            assert file.tell() == min(start + count, max(start, len(large)))


def test_reads_lines_and_the_whole_across_blocks(root: str, large: bytes) -> None:
    content = b"\n".join(b"%08d" % number + b"x" * 700 for number in range(25_000))
    path = storage.join(root, "lines")
    storage.put(path, content)

    with storage.open_input(path) as file:
        assert [line[:8] for line in file] == [b"%08d" % number for number in range(25_000)]
    assert len(content) > 2 * BLOCK
    assert storage.read_bytes(path) == content
    assert storage.sha256_of(path) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("root", ["s3"], indirect=True)
def test_a_link_from_the_disk_to_a_store_and_back_copies(root: str, tmp_path: Path) -> None:
    near, far, back = str(tmp_path / "a"), storage.join(root, "a"), str(tmp_path / "b")
    storage.put(near, b"rows")

    assert storage.link_new(near, far)
    assert not storage.link_new(near, far)
    assert storage.link_new(far, back)
    assert storage.read_bytes(back) == b"rows"
