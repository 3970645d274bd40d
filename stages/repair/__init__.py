"""The repair step: texts are mended paragraph by paragraph, and clean ones pass untouched."""

from stages.repair.stage import Repair

__all__ = ["Repair"]
