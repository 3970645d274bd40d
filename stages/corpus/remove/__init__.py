"""Taking documents out of a finished corpus: what would go, an overlay that readers keep to, or a minimal rebuild."""

from stages.corpus.remove.command import remove

__all__ = ["remove"]
