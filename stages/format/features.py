"""From the counts of lines to features, and by the first rule that holds to the format."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stages.format.count import KINDS, Count
from stages.format.kinds import Kind
from stages.format.tables import Rule

Numbers = npt.NDArray[np.float64]


def features(counts: npt.NDArray[np.int64]) -> dict[str, Numbers]:
    """Returns what rules may name, float64[documents] each.

    Shares of the size (bytes): `code`, `rows`, `item_text`, `bars`, `closed` (in lines that end as sentences do).
    Shares of the lines: `items`, `menu` (bars among them), `names_only` (both), `short` (of verse, a menu, a label or a
    quotation), `quotes`. Shares of the lines or of the paragraphs by their first lines, whichever is larger: `turns`,
    `qa` (labels; options for a text that has no label). Share of the turns: `said` (that end as sentences do, or are
    names alone). Shares of the lines but for code, rows and long ones: `open` (that do not end as sentences do),
    `runs_on` (that begin with a small letter), `marked` (with a comma or a stop). `capitals`, `digits`: their
    upper-case letters, and digits, a word.
    Numbers: `lines`, `paragraphs`, `lines_per_paragraph`, `code_lines`, `row_lines`, `item_lines`, `turn_lines`,
    `quote_lines`, `speakers`, `names` (labels alone on a line), `asked`, `replied`, `choices`, `points`, `han`. Sizes:
    `mean_line`, `mean_item`, `mean_choice` (bytes of a line), `mean_clause` (Han). `modern`, `literary`, `even`,
    `fours`: shares of the Han; `han_ratio`: theirs of the bytes that were looked at. `choice_density`,
    `point_density`: a line. `clauses_per_sentence`.
    """
    kinds, sizes = counts[:, :KINDS].astype(float), counts[:, KINDS : 2 * KINDS].astype(float)
    lines, size = kinds.sum(axis=1), sizes.sum(axis=1)
    column = {one.name.lower(): counts[:, one].astype(float) for one in Count}
    short = kinds[:, [Kind.MENU, Kind.VERSE, Kind.TURN, Kind.QUOTE]].sum(axis=1)
    looked = lines - kinds[:, [Kind.CODE, Kind.ROW, Kind.TEXT]].sum(axis=1)
    asks = kinds[:, [Kind.ASK, Kind.REPLY]].sum(axis=1)
    labelled = np.maximum(_per(asks, lines), _per(column["ask_paragraphs"], column["paragraphs"]))
    optional = np.minimum(_per(column["choices"], lines), 1)
    return {
        "lines": lines,
        "code": _per(sizes[:, Kind.CODE], size),
        "code_lines": kinds[:, Kind.CODE],
        "rows": _per(sizes[:, Kind.ROW], size),
        "row_lines": kinds[:, Kind.ROW],
        "items": _per(kinds[:, Kind.ITEM], lines),
        "item_text": _per(sizes[:, Kind.ITEM], size),
        "mean_item": _per(sizes[:, Kind.ITEM], kinds[:, Kind.ITEM]),
        "item_lines": kinds[:, Kind.ITEM],
        "asked": kinds[:, Kind.ASK],
        "replied": kinds[:, Kind.REPLY],
        "qa": np.where(asks > 0, labelled, optional),
        "choices": column["choices"],
        "mean_choice": _per(sizes[:, Kind.CHOICE], kinds[:, Kind.CHOICE]),
        "choice_density": _per(column["choices"], lines),
        "points": column["points"],
        "point_density": _per(column["points"], lines),
        "turn_lines": kinds[:, Kind.TURN],
        "names": column["names"],
        "turns": np.maximum(_per(kinds[:, Kind.TURN], lines), _per(column["turn_paragraphs"], column["paragraphs"])),
        "speakers": column["speakers"],
        "turns_per_speaker": _per(kinds[:, Kind.TURN], column["speakers"]),
        "said": _per(column["said"] + column["names"], kinds[:, Kind.TURN]),
        "quote_lines": kinds[:, Kind.QUOTE],
        "quotes": _per(kinds[:, Kind.QUOTE], lines),
        "menu": _per(kinds[:, Kind.MENU] + kinds[:, Kind.BAR], lines),
        "names_only": _per(kinds[:, [Kind.ITEM, Kind.MENU, Kind.BAR]].sum(axis=1), lines),
        "bars": _per(sizes[:, Kind.BAR], size),
        "short": _per(short, lines),
        "open": _per(column["open"], looked),
        "marked": _per(column["marked"], looked),
        "capitals": _per(column["upper"], column["words"]),
        "digits": _per(column["digits"], column["words"]),
        "runs_on": _per(column["runs_on"], looked),
        "closed": _per(column["closed"], size),
        "paragraphs": column["paragraphs"],
        "lines_per_paragraph": _per(lines, column["paragraphs"]),
        "mean_line": _per(size, lines),
        "han": column["han"],
        "han_ratio": np.minimum(3 * _per(column["han"], column["read"]), 1),
        "modern": _per(column["modern"], column["han"]),
        "literary": _per(column["literary"], column["han"]),
        "clauses_per_sentence": _per(column["clauses"], column["sentences"]),
        "mean_clause": _per(column["han"], column["clauses"]),
        "even": _per(column["even"], column["han"]),
        "fours": _per(column["fours"], column["han"]),
    }


def decide(values: dict[str, Numbers], decisions: tuple[Rule, ...]) -> tuple[npt.NDArray[np.object_], Numbers]:
    """Returns the format of each document and its score: the share of it that looks so."""
    documents = len(values["lines"])
    rest = np.minimum(1 - values["code"] - values["rows"] - values["item_text"], 1)
    formats, scores = np.full(documents, "prose", object), np.maximum(rest, 0)
    left = values["lines"] > 0
    scores[~left] = 0
    for rule in decisions:
        holds = left.copy()
        for name, low, high in rule.limits:
            holds &= (values[name] >= low) & (values[name] <= high)
        formats[holds], scores[holds] = rule.format, np.minimum(values[rule.score][holds], 1)
        left &= ~holds
    return formats, scores


def _per(part: Numbers, whole: Numbers) -> Numbers:
    return part / np.maximum(whole, 1)
