import re
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import ConfigError, resource
from datapipe.stage import identity
from datapipe.testing import Result, dataset, evaluate
from stages.urls import Lists, Urls
from stages.urls.lists import find_hosts, find_urls, hash_hosts, hash_texts, hosts, key_of
from stages.urls.stage import Allow

HOSTS = """\ufeff# a list
example.com
0.0.0.0 ads.example.net
127.0.0.1 localhost
127.0.0.1\ttracker.example.org # why
.leading.cn
*.star.cn
||filter.example^
Upper.Example.INFO
例子.中国
bücher.example
! a comment

203.0.113.9
"""
names = st.lists(st.sampled_from(["a", "b", "ab", "com", "example", "cn", "x-y"]), min_size=1, max_size=4).map(".".join)
paths = st.lists(st.sampled_from(["a", "b", "ab", "?", "/", "/a", "?a", "/b/"]), max_size=5).map("".join)


def documents(*urls: str | None, canonical: list[str | None] | None = None) -> pa.Table:
    table = {
        "id": pa.array([number.to_bytes(16) for number in range(len(urls))], pa.binary(16)),
        "url": pa.array(urls, pa.string()),
    }
    return pa.table(table | ({"canonical_url": pa.array(canonical, pa.string())} if canonical else {}))


def run(stage: Urls, *urls: str | None, canonical: list[str | None] | None = None) -> Result:
    return evaluate(stage.build(dataset(documents(*urls, canonical=canonical))))


def dropped(result: Result) -> list[tuple[str, str, str]]:
    return [(row["url"], row["rule"], row["note"]) for row in result.ledger.to_pylist()]


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    (tmp_path / "hosts").write_text(HOSTS)
    (tmp_path / "urls").write_text("example.net/bad\nhttps://Example.net:443/x/../y/?utm_source=z\nexample.net\n")
    (tmp_path / "patterns").write_text("# numbers\n/\\d{5,}/\n(?i)casino[-_]\n")
    return tmp_path


@pytest.mark.parametrize(
    ("host", "entry"),
    [
        ("example.com", "example.com"),
        ("a.b.example.com", "example.com"),
        ("badexample.com", None),
        ("example.com.cn", None),
        ("com", None),
        ("ads.example.net", "ads.example.net"),
        ("example.net", None),
        ("localhost", None),
        ("x.tracker.example.org", "tracker.example.org"),
        ("leading.cn", "leading.cn"),
        ("www.star.cn", "star.cn"),
        ("filter.example", "filter.example"),
        ("upper.example.info", "upper.example.info"),
        ("xn--fsqu00a.xn--fiqs8s", "xn--fsqu00a.xn--fiqs8s"),  # 例子.中国 by RFC 3492
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("203.0.113.9", "203.0.113.9"),
    ],
)
def test_a_host_is_blocked_with_all_below_it_and_no_other(listed: Path, host: str, entry: str | None) -> None:
    result = run(Urls(block=Lists(hosts=(str(listed / "hosts"),))), f"http://{host}/page", "http://other.org/")

    assert dropped(result) == ([(f"http://{host}/page", "blocked_host", f"{entry} in block.hosts[0]")] if entry else [])


def test_an_address_too_long_for_a_normal_form_hides_no_host(listed: Path) -> None:
    long = f"HTTPS://Example.com/{'x' * 9000}"

    result = run(Urls(block=Lists(hosts=(str(listed / "hosts"),))), long)

    assert dropped(result) == [(long, "blocked_host", "example.com in block.hosts[0]")]


