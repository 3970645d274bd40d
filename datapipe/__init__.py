"""datapipe: pretraining data, from crawls to tokenized Arrow shards, with every document accounted for."""

from datapipe.dataset import Dataset, InputFile, Like, Output, Sized, Source, concat
from datapipe.errors import ConfigError, DataError, DatapipeError, Interrupted, PlanError, StageError
from datapipe.job import run
from datapipe.report import Report
from datapipe.stage import Resource, Stage, resource
from datapipe.work import ID, LEDGER, Work

__all__ = [
    "ID",
    "LEDGER",
    "ConfigError",
    "DataError",
    "DatapipeError",
    "Dataset",
    "InputFile",
    "Interrupted",
    "Like",
    "Output",
    "PlanError",
    "Report",
    "Resource",
    "Sized",
    "Source",
    "Stage",
    "StageError",
    "Work",
    "concat",
    "resource",
    "run",
]
