import pyarrow as pa
import pytest
from hypothesis import given, settings

from datapipe import ConfigError
from datapipe.testing import Result, dataset, evaluate
from stages.pii import MASKS, Pii
from stages.pii.find import find_plainly
from stages.pii.stage import masked
from stages.rewrite import digest_of
from tests.stages.pii.labelled import labelled
from tests.stages.pii.test_find import texts as pieces

LETTER = "手机13800138000，邮箱abc@qq.com，身份证号11010519491231002X。"
CARD = "卡号6222021234567890128，来自93.184.216.34。"


def documents(*texts: str) -> pa.Table:
    ids = pa.array([number.to_bytes(16) for number in range(len(texts))], pa.binary(16))
    digests = pa.array([digest_of(text) for text in texts], pa.binary(16))
    return pa.table({"id": ids, "text": pa.array(texts, pa.string()), "text_digest": digests})


def run(stage: Pii, *texts: str, rows_per_batch: int = 3) -> Result:
    return evaluate(stage.build(dataset(documents(*texts))), rows_per_batch=rows_per_batch)


def ledger(result: Result) -> list[tuple[int, str, str, float]]:
    return [(int.from_bytes(row["id"]), row["action"], row["rule"], row["value"]) for row in result.ledger.to_pylist()]


def test_masks_each_kind_and_says_how_many_there_were() -> None:
    result = run(Pii(), LETTER, "nothing here", CARD, "a@b.cn, c@d.cn")

    assert result.table.column("text").to_pylist() == [
        "手机<PHONE>，邮箱<EMAIL>，身份证号<ID_NUMBER>。",
        "nothing here",
        "卡号<CARD_NUMBER>，来自<IP>。",
        "<EMAIL>, <EMAIL>",
    ]
    assert result.table.column("pii").to_pylist() == [3, 0, 2, 2]
    assert ledger(result) == [
        (0, "repair", "pii_email", 1),
        (0, "repair", "pii_identity", 1),
        (0, "repair", "pii_phone", 1),
        (2, "repair", "pii_card", 1),
        (2, "repair", "pii_ip", 1),
        (3, "repair", "pii_email", 2),
    ]
    assert {name: result.counts[name] for name in ("email.mask", "phone.mask", "repair.pii_email")} == {
        "email.mask": 3,
        "phone.mask": 1,
        "repair.pii_email": 2,
    }


def test_the_digest_follows_the_text() -> None:
    table = run(Pii(), LETTER, "as it was").table

    assert table.column("text_digest").to_pylist() == [digest_of(text) for text in table.column("text").to_pylist()]


def test_a_kind_is_kept_or_drops_its_documents() -> None:
    result = run(Pii(email="keep", identity="drop"), LETTER, "邮箱abc@qq.com，手机13800138000", CARD)

    assert result.table.column("text").to_pylist()[0] == "邮箱abc@qq.com，手机<PHONE>"
    assert result.table.column("pii").to_pylist() == [1, 2]
    assert [row for row in ledger(result) if row[1] == "drop"] == [(0, "drop", "pii_identity", 1)]


@pytest.mark.parametrize(("most", "kept"), [(3, 1), (2, 0), (0, 0), (None, 1)])
def test_a_document_with_more_details_than_most_is_dropped(most: int | None, kept: int) -> None:
    result = run(Pii(most=most), LETTER)

    assert result.table.num_rows == kept
    if not kept:
        row = result.ledger.to_pylist()[0]
        assert (row["action"], row["rule"], row["value"], row["limit"]) == (
            "drop",
            "pii_details",
            3.0,
            float(most or 0),
        )


def test_no_detail_is_in_the_ledger() -> None:
    texts = [one.text for one in labelled(3, 3) if one.details]
    notes = [
        row["note"]
        for stage in (Pii(), Pii(email="keep", phone="drop"), Pii(most=0))
        for row in run(stage, LETTER, CARD, *texts).ledger.to_pylist()
    ]

    assert len(notes) > 100
    assert [note for note in notes if find_plainly(note)] == []


def test_masking_twice_is_masking_once() -> None:
    texts = [one.text for one in labelled(5, 3)]
    once = run(Pii(), *texts).table.column("text").to_pylist()

    assert run(Pii(), *once).table.column("text").to_pylist() == once
    assert sum(run(Pii(), *once).table.column("pii").to_pylist()) == 0


@settings(max_examples=150, deadline=None)
@given(pieces)
def test_a_masked_text_holds_no_detail(text: str) -> None:
    details = [one for one in find_plainly(text) if not one.reserved]

    assert [one for one in find_plainly(masked(text, details, MASKS)[0]) if not one.reserved] == []


def test_examples_stay_unless_they_are_asked_for() -> None:
    text = "me@example.com at 192.168.1.1"

    assert run(Pii(), text).table.column("text").to_pylist() == [text]
    assert run(Pii(), text).counts["reserved.email"] == 1
    assert run(Pii(reserved=True), text).table.column("text").to_pylist() == ["<EMAIL> at <IP>"]


def test_a_mask_of_ones_own_may_be_a_reserved_example() -> None:
    result = run(Pii(masks={"email": "email@example.com", "ip": "192.0.2.1"}), "a@b.cn from 93.184.216.34")

    assert result.table.column("text").to_pylist() == ["email@example.com from 192.0.2.1"]


@pytest.mark.parametrize("rows_per_batch", [1, 2, 7])
def test_rows_do_not_depend_on_batches(rows_per_batch: int) -> None:
    texts = [one.text for one in labelled(9, 1)]

    one, other = run(Pii(most=0), *texts), run(Pii(most=0), *texts, rows_per_batch=rows_per_batch)

    assert one.table.equals(other.table)
    assert sorted(ledger(one)) == sorted(ledger(other))


def test_null_text_and_no_rows_pass() -> None:
    table = documents("a@b.cn", "x").set_column(1, "text", pa.array([None, "a@b.cn"], pa.string()))

    assert evaluate(Pii().build(dataset(table))).table.column("text").to_pylist() == [None, "<EMAIL>"]
    assert evaluate(Pii().build(dataset(table.slice(0, 0)))).table.num_rows == 0


@pytest.mark.parametrize(
    ("stage", "error"),
    [
        (Pii(masks={"mail": "x"}), "no kind is called 'mail'"),
        (Pii(masks={"email": "me@b.cn"}), "would itself be masked"),
        (Pii(masks={"email": "me@example.com"}, reserved=True), "would itself be masked"),
        (Pii(most=-1), "most: -1 is below 0"),
    ],
)
def test_a_wrong_field_is_an_error_while_planning(stage: Pii, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        stage.build(dataset(documents("x")))
