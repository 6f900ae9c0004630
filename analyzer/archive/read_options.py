"""How files are read, where the user says so."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from analyzer.errors import Option, UsageError
from analyzer.event import FIELD_NAMES
from analyzer.validation import require_utf8


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How files are read: the format, where it is forced; the file's name for a column of the schema; strictness.

    Raises:
        UsageError: a file's name for a column is none, another column's, or one that no file can have.
    """

    format: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False

    def __post_init__(self) -> None:
        require_utf8("columns", *self.columns.values())
        names = [self.column(name).lower() for name in FIELD_NAMES]
        for ours, theirs in self.columns.items():
            if not theirs:
                raise UsageError(Option("columns", f"{ours}="), ": the file's name for it is missing")
            if names.count(theirs.lower()) > 1:
                mapped = Option("columns", f"{ours}={theirs}")
                raise UsageError(mapped, f": {theirs} is another column already; map that one too")

    @property
    def renamed(self) -> dict[str, str]:
        """The schema's name by the file's name."""
        return {theirs: ours for ours, theirs in self.columns.items()}

    def column(self, name: str) -> str:
        """Return the file's name for a column of the schema."""
        return self.columns.get(name, name)
