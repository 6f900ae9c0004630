"""Why the cache missed, what that cost, and where it need not have.

A class is a candidate, no verdict. Imputed time is what the tasks behind the misses took, as far as that is known;
avoidable time is the part of it in misses of the avoidable classes (`classes.py`).
"""

from typing import Any

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import LookupsQuery, Selection
from analyzer.questions.miss_classes import AVOIDABLE, CLASSES, classify_misses
from analyzer.questions.options import MissesOptions
from analyzer.questions.report import Report, build_report, select_scope
from analyzer.table import COUNT, FLAG, HASH, MS, NAME, RATIO, TEXT, TIME, Column, Table

AVOIDABLE_MISSES = f"{', '.join(AVOIDABLE[:-1])} and {AVOIDABLE[-1]} misses"

SUMMARY_COLUMNS = (
    Column("lookups", COUNT, "lookups selected"),
    Column("misses", COUNT, "lookups without a HIT"),
    Column("miss_rate", RATIO, "misses / lookups"),
    Column("imputed_time_ms", MS, "what the tasks of the misses took, where that is known or imputed"),
    Column("imputed_coverage", RATIO, "misses whose duration is known or imputed / misses"),
    Column("avoidable_misses", COUNT, AVOIDABLE_MISSES),
    Column("avoidable_time_ms", MS, "their imputed time"),
    Column("avoidable_coverage", RATIO, "of them, those whose duration is known or imputed"),
    Column("time_saved_ms", MS, "sum of the hits' durations, once a lookup, where known"),
    Column("avoidance_ratio", RATIO, "time saved / (time saved + imputed time of misses)"),
    Column("one_hit_wonders", COUNT, "hashes that were looked up exactly once"),
    Column("hashes", COUNT, "distinct hashes"),
)

SUMMARY = """
WITH hashes AS (SELECT hash_id, count(*) AS lookups, fsum(duration_ms) AS saved_ms FROM {selected} GROUP BY hash_id),
missed AS (
    SELECT count(*) AS misses, coalesce(round(fsum(imputed_ms), 6), 0) AS imputed_ms, count(imputed_ms) AS imputed,
           count(*) FILTER (list_contains($avoidable, class)) AS avoidable,
           count(imputed_ms) FILTER (list_contains($avoidable, class)) AS avoidable_imputed,
           coalesce(round(fsum(imputed_ms) FILTER (list_contains($avoidable, class)), 6), 0) AS avoidable_ms
    FROM miss),
every AS (
    SELECT coalesce(sum(lookups), 0)::BIGINT AS lookups, coalesce(round(fsum(saved_ms), 6), 0) AS saved_ms,
           count(*) FILTER (lookups = 1) AS one_hit_wonders, count(*) AS hashes
    FROM hashes)
SELECT lookups, misses, misses / nullif(lookups, 0), imputed_ms, imputed / nullif(misses, 0),
       avoidable, avoidable_ms, avoidable_imputed / nullif(avoidable, 0), saved_ms,
       saved_ms / nullif(saved_ms + imputed_ms, 0), one_hit_wonders, hashes
FROM every, missed
"""

CLASS_COLUMNS = (
    Column("class", TEXT, "why it is a miss: a candidate, no verdict"),
    Column("misses", COUNT, "lookups without a HIT"),
    Column("share", RATIO, "of all misses"),
    Column("sessions", COUNT, "runs that had one"),
    Column("imputed_time_ms", MS, "what their tasks took, where that is known or imputed"),
    Column("imputed_coverage", RATIO, "of these misses, those whose duration is known or imputed"),
    Column("definition", TEXT, "what the class is", detail=True),
    Column("avoidable", FLAG, "with the artifact still in the cache it would have been a hit"),
)

BY_CLASS = """
SELECT class, count(*), count(*) / sum(count(*)) OVER (), count(DISTINCT session_id),
       coalesce(round(fsum(imputed_ms), 6), 0), count(imputed_ms) / count(*)
FROM miss GROUP BY class ORDER BY class
"""

TOP_COLUMNS = (
    Column("avoidable_time_ms", MS, f"imputed time of its {AVOIDABLE_MISSES}"),
    Column("avoidable_misses", COUNT, "those misses"),
    Column("sessions", COUNT, "runs that had one"),
    Column("first_seen", TIME, "time of the first of them"),
    Column("last_seen", TIME, "time of the last of them"),
    *(Column(name, COUNT, f"{name} misses", detail=True) for name in AVOIDABLE),
    Column("likely_causes", TEXT, "candidates, the costliest first"),
)

