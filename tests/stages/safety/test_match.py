import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import ConfigError, resource
from stages.dedup.fold import fold_table
from stages.safety.match import weigh
from stages.safety.plain import weigh_plainly
from stages.safety.terms import CATEGORIES, LONGEST, OURS, SPAM, Term, folded, load, shipped, terms_of, trie

TERMS = terms_of(shipped(), (), fold_table())
TRIE = load(shipped(), (), fold_table())
FEW = tuple(
    Term(text, category, weight)
    for text, category, weight in [
        ("加微信", 3, 8),
        ("微信", 3, 4),
        ("加微信号码", 0, 4),
        ("av女优", 2, 12),
        ("女优", 2, 4),
        ("a b", 3, 4),
        ("a", 3, 8),
        ("a b c", 1, 4),
        ("信a", 4, 4),
        ("a信微", 4, 4),
        ("微信", 5, 12),
    ]
)
PIECES = [*"加微信號号码女优avbABＡc *-_·.，\n#\u200d\u0301😀é1", "a b", "加微信", "x" * 700, "汉" * 990, "a-b", "  "]
texts = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=40).map("".join))


def spam_of(text: str) -> int:
    sums, _ = weigh(pa.array([text]), TRIE, OURS)
    return int(sums[0, SPAM].sum())


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, max_size=4))
def test_weighs_as_its_plain_twin_does(documents: list[str]) -> None:
    held = trie(FEW, fold_table())

    sums, lengths = weigh(pa.array(documents, pa.string()), held, 6)

    expected = [weigh_plainly(text, FEW, held, 6) for text in documents]
    assert [(sums[row].tolist(), int(lengths[row])) for row in range(len(documents))] == expected


def test_weighs_as_its_plain_twin_does_with_the_shipped_terms() -> None:
    words = [term.text for term in TERMS]
    documents = [
        "，".join(words[start::7]) + " ".join(words[start::11]) + "".join(words[start::13]) for start in range(7)
    ]

    sums, lengths = weigh(pa.array(documents), TRIE, OURS)

    expected = [weigh_plainly(text, TERMS, TRIE, OURS) for text in documents]
    assert [(sums[row].tolist(), int(lengths[row])) for row in range(len(documents))] == expected


def test_every_shipped_term_is_found_and_none_stands_twice_in_a_category() -> None:
    sums, _ = weigh(pa.array([term.text for term in TERMS]), TRIE, OURS)

    assert [term.text for row, term in enumerate(TERMS) if not sums[row, term.category, :2].any()] == []
    assert len({(term.text, term.category) for term in TERMS}) == len(TERMS)
    assert {term.category for term in TERMS} == set(range(len(CATEGORIES)))


@pytest.mark.parametrize(
    "text",
    [
        "Scunthorpe and Essex are places; Middlesex, Sussex and Wessex too.",
        "她们重视性别平等，女性的理性、手机的性能、个性与人性都要谈到。",
        "这叫做爱心捐助，各界女性爱好者参加了慰问，领导亲自慰问了大家。",
        "加快三峡建设，近代开放以来，羽毛片片，路口交通，窗口交互。",
        "成人教育与成人高考的报名，开户行与开户银行的名称。",
        "assassin classic cockpit analysis sextant therapist",
        "",
    ],
)
def test_words_that_hold_a_term_by_chance_do_not_count(text: str) -> None:
    sums, _ = weigh(pa.array([text]), TRIE, OURS)

    assert sums[0, 2:, :2].sum() == 0


@pytest.mark.parametrize(
    "text",
    [
        "加微信",
        "加 微 信",
        "加*微*信",
        "加微\u200b信",
        "加·微-信",
        "Ｐayday loans",
        "PAYDAY-LOANS",
        "payday  loan",
        "真錢遊戲",
    ],
)
def test_folded_forms_and_gaps_are_seen_through(text: str) -> None:
    assert spam_of(text) > 0


@pytest.mark.parametrize(
    "text", ["加，微信", "加\n微信号", "加***微信", "payday\nloan", "paydayloan", "pay day loans", "repayday loans"]
)
def test_punctuation_line_ends_and_long_gaps_are_not(text: str) -> None:
    terms = trie([Term("加微信", SPAM, 4), Term("payday loan", SPAM, 4)], fold_table())

    assert weigh(pa.array([text]), terms, OURS)[0].sum() == 0


def test_a_term_counts_whole_once_in_a_thousand_of_length_and_a_quarter_again() -> None:
    one = pa.array(["加微信", "加微信，加微信", f"加微信{'汉' * 1000}加微信", f"加微信{'汉' * 990}加微信"])

    sums, _ = weigh(one, trie([Term("加微信", SPAM, 8)], fold_table()), OURS)

    assert sums[:, SPAM].tolist() == [[8, 1], [10, 1], [16, 1], [10, 1]]


def test_a_list_of_a_user_has_its_weights_and_errors_name_the_line(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("lists")
    (folder / "good.txt").write_text("\ufeff# ours\nfoo Bar\t2.5\n\n軟體 # why\n")
    (folder / "long.txt").write_text(f"x\n{'y' * (LONGEST + 1)}\n")
    (folder / "weight.txt").write_text("x\tmuch\n")
    (folder / "bytes.txt").write_bytes(b"\xff\xfe")

    made = terms_of(shipped(), (resource(str(folder / "good.txt")),), fold_table())[len(TERMS) :]

    assert made == (Term("foo bar", OURS, 10), Term("软体", OURS, 4))
    for name, error in (
        ("long.txt", r"long\.txt:2: a term of 49 characters"),
        ("weight.txt", r"weight\.txt:1: weight 'much'"),
        ("bytes.txt", "is not UTF-8"),
    ):
        with pytest.raises(ConfigError, match=error):
            terms_of(shipped(), (resource(str(folder / name)),), fold_table())


@given(st.text(max_size=30))
def test_folding_a_term_twice_is_folding_it_once(text: str) -> None:
    once = folded(text, fold_table())

    assert folded(once, fold_table()) == once
    assert not re.search("  |^ | $", once)
