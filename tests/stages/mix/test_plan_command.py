"""`datapipe mix plan`, as it is called: on sizes from papers, on a finished corpus, and with odd input."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
import yaml
from typer.testing import CliRunner

from datapipe import ConfigError, DataError, DatapipeError, PlanError
from stages.corpus.remove.command import remove
from stages.mix.command import app
from tests.stages.corpus.made import made
from tests.stages.mix.corpus import mixed, three_shards

BILLION = 10**9
GPT3: dict[str, Any] = {
    "weights": {"cc": 0.60, "webtext2": 0.22, "books1": 0.08, "books2": 0.08, "wikipedia": 0.03},
    "tokens": "300B",
}
GPT3_SIZES = {"cc": "410B", "webtext2": "19B", "books1": "12B", "books2": "55B", "wikipedia": "3B"}


def config(folder: Path, **mix: Any) -> str:
    """Writes a config whose sources are nowhere, and returns its path."""
    sources = {"web": {"path": "${SET_NOWHERE}/*.jsonl"}}
    steps = [
        {"ingest": {"sources": sources}},
        {"tokenize": {"tokenizer": {"train": {"vocab_size": 999}}}},
        {"mix": mix},
    ]
    (folder / "mix.yaml").write_text(yaml.safe_dump({"steps": steps}, sort_keys=False))
    return str(folder / "mix.yaml")


def sized(folder: Path, sizes: Any) -> str:
    (folder / "sizes.yaml").write_text(sizes if isinstance(sizes, str) else yaml.safe_dump(sizes))
    return str(folder / "sizes.yaml")


def said(*given: str | Path) -> str:
    """What the command prints; its failure as an exception."""
    result = CliRunner().invoke(app, ["plan", *map(str, given)])
    if result.exception and not isinstance(result.exception, SystemExit):
        result.exception.printed = result.stdout  # type: ignore[attr-defined]
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def planned(*given: str | Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(said(*given, "--json"))
    return facts


def test_gpt3_to_one_sample_of_300_billion_tokens(tmp_path: Path) -> None:
    # Brown et al. 2020, table 2.2; 300 B x weight / tokens over 1.01, as its weights sum to 101 %.
    facts = planned(config(tmp_path, **GPT3), "--sizes", sized(tmp_path, GPT3_SIZES))

    assert abs(facts["total"]["token_quota"] - 300 * BILLION) <= 2048
    epochs = {group["group"]: round(group["epochs"] * 1.01, 3) for group in facts["groups"]}
    assert epochs == {"cc": 0.439, "webtext2": 3.474, "books1": 2.0, "books2": 0.436, "wikipedia": 3.0}
    for group in facts["groups"]:
        ideal = 300 * BILLION * GPT3["weights"][group["group"]] / 1.01
        assert abs(group["token_quota"] - ideal) <= 2048
    assert sum(facts["times_seen"]["samples"].values()) == facts["total"]["samples"]
    assert facts["warnings"] == []


def test_parameters_make_the_budget(tmp_path: Path) -> None:
    where = config(tmp_path, weights=GPT3["weights"])

    text = said(where, "--sizes", sized(tmp_path, GPT3_SIZES), "--set", "mix.params=7e9")

    # Hoffmann et al. 2022: about 20 tokens a parameter.
    assert "7B parameters at 20 tokens a parameter: 140B tokens" in text
    more = ("--set", "mix.params=10B", "--set", "mix.tokens_per_parameter=1.5")
    facts = planned(where, "--sizes", sized(tmp_path, GPT3_SIZES), *more)
    assert facts["budget"] == {"tokens": 15 * BILLION, "params": 10 * BILLION, "tokens_per_parameter": 1.5}


def test_phases_go_on_where_the_one_before_stopped(tmp_path: Path) -> None:
    phases = [{"name": "stable", "ratio": 0.9}, {"name": "anneal", "ratio": 0.1, "weights": {"wiki": 1}, "default": 0}]
    where = config(tmp_path, tokens="10M", weights={"web": 3, "wiki": 1}, phases=phases)
    sizes = sized(tmp_path, {"web": "40M", "wiki": {"tokens": "2M", "documents": 900}})

    facts = planned(where, "--sizes", sizes)
    text = said(where, "--sizes", sizes)

    # 9 M: 6.75 M of web, 2.25 M of wiki; 1 M more of wiki: 3.25 M of 2 M are 1.625 epochs.
    assert [phase["samples"] for phase in facts["phases"]] == [4395, 488]
    epochs = {group["group"]: group["epochs"] for group in facts["groups"]}
    assert epochs == pytest.approx({"web": 6.75 / 40, "wiki": 1.625}, rel=1e-3)
    assert "phase 2 anneal, from position 4,395" in text


def test_what_cannot_be_had_is_shown_as_it_was_asked_for_and_explained(tmp_path: Path) -> None:
    where, sizes = config(tmp_path, **GPT3), sized(tmp_path, GPT3_SIZES)

    with pytest.raises(PlanError, match=r"more than max_epochs: 4.0 of webtext2 5.73, wikipedia 4.95 would") as error:
        said(where, "--sizes", sizes, "--set", "mix.tokens=500B")

    assert error.value.printed.startswith("as it was asked for, without a cap on epochs:")  # type: ignore[attr-defined]
    # 4 epochs of 19 B (9,277,344 samples) at 22 / 101; a sample's rounding is nearly five of the whole.
    most = int(re.findall(r"at most ([\d,]+) tokens are possible", str(error.value))[0].replace(",", ""))
    assert most == pytest.approx(4 * 9_277_344 * 101 / 22 * 2048, abs=5 * 2048)
    assert said(where, "--sizes", sizes, "--set", f"mix.tokens={most}")
    with pytest.raises(PlanError):
        said(where, "--sizes", sizes, "--set", f"mix.tokens={most + 2048}")


def test_warns_above_four_epochs_and_of_what_is_left_out(tmp_path: Path) -> None:
    where = config(tmp_path, weights={"wiki": 1, "web": 0}, tokens="10M", max_epochs=None)

    facts = planned(where, "--sizes", sized(tmp_path, {"wiki": "2M", "web": "9M"}))

    assert [warning.split(":")[0] for warning in facts["warnings"]] == [
        "more than 4 epochs of wiki 5.00",
        "nothing is taken of web",
    ]
    # Muennighoff et al. 2023: 2 M + 2 M x 15.387756 (1 - exp(-4 / 15.387756)) = 9.04 M, by hand.
    assert facts["total"]["effective_tokens"] == pytest.approx(9.04e6, rel=1e-3)


def test_by_document_the_documents_are_about_as_many_as_their_mean_length_says(tmp_path: Path) -> None:
    where = config(tmp_path, packing="document", epochs={"web": 0.5, "wiki": 2})
    sizes = sized(tmp_path, {"web": {"tokens": "10M", "documents": "10k"}, "wiki": {"tokens": "1M", "documents": 500}})

    facts = planned(where, "--sizes", sizes)

    assert {group["group"]: group["samples_seen"] for group in facts["groups"]} == {"web": 5000, "wiki": 1000}
    assert facts["total"]["token_quota"] == 7_000_000


def test_weights_of_documents_stand_in_the_names_of_groups(tmp_path: Path) -> None:
    where = config(tmp_path, document_weights="copies", tokens="2.2M", seq_len=100)

    facts = planned(where, "--sizes", sized(tmp_path, {"web": "1M", "web x6": "200k"}))

    # 1 M once and .2 M six times, 2.2 M in all.
    assert {group["group"]: group["epochs"] for group in facts["groups"]} == {"web x1": 1.0, "web x6": 6.0}


def test_another_mix_of_a_finished_corpus_is_what_a_run_of_it_makes(tmp_path: Path) -> None:
    folder = made(tmp_path / "run")
    fields: dict[str, Any] = {
        "by": "language",
        "weights": {"zho_*": 0.7},
        "default": 0.3,
        "tokens": "5k",
        "seq_len": 16,
    }

    facts = planned(config(tmp_path, **fields), "--from", folder)

    run = mixed(three_shards(), **fields)
    assert [(group["group"], group["samples_seen"], group["samples"]) for group in facts["groups"]] == [
        (group["group"], group["samples_seen"], group["samples"]) for group in run.manifest["mix"]["groups"]
    ]
    assert "documents seen (at their first token): " in said(config(tmp_path, **fields), "--from", folder / "corpus")


def test_by_document_the_tokens_seen_are_those_of_a_run_to_within_a_document(tmp_path: Path) -> None:
    """Documents differ in length: as many of the mean length are other tokens, and quotas are of tokens."""
    fields: dict[str, Any] = {"packing": "document", "weights": {"*": 1}, "tokens": "700"}

    facts = planned(config(tmp_path, **fields), "--from", made(tmp_path / "run"))

    run = mixed(three_shards(), **fields)
    longest = max(pc.max(table.column("tokens")).as_py() for table in three_shards())
    seen = [(group["tokens_seen"], group["token_quota"]) for group in run.manifest["mix"]["groups"]]
    assert [group["tokens_seen"] for group in facts["groups"]] == [quota for _, quota in seen]
    assert max(abs(tokens - quota) for tokens, quota in seen) <= longest
    assert facts["total"]["tokens_seen"] == 700


@pytest.mark.parametrize("packing", ["concat", "document"])
def test_documents_that_were_removed_are_not_counted(packing: str, tmp_path: Path) -> None:
    gone = {f"http://x/{number}" for number in range(0, 90, 4)}
    (tmp_path / "urls").write_text("\n".join(gone))
    remove(str(made(tmp_path / "run")), urls=str(tmp_path / "urls"), rebuilt=True, out=str(tmp_path / "new"))
    fields: dict[str, Any] = {"by": "language", "seq_len": 16, "packing": packing}

    facts = planned(config(tmp_path, **fields), "--from", tmp_path / "new")

    left = [table.filter([url not in gone for url in table.column("url").to_pylist()]) for table in three_shards()]
    run = mixed(left, **fields)
    assert [(group["group"], group["documents"], group["tokens"]) for group in facts["groups"]] == [
        (group["group"], group["documents"], group["tokens"]) for group in run.manifest["mix"]["groups"]
    ]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ("", "is a mapping of groups to tokens, such as 'web: 410B'"),
        ("[1, 2]", "is a mapping of groups to tokens"),
        ("{}", "is a mapping of groups to tokens"),
        ("!!set {web, books}", "is a mapping of groups to tokens"),
        ("web: {", "is neither YAML nor JSON: while parsing"),
        ("web: 1B\nweb: 2B", "a group stands twice"),
        ("web: many", "web: tokens: many is not a positive whole number"),
        ("web: 0", "web: tokens: 0 is not a positive whole number"),
        ("no: 5\nno: 6", "a group stands twice"),
        ("web: " + "1" * 5000, "cannot be read (Exceeds the limit"),
        ("web: " + "[" * 600 + "]" * 600, "is nested too deeply"),
        (
            "web: {tokens: 5, samples: 1e15}\nbooks: {tokens: 5, samples: 1e15}\nnews: {tokens: 5, samples: 1e15}",
            "are more tokens than",
        ),
        ("web: 2e15", "web: tokens: 2e15 is more than can be counted"),
        ("web: true", "web: tokens: True is not a number"),
        ("web:", "web: tokens: None is not a number"),
        ("web: {documents: 5}", "web: 'tokens' is missing"),
        ("web: {tokens: 5, tokn: 5}", "web: unknown key 'tokn'; known are: tokens, documents, samples"),
        ("web: {tokens: 5000, samples: 1}", "web: 1 samples of 2,048 hold no 5,000 tokens"),
    ],
)
def test_sizes_of_another_form_are_a_sentence(tmp_path: Path, sizes: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        said(config(tmp_path), "--sizes", sized(tmp_path, sizes))

    assert str(error.value).startswith(f"--sizes {tmp_path / 'sizes.yaml'}")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "mix plan: give --from DIR, the --out folder of a run"),
        (["--from", ".", "--sizes", "x"], "one of the two"),
        (["--from", "{folder}"], "holds no corpus: neither manifest.json nor corpus/manifest.json is there"),
        (["--sizes", "{folder}/none"], "cannot be read (No such file or directory)"),
        (["--sizes", "{folder}"], "cannot be read"),
        (["--sizes", "{sizes}", "--set", "mix.packing=document"], "a sample is a document, so how many are there?"),
        (["--sizes", "{sizes}", "--set", "mix.tokens=0"], "mix: tokens: 0 is not a positive whole number"),
        (["--sizes", "{sizes}", "--set", "mix.params=1B"], "tokens and params: each says how much is sampled"),
        (["--sizes", "{sizes}", "--set", "mix.weights={x: 1}"], "mix: weights name 'x', but column 'source' has only"),
        (["--sizes", "{sizes}", "--set", "mix.tokens=9"], "mix: tokens: 9 is less than half a sample of 2048"),
        (["--sizes", "{sizes}", "--set", "mix.unimax=2"], "weights and unimax: each says the shares"),
        (["--sizes", "{sizes}", "--set", "mix.wieghts=2"], "unknown key 'wieghts' (did you mean 'weights'?)"),
    ],
)
def test_a_call_that_makes_no_sense_is_a_sentence(tmp_path: Path, given: list[str], message: str) -> None:
    places = {"folder": str(tmp_path), "sizes": sized(tmp_path, {"web": "1B"})}
    where = config(tmp_path, weights={"web": 1}, tokens="1M")

    with pytest.raises(DatapipeError) as error:
        said(where, *(part.format(**places) if part[:1] == "{" else part for part in given))

    assert message in str(error.value)
    assert error.value.exit_status == 2


def test_groups_are_named_as_they_are_written(tmp_path: Path) -> None:
    """YAML 1.1 takes a language, a date and a version for a truth value, a day and a number."""
    sizes = sized(tmp_path, "no: 1M\n2024-01-01: 1M\n1_0: 1M\n~: 1M\n")

    facts = planned(config(tmp_path, seq_len=100), "--sizes", sizes)

    assert [group["group"] for group in facts["groups"]] == ["1_0", "2024-01-01", "no", "null"]


def test_a_name_that_would_act_on_a_terminal_is_written_out(tmp_path: Path) -> None:
    """Groups may be by host or title, which pages choose."""
    where, sizes = config(tmp_path, tokens="1M"), sized(tmp_path, '"a\\e[2J\\nb\\u2028": 2M\nc: 1M')

    assert "\\u001b[2J\\u000ab\\u2028" in said(where, "--sizes", sizes)
    assert planned(where, "--sizes", sizes)["groups"][0]["group"] == "a\x1b[2J\nb\u2028"


def test_a_plan_of_more_tokens_than_can_be_counted_is_a_sentence(tmp_path: Path) -> None:
    where = config(tmp_path, epochs={"web": 9000}, max_epochs=None)

    with pytest.raises(PlanError, match=r"9e\+18 tokens are more than can be counted: ask for fewer"):
        said(where, "--sizes", sized(tmp_path, "web: 1e15"))


def test_a_config_has_one_mix_to_plan(tmp_path: Path) -> None:
    (tmp_path / "none.yaml").write_text("steps: [language]")

    with pytest.raises(ConfigError, match=r"none.yaml: has 0 steps mix; one is planned"):
        said(tmp_path / "none.yaml", "--sizes", "x")


def test_the_index_of_a_corpus_that_lacks_a_column_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        PlanError, match=r"the index of the corpus has no column 'topic' of documents \(there are: source, "
    ):
        said(config(tmp_path, by="topic"), "--from", made(tmp_path / "run"))


@pytest.mark.parametrize("column", ["doc_id", "split", "times_seen"])
def test_what_the_index_says_of_a_corpus_is_no_column_of_documents(tmp_path: Path, column: str) -> None:
    with pytest.raises(PlanError, match=f"the index of the corpus has no column '{column}' of documents"):
        said(config(tmp_path, by=column), "--from", made(tmp_path / "run"))


def test_an_index_that_is_broken_or_gone_is_a_sentence(tmp_path: Path) -> None:
    folder, where = made(tmp_path / "run"), config(tmp_path)
    index = folder / "corpus/index/documents-00001-of-00003.parquet"

    index.write_bytes(index.read_bytes()[:100])
    with pytest.raises(DataError, match=r"its index of documents cannot be read .*`datapipe verify` names what is"):
        said(where, "--from", folder)
    index.unlink()
    with pytest.raises(DataError, match="its index of documents cannot be read"):
        said(where, "--from", folder)
    manifest = json.loads((folder / "corpus/manifest.json").read_text())
    (folder / "corpus/manifest.json").write_text(json.dumps({**manifest, "index": []}))
    with pytest.raises(DataError, match="its manifest names no index of documents"):
        said(where, "--from", folder)
    (folder / "corpus/manifest.json").write_text(json.dumps({"format_version": 1, "merkle_root": ""}))
    with pytest.raises(DataError, match="is no manifest of a corpus of mix"):
        said(where, "--from", folder)
