"""Times that cannot be: before any client reported events, or after the log was loaded."""

from analyzer.questions.doctor.finding import MOST, Finding, moment
from analyzer.times import FIRST_CLIENT_AT

SQL = f"""
WITH wrong AS (
    SELECT file_id, happened_at, happened_at < TIMESTAMP '{FIRST_CLIENT_AT}' AS is_early
    FROM event e JOIN file f ON f.id = e.file_id
    WHERE happened_at < TIMESTAMP '{FIRST_CLIENT_AT}' OR happened_at > loaded_at + INTERVAL 1 DAY),
counted AS (
    SELECT is_early, f.name, count(*) AS many, min(happened_at) AS first_at, max(happened_at) AS last_at
    FROM wrong w JOIN file f ON f.id = w.file_id GROUP BY is_early, file_id, f.name)
SELECT sum(many)::BIGINT,
       CASE WHEN is_early THEN 'before {FIRST_CLIENT_AT:%B %Y}, when no client reported any' ELSE 'in the future' END,
       {moment("min(first_at)")}, {moment("max(last_at)")}, {MOST}
FROM counted GROUP BY is_early ORDER BY is_early
"""

FINDING = Finding(
    name="impossible_times",
    severity="problem",
    definition=f"event times before {FIRST_CLIENT_AT:%Y-%m-%d}, or more than a day after their file was loaded;"
    " filters do not matter",
    sql=SQL,
    what="{0:,} events are {1}: from {2} to {3} UTC; in {4}",
    remedy="numbers are read as milliseconds since 1970: multiply seconds by 1000; else set the clock of the machine"
    " that logs, and load the files again",
)
