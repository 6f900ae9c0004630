"""Answers `misses`: why lookups missed, what that cost, and which misses were avoidable.

Imputed time is how long the tasks behind the misses take, where that is known or imputed. Avoidable time is the part of
it in misses of the avoidable classes (`miss_classes.py`).
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import Selection, fetch_rows, lookup_reads
from analyzer.questions.doctor.server import outage_notes
from analyzer.questions.groups import (
    check_groups,
    dimension,
    group_counts,
    group_reads,
    grouped_table,
    list_groups,
)
from analyzer.questions.hash_changes import baselines, explain_changes, has_runs, listed_tasks
from analyzer.questions.miss_classes import (
    AVOIDABLE,
    CLASSES,
    DURATION_READS,
    EVIDENCE_READS,
    IS_AVOIDABLE,
    LOCAL_ONLY,
    classified_misses,
    log_start,
)
from analyzer.questions.options import UNGROUPED, GroupOptions, MissesOptions
from analyzer.questions.report import Report, build_report
from analyzer.questions.scope import Gathered, Given, Rows, Scope, Step, select_scope
from analyzer.table import COUNT, COVERAGE, FLAG, HASH, MS, NAME, RATIO, TEXT, TIME, Column, Table, select_list

IMPUTED_MS = "known_sum(imputed_ms, true)"
AVOIDABLE_CLASSES = f"{', '.join(AVOIDABLE[:-1])} and {AVOIDABLE[-1]}"

# The columns of `misses`, over what the parts of a log add up to.
SUMMARY_COLUMNS = (
    Column("lookups", COUNT, "lookups selected", sql="lookups"),
    Column("misses", COUNT, "lookups without a HIT", sql="misses"),
    Column("miss_rate", RATIO, "misses / lookups", sql="misses / nullif(lookups, 0)"),
    Column("time_lost_ms", MS, "task time of the misses, where known or imputed", sql="imputed_ms"),
    Column("imputed_coverage", RATIO, "misses with known or imputed time / misses", sql="imputed / nullif(misses, 0)"),
    Column("avoidable_misses", COUNT, f"misses of the classes {AVOIDABLE_CLASSES}", sql="avoidable"),
    Column("avoidable_time_ms", MS, "task time of the avoidable misses, where known or imputed", sql="avoidable_ms"),
    Column("avoidable_coverage", RATIO, "avoidable misses with known or imputed time / avoidable misses",
           sql="avoidable_imputed / nullif(avoidable, 0)"),
    Column("time_saved_ms", MS, "sum of the durations of hits, once per lookup, where known", sql="saved_ms"),
    Column("avoidance_ratio", RATIO, "time saved / (time saved + time lost)",
           sql="saved_ms / nullif(saved_ms + imputed_ms, 0)"),
    Column("one_hit_wonders", COUNT, "hashes with exactly one lookup", sql="one_hit_wonders"),
    Column("hashes", COUNT, "distinct hashes", sql="hashes"),
)  # fmt: skip

TOTALS = f"""
WITH by_hash AS (
    SELECT count(*) AS lookups, fsum(duration_ms) AS saved_ms, bool_or(is_hit(kinds)) AS was_hit
    FROM {{selected}} GROUP BY hash_id),
lookup_totals AS (
    SELECT sum(lookups) AS lookups, fsum(saved_ms) AS saved_ms, coalesce(bool_or(was_hit), false) AS was_hit,
           count(*) FILTER (lookups = 1) AS one_hit_wonders, count(*) AS hashes
    FROM by_hash),
miss_totals AS (
    SELECT count(*) AS misses, fsum(imputed_ms) AS imputed_ms, count(imputed_ms) AS imputed,
           count(*) FILTER ({IS_AVOIDABLE}) AS avoidable,
           count(imputed_ms) FILTER ({IS_AVOIDABLE}) AS avoidable_imputed,
           fsum(imputed_ms) FILTER ({IS_AVOIDABLE}) AS avoidable_ms
    FROM {{misses}})
FROM lookup_totals, miss_totals
"""
COUNTS = ("lookups", "one_hit_wonders", "hashes", "misses", "imputed", "avoidable", "avoidable_imputed")
SUMMARY = f"""
SELECT {select_list(SUMMARY_COLUMNS)} FROM (
    SELECT {", ".join(f"coalesce(sum({name}), 0)::BIGINT AS {name}" for name in COUNTS)},
           known_sum(saved_ms, was_hit) AS saved_ms, known_sum(imputed_ms, misses > 0) AS imputed_ms,
           known_sum(avoidable_ms, avoidable > 0) AS avoidable_ms
    FROM {{parts}})
