"""Tasks that begin a load into a lake: they read logs, and find the sessions that the lake has already."""

import pickle
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from analyzer.archive.accounting import FileReport, LoadResult
from analyzer.archive.export import CONTEXT_NAMES
from analyzer.archive.lake import KIND, RELATIONS, LakeFile, parquet, rows_sql
from analyzer.archive.leftovers import temp_directory
from analyzer.archive.load import Loader
from analyzer.archive.merge import DROP_KEYS, MERGE_EVENTS
from analyzer.archive.staging import ReadOptions
from analyzer.cluster.rows import Contents, Packed, for_merge, pack, pack_all, unpack
from analyzer.cluster.tasks import Lake, open_database
from analyzer.errors import InputError, Option
from analyzer.readers.documents import DocumentReader
from analyzer.readers.formats import DERIVED_FORMATS
from analyzer.readers.source import LogFile
from analyzer.readers.storage import open_storage
from analyzer.readers.stream import Stream

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

CONTEXT = "context, team_id, slug, team, ci, interactive"

# Events, with names in place of the ids of one task's database.
NEW_EVENTS = f"""
SELECT s.session, h.hash, {{file_id}} AS file_id, e.position, e.happened_at, e.kind, e.duration_ms, e.status,
       {", ".join(f"c.{name.strip()}" for name in CONTEXT.split(","))}
FROM store.event e JOIN store.session s ON s.id = e.session_id JOIN store.hash h ON h.id = e.hash_id
JOIN named_context c ON c.id = e.context_id
"""
OLD_EVENTS = (
    f"SELECT session, hash, file_id, position, happened_at, {KIND}, duration_ms, status, {CONTEXT} FROM {{files}}"
)


@dataclass(frozen=True, slots=True)
class Load:
    """A load into a lake: the number of the manifest that it will write, and the mark in the names of its files."""

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


class NotDivisibleError(InputError):
    """A file cannot be loaded on its own: it is combined with all events in one place."""

    def __init__(self, name: str, format_name: str, more: int = 0) -> None:
        others = f" and {more:,} more files" if more else ""
        super().__init__(
            f"{name}{others}: {format_name} files are combined with all events in one place; ",
            "load them into an archive, and leave out ",
            Option("engine"),
        )
        self.name, self.format_name = name, format_name

    def __reduce__(self) -> tuple[Any, ...]:
        return NotDivisibleError, (self.name, self.format_name)


class EventsLoader(Loader):
    """Loads the events of logs, without deriving lookups; rejects formats that are not event logs."""

    merge_sql = f"{MERGE_EVENTS} {DROP_KEYS}"

    def _load_document(
        self, _document: DocumentReader, report: FileReport, _stream: Stream, _file_id: int
    ) -> FileReport | None:
        raise NotDivisibleError(report.name, report.format)

    def _load_events(self, report: FileReport, stream: Stream, plain: Stream, file_id: int) -> None:
        if report.format in DERIVED_FORMATS:
            raise NotDivisibleError(report.name, report.format)
        super()._load_events(report, stream, plain, file_id)


@dataclass(frozen=True, slots=True)
class LoadTask:
    """Reads logs. Each has a number, its place among all `file_count` files of the load."""

    load: Load
    files: tuple[tuple[int, LogFile], ...]
    file_count: int

    def run(self, by: str, parts: int) -> Iterator[Packed]:
        """Yield the events, divided into parts by session, and, for the merge, the report of each file."""
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
        return for_merge(0, "results", rows)

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
            yield for_merge(0, name, connection.sql(sql))


@dataclass(frozen=True, slots=True)
class FindKnownTask:
    """Finds the sessions of new events that the lake has already, and hands the events on."""

    def run(self, part: int, contents: Contents) -> Iterator[Packed]:
        """Yield the events unchanged, and, for the merge, the known sessions and the number of lookups by day."""
        for name in ("new_event", "digest"):
            yield from (Packed(part, name, content) for content in contents.get(name, ()))
        if "new_event" not in contents:
            return
        with temp_directory() as scratch, open_database(scratch) as connection:
            connection.register("new", unpack(contents["new_event"]).select(["session", "hash", "happened_at"]))
            days = "SELECT min(happened_at)::DATE AS day FROM new GROUP BY session, hash"
            counts = connection.sql(f"SELECT day, count(*) AS lookups FROM ({days}) GROUP BY day")
            yield for_merge(part, "days", counts)
            if "session_summary" in contents:
                connection.register("old", unpack(contents["session_summary"]))
                known = "SELECT session_id AS session, first_at, last_at FROM old"
                known += " WHERE session_id IN (SELECT session FROM new)"
                yield for_merge(part, "known", connection.sql(known))


@dataclass(frozen=True, slots=True)
class OldEventsTask:
    """Reads the events of some sessions from the lake."""

    lake: Lake
    files: tuple[LakeFile, ...]
    sessions: Collection[str]

    def run(self, by: str, parts: int) -> Iterator[Packed]:
        """Yield the events, divided into parts by the session."""
        with temp_directory() as scratch, open_database(scratch) as connection:
            storage = open_storage(self.lake.root)
            storage.register(connection)
            paths = storage.paths({file.path: file.size_bytes for file in self.files}, scratch / "lake")
            store_names(connection, "wanted", self.sessions)
            events = f"{OLD_EVENTS.format(files=parquet(paths))} WHERE session IN (SELECT name FROM wanted)"
            yield from pack("old_event", connection.sql(events), by, parts)


def store_names(connection: "DuckDBPyConnection", table: str, names: Collection[str]) -> None:
    """Store names as the column `name` of a temporary table."""
    connection.execute(
        f"CREATE TEMP TABLE {table} AS SELECT unnest($names::VARCHAR[]) AS name", {"names": sorted(names)}
    )
