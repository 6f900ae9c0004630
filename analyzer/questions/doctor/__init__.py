"""Defines the findings of `doctor`: their type, and the SQL that they share. The other modules declare them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analyzer.archive.counts import ADDED_COUNTS
from analyzer.archive.selection import count_reads, fetch_rows
from analyzer.errors import Option
from analyzer.questions.scope import Given, Rows, Scope, Step


def read_lookups(scope: Scope, sql: str) -> list[tuple[Any, ...]]:
    """Run the SQL of a finding that needs all lookups, counts or events in one place."""
    return scope.selected.rows(sql)


def read_files(scope: Scope, sql: str) -> list[tuple[Any, ...]]:
    """Run the SQL of a finding that reads files, rejects and run summaries only."""
    return fetch_rows(scope.log.connection, sql, {})


def read_teams(scope: Scope, sql: str) -> list[tuple[Any, ...]]:
    """Run the SQL of a finding that reads the counts of each team as `{parts}`."""
    return scope.gather([Step("session_id", _count_teams, count_reads(scope.selection))]).rows("teams", sql)


def _count_teams(scope: Scope, _passed: Mapping[str, Rows]) -> Given:
    return Given({"teams": Rows(scope.selected, f"SELECT team, {ADDED_COUNTS} FROM {{counted}} GROUP BY team")})


@dataclass(frozen=True, slots=True)
class Finding:
    """A check of the log itself.

    Args:
        name: its name in the answer.
        definition: the condition that the SQL checks.
        sql: a query that returns one row per occurrence, the number of affected items first. It reads `{selected}`,
            the lookups that pass the filters, `{counted}`, their counts, or relations of the whole log, such as `file`
            and `event`.
        what: a format string for the columns of a row, in their order.
        remedy: what to do about it; `options` are needed for that.
        section: the anchor of the section on the page of `report` that it concerns most.
        read: runs the SQL.
    """

    name: str
    definition: str
    sql: str
    what: str
    remedy: str
    section: str
    options: Sequence[Option] = ()
    read: Callable[[Scope, str], list[tuple[Any, ...]]] = read_lookups


TEAM_LABEL = "coalesce('team ' || team, 'lookups without a team')"

# Aggregate over rows with `session` and `first_at`: the names of the first three sessions.
FIRST_SESSIONS = "array_to_string([e.session for e in min(DISTINCT {'at': first_at, 'session': session}, 3)], ', ')"

# Aggregate over rows with `name` and its count `total`: the three most frequent names, each with its count.
# min() over structs compares field by field, so the negated count puts the most frequent names first.
TOP_NAMES = (
    "array_to_string([format('{} ({:,})', e.name, -e.negated)"
    " for e in min({'negated': -total, 'name': name}, 3)], ', ')"
)


def minute_text(sql: str) -> str:
    """Return SQL that formats a time to the minute."""
    return f"coalesce(strftime({sql}, '%Y-%m-%d %H:%M'), 'an unknown time')"