"""

# The columns of `classes`, over the classes of all parts.
CLASS_COLUMNS = (
    Column("class", TEXT, "why the lookup missed: a candidate, not a verdict", sql="class"),
    Column("misses", COUNT, "lookups without a HIT", sql="sum(misses)::BIGINT"),
    Column("share", RATIO, "misses of the class / all misses", sql="sum(misses) / sum(sum(misses)) OVER ()"),
    Column("time_lost_ms", MS, "task time of these misses, where known or imputed", sql=IMPUTED_MS),
    Column(
        "imputed_coverage",
        RATIO,
        "those with known or imputed time / misses",
        read_with=COVERAGE,
        sql="sum(imputed) / sum(misses)",
    ),
    Column("sessions", COUNT, "sessions with a miss of the class", sql="sum(sessions)::BIGINT"),
    Column("definition", TEXT, "what the class means", detail=True),
    Column("avoidable", FLAG, "would have been a hit if the artifact had still been in the cache"),
)

CLASS_COUNTS = """
SELECT class, count(*) AS misses, fsum(imputed_ms) AS imputed_ms, count(imputed_ms) AS imputed,
       count(DISTINCT session_id) AS sessions
FROM {rows} GROUP BY class
"""
BY_CLASS = f"SELECT {select_list(CLASS_COLUMNS)} FROM {{parts}} GROUP BY class ORDER BY class"

CLASS_FACTS = ", ".join(
    f"{{'name': '{name}', 'misses': sum(\"{name}\")::BIGINT, 'ms': fsum({name}_ms)}}" for name in AVOIDABLE
)

# The columns of `top`, over the avoidable misses of hashes or tasks in all parts; Python turns the last one into text.
TOP_COLUMNS = (
    Column("avoidable_time_ms", MS, "task time of its avoidable misses, where known or imputed", sql=IMPUTED_MS),
    Column("avoidable_misses", COUNT, f"misses of the classes {AVOIDABLE_CLASSES}", sql="sum(misses)::BIGINT"),
    Column("sessions", COUNT, "sessions with such a miss", sql="sum(sessions)::BIGINT"),
    Column("first_seen", TIME, "time of the first such miss", sql="min(first_seen)"),
    Column("last_seen", TIME, "time of the last such miss", sql="max(last_seen)"),
    *(Column(name, COUNT, f"{name} misses", detail=True, sql=f'sum("{name}")::BIGINT') for name in AVOIDABLE),
    Column("likely_causes", TEXT, "candidates, the costliest first",
           sql=f"{{'failures': coalesce(any_value(failures), 0), 'classes': [{CLASS_FACTS}]}}"),
)  # fmt: skip

# The columns of `changed_hashes`, over the parts of cold misses.
CHANGED_HASHES_COLUMNS = (
    Column(
        "kind",
        TEXT,
        "kind of what changed the hash; new_task: no earlier run; same_hash: it did not change",
        sql="kind",
    ),
    Column("misses", COUNT, "cold misses with it, alone or with other kinds", sql="count(DISTINCT miss)"),
    Column(
        "share",
        RATIO,
        "its part of the cold misses of runs with a summary; one with n causes counts 1/n for each",
        sql="fsum(part) / sum(fsum(part)) OVER ()",
    ),
    Column(
        "time_lost_ms",
        MS,
        "its part of their task time, where known or imputed",
        sql="known_sum(imputed_ms * part, true)",
    ),
    Column(
        "imputed_coverage",
        RATIO,
        "misses with known or imputed time / misses",
        read_with=COVERAGE,
        sql="count(DISTINCT miss) FILTER (imputed_ms IS NOT NULL) / count(DISTINCT miss)",
    ),
)
MORE_ABOUT_CHANGES = "`causes` names the inputs that changed the hashes of cold misses, where run summaries show them"

# The cold misses of sessions that match a run, in all parts of a log; then each with its root causes.
COLD = """
SELECT session_id, hash_id, imputed_ms FROM {rows}
WHERE class IN ('cold', 'unknown_cold') AND session_id IN (SELECT session_id FROM store.session_run)
"""
CHANGED_HASHES = f"""
WITH cold AS (
    SELECT c.*, t.id, b.base, t.hash_id <> o.hash_id AS is_changed
    FROM {{parts}} c JOIN store.session_run s USING (session_id)
    LEFT JOIN {{listed}} t ON t.run_id = s.run_id AND t.hash_id = c.hash_id
    LEFT JOIN {{baselines}} b ON b.id = t.id LEFT JOIN {{listed}} o ON o.id = b.base
    QUALIFY row_number() OVER (PARTITION BY session_id, c.hash_id ORDER BY t.position) = 1)
