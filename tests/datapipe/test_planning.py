"""Plans: what fuses into one pass, what waits for what, and what enters a fingerprint."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import toy

from datapipe import Dataset, Like, Output, PlanError, Stage, StageError, Work, concat, resource
from datapipe.graph import Graph, Pipeline
from datapipe.local import Local
from datapipe.plan import Planner
from datapipe.stage import identity
from datapipe.testing import dataset, evaluate

Batches = Iterator[pa.RecordBatch]


def key_of(stages: Pipeline, number: int = -1) -> str:
    """Returns the fingerprint of what a stage of the pipeline makes."""
    return Graph(stages, "0").fingerprint(stages.stages[number][2])


def waves_of(stages: Pipeline, work: Path) -> list[list[str]]:
    """Runs a pipeline and returns the names of each wave's tasks, the smaller shards last."""
    planner = Planner(stages, str(work), "0")
    waves = []
    while (wave := planner.wave()) is not None:
        waves.append(sorted(task.name for task in wave.tasks))
        for _, outcome in Local().run(wave.tasks, lambda task, rows, size: None):
            for shard in outcome.shards:
                planner.finish(shard)
    return waves


def keep(batches: Batches, work: Work, **settings: object) -> Batches:
    """Hands rows on."""
    yield from batches


# What runs when


def test_maps_and_stages_in_a_row_are_one_pass_over_a_shard(texts: str, tmp_path: Path) -> None:
    waves = waves_of(toy.pipeline(toy.Lines(path=texts), toy.Short(), toy.Once(), toy.Finish()), tmp_path)

    assert waves[0] == [f"lines+short+once[{number}]" for number in range(3)]
    assert waves[1:3] == [["once[0]", "once[1]"], ["once[0]", "once[1]", "once[2]"]]


def test_a_step_ends_with_each_stage_and_before_rows_that_it_makes_itself(texts: str) -> None:
    stages = toy.pipeline(toy.Lines(path=texts), toy.Short(), toy.Once(), toy.Finish())

    steps = list({step.key: step for step in Graph(stages, "0").steps.values()}.values())

    assert [(step.stage, len(step.calls)) for step in steps[:3]] == [("lines", 1), ("short", 2), ("once", 1)]
    assert all(step.writes_rows for step in steps[:3])
    assert [output.name for step in steps for _, output in step.sides] == ["words", "train", "content"]


@dataclass(frozen=True, kw_only=True)
class Count(Stage):
    """Puts out the length of each text and hands documents on as they came, as often as it is asked to."""

    times: int = 1

    def build(self, *inputs: Dataset) -> Dataset:
        made = inputs[0]
        output = Output("lengths", pa.schema([("length", pa.int64())]), publish="signals/{number}.parquet")
        for _ in range(self.times):
            made = made.map(count, passes=True, outputs=(output,))
            output = replace(output, publish=None)
        return made


def count(batches: Batches, work: Work) -> Batches:
    """Puts out the lengths of texts."""
    for batch in batches:
        lengths = [len(text) for text in batch.column("text").to_pylist()]
        work.put("lengths", pa.record_batch({"length": pa.array(lengths, pa.int64())}))
        yield batch


def drop(batches: Batches, work: Work) -> Batches:
    """Drops the first document of a batch."""
    for batch in batches:
        yield work.drop(batch, [row == 0 for row in range(batch.num_rows)], rule="first")


@pytest.mark.parametrize("times", [1, 2])
def test_rows_that_pass_as_they_came_are_written_once(texts: str, times: int, tmp_path: Path) -> None:
    plain = toy.pipeline(toy.Lines(path=texts), toy.Short(), toy.Once(), toy.Finish())
    stages = toy.pipeline(toy.Lines(path=texts), toy.Short(), Count(times=times), toy.Once(), toy.Finish())

    toy.run(plain, tmp_path / "plain")
    toy.run(stages, tmp_path / "out")

    steps = {step.stage: step for step in Graph(stages, "0").steps.values()}
    assert not steps["count"].writes_rows
    assert not [path for path in tmp_path.glob("out/work/count-*/*") if "-rows-" in path.name]
    assert len(list(tmp_path.glob("out/signals/*"))) == 3
    assert toy.rows_of(tmp_path / "out", "corpus") == toy.rows_of(tmp_path / "plain", "corpus") != []


