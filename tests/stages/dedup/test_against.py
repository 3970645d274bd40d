import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datapipe
from datapipe import ConfigError, Work
from datapipe.estimate import estimate
from datapipe.job import plan
from datapipe.testing import Result, dataset, evaluate
from stages.dedup import Dedup
from stages.dedup.against import NEW, PAIRS, meetings, named
from stages.dedup.keys import KEYS_VERSION

Documents = Callable[..., pa.Table]
Publish = Callable[..., Path]
HERE = 5000  # the first number of new documents, whose ids so differ from those of earlier ones


def words(amount: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [f"w{draw.randrange(100_000)}" for _ in range(amount)]


def replaced(original: Sequence[str], amount: int, seed: int) -> str:
    """Returns a copy in which `amount` words at random places are new ones."""
    draw = random.Random(seed)
    copy = list(original)
    for place in draw.sample(range(len(copy)), amount):
        copy[place] = f"n{draw.randrange(100_000)}"
    return " ".join(copy)


@pytest.fixture(scope="module")
def publish(documents: Documents, tmp_path_factory: pytest.TempPathFactory) -> Publish:
    """Returns a function from texts, or lists of texts (one a file), to a folder with their keys."""

    def run(*shards: Sequence[str], stage: Dedup | None = None, first: int = 0) -> Path:
        folder = tmp_path_factory.mktemp("run")
        (folder / "keys").mkdir(parents=True)
        starts = [first + sum(map(len, shards[:number])) for number in range(len(shards))]
        tables = [documents(texts, first=start) for texts, start in zip(shards, starts, strict=True)]
        signed = (stage or Dedup())._signed(dataset(*tables), ())
        for number, keys in enumerate(evaluate(signed.output("keys")).shards):
            pq.write_table(keys, folder / "keys" / f"part-{number:05}-of-{len(shards):05}.parquet")
        return folder

    return run


@pytest.fixture(scope="module")
def fresh(documents: Documents) -> Callable[..., Result]:
    """Returns a function from new texts and folders of earlier keys to what stays."""

    def run(*shards: Sequence[str], against: Sequence[Path], rows_per_batch: int = 3, **fields: object) -> Result:
        starts = [HERE + sum(map(len, shards[:number])) for number in range(len(shards))]
        tables = [documents(texts, first=first) for texts, first in zip(shards, starts, strict=True)]
        stage = Dedup(against=tuple(map(str, against)), **fields)  # type: ignore[arg-type]  # fields of the stage
        return evaluate(stage.build(dataset(*tables)), rows_per_batch=rows_per_batch)

    return run


def texts_of(result: Result) -> list[str]:
    return sorted(result.table.column("text").to_pylist())


OLD = [" ".join(words(80, seed)) for seed in range(6)] + [
    "short one",
    "👍",
    "",
    "春天来了，河边的柳树发出新芽，孩子们在草地上放风筝。",
]


def test_drops_what_an_earlier_corpus_holds_and_names_its_document(
    publish: Publish, fresh: Callable[..., Result], documents: Documents
) -> None:
    folder = publish(OLD[:5], OLD[5:])
    near = replaced(words(80, 2), 1, 1)

    made = fresh([OLD[0].upper(), near, "all new and never seen before"], ["Short: one!", "👍"], against=[folder])

    ids = documents(OLD).column("id").to_pylist()
    left = {row["note"]: row for row in made.ledger.to_pylist()}
    assert texts_of(made) == ["all new and never seen before"]
    assert {row["action"] for row in left.values()} == {"duplicate_of"}
    assert {note: row["rule"] for note, row in left.items()} == {
        OLD[0].upper()[:160]: "earlier_exact",
        near[:160]: "earlier_minhash",
        "Short: one!": "earlier_exact",
        "👍": "earlier_exact",
    }
    assert left[near[:160]]["other"] == ids[2]
    assert left["Short: one!"]["other"] == ids[6]
    assert [row["similarity"] for row in left.values() if row["rule"] == "earlier_exact"] == [1.0] * 3


POOL = [*OLD, *(replaced(words(80, seed), 1, seed) for seed in range(3)), "another", "好", "new words " * 9]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_keeps_what_no_earlier_document_meets_in_any_shards_folders_order_and_batches(
    data: st.DataObject, publish: Publish, fresh: Callable[..., Result]
) -> None:
    old = data.draw(st.permutations(OLD))
    new = data.draw(st.permutations(POOL))
    cuts = [data.draw(st.integers(0, len(texts))) for texts in (old, old, new)]
    halves = sorted(cuts[:2])
    folders = [publish(old[: halves[0]], old[halves[0] : halves[1]]), publish(old[halves[1] :], first=len(OLD))]
    folders = data.draw(st.permutations(folders))

    made = fresh(new[: cuts[2]], new[cuts[2] :], against=folders, rows_per_batch=data.draw(st.integers(1, 20)))

    assert texts_of(made) == sorted(["another", "好", "new words " * 9])
    assert made.table.num_rows + made.ledger.num_rows == len(POOL)


def test_every_row_is_the_same_however_batches_are_cut_and_folders_are_listed(
    publish: Publish, fresh: Callable[..., Result]
) -> None:
    folders = [publish(OLD[:4]), publish(OLD[3:], first=100)]

    made = [
        fresh(POOL[:5], [], POOL[5:], against=order, rows_per_batch=size)
        for order, size in ((folders, 1), (folders, 4), (folders[::-1], 100))
    ]

    assert all(one.shards == made[0].shards for one in made)
    assert all(one.ledger == made[0].ledger for one in made)


@pytest.mark.parametrize("changed", [1, 2, 4])
def test_estimates_similarity_from_signatures_and_keeps_what_is_below_the_threshold(
    changed: int, publish: Publish, fresh: Callable[..., Result]
) -> None:
    originals = [words(100, seed) for seed in range(40)]
    folder = publish([" ".join(text) for text in originals], stage=Dedup(signatures=True))
    copies = [replaced(text, changed, seed) for seed, text in enumerate(originals)]

    made = fresh(copies, against=[folder])

    true = (96 - 5 * changed) / (96 + 5 * changed)  # about; .9, .81 and .65
    error = (true * (1 - true) / 128) ** 0.5
    above = 0.5 * (1 + math.erf((true - 0.8) / error / 2**0.5))  # of estimates, that are nearly normal around it
    estimates = made.ledger.column("similarity").to_numpy()
    assert (estimates >= 0.8).all()
    assert abs(len(estimates) - 40 * above) <= 4 * (40 * above * (1 - above)) ** 0.5 + 3
    if changed == 1:
        assert estimates.mean() == pytest.approx(true, abs=4 * error / 40**0.5 + 0.01)


def test_without_signatures_what_meets_leaves_with_the_likeliest_similarity_of_its_bands(
    publish: Publish, fresh: Callable[..., Result]
) -> None:
    originals = [words(100, seed) for seed in range(60)]
    folder = publish([" ".join(text) for text in originals])
    copies = [replaced(text, 4, seed) for seed, text in enumerate(originals)]

    made = fresh(copies, against=[folder])

    similarity = (96 - 18) / (96 + 18)  # four words touch some 18 of 96 shingles
    chance = 1 - (1 - similarity**7) ** 18
    steps = {round((agreed / 18) ** (1 / 7), 5) for agreed in range(1, 19)}
    assert abs(made.ledger.num_rows - 60 * chance) <= 4 * (60 * chance * (1 - chance)) ** 0.5 + 1
    assert {round(value, 5) for value in made.ledger.column("similarity").to_pylist()} <= steps


def test_keys_of_the_second_snapshot_serve_the_third_together_with_those_of_the_first(
    publish: Publish, fresh: Callable[..., Result]
) -> None:
    first = publish(OLD)
    second = fresh([OLD[0], "only in the second snapshot", "another"], against=[first])

    third = fresh(
        [OLD[1], "only in the second snapshot", "only in the third"],
        against=[first, publish(texts_of(second), first=HERE)],
    )

    assert texts_of(second) == ["another", "only in the second snapshot"]
    assert texts_of(third) == ["only in the third"]


def test_plan_says_what_keys_without_signatures_cannot_tell(publish: Publish) -> None:
    signed, bare = publish(OLD[:2], stage=Dedup(signatures=True)), publish(OLD[2:4])

    said = ["\n".join(Dedup(against=(str(folder),)).notes(1000)) for folder in (signed, bare)]

    assert ["leaves unverified" in notes for notes in said] == [False, True]


def test_a_damaged_file_of_keys_is_set_aside_and_told(tmp_path: Path, publish: Publish) -> None:
    folder = publish(OLD[:5], OLD[5:])
    damaged = folder / "keys/part-00001-of-00002.parquet"
    content = bytearray(damaged.read_bytes())
    content[4:200] = bytes(196)
    damaged.write_bytes(content)
    (tmp_path / "new.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in (OLD[0], OLD[9])))
    text = CONFIG.format(folder=tmp_path, name="new", against=f'"{folder}"', within="")
    (tmp_path / "new.yaml").write_text(text)

    report = datapipe.run(tmp_path / "new.yaml", out=tmp_path / "out", executor="local")

    assert report.exit_status == 3
    assert report.set_aside > 0
    assert report.stages[-1].documents_out == 1  # what the whole file holds has left


def test_a_bucket_of_many_earlier_copies_names_the_least_id(publish: Publish, fresh: Callable[..., Result]) -> None:
    copies = publish([OLD[0]] * 50, [OLD[0]] * 50)

    made = fresh([OLD[0]] * 3, against=[copies])

    least = min(row for table in _keys(copies) for row in table.column("id").to_pylist())
    assert made.table.num_rows == 0
    assert made.ledger.column("other").to_pylist() == [least] * 3


def _keys(folder: Path) -> list[pa.Table]:
    return [pq.read_table(path) for path in sorted((folder / "keys").glob("*.parquet"))]


def test_pairs_are_named_once_each_in_pieces_of_any_size(documents: Documents) -> None:
    schema = pa.schema([("shard", pa.int32()), ("gid", pa.int64()), ("other", pa.binary(16))])
    earlier = documents(OLD).select(["id"]).rename_columns(["other"]).to_batches(max_chunksize=4)
    met = sorted({(old, new) for old in (0, 3, 4, 9) for new in range(old * 7 + 1)} | {(4, 2**40 + 5)})
    repeated = [pair for pair in met for _ in range(3)]
    pairs = pa.table([[0] * len(repeated), *zip(*repeated, strict=True)], schema=PAIRS)

    def run(size: int) -> pa.Table:
        work = Work(0, read_beside=lambda: iter(pairs.to_batches(max_chunksize=size)))
        return pa.Table.from_batches(named(iter(earlier), work, schema=schema), schema=schema)

    ids = documents(OLD).column("id").to_pylist()
    for size in (1, 2, 50, 10_000):
        rows = run(size).to_pylist()
        assert [(row["other"], row["gid"]) for row in rows] == [(ids[old], new) for old, new in met]
        assert [row["shard"] for row in rows] == [new >> 40 for _, new in met]


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 6)), max_size=30),
    most=st.integers(1, 3),
    cut=st.integers(0, 30),
)
def test_the_kernel_meets_whom_the_plain_rule_meets(rows: list[tuple[int, int, int]], most: int, cut: int) -> None:
    table = sorted((key, int(NEW) if rank == 4 else rank, gid) for key, rank, gid in rows)
    expected = []
    for key in sorted({row[0] for row in table}):
        earlier = [gid for other, rank, gid in table if other == key and rank != NEW][:most]
        expected += [(old, gid) for other, rank, gid in table if other == key and rank == NEW for old in earlier]

    last, held, found = np.zeros(1, np.uint64), np.zeros(most + 1, np.int64), []
    for part in (table[:cut], table[cut:]):
        keys, ranks = (np.array([row[place] for row in part], np.uint64) for place in (0, 1))
        gids = np.array([row[2] for row in part], np.int64)
        earlier, new = np.empty((2, most * len(part)), np.int64)
        made = meetings(keys, ranks, gids, last, held, earlier, new)
        found += list(zip(earlier[:made].tolist(), new[:made].tolist(), strict=True))

    assert found == expected


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"bands": 14, "rows": 8},
            "bands is 18 there and 14 here, rows is 7 there and 8 here; write bands: 18, rows: 7",
        ),
        ({"seed": 2}, "seed is 1 there and 2 here; write bands: 18, rows: 7, seed: 1"),
        ({"shingle": 4}, "shingle is 5 there and 4 here; write bands: 18, rows: 7, shingle: 5"),
    ],
)
def test_refuses_keys_of_other_settings_and_says_what_to_write(
    fields: dict[str, int], said: str, publish: Publish, documents: Documents
) -> None:
    folder = publish(OLD)

    with pytest.raises(ConfigError, match=f"against: {folder}: its keys cannot be compared: {said}"):
        Dedup(against=(str(folder),), **fields).build(dataset(documents(["a"])))  # type: ignore[arg-type]


