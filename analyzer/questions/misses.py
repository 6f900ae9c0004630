"""Answers `misses`: why lookups missed, what that cost, and which misses were avoidable.

Imputed time is how long the tasks behind the misses take, where that is known or imputed. Avoidable time is the part of
it in misses of the avoidable classes (`miss_classes.py`).
"""

from collections.abc import Mapping
from typing import Any

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import LookupsQuery, Selection
from analyzer.questions.miss_classes import AVOIDABLE, CLASSES, IS_AVOIDABLE, classified_misses
from analyzer.questions.options import MissesOptions
from analyzer.questions.report import Report, build_report, select_scope
from analyzer.table import COUNT, COVERAGE, FLAG, HASH, MS, NAME, RATIO, TEXT, TIME, Column, Table, select_list

IMPUTED_MS = "known_sum(imputed_ms, true)"
AVOIDABLE_CLASSES = f"{', '.join(AVOIDABLE[:-1])} and {AVOIDABLE[-1]}"

# The columns of `misses`, over the one row of `lookup_totals` and `miss_totals`.
SUMMARY_COLUMNS = (
    Column("lookups", COUNT, "lookups selected", sql="lookups"),
    Column("misses", COUNT, "lookups without a HIT", sql="misses"),
    Column("miss_rate", RATIO, "misses / lookups", sql="misses / nullif(lookups, 0)"),
    Column("imputed_time_ms", MS, "task time of the misses, where known or imputed", sql="imputed_ms"),
    Column("imputed_coverage", RATIO, "misses with known or imputed time / misses", sql="imputed / nullif(misses, 0)"),
    Column("avoidable_misses", COUNT, f"misses of the classes {AVOIDABLE_CLASSES}", sql="avoidable"),
    Column("avoidable_time_ms", MS, "task time of the avoidable misses, where known or imputed", sql="avoidable_ms"),
    Column("avoidable_coverage", RATIO, "avoidable misses with known or imputed time / avoidable misses",
           sql="avoidable_imputed / nullif(avoidable, 0)"),
    Column("time_saved_ms", MS, "sum of the durations of hits, once per lookup, where known", sql="saved_ms"),
    Column("avoidance_ratio", RATIO, "time saved / (time saved + imputed time)", sql="saved_ms / nullif(total_ms, 0)"),
    Column("one_hit_wonders", COUNT, "hashes with exactly one lookup", sql="one_hit_wonders"),
    Column("hashes", COUNT, "distinct hashes", sql="hashes"),
)  # fmt: skip

SUMMARY = f"""
WITH by_hash AS (
    SELECT count(*) AS lookups, fsum(duration_ms) AS saved_ms, bool_or(is_hit(kinds)) AS was_hit
    FROM {{selected}} GROUP BY hash_id),
lookup_totals AS (
    SELECT coalesce(sum(lookups), 0)::BIGINT AS lookups, known_sum(saved_ms, was_hit) AS saved_ms,
           count(*) FILTER (lookups = 1) AS one_hit_wonders, count(*) AS hashes
    FROM by_hash),
miss_totals AS (
    SELECT count(*) AS misses, {IMPUTED_MS} AS imputed_ms, count(imputed_ms) AS imputed,
           count(*) FILTER ({IS_AVOIDABLE}) AS avoidable,
           count(imputed_ms) FILTER ({IS_AVOIDABLE}) AS avoidable_imputed,
           known_sum(CASE WHEN {IS_AVOIDABLE} THEN imputed_ms END, {IS_AVOIDABLE}) AS avoidable_ms
    FROM {{misses}})
SELECT {select_list(SUMMARY_COLUMNS)} FROM (SELECT *, saved_ms + imputed_ms AS total_ms FROM lookup_totals, miss_totals)
"""

# The columns of `classes`, over the classified misses grouped by class.
CLASS_COLUMNS = (
    Column("class", TEXT, "why the lookup missed: a candidate, not a verdict", sql="class"),
    Column("misses", COUNT, "lookups without a HIT", sql="count(*)"),
    Column("share", RATIO, "misses of the class / all misses", sql="count(*) / sum(count(*)) OVER ()"),
    Column("imputed_time_ms", MS, "task time of these misses, where known or imputed", sql=IMPUTED_MS),
    Column(
        "imputed_coverage",
        RATIO,
        "those with known or imputed time / misses",
        read_with=COVERAGE,
        sql="count(imputed_ms) / count(*)",
    ),
    Column("sessions", COUNT, "sessions with a miss of the class", sql="count(DISTINCT session_id)"),
    Column("definition", TEXT, "what the class means", detail=True),
    Column("avoidable", FLAG, "would have been a hit if the artifact had still been in the cache"),
)

BY_CLASS = f"SELECT {select_list(CLASS_COLUMNS)} FROM {{misses}} GROUP BY class ORDER BY class"

CLASS_FACTS = ", ".join(
    f"{{'name': '{name}', 'misses': count(*) FILTER (class = '{name}'),"
    f" 'ms': coalesce(fsum(imputed_ms) FILTER (class = '{name}'), 0)}}"
    for name in AVOIDABLE
)
CAUSE_FACTS = f"{{'failures': coalesce(any_value(failures), 0), 'classes': [{CLASS_FACTS}]}}"

