"""A sample judged in a browser, offline from disk: by keys and clicks, left and taken up, filtered, saved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stages.audit.review.drawing import Asked, make
from stages.audit.review.model import Sample
from stages.audit.review.sheet import render
from tests.stages.audit.review.test_sample import folder_of, sample_with
from tests.stages.audit.sample import HOSTILE

pytestmark = pytest.mark.heavy
WIDE, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 780}
NAMES = ("chromium", "chromium-browser", "google-chrome")
NO_PICKER = "delete window.showSaveFilePicker"  # which asks a person where to
PICKED = """
window.picked = [];
window.showSaveFilePicker = async (asked) => ({ createWritable: async () => {
  let held = "";
  const close = async () => { window.picked.push([asked.suggestedName, held]); };
  return { write: async (text) => { held = text; }, close };
} });
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.fail(f"no browser: none of {', '.join(NAMES)} is on PATH; install Debian's package chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run of 60 documents of three sources."""
    return folder_of(tmp_path / "run", 60, 2, text="这是一段文本。\n第二行。" * 30)


def sheet_of(folder: Path) -> tuple[Sample, Path]:
    made = make(str(folder), Asked(40))
    return made.sample, Path(made.place) / "sheet.html"


@contextmanager
def room(browser: Any, before: str = NO_PICKER, **context: Any) -> Iterator[Any]:
    """A profile of a browser without a network; what a page logs, asks or fetches in it is a fault."""
    made = browser.new_context(
        **{"offline": True, "viewport": WIDE, "locale": "en-GB", "accept_downloads": True, **context}
    )
    made.add_init_script(before)
    made.wrong = []
    yield made
    made.close()
    assert made.wrong == []


def opened(profile: Any, file: Path, name: str | None = "Wang Fang") -> Any:
    page = profile.new_page()
    wrong = profile.wrong
    page.on("console", lambda message: wrong.append(f"console {message.type}: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("request", lambda request: request.url.startswith((file.as_uri(), "blob:")) or wrong.append(request.url))
    page.goto(file.as_uri())
    if name is not None and page.locator("#about").evaluate("dialog => dialog.open"):
        page.fill("#reviewer", name)
        page.fill("#role", "auditor")
        page.click("#start")
    return page


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def saved(page: Any, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Saves the verdicts as a person does; returns the file and what it holds."""
    with page.expect_download() as waited:
        press(page, "Control+s")
    file = folder / waited.value.suggested_filename
    waited.value.save_as(file)
    held: dict[str, Any] = json.loads(file.read_text())
    return file, held


def number(page: Any) -> int:
    return int(page.text_content("#number b").replace(",", ""))


def test_keys_judge_documents_and_all_of_it_is_in_the_file(browser: Any, run: Path, tmp_path: Path) -> None:
    sample, file = sheet_of(run)
    with room(browser) as profile:
        page = opened(profile, file)
        press(page, "1", "p")
        assert number(page) == 3
        press(page, "f", "v", "m", "n")
        page.keyboard.type("menus, 菜单 p1")
        press(page, "Enter", "ArrowRight")
        assert number(page) == 4
        press(page, "3", "ArrowRight", "t")  # a reason fails a document
        page.keyboard.press("ArrowRight")
        press(page, "p", "p", "z", "z")  # and two are taken back
        press(page, "2", "d", "d", "1")  # a pass has no reasons
        _, held = saved(page, tmp_path)
        assert page.text_content("#saved") == "saved"

    assert {name: held[name] for name in ("format", "format_version", "sample_sha256", "reviewer", "role")} == {
        "format": "datapipe-verdicts",
        "format_version": 1,
        "sample_sha256": sample.sha256,
        "reviewer": "Wang Fang",
        "role": "auditor",
    }
    ids = [item.id for item in sample.items]
    assert held["verdicts"] == [
        {"id": ids[0], "verdict": "pass", "reasons": [], "note": ""},
        {"id": ids[1], "verdict": "pass", "reasons": [], "note": ""},
        {"id": ids[2], "verdict": "fail", "reasons": ["values", "machine"], "note": "menus, 菜单 p1"},
        {"id": ids[3], "verdict": "unsure", "reasons": [], "note": ""},
        {"id": ids[4], "verdict": "fail", "reasons": ["not_text"], "note": ""},
        {"id": ids[5], "verdict": "pass", "reasons": [], "note": ""},
    ]


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_fingers_do_the_same_in_both_languages(
    browser: Any, run: Path, tmp_path: Path, locale: str, scheme: str, viewport: dict[str, int]
) -> None:
    sample, file = sheet_of(run)
    with room(browser, locale=locale, color_scheme=scheme, viewport=viewport) as profile:
        page = opened(profile, file)
        page.click("#pass")
        page.click("#fail")
        page.click("[data-code=rights]")
        page.fill("#note", "侵权")
        page.click("#next")
        page.click("#unsure")
        assert page.text_content("#mark") == ("unsure" if locale == "en-GB" else "不确定")
        page.click("#language")
        assert page.text_content("#mark") == ("不确定" if locale == "en-GB" else "unsure")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        with page.expect_download() as waited:
            page.click("#save")
        held = json.loads(Path(waited.value.path()).read_text())

    assert wide <= 0
    assert [(one["verdict"], one["reasons"], one["note"]) for one in held["verdicts"]] == [
        ("pass", [], ""),
        ("fail", ["rights"], "侵权"),
        ("unsure", [], ""),
    ]
    assert [one["id"] for one in held["verdicts"]] == [item.id for item in sample.items[:3]]


def test_what_was_judged_is_there_again_after_a_crash(browser: Any, run: Path, tmp_path: Path) -> None:
    _, file = sheet_of(run)
    with room(browser) as profile:
        page = opened(profile, file)
        press(page, "p", "p", "f", "c")
        page.close(run_before_unload=False)  # as if it crashed

        page = opened(profile, file, None)

        assert not page.locator("#about").evaluate("dialog => dialog.open")
        assert number(page) == 3
        assert page.text_content("#mark") == "fails"
        assert page.get_attribute("[data-code=commercial]", "aria-pressed") == "true"
        _, held = saved(page, tmp_path)
        assert [one["verdict"] for one in held["verdicts"]] == ["pass", "pass", "fail"]


def test_two_tabs_hold_the_same_verdicts_and_each_stays_where_it_is(browser: Any, run: Path, tmp_path: Path) -> None:
    sample, file = sheet_of(run)
    with room(browser) as profile:
        first = opened(profile, file)
        press(first, "p", "p")
        second = opened(profile, file, None)
        press(second, "n")
        second.keyboard.type("half")
        press(first, "ArrowRight", "ArrowRight", "p")
        second.wait_for_function("() => document.getElementById('count').textContent.startsWith('4 ')")
        second.keyboard.type(" a note")
        first.wait_for_function("() => JSON.stringify(localStorage).includes('half a note')")
        first.wait_for_timeout(100)
        _, held = saved(first, tmp_path)

    verdicts = {one["id"]: (one["verdict"], one["note"]) for one in held["verdicts"]}
    assert [verdicts.get(item.id) for item in sample.items[:5]] == [
        ("pass", ""),
        ("pass", ""),
        ("unsure", "half a note"),
        None,
        ("pass", ""),
    ]


def test_what_another_page_wrote_to_the_memory_of_the_browser_is_passed_over(browser: Any, run: Path) -> None:
    sample, file = sheet_of(run)
    ids = [item.id for item in sample.items[:3]]
    given = [{"id": ids[0], "verdict": "x"}, None, {"id": ids[1], "verdict": "fail"}, {"id": ids[2], "reasons": 3}]
    with room(browser) as profile:
        page = opened(profile, file)
        key, said = f"datapipe.review.{sample.sha256}", json.dumps({"verdicts": given, "place": 1, "reviewer": "W"})
        page.evaluate("([key, said]) => localStorage.setItem(key, said)", [key, said])
        page.close(run_before_unload=False)

        page = opened(profile, file, None)

        assert page.text_content("#count").startswith("1 ")
        assert number(page) == 2
        press(page, "v")
        assert page.text_content("#count").startswith("1 ")


def test_a_saved_file_is_taken_up_in_another_browser(browser: Any, run: Path, tmp_path: Path) -> None:
    _, file = sheet_of(run)
    with room(browser) as profile:
        page = opened(profile, file)
        press(page, "p", "f", "r", "ArrowRight", "p")
        kept, first = saved(page, tmp_path)
    with room(browser) as profile:
        page = opened(profile, file, None)
        page.click("#start")
        page.set_input_files("#file", kept)
        page.wait_for_function("() => document.getElementById('count').textContent.startsWith('3 ')")
        assert number(page) == 4
        assert page.text_content("#saved") == "saved"
        assert page.input_value("#reviewer") == "Wang Fang"
        press(page, "u")
        _, second = saved(page, tmp_path)

        page.evaluate("document.getElementById('jump').focus()")
        page.keyboard.type("1")
        press(page, "Enter", "f")
        page.set_input_files("#file", kept)
        page.wait_for_selector("#merge[open]")
        assert "1 of which differ from yours" in page.text_content("#merging")
        page.click("#mine")
        _, third = saved(page, tmp_path)

    assert second["verdicts"][:3] == first["verdicts"]
    assert [one["verdict"] for one in third["verdicts"]] == ["fail", "fail", "pass", "unsure"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sample_sha256": "00" * 32}, "another sample"),
        ({"format": "x"}, "no file of verdicts"),
        ({"verdicts": [{"id": "00" * 16, "verdict": "pass"}]}, "damaged"),
    ],
)
def test_a_file_of_something_else_is_refused(
    browser: Any, run: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    sample, file = sheet_of(run)
    own = {"format": "datapipe-verdicts", "format_version": 1, "sample_sha256": sample.sha256, "verdicts": []}
    (tmp_path / "given.json").write_text(json.dumps(own | change))
    with room(browser) as profile:
        page = opened(profile, file)
        page.set_input_files("#file", tmp_path / "given.json")
        page.wait_for_selector("#merge[open]")
        assert said in page.text_content("#merging")
        assert page.is_hidden("#theirs")
        page.click("#cancel")
        assert page.text_content("#count").startswith("0 ")


def test_leaving_with_unsaved_verdicts_asks_and_without_does_not(browser: Any, run: Path, tmp_path: Path) -> None:
    _, file = sheet_of(run)
    with room(browser) as profile:
        page = opened(profile, file)
        asked: list[str] = []
        page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
        page.reload()
        assert asked == []
        page.click("#start")
        press(page, "p")
        page.reload()
        assert asked == ["beforeunload"]
        saved(page, tmp_path)
        page.reload()
        assert asked == ["beforeunload"]


def test_a_browser_that_lets_pages_write_files_keeps_the_file_up_to_date(browser: Any, run: Path) -> None:
    _, file = sheet_of(run)
    with room(browser, before=PICKED) as profile:
        page = opened(profile, file)
        press(page, "p", "Control+s")
        page.wait_for_function("() => window.picked.length === 1")
        press(page, "f", "a")
        page.wait_for_function("() => window.picked.length === 2")
        names, texts = zip(*page.evaluate("window.picked"), strict=True)

    assert set(names) == {"verdicts-n40-seed0-Wang-Fang.json"}
    assert [len(json.loads(text)["verdicts"]) for text in texts] == [1, 2]


def test_nothing_is_saved_without_a_name(browser: Any, run: Path) -> None:
    _, file = sheet_of(run)
    with room(browser) as profile:
        page = opened(profile, file, None)
        page.click("#start")
        press(page, "p", "Control+s")
        assert page.locator("#about").evaluate("dialog => dialog.open")
        assert page.is_visible("#nameless")
        page.evaluate("window.onbeforeunload = null")


def test_filters_lead_to_what_is_left_to_do(browser: Any, run: Path) -> None:
    sample, file = sheet_of(run)
    law = [place for place, item in enumerate(sample.items, 1) if item.source == "law"]
    with room(browser) as profile:
        page = opened(profile, file)
        press(page, "p", "p", "f", "ArrowRight", "p", "k", "k", "k")
        assert number(page) == 2
        press(page, "w")
        assert number(page) == 5
        page.select_option("#state", "bare")
        assert number(page) == 3
        assert page.text_content("#shown") == "1 documents"
        page.select_option("#state", "unjudged")
        page.select_option("#source", "=law")
        seen = []
        for _ in law:
            seen.append(number(page))
            press(page, "p")
        assert seen == [place for place in law if place > 4]
        assert page.is_visible("#none")
        press(page, "f")  # of what is not shown nothing is judged
        assert page.get_attribute("#fail", "aria-pressed") == "false"


def test_a_key_that_is_held_down_judges_one_document(browser: Any, run: Path) -> None:
    _, file = sheet_of(run)
    with room(browser) as profile:
        page = opened(profile, file)
        for _ in range(5):
            page.keyboard.down("p")
        page.keyboard.up("p")
        assert page.text_content("#count").startswith("1 ")
        press(page, "Control+p")  # is the browser's
        assert page.text_content("#count").startswith("1 ")


def test_strings_of_documents_are_shown_and_never_run(browser: Any, tmp_path: Path) -> None:
    sample, documents = sample_with(*HOSTILE)
    file = tmp_path / "sheet.html"
    file.write_bytes(render(sample, documents))
    with room(browser) as profile:
        page = opened(profile, file)
        for text in HOSTILE:
            assert page.locator(".part").first.text_content() == text
            page.keyboard.press("p")
        page.click("#language")
        assert page.evaluate("window.hurt") is None
        assert page.locator("article img, article svg, article script").count() == 0
        assert [page.locator("#source option").nth(place + 1).text_content() for place in range(len(HOSTILE))]


def test_han_text_is_set_in_the_letters_of_its_script(browser: Any, run: Path) -> None:
    _, file = sheet_of(run)
    with room(browser) as profile:
        page = opened(profile, file)
        assert page.locator(".part").first.get_attribute("lang") == "zh-Hans"


def test_all_that_is_pressed_has_a_name_and_the_focus_is_never_lost(browser: Any, run: Path) -> None:
    _, file = sheet_of(run)
    with room(browser) as profile:
        page = opened(profile, file)
        for scheme in (WIDE, PHONE):
            page.set_viewport_size(scheme)
            tree = profile.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
            roles = ("button", "textbox", "combobox", "spinbutton")
            fields = [one for one in tree if one.get("role", {}).get("value") in roles and not one.get("ignored")]
            assert len(fields) > 15
            assert [one for one in fields if not one.get("name", {}).get("value")] == []
        press(page, "p", "f", "j")
        assert page.evaluate("document.activeElement.id") == "heading"
