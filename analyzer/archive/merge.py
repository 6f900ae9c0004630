"""SQL that merges staged rows into the archive's tables, and derives lookups and sessions from events.

Rows are joined by content, so the result does not depend on the order in which files are loaded. All lookups of a
session that a batch adds events to are derived again from all its events, as a lookup may be split over several files.
"""

from analyzer.archive.counts import SESSION_QUARTERS

# The duration of a lookup, over its events: the known duration of a hit, once even if two caches report it. Clients
# count in 64-bit integers. A larger number is no duration, and sums of decimals would overflow with it.
DURATION = "max(CASE WHEN is_hit(kind) AND duration_ms > 0 AND duration_ms < 1e24 THEN duration_ms END) AS duration_ms"

# The lookups of the relation `{events}`.
LOOKUPS = f"""
SELECT session_id, hash_id, min(happened_at) AS first_at, max(happened_at) AS last_at, bit_or(kind) AS kinds,
       {DURATION}, min(context_id) AS context_id, count(*) AS events
FROM {{events}} GROUP BY session_id, hash_id
"""

# The sessions of the relation `{lookups}`, with the columns of `session_summary`.
SUMMARIES = """
SELECT session_id, min(first_at) AS first_at, max(last_at) AS last_at, min(context_id) AS context_id,
       sum(events)::BIGINT AS events, count(*) AS lookups, count_if(is_local_hit(kinds)) AS local_hits,
       count_if(is_remote_hit(kinds)) AS remote_hits, count_if(is_miss(kinds)) AS misses,
       count_if(is_local_only_miss(kinds)) AS local_only_misses, known_sum(duration_ms, is_hit(kinds)) AS time_saved_ms
FROM {lookups} GROUP BY session_id
"""

# The longest known duration of each hash of the relation `{lookups}`.
HASH_DURATIONS = """
SELECT hash_id, max(duration_ms) AS duration_ms FROM {lookups} WHERE duration_ms IS NOT NULL GROUP BY hash_id
"""

MERGE_REJECTS = "INSERT INTO store.reject FROM new_reject;"

# Sessions that the archive had before the batch; all events of the others are in the batch.
_KNOWN_SESSIONS = "session_id IN (SELECT id FROM session_key WHERE known)"
# Two parts, each of which DuckDB reads by its minima and maxima: the rest of a large archive is not read.
_TOUCHED_EVENTS = f"""(
    FROM store.event WHERE file_id >= getvariable('first_file_id')
    UNION ALL FROM store.event WHERE file_id < getvariable('first_file_id') AND {_KNOWN_SESSIONS})"""
_TOUCHED_LOOKUPS = "(FROM store.lookup WHERE session_id IN (SELECT id FROM session_key))"

_FIRST_CONTEXT = """
SELECT {keys}, first(context_id ORDER BY happened_at NULLS LAST, c.team, c.team_id, c.ci, c.interactive) AS context_id
FROM store.event e JOIN store.context c ON c.id = e.context_id
WHERE session_id IN (FROM mixed) GROUP BY {keys}
"""

# Where a session has several contexts, gives it that of its first event; `mixed` are these sessions.
SET_FIRST_CONTEXTS = f"""
UPDATE store.session_summary s SET context_id = f.context_id FROM ({_FIRST_CONTEXT.format(keys="session_id")}) f
WHERE s.session_id = f.session_id;
"""

# Derives lookups and sessions from the events of a batch; `session_key` has its sessions. A client reports one team and
# CI for a session, and the minimum of one id is cheap to group by. Where a log has several for a session, the last
# statements give each of its lookups, and the session, that of its first event.
DERIVE = f"""
DELETE FROM store.lookup WHERE {_KNOWN_SESSIONS};
INSERT INTO store.lookup {LOOKUPS.format(events=_TOUCHED_EVENTS)};
DELETE FROM store.session_summary WHERE {_KNOWN_SESSIONS};
INSERT INTO store.session_summary {SUMMARIES.format(lookups=_TOUCHED_LOOKUPS)} ORDER BY min(first_at);

CREATE TEMP TABLE mixed AS
SELECT session_id FROM {_TOUCHED_EVENTS} GROUP BY session_id HAVING min(context_id) <> max(context_id);

UPDATE store.lookup l SET context_id = f.context_id FROM ({_FIRST_CONTEXT.format(keys="session_id, hash_id")}) f
WHERE l.session_id = f.session_id AND l.hash_id = f.hash_id;

{SET_FIRST_CONTEXTS}

DELETE FROM store.session_quarter WHERE {_KNOWN_SESSIONS};
INSERT INTO store.session_quarter {SESSION_QUARTERS.format(lookups=_TOUCHED_LOOKUPS)};

INSERT INTO store.hash_duration {HASH_DURATIONS.format(lookups=_TOUCHED_LOOKUPS)};
"""

