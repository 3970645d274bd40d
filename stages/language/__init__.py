"""Language and script of documents: the step, its model, and training."""

from stages.language.stage import Language
from stages.language.train import train_language

__all__ = ["Language", "train_language"]
