"""Answers `sessions`: sessions with an unusual hit rate or time lost, or every lookup of one session.

A session is one run of the build client. Time lost is how long the tasks of its misses take, where known or imputed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import compress
from typing import Any

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import ALL_ROWS, Selection, fetch_rows, lookup_reads
from analyzer.errors import Option, UsageError
from analyzer.questions.dimensions import Dimension
from analyzer.questions.groups import check_groups, dimension, group_labels, label_columns, with_keys
from analyzer.questions.miss_classes import DURATION_READS, classified_misses, imputed_durations, log_start
from analyzer.questions.options import UNGROUPED, GroupOptions, SessionsOptions
from analyzer.questions.percentiles import (
    Percentiles,
    all_buckets,
    bucket_counts,
    by_group,
    merged_counts,
    value_counts,
)
from analyzer.questions.report import Report, build_report
from analyzer.questions.scope import Gathered, Given, Rows, Scope, Step, select_scope
from analyzer.table import COUNT, COVERAGE, HASH, MS, NAME, NUMBER, RATIO, TEXT, TIME, Column, Table, select_list
from analyzer.validation import require_utf8

SAVED_MS, LOST_MS = "known_sum(l.duration_ms, is_hit(kinds))", "known_sum(imputed_ms, is_miss(kinds))"
SAVED_COVERAGE = "count(l.duration_ms) FILTER (is_hit(kinds)) / nullif(count(*) FILTER (is_hit(kinds)), 0)"
LOST_COVERAGE = "count(imputed_ms) / nullif(count(*) FILTER (is_miss(kinds)), 0)"

# Each lookup with the task time of a miss.
IMPUTED_LOOKUPS = """
SELECT l.session_id, l.first_at, l.kinds, l.duration_ms, m.imputed_ms{columns}
FROM {selected} l
LEFT JOIN (SELECT hash_id, duration_ms AS imputed_ms FROM {durations}) m ON is_miss(kinds) AND m.hash_id = l.hash_id
"""

# What dimensions read. A session belongs, whole, to the bucket of its first lookup.
TIMED_LOOKUPS = "(SELECT *, min(first_at) OVER (PARTITION BY session_id) AS quarter_at FROM {rows})"

TOTALS = f"""
SELECT session_id{{keys}}, count(*) AS lookups, count(*) FILTER (is_hit(kinds)) AS hits, min(first_at) AS first_at,
       {SAVED_MS} AS saved_ms, {LOST_MS} AS lost_ms,
       {SAVED_COVERAGE} AS saved_coverage, {LOST_COVERAGE} AS lost_coverage
FROM {{lookups}} l GROUP BY session_id{{keys}}
"""

# The columns of `low_hit_rate` and `time_lost`, over `outlier` o, its context c and run r.
OUTLIER_COLUMNS = (
    Column("session", TEXT, "one run of the build client", sql="session"),
    Column("hit_rate", RATIO, "hit rate of the session", sql="hits / o.lookups"),
    Column("lookups", COUNT, "lookups of the session", sql="o.lookups"),
    Column("time_lost_ms", MS, "task time of its misses, where known or imputed", sql="lost_ms"),
    Column(
        "imputed_coverage", RATIO, "misses with known or imputed time / misses", read_with=COVERAGE, sql="lost_coverage"
    ),
    Column("time_saved_ms", MS, "durations of its hits, where known", sql="saved_ms"),
    Column("duration_coverage", RATIO, "hits with a known duration / hits", read_with=COVERAGE, sql="saved_coverage"),
    Column("first_at", TIME, "time of its first event", sql="o.first_at"),
    Column("team", TEXT, "slug, else teamId", sql="c.team"),
    Column("ci", TEXT, "CI vendor the client detected", sql="c.ci"),
    Column("branch", TEXT, "branch of the run, if its summary is known", detail=True, sql="r.branch"),
    Column("command", TEXT, "command of the run, if its summary is known", detail=True, sql="r.command"),
    Column("deviation", NUMBER, "hit rate minus the pooled one, in standard errors", detail=True, sql="deviation"),
)

POOLED_RATE = "SELECT sum(hits) / sum(lookups) FROM {parts}"

# In standard errors of a sample of the session's size, a low rate of few lookups is no outlier: chance explains it.
OUTLIERS = """
WITH scored AS (
    SELECT t.*, (hits / lookups - $rate::DOUBLE) / nullif(sqrt($rate * (1 - $rate) / lookups), 0) AS deviation
    FROM {totals} t),
