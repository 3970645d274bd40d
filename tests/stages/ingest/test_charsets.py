from pathlib import Path

import pyarrow as pa

from datapipe.testing import evaluate
from stages.ingest import Ingest, SourceConfig
from stages.ingest.charsets import CHARSETS, Tally, place_of

TEXT = "长江流经许多城市，沿岸的人们在这里生活了几千年，留下了很多故事，也写下了不少关于江水和船的诗。" * 3


def test_counts_charsets_per_source_and_host(tmp_path: Path) -> None:
    for number, (charset, label) in enumerate([("gbk", "gb2312"), ("gbk", "gb2312"), ("utf-8", "gb2312")]):
        page = f'<meta charset="{label}"><article><p>{TEXT}</p></article>'.encode(charset)
        (tmp_path / f"{number}.html").write_bytes(page + b"\xff" * (number == 1))
    (tmp_path / "3.html").write_bytes(f"<article><p>{TEXT}锟斤拷</p></article>".encode())

    made = evaluate(Ingest(sources={"web": SourceConfig(path=str(tmp_path))}).build())

    rows = pa.concat_tables(made.outputs["charsets"])
    assert rows.schema.equals(CHARSETS)
    assert rows.drop(["source", "host"]).to_pylist() == [
        dict(zip(CHARSETS.names[2:], values, strict=True))
        for values in [
            (None, "utf-8", "utf-8", "utf-8", 1, 0, 1),
            ("gb18030", "gb18030", "gb18030", "detected", 1, 1, 0),
            ("gb18030", "gb18030", "gb18030", "meta", 1, 0, 0),
            ("gb18030", "utf-8", "utf-8", "utf-8", 1, 0, 0),
        ]
    ]
    assert set(rows.column("source").to_pylist()) == {"web"}
    assert rows.column("host").null_count == 4


def test_a_shard_without_documents_has_no_rows() -> None:
    assert Tally().rows().num_rows == 0


def test_sources_of_long_names_have_files_that_a_file_system_takes() -> None:
    names = ["人民日报" * 20 + end for end in ("一", "二")]

    places = {place_of(name).removeprefix("signals/") for name in names}
    assert len(places) == 2
    assert max(map(len, places)) < 255


def test_a_page_with_a_formula_and_a_date_becomes_a_document_with_them(tmp_path: Path) -> None:
    head = '<title>质能方程</title><meta name="author" content="张三"><meta name="pubdate" content="2020年2月3日">'
    formula = "<math><mi>E</mi><mo>=</mo><mi>m</mi><msup><mi>c</mi><mn>2</mn></msup></math>"
    (tmp_path / "a.html").write_text(f"<head>{head}</head><article><p>{TEXT}即{formula}。</p></article>", "utf-8")

    made = evaluate(Ingest(sources={"web": SourceConfig(path=str(tmp_path))}).build()).table.to_pylist()[0]

    assert (made["title"], made["author"], made["published"]) == ("质能方程", "张三", "2020-02-03")
    assert "即$E=mc^2$。" in made["text"]
