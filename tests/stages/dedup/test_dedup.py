import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import opencc
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe import ConfigError, PlanError
from datapipe.dataset import Map
from datapipe.stage import identity
from datapipe.testing import Result, dataset, evaluate
from stages.dedup import Dedup
from stages.dedup.fold import fold_table, load, tokens
from stages.dedup.guard import Guard
from stages.schema import CLUSTER

FOLD = load(fold_table())
Deduplicate = Callable[..., Result]

DISTINCT_CHINESE = [
    "春天来了，河边的柳树发出新芽，孩子们在草地上放风筝，老人坐在长椅上晒太阳，一切都显得那么安静。",
    "这台发动机采用水冷方式散热，最大功率为一百二十千瓦，适合安装在中型货车和客车上使用。",
    "本次考试共有三道大题，考生须在两个小时之内完成，不得携带手机和任何书籍进入考场。",
    "糖醋排骨的做法并不复杂，先将排骨焯水，再用冰糖炒出颜色，最后加醋和酱油小火慢炖即可。",
    "公司董事会昨日宣布，由于原材料价格持续上涨，明年第一季度产品售价将上调百分之五。",
    "唐代诗人杜甫晚年漂泊西南，生活困苦，却写下了许多关心百姓疾苦的不朽诗篇。",
    "使用本软件之前请仔细阅读许可协议，继续安装即表示您同意其中的全部条款。",
    "昨夜台风登陆沿海地区，部分航班取消，气象部门提醒市民尽量减少外出并做好防护。",
]


