"""Units that recur leave all documents but the first; what is there once, short, exempt or allowed stays."""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import opencc
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import ConfigError, PlanError, StageError, Work
from datapipe.testing import Result, dataset, evaluate
from stages.dedup.fold import fold_table, load, tokens
from stages.lines import DedupLines
from stages.lines.count import VERDICTS, Judge, Look, Route, units_schema
from stages.lines.plain import byte_hash, recurring, units, without
from stages.lines.remove import Remove, Settle, Within
from stages.lines.units import BLANK, FENCED, ROW, View, cut

FOLD = load(fold_table())
NOTICE = "责任编辑：王小明，本文仅代表作者个人观点，与本站立场无关"
CLAUSE = "All of the parties to this agreement have read it and have signed it freely."
OWN = "第{}篇写的是{}年前的一件小事，如今记得的人已经不多了。"
# Lines of few letters, so that lines, blank ones and fences meet often.
LINES = st.lists(
    st.sampled_from(["a", "b", "c", "A", "a。", "", " ", "\u3000", "```", "~~~x", "    ```", " |a|"]), max_size=9
)
TEXTS = LINES.map("\n".join)
Rows = list[dict[str, Any]]


def documents(rows: Rows) -> pa.Table:
    """Returns rows as documents; ids are hashes of their field `id`, or of the number."""
    made: dict[str, pa.Array] = {}
    ids = [hashlib.blake2b(str(row.get("id", place)).encode(), digest_size=16) for place, row in enumerate(rows)]
    made["id"] = pa.array([one.digest() for one in ids], pa.binary(16))
    for name in sorted({name for row in rows for name in row} - {"id"}):
        made[name] = pa.array([row.get(name) for row in rows], pa.int64() if name == "crawl_time" else pa.string())
    digests = [hashlib.blake2b((row["text"] or "").encode(), digest_size=16).digest() for row in rows]
    return pa.table({**made, "text_digest": pa.array(digests, pa.binary(16))})


def run(rows: Rows, *, shards: int = 2, rows_per_batch: int = 3, **fields: Any) -> Result:
    """Returns what the step makes of documents dealt to shards."""
    table = documents(rows)
    dealt = [table.take(pa.array(range(shard, len(rows), shards), pa.int64())) for shard in range(shards)]
    return evaluate(DedupLines(**fields).build(dataset(*dealt)), rows_per_batch=rows_per_batch)


def texts(result: Result) -> list[str]:
    return sorted(result.table["text"].to_pylist())


def pages(amount: int, line: str, *, at: int = 1, **columns: Any) -> Rows:
    """Returns documents of three lines of their own, with `line` among them."""
    made = []
    for number in range(amount):
        lines = [OWN.format(number * 3 + place, number + place) for place in range(3)]
        made.append({"text": "\n".join([*lines[:at], line, *lines[at:]]), **columns})
    return made


@pytest.mark.parametrize(("amount", "goes"), [(9, False), (10, True)])
def test_a_line_that_ten_documents_have_stays_in_the_first_alone(amount: int, goes: bool) -> None:
    rows = [{**row, "crawl_time": 100 - place} for place, row in enumerate(pages(amount, NOTICE))]

    result = run(rows)

    holders = [row["crawl_time"] for row in result.table.to_pylist() if NOTICE in row["text"]]
    assert sorted(holders) == ([100 - amount + 1] if goes else sorted(row["crawl_time"] for row in rows))
    assert result.ledger["action"].to_pylist() == ["repair"] * (amount - 1 if goes else 0)
    if goes:
        assert set(result.ledger["rule"].to_pylist()) == {"recurring_line"}
        assert set(result.ledger["value"].to_pylist()) == {1.0}
        assert set(result.ledger["note"].to_pylist()) == {NOTICE}
        assert result.counts["units_removed"] == 9
        assert result.counts["units_removed_bytes"] == 9 * len(f"{NOTICE}\n".encode())
        assert result.counts["documents_changed"] == 9
        assert (result.counts["units"], result.counts["units_compared"]) == (40, 40)


