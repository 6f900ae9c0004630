"""Places where time runs backwards in a file that is written in the order of arrival."""

from analyzer.questions.doctor.finding import Finding, moment

SQL = f"""
WITH arrived AS (
    SELECT file_id, position, happened_at,
           lag(happened_at) OVER (PARTITION BY file_id ORDER BY position) AS before_at
    FROM event
    WHERE happened_at IS NOT NULL AND file_id IN (SELECT id FROM file WHERE format IN ('requests', 'har')))
SELECT count(*), f.name, max(epoch_ms(before_at) - epoch_ms(happened_at)) // 60000,
       arg_max(position, before_at - happened_at), {moment("arg_max(before_at, before_at - happened_at)")},
       {moment("arg_max(happened_at, before_at - happened_at)")}
FROM arrived a JOIN file f ON f.id = a.file_id
WHERE before_at - happened_at > INTERVAL 1 MINUTE
GROUP BY file_id, f.name ORDER BY count(*) DESC, f.name, file_id
"""

FINDING = Finding(
    name="clock_steps",
    severity="notice",
    definition="event times that step back by more than a minute within a file in order of arrival: request logs and"
    " HAR; filters do not matter",
    sql=SQL,
    what="{1}: time steps back {0:,} times, by {2:,} minutes at most, at its event {3:,}, from {4} to {5} UTC",
    remedy="the clock of the machine that logs was set back, or logs were joined out of order: classes of misses and"
    " buckets of time are wrong around these places",
)
