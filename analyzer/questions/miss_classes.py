"""Imputes how long tasks take, and classifies misses: why each lookup missed.

Each team is assumed to have one remote cache. A miss is compared with the previous lookup of the hash in its team, by
any other session, that asked the remote cache: there was none, it was a miss, or it was a hit. Local cache events are
no evidence, because the local cache of one machine says nothing about the remote cache.

A class is a candidate, not a verdict: the log shows what the cache answered, not what happened in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import ALL_ROWS, fetch_rows, lookup_reads
from analyzer.questions.scope import Given, Rows, Scope, Step

DAY_US = 86_400_000_000
MEDIANS = "medians"

# What the durations of hashes are computed from.
DURATION_READS = dict.fromkeys(("hash_duration", "task", "artifact", "name"), ALL_ROWS)
# What classes are computed from, beside lookups.
EVIDENCE_READS = dict.fromkeys(("transfer", "unlisted_task"), ALL_ROWS)

KNOWN = """(
    SELECT hash_id, arg_min(duration_ms, source) AS duration_ms
    FROM (SELECT 1 AS source, hash_id, max(duration_ms) AS duration_ms FROM hash_duration GROUP BY hash_id
          UNION ALL
          SELECT 2, hash_id, max(time_saved_ms) FROM task WHERE time_saved_ms > 0 GROUP BY hash_id
          UNION ALL
          SELECT 3, hash_id, max(duration_ms) FROM artifact GROUP BY hash_id
          UNION ALL
          SELECT 4, hash_id, max(execution_ms) FROM task WHERE execution_ms > 0 AND coalesce(exit_code, 0) = 0
          GROUP BY hash_id)
    GROUP BY hash_id)
"""
NAMED_DURATIONS = f"SELECT name, duration_ms FROM {KNOWN} JOIN name USING (hash_id)"
TASK_MEDIANS = "CREATE TEMP TABLE {table} AS SELECT name, median(duration_ms) AS duration_ms FROM {named} GROUP BY name"
IMPUTED = f"""
CREATE TEMP TABLE {{table}} AS
WITH known AS {KNOWN}
FROM known
UNION ALL
SELECT hash_id, duration_ms FROM name JOIN {{medians}} USING (name) WHERE hash_id NOT IN (SELECT hash_id FROM known)
"""


def imputed_durations(log: OpenLog) -> str:
    """Return the name of a table (hash_id, duration_ms) with each hash whose task's duration is known or imputed.

    The first source that knows a duration of the hash decides: the longest duration of its HIT events, `timeSaved` of
    a cache hit in a run summary, the local cache's metadata of the artifact, or the execution time of a successful task
    in a run summary. Any other hash gets the median of its task (the same task of the same package), if run summaries
    name it; else the duration is unknown, the hash has no row, and it is never counted as 0.

    The whole log is used, whatever a question selects: a task takes the same time in every selection.
    """

    def build(table: str) -> None:
        log.connection.execute(IMPUTED.format(table=table, medians=task_medians(log)))

    return log.derived_table("durations", build)


def task_medians(log: OpenLog) -> str:
    """Return the name of a table (name, duration_ms) with the median of the known durations of each task."""

    def build(table: str) -> None:
        log.connection.execute(TASK_MEDIANS.format(table=table, named=f"({NAMED_DURATIONS})"))

    return log.derived_table(MEDIANS, build)


@dataclass(frozen=True, slots=True)
class MissClass:
    """A class of misses. `sql` is its condition over the relation `evidence`; the conditions exclude each other.

    A class is `avoidable` if the artifact had been built before, so that the lookup could have been a hit.
    """

    name: str
    sql: str
    definition: str
    cause: str
    avoidable: bool = False


LOCAL_ONLY = "local_only"  # the class of misses that never asked the remote cache

# All classes, in the order in which they are listed.
CLASSES = (
    MissClass("cold", "previous = 'none' AND log_age_us > $retention_us",
              "the first lookup of the hash in the remote cache, longer than the retention after the log began",
              "new work"),
    MissClass("unknown_cold", "previous = 'none' AND log_age_us <= $retention_us",
              "the first lookup of the hash, but so soon after the log began that the artifact may have been built"
              " earlier", "new work, or an artifact older than the log"),
    MissClass("repeat", "previous = 'miss' AND (gap_us < imputed_ms * 1000) IS NOT TRUE",
              "an earlier session missed the same hash, without a remote hit since: the upload never arrived",
              "failed task, read-only client, or refused upload", avoidable=True),
    MissClass("concurrent", "previous = 'miss' AND gap_us < imputed_ms * 1000",
              "missed again before the earlier session can have finished the task: both ran it at the same time",
              "the same commit built twice at the same time", avoidable=True),
    MissClass("expired", "previous = 'hit' AND gap_us > $retention_us",
              "the previous lookup was a remote hit, or an upload arrived since, longer ago than the retention",
              "retention too short", avoidable=True),
    MissClass("evicted", "previous = 'hit' AND gap_us <= $retention_us",
              "the previous lookup was a remote hit, or an upload arrived since, within the retention",
              "storage too small, cache purged, or expired by the age of its upload", avoidable=True),
    MissClass(LOCAL_ONLY, "is_local_only_miss(kinds)",
              "a local miss without any request to the remote cache",
              "remote cache off or unreachable, or an event lost"),
    MissClass("unlisted", "is_unlisted AND NOT is_local_only_miss(kinds)",
              "attempted by a run that was cut short, whose summary does not list the task: its hash is unknown",
              "the run failed or was stopped before the task began"),
    MissClass("untimed", "first_at IS NULL AND NOT is_local_only_miss(kinds)",
              "events without a time: earlier lookups cannot be told from later ones", "the log has no times"),
)  # fmt: skip

AVOIDABLE = tuple(one.name for one in CLASSES if one.avoidable)
IS_AVOIDABLE = f"class IN {AVOIDABLE}"

CLASS = " ".join(f"WHEN {one.sql} THEN '{one.name}'" for one in CLASSES)

# The window function sorts much more than anything else here, so it gets no lookup after the last miss of its hash.
# Lookups of one moment have a fixed order: misses before hits, then by when their sessions were first seen.
CLASSIFIED = f"""
CREATE TEMP TABLE {{table}} AS
WITH last_miss AS (
    SELECT hash_id, max(first_at) AS last_miss_at FROM {{selected}} WHERE is_miss(kinds) AND asked_remote(kinds)
    GROUP BY hash_id),