def test_a_map_that_passes_rows_may_drop_none(texts: str, tmp_path: Path) -> None:
    passing = Dataset(toy.Lines(path=texts).build().op, toy.Lines(path=texts).build().schema).map(drop, passes=True)

    with pytest.raises(StageError, match="promised to pass them on as they came; leave out passes=True"):
        toy.run(Pipeline("toy", (("lines", toy.Lines(path=texts), passing),)), tmp_path / "out")


def test_a_map_that_passes_rows_may_change_none() -> None:
    given = pa.table({"id": [b"a"], "text": ["long"]})
    schema = pa.schema([("length", pa.int64())])

    with pytest.raises(PlanError, match="takes no adds=, drops= or schema="):
        dataset(given).map(count, passes=True, adds=schema)
    with pytest.raises(StageError, match="rows changed in a map that promised"):
        evaluate(dataset(given).map(louder, passes=True))


def louder(batches: Batches, work: Work) -> Batches:
    """Changes the text."""
    for batch in batches:
        yield batch.set_column(1, "text", pc.utf8_upper(batch.column("text")))


def test_sources_of_one_schema_are_numbered_through(texts: str, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=texts, more=texts.replace("*", "0")), toy.Short(), toy.Sorted())

    waves = waves_of(stages, tmp_path)

    assert waves[0] == [f"lines+short[{number}]" for number in range(4)]


def test_the_number_of_shards_may_follow_from_data(texts: str, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=texts), toy.Finish(rows_per_shard=9))
    planner = Planner(stages, str(tmp_path), "0")
    before = [(item.shards, item.waits_for.split("-")[0]) for item in planner.forecast()]

    waves_of(stages, tmp_path)

    after = [item.shards for item in Planner(stages, str(tmp_path), "0").forecast()]
    assert (None, "finish") in before
    assert after == [3, 3, 1, 5, 1]


def test_a_forecast_reads_no_data(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.txt").write_text("words\n")
    stages = toy.pipeline(toy.Lines(path=f"{tmp_path}/*.txt"), toy.Once(), toy.Spread(), toy.Sorted())
    for path in tmp_path.glob("*.txt"):
        path.unlink()

    forecast = list(Planner(stages, str(tmp_path / "work"), "0").forecast())

    assert [item.shards for item in forecast[:2]] == [2, 2]
    assert not (tmp_path / "work").exists()


def test_a_forecast_tells_what_is_done(texts: str, tmp_path: Path) -> None:
    toy.run(toy.pipeline(toy.Lines(path=texts), toy.Short(), toy.Finish()), tmp_path / "out")
    changed = toy.pipeline(toy.Lines(path=texts), toy.Short(), toy.Finish(rows_per_shard=3))

    forecast = list(Planner(changed, str(tmp_path / "out/work"), "0").forecast())

    assert [(item.wave, item.step.stage, item.done) for item in forecast][:2] == [(0, "lines", 3), (0, "short", 3)]
    assert all(item.done == 0 for item in forecast if item.wave)


# Repeats


def chain(folder: Path, length: int) -> str:
    """Writes documents that hang together in one chain, and one apart; returns their glob."""
    lines = [f"w{(number * 7) % length} w{(number * 7) % length + 1}" for number in range(length)]
    for file in range(2):
        (folder / f"{file}.txt").write_text("\n".join([*lines[file::2], f"alone{file}"]) + "\n")
    return f"{folder}/*.txt"


def labels(rows: list[dict[str, bytes]]) -> dict[bytes, bytes]:
    """Returns the label of each document."""
    return {row["id"]: row["label"] for row in rows}


def test_a_repeat_goes_on_until_nothing_changes(tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=chain(tmp_path, 10)), toy.Spread(), toy.Sorted())

    report = toy.run(stages, tmp_path / "out")

    found = labels(toy.rows_of(tmp_path / "out", "corpus"))
    largest = {key for key, label in found.items() if list(found.values()).count(label) > 1}
    assert len(found) == 12
    assert len(largest) == 10
    assert {found[key] for key in largest} == {min(largest)}
    assert report.stages[1].counts["changed"] > 10


def test_a_repeat_ends_at_its_limit(tmp_path: Path) -> None:
    path = chain(tmp_path, 10)

    toy.run(toy.pipeline(toy.Lines(path=path), toy.Spread(at_most=1), toy.Sorted()), tmp_path / "one")

    assert len(set(labels(toy.rows_of(tmp_path / "one", "corpus")).values())) > 3


