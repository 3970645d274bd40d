"""From a finished run to a signed one, as people do it: a sheet in a browser, a spreadsheet, verdicts, a signature."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.heavy
NAMES = ("chromium", "chromium-browser", "google-chrome")
DRAWN = 12


def ran(*words: object, status: int = 0) -> str:
    """Runs the command line and returns what it says."""
    command = [sys.executable, "-m", "datapipe.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.fail(f"no browser: none of {', '.join(NAMES)} is on PATH; install Debian's package chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


def filled_in(browser: Any, sheet: Path, place: Path) -> Path:
    """Fills a sheet in by keys as a reviewer does, and returns the file that the browser saved."""
    page = browser.new_context(accept_downloads=True, locale="zh-CN", offline=True).new_page()
    page.add_init_script("delete window.showSaveFilePicker")  # as in browsers that have none
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(sheet.as_uri())
    page.fill("#reviewer", "张三")
    page.fill("#role", "内容安全")
    page.click("#start")
    page.keyboard.press("1")  # passes, and goes on
    page.keyboard.press("2")  # fails, for two reasons and with a note
    page.keyboard.press("r")
    page.keyboard.press("t")
    page.keyboard.press("n")
    page.keyboard.type("=1+1 不是正文\x1b[2J")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("3")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("2")  # and thinks again
    page.keyboard.press("z")
    for _ in range(DRAWN - 4):  # the last is left out
        page.keyboard.press("1")
    with page.expect_download() as download:
        page.keyboard.press("Control+s")
    saved = place / download.value.suggested_filename
    download.value.save_as(saved)
    assert errors == []
    return saved


def in_a_spreadsheet(sheet: Path, place: Path) -> Path:
    """Fills the table of a sample in as Excel on a Chinese Windows saves it: GB18030, semicolons."""
    heading, *rows = csv.reader(io.StringIO(sheet.read_bytes().decode("utf-8-sig"), newline=""))
    column = {name: place for place, name in enumerate(heading)}
    for number, row in enumerate(rows):
        row[column["verdict"]] = "不合格" if number in (1, 5) else "合格"
        row[column["reasons"]] = "侵犯他人合法权益" if number == 1 else "重复内容" if number == 5 else ""
        row[column["reviewer"]] = "Bo Li"
    made = io.StringIO(newline="")
    csv.writer(made, delimiter=";", lineterminator="\r\n").writerows([heading, *rows])
    saved = place / "bo.csv"
    saved.write_bytes(made.getvalue().encode("gb18030"))
    return saved


def test_two_people_judge_a_sample_and_a_third_signs_what_they_say(browser: Any, copied: Path, tmp_path: Path) -> None:
    ran("report", copied)
    ran("audit", "sample", copied, "-n", DRAWN, "--seed", 7)
    (place,) = (copied / "audit" / "samples").iterdir()
    items = json.loads((place / "sample.json").read_bytes())["items"]

    first, second = filled_in(browser, place / "sheet.html", tmp_path), in_a_spreadsheet(place / "sheet.csv", tmp_path)
    output = ran("audit", "verdicts", copied, first, second)
    found = json.loads(ran("audit", "verdicts", copied, "--json"))

    many = len(items)
    words = {one["id"]: one for one in json.loads(first.read_bytes())["verdicts"]}
    assert [words[item["id"]]["verdict"] for item in items[:3]] == ["pass", "fail", "unsure"]
    assert sorted(words[items[1]["id"]]["reasons"]) == ["not_text", "rights"]
    assert f"reviewer 1: 张三 (内容安全): {many - 1} judged: {many - 3} pass, 1 fail, 1 unsure" in output
    assert f"reviewer 2: Bo Li: {many} judged: {many - 2} pass, 2 fail, 0 unsure" in output
    rates = {(one["of"], one["count"]): one for one in found["rates"]}
    strict, majority = rates["pass", "strict"], rates["pass", "majority"]
    assert (strict["passed"], strict["failed"], strict["unsure"]) == (many - 3, 2, 1)
    assert (majority["passed"], majority["failed"], majority["unsure"]) == (many - 3, 1, 2)
    assert rates["safe", "strict"]["failed"] == 1
    assert {one["code"]: one["documents"] for one in found["reasons"] if one["documents"]} == {
        "rights": 1,
        "not_text": 1,
        "copy": 1,
    }
    assert [one["id"] for one in found["disputed"]] == [items[2]["id"], items[5]["id"]]
    assert found["pairs"][0]["table"] == [[many - 4, 1, 0], [0, 1, 0], [1, 0, 0]]

    ran("audit", "sign", copied, "--name", "李四", "--role", "data steward", "--statement", "fit for training")
    assert "whole" in ran("verify", copied)
    assert "\x1b" not in output + ran("verify", copied, "--json")


def test_what_was_changed_behind_a_signature_is_named(browser: Any, copied: Path, told: Path, tmp_path: Path) -> None:
    shutil.copytree(told / "reports", copied / "reports", dirs_exist_ok=True)
    ran("audit", "sample", copied, "-n", DRAWN, "--seed", 7)
    (place,) = (copied / "audit" / "samples").iterdir()
    ran("audit", "verdicts", copied, filled_in(browser, place / "sheet.html", tmp_path))
    ran(
        "audit",
        "sign",
        copied,
        "--name",
        "李四",
        "--role",
        "data steward",
        "--statement",
        "fit for training",
        "--no-verify",
    )
    (stored,) = (copied / "audit" / "verdicts").iterdir()
    log = copied / "audit" / "log"
    together: list[dict[Path, tuple[bytes, bytes]]] = [
        {stored: (b'"verdict": "fail"', b'"verdict": "pass"'), place / "sheet.html": (b"<main", b"<MAIN")},
        {place / "sample.json": (b'"seed": 7', b'"seed": 8')},
        {
            log / "000002.json": (b'"failed": 1', b'"failed": 0'),
            log / "000003.json": (b"fit for training", b"fit for anything"),
        },
    ]

    for changed in together:
        contents = {path: path.read_bytes() for path in changed}
        for path, (before, after) in changed.items():
            assert before in contents[path], path
            path.write_bytes(contents[path].replace(before, after))
        output = ran("verify", copied, status=1)
        assert [path for path in changed if str(path.relative_to(copied)) not in output] == []
        for path, content in contents.items():
            path.write_bytes(content)
