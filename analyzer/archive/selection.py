"""Selects the lookups that a question is about: the filters of every command, as SQL with named parameters.

Most filters choose whole lookups. `source`, `event`, `status` and `where` choose single events, before these are
combined into lookups: such a lookup is partial. After `source="LOCAL"`, a lookup that hit remotely is a local miss.
Partial lookups are computed once, into a temporary table; whole ones are read from the relation `lookup`.

Questions that only add up counts read `session_quarter` instead (see `counts`), as long as the filters choose whole
sessions. Of the quarters of an hour that `since` and `until` cut, the lookups themselves are read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from analyzer.archive.counts import LOOKUP_COUNTS, QUARTER_MINUTES, QUARTER_OF
from analyzer.archive.merge import DURATION
from analyzer.archive.relation_columns import RELATIONS
from analyzer.archive.schema import NAMED_EVENTS
from analyzer.errors import Option, QueryError
from analyzer.times import add_clamped
from analyzer.validation import require_utf8

if TYPE_CHECKING:
    import polars as pl
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

# What answers questions: events, turbo's run summaries, or events if there are any.
View = Literal["auto", "events", "runs"]

TIME_FILTERS = ("since", "until", "last")
LIST_FILTERS = ("team", "ci", "session", "hash")
EVENT_FILTERS = ("source", "event", "status")


@dataclass(frozen=True, slots=True)
class Selection:
    """The filters of a question; None and () do not filter. Times are naive UTC: `since` inclusive, `until` exclusive.

    `last` selects the time from that long before the last lookup of the log on; with `since`, the later time counts.
    A lookup belongs to the time of its first event. `view` takes effect when SOURCE is opened.

    Raises:
        UsageError: text that is not valid UTF-8.
    """

    since: datetime | None = None
    until: datetime | None = None
    last: timedelta | None = None
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
        for name in (*LIST_FILTERS, "where"):
            require_utf8(name, *getattr(self, name))

    @property
    def filters_times(self) -> bool:
        """Whether a filter by time is set."""
        return any(getattr(self, name) for name in TIME_FILTERS)

    @property
    def filters_only_times(self) -> bool:
        """Whether no other filter is set."""
        others = {field.name for field in fields(self)} - {*TIME_FILTERS, "view"}
        return all(getattr(self, name) in (None, (), []) for name in others)

    @property
    def chooses_events(self) -> bool:
        """Whether single events are filtered, which makes lookups partial."""
        return bool(self.source or self.event or self.status or self.where)


FILTERED_EVENTS = """
SELECT * FROM {events}
WHERE ($source::VARCHAR IS NULL OR event_source(kind) = $source)
  AND ($event::VARCHAR IS NULL OR event_result(kind) = $event)
  AND ($status::VARCHAR IS NULL OR (status BETWEEN 200 AND 299) = ($status = 'ok'))
"""

FILTERED_SESSIONS = """
SELECT l.*, c.team, c.ci, c.interactive
FROM {relation} l JOIN store.context c ON c.id = l.context_id
WHERE (len($team::VARCHAR[]) = 0 OR list_contains($team, team) OR list_contains($team, team_id))
  AND (len($ci::VARCHAR[]) = 0 OR list_contains($ci, ci))
  AND ($interactive::BOOLEAN IS NULL OR interactive = $interactive)
  AND (len($session::VARCHAR[]) = 0
       OR session_id IN (SELECT id FROM store.session WHERE list_contains($session, session)))
"""

FILTERED_LOOKUPS = f"""
{FILTERED_SESSIONS.replace("{relation}", "(SELECT {columns} FROM {lookup})")}
  AND ($since::TIMESTAMP IS NULL OR first_at >= $since) AND ($until::TIMESTAMP IS NULL OR first_at < $until)
  AND (len($hash::VARCHAR[]) = 0 OR hash_id IN (SELECT id FROM store.hash WHERE list_contains($hash, hash)))