def test_the_engine_and_its_plain_twin_agree(tmp_path: Path, texts: str) -> None:
    for stages in (
        (toy.Lines(path=chain(tmp_path, 6)), toy.Spread()),
        (toy.Lines(path=texts), toy.Short(), toy.Once()),
    ):
        made = toy.pipeline(*stages, toy.Sorted())
        toy.run(made, tmp_path / stages[-1].__class__.__name__)

        plain = evaluate(made.stages[-2][2]).table.to_pylist()
        rows = toy.rows_of(tmp_path / stages[-1].__class__.__name__, "corpus")
        assert sorted(rows, key=repr) == sorted(plain, key=repr)


def test_a_repeat_must_give_back_its_schema() -> None:
    rows = dataset(pa.table({"id": [1]}))

    with pytest.raises(PlanError, match="repeat: the step gives back another schema than it takes"):
        rows.repeat(lambda made: made.map(keep, adds=pa.schema([("more", pa.int64())])), until="changed", at_most=3)


# Fingerprints


def test_a_changed_field_changes_its_stage_and_what_follows(texts: str) -> None:
    first, second = (toy.pipeline(toy.Lines(path=texts), toy.Short(limit=n), toy.Once(), toy.Finish()) for n in (3, 4))

    same = [key_of(first, number) == key_of(second, number) for number in range(4)]

    assert same == [True, False, False, False]


def test_a_raised_version_changes_a_stage(texts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = toy.pipeline(toy.Lines(path=texts), toy.Short())
    before = key_of(stages)

    monkeypatch.setattr(toy.Short, "version", 2)

    assert key_of(stages) != before
    assert key_of(stages, 0) == key_of(toy.pipeline(toy.Lines(path=texts)))


def test_libraries_that_change_rows_are_in_the_fingerprint(texts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = toy.pipeline(toy.Lines(path=texts), toy.Short())
    before = key_of(stages)

    monkeypatch.setattr(toy.Short, "libraries", ("pyarrow",))
    with_library = key_of(stages)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "another")

    assert len({before, with_library, key_of(stages)}) == 3


def test_a_source_is_its_names_sizes_and_times(tmp_path: Path) -> None:
    def key(folder: str = "a", text: str = "one\n", time: int = 5, name: str = "0.txt") -> str:
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        os.utime(path, ns=(time, time))
        made = key_of(toy.pipeline(toy.Lines(path=f"{path.parent}/*.txt")))
        path.unlink()
        return made

    keys = {key(), key(text="two words\n"), key(time=6), key(name="1.txt")}

    assert len(keys) == 4
    assert key("another folder") == key()


def test_what_reads_files_that_are_set_aside_is_another_dataset(texts: str) -> None:
    settings: list[dict[str, object]] = [{}, {"sample": 0.5}, {"on_bad_input": "fail"}]

    assert len({key_of(toy.pipeline(toy.Lines(path=texts), **held)) for held in settings}) == 3


def test_the_content_of_a_resource_is_its_identity_and_its_place_is_not(tmp_path: Path) -> None:
    for name, content in (("a", "model"), ("b", "model"), ("c", "another")):
        (tmp_path / name).write_text(content)

    a, b, c = (identity(partial(keep, model=resource(str(tmp_path / name)))) for name in "abc")

    assert a == b
    assert a != c


@dataclass(frozen=True)
class Keeper:
    """A function with settings."""

    limit: int = 0
    name: str = ""

    def __call__(self, batches: Batches, work: Work) -> Batches:
        yield from batches

    def keep(self, batches: Batches, work: Work) -> Batches:
        """Hands rows on."""
        yield from batches


def test_settings_of_a_function_are_its_identity_in_any_order() -> None:
    assert identity(partial(keep, a=1, b=2)) == identity(partial(keep, b=2, a=1))
    assert identity(partial(keep, a=1)) != identity(partial(keep, a=2))
    assert identity(Keeper(limit=1)) != identity(Keeper(limit=2))
    assert identity(partial(keep, a={"x": 1, "y": 2})) == identity(partial(keep, a={"y": 2, "x": 1}))


def test_a_method_is_identified_with_what_it_is_bound_to() -> None:
    assert identity(Keeper(limit=1).keep) == identity(Keeper(limit=1).keep)
    assert identity(Keeper(limit=1).keep) != identity(Keeper(limit=2).keep)


class Stateful:
    """A callable that is no value."""

    def __call__(self, batches: Batches, work: Work) -> Batches:
        yield from batches


def nested() -> Callable[[Batches, Work], Batches]:
    """Returns a function that no name leads to."""

    def inner(batches: Batches, work: Work) -> Batches:
        yield from batches

    return inner


@pytest.mark.parametrize(
    "function",
    [lambda batches, work: batches, nested(), Stateful(), partial(keep, seen={1, 2}), partial(keep, place=Path("a"))],
    ids=["lambda", "nested", "stateful", "set", "path"],
)
def test_what_has_no_identity_is_refused_while_planning(function: object, texts: str) -> None:
    lines = toy.Lines(path=texts)
    made = lines.build().map(function)  # type: ignore[arg-type]  # on purpose
    stages = Pipeline("toy", (("lines", lines, made),))

    with pytest.raises(PlanError, match="has no identity"):
        Planner(stages, "work", "0").wave()


def test_metadata_of_a_schema_is_in_the_fingerprint_however_long(texts: str) -> None:
    lines = toy.Lines(path=texts)

    def key(meaning: str) -> str:
        adds = pa.schema([pa.field("more", pa.int64(), metadata={"meaning": meaning})])
        return key_of(Pipeline("toy", (("lines", lines, lines.build().map(keep, adds=adds)),)))

    assert key("x" * 300 + "a") != key("x" * 300 + "b")


# What is refused


def test_a_column_that_no_step_makes_is_an_error_while_planning() -> None:
    rows = dataset(pa.table({"id": [1], "body": ["a"]}))

    with pytest.raises(PlanError, match=r"needs column 'text', which no earlier step makes \(there are: id, body\)"):
        rows.map(keep, reads=("id", "text"))


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda rows: rows.map(keep, adds=pa.schema([]), schema=rows.schema), "adds= .* or schema= .*, not both"),
        (lambda rows: rows.exchange("word", 2), "needs column 'word'"),
        (lambda rows: rows.exchange("id", 2, then=("word",)), "needs column 'word'"),
        (lambda rows: rows.exchange("score", 2), "column 'score' is double: keys are integers, strings or binary"),
        (lambda rows: rows.exchange("id", 2, then=("score",)), "column 'score' is double: keys are"),
        (lambda rows: rows.exchange("id", 0), "0 shards"),
        (lambda rows: rows.map(keep).output("words"), "no output is called 'words'"),
        (lambda rows: concat([rows, rows.map(keep, drops=("score",))]), "concat: schemas differ"),
    ],
)
def test_a_wrong_recipe_is_a_sentence(build: Callable[[Dataset], Dataset], sentence: str) -> None:
    rows = dataset(pa.table({"id": [b"0" * 16], "score": [0.5]}))

    with pytest.raises(PlanError, match=sentence):
        build(rows)


