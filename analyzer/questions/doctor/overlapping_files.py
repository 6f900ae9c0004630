"""Files of different content that hold the same events, such as a log that was loaded again after it had grown."""

from analyzer.questions.doctor.finding import Finding

# Only lookups with repeated events can be in two files at once. A retry in the next file comes 2 s later.
SQL = """
WITH repeated AS (SELECT session_id, hash_id FROM lookup WHERE events > bit_count(kinds)),
held AS (
    SELECT file_id, session_id, hash_id, kind, coalesce(duration_ms, 0) AS duration_ms, happened_at AS at, count(*) AS n
    FROM event SEMI JOIN repeated USING (session_id, hash_id) GROUP BY ALL),
shared AS (
    SELECT one.file_id AS first_id, two.file_id, sum(least(one.n, two.n))::BIGINT AS events
    FROM held one JOIN held two USING (session_id, hash_id, kind, duration_ms)
    WHERE one.file_id < two.file_id AND (abs(epoch_ms(one.at) - epoch_ms(two.at)) <= 1000
                                         OR one.at IS NULL OR two.at IS NULL)
    GROUP BY ALL)
SELECT sum(events)::BIGINT, two.name, two.kept, count(*),
       array_to_string([format('{:,} with {}', -e.less, e.name)
                        for e in min({'less': -events, 'name': one.name}, 3)], ', ')
FROM shared s JOIN file one ON one.id = s.first_id JOIN file two ON two.id = s.file_id
GROUP BY s.file_id, two.name, two.kept ORDER BY 1 DESC, two.name, s.file_id
"""

FINDING = Finding(
    name="overlapping_files",
    severity="problem",
    definition="files that share events (session, source, event, hash, duration; at the same time within a second, or"
    " without one) with a file read before them; filters do not matter",
    sql=SQL,
    what="{1} ({2:,} events) shares events with {3:,} files before it: {4}",
    remedy="lookups count once and replay sends once, but events count twice: load each log once, when it is finished,"
    " or only one of several copies of a stream",
)
