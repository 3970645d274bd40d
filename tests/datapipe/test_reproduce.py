"""What a run was is recorded; made again elsewhere it gives the same digests, or what differs is named and why."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toy

import datapipe
from datapipe import InputFile, cli, storage
from datapipe.clean import work_of
from datapipe.differences import differences, unknown_inputs
from datapipe.environment import code_of
from datapipe.errors import ConfigError, DataError
from datapipe.recipe import File, Input, Recipe, StageRecipe, read_recipe
from datapipe.reproduce import Reproduction
from datapipe.reproduce.roots import roots_of
from datapipe.shard import Shard
from datapipe.task import digests_of
from datapipe.verify import verify

STEPS = ["lines", "short", "marked", "finish"]


def has_library(site: Path, version: str) -> None:
    """Puts into `site` what an installer leaves of the library that the stage `marked` depends on."""
    for before in site.glob("toymarks-*"):
        shutil.rmtree(before)
    place = site / f"toymarks-{version}.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: toymarks\nVersion: {version}\n")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with inputs in `in`, a finished run of them in `done`, and in `site` what both need installed."""
    folder = tmp_path_factory.mktemp("ran")
    toy.install(folder / "site", "toy", {name: f"toy:{name.capitalize()}" for name in STEPS})
    has_library(folder / "site", "1.0")
    toy.write_lines(folder / "in/texts")
    (folder / "in/words.txt").write_text("ash\n")
    steps = [{"lines": {"path": "in/texts/*.txt"}}, "short", {"marked": {"words": ""}}, "finish"]
    settings = ["marked.words=in/words.txt", "short.limit=5"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder / "site"))
        datapipe.run({"name": "toy", "steps": steps}, out="done", work="work", settings=settings, executor="local")
    return folder


