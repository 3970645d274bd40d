"""What is told of a document: its rows of index and ledger, harmless and in one order, as data or as lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from datapipe import LEAVING
from stages.audit.hostile import CUT, harmless
from stages.audit.tables import Row

IDENTITY: Final = ("source", "url", "canonical_url", "title", "licence", "language", "script", "format")
PLACE: Final = ("file", "offset", "crawl_date", "published")
MEASURES: Final = (
    "quality",
    "characters",
    "bytes",
    "tokens",
    "split",
    "times_seen",
    "cluster",
    "cluster_size",
    "pii",
    "contamination",
)
TAKEN_OUT: Final = "an overlay takes out its text: no reader is given it, and none of it is shown"
_SAID: Final = ("action", "rule", "value", "limit", "other", "similarity", "note")
_LONG: Final = 1000  # characters of an address or title that are shown
_LATEST: Final = 253_402_300_799  # last second of the year 9999

Told = dict[str, Any]  # Any: JSON


def safe(value: Any, most: int = _LONG) -> Any:  # Any: Arrow's Python values, and JSON
    """Returns a value that may stand anywhere: text harmless, bytes as hex digits, numbers to six digits."""
    if isinstance(value, str):
        return harmless(value, most)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return float(f"{value:.6g}") if value == value else None
    if isinstance(value, Mapping):
        return {safe(name): safe(held, most) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [safe(held, most) for held in value]
    return value if value is None or isinstance(value, bool | int) else harmless(str(value), most)


def facts(row: Row, names: Sequence[str] | None = None) -> Told:
    """Returns what is known of a row, harmless, in the order of `names`."""
    held = {**row, "crawl_date": row.get("crawl_date") or date_of(row.get("crawl_time"))}
    return {name: safe(held[name]) for name in names or tuple(held) if held.get(name) is not None}


def date_of(seconds: Any) -> str | None:  # Any: Arrow's Python values
    """Returns the time of a crawl as ISO 8601, None where there is none."""
    if not isinstance(seconds, int) or not 0 <= seconds <= _LATEST:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def said(row: Row, *, note: bool = True) -> Told:
    """Returns what a row of the ledger says was done; its note holds words of the text."""
    names = [name for name in _SAID if row[name] is not None and (note or name != "note")]
    return {"stage": safe(row["stage"]), **{name: safe(row[name]) for name in names}}


def end_of(rows: Sequence[Row]) -> Row | None:
    """Returns the row of a document's ledger by which it left, None where it stayed."""
    return next((row for row in rows if row["action"] in LEAVING), None)


def sentence(said: Told) -> str:
    """Returns what was done to a document, as a sentence of what `said` returns."""
    text = f"{said['action']} by {said.get('rule')}"
    text += f": value {said['value']:g}" if "value" in said else ""
    text += f", limit {said['limit']:g}" if "limit" in said else ""
    if "other" in said:
        text += f", {'of' if said['action'] == 'split' else 'survivor'} {said['other']}"
    text += f", similarity {said['similarity']:.3f}" if "similarity" in said else ""
    return text + (f"; “{said['note']}”" if said.get("note") else "")


def place_line(told: Mapping[str, Any]) -> str | None:  # Any: JSON
    """Returns where a document was taken from, None where nothing says it."""
    if "file" not in told:
        return None
    at = f" at {told['offset']}" if "offset" in told else ""
    crawled = f", crawled {told['crawl_date']}" if "crawl_date" in told else ""
    return f"{told['file']}{at}{crawled}"


def measures_line(told: Mapping[str, Any]) -> str:  # Any: JSON
    """Returns the numbers of a document in a line."""
    units = {"characters": "characters", "bytes": "bytes", "tokens": "tokens"}
    words = []
    for name in MEASURES:
        if name in told:
            value = told[name]
            words.append(f"{value:,} {units[name]}" if name in units else f"{name} {value}")
    return ", ".join(words)


def text_lines(text: str, indent: str) -> Iterator[str]:
    """Yields the lines of a text, harmless already line by line, behind a bar."""
    yield from (f"{indent}| {line}" for line in text.split("\n"))


def harmless_text(text: str, most: int) -> str:
    """Returns the first characters of a text, harmless, with its ends of lines as they are."""
    whole = _by_line(text)
    return whole if len(whole) <= most else _by_line(whole[:most]) + CUT


def _by_line(text: str) -> str:
    return "\n".join(harmless(line, 8 * len(line) + 64) for line in text.split("\n"))
