"""Answers `causes`: which inputs changed the hashes of tasks that missed, what that cost, and what to do about it.

Only run summaries show inputs. A miss whose hash differs from that of its baseline has the root causes of that change
(`hash_changes.py`). If there are several, each gets an equal part of the miss and of its time: the parts of all causes
add up to the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection, fetch_rows
from analyzer.errors import Option, UsageError
from analyzer.questions.hash_changes import KINDS, baselines, cause_text, explain_changes, listed_tasks
from analyzer.questions.miss_classes import imputed_durations
from analyzer.questions.options import CausesOptions
from analyzer.questions.report import Report, build_report
from analyzer.questions.scope import Scope, select_scope
from analyzer.table import COUNT, COVERAGE, MS, NUMBER, RATIO, TEXT, TIME, Column, Table, select_list

# Each miss with its task and baseline; `id` is null for tasks that the summary of a run does not list.
MISSED = """
CREATE TEMP TABLE {table} AS
SELECT l.session_id, l.hash_id, l.first_at, t.run_id, t.id, t.name, b.base, t.hash_id <> o.hash_id AS is_changed,
       d.duration_ms AS imputed_ms
FROM (FROM {{selected}} WHERE is_miss(kinds)) l
JOIN store.session_run s ON s.session_id = l.session_id
LEFT JOIN {listed} t ON t.run_id = s.run_id AND t.hash_id = l.hash_id
LEFT JOIN {baselines} b ON b.id = t.id
LEFT JOIN {listed} o ON o.id = b.base
LEFT JOIN {durations} d ON d.hash_id = l.hash_id
QUALIFY row_number() OVER (PARTITION BY l.session_id, l.hash_id ORDER BY t.position) = 1
"""

# A row for each root cause of each miss whose hash changed, with its part of the miss. `part_of_run` is the part of the
# cause in all causes of the run: the larger, the better an example of it the run is.
ATTRIBUTED = """
CREATE TEMP TABLE {table} AS
SELECT m.* EXCLUDE (base, is_changed), kind, r.name AS cause, 1 / count(*) OVER (PARTITION BY m.id) AS part,
       count(*) OVER (PARTITION BY kind, r.name, m.run_id) / count(*) OVER (PARTITION BY m.run_id) AS part_of_run
