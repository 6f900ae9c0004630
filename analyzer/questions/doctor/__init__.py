"""The findings of `doctor`: one module per theme, and what all of them share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from analyzer.errors import Message, Option


@dataclass(frozen=True, slots=True)
class Finding:
    """A check of the log itself.

    Args:
        name: the name of the finding.
        severity: a `problem` makes other answers wrong or costs hits now; a `notice` helps to read them.
        definition: the condition that the SQL checks.
        sql: a query with one row for each occurrence, and none if all is well. Where it asks about lookups it is over
            `{selected}`, the lookups that pass the filters; where it asks about files, it is over the whole log.
        what: a format string for the columns of a row, in their order; the first is the number of affected things.
        remedy: what to do about it.
        options: the options that the remedy needs.
    """

    name: str
    severity: Literal["problem", "notice"]
    definition: str
    sql: str
    what: str
    remedy: str
    options: Sequence[Option] = ()

    @property
    def advice(self) -> Message:
        """The remedy, followed by its options."""
        listed = [part for option in self.options for part in (", ", option)][1:]
        return Message(self.remedy, " (", *listed, ")") if listed else Message(self.remedy)


TEAM_LABEL = "coalesce('team ' || team, 'lookups without a team')"

FIRST_SESSIONS = "array_to_string([e.session for e in min(DISTINCT {'at': first_at, 'session': session}, 3)], ', ')"
"""Aggregate over rows with `session` and `first_at`: the names of the first three sessions."""

# min() over structs compares field by field, so the negated count puts the most frequent names first.
TOP_NAMES = (
    "array_to_string([format('{} ({:,})', e.name, -e.less) for e in min({'less': -many, 'name': name}, 3)], ', ')"
)
"""Aggregate over rows with `name` and its count `many`: the three most frequent names, each with its count."""


def minute_text(sql: str) -> str:
    """Return SQL that formats a time to the minute."""
    return f"coalesce(strftime({sql}, '%Y-%m-%d %H:%M'), 'an unknown time')"