KEYS = {
    "hash": (
        "m.hash_id",
        "(SELECT hash FROM store.hash WHERE id = g.key), (SELECT n.name FROM name n WHERE n.hash_id = g.key)",
    ),
    "task": ("coalesce(n.name, '')", "nullif(g.key, '')"),
}
KEY_COLUMNS = {
    "hash": (Column("hash", HASH, "the artifact"), Column("name", NAME, "the task that the hash is of")),
    "task": (Column("task", TEXT, "package and task, where run summaries tell"),),
}

TOP = """
WITH failed AS (
    SELECT {key} AS key, count(*) AS failures
    FROM task m LEFT JOIN name n USING (hash_id) WHERE exit_code <> 0 GROUP BY ALL),
grouped AS (
    SELECT {key} AS key, coalesce(round(fsum(imputed_ms), 6), 0) AS avoidable_ms, count(*) AS misses,
           count(DISTINCT session_id) AS sessions, min(first_at) AS first_at, max(first_at) AS last_at,
           {counts}, {times}
    FROM miss m LEFT JOIN name n USING (hash_id) WHERE list_contains($avoidable, class) GROUP BY ALL)
SELECT {label}, g.* EXCLUDE (key), coalesce(failures, 0)
FROM grouped g LEFT JOIN failed USING (key) ORDER BY avoidable_ms DESC, misses DESC, 1 LIMIT $limit
"""


def misses_table(selected: LookupsQuery) -> Table:
    """Return the table `misses`: one row of totals. `classify` comes first, here and below."""
    return Table("misses", SUMMARY_COLUMNS, selected.rows(SUMMARY, avoidable=AVOIDABLE), upright=True)


def classes_table(selected: LookupsQuery) -> Table:
    """Return the table `classes`: a row a class that occurs, in the order of their list."""
    found = {row[0]: row for row in selected.rows(BY_CLASS)}
    rows = [(*found[one.name], one.definition, one.avoidable) for one in CLASSES if one.name in found]
    return Table("classes", CLASS_COLUMNS, rows)


def top_misses_table(selected: LookupsQuery, by: str, limit: int) -> Table:
    """Return the table `top`: the hashes or tasks with the most avoidable time."""
    key, label = KEYS[by]
    counts = ", ".join(f"count(*) FILTER (class = '{name}') AS {name}" for name in AVOIDABLE)
    times = ", ".join(f"coalesce(fsum(imputed_ms) FILTER (class = '{name}'), 0)" for name in AVOIDABLE)
    question = TOP.format(key=key, label=label, counts=counts, times=times)
    rows = selected.rows(question, avoidable=AVOIDABLE, limit=limit)
    return Table("top", (*KEY_COLUMNS[by], *TOP_COLUMNS), [_with_causes(row) for row in rows])


def _with_causes(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Put words in the place of the times by class, and of the number of runs in which the task failed."""
    *shown, failures = row
    times, shown = shown[-len(AVOIDABLE) :], shown[: -len(AVOIDABLE)]
    counts = shown[-len(AVOIDABLE) :]
    present = [(ms, count, name) for ms, count, name in zip(times, counts, AVOIDABLE, strict=True) if count]
    causes = {one.name: one.cause for one in CLASSES}
    words = [f"{name} ({count}): {causes[name]}" for _, count, name in sorted(present, key=lambda one: -one[0])]
    failed = [f"the task failed in {failures} of its runs"] if failures else []
    return (*shown, "; ".join(failed + words))


MOST_ARE_NAMED = """
SELECT coalesce(avg((n.hash_id IS NOT NULL)::INTEGER), 0) > 0.5
FROM miss LEFT JOIN name n USING (hash_id) WHERE list_contains($avoidable, class)
"""


def default_key(selected: LookupsQuery) -> str:
    """Return what the costliest misses are told by: tasks, where most are known."""
    return "task" if selected.rows(MOST_ARE_NAMED, avoidable=AVOIDABLE)[0][0] else "hash"


def misses(log: OpenLog, selection: Selection, options: MissesOptions) -> Report:
    """Answer `misses`: the tables `misses`, `classes` and `top`.

    Raises:
        UsageError: `source` or `event` is given.
    """
    asked = select_scope(log, selection, needs_both_for="misses")
    selected = asked.selected
    classify_misses(selected, options.retention_days)
    tables = [
        misses_table(selected),
        classes_table(selected),
        top_misses_table(selected, options.by or default_key(selected), options.limit),
    ]
    return build_report("misses", asked, tables, tables[1])
