"""The exit codes of the program, their help texts, and the code of each error."""

from enum import IntEnum
from typing import Self

from analyzer.errors import AnalyzerError, InputError, UsageError


class Exit(IntEnum):
    """An exit code and its meaning, as help lists it."""

    OK = 0, "ok"
    FAILED = 1, "failed"
    USAGE = 2, "usage"
    INPUT = 3, "input not readable"
    STOPPED = 4, "replay stopped, run it again to continue"
    THRESHOLD = 5, "threshold missed"
    DEAD_LETTERS = 6, "replay finished with dead letters"
    REFUSED = 7, "refused by the server (auth, billing, disabled)"
    UNCERTAIN = 8, "uncertain events remain"
    INTERRUPTED = 130, "interrupted"

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Create a member whose value is `code`."""
        member = int.__new__(cls, code)
        member._value_, member.meaning = code, meaning
        return member


def _help(*codes: Exit) -> str:
    return f"Exit codes: {', '.join(f'{code.value} {code.meaning}' for code in codes)}."


COMMON = (Exit.OK, Exit.FAILED, Exit.USAGE, Exit.INPUT)
HELP = _help(*COMMON, Exit.INTERRUPTED)
CHECK_HELP = _help(*COMMON, Exit.THRESHOLD, Exit.INTERRUPTED)
REPLAY_HELP = _help(*(code for code in Exit if code is not Exit.THRESHOLD)) + " Where several apply: 7, 4, 8, 6."
ALL_HELP = _help(*Exit)


def exit_of(error: AnalyzerError) -> Exit:
    """Return the exit code of an error."""
    if isinstance(error, UsageError):
        return Exit.USAGE
    return Exit.INPUT if isinstance(error, InputError) else Exit.FAILED
