"""What a finding is, and the SQL that findings share."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding: `sql` gives a row for each thing to be said, none where nothing is wrong.

    A row's first column is the number of affected things; all its columns fill the sentence `what`, in their order.
    A `problem` makes other answers wrong, or costs hits now; a `notice` is to be known when they are read. `sql` is
    over `{selected}`, the lookups that filters leave, wherever it asks about lookups; what it asks about files is of
    the whole log.
    """

    name: str
    severity: Literal["problem", "notice"]
    definition: str
    sql: str
    what: str
    remedy: str


OF_TEAM = "coalesce('team ' || team, 'lookups without a team')"

EXAMPLES = "array_to_string([e.session for e in min({'at': first_at, 'session': session}, 3)], ', ')"
"""The names of the first three sessions, of rows with `session` and `first_at`."""

MOST = "array_to_string([format('{} ({:,})', e.name, -e.less) for e in min({'less': -many, 'name': name}, 3)], ', ')"
"""The three names that occur most, each with how `many`."""


def moment(sql: str) -> str:
    """Return the SQL that writes a time to the minute."""
    return f"coalesce(strftime({sql}, '%Y-%m-%d %H:%M'), 'a time unknown')"
