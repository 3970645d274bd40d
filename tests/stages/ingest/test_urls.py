import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.ingest.urls import canonical, normal

ODD = st.text(st.sampled_from("aZ0%25eE/.?#&=:@ \t\\[]é字-_~+;utmQ"), max_size=40)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        # RFC 3986, 6.2.2 and 6.2.3
        ("HTTP://www.EXAMPLE.com/", "http://www.example.com/"),
        ("http://example.com", "http://example.com/"),
        ("http://example.com:/", "http://example.com/"),
        ("http://example.com:80/", "http://example.com/"),
        ("https://example.com:443/", "https://example.com/"),
        ("https://example.com:80/", "https://example.com:80/"),
        ("http://example.com/a%c2%b1b", "http://example.com/a%C2%B1b"),
        ("http://example.com/%7efoo/%61", "http://example.com/~foo/a"),
        ("http://example.com/a/b/c/./../../g", "http://example.com/a/g"),
        ("http://example.com/mid/content=5/../6", "http://example.com/mid/6"),
        ("http://example.com/../../a/.", "http://example.com/a/"),
        ("http://example.com/%2e%2E/a", "http://example.com/a"),
        ("http://example.com/a%2Fb", "http://example.com/a%2Fb"),
        ("http://example.com//a//", "http://example.com//a//"),
        # WHATWG URL
        (" http://ex\nample.com/\ta ", "http://example.com/a"),
        ("http:\\\\example.com\\a", "http://example.com/a"),
        ("http://example.com/a b", "http://example.com/a%20b"),
        ("http://example.com/字", "http://example.com/%E5%AD%97"),
        ("http://Bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://例え.テスト/", "http://xn--r8jz45g.xn--zckzah/"),
        ("http://faß.de/", "http://xn--fa-hia.de/"),
        ("http://example.com./", "http://example.com/"),
        ("http://[2001:DB8::1]:80/a", "http://[2001:db8::1]/a"),
        ("http://me:secret@example.com/a", "http://example.com/a"),
        # parts that do not change what is shown
        ("http://example.com/a#top", "http://example.com/a"),
        ("http://example.com/a?", "http://example.com/a"),
        ("http://example.com/a?utm_source=x&UTM_Medium=y", "http://example.com/a"),
        ("http://example.com/a?b=1&gclid=x&a=2&&fbclid=y", "http://example.com/a?b=1&a=2"),
        ("http://example.com/a?q=utm_source", "http://example.com/a?q=utm_source"),
        ("http://example.com/a?q=%e4%bd&r=x y", "http://example.com/a?q=%E4%BD&r=x%20y"),
        ("http://example.com/100%", "http://example.com/100%25"),
        # what is no web address stays
        ("urn:isbn:0451450523", "urn:isbn:0451450523"),
        ("dns:example.com", "dns:example.com"),
        ("no address", "no address"),
        ("http://", "http://"),
        ("http://a b/", "http://a b/"),
        ("http://example.com:port/", "http://example.com:port/"),
    ],
)
def test_gives_an_address_its_normal_form(url: str, expected: str) -> None:
    assert normal(url) == expected


@given(ODD.map("http://example.com/".__add__) | ODD.map("http://".__add__) | ODD | st.text(max_size=30))
def test_leaves_a_normal_form_as_it_is(url: str) -> None:
    once = normal(url)

    assert normal(once) == once


@given(st.text(st.sampled_from("abc/.-_~:@!$&'()*+,;="), max_size=30))
def test_needs_no_second_look_where_the_first_says_so(path: str) -> None:
    """The fast path agrees with the parser: a port that is not needed makes it take that."""
    assert normal(f"http://example.com/{path}") == normal(f"http://example.com:80/{path}")


@pytest.mark.parametrize(
    ("link", "base", "expected"),
    [
        (None, None, "https://m.example.co.uk/a/b?x=1"),
        ("https://www.example.co.uk/a/b/", None, "https://www.example.co.uk/a/b/"),
        ("http://example.co.uk/?utm_source=z", None, "http://example.co.uk/"),
        ("/c", None, "https://m.example.co.uk/c"),
        ("c?y#z", None, "https://m.example.co.uk/a/c?y"),
        ("//www.example.co.uk/d", None, "https://www.example.co.uk/d"),
        ("c", "https://www.example.co.uk/base/", "https://www.example.co.uk/base/c"),
        ("c", "/base/", "https://m.example.co.uk/base/c"),
        ("https://other.co.uk/a", None, "https://m.example.co.uk/a/b?x=1"),
        ("https://co.uk/", None, "https://m.example.co.uk/a/b?x=1"),
        ("javascript:alert(1)", None, "https://m.example.co.uk/a/b?x=1"),
        ("http://[bad/", None, "https://m.example.co.uk/a/b?x=1"),
        ("http://x" * 2000, None, "https://m.example.co.uk/a/b?x=1"),
    ],
)
def test_follows_a_canonical_link_within_the_domain(link: str | None, base: str | None, expected: str) -> None:
    assert canonical("https://m.example.co.uk:443/a/b?x=1#top", link, base) == expected


def test_takes_an_absolute_link_where_a_page_has_no_address() -> None:
    assert canonical(None, "https://Example.com", None) == "https://example.com/"
    assert canonical(None, "/a", None) is None
    assert canonical(None, None, None) is None


@given(st.text(max_size=30) | ODD, st.none() | ODD)
def test_raises_for_no_link(link: str, base: str | None) -> None:
    found = canonical("https://example.com/a", link, base)

    assert found is not None
    assert found.startswith(("http://", "https://"))
