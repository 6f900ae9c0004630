"""What is known of a file before and after it is loaded."""

from dataclasses import dataclass, field, fields

from analyzer.errors import AccountingError, InputError
from analyzer.readers.stream import Stream


@dataclass(frozen=True, slots=True)
class Content:
    """A file's content: the digest of its plain bytes (XXH3, 128 bits), their number, and whether it ends whole."""

    digest: str
    size_bytes: int
    ends_in_newline: bool


def read_content(stream: Stream) -> Content:
    """Read a stream once; afterwards its `damage` and `members` are known too."""
    from xxhash import xxh3_128  # noqa: PLC0415  (only where a file is read)

    digest, size_bytes, last = xxh3_128(), 0, b"\n"
    for chunk in stream.chunks():
        digest.update(chunk)
        size_bytes += len(chunk)
        last = chunk.rstrip(b" \t\r")[-1:] or last
    return Content(digest.hexdigest(), size_bytes, last == b"\n")


@dataclass(slots=True)
class FileReport:
    """What became of one file: its events are kept, rejected, or all duplicates of a file known before."""

    name: str
    format: str
    compression: str
    content: Content
    read: int = 0
    kept: int = 0
    rejected: int = 0
    tasks: int = 0
    duplicate_of: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def duplicate(self) -> int:
        """Events not loaded because a file of the same content was."""
        return self.read if self.duplicate_of else 0


@dataclass(slots=True)
class LoadResult:
    """What became of everything that was to be read."""

    files: list[FileReport] = field(default_factory=list)
    errors: list[InputError] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    dry_runs: list[str] = field(default_factory=list)
    same_runs: int = 0


@dataclass(frozen=True, slots=True)
class Accounting:
    """Where the events of the input went. `files` counts the logs read, duplicates among them.

    Raises:
        AccountingError: they do not add up.
    """

    read: int
    kept: int
    rejected: int
    filtered: int
    duplicate: int
    files: int

    def __add__(self, other: "Accounting") -> "Accounting":
        return Accounting(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def __post_init__(self) -> None:
        adds_up = self.read == self.kept + self.rejected + self.filtered + self.duplicate
        if not adds_up or min(self.kept, self.rejected, self.filtered, self.duplicate) < 0:
            raise AccountingError(f"the counts of the input do not add up, which is a bug in analyzer: {self}")
