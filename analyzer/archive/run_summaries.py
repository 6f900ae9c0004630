"""Loads turbo's run summaries and artifact metadata, and matches runs to the sessions of the event log.

Nothing links a run to a session but the hashes, their outcomes and the time. A session fits a run if each of its
lookups is a task of the run with the same outcome. It may have fewer lookups than the run has tasks, down to half, as
clients lose events. It may have more that missed: one for each task that the run attempted but does not list, because
it was cut short. Clients up to 2.10 report events during the run, later ones at its end, so the
events must arrive between the run's start and shortly after its end. Each run and session is matched at most once, the
nearest first. If the clocks of client and log differ by more, short runs match nothing: better no match than a false
one.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

READ_DOCUMENTS = """
CREATE TEMP TABLE document AS
SELECT * FROM read_json($path, format='newline_delimited', auto_detect=false, hive_partitioning=false, columns={
    file_id: 'INTEGER', run: 'VARCHAR', session: 'VARCHAR', version: 'VARCHAR', command: 'VARCHAR', branch: 'VARCHAR',
    sha: 'VARCHAR', "user": 'VARCHAR', started_ms: 'DOUBLE', ended_ms: 'DOUBLE', exit_code: 'BIGINT',
    forced: 'BOOLEAN', unlisted: 'BIGINT', hash: 'VARCHAR', duration_ms: 'DOUBLE', global_set: 'BIGINT',
    sets: 'STRUCT(set_id BIGINT, inputs STRUCT(kind VARCHAR, name VARCHAR, value VARCHAR)[])[]',
    tasks: 'STRUCT(task VARCHAR, package VARCHAR, hash VARCHAR, kinds UTINYINT, time_saved_ms DOUBLE,
                   execution_ms DOUBLE, cacheable BOOLEAN, exit_code BIGINT, files_set BIGINT,
                   settings_set BIGINT)[]'})
"""

# Summaries with the same id are copies of one run. They name no team and no CI: runs without a session have the empty
# context.
MERGE_DOCUMENTS = """
CREATE TEMP TABLE new_run AS
SELECT (SELECT coalesce(max(id), 0) FROM store.run) + row_number() OVER (ORDER BY started_ms, run) AS id, *
FROM document
WHERE run IS NOT NULL AND run NOT IN (SELECT run FROM store.run)
QUALIFY row_number() OVER (PARTITION BY run ORDER BY file_id) = 1;

CREATE TEMP TABLE new_task AS
SELECT id AS run_id, generate_subscripts(tasks, 1) AS position, unnest(tasks, recursive := true) FROM new_run;

CREATE TEMP TABLE new_unlisted AS
SELECT id AS run_id, len(tasks) + number AS position, number, format('unlisted {} of {}', number, run) AS hash
FROM (SELECT id, run, tasks, unnest(range(1, unlisted + 1)) AS number FROM new_run);

INSERT INTO store.hash
SELECT (SELECT coalesce(max(id), 0) FROM store.hash) + row_number() OVER (ORDER BY hash), hash
FROM (SELECT hash FROM new_task UNION SELECT hash FROM new_unlisted
      UNION SELECT hash FROM document WHERE hash IS NOT NULL
      EXCEPT SELECT hash FROM store.hash);

INSERT INTO store.session
SELECT (SELECT coalesce(max(id), 0) FROM store.session) + row_number() OVER (ORDER BY session), session
FROM (SELECT session FROM new_run EXCEPT SELECT session FROM store.session);

INSERT INTO store.context (id)
SELECT (SELECT coalesce(max(id), 0) FROM store.context) + 1
WHERE NOT EXISTS (FROM store.context WHERE team IS NULL AND ci IS NULL AND interactive IS NULL);

INSERT INTO store.run
SELECT r.id, file_id, run, version, command, branch, sha, "user", make_timestamp((started_ms * 1000)::BIGINT),
       make_timestamp((ended_ms * 1000)::BIGINT), exit_code, forced, s.id, global_set
FROM new_run r JOIN store.session s USING (session);

INSERT INTO store.task
SELECT run_id, position, task, package, h.id, kinds, time_saved_ms, execution_ms, cacheable, exit_code, files_set,
       settings_set
FROM new_task t JOIN store.hash h USING (hash);

CREATE TEMP TABLE new_input AS
SELECT s.set_id, unnest(s.inputs, recursive := true)
FROM (SELECT unnest(sets) AS s FROM document)
WHERE s.set_id NOT IN (SELECT set_id FROM store.input_set);
INSERT INTO store.input
SELECT (SELECT coalesce(max(id), 0) FROM store.input) + row_number() OVER (ORDER BY kind, name, value), *
FROM (SELECT kind, name, value FROM new_input EXCEPT SELECT kind, name, value FROM store.input);
INSERT INTO store.input_set
SELECT set_id, i.id FROM new_input JOIN store.input i USING (kind, name, value) ORDER BY ALL;

INSERT INTO store.unlisted_task
SELECT run_id, position, number, h.id FROM new_unlisted JOIN store.hash h USING (hash);

INSERT INTO store.artifact
SELECT file_id, h.id, duration_ms FROM document JOIN store.hash h USING (hash) WHERE duration_ms > 0;

CREATE TEMP TABLE known_name AS
SELECT hash_id, package, task FROM store.task
UNION ALL SELECT hash_id, package, task FROM store.name WHERE hash_id NOT IN (SELECT hash_id FROM store.unlisted_task);
DELETE FROM store.name;
INSERT INTO store.name
SELECT hash_id, coalesce(named.package || '#', '') || named.task, named.task, named.package
FROM (SELECT hash_id, min({'package': package, 'task': task}) AS named FROM known_name GROUP BY hash_id)
UNION ALL SELECT hash_id, '(unlisted)', '(unlisted)', NULL FROM store.unlisted_task;
"""

DUPLICATE_RUNS = "SELECT count(run) - (SELECT count(*) FROM new_run) FROM document"
DROP_DOCUMENTS = """
DROP TABLE document; DROP TABLE new_run; DROP TABLE new_task; DROP TABLE new_unlisted; DROP TABLE known_name;
DROP TABLE new_input;
"""

MAX_EARLY_MS = 100  # how much before its run a session may begin: the difference of synchronized clocks
MAX_LATE_MS = 5000  # how much after its run its last event may arrive: clients send a refused batch again after 2 s
TRUNCATED_MS = 1000  # the largest error of times that the log has in whole seconds

# Pairs of a run and a session that fits it, the best first.
# `kinds & ~t.kinds = 0`: the session reports nothing but the events that turbo sends for the outcome of the task.
# Times in whole seconds cannot tell apart candidates that miss as many tasks, so these match only if there is one.
CANDIDATES = f"""
WITH run_lookups AS (
    SELECT id AS run_id, started_at, ended_at, count(*) FILTER (t.cacheable) AS lookups,
           (SELECT count(*) FROM store.unlisted_task u WHERE u.run_id = r.id) AS unlisted
    FROM store.run r JOIN store.task t ON t.run_id = r.id
    WHERE t.kinds IS NOT NULL AND NOT r.forced GROUP BY id, started_at, ended_at),
near AS (
    SELECT run_id, session_id, started_at, ended_at, first_at, last_at, s.lookups, r.lookups AS run_lookups, unlisted,
           s.local_hits + s.remote_hits AS hits
    FROM run_lookups r JOIN store.session_summary s
      ON s.last_at BETWEEN r.started_at - INTERVAL {MAX_EARLY_MS + TRUNCATED_MS} MILLISECONDS
                       AND r.ended_at + INTERVAL {MAX_LATE_MS} MILLISECONDS
    WHERE s.lookups <= r.lookups + unlisted),
fitting AS (
    SELECT n.run_id, n.session_id, epoch_ms(n.first_at) - epoch_ms(started_at) AS after_start_ms,
           epoch_ms(n.last_at) - epoch_ms(ended_at) AS after_end_ms,
           any_value(run_lookups + unlisted - n.lookups) AS missing,
           epoch_us(n.first_at) % 1000000 = 0 AND epoch_us(n.last_at) % 1000000 = 0 AS in_whole_seconds
    FROM near n
    JOIN (SELECT * FROM store.lookup WHERE session_id IN (SELECT session_id FROM near)) l USING (session_id)
    JOIN store.task t ON t.run_id = n.run_id AND t.hash_id = l.hash_id
    WHERE t.cacheable AND l.kinds & ~t.kinds = 0
    GROUP BY n.run_id, n.session_id, started_at, ended_at, n.first_at, n.last_at
    HAVING count(DISTINCT l.hash_id) BETWEEN any_value(n.lookups - unlisted) AND any_value(n.lookups)
       AND count(DISTINCT l.hash_id) * 2 >= any_value(run_lookups)
       AND count(DISTINCT l.hash_id) FILTER (is_hit(l.kinds)) = any_value(hits))
SELECT run_id, session_id FROM fitting
WHERE after_start_ms >= -{MAX_EARLY_MS} - CASE WHEN in_whole_seconds THEN {TRUNCATED_MS} ELSE 0 END
QUALIFY NOT in_whole_seconds OR (count(*) OVER (PARTITION BY run_id, missing) = 1
                                 AND count(*) OVER (PARTITION BY session_id, missing) = 1)
ORDER BY missing, least(abs(after_start_ms), abs(after_end_ms)), run_id, session_id
"""

REPLACE_MATCHES = """
DELETE FROM store.match;
INSERT INTO store.match SELECT unnest($runs::INTEGER[]), unnest($sessions::INTEGER[])
"""


class DocumentLoader:
    """Collects documents in a file, to merge all of a batch at once in the transaction of its events."""

    def __init__(self, connection: "DuckDBPyConnection", workspace: Path) -> None:
        self._connection, self._path = connection, workspace / "documents.ndjson"
        self._known_sets = set[int]()  # of the batch

    def add(self, file_id: int, record: dict[str, Any]) -> None:
        """Add the record of a document to the batch; only the first one with a set of inputs has it in the file."""
        sets = {number: inputs for number, inputs in record.pop("sets", {}).items() if number not in self._known_sets}
        self._known_sets.update(sets)
        record["sets"] = [{"set_id": number, "inputs": inputs()} for number, inputs in sets.items()]
        with self._path.open("a", encoding="ascii") as file:
            file.write(json.dumps({"file_id": file_id, **record}) + "\n")

    def merge(self) -> int:
        """Merge the batch into the tables and match runs to sessions; return the number of duplicate summaries."""
        duplicates = 0
        if self._path.exists():
            self._connection.execute(READ_DOCUMENTS, {"path": str(self._path)})
            self._connection.execute(MERGE_DOCUMENTS)
            ((duplicates,),) = self._connection.execute(DUPLICATE_RUNS).fetchall()
            self._connection.execute(DROP_DOCUMENTS)
            self._path.unlink()
            self._known_sets.clear()
        _match_runs(self._connection)
        return duplicates


def _match_runs(connection: "DuckDBPyConnection") -> None:
    """Replace the rows of the table `match`: the best candidates, each run and session at most once."""
    if not connection.execute("FROM store.run LIMIT 1").fetchall():
        return
    sessions_by_run: dict[int, int] = {}
    matched_sessions: set[int] = set()
    for run_id, session_id in connection.execute(CANDIDATES).fetchall():
        if run_id not in sessions_by_run and session_id not in matched_sessions:
            sessions_by_run[run_id] = session_id
            matched_sessions.add(session_id)
    matches = {"runs": list(sessions_by_run), "sessions": list(sessions_by_run.values())}
    connection.execute(REPLACE_MATCHES, matches)
