"""`about.yaml`: read strictly, every mistake with its line and what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from datapipe import ConfigError
from stages.audit.standards.about import About, SourceAbout, question
from stages.audit.standards.asking import read_about, template


def read(folder: Path, text: str | bytes) -> About:
    path = folder / "about.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_about(str(path), ["crawl", "notes"])


def test_a_template_says_nothing_until_it_is_filled_in(tmp_path: Path) -> None:
    made = template(["crawl", "notes"])

    assert read(tmp_path, made) == About(sources={"crawl": SourceAbout(), "notes": SourceAbout()})
    assert "publisher: What is the corpus called in public? / 发布者：语料库对外名称？" in made
    assert read(tmp_path, made.replace("name: null", "name: 语料", 1)).name == "语料"


def test_a_template_names_sources_as_yaml_needs_them(tmp_path: Path) -> None:
    names = ["a: b", "- c", "yes", "#d", "\"e'"]
    path = tmp_path / "about.yaml"
    path.write_text(template(names))

    assert list(read_about(str(path), names).sources) == names


@pytest.mark.parametrize("text", ["", "# nothing", "sources: {crawl: {kind: crawled}}", "eu: null", "name: 天地玄黄"])
def test_what_is_left_out_is_open(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text).version is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("licens: MIT", "line 1: unknown key 'licens' (did you mean 'licence'?)"),
        ("name: a\neu:\n  provder: b", "line 3: unknown key 'eu.provder' (did you mean 'provider'?)"),
        ("use:\n  allowed: []", "line 2: unknown key 'use.allowed'; known are permitted, prohibited, conditions"),
        ("sources: {crwl: {}}", "line 1: the corpus has no source 'crwl' (did you mean 'crawl'?)"),
        ("sources:\n  crawl:\n    kind: crawl", "line 3: sources.crawl.kind: input should be 'public_dataset'"),
        ("\nversion: 1.0", "line 2: version: input should be a valid string, not 1.0"),
        ("version: '1.0'", "line 1: version: string should match pattern"),
        ("name: a\nname: b", "line 2: the key name stands twice"),
        ("china: {robots: a, robots: b}", "line 1: the key china.robots stands twice"),
        ("- 1", "line 1: holds no keys"),
        ("a: [", "line 1: is no YAML"),
        ("a: !!python/object:os.system {}", "is no YAML"),
        ("creators:\n- {nam: x}", "line 2: creators.0.name: field required"),
        ("china: {keywords: -1}", "greater than or equal to 0, not -1"),
        ("name: ''", "line 1: name: string should have at least 1 character"),
        ("url: file:///etc/passwd", "line 1: url: "),
        ("date_published: 2026-13-01", "is no YAML: month must be in 1..12"),
        (b"name: \xff\xfe", "is not UTF-8"),
        ("a: 1\nsources: &a {crawl: *a}", "line 2: *a stands for something said elsewhere; write it out"),
        ("creators: me", "line 1: creators: should be a list, [like, this], not 'me'"),
        ("sources: []", "line 1: sources: should hold keys, a line each"),
        ("datasheet: no", "line 1: datasheet: should hold keys, a line each, not False"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)

    assert said in str(error.value)
    assert str(error.value).startswith(f"--about {tmp_path}")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no such file; `--about-template` prints one"):
        read_about(str(tmp_path / "none.yaml"), [])


def test_a_question_says_whom_it_asks() -> None:
    assert question("sources.a.b.kind").who.en == "provider"
    assert question("eu.opt_outs").open.zh == "［待填：法务：采集前后为尊重权利保留所采取的措施］"
