"""Defines the archive's relations: tables in the schema `store`, and the views that questions and users read.

Sessions and hashes are stored as integers that refer to tables of names: a fifth of the size of strings, and twice as
fast to group by. `lookup`, `session_summary` and `session_quarter` (see `counts`) are derived from `event` and updated
with every load. `hash_duration` has the longest duration of a hash in each batch of files.

`kind` is the source and result of one event: 1 LOCAL HIT, 2 LOCAL MISS, 4 REMOTE HIT, 8 REMOTE MISS. `kinds` is the
bitwise or of the kinds of a lookup's events. The macros below name what the bits mean: a local hit wins, so a lookup
that hit in both caches `is_local_hit`, although it also `had_remote_hit`.

`known_sum` adds up times over the rows that count, where they are known. It is 0 if no row counts, but null if rows
count and none of their times is known: an unknown time is never 0.

`transfer` has the uploads that access logs show, and for each artifact one download with its size. `run` and `task`
hold turbo's run summaries, a second view of the same lookups that is never added to the events. `match` links runs to
sessions; `name` gives the task of a hash where a run summary names it. `unlisted_task` has the tasks that a run
attempted but does not list, because it was cut short. Their hashes are unknown: made-up ones, which name the run, stand
for them.

`input` has what the hashes of tasks are made of (`readers.run_inputs`). A task has two sets of inputs, and a run has
one that all its tasks share; a set is stored once, however many tasks have it.
"""

from analyzer.archive.counts import SESSION_QUARTER_COLUMNS
from analyzer.archive.relation_columns import COLUMNS_VIEW

# Archives of another version are refused. It changes with any table, and with the digest of `file`.
VERSION = 9

MACROS = """
CREATE MACRO is_hit(kinds) AS (kinds & 5) > 0;
CREATE MACRO is_local_hit(kinds) AS (kinds & 1) > 0;
CREATE MACRO is_remote_hit(kinds) AS (kinds & 5) = 4;
CREATE MACRO is_miss(kinds) AS (kinds & 5) = 0;
CREATE MACRO is_local_only_miss(kinds) AS kinds = 2;
CREATE MACRO asked_local(kinds) AS (kinds & 3) > 0;
CREATE MACRO asked_remote(kinds) AS (kinds & 12) > 0;
CREATE MACRO had_local_miss(kinds) AS (kinds & 2) > 0;
CREATE MACRO had_remote_hit(kinds) AS (kinds & 4) > 0;
CREATE MACRO event_source(kind) AS CASE WHEN kind <= 2 THEN 'LOCAL' ELSE 'REMOTE' END;
CREATE MACRO known_sum(ms, is_counted) AS
    CASE WHEN count(ms) > 0 OR count(*) FILTER (is_counted) = 0 THEN coalesce(round(fsum(ms), 6), 0) END;
CREATE MACRO event_result(kind) AS CASE WHEN kind IN (1, 4) THEN 'HIT' ELSE 'MISS' END;
"""

TABLES = f"""
CREATE SCHEMA store;
CREATE TABLE store.meta (version INTEGER);
CREATE TABLE store.file (
    id INTEGER, name VARCHAR, format VARCHAR, compression VARCHAR, digest VARCHAR, size_bytes BIGINT,
    read BIGINT, kept BIGINT, rejected BIGINT, unknown_keys BIGINT, damage VARCHAR, loaded_at TIMESTAMP,
    forgotten BIGINT DEFAULT 0);
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
CREATE TABLE store.session_quarter ({SESSION_QUARTER_COLUMNS});
CREATE TABLE store.hash_duration (hash_id INTEGER, duration_ms DOUBLE);
CREATE TABLE store.run (
    id INTEGER, file_id INTEGER, run VARCHAR, version VARCHAR, command VARCHAR, branch VARCHAR, sha VARCHAR,
    user VARCHAR, started_at TIMESTAMP, ended_at TIMESTAMP, exit_code BIGINT, forced BOOLEAN, session_id INTEGER,
    global_set BIGINT);
CREATE TABLE store.task (
    run_id INTEGER, position INTEGER, task VARCHAR, package VARCHAR, hash_id INTEGER, kinds UTINYINT,
    time_saved_ms DOUBLE, execution_ms DOUBLE, cacheable BOOLEAN, exit_code BIGINT, files_set BIGINT,
    settings_set BIGINT);
CREATE TABLE store.input_set (set_id BIGINT, input_id INTEGER);
CREATE TABLE store.input (id INTEGER, kind VARCHAR, name VARCHAR, value VARCHAR);
CREATE TABLE store.unlisted_task (run_id INTEGER, position INTEGER, number BIGINT, hash_id INTEGER);
CREATE TABLE store.artifact (file_id INTEGER, hash_id INTEGER, duration_ms DOUBLE);
CREATE TABLE store.transfer (
    hash_id INTEGER, team VARCHAR, happened_at TIMESTAMP, is_upload BOOLEAN, size_bytes BIGINT);
CREATE TABLE store.match (run_id INTEGER, session_id INTEGER);
CREATE TABLE store.name (hash_id INTEGER, name VARCHAR, task VARCHAR, package VARCHAR);
"""

NAMED_EVENTS = """
SELECT {more_columns} s.session, event_source(e.kind) AS source, event_result(e.kind) AS event, h.hash,
       e.duration_ms AS duration, e.happened_at AS timestamp, c.team_id, c.slug, c.team, c.ci,
       c.interactive, e.status, f.name AS file, e.position
FROM {event} e
JOIN store.session s ON s.id = e.session_id
JOIN store.hash h ON h.id = e.hash_id
JOIN store.context c ON c.id = e.context_id
JOIN store.file f ON f.id = e.file_id
"""

