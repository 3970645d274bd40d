import json
from pathlib import Path

import pytest
import zstandard

from datapipe.errors import ConfigError
from stages.language import train_language
from stages.language.model import load
from stages.language.train import read_samples

TEXTS = {
    "eng": ["the river runs past the old mill", "there are three birds on the roof", "she went home in the evening"],
    "deu": ["der Fluss fließt an der alten Mühle vorbei", "auf dem Dach sitzen drei Vögel", "sie ging abends heim"],
    "und": ["jokin virtaa vanhan myllyn ohi", "katolla istuu kolme lintua", "hän meni illalla kotiin"],
}


def written(folder: Path, rows: list[dict[str, str]]) -> str:
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(folder)


def rows(**more: str) -> list[dict[str, str]]:
    made = [{"text": text, "language": name, **more} for name, texts in TEXTS.items() for text in texts * 12]
    return [{**row, "text": f"{row['text']} {number}"} for number, row in enumerate(made)]


def test_learns_languages_and_what_is_neither(tmp_path: Path) -> None:
    samples = rows() + rows(role="test", source="elsewhere")

    found = train_language(written(tmp_path, samples), str(tmp_path / "my.model"), bits=12)

    right = {one.language: one.right / one.tests for one in found if one.length == 200}
    assert right == {"deu": 1, "eng": 1, "und": 1}
    assert load((tmp_path / "my.model").read_bytes(), "my").labels == ("deu", "eng", "und_Latn")


def test_the_card_names_sources_and_accuracy(tmp_path: Path) -> None:
    samples = rows(source="here", licence="CC0") + rows(role="test", source="elsewhere", licence="MIT")

    train_language(written(tmp_path, samples), str(tmp_path / "my.model"), bits=12)

    card = (tmp_path / "my.md").read_text("utf-8")
    assert "from other sources than those it was trained on" in card
    assert "| eng | elsewhere | 1.000 (" in card
    assert "| here | CC0 | training | deu eng und |" in card


def test_without_texts_to_judge_by_a_tenth_is_set_aside_and_the_card_says_so(tmp_path: Path) -> None:
    train_language(written(tmp_path, rows()), str(tmp_path / "my.model"), bits=12)

    assert "from a tenth, set aside" in (tmp_path / "my.md").read_text("utf-8")


def test_equal_texts_give_equal_bytes(tmp_path: Path) -> None:
    folder = written(tmp_path, rows())

    train_language(folder, str(tmp_path / "one.model"), bits=12)
    train_language(folder, str(tmp_path / "two.model"), bits=12)

    assert (tmp_path / "one.model").read_bytes() == (tmp_path / "two.model").read_bytes()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"text": "x"}, "samples.jsonl:1: not a sample"),
        ({"text": "x", "language": "english"}, "samples.jsonl:1: language 'english' is no ISO 639-3 code"),
        ({"text": "x", "language": "eng", "role": "both"}, "samples.jsonl:1: role 'both'"),
        ({"text": "x", "language": "eng"}, "needs texts of two languages"),
    ],
)
def test_wrong_samples_are_refused_with_their_line(tmp_path: Path, row: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        train_language(written(tmp_path, [row]), str(tmp_path / "my.model"))


def test_values_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bits is 8 to 24"):
        train_language(written(tmp_path, rows()), str(tmp_path / "my.model"), bits=40)


def test_reads_all_frames_of_a_packed_file(tmp_path: Path) -> None:
    rows = [json.dumps({"text": f"text {number}", "language": "eng_Latn"}) + "\n" for number in range(4)]
    frames = [zstandard.compress("".join(part).encode()) for part in (rows[:3], rows[3:])]
    (tmp_path / "samples.jsonl.zst").write_bytes(b"".join(frames))

    read = list(read_samples(str(tmp_path / "samples.jsonl.zst")))

    assert [sample.text for sample in read] == [f"text {number}" for number in range(4)]