"""

# In this order, so that lookups of several relations can be combined.
LOOKUP_COLUMNS = "session_id, hash_id, first_at, last_at, kinds, duration_ms, context_id, events"

# Of the columns of counts, those that a lookup has itself are left out once.
COUNTS_BY_LOOKUP = (
    f"SELECT * EXCLUDE (session_id, context_id, events, first_at, last_at), {LOOKUP_COUNTS} FROM ({{sql}})"
)

# The ids of contexts depend on the order of loading; ranks by content do not.
CONTEXT_RANK = """
SELECT id AS context_id, row_number() OVER (ORDER BY team, team_id, ci, interactive) AS rank FROM store.context
"""

# A lookup has the context of its first event. Time and rank are packed into one number, so that a plain min() finds it
# and no group is sorted; events without a time come last.
PARTIAL_LOOKUPS = f"""
CREATE TEMP TABLE {{table}} AS
WITH context_rank AS MATERIALIZED ({CONTEXT_RANK})
SELECT p.* EXCLUDE (first_rank), r.context_id
FROM (SELECT {{source}} session_id, hash_id, min(happened_at) AS first_at, max(happened_at) AS last_at,
             bit_or(kind) AS kinds, {DURATION}, count(*) AS events,
             min(coalesce(epoch_us(happened_at), 1::BIGINT << 62)::HUGEINT * 4294967296 + rank) & 4294967295
                 AS first_rank
      FROM ({{events}}) JOIN context_rank USING (context_id) GROUP BY ALL) p
