"""The audit: what is in a corpus, what was taken out of it and why, as figures that lead down to documents."""
