"""The stage `ingest`: crawls, pages and JSON lines in, documents out, everything refused or lost accounted for."""

from stages.ingest.jsonl import FieldNames
from stages.ingest.stage import Ingest, SourceConfig

__all__ = ["FieldNames", "Ingest", "SourceConfig"]