def test_what_is_left_is_the_text_without_the_line_and_its_digest() -> None:
    rows = pages(10, NOTICE)

    made = run(rows, keep="none").table.to_pylist()

    assert sorted(row["text"] for row in made) == sorted(row["text"].replace(f"{NOTICE}\n", "") for row in rows)
    assert all(row["text_digest"] == hashlib.blake2b(row["text"].encode(), digest_size=16).digest() for row in made)


def test_forms_of_a_line_are_one_in_the_folded_view_and_not_in_the_exact_one() -> None:
    forms = [NOTICE, opencc.OpenCC("s2t").convert(NOTICE), NOTICE.replace("，", ", "), f"　　{NOTICE}！", f" {NOTICE} "]
    rows = [row for place, form in enumerate(forms) for row in pages(2, form, at=place % 3)]
    rows = [{"text": row["text"], "id": place} for place, row in enumerate(rows)]

    folded, exact = run(rows, least=10, keep="none"), run(rows, least=10, keep="none", view="exact")

    assert not any(form in text for form in forms for text in texts(folded))
    assert texts(exact) == sorted(row["text"] for row in rows)


@pytest.mark.parametrize("unit", ["line", "paragraph"])
def test_a_text_that_ends_without_its_last_line_has_no_half_of_a_line_break(unit: Any) -> None:
    gap = "\r\n" if unit == "line" else "\r\n\r\n"
    rows = [{"text": f"own {number}{gap}{NOTICE}\r\n"} for number in range(10)]

    assert texts(run(rows, unit=unit, keep="none")) == [f"own {number}" for number in range(10)]


def test_numbers_may_be_alike() -> None:
    rows = [{"text": f"第{number}页，共四十页，上一页 下一页 返回目录"} for number in range(10, 20)]

    assert run(rows).table.num_rows == 10
    assert run(rows, numbers=True).table.num_rows == 1


def test_a_paragraph_is_what_blank_lines_part() -> None:
    paragraph = f"{CLAUSE}\n{NOTICE}"
    rows = [{"text": f"own {number}\n{CLAUSE}\n\n{paragraph}\n\nend of {number}"} for number in range(10)]

    result = run(rows, unit="paragraph", keep="none", shortest=5)

    assert texts(result) == sorted(f"own {number}\n{CLAUSE}\n\nend of {number}" for number in range(10))
    assert set(result.ledger["rule"].to_pylist()) == {"recurring_paragraph"}


def test_short_and_long_units_are_not_compared() -> None:
    rows = pages(10, "目录、首页、下一页、回顶部")  # ten characters

    assert run(rows, shortest=10, keep="none").counts["units_removed"] == 10
    assert run(rows, shortest=11).counts["units_removed"] == 0
    assert run(rows, longest=9, shortest=1).counts["units_removed"] == 0


def test_words_of_spaced_scripts_are_counted_as_words() -> None:
    rows = [
        {"text": f"{CLAUSE}\nThis is page number {number} of a book on gardens in the north."} for number in range(9)
    ]

    assert run(rows, least=9, shortest=15).counts["units_removed"] == 8  # CLAUSE has fifteen words
    assert run(rows, least=9, shortest=16).counts["units_removed"] == 0


def test_verse_tables_and_code_are_left_alone_where_formats_are_known() -> None:
    for name, stays in (("poetry", True), ("table", True), ("code", True), ("prose", False), (None, False)):
        result = run(pages(10, NOTICE, format=name), keep="none")
        assert (result.counts["units_removed"] == 0) is stays
    assert run(pages(10, NOTICE, format="poetry"), exempt=(), keep="none").counts["units_removed"] == 10


def test_exempt_documents_do_not_count_either() -> None:
    rows = [*pages(9, NOTICE, format="prose"), *pages(5, NOTICE, format="poetry")]

    assert run(rows).counts["units_removed"] == 0


