import hashlib
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from datapipe.errors import ConfigError
from stages.classify import classifier, train_classifier, train_quality
from stages.classify.measures import auc
from tests.stages.classify.texts import as_csv, as_jsonl, rows, texts


def sides(folder: Path) -> dict[str, list[str]]:
    good = as_jsonl(folder / "good.jsonl", [{"text": text} for text in texts("cooking")])
    bad = as_jsonl(folder / "bad.jsonl", [{"text": text} for text in texts("sailing")])
    return {"positive": [good], "negative": [bad]}


@pytest.mark.parametrize("kind", ["fasttext", "hashed"])
def test_learns_good_and_bad(kind: str, tmp_path: Path) -> None:
    judged = train_quality(str(tmp_path / "m"), **sides(tmp_path), kind=kind, bits=12)

    assert set(judged.labels) == {"good", "bad"}
    assert judged.accuracy > 0.95
    assert judged.figures["good"].auc > 0.99
    assert judged.figures["good"].error < 0.15


@pytest.mark.parametrize("kind", ["fasttext", "hashed"])
def test_equal_texts_give_equal_files(kind: str, tmp_path: Path) -> None:
    given = rows()
    data, turned = as_jsonl(tmp_path / "a.jsonl", given), as_jsonl(tmp_path / "b.jsonl", given[::-1])

    train_classifier(str(tmp_path / "one"), [data], "label", kind=kind, bits=12)
    train_classifier(str(tmp_path / "two"), [turned], "label", kind=kind, bits=12)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_the_file_beside_says_what_belongs_to_the_model(tmp_path: Path) -> None:
    train_quality(str(tmp_path / "m"), **sides(tmp_path), kind="hashed", bits=12, characters=500)

    told = json.loads((tmp_path / "m.json").read_text("utf-8"))
    how = classifier(str(tmp_path / "m"))
    assert told["model_sha256"] == hashlib.sha256((tmp_path / "m").read_bytes()).hexdigest()
    assert told["labels"] == ["bad", "good"]
    assert how.characters == 500
    assert [one.label for one in how.calibration] == ["bad", "good"]


def test_the_card_names_texts_settings_and_figures(tmp_path: Path) -> None:
    judged = train_quality(str(tmp_path / "m"), **sides(tmp_path), kind="hashed", bits=12, licence="CC0")

    card = (tmp_path / "m.md").read_text("utf-8")
    figures = judged.figures["good"]
    digest = hashlib.sha256((tmp_path / "good.jsonl").read_bytes()).hexdigest()
    assert "it holds no words and no text" in card
    assert "- licence of the texts: CC0" in card
    assert f"| good.jsonl | `{digest[:16]}…` | good 200 |" in card
    assert f"| good | all | {figures.texts} | {figures.right} | {figures.precision:.3f} | " in card
    assert "A Pareto draw of alpha 9 keeps" in card
    assert str(tmp_path) not in card


def test_a_fasttext_card_says_that_the_model_holds_words(tmp_path: Path) -> None:
    train_quality(str(tmp_path / "m"), **sides(tmp_path), bits=12)

    assert "it holds the words of its texts" in (tmp_path / "m.md").read_text("utf-8")
    assert b"onion" in (tmp_path / "m").read_bytes()


def test_a_hashed_model_holds_no_word(tmp_path: Path) -> None:
    import zstandard

    train_quality(str(tmp_path / "m"), **sides(tmp_path), kind="hashed", bits=12)

    content = zstandard.decompress((tmp_path / "m").read_bytes())
    assert not [word for word in ("onion", "butter", "洋葱") if word.encode() in content]


def test_other_texts_judge_where_they_are_given(tmp_path: Path) -> None:
    given = rows()
    data, test = as_csv(tmp_path / "a.csv", given[:180] + given[220:]), as_csv(tmp_path / "b.csv", given[180:220])

    judged = train_classifier(str(tmp_path / "m"), [data], "label", test=[test], kind="hashed", bits=12)

    assert judged.figures["cooking"].texts == 40
    assert judged.figures["cooking"].auc == auc(judged.scores["cooking"], judged.truth["cooking"])


@pytest.mark.parametrize("command", [train_quality, train_classifier])
def test_the_commands_are_ones_of_typer(command: object, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)  # type: ignore[type-var]
    data = ["--data", as_jsonl(tmp_path / "a.jsonl", rows()), "--label", "label"]
    told = sides(tmp_path)
    if command is train_quality:
        data = ["--positive", *told["positive"], "--negative", *told["negative"]]

    done = CliRunner().invoke(app, [str(tmp_path / "m"), *data, "--kind", "hashed", "--bits", "12"])

    assert done.exit_code == 0, done.output
    assert {"m", "m.json", "m.md"} <= {file.name for file in tmp_path.iterdir()}


def test_texts_of_one_label_are_refused(tmp_path: Path) -> None:
    data = as_jsonl(tmp_path / "a.jsonl", [row for row in rows() if row["label"] == "cooking"])

    with pytest.raises(ConfigError, match="needs texts of two labels or more to learn from, all are 'cooking'"):
        train_classifier(str(tmp_path / "m"), [data], "label")


def test_too_few_texts_are_refused_with_how_many_are_wanted(tmp_path: Path) -> None:
    data = as_jsonl(tmp_path / "a.jsonl", rows(4))

    with pytest.raises(ConfigError, match=r"too few texts: none of '.*' is left to .* give 100 or more of each label"):
        train_classifier(str(tmp_path / "m"), [data], "label")


def test_fasttext_takes_no_blanks_in_labels(tmp_path: Path) -> None:
    data = as_jsonl(tmp_path / "a.jsonl", [{**row, "label": "of " + row["label"]} for row in rows()])

    with pytest.raises(ConfigError, match="label 'of cooking': fastText takes no blanks in labels"):
        train_classifier(str(tmp_path / "m"), [data], "label")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"kind": "bert"}, "--kind bert: is neither fasttext nor hashed"),
        ({"bits": 40}, "--bits 40: is not between 8 and 26"),
        ({"epochs": 0}, "--epochs 0: is not between 1 and 1000"),
        ({"rate": 0.0}, "--rate 0.0: is not above 0"),
        ({"characters": 10}, "--characters 10: is not between 100 and"),
    ],
)
def test_values_out_of_range_are_refused(settings: dict[str, object], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=sentence):
        train_quality(str(tmp_path / "m"), ["a.txt"], ["b.txt"], **settings)  # type: ignore[arg-type]
