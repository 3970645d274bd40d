from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import ID, LEDGER, Work, part_of
from datapipe.testing import dataset, evaluate
from stages.audit.compare.causes import CHANGE, KINDS, Causes, Known, Tell, of_fields
from stages.audit.compare.chain import ADDRESS, REQUEST, answer, followed, step
from stages.audit.compare.entries import ENTRY, KNOWN, LEFT, STAYED
from stages.audit.compare.matching import Agree, couples
from stages.audit.compare.side import Side, side_of
from stages.audit.compare.stage import Compare, matched
from stages.audit.compare.told import CAUSE, KIND, documents, sentence
from stages.audit.published import published
from stages.audit.tally import unpack
from stages.corpus.remove import remove
from stages.write import line
from tests.stages.audit.folders import key, publish

Rows = list[dict[str, Any]]
STAGES = ("ingest", "repair", "quality", "dedup", "decontaminate", "mix")
INDEX = pa.schema(
    [
        pa.field("id", ID),
        *(pa.field(name, pa.string()) for name in ("source", "url", "file", "extra", "language")),
        pa.field("text_digest", ID),
        pa.field("quality", pa.float32()),
        pa.field("bytes", pa.int64()),
    ]
)


def digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def kept(number: int, text: str | None = None, **more: Any) -> dict[str, Any]:
    """Returns a row of the index."""
    row = {"id": key(number), "source": "web", "file": "a.jsonl", "language": "eng_Latn", "quality": 0.5, "bytes": 100}
    return {**row, "text_digest": digest(text or f"text {number}"), **more}


def left(number: int, stage: str, rule: str, **more: Any) -> dict[str, Any]:
    """Returns a row of the ledger."""
    row = {"id": key(number), "stage": stage, "action": "drop", "rule": rule, "source": "web", "file": "a.jsonl"}
    return {**row, **more}


def copy_of(number: int, survivor: int) -> dict[str, Any]:
    return left(number, "dedup", "minhash", action="duplicate_of", other=key(survivor), similarity=0.9)


def run(folder: Path, index: Rows, ledger: Rows, *, stages: tuple[str, ...] = STAGES, **more: Any) -> str:
    """Returns the folder of a run that ended with documents, and of what left it."""
    parts = 2
    table = pa.Table.from_pylist(index, more.get("schema", INDEX))
    tables = {"documents/part-00000-of-00001.parquet": table}
    for number in range(parts if ledger else 0):
        rows = sorted((row for row in ledger if part_of(row["id"], parts) == number), key=lambda row: row["id"])
        tables[f"ledger/part-{number:05}-of-{parts:05}.parquet"] = pa.Table.from_pylist(rows, LEDGER)
    counts = {"documents_in": 1, "made": 0, "documents_out": 1, "dropped": 1, "rules": [], "counts": {}}
    publish(folder, tables, [{"stage": name, **counts} for name in stages])
    return str(folder)


def told(a: str, b: str) -> Rows:
    """Returns all changes between two runs, as the stage makes them; its counts are checked against them."""
    result = evaluate(Compare(a=a, b=b).build())
    facts = dict(unpack(result.table))
    changes = [row for table in result.outputs["changes"] if table.schema.equals(CHANGE) for row in table.to_pylist()]
    counts: Counter[str] = Counter()
    for row in facts["counts"].to_pylist():
        counts[row["kind"]] += row["documents"]
    counts.subtract(row["kind"] for row in changes)
    assert {kind for kind, amount in counts.items() if amount} <= {"same", "gone"}
    return changes


def one(a: str, b: str) -> dict[str, Any]:
    """Returns the one change between two runs."""
    (change,) = told(a, b)
    return change


# Which documents are the same one


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), max_size=12))
def test_as_many_of_a_key_are_paired_as_both_sides_have(rows: list[tuple[int, int]]) -> None:
    codes, sides = (np.array([row[place] for row in rows], np.int64) for place in (0, 1))

    ones, others = couples(codes, sides.astype(np.int8))

    assert [rows[at] for at in ones] == [(code, 0) for code in sorted(codes[ones].tolist())]
    assert codes[ones].tolist() == codes[others].tolist()
    assert set(sides[others].tolist()) <= {1}
    assert len({*ones.tolist(), *others.tolist()}) == 2 * len(ones)
    have = [Counter(code for code, side in rows if side == own) for own in (0, 1)]
    assert Counter(codes[ones].tolist()) == have[0] & have[1]