def test_code_between_fences_stays_and_what_is_behind_it_does_not() -> None:
    code = "\n".join(["```python", f"print('{CLAUSE}')", "```"])
    rows = [{"text": f"own {number}\n{code}\n{CLAUSE}"} for number in range(10)]

    assert texts(run(rows, keep="none")) == sorted(f"own {number}\n{code}" for number in range(10))
    assert run(rows, keep="none", exempt=()).counts["units_removed"] == 20


def test_rows_of_tables_in_other_documents_stay() -> None:
    row = "| 类别 | 配置项 | 单机推荐配置 | 集群推荐配置 |"

    assert run(pages(10, row), keep="none").counts["units_removed"] == 0
    assert run(pages(10, row), keep="none", exempt=("code",)).counts["units_removed"] == 10
    assert run(pages(10, f"\n{CLAUSE}\n  {row}\n"), unit="paragraph", keep="none").counts["units_removed"] == 0


def test_allowed_lines_stay_in_any_form(tmp_path: Path) -> None:
    (tmp_path / "allow").write_text(f"\ufeff{NOTICE}\r\n\n", encoding="utf-8")
    traditional = opencc.OpenCC("s2t").convert(NOTICE)

    assert run(pages(10, traditional), allow=(NOTICE,)).counts["units_removed"] == 0
    assert run(pages(10, traditional), allow_files=(str(tmp_path / "allow"),)).counts["units_removed"] == 0
    assert run(pages(10, traditional), allow=(CLAUSE,)).counts["units_removed"] == 9


@pytest.mark.parametrize("per", ["host", "source"])
def test_within_a_host_or_source_others_do_not_count(per: str) -> None:
    rows = [row for name, amount in (("a", 10), ("b", 9), (None, 12)) for row in pages(amount, NOTICE, **{per: name})]

    result = run(rows, per=per)

    held = Counter(row[per] for row in result.table.to_pylist() if NOTICE in row["text"])
    assert held == {"a": 1, "b": 9, None: 12}
    assert result.counts[f"no_{per}"] == 12


def test_within_a_document_the_first_of_its_lines_stays() -> None:
    rows = [{"text": f"{NOTICE}\n{CLAUSE}\n{NOTICE}\nx\n{NOTICE}"}, {"text": CLAUSE}]

    result = run(rows, per="document", least=3)

    assert texts(result) == sorted([f"{NOTICE}\n{CLAUSE}\nx", CLAUSE])
    assert result.ledger["value"].to_pylist() == [2.0]


def test_a_refrain_counts_once_for_its_document_unless_occurrences_are_counted() -> None:
    rows = [{"text": "\n".join([NOTICE] * 12)}, *pages(1, CLAUSE)]

    assert run(rows).counts["units_removed"] == 0
    assert run(rows, counted="occurrences").counts["units_removed"] == 11


def test_the_first_is_of_the_document_that_the_config_prefers() -> None:
    rows = [{**row, "source": "book" if place == 7 else "web"} for place, row in enumerate(pages(10, NOTICE))]

    result = run(rows, survivor=({"source": ("book", "web")},))

    assert [row["source"] for row in result.table.to_pylist() if NOTICE in row["text"]] == ["book"]


@pytest.mark.parametrize(
    ("fields", "rule", "value", "limit"),
    [
        ({}, "emptied", 0.0, None),
        ({"least_left": 4}, "least_left", 3.0, 4.0),
        ({"least_left_ratio": 0.125}, "least_left_ratio", 3 / (4 + len(NOTICE)), 0.125),
    ],
)
def test_documents_of_which_too_little_is_left_leave(
    fields: dict[str, Any], rule: str, value: float, limit: float | None
) -> None:
    rest = "" if rule == "emptied" else "own\n"
    rows = [{"text": f"{rest}{NOTICE}"} for _ in range(9)] + [{"text": f"{NOTICE}\n{'long enough ' * 9}"}]

    result = run(rows, keep="none", **fields)

    assert texts(result) == ["long enough " * 9]
    dropped = [row for row in result.ledger.to_pylist() if row["action"] == "drop"]
    assert [(row["rule"], row["value"], row["limit"], row["note"]) for row in dropped] == [
        (rule, value, limit, NOTICE)
    ] * 9