def test_refuses_keys_of_another_version(publish: Publish, documents: Documents) -> None:
    folder = publish(OLD[:2])
    path = next((folder / "keys").iterdir())
    table = pq.read_table(path)
    known = json.loads(table.schema.metadata[b"datapipe.keys"])
    pq.write_table(table.replace_schema_metadata({"datapipe.keys": json.dumps({**known, "version": 99})}), path)

    with pytest.raises(
        ConfigError, match=f"version is 99 there and {KEYS_VERSION} here; another version of datapipe made them"
    ):
        Dedup(against=(str(folder),)).build(dataset(documents(["a"])))


@pytest.mark.parametrize(
    ("name", "said"),
    [("missing", "no keys are there; give the output folder"), ("other", "part.parquet holds no keys of dedup")],
)
def test_refuses_a_folder_without_keys(name: str, said: str, tmp_path: Path, documents: Documents) -> None:
    (tmp_path / "other").mkdir()
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other/part.parquet")

    with pytest.raises(ConfigError, match=f"against: {tmp_path}/{name}: .*{said}"):
        Dedup(against=(f"{tmp_path}/{name}",)).build(dataset(documents(["a"])))


def test_refuses_keys_of_a_run_that_is_not_finished(publish: Publish, documents: Documents) -> None:
    folder = publish(OLD[:2], OLD[2:4], OLD[4:])
    (folder / "keys/part-00001-of-00003.parquet").unlink()

    with pytest.raises(ConfigError, match=f"against: {folder}: 2 of 3 parts of the keys are there; finish that run"):
        Dedup(against=(str(folder),)).build(dataset(documents(["a"])))


