"""Characters alone between two tags are found by the kernel where the pattern finds them, and stay in the text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.ingest.alone import holds_alone, mark
from stages.ingest.extract import main_text

PIECES = st.sampled_from(
    ["<b>", "</b>", "<", ">", " ", "\n", "好", "。", "한", "é", "𠮷", "a", "好了", "\u2060", "\u3000"]
)


@given(st.lists(PIECES, max_size=12))
def test_the_kernel_finds_every_page_that_the_pattern_marks(pieces: list[str]) -> None:
    page = "".join(pieces)
    data = page.encode()

    found = holds_alone(np.frombuffer(data, np.uint8), np.array([0, len(data)], np.int64))

    assert found[0] or mark(page) == page


@pytest.mark.parametrize("character", ["好", "。", "，", "한", "—", "か"])
def test_a_character_in_a_tag_of_its_own_stays(character: str) -> None:
    page = f"<article><p>前文很长<b>{character}</b>后文也很长，这样才像一段话。</p></article>"

    assert main_text(page) == f"前文很长{character}后文也很长，这样才像一段话。"
