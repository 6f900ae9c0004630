"""Which lookups a question is about: the filters that every command has, and what they leave out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any

from analyzer.archive.merge import DURATION
from analyzer.archive.view import View
from analyzer.errors import Option, QueryError
from analyzer.event import FIELD_NAMES
from analyzer.validation import require_utf8

if TYPE_CHECKING:
    import polars as pl
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class Selection:
    """Filters. Times are naive UTC, `since` inclusive, `until` exclusive. None, or nothing, lets everything pass.

    `source`, `event`, `status` and `where` choose single events before lookups are formed; the others whole lookups.
    `view` is applied as SOURCE is opened.

    Raises:
        UsageError: text that is no UTF-8.
    """

    since: datetime | None = None
    until: datetime | None = None
    team: Sequence[str] = ()
    ci: Sequence[str] = ()
    interactive: bool | None = None
    session: Sequence[str] = ()
    hash: Sequence[str] = ()
    source: str | None = None
    event: str | None = None
    status: str | None = None
    where: Sequence[str] = ()
    view: View = "auto"

    def __post_init__(self) -> None:
        """Refuse text that no log can hold."""
        for name in ("team", "ci", "session", "hash", "where"):
            require_utf8(name, *getattr(self, name))

    @property
    def is_of_times(self) -> bool:
        """Whether lookups are chosen by their times at most."""
        others = (getattr(self, one.name) for one in fields(self) if one.name not in ("since", "until", "view"))
        return all(value in (None, (), []) for value in others)

    @property
    def chooses_events(self) -> bool:
        """Whether single events are filtered."""
        return bool(self.source or self.event or self.status or self.where)


EVENTS = """
SELECT e.*, s.session AS "sessionId", CASE WHEN e.kind <= 2 THEN 'LOCAL' ELSE 'REMOTE' END AS source,
       CASE WHEN e.kind IN (1, 4) THEN 'HIT' ELSE 'MISS' END AS event, h.hash, e.duration_ms AS duration,
       e.happened_at AS timestamp, c.team_id AS "teamId", c.slug, c.team, c.ci, c.interactive, f.name AS file
FROM event e
JOIN store.session s ON s.id = e.session_id
JOIN store.hash h ON h.id = e.hash_id
JOIN store.context c ON c.id = e.context_id
JOIN store.file f ON f.id = e.file_id
"""

CHOSEN = """
SELECT * FROM {events}
WHERE ($source::VARCHAR IS NULL OR (kind <= 2) = ($source = 'LOCAL'))
  AND ($event::VARCHAR IS NULL OR (kind IN (1, 4)) = ($event = 'HIT'))
  AND ($status::VARCHAR IS NULL OR (status BETWEEN 200 AND 299) = ($status = 'ok'))
"""

LOOKUPS = """
SELECT l.*, c.team, c.ci, c.interactive
FROM {lookup} l JOIN store.context c ON c.id = l.context_id
WHERE ($since::TIMESTAMP IS NULL OR first_at >= $since) AND ($until::TIMESTAMP IS NULL OR first_at < $until)
  AND (len($team::VARCHAR[]) = 0 OR list_contains($team, team) OR list_contains($team, team_id))
  AND (len($ci::VARCHAR[]) = 0 OR list_contains($ci, ci))
  AND ($interactive::BOOLEAN IS NULL OR interactive = $interactive)
  AND (len($session::VARCHAR[]) = 0
       OR session_id IN (SELECT id FROM store.session WHERE list_contains($session, session)))
  AND (len($hash::VARCHAR[]) = 0 OR hash_id IN (SELECT id FROM store.hash WHERE list_contains($hash, hash)))
"""

# Here a lookup may be any part of the stored one: its context is that of its first event, whatever that is now. Time
# and context are packed into one number, so that ties are settled by what contexts are, not by when they were loaded.
PARTS = f"""
SELECT p.* EXCLUDE (first), c.id AS context_id
FROM (SELECT {{source}} session_id, hash_id, min(happened_at) AS first_at, max(happened_at) AS last_at,
             bit_or(kind) AS kinds, {DURATION}, count(*) AS events,
             min((coalesce(epoch_us(happened_at), 1::BIGINT << 62)::HUGEINT << 32) + rank) & 4294967295 AS first
      FROM {{events}} JOIN ranked USING (context_id) GROUP BY ALL) p
