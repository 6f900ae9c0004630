"""From staged rows to the archive's tables: names get integers, events are kept, lookups brought up to date.

Everything joins by content, so the order in which files come makes no difference. The lookups of a session that a
batch touches are made again from all its events: a lookup split over files and loads is still one.
"""

CONTEXTS = """
CREATE OR REPLACE TEMP TABLE staged_context AS
SELECT context_key, team_id, slug, coalesce(slug, team_id) AS team, nullif(context->>'$[2]', '') AS ci,
       (context->>'$[3]') IN ('1', 'true') AS interactive
FROM (SELECT context_key, context, nullif(context->>'$[0]', '') AS team_id, nullif(context->>'$[1]', '') AS slug
      FROM (SELECT context_key, any_value(context) AS context
            FROM (SELECT context_key, context FROM staged WHERE kind IS NOT NULL UNION ALL FROM rare_context)
            GROUP BY context_key))
"""

NEW_CONTEXTS = """
INSERT INTO store.context
SELECT (SELECT coalesce(max(id), 0) FROM store.context) + row_number() OVER (ORDER BY team, team_id, ci, interactive), *
FROM (SELECT team_id, slug, team, ci, interactive FROM staged_context
      EXCEPT SELECT team_id, slug, team, ci, interactive FROM store.context)
"""

CONTEXT_KEYS = """
CREATE OR REPLACE TEMP TABLE context_key AS
SELECT k.context_key, c.id FROM staged_context k
JOIN store.context c ON c.team_id IS NOT DISTINCT FROM k.team_id AND c.slug IS NOT DISTINCT FROM k.slug
 AND c.ci IS NOT DISTINCT FROM k.ci AND c.interactive IS NOT DISTINCT FROM k.interactive
"""

SESSION_KEYS = """
CREATE OR REPLACE TEMP TABLE session_key AS
SELECT session_key, k.session, s.id IS NOT NULL AS known, coalesce(s.id,
       (SELECT coalesce(max(id), 0) FROM store.session)
       + row_number() OVER (PARTITION BY s.id IS NULL ORDER BY first_at))::INTEGER AS id
FROM (SELECT session_key, any_value(session)->>'$' AS session, min(happened_at) AS first_at
      FROM staged WHERE kind IS NOT NULL GROUP BY session_key) k LEFT JOIN store.session s USING (session)
"""

HASH_KEYS = """
CREATE OR REPLACE TEMP TABLE hash_key AS
SELECT hash_key, k.hash, h.id IS NOT NULL AS known,
       coalesce(h.id, (SELECT coalesce(max(id), 0) FROM store.hash)
                      + row_number() OVER (PARTITION BY h.id IS NULL))::INTEGER AS id
FROM (SELECT hash_key, any_value(hash)->>'$' AS hash FROM staged WHERE kind IS NOT NULL GROUP BY hash_key) k
LEFT JOIN store.hash h USING (hash)
"""

NEW_SESSIONS = "INSERT INTO store.session SELECT id, session FROM session_key WHERE NOT known"
NEW_HASHES = "INSERT INTO store.hash SELECT id, hash FROM hash_key WHERE NOT known"

NEW_EVENTS = """
INSERT INTO store.event
SELECT e.file_id, e.rowid - f.base + 1, e.happened_at, s.id, h.id, e.kind, e.duration_ms, c.id, e.status
FROM staged e
JOIN session_key s USING (session_key)
JOIN hash_key h USING (hash_key)
JOIN context_key c USING (context_key)
JOIN (SELECT file_id, min(rowid) AS base FROM staged GROUP BY file_id) f ON f.file_id = e.file_id
WHERE e.kind IS NOT NULL
"""

TOUCHED = "(file_id >= $first_file_id OR session_id IN (SELECT id FROM session_key WHERE known))"

DURATION = "max(CASE WHEN kind & 5 > 0 AND duration_ms > 0 THEN duration_ms END) AS duration_ms"
"""A lookup's duration, by its events: that of its hits, where one has any."""

LOOKUPS = f"""
SELECT session_id, hash_id, min(happened_at) AS first_at, max(happened_at) AS last_at, bit_or(kind) AS kinds,
       {DURATION}, min(context_id) AS context_id, count(*) AS events
FROM {{events}} GROUP BY session_id, hash_id
"""
"""Lookups of events: kept ready here, made on the fly where single events are filtered."""

OLD_LOOKUPS_GO = "DELETE FROM store.lookup WHERE session_id IN (SELECT id FROM session_key WHERE known)"
NEW_LOOKUPS = f"INSERT INTO store.lookup {LOOKUPS.format(events=f'store.event WHERE {TOUCHED}')}"

# A session reports one team and one CI; where a log says otherwise, a lookup has the context of its first event.
MIXED = f"""
CREATE OR REPLACE TEMP TABLE mixed AS
SELECT session_id FROM store.event WHERE {TOUCHED}
GROUP BY session_id HAVING min(context_id) <> max(context_id)
"""

FIRST_CONTEXT = """
UPDATE store.lookup l SET context_id = f.context_id
FROM (SELECT session_id, hash_id,
             first(context_id ORDER BY happened_at NULLS LAST, c.team, c.team_id, c.ci, c.interactive) AS context_id
      FROM store.event e JOIN store.context c ON c.id = e.context_id
      WHERE session_id IN (FROM mixed) GROUP BY session_id, hash_id) f
WHERE l.session_id = f.session_id AND l.hash_id = f.hash_id
"""

OLD_SUMMARIES_GO = "DELETE FROM store.session_summary WHERE session_id IN (SELECT id FROM session_key WHERE known)"

SUMMARIES = """
SELECT session_id, min(first_at) AS first_at, max(last_at) AS last_at, min(context_id) AS context_id,
       sum(events)::BIGINT AS events, count(*) AS lookups, count_if(kinds & 1 > 0) AS local_hits,
       count_if(kinds & 5 = 4) AS remote_hits, count_if(kinds & 5 = 0) AS misses,
       count_if(kinds = 2) AS local_only_misses, round(fsum(duration_ms), 6) AS time_saved_ms
FROM {lookups} GROUP BY session_id
"""
"""Sessions of lookups: kept ready here, made on the fly where run summaries take the place of events."""

LOOKUPS_OF_SESSIONS = "store.lookup WHERE session_id IN (SELECT id FROM session_key)"
NEW_SUMMARIES = f"""
INSERT INTO store.session_summary {SUMMARIES.format(lookups=LOOKUPS_OF_SESSIONS)} ORDER BY min(first_at)
"""

FIRST_CONTEXT_OF_SESSION = """
UPDATE store.session_summary m SET context_id = f.context_id
FROM (SELECT session_id,
             first(context_id ORDER BY happened_at NULLS LAST, c.team, c.team_id, c.ci, c.interactive) AS context_id
      FROM store.event e JOIN store.context c ON c.id = e.context_id
      WHERE session_id IN (FROM mixed) GROUP BY session_id) f
WHERE m.session_id = f.session_id
"""

STEPS = (
    "INSERT INTO store.reject FROM new_reject",
    CONTEXTS,
    NEW_CONTEXTS,
    CONTEXT_KEYS,
    SESSION_KEYS,
    HASH_KEYS,
    NEW_SESSIONS,
    NEW_HASHES,
    NEW_EVENTS,
    OLD_LOOKUPS_GO,
    NEW_LOOKUPS,
    MIXED,
    FIRST_CONTEXT,
    OLD_SUMMARIES_GO,
    NEW_SUMMARIES,
    FIRST_CONTEXT_OF_SESSION,
)
"""The statements of one merge, in order, inside one transaction."""
