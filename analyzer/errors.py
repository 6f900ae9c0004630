"""The errors the library raises; each message says what, on what, and what to do next.

AnalyzerError
├── UsageError            an argument that cannot be meant
├── InputError            a source that cannot be read
│   ├── NotALogError      a readable file that is no event log
│   └── UnreadableError   a file that is missing, forbidden or damaged from its first byte
├── RejectedError         `strict` was asked for and an event was rejected
├── JournalError          the journal of replay is in use, damaged or cannot be written
├── ArchiveError          the archive is locked, foreign or of another version
├── QueryError            SQL of the user's that does not run
└── AccountingError       read != kept + rejected + filtered + duplicate: a bug in this program
"""

import errno
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Option:
    """An option by its name in Python, with the value it was given, where that is at fault.

    >>> str(Option("by", "dya")), str(Option("limit"))
    ("by='dya'", 'limit')
    """

    name: str
    value: Any = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value!r}"


class Message(str):
    """Text that keeps its `parts`, text and options; as a string it has the options as Python writes them.

    >>> Message("add ", Option("by")).parts, Message(Option("by", 1), ": ", Message("no ", Option("by")))
    (('add ', Option(name='by', value=None)), 'by=1: no by')
    """

    __slots__ = ("parts",)
    parts: tuple[str | Option, ...]

    def __new__(cls, *parts: str | Option) -> Self:
        """Put parts together; those that are messages bring their own."""
        flat = tuple(one for part in parts for one in (part.parts if isinstance(part, Message) else (part,)))
        made = super().__new__(cls, "".join(map(str, flat)))
        made.parts = flat
        return made

    def __getnewargs__(self) -> tuple[str | Option, ...]:  # type: ignore[override]
        return self.parts


class AnalyzerError(Exception):
    """The base of every error this package raises on purpose; made of text and of the options it speaks of."""

    def __init__(self, *words: str | Option) -> None:
        super().__init__(Message(*words))

    @property
    def message(self) -> Message:
        """What is said, for a front end to write."""
        found: Message = self.args[0]
        return found


class UsageError(AnalyzerError):
    """An argument that cannot be meant."""


class InputError(AnalyzerError):
    """A source that cannot be read."""


class NotALogError(InputError):
    """A readable file that is no event log."""


class UnreadableError(InputError):
    """A file that is missing, forbidden, or damaged from its first byte."""


class RejectedError(AnalyzerError):
    """An event was rejected while `strict` was asked for."""


class ArchiveError(AnalyzerError):
    """The archive is locked, foreign, or of another version."""


class JournalError(AnalyzerError):
    """The journal of replay is in use, damaged, or cannot be written."""


class QueryError(AnalyzerError):
    """SQL of the user's that does not run."""


class AccountingError(AnalyzerError):
    """The counts of the input do not add up."""


def unreadable_error(name: str, error: OSError) -> UnreadableError:
    """Return what an error of the system means for a source: what is wrong may be where it is copied to."""
    return UnreadableError(
        f"{name}: {error.strerror or error}; {disk_full_advice(error) or 'check its path and permissions'}"
    )


def disk_full_advice(error: OSError) -> str:
    """Return what to do where a file on the way found no room; empty for other errors."""
    from tempfile import gettempdir  # noqa: PLC0415  (7 ms, only where it is needed)

    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return ""
    return f"make room, also in {gettempdir()}, or set TMPDIR to a directory that has it"
