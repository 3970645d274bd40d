"""The log: entries chain, two at once come one behind the other, and whatever is changed is found and named."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import DataError
from stages.audit.signed.log import LOG, append, entries, faults, head, name_of


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    """Returns a folder with a log of three entries."""
    for number in (1, 2, 3):
        append(str(tmp_path), "sign", {"name": f"王 {number}", "share": 0.5})
    return tmp_path


def test_an_entry_names_the_bytes_of_the_one_before_it(logged: Path) -> None:
    first, second, third = entries(str(logged))

    assert (first.number, first.previous_sha256, first.content["name"]) == (1, None, "王 1")
    for before, after in ((first, second), (second, third)):
        assert after.previous_sha256 == hashlib.sha256((logged / before.name).read_bytes()).hexdigest()
    assert head(str(logged)) == third
    assert list(faults(str(logged), known=second.digest)) == []


def test_the_digest_of_an_entry_is_over_the_canonical_json_of_what_it_says(logged: Path) -> None:
    said = json.loads((logged / name_of(2)).read_bytes())

    own = said.pop("sha256")

    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert own == hashlib.sha256(text.encode()).hexdigest()


def test_an_empty_folder_has_no_log(tmp_path: Path) -> None:
    assert entries(str(tmp_path)) == ()
    assert head(str(tmp_path)) is None
    assert list(faults(str(tmp_path))) == []


def test_of_many_who_append_at_once_none_is_lost(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: append(str(tmp_path), "sign", {"by": number}), range(24)))

    assert sorted(entry.number for entry in made) == list(range(1, 25))
    assert sorted(entry.content["by"] for entry in entries(str(tmp_path))) == list(range(24))


def _changed(path: Path, **values: object) -> None:
    said = {**json.loads(path.read_bytes()), **values}
    path.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n")


def _hashed_again(path: Path, **values: object) -> None:
    _changed(path, **values)
    said = json.loads(path.read_bytes())
    said.pop("sha256")
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    _changed(path, sha256=hashlib.sha256(text.encode()).hexdigest())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda log: _changed(log / "000001.json", time="2020-01-01T00:00:00Z"),
            "000001.json: is not what was written",
        ),
        (lambda log: _changed(log / "000003.json", kind="sample"), "000003.json: is not what was written"),
        (lambda log: _hashed_again(log / "000001.json", kind="sample"), "000002.json: names"),
        (lambda log: _hashed_again(log / "000003.json", previous_sha256=None), "000003.json: names none as the entry"),
        (lambda log: (log / "000002.json").unlink(), "000002.json: is gone"),
        (lambda log: (log / "000001.json").unlink(), "000001.json: is gone"),
        (
            lambda log: (log / "000003.json").write_bytes((log / "000003.json").read_bytes() + b" "),
            "000003.json: is not as",
        ),
        (lambda log: (log / "000002.json").write_text("{}"), "000002.json: is no entry of format 1"),
        (lambda log: (log / "000002.json").write_text("x"), "000002.json: is no entry of a log"),
        (lambda log: (log / "0004.json").write_text("{}"), "0004.json: is no entry of the log"),
        (lambda log: (log / "000009.sig").write_text(""), "000009.sig: is a signature of an entry that is gone"),
    ],
)
def test_a_change_is_found_and_named(logged: Path, change: object, named: str) -> None:
    change(logged / LOG)  # type: ignore[operator]  # of a table of functions

    found = list(faults(str(logged)))
    assert any(sentence.startswith(f"{LOG}/{named}") for sentence in found), found
    with pytest.raises(DataError, match=LOG):
        append(str(logged), "sign", {})


def test_entries_that_changed_places_are_found(logged: Path) -> None:
    log = logged / LOG
    first, second = (log / "000001.json").read_bytes(), (log / "000002.json").read_bytes()
    (log / "000001.json").write_bytes(second)
    (log / "000002.json").write_bytes(first)

    assert [sentence[: len(LOG) + 24] for sentence in faults(str(logged))][:2] == [
        f"{LOG}/000001.json: is entry 2",
        f"{LOG}/000002.json: is entry 1",
    ]


def test_a_log_whose_end_was_cut_off_is_whole_but_not_for_who_kept_its_head(logged: Path) -> None:
    known = entries(str(logged))[-1].digest
    (logged / name_of(3)).unlink()

    assert list(faults(str(logged))) == []
    assert "its end was cut off" in "".join(faults(str(logged), known=known))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with a log of two entries, which is put back as it was after each change."""
    folder = tmp_path_factory.mktemp("two")
    for number in (1, 2):
        append(str(folder), "sign", {"name": f"王 {number}"})
    return folder


@settings(max_examples=100, deadline=None)
@given(number=st.integers(1, 2), place=st.floats(0, 1, exclude_max=True), other=st.integers(1, 255))
def test_any_one_byte_of_any_entry_is_found(two: Path, number: int, place: float, other: int) -> None:
    path = two / name_of(number)
    content = path.read_bytes()
    changed = bytearray(content)
    changed[int(place * len(content))] ^= other
    path.write_bytes(changed)
    found = list(faults(str(two)))
    path.write_bytes(content)

    assert any(path.name in sentence for sentence in found)
