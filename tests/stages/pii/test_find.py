import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.pii.candidates import candidates
from stages.pii.find import KINDS, find_plainly
from stages.pii.numbers import is_card, is_identity, luhn
from stages.pii.stage import details_of
from tests.stages.pii.labelled import NEGATIVES, RESERVED, labelled

PIECES = [
    *"0123456789 -.()+@:/X，。手机a_x\n",
    *"１３８Ｘ＠（）－．　\u00a0\u2013",
    *"86 0086 +86 138 1380 13800138000 0013 8000 010 0755 65529988 6552 9988 02 2321 0912 415 555 2671 +44 20".split(),
    *"110105 19491231 002X 11010519491231002X 6222 4111 1111 6217000010000000000".split(),
    *"93.184.216.34 2408:8a0b::1 2001 ::".split(),
    *"abc@qq.com 电话 卡号 身份证 110105491231002 订单号 IP version 版本 ext 转".split(),
]
texts = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=30).map("".join))


def found(text: str) -> list[tuple[str, str]]:
    return [(one.kind, text[one.start : one.end]) for one in find_plainly(text) if not one.reserved]


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, max_size=4))
def test_candidates_of_the_kernel_lose_nothing_that_its_plain_twin_finds(documents: list[str]) -> None:
    fast = details_of(pa.array(documents, pa.string()))

    assert [fast.get(row, []) for row in range(len(documents))] == [find_plainly(text) for text in documents]


def test_candidates_lose_nothing_in_labelled_texts_and_a_long_line() -> None:
    documents = [one.text for one in labelled(7, 20)]
    documents.append("，".join(documents) * 15)
    fast = details_of(pa.array(documents))

    assert len(documents[-1].encode()) > 250_000
    assert [fast.get(row, []) for row in range(len(documents))] == [find_plainly(text) for text in documents]


def test_a_row_of_hexadecimal_groups_costs_no_more_than_its_length() -> None:
    text = pa.array(["2001:" * 40_000])
    started = time.process_time()
    found = details_of(text)

    assert found == {0: []}
    assert time.process_time() - started < 5  # 0.7 s; 12 s and more where each group is read to the end of the row


def test_a_sign_without_a_user_or_a_host_is_no_candidate() -> None:
    rows, places = candidates(pa.array(["@" * 1000, "@张三 a@ 见@example 张三@qq.com", "@a", "a@", "a@b"]))

    assert (rows.tolist(), places.tolist()) == ([1, 1, 4], [14, 29, 1])


def test_finds_what_is_there_and_nothing_else_in_generated_texts() -> None:
    wrong = [
        (one.text, found(one.text), one.details)
        for one in labelled(20261127, 40)
        if found(one.text) != list(one.details)
    ]

    assert wrong == []


@pytest.mark.parametrize(
    ("text", "details"),
    [
        ("手机13800138000", [("phone", "13800138000")]),
        ("邮箱abc@qq.com", [("email", "abc@qq.com")]),
        ("身份证号11010519491231002X", [("identity", "11010519491231002X")]),  # the example of GB 11643
        ("身份证号11010519491231002x。", [("identity", "11010519491231002x")]),
        ("身份证号１１０１０５１９４９１２３１００２Ｘ", [("identity", "１１０１０５１９４９１２３１００２Ｘ")]),
        ("身份证110105491231002", [("identity", "110105491231002")]),
        ("合同110105491231002", []),
        ("号码110105194912310021", []),
        ("13800138000@163.com", [("email", "13800138000@163.com")]),
        ("（0755）8888 6666", [("phone", "（0755）8888 6666")]),
        ("010-65529988转801", [("phone", "010-65529988转801")]),
        ("+8613800138000/13900139000", [("phone", "+8613800138000"), ("phone", "13900139000")]),
        ("fingerprint C30F 211F 0718 9425 8497 F463", []),
        ("默认17179869184", []),
        ("13912345678", [("phone", "13912345678")]),
        ("order 13912345678, id=13912345678, /13912345678/", []),
        ("name,13912345678,city", [("phone", "13912345678")]),
        ("010-12345678", [("phone", "010-12345678")]),
        ("(021)12345678", [("phone", "(021)12345678")]),
        ("2020-12345678", []),
        ("0.13912345678 and 13912345678.5", []),
        ("+86 139 1234 5678", [("phone", "+86 139 1234 5678")]),
        ("(+86)13912345678", [("phone", "(+86)13912345678")]),
        ("3+8613912345678", []),
        ("6222 0212 3456 7890 128", [("card", "6222 0212 3456 7890 128")]),
        ("流水号6222021234567890128", []),
        ("见“8.8.4.9”节", []),
        ("IP 31.13.24.9", [("ip", "31.13.24.9")]),
        ("OID 1.3.101.110", []),
        ("from 2408:8a0b:1::7.", [("ip", "2408:8a0b:1::7")]),
        ("台北 02-2321-4567，0912-345-678", [("phone", "02-2321-4567"), ("phone", "0912-345-678")]),
        ("a@b", []),
        ("", []),
    ],
)
def test_finds(text: str, details: list[tuple[str, str]]) -> None:
    assert found(text) == details


@pytest.mark.parametrize("text", RESERVED)
def test_knows_what_is_reserved_for_examples(text: str) -> None:
    details = find_plainly(text)

    assert details
    assert all(one.reserved for one in details)


def test_every_kind_and_negative_is_in_the_labelled_texts() -> None:
    made = labelled(1, 2)

    assert {kind for one in made for kind, _ in one.details} == set(KINDS)
    assert {one.negative for one in made} == {"", *NEGATIVES}


@pytest.mark.parametrize(
    ("number", "valid"),
    [
        ("79927398713", True),  # the example in Luhn's article in Wikipedia
        ("79927398710", False),
        ("0", True),
    ],
)
def test_luhn(number: str, valid: bool) -> None:
    assert luhn(number) == valid


@pytest.mark.parametrize("place", range(18))
def test_an_identity_number_with_another_digit_is_none(place: int) -> None:
    number = "11010519491231002X"
    other = "1" if number[place] != "1" else "2"

    assert is_identity(number)
    assert not is_identity(number[:place] + other + number[place + 1 :])


@pytest.mark.parametrize(
    ("number", "valid"),
    [
        ("4242424242424242", True),
        ("378282246310005", True),
        ("6200000000000005", True),
        ("1000000000000008", False),  # no issuer
        ("424242424242424", False),  # no length of Visa's
    ],
)
def test_a_card_has_an_issuer_a_length_and_a_check_digit(number: str, valid: bool) -> None:
    assert is_card(number) == valid
