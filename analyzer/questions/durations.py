"""How long the task behind a hash takes, as far as that is known: what a miss cost, and a hit would save.

The known duration of the hash itself: of a HIT, else what run summaries and artifacts' metadata say of it. Where there
is none, the median of its task (the same task of the same package), where run summaries name it. Else it is unknown,
never 0.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

KNOWN = """
CREATE OR REPLACE TEMP TABLE known_duration AS
SELECT hash_id, arg_min(duration_ms, place) AS duration_ms
FROM (SELECT 1 AS place, hash_id, max(duration_ms) AS duration_ms FROM lookup WHERE duration_ms IS NOT NULL
      GROUP BY hash_id
      UNION ALL
      SELECT 2, hash_id, max(time_saved_ms) FROM task WHERE time_saved_ms > 0 GROUP BY hash_id
      UNION ALL
      SELECT 3, hash_id, max(duration_ms) FROM artifact GROUP BY hash_id
      UNION ALL
      SELECT 4, hash_id, max(execution_ms) FROM task WHERE execution_ms > 0 AND coalesce(exit_code, 0) = 0
      GROUP BY hash_id)
GROUP BY hash_id
"""

IMPUTED = """
CREATE OR REPLACE TEMP TABLE duration AS
SELECT hash_id, duration_ms FROM known_duration
UNION ALL
SELECT n.hash_id, m.duration_ms
FROM name n
JOIN (SELECT name, median(duration_ms) AS duration_ms FROM known_duration JOIN name USING (hash_id) GROUP BY name) m
  USING (name)
WHERE n.hash_id NOT IN (SELECT hash_id FROM known_duration)
"""


def impute_durations(connection: "DuckDBPyConnection") -> None:
    """Make the temporary table `duration` (hash_id, duration_ms): a row a hash whose duration is known or imputed."""
    connection.execute(KNOWN)
    connection.execute(IMPUTED)