def entries(rows: list[tuple[Any, ...]]) -> pa.Table:
    """Returns ENTRY of (side, id, stayed, url, own id, text, source)."""
    made = [
        {
            "key": key(number),
            "id": key(number),
            "side": side,
            "row": STAYED if stayed else LEFT,
            "stage": "" if stayed else "quality",
            "action": None if stayed else "drop",
            "rule": None if stayed else "short",
            "value": None if stayed else 1.0,
            "limit": None if stayed else 2.0,
            "source": source,
            "url": url,
            "bytes": 9,
            "own_id": own if stayed else None,
            "digest": digest(text) if stayed else None,
            "sample": None if stayed else text,
        }
        for side, number, stayed, url, own, text, source in rows
    ]
    return pa.Table.from_pylist(made, ENTRY)


KNOWS = dataset(KNOWN.empty_table())
SIDES = (Side("a", STAGES), Side("b", STAGES))
ENTRIES = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(0, 4),
        st.booleans(),
        st.sampled_from([None, "u", "v"]),
        st.sampled_from([None, "1", "2"]),
        st.sampled_from(["t", "s", "r"]),
        st.sampled_from(["web", "news"]),
    ),
    max_size=10,
    unique_by=lambda row: (row[0], row[1]),
)


def compared(table: pa.Table, *, named: bool = True, rows_per_batch: int = 3, sides: tuple[Side, Side] = SIDES) -> Rows:
    changes = followed(matched(dataset(table), KNOWS, Tell(*sides, ()), Agree(named)))
    rows: Rows = evaluate(changes, rows_per_batch=rows_per_batch).table.to_pylist()
    return rows


@settings(max_examples=20)
@given(ENTRIES, st.booleans())
def test_every_document_of_either_corpus_is_accounted_for_once(rows: list[tuple[Any, ...]], named: bool) -> None:
    changes = compared(entries(rows), named=named)

    for side, name in enumerate("ab"):
        stayed = Counter(key(row[1]) for row in rows if row[0] == side)
        assert Counter(row[f"id_{name}"] for row in changes if row[f"id_{name}"]) == stayed
    assert {row["kind"] for row in changes} <= {*KINDS}
    for row in changes:
        assert row["kind"] not in ("only_a", "gone_a") or row["id_a"]
        assert (row["matched"] == "none") == (row["id_a"] is None or row["id_b"] is None)


@settings(max_examples=10)
@given(ENTRIES)
def test_the_other_way_round_a_difference_is_its_mirror(rows: list[tuple[Any, ...]]) -> None:
    mirror = {"only_a": "only_b", "only_b": "only_a", "gone_a": "gone_b", "gone_b": "gone_a"}
    turned = [(1 - side, *rest) for side, *rest in rows]

    there, back = compared(entries(rows)), compared(entries(turned), rows_per_batch=1)

    pairs = Counter((row["kind"], row["cause"], row["id_a"], row["id_b"]) for row in there)
    assert pairs == Counter(
        (mirror.get(row["kind"], row["kind"]), row["cause"], row["id_b"], row["id_a"]) for row in back
    )


@settings(max_examples=6)
@given(ENTRIES)
def test_a_corpus_does_not_differ_from_itself(rows: list[tuple[Any, ...]]) -> None:
    own = [row for row in rows if row[0] == 0]

    changes = compared(entries([*own, *((1, *rest) for _, *rest in own)]))

    assert {row["kind"] for row in changes} <= {"same", "gone"}
    assert len(changes) == len(own)


@pytest.mark.parametrize(
    ("a", "b", "matched_by"),
    [
        ((1, True, "u", "1", "t", "web"), (1, True, "u", "1", "t", "web"), "id"),
        ((1, True, "u", None, "t", "web"), (2, True, "u", None, "s", "web"), "url"),
        ((1, True, "u", None, "t", "web"), (1, True, "v", None, "s", "web"), "none"),  # another record at its place
        ((1, True, "u", None, "t", "web"), (1, True, "v", None, "t", "web"), "id"),  # the page moved
        ((1, True, None, "7", "t", "web"), (2, True, None, "7", "s", "web"), "own_id"),
        ((1, True, None, "7", "t", "web"), (2, True, None, "7", "s", "news"), "none"),  # ids of two sources
        ((1, True, None, None, "t", "web"), (2, True, None, None, "t", "news"), "text"),
        ((1, False, None, None, "t", "web"), (2, False, None, None, "t", "web"), "text"),
        ((1, True, None, None, "t", "web"), (2, False, None, None, "t", "web"), "none"),
    ],
)
def test_a_document_is_known_again(a: tuple[Any, ...], b: tuple[Any, ...], matched_by: str) -> None:
    changes = compared(entries([(0, *a), (1, *b)]))

    assert {row["matched"] for row in changes} == {matched_by}


