"""Safety: how much of a document speaks as adult pages, spam and insults do, as columns that rules judge."""

from stages.safety.stage import Safety

__all__ = ["Safety"]
