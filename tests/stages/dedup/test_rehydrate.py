import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import datapipe
from datapipe import ConfigError
from datapipe.testing import Result, dataset, evaluate
from stages.dedup import Dedup
from stages.dedup.rehydrate import table_of

Deduplicate = Callable[..., Result]
ROOT = Path(__file__).parents[3]


def plain_weight(size: int, table: Mapping[int, int]) -> int:
    return table[max(least for least in table if least <= size)]


README = {1: 1, 2: 2, 3: 3, 5: 5, 100: 8, 1000: 1}  # of FineWeb-2


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 99, 100, 101])
def test_a_survivor_is_weighed_by_the_documents_it_stands_for(size: int, deduplicate: Deduplicate) -> None:
    made = deduplicate(["one and the same text"] * size, ["alone"], stage=Dedup(rehydrate="fineweb2"))

    weights = dict(zip(made.table["cluster_size"].to_pylist(), made.table["weight"].to_pylist(), strict=True))
    assert weights == {1: 1, size: plain_weight(size, README)}
    assert made.counts["weight"] == sum(made.table["weight"].to_pylist())


def test_above_the_last_size_boilerplate_is_sampled_once() -> None:
    table = dict(table_of("fineweb2"))

    assert [plain_weight(size, table) for size in (999, 1000, 10**6)] == [8, 1, 1]
    assert table == README


def test_the_table_for_chinese_ends_where_it_began() -> None:
    table = dict(table_of("fineweb2_zh"))

    assert [plain_weight(size, table) for size in (1, 2, 3, 9, 15, 16, 59, 60, 1000)] == [1, 4, 4, 9, 9, 8, 2, 1, 1]


def test_a_second_dedup_weighs_all_that_both_have_removed(documents: Callable[..., object]) -> None:
    once = Dedup().build(dataset(documents(["a b c"] * 3)))  # type: ignore[arg-type]

    assert evaluate(Dedup(rehydrate={1: 1, 3: 7}).build(once)).table.column("weight").to_pylist() == [7]


@pytest.mark.parametrize("table", [{2: 2}, {0: 1, 1: 1}, {1: -1}, {1: 2**31}])
def test_refuses_a_table_that_cannot_be(table: dict[int, int], documents: Callable[..., object]) -> None:
    with pytest.raises(ConfigError, match="rehydrate: "):
        Dedup(rehydrate=table).build(dataset(documents(["a"])))  # type: ignore[arg-type]


def test_fineweb2_on_the_sample_samples_survivors_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    report = datapipe.run("configs/fineweb2.yaml", out=tmp_path, executor="local")

    steps = [stage.stage for stage in report.stages]
    groups = json.loads((tmp_path / "corpus/manifest.json").read_text())["mix"]["groups"]
    assert steps.index("dedup") < steps.index("quality")
    assert {row["group"]: row["epochs"] for row in groups} == {
        f"{source} x{weight}": weight for source in ("notes", "pages") for weight in (1, 2)
    } | {"pages x3": 3}