def test_of_two_documents_of_one_url_those_of_equal_text_are_the_same() -> None:
    rows = [
        (0, 1, True, "u", None, "old", "web"),
        (0, 2, True, "u", None, "same", "web"),
        (1, 3, True, "u", None, "same", "web"),
        (1, 4, True, "u", None, "new", "web"),
        (1, 5, True, "u", None, "more", "web"),
    ]

    changes = {(row["id_a"], row["id_b"]): row["kind"] for row in compared(entries(rows))}

    assert changes[key(2), key(3)] == "same"
    assert sorted(changes.values()) == ["only_b", "same", "text"]


def test_without_ids_a_place_says_nothing() -> None:
    rows = [(0, 1, True, None, None, "t", "web"), (1, 1, True, None, None, "s", "web")]

    assert {row["kind"] for row in compared(entries(rows), named=False)} == {"only_a", "only_b"}
    assert {row["kind"] for row in compared(entries(rows), named=True)} == {"text"}


# Why


def row(number: int | None, **more: Any) -> dict[str, Any]:
    """Returns a document as `Causes` sees it."""
    names = ("stage", "action", "rule", "value", "limit", "other", "edits", "out", "part_of", "source", "file")
    made = dict.fromkeys((*names, "language", "script", "format", "bytes", "url", "host", "tokens", "similarity"))
    return {**made, "id": None if number is None else key(number), **more}


DROPPED = {"stage": "quality", "action": "drop", "rule": "short", "value": 180.0, "limit": 200.0}
STAYS = {"stage": ""}


@pytest.mark.parametrize(
    ("a", "b", "side_b", "limits", "expected"),
    [
        (DROPPED, STAYS, {}, {100.0}, ("limit", "quality", "short", "200 → 100")),
        (DROPPED, STAYS, {"limits": (("quality", "short", (100.0,), (200.0,)),)}, {200.0}, ("limit", "200 → 100")),
        (DROPPED, STAYS, {"limits": (("quality", "short", (), (9.0,)),)}, set(), ("limit", "200 → none")),
        (DROPPED, STAYS, {}, {200.0, 100.0}, ("value", "quality", "short", None)),
        (DROPPED, STAYS, {"stages": ("ingest", "mix")}, set(), ("step", "quality", "short", None)),
        (DROPPED, {**STAYS, "edits": "repair.html=3"}, {}, {200.0}, ("edits", "repair", "html", None)),
        ({**DROPPED, "language": "zho"}, {**STAYS, "language": "eng"}, {}, {200.0}, ("fields", "quality", "language")),
        ({**DROPPED, "bytes": 5}, {**STAYS, "bytes": 6}, {}, {200.0}, ("text", "quality", None)),
        (DROPPED, {**STAYS, "edits": "mix.pii=3"}, {}, {200.0}, ("value", "quality", "short", None)),  # a later step
        ({**DROPPED, "stage": "ingest", "rule": "no_text", "limit": None}, STAYS, {}, set(), ("text", "ingest")),
        ({**DROPPED, "limit": None}, STAYS, {}, set(), ("rule", "quality", "short", None)),
        ({"stage": "overlay", "action": "removed", "rule": "00001-remove"}, STAYS, {}, set(), ("removed", "overlay")),
        ({**DROPPED, "action": "quarantine"}, STAYS, {}, set(), ("aside", "quality", "short")),
        ({**DROPPED, "action": "duplicate_of", "other": key(7)}, STAYS, {}, set(), ("survivor", "quality")),
    ],
)
def test_what_one_run_dropped_is_explained_by_how_the_other_is_set(
    a: dict[str, Any], b: dict[str, Any], side_b: dict[str, Any], limits: set[float], expected: tuple[str | None, ...]
) -> None:
    ones = Side("a", STAGES, limits=(("quality", "short", (200.0,), ()),))
    others = Side("b", **{"stages": STAGES, **side_b})
    known = Known()
    known.limits[1]["quality", "short"] |= limits
    if not limits:
        known.limits[1].clear()

    there = Causes((ones, others), known).of("only_b", (row(1, **a), row(1, **b)))
    back = Causes((others, ones), turned(known)).of("only_a", (row(1, **b), row(1, **a)))

    assert {*expected} <= {there.code, there.stage, there.rule, there.moved}
    assert (there.code, there.stage, there.rule) == (back.code, back.stage, back.rule)
    if there.moved:
        assert back.moved == " → ".join(there.moved.split(" → ")[::-1])


