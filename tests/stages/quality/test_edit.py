"""Rules on lines: at their limits, and whole texts against what datatrove and DCLM make of them (by hand)."""

import hashlib
import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe.testing import Result, dataset, evaluate
from stages.quality import Quality
from stages.quality.edit import BLANK, edit_lines
from stages.quality.tables import Edit, LineRule, Table, load, parse

GOOD = "The boats came home before the rain began."
# (table, rule, line, whether the rule takes or changes it). The limits are C4's (datatrove, c4_filters.py) and
# RefinedWeb's (DCLM, refinedweb.yaml).
LINES = [
    ("c4", "c4_words", "Two words.", True),
    ("c4", "c4_words", "Now three words.", False),
    ("c4", "c4_words", "Now four more words.", False),
    ("c4", "c4_long_words", f"A {'w' * 1000} here.", False),
    ("c4", "c4_long_words", f"A {'w' * 1001} here.", True),
    ("c4", "c4_long_words", f"A {'w' * 999} here {'w' * 999}.", False),
    ("c4", "c4_terminal", "No end of a sentence", True),
    ("c4", "c4_terminal", "An end of a sentence.", False),
    ("c4", "c4_terminal", "Is it an end?", False),
    ("c4", "c4_terminal", "He said: 'An end!'", False),
    ("c4", "c4_terminal", 'She said: "An end."', False),
    ("c4", "c4_terminal", "This trails off...", True),
    ("c4", "c4_terminal", "这里 没有 英文的句号。", True),
    ("c4", "c4_javascript", "Please enable JavaScript to go on.", True),
    ("c4", "c4_javascript", "Please enable the script to go on.", False),
    ("c4", "c4_policy", "Read our Privacy Policy before you go.", True),
    ("c4", "c4_policy", "This site uses cookies to work.", True),
    ("c4", "c4_policy", "Our policy is to keep privacy.", False),
    ("c4", "c4_citations", "It rained for days.[12]", True),
    ("c4", "c4_citations", "It rained[citation needed] for days.", True),
    ("c4", "c4_citations", "It rained [in March] for days.", False),
    ("fineweb", "c4_words", "Two words", True),
    ("fineweb", "c4_words", "Three words more", False),
    ("fineweb", "c4_javascript", "enable javascript to go on", True),
    ("refinedweb", "refinedweb_capitals", "ABcd", False),  # 2 of 4
    ("refinedweb", "refinedweb_capitals", "ABC d", True),  # 3 of 5
    ("refinedweb", "refinedweb_capitals", "AB c d", False),  # 2 of 6
    ("refinedweb", "refinedweb_digits", "12345", True),
    ("refinedweb", "refinedweb_digits", "1234 5", False),
    ("refinedweb", "refinedweb_digits", "12345.", False),
    ("refinedweb", "refinedweb_counters", "3 likes", True),
    ("refinedweb", "refinedweb_counters", "1,234 Followers!", True),
    ("refinedweb", "refinedweb_counters", "4.5k views", True),
    ("refinedweb", "refinedweb_counters", "3 likes and more", False),
    ("refinedweb", "refinedweb_counters", "he likes it", False),
    ("refinedweb", "refinedweb_words", "one", True),
    ("refinedweb", "refinedweb_words", "one two", False),
    ("refinedweb", "refinedweb_words", "one two three", False),
    # ten words and eleven
    ("refinedweb", "refinedweb_cart", "three more items in cart a b c d e f", False),
    ("refinedweb", "refinedweb_cart", "three more items in cart a b c d e", True),
    ("refinedweb", "refinedweb_cart", "0 Items In Cart", True),
    ("refinedweb", "refinedweb_read_more", "A fine story. Read more...", True),
    ("refinedweb", "refinedweb_read_more", "Read more... of this story", False),
    ("refinedweb", "refinedweb_read_more", "a b c d e f g h i read more...", False),
    ("refinedweb", "refinedweb_read_more", "a b c d e f g h read more...", True),
    ("refinedweb", "refinedweb_sign_in", "Sign-in to comment here", True),
    ("refinedweb", "refinedweb_sign_in", "Please sign-in to comment", False),
]


