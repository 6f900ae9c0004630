"""What a load did with each file, and the account of all events of the input."""

from dataclasses import dataclass, field, fields

from analyzer.errors import AccountingError, InputError
from analyzer.readers.stream import Stream


@dataclass(frozen=True, slots=True)
class Content:
    """The uncompressed content of a file; files with the same `digest` (XXH3 of 128 bits) are duplicates."""

    digest: str
    size_bytes: int
    ends_in_newline: bool
    """Whether the last line is complete; spaces after it do not count."""


def read_content(stream: Stream) -> Content:
    """Read the whole stream once, which also sets its `damage` and `members`."""
    from xxhash import xxh3_128  # noqa: PLC0415  (only where a file is read)

    digest, size_bytes, last = xxh3_128(), 0, b"\n"
    for chunk in stream.chunks():
        digest.update(chunk)
        size_bytes += len(chunk)
        last = chunk.rstrip(b" \t\r")[-1:] or last
    return Content(digest.hexdigest(), size_bytes, last == b"\n")


@dataclass(slots=True)
class FileReport:
    """What became of one file. Its `read` events are `kept` or `rejected`, or all duplicates of an earlier file's."""

    name: str
    format: str
    compression: str
    content: Content
    read: int = 0
    kept: int = 0
    rejected: int = 0
    tasks: int = 0
    """Tasks of a run summary; the other counts are of events."""

    duplicate_of: str | None = None
    """The name of the file with the same content that was loaded before."""

    notes: list[str] = field(default_factory=list)

    @property
    def duplicate(self) -> int:
        """The number of events that were not loaded because a file with the same content was."""
        return self.read if self.duplicate_of else 0


@dataclass(slots=True)
class LoadResult:
    """What a load did with its sources."""

    files: list[FileReport] = field(default_factory=list)
    """The files that were loaded, and the duplicates."""

    errors: list[InputError] = field(default_factory=list)
    """The sources that could not be read."""

    skipped: list[str] = field(default_factory=list)
    """Files of a directory or glob that are not event logs."""

    dry_runs: list[str] = field(default_factory=list)
    """Run summaries of dry runs, which are not loaded."""

    duplicate_runs: int = 0
    """The number of run summaries that were not loaded because another summary of the same run was."""


@dataclass(frozen=True, slots=True)
class Accounting:
    """Where all events of the input went: read = kept + rejected + filtered + duplicate.

    `files` is the number of logs that were read, duplicates included.

    Raises:
        AccountingError: the counts do not add up.
    """

    read: int
    kept: int
    rejected: int
    filtered: int
    duplicate: int
    files: int

    def __add__(self, other: "Accounting") -> "Accounting":
        return Accounting(*(getattr(self, count.name) + getattr(other, count.name) for count in fields(self)))

    def __post_init__(self) -> None:
        adds_up = self.read == self.kept + self.rejected + self.filtered + self.duplicate
        if not adds_up or min(self.kept, self.rejected, self.filtered, self.duplicate) < 0:
            raise AccountingError(f"the counts of the input do not add up, which is a bug in analyzer: {self}")
