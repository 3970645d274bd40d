import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapipe import ConfigError
from stages.audit import lexical, topics
from stages.audit.command import make
from stages.audit.counter import Facts
from stages.audit.look import TOPICS, look
from stages.audit.measures import divergence, ratio_of_sums, wilson
from stages.audit.model import Audit, Section
from tests.stages.audit.rows import frame

SHIPS = "harbour ship sailor anchor captain tide vessel cargo port crew".split()
OVENS = "oven flour butter sugar recipe dough bake kitchen taste cream".split()


def text_of(words: list[str], number: int) -> str:
    return " ".join(words[(number * 3 + step * (1 + number % 3)) % len(words)] for step in range(40))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty documents of ships and thirty of ovens, as `write` leaves them."""
    folder = tmp_path_factory.mktemp("written")
    (folder / "documents").mkdir()
    texts = [text_of(SHIPS if number < 30 else OVENS, number) for number in range(60)]
    pq.write_table(pa.table({"text": texts}), folder / "documents" / "part-00000-of-00001.parquet")
    return folder


def taken() -> pa.Table:
    rows = [
        {
            "index_file": 0,
            "index_row": number,
            "language": "eng_Latn" if number % 2 else "deu_Latn",
            "tokens": 50 if number < 30 else 200,
            "trained": 100 if number < 30 else 0,
        }
        for number in range(60)
    ]
    return frame([*rows, {"language": "eng_Latn", "tokens": 1, "trained": 1}])


def left() -> pa.Table:
    rows = [{"stage": "quality", "action": "drop", "note": text_of(OVENS, number)[:160]} for number in range(10)]
    more = [{"stage": "dedup", "action": "duplicate_of", "note": text_of(SHIPS, number)[:160]} for number in range(4)]
    other = [{"stage": "ingest", "action": "drop", "note": "text/plain"}, {"stage": "quality", "action": "drop"}]
    return frame([*rows, *more, *other])


@pytest.fixture(scope="module")
def seen(folder: Path) -> Mapping[str, pa.Table]:
    return look(taken(), left(), folder=str(folder), seed=0)


def facts_of(seen: Mapping[str, pa.Table]) -> Facts:
    """Facts of 610 documents that stayed, of which each tenth was drawn, and of 20 + 4 that left with a text."""
    cube = [("", None, 610), ("quality", "drop", 22), ("dedup", "duplicate_of", 4), ("dedup", "split", 9)]
    table = pa.Table.from_pylist(
        [dict(zip(("stage", "action", "documents"), row, strict=True)) for row in cube],
        pa.schema([("stage", pa.string()), ("action", pa.string()), ("documents", pa.int64())]),
    )
    stages = [{"stage": name} for name in ("ingest", "quality", "dedup")]
    return Facts({**seen, "cube": table}, {"stages": stages}, {}, "", 0)


def section(module: object, seen: Mapping[str, pa.Table]) -> Section:
    (made,) = module.sections(facts_of(seen))  # type: ignore[attr-defined]
    assert isinstance(made, Section)
    return made


def test_what_was_drawn_and_what_has_a_text_is_told(seen: Mapping[str, pa.Table]) -> None:
    (row,) = seen["looked"].to_pylist()

    told = {name: row[name] for name in ("drawn", "texts", "left", "left_texts", "unassigned", "frozen")}
    assert told == {"drawn": 61, "texts": 60, "left": 16, "left_texts": 14, "unassigned": 0, "frozen": None}
    assert 0 < row["score"] <= 1
    assert row["model_documents"] == 60


def test_topics_have_their_shares_in_three_weightings(seen: Mapping[str, pa.Table]) -> None:
    rows = [row for row in seen["topics"].to_pylist() if row["documents"]]

    assert seen["topics"].schema.equals(TOPICS)
    assert sum(row["documents"] for row in rows) == 60
    ships = [row for row in rows if set(row["label"].split()) <= set(SHIPS)]
    ovens = [row for row in rows if set(row["label"].split()) <= set(OVENS)]
    assert len(ships) + len(ovens) == len(rows)
    assert sum(row["documents"] for row in ships) == 30
    assert sum(row["tokens_share"] for row in ships) == pytest.approx(30 * 50 / (30 * 50 + 30 * 200))
    assert sum(row["trained_share"] for row in ships) == pytest.approx(1.0)
    for row in rows:
        share = wilson(row["documents"], 60)
        assert (row["documents_share"], row["documents_low"], row["documents_high"]) == share
        mine = np.zeros(60)
        mine[: row["documents"]] = 50 if row in ships else 200
        whole = np.sort(np.repeat([50, 200], [30, 30]))[:: 1 if row in ships else -1]
        assert row["tokens_low"] == pytest.approx(ratio_of_sums(mine, whole).low)
    counts: dict[int, int] = {}
    for row in seen["topic_cross"].to_pylist():
        counts[row["topic"]] = counts.get(row["topic"], 0) + row["documents"]
    assert counts == {row["topic"]: row["documents"] for row in rows}


def test_what_stayed_is_held_against_what_left_by_first_characters(seen: Mapping[str, pa.Table]) -> None:
    rows = seen["topic_shift"].to_pylist()
    ships = {row["topic"] for row in seen["topics"].to_pylist() if row["label"] and row["label"].split()[0] in SHIPS}

    sums: dict[tuple[str, bool], int] = {}
    for row in rows:
        key = row["stage"], row["topic"] in ships
        sums[key] = sums.get(key, 0) + row["documents"]
    assert sums == {("", True): 30, ("", False): 30, ("quality", False): 10, ("dedup", True): 4}

    made = section(topics, seen)
    figures = {figure.key: figure for figure in made.figures}
    tables = {table.key: table for table in made.tables}
    # 610 stayed, of whom 60 were drawn with a text: each stands for 610 / 60. Of the 22 that quality took, 10 were.
    kept = {(row["topic"]): row["documents"] * 610 / 60 for row in rows if row["stage"] == ""}
    came = dict(kept)
    for row in rows:
        if row["stage"]:
            came[row["topic"]] = (
                came.get(row["topic"], 0) + row["documents"] * {"quality": 2.2, "dedup": 1.0}[row["stage"]]
            )
    order = sorted(came)
    bits, _ = divergence([came[topic] for topic in order], [kept.get(topic, 0) for topic in order])
    assert figures["topics.shift"].value == pytest.approx(bits)
    assert figures["topics.shift"].of == 74
    survival = {str(cells[0]).split()[0]: cells for cells in tables["topics.survival"].rows}
    assert survival.keys() == {str(topic) for topic in came}
    for topic, amount in came.items():
        _, rate, low, high, *_ = survival[str(topic)]
        assert rate == pytest.approx(kept.get(topic, 0) / amount)
        assert low <= rate <= high
    assert [row[:3] for row in tables["topics.stages"].rows] == [("quality", 22, 10), ("dedup", 4, 4)]
    assert str(tables["topics.stages"].rows[0][4]).split()[1] in OVENS


def test_an_earlier_model_gives_the_same_texts_the_same_topics(folder: Path, seen: Mapping[str, pa.Table]) -> None:
    content = seen["topic_model"]["content"][0].as_py()

    again = look(taken(), left(), folder=str(folder), seed=5, topics=content)

    (row,) = again["looked"].to_pylist()
    assert row["frozen"] == hashlib.sha256(content).hexdigest()
    for name in ("topics", "topic_cross", "topic_shift", "lexical", "stretches", "topic_model"):
        assert again[name].equals(seen[name])
    figures = {figure.key: figure.value for figure in section(topics, again).figures}
    assert figures["topics.moved"] == 0
    assert "topics.moved" not in {figure.key for figure in section(topics, seen).figures}
    half = look(taken().slice(30), left(), folder=str(folder), seed=5, topics=content)
    moved = {figure.key: figure.value for figure in section(topics, half).figures}["topics.moved"]
    assert 0.1 < float(moved or 0) < 1


def test_what_is_no_model_is_an_error_that_says_what_to_give(folder: Path) -> None:
    with pytest.raises(ConfigError, match="--topics: is no topic model"):
        look(taken(), left(), folder=str(folder), seed=0, topics=b"{}")


def test_labels_of_a_model_are_as_hostile_as_any_text(folder: Path, seen: Mapping[str, pa.Table]) -> None:
    said = json.loads(seen["topic_model"]["content"][0].as_py())
    for topic in said["topics"]:
        topic["label"] = "call 13800138000 \u202e<script>" + "x" * 500

    again = look(taken(), left(), folder=str(folder), seed=0, topics=json.dumps(said).encode())

    for label in again["topics"]["label"].to_pylist():
        assert label is None or ("13800138000" not in label and "\u202e" not in label and len(label) <= 120)


def test_nothing_drawn_and_nothing_readable_make_no_section(tmp_path: Path) -> None:
    for drawn in (frame([]), frame([{"language": "eng_Latn"}])):
        seen = look(drawn, frame([]), folder=str(tmp_path), seed=0)

        assert list(topics.sections(facts_of(seen))) == []
        assert list(lexical.sections(facts_of(seen))) == []


def test_the_sections_of_a_finished_run_are_whole(facts: Facts) -> None:
    sections = [*topics.sections(facts), *lexical.sections(facts)]

    assert [one.key for one in sections] == ["topics", "lexical"]
    keys = [item.key for one in sections for item in (*one.figures, *one.tables)]
    assert len(keys) == len(set(keys))
    for table in (table for one in sections for table in one.tables):
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert table.commands is None or len(table.commands) == len(table.rows)
    assert {"topics.amount", "topics.effective.trained", "topics.topics", "lexical.texts"} <= set(keys)


@given(st.integers(1, 6), st.integers(1, 6))
def test_a_topic_nothing_left_of_survives_wholly_and_one_nothing_stayed_of_not(kept: int, gone: int) -> None:
    shift = topics._Shift.__new__(topics._Shift)
    shift.drawn = {"": np.array([kept, 0.0, kept]), "quality": np.array([0.0, gone, gone])}
    shift.weights, shift.stages = {"": 3.0, "quality": 2.0}, ["quality"]

    whole, none, some = (shift._rate(place) for place in range(3))

    assert (whole[0], whole[2]) == (1.0, 1.0)
    assert (none[0], none[1]) == (0.0, 0.0)
    assert 0 < whole[1] < 1
    assert 0 < none[2] < 1
    assert some[0] == pytest.approx(3 * kept / (3 * kept + 2 * gone))
    assert some[1] < some[0] < some[2]


def test_a_report_takes_the_topics_of_an_earlier_one_by_its_folder(finished: Path, told: Path, tmp_path: Path) -> None:
    audit = make(str(finished), str(tmp_path), topics=str(told), executor="local")

    earlier = Audit.model_validate(json.loads((told / "reports" / "report.json").read_text())["audit"])
    contents = [(folder / "reports" / "topics.json").read_bytes() for folder in (told, tmp_path)]
    assert contents[0] == contents[1]
    figures = [
        {figure.key: figure.value for one in made.sections for figure in one.figures} for made in (earlier, audit)
    ]
    assert "topics.moved" not in figures[0]
    assert figures[1].pop("topics.moved") == 0
    assert figures[0] == figures[1]