def test_a_short_document_that_nothing_left_is_not_dropped() -> None:
    assert run([{"text": "ok"}, {"text": ""}, {"text": None}], least_left=100, least_left_ratio=1.0).table.num_rows == 3


def test_the_preset_ccnet_takes_the_first_too_and_dolma_the_bytes() -> None:
    rows = [{"text": "Page 1 of 9\nalone"}, {"text": "page 2 of 9!\nAlone here"}, {"text": "Page 1 of 9\nlast"}]

    ccnet, dolma = run(rows, preset="ccnet"), run(rows, preset="dolma")

    assert texts(ccnet) == sorted(["alone", "Alone here", "last"])
    assert sum("Page 1 of 9" in text for text in texts(dolma)) == 1
    assert "page 2 of 9!\nAlone here" in texts(dolma)
    assert run(rows, preset="ccnet", keep="first").counts["units_removed"] == 2


@pytest.mark.parametrize("unit", ["line", "paragraph"])
@given(st.lists(st.one_of(TEXTS, st.none()), max_size=6))
def test_the_kernel_cuts_as_the_plain_twin_does(unit: Any, held: list[str | None]) -> None:
    made = cut(pa.array(held, pa.string()), unit)

    content = made.data.tobytes()
    found = [
        (int(row), int(place), content[begin:end].decode(), *(bool(flag & bit) for bit in (FENCED, BLANK, ROW)))
        for row, place, begin, end, flag in zip(
            made.document, made.place, made.borders, made.borders[1:], made.flags, strict=False
        )
    ]
    assert found == [
        (row, place, *one) for row, text in enumerate(held) for place, one in enumerate(units(text or "", unit))
    ]


@given(st.lists(st.text(alphabet="aA1２ ,，软軟\r\n\u0301é", max_size=20), min_size=1, max_size=8))
def test_units_are_known_by_what_the_plain_twins_say(held: list[str]) -> None:
    made = cut(pa.array(held, pa.string()), "line")
    lines = [one.text for text in held for one in units(text, "line")]

    folded, exact = View(fold_table()).keys(made), View(fold_table(), exact=True).keys(made)
    alike = View(fold_table(), numbers=True).keys(made)

    views = [tuple(tokens(line, FOLD)) for line in lines]
    as_zero = [tuple("".join("0" if sign in "12" else sign for sign in word) for word in view) for view in views]
    assert exact.hashes.tolist() == [list(byte_hash(line.encode())) for line in lines]
    assert folded.tokens.tolist() == [len(view) for view in views]
    for keys, known in ((folded, views), (alike, as_zero)):
        hashes = [tuple(row) for row in keys.hashes.tolist()]
        assert len(set(hashes)) == len(set(known)) == len(set(zip(hashes, known, strict=True)))


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), max_size=5), max_size=8),
    st.integers(2, 4),
    st.sampled_from(["first", "none"]),
    st.sampled_from(["documents", "occurrences"]),
    st.integers(1, 6),
)
def test_judging_over_any_batches_is_what_the_plain_twin_says(
    held: list[list[tuple[int, int]]], least: int, keep: Any, counted: Any, size: int
) -> None:
    rows = sorted(
        (key, twin, bytes(8) + row.to_bytes(8), row, place)
        for row, keys in enumerate(held)
        for place, (key, twin) in enumerate(keys)
    )
    table = pa.table([list(column) for column in zip(*rows, strict=True)] or [[]] * 5, schema=units_schema(()))

    batches = list(Judge(least, keep, counted)(iter(table.to_batches(max_chunksize=size)), Work(0)))

    found = {(row["gid"], row["place"]) for batch in batches for row in batch.to_pylist()}
    leaves = recurring(held, least=least, keep=keep, counted=counted)
    assert found == {(row, place) for row, gone in enumerate(leaves) for place, one in enumerate(gone) if one}
    assert sum(batch.num_rows for batch in batches) == len(found)


