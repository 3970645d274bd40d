"""Classifiers of documents: the step, its models, and their training."""

from stages.classify.model import Classifier, classifier, label, score
from stages.classify.stage import Classify
from stages.classify.train import train_classifier, train_quality

__all__ = ["Classifier", "Classify", "classifier", "label", "score", "train_classifier", "train_quality"]
