"""Run summaries whose session is not in the log."""

from analyzer.questions.doctor.finding import Finding

SQL = """
WITH period AS (SELECT min(first_at) AS since, max(last_at) AS until FROM store.session_summary),
asked AS (
    SELECT id, run, version, ended_at, id IN (SELECT run_id FROM match) AS matched
    FROM run, period
    WHERE NOT forced AND ended_at BETWEEN since AND until
      AND id IN (SELECT run_id FROM task WHERE cacheable AND kinds IS NOT NULL))
SELECT count(*) FILTER (NOT matched), count(*),
       array_to_string([e.run for e in min({'at': ended_at, 'run': run}, 3) FILTER (NOT matched)], ', ')
FROM asked HAVING bool_or(matched) AND NOT bool_and(matched) ORDER BY ALL
"""

FINDING = Finding(
    name="unmatched_runs",
    severity="notice",
    definition="run summaries of the time of the log that match no session, where others do; filters do not matter",
    sql=SQL,
    what="{0:,} of {1:,} run summaries of the time of the log match no session; such as {2}",
    remedy="their events are not in the log, or there were none: without token or team, and with --force, turbo"
    " reports nothing. --view runs counts them",
)