FROM {missed} m JOIN {roots} r ON r.id = m.id AND r.base = m.base WHERE is_changed
"""

PART_MS, CHANGED = "known_sum(imputed_ms * part, true)", "FILTER (is_changed)"

TOTAL_COLUMNS = (
    Column("misses", COUNT, "misses of runs with a summary", sql="count(*)"),
    Column("changed", COUNT, "those whose hash differs from that of the baseline", sql=f"count(*) {CHANGED}"),
    Column(
        "new_tasks",
        COUNT,
        "those of tasks that no earlier run lists",
        sql="count(*) FILTER (id IS NOT NULL AND base IS NULL)",
    ),
    Column(
        "same_hash",
        COUNT,
        "those with the hash of the baseline: `misses` says why they missed",
        sql="count(*) FILTER (NOT is_changed)",
    ),
    Column(
        "unlisted",
        COUNT,
        "those that the summary does not name, as the run was cut short",
        sql="count(*) FILTER (id IS NULL)",
    ),
    Column(
        "time_lost_ms",
        MS,
        "task time of the misses with a changed hash, where known or imputed",
        sql="known_sum(CASE WHEN is_changed THEN imputed_ms END, is_changed)",
    ),
    Column(
        "imputed_coverage",
        RATIO,
        "those with known or imputed time / changed",
        sql=f"count(imputed_ms) {CHANGED} / nullif(count(*) {CHANGED}, 0)",
    ),
)

MEASURES = (
    Column("misses", COUNT, "misses whose hash it changed, alone or with other causes", sql="count(DISTINCT id)"),
    Column("shared", COUNT, "those that have other causes too", sql="count(DISTINCT id) FILTER (part < 1)"),
    Column(
        "part",
        NUMBER,
        "its part of the misses: a miss with n causes counts 1/n for each",
        detail=True,
        sql="fsum(part)",
    ),
    Column(
        "share",
        RATIO,
        "its part of the misses / all misses with a changed hash",
        sql="fsum(part) / sum(fsum(part)) OVER ()",
    ),
    Column("time_lost_ms", MS, "its part of their task time, where known or imputed", sql=PART_MS),
    Column(
        "imputed_coverage",
        RATIO,
        "misses with known or imputed time / misses",
        read_with=COVERAGE,
        sql="count(DISTINCT id) FILTER (imputed_ms IS NOT NULL) / count(DISTINCT id)",
    ),
    Column("tasks", COUNT, "tasks (of a package) whose hash it changed", sql="count(DISTINCT name)"),
    Column("runs", COUNT, "runs in which it did", sql="count(DISTINCT run_id)"),
)

KIND = Column("kind", TEXT, "what kind of input changed", sql="kind")
# Python turns kind and name into the text of `cause`.
CAUSE = Column("cause", TEXT, "what changed; a path is from the root of the repository")
KIND_AND_NAME = (
    Column("kind", TEXT, "what kind of input changed", detail=True, sql="kind"),
    Column("name", TEXT, "name of the input, null if none is known", detail=True, sql="nullif(cause, '')"),
)

KIND_COLUMNS = (
    KIND,
    *MEASURES,
    Column("causes", COUNT, "different inputs of this kind", sql="count(DISTINCT cause)"),
    Column("definition", TEXT, "what the kind means", detail=True),
)

CAUSE_COLUMNS = (
    CAUSE,
    *(replace(column, detail=column.name in ("part", "share")) for column in MEASURES),
    *KIND_AND_NAME,
    Column("first_seen", TIME, "time of the first such miss", detail=True, sql="min(first_at)"),
    Column("last_seen", TIME, "time of the last such miss", detail=True, sql="max(first_at)"),
    Column(
        "example",
        TEXT,
        "the last run in which it stands out: `causes SOURCE RUN` shows it",
        detail=True,
        sql="(SELECT run FROM store.run WHERE id = arg_max(run_id, (part_of_run, first_at, run_id)))",
    ),
)

ORDER = "time_lost_ms DESC NULLS LAST, part DESC, kind"

# Runs of one commit that have different hashes of a task: each with the one before.
SAME_COMMIT = """
SELECT id, base FROM (
    SELECT id, hash_id, lag(id) OVER same AS base, lag(hash_id) OVER same AS base_hash FROM {listed}
    WHERE sha IS NOT NULL WINDOW same AS (PARTITION BY sha, name ORDER BY id))
WHERE hash_id <> base_hash
"""

SAME_COMMIT_COLUMNS = (
    CAUSE,
    Column("tasks", COUNT, "tasks with different hashes under one commit", sql="count(DISTINCT t.name)"),
    Column("task", TEXT, "the first of them", sql="min(t.name)"),
    Column("commits", COUNT, "commits with such a task", sql="count(DISTINCT sha)"),
    Column(
        "runs", COUNT, "runs with another hash than the run before, of the same commit", sql="count(DISTINCT t.run_id)"
    ),
    *KIND_AND_NAME,
    Column("commit", TEXT, "the last such commit", detail=True, sql="arg_max(sha, t.id)"),
    Column(
        "example",
        TEXT,
        "its run: `causes SOURCE RUN` shows it",
        detail=True,
        sql="(SELECT run FROM store.run WHERE id = arg_max(t.run_id, t.id))",
    ),
)

# Of each task and cause, the runs since the cause was first seen, and those in which it changed the hash.
SUSPECTS = """
WITH seen AS (
    SELECT t.name, '"' || split_part(t.name, '#', -1) || '"' AS task_name, kind, r.name AS cause,
           min(t.id) AS first_id, count(*) AS changes
    FROM {roots} r JOIN {changed} c ON c.id = r.id AND c.base = r.base JOIN {listed} t ON t.id = r.id
    WHERE kind IN ('file', 'variable', 'global_file', 'global_variable') AND {is_selected} GROUP BY ALL),
