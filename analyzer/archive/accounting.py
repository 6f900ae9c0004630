"""What a load did with each file, and the account of all events of the input."""

from dataclasses import dataclass, field, fields

from analyzer.errors import AccountingError, InputError, Message


@dataclass(frozen=True, slots=True)
class Accounting:
    """Where all events of the input went: read = kept + rejected + filtered + duplicate.

    `files` is the number of logs that were read, duplicates included.

    Raises:
        AccountingError: the counts do not add up.
    """

    read: int = 0
    kept: int = 0
    rejected: int = 0
    filtered: int = 0
    duplicate: int = 0
    files: int = 0

    def __add__(self, other: "Accounting") -> "Accounting":
        return Accounting(*(getattr(self, count.name) + getattr(other, count.name) for count in fields(self)))

    def __post_init__(self) -> None:
        adds_up = self.read == self.kept + self.rejected + self.filtered + self.duplicate
        if not adds_up or min(self.kept, self.rejected, self.filtered, self.duplicate) < 0:
            raise AccountingError(f"the counts of the input do not add up, which is a bug in analyzer: {self}")


@dataclass(slots=True)
class FileReport:
    """What became of one file. Its `read` events are `kept` or `rejected`, or all duplicates of an earlier file's."""

    name: str
    format: str
    compression: str
    digest: str  # XXH3 (128 bits) of the decompressed content: files with the same digest are duplicates
    size_bytes: int  # decompressed
    ends_in_newline: bool  # whether the last line is complete; spaces after it do not count
    read: int = 0
    kept: int = 0
    rejected: int = 0
    other_traffic: int = 0  # requests of a request log that report no events; not counted as read
    tasks: int = 0  # of a run summary; the other counts are of events
    duplicate_of: str | None = None  # the name of the file with the same content that was loaded before
    forgotten: int = 0  # events or runs of a duplicate that were removed from the archive since
    is_gone: bool = False  # all of them
    notes: list[str] = field(default_factory=list)

    @property
    def accounting(self) -> Accounting:
        """The account of this file's events."""
        duplicate = self.read if self.duplicate_of else 0
        return Accounting(self.read, self.kept, self.rejected, duplicate=duplicate, files=1)


@dataclass(slots=True)
class LoadResult:
    """What a load did with its sources."""

    files: list[FileReport] = field(default_factory=list)  # loaded, or duplicates
    errors: list[InputError] = field(default_factory=list)  # of sources that could not be read
    skipped: list[str] = field(default_factory=list)  # files of a directory or glob that are not event logs
    skip_reasons: list[Message] = field(default_factory=list)  # why, for each of them
    dry_runs: list[str] = field(default_factory=list)  # run summaries of dry runs, which are not loaded
    covered_lookups: int = 0  # derived from access logs, and removed because events report the same team and time
    duplicate_runs: int = 0  # run summaries not loaded because another summary of the same run was

    @property
    def rejected_all(self) -> bool:
        """Whether there were events, and every one of every file was rejected."""
        counts = sum((file.accounting for file in self.files), Accounting())
        return counts.read == counts.rejected > 0 and not any(file.tasks for file in self.files)