@pytest.mark.parametrize(
    ("url", "entry"),
    [
        ("http://example.net/bad", "example.net/bad"),
        ("https://EXAMPLE.net/bad/", "example.net/bad"),
        ("http://example.net/bad/below?x", "example.net/bad"),
        ("http://example.net/bad?x=1", "example.net/bad"),
        ("http://example.net/badly", None),
        ("http://www.example.net/bad", None),
        ("http://example.net/y", "example.net/y"),
        ("http://example.net/", "example.net/"),
        ("http://example.net", "example.net/"),
        ("http://example.net/z", None),
        ("http://example.net:8080/bad", None),
        ("ftp://example.net/bad", None),
    ],
)
def test_a_url_is_blocked_in_its_normal_form_with_all_below_its_path(listed: Path, url: str, entry: str | None) -> None:
    result = run(Urls(block=Lists(urls=(str(listed / "urls"),))), url)

    assert dropped(result) == ([(url, "blocked_url", f"{entry} in block.urls[0]")] if entry else [])


def test_a_canonical_url_is_looked_up_too(listed: Path) -> None:
    stage = Urls(block=Lists(urls=(str(listed / "urls"),)))

    result = run(stage, "http://a.org/1", "http://a.org/2", None, canonical=["http://example.net/bad", None, None])

    assert dropped(result) == [("http://a.org/1", "blocked_url", "example.net/bad in block.urls[0]")]


def test_patterns_are_searched_for_in_the_address(listed: Path) -> None:
    stage = Urls(block=Lists(patterns=(str(listed / "patterns"),)))

    result = run(stage, "http://a.cn/12345/x", "http://a.cn/1234/x", "http://a.cn/Casino-x", None)

    assert dropped(result) == [
        ("http://a.cn/12345/x", "blocked_url", r"/\d{5,}/ in block.patterns[0]"),
        ("http://a.cn/Casino-x", "blocked_url", "(?i)casino[-_] in block.patterns[0]"),
    ]
    assert result.counts["no_url"] == 1


def test_what_is_allowed_stays_whatever_blocks_it(listed: Path) -> None:
    (listed / "good").write_text("good.example.com\n")
    stage = Urls(
        block=Lists(hosts=(str(listed / "hosts"),), patterns=(str(listed / "patterns"),)),
        allow=Allow(hosts=(str(listed / "good"),)),
        words="ours",
    )

    result = run(stage, "http://good.example.com/12345/xxx", "http://a.example.com/", "http://else.cn/xxx")

    assert [(rule, note) for _, rule, note in dropped(result)] == [
        ("blocked_host", "example.com in block.hosts[0]"),
        ("url_words", "xxx in words"),
    ]


def test_only_what_is_allowed_stays_and_what_has_no_address(listed: Path) -> None:
    stage = Urls(allow=Allow(urls=(str(listed / "urls"),), only=True))

    result = run(stage, "http://example.net/bad/x", "http://other.org/a", None, "no address")

    assert dropped(result) == [("http://other.org/a", "not_allowed", "other.org/a")]
    assert result.table.column("url").to_pylist() == ["http://example.net/bad/x", None, "no address"]


@pytest.mark.parametrize(
    ("url", "note"),
    [
        ("http://my-freeporn-site.com/", "freeporn in words"),
        ("http://a.com/xxx/1", "xxx in words"),
        ("http://a.com/foxxx/1", None),
        ("http://a.com/sex-education", None),
        ("http://a.com/hot-girls-dating", "dating girls hot in words"),
        ("http://a.com/%68ot/girls", "girls hot in words"),
        ("http://essex.gov.uk/adult-education", None),
        ("http://scunthorpe.org/", None),
    ],
)
def test_words_in_an_address_are_strict_hard_or_soft(url: str, note: str | None) -> None:
    assert dropped(run(Urls(words="ours"), url)) == ([(url, "url_words", note)] if note else [])


def test_nothing_is_dropped_without_lists() -> None:
    result = run(Urls(), "http://pornhub.com/", None)

    assert result.table.num_rows == 2


@settings(max_examples=120, deadline=None)
@given(st.lists(names, max_size=6), st.lists(names, max_size=6))
def test_hosts_are_found_as_a_plain_set_of_suffixes_finds_them(blocked: list[str], asked: list[str]) -> None:
    known = sorted(set(hash_hosts(pa.array(blocked, pa.large_string())).tolist()))

    found = find_hosts(pa.array(asked, pa.large_string()), hashes(known))

    for host, place in zip(asked, found.tolist(), strict=True):
        labels = host.split(".")
        below = [".".join(labels[start:]) for start in range(len(labels))]
        assert (host[place:] if place >= 0 else None) == next((name for name in below if name in blocked), None)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(names, paths), max_size=6), st.lists(st.tuples(names, paths), max_size=6))
