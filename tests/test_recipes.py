"""`configs/recipes/`: each loads, plans where its sources are, and comes to the published tokens and epochs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
import zstandard

from datapipe.config import load_config
from datapipe.job import plan
from stages.mix.command import mix_of
from stages.mix.outlook import outlook
from stages.mix.sizes import plan_sizes, read_sizes
from stages.mix.summary import Facts

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "configs" / "recipes"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
MIXED = [name for name in NAMES if name != "gpt3-crawl"]  # which makes a source, and no mix
SIZED_BY_EPOCHS = ["llama1", "chinchilla"]

# Epochs that follow from the printed weights and sizes (GPT-3: over 1.01, which the weights sum to), or are printed.
# GPT-3: [C] of Brown et al. 2020, table 2.2. GLaM: [C] of Du et al. 2021, table 3. LLaMA: Touvron et al. 2023, table 1.
# Chinchilla: Hoffmann et al. 2022, table A1. PaLM: one pass of sizes that are made so.
EPOCHS = {
    "gpt3": {
        "common_crawl": 0.439 / 1.01,
        "webtext2": 3.474 / 1.01,
        "books1": 2.0 / 1.01,
        "books2": 0.4364 / 1.01,
        "wikipedia": 3.0 / 1.01,
    },
    "glam": {"web": 4.70, "wikipedia": 32.0, "conversations": 2.57, "forums": 0.13, "books": 0.82, "news": 0.05},
    "llama1": {
        "common_crawl": 1.10,
        "c4": 1.06,
        "github": 0.64,
        "wikipedia": 2.45,
        "books": 2.23,
        "arxiv": 1.06,
        "stackexchange": 1.03,
    },
    "chinchilla": {"massive_web": 1.24, "books": 0.75, "c4": 0.77, "news": 0.21, "github": 0.13, "wikipedia": 3.40},
    "palm": dict.fromkeys(("conversations", "web", "books", "github", "wikipedia", "news"), 1.0),
}
TOKENS = {"gpt3": 300e9, "palm": 780e9, "glam": 1.6e12, "llama1": 1.4e12, "chinchilla": 1.4e12}
GIB = 2**30


def planned(name: str) -> Facts:
    """Returns the plan of a recipe at its sizes, by the code that plans a run."""
    mix = mix_of(str(FOLDER / f"{name}.yaml"), [])
    planning = mix.planning(())
    return outlook(mix, planning, plan_sizes(str(FOLDER / "sizes" / f"{name}.yaml"), planning))


def by_group(facts: Facts) -> dict[str, Facts]:
    return {group["group"]: group for group in facts["groups"]}


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_strictly_what_a_config_is(name: str) -> None:
    loaded = load_config(str(FOLDER / f"{name}.yaml"))

    assert loaded.name == name
    comments = [line for line in (FOLDER / f"{name}.yaml").read_text().splitlines() if line.startswith("#")]
    assert 5 <= len(comments) <= 30


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_plans_where_its_sources_are(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (FOLDER / f"{name}.yaml").read_text()
    for pattern in re.findall(r'path: "\$\{\w+:-([^"]*)"', text):
        place = tmp_path / pattern.replace("}", "").replace("**", "a").replace("*", "a")
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.name.endswith(".warc.gz"):
            shutil.copy(ROOT / "tests/data/sample.warc.gz", place)
        elif place.name.endswith(".zst"):
            place.write_bytes(zstandard.compress((ROOT / "tests/data/notes.jsonl").read_bytes()))
        else:
            shutil.copy(ROOT / "tests/data/questions.jsonl", place)
    monkeypatch.chdir(tmp_path)
    for variable in re.findall(r"\$\{(\w+):-", text):
        monkeypatch.delenv(variable, raising=False)

    assert plan(str(FOLDER / f"{name}.yaml"), work=tmp_path / "work").forecast()


@pytest.mark.parametrize("name", MIXED)
def test_sizes_are_of_the_sources_and_the_plan_says_where_shares_come_from(name: str) -> None:
    steps = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())["steps"]
    sources = next(step["ingest"]["sources"] for step in steps if "ingest" in step)

    assert set(read_sizes(str(FOLDER / "sizes" / f"{name}.yaml"))) == set(sources)
    assert planned(name)["reference"]


@pytest.mark.parametrize("name", TOKENS)
def test_a_plan_comes_to_the_published_tokens_within_a_sample(name: str) -> None:
    facts = planned(name)

    assert abs(facts["total"]["token_quota"] - TOKENS[name]) <= facts["packing"]["seq_len"]


@pytest.mark.parametrize("name", EPOCHS)
def test_a_plan_comes_to_the_epochs_that_follow(name: str) -> None:
    """Within the rounding of what is printed: half of the last digit, and that of sizes in tenths of a billion."""
    found = {group: facts["epochs"] for group, facts in by_group(planned(name)).items()}

    assert found == pytest.approx(EPOCHS[name], abs=0.0051)


@pytest.mark.parametrize("name", SIZED_BY_EPOCHS)
def test_sizes_that_are_not_published_follow_from_weights_and_epochs(name: str) -> None:
    mix = mix_of(str(FOLDER / f"{name}.yaml"), [])
    assert isinstance(mix.weights, dict)
    assert sum(mix.weights.values()) == pytest.approx(1.0)
    sizes = read_sizes(str(FOLDER / "sizes" / f"{name}.yaml"))

    for group, size in sizes.items():
        follows = mix.weights[group] * TOKENS[name] / EPOCHS[name][group]
        assert size["tokens"] == pytest.approx(follows, abs=0.051e9), group


def test_gpt3s_printed_epochs_do_not_follow_from_its_weights() -> None:
    printed = {"common_crawl": 0.44, "webtext2": 2.9, "books1": 1.9, "books2": 0.43, "wikipedia": 3.4}
    found = {group: facts["epochs"] for group, facts in by_group(planned("gpt3")).items()}

    off = {name for name, epochs in printed.items() if abs(found[name] * 1.01 - epochs) > 0.05 * epochs}
    assert off == {"webtext2", "wikipedia", "books1"}
    weights = mix_of(str(FOLDER / "gpt3.yaml"), []).weights
    assert isinstance(weights, dict)
    assert sum(weights.values()) == pytest.approx(1.01)


def test_chinchillas_sizes_are_near_those_that_others_print() -> None:
    """MassiveWeb 506 B and books 560 B tokens, by secondary texts on MassiveText [S]."""
    sizes = read_sizes(str(FOLDER / "sizes" / "chinchilla.yaml"))

    assert sizes["massive_web"]["tokens"] == pytest.approx(506e9, rel=0.005)
    assert sizes["books"]["tokens"] == pytest.approx(560e9, rel=0.005)


def test_the_pile_is_1254_gib_of_825_with_its_published_shares() -> None:
    facts = planned("pile")
    published = {"pile_cc": 18.11, "pubmed_central": 14.40, "books3": 12.07, "openwebtext2": 10.01, "arxiv": 8.96}
    published |= {"github": 7.59, "freelaw": 6.12, "stackexchange": 5.13, "uspto": 3.65, "pubmed_abstracts": 3.07}
    published |= {"gutenberg": 2.17, "opensubtitles": 1.55, "wikipedia": 1.53, "dm_mathematics": 1.24}

    assert facts["total"]["tokens"] / GIB == pytest.approx(825.18, abs=0.005)
    assert facts["total"]["token_quota"] / GIB == pytest.approx(1254.20, abs=0.01)
    shares = {group: 100 * held["share"] for group, held in by_group(facts).items()}
    assert {name: shares[name] for name in published} == pytest.approx(published, abs=0.0101)


def test_chinese_is_the_share_of_roots() -> None:
    found = by_group(planned("roots-zh"))["zh"]

    assert found["share"] == pytest.approx(0.162, abs=0.0005)
    assert found["epochs"] == pytest.approx(1.0, abs=0.002)


def test_ours_repeats_nothing_more_than_four_times_and_treats_both_languages_alike() -> None:
    facts = planned("zh-en-bilingual")
    groups = by_group(facts)

    assert not facts["warnings"]
    assert max(group["epochs"] for group in groups.values()) <= 4
    assert facts["total"]["token_quota"] == pytest.approx(140e9, abs=4096)
    stable, anneal = ({one["group"]: one["weight"] for one in phase["groups"]} for phase in facts["phases"])
    assert stable["zh_web"] == pytest.approx(stable["en_web"], abs=1e-6)
    for language in ("zh", "en"):
        own = sum(share for group, share in anneal.items() if group.startswith(f"{language}_"))
        assert own == pytest.approx(0.40, abs=1e-6)
