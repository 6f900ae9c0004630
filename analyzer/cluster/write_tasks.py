"""Tasks that finish a load into a lake: they derive lookups and sessions, and write the partitions that change."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyzer.archive.export import CONTEXT_NAMES, DIGESTS, PARQUET, export_sql, written_files
from analyzer.archive.lake import RELATIONS, LakeFile, parquet
from analyzer.archive.leftovers import temp_directory
from analyzer.archive.merge import DERIVE
from analyzer.cluster.load_tasks import CONTEXT, Load, store_names
from analyzer.cluster.rows import Contents, Packed, for_merge, pack, unpack
from analyzer.cluster.tasks import open_database
from analyzer.errors import UnreadableError
from analyzer.readers.storage import Storage, open_storage
from analyzer.text import sql_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# The rows of an export, with the types that it gives them.
PARTITIONED_ROWS = "SELECT * EXCLUDE (day, bucket), day, bucket::INTEGER AS bucket FROM {files}"
PARTITIONED = ("event", "lookup", "session_summary", "session_quarter")

NEW_CONTEXTS = "SELECT row_number() OVER () AS id, * EXCLUDE (context) FROM (SELECT DISTINCT * FROM given)"
# Fills an empty archive with the events of the relation `given`, and derives the rest.
FILL = f"""
INSERT INTO store.context
SELECT row_number() OVER (ORDER BY team, team_id, ci, interactive), team_id, slug, team, ci, interactive
FROM (SELECT DISTINCT {CONTEXT} FROM given);
INSERT INTO store.session
SELECT row_number() OVER (ORDER BY session), session FROM (SELECT DISTINCT session FROM given);
INSERT INTO store.hash SELECT row_number() OVER (ORDER BY hash), hash FROM (SELECT DISTINCT hash FROM given);
{CONTEXT_NAMES};
INSERT INTO store.event
SELECT g.file_id, g.position, g.happened_at, s.id, h.id, g.kind, g.duration_ms, c.id, g.status
FROM given g JOIN store.session s USING (session) JOIN store.hash h USING (hash) JOIN named_context c USING (context);
SET VARIABLE first_file_id = 0;
CREATE TEMP TABLE session_key AS SELECT id, session, false AS known FROM store.session;
{DERIVE}
"""


@dataclass(frozen=True, slots=True)
class DeriveTask:
    """Derives lookups and sessions from all events of some sessions.

    Events of the files `ignored`, which others have the content of, are left out. `known` are the sessions that the
    lake has already. `digests` are those of the files when they were read first: if a worker is lost, Spark reads them
    again.
    """

    load: Load
    buckets: int
    ignored: Collection[int]
    known: Collection[str]
    digests: Mapping[int, str]
    parts: int

    def run(self, part: int, contents: Contents) -> Iterator[Packed]:  # noqa: ARG002  (required by the protocol Work)
        """Yield the derived rows, and the partitions in which the lake has rows of the same sessions."""
        if "new_event" not in contents:
            return
        if "old_event" in contents:
            with temp_directory() as scratch, open_database(scratch) as connection:
                connection.register("given", unpack(contents["old_event"]))
                connection.execute(FILL)
                for table in PARTITIONED:
                    visited = f"SELECT DISTINCT day, bucket FROM ({self._export(connection, table)})"
                    yield from self._pack(f"visit_{table}", connection, visited)
        with temp_directory() as scratch, open_database(scratch) as connection:
            connection.register("seen", unpack(contents["digest"]))
            seen: dict[int, str] = dict(connection.execute("SELECT DISTINCT file_id, digest FROM seen").fetchall())
            if seen != self.digests:
                raise UnreadableError("a log changed while it was loaded; run this again when it is complete")
            connection.register("new", unpack(contents["new_event"]))
            store_names(connection, "known", self.known)
            given = f"FROM new WHERE NOT list_contains({sorted(self.ignored)}::INTEGER[], file_id)"
            if "old_event" in contents:
                connection.register("old", unpack(contents["old_event"]))
                given += " UNION ALL BY NAME FROM old"
            connection.execute(f"CREATE TEMP TABLE given AS {given}; {FILL}")
            for table in PARTITIONED:
                yield from self._pack(f"rows_{table}", connection, self._export(connection, table))
            # Relations of names have no partitions: they are divided by name, so that no name is written twice.
            names = "SELECT session FROM store.session WHERE session NOT IN (SELECT name FROM known)"
            yield from pack("new_session", connection.sql(names), "session", self.parts)
            durations = (
                "SELECT hash, d.duration_ms FROM store.hash h LEFT JOIN store.hash_duration d ON d.hash_id = h.id"
            )
            yield from pack("new_hash", connection.sql(durations), "hash", self.parts)

    def _export(self, connection: "DuckDBPyConnection", table: str) -> str:
        return export_sql(connection, table, self.buckets)

    def _pack(self, name: str, connection: "DuckDBPyConnection", sql: str) -> Iterator[Packed]:
        table = name.partition("_")[2]
        return pack(name, connection.sql(sql), f"'{table} ' || day || ' ' || bucket", self.parts)


@dataclass(frozen=True, slots=True)
class WriteTask:
    """Writes the changed partitions and the new names of a lake. `files` are the present files of the lake."""

    load: Load
    files: tuple[LakeFile, ...]
    known: Collection[str]

    def run(self, part: int, contents: Contents) -> Iterator[Packed]:
        """Write the files; yield, for the merge, the new files and the partitions that they replace."""
        with temp_directory() as scratch, open_database(scratch) as connection:
            storage = open_storage(self.load.lake.root)
            storage.register(connection)
            store_names(connection, "known", self.known)
            for name, packed in contents.items():
                connection.register(name, unpack(packed))
            written = list[LakeFile]()
            for table in PARTITIONED:
                partitions = self._partitions(connection, table, contents)
                written += self._write_partitions(connection, storage, table, partitions, scratch)
                for partition in partitions:
                    yield _for_merge(connection, part, "replaced", (table, *partition))
            for table, sql in self._names(contents):
                file = write_file(connection, storage, self.load, table, sql, scratch)
                written += [file] if file else []
            for file in written:
                values = (file.table, file.path, file.rows, file.size_bytes, file.digest, file.day, file.bucket)
                yield _for_merge(connection, part, "written", values)

    def _partitions(
        self, connection: "DuckDBPyConnection", table: str, contents: Mapping[str, Any]
    ) -> list[tuple[str, int]]:
        names = [name for name in (f"rows_{table}", f"visit_{table}") if name in contents]
        found = " UNION ".join(f"SELECT DISTINCT day, bucket FROM {name}" for name in names)
        return connection.execute(f"{found} ORDER BY ALL").fetchall() if found else []

    def _write_partitions(
        self, connection: "DuckDBPyConnection", storage: Storage, table: str, partitions: Collection[tuple[str, int]],
        scratch: Path,
    ) -> list[LakeFile]:  # fmt: skip
        """Write whole partitions: the present rows of other sessions, and the new rows."""
        has_rows = f"SELECT 1 FROM duckdb_views() WHERE view_name = 'rows_{table}'"
        rows = [f"FROM rows_{table}"] if connection.execute(has_rows).fetchall() else []
        for day, bucket in partitions:
            old = {one.path: one.size_bytes for one in self.files if one.partition == (table, day, bucket)}
            if old:
                place, paths = f"{sql_text(day)} AS day, {bucket} AS bucket", storage.paths(old, scratch / "lake")
                rows.append(f"SELECT *, {place} FROM {parquet(paths)} WHERE session NOT IN (SELECT name FROM known)")
        if not rows:
            return []
        sql = f"SELECT * FROM ({' UNION ALL BY NAME '.join(rows)}) ORDER BY {RELATIONS[table][1]}"
        directory = scratch / table
        connection.execute(f"COPY ({sql}) TO {sql_text(str(directory))} ({PARQUET}, PARTITION_BY (day, bucket))")
        if not any(directory.rglob("*.parquet")):  # all rows have moved to other partitions
            return []
        found = f"read_parquet({sql_text(f'{directory}/*/*/*.parquet')}, hive_types_autocast=false)"
        digests = {
            (table, day, bucket): digest
            for day, bucket, _, digest in connection.execute(
                DIGESTS.format(sql=PARTITIONED_ROWS.format(files=found))
            ).fetchall()
        }
        files = []
        for file, path in written_files(connection, table, directory, digests):
            files.append(replace(file, path=self.load.new_name(table, file.day, file.bucket)))
            storage.put(files[-1].path, path)
        return files

    @staticmethod
    def _names(contents: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if "new_session" in contents:
            yield "session", "SELECT DISTINCT session FROM new_session"
        if "new_hash" in contents:
            others = "WHERE hash NOT IN (SELECT id FROM hash)" if "hash" in contents else ""
            yield "hash", f"SELECT DISTINCT hash FROM new_hash {others}"
            known = "SELECT hash, max(duration_ms) AS duration_ms FROM new_hash WHERE duration_ms IS NOT NULL"
            yield "hash_duration", f"{known} GROUP BY hash"


def write_file(
    connection: "DuckDBPyConnection", storage: Storage, load: Load, table: str, sql: str, scratch: Path
) -> LakeFile | None:  # fmt: skip
    """Write the rows of a query as a file of a relation without partitions; return None if there are none."""
    path = scratch / f"{table}.parquet"
    connection.execute(f"COPY ({sql}) TO {sql_text(str(path))} ({PARQUET})")
    rows = f"SELECT *, NULL AS day, NULL AS bucket FROM read_parquet({sql_text(str(path))}, hive_partitioning=false)"
    for _, _, count, digest in connection.execute(DIGESTS.format(sql=rows)).fetchall():
        file = LakeFile(table, load.new_name(table), count, path.stat().st_size, digest)
        storage.put(file.path, path)
        return file
    return None


def _for_merge(connection: "DuckDBPyConnection", part: int, name: str, values: tuple[Any, ...]) -> Packed:
    return for_merge(part, name, connection.sql("SELECT $1 AS content", params=[json.dumps(values)]))
