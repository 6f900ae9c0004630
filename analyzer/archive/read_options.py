"""Options for reading log files."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from analyzer.errors import Option, UsageError
from analyzer.event import FIELD_NAMES
from analyzer.validation import require_utf8


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How log files are read.

    `format` overrides the detected format. `columns` maps field names of the event schema to the names used in the
    files. With `strict`, the first rejected event is an error.

    Raises:
        UsageError: a name in `columns` is empty, not valid UTF-8, or used for two fields.
    """

    format: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False

    def __post_init__(self) -> None:
        require_utf8("columns", *self.columns.values())
        # DuckDB compares column names without regard to case.
        names = [self.column(name).lower() for name in FIELD_NAMES]
        for field_name, column in self.columns.items():
            if not column:
                raise UsageError(Option("columns", f"{field_name}="), ": the column name is missing")
            if names.count(column.lower()) > 1:
                mapped = Option("columns", f"{field_name}={column}")
                raise UsageError(mapped, f": {column} is the column of another field; map that one too")

    @property
    def renamed(self) -> dict[str, str]:
        """The field names by the column names of `columns`."""
        return {column: field_name for field_name, column in self.columns.items()}

    def column(self, name: str) -> str:
        """Return the column name that files use for a field of the event schema."""
        return self.columns.get(name, name)
