"""Findings about sessions: events that they lost, and sessions and run summaries without a counterpart."""

from analyzer.archive.counts import by_session
from analyzer.errors import Option
from analyzer.questions.doctor import FIRST_SESSIONS, Finding, minute_text, read_files

# `unasked` are local misses without a REMOTE event. A session without any REMOTE event after a local miss lost nothing:
# the remote cache was disabled or unreachable. `unreported` are tasks of the run summary that have no lookup.
LOST_EVENTS = Finding(
    name="lost_events",
    section="sessions",
    definition="sessions in which some local misses have a REMOTE event and others do not, or that report fewer lookups"
    " than their run summary lists",
    sql=f"""
WITH observed AS (
    SELECT session_id, first_at,
           CASE WHEN asked_remote_after_local_miss > 0 THEN local_only_misses ELSE 0 END AS unasked
    FROM {by_session()}),
summarized AS (
    SELECT m.session_id, any_value(r.version) AS version,
           count(DISTINCT t.hash_id) FILTER (t.cacheable AND t.kinds IS NOT NULL AND l.hash_id IS NULL) AS unreported
    FROM match m JOIN run r ON r.id = m.run_id JOIN task t ON t.run_id = m.run_id
    LEFT JOIN (SELECT * FROM lookup WHERE session_id IN (SELECT session_id FROM match)) l
      ON l.session_id = m.session_id AND l.hash_id = t.hash_id
    GROUP BY m.session_id),
examined AS (
    SELECT *, unasked + coalesce(unreported, 0) > 0 AS lost FROM observed LEFT JOIN summarized USING (session_id)),
losing AS (SELECT e.*, s.session FROM examined e JOIN session s ON s.id = e.session_id WHERE lost)
SELECT count(*),
       CASE WHEN version IS NULL THEN 'sessions of unknown turbo versions' ELSE 'sessions of turbo ' || version END,
       (SELECT count(*) FROM examined e WHERE e.version IS NOT DISTINCT FROM n.version),
       sum(unasked)::BIGINT, coalesce(sum(unreported), 0)::BIGINT, {FIRST_SESSIONS},
       CASE version WHEN '2.10.13' THEN '; this version is known to lose about 12 %'
            WHEN '2.11.0' THEN '; this version is known to lose about 11 %'
            WHEN '2.9.18' THEN '; this version is known to lose about 1 %' ELSE '' END
FROM losing n GROUP BY version ORDER BY count(*) DESC, version NULLS LAST
""",
    what="{0:,} of {2:,} {1} lost events: {3:,} local misses have no remote event although others of the session have"
    " one, and {4:,} lookups of run summaries are missing; such as {5}{6}",
    remedy="some turbo versions (2.10.13, 2.11.0, 2.9.18) lose events when they exit: update turbo. A few lost events"
    " can also come from runs that were stopped, or from remote lookups that failed",
)

CUT_SESSIONS = Finding(
    name="cut_sessions",
    section="sessions",
    definition="sessions in which some lookups have a LOCAL event, and others a REMOTE event alone",
    sql=f"""
WITH cut AS (
    SELECT session_id, first_at, last_at, lookups - asked_local AS lookups
    FROM {by_session()} s WHERE asked_local > 0 AND asked_local < s.lookups)
SELECT count(*), sum(lookups)::BIGINT, {minute_text("min(first_at)")}, {minute_text("max(last_at)")}, {FIRST_SESSIONS}
FROM cut c JOIN session s ON s.id = c.session_id HAVING count(*) > 0 ORDER BY ALL
""",
    what="{1:,} remote events lack the local event that precedes them (sessions: {0:,}), from {2} to {3} UTC; such as"
    " {4}",
    remedy="the log begins in the middle of these sessions or lacks a part of them, or the client lost events: load the"
    " logs from before and after as well, because sessions can span rotated logs",
)

