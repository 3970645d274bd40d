"""The step as a whole: rows in, rows out, and what the ledger says of them."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pytest

from datapipe import ConfigError, PlanError
from datapipe.testing import dataset
from stages.repair import Repair
from stages.repair.articles import part_id
from tests.stages.repair.samples import BRIDGE, RIVER, TEA, changes, repaired


def test_each_document_and_rule_has_a_row_with_its_amount_and_a_sample() -> None:
    result = repaired(f"{TEA}\n责任编辑：王&middot;某", RIVER, f"Share this article\n{RIVER}\nRead more: herons")

    ledger = result.ledger.select(["id", "action", "rule", "value", "note"]).to_pylist()
    first, third = (1).to_bytes(16), (3).to_bytes(16)
    assert ledger == [
        {"id": first, "action": "repair", "rule": "html_entities", "value": 7.0, "note": "&middot;"},
        {"id": first, "action": "repair", "rule": "tail_boilerplate", "value": 8.0, "note": "责任编辑：王·某"},
        {"id": third, "action": "repair", "rule": "head_boilerplate", "value": 18.0, "note": "Share this article"},
        {"id": third, "action": "repair", "rule": "tail_boilerplate", "value": 17.0, "note": "Read more: herons"},
    ]
    assert result.table["text"].to_pylist() == [TEA, RIVER, RIVER]
    assert result.counts["repair.tail_boilerplate"] == 2
    assert result.counts["characters.tail_boilerplate"] == 25


def test_the_digest_follows_the_text() -> None:
    digests = pa.array([bytes(16), bytes(16)], pa.binary(16))

    result = repaired(f"{TEA}\n责任编辑：王某", TEA, documents={"text_digest": digests})

    expected = hashlib.blake2b(TEA.encode(), digest_size=16).digest()
    assert result.table["text_digest"].to_pylist() == [expected, bytes(16)]


def test_mojibake_is_mended_before_the_rules_look() -> None:
    broken = f"<p>{TEA}</p>\n责任编辑：王某".encode().decode("latin-1")

    result = repaired(broken)

    assert result.table["text"].to_pylist() == [TEA]
    assert [rule for _, rule in changes(result)][-2:] == ["html_tags", "tail_boilerplate"]


def test_the_sample_of_mojibake_is_the_first_line_that_changed() -> None:
    result = repaired(f"{TEA}\nLe cafÃ© du coin.\n{RIVER}")

    assert result.ledger["note"].to_pylist() == ["Le cafÃ© du coin."]


def test_a_document_that_is_lost_leaves_with_its_rule() -> None:
    lost = (TEA * 3).encode().decode("gb18030", "replace")

    result = repaired(TEA, lost, BRIDGE)

    assert result.table["text"].to_pylist() == [TEA, BRIDGE]
    assert changes(result) == [("drop", "mojibake_document")]


@pytest.mark.parametrize("label", ["code", "table", "poetry"])
def test_what_is_no_prose_is_only_given_its_characters_back(label: str) -> None:
    text = f"{TEA}\n责任编辑：王某"

    result = repaired(text, text, text.encode().decode("latin-1"), documents={"format": [label, "prose", label]})

    assert result.table["text"].to_pylist() == [text, TEA, text]


def test_rules_are_switched_and_moved_by_the_config() -> None:
    text = f"<b>{TEA}</b>\n责任编辑：王某"

    assert changes(repaired(text, disable=("tail_boilerplate",))) == [("repair", "html_tags")]
    assert changes(repaired(text, limits={"tail_boilerplate": {"characters": 3}}, disable=("html_tags",))) == []


def test_a_rule_that_is_not_there_is_a_mistake_while_planning() -> None:
    with pytest.raises(ConfigError, match="repair: disable: no rule is called 'pinyn'"):
        repaired(TEA, disable=("pinyn",))


def test_documents_without_text_are_refused_while_planning() -> None:
    with pytest.raises(PlanError, match="needs column 'text'"):
        Repair().build(dataset(pa.table({"id": pa.array([bytes(16)], pa.binary(16))})))


def test_articles_become_documents_of_their_own() -> None:
    one, other = (
        f"{TEA}\n{TEA}\n{TEA}\n{TEA}\n（责任编辑：王某）",
        f"石桥的前世今生\n{BRIDGE}\n{BRIDGE}\n{BRIDGE}\n{BRIDGE}\n{BRIDGE}\n完",
    )
    disable = ("second_copy", "tail_boilerplate")

    result = repaired(
        RIVER, f"{one}\n{other}", TEA, enable=("articles",), disable=disable, documents={"host": ["a", "b", "c"]}
    )

    whole = (2).to_bytes(16)
    assert result.table["text"].to_pylist() == [RIVER, one, other, TEA]
    assert result.table["host"].to_pylist() == ["a", "b", "b", "c"]
    assert result.table["id"].to_pylist() == [(1).to_bytes(16), whole, part_id(whole, 1), (3).to_bytes(16)]
    row = result.ledger.to_pylist()[0]
    assert (row["action"], row["rule"], row["id"], row["other"]) == ("split", "articles", part_id(whole, 1), whole)


def test_null_texts_and_empty_batches_pass() -> None:
    result = repaired(None, "", TEA)  # type: ignore[arg-type]

    assert result.table["text"].to_pylist() == [None, "", TEA]
    assert repaired().table.num_rows == 0


def test_twice_is_once() -> None:
    page = f"当前位置：首页 > 正文\n<p>{TEA}</p>\n{TEA}\n下一篇：石桥"

    once = repaired(page).table["text"].to_pylist()

    assert changes(repaired(*once)) == []
