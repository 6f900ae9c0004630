"""The archive's relations: tables in the schema `store`, and the views that everybody reads.

Sessions and hashes are integers with a table of names each: a fifth of the size of strings, and twice as fast.
`lookup` and `session_summary` are kept ready as files are loaded. `kind` is 1 LOCAL HIT, 2 LOCAL MISS, 4 REMOTE HIT,
8 REMOTE MISS; `kinds` is the bitwise or of a lookup's.
"""

from analyzer.event import Column

VERSION = 1

TABLES = """
CREATE SCHEMA store;
CREATE TABLE store.meta (version INTEGER);
CREATE TABLE store.file (
    id INTEGER, name VARCHAR, format VARCHAR, compression VARCHAR, digest VARCHAR, size_bytes BIGINT,
    read BIGINT, kept BIGINT, rejected BIGINT, unknown_keys BIGINT, damage VARCHAR, loaded_at TIMESTAMP);
CREATE TABLE store.reject (file_id INTEGER, line BIGINT, item BIGINT, reason VARCHAR, text VARCHAR);
CREATE TABLE store.session (id INTEGER, session VARCHAR);
CREATE TABLE store.hash (id INTEGER, hash VARCHAR);
CREATE TABLE store.context (
    id INTEGER, team_id VARCHAR, slug VARCHAR, team VARCHAR, ci VARCHAR, interactive BOOLEAN);
CREATE TABLE store.event (
    file_id INTEGER, position BIGINT, happened_at TIMESTAMP, session_id INTEGER, hash_id INTEGER, kind UTINYINT,
    duration_ms DOUBLE, context_id INTEGER, status INTEGER);
CREATE TABLE store.lookup (
    session_id INTEGER, hash_id INTEGER, first_at TIMESTAMP, last_at TIMESTAMP, kinds UTINYINT,
    duration_ms DOUBLE, context_id INTEGER, events BIGINT);
CREATE TABLE store.session_summary (
    session_id INTEGER, first_at TIMESTAMP, last_at TIMESTAMP, context_id INTEGER, events BIGINT, lookups BIGINT,
    local_hits BIGINT, remote_hits BIGINT, misses BIGINT, local_only_misses BIGINT, time_saved_ms DOUBLE);
"""

VIEWS = """
CREATE VIEW events AS
SELECT s.session AS "sessionId",
       CASE WHEN e.kind <= 2 THEN 'LOCAL' ELSE 'REMOTE' END AS source,
       CASE WHEN e.kind IN (1, 4) THEN 'HIT' ELSE 'MISS' END AS event,
       h.hash, e.duration_ms AS duration, e.happened_at AS timestamp,
       c.team_id AS "teamId", c.slug, c.team, c.ci, c.interactive, e.status, f.name AS file, e.position
FROM store.event e
JOIN store.session s ON s.id = e.session_id
JOIN store.hash h ON h.id = e.hash_id
JOIN store.context c ON c.id = e.context_id
JOIN store.file f ON f.id = e.file_id;

CREATE VIEW lookups AS
SELECT s.session, h.hash,
       CASE WHEN l.kinds & 1 > 0 THEN 'local_hit' WHEN l.kinds & 4 > 0 THEN 'remote_hit' ELSE 'miss' END AS outcome,
       l.kinds = 2 AS local_only_miss,
       l.duration_ms,
       l.first_at, l.last_at, c.team_id, c.slug, c.team, c.ci, c.interactive, l.events, l.kinds, l.session_id, l.hash_id
FROM store.lookup l
JOIN store.session s ON s.id = l.session_id
JOIN store.hash h ON h.id = l.hash_id
JOIN store.context c ON c.id = l.context_id;

CREATE VIEW sessions AS
SELECT s.session, m.first_at, m.last_at, c.team_id, c.slug, c.team, c.ci, c.interactive, m.events, m.lookups,
       m.local_hits + m.remote_hits AS hits, m.local_hits, m.remote_hits, m.misses, m.local_only_misses,
       (m.local_hits + m.remote_hits) / m.lookups AS hit_rate, m.time_saved_ms
FROM store.session_summary m
JOIN store.session s ON s.id = m.session_id
JOIN store.context c ON c.id = m.context_id;

CREATE VIEW files AS
SELECT name AS file, format, compression, digest, size_bytes, read, kept, rejected, unknown_keys, damage, loaded_at
FROM store.file;

CREATE VIEW rejects AS
SELECT f.name AS file, r.line, r.item, r.reason, r.text
FROM store.reject r JOIN store.file f ON f.id = r.file_id;
"""

RELATIONS = {
    "events": "a row an event, with the columns of the API and its envelope",
    "lookups": "a row a (session, hash): outcome, times, duration, context",
    "sessions": "a row a session: one run of the build client",
    "files": "a row a file that was loaded, known by the digest of its content",
    "rejects": "a row an item that is no valid event: where, why, and its text",
}

EXTRA_EVENT_COLUMNS = (
    Column("team", "VARCHAR", "", "the slug, else the teamId"),
    Column("file", "VARCHAR", "", "the file the event was read from"),
    Column("position", "BIGINT", "", "its place among the items of that file, from 1"),
)
