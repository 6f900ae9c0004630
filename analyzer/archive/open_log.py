"""Opens SOURCE for questions: an archive directly, or log files by loading them into a database in memory."""

import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from analyzer.archive.accounting import FileReport, LoadResult
from analyzer.archive.database import checkpoint, open_archive, temp_directory
from analyzer.archive.load import Loader
from analyzer.archive.lookups_only import LookupsLoader
from analyzer.archive.read_options import ReadOptions
from analyzer.archive.selection import LookupsQuery, drop_partial_lookups
from analyzer.archive.view import View, choose_view
from analyzer.errors import UsageError
from analyzer.readers.formats import DOCUMENT_FORMATS, HEAD_BYTES, document_format
from analyzer.readers.source import LogFile, Sources, expand_sources
from analyzer.readers.stream import Stream

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


COUNTS = {
    "events": f"""
        SELECT coalesce(sum(read), 0)::BIGINT, coalesce(sum(kept), 0)::BIGINT,
               coalesce(sum(rejected), 0)::BIGINT, count(*)
        FROM store.file WHERE format NOT IN {DOCUMENT_FORMATS}""",
    "runs": "SELECT count(*), count(*), 0::BIGINT, count(DISTINCT file_id) FROM event",
}
"""The counts of `EventCounts` but for duplicates, by view: the events of run summaries are all kept."""


@dataclass(frozen=True, slots=True)
class EventCounts:
    """The number of events in the input before any filter, and of the log files that they are from."""

    read: int
    kept: int
    rejected: int
    duplicate: int
    files: int


@dataclass(frozen=True, slots=True)
class OpenLog:
    """A connection with the archive's relations, and the result of loading where log files were read to open it."""

    connection: "DuckDBPyConnection"
    load_result: LoadResult
    first_file_id: int = 0
    """The id of the first file that this load added; files below it were in the archive before."""

    view: Literal["events", "runs"] = "events"
    """The view that answers questions: events, or turbo's run summaries."""

    _derived: dict[tuple[Hashable, LookupsQuery | None], str] = field(default_factory=dict, init=False, repr=False)
    _numbers: "count[int]" = field(default_factory=count, init=False, repr=False)

    def derived_table(self, key: Hashable, build: Callable[[str], object], selected: LookupsQuery | None = None) -> str:
        """Return the name of the temporary table for `key`; the first call creates it with `build(name)`.

        A table computed from the lookups of a selection names them as `selected`: it answers for these alone, and
        `drop_selections` drops it. Other tables last as long as the log is open.
        """
        if (key, selected) not in self._derived:
            name = f"derived_{next(self._numbers)}"
            build(name)
            self._derived[key, selected] = name
        return self._derived[key, selected]

    def drop_selections(self) -> None:
        """Drop the temporary tables of all selections; queries over their lookups no longer run."""
        for key, selected in [one for one in self._derived if one[1]]:
            self.connection.execute(f"DROP TABLE temp.{self._derived.pop((key, selected))}")
        drop_partial_lookups(self.connection)

    def counts(self) -> EventCounts:
        """Count the events of the whole log, in its view."""
        read, kept, rejected, files = self.connection.execute(COUNTS[self.view]).fetchall()[0]
        reports = self._event_reports() if self.view == "events" else []
        duplicates = [report for report in reports if report.duplicate_of]
        duplicate = sum(report.duplicate for report in duplicates)
        return EventCounts(read + duplicate, kept, rejected, duplicate, files + len(duplicates))

    def loaded_counts(self) -> EventCounts:
        """Count the events of the log files that were read to open this log."""
        reports = self._event_reports()
        new = [report for report in reports if not report.duplicate_of]
        read, duplicate = sum(r.read for r in reports), sum(r.duplicate for r in reports)
        return EventCounts(read, sum(r.kept for r in new), sum(r.rejected for r in new), duplicate, len(reports))

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
    sources: Sequence[str],
    reading: ReadOptions,
    observer: LoadObserver,
    view: View = "auto",
    *,
    lookups_only: bool = False,
    stdin: BinaryIO | None = None,
) -> Iterator[OpenLog]:
    """Open SOURCE for questions, answered by `view`.

    `lookups_only` is for questions about lookups and their times alone: names, teams and single events are not loaded,
    which is twice as fast. It has no effect on archives, and where run summaries are among the files.

    Raises:
        AnalyzerError: see `analyzer.errors`. Files that cannot be read are in `load_result.errors` instead.
    """
    with temp_directory() as scratch:
        found = expand_sources(sources, stdin or _standard_input(), scratch)
        with open_archive(found.archive, scratch, read_only=True) as connection:
            load_result = LoadResult()
            if not found.archive:
                is_fast = lookups_only and not any(map(is_document, found.files))
                loader = (LookupsLoader if is_fast else Loader)(connection, scratch, reading)
                load_result = load_files(loader, found, observer)
            # All files are read: from here on, SQL of users (`sql`, `where`) reaches neither files nor the network.
            connection.execute("SET enable_external_access = false")
            yield OpenLog(connection, load_result, view=choose_view(connection, view))


def _standard_input() -> BinaryIO | None:
    return sys.stdin.buffer if sys.stdin else None  # None: the process was started with a closed stdin


def is_document(file: LogFile) -> bool:
    """Return whether a file is a run summary or artifact metadata. An unreadable file is not; loading reports it."""
    try:
        return document_format(Stream(file.path).head(HEAD_BYTES)) is not None
    except OSError:
        return False


@contextmanager
def load_into(
    sources: Sequence[str], into: Path, reading: ReadOptions, observer: LoadObserver, stdin: BinaryIO | None = None
) -> Iterator[OpenLog]:
    """Load log files into the archive `into`, which is created if it does not exist.

    Raises:
        AnalyzerError: as for `open_log`.
    """
    with temp_directory() as scratch:
        found = expand_sources(sources, stdin or _standard_input(), scratch)
        if found.archive:
            raise UsageError(
                f"{found.archive}: an archive cannot be loaded into another one; load the logs that it was loaded from"
            )
        if not found.files and found.errors:
            raise found.errors[-1]
        with open_archive(into, scratch, read_only=False) as connection:
            loader = Loader(connection, scratch, reading)
            first_file_id = loader.next_id
            load_result = load_files(loader, found, observer)
            checkpoint(connection, into)
            yield OpenLog(connection, load_result, first_file_id)


def load_files(loader: Loader, found: Sources, observer: LoadObserver) -> LoadResult:
    """Load the files of `found`, notify the observer of each, and return the result."""
    loader.load_result.errors.extend(found.errors)
    observer.start(found, loader.connection)
    try:
        for report in loader.load(found.files):
            observer.file(report)
    finally:
        observer.stop()
    return loader.load_result
