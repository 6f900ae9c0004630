"""One run: every lookup in order, and what a warm cache would have saved."""

from dataclasses import replace

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import LookupsQuery, Selection, fetch_rows
from analyzer.errors import Option, UsageError
from analyzer.questions.durations import impute_durations
from analyzer.questions.miss_classes import classify_misses
from analyzer.questions.options import SessionsOptions
from analyzer.questions.report import Report, build_report, select_scope
from analyzer.table import COUNT, HASH, MS, NAME, NUMBER, RATIO, TEXT, TIME, Column, Table
from analyzer.validation import require_utf8

SESSIONS_BY_ID = """
SELECT DISTINCT s.session
FROM session_summary m JOIN store.session s ON s.id = m.session_id
LEFT JOIN (session_run k JOIN run r ON r.id = k.run_id) ON k.session_id = m.session_id
WHERE starts_with(s.session, $id) OR starts_with(r.run, $id)
ORDER BY s.session LIMIT 4
"""

SESSION_COLUMNS = (
    Column("session", TEXT, "one run of the build client"),
    Column("run", TEXT, "the run's id, where its summary is known"),
    Column("command", TEXT, "what was run"),
    Column("branch", TEXT, "on which branch"),
    Column("sha", TEXT, "at which commit"),
    Column("user", TEXT, "by whom"),
    Column("team", TEXT, "slug, else teamId"),
    Column("ci", TEXT, "CI vendor the client detected"),
    Column("first_at", TIME, "time of its first event"),
    Column("last_at", TIME, "time of its last event"),
    Column("lookups", COUNT, "its lookups"),
    Column("hits", COUNT, "lookups with a HIT"),
    Column("hit_rate", RATIO, "hits / lookups"),
    Column("time_saved_ms", MS, "what its hits saved, where the duration is known"),
    Column("time_lost_ms", MS, "what the tasks of its misses took, where that is known or imputed"),
    Column("warm_cache_saves_ms", MS, "what it would have saved had all been hits: both added up"),
    Column("warm_cache_coverage", RATIO, "lookups whose duration is known or imputed / lookups"),
)

SESSION = """
SELECT s.session, any_value(r.run), any_value(r.command), any_value(r.branch), any_value(r.sha), any_value(r."user"),
       min(l.team), min(l.ci), min(l.first_at), max(l.last_at), count(*), count(*) FILTER (kinds & 5 > 0),
       count(*) FILTER (kinds & 5 > 0) / count(*),
       CASE WHEN count(*) FILTER (kinds & 5 > 0) = 0 THEN 0 ELSE round(fsum(l.duration_ms), 6) END,
       CASE WHEN count(*) FILTER (kinds & 5 = 0) = 0 THEN 0 ELSE round(fsum(m.imputed_ms), 6) END,
       coalesce(round(fsum(coalesce(l.duration_ms, m.imputed_ms)), 6), 0),
       count(coalesce(l.duration_ms, m.imputed_ms)) / count(*)
FROM {selected} l JOIN store.session s ON s.id = l.session_id
LEFT JOIN miss m ON m.session_id = l.session_id AND m.hash_id = l.hash_id
LEFT JOIN (session_run k JOIN run r ON r.id = k.run_id) ON k.session_id = l.session_id
GROUP BY s.session
"""

LOOKUP_COLUMNS = (
    Column("hash", HASH, "the artifact"),
    Column("name", NAME, "the task that the hash is of"),
    Column("outcome", TEXT, "local_hit, remote_hit or miss"),
    Column("class", TEXT, "of a miss, why: a candidate, no verdict"),
    Column("duration_ms", MS, "of a hit, what it saved; of a miss, what its task took, where known or imputed"),
    Column("first_at", TIME, "time of its first event"),
)

