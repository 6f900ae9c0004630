"""Loads event logs into a lake by an engine: tasks read the logs, and write the partitions of the lake that change.

Each task loads some logs as one machine does, up to single events. These are divided by session. A session that the
lake has already gets its events from there too, so that its lookups are made of all of them. What is derived is divided
by partition. A partition is written again as a whole: its rows of other sessions, and the new ones.

What is derived from all logs together needs one place, and cannot be loaded so: run summaries, metadata of artifacts,
and access logs, whose lookups are replaced where events report them.
"""

import json
import pickle
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from analyzer.archive.accounting import LoadResult
from analyzer.archive.database import open_archive
from analyzer.archive.export import (
    CONTEXT_NAMES,
    choose_buckets,
    commit,
    delete_leftovers,
    export_sql,
    require_lake_or_nothing,
)
from analyzer.archive.lake import RELATIONS, UNKNOWN_DAY, LakeFile, Manifest, read_manifest, rows_sql
from analyzer.archive.leftovers import temp_directory
from analyzer.archive.open_log import OpenLog
from analyzer.archive.staging import ReadOptions
from analyzer.cluster.divided import Engine, Stage
from analyzer.cluster.load_tasks import FindKnownTask, Load, LoadTask, NotDivisibleError, OldEventsTask
from analyzer.cluster.rows import Contents, by_relation, unpack
from analyzer.cluster.tasks import Lake, ReadTask
from analyzer.cluster.write_tasks import NEW_CONTEXTS, DeriveTask, WriteTask, write_file
from analyzer.errors import Option, UnreadableError, UsageError
from analyzer.readers.formats import DERIVED_FORMATS_SQL
from analyzer.readers.source import LogFile, Sources
from analyzer.readers.storage import Storage

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

EVENTS_PER_TASK = 1_000_000  # as far as sizes tell
BYTES_PER_EVENT, COMPRESSED_BYTES_PER_EVENT = 150, 10
COMPRESSED = (".gz", ".zst", ".parquet", ".zip", ".tgz")
BUSIEST_DAY = "SELECT coalesce(max(n), 0)::BIGINT FROM (SELECT sum(lookups) AS n FROM given GROUP BY day)"
NEEDS_ONE_PLACE = (
    "which are matched with all events in one place; load the logs into the archive that it was made from, and export"
    " that"
)
NOT_DIVISIBLE = ("run", "artifact", "transfer")


@dataclass(frozen=True, slots=True)
class TaskResults:
    """What tasks gave for the merge."""

    connection: "DuckDBPyConnection"
    contents: Contents

    def rows(self, name: str, sql: str = "FROM given") -> list[tuple[Any, ...]]:
        """Return the rows of a query that reads the relation `name` as `given`; none if no task gave it."""
        if name not in self.contents:
            return []
        self.connection.register("given", unpack(self.contents[name]))
        return self.connection.execute(sql).fetchall()


@contextmanager
def load_into_lake(sources: Sources, storage: Storage, reading: ReadOptions, engine: Engine) -> Iterator[OpenLog]:
    """Add event logs to a lake, which is created if there is none.

    Raises:
        UsageError: the lake has what is derived from all logs together.
        ArchiveError: the place has other files, or another export was committed in the meantime; nothing is changed.
        AnalyzerError: see `analyzer.errors`. Files that cannot be read are in `load_result.errors` instead.
    """
    manifest = read_manifest(storage)
    require_lake_or_nothing(storage, manifest)
    for table in NOT_DIVISIBLE:
        if manifest.of(table):
            raise UsageError(Option("engine"), f": the lake has {RELATIONS[table][0]}, {NEEDS_ONE_PLACE}")
    small = Manifest(manifest.number, manifest.buckets, manifest.of("file") + manifest.of("context"))
    load = Load(Lake(storage.root, small), manifest.number + 1, uuid4().hex[:8], reading)
    with temp_directory() as scratch, open_archive(None, scratch, read_only=True) as connection:
        log = OpenLog(connection, LoadResult(errors=list(sources.errors)))
        if (files := manifest.of("file")) and _has_derived_lookups(connection, storage, files, scratch):
            raise UsageError(Option("engine"), f": the lake has access logs, {NEEDS_ONE_PLACE}")
        try:
            after = _Loading(log, storage, manifest, load, scratch).run(sources.files, engine)
        except BaseException:
            engine.stop()  # its tasks write no more
            with suppress(UnreadableError):
                storage.delete(filter(load.wrote, storage.names("")))
            raise
        if after:
            commit(storage, after, [file.path for file in after.files if load.wrote(file.path)])
        with suppress(UnreadableError):  # the load is complete; the next one deletes them
            delete_leftovers(storage, after or manifest)
        yield log


