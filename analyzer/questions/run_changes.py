"""Answers `causes RUN`: what changed in one run, task by task."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection, fetch_rows
from analyzer.errors import Option, UsageError
from analyzer.questions.causes import CAUSE, KIND_AND_NAME, cause_rows, open_runs
from analyzer.questions.hash_changes import baselines, cause_text, explain_changes, listed_tasks
from analyzer.questions.miss_classes import imputed_durations
from analyzer.questions.options import CausesOptions
from analyzer.questions.report import Report, build_report
from analyzer.questions.scope import select_scope
from analyzer.table import COUNT, COVERAGE, HASH, MS, RATIO, TEXT, TIME, Column, Table, select_list
from analyzer.text import closest_match
from analyzer.validation import require_utf8

RUNS_BY_ID = """
SELECT DISTINCT r.id, r.run, r.run = $id OR coalesce(s.session = $id, false)
FROM store.run r LEFT JOIN (store.session_run k JOIN store.session s ON s.id = k.session_id) ON k.run_id = r.id
WHERE starts_with(r.run, $id) OR starts_with(s.session, $id)
ORDER BY 3 DESC, r.run LIMIT 4
"""
SESSIONS_OF_RUN = """
SELECT session FROM store.session_run JOIN store.session ON id = session_id WHERE run_id = $run
"""

# Each task of a run with what it is compared with; of $task, if that is given.
TASKS = """
CREATE TEMP TABLE {table} AS
SELECT t.id, t.name, t.kinds, t.is_lookup, o.id AS base, o.run_id AS base_run,
       t.hash_id <> o.hash_id AS is_changed, h.hash, d.duration_ms AS imputed_ms