def test_of_two_moved_limits_the_same_is_the_cause_whichever_run_is_a() -> None:
    limits = [
        (("quality", "short", (low,), ()), ("quality", "long", (), (high,))) for low, high in ((200, 9), (100, 5))
    ]
    sides = tuple(Side(name, STAGES, limits=own) for name, own in zip("ab", limits, strict=True))
    rows = (row(1, **DROPPED), row(1, **{**DROPPED, "rule": "long", "value": 6.0, "limit": 5.0}))

    told = Causes((sides[0], sides[1]), Known()).of("gone_otherwise", rows)
    back = Causes((sides[1], sides[0]), Known()).of("gone_otherwise", rows[::-1])

    assert (told.rule, told.moved) == ("long", "9 → 5")
    assert (back.rule, back.moved) == ("long", "5 → 9")


def test_of_two_steps_that_one_run_alone_has_the_earlier_is_the_cause_whichever_run_is_a() -> None:
    sides = Side("a", ("ingest", "repair", "quality")), Side("b", ("ingest", "dedup"))
    rows = row(1, **DROPPED), row(1, stage="dedup", action="duplicate_of", rule="exact", other=key(2))

    causes = [
        Causes((sides[own], sides[1 - own]), Known()).of("gone_otherwise", (rows[own], rows[1 - own])) for own in (0, 1)
    ]

    assert [(one.code, one.stage) for one in causes] == [("step", "dedup")] * 2


def turned(known: Known) -> Known:
    return Known(known.sources[::-1], known.files[::-1], known.unread[::-1], known.limits[::-1])


def test_a_rule_that_the_other_has_not_is_the_cause(tmp_path: Path) -> None:
    sides = (
        Side("a", STAGES, limits=(("quality", "short", (200.0,), ()), ("quality", "long", (), (9.0,)))),
        Side("b", STAGES, limits=(("quality", "long", (), (9.0,)),)),
    )

    cause = Causes(sides, Known()).of("only_b", (row(1, **DROPPED), row(1, **STAYS)))

    assert (cause.code, cause.rule) == ("rule", "short")


def test_a_step_that_is_set_otherwise_explains_what_no_ledger_says() -> None:
    sides = (Side("a", STAGES, settings=(("repair", "1"),)), Side("b", STAGES, settings=(("repair", "2"),)))
    rows = (row(1, stage="", edits="repair.html=3"), row(1, stage=""))

    assert Causes(sides, Known()).of("text", rows).code == "config"
    assert Causes(SIDES, Known()).of("text", rows).code == "edits"
    assert Causes((SIDES[0], Side("b", ("ingest", "mix"))), Known()).of("text", rows).code == "step"
    assert Causes(SIDES, Known()).of("text", (row(1, stage=""), row(1, stage=""))).code == "text"


def test_another_text_of_the_same_input_was_extracted_otherwise() -> None:
    rows = (row(1, stage="", source="web"), row(1, stage="", source="web"))
    ones, others = (Side("a", STAGES, inputs=(("web", digest),)) for digest in ("1", "2"))

    assert Causes((ones, ones), Known()).of("text", rows).code == "extraction"
    assert Causes((ones, others), Known()).of("text", rows).code == "text"


def test_a_finished_run_tells_its_inputs_settings_and_limits(finished: Path) -> None:
    side = side_of(published(str(finished)))

    assert [source for source, _ in side.inputs] == ["notes", "pages"]
    assert {"ingest", "quality", "dedup"} <= dict(side.settings).keys()
    assert ("quality", "zh_length", (200.0,), ()) in side.limits
    assert side.lacks == ()


