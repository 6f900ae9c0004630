"""Exports logs to a lake, and opens one: the tables of an archive as Parquet files, in a directory or a bucket.

Sessions, hashes and contexts have no numbers in a lake: their names stand in each row. So one export need not know the
numbers of another, and other programs read the files without joins. Relations that grow with the log are partitioned by
day and by a bucket of teams.

A manifest lists the files that make up the lake. An export writes the next manifest when all its files are there,
unless another export has written that one before: readers see all of an export or nothing of it. Where sessions
continue in new logs, the files that have their rows are replaced.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote
from uuid import uuid4

from analyzer.archive.counts import SESSION_QUARTERS
from analyzer.archive.merge import HASH_DURATIONS, LOOKUPS, SUMMARIES
from analyzer.archive.selection import Selection
from analyzer.errors import ArchiveError
from analyzer.readers.storage import MANIFESTS, Storage

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

VERSION = 1
MAX_BUCKETS, LOOKUPS_PER_BUCKET = 64, 1_000_000  # of a day
PARQUET = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 131072"

# The relations, by the table of an archive, and the time by whose day they are partitioned.
RELATIONS: dict[str, tuple[str, str | None]] = {
    "event": ("events", "happened_at"),
    "lookup": ("lookups", "first_at"),
    "session_summary": ("sessions", "first_at"),
    "session_quarter": ("session_quarters", "first_at"),
    "hash_duration": ("hash_durations", None),
    "session": ("session_names", None),
    "hash": ("hash_names", None),
    "context": ("contexts", None),
    "file": ("files", None),
    "reject": ("rejects", None),
    "run": ("runs", None),
    "task": ("tasks", None),
    "unlisted_task": ("unlisted_tasks", None),
    "artifact": ("artifacts", None),
    "transfer": ("transfers", None),
    "match": ("matches", None),
    "name": ("task_names", None),
}
UNKNOWN_DAY = "unknown"
BY_SESSION = ("lookup", "session_summary", "session_quarter")

# The column of the name that stands for a number of an archive, and where an export finds it.
NAMES = {"session_id": "session", "hash_id": "hash", "context_id": "context"}
_JOINS = {
    "session_id": "JOIN store.session s ON s.id = t.session_id",
    "hash_id": "JOIN store.hash h ON h.id = t.hash_id",
    "context_id": "JOIN named_context c ON c.id = t.context_id",
}

# What the buckets of the selected teams are computed from. A team can be selected by its id.
_TEAM_NUMBER = "md5_number_lower(coalesce({team}, ''))"
TEAM_NUMBERS = f"""
SELECT DISTINCT {_TEAM_NUMBER.format(team="team")} FROM store.context
WHERE list_contains($team, team) OR list_contains($team, team_id)
"""

# For other programs: what the numbers in the rows of an archive mean.
_MEANINGS = {
    "event": "event_source(t.kind) AS source, event_result(t.kind) AS event",
    "lookup": "CASE WHEN is_local_hit(t.kinds) THEN 'local_hit' WHEN is_remote_hit(t.kinds) THEN 'remote_hit'"
    " ELSE 'miss' END AS outcome",
}
_KIND = "(CASE source WHEN 'LOCAL' THEN 1 ELSE 4 END * CASE event WHEN 'HIT' THEN 1 ELSE 2 END)::UTINYINT AS kind"

# The context of the first of some lookups. That names can be compared decides between those of one time.
_FIRST_CONTEXT = "arg_min(context_id, {'at': coalesce(first_at, 'infinity'), 'id': context_id}) AS context_id"

# Lookups of `lake_lookup` and new ones as one: the parts of a lookup are combined as events are.
_COMBINED = f"""
SELECT session_id, hash_id, min(first_at) AS first_at, max(last_at) AS last_at, bit_or(kinds) AS kinds,
       max(duration_ms) AS duration_ms, {_FIRST_CONTEXT}, sum(events)::BIGINT AS events
FROM (SELECT s.session AS session_id, h.hash AS hash_id, first_at, last_at, kinds, duration_ms, c.context AS context_id,
             events
      FROM new_lookup t JOIN store.session s ON s.id = t.session_id JOIN store.hash h ON h.id = t.hash_id
      JOIN named_context c ON c.id = t.context_id
      WHERE session IN (FROM renewed)
      UNION ALL SELECT * FROM lake_lookup WHERE session_id IN (FROM renewed))
