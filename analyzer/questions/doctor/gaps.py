"""Stretches without any event, much longer than usual: a part of the log may be missing.

Time is counted in working days, so that no weekend is a gap: `worked` runs from Monday to Friday, and stands still on
Saturday and Sunday. Of fewer than a hundred stretches the 99th percentile would be the longest: the second is usual.
"""

from analyzer.questions.doctor.finding import Finding

SQL = """
WITH started AS (
    SELECT min(first_at) AS first_at, epoch_ms(min(first_at)) / 86400000 + 3 AS day
    FROM {selected} WHERE first_at IS NOT NULL GROUP BY session_id),
apart AS (
    SELECT first_at, lead(first_at) OVER (ORDER BY first_at) AS next_at,
           floor(day / 7) * 5 + least(day - floor(day / 7) * 7, 5) AS worked,
           lead(worked) OVER (ORDER BY first_at) - worked AS days
    FROM started),
usual AS (
    SELECT CASE WHEN count(days) >= 100 THEN quantile_cont(days, 0.99) ELSE max(days, 2)[2] END AS usual_days
    FROM apart)
SELECT (epoch_ms(next_at) - epoch_ms(first_at)) // 86400000, strftime(first_at, '%Y-%m-%d %H:%M'),
       strftime(next_at, '%Y-%m-%d %H:%M'), usual_days * 24
FROM apart, usual WHERE days > 3 AND days > 5 * usual_days ORDER BY first_at
"""

FINDING = Finding(
    name="gaps",
    severity="notice",
    definition="more than three days between the starts of two sessions, Saturdays and Sundays not counted, and more"
    " than five times the 99th percentile of such times",
    sql=SQL,
    what="no event from {1} to {2} UTC, {0:,} days; usual is up to {3:,.1f} hours between sessions, weekends not"
    " counted",
    remedy="see whether a log of that time is missing, and load it; holidays look the same",
)
