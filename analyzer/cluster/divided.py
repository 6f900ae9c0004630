"""Opens a lake for questions that an engine answers: the large relations are not read here, but by tasks, in parts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

from analyzer.archive.accounting import LoadResult
from analyzer.archive.database import forbid_file_access, open_archive
from analyzer.archive.lake import LakeFile, Manifest, needed_files, open_lake, read_manifest
from analyzer.archive.leftovers import temp_directory
from analyzer.archive.open_log import OpenLog
from analyzer.archive.selection import ALL_ROWS, NeededRows, Selection, fetch_rows
from analyzer.cluster.rows import FOR_MERGE, Contents, Packed, by_relation, unpack
from analyzer.cluster.tasks import LARGE, Lake, ReadTask, StepTask
from analyzer.errors import Option, UsageError
from analyzer.questions.miss_classes import DURATION_READS, NAMED_DURATIONS
from analyzer.questions.scope import Given, Rows, Scope, Step, select_scope
from analyzer.readers.storage import Storage

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MIN_ROWS_PER_TASK, MAX_ROWS_PER_TASK = 100_000, 1_000_000

# The views of a whole log (`LOG_VIEWS` of the schema), each with the SQL for a part and for the merge.
FACTS = {
    "log_period": (
        "SELECT context_id, min(first_at) AS first_at, max(last_at) AS last_at FROM store.session_summary GROUP BY ALL",
        "SELECT context_id, min(first_at) AS first_at, max(last_at) AS last_at FROM {parts} GROUP BY ALL",
    ),
    "log_count": (
        "FROM log_count",
        "SELECT is_untimed, sum(events)::BIGINT, max(last_lookup_at) FROM {parts} GROUP BY is_untimed",
    ),
    "log_outcome": (
        "FROM log_outcome",
        "SELECT coalesce(sum(hits), 0)::BIGINT AS hits, coalesce(sum(misses), 0)::BIGINT AS misses FROM {parts}",
    ),
}
FACT_COLUMNS = {
    "log_period": "context_id VARCHAR, first_at TIMESTAMP, last_at TIMESTAMP",
    "log_count": "is_untimed BOOLEAN, events BIGINT, last_lookup_at TIMESTAMP",
    "log_outcome": "hits BIGINT, misses BIGINT",
}
MEDIANS = "SELECT name, median(duration_ms) FROM {parts} GROUP BY name"


class Read(Protocol):
    """A task that reads."""

    def run(self, by: str, parts: int) -> Iterator[Packed]:
        """Yield rows, divided into parts by the column `by`. Rows for the merge may be in any part."""


class Work(Protocol):
    """A task that works on a part."""

    def run(self, part: int, contents: Contents) -> Iterator[Packed]:
        """Yield rows for the next stage and for the merge, from the relations of the part."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Reads rows, divides them and the results of the previous stage by a column, and works on each part."""

    reads: Sequence[Read]
    by: str
    parts: int
    work: Work


class Kept(Protocol):
    """The results of stages: those for the merge are here, the others stay in the engine for later stages."""

    gathered: list[Packed]


class Engine(Protocol):
    """Runs stages on many machines, which have about so many `cores`."""

    cores: int
    is_local: bool  # whether the tasks run on this machine

    def stop(self) -> None:
        """End all tasks; the engine cannot be used any more."""

    def run(self, stages: Sequence[Stage], kept: Any = None) -> list[Packed]:
        """Run the stages in order, starting from `kept` results if given; return the results of the last stage."""

    def keep(self, stages: Sequence[Stage]) -> AbstractContextManager[Kept]:
        """Run stages, and keep their results in the engine, except those for the merge."""