def judged(rows: list[str], unit: Any, *, least: int, keep: Any, counted: Any) -> list[str]:
    """Returns the texts that stay by the plain twins, exempting what is fenced; documents come best first."""
    cuts = [units(text, unit) for text in rows]
    keys = [
        [tuple(tokens(one.text, FOLD)) if not (one.is_fenced or one.is_row) else () for one in held] for held in cuts
    ]
    leaves = recurring([[key or None for key in held] for held in keys], least=least, keep=keep, counted=counted)
    made = [without(held, gone) if any(gone) else text for text, held, gone in zip(rows, cuts, leaves, strict=True)]
    return [text for text, gone in zip(made, leaves, strict=True) if not any(gone) or text.strip(" \n\u3000")]


@settings(max_examples=50)
@given(
    st.lists(TEXTS, max_size=7),
    st.sampled_from(["line", "paragraph"]),
    st.integers(2, 3),
    st.sampled_from(["first", "none"]),
    st.sampled_from(["documents", "occurrences"]),
    st.integers(1, 3),
    st.integers(1, 4),
)
def test_any_shards_and_batches_leave_what_the_plain_twins_leave(
    held: list[str], unit: Any, least: int, keep: Any, counted: Any, shards: int, size: int
) -> None:
    rows = [{"text": text, "id": place, "crawl_time": place} for place, text in enumerate(held or [""])]
    fields = {"unit": unit, "least": least, "keep": keep, "counted": counted, "shortest": 1}

    result = run(rows, shards=shards, rows_per_batch=size, **fields)

    assert texts(result) == sorted(judged([row["text"] for row in rows], unit, least=least, keep=keep, counted=counted))
    assert result.table.num_rows + sum(action == "drop" for action in result.ledger["action"].to_pylist()) == len(rows)


@settings(max_examples=30)
@given(
    st.lists(TEXTS, min_size=1, max_size=7),
    st.sampled_from(["line", "paragraph"]),
    st.integers(2, 3),
    st.sampled_from(["first", "none"]),
    st.randoms(use_true_random=False),
)
def test_order_and_files_change_no_text_twice_is_once_and_one_of_each_stays(
    held: list[str], unit: Any, least: int, keep: Any, draw: random.Random
) -> None:
    rows = [{"text": text, "id": place} for place, text in enumerate(held)]
    moved = [{**row, "id": f"elsewhere {row['id']}"} for row in draw.sample(rows, len(rows))]
    fields = {"unit": unit, "least": least, "keep": keep, "shortest": 1, "exempt": ()}

    once, other = run(rows, **fields), run(moved, shards=3, rows_per_batch=1, **fields)
    twice = evaluate(DedupLines(**fields).build(dataset(once.table)))

    assert texts(once) == texts(other)
    assert texts(twice) == texts(once)
    before, after = (_holders(list(some), unit) for some in (held, texts(once)))
    for key, amounts in before.items():
        if len(amounts) < least:
            assert sum(after[key]) == sum(amounts)
        else:
            assert sum(after.get(key, [])) == (1 if keep == "first" else 0)


