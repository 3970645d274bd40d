"""Which documents are drawn to be judged, what a sheet shows of them, and what it must never do."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from datapipe import ConfigError, DataError, Look, Note
from stages.audit.draw import hashes
from stages.audit.group import app
from stages.audit.review.cells import csv_of, defused
from stages.audit.review.draw import draw, least_of, quotas
from stages.audit.review.drawing import Asked, adopt, chosen, make
from stages.audit.review.model import SAMPLES, Item, Sample, Stratum, sample_of
from stages.audit.review.reading import _text as undefused
from stages.audit.review.sheet import render
from stages.audit.review.shown import Shown, _apart, _cut, _ends, shown
from stages.audit.review.spreadsheet import read_sheet
from stages.audit.signed.check import check
from stages.audit.signed.log import entries
from stages.audit.tables import Tables
from stages.audit.where import Condition
from stages.corpus.remove import remove
from tests.stages.audit.folders import key, publish
from tests.stages.audit.sample import HOSTILE

WRITTEN = pa.schema(
    [("id", pa.binary(16)), *((name, pa.string()) for name in ("source", "language", "url", "title", "text"))]
)


def folder_of(folder: Path, documents: int, files: int, text: str = "一段文本。") -> Path:
    """Returns the folder of a run that wrote documents of three sources, cut into so many files, in any order."""
    rows = [
        {
            "id": key(number),
            "source": "web" if number % 20 > 1 else "law" if number % 20 else "poems",
            "language": "zho_Hans",
            "url": f"https://h{number}.cn/",
            "text": f"{number}：{text}",
        }
        for number in range(documents)
    ]
    random.Random(files).shuffle(rows)
    publish(
        folder,
        {
            f"documents/part-{number:05}-of-{files:05}.parquet": pa.Table.from_pylist(rows[number::files], WRITTEN)
            for number in range(files)
        },
        [],
    )
    return folder


def ids(drawn: pa.Table) -> list[bytes]:
    found: list[bytes] = drawn.column("id").to_pylist()
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("made") / "run", 400, 1)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["sample", *words], catch_exceptions=False)


@pytest.mark.parametrize("by", [None, "source"])
def test_the_same_documents_are_drawn_however_the_corpus_is_cut(made: Path, tmp_path: Path, by: Any) -> None:
    other = Tables(str(folder_of(tmp_path / "cut", 400, 7)))

    assert ids(draw(Tables(str(made)), 60, by=by).places) == ids(draw(other, 60, by=by).places)
    assert ids(draw(other, 60, by=by, seed=1).places) != ids(draw(other, 60, by=by).places)


def test_those_of_least_hash_are_drawn(made: Path) -> None:
    all_ = sorted((int(hashes(pa.array([key(n)], pa.binary(16)), 5)[0]), key(n)) for n in range(400))

    assert ids(draw(Tables(str(made)), 30, seed=5).places) == [one for _, one in all_[:30]]


def test_a_source_has_enough_for_its_rule_or_is_drawn_whole(made: Path) -> None:
    drawn = draw(Tables(str(made)), 200, by="source")

    # exact binomial: (1 - .05)^n <= .05 / 3 / 2 from n = 94 on
    assert drawn.least == least_of(3) == 94
    assert 0.95**94 <= 0.05 / 6 < 0.95**93
    assert Counter(drawn.places.column("source").to_pylist()) == {"web": 160, "law": 20, "poems": 20}
    assert dict(drawn.of) == {"law": 20, "poems": 20, "web": 360}


def test_more_are_drawn_than_were_asked_for_where_sources_need_them(made: Path) -> None:
    drawn = draw(Tables(str(made)), 10, by="source")

    assert Counter(drawn.places.column("source").to_pylist()) == {"web": 94, "law": 20, "poems": 20}


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(1, 500), min_size=1),
    st.integers(1, 600),
    st.integers(0, 200),
)
def test_quotas_are_what_was_asked_for_in_proportion(of: dict[str, int], most: int, least: int) -> None:
    most = min(most, sum(of.values()))

    made = quotas(of, most, least)

    floors = {name: min(size, least) for name, size in of.items()}
    assert all(floors[name] <= made[name] <= of[name] for name in of)
    assert sum(made.values()) == max(most, sum(floors.values()))
    above = [made[name] / of[name] for name in of if made[name] > floors[name]]
    few = min((of[name] for name in of if made[name] > floors[name]), default=1)
    assert not above or max(above) - min(above) <= 1 / few + 1e-9


def test_conditions_narrow_what_the_sample_is_of(made: Path) -> None:
    drawn = draw(Tables(str(made)), 20, where=(Condition.parse("source=law"),))

    assert dict(drawn.of) == {"law": 20}


def test_documents_in_samples_of_any_split_can_be_drawn_and_no_others(finished: Path) -> None:
    files = sorted((finished / "corpus/index").glob("*segments-*.parquet"))
    held = {one for file in files for one in pq.read_table(file, columns=["doc_id"]).column(0).to_pylist()}

    drawn = draw(Tables(str(finished)), len(held))

    assert {one.hex() for one in ids(drawn.places)} == held
    with pytest.raises(ConfigError, match=rf"{len(held)} documents can be had.*give --n {len(held)}"):
        draw(Tables(str(finished)), len(held) + 1)


def test_what_an_overlay_takes_out_is_not_drawn_and_the_old_sample_stays(copied: Path, tmp_path: Path) -> None:
    whole = draw(Tables(str(copied)), 5)
    make(str(copied), Asked(5))
    (tmp_path / "ids").write_text(ids(whole.places)[0].hex())
    remove(str(copied), ids=str(tmp_path / "ids"), apply=True)

    after = draw(Tables(str(copied)), 5)

    assert ids(after.places)[:4] == ids(whole.places)[1:]
    with pytest.raises(ConfigError, match=r"corpus as it was before \(overlays_sha256 differ"):
        make(str(copied), Asked(5))


def test_a_sample_of_a_corpus_shows_the_text_that_its_samples_hold(finished: Path) -> None:
    tables = Tables(str(finished))
    drawn = draw(tables, 8)

    found = shown(tables, drawn.places, 20_000)

    notes = {json.loads(line)["id"]: json.loads(line)["text"] for line in NOTES.read_text().splitlines()}
    assert all(one.head for one in found)
    assert any(one.head.strip() in text for one in found for text in notes.values())
    assert {one.row["source"] for one in found} <= {"pages", "notes"}
    whole = [one for one in found if not one.partial]
    assert whole
    assert all(abs(len(one.head) - one.row["characters"]) <= 2 for one in whole if not one.notes)


NOTES = Path(__file__).resolve().parents[3] / "data" / "notes.jsonl"


def test_a_sample_is_the_same_again_and_is_on_record_once(made: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", 60, 2)
    first = make(str(folder), Asked(40))
    place = folder / SAMPLES / "n40-seed0"
    before = {path.name: path.read_bytes() for path in place.iterdir()}

    second = make(str(folder), Asked(40))
    elsewhere = make(str(folder), Asked(40), str(tmp_path / "out"))

    assert first.logged
    assert not second.logged
    assert not elsewhere.logged
    assert second.new == ()
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert [(one.kind, one.content["sample_sha256"]) for one in entries(str(folder))] == [
        ("sample", first.sample.sha256)
    ]
    assert hashlib.sha256(before["sample.json"]).hexdigest() == first.sample.sha256


def test_what_people_filled_in_stays_and_what_is_gone_is_written_again(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", 60, 2)
    make(str(folder), Asked(40))
    place = folder / SAMPLES / "n40-seed0"
    sheet = (place / "sheet.html").read_bytes()
    (place / "sheet.csv").write_text("filled in")
    (place / "sheet.html").unlink()

    again = make(str(folder), Asked(40))

    assert again.new == ("sheet.html",)
    assert (place / "sheet.html").read_bytes() == sheet
    assert (place / "sheet.csv").read_text() == "filled in"


def test_a_sample_drawn_elsewhere_is_taken_in_and_on_record_only_if_the_hash_draws_it(tmp_path: Path) -> None:
    run_ = folder_of(tmp_path / "run", 60, 2)
    sample = make(str(run_), Asked(5, "source"), str(tmp_path / "out")).sample
    first, second, *others = sample.items
    for update in (
        {"items": (second, first, *others)},
        {"items": (first.model_copy(update={"source": second.source + "x"}), second, *others)},
        {"documents": sample.documents + 1},
        {"strata": (sample.strata[0].model_copy(update={"documents": 999}), *sample.strata[1:])},
    ):
        with pytest.raises(ConfigError, match="somebody chose"):
            adopt(str(run_), sample.model_copy(update=update))
    assert not (run_ / "audit").exists()

    path = adopt(str(run_), sample)

    assert path == f"{run_}/{SAMPLES}/{sample.name}/sample.json"
    assert adopt(str(run_), sample) is None
    assert [one.content["sample_sha256"] for one in entries(str(run_))] == [sample.sha256]
    assert list(check(str(run_), Look(str(run_), figures=0))) == []


def test_a_sample_lies_in_the_folder_of_samples_whatever_it_calls_itself(tmp_path: Path) -> None:
    sample = make(str(folder_of(tmp_path / "run", 60, 2)), Asked(5), str(tmp_path / "out")).sample

    for name in ("../../corpus", "a/b", "", ".", "A b", "n" * 200):
        with pytest.raises(DataError, match="name: String should"):
            sample_of(sample.to_json().replace(f'"{sample.name}"'.encode(), f'"{name}"'.encode()), "sample.json")


def test_conditions_that_would_be_masked_draw_the_same_again(tmp_path: Path) -> None:
    run_ = str(folder_of(tmp_path / "run", 60, 2))
    condition = f"url!=https://h1.cn/?m=lin@site.cn&{'x' * 300}"

    made = make(run_, Asked(5, where=(condition,)))

    assert made.sample.where == (condition,)
    assert list(check(run_, Look(run_, figures=0))) == []


def test_a_sample_that_was_chosen_is_found_under_later_overlays_too(copied: Path, tmp_path: Path) -> None:
    folder = str(copied)
    sample = make(folder, Asked(20)).sample
    whole = make(folder, Asked(33), str(tmp_path / "whole")).sample
    (tmp_path / "ids").write_text(sample.items[3].id)
    remove(folder, ids=str(tmp_path / "ids"), apply=True)

    assert chosen(folder, sample) is None
    items = [item for place, item in enumerate(sample.items) if place != 5]
    other = next(item for item in whole.items if item.id not in {one.id for one in sample.items})
    other = other.model_copy(update={"source": sample.items[5].source})
    assert "1 of its 20 documents is not what" in str(
        chosen(folder, sample.model_copy(update={"items": (*items, other)}))
    )
    assert chosen(folder, whole) is None


def test_who_draws_by_several_seeds_is_seen_to_have_had_a_choice(tmp_path: Path) -> None:
    run_ = str(folder_of(tmp_path / "run", 60, 2))
    for seed in (0, 7):
        make(run_, Asked(5, seed=seed))

    (said,) = check(run_, Look(run_, figures=0))

    assert isinstance(said, Note)
    assert "2 samples of the same documents were drawn, by seeds 0, 7; none was judged yet" in said


def test_another_sample_and_what_is_none_are_not_written_over(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", 60, 2)
    make(str(folder), Asked(40), str(tmp_path / "out"))
    with pytest.raises(ConfigError, match=r"is another sample \(seed differ"):
        make(str(folder), Asked(40, seed=1), str(tmp_path / "out"))
    (tmp_path / "own").mkdir()
    (tmp_path / "own/sheet.csv").write_text("mine")
    with pytest.raises(ConfigError, match=r"sheet\.csv: is in the way"):
        make(str(folder), Asked(40), str(tmp_path / "own"))

    assert (tmp_path / "own/sheet.csv").read_text() == "mine"


def test_odd_wishes_are_refused_with_a_sentence(made: Path, finished: Path, tmp_path: Path) -> None:
    for folder, words, said in (
        (made, ["--n", "4000"], "400 documents can be had by a reader, and 4,000 are asked for: give --n 400"),
        (made, ["--n", "3", "--where", "source=lau"], "did you mean 'law'"),
        (made, ["--n", "3", "--where", "sourze=law"], "did you mean 'source'"),
        (tmp_path, [], "holds no reports/report.json"),
    ):
        with pytest.raises((ConfigError, DataError), match=re.escape(said)):
            run(str(folder), *words)
    for out in (made, made / "documents" / "sheets"):
        with pytest.raises(ConfigError, match="to which nothing is written then"):
            make(str(made), Asked(1), str(out))


def test_a_corpus_without_texts_cannot_be_judged(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.binary(16)), ("source", pa.string())])
    table = pa.Table.from_pylist([{"id": key(n), "source": "web"} for n in range(9)], schema)
    publish(tmp_path / "run", {"documents/part-00000-of-00001.parquet": table}, [])

    with pytest.raises(ConfigError, match="no text of the 4 documents drawn can be read"):
        make(str(tmp_path / "run"), Asked(4))


def test_the_command_says_what_was_drawn_and_where_it_lies(made: Path, tmp_path: Path) -> None:
    said = run(str(made), "--n", "200", "--by", "source", "--out", str(tmp_path / "out"))

    assert said.exit_code == 0
    assert "200 of 400 documents that a reader can get" in said.stdout
    assert "of each of 3 sources its share, but 94 at the least" in said.stdout
    assert not (made / "audit").exists()


# What is shown


def test_both_ends_of_a_long_text_are_shown_with_details_masked_over_the_cut() -> None:
    text = "甲" * 65 + "13800138000" + "乙" * 500 + "mail lin@site.cn" + "丙" * 15

    head, tail, left_out, partial = _cut(text, 100)

    assert len(head) + len(tail) <= 100
    assert left_out > 400
    assert not partial
    assert head.startswith("甲" * 65)
    assert tail.endswith("丙" * 15)
    assert not re.search(r"\d|lin@|site", head + tail)
    assert _cut("短文", 100) == ("短文", "", 0, False)


def test_pieces_that_several_samples_hold_are_shown_once() -> None:
    spans = [("train", 0, 5, 10, 0, 50), ("train", 1, 7, 0, 40, 90), ("train", 0, 6, 10, 0, 50)]

    assert _apart(spans) == [("train", 0, 5, 10, 0, 50), ("train", 1, 7, 10, 50, 90)]


def test_a_document_that_samples_hold_a_part_of_is_said_to_lack_some() -> None:
    whole = [("train", 0, 5, 10, 0, 50), ("train", 1, 7, 0, 50, 90)]

    assert _ends(whole, 100, 90) == (whole, [], 0, False)
    assert _ends(whole[1:], 100, 90)[3]
    assert _ends(whole[:1], 100, 90)[3]
    assert _ends([whole[0], ("train", 1, 7, 0, 60, 90)], 100, 90)[3]


def test_of_a_long_document_the_tokens_of_both_ends_are_read() -> None:
    spans = [("train", 0, 1, 0, 0, 9_000), ("train", 0, 2, 0, 9_000, 9_500), ("train", 0, 3, 5, 9_500, 20_000)]
    budget = 4 * (100 + 2 * 256)  # as many tokens as 100 characters and what is masked besides may have

    head, tail, between, _ = _ends(spans, 100, 20_000)

    assert head == [("train", 0, 1, 0, 0, budget)]
    assert tail == [("train", 0, 3, 5 + 10_500 - budget, 20_000 - budget, 20_000)]
    assert between == 20_000 - 2 * budget


# Sheets


def sample_with(*texts: str) -> tuple[Sample, list[Shown]]:
    """Returns a sample of documents that say these texts wherever something of theirs may stand."""
    items = [
        Item(
            id=key(number).hex(),
            source=text,
            language=text,
            script=text,
            format=text,
            host=text,
            url=text,
            split=text,
            characters=len(text),
        )
        for number, text in enumerate(texts)
    ]
    documents = [
        Shown({}, text, text, 3, True, ((text, "repair", text, 2.0),), (("title", text), ("licence", text)))
        for text in texts
    ]
    strata = tuple(Stratum(source=text, documents=1, drawn=1) for text in texts)
    facts: dict[str, Any] = {"corpus": {}, "seed": 0, "asked": len(texts), "by": None, "where": (), "text": 2000}
    return Sample(name="hostile", **facts, documents=len(texts), strata=strata, items=tuple(items)), documents


class Parsed(HTMLParser):
    """A page as a browser takes it apart: its elements, and what scripts and styles hold."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.held: dict[str, str] = {}
        self.attributes: list[tuple[str, str | None]] = []
        self._in = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        if tag in ("script", "style"):
            self._in = dict(attrs).get("id") or tag

    def handle_data(self, data: str) -> None:
        if self._in:
            self.held[self._in] = self.held.get(self._in, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._in = ""


def test_hostile_strings_are_data_and_nothing_else() -> None:
    sample, documents = sample_with(*HOSTILE)
    plain = Parsed(render(*sample_with(*["plain"] * len(HOSTILE))))

    page = Parsed(render(sample, documents))

    assert page.tags == plain.tags
    assert {name for name, _ in page.attributes} == {name for name, _ in plain.attributes}
    assert not any(name.startswith("on") or name in ("style", "src", "href") for name, _ in page.attributes)
    assert json.loads(page.held["sample"]) == sample.model_dump(mode="json")
    assert [one[0] for one in json.loads(page.held["documents"])] == list(HOSTILE)


def test_the_sheet_holds_the_sample_and_allows_its_own_script_alone() -> None:
    sample, documents = sample_with("一", "二")
    content = render(sample, documents)

    page = Parsed(content)

    policy = next(value for name, value in page.attributes if name == "content" and value and "default-src" in value)
    named = {
        f"sha256-{base64.b64encode(hashlib.sha256(page.held[one].encode()).digest()).decode()}"
        for one in ("script", "style")
    }
    assert policy.startswith("default-src 'none'; ")
    assert named == set(re.findall(r"'(sha256-[^']+)'", policy))
    assert f'content="{sample.sha256}"'.encode() in content
    assert json.loads(page.held["sample"]) == json.loads(sample.to_json())
    assert "innerHTML" not in page.held["script"]
    assert "insertAdjacentHTML" not in page.held["script"]
    assert "http" not in page.held["script"] + page.held["style"]
    assert render(sample, documents) == content


def test_no_cell_of_a_table_is_a_formula_and_all_are_read_back() -> None:
    texts = ["=HYPERLINK(1)", "+1", "-1", "@a", "\t=1", "\r=1", "'quoted'", 'a "b", c\nd', "＝1", "一", *HOSTILE]
    sample, documents = sample_with(*texts)
    content = csv_of(sample, documents)

    sheet = read_sheet(content, lambda line: True)

    assert content.startswith(b"\xef\xbb\xbf")
    rows = [dict(zip(sheet.heading, line.all, strict=True)) for line in sheet.lines]
    assert all(cell[:1] not in "=+-@\t\r＝＋－＠" or not cell for row in rows for cell in row.values())
    assert [undefused(row["source"]) for row in rows] == texts
    assert [row["number"] for row in rows] == [str(number + 1) for number in range(len(texts))]
    assert {row["sample_sha256"] for row in rows} == {sample.sha256}


@given(st.text(max_size=8))
def test_marks_of_cells_come_off_again(text: str) -> None:
    assert undefused(defused(text)) == text


def test_colours_of_words_have_enough_contrast() -> None:
    style = (Path(__file__).resolve().parents[4] / "stages/audit/review/sheet.css").read_text()
    pairs = {name: (a, b) for name, a, b in re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\)", style)}

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def contrast(a: str, b: str) -> float:
        low, high = sorted((luminance(a), luminance(b)))
        return (high + 0.05) / (low + 0.05)

    for theme in (0, 1):  # WCAG 2.2, 1.4.3: 4.5 of words, 1.4.11: 3 of borders of what is pressed
        colour = {name: pair[theme] for name, pair in pairs.items()}
        for words in ("ink", "muted", "accent", "pass", "fail", "unsure"):
            assert contrast(colour[words], colour["ground"]) >= 4.5, (words, theme)
        for ground in ("accent", "pass", "fail", "unsure"):
            assert contrast(colour["on"], colour[ground]) >= 4.5, (ground, theme)
        assert contrast(colour["muted"], colour["raised"]) >= 4.5
        assert contrast(colour["edge"], colour["ground"]) >= 3
