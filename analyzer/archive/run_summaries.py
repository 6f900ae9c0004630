"""Takes run summaries and artifacts' metadata into the archive, beside the events.

They are written down one a line, and merged together: ten thousand small files cost one merge.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyzer.archive.matching import match_runs

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DOCUMENTS = """
CREATE OR REPLACE TEMP TABLE document AS
SELECT * FROM read_json($path, format='newline_delimited', auto_detect=false, hive_partitioning=false, columns={
    file_id: 'INTEGER', run: 'VARCHAR', session: 'VARCHAR', version: 'VARCHAR', command: 'VARCHAR', branch: 'VARCHAR',
    sha: 'VARCHAR', "user": 'VARCHAR', started_ms: 'DOUBLE', ended_ms: 'DOUBLE', exit_code: 'BIGINT',
    forced: 'BOOLEAN', attempted: 'DOUBLE', hash: 'VARCHAR', duration_ms: 'DOUBLE',
    tasks: 'STRUCT(task VARCHAR, package VARCHAR, hash VARCHAR, kinds UTINYINT, time_saved_ms DOUBLE,
                   execution_ms DOUBLE, cacheable BOOLEAN, exit_code BIGINT)[]'})
"""

# A run is known by its id: a summary that was written twice, or copied, is one run.
NEW_RUNS = """
CREATE OR REPLACE TEMP TABLE new_run AS
SELECT (SELECT coalesce(max(id), 0) FROM store.run) + row_number() OVER (ORDER BY started_ms, run) AS id, *
FROM document
WHERE run IS NOT NULL AND run NOT IN (SELECT run FROM store.run)
QUALIFY row_number() OVER (PARTITION BY run ORDER BY file_id) = 1
"""

NEW_TASKS = """
CREATE OR REPLACE TEMP TABLE new_task AS
SELECT id AS run_id, generate_subscripts(tasks, 1) AS position, unnest(tasks, recursive := true) FROM new_run
"""

NEW_HASHES = """
INSERT INTO store.hash
SELECT (SELECT coalesce(max(id), 0) FROM store.hash) + row_number() OVER (ORDER BY hash), hash
FROM (SELECT hash FROM new_task UNION SELECT hash FROM document WHERE hash IS NOT NULL
      EXCEPT SELECT hash FROM store.hash)
"""

NEW_SESSIONS = """
INSERT INTO store.session
SELECT (SELECT coalesce(max(id), 0) FROM store.session) + row_number() OVER (ORDER BY session), session
FROM (SELECT session FROM new_run EXCEPT SELECT session FROM store.session)
"""

NO_CONTEXT = """
INSERT INTO store.context (id)
SELECT (SELECT coalesce(max(id), 0) FROM store.context) + 1
WHERE NOT EXISTS (FROM store.context WHERE team IS NULL AND ci IS NULL AND interactive IS NULL)
"""

KEEP = (
    """
    INSERT INTO store.run
    SELECT r.id, file_id, run, version, command, branch, sha, "user", make_timestamp((started_ms * 1000)::BIGINT),
           make_timestamp((ended_ms * 1000)::BIGINT), exit_code, forced, attempted, s.id
    FROM new_run r JOIN store.session s USING (session)
    """,
    """
    INSERT INTO store.task
    SELECT run_id, position, task, package, h.id, kinds, time_saved_ms, execution_ms, cacheable, exit_code
    FROM new_task t JOIN store.hash h USING (hash)
    """,
    """
    INSERT INTO store.artifact
    SELECT file_id, h.id, duration_ms FROM document JOIN store.hash h USING (hash) WHERE duration_ms > 0
    """,
    "DELETE FROM store.name",
    """
    INSERT INTO store.name
    SELECT hash_id, coalesce(named.package || '#', '') || named.task, named.task, named.package
    FROM (SELECT hash_id, min({'package': package, 'task': task}) AS named FROM store.task GROUP BY hash_id)
    """,
)

KNOWN_RUNS = "SELECT count(run) - (SELECT count(*) FROM new_run) FROM document"

STEPS = (NEW_RUNS, NEW_TASKS, NEW_HASHES, NEW_SESSIONS, NO_CONTEXT, *KEEP)


class DocumentLoader:
    """Gathers documents until they are merged, inside the transaction of the events that came with them."""

    def __init__(self, connection: "DuckDBPyConnection", workspace: Path) -> None:
        self._connection, self._path = connection, workspace / "documents.ndjson"

    def add(self, file_id: int, found: dict[str, Any]) -> None:
        """Write a document down."""
        with self._path.open("a", encoding="ascii") as file:
            file.write(json.dumps({"file_id": file_id, **found}) + "\n")

    def merge(self) -> int:
        """Take what was gathered into the tables, and find out again which session is which run.

        Return how many summaries are of a run that is known by another one.
        """
        again = 0
        if self._path.exists():
            self._connection.execute(DOCUMENTS, {"path": str(self._path)})
            for step in STEPS:
                self._connection.execute(step)
            again = self._connection.execute(KNOWN_RUNS).fetchone()[0]  # type: ignore[index]
            self._path.unlink()
        match_runs(self._connection)
        return again
