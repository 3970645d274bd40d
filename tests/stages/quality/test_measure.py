import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.quality import measure
from stages.quality.counts import COUNTS, STOP_WORDS, Count
from stages.quality.measure import count
from stages.quality.plain import count_plainly
from stages.quality.words import stop_buckets

# Characters of which every kind and every rule on neighbours is made, and some words that mean something.
PIECES = [
    *"ab9Z .,'’-\n\t|　…。！；，“”#*•{}=的中学あ한กéΩ😀½٣/:",
    "\u0301",
    "\u200d",
    "\n\n",
    "微信",
    "扣扣",
    "the ",
    "with ",
]
PIECES += [
    "http://",
    "www.",
    "QQ",
    "wx",
    "13812345678",
    "010-12345678",
    "abc12345",
    "...",
    "。。。",
    "don't",
    "3.14",
    "─",
]
texts = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=60).map("".join))


def signals(text: str) -> dict[str, float]:
    measured: dict[str, float] = measure(pa.array([text])).to_pylist()[0]
    return measured


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, max_size=4), st.sampled_from([3, 7, 1 << 20]))
def test_counts_as_its_plain_twin_does(documents: list[str], window: int) -> None:
    counts = count(pa.array(documents, pa.string()), window)

    assert counts.tolist() == [count_plainly(document, window) for document in documents]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "中",
        "a",
        "\n",
        "\u0301",
        "😀" * 3,
        "汉字，" * 2000,
        "word " * 2000,
        "x" * 20_000,
        "abc\n" * 3000,
        "很好。很好。\n\n" * 900,
    ],
    ids=["empty", "han", "latin", "newline", "mark", "emoji", "clauses", "words", "run", "lines", "paragraphs"],
)
def test_counts_as_its_plain_twin_does_on(text: str) -> None:
    assert count(pa.array([text]))[0].tolist() == count_plainly(text)


def test_agrees_with_its_twin_on_a_line_of_a_megabyte() -> None:
    line = "".join(f"第{number}条的规定，see clause {number * 7919 % 1009}. " for number in range(28_000))

    assert len(line.encode()) > 1_000_000
    assert count(pa.array([line]))[0].tolist() == count_plainly(line)


def test_reads_slices_nulls_and_large_strings_alike() -> None:
    documents = ["left out", None, "你好，世界。", "one two\none two"]
    plain = [count_plainly(document or "") for document in documents[1:]]

    for kind in (pa.string(), pa.large_string()):
        assert count(pa.array(documents, kind).slice(1)).tolist() == plain
    assert count(pa.array([], pa.string())).shape == (0, COUNTS)


def test_does_not_depend_on_where_batches_are_cut() -> None:
    documents = pa.array([f"文档{number}的内容在这里。document {number}" for number in range(10)])

    together = measure(documents)
    apart = pa.Table.from_batches([measure(documents.slice(start, 1)) for start in range(10)])

    assert together.to_pylist() == apart.to_pylist()


def test_a_passage_written_a_hundred_times_is_covered_by_repeats() -> None:
    # The case that counting distinct characters misses: 99 of 100 copies are repeats.
    passage = "The quick brown fox jumps over the lazy dog while seven wizards brew strong black tea at noon. "

    measured = signals(passage * 100)

    words = sum(map(len, passage.replace(".", "").split()))
    assert measured["duplicate_10_gram_ratio"] == pytest.approx(99 * words / (100 * len(passage)), rel=1e-6)
    assert measured["repeated_13_character_ratio"] == pytest.approx(0.99, abs=1e-3)


def test_overlapping_repeats_count_each_unit_once() -> None:
    # a b c d e f | a b c d e f: two 5-grams repeat and overlap; together they cover six letters of 23 characters.
    measured = signals("a b c d e f a b c d e f")

    assert measured["duplicate_5_gram_ratio"] == pytest.approx(6 / 23, rel=1e-6)
    assert measured["duplicate_6_gram_ratio"] == pytest.approx(6 / 23, rel=1e-6)
    assert measured["duplicate_7_gram_ratio"] == 0


