"""Chooses the view that answers questions: the events of the logs, or the lookups in turbo's run summaries.

Questions read the relations `event`, `lookup` and `session_summary` without a schema. By default these are the tables
of the archive's schema `store`. For the view `runs`, temporary tables of the same names and columns replace them:
DuckDB finds temporary tables first. In these, each task that a run looked up becomes the events that a client reports
for it, all at the end of the run.
"""

from typing import TYPE_CHECKING, Literal, get_args

from analyzer.archive.merge import LOOKUPS, SUMMARIES
from analyzer.archive.schema import EVENT_VIEWS
from analyzer.errors import Option, UsageError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

View = Literal["auto", "events", "runs"]
VIEWS: tuple[View, ...] = get_args(View)

HAS_LOOKUPS_AND_RUNS = "SELECT EXISTS (FROM store.lookup), EXISTS (FROM store.run)"

EMPTY_CONTEXT = "(SELECT min(id) FROM store.context WHERE team IS NULL AND ci IS NULL AND interactive IS NULL)"

# A summary does not say which caches were enabled; the events of the session that matches it do.
ENABLED_CACHES = """
SELECT session_id, bool_or(asked_local(kinds)) AS local, bool_or(asked_remote(kinds)) AS remote
FROM store.lookup WHERE session_id IN (SELECT session_id FROM store.match) GROUP BY session_id
"""

# A run takes the id, team, CI and enabled caches of the session that matches it. The bits are combined here: 3 selects
# the LOCAL events of `kinds`, 12 the REMOTE ones. Where none is left, the session lost events; the summary is right.
RUN_LOOKUP = f"""
CREATE OR REPLACE TEMP TABLE run_lookup AS
SELECT r.id AS run_id, r.file_id, t.position, r.ended_at, coalesce(match.session_id, r.session_id) AS session_id,
       t.hash_id,
       coalesce(nullif(t.kinds & (CASE WHEN local THEN 3 ELSE 0 END | CASE WHEN remote THEN 12 ELSE 0 END), 0), t.kinds)
           AS kinds,
       t.time_saved_ms, coalesce(s.context_id, {EMPTY_CONTEXT}) AS context_id, match.session_id IS NULL AS is_unmatched
FROM store.run r JOIN store.task t ON t.run_id = r.id
LEFT JOIN store.match ON match.run_id = r.id LEFT JOIN store.session_summary s ON s.session_id = match.session_id
LEFT JOIN ({ENABLED_CACHES}) caches ON caches.session_id = match.session_id
WHERE t.cacheable AND NOT r.forced AND t.kinds IS NOT NULL
"""

# A summary shows --force only in the command. A run may have been forced (TURBO_FORCE) if all its lookups missed,
# although an earlier run had built or hit each hash.
MAYBE_FORCED = """
CREATE OR REPLACE TEMP TABLE maybe_forced AS
WITH known AS (
    SELECT hash_id, min(ended_at) AS known_at FROM store.task t JOIN store.run r ON r.id = t.run_id
    WHERE is_hit(t.kinds) OR is_miss(t.kinds) AND coalesce(t.exit_code, 0) = 0 GROUP BY hash_id)
SELECT run_id, count(*) AS lookups
FROM run_lookup l LEFT JOIN known USING (hash_id) JOIN store.run r ON r.id = l.run_id
WHERE is_unmatched
GROUP BY run_id HAVING bool_and(is_miss(l.kinds) AND coalesce(known_at <= r.started_at, false))
"""

# One row for each bit of a lookup's `kinds`; a task's LOCAL event comes before its REMOTE one.
EVENT = """
CREATE OR REPLACE TEMP TABLE event AS
SELECT file_id, (position * 2 - (event_source(kind) = 'LOCAL')::INTEGER)::BIGINT AS position, ended_at AS happened_at,
       session_id, hash_id, kind,
       CASE WHEN event_result(kind) = 'HIT' THEN coalesce(time_saved_ms, 0) ELSE 0 END AS duration_ms, context_id,
       NULL::INTEGER AS status
FROM run_lookup JOIN (SELECT unnest([1, 2, 4, 8]::UTINYINT[]) AS kind) ON kinds & kind > 0
"""

LOOKUP = f"CREATE OR REPLACE TEMP TABLE lookup AS {LOOKUPS.format(events='event')}"

SESSION_SUMMARY = f"CREATE OR REPLACE TEMP TABLE session_summary AS {SUMMARIES.format(lookups='lookup')}"


def choose_view(connection: "DuckDBPyConnection", view: View) -> Literal["events", "runs"]:
    """Make questions read the relations of `view`, and return it; `auto` chooses events wherever there are any.

    Raises:
        UsageError: the view is `runs`, and the input has no run summary.
    """
    has_events, has_runs = connection.execute(HAS_LOOKUPS_AND_RUNS).fetchall()[0]
    if view == "runs" and not has_runs:
        raise UsageError(
            Option("view", "runs"),
            ": the input has no run summary; `turbo run … --summarize` writes them to .turbo/runs/*.json",
        )
    if view == "events" or (has_events and view == "auto") or not has_runs:
        return "events"
    for statement in (RUN_LOOKUP, MAYBE_FORCED, EVENT, LOOKUP, SESSION_SUMMARY):
        connection.execute(statement)
    return "runs"


def create_view_relations(connection: "DuckDBPyConnection", view: Literal["events", "runs"]) -> None:
    """Make the relations `events` and `lookups` show `view` on a connection: temporary tables belong to one."""
    if choose_view(connection, view) == "runs":
        connection.execute(EVENT_VIEWS.format(view="TEMP VIEW", schema="temp"))
