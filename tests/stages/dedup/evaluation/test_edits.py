"""What a copy is said to be is what it is, and what is drawn is the same everywhere."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest

from stages.dedup.evaluation.copies import Copy, every_copy, measured, one_copy_each
from stages.dedup.evaluation.edits import EDITS, UNIT, Draw, edited
from stages.dedup.fold import fold_table, load, tokens
from tests.stages.dedup.evaluation.texts import CHINESE, ENGLISH

FOLD = load(fold_table())
TEXTS = {"chinese": CHINESE, "english": ENGLISH, "mixed": CHINESE + ENGLISH}
KEEP_THE_VIEW = ("wide", "narrow", "marks_changed", "spaces", "upper_case", "rewrapped", "traditional", "simplified")


def shingles(text: str) -> set[tuple[str, ...]]:
    view = tokens(text, FOLD)
    return {tuple(view[start : start + 5]) for start in range(len(view) - 4)}


def copies(text: str, other: str = "") -> list[Copy]:
    return measured(list(every_copy("a", text, seed=1, other=other)))


@pytest.mark.parametrize("name", TEXTS)
def test_the_similarities_of_every_copy_are_those_of_sets_made_in_plain_python(name: str) -> None:
    made = copies(TEXTS[name], other=ENGLISH[:200])

    assert {copy.kind for copy in made} >= {"marks_changed", "replaced", "shuffled", "advertisements", "quoted"}
    for copy in made:
        one, other = shingles(copy.original), shingles(copy.text)
        assert copy.text != copy.original
        assert copy.jaccard == len(one & other) / len(one | other)
        assert copy.containment == len(one & other) / min(len(one), len(other))


@pytest.mark.parametrize("name", TEXTS)
def test_dress_alone_leaves_the_similarity_at_one_and_all_else_lowers_it(name: str) -> None:
    for copy in copies(TEXTS[name]):
        if copy.kind in KEEP_THE_VIEW:
            assert copy.jaccard == 1, copy.kind
        elif copy.kind.startswith("replaced"):
            assert copy.jaccard < 1, copy.kind


@pytest.mark.parametrize(("texts", "same"), [(("好", "好。"), 1.0), (("好", "坏"), 0.0), (("", "！"), 1.0)])
def test_short_texts_are_alike_only_where_their_folded_views_are_equal(texts: tuple[str, str], same: float) -> None:
    (copy,) = measured([Copy("a", "kind", 1.0, *texts)])

    assert (copy.jaccard, copy.containment) == (same, same)


@pytest.mark.parametrize("kind", ["replaced", "replaced_run"])
@pytest.mark.parametrize("degree", [0.01, 0.05, 0.1, 0.2])
@pytest.mark.parametrize("text", [CHINESE, ENGLISH])
def test_replaces_the_share_of_units_that_it_says(kind: str, degree: float, text: str) -> None:
    (copy,) = [copy for copy in copies(text) if (copy.kind, copy.degree) == (kind, degree)]

    before, after = UNIT.findall(text), UNIT.findall(copy.text)
    places = [place for place, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    assert len(places) == round(degree * len(before))
    if kind == "replaced_run":
        assert places == list(range(places[0], places[0] + len(places)))


def test_a_whole_quotation_is_contained_and_little_alike() -> None:
    (copy,) = [copy for copy in copies(CHINESE[:160], other=ENGLISH) if (copy.kind, copy.degree) == ("quoted", 1.0)]

    assert copy.containment == 1
    assert copy.jaccard < 0.5


def test_paragraphs_that_are_dropped_shuffled_or_cut_off_bring_nothing_new() -> None:
    for copy in copies(CHINESE + ENGLISH):
        if copy.kind in ("dropped", "shuffled", "truncated"):
            new = Counter(UNIT.findall(copy.text)) - Counter(UNIT.findall(copy.original))
            assert sum(new.values()) <= (copy.kind == "truncated"), copy.kind  # the last word may be cut in two


def test_makes_the_same_copies_again_and_others_for_another_seed_or_document() -> None:
    def texts(document: str, seed: int) -> list[str]:
        return [copy.text for copy in every_copy(document, CHINESE, seed=seed) if copy.kind == "replaced"]

    assert texts("a", 1) == texts("a", 1)
    assert texts("a", 1) != texts("a", 2)
    assert texts("a", 1) != texts("b", 1)


def test_draws_what_the_mersenne_twister_of_numpy_draws_for_the_digest_of_the_key() -> None:
    digest = int.from_bytes(hashlib.blake2b(b"7\0doc\x000.2", digest_size=8).digest(), "big")
    twister = np.random.RandomState([digest & 0xFFFFFFFF, digest >> 32])  # as Python seeds from a whole number

    draw = Draw(7, "doc", 0.2)

    assert [draw.random() for _ in range(5)] == twister.random_sample(5).tolist()


@pytest.mark.parametrize("text", ["", "。。。", "👍"])
def test_makes_no_copy_of_a_text_without_a_letter(text: str) -> None:
    assert [edited(text, edit, edit.degrees[0], document="a", seed=1) for edit in EDITS] == [None] * len(EDITS)


def test_every_document_is_in_one_pair_at_most_and_all_edits_have_their_turn() -> None:
    amount = 3 * sum(len(edit.degrees) for edit in EDITS)
    documents = [(f"{number}", f"{number} {CHINESE}") for number in range(amount)]

    made = list(one_copy_each(iter(documents), seed=1))

    turns = Counter((copy.kind, copy.degree) for copy in made)
    assert len({copy.document for copy in made}) == len(made)
    assert max(turns.values()) - min(turns.values()) <= 1
    hosts = [copy.text.split()[0] for copy in made if copy.kind == "quoted"]
    assert len(set(hosts)) == len(hosts) > 0
    assert not {copy.document for copy in made} & set(hosts)
