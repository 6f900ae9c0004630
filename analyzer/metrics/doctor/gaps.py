"""Stretches without any event, much longer than usual: a part of the log may be missing."""

from analyzer.metrics.doctor.finding import Finding

# Of fewer than a hundred times between sessions, the 99th percentile would be the longest: the second is usual then.
SQL = """
WITH started AS (SELECT min(first_at) AS first_at FROM {selected} WHERE first_at IS NOT NULL GROUP BY session_id),
apart AS (SELECT first_at, lead(first_at) OVER (ORDER BY first_at) AS next_at FROM started),
timed AS (SELECT *, (epoch_ms(next_at) - epoch_ms(first_at)) / 86400000 AS days FROM apart WHERE next_at IS NOT NULL),
usual AS (
    SELECT CASE WHEN count(*) >= 100 THEN quantile_cont(days, 0.99) ELSE max(days, 2)[2] END AS days FROM timed),
long AS (
    SELECT t.*, u.days * 24 AS usual_hours,
           len([day for day in range(date_trunc('day', first_at), next_at, INTERVAL 1 DAY) if isodow(day) > 5])
               AS weekend_days
    FROM timed t, usual u WHERE t.days > 3 AND t.days > 5 * u.days)
SELECT floor(days)::BIGINT, strftime(first_at, '%Y-%m-%d %H:%M'), strftime(next_at, '%Y-%m-%d %H:%M'), usual_hours
FROM long WHERE days - weekend_days > 3 ORDER BY first_at
"""

FINDING = Finding(
    name="gaps",
    severity="notice",
    definition="more than three days between the starts of two sessions, Saturdays and Sundays not counted, and more"
    " than five times the 99th percentile of such times",
    sql=SQL,
    what="no event from {1} to {2} UTC, {0:,} days; usual is up to {3:,.1f} hours between sessions",
    remedy="see whether a log of that time is missing, and load it; holidays look the same",
)