GROUP BY session_id, hash_id
"""

# What of the log is not in the lake. Of a session with events in a log that the lake has, only the new events count.
# `renewed` has the names of sessions of which the lake has lookups too: these are combined.
_NEW = f"""
CREATE TEMP TABLE named_context AS
SELECT *, to_json([team, team_id, slug, ci, interactive::VARCHAR])::VARCHAR AS context FROM store.context;
CREATE TEMP TABLE new_file AS SELECT id FROM store.file WHERE digest NOT IN (SELECT digest FROM lake_file);
CREATE TEMP TABLE new_run AS
SELECT id FROM store.run WHERE file_id IN (FROM new_file) AND run NOT IN (SELECT run FROM lake_run);
CREATE TEMP TABLE old_session AS SELECT DISTINCT session_id FROM store.event WHERE file_id NOT IN (FROM new_file);
CREATE TEMP TABLE split AS
SELECT DISTINCT session_id FROM store.event WHERE file_id IN (FROM new_file) AND session_id IN (FROM old_session);
CREATE TEMP VIEW new_lookup AS
SELECT * FROM store.lookup WHERE session_id NOT IN (FROM old_session)
UNION ALL
{LOOKUPS.format(events="(FROM store.event WHERE file_id IN (FROM new_file) AND session_id IN (FROM split))")};
CREATE TEMP TABLE renewed AS
SELECT session FROM store.session
WHERE id IN (FROM split)
   OR id NOT IN (FROM old_session) AND session IN (SELECT session_id FROM lake_session_summary)
      AND id IN (SELECT session_id FROM store.session_summary);
