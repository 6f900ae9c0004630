"""Opens SOURCE for questions: an archive directly, or log files by loading them into a database in memory.

Questions read `event`, `lookup` and what is derived from these without a schema. By default these are the tables of
the archive's schema `store`. For the view `runs`, temporary tables of the same names and columns replace them: DuckDB
finds temporary tables first. In these, each task that a run looked up becomes the events that a client reports for it,
all at the end of the run.
"""

import re
import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from analyzer.archive.accounting import Accounting, FileReport, LoadResult
from analyzer.archive.counts import LOOKUP_COUNTS
from analyzer.archive.database import checkpoint, forbid_file_access, open_archive
from analyzer.archive.lake import OpenLake, open_lake, read_manifest
from analyzer.archive.leftovers import temp_directory
from analyzer.archive.load import Loader
from analyzer.archive.lookups_only import LookupsLoader
from analyzer.archive.merge import HASH_DURATIONS, LOOKUPS, SUMMARIES
from analyzer.archive.schema import EVENT_VIEWS, LOG_VIEWS
from analyzer.archive.selection import SELECTION_PREFIX, LookupsQuery, Selection, View, new_table_number
from analyzer.archive.staging import ReadOptions
from analyzer.errors import Option, UsageError
from analyzer.readers.formats import DERIVED_FORMATS, DOCUMENT_FORMATS, HEAD_BYTES, detect_format
from analyzer.readers.objects import is_url
from analyzer.readers.source import LogFile, Sources, expand_sources, is_lake
from analyzer.readers.storage import Storage, open_storage
from analyzer.readers.stream import Stream

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

REMOTE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # such as s3:// or md:; a single letter is a drive

NO_RUNS = "the input has no run summary; `turbo run … --summarize` writes them to .turbo/runs/*.json"

EMPTY_CONTEXT = "(SELECT min(id) FROM store.context WHERE team IS NULL AND ci IS NULL AND interactive IS NULL)"

# A summary does not say which caches were enabled; the events of the session that matches it do.
ENABLED_CACHES = """
SELECT session_id, bool_or(asked_local(kinds)) AS local, bool_or(asked_remote(kinds)) AS remote
FROM store.lookup WHERE session_id IN (SELECT session_id FROM store.match) GROUP BY session_id
"""

# The tasks that a run looked up. Those that it does not list missed; some may be uncacheable, and then no lookups: as
# many as complete runs of the same command list and this one does not. `is_known` is whether there is such a run.
LOOKED_UP = """
WITH complete AS (
    SELECT command, list(DISTINCT name) FILTER (NOT cacheable) AS uncacheable
    FROM store.run r JOIN store.task t ON t.run_id = r.id JOIN store.name USING (hash_id)
    WHERE r.id NOT IN (SELECT run_id FROM store.unlisted_task) GROUP BY command),
cut AS (
    SELECT id AS run_id, c.command IS NOT NULL AS is_known,
           coalesce(len(uncacheable), 0) - (
               SELECT count(DISTINCT name) FROM store.task t JOIN store.name USING (hash_id)
               WHERE t.run_id = r.id AND list_contains(uncacheable, name)) AS uncacheable
    FROM store.run r LEFT JOIN complete c USING (command))
SELECT run_id, position, hash_id, kinds, time_saved_ms, NULL::BOOLEAN AS is_known
FROM store.task WHERE cacheable AND kinds IS NOT NULL
UNION ALL
SELECT run_id, position, hash_id, 10, NULL, is_known
FROM store.unlisted_task JOIN cut USING (run_id) WHERE number > uncacheable
"""

# A run takes the id, team, CI and enabled caches of the session that matches it. The bits are combined here: 3 selects
# the LOCAL events of `kinds`, 12 the REMOTE ones. Where none is left, the session lost events; the summary is right.
RUN_LOOKUP = f"""
CREATE OR REPLACE TEMP TABLE run_lookup AS
SELECT r.id AS run_id, r.file_id, t.position, r.ended_at, coalesce(match.session_id, r.session_id) AS session_id,
       t.hash_id,
       coalesce(nullif(t.kinds & (CASE WHEN local THEN 3 ELSE 0 END | CASE WHEN remote THEN 12 ELSE 0 END), 0), t.kinds)
           AS kinds,
       t.time_saved_ms, coalesce(s.context_id, {EMPTY_CONTEXT}) AS context_id, match.session_id IS NULL AS is_unmatched,
       t.is_known IS NOT NULL AS is_unlisted, t.is_known
FROM store.run r JOIN ({LOOKED_UP}) t ON t.run_id = r.id
LEFT JOIN store.match ON match.run_id = r.id LEFT JOIN store.session_summary s ON s.session_id = match.session_id
LEFT JOIN ({ENABLED_CACHES}) caches ON caches.session_id = match.session_id
WHERE NOT r.forced;
"""