NAMED_LOOKUPS = """
SELECT s.session, h.hash,
       CASE WHEN is_local_hit(l.kinds) THEN 'local_hit' WHEN is_remote_hit(l.kinds) THEN 'remote_hit' ELSE 'miss'
            END AS outcome,
       is_local_only_miss(l.kinds) AS local_only_miss, l.duration_ms,
       l.first_at, l.last_at, c.team_id, c.slug, c.team, c.ci, c.interactive, n.task, n.package, l.events
FROM {lookup} l
JOIN store.session s ON s.id = l.session_id
JOIN store.hash h ON h.id = l.hash_id
JOIN store.context c ON c.id = l.context_id
LEFT JOIN store.name n ON n.hash_id = l.hash_id
"""

# The views over `{schema}.event` and `{schema}.lookup`, which are the archive's tables or temporary ones.
EVENT_VIEWS = f"""
CREATE {{view}} events AS {NAMED_EVENTS.format(more_columns="", event="{schema}.event")};
CREATE {{view}} lookups AS {NAMED_LOOKUPS.format(lookup="{schema}.lookup")};
"""

# Facts about the whole log that every question needs, in a few rows. With an engine they are stored in tables of the
# same names.
LOG_VIEWS = """
CREATE {view} log_period AS
SELECT context_id, min(first_at) AS first_at, max(last_at) AS last_at FROM {schema}.session_summary GROUP BY context_id;
CREATE {view} log_count AS
SELECT quarter_at IS NULL AS is_untimed, sum(events)::BIGINT AS events, max(last_lookup_at) AS last_lookup_at
FROM {schema}.session_quarter GROUP BY is_untimed;
"""

VIEWS = f"""
{EVENT_VIEWS.format(view="VIEW", schema="store")}
{LOG_VIEWS.format(view="VIEW", schema="store").replace("VIEW log_", "VIEW store.log_")}
CREATE VIEW store.log_outcome AS
SELECT coalesce(sum(bit_count(kinds & 5)), 0)::BIGINT AS hits, coalesce(sum(bit_count(kinds & 10)), 0)::BIGINT AS misses
FROM store.lookup;

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

CREATE VIEW session_quarters AS
SELECT s.session, q.* EXCLUDE (session_id, context_id), c.team_id, c.slug, c.team, c.ci, c.interactive
FROM store.session_quarter q
JOIN store.session s ON s.id = q.session_id
JOIN store.context c ON c.id = q.context_id;

CREATE VIEW runs AS
SELECT r.run AS id, r.command, r.branch, r.sha, r.user, r.started_at, r.ended_at, r.exit_code, r.version, s.session,
       f.name AS file
FROM store.run r
JOIN store.file f ON f.id = r.file_id
LEFT JOIN store.match k ON k.run_id = r.id
LEFT JOIN store.session s ON s.id = k.session_id;

CREATE VIEW tasks AS
SELECT r.run, t.task, t.package, h.hash,
       CASE WHEN r.forced OR NOT t.cacheable THEN NULL WHEN is_local_hit(t.kinds) THEN 'local_hit'
            WHEN is_remote_hit(t.kinds) THEN 'remote_hit' WHEN is_miss(t.kinds) THEN 'miss' END AS outcome,
       t.time_saved_ms, t.execution_ms, t.cacheable, r.forced, t.exit_code
FROM store.task t
JOIN store.run r ON r.id = t.run_id
JOIN store.hash h ON h.id = t.hash_id;

CREATE VIEW inputs AS
SELECT r.run, t.task, t.package, i.kind, i.name, coalesce(h.hash, nullif(i.value, '')) AS value
FROM (SELECT run_id, task, package, unnest([files_set, settings_set]) AS set_id FROM store.task
      UNION ALL SELECT id, NULL, NULL, global_set FROM store.run) t
JOIN store.run r ON r.id = t.run_id
JOIN store.input_set s USING (set_id)
JOIN store.input i ON i.id = s.input_id
LEFT JOIN (store.task d JOIN store.hash h ON h.id = d.hash_id)
  ON i.kind = 'dependency' AND d.run_id = t.run_id AND coalesce(d.package || '#', '') || d.task = i.name;

CREATE VIEW artifacts AS
SELECT h.hash, n.task, n.package, t.size_bytes, m.duration_ms, coalesce(t.uploads, 0) AS uploads, t.last_uploaded_at
FROM (SELECT hash_id, max(size_bytes) AS size_bytes, count(*) FILTER (is_upload) AS uploads,
             max(happened_at) FILTER (is_upload) AS last_uploaded_at
      FROM store.transfer GROUP BY hash_id) t
FULL JOIN (SELECT hash_id, max(duration_ms) AS duration_ms FROM store.artifact GROUP BY hash_id) m USING (hash_id)
JOIN store.hash h ON h.id = hash_id
LEFT JOIN store.name n USING (hash_id);

CREATE VIEW files AS
SELECT name AS file, format, compression, digest, size_bytes, read, kept, rejected, unknown_keys, damage, loaded_at,
       forgotten
FROM store.file;

CREATE VIEW rejects AS
SELECT f.name AS file, r.line, r.item, r.reason, r.text
FROM store.reject r JOIN store.file f ON f.id = r.file_id;

{COLUMNS_VIEW}
"""
