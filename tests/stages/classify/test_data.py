import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from datapipe.errors import ConfigError
from stages.classify.data import CALIBRATE, JUDGE, LEARN, Examples, part, read
from tests.stages.classify.texts import as_csv, as_jsonl, rows, texts

GIVEN = [{"text": '一,"二"\n三', "label": "a"}, {"text": "four", "label": "b"}]


def zipped(file: Path, pack: Callable[[bytes], bytes]) -> str:
    plain = file.with_suffix("")
    as_jsonl(plain, GIVEN)
    file.write_bytes(pack(plain.read_bytes()))
    return str(file)


def as_parquet(file: Path, given: list[dict[str, str]]) -> str:
    pq.write_table(pa.Table.from_pylist(given), file)
    return str(file)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv", "a.parquet", "a.jsonl.zst", "a.jsonl.gz"])
def test_reads_each_kind_of_file(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    if name.endswith("jsonl"):
        as_jsonl(file, GIVEN)
    elif name.endswith("parquet"):
        as_parquet(file, GIVEN)
    elif name.endswith(("zst", "gz")):
        zipped(file, zstandard.compress if name.endswith("zst") else gzip.compress)
    else:
        as_csv(file, GIVEN)

    found = [(text, label) for _, text, label in read([str(file)], "text", "label")]

    assert found == [('一,"二"\n三', "a"), ("four", "b")]


def test_a_text_file_has_a_text_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\n 二 \n", "utf-8")

    assert [row[1:] for row in read([str(tmp_path / "a.txt")], "text", None, "good")] == [
        ("one", "good"),
        (" 二 ", "good"),
    ]


def test_the_files_of_a_folder_are_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("two\n", "utf-8")
    (tmp_path / "a.txt").write_text("one\n", "utf-8")
    (tmp_path / "notes.md").write_text("no text to learn from", "utf-8")

    found = list(read([str(tmp_path)], "text", None, "good"))

    assert [(file.name, text) for file, text, _ in found] == [("a.txt", "one"), ("b.txt", "two")]


def test_labels_of_other_types_are_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x", "label": 1}\n{"text": null, "label": 0}\n', "utf-8")

    assert [row[1:] for row in read([str(tmp_path / "a.jsonl")], "text", "label")] == [("x", "1")]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", "", "a.jsonl: holds no text"),
        ("a.jsonl", "{", "a.jsonl:1: not a line of JSON"),
        ("a.jsonl", "[1]", "a.jsonl:1: not a JSON object"),
        ("a.jsonl", '{"body": "x", "label": "a"}', "a.jsonl:1: has no column 'text'; it has body, label"),
        ("a.jsonl", '{"text": 1, "label": "a"}', "row 1: 'text' is no text"),
        ("a.jsonl", '{"text": "x", "label": null}', "row 1: has no label in 'label'"),
        ("a.csv", "text,kind\nx,a\n", "a.csv: has no column 'label'; it has text, kind"),
        ("a.txt", "x\n", "a.txt: a text file has no labels; give a table"),
        ("a.parquet", "no table", "a.parquet: cannot be read"),
        ("a.jsonl.zst", "not compressed", "a.jsonl.zst: cannot be read"),
        ("a.docx", "", "a.docx: not a kind of file that is read; give .jsonl"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(name: str, content: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, "utf-8")

    with pytest.raises(ConfigError, match=sentence):
        list(read([str(tmp_path / name)], "text", "label"))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.csv: cannot be read \(.*No such file"):
        list(read([str(tmp_path / "none.csv")], "text", "label"))


def parted(
    given: list[tuple[str, str]], tests: list[tuple[str, str]] | None = None, *, balance: bool = False
) -> Examples:
    return part(given, tests or [], 4000, balance=balance)


def pairs(amount: int = 200) -> list[tuple[str, str]]:
    return [(row["text"], row["label"]) for row in rows(amount)]


def test_a_tenth_calibrates_and_a_tenth_judges_whatever_the_order() -> None:
    given = pairs(500)

    once, again = parted(given), parted(given[::-1])

    assert once == again
    assert len(once.parts[CALIBRATE]) + len(once.parts[JUDGE]) + len(once.parts[LEARN]) == 1000
    assert 60 < len(once.parts[CALIBRATE]) < 140  # 100 by chance, four deviations of 9.5
    assert 60 < len(once.parts[JUDGE]) < 140


def test_of_copies_up_to_case_digits_blanks_and_script_one_is_kept() -> None:
    given = [("Call 12 now!", "a"), ("call  34\tNOW!", "a"), ("漢字", "b"), ("汉字", "b"), ("call 12 now", "a")]

    found = parted(given)

    assert found.copies == 2
    assert sum(map(len, found.parts.values())) == 3


def test_a_text_under_two_labels_teaches_neither() -> None:
    found = parted([("same", "a"), ("SAME", "b"), ("other", "a")])

    assert found.torn == 2
    assert [example.text for some in found.parts.values() for example in some] == ["other"]


def test_a_text_without_a_token_is_left_out() -> None:
    assert parted([(" \n", "a"), ("x", "a")]).empty == 1


def test_texts_to_judge_by_are_not_learnt_from() -> None:
    given = pairs()

    found = parted(given, tests=given[:50])

    judged = {example.text for example in found.parts[JUDGE]}
    assert found.seen == 50
    assert judged == {text for text, _ in given[:50]}
    assert not judged & {example.text for role in (LEARN, CALIBRATE) for example in found.parts[role]}


def test_balance_cuts_what_is_learnt_from_to_the_rarest_label() -> None:
    given = [(text, "cooking") for text in texts("cooking", 300)] + [(text, "sailing") for text in texts("sailing", 60)]

    plain, even = parted(given), parted(given, balance=True)

    amounts = [sum(example.label == label for example in even.parts[LEARN]) for label in ("cooking", "sailing")]
    assert amounts[0] == amounts[1] == sum(example.label == "sailing" for example in plain.parts[LEARN])
    assert even.parts[CALIBRATE] == plain.parts[CALIBRATE]


def test_a_file_is_told_with_its_digest_and_labels(tmp_path: Path) -> None:
    path = as_jsonl(tmp_path / "a.jsonl", [*GIVEN, {"text": "five", "label": "b"}])

    told = next(read([path], "text", "label"))[0]

    assert json.dumps(told.counts) == '[["a", 1], ["b", 2]]'
    assert len(told.sha256) == 64
