"""Defines the errors that the library raises. Each message says what failed, on what, and what to do."""

import errno
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Option:
    """An option in a message: its name in Python and, if that is at fault, its value.

    >>> str(Option("by", "dya")), str(Option("limit"))
    ("by='dya'", 'limit')
    """

    name: str
    value: Any = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value!r}"


class Message(str):
    """Text with options in it. The string spells them as in Python; a front end can format `parts` its own way.

    >>> Message("add ", Option("by")).parts, Message(Option("by", 1), ": ", Message("no ", Option("by")))
    (('add ', Option(name='by', value=None)), 'by=1: no by')
    """

    __slots__ = ("parts",)
    parts: tuple[str | Option, ...]

    def __new__(cls, *parts: str | Option) -> Self:
        """Join `parts`; a part that is a Message contributes its own parts."""
        flat = tuple(inner for part in parts for inner in (part.parts if isinstance(part, Message) else (part,)))
        message = super().__new__(cls, "".join(map(str, flat)))
        message.parts = flat
        return message

    def __getnewargs__(self) -> tuple[str | Option, ...]:  # type: ignore[override]
        # Copying and pickling would otherwise pass the joined string, and lose the options.
        return self.parts


class AnalyzerError(Exception):
    """Base of every error that this package raises on purpose."""

    def __init__(self, *parts: str | Option) -> None:
        super().__init__(Message(*parts))

    @property
    def message(self) -> Message:
        """The text with its options, for a front end to format."""
        message: Message = self.args[0]
        return message


class UsageError(AnalyzerError):
    """An argument is invalid."""


class InputError(AnalyzerError):
    """A source cannot be read."""


class NotALogError(InputError):
    """A file is readable, but is not an event log."""


class UnreadableError(InputError):
    """A file is missing, not permitted, or damaged from its first byte."""


class RejectedError(AnalyzerError):
    """An event was rejected, and `strict` is set."""


class ArchiveError(AnalyzerError):
    """The archive is locked, of another program, or of another version."""


class EngineError(AnalyzerError):
    """The engine that should answer is missing, cannot be reached, or failed."""


class JournalError(AnalyzerError):
    """The replay journal is in use, damaged, or not writable."""


class QueryError(AnalyzerError):
    """The user's SQL failed."""


class AccountingError(AnalyzerError):
    """The counts of the input do not add up (read != kept + rejected + filtered + duplicate): a bug in this program."""


def unreadable_error(name: str, error: OSError) -> UnreadableError:
    """Return the error for a source that cannot be read, or not be copied to the temporary directory."""
    advice = disk_full_advice(error) or "check its path and permissions"
    return UnreadableError(f"{name}: {error.strerror or error}; {advice}")


def disk_full_advice(error: OSError) -> str:
    """Return what to do if a disk or quota is full; an empty string for other errors."""
    from tempfile import gettempdir  # noqa: PLC0415  (7 ms, and rarely needed)

    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return ""
    return f"make room, also in {gettempdir()}, or set TMPDIR to a directory that has it"
