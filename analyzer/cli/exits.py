"""Exit codes, and which error means which."""

from enum import IntEnum
from typing import Self

from analyzer.errors import AnalyzerError, InputError, UsageError


class Exit(IntEnum):
    """What the program ends with, and in words why."""

    OK = 0, "ok"
    FAILED = 1, "failed"
    USAGE = 2, "usage"
    INPUT = 3, "input not readable"
    STOPPED = 4, "replay stopped, run it again to go on"
    THRESHOLD = 5, "threshold missed"
    DEAD_LETTERS = 6, "replay finished with dead letters"
    REFUSED = 7, "refused by the server (auth, billing, disabled)"
    UNCERTAIN = 8, "uncertain events remain"
    INTERRUPTED = 130, "interrupted"

    words: str

    def __new__(cls, code: int, words: str) -> Self:
        """Make a member: a number that has words."""
        member = int.__new__(cls, code)
        member._value_, member.words = code, words
        return member


def _help(*codes: Exit) -> str:
    return f"Exit codes: {', '.join(f'{code.value} {code.words}' for code in codes)}."


USUAL = (Exit.OK, Exit.FAILED, Exit.USAGE, Exit.INPUT)
HELP = _help(*USUAL, Exit.INTERRUPTED)
CHECK_HELP = _help(*USUAL, Exit.THRESHOLD, Exit.INTERRUPTED)
REPLAY_HELP = _help(*(code for code in Exit if code is not Exit.THRESHOLD)) + " Where several hold: 7, 4, 8, 6."
ALL_HELP = _help(*Exit)


def exit_of(error: AnalyzerError) -> Exit:
    """Return the exit code that an error means."""
    if isinstance(error, UsageError):
        return Exit.USAGE
    return Exit.INPUT if isinstance(error, InputError) else Exit.FAILED
