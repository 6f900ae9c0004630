"""What the tasks of a load into a lake do: read logs, find sessions that it knows, derive, and write partitions."""

import json
import pickle
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from analyzer.archive.accounting import FileReport, LoadResult
from analyzer.archive.export import CONTEXT_NAMES, DIGESTS, PARQUET, export_sql, written_files
from analyzer.archive.lake import KIND, RELATIONS, LakeFile, parquet, rows_sql
from analyzer.archive.leftovers import temp_directory
from analyzer.archive.load import Loader
from analyzer.archive.merge import DERIVE, DROP_KEYS, MERGE_EVENTS
from analyzer.archive.staging import ReadOptions
from analyzer.cluster.rows import Packed, pack, pack_all, unpack
from analyzer.cluster.tasks import GATHERED, Lake, open_database
from analyzer.errors import NotALogError, Option, UnreadableError
from analyzer.readers.documents import DocumentReader
from analyzer.readers.formats import DERIVED_FORMATS
from analyzer.readers.source import LogFile
from analyzer.readers.storage import Storage, open_storage
from analyzer.readers.stream import Stream
from analyzer.text import sql_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# The rows of an export, with the types that it gives them.
PARTITIONED_ROWS = "SELECT * EXCLUDE (day, bucket), day, bucket::INTEGER AS bucket FROM {files}"
PARTITIONED = ("event", "lookup", "session_summary", "session_quarter")
CONTEXT = "context, team_id, slug, team, ci, interactive"

# Events with the names that stand for numbers in an archive, as tasks pass them on.
NEW_EVENTS = f"""
SELECT s.session, h.hash, {{file_id}} AS file_id, e.position, e.happened_at, e.kind, e.duration_ms, e.status,
       {", ".join(f"c.{name.strip()}" for name in CONTEXT.split(","))}
FROM store.event e JOIN store.session s ON s.id = e.session_id JOIN store.hash h ON h.id = e.hash_id
JOIN named_context c ON c.id = e.context_id
"""
OLD_EVENTS = (
    f"SELECT session, hash, file_id, position, happened_at, {KIND}, duration_ms, status, {CONTEXT} FROM {{files}}"
)

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
class Load:
    """A load into a lake: the number that the lake has afterwards, and the mark of the files that it writes."""

    lake: Lake
    number: int
    mark: str
    reading: ReadOptions

    def new_name(self, table: str, day: str | None = None, bucket: int | None = None) -> str:
        """Return a name for a file of a relation that no other task uses."""
        place = f"day={day}/bucket={bucket}/" if day else ""
        unique = uuid4().int % 10**12
        return f"{RELATIONS[table][0]}/{place}{self.number:06}-{self.mark}-{unique:012}.parquet"

    def wrote(self, name: str) -> bool:
        """Return whether this load wrote a file."""
        return name.rpartition("/")[2].startswith(f"{self.number:06}-{self.mark}-")


class EventsLoader(Loader):
    """Loads the events of logs, without what is derived from them. Other files are no logs to it."""

    merge_sql = f"{MERGE_EVENTS} {DROP_KEYS}"

    def _load_document(
        self, _document: DocumentReader, report: FileReport, _stream: Stream, _file_id: int
    ) -> FileReport | None:
        raise _not_divisible(report)

    def _load_events(self, report: FileReport, stream: Stream, plain: Stream, file_id: int) -> None:
        if report.format in DERIVED_FORMATS:
            raise _not_divisible(report)
        super()._load_events(report, stream, plain, file_id)


def _not_divisible(report: FileReport) -> NotALogError:
    reason = f"{report.name}: {report.format} files are combined with all events in one place; "
    return NotALogError(reason, "load them into an archive, and leave out ", Option("engine"))