outlier AS (
    SELECT t.*, s.session FROM scored t JOIN store.session s ON s.id = t.session_id
    WHERE {condition} ORDER BY {order}, s.session LIMIT $limit)
SELECT {columns}
FROM outlier o JOIN session_summary m ON m.session_id = o.session_id JOIN store.context c ON c.id = m.context_id
LEFT JOIN (session_run k JOIN run r ON r.id = k.run_id) ON k.session_id = o.session_id
"""
# The tables of outliers, each with its condition, and the order in the query above and over its columns.
OUTLIER_TABLES = {
    "low_hit_rate": ("deviation < 0", "deviation", "deviation"),
    "time_lost": ("lost_ms > 0", "lost_ms DESC", "time_lost_ms DESC"),
}

# The columns of `percentiles`, each with its values for the sessions.
PERCENTILE_COLUMNS = (
    Column("percentile", TEXT, "p25: a quarter of sessions is at or below each value"),
    Column("lookups", COUNT, "lookups of a session", sql="lookups"),
    Column("hit_rate", RATIO, "hit rate of a session", sql="hits / lookups"),
    Column("time_saved_ms", MS, "durations of hits, where known", sql="saved_ms"),
    Column("duration_coverage", RATIO, "hits of a session with a known duration / its hits", read_with=COVERAGE,
           sql="saved_coverage"),
    Column("time_lost_ms", MS, "task time of misses, if known", sql="lost_ms"),
    Column("imputed_coverage", RATIO, "misses of a session with known or imputed time / its misses",
           read_with=COVERAGE, sql="lost_coverage"),
    Column("sessions", COUNT, "sessions that the percentiles are of"),
)  # fmt: skip
MEASURED = {column.name: column.sql for column in PERCENTILE_COLUMNS if column.sql}

# The columns of `scatter`, over the totals of the sessions, grouped by size and hit rate.
SCATTER_COLUMNS = (
    Column(
        "lookups", COUNT, "mean number of lookups of these sessions", sql="round(sum(lookups) / sum(sessions))::BIGINT"
    ),
    Column("hit_rate", RATIO, "their pooled hit rate", sql="sum(hits) / sum(lookups)"),
    Column("sessions", COUNT, "sessions of about this size and hit rate", sql="sum(sessions)::BIGINT"),
    Column("time_lost_ms", MS, "task time of their misses, where known or imputed", sql="known_sum(lost_ms, true)"),
    Column("outlier", TEXT, "an outlier's session id; the session is counted in another row too", sql="NULL"),
)

SCATTER = """
SELECT floor(2 * log2(lookups)) AS size, floor(20 * hits / lookups) AS rate, sum(lookups)::BIGINT AS lookups,
       sum(hits)::BIGINT AS hits, count(*) AS sessions, fsum(lost_ms) AS lost_ms
