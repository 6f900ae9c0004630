"""Completes the sessions that are derived from access logs with what reported events and run summaries know."""

from typing import TYPE_CHECKING

from analyzer.archive.counts import SESSION_QUARTERS
from analyzer.readers.access import SESSION_PREFIX
from analyzer.readers.formats import DERIVED_FORMATS_SQL

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

HAS_DERIVED = f"FROM store.file WHERE format IN ({DERIVED_FORMATS_SQL}) LIMIT 1"

# Clients report events at the end of a run, up to an hour after its first lookup.
COVERED_SESSIONS = f"""
CREATE TEMP TABLE covered AS
WITH timed AS (
    SELECT session_id, first_at, last_at, team, starts_with(session, '{SESSION_PREFIX}') AS is_derived
    FROM store.session_summary m JOIN store.session s ON s.id = m.session_id
    JOIN store.context c ON c.id = m.context_id),
reported AS (
    SELECT team, min(first_at) AS since, max(last_at) AS until FROM timed WHERE NOT is_derived GROUP BY team)
SELECT session_id FROM timed t JOIN reported r ON r.team IS NOT DISTINCT FROM t.team
WHERE is_derived AND t.last_at >= since - INTERVAL 1 HOUR AND t.first_at <= until + INTERVAL 1 HOUR
"""
COUNT_COVERED = "SELECT count(*) FROM store.lookup WHERE session_id IN (FROM covered)"
REMOVE_COVERED = """
DELETE FROM store.lookup WHERE session_id IN (FROM covered);
DELETE FROM store.event WHERE session_id IN (FROM covered);
DELETE FROM store.session_summary WHERE session_id IN (FROM covered);
DELETE FROM store.session_quarter WHERE session_id IN (FROM covered);
DROP TABLE covered;
"""

# What run summaries and metadata of artifacts know about the hits of access logs, which have no durations of their own.
FILL_DURATIONS = f"""
CREATE TEMP TABLE derived_session AS
SELECT id AS session_id FROM store.session WHERE starts_with(session, '{SESSION_PREFIX}');
UPDATE store.lookup AS l SET duration_ms = known.duration_ms FROM (
    SELECT hash_id, arg_min(duration_ms, source) AS duration_ms FROM (
        SELECT 1 AS source, hash_id, max(time_saved_ms) AS duration_ms FROM store.task WHERE time_saved_ms > 0
        GROUP BY hash_id
        UNION ALL SELECT 2, hash_id, max(duration_ms) FROM store.artifact GROUP BY hash_id
        UNION ALL SELECT 3, hash_id, max(execution_ms) FROM store.task
        WHERE execution_ms > 0 AND coalesce(exit_code, 0) = 0 GROUP BY hash_id)
    GROUP BY hash_id) known
WHERE known.hash_id = l.hash_id AND is_hit(l.kinds) AND l.session_id IN (FROM derived_session);
UPDATE store.session_summary AS s SET time_saved_ms = t.saved_ms FROM (
    SELECT session_id, known_sum(duration_ms, is_hit(kinds)) AS saved_ms
    FROM store.lookup WHERE session_id IN (FROM derived_session) GROUP BY session_id) t
WHERE t.session_id = s.session_id;
DELETE FROM store.session_quarter WHERE session_id IN (FROM derived_session);
INSERT INTO store.session_quarter
{SESSION_QUARTERS.format(lookups="store.lookup WHERE session_id IN (FROM derived_session)")};
DROP TABLE derived_session;
"""


def complete_derived_sessions(connection: "DuckDBPyConnection") -> int:
    """Give derived lookups their durations; remove those for which events report the same team and time.

    Returns the number of lookups that were removed.
    """
    if not connection.execute(HAS_DERIVED).fetchall():
        return 0
    connection.execute(COVERED_SESSIONS)
    ((removed,),) = connection.execute(COUNT_COVERED).fetchall()
    connection.execute(REMOVE_COVERED)
    connection.execute(FILL_DURATIONS)
    return int(removed)