def test_a_run_whose_files_lie_elsewhere_is_not_set_otherwise(tmp_path: Path) -> None:
    folders = [Path(run(tmp_path / name, [kept(1)], [])) for name in "abc"]
    for folder, words, digest in zip(folders, (5, 5, 6), "xxy", strict=True):
        fields = {"sources": {"web": {"path": f"/{folder}/*", "text": "file"}}, "words": words}
        files = [{"field": "lists.0.path", "path": f"/{folder}/list", "sha256": digest}]
        stage = {"name": "ingest", "version": 1, "fields": fields, "resources": files}
        (folder / "reports/recipe.json").write_text(json.dumps({"stages": [stage]}))

    a, b, c = (side_of(published(str(folder))).settings for folder in folders)

    assert a == b != c


def test_fields_that_differ_have_the_cause_that_explains_them() -> None:
    assert of_fields("times_seen", same_tokenizer=False).code == "mix"
    assert of_fields("tokens,times_seen", same_tokenizer=False).code == "tokenizer"
    assert of_fields("tokens", same_tokenizer=True).code == "config"
    assert of_fields("cluster_size,tokens", same_tokenizer=False).code == "cluster"
    assert of_fields("quality,language,tokens", same_tokenizer=True).rule == "language"


# From survivor to survivor


def asked(side: int, number: int, chain: str = "") -> dict[str, Any]:
    empty = dict.fromkeys(("stage", "rule", "moved", "otherwise"))
    return {"side": side, "id": key(number), "steps": 0, "chain": chain, "done": False, "cause": "survivor", **empty}


def address(cause: str, kind: str = "only_a", **more: Any) -> dict[str, Any]:
    said = {"stage": "quality", "rule": "short", "moved": "2 → 1", "otherwise": None}
    return {"kind": kind, "cause": cause, **said, **more}


def test_a_survivor_that_is_gone_by_a_moved_limit_is_the_first_cause() -> None:
    made = step(asked(0, 7), address("limit"))

    assert (made["done"], made["cause"], made["rule"], made["moved"]) == (True, "limit", "short", "2 → 1")


def test_a_survivor_that_is_in_both_explains_nothing_further() -> None:
    assert step(asked(0, 7), address("none", "same"))["cause"] == "copies"
    assert step(asked(0, 7), address("tokenizer", "fields"))["cause"] == "copies"
    assert step(asked(0, 7), None)["cause"] == "earlier"


def test_a_copy_whose_own_text_is_another_stays_for_that() -> None:
    made = step({**asked(0, 7), "otherwise": "edits repair html"}, address("none", "same"))

    assert (made["cause"], made["stage"], made["rule"], made["steps"]) == ("edits", "repair", "html", 0)


def test_a_chain_goes_on_until_it_comes_back() -> None:
    onwards = step(asked(0, 7, f"b:{key(1).hex()}"), address("survivor", to_side=1, to_id=key(2)))
    back = step({**onwards}, address("survivor", to_side=1, to_id=key(1)))

    assert (onwards["done"], onwards["side"], onwards["id"]) == (False, 1, key(2))
    assert (back["done"], back["cause"], back["steps"]) == (True, "order", 2)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 30), max_size=20), st.integers(1, 4), st.integers(1, 4))
def test_each_request_finds_the_document_that_it_is_of(wanted: list[int], asks: int, says: int) -> None:
    """Some are of documents that are not there, and several of one; batches are cut anywhere."""
    ids = sorted((key(number), number) for number in range(25))
    there = [
        {**address("limit"), "id": own, "side": side, "rule": f"{side} {at}"} for own, at in ids for side in (0, 1)
    ]
    rows = [{**asked(at % 2, at), "shard": 0, "row": row} for row, at in enumerate(wanted)]
    rows.sort(key=lambda row: row["id"])
    beside = pa.Table.from_pylist(there, ADDRESS).to_batches(says)
    requests = pa.Table.from_pylist(rows, REQUEST).to_batches(asks)

    made = answer(requests, Work(0, read_beside=lambda: iter(beside)))

    answers = [row for batch in made for row in batch.to_pylist()]

    expected = {row: f"{at % 2} {at}" if at < 25 else None for row, at in enumerate(wanted)}
    assert {row["row"]: row["rule"] for row in answers} == expected


def world(values: list[int], alike: set[tuple[int, int]], limit: int, side: int) -> list[dict[str, Any]]:
    """Returns entries of a run that drops values below a limit, and then who is like a better one that stays.

    The first of the documents is the best; it is how `stages.dedup` decides, with nothing but who is alike.
    """
    stayed: list[int] = []
    rows: list[dict[str, Any]] = []
    for number, value in enumerate(values):
        about = {"key": key(number), "id": key(number), "side": side, "source": "web", "file": "a", "row": LEFT}
        survivor = next((other for other in stayed if (other, number) in alike), None)
        if value < limit:
            about |= {"stage": "quality", "action": "drop", "rule": "low", "value": value, "limit": limit}
        elif survivor is not None:
            about |= {"stage": "dedup", "action": "duplicate_of", "rule": "minhash", "other": key(survivor)}
        else:
            about |= {"stage": "", "row": STAYED, "digest": key(number)}
            stayed.append(number)
        rows.append(about)
    return rows