def words(amount: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [f"w{draw.randrange(100_000)}" for _ in range(amount)]


def replaced(original: Sequence[str], amount: int, seed: int) -> list[str]:
    """Returns a copy in which `amount` words at random places are new ones."""
    draw = random.Random(seed)
    copy = list(original)
    for place in draw.sample(range(len(copy)), amount):
        copy[place] = f"n{draw.randrange(100_000)}"
    return copy


def jaccard(one: str, other: str, width: int = 5) -> float:
    first, second = (
        {tuple(view[start : start + width]) for start in range(len(view) - width + 1)}
        for view in (tokens(one, FOLD), tokens(other, FOLD))
    )
    return len(first & second) / len(first | second)


def chance_to_meet(similarity: float) -> float:
    return float(1 - (1 - similarity**7) ** 18)


def texts_of(result: Result) -> list[str]:
    return sorted(result.table.column("text").to_pylist())


def test_keeps_one_of_exact_and_near_copies_and_says_of_whom_the_others_are_copies(deduplicate: Deduplicate) -> None:
    original = " ".join(words(300, 1))
    near = " ".join(replaced(words(300, 1), 2, 2))

    made = deduplicate([original + " longest", "all alone here"], [near, original.upper() + "  LONGEST!"])

    best = {row["text"][-8:]: row for row in made.table.to_pylist()}
    left = made.ledger.to_pylist()
    survivor = best["LONGEST!"]["id"]
    assert {text: row["cluster_size"] for text, row in best.items()} == {"LONGEST!": 3, "one here": 1}
    assert all(row["cluster"] == row["id"] for row in best.values())
    assert {(row["action"], row["other"]) for row in left} == {("duplicate_of", survivor)}
    assert sorted(row["rule"] for row in left) == ["exact", "minhash"]
    assert all(row["note"] for row in left)
    assert [row["similarity"] for row in left if row["rule"] == "exact"] == [1.0]
    assert [row["similarity"] for row in left if row["rule"] == "minhash"] == [
        pytest.approx(jaccard(near, original + " longest"))
    ]


def test_adds_cluster_columns_and_keeps_what_an_earlier_pass_found(documents: Callable[..., pa.Table]) -> None:
    once = Dedup().build(dataset(documents(["a b c", "a b c", "d"])))
    twice = evaluate(Dedup().build(once))

    assert twice.table.schema.names == ["id", "text", "text_digest", *CLUSTER.names]
    assert twice.table.column("cluster_size").to_pylist() == [2, 1]


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("kind", [pa.int32(), pa.int64()])
@pytest.mark.parametrize("shards", [1, 4])
def test_sizes_of_earlier_passes_add_up_and_stop_where_their_column_ends(
    shards: int, kind: pa.DataType, verify: bool, documents: Callable[..., pa.Table]
) -> None:
    sizes = [3, 2**31 - 2, None, 7]
    texts = ["a text of some copies", "a text of too many", "a text of too many", "A text of some copies"]
    table = documents(texts, cluster_size=pa.array(sizes, kind))

    given = dataset(*(table.slice(4 // shards * shard, 4 // shards) for shard in range(shards)))
    made = evaluate(Dedup(verify=verify, audit=0).build(given), rows_per_batch=2).table

    assert made.schema.field("cluster_size").type == pa.int32()
    assert sorted(made["cluster_size"].to_pylist()) == [10, 2**31 - 1]


def test_a_column_that_dedup_would_not_tell_from_its_own_is_refused(documents: Callable[..., pa.Table]) -> None:
    with pytest.raises(ConfigError, match="survivor: 'size' is a name that dedup has a use for"):
        Dedup(survivor=("-size",)).build(dataset(documents(["a"], size=pa.array([1]))))


def test_another_limit_of_the_guard_signs_nothing_again(documents: Callable[..., pa.Table]) -> None:
    table = documents(["a"], source=pa.array(["s"]), url=pa.array(["http://a.cn/"]))

    def signing(guard: Guard | None) -> object:
        made = Dedup(guard=guard).build(dataset(table)).op
        assert isinstance(made, Map)
        assert isinstance(made.parent.op, Map)
        return identity(made.parent.op.function), made.parent.op.outputs

    assert signing(None) == signing(Guard()) == signing(Guard(action="warn"))


def test_keeps_distinct_chinese_paragraphs(deduplicate: Deduplicate) -> None:
    assert deduplicate(DISTINCT_CHINESE).table.num_rows == 8


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("，", ",").replace("。", "."),
        lambda text: text.replace("，", " ， ").replace("春", " 春"),
        lambda text: "\u3000\u3000" + text + "\n",
        opencc.OpenCC("s2t").convert,
    ],
    ids=["width", "spaces", "indent", "traditional"],
)
def test_knows_a_chinese_text_in_other_dress(edit: Callable[[str], str], deduplicate: Deduplicate) -> None:
    text = "".join(DISTINCT_CHINESE)

    made = deduplicate([text], [edit(text)])

    assert edit(text) != text
    assert made.table.num_rows == 1
    assert made.ledger.column("rule").to_pylist() == ["exact"]


def test_finds_an_edited_chinese_text(deduplicate: Deduplicate) -> None:
    text = "".join(DISTINCT_CHINESE)
    edited = text.replace("孩子们", "小朋友").replace("明年", "下个年度")

    assert deduplicate([text, *DISTINCT_CHINESE, edited]).table.num_rows == 9


@pytest.mark.parametrize("text", ["", "👍", "。。。", "  ", "好", "ok", "one two three four"])
def test_removes_exact_copies_of_empty_and_short_texts(text: str, deduplicate: Deduplicate) -> None:
    made = deduplicate([text, "another one"], [text])

    assert texts_of(made) == sorted([text, "another one"])


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(st.text(st.sampled_from("a b北，。👍…\n"), max_size=8), max_size=12, unique=True))
def test_distinct_documents_never_meet_through_emptiness_or_shortness(
    texts: list[str], deduplicate: Deduplicate
) -> None:
    texts = [text for text in texts if len(tokens(text, FOLD)) < 5]
    views = {tuple(tokens(text, FOLD)) or text for text in texts}

    made = deduplicate(texts)

    assert made.table.num_rows == len(views)


POOL = [
    *DISTINCT_CHINESE[:3],
    DISTINCT_CHINESE[0].replace("，", ","),
    DISTINCT_CHINESE[1] + "。",
    " ".join(words(60, 1)),
    " ".join(replaced(words(60, 1), 1, 2)),
    " ".join(replaced(words(60, 1), 3, 3)),
    " ".join(words(60, 1)).upper(),
    "short",
    "Short!",
    "",
    "👍",
]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_same_texts_survive_in_any_shards_order_and_batches(data: st.DataObject, deduplicate: Deduplicate) -> None:
    order = data.draw(st.permutations([*POOL, *POOL[:4]]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=3)))
    shards = [order[start:end] for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True)]

    made = deduplicate(*shards, rows_per_batch=data.draw(st.integers(1, 20)))

    assert texts_of(made) == texts_of(deduplicate([*POOL, *POOL[:4]]))
    assert made.table.num_rows + made.ledger.num_rows == len(order)


def test_every_row_is_the_same_however_batches_are_cut(deduplicate: Deduplicate) -> None:
    shards = [POOL, list(reversed(POOL)), [], POOL[3:9]]

    tables = [deduplicate(*shards, rows_per_batch=size) for size in (1, 2, 5, 100)]

    assert all(made.shards == tables[0].shards for made in tables)
    assert all(made.ledger == tables[0].ledger for made in tables)
    assert all(made.counts == tables[0].counts for made in tables)


