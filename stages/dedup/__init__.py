"""Deduplication: exact copies and near copies, on a folded view that Chinese and spaced scripts share."""

from stages.dedup.stage import Dedup

__all__ = ["Dedup"]
