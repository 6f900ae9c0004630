"""Sessions whose run summary is not there, where others' are."""

from analyzer.questions.doctor.finding import EXAMPLES, Finding

SQL = f"""
WITH told AS (
    SELECT session_id, first_at, team, ci, session_id IN (SELECT session_id FROM session_run) AS matched
    FROM session_summary m JOIN store.context c ON c.id = m.context_id
    WHERE first_at IS NOT NULL AND session_id IN (SELECT session_id FROM {{selected}})
      AND (SELECT count(*) FROM match) > 0),
near AS (
    SELECT *, bool_or(matched) OVER (PARTITION BY team, ci) AS summed,
           min(first_at) FILTER (matched) OVER (PARTITION BY team, ci) AS since,
           max(first_at) FILTER (matched) OVER (PARTITION BY team, ci) AS until
    FROM told),
among AS (
    SELECT n.*, s.session FROM near n JOIN session s ON s.id = n.session_id
    WHERE summed AND n.first_at BETWEEN since AND until)
SELECT count(*), (SELECT count(*) FROM among), {EXAMPLES}
FROM among WHERE NOT matched HAVING count(*) > 0 ORDER BY ALL
"""

FINDING = Finding(
    name="unmatched_sessions",
    severity="notice",
    definition="sessions that match no run summary, between others of their team and CI vendor that do",
    sql=SQL,
    what="{0:,} of {1:,} sessions match no run summary, though others of their team and CI around them do; such as {2}",
    remedy="run turbo with --summarize everywhere and gather .turbo/runs/*.json; where lookups of a session are missing"
    " or clocks differ by seconds, nothing matches: no match is better than a false one",
)