FROM {listed} t LEFT JOIN {counterparts} c ON c.id = t.id LEFT JOIN {listed} o ON o.id = c.base
JOIN store.hash h ON h.id = t.hash_id LEFT JOIN {durations} d ON d.hash_id = t.hash_id
WHERE t.run_id = $run AND ($task::VARCHAR IS NULL OR t.name = $task)
"""
COUNTERPARTS = "(SELECT t.id, o.id AS base FROM {listed} t JOIN {listed} o USING (name) WHERE o.run_id = %d)"
CHANGED = """
SELECT c.id, c.base FROM {counterparts} c JOIN {listed} t ON t.id = c.id JOIN {listed} o ON o.id = c.base
WHERE t.run_id = %d AND t.hash_id <> o.hash_id
"""

IS_MISS = "is_lookup AND is_miss(kinds)"
RUN_COLUMNS = (
    Column("run", TEXT, "id of the run", sql="r.run"),
    Column("command", TEXT, "its command", sql="r.command"),
    Column("branch", TEXT, "its branch", sql="r.branch"),
    Column("sha", TEXT, "its commit", sql="r.sha"),
    Column("started_at", TIME, "when it began", sql="r.started_at"),
    Column(
        "baseline",
        TEXT,
        "the run that its tasks are compared with; if there are several, how many",
        sql="""
           (SELECT CASE WHEN count(DISTINCT base_run) > 1 THEN format('{{}} runs', count(DISTINCT base_run))
                        ELSE any_value(b.run) END FROM {tasks} JOIN store.run b ON b.id = base_run)""",
    ),
    Column("tasks", COUNT, "tasks that it lists", sql="(SELECT count(*) FROM {tasks})"),
    Column(
        "misses",
        COUNT,
        "tasks that were looked up and missed",
        sql=f"(SELECT count(*) FILTER ({IS_MISS}) FROM {{tasks}})",
    ),
    Column(
        "changed",
        COUNT,
        "tasks whose hash differs from that of the baseline",
        sql="(SELECT count(*) FILTER (is_changed) FROM {tasks})",
    ),
    Column(
        "same_hash",
        COUNT,
        "tasks with the hash of the baseline",
        sql="(SELECT count(*) FILTER (NOT is_changed) FROM {tasks})",
    ),
    Column("new_tasks", COUNT, "tasks without a baseline", sql="(SELECT count(*) FILTER (base IS NULL) FROM {tasks})"),
)

OUTCOME = """
CASE WHEN NOT is_lookup OR kinds IS NULL THEN NULL WHEN is_local_hit(kinds) THEN 'local_hit'
     WHEN is_hit(kinds) THEN 'remote_hit' ELSE 'miss' END"""
TASK_COLUMNS = (
    Column("task", TEXT, "package and task", sql="name"),
    Column("outcome", TEXT, "local_hit, remote_hit or miss; none if it was not looked up", sql=OUTCOME),
    Column("task_time_ms", MS, "how long the task takes, where known or imputed", sql="imputed_ms"),
    Column("changes", TEXT, "what differs from the baseline in the task itself"),
    Column("causes", TEXT, "root causes: what differs in the end, in the task or in those that it depends on"),
    Column(
        "hash_is",
        TEXT,
        "changed, same as in the baseline, or new: there is no baseline",
        detail=True,
        sql="CASE WHEN base IS NULL THEN 'new' WHEN is_changed THEN 'changed' ELSE 'same' END",
    ),
    Column("hash", HASH, "its hash", detail=True, sql="hash"),
    Column(
        "baseline",
        TEXT,
        "the run that it is compared with",
        detail=True,
        sql="(SELECT run FROM store.run WHERE id = base_run)",
    ),
)

CHANGE_COLUMNS = (
    Column("change", TEXT, "changed, added or removed, since the baseline", sql="change"),
    Column("kind", TEXT, "what kind of input", sql="kind"),
    Column("input", TEXT, "its name; a path is from the root of the repository", sql="nullif(c.name, '')"),
    Column("tasks", COUNT, "tasks that have it among their own inputs", sql="count(*)"),
    Column("task", TEXT, "the first of them", sql="min(t.name)"),
)
# The hash of a dependency is an input too.
CHANGED_INPUTS = """
FROM {causes}
UNION SELECT c.dependent, c.dependent_base, 'dependency', d.name, 'changed' FROM {compared} c JOIN {listed} d USING (id)
UNION SELECT id, base, kind, name, change FROM {differences} WHERE kind = 'dependency'
"""
CHANGES = """
SELECT {columns} FROM ({changed_inputs}) c
JOIN {tasks} t USING (id, base) GROUP BY change, kind, c.name ORDER BY c.kind = 'dependency', tasks DESC, kind, c.name
"""

CAUSE_COLUMNS = (
    CAUSE,
    Column("tasks", COUNT, "tasks whose hash it changed", sql="count(*)"),
    Column("misses", COUNT, "those that missed", sql=f"count(*) FILTER ({IS_MISS})"),
    Column(
        "time_lost_ms",
        MS,
        "their task time, where known or imputed; tasks with several causes count for each",
        sql=f"known_sum(CASE WHEN {IS_MISS} THEN imputed_ms END, {IS_MISS})",
    ),
    Column(
        "imputed_coverage",
        RATIO,
        "misses with known or imputed time / misses",
        read_with=COVERAGE,
        sql=f"count(imputed_ms) FILTER ({IS_MISS}) / nullif(count(*) FILTER ({IS_MISS}), 0)",
    ),
    *KIND_AND_NAME,
)
CAUSES = """
SELECT {columns} FROM (SELECT id, base, kind, name AS cause FROM {roots}) r
JOIN {tasks} t USING (id, base) WHERE is_changed
GROUP BY kind, cause ORDER BY time_lost_ms DESC NULLS LAST, tasks DESC, kind, cause
"""
# The own changes of each task, and its root causes: each kind with its names.
OF_TASKS = """
SELECT id, false, kind, c.name FROM ({changed_inputs}) c JOIN {tasks} t USING (id, base)
UNION ALL
SELECT id, true, kind, r.name FROM {roots} r JOIN {tasks} t USING (id, base) WHERE is_changed
ORDER BY ALL
"""
MAX_NAMED = 3  # of a task, before the rest is only counted


def one_run(log: OpenLog, selection: Selection, ids: Sequence[str], options: CausesOptions) -> Report:
    """Answer `causes RUN` and `causes RUN BASE`: the tables `run`, `causes`, `tasks` and `changes`.

    Raises:
        UsageError: no run or several runs have such an id, or the run has no such task.
    """
    log = open_runs(log, selection)
    run, *base = (_find_run(log, name, prefix) for name, prefix in zip(("run", "baseline"), ids, strict=False))
    sessions = fetch_rows(log.connection, SESSIONS_OF_RUN, {"run": run})
    scope = select_scope(log, replace(selection, session=tuple(session for (session,) in sessions)))
    names = {"listed": listed_tasks(log), "baselines": baselines(log), "durations": imputed_durations(log)}
    counterparts = COUNTERPARTS % base[0] if base else "{baselines}"
    changes = explain_changes(log, (CHANGED % run).replace("{counterparts}", counterparts))
    names |= {"counterparts": counterparts.format(**names), "causes": changes.causes, "roots": changes.roots}
    names["changed_inputs"] = CHANGED_INPUTS.format(**names, compared=changes.compared, differences=changes.differences)

    def build(table: str) -> None:
        fetch_rows(log.connection, TASKS.format(table=table, **names), {"run": run, "task": options.task})

    names["tasks"] = log.derived_table("tasks of the run", build, scope.selected)

    def rows(sql: str, columns: Sequence[Column] = ()) -> list[tuple[Any, ...]]:
        return fetch_rows(
            log.connection, sql.replace("{columns}", select_list(columns)).format(**names), {"task": options.task}
        )

    # Hits with the hash of the baseline are only counted.
    shown = f"coalesce(is_changed, true) OR {IS_MISS} OR $task::VARCHAR IS NOT NULL"
    tasks = rows(f"SELECT {{columns}}, id FROM {{tasks}} WHERE {shown} ORDER BY name", TASK_COLUMNS)
    if not tasks and options.task is not None:
        names_of_run = [name for (name,) in rows(f"SELECT name FROM {{listed}} WHERE run_id = {run} ORDER BY name")]
        near = closest_match(options.task, names_of_run) or names_of_run[0]
        raise UsageError(Option("task", options.task), f": the run has no such task; did you mean {near}?")
    tables = [
        Table(
            "run",
            RUN_COLUMNS,
            rows(f"SELECT {{columns}} FROM store.run r WHERE r.id = {run}", RUN_COLUMNS),
            upright=True,
        ),
        cause_rows("causes", CAUSE_COLUMNS, rows(CAUSES, CAUSE_COLUMNS)),
        Table(
            "tasks",
            TASK_COLUMNS,
            _with_texts(tasks, rows(OF_TASKS), "not in that run" if base else "no earlier run of the task"),
        ),
        Table("changes", CHANGE_COLUMNS, rows(CHANGES, CHANGE_COLUMNS)),
    ]
    # Ids of listed tasks are in the order of time.
    later = "SELECT max(id) FILTER (run_id = %d) > max(id) FILTER (run_id = %d) FROM {listed}"
    is_later = bool(base) and rows(later % (base[0], run)) == [(True,)]
    notes = ["the run that it is compared with is a later one"] if is_later else []
    return build_report("causes", scope, tables, tables[2], notes)


def _with_texts(
    tasks: Sequence[tuple[Any, ...]], inputs: Sequence[tuple[Any, ...]], missing: str
) -> list[tuple[Any, ...]]:
    """Return the rows of the table `tasks`, with the changes and causes of each task as text.

    `missing` is the text for tasks without a baseline.
    """
    texts = defaultdict[tuple[int, bool], list[str]](list)
    for task, is_root, kind, name in inputs:
        texts[task, is_root].append(cause_text(kind, name))
    named = {key: _listed(found) for key, found in texts.items()}
    places = {column.name: place for place, column in enumerate(column for column in TASK_COLUMNS if column.sql)}
    rows = []
    for *values, task in tasks:
        by_name = {name: values[place] for name, place in places.items()}
        found = named.get((task, True), missing if by_name["hash_is"] == "new" else None)
        by_name |= {"changes": named.get((task, False)), "causes": found}
        rows.append(tuple(by_name[column.name] for column in TASK_COLUMNS))
    return rows


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - MAX_NAMED
    return ", ".join(texts[:MAX_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _find_run(log: OpenLog, name: str, prefix: str) -> int:
    """Return the number of the run whose id, or whose session's id, is or starts with `prefix`."""
    require_utf8(name, prefix)
    found = fetch_rows(log.connection, RUNS_BY_ID, {"id": prefix})
    exact = [number for number, _, is_exact in found if is_exact]
    if exact or len(found) == 1:
        return int(exact[0] if exact else found[0][0])
    if found:
        examples = ", ".join(run for _, run, _ in found[:3])
        raise UsageError(Option(name, prefix), f": several runs match ({examples}); write more of the id")
    ((last,),) = fetch_rows(log.connection, "SELECT arg_max(run, started_at) FROM store.run", {})
    raise UsageError(Option(name, prefix), f": no run summary has such an id, or such a session; the last is {last}")
