"""What is main text of a page, and how it is written."""

import gzip
import time
from pathlib import Path

import pytest

from stages.ingest.main_text import NODES_LIMIT, main_texts

PROSE = "长江流经许多城市，沿岸的人们在这里生活了几千年，留下了很多故事。"
ENGLISH = "The river passes many towns, and people have lived on its banks for ages."


def text_of(page: str, **options: bool) -> str | None:
    return main_texts([page.encode()], **options)[0]


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("<p>一。</p><p>二。</p>", "一。\n\n二。"),
        ("<p>一。<p>二。", "一。\n\n二。"),
        ("<h2>标题</h2><p>文。", "标题\n\n文。"),
        ("<h2>甲 <a href=#a> #\n</a></h2><h2>C#<a href=#b>&para;</a></h2><h2><a href=#c>¶</a>乙", "甲\n\nC#\n\n乙"),
        ("<h2>标题之中 <a href=/b>#1</a> #</h2>", "标题之中 #1 #"),
        ("甲<br>乙<br><br>丙", "甲\n乙\n\n丙"),
        ("<b>好</b>了<i>。</i>", "好了。"),
        ("<span>中</span>\n<span>文</span> <b>字</b>", "中文 字"),
        ("中文\n  换行 x\n y", "中文换行 x y"),
        ("a<b> b</b>c <i>d</i>\n<i>e</i>", "a bc d e"),
        ("<ul><li>甲<li>乙<ul><li>丙</ul></ul>丁", "- 甲\n- 乙\n  - 丙\n\n丁"),
        ("<ol><li>a</li><li><p>b</p></li></ol>", "1. a\n2. b"),
        ("<dl><dt>词<dd>义</dl>", "词\n义"),
        ("<pre>\nif x:\n\n    y  = 1 &lt; 2\n</pre>z", "if x:\n\n    y  = 1 < 2\n\nz"),
        ("<pre><code>a\n<span>  b</span></code></pre>", "a\n  b"),
        ("run <code>x  y</code>.", "run x y."),
        ("<table><tr><th>a<th>b<tr><td>1<td><p>2</p></table>", "a | b\n1 | 2"),
        ("<table><tr><td>1<td><td>3</table>", "1 |  | 3"),
        ("10<sup>6</sup> m<sup>2</sup> H<sub>2</sub>O 3<sup>rd</sup> word<sup>1</sup>", "10^6 m^2 H2O 3rd word1"),
        ("<ruby>漢<rp>(</rp><rt>hàn</rt><rp>)</rp></ruby>字", "漢字"),
        ("&lt;b&gt; &amp;amp; &nbsp;&eacute;&eacute &#20013;&#x6587; &#151; &#0; &nGt; &notit; &x; &", None),
        ("a&#13;&#10;b", "a b"),
        ("x<script>var a='<p>y</p>'</script><style>p{}</style><noscript>n</noscript>z", "xz"),
        ("x<svg><title>t</title><path/></svg><select><option>o</select><button>b</button>z", "xz"),
        ("x<img alt=alt src=y><iframe>i</iframe><!-- c --><template>t</template>z", "xz"),
        ("x<p hidden>h</p><p style='color:red; DISPLAY : none'>d</p><p aria-hidden=true>a</p>z", "x\nz"),
    ],
)
def test_writes_what_a_reader_sees(inside: str, expected: str | None) -> None:
    if expected is None:
        expected = "<b> &amp; éé 中文 — \ufffd ≫⃒ ¬it; &x; &"

    assert text_of(f"<body><p>{PROSE}</p><div>{inside}</div><p>{PROSE}") == f"{PROSE}\n\n{expected}\n\n{PROSE}"


def test_keeps_a_section_whose_id_is_its_heading() -> None:
    section = f"<div class=section id=sharing-with-a-single-developer><h2>共享</h2><p>{PROSE}</p></div>"

    assert text_of(f"<body><h1>x</h1>{'<p>' + PROSE + '</p>'}{section}<p>{PROSE}{PROSE}") == (
        f"{PROSE}\n\n共享\n\n{PROSE}\n\n{PROSE}{PROSE}"
    )


