"""The page of a comparison in a browser, offline from disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stages.audit.compare.compared import Compared
from stages.audit.compare.sections import page
from tests.stages.audit.test_browser import PHONE, browser, opened
from tests.stages.audit.test_diff import told, two, work

__all__ = ["browser", "told", "two", "work"]  # fixtures
pytestmark = pytest.mark.heavy


@pytest.fixture
def drawn(told: Compared, tmp_path: Path) -> Path:
    """Returns the page of two runs of hostile strings."""
    file = tmp_path / "diff.html"
    file.write_bytes(page(told.diff))
    return file


@pytest.mark.parametrize("context", [{}, {"color_scheme": "dark", "locale": "zh-CN"}, {"viewport": PHONE}])
def test_a_page_of_hostile_strings_says_asks_and_fetches_nothing(
    browser: Any, drawn: Path, context: dict[str, Any]
) -> None:
    with opened(browser, drawn, **context) as seen:
        for summary in seen.locator("summary").all():
            if summary.is_visible():
                summary.click()

        assert seen.locator("section").count() >= 6
        assert seen.locator("svg").count() >= 5
        assert seen.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_row_of_a_cause_opens_its_command(browser: Any, drawn: Path) -> None:
    with opened(browser, drawn) as seen:
        row = seen.locator("#documents\\.causes tbody tr").first
        row.locator("summary").click()

        assert "datapipe explain" in seen.locator("#documents\\.causes tr.asked code").inner_text()