CONFIG = """
name: snapshots
steps:
  - ingest: {{sources: {{web: {{path: "{folder}/{name}.jsonl"}}}}}}
  - dedup: {{guard: null, against: [{against}], within: [{within}]}}
"""


def test_a_run_against_the_folder_of_an_earlier_run_keeps_what_is_new(tmp_path: Path) -> None:
    old, new = [*OLD[:6], OLD[9]], [*OLD[:2], "something that was never said before, not once", OLD[9] + "新"]
    for name, texts in (("old", old), ("new", new)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        against = f'"{tmp_path}/out-old"' if name == "new" else ""
        text = CONFIG.format(folder=tmp_path, name=name, against=against, within="")
        (tmp_path / f"{name}.yaml").write_text(text)

    datapipe.run(tmp_path / "old.yaml", out=tmp_path / "out-old", executor="local")
    report = datapipe.run(tmp_path / "new.yaml", out=tmp_path / "out-new", executor="local")
    part = datapipe.run(tmp_path / "new.yaml", out=tmp_path / "out-part", executor="local", sample=0.999999)
    expected = estimate(plan(tmp_path / "new.yaml", work=tmp_path / "none"))

    stage = report.stages[-1]
    assert {rule.rule: rule.documents for rule in stage.rules} == {"earlier_exact": 2, "earlier_minhash": 1}
    assert (stage.documents_in, stage.documents_out) == (4, 1)
    assert part.stages[-1].documents_out == stage.documents_out == expected.stages[-1].documents_out


def test_within_a_snapshot_documents_meet_and_across_snapshots_they_do_not(documents: Documents) -> None:
    text, other = " ".join(words(50, 1)), "tiny text"
    snapshots = pa.array(["2024-10", "2024-10", "2024-18", "2024-18"])
    table = documents([text, text, text, other], snapshot=snapshots)

    per_snapshot = evaluate(Dedup(within=("snapshot",)).build(dataset(table))).table
    overall = evaluate(Dedup().build(dataset(table))).table

    assert sorted(per_snapshot.column("snapshot").to_pylist()) == ["2024-10", "2024-18", "2024-18"]
    assert overall.num_rows == 2