# A summary shows --force only in the command. A run may have been forced (TURBO_FORCE) if all its lookups missed,
# although an earlier run had built or hit each hash.
MAYBE_FORCED = """
CREATE OR REPLACE TEMP TABLE maybe_forced AS
WITH known AS (
    SELECT hash_id, min(ended_at) AS known_at FROM store.task t JOIN store.run r ON r.id = t.run_id
    WHERE is_hit(t.kinds) OR is_miss(t.kinds) AND coalesce(t.exit_code, 0) = 0 GROUP BY hash_id)
SELECT run_id, count(*) AS lookups
FROM run_lookup l LEFT JOIN known USING (hash_id) JOIN store.run r ON r.id = l.run_id
WHERE is_unmatched
GROUP BY run_id HAVING bool_and(is_miss(l.kinds) AND coalesce(known_at <= r.started_at, false));
"""

# An event for each bit of a lookup's `kinds`; a task's LOCAL event comes before its REMOTE one.
RUNS_VIEW = f"""
{RUN_LOOKUP} {MAYBE_FORCED}
CREATE OR REPLACE TEMP TABLE event AS
SELECT file_id, (position * 2 - (event_source(kind) = 'LOCAL')::INTEGER)::BIGINT AS position, ended_at AS happened_at,
       session_id, hash_id, kind,
       CASE WHEN event_result(kind) = 'HIT' THEN coalesce(time_saved_ms, 0) ELSE 0 END AS duration_ms, context_id,
       NULL::INTEGER AS status
FROM run_lookup JOIN (SELECT unnest([1, 2, 4, 8]::UTINYINT[]) AS kind) ON kinds & kind > 0;
CREATE OR REPLACE TEMP TABLE lookup AS {LOOKUPS.format(events="event")};
CREATE OR REPLACE TEMP TABLE session_summary AS {SUMMARIES.format(lookups="lookup")};
CREATE OR REPLACE TEMP VIEW session_quarter AS SELECT {LOOKUP_COUNTS} FROM temp.lookup;
CREATE OR REPLACE TEMP VIEW hash_duration AS {HASH_DURATIONS.format(lookups="temp.lookup")};
{LOG_VIEWS.format(view="OR REPLACE TEMP VIEW", schema="temp")}
"""

# The accounting of each view, without duplicates: the events of run summaries are all kept.
COUNTS = {
    "events": f"""
        SELECT coalesce(sum(read), 0)::BIGINT, coalesce(sum(kept), 0)::BIGINT, coalesce(sum(rejected), 0)::BIGINT,
               0, 0, count(*)
        FROM store.file WHERE format NOT IN {DOCUMENT_FORMATS}""",
    "runs": "SELECT count(*), count(*), 0, 0, 0, count(DISTINCT file_id) FROM event",
}