SELECT {select_list(CHANGED_HASHES_COLUMNS)} FROM (
    SELECT (session_id, hash_id) AS miss, imputed_ms, 1 / count(*) OVER (PARTITION BY session_id, hash_id) AS part,
           CASE WHEN r.kind IS NOT NULL THEN r.kind WHEN c.id IS NULL THEN 'unlisted'
                WHEN c.base IS NULL THEN 'new_task' ELSE 'same_hash' END AS kind
    FROM cold c LEFT JOIN {{roots}} r ON r.id = c.id AND r.base = c.base AND is_changed)
GROUP BY kind ORDER BY time_lost_ms DESC NULLS LAST, share DESC, kind
"""

# The columns by group, over the lookups and the misses of the groups of all parts.
GROUP_COLUMNS = (
    Column("lookups", COUNT, "lookups of the group", sql="sum(lookups)::BIGINT"),
    Column("misses", COUNT, "lookups without a HIT", sql="sum(missed)::BIGINT"),
    Column("miss_rate", RATIO, "misses / lookups", sql="sum(missed) / nullif(sum(lookups), 0)"),
    Column("time_lost_ms", MS, "task time of the misses, where known or imputed",
           sql="known_sum(imputed_ms, missed > 0)"),
    Column("imputed_coverage", RATIO, "misses with known or imputed time / misses", read_with=COVERAGE,
           sql="sum(imputed) / nullif(sum(missed), 0)"),
    Column("avoidable_misses", COUNT, f"misses of the classes {AVOIDABLE_CLASSES}", sql="sum(avoidable)::BIGINT"),
    Column("avoidable_time_ms", MS, "task time of the avoidable misses, where known or imputed",
           sql="known_sum(avoidable_ms, avoidable > 0)"),
    Column("avoidable_coverage", RATIO, "avoidable misses with known or imputed time / avoidable misses",
           read_with=COVERAGE, sql="sum(avoidable_imputed) / nullif(sum(avoidable), 0)"),
    Column("sessions", COUNT, "sessions with a miss", sql="sum(sessions)::BIGINT"),
    # Of the classes, the one that shows an outage is displayed.
    *(Column(one.name, COUNT, f"{one.name} misses", detail=one.name != LOCAL_ONLY, sql=f'sum("{one.name}")::BIGINT')
      for one in CLASSES),
)  # fmt: skip

# Lookups are counted from counts that are kept ready, wherever the groups allow.
GROUP_ROWS = """(
SELECT session_id, hash_id, quarter_at, team, ci, interactive, lookups, NULL AS class, NULL AS imputed_ms
FROM {counted}
UNION ALL
SELECT session_id, hash_id, first_at, team, ci, interactive, 0, class, imputed_ms
FROM {rows} JOIN store.context c ON c.id = context_id)
"""
MISSES_BY_CLASS = ", ".join(f"count(*) FILTER (class = '{one.name}') AS \"{one.name}\"" for one in CLASSES)
GROUP_COUNTS = f"""
sum(lookups) AS lookups, count(class) AS missed, fsum(imputed_ms) AS imputed_ms, count(imputed_ms) AS imputed,
count(*) FILTER ({IS_AVOIDABLE}) AS avoidable, fsum(imputed_ms) FILTER ({IS_AVOIDABLE}) AS avoidable_ms,
count(imputed_ms) FILTER ({IS_AVOIDABLE}) AS avoidable_imputed,
count(DISTINCT session_id) FILTER (class IS NOT NULL) AS sessions,
{MISSES_BY_CLASS}
"""

KEY_COLUMNS = {
    "hash": (
        Column("hash", HASH, "hash of the task and its inputs", sql="any_value(label)"),
        Column("name", NAME, "name of the task, if run summaries name it", sql="any_value(name)"),
    ),
    "task": (Column("task", TEXT, "package and task, if run summaries name them", sql="nullif(key, '')"),),
}
# What misses are grouped by, each with its text; `name` is null where no run summary names the task.
KEYS = {"hash": "hash_id", "task": "coalesce(name, '')"}
LABELS = {"hash": "(SELECT hash FROM store.hash WHERE id = key)", "task": "key"}

KEY_COUNTS = """
SELECT {key} AS key, {label} AS label, any_value(name) AS name, fsum(imputed_ms) AS imputed_ms, count(*) AS misses,
       count(DISTINCT session_id) AS sessions, min(first_at) AS first_seen, max(first_at) AS last_seen, {classes}
