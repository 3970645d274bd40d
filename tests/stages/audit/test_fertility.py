import json
from pathlib import Path

import numpy as np
import pytest

from stages.audit import fertility
from stages.audit.counter import Facts
from stages.audit.fertility import cost_of, is_piece, piece_share
from stages.corpus import Corpus
from stages.tokens.encoder import Reference
from stages.tokens.fertility import token_bytes
from tests.stages.audit.counted import facts_of, figures, rows, tables
from tests.stages.audit.rows import frame

KEPT = [
    {"source": "a", "language": "eng_Latn", "bytes": 400, "characters": 400, "tokens": 100, "trained": 1},
    {"source": "a", "language": "zho_Hans", "bytes": 300, "characters": 100, "tokens": 60, "trained": 1},
    {"source": "b", "language": "lzh_Hant", "bytes": 30, "characters": 10, "tokens": 20, "trained": 1},
]


def test_rates_come_from_sums_by_language_and_source() -> None:
    made = tables(fertility.sections(facts_of(frame(KEPT))))

    assert rows(made["fertility.languages"], "language", "per_character", "per_token") == [
        ("eng_Latn", 0.25, 4.0),
        ("zho_Hans", 0.6, 5.0),
        ("lzh_Hant", 2.0, 1.5),
    ]
    assert rows(made["fertility.sources"], "source", "per_character", "per_token") == [
        ("a", 0.32, 4.375),
        ("b", 2.0, 1.5),
    ]


def test_the_cost_of_the_same_content_weighs_bytes_by_those_of_translations() -> None:
    told = figures(fertility.sections(facts_of(frame(KEPT))))

    # 60/300 tokens a byte, .936 bytes for one of English, over 100/400
    assert told["fertility.zho_Hans.cost"].value == pytest.approx(0.2 * 0.936 / 0.25)
    assert "fertility.lzh_Hant.cost" not in told  # nobody has measured it
    assert cost_of({"language": "zho_Hans", "bytes": 300, "tokens": 60}, None) is None


def test_unknown_tokens_are_those_that_the_step_counted() -> None:
    run = {"stages": [{"stage": "tokenize", "counts": {"tokens": 200, "unknown_tokens": 5}}]}

    told = figures(fertility.sections(facts_of(frame(KEPT), run=run)))

    assert told["fertility.unknown"].value == 0.025


def test_there_is_no_such_section_without_tokens() -> None:
    assert not list(fertility.sections(facts_of(frame([{"language": "eng_Latn", "characters": 5}]))))


def test_tokens_that_are_pieces_of_a_character_are_counted_in_samples_as_trained(finished: Path) -> None:
    corpus = Corpus.open(str(finished))
    piece = is_piece(corpus.tokenizer())
    ids = np.concatenate([np.concatenate(batch.column("input_ids").to_numpy(False)) for batch in corpus.split().rows()])
    ids = ids[ids != corpus.eos]

    found, drawn = piece_share(corpus, most=10**6)

    assert drawn == corpus.split().total
    assert found.value == pytest.approx(piece[ids].mean())
    assert 0 < found.low < found.value < found.high
    assert piece_share(corpus, most=3)[1] == 3


def plainly(engine: Reference) -> list[bool]:
    """Whether the bytes of each token are no whole characters, read from the library's vocabulary."""
    return [piece.decode(errors="replace").encode() != piece for piece in token_bytes(engine)]


def test_pieces_of_characters_are_those_of_a_plain_reading_of_the_vocabulary(finished: Path) -> None:
    content = Corpus.open(str(finished)).tokenizer()

    assert is_piece(content).tolist() == plainly(Reference(content, ()))
    assert 0 < is_piece(content).sum() < len(is_piece(content))


def test_bytes_of_a_tokenizer_that_falls_back_to_them_are_pieces() -> None:
    vocab = {"<unk>": 0, "▁中": 1, "<0xE4>": 2, "<0x0A>": 3, "a": 4}
    model = {"type": "BPE", "vocab": vocab, "merges": [], "unk_token": "<unk>", "byte_fallback": True}
    decoder = {"type": "ByteFallback"}
    content = json.dumps({"version": "1.0", "added_tokens": [], "model": model, "decoder": decoder}).encode()

    assert is_piece(content).tolist() == [False, False, True, False, False]


def test_the_figures_of_a_finished_run_are_whole(facts: Facts) -> None:
    told = figures(fertility.sections(facts))

    assert told["fertility.pieces.trained"].of
    assert float(told["fertility.bytes_per_token"].value or 0) > 1
