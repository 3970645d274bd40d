"""From the languages of a document's pieces to its language, score and shares.

A piece goes to the language most probable for it and for the document: the product of its own probability and of the
mean over all pieces, weighted by letters. So one of six pieces of a Spanish page is not made Portuguese by a close
call, while the Chinese half of a bilingual page stays Chinese. Languages not written in the piece's script are left
out; a piece for which none is left, or for which the model says so, is undetermined. The plain twin is
`plain.decide`.

Mandarin and Cantonese differ for a model by subject and tone as much as by language, so the characters that only
Cantonese uses decide where they can: they are 6-15 % of Cantonese and next to none of Mandarin. Likewise classical and
modern Chinese: function words that only one has (矣焉哉曰, 的了们这) are 3-12 % of classical prose and less than 0.4 %
of modern, 4-20 % of modern prose and less than 0.6 % of classical. Verse and statutes have few of either (0-2 % of the
modern ones; Taiwan's statutes 0.2 %), so for them the n-grams of the model decide. Lists of names, dishes or titles
have none, and to the model they are like verse; but they have no clauses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stages.language.pieces import HAN_WEIGHT, HANS, HANT, LZH, MODERN, YUE, Pieces
from stages.language.tables import BOPOMOFO, HAN, HIRAGANA, KATAKANA, LATIN

CLEARLY = 0.7  # share of the deciding Han characters from which a text is in one standard
CANTONESE, MANDARIN = 0.02, 0.004  # share of Cantonese characters in Han from which, up to which it is certain
LITERARY, LIVING = 0.02, 0.004  # share of classical function words from which, with modern ones up to which, it is lzh
SPOKEN = 0.04  # share of modern function words in Han from which a text is modern however much it quotes
ODDS = 4  # of classical against modern Chinese by the model, from which it is believed
QUATRAIN = 16  # Han characters: a poem of four lines has 20
LATIN_IN_HAN = 0.1  # Latin letters, and digits, a Han character
LONGEST_CLAUSES = 16  # Han characters a mark (，。！？；) of verse or prose: a couplet has 10 or 14 to its two or one
JAPANESE = 0.1  # share of kana in Han and kana from which the script is Japanese


@dataclass(frozen=True)
class Shares:
    """Who has what of each document: a row a language met in it, documents ascending, then the largest share first.

    `document` int32, `language` int32 (its number among the model's languages, the last being `und`), `group` uint8
    (script of its heaviest piece), `share` float64 of the letters, `score` float64 (mean probability of the language
    over all pieces), `own` float64 (mean probability of each piece's language, equal for all rows of a document).
    """

    document: npt.NDArray[np.int32]
    language: npt.NDArray[np.int32]
    group: npt.NDArray[np.uint8]
    share: npt.NDArray[np.float64]
    score: npt.NDArray[np.float64]
    own: npt.NDArray[np.float64]


def decide(
    pieces: Pieces,
    numbers: npt.NDArray[np.int32],
    chances: npt.NDArray[np.float32],
    fitting: npt.NDArray[np.bool_],
) -> Shares:
    """Returns the shares of the languages of each document that has a piece.

    `numbers` and `chances` [pieces, n] are the most probable languages of each piece; `fitting` bool[languages,
    GROUPS] is where a language is written. The last language is `und`.
    """
    return Shares(*_decide(pieces.document, pieces.group, pieces.weight, numbers, chances, fitting))


def settle_cantonese(
    pieces: Pieces, numbers: npt.NDArray[np.int32], mandarin: int, cantonese: int
) -> npt.NDArray[np.int32]:
    """Returns `numbers` with one of the two languages for both in documents whose characters tell which."""
    share = pieces.scripts[:, YUE] / np.maximum(pieces.scripts[:, HAN] / HAN_WEIGHT, 1)
    told = np.select([share >= CANTONESE, share <= MANDARIN], [cantonese, mandarin], -1)[pieces.document][:, None]
    either = (numbers == mandarin) | (numbers == cantonese)
    return np.where(either & (told >= 0), told, numbers).astype(np.int32)


def settle_classical(
    texts: pa.Array,
    pieces: Pieces,
    numbers: npt.NDArray[np.int32],
    chances: npt.NDArray[np.float32],
    modern: int,
    classical: int,
) -> npt.NDArray[np.int32]:
    """Returns `numbers` with one of modern and classical Chinese for both in each document.

    Where function words do not tell, it is classical only if the model is sure of it (`ODDS`), for modern Chinese is
    far commoner and a short text of either has few n-grams; and only from `QUATRAIN` characters on, in clauses, with
    hardly a Latin letter or digit. `texts` are those that the pieces are of.
    """
    scripts = pieces.scripts
    han = np.maximum(scripts[:, HAN] / HAN_WEIGHT, 1)
    old, new = scripts[:, LZH], scripts[:, MODERN]
    literary = (old / han >= LITERARY) & (old > 1) & (new / han <= LIVING)
    chance = [
        np.bincount(pieces.document, pieces.weight * np.where(numbers == one, chances, 0).sum(axis=1), len(scripts))
        for one in (modern, classical)
    ]
    sure = (chance[1] > ODDS * chance[0]) & (han >= QUATRAIN) & (scripts[:, LATIN] <= LATIN_IN_HAN * han)
    unspoken = new / han < SPOKEN
    sure &= ~literary & unspoken
    sure[sure] = _has_clauses(texts.filter(pa.array(sure)), han[sure])
    is_classical = (literary & unspoken) | sure
    told = np.where(is_classical, classical, modern)[pieces.document][:, None]
    return np.where((numbers == modern) | (numbers == classical), told, numbers).astype(np.int32)


def _has_clauses(texts: pa.Array, han: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Says which texts have the punctuation of clauses and hardly a digit, for their Han characters."""
    marks, digits = (pc.count_substring_regex(texts, pattern).to_numpy() for pattern in ("[，。！？；]", "[0-9]"))
    found: npt.NDArray[np.bool_] = (LONGEST_CLAUSES * marks >= han) & (digits <= LATIN_IN_HAN * han)
    return found


def han_of(scripts: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
    """Returns which standard most deciding characters of `Pieces.scripts` are of: 1 Hans, 2 Hant, 0 where none is."""
    hans, hant = scripts[:, HANS], scripts[:, HANT]
    return np.where(hans + hant == 0, 0, np.where(hant >= hans, 2, 1)).astype(np.int8)


def script_of(scripts: npt.NDArray[np.int64]) -> npt.NDArray[np.int16]:
    """Returns the script of most letters: its number, -1 Hans, -2 Hant, -3 Jpan, and 0 where there is no letter.

    Han without a clear majority of one Chinese standard (`CLEARLY`) stays Hani.
    """
    groups = scripts[:, :HANS].copy()
    kana = groups[:, [HIRAGANA, KATAKANA]].sum(axis=1)
    groups[:, HAN] += kana + groups[:, BOPOMOFO]
    groups[:, [HIRAGANA, KATAKANA, BOPOMOFO]] = 0
    most = groups.argmax(axis=1).astype(np.int16)
    hans, hant = scripts[:, HANS], scripts[:, HANT]
    told = np.maximum(hans + hant, 1)
    han = np.select([hans / told >= CLEARLY, hant / told >= CLEARLY], [-1, -2], HAN)
    han = np.where(kana >= JAPANESE * np.maximum(groups[:, HAN], 1), -3, han)
    return np.where(most == HAN, han, most).astype(np.int16)


@numba.njit(cache=True, nogil=True)
def _decide(document, group, weight, numbers, chances, fitting):  # type: ignore[no-untyped-def]  # numba infers
    pieces, most = numbers.shape
    languages = len(fitting)
    rows = 0
    out_document = np.empty(pieces, np.int32)
    out_language = np.empty(pieces, np.int32)
    out_group = np.empty(pieces, np.uint8)
    out_share = np.empty(pieces, np.float64)
    out_score = np.empty(pieces, np.float64)
    out_own = np.empty(pieces, np.float64)
    whole = np.zeros(languages, np.float64)
    held = np.zeros(languages, np.int64)
    heaviest = np.zeros(languages, np.int64)
    script = np.zeros(languages, np.uint8)
    start = 0
    while start < pieces:
        end = start
        total = np.int64(0)
        while end < pieces and document[end] == document[start]:
            total += weight[end]
            for place in range(most):
                number = numbers[end, place]
                if number >= 0 and fitting[number, group[end]]:
                    whole[number] += weight[end] * np.float64(chances[end, place])
            end += 1
        own = 0.0
        for piece in range(start, end):
            chosen, chance, highest = languages - 1, 0.0, 0.0
            for place in range(most):
                number = numbers[piece, place]
                if number >= 0 and fitting[number, group[piece]]:
                    value = chances[piece, place] * whole[number]
                    if value > highest:
                        chosen, chance, highest = number, np.float64(chances[piece, place]), value
            held[chosen] += weight[piece]
            own += weight[piece] * chance
            if weight[piece] > heaviest[chosen]:
                heaviest[chosen], script[chosen] = weight[piece], group[piece]
        while True:
            largest = np.argmax(held)
            if held[largest] == 0:
                break
            out_document[rows], out_language[rows], out_group[rows] = document[start], largest, script[largest]
            out_share[rows], out_score[rows], out_own[rows] = held[largest] / total, whole[largest] / total, own / total
            held[largest] = heaviest[largest] = 0
            rows += 1
        whole[:] = 0.0
        start = end
    return (
        out_document[:rows], out_language[:rows], out_group[:rows], out_share[:rows], out_score[:rows], out_own[:rows]
    )  # fmt: skip
