"""The table of rules, and what a config may say about it."""

from __future__ import annotations

import pytest

from datapipe import ConfigError
from stages.repair.rules import load, parse


def test_every_rule_has_limits_that_a_config_can_move() -> None:
    rules = load({"pinyin": {"least": 8}, "recurring": {"hosts": 3}})

    assert rules["pinyin"].limit("least") == 8
    assert rules["pinyin"].limit("per_1000_han") == 20
    assert rules["recurring"].limit("hosts") == 3


def test_rules_are_enabled_and_disabled_by_id() -> None:
    rules = load(enable=["articles"], disable=["pinyin"])

    assert rules.has("articles")
    assert not rules.has("pinyin")
    assert not load().has("articles")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"limits": {"pinyn": {}}}, "limits: no rule is called 'pinyn' (did you mean 'pinyin'?)"),
        ({"limits": {"pinyin": {"last": 3}}}, "limits.pinyin: no limit is called 'last' (did you mean 'least'?)"),
        ({"limits": {"pinyin": {"least": float("inf")}}}, "limits.pinyin.least: inf is no number of zero or more"),
        ({"limits": {"pinyin": {"least": -1}}}, "limits.pinyin.least: -1 is no number of zero or more"),
        ({"limits": {"bbcode": {"least": 1}}}, "limits.bbcode: no limit is called 'least' (there are: none)"),
        ({"enable": ["article"]}, "enable: no rule is called 'article' (did you mean 'articles'?)"),
        ({"disable": ["html"]}, "disable: no rule is called 'html'"),
        ({"enable": ["pinyin"], "disable": ["pinyin"]}, "'pinyin' is in enable and in disable"),
    ],
)
def test_a_mistake_is_named_with_its_place(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match="repair: ") as caught:
        load(**fields)  # type: ignore[arg-type]

    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"rules: [{id: a}]", "has no source"),
        (b"rules: [{id: a, source: b, limit: 3}]", "unknown key 'limit'"),
        (b"rules: [{id: a, source: b, words: [abc]}]", "'abc' has fewer than 6 bytes"),
        (b"rules: [{id: a, source: b, lines: {abcdef: '('}}]", "abcdef: "),
    ],
)
def test_a_table_that_is_wrong_says_where(content: bytes, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(content)

    assert says in str(caught.value)