def edited(table: str | Table, text: str) -> tuple[str, dict[str, int]]:
    """Returns a text after the rules on lines, and how many lines each took."""
    changed = edit_lines(pa.array([text]), load(table) if isinstance(table, str) else table)
    return (changed[0].text, dict(changed[0].rules)) if changed else (text, {})


@pytest.mark.parametrize(("table", "rule", "line", "takes"), LINES)
def test_a_rule_takes_a_line_beyond_its_limit(table: str, rule: str, line: str, takes: bool) -> None:
    _, rules = edited(table, f"{GOOD}\n{line}\n{GOOD}")

    assert rules.get(rule, 0) == takes


@pytest.mark.parametrize("table", ["c4", "fineweb", "refinedweb"])
def test_every_rule_on_lines_has_cases_that_it_takes_and_leaves(table: str) -> None:
    for line in load(table).lines:
        found = {takes for name, rule, _, takes in LINES if rule == line.id and (name == table or table == "fineweb")}
        assert found == {True, False}, line.id
        assert edited(table, "") == ("", {})


def test_c4_leaves_trimmed_lines_and_no_blank_ones() -> None:
    text = f"Home | About\n\n  {GOOD}  \n\n\nIt rained for days.[3]\nRead our terms of use before you go.\n{GOOD}\n"

    left, rules = edited("c4", text)

    # As datatrove's C4QualityFilter, whose text is "\n".join of the stripped lines that stay.
    assert left == f"{GOOD}\nIt rained for days.\n{GOOD}"
    assert rules == {"c4_terminal": 1, "c4_citations": 1, "c4_policy": 1, BLANK: 1}


def test_refinedweb_leaves_blank_lines_where_they_are() -> None:
    text = f"MENU HERE\n\n{GOOD}\n\n12 likes\n{GOOD} Read more...\n\nitems in cart\n  {GOOD}"

    left, rules = edited("refinedweb", text)

    # DCLM: lines go with their newline, the text is stripped; "items in cart" is all of its line, which goes; GOOD has
    # eight words, so "Read more..." ends a line of ten.
    assert left == f"{GOOD}\n\n{GOOD}\n\n  {GOOD}"
    assert rules == {
        "refinedweb_capitals": 1,
        "refinedweb_counters": 1,
        "refinedweb_cart": 1,
        "refinedweb_read_more": 1,
    }


def documents(*texts: str) -> pa.Table:
    ids = [hashlib.blake2b(str(number).encode(), digest_size=16).digest() for number in range(len(texts))]
    return pa.table(
        {
            "id": pa.array(ids, pa.binary(16)),
            "text": list(texts),
            "text_digest": pa.array([bytes(16)] * len(texts), pa.binary(16)),
            "language": ["eng_Latn"] * len(texts),
            "language_score": pa.array([1.0] * len(texts), pa.float32()),
        }
    )


def run(table: str, *texts: str, limits: dict[str, Any] | None = None, rows_per_batch: int = 3) -> Result:
    stage = Quality(profiles={"eng_Latn": table}, limits=limits or {})
    return evaluate(stage.build(dataset(documents(*texts))), rows_per_batch=rows_per_batch)


