"""From SOURCE to a connection with the archive's relations, whether SOURCE is an archive or logs."""

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
from analyzer.archive.selection import LookupsQuery, drop_selections
from analyzer.archive.view import ANY_QUESTION, Purpose, choose_view
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


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Events of the input before any filter, and the logs they came from."""

    read: int
    kept: int
    rejected: int
    duplicate: int
    files: int


@dataclass(frozen=True, slots=True)
class OpenLog:
    """A connection with the archive's relations, and what became of the logs where they were read just now."""

    connection: "DuckDBPyConnection"
    load_result: LoadResult
    first_file_id: int = 0
    """Files below this one were loaded before."""

    view: Literal["events", "runs"] = "events"
    """What answers: the events, or the run summaries of turbo."""

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
        drop_selections(self.connection)

    def counts(self) -> EventCounts:
        """Count the events of everything that is open, as the view has it."""
        read, kept, rejected, files = self.connection.execute(COUNTS[self.view]).fetchall()[0]
        logs = self.load_result.files if self.view == "events" else []
        again = [report for report in logs if report.duplicate_of and report.format not in DOCUMENT_FORMATS]
        duplicate = sum(report.duplicate for report in again)
        return EventCounts(read + duplicate, kept, rejected, duplicate, files + len(again))

    def counts_now(self) -> EventCounts:
        """Count the events of the logs that were read just now."""
        files = [report for report in self.load_result.files if report.format not in DOCUMENT_FORMATS]
        new = [report for report in files if not report.duplicate_of]
        duplicate = sum(report.duplicate for report in files)
        read = sum(report.read for report in files)
        return EventCounts(read, sum(r.kept for r in new), sum(r.rejected for r in new), duplicate, len(files))


class LoadObserver:
    """Hears what happens while logs are read; this one ignores it."""

    def start(self, sources: Sources, connection: "DuckDBPyConnection") -> None:
        """Hear that reading begins."""

    def file(self, report: FileReport) -> None:
        """Hear that a file has been read."""

    def stop(self) -> None:
        """Hear that reading is over, well or not."""


@contextmanager
def open_log(
    sources: Sequence[str],
    reading: ReadOptions,
    observer: LoadObserver,
    purpose: Purpose = ANY_QUESTION,
    stdin: BinaryIO | None = None,
) -> Iterator[OpenLog]:
    """Open SOURCE for questions: an archive as it is, logs by reading them into memory (and from there to disk).

    Raises:
        AnalyzerError: see `analyzer.errors`; files that cannot be read are in `load_result.errors` instead.
    """
    with temp_directory() as scratch:
        found = expand_sources(sources, stdin or (sys.stdin.buffer if sys.stdin else None), scratch)
        with open_archive(found.archive, scratch, read_only=True) as connection:
            lookups_only = purpose.lookups_only and not any(map(is_document, found.files))
            loader = LookupsLoader if lookups_only else Loader
            load_result = (
                LoadResult() if found.archive else load_files(loader(connection, scratch, reading), found, observer)
            )
            connection.execute("SET enable_external_access = false")
            yield OpenLog(connection, load_result, view=choose_view(connection, purpose))


def is_document(file: LogFile) -> bool:
    """Tell whether a file is a document beside the events; one that cannot be read is an error later."""
    try:
        return document_format(Stream(file.path).head(HEAD_BYTES)) is not None
    except OSError:
        return False


@contextmanager
def load_into(
    sources: Sequence[str], into: Path, reading: ReadOptions, observer: LoadObserver, stdin: BinaryIO | None = None
) -> Iterator[OpenLog]:
    """Load logs into the archive `into`, made where there is none.

    Raises:
        AnalyzerError: as for `opened`.
    """
    with temp_directory() as scratch:
        found = expand_sources(sources, stdin or (sys.stdin.buffer if sys.stdin else None), scratch)
        if found.archive:
            raise UsageError(
                f"{found.archive}: an archive cannot be loaded into another; load the logs it was made from"
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
    """Load the files of `found`."""
    loader.load_result.errors.extend(found.errors)
    observer.start(found, loader.connection)
    try:
        for report in loader.load(found.files):
            observer.file(report)
    finally:
        observer.stop()
    return loader.load_result
