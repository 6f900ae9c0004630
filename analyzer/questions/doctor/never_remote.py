"""Teams that never ask the remote cache."""

from analyzer.questions.doctor.finding import OF_TEAM, Finding, moment

SQL = f"""
SELECT misses, {OF_TEAM}, {moment("first_at")}, {moment("last_at")}
FROM (SELECT team, count(*) FILTER (kinds & 2 > 0) AS misses, min(first_at) AS first_at,
             max(last_at) AS last_at
      FROM {{selected}} GROUP BY team HAVING bit_or(kinds) & 12 = 0)
WHERE misses >= 20 ORDER BY misses DESC, team NULLS LAST
"""

FINDING = Finding(
    name="never_remote",
    severity="problem",
    definition="a team with at least 20 local misses and no REMOTE event at all",
    sql=SQL,
    what="{1}: {0:,} local misses, from {2} to {3} UTC, and not one was looked up in the remote cache",
    remedy="the remote cache is switched off for the team (--cache=local:rw, a token without access) or never reached:"
    " run turbo with -vv to see; or the log holds LOCAL events only",
)