@dataclass(frozen=True, slots=True)
class _Loading:
    """A load: what it reports, and the lake with its manifest before the load."""

    log: OpenLog
    storage: Storage
    manifest: Manifest
    load: Load
    scratch: Path

    def run(self, files: Sequence[LogFile], engine: Engine) -> Manifest | None:
        """Load the files, and return the new manifest, which is not committed; None if they have nothing new."""
        manifest, load, connection = self.manifest, self.load, self.log.connection
        if not engine.is_local:
            files = list(self._shared(files))
        tasks = [LoadTask(load, tuple(group), len(files)) for group in _groups(files)]
        sessions = [ReadTask(load.lake, "session_summary", (file,), "true") for file in manifest.of("session_summary")]
        parts = max(engine.cores, len(tasks))
        with engine.keep([Stage([*tasks, *sessions], "session_id", parts, FindKnownTask())]) as kept:
            gathered = TaskResults(connection, by_relation(kept.gathered))
            ignored = _merge_results(self.log, gathered)
            if not any(report.duplicate_of is None for report in self.log.load_result.files):
                return None
            ((busiest,),) = gathered.rows("days", BUSIEST_DAY) or ((0,),)
            buckets = manifest.buckets or choose_buckets(busiest)
            known = frozenset(session for (session,) in gathered.rows("known", "SELECT DISTINCT session FROM given"))
            digests = dict(gathered.rows("file", "SELECT id, digest FROM given"))
            derive = DeriveTask(load, buckets, frozenset(ignored), known, digests, parts)
            old = [OldEventsTask(load.lake, (file,), known) for file in _event_files(gathered, manifest)]
            write = WriteTask(load, tuple(manifest.files), known)
            hashes = [ReadTask(load.lake, "hash", (file,), "true") for file in manifest.of("hash")]
            stages = [Stage(old, "session", parts, derive), Stage(hashes, "hash", parts, write)]
            contents = {**gathered.contents, **by_relation(engine.run(stages, kept))}
        return self._new_manifest(buckets, TaskResults(connection, contents))

    def _shared(self, files: Sequence[LogFile]) -> Iterator[LogFile]:
        """Yield the files that other machines may have too; those that were unpacked here are errors."""
        for file in files:
            if file.remote or file.name.endswith(file.path.name):
                yield file
            else:
                why = f"{file.name}: in a container or a pipe, which only this machine reads; unpack it for all workers"
                self.log.load_result.errors.append(UnreadableError(why))

    def _new_manifest(self, buckets: int, gathered: TaskResults) -> Manifest:
        """Write the small relations, and return the manifest of the lake with all that was written."""
        connection, manifest = self.log.connection, self.manifest
        written = [LakeFile(*json.loads(row)) for (row,) in gathered.rows("written")]
        replaced = {tuple(json.loads(row)) for (row,) in gathered.rows("replaced")}
        connection.register("given", unpack(gathered.contents["context"]))
        connection.execute(f"INSERT INTO store.context BY NAME {NEW_CONTEXTS}")
        if old := manifest.of("context"):
            sql = rows_sql(connection, self.storage, "context", old, self.scratch)
            connection.execute(
                f"INSERT INTO store.context SELECT 0, * FROM (SELECT * EXCLUDE (id) FROM ({sql})"
                " EXCEPT SELECT * EXCLUDE (id) FROM store.context)"
            )
            replaced.add(("context", None, None))
        connection.execute(f"UPDATE store.context SET id = rowid; {CONTEXT_NAMES}")
        for table in ("file", "reject", "context"):
            sql = f"SELECT * EXCLUDE (day, bucket) FROM ({export_sql(connection, table, buckets)})"
            file = write_file(connection, self.storage, self.load, table, sql, self.scratch)
            written += [file] if file else []
        kept = [file for file in manifest.files if file.partition not in replaced]
        return Manifest(self.load.number, buckets, _with_digests(kept, written))


