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
    # Few units for their bytes: the twin takes a second for 80,000.
    line = "".join(f"第{number}条的规定，{'clause' * 14} {number * 7919 % 1009}. " for number in range(9_000))

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


def test_an_address_does_not_depend_on_how_the_document_before_ends() -> None:
    # An address begins at `http://` and not once more at the `www.` behind it; here they are of two documents.
    documents = ["see http://", "www.example.org", "/", "www.example.org"]

    assert measure(pa.array(documents)).column("address_density").to_pylist() == [1, 1, 0, 1]


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


ENGLISH = "The cat sat.\nThe dog ran!\n\n- a list\nIt goes on..."
CHINESE = "今天天气很好。\n我们去公园，看见了花！"
MIXED = "我用 Python 写代码 2 年了。"


# All computed by hand; ENGLISH has lines of 12, 12, 0, 8 and 13 characters, CHINESE of 7 and 11.
@pytest.mark.parametrize(
    ("text", "signal", "value"),
    [
        *[("", name, 0) for name in ("characters", "words", "lines", "paragraphs", "sentences", "weighted_length")],
        *[("", name, 0) for name in ("mean_word_length", "closed_line_ratio", "duplicate_line_ratio", "han_variety")],
        *[("", name, 0) for name in ("line_punctuation_ratio", "newline_word_ratio", "c4_sentences", "lorem_ipsum")],
        *[(" \t\n　\n", name, 0) for name in ("words", "lines", "paragraphs", "han_ratio", "mean_line_length")],
        (" \t\n　\n", "characters", 5),
        (" \t\n　\n", "newline_word_ratio", 0),
        ("a", "characters", 1),
        ("a", "weighted_length", 0.5),
        ("a", "mean_word_length", 1),
        ("a", "alphabetic_word_ratio", 1),
        ("a", "short_line_ratio", 1),
        ("a", "tiny_line_character_ratio", 1),
        ("a", "closed_line_ratio", 0),
        ("中", "weighted_length", 1),
        ("中", "han_ratio", 1),
        ("中", "single_word_ratio", 1),
        ("中", "han_variety", 1),
        ("7", "alphabetic_word_ratio", 0),
        ("7", "digit_ratio", 1),
        ("#", "words", 0),
        ("#", "hash_ratio", 0),
        ("#", "symbol_ratio", 1),
        (ENGLISH, "characters", 49),  # 12 + 12 + 0 + 8 + 13, and 4 newlines
        (ENGLISH, "words", 11),
        (ENGLISH, "lines", 4),
        (ENGLISH, "paragraphs", 2),
        (ENGLISH, "sentences", 3),  # sat. ran! on...
        (ENGLISH, "mean_word_length", 31 / 11),  # 6 times 3, 1, 4, 2, 4 and 2
        (ENGLISH, "mean_line_length", 45 / 4),
        (ENGLISH, "bullet_line_ratio", 1 / 4),
        (ENGLISH, "ellipsis_line_ratio", 1 / 4),
        (ENGLISH, "ellipsis_ratio", 1 / 11),
        (ENGLISH, "closed_line_ratio", 3 / 4),
        (ENGLISH, "line_punctuation_ratio", 3 / 4),
        (ENGLISH, "newline_word_ratio", 4 / 11),
        (ENGLISH, "tiny_line_character_ratio", 8 / 45),
        (ENGLISH, "c4_sentences", 2),  # a list has no end, ... is none
        (ENGLISH, "stop_words", 0),  # The is not the
        (CHINESE, "characters", 19),  # 6 Han and 。, a newline, 9 Han and ， and ！
        (CHINESE, "words", 15),
        (CHINESE, "han_ratio", 15 / 18),
        (CHINESE, "function_ratio", 3 / 15),  # 我 们 了
        (CHINESE, "sentences", 2),
        (CHINESE, "weighted_length", 18),
        (CHINESE, "line_punctuation_ratio", 1),
        (CHINESE, "c4_sentences", 0),
        (CHINESE, "c4_sentences_wide", 2),
        (CHINESE, "mean_word_length", 1),
        (CHINESE, "alphabetic_word_ratio", 1),
        (CHINESE, "newline_word_ratio", 1 / 15),
        (CHINESE, "han_variety", 14 / 15**0.5),  # 天 twice
        (CHINESE, "stop_words_zh", 1),
        (MIXED, "words", 9),  # 我 用 Python 写 代 码 2 年 了
        (MIXED, "single_word_ratio", 7 / 9),
        (MIXED, "mean_word_length", 14 / 9),
        (MIXED, "alphabetic_word_ratio", 8 / 9),
        (MIXED, "han_latin_ratio", 13 / 15),
        (MIXED, "digit_ratio", 1 / 15),
        (MIXED, "stop_words_zh", 2),  # 年 了
        ("a b a b", "top_2_gram_ratio", 6 / 7),  # a b twice, three characters
        ("a b a b", "top_3_gram_ratio", 0),
        ("a a a a", "top_2_gram_ratio", 9 / 7),  # three times: it overlaps itself
        ("你好你好", "top_2_gram_ratio", 1),
        ("你好吗你好吗", "top_3_gram_ratio", 1),
        ("一二三四五一二三四五", "duplicate_5_gram_ratio", 0.5),
        ("一二三四五一二三四五", "duplicate_6_gram_ratio", 0),
        ("一二三四五六七八九十一二三四五六七八九十", "duplicate_10_gram_ratio", 0.5),
        ("一二三四五六七八九十甲乙丙一二三四五六七八九十甲乙丙", "repeated_13_character_ratio", 0.5),
        ("一二三四五六七八九十甲乙一二三四五六七八九十甲乙", "repeated_13_character_ratio", 0),
        ("internationalization internationalization", "repeated_13_character_ratio", 0.5),
        ("ab\nab", "duplicate_line_ratio", 0.5),
        ("ab\n  ab", "duplicate_line_character_ratio", 0.5),
        ("ab\n  ab", "duplicate_line_character_ratio_fineweb", 2 / 6),
        ("x" * 30 + "\n" + "x" * 31, "short_line_ratio", 0.5),
        ("x" * 9 + "\n" + "y" * 10, "tiny_line_character_ratio", 9 / 19),
        ("ABc\nABcd", "uppercase_line_ratio", 0.5),  # 2 of 3 is more than half, 2 of 4 is not
        ("a|b|c\na|b", "table_line_ratio", 0.5),
        ("{a}}", "curly_brackets", 3),
        ("{a}}", "code_ratio", 3 / 4),
        ("Lorem ipsum dolor, LOREM IPSUM, lorem  ipsum", "lorem_ipsum", 2),  # one space between
        ("We use cookies on this site.", "c4_sentences", 0),
        ("You need JavaScript for this.", "c4_sentences", 0),
        ("See our privacy policies. Go on.", "c4_sentences", 2),
        ('He said "one two"', "c4_sentences", 1),  # no full stop: a line is one at least
        ("Two words.", "c4_sentences", 0),
        ("他说：“好的呀”", "c4_sentences_wide", 1),
        ("好；\n好。", "line_punctuation_ratio", 0.5),  # ； is no end for FineWeb-2
        ("a\"\nb'\nc,\nd", "line_punctuation_ratio", 0.5),
        ("to be of and", "stop_words", 4),
        ("的的的", "stop_words_zh", 1),
        ("的的的", "function_ratio", 1),
        ("http://a.b", "address_density", 1),  # in less than 200 of length
        ("汉" * 400 + " http://a.b", "address_density", 200 / 405),  # 400, and 10 of half the weight
    ],
)
def test_signals_by_hand(text: str, signal: str, value: float) -> None:
    assert signals(text)[signal] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(
    ("window", "lines", "grams"),
    [(2, 0, 0), (3, 1, 0), (4, 2, 10), (6, 2, 10)],
    ids=["none", "a line", "a pair", "all"],
)
def test_repetition_is_looked_for_within_a_window(window: int, lines: int, grams: int) -> None:
    # A window of three lines sees the second ab, one of four the second pair too: 5 characters twice.
    row = count(pa.array(["ab\ncd\nab\ncd"]), window)[0]

    assert (row[Count.DUPLICATE_LINES], row[Count.TOP_GRAMS]) == (lines, grams)


def test_words_of_any_length_and_place_are_told_apart() -> None:
    # Blocks are of 64 bytes and words are hashed by eight: every length, beginning at every byte of a block.
    words = ["x" * length for length in range(1, 131)]
    text = " ".join(words)

    for shift in range(64):
        row = count(pa.array([" " * shift + text]))[0]
        assert (row[Count.WORDS], row[Count.WORD_CHARACTERS]) == (130, sum(map(len, words)))
        assert row[Count.TOP_GRAMS] == 0
