"""Partial deduplication: lines and paragraphs that many documents have leave all of them but the first."""

from stages.lines.stage import DedupLines

__all__ = ["DedupLines"]