def test_the_most_frequent_n_gram_counts_with_every_occurrence() -> None:
    # 'to be' twice (5 characters each) in 18 characters; nothing longer occurs twice.
    measured = signals("to be or not to be")

    assert measured["top_2_gram_ratio"] == pytest.approx(10 / 18, rel=1e-6)
    assert measured["top_3_gram_ratio"] == 0


def test_an_n_gram_that_occurs_once_is_no_repetition() -> None:
    measured = signals("孤山寺北贾亭西，水面初平云脚低。")

    assert [measured[f"top_{n}_gram_ratio"] for n in (2, 3, 4)] == [0, 0, 0]


def test_blank_lines_are_no_duplicates() -> None:
    measured = signals("first line\n\n\n\nsecond line\n   \n　\nthird line")

    assert measured["duplicate_line_ratio"] == 0
    assert (measured["lines"], measured["paragraphs"]) == (3, 3)


def test_duplicate_lines_and_paragraphs_count_from_the_second_on() -> None:
    # Four lines of 4 characters, one of them before; two paragraphs and one of them again.
    measured = signals("aaaa\nbbbb\n\ncccc\n\naaaa\nbbbb")

    assert measured["duplicate_line_ratio"] == pytest.approx(2 / 5)
    assert measured["duplicate_line_character_ratio"] == pytest.approx(8 / 20)
    assert measured["duplicate_paragraph_ratio"] == pytest.approx(1 / 3)
    assert measured["duplicate_paragraph_character_ratio"] == pytest.approx(8 / 20)


@pytest.mark.parametrize(
    ("text", "words", "characters"),
    [
        ("hello world", 2, 10),
        ("你好 world", 3, 7),
        ("don't stop", 2, 9),
        ("3.14 and 1,000", 3, 12),
        ("well-known foo_bar", 4, 15),
        ("cafe\u0301 ole", 2, 8),
        ("ひらがな", 4, 4),
        ("한국어 텍스트", 2, 6),
        ("😀 … #", 0, 0),
    ],
)
def test_units_are_unspaced_letters_or_runs_of_others(text: str, words: int, characters: int) -> None:
    row = count(pa.array([text]))[0]

    assert (row[Count.WORDS], row[Count.WORD_CHARACTERS]) == (words, characters)


@pytest.mark.parametrize(
    ("text", "contacts", "addresses"),
    [
        ("see https://www.example.com/x and http://a.b", 0, 2),
        ("www.example.cn", 0, 1),
        ("the http protocol, www without a point", 0, 0),
        ("电话：13812345678", 1, 0),
        ("传真 010-12345678 或 400-820-8820", 2, 0),
        ("2021-01-02 12345678901 1,380,000", 0, 0),
        ("加微信号：abc12345", 1, 0),
        ("QQ群: 123456789", 1, 0),
        ("微信很好用，我们都在用它 abc12345", 0, 0),
    ],
)
def test_finds_contacts(text: str, contacts: int, addresses: int) -> None:
    row = count(pa.array([text]))[0]

    assert (row[Count.CONTACTS], row[Count.ADDRESSES]) == (contacts, addresses)


@pytest.mark.parametrize(
    ("text", "verse"),
    [
        ("床前明月光，疑是地上霜。\n举头望明月，低头思故乡。", 1.0),
        ("首页新闻\n关于我们\n产品中心\n联系方式", 0.0),
        ("根据本办法的有关规定制定实施细则并由主管部门负责解释和监督执行，具体事项另行通知。", 0.0),
    ],
    ids=["quatrain", "menu", "prose"],
)
def test_tells_verse_from_menus_and_prose(text: str, verse: float) -> None:
    assert signals(text)["verse_ratio"] == verse


def test_one_han_weighs_as_two_latin_letters() -> None:
    assert signals("汉字。")["weighted_length"] == 3
    assert signals("letters and")["weighted_length"] == 5


def test_stop_words_have_places_of_their_own() -> None:
    assert (stop_buckets() > 0).sum() == len(STOP_WORDS)
    assert signals(" ".join(STOP_WORDS))["stop_words"] == len(STOP_WORDS)
    assert signals("The THE the the")["stop_words"] == 1
