import json
from pathlib import Path

import pytest

from datapipe import ConfigError
from stages.quality import SIGNALS
from stages.quality.tables import (
    Condition,
    Edit,
    LineRule,
    Rule,
    Table,
    check,
    load,
    of_plain,
    override,
    parse,
    plain,
    shipped,
)

GOOD = "{id: a, signal: words, min: 1, source: ours}"


@pytest.mark.parametrize("name", shipped())
def test_reads_every_table_of_the_package(name: str) -> None:
    assert load(name).rules


@pytest.mark.parametrize("name", shipped())
def test_a_table_goes_through_json_unchanged(name: str) -> None:
    assert of_plain(json.loads(json.dumps(plain(load(name))))) == load(name)


def test_gophers_limits_are_those_of_the_paper() -> None:
    # Rae et al. 2021, section A.1.1 and table A1.
    limits = {rule.id.removeprefix("gopher_"): (rule.min, rule.max) for rule in load("gopher").rules}

    assert limits["words"] == (50, 100_000)
    assert limits["word_length"] == (3, 10)
    assert limits["stop_words"] == (2, None)
    assert [limits[f"top_{n}_gram"][1] for n in (2, 3, 4)] == [0.20, 0.18, 0.16]
    assert [limits[f"duplicate_{n}_gram"][1] for n in range(5, 11)] == [0.15, 0.14, 0.13, 0.12, 0.11, 0.10]


def test_reads_a_table_at_a_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("rules:\n- {id: a, signal: words, max: 9, when: {language: [zho_Hans]}, source: ours}\n")

    rule = Rule(id="a", signal="words", max=9, when=(Condition(languages=("zho_Hans",)),))
    assert load(str(path)) == Table(rules=(rule,))


def test_reads_rules_on_lines_draws_and_conditions_on_the_format() -> None:
    content = """
    lines:
    - {id: short, signal: words, min: 3, source: ours}
    - {id: notes, remove: '\\[\\d*]', contains: "[", max_words: 9, source: ours}
    blank_lines: false
    rules:
    - {id: drawn, signal: quality, pareto: 9, seed: 4, when: [{format: prose}, {format: [qa, list]}], source: ours}
    """

    table = parse(content.encode(), "t.yaml")

    assert table == Table(
        rules=(
            Rule(
                id="drawn",
                signal="quality",
                pareto=9,
                seed=4,
                when=(Condition(formats=("prose",)), Condition(formats=("qa", "list"))),
            ),
        ),
        lines=(
            LineRule(id="short", signal="words", min=3),
            Edit(id="notes", remove=r"\[\d*]", contains="[", max_words=9),
        ),
        blank_lines=False,
    )
    assert of_plain(json.loads(json.dumps(plain(table)))) == table


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("rules: [", "t.yaml: is no YAML"),
        ("[1]", "t.yaml: a rule table is a key 'rules'"),
        ("rules: [3]", r"t.yaml: rules\[0\]: a rule is a mapping"),
        ("rules: [{signal: words, min: 1}]", r"t.yaml: rules\[0\]: has no id"),
        ("rules: [{id: '', signal: words, min: 1, source: s}]", r"t.yaml: rules\[0\]: has no id"),
        (f"rules: [{GOOD}, {GOOD}]", r"t.yaml: rules\[1\]: 'a' is the id of a rule above"),
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
        ("rules: [{id: a, signal: words, min: 1, source: s, when: {format: []}}]", "when: format is a label"),
        ("rules: [{id: a, signal: words, min: 1, source: s, when: {formats: code}}]", "when: unknown key 'formats'"),
        ("rules: [{id: a, signal: q, pareto: 0, source: s}]", "'a': pareto is the shape"),
        ("rules: [{id: a, signal: q, pareto: 9, min: 0, source: s}]", "'a': pareto draws its limit"),
        ("rules: [{id: a, signal: q, pareto: 9, seed: 0.5, source: s}]", "'a': seed is a whole number"),
        ("rules: [{id: a, signal: q, pareto: 9, seed: .inf, source: s}]", "'a': seed: is inf, not a number"),
        ("{rules: [], liens: []}", "unknown key 'liens' \\(did you mean 'lines'"),
        ("{rules: [], lines: 3}", "'lines' is a list"),
        ("{rules: [], blank_lines: 3}", "'blank_lines' true or false"),
        (f"{{rules: [{GOOD}], lines: [{GOOD}]}}", r"rules\[0\]: 'a' is the id of a rule above"),
        ("{rules: [], lines: [{id: a, signal: words, source: s}]}", r"lines\[0\] 'a': has neither min nor max"),
        ("{rules: [], lines: [{id: a, signal: words, min: 1, when: [], source: s}]}", "unknown key 'when'"),
        ("{rules: [], lines: [{id: a, remove: x, source: s}]}", "'a': contains is a text"),
        ("{rules: [], lines: [{id: a, remove: '(', contains: x, source: s}]}", "'a': remove is no regular expression"),
        ("{rules: [], lines: [{id: a, remove: x, contains: x, max_words: 0, source: s}]}", "'a': max_words is"),
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
    wrong = Rule(id="a", signal="wrods", min=1), Rule(id="a", signal="words", min=1, when=(Condition(signal="verse"),))
    for rule, sentence in zip(
        wrong, ("'wrods'.*did you mean 'words'", "'verse'.*did you mean 'verse_ratio'"), strict=True
    ):
        with pytest.raises(ConfigError, match=f"t.yaml: rule 'a': no signal is called {sentence}"):
            check({"t.yaml": Table(rules=(rule,))}, SIGNALS.names, ())
    with pytest.raises(ConfigError, match="no signal of lines is called 'word' \\(did you mean 'words'"):
        check({"t": Table(rules=(), lines=(LineRule(id="a", signal="word", min=1),))}, (), ("words",))
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        load("nowhere.yaml")


def test_replaces_single_limits_in_every_table_that_has_the_rule() -> None:
    tables = {name: load(name) for name in ("gopher", "gopher-any", "zh-web-v1")}

    changed = override(tables, {"gopher_words": {"min": 5}, "gopher_hashes": {"max": None}})

    rules = {(name, rule.id): rule for name, table in changed.items() for rule in table.rules}
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
        ({"pareto": 9}, "pareto draws its limit"),
    ],
)
def test_refuses_wrong_limits(given: dict[str, float], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        override({"gopher": load("gopher")}, {"gopher_words": given})


def test_takes_limits_of_lines_too_and_of_draws() -> None:
    tables = {name: load(name) for name in ("c4", "classifier-pareto")}

    changed = override(tables, {"c4_words": {"min": 2}, "gpt3_pareto": {"pareto": 3, "seed": 8}})

    assert next(line for line in changed["c4"].lines if line.id == "c4_words") == LineRule(
        id="c4_words", signal="words", min=2
    )
    assert changed["classifier-pareto"].rules == (Rule(id="gpt3_pareto", signal="quality", pareto=3, seed=8),)
    assert changed["c4"].rules == tables["c4"].rules
    with pytest.raises(ConfigError, match="c4_citations: this rule removes what matches"):
        override(tables, {"c4_citations": {"min": 1}})