def _holders(held: list[str], unit: Any) -> dict[tuple[str, ...], list[int]]:
    """Returns how often each document that has a unit has it."""
    made: dict[tuple[str, ...], list[int]] = {}
    for text in held:
        for key, amount in Counter(tuple(tokens(one.text, FOLD)) for one in units(text, unit)).items():
            if key:
                made.setdefault(key, []).append(amount)
    return made


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"least": 1}, ConfigError, "least: 1 is too small; what is there once does not recur"),
        ({"shortest": -1}, ConfigError, "shortest: -1 is below zero"),
        ({"longest": 5}, ConfigError, "longest: 5 is below shortest, 10"),
        ({"least_left_ratio": 1.5}, ConfigError, "least_left_ratio: 1.5 is no share"),
        ({"view": "exact", "numbers": True}, ConfigError, "numbers: digits are alike in the folded view only"),
        ({"exempt": ("verse",)}, ConfigError, "exempt: 'verse' is no format; there are .*poetry"),
        ({"allow": ("——",)}, ConfigError, r"allow\[0\]: '——' has no letter or digit"),
        ({"allow": ("one\ntwo",)}, ConfigError, r"allow\[0\]: is more than one line"),
        ({"allow": ("one\n\ntwo",), "unit": "paragraph"}, ConfigError, r"allow\[0\]: is more than one paragraph"),
        ({"allow_files": ("/nowhere/allow",)}, ConfigError, "/nowhere/allow"),
        ({"per": "host"}, PlanError, "per: host: no earlier step makes the column 'host'; set per: corpus"),
        ({"per": "document", "survivor": ("-crawl_time",)}, ConfigError, "survivor: within a document"),
        ({"per": "document", "counted": "documents"}, ConfigError, "counted: within a document"),
        ({"survivor": ("crawl_tine",)}, PlanError, r"did you mean 'crawl_time'\?"),
        ({"preset": "c4"}, ConfigError, "preset: 'c4' is none; there are ours, ccnet, dolma"),
    ],
)
def test_mistakes_are_named_before_data_is_read(fields: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        DedupLines(**fields).build(dataset(documents([{"text": "", "crawl_time": 1}])))


def test_a_file_of_allowed_lines_is_text(tmp_path: Path) -> None:
    (tmp_path / "allow").write_bytes(NOTICE.encode("gb18030"))

    with pytest.raises(ConfigError, match=r"allow_files: .*allow: is not UTF-8"):
        DedupLines(allow_files=(str(tmp_path / "allow"),)).build(dataset(documents([{"text": ""}])))


def test_verdicts_on_units_that_are_not_there_stop_the_run() -> None:
    batch = documents([{"text": "a\nb"}]).to_batches()[0]
    for gid, place in ((0, 2), (1, 0)):
        verdicts = pa.record_batch([[0], [gid], [place]], schema=VERDICTS)
        work = Work(0, "dedup_lines", read_beside=lambda verdicts=verdicts: iter([verdicts]))  # type: ignore[misc]
        with pytest.raises(StageError, match="dedup_lines: shard 0"):
            list(Remove(Settle("line", 0, 0.0))(iter([batch]), work))


@pytest.mark.parametrize("per", ["corpus", "source", "document"])
def test_a_batch_of_no_documents_is_no_mistake(per: Any) -> None:
    schema = documents([{"text": "one", "source": "a", "format": "prose"}]).schema
    look = Look(
        unit="line",
        view=View(fold_table()),
        per=per,
        shortest=1,
        longest=None,
        exempt=("code",),
        allow=(),
        allow_files=(),
    )
    settle = Settle("line", 0, 0.0)

    for function in (Route(look, ()), Within(look, 2, "first", settle), Remove(settle)):
        (batch,) = function(iter([pa.RecordBatch.from_pylist([], schema)]), Work(0))
        assert batch.num_rows == 0


def test_clauses_of_real_statutes_and_lines_of_real_verse_stay(shared: Path) -> None:
    """Of Chinese statutes the defaults take .07 %, of classical verse nothing (measured, and read, for this limit)."""
    for name, most in (("prc-laws", 0.002), ("chinese-poetry", 0.0)):
        path = shared / "data" / "corpora" / f"{name}.jsonl.zst"
        with path.open("rb") as raw:
            lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8")
            rows = [{"text": json.loads(line)["text"]} for line in lines]

        result = run(rows, rows_per_batch=1000)

        assert result.table.num_rows == len(rows)
        assert result.counts["units_removed_bytes"] <= most * sum(len(row["text"].encode()) for row in rows)
        assert result.counts["units_compared"] > 4000
