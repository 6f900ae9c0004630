"""Times in which those who otherwise ask the remote cache did not: it was down, or a token had expired.

Sessions of one team and one CI vendor, as these share a token, are looked at in the order of their time. A streak of
sessions that did not ask is an outage where it is too long to be chance: among N sessions, a share p of which do not
ask at other times too, N p^n is about the number of streaks of n to be expected. Streaks at the same time are one
outage. Sessions and not days are looked at, as an outage begins and ends in the middle of a day.
"""

from analyzer.questions.doctor.finding import Finding, moment

SQL = f"""
WITH told AS (
    SELECT session_id, min(first_at) AS first_at, count(*) AS misses, count(*) FILTER (kinds & 12 > 0) AS asked
    FROM {{selected}} WHERE kinds & 2 > 0 AND first_at IS NOT NULL GROUP BY session_id),
placed AS (
    SELECT t.*, team, ci, asked < 0.05 * t.misses AS dark
    FROM told t JOIN session_summary m USING (session_id) JOIN store.context c ON c.id = m.context_id),
usual AS (
    SELECT team, ci, count(*) AS sessions, avg(dark::INTEGER) AS chance FROM placed
    GROUP BY team, ci HAVING sum(asked) > 0.5 * sum(misses)),
judged AS (
    SELECT p.*, sessions, chance,
           sum((NOT dark)::INTEGER) OVER (PARTITION BY p.team, p.ci ORDER BY p.first_at, p.session_id
                                          ROWS UNBOUNDED PRECEDING) AS streak
    FROM placed p JOIN usual u ON u.team IS NOT DISTINCT FROM p.team AND u.ci IS NOT DISTINCT FROM p.ci),
streaks AS (
    SELECT team, min(first_at) AS since, max(first_at) AS until
    FROM judged WHERE dark GROUP BY team, ci, streak
    HAVING sum(misses) >= 20 AND count(*) >= 5 AND max(first_at) - min(first_at) >= INTERVAL 1 HOUR
       AND any_value(sessions) * pow(any_value(chance), count(*)) < 0.01),
begun AS (
    SELECT *, since > max(until) OVER (ORDER BY since, until, team
                                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS is_new
    FROM streaks),
numbered AS (SELECT *, count(*) FILTER (is_new) OVER (ORDER BY since, until, team) AS outage FROM begun),
outages AS (SELECT min(since) AS since, max(until) AS until FROM numbered GROUP BY outage)
SELECT sum(misses)::BIGINT, count(*), {moment("since")}, {moment("until")},
       string_agg(DISTINCT coalesce(team, 'no team'), ', ' ORDER BY coalesce(team, 'no team'))
FROM outages JOIN judged ON dark AND first_at BETWEEN since AND until
GROUP BY since, until ORDER BY since
"""

FINDING = Finding(
    name="outages",
    severity="problem",
    definition="at least 5 sessions in a row, for an hour or longer, of a team and CI vendor that asks the remote cache"
    " for most of its local misses, in which under 5 % of at least 20 local misses were, and that is no chance",
    sql=SQL,
    what="from {2} to {3} UTC, {0:,} local misses of {1:,} sessions were not looked up in the remote cache ({4})",
    remedy="the remote cache was not reached, or a token had expired; see the server's log of that time, and leave the"
    " time out (--since, --until) where hit rates are compared",
)