JOIN ranked c ON c.rank = p.first
"""
RANKED = """
CREATE OR REPLACE TEMP TABLE ranked AS
SELECT id, id AS context_id, row_number() OVER (ORDER BY team, team_id, ci, interactive) AS rank FROM store.context
"""
CHOSEN_LOOKUP = "chosen_lookup_"
_NUMBERS = count(1)
CHOSEN_LOOKUPS = "SELECT table_name FROM duckdb_tables() WHERE temporary AND starts_with(table_name, $start)"

OF_EVENTS = ("source", "event", "status")
SOURCE = "CASE WHEN kind <= 2 THEN 'LOCAL' ELSE 'REMOTE' END AS source,"


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity: tables derived from a query are cached by it
class LookupsQuery:
    """The lookups of a selection: `sql` gives a row a lookup, with the columns of `LOOKUPS`.

    `events` gives the events they are made of, and `lookup` all lookups of these, before whole lookups are filtered.
    """

    connection: "DuckDBPyConnection"
    sql: str
    lookup: str
    events: str
    parameters: dict[str, Any]
    one_sided: bool

    def rows(self, question: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Run a query over `{selected}`, and return its rows."""
        return self._run(question, parameters).fetchall()

    def frame(self, question: str, **parameters: Any) -> "pl.DataFrame":
        """Run a query over `{selected}`, and return its rows as a data frame."""
        import polars as pl  # noqa: PLC0415  (0.15 s, only where it is needed)

        sql = question.replace("{selected}", f"({self.sql})")
        return pl.DataFrame(self.connection.sql(sql, params=_named(sql, self.parameters | parameters)))

    def execute(self, statement: str, **parameters: Any) -> None:
        """Run a statement over `{selected}`."""
        self._run(statement, parameters)

    def _run(self, sql: str, parameters: dict[str, Any]) -> "DuckDBPyConnection":
        return _run(self.connection, sql.replace("{selected}", f"({self.sql})"), self.parameters | parameters)


def fetch_rows(connection: "DuckDBPyConnection", sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Run a query with those of the parameters that it names."""
    return _run(connection, sql, parameters).fetchall()


def _run(connection: "DuckDBPyConnection", sql: str, parameters: dict[str, Any]) -> "DuckDBPyConnection":
    return connection.execute(sql, _named(sql, parameters))


def _named(sql: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if re.search(rf"\${name}\b", sql)}


def select_lookups(connection: "DuckDBPyConnection", selection: Selection, *, by_source: bool = False) -> LookupsQuery:
    """Find the lookups of a selection.

    With `by_source` a lookup is all events of one (session, hash, source), and has the column `source`.

    Raises:
        QueryError: `where` does not run.
    """
    lookup, events = "lookup", _events(selection)
    if selection.chooses_events or by_source:
        lookup = f"{CHOSEN_LOOKUP}{next(_NUMBERS)}"
        _choose(connection, selection, lookup, events, SOURCE if by_source else "")
    lists = {name: list(getattr(selection, name)) for name in ("team", "ci", "session", "hash")}
    single = {name: getattr(selection, name) for name in ("since", "until", "interactive", *OF_EVENTS)}
    one_sided = by_source or selection.source is not None
    return LookupsQuery(connection, LOOKUPS.format(lookup=lookup), lookup, events, lists | single, one_sided)


def _events(selection: Selection) -> str:
    """Return the SQL of the single events that a selection chooses."""
    if not selection.chooses_events:
        return "FROM event"
    events = "event"
    if selection.where:
        condition = " AND ".join(f"({where}\n)" for where in selection.where)
        events = f"(SELECT * FROM ({EVENTS}) WHERE {condition})"
    return CHOSEN.format(events=events)


def drop_selections(connection: "DuckDBPyConnection") -> None:
    """Drop what selections keep of chosen events: none of them is asked anything more."""
    for (name,) in connection.execute(CHOSEN_LOOKUPS, {"start": CHOSEN_LOOKUP}).fetchall():
        connection.execute(f"DROP TABLE temp.{name}")


def _choose(connection: "DuckDBPyConnection", selection: Selection, name: str, events: str, source: str) -> None:
    import duckdb  # noqa: PLC0415  (loaded already; only its error is needed)

    parts = PARTS.format(source=source, events=f"({events})")
    table = f"CREATE TEMP TABLE {name} AS {parts}"
    connection.execute(RANKED)
    try:
        for where in selection.where:  # each by itself: its parentheses are its own
            connection.extract_statements(f"SELECT 1 WHERE {where}")
        fetch_rows(connection, table, {name: getattr(selection, name) for name in OF_EVENTS})
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        columns = ", ".join(FIELD_NAMES)
        raise QueryError(
            Option("where", " AND ".join(selection.where)), f": {reason}; the columns are {columns}, team"
        ) from None