# Merges a batch of files; run in one transaction. The variable `first_file_id` is the id of its first file.
MERGE_EVENTS = f"""
{MERGE_REJECTS}
CREATE TEMP TABLE staged_context AS
SELECT context_key, team_id, slug, coalesce(slug, team_id) AS team, ci, interactive
FROM (SELECT context_key, nullif(team_id->>'$', '') AS team_id, nullif(slug->>'$', '') AS slug,
             nullif(ci->>'$', '') AS ci, interactive IN ('1', 'true') AS interactive
      FROM staged WHERE rowid IN (SELECT min(rowid) FROM staged WHERE kind IS NOT NULL GROUP BY context_key));

INSERT INTO store.context
SELECT (SELECT coalesce(max(id), 0) FROM store.context)
       + row_number() OVER (ORDER BY team, team_id, ci, interactive), *
FROM (SELECT team_id, slug, team, ci, interactive FROM staged_context
      EXCEPT SELECT team_id, slug, team, ci, interactive FROM store.context);

CREATE TEMP TABLE context_key AS
SELECT k.context_key, c.id FROM staged_context k
JOIN store.context c ON c.team_id IS NOT DISTINCT FROM k.team_id AND c.slug IS NOT DISTINCT FROM k.slug
 AND c.ci IS NOT DISTINCT FROM k.ci AND c.interactive IS NOT DISTINCT FROM k.interactive;

CREATE TEMP TABLE session_key AS
SELECT session_key, k.session, s.id IS NOT NULL AS known, coalesce(s.id,
       (SELECT coalesce(max(id), 0) FROM store.session)
       + row_number() OVER (PARTITION BY s.id IS NULL ORDER BY first_at))::INTEGER AS id
FROM (SELECT session_key, any_value(session)->>'$' AS session, min(happened_at) AS first_at
      FROM staged WHERE kind IS NOT NULL GROUP BY session_key) k LEFT JOIN store.session s USING (session);

INSERT INTO store.session SELECT id, session FROM session_key WHERE NOT known;

CREATE TEMP TABLE hash_key AS
SELECT hash_key, k.hash, h.id IS NOT NULL AS known,
       coalesce(h.id, (SELECT coalesce(max(id), 0) FROM store.hash)
                      + row_number() OVER (PARTITION BY h.id IS NULL))::INTEGER AS id
FROM (SELECT hash_key, any_value(hash)->>'$' AS hash FROM staged WHERE kind IS NOT NULL GROUP BY hash_key) k
LEFT JOIN store.hash h USING (hash);

INSERT INTO store.hash SELECT id, hash FROM hash_key WHERE NOT known;

INSERT INTO store.event
SELECT e.file_id, e.rowid - f.first_rowid + 1, e.happened_at, s.id, h.id, e.kind, e.duration_ms, c.id, e.status
FROM staged e
JOIN session_key s USING (session_key)
JOIN hash_key h USING (hash_key)
JOIN context_key c USING (context_key)
JOIN (SELECT file_id, min(rowid) AS first_rowid FROM staged GROUP BY file_id) f ON f.file_id = e.file_id
WHERE e.kind IS NOT NULL;
"""

DROP_KEYS = "DROP TABLE staged_context; DROP TABLE context_key; DROP TABLE session_key; DROP TABLE hash_key;"
MERGE_BATCH = f"{MERGE_EVENTS} {DERIVE} {DROP_KEYS} DROP TABLE mixed;"