RUNS_CUT_SHORT = Finding(
    name="runs_cut_short",
    section="causes",
    definition="run summaries that list fewer tasks than the run attempted; filters do not apply",
    read=read_files,
    sql="""
WITH cut AS (SELECT run_id, count(*) AS tasks FROM store.unlisted_task GROUP BY run_id)
SELECT count(*), sum(tasks)::BIGINT, (SELECT count(*) FROM run),
       array_to_string([e.run for e in min({'at': ended_at, 'run': run}, 3)], ', ')
FROM cut JOIN run r ON r.id = run_id HAVING count(*) > 0 ORDER BY ALL
""",
    what="{0:,} of {2:,} runs were cut short: their summaries do not list {1:,} tasks that they attempted; such as {3}",
    remedy="the runs failed or were stopped: answers from run summaries count these tasks as misses without a name."
    " turbo has an option to continue after a failure, which lists every task",
)

UNREPRODUCIBLE_HASHES = Finding(
    name="unreproducible_hashes",
    section="causes",
    definition="tasks that have different hashes in runs of one commit; filters do not apply",
    read=read_files,
    sql="""
WITH differing AS (
    SELECT sha, coalesce(package || '#', '') || task AS name, max({'at': started_at, 'run': run}) AS last
    FROM run r JOIN task t ON t.run_id = r.id WHERE sha IS NOT NULL
    GROUP BY ALL HAVING count(DISTINCT hash_id) > 1)
SELECT count(DISTINCT name), count(DISTINCT sha),
       array_to_string(min(DISTINCT name, 3), ', '), max(last).run
FROM differing HAVING count(*) > 0 ORDER BY ALL
""",
    what="tasks with different hashes in runs of the same commit: {0:,} (commits: {1:,}); such as {2}",
    remedy="`analyzer causes` names what differs: a generated file, a variable such as a time or a commit, other"
    " arguments. In a working tree with changes that are not committed, edited files look the same",
)

UNMATCHED_RUNS = Finding(
    name="unmatched_runs",
    section="causes",
    definition="run summaries from the period of the log that match no session, although others do; filters do not"
    " apply",
    read=read_files,
    sql="""
WITH period AS (SELECT min(first_at) AS since, max(last_at) AS until FROM log_period),
reporting AS (
    SELECT id, run, version, ended_at, id IN (SELECT run_id FROM match) AS matched
    FROM run, period
    WHERE NOT forced AND ended_at BETWEEN since AND until
      AND id IN (SELECT run_id FROM task WHERE cacheable AND kinds IS NOT NULL))
SELECT count(*) FILTER (NOT matched), count(*),
       array_to_string([e.run for e in min({'at': ended_at, 'run': run}, 3) FILTER (NOT matched)], ', ')
FROM reporting HAVING bool_or(matched) AND NOT bool_and(matched) ORDER BY ALL
""",
    what="{0:,} of {1:,} run summaries from the period of the log match no session; such as {2}",
    remedy="their events are not in the log, or turbo reported none, as for forced runs and without a token or team: to"
    " count these runs, answer from run summaries",
    options=(Option("view", "runs"),),
)

UNMATCHED_SESSIONS = Finding(
    name="unmatched_sessions",
    section="causes",
    definition="sessions that match no run summary, between others of their team and CI vendor that do",
    sql=f"""
WITH observed AS (
    SELECT session_id, first_at, team, ci, session_id IN (SELECT session_id FROM session_run) AS matched
    FROM session_summary m JOIN store.context c ON c.id = m.context_id
    WHERE first_at IS NOT NULL AND session_id IN (SELECT session_id FROM {{counted}})
      AND (SELECT count(*) FROM match) > 0),
grouped AS (
    SELECT *, bool_or(matched) OVER (PARTITION BY team, ci) AS any_matched,
           min(first_at) FILTER (matched) OVER (PARTITION BY team, ci) AS since,
           max(first_at) FILTER (matched) OVER (PARTITION BY team, ci) AS until
    FROM observed),
expected AS (
    SELECT g.*, s.session FROM grouped g JOIN session s ON s.id = g.session_id
    WHERE any_matched AND g.first_at BETWEEN since AND until)
SELECT count(*), (SELECT count(*) FROM expected), {FIRST_SESSIONS}
FROM expected WHERE NOT matched HAVING count(*) > 0 ORDER BY ALL
""",
    what="{0:,} of {1:,} sessions match no run summary, although others of their team and CI before and after do; such"
    " as {2}",
    remedy="run turbo with `--summarize` everywhere and collect .turbo/runs/*.json. Sessions that lack lookups, or"
    " whose clock is off by seconds, are left unmatched rather than matched to the wrong run",
)
