"""Evaluation of deduplication: copies whose true similarity is known, whole corpora of them, and an exact oracle."""
