"""Clean pages lose nothing: not a character, whatever in them looks like damage."""

from __future__ import annotations

import pytest

from stages.repair.mend import mend
from stages.repair.rules import load
from stages.repair.screen import ALL
from tests.stages.repair.samples import CLEAN, changes, repaired


@pytest.mark.parametrize("name", CLEAN)
def test_leaves_a_clean_text_as_it_is(name: str) -> None:
    result = repaired(CLEAN[name])

    assert changes(result) == []
    assert result.table["text"].to_pylist() == [CLEAN[name]]


@pytest.mark.parametrize("name", CLEAN)
def test_no_rule_needs_the_screen_to_leave_a_clean_text_alone(name: str) -> None:
    mended = mend(CLEAN[name], ALL, load(), broken=True, whole=True)

    assert mended.changes == ()
    assert mended.parts == (CLEAN[name],)


def test_a_batch_of_clean_texts_passes_as_the_same_columns() -> None:
    texts = [text for text in CLEAN.values() if text]

    result = repaired(*texts)

    assert result.table["text"].to_pylist() == texts
    assert not [name for name in result.counts if name.startswith("characters.")]