# The columns of `top`, over the avoidable misses grouped by hash or task; Python turns the last one into text.
TOP_COLUMNS = (
    Column("avoidable_time_ms", MS, "task time of its avoidable misses, where known or imputed", sql=IMPUTED_MS),
    Column("avoidable_misses", COUNT, f"misses of the classes {AVOIDABLE_CLASSES}", sql="count(*)"),
    Column("sessions", COUNT, "sessions with such a miss", sql="count(DISTINCT session_id)"),
    Column("first_seen", TIME, "time of the first such miss", sql="min(first_at)"),
    Column("last_seen", TIME, "time of the last such miss", sql="max(first_at)"),
    *(Column(name, COUNT, f"{name} misses", detail=True, sql=f"count(*) FILTER (class = '{name}')")
      for name in AVOIDABLE),
    Column("likely_causes", TEXT, "candidates, the costliest first", sql=CAUSE_FACTS),
)  # fmt: skip

KEY_COLUMNS = {
    "hash": (
        Column("hash", HASH, "hash of the task and its inputs", sql="(SELECT hash FROM store.hash WHERE id = key)"),
        Column("name", NAME, "name of the task, if run summaries name it", sql="any_value(name)"),
    ),
    "task": (Column("task", TEXT, "package and task, if run summaries name them", sql="nullif(key, '')"),),
}
KEYS = {"hash": "hash_id", "task": "coalesce(n.name, '')"}

# A run is selected with its session. One that matches no session has a time, but no team, CI or session to filter by.
SELECTED_RUNS = """
SELECT id FROM run LEFT JOIN match ON match.run_id = run.id
WHERE CASE WHEN match.session_id IS NOT NULL THEN match.session_id IN (SELECT session_id FROM {selected})
           ELSE ($since::TIMESTAMP IS NULL OR ended_at >= $since) AND ($until::TIMESTAMP IS NULL OR ended_at < $until)
                AND len($team::VARCHAR[]) + len($ci::VARCHAR[]) + len($session::VARCHAR[]) = 0
                AND $interactive::BOOLEAN IS NULL END
"""

TOP = """
WITH failed AS (
    SELECT {key} AS key, count(*) AS failures FROM task LEFT JOIN name n USING (hash_id)
    WHERE exit_code <> 0 AND run_id IN ({selected_runs})
    GROUP BY ALL),
avoidable AS (
    SELECT m.*, {key} AS key, n.name FROM {misses} m LEFT JOIN name n USING (hash_id) WHERE {is_avoidable})
SELECT {columns} FROM avoidable LEFT JOIN failed USING (key)
GROUP BY key ORDER BY avoidable_time_ms DESC, avoidable_misses DESC, 1 LIMIT $limit
"""

MOST_ARE_NAMED = f"""
SELECT coalesce(avg((n.hash_id IS NOT NULL)::INTEGER), 0) > 0.5
FROM {{misses}} LEFT JOIN name n USING (hash_id) WHERE {IS_AVOIDABLE}
"""


def misses(log: OpenLog, selection: Selection, options: MissesOptions) -> Report:
    """Answer `misses`: the tables `misses`, `classes` and `top`."""
    scope = select_scope(log, selection, needs_both_for="misses")
    relation = classified_misses(scope, options.retention_days)
    by = options.by or default_key(scope.selected, relation)
    classes = classes_table(scope.selected, relation)
    top = top_misses_table(scope.selected, relation, by, options.limit)
    return build_report("misses", scope, [misses_table(scope.selected, relation), classes, top], classes)


def misses_table(selected: LookupsQuery, relation: str) -> Table:
    """Return the table `misses`, one row of totals. Here and below, `relation` is from `classified_misses`."""
    return Table("misses", SUMMARY_COLUMNS, selected.rows(SUMMARY.replace("{misses}", relation)), upright=True)


def classes_table(selected: LookupsQuery, relation: str) -> Table:
    """Return the table `classes`: one row per class that occurs, in the order of `CLASSES`."""
    # SQL sorts classes by name; readers expect the order of their definitions.
    rows = {row[0]: row for row in selected.rows(BY_CLASS.replace("{misses}", relation))}
    occurring = [one for one in CLASSES if one.name in rows]
    return Table("classes", CLASS_COLUMNS, [(*rows[one.name], one.definition, one.avoidable) for one in occurring])


def top_misses_table(selected: LookupsQuery, relation: str, by: str, limit: int) -> Table:
    """Return the table `top`: the `limit` hashes or tasks with the most avoidable time."""
    columns = (*KEY_COLUMNS[by], *TOP_COLUMNS)
    sql = TOP.format(
        key=KEYS[by], misses=relation, is_avoidable=IS_AVOIDABLE, columns=select_list(columns),
        selected_runs=SELECTED_RUNS,
    )  # fmt: skip
    rows = selected.rows(sql, limit=limit)
    return Table("top", columns, [(*values, _describe_causes(causes)) for *values, causes in rows])


def _describe_causes(facts: Mapping[str, Any]) -> str:
    """Return the likely causes as text: failures of the task first, then each class by the time it cost."""
    causes = {one.name: one.cause for one in CLASSES}
    classes = sorted((one for one in facts["classes"] if one["misses"]), key=lambda one: -one["ms"])
    texts = [f"{one['name']} ({one['misses']}): {causes[one['name']]}" for one in classes]
    failed = [f"the task failed in {facts['failures']} of its runs"] if facts["failures"] else []
    return "; ".join(failed + texts)


def default_key(selected: LookupsQuery, relation: str) -> str:
    """Return the default of the option `by`: `task` if run summaries name most avoidable misses, else `hash`."""
    return "task" if selected.rows(MOST_ARE_NAMED.replace("{misses}", relation))[0][0] else "hash"
