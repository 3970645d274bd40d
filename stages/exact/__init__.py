"""Exact deduplication: of documents that agree in their address, their text or a column, one stays."""

from stages.exact.stage import DedupExact

__all__ = ["DedupExact"]