CREATE TEMP TABLE renewed_lookup AS {_COMBINED};
"""

# Of each table, the rows `t` that an export adds, and of renewed sessions those of `lake` instead.
_IS_FRESH = "t.session_id NOT IN (FROM old_session) AND session NOT IN (FROM renewed)"
_CONDITIONS = {
    "event": "t.file_id IN (FROM new_file)",
    **dict.fromkeys(BY_SESSION, _IS_FRESH),
    "hash_duration": "true",
    "session": "t.session NOT IN (SELECT id FROM lake_session)",
    "hash": "t.hash NOT IN (SELECT id FROM lake_hash)",
    "context": "t.context NOT IN (SELECT id FROM lake_context)",
    "file": "t.id IN (FROM new_file)",
    "reject": "t.file_id IN (FROM new_file)",
    "run": "t.id IN (FROM new_run)",
    "task": "t.run_id IN (FROM new_run)",
    "unlisted_task": "t.run_id IN (FROM new_run)",
    "artifact": "t.file_id IN (FROM new_file)",
    "transfer": "NOT EXISTS (FROM lake_transfer x WHERE x.hash_id = h.hash AND x.is_upload = t.is_upload"
    " AND x.team IS NOT DISTINCT FROM t.team AND x.happened_at IS NOT DISTINCT FROM t.happened_at)",
    "match": "t.run_id IN (FROM new_run)",
    "name": "h.hash NOT IN (SELECT hash_id FROM lake_name)",
}
_SOURCES = {"context": "named_context", "hash_duration": f"({HASH_DURATIONS.format(lookups='new_lookup')})"}
_RENEWED = {
    "lookup": "FROM renewed_lookup",
    "session_summary": f"""
        SELECT s.* REPLACE (f.context_id AS context_id) FROM ({SUMMARIES.format(lookups="renewed_lookup")}) s
        JOIN (SELECT session_id, {_FIRST_CONTEXT} FROM renewed_lookup GROUP BY session_id) f USING (session_id)""",
    "session_quarter": SESSION_QUARTERS.format(lookups="renewed_lookup"),
}


@dataclass(frozen=True, slots=True)
class LakeFile:
    """A Parquet file of a lake. Those of relations without partitions have no day and no bucket."""

    table: str
    path: str
    rows: int
    size_bytes: int
    day: str | None = None
    bucket: int | None = None
    buckets: int | None = None  # into how many the export divided the teams

    def has_team(self, numbers: Iterable[tuple[int]]) -> bool:
        """Return whether it may have rows of the teams of these TEAM_NUMBERS."""
        return any(number % (self.buckets or 1) == self.bucket for (number,) in numbers)


@dataclass(slots=True)
class Manifest:
    """The files of a lake after an export. `last_file_id` and `last_run_id` are the highest numbers given so far."""

    number: int = 0
    last_file_id: int = 0
    last_run_id: int = 0
    files: list[LakeFile] = field(default_factory=list)

    def of(self, table: str) -> list[LakeFile]:
        """Return the files of the relation of a table."""
        return [file for file in self.files if file.table == table]


@dataclass(frozen=True, slots=True)
class OpenLake:
    """A lake that questions read."""

    storage: Storage
    size_bytes: int


def read_manifest(storage: Storage) -> Manifest:
    """Return the latest manifest of a lake; an empty one where there is no lake.

    Raises:
        ArchiveError: it is a lake of another version, or its manifest is damaged.
        UnreadableError: the storage cannot be read.
    """
    names = storage.names(f"{MANIFESTS}/")
    if not names:
        return Manifest()
    try:
        content = json.loads(storage.read(names[-1]))
        if content.pop("version") != VERSION:
            raise ArchiveError(f"{storage.root}: a lake of another version; export the logs to another place")
        return Manifest(**content | {"files": [LakeFile(**file) for file in content["files"]]})
    except (KeyError, TypeError, ValueError):
        raise ArchiveError(
            f"{storage.root}/{names[-1]}: not the manifest of a lake; export the logs to another place"
        ) from None


def open_lake(
    connection: "DuckDBPyConnection", storage: Storage, manifest: Manifest, selection: Selection | None, workspace: Path
) -> "OpenLake":
    """Replace the tables of an empty archive by views of the same names and columns over the files of a lake.

    With `selection`, the question reads no lookups but those of that selection: files of other days and teams are left
    out. DuckDB leaves out what the minima and maxima in the other files exclude.
    """
    storage.register(connection)
    for table in ("context", *(table for table in RELATIONS if table != "context")):
        needed = manifest
        # What rejects mean for a rate is told from all lookups.
        if selection and (table == "session_quarter" or (table == "lookup" and not manifest.of("reject"))):
            needed = replace(manifest, files=_needed_files(connection, manifest, table, selection))
        sql = _view_sql(connection, storage, needed, table, workspace)
        connection.execute(f"DROP TABLE store.{table}; CREATE VIEW store.{table} AS {sql}")
    return OpenLake(storage, sum(file.size_bytes for file in manifest.files))


def _needed_files(
    connection: "DuckDBPyConnection", manifest: Manifest, table: str, selection: Selection
) -> list[LakeFile]:
    """Return the files of a relation that may have rows of a selection, that have no time, or are of the last day."""
    files, since, until = manifest.of(table), selection.since, selection.until
    last_day = max((str(file.day) for file in files if file.day != UNKNOWN_DAY), default=UNKNOWN_DAY)
    if selection.last and last_day != UNKNOWN_DAY:
        earliest = datetime.fromisoformat(last_day) - selection.last
        since = max(earliest, since or earliest)
    days = (f"{since:%Y-%m-%d}" if since else "", f"{until:%Y-%m-%d}" if until else last_day)
    teams = connection.execute(TEAM_NUMBERS, {"team": list(selection.team)}).fetchall()
    return [
        file
        for file in files
        # The log ends on the last day, and events without a time are counted, whatever is selected.
        if file.day in {UNKNOWN_DAY, last_day}
        or (days[0] <= str(file.day) <= days[1] and (not selection.team or file.has_team(teams)))
    ]


def export_log(
    connection: "DuckDBPyConnection", storage: Storage, manifest: Manifest, workspace: Path
) -> tuple[Manifest, list[LakeFile]]:
    """Add to a lake what it does not have of a log; return its new manifest, and the files that were written.

    Raises:
        ArchiveError: another export was committed in the meantime; nothing was added.
        UnreadableError: the storage cannot be read or written; nothing was added.
    """
    storage.register(connection)
    for table in RELATIONS:
        sql = _view_sql(connection, storage, manifest, table, workspace)
        connection.execute(f"CREATE TEMP VIEW lake_{table} AS {sql}")
    connection.execute(_NEW)
    counts = "SELECT (SELECT count(*) FROM new_file), (SELECT max(id) FROM store.file), (SELECT max(id) FROM store.run)"
    ((new_files, last_file, last_run),) = connection.execute(counts).fetchall()
    if not new_files:
        return manifest, []
    number, export = manifest.number + 1, uuid4().hex[:8]
    written: list[LakeFile] = []
    try:
        replaced = list(_replaced_files(connection, storage, manifest, workspace))
        rewritten = _rewritten(connection, storage, replaced, workspace)
        for file, path in chain(rewritten, _new_files(connection, manifest, workspace)):
            place = f"day={file.day}/bucket={file.bucket}/" if file.day else ""
            name = f"{RELATIONS[file.table][0]}/{place}{number:06}-{export}-{len(written):04}.parquet"
            written.append(replace(file, path=name))
            storage.put(name, path)
            path.unlink()
        files = [file for file in manifest.files if file not in replaced] + written
        after = Manifest(number, manifest.last_file_id + last_file, manifest.last_run_id + (last_run or 0), files)
        content = json.dumps({"version": VERSION, **asdict(after)}, indent=1).encode()
        is_next = storage.create(f"{MANIFESTS}/{number:08}.json", content)
    except BaseException:
        storage.delete(file.path for file in written)
        raise
    if not is_next:
        storage.delete(file.path for file in written)
        raise ArchiveError(f"{storage.root}: another export was committed in the meantime; run this again")
    _delete_others(storage, after)
    return after, written


def _delete_others(storage: Storage, manifest: Manifest) -> None:
    """Delete the files that were replaced, and those of exports that were killed or came too late."""
    known = {file.path for file in manifest.files}
    for relation, _ in RELATIONS.values():
        names = [name for name in storage.names(f"{relation}/") if name not in known]
        storage.delete(name for name in names if int(name.rpartition("/")[2].partition("-")[0]) <= manifest.number)


def _view_sql(
    connection: "DuckDBPyConnection", storage: Storage, manifest: Manifest, table: str, workspace: Path
) -> str:
    """Return the SQL of the rows of a lake that a table of an archive would have, with names for numbers."""
    described = [row[:2] for row in connection.execute(f"DESCRIBE store.{table}").fetchall()]
    files = manifest.of(table)
    if not files:
        types = {name: "VARCHAR" if name in NAMES or _is_name(table, name) else kind for name, kind in described}
        columns = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in types.items())
        return f"SELECT {columns} LIMIT 0"
    columns = ", ".join(_from_lake(table, name) for name, _ in described)
    return f"SELECT {columns} FROM {_parquet(_paths(storage, files, workspace))}"


def _is_name(table: str, column: str) -> bool:
    return column == "id" and f"{table}_id" in NAMES


def _from_lake(table: str, column: str) -> str:
    """Return the SQL of a column of an archive's table, from a row of a lake."""
    if (table, column) == ("event", "kind"):
        return _KIND
    if _is_name(table, column):
        return f"{table} AS id"
    return f'{NAMES[column]} AS "{column}"' if column in NAMES else f'"{column}"'