session_order AS (
    SELECT m.session_id, row_number() OVER (ORDER BY m.first_at, s.session) AS place
    FROM session_summary m JOIN store.session s ON s.id = m.session_id),
remote_miss AS (
    SELECT l.session_id, hash_id, lag(l.first_at) OVER earlier AS before_at,
           lag(had_remote_hit(kinds)) OVER earlier AS before_was_hit
    FROM {{lookup}} l JOIN last_miss USING (hash_id) JOIN store.context c ON c.id = l.context_id
    JOIN session_order o ON o.session_id = l.session_id
    WHERE asked_remote(kinds) AND l.first_at <= last_miss_at
    WINDOW earlier AS (PARTITION BY hash_id, c.team ORDER BY l.first_at, had_remote_hit(kinds), o.place)
    QUALIFY is_miss(kinds)),
uploaded AS (
    SELECT session_id, hash_id, max(u.happened_at) AS uploaded_at
    FROM {{selected}} m JOIN store.transfer u USING (hash_id)
    WHERE is_miss(kinds) AND is_upload AND u.team IS NOT DISTINCT FROM m.team AND u.happened_at < first_at
    GROUP BY ALL),
evidence AS (
    SELECT m.*, d.duration_ms AS imputed_ms,
           epoch_us(m.first_at) - epoch_us(greatest(b.before_at, uploaded_at)) AS gap_us,
           epoch_us(m.first_at) - epoch_us($log_start::TIMESTAMP) AS log_age_us,
           u.hash_id IS NOT NULL AS is_unlisted,
           CASE WHEN m.first_at IS NULL OR is_local_only_miss(kinds) OR u.hash_id IS NOT NULL THEN NULL
                WHEN b.before_was_hit OR uploaded_at >= coalesce(b.before_at, uploaded_at) THEN 'hit'
                WHEN b.before_at IS NULL THEN 'none' ELSE 'miss' END AS previous
    FROM (FROM {{selected}} WHERE is_miss(kinds)) m
    LEFT JOIN remote_miss b USING (session_id, hash_id) LEFT JOIN uploaded USING (session_id, hash_id)
    LEFT JOIN {{durations}} d USING (hash_id) LEFT JOIN store.unlisted_task u USING (hash_id))
SELECT session_id, hash_id, context_id, first_at, imputed_ms, CASE {CLASS} END AS class FROM evidence
"""


def log_start(scope: Scope) -> datetime | None:
    """Return the time of the first event of the log; if the filters choose events, of those that they choose."""
    if not scope.selection.chooses_events:
        ((start,),) = fetch_rows(scope.log.connection, "SELECT min(first_at) FROM log_period", {})
        return cast("datetime | None", start)
    step = Step("session_id", _first_lookup, lookup_reads(scope.selection))
    ((start,),) = scope.gather([step]).rows("first", "SELECT min(first_at) FROM {parts}")
    return cast("datetime | None", start)


def _first_lookup(scope: Scope, _passed: Mapping[str, Rows]) -> Given:
    return Given({"first": Rows(scope.selected, f"SELECT min(first_at) AS first_at FROM {scope.selected.lookup}")})


def classified_misses(scope: Scope, retention_days: float, start: datetime | None) -> str:
    """Return the name of a table with one row per miss of the selection.

    Its columns are session_id, hash_id, context_id, first_at, imputed_ms (null if unknown) and class. Previous lookups
    are searched in the whole log, not only in the selection; `start` is that of the log (`log_start`).
    """
    selected, retention_us = scope.selected, round(retention_days * DAY_US)
    sql = CLASSIFIED.replace("{lookup}", selected.lookup).replace("{durations}", imputed_durations(scope.log))

    def build(table: str) -> None:
        selected.execute(sql.replace("{table}", table), retention_us=retention_us, log_start=start)

    return scope.log.derived_table(("misses", retention_us), build, selected)
