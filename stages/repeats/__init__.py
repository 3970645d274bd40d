"""Long exact repeats: stretches of text that stand in the corpus more than once."""

from stages.repeats.stage import DedupRepeats

__all__ = ["DedupRepeats"]
