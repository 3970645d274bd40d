import gzip
from pathlib import Path

import pytest

from stages.ingest.stage import format_of
from tests.stages.ingest.archives import PARAGRAPH, ingest, reasons, rows
from tests.stages.ingest.test_ingest import file


@pytest.mark.parametrize(
    ("content", "charset", "by"),
    [
        (PARAGRAPH.encode(), "utf-8", "utf-8"),
        (b"\xef\xbb\xbf" + PARAGRAPH.encode(), "utf-8", "bom"),
        ((PARAGRAPH * 5).encode("gb18030"), "gb18030", "detected"),
        ((PARAGRAPH * 5).encode("big5hkscs", "ignore"), "big5hkscs", "detected"),
        (PARAGRAPH.encode("utf-16"), "utf-16-le", "bom"),
    ],
)
def test_makes_a_document_of_a_text_file(tmp_path: Path, content: bytes, charset: str, by: str) -> None:
    result = ingest(tmp_path, "a.txt.gz", gzip.compress(content + "\r\n\r\n<p>&amp;".encode("ascii" if len(content) else "")
                                                        if charset != "utf-16-le" else content))  # fmt: skip

    (row,) = rows(result)
    assert (row["charset"], row["charset_by"], row["title"], row["no_ai"]) == (charset, by, None, None)
    assert str(row["text"]).startswith("长江") or charset == "big5hkscs"
    assert charset == "utf-16-le" or str(row["text"]).endswith("\n\n<p>&amp;")
    assert result.ledger.num_rows == 0


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
    broken = ingest(tmp_path / "3", "a.txt", b"good\nbyte \xff\n", text="line")
    wide = ingest(tmp_path / "4", "a.txt", "a\nb\n".encode("utf-16"), text="line")
    empty = ingest(tmp_path / "5", "a.txt", b"")

    assert reasons(long) == [("drop", "too_large", 300.0)]
    assert reasons(whole) == [("drop", "too_large", 300.0)]
    assert [item[:2] for item in reasons(broken)] in ([("repair", "undecodable")], [])
    assert [item[1] for item in reasons(wide)] == ["unsupported"]
    assert "convert the file to UTF-8" in wide.ledger.column("note")[0].as_py()
    assert [item[1] for item in reasons(empty)] in (["no_text"], ["empty_file"])


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
    assert format_of("web", [file(name, 1)]) == form