def _paths(storage: Storage, files: Sequence[LakeFile], workspace: Path) -> list[str]:
    return storage.paths({file.path: file.size_bytes for file in files}, workspace / "lake")


def _parquet(paths: Iterable[str]) -> str:
    return f"read_parquet([{', '.join(map(_text, paths))}], hive_partitioning=false, filename=true)"


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _replaced_files(
    connection: "DuckDBPyConnection", storage: Storage, manifest: Manifest, workspace: Path
) -> Iterator[LakeFile]:
    """Yield the files of a lake that have rows of renewed sessions."""
    if not connection.execute("FROM renewed LIMIT 1").fetchall():
        return
    for table in BY_SESSION:
        files = manifest.of(table)
        if files:
            by_path = dict(zip(_paths(storage, files, workspace), files, strict=True))
            query = f"SELECT DISTINCT filename FROM {_parquet(by_path)} WHERE session IN (FROM renewed)"
            yield from (by_path[path] for (path,) in connection.execute(query).fetchall())


def _rewritten(
    connection: "DuckDBPyConnection", storage: Storage, replaced: Sequence[LakeFile], workspace: Path
) -> Iterator[tuple[LakeFile, Path]]:
    """Write each replaced file without the rows of renewed sessions, unless none is left."""
    for file in replaced:
        path, source = workspace / "rewritten.parquet", _parquet(_paths(storage, [file], workspace))
        rows = f"SELECT * EXCLUDE (filename) FROM {source} WHERE session NOT IN (FROM renewed)"
        ((count,),) = connection.execute(f"COPY ({rows}) TO {_text(str(path))} ({PARQUET})").fetchall()
        if count:
            yield replace(file, rows=count, size_bytes=path.stat().st_size), path