def _has_derived_lookups(
    connection: "DuckDBPyConnection", storage: Storage, files: Sequence[LakeFile], scratch: Path
) -> bool:
    storage.register(connection)
    sql = rows_sql(connection, storage, "file", files, scratch)
    found = connection.execute(f"SELECT EXISTS (FROM ({sql}) WHERE format IN ({DERIVED_FORMATS_SQL}))").fetchall()
    return bool(found[0][0])


def _merge_results(log: OpenLog, gathered: TaskResults) -> list[int]:
    """Merge what became of the files; return the ids of those that have the same content as others of this load."""
    results = sorted(
        (pickle.loads(content) for (content,) in gathered.rows("results")),  # noqa: S301  (from our own tasks)
        key=lambda one: one[0],
    )
    found, ignored = dict[str, str](), list[int]()
    not_divisible = defaultdict[str, list[NotDivisibleError]](list)
    for _, result, ids in results:
        for report, file_id in zip(result.files, ids, strict=True):
            merged = report
            if report.duplicate_of is None and report.digest in found:
                merged = replace(report, duplicate_of=found[report.digest], kept=0, rejected=0)
                ignored.append(file_id)
            found.setdefault(report.digest, report.name)
            log.load_result.files.append(merged)
        for error in result.errors:
            if isinstance(error, NotDivisibleError):
                not_divisible[error.format_name].append(error)
            else:
                log.load_result.errors.append(error)
        log.load_result.skipped += result.skipped
        log.load_result.skip_reasons += result.skip_reasons
        log.load_result.dry_runs += result.dry_runs
    for format_name, errors in not_divisible.items():
        log.load_result.errors.append(NotDivisibleError(errors[0].name, format_name, len(errors) - 1))
    ids = {"ignored": ignored}
    for table, column in (("file", "id"), ("reject", "file_id")):
        if table in gathered.contents:
            log.connection.register("given", unpack(gathered.contents[table]))
            log.connection.execute(
                f"INSERT INTO store.{table} BY NAME FROM given WHERE NOT list_contains($ignored::INTEGER[], {column})"
                f" ORDER BY {column}", ids
            )  # fmt: skip
    return ignored


def _event_files(gathered: TaskResults, manifest: Manifest) -> Iterator[LakeFile]:
    """Yield the files with events of the days of the known sessions, and with events without a time."""
    rows = gathered.rows("known", "SELECT min(first_at)::DATE, max(last_at)::DATE FROM given HAVING count(*) > 0")
    for since, until in rows:
        for file in manifest.of("event"):
            if file.day == UNKNOWN_DAY or (since and str(since) <= str(file.day) <= str(until)):
                yield file


def _with_digests(kept: Sequence[LakeFile], written: Sequence[LakeFile]) -> list[LakeFile]:
    """Return all files; those of a relation without partitions get the digest of all its rows, as of an export."""
    files, totals = [*kept, *written], defaultdict[str, int](int)
    added = {file.table for file in written}
    totals.update({file.table: int(file.digest) for file in kept if file.day is None})
    for file in written:
        totals[file.table] += int(file.digest)
    return [
        replace(file, digest=str(totals[file.table])) if file.day is None and file.table in added else file
        for file in files
    ]


def _groups(files: Sequence[LogFile]) -> Iterator[list[tuple[int, LogFile]]]:
    """Yield the files with their numbers, in groups for one task each."""
    group, events = list[tuple[int, LogFile]](), 0
    for number, file in enumerate(files):
        is_compressed = file.name.endswith(COMPRESSED)
        added = file.size_bytes // (COMPRESSED_BYTES_PER_EVENT if is_compressed else BYTES_PER_EVENT)
        if group and events + added > EVENTS_PER_TASK:
            yield group
            group, events = [], 0
        group.append((number, file if file.remote else replace(file, path=file.path.absolute())))
        events += added
    if group:
        yield group
