"""Events that a file holds more than once: batches that were sent again, or logged twice."""

from analyzer.questions.doctor.finding import Finding

SQL = """
WITH repeated AS (SELECT session_id, hash_id, first_at FROM {selected} WHERE events > bit_count(kinds)),
tried AS (
    SELECT e.session_id, any_value(first_at) AS first_at, count(*) - 1 AS again,
           arg_min(coalesce(status, -1), position) AS first_status
    FROM event e JOIN repeated USING (session_id, hash_id)
    GROUP BY file_id, e.session_id, e.hash_id, kind HAVING count(*) > 1),
answered AS (
    SELECT *, CASE WHEN first_status = -1 THEN 'the log does not say whether the first try failed'
                   WHEN first_status BETWEEN 200 AND 299 THEN 'the first try had succeeded, so this is no retry'
                   ELSE 'the first try had failed with status ' || first_status END AS why
    FROM tried)
SELECT sum(again)::BIGINT, count(DISTINCT session_id), why,
       array_to_string([e.session for e in min(DISTINCT {'at': first_at, 'session': session}, 3)], ', ')
FROM answered a JOIN session s ON s.id = a.session_id GROUP BY why ORDER BY 1 DESC, why
"""

FINDING = Finding(
    name="retried_batches",
    severity="notice",
    definition="events (session, source, event, hash) that one file holds more than once",
    sql=SQL,
    what="{0:,} events of {1:,} sessions are repeats: {2}; such as {3}",
    remedy="lookups count them once, and replay sends them once; events and their rates count them all. turbo sends a"
    " batch again 2 s after a 500 or 429: see why the server failed. Without a failure two collectors write one log",
)
