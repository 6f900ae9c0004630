"""The archive's relations: tables in the schema `store`, and the views that everybody reads.

Sessions and hashes are integers with a table of names each: a fifth of the size of strings, and twice as fast.
`lookup` and `session_summary` are kept ready as files are loaded. `kind` is 1 LOCAL HIT, 2 LOCAL MISS, 4 REMOTE HIT,
8 REMOTE MISS; `kinds` is the bitwise or of a lookup's.

`run` and `task` hold turbo's run summaries: a second view of the same lookups, never added to the events. `match` says
which session a run is, `name` which task a hash is.
"""

VERSION = 3

MACROS = """
CREATE MACRO is_hit(kinds) AS kinds & 5 > 0;
CREATE MACRO is_local_hit(kinds) AS kinds & 1 > 0;
CREATE MACRO is_remote_hit(kinds) AS kinds & 5 = 4;
CREATE MACRO is_miss(kinds) AS kinds & 5 = 0;
CREATE MACRO is_local_only_miss(kinds) AS kinds = 2;
CREATE MACRO asked_local(kinds) AS kinds & 3 > 0;
CREATE MACRO asked_remote(kinds) AS kinds & 12 > 0;
CREATE MACRO had_local_miss(kinds) AS kinds & 2 > 0;
CREATE MACRO had_remote_hit(kinds) AS kinds & 4 > 0;
CREATE MACRO event_source(kind) AS CASE WHEN kind <= 2 THEN 'LOCAL' ELSE 'REMOTE' END;
CREATE MACRO event_result(kind) AS CASE WHEN kind IN (1, 4) THEN 'HIT' ELSE 'MISS' END;
"""
"""The names of the bits in `kinds` (all events of a lookup) and of the values of `kind` (one event)."""

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
CREATE TABLE store.run (
    id INTEGER, file_id INTEGER, run VARCHAR, version VARCHAR, command VARCHAR, branch VARCHAR, sha VARCHAR,
    user VARCHAR, started_at TIMESTAMP, ended_at TIMESTAMP, exit_code BIGINT, forced BOOLEAN, attempted BIGINT,
    session_id INTEGER);
CREATE TABLE store.task (
    run_id INTEGER, position INTEGER, task VARCHAR, package VARCHAR, hash_id INTEGER, kinds UTINYINT,
    time_saved_ms DOUBLE, execution_ms DOUBLE, cacheable BOOLEAN, exit_code BIGINT);
CREATE TABLE store.artifact (file_id INTEGER, hash_id INTEGER, duration_ms DOUBLE);
CREATE TABLE store.match (run_id INTEGER, session_id INTEGER);
CREATE TABLE store.name (hash_id INTEGER, name VARCHAR, task VARCHAR, package VARCHAR);
"""

SHOWN = """
CREATE {view} events AS
SELECT s.session AS "sessionId",
       CASE WHEN e.kind <= 2 THEN 'LOCAL' ELSE 'REMOTE' END AS source,
       CASE WHEN e.kind IN (1, 4) THEN 'HIT' ELSE 'MISS' END AS event,
       h.hash, e.duration_ms AS duration, e.happened_at AS timestamp,
       c.team_id AS "teamId", c.slug, c.team, c.ci, c.interactive, e.status, f.name AS file, e.position
FROM {of}.event e
JOIN store.session s ON s.id = e.session_id
JOIN store.hash h ON h.id = e.hash_id
JOIN store.context c ON c.id = e.context_id
JOIN store.file f ON f.id = e.file_id;

CREATE {view} lookups AS
SELECT s.session, h.hash,
       CASE WHEN l.kinds & 1 > 0 THEN 'local_hit' WHEN l.kinds & 4 > 0 THEN 'remote_hit' ELSE 'miss' END AS outcome,
       l.kinds = 2 AS local_only_miss,
       l.duration_ms,
       l.first_at, l.last_at, c.team_id, c.slug, c.team, c.ci, c.interactive, n.task, n.package, l.events, l.kinds,
       l.session_id, l.hash_id
FROM {of}.lookup l
JOIN store.session s ON s.id = l.session_id
JOIN store.hash h ON h.id = l.hash_id
JOIN store.context c ON c.id = l.context_id
LEFT JOIN store.name n ON n.hash_id = l.hash_id;
"""
"""What is shown of the relations `event` and `lookup`, be they the archive's or temporary ones in their place."""

VIEWS = f"""
{SHOWN.format(view="VIEW", of="store")}
CREATE VIEW store.session_run AS
SELECT session_id, run_id FROM store.match
UNION ALL SELECT session_id, id FROM store.run WHERE id NOT IN (SELECT run_id FROM store.match);

CREATE VIEW sessions AS
SELECT s.session, m.first_at, m.last_at, c.team_id, c.slug, c.team, c.ci, c.interactive, m.events, m.lookups,
       m.local_hits + m.remote_hits AS hits, m.local_hits, m.remote_hits, m.misses, m.local_only_misses,
       (m.local_hits + m.remote_hits) / m.lookups AS hit_rate, m.time_saved_ms,
       r.run, r.branch, r.sha, r.user, r.command
FROM store.session_summary m
JOIN store.session s ON s.id = m.session_id
JOIN store.context c ON c.id = m.context_id
LEFT JOIN (store.match k JOIN store.run r ON r.id = k.run_id) ON k.session_id = m.session_id;

CREATE VIEW runs AS
SELECT r.run AS id, r.command, r.branch, r.sha, r.user, r.started_at, r.ended_at, r.exit_code, r.version, s.session,
       f.name AS file
FROM store.run r
JOIN store.file f ON f.id = r.file_id
LEFT JOIN store.match k ON k.run_id = r.id
LEFT JOIN store.session s ON s.id = k.session_id;

CREATE VIEW tasks AS
SELECT r.run, t.task, t.package, h.hash,
       CASE WHEN r.forced OR NOT t.cacheable THEN NULL WHEN t.kinds = 1 THEN 'local_hit' WHEN t.kinds = 6
            THEN 'remote_hit' WHEN t.kinds = 10 THEN 'miss' END AS outcome,
       t.time_saved_ms, t.execution_ms, t.cacheable, r.forced, t.exit_code
FROM store.task t
JOIN store.run r ON r.id = t.run_id
JOIN store.hash h ON h.id = t.hash_id;

CREATE VIEW files AS
SELECT name AS file, format, compression, digest, size_bytes, read, kept, rejected, unknown_keys, damage, loaded_at
FROM store.file;

CREATE VIEW rejects AS
SELECT f.name AS file, r.line, r.item, r.reason, r.text
FROM store.reject r JOIN store.file f ON f.id = r.file_id;
"""
