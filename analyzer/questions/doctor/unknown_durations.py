"""Teams none of whose remote hits has a duration: their server does not return it."""

from analyzer.questions.doctor.finding import OF_TEAM, Finding

HITS = f"""
SELECT team, {OF_TEAM} AS whose, remote_unknown + local_unknown AS unknown, remote_unknown, remote, local_unknown,
       local, remote >= 10 AND remote_unknown = remote AS never
FROM (SELECT team, count(*) FILTER (kinds & 5 = 4) AS remote,
             count(*) FILTER (kinds & 5 = 4 AND duration_ms IS NULL) AS remote_unknown,
             count(*) FILTER (kinds & 1 > 0) AS local,
             count(*) FILTER (kinds & 1 > 0 AND duration_ms IS NULL) AS local_unknown
      FROM {{selected}} WHERE kinds & 5 > 0 GROUP BY team)
"""
"""Of each team, the hits whose duration is 0 or absent; fewer than ten remote hits prove nothing of a server."""

FINDING = Finding(
    name="unknown_durations",
    severity="problem",
    definition="a team with at least ten remote hits, none of which has a duration",
    sql=f"SELECT unknown, whose, remote_unknown, remote, local_unknown, local FROM ({HITS}) WHERE never"
    " ORDER BY unknown DESC, whose",
    what="{1}: {2:,} of {3:,} remote hits and {4:,} of {5:,} local hits have no duration; the time they saved is not"
    " counted",
    remedy="the cache server does not return x-artifact-duration (turborepo-remote-cache 2.12.0 does not); from then"
    " on local hits of the same artifacts have none either. Update or replace the server",
)