@dataclass(slots=True)
class Divided:
    """The log of a lake, in parts."""

    connection: "DuckDBPyConnection"
    lake: Lake
    manifest: Manifest
    engine: Engine
    _medians: list[tuple[str, float]] | None = None
    _numbers: "count[int]" = field(default_factory=count)

    def gather(self, scope: Scope, steps: Sequence[Step], arguments: Sequence[Any]) -> "GatheredTables":
        """Run `steps` on each part of the log, and return their results."""
        for selection in (scope.selection, scope.other):
            self._require_single_rows(selection.where if selection else ())
        medians = self._task_medians(scope) if any("name" in step.reads for step in steps) else []
        stages, empty, packed = list[Stage](), dict[str, bytes](), list[Packed]()
        for reads, step in self._tasks(scope, steps, arguments, medians):
            work = replace(step, empty=empty)
            # An empty part is worked on here first: it gives the columns of all results, and finds errors in SQL early.
            columns = work.columns()
            packed += columns
            empty = {row.name: row.content for row in columns if not row.name.startswith(FOR_MERGE)}
            stages.append(Stage(reads, step.step.by, step.parts, work))
        if any(stage.reads for stage in stages):
            packed += self.engine.run(stages)
        tables = {}
        for name, given in by_relation(packed).items():
            tables[name] = f"gathered_{next(self._numbers)}"
            self.connection.register("unpacked", unpack(given))
            self.connection.execute(f"CREATE TEMP TABLE {tables[name]} AS FROM unpacked")
            self.connection.unregister("unpacked")
        return GatheredTables(self.connection, tables)

    def _require_single_rows(self, conditions: Sequence[str]) -> None:
        """Raise UsageError if a condition on events has a subquery: a part does not have all rows to answer it."""
        for condition in conditions:
            # For SQL that cannot be parsed, this returns a description of the error; `select_lookups` raises it.
            query = f"SELECT 1 WHERE ({condition}\n)"
            ((parsed,),) = self.connection.execute("SELECT json_serialize_sql($query)", {"query": query}).fetchall()
            if '"SUBQUERY"' in parsed:
                advice = ": a subquery needs all rows in one place; leave out "
                raise UsageError(Option("where", condition), advice, Option("engine"))

    def _tasks(
        self, scope: Scope, steps: Sequence[Step], arguments: Sequence[Any], medians: Sequence[tuple[str, float]]
    ) -> Iterator[tuple[list[ReadTask], StepTask]]:
        """Yield for each step the tasks that read for it, and the task that runs it."""
        files = [{table: self._files(table, needed) for table, needed in step.reads.items()} for step in steps]
        rows = sum(file.rows for tables in files for found in tables.values() for file in found)
        rows_per_task = min(max(rows // self.engine.cores, MIN_ROWS_PER_TASK), MAX_ROWS_PER_TASK)
        parts = max(-(-rows // rows_per_task), 1)
        for step, tables, following in zip(steps, files, [*steps[1:], None], strict=True):
            tasks = [
                ReadTask(self.lake, table, tuple(group), step.reads[table].condition)
                for table, found in tables.items()
                for group in _groups(found, rows_per_task)
            ]
            work = StepTask(
                self.lake, step, scope.selection, scope.cuts, scope.other, arguments, medians,
                following.by if following else "", parts,
            )  # fmt: skip
            yield tasks, work

    def _files(self, table: str, needed: NeededRows) -> list[LakeFile]:
        """Return the files of a relation that can have needed rows."""
        if needed.selection is None:
            return self.manifest.of(table)
        return needed_files(self.connection, self.manifest, table, needed.selection)

    def _task_medians(self, scope: Scope) -> list[tuple[str, float]]:
        """Return the median of the known durations of each task, of the whole log."""
        if self._medians is None:
            self._medians = []
            if self.manifest.of("name"):
                whole = replace(scope, selection=Selection(), cuts=(), other=None)
                step = Step("hash_id", _name_durations, DURATION_READS)
                self._medians = [(name, ms) for name, ms in self.gather(whole, [step], ()).rows("named", MEDIANS)]
        return self._medians


@dataclass(frozen=True, slots=True)
class GatheredTables:
    """The results of steps for all parts, in temporary tables."""

    connection: "DuckDBPyConnection"
    tables: Mapping[str, str]

    def rows(self, name: str, merge: str = "FROM {parts}", **parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of the query `merge`, which reads `{parts}`."""
        return fetch_rows(self.connection, merge.replace("{parts}", self.tables[name]), parameters)


@contextmanager
def open_divided(storage: Storage, engine: Engine) -> Iterator[OpenLog]:
    """Open a lake for questions that `engine` answers.

    Raises:
        UsageError: the lake has run summaries alone.
        AnalyzerError: see `analyzer.errors`.
    """
    manifest = read_manifest(storage)
    if manifest.of("run") and not manifest.of("lookup"):
        raise UsageError(Option("engine"), ": the lake has run summaries alone, no events; leave it out")
    small = Manifest(manifest.number, manifest.buckets, [one for one in manifest.files if one.table not in LARGE])
    with temp_directory() as scratch, open_archive(None, scratch, read_only=True) as connection:
        lake = open_lake(connection, storage, small, None, scratch)
        lake = replace(lake, size_bytes=sum(file.size_bytes for file in manifest.files))
        divided = Divided(connection, Lake(storage.root, small), manifest, engine)
        log = OpenLog(connection, LoadResult(), lake=lake, divided=divided)
        _replace_large(log)
        forbid_file_access(connection, [storage.root, f"{scratch}/lake"])
        yield log


def _replace_large(log: OpenLog) -> None:
    """Drop the large relations, so that SQL that needs them fails, and store what questions ask of the whole log."""
    for table in LARGE:
        log.connection.execute(f"DROP VIEW store.{table}")
    reads = dict.fromkeys(("session_summary", "session_quarter"), ALL_ROWS)
    has_rejects = log.connection.execute("SELECT EXISTS (FROM store.reject)").fetchall()[0][0]
    whole = select_scope(log, Selection())
    gathered = whole.gather([Step("session_id", _log_facts, reads | ({"lookup": ALL_ROWS} if has_rejects else {}))])
    for name, (_, merge) in FACTS.items():
        columns, rows = FACT_COLUMNS[name], gathered.rows(name, merge)
        log.connection.execute(f"DROP VIEW store.{name}; CREATE TABLE store.{name} ({columns})")
        if rows:
            log.connection.executemany(f"INSERT INTO store.{name} VALUES ({', '.join('?' * len(rows[0]))})", rows)


def _log_facts(scope: Scope, _passed: Mapping[str, Rows]) -> Given:
    return Given({name: Rows(scope.selected, part) for name, (part, _) in FACTS.items()})


def _name_durations(scope: Scope, _passed: Mapping[str, Rows]) -> Given:
    return Given({"named": Rows(scope.selected, NAMED_DURATIONS)})


def _groups(files: Sequence[LakeFile], max_rows: int) -> Iterator[list[LakeFile]]:
    """Yield groups of files that one task can read."""
    group, rows = list[LakeFile](), 0
    for file in files:
        if group and rows + file.rows > max_rows:
            yield group
            group, rows = [], 0
        group.append(file)
        rows += file.rows
    if group:
        yield group
