"""One byte is changed in each kind of file that a signed corpus consists of: verify finds it, and names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from datapipe import Look, Note, looked
from datapipe.verify import verify
from stages.audit.model import Audit
from stages.audit.page import render
from stages.audit.signed.again import told
from stages.audit.signed.detached import tool
from stages.audit.standing import CLAIM, DIGESTS, MANIFEST, PAGE, REPORT, digests_file, of_report

DATA = (
    "corpus/train-*.arrow",
    "corpus/validation-*.arrow",
    "corpus/tokenizer.json",
    "corpus/index/documents-*.parquet",
    "corpus/index/segments-*.parquet",
    "corpus/index/validation-segments-*.parquet",
    "corpus/index/order-*.parquet",
    "ledger/part-*.parquet",
    "signals/*.parquet",
    "keys/*.parquet",
)
TEXTS = (
    MANIFEST,
    CLAIM,
    REPORT,
    PAGE,
    DIGESTS,
    "reports/report.schema.json",
    "reports/topics.json",
    "reports/places/*.parquet",
    "reports/recipe.json",
    "reports/recipe-shards.parquet",
)
PEOPLES = (
    "audit/log/000001.json",
    "audit/log/000002.json",
    "audit/log/000003.json",
    "audit/samples/*/sample.json",
    "audit/samples/*/sheet.html",
    "audit/verdicts/*.json",
    "README.md",
    "croissant.json",
    "sheets/index.html",
)


def largest(folder: Path, pattern: str) -> Path:
    """Returns the largest file of a pattern: the one that has most to change."""
    return max(folder.glob(pattern), key=lambda path: path.stat().st_size)


@contextmanager
def changed(path: Path, place: float = 0.5) -> Iterator[str]:
    """Changes the byte at a place of a file, 0 to 1, and puts it back."""
    content = path.read_bytes()
    other = bytearray(content)
    other[min(int(place * len(content)), len(content) - 1)] ^= 1
    path.unlink()  # it may be a link to another folder's
    path.write_bytes(other)
    try:
        yield path.name
    finally:
        path.write_bytes(content)


def names(folder: Path, path: Path, faults: Iterable[str]) -> bool:
    """Returns whether one of the sentences names a file."""
    name = path.relative_to(folder).as_posix()
    return any(name in fault or fault.startswith(f"manifest: {name.removeprefix('corpus/')} ") for fault in faults)


def test_a_signed_corpus_is_whole(signed: Path) -> None:
    said = list(looked(Look(str(signed), figures=2, signed=True)))

    assert [one for one in said if not isinstance(one, Note)] == []
    assert "2 of 1," in "".join(said)


def test_a_byte_of_each_kind_of_published_file_is_found_and_the_file_named(signed: Path) -> None:
    paths = [largest(signed, pattern) for pattern in DATA]
    contents = {path: path.read_bytes() for path in paths}
    for path, content in contents.items():
        path.unlink()
        path.write_bytes(
            content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :]
        )

    faults = list(verify(str(signed)))

    for path, content in contents.items():
        path.write_bytes(content)
    assert [path for path in paths if not names(signed, path, faults)] == []


def test_a_byte_of_what_people_added_is_found_and_the_file_named(signed: Path) -> None:
    paths = [largest(signed, pattern) for pattern in PEOPLES[3:]]
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(changed(path, 0.9))
        faults = list(verify(str(signed)))

    assert [path for path in paths if not names(signed, path, faults)] == []


@pytest.mark.parametrize("name", [MANIFEST, CLAIM])
def test_a_byte_of_what_names_the_files_is_found(signed: Path, name: str) -> None:
    with changed(signed / name, 0.95):
        assert names(signed, signed / name, verify(str(signed)))


def _audit(folder: Path) -> dict[str, Any]:  # Any: JSON
    whole: dict[str, Any] = json.loads((folder / REPORT).read_bytes())
    return whole


def _forge(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the report, and all that a forger can make fit it: the page, and the digests of both."""
    whole = _audit(folder)
    change(whole)
    report = (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode()
    page = render(Audit.model_validate(whole["audit"]))
    digests = of_report(str(folder)) | {
        REPORT: hashlib.sha256(report).hexdigest(),
        PAGE: hashlib.sha256(page).hexdigest(),
    }
    for name, content in ((REPORT, report), (PAGE, page), (DIGESTS, digests_file(digests))):
        (folder / name).write_bytes(content)


@contextmanager
def forged(folder: Path, change: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    before = {name: (folder / name).read_bytes() for name in (REPORT, PAGE, DIGESTS)}
    _forge(folder, change)
    try:
        yield
    finally:
        for name, content in before.items():
            (folder / name).write_bytes(content)


def test_a_number_that_was_forged_with_page_and_digests_is_found_by_counting_again(signed: Path) -> None:
    numbers, _ = told(Audit.model_validate(_audit(signed)["audit"]))
    drawn = min(numbers, key=lambda one: one.drawn_by(0))

    def change(whole: dict[str, Any]) -> None:
        for section in whole["audit"]["sections"]:
            for figure in section["figures"]:
                if figure["key"] == drawn.place:
                    figure["value"] += 1
            for table in section["tables"]:
                for number, row in enumerate(table["rows"]):
                    for column, one in enumerate(table["columns"]):
                        if drawn.place.startswith(f"{table['key']}, row {number + 1} ") and (
                            drawn.place.endswith(f", {one['key']}")
                        ):
                            row[column] += 1

    with forged(signed, change):
        said = list(looked(Look(str(signed), figures=1)))

    faults = [one for one in said if not isinstance(one, Note)]
    assert len(faults) == 1
    assert faults[0].startswith(f"{REPORT}: {drawn.place} is ")
    assert "the data say " in faults[0]
    assert any("is stale" in one and REPORT in one for one in said)


def test_what_the_run_said_of_itself_cannot_be_forged(signed: Path) -> None:
    def change(whole: dict[str, Any]) -> None:
        whole["warnings"] = ["all is well"]

    with forged(signed, change):
        faults = list(verify(str(signed)))

    assert [fault.partition(" (SHA-256")[0] for fault in faults] == [
        f"{REPORT}: what it says of the run is not what the run wrote"
    ]


# All, one by one


@pytest.mark.heavy
@pytest.mark.parametrize("pattern", [*DATA, *TEXTS, *PEOPLES, "audit/log/000003.sig"])
def test_a_byte_anywhere_in_any_file_is_found_and_the_file_named(signed: Path, pattern: str) -> None:
    if pattern.endswith(".sig") and tool() is None:
        pytest.skip("ssh-keygen is not installed")
    path = largest(signed, pattern)
    for place in (0.0, 0.3, 0.97, 1.0):
        look = Look(str(signed), figures=0, quick=True) if place else Look(str(signed))
        with changed(path, place):
            faults = [one for one in looked(look) if not isinstance(one, Note)]
        silent = path.name == "000003.sig" and place > 0.9 and not faults  # a line's end behind it says nothing
        assert silent or names(signed, path, faults), (place, faults)
    assert [one for one in looked(Look(str(signed), figures=0)) if not isinstance(one, Note)] == []