@dataclass(frozen=True, kw_only=True)
class Beside(Stage):
    """Puts a dataset of another width beside."""

    parts: int = 2

    def build(self, *inputs: Dataset) -> Dataset:
        return inputs[0].map(keep, beside=inputs[0].exchange("id", self.parts))


@dataclass(frozen=True, kw_only=True)
class Twice(Stage):
    """Publishes two outputs under one name."""

    def build(self, *inputs: Dataset) -> Dataset:
        outputs = [Output(name, inputs[0].schema, publish="keys/a.parquet") for name in ("a", "b")]
        return inputs[0].map(keep, outputs=outputs)


def test_a_dataset_beside_must_have_as_many_shards(texts: str, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=texts), Beside(), toy.Finish())

    with pytest.raises(
        PlanError, match=r"stage beside: beside has 2 shards, its dataset 3; exchange it with shards=Like"
    ):
        toy.run(stages, tmp_path / "out")


def test_two_files_of_one_name_are_refused_while_planning(texts: str, tmp_path: Path) -> None:
    stages = toy.pipeline(toy.Lines(path=texts), Twice(), toy.Finish())

    with pytest.raises(PlanError, match=r"stage twice: more than one file would be published as keys/a\.parquet"):
        toy.run(stages, tmp_path / "out")


def test_the_facts_of_a_run_name_its_recipe_and_code(texts: str) -> None:
    planners = [Planner(toy.pipeline(toy.Lines(path=texts), toy.Short(limit=n)), "work", "7") for n in (3, 3, 4)]

    facts = [planner.facts for planner in planners]

    assert facts[0] == facts[1]
    assert facts[0]["config_sha256"] != facts[2]["config_sha256"]
    assert facts[0]["code_version"] == "7"


def test_like_has_as_many_shards_as_its_dataset(texts: str) -> None:
    rows = toy.Lines(path=texts).build()
    like = rows.exchange("id", Like(rows))

    assert Planner(Pipeline("toy", (("lines", toy.Lines(path=texts), like),)), "work", "0").width(like) == 3
    assert replace(like.op).shards.dataset is rows
