"""What can go wrong, as sentences.

    DatapipeError                 exit status 1
    ├── ConfigError               2   the config, the command line or a path in it is wrong
    │   └── Refused                   a store or disk refuses; in the middle of a run, 75
    ├── PlanError                 2   the config is well formed but cannot be run as it stands
    ├── StageError                1   a stage broke its contract (lost a row, yielded another schema)
    ├── DataError                 3   input that cannot be read, beyond what is set aside
    │   └── UnreadableInput           files of a source; their shard is tried again, then set aside or the run fails
    └── Interrupted               75  stopped from outside or out of room; the same command resumes
        └── Unreachable               a store does not answer, after all retries

A bad document is not an error: it is a row in the ledger with a rule and a value.
"""

from typing import ClassVar


class DatapipeError(Exception):
    """A failure with a sentence for its user: where, what was met, what was expected, what to do."""

    exit_status: ClassVar[int] = 1
    out: str = ""  # the folder that holds ledger and report of what was finished before, if any


class ConfigError(DatapipeError):
    """The config, the command line, or a path in them is wrong."""

    exit_status = 2


class Refused(ConfigError):
    """A store or a disk refuses what was granted before: credentials that ran out, a share that is not mounted.

    Nothing is said of the file by it, so no file is set aside for it: the task is tried again, then the run stops.
    """


class PlanError(DatapipeError):
    """The config is well formed but cannot be planned or run as it stands."""

    exit_status = 2


class StageError(DatapipeError):
    """A stage broke its contract: lost a row, yielded another schema, raised for a whole shard."""


class DataError(DatapipeError):
    """Input cannot be read, and setting it aside is not allowed or not enough."""

    exit_status = 3


class UnreadableInput(DataError):
    """Files of a source cannot be read. The shard is tried again, then set aside or, if the config says so, fails."""


class Interrupted(DatapipeError):
    """The run was stopped from outside, or ran out of room; the same command goes on from there."""

    exit_status = 75


class Unreachable(Interrupted):
    """A store does not answer, after all retries; nothing is wrong with the work, so it is tried again later."""