SELECTION_TABLES = "SELECT table_name FROM duckdb_tables() WHERE temporary AND starts_with(table_name, $prefix)"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a question reads of a log, if that is less than all of it.

    `lookups_only`: lookups and their times alone. Of log files, no names, teams and single events are loaded then,
    which is twice as fast, unless run summaries are among them. `selection`: no lookups but those of a selection, so
    that fewer files of a lake are read.
    """

    lookups_only: bool = False
    selection: Selection | None = None


ALL = Needs()


class DividedLog(Protocol):
    """Runs the steps of questions on the parts of a log (see `questions.scope`)."""

    def gather(self, scope: Any, steps: Sequence[Any], arguments: Sequence[Any]) -> Any:
        """Run `steps` on each part of the log; return what they gave."""


@dataclass(frozen=True, slots=True)
class OpenLog:
    """A connection with the archive's relations, and the result of loading where log files were read to open it."""

    connection: "DuckDBPyConnection"
    load_result: LoadResult
    first_file_id: int = 0  # of the first file that this load added; files below it were in the archive before
    view: Literal["events", "runs"] = "events"  # answers questions: events, or turbo's run summaries
    was_loaded: bool = False  # from log files, to open it
    lake: OpenLake | None = None  # whose ids of sessions, hashes and contexts are their names
    divided: DividedLog | None = None  # where the lookups are in many places; the connection has no lookups then
    _runs_view: "list[OpenLog]" = field(default_factory=list, init=False, repr=False)
    _derived: dict[tuple[Hashable, LookupsQuery | None], str] = field(default_factory=dict, init=False, repr=False)

    def derived_table(self, key: Hashable, build: Callable[[str], object], selected: LookupsQuery | None = None) -> str:
        """Return the name of the temporary table for `key`; the first call creates it with `build(name)`.

        Pass `selected` if the table depends on a selection: it is then cached for that selection only, and
        `drop_selections` drops it. Other tables last as long as the log is open.
        """
        if (key, selected) not in self._derived:
            name = f"{SELECTION_PREFIX if selected else 'derived_'}{new_table_number()}"
            build(name)
            self._derived[key, selected] = name
        return self._derived[key, selected]

    def runs_view(self) -> "OpenLog":
        """Return this log as its run summaries show it: itself, or the same on a second connection.

        Raises:
            UsageError: there are no run summaries.
        """
        if self.view == "runs":
            return self
        if not self._runs_view:
            connection = self.connection.cursor()
            if not connection.execute("SELECT EXISTS (FROM store.run)").fetchall()[0][0]:
                raise UsageError(NO_RUNS)
            connection.execute(f"SET search_path = 'main,store'; {RUNS_VIEW}")
            self._runs_view.append(replace(self, connection=connection, view="runs"))
        return self._runs_view[0]

    def drop_selections(self) -> None:
        """Drop the temporary tables of all selections; queries over their lookups no longer run."""
        for log in self._runs_view:
            log.drop_selections()
        for key in [key for key in self._derived if key[1]]:
            del self._derived[key]
        for (name,) in self.connection.execute(SELECTION_TABLES, {"prefix": SELECTION_PREFIX}).fetchall():
            self.connection.execute(f"DROP TABLE temp.{name}")

    def counts(self) -> Accounting:
        """Account for the events of the whole log, in its view and before any filter."""
        stored = Accounting(*self.connection.execute(COUNTS[self.view]).fetchall()[0])
        reports = self._event_reports() if self.view == "events" else []
        return sum((report.accounting for report in reports if report.duplicate_of), stored)

    def loaded_counts(self) -> Accounting:
        """Account for the events of the log files that were read to open this log."""
        return sum((report.accounting for report in self._event_reports()), Accounting())

    def _event_reports(self) -> list[FileReport]:
        """Return the reports of files of events: run summaries and artifact metadata are not counted."""
        return [report for report in self.load_result.files if report.format not in DOCUMENT_FORMATS]


class LoadObserver:
    """Is notified while log files are read. This one does nothing; the command line's draws a progress bar."""

    def start(self, sources: Sources, connection: "DuckDBPyConnection") -> None:
        """Handle the start of reading."""

    def file(self, report: FileReport) -> None:
        """Handle a file that has been read."""

    def stop(self) -> None:
        """Handle the end of reading, successful or not."""


@contextmanager
def open_log(
    sources: Sequence[str], reading: ReadOptions, observer: LoadObserver, view: View = "auto", *,
    needs: Needs = ALL, directories: Sequence[str] = (),
) -> Iterator[OpenLog]:  # fmt: skip
    """Open SOURCE for questions, answered by `view`.

    `needs` is what the question reads. SQL has access to `directories`, and to no other files.

    Raises:
        AnalyzerError: see `analyzer.errors`. Files that cannot be read are in `load_result.errors` instead.
    """
    with temp_directory() as scratch:
        expanded = _expand(sources, scratch)
        with open_archive(expanded.archive, scratch, read_only=True, memory_mb=reading.memory_mb) as connection:
            load_result, lake = LoadResult(), None
            if expanded.lake:
                lake = open_lake(connection, expanded.lake, read_manifest(expanded.lake), needs.selection, scratch)
                directories = (*directories, expanded.lake.root, f"{scratch}/lake")
            elif not expanded.archive:
                is_fast = needs.lookups_only and not any(map(_needs_names, expanded.files))
                loader = (LookupsLoader if is_fast else Loader)(connection, scratch, reading)
                load_result = _load_files(loader, expanded, observer)
            # All logs are read: from here on, SQL of users (`sql`, `where`) reaches no other files, and no network.
            forbid_file_access(connection, directories)
            chosen, was_loaded = _choose_view(connection, view), not (expanded.archive or lake)
            yield OpenLog(connection, load_result, view=chosen, was_loaded=was_loaded, lake=lake)