FROM {{rows}} WHERE {is_avoidable} GROUP BY key
"""
# All misses of a hash are in one part: the costliest of each part suffice.
COSTLIEST = " ORDER BY known_sum(imputed_ms, true) DESC, count(*) DESC, label LIMIT $limit"
TOP = """
SELECT {columns} FROM {{parts}} LEFT JOIN (
    SELECT {key} AS key, count(*) AS failures FROM task LEFT JOIN name USING (hash_id)
    WHERE exit_code <> 0 AND list_contains($runs, run_id) GROUP BY ALL) USING (key)
GROUP BY key ORDER BY avoidable_time_ms DESC, avoidable_misses DESC, 1 LIMIT $limit
"""

NAMED_COUNTS = f"SELECT count(*) AS misses, count(name) AS named FROM {{rows}} WHERE {IS_AVOIDABLE}"
MOST_ARE_NAMED = "SELECT coalesce(sum(named) / nullif(sum(misses), 0), 0) > 0.5 FROM {parts}"

# A run is selected with its session. One that matches no session has a time, but no team, CI or session to filter by.
MATCHED_RUNS = "SELECT run_id FROM match WHERE session_id IN (SELECT session_id FROM {selected})"
UNMATCHED_RUNS = """
SELECT id FROM run
WHERE id NOT IN (SELECT run_id FROM match)
  AND ($since::TIMESTAMP IS NULL OR ended_at >= $since) AND ($until::TIMESTAMP IS NULL OR ended_at < $until)
