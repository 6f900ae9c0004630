"""Sessions that lost events on their way: the last batches of a run were never sent."""

from analyzer.questions.doctor.finding import EXAMPLES, Finding

# A session none of whose local misses was asked for remotely lost nothing: the remote cache was off, or not reached.
SQL = f"""
WITH told AS (
    SELECT session_id, min(first_at) AS first_at,
           CASE WHEN bool_or(kinds & 2 > 0 AND kinds & 12 > 0) THEN count(*) FILTER (kinds = 2) ELSE 0 END AS unasked
    FROM {{selected}} GROUP BY session_id),
summed AS (
    SELECT m.session_id, any_value(r.version) AS version,
           count(DISTINCT t.hash_id) FILTER (t.cacheable AND t.kinds IS NOT NULL AND l.hash_id IS NULL) AS untold
    FROM match m JOIN run r ON r.id = m.run_id JOIN task t ON t.run_id = m.run_id
    LEFT JOIN (SELECT * FROM lookup WHERE session_id IN (SELECT session_id FROM match)) l
      ON l.session_id = m.session_id AND l.hash_id = t.hash_id
    GROUP BY m.session_id),
found AS (
    SELECT *, unasked + coalesce(untold, 0) > 0 AS lost FROM told LEFT JOIN summed USING (session_id)),
named AS (SELECT f.*, s.session FROM found f JOIN session s ON s.id = f.session_id WHERE lost)
SELECT count(*),
       CASE WHEN version IS NULL THEN 'sessions of unknown turbo versions' ELSE 'sessions of turbo ' || version END,
       (SELECT count(*) FROM found f WHERE f.version IS NOT DISTINCT FROM n.version),
       sum(unasked)::BIGINT, coalesce(sum(untold), 0)::BIGINT, {EXAMPLES},
       CASE version WHEN '2.10.13' THEN '; this version is known to lose about 12 %'
            WHEN '2.11.0' THEN '; this version is known to lose about 11 %'
            WHEN '2.9.18' THEN '; this version is known to lose about 1 %' ELSE '' END
FROM named n GROUP BY version ORDER BY count(*) DESC, version NULLS LAST
"""

FINDING = Finding(
    name="lost_events",
    severity="problem",
    definition="sessions in which the remote event of some local misses is there and that of others is not, or that"
    " report fewer lookups than their run summary has",
    sql=SQL,
    what="{0:,} of {2:,} {1} lack events: {3:,} local misses have no remote event though others of the session have"
    " one, {4:,} lookups of run summaries are missing; such as {5}{6}",
    remedy="some turbo versions (2.10.13, 2.11.0, 2.9.18) lose events as they exit: update turbo. Single ones are also"
    " of runs that were stopped, or of remote lookups that failed",
)