@settings(max_examples=15)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
    st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5))),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_where_one_limit_is_moved_it_is_the_first_cause_of_all_that_changes(
    values: list[int], alike: set[tuple[int, int]], low: int, high: int
) -> None:
    rows = [*world(values, alike, low, 0), *world(values, alike, high, 1)]
    a, b = (Side("", STAGES, limits=(("quality", "low", (float(limit),), ()),)) for limit in (low, high))

    changes = compared(pa.Table.from_pylist(rows, ENTRY), sides=(a, b))

    stayed = [{row["id"] for row in rows if row["side"] == side and row["row"] == STAYED} for side in (0, 1)]
    alone = {row["id_a"] for row in changes if row["kind"] in ("only_a", "only_b")}
    assert alone == stayed[0] ^ stayed[1]
    told = {(row["cause"], row["stage"], row["rule"]) for row in changes if row["kind"] not in ("same", "gone")}
    assert told <= {("limit", "quality", "low")}
    assert all(row["moved"] == f"{low} → {high}" for row in changes if row["cause"] == "limit")


# Folders of runs


def test_a_document_stays_in_one_alone_as_its_survivor_fell_by_a_moved_limit(tmp_path: Path) -> None:
    a = run(
        tmp_path / "a",
        [kept(1), kept(2)],
        [copy_of(3, 2), left(4, "quality", "short", value=180.0, limit=200.0)],
    )
    b = run(
        tmp_path / "b",
        [kept(1), kept(3)],
        [left(2, "quality", "short", value=390.0, limit=400.0), left(4, "quality", "short", value=180.0, limit=400.0)],
    )

    changes = {(change["id_a"] or change["id_b"]): change for change in told(a, b)}

    assert {number: changes[key(number)]["kind"] for number in (2, 3)} == {2: "only_a", 3: "only_b"}
    assert len(changes) == 2
    for number in (2, 3):
        change = changes[key(number)]
        assert (change["cause"], change["stage"], change["rule"]) == ("limit", "quality", "short")
        assert change["moved"] == "200 → 400"
    assert (changes[key(3)]["via"], changes[key(3)]["steps"]) == ("survivor", 1)
    assert documents(changes[key(3)]) == (("a", key(2).hex()),)
    assert "by way of 1 survivor" in sentence(changes[key(3)]).en
    assert "quality.short: 390 < 400" in sentence(changes[key(2)]).en


def test_the_last_of_a_row_of_survivors_is_the_first_cause(tmp_path: Path) -> None:
    # In A 2 stands for 1. In B 3, which A has not, stands for 2: so 1 falls for 3 too, or stays where it is less alike.
    a = run(tmp_path / "a", [kept(2)], [copy_of(1, 2)])
    b = run(tmp_path / "b", [kept(1), kept(3, file="new.jsonl")], [copy_of(2, 3)])

    changes = {(change["id_a"] or change["id_b"]): change for change in told(a, b)}

    assert (changes[key(1)]["cause"], changes[key(1)]["steps"]) == ("input_file", 2)
    assert (changes[key(2)]["cause"], changes[key(2)]["steps"]) == ("input_file", 1)
    assert (changes[key(3)]["cause"], changes[key(3)]["steps"]) == ("input_file", 0)


@pytest.mark.parametrize(
    ("more", "cause"),
    [({"source": "news"}, "input_source"), ({"file": "b.jsonl"}, "input_file"), ({}, "input_record")],
)
def test_what_was_not_given_is_told_from_what_was_lost(tmp_path: Path, more: dict[str, str], cause: str) -> None:
    a = run(tmp_path / "a", [kept(1), kept(2, **more)], [left(3, "quality", "short", **more)])
    b = run(tmp_path / "b", [kept(1)], [left(4, "dedup", "x")])

    changes = {(change["id_a"] or change["id_b"]): change for change in told(a, b)}

    assert (changes[key(2)]["kind"], changes[key(2)]["cause"]) == ("only_a", cause)
    assert (changes[key(3)]["kind"], changes[key(3)]["cause"]) == ("gone_a", cause)
    assert (changes[key(4)]["kind"], changes[key(4)]["cause"]) == ("gone_b", "input_record")