LOOKUPS = """
SELECT h.hash, n.name,
       CASE WHEN kinds & 1 > 0 THEN 'local_hit' WHEN kinds & 4 > 0 THEN 'remote_hit' ELSE 'miss' END,
       m.class, coalesce(l.duration_ms, m.imputed_ms), l.first_at
FROM {selected} l JOIN store.hash h ON h.id = l.hash_id LEFT JOIN name n ON n.hash_id = l.hash_id
LEFT JOIN miss m ON m.session_id = l.session_id AND m.hash_id = l.hash_id
LEFT JOIN (SELECT session_id, hash_id, min({'file': file_id, 'position': position}) AS place
           FROM event WHERE session_id IN (SELECT session_id FROM {selected}) GROUP BY ALL) e
  ON e.session_id = l.session_id AND e.hash_id = l.hash_id
ORDER BY l.first_at NULLS LAST, e.place, h.hash
"""


def find_session(selected: LookupsQuery, text: str) -> str:
    """Return the session of an id, or of the start of one; of a session or of a run.

    Raises:
        UsageError: there is none, or there are several.
    """
    found = [session for (session,) in fetch_rows(selected.connection, SESSIONS_BY_ID, {"id": text})]
    if text in found or len(found) == 1:
        return text if text in found else found[0]
    if found:
        raise UsageError(Option("id", text), f": {', '.join(found[:3])} start so; write more of the id")
    raise UsageError(Option("id", text), ": no session or run of the log starts so; `sessions` without one lists some")


def session_tables(selected: LookupsQuery) -> list[Table]:
    """Return the tables `session` and `lookups` of the one session selected, whose misses are classed."""
    return [
        Table("session", SESSION_COLUMNS, selected.rows(SESSION), upright=True),
        Table("lookups", LOOKUP_COLUMNS, selected.rows(LOOKUPS)),
    ]


PER_SESSION = """
CREATE OR REPLACE TEMP TABLE per_session AS
SELECT session_id, count(*) AS lookups, count(*) FILTER (kinds & 5 > 0) AS hits, min(first_at) AS first_at,
       CASE WHEN count(*) FILTER (kinds & 5 > 0) = 0 THEN 0 ELSE round(fsum(l.duration_ms), 6) END AS saved_ms,
       CASE WHEN count(*) FILTER (kinds & 5 = 0) = 0 THEN 0 ELSE round(fsum(d.duration_ms), 6) END AS lost_ms
FROM {selected} l LEFT JOIN duration d ON kinds & 5 = 0 AND d.hash_id = l.hash_id
GROUP BY session_id
"""

PERCENTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

SPREAD_COLUMNS = (
    Column("percentile", TEXT, "p25: a quarter of sessions is at or below each value of this row"),
    Column("lookups", COUNT, "lookups of a session"),
    Column("hit_rate", RATIO, "hit rate of a session"),
    Column("time_saved_ms", MS, "what its hits saved"),
    Column("time_lost_ms", MS, "what the tasks of its misses took, where that is known or imputed"),
)

SPREAD = """
WITH spread AS (
    SELECT quantile_disc(lookups, $at::DOUBLE[]) AS lookups, quantile_cont(hits / lookups, $at::DOUBLE[]) AS hit_rate,
           quantile_cont(saved_ms, $at::DOUBLE[]) AS saved_ms, quantile_cont(lost_ms, $at::DOUBLE[]) AS lost_ms
    FROM per_session)
SELECT 'p' || (unnest($at::DOUBLE[]) * 100)::INTEGER, unnest(lookups), unnest(hit_rate), unnest(saved_ms),
       unnest(lost_ms)
FROM spread WHERE lookups IS NOT NULL ORDER BY unnest($at::DOUBLE[])
"""

OUTLIER_COLUMNS = (
    Column("session", TEXT, "one run of the build client"),
    Column("hit_rate", RATIO, "its hit rate"),
    Column("lookups", COUNT, "its lookups"),
    Column("time_lost_ms", MS, "what the tasks of its misses took, where that is known or imputed"),
    Column("time_saved_ms", MS, "what its hits saved"),
    Column("first_at", TIME, "time of its first event"),
    Column("team", TEXT, "slug, else teamId"),
    Column("ci", TEXT, "CI vendor the client detected"),
    Column("branch", TEXT, "branch of the run, where its summary is known", detail=True),
    Column("command", TEXT, "command of the run, where its summary is known", detail=True),
    Column("deviation", NUMBER, "its hit rate against the pooled one, in standard errors", detail=True),
)

