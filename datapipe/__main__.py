"""The `datapipe` command, and `python -m datapipe`: hears signals before it loads anything else."""

import gc

from datapipe import signals

# Loading modules makes some hundred thousand objects that all stay: looked through at every 700th, as Python does
# unless told otherwise, that took 0.2 of the 1.6 CPU s of a run of two documents.
GARBAGE = (50_000, 20, 50)


def main() -> None:
    """Runs the command."""
    signals.install()
    gc.set_threshold(*GARBAGE)
    from datapipe.cli import main as command  # noqa: PLC0415 - after the signals are heard

    command()


if __name__ == "__main__":
    main()
