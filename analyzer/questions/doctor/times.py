"""Findings about times: impossible or missing ones, clocks that go backwards, and gaps in the log."""

from analyzer.errors import Option
from analyzer.questions.doctor import TOP_NAMES, Finding, minute_text
from analyzer.times import FIRST_CLIENT_AT

IMPOSSIBLE_TIMES = Finding(
    name="impossible_times",
    severity="problem",
    definition=f"event times before {FIRST_CLIENT_AT:%Y-%m-%d}, or more than a day after their file was loaded; filters"
    " do not apply",
    sql=f"""
WITH wrong AS (
    SELECT file_id, happened_at, happened_at < TIMESTAMP '{FIRST_CLIENT_AT}' AS is_early
    FROM event e JOIN file f ON f.id = e.file_id
    WHERE happened_at < TIMESTAMP '{FIRST_CLIENT_AT}' OR happened_at > loaded_at + INTERVAL 1 DAY),
counted AS (
    SELECT is_early, f.name, count(*) AS many, min(happened_at) AS first_at, max(happened_at) AS last_at
    FROM wrong w JOIN file f ON f.id = w.file_id GROUP BY is_early, file_id, f.name)
SELECT sum(many)::BIGINT,
       CASE WHEN is_early THEN 'before {FIRST_CLIENT_AT:%B %Y}, when no client reported events'
            ELSE 'in the future' END,
       {minute_text("min(first_at)")}, {minute_text("max(last_at)")}, {TOP_NAMES}
FROM counted GROUP BY is_early ORDER BY is_early
""",
    what="{0:,} events are dated {1}: from {2} to {3} UTC; in {4}",
    remedy="numbers are read as milliseconds since 1970: if the log has seconds, multiply them by 1000; otherwise"
    " correct the clock of the machine that logs. Then load the files again",
)

UNTIMED_EVENTS = Finding(
    name="untimed_events",
    severity="notice",
    definition="events of lookups that have no time at all",
    sql=f"""
WITH untimed AS (SELECT session_id, hash_id FROM {{selected}} WHERE first_at IS NULL),
counted AS (
    SELECT f.name, count(*) AS many
    FROM event e SEMI JOIN untimed USING (session_id, hash_id) JOIN file f ON f.id = e.file_id
    GROUP BY e.file_id, f.name)
SELECT sum(many)::BIGINT, (SELECT count(DISTINCT session_id) FROM untimed), {TOP_NAMES}
FROM counted HAVING count(*) > 0 ORDER BY ALL
""",
    what="{0:,} events have no time (sessions: {1:,}): in {2}; they are in no bucket of time, their misses have no"
    " class, and time filters exclude them",
    remedy="log the time at which each request was received, as the column `timestamp` of events or as `received_at` of"
    " requests; if it has another name, map it",
    options=(Option("columns"),),
)

# Only request logs and HAR files are written in the order of arrival; the order of other rows means nothing.
CLOCK_STEPS = Finding(
    name="clock_steps",
    severity="notice",
    definition="event times that step back by more than a minute within a file in the order of arrival (request logs"
    " and HAR); filters do not apply",
    sql=f"""
WITH arrived AS (
    SELECT file_id, position, happened_at,
           lag(happened_at) OVER (PARTITION BY file_id ORDER BY position) AS before_at
    FROM event
    WHERE happened_at IS NOT NULL AND file_id IN (SELECT id FROM file WHERE format IN ('requests', 'har')))
SELECT count(*), f.name, max(epoch_ms(before_at) - epoch_ms(happened_at)) // 60000,
       arg_max(position, before_at - happened_at), {minute_text("arg_max(before_at, before_at - happened_at)")},
       {minute_text("arg_max(happened_at, before_at - happened_at)")}
FROM arrived a JOIN file f ON f.id = a.file_id
WHERE before_at - happened_at > INTERVAL 1 MINUTE
GROUP BY file_id, f.name ORDER BY count(*) DESC, f.name, file_id
""",
    what="{1}: time steps back (steps: {0:,}), by up to {2:,} minutes: at event {3:,}, from {4} to {5} UTC",
    remedy="the clock of the machine that logs was set back, or logs were joined out of order: classes of misses and"
    " buckets of time are wrong around these places",
)

# Time is counted in working days: `worked` grows from Monday to Friday and stands still on weekends (day 0 of the epoch
# was a Thursday, hence + 3). With fewer than 100 intervals the 99th percentile would be the longest interval itself,
# so the second longest is the usual maximum there.
_GAPS_SQL = """
WITH started AS (
    SELECT min(first_at) AS first_at, epoch_ms(min(first_at)) / 86400000 + 3 AS day
    FROM {selected} WHERE first_at IS NOT NULL GROUP BY session_id),
intervals AS (
    SELECT first_at, lead(first_at) OVER (ORDER BY first_at) AS next_at,
           floor(day / 7) * 5 + least(day - floor(day / 7) * 7, 5) AS worked,
           lead(worked) OVER (ORDER BY first_at) - worked AS days
    FROM started),
usual AS (
    SELECT CASE WHEN count(days) >= 100 THEN quantile_cont(days, 0.99) ELSE max(days, 2)[2] END AS usual_days
    FROM intervals)
SELECT (epoch_ms(next_at) - epoch_ms(first_at)) // 86400000, strftime(first_at, '%Y-%m-%d %H:%M'),
       strftime(next_at, '%Y-%m-%d %H:%M'), usual_days * 24
FROM intervals, usual WHERE days > 3 AND days > 5 * usual_days ORDER BY first_at
"""

GAPS = Finding(
    name="gaps",
    severity="notice",
    definition="more than three days between the starts of two sessions, not counting Saturdays and Sundays, and more"
    " than five times the 99th percentile of such intervals",
    sql=_GAPS_SQL,
    what="no event from {1} to {2} UTC, {0:,} days; usually sessions start at most {3:,.1f} hours apart, not counting"
    " weekends",
    remedy="check whether a log of that period is missing, and load it; holidays look the same",
)
