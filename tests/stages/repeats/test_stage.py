import random
from collections.abc import Callable

from datapipe.testing import Result

Run = Callable[..., Result]


def words(amount: int, seed: int) -> str:
    draw = random.Random(seed)
    return " ".join(f"w{draw.randrange(100_000)}" for _ in range(amount))


def texts_of(result: Result) -> list[str]:
    return [text for shard in result.shards for text in shard.column("text").to_pylist()]


def test_cuts_a_passage_of_all_documents_but_the_first(run: Run) -> None:
    passage, heads, tails = words(60, 0), [words(80, n) for n in (1, 2, 3)], [words(80, n) for n in (4, 5, 6)]
    texts = [f"{head}. {passage}. {tail}." for head, tail in zip(heads, tails, strict=True)]

    made = run(texts[:2], texts[2:])

    assert texts_of(made) == [texts[0], *(f"{heads[n]}. {tails[n]}." for n in (1, 2))]
    left = made.ledger.to_pylist()
    assert [(row["action"], row["rule"], row["value"]) for row in left] == [("repair", "repeat", 60.0)] * 2
    first = made.table.column("id")[0].as_py()
    assert {row["other"] for row in left} == {first}
    assert all(row["note"] == passage[:160] for row in left)