def test_urls_are_found_as_a_plain_set_of_prefixes_finds_them(
    blocked: list[tuple[str, str]], asked: list[tuple[str, str]]
) -> None:
    entries = {key_of(f"http://{host}/{path}") or "" for host, path in blocked}
    keys = [key_of(f"http://{host}/{path}") or "" for host, path in asked]
    known = sorted(set(hash_texts(pa.array(sorted(entries), pa.large_string())).tolist()))

    found = find_urls(pa.array(keys, pa.large_string()), hashes(known))

    for key, end in zip(keys, found.tolist(), strict=True):
        host, _, path = key.partition("/")
        above = [key, *(f"{host}/{path[: border.start()]}" for border in re.finditer(r"(?<=[^/])[/?]", path))]
        longest = max((one for one in above if one in entries), key=len, default=None)
        assert (key[:end] if end >= 0 else None) == longest


def hashes(known: list[int]) -> np.ndarray:
    array = np.array(known, np.uint64)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("kind", "content", "error"),
    [
        ("hosts", "good.cn\nnot a host\n", r"list:2: 'not a host' is no host"),
        ("hosts", "good.cn\nexample.com/page\n", r"list:2: 'example.com/page' is no host"),
        ("hosts", "a..b\n", r"list:1: 'a\.\.b' is no host"),
        ("urls", "# x\nhttp://\n", r"list:2: 'http://' is no URL"),
        ("patterns", "good\n(bad\n", r"list:2: '\(bad' is no regular expression"),
    ],
)
def test_a_wrong_entry_is_an_error_while_planning_that_names_file_and_line(
    tmp_path: Path, kind: str, content: str, error: str
) -> None:
    (tmp_path / "list").write_text(content)

    with pytest.raises(ConfigError, match=error):
        run(Urls(block=Lists(**{kind: (str(tmp_path / "list"),)})), "http://a.cn/")


def test_bytes_that_are_no_text_words_that_are_no_list_and_a_missing_file_are_errors(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"good.cn\n\xff\xfe.cn\n")
    (tmp_path / "words.yaml").write_text("hard: [no]\n")

    for stage, error in (
        (Urls(block=Lists(hosts=(str(tmp_path / "bytes"),))), "bytes:2: is not UTF-8"),
        (Urls(words=str(tmp_path / "words.yaml")), "hard: is no list of words"),
        (Urls(block=Lists(hosts=(str(tmp_path / "nowhere"),))), "nowhere"),
        (Urls(allow=Allow(only=True)), "there is no list of what is allowed"),
    ):
        with pytest.raises(ConfigError, match=error):
            run(stage, "http://a.cn/")


def test_the_content_of_a_list_is_what_the_stage_is_known_by_not_its_place(tmp_path: Path) -> None:
    made = []
    for name, content in (("one", "a.cn"), ("other", "a.cn"), ("third", "b.cn")):
        (tmp_path / name).write_text(content)
        op = Urls(block=Lists(hosts=(str(tmp_path / name),))).build(dataset(documents("http://a.cn/"))).op
        made.append(identity(op.function))  # type: ignore[union-attr]

    assert made[0] == made[1] != made[2]


def test_three_hundred_thousand_hosts_are_read_in_seconds_and_take_eight_bytes_each(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("\n".join(f"host-{number}.example{number % 97}.com" for number in range(300_000)))
    file = resource(str(tmp_path / "hosts"))
    start = time.process_time()

    entries = hosts(file)

    assert time.process_time() - start < 5
    assert entries.nbytes == 8 * 300_000
    assert find_hosts(pa.array(["a.host-299999.example75.com", "host-1.example2.com"]), entries).tolist() == [2, -1]