@dataclass(frozen=True, slots=True)
class LoadTask:
    """Reads logs, given with their numbers among all `file_count` of the load."""

    load: Load
    files: tuple[tuple[int, LogFile], ...]
    file_count: int

    def run(self, by: str, parts: int) -> Iterator[Packed]:
        """Yield the events, divided into parts by the session; and for the merge, what became of each file."""
        lake = self.load.lake
        with temp_directory() as scratch, open_database(scratch) as connection:
            storage = open_storage(lake.root)
            storage.register(connection)
            old = lake.small.of("file")
            if old:
                connection.execute(
                    f"INSERT INTO store.file BY NAME {rows_sql(connection, storage, 'file', old, scratch)}"
                )
            ((base,),) = connection.execute("SELECT coalesce(max(id), 0) FROM store.file").fetchall()
            ids = dict[int, int]()  # of files in this database, with those that they have in the lake
            for number, file in self.files:
                loader = EventsLoader(connection, scratch, self.load.reading)
                first = loader.next_id
                reports = list(loader.load([file]))
                found = []
                for member, report in enumerate(reports):
                    # Without zip files, the files of a load are numbered without gaps.
                    found.append(base + 1 + number + member * self.file_count)
                    if report.duplicate_of is None:
                        new = connection.execute(
                            "SELECT id FROM store.file WHERE digest = $digest AND id >= $first",
                            {"digest": report.digest, "first": first},
                        ).fetchall()
                        ids[new[0][0]] = found[-1]
                result = replace(loader.load_result, files=reports)
                yield self._result(connection, number, result, found)
            yield from self._rows(connection, ids, by, parts)

    def _result(self, connection: "DuckDBPyConnection", number: int, result: LoadResult, ids: list[int]) -> Packed:
        content = pickle.dumps((number, result, ids))
        rows = connection.sql("SELECT $content::BLOB AS content", params={"content": content})
        return pack_all(0, f"{GATHERED}results", rows)

    def _rows(self, connection: "DuckDBPyConnection", ids: Mapping[int, int], by: str, parts: int) -> Iterator[Packed]:
        connection.execute("CREATE TEMP TABLE final (file_id INTEGER, id INTEGER)")
        if ids:
            connection.executemany("INSERT INTO final VALUES (?, ?)", list(ids.items()))
        connection.execute(CONTEXT_NAMES)
        events = NEW_EVENTS.format(file_id="f.id") + " JOIN final f ON f.file_id = e.file_id"
        digests = "SELECT f.id AS file_id, digest FROM store.file t JOIN final f ON f.file_id = t.id"
        seen = pack_all(0, "digest", connection.sql(digests))
        yield from (seen._replace(part=part) for part in range(parts))
        yield from pack("new_event", connection.sql(events), by.removesuffix("_id"), parts)
        files = "SELECT t.* REPLACE (f.id AS id) FROM store.file t JOIN final f ON f.file_id = t.id"
        rejects = "SELECT t.* REPLACE (f.id AS file_id) FROM store.reject t JOIN final f USING (file_id)"
        contexts = f"SELECT {CONTEXT} FROM named_context WHERE id IN (SELECT context_id FROM store.event)"
        for name, sql in (("file", files), ("reject", rejects), ("context", contexts)):
            yield pack_all(0, GATHERED + name, connection.sql(sql))


@dataclass(frozen=True, slots=True)
class FindKnownTask:
    """Finds the sessions of new events that the lake has already, and hands the events on."""

    def run(self, rows: Iterable[Packed]) -> Iterator[Packed]:
        """Yield the events and what is for the merge; and for it, known sessions and the number of lookups by day."""
        new, old = list[bytes](), list[bytes]()
        for row in rows:
            if row.name == "session_summary":
                old.append(row.content)
                continue
            yield row
            if row.name == "new_event":
                new.append(row.content)
        if not new:
            return
        with temp_directory() as scratch, open_database(scratch) as connection:
            connection.register("new", unpack(new).select(["session", "hash", "happened_at"]))
            days = "SELECT min(happened_at)::DATE AS day FROM new GROUP BY session, hash"
            counts = connection.sql(f"SELECT day, count(*) AS lookups FROM ({days}) GROUP BY day")
            yield pack_all(0, f"{GATHERED}days", counts)
            if old:
                connection.register("old", unpack(old))
                known = "SELECT session_id AS session, first_at, last_at FROM old"
                known += " WHERE session_id IN (SELECT session FROM new)"
                yield pack_all(0, f"{GATHERED}known", connection.sql(known))