"""
HAS_FAILED_TASKS = "SELECT EXISTS (FROM task WHERE exit_code <> 0)"


def misses(log: OpenLog, selection: Selection, options: MissesOptions) -> Report:
    """Answer `misses`: the tables `misses`, `classes`, one by the dimensions of `options.groups`, and two more.

    These are `changed_hashes`, and `top` with the costliest hashes or tasks.

    Raises:
        UsageError: an unknown dimension, column or time zone.
        QueryError: SQL of the selection does not run.
    """
    groups = options.groups
    dimensions = check_groups(log.connection, groups, needs_both_for="misses")
    scope = select_scope(log, selection, needs_both_for="misses")
    classified = classify(scope, options.retention_days, options.limit, groups)
    primary, changed = classes_table(classified), changed_hashes_table(scope, classified)
    tables, notes = [misses_table(classified), primary], [MORE_ABOUT_CHANGES] if changed.rows else []
    if any(row["class"] == LOCAL_ONLY for row in primary.records()):
        period = (scope.selection.since or datetime.min, scope.selection.until or datetime.max)  # noqa: DTZ901
        notes += outage_notes(log, selection, [period])
    if dimensions:
        table = grouped_table(scope, classified, GROUP_COLUMNS, groups, "misses")
        primary, more_notes = list_groups(table, groups)
        tables, notes = [*tables, primary], [*notes, *more_notes]
    key = next((name for name in KEYS if name in groups.by), "") or default_key(classified)
    tables += [changed, top_misses_table(scope, classified, key, options.limit)]
    return build_report("misses", scope, tables, primary, notes)


def classify(scope: Scope, retention_days: float, limit: int, groups: GroupOptions = UNGROUPED) -> Gathered:
    """Classify the misses of the selection, for the tables below; `limit` is that of `top_misses_table`."""
    # Earlier lookups of a hash count, whatever is selected.
    whole = replace(scope.selection, since=None, until=None)
    by_hash = Step("hash_id", _classify, lookup_reads(whole) | DURATION_READS | EVIDENCE_READS)
    reads = group_reads(scope, [dimension(name) for name in groups.by]) if groups.by else {}
    by_session = Step("session_id", _count_misses, reads)
    return scope.gather([by_hash, by_session], retention_days, log_start(scope), limit, groups)


def _classify(
    scope: Scope, _passed: Mapping[str, Rows], retention_days: float, start: datetime | None, limit: int,
    _groups: GroupOptions,
) -> Given:  # fmt: skip
    table = classified_misses(scope, retention_days, start)
    misses = Rows(scope.selected, f"SELECT m.*, n.name FROM {table} m LEFT JOIN name n USING (hash_id)")
    given = {
        "totals": Rows(scope.selected, TOTALS.replace("{misses}", table)),
        "named": misses.read_by(NAMED_COUNTS),
        "cold": misses.read_by(COLD),
        "hash": misses.read_by(_key_counts("hash") + COSTLIEST, limit=limit),
    }
    return Given(given, {"misses": misses})


def _count_misses(
    scope: Scope, passed: Mapping[str, Rows], _days: float, _start: datetime | None, _limit: int, groups: GroupOptions
) -> Given:
    misses = passed["misses"]
    given = {"classes": misses.read_by(CLASS_COUNTS), "task": misses.read_by(_key_counts("task"))}
    if groups.by:
        by_lookup = any(dimension(name).by_lookup for name in groups.by)
        selected = scope.selected.by_lookup() if by_lookup else scope.selected
        sql = group_counts(GROUP_ROWS, groups.by, groups.tz, GROUP_COUNTS)
        given["groups"] = replace(misses, selected=selected).read_by(sql, tz=groups.tz)
    return Given(given)


def _key_counts(by: str) -> str:
    classes = ", ".join(
        f"count(*) FILTER (class = '{name}') AS \"{name}\","
        f" coalesce(fsum(imputed_ms) FILTER (class = '{name}'), 0) AS {name}_ms"
        for name in AVOIDABLE
    )
    return KEY_COUNTS.format(key=KEYS[by], label=LABELS[by], classes=classes, is_avoidable=IS_AVOIDABLE)


def misses_table(classified: Gathered) -> Table:
    """Return the table `misses`, one row of totals. Here and below, `classified` is from `classify`."""
    return Table("misses", SUMMARY_COLUMNS, classified.rows("totals", SUMMARY), upright=True)


def classes_table(classified: Gathered) -> Table:
    """Return the table `classes`: one row per class that occurs, in the order of `CLASSES`."""
    # SQL sorts classes by name; readers expect the order of their definitions.
    rows = {row[0]: row for row in classified.rows("classes", BY_CLASS)}
    occurring = [one for one in CLASSES if one.name in rows]
    return Table("classes", CLASS_COLUMNS, [(*rows[one.name], one.definition, one.avoidable) for one in occurring])


def changed_hashes_table(scope: Scope, classified: Gathered) -> Table:
    """Return the table `changed_hashes`: cold misses of runs with a summary, by the kind of what changed the hash."""
    log = scope.log
    rows = list[tuple[Any, ...]]()
    if has_runs(log):
        names = {"listed": listed_tasks(log), "baselines": baselines(log), "roots": explain_changes(log).roots}
        rows = classified.rows("cold", CHANGED_HASHES.format(**names, parts="{parts}"))
    return Table("changed_hashes", CHANGED_HASHES_COLUMNS, rows)


def top_misses_table(scope: Scope, classified: Gathered, by: str, limit: int) -> Table:
    """Return the table `top`: the `limit` hashes or tasks with the most avoidable time."""
    columns = (*KEY_COLUMNS[by], *TOP_COLUMNS)
    sql = TOP.format(key=KEYS[by], columns=select_list(columns))
    rows = classified.rows(by, sql, limit=limit, runs=_selected_runs(scope))
    return Table("top", columns, [(*values, _describe_causes(causes)) for *values, causes in rows])


def _selected_runs(scope: Scope) -> list[int]:
    """Return the ids of the selected runs, for their failed tasks; [] if no task of the log failed."""
    connection, selection = scope.log.connection, scope.selection
    if not fetch_rows(connection, HAS_FAILED_TASKS, {})[0][0]:
        return []
    gathered = scope.gather([Step("session_id", _match_runs, lookup_reads(selection))])
    runs = [run for (run,) in gathered.rows("runs")]
    if not selection.team and not selection.ci and not selection.session and selection.interactive is None:
        times = {"since": selection.since, "until": selection.until}
        runs += [run for (run,) in fetch_rows(connection, UNMATCHED_RUNS, times)]
    return runs


def _match_runs(scope: Scope, _passed: Mapping[str, Rows]) -> Given:
    return Given({"runs": Rows(scope.selected, MATCHED_RUNS)})


def _describe_causes(facts: Mapping[str, Any]) -> str:
    """Return the likely causes as text: failures of the task first, then each class by the time it cost."""
    causes = {one.name: one.cause for one in CLASSES}
    classes = sorted((one for one in facts["classes"] if one["misses"]), key=lambda one: -one["ms"])
    texts = [f"{one['name']} ({one['misses']}): {causes[one['name']]}" for one in classes]
    failed = [f"the task failed in {facts['failures']} of its runs"] if facts["failures"] else []
    return "; ".join(failed + texts)


def default_key(classified: Gathered) -> str:
    """Return the default of the option `by`: `task` if run summaries name most avoidable misses, else `hash`."""
    return "task" if classified.rows("named", MOST_ARE_NAMED)[0][0] else "hash"
