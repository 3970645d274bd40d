"""The stage `ingest`: crawls, pages, tables and text in, documents out, everything refused or lost accounted for."""

from stages.ingest.fields import FieldNames
from stages.ingest.stage import Ingest, SourceConfig

__all__ = ["FieldNames", "Ingest", "SourceConfig"]
