"""Partial dedup: lines or paragraphs that recur leave their documents.

    documents -> units (hash, document, place) -> exchange by hash, best first -> verdicts -> exchange by shard
              -> beside the verdicts -> documents without them

The rule `recurring` of the step repair is another: it takes furniture at the edges of pages and advertising that stand
on many hosts, all of it, and leaves what is quoted. This step knows nothing of where a unit stands or what it says: it
counts. So it is for what has been through repair and dedup, and cautious by default.

What others found: FineWeb tried lines over all snapshots, with and without a least number of words and in spans of
three, and trained no better model by any. On the versions of a manual the presets `ccnet` and `dolma` take 95 and 76 %
of the text, the defaults 4 %; of statutes 11 and 5 %, the defaults 0.1 %. C4's spans of three sentences are not here:
what is taken out makes new neighbours, and so spans that a second pass would find again.

A row of 44 bytes leaves a document for each unit that is compared (8 more a column of `survivor`); no step holds more
than a few batches and, of one key, the rows of fewer than `least` documents.

Source: Wenzek et al. 2020 (CCNet) and its `dedup.py`; Soldaini et al. 2024 (Dolma) and its `dedupe.paragraphs`; Penedo
et al. 2024 (FineWeb), section 3.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from datapipe import ConfigError, Dataset, PlanError, Sized, Stage, resource
from datapipe.dataset import Like
from stages.dedup.fold import fold_table
from stages.dedup.survivor import preferences
from stages.format.tables import FORMATS
from stages.lines.count import VERDICTS, Judge, Look, Route, Scope, Unit, allowed_keys
from stages.lines.remove import Remove, Settle, Within
from stages.lines.units import View

SOURCE_BYTES_A_SHARD: Final = 512 << 20  # of the source files; their units are a fifth of the text at most
PRESETS: Final[dict[str, dict[str, Any]]] = {  # Any: values of fields of any type
    "ours": {
        "view": "folded",
        "numbers": False,
        "counted": "documents",
        "least": 10,
        "keep": "first",
        "shortest": 10,
        "exempt": ("code", "table", "poetry"),
    },
    # Lower case, digits as 0, no punctuation; what is there twice goes, the first too [R: cc_net dedup.py, mine.py].
    "ccnet": {
        "view": "folded",
        "numbers": True,
        "counted": "occurrences",
        "least": 2,
        "keep": "none",
        "shortest": 1,
        "exempt": (),
    },
    # The bytes of what newlines part; a Bloom filter lets the first pass [R: dolma docs/deduplication.md].
    "dolma": {
        "view": "exact",
        "numbers": False,
        "counted": "occurrences",
        "least": 2,
        "keep": "first",
        "shortest": 1,
        "exempt": (),
    },
}


@dataclass(frozen=True, kw_only=True)
class DedupLines(Stage):
    """Removes lines or paragraphs that recur in other documents, all but the first, and drops documents left empty.

    The first is the same for any files and order: by `survivor`, then the text's digest, the id, the place. A document
    without the value of `per` is left alone. Fields that are null are as the preset says.
    """

    preset: Annotated[
        Literal["ours", "ccnet", "dolma"],
        "ours: cautious; ccnet: folded lines, digits alike, that are there twice, the first too; dolma: lines of the "
        "same bytes, all but the first",
    ] = "ours"
    unit: Annotated[Unit, "line: to a line break; paragraph: to a blank line, as where lines are broken to a width"] = (
        "line"
    )
    view: Annotated[
        Literal["folded", "exact"] | None,
        "folded: without case, width, punctuation and the difference of Traditional and Simplified; exact: the bytes",
    ] = None
    numbers: Annotated[bool | None, "whether digits of the folded view are alike: page 3 and page 4 (ours: no)"] = None
    per: Annotated[Scope, "within what a unit recurs: corpus, source, host, or the document itself"] = "corpus"
    counted: Annotated[
        Literal["documents", "occurrences"] | None,
        "what `least` counts: documents, or all times (always so with per: document)",
    ] = None
    least: Annotated[int | None, "documents from which on a unit recurs (ours: 10); with per: document, times"] = None
    keep: Annotated[Literal["first", "none"] | None, "whether the first of the units that recur stays"] = None
    shortest: Annotated[
        int | None, "shorter units are not compared (Han characters and words of spaced scripts; ours: 10)"
    ] = None
    longest: Annotated[int | None, "longer units are not compared; null: no bound"] = None
    exempt: Annotated[
        tuple[str, ...] | None,
        "formats (column 'format', where there is one) that are left alone, and in other documents fenced blocks with "
        "code, lines that begin with a bar with table (ours: code, table, poetry)",
    ] = None
    allow: Annotated[tuple[str, ...], "units that always stay, as they are compared: a sentence of a licence"] = ()
    allow_files: Annotated[tuple[str, ...], "files with such a line a line"] = ()
    survivor: Annotated[
        tuple[str | dict[str, tuple[str, ...]], ...] | None,
        "whose unit is the first, by columns, as for the step dedup; by default crawl_time, where it exists",
    ] = None
    least_left: Annotated[int, "a changed document of fewer characters is dropped"] = 0
    least_left_ratio: Annotated[float, "a changed document of which a smaller share is left is dropped"] = 0.0

    def build(self, *inputs: Dataset) -> Dataset:
        """Returns the documents without the units that recur; those of which too little is left leave."""
        (documents,) = inputs
        chosen = self._chosen(documents)
        look = Look(
            unit=self.unit,
            view=View(fold_table(), chosen["numbers"], chosen["view"] == "exact"),
            per=self.per,
            shortest=chosen["shortest"],
            longest=self.longest,
            exempt=tuple(chosen["exempt"]),
            allow=tuple(self.allow),
            allow_files=tuple(resource(path) for path in self.allow_files),
        )
        allowed_keys(look)
        least, keep, counted = chosen["least"], chosen["keep"], chosen["counted"]
        settle = Settle(self.unit, self.least_left, self.least_left_ratio)
        if self.per == "document":
            return documents.map(Within(look, least, keep, settle), reads=("id", "text"))
        usual = tuple(name for name in ("crawl_time",) if name in documents.schema.names)
        order = preferences(usual if self.survivor is None else self.survivor, documents.schema)
        scope = () if self.per == "corpus" else (self.per,)
        route = Route(look, order)
        reads = ("id", "text", "text_digest", *scope)
        routed = documents.map(route, reads=reads, passes=True, outputs=(route.output,))
        verdicts = (
            routed.output("units")
            .exchange("key", Sized(SOURCE_BYTES_A_SHARD), then=("twin", "rank", "gid", "place"))
            .map(Judge(least, keep, counted), schema=VERDICTS)
            .exchange("shard", Like(routed), then=("gid", "place"), direct=True)
        )
        return routed.map(Remove(settle), beside=verdicts)

    def _chosen(self, documents: Dataset) -> dict[str, Any]:  # Any: as PRESETS
        """Returns the fields that a preset fills. Raises where a value is wrong."""
        if self.preset not in PRESETS:
            raise ConfigError(f"preset: '{self.preset}' is none; there are {', '.join(PRESETS)}")
        preset = PRESETS[self.preset]
        chosen = {name: given if (given := getattr(self, name)) is not None else preset[name] for name in preset}
        if chosen["least"] < 2:
            raise ConfigError(f"least: {chosen['least']} is too small; what is there once does not recur: 2 or more")
        for name, value in (
            ("shortest", chosen["shortest"]),
            ("longest", self.longest),
            ("least_left", self.least_left),
        ):
            if value is not None and value < 0:
                raise ConfigError(f"{name}: {value} is below zero")
        if self.longest is not None and self.longest < chosen["shortest"]:
            raise ConfigError(f"longest: {self.longest} is below shortest, {chosen['shortest']}: nothing is compared")
        if not 0 <= self.least_left_ratio <= 1:
            raise ConfigError(f"least_left_ratio: {self.least_left_ratio} is no share from 0 to 1")
        if chosen["numbers"] and chosen["view"] == "exact":
            raise ConfigError("numbers: digits are alike in the folded view only; set view: folded, or numbers: false")
        for name in chosen["exempt"]:
            if name not in FORMATS:
                raise ConfigError(f"exempt: '{name}' is no format; there are {', '.join(FORMATS)}")
        if self.per == "document" and self.survivor is not None:
            raise ConfigError("survivor: within a document the first unit is the first; leave it out")
        if self.per == "document" and self.counted == "documents":
            raise ConfigError("counted: within a document units are counted by occurrences; leave it out")
        if self.per in ("source", "host") and self.per not in documents.schema.names:
            raise PlanError(f"per: {self.per}: no earlier step makes the column '{self.per}'; set per: corpus")
        return chosen
