"""Configs: strict, and every mistake is a sentence that names its place and what to do."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import toy

import datapipe
from datapipe import ConfigError, DatapipeError, PlanError, storage
from datapipe.config import installed_stages, load_config, load_stage
from datapipe.graph import Graph

pytestmark = pytest.mark.usefixtures("installed")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one text file, which is where the command runs; returns the path of a config to be."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/0.txt").write_text("some words\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "toy.yaml"


def built(config: Path, text: str, settings: tuple[str, ...] = (), **environment: str) -> None:
    """Loads a config of this text and builds its datasets."""
    config.write_text(text)
    load_config(config.name, settings, environment).pipeline()


GOOD = "steps: [lines: {path: in/*.txt}, short: {limit: 2}, finish]"


def test_fields_names_and_defaults_come_from_the_file(config: Path) -> None:
    config.write_text(GOOD)

    made = load_config("toy.yaml")

    assert made.steps == (
        ("lines", toy.Lines(path="in/*.txt")),
        ("short", toy.Short(limit=2)),
        ("finish", toy.Finish()),
    )
    assert (made.name, made.on_bad_input) == ("toy", "quarantine")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("stpes: []", "toy.yaml: unknown key 'stpes' (did you mean 'steps'?)"),
        ("steps: []", "toy.yaml: 'steps' must be a list of stages; installed are: "),
        ("- lines", "toy.yaml: a config is a mapping with the key 'steps', this is a list"),
        ("steps: [", "toy.yaml: is not YAML: "),
        ("steps: [lines: {pth: a}]", "toy.yaml: steps[0] lines: unknown key 'pth' (did you mean 'path'?)"),
        ("steps: [lines: {whatever: a}]", "unknown key 'whatever'; known are: path, more, batch"),
        ("steps: [lines: {}]", "toy.yaml: steps[0] lines: 'path' is missing"),
        (
            "steps: [lnies: {}]",
            "toy.yaml: steps[0]: no stage is called 'lnies' (did you mean 'lines'?); installed are: ",
        ),
        ("steps: [lines: [1]]", "toy.yaml: steps[0] lines: its fields are a mapping, not a list"),
        ("steps: [{lines: {}, short: {}}]", "toy.yaml: steps[0]: a step is the name of a stage, or one name with"),
        (
            "steps: [lines: {path: in/*.txt}, short: {limit: few}]",
            "steps[1] short: limit: input should be a valid integer",
        ),
        ("steps: [lines: {path: in/*.txt}, short: {limit: true}]", "steps[1] short: limit: "),
        ("steps: [lines: {path: in/0.txt, path: in/*.txt}]", "toy.yaml: line 1: the key 'path' stands twice"),
        ("steps: [lines: {path: in/*.gz}]", "steps[0] lines: in/*.gz: no file matches (its folder in is there)"),
        ("steps: [lines: {path: on/*.txt}]", "steps[0] lines: on/*.txt: no file matches (its folder on is not there"),
        ("steps: [lines: {path: in/1.txt}]", "steps[0] lines: in/1.txt: no file matches (its folder in is there)"),
        (
            "steps: [lines: {path: '${PLACE}/*.txt'}]",
            "toy.yaml: the variable PLACE of '${PLACE}' is not set; set it, or",
        ),
        ("on_bad_input: skip\nsteps: [lines: {path: in/*.txt}]", "on_bad_input: is quarantine or fail, not 'skip'"),
        ("allow_set_aside: true\nsteps: [lines: {path: in/*.txt}]", "allow_set_aside: is a number of files"),
        ("name:\nsteps: [lines: {path: in/*.txt}]", "name: is a text, not None"),
        ("name: [a]\nsteps: [lines: {path: in/*.txt}]", "name: is a text, not ['a']"),
        (
            "stores: [s3]\n" + GOOD,
            "toy.yaml: stores: is a mapping from the beginning of a URL to options, not a list",
        ),
        (
            "stores: {bucket: {}}\n" + GOOD,
            "toy.yaml: stores: bucket://: options are for s3:// alone",
        ),
        ("stores: {'s3://b': yes}\n" + GOOD, "stores: s3://b: its options are a mapping, not true or false"),
        (
            "stores: {'s3://b': {regoin: x}}\n" + GOOD,
            "toy.yaml: stores: s3://b: unknown option 'regoin'; there are ",
        ),
        (
            "stores: {'s3://b': {anonymous: 1}}\n" + GOOD,
            "stores: s3://b: anonymous is to be true or false",
        ),
        ("stores: {'s3://b': {endpoint: 'host:9'}}\n" + GOOD, "stores: s3://b: the endpoint is to be http://host"),
        (
            "stores: {'s3://b': {secret_access_key: abc}}\n" + GOOD,
            "toy.yaml: stores.s3://b.secret_access_key: a config holds no secrets; give the credentials of a store by",
        ),
        (
            "steps: [lines: {path: in/*.txt, api_key: abc}]",
            "toy.yaml: steps.0.lines.api_key: a config holds no secrets",
        ),
        ("steps: [short]", "steps[0] short: comes first, but needs the documents of a step before it"),
        ("steps: [dedup]", "steps[0] dedup: comes first, but needs the documents of a step before it"),
        (
            "steps: [lines: {path: in/*.txt}, lines: {path: in/*.txt}]",
            "toy.yaml: steps[1] lines: leaves what the steps before it made unused",
        ),
    ],
)
def test_every_mistake_is_a_sentence(text: str, sentence: str, config: Path) -> None:
    with pytest.raises((ConfigError, PlanError)) as failure:
        built(config, text)

    assert sentence in str(failure.value)
    assert str(failure.value).startswith("toy.yaml: ")
    assert failure.value.exit_status == 2


def test_a_column_that_no_step_makes_is_named_with_its_place(config: Path) -> None:
    with pytest.raises(
        PlanError, match=r"^toy\.yaml: steps\[2\] short: needs column 'text', which no earlier step makes"
    ):
        built(config, "steps: [lines: {path: in/*.txt}, spread, short]")


def test_a_config_that_is_not_there_is_a_sentence(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"^toy\.yaml: cannot be read as a config \(.*No such file"):
        load_config("toy.yaml")


def test_variables_come_from_the_environment_or_their_default(config: Path) -> None:
    built(config, "steps: [lines: {path: '${PLACE}/*.${ENDING:-txt}'}]", PLACE="in")


def test_a_variable_whose_name_is_that_of_a_secret_is_refused_unsaid(config: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^toy\.yaml: \$\{HF_TOKEN\} is a secret, .*or rename the variable"
    ) as failure:
        built(config, "name: 'a ${HF_TOKEN}'\nsteps: [lines: {path: in/*.txt}]", HF_TOKEN="planted")

    assert "planted" not in str(failure.value)


def test_how_stores_are_reached_changes_no_fingerprint(config: Path) -> None:
    config.write_text(GOOD)
    plain = load_config("toy.yaml").pipeline()
    config.write_text("stores: {'s3://b': {anonymous: true, region: r, endpoint: 'http://h:1'}}\n" + GOOD)

    stored = load_config("toy.yaml").pipeline()

    assert stored.stores == {"s3://b": {"anonymous": True, "region": "r", "endpoint": "http://h:1"}}
    assert Graph(stored, "0").fingerprint(stored.result) == Graph(plain, "0").fingerprint(plain.result)


@pytest.fixture
def on_a_disk() -> Iterator[None]:
    """Lets relative paths be again, after the test."""
    yield
    storage.absolute_only(False)


@pytest.mark.usefixtures("on_a_disk")
@pytest.mark.parametrize("address", ["127.0.0.1:1", "auto"])
@pytest.mark.parametrize("by_environment", [True, False])
@pytest.mark.parametrize(
    ("out", "work", "sentence"),
    [
        ("out", None, "--out out: is a relative path, and on a cluster every process starts in another folder"),
        ("/tmp/out", "work", "--work work: is a relative path"),
        ("/tmp/out", None, r"steps\[0\] lines: in/\*.txt: is a relative path"),
    ],
)
def test_on_a_cluster_relative_paths_are_refused_before_it_is_looked_for(
    address: str,
    by_environment: bool,
    out: str,
    work: str | None,
    sentence: str,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config.write_text(GOOD)
    monkeypatch.setenv("RAY_ADDRESS", address if by_environment else "")

    with pytest.raises(ConfigError, match=sentence):
        datapipe.run("toy.yaml", out=out, work=work, address=None if by_environment else address)


def test_an_output_folder_with_credentials_in_it_is_refused(config: Path) -> None:
    config.write_text(GOOD)

    with pytest.raises(ConfigError, match="--out: holds credentials; give them by the environment") as failure:
        datapipe.run("toy.yaml", out="s3://me:planted@bucket/out", executor="local")

    assert "planted" not in str(failure.value)


@pytest.mark.parametrize(
    ("setting", "limit"),
    [("short.limit=7", 7), ("steps.1.short.limit=7", 7)],
)
def test_set_changes_a_field(setting: str, limit: int, config: Path) -> None:
    config.write_text(GOOD)

    made = load_config("toy.yaml", (setting,), {})

    assert made.steps[1] == ("short", toy.Short(limit=limit))


def test_set_reaches_keys_of_the_config_and_steps_without_fields(config: Path) -> None:
    config.write_text(GOOD)

    made = load_config("toy.yaml", ("on_bad_input=fail", "name=other", "finish.rows_per_shard=3"))

    assert (made.on_bad_input, made.name, made.steps[2][1]) == ("fail", "other", toy.Finish(rows_per_shard=3))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("short.limit", "--set short.limit: is not of the form dotted.key=value"),
        ("=3", "--set =3: is not of the form dotted.key=value"),
        ("shrot.limit=3", "--set shrot.limit=3: toy.yaml has neither a key nor a step called 'shrot'"),
        ("short.limt=3", "toy.yaml: steps[1] short: unknown key 'limt' (did you mean 'limit'?)"),
        ("steps.9.short.limit=3", "--set steps.9.short.limit=3: '9' is not a number below 3"),
        ("steps.one.short=3", "--set steps.one.short=3: 'one' is not a number below 3"),
        ("short.limit.more=3", "--set short.limit.more=3: 'short.limit.more' is not a place for a value"),
        ("short.limit=[", "--set short.limit=[: the value is not YAML"),
        ("short=3", "--set short=3: 'short' is not a place for a value"),
    ],
)
def test_a_wrong_set_is_a_sentence(setting: str, sentence: str, config: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        built(config, GOOD, (setting,))


def test_a_mapping_is_a_config_too_and_stays_as_it_is() -> None:
    held = {"name": "held", "steps": [{"short": {"limit": 2}}]}

    made = load_config(held, ("short.limit=3",))

    assert made.steps[0][1] == toy.Short(limit=3)
    assert held == {"name": "held", "steps": [{"short": {"limit": 2}}]}


def test_a_mapping_that_yaml_cannot_hold_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="config: holds what YAML cannot"):
        load_config({"steps": [{"lines": {"path": Path("in")}}]})


def test_a_stage_that_cannot_be_loaded_harms_only_who_names_it(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.install(tmp_path / "broken", "broken", {"broken": "no_such_module:Stage", "number": "math:pi"})
    monkeypatch.syspath_prepend(str(tmp_path / "broken"))

    built(config, GOOD)

    for name, sentence in (
        ("broken", "cannot be loaded: No module named"),
        ("number", "is not a subclass of datapipe.Stage"),
    ):
        with pytest.raises(ConfigError, match=rf"stage '{name}' \(.*\) {sentence}"):
            built(config, f"steps: [lines: {{path: in/*.txt}}, {name}]")


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5])
def test_a_sample_is_a_share(share: float, config: Path) -> None:
    config.write_text(GOOD)

    with pytest.raises(ConfigError, match="is a share of the documents, above 0 and at most 1"):
        load_config("toy.yaml").pipeline(sample=share)


def test_a_stage_that_stands_twice_has_two_names(config: Path) -> None:
    config.write_text("steps: [lines: {path: in/*.txt}, short: {limit: 1}, short: {limit: 2}, short: {limit: 3}]")

    names = [name for name, _, _ in load_config("toy.yaml").pipeline().stages]

    assert names == ["lines", "short", "short-2", "short-3"]


def test_every_installed_stage_is_found() -> None:
    found = installed_stages()

    assert load_stage(found["short"]) is toy.Short
    assert {"ingest", "language", "quality", "dedup", "tokenize", "mix"} <= found.keys()


def test_a_config_cut_off_anywhere_raises_errors_of_ours_alone(config: Path) -> None:
    broken = [GOOD[:cut] for cut in range(0, len(GOOD), 3)]

    for text in broken:
        config.write_text(text)
        with contextlib.suppress(DatapipeError):
            load_config("toy.yaml").pipeline()


def test_refuses_two_stages_of_one_name(
    tmp_path: Path, installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.install(tmp_path / "second", "second", {"short": "second:Short"})
    monkeypatch.syspath_prepend(str(tmp_path / "second"))

    with pytest.raises(ConfigError, match="two installed packages offer a stage 'short': second:Short and toy:Short"):
        installed_stages()
