"""Imputes how long the task behind each hash takes: the cost of a miss, and the value of a hit.

The first source that knows a duration of the hash decides:

1. the longest duration of its HIT events,
2. `timeSaved` of a cache hit in a run summary,
3. the local cache's metadata of the artifact,
4. the execution time of a successful task in a run summary.

A hash unknown to all of them gets the median of its task (the same task of the same package), if run summaries name
the task. Otherwise its duration stays unknown: it has no row, and is never counted as 0.
"""

from analyzer.archive.open_log import OpenLog

IMPUTED = """
CREATE TEMP TABLE {table} AS
WITH known AS (
    SELECT hash_id, arg_min(duration_ms, source) AS duration_ms
    FROM (SELECT 1 AS source, hash_id, max(duration_ms) AS duration_ms FROM lookup WHERE duration_ms IS NOT NULL
          GROUP BY hash_id
          UNION ALL
          SELECT 2, hash_id, max(time_saved_ms) FROM task WHERE time_saved_ms > 0 GROUP BY hash_id
          UNION ALL
          SELECT 3, hash_id, max(duration_ms) FROM artifact GROUP BY hash_id
          UNION ALL
          SELECT 4, hash_id, max(execution_ms) FROM task WHERE execution_ms > 0 AND coalesce(exit_code, 0) = 0
          GROUP BY hash_id)
    GROUP BY hash_id),
task_median AS (
    SELECT name, median(duration_ms) AS duration_ms FROM known JOIN name USING (hash_id) GROUP BY name)
FROM known
UNION ALL
SELECT hash_id, duration_ms FROM name JOIN task_median USING (name) WHERE hash_id NOT IN (SELECT hash_id FROM known)
"""


def imputed_durations(log: OpenLog) -> str:
    """Return the name of a table (hash_id, duration_ms) with each hash whose duration is known or imputed.

    It is computed from the whole log, whatever a question selects: a task takes the same time in every selection.
    """
    return log.derived_table("durations", lambda table: log.connection.execute(IMPUTED.format(table=table)))
