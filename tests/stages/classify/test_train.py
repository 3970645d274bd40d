import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
import zstandard
from typer.testing import CliRunner

from datapipe.errors import ConfigError
from stages.classify import classifier, train_classifier, train_quality
from stages.classify.card import Judged
from stages.classify.measures import auc
from tests.stages.classify.texts import as_csv, as_jsonl, rows, texts


def sides(folder: Path) -> dict[str, list[str]]:
    good = as_jsonl(folder / "good.jsonl", [{"text": text} for text in texts("cooking")])
    bad = as_jsonl(folder / "bad.jsonl", [{"text": text} for text in texts("sailing")])
    return {"positive": [good], "negative": [bad]}


@dataclass(frozen=True)
class Trained:
    kind: str
    path: Path
    folder: Path
    judged: Judged


@pytest.fixture(scope="module", params=["fasttext", "hashed"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    settings = {"kind": request.param, "bits": 12, "characters": 500, "licence": "CC0"}
    judged = train_quality(str(folder / "m"), **sides(folder), **settings)
    return Trained(request.param, folder / "m", folder, judged)


def test_learns_good_and_bad(trained: Trained) -> None:
    judged = trained.judged

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


def test_the_file_beside_says_what_belongs_to_the_model(trained: Trained) -> None:
    told = json.loads(Path(f"{trained.path}.json").read_text("utf-8"))
    how = classifier(str(trained.path))

    assert told["model_sha256"] == hashlib.sha256(trained.path.read_bytes()).hexdigest()
    assert told["labels"] == ["bad", "good"]
    assert how.characters == 500
    assert {one.label for one in how.calibration} == {"bad", "good"}


def test_the_card_names_texts_settings_and_figures(trained: Trained) -> None:
    card = Path(f"{trained.path}.md").read_text("utf-8")
    figures = trained.judged.figures["good"]
    digest = hashlib.sha256((trained.folder / "good.jsonl").read_bytes()).hexdigest()

    assert f"- settings: kind {trained.kind}, characters 500," in card
    assert "- licence of the texts: CC0" in card
    assert f"| good.jsonl | `{digest[:16]}…` | good 200 |" in card
    assert f"| good | all | {figures.texts} | {figures.right} | {figures.precision:.3f} | " in card
    assert "A Pareto draw of alpha 9 keeps" in card
    assert str(trained.folder) not in card


def test_fasttext_holds_words_and_the_hashed_model_none_and_the_card_says_so(trained: Trained) -> None:
    content, card = trained.path.read_bytes(), Path(f"{trained.path}.md").read_text("utf-8")
    content = content if trained.kind == "fasttext" else zstandard.decompress(content)
    held = [word for word in ("onion", "butter", "洋") if word.encode() in content]

    assert held == (["onion", "butter", "洋"] if trained.kind == "fasttext" else [])
    assert ("it holds the words of its texts" in card) == (trained.kind == "fasttext")
    assert ("it holds no words and no text" in card) == (trained.kind == "hashed")


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