counted AS (
    SELECT s.*, count(*) AS runs
    FROM seen s JOIN {listed} t ON t.name = s.name AND t.id >= first_id WHERE {is_selected} GROUP BY ALL
    HAVING changes >= $min_changes AND changes >= $min_share * count(*))
"""
MIN_CHANGES, MIN_SHARE = 5, 0.8

SUSPECT_COLUMNS = (
    CAUSE,
    Column("tasks", COUNT, "tasks whose hash it changes in nearly every run", sql="count(*)"),
    Column("task", TEXT, "the first of them", sql="min(name)"),
    Column(
        "task_names",
        TEXT,
        "names of the tasks, without packages",
        detail=True,
        sql="string_agg(DISTINCT task_name, ', ' ORDER BY task_name)",
    ),
    Column("runs", COUNT, "runs of these tasks since it was first seen, of the task with most", sql="max(runs)"),
    Column(
        "changed_share",
        RATIO,
        "runs in which it changed the hash / runs, of all these tasks",
        sql="sum(changes) / sum(runs)",
    ),
    Column("advice", TEXT, "what to write in turbo.json"),
    *KIND_AND_NAME,
)

ADVICE = {
    "file": ', in {tasks}: "inputs": ["$TURBO_DEFAULT$", "!**/{file}"]',
    "variable": ', in {tasks}: move it from "env" to "passThroughEnv", or add "!{name}" to "env" where turbo infers it',
    "global_file": ': take it out of "globalDependencies", and list it in "inputs" of the tasks that read it',
    "global_variable": ': move it from "globalEnv" to "globalPassThroughEnv", or to "env" of the tasks that read it',
}

COVERAGE_OF_RUNS = "SELECT (SELECT count(*) FROM store.match), (SELECT count(*) FROM store.session_summary)"

# The runs whose lookups are selected.
SELECTED_RUNS = """
CREATE TEMP TABLE {table} AS
SELECT DISTINCT run_id FROM {{selected}} JOIN store.session_run USING (session_id)
"""


def causes(log: OpenLog, selection: Selection, options: CausesOptions) -> Report:
    """Answer `causes`: the tables `totals`, `kinds`, `causes`, `suspects` and `same_commit`.

    Raises:
        UsageError: the log has no run summaries, or the filters `source` or `event` are given.
    """
    if options.task is not None:
        raise UsageError(Option("task", options.task), ": needs the id of a run")
    scope = select_scope(open_runs(log, selection), selection, needs_both_for="causes")
    found = attribute(scope)
    tables = [
        Table(
            "totals", TOTAL_COLUMNS, found.rows(f"SELECT {select_list(TOTAL_COLUMNS)} FROM {{missed}}"), upright=True
        ),
        kinds_table(found),
        causes_table(found, options.limit),
        suspects_table(found),
        same_commit_table(found, options.limit),
    ]
    return build_report("causes", scope, tables, tables[2], [*_coverage(scope.log), *_hints(tables[2])])


def _coverage(log: OpenLog) -> list[str]:
    """Return a note on how much of a log with events the run summaries show."""
    ((runs, sessions),) = fetch_rows(log.connection, COVERAGE_OF_RUNS, {})
    return [f"run summaries show {runs:,} of the {sessions:,} sessions of the log"] if sessions else []


def _hints(table: Table) -> list[str]:
    """Return a note with the command that shows an example of the costliest cause."""
    known = [row for row in table.records() if row["kind"] != "unknown"]
    return [f"to see {row['cause']} in a run: analyzer causes SOURCE {row['example']}" for row in known[:1]]


def open_runs(log: OpenLog, selection: Selection) -> OpenLog:
    """Return a log as its run summaries show it; raise UsageError if it has none."""
    if log.divided:
        raise UsageError(Option("engine"), ": run summaries are read on this machine; leave it out")
    if selection.view == "events":
        raise UsageError(Option("view", "events"), ": only run summaries show what changed a hash; leave it out")
    return log.runs_view()


@dataclass(frozen=True, slots=True)
class Attributed:
    """The misses of a selection and their causes: the names of tables, by the names that queries have for them."""

    scope: Scope
    names: Mapping[str, str]

    def rows(self, sql: str, **parameters: object) -> list[tuple[object, ...]]:
        """Return the rows of a query that reads the tables by their names in braces."""
        return fetch_rows(self.scope.log.connection, sql.format(**self.names), parameters)


def attribute(scope: Scope) -> Attributed:
    """Find the causes of the selected misses of runs that have a summary, in each view of a log."""
    log, changes = scope.log, explain_changes(scope.log)
    names = {"listed": listed_tasks(log), "baselines": baselines(log), "durations": imputed_durations(log)}
    names |= {"roots": changes.roots, "changed": changes.changed}
    for name, sql in {"missed": MISSED, "attributed": ATTRIBUTED, "selected_runs": SELECTED_RUNS}.items():

        def build(table: str, sql: str = sql) -> None:
            scope.selected.execute(sql.format(table=table, **names))

        names[name] = log.derived_table(name, build, scope.selected)
    return Attributed(scope, names)


def kinds_table(found: Attributed) -> Table:
    """Return the table `kinds`: a row for each kind of cause that occurs, the costliest first."""
    rows = found.rows(f"SELECT {select_list(KIND_COLUMNS)} FROM {{attributed}} GROUP BY kind ORDER BY {ORDER}")
    return Table("kinds", KIND_COLUMNS, [(*row, KINDS[str(row[0])]) for row in rows])


def causes_table(found: Attributed, limit: int) -> Table:
    """Return the table `causes`: the `limit` inputs that cost the most time."""
    columns = select_list(CAUSE_COLUMNS)
    sql = f"SELECT {columns} FROM {{attributed}} GROUP BY kind, cause ORDER BY {ORDER}, cause LIMIT $limit"
    return cause_rows("causes", CAUSE_COLUMNS, found.rows(sql, limit=limit))


def suspects_table(found: Attributed) -> Table:
    """Return the table `suspects`: files and variables that change the hash of a task in nearly every run."""
    selected = "t.run_id IN (FROM {selected_runs})"
    sql = f"{SUSPECTS.replace('{is_selected}', selected)} SELECT {select_list(SUSPECT_COLUMNS)} FROM counted"
    sql += " GROUP BY kind, cause ORDER BY tasks DESC, changed_share DESC, kind, cause"
    rows = found.rows(sql, min_changes=MIN_CHANGES, min_share=MIN_SHARE)
    return cause_rows("suspects", SUSPECT_COLUMNS, rows)


def cause_rows(name: str, columns: Sequence[Column], rows: Sequence[tuple[Any, ...]]) -> Table:
    """Return a table of causes, from rows without the columns that are text made of `kind` and `name`."""
    from_sql = [column.name for column in columns if column.sql]
    values = []
    for row in rows:
        by_name = dict(zip(from_sql, row, strict=True))
        kind, cause = by_name["kind"], by_name["name"] or ""
        by_name["cause"] = cause_text(kind, cause)
        if "task_names" in by_name:
            advice = ADVICE[kind].format(file=cause.rpartition("/")[2], name=cause, tasks=by_name["task_names"])
            by_name["advice"] = f"if no output depends on it{advice}"
        values.append(tuple(by_name[column.name] for column in columns))
    return Table(name, columns, values)


def same_commit_table(found: Attributed, limit: int) -> Table:
    """Return the table `same_commit`: what differs where runs of one commit have different hashes of a task."""
    changes = explain_changes(found.scope.log, SAME_COMMIT)
    sql = f"""
        SELECT {select_list(SAME_COMMIT_COLUMNS)}
        FROM (SELECT id, base, kind, name AS cause FROM {changes.roots}) r
        JOIN {changes.changed} USING (id, base) JOIN {{listed}} t USING (id)
        WHERE t.run_id IN (FROM {{selected_runs}})
        GROUP BY kind, cause ORDER BY tasks DESC, runs DESC, kind, cause LIMIT $limit"""
    return cause_rows("same_commit", SAME_COMMIT_COLUMNS, found.rows(sql, limit=limit))