def test_a_run_that_does_not_say_the_files_lacks_none(tmp_path: Path) -> None:
    a = run(tmp_path / "a", [kept(1), kept(2)], [left(3, "quality", "short")])
    b = run(tmp_path / "b", [kept(1, file=None)], [left(3, "quality", "short", file=None)])

    assert one(a, b)["cause"] == "input_record"


def test_a_file_that_the_other_could_not_read_is_why_its_documents_are_not_there(tmp_path: Path) -> None:
    note = "b.jsonl, bytes 10-90: ends in the middle of a record"
    lost = {**left(9, "ingest", "cut_off", action="quarantine", note=note), "file": None}
    a = run(tmp_path / "a", [kept(1), kept(2, file="b.jsonl")], [left(3, "quality", "short", file="b.jsonl")])
    b = run(tmp_path / "b", [kept(1)], [lost])

    changes = told(a, b)

    assert {(change["kind"], change["cause"]) for change in changes} == {("only_a", "unread"), ("gone_a", "unread")}


def test_a_sample_lacks_what_was_not_drawn() -> None:
    sides = (SIDES[0], Side("b", STAGES, sample=0.1))
    rows = (row(1, source="web", stage=""), row(None))

    assert Causes(sides, Known()).of("only_a", rows).code == "sample"


def test_another_text_is_told_by_what_steps_did_to_it(tmp_path: Path) -> None:
    notes = [left(1, "repair", "html", action="repair", value=3.0), left(2, "repair", "html", action="repair")]
    a = run(tmp_path / "a", [kept(1), kept(2), kept(3)], notes)
    b = run(tmp_path / "b", [kept(1, "x"), kept(2, "y"), kept(3, "z")], notes[1:])

    changes = {change["id_a"]: change for change in told(a, b)}

    assert {change["kind"] for change in changes.values()} == {"text"}
    assert [changes[key(number)]["cause"] for number in (1, 2, 3)] == ["edits", "text", "text"]
    assert (changes[key(1)]["stage"], changes[key(1)]["rule"]) == ("repair", "html")
    assert changes[key(1)]["edits_a"] == "repair.html=3"
    assert changes[key(1)]["edits_b"] is None


def test_fields_of_one_text_are_told_with_their_values(tmp_path: Path) -> None:
    a = run(tmp_path / "a", [kept(1), kept(2, quality=float("nan"))], [])
    b = run(tmp_path / "b", [kept(1, quality=0.25, language="zho_Hans"), kept(2, quality=float("nan"))], [])

    change = one(a, b)

    assert (change["kind"], change["fields"]) == ("fields", "language,quality")
    assert change["values"] == "language: eng_Latn → zho_Hans; quality: 0.5 → 0.25"


def test_a_document_that_left_both_by_another_rule_has_the_earlier_as_its_cause(tmp_path: Path) -> None:
    a = run(tmp_path / "a", [kept(1)], [left(2, "quality", "short", value=1.0, limit=2.0), left(3, "dedup", "x")])
    b = run(tmp_path / "b", [kept(1)], [copy_of(2, 1), left(4, "quality", "short", value=0.0, limit=0.5)])

    changes = {(change["id_a"] or change["id_b"]): change for change in told(a, b)}

    assert changes[key(2)]["kind"] == "gone_otherwise"
    assert (changes[key(2)]["cause"], changes[key(2)]["moved"]) == ("limit", "2 → 0.5")


def test_a_part_that_one_run_alone_split_off_says_so(tmp_path: Path) -> None:
    a = run(
        tmp_path / "a", [kept(1), kept(2)], [left(2, "repair", "articles", action="split", other=key(1), value=1.0)]
    )
    b = run(tmp_path / "b", [kept(1)], [left(9, "quality", "short")])

    changes = {change["id_a"]: change for change in told(a, b) if change["id_a"]}

    assert (changes[key(2)]["cause"], changes[key(2)]["rule"]) == ("split", "articles")


def test_without_a_ledger_nobody_knows_what_was_given(tmp_path: Path) -> None:
    a = run(tmp_path / "a", [kept(1), kept(2)], [left(3, "quality", "short")])
    b = run(tmp_path / "b", [kept(1)], [])

    assert {(change["kind"], change["cause"]) for change in told(a, b)} == {
        ("only_a", "no_ledger"),
        ("gone_a", "no_ledger"),
    }


