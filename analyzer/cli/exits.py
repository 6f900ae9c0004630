"""Exit codes, and which error means which."""

from enum import IntEnum

from analyzer.errors import AnalyzerError, InputError, UsageError


class Exit(IntEnum):
    """What the program ends with."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INPUT = 3
    THRESHOLD = 5
    INTERRUPTED = 130


HELP = "Exit codes: 0 ok, 1 failed, 2 usage, 3 input not readable, 5 threshold missed, 130 interrupted."


def exit_of(error: AnalyzerError) -> Exit:
    """Return the exit code that an error means."""
    if isinstance(error, UsageError):
        return Exit.USAGE
    return Exit.INPUT if isinstance(error, InputError) else Exit.FAILED
