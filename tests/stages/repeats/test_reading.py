import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.dedup.fold import fold_table, load, tokens
from stages.repeats import reading
from stages.repeats.reading import locate, passage_keys, pieces

FOLD = load(fold_table())
# No letters that fold to several tokens: their parts have no bytes of their own.
TEXTS = st.text(st.sampled_from("ab Z9,.\n北京軟體的，。①é\u0301\u093f\u200d👍🏽カไ한\u00ad\U00020000"), max_size=80)


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, size=st.integers(1, 9), overlap=st.integers(0, 5))
def test_reads_the_tokens_of_the_folded_view_with_their_bytes(text: str, size: int, overlap: int) -> None:
    data = np.frombuffer(text.encode(), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "PIECE", size)
        read = [
            (p.first, p.hashes.tolist(), p.starts.tolist(), p.ends.tolist())
            for p in pieces(data, FOLD, overlap=overlap)
        ]

    places: dict[int, tuple[int, int, int]] = {}
    for first, *columns in read:
        for number, found in enumerate(zip(*columns, strict=True), first):
            assert places.setdefault(number, found) == found
    view = tokens(text, FOLD)
    assert sorted(places) == list(range(len(view)))
    for number, (_, start, end) in places.items():
        assert tokens(data[start:end].tobytes().decode(), FOLD) == [view[number]]
    for one, other in itertools.combinations(places, 2):
        assert (places[one][0] == places[other][0]) == (view[one] == view[other])


@settings(max_examples=60, deadline=None)
@given(words=st.lists(st.sampled_from("abc"), max_size=30), length=st.integers(1, 6))
def test_passages_have_equal_keys_if_they_are_equal(words: list[str], length: int) -> None:
    keys = [
        key for p in pieces(np.frombuffer(" ".join(words).encode(), np.uint8), FOLD) for key in passage_keys(p, length)
    ]

    passages = [tuple(words[at : at + length]) for at in range(len(words) - length + 1)]
    assert len(keys) == len(passages)
    for one, other in itertools.combinations(range(len(keys)), 2):
        assert (keys[one] == keys[other]) == (passages[one] == passages[other])


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, size=st.integers(1, 9), data=st.data())
def test_locates_tokens_and_the_end(text: str, size: int, data: st.DataObject) -> None:
    content = np.frombuffer(text.encode(), np.uint8)
    places = [place for p in pieces(content, FOLD) for place in zip(p.starts.tolist(), p.ends.tolist(), strict=True)]
    total = len(tokens(text, FOLD))
    wanted = data.draw(st.lists(st.integers(0, total), max_size=6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "PIECE", size)
        located = locate(content, FOLD, wanted)

    assert located.total == total
    for token in wanted:
        assert located.at[token] == (places[token][0] if token < total else len(content))
        assert located.before[token] == (places[token - 1][1] if token else 0)


def test_measures_characters_and_han_twice() -> None:
    content = np.frombuffer("ab é 北京。カ 😀".encode(), np.uint8)

    assert locate(content, FOLD, [0]).width(0, 5) == 5 + 2 * 3 + 2 + 1 + 2