def test_documents_without_ids_and_digests_are_known_by_their_address(tmp_path: Path) -> None:
    schema = pa.schema([field for field in INDEX if field.name not in ("id", "text_digest")])
    rows = [{**kept(number, url=f"http://a.cn/{number}"), "bytes": 100 + number} for number in (1, 2, 3)]
    rows = [{name: row[name] for name in row if name in schema.names} for row in rows]
    a = run(tmp_path / "a", rows, [], schema=schema)
    b = run(tmp_path / "b", [{**rows[1], "bytes": 7}, rows[2]], [], schema=schema)

    changes = {change["url"][-1]: change for change in told(a, b)}

    assert {name: change["kind"] for name, change in changes.items()} == {"1": "only_a", "2": "text"}
    assert changes["2"]["matched"] == "url"


def test_a_column_that_one_run_has_alone_is_not_compared(tmp_path: Path) -> None:
    a = run(tmp_path / "a", [kept(1)], [])
    b = run(
        tmp_path / "b", [kept(1)], [], schema=pa.schema([f for f in INDEX if f.name not in ("quality", "language")])
    )

    assert told(a, b) == []


def as_lines(folder: Path) -> None:
    """Writes the documents of a run as lines of JSON."""
    path = folder / "documents/part-00000-of-00001.parquet"
    rows = pq.read_table(path).to_pylist()
    path.unlink()
    path = path.with_name("part-00000-of-00001.jsonl.zst")
    path.write_bytes(zstandard.compress(b"".join(line(row) for row in rows)))
    claim = {"files": {f"documents/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()}}
    (folder / "reports/published.json").write_text(json.dumps(claim))


def test_documents_in_lines_of_json_are_compared_with_those_in_parquet(tmp_path: Path) -> None:
    a = run(tmp_path / "a", [kept(1), kept(2)], [])
    b = run(tmp_path / "b", [kept(1), kept(2, "another")], [])
    as_lines(tmp_path / "b")

    change = one(a, b)

    assert (change["kind"], change["id_a"], change["matched"]) == ("text", key(2), "id")


def test_what_no_line_of_json_holds_is_not_compared(tmp_path: Path) -> None:
    a = run(tmp_path / "a", [kept(1)], [])
    b = run(tmp_path / "b", [kept(1, language=None, quality=None)], [])
    as_lines(tmp_path / "b")

    assert told(a, b) == []


@pytest.fixture
def seen(finished: Path) -> list[str]:
    """Returns the ids of two documents that are in samples."""
    files = sorted((finished / "corpus/index").glob("documents-*.parquet"))
    table = pa.concat_tables([pq.read_table(file, columns=["doc_id", "times_seen"]) for file in files])
    return [row["doc_id"] for row in table.to_pylist() if row["times_seen"]][:2]


def test_what_an_overlay_takes_out_has_it_as_its_cause(
    finished: Path, copied: Path, seen: list[str], tmp_path: Path
) -> None:
    (tmp_path / "ids").write_text("\n".join(seen))
    remove(str(copied), ids=str(tmp_path / "ids"), apply=True)

    changes = told(str(finished), str(copied))

    assert {row["id_a"].hex() for row in changes} == {*seen}
    assert {(row["kind"], row["cause"], row["rule"]) for row in changes} == {("only_a", "removed", "00001-remove")}
    assert "taken out by the overlay 00001-remove" in sentence(changes[0]).en


def test_what_a_rebuild_took_out_is_told_from_what_was_not_given(
    finished: Path, seen: list[str], tmp_path: Path
) -> None:
    (tmp_path / "ids").write_text("\n".join(seen))
    remove(str(finished), ids=str(tmp_path / "ids"), rebuilt=True, out=str(tmp_path / "rebuilt"))

    changes = told(str(finished), str(tmp_path / "rebuilt"))

    stayed = [row for row in changes if row["kind"] == "only_a"]
    assert {row["id_a"].hex() for row in stayed} == {*seen}
    assert {row["cause"] for row in changes} == {"removed"}


def test_every_kind_and_cause_has_words_in_both_languages() -> None:
    for words in (*KIND.values(), *CAUSE.values()):
        assert words.en
        assert any("一" <= letter <= "鿿" for letter in words.zh)
    assert {*KIND} == {*KINDS}
