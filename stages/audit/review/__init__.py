"""Documents that people judge: a sample that is the same for any auditor, the sheet they fill in, their verdicts."""
