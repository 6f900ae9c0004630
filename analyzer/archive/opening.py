"""From SOURCE to a connection with the archive's relations, whether SOURCE is an archive or logs."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from analyzer.archive.database import archive, flush, workspace
from analyzer.archive.file import FileReport, Intake
from analyzer.archive.intake import Loader
from analyzer.archive.lookups import LookupsLoader
from analyzer.archive.reading import Reading
from analyzer.archive.view import ANY_QUESTION, Purpose, choose
from analyzer.errors import UsageError
from analyzer.readers.formats import DOCUMENTS, document_of
from analyzer.readers.sniff import HEAD_BYTES
from analyzer.readers.source import LogFile, Sources, expand
from analyzer.readers.stream import Stream

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


COUNTS = {
    "events": f"""
        SELECT coalesce(sum(read), 0)::BIGINT, coalesce(sum(kept), 0)::BIGINT,
               coalesce(sum(rejected), 0)::BIGINT, count(*)
        FROM store.file WHERE format NOT IN {DOCUMENTS}""",
    "runs": "SELECT count(*), count(*), 0::BIGINT, count(DISTINCT file_id) FROM event",
}


@dataclass(frozen=True, slots=True)
class Counts:
    """Events of the input before any filter, and the logs they came from."""

    read: int
    kept: int
    rejected: int
    duplicate: int
    files: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection with the archive's relations, and what became of the logs where they were read just now."""

    connection: "DuckDBPyConnection"
    intake: Intake
    first_file_id: int = 0
    """Files below this one were loaded before."""

    view: Literal["events", "runs"] = "events"
    """What answers: the events, or the run summaries of turbo."""

    def counts(self) -> Counts:
        """Count the events of everything that is open, as the view has it."""
        read, kept, rejected, files = self.connection.execute(COUNTS[self.view]).fetchall()[0]
        logs = self.intake.files if self.view == "events" else []
        again = [report for report in logs if report.duplicate_of and report.format not in DOCUMENTS]
        duplicate = sum(report.duplicate for report in again)
        return Counts(read + duplicate, kept, rejected, duplicate, files + len(again))

    def counts_now(self) -> Counts:
        """Count the events of the logs that were read just now."""
        files = [report for report in self.intake.files if report.format not in DOCUMENTS]
        new = [report for report in files if not report.duplicate_of]
        duplicate = sum(report.duplicate for report in files)
        read = sum(report.read for report in files)
        return Counts(read, sum(r.kept for r in new), sum(r.rejected for r in new), duplicate, len(files))


class Observer:
    """Hears what happens while logs are read; this one ignores it."""

    def start(self, sources: Sources, connection: "DuckDBPyConnection") -> None:
        """Hear that reading begins."""

    def file(self, report: FileReport) -> None:
        """Hear that a file has been read."""

    def stop(self) -> None:
        """Hear that reading is over, well or not."""


@contextmanager
def opened(
    sources: Sequence[str],
    reading: Reading,
    observer: Observer,
    purpose: Purpose = ANY_QUESTION,
    stdin: BinaryIO | None = None,
) -> Iterator[Opened]:
    """Open SOURCE for questions: an archive as it is, logs by reading them into memory (and from there to disk).

    Raises:
        AnalyzerError: see `analyzer.errors`; files that cannot be read are in `intake.errors` instead.
    """
    with workspace() as scratch:
        found = expand(sources, stdin or (sys.stdin.buffer if sys.stdin else None), scratch)
        with archive(found.archive, scratch, read_only=True) as connection:
            lookups_only = purpose.lookups_only and not any(map(is_document, found.files))
            loader = LookupsLoader if lookups_only else Loader
            intake = Intake() if found.archive else load(loader(connection, scratch, reading), found, observer)
            connection.execute("SET enable_external_access = false")
            yield Opened(connection, intake, view=choose(connection, purpose))


def is_document(file: LogFile) -> bool:
    """Tell whether a file is a document beside the events; one that cannot be read is an error later."""
    try:
        return document_of(Stream(file.path).head(HEAD_BYTES)) is not None
    except OSError:
        return False


@contextmanager
def loaded(
    sources: Sequence[str], into: Path, reading: Reading, observer: Observer, stdin: BinaryIO | None = None
) -> Iterator[Opened]:
    """Load logs into the archive `into`, made where there is none.

    Raises:
        AnalyzerError: as for `opened`.
    """
    with workspace() as scratch:
        found = expand(sources, stdin or (sys.stdin.buffer if sys.stdin else None), scratch)
        if found.archive:
            raise UsageError(
                f"{found.archive}: an archive cannot be loaded into another; load the logs it was made from"
            )
        if not found.files and found.errors:
            raise found.errors[-1]
        with archive(into, scratch, read_only=False) as connection:
            loader = Loader(connection, scratch, reading)
            first_file_id = loader.next_id
            intake = load(loader, found, observer)
            flush(connection, into)
            yield Opened(connection, intake, first_file_id)


def load(loader: Loader, found: Sources, observer: Observer) -> Intake:
    """Load the files of `found`."""
    loader.intake.errors.extend(found.errors)
    observer.start(found, loader.connection)
    try:
        for report in loader.load(found.files):
            observer.file(report)
    finally:
        observer.stop()
    return loader.intake