def require_lake(sources: Sequence[str], view: View) -> Storage:
    """Return the lake that SOURCE is, for questions that an engine answers.

    Raises:
        UsageError: it is something else, or run summaries shall answer.
        UnreadableError: the bucket cannot be read.
    """
    # Of a bucket, the manifest is searched here, so that an error says what is wrong with the bucket.
    is_one = len(sources) == 1 and (
        bool(read_manifest(open_storage(sources[0])).number) if is_url(sources[0]) else is_lake(sources[0])
    )
    if not is_one:
        advice = (Option("engine"), " reads one lake; `analyzer export` makes one of logs")
        if len(sources) == 1 and not is_url(sources[0]) and not Path(sources[0]).exists():
            raise UsageError(f"{sources[0]}: no such directory; ", *advice)
        raise UsageError(f"{' '.join(sources) or 'no SOURCE'}: ", *advice)
    if view == "runs":
        raise UsageError(
            Option("view", "runs"), ": run summaries are read on this machine; leave out ", Option("engine")
        )
    return open_storage(sources[0])


@contextmanager
def load_into(sources: Sequence[str], into: Path, reading: ReadOptions, observer: LoadObserver) -> Iterator[OpenLog]:
    """Load log files into the archive `into`, which is created if it does not exist.

    Raises:
        AnalyzerError: as for `open_log`.
    """
    if REMOTE_NAME.match(str(into)) and not into.exists():
        raise UsageError(
            Option("into", str(into)), ": an archive is a local file; name one without a prefix and a colon"
        )
    if not into.parent.is_dir():
        raise UsageError(Option("into", str(into)), f": there is no directory {into.parent}; create it first")
    with temp_directory() as scratch:
        expanded = expand_for_load(sources, scratch)
        with open_archive(into, scratch, read_only=False, memory_mb=reading.memory_mb) as connection:
            loader = Loader(connection, scratch, reading)
            first_file_id = loader.next_id
            load_result = _load_files(loader, expanded, observer)
            checkpoint(connection, into)
            yield OpenLog(connection, load_result, first_file_id)


def expand_for_load(sources: Sequence[str], scratch: Path) -> Sources:
    """Return the logs to load; raise an error if there are none."""
    expanded = _expand(sources, scratch)
    if expanded.archive or expanded.lake:
        raise UsageError(f"{sources[0]}: only logs can be loaded; load those that it was made from")
    if not expanded.files and expanded.errors:
        raise expanded.errors[-1]
    return expanded


def _expand(sources: Sequence[str], scratch: Path) -> Sources:
    # sys.stdin is None if the process was started with a closed standard input.
    return expand_sources(sources, sys.stdin.buffer if sys.stdin else None, scratch)


def _needs_names(file: LogFile) -> bool:
    """Return whether a file holds no reported events, but what is related to them by names of hashes and sessions.

    It may, if it is not here yet.
    """
    if file.remote:
        return True
    try:
        return detect_format(Stream(file.path).head(HEAD_BYTES), {}) in (*DOCUMENT_FORMATS, *DERIVED_FORMATS)
    except OSError:
        return False


def _load_files(loader: Loader, sources: Sources, observer: LoadObserver) -> LoadResult:
    loader.load_result.errors.extend(sources.errors)
    observer.start(sources, loader.connection)
    try:
        for report in loader.load(sources.files):
            observer.file(report)
    finally:
        observer.stop()
    return loader.load_result


def _choose_view(connection: "DuckDBPyConnection", view: View) -> Literal["events", "runs"]:
    """Make questions read the relations of `view`, and return it; `auto` chooses events wherever there are any."""
    has_lookups = "SELECT EXISTS (FROM store.lookup), EXISTS (FROM store.run)"
    has_events, has_runs = connection.execute(has_lookups).fetchall()[0]
    if view == "runs" and not has_runs:
        raise UsageError(Option("view", "runs"), f": {NO_RUNS}")
    if view == "events" or (has_events and view == "auto") or not has_runs:
        return "events"
    connection.execute(RUNS_VIEW)
    return "runs"


def create_view_relations(connection: "DuckDBPyConnection", view: Literal["events", "runs"]) -> None:
    """Make the relations `events` and `lookups` show `view` on a connection: temporary tables belong to one."""
    if view == "runs":
        connection.execute(RUNS_VIEW + EVENT_VIEWS.format(view="TEMP VIEW", schema="temp"))
