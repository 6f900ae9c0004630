"""Which of the two views of the same lookups is asked: the events, or turbo's run summaries.

Questions name the relations `event`, `lookup` and `session_summary` plainly. They are those of the archive's schema
`store`, unless run summaries take their place: as temporary tables of the same shape, which are found first. There a
task that was looked up is the events that a client sends for it, at the end of its run.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from analyzer.archive.merge import LOOKUPS, SUMMARIES
from analyzer.archive.schema import EVENT_VIEWS
from analyzer.errors import Option, UsageError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

View = Literal["auto", "events", "runs"]
VIEWS: tuple[View, ...] = get_args(View)

NO_CONTEXT = "(SELECT min(id) FROM store.context WHERE team IS NULL AND ci IS NULL AND interactive IS NULL)"

# The caches that a matched session asked: a summary does not say which were on.
CACHES = """
SELECT session_id, max(kinds & 3) > 0 AS local, max(kinds & 12) > 0 AS remote
FROM store.lookup WHERE session_id IN (SELECT session_id FROM store.match) GROUP BY session_id
"""

# A run that was matched keeps its session's name, team and CI, and what it asked.
ASKED = f"""
CREATE OR REPLACE TEMP TABLE asked AS
SELECT r.id AS run_id, r.file_id, t.position, r.ended_at, coalesce(k.session_id, r.session_id) AS session_id, t.hash_id,
       coalesce(nullif(t.kinds & (CASE WHEN local THEN 3 ELSE 0 END | CASE WHEN remote THEN 12 ELSE 0 END), 0), t.kinds)
           AS kinds,
       t.time_saved_ms, coalesce(m.context_id, {NO_CONTEXT}) AS context_id, k.session_id IS NULL AS unmatched,
       r.session_id AS own_session_id
FROM store.run r JOIN store.task t ON t.run_id = r.id
LEFT JOIN store.match k ON k.run_id = r.id LEFT JOIN store.session_summary m ON m.session_id = k.session_id
LEFT JOIN ({CACHES}) c ON c.session_id = k.session_id
WHERE t.cacheable AND NOT r.forced AND t.kinds IS NOT NULL
"""

MADE = """
SELECT a.*, kind::UTINYINT AS kind, CASE WHEN kind IN (1, 4) THEN coalesce(time_saved_ms, 0) ELSE 0 END AS duration_ms
FROM asked a JOIN (SELECT unnest([1, 2, 4, 8]) AS kind) ON kinds & kind > 0
"""

EVENT = f"""
CREATE OR REPLACE TEMP TABLE event AS
SELECT file_id, (position * 2 - (kind <= 2)::INTEGER)::BIGINT AS position, ended_at AS happened_at, session_id,
       hash_id, kind, duration_ms, context_id, NULL::INTEGER AS status
FROM ({MADE})
"""

LOOKUP = f"CREATE OR REPLACE TEMP TABLE lookup AS {LOOKUPS.format(events='event')}"

SESSION_SUMMARY = f"CREATE OR REPLACE TEMP TABLE session_summary AS {SUMMARIES.format(lookups='lookup')}"

# Of what may be sent again only the runs whose events never arrived, and that surely looked up what they say.
ARRIVED = "DELETE FROM asked WHERE NOT unmatched"
PERHAPS_ARRIVED = """
CREATE OR REPLACE TEMP TABLE perhaps_arrived AS
SELECT a.run_id, l.session_id
FROM asked a JOIN store.lookup l USING (hash_id) JOIN store.session_summary m ON m.session_id = l.session_id
WHERE a.unmatched AND l.kinds & ~a.kinds = 0
  AND l.session_id NOT IN (SELECT session_id FROM store.match)
  AND coalesce(abs(date_diff('hour', m.last_at, a.ended_at)) <= 24, true)
GROUP BY a.run_id, l.session_id HAVING count(DISTINCT l.hash_id) = any_value(m.lookups)
"""
HELD = "DELETE FROM asked WHERE run_id IN (SELECT run_id FROM perhaps_arrived)"
FORCED = "DELETE FROM asked WHERE run_id IN (FROM maybe_forced)"

# All that the run asked for missed, and each of it had been built or hit in an earlier run.
MAYBE_FORCED = """
CREATE OR REPLACE TEMP TABLE maybe_forced AS
WITH known AS (
    SELECT hash_id, min(ended_at) AS known_at FROM store.task t JOIN store.run r ON r.id = t.run_id
    WHERE t.kinds IN (1, 6) OR t.kinds = 10 AND coalesce(t.exit_code, 0) = 0 GROUP BY hash_id)
SELECT run_id FROM asked a LEFT JOIN known k USING (hash_id) JOIN store.run r ON r.id = a.run_id
WHERE a.unmatched GROUP BY run_id HAVING bool_and(a.kinds = 10 AND coalesce(k.known_at <= r.started_at, false))
"""

# Nor did a session arrive that only got answers that mean: not recorded. Its events are sent as the log has them.
REFUSED = """
CREATE OR REPLACE TEMP TABLE refused AS
SELECT session_id FROM store.event WHERE session_id IN (SELECT session_id FROM store.match)
GROUP BY session_id HAVING bool_and(coalesce(status BETWEEN 400 AND 499 AND status <> 408, false))
"""
OF_REFUSED = "INSERT INTO event FROM store.event WHERE session_id IN (FROM refused)"

THERE = "SELECT EXISTS (FROM store.lookup), EXISTS (FROM store.run)"


@dataclass(frozen=True, slots=True)
class Purpose:
    """What SOURCE is opened for.

    With `lookups_only` the questions are about lookups and their times: logs are read for nothing else, unless run
    summaries are among them. With `to_send`, run summaries are only those whose events never arrived and that were not,
    perhaps, forced; where the log shows that all of a run's events were refused, these themselves.
    """

    view: View = "auto"
    lookups_only: bool = False
    to_send: bool = False


ANY_QUESTION = Purpose()


def choose_view(connection: "DuckDBPyConnection", purpose: Purpose) -> Literal["events", "runs"]:
    """Let questions be answered by a view; return which it is. `auto` is the events, where there are any.

    Raises:
        UsageError: run summaries are asked for, and there are none.
    """
    events, runs = connection.execute(THERE).fetchall()[0]
    if purpose.view == "runs" and not runs:
        raise UsageError(
            Option("view", "runs"),
            ": no run summary among the input; turbo run … --summarize writes .turbo/runs/*.json",
        )
    if purpose.view == "events" or (events and purpose.view == "auto") or not runs:
        return "events"
    gone = (ARRIVED, PERHAPS_ARRIVED, FORCED, HELD) if purpose.to_send else ()
    back = (REFUSED, OF_REFUSED) if purpose.to_send else ()
    for statement in (ASKED, MAYBE_FORCED, *gone, EVENT, *back, LOOKUP, SESSION_SUMMARY):
        connection.execute(statement)
    return "runs"


def show_view(connection: "DuckDBPyConnection", view: Literal["events", "runs"]) -> None:
    """Let `events` and `lookups` be of a view, for a connection of its own."""
    if choose_view(connection, Purpose(view)) == "runs":
        connection.execute(EVENT_VIEWS.format(view="TEMP VIEW", schema="temp"))