JOIN context_rank r ON r.rank = p.first_rank
"""

QUARTER = timedelta(minutes=QUARTER_MINUTES)
SELECTION_PREFIX = "selection_"  # of the temporary tables that `OpenLog.drop_selections` drops
new_table_number = count(1).__next__  # a question may have several selections at once


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity: tables derived from a query are cached by it
class LookupsQuery:
    """The lookups of a selection, as SQL: questions write `{selected}` where they read them, `{counted}` for counts.

    `sql` gives one row per lookup: session_id, hash_id, first_at, last_at, kinds, duration_ms, context_id, events,
    team, ci and interactive. `counts` gives rows of counts, with team, ci and interactive: of single lookups if the
    filters choose among those of a session. `lookup` is the relation that `sql` filters by time, team, CI, session and
    hash; `events` is the SQL of the events behind that relation. If `one_sided`, LOCAL and REMOTE events of a lookup
    are not combined.
    """

    connection: "DuckDBPyConnection"
    sql: str
    counts: str
    lookup: str
    events: str
    parameters: dict[str, Any]
    one_sided: bool

    def by_lookup(self) -> "LookupsQuery":
        """Return the query with a row of counts for each lookup, which has the columns of the lookup too."""
        return replace(self, counts=COUNTS_BY_LOOKUP.format(sql=self.sql))

    def union(self, other: "LookupsQuery") -> "LookupsQuery":
        """Return the query for the lookups of this query or of `other`: those of both count once."""
        if any(COUNTS_BY_LOOKUP.format(sql=query.sql) == query.counts for query in (self, other)):
            self, other = self.by_lookup(), other.by_lookup()  # noqa: PLW0642  (rows must be of one kind)
        names = "|".join(other.parameters)
        sql, counts = (re.sub(rf"\$(?=({names})\b)", "$other_", text) for text in (other.sql, other.counts))
        return replace(
            self, sql=f"{self.sql} UNION {sql}", counts=f"{self.counts} UNION {counts}",
            parameters=self.parameters | {f"other_{name}": value for name, value in other.parameters.items()},
        )  # fmt: skip

    def rows(self, question: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Run a query that reads `{selected}` or `{counted}`, and return its rows."""
        return self.execute(question, **parameters).fetchall()

    def frame(self, question: str, **parameters: Any) -> "pl.DataFrame":
        """Run a query that reads `{selected}`, and return its rows as a data frame."""
        import polars as pl  # noqa: PLC0415  (0.15 s, only where it is needed)

        return pl.DataFrame(self.relation(question, **parameters))

    def relation(self, question: str, **parameters: Any) -> "DuckDBPyRelation":
        """Run a query that reads `{selected}` or `{counted}`, and return its result."""
        sql, used = self._bind(question, parameters)
        return self.connection.sql(sql, params=used)

    def execute(self, statement: str, **parameters: Any) -> "DuckDBPyConnection":
        """Run a statement that reads `{selected}`."""
        return self.connection.execute(*self._bind(statement, parameters))

    def _bind(self, sql: str, parameters: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        sql = sql.replace("{selected}", f"({self.sql})").replace("{counted}", f"({self.counts})")
        return sql, _used_parameters(sql, self.parameters | parameters)


def fetch_rows(connection: "DuckDBPyConnection", sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Run a query with those of `parameters` that it uses, and return its rows."""
    return connection.execute(sql, _used_parameters(sql, parameters)).fetchall()


def _used_parameters(sql: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that `sql` names: DuckDB raises an error for others."""
    return {name: value for name, value in parameters.items() if re.search(rf"\${name}\b", sql)}


def select_lookups(
    connection: "DuckDBPyConnection", selection: Selection, *, by_source: bool = False, cuts: Sequence[datetime] = ()
) -> LookupsQuery:
    """Return the query for the lookups of a selection.

    With `by_source`, LOCAL and REMOTE events make separate lookups, told apart by a column `source`. In quarters of an
    hour that contain one of the times `cuts`, the rows of counts are lookups: for a union with a selection that ends
    there.

    Raises:
        QueryError: the SQL of `where` does not run.
    """
    selection = resolve_last(connection, selection)
    lookup, events = "lookup", _events_sql(selection)
    if selection.chooses_events or by_source:
        lookup = f"{SELECTION_PREFIX}{new_table_number()}"
        source = "event_source(kind) AS source," if by_source else ""
        _run_where(connection, selection, PARTIAL_LOOKUPS.format(table=lookup, source=source, events=events))
    lists = {name: list(getattr(selection, name)) for name in LIST_FILTERS}
    others = {name: getattr(selection, name) for name in ("since", "until", "interactive", *EVENT_FILTERS)}
    one_sided = by_source or selection.source is not None
    sql = FILTERED_LOOKUPS.format(lookup=lookup, columns=f"{LOOKUP_COLUMNS}{', source' if by_source else ''}")
    counts = COUNTS_BY_LOOKUP.format(sql=sql)
    if lookup == "lookup" and not selection.hash:
        counts = FILTERED_SESSIONS.format(relation=f"({_quarters_sql(selection, cuts)})")
    return LookupsQuery(connection, sql, counts, lookup, events, lists | others, one_sided)


def divided_lookups(connection: "DuckDBPyConnection") -> LookupsQuery:
    """Return a placeholder for the lookups of a divided log, whose SQL fails: only `Scope.gather` can read them."""
    return LookupsQuery(connection, "divided", "divided", "divided", "divided", {}, one_sided=False)


@dataclass(frozen=True, slots=True)
class NeededRows:
    """The rows of a relation that a question needs: those for which `condition` holds, in the files of `selection`.

    Without `selection`, they may be in any file of a lake.
    """

    condition: str = "true"
    selection: Selection | None = None


ALL_ROWS = NeededRows()


def lookup_reads(*selections: Selection | None) -> dict[str, NeededRows]:
    """Return the relations that the lookups of these selections are computed from, with the rows that are needed.

    `last` must be resolved.
    """
    given = [selection for selection in selections if selection]
    reads = {"event": ALL_ROWS} if any(one.chooses_events for one in given) else {}
    whole = [one for one in given if not one.chooses_events]
    return reads | ({"lookup": _needed_rows("first_at", whole)} if whole else {})


def count_reads(
    selection: Selection, cuts: Sequence[datetime] = (), other: Selection | None = None
) -> dict[str, NeededRows]:
    """Return the relations that counts are computed from, like `lookup_reads`; for `cuts` see `select_lookups`."""
    given = [one for one in (selection, other) if one]
    if any(one.chooses_events or one.hash for one in given):
        return lookup_reads(*given)
    limits = [time for time in (*cuts, *(time for one in given for time in (one.since, one.until))) if time]
    cut = sorted({_quarter_of(time) for time in limits if time != _quarter_of(time)})
    whole = [replace(one, since=one.since and _quarter_of(one.since)) for one in given]
    reads = {"session_quarter": _needed_rows("quarter_at", whole)}
    if cut:
        condition = f"{QUARTER_OF.format(time='first_at')} IN ({', '.join(map(time_literal, cut))})"
        reads["lookup"] = replace(reads["session_quarter"], condition=condition)
    return reads


def _needed_rows(column: str, selections: Sequence[Selection]) -> NeededRows:
    """Return the rows whose time is in the period of one of the selections."""
    condition = " OR ".join(
        " AND ".join(
            ["true"]
            + ([f"{column} >= {time_literal(one.since)}"] if one.since else [])
            + ([f"{column} < {time_literal(one.until)}"] if one.until else [])
        )
        for one in selections
    )
    return NeededRows(condition, selections[0] if len(selections) == 1 else None)


def resolve_last(connection: "DuckDBPyConnection", selection: Selection) -> Selection:
    """Return the selection with `since` in place of `last`."""
    if not selection.last:
        return selection
    ((end,),) = connection.execute("SELECT max(last_lookup_at) FROM log_count").fetchall()
    # One microsecond later, because a period excludes its end.
    since = add_clamped(end, timedelta(microseconds=1) - selection.last) if end else datetime.max  # noqa: DTZ901
    return replace(selection, since=max(since, selection.since or since), last=None)


def _quarters_sql(selection: Selection, cuts: Sequence[datetime]) -> str:
    """Return the SQL of the counts in the period of a selection, with the hash of each row that is a lookup."""
    since, until = selection.since or datetime.min, selection.until or datetime.max  # noqa: DTZ901  (naive UTC)
    limits = [time for time in (selection.since, selection.until, *cuts) if time]
    cut = sorted({_quarter_of(time) for time in limits if time != _quarter_of(time)})
    whole = [f"quarter_at >= {time_literal(since)}"] if selection.since else []
    whole += [f"quarter_at < {time_literal(until)}"] if selection.until else []
    # In views of single lookups, `quarter_at` is the time itself.
    whole += [f"{QUARTER_OF.format(time='quarter_at')} <> {time_literal(quarter)}" for quarter in cut]
    parts = [f"SELECT *, NULL AS hash_id FROM session_quarter WHERE {' AND '.join(whole) or 'true'}"]
    for quarter in cut:
        first, last = max(quarter, since), min(add_clamped(quarter, QUARTER), until)
        inside = f"first_at >= {time_literal(first)} AND first_at < {time_literal(last)}"
        parts.append(f"SELECT {LOOKUP_COUNTS}, hash_id FROM lookup WHERE {inside}")
    return " UNION ALL ".join(parts)


def _quarter_of(time: datetime) -> datetime:
    return time.replace(minute=time.minute // QUARTER_MINUTES * QUARTER_MINUTES, second=0, microsecond=0)


def time_literal(time: datetime) -> str:
    """Return a time as SQL."""
    return f"TIMESTAMP '{time}'"


def _events_sql(selection: Selection) -> str:
    """Return the SQL of the single events that a selection chooses."""
    if not selection.chooses_events:
        return "FROM event"
    events = "event"
    if selection.where:
        # The line end closes a comment at the end of a condition.
        condition = " AND ".join(f"({where}\n)" for where in selection.where)
        # `where` can name the columns of the relation `events`; the others make partial lookups.
        named = NAMED_EVENTS.format(more_columns="e.* EXCLUDE (status, position),", event="event")
        events = f"(SELECT * FROM ({named}) WHERE {condition})"
    return FILTERED_EVENTS.format(events=events)


def _run_where(connection: "DuckDBPyConnection", selection: Selection, statement: str) -> None:
    """Run a statement that contains the conditions of `where`; errors name the option and its columns."""
    import duckdb  # noqa: PLC0415  (loaded already; only its error is needed)

    try:
        # Parsed one by one, so that a parenthesis in one condition cannot close that of another.
        for where in selection.where:
            connection.extract_statements(f"SELECT 1 WHERE {where}")
        fetch_rows(connection, statement, {name: getattr(selection, name) for name in EVENT_FILTERS})
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise QueryError(
            Option("where", " AND ".join(selection.where)),
            f": {reason}; columns: {', '.join(RELATIONS['events'].columns)}",
        ) from None
