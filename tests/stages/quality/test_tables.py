from pathlib import Path

import pytest

from datapipe import ConfigError
from stages.quality.tables import FOLDER, Condition, Rule, load, override, parse

GOOD = "{id: a, signal: words, min: 1, source: ours}"


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_reads_every_table_of_the_package(name: str) -> None:
    assert len(load(name)) > 10


def test_gophers_limits_are_those_of_the_paper() -> None:
    # Rae et al. 2021, section A.1.1 and table A1.
    limits = {rule.id.removeprefix("gopher_"): (rule.min, rule.max) for rule in load("gopher")}

    assert limits["words"] == (50, 100_000)
    assert limits["word_length"] == (3, 10)
    assert limits["stop_words"] == (2, None)
    assert [limits[f"top_{n}_gram"][1] for n in (2, 3, 4)] == [0.20, 0.18, 0.16]
    assert [limits[f"duplicate_{n}_gram"][1] for n in range(5, 11)] == [0.15, 0.14, 0.13, 0.12, 0.11, 0.10]


def test_reads_a_table_at_a_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("rules:\n- {id: a, signal: words, max: 9, when: {language: [zho_Hans]}, source: ours}\n")

    assert load(str(path)) == (Rule(id="a", signal="words", max=9, when=(Condition(languages=("zho_Hans",)),)),)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("rules: [", "t.yaml: is no YAML"),
        ("[1]", "t.yaml: a rule table is one key 'rules'"),
        ("rules: [3]", r"t.yaml: rules\[0\]: a rule is a mapping"),
        ("rules: [{signal: words, min: 1}]", r"t.yaml: rules\[0\]: has no id"),
        (f"rules: [{GOOD}, {GOOD}]", r"t.yaml: rules\[1\]: 'a' is the id of a rule above"),
        (
            "rules: [{id: a, signal: wrods, min: 1, source: s}]",
            r"rules\[0\] 'a': no signal is called 'wrods' \(did you mean 'words'",
        ),
        ("rules: [{id: a, min: 1, source: s}]", "has no signal"),
        ("rules: [{id: a, signal: words, source: s}]", "has neither min nor max"),
        ("rules: [{id: a, signal: words, min: 3, max: 2, source: s}]", "min 3 is above max 2"),
        ("rules: [{id: a, signal: words, min: many, source: s}]", "min: is 'many', not a number"),
        ("rules: [{id: a, signal: words, max: .nan, source: s}]", "max: is nan, not a number"),
        ("rules: [{id: a, signal: words, min: true, source: s}]", "min: is True, not a number"),
        ("rules: [{id: a, signal: words, min: 1}]", "has no source"),
        ("rules: [{id: a, signal: words, mim: 1, source: s}]", r"unknown key 'mim' \(did you mean 'min'"),
        ("rules: [{id: a, signal: words, min: 1, source: s, when: 3}]", "when: a condition is"),
        ("rules: [{id: a, signal: words, min: 1, source: s, when: {language: []}}]", "when: language is a label"),
        (
            "rules: [{id: a, signal: words, min: 1, source: s, when: {signal: verse, max: 1}}]",
            "did you mean 'verse_ratio'",
        ),
        ("rules: [{id: a, signal: words, min: 1, source: s, when: {format: code}}]", "when: unknown key 'format'"),
    ],
)
def test_names_the_file_and_entry_of_a_mistake(content: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse(content.encode(), "t.yaml")


def test_names_near_misses_of_tables_and_rules() -> None:
    with pytest.raises(ConfigError, match="no rule table is called 'gophr' \\(did you mean 'gopher'"):
        load("gophr")
    with pytest.raises(ConfigError, match="no rule is called 'gopher_word' \\(did you mean 'gopher_words'"):
        override({"gopher": load("gopher")}, {"gopher_word": {"min": 1}})
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        load("nowhere.yaml")


def test_replaces_single_limits_in_every_table_that_has_the_rule() -> None:
    tables = {name: load(name) for name in ("gopher", "gopher-any", "zh-web-v1")}

    changed = override(tables, {"gopher_words": {"min": 5}, "gopher_hashes": {"max": None}})

    rules = {(name, rule.id): rule for name, table in changed.items() for rule in table}
    assert (rules["gopher", "gopher_words"].min, rules["gopher", "gopher_words"].max) == (5, 100_000)
    assert rules["gopher-any", "gopher_words"].min == 5
    assert rules["gopher", "gopher_hashes"].max is None
    assert changed["zh-web-v1"] == tables["zh-web-v1"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"mn": 1}, "unknown key 'mn'"),
        ({"min": "x"}, "limits.gopher_words.min: is 'x'"),
        ({"min": 1e9}, "is above max"),
    ],
)
def test_refuses_wrong_limits(given: dict[str, float], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        override({"gopher": load("gopher")}, {"gopher_words": given})
