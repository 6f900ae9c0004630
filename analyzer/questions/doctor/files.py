"""Findings about files: damaged, overlapping or partly invalid ones, and batches that they contain twice."""

from analyzer.errors import Option
from analyzer.questions.doctor import FIRST_SESSIONS, TOP_NAMES, Finding

CUT_FILES = Finding(
    name="cut_files",
    severity="problem",
    definition="files whose compressed data is damaged, or that end in the middle of an item; filters do not apply",
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
_OVERLAP_SQL = """
WITH repeated AS (SELECT session_id, hash_id FROM lookup WHERE events > bit_count(kinds)),
candidates AS (
    SELECT file_id, session_id, hash_id, kind, coalesce(duration_ms, 0) AS duration_ms, happened_at AS at, count(*) AS n
    FROM event SEMI JOIN repeated USING (session_id, hash_id) GROUP BY ALL),
shared AS (
    SELECT one.file_id AS first_id, two.file_id, sum(least(one.n, two.n))::BIGINT AS events
    FROM candidates one JOIN candidates two USING (session_id, hash_id, kind, duration_ms)
    WHERE one.file_id < two.file_id AND (abs(epoch_ms(one.at) - epoch_ms(two.at)) <= 1000
                                         OR one.at IS NULL OR two.at IS NULL)
    GROUP BY ALL)
SELECT sum(events)::BIGINT, two.name, two.kept, count(*),
       array_to_string([format('{:,} with {}', -e.less, e.name)
                        for e in min({'less': -events, 'name': one.name}, 3)], ', ')
FROM shared s JOIN file one ON one.id = s.first_id JOIN file two ON two.id = s.file_id
GROUP BY s.file_id, two.name, two.kept ORDER BY 1 DESC, two.name, s.file_id
"""

OVERLAPPING_FILES = Finding(
    name="overlapping_files",
    severity="problem",
    definition="files that share events (session, source, event, hash and duration, within a second or without a time)"
    " with a file read before; filters do not apply",
    sql=_OVERLAP_SQL,
    what="{1} ({2:,} events) shares events with files read before it ({3:,}): {4}",
    remedy="events count twice, although lookups count once and replay sends them once: load each log once, when it is"
    " complete, and only one of several copies of a stream",
)

REJECTS = Finding(
    name="rejects",
    severity="problem",
    definition="lines or items that are not valid events; filters do not apply",
    sql=f"""
WITH reasons AS (SELECT reason AS name, count(*) AS many FROM reject GROUP BY reason),
files AS (SELECT name, rejected AS many FROM file WHERE rejected > 0)
SELECT sum(many)::BIGINT, (SELECT sum(read)::BIGINT FROM file), count(*), (SELECT {TOP_NAMES} FROM reasons), {TOP_NAMES}
FROM files HAVING count(*) > 0 ORDER BY ALL
""",
    what="{0:,} of {1:,} events were rejected: {3}; files ({2:,}): {4}",
    remedy="list all of them with their places, and repair the program that writes them; if columns have other names in"
    " the files, map them",
    options=(Option("rejects"), Option("columns")),
)

RETRIED_BATCHES = Finding(
    name="retried_batches",
    severity="notice",
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
    severity="notice",
    definition="keys of events that are not a known column and are ignored; filters do not apply",
    sql=f"""
SELECT sum(many)::BIGINT, count(*), {TOP_NAMES}
FROM (SELECT name, unknown_keys AS many FROM file WHERE unknown_keys > 0) HAVING count(*) > 0 ORDER BY ALL
""",
    what="{0:,} unknown keys are ignored; files ({1:,}): {2}",
    remedy="a note names the keys when the file is loaded; if one is a known column under another name, map it",
    options=(Option("columns"),),
)
