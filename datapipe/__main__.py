"""The `datapipe` command, and `python -m datapipe`: hears signals before it loads anything else."""

from datapipe import signals


def main() -> None:
    """Runs the command."""
    signals.install()
    from datapipe.cli import main as command  # noqa: PLC0415 - after the signals are heard

    command()


if __name__ == "__main__":
    main()
