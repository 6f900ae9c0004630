"""Exit codes, and which error means which."""

from enum import IntEnum

from analyzer.errors import AnalyzerError, InputError, UsageError


class Exit(IntEnum):
    """What the program ends with."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INPUT = 3
    STOPPED = 4
    THRESHOLD = 5
    DEAD_LETTERS = 6
    REFUSED = 7
    UNCERTAIN = 8
    INTERRUPTED = 130


HELP = "Exit codes: 0 ok, 1 failed, 2 usage, 3 input not readable, 5 threshold missed, 130 interrupted."


REPLAY_HELP = (
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 input not readable, 4 stopped, run it again to go on, 6 finished with dead"
    " letters, 7 refused by the server (auth, billing, disabled), 8 uncertain events remain, 130 interrupted. Where"
    " several hold: 7, 4, 8, 6."
)

ALL_HELP = (
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 input not readable, 4 replay stopped, 5 threshold missed, 6 dead letters,"
    " 7 refused by the server, 8 uncertain events, 130 interrupted."
)


def exit_of(error: AnalyzerError) -> Exit:
    """Return the exit code that an error means."""
    if isinstance(error, UsageError):
        return Exit.USAGE
    return Exit.INPUT if isinstance(error, InputError) else Exit.FAILED