def test_documents_are_judged_by_what_is_left_and_leave_so() -> None:
    clean = "\n".join([GOOD] * 5)

    result = run("c4", f"Menu\n{clean}\nShare this", clean, "\n".join([GOOD] * 4), "Menu", f"{clean}\nA brace {{ here.")

    assert result.table.column("text").to_pylist() == [clean, clean]
    digests = result.table.column("text_digest").to_pylist()
    assert digests == [hashlib.blake2b(clean.encode(), digest_size=16).digest(), bytes(16)]
    rows = [(row["action"], row["rule"], row["value"], row["note"]) for row in result.ledger.sort_by("id").to_pylist()]
    assert ("repair", "c4_words", 1.0, "Menu") in rows
    assert ("repair", "c4_terminal", 1.0, "Share this") not in rows  # two words: the rule before took it
    assert ("drop", "c4_curly_brackets") in [row[:2] for row in rows]
    assert [row[1] for row in rows if row[0] == "drop"].count("c4_sentences") == 2
    kept = result.outputs["signals"][0]
    sizes = dict(zip(kept.column("id").to_pylist(), kept.column("bytes").to_pylist(), strict=True))
    assert sizes[result.table.column("id")[0].as_py()] == len(clean)
    assert result.counts["lines.c4_words"] == 3


def test_refinedweb_drops_a_document_that_lost_more_than_a_twentieth_of_its_words() -> None:
    # 95 words stay, 5 go: a twentieth; 94 stay, 6 go.
    words = [f"{'abcdefghij'[n % 10]}{'klmnopqrst'[n // 10]}of" for n in range(93)]
    limits = {rule.id: {"min": None, "max": None} for rule in load("refinedweb").rules if rule.id.startswith("gopher")}

    exact = run("refinedweb", f"the and {' '.join(words)}\nA B C D E", limits=limits)
    more = run("refinedweb", f"the {' '.join(words)}\nA B C D E F", limits=limits)

    assert exact.table.num_rows == 1
    assert [row["rule"] for row in more.ledger.to_pylist() if row["action"] == "drop"] == ["refinedweb_removed_words"]


def test_original_signals_are_those_of_the_text_as_it_came() -> None:
    text = "\n".join([*[GOOD] * 3, *["ONE MORE LINE"] * 3])

    result = run("refinedweb", text)

    (row,) = result.outputs["signals"][0].to_pylist()
    assert (row["original_words"], row["words"]) == (8 * 3 + 9, 8 * 3)
    assert row["removed_word_ratio"] == pytest.approx(9 / 33)


@pytest.mark.parametrize("rows_per_batch", [1, 2, 5])
def test_edits_do_not_depend_on_batches(rows_per_batch: int) -> None:
    texts = [f"Menu\n{GOOD}", GOOD, "[1]\n[2]", f"{GOOD}[1]\n\n{GOOD}", "", f"3 likes\n{GOOD}"] * 2

    for table in ("c4", "refinedweb"):
        one, other = run(table, *texts, rows_per_batch=12), run(table, *texts, rows_per_batch=rows_per_batch)

        assert one.outputs["signals"][0].equals(other.outputs["signals"][0])
        assert sorted(map(str, one.ledger.to_pylist())) == sorted(map(str, other.ledger.to_pylist()))


PIECES = ["a b c.", "Ab", "[1]", "x [12].", "\n", "\n\n", " ", "汉字。", "sign-in", "3 likes", "12"]


def plainly(text: str, table: Table) -> str:
    """Returns what `edit_lines` makes of a text, for tables of one rule on words and edits, line by line."""
    held = any(isinstance(line, Edit) and line.contains.lower() in text.lower() for line in table.lines)
    lines, touched = text.split("\n"), False
    for rule in table.lines:
        left = []
        for line in lines:
            if isinstance(rule, LineRule):
                gone = bool(line.strip()) and len(line.split()) < (rule.min or 0)
                touched |= gone
                left += [] if gone else [line]
            elif held:
                made = re.sub(rule.remove, "", line, flags=re.IGNORECASE)
                touched |= made != line
                left += [] if made != line and not made.strip() else [made]
            else:
                left.append(line)
        lines = left
    return "\n".join(lines).strip() if touched else text


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_agrees_with_a_twin_that_goes_line_by_line(text: str) -> None:
    table = parse(
        b"lines: [{id: w, signal: words, min: 2, source: s}, {id: c, remove: '\\[\\d*]', contains: '[', source: s}]\n"
        b"rules: []",
        "t.yaml",
    )

    assert edited(table, text)[0].strip() == plainly(text, table).strip()