@dataclass(frozen=True, slots=True)
class OldEventsTask:
    """Reads the events that a lake has of some sessions."""

    lake: Lake
    files: tuple[LakeFile, ...]
    sessions: Collection[str]

    def run(self, by: str, parts: int) -> Iterator[Packed]:
        """Yield the events, divided into parts by the session."""
        with temp_directory() as scratch, open_database(scratch) as connection:
            storage = open_storage(self.lake.root)
            storage.register(connection)
            paths = storage.paths({file.path: file.size_bytes for file in self.files}, scratch / "lake")
            _store_names(connection, "wanted", self.sessions)
            events = f"{OLD_EVENTS.format(files=parquet(paths))} WHERE session IN (SELECT name FROM wanted)"
            yield from pack("old_event", connection.sql(events), by, parts)


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

    def run(self, rows: Iterable[Packed]) -> Iterator[Packed]:
        """Yield the rows of the lake, divided by partition; and where the lake has rows of the same sessions."""
        contents = defaultdict[str, list[bytes]](list)
        for row in rows:
            if row.name.startswith(GATHERED):
                yield row
            else:
                contents[row.name].append(row.content)
        if "new_event" not in contents:
            return
        if contents["old_event"]:
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
            _store_names(connection, "known", self.known)
            given = f"FROM new WHERE NOT list_contains({sorted(self.ignored)}::INTEGER[], file_id)"
            if contents["old_event"]:
                connection.register("old", unpack(contents["old_event"]))
                given += " UNION ALL BY NAME FROM old"
            connection.execute(f"CREATE TEMP TABLE given AS {given}; {FILL}")
            for table in PARTITIONED:
                yield from self._pack(f"rows_{table}", connection, self._export(connection, table))
            # Names have no partitions: they are divided by themselves, so that each is in one part.
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
    """Writes the partitions of a lake that new rows belong to, and new names. `files` are those that the lake has."""

    load: Load
    files: tuple[LakeFile, ...]
    known: Collection[str]

    def run(self, rows: Iterable[Packed]) -> Iterator[Packed]:
        """Write, and yield for the merge the files that were written, and the partitions whose files they replace."""
        contents = defaultdict[str, list[bytes]](list)
        for row in rows:
            if row.name.startswith(GATHERED):
                yield row
            else:
                contents[row.name].append(row.content)
        with temp_directory() as scratch, open_database(scratch) as connection:
            storage = open_storage(self.load.lake.root)
            storage.register(connection)
            _store_names(connection, "known", self.known)
            for name, packed in contents.items():
                connection.register(name, unpack(packed))
            written = list[LakeFile]()
            for table in PARTITIONED:
                partitions = self._partitions(connection, table, contents)
                written += self._write_partitions(connection, storage, table, partitions, scratch)
                for partition in partitions:
                    yield _gathered(connection, "replaced", (table, *partition))
            for table, sql in self._names(contents):
                file = write_file(connection, storage, self.load, table, sql, scratch)
                written += [file] if file else []
            for file in written:
                values = (file.table, file.path, file.rows, file.size_bytes, file.digest, file.day, file.bucket)
                yield _gathered(connection, "written", values)

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
        """Write the rows of partitions: those that the lake has of other sessions, and the new ones."""
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
        if not any(directory.rglob("*.parquet")):  # all rows are in other partitions now
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


def _gathered(connection: "DuckDBPyConnection", name: str, values: tuple[Any, ...]) -> Packed:
    return pack_all(0, GATHERED + name, connection.sql("SELECT $1 AS content", params=[json.dumps(values)]))


def _store_names(connection: "DuckDBPyConnection", table: str, names: Collection[str]) -> None:
    connection.execute(
        f"CREATE TEMP TABLE {table} AS SELECT unnest($names::VARCHAR[]) AS name", {"names": sorted(names)}
    )
