import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from stages.ingest.nesting import Size, measure, measure_plainly

PARTS = st.lists(
    st.one_of(
        st.sampled_from(
            "<div> </div> <p> <DIV class='a>b'> <a href=x/> <br/> <svg> </svg> <g/> <option> "
            "<!-- --> --> <!> <?x > <!doctype <script> </script> </SCRIPT> </scrip <title> "
            "</title> <b =c> <b a = 'x' b=\"y\" c> "
            "' \" = / > < </ <a <longer-name> "
            "<textareas> 字 <x\n\ty=1>".split(" ")
        ),
        st.text(alphabet="<>/='\" abdivscrpt-!?\n", max_size=6),
    ),
    max_size=25,
).map(lambda parts: "".join(parts).encode())


def sizes(pages: list[bytes]) -> list[Size]:
    offsets = np.cumsum([0, *map(len, pages)], dtype=np.int64)
    return [Size(*row) for row in measure(np.frombuffer(b"".join(pages), np.uint8), offsets).tolist()]


@given(st.lists(PARTS, max_size=5))
def test_counts_what_its_plain_twin_counts(pages: list[bytes]) -> None:
    assert sizes(pages) == [measure_plainly(page) for page in pages]


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (b"", Size(0, 0, 0)),
        (b"<div><p>a<p>b<br><img src=x></div><div></div>", Size(1, 1, 0)),
        (b"<div>" * 700, Size(700, 0, 0)),
        (b"<div/>" * 700, Size(700, 0, 0)),
        (b"<svg>" + b"<path/>" * 700 + b"</svg>", Size(1, 0, 0)),
        (b"<script>" + b"'<div>'" * 700 + b"</script>", Size(1, 0, 0)),
        (b"<!-- " + b"<div>" * 700 + b"--><i>", Size(1, 0, 0)),
        (b"<i a=1 b='2 3 > 4' c=it's d e = f>", Size(1, 5, 0)),
        (b"<select>" + b"<option>x" * 9 + b"</select>", Size(1, 0, 9)),
    ],
)
def test_counts_depth_attributes_and_options(page: bytes, expected: Size) -> None:
    assert sizes([page]) == [expected]
    assert measure_plainly(page) == expected


def test_measures_hostile_pages_in_linear_time() -> None:
    pages = [b"<" * 3_000_000, b"<a " + b"x='" * 1_000_000, b"<script>" + b"</" * 1_000_000, b"<!--" + b"-" * 3_000_000]
    sizes([b"<p>"])
    start = time.process_time()

    sizes(pages)

    assert time.process_time() - start < 1.0


def test_estimates_no_less_than_half_the_depth_that_a_parser_finds_on_real_pages(shared: Path) -> None:
    """resiliparse's tree is the other implementation; elements that end by themselves are not counted here."""
    files = sorted((shared / "data/html/readability").rglob("source.html"))[:40]
    assert len(files) == 40

    for file in files:
        page = file.read_bytes()
        real = deepest(HTMLTree.parse(page.decode("utf-8", "replace")))

        assert 2 * sizes([page])[0].depth + 10 >= real, file


def deepest(tree: HTMLTree) -> int:
    depth = most = 0
    node = tree.document
    while node is not None:
        if node.first_child is not None:
            node, depth = node.first_child, depth + 1
            most = max(most, depth)
            continue
        while node is not None and node.next is None:
            node, depth = node.parent, depth - 1
        node = node.next if node is not None else None
    return most