FROM {totals} GROUP BY ALL
"""
MERGED_SCATTER = f"SELECT {select_list(SCATTER_COLUMNS)} FROM {{parts}} GROUP BY size, rate ORDER BY ALL"

DURATION_MS = "coalesce(l.duration_ms, m.imputed_ms)"
WARM_MS = f"known_sum({DURATION_MS}, true)"
WARM_COVERAGE = f"count({DURATION_MS}) / count(*)"

# The columns of `session`, over its lookups l, misses m, name s and run r.
SESSION_COLUMNS = (
    Column("session", TEXT, "one run of the build client", sql="s.session"),
    Column("run", TEXT, "id of the run, if its summary is known", sql="any_value(r.run)"),
    Column("command", TEXT, "command of the run", sql="any_value(r.command)"),
    Column("branch", TEXT, "branch of the run", sql="any_value(r.branch)"),
    Column("sha", TEXT, "commit of the run", sql="any_value(r.sha)"),
    Column("user", TEXT, "user who started the run", sql='any_value(r."user")'),
    Column("team", TEXT, "slug, else teamId", sql="min(l.team)"),
    Column("ci", TEXT, "CI vendor the client detected", sql="min(l.ci)"),
    Column("first_at", TIME, "time of its first event", sql="min(l.first_at)"),
    Column("last_at", TIME, "time of its last event", sql="max(l.last_at)"),
    Column("lookups", COUNT, "lookups of the session", sql="count(*)"),
    Column("hits", COUNT, "lookups with a HIT", sql="count(*) FILTER (is_hit(kinds))"),
    Column("hit_rate", RATIO, "hits / lookups", sql="count(*) FILTER (is_hit(kinds)) / count(*)"),
    Column("time_saved_ms", MS, "durations of its hits, where known", sql=SAVED_MS),
    Column("duration_coverage", RATIO, "hits with a known duration / hits", sql=SAVED_COVERAGE),
    Column("time_lost_ms", MS, "task time of its misses, where known or imputed", sql=LOST_MS),
    Column("imputed_coverage", RATIO, "misses with known or imputed time / misses", sql=LOST_COVERAGE),
    Column("warm_cache_saves_ms", MS, "time saved if all had been hits: time saved + time lost", sql=WARM_MS),
    Column("warm_cache_coverage", RATIO, "lookups with known or imputed duration / lookups", sql=WARM_COVERAGE),
)

SESSION = f"""
SELECT {select_list(SESSION_COLUMNS)}
FROM {{selected}} l JOIN store.session s ON s.id = l.session_id
LEFT JOIN {{misses}} m ON m.session_id = l.session_id AND m.hash_id = l.hash_id
LEFT JOIN (session_run k JOIN run r ON r.id = k.run_id) ON k.session_id = l.session_id
GROUP BY s.session
"""

OUTCOME = "CASE WHEN is_local_hit(kinds) THEN 'local_hit' WHEN is_hit(kinds) THEN 'remote_hit' ELSE 'miss' END"

# The columns of `lookups`, over lookups l, misses m, hashes h and task names n.
LOOKUP_COLUMNS = (
    Column("hash", HASH, "hash of the task and its inputs", sql="h.hash"),
    Column("name", NAME, "name of the task, if run summaries name it", sql="n.name"),
    Column("outcome", TEXT, "local_hit, remote_hit or miss", sql=OUTCOME),
    Column("class", TEXT, "why a miss missed: a candidate, not a verdict", sql="m.class"),
    Column("duration_ms", MS, "hit: time saved, if known; miss: task time, if known or imputed", sql=DURATION_MS),
    Column("first_at", TIME, "time of its first event", sql="l.first_at"),
)

# The lookups of one request share a time: the order of their events in the files is the order of the lookups.
LOOKUPS = f"""
SELECT {select_list(LOOKUP_COLUMNS)}
FROM {{selected}} l JOIN store.hash h ON h.id = l.hash_id LEFT JOIN name n ON n.hash_id = l.hash_id
LEFT JOIN {{misses}} m ON m.session_id = l.session_id AND m.hash_id = l.hash_id
LEFT JOIN (SELECT session_id, hash_id, min({{'file': file_id, 'position': position}}) AS place
           FROM event WHERE session_id IN (SELECT session_id FROM {{selected}}) GROUP BY ALL) e
  ON e.session_id = l.session_id AND e.hash_id = l.hash_id
