"""What holds for every corpus: the step equals brute force, and nothing that was cut is lost."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datapipe.testing import Result
from stages.dedup.fold import fold_table, load, tokens
from stages.repeats import plain

FOLD = load(fold_table())
Run = Callable[..., Result]
View = list[str]


def joined(parts: Sequence[View]) -> View:
    return [token for part in parts for token in part]


# Few letters: nearly everything repeats, often within itself and over its own end.
WORDS = st.lists(st.sampled_from(["a", "b", "c", "北", "京"]), max_size=30)
COPIES = st.lists(WORDS, min_size=1, max_size=3).flatmap(
    lambda pool: st.lists(st.lists(st.sampled_from(pool), max_size=4).map(joined), max_size=6)
)
CORPORA = st.one_of(st.lists(WORDS, max_size=6), COPIES)
LENGTHS = st.integers(4, 9)
PLAINLY = {"characters": 0, "scraps": 0, "least": 0, "slack": 0}


def text_of(view: View) -> str:
    """Returns a text of such tokens, with marks between that look as if they belonged to one side."""
    marks = itertools.cycle([" ", ". ", ", ", "\n\n", " (", ") ", "；", "\n- "])
    return "".join(f"{token}{mark}" for token, mark in zip(view, marks, strict=False))


def spans(places: set[int], length: int) -> set[int]:
    return {token for place in places for token in range(place, place + length)}


def runs_of(numbers: set[int]) -> list[list[int]]:
    """Returns numbers that follow each other, together."""
    ordered = enumerate(sorted(numbers))
    return [[number for _, number in run] for _, run in itertools.groupby(ordered, key=lambda item: item[1] - item[0])]


def pieces_of(view: View, gone: set[int]) -> list[View]:
    """Returns what is left of a document, in pieces."""
    runs = itertools.groupby(range(len(view)), key=lambda number: number in gone)
    return [[view[number] for number in run] for is_gone, run in runs if not is_gone]


def cut(views: Sequence[View], length: int, *, whole: bool, keep: str = "first") -> list[set[int]]:
    """Returns the tokens of each document that go, by brute force."""
    made = []
    for later, first in zip(*plain.repeats(views, length), strict=True):
        if keep == "none":
            gone = spans(later | first, length)
        else:
            gone = spans(later, length) - (spans(first, length) if whole else set())
        made.append({token for run in runs_of(gone) if len(run) >= length for token in run})
    return made


def passages(pieces: Sequence[View], length: int) -> Iterator[tuple[str, ...]]:
    for piece in pieces:
        for start in range(len(piece) - length + 1):
            yield tuple(piece[start : start + length])


@settings(max_examples=60, deadline=None)
@given(views=CORPORA, length=LENGTHS, whole=st.booleans(), keep=st.sampled_from(["first", "none"]))
def test_cuts_what_brute_force_cuts(views: list[View], length: int, whole: bool, keep: str, run: Run) -> None:
    views = [*views, []]
    gone = cut(views, length, whole=whole, keep=keep)

    made = run([text_of(view) for view in views], tokens=length, whole=whole, keep=keep, **PLAINLY)

    left = [tokens(text, FOLD) for text in made.table.column("text").to_pylist()]
    wanted = [joined(pieces_of(view, out)) for view, out in zip(views, gone, strict=True)]
    assert left == [view for view, out in zip(wanted, gone, strict=True) if view or not out]
    assert sum(row["value"] for row in made.ledger.to_pylist()) == sum(map(len, gone))


@settings(max_examples=60, deadline=None)
@given(CORPORA, LENGTHS)
def test_every_repeated_passage_stands_whole_once_and_nothing_else_is_cut(views: list[View], length: int) -> None:
    gone = cut(views, length, whole=True)

    left = [piece for view, out in zip(views, gone, strict=True) for piece in pieces_of(view, out)]
    times = Counter(passages(views, length))
    assert {passage for passage, amount in times.items() if amount > 1} <= set(passages(left, length))
    for out, later in zip(gone, plain.repeats(views, length)[0], strict=True):
        assert out <= spans(later, length)


@settings(max_examples=60, deadline=None)
@given(CORPORA, LENGTHS)
def test_no_passage_is_left_twice_if_stretches_need_not_stay_whole(views: list[View], length: int) -> None:
    gone = cut(views, length, whole=False)

    left = list(passages([p for view, out in zip(views, gone, strict=True) for p in pieces_of(view, out)], length))
    assert len(left) == len(set(left))


@settings(max_examples=20, deadline=None)
@given(views=CORPORA.filter(len), length=LENGTHS, data=st.data())
def test_order_shards_and_batches_do_not_matter(views: list[View], length: int, data: st.DataObject, run: Run) -> None:
    texts = [text_of(view) for view in views]
    ranks = data.draw(st.lists(st.integers(0, 2), min_size=len(texts), max_size=len(texts)))
    wanted = sorted(run(texts, ranks=ranks, tokens=length, **PLAINLY).table.column("text").to_pylist())
    order = data.draw(st.permutations(range(len(texts))))
    where = data.draw(st.integers(0, len(texts)))
    shuffled, shuffled_ranks = [texts[n] for n in order], [ranks[n] for n in order]

    made = run(
        shuffled[:where],
        shuffled[where:],
        ranks=shuffled_ranks,
        rows_per_batch=data.draw(st.integers(1, 7)),
        tokens=length,
        **PLAINLY,
    )

    assert sorted(made.table.column("text").to_pylist()) == wanted


def test_the_example_in_which_a_stretch_would_go_to_pieces(run: Run) -> None:
    texts = ["x a b c d y", "v a b c d e f g", "c d e f g w"]

    whole = run(texts, tokens=4, **PLAINLY)
    pieces = run(texts, tokens=4, whole=False, **PLAINLY)

    assert whole.table.column("text").to_pylist() == ["x a b c d y", "v a b c d e f g", "w"]
    assert pieces.table.column("text").to_pylist() == ["x a b c d y", "v e f g", "w"]


@pytest.mark.parametrize("unit", ["a ", "a b ", "哈", "a b c d e f g h i j k l m n o p q r s t u v w x y z 甲 乙 "])
def test_text_that_repeats_itself_is_left_once(unit: str, run: Run) -> None:
    made = run([unit * 300], rows_per_batch=1000, tokens=20, **PLAINLY)

    (left,) = made.table.column("text").to_pylist()
    period = len(tokens(unit, FOLD))
    assert tokens(left, FOLD) == tokens(unit * 300, FOLD)[: period + 19]
