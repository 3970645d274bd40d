"""The page in a browser, offline from disk: what a reader clicks, hears, prints, and what must never happen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from stages.audit.page import render
from tests.stages.audit.sample import HOSTILE, sample

pytestmark = pytest.mark.heavy
ROOT = Path(__file__).parents[3]
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 740}
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.fail(f"no browser: none of {', '.join(NAMES)} is on PATH; install Debian's package chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


def ran(config: str, out: Path, **more: str) -> Path:
    """Runs a config as a user does, and returns the page that it ends with."""
    command = [sys.executable, "-m", "datapipe.cli", "run", config, "--out", str(out), "--executor", "local"]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **more}, capture_output=True)
    return out / "reports" / "report.html"


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of hostile strings."""
    folder = tmp_path_factory.mktemp("made_up")
    audit = sample(HOSTILE[1])
    (folder / "report.html").write_bytes(render(audit))
    (folder / "report.json").write_text(json.dumps({"audit": audit.model_dump(mode="json")}))
    return folder / "report.html"


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ran("configs/quickstart.yaml", tmp_path_factory.mktemp("quickstart"))


@pytest.fixture(scope="module")
def zh_en(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ran("configs/zh_en.yaml", tmp_path_factory.mktemp("zh_en"), DATAPIPE_SHARED=str(shared))


@pytest.fixture(params=["made_up", "quickstart"])
def page_file(request: pytest.FixtureRequest) -> Path:
    """The pages that all must hold of."""
    file: Path = request.getfixturevalue(request.param)
    return file


@pytest.fixture(params=["made_up", "quickstart", "zh_en"])
def any_page(request: pytest.FixtureRequest) -> Path:
    """Those and the one of a large run, of which less is asked."""
    file: Path = request.getfixturevalue(request.param)
    return file


@contextmanager
def opened(browser: Any, file: Path, before: str = "", **context: Any) -> Iterator[Any]:
    """Opens a page, and holds it to have said, asked and fetched nothing when it is left."""
    context = {"viewport": WIDE, "locale": "en-GB", "color_scheme": "light", **context}
    room = browser.new_context(offline=True, **context)
    room.grant_permissions(["clipboard-read", "clipboard-write"])
    if before:
        room.add_init_script(before)
    page = room.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(f"console {message.type}: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("popup", lambda other: wrong.append(f"popup: {other.url}"))
    page.on(
        "request", lambda request: request.url.split("#")[0] == file.as_uri() or wrong.append(f"request: {request.url}")
    )
    page.goto(file.as_uri())
    yield page
    assert page.evaluate("window.hurt") is None
    room.close()
    assert wrong == []


def data(page: Any) -> dict[str, Any]:
    """The report that a page is drawn from, which lies beside it."""
    file = Path(unquote(urlsplit(page.url).path)).with_name("report.json")
    found: dict[str, Any] = json.loads(file.read_text())["audit"]
    return found


def tables(page: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yields the tables of a page with their data, of which only the rows that are shown."""
    shown = json.loads(page.locator("#audit-data").text_content())["tables"]
    for section in data(page)["sections"]:
        for table in section["tables"]:
            table["rows"] = shown[table["key"]]["rows"]
            if table["rows"]:
                yield page.locator(f'[id="{table["key"]}"]'), table


def order(block: Any, table: dict[str, Any]) -> list[int]:
    """Which rows of the data the rows of a table are, from top to bottom, told apart by their heading and numbers."""
    return [
        int(number)
        for number in block.locator("tbody > tr:not(.asked)").evaluate_all("rows => rows.map(r => r.numbered)")
    ]


def open_all(page: Any) -> None:
    """Opens all that is folded, and waits until each row has its command below it."""
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    page.evaluate("document.querySelectorAll('button.all').forEach(all => all.click())")
    page.wait_for_function(
        "() => document.querySelectorAll('tr.asked').length === document.querySelectorAll('tbody details').length"
    )


def numbered(page: Any) -> None:
    """Gives each row its place in the data, before anything is sorted."""
    page.evaluate(
        "document.querySelectorAll('tbody').forEach(body => [...body.rows].forEach((row, n) => { row.numbered = n; }))"
    )


def sorted_rows(table: dict[str, Any], column: int, *, down: bool) -> list[int]:
    """The plain twin of the page's order: numbers, then words, unknown last either way, equals as they stood."""
    cells = [row[column] for row in table["rows"]]
    known = [number for number, cell in enumerate(cells) if cell is not None]
    known.sort(key=lambda number: (-cells[number] if down else cells[number], number))
    return known + [number for number, cell in enumerate(cells) if cell is None]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_click_sorts_tables_and_another_sorts_them_back(
    browser: Any, any_page: Path, scheme: str, viewport: dict[str, int]
) -> None:
    with opened(browser, any_page, color_scheme=scheme, viewport=viewport) as page:
        numbered(page)
        tried = 0
        for block, table in tables(page):
            numeric = [
                at
                for at, column in enumerate(table["columns"])
                if column["unit"] != "text" and not any(isinstance(row[at], str) for row in table["rows"])
            ]
            if not numeric or len(table["rows"]) < 3 or tried == 6:
                continue
            tried += 1
            column = numeric[-1]
            head = block.locator("thead th").nth(column)
            head.locator("button").click()
            assert head.get_attribute("aria-sort") == "descending"
            assert order(block, table) == sorted_rows(table, column, down=True)
            head.locator("button").press("Enter")
            assert head.get_attribute("aria-sort") == "ascending"
            assert order(block, table) == sorted_rows(table, column, down=False)
            assert block.locator("th[aria-sort=ascending], th[aria-sort=descending]").count() == 1
            head.locator("button").press("Space")
            assert head.get_attribute("aria-sort") == "none"
            assert order(block, table) == list(range(len(table["rows"])))
        assert tried


def test_a_button_changes_the_language_and_is_remembered(browser: Any, any_page: Path) -> None:
    with opened(browser, any_page) as page:
        titles = [section["title"] for section in data(page)["sections"]]

        def shown() -> list[str]:
            return [text.strip() for text in page.locator("main h2").all_inner_texts()][: len(titles)]

        assert shown() == [title["en"] for title in titles]
        page.get_by_role("button", name="中文").click()
        assert page.locator("html").get_attribute("lang") == "zh-Hans"
        assert shown() == [title["zh"] for title in titles]
        assert page.locator("nav a").first.inner_text().strip() == titles[0]["zh"]
        page.reload()
        assert shown() == [title["zh"] for title in titles]
        page.get_by_role("button", name="English").press("Enter")
        assert page.locator("html").get_attribute("lang") == "en"
        assert shown() == [title["en"] for title in titles]


def test_a_chinese_browser_is_shown_chinese(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file, locale="zh-CN") as page:
        assert page.locator("h1 small").inner_text() == "多样性报告"
        assert page.get_by_role("heading", level=1, name="多样性报告").count() == 1


def test_a_button_changes_the_theme_and_is_remembered(browser: Any, page_file: Path) -> None:
    def ground(page: Any) -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    with opened(browser, page_file, color_scheme="dark") as page:
        dark = ground(page)
        page.get_by_role("button", name="Light").click()
        light = ground(page)
        page.reload()

        assert dark != light == ground(page)
        page.get_by_role("button", name="Dark").click()
        assert ground(page) == dark


def test_where_storage_is_refused_the_page_only_forgets(browser: Any, page_file: Path) -> None:
    refused = (
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })"
    )
    with opened(browser, page_file, before=refused) as page:
        page.get_by_role("button", name="中文").click()
        page.locator("button.theme").click()

        assert page.locator("html").get_attribute("lang") == "zh-Hans"
        page.reload()
        assert page.locator("html").get_attribute("lang") == "en"


def test_a_figure_shows_the_command_of_its_documents_and_copies_it(browser: Any, any_page: Path) -> None:
    with opened(browser, any_page) as page:
        figures = [figure for section in data(page)["sections"] for figure in section["figures"] if figure["command"]]
        assert figures
        page.evaluate("document.querySelectorAll('.more').forEach(more => { more.open = true; })")
        codes = page.locator(".card .cmd code").evaluate_all("all => all.map(one => one.textContent)")
        assert codes == [figure["command"] for figure in figures]
        for figure in [*figures[:8], *figures[8:][-1:]]:
            card = page.locator(f'[id="{figure["key"]}"]')
            code = card.locator(".cmd code")
            assert not code.is_visible()
            card.locator("summary").click()
            assert code.is_visible()
            assert code.text_content() == figure["command"]
            assert figure["command"].startswith("datapipe show DIR")
        card.get_by_role("button", name="Copy").click()
        card.get_by_role("button", name="Copied").wait_for()

        assert page.evaluate("navigator.clipboard.readText()") == figures[-1]["command"]


def test_a_row_shows_its_command_below_it_and_keeps_it_when_sorted(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as page:
        block, table = next(
            (block, table) for block, table in tables(page) if table["commands"] and table["commands"][-1]
        )
        for folded in block.locator("button.all").all():
            folded.click()
        block.locator("tbody > tr").last.locator("summary").press("Enter")
        asked = block.locator("tr.asked")
        asked.wait_for()
        assert asked.locator("code").text_content() == table["commands"][-1]
        for _ in range(2):
            block.locator("thead button").last.click()
            assert asked.evaluate("row => row.previousElementSibling.querySelector('details').open")
        asked.get_by_role("button", name="Copy").click()
        asked.get_by_role("button", name="Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == table["commands"][-1]
        block.locator("details[open] summary").press("Enter")
        asked.wait_for(state="detached")


def test_of_a_long_table_ten_rows_are_shown_and_all_on_a_click_or_when_one_is_looked_for(
    browser: Any, page_file: Path
) -> None:
    with opened(browser, page_file) as page:
        block, table = next((block, table) for block, table in tables(page) if len(table["rows"]) > 12)
        numbered(page)
        rows, button = block.locator("tbody > tr:not(.asked):visible"), block.locator("button.all")
        assert rows.count() == 10
        block.locator("thead button").last.click()  # other rows come first
        assert rows.count() == 10
        assert rows.evaluate_all("rows => rows.map(row => row.numbered)") == order(block, table)[:10]
        assert button.inner_text() == f"Show all {len(table['rows'])} rows"
        button.press("Enter")
        assert rows.count() == len(table["rows"])
        assert button.get_attribute("aria-expanded") == "true"
        button.press("Space")
        assert rows.count() == 10
        cell = str(table["rows"][-1][0] or "none")
        block.get_by_role("searchbox").fill(cell)
        assert block.locator("tbody > tr").last.is_visible() or rows.count()
        assert not button.is_visible()
        block.get_by_role("searchbox").fill("")
        assert rows.count() == 10


def test_a_table_is_copied_as_it_is_shown(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as page:
        block, table = next(
            (block, table)
            for block, table in tables(page)
            if len(table["rows"]) > 12 and isinstance(table["rows"][12][0], str)
        )
        wanted = table["rows"][12][0]
        block.get_by_role("searchbox").fill(wanted.upper())
        shown = [row for row in table["rows"] if any(wanted.lower() in str(cell).lower() for cell in row)]
        block.locator(".tools button").click()
        block.get_by_role("button", name="Copied").wait_for()
        lines = str(page.evaluate("navigator.clipboard.readText()")).rstrip("\n").split("\n")

        assert block.locator("output").inner_text() == f"{len(shown)} / {len(table['rows'])}"
        assert len(lines) == 1 + len(shown)
        assert len(lines[0].split("\t")) == len(table["columns"])
        assert [line.split("\t")[0] for line in lines[1:]] == [row[0] for row in shown]


def test_copying_works_without_a_clipboard_of_the_page(browser: Any, page_file: Path) -> None:
    """As browsers do that give it to no file from disk."""
    with opened(browser, page_file, before="delete Navigator.prototype.clipboard") as page:
        figure = next(
            figure for section in data(page)["sections"] for figure in section["figures"] if figure["command"]
        )
        page.goto(f"{page.url}#{figure['key']}")  # opens what it is folded into
        card = page.locator(f'[id="{figure["key"]}"]')
        card.locator("summary").click()
        card.get_by_role("button", name="Copy").click()
        card.get_by_role("button", name="Copied").wait_for()
        card.get_by_role("button", name="Copy").wait_for()
        page.evaluate("document.body.append(document.createElement('textarea'))")
        page.locator("textarea").press("Control+v")

        assert page.locator("textarea").input_value() == figure["command"]


@pytest.mark.parametrize(
    ("locale", "width"),
    [("zh-CN", 320), ("en-GB", 375), ("zh-CN", 375), ("en-GB", 768), ("zh-CN", 1100), ("en-GB", 1440)],
)
def test_nothing_is_wider_than_the_window(browser: Any, any_page: Path, locale: str, width: int) -> None:
    with opened(browser, any_page, locale=locale, viewport={"width": width, "height": 740}) as page:
        reach = "document.documentElement.scrollWidth"
        assert page.evaluate(reach) <= width
        open_all(page)
        assert page.evaluate(reach) <= width


def test_the_contents_follow_the_scroll(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file, reduced_motion="reduce") as page:
        links = page.locator("nav a")
        for number in range(links.count() - 1):
            links.nth(number).click()
            page.wait_for_function(
                "href => document.querySelector('nav a[aria-current]')?.getAttribute('href') === href",
                arg=links.nth(number).get_attribute("href"),
            )
            assert page.locator("nav a[aria-current]").count() == 1


def test_a_reader_who_hears_the_page_finds_its_parts(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file, locale="zh-CN") as page:
        assert page.get_by_role("main").count() == 1
        assert page.get_by_role("navigation", name="目录").count() == 1
        for section in data(page)["sections"]:
            assert page.get_by_role("region", name=section["title"]["zh"], exact=True).count() >= 1
            for table in section["tables"]:
                if table["rows"]:
                    block = page.locator(f'[id="{table["key"]}"]')
                    assert block.get_by_role("table", name=table["label"]["zh"], exact=True).count() == 1
                    heads = block.get_by_role("columnheader")
                    assert heads.count() == len(table["columns"])
                    assert (
                        block.get_by_role("img").count()
                        == block.get_by_role("img", name=table["label"]["zh"], exact=True).count()
                    )


def test_the_first_tab_leads_past_the_contents(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as page:
        page.keyboard.press("Tab")
        skip = page.locator(".skip")
        box = skip.bounding_box()
        assert skip.evaluate("link => link === document.activeElement")
        assert box is not None
        assert box["x"] >= 0
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_without_a_script_all_of_it_is_there_in_both_languages(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as page:
        audit = data(page)
    room = browser.new_context(java_script_enabled=False, viewport=PHONE)
    page = room.new_page()
    page.goto(page_file.as_uri())
    for section in audit["sections"]:
        heading = page.locator(f'[id="title-{section["key"]}"]').inner_text()
        assert section["title"]["en"] in heading
        assert section["title"]["zh"] in heading
        for table in section["tables"]:
            assert page.locator(f'[id="{table["key"]}"] tbody > tr').count() in (len(table["rows"]), 100, 50)
    details = page.locator(".card details").first
    details.locator("summary").click()
    assert details.locator("code").is_visible()
    assert not page.locator("button").count()
    room.close()


def test_what_is_printed_has_commands_and_whole_tables_and_nothing_to_press(browser: Any, any_page: Path) -> None:
    with opened(browser, any_page, color_scheme="dark", viewport={"width": 700, "height": 1000}) as page:
        printed = page.pdf(format="A4")
        assert printed.startswith(b"%PDF")
        assert page.locator("details[open]").count() == 0
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")

        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.locator("nav, .switches, .tools button, .cmd button, .js th code").evaluate_all(
            "all => all.every(one => !one.checkVisibility())"
        )
        assert page.locator(":not(.few) > tbody > tr > td .cmd code, .card .cmd code").evaluate_all(
            "all => all.every(one => one.checkVisibility())"
        )
        for grid in page.locator(".few").all():
            rows = grid.locator("tbody > tr").evaluate_all("rows => rows.map(one => one.checkVisibility())")
            asked = grid.locator("tr.asked").count()
            assert sum(rows) == (20 if asked else 10) or asked < len(rows) - asked  # where not all have commands
            assert grid.locator("xpath=ancestor::div[@class='block']").locator(".printed:visible").count() == 1
        assert page.locator(".scroll").evaluate_all("all => all.every(one => one.scrollHeight <= one.clientHeight + 2)")
        assert page.locator(".scroll").evaluate_all("all => all.every(one => one.scrollWidth <= one.clientWidth + 2)")
        commands = sum(table["commands"] is not None and sum(map(bool, table["commands"])) for _, table in tables(page))
        assert page.locator("tr.asked").count() == commands
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("details[open], tr.asked").count() == 0


def test_nothing_of_a_document_runs_when_all_is_opened_and_hovered(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as page:
        open_all(page)
        for title in page.locator("#risk tbody th, #risk svg text").all():
            title.dispatch_event("mouseover")
            title.dispatch_event("click")
        assert page.evaluate("document.querySelectorAll('img, iframe, object, embed, link, base, form').length") == 0
        assert page.evaluate("document.scripts.length") == 2


def test_the_policy_stops_what_would_get_past_all_else(browser: Any, tmp_path: Path) -> None:
    """A page with a hole in its escaping, as none has: even so nothing runs, loads or is sent."""
    hole = b'<img src="https://example.org/x" onerror="window.hurt=1"><script>window.hurt=1</script><style>b{}</style>'
    file = tmp_path / "hole.html"
    file.write_bytes(render(sample()).replace(b"<footer>", b"<footer>" + hole))
    page = browser.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    asked: list[str] = []
    page.on("requestfinished", lambda request: asked.append(request.url))
    page.goto(file.as_uri())

    assert page.evaluate("window.hurt") is None
    assert len([text for text in refused if "Content Security Policy" in text]) >= 3
    assert asked == [file.as_uri()]
    page.close()
