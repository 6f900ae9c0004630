"""How files are read, where the user says so."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from analyzer.text import require_utf8


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: the format, where it is forced; the file's name for a column of the schema; strictness."""

    format: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False

    def __post_init__(self) -> None:
        """Refuse names that no file can have."""
        require_utf8("columns", *self.columns.values())

    @property
    def renamed(self) -> dict[str, str]:
        """The schema's name by the file's name."""
        return {theirs: ours for ours, theirs in self.columns.items()}

    def column(self, name: str) -> str:
        """Return the file's name for a column of the schema."""
        return self.columns.get(name, name)