def _new_files(
    connection: "DuckDBPyConnection", manifest: Manifest, workspace: Path
) -> Iterator[tuple[LakeFile, Path]]:
    """Write what the lake does not have; yield each file as it is in the workspace."""
    busiest = "SELECT max(n) FROM (SELECT count(*) AS n FROM new_lookup GROUP BY first_at::DATE)"
    lookups = connection.execute(busiest).fetchall()[0][0] or 0
    buckets = 1
    while buckets * LOOKUPS_PER_BUCKET < lookups and buckets < MAX_BUCKETS:
        buckets *= 2
    for table, (_, time) in RELATIONS.items():
        sql, directory = _export_sql(connection, manifest, table, time, buckets), workspace / table
        if not time:
            path = workspace / f"{table}.parquet"
            ((rows,),) = connection.execute(f"COPY ({sql}) TO {_text(str(path))} ({PARQUET})").fetchall()
            if rows:
                yield LakeFile(table, "", rows, path.stat().st_size), path
            continue
        connection.execute(f"COPY ({sql}) TO {_text(str(directory))} ({PARQUET}, PARTITION_BY (day, bucket))")
        for path in sorted(directory.rglob("*.parquet")):
            day, bucket = (unquote(part.partition("=")[2]) for part in path.relative_to(directory).parts[:2])
            count = f"SELECT num_rows FROM parquet_file_metadata({_text(str(path))})"
            ((rows,),) = connection.execute(count).fetchall()
            yield LakeFile(table, "", rows, path.stat().st_size, day, int(bucket), buckets), path


def _export_sql(
    connection: "DuckDBPyConnection", manifest: Manifest, table: str, time: str | None, buckets: int
) -> str:
    """Return the SQL of the rows that an export adds to the relation of a table."""
    types = {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE store.{table}").fetchall()}
    added = {"file_id": manifest.last_file_id, "run_id": manifest.last_run_id}
    added["id"] = added.get(f"{table}_id", 0)
    fresh, renewed = ["t.context"] if table == "context" else [], list[str]()
    for name, kind in types.items():
        if _is_name(table, name) or (table, name) == ("event", "kind"):
            continue
        plain = f't."{name}" + {added[name]} AS "{name}"' if name in added else f't."{name}"'
        fresh.append(f"{NAMES[name]}" if name in NAMES else plain)
        renewed.append(f"t.{name} AS {NAMES[name]}" if name in NAMES else f't."{name}"::{kind} AS "{name}"')
    more = [_MEANINGS[table]] if table in _MEANINGS else []
    if time:
        more += ["c.team_id, c.slug, c.team, c.ci, c.interactive"]
        more += [f"coalesce(strftime(t.{time}, '%Y-%m-%d'), '{UNKNOWN_DAY}') AS day"]
        more += [f"({_TEAM_NUMBER.format(team='c.team')} % {buckets})::INTEGER AS bucket"]
    joins = " ".join(join for name, join in _JOINS.items() if name in types)
    source = _SOURCES.get(table, f"store.{table}")
    sql = f"SELECT {', '.join(fresh + more)} FROM {source} t {joins} WHERE {_CONDITIONS[table]}"
    if table in _RENEWED:
        contexts = (
            "(SELECT * EXCLUDE (id) FROM named_context UNION SELECT * EXCLUDE (id), id AS context FROM lake_context)"
        )
        sql += f" UNION ALL BY NAME SELECT {', '.join(renewed + more)} FROM ({_RENEWED[table]}) t"
        sql += f" JOIN {contexts} c ON c.context = t.context_id"
    return sql
