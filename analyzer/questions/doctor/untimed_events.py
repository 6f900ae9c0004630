"""Events without a time."""

from analyzer.questions.doctor.finding import MOST, Finding

SQL = f"""
WITH untimed AS (SELECT session_id, hash_id FROM {{selected}} WHERE first_at IS NULL),
counted AS (
    SELECT f.name, count(*) AS many
    FROM event e SEMI JOIN untimed USING (session_id, hash_id) JOIN file f ON f.id = e.file_id
    GROUP BY e.file_id, f.name)
SELECT sum(many)::BIGINT, (SELECT count(DISTINCT session_id) FROM untimed), {MOST}
FROM counted HAVING count(*) > 0 ORDER BY ALL
"""

FINDING = Finding(
    name="untimed_events",
    severity="notice",
    definition="events of lookups without any time",
    sql=SQL,
    what="{0:,} events of {1:,} sessions have no time: in {2}; they are in no bucket of time, their misses have no"
    " class, and --since and --until leave them out",
    remedy="let the log keep the time a request was received: a column timestamp, or received_at of the request"
    " (--map timestamp=THEIRS)",
)
