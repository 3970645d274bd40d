import gzip
from pathlib import Path

import pytest

from datapipe import InputFile
from stages.ingest.stage import format_of
from tests.stages.ingest.archives import PARAGRAPH, ingest, reasons, rows

TRADITIONAL = "長江流經許多城市，沿岸的人們在這裡生活了幾千年，留下了很多故事。" * 5


@pytest.mark.parametrize(
    ("text", "encoded", "charset", "by"),
    [
        (PARAGRAPH, PARAGRAPH.encode(), "utf-8", "utf-8"),
        (PARAGRAPH, b"\xef\xbb\xbf" + PARAGRAPH.encode(), "utf-8", "bom"),
        (PARAGRAPH * 5, (PARAGRAPH * 5).encode("gb18030"), "gb18030", "detected"),
        (TRADITIONAL, TRADITIONAL.encode("big5hkscs"), "big5hkscs", "detected"),
        (PARAGRAPH, PARAGRAPH.encode("utf-16"), "utf-16-le", "bom"),
    ],
)
def test_makes_a_document_of_a_text_file(tmp_path: Path, text: str, encoded: bytes, charset: str, by: str) -> None:
    result = ingest(tmp_path, "a.txt.gz", gzip.compress(encoded))

    (row,) = rows(result)
    assert (row["text"], row["charset"], row["charset_by"]) == (text, charset, by)
    assert (row["title"], row["no_ai"], row["offset"]) == (None, None, 0)
    assert result.ledger.num_rows == 0


def test_takes_markup_in_text_as_text(tmp_path: Path) -> None:
    result = ingest(tmp_path, "a.md", b"# Title\r\n\r\n<p>&amp;")

    assert [row["text"] for row in rows(result)] == ["# Title\n\n<p>&amp;"]


def test_makes_a_document_of_each_line(tmp_path: Path) -> None:
    lines = ["\ufefffirst", "", "   ", PARAGRAPH, "last"]

    result = ingest(tmp_path, "a.txt", "\r\n".join(lines).encode(), text="line")

    assert [row["text"] for row in rows(result)] == ["first", PARAGRAPH, "last"]
    assert [row["offset"] for row in rows(result)] == [0, 17, 17 + len(PARAGRAPH.encode()) + 2]
    assert len({row["id"] for row in rows(result)}) == 3


def test_reads_lines_in_the_charset_of_the_file_and_in_their_own(tmp_path: Path) -> None:
    content = (PARAGRAPH + "\n").encode("gb18030") * 20 + "短句\n".encode("gb18030") + "混入的\n".encode()

    result = ingest(tmp_path, "a.txt", content, text="line")

    assert [row["text"] for row in rows(result)] == [PARAGRAPH] * 20 + ["短句", "混入的"]
    assert [row["charset"] for row in rows(result)] == ["gb18030"] * 21 + ["utf-8"]


def test_accounts_for_odd_lines_and_files(tmp_path: Path) -> None:
    long = ingest(tmp_path / "1", "a.txt", b"x" * 300 + b"\nshort\n", text="line", max_document_bytes=200)
    whole = ingest(tmp_path / "2", "a.txt", b"x" * 300, max_document_bytes=200)
    broken = ingest(tmp_path / "3", "a.txt", PARAGRAPH.encode() + b"\nbyte \xe5 " + PARAGRAPH.encode(), text="line")
    wide = ingest(tmp_path / "4", "a.txt", "a\nb\n".encode("utf-16"), text="line")
    empty = ingest(tmp_path / "5", "a.txt", b"")

    assert reasons(long) == [("drop", "too_large", 300.0)]
    assert reasons(whole) == [("drop", "too_large", 300.0)]
    assert reasons(broken) == [("repair", "undecodable", 1.0)]
    assert [item[1] for item in reasons(wide)] == ["unsupported"]
    assert "convert the file to UTF-8" in wide.ledger.column("note")[0].as_py()
    assert reasons(empty) == [("drop", "no_text", None)]


def test_keeps_the_lines_before_a_cut(tmp_path: Path) -> None:
    content = gzip.compress(b"".join(b"line %d of many\n" % number for number in range(5000)), mtime=0)

    result = ingest(tmp_path, "a.txt.gz", content[: len(content) // 2], text="line")

    texts = [row["text"] for row in rows(result)]
    assert len(texts) > 1000
    assert texts == [f"line {number} of many" for number in range(len(texts))]
    assert [item[:2] for item in reasons(result)] == [("quarantine", "truncated_record")]


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.txt.gz", "text"), ("a.md", "text"), ("a.RST", "text"), ("a.parquet", "parquet"), ("a.arrow", "arrow"),
     ("a.feather", "arrow"), ("a.ipc", "arrow"), ("a.warc.wet.gz", "warc"), ("a.json.zst", "jsonl")],
)  # fmt: skip
def test_finds_each_format_by_its_ending(name: str, form: str) -> None:
    assert format_of("web", [InputFile(name, name, 1, "1")]) == form
