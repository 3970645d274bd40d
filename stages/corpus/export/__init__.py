"""`datapipe export`: a finished corpus in the formats of trainers, and the signatures of a run for datasketch.

Rows stand in the order of training, and what overlays skip or remove is left out. Beside what is written stands
`export.json`: which corpus it is of (`merkle_root`, `order_sha256`), under which overlays, and every file's digest.
"""

from stages.corpus.export.command import app

__all__ = ["app"]
