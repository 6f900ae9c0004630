"""Findings about the log files: damage, overlaps, invalid items, repeated batches, and wrong or missing times."""

from analyzer.archive.counts import by_session
from analyzer.errors import Option
from analyzer.questions.doctor import FIRST_SESSIONS, TOP_NAMES, Finding, minute_text, read_files
from analyzer.readers.formats import IN_ARRIVAL_ORDER
from analyzer.times import FIRST_CLIENT_AT

CUT_FILES = Finding(
    name="cut_files",
    section="provenance",
    definition="files whose compressed data is damaged, or that end in the middle of an item; filters do not apply",
    read=read_files,
    sql="""
WITH cut AS (
    SELECT name, damage AS why FROM file WHERE damage IS NOT NULL
    UNION ALL
    SELECT name, 'it ends in the middle of an item' FROM file
    WHERE damage IS NULL AND id IN (SELECT file_id FROM reject WHERE reason LIKE 'cut off%'))
SELECT count(*), array_to_string([format('{} ({})', e.name, e.why) for e in min({'name': name, 'why': why}, 3)], ', '),
       (SELECT count(*) FROM file)
FROM cut HAVING count(*) > 0 ORDER BY ALL
""",
    what="{0:,} of {2:,} files are incomplete: {1}; everything before the damage was read",
    remedy="fetch the files again, or wait until they are completely written. A complete file can be loaded beside the"
    " damaged one: lookups that are in both count once",
)

# Only lookups with repeated events (more events than distinct kinds) can be in two files. Equal events within a second
# are the same event; a retry comes 2 s later.
OVERLAPPING_FILES = Finding(
    name="overlapping_files",
    section="provenance",
    definition="files that share events (session, source, event, hash and duration, within a second or without a time)"
    " with a file read before; filters do not apply",
    sql="""
WITH repeated AS (SELECT session_id, hash_id FROM lookup WHERE events > bit_count(kinds)),
candidates AS (
    SELECT file_id, session_id, hash_id, kind, coalesce(duration_ms, 0) AS duration_ms, happened_at AS at, count(*) AS n
    FROM event SEMI JOIN repeated USING (session_id, hash_id) GROUP BY ALL),
shared AS (
    SELECT earlier.file_id AS first_id, later.file_id, sum(least(earlier.n, later.n))::BIGINT AS events
    FROM candidates earlier JOIN candidates later USING (session_id, hash_id, kind, duration_ms)
    WHERE earlier.file_id < later.file_id
      AND (abs(epoch_ms(earlier.at) - epoch_ms(later.at)) <= 1000 OR earlier.at IS NULL OR later.at IS NULL)
    GROUP BY ALL)
SELECT sum(events)::BIGINT, later.name, later.kept, count(*),
       array_to_string([format('{:,} with {}', -e.negated, e.name)
                        for e in min({'negated': -events, 'name': earlier.name}, 3)], ', ')
FROM shared s JOIN file earlier ON earlier.id = s.first_id JOIN file later ON later.id = s.file_id
GROUP BY s.file_id, later.name, later.kept ORDER BY 1 DESC, later.name, s.file_id
""",
    what="{1} ({2:,} events) shares events with files read before it ({3:,}): {4}",
    remedy="events count twice, although lookups count once and replay sends them once: load each log once, when it is"
    " complete, and only one of several copies of a stream",
)

REJECTS = Finding(
    name="rejects",
    section="provenance",
    definition="lines or items that are not valid events; filters do not apply",
    read=read_files,
    sql=f"""
WITH reasons AS (SELECT reason AS name, count(*) AS total FROM reject GROUP BY reason),
files AS (SELECT name, rejected AS total FROM file WHERE rejected > 0)
SELECT sum(total)::BIGINT, (SELECT sum(read)::BIGINT FROM file), count(*), (SELECT {TOP_NAMES} FROM reasons),
       {TOP_NAMES}
FROM files HAVING count(*) > 0 ORDER BY ALL
""",
    what="{0:,} of {1:,} events were rejected: {3}; files ({2:,}): {4}",
    remedy="list all of them with their places, and repair the program that writes them; if columns have other names in"
    " the files, map them",
    options=(Option("rejects"), Option("columns")),
)

RETRIED_BATCHES = Finding(
    name="retried_batches",
    section="provenance",
    definition="events (session, source, event, hash) that one file contains more than once",
    sql=f"""
WITH repeated AS (SELECT session_id, hash_id, first_at FROM {{selected}} WHERE events > bit_count(kinds)),
tried AS (
    SELECT e.session_id, any_value(first_at) AS first_at, count(*) - 1 AS repeats,
           arg_min(coalesce(status, -1), position) AS first_status
    FROM event e JOIN repeated USING (session_id, hash_id)
    GROUP BY file_id, e.session_id, e.hash_id, kind HAVING count(*) > 1),
explained AS (
    SELECT *, CASE WHEN first_status = -1 THEN 'the log does not say whether the first attempt failed'
                   WHEN first_status BETWEEN 200 AND 299 THEN 'the first attempt had succeeded, so this is no retry'
                   ELSE 'the first attempt had failed with status ' || first_status END AS why
    FROM tried)
SELECT sum(repeats)::BIGINT, count(DISTINCT session_id), why, {FIRST_SESSIONS}
FROM explained x JOIN session s ON s.id = x.session_id GROUP BY why ORDER BY 1 DESC, why
""",
    what="{0:,} events are repeats (sessions: {1:,}): {2}; such as {3}",
    remedy="events and rates over events count repeats; lookups count them once, and replay sends them once. turbo"
    " sends a batch again 2 s after a 500 or 429: find out why the server failed. Repeats without a failure mean that"
    " two collectors write to one log",
)