ORDER BY l.first_at NULLS LAST, e.place, h.hash
"""

SESSIONS_BY_ID = """
SELECT DISTINCT s.session
FROM session_summary m JOIN store.session s ON s.id = m.session_id
LEFT JOIN (session_run k JOIN run r ON r.id = k.run_id) ON k.session_id = m.session_id
WHERE starts_with(s.session, $id) OR starts_with(r.run, $id)
ORDER BY s.session LIMIT 4
"""


def sessions(log: OpenLog, selection: Selection, options: SessionsOptions) -> Report:
    """Answer `sessions`: the tables `low_hit_rate`, `time_lost`, `percentiles`, and one with percentiles by group.

    Raises:
        UsageError: an unknown dimension or time zone.
        QueryError: SQL of the selection does not run.
    """
    dimensions = check_groups(log.connection, options.groups, needs_both_for="sessions")
    scope = select_scope(log, selection, needs_both_for="sessions")
    tables = sessions_tables(scope, options.limit)
    if dimensions:
        tables.append(grouped_percentiles(scope, dimensions, options.groups))
    return build_report("sessions", scope, tables, tables[-1 if dimensions else 0])


def sessions_tables(scope: Scope, limit: int) -> list[Table]:
    """Return the tables `low_hit_rate` and `time_lost`, each of at most `limit` rows, and `percentiles`."""
    impute = _impute_step(scope)
    summary = scope.gather([impute, Step("session_id", _summarize)], UNGROUPED)
    ((rate,),) = summary.rows("sizes", POOLED_RATE)
    groups = _groups_of(summary, [])
    last = Step("session_id", _list_outliers, {"session_summary": ALL_ROWS})
    found = scope.gather([impute, last], UNGROUPED, all_buckets(groups.values()), rate, limit)
    tables = [
        Table(name, OUTLIER_COLUMNS, found.rows(name, f"FROM {{parts}} ORDER BY {order}, session LIMIT $n", n=limit))
        for name, (_, _, order) in OUTLIER_TABLES.items()
    ]
    return [*tables, Table("percentiles", PERCENTILE_COLUMNS, _percentile_rows(groups, found, []))]


def grouped_percentiles(scope: Scope, dimensions: Sequence[Dimension], options: GroupOptions) -> Table:
    """Return the table by `dimensions`, named after them: a row for each group and percentile."""
    impute = _impute_step(scope)
    summary = scope.gather([impute, Step("session_id", _summarize)], options)
    groups = _groups_of(summary, dimensions)
    found = scope.gather([impute, Step("session_id", _list_values)], options, all_buckets(groups.values()))
    rows = _percentile_rows(groups, found, dimensions)
    columns = (*label_columns(dimensions), *PERCENTILE_COLUMNS)
    return Table("by_" + "_".join(options.by), columns, rows, by=options.by)


def _groups_of(summary: Gathered, dimensions: Sequence[Dimension]) -> dict[tuple[Any, ...], Percentiles]:
    """Return the percentiles of each group by its keys and labels."""
    counts = by_group(summary.rows("values", merged_counts(_group_keys(dimensions))))
    return {key: Percentiles(rows) for key, rows in counts.items()}


def _percentile_rows(
    groups: Mapping[tuple[Any, ...], Percentiles], found: Gathered, dimensions: Sequence[Dimension]
) -> list[tuple[Any, ...]]:
    """Return the rows of all groups, from the values that the parts listed."""
    listed = by_group(found.rows("values", merged_counts(_group_keys(dimensions))))
    buckets = all_buckets(groups.values())
    is_label = [name.startswith("label_") for name in _group_keys(dimensions)]
    return [
        (*compress(key, is_label), *row, group.count)
        for key, group in groups.items()
        for row in group.rows(list(MEASURED), listed.get(key, []), buckets)
    ]


def _group_keys(dimensions: Sequence[Dimension]) -> list[str]:
    """Return the columns of totals that tell groups apart, in the order by which groups are sorted.

    Only buckets of time sort by their keys: other keys may be ids, which depend on the order of loading.
    """
    keys = {one.name: one.key_name for one in dimensions if one.bounds}
    columns = [column.name for column in label_columns(dimensions)]
    return [key for name in columns for key in (*([keys[name]] if name in keys else []), f"label_{name}")]


def _impute(scope: Scope, _passed: Mapping[str, Rows], groups: GroupOptions, *_: object) -> Given:
    sql = IMPUTED_LOOKUPS.replace("{durations}", imputed_durations(scope.log))
    sql = sql.replace("{columns}", ", l.hash_id, l.team, l.ci, l.interactive" if groups.by else "")
    return Given({}, {"lookups": Rows(scope.selected, sql)})


def _impute_step(scope: Scope) -> Step:
    return Step("hash_id", _impute, lookup_reads(scope.selection) | DURATION_READS)


def _summarize(scope: Scope, passed: Mapping[str, Rows], groups: GroupOptions) -> Given:
    totals = _totals(scope, passed["lookups"])
    sizes = Rows(scope.selected, f"SELECT sum(hits) AS hits, sum(lookups) AS lookups FROM {totals}")
    relation, keys = _grouped_totals(scope, passed["lookups"], groups)
    return Given({"sizes": sizes, "values": Rows(scope.selected, bucket_counts(MEASURED, relation, keys))})


def _list_values(
    scope: Scope, passed: Mapping[str, Rows], groups: GroupOptions, buckets: Mapping[str, Sequence[float]]
) -> Given:
    relation, keys = _grouped_totals(scope, passed["lookups"], groups)
    return Given({"values": Rows(scope.selected, value_counts(MEASURED, relation, buckets, keys))})


def _list_outliers(
    scope: Scope, passed: Mapping[str, Rows], groups: GroupOptions, buckets: Mapping[str, Sequence[float]],
    rate: float, limit: int,
) -> Given:  # fmt: skip
    totals, columns = _totals(scope, passed["lookups"]), select_list(OUTLIER_COLUMNS)
    given = dict(_list_values(scope, passed, groups, buckets).rows)
    for name, (condition, order, _) in OUTLIER_TABLES.items():
        sql = OUTLIERS.format(totals=totals, condition=condition, order=order, columns=columns)
        given[name] = Rows(scope.selected, sql, {"rate": rate, "limit": limit})
    return Given(given)


def _totals(scope: Scope, lookups: Rows) -> str:
    """Return the name of a table (session_id, lookups, hits, first_at, saved_ms, lost_ms): one row per session."""

    def build(table: str) -> None:
        one = lookups.read_by(f"CREATE TEMP TABLE {table} AS {TOTALS.format(keys='', lookups='{rows}')}")
        one.selected.execute(one.sql, **one.parameters)

    return scope.log.derived_table("sessions", build, scope.selected)


def _grouped_totals(scope: Scope, lookups: Rows, groups: GroupOptions) -> tuple[str, list[str]]:
    """Return the name of the same table with one row per session and group, and its columns that tell groups apart."""
    if not groups.by:
        return _totals(scope, lookups), []
    dimensions = [dimension(name) for name in groups.by]
    keys = "".join(f", {one.key_name}" for one in dimensions)

    def build(table: str) -> None:
        totals = TOTALS.format(keys=keys, lookups=f"({with_keys(TIMED_LOOKUPS, dimensions, groups.tz)})")
        labels = ", ".join(group_labels(dimensions))
        one = lookups.read_by(f"CREATE TEMP TABLE {table} AS SELECT *, {labels} FROM ({totals})", tz=groups.tz)
        one.selected.execute(one.sql, **one.parameters)

    return scope.log.derived_table(("sessions", groups), build, scope.selected), _group_keys(dimensions)


def scatter_table(scope: Scope, outliers: Table) -> Table:
    """Return the table `scatter`: a row per outlier, then a row per group of sessions of similar size and hit rate.

    `outliers` is a table of `sessions_tables`.
    """
    points = [(lookups, rate, 1, lost_ms, session) for session, rate, lookups, lost_ms, *_ in outliers.rows]
    gathered = scope.gather([_impute_step(scope), Step("session_id", _scatter)], UNGROUPED)
    groups = gathered.rows("scatter", MERGED_SCATTER)
    return Table("scatter", SCATTER_COLUMNS, [*points, *groups])


def _scatter(scope: Scope, passed: Mapping[str, Rows], *_: object) -> Given:
    sql = SCATTER.replace("{totals}", _totals(scope, passed["lookups"]))
    return Given({"scatter": Rows(scope.selected, sql)})


def one_session(log: OpenLog, selection: Selection, prefix: str, options: SessionsOptions) -> Report:
    """Answer `sessions ID`: the tables `session` and `lookups` of the session with that id, or prefix of an id."""
    if log.divided:
        raise UsageError(Option("engine"), ": a single session is found on this machine; leave it out")
    selection = replace(selection, session=(_find_session(log, prefix),))
    scope = select_scope(log, selection, needs_both_for="sessions")
    misses = classified_misses(scope, options.retention_days, log_start(scope))
    lookups = Table("lookups", LOOKUP_COLUMNS, scope.selected.rows(LOOKUPS.replace("{misses}", misses)))
    rows = scope.selected.rows(SESSION.replace("{misses}", misses))
    session = Table("session", SESSION_COLUMNS, rows, upright=True)
    notes = [f"`causes` says what changed the hashes of run {one['run']}" for one in session.records() if one["run"]]
    return build_report("sessions", scope, [session, lookups], lookups, notes)


def _find_session(log: OpenLog, prefix: str) -> str:
    """Return the id of the session whose id, or whose run's id, is or starts with `prefix`."""
    require_utf8("id", prefix)
    ids: list[str] = [session for (session,) in fetch_rows(log.connection, SESSIONS_BY_ID, {"id": prefix})]
    if prefix in ids:
        return prefix
    if len(ids) > 1:
        examples = ", ".join(ids[:3])
        raise UsageError(Option("id", prefix), f": several sessions match ({examples}); write more of the id")
    if ids:
        return ids[0]
    raise UsageError(Option("id", prefix), ": no session or run has such an id; `sessions` without an id lists some")
