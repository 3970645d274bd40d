"""Two corpora compared, down to the document: what is in one alone, what is changed, and what first caused it.

`side` and `entries` read what both runs published, `matching` finds which documents are the same one, `causes` says
what the step, rule or input was that parts two of them, `chain` follows a cause from a document to its survivor until
the first one, and `stage` is the pipeline of it all. Every document that was given to either is one row of one kind, so
sums are exact.
"""
