"""datapipe: pretraining data, from crawls to tokenized Arrow shards, with every document accounted for."""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datapipe.config import load_config
    from datapipe.dataset import Dataset, InputFile, Like, Output, Sized, Source, concat
    from datapipe.driver import interrupt
    from datapipe.errors import ConfigError, DataError, DatapipeError, Interrupted, PlanError, StageError
    from datapipe.follow import Follower
    from datapipe.inspect import show_file
    from datapipe.job import run
    from datapipe.logs import shown
    from datapipe.progress import listener
    from datapipe.publish import claim_bytes
    from datapipe.report import Report
    from datapipe.reproduce import reproduce
    from datapipe.shard import Shard
    from datapipe.stage import Resource, Stage, resource
    from datapipe.status import Status, StepStatus, status, status_lines
    from datapipe.verify import Look, Note, looked
    from datapipe.work import ID, LEAVING, LEDGER, Work, part_of

__all__ = [
    "ID",
    "LEAVING",
    "LEDGER",
    "ConfigError",
    "DataError",
    "DatapipeError",
    "Dataset",
    "Follower",
    "InputFile",
    "Interrupted",
    "Like",
    "Look",
    "Note",
    "Output",
    "PlanError",
    "Report",
    "Resource",
    "Shard",
    "Sized",
    "Source",
    "Stage",
    "StageError",
    "Status",
    "StepStatus",
    "Work",
    "claim_bytes",
    "concat",
    "interrupt",
    "listener",
    "load_config",
    "looked",
    "part_of",
    "reproduce",
    "resource",
    "run",
    "show_file",
    "shown",
    "status",
    "status_lines",
]
_NAMES = {
    "config": ("load_config",),
    "dataset": ("Dataset", "InputFile", "Like", "Output", "Sized", "Source", "concat"),
    "driver": ("interrupt",),
    "errors": ("ConfigError", "DataError", "DatapipeError", "Interrupted", "PlanError", "StageError"),
    "follow": ("Follower",),
    "inspect": ("show_file",),
    "job": ("run",),
    "logs": ("shown",),
    "progress": ("listener",),
    "publish": ("claim_bytes",),
    "report": ("Report",),
    "reproduce": ("reproduce",),
    "shard": ("Shard",),
    "stage": ("Resource", "Stage", "resource"),
    "status": ("Status", "StepStatus", "status", "status_lines"),
    "verify": ("Look", "Note", "looked"),
    "work": ("ID", "LEAVING", "LEDGER", "Work", "part_of"),
}
_PLACES = {name: module for module, names in _NAMES.items() for name in names}
_FUNCTIONS = ("reproduce", "run", "status")  # which they stay, whoever imports the modules of that name


class _Package(ModuleType):
    """Loads a name when it is asked for: the command answers, and hears signals, before Arrow and numpy are there."""

    def __getattr__(self, name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module 'datapipe' has no attribute '{name}'")
        value: object = getattr(importlib.import_module(f"datapipe.{_PLACES[name]}"), name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _FUNCTIONS or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