OUTLIERS = """
WITH pooled AS (SELECT sum(hits) / sum(lookups) AS rate FROM per_session),
told AS (
    SELECT p.*, (hits / lookups - rate) / nullif(sqrt(rate * (1 - rate) / lookups), 0) AS deviation
    FROM per_session p, pooled),
chosen AS (
    SELECT t.*, s.session FROM told t JOIN store.session s ON s.id = t.session_id
    WHERE {where} ORDER BY {order}, s.session LIMIT $limit)
SELECT t.session, hits / t.lookups, t.lookups, lost_ms, saved_ms, t.first_at, c.team, c.ci, r.branch, r.command,
       deviation
FROM chosen t JOIN session_summary m ON m.session_id = t.session_id JOIN store.context c ON c.id = m.context_id
LEFT JOIN (session_run k JOIN run r ON r.id = k.run_id) ON k.session_id = t.session_id
ORDER BY {order}, t.session
"""


def sessions_tables(selected: LookupsQuery, limit: int) -> list[Table]:
    """Return the tables `low_hit_rate`, `time_lost` and `percentiles`."""
    impute_durations(selected.connection)
    selected.execute(PER_SESSION)
    return [
        _outliers(selected, "low_hit_rate", "deviation < 0", "deviation", limit),
        _outliers(selected, "time_lost", "lost_ms > 0", "lost_ms DESC", limit),
        Table("percentiles", SPREAD_COLUMNS, selected.rows(SPREAD, at=list(PERCENTILES))),
    ]


def _outliers(selected: LookupsQuery, name: str, where: str, order: str, limit: int) -> Table:
    return Table(name, OUTLIER_COLUMNS, selected.rows(OUTLIERS.format(where=where, order=order), limit=limit))


SCATTER_COLUMNS = (
    Column("lookups", COUNT, "lookups of a session, on average over these"),
    Column("hit_rate", RATIO, "their pooled hit rate"),
    Column("sessions", COUNT, "sessions of about this size and hit rate"),
    Column("time_lost_ms", MS, "what the tasks of their misses took, where that is known or imputed"),
    Column("outlier", TEXT, "the session, where it stands out; it is among the others too"),
)

SCATTER = """
SELECT round(avg(lookups))::BIGINT, sum(hits) / sum(lookups), count(*), round(fsum(lost_ms), 6), NULL
FROM per_session GROUP BY floor(2 * log2(lookups)), floor(20 * hits / lookups) ORDER BY ALL
"""


def scatter_table(selected: LookupsQuery, outliers: Table) -> Table:
    """Return the table `scatter`: the outliers of `sessions`, then sessions of like size and hit rate a row."""
    named = [(lookups, rate, 1, lost_ms, session) for session, rate, lookups, lost_ms, *_ in outliers.rows]
    return Table("scatter", SCATTER_COLUMNS, [*named, *selected.rows(SCATTER)])


def sessions(log: OpenLog, selection: Selection, options: SessionsOptions) -> Report:
    """Answer `sessions`: the tables `low_hit_rate`, `time_lost` and `percentiles`.

    Raises:
        UsageError: `source` or `event` is given.
    """
    asked = select_scope(log, selection, needs_both_for="sessions")
    return build_report("sessions", asked, sessions_tables(asked.selected, options.limit))


def one_session(log: OpenLog, selection: Selection, text: str, options: SessionsOptions) -> Report:
    """Answer `sessions ID`: the tables `session` and `lookups`.

    Raises:
        UsageError: there is no such session, or `source` or `event` is given.
    """
    require_utf8("id", text)
    name = find_session(select_scope(log, selection, needs_both_for="sessions").selected, text)
    asked = select_scope(log, replace(selection, session=(name,)))
    classify_misses(asked.selected, options.retention_days)
    tables = session_tables(asked.selected)
    return build_report("sessions", asked, tables, tables[1])