def test_the_survivor_is_chosen_by_declared_columns(documents: Callable[..., pa.Table]) -> None:
    text = " ".join(words(50, 1))
    columns = {
        "source": pa.array(["crawl", "books", "wiki", "wiki"]),
        "quality": pa.array([0.9, None, 0.1, 0.5], pa.float32()),
        "crawl_time": pa.array([1, 2, 3, 4], pa.int64()),
    }
    table = documents([text] * 4, **columns)

    def best(*survivor: str | dict[str, tuple[str, ...]]) -> dict[str, object]:
        (row,) = evaluate(Dedup(survivor=survivor).build(dataset(table))).table.to_pylist()
        return dict(row)

    assert best("-quality")["crawl_time"] == 1
    assert best("quality")["crawl_time"] == 3
    assert best("-crawl_time")["crawl_time"] == 4
    assert best({"source": ("wiki", "books")}, "-quality")["crawl_time"] == 4
    assert best({"source": ("books",)})["cluster_size"] == 4


def test_a_cluster_may_span_shards_and_batches(deduplicate: Deduplicate) -> None:
    original = words(200, 1)
    shards = [[" ".join(replaced(original, 1, seed + 10 * shard)) for seed in range(10)] for shard in range(4)]

    made = deduplicate(*shards, rows_per_batch=7)

    assert made.table.num_rows == 1
    assert made.table.column("cluster_size").to_pylist() == [40]
    assert made.counts["largest_component"] == made.counts["candidates"] == 40


@pytest.mark.parametrize("changed", [2, 4, 7, 12])
def test_finds_near_copies_as_often_as_the_curve_says(changed: int, deduplicate: Deduplicate) -> None:
    originals = [words(200, seed) for seed in range(120)]
    copies = [replaced(original, changed, 1000 + seed) for seed, original in enumerate(originals)]
    first, second = ([" ".join(text) for text in texts] for texts in (originals, copies))

    found = deduplicate(first, second, stage=Dedup(verify=False), rows_per_batch=200).ledger.num_rows

    chances = [chance_to_meet(jaccard(one, other)) for one, other in zip(first, second, strict=True)]
    deviation = sum(chance * (1 - chance) for chance in chances) ** 0.5
    assert abs(found - sum(chances)) <= 4 * deviation + 1


def test_finds_the_pairs_that_the_articles_are_known_to_hold(shared: Path, deduplicate: Deduplicate) -> None:
    folder = shared / "dedup/minhash-articles/data"
    articles = dict(line.split(" ", 1) for line in (folder / "articles_1000.train").read_text().splitlines())
    pairs = [line.split() for line in (folder / "articles_1000.truth").read_text().splitlines()]

    made = deduplicate(list(articles.values()), rows_per_batch=500)

    kept = set(made.table.column("text").to_pylist())
    assert [articles[one] in kept and articles[other] in kept for one, other in pairs] == [False] * len(pairs)
    assert made.ledger.num_rows == len(pairs)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"bands": 20, "rows": 7}, "bands \\* rows is 20 \\* 7 = 140, more than the 128 permutations"),
        ({"rows": 0, "bands": 3}, "rows: 0 is too small"),
        ({"rows": 7}, "bands and rows are given together"),
        ({"recall": 0.9999, "threshold": 0.01}, "more than 128 permutations can give"),
        ({"seed": -1}, "seed: -1 is not from 0"),
        ({"permutations": 10**9}, "permutations: 1000000000 is too large; it is at most 65536"),
        ({"shingle": 10**9}, "shingle: 1000000000 is too large"),
        ({"union_find_bytes": -1}, "union_find_bytes: -1 is no amount of memory"),
        ({"mode": "local_min", "rehydrate": "fineweb2"}, "rehydrate: weights follow from sizes of clusters"),
        ({"within": ("text_digest",)}, r"within: column 'text_digest' holds fixed_size_binary\[16\]"),
    ],
)
def test_refuses_settings_that_cannot_be(
    fields: dict[str, object], said: str, documents: Callable[..., pa.Table]
) -> None:
    with pytest.raises(ConfigError, match=said):
        Dedup(**fields).build(dataset(documents(["a"])))  # type: ignore[arg-type]  # as a config would have it


def test_asks_for_the_columns_it_needs(documents: Callable[..., pa.Table]) -> None:
    with pytest.raises(PlanError, match="needs column 'text_digest'"):
        Dedup().build(dataset(documents(["a"]).drop_columns(["text_digest"])))


def test_the_report_says_what_verification_refused() -> None:
    counts = {"verified": 1200, "compared": 40, "refused": 10, "refused_documents": 8, "verified_bytes": 2048}

    (said,) = Dedup(threshold=0.75).remarks(counts)

    assert said.startswith("verification: 10 of 40 pairs that were compared are less alike than 0.75; 8 documents stay")
    assert list(Dedup(verify=False).remarks({})) == []


@pytest.mark.parametrize("unverified", [{"verify": False}, {"mode": "local_min"}])
def test_the_plan_says_where_a_measure_has_no_part(unverified: dict[str, Any]) -> None:
    said = "\n".join(Dedup(measure="containment", **unverified).notes(100))

    assert "measure: containment has no part in who leaves" in said
    assert "measure" not in "\n".join([*Dedup(measure="containment").notes(100), *Dedup(**unverified).notes(100)])
