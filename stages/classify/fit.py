"""Has fastText train a classifier in a process of its own: `python -P fit.py TRAINING MODEL SETTINGS`.

On one thread fastText fills a tenth of its matrix with random numbers and leaves the rest as it finds it
(`Matrix::uniform`, `uniformThread`), so its model depends on what the process has freed before, and may become NaN:
small ones do. glibc, told so in the environment of a new process, hands out all memory as zeros; then equal texts give
equal bytes.
"""

import json
import sys

import fasttext

if __name__ == "__main__":
    fasttext.train_supervised(sys.argv[1], thread=1, verbose=0, **json.loads(sys.argv[3])).save_model(sys.argv[2])
