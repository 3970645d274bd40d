"""Reading a finished corpus: any range of positions, the index of documents and pieces, and what is left out of it.

>>> from stages.corpus import Corpus
"""

from stages.corpus.corpus import Corpus, Split
from stages.corpus.overlay import Overlaid, Overlay

__all__ = ["Corpus", "Overlaid", "Overlay", "Split"]
