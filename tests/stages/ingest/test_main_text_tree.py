"""The scanner's tree, its plain twin, and character references against the interpreter's."""

import gzip
import html
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.ingest.main_text import main_texts
from stages.ingest.main_text.names import IDS, KINDS
from stages.ingest.main_text.plain import scan_plainly, sums_plainly
from stages.ingest.main_text.scan import (
    BYTES,
    COLUMNS,
    DEPTH_LIMIT,
    LINKS,
    MARKS,
    OWN,
    OWN_LINKS,
    OWN_MARKS,
    PARENT,
    TAG,
    WEIGHT,
    scan,
)
from stages.ingest.main_text.weigh import weigh
from stages.ingest.main_text.words import NAMES, UNSEEN

PARTS = st.lists(
    st.one_of(
        st.sampled_from(
            "<div> </div> <p> </p> <DIV\tclass='a>b'> <a\thref=x> </a> <br/> </br> <hr> <input\thidden> <b> </b> <li> "
            "</li> <p\tclass=relatedNews> "
            "<ul> </ul> <ol> <dl> <dt> <dd> </dl> <table> </table> <tr> <td> </td> <th> <tbody> </tbody> <thead> "
            "<caption> </tr> <h1> </h2> <h3> <pre> </pre> <svg> </svg> <g/> <math> <option> <select> </select> "
            "<optgroup> <button> </button> <head> </head> <body\tclass=nav> </body> <html> <title> </title> <meta> "
            "<!-- --> --> --!> <!> <?x\t> <!doctype <script> </script> </SCRIPT> </scrip <textarea> </> </1> <//> "
            "<my-tag> </my-tag> <template> </template> <noscript> </noscript> <span\tid=hasSidebar> "
            "<p\tclass='entry-content\tnav'> <p\tclass=articleBodyFooterX> <p\tid='no-nav\tno-no-nav'> "
            "<i\trole='navigation\tx'> <i\titemprop=articleBody> <i\tstyle='a:b;\tdisplay\t:\tNone!important'> "
            "<i\taria-hidden=True> <b\t=c> <b\ta\t=\t'x'\tb=\"y\"\tc> ' \" = / > < </ <a <longer-name>".split(" ")
        ).map(lambda part: part.replace("\t", " ")),
        st.sampled_from(["字", "，", "。", "　", " ", "\n", "a,", "b. ", "&amp;", "&", ";", "x y"]),
        st.text(alphabet="<>/='\" abdivscrpt-!?\n&;，字", max_size=6),
    ),
    max_size=30,
).map(lambda parts: "".join(parts).encode())


def tree_of(page: bytes) -> np.ndarray:
    tree = np.empty((2 * page.count(b"<") + 4, COLUMNS), np.int32)
    data = np.frombuffer(page, np.uint8)
    return tree[: scan(data, NAMES, KINDS, BYTES, tree, np.zeros(DEPTH_LIMIT, np.int32))]


def rows(page: bytes) -> list[tuple[int, ...]]:
    return [tuple(row) for row in tree_of(page)[:, : MARKS + 1].tolist()]


@given(PARTS)
def test_scans_as_its_plain_twin_scans(page: bytes) -> None:
    assert rows(page) == scan_plainly(page)


@given(PARTS)
def test_sums_as_its_plain_twin_sums(page: bytes) -> None:
    tree = tree_of(page)
    weigh(tree, KINDS, UNSEEN)

    columns = [WEIGHT, MARKS, LINKS, OWN, OWN_MARKS, OWN_LINKS]
    for node, sums in sums_plainly(scan_plainly(page), UNSEEN).items():
        assert tuple(tree[node, columns].tolist()) == sums


TAGS = (
    "<p> </p> <div> </div> <b> </b> <i> <em> </i> <br> <h2> </h2> <blockquote> </blockquote> <section> <pre> </pre> "
    "<hr> <code> </code> <wbr> <!--x--> <span> </span> <u>"
)
WORDS = ["中", "文。", " ", "\n", "　", "word", "two words", "&lt;", "&#25991;", "\xa0", "𠮷", "é", "a, b"]


