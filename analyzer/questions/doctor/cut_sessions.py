"""Sessions whose first batches are not in the log."""

from analyzer.questions.doctor.finding import EXAMPLES, Finding, moment

SQL = f"""
WITH headless AS (
    SELECT session_id, min(first_at) AS first_at, max(last_at) AS last_at, count(*) FILTER (kinds & 3 = 0) AS lookups
    FROM {{selected}} GROUP BY session_id HAVING bit_or(kinds) & 3 > 0 AND bool_or(kinds & 3 = 0))
SELECT count(*), sum(lookups)::BIGINT, {moment("min(first_at)")}, {moment("max(last_at)")}, {EXAMPLES}
FROM headless h JOIN session s ON s.id = h.session_id HAVING count(*) > 0 ORDER BY ALL
"""

FINDING = Finding(
    name="cut_sessions",
    severity="notice",
    definition="sessions with REMOTE events that lack the LOCAL event before them, which others of the session have",
    sql=SQL,
    what="{0:,} sessions have {1:,} remote events without the local event that comes before, from {2} to {3} UTC; such"
    " as {4}",
    remedy="the log begins in the middle of these sessions, lacks a part, or the client lost events: load the log from"
    " before and after, as rotated logs belong together",
)