UNKNOWN_KEYS = Finding(
    name="unknown_keys",
    section="provenance",
    definition="keys of events that are not a known column and are ignored; filters do not apply",
    read=read_files,
    sql=f"""
SELECT sum(total)::BIGINT, count(*), {TOP_NAMES}
FROM (SELECT name, unknown_keys AS total FROM file WHERE unknown_keys > 0) HAVING count(*) > 0 ORDER BY ALL
""",
    what="{0:,} unknown keys are ignored; files ({1:,}): {2}",
    remedy="a note names the keys when the file is loaded; if one is a known column under another name, map it",
    options=(Option("columns"),),
)

IMPOSSIBLE_TIMES = Finding(
    name="impossible_times",
    section="hit-rate",
    definition=f"event times before {FIRST_CLIENT_AT:%Y-%m-%d}, or more than a day after their file was loaded; filters"
    " do not apply",
    sql=f"""
WITH wrong AS (
    SELECT file_id, happened_at, happened_at < TIMESTAMP '{FIRST_CLIENT_AT}' AS is_early
    FROM event e JOIN file f ON f.id = e.file_id
    WHERE happened_at < TIMESTAMP '{FIRST_CLIENT_AT}' OR happened_at > loaded_at + INTERVAL 1 DAY),
counted AS (
    SELECT is_early, f.name, count(*) AS total, min(happened_at) AS first_at, max(happened_at) AS last_at
    FROM wrong w JOIN file f ON f.id = w.file_id GROUP BY is_early, file_id, f.name)
SELECT sum(total)::BIGINT,
       CASE WHEN is_early THEN 'before {FIRST_CLIENT_AT:%B %Y}, when no client reported events'
            ELSE 'in the future' END,
       {minute_text("min(first_at)")}, {minute_text("max(last_at)")}, {TOP_NAMES}
FROM counted GROUP BY is_early ORDER BY is_early
""",
    what="{0:,} events are dated {1}: from {2} to {3} UTC; in {4}",
    remedy="correct the clock of the machine that logs, or map the column with the times; then load the files again",
    options=(Option("columns"),),
)

UNTIMED_EVENTS = Finding(
    name="untimed_events",
    section="hit-rate",
    definition="events of lookups that have no time at all",
    sql=f"""
WITH untimed AS (SELECT session_id, hash_id FROM {{selected}} WHERE first_at IS NULL),
counted AS (
    SELECT f.name, count(*) AS total
    FROM event e SEMI JOIN untimed USING (session_id, hash_id) JOIN file f ON f.id = e.file_id
    GROUP BY e.file_id, f.name)
SELECT sum(total)::BIGINT, (SELECT count(DISTINCT session_id) FROM untimed), {TOP_NAMES}
FROM counted HAVING count(*) > 0 ORDER BY ALL
""",
    what="{0:,} events have no time (sessions: {1:,}): in {2}; they are in no bucket of time, their misses have no"
    " class, and time filters exclude them",
    remedy="log the time at which each request was received, as the column `timestamp` of events or as `received_at` of"
    " requests; if it has another name, map it",
    options=(Option("columns"),),
)

# Only some formats are written in the order of arrival; the order of rows in others means nothing.
CLOCK_STEPS = Finding(
    name="clock_steps",
    section="hit-rate",
    definition="event times that step back by more than a minute within a file in the order of arrival (request logs"
    " and HAR); filters do not apply",
    sql=f"""
WITH arrived AS (
    SELECT file_id, position, happened_at,
           lag(happened_at) OVER (PARTITION BY file_id ORDER BY position) AS before_at
    FROM event
    WHERE happened_at IS NOT NULL AND file_id IN (SELECT id FROM file WHERE format IN {IN_ARRIVAL_ORDER}))
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
# which may be the gap itself, so the second longest is used there.
GAPS = Finding(
    name="gaps",
    section="hit-rate",
    definition="more than three days between the starts of two sessions, not counting Saturdays and Sundays, and more"
    " than five times the 99th percentile of such intervals",
    sql=f"""
WITH started AS (
    SELECT first_at, epoch_ms(first_at) / 86400000 + 3 AS day FROM {by_session()} WHERE first_at IS NOT NULL),
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
""",
    what="no event from {1} to {2} UTC, {0:,} days; usually sessions start at most {3:,.1f} hours apart, not counting"
    " weekends",
    remedy="check whether a log of that period is missing, and load it; holidays look the same",
)