@given(st.lists(st.sampled_from([*TAGS.split(" "), *WORDS]), max_size=30).map("".join))
def test_writes_all_text_and_adds_white_space_alone(inside: str) -> None:
    """The oracle takes the tags out by a pattern, and decodes by `html.unescape`."""
    sentence = "长江流经许多城市，沿岸的人们在这里生活了几千年。"
    found = str(main_texts([f"<body><p>{sentence}<div>{inside}</div><p>{sentence}".encode()])[0])

    expected = sentence + html.unescape(re.sub(r"<!--.*?-->|<[^>]*>", "", inside)) + sentence
    assert "".join(found.split()) == "".join(expected.split())
    assert "<pre>" in inside or not re.search(r"\n\n\n| \n|\n |  ", found)


def test_scans_malformed_pages_as_its_plain_twin_scans(shared: Path) -> None:
    files = [file for file in sorted((shared / "data/html/jsoup").rglob("*.html*")) if file.stat().st_size < 60_000]
    assert len(files) > 40

    for file in files:
        page = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        assert rows(page[:200_000]) == scan_plainly(page[:200_000]), file


def test_nesting_is_as_deep_as_the_limit() -> None:
    page = b"<div>" * (DEPTH_LIMIT + 9) + b"x"
    depths = [0]
    for row in rows(page)[1:]:
        depths.append(depths[row[PARENT]] + 1)

    assert max(depths) == DEPTH_LIMIT
    assert rows(page) == scan_plainly(page)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p>a<p>b", "p p"),
        ("<ul><li>a<ul><li>b</ul><li>c</ul>", "ul(li(ul(li)) li)"),
        ("<table><tr><td>1<td>2<tr><th>3</table>", "table(tr(td td) tr(th))"),
        ("<dl><dt>a<dd>b<dt>c</dl>", "dl(dt dd dt)"),
        ("<p><b>x<div>y</div>", "p(b) div"),
        ("<td><div>x</td><p>y", "td(div) p"),
        ("<a href=x><div>y</a>z</div>", "a(div)"),
        ("<h2>a<h3>b", "h2 h3"),
        ("<head><meta><p>x", "head p"),
        ("<div></span></b></div><i>", "div i"),
        ("<svg><path/><g></g></svg><p>", "svg( ) p"),
    ],
)
def test_elements_end_where_a_browser_ends_them(page: str, expected: str) -> None:
    """Expected trees by the tree construction of the HTML Standard, without what it adds (html, body, tbody)."""
    names = {number: name for name, number in IDS.items()}
    found = rows(page.encode())

    def written(parent: int) -> str:
        children = [number for number, row in enumerate(found) if row[PARENT] == parent and row[TAG] in names]
        inner = [names[found[child][TAG]] + (f"({written(child)})" if written(child) else "") for child in children]
        return " ".join(inner)

    assert written(0) == expected.replace("( )", "")


# Numbers that html.unescape does not drop for being no characters; the standard keeps those.
SPANS = ((33, 126), (0xA1, 0xD7FF), (0xD800, 0xDFFF), (0xE000, 0xFDCF), (0x10000, 0x1FFFD), (0x110000, 1 << 40))
REFERENCES = st.lists(
    st.one_of(
        st.sampled_from(sorted(html.entities.html5)).map("&{}".format),
        st.one_of(*(st.integers(*span) for span in SPANS)).map("&#{};".format),
        st.integers(0x80, 0x9F).map("&#x{:X}".format),
        st.text(alphabet="&x;abcngtl19", max_size=8),
    ),
    max_size=8,
).map("|".join)


@given(REFERENCES)
def test_decodes_references_as_the_interpreter_does(text: str) -> None:
    found = str(main_texts([f"<p>{'x ' * 30}，[{text}]".encode()])[0])

    expected = "|".join(html.unescape(part) for part in text.split("|")).replace("\xa0", " ")
    assert " ".join(found[found.index("[") + 1 : found.rindex("]")].split()) == " ".join(expected.split())
