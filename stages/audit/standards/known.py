"""All that is known of a corpus where it is described: report, manifest, recipe, verdicts, and what people say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from pydantic import ValidationError

from datapipe import ConfigError, DataError, storage
from stages.audit.hostile import harmless
from stages.audit.model import Audit, Cell, Column, Figure, Section, Table, Words
from stages.audit.page.numbers import UNKNOWN, told
from stages.audit.review.kept import judged
from stages.audit.review.section import section
from stages.audit.standards.about import About, Question, question
from stages.audit.standards.counted import Counted, counted
from stages.audit.standing import MANIFEST, REPORT, claimed, digests, read_run, version
from stages.audit.tables import Tables

RECIPE: Final = "reports/recipe.json"

Facts = Mapping[str, Any]  # Any: JSON


@dataclass(frozen=True)
class Known:
    """What is known of the corpus in `folder`. `run` is the run's own report; `recipe` is empty where none was kept.

    `judged` are the sections on people's verdicts on samples, none where nobody judged.
    """

    folder: str
    run: Facts
    audit: Audit
    files: Mapping[str, str]  # SHA-256 of what was published, by name
    digests: Mapping[str, str]
    manifest: Facts
    recipe: Facts
    judged: Sequence[Section]
    counted: Counted
    about: About

    @cached_property
    def figures(self) -> Mapping[str, Figure]:
        """Figures of the report and of the verdicts by key."""
        sections = (*self.audit.sections, *self.judged)
        return {figure.key: figure for section in sections for figure in section.figures}

    @cached_property
    def tables(self) -> Mapping[str, Table]:
        """Tables of both by key."""
        sections = (*self.audit.sections, *self.judged)
        return {table.key: table for section in sections for table in section.tables}

    def rows(self, key: str, *columns: str) -> list[tuple[Cell, ...]]:
        """Returns these columns of a table; no rows where the report has none of them."""
        table = self.tables.get(key)
        names = [column.key for column in table.columns] if table else []
        if table is None or not set(columns) <= set(names):
            return []
        return [tuple(row[names.index(name)] for name in columns) for row in table.rows]

    def named(self, key: str, column: str, cell: Cell) -> Words:
        """Returns what a cell of a table is called."""
        table = self.tables.get(key)
        found: Column | None = next((one for one in table.columns if one.key == column), None) if table else None
        called = found.named(cell) if found else None
        text = UNKNOWN if cell is None else str(cell)
        return called or Words(en=text, zh=text)

    def stages(self) -> list[Facts]:
        """Returns what the run says of each step, in order."""
        return list(self.run["stages"])

    def ran(self, *names: str) -> bool:
        """Returns whether one of these steps ran, the second of a name too (`quality2`)."""
        return any(str(stage["stage"]).rstrip("0123456789") in names for stage in self.stages())

    @property
    def sources(self) -> list[str]:
        """The sources that the run was given, also those of which nothing stayed."""
        return sorted({*self.counted.names, *_given(self.recipe)})

    def answered(self, key: str) -> object:
        """Returns what people answered to a question, None where they did not."""
        value: object = self.about
        for name in _parts(key):
            value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
        return value

    def question(self, key: str) -> Question:
        """Returns the question behind a key of `about.yaml`."""
        return question(key)

    @property
    def version(self) -> str:
        """The version that people gave, else one whose build part is the digest of what was published."""
        digest = self.digests.get("manifest_sha256", self.digests["published_sha256"])
        return self.about.version or f"0.0.0+sha256.{digest[:16]}"

    @property
    def code_version(self) -> str:
        """The version of the datapipe that ran."""
        return str(self.run["code_version"])

    @property
    def name(self) -> str:
        """What people call it, else the name of its config."""
        return self.about.name or self.audit.name

    @property
    def tokenized(self) -> bool:
        """Whether tokens were counted; documents alone have none, which is not 0."""
        return bool(self.manifest) or self.counted.total("tokens") > 0

    @property
    def rows_of_split(self) -> Mapping[str, int]:
        """Samples by split; of documents alone, all are `train`."""
        splits = self.manifest.get("splits")
        if splits:
            return {str(name): int(facts["samples"]) for name, facts in splits.items()}
        return {"train": self.counted.total("documents")}


def _parts(key: str) -> list[str]:
    """Returns the parts of a key; a source's name may hold dots.

    >>> _parts("eu.provider"), _parts("sources.a.b.kind")
    (['eu', 'provider'], ['sources', 'a.b', 'kind'])
    """
    if not key.startswith("sources."):
        return key.split(".")
    name, _, field = key.removeprefix("sources.").rpartition(".")
    return ["sources", name, field]


def sure(figure: Figure) -> Words:
    """Returns a figure with its interval, and of how many it was told.

    >>> figure = Figure(key="a", label=Words(en="", zh=""), value=0.1, unit="share", low=0.05, high=0.2, of=820)
    >>> sure(figure).en
    '10% (95% interval 5% to 20%; n = 820)'
    """
    value = told(figure.value, figure.unit)
    en, zh = [], []
    if figure.low is not None and figure.high is not None:
        low, high = told(figure.low, figure.unit), told(figure.high, figure.unit)
        en.append(f"95% interval {low} to {high}")
        zh.append(f"95% 区间 {low} 至 {high}")
    if figure.of is not None:
        en.append(f"n = {figure.of:,}")
        zh.append(f"n = {figure.of:,}")
    return Words(en=f"{value} ({'; '.join(en)})" if en else value, zh=f"{value}（{'；'.join(zh)}）" if zh else value)


def source_names(folder: str) -> list[str]:
    """Returns the sources that a run was given: by its recipe, or where none was kept by its documents.

    Raises:
        ConfigError: there is no finished run.
    """
    read_run(folder)
    return _given(_recipe(folder)) or counted(Tables(folder)).names


def _given(recipe: Facts) -> list[str]:
    inputs = recipe.get("inputs")
    return sorted(map(harmless, inputs)) if isinstance(inputs, dict) else []


def _recipe(folder: str) -> Facts:
    path = storage.join(folder, RECIPE)
    content = storage.read_if_there(path)
    try:
        said = json.loads(content or b"{}")
    except ValueError as error:
        raise DataError(f"{path}: is not JSON ({error}); run the config again") from error
    return said if isinstance(said, dict) else {}


def know(folder: str, place: str) -> Known:
    """Returns all that is known of the run in `folder`, whose report lies in `place`; of people, nothing yet.

    Raises:
        ConfigError: there is no finished run, no report, or one of another corpus.
        DataError: something of it is damaged.
    """
    run = json.loads(read_run(folder).to_json())
    audit = _audit(folder, place)
    manifest = storage.read_if_there(storage.join(folder, MANIFEST))
    said = json.loads(manifest) if manifest is not None else {}
    return Known(
        folder=folder,
        run=run,
        audit=audit,
        files=claimed(folder),
        digests=digests(folder),
        manifest=said if "merkle_root" in said else {},
        recipe=_recipe(folder),
        judged=_judged(folder),
        counted=counted(Tables(folder)),
        about=About(),
    )


def _audit(folder: str, place: str) -> Audit:
    content = storage.read_if_there(storage.join(place, REPORT))
    data = json.loads(content) if content is not None else {}
    if not isinstance(data, dict) or "audit" not in data:
        raise ConfigError(
            f"{place}: has no report yet, from which the figures are taken; make it by `datapipe report {folder}` "
            "(where "
            "it lies elsewhere, name that folder by --report)"
        )
    try:
        audit = Audit.model_validate(data["audit"])
    except ValidationError as error:
        raise DataError(
            f"{storage.join(place, REPORT)}: holds no audit that datapipe {version()} reads; `datapipe report` makes "
            "it anew"
        ) from error
    now = digests(folder)
    if dict(audit.corpus) != now:
        name = next(name for name in sorted({*now, *audit.corpus}) if now.get(name) != audit.corpus.get(name))
        raise ConfigError(
            f"{place}: its report is of another corpus than lies in {folder} ({name} differs); `datapipe report "
            f"{folder}` makes it anew"
        )
    return audit


def _judged(folder: str) -> Sequence[Section]:
    """Returns the sections on verdicts, where there are any."""
    found = judged(folder)
    return () if found is None else (section(found),)