@pytest.mark.parametrize(
    "around",
    [
        "<nav><a href=/>Home</a> <a href=/b>All of the news, every day.</a></nav>",
        "<div class='site-footer'>Copyright 2024, all rights reserved by nobody. <a href=/>Terms</a></div>",
        "<aside><p>Read this too, it is about another thing entirely. <a href=/>More</a></p></aside>",
        "<div id=cookieBanner><p>We value your privacy, and use cookies for all of that.</p></div>",
        "<div role=dialog><p>Sign in, please, to see the rest of what there is.</p></div>",
        "<div class='post-share'>Share this, please, with all of your friends.</div>",
        "<div class='xiangguan'><a href=/1>另一篇文章的标题，很长</a><a href=/2>又一篇文章的标题，也很长</a></div>",
        "<ul><li><a href=/1>First other page</a><li><a href=/2>Second other page</a></ul>",
        "<form><input name=q><label>Search this site</label></form>",
        "<section class=comments><p>Nice text, thank you very much for it.</p></section>",
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_leaves_out_what_is_beside_the_text(around: str, inside: bool) -> None:
    article = f"<p>{ENGLISH}</p>" * 3
    page = f"<article>{article}{around}</article>" if inside else f"{around}<article>{article}</article>{around}"

    assert text_of(page) == "\n\n".join([ENGLISH] * 3)


def test_keeps_comments_where_they_are_wanted() -> None:
    page = f"<p>{ENGLISH}</p><p>{ENGLISH}</p><div id=comments><p>很好的文章，谢谢你写了这么多，我学到不少。</p></div>"

    assert "很好的文章" not in str(text_of(page))
    assert "很好的文章" in str(text_of(page, comments=True))


def test_a_page_without_sentences_keeps_what_is_no_list_of_links() -> None:
    assert text_of("<body><div>Hello</div><nav><a href=/>Home</a></nav>") == "Hello"


def test_a_name_does_not_drop_most_of_a_page() -> None:
    page = f"<body class='has-sidebar'><div class='with-sidebar'><div class=sidebar><p>{PROSE}<p>{PROSE}</div>"

    assert text_of(page) == f"{PROSE}\n\n{PROSE}"


def test_lists_of_other_pages_go_and_do_not_win_over_an_article() -> None:
    cards = "".join(
        f"<div class=item><h3><a href=/{n}>Another story of some kind</a></h3><p>{ENGLISH} And more.</p></div>"
        for n in range(9)
    )
    page = f"<main><article><p>{ENGLISH}</p><p>{ENGLISH}</p></article><div>{cards}</div></main>"

    assert text_of(page) == f"{ENGLISH}\n\n{ENGLISH}"


def test_a_page_that_is_such_a_list_keeps_it() -> None:
    cards = "".join(f"<li><a href=/{n}>Another story of some kind</a><p>{ENGLISH}</p></li>" for n in range(9))

    assert str(text_of(f"<h1>News</h1><ul>{cards}</ul>")).count(ENGLISH) == 9


def test_hidden_text_stays_where_nearly_all_is_hidden() -> None:
    """Some pages are shown by a script."""
    page = f"<p>Loading, please wait.</p><div style='visibility: hidden'>{f'<p>{ENGLISH}</p>' * 30}</div>"

    assert str(text_of(page)).count(ENGLISH) == 30


def test_what_calls_itself_the_text_is_kept_whole() -> None:
    items = "".join(f"<li>Item {n} <a href=/{n}>link</a></li>" for n in range(20))
    page = f"<div>{ENGLISH}</div><div class=entry-content><h2>Changes</h2><ul>{items}</ul></div>"

    assert "\n\nChanges\n\n- Item 0 link\n- Item 1 link\n" in str(text_of(page))


def test_short_lines_around_the_sentences_go_but_headings_and_items_stay() -> None:
    page = (
        f"<div><h1>A title</h1><div>By someone</div><h2>Part one</h2><p>{ENGLISH}</p><p>Note</p><p>{ENGLISH}</p>"
        "<ul><li>item</ul><div>Printed in May</div></div>"
    )

    assert text_of(page) == f"Part one\n\n{ENGLISH}\n\nNote\n\n{ENGLISH}\n\n- item"


def test_a_layout_table_is_no_table() -> None:
    page = f"<table><tr><td>a<td><p>{ENGLISH}</p><p>{ENGLISH * 6}</p></table>"

    assert text_of(page) == f"{ENGLISH}\n\n{ENGLISH * 6}"


def test_pages_do_not_reach_into_each_other() -> None:
    pages = [f"<pre>a<ul><li>{PROSE}".encode(), b"", b"<!-- ", PROSE.encode(), b"<p>\xff\xfe" + PROSE.encode()]

    assert main_texts(pages) == [main_texts([page])[0] for page in pages]
    assert main_texts([]) == []


def test_a_page_of_too_many_elements_is_refused() -> None:
    assert main_texts([b"<b>" * (NODES_LIMIT + 1), b"<b>x"]) == [None, "x"]


@pytest.mark.parametrize(
    "page",
    [
        b"<div>" * 300_000 + b"x",
        b"<div>" * 100_000 + b"x" + b"</div>" * 100_000,
        b"<b><div>" * 100_000 + b"</b>" * 100_000 + b"</span>" * 100_000,
        b"<table><tr><td>" * 50_000 + b"</table>" * 50_000,
        b"<a href=x><p>" * 100_000,
        b"<li><ul>" * 100_000 + b"x",
        b"<p " + b"a=1 " * 500_000 + b">x",
        b"<p class='" + b"x " * 1_000_000 + b"'>x",
        b"<" * 3_000_000,
        b"<a " + b"x='" * 1_000_000,
        b"<script>" + b"</" * 1_500_000,
        b"<!--" + b"-" * 3_000_000,
        b"&" * 3_000_000,
        b"&amp" * 700_000,
        b"x " * 1_500_000,
        b"\0" * 3_000_000,
        bytes(range(256)) * 10_000,
        b"<select>" + b"<option>x" * 300_000,
    ],
)
def test_a_hostile_page_takes_time_in_proportion_to_its_length(page: bytes) -> None:
    spent = []
    for _ in range(3):  # the first may compile, a garbage collection may come in between
        started = time.process_time()
        main_texts([page])
        spent.append(time.process_time() - started)

    assert min(spent) < 1.0


def test_malformed_and_fuzzed_pages_are_read(shared: Path) -> None:
    files = sorted((shared / "data/html/jsoup").rglob("*.html*"))
    assert len(files) > 50
    pages = [gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes() for file in files]

    texts = main_texts(pages)

    assert None not in texts
    assert sum(bool(text) for text in texts) > len(files) // 2