@pytest.fixture
def done(ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run, its work folder too, in which the test goes on."""
    for name in ("site", "in", "done", "work"):
        shutil.copytree(ran / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("DATAPIPE_LOG_LEVEL", "warning")
    return tmp_path / "done"


@pytest.fixture
def inputs(done: Path) -> Path:
    """Its inputs."""
    return done.parent / "in"


def again(**how: Any) -> Reproduction:  # Any: of datapipe.reproduce
    """Returns what comes of making the run again in this process."""
    return datapipe.reproduce("done", executor="local", **how)


def recipe(folder: Path) -> Recipe:
    """Returns the recipe of a run that has one."""
    found = read_recipe(str(folder))
    assert found is not None
    return found


def test_the_recipe_holds_config_inputs_and_files_with_their_digests(done: Path, inputs: Path) -> None:
    said = recipe(done)

    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in inputs.rglob("*.txt")}
    marked = next(stage for stage in said.stages if stage.name == "marked")
    assert said.config["steps"][1] == {"short": {"limit": 5}}, "with what was set"
    assert [file.sha256 for file in said.inputs["lines"]] == [digests[name] for name in ("0.txt", "1.txt", "2.txt")]
    assert marked.resources == (File("words", "in/words.txt", digests["words.txt"], 4),)
    assert (marked.libraries, marked.version, marked.kind) == ({"toymarks": "1.0"}, 1, "toy.marked:Marked")
    assert [step.step for step in said.steps][:2] == ["lines 1", "short 1"]
    assert said.steps[-1].step == "ledger 1"


def test_the_digests_of_a_step_are_over_those_of_its_shards(done: Path) -> None:
    said = recipe(done)

    for number, step in enumerate(said.steps):
        rows = [row for row in said.shards.to_pylist() if row["step"] == number]
        for name, summed in step.outputs.items():
            made = [row for row in rows if row["output"] == name]
            assert summed.sha256 == hashlib.sha256(b"".join(row["sha256"] for row in made)).hexdigest()
            assert summed.rows == sum(row["rows"] for row in made)


def test_a_recipe_that_was_changed_is_found(done: Path) -> None:
    path = done / "reports/recipe.json"
    path.write_text(path.read_text().replace('"sample": 1.0', '"sample": 0.5'))

    assert any(fault.startswith("reports/recipe.json: has changed") for fault in verify(str(done)))
    with pytest.raises(DataError, match=r"recipe\.json: has changed since it was published"):
        again()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"format_version": 1}', b'{"format_version": 1, "stages": 3}'])
def test_a_recipe_that_no_run_wrote_is_a_sentence(done: Path, content: bytes) -> None:
    claim = json.loads((done / "reports/published.json").read_text())
    claim["recipe"]["reports/recipe.json"] = hashlib.sha256(content).hexdigest()
    (done / "reports/published.json").write_text(json.dumps(claim))
    (done / "reports/recipe.json").write_bytes(content)

    with pytest.raises(DataError, match=r"reports/recipe\.json: is no recipe that a run wrote"):
        again()


def test_a_large_file_is_hashed_block_by_block_and_no_silence(tmp_path: Path) -> None:
    content = os.urandom(storage.COPY_BYTES + 5)
    (tmp_path / "large").write_bytes(content)
    heard: list[int] = []
    whole = InputFile("large", str(tmp_path / "large"), len(content), "1")
    files = [whole, replace(whole, part=(3, 9)), replace(whole, url=str(tmp_path / "gone"))]

    found = digests_of(files, lambda: heard.append(0))

    assert found == (hashlib.sha256(content).hexdigest(), hashlib.sha256(content[3:9]).hexdigest(), "")
    assert len(heard) == 3


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"files": []}', b'{"files": {}, "recipe": {"a": 1}}'])
def test_a_claim_that_no_run_wrote_is_a_sentence_to_all_who_read_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/published.json").write_bytes(content)

    for reads in (read_recipe, datapipe.status):
        with pytest.raises(DataError, match=r"reports/published\.json: cannot be read"):
            reads(str(tmp_path))


def test_code_without_a_package_of_its_own_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "rc_one.py").write_text("A = 1\n")
    (tmp_path / "rc_many").mkdir()
    (tmp_path / "rc_many/__init__.py").touch()
    (tmp_path / "rc_many/gone.py").symlink_to("nowhere")
    os.mkfifo(tmp_path / "rc_many/pipe")
    code = {name: code_of(name) for name in ("rc_one", "rc_many", "rc_none", "__main__")}
    (tmp_path / "rc_one.py").write_text("A = 2\n")
    code_of.cache_clear()

    assert code["rc_one"] != code_of("rc_one")
    assert code["rc_one"] != code["rc_many"] != code["rc_none"]


def test_inputs_moved_and_a_fresh_folder_give_equal_digests(done: Path, inputs: Path) -> None:
    before = sorted(done.rglob("*"))
    inputs.rename(inputs.parent / "elsewhere")

    found = again(inputs=["in=elsewhere"])

    assert (found.equal, found.exit_status, found.before, found.found) == (True, 0, (), ())
    assert found.config_sha256[0] == found.config_sha256[1]
    assert next(found.lines()).startswith(f"equal: all {len(recipe(done).steps)} steps and ")
    assert sorted(done.rglob("*")) == before, "nothing is written to what is made again"


def test_inputs_too_large_to_be_read_twice_are_compared_when_tasks_have_read_them(
    done: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["datapipe.reproduce"], "HASHED_BEFORE_BYTES", 10)
    text = (inputs / "texts/2.txt").read_bytes()
    (inputs / "texts/2.txt").write_bytes(text.replace(b"n2-1", b"x2-1"))
    heard: list[Reproduction] = []

    found = again(heard=heard.append)

    told = [(one.unknown, one.unhashed, one.before) for one in heard]
    assert told == [(1, True, ())], "two have the modification time that was recorded"
    assert ([one.name for one in found.causes], found.unknown) == (["lines: 2.txt"], 0)


@pytest.mark.parametrize("folder", ["elsewhere", "elsewhere/in", "holds"])
def test_inputs_are_found_in_a_folder_by_their_names(done: Path, inputs: Path, folder: str) -> None:
    (inputs.parent / folder).parent.mkdir(exist_ok=True)
    shutil.move(inputs, inputs.parent / folder)

    assert again(inputs=[folder.split("/", maxsplit=1)[0]], check_only=True).equal


def test_one_byte_of_an_input_is_named_as_the_cause_with_its_first_row(done: Path, inputs: Path) -> None:
    path = inputs / "texts/1.txt"
    word = next(word for word in path.read_text().split() if word.startswith("n1-"))
    path.write_text(path.read_text().replace(f"{word} ", f"x{word[1:]} ").replace(f"{word}\n", f"x{word[1:]}\n"))

    found = again(out="out")

    assert [one.name for one in found.before] == [one.name for one in found.causes] == ["lines: 1.txt"]
    assert found.first is not None
    assert (found.first.step, found.first.shard, found.first.files) == ("lines 1", 1, ("1.txt",))
    assert found.first.place is not None
    assert (found.first.place.row, found.first.place.column) == (0, "text")
    assert word in found.first.place.a
    assert f"x{word[1:]}" in found.first.place.b
    assert found.first.place.document == toy.document_id("1.txt", int(word[3:])).hex()
    assert (found.exit_status, "corpus/manifest.json" in found.differing_files) == (1, True)
    assert datapipe.reproduce("out", executor="local").equal, "what was made of the changed input is made again"


def test_a_changed_file_of_a_stage_is_named_as_the_cause(done: Path, inputs: Path) -> None:
    (inputs / "words.txt").write_text("elm\n")

    found = again()

    ash, elm = (hashlib.sha256(word).hexdigest()[:12] for word in (b"ash\n", b"elm\n"))
    told = f"resource marked.words: in/words.txt: was SHA-256 {ash}…, now SHA-256 {elm}… (stage marked)"
    assert [str(one) for one in found.causes] == [told]
    assert found.first is not None
    assert found.first.step == "marked 1"


def test_another_version_of_a_library_is_named_as_the_cause(done: Path, inputs: Path) -> None:
    has_library(inputs.parent / "site", "2.0")

    found = again()

    assert [str(one) for one in found.causes] == ["library toymarks: was 1.0, now 2.0 (stage marked)"]
    assert found.first is not None
    assert found.first.step == "marked 1"


def test_rows_that_follow_from_nothing_recorded_are_said_to_do_so(
    done: Path, monkeypatch: pytest.MonkeyPatch, inputs: Path
) -> None:
    monkeypatch.setenv("TOY_MARK", "Tuesday")

    found = again()

    assert (found.before, found.causes) == ((), ())
    assert found.first is not None
    assert found.first.step == "marked 1"
    assert "nothing recorded differs" in "\n".join(found.lines())


def test_a_missing_input_and_a_wrong_place_are_refused_before_anything_runs(done: Path, inputs: Path) -> None:
    (inputs / "texts/1.txt").unlink()

    with pytest.raises(ConfigError, match=r"not there: lines: 1\.txt; --inputs OLD=NEW says where inputs lie"):
        again()
    with pytest.raises(ConfigError, match=r"on=x: is neither a folder .* are: in/texts/\*\.txt, in/words\.txt"):
        again(inputs=["on=x"])
    assert [one.b for one in again(check_only=True).before] == [None]


def test_a_file_that_lies_in_several_places_of_a_folder_is_not_guessed(done: Path, inputs: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(inputs, inputs.parent / "both" / name / "deeper")

    with pytest.raises(ConfigError, match=r"words\.txt in several places \(a/deeper/words\.txt, b/.*give in/words"):
        again(inputs=["both"])


def test_a_folder_without_a_recipe_says_so(done: Path) -> None:
    claim = json.loads((done / "reports/published.json").read_text())
    del claim["recipe"]
    (done / "reports/published.json").write_text(json.dumps(claim))

    with pytest.raises(
        ConfigError, match=r"done: holds no recipe: its run did not finish, an earlier datapipe made it"
    ):
        again()
    with pytest.raises(ConfigError, match=r"in: holds no reports/published\.json"):
        datapipe.reproduce("in")


def test_what_is_made_again_gets_a_folder_of_its_own_and_what_is_not_is_told(done: Path) -> None:
    for place in ("done", "done/corpus/again"):
        with pytest.raises(ConfigError, match=rf"--out .*{place}: holds the run itself, or lies in it"):
            again(out=place)
    with pytest.raises(ConfigError, match=r"--work .*work: holds what the run itself has made"):
        again(work=work_of("done"))
    shutil.copytree("work", "other")

    reused = again(work="other")

    assert (reused.equal, reused.made) == (True, 0)
    assert next(reused.lines()).startswith(f"note: {reused.shards} of {reused.shards} shards were in the work folder")


def test_the_command_says_what_it_finds_by_its_status(
    done: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*words: str) -> tuple[Any, str]:
        monkeypatch.setattr(sys, "argv", ["datapipe", "reproduce", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().out

    status, text = command("done", "--executor", "local")
    assert status == 0
    assert text.splitlines()[0].startswith("nothing is known to differ: inputs, models, libraries, code and machine")
    assert text.splitlines()[1].startswith("equal: all ")
    (inputs / "words.txt").write_text("elm\n")
    status, text = command("done", "--check-only", "--json")
    assert (status, [one["kind"] for one in json.loads(text)["before"]]) == (1, ["resource"])
    assert command("nowhere")[0] == 2


def test_a_run_that_finds_its_shards_made_before_has_the_same_recipe(done: Path) -> None:
    config = dict(recipe(done).config)

    datapipe.run(config, out="other", work="work", executor="local")

    names = ("reports/recipe.json", "reports/recipe-shards.parquet")
    assert [(done / name).read_bytes() for name in names] == [Path("other", name).read_bytes() for name in names]


def test_a_run_that_does_not_finish_leaves_no_recipe_of_another(done: Path) -> None:
    (done / "corpus/manifest.json").unlink()
    config = {**recipe(done).config, "on_bad_input": "fail"}
    Path("in/texts/1.txt").write_bytes(b"\xff\n")

    with pytest.raises(DataError):
        datapipe.run(config, out="done", executor="local")

    assert read_recipe("done") is None
    assert not (done / "reports/recipe.json").exists()


def test_more_input_files_than_json_should_hold_stand_in_a_table(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datapipe.recipe.LISTED", 2)
    said = recipe(done)
    (done / "copy/reports").mkdir(parents=True)
    files = said.files()
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    for name, content in {
        **files,
        "reports/published.json": json.dumps({"files": {}, "recipe": digests}).encode(),
    }.items():
        (done / "copy" / name).write_bytes(content)

    assert json.loads(files["reports/recipe.json"])["inputs"]["lines"]["list"] is None
    assert recipe(done / "copy") == said


def test_a_record_of_an_earlier_datapipe_is_read(done: Path) -> None:
    record = Shard("step", 0, {}, (), {}, ("00ff", ""))

    assert Shard.from_json(record.to_json()) == record
    assert Shard.from_json(replace(record, inputs=()).to_json()).inputs == ()
    assert b"inputs" not in replace(record, inputs=()).to_json()


# What differs, of recipes made by hand


def made(**parts: Any) -> Recipe:  # Any: of Recipe
    """Returns a recipe of one stage and one source."""
    stage = StageRecipe("quality", "a:B", 1, {"lib": "1"}, {"limit": 3}, (File("model", "m.bin", "00" * 32, 1),))
    given = {
        "name": "toy",
        "config": {"steps": [{"quality": {"model": "/data/m.bin"}}, {"read": {"path": "/data/web/*.gz"}}]},
        "sample": 1.0,
        "config_sha256": "",
        "code_version": "1",
        "engine_format": 3,
        "environment": {"python": "CPython 3.11.7", "cpu": "one", "libraries": {"lib": "1", "other": "1"}},
        "stages": (stage,),
        "inputs": {"web": (Input("a.gz", 9, "17", ((0, 5, "aa"), (5, 9, "bb"))),)},
    }
    return Recipe(**{**given, **parts})


def test_what_differs_is_told_surest_first_and_what_a_clock_says_is_no_difference() -> None:
    other = made(
        code_version="2",
        environment={"python": "CPython 3.12.1", "cpu": "one", "libraries": {"lib": "2", "other": "2"}},
        stages=(StageRecipe("quality", "a:B", 2, {"lib": "2"}, {"limit": 4}, (File("model", "m.bin", "11" * 32, 1),)),),
        inputs={"web": (Input("a.gz", 9, "18", ((0, 5, "aa"), (5, 9, "cc"))),)},
    )
    touched = made(inputs={"web": (Input("a.gz", 9, "18", ((0, 5, "aa"), (5, 9, "bb"))),)})

    assert [str(one) for one in differences(made(), other)] == [
        "input web: a.gz: was 9 bytes, SHA-256 of bytes 5 to 9 bb…, now 9 bytes, SHA-256 of bytes 5 to 9 cc…",
        "resource quality.model: m.bin: was SHA-256 000000000000…, now SHA-256 111111111111… (stage quality)",
        "field quality.limit: was 3, now 4 (stage quality)",
        "stage quality: was a:B version 1, now a:B version 2 (stage quality)",
        "library lib: was 1, now 2 (stage quality)",
        "code datapipe: was 1, now 2",
        "library other: was 1, now 2 (no stage declares to depend on it)",
        "Python python: was CPython 3.11.7, now CPython 3.12.1",
    ]
    assert differences(made(), touched) == ()


def test_etags_tell_other_content_where_both_are_of_one_piece() -> None:
    whole, other, pieces = "0" * 32, "1" * 32, f"{'2' * 32}-3"
    stored = {tag: made(inputs={"web": (Input("a.gz", 9, tag, ((0, 9, ""),)),)}) for tag in (whole, other, pieces)}

    assert [one.kind for one in differences(stored[whole], stored[other])] == ["input"]
    assert differences(stored[whole], stored[pieces]) == ()
    assert [unknown_inputs(stored[whole], stored[tag]) for tag in (whole, other, pieces)] == [0, 0, 1]


@pytest.mark.parametrize(
    ("given", "moved"),
    [
        ("/data/web=/w /data=/d", {"/data/m.bin": "/d/m.bin", "/data/web/*.gz": "/w/*.gz"}),
        ("/data=/d /data/web=/w", {"/data/m.bin": "/d/m.bin", "/data/web/*.gz": "/w/*.gz"}),
        ("/data=s3://b/x", {"/data/m.bin": "s3://b/x/m.bin", "/data/web/*.gz": "s3://b/x/web/*.gz"}),
        ("/data/web=/mnt/day=1", {"/data/web/*.gz": "/mnt/day=1/*.gz"}),
        ("/data/m.bin=/m.bin", {"/data/m.bin": "/m.bin"}),
    ],
)
def test_paths_move_by_their_beginnings_the_longest_first(given: str, moved: dict[str, str]) -> None:
    assert dict(roots_of(made(), given.split()).places) == moved


def test_a_secret_that_was_not_recorded_is_asked_for() -> None:
    hidden = made(config={"steps": [{"read": {"path": "https://***@host/a.gz"}}]})

    with pytest.raises(ConfigError, match="a secret in it was not recorded"):
        roots_of(hidden, []).config(hidden)
    assert roots_of(hidden, ["https://***@host=https://other"]).config(hidden)["steps"] == [
        {"read": {"path": "https://other/a.gz"}}
    ]
